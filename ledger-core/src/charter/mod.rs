//! Authority: who may do what, decided by the log's own entries and nothing else.
//!
//! A [`Charter`] is a pure fold over the governance entries: [`Charter::found`] reads the first,
//! and each `membership` or `norm` that [`Charter::admit`] admits gives the [next state](Change).
//! Judging a record has two halves: [`Charter::verify`] checks its signatures, which is dear and
//! depends on no order; [`Charter::admit`] checks the rules at its place in the log, which is cheap
//! and is done again by the sequencer, by auditors and in browsers.

mod change;
mod draft;
mod found;
mod govern;
mod judge;
pub mod lawful;
mod listed;
mod missing;
mod read;
mod rejection;
mod replay;
mod shared;
mod signers;
mod state;

use std::collections::BTreeMap;

use crate::heap::block;
use crate::index::LeafIndex;
use crate::note::{PublicKey, Signature, VerifierKey};
use crate::policy::Policy;
use crate::record::{Kind, Record, StatementId};

pub use draft::{CharterDraft, CharterDraftError};
pub use missing::MissingSignature;
pub use rejection::{MAX_POLICY_WITNESSES, PolicyProblem, Rejection};
pub use replay::{
    ChainError, Governance, GovernanceState, JudgeError, ReplayError, governance_chain,
};
pub use shared::SharedList;
pub use signers::KeyReach;
pub use state::{
    Charter, DEFAULT_ISSUED_AT_LIMIT, DEFAULT_MAX_GAP, Deadline, KeyUse, MAX_KEYS_OF_MEMBER,
    MAX_LOG_KEYS, MAX_MEMBERS, Member, MemberKey, MemberStanding, PUBLIC, ParseKeyUseError,
    Requirement, RetiredLogKey, Revocation, RoleTerm, Term,
};

/// How far `issued_at` may lie after the log's time: clocks differ.
pub const EARLY_SECONDS: u64 = 600;

/// A record whose every signature is a known record key's and verifies.
///
/// Only [`Charter::verify`] makes it. It says who signed, not whether that was enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    record: Record,
    /// The keys that verified, in the order of the signature lines.
    keys: Vec<PublicKey>,
}

/// What an admitted record does to the charter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Nothing: it is an ordinary record.
    Record,
    /// It gives this charter, which judges the entries after it.
    Governance(Box<Charter>),
}

impl SignedRecord {
    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What the record and its keys take of the heap.
    pub fn heap_bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(|key| block(key.as_bytes().len())).sum();
        self.record.heap_bytes() + block(self.keys.capacity() * size_of::<PublicKey>()) + keys
    }

    /// The record, no longer known to be signed.
    pub fn into_record(self) -> Record {
        self.record
    }

    /// The key names that signed, in the order of the lines.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.record.note().signatures().iter().map(|line| line.name().as_str())
    }
}

impl Charter {
    /// The log's origin.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The consortium's name.
    pub fn consortium(&self) -> &str {
        &self.consortium
    }

    /// The statement id of the charter: the trust anchor.
    pub fn statement(&self) -> StatementId {
        self.statement
    }

    /// The index of the latest governance entry: what the next `logged` line must name.
    pub fn governance_index(&self) -> LeafIndex {
        self.governed_by
    }

    /// The statement id of the latest governance entry: what the next change names as its `base`.
    pub fn base(&self) -> StatementId {
        self.base
    }

    /// The keys that sign the log's heads.
    pub fn log_keys(&self) -> &[VerifierKey] {
        &self.log_keys
    }

    /// The keys that norms have retired.
    pub fn retired_log_keys(&self) -> &SharedList<RetiredLogKey> {
        &self.retired_log_keys
    }

    /// All that were ever members, in the order in which they came.
    pub fn members(&self) -> &SharedList<Member> {
        &self.members
    }

    /// A member by name, also one that has left.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name() == name)
    }

    /// All keys that members ever had, in the order in which they came.
    pub fn keys(&self) -> &SharedList<MemberKey> {
        &self.keys
    }

    /// The key that a signature line names, and its member.
    pub fn signer(&self, line: &Signature) -> Option<(&Member, &MemberKey)> {
        let key = self.key_of(line)?;
        Some((&self.members[key.member()], key))
    }

    /// Who must sign which kind.
    pub fn rules(&self) -> &BTreeMap<Kind, Vec<Requirement>> {
        &self.rules
    }

    /// Who must sign a change of the charter.
    pub fn governance(&self) -> &[Requirement] {
        &self.governance
    }

    /// What is due when.
    pub fn deadlines(&self) -> &[Deadline] {
        &self.deadlines
    }

    /// How long after `issued_at` an entry's time may be, in seconds.
    pub fn issued_at_limit(&self) -> u64 {
        self.issued_at_limit
    }

    /// How far an entry's time and its first witnessed publication may differ, in seconds.
    pub fn max_gap(&self) -> u64 {
        self.max_gap
    }

    /// The text of the C2SP tlog-policy that the charter carries.
    pub fn policy_text(&self) -> &str {
        &self.policy
    }

    /// The C2SP tlog-policy that the charter carries, for the log keys in force.
    pub fn policy(&self) -> Policy {
        let checked = self.checked_policy.as_deref();
        let checked = checked.expect("the policy was checked when the charter was made or changed");
        checked.with_logs(self.log_keys.iter().cloned())
    }

    /// The keys of all witnesses of the policy and of those before it, each once.
    pub fn policy_witnesses(&self) -> &SharedList<VerifierKey> {
        &self.policy_witnesses
    }

    /// The words that a norm set for an open list, like `incident.harm_types`; `None` where the
    /// format's own suggestions stand.
    pub fn enumeration(&self, name: &str) -> Option<&[String]> {
        self.enumerations.get(name).map(Vec::as_slice)
    }

    /// Whether a reference binds the record that it names, or is only a claim: `relation` is
    /// `amends`, `supersedes`, `retracts` or `series`, `by` the member that issued the reference at
    /// the second `at`, `target` the issuer of the record that is named.
    ///
    /// Issuers bind their own records. Who else may is for the charter's `binding` to say.
    pub fn binds(&self, relation: &str, by: &Issued<'_>, target: &str) -> bool {
        let roles = self.binding.get(relation).map(Vec::as_slice).unwrap_or_default();
        let Some(member) = self.member(by.issuer) else { return by.issuer == target };
        by.issuer == target || roles.iter().any(|role| member.holds(role, by.at))
    }
}

/// Who issued a record, and when it was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issued<'a> {
    /// The member's name.
    pub issuer: &'a str,
    /// The log's time.
    pub at: u64,
}

#[cfg(all(test, feature = "sign"))]
pub(crate) mod tests;

#[cfg(all(test, feature = "sign"))]
pub(crate) mod world;

#[cfg(all(test, feature = "sign"))]
mod governance_tests;

#[cfg(all(test, feature = "sign"))]
mod coalition_tests;

#[cfg(all(test, feature = "sign"))]
mod gathering_tests;

#[cfg(all(test, feature = "sign"))]
mod replay_tests;

#[cfg(all(test, feature = "sign"))]
mod policy_tests;
