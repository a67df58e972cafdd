//! Reading the tree's nodes out of hash tiles.

use std::collections::BTreeMap;

use super::{TILE_HEIGHT, TILE_WIDTH, TileCoord, TileKind};
use crate::hash::Hash;
use crate::index::TreeSize;
use crate::merkle::{Node, NodeReader};

/// Tiles that a reader keeps: about 16 kB each. A proof touches a handful.
const MAX_TILES: usize = 1024;

/// A hash tile: 1 to 256 hashes of one tile level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTile(Vec<Hash>);

/// Where hash tiles come from: a directory, an HTTP prefix, a store.
pub trait TileSource {
    /// Why a tile could not be read.
    type Error;

    /// The bytes of a hash tile, at least as wide as `coord` says (a full tile may stand in for a
    /// partial one that is gone).
    ///
    /// # Errors
    /// Whatever hinders reading it.
    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, Self::Error>;
}

/// Why a node could not be read from tiles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileReadError<E> {
    /// The tile could not be read.
    #[error(transparent)]
    Source(E),
    /// The tile's bytes are not that many hashes.
    #[error("{0} is damaged: it does not hold the {w} hashes its path says", w = .0.width())]
    Malformed(TileCoord),
    /// The tree has no such tile.
    #[error("a tree of size {0} has no such node")]
    OutsideTree(TreeSize),
}

/// Reads nodes of the tree of one size from a [`TileSource`], and keeps the tiles it has read.
#[derive(Debug)]
pub struct TileReader<S> {
    source: S,
    size: TreeSize,
    tiles: BTreeMap<(u8, u64), Subtrees>,
}

/// All complete subtrees inside one tile: the tile's own hashes, then the rows above them.
#[derive(Debug)]
pub(super) struct Subtrees(Vec<Vec<Hash>>);

impl HashTile {
    /// Reads a hash tile at least as wide as `coord` says; what is beyond is dropped.
    ///
    /// Returns `None` when there are too few bytes, or not a whole number of hashes.
    pub fn parse(coord: TileCoord, bytes: &[u8]) -> Option<HashTile> {
        let (hashes, rest) = bytes.as_chunks::<{ Hash::LEN }>();
        let fits = (usize::from(coord.width())..=usize::from(TILE_WIDTH)).contains(&hashes.len());
        if !rest.is_empty() || !fits {
            return None;
        }
        let wanted = &hashes[..usize::from(coord.width())];
        Some(HashTile(wanted.iter().copied().map(Hash::from_bytes).collect()))
    }

    /// The hashes in order.
    pub fn hashes(&self) -> &[Hash] {
        &self.0
    }
}

impl Subtrees {
    pub(super) fn of_hashes(hashes: Vec<Hash>) -> Subtrees {
        let mut rows = vec![hashes];
        while let Some(row) = rows.last().filter(|row| row.len() > 1) {
            let above = row.chunks_exact(2).map(|pair| pair[0].join(&pair[1])).collect();
            rows.push(above);
        }
        Subtrees(rows)
    }

    pub(super) fn get(&self, height: u8, place: u64) -> Option<Hash> {
        self.0.get(usize::from(height))?.get(usize::try_from(place).ok()?).copied()
    }
}

impl<S: TileSource> TileReader<S> {
    /// Reads the tree of `size` leaves from `source`.
    pub fn new(source: S, size: TreeSize) -> TileReader<S> {
        TileReader { source, size, tiles: BTreeMap::new() }
    }
}

impl<S: TileSource> NodeReader for TileReader<S> {
    type Error = TileReadError<S::Error>;

    fn read_node(&mut self, node: Node) -> Result<Hash, Self::Error> {
        let outside = || TileReadError::OutsideTree(self.size);
        let (level, height) = (node.level / TILE_HEIGHT, node.level % TILE_HEIGHT);
        // one tile has this many subtrees of the height
        let per_tile = u64::from(TILE_WIDTH >> height);
        let (index, place) = (node.index / per_tile, node.index % per_tile);
        let coord = TileCoord::in_tree(TileKind::Hashes(level), index, self.size);
        let coord = coord.ok_or_else(outside)?;
        if !self.tiles.contains_key(&(level, index)) {
            let bytes = self.source.read_tile(coord).map_err(TileReadError::Source)?;
            let tile = HashTile::parse(coord, &bytes).ok_or(TileReadError::Malformed(coord))?;
            if self.tiles.len() == MAX_TILES {
                self.tiles.clear();
            }
            self.tiles.insert((level, index), Subtrees::of_hashes(tile.0));
        }
        self.tiles[&(level, index)].get(height, place).ok_or_else(outside)
    }
}
