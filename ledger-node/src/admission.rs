//! The way in: form, signatures, what the log already rules out; then the bounded queue.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use ledger_core::charter::{Charter, SignedRecord};
use ledger_core::record::{Record, StatementId};
use ledger_core::{LeafIndex, TreeSize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::index::{EntryKeys, Index, Key, revision};
use crate::log::{LogReader, Published};
use crate::lookup::{FindError, LastRevision, find_entry, find_id, last_revision};
use crate::refusal::Refusal;
use crate::sequencer::{Duplicate, Outcome, Pending};

/// Records that wait for the sequencer at most.
const QUEUE_RECORDS: usize = 16_384;

/// Bytes of the heap that records take at most between a socket and the journal.
const QUEUE_HEAP: usize = 128 << 20;

/// How long a single record waits for room before it is refused. A stream waits as long as it
/// takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What admission found out about a record.
#[derive(Debug)]
pub enum Admitted {
    /// Its signatures are sound, and it is not in the log yet.
    Verified(Box<Verified>),
    /// Its statement is in the log.
    Duplicate(Duplicate),
}

/// A record whose signatures are sound, for the queue.
#[derive(Debug)]
pub struct Verified {
    /// The record.
    pub record: SignedRecord,
    /// The last revision of its series in the log.
    pub last: Option<LastRevision>,
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
        let (room, queue) = (Arc::new(Semaphore::new(QUEUE_HEAP)), RwLock::new(Some(sender)));
        (Admission { charter, index, reader, published, room, queue }, receiver)
    }

    /// Checks a record's form, looks for it in the log, verifies its signatures, and refuses what
    /// the log already rules out: some tens of microseconds of computing, and the reading of an
    /// entry or two where its statement, id or series is in the log.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, bytes: &[u8]) -> Result<Admitted, Refusal> {
        let record = Record::parse(bytes)?;
        if let Some(at) = self.find(&record.statement())? {
            return Ok(Admitted::Duplicate(Duplicate::new(at, &record)));
        }
        let signed = self.charter().verify(record)?;
        let record = signed.record();
        if let Some((at, keys)) = self.same_id(record)? {
            return match keys.statement == record.statement() {
                // logged, and not published yet
                true => Ok(Admitted::Duplicate(Duplicate::new(at, record))),
                false => Err(Refusal::IdTaken(at)),
            };
        }
        let last = self.check_revision(record)?;
        Ok(Admitted::Verified(Box::new(Verified { record: signed, last })))
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
        let size = self.published.borrow().as_ref().map(|published| published.size());
        let Some(size) = size else { return Ok(None) };
        let found = find_entry(&self.index, &self.reader, size, &Key::Statement(*statement));
        found.map_err(unreadable)
    }

    /// The entry of the same issuer and id in the log, published or not: its index and its keys.
    fn same_id(&self, record: &Record) -> Result<Option<(LeafIndex, EntryKeys)>, Refusal> {
        let unique = record.envelope().unique_key();
        find_id(&self.index, &self.reader, self.logged(), unique).map_err(unreadable)
    }

    /// Refuses a revision that the series has had: the last one only grows, so that the sequencer
    /// would refuse it too. One that is too large may follow records that are on their way: the
    /// sequencer is given the last one.
    fn check_revision(&self, record: &Record) -> Result<Option<LastRevision>, Refusal> {
        let Some((series, found)) = revision(record.envelope()) else { return Ok(None) };
        let last = last_revision(&self.index, &self.reader, self.logged(), series, None);
        match last.map_err(unreadable)? {
            Some(last) if found <= last.number => {
                Err(Refusal::Revision { expected: last.number.saturating_add(1), found })
            }
            last => Ok(last),
        }
    }

    /// How many entries are logged: the index covers them once their files are written.
    fn logged(&self) -> TreeSize {
        TreeSize::new(self.index.size()).unwrap_or(TreeSize::MAX)
    }

    /// Waits for room for a record of `bytes`: for the most heap that it may take. The caller takes
    /// room before it reads a record, so that all records between a socket and the journal have a
    /// bound, and gives back with [`shrink`] what the record does not take.
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
        verified: Verified,
        room: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let queue = self.queue.read().expect("no panics under this lock").clone();
        let queue = queue.ok_or(Refusal::ShuttingDown)?;
        let (reply, outcome) = oneshot::channel();
        let Verified { record, last } = verified;
        let room = Some(shrink(room, &record));
        let pending = Pending { record, last, reply, room };
        queue.send(pending).await.map_err(|_| Refusal::Unknown)?;
        Ok(outcome)
    }

    /// Lets no more records in. The sequencer ends once it has logged those that are.
    pub fn close(&self) {
        self.queue.write().expect("no panics under this lock").take();
    }
}

