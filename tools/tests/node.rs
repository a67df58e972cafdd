//! The commands that call a node, run against a real node in this process.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::node::{Served, fresh_charter};
use common::{decision, dir, key, ledger, ledger_in, log_key, member_key, write, write_key};
use ledger_core::record::{Draft, Object, Record, RecordId};

fn fresh_decision(number: u64) -> Object {
    let now = ledger_tools::environment::now();
    let id = RecordId::from_parts(now * 1000, [number as u8; 10]);
    decision(number)
        .body()
        .clone()
        .with("issued_at", ledger_core::record::format_time(now))
        .with("id", id.to_string())
}

fn start(dir: &Path) -> Served {
    let record = fresh_charter();
    write(dir, "charter.record", record.as_bytes());
    Served::found(dir, &record)
}

fn draft(dir: &Path, name: &str, number: u64) -> String {
    let record = Draft::from_object(&fresh_decision(number)).unwrap();
    write(dir, name, record.sign(&[&member_key()]).unwrap().as_bytes())
}

#[test]
fn records_are_submitted_proven_shown_and_audited() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    let (url, anchor) = (node.grpc.as_str(), node.anchor.as_str());
    let files: Vec<String> = (1..=5).map(|i| draft(at, &format!("{i}.record"), i)).collect();
    let mut submit = vec!["submit", "--node", url, "--anchor", anchor];
    submit.extend(files.iter().map(String::as_str));
    let run = ledger(&submit).ends(0);
    assert_eq!(run.stdout.matches("logged ").count(), 5, "{}", run.stdout);
    let again = ledger(&submit).ends(0);
    assert_eq!(again.stdout.matches("duplicate ").count(), 5, "{}", again.stdout);

    let verify = ["verify", "3.tlog-proof", "--anchor", anchor, "--charter", "charter.record"];
    ledger_in(at, verify).ends(0);
    let object =
        ledger(["--json", "checkpoint", "--node", url, "--anchor", anchor]).ends(0).object();
    assert_eq!(object["size"], 6);
    let args = ["checkpoint", "--size", "7", "--node", url, "--anchor", anchor];
    ledger(args).fails(1, "fewer than 7");
    let run = ledger_in(
        at,
        ["prove", "--index", "2", "-o", "two.tlog-proof", "--node", url, "--anchor", anchor],
    );
    run.ends(0);
    let verify = ["verify", "two.tlog-proof", "--anchor", anchor, "--charter", "charter.record"];
    ledger_in(at, verify).ends(0);
    let show = ledger(["record", "show", "2", "--node", url, "--anchor", anchor]).ends(0);
    assert!(show.stdout.contains("proven in the tree of size 6"), "{}", show.stdout);
    ledger(["record", "show", "77", "--node", url, "--anchor", anchor]).ends(1);
    // the refusal of an unpublished entry blames no party
    for index in ["6", "7"] {
        let run = ledger(["prove", "--index", index, "--node", url, "--anchor", anchor]);
        let said = format!("the node sent no entry {index}: the log has published 6 entries");
        let run = run.fails(1, &said);
        assert!(run.stderr.contains("or waits for the log's witnesses"), "{}", run.stderr);
    }
    let run = ledger(["audit", &node.http, "--anchor", anchor]).ends(0);
    assert!(run.stdout.contains("6 entries: 6 lawful; 6 signatures valid"), "{}", run.stdout);
    let zero = "0".repeat(64);
    ledger(["checkpoint", "--node", url, "--anchor", &zero]).fails(1, "not the anchor");
    let run = ledger(["checkpoint", "--node", url]).ends(0);
    assert!(run.stderr.contains("trusts what the node itself claims"), "{}", run.stderr);
}

