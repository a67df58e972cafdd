//! The program `ledger-node`: what it prints, and that it notices what does not arrive.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ledger_core::charter::CharterDraft;
use ledger_core::note::{Algorithm, KeyName, SignerKey};
use ledger_core::record::RecordId;

fn node(args: &[&str], stdout: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger-node"));
    command.args(args).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    command.env_remove("LEDGER_LOG").env_remove("NO_COLOR");
    command.spawn().unwrap().wait_with_output().unwrap()
}

fn key(name: &str, seed: u8) -> SignerKey {
    SignerKey::from_seed(KeyName::new(name).unwrap(), Algorithm::Ed25519, [seed; 32]).unwrap()
}

/// A charter and a log key, as files.
fn founding(dir: &Path) -> (String, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let (log, member) = (key("ledger.example/test", 1), key("lab.example", 2));
    // a node takes no charter that is old
    let start = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let draft = CharterDraft::new("Test", log.verifier().clone())
        .member("lab.example", member.verifier().clone(), ["publisher", "reviewer", "steward"])
        .draft(RecordId::from_parts(start * 1000, [0; 10]), start)
        .unwrap();
    let (charter, secret) = (dir.join("charter.record"), dir.join("log.key"));
    std::fs::write(&charter, draft.sign(&[&member]).unwrap().as_bytes()).unwrap();
    std::fs::write(&secret, format!("{}\n", log.to_secret_text())).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    (charter.display().to_string(), secret.display().to_string())
}

#[test]
fn a_full_disk_never_ends_with_0_at_the_node() {
    if !Path::new("/dev/full").exists() {
        eprintln!("SKIPPED: there is no /dev/full here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (charter, log_key) = founding(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let full = || Stdio::from(File::create("/dev/full").unwrap());
    for (at, json) in [(0, ""), (1, "--json")] {
        let (log, certificate, key) =
            (path(&format!("log{at}")), path(&format!("{at}.pem")), path(&format!("{at}.key")));
        let init = ["init", "--dir", &log, "--charter", &charter, "--log-key", &log_key];
        let made = ["certificate", "--name", "x.example", "--certificate", &certificate, "--key"];
        let serve = ["serve", "--dir", &log, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let commands: [&[&str]; 7] = [
            &["--help"],
            &["--version"],
            &["serve", "--help"],
            &init,
            &["reindex", "--dir", &log],
            &serve,
            &[made.as_slice(), &[key.as_str()]].concat(),
        ];
        for command in commands {
            let args: Vec<&str> = command.iter().copied().chain([json]).collect();
            let args: Vec<&str> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
            let run = node(&args, full());
            let stderr = String::from_utf8(run.stderr).unwrap();
            assert_eq!(run.status.code(), Some(3), "{args:?}: {stderr}");
            assert!(stderr.contains("error: cannot write to stdout"), "{args:?}: {stderr}");
        }
    }
}

#[test]
fn no_name_prints_a_line_of_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let (charter, log_key) = founding(dir.path());
    let wild = "a\nmade the log forged\u{1b}[32m\u{202e}\\n";
    let path = dir.path().join(wild).display().to_string();
    let commands: [&[&str]; 10] = [
        &["init", "--dir", &path, "--charter", &charter, "--log-key", &log_key],
        &["init", "--dir", &path, "--charter", &charter, "--log-key", &log_key],
        &["init", "--dir", "x", "--charter", &path, "--log-key", &log_key],
        &["reindex", "--dir", &path],
        &["serve", "--dir", &dir.path().join("none").join(wild).display().to_string()],
        &["recover", "--dir", &path, "--from", wild],
        &["certificate", "--name", wild, "--certificate", &path, "--key", &path],
        &["certificate", "--name", "x.example", "--certificate", &path, "--key", &path],
        &[wild],
        &["serve", wild],
    ];
    for command in commands {
        for json in [false, true] {
            let more: &[&str] = if json { &["--json"] } else { &[] };
            let run = node(&[command, more].concat(), Stdio::piped());
            for text in [run.stdout, run.stderr] {
                let text = String::from_utf8(text).unwrap();
                let wild = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
                assert!(!text.contains(wild), "{command:?}: {text:?}");
                let forged = text.lines().any(|line| line.starts_with("made the log forged"));
                assert!(!forged, "{command:?}: {text}");
            }
        }
    }
}
