//! The node as a mirror: it copies chosen logs, verifies every byte, and cosigns with a key of its
//! own what it holds durably, and nothing else.
//!
//! Each log of the list `mirror-logs` has a thread that copies it (`copy`) from its source
//! (`feed`). Of logs of our kind each entry is judged, too (`judge`): the copy ends before the first
//! that is unlawful or of the future, and evidence is made (`evidence`). A copy is a C2SP
//! `tlog-tiles` site below `DIR/mirrors`; what was promised stands in `private/mirror/state.sqlite`
//! and is durable before anybody sees it.

mod chunks;
mod context;
mod copy;
#[cfg(test)]
mod edge_tests;
mod evidence;
mod feed;
mod heads;
mod judge;
pub mod list;
mod served;
mod store;
mod trouble;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ledger_core::Hint;
use ledger_core::checkpoint::Origin;
use ledger_core::cosignature::cosign;
use ledger_core::note::{SignerKey, VerifierKey};
use ledger_core::witness::origin_hash;

use crate::clock::Clock;
use crate::gossip::Gossip;
use crate::listed::ListError;
use crate::store::StoreError;
use crate::store::disk::Layout;
use crate::store::site::Site;

pub use judge::MAX_AHEAD;
pub use served::{CopyTrouble, Progress, ServedCopy, Status};
pub use trouble::Trouble;

/// Keys with which one node mirrors: a checkpoint has room for no more lines beside those it came
/// with.
pub const MAX_MIRROR_KEYS: usize = 8;

/// What a mirror is made from.
pub struct MirrorParts {
    /// The keys that cosign, each of a type that does; at least one.
    pub keys: Vec<SignerKey>,
    /// The node's other keys, which a mirror's must not be.
    pub others: Vec<VerifierKey>,
    /// The directory that holds the list of logs.
    pub dir: PathBuf,
    /// Where cosignatures have their time from, and by what entries are of the future.
    pub clock: Arc<dyn Clock>,
    /// What the node knows of all logs, and the evidence that it holds.
    pub gossip: Arc<Gossip>,
    /// Whether evidence is made of logs that misbehave.
    pub make_evidence: bool,
    /// Drives connections to other nodes.
    pub runtime: tokio::runtime::Handle,
}

/// Why a mirror cannot start, or goes no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The state cannot be opened.
    #[error("cannot open {path}: {message}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The state cannot be kept. What the disk holds is not known, so that log is left alone.
    #[error("the mirror could not keep its state and leaves this log alone until a restart: {0}")]
    Keep(String),
    /// The folders of copies.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list of logs cannot be used.
    #[error(transparent)]
    Logs(#[from] ListError),
    /// A configured key signs texts, not checkpoints.
    #[error("the mirror key {0} is not a cosigner's")]
    NotACosigner(String),
    /// More keys than a checkpoint has room for, or two with one public key.
    #[error("a mirror has at most {MAX_MIRROR_KEYS} keys, all of them different")]
    Keys,
    /// The key or its name is in use for something else.
    #[error("the mirror key {0} has the name or the public key of another key of this node")]
    Shared(String),
    /// The system gives no thread.
    #[error("cannot start the mirror: {0}")]
    Thread(std::io::Error),
}

impl Hint for MirrorError {
    fn hint(&self) -> &'static str {
        match self {
            MirrorError::Open { .. } => {
                "never delete this file: without it the mirror could cosign two histories"
            }
            MirrorError::Keep(_) => "check the disk, then restart the node",
            MirrorError::Store(error) => error.hint(),
            MirrorError::Logs(_) => "mend the file; see `ledger mirror --help`",
            MirrorError::NotACosigner(_) | MirrorError::Shared(_) => {
                "make one with `ledger keygen NAME --use mirror`: a mirror's key and name say \
                 something else than a witness's"
            }
            MirrorError::Keys => "list fewer files in mirror_keys",
            MirrorError::Thread(_) => "are there free threads?",
        }
    }
}

/// What all copies share.
pub(crate) struct Common {
    keys: Vec<SignerKey>,
    dir: PathBuf,
    layout: Layout,
    clock: Arc<dyn Clock>,
    gossip: Arc<Gossip>,
    make_evidence: bool,
    runtime: tokio::runtime::Handle,
    store: Mutex<store::MirrorStore>,
    /// All that was ever copied, by the hash of its origin.
    copies: RwLock<BTreeMap<String, Arc<ServedCopy>>>,
}

/// A mirror: shared by everybody who serves it. The copying ends when it is dropped.
pub struct Mirror {
    common: Arc<Common>,
    _manager: worker::Manager,
}

