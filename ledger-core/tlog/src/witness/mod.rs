//! C2SP `tlog-witness`: what a log asks of a witness, and what a witness may answer.
//!
//! A witness cosigns a checkpoint only if it grew out of the one that it cosigned before. Here is
//! the judgement; the clock, the keys that cosign and the disk are the caller's. It has two halves,
//! in the specification's order of checks:
//!
//! 1. [`AddCheckpoint::authenticate`] looks at signatures. It is the expensive half, depends on no
//!    state and can run anywhere.
//! 2. [`Authenticated::step`] compares with the latest checkpoint that was cosigned. The caller runs
//!    it and keeps the result **in one atomic step, durably, before it answers**.
//!
//! ```
//! use tlog::witness::AddCheckpoint;
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/v1/");
//! # let checkpoint = std::fs::read_to_string(format!("{folder}site/checkpoint")).expect("a vector");
//! let request = AddCheckpoint::parse(format!("old 0\n\n{checkpoint}").as_bytes());
//! let request = request.expect("well formed");
//! assert!(request.old().is_empty() && request.proof().hashes().is_empty());
//! ```

mod answer;
mod refusal;
mod request;

use crate::checkpoint::{CheckpointError, Origin, VerifiedCheckpoint};
use crate::hash::Hash;
use crate::merkle::{TreeHead, VerifyError, verify_consistency};
use crate::note::VerifierKey;

pub use answer::{MAX_REFUSAL_TEXT, ParseAnswerError, WitnessAnswer};
pub use refusal::{Malformed, Refusal, SIZE_CONTENT_TYPE, TEXT_CONTENT_TYPE};
pub use request::AddCheckpoint;

/// The keys with which a log may sign what a witness cosigns.
///
/// A key that evidence convicted stays in the list, so that the log is still known and the refusal
/// can say why, but what it signed counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogKeys {
    trusted: Vec<VerifierKey>,
    convicted: Vec<(VerifierKey, String)>,
}

/// An `add-checkpoint` request that a trusted key of a known log signed.
///
/// Nothing is known yet of the log's history: only [`Authenticated::step`] judges that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    request: AddCheckpoint,
    checkpoint: VerifiedCheckpoint,
}

impl LogKeys {
    /// The keys of one log, all of them trusted.
    pub fn new(keys: impl IntoIterator<Item = VerifierKey>) -> LogKeys {
        LogKeys { trusted: keys.into_iter().collect(), convicted: Vec::new() }
    }

    /// Takes trust away from every key that wraps the same public key as `key`, for a reason that
    /// refusals will name. The log stays known.
    #[must_use]
    pub fn convict(mut self, key: &VerifierKey, reason: &str) -> LogKeys {
        let (fallen, trusted) =
            self.trusted.into_iter().partition(|own| own.public() == key.public());
        let fallen: Vec<VerifierKey> = fallen;
        self.trusted = trusted;
        self.convicted.extend(fallen.into_iter().map(|own| (own, reason.to_owned())));
        self
    }

    /// The keys whose signatures count.
    pub fn trusted(&self) -> &[VerifierKey] {
        &self.trusted
    }

    /// The keys that evidence convicted, each with the reason.
    pub fn convicted(&self) -> &[(VerifierKey, String)] {
        &self.convicted
    }

    /// Whether there is no key at all, so that the log is not known.
    pub fn is_empty(&self) -> bool {
        self.trusted.is_empty() && self.convicted.is_empty()
    }

    /// The keys whose name is the origin: others cannot speak for the log.
    fn of(&self, origin: &Origin) -> LogKeys {
        let is_its = |key: &VerifierKey| key.name().as_str() == origin.as_str();
        LogKeys {
            trusted: self.trusted.iter().filter(|key| is_its(key)).cloned().collect(),
            convicted: self.convicted.iter().filter(|(key, _)| is_its(key)).cloned().collect(),
        }
    }
}

