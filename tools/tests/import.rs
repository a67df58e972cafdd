//! `ledger import avid` without a node. The real collection is read if it is present.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write as _;

use common::{MEMBER, ORIGIN, dir, ledger, ledger_in, member_key, write, write_key};
use ledger_core::record::Record;

fn report(id: &str) -> String {
    format!(
        "{{\"metadata\":{{\"report_id\":\"{id}\"}},\"affects\":{{\"artifacts\":[]}},\
         \"problemtype\":{{\"classof\":\"CVE Entry\",\"description\":{{\"lang\":\"eng\",\"value\":\"T\"}}}},\
         \"description\":{{\"lang\":\"eng\",\"value\":\"S\"}},\"reported_date\":\"2026-01-31\"}}"
    )
}

#[test]
fn records_are_written_once_and_taken_up_again() {
    let dir = dir();
    let key = write_key(dir.path(), "k", &member_key());
    let lines = format!("{}\n\n{}\n{}\n", report("A-1"), report("A-2"), report("A-1"));
    write(dir.path(), "in.jsonl", lines);
    let args =
        ["import", "avid", "in.jsonl", "--key", &key, "--out", "r", "--log", ORIGIN, "--json"];
    let object = ledger_in(dir.path(), args).ends(0).object();
    assert_eq!((&object["written"], &object["repeated"]), (&2.into(), &1.into()));
    let first = std::fs::read(dir.path().join("r/A-1.record")).unwrap();
    let record = Record::parse(&first).unwrap();
    assert_eq!((record.envelope().issuer(), record.envelope().log()), (MEMBER, ORIGIN));
    let object = ledger_in(dir.path(), args).ends(0).object();
    assert_eq!((&object["written"], &object["taken_up_again"]), (&0.into(), &2.into()));
    assert_eq!(std::fs::read(dir.path().join("r/A-1.record")).unwrap(), first);
    assert!(dir.path().join("r/import-report.json").exists());
}

#[test]
fn bad_lines_are_named_and_stop_nothing() {
    let dir = dir();
    let key = write_key(dir.path(), "k", &member_key());
    let conflicting = report("A-1").replace("\"S\"", "\"other\"");
    let evil = report("../../evil");
    let untitled = "{\"metadata\":{\"vuln_id\":\"A-3\"}}";
    let lines = format!(
        "{}\nnot json\n{evil}\n{conflicting}\n{untitled}\n{}\n",
        report("A-1"),
        report("A-2")
    );
    write(dir.path(), "in.jsonl", lines);
    let args = ["import", "avid", "in.jsonl", "--key", &key, "--out", "r", "--log", ORIGIN];
    let run = ledger_in(dir.path(), args).fails(1, "in.jsonl, line 2: not JSON");
    for about in ["line 3: its id", "line 4: A-1 came before", "line 5: it has no text"] {
        assert!(run.stderr.contains(about), "{about}: {}", run.stderr);
    }
    assert!(dir.path().join("r/A-2.record").exists());
    assert!(!dir.path().join("evil.record").exists());
}

#[test]
fn arrays_objects_and_gzip_are_read() {
    let dir = dir();
    let key = write_key(dir.path(), "k", &member_key());
    write(dir.path(), "a.json", format!("[{},{}]", report("A-1"), report("A-2")));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(report("A-3").as_bytes()).unwrap();
    write(dir.path(), "b.json.gz", gz.finish().unwrap());
    let args = [
        "import",
        "avid",
        "a.json",
        "b.json.gz",
        "missing.json",
        "--key",
        &key,
        "--out",
        "r",
        "--dry-run",
        "--json",
    ];
    let object = ledger_in(dir.path(), args).ends(3).object();
    assert_eq!(object["mapped"], 3);
    assert!(!dir.path().join("r").exists());
}

#[test]
fn the_published_collection_maps_whole() {
    let folder = std::env::var_os("LEDGER_SHARED_DATA").map(std::path::PathBuf::from);
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let above = || own.ancestors().map(|at| at.join("shared/data")).find(|at| at.is_dir());
    let Some(folder) = folder.or_else(above) else {
        eprintln!("skipped: no shared/data; LEDGER_SHARED_DATA can name its place");
        return;
    };
    let data = folder.join("avid/reports.jsonl.gz").display().to_string();
    let dir = dir();
    let key = write_key(dir.path(), "k", &member_key());
    let out = dir.path().join("r").display().to_string();
    let args = ["import", "avid", &data, "--key", &key, "--out", &out, "--dry-run", "--json"];
    let object = ledger(args).ends(0).object();
    assert_eq!((&object["read"], &object["mapped"]), (&1608.into(), &1608.into()));
    assert_eq!(object["not_imported"], serde_json::json!([]));
    assert_eq!(object["classes"]["CVE Entry"], 999);
}
