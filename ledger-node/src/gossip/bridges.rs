//! Heads over a change of the log's keys that an earlier key of the log has signed. A judge of
//! evidence that knows the anchor alone learns from them that the log itself named its new key.

use std::path::{Path, PathBuf};

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::MAX_AUTHORITY;
use ledger_core::note::MAX_NOTE_BYTES;

use crate::small_files;
use crate::store::StoreError;

/// The ending of the files; the stem is the size of the tree.
const EXTENSION: &str = "checkpoint";

/// A folder of such heads.
#[derive(Debug, Clone)]
pub struct Bridges(PathBuf);

impl Bridges {
    /// The folder, which is made when there is something to keep.
    pub fn new(folder: PathBuf) -> Bridges {
        Bridges(folder)
    }

    /// Keeps a head; it is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keep(&self, head: &ClaimedCheckpoint) -> Result<(), StoreError> {
        std::fs::create_dir_all(&self.0).map_err(StoreError::io("make", &self.0))?;
        small_files::replace(&self.path(head), head.to_string().as_bytes())
    }

    /// Removes a head that shows nothing more than others do.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, head: &ClaimedCheckpoint) -> Result<(), StoreError> {
        small_files::remove(&self.path(head))
    }

    fn path(&self, head: &ClaimedCheckpoint) -> PathBuf {
        self.0.join(format!("{}.{EXTENSION}", head.checkpoint().head().size))
    }

    /// The heads in the order of their sizes; of many the largest. A file that holds no head is
    /// passed over: less is shown then.
    pub fn all(&self) -> Vec<ClaimedCheckpoint> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let mut heads: Vec<ClaimedCheckpoint> =
            entries.filter_map(|entry| read(&entry.ok()?.path())).collect();
        heads.sort_by_key(|head| head.checkpoint().head().size);
        heads.split_off(heads.len().saturating_sub(MAX_AUTHORITY))
    }
}

fn read(path: &Path) -> Option<ClaimedCheckpoint> {
    use std::io::Read as _;
    if path.extension()? != EXTENSION {
        return None;
    }
    let mut bytes = Vec::new();
    let limit = MAX_NOTE_BYTES as u64;
    std::fs::File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    ClaimedCheckpoint::parse(&bytes).ok()
}
