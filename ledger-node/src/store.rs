//! The storage contract: few methods, exact promises.
//!
//! A store holds four things. The *journal* fixes the order of entries and is durable when
//! [`Store::append`] returns. *Tiles* are a pure function of the journal; they are immutable once
//! written, and the store makes them durable before it forgets the journal that they came from. The
//! *head* is what the log has promised: it changes by compare-and-swap only. The *checkpoint* is
//! what readers see.

pub mod disk;
mod journal;
pub mod memory;
pub(crate) mod site;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod edge_tests;

use std::io;
use std::path::{Path, PathBuf};

use ledger_core::Hint;
use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::merkle::TreeHead;
use ledger_core::tile::TileCoord;

/// What the journal still holds: the tree it starts from and the batches since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The tree before the first batch. Its tiles are durable.
    pub base: TreeHead,
    /// The entries of each batch, in order.
    pub batches: Vec<Vec<Vec<u8>>>,
}

/// A change of the head: it happens only if the head is still `old`.
#[derive(Debug, Clone, Copy)]
pub struct HeadSwap<'a> {
    /// The head that the caller read, as a signed note.
    pub old: Option<&'a str>,
    /// The head to promise, as a signed note.
    pub new: &'a str,
}

/// A part of a stored file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many bytes the whole file has.
    pub file_len: u64,
}

/// Where the tiles and bundles of a log can be read.
pub trait Files: Send + Sync + 'static {
    /// The bytes of a tile or bundle, if it exists.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, StoreError>;

    /// The bytes of a tile or bundle from the offset `from` on, if the file exists: `most` of them,
    /// or fewer where the file ends before. A bundle may have 16 MiB, so a request reads a part.
    ///
    /// # Errors
    /// [`StoreError`].
    fn part(
        &self,
        coord: TileCoord,
        from: u64,
        most: usize,
    ) -> Result<Option<FilePart>, StoreError>;
}

/// Where a log lives. All methods block; a failed write leaves it unknown whether it was applied,
/// and the caller stops, reopens and replays.
pub trait Store: Files {
    /// Everything the journal holds, to bring tiles and head up to it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the journal's middle is damaged; an unfinished last batch is no
    /// error, for nobody was told that it is logged.
    fn replay(&self) -> Result<Replay, StoreError>;

    /// Appends a batch behind the tree `at`, whose tiles have been put. Durable on success.
    ///
    /// # Errors
    /// [`StoreError`]; after one the store takes no more batches.
    fn append(&self, at: &TreeHead, entries: &[Vec<u8>]) -> Result<(), StoreError>;

    /// Writes a tile or bundle, unless it is there with the same bytes. A full one replaces the
    /// partial ones at its place, except those of the tree that readers see.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when other bytes are there; they stay.
    fn put(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError>;

    /// Writes a tile or bundle that replaying the journal gave, over whatever a crash left there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn restore(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError>;

    /// The last head that was promised, as a signed note.
    ///
    /// # Errors
    /// [`StoreError`].
    fn head(&self) -> Result<Option<String>, StoreError>;

    /// Promises a head, if the last one is still what the caller believes.
    ///
    /// # Errors
    /// [`StoreError::HeadMoved`] when it is not.
    fn swap_head(&self, swap: HeadSwap<'_>) -> Result<(), StoreError>;

    /// Writes the partial tiles anew that the tree of `seen` leaves ends with, where the stored tree
    /// has wider ones to cut them from. Called after the journal was replayed, with the size that
    /// readers see: what a crash left of these tiles is not known.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] where neither such a tile nor the wider one is whole.
    fn restore_edge(&self, seen: TreeSize, stored: &TreeHead) -> Result<(), StoreError>;

    /// Shows readers a checkpoint. All tiles of its tree exist as files, before and after: the store
    /// first writes again the partial ones that full ones have replaced, and last removes those of
    /// the tree that readers saw before.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Damaged`] where a tile of the tree is not there at all.
    fn publish(&self, checkpoint: &ClaimedCheckpoint) -> Result<(), StoreError>;

    /// The checkpoint that readers see, if any.
    ///
    /// # Errors
    /// [`StoreError`].
    fn published(&self) -> Result<Option<String>, StoreError>;
}

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else has the log open.
    #[error("another process has the log in {0} open")]
    Locked(PathBuf),
    /// Stored bytes are not what was written.
    #[error("stored data are damaged: {0}")]
    Damaged(String),
    /// An immutable file is there with other bytes.
    #[error("{0} is already there with different bytes")]
    Conflict(TileCoord),
    /// The head is not what the caller believed: somebody else signs for this log.
    #[error("the promised head changed behind this node's back")]
    HeadMoved,
    /// The key-value store of promises failed.
    #[error("the state database failed: {0}")]
    State(#[from] sled::Error),
    /// A write failed before; whether it was applied shows when the log is opened again.
    #[error("an earlier write failed, so nothing more is written until the log is opened again")]
    Failed,
}

impl StoreError {
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.as_ref().to_owned();
        move |source| StoreError::Io { action, path, source }
    }
}

impl Hint for StoreError {
    fn hint(&self) -> &'static str {
        match self {
            StoreError::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => "free disk space, then start the node again",
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "the node's user must be able to write in the log's directory"
                }
                io::ErrorKind::NotFound => "is this the directory of a log? see ledger-node init",
                _ => "check the disk (its kernel messages), then start the node again",
            },
            StoreError::Locked(_) => "stop the other node first; one log has one writer",
            StoreError::Damaged(_) => {
                "keep the directory as it is, run `ledger audit` on its site, and restore what is \
                 damaged from a backup or mirror"
            }
            StoreError::Conflict(_) | StoreError::HeadMoved => {
                "two nodes have written to one log; stop both and run `ledger audit`"
            }
            StoreError::State(_) => "check the disk and private/state, then start the node again",
            StoreError::Failed => "see the first error in the node's output",
        }
    }
}
