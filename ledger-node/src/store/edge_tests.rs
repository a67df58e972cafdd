//! The tiles that the published tree ends with stay readable as files, however far the log has grown
//! beyond it: publication waits for witnesses, and sequencing does not.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use ledger_core::TreeSize;
use ledger_core::batch::Edge;
use ledger_core::merkle::TreeHead;
use ledger_core::tile::TileCoord;

use super::contract::{Disk, Reopen, TilesOf, checkpoint};
use super::memory::MemoryStore;
use super::{Store, StoreError};

/// Steps of each random run.
const STEPS: u64 = 120;

/// A log that grows and is published by chance.
struct Log {
    at: Box<dyn Reopen>,
    /// The folder of its files, if it is on a disk.
    site: Option<std::path::PathBuf>,
    store: Box<dyn Store>,
    edge: Edge,
    /// Every tile that was ever written.
    tiles: BTreeMap<TileCoord, Vec<u8>>,
    /// Signed and not published.
    waiting: VecDeque<TreeHead>,
    published: TreeSize,
    random: u64,
    checked: usize,
}

impl Log {
    fn new(at: impl Reopen + 'static, site: Option<&Path>, seed: u64) -> Log {
        let (store, site) = (at.open(), site.map(Path::to_owned));
        let (tiles, waiting, published) = Default::default();
        let (at, edge) = (Box::new(at), Edge::new());
        Log { at, site, store, edge, tiles, waiting, published, random: seed, checked: 0 }
    }

    /// A number below this one (Steele and others: splitmix64).
    fn below(&mut self, most: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    fn append(&mut self) {
        let count = if self.below(3) == 0 { 1 + self.below(600) } else { 1 + self.below(40) };
        self.append_some(count);
    }

    fn append_some(&mut self, count: u64) {
        let from = self.edge.size().get();
        let entries: Vec<Vec<u8>> =
            (from..from + count).map(|n| n.to_string().repeat(30).into_bytes()).collect();
        self.store.append(&self.edge.head(), &entries).expect("healthy");
        for (coord, bytes) in self.edge.append(&entries).expect("room").tiles {
            self.store.put(coord, &bytes).expect("healthy");
            self.tiles.insert(coord, bytes);
        }
        self.waiting.push_back(self.edge.head());
    }

    /// Publishes one of the heads that wait, and forgets those before it.
    fn publish(&mut self) {
        let most = self.waiting.len() as u64;
        for _ in 0..if most == 0 { 0 } else { self.below(most) } {
            self.waiting.pop_front();
        }
        self.publish_next();
    }

    fn publish_next(&mut self) {
        let Some(head) = self.waiting.pop_front() else { return };
        self.store.publish(&checkpoint(head)).expect("healthy");
        self.published = head.size;
    }

    /// What is there after the node was killed, or, in memory, after the power was cut, brought up
    /// to the journal as recovery does it.
    fn crash(&mut self) {
        // one writer at a time
        self.store = Box::new(MemoryStore::new(1));
        let store = self.at.open_after_a_crash();
        let replay = store.replay().expect("healthy");
        let mut edge =
            Edge::restore(TilesOf(store.as_ref()), &replay.base).expect("the base stays");
        for batch in &replay.batches {
            for (coord, bytes) in edge.append(batch).expect("room").tiles {
                store.restore(coord, &bytes).expect("healthy");
            }
        }
        assert_eq!(edge.head(), self.edge.head());
        store.restore_edge(self.published, &edge.head()).expect("healthy");
        self.store = store;
    }

    /// Every tile of the published tree is there under its path, as it was written or as the
    /// beginning of what was.
    fn check(&mut self, when: &str) {
        for coord in TileCoord::all_in_tree(self.published) {
            let there = self.store.get(coord).expect("healthy");
            assert_eq!(there.as_ref(), self.tiles.get(&coord), "{when}: {coord}");
            self.checked += 1;
        }
        let Some(site) = &self.site else { return };
        for coord in TileCoord::all_in_tree(self.edge.size()).filter(|coord| coord.is_full()) {
            let folder = std::fs::read_dir(site.join(coord.partial_folder()));
            let left = folder.map_or(0, Iterator::count);
            let own = TileCoord::in_tree(coord.kind(), coord.index(), self.published);
            let most = usize::from(own.is_some_and(|own| !own.is_full()));
            assert!(left <= most, "{when}: {left} partial tiles lie beside {coord}");
        }
    }
}

fn run(mut log: Log) {
    for step in 0..STEPS {
        let (when, chance) = (format!("step {step}"), log.below(10));
        match chance {
            0..=5 => log.append(),
            6..=8 => log.publish(),
            _ => log.crash(),
        }
        log.check(&when);
    }
    assert!(log.checked > 1_000 && log.published > TreeSize::ZERO, "{}", log.checked);
}

#[test]
fn all_tiles_of_the_published_tree_stay_files_however_far_the_log_has_grown() {
    for seed in 0..6 {
        let disk = Disk::new();
        let site = disk.0.path().join("site");
        run(Log::new(disk, Some(&site), seed));
        run(Log::new(MemoryStore::new(3), None, seed));
    }
}

#[test]
fn a_lost_tile_of_the_published_tree_is_cut_out_of_a_wider_one_that_is_whole() {
    let disk = Disk::new();
    let site = disk.0.path().join("site");
    let mut log = Log::new(disk, Some(&site), 1);
    log.append_some(10);
    log.publish_next();
    // the wider tiles are partial, then full
    for count in [90, 300] {
        log.append_some(count);
        let stored = log.edge.head();
        let own: Vec<TileCoord> = TileCoord::partial_in_tree(log.published).collect();
        let files = own.iter().map(|coord| site.join(coord.to_string()));
        let files: Vec<std::path::PathBuf> = files.collect();
        for file in &files {
            std::fs::remove_file(file).expect("it was there");
        }
        log.store.restore_edge(log.published, &stored).expect("the wider ones are whole");
        log.check("lost and cut again");
        for (coord, file) in own.iter().zip(&files) {
            let wider = TileCoord::in_tree(coord.kind(), coord.index(), stored.size);
            let wider = site.join(wider.expect("it is in the tree").to_string());
            let bytes = std::fs::read(&wider).expect("it is there");
            for damaged in [Some(&bytes[..bytes.len() - 1]), Some(&[]), None] {
                match damaged {
                    Some(damaged) => std::fs::write(&wider, damaged).expect("writable"),
                    None => std::fs::remove_file(&wider).expect("it was there"),
                }
                log.store.restore_edge(log.published, &stored).expect("the own one is whole");
                log.check("the wider one is damaged");
                let whole = std::fs::read(file).expect("it is there");
                std::fs::write(file, &whole[1..]).expect("writable");
                let restored = log.store.restore_edge(log.published, &stored);
                assert!(matches!(restored, Err(StoreError::Damaged(_))), "{coord}: {restored:?}");
                std::fs::write(file, whole).expect("writable");
            }
            std::fs::write(&wider, bytes).expect("writable");
        }
    }
}
