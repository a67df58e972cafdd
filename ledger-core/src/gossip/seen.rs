//! A head that was heard: who signed it and who cosigned it, all checked.

use crate::checkpoint::{CheckpointError, ClaimedCheckpoint};
use crate::cosignature;
use crate::merkle::TreeHead;
use crate::note::{KeyId, Note, Signature, VerifierKey};

use super::view::FalseSignature;

/// A head with the lines of known keys and no others; every line verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    checkpoint: ClaimedCheckpoint,
    signers: Vec<VerifierKey>,
    cosigners: Vec<Cosigned>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cosigned {
    key: VerifierKey,
    time: u64,
    line: Signature,
}

/// What became of a head that was read. Closed.
#[derive(Debug)]
pub(super) enum Read {
    /// A key in force signed it, or one that was retired.
    Seen(Seen),
    /// Neither did: a key of later days, or one that was convicted.
    Unsigned,
}

impl Seen {
    /// Keeps what known keys signed. `log_keys` are those of the log that are in force or retired.
    /// Whether the head counts, [`Seen::counts`] says.
    pub(super) fn read(
        heard: &ClaimedCheckpoint,
        log_keys: &[VerifierKey],
        cosigners: &[VerifierKey],
    ) -> Result<Read, FalseSignature> {
        match heard.verify(log_keys) {
            Ok(_) => {}
            Err(CheckpointError::BadSignature(name)) => return Err(FalseSignature(name)),
            Err(_) => return Ok(Read::Unsigned),
        }
        Seen::cosigned(heard, log_keys, cosigners).map(Read::Seen)
    }

    /// Keeps what known cosigners signed of a log whose keys have fallen; `None` if nobody did.
    pub(super) fn read_fallen(
        heard: &ClaimedCheckpoint,
        fallen: &[VerifierKey],
        cosigners: &[VerifierKey],
    ) -> Result<Option<Seen>, FalseSignature> {
        if let Err(CheckpointError::BadSignature(name)) = heard.verify(fallen) {
            return Err(FalseSignature(name));
        }
        let seen = Seen::cosigned(heard, fallen, cosigners)?;
        Ok(Some(seen).filter(|seen| !seen.cosigners.is_empty()))
    }

    /// A head that is known to be signed by those of these keys that have a line.
    pub(super) fn signed(checkpoint: ClaimedCheckpoint, log_keys: &[VerifierKey]) -> Seen {
        let lines = checkpoint.note().signatures();
        let has_line = |key: &&VerifierKey| lines.iter().any(|line| line.is_by(key));
        let signers = log_keys.iter().filter(has_line).cloned().collect();
        Seen { checkpoint, signers, cosigners: Vec::new() }
    }

    /// Adds the lines of known cosigners; those of the log were checked.
    fn cosigned(
        heard: &ClaimedCheckpoint,
        log_keys: &[VerifierKey],
        cosigners: &[VerifierKey],
    ) -> Result<Seen, FalseSignature> {
        let lines = heard.note().signatures();
        let line_of = |key: &VerifierKey| lines.iter().find(|line| line.is_by(key));
        let mut cosigned = Vec::new();
        for key in cosigners {
            let Some(line) = line_of(key) else { continue };
            let time = cosignature::verify_line(heard.note(), key, line)
                .ok_or_else(|| FalseSignature(key.name().to_string()))?;
            cosigned.push(Cosigned { key: key.clone(), time, line: line.clone() });
        }
        let mut seen = Seen::signed(heard.clone(), log_keys);
        seen.cosigners = cosigned;
        seen.print(lines);
        Ok(seen)
    }

    pub(super) fn checkpoint(&self) -> &ClaimedCheckpoint {
        &self.checkpoint
    }

    pub(super) fn head(&self) -> &TreeHead {
        self.checkpoint.checkpoint().head()
    }

    /// Whether there is nothing in `heard` that was not checked before, so that it need not be
    /// again.
    pub(super) fn covers(&self, heard: &ClaimedCheckpoint) -> bool {
        let own = self.checkpoint.note();
        let mut lines = heard.note().signatures().iter();
        own.text() == heard.note().text() && lines.all(|line| own.signatures().contains(line))
    }

    /// Whether it is of this head, whoever signed either.
    pub(super) fn is_of(&self, head: &ClaimedCheckpoint) -> bool {
        self.checkpoint.checkpoint() == head.checkpoint()
    }

    /// Whether both are of one head.
    pub(super) fn is_same(&self, other: &Seen) -> bool {
        self.is_of(&other.checkpoint)
    }

    /// Whether one of these keys signed it: those in force, where the head is to be adopted; the
    /// retired ones as well, where it is to be kept.
    pub(super) fn counts(&self, keys: &[VerifierKey]) -> bool {
        self.signers.iter().any(|key| keys.contains(key))
    }

    /// The short identifiers of its cosigners in order.
    pub(super) fn cosigner_ids(&self) -> Vec<KeyId> {
        let mut ids: Vec<KeyId> = self.cosigners.iter().map(|by| by.key.id()).collect();
        ids.sort_unstable();
        ids
    }

    /// The time of its newest cosignature, in POSIX seconds by the cosigner's clock.
    pub(super) fn newest(&self) -> Option<u64> {
        self.cosigners.iter().map(|by| by.time).max()
    }

    /// Takes over what `other`, the same head, has more: cosigners, and newer cosignatures. Says
    /// whether a cosigner is new.
    pub(super) fn merge(&mut self, other: &Seen) -> bool {
        let mut grown = false;
        for more in &other.cosigners {
            match self.cosigners.iter_mut().find(|own| own.key == more.key) {
                Some(own) if own.time < more.time => *own = more.clone(),
                Some(_) => {}
                None => {
                    self.cosigners.push(more.clone());
                    grown = true;
                }
            }
        }
        let new_signer = |key: &&VerifierKey| !self.signers.contains(key);
        let signers: Vec<VerifierKey> = other.signers.iter().filter(new_signer).cloned().collect();
        self.signers.extend(signers);
        let lines = [self.checkpoint.note().signatures(), other.checkpoint.note().signatures()];
        self.print(&lines.concat());
        grown
    }

    /// Writes the note with one line of each known key; log lines are taken from `lines`.
    fn print(&mut self, lines: &[Signature]) {
        let of_log = self.signers.iter().filter_map(|key| lines.iter().find(|l| l.is_by(key)));
        let cosigned = self.cosigners.iter().map(|by| &by.line);
        let kept = of_log.chain(cosigned).take(crate::note::MAX_SIGNATURES).cloned().collect();
        let note = self.checkpoint.note();
        // a note that was read has room for a part of its own lines; a merged one that has not
        // stays
        let printed = Note::new(note.text(), kept)
            .ok()
            .and_then(|note| ClaimedCheckpoint::parse(note.to_string().as_bytes()).ok());
        if let Some(printed) = printed {
            self.checkpoint = printed;
        }
    }
}
