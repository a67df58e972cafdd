//! Co-signing by hand: propose, inbox, show, sign, decline, withdraw, against a real node.
#![allow(clippy::unwrap_used)]

mod common;

use common::node::Served;
use common::{ORIGIN, Run, dir, key, ledger_in, log_key, write, write_key};
use ledger_core::charter::CharterDraft;
use ledger_core::note::SignerKey;
use ledger_core::record::{Draft, Object, Record, RecordId, Value, format_time};

/// Decisions need two publishers and a reviewer.
struct Joint {
    dir: tempfile::TempDir,
    node: Served,
}

fn lab() -> SignerKey {
    key("lab.example", 2)
}

fn partner() -> SignerKey {
    key("partner.example", 4)
}

fn board() -> SignerKey {
    key("board.example", 5)
}

fn charter() -> Record {
    let now = ledger_tools::environment::now();
    let vkey = |key: SignerKey| key.verifier().clone();
    let draft = CharterDraft::new("Test", vkey(log_key()))
        .member("lab.example", vkey(lab()), ["publisher", "steward"])
        .member("partner.example", vkey(partner()), ["publisher"])
        .member("board.example", vkey(board()), ["reviewer"])
        .draft(RecordId::from_parts(now * 1000, [0; 10]), now)
        .unwrap();
    let requirement = |role: &str, members: i64| {
        Object::new().with("role", role).with("members", Value::Integer(members))
    };
    let rule = vec![requirement("publisher", 2), requirement("reviewer", 1)];
    let body = draft.body().clone().with("rules", Object::new().with("decision", rule));
    Draft::from_object(&body).unwrap().sign(&[&lab(), &partner(), &board()]).unwrap()
}

impl Joint {
    fn start() -> Joint {
        let dir = dir();
        let at = dir.path();
        for (name, key) in [("lab.key", lab()), ("partner.key", partner()), ("board.key", board())]
        {
            write_key(at, name, &key);
        }
        let node = Served::found(at, &charter());
        Joint { dir, node }
    }

    /// Runs a command with a member's key.
    fn run(&self, key: &str, args: &[&str]) -> Run {
        let more = ["--key", key, "--node", &self.node.grpc, "--anchor", &self.node.anchor];
        ledger_in(self.dir.path(), args.iter().chain(&more))
    }

    /// Writes a draft of a decision.
    fn draft(&self, number: u64) -> String {
        let now = ledger_tools::environment::now();
        let object = common::decision_object(number)
            .with("issued_at", format_time(now))
            .with("title", Object::new().with("en", format!("Decision {number} \u{202e}txt")));
        write(self.dir.path(), &format!("{number}.json"), object.to_pretty_json())
    }

    fn propose(&self, number: u64) -> String {
        let run = self.run("lab.key", &["--json", "propose", &self.draft(number)]).ends(0);
        let object = run.object();
        assert_eq!(object["state"], "waiting");
        object["statement"].as_str().unwrap().to_owned()
    }
}

