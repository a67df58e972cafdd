//! The only writer: it fixes the order of records, makes it durable, signs and publishes the head.
//!
//! There is no timer. The first record of a quiet log goes at once; under load the next batch is
//! whatever arrived while the disk was busy.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_core::Hint;
use ledger_core::batch::Edge;
use ledger_core::charter::{Change, Charter, MAX_POLICY_WITNESSES, RetiredLogKey, SignedRecord};
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::hash::Hash;
use ledger_core::note::{MAX_SIGNATURES, SignerKey, VerifierKey};
use ledger_core::policy::Policy;
use ledger_core::record::{Entry, Logged, Record, StatementId};
use ledger_core::{LeafIndex, TreeSize};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::clock::{Clock, JumpGuard};
use crate::index::{EntryKeys, Index, IndexError, Key, revision};
use crate::log::{LogReader, Published, ReadError};
use crate::lookup::{FindError, LastRevision, find_entry, last_revision};
use crate::publisher::error::ConfirmError;
use crate::publisher::{Plan, PublishError, Publisher, PublisherError, Signed};
use crate::recovery::Recovered;
use crate::refusal::Refusal;
use crate::store::{HeadSwap, Store, StoreError};

/// Records in one batch: enough to hide the disk's latency, few enough to answer soon.
const MAX_BATCH_RECORDS: usize = 4096;

/// Bytes of records in one batch. With the log's own lines they fit the smallest journal segment.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// How long the records of one batch are judged. Those that were judged are logged then, also where
/// each took long, and the others come with the next batch.
const MAX_BATCH_TIME: Duration = Duration::from_millis(250);

/// A record on its way into the log.
#[derive(Debug)]
pub struct Pending {
    /// The record, its signatures verified.
    pub record: SignedRecord,
    /// The last revision of its series that admission found: its entry is not read again.
    pub last: Option<LastRevision>,
    /// Who waits for the outcome.
    pub reply: oneshot::Sender<Outcome>,
    /// The room that the record takes in the queue, freed with it.
    pub room: Option<OwnedSemaphorePermit>,
}

/// What became of a record. A promised head covers it unless it was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was logged now.
    Logged(LoggedAt),
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
pub struct LoggedAt {
    /// The leaf's index.
    pub index: LeafIndex,
    /// The log's line.
    pub logged: Logged,
    /// The leaf's hash.
    pub leaf: Hash,
    /// The record's statement id.
    pub statement: StatementId,
}

/// Why the sequencer stopped. What it had not yet answered is unknown until the log is opened
/// again.
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
    /// Nothing could be published under the charter.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// Publishing came to an end.
    #[error(transparent)]
    Publish(Arc<PublishError>),
    /// Witnesses know more of this log than this node does.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
}

impl Hint for SequencerError {
    fn hint(&self) -> &'static str {
        match self {
            SequencerError::Store(error) => error.hint(),
            SequencerError::Publisher(error) => error.hint(),
            SequencerError::Publish(error) => error.hint(),
            SequencerError::Confirm(error) => error.hint(),
            SequencerError::Index(_) | SequencerError::Read(_) => {
                "nothing acknowledged is lost; mend the cause and serve again"
            }
        }
    }
}

impl SequencerError {
    /// Whether the node itself is sound, and refused to sign what could harm its log.
    pub fn is_refusal(&self) -> bool {
        matches!(self, SequencerError::Confirm(_))
    }
}

impl From<PublishError> for SequencerError {
    fn from(error: PublishError) -> SequencerError {
        SequencerError::Publish(Arc::new(error))
    }
}

