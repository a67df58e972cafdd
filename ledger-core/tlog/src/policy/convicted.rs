//! Witnesses of a policy that evidence convicts: they count for no quorum.

use std::collections::BTreeSet;
use std::fmt;

use super::{Policy, PolicyError};
use crate::checkpoint::ClaimedCheckpoint;
use crate::cosignature;
use crate::hash::Hash;
use crate::note::VerifierKey;

/// A witness of a policy, and the evidence against its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvictedWitness {
    /// The name inside the policy, for people.
    pub name: String,
    /// The id of the evidence: the SHA-256 of the file.
    pub evidence: Hash,
}

impl Policy {
    /// The same policy, in which a witness counts for nothing if `convicts` gives the id of the
    /// evidence against its key. Witnesses that were left out before stay left out.
    ///
    /// [`Policy::verify`], [`Policy::is_satisfied_by`] and [`Policy::quorum_time`] follow. Thresholds
    /// stay as they are, so that the remaining witnesses must reach them alone.
    #[must_use]
    pub fn without_convicted(&self, convicts: impl Fn(&VerifierKey) -> Option<Hash>) -> Policy {
        let mut policy = self.clone();
        for (at, witness) in self.witnesses.iter().enumerate() {
            if let Some(evidence) = convicts(&witness.key) {
                policy.convicted.insert(at, evidence);
            }
        }
        policy
    }

    /// The witnesses that count for nothing because evidence convicts their keys.
    pub fn convicted(&self) -> Vec<ConvictedWitness> {
        (0..self.witnesses.len()).filter_map(|at| self.convicted_at(at)).collect()
    }

    /// The evidence against the witness at a place of [`Policy::witnesses`].
    pub fn convicted_at(&self, at: usize) -> Option<ConvictedWitness> {
        let evidence = *self.convicted.get(&at)?;
        let name = String::from_utf8_lossy(&self.witnesses.get(at)?.name).into_owned();
        Some(ConvictedWitness { name, evidence })
    }

    /// Why the witnesses that count are too few: `present`, as places, of all that the policy has.
    pub(super) fn no_quorum(
        &self,
        claimed: &ClaimedCheckpoint,
        mut present: BTreeSet<usize>,
    ) -> PolicyError {
        let (witnesses, counted) = (self.witnesses.len(), present.len());
        let convicted = self.convicted.keys().filter(|at| {
            let key = &self.witnesses[**at].key;
            let mut lines = claimed.note().signatures().iter().filter(|line| line.is_by(key));
            lines.any(|line| cosignature::verify_line(claimed.note(), key, line).is_some())
        });
        present.extend(convicted);
        if !self.quorum.holds(&present) {
            return PolicyError::NoQuorum { present: counted, witnesses };
        }
        let convicted = present.iter().filter_map(|at| self.convicted_at(*at)).collect();
        PolicyError::ConvictedWitness(convicted)
    }
}

impl fmt::Display for ConvictedWitness {
    /// `w1.example is convicted by evidence <id>`; the name is whatever the policy says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is convicted by evidence {}", self.name, self.evidence)
    }
}

impl ConvictedWitness {
    /// What is said of each, with commas between.
    pub fn list(witnesses: &[ConvictedWitness]) -> String {
        witnesses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}
