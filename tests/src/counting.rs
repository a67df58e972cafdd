//! A store in memory that counts what is read of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::merkle::TreeHead;
use ledger_core::tile::{TileCoord, TileKind};
use ledger_node::store::memory::MemoryStore;
use ledger_node::store::{FilePart, Files, HeadSwap, Replay, Store, StoreError};

/// A log in memory that counts reads.
#[derive(Debug)]
pub struct CountingStore {
    inner: MemoryStore,
    read: Mutex<BTreeMap<TileCoord, Reads>>,
}

/// What was read of one file, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// How often the whole file was read.
    pub whole: u64,
    /// How often a part of it was.
    pub parts: u64,
    /// Bytes read in all.
    pub bytes: u64,
}

impl CountingStore {
    /// Counts what is read of a store from now on.
    pub fn new(inner: MemoryStore) -> CountingStore {
        CountingStore { inner, read: Mutex::default() }
    }

    /// Forgets what was counted.
    pub fn reset(&self) {
        self.lock().clear();
    }

    /// What was read of each file of a kind, or at each level of hashes.
    pub fn reads(&self, of: impl Fn(TileKind) -> bool) -> BTreeMap<TileCoord, Reads> {
        let read = self.lock();
        read.iter().filter(|(coord, _)| of(coord.kind())).map(|(at, reads)| (*at, *reads)).collect()
    }

    /// What was read of all bundles together.
    pub fn bundles(&self) -> Reads {
        let reads = self.reads(|kind| kind == TileKind::Entries);
        reads.values().fold(Reads::default(), |sum, one| Reads {
            whole: sum.whole + one.whole,
            parts: sum.parts + one.parts,
            bytes: sum.bytes + one.bytes,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TileCoord, Reads>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for CountingStore {
    fn get(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, StoreError> {
        let file = self.inner.get(coord)?;
        let mut read = self.lock();
        let reads = read.entry(coord).or_default();
        reads.whole += 1;
        reads.bytes += file.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(file)
    }

    fn part(
        &self,
        coord: TileCoord,
        from: u64,
        most: usize,
    ) -> Result<Option<FilePart>, StoreError> {
        let part = self.inner.part(coord, from, most)?;
        let mut read = self.lock();
        let reads = read.entry(coord).or_default();
        reads.parts += 1;
        reads.bytes += part.as_ref().map_or(0, |part| part.bytes.len() as u64);
        Ok(part)
    }
}

impl Store for CountingStore {
    fn replay(&self) -> Result<Replay, StoreError> {
        self.inner.replay()
    }

    fn append(&self, at: &TreeHead, entries: &[Vec<u8>]) -> Result<(), StoreError> {
        self.inner.append(at, entries)
    }

    fn put(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.put(coord, bytes)
    }

    fn restore(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.restore(coord, bytes)
    }

    fn head(&self) -> Result<Option<String>, StoreError> {
        self.inner.head()
    }

    fn swap_head(&self, swap: HeadSwap<'_>) -> Result<(), StoreError> {
        self.inner.swap_head(swap)
    }

    fn restore_edge(&self, seen: TreeSize, stored: &TreeHead) -> Result<(), StoreError> {
        self.inner.restore_edge(seen, stored)
    }

    fn publish(&self, checkpoint: &ClaimedCheckpoint) -> Result<(), StoreError> {
        self.inner.publish(checkpoint)
    }

    fn published(&self) -> Result<Option<String>, StoreError> {
        self.inner.published()
    }
}
