//! Why a witness does not cosign, and how it says so over HTTP.

use crate::checkpoint::{Origin, ParseCheckpointError};
use crate::index::{NumberError, TreeSize};
use crate::merkle::{ParseProofError, VerifyError};
use crate::note::KeyId;

use super::MAX_REQUEST_BYTES;

/// The media type of the body of a 409: one tree size.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// The media type of every other body.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Why a witness does not cosign a checkpoint. Its state stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 413: the body is larger than any request needs to be.
    #[error("a request has at most {MAX_REQUEST_BYTES} bytes")]
    TooLarge,
    /// 400: the body is not an `add-checkpoint` request.
    #[error("malformed request: {0}")]
    Malformed(#[from] Malformed),
    /// 404: the witness does not know the log.
    #[error("this witness does not know the log \"{0}\"")]
    UnknownOrigin(Origin),
    /// 403: no trusted key of the log signed.
    #[error("no trusted key of the log \"{0}\" signed the checkpoint")]
    NotSigned(Origin),
    /// 403: a line names a trusted key but does not verify.
    #[error("the signature line of {0} does not verify")]
    BadSignature(String),
    /// 403: the key that signed is one that evidence convicted.
    #[error("the key {name}+{id} is no longer trusted: {reason}")]
    Convicted {
        /// The key's name.
        name: String,
        /// The key's short identifier.
        id: KeyId,
        /// What the evidence shows.
        reason: String,
    },
    /// 403: other heads of this log are known that nobody could show to belong to its history.
    #[error(
        "heads of size {smaller} and {larger} of the log \"{origin}\" are not shown to belong to \
         one history; nothing is cosigned until they are"
    )]
    Unreconciled {
        /// The log's name.
        origin: Origin,
        /// The size of the smaller head.
        smaller: TreeSize,
        /// The size of the larger head.
        larger: TreeSize,
    },
    /// 400: the old size is above the checkpoint's.
    #[error("the old size {old} is above the checkpoint's size {size}")]
    OldTooLarge {
        /// The old size of the request.
        old: TreeSize,
        /// The checkpoint's size.
        size: TreeSize,
    },
    /// 409: the old size is not the one that was cosigned last.
    #[error("the checkpoint cosigned last has size {size}")]
    Conflict {
        /// The size that was cosigned last, 0 if none was.
        size: TreeSize,
    },
    /// 422: a checkpoint of size zero whose root is not the empty tree's.
    #[error("the root of a checkpoint of size 0 is not the empty tree's")]
    EmptyRoot,
    /// 422: the size that was cosigned last, with another root.
    #[error("the checkpoint cosigned last has the same size and another root")]
    RootMismatch,
    /// 422: a proof where the old size is zero and none is allowed.
    #[error("the proof from size 0 is empty")]
    ProofFromZero,
    /// 422: the consistency proof does not verify.
    #[error("the consistency proof does not verify: {0}")]
    BadProof(VerifyError),
}

/// Why bytes are not an `add-checkpoint` request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// No empty line stands before the checkpoint.
    #[error("no empty line before the checkpoint")]
    NoEmptyLine,
    /// The first line is not `old` and a size.
    #[error("the first line is not \"old <size>\"")]
    OldLine,
    /// The old size is no tree size.
    #[error("the old size is {0}")]
    OldSize(NumberError),
    /// A line of the proof is no hash, or there are too many.
    #[error(transparent)]
    Proof(ParseProofError),
    /// What follows the empty line is no checkpoint.
    #[error(transparent)]
    Checkpoint(ParseCheckpointError),
}

impl Refusal {
    /// The HTTP status.
    // SPEC tlog-witness/add-checkpoint
    pub const fn status(&self) -> u16 {
        match self {
            Refusal::Malformed(_) | Refusal::OldTooLarge { .. } => 400,
            Refusal::NotSigned(_)
            | Refusal::BadSignature(_)
            | Refusal::Convicted { .. }
            | Refusal::Unreconciled { .. } => 403,
            Refusal::UnknownOrigin(_) => 404,
            Refusal::Conflict { .. } => 409,
            Refusal::TooLarge => 413,
            Refusal::EmptyRoot
            | Refusal::RootMismatch
            | Refusal::ProofFromZero
            | Refusal::BadProof(_) => 422,
        }
    }

    /// The media type of [`Refusal::body`].
    // SPEC tlog-witness/add-checkpoint: a 409 has the type text/x.tlog.size
    pub const fn content_type(&self) -> &'static str {
        match self {
            Refusal::Conflict { .. } => SIZE_CONTENT_TYPE,
            _ => TEXT_CONTENT_TYPE,
        }
    }

    /// The body of the answer: the size alone for a 409, else a line that says why.
    // SPEC tlog-witness/add-checkpoint: the size in decimal and a newline
    pub fn body(&self) -> String {
        match self {
            Refusal::Conflict { size } => format!("{size}\n"),
            refusal => format!("{refusal}\n"),
        }
    }
}
