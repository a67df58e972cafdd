//! Leaving a log whose operator will not help: the note, its signatures, and what is shown of it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    MEMBER, ORIGIN, START, Site, charter, decision, dir, entry, key, ledger, log_key, member_key,
    membership_object, write, write_key,
};
use ledger_core::charter::CharterDraft;
use ledger_core::note::SignerKey;
use ledger_core::record::{Draft, Object, Record, RecordId, Value};

const NEXT: &str = "ledger.example/next";

fn board() -> SignerKey {
    key("board.example", 41)
}

/// The new log's charter, by the same member.
fn successor() -> Record {
    let vkey = |key: &SignerKey| key.verifier().clone();
    CharterDraft::new("Example", vkey(&key(NEXT, 60)))
        .member(MEMBER, vkey(&key(MEMBER, 61)), ["publisher", "steward"])
        .draft(RecordId::from_parts(START * 1000, [5; 10]), START)
        .unwrap()
        .sign(&[&key(MEMBER, 61)])
        .unwrap()
}

/// The board becomes a steward, and both must sign from then on.
fn change() -> Vec<Record> {
    let base = charter().statement().to_string();
    let role = Object::new().with("role", "steward");
    let keys = Object::new().with("vkey", board().verifier().to_string()).with("use", "record");
    let admit = Object::new()
        .with("action", "admit")
        .with("member", "board.example")
        .with("roles", vec![role])
        .with("keys", vec![keys]);
    let sign =
        |object: &Object| Draft::from_object(object).unwrap().sign(&[&member_key()]).unwrap();
    let first = sign(&membership_object(1, &base, vec![admit]));
    let both = Object::new().with("role", "steward").with("members", Value::Integer(2));
    let both = Object::new().with("action", "set_governance").with("requirements", vec![both]);
    let base = first.statement().to_string();
    let norm = membership_object(2, &base, vec![both])
        .with("kind", "norm")
        .with("version", "1")
        .with("effective_from", "2025-01-01T00:00:00Z")
        .with("text", "Two stewards decide.");
    vec![first, sign(&norm)]
}

#[test]
fn members_leave_a_log_and_anybody_can_tell_that_they_were_enough() {
    let folder = dir();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut site = Site::founded(&folder.path().join("old"));
    let changes = change();
    site.push([entry(START + 1, changes[0].as_bytes())]);
    site.push([common::governed(START + 2, 1, changes[1].as_bytes())]);
    site.push([common::governed(START + 3, 2, decision(7).as_bytes())]);
    let (old, checkpoint) = (path("old"), path("old/checkpoint"));
    let new = write(folder.path(), "new.record", successor().as_bytes());
    let lab = write_key(folder.path(), "lab.key", &member_key());
    let other = write_key(folder.path(), "board.key", &board());
    let note = path("new.succession");
    let make = ["charter", "succeed", "--log-checkpoint", &checkpoint, "--charter", &new];
    ledger(make.iter().chain(&["-o", &note, "--key", &lab])).ends(0);
    let again = ledger(make.iter().chain(&["-o", &note, "--key", &lab]));
    assert_ne!(again.code, 0, "nothing is overwritten");

    // with the first charter alone one steward would be enough: the tree itself says otherwise
    let anchor = charter().statement().to_string();
    let first = write(folder.path(), "old.record", charter().as_bytes());
    let judge = |with: &[&str], more: &[&str]| {
        let all = ["verify", &note, "--anchor", &anchor, "--charter"];
        ledger(all.iter().chain(with).chain(more))
    };
    let run = judge(&[&first], &[]).ends(0);
    assert!(run.stdout.contains("not shown: that the tree is the old log's own"), "{}", run.stdout);
    judge(&[&first], &["--source", &old]).fails(1, "entry 2 governs the end of that tree");
    let bundle = write_bundle(&site, &path("old.authority"));
    judge(&[&bundle], &["--source", &old])
        .fails(1, "a succession needs 2 member(s) with role \"steward\"; 1 signed");

    ledger(["charter", "sign", &note, "--key", &other]).ends(0);
    ledger(["charter", "sign", &note, "--key", &other]).fails(1, "has signed already");
    let run = judge(&[&bundle], &["--source", &old]).ends(0);
    let anchor_of_new = successor().statement().to_string();
    for part in [
        &format!("the log {ORIGIN} ends at size 4 for its members, {NEXT} follows"),
        &format!("the charter {anchor_of_new}; signed by board.example, {MEMBER}"),
        "enough by the charter as entry 2 left it; the tree is the old log's own",
    ] {
        assert!(run.stdout.contains(part), "{}", run.stdout);
    }
    let json = judge(&[&bundle], &["--source", &old, "--json"]).ends(0).object();
    assert_eq!(json["results"][0]["charter"], anchor_of_new.as_str());
    assert_eq!(json["results"][0]["tree_shown"], true);

    // another root, another size, another member's key
    let text = std::fs::read_to_string(&note).unwrap();
    let altered = write(folder.path(), "altered.succession", text.replace("size 4\n", "size 3\n"));
    let run = ledger(["verify", &altered, "--anchor", &anchor, "--charter", &bundle]);
    run.fails(1, "does not verify");
    let log = write_key(folder.path(), "log.key", &log_key());
    ledger(["charter", "sign", &note, "--key", &log]).ends(0);
    judge(&[&bundle], &[]).fails(1, "is not in the charter");
    ledger(["verify", &note]).fails(2, "without the charter of the log that it leaves");
    ledger(["charter", "sign", &first, "--key", &lab]).fails(1, "the first line is not");
}

