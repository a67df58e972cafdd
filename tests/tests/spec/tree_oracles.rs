//! Roots and proofs against ct-merkle, tlog_tiles and rs_merkle, for every small tree.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof as CtConsistency, InclusionProof as CtInclusion, RootHash};
use ledger_core::Hash;
use ledger_core::merkle::{
    ConsistencyProof, InclusionProof, MemoryTree, TreeHead, prove_consistency, prove_inclusion,
    verify_consistency, verify_inclusion,
};
use ledger_tests::{entry, index, size, tree};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tlog_tiles::tlog;

/// Every tree of up to so many leaves: past 256, where the first tile is full.
const EVERY_SIZE_UP_TO: u64 = 260;

type CtTree = MemoryBackedTree<Sha256, Vec<u8>>;

/// The hashes of a tree in the order that tlog_tiles stores them.
#[derive(Default)]
struct Stored(Vec<tlog::Hash>);

impl tlog::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let at = |index: &u64| self.0.get(*index as usize).copied();
        indexes.iter().map(at).collect::<Option<_>>().ok_or(tlog::Error::IndexesNotInTree)
    }
}

impl Stored {
    fn push(&mut self, n: u64) {
        let more = tlog::stored_hashes(n, &entry(n), self).expect("the hashes before are there");
        self.0.extend(more);
    }
}

/// RFC 6962 for rs_merkle: its leaves are hashed by the caller, a lone right node moves up as it
/// is.
#[derive(Clone)]
struct Rfc6962;

impl rs_merkle::Hasher for Rfc6962 {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        Sha256::new_with_prefix([1]).chain_update(data).finalize().into()
    }
}

fn theirs(hash: &Hash) -> tlog::Hash {
    tlog::Hash(*hash.as_bytes())
}

fn all_theirs(hashes: &[Hash]) -> Vec<tlog::Hash> {
    hashes.iter().map(theirs).collect()
}

fn ours(hashes: &[tlog::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash::from_bytes(hash.0)).collect()
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.as_bytes()).copied().collect()
}

fn ct_root(head: &TreeHead) -> RootHash<Sha256> {
    RootHash::new((*head.root.as_bytes()).into(), head.size.get())
}

fn inclusion(tree: &mut MemoryTree, i: u64, n: u64) -> InclusionProof {
    prove_inclusion(tree, index(i), size(n)).expect("inside")
}

fn consistency(tree: &mut MemoryTree, old: u64, new: u64) -> ConsistencyProof {
    prove_consistency(tree, size(old), size(new)).expect("ordered")
}

/// A proof with one hash more, one less, and one changed at each place.
fn corrupted(hashes: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[hashes, &[Hash::EMPTY_ROOT]].concat()];
    all.push([&[Hash::EMPTY_ROOT], hashes].concat());
    if let Some((_, shorter)) = hashes.split_last() {
        all.push(shorter.to_vec());
    }
    for at in 0..hashes.len() {
        let mut changed = hashes.to_vec();
        changed[at] = Hash::leaf(changed[at].as_bytes());
        all.push(changed);
    }
    all
}

#[test]
fn roots_of_every_small_tree_agree_with_three_libraries() {
    let (_, heads) = tree(EVERY_SIZE_UP_TO);
    let (mut ct, mut stored, mut leaves) = (CtTree::new(), Stored::default(), Vec::new());
    for (n, head) in (0..).zip(&heads) {
        assert_eq!(ct.root().as_bytes().as_slice(), head.root.as_bytes(), "ct-merkle, size {n}");
        let root = tlog::tree_hash(n, &stored).expect("stored");
        assert!(root == theirs(&head.root), "tlog_tiles, size {n}");
        let rs = rs_merkle::MerkleTree::<Rfc6962>::from_leaves(&leaves);
        match rs.root() {
            Some(root) => assert_eq!(&root, head.root.as_bytes(), "rs_merkle, size {n}"),
            None => assert_eq!(n, 0, "rs_merkle has no word for the empty tree only"),
        }
        ct.push(entry(n));
        stored.push(n);
        leaves.push(Sha256::new_with_prefix([0]).chain_update(entry(n)).finalize().into());
    }
}

#[test]
fn inclusion_proofs_of_every_small_tree_agree_with_two_libraries() {
    let (mut own, heads) = tree(EVERY_SIZE_UP_TO);
    let (mut ct, mut stored) = (CtTree::new(), Stored::default());
    let mut compared = 0;
    for n in 1..=EVERY_SIZE_UP_TO {
        ct.push(entry(n - 1));
        stored.push(n - 1);
        let head = &heads[n as usize];
        for i in 0..n {
            let proof = inclusion(&mut own, i, n);
            let of_ct = ct.prove_inclusion(i as usize);
            assert_eq!(bytes(proof.hashes()), of_ct.as_bytes(), "ct-merkle, {i} of {n}");
            let of_tlog = tlog::prove_record(n, i, &stored).expect("inside");
            assert_eq!(proof.hashes(), ours(&of_tlog), "tlog_tiles, {i} of {n}");
            // their proof, our verifier (the same bytes); our proof, their verifiers
            let leaf = Hash::leaf(&entry(i));
            assert_eq!(verify_inclusion(&proof, &leaf, index(i), head), Ok(()));
            let of_ours = CtInclusion::try_from_bytes(bytes(proof.hashes())).expect("hashes");
            ct_root(head).verify_inclusion(&entry(i), i, &of_ours).expect("ct-merkle accepts");
            tlog::check_record(
                &all_theirs(proof.hashes()),
                n,
                theirs(&head.root),
                i,
                theirs(&leaf),
            )
            .expect("tlog_tiles accepts");
            compared += 1;
        }
    }
    assert_eq!(compared, EVERY_SIZE_UP_TO * (EVERY_SIZE_UP_TO + 1) / 2);
    println!("inclusion proofs compared: {compared}");
}

