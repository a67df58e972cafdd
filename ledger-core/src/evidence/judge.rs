//! The verdict: who signed, and whether that convicts.

use crate::authority::{AuthorityBundle, AuthorityError};
use crate::charter::{Charter, RetiredLogKey};
use crate::checkpoint::ClaimedCheckpoint;
use crate::cosignature;
use crate::note::{Algorithm, Note, Signature, VerifierKey};
use crate::policy::Policy;
use crate::record::{Record, StatementId};

use super::chain::Chain;
use super::replays::Replays;
use super::trust::LogKey;
use super::{ClaimShape, ClaimedEvidence, Conflict, Conviction, Culprit, Entries, EvidenceError};
use super::{LeafPair, Trust};

impl ClaimedEvidence {
    /// Judges the file by what the judge knows: `Ok` convicts.
    ///
    /// # Errors
    /// [`EvidenceError`] says why it convicts nobody, as far as this judge can tell.
    pub fn verify(&self, trust: &Trust) -> Result<Conviction, EvidenceError> {
        let mut bench = Bench::new(trust, &self.authority)?;
        let (culprit, what) = match &self.claim {
            ClaimShape::Log(conflict) => (bench.log(conflict)?, conflict.claim()),
            ClaimShape::Cosigner(conflict) => (bench.cosigner(conflict)?, conflict.claim()),
            ClaimShape::UnlawfulLeaf { record, bundle } => bench.unlawful_leaf(record, bundle)?,
            ClaimShape::Leaves(pair) => (bench.leaves(pair)?, pair.claim()),
        };
        let signed = match &culprit {
            Culprit::Log { keys, .. } if keys.len() > 1 => {
                "one of its keys signed each side, and one of them signed falsely"
            }
            Culprit::Log { .. } => "the log signed this",
            Culprit::RetiredKey { .. } => {
                "it had signed a head over its own retirement, after which it speaks for nobody"
            }
            Culprit::UnconfirmedKey { .. } => {
                "no head over its appointment is signed by a key that was the log's before, so it \
                 speaks for itself alone"
            }
            Culprit::Cosigner { .. } => {
                "it vouched for all of this, and a cosigner vouches for one tree that only grows"
            }
        };
        let explanation = format!("{what}; {signed}");
        Ok(Conviction { kind: self.kind(), culprit, explanation })
    }
}