#[test]
fn refused_records_are_named_and_the_others_are_logged() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    let stranger = Draft::from_object(&fresh_decision(1)).unwrap();
    let stranger = stranger.sign(&[&key("lab.example", 99)]).unwrap();
    write(at, "bad.record", stranger.as_bytes());
    write(at, "junk.record", "junk");
    draft(at, "good.record", 2);
    let args = [
        "submit",
        "bad.record",
        "junk.record",
        "good.record",
        "--node",
        &node.grpc,
        "--anchor",
        &node.anchor,
        "--proofs",
        "proofs",
    ];
    let run = ledger_in(at, args).fails(1, "bad.record: ");
    assert!(run.stderr.contains("junk.record: "), "{}", run.stderr);
    assert!(at.join("proofs/good.tlog-proof").exists());
    assert!(!at.join("proofs/bad.tlog-proof").exists());
}

#[test]
fn a_duplicate_with_other_signatures_brings_the_logged_record() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    let path = draft(at, "one.record", 1);
    let submit = ["submit", path.as_str(), "--node", &node.grpc, "--anchor", &node.anchor];
    ledger(submit).ends(0);
    let logged = std::fs::read(&path).unwrap();
    let text = Record::parse(&logged).unwrap().text().to_owned();
    let json = text.strip_prefix("ledger-record/v1\n").unwrap();
    let other = Draft::parse(json).unwrap().sign(&[&common::second_key()]).unwrap();
    write(at, "one.record", other.as_bytes());
    let run = ledger(submit).ends(0);
    assert!(run.stdout.contains("with other signatures"), "{}", run.stdout);
    assert_eq!(std::fs::read(at.join("one.logged.record")).unwrap(), logged);
    let verify = [
        "verify",
        "one.logged.tlog-proof",
        "--anchor",
        &node.anchor,
        "--charter",
        "charter.record",
    ];
    ledger_in(at, verify).ends(0);
}

#[test]
fn an_import_goes_on_where_it_stopped() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    let key = write_key(at, "k", &member_key());
    let report = |i: u64| {
        serde_json::json!({
            "metadata": {"report_id": format!("AVID-2026-R{i:04}")},
            "problemtype": {"description": {"lang": "eng", "value": format!("Title {i}")}},
            "description": {"lang": "eng", "value": "Text"},
            "reported_date": "2026-01-31",
        })
        .to_string()
    };
    let all: Vec<String> = (0..40).map(report).collect();
    write(at, "in.jsonl", all[..25].join("\n"));
    let args = [
        "import",
        "avid",
        "in.jsonl",
        "--key",
        &key,
        "--out",
        "r",
        "--node",
        &node.grpc,
        "--anchor",
        &node.anchor,
        "--json",
    ];
    let object = ledger_in(at, args).ends(0).object();
    assert_eq!(object["logged"], 25);
    std::fs::remove_file(at.join("r/AVID-2026-R0003.tlog-proof")).unwrap();
    write(at, "in.jsonl", all.join("\n"));
    let object = ledger_in(at, args).ends(0).object();
    let counts = ["done_earlier", "taken_up_again", "written", "logged", "duplicates"];
    let counts: Vec<u64> = counts.iter().map(|name| object[*name].as_u64().unwrap()).collect();
    assert_eq!(counts, [24, 1, 15, 16, 1]);
    let run = ledger(["audit", &node.http, "--anchor", &node.anchor]).ends(0);
    assert!(run.stdout.contains("41 entries: 41 lawful"), "{}", run.stdout);
    let proofs: Vec<String> = (0..40).map(|i| format!("r/AVID-2026-R{i:04}.tlog-proof")).collect();
    let mut verify = vec!["verify", "--anchor", &node.anchor, "--charter", "charter.record"];
    verify.extend(proofs.iter().map(String::as_str));
    let run = ledger_in(at, verify).ends(0);
    assert!(run.stdout.ends_with("40 of 40 proven\n"), "{}", run.stdout);
}

#[test]
fn the_root_at_any_older_size_is_proven_also_where_no_batch_ended() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    let (url, anchor) = (node.grpc.as_str(), node.anchor.as_str());
    let files: Vec<String> = (1..=5).map(|i| draft(at, &format!("{i}.record"), i)).collect();
    let mut submit = vec!["submit", "--node", url, "--anchor", anchor];
    submit.extend(files.iter().map(String::as_str));
    ledger(&submit).ends(0);
    for size in ["0", "1", "2", "3", "4", "5", "6"] {
        let args = ["--json", "checkpoint", "--size", size, "--node", url, "--anchor", anchor];
        let object = ledger(args).ends(0).object();
        assert_eq!(object["size"].to_string(), size);
    }
}