/// The room that a verified record takes, out of what was taken for its bytes.
pub fn shrink(mut room: OwnedSemaphorePermit, record: &SignedRecord) -> OwnedSemaphorePermit {
    let held = size_of::<Pending>() + record.heap_bytes();
    drop(room.split(room.num_permits().saturating_sub(held)));
    room
}

/// The room for a record of `bytes` that is not read yet.
fn units(bytes: usize) -> u32 {
    u32::try_from(Record::most_heap_bytes(bytes).min(QUEUE_HEAP)).unwrap_or(u32::MAX)
}

fn unreadable(error: FindError) -> Refusal {
    match error {
        FindError::Read(error) if error.is_damage() => Refusal::Damaged(error.to_string()),
        error => Refusal::Internal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ledger_core::charter::CharterDraft;
    use ledger_core::note::{Algorithm, KeyName, SignerKey};
    use ledger_core::record::{Entry, Logged, RecordId};

    use super::*;

    #[test]
    fn the_queue_counts_the_heap_that_records_hold() {
        let key = |name: &str, seed| {
            let name = KeyName::new(name).expect("a name");
            SignerKey::from_seed(name, Algorithm::Ed25519, [seed; 32]).expect("sound")
        };
        let (log, lab) = (key("ledger.example/1", 7), key("lab.example", 8));
        let draft = CharterDraft::new("Example", log.verifier().clone());
        let draft = draft.member("lab.example", lab.verifier().clone(), ["steward"]);
        let draft = draft.draft(RecordId::from_parts(0, [0; 10]), 1_800_000_000);
        let record = draft.expect("a charter").sign(&[&lab]).expect("a record key");
        let logged = Logged { time: 1_800_000_000, governance: LeafIndex::ZERO };
        let charter = Charter::found(&Entry::new(logged, record.clone())).expect("it is sound");
        let bytes = record.as_bytes().len();
        let signed = charter.verify(record).expect("a key of the charter");
        assert!(signed.heap_bytes() > 2 * bytes, "more than its bytes are held");

        let room = Arc::new(Semaphore::new(QUEUE_HEAP));
        let take = || Arc::clone(&room).try_acquire_many_owned(units(bytes)).ok();
        let reserved = take().expect("all is free");
        assert_eq!(reserved.num_permits(), Record::most_heap_bytes(bytes));
        let held = shrink(reserved, &signed);
        assert!(held.num_permits() >= signed.heap_bytes());
        assert!(held.num_permits() < 2 * signed.heap_bytes(), "the rest is given back");
        assert_eq!(room.available_permits() + held.num_permits(), QUEUE_HEAP);
        // once more changes nothing, and in the end all is given back
        let held = shrink(held, &signed);
        let each = held.num_permits();
        drop(held);
        let waiting: Vec<_> =
            std::iter::from_fn(|| take().map(|reserved| shrink(reserved, &signed))).collect();
        assert!(waiting.len() * each <= QUEUE_HEAP);
        assert!(waiting.len() * each + Record::most_heap_bytes(bytes) > QUEUE_HEAP, "it was used");
        drop(waiting);
        assert_eq!(room.available_permits(), QUEUE_HEAP);
    }
}
