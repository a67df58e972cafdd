//! The right edge of a growing tree: all that is needed to append and to know the root.

use super::{Node, TreeHead, fold_row};
use crate::hash::Hash;
use crate::index::{LeafIndex, TreeSize};

/// The complete subtrees that make up a tree, largest first: at most 63 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: TreeSize,
    hashes: Vec<Hash>,
}

/// The tree has 2^63 - 1 leaves and takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree is full: it has 2^63 - 1 leaves")]
pub struct TreeFull;

impl Frontier {
    /// The right edge of the tree without leaves.
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// Takes the hashes of [`complete_subtrees`](super::complete_subtrees) of `size`, in that
    /// order.
    ///
    /// Returns `None` when their number does not fit the size. The caller checks the root.
    pub fn from_hashes(size: TreeSize, hashes: Vec<Hash>) -> Option<Frontier> {
        let fits = hashes.len() == size.get().count_ones() as usize;
        fits.then_some(Frontier { size, hashes })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> TreeSize {
        self.size
    }

    /// The complete subtrees' hashes, largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Size and root.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: fold_row(&self.hashes) }
    }

    /// Appends a leaf and tells `completed` of every subtree that it completes, the leaf itself
    /// first. Returns where the leaf stands.
    ///
    /// # Errors
    /// [`TreeFull`]; nothing was appended.
    pub fn push(
        &mut self,
        leaf: Hash,
        mut completed: impl FnMut(Node, Hash),
    ) -> Result<LeafIndex, TreeFull> {
        let index = self.size.next_index().ok_or(TreeFull)?;
        let mut node = Node { level: 0, index: index.get() };
        let mut hash = leaf;
        completed(node, hash);
        // each trailing one bit of the old size is a subtree that waits for its right sibling
        while node.index & 1 == 1 {
            let left = self.hashes.pop().expect("a set bit of the size has its hash");
            hash = left.join(&hash);
            node = Node { level: node.level + 1, index: node.index >> 1 };
            completed(node, hash);
        }
        self.hashes.push(hash);
        self.size = index.size_through();
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{MemoryTree, complete_subtrees, root};

    #[test]
    fn frontier_agrees_with_the_whole_tree() {
        let mut frontier = Frontier::new();
        let mut tree = MemoryTree::new();
        assert_eq!(frontier.head(), TreeHead::EMPTY);
        for i in 0..600u64 {
            let leaf = Hash::leaf(&i.to_be_bytes());
            let index = frontier.push(leaf, |_, _| {}).expect("room");
            assert_eq!(index.get(), i);
            tree.push(leaf).expect("room");
            let size = frontier.size();
            assert_eq!(Ok(frontier.head().root), root(&mut tree, size));
            let hashes = complete_subtrees(size).map(|node| tree.node(node).expect("complete"));
            let again = Frontier::from_hashes(size, hashes.collect());
            assert_eq!(again.as_ref(), Some(&frontier));
        }
        assert_eq!(Frontier::from_hashes(frontier.size(), vec![]), None);
    }

    #[test]
    fn a_full_tree_takes_no_leaf() {
        let edge = vec![Hash::EMPTY_ROOT; 63];
        let mut frontier = Frontier::from_hashes(TreeSize::MAX, edge).expect("63 bits");
        let before = frontier.clone();
        assert_eq!(frontier.push(Hash::EMPTY_ROOT, |_, _| {}), Err(TreeFull));
        assert_eq!(frontier, before);
    }
}
