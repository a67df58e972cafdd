//! Founding a log: the charter becomes entry 0.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_core::Hint;
use ledger_core::batch::Edge;
use ledger_core::charter::{Charter, Rejection};
use ledger_core::checkpoint::{Checkpoint, Origin, ParseCheckpointError, VerifiedCheckpoint};
use ledger_core::note::SignerKey;
use ledger_core::policy::Tolerance;
use ledger_core::record::{Entry, Logged, Record, RecordError, StatementId};
use ledger_core::{LeafIndex, TreeSize};

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, read_key};
use crate::index::Index;
use crate::log_dir::{LogDirError, from_log_dir};
use crate::publisher::{Contacts, Plan, PublisherError, strangers};
use crate::recovery::recover;
use crate::store::disk::{DEFAULT_SEGMENT_BYTES, DiskStore, Layout, is_free, sync_dir};
use crate::store::{HeadSwap, Store, StoreError};

/// What a new log is made from.
#[derive(Debug, Clone)]
pub struct Founding<'a> {
    /// Where the log will live: missing or empty.
    pub dir: &'a Path,
    /// The charter's record, signed by every founding member.
    pub charter: &'a [u8],
    /// The file with the key that signs the log's heads.
    pub log_key: &'a Path,
    /// Files with the keys that this node witnesses with.
    pub witness_keys: &'a [PathBuf],
    /// Addresses of witnesses, by their names in the policy.
    pub witness_urls: &'a BTreeMap<String, String>,
}

/// A log that was made.
#[derive(Debug, Clone)]
pub struct InitReport {
    /// The trust anchor: the charter's statement id.
    pub anchor: StatementId,
    /// The first signed head. It is published once the policy's quorum has cosigned it: at once for
    /// `quorum none`, else when the node serves.
    pub checkpoint: VerifiedCheckpoint,
    /// What the policy can do without; `None` for `quorum none`.
    pub tolerance: Option<Tolerance>,
    /// The policy's names of witnesses without an address.
    pub unreachable: Vec<String>,
    /// Names in `witness_urls` that no witness of the policy has.
    pub strangers: Vec<String>,
    /// Whether a quorum has addresses, so that the log can be served as it is configured.
    pub quorum_reachable: bool,
}

