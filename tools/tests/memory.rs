//! What `ledger verify` takes of the memory, whatever is in the file: the real process is measured.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{charter, dir, log_key, write};

/// Bytes of a file: about the largest that is read.
const BYTES: usize = 33_000_000;

/// Bytes of heap for each byte read, and beyond them.
const HEAP_A_BYTE: u64 = 16;
const HEAP: u64 = 64 << 20;

/// What the program itself takes of the memory, with its code.
const PROGRAM: u64 = 32 << 20;

/// What a text is called, and how one of about so many bytes is made.
type MadeText = (&'static str, fn(usize) -> String);

/// Texts that take much to read, each with what it is called and how one of about so many bytes is
/// made.
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

/// A list of as many of these values as about so many bytes hold.
fn list(value: &str, bytes: usize) -> String {
    let values = format!("{value},").repeat(bytes / (value.len() + 1));
    format!("[{}]", values.trim_end_matches(','))
}

/// Runs the program, and says how it ended, what it had of the memory at most, and what it said.
fn measured(arguments: &[&str]) -> (Option<i32>, u64, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.env_remove("LEDGER_NODE").env_remove("LEDGER_POLICY").spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // the peak only grows, and is reached before the program tells what it found
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

/// Judges one file of so many bytes.
fn judge(row: &str, bytes: usize, arguments: &[&str]) {
    let (code, peak, stderr) = measured(arguments);
    println!("{row}: {peak} of the memory for {bytes} bytes");
    assert!(peak > 0, "{row}: nothing was measured");
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
        let other = write(dir.path(), "other.policy", format!("group g any {text}\nquorum g\n"));
        judge(&format!("{name} as --policy"), text.len(), &["verify", &policy, "--policy", &other]);
    }
}
