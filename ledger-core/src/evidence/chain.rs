//! Which keys the authority bundles of an evidence file prove to be whose.

use crate::authority::{AuthorityBundle, AuthorityError, GovernanceEntry};
use crate::charter::{Governance, KeyUse};
use crate::checkpoint::ClaimedCheckpoint;
use crate::index::LeafIndex;
use crate::merkle::TreeHead;
use crate::note::{Note, VerifierKey};
use crate::proof::TlogProof;
use crate::record::StatementId;

use super::EvidenceError;

/// What bundles prove of the keys of a log, found out once.
#[derive(Debug)]
pub(crate) struct ProvenKeys(Chain);

impl ProvenKeys {
    /// Bundles that do not hold prove nothing.
    pub(crate) fn of(bundles: &[AuthorityBundle]) -> ProvenKeys {
        let pinned: Option<Vec<AuthorityBundle>> = bundles.iter().map(pinned).collect();
        let proven = pinned.and_then(|bundles| {
            let anchor = bundles.first()?.charter()?;
            Chain::prove(&bundles, anchor).ok()
        });
        ProvenKeys(proven.unwrap_or_default())
    }

    /// Whether the key is or was the log's.
    pub(crate) fn holds(&self, key: &VerifierKey) -> bool {
        self.0.logs.contains(key)
    }

    /// Whether the key had signed a head over its own retirement, and this head is another that is
    /// large enough to hold it.
    pub(crate) fn is_gone(&self, key: &VerifierKey, head: &TreeHead) -> bool {
        self.0.retired_before(key, head).is_some()
    }
}

/// What the bundles prove.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain {
    /// The log's name, from the charter.
    origin: Option<String>,
    /// Keys that the charter or a norm made the log's, in force or retired.
    logs: Vec<VerifierKey>,
    /// Keys that signed a head over their own retirement.
    retired: Vec<Retirement>,
    /// Keys of the policies' witnesses and of members' witnesses and mirrors.
    cosigners: Vec<VerifierKey>,
}

/// A retirement that the retired key itself has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Retirement {
    key: VerifierKey,
    at: LeafIndex,
    /// The head over it: the one head of that sort which an honest key signs.
    own: TreeHead,
}

impl Chain {
    /// Judges the bundles of one file: all begin with this charter, and every head among them is
    /// signed by keys that the bundle itself shows to be the log's.
    pub(super) fn prove(
        bundles: &[AuthorityBundle],
        anchor: StatementId,
    ) -> Result<Chain, EvidenceError> {
        let mut chain = Chain::default();
        for bundle in bundles {
            let governance = bundle.replay(anchor)?;
            check_pinned(bundle)?;
            let signers = chain.learn(&governance, bundle.proof())?;
            bundle.check_included()?;
            let head = *bundle.proof().checkpoint.checkpoint().head();
            for own in governance.charter().retired_log_keys() {
                if signers.contains(own.key()) {
                    let (key, at) = (own.key().clone(), own.at());
                    chain.retired.push(Retirement { key, at, own: head });
                }
            }
        }
        Ok(chain)
    }

    /// Takes the keys of a log's governance; the proof's checkpoint must be that log's, and each of
    /// its lines by one of its keys. Gives the keys that signed.
    pub(super) fn learn(
        &mut self,
        governance: &Governance,
        proof: &TlogProof,
    ) -> Result<Vec<VerifierKey>, EvidenceError> {
        let charter = governance.charter();
        let checkpoint = proof.checkpoint.checkpoint();
        if checkpoint.origin().as_str() != charter.origin() {
            let (expected, found) = (charter.origin().to_owned(), checkpoint.origin().to_string());
            return Err(AuthorityError::OtherLog { expected, found }.into());
        }
        let keys = log_keys(governance);
        let signers = signers(&proof.checkpoint, &keys).ok_or(EvidenceError::BundleSignature)?;
        self.origin = Some(charter.origin().to_owned());
        self.logs.extend(keys);
        self.cosigners.extend(cosigners(governance));
        Ok(signers)
    }

