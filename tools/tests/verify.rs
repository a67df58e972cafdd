//! `ledger verify` on files made with the core.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    MEMBER, ORIGIN, START, Site, charter, decision, dir, entry, key, ledger, log_key, member_key,
    write,
};
use ledger_core::charter::CharterDraft;
use ledger_core::note::{Note, Signature};
use ledger_core::record::{Draft, Object, RecordId, format_time};

struct Files {
    dir: tempfile::TempDir,
    site: Site,
    policy: String,
    charter: String,
    anchor: String,
}

/// A log of nine entries, and the record and proof of entry 5.
fn files() -> Files {
    let dir = dir();
    let site = Site::of(&dir.path().join("site"), 9);
    write(dir.path(), "five.record", decision(5).as_bytes());
    write(dir.path(), "five.tlog-proof", site.proof(5));
    let policy = format!("log {}\nquorum none\n", log_key().verifier());
    let policy = write(dir.path(), "policy", policy);
    let charter_file = write(dir.path(), "charter.record", charter().as_bytes());
    let anchor = charter().statement().to_string();
    Files { dir, site, policy, charter: charter_file, anchor }
}

impl Files {
    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn anchored<'a>(&'a self, file: &'a str) -> Vec<&'a str> {
        vec!["verify", file, "--anchor", &self.anchor, "--charter", &self.charter]
    }
}

#[test]
fn a_policy_proves_the_log_and_an_anchor_the_signers_too() {
    let files = files();
    let proof = files.path("five.tlog-proof");
    let run = ledger(["verify", &proof, "--policy", &files.policy]).ends(0);
    let expected = format!(
        "proven {proof}: in the log {ORIGIN} at 5, logged 2025-01-01T00:00:05Z, tree of 9; \
         signers not judged\n"
    );
    assert_eq!(run.stdout, expected);
    let run = ledger(files.anchored(&proof)).ends(0);
    let signers = format!(
        "signed by {MEMBER} (key of entry 0; publisher by entry 0, reviewer by entry 0, steward by \
         entry 0), allowed by the charter in force at entry 0"
    );
    assert!(run.stdout.contains(&signers), "{}", run.stdout);
    let json = [&["--json"], files.anchored(&proof).as_slice()].concat();
    let object = ledger(json).ends(0).object();
    assert_eq!(object["results"][0]["proven"], true);
    assert_eq!(object["results"][0]["signers_judged"], true);
    ledger(["verify", &proof]).fails(2, "whom you trust");
}

#[test]
fn one_changed_byte_in_record_or_proof_is_never_proven() {
    let files = files();
    let (proof, record) = (files.path("five.tlog-proof"), files.path("five.record"));
    for path in [&proof, &record] {
        let sound = std::fs::read(path).unwrap();
        for at in (0..sound.len()).step_by(37) {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            std::fs::write(path, &bytes).unwrap();
            let run = ledger(["verify", &proof, "--policy", &files.policy]);
            assert_eq!(run.code, 1, "{path} byte {at}: {}{}", run.stdout, run.stderr);
            assert!(run.stdout.contains("NOT PROVEN") && run.stderr.contains("hint: "));
        }
        std::fs::write(path, sound).unwrap();
    }
    ledger(["verify", &proof, "--policy", &files.policy]).ends(0);
}

#[test]
fn a_proof_without_its_record_or_under_another_key_proves_nothing() {
    let files = files();
    let proof = files.path("five.tlog-proof");
    let stranger = format!("log {}\nquorum none\n", key(ORIGIN, 9).verifier());
    let stranger = write(files.dir.path(), "stranger", stranger);
    ledger(["verify", &proof, "--policy", &stranger]).fails(1, "no known key of the log");
    let other = write(files.dir.path(), "six.record", decision(6).as_bytes());
    let run = ledger(["verify", &proof, "--policy", &files.policy, "--record", &other]);
    run.fails(1, "not proven to be in the tree");
    std::fs::remove_file(files.path("five.record")).unwrap();
    ledger(["verify", &proof, "--policy", &files.policy]).fails(1, "there is no record");
}

