//! What a charter holds: members, roles, keys, rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::index::LeafIndex;
use crate::note::{Algorithm, VerifierKey};
use crate::policy::Policy;
use crate::record::{Kind, StatementId};

use super::shared::{KeyPlaces, SharedList};

/// Log keys that are in force at once: one, and a few for rotation.
pub const MAX_LOG_KEYS: usize = 8;

/// Members that a consortium may have had in all: names stay, also of those that left.
pub const MAX_MEMBERS: usize = 4096;

/// Keys, and terms of roles, that one member may have had in all: one a month for ten years. Beyond
/// it a member still replaces its key for records.
pub const MAX_KEYS_OF_MEMBER: usize = 128;

/// The name that stands for anybody, so that no member may bear it.
pub const PUBLIC: &str = "public";

/// The default limit of an entry's time after `issued_at`: 30 days.
pub const DEFAULT_ISSUED_AT_LIMIT: u64 = 30 * 86_400;

/// The default of `max_gap`, between an entry's time and its first witnessed head: an hour.
pub const DEFAULT_MAX_GAP: u64 = 3_600;

/// What a key signs. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUse {
    /// Records, and members' requests.
    Record,
    /// Heads of a log.
    Log,
    /// Cosignatures of a witness.
    Witness,
    /// Cosignatures of a mirror.
    Mirror,
    /// A node's own statements.
    Node,
}

/// A stretch of time: from its first second, until the second in which it no longer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    pub(super) from: u64,
    pub(super) until: Option<u64>,
}

/// A member's key: whose it is, what it signs and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberKey {
    pub(super) key: VerifierKey,
    pub(super) usage: KeyUse,
    pub(super) term: Term,
    pub(super) member: usize,
    pub(super) revoked: Option<Revocation>,
    pub(super) since: LeafIndex,
}

/// A key that signs no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The governance entry that revoked it: what the key signed up to there stays valid.
    pub at: LeafIndex,
    /// Whether the key may still sign its own replacement, because without its member's signature
    /// nobody could change the charter any more.
    pub may_replace: bool,
}

/// How a member stands. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberStanding {
    /// It has all its rights.
    Good,
    /// It signs nothing but the revocation of its own keys until it is reinstated.
    Suspended(LeafIndex),
    /// It was expelled by this entry.
    Expelled(LeafIndex),
    /// It left by this entry.
    Withdrawn(LeafIndex),
}

/// A key that signed the log's heads until a norm retired it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredLogKey {
    pub(super) key: VerifierKey,
    pub(super) at: LeafIndex,
}

/// A role that a member holds for a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleTerm {
    pub(super) role: String,
    pub(super) term: Term,
    pub(super) since: LeafIndex,
}

/// A member of the consortium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub(super) name: String,
    pub(super) roles: Vec<RoleTerm>,
    pub(super) node: Option<String>,
    pub(super) standing: MemberStanding,
}

/// So many distinct members with a role must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub(super) role: String,
    pub(super) members: u64,
    pub(super) since: LeafIndex,
}

/// What is due when, as the charter says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    pub(super) name: String,
    pub(super) clock: String,
    pub(super) when: BTreeMap<String, Vec<String>>,
    pub(super) within: u64,
    pub(super) satisfied_by: BTreeMap<String, Vec<String>>,
}

/// Who may do what, at one point of the log: the state that entries are judged by.
///
/// Made from entry 0 by [`Charter::found`]; each governance entry that [`Charter::admit`] admits
/// gives the next state. States share what is the same in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charter {
    pub(super) origin: String,
    pub(super) consortium: String,
    pub(super) statement: StatementId,
    pub(super) governed_by: LeafIndex,
    /// The statement id of the entry `governed_by`.
    pub(super) base: StatementId,
    pub(super) log_keys: Arc<Vec<VerifierKey>>,
    pub(super) retired_log_keys: SharedList<RetiredLogKey>,
    pub(super) members: SharedList<Member>,
    pub(super) keys: SharedList<MemberKey>,
    /// Where the keys of an id stand in `keys`: names decide among them.
    pub(super) places: KeyPlaces,
    pub(super) rules: Arc<BTreeMap<Kind, Vec<Requirement>>>,
    pub(super) governance: Arc<Vec<Requirement>>,
    pub(super) deadlines: Arc<Vec<Deadline>>,
    pub(super) issued_at_limit: u64,
    pub(super) max_gap: u64,
    pub(super) policy: Arc<str>,
    /// The policy as `check_policy` read it; `None` only while a charter is being made.
    pub(super) checked_policy: Option<Arc<Policy>>,
    /// The keys of all witnesses of the policy and of those before it.
    pub(super) policy_witnesses: SharedList<VerifierKey>,
    /// Where the keys of an id stand in `policy_witnesses`.
    pub(super) witness_places: KeyPlaces,
    pub(super) binding: Arc<BTreeMap<String, Vec<String>>>,
    pub(super) enumerations: Arc<BTreeMap<String, Vec<String>>>,
}

