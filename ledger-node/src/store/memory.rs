//! A store in memory, for tests: it fails when told to, in the two ways that real writes fail, and
//! it can be crashed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::merkle::TreeHead;
use ledger_core::tile::{TileCoord, cut};

use super::{FilePart, Files, HeadSwap, Replay, Store, StoreError};

/// How an injected failure behaves. The caller sees an error either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was written.
    Lost,
    /// All was written.
    Applied,
}

/// A log in memory. Clones share it, so that a test can look at what a node wrote.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    base: TreeHead,
    batches: Vec<Vec<Vec<u8>>>,
    /// After so many batches, tiles are made durable and the journal starts anew.
    rotate_after: usize,
    tiles: BTreeMap<TileCoord, Vec<u8>>,
    /// The tiles that a crash leaves.
    durable: BTreeMap<TileCoord, Vec<u8>>,
    head: Option<String>,
    published: Option<String>,
    /// The size of the published tree.
    shown: TreeSize,
    failed: bool,
    writes: u64,
    fault: Option<(u64, Fault)>,
}

impl MemoryStore {
    /// An empty store whose journal starts anew after every `rotate_after` batches.
    pub fn new(rotate_after: usize) -> MemoryStore {
        let shared = Shared {
            base: TreeHead::EMPTY,
            batches: Vec::new(),
            rotate_after,
            tiles: BTreeMap::new(),
            durable: BTreeMap::new(),
            head: None,
            published: None,
            shown: TreeSize::ZERO,
            failed: false,
            writes: 0,
            fault: None,
        };
        MemoryStore { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Makes the write that comes after `writes` more fail.
    pub fn fail_after(&self, writes: u64, fault: Fault) {
        let mut shared = self.lock();
        shared.fault = Some((shared.writes + writes, fault));
    }

    /// How many writes there were.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// What is left after a power cut: the journal, the head, the tiles made durable; the
    /// checkpoint that readers had seen stays too, for they remember it.
    pub fn crashed(&self) -> MemoryStore {
        let shared = self.lock();
        let left = Shared {
            base: shared.base,
            batches: shared.batches.clone(),
            rotate_after: shared.rotate_after,
            tiles: shared.durable.clone(),
            durable: shared.durable.clone(),
            head: shared.head.clone(),
            published: shared.published.clone(),
            shown: shared.shown,
            failed: false,
            writes: 0,
            fault: None,
        };
        MemoryStore { shared: Arc::new(Mutex::new(left)) }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no panics under this lock")
    }

    /// Does a write, unless it is the one that must fail.
    fn write(
        &self,
        apply: impl FnOnce(&mut Shared) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut shared = self.lock();
        if shared.failed {
            return Err(StoreError::Failed);
        }
        let number = shared.writes;
        shared.writes += 1;
        match shared.fault.filter(|(at, _)| *at == number) {
            None => apply(&mut shared),
            Some((_, fault)) => {
                if fault == Fault::Applied {
                    apply(&mut shared)?;
                }
                shared.failed = true;
                Err(StoreError::Failed)
            }
        }
    }
}

impl Shared {
    /// Writes a tile; a full one takes the place of partial ones that readers do not see, as on a
    /// disk: at once, and for good where the journal starts from a tree that has a partial one there.
    fn insert(&mut self, coord: TileCoord, bytes: &[u8]) {
        self.tiles.insert(coord, bytes.to_vec());
        if !coord.is_full() {
            return;
        }
        let seen = TileCoord::in_tree(coord.kind(), coord.index(), self.shown);
        let at_same_place =
            |at: &TileCoord| !at.is_full() && at.to_full() == coord && Some(*at) != seen;
        self.tiles.retain(|at, _| !at_same_place(at));
        if self.durable.keys().any(at_same_place) {
            self.durable.insert(coord, bytes.to_vec());
            self.durable.retain(|at, _| !at_same_place(at));
        }
    }

    /// Writes a partial tile, where the wider one is there to cut it from.
    fn cut_out(&mut self, coord: TileCoord, wider: TileCoord) {
        let bytes = self.tiles.get(&wider).cloned();
        if let Some(bytes) = bytes.and_then(|bytes| cut(wider, bytes, coord.width())) {
            self.tiles.insert(coord, bytes);
        }
    }
}

impl Files for MemoryStore {
    fn get(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().tiles.get(&coord).cloned())
    }

    fn part(
        &self,
        coord: TileCoord,
        from: u64,
        most: usize,
    ) -> Result<Option<FilePart>, StoreError> {
        let shared = self.lock();
        let Some(file) = shared.tiles.get(&coord) else { return Ok(None) };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(file.len());
        let bytes = file[from..from.saturating_add(most).min(file.len())].to_vec();
        Ok(Some(FilePart { bytes, file_len: file.len() as u64 }))
    }
}

impl Store for MemoryStore {
    fn replay(&self) -> Result<Replay, StoreError> {
        let shared = self.lock();
        Ok(Replay { base: shared.base, batches: shared.batches.clone() })
    }

