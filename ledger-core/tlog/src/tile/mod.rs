//! C2SP `tlog-tiles`: the tree and its entries as files of 256.

mod block;
mod bundle;
mod coord;
mod cut;
mod reader;

pub use block::BlockProver;
pub use bundle::{BundleError, EntryBundle, SalvagedBundle, append_entry};
pub use coord::{ParsePathError, TileCoord, TileKind};
pub use cut::cut;
pub use reader::{HashTile, TileReadError, TileReader, TileSource};

/// Tree levels that one tile spans.
pub const TILE_HEIGHT: u8 = 8;

/// Hashes or entries in a full tile.
pub const TILE_WIDTH: u16 = 256;

/// Bytes of the longest entry that a bundle can hold.
// SPEC tlog-tiles/log-entries: entries are prefixed with a big-endian uint16 length
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// Bytes of the longest possible entry bundle.
pub const MAX_BUNDLE_BYTES: usize = TILE_WIDTH as usize * (2 + MAX_ENTRY_BYTES);
