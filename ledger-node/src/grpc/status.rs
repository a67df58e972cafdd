//! What went wrong with a call, as a gRPC status or as a line in a stream of answers.

use crate::log::ReadError;
use crate::lookup::FindError;
use crate::refusal::{PendingRefusal, Refusal};
use crate::service::Unpublished;
use ledger_core::Hint;
use ledger_core::LeafIndex;
use ledger_core::hash::Hash;
use ledger_proto::v1::{self as wire};
use tonic::{Code, Status};

/// Bytes of a status message: clients limit how long headers may be.
pub(super) const MAX_MESSAGE: usize = 1024;

/// What went wrong, before it becomes a status or a line in a stream of answers.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) hint: String,
}

impl CallError {
    pub(super) fn new(code: Code, message: impl ToString, hint: &str) -> CallError {
        CallError { code, message: message.to_string(), hint: hint.to_owned() }
    }

    /// With at most so many bytes of its message.
    pub(super) fn cut(mut self, most: usize) -> CallError {
        if self.message.len() > most {
            self.message.truncate(self.message.floor_char_boundary(most));
        }
        self.message.shrink_to_fit();
        self
    }

    /// What its texts take of the heap.
    pub(super) fn text_bytes(&self) -> usize {
        size_of::<CallError>() + self.message.capacity() + self.hint.capacity()
    }
}

impl From<CallError> for Status {
    fn from(failure: CallError) -> Status {
        let CallError { code, message, hint } = failure;
        let mut text = if hint.is_empty() { message } else { format!("{message}\nhint: {hint}") };
        text.truncate(text.floor_char_boundary(MAX_MESSAGE));
        Status::new(code, text)
    }
}

impl From<CallError> for wire::Refusal {
    fn from(failure: CallError) -> wire::Refusal {
        let CallError { code, message, hint } = failure;
        wire::Refusal { code: code.into(), message, hint }
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> CallError {
        CallError::new(refusal_code(&refusal), &refusal, refusal.hint())
    }
}

impl From<PendingRefusal> for CallError {
    fn from(refusal: PendingRefusal) -> CallError {
        CallError::new(pending_code(&refusal), &refusal, refusal.hint())
    }
}

impl From<Unpublished> for CallError {
    fn from(unpublished: Unpublished) -> CallError {
        CallError::new(Code::Unavailable, unpublished, unpublished.hint())
    }
}

impl From<ReadError> for CallError {
    fn from(error: ReadError) -> CallError {
        match &error {
            ReadError::OutOfRange(_) | ReadError::SizesReversed(_) => {
                CallError::new(Code::OutOfRange, &error, "ask for what the published tree has")
            }
            ReadError::Store(store) => CallError::new(Code::Internal, &error, store.hint()),
            _ => CallError::new(Code::DataLoss, &error, "tell the operator to run `ledger audit`"),
        }
    }
}

impl From<FindError> for CallError {
    fn from(error: FindError) -> CallError {
        match error {
            FindError::Read(error) => error.into(),
            FindError::Index(error) => CallError::new(
                Code::Internal,
                error,
                "tell the operator to run ledger-node reindex",
            ),
        }
    }
}

pub(super) fn invalid(message: impl ToString, hint: &str) -> CallError {
    CallError::new(Code::InvalidArgument, message, hint)
}

pub(super) fn damaged(index: LeafIndex) -> CallError {
    let hint = "tell the operator to run `ledger audit`";
    CallError::new(Code::DataLoss, format!("entry {index} is stored damaged"), hint)
}

/// The status code of a refusal; see `ledger.proto`.
pub(super) fn refusal_code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Malformed(_) => Code::InvalidArgument,
        Refusal::NotAllowed(rejection) if rejection.is_not_supported() => Code::Unimplemented,
        Refusal::NotAllowed(_) => Code::PermissionDenied,
        Refusal::Revision { .. } | Refusal::Unpublishable(_) => Code::FailedPrecondition,
        Refusal::IdTaken(_) => Code::AlreadyExists,
        Refusal::LogFull | Refusal::Busy | Refusal::PoliciesPending(_) => Code::ResourceExhausted,
        Refusal::ShuttingDown | Refusal::Unknown => Code::Unavailable,
        Refusal::Internal(_) => Code::Internal,
        Refusal::Damaged(_) => Code::DataLoss,
    }
}

/// The status code of a refusal about a draft; see `ledger.proto`.
pub(super) fn pending_code(refusal: &PendingRefusal) -> Code {
    use PendingRefusal as P;
    match refusal {
        P::Record(refusal) => refusal_code(refusal),
        P::Request(error) if error.is_about_the_asker() => Code::PermissionDenied,
        P::Decline(error) if error.is_about_the_signer() => Code::PermissionDenied,
        P::Request(_) | P::Decline(_) | P::SignatureLine => Code::InvalidArgument,
        P::Replayed
        | P::NotTheAskers { .. }
        | P::NotTheProposer(_)
        | P::AskerHasNotSigned(_)
        | P::NobodyItNames(_) => Code::PermissionDenied,
        P::NoSuchDraft => Code::NotFound,
        P::AlreadyLogged(_) | P::AlreadyPending | P::IdPending(_) | P::HasSigned(_) => {
            Code::AlreadyExists
        }
        P::Settled(_) | P::BeingLogged | P::CannotBeCompleted(_) | P::NotNeeded(_) => {
            Code::FailedPrecondition
        }
        P::TooManyDrafts(_) | P::TooManyRequests(_) | P::NoRoom => Code::ResourceExhausted,
        P::Storage(_) => Code::Internal,
    }
}

pub(super) fn hash_of(bytes: &[u8], what: &str) -> Result<Hash, CallError> {
    bytes.try_into().map(Hash::from_bytes).map_err(|_| {
        invalid(format!("{what} has {} bytes", bytes.len()), "a SHA-256 hash has 32 raw bytes")
    })
}
