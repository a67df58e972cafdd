//! Reading the stored log: entries, nodes and proofs, each checked before it is handed on.

mod files;
mod read;
mod reads;
mod spans;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use ledger_core::checkpoint::VerifiedCheckpoint;
use ledger_core::hash::Hash;
use ledger_core::merkle::{
    ConsistencyProof, InclusionProof, Node, NodeReader as _, PrefixProof, ProveError, TreeHead,
    prove_consistency, prove_inclusion, root, verify_consistency, verify_inclusion,
};
use ledger_core::proof::TlogProof;
use ledger_core::tile::{
    BundleError, EntryBundle, TILE_WIDTH, TileCoord, TileKind, TileReadError, TileReader,
    TileSource,
};
use ledger_core::{LeafIndex, TreeSize};

pub use self::files::ServedFile;
pub use self::read::ReadError;
pub use self::reads::Reads;

use self::read::read_part;
use self::spans::Spans;
use crate::store::{Files, StoreError};

/// Bytes of entries that are read at once for one caller, unless a single one has more.
const RUN_BYTES: u64 = 128 << 10;

/// Bytes of a full hash tile.
const FULL_TILE_BYTES: u64 = TILE_WIDTH as u64 * Hash::LEN as u64;

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

/// Reads entries of a store. Clones share what they keep.
#[derive(Clone)]
pub struct LogReader {
    store: Arc<dyn Files>,
    spans: Arc<Spans>,
}

/// The place of a leaf: the number of its tile and bundle, and its place among their 256.
fn place_of(index: LeafIndex) -> (u64, usize) {
    let width = u64::from(TILE_WIDTH);
    (index.get() / width, (index.get() % width) as usize)
}

impl LogReader {
    /// Reads from `store`.
    pub fn new(store: Arc<dyn Files>) -> LogReader {
        LogReader { store, spans: Arc::default() }
    }

    /// The store's hash tiles.
    pub fn tiles(&self) -> StoreTiles {
        StoreTiles(Arc::clone(&self.store))
    }

    /// The leaf hash at `index` of the tree of `size` leaves, as its tile has it. Reads no entry.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn leaf(&self, index: LeafIndex, size: TreeSize) -> Result<Hash, ReadError> {
        let leaves = self.leaves(index, 1, size)?;
        leaves.first().copied().ok_or(ReadError::OutOfRange(size))
    }

    /// The entry at `index` of the tree of `size` leaves, which has the leaf hash that the tree's
    /// tile says. Reads that entry alone.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn entry(&self, index: LeafIndex, size: TreeSize) -> Result<Vec<u8>, ReadError> {
        self.entry_of(index, size, &self.leaf(index, size)?)
    }

    /// The entry at `index`, if it has this leaf hash.
    fn entry_of(
        &self,
        index: LeafIndex,
        size: TreeSize,
        leaf: &Hash,
    ) -> Result<Vec<u8>, ReadError> {
        let entries = self.entries_of(index, size, std::slice::from_ref(leaf))?;
        entries.into_iter().next().ok_or(ReadError::OutOfRange(size))
    }

    /// Entries from `first` on, up to the end of its bundle or to `until`: as many as have
    /// `RUN_BYTES` together, and one at least. They have the leaf hashes that the tree's tile says.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn run(
        &self,
        first: LeafIndex,
        until: TreeSize,
        size: TreeSize,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        let (number, place) = place_of(first);
        let coord = TileCoord::in_tree(TileKind::Entries, number, size.min(until));
        let end = coord.map_or(0, |coord| usize::from(coord.width()));
        let coord = TileCoord::in_tree(TileKind::Entries, number, size);
        let coord = coord.filter(|_| place < end).ok_or(ReadError::OutOfRange(size))?;
        let spans = self.spans.of(self.store.as_ref(), coord, place..end)?;
        let begin = spans.first().map_or(0, |span| span.start);
        let fits = spans.iter().take_while(|span| span.end - begin <= RUN_BYTES).count();
        self.entries_of(first, size, &self.leaves(first, fits.max(1), size)?)
    }

    /// The bundle with this number, as the tree of `size` leaves has it. Its entries have the leaf
    /// hashes that the tree's tiles say. It may have 16 MiB: for reading a whole log, and for no
    /// caller's request.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn bundle(&self, number: u64, size: TreeSize) -> Result<EntryBundle, ReadError> {
        let coord = TileCoord::in_tree(TileKind::Entries, number, size);
        let coord = coord.ok_or(ReadError::OutOfRange(size))?;
        let bytes = read_tile(self.store.as_ref(), coord)?;
        let bundle = EntryBundle::parse_or_cut(coord, bytes);
        let bundle = bundle.map_err(|_: BundleError| ReadError::Damaged(coord))?;
        let first = LeafIndex::new(number * u64::from(TILE_WIDTH));
        let first = first.map_err(|_| ReadError::OutOfRange(size))?;
        let leaves = self.leaves(first, bundle.len(), size)?;
        if bundle.iter().map(Hash::leaf).eq(leaves) {
            Ok(bundle)
        } else {
            Err(ReadError::Damaged(coord))
        }
    }

    /// Forgets what was read of a tree whose files are written over.
    pub fn forget(&self) {
        self.spans.clear();
    }

    /// The hashes of so many leaves of one tile, from `first` on.
    fn leaves(
        &self,
        first: LeafIndex,
        count: usize,
        size: TreeSize,
    ) -> Result<Vec<Hash>, ReadError> {
        let (number, place) = place_of(first);
        let coord = TileCoord::in_tree(TileKind::Hashes(0), number, size);
        let coord = coord.filter(|coord| place + count <= usize::from(coord.width()));
        let coord = coord.ok_or(ReadError::OutOfRange(size))?;
        let (from, most) = ((place * Hash::LEN) as u64, count * Hash::LEN);
        let part = read_part(self.store.as_ref(), coord, from, most)?;
        let least = u64::from(coord.width()) * Hash::LEN as u64;
        let fits = (least..=FULL_TILE_BYTES).contains(&part.file_len);
        let (hashes, rest) = part.bytes.as_chunks::<{ Hash::LEN }>();
        let is_whole = part.file_len.is_multiple_of(Hash::LEN as u64) && rest.is_empty();
        if !fits || !is_whole || hashes.len() != count {
            return Err(ReadError::Damaged(coord));
        }
        Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
    }

    /// The entries of one bundle from `first` on, if they have these leaf hashes.
    fn entries_of(
        &self,
        first: LeafIndex,
        size: TreeSize,
        leaves: &[Hash],
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        let (number, place) = place_of(first);
        let coord = TileCoord::in_tree(TileKind::Entries, number, size);
        let coord = coord.ok_or(ReadError::OutOfRange(size))?;
        let read = || {
            let places = place..place + leaves.len();
            let spans = self.spans.of(self.store.as_ref(), coord, places)?;
            read_entries(self.store.as_ref(), coord, &spans, leaves)
        };
        match read() {
            // where entries stood before the bundle was written over
            Err(ReadError::Damaged(_)) => {
                self.spans.forget(number);
                read()
            }
            read => read,
        }
    }

    /// The tree as it is stored up to `size`, to read nodes from and make proofs with.
    pub fn tree(&self, size: TreeSize) -> StoredTree {
        StoredTree { size, nodes: Mutex::new(TileReader::new(self.tiles(), size)) }
    }
}

