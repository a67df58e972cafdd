//! Why a record was not logged, for whoever submitted it.

use ledger_core::LeafIndex;
use ledger_core::charter::Rejection;
use ledger_core::record::RecordError;

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

impl Refusal {
    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            Refusal::Malformed(error) => error.hint(),
            Refusal::NotAllowed(rejection) => rejection.hint(),
            Refusal::IdTaken(_) => {
                "make a new draft with a fresh id (`ledger record new`), or submit the logged record"
            }
            Refusal::Revision { .. } => "look the last revision up, and number this one after it",
            Refusal::Unpublishable(error) => error.hint(),
            Refusal::LogFull => "the consortium needs a new log",
            Refusal::ShuttingDown | Refusal::Busy => "submit it again in a while",
            Refusal::Unknown => "submit it again once the node runs: it is logged at most once",
            Refusal::Internal(_) | Refusal::Damaged(_) => {
                "tell the node's operator; nothing was logged"
            }
        }
    }
}
