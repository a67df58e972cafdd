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
    run(&["add", "--dir", ".", &first, "--url", "https://a b"]).fails(2, "cannot contain spaces");
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

/// An operator that adds the new key first and removes the old one later has both in the list
/// meanwhile, and a thief of the old key could convict both.
#[test]
fn replace_leaves_no_moment_with_two_keys_or_none() {
    let dir = dir();
    let run = |args: &[&str]| ledger_in(dir.path(), [&["witness"], args].concat());
    std::fs::write(dir.path().join("config.toml"), "").unwrap();
    let keygen = |file: &str, name: &str| {
        let args = ["keygen", name, "--use", "log", "--out", file];
        ledger_in(dir.path(), args).ends(0).stdout.trim().to_owned()
    };
    let (first, second) = (keygen("1.key", "a.example"), keygen("2.key", "a.example"));
    let other = keygen("3.key", "other.example");
    run(&["add", "--dir", ".", &first, "--url", "https://a.example/"]).ends(0);
    let file = dir.path().join("witness-logs");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("# ours\n{text}# theirs\nlog {other}\n")).unwrap();

    let is_over = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| {
            let (mut seen, mut looked) = ([0, 0], 0);
            while !is_over.load(order) || looked == 0 {
                let text = std::fs::read_to_string(&file).unwrap();
                let has = [&first, &second].map(|key| usize::from(text.contains(key.as_str())));
                assert_eq!(has[0] + has[1], 1, "two keys or none:\n{text}");
                assert!(text.contains(&other) && text.contains("https://a.example/"), "{text}");
                seen = [seen[0] + has[0], seen[1] + has[1]];
                looked += 1;
            }
            seen
        });
        for _ in 0..4 {
            run(&["replace", "--dir", ".", &first, &second]).ends(0);
            run(&["replace", "--dir", ".", &second, &first]).ends(0);
        }
        is_over.store(true, order);
        let seen = seen.join().unwrap();
        assert!(seen.iter().all(|seen| *seen > 0), "both were looked at: {seen:?}");
    });

    run(&["replace", "--dir", ".", &second, &first]).fails(1, "is not in the list");
    run(&["replace", "--dir", ".", &first, &other]).fails(2, "two keys of one log");
    run(&["replace", "--dir", ".", &first, "nonsense"]).fails(2, "not a key");
    // if the list has both keys, the old one is removed
    run(&["add", "--dir", ".", &second]).ends(0);
    run(&["replace", "--dir", ".", &first, &second]).ends(0);
    let listed = run(&["list", "--dir", "."]).ends(0).stdout;
    assert_eq!(listed, format!("{second} https://a.example/\n{other}\n"));
}
