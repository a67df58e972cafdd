//! What a witness does about a log that contradicts itself: it has evidence made, and trusts the
//! convicted key no longer.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::{EvidenceId, Trust};
use ledger_core::note::VerifierKey;
use ledger_core::tile::TileCoord;

use crate::evidence::{EvidenceStore, EvidenceStoreError, Investigator, Suspicion};
use crate::source::Source;
use crate::store::StoreError;

/// The evidence that this node holds, and whoever makes more of it.
pub struct Watch {
    store: Arc<EvidenceStore>,
    investigator: Investigator,
}

impl Watch {
    /// Opens the evidence in `folder`, judged by these keys, and starts the investigator.
    ///
    /// # Errors
    /// [`EvidenceStoreError`] when the folder cannot be read or a file in it is damaged.
    pub fn open(folder: &Path, trust: Trust) -> Result<Watch, EvidenceStoreError> {
        let store = Arc::new(EvidenceStore::open(folder, trust)?);
        let tiles = Arc::new(|at: &str, coord: TileCoord| read_tile(at, coord));
        let investigator = Investigator::start(Arc::clone(&store), tiles)
            .map_err(StoreError::io("start", "the investigator's thread"))?;
        Ok(Watch { store, investigator })
    }

    /// The evidence.
    pub fn store(&self) -> &Arc<EvidenceStore> {
        &self.store
    }

    /// Two heads of one log that cannot both be honest, unless a proof was simply wrong. `tiles` says
    /// where the log can be read, if anybody knows.
    pub fn contradiction(
        &self,
        kept: &ClaimedCheckpoint,
        offered: &ClaimedCheckpoint,
        tiles: Option<String>,
        trust: Trust,
    ) {
        self.store.trust(self.store.trusted().and(trust));
        let size = |checkpoint: &ClaimedCheckpoint| checkpoint.checkpoint().head().size;
        let (older, larger) =
            if size(kept) <= size(offered) { (kept, offered) } else { (offered, kept) };
        let (older, larger) = (older.clone(), larger.clone());
        let tiles = tiles.unwrap_or_default();
        self.investigator.suspect(Suspicion { older, larger, tiles });
    }

    /// Evidence that convicts a key, if there is any.
    pub fn against(&self, key: &VerifierKey) -> Option<EvidenceId> {
        self.store.against(key)
    }
}

fn read_tile(at: &str, coord: TileCoord) -> io::Result<Vec<u8>> {
    if at.is_empty() {
        return Err(io::Error::other("nobody knows where this log can be read"));
    }
    let source = Source::open(at).map_err(io::Error::other)?;
    source.tile(coord).map_err(io::Error::other)
}
