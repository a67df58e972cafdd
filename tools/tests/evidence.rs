//! `ledger verify` and `ledger evidence` on evidence made with the core.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ORIGIN, Run, Site, charter, decision, dir, entry, key, ledger, log_key, write};
use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::{Case, ClaimedEvidence, Conflict, Heads, Trust};
use ledger_core::merkle::InclusionProof;
use ledger_core::proof::TlogProof;
use ledger_core::record::Entry;

/// Two logs of one key that share only the charter, and the evidence against the key.
struct Forked {
    dir: tempfile::TempDir,
    evidence: ClaimedEvidence,
    file: String,
    anchor: String,
    vkey: String,
}

fn head(site: &Site) -> ClaimedCheckpoint {
    ClaimedCheckpoint::parse(&std::fs::read(site.dir.join("checkpoint")).unwrap()).unwrap()
}

/// The bundle of the charter alone, under the first head of a log of one entry.
fn bundle(site: &Site) -> AuthorityBundle {
    let own = Entry::parse(&site.entries[0]).unwrap();
    let index = ledger_core::LeafIndex::ZERO;
    let inclusion = InclusionProof::default();
    let extra = Some(own.logged().to_string().into_bytes());
    let governance = vec![GovernanceEntry { index, entry: own, inclusion: inclusion.clone() }];
    let checkpoint = head(site);
    AuthorityBundle::new(governance, TlogProof { extra, index, inclusion, checkpoint })
}

fn forked() -> Forked {
    let dir = dir();
    let one = Site::of(&dir.path().join("one"), 5);
    let mut other = Site::founded(&dir.path().join("other"));
    let charter_alone = bundle(&other);
    other.push((1..5).map(|i| entry(common::START + i, decision(100 + i).as_bytes())));
    let heads = Heads { one: &head(&one), other: &head(&other) };
    let conflict = Conflict::of_heads(heads).unwrap();
    let anchored = Trust::new().with_anchor(charter().statement());
    let case = Case { trust: &anchored, authority: &[charter_alone] };
    let evidence = ClaimedEvidence::against_log(&conflict, case).unwrap();
    let file = write(dir.path(), "accusation.json", evidence.as_str());
    let (anchor, vkey) = (charter().statement().to_string(), log_key().verifier().to_string());
    Forked { dir, evidence, file, anchor, vkey }
}

#[test]
fn evidence_convicts_by_key_policy_or_anchor_alone() {
    let forked = forked();
    let policy = format!("log {}\nquorum none\n", forked.vkey);
    let policy = write(forked.dir.path(), "policy", policy);
    for trust in [["--vkey", &forked.vkey], ["--policy", &policy], ["--anchor", &forked.anchor]] {
        let run = ledger(["verify", forked.file.as_str()].iter().chain(&trust)).ends(0);
        let said =
            format!("convicted {}: the log {ORIGIN}, by its key {}", forked.file, forked.vkey);
        assert!(run.stdout.starts_with(&said), "{}", run.stdout);
        assert!(run.stdout.contains("same-size (two heads of size 5"), "{}", run.stdout);
    }
    let object = ledger(["--json", "verify", &forked.file, "--vkey", &forked.vkey]).object();
    let result = &object["results"][0];
    assert_eq!(result["convicted"]["role"], "log");
    assert_eq!(result["convicted"]["keys"][0], forked.vkey.as_str());
    assert_eq!(result["id"], forked.evidence.id().to_string());
    assert_eq!((&result["evidence"], &result["proven"]), (&"same-size".into(), &true.into()));
}

#[test]
fn evidence_that_does_not_hold_convicts_nobody() {
    let forked = forked();
    let judged =
        |file: &str, trust: [&str; 2]| -> Run { ledger(["verify", file].iter().chain(&trust)) };
    let stranger = key(ORIGIN, 77).verifier().to_string();
    judged(&forked.file, ["--vkey", &stranger]).fails(1, "convicts no key that you know");
    let other = "0".repeat(64);
    judged(&forked.file, ["--anchor", &other]).fails(1, "not with the anchor");
    judged(&forked.file, ["--vkey", "x"]).fails(2, "--vkey");
    ledger(["verify", &forked.file]).fails(2, "whose keys are whose");
    let compact = forked.evidence.as_str().replacen(": ", ":", 1);
    let compact = write(forked.dir.path(), "compact.json", compact);
    judged(&compact, ["--vkey", &forked.vkey]).fails(1, "one spelling");
    let head = forked.dir.path().join("one/checkpoint").display().to_string();
    judged(&head, ["--vkey", &forked.vkey]).fails(2, "--vkey goes with evidence");
    let cut = &forked.evidence.as_str()[..200];
    let cut = write(forked.dir.path(), "cut", cut);
    judged(&cut, ["--vkey", &forked.vkey]).fails(1, "this is not evidence");
}

#[test]
fn a_bundle_is_one_whatever_its_blanks_and_name() {
    let dir = dir();
    let site = Site::founded(dir.path());
    let text = bundle(&site).to_string();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let compact = write(dir.path(), "compact.json", value.to_string());
    let spaced = write(dir.path(), "spaced.json", format!("\n {text}"));
    let record = write(dir.path(), "charter.record", charter().as_bytes());
    let anchor = charter().statement().to_string();
    for file in [&compact, &spaced] {
        let run = ledger(["verify", file, "--record", &record, "--anchor", &anchor]).ends(0);
        assert!(run.stdout.starts_with("proven "), "{}", run.stdout);
        let checkpoint = site.dir.join("checkpoint").display().to_string();
        ledger(["verify", &checkpoint, "--anchor", &anchor, "--charter", file]).ends(0);
    }
}

