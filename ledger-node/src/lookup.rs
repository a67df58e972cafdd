//! Finding entries: the index names candidates, and their own keys decide.
//!
//! The keys of entries that were logged or looked up lately are in memory. Of others the entry is
//! read, that one alone; of its leaf hash the tile says enough.

use ledger_core::hash::Hash;
use ledger_core::{LeafIndex, TreeSize};

use crate::index::{EntryKeys, Index, IndexError, Key};
use crate::log::{LogReader, ReadError};

/// Why looking an entry up failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A candidate could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The last revision of a series, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRevision {
    /// The index of its entry.
    pub at: LeafIndex,
    /// The digest of issuer and series.
    pub series: Hash,
    /// The revision.
    pub number: u64,
}

/// The first entry with this key in the tree of `size` leaves.
///
/// # Errors
/// [`FindError`].
pub fn find_entry(
    index: &Index,
    reader: &LogReader,
    size: TreeSize,
    key: &Key,
) -> Result<Option<LeafIndex>, FindError> {
    for at in within(index.candidates(key)?, size) {
        let is_it = match (key, index.keys(at.get())) {
            (Key::Leaf(hash), None) => reader.leaf(at, size)? == *hash,
            (key, Some(keys)) => keys.has(key),
            (key, None) => read_keys(index, reader, at, size)?.is_some_and(|keys| keys.has(key)),
        };
        if is_it {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// The keys of the first entry with this issuer and id in the tree of `size` leaves, and its index.
///
/// # Errors
/// [`FindError`].
pub fn find_id(
    index: &Index,
    reader: &LogReader,
    size: TreeSize,
    issuer_and_id: Hash,
) -> Result<Option<(LeafIndex, EntryKeys)>, FindError> {
    let key = Key::IssuerAndId(issuer_and_id);
    for at in within(index.candidates(&key)?, size) {
        let keys = keys_at(index, reader, at, size)?;
        if let Some(keys) = keys.filter(|keys| keys.has(&key)) {
            return Ok(Some((at, keys)));
        }
    }
    Ok(None)
}

/// The last revision of the series with this key in the tree of `size` leaves. The entry of a
/// revision that is `known` from before is not read again.
///
/// # Errors
/// [`FindError`].
pub fn last_revision(
    index: &Index,
    reader: &LogReader,
    size: TreeSize,
    series: Hash,
    known: Option<LastRevision>,
) -> Result<Option<LastRevision>, FindError> {
    let known = known.filter(|known| known.series == series);
    for at in within(index.latest(&Key::Series(series))?, size) {
        if known.is_some_and(|known| known.at == at) {
            return Ok(known);
        }
        let found = keys_at(index, reader, at, size)?.and_then(|keys| keys.series);
        if let Some((_, number)) = found.filter(|(found, _)| *found == series) {
            return Ok(Some(LastRevision { at, series, number }));
        }
    }
    Ok(None)
}

/// The candidates in the tree of `size` leaves.
fn within(candidates: Vec<u64>, size: TreeSize) -> impl Iterator<Item = LeafIndex> {
    let indices = candidates.into_iter().filter_map(|at| LeafIndex::new(at).ok());
    indices.filter(move |at| size.contains(*at))
}

fn keys_at(
    index: &Index,
    reader: &LogReader,
    at: LeafIndex,
    size: TreeSize,
) -> Result<Option<EntryKeys>, FindError> {
    match index.keys(at.get()) {
        Some(keys) => Ok(Some(keys)),
        None => read_keys(index, reader, at, size),
    }
}

/// The keys of an entry that is read; the index keeps them for a while.
fn read_keys(
    index: &Index,
    reader: &LogReader,
    at: LeafIndex,
    size: TreeSize,
) -> Result<Option<EntryKeys>, FindError> {
    let keys = EntryKeys::of(&reader.entry(at, size)?).ok();
    if let Some(keys) = keys {
        index.keep(at.get(), keys);
    }
    Ok(keys)
}
