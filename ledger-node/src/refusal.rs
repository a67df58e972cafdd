//! Why a record was not logged, for whoever submitted it; and why a draft was not taken, signed or
//! shown, for the member that asked.

use ledger_core::Hint;
use ledger_core::LeafIndex;
use ledger_core::charter::{MAX_POLICY_WITNESSES, Rejection};
use ledger_core::decline::DeclineError;
use ledger_core::record::{RecordError, StatementId};
use ledger_core::request::RequestError;

use crate::publisher::PublisherError;

/// Why a record was not logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes are not a record.
    #[error(transparent)]
    Malformed(#[from] RecordError),
    /// The charter does not allow it.
    #[error(transparent)]
    NotAllowed(#[from] Rejection),
    /// The issuer has used this id for another record.
    #[error("its issuer has used this id for another record, which is entry {0}")]
    IdTaken(LeafIndex),
    /// The record is not the next revision of its series.
    #[error("`rev` is {found}, but the next revision of the series is {expected}")]
    Revision {
        /// One more than the last revision.
        expected: u64,
        /// The record's.
        found: u64,
    },
    /// After this governance record the node could not publish: it has other keys.
    #[error("this node could not publish under the changed charter: {0}")]
    Unpublishable(PublisherError),
    /// The new policy, and those whose witnesses have yet to cosign a head for readers, have more
    /// witnesses than a checkpoint has room for.
    #[error(
        "the new policy and those that readers have not left behind yet have {0} different \
         witnesses; a checkpoint has room for {MAX_POLICY_WITNESSES}"
    )]
    PoliciesPending(usize),
    /// The tree has all the leaves it can have.
    #[error("the log is full")]
    LogFull,
    /// The node is shutting down.
    #[error("the node is shutting down; the record was not logged")]
    ShuttingDown,
    /// The queue stayed full.
    #[error("the node is busy; the record was not logged")]
    Busy,
    /// The node's disk failed while the record was on its way.
    #[error("the node stopped before it knew whether the record is logged")]
    Unknown,
    /// The node cannot read its own log.
    #[error("the node cannot check its log: {0}")]
    Internal(String),
    /// The entry that may be the same is stored damaged.
    #[error("the node cannot tell whether the record is logged: {0}")]
    Damaged(String),
}

impl Hint for Refusal {
    fn hint(&self) -> &'static str {
        match self {
            Refusal::Malformed(error) => error.hint(),
            Refusal::NotAllowed(rejection) => rejection.hint(),
            Refusal::IdTaken(_) => {
                "make a new draft with a fresh id (`ledger record new`), or submit the logged record"
            }
            Refusal::Revision { .. } => "look the last revision up, and number this one after it",
            Refusal::Unpublishable(error) => error.hint(),
            Refusal::PoliciesPending(_) => {
                "submit it again once a head under the policy in force is published: see `ledger \
                 checkpoint`"
            }
            Refusal::LogFull => "the consortium needs a new log",
            Refusal::ShuttingDown | Refusal::Busy => "submit it again in a while",
            Refusal::Unknown => "submit it again once the node runs: it is logged at most once",
            Refusal::Internal(_) | Refusal::Damaged(_) => {
                "tell the node's operator; nothing was logged"
            }
        }
    }
}