/// The parts a sequencer works with.
pub struct SequencerParts {
    /// Where the log lives.
    pub store: Arc<dyn Store>,
    /// Where duplicates are looked up.
    pub index: Arc<Index>,
    /// The key that signs heads.
    pub log_key: SignerKey,
    /// The key before it, which signs one head more: the first over its own retirement.
    pub previous_log_key: Option<SignerKey>,
    /// How heads become checkpoints.
    pub publisher: Arc<Publisher>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The one writer of a log.
pub struct Sequencer {
    parts: SequencerParts,
    reader: Arc<LogReader>,
    origin: Origin,
    edge: Edge,
    /// The rules in force at the end of the log.
    charter: watch::Sender<Arc<Charter>>,
    last_time: u64,
    head: Option<ClaimedCheckpoint>,
    /// How heads are published under that charter.
    plan: Arc<Plan>,
    /// A change of the policy that readers have not seen yet.
    handover: Option<Handover>,
    jumps: JumpGuard,
    /// Whether the head of what the journal holds was handed on since the start.
    resumed: bool,
}

/// A change of the policy that is not published yet: its heads need the quorums of both.
struct Handover {
    /// The size of the first head that holds it.
    from: TreeSize,
    /// The policies before it.
    before: Vec<Policy>,
    /// How heads are published once readers have seen it.
    then: Arc<Plan>,
}

impl Handover {
    /// `None` where the policies ask the same of the same witnesses as the new one.
    fn begin(from: TreeSize, before: Vec<Policy>, then: &Arc<Plan>) -> Option<Handover> {
        let witnesses = |policy: &Policy| policy.with_logs([]);
        let mut others: Vec<Policy> = Vec::new();
        for policy in before {
            let own = witnesses(&policy);
            if own != witnesses(then.policy()) && !others.iter().any(|o| witnesses(o) == own) {
                others.push(policy);
            }
        }
        let then = Arc::clone(then);
        (!others.is_empty()).then_some(Handover { from, before: others, then })
    }
}

/// A batch while it is put together.
struct OpenBatch {
    /// The rules in force behind the last entry of the batch.
    charter: Arc<Charter>,
    /// How heads are published, if a governance record of the batch changed that.
    plan: Option<Plan>,
    entries: Vec<Vec<u8>>,
    /// What each entry is; its leaf hash comes with the tiles.
    placed: Vec<Placed>,
    statements: HashMap<StatementId, LeafIndex>,
    ids: HashMap<Hash, LeafIndex>,
    /// The last revision of each series in the batch.
    revisions: HashMap<Hash, u64>,
    replies: Vec<(oneshot::Sender<Outcome>, Judged)>,
    permits: Vec<OwnedSemaphorePermit>,
    /// How many records were answered at once.
    refused: usize,
}

struct Placed {
    index: LeafIndex,
    logged: Logged,
    statement: StatementId,
    issuer_and_id: Hash,
    series: Option<(Hash, u64)>,
}

/// What is decided about a record. Closed.
enum Decision {
    /// It gets this place.
    Append { index: LeafIndex, logged: Logged },
    /// It is not logged now.
    Reject(Outcome, AnswerBasis),
}

/// What an answer rests on. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerBasis {
    /// Only what was written before: it can be given at once.
    Log,
    /// Also what is in the batch, and not written yet.
    Batch,
}

/// What is known of a record before its batch is written.
enum Judged {
    /// It is this entry of the batch.
    Entry(usize),
    /// It will not be logged.
    Answered(Outcome),
}

impl OpenBatch {
    fn new(charter: Arc<Charter>) -> OpenBatch {
        OpenBatch {
            charter,
            plan: None,
            entries: Vec::new(),
            placed: Vec::new(),
            statements: HashMap::new(),
            ids: HashMap::new(),
            revisions: HashMap::new(),
            replies: Vec::new(),
            permits: Vec::new(),
            refused: 0,
        }
    }
}

impl Sequencer {
    /// Takes over a recovered log. Nothing is signed or written before [`Sequencer::resume`].
    ///
    /// # Errors
    /// [`PublisherError`] when nothing could be published, or the previous key is not the log's.
    pub fn open(
        parts: SequencerParts,
        recovered: Recovered,
        origin: Origin,
    ) -> Result<Sequencer, PublisherError> {
        let log_key = parts.log_key.verifier();
        check_previous(&recovered.charter, log_key, parts.previous_log_key.as_ref())?;
        let last = Arc::new(parts.publisher.plan(&recovered.charter, log_key)?);
        let handover = Handover::begin(recovered.edge.size(), recovered.before, &last);
        let plan = match &handover {
            Some(handover) => parts.publisher.after(&last, handover.before.clone()),
            None => last,
        };
        if let Some(published) = &recovered.published {
            parts.publisher.resume(published, &plan);
        }
        Ok(Sequencer {
            reader: Arc::clone(parts.publisher.reader()),
            jumps: JumpGuard::new(parts.clock.as_ref()),
            parts,
            origin,
            edge: recovered.edge,
            charter: watch::Sender::new(recovered.charter),
            last_time: recovered.last.time,
            head: recovered.head,
            plan,
            handover,
            resumed: false,
        })
    }

