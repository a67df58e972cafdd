//! C2SP `tlog-tiles`: the tree and its entries as files of 256.
//!
//! ```
//! use tlog::TreeSize;
//! use tlog::tile::{EntryBundle, TileCoord, append_entry};
//!
//! let size = TreeSize::new(70_000).expect("small");
//! let paths: Vec<String> =
//!     TileCoord::partial_in_tree(size).map(|coord| coord.to_string()).collect();
//! assert!(paths.contains(&"tile/entries/273.p/112".to_owned()), "{paths:?}");
//!
//! let mut bytes = Vec::new();
//! append_entry(&mut bytes, b"entry").expect("short");
//! let coord: TileCoord = "tile/entries/000.p/1".parse().expect("a path");
//! let bundle = EntryBundle::parse(coord, bytes).expect("one entry");
//! assert_eq!(bundle.get(0), Some(b"entry".as_slice()));
//! ```

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
