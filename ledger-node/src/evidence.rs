//! The evidence that a node holds: files that convict, kept for good below `private/evidence`.
//!
//! A verdict is kept beside its file, and used for as long as the node knows of the log in question
//! what it knew then: judging is what costs most. A key against which there is evidence is no longer
//! to be trusted: [`EvidenceStore::against`] says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ledger_core::Hint;
use ledger_core::evidence::{
    ClaimedEvidence, Conviction, EvidenceError, EvidenceId, Exclusions, MAX_EVIDENCE_BYTES,
    ParseEvidenceError, Trust, Verdict,
};
use ledger_core::note::VerifierKey;

use crate::small_files;
use crate::store::StoreError;

/// Files kept against one key: whoever lost its key can be accused without end, and one file is
/// enough to stop trusting it.
const MAX_PER_KEY: usize = 16;

/// The ending of evidence files; the stem is the id.
const EXTENSION: &str = "json";

/// The ending of the files of verdicts; the stem is that of the evidence.
const VERDICT: &str = "verdict";

/// Bytes of a verdict: two keys and a few sentences.
const MAX_VERDICT_BYTES: u64 = 64 << 10;

/// Evidence on disk, and whom it convicts.
#[derive(Debug)]
pub struct EvidenceStore {
    folder: PathBuf,
    inner: Mutex<EvidenceState>,
    /// What `inner` says of cosigners, for those who must not wait while evidence is judged.
    exclusions: RwLock<Arc<Exclusions>>,
}

#[derive(Debug)]
struct EvidenceState {
    trust: Trust,
    held: BTreeMap<EvidenceId, StoredEvidence>,
}

