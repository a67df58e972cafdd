//! A log as the files that a node publishes, and single entries proven out of them.

use std::path::Path;

use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::batch::Edge;
use ledger_core::charter::governance_chain;
use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::merkle::{InclusionProof, MemoryTree, prove_inclusion};
use ledger_core::note::SignerKey;
use ledger_core::proof::TlogProof;
use ledger_core::record::Entry;
use ledger_core::tile::TileCoord;

use crate::consortium::ORIGIN;
use crate::{index, size};

/// A signed log.
#[derive(Debug)]
pub struct Site {
    entries: Vec<Entry>,
    files: Vec<(TileCoord, Vec<u8>)>,
    tree: MemoryTree,
    log: SignerKey,
}

impl Site {
    /// The tree over the entries, and a head signed with this key.
    ///
    /// # Panics
    /// Never: no machine has room for a full tree.
    pub fn new(entries: &[Entry], log: SignerKey) -> Site {
        let bytes: Vec<Vec<u8>> = entries.iter().map(Entry::to_bytes).collect();
        let files = Edge::new().append(&bytes).expect("room").tiles;
        let mut tree = MemoryTree::new();
        for entry in entries {
            tree.push(entry.leaf_hash()).expect("room");
        }
        Site { entries: entries.to_vec(), files, tree, log }
    }

    /// The same log with another entry in one place, everything hashed and signed anew.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn forged(&self, at: u64, entry: Entry) -> Site {
        let mut entries = self.entries.clone();
        entries[at as usize] = entry;
        Site::new(&entries, self.log.clone())
    }

    /// Writes checkpoint, tiles and entry bundles into a folder.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn write(&self, folder: &Path) {
        for (coord, bytes) in &self.files {
            let path = folder.join(coord.to_string());
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, bytes).expect("written");
        }
        std::fs::write(folder.join("checkpoint"), self.checkpoint().to_string()).expect("written");
    }

    fn checkpoint(&self) -> ledger_core::checkpoint::ClaimedCheckpoint {
        let origin = Origin::new(ORIGIN).expect("an origin");
        Checkpoint::new(origin, self.tree.frontier().head()).sign(&self.log)
    }

    /// The authority bundle of an entry: its proof, and the governance entries up to the one that
    /// the line of entry `upto` names.
    ///
    /// # Panics
    /// If the entries' lines do not lead down to the charter.
    pub fn bundle(&mut self, at: u64, upto: u64) -> AuthorityBundle {
        let latest = self.entries[upto as usize].logged().governance;
        let read =
            |at: ledger_core::LeafIndex| Ok::<_, ()>(self.entries[at.get() as usize].clone());
        let chain = governance_chain(latest, read).expect("lines lead to the charter");
        let governance = chain.into_iter().map(|(place, entry)| {
            let inclusion = self.inclusion(place.get());
            GovernanceEntry { index: place, entry, inclusion }
        });
        let governance: Vec<_> = governance.collect();
        let extra = Some(self.entries[at as usize].logged().to_string().into_bytes());
        let (inclusion, checkpoint) = (self.inclusion(at), self.checkpoint());
        AuthorityBundle::new(
            governance,
            TlogProof { extra, index: index(at), inclusion, checkpoint },
        )
    }

    fn inclusion(&mut self, at: u64) -> InclusionProof {
        let leaves = size(self.entries.len() as u64);
        prove_inclusion(&mut self.tree, index(at), leaves).expect("a place in the tree")
    }

    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
