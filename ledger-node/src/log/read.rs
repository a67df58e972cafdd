//! Reading a part of a stored file.

use crate::store::{FilePart, Files, StoreError};
use ledger_core::merkle::VerifyError;
use ledger_core::tile::TileCoord;
use ledger_core::{LeafIndex, TreeSize};

/// Why something stored could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The caller asked beyond the tree.
    #[error("the log has {0} entries; there is none at that index")]
    OutOfRange(TreeSize),
    /// The caller asked for an older size that is larger than the newer one.
    #[error("the older size is larger than the newer size {0}")]
    SizesReversed(TreeSize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file that the tree needs is not there.
    #[error("{0} is missing")]
    Missing(TileCoord),
    /// A stored file is not what was written.
    #[error("{0} is damaged")]
    Damaged(TileCoord),
    /// The stored tiles do not lead to the root that the log signed.
    #[error("the stored tiles do not prove entry {0}: {1}")]
    Unproven(LeafIndex, VerifyError),
    /// The stored tiles of an older size are not the beginning of the tree that the log signed.
    #[error("the stored tiles do not prove that the tree begins with its first {0} leaves: {1}")]
    Inconsistent(TreeSize, VerifyError),
}

impl ReadError {
    /// Whether stored files are not what was written.
    pub fn is_damage(&self) -> bool {
        match self {
            ReadError::Missing(_) | ReadError::Damaged(_) => true,
            ReadError::Unproven(..) | ReadError::Inconsistent(..) => true,
            ReadError::Store(error) => matches!(error, StoreError::Damaged(_)),
            ReadError::OutOfRange(_) | ReadError::SizesReversed(_) => false,
        }
    }
}

/// Reads a part of a tile or bundle; where a partial one has gone, of the full one, which begins with
/// the same bytes.
pub fn read_part(
    store: &dyn Files,
    coord: TileCoord,
    from: u64,
    most: usize,
) -> Result<FilePart, ReadError> {
    if let Some(part) = store.part(coord, from, most)? {
        return Ok(part);
    }
    let full = if coord.is_full() { None } else { store.part(coord.to_full(), from, most)? };
    full.ok_or(ReadError::Missing(coord))
}
