//! `ledger audit` on directories made with the core: sound ones pass, each damage is named.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    MEMBER, START, Site, charter, decision, decision_object, dir, entry, key, ledger, log_key,
    member_key, write,
};
use ledger_core::record::Draft;

#[test]
fn a_sound_log_is_proven_at_any_size() {
    for size in [1, 2, 255, 256, 257, 700] {
        let dir = dir();
        let site = Site::of(dir.path(), size);
        let run = site.audit(&[]).ends(0);
        let lawful = format!("{size} entries lawful, {size} signatures valid, 0 cannot be judged");
        assert!(run.stdout.starts_with(&format!("proven {size} entries and ")), "{}", run.stdout);
        assert!(run.stdout.contains(&lawful), "{}", run.stdout);
        let object = site.audit(&["--json"]).ends(0).object();
        assert_eq!((&object["proven"], &object["size"]), (&true.into(), &size.into()));
    }
}

#[test]
fn a_flipped_bit_in_any_file_is_named() {
    let dir = dir();
    let site = Site::of(dir.path(), 600);
    for path in site.files() {
        let sound = std::fs::read(&path).unwrap();
        for at in [0, sound.len() / 2, sound.len() - 2] {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let run = site.audit(&[]);
            let name = path.strip_prefix(dir.path()).unwrap().display().to_string();
            let all = format!("{}{}", run.stdout, run.stderr);
            assert_eq!(run.code, 1, "{name} byte {at}:\n{all}");
            assert!(all.contains(&name), "{name} byte {at} is not named:\n{all}");
        }
        std::fs::write(&path, sound).unwrap();
    }
    site.audit(&[]).ends(0);
}

#[test]
fn an_altered_entry_is_named_alone() {
    let dir = dir();
    let site = Site::of(dir.path(), 600);
    let path = dir.path().join("tile/entries/001");
    let mut bytes = std::fs::read(&path).unwrap();
    let needle = b"Decision 300";
    let at = bytes.windows(needle.len()).position(|w| w == needle).unwrap();
    bytes[at] = b'd';
    std::fs::write(&path, bytes).unwrap();
    let object = site.audit(&["--json"]).ends(1).object();
    let problems = object["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((&problems[0]["problem"], &problems[0]["index"]), (&"altered".into(), &300.into()));
    let message = problems[0]["message"].as_str().unwrap();
    assert!(message.contains("tile/0/001 and the signed root hold"), "{message}");
}

#[test]
fn missing_files_are_named() {
    for name in ["tile/0/001", "tile/1/000.p/2", "tile/entries/000"] {
        let dir = dir();
        let site = Site::of(dir.path(), 600);
        std::fs::remove_file(dir.path().join(name)).unwrap();
        let run = site.audit(&[]).ends(1);
        assert!(run.stdout.contains(&format!("{name}: is missing")), "{}", run.stdout);
    }
}

#[test]
fn a_tree_rewritten_with_its_tiles_does_not_lead_to_the_signed_root() {
    let dir = dir();
    let site = Site::of(dir.path(), 9);
    let signed = std::fs::read(dir.path().join("checkpoint")).unwrap();
    let mut forged = Site::founded(dir.path());
    forged.push((1..9).map(|i| entry(START + i, decision(40 + i).as_bytes())));
    std::fs::write(dir.path().join("checkpoint"), signed).unwrap();
    let run = site.audit(&[]).ends(1);
    assert!(run.stdout.contains("the root of the 9 entries is"), "{}", run.stdout);
}

#[test]
fn unlawful_entries_are_listed_with_their_rule() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 3);
    let sign = |number, key: &_| {
        Draft::from_object(&decision_object(number)).unwrap().sign(&[key]).unwrap()
    };
    let mut other_log = decision_object(12);
    other_log.set("log", "another.example");
    let other_log = Draft::from_object(&other_log).unwrap().sign(&[&member_key()]).unwrap();
    let mut same_id = decision_object(1);
    same_id.set("outcome", "b");
    let same_id = Draft::from_object(&same_id).unwrap().sign(&[&member_key()]).unwrap();
    site.push([
        entry(START + 10, sign(10, &key(MEMBER, 66)).as_bytes()),
        entry(START + 10, sign(11, &key("stranger.example", 67)).as_bytes()),
        entry(START + 10, other_log.as_bytes()),
        entry(START + 10, decision(2).as_bytes()),
        entry(START + 10, same_id.as_bytes()),
        entry(START + 9, decision(13).as_bytes()),
        entry(START + 10, charter().as_bytes()),
        entry(START + 10, b"not a record\n"),
        b"no logged line".to_vec(),
        entry(START + 10, decision(14).as_bytes()),
    ]);
    let object = site.audit(&["--json"]).ends(1).object();
    let problems = object["problems"].as_array().unwrap();
    let expected = [
        (3, "is not in the charter"),
        (4, "is not in the charter"),
        (5, "meant for the log"),
        (6, "its statement is already in entry 2"),
        (7, "its issuer used its id already for entry 1"),
        (8, "lies before the entry before it"),
        (9, "its statement is already in entry 0"),
        (10, ""),
        (11, "does not begin with a line"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (index, rule)) in problems.iter().zip(expected) {
        assert_eq!((&problem["index"], &problem["problem"]), (&index.into(), &"unlawful".into()));
        assert!(problem["message"].as_str().unwrap().contains(rule), "{problem}");
    }
    assert_eq!(object["lawful"], 4);
    site.audit(&["--opaque"]).ends(0);
}

