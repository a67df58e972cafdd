//! What a record that gathers signatures still lacks, and whose signature would help.
//!
//! This answers members who wait for each other. Whether a record is allowed is for
//! [`Charter::admit`] to say, which judges it again at its place in the log.

use std::collections::BTreeSet;
use std::fmt;

use crate::index::LeafIndex;
use crate::record::{Kind, Logged, Record};

use super::signers::{Purpose, Signers};
use super::{Charter, KeyUse, MemberKey, Rejection, Requirement};

/// Something that a record must have before the charter lets it in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingSignature {
    /// The charter has no rule for the kind: no signature helps.
    Rule(Kind),
    /// No key of the issuer has signed.
    Issuer(String),
    /// A key that the record's `signers` names has not signed.
    Signer(String),
    /// Too few members of a role have signed.
    Members {
        /// The role.
        role: String,
        /// How many members of it the rule asks for.
        needed: u64,
        /// How many of them have signed.
        signed: u64,
    },
}

impl Charter {
    /// What a record lacks at a time in POSIX seconds; nothing, if its signatures suffice.
    ///
    /// Its signature lines are taken for what they name: [`Charter::verify`] checks them. A line
    /// counts if [`Charter::admit`] would count it at that time.
    pub fn missing_signatures(&self, record: &Record, time: u64) -> Vec<MissingSignature> {
        let gathering = Gathering::of(self, record, time);
        let envelope = record.envelope();
        let mut lacks = Vec::new();
        if !gathering.has_signed(envelope.issuer()) {
            lacks.push(MissingSignature::Issuer(envelope.issuer().to_owned()));
        }
        let names: BTreeSet<&str> =
            record.note().signatures().iter().map(|line| line.name().as_str()).collect();
        let missing = envelope.signers().iter().filter(|name| !names.contains(name.as_str()));
        lacks.extend(missing.cloned().map(MissingSignature::Signer));
        let Some(rule) = self.rule_of(&gathering.purpose) else {
            lacks.push(MissingSignature::Rule(record.kind()));
            return lacks;
        };
        for requirement in rule {
            let (signed, needed) = (gathering.count(requirement), requirement.members());
            if signed < needed {
                let role = requirement.role().to_owned();
                lacks.push(MissingSignature::Members { role, needed, signed });
            }
        }
        lacks
    }

    /// The charter after a governance record that lacks signatures, as if all had signed it who
    /// may; `None` for other records, which change nothing.
    ///
    /// # Errors
    /// [`Rejection`]: no signature helps.
    pub fn after(
        &self,
        record: &Record,
        logged: &Logged,
        index: LeafIndex,
    ) -> Result<Option<Charter>, Rejection> {
        let all = Gathering::of(self, record, logged.time).with(|_| true);
        match &all.purpose {
            Purpose::Record(_) => Ok(None),
            purpose => self.changed(record, purpose, &all.signers, (logged, index)).map(Some),
        }
    }

    /// Whether a signature of this member could still help a record at a time in POSIX seconds.
    pub fn can_still_sign(&self, record: &Record, member: &str, time: u64) -> bool {
        let gathering = Gathering::of(self, record, time);
        if !gathering.can_sign(member) {
            return false;
        }
        let with = gathering.with(|own| own == member);
        self.missing_signatures(record, time).iter().any(|lack| match lack {
            MissingSignature::Rule(_) => false,
            MissingSignature::Issuer(issuer) => issuer == member,
            MissingSignature::Signer(name) => member_of(name) == member && gathering.has_key(name),
            MissingSignature::Members { role, signed, .. } => {
                gathering.requirement(role).is_some_and(|asked| with.count(asked) > *signed)
            }
        })
    }

    /// Whether a record could still get all that it lacks at a time in POSIX seconds, if the
    /// members in `without` sign no more than they have.
    pub fn can_be_completed(&self, record: &Record, without: &[&str], time: u64) -> bool {
        let gathering = Gathering::of(self, record, time);
        let willing = |member: &str| !without.contains(&member) && gathering.can_sign(member);
        let with = gathering.with(willing);
        self.missing_signatures(record, time).iter().all(|lack| match lack {
            MissingSignature::Rule(_) => false,
            MissingSignature::Issuer(issuer) => willing(issuer),
            MissingSignature::Signer(name) => willing(member_of(name)) && gathering.has_key(name),
            MissingSignature::Members { role, needed, .. } => {
                gathering.requirement(role).is_some_and(|asked| with.count(asked) >= *needed)
            }
        })
    }
}