/// Why no log was made; nothing was left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is something already.
    #[error("{0} is not empty: a log is only made in a new or empty directory")]
    Exists(PathBuf),
    /// The charter is not a record.
    #[error("the charter is not a record: {0}")]
    Record(#[from] RecordError),
    /// The charter founds nothing.
    #[error("the charter cannot found a log: {0}")]
    Charter(#[from] Rejection),
    /// The origin is one that no log may have.
    #[error("the charter's log name: {0}")]
    Origin(#[from] ParseCheckpointError),
    /// The key is not one of the charter's.
    #[error("the log key {0} is not one of the charter's log keys")]
    KeyNotInCharter(String),
    /// Nothing could be published.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// The directory of the log.
    #[error(transparent)]
    Dir(#[from] LogDirError),
}

from_log_dir!(InitError);

impl Hint for InitError {
    fn hint(&self) -> &'static str {
        match self {
            InitError::Exists(_) => "choose another --dir; to run an existing log use serve",
            InitError::Record(error) => error.hint(),
            InitError::Charter(rejection) => rejection.hint(),
            InitError::Origin(_) => "name the log like a URL without scheme: ledger.example/2026",
            InitError::KeyNotInCharter(_) => {
                "give the key file whose vkey `ledger charter new --log` was given"
            }
            InitError::Publisher(error) => error.hint(),
            InitError::Dir(error) => error.hint(),
        }
    }
}

/// Makes a log: all of it or nothing.
///
/// # Errors
/// [`InitError`].
pub fn init(founding: &Founding<'_>) -> Result<InitReport, InitError> {
    if !is_free(founding.dir)? {
        return Err(InitError::Exists(founding.dir.to_owned()));
    }
    make_beside(founding.dir, |making| found(founding, making))
}

/// Makes a log's directory beside its place and renames it when it is complete: an interrupted
/// start leaves no half log.
pub(crate) fn make_beside<T, E: From<StoreError>>(
    dir: &Path,
    make: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let mut name = dir.file_name().map(ToOwned::to_owned).unwrap_or_else(|| "log".into());
    name.push(format!(".init-{}", std::process::id()));
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(StoreError::io("create", parent))?;
    let making = parent.join(name);
    fs::create_dir(&making).map_err(StoreError::io("create", &making))?;
    let made = make(&making).and_then(|made| {
        for folder in [&making.join("private"), &making] {
            sync_dir(folder)?;
        }
        fs::rename(&making, dir).map_err(StoreError::io("create", dir))?;
        sync_dir(parent)?;
        Ok(made)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&making);
    }
    made
}

/// Writes a log's first configuration.
pub(crate) fn write_config(layout: &Layout, config: &Config) -> Result<(), StoreError> {
    let path = layout.config();
    fs::write(&path, config.to_text())
        .and_then(|()| fs::File::open(&path)?.sync_all())
        .map_err(StoreError::io("write", &path))
}

fn found(founding: &Founding<'_>, dir: &Path) -> Result<InitReport, InitError> {
    let layout = Layout::new(dir);
    let clock = SystemClock;
    let key = |file: &Path| read_key(&layout, Path::new(""), file);
    let log_key = key(founding.log_key)?;
    let witnesses: Vec<SignerKey> =
        founding.witness_keys.iter().map(|file| key(file)).collect::<Result<_, _>>()?;

    let record = Record::parse(founding.charter)?;
    let logged = Logged { time: clock.now(), governance: LeafIndex::ZERO };
    let entry = Entry::new(logged, record);
    let charter = Charter::found(&entry)?;
    let origin = Origin::new(charter.origin())?;
    if !charter.log_keys().contains(log_key.verifier()) {
        return Err(InitError::KeyNotInCharter(log_key.verifier().to_string()));
    }
    let own = witnesses.iter().map(SignerKey::verifier);
    let contacts = Contacts::new(own, founding.witness_urls.clone());
    let (unreachable, quorum_reachable) = match Plan::under(&charter, log_key.verifier(), &contacts)
    {
        Ok(plan) => (plan.unreachable(), true),
        // addresses may still be written into the configuration
        Err(PublisherError::NoQuorum { unreachable }) => (unreachable, false),
        Err(error) => return Err(error.into()),
    };
    let policy = charter.policy();
    let absolute = |file: &Path| fs::canonicalize(file).map_err(StoreError::io("find", file));
    let files: Result<Vec<_>, _> = founding.witness_keys.iter().map(|f| absolute(f)).collect();
    let mut config = Config::new(absolute(founding.log_key)?, files?);
    config.witness_urls = founding.witness_urls.clone();
    write_config(&layout, &config)?;
    DiskStore::create(&layout, DEFAULT_SEGMENT_BYTES)?;

    let store = DiskStore::open(&layout, DEFAULT_SEGMENT_BYTES)?;
    store.append(&Edge::new().head(), &[entry.to_bytes()])?;
    drop(store);
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(&layout, DEFAULT_SEGMENT_BYTES)?);
    let index = Arc::new(Index::open(&layout.index())?);
    let recovered = recover(&store, &index, &log_key)?;
    index.flush()?;
    // the journal has made the entry durable
    let head = Checkpoint::new(origin, recovered.edge.head()).sign(&log_key);
    store.swap_head(HeadSwap { old: None, new: &head.to_string() })?;
    if policy.is_satisfied_by(&BTreeSet::new()) {
        store.publish(&head)?;
    }
    let checkpoint = head.verify(std::slice::from_ref(log_key.verifier()));
    let checkpoint = checkpoint.expect("it was just signed with this key");
    debug_assert_eq!(checkpoint.head().size, TreeSize::new(1).expect("small"));
    let (anchor, tolerance) = (charter.statement(), policy.tolerance());
    let strangers = strangers(&policy, founding.witness_urls);
    Ok(InitReport { anchor, checkpoint, tolerance, unreachable, strangers, quorum_reachable })
}
