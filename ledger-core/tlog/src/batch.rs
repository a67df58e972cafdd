//! The pure step from entries to files: the tree's right edge and new entries give tiles, bundles
//! and the new head. Equal inputs give equal bytes, which is what makes replaying a journal safe.
//!
//! ```
//! use tlog::batch::Edge;
//!
//! let mut edge = Edge::new();
//! let batch = edge.append(&["one", "two"]).expect("room");
//! let paths: Vec<String> = batch.tiles.iter().map(|(coord, _)| coord.to_string()).collect();
//! assert_eq!(paths, ["tile/0/000.p/2", "tile/entries/000.p/2"]);
//! assert_eq!(batch.head, edge.head());
//! ```

use crate::hash::Hash;
use crate::index::TreeSize;
use crate::merkle::{Frontier, NodeReader, TreeFull, TreeHead, complete_subtrees};
use crate::tile::{
    EntryBundle, HashTile, MAX_ENTRY_BYTES, TILE_HEIGHT, TILE_WIDTH, TileCoord, TileKind,
    TileReadError, TileReader, TileSource, append_entry,
};

/// The right edge of the stored log: the frontier and whatever its partial tiles hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    frontier: Frontier,
    /// The hashes of the partial tile on each tile level, at most 255 each.
    partial: Vec<Vec<Hash>>,
    /// The partial entry bundle's bytes, at most 255 entries.
    bundle: Vec<u8>,
}

/// What appending entries gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Every tile and bundle that the entries filled or lengthened, with its bytes.
    pub tiles: Vec<(TileCoord, Vec<u8>)>,
    /// The leaf hashes in order.
    pub leaves: Vec<Hash>,
    /// The tree after the last entry.
    pub head: TreeHead,
}

/// Why entries cannot be appended; nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The tree takes no more leaves.
    #[error(transparent)]
    Full(#[from] TreeFull),
    /// An entry is longer than a bundle can hold.
    #[error("entry {0} of the batch has more than {MAX_ENTRY_BYTES} bytes")]
    EntryTooLong(usize),
}

/// Why stored files do not give the edge of the tree that a head commits to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError<E> {
    /// A tile could not be read.
    #[error(transparent)]
    Tile(#[from] TileReadError<E>),
    /// The tiles at the right edge lead to another root than the head's.
    #[error("the stored hash tiles at the right edge do not lead to the root of size {0}")]
    WrongRoot(TreeSize),
    /// The partial bundle's entries are not those that the leaf hashes commit to.
    #[error("{0} is damaged: its entries do not have the leaf hashes of the tree")]
    WrongBundle(TileCoord),
}

impl Edge {
    /// The edge of the log without entries.
    pub fn new() -> Edge {
        Edge::default()
    }

    /// Reads the edge of the tree of `head` from stored files, and checks that it is that tree's.
    /// Where a partial tile has gone, the source gives the full one.
    ///
    /// # Errors
    /// [`RestoreError`] when a file is missing, damaged or belongs to another tree.
    pub fn restore<S: TileSource>(
        mut source: S,
        head: &TreeHead,
    ) -> Result<Edge, RestoreError<S::Error>> {
        let size = head.size;
        let mut partial = Vec::new();
        for level in 0..TILE_HEIGHT {
            let hashes = match partial_tile(TileKind::Hashes(level), size) {
                None => Vec::new(),
                Some(coord) => {
                    let bytes = source.read_tile(coord).map_err(TileReadError::Source)?;
                    let tile = HashTile::parse(coord, &bytes);
                    tile.ok_or(TileReadError::Malformed(coord))?.hashes().to_vec()
                }
            };
            partial.push(hashes);
        }
        let mut bundle = Vec::new();
        if let Some(coord) = partial_tile(TileKind::Entries, size) {
            let bytes = source.read_tile(coord).map_err(TileReadError::Source)?;
            let entries = EntryBundle::parse_or_cut(coord, bytes);
            let entries = entries.map_err(|_| RestoreError::WrongBundle(coord))?;
            if !entries.iter().map(Hash::leaf).eq(partial[0].iter().copied()) {
                return Err(RestoreError::WrongBundle(coord));
            }
            bundle = entries.into_bytes();
        }
        let mut nodes = TileReader::new(source, size);
        let hashes: Result<_, _> =
            complete_subtrees(size).map(|node| nodes.read_node(node)).collect();
        let frontier = Frontier::from_hashes(size, hashes?).filter(|edge| edge.head() == *head);
        let frontier = frontier.ok_or(RestoreError::WrongRoot(size))?;
        Ok(Edge { frontier, partial, bundle })
    }

