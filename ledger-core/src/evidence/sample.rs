//! What the tests of evidence share: keys, logs of opaque leaves, and a ledger.

use crate::authority::{AuthorityBundle, GovernanceEntry};
use crate::charter::world::{World, admit};
use crate::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use crate::cosignature::cosign;
use crate::hash::Hash;
use crate::index::{LeafIndex, TreeSize};
use crate::merkle::{self, MemoryTree, TreeHead, prove_inclusion};
use crate::note::{Algorithm, KeyName, Note, SignerKey};
use crate::proof::TlogProof;
use crate::record::Entry;
use crate::record::tests::signer;

pub(super) const ORIGIN: &str = "ledger.example/2026";

pub(super) fn log_key(seed: u8) -> SignerKey {
    signer(ORIGIN, seed)
}

pub(super) fn cosigner(seed: u8) -> SignerKey {
    let name = KeyName::new(&format!("witness.example/{seed}")).expect("name");
    SignerKey::from_seed(name, Algorithm::CosignatureV1, [seed; 32]).expect("sound")
}

pub(super) fn size(n: usize) -> TreeSize {
    TreeSize::new(n as u64).expect("small")
}

pub(super) fn index(n: usize) -> LeafIndex {
    LeafIndex::new(n as u64).expect("small")
}

pub(super) fn tree<T: AsRef<[u8]>>(leaves: &[T]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for leaf in leaves {
        tree.push(Hash::leaf(leaf.as_ref())).expect("room");
    }
    tree
}

pub(super) fn head_of(tree: &mut MemoryTree, n: usize) -> TreeHead {
    let root = merkle::root(tree, size(n)).expect("memory does not fail");
    TreeHead { size: size(n), root }
}

pub(super) fn checkpoint(origin: &str, head: TreeHead) -> Checkpoint {
    Checkpoint::new(Origin::new(origin).expect("origin"), head)
}

/// A checkpoint with the lines of logs and cosigners, in that order.
pub(super) fn signed(checkpoint: &Checkpoint, keys: &[&SignerKey], time: u64) -> ClaimedCheckpoint {
    let text = checkpoint.to_string();
    let line = |key: &&SignerKey| match key.verifier().algorithm() {
        Algorithm::Ed25519 => key.sign_text(&text),
        _ => cosign(key, checkpoint, time),
    };
    let note = Note::new(&text, keys.iter().map(line).collect()).expect("a note");
    ClaimedCheckpoint::parse(note.to_string().as_bytes()).expect("a checkpoint")
}

/// A log with records: its entries, lawful or not.
#[derive(Clone)]
pub(super) struct Ledger {
    pub(super) entries: Vec<Entry>,
}

impl Ledger {
    pub(super) fn of(world: &World) -> Ledger {
        Ledger { entries: world.entries.iter().map(|(_, entry)| entry.clone()).collect() }
    }

    pub(super) fn tree(&self) -> MemoryTree {
        let leaves: Vec<Vec<u8>> = self.entries.iter().map(Entry::to_bytes).collect();
        tree(&leaves)
    }

    pub(super) fn head(&self, n: usize, keys: &[&SignerKey]) -> ClaimedCheckpoint {
        signed(&checkpoint(ORIGIN, head_of(&mut self.tree(), n)), keys, 0)
    }

    /// The entry at a place with its way to the root of the tree of `n`.
    pub(super) fn entry(&self, at: usize, n: usize) -> GovernanceEntry {
        let inclusion = prove_inclusion(&mut self.tree(), index(at), size(n)).expect("inside");
        GovernanceEntry { index: index(at), entry: self.entries[at].clone(), inclusion }
    }

    /// The bundle of an entry under the head of `n`.
    pub(super) fn bundle(
        &self,
        at: usize,
        governance: &[usize],
        head: &ClaimedCheckpoint,
    ) -> AuthorityBundle {
        let n = usize::try_from(head.checkpoint().head().size.get()).expect("small");
        let own = self.entry(at, n);
        let proof = TlogProof {
            extra: Some(own.entry.logged().to_string().into_bytes()),
            index: own.index,
            inclusion: own.inclusion,
            checkpoint: head.clone(),
        };
        AuthorityBundle::new(
            governance.iter().map(|at| self.entry(*at, n)).collect::<Vec<_>>(),
            proof,
        )
    }
}

/// A world whose ledger is: charter, incident of a, admission of f, incident of f.
pub(super) fn world() -> World {
    let mut world = World::new();
    let object = world.incident("a");
    world.log(&object, &["a"]);
    world.time += 5;
    world.change(vec![admit("f", &["publisher"])], &["a", "b"]);
    let object = world.incident("f");
    world.log(&object, &["f"]);
    world
}
