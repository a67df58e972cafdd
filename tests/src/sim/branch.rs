//! A tree that somebody holds, with its leaves.

use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::merkle::{ConsistencyProof, MemoryTree, PrefixProof, TreeHead, prove_consistency};
use ledger_core::{Hash, TreeSize};

/// One history of a log.
#[derive(Debug, Clone, Default)]
pub struct Branch {
    leaves: Vec<Hash>,
    tree: MemoryTree,
}

impl Branch {
    /// The tree over these leaves.
    ///
    /// # Panics
    /// Never: no machine has room for a full tree.
    pub fn new(leaves: impl IntoIterator<Item = Hash>) -> Branch {
        let mut branch = Branch::default();
        leaves.into_iter().for_each(|leaf| branch.push(leaf));
        branch
    }

    /// Adds a leaf.
    ///
    /// # Panics
    /// Never, as above.
    pub fn push(&mut self, leaf: Hash) {
        self.tree.push(leaf).expect("room");
        self.leaves.push(leaf);
    }

    /// The leaves.
    pub fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// How many.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The head of the whole tree.
    pub fn head(&self) -> TreeHead {
        self.tree.frontier().head()
    }

    /// What a log says of the whole tree.
    pub fn checkpoint(&self, origin: &Origin) -> Checkpoint {
        Checkpoint::new(origin.clone(), self.head())
    }

    /// The branch with its first leaves only.
    #[must_use]
    pub fn first(&self, size: u64) -> Branch {
        Branch::new(self.leaves.iter().take(usize::try_from(size).unwrap_or(usize::MAX)).copied())
    }

    /// The branch with another leaf at a place.
    #[must_use]
    pub fn rewritten(&self, at: usize, leaf: Hash) -> Branch {
        let other = |(i, own): (usize, &Hash)| if i == at { leaf } else { *own };
        Branch::new(self.leaves.iter().enumerate().map(other))
    }

    /// Whether one begins with the other.
    pub fn agrees(&self, other: &Branch) -> bool {
        self.leaves.iter().zip(&other.leaves).all(|(own, its)| own == its)
    }

    /// What the tree of `larger` was at a smaller size, if this is its tree.
    pub fn beginning(&self, smaller: TreeSize, larger: &TreeHead) -> Option<PrefixProof> {
        if larger.size > self.tree.size() || smaller > larger.size {
            return None;
        }
        PrefixProof::read(&mut self.tree.clone(), smaller, larger).ok()
    }

    /// The proof that the whole tree grew out of its first leaves, if it has so many.
    pub fn growth(&self, old: TreeSize) -> Option<ConsistencyProof> {
        prove_consistency(&mut self.tree.clone(), old, self.tree.size()).ok()
    }
}