    /// The tree as it stands.
    pub fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    /// How many entries the log has.
    pub fn size(&self) -> TreeSize {
        self.frontier.size()
    }

    /// Appends entries: any number, but the whole result is held in memory.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended.
    pub fn append<T: AsRef<[u8]>>(&mut self, entries: &[T]) -> Result<Batch, AppendError> {
        let size = self.size();
        if size.checked_add(entries.len() as u64).is_none() {
            return Err(TreeFull.into());
        }
        if let Some(at) = entries.iter().position(|e| e.as_ref().len() > MAX_ENTRY_BYTES) {
            return Err(AppendError::EntryTooLong(at));
        }
        self.partial.resize(usize::from(TILE_HEIGHT), Vec::new());
        let mut tiles = Vec::new();
        let mut leaves = Vec::with_capacity(entries.len());
        for entry in entries {
            let leaf = Hash::leaf(entry.as_ref());
            leaves.push(leaf);
            append_entry(&mut self.bundle, entry.as_ref()).expect("length was checked");
            let partial = &mut self.partial;
            self.frontier
                .push(leaf, |node, hash| {
                    if node.level % TILE_HEIGHT != 0 {
                        return;
                    }
                    let level = node.level / TILE_HEIGHT;
                    let tile = &mut partial[usize::from(level)];
                    tile.push(hash);
                    if tile.len() == usize::from(TILE_WIDTH) {
                        let index = node.index / u64::from(TILE_WIDTH);
                        tiles.push((TileCoord::full(TileKind::Hashes(level), index), bytes(tile)));
                        tile.clear();
                    }
                })
                .expect("room was checked");
            let size = self.frontier.size().get();
            if size.is_multiple_of(u64::from(TILE_WIDTH)) {
                let index = size / u64::from(TILE_WIDTH) - 1;
                let full = TileCoord::full(TileKind::Entries, index);
                tiles.push((full, std::mem::take(&mut self.bundle)));
            }
        }
        self.push_partial(size, &mut tiles);
        Ok(Batch { tiles, leaves, head: self.head() })
    }

    /// The partial tiles and the partial bundle that the tree ends with.
    pub fn partial_tiles(&self) -> Vec<(TileCoord, Vec<u8>)> {
        let mut tiles = Vec::new();
        self.push_partial(TreeSize::ZERO, &mut tiles);
        tiles
    }

    /// Adds the partial tiles that differ from those of the tree of `before` leaves.
    fn push_partial(&self, before: TreeSize, tiles: &mut Vec<(TileCoord, Vec<u8>)>) {
        let kinds = (0..TILE_HEIGHT).map(TileKind::Hashes).chain([TileKind::Entries]);
        for kind in kinds {
            let now = partial_tile(kind, self.size());
            let Some(coord) = now.filter(|_| now != partial_tile(kind, before)) else { continue };
            let content = match kind {
                TileKind::Hashes(level) => bytes(&self.partial[usize::from(level)]),
                TileKind::Entries => self.bundle.clone(),
            };
            tiles.push((coord, content));
        }
    }
}

