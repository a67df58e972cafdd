//! Reading the stored log: entries, nodes and proofs, each checked before it is handed on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ledger_core::checkpoint::VerifiedCheckpoint;
use ledger_core::hash::Hash;
use ledger_core::merkle::{
    ConsistencyProof, InclusionProof, ProveError, TreeHead, VerifyError, prove_consistency,
    prove_inclusion, root, verify_inclusion,
};
use ledger_core::proof::TlogProof;
use ledger_core::tile::{
    BundleError, EntryBundle, HashTile, TILE_WIDTH, TileCoord, TileKind, TileReadError, TileReader,
    TileSource,
};
use ledger_core::{LeafIndex, TreeSize};

use crate::store::{Store, StoreError};

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
}

/// Hash tiles of a store, as core reads them.
#[derive(Clone)]
pub struct StoreTiles(Arc<dyn Store>);

impl TileSource for StoreTiles {
    type Error = ReadError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, ReadError> {
        read_tile(self.0.as_ref(), coord)
    }
}

/// Reads a tile; where a partial one has gone, the full one.
fn read_tile(store: &dyn Store, coord: TileCoord) -> Result<Vec<u8>, ReadError> {
    if let Some(bytes) = store.get(coord)? {
        return Ok(bytes);
    }
    let full = if coord.is_full() { None } else { store.get(coord.to_full())? };
    full.ok_or(ReadError::Missing(coord))
}

/// Reads entries of a store.
pub struct LogReader {
    store: Arc<dyn Store>,
    bundles: Mutex<VecDeque<(TileCoord, Arc<EntryBundle>)>>,
}

impl LogReader {
    /// Reads from `store`.
    pub fn new(store: Arc<dyn Store>) -> LogReader {
        LogReader { store, bundles: Mutex::default() }
    }

    /// The store's hash tiles.
    pub fn tiles(&self) -> StoreTiles {
        StoreTiles(Arc::clone(&self.store))
    }

    /// The bytes of a tile or bundle as they are stored, if it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn file(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(coord)
    }

    /// The entry at `index` of the tree of `size` leaves.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn entry(&self, index: LeafIndex, size: TreeSize) -> Result<Vec<u8>, ReadError> {
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

    fn cached(&self) -> std::sync::MutexGuard<'_, VecDeque<(TileCoord, Arc<EntryBundle>)>> {
        self.bundles.lock().expect("no panics under this lock")
    }

    fn read_bundle(&self, coord: TileCoord) -> Result<EntryBundle, ReadError> {
        let damaged = |_: BundleError| ReadError::Damaged(coord);
        let bundle = match self.store.get(coord)? {
            Some(bytes) => EntryBundle::parse(coord, bytes).map_err(damaged)?,
            None => {
                let full = coord.to_full();
                let bytes = read_tile(self.store.as_ref(), full)?;
                EntryBundle::parse(full, bytes).map_err(damaged)?
            }
        };
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
        let entries = bundle.iter().take(usize::from(coord.width())).map(Hash::leaf);
        if entries.eq(tile.hashes().iter().copied()) {
            Ok(bundle)
        } else {
            Err(ReadError::Damaged(coord))
        }
    }

    /// The root of the tree of `size` leaves, as the stored tiles give it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn head(&self, size: TreeSize) -> Result<TreeHead, ReadError> {
        let root = root(&mut TileReader::new(self.tiles(), size), size)?;
        Ok(TreeHead { size, root })
    }

    /// Proves the entry at `index` in the tree of `size` leaves.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn inclusion(&self, index: LeafIndex, size: TreeSize) -> Result<InclusionProof, ReadError> {
        prove_inclusion(&mut TileReader::new(self.tiles(), size), index, size)
            .map_err(|e| proof_error(e, ReadError::OutOfRange(size)))
    }

    /// Proves that the tree of `new` leaves begins with the tree of `old` leaves.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn consistency(&self, old: TreeSize, new: TreeSize) -> Result<ConsistencyProof, ReadError> {
        prove_consistency(&mut TileReader::new(self.tiles(), new), old, new)
            .map_err(|e| proof_error(e, ReadError::SizesReversed(new)))
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
    /// Shared by all proofs under this checkpoint: the tiles at the right edge are read once.
    nodes: Mutex<TileReader<StoreTiles>>,
}

impl Published {
    /// Serves proofs under `checkpoint` out of the tiles of `log`.
    pub fn new(checkpoint: VerifiedCheckpoint, log: &LogReader) -> Published {
        let nodes = Mutex::new(TileReader::new(log.tiles(), checkpoint.head().size));
        Published { checkpoint, nodes }
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// How many entries it covers.
    pub fn size(&self) -> TreeSize {
        self.checkpoint.head().size
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
        let head = self.checkpoint.head();
        let mut nodes = self.nodes.lock().expect("no panics under this lock");
        let inclusion = prove_inclusion(&mut *nodes, index, head.size)
            .map_err(|e| proof_error(e, ReadError::OutOfRange(head.size)))?;
        drop(nodes);
        verify_inclusion(&inclusion, leaf, index, head)
            .map_err(|e| ReadError::Unproven(index, e))?;
        let checkpoint = self.checkpoint.claimed().clone();
        Ok(TlogProof { extra: Some(extra), index, inclusion, checkpoint })
    }
}
