//! Commands on several files: their exit codes if some files are refused and others cannot be read.
#![allow(clippy::unwrap_used)]

mod common;

use common::damage::fifo;
use common::node::{Served, fresh_charter};
use common::{ORIGIN, decision, dir, ledger_in, member_key, write, write_key};
use ledger_core::record::{Draft, format_time};

const REPORT: &str = r#"{"metadata":{"report_id":"A-1"},"affects":{"artifacts":[]},
    "problemtype":{"classof":"CVE Entry","description":{"lang":"eng","value":"T"}},
    "description":{"lang":"eng","value":"S"},"reported_date":"2026-01-31"}"#;

#[test]
fn a_record_that_is_not_read_hides_none_that_is_refused() {
    let dir = dir();
    let at = dir.path();
    let mut node = Served::found(at, &fresh_charter());
    write(at, "junk.record", "junk");
    let now = format_time(ledger_tools::environment::now());
    let draft = Draft::from_object(&decision(2).body().clone().with("issued_at", now)).unwrap();
    write(at, "good.record", draft.sign(&[&member_key()]).unwrap().as_bytes());
    let (grpc, anchor) = (node.grpc.clone(), node.anchor.clone());
    let submit = |files: &[&str]| {
        let more = ["--node", &grpc, "--anchor", &anchor, "--json"];
        ledger_in(at, ["submit"].iter().chain(files).chain(&more))
    };
    submit(&["missing.record", "junk.record", "good.record"]).fails(1, "missing.record");
    submit(&["junk.record", "missing.record", "good.record"]).fails(1, "junk.record");
    submit(&["missing.record", "good.record"]).fails(3, "missing.record");
    // a proof that cannot be written hides no refusal either
    std::fs::remove_file(at.join("good.tlog-proof")).unwrap();
    std::fs::create_dir_all(at.join("good.tlog-proof/x")).unwrap();
    submit(&["junk.record", "good.record"]).fails(1, "good.tlog-proof");
    submit(&["good.record"]).fails(3, "good.tlog-proof");
    node.stop();
}

#[test]
fn a_file_that_is_not_read_hides_no_report_that_is_refused() {
    let dir = dir();
    let key = write_key(dir.path(), "k", &member_key());
    write(dir.path(), "bad.jsonl", "not json\n");
    write(dir.path(), "good.json", REPORT);
    fifo(&dir.path().join("pipe.jsonl"));
    let import = |files: &[&str]| {
        let more = ["--key", &key, "--out", "r", "--log", ORIGIN];
        ledger_in(dir.path(), ["import", "avid"].iter().chain(files).chain(&more))
    };
    for files in [["bad.jsonl", "missing.jsonl"], ["missing.jsonl", "bad.jsonl"]] {
        import(&files).fails(1, "missing.jsonl");
    }
    import(&["missing.jsonl", "good.json"]).fails(3, "missing.jsonl");
    import(&["pipe.jsonl", "good.json"]).fails(1, "pipe.jsonl is a named pipe");
}
