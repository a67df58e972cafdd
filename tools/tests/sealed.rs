//! Sealed members, from the draft to the reader: who can open what, and what is never signed.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::node::Served;
use common::{MEMBER, ORIGIN, dir, key, ledger_in, log_key, member_key, write, write_key};
use ledger_core::charter::CharterDraft;
use ledger_core::note::SignerKey;
use ledger_core::record::{Record, RecordId};

const THIEF: &str = "thief.example";

fn thief() -> SignerKey {
    key(THIEF, 42)
}

/// Two members that publish incidents.
fn two_publishers() -> Record {
    let now = ledger_tools::environment::now();
    let vkey = |key: &SignerKey| key.verifier().clone();
    CharterDraft::new("Test", vkey(&log_key()))
        .member(MEMBER, vkey(&member_key()), ["publisher", "reviewer", "steward"])
        .member(THIEF, vkey(&thief()), ["publisher"])
        .draft(RecordId::from_parts(now * 1000, [3; 10]), now)
        .unwrap()
        .sign(&[&member_key(), &thief()])
        .unwrap()
}

/// Seals two members of a draft into `sealed.json`, with the disclosures in `secret`.
fn seal_two(dir: &Path, draft: &str) {
    let paths = ["--path", "root_cause", "--path", "affected[1]"];
    let files = ["-o", "sealed.json", "--disclosures", "secret"];
    ledger_in(dir, ["seal", draft].iter().chain(&paths).chain(&files)).ends(0);
}

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join(name)).unwrap()
}

/// Writes the draft of an incident with members to seal.
fn incident_draft(dir: &Path) -> String {
    let new = [
        "record",
        "new",
        "incident",
        "--issuer",
        MEMBER,
        "--log",
        ORIGIN,
        "--set",
        "title=T",
        "--set",
        "summary=S",
        "--set",
        "stage=interim",
        "--set",
        "class=issue",
        "--set",
        "severity=hazard",
        "--set",
        "aware_at=2025-01-01T00:00:00Z",
        "--set",
        "ai_relation=use",
        "--set",
        "harm_types=[]",
        "--set",
        "triggers=[]",
        "--set",
        "system.name=X",
        "--set",
        "system.developer=Ada Ltd",
        "--set",
        "root_cause=haste",
        "--set",
        "affected=[\"a\",\"b\"]",
    ];
    write(dir, "draft.json", ledger_in(dir, new).ends(0).stdout)
}

