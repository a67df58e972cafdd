//! What `audit`, `register` and `prove` report about a damaged or incomplete copy: each entry has
//! one fate.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::damage::{Answer, Served, fates, make_unreadable, run_as_nobody};
use common::{
    ORIGIN, START, Site, charter, decision, dir, entry, governed, key, ledger, log_key, member_key,
    membership_object,
};
use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::hash::Hash;
use ledger_core::index::TreeSize;
use ledger_core::merkle::TreeHead;
use ledger_core::record::{Draft, Object, Record};
use ledger_core::tile::append_entry;

/// A log of 600 entries has three bundles; the last is partial.
const SIZE: u64 = 600;
const BUNDLES: [&str; 3] = ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"];

fn vkey() -> String {
    log_key().verifier().to_string()
}

/// Replaces entries of a bundle by empty ones, as a mirror that withholds them does.
fn withhold(site: &Site, path: &str, first: u64, withheld: &[u64]) {
    let mut bundle = Vec::new();
    for (at, bytes) in (first..).zip(&site.entries[first as usize..]).take(256) {
        let bytes: &[u8] = if withheld.contains(&at) { b"" } else { bytes };
        append_entry(&mut bundle, bytes).unwrap();
    }
    std::fs::write(site.dir.join(path), bundle).unwrap();
}

#[test]
fn an_empty_bundle_is_damaged() {
    let sets: [&[usize]; 5] = [&[0], &[1], &[2], &[0, 1, 2], &[1, 2]];
    for emptied in sets {
        let dir = dir();
        let site = Site::of(dir.path(), SIZE);
        for at in emptied {
            std::fs::write(dir.path().join(BUNDLES[*at]), b"").unwrap();
        }
        let served = Served::folder(site.dir.clone());
        let anchor = charter().statement().to_string();
        for source in [dir.path().display().to_string(), served.url.clone()] {
            for trust in [["--vkey", &vkey()], ["--anchor", &anchor]] {
                let run = ledger([["audit", source.as_str()], trust].concat());
                let said = format!("{}{}", run.stdout, run.stderr);
                assert_eq!(run.code, 1, "{emptied:?} of {source}: {said}");
                assert!(!run.stdout.contains("proven "), "{emptied:?} of {source}: {said}");
            }
            let object = ledger(["audit", &source, "--vkey", &vkey(), "--json"]).ends(1).object();
            let lost: u64 = emptied.iter().map(|at| [256, 256, 88][*at]).sum();
            assert_eq!(fates(&object, SIZE)["damaged"], lost, "{object}");
            assert_eq!(object["verdict"], "damaged", "{object}");
            let opaque = ["audit", &source, "--vkey", &vkey(), "--opaque", "--json"];
            let object = ledger(opaque).ends(1).object();
            assert_eq!(fates(&object, SIZE)["damaged"], lost, "{object}");
            ledger(["register", "decisions", &source, "--vkey", &vkey()])
                .fails(1, "does not hold what its head commits to");
            let index = ["3", "300", "599"][emptied[0]];
            ledger(["prove", "--index", index, "--from", &source, "--anchor", &anchor])
                .fails(1, "tile/entries/");
        }
    }
}

#[test]
fn a_bundle_with_fewer_entries_is_torn() {
    let dir = dir();
    let site = Site::of(dir.path(), SIZE);
    let path = dir.path().join(BUNDLES[1]);
    let whole: Vec<u8> = std::fs::read(&path).unwrap();
    let mut ends = vec![0];
    for bytes in &site.entries[256..512] {
        ends.push(ends.last().unwrap() + 2 + bytes.len());
    }
    for kept in [1, 2, 128, 255] {
        std::fs::write(&path, &whole[..ends[kept]]).unwrap();
        let object = site.audit(&["--json"]).ends(1).object();
        let fates = fates(&object, SIZE);
        assert_eq!((fates["lawful"], fates["damaged"]), (344 + kept as u64, 256 - kept as u64));
        assert_eq!(object["problems"].as_array().unwrap().len(), 1, "{object}");
    }
}

/// A small random number generator with a seed, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % n
    }
}