/// What is known to the judge of one file.
pub(super) struct Bench<'a> {
    trust: &'a Trust,
    /// What the file's bundles prove under the anchor; nothing without one.
    chain: Chain,
    /// The charter that its bundles begin with.
    charter: Option<StatementId>,
    /// What was judged of the file's governance, and the work that is left.
    replays: Replays,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        trust: &'a Trust,
        authority: &[AuthorityBundle],
    ) -> Result<Bench<'a>, EvidenceError> {
        let charter = authority.first().and_then(AuthorityBundle::charter);
        let (mut chain, mut replays) = (Chain::default(), Replays::default());
        // bundles of a charter that is not the judge's anchor prove nothing, and are not replayed
        if let Some(own) = charter
            && knows_charter(trust, own)?
        {
            chain = Chain::prove(authority, own, &mut replays)?;
            chain.confirm(trust.logs.iter().map(|own| &own.key));
        }
        Ok(Bench { trust, chain, charter, replays })
    }

    /// Keys that may sign heads of a log.
    pub(super) fn log_keys(&self, origin: &str) -> Vec<&VerifierKey> {
        let of_it = |own: &&LogKey| own.key.name().as_str() == origin;
        let given = self.trust.logs.iter().filter(of_it).map(|own| &own.key);
        given.chain(self.chain.logs_of(origin)).collect()
    }

    fn log(&self, conflict: &Conflict) -> Result<Culprit, EvidenceError> {
        let origin = conflict.origin().to_owned();
        let keys = self.log_keys(&origin);
        let mut signers: Vec<VerifierKey> = Vec::new();
        let mut retired = None;
        for head in conflict.heads() {
            let unknown = || EvidenceError::UnknownKey { origin: origin.clone() };
            let signer = signer(head, keys.iter().copied()).ok_or_else(unknown)?;
            let at = self.chain.retired_before(signer, head.checkpoint().head());
            retired = retired.or(at.map(|at| (signer.clone(), at)));
            if !signers.contains(signer) {
                signers.push(signer.clone());
            }
        }
        if let Some((key, at)) = retired {
            return Ok(self.unconfirmed(&key).unwrap_or(Culprit::RetiredKey { origin, key, at }));
        }
        // a thief of a retired key could frame the key that followed it: two keys convict only
        // where the judge knows that both are in force
        let given =
            |key: &VerifierKey| self.trust.logs.iter().any(|own| own.in_force && own.key == *key);
        if signers.len() > 1 && !signers.iter().all(given) {
            return Err(EvidenceError::TwoKeys { origin });
        }
        let unconfirmed = signers.iter().find_map(|key| self.unconfirmed(key));
        Ok(unconfirmed.unwrap_or(Culprit::Log { origin, keys: signers }))
    }

    /// The key alone, where the judge was not given it and no key that counts vouches for it.
    fn unconfirmed(&self, key: &VerifierKey) -> Option<Culprit> {
        self.unconfirmed_by(&self.chain, key)
    }

    /// The same, by what this chain proves.
    fn unconfirmed_by(&self, chain: &Chain, key: &VerifierKey) -> Option<Culprit> {
        let is_given = self.trust.logs.iter().any(|own| own.key == *key);
        let since = chain.unconfirmed_since(key).filter(|_| !is_given)?;
        let (origin, key) = (key.name().to_string(), key.clone());
        Some(Culprit::UnconfirmedKey { origin, key, since })
    }

    fn cosigner(&self, conflict: &Conflict) -> Result<Culprit, EvidenceError> {
        let origin = conflict.origin().to_owned();
        let mut culprit: Option<&VerifierKey> = None;
        for head in conflict.heads() {
            let key = self.cosigners().find(|key| is_cosigned(head, key));
            let key = key.ok_or_else(|| EvidenceError::UnknownKey { origin: origin.clone() })?;
            check_covered(head, key)?;
            if culprit.is_some_and(|first| first != key) {
                return Err(EvidenceError::TwoCosigners);
            }
            culprit = Some(key);
        }
        match culprit {
            Some(key) => Ok(Culprit::Cosigner { origin, key: key.clone() }),
            None => Err(EvidenceError::UnknownKey { origin }),
        }
    }

    fn cosigners(&self) -> impl Iterator<Item = &VerifierKey> {
        self.trust.cosigners.iter().chain(self.chain.cosigners())
    }

    fn unlawful_leaf(
        &mut self,
        record: &Record,
        bundle: &AuthorityBundle,
    ) -> Result<(Culprit, String), EvidenceError> {
        let head = &bundle.proof().checkpoint;
        let origin = head.checkpoint().origin().as_str();
        // any head of the log can be had: what its tree does not hold is not gone through
        let logged = bundle.check_record(record)?;
        bundle.check_included()?;
        let mut chain = Chain::default();
        let (mut retired, mut replayed) = (None, None);
        // without an anchor the charter is what the log's own tree has at index 0
        let own = bundle.charter().unwrap_or(record.statement());
        if self.charter == Some(own) {
            chain.clone_from(&self.chain);
        }
        if knows_charter(self.trust, own)? {
            let governance = self.replays.whole(bundle, own)?;
            let signers = chain.learn(governance.states(), bundle.proof())?;
            let fallen = governance.charter().retired_log_keys();
            let by_it = |own: &&RetiredLogKey| signers.contains(own.key());
            retired = fallen.iter().find(by_it).map(RetiredLogKey::at);
            chain.confirm(self.trust.logs.iter().map(|own| &own.key));
            replayed = Some(governance);
        }
        let known = self.ledger_keys(origin).chain(chain.logs_of(origin));
        let key = signer(head, known);
        let key = key.cloned();
        let key = key.ok_or_else(|| EvidenceError::UnknownKey { origin: origin.to_owned() })?;
        let policy = Policy::single_log(key.clone());
        // of a charter that is no anchor only what a known key signed is gone through
        let governance = match replayed {
            Some(governance) => governance,
            None => self.replays.whole(bundle, own)?,
        };
        let judged = bundle.judge_replayed(record, &logged, &governance, &policy);
        let reason = match judged {
            Ok(()) => return Err(EvidenceError::Lawful),
            Err(AuthorityError::Judged(reason)) if reason.is_unlawful() => reason,
            Err(error) => return Err(error.into()),
        };
        let (size, index) = (head.checkpoint().head().size, bundle.proof().index);
        let claim = format!(
            "a head of size {size} over entry {index}, the {} {}, which the log's own rules refuse: \
             {reason}",
            record.kind(),
            record.statement()
        );
        let culprit = match (self.unconfirmed_by(&chain, &key), retired) {
            (Some(unconfirmed), _) => unconfirmed,
            (None, Some(at)) => Culprit::RetiredKey { origin: origin.to_owned(), key, at },
            (None, None) => self.by_one_key(head, &key),
        };
        Ok((culprit, claim))
    }

    /// A log, by the one key that signed a head; or that key alone, if it was retired before.
    fn by_one_key(&self, head: &ClaimedCheckpoint, key: &VerifierKey) -> Culprit {
        if let Some(unconfirmed) = self.unconfirmed(key) {
            return unconfirmed;
        }
        let (origin, key) = (head.checkpoint().origin().to_string(), key.clone());
        match self.chain.retired_before(&key, head.checkpoint().head()) {
            Some(at) => Culprit::RetiredKey { origin, key, at },
            None => Culprit::Log { origin, keys: vec![key] },
        }
    }

    fn leaves(&self, pair: &LeafPair) -> Result<Culprit, EvidenceError> {
        let origin = pair.head().checkpoint().origin().as_str();
        let entry = &pair.charter().entry;
        let found: StatementId = entry.record().statement();
        let known = self.trust.knows_charter(found);
        let known = known.map_err(|anchor| EvidenceError::OtherAnchor { anchor, found })?;
        let charter = Charter::found(entry).map_err(EvidenceError::Charter)?;
        if charter.origin() != origin {
            let (origin, found) = (origin.to_owned(), charter.origin().to_owned());
            return Err(EvidenceError::OtherCharter { origin, found });
        }
        let founding = if known { charter.log_keys() } else { &[] };
        let key = signer(pair.head(), self.ledger_keys(origin).chain(founding));
        let key = key.ok_or_else(|| EvidenceError::UnknownKey { origin: origin.to_owned() })?;
        Ok(self.by_one_key(pair.head(), key))
    }

    /// Keys of a log that is known to hold records of ours.
    fn ledger_keys(&self, origin: &str) -> impl Iterator<Item = &VerifierKey> {
        let ledgers = self.trust.logs.iter().filter(|own| own.entries == Entries::Records);
        let proven = self.chain.logs_of(origin).iter();
        ledgers.map(|own| &own.key).chain(proven)
    }
}

