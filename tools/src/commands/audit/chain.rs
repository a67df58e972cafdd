//! The governance entries of a log that is read from files, to learn its keys before the audit.
//!
//! Nothing here is verified against the tree: the audit itself does that afterwards, entry by
//! entry.

use ledger_core::charter::Governance;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::index::{LeafIndex, TreeSize};
use ledger_core::record::Entry;
use ledger_core::tile::{TILE_WIDTH, TileCoord, TileKind};

use ledger_node::source::{Source, split_bundle};

/// What the log's own entries say about its rules: the whole chain where it can be followed, else
/// the charter at index 0 alone.
pub fn read(source: &Source, checkpoint: &[u8]) -> Result<Governance, String> {
    let claimed = ClaimedCheckpoint::parse(checkpoint).map_err(|e| e.to_string())?;
    let size = claimed.checkpoint().head().size;
    ledger_node::governance::claimed(size, |at| entry(source, at, size))
}

/// An entry of the tree of `size` leaves.
pub fn entry(source: &Source, at: LeafIndex, size: TreeSize) -> Result<Entry, String> {
    let width = u64::from(TILE_WIDTH);
    let coord = TileCoord::in_tree(TileKind::Entries, at.get() / width, size);
    let coord = coord.ok_or("the log has no entries")?;
    let bytes = source.tile(coord).map_err(|e| format!("{coord} {e}"))?;
    let (spans, _) = split_bundle(&bytes, usize::from(coord.width()));
    let span = usize::try_from(at.get() % width).ok().and_then(|place| spans.get(place));
    let (start, end) = span.ok_or_else(|| format!("{coord} holds no whole entry {at}"))?;
    Entry::parse(&bytes[*start..*end]).map_err(|e| e.to_string())
}
