//! The evidence that a node holds: files that convict, kept for good below `private/evidence`.
//!
//! Every file is judged again whenever it is read. A key against which there is evidence is no
//! longer to be trusted: [`EvidenceStore::against`] says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ledger_core::evidence::{
    ClaimedEvidence, Conviction, EvidenceError, EvidenceId, MAX_EVIDENCE_BYTES, ParseEvidenceError,
    Trust,
};
use ledger_core::note::VerifierKey;

use crate::pending::files;
use crate::store::StoreError;

/// Files kept against one key: whoever lost its key can be accused without end, and one file is
/// enough to stop trusting it.
const MAX_PER_KEY: usize = 16;

/// The ending of evidence files; the stem is the id.
const EXTENSION: &str = "json";

/// Evidence on disk, and whom it convicts.
#[derive(Debug)]
pub struct EvidenceStore {
    folder: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    trust: Trust,
    held: BTreeMap<EvidenceId, Held>,
}

#[derive(Debug)]
struct Held {
    evidence: ClaimedEvidence,
    /// `None` where the keys that are known now convict nobody by it.
    conviction: Option<Conviction>,
}

/// Why evidence is not taken or cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceStoreError {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored file is not evidence, or has another name than its id.
    #[error("{path} is no evidence any more: {error}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: DamagedError,
    },
    /// It convicts nobody that this node knows: the fault of whoever sent it.
    #[error("the evidence convicts nobody known here: {0}")]
    Refused(#[from] EvidenceError),
}

/// What is wrong with a stored file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DamagedError {
    /// It cannot be read as evidence.
    #[error(transparent)]
    Parse(#[from] ParseEvidenceError),
    /// Its bytes have another id.
    #[error("its id is {0}")]
    Name(EvidenceId),
}

impl EvidenceStoreError {
    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            EvidenceStoreError::Store(error) => error.hint(),
            EvidenceStoreError::Damaged { .. } => {
                "move the file away, and get the evidence again from somebody who has it"
            }
            EvidenceStoreError::Refused(error) => error.hint(),
        }
    }
}

impl EvidenceStore {
    /// Opens the folder, which is made if it is missing, and judges every file in it.
    ///
    /// # Errors
    /// [`EvidenceStoreError::Store`] or [`EvidenceStoreError::Damaged`].
    pub fn open(folder: &Path, trust: Trust) -> Result<EvidenceStore, EvidenceStoreError> {
        std::fs::create_dir_all(folder).map_err(StoreError::io("make", folder))?;
        let mut held = BTreeMap::new();
        let entries = std::fs::read_dir(folder).map_err(StoreError::io("list", folder))?;
        for entry in entries {
            let path = entry.map_err(StoreError::io("list", folder))?.path();
            // other names are unfinished files, which nobody was told of
            if let Some(id) = id_of(&path) {
                let evidence = read(&path, id)?;
                let conviction = evidence.verify(&trust).ok();
                held.insert(id, Held { evidence, conviction });
            }
        }
        let inner = Mutex::new(Inner { trust, held });
        Ok(EvidenceStore { folder: folder.to_owned(), inner })
    }

    /// Judges evidence and keeps it: durable when this returns. Says whether it is new here; more
    /// of it against a key that enough is held against is not kept.
    ///
    /// # Errors
    /// [`EvidenceStoreError::Refused`] if it convicts nobody known here.
    pub fn add(&self, evidence: &ClaimedEvidence) -> Result<bool, EvidenceStoreError> {
        let mut inner = self.lock();
        let conviction = evidence.verify(&inner.trust)?;
        let id = evidence.id();
        let full = conviction.culprit().keys().iter().all(|key| inner.against(key) >= MAX_PER_KEY);
        if full || inner.held.contains_key(&id) {
            return Ok(false);
        }
        files::replace(&self.path(id), evidence.as_str().as_bytes())?;
        tracing::error!(%id, kind = conviction.kind(), culprit = %conviction.culprit(), "evidence");
        let held = Held { evidence: evidence.clone(), conviction: Some(conviction) };
        inner.held.insert(id, held);
        Ok(true)
    }

    /// Judges everything again by other keys, for instance after the charter has changed.
    pub fn trust(&self, trust: Trust) {
        let mut inner = self.lock();
        for held in inner.held.values_mut() {
            held.conviction = held.evidence.verify(&trust).ok();
        }
        inner.trust = trust;
    }

    /// All evidence in the order of ids.
    pub fn all(&self) -> Vec<ClaimedEvidence> {
        self.lock().held.values().map(|held| held.evidence.clone()).collect()
    }

    /// The ids of all evidence, in order.
    pub fn ids(&self) -> Vec<EvidenceId> {
        self.lock().held.keys().copied().collect()
    }

    /// Files that are held.
    pub fn count(&self) -> usize {
        self.lock().held.len()
    }

    /// What each file proves that convicts anybody known now, in the order of ids.
    pub fn convictions(&self) -> Vec<(EvidenceId, Conviction)> {
        let inner = self.lock();
        let held = inner.held.iter();
        held.filter_map(|(id, held)| Some((*id, held.conviction.clone()?))).collect()
    }

    /// One file.
    pub fn get(&self, id: EvidenceId) -> Option<ClaimedEvidence> {
        self.lock().held.get(&id).map(|held| held.evidence.clone())
    }

    /// Evidence that convicts a key, if there is any.
    pub fn against(&self, key: &VerifierKey) -> Option<EvidenceId> {
        let inner = self.lock();
        inner.held.iter().find(|(_, held)| held.convicts(key)).map(|(id, _)| *id)
    }

    fn path(&self, id: EvidenceId) -> PathBuf {
        self.folder.join(format!("{id}.{EXTENSION}"))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // nothing is left half done by a panic: files are whole, and the map follows them
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn against(&self, key: &VerifierKey) -> usize {
        self.held.values().filter(|held| held.convicts(key)).count()
    }
}

impl Held {
    fn convicts(&self, key: &VerifierKey) -> bool {
        self.conviction.as_ref().is_some_and(|conviction| conviction.convicts(key))
    }
}

fn id_of(path: &Path) -> Option<EvidenceId> {
    let stem = path.file_name()?.to_str()?.strip_suffix(&format!(".{EXTENSION}"))?;
    EvidenceId::from_hex(stem).ok()
}

fn read(path: &Path, id: EvidenceId) -> Result<ClaimedEvidence, EvidenceStoreError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let limit = MAX_EVIDENCE_BYTES as u64 + 1;
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(StoreError::io("read", path))?;
    let damaged =
        |error: DamagedError| EvidenceStoreError::Damaged { path: path.to_owned(), error };
    let evidence = ClaimedEvidence::parse(&bytes).map_err(|error| damaged(error.into()))?;
    if evidence.id() == id { Ok(evidence) } else { Err(damaged(DamagedError::Name(evidence.id()))) }
}

#[cfg(test)]
mod tests;
