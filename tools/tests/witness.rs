//! `ledger witness`: the list of logs that a node witnesses.
#![allow(clippy::unwrap_used)]

mod common;

use common::{dir, ledger_in};

#[test]
fn logs_are_added_listed_and_removed_and_nonsense_is_refused() {
    let dir = dir();
    let run = |args: &[&str]| ledger_in(dir.path(), [&["witness"], args].concat());
    run(&["list", "--dir", "."]).fails(3, "is not the directory of a log");
    std::fs::write(dir.path().join("config.toml"), "").unwrap();
    assert_eq!(run(&["list", "--dir", "."]).ends(0).stdout, "");

    let keygen = |file: &str, usage: &str| {
        let args = ["keygen", "other.example", "--use", usage, "--out", file];
        ledger_in(dir.path(), args).ends(0).stdout.trim().to_owned()
    };
    let (first, second) = (keygen("1.key", "log"), keygen("2.key", "log"));
    let url = "https://other.example/";
    run(&["add", "--dir", ".", &first, "--url", url]).ends(0);
    run(&["add", "--dir", ".", &second]).ends(0);
    run(&["add", "--dir", ".", &second]).fails(1, "the same public key is listed twice");
    run(&["add", "--dir", ".", "nonsense"]).fails(2, "not a key");
    run(&["add", "--dir", ".", &keygen("3.key", "witness")]).fails(2, "signature type 0x01");
    run(&["add", "--dir", ".", &first, "--url", "other.example"]).fails(2, "begins with http");
    run(&["add", "--dir", ".", &first, "--url", "https://a b"]).fails(2, "hold no spaces");
    let listed = run(&["list", "--dir", "."]).ends(0).stdout;
    assert_eq!(listed, format!("{first} {url}\n{second}\n"));

    let file = dir.path().join("witness-logs");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("# ours\n{text}")).unwrap();
    run(&["remove", "--dir", ".", &second]).ends(0);
    let object = ledger_in(dir.path(), ["--json", "witness", "list", "--dir", "."]).ends(0);
    let object = object.object();
    let logs = object["logs"].as_array().unwrap();
    assert_eq!((logs.len(), logs[0]["url"].as_str()), (1, Some(url)));
    run(&["remove", "--dir", ".", &second]).fails(1, "is not in the list");
    run(&["remove", "--dir", ".", "other.example"]).ends(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "# ours\n");
    std::fs::write(&file, "nonsense\n").unwrap();
    run(&["list", "--dir", "."]).fails(1, "line 1: expected");
    run(&["add", "--dir", ".", &first]).fails(1, "line 1: expected");
}
