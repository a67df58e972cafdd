//! A consortium changes its members, keys and rules on a real node, and readers verify the changes
//! afterwards.
#![allow(clippy::unwrap_used)]

mod common;

use common::node::{Served, fresh_charter};
use common::{
    MEMBER, ORIGIN, decision, dir, key, ledger, log_key, member_key, membership_object, second_key,
    write, write_key,
};
use ledger_core::authority::AuthorityBundle;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint};
use ledger_core::evidence::{Case, ClaimedEvidence, Conflict, Heads, Trust};
use ledger_core::hash::Hash;
use ledger_core::merkle::TreeHead;
use ledger_core::note::SignerKey;
use ledger_core::record::{Draft, Object, RecordId, StatementId, format_time};

/// A node, the latest governance statement of its log, and the count of records.
struct Log {
    folder: tempfile::TempDir,
    node: Served,
    base: String,
    number: u64,
}

fn now() -> u64 {
    ledger_tools::environment::now()
}

impl Log {
    fn found() -> Log {
        let folder = dir();
        let node = Served::found(folder.path(), &fresh_charter());
        let base = node.anchor.clone();
        Log { folder, node, base, number: 0 }
    }

    fn sign(&mut self, name: &str, object: &Object, signer: &SignerKey) -> String {
        self.number += 1;
        let id = RecordId::from_parts(now() * 1000, [self.number as u8; 10]);
        let object =
            object.clone().with("id", id.to_string()).with("issued_at", format_time(now()));
        let record = Draft::from_object(&object).unwrap().sign(&[signer]).unwrap();
        write(self.folder.path(), name, record.as_bytes())
    }

    fn membership(&mut self, name: &str, changes: Vec<Object>) -> String {
        let object = membership_object(1, &self.base, changes);
        self.sign(name, &object, &member_key())
    }

    fn norm(&mut self, name: &str, changes: Vec<Object>) -> String {
        let object = membership_object(1, &self.base, changes)
            .with("kind", "norm")
            .with("version", "1")
            .with("effective_from", format_time(now()))
            .with("text", "How we sign heads.");
        self.sign(name, &object, &member_key())
    }

    fn submit(&self, file: &str) -> common::Run {
        ledger(["submit", file, "--node", &self.node.grpc, "--anchor", &self.node.anchor])
    }

    /// Logs a change, which becomes the base of the next one.
    fn changes(&mut self, file: &str) {
        self.submit(file).ends(0);
        let record = std::fs::read(file).unwrap();
        let record = ledger_core::record::Record::parse(&record).unwrap();
        self.base = record.statement().to_string();
    }

    /// The checkpoint that the node shows, and which of these keys have signed it.
    fn checkpoint(&self, keys: [&SignerKey; 2]) -> (ClaimedCheckpoint, [bool; 2]) {
        let asked = ["checkpoint", "--node", &self.node.grpc, "--anchor", &self.node.anchor];
        let shown = ClaimedCheckpoint::parse(ledger(asked).ends(0).stdout.as_bytes()).unwrap();
        let signed = |key: &SignerKey| shown.verify(std::slice::from_ref(key.verifier())).is_ok();
        let signed = keys.map(signed);
        (shown, signed)
    }