/// A record of a kind that this version does not build, signed by hand.
fn unsupported(kind: &str, number: u64) -> Vec<u8> {
    let json =
        decision_object(number).to_pretty_json().replace("\"decision\"", &format!("{kind:?}"));
    let text = format!("ledger-record/v1\n{json}\n");
    let line = member_key().sign_text(&text);
    ledger_core::note::Note::new(&text, vec![line]).unwrap().to_string().into_bytes()
}

#[test]
fn kinds_of_later_versions_cannot_be_judged_and_are_never_unlawful() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 3);
    site.push([
        entry(START + 10, &unsupported("risk", 20)),
        entry(START + 11, decision(21).as_bytes()),
    ]);
    let object = site.audit(&["--json"]).ends(0).object();
    assert_eq!((&object["cannot_judge"], &object["lawful"]), (&1.into(), &4.into()));
    // after a change of the charter that is not followed, nobody's authority is known
    let stranger = Draft::from_object(&decision_object(23)).unwrap();
    let stranger = stranger.sign(&[&key("new-member.example", 90)]).unwrap();
    site.push([
        entry(START + 12, &unsupported("membership", 22)),
        entry(START + 13, stranger.as_bytes()),
        entry(START + 14, decision(24).as_bytes()),
    ]);
    let object = site.audit(&["--json"]).ends(0).object();
    assert_eq!((&object["cannot_judge"], &object["lawful"]), (&4.into(), &4.into()));
}

#[test]
fn opaque_logs_are_checked_as_trees_only() {
    let dir = dir();
    let mut site = Site::bare(dir.path());
    site.push((0..300u64).map(|i| i.to_be_bytes().to_vec()));
    let run = site.audit(&["--opaque"]).ends(0);
    assert!(run.stdout.contains("entries are opaque"), "{}", run.stdout);
    let run = site.audit(&[]).ends(1);
    assert!(run.stdout.contains("entry 0: it founds no log of ours"), "{}", run.stdout);
    let path = dir.path().display().to_string();
    ledger(["audit", &path, "--opaque"]).fails(2, "an opaque log's key is not known");
}

#[test]
fn the_key_may_come_from_the_log_loudly_from_an_anchor_or_from_a_policy() {
    let dir = dir();
    let site = Site::of(&dir.path().join("site"), 5);
    let path = dir.path().display().to_string();
    let run = ledger(["audit", &path]).ends(0);
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("trusts the log itself"));
    assert!(run.stdout.contains("the key was the log's own claim"), "{}", run.stdout);
    let anchor = charter().statement().to_string();
    let run = ledger(["audit", &path, "--anchor", &anchor]).ends(0);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    let zero = "0".repeat(64);
    ledger(["audit", &path, "--anchor", &zero]).fails(1, "not the anchor");
    let policy = format!("log {}\nquorum none\n", log_key().verifier());
    let policy = write(dir.path(), "policy", policy);
    ledger(["audit", &path, "--policy", &policy]).ends(0);
    let stranger = key(common::ORIGIN, 8).verifier().to_string();
    let run = ledger(["audit", &path, "--vkey", &stranger]);
    run.fails(1, "no known key of the log");
    drop(site);
}

#[test]
fn since_proves_growth_and_finds_a_rewritten_past() {
    let dir = dir();
    let old = Site::of(&dir.path().join("old"), 9);
    let new = Site::of(&dir.path().join("new"), 300);
    let since = old.dir.join("checkpoint").display().to_string();
    let run = new.audit(&["--since", &since]).ends(0);
    assert!(run.stdout.contains("the log only grew since size 9"), "{}", run.stdout);
    let mut fork = Site::founded(&dir.path().join("fork"));
    fork.push((1..9).map(|i| entry(START + i, decision(100 + i).as_bytes())));
    let since = fork.dir.join("checkpoint").display().to_string();
    let run = new.audit(&["--since", &since]).ends(1);
    assert!(run.stdout.contains("the log was rewritten"), "{}", run.stdout);
    let since = new.dir.join("checkpoint").display().to_string();
    let run = old.audit(&["--since", &since]).ends(1);
    assert!(run.stdout.contains("the log shrank: from 300 entries to 9"), "{}", run.stdout);
}

#[test]
fn bytes_behind_the_last_entry_are_named() {
    let dir = dir();
    let site = Site::of(dir.path(), 300);
    for name in ["tile/entries/000", "tile/entries/001.p/44", "tile/0/001.p/44"] {
        let path = dir.path().join(name);
        let sound = std::fs::read(&path).unwrap();
        std::fs::write(&path, [sound.as_slice(), b"more"].concat()).unwrap();
        let run = site.audit(&[]).ends(1);
        assert!(run.stdout.contains(&format!("damaged {name}: it ")), "{name}: {}", run.stdout);
        std::fs::write(&path, sound).unwrap();
    }
}

#[test]
fn full_files_stand_in_for_partial_ones_that_are_gone() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 300);
    let checkpoint = std::fs::read(dir.path().join("checkpoint")).unwrap();
    site.push((300..600).map(|i| entry(START + i, decision(i).as_bytes())));
    for folder in ["tile/entries/001.p", "tile/0/001.p"] {
        std::fs::remove_dir_all(dir.path().join(folder)).unwrap();
    }
    std::fs::write(dir.path().join("checkpoint"), checkpoint).unwrap();
    let run = site.audit(&[]).ends(0);
    assert!(run.stdout.contains("proven 300 entries"), "{}", run.stdout);
}
