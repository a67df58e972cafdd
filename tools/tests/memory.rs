//! Measures how much memory a `ledger verify` process uses, for files with hostile contents.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{charter, dir, log_key, write};
use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::merkle::{InclusionProof, TreeHead};
use ledger_core::proof::TlogProof;
use ledger_core::record::{Draft, Entry, Logged, Object, Record};
use ledger_core::{Hash, LeafIndex, TreeSize};

/// Bytes of a file: about the largest that is read.
const BYTES: usize = 33_000_000;

/// Allowed bytes of heap for each byte read, and a constant in addition.
const HEAP_A_BYTE: u64 = 16;
const HEAP: u64 = 64 << 20;

/// The memory of the program itself, with its code.
const PROGRAM: u64 = 32 << 20;

/// The name of a kind of text, and the function that makes one of about the given size.
type MadeText = (&'static str, fn(usize) -> String);

/// Kinds of texts that need much memory to parse.
const TEXTS: [MadeText; 8] = [
    ("objects", |bytes| list("{}", bytes)),
    ("lists", |bytes| list("[]", bytes)),
    ("texts", |bytes| list(r#""""#, bytes)),
    ("members", |bytes| list(r#"{"":0}"#, bytes)),
    ("deep lists", |bytes| list("[[[[[[[[[[[[[[0]]]]]]]]]]]]]]", bytes)),
    ("a long text", |bytes| format!("\"{}\"", "a".repeat(bytes))),
    ("a long number", |bytes| "9".repeat(bytes)),
    ("words", |bytes| "a ".repeat(bytes / 2)),
];

/// A list of copies of a value, of about the given size.
fn list(value: &str, bytes: usize) -> String {
    let values = format!("{value},").repeat(bytes / (value.len() + 1));
    format!("[{}]", values.trim_end_matches(','))
}

/// Runs the program. Returns its exit code, its peak memory, and its stderr.
fn measured(arguments: &[&str]) -> (Option<i32>, u64, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.env_remove("LEDGER_NODE").env_remove("LEDGER_POLICY").spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // the peak only grows, and is reached before the program prints its result
    let code = loop {
        let ended = child.try_wait().unwrap();
        peak = peak_of(Path::new(&status)).unwrap_or(peak).max(peak);
        if let Some(ended) = ended {
            break ended.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    let stderr = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    (code, peak, stderr)
}

fn peak_of(status: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Runs the program on one file of `bytes` bytes, and asserts the limits.
fn judge(row: &str, bytes: usize, arguments: &[&str]) {
    // a program that ends at once may end before its first measurement
    let runs = (0..10).map(|_| measured(arguments)).find(|(_, peak, _)| *peak > 0);
    let (code, peak, stderr) = runs.unwrap_or_else(|| panic!("{row}: nothing was measured"));
    println!("{row}: {peak} of the memory for {bytes} bytes");
    let most = PROGRAM + HEAP + HEAP_A_BYTE * bytes as u64;
    assert!(peak <= most, "{row}: {peak} bytes of memory for {bytes} bytes, at most {most}");
    let refused = matches!(code, Some(1 | 2));
    assert!(refused, "{row}: it ended with {code:?}: {}", &stderr[..stderr.len().min(500)]);
    assert!(stderr.len() < 4096, "{row}: {} bytes of messages", stderr.len());
    assert!(stderr.contains("hint: "), "{row}: {stderr}");
}

#[test]
fn every_file_that_verify_reads_takes_at_most_sixteen_bytes_of_heap_a_byte() {
    let dir = dir();
    let vkey = log_key().verifier().to_string();
    let policy = write(dir.path(), "policy", format!("log {vkey}\nquorum none\n"));
    let anchor = charter().statement().to_string();
    let (by_key, by_anchor) = (["--vkey", &vkey], ["--anchor", &anchor]);
    let by_policy = ["--policy", &policy];
    for (name, text) in TEXTS {
        let text = text(BYTES);
        let object = |format: &str| format!("{{\"format\":\"{format}\",\"a\":{text}}}");
        let files = [
            ("evidence", object("ledger-evidence/v1"), by_key),
            ("bundle", object("ledger-authority/v1"), by_anchor),
            (
                "record",
                format!("ledger-record/v1\n{{\"a\":{text}}}\n\n\u{2014} a AAAAAAA=\n"),
                by_policy,
            ),
            ("proof", format!("c2sp.org/tlog-proof@v1\nindex 0\n{text}\n\n{text}"), by_policy),
            ("checkpoint", format!("a\n1\n{text}\n\n\u{2014} a AAAAAAA=\n"), by_policy),
            ("draft", format!("{{\"a\":{text}}}"), by_policy),
            (
                "succession",
                format!("ledger-succession/v1\norigin {text}\n{text}\n\n\u{2014} a AAAAAAA=\n"),
                by_anchor,
            ),
        ];
        for (kind, content, trust) in files {
            let file = write(dir.path(), kind, &content);
            judge(
                &format!("{name} as {kind}"),
                content.len(),
                &["verify", &file, trust[0], trust[1]],
            );
        }
        let bundle = write(dir.path(), "bundle", object("ledger-authority/v1"));
        let arguments = ["verify", &policy, "--anchor", &anchor, "--charter", &bundle];
        judge(&format!("{name} as --charter"), text.len(), &arguments);
        let proof = write(dir.path(), "small.tlog-proof", "c2sp.org/tlog-proof@v1\nindex 0\n");
        let object = write(dir.path(), "large", object("ledger-record/v1"));
        for (flag, file) in [("--record", &proof), ("--old", &policy), ("--checkpoint", &policy)] {
            let arguments = ["verify", file, flag, &object, by_policy[0], by_policy[1]];
            judge(&format!("{name} as {flag}"), text.len(), &arguments);
        }
        let other = write(dir.path(), "other.policy", format!("group g any {text}\nquorum g\n"));
        judge(&format!("{name} as --policy"), text.len(), &["verify", &policy, "--policy", &other]);
    }
}

/// A record whose values take as much memory as the values of a record can.
fn heavy(value: &str) -> Record {
    let number = u64::try_from(value.len()).unwrap();
    let json = common::decision_object(number).to_pretty_json();
    let list = format!("{value},").repeat(62_000 / (value.len() + 1));
    let list = list.trim_end_matches(',');
    let json =
        format!("{},\"ext\":{{\"x\":[{list}]}}}}", json.trim_end().strip_suffix('}').unwrap());
    Draft::parse(&json).unwrap().sign(&[&common::member_key()]).unwrap()
}

/// A bundle of copies of one entry, of about the largest size.
fn bundle_of(record: &Record) -> Object {
    let logged = Logged { time: common::START, governance: LeafIndex::ZERO };
    let entry = Entry::new(logged, record.clone());
    let nothing = || InclusionProof::new(Vec::new()).unwrap();
    let own = GovernanceEntry { index: LeafIndex::ZERO, entry, inclusion: nothing() };
    let head = TreeHead { size: TreeSize::new(1).unwrap(), root: Hash::leaf(b"") };
    let checkpoint = Checkpoint::new(Origin::new(common::ORIGIN).unwrap(), head).sign(&log_key());
    let proof = TlogProof {
        extra: Some(logged.to_string().into_bytes()),
        index: LeafIndex::ZERO,
        inclusion: nothing(),
        checkpoint,
    };
    let one = AuthorityBundle::new(vec![own.clone()], proof.clone()).to_string();
    let count = BYTES / one.len();
    let bundle = AuthorityBundle::new(vec![own; count], proof).to_string();
    Object::parse(bundle.trim_end()).unwrap()
}

#[test]
fn bundles_of_the_heaviest_records_take_at_most_sixteen_bytes_of_heap_a_byte() {
    let dir = dir();
    let vkey = log_key().verifier().to_string();
    let anchor = charter().statement().to_string();
    let words = r#"{"a":1,"b":"c","d":"efghijklmnop"}"#;
    for value in ["[[[[[[[[[[[[[[0]]]]]]]]]]]]]]", r#""a""#, "{}", words] {
        let record = heavy(value);
        let bundle = bundle_of(&record);
        let text = String::from_utf8(record.as_bytes().to_vec()).unwrap();
        let evidence = Object::new()
            .with("format", "ledger-evidence/v1")
            .with("type", "unlawful-leaf")
            .with("record", text)
            .with("bundle", bundle.clone());
        let files =
            [("bundle", bundle, "--anchor", &anchor), ("evidence", evidence, "--vkey", &vkey)];
        for (kind, object, flag, trust) in files {
            let content = format!("{}\n", object.to_pretty_json());
            drop(object);
            let file = write(dir.path(), kind, &content);
            let row = format!("records of {value} as {kind}");
            judge(&row, content.len(), &["verify", &file, flag, trust]);
        }
    }
}
