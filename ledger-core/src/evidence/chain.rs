//! Which keys the authority bundles of an evidence file prove to be whose.

use std::collections::BTreeSet;

use crate::authority::{AuthorityBundle, AuthorityError, GovernanceEntry};
use crate::charter::{Charter, GovernanceState, KeyUse, ReplayError};
use crate::checkpoint::ClaimedCheckpoint;
use crate::index::LeafIndex;
use crate::merkle::TreeHead;
use crate::note::{Note, PublicKey, VerifierKey};
use crate::proof::TlogProof;
use crate::record::StatementId;

use super::replays::Replays;
use super::{EvidenceError, MAX_AUTHORITY};

/// What bundles prove of the keys of a log, found out once.
#[derive(Debug)]
pub(crate) struct ProvenKeys(Chain);

impl ProvenKeys {
    /// Bundles that do not hold prove nothing.
    pub(crate) fn of(bundles: &[AuthorityBundle]) -> ProvenKeys {
        let pinned: Option<Vec<AuthorityBundle>> = bundles.iter().map(pinned).collect();
        let proven = pinned.and_then(|bundles| {
            let anchor = bundles.first()?.charter()?;
            Chain::prove(&bundles, anchor, &mut Replays::default()).ok()
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

/// The bundles of one charter, in the order of their heads, that judges need who know the anchor
/// alone: the last, those by which keys of the log vouch for later ones, and those by which a key
/// has signed its retirement. Bundles that do not hold are left out.
pub fn vouching(bundles: Vec<AuthorityBundle>) -> Vec<AuthorityBundle> {
    let (mut kept, mut chain, mut replays) = (Vec::new(), Chain::default(), Replays::default());
    for bundle in bundles.iter().filter_map(pinned) {
        let anchor = bundle.charter();
        let more = anchor.and_then(|anchor| chain.clone().with(&bundle, anchor, &mut replays).ok());
        if let Some(more) = more {
            chain = more;
            kept.push(bundle);
        }
    }
    let reach = |chain: &Chain| {
        let mut chain = chain.clone();
        chain.confirm([].iter());
        let retired: BTreeSet<PublicKey> =
            chain.retired.iter().map(|own| own.key.public()).collect();
        (chain.confirmed.len(), retired.len())
    };
    let mut at = 0;
    while at + 1 < kept.len() {
        let mut less = chain.clone();
        let Listing { head, .. } = less.bundles.remove(at);
        if less.bundles.iter().all(|own| own.head != head) {
            less.retired.retain(|own| own.own != head);
        }
        if reach(&less) == reach(&chain) {
            chain = less;
            kept.remove(at);
        } else {
            at += 1;
        }
    }
    kept.split_off(kept.len().saturating_sub(MAX_AUTHORITY))
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
    /// Keys of the log, each with the governance entry that names it first.
    since: Vec<(VerifierKey, LeafIndex)>,
    /// Keys that count as the log's: those of the founding charter, those that the judge was given,
    /// and those of a bundle that one of these keys signed.
    confirmed: Vec<VerifierKey>,
    /// Of each bundle, its head, the keys that signed it, and the keys that its governance names.
    bundles: Vec<Listing>,
}

/// A head over governance: the keys that signed it vouch for the keys that the governance names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listing {
    head: TreeHead,
    signers: Vec<VerifierKey>,
    named: Vec<VerifierKey>,
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
        replays: &mut Replays,
    ) -> Result<Chain, EvidenceError> {
        let with = |chain: Chain, bundle| chain.with(bundle, anchor, replays);
        bundles.iter().try_fold(Chain::default(), with)
    }

    /// Judges one more bundle.
    fn with(
        mut self,
        bundle: &AuthorityBundle,
        anchor: StatementId,
        replays: &mut Replays,
    ) -> Result<Chain, EvidenceError> {
        // what costs most comes last
        check_pinned(bundle)?;
        bundle.check_included()?;
        let states = replays.of(bundle, anchor)?;
        let signers = self.learn(states, bundle.proof())?;
        let head = *bundle.proof().checkpoint.checkpoint().head();
        let latest = states.last().map(GovernanceState::charter);
        for own in latest.into_iter().flat_map(|charter| charter.retired_log_keys().iter()) {
            if signers.contains(own.key()) {
                let (key, at) = (own.key().clone(), own.at());
                self.retired.push(Retirement { key, at, own: head });
            }
        }
        Ok(self)
    }

    /// Takes the keys of a log's governance; the proof's checkpoint must be that log's, and each of
    /// its lines by one of its keys. Gives the keys that signed.
    pub(super) fn learn(
        &mut self,
        states: &[GovernanceState],
        proof: &TlogProof,
    ) -> Result<Vec<VerifierKey>, EvidenceError> {
        let charter = states.last().ok_or(AuthorityError::from(ReplayError::NoCharter))?.charter();
        let checkpoint = proof.checkpoint.checkpoint();
        if checkpoint.origin().as_str() != charter.origin() {
            let (expected, found) = (charter.origin().to_owned(), checkpoint.origin().to_string());
            return Err(AuthorityError::OtherLog { expected, found }.into());
        }
        let keys = log_keys(charter);
        let signers = signers(&proof.checkpoint, &keys).ok_or(EvidenceError::BundleSignature)?;
        self.origin = Some(charter.origin().to_owned());
        let founding = states.first().map_or(&[][..], |own| own.charter().log_keys());
        add_new(&mut self.confirmed, founding);
        for key in keys.iter().filter(|key| !self.logs.contains(key)) {
            let names = |own: &&GovernanceState| own.charter().log_keys().contains(key);
            let since = states.iter().find(names).map(GovernanceState::index);
            self.since.push((key.clone(), since.unwrap_or(LeafIndex::ZERO)));
        }
        add_new(&mut self.logs, &keys);
        add_new(&mut self.cosigners, &cosigners(states));
        let head = *checkpoint.head();
        self.bundles.push(Listing { head, signers: signers.clone(), named: keys });
        Ok(signers)
    }

    /// Finds the keys that count as the log's beside those of the founding charter: the given ones,
    /// and those that the governance below a head names which one of them signed.
    pub(super) fn confirm<'a>(&mut self, given: impl Iterator<Item = &'a VerifierKey>) {
        let given: Vec<VerifierKey> = given.cloned().collect();
        add_new(&mut self.confirmed, &given);
        loop {
            let before = self.confirmed.len();
            for Listing { head, signers, named } in &self.bundles {
                // a key that signed its own end vouches for no later key
                let vouches = |key: &VerifierKey| {
                    self.confirmed.contains(key) && self.retired_before(key, head).is_none()
                };
                if signers.iter().any(vouches) {
                    add_new(&mut self.confirmed, named);
                }
            }
            if self.confirmed.len() == before {
                return;
            }
        }
    }

    /// The entry that names a key first, where the key does not count as the log's.
    pub(super) fn unconfirmed_since(&self, key: &VerifierKey) -> Option<LeafIndex> {
        let named = self.since.iter().find(|(own, _)| own == key);
        named.filter(|_| !self.confirmed.contains(key)).map(|(_, since)| *since)
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
    let checkpoint = with_lines_of(&bundle.proof().checkpoint, &log_keys(governance.charter()))?;
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

fn add_new(keys: &mut Vec<VerifierKey>, more: &[VerifierKey]) {
    let mut known: BTreeSet<PublicKey> = keys.iter().map(VerifierKey::public).collect();
    for key in more {
        // one public key may stand under several names
        if known.insert(key.public()) || !keys.contains(key) {
            keys.push(key.clone());
        }
    }
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
fn log_keys(charter: &Charter) -> Vec<VerifierKey> {
    let retired = charter.retired_log_keys().iter().map(|own| own.key());
    charter.log_keys().iter().chain(retired).cloned().collect()
}

/// The witnesses of the policies, and the cosigners' keys of members.
fn cosigners(states: &[GovernanceState]) -> Vec<VerifierKey> {
    let cosigns = |usage| matches!(usage, KeyUse::Witness | KeyUse::Mirror);
    let Some(charter) = states.last().map(GovernanceState::charter) else { return Vec::new() };
    let members = charter.keys().iter().filter(|own| cosigns(own.usage()));
    members.map(|own| own.key()).chain(charter.policy_witnesses().iter()).cloned().collect()
}
