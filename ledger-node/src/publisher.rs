//! From a signed head to a published checkpoint: the policy's quorum of cosignatures.
//!
//! This version publishes under `quorum none`, or with cosigners whose keys it holds itself.

use std::collections::BTreeSet;

use ledger_core::charter::Charter;
use ledger_core::checkpoint::{ClaimedCheckpoint, VerifiedCheckpoint};
use ledger_core::cosignature::cosign;
use ledger_core::note::{MAX_SIGNATURES, SignerKey};
use ledger_core::policy::{ParsePolicyError, Policy, PolicyError};

/// Gathers cosignatures and judges by the policy.
#[derive(Debug)]
pub struct Publisher {
    policy: Policy,
    cosigners: Vec<SignerKey>,
}

/// Why no checkpoint can be published under the policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublisherError {
    /// The local cosigners are not a quorum, and this version asks no others.
    #[error("the policy's quorum needs witnesses that this node does not hold the keys of")]
    NoQuorum,
    /// A configured key is not a witness of the policy.
    #[error("the cosigner {0} is not a witness of the charter's policy")]
    NotAWitness(String),
    /// A configured key signs texts, not checkpoints.
    #[error("the cosigner {0} is not a witness key")]
    NotACosigner(String),
    /// More cosigners than a note has room for.
    #[error("a checkpoint has room for {} cosigners", MAX_SIGNATURES - 1)]
    TooManyCosigners,
    /// The charter does not let the node's key sign heads.
    #[error("the charter does not list the key that this node signs heads with as a log key")]
    KeyNotInCharter,
    /// The policy cannot be read.
    #[error("the policy: {0}")]
    Policy(#[from] ParsePolicyError),
    /// The policy does not name this log.
    #[error("the charter's policy does not list this log's key")]
    LogNotListed,
}

impl PublisherError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            PublisherError::NoQuorum => {
                "this version publishes with `quorum none` or with cosigners listed in config.toml \
                 (`witness_keys = [\"FILE\"]`)"
            }
            PublisherError::NotAWitness(_) => "list only keys of witnesses that the policy names",
            PublisherError::TooManyCosigners => "list fewer: only the policy's quorum is needed",
            PublisherError::NotACosigner(_) => "make one with `ledger keygen NAME --use witness`",
            PublisherError::KeyNotInCharter => {
                "let the operator start the node with a key that stays in force, then retire this one"
            }
            PublisherError::Policy(_) => {
                "see the C2SP tlog-policy format; `quorum none` is the simplest"
            }
            PublisherError::LogNotListed => {
                "the policy in the charter needs the line `log <vkey>` with this log's key"
            }
        }
    }
}

impl Publisher {
    /// Publishes under `policy` with these cosigners.
    ///
    /// # Errors
    /// [`PublisherError`] when that can never satisfy the policy.
    pub fn new(
        policy: Policy,
        cosigners: Vec<SignerKey>,
        log_key: &SignerKey,
    ) -> Result<Publisher, PublisherError> {
        if !policy.logs().iter().any(|log| log.key == *log_key.verifier()) {
            return Err(PublisherError::LogNotListed);
        }
        // with the log's own line
        if cosigners.len() >= MAX_SIGNATURES {
            return Err(PublisherError::TooManyCosigners);
        }
        let mut present = BTreeSet::new();
        for cosigner in &cosigners {
            let key = cosigner.verifier();
            let name = || key.name().to_string();
            if !key.algorithm().is_cosigner() {
                return Err(PublisherError::NotACosigner(name()));
            }
            let at = policy.witnesses().iter().position(|witness| witness.key == *key);
            present.insert(at.ok_or_else(|| PublisherError::NotAWitness(name()))?);
        }
        if !policy.is_satisfied_by(&present) {
            return Err(PublisherError::NoQuorum);
        }
        Ok(Publisher { policy, cosigners })
    }

    /// Publishes under a charter's policy with these cosigners.
    ///
    /// # Errors
    /// [`PublisherError`] when that can never satisfy the policy, or the charter does not let
    /// `log_key` sign.
    pub fn under(
        charter: &Charter,
        cosigners: Vec<SignerKey>,
        log_key: &SignerKey,
    ) -> Result<Publisher, PublisherError> {
        if !charter.log_keys().contains(log_key.verifier()) {
            return Err(PublisherError::KeyNotInCharter);
        }
        let policy = Policy::parse(charter.policy_text().unwrap_or_default().as_bytes())?;
        Publisher::new(policy, cosigners, log_key)
    }

    /// The same cosigners under a changed charter.
    ///
    /// # Errors
    /// As [`Publisher::under`].
    pub fn moved_to(
        &self,
        charter: &Charter,
        log_key: &SignerKey,
    ) -> Result<Publisher, PublisherError> {
        Publisher::under(charter, self.cosigners.clone(), log_key)
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The checkpoint that readers may see: the head, cosigned at `time`, judged as readers judge it.
    ///
    /// # Errors
    /// [`PolicyError`] when it does not satisfy the policy.
    pub fn complete(
        &self,
        head: &ClaimedCheckpoint,
        time: u64,
    ) -> Result<VerifiedCheckpoint, PolicyError> {
        let lines = self.cosigners.iter().map(|key| cosign(key, head.checkpoint(), time));
        let complete = head.with_signatures(lines).expect("their number was checked");
        Ok(self.policy.verify(&complete)?.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::checkpoint::{Checkpoint, Origin};
    use ledger_core::merkle::TreeHead;
    use ledger_core::note::{Algorithm, KeyName};

    use super::*;

    fn key(name: &str, algorithm: Algorithm, seed: u8) -> SignerKey {
        let name = KeyName::new(name).expect("name");
        SignerKey::from_seed(name, algorithm, [seed; 32]).expect("sound")
    }

    #[test]
    fn local_cosigners_complete_a_checkpoint_or_are_refused_beforehand() {
        let log = key("log.example", Algorithm::Ed25519, 1);
        let witnesses: Vec<_> =
            (2..5).map(|seed| key(&format!("w{seed}"), Algorithm::CosignatureV1, seed)).collect();
        let mut text = format!("log {}\n", log.verifier());
        for (at, witness) in witnesses.iter().enumerate() {
            text += &format!("witness w{at} {}\n", witness.verifier());
        }
        text += "group g 2 w0 w1 w2\nquorum g\n";
        let policy = Policy::parse(text.as_bytes()).expect("policy");

        let two = witnesses[..2].to_vec();
        let publisher = Publisher::new(policy.clone(), two, &log).expect("a quorum");
        let origin = Origin::new("log.example").expect("origin");
        let head = Checkpoint::new(origin, TreeHead::EMPTY).sign(&log);
        let complete = publisher.complete(&head, 7).expect("a quorum");
        assert_eq!(complete.note().signatures().len(), 3);
        assert!(policy.verify(complete.claimed()).is_ok());

        let refused = |cosigners: &[SignerKey], log: &SignerKey| {
            Publisher::new(policy.clone(), cosigners.to_vec(), log).expect_err("refused")
        };
        assert_eq!(refused(&witnesses[..1], &log), PublisherError::NoQuorum);
        let stranger = key("w9", Algorithm::CosignatureV1, 9);
        assert_eq!(refused(&[stranger], &log), PublisherError::NotAWitness("w9".into()));
        let plain = key("w2", Algorithm::Ed25519, 2);
        assert_eq!(refused(&[plain], &log), PublisherError::NotACosigner("w2".into()));
        let other = key("log.example", Algorithm::Ed25519, 8);
        assert_eq!(refused(&witnesses, &other), PublisherError::LogNotListed);
    }
}
