//! The only writer: it fixes the order of records, makes it durable, signs and publishes the head.
//!
//! There is no timer. The first record of a quiet log goes at once; under load the next batch is
//! whatever arrived while the disk was busy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ledger_core::batch::Edge;
use ledger_core::charter::{Change, Charter, SignedRecord};
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::hash::Hash;
use ledger_core::note::SignerKey;
use ledger_core::policy::PolicyError;
use ledger_core::record::{Entry, Logged, Record, StatementId};
use ledger_core::{LeafIndex, TreeSize};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::index::{EntryKeys, Index, IndexError, Key, revision};
use crate::log::{LogReader, Published, ReadError};
use crate::publisher::Publisher;
use crate::recovery::Recovered;
use crate::refusal::Refusal;
use crate::store::{HeadSwap, Store, StoreError};

/// Records in one batch: enough to hide the disk's latency, few enough to answer soon.
const MAX_BATCH_RECORDS: usize = 4096;

/// Bytes of records in one batch. With the log's own lines they fit the smallest journal segment.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// A record on its way into the log.
#[derive(Debug)]
pub struct Pending {
    /// The record, its signatures verified.
    pub record: SignedRecord,
    /// Who waits for the outcome.
    pub reply: oneshot::Sender<Outcome>,
    /// The room that the record takes in the queue, freed with it.
    pub room: Option<OwnedSemaphorePermit>,
}

/// What became of a record. A published checkpoint covers it unless it was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was logged now.
    Logged(Place),
    /// Its statement was logged before.
    Duplicate(Duplicate),
    /// It was not logged.
    Refused(Refusal),
}

/// A record that was logged before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// Where its statement stands in the log.
    pub index: LeafIndex,
    /// The digest of the record as it was submitted now: its signatures may differ.
    pub submitted: Hash,
}

impl Duplicate {
    /// Says that `record` stands in the log at `index`.
    pub fn new(index: LeafIndex, record: &Record) -> Duplicate {
        Duplicate { index, submitted: Hash::digest(record.as_bytes()) }
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The leaf's index.
    pub index: LeafIndex,
    /// The log's line.
    pub logged: Logged,
    /// The leaf's hash.
    pub leaf: Hash,
    /// The record's statement id.
    pub statement: StatementId,
}

/// Why the sequencer stopped. What it had not yet answered is unknown until the log is opened again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SequencerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The stored log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The own checkpoint does not satisfy the policy.
    #[error("the checkpoint does not satisfy the policy: {0}")]
    Policy(#[from] PolicyError),
}

/// The parts a sequencer works with.
pub struct Parts {
    /// Where the log lives.
    pub store: Arc<dyn Store>,
    /// Where duplicates are looked up.
    pub index: Arc<Index>,
    /// The key that signs heads.
    pub log_key: SignerKey,
    /// How heads become checkpoints.
    pub publisher: Publisher,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The one writer of a log.
pub struct Sequencer {
    parts: Parts,
    reader: Arc<LogReader>,
    origin: Origin,
    edge: Edge,
    /// The rules in force at the end of the log.
    charter: watch::Sender<Arc<Charter>>,
    last_time: u64,
    head: Option<ClaimedCheckpoint>,
    published: watch::Sender<Option<Arc<Published>>>,
}

/// A batch while it is put together.
struct Draft {
    /// The rules in force behind the last entry of the batch.
    charter: Arc<Charter>,
    /// How heads are completed, if a governance record of the batch changed the policy.
    publisher: Option<Publisher>,
    entries: Vec<Vec<u8>>,
    /// What each entry is; its leaf hash comes with the tiles.
    placed: Vec<Placed>,
    statements: HashMap<StatementId, LeafIndex>,
    ids: HashMap<Hash, LeafIndex>,
    /// The last revision of each series in the batch.
    revisions: HashMap<Hash, u64>,
    replies: Vec<(oneshot::Sender<Outcome>, Judged)>,
    rooms: Vec<OwnedSemaphorePermit>,
}

struct Placed {
    index: LeafIndex,
    logged: Logged,
    statement: StatementId,
    issuer_and_id: Hash,
    series: Option<(Hash, u64)>,
}

/// What is known of a record before its batch is written.
enum Judged {
    /// It is this entry of the batch.
    Entry(usize),
    /// It will not be logged.
    Answered(Outcome),
}

impl Draft {
    fn new(charter: Arc<Charter>) -> Draft {
        Draft {
            charter,
            publisher: None,
            entries: Vec::new(),
            placed: Vec::new(),
            statements: HashMap::new(),
            ids: HashMap::new(),
            revisions: HashMap::new(),
            replies: Vec::new(),
            rooms: Vec::new(),
        }
    }
}

impl Sequencer {
    /// Takes over a recovered log, and signs and publishes the head of what the journal holds.
    ///
    /// # Errors
    /// [`SequencerError`].
    pub fn start(
        parts: Parts,
        recovered: Recovered,
        origin: Origin,
    ) -> Result<Sequencer, SequencerError> {
        let reader = Arc::new(LogReader::new(Arc::clone(&parts.store)));
        let mut sequencer = Sequencer {
            parts,
            reader,
            origin,
            edge: recovered.edge,
            charter: watch::Sender::new(recovered.charter),
            last_time: recovered.last.time,
            head: recovered.head,
            published: watch::Sender::new(None),
        };
        sequencer.promise_and_publish()?;
        Ok(sequencer)
    }