/// Whether a bundle's charter is known.
fn knows_charter(trust: &Trust, found: StatementId) -> Result<bool, EvidenceError> {
    let known = trust.knows_charter(found);
    Ok(known.map_err(|anchor| AuthorityError::OtherAnchor { anchor, found })?)
}

/// Which of these keys signed a head as its log, with its only line.
fn signer<'k>(
    head: &ClaimedCheckpoint,
    keys: impl IntoIterator<Item = &'k VerifierKey>,
) -> Option<&'k VerifierKey> {
    keys.into_iter().find(|key| line_of_log(head, key).is_some())
}

/// The line by which a key signed a head as its log.
pub(super) fn line_of_log<'h>(
    head: &'h ClaimedCheckpoint,
    key: &VerifierKey,
) -> Option<&'h Signature> {
    let origin = head.checkpoint().origin().as_str();
    if key.algorithm() != Algorithm::Ed25519 || key.name().as_str() != origin {
        return None;
    }
    let text = head.note().text().as_bytes();
    let mut lines = head.note().signatures().iter();
    lines.find(|line| line.is_by(key) && key.verify(text, line.bytes()))
}

/// The line by which a key cosigned a head.
pub(super) fn line_of_cosigner<'h>(
    head: &'h ClaimedCheckpoint,
    key: &VerifierKey,
) -> Option<&'h Signature> {
    let note = head.note();
    let mut lines = note.signatures().iter();
    lines.find(|line| line.is_by(key) && cosignature::verify_line(note, key, line).is_some())
}

fn is_cosigned(head: &ClaimedCheckpoint, key: &VerifierKey) -> bool {
    line_of_cosigner(head, key).is_some()
}

/// A signature that holds without the head's extension lines does not cover them, so that anybody
/// could alter them: then there must be none.
fn check_covered(head: &ClaimedCheckpoint, key: &VerifierKey) -> Result<(), EvidenceError> {
    if head.checkpoint().extensions().is_empty() {
        return Ok(());
    }
    let bare = bare(head).ok_or(EvidenceError::NotCovered)?;
    if is_cosigned(&bare, key) { Err(EvidenceError::NotCovered) } else { Ok(()) }
}

/// The head without extension lines, its signature lines as they were.
pub(super) fn bare(head: &ClaimedCheckpoint) -> Option<ClaimedCheckpoint> {
    let three: Vec<&str> = head.note().text().split_inclusive('\n').take(3).collect();
    let note = Note::new(&three.concat(), head.note().signatures().to_vec()).ok()?;
    ClaimedCheckpoint::parse(note.to_string().as_bytes()).ok()
}
