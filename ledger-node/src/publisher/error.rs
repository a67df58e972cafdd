//! Why a log must not sign.

use crate::clock::ClockError;
use ledger_core::Hint;
use ledger_core::TreeSize;

/// Why a log must not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// A head is shown that the log signed and this node does not know.
    #[error(
        "{by} shows {}: it was restored from a backup, copied, or runs twice", shows(*size, *signed)
    )]
    Shown {
        /// Who shows it.
        by: String,
        /// Its size.
        size: TreeSize,
        /// The size of the head that this node signed last.
        signed: TreeSize,
    },
    /// A witness that the policy does not name was to be left out.
    #[error("the policy names no witness {0}")]
    NoSuchWitness(String),
    /// The clock cannot be right.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

fn shows(size: TreeSize, signed: TreeSize) -> String {
    let what = if size > signed { "a head" } else { "another tree" };
    let but =
        if size > signed { "remembers signing only" } else { "has signed other entries up to" };
    format!("{what} of size {size} with this log's signature, but this node {but} {signed}")
}

impl Hint for ConfirmError {
    fn hint(&self) -> &'static str {
        match self {
            ConfirmError::Clock(error) => error.hint(),
            ConfirmError::NoSuchWitness(_) => {
                "give the witness's name in the policy; `ledger witness status` shows them"
            }
            ConfirmError::Shown { .. } => {
                "nothing was signed, and the head is kept in private/found. Stop every other node \
                 of this log, then fetch what is missing from a copy of the site: `ledger-node \
                 recover --dir DIR --from URL`"
            }
        }
    }
}
