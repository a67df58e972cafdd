//! Proofs that a leaf is in a tree.

use super::{InclusionProof, LeafHashes, NodeReader, ProveError, TreeHead, VerifyError};
use crate::hash::Hash;
use crate::index::{LeafIndex, TreeSize};

/// Makes the proof that the leaf at `index` is in the tree of `size` leaves.
///
/// # Errors
/// [`ProveError::OutOfRange`] when the tree has no such leaf; [`ProveError::Read`] when a subtree
/// cannot be read.
// SPEC rfc6962/2.1.1: PATH(m, D[n])
pub fn prove_inclusion<R: NodeReader>(
    nodes: &mut R,
    index: LeafIndex,
    size: TreeSize,
) -> Result<InclusionProof, ProveError<R::Error>> {
    if !size.contains(index) {
        return Err(ProveError::OutOfRange(size));
    }
    let mut whole = LeafHashes { start: 0, end: size.get() };
    let mut siblings = Vec::new();
    while whole.end - whole.start > 1 {
        let (left, right) = whole.split();
        let (inside, sibling) = if index.get() < left.end { (left, right) } else { (right, left) };
        siblings.push(sibling);
        whole = inside;
    }
    let hashes = siblings.into_iter().rev().map(|leaves| leaves.hash(nodes));
    Ok(InclusionProof(hashes.collect::<Result<_, _>>()?))
}

/// Checks that the leaf with hash `leaf` stands at `index` in the tree of `head`.
///
/// # Errors
/// [`VerifyError`] says why it is not proven.
// SPEC rfc9162/2.1.3.2, which describes the check for RFC 6962 proofs
pub fn verify_inclusion(
    proof: &InclusionProof,
    leaf: &Hash,
    index: LeafIndex,
    head: &TreeHead,
) -> Result<(), VerifyError> {
    if !head.size.contains(index) {
        return Err(VerifyError::IndexOutsideTree);
    }
    // `place` is the subtree we have a hash for, `last` the last subtree of that height
    let mut place = index.get();
    let mut last = head.size.get() - 1;
    let mut hash = *leaf;
    for sibling in &proof.0 {
        if last == 0 {
            return Err(VerifyError::WrongLength);
        }
        if place & 1 == 1 || place == last {
            hash = sibling.join(&hash);
            // a ragged right edge has no sibling at some heights: climb to where it has one
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = hash.join(sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(VerifyError::WrongLength);
    }
    if hash == head.root { Ok(()) } else { Err(VerifyError::RootMismatch) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{MAX_PROOF_HASHES, MemoryTree, ParseProofError};

    fn tree(leaves: u64) -> MemoryTree {
        let mut tree = MemoryTree::new();
        for i in 0..leaves {
            tree.push(Hash::leaf(&i.to_be_bytes())).expect("room");
        }
        tree
    }

    fn index(i: u64) -> LeafIndex {
        LeafIndex::new(i).expect("small")
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_and_nothing_else() {
        for size in 1..=70 {
            let mut tree = tree(size);
            let head = tree.frontier().head();
            for i in 0..size {
                let proof = prove_inclusion(&mut tree, index(i), head.size).expect("inside");
                let leaf = Hash::leaf(&i.to_be_bytes());
                assert_eq!(verify_inclusion(&proof, &leaf, index(i), &head), Ok(()));
                for other in (0..=size).filter(|other| *other != i) {
                    let verdict = verify_inclusion(&proof, &leaf, index(other), &head);
                    assert!(verdict.is_err(), "leaf {i} proven at {other} of {size}");
                }
                let wrong = Hash::leaf(b"other");
                let verdict = verify_inclusion(&proof, &wrong, index(i), &head);
                assert_eq!(verdict, Err(VerifyError::RootMismatch));
                let mut longer = proof.clone();
                longer.0.push(wrong);
                assert_eq!(
                    verify_inclusion(&longer, &leaf, index(i), &head),
                    Err(VerifyError::WrongLength)
                );
            }
        }
    }

    #[test]
    fn asking_outside_the_tree_is_an_error() {
        let mut tree = tree(5);
        let size = tree.size();
        let asked = prove_inclusion(&mut tree, index(5), size);
        assert_eq!(asked, Err(ProveError::OutOfRange(size)));
        let head = TreeHead::EMPTY;
        let verdict =
            verify_inclusion(&InclusionProof::default(), &Hash::EMPTY_ROOT, index(0), &head);
        assert_eq!(verdict, Err(VerifyError::IndexOutsideTree));
    }

    #[test]
    fn the_largest_tree_takes_63_hashes_and_no_more() {
        let head = TreeHead { size: TreeSize::MAX, root: Hash::EMPTY_ROOT };
        let full = InclusionProof::new(vec![Hash::EMPTY_ROOT; MAX_PROOF_HASHES]).expect("63");
        let verdict = verify_inclusion(&full, &Hash::EMPTY_ROOT, index(0), &head);
        assert_eq!(verdict, Err(VerifyError::RootMismatch));
        let short = InclusionProof::new(vec![Hash::EMPTY_ROOT; 62]).expect("62");
        let verdict = verify_inclusion(&short, &Hash::EMPTY_ROOT, index(0), &head);
        assert_eq!(verdict, Err(VerifyError::WrongLength));
        assert_eq!(InclusionProof::new(vec![Hash::EMPTY_ROOT; 64]), Err(ParseProofError::TooLong));
    }
}
