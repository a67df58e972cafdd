//! The real process: founded, asked over gRPC and HTTP, stopped, started again.

use ledger_core::proof::TlogProof;
use ledger_core::record::{Entry, Logged};
use ledger_node::store::disk::MIN_SEGMENT_BYTES;
use ledger_proto::v1::{self as wire, submit_stream_response::Outcome};
use ledger_tests::consortium::Consortium;
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::web::agent;
use tempfile::TempDir;

/// A founded log in a folder of its own.
pub struct Founded {
    pub folder: TempDir,
    pub consortium: Consortium,
}

impl Founded {
    pub fn new() -> Founded {
        let folder = tempfile::tempdir().expect("a folder");
        let consortium = Consortium::new();
        let (charter, log_key) = consortium.write_founding(folder.path());
        let dir = folder.path().join("log");
        let arguments = ["init", "--dir", "D", "--charter", "C", "--log-key", "K"];
        let arguments = arguments.map(|argument| match argument {
            "D" => dir.as_os_str(),
            "C" => charter.as_os_str(),
            "K" => log_key.as_os_str(),
            word => word.as_ref(),
        });
        let output = run("ledger-node", &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Founded { folder, consortium }
    }

    /// A log whose journal goes on in a new segment as early as it can.
    pub fn with_small_segments() -> Founded {
        let founded = Founded::new();
        let config = founded.dir().join("config.toml");
        let text = std::fs::read_to_string(&config).expect("written by init");
        let (other, segment) = text.split_once("journal_segment_bytes = ").expect("the setting");
        assert!(segment.ends_with('\n'));
        let text = format!("{other}journal_segment_bytes = {MIN_SEGMENT_BYTES}\n");
        std::fs::write(&config, text).expect("a writable folder");
        // the one that init has prepared is larger
        std::fs::remove_file(founded.dir().join("private/journal/spare"))
            .expect("prepared by init");
        founded
    }

    pub fn dir(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }
}

pub fn submit(record: &ledger_core::record::Record) -> wire::SubmitRequest {
    let wait = wire::Wait::Published.into();
    wire::SubmitRequest { record: record.to_bytes().into(), wait }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_logged_proven_found_and_still_there_after_a_restart() {
    let founded = Founded::new();
    let node = NodeProcess::serve(&founded.dir());
    let mut client = node.client().await;
    let record = founded.consortium.incident(1);
    let answer = client.submit(submit(&record)).await.expect("a lawful record").into_inner();
    assert_eq!(answer.index, 1);
    let proof = TlogProof::parse(&answer.proof).expect("a proof file");
    let logged = std::str::from_utf8(&answer.logged).expect("a line");
    let entry = Entry::new(Logged::parse(logged).expect("a line"), record.clone());
    assert_eq!(proof.extra.as_deref(), Some(answer.logged.as_ref()));
    proof.verify(&entry.leaf_hash(), &founded.consortium.policy()).expect("it proves the entry");

    let key = wire::lookup_request::Key::Statement(answer.statement.clone());
    let found = client.lookup(wire::LookupRequest { key: Some(key) }).await.expect("published");
    assert_eq!(found.into_inner().entry, entry.to_bytes());
    let checkpoint = agent().get(format!("{}/checkpoint", node.http)).call();
    let checkpoint = checkpoint.expect("an answer");
    assert_eq!(checkpoint.status(), 200);
    assert_eq!(checkpoint.headers()["content-type"], "text/plain; charset=utf-8");

    let (code, stderr) = node.terminate();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let node = NodeProcess::serve(&founded.dir());
    let mut client = node.client().await;
    let again = client.submit(submit(&record)).await.expect("no error").into_inner();
    assert_eq!(again.index, 1);
    let duplicate = again.duplicate.expect("it says so");
    assert_eq!(duplicate.record, record.as_bytes());
    assert!(!duplicate.signatures_differ);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_every_record_in_order_and_survives_refusals() {
    let founded = Founded::new();
    let node = NodeProcess::serve(&founded.dir());
    let mut client = node.client().await;
    let consortium = &founded.consortium;
    let mut requests: Vec<wire::SubmitRequest> =
        (0..500).map(|n| submit(&consortium.incident(n))).collect();
    requests[100].record = bytes::Bytes::from_static(b"nonsense");
    requests[200] = submit(&consortium.incident(7));
    let stream = tokio_stream::iter(requests);
    let mut answers = client.submit_stream(stream).await.expect("a stream").into_inner();
    let mut next_index = 1;
    for n in 0..500 {
        let answer = answers.message().await.expect("no error").expect("an answer each");
        match (n, answer.outcome.expect("an outcome")) {
            (100, Outcome::Refused(refusal)) => {
                assert_eq!(refusal.code, i32::from(tonic::Code::InvalidArgument));
                assert!(!refusal.hint.is_empty());
            }
            (200, Outcome::Logged(logged)) => {
                assert_eq!(logged.index, 8);
                assert!(logged.duplicate.is_some());
            }
            (_, Outcome::Logged(logged)) => {
                assert_eq!(logged.index, next_index);
                assert!(TlogProof::parse(&logged.proof).is_ok());
                next_index += 1;
            }
            (_, other) => panic!("{n}: {other:?}"),
        }
    }
    assert!(answers.message().await.expect("no error").is_none());
}
