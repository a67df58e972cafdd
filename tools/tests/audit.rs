//! `ledger audit` on directories made with the core: sound ones pass, each damage is named.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{
    MEMBER, START, Site, charter, decision, decision_object, dir, entry, governed, key, ledger,
    log_key, member_key, membership_object, write,
};
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::note::{Note, Signature, SignerKey};
use ledger_core::record::{Draft, Object, Record, SealPath, SealPlan, seal};

#[test]
fn a_sound_log_is_proven_at_any_size() {
    for size in [1, 2, 255, 256, 257, 700] {
        let dir = dir();
        let site = Site::of(dir.path(), size);
        let run = site.audit(&[]).ends(0);
        let lawful = format!("{size} entries: {size} lawful; {size} signatures valid");
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

/// Finds a text in a file, and changes its first byte to `d`.
fn alter(path: &Path, text: &[u8]) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    bytes[at] = b'd';
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_altered_entry_is_named_alone() {
    let dir = dir();
    let site = Site::of(dir.path(), 600);
    let path = dir.path().join("tile/entries/001");
    alter(&path, b"Decision 300");
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

/// The bytes of a record with any object and any signature lines.
fn note(object: &str, lines: Vec<Signature>) -> Vec<u8> {
    let text = format!("ledger-record/v1\n{object}\n");
    Note::new(&text, lines).unwrap().to_string().into_bytes()
}

/// A membership change that adds a key of a type from a later version.
fn of_later_type(number: u64) -> Record {
    // a type byte that this version does not know, and a key's bytes
    let data = "BQ".to_owned() + &"A".repeat(42);
    let change = Object::new()
        .with("action", "add_key")
        .with("member", common::MEMBER)
        .with("vkey", format!("{}+00000000+{data}", common::MEMBER))
        .with("use", "record");
    let base = charter().statement().to_string();
    let draft = Draft::from_object(&membership_object(number, &base, vec![change])).unwrap();
    draft.sign(&[&member_key()]).unwrap()
}

/// A lawful change that admits another publisher.
fn admission(number: u64, key: &SignerKey) -> Record {
    let role = Object::new().with("role", "publisher");
    let own = Object::new().with("vkey", key.verifier().to_string()).with("use", "record");
    let change = Object::new()
        .with("action", "admit")
        .with("member", key.verifier().name().as_str())
        .with("roles", vec![role])
        .with("keys", vec![own]);
    let base = charter().statement().to_string();
    let draft = Draft::from_object(&membership_object(number, &base, vec![change])).unwrap();
    draft.sign(&[&member_key()]).unwrap()
}

/// A record with an invalid signature in the key's name.
fn forged(object: &str, key: &SignerKey) -> Vec<u8> {
    let name = key.verifier().name().clone();
    note(object, vec![Signature::new(name, key.verifier().id(), vec![0; 64])])
}

#[test]
fn what_this_version_cannot_judge_is_never_unlawful() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 3);
    let stranger = Draft::from_object(&decision_object(23)).unwrap();
    let stranger = stranger.sign(&[&key("new-member.example", 90)]).unwrap();
    // after a change of the charter that cannot be judged, no member's authority is known
    site.push([
        entry(START + 12, of_later_type(22).as_bytes()),
        governed(START + 13, 3, stranger.as_bytes()),
        governed(START + 14, 3, decision(24).as_bytes()),
    ]);
    let run = site.audit(&[]).ends(1);
    assert!(run.stdout.starts_with("NOT PROVEN partly: 0 problem(s)"), "{}", run.stdout);
    assert!(run.stdout.contains("6 entries: 3 lawful, 3 not judged"), "{}", run.stdout);
    assert!(!run.stdout.contains("proven"), "{}", run.stdout);
    let object = site.audit(&["--json"]).ends(1).object();
    assert_eq!((&object["cannot_judge"], &object["lawful"]), (&3.into(), &3.into()));
    assert_eq!((&object["proven"], &object["judged"]), (&false.into(), &"partly".into()));
    assert_eq!(object["reasons"].as_array().unwrap().len(), 2, "{object}");
}

#[test]
fn an_unsigned_record_never_switches_the_audit_off() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 3);
    let stranger_key = key("stranger.example", 67);
    let stranger = Draft::from_object(&decision_object(21)).unwrap();
    let stranger = stranger.sign(&[&stranger_key]).unwrap();
    let sealed = with_seal(25).json().to_owned();
    let elsewhere = decision_object(24).with("log", "another.example");
    let elsewhere = Draft::from_object(&elsewhere).unwrap().sign(&[&member_key()]).unwrap();
    let by_stranger = Draft::from_object(&decision_object(26)).unwrap();
    let by_stranger = by_stranger.sign(&[&stranger_key]).unwrap();
    let json = |object: Object| object.to_pretty_json();
    let base = charter().statement().to_string();
    let change = |number| {
        let change = Object::new().with("action", "expel").with("member", common::MEMBER);
        json(membership_object(number, &base, vec![change]))
    };
    site.push([
        entry(START + 10, &forged(&change(20), &stranger_key)),
        entry(START + 10, stranger.as_bytes()),
        entry(START + 10, b"not a record\n"),
        b"no logged line".to_vec(),
        entry(START + 10, &forged(&change(22), &member_key())),
        entry(START + 10, &forged(&json(decision_object(23)), &member_key())),
        entry(START + 10, elsewhere.as_bytes()),
        entry(START + 10, &forged(&sealed, &member_key())),
        entry(START + 10, by_stranger.as_bytes()),
    ]);
    let object = site.audit(&["--json"]).ends(1).object();
    let expected = [
        (3, "is not in the charter"),
        (4, "is not in the charter"),
        (5, "not a signed note"),
        (6, "does not begin with a line"),
        (7, "does not verify"),
        (8, "does not verify"),
        (9, "meant for the log"),
        (10, "does not verify"),
        (11, "is not in the charter"),
    ];
    assert_unlawful(&object, &expected);
    assert_eq!((&object["lawful"], &object["cannot_judge"]), (&3.into(), &0.into()));
}

