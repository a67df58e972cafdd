//! Why a copy does not go on.

use ledger_core::evidence::EvidenceId;
use ledger_core::record::format_time;
use ledger_core::{LeafIndex, TreeSize};

use super::MirrorError;
use super::feed::FeedError;
use crate::governance::GovernanceError;
use crate::index::IndexError;
use crate::log::ReadError;
use crate::store::StoreError;

/// Why nothing more of a log is cosigned. What was cosigned before stays served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The source cannot be read, or is not what its log signed.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The checkpoint is not one of this log's.
    #[error("the source's checkpoint does not count: {0}")]
    Foreign(String),
    /// Two heads that do not belong to one history.
    #[error("the source shows another history: {0}")]
    Contradiction(String),
    /// The entry lies too far ahead of the clock.
    #[error("entry {index} is of the future: nothing behind it is cosigned before {}", format_time(*.until))]
    Future {
        /// The entry.
        index: LeafIndex,
        /// When its time has come.
        until: u64,
    },
    /// A rule refuses an entry.
    #[error("entry {index} is unlawful: {why}")]
    Unlawful {
        /// The entry.
        index: LeafIndex,
        /// The rule.
        why: String,
    },
    /// This version cannot judge an entry.
    #[error("entry {index} cannot be judged by this version: {why}")]
    NotJudged {
        /// The entry.
        index: LeafIndex,
        /// What is not known.
        why: String,
    },
    /// There is evidence against every key that signed.
    #[error("evidence {0} convicts the log's key")]
    Convicted(EvidenceId),
    /// The log signed heads that nobody shows to belong together.
    #[error(
        "unreconciled: nobody shows that the log's heads of sizes {smaller} and {larger} belong to \
         one history"
    )]
    Unreconciled {
        /// Of one head.
        smaller: TreeSize,
        /// Of the other.
        larger: TreeSize,
    },
    /// The own disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The own copy cannot be read.
    #[error(transparent)]
    Own(#[from] ReadError),
    /// The own copy's governance entries.
    #[error(transparent)]
    Governance(#[from] GovernanceError),
    /// The own index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The promises.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The node stops, or the log was removed from the list.
    #[error("the mirror stops")]
    Stopped,
}

impl Trouble {
    /// A word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Trouble::Feed(FeedError::Unreachable(_)) => "unreachable",
            Trouble::Feed(FeedError::Damaged(_)) => "damaged",
            Trouble::Foreign(_) => "foreign",
            Trouble::Contradiction(_) => "contradiction",
            Trouble::Future { .. } => "future",
            Trouble::Unlawful { .. } => "unlawful",
            Trouble::NotJudged { .. } => "not-judged",
            Trouble::Convicted(_) => "convicted",
            Trouble::Unreconciled { .. } => "unreconciled",
            Trouble::Store(_) | Trouble::Own(_) | Trouble::Governance(_) => "storage",
            Trouble::Index(_) | Trouble::Mirror(_) => "storage",
            Trouble::Stopped => "stopped",
        }
    }
}
