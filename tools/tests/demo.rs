//! `ledger demo --fast`: plays the whole story to its end.
#![allow(clippy::unwrap_used)]

mod common;

use common::{dir, ledger, ledger_in, write};

#[test]
fn the_demo_founds_publishes_verifies_and_catches_the_forger() {
    let dir = dir();
    let run = ledger_in(dir.path(), ["demo", "--fast", "--dir", "d"]).ends(0);
    for part in [
        "7 of 7 proven",
        "9 entries: 9 lawful",
        "review condition met",
        "caught: the audit names entry 2",
        "refused: the witness",
        "brought back entry 2, proven",
        "convicted",
        "have evidence",
        "log dune-systems.example/log",
        "dune-0.mirrored.tlog-proof",
    ] {
        assert!(run.stdout.contains(part), "{part}:\n{}", run.stdout);
    }
    // a demo's folder may be used again, other folders may not
    let again = ledger_in(dir.path(), ["demo", "--fast", "--dir", "d", "--json"]).ends(0);
    let object = again.object();
    assert_eq!(object["tampered_entry"], 2);
    for verdict in ["verdict", "verdict_by_anchor"] {
        let convicted = &object["gossip"][verdict]["results"][0]["convicted"];
        assert_eq!(convicted["origin"], "dune-systems.example/log");
    }
    // the third act promises to detect two histories within half a minute, not a certain speed
    let seconds = object["gossip"]["seconds"].as_f64().unwrap();
    assert!(seconds < 30.0, "{seconds}");
    assert!(object["gossip"]["mirrored"].as_str().unwrap().contains("/mirror/"));
    assert!(!object["overdue"].as_array().unwrap().is_empty());
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    write(&dir.path().join("mine"), "thesis.txt", "years of work");
    ledger_in(dir.path(), ["demo", "--fast", "--dir", "mine"]).fails(1, "holds other files");
}

#[test]
fn a_quick_look_leaves_nothing_behind() {
    let run = ledger(["demo", "--fast", "--json"]).ends(0);
    let path = run.object()["dir"].as_str().unwrap().to_owned();
    assert!(!std::path::Path::new(&path).exists());
}

#[test]
fn the_folder_of_a_running_node_is_left_alone() {
    let dir = dir();
    let private = dir.path().join("d/node/private");
    std::fs::create_dir_all(&private).unwrap();
    write(&dir.path().join("d"), ".ledger-demo", "");
    let lock = std::fs::File::create(private.join("LOCK")).unwrap();
    lock.lock().unwrap();
    ledger_in(dir.path(), ["demo", "--fast", "--dir", "d"]).fails(1, "a demo is running here");
    assert!(private.join("LOCK").exists());
}