/// A record on its way to enough signatures.
#[derive(Clone)]
struct Gathering<'a> {
    charter: &'a Charter,
    purpose: Purpose,
    time: u64,
    signers: Signers,
}

impl<'a> Gathering<'a> {
    /// Whose signatures on the record count.
    fn of(charter: &'a Charter, record: &Record, time: u64) -> Gathering<'a> {
        let (purpose, signers) = (charter.purpose(record), Signers::default());
        let mut gathering = Gathering { charter, purpose, time, signers };
        for (at, line) in record.note().signatures().iter().enumerate() {
            if charter.key_of_stranger(line, record).is_some() {
                gathering.signers.stranger = Some(line.name().to_string());
            } else if let Ok(key) = charter.record_key(line, at + 1)
                && gathering.may_sign(key)
            {
                gathering.signers.add(key, time);
            }
        }
        gathering
    }

    /// As if every member that is meant signed with all keys that it may use.
    fn with(&self, is_meant: impl Fn(&str) -> bool) -> Gathering<'a> {
        let mut with = self.clone();
        let keys = self.keys().filter(|key| is_meant(member_of(key.key().name().as_str())));
        keys.for_each(|key| with.signers.add(key, self.time));
        with
    }

    fn count(&self, requirement: &Requirement) -> u64 {
        self.charter.count(requirement, &self.purpose, &self.signers, self.time)
    }

    fn requirement(&self, role: &str) -> Option<&Requirement> {
        self.charter.rule_of(&self.purpose)?.iter().find(|own| own.role() == role)
    }

    /// A stranger signs under the name of its key.
    fn has_signed(&self, name: &str) -> bool {
        let members = self.signers.members.iter().map(|at| self.charter.members[*at].name());
        members.chain(self.signers.stranger.as_deref()).any(|own| own == name)
    }

    /// Whether the member has a key to sign the record with.
    fn can_sign(&self, member: &str) -> bool {
        self.keys().any(|key| member_of(key.key().name().as_str()) == member)
    }

    fn has_key(&self, name: &str) -> bool {
        self.keys().any(|key| key.key().name().as_str() == name)
    }

    /// The keys that may sign the record.
    fn keys(&self) -> impl Iterator<Item = &'a MemberKey> {
        self.charter.keys.iter().filter(|key| self.may_sign(key))
    }

    fn may_sign(&self, key: &MemberKey) -> bool {
        key.usage() == KeyUse::Record
            && self.charter.check_key(key, &self.purpose, self.time).is_ok()
    }
}

impl Rejection {
    /// Whether more signatures might be all that the record needs.
    pub fn lacks_signatures(&self) -> bool {
        matches!(
            self,
            Rejection::IssuerMissing(_)
                | Rejection::SignerMissing(_)
                | Rejection::FounderMissing(_)
                | Rejection::TooFew { .. }
        )
    }
}

/// The member that a key name belongs to: the name, up to the label.
fn member_of(key_name: &str) -> &str {
    key_name.split('/').next().unwrap_or_default()
}

