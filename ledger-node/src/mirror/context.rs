//! What the parts of a copy share: which log it is, where it is read, and where it is kept.

use std::cell::Cell;
use std::sync::Arc;

use ledger_core::LeafIndex;
use ledger_core::charter::Charter;
use ledger_core::checkpoint::ClaimedCheckpoint;

use super::Common;
use super::feed::Feed;
use super::list::Mirrored;
use super::served::ServedCopy;

/// A log that is copied, and its surroundings.
pub struct CopyContext {
    /// The log, as the list names it.
    pub log: Mirrored,
    /// What all copies of the mirror share.
    pub common: Arc<Common>,
    /// What readers of the copy see.
    pub served: Arc<ServedCopy>,
    /// Where the log is read.
    pub feed: Arc<Feed>,
    /// The change for which authority bundles were made last, and whether the held checkpoint
    /// covered it. A bundle that is too large to be carried is not made again and again.
    pub shown: Cell<Option<(LeafIndex, bool)>>,
}

/// How far a copy has come.
#[derive(Clone, Copy)]
pub struct CopyProgress<'a> {
    /// The rules behind the copied entries, of a log with a charter.
    pub charter: Option<&'a Arc<Charter>>,
    /// The checkpoint that the mirror cosigned last.
    pub held: Option<&'a ClaimedCheckpoint>,
}
