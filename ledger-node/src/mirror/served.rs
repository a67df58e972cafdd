//! One copy as readers see it: what is cosigned, its files, and how the copying is doing.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ledger_core::TreeSize;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::merkle::{ConsistencyProof, PrefixProof, TreeHead, verify_consistency};
use ledger_core::tile::TileCoord;

use crate::log::{LogReader, ReadError};
use crate::store::site::Site;

/// A copy.
pub struct ServedCopy {
    origin: Origin,
    pub(super) site: Arc<Site>,
    pub(super) reader: Arc<LogReader>,
    held: RwLock<Option<Arc<ClaimedCheckpoint>>>,
    status: Mutex<Status>,
}

/// How a copy is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Where it is read from; empty where the list names the log no longer.
    pub source: String,
    /// The size of the checkpoint that is being copied.
    pub pending: Option<u64>,
    /// How many entries are on the disk.
    pub copied: u64,
    /// Why nothing more is cosigned, if something is wrong, and since when.
    pub trouble: Option<(CopyTrouble, u64)>,
}

/// What is wrong with a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyTrouble {
    /// For programs.
    pub kind: &'static str,
    /// For people.
    pub text: String,
}

/// How a copy is doing, in one word. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All that the source has shown is cosigned.
    Current,
    /// A checkpoint is being copied.
    Copying,
    /// Nothing more is cosigned: [`Status::trouble`] says why.
    Stopped,
    /// The list names the log no longer; its copy stays.
    Left,
}

impl Progress {
    /// All of them.
    pub const ALL: [Progress; 4] =
        [Progress::Current, Progress::Copying, Progress::Stopped, Progress::Left];

    /// For programs.
    pub fn word(self) -> &'static str {
        match self {
            Progress::Current => "current",
            Progress::Copying => "copying",
            Progress::Stopped => "stopped",
            Progress::Left => "left",
        }
    }
}

impl ServedCopy {
    pub(super) fn new(origin: Origin, site: Site) -> ServedCopy {
        let site = Arc::new(site);
        let reader = Arc::new(LogReader::new(site.clone()));
        ServedCopy { origin, site, reader, held: RwLock::default(), status: Mutex::default() }
    }

    /// The log's name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The checkpoint with the mirror's cosignatures, if there is one.
    // SPEC tlog-mirror/introduction: what is served includes the mirror's cosignature
    pub fn checkpoint(&self) -> Option<Arc<ClaimedCheckpoint>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the tree of `larger` was at a smaller size, if what is copied begins with the tree of
    /// `larger`: what gossip has to be shown before more is cosigned may lie between the two.
    pub fn prove_prefix(&self, smaller: TreeSize, larger: &TreeHead) -> Option<PrefixProof> {
        let copied = TreeSize::new(self.status().copied).ok()?;
        self.reader.tree(copied).prove_prefix(smaller, larger)
    }

    /// How the copying is doing.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it is doing, in one word.
    pub fn progress(&self) -> Progress {
        let Status { source, pending, trouble, .. } = self.status();
        let held = self.checkpoint().map(|held| held.checkpoint().head().size.get());
        match (source.is_empty(), trouble) {
            (true, _) => Progress::Left,
            (false, Some(_)) => Progress::Stopped,
            (false, None) if held.is_some() && pending.is_none_or(|size| Some(size) == held) => {
                Progress::Current
            }
            _ => Progress::Copying,
        }
    }

    /// Whether a tile or bundle is of the tree that is cosigned.
    pub fn shows(&self, coord: TileCoord) -> bool {
        let held = self.checkpoint();
        held.is_some_and(|held| coord.is_within(held.checkpoint().head().size))
    }

    /// The copied files.
    pub fn reader(&self) -> &Arc<LogReader> {
        &self.reader
    }

    /// The proof that the tree of `new` leaves begins with that of `old`, both of the cosigned
    /// tree; the proof has been verified.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] where nothing so large is cosigned, [`ReadError::SizesReversed`],
    /// and what hinders reading the copy.
    pub fn consistency(&self, old: TreeSize, new: TreeSize) -> Result<ConsistencyProof, ReadError> {
        let held = self.checkpoint().ok_or(ReadError::OutOfRange(TreeSize::ZERO))?;
        let size = held.checkpoint().head().size;
        if new > size {
            return Err(ReadError::OutOfRange(size));
        }
        let tree = self.reader.tree(size);
        let proof = tree.consistency(old, new)?;
        verify_consistency(&proof, &tree.head(old)?, &tree.head(new)?)
            .map_err(|e| ReadError::Inconsistent(old, e))?;
        Ok(proof)
    }

    pub(super) fn show(&self, checkpoint: Option<ClaimedCheckpoint>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = checkpoint.map(Arc::new);
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
