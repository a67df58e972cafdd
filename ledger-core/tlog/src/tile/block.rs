//! Do these leaves stand in the tree that a head commits to? The question for 256 of them at once.

use super::reader::Subtrees;
use super::{TILE_HEIGHT, TILE_WIDTH, TileCoord, TileKind, TileReadError, TileReader, TileSource};
use crate::hash::Hash;
use crate::index::LeafIndex;
use crate::merkle::{Node, NodeReader, ProveError, TreeHead, prove_inclusion, verify_inclusion};

/// Proves the leaves of whole bundles in one tree. It keeps the upper tiles that it has read.
///
/// The tiles need not be trusted: a proof leads from the leaves that the caller gives to the root.
#[derive(Debug)]
pub struct BlockProver<S> {
    nodes: TileReader<S>,
    head: TreeHead,
}

/// The tree's nodes, where those below one tile of level 0 come from the caller's leaves.
struct Patched<'a, S> {
    number: u64,
    leaves: Subtrees,
    nodes: &'a mut TileReader<S>,
}

impl<S: TileSource> BlockProver<S> {
    /// Proves leaves in the tree of `head`, with the hash tiles of `source`.
    pub fn new(source: S, head: TreeHead) -> BlockProver<S> {
        BlockProver { nodes: TileReader::new(source, head.size), head }
    }

    /// Whether the tree has exactly these leaves behind the bundle of this number.
    ///
    /// One proof answers for all of them: the other leaves of the block stand on its path. `false`
    /// also where upper tiles are damaged, so that nothing leads from the leaves to the root.
    ///
    /// # Errors
    /// Why the source did not give a tile.
    pub fn proves(&mut self, number: u64, leaves: &[Hash]) -> Result<bool, S::Error> {
        let size = self.head.size;
        let coord = TileCoord::in_tree(TileKind::Hashes(0), number, size);
        let first = number.checked_mul(u64::from(TILE_WIDTH)).map(LeafIndex::new);
        let (Some(coord), Some(Ok(first))) = (coord, first) else { return Ok(false) };
        if leaves.len() != usize::from(coord.width()) {
            return Ok(false);
        }
        let subtrees = Subtrees::of_hashes(leaves.to_vec());
        let mut nodes = Patched { number, leaves: subtrees, nodes: &mut self.nodes };
        match prove_inclusion(&mut nodes, first, size) {
            Ok(proof) => Ok(verify_inclusion(&proof, &leaves[0], first, &self.head).is_ok()),
            Err(ProveError::Read(TileReadError::Source(error))) => Err(error),
            Err(_) => Ok(false),
        }
    }
}

impl<S: TileSource> NodeReader for Patched<'_, S> {
    type Error = TileReadError<S::Error>;

    fn read_node(&mut self, node: Node) -> Result<Hash, Self::Error> {
        if node.level >= TILE_HEIGHT {
            return self.nodes.read_node(node);
        }
        let per_tile = u64::from(TILE_WIDTH >> node.level);
        match self.leaves.get(node.level, node.index % per_tile) {
            Some(hash) if node.index / per_tile == self.number => Ok(hash),
            _ => self.nodes.read_node(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::batch::Edge;

    struct Files(BTreeMap<TileCoord, Vec<u8>>);

    impl TileSource for &Files {
        type Error = String;

        fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, String> {
            // the block's own tile is never read: what it says proves nothing
            self.0.get(&coord).cloned().ok_or_else(|| format!("no {coord}"))
        }
    }

    #[test]
    fn a_block_is_proven_by_all_of_its_leaves_and_no_other() {
        for size in [1_u64, 2, 3, 255, 256, 257, 300, 511, 512, 513, 700, 1025] {
            let mut edge = Edge::new();
            let entries: Vec<_> = (0..size).map(u64::to_be_bytes).collect();
            let batch = edge.append(&entries).expect("room");
            let mut files: BTreeMap<_, _> = batch.tiles.iter().cloned().collect();
            // the tile at the right edge serves proofs of others, so only full ones go
            files.retain(|coord, _| coord.kind() != TileKind::Hashes(0) || !coord.is_full());
            let files = Files(files);
            for (number, leaves) in (0..).zip(batch.leaves.chunks(256)) {
                let mut prover = BlockProver::new(&files, batch.head);
                assert_eq!(prover.proves(number, leaves), Ok(true), "{number} of {size}");
                assert_eq!(prover.proves(number, &leaves[1..]), Ok(false));
                assert_ne!(prover.proves(number + 1, leaves), Ok(true));
                for at in [0, leaves.len() / 2, leaves.len() - 1] {
                    let mut other = leaves.to_vec();
                    other[at] = Hash::leaf(b"another");
                    assert_eq!(prover.proves(number, &other), Ok(false), "{at} of {number}");
                }
            }
        }
    }
}