/// Damages a file in one of several ways, and returns a name for the damage.
fn hurt(path: &Path, dice: &mut Dice) -> &'static str {
    let bytes = std::fs::read(path).unwrap();
    std::fs::remove_file(path).unwrap();
    let at = dice.below(bytes.len());
    match dice.below(7) {
        0 => "removed",
        1 => {
            std::fs::write(path, b"").unwrap();
            "emptied"
        }
        2 => {
            std::fs::write(path, &bytes[..at]).unwrap();
            "cut"
        }
        3 => {
            let mut bytes = bytes;
            bytes[at] ^= 1 << dice.below(8);
            std::fs::write(path, bytes).unwrap();
            "flipped"
        }
        4 => {
            std::fs::create_dir(path).unwrap();
            "a folder"
        }
        5 => {
            std::os::unix::fs::symlink(path, path).unwrap();
            "a link to itself"
        }
        _ => {
            std::fs::write(path, [bytes.as_slice(), b"more"].concat()).unwrap();
            "lengthened"
        }
    }
}

#[test]
fn every_index_has_one_fate() {
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let dir = dir();
        let size = [1, 5, 256, 257, 600][dice.below(5)];
        let site = Site::of(dir.path(), size);
        let mut files = site.files();
        files.pop();
        let mut how = Vec::new();
        for _ in 0..1 + dice.below(3) {
            let path = files.swap_remove(dice.below(files.len()));
            how.push((path.clone(), hurt(&path, &mut dice)));
            if files.is_empty() {
                break;
            }
        }
        let opaque = dice.below(3) == 0;
        let more: &[&str] = if opaque { &["--opaque", "--json"] } else { &["--json"] };
        let run = site.audit(more);
        let case = format!("seed {seed}, {size} entries, {how:?}\n{}{}", run.stdout, run.stderr);
        assert_eq!(run.code, 1, "{case}");
        let object = run.object();
        let fates = fates(&object, size);
        assert_eq!(object["proven"], false, "{case}");
        // no damage to a copy makes an entry unlawful
        assert_eq!((fates["unlawful"], fates["unread"]), (0, 0), "{case}");
        assert_eq!(object["verdict"], "damaged", "{case}");
        let holds_entries = |path: &PathBuf| path.display().to_string().contains("/entries/");
        if how.len() == 1 && !holds_entries(&how[0].0) {
            let right = if opaque { "opaque" } else { "lawful" };
            assert_eq!(fates[right], size, "{case}");
        }
    }
}

#[test]
fn counting_goes_on_behind_the_problems_that_are_printed() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 3);
    site.push((0..300).map(|i| entry(START + 10, format!("no record {i}\n").as_bytes())));
    let object = site.audit(&["--json"]).ends(1).object();
    assert_eq!(fates(&object, 303)["unlawful"], 300, "{object}");
    assert_eq!(object["problems"].as_array().unwrap().len(), 100);
    assert_eq!(object["problems_left_out"], 200);
}

#[test]
fn withheld_entries_are_named_and_may_be_allowed() {
    let dir = dir();
    let site = Site::of(dir.path(), SIZE);
    withhold(&site, BUNDLES[0], 0, &[17, 40]);
    let run = site.audit(&[]).ends(1);
    assert!(run.stdout.contains("598 lawful, 2 withheld: 17, 40"), "{}", run.stdout);
    assert!(run.stdout.contains("ask the log's own node"), "{}", run.stdout);
    assert!(run.stdout.contains(&dir.path().display().to_string()), "{}", run.stdout);
    let object = site.audit(&["--json"]).ends(1).object();
    assert_eq!((&object["verdict"], &object["proven"]), (&"partly".into(), &false.into()));
    assert_eq!(fates(&object, SIZE)["withheld"], 2);
    let run = site.audit(&["--allow-withheld", "17,40"]).ends(0);
    assert!(run.stdout.starts_with("proven but for 2 withheld entries"), "{}", run.stdout);
    let object = site.audit(&["--allow-withheld", "17,40", "--json"]).ends(0).object();
    assert_eq!(object["proven"], false, "{object}");
    site.audit(&["--allow-withheld", "17"]).ends(1);
    let dir = dir.path().display().to_string();
    ledger(["register", "decisions", &dir, "--vkey", &vkey()]).fails(1, "2 withheld: 17, 40");
    // an altered length field is damage, and withholds no entry
    let path = site.dir.join(BUNDLES[1]);
    let mut bytes = std::fs::read(&path).unwrap();
    (bytes[0], bytes[1]) = (0, 0);
    std::fs::write(&path, bytes).unwrap();
    let object = site.audit(&["--json"]).ends(1).object();
    assert_eq!(object["verdict"], "damaged", "{object}");
}