/// Why nothing was done about a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PendingRefusal {
    /// The request is not a member's for this call and time.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The request was acted upon before.
    #[error("the request's nonce was used before")]
    Replayed,
    /// The member asks too often.
    #[error("{0:?} has made too many requests in the last minutes")]
    TooManyRequests(String),
    /// The record could not be logged, whoever signed it.
    #[error(transparent)]
    Record(#[from] Refusal),
    /// The decline is not a member's.
    #[error(transparent)]
    Decline(#[from] DeclineError),
    /// No draft has this statement id.
    #[error("no draft with this statement id waits")]
    NoSuchDraft,
    /// The draft does not wait any more.
    #[error("the draft waits no more: it is {0}")]
    Settled(&'static str),
    /// The statement is in the log.
    #[error("it waits no more: it is logged as entry {0}")]
    AlreadyLogged(LeafIndex),
    /// The draft is on its way into the log.
    #[error("the draft is being logged")]
    BeingLogged,
    /// The same draft waits already.
    #[error("this draft waits already")]
    AlreadyPending,
    /// Another draft of the issuer has the same id.
    #[error("its issuer has used this id for the draft {0}, which waits")]
    IdPending(StatementId),
    /// Whoever proposes has not signed.
    #[error("{0:?} proposes a record that it has not signed")]
    AskerHasNotSigned(String),
    /// Nobody for whom the record speaks has signed.
    #[error("neither the issuer {0:?} nor a key that `signers` names has signed")]
    NobodyItNames(String),
    /// No members are left who could give what it lacks.
    #[error("no members can sign for what it lacks: {0}")]
    CannotBeCompleted(String),
    /// The member has as many drafts waiting as it may.
    #[error("{0:?} has as many drafts waiting as one member may")]
    TooManyDrafts(String),
    /// The node has no room for more drafts.
    #[error("the node has no room for more drafts")]
    NoRoom,
    /// What was sent is not one signature line.
    #[error("the signature is not one signature line with its newline")]
    SignatureLine,
    /// The signature or the decline is somebody else's than the request.
    #[error("{name:?} is not a key or name of {asker:?}, which asks")]
    NotTheAskers {
        /// Whose signature or decline it is.
        name: String,
        /// The member that signed the request.
        asker: String,
    },
    /// The member or key has signed already.
    #[error("{0:?} has signed the draft already")]
    HasSigned(String),
    /// The signature or decline of this member changes nothing.
    #[error("the draft does not wait for {0:?}")]
    NotNeeded(String),
    /// Only the proposer and the issuer may take a draft back.
    #[error("{0:?} has neither proposed nor issued the draft")]
    NotTheProposer(String),
    /// The node's disk failed.
    #[error("the node cannot keep it: {0}")]
    Storage(String),
}

impl Hint for PendingRefusal {
    fn hint(&self) -> &'static str {
        match self {
            PendingRefusal::Request(error) => error.hint(),
            PendingRefusal::Replayed => "sign a new request",
            PendingRefusal::TooManyRequests(_) => "ask less often; it passes in ten minutes",
            PendingRefusal::Record(refusal) => refusal.hint(),
            PendingRefusal::Decline(error) => error.hint(),
            PendingRefusal::NoSuchDraft => "see what waits: ledger inbox --key FILE",
            PendingRefusal::Settled(_) => "propose it again if it is still wanted",
            PendingRefusal::AlreadyLogged(_) => {
                "see it with `ledger record show STATEMENT`; to join it, log a response to it"
            }
            PendingRefusal::BeingLogged => "look again in a moment",
            PendingRefusal::AlreadyPending => "sign it there: ledger inbox sign STATEMENT",
            PendingRefusal::IdPending(_) => {
                "withdraw the other draft first, or make one with a fresh id"
            }
            PendingRefusal::AskerHasNotSigned(_) => "sign the record with a key of the same member",
            PendingRefusal::NobodyItNames(_) => "let the issuer propose it, or sign it first",
            PendingRefusal::CannotBeCompleted(_) => {
                "see in the charter who holds these roles and has a key"
            }
            PendingRefusal::TooManyDrafts(_) => "withdraw a draft, or wait until one is settled",
            PendingRefusal::NoRoom => "wait until some drafts are settled",
            PendingRefusal::SignatureLine => "send the line as it will stand in the record",
            PendingRefusal::NotTheAskers { .. } => "sign both with a key of one member",
            PendingRefusal::HasSigned(_) => "the proposer or the issuer can withdraw the draft",
            PendingRefusal::NotNeeded(_) => "to join a logged record, log a response to it",
            PendingRefusal::NotTheProposer(_) => "decline it instead",
            PendingRefusal::Storage(_) => "tell the node's operator; the draft is as it was",
        }
    }
}
