//! The one suite that every store passes.

use std::os::unix::fs::MetadataExt as _;

use ledger_core::TreeSize;
use ledger_core::batch::Edge;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::merkle::TreeHead;
use ledger_core::note::{Algorithm, KeyName, SignerKey};
use ledger_core::tile::TileCoord;

use super::disk::{DiskStore, Layout, MIN_SEGMENT_BYTES};
use super::memory::MemoryStore;
use super::site::Site;
use super::{Files as _, HeadSwap, Store, StoreError};
use crate::log::LogReader;

/// A store that can be closed and opened again.
pub(super) trait Reopen {
    fn open(&self) -> Box<dyn Store>;

    /// Opens what a crash leaves; of a disk, what a process leaves that is killed.
    fn open_after_a_crash(&mut self) -> Box<dyn Store> {
        self.open()
    }
}

pub(super) struct Disk(pub(super) tempfile::TempDir);

impl Disk {
    pub(super) fn new() -> Disk {
        let dir = tempfile::tempdir().expect("dir");
        DiskStore::create(&Layout::new(dir.path()), MIN_SEGMENT_BYTES).expect("empty dir");
        Disk(dir)
    }
}

impl Reopen for Disk {
    fn open(&self) -> Box<dyn Store> {
        Box::new(DiskStore::open(&Layout::new(self.0.path()), MIN_SEGMENT_BYTES).expect("own log"))
    }
}

impl Reopen for MemoryStore {
    fn open(&self) -> Box<dyn Store> {
        Box::new(self.clone())
    }

    fn open_after_a_crash(&mut self) -> Box<dyn Store> {
        *self = self.crashed();
        self.open()
    }
}

fn each(claim: impl Fn(&dyn Reopen)) {
    claim(&Disk::new());
    claim(&MemoryStore::new(3));
}

fn coord(path: &str) -> TileCoord {
    path.parse().expect("path")
}

#[test]
fn the_journal_returns_all_that_was_appended_and_not_yet_retired() {
    each(|log| {
        let mut edge = Edge::new();
        let mut appended = Vec::new();
        // far enough that tiles fill after a rotation that left them partial
        for round in 0..40u32 {
            let store = log.open();
            for batch in 0..2 {
                // large enough that the disk's segments rotate
                let entries =
                    [vec![vec![round as u8; 60_000]; 4], vec![vec![batch; 60_000]; 4]].concat();
                store.append(&edge.head(), &entries).expect("healthy");
                for (coord, bytes) in edge.append(&entries).expect("room").tiles {
                    store.put(coord, &bytes).expect("healthy");
                }
                appended.extend(entries);
            }
            drop(store);
            let store = log.open();
            let replay = store.replay().expect("healthy");
            let source = TilesOf(store.as_ref());
            let mut again = Edge::restore(source, &replay.base).expect("tiles of the base stay");
            let base = replay.base.size.get() as usize;
            assert_eq!(replay.batches.concat(), appended[base..]);
            for batch in &replay.batches {
                for (coord, bytes) in again.append(batch).expect("room").tiles {
                    store.restore(coord, &bytes).expect("healthy");
                }
            }
            assert_eq!(again.head(), edge.head());
        }
    });
}

pub(super) struct TilesOf<'a>(pub(super) &'a dyn Store);

impl ledger_core::tile::TileSource for TilesOf<'_> {
    type Error = String;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, String> {
        let get = |coord| self.0.get(coord).map_err(|e| e.to_string());
        // a partial tile may have gone once the full one is there
        let bytes = get(coord)?.map_or_else(|| get(coord.to_full()), |bytes| Ok(Some(bytes)));
        bytes?.ok_or_else(|| format!("no {coord}"))
    }
}

/// The journal goes on in a new segment inside a bundle; later the bundle fills up, and its partial
/// forms go. The log still opens.
#[test]
fn the_tree_that_the_journal_goes_on_from_outlives_its_partial_tiles() {
    let disk = Disk::new();
    let store = disk.open();
    let mut edge = Edge::new();
    let long = vec![vec![1; 65_000]; 10];
    let short: Vec<_> = (0..30u8).map(|n| vec![n; 100]).collect();
    for entries in std::iter::repeat_n(&long, 15).chain(std::iter::repeat_n(&short, 10)) {
        store.append(&edge.head(), entries).expect("healthy");
        for (coord, bytes) in edge.append(entries).expect("room").tiles {
            store.put(coord, &bytes).expect("healthy");
        }
    }
    drop(store);
    let store: std::sync::Arc<dyn Store> = disk.open().into();
    let replay = store.replay().expect("healthy");
    let base = replay.base.size.get();
    assert!((1..256).contains(&base), "the first segment has gone: {base}");
    let reader = LogReader::new(store.clone());
    let mut again = Edge::restore(reader.tiles(), &replay.base).expect("the full tiles stay");
    for batch in &replay.batches {
        again.append(batch).expect("room");
    }
    assert_eq!(again.head(), edge.head());
}

#[test]
fn a_part_of_a_file_is_what_was_written_there() {
    each(|log| {
        let store = log.open();
        let (bundle, bytes) = (coord("tile/entries/000.p/7"), (0..200u8).collect::<Vec<_>>());
        store.put(bundle, &bytes).expect("free");
        for from in [0usize, 1, 199, 200, 201, 5_000] {
            for most in [0, 1, 7, 200, 1 << 20] {
                let part = store.part(bundle, from as u64, most).expect("healthy").expect("there");
                let begin = from.min(bytes.len());
                let end = begin.saturating_add(most).min(bytes.len());
                assert_eq!((part.bytes.as_slice(), part.file_len), (&bytes[begin..end], 200));
            }
        }
        assert_eq!(store.part(coord("tile/entries/000"), 0, 1).expect("healthy"), None);
    });
}

