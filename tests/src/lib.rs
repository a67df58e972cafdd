//! What the integration tests share: keys from fixed seeds, small trees, and where test data lies.
//!
//! The tests themselves are few binaries under `tests/`, so that linking stays cheap.

pub mod consortium;
pub mod costly;
pub mod counting;
pub mod follower;
pub mod long;
pub mod network;
pub mod process;
pub mod random;
pub mod registers_model;
pub mod served;
pub mod sim;
pub mod site;
pub mod stalling;
pub mod usage;
pub mod wait;
pub mod web;
pub mod witness;
pub mod year;

use std::path::{Path, PathBuf};

use ledger_core::merkle::{MemoryTree, TreeHead};
use ledger_core::note::{Algorithm, KeyName, SignerKey};
use ledger_core::{Hash, LeafIndex, TreeSize};

/// How many folders above the workspace are searched for `shared/data`.
const LEVELS_ABOVE: usize = 2;

/// The root of the workspace.
///
/// # Panics
/// Never, as long as the crate lies in the workspace.
pub fn workspace() -> PathBuf {
    // the variable of the running test comes first: two clones that share a target folder share
    // what was compiled, so that the path compiled into it may be the other's
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    let folder = folder.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = folder.ancestors().find(|at| at.join("Cargo.lock").is_file());
    root.expect("the crate lies in the workspace").to_owned()
}

/// A folder of test data that is too large or too foreign for the repository, if it is at hand:
/// below `$LEDGER_SHARED_DATA`, or below a folder `shared/data` beside the workspace or one level
/// higher.
///
/// Without it says that the test was skipped; the caller just returns.
///
/// # Panics
/// If the variable is set and there is no such folder: whoever sets it wants the test to run.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("LEDGER_SHARED_DATA") {
        let folder = PathBuf::from(folder).join(name);
        assert!(folder.is_dir(), "LEDGER_SHARED_DATA has no folder {name}");
        return Some(folder);
    }
    let root = workspace();
    let above = root.ancestors().skip(1).take(LEVELS_ABOVE);
    let found =
        above.map(|at| at.join("shared").join("data").join(name)).find(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped: no shared/data/{name} (LEDGER_SHARED_DATA can name its place)");
    }
    found
}

/// A signing key whose seed is 32 times one byte.
///
/// # Panics
/// If the name cannot be a key's.
pub fn key(name: &str, algorithm: Algorithm, seed: u8) -> SignerKey {
    let name = KeyName::new(name).expect("a key's name");
    SignerKey::from_seed(name, algorithm, [seed; 32]).expect("no seed gives a weak key")
}

/// A tree size.
///
/// # Panics
/// Above 2^63 - 1.
pub fn size(n: u64) -> TreeSize {
    TreeSize::new(n).expect("a tree can have that size")
}

/// A leaf's place.
///
/// # Panics
/// Above 2^63 - 2.
pub fn index(n: u64) -> LeafIndex {
    LeafIndex::new(n).expect("a tree can have that leaf")
}

/// The entry that [`tree`] has at a place.
pub fn entry(n: u64) -> Vec<u8> {
    format!("entry {n}").into_bytes()
}

/// The tree over the first `leaves` entries, and the heads of all its sizes from 0 on.
///
/// # Panics
/// Never: no machine has room for a full tree.
pub fn tree(leaves: u64) -> (MemoryTree, Vec<TreeHead>) {
    let mut tree = MemoryTree::new();
    let mut heads = vec![TreeHead::EMPTY];
    for n in 0..leaves {
        tree.push(Hash::leaf(&entry(n))).expect("room");
        heads.push(tree.frontier().head());
    }
    (tree, heads)
}

/// Copies a folder with all that is in it.
///
/// # Panics
/// If something cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("readable").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file");
        }
    }
}
