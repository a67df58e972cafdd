//! A head that was heard: who signed it and who cosigned it, all checked.

use crate::checkpoint::ClaimedCheckpoint;
use crate::cosignature;
use crate::merkle::TreeHead;
use crate::note::{Algorithm, KeyId, MAX_SIGNATURES, Note, Signature, VerifierKey};

use super::vocabulary::FalseSignature;

/// Lines by one name and id that are tried: those of two keys, where somebody made two for one id.
const TRIED_LINES: usize = 2;

/// Bytes of text whose hashing takes as long as the rest of a check.
const BYTES_A_CHECK: usize = 16 << 10;

/// A head with the lines of known keys and no others; every line verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VerifiedHead {
    checkpoint: ClaimedCheckpoint,
    signers: Vec<Signed>,
    cosigners: Vec<Cosigned>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signed {
    key: VerifierKey,
    line: Signature,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cosigned {
    key: VerifierKey,
    time: u64,
    line: Signature,
}

/// What became of a head that was read.
#[derive(Debug)]
pub(super) struct ReadHead {
    /// What known keys signed of it; `None` where no known key of the log did: it is by a key of
    /// later days, or one that was convicted.
    pub(super) seen: Option<VerifiedHead>,
    /// A line that names a known key and does not verify by it. It is left out.
    pub(super) doubt: Option<FalseSignature>,
    /// How many such lines were tried.
    pub(super) failed: usize,
    /// What checking all lines took, in units of one signature over a short text.
    pub(super) work: usize,
}

/// Lines that do not verify, and what checking took.
#[derive(Debug, Default)]
struct Failed {
    last: Option<FalseSignature>,
    count: usize,
    work: usize,
}

impl ReadHead {
    fn of(seen: Option<VerifiedHead>, failed: Failed) -> ReadHead {
        ReadHead { seen, doubt: failed.last, failed: failed.count, work: failed.work }
    }
}

impl VerifiedHead {
    /// Keeps what known keys signed. `log_keys` are those of the log that are in force or retired.
    /// Whether the head counts, [`VerifiedHead::counts`] says.
    pub(super) fn read(
        checkpoint: &ClaimedCheckpoint,
        log_keys: &[VerifierKey],
        cosigners: &[VerifierKey],
    ) -> ReadHead {
        let mut failed = Failed::default();
        let signers = signers(checkpoint, log_keys, &mut failed);
        if signers.is_empty() {
            return ReadHead::of(None, failed);
        }
        let seen =
            VerifiedHead::of(checkpoint, signers, cosigned(checkpoint, cosigners, &mut failed));
        ReadHead::of(Some(seen), failed)
    }

    /// Keeps what known cosigners signed of a log whose keys have fallen; nothing if nobody did.
    pub(super) fn read_convicted(
        observed: &ClaimedCheckpoint,
        convicted: &[VerifierKey],
        cosigners: &[VerifierKey],
    ) -> ReadHead {
        let mut failed = Failed::default();
        let signers = signers(observed, convicted, &mut failed);
        let cosigned = cosigned(observed, cosigners, &mut failed);
        let seen = (!cosigned.is_empty()).then(|| VerifiedHead::of(observed, signers, cosigned));
        ReadHead::of(seen, failed)
    }

    /// A head that is known to be signed by those of these keys that have a line.
    pub(super) fn signed(checkpoint: ClaimedCheckpoint, log_keys: &[VerifierKey]) -> VerifiedHead {
        let lines = checkpoint.note().signatures();
        let signed = |key: &VerifierKey| {
            let line = lines.iter().find(|line| line.is_by(key))?.clone();
            Some(Signed { key: key.clone(), line })
        };
        let signers = log_keys.iter().filter_map(signed).collect();
        VerifiedHead { checkpoint, signers, cosigners: Vec::new() }
    }

    fn of(
        observed: &ClaimedCheckpoint,
        signers: Vec<Signed>,
        cosigners: Vec<Cosigned>,
    ) -> VerifiedHead {
        let mut seen = VerifiedHead { checkpoint: observed.clone(), signers, cosigners };
        seen.print();
        seen
    }

    pub(super) fn checkpoint(&self) -> &ClaimedCheckpoint {
        &self.checkpoint
    }

    pub(super) fn head(&self) -> &TreeHead {
        self.checkpoint.checkpoint().head()
    }

    /// Whether there is nothing in `checkpoint` that was not checked before, so that it need not be
    /// again.
    pub(super) fn covers(&self, observed: &ClaimedCheckpoint) -> bool {
        let own = self.checkpoint.note();
        let mut lines = observed.note().signatures().iter();
        own.text() == observed.note().text() && lines.all(|line| own.signatures().contains(line))
    }

    /// Whether it is of this head, whoever signed either.
    pub(super) fn is_of(&self, head: &ClaimedCheckpoint) -> bool {
        self.checkpoint.checkpoint() == head.checkpoint()
    }

    /// Whether both are of one head.
    pub(super) fn is_same(&self, other: &VerifiedHead) -> bool {
        self.is_of(&other.checkpoint)
    }

    /// Whether one of these keys signed it: those in force, where the head is to be adopted; the
    /// retired ones as well, where it is to be kept.
    pub(super) fn counts(&self, keys: &[VerifierKey]) -> bool {
        self.signers.iter().any(|by| keys.contains(&by.key))
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
    pub(super) fn merge(&mut self, other: &VerifiedHead) -> bool {
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
        for more in &other.signers {
            if self.signers.iter().all(|own| own.key != more.key) {
                self.signers.push(more.clone());
            }
        }
        self.print();
        grown
    }

    /// Writes the note with one line of each known key.
    fn print(&mut self) {
        // two lines of the log and all witnesses of its policy have room in each note
        let room = MAX_SIGNATURES.saturating_sub(self.cosigners.len()).max(2);
        let of_log = self.signers.iter().map(|by| &by.line).take(room);
        let cosigned = self.cosigners.iter().map(|by| &by.line);
        let kept = of_log.chain(cosigned).take(MAX_SIGNATURES).cloned().collect();
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

/// What these keys of the log signed: those that sign texts, in its name.
fn signers(observed: &ClaimedCheckpoint, keys: &[VerifierKey], failed: &mut Failed) -> Vec<Signed> {
    let origin = observed.checkpoint().origin().as_str();
    let of_log =
        |key: &&VerifierKey| key.algorithm() == Algorithm::Ed25519 && key.name().as_str() == origin;
    let signed = |key: &VerifierKey| {
        let text = observed.note().text().as_bytes();
        let verify = |line: &Signature| key.verify(text, line.bytes()).then_some(());
        let (line, ()) = line_of(observed, key, verify, failed)?;
        Some(Signed { key: key.clone(), line })
    };
    keys.iter().filter(of_log).filter_map(signed).collect()
}

fn cosigned(
    observed: &ClaimedCheckpoint,
    keys: &[VerifierKey],
    failed: &mut Failed,
) -> Vec<Cosigned> {
    let cosigned = |key: &VerifierKey| {
        let verify = |line: &Signature| cosignature::verify_line(observed.note(), key, line);
        let (line, time) = line_of(observed, key, verify, failed)?;
        Some(Cosigned { key: key.clone(), time, line })
    };
    keys.iter().filter_map(cosigned).collect()
}

/// The first line by the name and id of a key that verifies, with what that says.
fn line_of<T>(
    observed: &ClaimedCheckpoint,
    key: &VerifierKey,
    verify: impl Fn(&Signature) -> Option<T>,
    failed: &mut Failed,
) -> Option<(Signature, T)> {
    let lines = observed.note().signatures().iter().filter(|line| line.is_by(key));
    for line in lines.take(TRIED_LINES) {
        failed.work += 1 + observed.note().text().len() / BYTES_A_CHECK;
        match verify(line) {
            Some(said) => return Some((line.clone(), said)),
            None => {
                failed.count += 1;
                failed.last = Some(FalseSignature(key.name().to_string()));
            }
        }
    }
    None
}
