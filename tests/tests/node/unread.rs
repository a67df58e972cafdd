//! What answers cost a node: the memory that they hold while their callers do not read them, and
//! the files that are read for them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use ledger_core::Hash;
use ledger_core::authority::MAX_BUNDLE_BYTES;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Record, RecordId, format_time};
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire, get_inclusion_proof_request::Leaf};
use ledger_tests::consortium::Consortium;
use ledger_tests::process::NodeProcess;
use ledger_tests::usage::{forget_peak, peak_bytes, read_bytes};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::process::{Founded, submit};

/// Entries of the log, the charter among them: two full bundles, and one entry of the next.
const ENTRIES: u64 = 513;

/// The first entry of the second bundle, of which a node reads nothing at its start.
const FIRST: u64 = 256;

/// Bytes of a record: 256 of them make a bundle of 15 MiB.
const LONG: usize = 60_000;

/// More than the node takes at its start, and far less than the answers have together.
const MARGIN: u64 = 64 << 20;

const PATIENCE: Duration = Duration::from_secs(30);

/// A log whose first bundle is large, served by a process that has read nothing of it yet.
async fn large_log() -> (Founded, NodeProcess) {
    let founded = Founded::new();
    let node = NodeProcess::serve(&founded.dir());
    let records: Vec<_> = (1..ENTRIES).map(|n| founded.consortium.long_incident(n, LONG)).collect();
    let requests: Vec<_> = records.iter().map(submit).collect();
    let answers = node.client().await.submit_stream(tokio_stream::iter(requests)).await;
    let mut answers = answers.expect("a stream").into_inner();
    let mut logged = 1;
    while let Some(answer) = answers.message().await.expect("no error") {
        assert!(matches!(answer.outcome, Some(wire::submit_stream_response::Outcome::Logged(_))));
        logged += 1;
    }
    assert_eq!(logged, ENTRIES);
    drop(answers);
    node.terminate();
    let node = NodeProcess::serve(&founded.dir());
    (founded, node)
}

