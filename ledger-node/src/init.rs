//! Founding a log: the charter becomes entry 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_core::batch::Edge;
use ledger_core::charter::{Charter, Rejection};
use ledger_core::checkpoint::{Origin, ParseCheckpointError, VerifiedCheckpoint};
use ledger_core::policy::Tolerance;
use ledger_core::record::{Entry, Logged, Record, RecordError, StatementId};
use ledger_core::{LeafIndex, TreeSize};

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, read_key};
use crate::index::{Index, IndexError};
use crate::node::of_policy;
use crate::publisher::{Publisher, PublisherError};
use crate::recovery::{RecoveryError, recover};
use crate::sequencer::{Parts, Sequencer, SequencerError};
use crate::store::disk::{DEFAULT_SEGMENT_BYTES, DiskStore, Layout, is_free, sync_dir};
use crate::store::{Store, StoreError};

/// What a new log is made from.
#[derive(Debug, Clone)]
pub struct Founding<'a> {
    /// Where the log will live: missing or empty.
    pub dir: &'a Path,
    /// The charter's record, signed by every founding member.
    pub charter: &'a [u8],
    /// The file with the key that signs the log's heads.
    pub log_key: &'a Path,
    /// Files with the keys with which this node witnesses.
    pub cosigners: &'a [PathBuf],
}

/// A log that was made.
#[derive(Debug, Clone)]
pub struct InitReport {
    /// The trust anchor: the charter's statement id.
    pub anchor: StatementId,
    /// The first checkpoint.
    pub checkpoint: VerifiedCheckpoint,
    /// What the policy can do without; `None` for `quorum none`.
    pub tolerance: Option<Tolerance>,
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
    /// A key file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The disk refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index could not be made.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// What was written cannot be read back.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The first head could not be published.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
}

impl InitError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            InitError::Exists(_) => "choose another --dir; to run an existing log use serve",
            InitError::Record(error) => error.hint(),
            InitError::Charter(rejection) => rejection.hint(),
            InitError::Origin(_) => "name the log like a URL without scheme: ledger.example/2026",
            InitError::KeyNotInCharter(_) => {
                "give the key file whose vkey `ledger charter new --log` was given"
            }
            InitError::Publisher(error) => error.hint(),
            InitError::Config(error) => error.hint(),
            InitError::Store(error) => error.hint(),
            InitError::Recovery(error) => error.hint(),
            InitError::Index(_) | InitError::Sequencer(_) => "check the disk and try again",
        }
    }
}

/// Makes a log: all of it or nothing.
///
/// # Errors
/// [`InitError`].
pub fn init(founding: &Founding<'_>) -> Result<InitReport, InitError> {
    let dir = founding.dir;
    if !is_free(dir)? {
        return Err(InitError::Exists(dir.to_owned()));
    }
    // made beside its place and renamed when complete: an interrupted init leaves no half log
    let mut name = dir.file_name().map(ToOwned::to_owned).unwrap_or_else(|| "log".into());
    name.push(format!(".init-{}", std::process::id()));
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(StoreError::io("create", parent))?;
    let making = parent.join(name);
    fs::create_dir(&making).map_err(StoreError::io("create", &making))?;
    let made = found(founding, &making).and_then(|report| {
        for folder in [&making.join("private"), &making] {
            sync_dir(folder)?;
        }
        fs::rename(&making, dir).map_err(StoreError::io("create", dir))?;
        sync_dir(parent)?;
        Ok(report)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&making);
    }
    made
}

fn found(founding: &Founding<'_>, dir: &Path) -> Result<InitReport, InitError> {
    let layout = Layout::new(dir);
    let clock = SystemClock;
    let key = |file: &Path| read_key(&layout, Path::new(""), file);
    let log_key = key(founding.log_key)?;
    let cosigners: Result<Vec<_>, _> = founding.cosigners.iter().map(|file| key(file)).collect();

    let record = Record::parse(founding.charter)?;
    let logged = Logged { time: clock.now(), governance: LeafIndex::ZERO };
    let entry = Entry::new(logged, record);
    let charter = Charter::found(&entry)?;
    let origin = Origin::new(charter.origin())?;
    if !charter.log_keys().contains(log_key.verifier()) {
        return Err(InitError::KeyNotInCharter(log_key.verifier().to_string()));
    }
    let cosigners = of_policy(&charter, &cosigners?);
    let publisher = Publisher::under(&charter, cosigners, &log_key)?;
    let tolerance = publisher.policy().tolerance();

    let absolute = |file: &Path| fs::canonicalize(file).map_err(StoreError::io("find", file));
    let files: Result<Vec<_>, _> = founding.cosigners.iter().map(|f| absolute(f)).collect();
    let config = Config::new(absolute(founding.log_key)?, files?);
    let path = layout.config();
    fs::write(&path, config.to_text())
        .and_then(|()| fs::File::open(&path)?.sync_all())
        .map_err(StoreError::io("write", &path))?;
    DiskStore::create(&layout, DEFAULT_SEGMENT_BYTES)?;

    let store = DiskStore::open(&layout, DEFAULT_SEGMENT_BYTES)?;
    store.append(&Edge::new().head(), &[entry.to_bytes()])?;
    drop(store);
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(&layout, DEFAULT_SEGMENT_BYTES)?);
    let index = Arc::new(Index::open(&layout.index())?);
    let recovered = recover(&store, &index, &log_key)?;
    let parts =
        Parts { store, index: Arc::clone(&index), log_key, publisher, clock: Arc::new(clock) };
    let sequencer = Sequencer::start(parts, recovered, origin)?;
    index.flush()?;
    let published = sequencer.published().borrow().clone();
    let checkpoint = published.expect("a log with a charter has published").checkpoint().clone();
    debug_assert_eq!(checkpoint.head().size, TreeSize::new(1).expect("small"));
    Ok(InitReport { anchor: charter.statement(), checkpoint, tolerance })
}