    /// Restarts the node with this key and, if given, the previous one, instead of its old keys.
    fn restart(&mut self, key: &SignerKey, previous: Option<&SignerKey>) -> Result<(), String> {
        self.node.stop();
        for (name, key) in [("log.key", Some(key)), ("previous.key", previous)] {
            let _ = std::fs::remove_file(self.path(name));
            if let Some(key) = key {
                write_key(self.folder.path(), name, key);
            }
        }
        let config = self.folder.path().join("node/config.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let others = text.lines().filter(|line| !line.starts_with("previous_log_key"));
        let others = others.collect::<Vec<_>>().join("\n");
        let setting =
            previous.map(|_| format!("previous_log_key = {:?}\n", self.path("previous.key")));
        std::fs::write(&config, format!("{}{others}\n", setting.unwrap_or_default())).unwrap();
        self.node.start().map_err(|error| error.to_string())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

fn action(action: &str) -> Object {
    Object::new().with("action", action)
}

fn with_vkey(name: &str, key: &SignerKey) -> Object {
    action(name).with("vkey", key.verifier().to_string())
}

fn set_policy(keys: &[&SignerKey]) -> Object {
    let lines: String = keys.iter().map(|key| format!("log {}\n", key.verifier())).collect();
    action("set_policy").with("policy", format!("{lines}quorum none\n"))
}

/// A decision by a member. `Log::sign` sets its id and its time.
fn decision_by(member: &str) -> Object {
    decision(1).body().clone().with("issuer", member)
}

#[test]
fn members_and_keys_change_and_everybody_can_show_who_was_allowed_by_what() {
    let mut log = Log::found();
    let newcomer = key("new.example", 40);
    let by_newcomer = log.sign("early.record", &decision_by("new.example"), &newcomer);
    log.submit(&by_newcomer).fails(1, "is not in the charter");

    let first = log.sign("first.record", &decision_by(MEMBER), &second_key());
    log.submit(&first).ends(0);
    let admit = action("admit")
        .with("member", "new.example")
        .with("roles", vec![Object::new().with("role", "publisher")])
        .with(
            "keys",
            vec![Object::new().with("vkey", newcomer.verifier().to_string()).with("use", "record")],
        );
    let revoke = action("revoke_key")
        .with("member", MEMBER)
        .with("vkey", second_key().verifier().to_string());
    let stale = log.membership("stale.record", vec![revoke.clone()]);
    let change = log.membership("change.record", vec![admit, revoke]);
    log.changes(&change);
    log.submit(&stale).fails(1, "the latest governance statement is");
    let late = log.sign("late.record", &decision_by(MEMBER), &second_key());
    log.submit(&late).fails(1, "was revoked by entry 2");
    log.submit(&by_newcomer).ends(0);

    // who was allowed, and by which entry
    let bundle = log.path("early.authority");
    let anchor = log.node.anchor.clone();
    let trust = ["--anchor", anchor.as_str()];
    let node = ["--node", log.node.grpc.as_str()];
    let prove = ["prove", "--record", &by_newcomer, "--authority", "-o", &bundle];
    ledger(prove.iter().chain(&trust).chain(&node)).ends(0);
    let run = ledger(["verify", &bundle].iter().chain(&trust)).ends(0);
    let expected = "signed by new.example (key of entry 2; publisher by entry 2); allowed by the \
                    charter in force at entry 2; needs 1 publisher (set by entry 0)";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
    let json = ledger(["verify", &bundle, "--json"].iter().chain(&trust)).ends(0).object();
    assert_eq!(json["results"][0]["decided_by"], 2);
    let proof = log.path("early.tlog-proof");
    // the charter's record does not know the newcomer, but the bundle does
    let genesis = log.path("genesis.record");
    let charter = log.path("genesis.tlog-proof");
    let all = ["prove", "--index", "0", "-o", &charter];
    ledger(all.iter().chain(&trust).chain(&node)).ends(0);
    let run = ledger(["verify", &proof, "--charter", &genesis].iter().chain(&trust));
    let run = run.fails(1, "names governance entry 2, which is not known here");
    let way = format!(
        "ledger prove --index 3 --authority -o LOG.authority --anchor {anchor}; then verify with \
         --charter LOG.authority"
    );
    assert!(run.stderr.contains(&way), "{}", run.stderr);
    let run = ledger(["verify", &proof, "--charter", &bundle].iter().chain(&trust)).ends(0);
    assert!(run.stdout.contains("allowed by the charter in force at entry 2"), "{}", run.stdout);
    // what a revoked key signed before stays valid
    let before = log.path("first.tlog-proof");
    ledger(["verify", &before, "--charter", &bundle].iter().chain(&trust)).ends(0);

    // another record's bundle proves nothing
    let run = ledger(["verify", &bundle, "--record", &first].iter().chain(&trust));
    run.fails(1, "is not proven to be in the tree");
    let other = "0".repeat(64);
    ledger(["verify", &bundle, "--anchor", &other]).fails(1, "not with the anchor");

    let audit = ledger(["audit", &log.node.http, "--anchor", &anchor, "--json"]).ends(0).object();
    assert_eq!((&audit["lawful"], &audit["judged"]), (&4.into(), &"all".into()));
    let members = ledger(["register", "members", &log.node.http, "--anchor", &anchor]).ends(0);
    assert!(members.stdout.contains("new.example"), "{}", members.stdout);
}

#[test]
fn the_log_key_rotates_without_a_head_that_nobody_can_check() {
    let mut log = Log::found();
    let fresh = key(ORIGIN, 41);
    let policy = |keys: &[&SignerKey]| {
        let lines: String = keys.iter().map(|key| format!("log {}\n", key.verifier())).collect();
        action("set_policy").with("policy", format!("{lines}quorum none\n"))
    };
    let vkey = |action: Object, key: &SignerKey| action.with("vkey", key.verifier().to_string());
    // the node refuses a change under which it could not publish
    let swap = vec![
        vkey(action("add_log_key"), &fresh),
        vkey(action("retire_log_key"), &log_key()),
        policy(&[&fresh]),
    ];
    let swap = log.norm("swap.record", swap);
    log.submit(&swap).fails(1, "this node could not publish under the changed charter");
    let add = vec![vkey(action("add_log_key"), &fresh), policy(&[&log_key(), &fresh])];
    let add = log.norm("add.record", add);
    log.changes(&add);
    let between = log.sign("between.record", &decision_by(MEMBER), &member_key());
    log.submit(&between).ends(0);

    log.node.stop();
    std::fs::remove_file(log.path("log.key")).unwrap();
    write_key(log.folder.path(), "log.key", &fresh);
    log.node.start().unwrap();
    let checkpoint = log.path("fresh.checkpoint");
    let asked = ["checkpoint", "--node", &log.node.grpc, "--anchor", &log.node.anchor];
    let shown = ledger(asked).ends(0);
    std::fs::write(&checkpoint, &shown.stdout).unwrap();
    let retire = vec![vkey(action("retire_log_key"), &log_key()), policy(&[&fresh])];
    let retire = log.norm("retire.record", retire);
    log.changes(&retire);
    let after = log.sign("after.record", &decision_by(MEMBER), &member_key());
    log.submit(&after).ends(0);
    ledger(["audit", &log.node.http, "--anchor", &log.node.anchor]).ends(0);
    let vkey = fresh.verifier().to_string();
    ledger(["audit", &log.node.http, "--vkey", &vkey]).ends(0);
    ledger(["audit", &log.node.http, "--vkey", &log_key().verifier().to_string()])
        .fails(1, "checkpoint: ");
    // a proof made before the rotation still holds, and so does one made after it
    for name in ["between", "after"] {
        let bundle = log.path(&format!("{name}.authority"));
        let record = log.path(&format!("{name}.record"));
        let prove = ["prove", "--record", &record, "--authority", "-o", &bundle];
        let trust = ["--anchor", &log.node.anchor, "--node", &log.node.grpc];
        ledger(prove.iter().chain(&trust)).ends(0);
        ledger(["verify", &bundle, "--anchor", &log.node.anchor]).ends(0);
    }
    // the node no longer starts with the retired key
    log.node.stop();
    std::fs::remove_file(log.path("log.key")).unwrap();
    write_key(log.folder.path(), "log.key", &log_key());
    let message = log.node.start().expect_err("the key is retired").to_string();
    assert!(message.contains("is not one of the charter's log keys"), "{message}");
}

#[test]
fn a_log_that_forks_across_its_rotation_is_convicted_by_the_anchor_alone() {
    let mut log = Log::found();
    let (old, fresh) = (log_key(), key(ORIGIN, 41));
    let add = vec![with_vkey("add_log_key", &fresh), set_policy(&[&old, &fresh])];
    let add = log.norm("add.record", add);
    log.changes(&add);
    let message = log.restart(&fresh, Some(&key(ORIGIN, 77))).expect_err("no key of this log");
    assert!(message.contains("is no other key that this log has or had"), "{message}");
    log.restart(&fresh, Some(&fresh)).expect_err("one key is not two");
    log.restart(&fresh, Some(&old)).unwrap();
    assert_eq!(log.checkpoint([&old, &fresh]).1, [false, true], "the old key signs one head");
    let retire = vec![with_vkey("retire_log_key", &old), set_policy(&[&fresh])];
    let retire = log.norm("retire.record", retire);
    log.changes(&retire);
    let (bridge, signed) = log.checkpoint([&old, &fresh]);
    assert_eq!(signed, [true, true], "the first head over the retirement is signed by both");
    // a restart keeps both signatures, and only the new key signs the next head
    log.restart(&fresh, Some(&old)).unwrap();
    assert_eq!(log.checkpoint([&old, &fresh]), (bridge.clone(), [true, true]));
    let after = log.sign("after.record", &decision_by(MEMBER), &member_key());
    log.submit(&after).ends(0);
    assert_eq!(log.checkpoint([&old, &fresh]).1, [false, true]);
    log.restart(&fresh, None).unwrap();

    // a thief with the old key shows others another history of that size
    let head = TreeHead { root: Hash::leaf(b"another"), ..*bridge.checkpoint().head() };
    let forked = Checkpoint::new(bridge.checkpoint().origin().clone(), head).sign(&old);
    let bundle = log.path("after.authority");
    let prove = ["prove", "--record", &after, "--authority", "-o", &bundle];
    let trust = ["--anchor", &log.node.anchor, "--node", &log.node.grpc];
    ledger(prove.iter().chain(&trust)).ends(0);
    let bundle = AuthorityBundle::parse(&std::fs::read(&bundle).unwrap()).unwrap();
    let anchor = Trust::new().with_anchor(StatementId::from_hex(&log.node.anchor).unwrap());
    let case = Case { trust: &anchor, authority: &[bundle] };
    let conflict = Conflict::of_heads(Heads { one: &bridge, other: &forked }).unwrap();
    let evidence = ClaimedEvidence::against_log(&conflict, case).unwrap();
    let file = write(log.folder.path(), "accusation.json", evidence.as_str());
    let run = ledger(["verify", &file, "--anchor", &log.node.anchor]).ends(0);
    let said = format!("by its key {}", old.verifier());
    assert!(run.stdout.contains("convicted") && run.stdout.contains(&said), "{}", run.stdout);
}

#[test]
fn a_checkpoint_and_a_proof_from_before_a_rotation_hold_after_it() {
    let mut log = Log::found();
    let (old, fresh) = (log_key(), key(ORIGIN, 41));
    let (anchor, grpc) = (log.node.anchor.clone(), |log: &Log| log.node.grpc.clone());
    let before = log.sign("before.record", &decision_by(MEMBER), &member_key());
    log.submit(&before).ends(0);
    let prove = |log: &Log, index: &str, name: &str, more: &[&str]| {
        let (path, grpc) = (log.path(name), grpc(log));
        let args = ["prove", "--index", index, "-o", &path, "--anchor", &anchor, "--node", &grpc];
        ledger(args.iter().chain(more)).ends(0);
        path
    };
    let shown = |log: &Log, name: &str| {
        let run = ledger(["checkpoint", "--node", &grpc(log), "--anchor", &anchor]).ends(0);
        write(log.folder.path(), name, run.stdout)
    };
    let charter = prove(&log, "0", "charter.tlog-proof", &[]).replace("tlog-proof", "record");
    let proof = prove(&log, "1", "before.tlog-proof", &[]);
    let first = shown(&log, "first.checkpoint");
    let add = vec![with_vkey("add_log_key", &fresh), set_policy(&[&old, &fresh])];
    let add = log.norm("add.record", add);
    log.changes(&add);
    log.restart(&fresh, None).unwrap();
    let retire = vec![with_vkey("retire_log_key", &old), set_policy(&[&fresh])];
    let retire = log.norm("retire.record", retire);
    log.changes(&retire);
    let last = shown(&log, "last.checkpoint");
    let bundle = prove(&log, "3", "last.authority", &["--authority"]);

    let since = ["audit", &log.node.http, "--since", &first, "--anchor", &anchor];
    ledger(since).ends(0);
    let trust = ["--anchor", &anchor, "--charter", &bundle];
    let source = log.node.http.as_str();
    let grown = ["verify", &last, "--old", &first, "--source", source];
    let run = ledger(grown.iter().chain(&trust)).ends(0);
    assert!(run.stdout.contains("it has only grown since size 2"), "{}", run.stdout);
    let run = ledger(["verify", &proof].iter().chain(&trust)).ends(0);
    let said = "signed by a log key that entry 3 has retired since";
    assert!(run.stdout.contains(said), "{}", run.stdout);
    // with the charter alone the new key is unknown, which convicts no key
    let run = ledger(["verify", &last, "--anchor", &anchor, "--charter", &charter]);
    run.fails(1, "the log's keys have changed since: give --charter a newer authority bundle");

    // what the retired key signs about trees that hold its retirement does not count
    let head = ClaimedCheckpoint::parse(&std::fs::read(&last).unwrap()).unwrap();
    let late = Checkpoint::new(head.checkpoint().origin().clone(), *head.checkpoint().head());
    let late = write(log.folder.path(), "late.checkpoint", late.sign(&old).to_string());
    let run = ledger(["verify", &late].iter().chain(&trust));
    run.fails(1, "it is signed by a key that entry 3 retired");
}

#[test]
fn revisions_of_a_series_follow_one_another_also_after_a_restart() {
    let mut log = Log::found();
    let revision = |rev: i64| {
        let rev = ledger_core::record::Value::Integer(rev);
        decision_by(MEMBER).with("series", "rules").with("rev", rev)
    };
    let second = log.sign("2.record", &revision(2), &member_key());
    log.submit(&second).fails(1, "`rev` is 2, but the next revision of the series is 1");
    let first = log.sign("1.record", &revision(1), &member_key());
    log.submit(&first).ends(0);
    log.submit(&second).ends(0);
    let again = log.sign("again.record", &revision(2), &member_key());
    log.submit(&again).fails(1, "`rev` is 2, but the next revision of the series is 3");
    log.node.stop();
    log.node.start().unwrap();
    log.submit(&again).fails(1, "the next revision of the series is 3");
    let third = log.sign("3.record", &revision(3), &member_key());
    log.submit(&third).ends(0);
    // a record that is logged already is found, whatever its revision
    log.submit(&first).ends(0);
}