#[test]
fn three_members_publish_together_without_a_chat_room() {
    let joint = Joint::start();
    let id = joint.propose(1);
    let inbox = joint.run("board.key", &["inbox"]).ends(0);
    assert!(
        inbox.stdout.starts_with("waiting for a signature of board.example:\n"),
        "{}",
        inbox.stdout
    );
    for part in [
        "decision Decision 1 \\u{202e}txt",
        &id,
        "issuer    lab.example; proposed by lab.example",
        "signed by lab.example",
        "lacks     1 of 2 member(s) with role publisher",
        "lacks     1 of 1 member(s) with role reviewer",
        "waits     until ",
    ] {
        assert!(inbox.stdout.contains(part), "no {part:?} in\n{}", inbox.stdout);
    }
    let own = joint.run("lab.key", &["inbox"]).ends(0);
    assert!(own.stdout.starts_with("waiting for a signature of lab.example: nothing\n"));

    // the list is data and not a remark, so -q does not hide it
    let quiet = joint.run("board.key", &["-q", "inbox"]).ends(0);
    assert_eq!(quiet.stdout, inbox.stdout);

    // exactly what would become public
    let show = joint.run("partner.key", &["inbox", "show", &id, "-o", "seen.record"]).ends(0);
    assert!(show.stdout.contains("outcome: a"), "{}", show.stdout);
    let seen =
        Record::parse(&std::fs::read(joint.dir.path().join("seen.record")).unwrap()).unwrap();
    assert_eq!(seen.statement().to_string(), id);
    let object = joint.run("partner.key", &["--json", "inbox", "show", &id]).ends(0).object();
    assert_eq!(object["record"].as_str().unwrap().as_bytes(), seen.as_bytes());
    assert_eq!((&object["awaits_you"], &object["state"]), (&true.into(), &"waiting".into()));

    let signed = joint.run("partner.key", &["inbox", "sign", &id]).ends(0);
    assert!(signed.stdout.starts_with("you sign this:\n"), "{}", signed.stdout);
    let show = ["record", "show", &id, "--node", &joint.node.grpc, "--anchor", &joint.node.anchor];
    ledger_in(joint.dir.path(), show).fails(1, "no published entry");
    let object = joint.run("board.key", &["--json", "inbox", "sign", &id]).ends(0).object();
    assert_eq!((&object["state"], &object["index"]), (&"logged".into(), &1.into()));
    let show = ledger_in(joint.dir.path(), show).ends(0);
    for member in ["lab.example", "partner.example", "board.example"] {
        assert!(show.stdout.contains(&format!("valid, member {member}")), "{}", show.stdout);
    }
    let told = joint.run("lab.key", &["inbox"]).ends(0);
    assert!(told.stdout.contains("settled in the last days:\n"), "{}", told.stdout);
    assert!(told.stdout.contains("  logged as entry 1, "), "{}", told.stdout);
    joint.run("board.key", &["inbox", "sign", &id]).fails(1, "logged as entry 1");
}

#[test]
fn declines_and_withdrawals_are_shown_to_all() {
    let joint = Joint::start();
    let id = joint.propose(1);
    let decline = ["inbox", "decline", &id, "--reason"];
    let blank = [&decline[..], &[" "]].concat();
    joint.run("board.key", &blank).fails(1, "a reason is one line");
    let reason = [&decline[..], &["finding 2 \u{1b}[2J names a person"]].concat();
    joint.run("board.key", &reason).fails(1, "without control characters");
    let reason = [&decline[..], &["it names \u{202e}a person"]].concat();
    joint.run("board.key", &reason).ends(0);
    let told = joint.run("lab.key", &["inbox"]).ends(0);
    let line = "  declined  board.example: it names \\u{202e}a person\n  declined since ";
    assert!(told.stdout.contains(line), "{}", told.stdout);

    let id = joint.propose(2);
    joint.run("board.key", &["inbox", "withdraw", &id]).fails(1, "neither proposed nor issued");
    let run = joint.run("lab.key", &["inbox", "withdraw", &id]).ends(0);
    assert!(run.stdout.starts_with("withdrawn decision "), "{}", run.stdout);
    joint.run("board.key", &["inbox", "sign", &id]).fails(1, "it is withdrawn");
}