#[test]
fn a_folder_of_evidence_is_listed_shown_and_exported() {
    let forked = forked();
    let folder = forked.dir.path().join("node/private/evidence");
    std::fs::create_dir_all(&folder).unwrap();
    let id = forked.evidence.id().to_string();
    write(&folder, &format!("{id}.json"), forked.evidence.as_str());
    write(&folder, "notes.txt", "not ours");
    let node = forked.dir.path().join("node").display().to_string();
    let run = ledger(["evidence", "list", "--dir", &node]).ends(0);
    assert_eq!(run.stdout.lines().count(), 1);
    assert!(run.stdout.starts_with(&format!("{id}  same-size  {ORIGIN}  not judged")));
    // no node is asked if a directory is named
    let run = ledger(["evidence", "list", "--dir", &node, "--node", "http://127.0.0.1:1"]).ends(0);
    assert_eq!(run.stdout.lines().count(), 1);
    ledger(["evidence", "list"]).fails(2, "neither a node nor a directory");
    let run = ledger(["evidence", "show", &id, "--dir", &node, "--vkey", &forked.vkey]).ends(0);
    assert!(run.stdout.contains("verdict convicts the log"), "{}", run.stdout);
    let json = ["--json", "evidence", "list", "--dir", &node, "--anchor", &forked.anchor];
    assert_eq!(ledger(json).ends(0).object()["evidence"][0]["convicts"][0], forked.vkey.as_str());
    let copy = forked.dir.path().join("copy.json").display().to_string();
    ledger(["evidence", "export", &id, "--dir", &node, "-o", &copy]).ends(0);
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), forked.evidence.as_str());
    ledger(["evidence", "show", "x", "--dir", &node]).fails(2, "the id is");
    ledger(["evidence", "show", &"0".repeat(64), "--dir", &node]).fails(3, "cannot read");
    write(&folder, &format!("{}.json", "0".repeat(64)), forked.evidence.as_str());
    ledger(["evidence", "list", "--dir", &node]).fails(1, "its id is");
    // a named pipe with the name of evidence does not block the reader
    let pipe = folder.join(format!("{}.json", "0".repeat(64)));
    std::fs::remove_file(&pipe).unwrap();
    common::damage::fifo(&pipe);
    ledger(["evidence", "list", "--dir", &node]).fails(1, "is no regular file");
}

#[test]
fn two_checkpoints_that_contradict_each_other_become_evidence() {
    let dir = dir();
    let at = |name: &str| dir.path().join(name).display().to_string();
    Site::of(&dir.path().join("one"), 5);
    let mut other = Site::founded(&dir.path().join("other"));
    let bundle = write(dir.path(), "charter.authority", bundle(&other).to_string());
    other.push((1..5).map(|i| entry(common::START + i, decision(100 + i).as_bytes())));
    let (anchor, vkey) = (charter().statement().to_string(), log_key().verifier().to_string());
    let (mine, theirs) = (at("one/checkpoint"), at("other/checkpoint"));

    let trust = ["--anchor", &anchor, "--charter", &bundle];
    let run = ledger(["verify", &mine, "--old", &theirs].iter().chain(&trust));
    let run = run.fails(1, "the log signed two histories: two trees of size 5");
    assert!(run.stderr.contains("`ledger evidence make A B -o FILE`"), "{}", run.stderr);
    let file = at("accusation.json");
    let make = ["evidence", "make", &mine, &theirs, "-o", &file];
    let run = ledger(make.iter().chain(&trust)).ends(0);
    assert!(run.stdout.contains(&format!("convicts the log {ORIGIN}")), "{}", run.stdout);
    // the file holds the bundle, so the anchor alone is enough
    ledger(["verify", &file, "--anchor", &anchor]).ends(0);
    let by_key = ledger(make[..4].iter().chain(&["--vkey", &vkey])).ends(0);
    let file = write(dir.path(), "by-key.json", by_key.stdout);
    ledger(["verify", &file, "--vkey", &vkey]).ends(0);
    // without a bundle in the file, the hint says what to add
    let charter = write(dir.path(), "charter.record", charter().as_bytes());
    ledger(["verify", &file, "--anchor", &anchor]).fails(1, "or add --charter FILE");
    ledger(["verify", &file, "--anchor", &anchor, "--charter", &charter]).ends(0);

    // for two sizes, the larger tree is needed
    let now = write(dir.path(), "now.checkpoint", std::fs::read(&theirs).unwrap());
    other.push([entry(common::START + 5, decision(105).as_bytes())]);
    let key = ["--vkey", vkey.as_str()];
    let two = ["evidence", "make", &mine, &theirs];
    ledger(two.iter().chain(&key)).fails(1, "--source DIR|URL");
    let wrong = at("one");
    let run = ledger(two.iter().chain(&key).chain(&["--source", &wrong]));
    assert_ne!(run.code, 0, "{}", run.stdout);
    let source = at("other");
    let run = ledger(two.iter().chain(&key).chain(&["--source", &source])).ends(0);
    let file = write(dir.path(), "split.json", run.stdout);
    let run = ledger(["verify", &file].iter().chain(&key)).ends(0);
    assert!(run.stdout.contains("split-history"), "{}", run.stdout);

    // no honest key is convicted, and no unknown one
    let honest = ["evidence", "make", &now, &theirs, "--source", &source];
    ledger(honest.iter().chain(&key)).fails(1, "do not contradict each other");
    let stranger = common::key(ORIGIN, 77).verifier().to_string();
    let run = ledger(make[..4].iter().chain(&["--vkey", &stranger, "--source", &source]));
    run.fails(1, "no key that you know signed both");
    ledger(&make[..4]).fails(2, "whose keys are whose");
}