#[test]
fn every_entry_is_judged_by_the_charter_as_it_was_at_its_index() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 3);
    let newcomer = key("new-member.example", 90);
    let by_newcomer = |number: u64| {
        let object = decision_object(number).with("issuer", "new-member.example");
        Draft::from_object(&object).unwrap().sign(&[&newcomer]).unwrap()
    };
    let id = ledger_core::record::RecordId::from_parts(START * 1000, [9; 10]).to_string();
    let again = charter().body().clone().with("id", id);
    let again = Draft::from_object(&again).unwrap().sign(&[&member_key()]).unwrap();
    let forged = forged(&decision_object(34).to_pretty_json(), &member_key());
    let month = 31 * 86_400;
    site.push([
        entry(START + 10, by_newcomer(30).as_bytes()),
        entry(START + 10, admission(31, &newcomer).as_bytes()),
        governed(START + 10, 4, by_newcomer(32).as_bytes()),
        governed(START + 10, 4, b"not a record\n"),
        b"no logged line".to_vec(),
        governed(START + 10, 4, again.as_bytes()),
        governed(START + 10, 2, decision(33).as_bytes()),
        governed(START + 10, 0, decision(36).as_bytes()),
        governed(START + 10, 4, &forged),
        governed(START + 10, 4, admission(37, &key("late.example", 91)).as_bytes()),
        governed(START + month, 4, decision(35).as_bytes()),
    ]);
    let object = site.audit(&["--json"]).ends(1).object();
    let base = charter().statement().to_string();
    let stale = format!("base is {base}, but the latest governance statement is ");
    let expected = [
        (3, "is not in the charter"),
        (6, "not a signed note"),
        (7, "does not begin with a line"),
        (8, "a charter stands only at index 0"),
        (9, "names governance entry 2, but the latest is 4"),
        (10, "names governance entry 0, but the latest is 4"),
        (11, "does not verify"),
        (12, stale.as_str()),
        (13, "before the log's time"),
    ];
    assert_unlawful(&object, &expected);
    assert_eq!((&object["lawful"], &object["cannot_judge"]), (&5.into(), &0.into()));
}

#[track_caller]
fn assert_unlawful(object: &serde_json::Value, expected: &[(u64, &str)]) {
    let problems = object["problems"].as_array().unwrap();
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (index, rule)) in problems.iter().zip(expected) {
        let found = (&problem["index"], &problem["problem"]);
        assert_eq!(found, (&(*index).into(), &"unlawful".into()), "{problems:#?}");
        assert!(problem["message"].as_str().unwrap().contains(rule), "{rule}: {problem}");
    }
}

