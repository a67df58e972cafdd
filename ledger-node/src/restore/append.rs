//! Bringing back what a restored or copied directory misses, out of another copy of the log.
//!
//! Nothing is written before all of it is proven to be this log's own: the missing entries, behind
//! those that are here, must give the root of a checkpoint that a key of the log signed, and hold
//! every head that this node remembers to have promised or shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_core::Hint;
use ledger_core::batch::{AppendError, Edge};
use ledger_core::charter::ReplayError;
use ledger_core::checkpoint::{
    Checkpoint, CheckpointError, ClaimedCheckpoint, ParseCheckpointError,
};
use ledger_core::merkle::{self, TreeHead};
use ledger_core::record::{Entry, EntryError, StatementId};
use ledger_core::tile::{
    BundleError, EntryBundle, TILE_WIDTH, TileCoord, TileKind, TileReader, TileSource,
};
use ledger_core::{Hash, LeafIndex, TreeSize};

use crate::config::{Config, read_key};
use crate::governance::{self, GovernanceError};
use crate::index::{EntryKeys, Index};
use crate::log::{LogReader, ReadError};
use crate::log_dir::{LogDirError, from_log_dir};
use crate::recovery::{Demand, Recovered, recover_as_far};
use crate::source::{self, Source};
use crate::store::disk::{DiskStore, Layout};
use crate::store::{HeadSwap, Store, StoreError};

/// What was brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// How many entries were here.
    pub had: TreeSize,
    /// How many are here now.
    pub has: TreeSize,
}

/// Why nothing more was brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The directory of the log.
    #[error(transparent)]
    Dir(#[from] LogDirError),
    /// The own log cannot be read.
    #[error(transparent)]
    Own(#[from] ReadError),
    /// The own governance entries cannot be read.
    #[error(transparent)]
    Governance(#[from] GovernanceError),
    /// A file of the copy cannot be read.
    #[error("the copy's {0} {1}")]
    Copy(String, source::SourceError),
    /// The copy's checkpoint is none.
    #[error("the copy's checkpoint: {0}")]
    Checkpoint(#[from] ParseCheckpointError),
    /// It is a copy of another log.
    #[error("this is a copy of the log \"{0}\"")]
    OtherLog(String),
    /// No key of this log signed the copy's checkpoint.
    #[error("the copy's checkpoint is not this log's: {0}")]
    NotSigned(CheckpointError),
    /// A bundle of the copy is damaged.
    #[error("the copy's {0} is damaged: {1}")]
    Bundle(TileCoord, BundleError),
    /// An entry of the copy is none.
    #[error("entry {0} of the copy is none of this log: {1}")]
    Entry(LeafIndex, EntryError),
    /// The copy's governance entries do not follow from those that are here.
    #[error("the copy's governance entries do not follow from those that are here: {0}")]
    Replay(#[from] ReplayError),
    /// The copy's tree does not begin with the entries that are here.
    #[error(
        "the copy holds another history: its tree of {0} entries does not begin with the entries \
         that are here, although a key of this log signed it"
    )]
    OtherHistory(TreeSize),
    /// The copy has less than this log has promised.
    #[error("the copy ends at {has} entries, but this log has promised {promised}")]
    TooSmall {
        /// What there would be.
        has: TreeSize,
        /// The size of the largest head that was promised or shown.
        promised: TreeSize,
    },
    /// The last entries here were never promised, and the copy has others in their place.
    #[error(
        "the entries from {promised} to {had} here were written in a crash and never promised to \
         anybody, and the copy has others in their place"
    )]
    UnpromisedTail {
        /// The size of the head that was promised last.
        promised: TreeSize,
        /// How many entries are here.
        had: TreeSize,
    },
    /// The copy changed while it was read.
    #[error("the copy changed while it was read")]
    Changed,
    /// The log is full.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// There is something where a log is to be made again.
    #[error("{0} is not empty: a log is only made again in a new or empty directory")]
    Exists(PathBuf),
    /// The copy begins with another charter.
    #[error("the copy begins with the statement {found}, not with the anchor {anchor}")]
    OtherAnchor {
        /// What the operator trusts.
        anchor: StatementId,
        /// What the copy begins with.
        found: StatementId,
    },
    /// The key is not one with which the log may sign.
    #[error("the log key {0} is not one of the log keys in force at the end of the copy")]
    KeyNotInCharter(String),
}

from_log_dir!(RestoreError);

