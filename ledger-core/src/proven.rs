//! "This record is in that log under this policy": the one function that concludes it.
//!
//! ```
//! use ledger_core::policy::Policy;
//! use ledger_core::proof::TlogProof;
//! use ledger_core::{ProvenRecord, RecordProofError};
//!
//! fn index_of(record: &[u8], proof: &TlogProof, policy: &Policy) -> Result<u64, RecordProofError> {
//!     let proven = ProvenRecord::verify(record, proof, policy)?;
//!     Ok(proven.index().get())
//! }
//! # let _ = index_of;
//! ```

use crate::Hint;
use crate::checkpoint::Origin;
use crate::hash::Hash;
use crate::index::LeafIndex;
use crate::merkle::TreeHead;
use crate::policy::{AcceptedCheckpoint, Policy};
use crate::proof::{TlogProof, TlogProofError};
use crate::record::{Logged, Outline, RecordError};

/// A record that is proven to be in a log, under a checkpoint that a policy accepts.
///
/// Who may sign such a record is another question: see
/// [`Governance::judge`](crate::charter::Governance::judge).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRecord {
    logged: Logged,
    index: LeafIndex,
    accepted: AcceptedCheckpoint,
}

/// Why a proof does not prove that a record is in a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProofError {
    /// The proof has no `logged` line, which makes the leaf together with the record.
    #[error("the proof carries no `logged` line, so it is not of a record")]
    NoLoggedLine,
    /// The policy does not accept the checkpoint, or the entry is not proven to be in its tree.
    #[error(transparent)]
    Proof(#[from] TlogProofError),
    /// The entry is in the log, and is not a record.
    #[error("it is in the log, but is no record: {0}")]
    NoRecord(RecordError),
    /// The entry is in the log, and the record names another log.
    #[error("the record is meant for the log {meant}, but it is in the log {log}")]
    OtherLog {
        /// The log that the record names.
        meant: String,
        /// The log that it is in.
        log: Origin,
    },
}

impl Hint for RecordProofError {
    fn hint(&self) -> &'static str {
        match self {
            RecordProofError::NoLoggedLine => {
                "the proof file is damaged: fetch a fresh one with `ledger prove`"
            }
            RecordProofError::Proof(_) => {
                "record or proof was altered, or they do not belong together; was a signature added \
                 after it was logged? see X.logged.record"
            }
            RecordProofError::NoRecord(error) => error.hint(),
            RecordProofError::OtherLog { .. } => {
                "a caller logged it where it does not belong: it has no force there"
            }
        }
    }
}

impl ProvenRecord {
    /// Judges the proof of a record, given as the bytes of its file: the policy accepts the proof's
    /// checkpoint, the record with the log's line is the entry at the proof's index in that tree,
    /// and the record names that log.
    ///
    /// # Errors
    /// [`RecordProofError`] says what is not proven.
    // SPEC tlog-proof/verifying
    pub fn verify(
        record: &[u8],
        proof: &TlogProof,
        policy: &Policy,
    ) -> Result<ProvenRecord, RecordProofError> {
        let line = proof.extra.as_deref().ok_or(RecordProofError::NoLoggedLine)?;
        let text = std::str::from_utf8(line).ok();
        let logged = text.and_then(|line| Logged::parse(line).ok());
        let logged = logged.ok_or(RecordProofError::NoLoggedLine)?;
        let leaf = Hash::leaf(&[line, record].concat());
        let accepted = proof.verify(&leaf, policy)?;
        let outline = Outline::parse(record).map_err(RecordProofError::NoRecord)?;
        let (meant, log) = (outline.envelope().log(), accepted.checkpoint.origin());
        if meant != log.as_str() {
            let (meant, log) = (meant.to_owned(), log.clone());
            return Err(RecordProofError::OtherLog { meant, log });
        }
        Ok(ProvenRecord { logged, index: proof.index, accepted })
    }

    /// What the log says about the record: when it was logged, and by which rules it is judged.
    pub fn logged(&self) -> Logged {
        self.logged
    }

    /// The record's index in the log.
    pub fn index(&self) -> LeafIndex {
        self.index
    }

    /// The tree that it is proven to be in.
    pub fn head(&self) -> &TreeHead {
        self.accepted.checkpoint.head()
    }

    /// The checkpoint of that tree, with the witnesses that cosigned it.
    pub fn accepted(&self) -> &AcceptedCheckpoint {
        &self.accepted
    }
}
