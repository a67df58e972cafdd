//! Proofs that a tree grew out of an older one.

use super::{ConsistencyProof, LeafHashes, NodeReader, ProveError, TreeHead, VerifyError};
use crate::hash::Hash;
use crate::index::TreeSize;

/// Makes the proof that the tree of `new` leaves begins with the tree of `old` leaves. It is empty
/// when `old` is zero or equal to `new`.
///
/// # Errors
/// [`ProveError::OutOfRange`] when `old` is larger than `new`; [`ProveError::Read`] when a subtree
/// cannot be read.
// SPEC rfc6962/2.1.2: PROOF(m, D[n])
pub fn prove_consistency<R: NodeReader>(
    nodes: &mut R,
    old: TreeSize,
    new: TreeSize,
) -> Result<ConsistencyProof, ProveError<R::Error>> {
    if old > new {
        return Err(ProveError::OutOfRange(new));
    }
    if old.is_empty() {
        return Ok(ConsistencyProof::default());
    }
    let mut whole = LeafHashes { start: 0, end: new.get() };
    let mut needed = Vec::new();
    while whole.end != old.get() {
        let (left, right) = whole.split();
        if old.get() <= left.end {
            needed.push(right);
            whole = left;
        } else {
            needed.push(left);
            whole = right;
        }
    }
    if whole.start != 0 {
        // the verifier knows the old root only as a whole, not this last part of it
        needed.push(whole);
    }
    let hashes = needed.into_iter().rev().map(|leaves| leaves.hash(nodes));
    Ok(ConsistencyProof(hashes.collect::<Result<_, _>>()?))
}

/// Checks that the tree of `new` begins with the tree of `old`. The empty tree is the beginning of
/// every tree, and the proof of that is empty.
///
/// # Errors
/// [`VerifyError`] says why it is not proven.
// SPEC rfc9162/2.1.4.2, which describes the check for RFC 6962 proofs
pub fn verify_consistency(
    proof: &ConsistencyProof,
    old: &TreeHead,
    new: &TreeHead,
) -> Result<(), VerifyError> {
    if old.size > new.size {
        return Err(VerifyError::SizesReversed);
    }
    if old.size.is_empty() || old.size == new.size {
        if !proof.0.is_empty() {
            return Err(VerifyError::WrongLength);
        }
        let equal = old.size != new.size || old.root == new.root;
        let sound = !old.size.is_empty() || *old == TreeHead::EMPTY;
        return if equal && sound { Ok(()) } else { Err(VerifyError::RootMismatch) };
    }
    let (old_root, new_root) = roots(proof, old, new.size)?;
    let both = old_root == old.root && new_root == new.root;
    if both { Ok(()) } else { Err(VerifyError::RootMismatch) }
}

/// The root that the tree of `new` had at a smaller size, out of a proof alone. `None` when the
/// proof does not lead to that tree, and for a size that is a power of two: such a tree is one
/// complete subtree, whose root no proof holds.
pub(super) fn root_within(
    proof: &ConsistencyProof,
    size: TreeSize,
    new: &TreeHead,
) -> Option<Hash> {
    if size >= new.size || size.is_empty() || size.get().is_power_of_two() {
        return None;
    }
    // the root of a tree of such a size is not looked at
    let old = TreeHead { size, root: Hash::EMPTY_ROOT };
    let (old_root, new_root) = roots(proof, &old, new.size).ok()?;
    (new_root == new.root).then_some(old_root)
}