#[test]
fn members_are_sealed_signed_shown_as_sealed_and_opened() {
    let dir = dir();
    let draft = incident_draft(dir.path());
    let key = write_key(dir.path(), "k", &member_key());
    let seal = [
        "--json",
        "seal",
        &draft,
        "--path",
        "root_cause",
        "--path",
        "system.developer",
        "--path",
        "affected[1]",
        "--audience",
        "the board",
        "--reason",
        "It names a firm.",
        "--release",
        "2027-01-31",
        "--decoys",
        "2",
        "-o",
        "sealed.json",
        "--disclosures",
        "secret",
    ];
    let run = ledger_in(dir.path(), seal).ends(0);
    assert_eq!(run.object()["sealed"].as_array().unwrap().len(), 3);
    let mode = std::fs::metadata(dir.path().join("secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let lines = std::fs::read_to_string(dir.path().join("secret")).unwrap();
    assert_eq!(lines.lines().count(), 3);
    let sign = ["record", "sign", "sealed.json", "--key", &key];
    let signed = ledger_in(dir.path(), sign).ends(0);
    assert!(!signed.stderr.contains("typo"), "{}", signed.stderr);
    let text = std::fs::read_to_string(dir.path().join("sealed.record")).unwrap();
    assert!(!text.contains("haste") && !text.contains("Ada"), "{text}");

    let show = ledger_in(dir.path(), ["record", "show", "sealed.record"]).ends(0);
    for line in [
        "\nsystem\n  name: X\n  (sealed) 3 digests of sealed members, or decoys that open nothing\n",
        "\naffected\n  - a\n  - (sealed)\n",
        "\n    release: 2027-01-31\n",
        "\nsealed       7 digests of sealed members, or decoys that open nothing\n",
    ] {
        assert!(show.stdout.contains(line), "no {line:?} in\n{}", show.stdout);
    }
    let unseal =
        |file: &str| ledger_in(dir.path(), ["unseal", "sealed.record", "--disclosures", file]);
    let opened = unseal("secret").ends(0);
    for line in [
        "\nroot_cause: haste\n",
        "\n  developer: Ada Ltd\n",
        "\n  - a\n  - b\n",
        "\nopened       affected[1]\n",
        "\nclosed       4 digests of sealed members, or decoys that open nothing\n",
    ] {
        assert!(opened.stdout.contains(line), "no {line:?} in\n{}", opened.stdout);
    }
    let some: Vec<&str> = lines.lines().take(1).collect();
    write(dir.path(), "some", some[0]);
    let run = ["--json", "unseal", "sealed.record", "--disclosures", "some"];
    let object = ledger_in(dir.path(), run).ends(0).object();
    assert_eq!((&object["closed"], object["opened"].as_array().unwrap().len()), (&6.into(), 1));

    write(dir.path(), "twice", format!("{lines}{lines}"));
    unseal("twice").fails(1, "twice line 4: disclosure 4 was given before");
    write(dir.path(), "cut", &lines[..lines.len() - 3]);
    unseal("cut").fails(1, "cut line 3: it");
    unseal("k").fails(1, "k line 1: it is not base64url");
    unseal("missing").fails(3, "cannot read missing");
    let own = write(dir.path(), "other.record", common::decision(1).as_bytes());
    let run = ledger_in(dir.path(), ["unseal", &own, "--disclosures", "secret"]);
    run.fails(1, "secret line 1: disclosure 1 belongs to another record");
}

#[test]
fn what_cannot_be_sealed_leaves_no_files_behind() {
    let dir = dir();
    let draft = incident_draft(dir.path());
    let seal = |draft: &str, more: &[&str]| {
        let args = ["seal", draft, "-o", "sealed.json", "--disclosures", "secret"];
        ledger_in(dir.path(), args.iter().chain(more))
    };
    seal(&draft, &["--path", "severity"]).fails(1, "`severity` may not be sealed");
    seal(&draft, &["--path", "actions"]).fails(1, "there is no `actions` in the draft");
    seal(&draft, &["--path", "a..b"]).fails(2, "no path like");
    seal(&draft, &["--path", "title", "--decoys", "65"]).fails(2, "from 0 to 64");
    seal(&draft, &[]).fails(2, "--path");
    let own = write(dir.path(), "own.record", common::decision(1).as_bytes());
    seal(&own, &["--path", "title"]).fails(1, "is signed already");
    write(dir.path(), "sealed.json", "taken");
    seal(&draft, &["--path", "title"]).fails(1, "it is not overwritten");
    assert!(!dir.path().join("secret").exists());
    std::fs::remove_file(dir.path().join("sealed.json")).unwrap();
    write(dir.path(), "secret", "taken");
    seal(&draft, &["--path", "title"]).fails(1, "it is not overwritten");
    assert!(!dir.path().join("sealed.json").exists());
    assert_eq!(std::fs::read_to_string(dir.path().join("secret")).unwrap(), "taken");
}

#[test]
fn the_author_is_logged_though_the_copy_was_first() {
    let dir = dir();
    let node = Served::found(dir.path(), &two_publishers());
    seal_two(dir.path(), &incident_draft(dir.path()));
    let author = write_key(dir.path(), "author.key", &member_key());
    let other = write_key(dir.path(), "thief.key", &thief());
    let copy = read(dir.path(), "sealed.json").replace(MEMBER, THIEF);
    write(dir.path(), "copy.json", copy);
    let logs = |draft: &str, record: &str, key: &str| {
        ledger_in(dir.path(), ["record", "sign", draft, "--key", key]).ends(0);
        let submit = ["submit", record, "--node", &node.grpc, "--anchor", &node.anchor];
        ledger_in(dir.path(), submit).ends(0);
    };
    logs("copy.json", "copy.record", &other);
    logs("sealed.json", "sealed.record", &author);

    let unseal = |file: &str| ledger_in(dir.path(), ["unseal", file, "--disclosures", "secret"]);
    let opened = unseal("sealed.record").ends(0);
    assert!(opened.stdout.contains("\nroot_cause: haste\n"), "{}", opened.stdout);
    unseal("copy.record").fails(1, "secret line 1: disclosure 1 belongs to another record");
}

#[test]
fn unopened_drafts_stay_unsigned() {
    let dir = dir();
    let draft = incident_draft(dir.path());
    seal_two(dir.path(), &draft);
    let lab = write_key(dir.path(), "lab.key", &member_key());
    let board = write_key(dir.path(), "board.key", &key("board.example", 41));
    let sign = |file: &str, key: &str, more: &[&str]| {
        ledger_in(dir.path(), ["record", "sign", file, "--key", key].iter().chain(more))
    };
    let with = ["--disclosures", "secret"];

    // the same draft under a new id: the disclosures for the old id open nothing
    let new = ["record", "new", "incident", "--issuer", MEMBER, "--log", ORIGIN, "--from"];
    let again = ledger_in(dir.path(), new.iter().chain(&["sealed.json"])).ends(0);
    assert!(again.stderr.contains("sealed.json holds 2 digests"), "{}", again.stderr);
    assert!(again.stderr.contains("no disclosure opens them"), "{}", again.stderr);
    write(dir.path(), "again.json", again.stdout);
    sign("again.json", &lab, &with)
        .fails(1, "secret line 1: disclosure 1 belongs to another record");
    let moved = read(dir.path(), "sealed.json").replace(ORIGIN, "ledger.example/else");
    write(dir.path(), "moved.json", moved);
    sign("moved.json", &lab, &with).fails(1, "belongs to another record");
    write(dir.path(), "cut", &read(dir.path(), "secret")[..40]);
    sign("sealed.json", &lab, &["--disclosures", "cut"]).ends(1);
    for name in ["again.record", "moved.record", "sealed.record"] {
        assert!(!dir.path().join(name).exists(), "{name} was signed");
    }

    let run = sign("sealed.json", &lab, &with).ends(0);
    assert!(run.stdout.contains("\n  opened affected[1], root_cause\n"), "{}", run.stdout);
    let signed = read(dir.path(), "sealed.record");
    // the second signer can require disclosures too
    sign("sealed.record", &board, &["--disclosures", "cut"]).ends(1);
    assert_eq!(read(dir.path(), "sealed.record"), signed);
    let unread = sign("sealed.record", &board, &["-o", "unread.record"]).ends(0);
    assert!(unread.stderr.contains("2 digests"), "{}", unread.stderr);
    sign("sealed.record", &board, &with).ends(0);

    // a draft without log, issuer or id cannot be sealed
    for name in ["log", "issuer", "id"] {
        let own = read(dir.path(), &draft);
        let less =
            own.lines().filter(|line| !line.trim_start().starts_with(&format!("\"{name}\"")));
        write(dir.path(), "less.json", less.collect::<Vec<_>>().join("\n"));
        let args = ["seal", "less.json", "--path", "root_cause", "-o", "x", "--disclosures", "y"];
        ledger_in(dir.path(), args).fails(1, &format!("`{name}` is missing"));
        assert!(!dir.path().join("y").exists());
    }
}

#[test]
fn a_member_that_is_not_opened_stays_unsigned() {
    let dir = dir();
    seal_two(dir.path(), &incident_draft(dir.path()));
    let lab = write_key(dir.path(), "lab.key", &member_key());
    let sign = |file: &str| {
        let args = ["record", "sign", "sealed.json", "--key", &lab, "--disclosures", file];
        ledger_in(dir.path(), args)
    };
    write(dir.path(), "none", "");
    sign("none").fails(1, "`root_cause` is not opened");
    let lines = read(dir.path(), "secret");
    let one = lines.lines().next().unwrap();
    write(dir.path(), "one", format!("{one}\n"));
    let run = sign("one").fails(1, "is not opened");
    assert!(!dir.path().join("sealed.record").exists(), "{}", run.stdout);
    sign("secret").ends(0);
}
