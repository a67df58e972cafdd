//! Records that are refused cost the only writer nothing that keeps others waiting.

use std::sync::Arc;

use ledger_core::batch::Edge;
use ledger_core::checkpoint::Origin;
use ledger_core::record::{Entry, Logged, Record, StatementId};
use ledger_core::{Hash, LeafIndex, TreeSize};
use ledger_node::admission::{Admission, Admitted, Verified};
use ledger_node::clock::ManualClock;
use ledger_node::index::{EntryKeys, Index, Key};
use ledger_node::log::LogReader;
use ledger_node::lookup::{find_entry, find_id, last_revision};
use ledger_node::publisher::{Contacts, Publisher};
use ledger_node::recovery::recover;
use ledger_node::refusal::Refusal;
use ledger_node::sequencer::{Outcome as Sequenced, Pending, Sequencer, SequencerParts};
use ledger_node::store::Store;
use ledger_node::store::memory::MemoryStore;
use ledger_proto::v1::submit_stream_response::Outcome;
use ledger_proto::v1::{self as wire};
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::counting::{CountingStore, Reads};
use ledger_tests::process::NodeProcess;
use ledger_tests::usage::read_bytes;
use tokio::sync::oneshot;
use tonic::Code;

use crate::process::Founded;

/// Records of the log: some twenty bundles.
const LOGGED: u64 = 20 * 256;

/// Records that are refused: 2 MB of them.
const REFUSED: u64 = 3_450;

fn submit(record: &Record) -> wire::SubmitRequest {
    wire::SubmitRequest { record: record.to_bytes().into(), wait: wire::Wait::Unspecified.into() }
}

