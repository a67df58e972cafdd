//! Verifiers at sizes that no test can grow: up to 2^63 - 1 leaves, with invented hashes.

use ledger_core::merkle::{
    ConsistencyProof, Frontier, InclusionProof, MAX_PROOF_HASHES, TreeHead, VerifyError,
    complete_subtrees, verify_consistency, verify_inclusion,
};
use ledger_core::{Hash, LeafIndex, TreeSize};
use ledger_tests::{index, size};
use proptest::prelude::*;
use tlog_tiles::tlog;

const MAX: u64 = i64::MAX as u64;

/// Sizes within three of a power of two, where proofs change their shape, and any others.
fn sizes() -> impl Strategy<Value = u64> {
    let near = (0..=63u32, 0..=6u64)
        .prop_map(|(bits, off)| ((1u64 << bits).saturating_sub(3) + off).clamp(1, MAX));
    prop_oneof![3 => near, 1 => 1..=MAX]
}

fn hashes() -> impl Strategy<Value = Vec<Hash>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(Hash::from_bytes), 0..=MAX_PROOF_HASHES)
}

/// How many hashes RFC 6962 puts into the proof of a leaf, by its own recursion.
fn path_length(m: u64, n: u64) -> usize {
    let (mut m, mut n, mut length) = (m, n, 0);
    while n > 1 {
        let k = 1u64 << (n - 1).ilog2();
        (m, n) = if m < k { (m, k) } else { (m - k, n - k) };
        length += 1;
    }
    length
}

/// The root that a path leads to, folded down RFC 6962's own recursion.
fn root_by_recursion(leaf: Hash, m: u64, n: u64, path: &[Hash]) -> Hash {
    let Some((sibling, below)) = path.split_last() else { return leaf };
    let k = 1u64 << (n - 1).ilog2();
    if m < k {
        root_by_recursion(leaf, m, k, below).join(sibling)
    } else {
        sibling.join(&root_by_recursion(leaf, m - k, n - k, below))
    }
}

fn theirs(hash: &Hash) -> tlog::Hash {
    tlog::Hash(*hash.as_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ledger_tests::long::cases(2000)))]

    /// A path of invented siblings makes a root; the verifier must find it, and no other length
    /// may.
    #[test]
    fn inclusion_in_huge_trees_is_judged_as_the_rfc_recursion_does(
        n in sizes(), pick in any::<u64>(), mut siblings in hashes(), leaf in any::<[u8; 32]>(),
    ) {
        let (m, leaf) = (pick % n, Hash::from_bytes(leaf));
        let length = path_length(m, n);
        let wrong = siblings.len() != length;
        let invented = InclusionProof::new(siblings.clone()).expect("at most 63");
        let head = TreeHead { size: size(n), root: leaf };
        let verdict = verify_inclusion(&invented, &leaf, index(m), &head);
        if wrong {
            prop_assert_eq!(verdict, Err(VerifyError::WrongLength));
        }
        siblings.resize(length, Hash::EMPTY_ROOT);
        let root = root_by_recursion(leaf, m, n, &siblings);
        let head = TreeHead { size: size(n), root };
        let proof = InclusionProof::new(siblings.clone()).expect("at most 63");
        prop_assert_eq!(verify_inclusion(&proof, &leaf, index(m), &head), Ok(()));
        let all = siblings.iter().map(theirs).collect();
        prop_assert!(tlog::check_record(&all, n, theirs(&root), m, theirs(&leaf)).is_ok());
        for other in [m ^ 1, m.wrapping_add(1), n - 1 - m, m / 2] {
            let Ok(other) = LeafIndex::new(other) else { continue };
            if other.get() != m && !siblings.is_empty() {
                let elsewhere = verify_inclusion(&proof, &leaf, other, &head);
                let also = match other.get() < n && path_length(other.get(), n) == length {
                    true => root_by_recursion(leaf, other.get(), n, &siblings) == root,
                    false => false,
                };
                prop_assert_eq!(elsewhere.is_ok(), also);
            }
        }
    }

    /// Whatever is thrown at it: a verdict, the same as tlog_tiles gives, and soon.
    #[test]
    fn consistency_of_huge_trees_is_judged_as_tlog_tiles_does(
        a in sizes(), b in sizes(), proof in hashes(), roots in any::<([u8; 32], [u8; 32])>(),
    ) {
        let (old, new) = (a.min(b), a.max(b));
        let old_head = TreeHead { size: size(old), root: Hash::from_bytes(roots.0) };
        let new_head = TreeHead { size: size(new), root: Hash::from_bytes(roots.1) };
        let all = proof.iter().map(theirs).collect();
        let tlog = tlog::check_tree(
            &all, new, theirs(&new_head.root), old, theirs(&old_head.root),
        );
        let proof = ConsistencyProof::new(proof).expect("at most 63");
        let own = verify_consistency(&proof, &old_head, &new_head);
        prop_assert_eq!(own.is_ok(), tlog.is_ok());
        let reversed = verify_consistency(&proof, &new_head, &old_head);
        prop_assert!(old == new || reversed == Err(VerifyError::SizesReversed));
    }

    /// A huge tree that grows by a few leaves: the frontier gives both heads, and the proof between
    /// them is its own hashes with what was added.
    #[test]
    fn huge_trees_grow_consistently(n in sizes(), more in 1..40u64) {
        let edge: Vec<Hash> = complete_subtrees(size(n))
            .map(|node| Hash::leaf(&[&node.index.to_be_bytes()[..], &[node.level]].concat()))
            .collect();
        let mut frontier = Frontier::from_hashes(size(n), edge).expect("one hash a subtree");
        let old = frontier.head();
        let mut known = std::collections::BTreeMap::new();
        for node in complete_subtrees(size(n)) {
            let hash = Hash::leaf(&[&node.index.to_be_bytes()[..], &[node.level]].concat());
            known.insert(node, hash);
        }
        for i in 0..more {
            let leaf = Hash::leaf(&i.to_be_bytes());
            if frontier.push(leaf, |node, hash| { known.insert(node, hash); }).is_err() {
                prop_assert_eq!(frontier.size(), TreeSize::MAX);
                break;
            }
        }
        let new = frontier.head();
        let mut nodes = Known(known);
        let proof = ledger_core::merkle::prove_consistency(&mut nodes, old.size, new.size);
        let proof = proof.expect("every node that is needed is at the edge");
        prop_assert_eq!(verify_consistency(&proof, &old, &new), Ok(()));
        let all = proof.hashes().iter().map(theirs).collect();
        let (new_root, old_root) = (theirs(&new.root), theirs(&old.root));
        let tlog = tlog::check_tree(&all, new.size.get(), new_root, old.size.get(), old_root);
        prop_assert!(tlog.is_ok());
        if let Some(last) = new.size.last().filter(|last| !old.size.contains(*last)) {
            let leaf = nodes.0[&ledger_core::merkle::Node { level: 0, index: last.get() }];
            let proof = ledger_core::merkle::prove_inclusion(&mut nodes, last, new.size);
            let proof = proof.expect("the last leaf's siblings are at the edge");
            prop_assert_eq!(verify_inclusion(&proof, &leaf, last, &new), Ok(()));
        }
    }
}

/// The nodes at a huge tree's right edge.
struct Known(std::collections::BTreeMap<ledger_core::merkle::Node, Hash>);

impl ledger_core::merkle::NodeReader for Known {
    type Error = String;

    fn read_node(&mut self, node: ledger_core::merkle::Node) -> Result<Hash, String> {
        self.0.get(&node).copied().ok_or_else(|| format!("{node:?} is not at the edge"))
    }
}