    /// What readers see, now and later.
    pub fn published(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.published.subscribe()
    }

    /// The rules in force, now and later.
    pub fn charter(&self) -> watch::Receiver<Arc<Charter>> {
        self.charter.subscribe()
    }

    /// The stored log.
    pub fn reader(&self) -> Arc<LogReader> {
        Arc::clone(&self.reader)
    }

    /// Logs whatever arrives, until all senders are gone and the queue is empty.
    ///
    /// # Errors
    /// [`SequencerError`] at the first failure; waiting records are then left unanswered.
    pub fn run(&mut self, queue: &mut mpsc::Receiver<Pending>) -> Result<(), SequencerError> {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = Vec::with_capacity(queue.len() + 1);
            let mut bytes = first.record.record().as_bytes().len();
            batch.push(first);
            while batch.len() < MAX_BATCH_RECORDS && bytes < MAX_BATCH_BYTES {
                let Ok(next) = queue.try_recv() else { break };
                bytes += next.record.record().as_bytes().len();
                batch.push(next);
            }
            self.step(batch)?;
        }
        self.parts.index.flush()?;
        Ok(())
    }

    /// Logs one batch: judges each record at its final place, then journal, tiles, index, head,
    /// checkpoint, and only then the answers.
    ///
    /// # Errors
    /// [`SequencerError`]; then nothing of the batch was answered.
    pub fn step(&mut self, batch: Vec<Pending>) -> Result<(), SequencerError> {
        let began = Instant::now();
        let time = self.parts.clock.now().max(self.last_time);
        let mut draft = Draft::new(Arc::clone(&self.charter.borrow()));
        for pending in batch {
            self.place(&mut draft, pending, time)?;
        }
        let first = self.edge.size();
        let mut leaves = Vec::new();
        if !draft.entries.is_empty() {
            leaves = self.write(&draft)?;
            self.last_time = time;
            if let Some(publisher) = draft.publisher.take() {
                self.parts.publisher = publisher;
            }
            self.promise_and_publish()?;
            if !Arc::ptr_eq(&draft.charter, &self.charter.borrow()) {
                self.charter.send_replace(Arc::clone(&draft.charter));
            }
        }
        let (logged, answered) = (draft.entries.len(), draft.replies.len());
        drop(draft.rooms);
        for (reply, judged) in draft.replies {
            let outcome = match judged {
                Judged::Entry(at) => {
                    let Placed { index, logged, statement, .. } = draft.placed[at];
                    Outcome::Logged(Place { index, logged, leaf: leaves[at], statement })
                }
                Judged::Answered(outcome) => outcome,
            };
            // whoever asked may have gone
            let _ = reply.send(outcome);
        }
        let elapsed_us = began.elapsed().as_micros() as u64;
        tracing::debug!(first = first.get(), logged, answered, elapsed_us, "batch");
        Ok(())
    }

