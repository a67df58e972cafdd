//! Cosigners that count nowhere: what evidence against them means for policies.

use std::sync::Arc;

use crate::note::{KeyName, Signature, VerifierKey};
use crate::policy::Policy;

use super::{ClaimShape, ClaimedEvidence, Conviction, Culprit, EvidenceId, Trust};

/// What a reader or a node holds against cosigners. A convicted cosigner counts for no quorum, of
/// any log: [`Exclusions::apply`] says so to a policy, before the policy judges a checkpoint.
///
/// A node knows convicted keys; a reader has files, and learns from each policy whose keys they
/// may convict. The default excludes no key.
#[derive(Debug, Clone, Default)]
pub struct Exclusions {
    keys: Vec<(VerifierKey, EvidenceId)>,
    files: Arc<[ClaimedEvidence]>,
}

impl Exclusions {
    /// Excludes the cosigners that these verdicts convict. Verdicts on logs exclude no cosigner.
    pub fn of_convictions<'a>(
        convictions: impl IntoIterator<Item = (EvidenceId, &'a Conviction)>,
    ) -> Exclusions {
        let keys = convictions.into_iter().filter_map(|(id, own)| match own.culprit() {
            Culprit::Cosigner { key, .. } => Some((key.clone(), id)),
            _ => None,
        });
        Exclusions { keys: keys.collect(), files: Arc::default() }
    }

    /// Excludes the witnesses of a policy that these files convict by the policy's own keys.
    pub fn of_files(files: impl Into<Arc<[ClaimedEvidence]>>) -> Exclusions {
        Exclusions { keys: Vec::new(), files: files.into() }
    }

    /// The evidence that convicts a key, under any of its names; of files, none is known before
    /// [`Exclusions::apply`] knows the policy's keys.
    pub fn against(&self, key: &VerifierKey) -> Option<EvidenceId> {
        self.keys.iter().find(|(own, _)| own.is_same_public(key)).map(|(_, id)| *id)
    }

    /// The files.
    pub fn files(&self) -> &[ClaimedEvidence] {
        &self.files
    }

    /// Whether no key is excluded, whatever the policy.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.files.is_empty()
    }

    /// The policy without the witnesses that are convicted ([`Policy::without_convicted`]).
    #[must_use]
    pub fn apply(&self, policy: &Policy) -> Policy {
        if self.is_empty() {
            return policy.clone();
        }
        let judged = self.files.iter().filter_map(|file| Some((judge(file, policy)?, file.id())));
        let convicted: Vec<(VerifierKey, EvidenceId)> =
            self.keys.iter().cloned().chain(judged).collect();
        policy.without_convicted(|key| {
            let against = convicted.iter().find(|(own, _)| own.is_same_public(key));
            against.map(|(_, id)| *id.as_hash())
        })
    }
}

/// The witness of the policy that a file convicts. Its key counts under the name that the file has
/// for it too: one public key may be a witness of several logs by several names.
fn judge(file: &ClaimedEvidence, policy: &Policy) -> Option<VerifierKey> {
    let ClaimShape::Cosigner(conflict) = &file.claim else { return None };
    let heads = conflict.heads();
    let lines = heads.iter().flat_map(|head| head.note().signatures());
    let names: Vec<&KeyName> = lines.map(Signature::name).collect();
    let named = |key: &VerifierKey, name: &KeyName| {
        VerifierKey::new(name.clone(), key.algorithm(), key.public().as_bytes()).ok()
    };
    let keys = policy.witnesses().iter().map(|witness| &witness.key);
    let keys = keys.flat_map(|key| names.iter().filter_map(move |name| named(key, name)));
    let known = keys.fold(Trust::new(), Trust::with_cosigner);
    match file.verify(&known).ok()?.culprit() {
        Culprit::Cosigner { key, .. } => Some(key.clone()),
        _ => None,
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests;