/// The arguments of an import into the folder `r`.
fn import<'a>(node: &'a Served, key: &'a str) -> Vec<&'a str> {
    let common = ["import", "avid", "in.jsonl", "--key", key, "--out", "r", "--json"];
    [&common[..], &["--node", &node.grpc, "--anchor", &node.anchor]].concat()
}

fn avid(number: u64) -> String {
    serde_json::json!({
        "metadata": {"report_id": format!("A-{number}")},
        "problemtype": {"description": {"lang": "eng", "value": format!("Title {number}")}},
        "description": {"lang": "eng", "value": "Text"},
        "reported_date": "2026-01-31",
    })
    .to_string()
}

#[test]
fn only_a_record_with_its_proof_counts_as_imported() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    let key = write_key(at, "k", &member_key());
    write(at, "in.jsonl", (0..6).map(avid).collect::<Vec<_>>().join("\n"));
    assert_eq!(ledger_in(at, import(&node, &key)).ends(0).object()["logged"], 6);
    write(at, "r/A-0.tlog-proof", "");
    let proof = std::fs::read(at.join("r/A-1.tlog-proof")).unwrap();
    write(at, "r/A-2.tlog-proof", proof);
    write(at, "r/A-3.record", "ledger-record/v1\n");
    std::fs::remove_file(at.join("r/A-4.record")).unwrap();
    // waits for the next second, so that a new record has another time and another statement id
    let began = ledger_tools::environment::now();
    while ledger_tools::environment::now() == began {
        std::thread::yield_now();
    }
    let object = ledger_in(at, import(&node, &key)).ends(0).object();
    let counts = ["done_earlier", "taken_up_again", "written", "logged", "taken_over"];
    let counts: Vec<u64> = counts.iter().map(|name| object[*name].as_u64().unwrap()).collect();
    assert_eq!(counts, [2, 2, 2, 2, 2]);
    let object = ledger_in(at, import(&node, &key)).ends(0).object();
    assert_eq!(object["done_earlier"], 6);
    write(at, "in.jsonl", avid(5).replace("Text", "Other"));
    ledger_in(at, import(&node, &key)).fails(1, "changed in the source");
    let run = ledger(["audit", &node.http, "--anchor", &node.anchor]).ends(0);
    assert!(run.stdout.contains("7 entries: 7 lawful"), "{}", run.stdout);
}

#[test]
fn a_lost_folder_is_won_back_and_a_wrong_key_is_left_behind() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    let (wrong, right) = (key("lab.example", 99), member_key());
    let (wrong, right) = (write_key(at, "wrong", &wrong), write_key(at, "right", &right));
    write(at, "in.jsonl", (0..5).map(avid).collect::<Vec<_>>().join("\n"));
    let run = ledger_in(at, import(&node, &wrong)).fails(1, "the log refuses --key");
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{}", run.stderr);
    assert_eq!(ledger_in(at, import(&node, &right)).ends(0).object()["logged"], 5);
    std::fs::remove_dir_all(at.join("r")).unwrap();
    let began = ledger_tools::environment::now();
    while ledger_tools::environment::now() == began {
        std::thread::yield_now();
    }
    assert_eq!(ledger_in(at, import(&node, &right)).ends(0).object()["taken_over"], 5);
    let verify = ["verify", "r/A-3.tlog-proof", "--anchor", &node.anchor];
    ledger_in(at, verify.iter().chain(&["--charter", "charter.record"])).ends(0);
}