#[test]
fn an_entry_that_is_not_withheld_is_not_allowed_in_silence() {
    let dir = dir();
    let site = Site::of(dir.path(), SIZE);
    withhold(&site, BUNDLES[0], 0, &[17]);
    let beyond = "--allow-withheld names entry 600 of a log of 600 entries";
    site.audit(&["--allow-withheld", "17,600"]).fails(2, beyond);
    let run = site.audit(&["--allow-withheld", "599,17,40"]).ends(0);
    let remark = "--allow-withheld names 40, 599, which this source does not withhold";
    assert!(run.stderr.contains(remark), "{}", run.stderr);
    let object = site.audit(&["--allow-withheld", "599,17,40", "--json"]).ends(0).object();
    assert_eq!(object["warnings"][0], remark, "{object}");
    let run = site.audit(&["--allow-withheld", "17"]).ends(0);
    assert!(!run.stderr.contains("does not withhold"), "{}", run.stderr);
}

#[test]
fn an_empty_entry_of_an_opaque_log_is_an_entry() {
    let dir = dir();
    let mut site = Site::bare(dir.path());
    site.push([b"".to_vec(), b"one".to_vec(), b"".to_vec()]);
    let object = site.audit(&["--opaque", "--json"]).ends(0).object();
    assert_eq!(fates(&object, 3)["opaque"], 3);
    withhold(&site, "tile/entries/000.p/3", 0, &[1]);
    let object = site.audit(&["--opaque", "--json"]).ends(1).object();
    let fates = fates(&object, 3);
    assert_eq!((fates["opaque"], fates["withheld"]), (2, 1), "{object}");
}

/// A membership change that admits another publisher, with the charter as its base.
fn admission(number: u64) -> Record {
    let key = common::key("new-member.example", 90);
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

#[test]
fn a_withheld_norm_hides_nothing() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 3);
    let norm = admission(20);
    site.push([
        entry(START + 10, norm.as_bytes()),
        governed(START + 11, 3, decision(30).as_bytes()),
        governed(START + 12, 3, decision(31).as_bytes()),
    ]);
    let bundle = "tile/entries/000.p/6";
    // an entry that names the withheld entry as its rules cannot be judged; it is not unlawful
    withhold(&site, bundle, 0, &[3]);
    for more in [&["--json"][..], &["--json", "--allow-withheld", "3"]] {
        let object = site.audit(more).ends(1).object();
        let fates = fates(&object, 6);
        let counted = (fates["lawful"], fates["withheld"], fates["not_judged"]);
        assert_eq!(counted, (3, 1, 2), "{object}");
        assert_eq!(object["verdict"], "partly", "{object}");
    }
    // a damaged norm makes no later entry unlawful either
    withhold(&site, bundle, 0, &[]);
    let mut bytes = std::fs::read(dir.path().join(bundle)).unwrap();
    let norm_at = bytes.windows(8).position(|own| own == b"Change 2").unwrap();
    bytes[norm_at] ^= 1;
    std::fs::write(dir.path().join(bundle), &bytes).unwrap();
    let object = site.audit(&["--json"]).ends(1).object();
    let judged = fates(&object, 6);
    let counted = (judged["damaged"], judged["not_judged"], judged["unlawful"]);
    assert_eq!(counted, (1, 2, 0), "{object}");
    // no entry follows that shows whether the last one changed the rules
    withhold(&site, bundle, 0, &[5]);
    let run = site.audit(&["--allow-withheld", "5"]).ends(1);
    assert!(run.stdout.contains("unconfirmed"), "{}", run.stdout);
    let object = site.audit(&["--json", "--allow-withheld", "5"]).ends(1).object();
    assert_eq!(object["verdict"], "unconfirmed", "{object}");
    // a later entry names older rules, so the withheld entry changed nothing
    withhold(&site, bundle, 0, &[4]);
    site.audit(&["--allow-withheld", "4"]).ends(0);
}