#[test]
fn signers_without_authority_are_named_though_the_entry_is_in_the_log() {
    let files = files();
    let mut site = Site::of(&files.dir.path().join("two"), 3);
    let draft = ledger_core::record::Draft::from_object(&common::decision_object(50)).unwrap();
    let forged = draft.sign(&[&key(MEMBER, 77)]).unwrap();
    site.push([common::entry(common::START + 9, forged.as_bytes())]);
    write(files.dir.path(), "forged.record", forged.as_bytes());
    let proof = write(files.dir.path(), "forged.tlog-proof", site.proof(3));
    ledger(["verify", &proof, "--policy", &files.policy]).ends(0);
    ledger(files.anchored(&proof)).fails(1, "it is in the log, but key");
}

#[test]
fn checkpoints_are_verified_and_their_growth_is_proven_from_the_files() {
    let files = files();
    let old =
        write(files.dir.path(), "old", std::fs::read(files.site.dir.join("checkpoint")).unwrap());
    let bigger = Site::of(&files.dir.path().join("bigger"), 700);
    let new = bigger.dir.join("checkpoint").display().to_string();
    let source = bigger.dir.display().to_string();
    let policy = files.policy.as_str();
    ledger(["verify", &new, "--policy", policy]).ends(0);
    ledger(["verify", &old, "--old", &old, "--policy", policy]).ends(0);
    let run = ledger(["verify", &new, "--old", &old, "--policy", policy, "--source", &source]);
    assert!(run.ends(0).stdout.contains("it has only grown since size 9"));
    let mut grown = Site::of(&files.dir.path().join("grown"), 700);
    grown.push((700..900).map(|i| common::entry(common::START + i, decision(i).as_bytes())));
    let later = grown.dir.display().to_string();
    let run = ledger(["verify", &new, "--old", &old, "--policy", policy, "--source", &later]);
    run.ends(0);
    let run = ledger(["verify", &new, "--old", &old, "--policy", policy]);
    run.fails(1, "not proven to be the beginning");
    ledger(["verify", &old, "--old", &new, "--policy", policy])
        .fails(1, "the older checkpoint has");

    let mut fork = Site::founded(&files.dir.path().join("fork"));
    fork.push((1..9).map(|i| common::entry(common::START + i, decision(100 + i).as_bytes())));
    let forked = fork.dir.join("checkpoint").display().to_string();
    let run = ledger(["verify", &new, "--old", &forked, "--policy", policy, "--source", &source]);
    run.fails(1, "is not proven to begin with the older one");
    ledger(["verify", &old, "--old", &forked, "--policy", policy])
        .fails(1, "the log signed two histories: two trees of size 9");
}

#[test]
fn records_alone_are_judged_by_the_charter_or_not_at_all() {
    let files = files();
    let record = files.path("five.record");
    ledger(["verify", &record]).fails(1, "its signers are not judged");
    let fresh = common::decision_object(60).with("issued_at", now(0));
    let fresh = Draft::from_object(&fresh).unwrap().sign(&[&member_key()]).unwrap();
    let fresh = write(files.dir.path(), "fresh.record", fresh.as_bytes());
    let run = ledger(files.anchored(&fresh)).ends(0);
    assert!(run.stdout.contains("enough for the charter if logged now; not known to be logged"));
    let draft = write(files.dir.path(), "d.json", common::decision_object(1).to_pretty_json());
    ledger(files.anchored(&draft)).fails(1, "no member has signed it");
    let junk = write(files.dir.path(), "junk", "hello\n");
    ledger(files.anchored(&junk)).fails(1, "neither proof nor record");
}

fn now(ahead: u64) -> String {
    format_time(ledger_tools::environment::now() + ahead)
}

#[test]
fn a_charter_file_is_judged_by_its_own_signature_lines() {
    let files = files();
    ledger(files.anchored(&files.charter)).ends(0);
    let text = charter().text().to_owned();
    let key = member_key();
    let line = |bytes| Signature::new(key.verifier().name().clone(), key.verifier().id(), bytes);
    let forged = Note::new(&text, vec![line(vec![0; 64])]).unwrap().to_string();
    let forged = write(files.dir.path(), "forged.record", forged);
    ledger(files.anchored(&forged)).fails(1, "does not verify");
    let two = CharterDraft::new("Two", log_key().verifier().clone())
        .member(MEMBER, member_key().verifier().clone(), ["publisher", "steward"])
        .member("b.example", common::key("b.example", 5).verifier().clone(), ["steward"])
        .draft(RecordId::from_parts(START * 1000, [1; 10]), START)
        .unwrap();
    let both = two.sign(&[&member_key(), &common::key("b.example", 5)]).unwrap();
    let both = write(files.dir.path(), "both.record", both.as_bytes());
    let alone = two.sign(&[&member_key()]).unwrap();
    let alone = write(files.dir.path(), "alone.record", alone.as_bytes());
    let anchor = two.statement().to_string();
    let run = ledger(["verify", &alone, "--anchor", &anchor, "--charter", &both]);
    run.fails(1, "founding member \"b.example\" has not signed");
}

