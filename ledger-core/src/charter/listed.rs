//! Keys that a charter and its policies list: each has one use, and no two share name and key id.
//!
//! A log that was its own witness would satisfy its own quorum, and a second key with the 32-bit id
//! of another spoils each checkpoint that either of them signs.

use std::sync::Arc;

use crate::note::{ParseKeyError, VerifierKey};
use crate::policy::{ParsePolicyError, Policy};

use super::{Charter, KeyUse, MAX_POLICY_WITNESSES, PolicyProblem, Rejection};

/// What a key is listed for. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// A key of the log or of a member.
    Key(KeyUse),
    /// The key of a witness in a policy that is or was in force.
    PolicyWitness,
}

/// Why a key cannot be listed beside another. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clash<'a> {
    /// The other key has the same public key.
    PublicKey(Listed, &'a VerifierKey),
    /// The other key has the same name and key id.
    KeyId,
}

impl Listed {
    /// Whether one public key may be listed for both: a member's witness or mirror may be a witness
    /// of a policy, and of several policies.
    fn goes_with(self, other: Listed) -> bool {
        let cosigns = |listed| match listed {
            Listed::Key(usage) => matches!(usage, KeyUse::Witness | KeyUse::Mirror),
            Listed::PolicyWitness => true,
        };
        let in_policy = self == Listed::PolicyWitness || other == Listed::PolicyWitness;
        in_policy && cosigns(self) && cosigns(other)
    }

    fn as_str(self) -> &'static str {
        match self {
            Listed::Key(usage) => usage.as_str(),
            Listed::PolicyWitness => "witness",
        }
    }
}

impl Charter {
    /// The keys that entries ever listed, in force or not, which may clash with a key: those of the
    /// log, and of all others those that share an id or a public key with it.
    pub(super) fn listed_like(
        &self,
        key: &VerifierKey,
    ) -> impl Iterator<Item = (Listed, &VerifierKey)> {
        let retired = self.retired_log_keys.iter().map(|retired| &retired.key);
        let of_log = self.log_keys.iter().chain(retired).map(|key| (Listed::Key(KeyUse::Log), key));
        let members = self.places.like(key).map(|at| &self.keys[at]);
        let members = members.map(|own| (Listed::Key(own.usage), &own.key));
        let witnesses = self.witness_places.like(key).map(|at| &self.policy_witnesses[at]);
        let witnesses = witnesses.map(|key| (Listed::PolicyWitness, key));
        of_log.chain(members).chain(witnesses)
    }

    /// Why a key cannot be listed for a use, beside those that are.
    pub(super) fn clash(&self, key: &VerifierKey, listed: Listed) -> Option<Clash<'_>> {
        self.listed_like(key).find_map(|(other, own)| {
            if own.is_same_public(key) && !other.goes_with(listed) {
                return Some(Clash::PublicKey(other, own));
            }
            let same_id = own.id() == key.id() && own.name() == key.name();
            (same_id && own != key).then_some(Clash::KeyId)
        })
    }

    /// Whether this very key is, or was, a witness of a policy.
    fn is_policy_witness(&self, key: &VerifierKey) -> bool {
        let mut places = self.witness_places.of_id(key.id());
        places.any(|at| self.policy_witnesses[at] == *key)
    }

    /// The policy must fit the keys that the charter lists, and leave room for the witnesses of the
    /// policy before it; notes its witnesses.
    ///
    /// # Errors
    /// [`Rejection::Policy`], or [`Rejection::KeyType`].
    pub(super) fn check_policy(
        &mut self,
        before: Option<&Policy>,
        path: &str,
    ) -> Result<(), Rejection> {
        let refused = |problem| Rejection::Policy { path: path.to_owned(), problem };
        let policy = Policy::parse(self.policy.as_bytes()).map_err(|error| match error {
            ParsePolicyError::Key(line, ParseKeyError::UnsupportedType(byte)) => {
                Rejection::KeyType { path: format!("{path}, line {line}"), byte }
            }
            error => refused(PolicyProblem::Unreadable(error)),
        })?;
        let unknown = policy.logs().iter().find(|log| !self.log_keys.contains(&log.key));
        if let Some(log) = unknown {
            return Err(refused(PolicyProblem::LogKeyUnknown(log.key.to_string())));
        }
        let lists = |key: &&VerifierKey| policy.logs().iter().any(|log| log.key == **key);
        if let Some(key) = self.log_keys.iter().find(|key| !lists(key)) {
            return Err(refused(PolicyProblem::LogKeyMissing(key.to_string())));
        }
        let witnesses = |policy: &Policy| -> Vec<VerifierKey> {
            policy.witnesses().iter().map(|own| own.key.clone()).collect()
        };
        let now = witnesses(&policy);
        for key in &now {
            // one that was a witness before was judged then, and each key since beside it
            if !self.is_policy_witness(key) {
                self.check_witness(key).map_err(refused)?;
            }
        }
        let gone = before.map(witnesses).unwrap_or_default();
        let together = now.len() + gone.iter().filter(|key| !now.contains(key)).count();
        if together > MAX_POLICY_WITNESSES {
            return Err(refused(PolicyProblem::TooManyWitnesses(together)));
        }
        for key in now {
            if !self.is_policy_witness(&key) {
                self.witness_places.add(&key, self.policy_witnesses.len());
                self.policy_witnesses.push(key);
            }
        }
        self.checked_policy = Some(Arc::new(policy));
        Ok(())
    }

    fn check_witness(&self, key: &VerifierKey) -> Result<(), PolicyProblem> {
        let witness = key.to_string();
        match self.clash(key, Listed::PolicyWitness) {
            None => Ok(()),
            Some(Clash::KeyId) => Err(PolicyProblem::SharedKeyId(witness)),
            Some(Clash::PublicKey(listed, own)) => {
                let (usage, key) = (listed.as_str(), own.to_string());
                Err(PolicyProblem::WitnessHasOtherUse { witness, usage, key })
            }
        }
    }
}