/// Streams records to a node; gives how many were logged, and the codes of the others.
async fn stream(node: &NodeProcess, requests: Vec<wire::SubmitRequest>) -> (u64, Vec<Code>) {
    let mut client = node.client().await;
    let answers = client.submit_stream(tokio_stream::iter(requests)).await.expect("a stream");
    let mut answers = answers.into_inner();
    let (mut logged, mut refused) = (0, Vec::new());
    while let Some(answer) = answers.message().await.expect("no error") {
        match answer.outcome.expect("an outcome") {
            Outcome::Logged(_) => logged += 1,
            Outcome::Refused(refusal) => refused.push(Code::from(refusal.code)),
        }
    }
    (logged, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_goes_on_while_thousands_of_records_with_used_ids_are_refused() {
    let founded = Founded::new();
    let consortium = &founded.consortium;
    let node = NodeProcess::serve(&founded.dir());
    let records = (0..LOGGED).map(|n| submit(&consortium.incident(n))).collect();
    assert_eq!(stream(&node, records).await, (LOGGED, Vec::new()));
    node.terminate();

    // what was read and remembered went with the process
    let node = NodeProcess::serve(&founded.dir());
    // neighbours are in other bundles
    let used = (0..REFUSED).map(|n| submit(&other(consortium, n * 257 % LOGGED))).collect();
    let new: Vec<_> = (LOGGED..LOGGED + 100).map(|n| submit(&consortium.incident(n))).collect();
    let before = read_bytes(node.id());
    let (refused, logged) = tokio::join!(stream(&node, used), stream(&node, new));
    assert_eq!(logged, (100, Vec::new()));
    assert_eq!(refused, (0, vec![Code::AlreadyExists; REFUSED as usize]));
    // an entry has a kilobyte, a bundle 256 of them
    let read = read_bytes(node.id()) - before;
    assert!(read < REFUSED * (16 << 10), "{REFUSED} refused records cost {read} bytes read");
}

/// Another record of the issuer and id of the `n`-th incident.
fn other(consortium: &Consortium, n: u64) -> Record {
    let text = consortium.incident_json(n).replace("near_miss", "incident");
    consortium.signed(&text, &[&consortium.lab])
}

/// The `rev`-th revision of an incident.
fn revision(consortium: &Consortium, n: u64, rev: u64) -> Record {
    let text = consortium.incident_json(n);
    let series = format!("{{\"series\":\"cases\",\"rev\":{rev},");
    consortium.signed(&text.replacen('{', &series, 1), &[&consortium.lab])
}

/// A log in memory that counts what is read of it.
struct Log {
    consortium: Consortium,
    store: Arc<CountingStore>,
    index: tempfile::TempDir,
}

impl Log {
    fn found() -> Log {
        let consortium = Consortium::at(1_800_000_000);
        let store = MemoryStore::new(4);
        let logged = Logged { time: consortium.time, governance: LeafIndex::ZERO };
        let entry = Entry::new(logged, consortium.charter());
        store.append(&Edge::new().head(), &[entry.to_bytes()]).expect("no fault is set");
        let store = Arc::new(CountingStore::new(store));
        Log { consortium, store, index: tempfile::tempdir().expect("a folder") }
    }

    /// Opens the log as a node does at its start.
    fn open(&self) -> (Sequencer, Arc<Index>) {
        let store: Arc<dyn Store> = self.store.clone();
        let index = Arc::new(Index::open(self.index.path()).expect("an index"));
        let log_key = self.consortium.log.clone();
        let recovered = recover(&store, &index, &log_key).expect("a whole log");
        let publisher = Arc::new(Publisher::new(Arc::clone(&store), Contacts::default()));
        let clock = Arc::new(ManualClock::at(self.consortium.time));
        let (shared, previous_log_key) = (Arc::clone(&index), None);
        let parts =
            SequencerParts { store, index: shared, log_key, previous_log_key, publisher, clock };
        let origin = Origin::new(ORIGIN).expect("an origin");
        let sequencer = Sequencer::start(parts, recovered, origin).expect("healthy");
        self.store.reset();
        (sequencer, index)
    }
}

/// What the sequencer makes of records that came past admission.
fn sequence(sequencer: &mut Sequencer, records: Vec<Record>) -> Vec<Sequenced> {
    let charter = Arc::clone(&sequencer.charter().borrow());
    let verify = |record| charter.verify(record).expect("signed by a member");
    let verified =
        records.into_iter().map(|record| Verified { record: verify(record), last: None });
    sequence_admitted(sequencer, verified.collect())
}

/// The same of records that admission gave.
fn sequence_admitted(sequencer: &mut Sequencer, records: Vec<Verified>) -> Vec<Sequenced> {
    let pending = records.into_iter().map(|Verified { record, last }| {
        let (reply, answer) = oneshot::channel();
        (Pending { record, last, reply, room: None }, answer)
    });
    let (batch, mut answers): (Vec<_>, Vec<_>) = pending.unzip();
    sequencer.step(batch).expect("healthy");
    answers.iter_mut().map(|answer| answer.try_recv().expect("answered")).collect()
}

#[test]
fn refused_records_cost_the_writer_no_bundle() {
    const RECORDS: u64 = 600;
    let log = Log::found();
    let (mut sequencer, index) = log.open();
    let records: Vec<_> = (0..RECORDS).map(|n| log.consortium.incident(n)).collect();
    let logged = sequence(&mut sequencer, records.clone());
    assert!(logged.iter().all(|outcome| matches!(outcome, Sequenced::Logged(_))));
    let used: Vec<_> = (0..REFUSED).map(|n| other(&log.consortium, n % RECORDS)).collect();
    let refuse = |sequencer: &mut Sequencer| {
        log.store.reset();
        for (n, outcome) in (0..REFUSED).zip(sequence(sequencer, used.clone())) {
            let at = LeafIndex::new(1 + n % RECORDS).expect("small");
            assert_eq!(outcome, Sequenced::Refused(Refusal::IdTaken(at)));
        }
        log.store.bundles()
    };
    assert_eq!(refuse(&mut sequencer), Reads::default(), "it knows what it logged");

    index.flush().expect("healthy");
    drop((sequencer, index));
    let (mut sequencer, index) = log.open();
    let read = refuse(&mut sequencer);
    assert_eq!(read.whole, 0);
    assert!(read.parts <= RECORDS + 100, "each entry once, and where they stand: {read:?}");
    assert_eq!(refuse(&mut sequencer), Reads::default(), "it knows what it read");
    let again = sequence(&mut sequencer, records);
    assert!(again.iter().all(|outcome| matches!(outcome, Sequenced::Duplicate(_))));
    drop(index);
}

#[test]
fn what_the_log_rules_out_is_refused_before_the_queue() {
    let log = Log::found();
    let (mut sequencer, index) = log.open();
    let of = &log.consortium;
    let records = vec![of.incident(0), revision(of, 1, 1), revision(of, 2, 2), revision(of, 3, 3)];
    let logged = sequence(&mut sequencer, records);
    assert!(logged.iter().all(|outcome| matches!(outcome, Sequenced::Logged(_))), "{logged:?}");
    let first = LeafIndex::new(1).expect("small");
    let check = |admission: &Admission| {
        let refusal = |record: Record| admission.check(record.as_bytes()).expect_err("used");
        assert_eq!(refusal(other(of, 0)), Refusal::IdTaken(first));
        for found in 1..=3 {
            let expected = Refusal::Revision { expected: 4, found };
            assert_eq!(refusal(revision(of, 10 + found, found)), expected);
        }
        // the writer alone knows which come before these
        for later in 4..=6 {
            let later = admission.check(revision(of, 20 + later, later).as_bytes());
            assert!(matches!(later, Ok(Admitted::Verified(_))), "{later:?}");
        }
        let duplicate = admission.check(of.incident(0).as_bytes());
        assert!(matches!(duplicate, Ok(Admitted::Duplicate(at)) if at.index == first));
        log.store.bundles()
    };
    log.store.reset();
    let (charter, reader) = (sequencer.charter(), sequencer.reader());
    let admission = |published, index: &Arc<Index>| {
        Admission::new(charter.clone(), Arc::clone(index), Arc::clone(&reader), published).0
    };
    assert_eq!(check(&admission(sequencer.published(), &index)), Reads::default());
    // no less while nothing is published: the quorum may be away for long
    let unpublished = tokio::sync::watch::channel(None).1;
    assert_eq!(check(&admission(unpublished, &index)), Reads::default());

    index.flush().expect("healthy");
    drop((admission, sequencer, index));
    let (sequencer, index) = log.open();
    let (charter, reader) = (sequencer.charter(), sequencer.reader());
    let admission = Admission::new(charter, index, reader, sequencer.published()).0;
    let read = check(&admission);
    assert_eq!(read.whole, 0);
    assert!((2..=5).contains(&read.parts), "an entry for the id, and one for the series: {read:?}");
}

#[test]
fn refused_revisions_cost_the_writer_no_bundle() {
    /// More series than there are entries that were read and are remembered.
    const SERIES: u64 = 6_000;
    let log = Log::found();
    let (mut sequencer, index) = log.open();
    let of = &log.consortium;
    let named = |n: u64, series: u64, rev| {
        let text = of.incident_json(n);
        let head = format!("{{\"series\":\"case-{series}\",\"rev\":{rev},");
        of.signed(&text.replacen('{', &head, 1), &[&of.lab])
    };
    let first = (0..SERIES).map(|n| named(n, n, 1)).collect();
    let logged = sequence(&mut sequencer, first);
    assert!(
        logged.iter().all(|outcome| matches!(outcome, Sequenced::Logged(_))),
        "{:?}",
        logged[0]
    );
    index.flush().expect("healthy");
    drop((sequencer, index));

    let (mut sequencer, index) = log.open();
    let (charter, reader) = (sequencer.charter(), sequencer.reader());
    let admission = Admission::new(charter, Arc::clone(&index), reader, sequencer.published()).0;
    let later: Vec<_> = (0..SERIES).map(|n| named(SERIES + n, n, 3)).collect();
    let mut admitted = Vec::new();
    for record in &later {
        match admission.check(record.as_bytes()) {
            Ok(Admitted::Verified(verified)) => admitted.push(*verified),
            other => panic!("{other:?}"),
        }
    }
    log.store.reset();
    let outcomes = sequence_admitted(&mut sequencer, admitted);
    for outcome in outcomes {
        let expected = Refusal::Revision { expected: 2, found: 3 };
        assert_eq!(outcome, Sequenced::Refused(expected));
    }
    assert_eq!(log.store.bundles(), Reads::default(), "what admission read is known");
    drop(index);
}

/// A digest with the same row in the index.
fn twin(hash: &Hash) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[31] ^= 1;
    Hash::from_bytes(bytes)
}

#[test]
fn of_two_entries_that_share_an_index_row_the_right_one_is_found() {
    let consortium = Consortium::at(1_800_000_000);
    let logged = Logged { time: consortium.time, governance: LeafIndex::ZERO };
    let entry = |n| Entry::new(logged, revision(&consortium, n, n)).to_bytes();
    let entries = [entry(1), entry(2)];
    let batch = Edge::new().append(&entries).expect("room");
    let store = Arc::new(MemoryStore::new(3));
    for (coord, bytes) in &batch.tiles {
        store.put(*coord, bytes).expect("healthy");
    }
    let (reader, size) = (LogReader::new(store), batch.head.size);
    let wanted = EntryKeys::of(&entries[1]).expect("an entry");
    let (series, rev) = wanted.series.expect("it is one of a series");
    // as if the first entry had digests with the same beginnings
    let first = EntryKeys {
        statement: StatementId::from_hash(twin(wanted.statement.as_hash())),
        issuer_and_id: twin(&wanted.issuer_and_id),
        leaf: twin(&wanted.leaf),
        series: Some((twin(&series), rev)),
    };
    let at = LeafIndex::new(1).expect("small");
    let check = |index: &Index| {
        let (statement, id) = (Key::Statement(wanted.statement), wanted.issuer_and_id);
        for key in [statement, Key::IssuerAndId(id), Key::Leaf(wanted.leaf)] {
            assert_eq!(index.candidates(&key).expect("healthy"), [0, 1], "{key:?}");
            assert_eq!(find_entry(index, &reader, size, &key).expect("healthy"), Some(at));
        }
        let found = find_id(index, &reader, size, id).expect("healthy");
        assert_eq!(found, Some((at, wanted)));
        assert_eq!(
            last_revision(index, &reader, size, series, None)
                .expect("healthy")
                .map(|last| last.number),
            Some(rev)
        );
        // nothing beyond the size counts
        let one = TreeSize::new(1).expect("small");
        assert_eq!(find_entry(index, &reader, one, &statement).expect("healthy"), None);
    };
    let dir = tempfile::tempdir().expect("a folder");
    let index = Index::open(dir.path()).expect("new");
    index.insert(&[first, wanted]).expect("healthy");
    check(&index);
    index.flush().expect("healthy");
    drop(index);
    // the entries themselves are read now
    check(&Index::open(dir.path()).expect("its own"));
}