/// The entries at neighbouring spans of a bundle, if they have these leaf hashes.
fn read_entries(
    store: &dyn Files,
    coord: TileCoord,
    spans: &[Range<u64>],
    leaves: &[Hash],
) -> Result<Vec<Vec<u8>>, ReadError> {
    let damaged = ReadError::Damaged(coord);
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Ok(Vec::new()) };
    let (begin, length) = (first.start, (last.end - first.start) as usize);
    let part = read_part(store, coord, begin, length)?;
    let within = |span: &Range<u64>| (span.start - begin) as usize..(span.end - begin) as usize;
    let entries: Option<Vec<&[u8]>> =
        spans.iter().map(|span| part.bytes.get(within(span))).collect();
    match entries {
        Some(entries)
            if entries.iter().map(|entry| Hash::leaf(entry)).eq(leaves.iter().copied()) =>
        {
            Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
        }
        _ => Err(damaged),
    }
}

/// A stored tree: proofs about it and about its beginnings. Tiles are read once.
pub struct StoredTree {
    /// Which tiles there are follows from this size, also when the question is about an older one.
    size: TreeSize,
    nodes: Mutex<TileReader<StoreTiles>>,
}

impl StoredTree {
    /// The hash of the leaf at `index`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn leaf(&self, index: LeafIndex) -> Result<Hash, ReadError> {
        if !self.size.contains(index) {
            return Err(ReadError::OutOfRange(self.size));
        }
        Ok(self.nodes().read_node(Node { level: 0, index: index.get() })?)
    }

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
    pub fn prove_prefix(&self, smaller: TreeSize, larger: &TreeHead) -> Option<PrefixProof> {
        self.check(larger.size).ok()?;
        PrefixProof::read(&mut *self.nodes(), smaller, larger).ok()
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
    tree: StoredTree,
    log: LogReader,
}

impl Published {
    /// Serves proofs under `checkpoint` out of the tiles of `log`.
    pub fn new(checkpoint: VerifiedCheckpoint, log: &LogReader) -> Published {
        let tree = log.tree(checkpoint.head().size);
        Published { checkpoint, tree, log: log.clone() }
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// How many entries it covers.
    pub fn size(&self) -> TreeSize {
        self.checkpoint.head().size
    }

    /// The hash of the leaf at `index`, as the tree's tiles have it. Reads no entry, and each tile
    /// once for all callers.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn leaf(&self, index: LeafIndex) -> Result<Hash, ReadError> {
        self.tree.leaf(index)
    }

    /// The entry at `index` with its leaf hash. Reads that entry alone.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn entry(&self, index: LeafIndex) -> Result<(Vec<u8>, Hash), ReadError> {
        let leaf = self.leaf(index)?;
        Ok((self.log.entry_of(index, self.size(), &leaf)?, leaf))
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