#[test]
fn tiles_are_immutable_but_for_restoring() {
    each(|log| {
        let store = log.open();
        let tile = coord("tile/0/x001/000.p/1");
        assert_eq!(store.get(tile).expect("healthy"), None);
        store.put(tile, b"one").expect("free");
        store.put(tile, b"one").expect("the same again");
        let other = store.put(tile, b"two");
        assert!(matches!(other, Err(StoreError::Conflict(at)) if at == tile));
        assert_eq!(store.get(tile).expect("healthy").as_deref(), Some(b"one".as_slice()));
        store.restore(tile, b"two").expect("healthy");
        drop(store);
        let store = log.open();
        assert_eq!(store.get(tile).expect("healthy").as_deref(), Some(b"two".as_slice()));
    });
}

#[test]
fn heads_change_only_from_what_the_caller_believes() {
    each(|log| {
        let store = log.open();
        assert_eq!(store.head().expect("healthy"), None);
        store.swap_head(HeadSwap { old: None, new: "one" }).expect("none before");
        let wrong = store.swap_head(HeadSwap { old: None, new: "two" });
        assert!(matches!(wrong, Err(StoreError::HeadMoved)));
        let wrong = store.swap_head(HeadSwap { old: Some("two"), new: "three" });
        assert!(matches!(wrong, Err(StoreError::HeadMoved)));
        store.swap_head(HeadSwap { old: Some("one"), new: "two" }).expect("as believed");
        drop(store);
        assert_eq!(log.open().head().expect("healthy").as_deref(), Some("two"));
    });
}

#[test]
fn the_checkpoint_is_what_was_published_last() {
    each(|log| {
        let store = log.open();
        assert_eq!(store.published().expect("healthy"), None);
        let mut edge = Edge::new();
        let mut last = None;
        for _ in 0..2 {
            for (coord, bytes) in edge.append(&["entry"]).expect("room").tiles {
                store.put(coord, &bytes).expect("healthy");
            }
            let checkpoint = checkpoint(edge.head());
            store.publish(&checkpoint).expect("healthy");
            last = Some(checkpoint.to_string());
        }
        drop(store);
        assert_eq!(log.open().published().expect("healthy"), last);
    });
}

pub(super) fn checkpoint(head: TreeHead) -> ClaimedCheckpoint {
    let name = KeyName::new("log.test").expect("a name");
    let key = SignerKey::from_seed(name, Algorithm::Ed25519, [1; 32]).expect("a seed");
    Checkpoint::new(Origin::new("log.test").expect("a name"), head).sign(&key)
}

#[test]
fn one_writer_at_a_time() {
    let disk = Disk::new();
    let first = disk.open();
    let layout = Layout::new(disk.0.path());
    let second = DiskStore::open(&layout, MIN_SEGMENT_BYTES);
    assert!(matches!(second, Err(StoreError::Locked(_))));
    drop(first);
    disk.open();
}

#[test]
fn partial_tiles_go_once_the_full_one_is_there() {
    let disk = Disk::new();
    let store = disk.open();
    for path in ["tile/0/000.p/1", "tile/0/000.p/255", "tile/0/001.p/1"] {
        store.put(coord(path), b"partial").expect("free");
    }
    store.put(coord("tile/0/000"), b"full").expect("free");
    assert_eq!(store.get(coord("tile/0/000.p/255")).expect("healthy"), None);
    assert!(store.get(coord("tile/0/001.p/1")).expect("healthy").is_some());
    assert!(!disk.0.path().join("site/tile/0/000.p").exists());
    // replaying the journal passes the same sizes again
    store.restore(coord("tile/0/000.p/1"), b"partial").expect("healthy");
    store.restore(coord("tile/0/000"), b"full").expect("healthy");
    assert!(!disk.0.path().join("site/tile/0/000.p").exists());
}

#[test]
fn a_batch_that_fills_a_segment_to_the_last_byte_fits() {
    let disk = Disk::new();
    let store = disk.open();
    let entries = vec![vec![0; 65_535]; 127];
    for _ in 0..3 {
        store.append(&TreeHead::EMPTY, &entries).expect("smaller than a segment");
    }
}

/// The system shows bytes that a failed `fsync` left in memory only, and the next `fsync` of them
/// says nothing: what is written over equal bytes is a new file.
#[test]
fn equal_bytes_are_written_again_for_the_disk_may_not_have_them() {
    let disk = Disk::new();
    let site = Site::open(disk.0.path().join("site"), disk.0.path().join("tmp"), TreeSize::ZERO);
    let site = site.expect("a writable folder");
    let inode = |path: &str| {
        let there = std::fs::metadata(disk.0.path().join("site").join(path));
        there.expect("it was written").ino()
    };
    for path in ["tile/0/000.p/1", "tile/0/001", "tile/entries/001"] {
        site.put(coord(path), b"bytes").expect("free");
        let put = inode(path);
        site.renew(coord(path), b"bytes").expect("healthy");
        let renewed = inode(path);
        site.restore(coord(path), b"bytes").expect("healthy");
        assert!(put != renewed && renewed != inode(path), "{path}");
        assert_eq!(site.get(coord(path)).expect("healthy").as_deref(), Some(&b"bytes"[..]));
    }
}