    /// Takes over a recovered log, and signs the head of what the journal holds.
    ///
    /// # Errors
    /// [`SequencerError`].
    pub fn start(
        parts: SequencerParts,
        recovered: Recovered,
        origin: Origin,
    ) -> Result<Sequencer, SequencerError> {
        let mut sequencer = Sequencer::open(parts, recovered, origin)?;
        sequencer.resume()?;
        Ok(sequencer)
    }

    /// Signs the head of what the journal holds, if it was not promised before the last stop, and
    /// hands it to the publisher. Whoever has witnesses asks them first: see
    /// [`confirm`](crate::publisher::confirm).
    ///
    /// # Errors
    /// [`SequencerError`].
    pub fn resume(&mut self) -> Result<(), SequencerError> {
        if !self.resumed {
            let charter = Arc::clone(&self.charter.borrow());
            self.promise_and_publish(&charter)?;
            self.resumed = true;
        }
        Ok(())
    }

    /// The head that witnesses are asked about before anything is signed: the one promised last,
    /// signed by the present key. Where the state is lost, it is that of all stored entries, which
    /// are durable and whose order is fixed.
    pub fn promised(&self) -> ClaimedCheckpoint {
        match &self.head {
            Some(head) if self.is_own(head) => head.clone(),
            head => {
                // the same head, so nothing new is said
                let head = head.as_ref().map(|head| *head.checkpoint().head());
                let head = head.unwrap_or_else(|| self.edge.head());
                Checkpoint::new(self.origin.clone(), head).sign(&self.parts.log_key)
            }
        }
    }

