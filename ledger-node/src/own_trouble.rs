//! Why the node's own log must sign nothing more.

use ledger_core::Hint;
use ledger_core::TreeSize;
use ledger_core::evidence::EvidenceId;

/// Why the node's own log must sign nothing more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OwnTrouble {
    /// There is a head of this log that this node did not sign.
    #[error(
        "peers hold a head of size {0} with this log's signature that this node does not know: its \
         key is in other hands, or the log was copied or runs twice"
    )]
    Unknown(TreeSize),
    /// There is evidence against every key of the log.
    #[error("evidence {0} convicts this log")]
    Convicted(EvidenceId),
    /// The disk failed: a node that cannot keep evidence must not go on as if there were none.
    #[error("evidence cannot be kept: {0}")]
    Unkept(String),
}

impl Hint for OwnTrouble {
    fn hint(&self) -> &'static str {
        match self {
            OwnTrouble::Unkept(_) => "check the disk, then start the node again",
            _ => {
                "nothing more is signed. See `ledger gossip status` and `ledger evidence list`; the \
                 members of the consortium decide about a new key, or a new log that succeeds this one"
            }
        }
    }
}