impl Hint for RestoreError {
    fn hint(&self) -> &'static str {
        match self {
            RestoreError::Dir(error) => error.hint(),
            RestoreError::OtherHistory(_) => {
                "nothing was written. This log's key signed two histories: keep both copies, and tell \
                 the consortium"
            }
            RestoreError::TooSmall { .. } => {
                "nothing was written; find a copy that has more of this log"
            }
            RestoreError::UnpromisedTail { .. } => {
                "nothing was written, and nobody was told of these entries. Take a backup from before \
                 the crash, or an older copy of this directory, and recover that"
            }
            RestoreError::OtherLog(_) | RestoreError::NotSigned(_) => {
                "nothing was written; give the URL or directory of a copy of this log"
            }
            RestoreError::Exists(_) => {
                "leave --log-key and --anchor out to bring an existing log up to date"
            }
            RestoreError::OtherAnchor { .. } => {
                "nothing was written; this is another log, or one that pretends to be yours"
            }
            RestoreError::KeyNotInCharter(_) => {
                "nothing was written. If the key is lost the members must appoint a successor: \
                 `ledger charter succeed`"
            }
            RestoreError::Changed => "run it again: what is here already stays",
            _ => "nothing was written; try another copy of this log's site",
        }
    }
}

/// Brings the log in `dir` up to what the copy has. The node must not be running.
///
/// # Errors
/// [`RestoreError`].
pub fn append(dir: &Path, from: &Source) -> Result<Restored, RestoreError> {
    let layout = Layout::new(dir);
    let config = Config::read(&layout.config())?;
    let log_key = read_key(&layout, dir, &config.log_key)?;
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(&layout, config.journal_segment_bytes)?);
    let index = Index::open(&layout.index())?;
    let recovered = recover_as_far(&store, &index, &log_key, Demand::WhatIsHere)?;
    let mut edge = recovered.edge.clone();
    let had = edge.size();

    let copy = from.checkpoint().map_err(|e| RestoreError::Copy("checkpoint".into(), e))?;
    let copy = ClaimedCheckpoint::parse(&copy)?;
    let (origin, target) = (copy.checkpoint().origin().clone(), *copy.checkpoint().head());
    if origin.as_str() != recovered.charter.origin() {
        return Err(RestoreError::OtherLog(origin.to_string()));
    }
    let reader = LogReader::new(store.clone());
    let mut governance = governance::replay(&reader, had)?;
    let promises = Promises::of(&recovered);
    if let Some(promised) = promises.beyond(target.size.max(had)) {
        return Err(RestoreError::TooSmall { has: target.size.max(had), promised });
    }
    if target.size <= had {
        copy.verify(governance.charter().log_keys()).map_err(RestoreError::NotSigned)?;
        let same = reader.tree(had).head(target.size)? == target;
        return if same {
            // a crash may have lost the promise of a head whose entries are all here
            let promised = recovered.head.as_ref().map(|head| head.checkpoint().head().size);
            if promised.is_none_or(|promised| promised < target.size) {
                promise(&store, &Checkpoint::new(origin, target).sign(&log_key))?;
            }
            Ok(Restored { had, has: had })
        } else {
            Err(promises.why_other(from, target, had))
        };
    }
    let mut trial = edge.clone();
    let mut leaves = Vec::new();
    read_missing(from, had, target.size, |first, entries| {
        for (at, bytes) in (first..).zip(&entries) {
            let at = LeafIndex::new(at).map_err(|_| RestoreError::Changed)?;
            let entry = Entry::parse(bytes).map_err(|e| RestoreError::Entry(at, e))?;
            if entry.record().envelope().kind().is_governance() {
                governance.push(at, &entry)?;
            }
        }
        leaves.extend(trial.append(&entries)?.leaves);
        Ok(())
    })?;
    // keys that the missing entries brought count, too: the signature covers these very entries
    copy.verify(governance.charter().log_keys()).map_err(RestoreError::NotSigned)?;
    if trial.head() != target {
        return Err(promises.why_other(from, target, had));
    }
    for promised in promises.0.iter().filter(|head| head.size > had) {
        if copied_head(from, target.size, promised.size)? != *promised {
            return Err(RestoreError::OtherHistory(target.size));
        }
    }
    append_missing(from, &store, &index, &mut edge, (target, &leaves))?;
    // the log has signed this head: signing it again says nothing new
    promise(&store, &Checkpoint::new(origin, target).sign(&log_key))?;
    index.flush()?;
    Ok(Restored { had, has: target.size })
}

