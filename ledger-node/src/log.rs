//! Reading the stored log: entries, nodes and proofs, each checked before it is handed on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ledger_core::checkpoint::VerifiedCheckpoint;
use ledger_core::hash::Hash;
use ledger_core::merkle::{
    Beginning, ConsistencyProof, InclusionProof, ProveError, TreeHead, VerifyError,
    prove_consistency, prove_inclusion, root, verify_consistency, verify_inclusion,
};
use ledger_core::proof::TlogProof;
use ledger_core::tile::{
    BundleError, EntryBundle, HashTile, TILE_WIDTH, TileCoord, TileKind, TileReadError, TileReader,
    TileSource,
};
use ledger_core::{LeafIndex, TreeSize};

use crate::store::{Files, StoreError};

/// Entry bundles kept in memory: the ones at the right edge are asked for again and again.
const CACHED_BUNDLES: usize = 16;

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

/// Hash tiles of a store, as core reads them.
#[derive(Clone)]
pub struct StoreTiles(Arc<dyn Files>);

impl TileSource for StoreTiles {
    type Error = ReadError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, ReadError> {
        read_tile(self.0.as_ref(), coord)
    }
}

/// Reads a tile; where a partial one has gone, the full one.
fn read_tile(store: &dyn Files, coord: TileCoord) -> Result<Vec<u8>, ReadError> {
    if let Some(bytes) = store.get(coord)? {
        return Ok(bytes);
    }
    let full = if coord.is_full() { None } else { store.get(coord.to_full())? };
    full.ok_or(ReadError::Missing(coord))
}

/// Reads entries of a store.
pub struct LogReader {
    store: Arc<dyn Files>,
    bundles: Mutex<VecDeque<(TileCoord, Arc<EntryBundle>)>>,
}

impl LogReader {
    /// Reads from `store`.
    pub fn new(store: Arc<dyn Files>) -> LogReader {
        LogReader { store, bundles: Mutex::default() }
    }

    /// The store's hash tiles.
    pub fn tiles(&self) -> StoreTiles {
        StoreTiles(Arc::clone(&self.store))
    }

    /// The bytes of a tile or bundle, if it is there, or out of the full one that is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn file(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get_or_cut(coord)
    }

    /// The entry at `index` of the tree of `size` leaves.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn entry(&self, index: LeafIndex, size: TreeSize) -> Result<Vec<u8>, ReadError> {
        if !size.contains(index) {
            return Err(ReadError::OutOfRange(size));
        }
        let width = u64::from(TILE_WIDTH);
        let bundle = self.bundle(index.get() / width, size)?;
        let entry = bundle.get((index.get() % width) as usize);
        entry.map(<[u8]>::to_vec).ok_or(ReadError::OutOfRange(size))
    }

    /// The entry bundle of a number, as the tree of `size` leaves has it. Its entries have the leaf
    /// hashes that the tree's tiles say.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn bundle(&self, number: u64, size: TreeSize) -> Result<Arc<EntryBundle>, ReadError> {
        let coord = TileCoord::in_tree(TileKind::Entries, number, size);
        let coord = coord.ok_or(ReadError::OutOfRange(size))?;
        if let Some((_, bundle)) = self.cached().iter().find(|(at, _)| *at == coord) {
            return Ok(Arc::clone(bundle));
        }
        let bundle = Arc::new(self.read_bundle(coord)?);
        let mut cached = self.cached();
        cached.truncate(CACHED_BUNDLES - 1);
        cached.push_front((coord, Arc::clone(&bundle)));
        Ok(bundle)
    }

    /// Forgets what was read of a tree whose files are written over.
    pub fn forget(&self) {
        self.cached().clear();
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, VecDeque<(TileCoord, Arc<EntryBundle>)>> {
        self.bundles.lock().expect("no panics under this lock")
    }

    fn read_bundle(&self, coord: TileCoord) -> Result<EntryBundle, ReadError> {
        let damaged = |_: BundleError| ReadError::Damaged(coord);
        let bytes = read_tile(self.store.as_ref(), coord)?;
        let bundle = EntryBundle::parse_or_cut(coord, bytes).map_err(damaged)?;
        let hashes = TileCoord::in_tree(
            TileKind::Hashes(0),
            coord.index(),
            LeafIndex::new(coord.index() * u64::from(TILE_WIDTH) + u64::from(coord.width()) - 1)
                .map_err(|_| ReadError::Damaged(coord))?
                .size_through(),
        );
        let hashes = hashes.ok_or(ReadError::Damaged(coord))?;
        let tile = HashTile::parse(hashes, &read_tile(self.store.as_ref(), hashes)?);
        let tile = tile.ok_or(ReadError::Damaged(hashes))?;
        let entries = bundle.iter().map(Hash::leaf);
        if entries.eq(tile.hashes().iter().copied()) {
            Ok(bundle)
        } else {
            Err(ReadError::Damaged(coord))
        }
    }

    /// The tree as it is stored up to `size`, to read nodes from and make proofs with.
    pub fn tree(&self, size: TreeSize) -> Tree {
        Tree { size, nodes: Mutex::new(TileReader::new(self.tiles(), size)) }
    }
}

/// A stored tree: proofs about it and about its beginnings. Tiles are read once.
pub struct Tree {
    /// Which tiles there are follows from this size, also when the question is about an older one.
    size: TreeSize,
    nodes: Mutex<TileReader<StoreTiles>>,
}