#[test]
fn consistency_proofs_of_every_small_pair_agree_with_two_libraries() {
    let (mut own, heads) = tree(EVERY_SIZE_UP_TO);
    let (mut ct, mut stored) = (CtTree::new(), Stored::default());
    let mut compared = 0;
    for new in 1..=EVERY_SIZE_UP_TO {
        ct.push(entry(new - 1));
        stored.push(new - 1);
        let new_head = &heads[new as usize];
        for old in 1..=new {
            let old_head = &heads[old as usize];
            let proof = consistency(&mut own, old, new);
            let of_ct = ct.prove_consistency((new - old) as usize);
            assert_eq!(bytes(proof.hashes()), of_ct.as_bytes(), "ct-merkle, {old} to {new}");
            let of_tlog = tlog::prove_tree(new, old, &stored).expect("ordered");
            assert_eq!(proof.hashes(), ours(&of_tlog), "tlog_tiles, {old} to {new}");
            assert_eq!(verify_consistency(&proof, old_head, new_head), Ok(()));
            let of_ours = CtConsistency::try_from_bytes(bytes(proof.hashes())).expect("hashes");
            ct_root(new_head)
                .verify_consistency(&ct_root(old_head), &of_ours)
                .expect("ct-merkle accepts");
            let (new_root, old_root) = (theirs(&new_head.root), theirs(&old_head.root));
            tlog::check_tree(&all_theirs(proof.hashes()), new, new_root, old, old_root)
                .expect("tlog_tiles accepts");
            compared += 1;
        }
        // both libraries refuse the empty old tree; ours says what RFC 6962 leaves open
        assert!(consistency(&mut own, 0, new).hashes().is_empty());
    }
    println!("consistency proofs compared: {compared}");
}

#[test]
fn corrupted_proofs_are_refused_by_all() {
    let (mut own, heads) = tree(70);
    for n in 1..=70 {
        let head = &heads[n as usize];
        for i in 0..n {
            let leaf = Hash::leaf(&entry(i));
            for hashes in corrupted(inclusion(&mut own, i, n).hashes()) {
                let flat = CtInclusion::try_from_bytes(bytes(&hashes)).expect("hashes");
                let ct = ct_root(head).verify_inclusion(&entry(i), i, &flat);
                let all = all_theirs(&hashes);
                let tlog = tlog::check_record(&all, n, theirs(&head.root), i, theirs(&leaf));
                let proof = InclusionProof::new(hashes).expect("short");
                let own = verify_inclusion(&proof, &leaf, index(i), head);
                assert!(own.is_err() && ct.is_err() && tlog.is_err(), "{i} of {n}");
            }
        }
        for old in 1..=n {
            let old_head = &heads[old as usize];
            for hashes in corrupted(consistency(&mut own, old, n).hashes()) {
                let flat = CtConsistency::try_from_bytes(bytes(&hashes)).expect("hashes");
                let ct = ct_root(head).verify_consistency(&ct_root(old_head), &flat);
                let (root, old_root) = (theirs(&head.root), theirs(&old_head.root));
                let tlog = tlog::check_tree(&all_theirs(&hashes), n, root, old, old_root);
                let proof = ConsistencyProof::new(hashes).expect("short");
                let own = verify_consistency(&proof, old_head, head);
                assert!(own.is_err() && ct.is_err() && tlog.is_err(), "{old} to {n}");
            }
        }
    }
}

/// The largest random tree: twenty tiles on the first level.
const RANDOM_SIZE_UP_TO: u64 = 5000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ledger_tests::long::cases(24)))]

    #[test]
    fn proofs_of_random_trees_agree(
        n in 1..=RANDOM_SIZE_UP_TO,
        picks in prop::collection::vec(any::<(u64, u64)>(), 40),
    ) {
        let (mut own, heads) = tree(n);
        let mut stored = Stored::default();
        (0..n).for_each(|i| stored.push(i));
        for (a, b) in picks {
            let (i, old) = (a % n, b % n + 1);
            let head = &heads[n as usize];
            let proof = inclusion(&mut own, i, n);
            let of_tlog = tlog::prove_record(n, i, &stored).expect("inside");
            prop_assert_eq!(proof.hashes(), ours(&of_tlog));
            let leaf = Hash::leaf(&entry(i));
            prop_assert_eq!(verify_inclusion(&proof, &leaf, index(i), head), Ok(()));
            let proof = consistency(&mut own, old, n);
            let of_tlog = tlog::prove_tree(n, old, &stored).expect("ordered");
            prop_assert_eq!(proof.hashes(), ours(&of_tlog));
            prop_assert_eq!(verify_consistency(&proof, &heads[old as usize], head), Ok(()));
        }
    }
}
