//! The embedded default: one directory on one disk.
//!
//! ```text
//! DIR/config.toml      what an operator sets
//! DIR/site/            the public log: checkpoint and tile/..., served as it is
//! DIR/private/         mode 0700
//!     LOCK             held by the one writer
//!     journal/         segments, see the module `journal`
//!     state/           promises (sled)
//!     index/           derived from the entries, may be deleted
//!     pending/         drafts that wait for signatures; no part of the log
//!     tmp/             files on their way into the site
//! ```

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::merkle::TreeHead;
use ledger_core::tile::TileCoord;
use tokio::sync::watch;

use super::journal::{self, Segment};
use super::site::Site;
use super::{FilePart, Files, HeadSwap, Replay, Store, StoreError};
use crate::state::HeadPromises;

pub use super::journal::{DEFAULT_SEGMENT_BYTES, MIN_SEGMENT_BYTES, sync_dir};

/// A log's directory, opened by its one writer.
#[derive(Debug)]
pub struct DiskStore {
    site: Arc<Site>,
    state: HeadPromises,
    /// Handed out once, by `replay`.
    replay: Mutex<Option<Replay>>,
    journal: Mutex<Journal>,
    _lock: File,
    /// Dropped after the lock.
    let_go: watch::Sender<()>,
}

#[derive(Debug)]
struct Journal {
    dir: PathBuf,
    segment_bytes: u64,
    segment: Segment,
    /// Segments that the housekeeper has not been given yet.
    older: Vec<PathBuf>,
    housekeeper: Housekeeper,
    failed: bool,
}

/// A thread that does what batches need not wait for: it makes tiles durable, lets go of the
/// segments that they came from, and prepares the next one.
#[derive(Debug)]
struct Housekeeper {
    jobs: Option<SyncSender<CleanupJob>>,
    done: Receiver<Result<(), StoreError>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct CleanupJob {
    tiles: BTreeSet<TileCoord>,
    segments: Vec<PathBuf>,
}

/// The paths inside a log's directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of the directory `root`.
    pub fn new(root: &Path) -> Layout {
        Layout { root: root.to_owned() }
    }

    /// The public site.
    pub fn site(&self) -> PathBuf {
        self.root.join("site")
    }

    /// The heads of all logs that the node has heard of.
    pub fn heads(&self) -> PathBuf {
        self.private().join("heads.sqlite")
    }

    /// The evidence that the node holds.
    pub fn evidence(&self) -> PathBuf {
        self.private().join("evidence")
    }

    /// The heads of the node's own log that others showed and that it did not know.
    pub fn found(&self) -> PathBuf {
        self.private().join("found")
    }

    /// Heads over a change of the log's keys that an earlier key of the log has signed.
    pub fn bridges(&self) -> PathBuf {
        self.private().join("bridges")
    }

    /// What this node has cosigned as a witness. Not derived from anything, and kept for ever.
    pub fn witness(&self) -> PathBuf {
        self.private().join("witness.sqlite")
    }

    /// The public copies of other logs, each a site in a folder named by the hash of its origin.
    pub fn mirrors(&self) -> PathBuf {
        self.root.join("mirrors")
    }

    /// What this node has copied and cosigned as a mirror, and what it derives from the copies.
    pub fn mirror_state(&self) -> PathBuf {
        self.private().join("mirror")
    }

    /// The private part.
    pub fn private(&self) -> PathBuf {
        self.root.join("private")
    }

    /// The derived index.
    pub fn index(&self) -> PathBuf {
        self.private().join("index")
    }

    /// Drafts that wait for signatures.
    pub fn pending(&self) -> PathBuf {
        self.private().join("pending")
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Files on their way into the site.
    pub fn temporary(&self) -> PathBuf {
        self.private().join("tmp")
    }

    fn journal(&self) -> PathBuf {
        self.private().join("journal")
    }
}

impl DiskStore {
    /// Makes the folders and the empty journal of a new log in an existing empty directory.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn create(layout: &Layout, segment_bytes: u64) -> Result<(), StoreError> {
        let make = |path: PathBuf, mode: u32| {
            let made = DirBuilder::new().mode(mode).create(&path);
            made.map_err(StoreError::io("create", &path))
        };
        make(layout.site(), 0o755)?;
        make(layout.private(), 0o700)?;
        make(layout.journal(), 0o700)?;
        Segment::create_first(&layout.journal(), segment_bytes)?;
        Ok(())
    }

    /// Opens a log's directory as its one writer, and reads the journal.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it open; [`StoreError::Damaged`] when the
    /// journal is; [`StoreError::Io`].
    pub fn open(layout: &Layout, segment_bytes: u64) -> Result<DiskStore, StoreError> {
        let lock = lock(layout)?;
        let dir = layout.journal();
        let found = journal::open(&dir)?;
        let site = Arc::new(Site::open(layout.site(), layout.temporary(), found.replay.base.size)?);
        let state = HeadPromises::open(&layout.private().join("state"))?;
        let housekeeper = Housekeeper::start(dir.clone(), segment_bytes, Arc::clone(&site));
        let journal = Journal {
            dir,
            segment_bytes,
            segment: found.segment,
            older: found.older,
            housekeeper,
            failed: false,
        };
        let (replay, journal) = (Mutex::new(Some(found.replay)), Mutex::new(journal));
        let let_go = watch::Sender::new(());
        Ok(DiskStore { site, state, replay, journal, _lock: lock, let_go })
    }

