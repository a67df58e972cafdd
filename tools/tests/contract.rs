//! What every command promises: help with an example, hints, exit codes, one JSON object.
#![allow(clippy::unwrap_used)]

mod common;

use clap::CommandFactory as _;
use common::{dir, ledger, ledger_in};

#[test]
fn every_command_has_help_with_an_example() {
    fn visit(command: &clap::Command, path: &str) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example"), "`{path}` has no example");
        assert!(help.contains("ledger "), "`{path}`: the example is no command");
        for sub in command.get_subcommands() {
            visit(sub, &format!("{path} {}", sub.get_name()));
        }
    }
    visit(&ledger_tools::cli::Cli::command(), "ledger");
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = ledger(["--help"]).ends(0);
    assert!(help.stdout.contains("Usage: ledger") && help.stderr.is_empty());
    let version = ledger(["--version"]).ends(0);
    assert_eq!(version.stdout, format!("ledger {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn usage_errors_end_with_2_and_a_hint() {
    ledger::<&str>([]).fails(2, "no command was given");
    ledger(["keygen", "x"]).fails(2, "--out <FILE>");
    ledger(["keygne"]).fails(2, "unrecognized subcommand");
    ledger(["keygen", "x", "--out", "k", "--use", "lgo"]).fails(2, "invalid value 'lgo'");
    ledger(["checkpoint"]).fails(2, "no node was named");
    let run = ledger(["--json", "keygen", "x"]).fails(2, "--out <FILE>");
    assert!(run.object()["hint"].is_string());
}

#[test]
fn what_the_surroundings_deny_ends_with_3() {
    let dir = dir();
    ledger_in(dir.path(), ["record", "sign", "no.json", "--key", "no.key"]).fails(3, "cannot read");
    ledger_in(dir.path(), ["audit", "nowhere"]).fails(3, "there is no directory nowhere");
    ledger_in(dir.path(), ["audit", "."]).fails(3, "the checkpoint of . is missing");
    let node = ["checkpoint", "--node", "http://127.0.0.1:9"];
    ledger_in(dir.path(), node).fails(3, "cannot connect to http://127.0.0.1:9");
}

#[test]
fn completions_and_manual_pages_are_written() {
    let dir = dir();
    for shell in ["bash", "zsh", "fish"] {
        let run = ledger(["completions", shell]).ends(0);
        assert!(run.stdout.contains("ledger"), "{shell}");
    }
    ledger_in(dir.path(), ["man", "pages"]).ends(0);
    for page in ["ledger", "ledger-audit", "ledger-record-sign", "ledger-node", "ledger-node-serve"]
    {
        assert!(dir.path().join(format!("pages/{page}.1")).exists(), "{page}");
    }
    let run = ledger(["completions", "bash", "--program", "ledger-node"]).ends(0);
    assert!(run.stdout.contains("reindex"));
}

#[test]
fn pipes_get_no_colours() {
    let dir = dir();
    let run = ledger_in(dir.path(), ["verify", "nothing.record"]).ends(3);
    assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'));
}