fn ask(node: &NodeProcess, path: &str, headers: &str) -> TcpStream {
    let address = node.http.strip_prefix("http://").expect("a URL");
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut first = [0; 12];
    socket.read_exact(&mut first).expect("the answer begins");
    assert_eq!(&first, b"HTTP/1.1 200", "{path}");
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_callers_do_not_read_hold_little_memory() {
    const CALLERS: usize = 70;
    let (founded, node) = large_log().await;
    let before = peak_bytes(node.id()).expect("it runs");
    for headers in ["", "accept-encoding: gzip\r\n"] {
        let mut held: Vec<TcpStream> =
            (0..CALLERS).map(|_| ask(&node, "/tile/entries/001", headers)).collect();
        let grown = peak_bytes(node.id()).expect("it runs") - before;
        assert!(grown < MARGIN, "{CALLERS} callers hold {} MiB", grown >> 20);
        // who reads on gets all of it
        let mut rest = Vec::new();
        held[0].read_to_end(&mut rest).expect("the rest");
        let file = std::fs::read(founded.dir().join("site/tile/entries/001")).expect("a bundle");
        if headers.is_empty() {
            assert!(rest.ends_with(&file), "{} of {} bytes", rest.len(), file.len());
        }
    }
}

async fn prove(
    mut client: LedgerClient<Channel>,
    leaf: Leaf,
    tree_size: Option<u64>,
) -> wire::GetInclusionProofResponse {
    let request = wire::GetInclusionProofRequest { leaf: Some(leaf), tree_size };
    client.get_inclusion_proof(request).await.expect("a proof").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_proofs_at_once_read_and_hold_no_bundles() {
    const CALLERS: u64 = 200;
    let (_founded, node) = large_log().await;
    let client = node.client().await;
    // whoever asks about a size needs no entry, only tiles; each caller another leaf
    let (memory, read) = (peak_bytes(node.id()).expect("it runs"), read_bytes(node.id()));
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        callers.spawn(prove(client.clone(), Leaf::Index(FIRST + n), Some(ENTRIES)));
    }
    let proofs = callers.join_all().await;
    assert_eq!(proofs.len() as u64, CALLERS);
    let read = read_bytes(node.id()) - read;
    assert!(read < 1 << 20, "{CALLERS} proofs cost {read} bytes read");
    let by_hash = Leaf::LeafHash(proofs[0].leaf_hash.clone());
    assert_eq!(prove(client.clone(), by_hash, Some(ENTRIES)).await.index, proofs[0].index);

    // a proof file holds the line of its entry, so that one entry is read
    let before = read_bytes(node.id());
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        callers.spawn(prove(client.clone(), Leaf::Index(FIRST + n), None));
    }
    for proof in callers.join_all().await {
        let parsed = TlogProof::parse(&proof.proof).expect("a proof file");
        assert_eq!(parsed.index.get(), proof.index);
        let hash: [u8; 32] = proof.leaf_hash.as_ref().try_into().expect("32 bytes");
        assert_ne!(Hash::from_bytes(hash), Hash::leaf(b""));
    }
    let read = read_bytes(node.id()) - before;
    assert!(read < (CALLERS + 256) * (1 << 16), "{CALLERS} proof files cost {read} bytes read");
    let grown = peak_bytes(node.id()).expect("it runs") - memory;
    assert!(grown < MARGIN, "{CALLERS} proofs took {} MiB", grown >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_read_no_entries_hold_no_bundles() {
    // as many streams as the node allows at once
    const CALLERS: u64 = 60;
    let (_founded, node) = large_log().await;
    let before = peak_bytes(node.id()).expect("it runs");
    let mut clients = Vec::new();
    for _ in 0..CALLERS {
        clients.push(node.client().await);
    }
    let mut callers = JoinSet::new();
    for (start, mut client) in (FIRST..).zip(clients) {
        callers.spawn(async move {
            let request = wire::GetEntriesRequest { start, count: None };
            let mut stream = client.get_entries(request).await.expect("a stream").into_inner();
            let first = stream.message().await.expect("no error").expect("an entry");
            assert_eq!(first.index, start);
            (start + 1, client, stream)
        });
    }
    let mut held = callers.join_all().await;
    let grown = peak_bytes(node.id()).expect("it runs") - before;
    assert!(grown < 2 * MARGIN, "{CALLERS} streams hold {} MiB", grown >> 20);
    let (mut read, _, mut stream) = held.pop().expect("held");
    while let Some(entry) = stream.message().await.expect("no error") {
        assert_eq!(entry.index, read);
        read += 1;
    }
    assert_eq!(read, ENTRIES);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_from_many_networks_that_read_nothing_hold_little_memory() {
    // nearly as many as the node allows at once
    const CALLERS: usize = 440;
    let (_founded, node) = large_log().await;
    for headers in ["", "accept-encoding: gzip\r\n"] {
        forget_peak(node.id());
        let before = peak_bytes(node.id()).expect("it runs");
        let held: Vec<TcpStream> =
            (0..CALLERS).map(|_| ask(&node, "/tile/entries/001", headers)).collect();
        let grown = peak_bytes(node.id()).expect("it runs") - before;
        assert!(grown < MARGIN, "{CALLERS} callers {headers:?} hold {} MiB", grown >> 20);
        drop(held);
    }
}

/// A norm that changes nothing and has a long text, after the record that it names as its base.
fn long_norm(of: &Consortium, base: &Record, n: u64) -> Record {
    let digest = Hash::digest(&n.to_be_bytes());
    let random: [u8; 10] = digest.as_bytes()[..10].try_into().expect("32 bytes");
    let now = format_time(of.time);
    let json = serde_json::json!({
        "kind": "norm", "version": "2", "effective_from": now, "text": "word ".repeat(LONG / 5),
        "log": of.log.verifier().name().as_str(),
        "id": RecordId::from_parts(of.time * 1000, random).to_string(),
        "issuer": "lab.test",
        "issued_at": now,
        "title": {"en": "Another rule"},
        "summary": {"en": "It changes nothing."},
        "base": base.statement().to_string(),
        "changes": [],
    });
    of.signed(&json.to_string(), &[&of.lab, &of.institute])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_governance_that_no_bundle_holds_takes_little_memory_and_is_not_read_again() {
    /// Governance entries of twice the bytes that a bundle may have.
    const NORMS: u64 = 2 * MAX_BUNDLE_BYTES as u64 / LONG as u64;
    let founded = Founded::new();
    let node = NodeProcess::serve(&founded.dir());
    let mut base = founded.consortium.charter();
    let mut requests = Vec::new();
    for n in 0..NORMS {
        base = long_norm(&founded.consortium, &base, n);
        requests.push(submit(&base));
    }
    let mut client = node.client().await;
    let answers = client.submit_stream(tokio_stream::iter(requests)).await.expect("a stream");
    let mut answers = answers.into_inner();
    while let Some(answer) = answers.message().await.expect("no error") {
        let logged =
            matches!(answer.outcome, Some(wire::submit_stream_response::Outcome::Logged(_)));
        assert!(logged, "{answer:?}");
    }
    forget_peak(node.id());
    let memory = peak_bytes(node.id()).expect("it runs");
    let mut ask = async || {
        let before = read_bytes(node.id());
        let leaf = Some(wire::get_authority_request::Leaf::Index(1));
        let refused = client.get_authority(wire::GetAuthorityRequest { leaf }).await;
        assert_eq!(refused.expect_err("too large").code(), tonic::Code::ResourceExhausted);
        read_bytes(node.id()) - before
    };
    let read = [ask().await, ask().await].map(|bytes| bytes >> 20);
    let grown = (peak_bytes(node.id()).expect("it runs") - memory) >> 20;
    let most = (MAX_BUNDLE_BYTES >> 20) as u64;
    let figures = format!("{read:?} MiB read, {grown} MiB held");
    // all of it, with its proofs, took more than 500 MiB
    assert!(read[1] < most / 4, "{figures}");
    assert!(grown < 10 * most, "{figures}");
}
