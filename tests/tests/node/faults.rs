//! Every write of the sequencer fails in both ways that writes fail: lost, and applied yet reported
//! failed. Whatever happens, after a restart nothing acknowledged is missing, nothing is there
//! twice, and no two signed heads contradict each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger_core::batch::Edge;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::note::VerifierKey;
use ledger_core::record::{Entry, Logged, Record, StatementId};
use ledger_core::{Hash, LeafIndex, TreeSize};
use ledger_node::clock::ManualClock;
use ledger_node::index::Index;
use ledger_node::publisher::{Contacts, Publisher};
use ledger_node::recovery::{RecoveryError, recover};
use ledger_node::sequencer::{
    Duplicate, Outcome, Pending, Sequencer, SequencerError, SequencerParts,
};
use ledger_node::store::memory::{Fault, MemoryStore};
use ledger_node::store::{HeadSwap, Store};
use ledger_tests::consortium::{Consortium, ORIGIN};
use tokio::sync::oneshot;

/// Batches after which the memory store forgets its journal.
const ROTATE_AFTER: usize = 4;

/// A log in memory, with all that its readers have seen.
struct Log {
    consortium: Consortium,
    store: MemoryStore,
    clock: ManualClock,
    index: tempfile::TempDir,
    /// Roots by size, of every head that was promised or published.
    heads: BTreeMap<TreeSize, Hash>,
    acknowledged: Vec<(StatementId, LeafIndex)>,
}

impl Log {
    fn found() -> Log {
        let consortium = Consortium::at(1_800_000_000);
        let store = MemoryStore::new(ROTATE_AFTER);
        let logged = Logged { time: consortium.time, governance: LeafIndex::ZERO };
        let entry = Entry::new(logged, consortium.charter());
        store.append(&Edge::new().head(), &[entry.to_bytes()]).expect("no fault is set");
        Log {
            clock: ManualClock::at(consortium.time),
            consortium,
            store,
            index: tempfile::tempdir().expect("a folder"),
            heads: BTreeMap::new(),
            acknowledged: Vec::new(),
        }
    }

    fn open(&mut self) -> Result<Sequencer, OpenError> {
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        let index = Arc::new(Index::open(self.index.path()).expect("an index"));
        let log_key = self.consortium.log.clone();
        let opened = recover(&store, &index, &log_key).map_err(OpenError::Recovery);
        let opened = opened.and_then(|recovered| {
            let contacts = Contacts::default();
            let publisher = Arc::new(Publisher::new(Arc::clone(&store), contacts));
            let clock = Arc::new(self.clock.clone());
            let previous_log_key = None;
            let parts =
                SequencerParts { store, index, log_key, previous_log_key, publisher, clock };
            let origin = Origin::new(ORIGIN).expect("an origin");
            Sequencer::start(parts, recovered, origin).map_err(|_| OpenError::Start)
        });
        self.look();
        opened
    }

    /// What a reader sees: it must never contradict what readers saw before.
    fn look(&mut self) {
        let seen = [self.store.head(), self.store.published()].map(|text| text.expect("readable"));
        for text in seen.into_iter().flatten() {
            let claimed = ClaimedCheckpoint::parse(text.as_bytes()).expect("a checkpoint");
            let key: VerifierKey = self.consortium.log.verifier().clone();
            let head = *claimed.verify(&[key]).expect("signed by the log").head();
            let before = self.heads.insert(head.size, head.root);
            assert!(before.is_none_or(|root| root == head.root), "two roots at {}", head.size);
        }
    }

