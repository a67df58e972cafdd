//! The way in: form, signatures, a first look at duplicates; then the bounded queue.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use ledger_core::LeafIndex;
use ledger_core::charter::{Charter, SignedRecord};
use ledger_core::record::{Record, StatementId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::index::{EntryKeys, Index, Key};
use crate::log::{LogReader, Published};
use crate::refusal::Refusal;
use crate::sequencer::{Duplicate, FindError, Outcome, Pending, find_entry};

/// Records that wait for the sequencer at most.
const QUEUE_RECORDS: usize = 16_384;

/// Bytes of records that wait for the sequencer at most.
const QUEUE_BYTES: usize = 64 << 20;

/// How long a single record waits for room before it is refused. A stream waits as long as it
/// takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What admission found out about a record.
#[derive(Debug)]
pub enum Admitted {
    /// Its signatures are sound, and it is not in the log yet.
    Verified(Box<SignedRecord>),
    /// Its statement is in the log.
    Duplicate(Duplicate),
}

/// Admits records to the queue.
pub struct Admission {
    charter: watch::Receiver<Arc<Charter>>,
    index: Arc<Index>,
    reader: Arc<LogReader>,
    published: watch::Receiver<Option<Arc<Published>>>,
    room: Arc<Semaphore>,
    /// Taken away when the node shuts down.
    queue: RwLock<Option<mpsc::Sender<Pending>>>,
}

impl Admission {
    /// Admits by `charter`; the sequencer takes what comes out of the receiver.
    pub fn new(
        charter: watch::Receiver<Arc<Charter>>,
        index: Arc<Index>,
        reader: Arc<LogReader>,
        published: watch::Receiver<Option<Arc<Published>>>,
    ) -> (Admission, mpsc::Receiver<Pending>) {
        let (sender, receiver) = mpsc::channel(QUEUE_RECORDS);
        let (room, queue) = (Arc::new(Semaphore::new(QUEUE_BYTES)), RwLock::new(Some(sender)));
        (Admission { charter, index, reader, published, room, queue }, receiver)
    }

    /// Checks a record's form, looks for it in the log, and verifies its signatures: some tens of
    /// microseconds of computing.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, bytes: &[u8]) -> Result<Admitted, Refusal> {
        let record = Record::parse(bytes)?;
        if let Some(at) = self.find(&record.statement())? {
            return Ok(Admitted::Duplicate(Duplicate::new(at, &record)));
        }
        let signed = self.charter().verify(record)?;
        Ok(Admitted::Verified(Box::new(signed)))
    }

    /// The charter that records are judged by.
    pub fn charter(&self) -> Arc<Charter> {
        Arc::clone(&self.charter.borrow())
    }

    /// Where a statement stands in the published log.
    ///
    /// # Errors
    /// [`Refusal::Internal`] or [`Refusal::Damaged`] when the log cannot be read.
    pub fn find(&self, statement: &StatementId) -> Result<Option<LeafIndex>, Refusal> {
        self.look(&Key::Statement(*statement), |keys| keys.statement == *statement)
    }

    /// Where the published log has a record of the same issuer and id.
    ///
    /// # Errors
    /// As [`Admission::find`].
    pub fn id_taken(&self, record: &Record) -> Result<Option<LeafIndex>, Refusal> {
        let unique = record.envelope().unique_key();
        self.look(&Key::IssuerAndId(unique), |keys| keys.issuer_and_id == unique)
    }

    fn look(
        &self,
        key: &Key,
        same: impl Fn(&EntryKeys) -> bool,
    ) -> Result<Option<LeafIndex>, Refusal> {
        let size = self.published.borrow().as_ref().map(|published| published.size());
        let Some(size) = size else { return Ok(None) };
        find_entry(&self.index, &self.reader, size, key, same).map_err(|error| match error {
            FindError::Read(error) if error.is_damage() => Refusal::Damaged(error.to_string()),
            error => Refusal::Internal(error.to_string()),
        })
    }

    /// Waits for room for a record of `bytes`. Whoever reads records from a client takes room
    /// first, so that all records between a socket and the journal have a bound.
    ///
    /// # Errors
    /// [`Refusal::ShuttingDown`].
    pub async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let room = Arc::clone(&self.room).acquire_many_owned(units(bytes)).await;
        room.map_err(|_| Refusal::ShuttingDown)
    }

    /// Room for a record of `bytes`, if there is some at once. Whoever holds room already waits for
    /// no more.
    pub fn room_now(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_many_owned(units(bytes)).ok()
    }

    /// As [`Admission::room`], but not for ever.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when there is no room for a while, [`Refusal::ShuttingDown`].
    pub async fn room_soon(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        tokio::time::timeout(PATIENCE, self.room(bytes)).await.unwrap_or(Err(Refusal::Busy))
    }

    /// Puts a record into the queue; the outcome arrives later.
    ///
    /// # Errors
    /// [`Refusal::ShuttingDown`]; [`Refusal::Unknown`] when the sequencer has stopped.
    pub async fn enqueue(
        &self,
        record: SignedRecord,
        room: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let queue = self.queue.read().expect("no panics under this lock").clone();
        let queue = queue.ok_or(Refusal::ShuttingDown)?;
        let (reply, outcome) = oneshot::channel();
        let pending = Pending { record, reply, room: Some(room) };
        queue.send(pending).await.map_err(|_| Refusal::Unknown)?;
        Ok(outcome)
    }

    /// Lets no more records in. The sequencer ends once it has logged those that are.
    pub fn close(&self) {
        self.queue.write().expect("no panics under this lock").take();
    }
}

/// What a record of `bytes` takes of the room.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.min(QUEUE_BYTES)).unwrap_or(u32::MAX)
}