impl fmt::Display for MissingSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MissingSignature::Rule(kind) => write!(f, "a rule for records of kind {kind}"),
            MissingSignature::Issuer(issuer) => write!(f, "the issuer {issuer:?}"),
            MissingSignature::Signer(name) => write!(f, "{name:?}, whom `signers` names"),
            MissingSignature::Members { role, needed, signed } => {
                write!(f, "{} of {needed} member(s) with role {role:?}", needed - signed)
            }
        }
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::member_note::tests::{charter, lab, partner, watch};
    use crate::note::SignerKey;
    use crate::record::tests::{ISSUED, decision};
    use crate::record::{Draft, Object};

    fn signed(object: &Object, keys: &[&SignerKey]) -> Record {
        Draft::from_object(object).expect("shapes hold").sign(keys).expect("signs")
    }

    fn members(role: &str, needed: u64, signed: u64) -> MissingSignature {
        MissingSignature::Members { role: role.to_owned(), needed, signed }
    }

    #[test]
    fn what_is_lacking_shrinks_with_every_signature_that_helps() {
        let charter = charter();
        let one = signed(&decision(), &[&lab()]);
        let lacks = charter.missing_signatures(&one, ISSUED);
        assert_eq!(lacks, [members("publisher", 2, 1), members("reviewer", 1, 0)]);
        assert_eq!(lacks[0].to_string(), "1 of 2 member(s) with role \"publisher\"");
        for (member, helps) in
            [("lab.example", false), ("partner.example", true), ("watch.example", true)]
        {
            assert_eq!(charter.can_still_sign(&one, member, ISSUED), helps, "{member}");
        }
        let two = one.cosign(&partner()).expect("another key");
        assert_eq!(charter.missing_signatures(&two, ISSUED), [members("reviewer", 1, 0)]);
        assert!(!charter.can_still_sign(&two, "partner.example", ISSUED));
        let all = two.cosign(&watch()).expect("another key");
        assert_eq!(charter.missing_signatures(&all, ISSUED), []);
        assert!(!charter.can_still_sign(&all, "watch.example", ISSUED));
        assert!(!charter.can_still_sign(&one, "stranger.example", ISSUED));
    }

    #[test]
    fn the_issuer_and_the_named_signers_are_missed_by_name() {
        let charter = charter();
        let object = decision().with("signers", vec!["partner.example/board", "watch.example/x"]);
        let record = signed(&object, &[&watch()]);
        let lacks = charter.missing_signatures(&record, ISSUED);
        assert_eq!(
            lacks[..3],
            [
                MissingSignature::Issuer("lab.example".into()),
                MissingSignature::Signer("partner.example/board".into()),
                MissingSignature::Signer("watch.example/x".into())
            ]
        );
        assert!(charter.can_still_sign(&record, "lab.example", ISSUED));
        // it has no key of that name
        assert!(!charter.can_still_sign(&record, "watch.example", ISSUED));
        assert!(!charter.can_be_completed(&record, &[], ISSUED));
    }

    #[test]
    fn a_record_can_be_completed_while_enough_members_have_not_declined() {
        let charter = charter();
        let one = signed(&decision(), &[&lab()]);
        assert!(charter.can_be_completed(&one, &[], ISSUED));
        // what it has signed stays
        assert!(charter.can_be_completed(&one, &["lab.example"], ISSUED));
        for without in ["partner.example", "watch.example"] {
            assert!(!charter.can_be_completed(&one, &[without], ISSUED), "{without}");
        }
    }

    #[test]
    fn a_kind_without_a_rule_is_never_complete() {
        let mut charter = charter();
        std::sync::Arc::make_mut(&mut charter.rules).remove(&Kind::Decision);
        let record = signed(&decision(), &[&lab(), &partner(), &watch()]);
        assert_eq!(
            charter.missing_signatures(&record, ISSUED),
            [MissingSignature::Rule(Kind::Decision)]
        );
        assert!(!charter.can_be_completed(&record, &[], ISSUED));
    }

    #[test]
    fn the_query_agrees_with_admission_for_every_set_of_signers() {
        use crate::index::LeafIndex;
        use crate::record::Logged;
        let charter = charter();
        let keys = [lab(), partner(), watch()];
        for set in 1..8u32 {
            let chosen: Vec<&SignerKey> =
                (0..3).filter(|n| set >> n & 1 == 1).map(|n| &keys[n]).collect();
            let record = signed(&decision(), &chosen);
            let verified = charter.verify(record.clone()).expect("known keys");
            let logged = Logged { time: ISSUED, governance: LeafIndex::ZERO };
            let index = LeafIndex::new(1).expect("small");
            let admitted = charter.admit(&verified, &logged, index);
            assert_eq!(
                charter.missing_signatures(&record, ISSUED).is_empty(),
                admitted.is_ok(),
                "{set:b}"
            );
            assert!(admitted.err().is_none_or(|rejection| rejection.lacks_signatures()));
        }
    }
}