    /// Submits records as one batch; returns what the sequencer answered, if it did not fail.
    fn submit(
        &mut self,
        sequencer: &mut Sequencer,
        records: Vec<Record>,
    ) -> Result<Vec<Outcome>, SequencerError> {
        let charter = Arc::clone(&sequencer.charter().borrow());
        let statements: Vec<_> = records.iter().map(Record::statement).collect();
        let (batch, mut answers): (Vec<_>, Vec<_>) = records
            .into_iter()
            .map(|record| {
                let record = charter.verify(record).expect("signed by a member");
                let (reply, answer) = oneshot::channel();
                (Pending { record, last: None, reply, room: None }, answer)
            })
            .unzip();
        let stepped = sequencer.step(batch);
        self.look();
        stepped?;
        let outcomes: Vec<Outcome> =
            answers.iter_mut().map(|answer| answer.try_recv().expect("answered")).collect();
        for (statement, outcome) in statements.into_iter().zip(&outcomes) {
            match outcome {
                Outcome::Logged(place) => self.acknowledged.push((statement, place.index)),
                Outcome::Duplicate(at) => self.acknowledged.push((statement, at.index)),
                Outcome::Refused(refusal) => panic!("{refusal}"),
            }
        }
        Ok(outcomes)
    }

    /// Every acknowledged statement stands once, where the acknowledgement said.
    fn check(&self, sequencer: &Sequencer) {
        let size = sequencer.published().borrow().as_ref().expect("published").size();
        let reader = sequencer.reader();
        let mut places: BTreeMap<StatementId, LeafIndex> = BTreeMap::new();
        let mut time = 0;
        for at in 0..size.get() {
            let at = LeafIndex::new(at).expect("small");
            let bytes = reader.entry(at, size).expect("stored");
            let entry = Entry::parse(&bytes).expect("an entry");
            assert!(entry.logged().time >= time, "time went back at {at}");
            time = entry.logged().time;
            let twice = places.insert(entry.record().statement(), at);
            assert_eq!(twice, None, "{at} is there twice");
        }
        for (statement, index) in &self.acknowledged {
            assert_eq!(places.get(statement), Some(index));
        }
    }
}

#[derive(Debug)]
enum OpenError {
    Recovery(RecoveryError),
    /// The first head of the opened log could not be signed or shown.
    Start,
}

/// Batches of various sizes; some records come twice.
fn batches(consortium: &Consortium) -> Vec<Vec<Record>> {
    let record = |n| consortium.incident(n);
    vec![
        vec![record(0)],
        (1..20).map(record).collect(),
        vec![record(5), record(20), record(20)],
        (21..300).map(record).collect(),
        vec![record(300)],
        vec![record(301)],
    ]
}

#[test]
fn no_failed_write_loses_doubles_or_rewrites_anything() {
    let mut log = Log::found();
    let all = batches(&log.consortium);
    let mut sequencer = log.open().expect("healthy");
    for batch in all.clone() {
        log.submit(&mut sequencer, batch).expect("healthy");
    }
    log.check(&sequencer);
    let writes = log.store.writes();
    assert!(writes > 30, "the store counts writes: {writes}");

    for fault in [Fault::Lost, Fault::Applied] {
        for at in 0..writes {
            fail_and_recover(&all, at, fault);
        }
    }
}

/// Runs into a fault at write `at`, crashes, and goes on until all records are in.
fn fail_and_recover(all: &[Vec<Record>], at: u64, fault: Fault) {
    let mut log = Log::found();
    log.store.fail_after(at, fault);
    let mut sequencer = None;
    let mut next = 0;
    let mut failures = 0;
    while next < all.len() {
        let Some(running) = &mut sequencer else {
            match log.open() {
                Ok(opened) => {
                    log.check(&opened);
                    sequencer = Some(opened);
                }
                Err(OpenError::Recovery(RecoveryError::Store(_)) | OpenError::Start) => {
                    failures += 1;
                    log.store = log.store.crashed();
                }
                Err(OpenError::Recovery(error)) => panic!("write {at} {fault:?}: {error}"),
            }
            continue;
        };
        match log.submit(running, all[next].clone()) {
            Ok(_) => next += 1,
            Err(_) => {
                failures += 1;
                sequencer = None;
                log.store = log.store.crashed();
            }
        }
        assert!(failures <= 1, "write {at} {fault:?}: one fault is one failure");
    }
    log.check(&sequencer.expect("open"));
}