    /// A channel that is closed once this store was dropped: the log can be opened again then.
    pub fn let_go(&self) -> watch::Receiver<()> {
        self.let_go.subscribe()
    }
}

/// How long a lock that is held is tried again. A process that another thread of this one starts
/// holds copies of all its open files for a moment, until it runs its own program.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

fn lock(layout: &Layout) -> Result<File, StoreError> {
    let path = layout.private().join("LOCK");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(StoreError::io("open", &path))?;
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked(layout.root.clone()));
            }
            Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", &path)(e)),
        }
    }
}

impl Files for DiskStore {
    fn get(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, StoreError> {
        self.site.get(coord)
    }

    fn part(
        &self,
        coord: TileCoord,
        from: u64,
        most: usize,
    ) -> Result<Option<FilePart>, StoreError> {
        self.site.part(coord, from, most)
    }
}

impl Store for DiskStore {
    fn replay(&self) -> Result<Replay, StoreError> {
        let taken = self.replay.lock().expect("no panics under this lock").take();
        taken.ok_or(StoreError::Failed)
    }

    fn append(&self, at: &TreeHead, entries: &[Vec<u8>]) -> Result<(), StoreError> {
        let mut journal = self.journal.lock().expect("no panics under this lock");
        if journal.failed {
            return Err(StoreError::Failed);
        }
        let appended = journal.append(at, entries, &self.site);
        // after a failed fsync nobody knows what the disk holds; opening writes the tail anew
        journal.failed = appended.is_err();
        appended
    }

    fn put(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        self.site.put(coord, bytes)
    }

    fn restore(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        self.site.restore(coord, bytes)
    }

    fn head(&self) -> Result<Option<String>, StoreError> {
        self.state.head()
    }

    fn swap_head(&self, swap: HeadSwap<'_>) -> Result<(), StoreError> {
        self.state.swap_head(swap)
    }

    fn restore_edge(&self, seen: TreeSize, stored: &TreeHead) -> Result<(), StoreError> {
        self.site.restore_edge(seen, stored)
    }

    fn publish(&self, checkpoint: &ClaimedCheckpoint) -> Result<(), StoreError> {
        self.site.publish(checkpoint)
    }

    fn published(&self) -> Result<Option<String>, StoreError> {
        self.site.published()
    }
}

impl Journal {
    fn append(
        &mut self,
        at: &TreeHead,
        entries: &[Vec<u8>],
        site: &Site,
    ) -> Result<(), StoreError> {
        if !self.segment.has_room(entries) {
            self.rotate(at, site)?;
        }
        self.segment.append(at.size, entries)
    }

    /// Goes on in a new segment. All tiles of the tree `base` have been put by now.
    fn rotate(&mut self, base: &TreeHead, site: &Site) -> Result<(), StoreError> {
        // the spare is there once the housekeeper is done with the segment before
        self.housekeeper.wait()?;
        let next = self.segment.number() + 1;
        let segment = Segment::begin(&self.dir, next, base, self.segment_bytes)?;
        let old = std::mem::replace(&mut self.segment, segment);
        let mut segments = std::mem::take(&mut self.older);
        segments.push(old.path().to_owned());
        self.housekeeper.send(CleanupJob { tiles: site.start_from(base.size), segments });
        Ok(())
    }
}

impl Housekeeper {
    /// Starts the thread, which prepares a spare segment first.
    fn start(dir: PathBuf, segment_bytes: u64, site: Arc<Site>) -> Housekeeper {
        // one job at most is under way: rotation waits for the one before
        let (jobs, next_job) = sync_channel::<CleanupJob>(1);
        let (report, done) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut outcome = journal::prepare_spare(&dir, segment_bytes);
            while report.send(outcome).is_ok() {
                let Ok(job) = next_job.recv() else { return };
                outcome = keep_house(&dir, segment_bytes, &site, &job);
            }
        });
        Housekeeper { jobs: Some(jobs), done, thread: Some(thread) }
    }

    fn wait(&self) -> Result<(), StoreError> {
        self.done.recv().unwrap_or(Err(StoreError::Failed))
    }

    fn send(&self, job: CleanupJob) {
        if let Some(jobs) = &self.jobs {
            // a thread that has gone shows at the next wait
            let _ = jobs.send(job);
        }
    }
}

fn keep_house(dir: &Path, bytes: u64, site: &Site, job: &CleanupJob) -> Result<(), StoreError> {
    site.sync(&job.tiles)?;
    for segment in &job.segments {
        journal::retire(dir, segment)?;
    }
    journal::prepare_spare(dir, bytes)
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.jobs = None;
        while self.done.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether a directory is missing or empty, so that a log may be made there.
///
/// # Errors
/// [`StoreError::Io`] when it cannot be read.
pub fn is_free(dir: &Path) -> Result<bool, StoreError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(StoreError::io("read", dir)(e)),
    }
}
