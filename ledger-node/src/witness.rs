//! The node as a witness: it cosigns what grew out of what it cosigned before, and nothing else.
//!
//! Signatures are checked and made wherever a request happens to run. Between the two stands one
//! thread with the only right to move a log's head: it takes all the requests that wait, compares
//! each with the head before it, and keeps what it accepts in one transaction. Nobody is answered
//! before that is on the disk, a refusal neither, for it may name a head that is being kept.

mod standing;
mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ledger_core::Hint;
use ledger_core::charter::Charter;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::cosignature::cosign;
use ledger_core::evidence::EvidenceId;
use ledger_core::note::{Signature, SignerKey, VerifierKey};
use ledger_core::witness::{AddCheckpoint, LogKeys, Refusal, origin_hash};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::clock::Clock;
use crate::evidence::EvidenceStore;
use crate::gossip::Gossip;
use crate::known_logs::LogList;

pub use store::LastCosigned;

/// Requests that wait for the writer. More make their senders wait.
const QUEUE: usize = 1024;

/// Requests that gossip is told of at one time, each by a thread of its own. More wait.
const MAX_TELLING: usize = 8;

/// Keys with which one node witnesses: an answer has room for no more lines beside a log's own.
pub const MAX_WITNESS_KEYS: usize = 8;

/// What a witness is made from.
pub struct WitnessParts {
    /// The keys that cosign, each of a type that does; at least one.
    pub keys: Vec<SignerKey>,
    /// The file with the latest checkpoints.
    pub state: PathBuf,
    /// The list of logs.
    pub logs: Arc<LogList>,
    /// The charter of the node's own log, which is always known.
    pub charter: tokio::sync::watch::Receiver<Arc<Charter>>,
    /// Where cosignatures have their time from.
    pub clock: Arc<dyn Clock>,
    /// What the node knows against logs.
    pub gossip: Arc<Gossip>,
}

/// Why a witness cannot answer, or cannot even start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The request is refused, as the specification says.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk failed. What it holds is not known, so nothing is cosigned before a restart.
    #[error("the witness could not keep what it must, and cosigns nothing until it is restarted")]
    Broken,
    /// The state cannot be opened.
    #[error("cannot open {path}: {message}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Evidence convicts each key of this witness.
    #[error("evidence {0} convicts this witness: it cosigns nothing more")]
    Convicted(EvidenceId),
    /// A configured key signs texts, not checkpoints.
    #[error("the witness key {0} is not a cosigner's")]
    NotACosigner(String),
    /// More keys than an answer has room for, or two with one public key.
    #[error("a witness has at most {MAX_WITNESS_KEYS} keys, all of them different")]
    Keys,
}

impl Hint for WitnessError {
    fn hint(&self) -> &'static str {
        match self {
            WitnessError::Refused(_) => "",
            WitnessError::Broken => "check the disk, then restart the node",
            WitnessError::Convicted(_) => {
                "its operator must find out who else has the key, and make another one"
            }
            WitnessError::Open { .. } => {
                "never delete this file: without it the witness could cosign two histories"
            }
            WitnessError::NotACosigner(_) => "make one with `ledger keygen NAME --use witness`",
            WitnessError::Keys => "list fewer files in witness_keys",
        }
    }
}

/// A log that the witness knows, or once knew.
#[derive(Debug, Clone)]
pub struct KnownLog {
    /// The log's name.
    pub origin: String,
    /// The keys that it may sign with; none if it was removed from the list.
    pub keys: LogKeys,
    /// What was cosigned last, if anything was.
    pub latest: Option<LastCosigned>,
}