#[test]
fn strangers_and_wrong_command_lines_are_told_what_to_do() {
    let joint = Joint::start();
    let id = joint.propose(1);
    write_key(joint.dir.path(), "stranger.key", &key("lab.example", 99));
    for command in [&["inbox"][..], &["inbox", "show", &id], &["inbox", "sign", &id]] {
        joint.run("stranger.key", command).fails(1, "is not in the charter");
    }
    joint.run("board.key", &["inbox", "show", &id[..8]]).fails(2, "the id is not 64");
    joint.run("board.key", &["inbox", "show", &"0".repeat(64)]).fails(1, "no draft");
    let at = joint.dir.path();
    ledger_in(at, ["inbox", "--node", &joint.node.grpc]).fails(2, "--key <FILE>");
    ledger_in(at, ["inbox", "decline", &id, "--key", "board.key"]).fails(2, "--reason <TEXT>");
    let other = common::decision_object(9).with("log", "other.example/1").to_pretty_json();
    let other = write(at, "other.json", other);
    let run = joint.run("lab.key", &["propose", &other]);
    run.fails(1, &format!("is meant for the log other.example/1, not for {ORIGIN}"));
    joint.run("lab.key", &["propose", "1.json"]).fails(1, "waits already");
    let unsigned = joint.run("board.key", &["propose", &joint.draft(2)]);
    unsigned.fails(1, "neither the issuer");
}

#[test]
fn a_draft_is_signed_in_the_inbox_only_if_its_disclosures_open_it() {
    let joint = Joint::start();
    let at = joint.dir.path();
    let paths = ["--path", "context", "--path", "outcome"];
    let files = ["-o", "sealed.json", "--disclosures", "secret"];
    let draft = joint.draft(1);
    ledger_in(at, ["seal", &draft].iter().chain(&paths).chain(&files)).ends(0);
    let propose = joint.run("lab.key", &["--json", "propose", "sealed.json"]).ends(0);
    assert!(propose.stderr.contains("sealed.json holds 2 digests"), "{}", propose.stderr);
    let id = propose.object()["statement"].as_str().unwrap().to_owned();
    let lines = std::fs::read_to_string(at.join("secret")).unwrap();
    write(at, "some", lines.lines().next().unwrap());
    write(at, "none", "");
    let other = joint.draft(2);
    let files = ["-o", "other.json", "--disclosures", "other"];
    ledger_in(at, ["seal", &other].iter().chain(&paths).chain(&files)).ends(0);
    let with =
        |file: &'static str| ["inbox", "sign", &id, "--disclosures", file].map(str::to_owned);
    let sign = |file| {
        let args = with(file);
        joint.run("partner.key", &args.each_ref().map(String::as_str))
    };
    sign("some").fails(1, "is not opened");
    sign("none").fails(1, "is not opened");
    sign("other").fails(1, "other line 1: disclosure 1 belongs to another record");
    let inbox = joint.run("partner.key", &["inbox", "show", &id]).ends(0);
    assert!(inbox.stdout.contains("1 of 2 member(s) with role publisher"), "{}", inbox.stdout);
    let run = sign("secret").ends(0);
    // the order of the digests depends on the random salts
    let orders = ["context, outcome", "outcome, context"];
    let opened = orders.map(|names| format!("\nopened       {names}\n"));
    assert!(opened.iter().any(|line| run.stdout.contains(line)), "{}", run.stdout);
    // without disclosures it is signed, with a warning about what the member did not see
    let run = joint.run("board.key", &["--json", "inbox", "sign", &id]).ends(0);
    assert_eq!(run.object()["state"], "logged");
    assert!(run.stderr.contains("2 digests"), "{}", run.stderr);
}

#[test]
fn a_draft_is_proposed_only_if_its_disclosures_open_it() {
    let joint = Joint::start();
    let at = joint.dir.path();
    let files = ["-o", "sealed.json", "--disclosures", "secret"];
    ledger_in(at, ["seal", &joint.draft(1), "--path", "context"].iter().chain(&files)).ends(0);
    write(at, "none", "");
    let propose = |file: &str| {
        joint.run("lab.key", &["--json", "propose", "sealed.json", "--disclosures", file])
    };
    propose("none").fails(1, "`context` is not opened");
    assert!(joint.run("lab.key", &["inbox"]).ends(0).stdout.contains("nothing\n"));
    assert_eq!(propose("secret").ends(0).object()["opened"], serde_json::json!(["context"]));
}