impl AddCheckpoint {
    /// Checks that a trusted key of the log signed the checkpoint, that no line of such a key is
    /// false, and that the old size is not above the new one. `log_keys` are those known for the
    /// checkpoint's origin, `None` if there are none; a key counts when its name is the origin.
    ///
    /// # Errors
    /// [`Refusal`] with status 404, 403 or 400, the first that applies in this order.
    pub fn authenticate(&self, log_keys: Option<&LogKeys>) -> Result<Authenticated, Refusal> {
        let origin = self.checkpoint().checkpoint().origin();
        // SPEC tlog-witness/add-checkpoint: an unknown origin is 404
        let keys = log_keys.map(|keys| keys.of(origin)).unwrap_or_default();
        if keys.is_empty() {
            return Err(Refusal::UnknownOrigin(origin.clone()));
        }
        // SPEC tlog-witness/add-checkpoint: no trusted signature, or a false one, is 403
        let checkpoint = match self.checkpoint().verify(&keys.trusted) {
            Ok(verified) => verified.with_lines_of(&keys.trusted),
            Err(CheckpointError::BadSignature(name)) => return Err(Refusal::BadSignature(name)),
            Err(_) => return Err(self.unsigned(&keys)),
        };
        // SPEC tlog-witness/add-checkpoint: an old size above the checkpoint's is 400
        let (old, size) = (self.old(), checkpoint.head().size);
        if old > size {
            return Err(Refusal::OldTooLarge { old, size });
        }
        Ok(Authenticated { request: self.clone(), checkpoint })
    }

    /// Why no trusted signature was found: nobody signed, or only a convicted key did.
    fn unsigned(&self, keys: &LogKeys) -> Refusal {
        for (key, reason) in &keys.convicted {
            if self.checkpoint().verify(std::slice::from_ref(key)).is_ok() {
                let (name, reason) = (key.name().to_string(), reason.clone());
                return Refusal::Convicted { name, id: key.id(), reason };
            }
        }
        Refusal::NotSigned(self.checkpoint().checkpoint().origin().clone())
    }
}

impl Authenticated {
    /// What the log signed, with its own verified signature lines and no others. **Not** known to
    /// be consistent with anything.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// The request as it came.
    pub fn request(&self) -> &AddCheckpoint {
        &self.request
    }

    /// Judges the request against the head that was cosigned last for this log, `None` if none ever
    /// was, and gives the checkpoint that is now to be kept and cosigned.
    ///
    /// # Errors
    /// [`Refusal`] with status 409 or 422, the first that applies in this order. The state stays.
    pub fn step(&self, latest: Option<&TreeHead>) -> Result<VerifiedCheckpoint, Refusal> {
        let latest = *latest.unwrap_or(&TreeHead::EMPTY);
        let head = self.checkpoint.head();
        // SPEC tlog-witness/add-checkpoint: the old size is the one last cosigned, or it is 409
        if self.request.old() != latest.size {
            return Err(Refusal::Conflict { size: latest.size });
        }
        // SPEC tlog-witness/add-checkpoint: size zero has the empty tree's root, or it is 422
        if head.size.is_empty() && head.root != Hash::EMPTY_ROOT {
            return Err(Refusal::EmptyRoot);
        }
        // SPEC tlog-witness/add-checkpoint: equal sizes have equal roots, or it is 422
        if head.size == latest.size && head.root != latest.root {
            return Err(Refusal::RootMismatch);
        }
        // SPEC tlog-witness/add-checkpoint: an old size of zero has an empty proof, every other one
        // a proof that verifies, or it is 422
        verify_consistency(self.request.proof(), &latest, head).map_err(|error| match error {
            VerifyError::WrongLength if latest.size.is_empty() => Refusal::ProofFromZero,
            error => Refusal::BadProof(error),
        })?;
        Ok(self.checkpoint.clone())
    }
}

/// The name under which a witness serves a log to monitors: lower-case hex SHA-256 of the origin.
// SPEC tlog-witness/monitor-retrieval-mechanism: the origin hash
pub fn origin_hash(origin: &Origin) -> String {
    Hash::digest(origin.as_str().as_bytes()).to_string()
}

#[cfg(all(test, feature = "sign"))]
mod tests;

/// Bytes an `add-checkpoint` request may have: 63 proof lines, and a checkpoint with 64 lines of
/// post-quantum signatures under long names, which is 220 KiB.
pub const MAX_REQUEST_BYTES: usize = 256 * 1024;