#[test]
fn a_key_whose_term_has_ended_cannot_backdate_a_record() {
    let files = files();
    let ended = format_time(ledger_tools::environment::now() - 60);
    let json = charter().body().to_pretty_json();
    let json =
        json.replace("\"use\": \"record\"", &format!("\"use\": \"record\", \"until\": {ended:?}"));
    let object = Object::parse(&json).unwrap();
    let founding = Draft::from_object(&object).unwrap().sign(&[&member_key()]).unwrap();
    let anchor = founding.statement().to_string();
    let founding = write(files.dir.path(), "ended.record", founding.as_bytes());
    let issued = format_time(ledger_tools::environment::now() - 3_600);
    let record = common::decision_object(61).with("issued_at", issued);
    let record = Draft::from_object(&record).unwrap().sign(&[&member_key()]).unwrap();
    let record = write(files.dir.path(), "late.record", record.as_bytes());
    let trust = ["--anchor", anchor.as_str(), "--charter", founding.as_str()];
    let run = ledger(["verify", record.as_str()].iter().chain(&trust));
    run.fails(1, "if it were logged now: key");
    let run = ledger(["record", "show", record.as_str()].iter().chain(&trust)).ends(1);
    assert!(run.stdout.contains("was not valid at"), "{}", run.stdout);
}

#[test]
fn a_record_of_another_log_is_not_proven_by_being_logged_here() {
    let files = files();
    let mut site = Site::of(&files.dir.path().join("two"), 3);
    let object = common::decision_object(62).with("log", "another.example");
    let foreign = Draft::from_object(&object).unwrap().sign(&[&member_key()]).unwrap();
    site.push([entry(START + 9, foreign.as_bytes())]);
    write(files.dir.path(), "foreign.record", foreign.as_bytes());
    let proof = write(files.dir.path(), "foreign.tlog-proof", site.proof(3));
    let run = ledger(["verify", &proof, "--policy", &files.policy]);
    run.fails(1, "meant for the log another.example");
}

#[test]
fn flags_that_do_not_fit_are_refused() {
    let files = files();
    let (proof, record) = (files.path("five.tlog-proof"), files.path("five.record"));
    let policy = ["--policy", files.policy.as_str()];
    let run = |args: &[&str]| ledger(["verify"].iter().chain(args).chain(&policy));
    run(&[&proof, "--anchor", &files.anchor]).fails(2, "--anchor alone is not enough");
    run(&[&proof, "--old", &proof]).fails(2, "--old goes with a checkpoint");
    run(&[&proof, "--old", &proof, "--source", "."]).fails(2, "goes with a checkpoint");
    run(&[&proof, "--source", "."]).fails(2, "--source goes with --old");
    run(&[&record, "--record", &record]).fails(2, "--record goes with a tlog-proof");
    let checkpoint = files.site.dir.join("checkpoint").display().to_string();
    run(&[&checkpoint, "--record", &record]).fails(2, "--record goes with a tlog-proof");
    ledger(["record", "show", &record, "--anchor", &files.anchor]).fails(2, "without a node");
}

#[test]
fn a_file_that_is_not_read_hides_no_refusal() {
    let files = files();
    let bad = write(files.dir.path(), "bad.tlog-proof", b"no proof");
    let missing = files.path("missing.tlog-proof");
    let policy = files.path("policy");
    for pair in [[&bad, &missing], [&missing, &bad]] {
        ledger(["verify", pair[0], pair[1], "--policy", &policy]).fails(1, "missing.tlog-proof");
    }
    ledger(["verify", &missing, &missing, "--policy", &policy]).fails(3, "missing.tlog-proof");
}

#[test]
fn a_named_pipe_among_the_files_keeps_no_reader_waiting() {
    let files = files();
    let pipe = files.path("pipe.tlog-proof");
    common::damage::fifo(std::path::Path::new(&pipe));
    let link = files.path("link.tlog-proof");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    for path in [&pipe, &link] {
        ledger(["verify", path, "--policy", &files.path("policy")]).fails(1, "a named pipe");
    }
}