#[test]
fn a_fifo_is_named_at_once() {
    let dir = dir();
    let site = Site::of(dir.path(), SIZE);
    let path = dir.path().join(BUNDLES[1]);
    let sound = std::fs::read(&path).unwrap();
    let source = dir.path().display().to_string();
    type Make = fn(&Path);
    let kinds: [(Make, &str); 4] = [
        (common::damage::fifo, "no regular file"),
        (|path| std::fs::create_dir(path).unwrap(), "no regular file"),
        (|path| std::os::unix::fs::symlink(path, path).unwrap(), "a symbolic link"),
        (|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()), "no regular file"),
    ];
    for (make, what) in kinds {
        std::fs::remove_file(&path).unwrap();
        make(&path);
        let run = site.audit(&[]).ends(1);
        assert!(run.stdout.contains(&format!("{}: is {what}", BUNDLES[1])), "{}", run.stdout);
        let object = site.audit(&["--json"]).ends(1).object();
        let fates = fates(&object, SIZE);
        assert_eq!((fates["lawful"], fates["damaged"]), (344, 256), "{object}");
        ledger(["register", "decisions", &source, "--vkey", &vkey()]).fails(1, "damaged");
        let prove = ["prove", "--index", "300", "--from", &source, "--policy", &policy(&site)];
        ledger(prove).fails(1, what);
        if std::fs::symlink_metadata(&path).unwrap().is_dir() {
            std::fs::remove_dir(&path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::write(&path, &sound).unwrap();
    }
    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    common::damage::fifo(&dir.path().join("checkpoint"));
    site.audit(&[]).fails(1, "no regular file");
}

fn policy(site: &Site) -> String {
    let path = site.dir.join("policy.txt");
    std::fs::write(&path, format!("log {}\nquorum none\n", vkey())).unwrap();
    path.display().to_string()
}

#[test]
fn an_unreadable_file_hides_nothing_else() {
    let dir = dir();
    let mut site = Site::of(dir.path(), SIZE);
    make_unreadable(&dir.path().join(BUNDLES[0]));
    let source = dir.path().display().to_string();
    let args = ["audit", &source, "--vkey", &vkey(), "--json", "--opaque"];
    let object = run_as_nobody(dir.path(), &args).ends(3).object();
    let counted = fates(&object, SIZE);
    assert_eq!((counted["opaque"], counted["unread"]), (344, 256), "{object}");
    assert_eq!(object["verdict"], "unread");
    // what contradicts the head still gives exit code 1
    let other = [entry(START + 900, b"not a record\n")];
    site.push(other);
    make_unreadable(&dir.path().join(BUNDLES[1]));
    let object = run_as_nobody(dir.path(), &args[..5]).ends(3).object();
    // entry 0 is unread: there is no charter to judge by
    assert_eq!(fates(&object, SIZE + 1)["not_judged"], 89, "{object}");
    std::fs::write(dir.path().join("tile/entries/002.p/89"), b"").unwrap();
    let object = run_as_nobody(dir.path(), &args[..5]).ends(1).object();
    assert_eq!(object["verdict"], "damaged", "{object}");
    ledger_fails_unread(dir.path(), &source);
}

fn ledger_fails_unread(dir: &Path, source: &str) {
    let args = ["register", "decisions", source, "--vkey", &vkey()];
    run_as_nobody(dir, &args).fails(1, "damaged");
}

#[test]
fn unread_files_hide_no_contradiction() {
    let dir = dir();
    let mut site = Site::of(dir.path(), SIZE);
    site.push([entry(START + 900, b"not a record\n")]);
    let folder = site.dir.clone();
    let served = Served::start(move |path| match path {
        "tile/entries/001" => Answer::Status("500 Internal Server Error"),
        path => Answer::file(&folder.join(path)),
    });
    let audit = |more: &[&str]| {
        let vkey = vkey();
        ledger(["audit", &served.url, "--vkey", &vkey].iter().chain(more))
    };
    let object = audit(&["--json"]).ends(1).object();
    let counted = fates(&object, SIZE + 1);
    assert_eq!((counted["unread"], counted["unlawful"]), (256, 1), "{object}");
    assert_eq!(object["verdict"], "unlawful", "{object}");
    // hash tiles reveal a rewritten past, whatever else is unread
    let mut fork = Site::founded(&dir.path().join("fork"));
    fork.push((1..300).map(|i| entry(START + i, decision(7000 + i).as_bytes())));
    let since = fork.dir.join("checkpoint").display().to_string();
    let object = audit(&["--json", "--since", &since]).ends(1).object();
    assert_eq!(object["verdict"], "contradicted", "{object}");
}

#[test]
fn three_unread_files_in_a_row_end_the_reading() {
    let dir = dir();
    let site = Site::of(dir.path(), 2000);
    let folder = site.dir.clone();
    let served = Served::start(move |path| match path {
        path if path.starts_with("tile/entries/001") || path.starts_with("tile/entries/002") => {
            Answer::Status("503 Service Unavailable")
        }
        path if path.starts_with("tile/0/001") || path.starts_with("tile/entries/003") => {
            Answer::Status("503 Service Unavailable")
        }
        path => Answer::file(&folder.join(path)),
    });
    let audit = ["audit", &served.url, "--vkey", &vkey(), "--opaque", "--json"];
    let object = ledger(audit).ends(3).object();
    let counted = fates(&object, 2000);
    assert_eq!((counted["opaque"], counted["unread"]), (256, 1744), "{object}");
}

#[test]
fn a_copy_that_hides_its_last_norm_vouches_for_nothing() {
    let dir = dir();
    let mut site = Site::of(dir.path(), 300);
    site.push([entry(START + 500, admission(20).as_bytes())]);
    let anchor = charter().statement().to_string();
    let source = dir.path().display().to_string();
    let prove = ["prove", "--index", "4", "--from", &source, "--anchor", &anchor];
    ledger(prove).ends(0);
    let path = dir.path().join("tile/entries/001.p/45");
    let whole = std::fs::read(&path).unwrap();
    // emptied
    std::fs::write(&path, b"").unwrap();
    ledger(prove).fails(1, "tile/entries/001.p/45");
    // withheld
    let mut bundle = Vec::new();
    for bytes in &site.entries[256..300] {
        append_entry(&mut bundle, bytes).unwrap();
    }
    let mut withheld = bundle.clone();
    append_entry(&mut withheld, b"").unwrap();
    std::fs::write(&path, &withheld).unwrap();
    ledger(prove).fails(1, "entry 300");
    // another record in its place, which names no change of the rules
    append_entry(&mut bundle, &entry(START + 500, decision(77).as_bytes())).unwrap();
    std::fs::write(&path, &bundle).unwrap();
    ledger(prove).fails(1, "entry 300");
    std::fs::write(&path, whole).unwrap();
    ledger(prove).ends(0);
}

#[test]
fn a_statement_that_is_not_found_may_be_among_what_could_not_be_checked() {
    let dir = dir();
    let site = Site::of(dir.path(), SIZE);
    let source = dir.path().display().to_string();
    let find = |number: u64| {
        let statement = decision(number).statement().to_string();
        let policy = policy(&site);
        ledger(["prove", "--statement", &statement, "--from", &source, "--policy", &policy])
    };
    find(300).ends(0);
    find(9000).fails(1, "none of its 600 entries has the statement");
    withhold(&site, BUNDLES[1], 256, &[300]);
    find(300).fails(1, "of 600 entries could not be checked");
    find(2).ends(0);
    std::fs::write(dir.path().join(BUNDLES[1]), b"").unwrap();
    find(300).fails(1, "256 of 600 entries could not be checked");
    find(2).ends(0);
}

#[test]
fn an_older_copy_is_behind() {
    let dir = dir();
    let old = Site::of(&dir.path().join("old"), 9);
    let new = Site::of(&dir.path().join("new"), 300);
    let since = new.dir.join("checkpoint").display().to_string();
    let object = old.audit(&["--since", &since, "--json"]).ends(3).object();
    assert_eq!(object["verdict"], "behind", "{object}");
}

/// Signs a head of this size for the site, which holds far fewer entries.
fn claim(site: &Site, size: u64) {
    let head = TreeHead { size: TreeSize::new(size).unwrap(), root: Hash::leaf(b"no tree") };
    let checkpoint = Checkpoint::new(Origin::new(ORIGIN).unwrap(), head).sign(&log_key());
    std::fs::write(site.dir.join("checkpoint"), checkpoint.to_string()).unwrap();
}

#[test]
fn a_size_that_the_source_does_not_hold_is_no_endless_work() {
    let dir = dir();
    let site = Site::of(dir.path(), 3);
    let size = (1 << 62) + 5;
    claim(&site, size);
    let object = site.audit(&["--json"]).ends(1).object();
    let counted = fates(&object, size);
    assert_eq!(object["verdict"], "damaged", "{object}");
    assert_eq!((counted["lawful"], counted["missing"] > 0), (0, true), "{object}");
    assert!(counted["unread"] > size / 2, "{object}");
    site.audit(&["--opaque"]).ends(1);
    let source = dir.path().display().to_string();
    ledger(["register", "decisions", &source, "--vkey", &vkey()]).fails(1, "does not hold what");
    let (statement, policy) = (decision(1).statement().to_string(), policy(&site));
    ledger(["prove", "--statement", &statement, "--from", &source, "--policy", &policy])
        .fails(1, "could not be checked");
}

/// A log whose entry 300 adds a second log key, which signs the head.
fn rotated(dir: &Path) -> Site {
    let mut site = Site::of(dir, 300);
    let (old, new) = (log_key(), key(ORIGIN, 77));
    let both = format!("log {}\nlog {}\nquorum none\n", old.verifier(), new.verifier());
    let action = |action: &str| Object::new().with("action", action);
    let changes = vec![
        action("add_log_key").with("vkey", new.verifier().to_string()),
        action("set_policy").with("policy", both),
    ];
    let object = membership_object(9, &charter().statement().to_string(), changes)
        .with("kind", "norm")
        .with("version", "1")
        .with("effective_from", "2025-01-01T00:00:00Z")
        .with("text", "Another key signs.");
    let norm = Draft::from_object(&object).unwrap().sign(&[&member_key()]).unwrap();
    site.push([entry(START + 300, norm.as_bytes())]);
    site.push((301..SIZE).map(|i| governed(START + i, 300, decision(i).as_bytes())));
    let checkpoint = std::fs::read(dir.join("checkpoint")).unwrap();
    let claimed = ledger_core::checkpoint::ClaimedCheckpoint::parse(&checkpoint).unwrap();
    let signed = claimed.checkpoint().sign(&new);
    std::fs::write(dir.join("checkpoint"), signed.to_string()).unwrap();
    site
}

#[test]
fn a_head_under_rules_that_are_not_read_is_not_called_altered() {
    let dir = dir();
    let site = rotated(dir.path());
    let (source, anchor) = (dir.path().display().to_string(), charter().statement().to_string());
    let path = site.dir.join(BUNDLES[1]);
    for args in [&["audit", source.as_str()][..], &["audit", &source, "--anchor", &anchor]] {
        let whole = std::fs::read(&path).unwrap();
        run_as_nobody(dir.path(), args).ends(0);
        make_unreadable(&path);
        run_as_nobody(dir.path(), args).fails(3, BUNDLES[1]);
        std::fs::remove_file(&path).unwrap();
        let run = run_as_nobody(dir.path(), args).fails(1, BUNDLES[1]);
        assert!(!run.stderr.contains("hint: the file `checkpoint` was altered"), "{}", run.stderr);
        std::fs::write(&path, whole).unwrap();
    }
    // a head by a false key is refused, whatever else is read
    let mut site = Site::of(&dir.path().join("false"), 3);
    site.push([entry(START + 4, decision(4).as_bytes())]);
    let checkpoint = std::fs::read(site.dir.join("checkpoint")).unwrap();
    let claimed = ledger_core::checkpoint::ClaimedCheckpoint::parse(&checkpoint).unwrap();
    let signed = claimed.checkpoint().sign(&key(ORIGIN, 77));
    std::fs::write(site.dir.join("checkpoint"), signed.to_string()).unwrap();
    let source = site.dir.display().to_string();
    ledger(["audit", &source]).fails(1, "checkpoint: ");
}

#[test]
fn what_was_not_read_is_no_refusal() {
    let dir = dir();
    let site = Site::of(dir.path(), SIZE);
    let (source, policy) = (dir.path().display().to_string(), policy(&site));
    let anchor = charter().statement().to_string();
    let cases: [(&str, &[&str]); 4] = [
        (BUNDLES[0], &["audit", &source]),
        (BUNDLES[0], &["prove", "--index", "300", "--from", &source, "--anchor", &anchor]),
        (
            BUNDLES[2],
            &["prove", "--index", "300", "--authority", "--from", &source, "--policy", &policy],
        ),
        ("tile/0/001", &["prove", "--index", "300", "--from", &source, "--policy", &policy]),
    ];
    for (file, args) in cases {
        let path = dir.path().join(file);
        let named = if file.starts_with("tile/0/") { "a hash tile" } else { file };
        make_unreadable(&path);
        run_as_nobody(dir.path(), args).fails(3, named);
        std::fs::remove_file(&path).unwrap();
        run_as_nobody(dir.path(), args).fails(1, named);
        site.write_again();
    }
}