/// The heads that this node remembers to have promised or shown.
struct Promises(Vec<TreeHead>);

impl Promises {
    fn of(recovered: &Recovered) -> Promises {
        let heads = recovered.head.iter().chain(&recovered.published);
        Promises(heads.map(|head| *head.checkpoint().head()).collect())
    }

    /// The largest size that was promised, if it is above this one.
    fn beyond(&self, size: TreeSize) -> Option<TreeSize> {
        self.largest().map(|head| head.size).filter(|promised| *promised > size)
    }

    fn largest(&self) -> Option<TreeHead> {
        self.0.iter().max_by_key(|head| head.size).copied()
    }

    /// Why the copy's tree does not begin with the entries that are here: a fork, unless nobody was
    /// ever promised the entries that differ.
    fn why_other(&self, from: &Source, target: TreeHead, had: TreeSize) -> RestoreError {
        let promised = self.largest().unwrap_or(TreeHead::EMPTY);
        let held = promised.size.is_empty()
            || copied_head(from, target.size, promised.size).is_ok_and(|head| head == promised);
        if held && promised.size < had && promised.size <= target.size {
            RestoreError::UnpromisedTail { promised: promised.size, had }
        } else {
            RestoreError::OtherHistory(target.size)
        }
    }
}

/// The head that the copy's tree had at a size.
fn copied_head(from: &Source, copied: TreeSize, size: TreeSize) -> Result<TreeHead, RestoreError> {
    let mut nodes = TileReader::new(Copied(from), copied);
    let root = merkle::root(&mut nodes, size).map_err(|error| {
        RestoreError::Copy("tree".into(), source::SourceError::Failed(error.to_string()))
    })?;
    Ok(TreeHead { size, root })
}

struct Copied<'a>(&'a Source);

impl TileSource for Copied<'_> {
    type Error = source::SourceError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, source::SourceError> {
        self.0.tile(coord)
    }
}

/// Notes a head that the log has signed before.
pub(crate) fn promise(store: &Arc<dyn Store>, head: &ClaimedCheckpoint) -> Result<(), StoreError> {
    let old = store.head()?;
    store.swap_head(HeadSwap { old: old.as_deref(), new: &head.to_string() })
}

/// Writes the entries whose leaf hashes were proven, as the sequencer would have.
pub(crate) fn append_missing(
    from: &Source,
    store: &Arc<dyn Store>,
    index: &Index,
    edge: &mut Edge,
    (target, proven): (TreeHead, &[Hash]),
) -> Result<(), RestoreError> {
    let had = edge.size();
    read_missing(from, had, target.size, |first, entries| {
        let at = usize::try_from(first - had.get()).unwrap_or(usize::MAX);
        let same = entries.iter().zip(proven.iter().skip(at));
        if same.filter(|(entry, leaf)| Hash::leaf(entry) == **leaf).count() != entries.len() {
            return Err(RestoreError::Changed);
        }
        store.append(&edge.head(), &entries)?;
        for (coord, bytes) in edge.append(&entries)?.tiles {
            store.put(coord, &bytes)?;
        }
        let keys: Result<Vec<_>, _> = entries.iter().map(|entry| EntryKeys::of(entry)).collect();
        let place = LeafIndex::new(first).map_err(|_| RestoreError::Changed)?;
        index.insert(&keys.map_err(|e| RestoreError::Entry(place, e))?)?;
        Ok(())
    })
}

/// Reads the entries from `had` on, a bundle at a time, with the index of the first.
pub(crate) fn read_missing(
    from: &Source,
    had: TreeSize,
    size: TreeSize,
    mut take: impl FnMut(u64, Vec<Vec<u8>>) -> Result<(), RestoreError>,
) -> Result<(), RestoreError> {
    let width = u64::from(TILE_WIDTH);
    let mut next = had.get();
    while next < size.get() {
        let coord = TileCoord::in_tree(TileKind::Entries, next / width, size);
        let coord = coord.expect("the tree of this size has the leaf");
        let bytes = from.tile(coord).map_err(|e| RestoreError::Copy(coord.to_string(), e))?;
        let bundle =
            EntryBundle::parse(coord, bytes).map_err(|e| RestoreError::Bundle(coord, e))?;
        let skip = usize::try_from(next % width).expect("less than a bundle's width");
        let entries: Vec<Vec<u8>> = bundle.iter().skip(skip).map(<[u8]>::to_vec).collect();
        let first = next;
        next += entries.len() as u64;
        take(first, entries)?;
    }
    Ok(())
}
