//! Changing the charter: whose signatures count, and that it can always be changed again.

use crate::index::LeafIndex;
use crate::record::{Kind, Logged};

use super::change::{self, Intent};
use super::{Charter, Rejection, Requirement, SignedRecord, Standing};

/// Who signed a governance record.
#[derive(Debug, Default)]
struct GovernanceSigners {
    /// The places of members, each once.
    members: Vec<usize>,
    /// Those of them that signed with a key in force, not with one that is held over.
    in_force: Vec<usize>,
}

/// How many members could sign for a role.
#[derive(Debug, Clone, Copy)]
struct Eligible {
    /// Their role and a key of theirs are in force.
    in_force: u64,
    /// Their role or key ended by its term, and they are held over while they are needed.
    held_over: u64,
}

impl Charter {
    /// The charter after a governance record, if it may be changed so.
    pub(super) fn change(
        &self,
        record: &SignedRecord,
        logged: &Logged,
        index: LeafIndex,
    ) -> Result<Charter, Rejection> {
        let (body, envelope) = (record.record().body(), record.record().envelope());
        let found = body.text("base").unwrap_or_default();
        if found != self.base().to_string() {
            let (expected, found) = (self.base(), found.to_owned());
            return Err(Rejection::WrongBase { expected, found });
        }
        let intent = change::intent(self, record.record());
        let signers = self.governance_signers(record, logged.time, &intent)?;
        self.check_issuer_among(envelope.issuer(), &signers.members)?;
        self.check_signers(record)?;
        if !matches!(intent, Intent::RevokeOwn(_)) {
            self.check_threshold(envelope.kind(), &signers, logged.time)?;
        }
        let mut next = self.clone();
        next.governed_by = index;
        next.base = record.record().statement();
        change::apply(&mut next, record.record(), &signers.members, logged)?;
        match intent {
            Intent::RevokeOwn(member) => next.keep_for_replacement(member, logged.time, index),
            _ => next.check_not_deadlocked(logged.time)?,
        }
        if !next.holds_over(logged.time) {
            next.forget_replacements();
        }
        Ok(next)
    }

    /// Who signed, with keys that may sign this change.
    fn governance_signers(
        &self,
        record: &SignedRecord,
        at: u64,
        intent: &Intent,
    ) -> Result<GovernanceSigners, Rejection> {
        let mut signers = GovernanceSigners::default();
        let held_over = self.holds_over(at);
        for (n, line) in record.record().note().signatures().iter().enumerate() {
            let key = self.same_key(record, n)?;
            let name = || line.name().to_string();
            let (place, member) = (key.member(), &self.members[key.member()]);
            if let Some(revocation) = key.revoked() {
                let replaces = matches!(intent, Intent::Replace(own) if own.contains(&place));
                if !(revocation.may_replace && replaces) {
                    return Err(Rejection::KeyRevoked { name: name(), at: revocation.at });
                }
            }
            let revokes_own = matches!(intent, Intent::RevokeOwn(own) if *own == place);
            match member.standing() {
                Standing::Good => {}
                Standing::Suspended(_) if revokes_own => {}
                _ => return Err(Rejection::not_in_good_standing(member)),
            }
            let in_force = key.term().contains(at);
            if !in_force && (key.term().from() > at || !held_over) {
                return Err(Rejection::KeyNotValid { name: name(), at });
            }
            if !signers.members.contains(&place) {
                signers.members.push(place);
            }
            if in_force && !signers.in_force.contains(&place) {
                signers.in_force.push(place);
            }
        }
        Ok(signers)
    }

    /// So many sign as the rules in force ask for. Stewards whose term or key ran out count while
    /// the threshold cannot be met without them.
    fn check_threshold(
        &self,
        kind: Kind,
        signers: &GovernanceSigners,
        at: u64,
    ) -> Result<(), Rejection> {
        for requirement in &self.governance {
            let role = requirement.role();
            let is_in_force = |place: &&usize| {
                signers.in_force.contains(place) && self.members[**place].holds(role, at)
            };
            let in_force = signers.members.iter().filter(is_in_force).count() as u64;
            let held = signers.members.iter().filter(|place| self.held(**place, role, at));
            let held_over = held.count() as u64 - in_force;
            // they fill the seats that nobody in force could take, and no other
            let vacant = requirement.members().saturating_sub(self.eligible(role, at).in_force);
            let found = in_force + held_over.min(vacant);
            if found < requirement.members() {
                let (role, needed) = (role.to_owned(), requirement.members());
                return Err(Rejection::TooFew { kind, role, needed, found });
            }
        }
        Ok(())
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
        self.members[place].standing() == Standing::Good && began.next().is_some()
    }

    fn eligible(&self, role: &str, at: u64) -> Eligible {
        let mut eligible = Eligible { in_force: 0, held_over: 0 };
        for (place, member) in self.members.iter().enumerate() {
            if !self.held(place, role, at) {
                continue;
            }
            let own = || self.keys.iter().filter(|key| key.signs_for(place));
            if member.holds(role, at) && own().any(|key| key.term().contains(at)) {
                eligible.in_force += 1;
            } else if own().any(|key| key.term().from() <= at) {
                eligible.held_over += 1;
            }
        }
        eligible
    }

    /// Enough members are left to change the charter again.
    fn check_not_deadlocked(&self, at: u64) -> Result<(), Rejection> {
        for requirement in &self.governance {
            let (role, needed) = (requirement.role(), requirement.members());
            let eligible = self.eligible(role, at);
            let left = eligible.in_force + eligible.held_over;
            if left < needed {
                return Err(Rejection::Deadlock { role: role.to_owned(), needed, left });
            }
        }
        Ok(())
    }

    /// After a member has revoked keys of its own: where members in force are too few without it, the
    /// keys that this entry revoked may still sign their replacement.
    fn keep_for_replacement(&mut self, member: usize, at: u64, index: LeafIndex) {
        let is_needed = self.governance.iter().any(|requirement| {
            self.needs_held_over(requirement, at) && self.held(member, requirement.role(), at)
        });
        if !is_needed {
            return;
        }
        let own = self.keys.iter_mut().filter(|key| key.member == member);
        for revocation in own.filter_map(|key| key.revoked.as_mut()) {
            revocation.may_replace |= revocation.at == index;
        }
    }

    /// Members in force are enough again: revoked keys sign nothing any more.
    fn forget_replacements(&mut self) {
        for revocation in self.keys.iter_mut().filter_map(|key| key.revoked.as_mut()) {
            revocation.may_replace = false;
        }
    }
}