/// The partial tile of a kind that the tree of `size` leaves ends with, if it ends with one.
fn partial_tile(kind: TileKind, size: TreeSize) -> Option<TileCoord> {
    let bits = match kind {
        TileKind::Hashes(level) => u32::from(TILE_HEIGHT) * (u32::from(level) + 1),
        TileKind::Entries => u32::from(TILE_HEIGHT),
    };
    let index = size.get().checked_shr(bits).unwrap_or(0);
    TileCoord::in_tree(kind, index, size)
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.as_bytes()).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::index::LeafIndex;
    use crate::merkle::{MemoryTree, prove_inclusion, verify_inclusion};

    type Files = BTreeMap<TileCoord, Vec<u8>>;

    impl TileSource for &Files {
        type Error = String;

        fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, String> {
            self.get(&coord).cloned().ok_or_else(|| format!("no {coord}"))
        }
    }

    fn entry(i: u64) -> Vec<u8> {
        format!("entry {i}").into_bytes()
    }

    fn append(edge: &mut Edge, files: &mut Files, count: u64) {
        let from = edge.size().get();
        let entries: Vec<_> = (from..from + count).map(entry).collect();
        let batch = edge.append(&entries).expect("room");
        assert_eq!(batch.leaves.len() as u64, count);
        assert_eq!(batch.head, edge.head());
        for (coord, bytes) in batch.tiles {
            let old = files.insert(coord, bytes.clone());
            assert!(old.is_none_or(|old| old == bytes), "{coord} changed");
        }
    }

    #[test]
    fn batches_of_any_size_give_the_same_files() {
        let (mut one, mut many) = (Files::new(), Files::new());
        let (mut by_one, mut by_many) = (Edge::new(), Edge::new());
        let mut tree = MemoryTree::new();
        for count in [1, 254, 1, 1, 255, 300, 0, 700] {
            append(&mut by_many, &mut many, count);
            for _ in 0..count {
                append(&mut by_one, &mut one, 1);
            }
            while tree.size() < by_one.size() {
                tree.push(Hash::leaf(&entry(tree.size().get()))).expect("room");
            }
            assert_eq!(by_one, by_many);
            assert_eq!(by_one.head(), tree.frontier().head());
            for coord in TileCoord::all_in_tree(by_one.size()) {
                assert_eq!(one.get(&coord), many.get(&coord), "{coord}");
                assert!(one.contains_key(&coord), "{coord} is missing");
            }
        }
    }

    #[test]
    fn an_edge_restores_from_its_files_at_every_size() {
        let mut files = Files::new();
        let mut edge = Edge::new();
        for _ in 0..600 {
            append(&mut edge, &mut files, 1);
            let mut again = Edge::restore(&files, &edge.head()).expect("own files");
            again.partial.truncate(edge.partial.len());
            assert_eq!(again, edge);
            let ends = TileCoord::all_in_tree(edge.size()).filter(|coord| !coord.is_full());
            let ends: Files = ends.map(|coord| (coord, files[&coord].clone())).collect();
            assert_eq!(edge.partial_tiles().into_iter().collect::<Files>(), ends);
        }
    }

    #[test]
    fn an_edge_restores_from_full_tiles_where_its_partial_ones_have_gone() {
        struct Grown<'a>(&'a Files);
        impl TileSource for Grown<'_> {
            type Error = String;

            fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, String> {
                let full = self.0.get(&coord.to_full());
                full.or_else(|| self.0.get(&coord)).cloned().ok_or_else(|| format!("no {coord}"))
            }
        }
        let mut files = Files::new();
        let mut edge = Edge::new();
        let mut edges = Vec::new();
        for _ in 0..600 {
            append(&mut edge, &mut files, 1);
            edges.push(edge.clone());
        }
        for edge in edges {
            let again = Edge::restore(Grown(&files), &edge.head()).expect("own files");
            let (mut own, mut other) = (edge.clone(), again);
            let next = [entry(own.size().get())];
            assert_eq!(own.append(&next), other.append(&next));
        }
    }

    #[test]
    fn damaged_files_never_restore() {
        let mut files = Files::new();
        let mut edge = Edge::new();
        append(&mut edge, &mut files, 300);
        let head = edge.head();
        for coord in TileCoord::all_in_tree(head.size).filter(|c| !c.is_full()) {
            let mut damaged = files.clone();
            damaged.get_mut(&coord).expect("written")[20] ^= 1;
            assert!(Edge::restore(&damaged, &head).is_err(), "{coord}");
            damaged.remove(&coord);
            assert!(Edge::restore(&damaged, &head).is_err(), "{coord}");
        }
        let other = TreeHead { root: Hash::EMPTY_ROOT, ..head };
        assert_eq!(Edge::restore(&files, &other), Err(RestoreError::WrongRoot(head.size)));
    }

    #[test]
    fn tiles_prove_every_leaf() {
        let mut files = Files::new();
        let mut edge = Edge::new();
        append(&mut edge, &mut files, 777);
        let head = edge.head();
        for i in 0..777 {
            let index = LeafIndex::new(i).expect("small");
            let mut nodes = TileReader::new(&files, head.size);
            let proof = prove_inclusion(&mut nodes, index, head.size).expect("inside");
            let leaf = Hash::leaf(&entry(i));
            assert_eq!(verify_inclusion(&proof, &leaf, index, &head), Ok(()));
        }
    }

    #[test]
    fn too_long_entries_leave_the_edge_untouched() {
        let mut edge = Edge::new();
        let entries = [vec![0; 3], vec![0; MAX_ENTRY_BYTES + 1]];
        assert_eq!(edge.append(&entries), Err(AppendError::EntryTooLong(1)));
        assert_eq!(edge, Edge::new());
        assert!(edge.append(&[vec![0; MAX_ENTRY_BYTES]]).is_ok());
    }
}
