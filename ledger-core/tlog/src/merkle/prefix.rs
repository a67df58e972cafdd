//! What a tree was when it was smaller: the root it had, and the proof of that.

use super::consistency::root_within;
use super::{
    ConsistencyProof, NodeReader, ProveError, TreeHead, VerifyError, prove_consistency, root,
    verify_consistency,
};
use crate::hash::Hash;
use crate::index::TreeSize;

/// A claim about the first leaves of a larger tree: their root, and a consistency proof.
///
/// Whoever makes it need not be trusted: [`PrefixProof::of`] fixes the root by the larger tree's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixProof {
    /// The root of the smaller tree.
    pub root: Hash,
    /// From the smaller tree to the larger one.
    pub proof: ConsistencyProof,
}

/// Why a beginning cannot be read out of a tree's nodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeginningError<E> {
    /// A part of the tree could not be read.
    #[error("the tree cannot be read: {0}")]
    Read(E),
    /// What was read is not the tree of the larger head.
    #[error("these nodes are not those of the larger head's tree")]
    OtherTree,
}

impl PrefixProof {
    /// Reads what the tree of `larger` was at a smaller size: at most some 130 nodes, which need
    /// not be trusted.
    ///
    /// # Errors
    /// [`BeginningError`] when the nodes cannot be read, or are not those of that tree.
    pub fn read<R: NodeReader>(
        nodes: &mut R,
        smaller: TreeSize,
        larger: &TreeHead,
    ) -> Result<PrefixProof, BeginningError<R::Error>> {
        let root = root(nodes, smaller).map_err(BeginningError::Read)?;
        let proof = prove_consistency(nodes, smaller, larger.size).map_err(|e| match e {
            ProveError::Read(error) => BeginningError::Read(error),
            ProveError::OutOfRange(_) => BeginningError::OtherTree,
        })?;
        let beginning = PrefixProof { root, proof };
        beginning.of(smaller, larger).map_err(|_| BeginningError::OtherTree)?;
        Ok(beginning)
    }

    /// What a consistency proof shows by itself of the tree of `larger`, whatever tree it was made
    /// to vouch for: the root at another size. `None` when it does not lead to the larger root, and
    /// where the smaller size is a power of two: such a proof begins with a root that it does not
    /// hold.
    pub fn of_proof(
        proof: &ConsistencyProof,
        smaller: TreeSize,
        larger: &TreeHead,
    ) -> Option<PrefixProof> {
        let root = root_within(proof, smaller, larger)?;
        Some(PrefixProof { root, proof: proof.clone() })
    }

    /// The head that the tree of `larger` had at `size`.
    ///
    /// # Errors
    /// [`VerifyError`] where the proof does not lead to the larger root: the claim says nothing.
    pub fn of(&self, size: TreeSize, larger: &TreeHead) -> Result<TreeHead, VerifyError> {
        let smaller = TreeHead { size, root: self.root };
        verify_consistency(&self.proof, &smaller, larger)?;
        Ok(smaller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::MemoryTree;

    fn size(size: u64) -> TreeSize {
        TreeSize::new(size).expect("in range")
    }

    #[test]
    fn a_beginning_names_the_only_root_that_the_tree_had() {
        let mut tree = MemoryTree::new();
        let mut heads = vec![TreeHead::EMPTY];
        for i in 0..40_u64 {
            tree.push(Hash::leaf(&i.to_be_bytes())).expect("room");
            heads.push(tree.frontier().head());
        }
        for larger in &heads[1..] {
            for smaller in heads.iter().take_while(|head| head.size < larger.size) {
                let beginning = PrefixProof::read(&mut tree, smaller.size, larger).expect("inside");
                assert_eq!(beginning.of(smaller.size, larger), Ok(*smaller));
                let lie = PrefixProof { root: Hash::leaf(b"another"), ..beginning };
                assert!(lie.of(smaller.size, larger).is_err(), "{smaller:?} of {larger:?}");
            }
        }
    }

    #[test]
    fn a_proof_alone_names_the_root_that_the_tree_had_and_no_other() {
        let mut tree = MemoryTree::new();
        let mut heads = vec![TreeHead::EMPTY];
        for i in 0..40_u64 {
            tree.push(Hash::leaf(&i.to_be_bytes())).expect("room");
            heads.push(tree.frontier().head());
        }
        for larger in &heads {
            for smaller in heads.iter().take_while(|head| head.size <= larger.size) {
                let proof =
                    prove_consistency(&mut tree, smaller.size, larger.size).expect("inside");
                let shown = PrefixProof::of_proof(&proof, smaller.size, larger);
                let is_shown = smaller.size < larger.size
                    && !smaller.size.is_empty()
                    && !smaller.size.get().is_power_of_two();
                let root = is_shown.then_some(smaller.root);
                assert_eq!(shown.map(|shown| shown.root), root, "{smaller:?} of {larger:?}");
                let other = TreeHead { root: Hash::leaf(b"another"), ..*larger };
                assert_eq!(PrefixProof::of_proof(&proof, smaller.size, &other), None);
                assert_eq!(PrefixProof::of_proof(&proof, larger.size, smaller), None);
            }
        }
    }

    #[test]
    fn nodes_of_another_tree_give_no_beginning() {
        let mut tree = MemoryTree::new();
        for i in 0..9_u64 {
            tree.push(Hash::leaf(&i.to_be_bytes())).expect("room");
        }
        let other = TreeHead { root: Hash::leaf(b"another"), ..tree.frontier().head() };
        let read = PrefixProof::read(&mut tree, size(4), &other);
        assert_eq!(read, Err(BeginningError::OtherTree));
        let short = TreeHead { size: size(3), ..other };
        let read = PrefixProof::read(&mut tree, size(4), &short);
        assert_eq!(read, Err(BeginningError::OtherTree));
    }
}
