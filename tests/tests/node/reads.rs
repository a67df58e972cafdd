//! What is read of a log for one caller: as little as the question needs, and once for all who ask.

use std::sync::{Arc, Barrier};

use ledger_core::batch::Edge;
use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::tile::{TILE_WIDTH, TileKind};
use ledger_core::{Hash, TreeSize};
use ledger_node::log::{LogReader, Published, ReadError};
use ledger_node::store::Store as _;
use ledger_node::store::memory::MemoryStore;
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::counting::{CountingStore, Reads};
use ledger_tests::index;

/// Leaves of the log: two full bundles and a part of the next.
const LEAVES: u64 = 600;

/// Bytes of an entry.
const LONG: usize = 60_000;

/// What finding an entry's place in its bundle reads at most.
const WALK: u64 = TILE_WIDTH as u64 * (16 << 10);

fn entry(n: u64) -> Vec<u8> {
    let mut bytes = format!("entry {n}").into_bytes();
    bytes.resize(LONG, b' ');
    bytes
}

/// A published log that was not read yet.
fn published() -> (Arc<CountingStore>, LogReader, Published) {
    let store = Arc::new(CountingStore::new(MemoryStore::new(3)));
    let mut edge = Edge::new();
    for first in (0..LEAVES).step_by(100) {
        let entries: Vec<_> = (first..(first + 100).min(LEAVES)).map(entry).collect();
        for (coord, bytes) in edge.append(&entries).expect("room").tiles {
            store.put(coord, &bytes).expect("healthy");
        }
    }
    let log = Consortium::new().log;
    let claimed = Checkpoint::new(Origin::new(ORIGIN).expect("a name"), edge.head()).sign(&log);
    let verified = claimed.verify(&[log.verifier().clone()]).expect("its own key");
    let reader = LogReader::new(store.clone());
    let published = Published::new(verified, &reader);
    store.reset();
    (store, reader, published)
}

#[test]
fn a_proof_of_one_leaf_reads_hash_tiles_and_no_bundle() {
    let (store, reader, published) = published();
    let leaf = published.leaf(index(300)).expect("it is there");
    assert_eq!(leaf, Hash::leaf(&entry(300)));
    assert_eq!(reader.leaf(index(300), published.size()).expect("it is there"), leaf);
    published.inclusion(index(300), &leaf, published.size()).expect("a proof");
    assert_eq!(store.bundles(), Reads::default());
    let beyond = published.leaf(index(LEAVES));
    assert!(matches!(beyond, Err(ReadError::OutOfRange(size)) if size.get() == LEAVES));
}

#[test]
fn two_hundred_callers_read_each_tile_once_and_no_bundle() {
    const CALLERS: u64 = 200;
    let (store, _, published) = published();
    let together = Barrier::new(CALLERS as usize);
    std::thread::scope(|scope| {
        for n in 0..CALLERS {
            let (published, together) = (&published, &together);
            scope.spawn(move || {
                let at = index(n * 3);
                together.wait();
                let leaf = published.leaf(at).expect("it is there");
                published.inclusion(at, &leaf, published.size()).expect("a proof");
            });
        }
    });
    let tiles = store.reads(|_| true);
    assert!(tiles.len() >= 4, "three tiles of leaves and one above: {tiles:?}");
    assert!(tiles.values().all(|reads| reads.whole == 1 && reads.parts == 0), "{tiles:?}");
    assert!(tiles.keys().all(|at| at.kind() != TileKind::Entries), "{tiles:?}");
}

#[test]
fn one_entry_is_read_without_those_around_it() {
    const CALLERS: u64 = 200;
    let (store, reader, published) = published();
    let size = published.size();
    assert_eq!(published.entry(index(255)).expect("there").0, entry(255));
    let first = store.bundles();
    assert_eq!(first.whole, 0);
    assert!(first.bytes <= WALK + LONG as u64, "{first:?}");
    // where entries stand is known now, also to those who come together
    store.reset();
    std::thread::scope(|scope| {
        for n in 0..CALLERS {
            let (published, reader) = (&published, &reader);
            scope.spawn(move || {
                assert_eq!(published.entry(index(n)).expect("there").0, entry(n));
                assert_eq!(reader.entry(index(n), size).expect("there"), entry(n));
            });
        }
    });
    let read = store.bundles();
    assert_eq!((read.whole, read.parts), (0, 2 * CALLERS));
    assert_eq!(read.bytes, 2 * CALLERS * LONG as u64);
}