#[test]
fn nothing_is_signed_for_a_log_that_is_not_trusted() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    let key_file = write_key(at, "k", &member_key());
    write(at, "in.jsonl", avid(0));
    let stranger = key("else.example/log", 9);
    write(at, "policy", format!("log {}\nquorum none\n", stranger.verifier()));
    let args = ["import", "avid", "in.jsonl", "--key", &key_file, "--out", "r"];
    let run = ledger_in(at, args.iter().chain(&["--node", &node.grpc, "--policy", "policy"]));
    run.ends(1);
    assert!(!at.join("r/A-0.record").exists());
    // --log alone stays offline, whatever LEDGER_NODE says
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.args(args).args(["--log", common::ORIGIN]).current_dir(at);
    let output = command.env("LEDGER_NODE", "http://127.0.0.1:9").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(at.join("r/A-0.record").exists());
}

#[test]
fn a_silent_node_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let policy = ledger_core::policy::Policy::single_log(log_key().verifier().clone());
    let out = ledger_tools::output::Output::new(false, true);
    let trust = ledger_tools::trust::Trust::of_policy(&policy, Default::default(), &out).unwrap();
    let job = ledger_tools::submitter::Submission {
        name: "one".to_owned(),
        path: "one.record".into(),
        record: decision(1),
    };
    let runtime = ledger_tools::client::runtime().unwrap();
    let ended = runtime.block_on(async {
        let mut node = ledger_tools::client::Node::connect(&url).await.unwrap();
        let silence = std::time::Duration::from_millis(200);
        let jobs = vec![job].into_iter();
        let told = |_, _| Ok(());
        ledger_tools::submitter::submit_within(silence, &mut node, &trust, jobs, told).await
    });
    let failure = ended.unwrap_err();
    assert_eq!(failure.exit as u8, 3);
    assert!(failure.message.contains("has not answered"), "{}", failure.message);
}

#[test]
fn proofs_neither_overwrite_each_other_nor_lose_their_records() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    for folder in ["a", "b"] {
        std::fs::create_dir(at.join(folder)).unwrap();
    }
    draft(at, "a/x.record", 1);
    draft(at, "b/x.record", 2);
    let to = ["--node", &node.grpc, "--anchor", &node.anchor];
    let both = ["submit", "a/x.record", "b/x.record", "--proofs", "p"];
    ledger_in(at, both.iter().chain(&to)).fails(2, "would both have the proof");
    ledger_in(at, ["submit", "-"].iter().chain(&to)).fails(2, "--proofs");
    ledger_in(at, ["submit", "a/x.record", "--proofs", "p"].iter().chain(&to)).ends(0);
    let verify = ["verify", "p/x.tlog-proof", "--anchor", &node.anchor];
    ledger_in(at, verify.iter().chain(&["--charter", "charter.record"])).ends(0);
    let missing = ["submit", "nosuch.record", "b/x.record", "--json"];
    let run = ledger_in(at, missing.iter().chain(&to)).fails(3, "nosuch.record");
    assert_eq!(run.object()["results"].as_array().unwrap().len(), 2);
}

#[test]
fn the_wrong_port_is_told_and_no_data_is_hidden_by_q() {
    let dir = dir();
    let at = dir.path();
    let node = start(at);
    let (grpc, http, anchor) = (node.grpc.as_str(), node.http.as_str(), node.anchor.as_str());
    let said = "is this the node's gRPC address, and not its HTTP address?";
    ledger(["checkpoint", "--node", http, "--anchor", anchor]).fails(3, said);
    let record = draft(at, "1.record", 1);
    let charter = at.join("charter.record").display().to_string();
    let trust = ["--anchor", anchor, "--charter", &charter];
    ledger(["submit", &record, "--node", http].iter().chain(&trust)).fails(3, said);
    let run = ledger(["audit", grpc, "--anchor", anchor]).fails(3, "is this the gRPC address?");
    assert!(run.stderr.contains("If the node has TLS, say https://"), "{}", run.stderr);

    let register = ["register", "members", http, "--anchor", anchor];
    let (witness, gossip) =
        (["witness", "status", "--node", grpc], ["gossip", "status", "--node", grpc]);
    for command in [register.as_slice(), &witness, &gossip] {
        let quiet = ledger(["-q"].iter().chain(command)).ends(0);
        assert!(!quiet.stdout.is_empty(), "{command:?}");
    }
    assert!(ledger(register).ends(0).stdout.contains("NODE"));
}
