//! What an operator types and reads: `ledger-node init` and `recover`, `ledger witness status`.

use std::path::Path;
use std::process::Output;

use ledger_core::note::Algorithm;
use ledger_proto::v1::Wait;
use ledger_tests::consortium::Consortium;
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::witness::Mood;
use ledger_tests::{copy_folder, key};
use serde_json::{Value, json};

use crate::process::Founded;
use crate::witnesses::{Witnessed, submit, until};

fn run_with(program: &str, arguments: &[&str]) -> Output {
    let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
    run(program, &arguments)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in ASCII")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn object(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// Founds a log under this policy, as text and as JSON; the line about the policy, and the object.
fn founded_under(policy: &str) -> (String, Value) {
    let consortium = Consortium::new();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let own = consortium.log.verifier();
    let charter = consortium.charter_with_policy(&format!("log {own}\n{policy}"));
    std::fs::write(at("charter"), charter.as_bytes()).expect("a writable folder");
    consortium.write_key(&consortium.log, &at("key"));
    let (charter, log_key) = (at("charter"), at("key"));
    let founding = ["--charter", text(&charter), "--log-key", text(&log_key)];
    let init = |dir: &Path, words: &[&str]| {
        let output =
            run_with("ledger-node", &[words, &["init", "--dir", text(dir)], &founding].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    let lines = said(&init(&at("one"), &[]));
    let line = lines.lines().find_map(|line| line.strip_prefix("policy: ")).expect(&lines);
    (line.to_owned(), object(&init(&at("two"), &["--json"])))
}

#[test]
fn init_says_how_many_witnesses_may_be_down_and_may_lie() {
    let witness = |seed: u8| {
        let key = key(&format!("w{seed}.test"), Algorithm::CosignatureV1, seed);
        format!("witness w{seed} {} http://127.0.0.1:9\n", key.verifier())
    };
    let three = [1, 2, 3].map(witness).concat();
    let (line, object) = founded_under(&format!("{three}group g 2 w1 w2 w3\nquorum g\n"));
    assert_eq!(line, "2 of 3 witnesses make a quorum; 1 may be down; 0 may lie");
    let expected = json!({ "witnesses": 3, "needed": 2, "may_be_down": 1, "may_lie": 0 });
    assert_eq!((&object["policy"], &object["quorum_reachable"]), (&expected, &json!(true)));

    // two quorums without a witness in common: two histories could be shown
    let (line, object) = founded_under(&format!("{three}group g any w1 w2 w3\nquorum g\n"));
    let warning =
        "WARNING: two quorums need not share a witness, so a log could show two histories";
    assert_eq!(line, format!("1 of 3 witnesses make a quorum; 2 may be down; {warning}"));
    let expected = json!({ "witnesses": 3, "needed": 1, "may_be_down": 2, "may_lie": null });
    assert_eq!(object["policy"], expected);

    let (line, object) = founded_under("quorum none\n");
    assert_eq!(line, "quorum none: readers trust this log's signature alone");
    assert_eq!(object["policy"], Value::Null);
}

#[test]
fn an_address_of_no_witness_and_a_key_that_is_not_there_are_told() {
    let consortium = Consortium::new();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let charter = consortium
        .charter_with_policy(&format!("log {}\nquorum none\n", consortium.log.verifier()));
    std::fs::write(at("charter"), charter.as_bytes()).expect("a writable folder");
    consortium.write_key(&consortium.log, &at("key"));
    let init = |key: &Path| {
        let (dir, charter) = (at("log"), at("charter"));
        let words = ["init", "--dir", text(&dir), "--charter", text(&charter)];
        let more = ["--log-key", text(key), "--witness-url", "w9=http://127.0.0.1:9"];
        run_with("ledger-node", &[words.as_slice(), &more].concat())
    };
    let lost = init(&at("no.key"));
    let error = String::from_utf8_lossy(&lost.stderr).into_owned();
    assert!(
        error.contains("cannot read the key file") && error.contains("check the path"),
        "{error}"
    );
    let made = said(&init(&at("key")));
    assert!(made.contains("no witness of the policy has the name \"w9\""), "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_brought_up_to_date_from_a_url() {
    let founded = Founded::new();
    let (dir, older) = (founded.dir(), founded.folder.path().join("older"));
    let log = |n: u64| crate::process::submit(&founded.consortium.incident(n));
    let node = NodeProcess::serve(&dir);
    node.client().await.submit(log(0)).await.expect("lawful");
    assert_eq!(node.terminate(), (Some(0), String::new()));
    copy_folder(&dir, &older);
    let node = NodeProcess::serve(&dir);
    for n in 1..300 {
        node.client().await.submit(log(n)).await.expect("lawful");
    }
    let recover = |words: &[&str]| {
        let command = ["recover", "--dir", text(&older), "--from", &node.http];
        run_with("ledger-node", &[words, &command].concat())
    };
    let done = recover(&["--json"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(object(&done), json!({ "had": 2, "has": 301 }));
    let again = said(&recover(&[]));
    assert_eq!(again, "nothing is missing: the log has 301 entries, and the copy no more\n");
    assert_eq!(node.terminate(), (Some(0), String::new()));
    // it goes on where the other one was
    let node = NodeProcess::serve(&older);
    let next = node.client().await.submit(log(300)).await.expect("lawful").into_inner();
    assert_eq!(next.index, 301);
    let known = node.client().await.submit(log(7)).await.expect("no error").into_inner();
    assert!(known.index == 8 && known.duplicate.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn witness_status_says_who_is_silent_and_fails_while_nothing_is_published() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let url = format!("http://{}", node.grpc_addr());
    let status = |json: bool| {
        let command = ["witness", "status", "--node", &url];
        let words: &[&str] = if json { &["--json"] } else { &[] };
        tokio::task::block_in_place(|| run_with("ledger", &[words, &command].concat()))
    };
    until(|| (0..3).all(|at| node.service().board.is_well(at))).await;
    let well = status(false);
    let lines = said(&well);
    assert_eq!(well.status.code(), Some(0), "{lines}");
    assert!(lines.starts_with("signed 2, published 2\n"), "{lines}");
    assert!((1..=3).all(|n| lines.contains(&format!("  w{n}: cosigned 2 at "))), "{lines}");

    log.all_feel(Mood::Silent);
    submit(&mut client, &log.consortium.incident(1), Wait::Unspecified).await.expect("lawful");
    let silent = |at: usize| node.service().board.statuses()[at].trouble.is_some();
    until(|| (0..3).all(silent)).await;
    let waits = status(false);
    let lines = said(&waits);
    assert_eq!(waits.status.code(), Some(1), "{lines}");
    assert!(lines.starts_with("signed 3, published 2\n"), "{lines}");
    assert!(lines.contains("  w2: SILENT since ") && lines.contains("503"), "{lines}");
    let object = object(&status(true));
    assert_eq!((&object["signed_size"], &object["published_size"]), (&json!(3), &json!(2)));
    let second = &object["witnesses"][1];
    assert_eq!((&second["name"], &second["slow"]), (&json!("w2"), &json!(false)));
    assert!(second["trouble"].as_str().is_some_and(|said| said.contains("503")), "{second}");

    log.all_feel(Mood::Honest);
    log.published(&node, |checkpoint| checkpoint.checkpoint().head().size.get() == 3).await;
    assert_eq!(status(false).status.code(), Some(0));
    node.shutdown().await.expect("sound");
}
