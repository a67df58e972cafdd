//! What this node has promised: the last head it signed, kept by compare-and-swap.

use std::path::Path;

use crate::store::{HeadSwap, StoreError};

const HEAD: &str = "head";

/// Memory for sled's cache: it holds a handful of keys.
const CACHE_BYTES: u64 = 1 << 20;

/// Promises in an embedded key-value store. Values are signed notes as text.
///
/// sled flushes with `sync_file_range`, which does not empty a disk's own write cache. No promise
/// rests on that: a head is promised only after the journal that it commits to has been through
/// `fdatasync`, and replaying that journal gives the same head again.
#[derive(Debug)]
pub struct HeadPromises {
    db: sled::Db,
}

impl HeadPromises {
    /// Opens or creates the store in `dir`.
    pub fn open(dir: &Path) -> Result<HeadPromises, StoreError> {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        Ok(HeadPromises { db: config.open()? })
    }

    /// The last promised head.
    pub fn head(&self) -> Result<Option<String>, StoreError> {
        let value = self.db.get(HEAD)?.map(|value| value.to_vec());
        let text = value.map(String::from_utf8).transpose();
        text.map_err(|_| StoreError::Damaged("the promised head is not text".into()))
    }

    /// Promises a head if the last one is still the one given, and flushes it.
    pub fn swap_head(&self, swap: HeadSwap<'_>) -> Result<(), StoreError> {
        let (old, new) = (swap.old.map(str::as_bytes), Some(swap.new.as_bytes()));
        let swapped = self.db.compare_and_swap(HEAD, old, new)?;
        swapped.map_err(|_| StoreError::HeadMoved)?;
        self.db.flush()?;
        Ok(())
    }
}
