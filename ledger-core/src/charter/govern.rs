//! Changing the charter: whose signatures count, and that it can always be changed again.

use crate::index::LeafIndex;
use crate::record::{Logged, Record};

use super::change::{self, Intent};
use super::signers::{Purpose, Signers};
use super::{Charter, MemberKey, MemberStanding, Rejection, Requirement, SignedRecord};

/// Members and keys that are looked through in the time of about one signature check.
const SCANNED_A_CHECK: usize = 8_192;

/// How often each requirement is counted for a record, beside once for each signature.
const COUNTS: usize = 4;

/// How many members could sign for a role.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eligible {
    /// Their role and a key of theirs are in force.
    pub(super) in_force: u64,
    /// Their role or key ended by its term, and they are held over while they are needed.
    pub(super) held_over: u64,
}

/// What keys for records a member has that are not revoked.
#[derive(Debug, Clone, Copy, Default)]
struct RecordKeys {
    /// One whose term holds.
    in_force: bool,
    /// One whose term has begun.
    began: bool,
}

impl Charter {
    /// What it takes to judge a governance record by this charter, in units of about one signature
    /// check: its signatures, the keys of the policies that it touches, and the looking through all
    /// members and keys for each change, each key of a policy, and each requirement.
    pub(crate) fn cost_of(&self, record: &Record) -> usize {
        let lines = record.note().signatures().len();
        let policy = change::policy_lines(self, record);
        let counts = (lines + COUNTS) * self.governance.len();
        let scans = change::looked_up(record) + 2 * policy + counts;
        let of_log = self.retired_log_keys.len() + self.policy_witnesses.len();
        let listed = self.members.len() + self.keys.len() + of_log;
        lines + policy + scans * listed / SCANNED_A_CHECK
    }

    /// The charter after a governance record, if it may be changed so.
    pub(super) fn change(
        &self,
        record: &SignedRecord,
        logged: &Logged,
        index: LeafIndex,
    ) -> Result<Charter, Rejection> {
        let found = record.record().body().text("base").unwrap_or_default();
        if found != self.base().to_string() {
            let (expected, found) = (self.base(), found.to_owned());
            return Err(Rejection::WrongBase { expected, found });
        }
        let purpose = self.purpose(record.record());
        let signers = self.check_signed(record, &purpose, logged.time)?;
        self.changed(record.record(), &purpose, &signers, (logged, index))
    }

    /// The charter after a governance record that these have signed, whether or not they are
    /// enough.
    pub(super) fn changed(
        &self,
        record: &Record,
        purpose: &Purpose,
        signers: &Signers,
        (logged, index): (&Logged, LeafIndex),
    ) -> Result<Charter, Rejection> {
        let mut next = self.clone();
        next.governed_by = index;
        next.base = record.statement();
        change::apply(&mut next, record, &signers.members, logged)?;
        match purpose {
            Purpose::Change(Intent::RevokeOwn(member)) => {
                next.keep_for_replacement(*member, logged.time, index);
            }
            _ => next.check_not_deadlocked(logged.time)?,
        }
        if !next.holds_over(logged.time) {
            next.forget_replacements();
        }
        Ok(next)
    }

    /// Whether some requirement cannot be met by members in force alone.
    pub(super) fn holds_over(&self, at: u64) -> bool {
        self.governance.iter().any(|own| self.needs_held_over(own, at))
    }

    /// Whether members in force alone cannot meet a requirement.
    pub(super) fn needs_held_over(&self, requirement: &Requirement, at: u64) -> bool {
        self.eligible(requirement.role(), at).in_force < requirement.members()
    }

    /// Whether a member holds a role, or held it until its term ran out.
    pub(super) fn held(&self, place: usize, role: &str, at: u64) -> bool {
        let began = self.members[place].roles().iter();
        let mut began = began.filter(|own| own.role() == role && own.term().from() <= at);
        self.members[place].standing() == MemberStanding::Good && began.next().is_some()
    }

    /// Who could sign for a role.
    pub(super) fn eligible(&self, role: &str, at: u64) -> Eligible {
        let mut eligible = Eligible { in_force: 0, held_over: 0 };
        let keys = self.record_keys(at);
        for (place, member) in self.members.iter().enumerate() {
            if !self.held(place, role, at) {
                continue;
            }
            if member.holds(role, at) && keys[place].in_force {
                eligible.in_force += 1;
            } else if keys[place].began {
                eligible.held_over += 1;
            }
        }
        eligible
    }

    /// Of each member, which keys for records it has: found in one pass, for there may be thousands
    /// of either.
    fn record_keys(&self, at: u64) -> Vec<RecordKeys> {
        let mut all = vec![RecordKeys::default(); self.members.len()];
        for key in self.keys.iter().filter(|key| key.signs_for(key.member)) {
            all[key.member].in_force |= key.term().contains(at);
            all[key.member].began |= key.term().from() <= at;
        }
        all
    }

    /// Enough members are left to change the charter again.
    fn check_not_deadlocked(&self, at: u64) -> Result<(), Rejection> {
        for requirement in self.governance.iter() {
            let (role, needed) = (requirement.role(), requirement.members());
            let eligible = self.eligible(role, at);
            let left = eligible.in_force + eligible.held_over;
            if left < needed {
                return Err(Rejection::Deadlock { role: role.to_owned(), needed, left });
            }
        }
        Ok(())
    }

    /// After a member has revoked keys of its own: where members in force are too few without it,
    /// the keys that this entry revoked may still sign their replacement.
    fn keep_for_replacement(&mut self, member: usize, at: u64, index: LeafIndex) {
        let is_needed = self.governance.iter().any(|requirement| {
            self.needs_held_over(requirement, at) && self.held(member, requirement.role(), at)
        });
        if !is_needed {
            return;
        }
        let revoked = |key: &MemberKey| key.revoked.is_some_and(|own| own.at == index);
        self.keys.change(
            |key| key.member == member && revoked(key) && !key.may_replace(),
            |key| {
                if let Some(revocation) = &mut key.revoked {
                    revocation.may_replace = true;
                }
            },
        );
    }

    /// Members in force are enough again: revoked keys sign nothing any more.
    fn forget_replacements(&mut self) {
        self.keys.change(MemberKey::may_replace, change::forget_replacement);
    }
}
