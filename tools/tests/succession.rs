//! Leaving a log whose operator does not help: the note, its signatures, and the verdict.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    MEMBER, ORIGIN, Run, START, Site, charter, decision, dir, entry, key, ledger, log_key,
    member_key, membership_object, write, write_key,
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

/// A folder with a log in `old`, the charters of both logs, and the member's keys.
struct Case {
    folder: tempfile::TempDir,
    site: Site,
    new: String,
    first: String,
    lab: String,
    board: String,
}

impl Case {
    fn founded() -> Case {
        let folder = dir();
        let path = folder.path();
        Case {
            site: Site::founded(&path.join("old")),
            new: write(path, "new.record", successor().as_bytes()),
            first: write(path, "old.record", charter().as_bytes()),
            lab: write_key(path, "lab.key", &member_key()),
            board: write_key(path, "board.key", &board()),
            folder,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Logs a record by the rules of a governance entry.
    fn log(&mut self, governance: u64, record: &Record) {
        let time = START + self.site.size().get();
        self.site.push([common::governed(time, governance, record.as_bytes())]);
    }

    /// Copies the log's current files.
    fn copy(&self, name: &str) -> String {
        let to = self.path(name);
        for file in self.site.files() {
            let below = file.strip_prefix(&self.site.dir).unwrap();
            let target = std::path::Path::new(&to).join(below);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(&file, target).unwrap();
        }
        to
    }

    /// A note about the tree of a copy, signed by keys.
    fn note(&self, copy: &str, name: &str, keys: &[&str]) -> String {
        let (checkpoint, note) = (format!("{copy}/checkpoint"), self.path(name));
        let make = ["charter", "succeed", "--log-checkpoint", &checkpoint, "--source", copy];
        let more = ["--charter", &self.new, "-o", &note];
        let keys = keys.iter().flat_map(|key| ["--key", *key]);
        ledger(make.into_iter().chain(more).chain(keys)).ends(0);
        note
    }

    fn verify(&self, note: &str, charter: &str, more: &[&str]) -> Run {
        let anchor = charter_id();
        let all = ["verify", note, "--anchor", &anchor, "--charter", charter];
        ledger(all.iter().chain(more))
    }
}

fn charter_id() -> String {
    charter().statement().to_string()
}

/// A membership record on a base, by a member.
fn membership(number: u64, base: &Record, by: &SignerKey, changes: Vec<Object>) -> Record {
    let object = membership_object(number, &base.statement().to_string(), changes)
        .with("issuer", by.verifier().name().as_str());
    Draft::from_object(&object).unwrap().sign(&[by]).unwrap()
}

fn admit(member: &str, key: &SignerKey) -> Object {
    let keys = Object::new().with("vkey", key.verifier().to_string()).with("use", "record");
    Object::new()
        .with("action", "admit")
        .with("member", member)
        .with("roles", vec![Object::new().with("role", "steward")])
        .with("keys", vec![keys])
}

fn expel(member: &str) -> Object {
    Object::new().with("action", "expel").with("member", member)
}

#[test]
fn members_leave_a_log_and_anybody_can_tell_that_they_were_enough() {
    let mut case = Case::founded();
    let changes = change();
    case.log(0, &changes[0]);
    case.log(1, &changes[1]);
    case.log(2, &decision(7));
    let (old, checkpoint) = (case.path("old"), case.path("old/checkpoint"));
    let note = case.note(&old, "new.succession", &[&case.lab]);
    let make = ["charter", "succeed", "--log-checkpoint", &checkpoint, "--source", &old];
    let again = ["--charter", &case.new, "-o", &note, "--key", &case.lab];
    assert_ne!(ledger(make.iter().chain(&again)).code, 0, "nothing is overwritten");

    // with the first charter alone one steward would be enough, but the log has changed that rule
    let source = ["--source", old.as_str()];
    let too_few = "a succession needs 2 member(s) with role \"steward\"; 1 signed";
    case.verify(&note, &case.first, &source).fails(1, too_few);
    let bundle = write_bundle(&case.site, &case.path("old.authority"));
    case.verify(&note, &bundle, &source).fails(1, too_few);

    ledger(["charter", "sign", &note, "--key", &case.board]).ends(0);
    ledger(["charter", "sign", &note, "--key", &case.board]).fails(1, "has signed already");
    let run = case.verify(&note, &bundle, &source).ends(0);
    let anchor_of_new = successor().statement().to_string();
    for part in [
        &format!("the log {ORIGIN} ends at size 4 for its members, {NEXT} follows"),
        &format!("the charter {anchor_of_new}; signed by board.example, {MEMBER}"),
        "enough by the charter in force at entry 2 and by the newest known rules",
        "rules known up to entry 3; no known entry is abandoned",
    ] {
        assert!(run.stdout.contains(part), "{}", run.stdout);
    }
    let json = case.verify(&note, &bundle, &[&source[..], &["--json"]].concat()).ends(0).object();
    let result = &json["results"][0];
    assert_eq!(result["charter"], anchor_of_new.as_str());
    assert_eq!(result["governed"]["index"], 2);
    assert_eq!(
        (&result["rules_known_to"], &result["abandoned"]["entries"]),
        (&3.into(), &0.into())
    );
    case.verify(&note, &case.first, &source).ends(0);

    // another size, another member's key
    let text = std::fs::read_to_string(&note).unwrap();
    let altered = text.replace("size 4\n", "size 3\n");
    let altered = write(case.folder.path(), "altered.succession", altered);
    case.verify(&altered, &bundle, &source).fails(1, "not proven to begin with the older one");
    let log = write_key(case.folder.path(), "log.key", &log_key());
    ledger(["charter", "sign", &note, "--key", &log]).ends(0);
    case.verify(&note, &bundle, &source).fails(1, "is not in the charter");
    ledger(["verify", &note]).fails(2, "without the charter of the log that it leaves");
    ledger(["charter", "sign", &case.first, "--key", &case.lab]).fails(1, "the first line is not");
}

#[test]
fn a_note_about_another_tree_is_not_proven() {
    let case = Case::founded();
    let old = Site::of(&case.folder.path().join("other"), 3).dir.display().to_string();
    let mut fork = Site::of(&case.folder.path().join("fork"), 2);
    fork.push([entry(START + 2, decision(9).as_bytes())]);
    let fork = case.path("fork");
    let note = case.note(&fork, "x.succession", &[&case.lab]);
    case.verify(&note, &case.first, &["--source", &fork]).ends(0);
    case.verify(&note, &case.first, &["--source", &old])
        .fails(1, "not proven to begin with the older one");
    let own = write(case.folder.path(), "own.record", charter().as_bytes());
    let checkpoint = format!("{fork}/checkpoint");
    let same = ["charter", "succeed", "--log-checkpoint", &checkpoint, "--source", &fork];
    let more = ["--charter", &own, "-o", &case.path("y"), "--key", &case.lab];
    ledger(same.iter().chain(&more)).fails(1, "its own successor");
    // files that do not lead to the checkpoint show nothing about its governance
    let other = ["charter", "succeed", "--log-checkpoint", &checkpoint, "--source", &old];
    let more = ["--charter", &case.new, "-o", &case.path("y"), "--key", &case.lab];
    ledger(other.iter().chain(&more)).fails(1, "is not in the tree of size 3");
}

#[test]
fn a_succession_without_its_tree_is_not_proven() {
    let mut case = Case::founded();
    case.log(0, &decision(1));
    let old = case.path("old");
    let note = case.note(&old, "new.succession", &[&case.lab]);
    let run = case.verify(&note, &case.first, &["--json"]);
    assert_eq!((run.code, &run.object()["results"][0]["proven"]), (1, &false.into()));
    case.verify(&note, &case.first, &[]).fails(1, "not-shown: that the tree of size 2");
    // the head alone does not show which rules its last entry names
    let checkpoint = format!("{old}/checkpoint");
    let head = ["--checkpoint", checkpoint.as_str()];
    case.verify(&note, &case.first, &head).fails(1, "not-shown: the last entry");
    case.verify(&note, &case.first, &["--source", &old]).ends(0);
    case.verify(&checkpoint, &case.first, &head).fails(2, "--checkpoint goes with a succession");
}

#[test]
fn expelled_members_decide_no_succession() {
    let mut case = Case::founded();
    let admitted = membership(1, &charter(), &member_key(), vec![admit("board.example", &board())]);
    case.log(0, &admitted);
    case.log(1, &decision(1));
    let then = case.copy("then");
    let expelled = membership(2, &admitted, &board(), vec![expel(MEMBER)]);
    case.log(1, &expelled);
    let note = case.note(&then, "new.succession", &[&case.lab]);
    let gone = format!("superseded: entry 3 expelled \"{MEMBER}\"");

    // the log's own files, or a newer bundle with an older copy: both show the expulsion
    let old = case.path("old");
    case.verify(&note, &case.first, &["--source", &old]).fails(1, &gone);
    let bundle = bundle_of(&case.site, &[0, 1, 3], 3, &case.path("new.authority"));
    case.verify(&note, &bundle, &["--source", &then]).fails(1, &gone);
    let now = case.note(&old, "now.succession", &[&case.lab]);
    case.verify(&now, &case.first, &["--source", &old]).fails(1, "by entry 3");

    // with less, the verdict says up to which entry the rules are known
    let run = case.verify(&note, &case.first, &["--source", &then]).ends(0);
    assert!(run.stdout.contains("rules known up to entry 2;"), "{}", run.stdout);
    let board = case.note(&then, "board.succession", &[&case.board]);
    case.verify(&board, &case.first, &["--source", &old]).ends(0);
}

#[test]
fn abandoned_entries_are_counted_and_governance_is_named() {
    let mut case = Case::founded();
    case.log(0, &decision(1));
    let then = case.copy("then");
    let note = case.note(&then, "new.succession", &[&case.lab]);
    case.log(0, &decision(2));
    let one = case.verify(&note, &case.first, &["--source", &case.path("old")]).ends(0);
    assert!(one.stdout.contains("1 entry after it is abandoned, none of them"), "{}", one.stdout);
    let admitted = membership(1, &charter(), &member_key(), vec![admit("board.example", &board())]);
    case.log(0, &admitted);
    case.log(3, &decision(3));
    let old = case.path("old");
    let source = ["--source", old.as_str()];
    let run = case.verify(&note, &case.first, &source).ends(0);
    let statement = admitted.statement();
    let abandoned = format!(
        "3 entries after it are abandoned, of them governance entry 3 (statement {statement})"
    );
    assert!(run.stdout.contains(&abandoned), "{}", run.stdout);
    let run = case.verify(&note, &case.first, &[source[0], source[1], "--json"]).ends(0).object();
    let shown = &run["results"][0]["abandoned"];
    assert_eq!(shown["entries"], 3);
    assert_eq!(shown["governance"][0]["index"], 3);
    assert_eq!(shown["governance"][0]["statement"], statement.to_string());
    // a checkpoint alone shows how large the log was
    let checkpoint = case.path("old/checkpoint");
    let more = ["--source", &then, "--checkpoint", &checkpoint];
    let run = case.verify(&note, &case.first, &more).ends(0);
    let unknown = "3 entries after it are abandoned, none of them known to be a governance entry";
    assert!(run.stdout.contains(unknown), "{}", run.stdout);
    assert!(run.stdout.contains("rules known up to entry 1;"), "{}", run.stdout);
}

#[test]
fn an_unlawful_change_bars_no_succession() {
    let mut case = Case::founded();
    case.log(0, &decision(1));
    let note = case.note(&case.copy("then"), "new.succession", &[&case.lab]);
    // the operator logs a change that no steward signed
    let forged = membership(1, &charter(), &board(), vec![expel(MEMBER)]);
    case.log(0, &forged);
    let run = case.verify(&note, &case.first, &["--source", &case.path("old")]).ends(0);
    let told = "rules known up to entry 1; entry 2 breaks the rules and changes none";
    assert!(run.stdout.contains(told), "{}", run.stdout);
}

#[test]
fn no_entry_that_breaks_the_rules_bars_a_succession() {
    let mut case = Case::founded();
    let admitted = membership(1, &charter(), &member_key(), vec![admit("board.example", &board())]);
    case.log(0, &admitted);
    case.log(1, &decision(1));
    let then = case.copy("then");
    let note = case.note(&then, "new.succession", &[&case.lab]);
    case.log(1, &decision(2));
    let time = START + 4;
    let forged = membership(1, &charter(), &board(), vec![expel(MEMBER)]);
    // entries that an operator may append so that the last entry no longer leads to the rules
    let ends: [(&str, Vec<Vec<u8>>); 6] = [
        ("no entry", vec![b"nothing".to_vec()]),
        ("no record", vec![b"logged 1735689700 1\nnothing\n".to_vec()]),
        ("a plain record", vec![common::governed(time, 2, decision(3).as_bytes())]),
        ("itself", vec![common::governed(time, 4, decision(3).as_bytes())]),
        ("none yet", vec![common::governed(time, 900, decision(3).as_bytes())]),
        (
            "an unlawful change",
            vec![
                common::governed(time, 1, forged.as_bytes()),
                common::governed(time, 4, decision(3).as_bytes()),
            ],
        ),
    ];
    for (what, end) in ends {
        let name = what.replace(' ', "-");
        let mut site = Site::bare(&case.folder.path().join(&name));
        site.push(case.site.entries.clone());
        site.push(end);
        let copy = case.path(&name);
        let run = case.verify(&note, &case.first, &["--source", &copy]);
        assert_eq!(run.code, 0, "{what}: {}{}", run.stdout, run.stderr);
        let told = "rules known up to entry 3; entry 4 breaks the rules and changes none";
        assert!(run.stdout.contains(told), "{what}: {}", run.stdout);
    }
}

#[test]
fn a_hash_tile_that_a_copy_lacks_is_not_an_unread_one() {
    let mut case = Case::founded();
    case.log(0, &decision(1));
    let note = case.note(&case.copy("then"), "new.succession", &[&case.lab]);
    case.log(0, &decision(2));
    let (old, first) = (case.path("old"), case.path("then/checkpoint"));
    let tile = case.folder.path().join("old/tile/0/000.p/3");
    let (source, latest) = (["--source", old.as_str()], case.path("old/checkpoint"));
    let grown = ["--old", first.as_str(), "--source", old.as_str()];
    let bytes = std::fs::read(&tile).unwrap();
    std::fs::remove_file(&tile).unwrap();
    case.verify(&note, &case.first, &source).fails(1, "a hash tile");
    case.verify(&latest, &case.first, &grown).fails(1, "a hash tile");
    std::fs::write(&tile, &bytes[1..]).unwrap();
    case.verify(&note, &case.first, &source).fails(1, "tile/0/000.p/3");
    case.verify(&latest, &case.first, &grown).fails(1, "tile/0/000.p/3");
}

#[test]
fn two_heads_of_one_size_prove_no_succession() {
    let mut case = Case::founded();
    case.log(0, &decision(1));
    let one = case.copy("one");
    let mut fork = Site::founded(&case.folder.path().join("fork"));
    fork.push([common::governed(START + 1, 0, decision(9).as_bytes())]);
    let fork = case.path("fork");
    let note = case.note(&one, "new.succession", &[&case.lab]);
    let accepted = format!("{fork}/checkpoint");
    let more = ["--source", one.as_str(), "--checkpoint", accepted.as_str()];
    case.verify(&note, &case.first, &more).fails(1, "two histories");
    // the same with a smaller head that is not a prefix of the source's tree
    case.log(0, &decision(2));
    let now = case.copy("now");
    let more = ["--source", now.as_str(), "--checkpoint", accepted.as_str()];
    case.verify(&note, &case.first, &more).fails(1, "not proven to begin with the older one");
    let bundle = bundle_of(&fork_site(&case, "third"), &[0], 1, &case.path("fork.authority"));
    case.verify(&note, &bundle, &["--source", &now])
        .fails(1, "not proven to begin with the older one");
}

/// A log of two entries, the second different from the case's.
fn fork_site(case: &Case, name: &str) -> Site {
    let mut fork = Site::founded(&case.folder.path().join(name));
    fork.push([common::governed(START + 1, 0, decision(9).as_bytes())]);
    fork
}

/// An authority bundle of the site's last entry.
fn write_bundle(site: &Site, path: &str) -> String {
    bundle_of(site, &[0, 1, 2], 3, path)
}

/// A bundle about an entry, with governance entries.
fn bundle_of(site: &Site, governance: &[u64], about: u64, path: &str) -> String {
    use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
    use ledger_core::proof::TlogProof;
    use ledger_core::record::Entry;
    let proof = |index: u64| TlogProof::parse(site.proof(index).as_bytes()).unwrap();
    let own = |index: &u64| GovernanceEntry {
        index: proof(*index).index,
        entry: Entry::parse(&site.entries[*index as usize]).unwrap(),
        inclusion: proof(*index).inclusion,
    };
    let governance: Vec<_> = governance.iter().map(own).collect();
    std::fs::write(path, AuthorityBundle::new(governance, proof(about)).to_string()).unwrap();
    path.to_owned()
}