    /// How heads are published.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// The log's name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What readers see, now and later.
    pub fn published(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.parts.publisher.published()
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
        let length = |pending: &Pending| pending.record.record().as_bytes().len();
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let Some(first) = queue.blocking_recv() else { break };
                waiting.push_back(first);
            }
            let mut bytes: usize = waiting.iter().map(length).sum();
            while waiting.len() < MAX_BATCH_RECORDS && bytes < MAX_BATCH_BYTES {
                let Ok(next) = queue.try_recv() else { break };
                bytes += length(&next);
                waiting.push_back(next);
            }
            self.log_batch(&mut waiting)?;
        }
        self.parts.index.flush()?;
        Ok(())
    }

    /// Logs these records, in one batch unless they take too long to judge.
    ///
    /// # Errors
    /// [`SequencerError`]; then no record that was not refused was answered.
    pub fn step(&mut self, batch: Vec<Pending>) -> Result<(), SequencerError> {
        let mut waiting = VecDeque::from(batch);
        while !waiting.is_empty() {
            self.log_batch(&mut waiting)?;
        }
        Ok(())
    }

    /// Logs one batch of those that wait: judges each record at its final place, then journal,
    /// tiles, index, head, and only then the answers. The checkpoint follows by itself, where
    /// cosignatures are needed. What rests on nothing in the batch is answered at once.
    fn log_batch(&mut self, waiting: &mut VecDeque<Pending>) -> Result<(), SequencerError> {
        let began = Instant::now();
        self.check()?;
        let time = self.parts.clock.now().max(self.last_time);
        let mut draft = OpenBatch::new(Arc::clone(&self.charter.borrow()));
        take_until(waiting, began + MAX_BATCH_TIME, |next| self.place(&mut draft, next, time))?;
        let first = self.edge.size();
        let mut leaves = Vec::new();
        if !draft.entries.is_empty() {
            leaves = self.write(&draft)?;
            self.last_time = time;
            if let Some(plan) = draft.plan.take() {
                self.hand_over(plan);
            }
            self.promise_and_publish(&draft.charter)?;
            if !Arc::ptr_eq(&draft.charter, &self.charter.borrow()) {
                self.charter.send_replace(Arc::clone(&draft.charter));
            }
        }
        let (logged, answered) = (draft.entries.len(), draft.replies.len());
        drop(draft.permits);
        for (reply, judged) in draft.replies {
            let outcome = match judged {
                Judged::Entry(at) => {
                    let Placed { index, logged, statement, .. } = draft.placed[at];
                    Outcome::Logged(LoggedAt { index, logged, leaf: leaves[at], statement })
                }
                Judged::Answered(outcome) => outcome,
            };
            // whoever asked may have gone
            let _ = reply.send(outcome);
        }
        let elapsed_us = began.elapsed().as_micros() as u64;
        let refused = draft.refused;
        tracing::debug!(first = first.get(), logged, answered, refused, elapsed_us, "batch");
        Ok(())
    }

    /// Whether anything more may be signed.
    fn check(&self) -> Result<(), SequencerError> {
        if let Some(trouble) = &*self.parts.publisher.trouble().borrow() {
            return Err(SequencerError::Publish(Arc::clone(trouble)));
        }
        Ok(self.jumps.check(self.parts.clock.as_ref()).map_err(PublishError::Clock)?)
    }

    /// Judges a record at the next free place, in the final order and at the final time.
    fn place(
        &self,
        draft: &mut OpenBatch,
        pending: Pending,
        time: u64,
    ) -> Result<(), SequencerError> {
        let Pending { record, last, reply, room } = pending;
        let judged = match self.judge(draft, &record, last, time)? {
            Decision::Reject(outcome, AnswerBasis::Log) => {
                draft.refused += 1;
                // the caller may have gone
                let _ = reply.send(outcome);
                return Ok(());
            }
            Decision::Reject(outcome, AnswerBasis::Batch) => Judged::Answered(outcome),
            Decision::Append { index, logged } => {
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
        draft.permits.extend(room);
        draft.replies.push((reply, judged));
        Ok(())
    }

    fn judge(
        &self,
        draft: &mut OpenBatch,
        record: &SignedRecord,
        last: Option<LastRevision>,
        time: u64,
    ) -> Result<Decision, SequencerError> {
        if let Some(rejected) = self.check_logged(draft, record)? {
            return Ok(rejected);
        }
        if let Some(rejected) = self.check_revision(draft, record, last)? {
            return Ok(rejected);
        }
        // a charter that an entry of the batch changed is not in force before it is written
        let same = Arc::ptr_eq(&draft.charter, &self.charter.borrow());
        let basis = if same { AnswerBasis::Log } else { AnswerBasis::Batch };
        let refused = |refusal, basis| Ok(Decision::Reject(Outcome::Refused(refusal), basis));
        let size = self.edge.size().checked_add(draft.entries.len() as u64);
        let Some(index) = size.and_then(TreeSize::next_index) else {
            return refused(Refusal::LogFull, AnswerBasis::Batch);
        };
        let logged = Logged { time, governance: draft.charter.governance_index() };
        match draft.charter.admit(record, &logged, index) {
            Ok(Change::Governance(next)) => {
                let (publisher, key) = (&self.parts.publisher, self.parts.log_key.verifier());
                // what leaves the policy as it is stops nothing that is not stopped already
                let plan = match draft.charter.policy_text() == next.policy_text() {
                    true => publisher.plan(&next, key),
                    false => publisher.plan_change(&next, key),
                };
                match plan {
                    Ok(plan) => {
                        if let Some(together) = self.crowded(&plan) {
                            return refused(Refusal::PoliciesPending(together), basis);
                        }
                        draft.plan = Some(plan);
                    }
                    Err(error) => return refused(Refusal::Unpublishable(error), basis),
                }
                draft.charter = Arc::from(next);
                Ok(Decision::Append { index, logged })
            }
            Ok(_) => Ok(Decision::Append { index, logged }),
            Err(rejection) => refused(rejection.into(), basis),
        }
    }

    /// Whether the statement, or another one of the same issuer and id, is logged.
    fn check_logged(
        &self,
        draft: &OpenBatch,
        record: &SignedRecord,
    ) -> Result<Option<Decision>, SequencerError> {
        let (statement, unique) =
            (record.record().statement(), record.record().envelope().unique_key());
        let duplicate = |at| Outcome::Duplicate(Duplicate::new(at, record.record()));
        if let Some(at) = draft.statements.get(&statement) {
            return Ok(Some(Decision::Reject(duplicate(*at), AnswerBasis::Batch)));
        }
        if let Some(at) = self.find(&Key::Statement(statement))? {
            return Ok(Some(Decision::Reject(duplicate(at), AnswerBasis::Log)));
        }
        let taken = |at| Outcome::Refused(Refusal::IdTaken(at));
        if let Some(at) = draft.ids.get(&unique) {
            return Ok(Some(Decision::Reject(taken(*at), AnswerBasis::Batch)));
        }
        let found = self.find(&Key::IssuerAndId(unique))?;
        Ok(found.map(|at| Decision::Reject(taken(at), AnswerBasis::Log)))
    }

    /// How many different witnesses a plan has together with the policies that readers have not
    /// left behind yet, where a checkpoint has no room for them.
    fn crowded(&self, plan: &Plan) -> Option<usize> {
        let seen = self.parts.publisher.published().borrow().as_ref().map(|seen| seen.size());
        let pending = self.handover.iter().filter(|own| seen.is_none_or(|size| size < own.from));
        let before = pending.flat_map(|own| &own.before).chain([self.plan.policy()]).cloned();
        let together = self.parts.publisher.after(plan, before).len();
        (together > MAX_POLICY_WITNESSES).then_some(together)
    }

    /// Revisions of an issuer's series follow one another from 1.
    fn check_revision(
        &self,
        draft: &OpenBatch,
        record: &SignedRecord,
        known: Option<LastRevision>,
    ) -> Result<Option<Decision>, SequencerError> {
        let Some((key, found)) = revision(record.record().envelope()) else { return Ok(None) };
        let (last, basis) = match draft.revisions.get(&key) {
            Some(last) => (Some(*last), AnswerBasis::Batch),
            None => {
                let (index, size) = (&self.parts.index, self.edge.size());
                let last = last_revision(index, &self.reader, size, key, known)?;
                (last.map(|last| last.number), AnswerBasis::Log)
            }
        };
        let expected = last.unwrap_or(0).saturating_add(1);
        let refused = Outcome::Refused(Refusal::Revision { expected, found });
        Ok((found != expected).then_some(Decision::Reject(refused, basis)))
    }

    fn find(&self, key: &Key) -> Result<Option<LeafIndex>, SequencerError> {
        Ok(find_entry(&self.parts.index, &self.reader, self.edge.size(), key)?)
    }

    /// Makes the entries durable, and gives their leaf hashes.
    fn write(&mut self, draft: &OpenBatch) -> Result<Vec<Hash>, SequencerError> {
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

    /// Publishes under another plan from the head on that is signed next.
    fn hand_over(&mut self, plan: Plan) {
        let pending = self.handover.take().map(|handover| handover.before);
        let before = pending.into_iter().flatten().chain([self.plan.policy().clone()]).collect();
        let plan = Arc::new(plan);
        self.handover = Handover::begin(self.edge.size(), before, &plan);
        self.plan = match &self.handover {
            Some(handover) => self.parts.publisher.after(&plan, handover.before.clone()),
            None => plan,
        };
    }

    /// Signs the head of the edge, where this charter is in force, promises it, and hands it to the
    /// publisher, in this order.
    fn promise_and_publish(&mut self, charter: &Charter) -> Result<(), SequencerError> {
        let seen = self.parts.publisher.published().borrow().as_ref().map(|seen| seen.size());
        if let Some(done) = self.handover.take_if(|change| seen.is_some_and(|s| s >= change.from)) {
            self.plan = done.then;
        }
        let head = self.edge.head();
        // a head that an earlier key of the log promised is signed again with the present one
        let promised = self.head.as_ref().filter(|head| self.is_own(head));
        let promised = promised.map(|claimed| *claimed.checkpoint().head());
        if promised != Some(head) {
            let new = Checkpoint::new(self.origin.clone(), head);
            let new = match self.bridge(charter) {
                Some(previous) => sign_both(&new, &self.parts.log_key, previous),
                None => new.sign(&self.parts.log_key),
            };
            let old = self.head.as_ref().map(ToString::to_string);
            let swap = HeadSwap { old: old.as_deref(), new: &new.to_string() };
            self.parts.store.swap_head(swap)?;
            self.head = Some(new);
        }
        let Some(head) = self.head.clone() else { return Ok(()) };
        Ok(self.parts.publisher.take(Signed { head, plan: Arc::clone(&self.plan) })?)
    }

    /// The retired key, if the head of the edge is the first over its retirement. Whoever forks the
    /// log across the change then contradicts this head by one key, and not by two of which one may
    /// be a thief's.
    fn bridge(&self, charter: &Charter) -> Option<&SignerKey> {
        let previous = self.parts.previous_log_key.as_ref()?;
        let mut retired = charter.retired_log_keys().iter();
        let at = retired.find(|own| own.key() == previous.verifier())?.at();
        let promised = self.head.as_ref()?.checkpoint().head().size;
        // the cosignatures of all witnesses must have room beside two lines
        let has_room = self.plan.len() + 2 <= MAX_SIGNATURES;
        (!promised.contains(at) && has_room).then_some(previous)
    }

    fn is_own(&self, head: &ClaimedCheckpoint) -> bool {
        let own = self.parts.log_key.verifier();
        head.note().signatures().iter().any(|line| line.is_by(own))
    }
}

fn sign_both(head: &Checkpoint, key: &SignerKey, previous: &SignerKey) -> ClaimedCheckpoint {
    tracing::info!(key = %previous.verifier(), "the retired key has signed for the last time");
    let line = previous.sign_text(&head.to_string());
    head.sign(key).with_signatures([line]).expect("a note has room for two lines")
}

/// The previous key must be one of the log's: anything else is a slip.
fn check_previous(
    charter: &Charter,
    log_key: &VerifierKey,
    previous: Option<&SignerKey>,
) -> Result<(), PublisherError> {
    let Some(previous) = previous.map(SignerKey::verifier) else { return Ok(()) };
    let retired = charter.retired_log_keys().iter().map(RetiredLogKey::key);
    let mut others = charter.log_keys().iter().chain(retired).filter(|own| *own != log_key);
    let is_other = others.any(|own| own == previous);
    if is_other { Ok(()) } else { Err(PublisherError::NotPrevious(previous.to_string())) }
}

impl From<FindError> for SequencerError {
    fn from(error: FindError) -> SequencerError {
        match error {
            FindError::Index(error) => error.into(),
            FindError::Read(error) => error.into(),
        }
    }
}

/// Takes what waits one after another, the first in any case and the others until a moment.
fn take_until<T, E>(
    waiting: &mut VecDeque<T>,
    until: Instant,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    while let Some(next) = waiting.pop_front() {
        take(next)?;
        if Instant::now() >= until {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_whose_time_is_up_leaves_the_rest_to_the_next() {
        let now = Instant::now();
        for (until, taken) in [(now, 1), (now + Duration::from_secs(3_600), 3)] {
            let mut waiting = VecDeque::from([1, 2, 3]);
            let mut judged = Vec::new();
            let take = |n| -> Result<(), SequencerError> {
                judged.push(n);
                Ok(())
            };
            take_until(&mut waiting, until, take).expect("nothing fails");
            assert_eq!((judged.len(), waiting.len()), (taken, 3 - taken));
            assert!(judged.iter().chain(&waiting).eq(&[1, 2, 3]), "none is lost or overtaken");
        }
    }
}