    /// Judges a record at the next free place, in the final order and at the final time.
    fn place(&self, draft: &mut Draft, pending: Pending, time: u64) -> Result<(), SequencerError> {
        let Pending { record, reply, room } = pending;
        draft.rooms.extend(room);
        let judged = match self.judge(draft, &record, time)? {
            Err(outcome) => Judged::Answered(outcome),
            Ok((index, logged)) => {
                let statement = record.record().statement();
                let envelope = record.record().envelope();
                let (issuer_and_id, series) = (envelope.unique_key(), revision(envelope));
                draft.revisions.extend(series);
                draft.entries.push(Entry::new(logged, record.into_record()).to_bytes());
                draft.placed.push(Placed { index, logged, statement, issuer_and_id, series });
                draft.statements.insert(statement, index);
                draft.ids.insert(issuer_and_id, index);
                Judged::Entry(draft.placed.len() - 1)
            }
        };
        draft.replies.push((reply, judged));
        Ok(())
    }

    fn judge(
        &self,
        draft: &mut Draft,
        record: &SignedRecord,
        time: u64,
    ) -> Result<Result<(LeafIndex, Logged), Outcome>, SequencerError> {
        let statement = record.record().statement();
        let in_batch = draft.statements.get(&statement).copied();
        let found = match in_batch {
            Some(index) => Some(index),
            None => self.find_statement(&statement)?,
        };
        if let Some(index) = found {
            return Ok(Err(Outcome::Duplicate(Duplicate::new(index, record.record()))));
        }
        let unique = record.record().envelope().unique_key();
        let taken = match draft.ids.get(&unique) {
            Some(index) => Some(*index),
            None => self.find(&Key::IssuerAndId(unique), |keys| keys.issuer_and_id == unique)?,
        };
        if let Some(index) = taken {
            return Ok(Err(Outcome::Refused(Refusal::IdTaken(index))));
        }
        if let Some(refusal) = self.check_revision(draft, record)? {
            return Ok(Err(Outcome::Refused(refusal)));
        }
        let size = self.edge.size().checked_add(draft.entries.len() as u64);
        let Some(index) = size.and_then(TreeSize::next_index) else {
            return Ok(Err(Outcome::Refused(Refusal::LogFull)));
        };
        let logged = Logged { time, governance: draft.charter.governance_index() };
        match draft.charter.admit(record, &logged, index) {
            Ok(Change::Governance(next)) => {
                match self.parts.publisher.moved_to(&next, &self.parts.log_key) {
                    Ok(publisher) => draft.publisher = Some(publisher),
                    Err(error) => {
                        return Ok(Err(Outcome::Refused(Refusal::Unpublishable(error))));
                    }
                }
                draft.charter = Arc::from(next);
                Ok(Ok((index, logged)))
            }
            Ok(_) => Ok(Ok((index, logged))),
            Err(rejection) => Ok(Err(Outcome::Refused(rejection.into()))),
        }
    }

    /// Revisions of an issuer's series follow one another from 1.
    fn check_revision(
        &self,
        draft: &Draft,
        record: &SignedRecord,
    ) -> Result<Option<Refusal>, SequencerError> {
        let Some((key, found)) = revision(record.record().envelope()) else { return Ok(None) };
        let last = match draft.revisions.get(&key) {
            Some(last) => Some(*last),
            None => last_revision(&self.parts.index, &self.reader, self.edge.size(), key)?,
        };
        let expected = last.unwrap_or(0).saturating_add(1);
        Ok((found != expected).then_some(Refusal::Revision { expected, found }))
    }

    fn find_statement(&self, statement: &StatementId) -> Result<Option<LeafIndex>, SequencerError> {
        self.find(&Key::Statement(*statement), |keys| keys.statement == *statement)
    }

    fn find(
        &self,
        key: &Key,
        same: impl Fn(&EntryKeys) -> bool,
    ) -> Result<Option<LeafIndex>, SequencerError> {
        Ok(find_entry(&self.parts.index, &self.reader, self.edge.size(), key, same)?)
    }