    /// The keys of a log.
    pub(super) fn logs_of(&self, origin: &str) -> &[VerifierKey] {
        let of_it = self.origin.as_deref() == Some(origin);
        if of_it { &self.logs } else { &[] }
    }

    /// The cosigners' keys.
    pub(super) fn cosigners(&self) -> &[VerifierKey] {
        &self.cosigners
    }

    /// The entry that retired a key, if the key knew: it has signed one head over its retirement,
    /// which is not this one.
    pub(super) fn retired_before(&self, key: &VerifierKey, head: &TreeHead) -> Option<LeafIndex> {
        let beyond =
            |own: &&Retirement| own.key == *key && head.size.contains(own.at) && own.own != *head;
        self.retired.iter().find(beyond).map(|own| own.at)
    }
}

/// A bundle as evidence carries it: its proof is of its last governance entry, and of its
/// checkpoint's lines only those are left that are by the log's keys.
pub(super) fn pinned(bundle: &AuthorityBundle) -> Option<AuthorityBundle> {
    let governance = bundle.replay(bundle.charter()?).ok()?;
    let last = bundle.governance().last()?;
    let checkpoint = with_lines_of(&bundle.proof().checkpoint, &log_keys(&governance))?;
    let proof = TlogProof {
        extra: Some(last.entry.logged().to_string().into_bytes()),
        index: last.index,
        inclusion: last.inclusion.clone(),
        checkpoint,
    };
    Some(AuthorityBundle::new(bundle.governance().to_vec(), proof))
}

/// The checkpoint with those lines that these keys have signed, the first of each key.
fn with_lines_of(head: &ClaimedCheckpoint, keys: &[VerifierKey]) -> Option<ClaimedCheckpoint> {
    let text = head.note().text();
    let mut seen: Vec<&VerifierKey> = Vec::new();
    let mut lines = Vec::new();
    for line in head.note().signatures() {
        let signs =
            |key: &&VerifierKey| line.is_by(key) && key.verify(text.as_bytes(), line.bytes());
        if let Some(key) = keys.iter().find(signs).filter(|key| !seen.contains(key)) {
            seen.push(key);
            lines.push(line.clone());
        }
    }
    let note = Note::new(text, lines).ok()?;
    ClaimedCheckpoint::parse(note.to_string().as_bytes()).ok()
}

/// Every byte of a bundle must count: its proof says nothing that its governance does not.
fn check_pinned(bundle: &AuthorityBundle) -> Result<(), EvidenceError> {
    let pinned = bundle.governance().last().is_some_and(|last: &GovernanceEntry| {
        let proof = bundle.proof();
        let logged = last.entry.logged().to_string();
        proof.index == last.index
            && proof.inclusion == last.inclusion
            && proof.extra.as_deref() == Some(logged.as_bytes())
    });
    if pinned { Ok(()) } else { Err(EvidenceError::BundleNotPinned) }
}

/// Who signed a head, if each line is by one of the keys and none signed twice.
fn signers(head: &ClaimedCheckpoint, keys: &[VerifierKey]) -> Option<Vec<VerifierKey>> {
    let mut signers: Vec<VerifierKey> = Vec::new();
    for line in head.note().signatures() {
        let text = head.note().text();
        let signs =
            |key: &&VerifierKey| line.is_by(key) && key.verify(text.as_bytes(), line.bytes());
        let key = keys.iter().find(signs).filter(|key| !signers.contains(key))?;
        signers.push(key.clone());
    }
    Some(signers)
}

/// All keys that ever were the log's.
fn log_keys(governance: &Governance) -> Vec<VerifierKey> {
    let charter = governance.charter();
    let retired = charter.retired_log_keys().iter().map(|own| own.key());
    charter.log_keys().iter().chain(retired).cloned().collect()
}

/// The witnesses of the policies, and the cosigners' keys of members.
fn cosigners(governance: &Governance) -> Vec<VerifierKey> {
    let cosigns = |usage| matches!(usage, KeyUse::Witness | KeyUse::Mirror);
    let charter = governance.charter();
    let members = charter.keys().iter().filter(|own| cosigns(own.usage()));
    members.map(|own| own.key()).chain(charter.policy_witnesses()).cloned().collect()
}