#[test]
fn duplicates_are_answered_with_the_first_place_also_after_a_restart() {
    let mut log = Log::found();
    let (first, second) = (log.consortium.incident(1), log.consortium.incident(2));
    let bytes = first.to_bytes();
    let mut sequencer = log.open().expect("healthy");
    let both = vec![first.clone(), second.clone(), first.clone()];
    let outcomes = log.submit(&mut sequencer, both).expect("healthy");
    let Outcome::Logged(place) = &outcomes[0] else { panic!("{outcomes:?}") };
    let duplicate = Duplicate { index: place.index, submitted: Hash::digest(&bytes) };
    assert_eq!(outcomes[2], Outcome::Duplicate(duplicate));
    drop(sequencer);
    log.store = log.store.crashed();
    let mut sequencer = log.open().expect("healthy");
    let again = log.submit(&mut sequencer, vec![second, first.clone()]).expect("healthy");
    assert_eq!(again[1], Outcome::Duplicate(duplicate));
    assert_eq!(sequencer.published().borrow().as_ref().expect("published").size().get(), 3);
}

#[test]
fn the_logs_time_never_goes_back_with_the_clock() {
    let mut log = Log::found();
    let start = log.consortium.time;
    let mut sequencer = log.open().expect("healthy");
    let mut times = Vec::new();
    for (n, clock) in [(1, start + 50), (2, start - 100), (3, start + 60)] {
        log.clock.set(clock);
        let record = log.consortium.incident(n);
        let outcomes = log.submit(&mut sequencer, vec![record]).expect("healthy");
        let Outcome::Logged(place) = &outcomes[0] else { panic!("{outcomes:?}") };
        times.push(place.logged.time - start);
    }
    assert_eq!(times, [50, 50, 60]);
}

#[test]
fn a_head_that_somebody_else_moved_stops_the_sequencer() {
    let mut log = Log::found();
    let mut sequencer = log.open().expect("healthy");
    let head = log.store.head().expect("readable").expect("promised");
    let other = Log::found();
    let mut other_sequencer = {
        let mut other = other;
        other.clock.set(1_800_000_001);
        let mut sequencer = other.open().expect("healthy");
        let record = other.consortium.incident(9);
        other.submit(&mut sequencer, vec![record]).expect("healthy");
        other.store.head().expect("readable").expect("promised")
    };
    let swap = HeadSwap { old: Some(&head), new: &other_sequencer };
    log.store.swap_head(swap).expect("as believed");
    other_sequencer.clear();
    let record = log.consortium.incident(1);
    let charter = Arc::clone(&sequencer.charter().borrow());
    let (reply, mut answer) = oneshot::channel();
    let record = charter.verify(record).expect("signed");
    let stopped = sequencer.step(vec![Pending { record, last: None, reply, room: None }]);
    assert!(matches!(stopped, Err(SequencerError::Store(_))), "{stopped:?}");
    assert!(answer.try_recv().is_err(), "nothing was acknowledged");
}

#[test]
fn entries_lost_from_under_a_promised_head_are_never_signed_over() {
    let mut log = Log::found();
    let mut sequencer = log.open().expect("healthy");
    for n in 0..3 {
        let record = log.consortium.incident(n);
        log.submit(&mut sequencer, vec![record]).expect("healthy");
    }
    let head = log.store.head().expect("readable");
    // an older journal under the newer promise: a restored backup
    let mut older = Log::found();
    let mut sequencer = older.open().expect("healthy");
    let record = older.consortium.incident(0);
    older.submit(&mut sequencer, vec![record]).expect("healthy");
    let own = older.store.head().expect("readable");
    let swap = HeadSwap { old: own.as_deref(), new: &head.clone().expect("promised") };
    older.store.swap_head(swap).expect("as believed");
    older.heads.clear();
    match older.open() {
        Err(OpenError::Recovery(RecoveryError::EntriesLost { promised, found })) => {
            assert_eq!((promised.get(), found.get()), (4, 2));
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it opened"),
    }
    assert_eq!(older.store.head().expect("readable"), head, "nothing was signed");
}