/// The roots of two trees of different sizes, neither empty, that a proof leads to. The root of
/// `old` is where it begins if that tree is one complete subtree, and else is not looked at.
fn roots(
    proof: &ConsistencyProof,
    old: &TreeHead,
    new: TreeSize,
) -> Result<(Hash, Hash), VerifyError> {
    let mut place = old.size.get() - 1;
    let mut last = new.get() - 1;
    // skip the subtrees of the old tree's right edge that the new tree has as they are
    let skip = place.trailing_ones();
    place >>= skip;
    last >>= skip;
    let mut hashes = proof.0.iter();
    // SPEC rfc6962/2.1.2: an old tree that is one complete subtree is not repeated in the proof
    let first = if place == 0 { Some(&old.root) } else { hashes.next() };
    let first = *first.ok_or(VerifyError::WrongLength)?;
    let (mut old_root, mut new_root): (Hash, Hash) = (first, first);
    for hash in hashes {
        if last == 0 {
            return Err(VerifyError::WrongLength);
        }
        if place & 1 == 1 || place == last {
            old_root = hash.join(&old_root);
            new_root = hash.join(&new_root);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            new_root = new_root.join(hash);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(VerifyError::WrongLength);
    }
    Ok((old_root, new_root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{Frontier, MemoryTree};

    fn heads(sizes: u64) -> (MemoryTree, Vec<TreeHead>) {
        let mut tree = MemoryTree::new();
        let mut heads = vec![TreeHead::EMPTY];
        for i in 0..sizes {
            tree.push(Hash::leaf(&i.to_be_bytes())).expect("room");
            heads.push(tree.frontier().head());
        }
        (tree, heads)
    }

    #[test]
    fn every_pair_of_small_trees_is_proven_and_no_other_pair() {
        let (mut tree, heads) = heads(70);
        for new in &heads {
            for old in heads.iter().take_while(|old| old.size <= new.size) {
                let proof = prove_consistency(&mut tree, old.size, new.size).expect("ordered");
                assert_eq!(verify_consistency(&proof, old, new), Ok(()), "{old:?} {new:?}");
                let forged = TreeHead { root: Hash::leaf(b"forged"), ..*old };
                assert!(verify_consistency(&proof, &forged, new).is_err());
                let forged = TreeHead { root: Hash::leaf(b"forged"), ..*new };
                let lies = verify_consistency(&proof, old, &forged).is_err();
                let precedes_anything = old.size.is_empty() && !new.size.is_empty();
                assert_eq!(lies, !precedes_anything, "{old:?} {new:?}");
                let mut longer = proof.clone();
                longer.0.push(Hash::EMPTY_ROOT);
                assert!(verify_consistency(&longer, old, new).is_err());
                if let Some((_, shorter)) = proof.0.split_last() {
                    let shorter = ConsistencyProof(shorter.to_vec());
                    assert!(verify_consistency(&shorter, old, new).is_err());
                }
            }
        }
    }

    #[test]
    fn reversed_sizes_are_refused_by_both_sides() {
        let (mut tree, heads) = heads(3);
        let made = prove_consistency(&mut tree, heads[3].size, heads[2].size);
        assert_eq!(made, Err(ProveError::OutOfRange(heads[2].size)));
        let verdict = verify_consistency(&ConsistencyProof::default(), &heads[3], &heads[2]);
        assert_eq!(verdict, Err(VerifyError::SizesReversed));
    }

    #[test]
    fn an_empty_tree_with_another_root_is_consistent_with_nothing() {
        // a head of size 0 and a wrong root once passed as the newer of two empty trees
        let wrong = TreeHead { root: Hash::leaf(b"wrong"), ..TreeHead::EMPTY };
        let proof = ConsistencyProof::default();
        for (old, new) in [(TreeHead::EMPTY, wrong), (wrong, TreeHead::EMPTY), (wrong, wrong)] {
            let verdict = verify_consistency(&proof, &old, &new);
            assert_eq!(verdict, Err(VerifyError::RootMismatch), "{old:?} {new:?}");
        }
        assert_eq!(verify_consistency(&proof, &TreeHead::EMPTY, &TreeHead::EMPTY), Ok(()));
    }

    #[test]
    fn sizes_up_to_the_largest_neither_overflow_nor_hang() {
        let edge = vec![Hash::EMPTY_ROOT; 63];
        let new = Frontier::from_hashes(TreeSize::MAX, edge).expect("63 bits").head();
        for old in [1, 2, 1 << 62, (1 << 63) - 2] {
            let size = TreeSize::new(old).expect("in range");
            let old = TreeHead { size, root: Hash::EMPTY_ROOT };
            for length in 0..=63 {
                let proof = ConsistencyProof(vec![Hash::EMPTY_ROOT; length]);
                assert!(verify_consistency(&proof, &old, &new).is_err());
            }
        }
    }
}