/// A decision with a sealed member.
fn with_seal(number: u64) -> Draft {
    let object = decision_object(number);
    let plan = SealPlan::new([SealPath::parse("rationale").unwrap()]);
    let sealed = seal(&Draft::from_object(&object).unwrap(), &plan, || [7; 16]).unwrap();
    sealed.draft().clone()
}

#[test]
fn records_with_sealed_members_are_judged_like_others() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 3);
    let lawful = with_seal(20).sign(&[&member_key()]).unwrap();
    site.push([entry(START + 10, lawful.as_bytes())]);
    let object = site.audit(&["--json"]).ends(0).object();
    assert_eq!((&object["lawful"], &object["cannot_judge"]), (&4.into(), &0.into()));
    let stranger = with_seal(21).sign(&[&key("stranger.example", 67)]).unwrap();
    let claimed = decision_object(22).with("sealed", vec![Object::new().with("path", "rationale")]);
    let claimed = claimed.to_pretty_json();
    let line = member_key().sign_text(&format!("ledger-record/v1\n{claimed}\n"));
    site.push([
        entry(START + 11, stranger.as_bytes()),
        entry(START + 11, &note(&claimed, vec![line])),
    ]);
    let object = site.audit(&["--json"]).ends(1).object();
    let expected = [(4, "is not in the charter"), (5, "which stands in the open")];
    assert_unlawful(&object, &expected);
}

#[test]
fn an_auditor_whose_clock_is_slow_condemns_nobody() {
    let dir = dir();
    let now = ledger_tools::environment::now();
    let mut site = Site::of(dir.path(), 3);
    let fresh = |number| {
        let issued = ledger_core::record::format_time(now + 5_000);
        let object = decision_object(number).with("issued_at", issued);
        Draft::from_object(&object).unwrap().sign(&[&member_key()]).unwrap()
    };
    site.push([entry(now + 5_000, fresh(50).as_bytes()), entry(now + 5_001, fresh(51).as_bytes())]);
    let run = site.audit(&[]).ends(0);
    assert!(run.stdout.contains("entry 3 and 1 more are up to"), "{}", run.stdout);
    assert!(run.stdout.contains("s ahead of this machine's clock"), "{}", run.stdout);
    let object = site.audit(&["--json"]).ends(0).object();
    assert_eq!((&object["ahead_of_clock"]["entries"], &object["lawful"]), (&2.into(), &5.into()));
    // a time before that of the previous entry is the log's fault by any clock
    site.push([entry(now + 4_990, fresh(52).as_bytes()), entry(now + 4_991, fresh(53).as_bytes())]);
    let object = site.audit(&["--json"]).ends(1).object();
    assert_unlawful(&object, &[(5, "lies before the entry before it")]);
}

/// Signs the site's head with a key, for the log that the key names.
fn sign_as(site: &Site, key: &SignerKey) {
    let bytes = std::fs::read(site.dir.join("checkpoint")).unwrap();
    let head = *ClaimedCheckpoint::parse(&bytes).unwrap().checkpoint().head();
    let origin = Origin::new(key.verifier().name().as_str()).unwrap();
    let signed = Checkpoint::new(origin, head).sign(key).to_string();
    std::fs::write(site.dir.join("checkpoint"), signed).unwrap();
}

#[test]
fn the_entries_of_one_log_under_the_head_of_another_are_not_proven() {
    let dir = dir();
    let site = Site::of(dir.path(), 5);
    let path = dir.path().display().to_string();
    let other = key("another.example/log", 44);
    sign_as(&site, &other);
    let vkey = other.verifier().to_string();
    let run = ledger(["audit", &path, "--vkey", &vkey]).ends(1);
    assert!(run.stdout.contains("but the checkpoint is of"), "{}", run.stdout);
    let policy = tempfile::NamedTempFile::new().unwrap();
    let stranger = key(common::ORIGIN, 45);
    sign_as(&site, &stranger);
    let vkey = stranger.verifier().to_string();
    std::fs::write(policy.path(), format!("log {vkey}\nquorum none\n")).unwrap();
    let policy = policy.path().display().to_string();
    for args in [["--vkey", vkey.as_str()], ["--policy", policy.as_str()]] {
        let run = ledger(["audit", &path].iter().chain(&args)).ends(1);
        assert!(run.stdout.contains("is not a log key of the charter"), "{}", run.stdout);
    }
    sign_as(&site, &log_key());
    site.audit(&[]).ends(0);
}