/// A witness: shared by everybody who serves it.
pub struct Witness {
    keys: Vec<SignerKey>,
    logs: Arc<LogList>,
    charter: tokio::sync::watch::Receiver<Arc<Charter>>,
    gossip: Arc<Gossip>,
    /// Taken while gossip is told of a request.
    telling: Arc<Semaphore>,
    latest: Arc<RwLock<store::Latest>>,
    broken: Arc<AtomicBool>,
    /// Taken away when the witness is dropped, which ends the writer.
    queue: Option<mpsc::Sender<writer::CosignJob>>,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl Witness {
    /// Opens the state and starts the writer, which ends when the witness is dropped.
    ///
    /// # Errors
    /// [`WitnessError`], never [`WitnessError::Refused`].
    pub fn open(parts: WitnessParts) -> Result<Witness, WitnessError> {
        let WitnessParts { keys, state, logs, charter, clock, gossip } = parts;
        for (at, key) in keys.iter().enumerate() {
            let key = key.verifier();
            if !key.algorithm().is_cosigner() {
                return Err(WitnessError::NotACosigner(key.name().to_string()));
            }
            let repeated = keys[..at].iter().any(|own| own.verifier().public() == key.public());
            if repeated || at == MAX_WITNESS_KEYS {
                return Err(WitnessError::Keys);
            }
        }
        let (store, latest) = store::WitnessStore::open(&state)?;
        sync_folder(&state)?;
        let latest = Arc::new(RwLock::new(latest));
        let broken = Arc::new(AtomicBool::new(false));
        let (queue, jobs) = mpsc::channel(QUEUE);
        let writer = writer::WitnessWriter {
            store,
            latest: Arc::clone(&latest),
            broken: Arc::clone(&broken),
            clock,
        };
        let writer = std::thread::Builder::new()
            .name("witness".into())
            .spawn(move || writer.run(jobs))
            .map_err(|error| WitnessError::Open { path: state, message: error.to_string() })?;
        let (queue, writer) = (Some(queue), Some(writer));
        let telling = Arc::new(Semaphore::new(MAX_TELLING));
        let witness =
            Witness { keys, logs, charter, gossip, telling, latest, broken, queue, writer };
        // what was cosigned after the last round of gossip
        witness.gossip.observe_cosigned(witness.all_latest());
        Ok(witness)
    }

    /// Judges a request and, if the checkpoint grew out of the one before, keeps it and answers
    /// with one cosignature of each key. Durable when it returns, as is the evidence that follows
    /// from a checkpoint that is refused.
    ///
    /// # Errors
    /// [`WitnessError::Refused`] with the specification's statuses; [`WitnessError::Broken`].
    pub async fn add_checkpoint(
        &self,
        request: &AddCheckpoint,
    ) -> Result<Vec<Signature>, WitnessError> {
        if self.is_broken() {
            return Err(WitnessError::Broken);
        }
        if let Some(evidence) = self.convicted() {
            return Err(WitnessError::Convicted(evidence));
        }
        let judged = self.judge(request).await;
        if let Err(WitnessError::Refused(refusal)) = &judged {
            self.look_into(request, refusal).await;
        }
        Ok(self.cosign(&judged?))
    }

    async fn judge(&self, request: &AddCheckpoint) -> Result<LastCosigned, WitnessError> {
        if self.gossip.is_behind() {
            // it judges all evidence again: not where other requests wait
            let gossip = Arc::clone(&self.gossip);
            // gossip that panicked has said so
            let _ = tokio::task::spawn_blocking(move || gossip.update_logs()).await;
        }
        let keys = self.keys_of(request.checkpoint().checkpoint().origin());
        let authenticated = request.authenticate(keys.as_ref())?;
        self.check_standing(&authenticated).await?;
        let (answer, answered) = oneshot::channel();
        let job = writer::CosignJob { authenticated, answer };
        let queue = self.queue.as_ref().ok_or(WitnessError::Broken)?;
        queue.send(job).await.map_err(|_| WitnessError::Broken)?;
        answered.await.map_err(|_| WitnessError::Broken)?
    }

    /// Whether something could not be kept: a checkpoint, or evidence.
    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire) || self.gossip.is_broken()
    }

    /// The evidence that the node holds.
    pub fn evidence(&self) -> &Arc<EvidenceStore> {
        self.gossip.evidence()
    }

    /// What was cosigned last for a log, also for one that is no longer known.
    pub fn latest(&self, origin: &Origin) -> Option<LastCosigned> {
        self.latest_by_hash(&origin_hash(origin))
    }

    /// What was cosigned last for each log, as monitors get it.
    pub fn all_latest(&self) -> Vec<ClaimedCheckpoint> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let hashes: Vec<String> = latest.keys().cloned().collect();
        drop(latest);
        hashes.iter().filter_map(|hash| self.checkpoint(hash)).collect()
    }

    /// As [`Witness::latest`], by the hash of the origin as monitors name it.
    pub fn latest_by_hash(&self, origin_hash: &str) -> Option<LastCosigned> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner).get(origin_hash).cloned()
    }

    /// The checkpoint for monitors: the log's lines that were verified, and the same cosignatures
    /// that were answered.
    // SPEC tlog-witness/monitor-retrieval-mechanism
    pub fn checkpoint(&self, origin_hash: &str) -> Option<ClaimedCheckpoint> {
        let kept = self.latest_by_hash(origin_hash)?;
        let lines = self.cosign(&kept);
        // the note has room: both the log's keys and the witness's are few
        kept.checkpoint.with_signatures(lines).ok()
    }

    /// The logs of the list, the node's own, and those with a state although they were removed.
    pub fn known(&self) -> Vec<KnownLog> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner).clone();
        let lines = self.logs.lines();
        let mut origins: Vec<String> = lines.iter().map(|l| l.key.name().to_string()).collect();
        origins.extend(latest.values().map(|kept| kept.origin().to_string()));
        origins.push(self.charter.borrow().origin().to_owned());
        origins.sort_unstable();
        origins.dedup();
        let describe = |origin: String| {
            let origin = Origin::new(&origin).ok()?;
            Some(KnownLog {
                keys: self.keys_of(&origin).unwrap_or_default(),
                latest: latest.get(&origin_hash(&origin)).cloned(),
                origin: origin.to_string(),
            })
        };
        origins.into_iter().filter_map(describe).collect()
    }

    /// The keys with which the node cosigns.
    pub fn keys(&self) -> impl Iterator<Item = &VerifierKey> {
        self.keys.iter().map(SignerKey::verifier)
    }

    fn keys_of(&self, origin: &Origin) -> Option<LogKeys> {
        let own = {
            let charter = self.charter.borrow();
            let is_own = charter.origin() == origin.as_str();
            is_own.then(|| LogKeys::new(charter.log_keys().iter().cloned()))
        };
        let keys = own.or_else(|| self.logs.keys_of(origin.as_str()))?;
        // a key that comes back to the list comes back with what speaks against it
        self.gossip.update_logs();
        let suspects = keys.trusted().to_vec();
        Some(suspects.iter().fold(keys, |keys, key| match self.gossip.evidence().against(key) {
            Some(id) => keys.convict(key, &format!("evidence {id} convicts it")),
            None => keys,
        }))
    }

    /// Evidence against the witness, if it convicts each of its keys.
    fn convicted(&self) -> Option<EvidenceId> {
        let exclusions = self.evidence().exclusions();
        let against = |key: &SignerKey| exclusions.against(key.verifier());
        self.keys.iter().map(against).collect::<Option<Vec<_>>>()?.first().copied()
    }

    /// A convicted key cosigns nothing.
    fn cosign(&self, kept: &LastCosigned) -> Vec<Signature> {
        let checkpoint = kept.checkpoint.checkpoint();
        let exclusions = self.evidence().exclusions();
        let keys = self.keys.iter().filter(|key| exclusions.against(key.verifier()).is_none());
        keys.map(|key| cosign(key, checkpoint, kept.time)).collect()
    }
}

impl Drop for Witness {
    /// Waits for the writer, so that whoever dropped the witness may open or copy its file.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // a writer that panicked has said so
            let _ = writer.join();
        }
    }
}

/// Makes the name of a new file durable.
fn sync_folder(file: &Path) -> Result<(), WitnessError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| WitnessError::Open { path: file.to_owned(), message: error.to_string() })
}

#[cfg(test)]
mod tests;