#[test]
fn entries_come_in_runs_that_are_small_and_end_with_their_bundle() {
    let (store, reader, published) = published();
    let (size, mut at, mut runs) = (published.size(), 250, 0);
    while at < LEAVES {
        let read = reader.run(index(at), size, size).expect("entries");
        assert!((1..=2).contains(&read.len()), "two have 128 KiB: {}", read.len());
        for bytes in &read {
            assert_eq!(*bytes, entry(at));
            at += 1;
        }
        assert!(at % 256 >= read.len() as u64 || at % 256 == 0, "one bundle at a time");
        runs += 1;
    }
    assert_eq!(at, LEAVES);
    assert!(runs >= 175);
    assert_eq!(store.bundles().whole, 0);
    let until = TreeSize::new(301).expect("small");
    assert_eq!(reader.run(index(300), until, size).expect("one").len(), 1);
    for at in [301, LEAVES] {
        let none = reader.run(index(at), until, size);
        assert!(matches!(none, Err(ReadError::OutOfRange(_))), "{none:?}");
    }
}

#[test]
fn an_entry_that_is_not_what_its_leaf_says_is_damage_and_its_neighbours_are_read() {
    let (store, reader, published) = published();
    let size = published.size();
    let coord = "tile/entries/000".parse().expect("a path");
    let whole = ledger_node::store::Files::get(store.as_ref(), coord).expect("healthy");
    let whole = whole.expect("it is there");
    let length = 2 + LONG;
    // a byte of the text, and one of the length before it, of entry 7; and a file that ends in it
    for at in [7 * length + 100, 7 * length] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        store.restore(coord, &damaged).expect("healthy");
        let fresh = LogReader::new(store.clone());
        assert!(fresh.entry(index(7), size).is_err_and(|error| error.is_damage()), "{at}");
        assert_eq!(fresh.entry(index(6), size).expect("whole"), entry(6));
    }
    store.restore(coord, &whole[..7 * length + 100]).expect("healthy");
    assert!(reader.entry(index(7), size).is_err_and(|error| error.is_damage()));
    assert!(published.entry(index(8)).is_err_and(|error| error.is_damage()));
    assert_eq!(reader.entry(index(6), size).expect("whole"), entry(6));
    // mended, it is read again: nothing wrong was kept
    store.restore(coord, &whole).expect("healthy");
    assert_eq!(reader.entry(index(7), size).expect("whole"), entry(7));
}

#[test]
fn a_partial_tile_is_cut_from_the_full_one_once_it_has_gone() {
    let (_, reader, _) = published();
    for (path, length) in [
        ("tile/0/000.p/44", 44 * Hash::LEN),
        ("tile/entries/000.p/44", 44 * (2 + LONG)),
        ("tile/entries/001", 256 * (2 + LONG)),
        ("tile/entries/002.p/88", 88 * (2 + LONG)),
    ] {
        let coord = path.parse().expect("a path");
        let (file, mut bytes) = reader.open(coord).expect("healthy").expect("it is there");
        assert_eq!(file.len(), length as u64, "{path}");
        while (bytes.len() as u64) < file.len() {
            let more = reader.read_on(&file, bytes.len() as u64).expect("healthy");
            assert!((1..=1 << 16).contains(&more.len()), "{path}: {}", more.len());
            bytes.extend(more);
        }
        assert_eq!(bytes.len(), length, "{path}");
    }
    let beyond = "tile/entries/003.p/1".parse().expect("a path");
    assert_eq!(reader.open(beyond).expect("healthy"), None);
}