    /// Makes the entries durable, and gives their leaf hashes.
    fn write(&mut self, draft: &Draft) -> Result<Vec<Hash>, SequencerError> {
        let store = &self.parts.store;
        store.append(&self.edge.head(), &draft.entries)?;
        let batch = self.edge.append(&draft.entries).expect("sizes and room were judged");
        for (coord, bytes) in &batch.tiles {
            store.put(*coord, bytes)?;
        }
        let keys = draft.placed.iter().zip(&batch.leaves).map(|(placed, leaf)| EntryKeys {
            statement: placed.statement,
            issuer_and_id: placed.issuer_and_id,
            leaf: *leaf,
            series: placed.series,
        });
        self.parts.index.insert(&keys.collect::<Vec<_>>())?;
        Ok(batch.leaves)
    }

    /// Signs the head of the edge, promises it, and shows it to readers, in this order.
    fn promise_and_publish(&mut self) -> Result<(), SequencerError> {
        let head = self.edge.head();
        let own = self.parts.log_key.verifier();
        let is_own = |claimed: &&ClaimedCheckpoint| {
            claimed.note().signatures().iter().any(|line| line.is_by(own))
        };
        // a head that an earlier key of the log promised is signed again with the present one
        let promised = self.head.as_ref().filter(is_own);
        let promised = promised.map(|claimed| *claimed.checkpoint().head());
        if promised != Some(head) {
            let new = Checkpoint::new(self.origin.clone(), head).sign(&self.parts.log_key);
            let old = self.head.as_ref().map(ToString::to_string);
            let swap = HeadSwap { old: old.as_deref(), new: &new.to_string() };
            self.parts.store.swap_head(swap)?;
            self.head = Some(new);
        }
        let Some(head) = &self.head else { return Ok(()) };
        let checkpoint = self.parts.publisher.complete(head, self.parts.clock.now())?;
        self.parts.store.publish(&checkpoint.claimed().to_string())?;
        let published = Published::new(checkpoint, &self.reader);
        self.published.send_replace(Some(Arc::new(published)));
        Ok(())
    }
}

/// Why looking an entry up failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A candidate could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<FindError> for SequencerError {
    fn from(error: FindError) -> SequencerError {
        match error {
            FindError::Index(error) => error.into(),
            FindError::Read(error) => error.into(),
        }
    }
}

/// The entry of the tree of `size` leaves whose keys are the `same`: the index names candidates, and
/// the entries themselves decide.
///
/// # Errors
/// [`FindError`].
pub fn find_entry(
    index: &Index,
    reader: &LogReader,
    size: TreeSize,
    key: &Key,
    same: impl Fn(&EntryKeys) -> bool,
) -> Result<Option<LeafIndex>, FindError> {
    let same = |keys: EntryKeys| same(&keys).then_some(());
    let found = first_match(index.candidates(key)?, reader, size, same)?;
    Ok(found.map(|(at, ())| at))
}

/// The last revision of the series with this key in the tree of `size` leaves.
///
/// # Errors
/// [`FindError`].
fn last_revision(
    index: &Index,
    reader: &LogReader,
    size: TreeSize,
    key: Hash,
) -> Result<Option<u64>, FindError> {
    let revision = |keys: EntryKeys| {
        keys.series.filter(|(found, _)| *found == key).map(|(_, revision)| revision)
    };
    let found = first_match(index.latest(&Key::Series(key))?, reader, size, revision)?;
    Ok(found.map(|(_, revision)| revision))
}

/// The first candidate in the tree of `size` leaves in whose keys something is found.
fn first_match<T>(
    candidates: Vec<u64>,
    reader: &LogReader,
    size: TreeSize,
    look: impl Fn(EntryKeys) -> Option<T>,
) -> Result<Option<(LeafIndex, T)>, FindError> {
    for candidate in candidates {
        let Ok(at) = LeafIndex::new(candidate) else { continue };
        if !size.contains(at) {
            continue;
        }
        let entry = reader.entry(at, size)?;
        if let Some(found) = EntryKeys::of(&entry).ok().and_then(&look) {
            return Ok(Some((at, found)));
        }
    }
    Ok(None)
}
