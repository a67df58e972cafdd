//! Who signed, and how many of them count: one answer for admission, for drafts that wait, and for
//! notes outside the log.

use crate::note::Signature;
use crate::record::{Kind, Record};

use super::change::{self, Intent};
use super::{Charter, Member, MemberKey, MemberStanding, PUBLIC, Rejection, Requirement};

/// What a key may sign at a time. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyReach {
    /// All that its member may sign.
    Full,
    /// Changes of the charter, and nothing else: its term ran out, and members in force are too
    /// few.
    Governance,
    /// The revocation of its member's own keys: the member is suspended.
    Revocation,
    /// Its own replacement: it was revoked, and without its member nobody could change the charter.
    Replacement,
}

/// What is signed, where that decides who may sign it. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A record that changes no authority.
    Record(Kind),
    /// A change of the charter, or what follows a change's rules.
    Change(Intent),
}

/// Who signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Signers {
    /// The places of members, each once.
    pub(super) members: Vec<usize>,
    /// Those of them that signed with a key in its term, not with one that is held over.
    pub(super) in_force: Vec<usize>,
    /// The name of a key that is no member's: a record brings one at most.
    pub(super) stranger: Option<String>,
}

/// Members that decide together, outside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided<'a> {
    /// Who signed, each once.
    pub(crate) members: Vec<&'a Member>,
    /// What a change of the charter would ask for beyond that, and how many signed.
    pub(crate) too_few: Option<(Requirement, u64)>,
}

impl Signers {
    /// Counts a member's key.
    pub(super) fn add(&mut self, key: &MemberKey, at: u64) {
        let place = key.member();
        if !self.members.contains(&place) {
            self.members.push(place);
        }
        if key.term().contains(at) && !self.in_force.contains(&place) {
            self.in_force.push(place);
        }
    }
}

impl Charter {
    /// What a key may sign at a time in POSIX seconds, its use aside.
    ///
    /// # Errors
    /// [`Rejection::KeyRevoked`], [`Rejection::NotInGoodStanding`] or [`Rejection::KeyNotValid`]:
    /// it signs nothing at all.
    pub fn reach(&self, key: &MemberKey, at: u64) -> Result<KeyReach, Rejection> {
        let refused = || Err(self.refusal(key, at));
        let in_term = key.term().contains(at);
        if !in_term && (key.term().from() > at || !self.holds_over(at)) {
            return refused();
        }
        let may_replace = key.revoked().map(|revocation| revocation.may_replace);
        match (may_replace, self.members[key.member()].standing()) {
            (None, MemberStanding::Good) if in_term => Ok(KeyReach::Full),
            (None, MemberStanding::Good) => Ok(KeyReach::Governance),
            (None, MemberStanding::Suspended(_)) => Ok(KeyReach::Revocation),
            (Some(true), MemberStanding::Good) => Ok(KeyReach::Replacement),
            _ => refused(),
        }
    }

    /// Why a key may not sign whatever its member may.
    pub(crate) fn refusal(&self, key: &MemberKey, at: u64) -> Rejection {
        let (name, member) = (key.key().name().to_string(), &self.members[key.member()]);
        match (key.revoked(), member.standing()) {
            (Some(revocation), _) => Rejection::KeyRevoked { name, at: revocation.at },
            (None, MemberStanding::Good) => Rejection::KeyNotValid { name, at },
            _ => Rejection::not_in_good_standing(member),
        }
    }

    /// The member that a signature line of a record speaks for, if it may at a time in POSIX
    /// seconds. That the line verifies is not looked at.
    ///
    /// # Errors
    /// [`Rejection`] says why it does not count.
    pub fn signer_of(
        &self,
        record: &Record,
        line: &Signature,
        at: u64,
    ) -> Result<&Member, Rejection> {
        let place = record.note().signatures().iter().position(|own| own == line);
        let key = self.record_key(line, place.map_or(0, |place| place + 1))?;
        self.check_key(key, &self.purpose(record), at)?;
        Ok(&self.members[key.member()])
    }

    /// Whether those who signed, by lines that verify, could change the charter at a time.
    pub(crate) fn decide(&self, lines: &[Signature], at: u64) -> Result<Decided<'_>, Rejection> {
        let (purpose, mut signers) = (Purpose::Change(Intent::Other), Signers::default());
        for (n, line) in lines.iter().enumerate() {
            let key = self.record_key(line, n + 1)?;
            self.check_key(key, &purpose, at)?;
            signers.add(key, at);
        }
        let too_few = self.too_few(self.governance(), &purpose, &signers, at);
        let members = signers.members.iter().map(|place| &self.members[*place]).collect();
        Ok(Decided { members, too_few })
    }

    /// What a record is signed for.
    pub(super) fn purpose(&self, record: &Record) -> Purpose {
        match record.kind() {
            kind if kind.is_governance() && kind != Kind::Charter => {
                Purpose::Change(change::intent(self, record))
            }
            kind => Purpose::Record(kind),
        }
    }

    /// A key may sign this, at a time.
    pub(super) fn check_key(
        &self,
        key: &MemberKey,
        purpose: &Purpose,
        at: u64,
    ) -> Result<(), Rejection> {
        let place = key.member();
        let may = match (self.reach(key, at)?, purpose) {
            (KeyReach::Full, _) | (KeyReach::Governance, Purpose::Change(_)) => true,
            (KeyReach::Revocation, Purpose::Change(Intent::RevokeOwn(own))) => *own == place,
            (KeyReach::Replacement, Purpose::Change(Intent::Replace(own))) => own.contains(&place),
            _ => false,
        };
        if may { Ok(()) } else { Err(self.refusal(key, at)) }
    }

    /// Who must sign; nothing, if the charter has no rule for it.
    pub(super) fn rule_of(&self, purpose: &Purpose) -> Option<&[Requirement]> {
        match purpose {
            Purpose::Change(Intent::RevokeOwn(_)) => Some(&[]),
            Purpose::Change(_) => Some(self.governance()),
            Purpose::Record(kind) => self.rules().get(kind).map(Vec::as_slice),
        }
    }

    /// How many of the signers count for a requirement.
    ///
    /// Stewards whose term or key ran out count for a change of the charter, while it cannot be
    /// made without them: they fill the seats that nobody in force could take, and no other.
    pub(super) fn count(
        &self,
        requirement: &Requirement,
        purpose: &Purpose,
        signers: &Signers,
        at: u64,
    ) -> u64 {
        let role = requirement.role();
        let is_held = |place: &&usize| self.members[**place].holds(role, at);
        let Purpose::Change(_) = purpose else {
            return match role {
                PUBLIC => u64::from(signers.stranger.is_some()),
                _ => signers.members.iter().filter(is_held).count() as u64,
            };
        };
        let in_force = signers.in_force.iter().filter(is_held).count() as u64;
        let held = signers.members.iter().filter(|place| self.held(**place, role, at));
        let held_over = held.count() as u64 - in_force;
        let vacant = requirement.members().saturating_sub(self.eligible(role, at).in_force);
        in_force + held_over.min(vacant)
    }

    /// The first requirement that too few have signed for, and how many did.
    pub(super) fn too_few(
        &self,
        rule: &[Requirement],
        purpose: &Purpose,
        signers: &Signers,
        at: u64,
    ) -> Option<(Requirement, u64)> {
        let counted = rule.iter().map(|own| (own, self.count(own, purpose, signers, at)));
        let mut missing = counted.filter(|(own, found)| *found < own.members());
        missing.next().map(|(own, found)| (own.clone(), found))
    }
}