    fn append(&self, at: &TreeHead, entries: &[Vec<u8>]) -> Result<(), StoreError> {
        self.write(|shared| {
            if shared.batches.len() >= shared.rotate_after {
                shared.durable = shared.tiles.clone();
                shared.base = *at;
                shared.batches.clear();
            }
            shared.batches.push(entries.to_vec());
            Ok(())
        })
    }

    fn put(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(|shared| match shared.tiles.get(&coord) {
            Some(there) if there == bytes => Ok(()),
            Some(_) => Err(StoreError::Conflict(coord)),
            None => {
                shared.insert(coord, bytes);
                Ok(())
            }
        })
    }

    fn restore(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(|shared| {
            shared.insert(coord, bytes);
            Ok(())
        })
    }

    fn head(&self) -> Result<Option<String>, StoreError> {
        Ok(self.lock().head.clone())
    }

    fn swap_head(&self, swap: HeadSwap<'_>) -> Result<(), StoreError> {
        self.write(|shared| {
            if shared.head.as_deref() != swap.old {
                return Err(StoreError::HeadMoved);
            }
            shared.head = Some(swap.new.to_owned());
            Ok(())
        })
    }

    fn restore_edge(&self, seen: TreeSize, stored: &TreeHead) -> Result<(), StoreError> {
        self.write(|shared| {
            for coord in TileCoord::partial_in_tree(seen) {
                let wider = TileCoord::in_tree(coord.kind(), coord.index(), stored.size);
                if let Some(wider) = wider.filter(|wider| *wider != coord) {
                    shared.cut_out(coord, wider);
                }
            }
            Ok(())
        })
    }

    fn publish(&self, checkpoint: &ClaimedCheckpoint) -> Result<(), StoreError> {
        let size = checkpoint.checkpoint().head().size;
        self.write(|shared| {
            let missing = |shared: &Shared| {
                let partial = TileCoord::partial_in_tree(size);
                partial.filter(|coord| !shared.tiles.contains_key(coord)).collect::<Vec<_>>()
            };
            for coord in missing(shared) {
                shared.cut_out(coord, coord.to_full());
            }
            if let Some(missing) = missing(shared).first() {
                return Err(StoreError::Damaged(format!("{missing} is missing")));
            }
            shared.published = Some(checkpoint.to_string());
            shared.shown = size;
            // what readers saw before has given way to full tiles
            let full: Vec<_> = shared.tiles.keys().copied().filter(|at| at.is_full()).collect();
            shared.tiles.retain(|at, _| {
                let is_seen = TileCoord::in_tree(at.kind(), at.index(), size) == Some(*at);
                at.is_full() || is_seen || full.binary_search(&at.to_full()).is_err()
            });
            Ok(())
        })
    }

    fn published(&self) -> Result<Option<String>, StoreError> {
        Ok(self.lock().published.clone())
    }
}
