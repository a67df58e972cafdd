//! A whole tree in memory: for small trees, tests, and proofs over data at hand.

use std::convert::Infallible;

use super::{Frontier, Node, NodeReader, TreeFull};
use crate::hash::Hash;
use crate::index::{LeafIndex, TreeSize};

/// Every complete subtree of a tree, about 64 bytes a leaf.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    frontier: Frontier,
    levels: Vec<Vec<Hash>>,
}

impl MemoryTree {
    /// The tree without leaves.
    pub fn new() -> MemoryTree {
        MemoryTree::default()
    }

    /// Appends a leaf's hash.
    ///
    /// # Errors
    /// [`TreeFull`].
    pub fn push(&mut self, leaf: Hash) -> Result<LeafIndex, TreeFull> {
        let levels = &mut self.levels;
        self.frontier.push(leaf, |node, hash| {
            let level = usize::from(node.level);
            if levels.len() == level {
                levels.push(Vec::new());
            }
            levels[level].push(hash);
        })
    }

    /// How many leaves.
    pub fn size(&self) -> TreeSize {
        self.frontier.size()
    }

    /// The right edge.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// A complete subtree's hash, if the tree has it.
    pub fn node(&self, node: Node) -> Option<Hash> {
        let level = self.levels.get(usize::from(node.level))?;
        level.get(usize::try_from(node.index).ok()?).copied()
    }
}

impl NodeReader for MemoryTree {
    type Error = Infallible;

    /// # Panics
    /// If the tree has no such subtree: generators ask only inside the size that the caller gave,
    /// which must not exceed [`MemoryTree::size`].
    fn read_node(&mut self, node: Node) -> Result<Hash, Infallible> {
        Ok(self.node(node).expect("the size asked about is at most the tree's"))
    }
}