#[test]
fn opaque_logs_are_checked_as_trees_only() {
    let dir = dir();
    let mut site = Site::bare(dir.path());
    site.push((0..300u64).map(|i| i.to_be_bytes().to_vec()));
    let run = site.audit(&["--opaque"]).ends(0);
    assert!(run.stdout.contains("entries are opaque"), "{}", run.stdout);
    let run = site.audit(&[]).ends(1);
    assert!(run.stdout.contains("entry 0: it is not a valid charter"), "{}", run.stdout);
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
    assert!(run.stdout.contains("the log has only grown since size 9"), "{}", run.stdout);
    let mut fork = Site::founded(&dir.path().join("fork"));
    fork.push((1..9).map(|i| entry(START + i, decision(100 + i).as_bytes())));
    let since = fork.dir.join("checkpoint").display().to_string();
    let run = new.audit(&["--since", &since]).ends(1);
    assert!(run.stdout.contains("the log was rewritten"), "{}", run.stdout);
    let since = new.dir.join("checkpoint").display().to_string();
    let run = old.audit(&["--since", &since]).ends(3);
    assert!(run.stdout.contains("the log shrank from 300 entries to 9"), "{}", run.stdout);
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

/// Serves a folder over HTTP for as long as the test runs.
fn serve(folder: std::path::PathBuf) -> String {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            // reads the rest of the request head, so that closing does not reset the connection
            let _ = lines.take_while(|line| !line.is_empty()).count();
            let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
            let (status, body) =
                match (path.strip_prefix("moved/"), std::fs::read(folder.join(path))) {
                    (Some(_), _) => {
                        ("302 Found\r\nLocation: http://elsewhere.example/", Vec::new())
                    }
                    (None, Ok(body)) => ("200 OK", body),
                    (None, Err(_)) => ("404 Not Found", Vec::new()),
                };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    url
}

#[test]
fn full_tiles_and_bundles_are_audited_over_http_and_redirects_are_not_followed() {
    let dir = dir();
    let site = Site::of(dir.path(), 700);
    let url = serve(site.dir.clone());
    let vkey = log_key().verifier().to_string();
    let run = ledger(["audit", &url, "--vkey", &vkey]).ends(0);
    assert!(run.stdout.contains("700 entries: 700 lawful; 700 signatures valid"), "{}", run.stdout);
    let moved = format!("{url}/moved");
    let run = ledger(["audit", &moved, "--vkey", &vkey]);
    run.fails(3, "redirects to http://elsewhere.example/");
}

#[test]
fn what_lies_beside_the_signed_tree_is_told_of() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 9);
    site.push((9..20).map(|i| entry(START + i, decision(i).as_bytes())));
    let old = dir.path().join("tile/0/000.p/9");
    assert!(old.exists());
    assert_eq!(site.audit(&["--json"]).ends(0).object()["warnings"].as_array().unwrap().len(), 0);
    write(&dir.path().join("tile"), "notes.txt", "hello");
    write(&dir.path().join("tile/0"), "004", [0; 8192]);
    let run = site.audit(&[]).ends(0);
    assert!(run.stderr.contains("tile/notes.txt is not a file of a log"), "{}", run.stderr);
    assert!(run.stderr.contains("tile/0/004 is beyond the signed tree of 20"), "{}", run.stderr);
    let mut bytes = std::fs::read(&old).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&old, bytes).unwrap();
    let run = site.audit(&[]).ends(1);
    assert!(run.stdout.contains("tile/0/000.p/9: it is not the beginning of"), "{}", run.stdout);
}

#[test]
fn an_empty_log_is_not_one_of_ours() {
    let dir = dir();
    let mut site = Site::bare(dir.path());
    site.push([]);
    site.audit(&[]).fails(1, "the log is empty");
    site.audit(&["--opaque"]).ends(0);
}

#[test]
fn an_altered_entry_does_not_condemn_the_older_files_that_still_have_it_right() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 9);
    site.push((9..20).map(|i| entry(START + i, decision(i).as_bytes())));
    assert!(dir.path().join("tile/entries/000.p/9").exists());
    let path = dir.path().join("tile/entries/000.p/20");
    alter(&path, b"Decision 3");
    let object = site.audit(&["--json"]).ends(1).object();
    let problems = object["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0]["index"], 3);
}