#[test]
fn a_note_about_another_tree_is_not_proven() {
    let folder = dir();
    let path = |name: &str| folder.path().join(name).display().to_string();
    Site::of(&folder.path().join("old"), 3);
    let mut fork = Site::of(&folder.path().join("fork"), 2);
    fork.push([entry(START + 2, decision(9).as_bytes())]);
    let new = write(folder.path(), "new.record", successor().as_bytes());
    let first = write(folder.path(), "old.record", charter().as_bytes());
    let lab = write_key(folder.path(), "lab.key", &member_key());
    let (anchor, note) = (charter().statement().to_string(), path("x.succession"));
    let checkpoint = path("fork/checkpoint");
    let make = ["charter", "succeed", "--log-checkpoint", &checkpoint, "--charter", &new];
    ledger(make.iter().chain(&["-o", &note, "--key", &lab])).ends(0);
    let verify = ["verify", &note, "--anchor", &anchor, "--charter", &first, "--source"];
    ledger(verify.iter().chain(&[path("fork").as_str()])).ends(0);
    ledger(verify.iter().chain(&[path("old").as_str()]))
        .fails(1, "not proven to begin with the older one");
    let own = write(folder.path(), "own.record", charter().as_bytes());
    let same = ["charter", "succeed", "--log-checkpoint", &checkpoint, "--charter", &own];
    ledger(same.iter().chain(&["-o", &path("y"), "--key", &lab])).fails(1, "its own successor");
}

/// An authority bundle of the site's last entry.
fn write_bundle(site: &Site, path: &str) -> String {
    use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
    use ledger_core::proof::TlogProof;
    use ledger_core::record::Entry;
    let proof = |index: u64| TlogProof::parse(site.proof(index).as_bytes()).unwrap();
    let own = |index: u64| GovernanceEntry {
        index: proof(index).index,
        entry: Entry::parse(&site.entries[index as usize]).unwrap(),
        inclusion: proof(index).inclusion,
    };
    let bundle = AuthorityBundle::new(vec![own(0), own(1), own(2)], proof(3));
    std::fs::write(path, bundle.to_string()).unwrap();
    path.to_owned()
}
