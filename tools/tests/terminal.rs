//! Hostile text from others, and a standard output that is full.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{
    Run, Site, charter, clean, decision, decision_object, dir, entry, ledger, ledger_in, log_key,
    member_key, write, write_key,
};
use ledger_core::record::{Draft, Object, Record};

/// Runs `ledger` on a terminal, and returns its output; `None` if `script` cannot run.
fn on_a_terminal(dir: &Path, args: &[&str]) -> Option<String> {
    let quoted: Vec<String> =
        args.iter().map(|arg| format!("'{}'", arg.replace('\'', "'\\''"))).collect();
    let line = format!("{} {}", env!("CARGO_BIN_EXE_ledger"), quoted.join(" "));
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).current_dir(dir).stdin(Stdio::null());
    clean(&mut command);
    match command.output() {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(e) => {
            eprintln!("SKIPPED: `script` of util-linux does not run here: {e}");
            None
        }
    }
}

/// A decision with this title.
fn titled(title: &str) -> Record {
    let object = decision_object(5).with("title", Object::new().with("en", title));
    Draft::from_object(&object).unwrap().sign(&[&member_key()]).unwrap()
}

#[test]
fn text_that_looks_escaped_is_no_escape() {
    let dir = dir();
    let record = titled("\\u{1b}[32mproven\\u{1b}[0m \\n");
    let path = write(dir.path(), "x.record", record.as_bytes());
    let run = ledger(["record", "show", &path]).ends(0);
    assert!(run.stdout.contains("\\\\u{1b}[32mproven\\\\u{1b}[0m \\\\n"), "{}", run.stdout);
    let Some(shown) = on_a_terminal(dir.path(), &["record", "show", &path]) else { return };
    assert!(!shown.contains("\u{1b}[32m"), "{shown:?}");
    assert!(shown.contains("\u{1b}[1m\\\\u{1b}[32mproven"), "{shown:?}");
}

/// Asserts that no control character and no forged verdict is printed, on either stream.
#[track_caller]
fn is_tame(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        let wild =
            |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{200b}".contains(c);
        assert!(!text.contains(wild), "{text:?}");
        let forged = text.lines().any(|line| line.starts_with("proven forged"));
        assert!(!forged, "{text}");
    }
}

const WILD: &str = "a\nproven forged\u{1b}[32m\u{202e}\u{9b}2J\\n";

#[test]
fn a_file_name_prints_no_verdict() {
    let dir = dir();
    let site = Site::of(&dir.path().join("site"), 3);
    let record = write(dir.path(), &format!("{WILD}.record"), decision(1).as_bytes());
    let proof = write(dir.path(), &format!("{WILD}.tlog-proof"), site.proof(1));
    let policy = format!("log {}\nquorum none\n", log_key().verifier());
    let policy = write(dir.path(), &format!("{WILD}.policy"), policy);
    let missing = dir.path().join(format!("{WILD}.none")).display().to_string();
    let wild_dir = dir.path().join(format!("{WILD} dir")).display().to_string();
    let wild_site = Site::of(Path::new(&wild_dir), 3);
    std::fs::write(wild_site.dir.join("tile/x\nproven forged"), b"").unwrap();
    let vkey = log_key().verifier().to_string();
    let run = ledger(["verify", &proof, "--policy", &policy]).ends(0);
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    is_tame(&run);
    let commands: Vec<Vec<&str>> = vec![
        vec!["verify", &record, &missing, "--policy", &policy],
        vec!["verify", &missing, "--policy", &policy],
        vec!["verify", &proof, "--policy", &missing],
        vec!["verify", &record, "--anchor", WILD],
        vec!["record", "show", &record],
        vec!["record", "show", &missing],
        vec!["record", "show", WILD],
        vec!["record", "sign", &record, "--key", &missing],
        vec!["record", "new", WILD],
        vec!["record", "schema", WILD],
        vec!["audit", &wild_dir, "--vkey", &vkey],
        vec!["audit", &missing],
        vec!["audit", &wild_dir, "--vkey", WILD],
        vec!["register", "decisions", &wild_dir, "--vkey", &vkey],
        vec!["register", "decisions", &missing],
        vec!["prove", "--index", "1", "--from", &wild_dir],
        vec!["prove", "--statement", WILD, "--from", &wild_dir],
        vec!["prove", "--index", "1", "--from", &missing],
        vec!["evidence", "list", "--dir", &wild_dir],
        vec!["evidence", "list", "--dir", &missing],
        vec!["evidence", "show", WILD, "--dir", &wild_dir],
        vec!["keygen", WILD, "--out", &missing],
        vec!["seal", &missing],
        vec!["unseal", &record],
        vec!["submit", &missing, "--node", "http://127.0.0.1:9"],
        vec!["submit", &record, "--node", WILD],
        vec!["checkpoint", "--node", WILD],
        vec!["witness", "list", "--dir", &missing],
        vec!["witness", "list", "--dir", &wild_dir],
        vec!["witness", "remove", WILD, "--dir", &wild_dir],
        vec!["mirror", "list", "--dir", &wild_dir],
        vec!["mirror", "remove", WILD, "--dir", &wild_dir],
        vec!["gossip", "status", "--node", WILD],
        vec!["charter", "show", WILD],
        vec!["import", "avid", &wild_dir],
        vec!["man", &record],
        vec!["--ca", &missing, "audit", &wild_dir],
        vec!["audit", &wild_dir, "--since", &missing],
        vec![WILD],
        vec!["audit", "--", WILD],
    ];
    for args in &commands {
        for json in [false, true] {
            let more: &[&str] = if json { &["--json"] } else { &[] };
            let run = ledger_in(dir.path(), args.iter().chain(more));
            is_tame(&run);
        }
    }
}