impl KeyUse {
    /// The word that charters use.
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyUse::Record => "record",
            KeyUse::Log => "log",
            KeyUse::Witness => "witness",
            KeyUse::Mirror => "mirror",
            KeyUse::Node => "node",
        }
    }

    /// The use of a word.
    pub fn parse(word: &str) -> Option<KeyUse> {
        let all = [KeyUse::Record, KeyUse::Log, KeyUse::Witness, KeyUse::Mirror, KeyUse::Node];
        all.into_iter().find(|usage| usage.as_str() == word)
    }

    /// The signature type that keys of this use have; those that cosign may be of
    /// [`Algorithm::MlDsa44`] instead.
    pub const fn algorithm(self) -> Algorithm {
        match self {
            KeyUse::Record | KeyUse::Log | KeyUse::Node => Algorithm::Ed25519,
            KeyUse::Witness | KeyUse::Mirror => Algorithm::CosignatureV1,
        }
    }

    /// Whether a key of this use may be of this signature type.
    pub const fn takes(self, algorithm: Algorithm) -> bool {
        algorithm.is_cosigner() == self.algorithm().is_cosigner()
    }
}

impl Term {
    /// From a second on, until another if it ends.
    pub const fn new(from: u64, until: Option<u64>) -> Term {
        Term { from, until }
    }

    /// Whether a second lies within the term.
    pub fn contains(self, time: u64) -> bool {
        self.from <= time && self.until.is_none_or(|until| time < until)
    }

    /// The first second, 0 where none is given.
    pub fn from(self) -> u64 {
        self.from
    }

    /// The first second after the term, if it ends.
    pub fn until(self) -> Option<u64> {
        self.until
    }
}

impl MemberKey {
    /// The key.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// What it signs.
    pub fn usage(&self) -> KeyUse {
        self.usage
    }

    /// When it is valid.
    pub fn term(&self) -> Term {
        self.term
    }

    /// The governance entry that added it.
    pub fn since(&self) -> LeafIndex {
        self.since
    }

    /// Since when it signs no longer, if it was revoked or its member left.
    pub fn revoked(&self) -> Option<Revocation> {
        self.revoked
    }

    /// Whether records of the member at a place may be signed with it, terms aside.
    pub(super) fn signs_for(&self, member: usize) -> bool {
        self.member == member && self.usage == KeyUse::Record && self.revoked.is_none()
    }

    /// Whether it was revoked and may still sign its own replacement.
    pub(super) fn may_replace(&self) -> bool {
        self.revoked.is_some_and(|own| own.may_replace)
    }

    /// The member's place in [`Charter::members`].
    pub(super) fn member(&self) -> usize {
        self.member
    }
}

impl RetiredLogKey {
    /// The key.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The norm that retired it.
    pub fn at(&self) -> LeafIndex {
        self.at
    }
}

impl MemberStanding {
    /// What to call it: `member`, `suspended`, `expelled` or `withdrawn`.
    pub const fn as_str(self) -> &'static str {
        match self {
            MemberStanding::Good => "member",
            MemberStanding::Suspended(_) => "suspended",
            MemberStanding::Expelled(_) => "expelled",
            MemberStanding::Withdrawn(_) => "withdrawn",
        }
    }

    /// Whether it belongs to the consortium no longer.
    pub const fn has_left(self) -> bool {
        matches!(self, MemberStanding::Expelled(_) | MemberStanding::Withdrawn(_))
    }

    /// The entry that made it so, unless it is good.
    pub const fn since(self) -> Option<LeafIndex> {
        match self {
            MemberStanding::Good => None,
            MemberStanding::Suspended(at)
            | MemberStanding::Expelled(at)
            | MemberStanding::Withdrawn(at) => Some(at),
        }
    }
}

impl RoleTerm {
    /// The role.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The governance entry that gave it.
    pub fn since(&self) -> LeafIndex {
        self.since
    }

    /// When it is held.
    pub fn term(&self) -> Term {
        self.term
    }
}

impl Member {
    /// The member's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its roles.
    pub fn roles(&self) -> &[RoleTerm] {
        &self.roles
    }

    /// Its node's address, if it runs one.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// How it stands.
    pub fn standing(&self) -> MemberStanding {
        self.standing
    }

    /// Whether it stands well and holds a role in a second.
    pub fn holds(&self, role: &str, time: u64) -> bool {
        let held = |own: &RoleTerm| own.role == role && own.term.contains(time);
        self.standing == MemberStanding::Good && self.roles.iter().any(held)
    }
}

impl Requirement {
    /// The role that signs.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// How many distinct members of it.
    pub fn members(&self) -> u64 {
        self.members
    }

    /// The governance entry that set it.
    pub fn since(&self) -> LeafIndex {
        self.since
    }
}

impl Deadline {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time it runs from, like `incident.aware_at`.
    pub fn clock(&self) -> &str {
        &self.clock
    }

    /// The members and values that start it.
    pub fn when(&self) -> &BTreeMap<String, Vec<String>> {
        &self.when
    }

    /// How long, in seconds.
    pub fn within(&self) -> u64 {
        self.within
    }

    /// The members and values of the record that meets it.
    pub fn satisfied_by(&self) -> &BTreeMap<String, Vec<String>> {
        &self.satisfied_by
    }
}

/// The word names no KeyUse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the word for a use of a key")]
pub struct ParseKeyUseError;

impl std::str::FromStr for KeyUse {
    type Err = ParseKeyUseError;

    fn from_str(text: &str) -> Result<KeyUse, ParseKeyUseError> {
        KeyUse::parse(text).ok_or(ParseKeyUseError)
    }
}