#[derive(Debug)]
struct StoredEvidence {
    evidence: ClaimedEvidence,
    /// By what was known when it was judged last; `None` before that.
    verdict: Option<Verdict>,
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

impl Hint for EvidenceStoreError {
    fn hint(&self) -> &'static str {
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
    /// Opens the folder, which is made if it is missing. A file is judged where the verdict that is
    /// kept beside it does not hold for this trust.
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
                let verdict = kept_verdict(&path, &evidence);
                held.insert(id, StoredEvidence { evidence, verdict });
            }
        }
        let inner = EvidenceState { trust: Trust::new(), held };
        let exclusions = RwLock::new(Arc::new(inner.exclusions()));
        let store =
            EvidenceStore { folder: folder.to_owned(), inner: Mutex::new(inner), exclusions };
        if !trust.is_empty() {
            store.trust(trust);
        }
        Ok(store)
    }

    /// The keys of lists that convicted a log together, as the kept verdicts say: before a restart
    /// the node had found both to be in force.
    pub fn confirmed(&self) -> Vec<VerifierKey> {
        let inner = self.lock();
        let convictions = inner.held.values().filter_map(StoredEvidence::conviction);
        let pairs = convictions.map(|own| own.culprit().keys()).filter(|keys| keys.len() > 1);
        pairs.flatten().cloned().collect()
    }

    /// Judges evidence and keeps it: durable when this returns. Says whether it is new here; more
    /// of it against a key that enough is held against is not kept.
    ///
    /// # Errors
    /// [`EvidenceStoreError::Refused`] if it convicts nobody known here.
    pub fn add(&self, evidence: &ClaimedEvidence) -> Result<bool, EvidenceStoreError> {
        self.add_judged(evidence, None)
    }

    /// As [`EvidenceStore::add`], with a verdict on it by a judge that may know the same keys.
    ///
    /// # Errors
    /// As [`EvidenceStore::add`].
    pub fn add_judged(
        &self,
        evidence: &ClaimedEvidence,
        verdict: Option<&Verdict>,
    ) -> Result<bool, EvidenceStoreError> {
        let mut inner = self.lock();
        let holds =
            |own: &&Verdict| own.conviction().is_some() && own.holds_for(evidence, &inner.trust);
        let known = verdict.filter(holds).cloned();
        let verdict = known.unwrap_or_else(|| Verdict::of(evidence, &inner.trust));
        let conviction = match verdict.conviction() {
            Some(conviction) => conviction,
            None => &evidence.verify(&inner.trust)?,
        };
        let id = evidence.id();
        let full = conviction.culprit().keys().iter().all(|key| inner.against(key) >= MAX_PER_KEY);
        if full || inner.held.contains_key(&id) {
            return Ok(false);
        }
        small_files::replace(&self.path(id), evidence.as_str().as_bytes())?;
        tracing::error!(%id, kind = conviction.kind(), culprit = %conviction.culprit(), "evidence");
        self.keep_verdict(evidence, &verdict);
        let held = StoredEvidence { evidence: evidence.clone(), verdict: Some(verdict) };
        inner.held.insert(id, held);
        self.exclude(&inner);
        Ok(true)
    }

    /// Knows other keys from now on, for instance after the charter has changed, and judges again
    /// what depends on them.
    pub fn trust(&self, trust: Trust) {
        let mut inner = self.lock();
        for StoredEvidence { evidence, verdict } in inner.held.values_mut() {
            if verdict.as_ref().is_some_and(|own| own.holds_for(evidence, &trust)) {
                continue;
            }
            let judged = Verdict::of(evidence, &trust);
            self.keep_verdict(evidence, &judged);
            *verdict = Some(judged);
        }
        inner.trust = trust;
        self.exclude(&inner);
    }

    fn exclude(&self, inner: &EvidenceState) {
        let exclusions = Arc::new(inner.exclusions());
        *self.exclusions.write().unwrap_or_else(PoisonError::into_inner) = exclusions;
    }

    /// Writes a verdict beside its file. Where that fails, the file is judged again after a restart.
    fn keep_verdict(&self, evidence: &ClaimedEvidence, verdict: &Verdict) {
        let path = self.path(evidence.id()).with_extension(VERDICT);
        if let Err(error) = small_files::replace(&path, verdict.to_text(evidence).as_bytes()) {
            tracing::warn!(%error, "a verdict cannot be kept");
        }
    }

    /// All evidence with the latest verdicts on it, in the order of ids.
    pub fn judged(&self) -> Vec<(ClaimedEvidence, Option<Verdict>)> {
        let inner = self.lock();
        inner.held.values().map(|held| (held.evidence.clone(), held.verdict.clone())).collect()
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
        held.filter_map(|(id, held)| Some((*id, held.conviction()?.clone()))).collect()
    }

    /// The cosigners that count for no quorum, by the evidence that is held now. It waits for no
    /// judgement that is under way.
    pub fn exclusions(&self) -> Arc<Exclusions> {
        Arc::clone(&self.exclusions.read().unwrap_or_else(PoisonError::into_inner))
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

    fn lock(&self) -> MutexGuard<'_, EvidenceState> {
        // nothing is left half done by a panic: files are whole, and the map follows them
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EvidenceState {
    fn exclusions(&self) -> Exclusions {
        let held = self.held.iter();
        Exclusions::of_convictions(held.filter_map(|(id, held)| Some((*id, held.conviction()?))))
    }

    fn against(&self, key: &VerifierKey) -> usize {
        self.held.values().filter(|held| held.convicts(key)).count()
    }
}

impl StoredEvidence {
    fn conviction(&self) -> Option<&Conviction> {
        self.verdict.as_ref()?.conviction()
    }

    fn convicts(&self, key: &VerifierKey) -> bool {
        self.conviction().is_some_and(|conviction| conviction.convicts(key))
    }
}

fn id_of(path: &Path) -> Option<EvidenceId> {
    let stem = path.file_name()?.to_str()?.strip_suffix(&format!(".{EXTENSION}"))?;
    EvidenceId::from_hex(stem).ok()
}

/// The verdict that lies beside a file; none where it cannot be read or is another version's.
fn kept_verdict(path: &Path, evidence: &ClaimedEvidence) -> Option<Verdict> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path.with_extension(VERDICT)).ok()?;
    file.take(MAX_VERDICT_BYTES).read_to_string(&mut text).ok()?;
    Verdict::parse(&text, evidence)
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
mod cost_tests;

#[cfg(test)]
mod tests;