impl Mirror {
    /// Opens the copies and starts to go on with them.
    ///
    /// # Errors
    /// [`MirrorError`].
    pub fn open(parts: MirrorParts) -> Result<Mirror, MirrorError> {
        let MirrorParts { keys, others, dir, clock, gossip, make_evidence, runtime } = parts;
        check_keys(&keys, &others)?;
        let layout = Layout::new(&dir);
        let logs = list::MirrorList::open(&dir)?;
        for folder in [layout.mirrors(), layout.mirror_state()] {
            std::fs::create_dir_all(&folder).map_err(StoreError::io("make", &folder))?;
        }
        let store =
            Mutex::new(store::MirrorStore::open(&layout.mirror_state().join("state.sqlite"))?);
        crate::store::disk::sync_dir(&layout.mirror_state())?;
        crate::store::disk::sync_dir(&layout.private())?;
        let copies = RwLock::default();
        let common =
            Common { keys, dir, layout, clock, gossip, make_evidence, runtime, store, copies };
        let common = Arc::new(common);
        let rows = common.store().all()?;
        for (origin, row) in rows {
            let origin = Origin::new(&origin).map_err(|e| MirrorError::Open {
                path: common.layout.mirror_state(),
                message: e.to_string(),
            })?;
            let served = common.served(&origin, &row)?;
            served.note(|status| status.copied = row.copied.size.get());
            match copy::is_whole(&served, &row) {
                Ok(()) => common.publish(&served, &row)?,
                Err(error) => {
                    tracing::error!(%origin, %error, "a copy is damaged and is not served");
                }
            }
        }
        let manager = worker::Manager::start(logs, Arc::clone(&common))?;
        Ok(Mirror { common, _manager: manager })
    }

    /// A copy, by the hash of its origin as readers name it.
    pub fn by_hash(&self, origin_hash: &str) -> Option<Arc<ServedCopy>> {
        self.common.copies().get(origin_hash).cloned()
    }

    /// The copy of a log.
    pub fn of(&self, origin: &Origin) -> Option<Arc<ServedCopy>> {
        self.by_hash(&origin_hash(origin))
    }

    /// All that was ever copied.
    pub fn all(&self) -> Vec<Arc<ServedCopy>> {
        self.common.copies().values().cloned().collect()
    }

    /// The keys with which the node cosigns what it mirrors.
    pub fn keys(&self) -> impl Iterator<Item = &VerifierKey> {
        self.common.keys.iter().map(SignerKey::verifier)
    }
}

/// A mirror's cosignature says more than a witness's: one key must not give both.
// SPEC tlog-mirror/add-checkpoint: the witness is a distinct cosigner, with a distinct name
fn check_keys(keys: &[SignerKey], others: &[VerifierKey]) -> Result<(), MirrorError> {
    for (at, key) in keys.iter().enumerate() {
        let key = key.verifier();
        if !key.algorithm().is_cosigner() {
            return Err(MirrorError::NotACosigner(key.name().to_string()));
        }
        let repeated = keys[..at].iter().any(|own| own.verifier().public() == key.public());
        if repeated || at == MAX_MIRROR_KEYS {
            return Err(MirrorError::Keys);
        }
        if others.iter().any(|own| own.public() == key.public() || own.name() == key.name()) {
            return Err(MirrorError::Shared(key.name().to_string()));
        }
    }
    Ok(())
}

impl Common {
    pub(crate) fn store(&self) -> MutexGuard<'_, store::MirrorStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copies(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<ServedCopy>>> {
        self.copies.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of a copy.
    // SPEC tlog-mirror/introduction: <monitoring prefix>/<origin hash>
    fn site(&self, origin: &Origin) -> PathBuf {
        self.layout.mirrors().join(origin_hash(origin))
    }

    fn private(&self, origin: &Origin) -> PathBuf {
        self.layout.mirror_state().join(origin_hash(origin))
    }

    fn index(&self, origin: &Origin) -> PathBuf {
        self.private(origin).join("index")
    }

    /// The copy of a log, opened or made.
    fn served(&self, origin: &Origin, row: &store::Row) -> Result<Arc<ServedCopy>, MirrorError> {
        let mut copies = self.copies.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(served) = copies.get(&origin_hash(origin)) {
            return Ok(Arc::clone(served));
        }
        let (root, private) = (self.site(origin), self.private(origin));
        for folder in [&root, &private] {
            std::fs::create_dir_all(folder).map_err(StoreError::io("make", folder))?;
        }
        crate::store::disk::sync_dir(&self.layout.mirrors())?;
        let site = Site::open(root, private.join("tmp"), row.copied.size)?;
        let served = Arc::new(ServedCopy::new(origin.clone(), site));
        copies.insert(origin_hash(origin), Arc::clone(&served));
        Ok(served)
    }

    /// Shows what is held, with this mirror's cosignatures; equal states give equal lines.
    fn publish(&self, served: &ServedCopy, row: &store::Row) -> Result<(), MirrorError> {
        let Some((held, time)) = &row.held else { return Ok(()) };
        let exclusions = self.gossip.evidence().exclusions();
        let keys = self.keys.iter().filter(|key| exclusions.against(key.verifier()).is_none());
        let lines = keys.map(|key| cosign(key, held.checkpoint(), *time));
        // there is room: what is kept and the mirror's keys are few
        let Ok(cosigned) = held.with_signatures(lines) else { return Ok(()) };
        served.site.publish(&cosigned)?;
        served.show(Some(cosigned));
        Ok(())
    }
}