#[test]
fn json_keeps_every_character_and_shows_none_that_hides() {
    let dir = dir();
    let missing = dir.path().join("\u{202e}\u{9b}x").display().to_string();
    let run = ledger(["verify", &missing, "--anchor", "x", "--json"]);
    is_tame(&run);
    let run = ledger(["audit", &missing, "--json"]).ends(3);
    is_tame(&run);
    let object: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let error = object["error"].as_str().unwrap();
    assert!(error.contains(&missing), "{error:?}");
}

/// Runs `ledger` with a standard output that is full.
fn on_a_full_disk<'a>(dir: &Path, args: impl IntoIterator<Item = &'a str>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(File::create("/dev/full").unwrap());
    clean(&mut command);
    Run::of(command.output().unwrap())
}

#[test]
fn a_full_disk_never_ends_with_0() {
    if !Path::new("/dev/full").exists() {
        eprintln!("SKIPPED: there is no /dev/full here");
        return;
    }
    let dir = dir();
    let site = Site::of(&dir.path().join("site"), 3);
    let source = site.dir.display().to_string();
    let vkey = log_key().verifier().to_string();
    let record = write(dir.path(), "1.record", decision(1).as_bytes());
    let proof = write(dir.path(), "1.tlog-proof", site.proof(1));
    let policy = format!("log {vkey}\nquorum none\n");
    let policy = write(dir.path(), "policy", policy);
    let charter = write(dir.path(), "charter.record", charter().as_bytes());
    let key = write_key(dir.path(), "member.key", &member_key());
    let draft = write(dir.path(), "draft.json", decision_object(9).to_pretty_json());
    let mut unlawful = Site::of(&dir.path().join("unlawful"), 3);
    unlawful.push([entry(common::START + 10, b"not a record\n")]);
    let bad = unlawful.dir.display().to_string();
    std::fs::create_dir(dir.path().join("evidence")).unwrap();
    let commands: Vec<Vec<&str>> = vec![
        vec!["audit", &source, "--vkey", &vkey],
        vec!["audit", &bad, "--vkey", &vkey],
        vec!["register", "decisions", &source, "--vkey", &vkey],
        vec!["register", "risks", &source, "--vkey", &vkey],
        vec!["verify", &proof, "--policy", &policy],
        vec!["verify", &proof, "--vkey", &vkey],
        vec!["record", "show", &record],
        vec!["record", "new", "decision", "--issuer", "lab.example", "--log", "x.example"],
        vec!["record", "schema", "decision"],
        vec!["record", "sign", &draft, "--key", &key, "-o", "-"],
        vec!["prove", "--index", "1", "--from", &source],
        vec!["keygen", "lab.example", "--out", "made.key"],
        vec!["completions", "bash"],
        vec!["man", "pages"],
        vec!["seal", &draft],
        vec!["charter", "show", &charter],
        vec!["evidence", "list", "--dir", "evidence"],
    ];
    for args in &commands {
        for json in [false, true] {
            let more: &[&str] = if json { &["--json"] } else { &[] };
            let normal = ledger_in(dir.path(), args.iter().chain(more));
            if normal.stdout.is_empty() {
                continue;
            }
            let _ = std::fs::remove_file(dir.path().join("made.key"));
            let run = on_a_full_disk(dir.path(), args.iter().chain(more).copied());
            let _ = std::fs::remove_file(dir.path().join("made.key"));
            assert_eq!(run.code, 3, "{args:?} {more:?}: {}", run.stderr);
            assert!(
                run.stderr.contains("error: cannot write to stdout"),
                "{args:?}: {}",
                run.stderr
            );
            assert!(!run.stderr.contains("panicked"), "{args:?}: {}", run.stderr);
        }
    }
    for args in [["--help"], ["--version"]] {
        let run = on_a_full_disk(dir.path(), args);
        assert_eq!(run.code, 3, "{args:?}: {}", run.stderr);
    }
    assert_eq!(on_a_full_disk(dir.path(), ["audit", "--help"]).code, 3);
}