impl Tree {
    /// The head of the tree's first `size` leaves, as the stored tiles give it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn head(&self, size: TreeSize) -> Result<TreeHead, ReadError> {
        self.check(size)?;
        let root = root(&mut *self.nodes(), size)?;
        Ok(TreeHead { size, root })
    }

    /// Proves the entry at `index` in the tree's first `size` leaves.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn inclusion(&self, index: LeafIndex, size: TreeSize) -> Result<InclusionProof, ReadError> {
        self.check(size)?;
        prove_inclusion(&mut *self.nodes(), index, size)
            .map_err(|e| proof_error(e, ReadError::OutOfRange(size)))
    }

    /// Proves that the tree's first `new` leaves begin with its first `old` leaves.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn consistency(&self, old: TreeSize, new: TreeSize) -> Result<ConsistencyProof, ReadError> {
        self.check(new)?;
        prove_consistency(&mut *self.nodes(), old, new)
            .map_err(|e| proof_error(e, ReadError::SizesReversed(new)))
    }

    /// What the tree of `larger` was at a smaller size, if the stored tree begins with that of
    /// `larger`.
    pub fn beginning(&self, smaller: TreeSize, larger: &TreeHead) -> Option<Beginning> {
        self.check(larger.size).ok()?;
        Beginning::read(&mut *self.nodes(), smaller, larger).ok()
    }

    fn check(&self, size: TreeSize) -> Result<(), ReadError> {
        if size > self.size { Err(ReadError::OutOfRange(self.size)) } else { Ok(()) }
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, TileReader<StoreTiles>> {
        self.nodes.lock().expect("no panics under this lock")
    }
}

impl From<TileReadError<ReadError>> for ReadError {
    fn from(error: TileReadError<ReadError>) -> ReadError {
        match error {
            TileReadError::Source(error) => error,
            TileReadError::Malformed(coord) => ReadError::Damaged(coord),
            TileReadError::OutsideTree(size) => ReadError::OutOfRange(size),
            other => ReadError::Store(StoreError::Damaged(other.to_string())),
        }
    }
}

fn proof_error(error: ProveError<TileReadError<ReadError>>, range: ReadError) -> ReadError {
    match error {
        ProveError::Read(error) => error.into(),
        _ => range,
    }
}

/// What readers see now: the published checkpoint, and proofs under it.
pub struct Published {
    checkpoint: VerifiedCheckpoint,
    tree: Tree,
}

impl Published {
    /// Serves proofs under `checkpoint` out of the tiles of `log`.
    pub fn new(checkpoint: VerifiedCheckpoint, log: &LogReader) -> Published {
        let tree = log.tree(checkpoint.head().size);
        Published { checkpoint, tree }
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// How many entries it covers.
    pub fn size(&self) -> TreeSize {
        self.checkpoint.head().size
    }

    /// The head of the first `size` leaves, proven to be a beginning of the published tree.
    fn head(&self, size: TreeSize) -> Result<TreeHead, ReadError> {
        let published = self.checkpoint.head();
        if size == published.size {
            return Ok(*published);
        }
        let older = self.tree.head(size)?;
        let proof = self.tree.consistency(size, published.size)?;
        verify_consistency(&proof, &older, published)
            .map_err(|e| ReadError::Inconsistent(size, e))?;
        Ok(older)
    }

    /// Proves the entry at `index`, whose leaf hash is `leaf`, in the published tree's first `size`
    /// leaves; the proof has been verified.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn inclusion(
        &self,
        index: LeafIndex,
        leaf: &Hash,
        size: TreeSize,
    ) -> Result<InclusionProof, ReadError> {
        let inclusion = self.tree.inclusion(index, size)?;
        verify_inclusion(&inclusion, leaf, index, &self.head(size)?)
            .map_err(|e| ReadError::Unproven(index, e))?;
        Ok(inclusion)
    }

    /// Proves that the published tree's first `new` leaves begin with its first `old` leaves; the
    /// proof has been verified.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn consistency(&self, old: TreeSize, new: TreeSize) -> Result<ConsistencyProof, ReadError> {
        let proof = self.tree.consistency(old, new)?;
        verify_consistency(&proof, &self.head(old)?, &self.head(new)?)
            .map_err(|e| ReadError::Inconsistent(old, e))?;
        Ok(proof)
    }

    /// The proof file of the entry at `index`, whose leaf hash is `leaf`; it has been verified.
    ///
    /// # Errors
    /// [`ReadError`]; a proof that does not verify is an error, never an answer.
    pub fn prove(
        &self,
        index: LeafIndex,
        leaf: &Hash,
        extra: Vec<u8>,
    ) -> Result<TlogProof, ReadError> {
        let inclusion = self.inclusion(index, leaf, self.size())?;
        let checkpoint = self.checkpoint.claimed().clone();
        Ok(TlogProof { extra: Some(extra), index, inclusion, checkpoint })
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::batch::Edge;

    use super::*;
    use crate::store::Store as _;
    use crate::store::memory::MemoryStore;

    #[test]
    fn what_was_written_over_is_read_anew_once_the_tree_before_is_forgotten() {
        let store = Arc::new(MemoryStore::new(3));
        let reader = LogReader::new(store.clone());
        for entry in ["of one history", "of another"] {
            reader.forget();
            let batch = Edge::new().append(&[entry]).expect("room");
            for (coord, bytes) in &batch.tiles {
                store.restore(*coord, bytes).expect("healthy");
            }
            let read = reader.entry(LeafIndex::ZERO, batch.head.size).expect("it is there");
            assert_eq!(read, entry.as_bytes());
        }
    }
}
