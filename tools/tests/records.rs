//! Keys, charters and records, from the command line to the file.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::PermissionsExt as _;

use common::{MEMBER, ORIGIN, decision_object, dir, key, ledger_in, member_key, write, write_key};
use ledger_core::record::Record;

#[test]
fn keygen_writes_a_private_file_and_prints_the_vkey() {
    let dir = dir();
    let run = ledger_in(dir.path(), ["keygen", "lab.example", "--out", "lab.key"]).ends(0);
    assert!(run.stdout.starts_with("lab.example+"), "{}", run.stdout);
    let file = dir.path().join("lab.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("PRIVATE+KEY+lab.example+"));
    assert!(!run.stdout.contains("PRIVATE") && !run.stderr.contains("PRIVATE"));

    let again = ledger_in(dir.path(), ["keygen", "lab.example", "--out", "lab.key"]);
    again.fails(1, "a key is never overwritten");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    let run =
        ledger_in(dir.path(), ["--json", "keygen", "w", "--out", "w.key", "--use", "witness"]);
    let vkey = run.ends(0).object()["vkey"].as_str().unwrap().to_owned();
    assert!(vkey.parse::<ledger_core::note::VerifierKey>().unwrap().algorithm().byte() == 4);
    let run = ledger_in(dir.path(), ["keygen", "x", "--out", "x.key", "--alg", "ml-dsa-44"]);
    run.fails(2, "cosign checkpoints and sign nothing else");
    let args =
        ["--json", "keygen", "pq", "--out", "pq.key", "--use", "witness", "--alg", "ml-dsa-44"];
    let run = ledger_in(dir.path(), args);
    let vkey = run.ends(0).object()["vkey"].as_str().unwrap().to_owned();
    assert!(vkey.parse::<ledger_core::note::VerifierKey>().unwrap().algorithm().byte() == 6);
    ledger_in(dir.path(), ["keygen", "a b", "--out", "x.key"]).fails(2, "a key name is");
    assert!(!dir.path().join("x.key").exists());
}

#[test]
fn the_vkey_of_a_key_file_is_printed_again() {
    let dir = dir();
    let made = ledger_in(dir.path(), ["keygen", "lab.example", "--out", "lab.key"]).ends(0);
    let shown = ledger_in(dir.path(), ["keygen", "--show", "lab.key"]).ends(0);
    assert_eq!(shown.stdout, made.stdout);
    ledger_in(dir.path(), ["keygen", "x", "--show", "lab.key"]).fails(2, "cannot be used with");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let dir = dir();
    let draft = write(dir.path(), "d.json", decision_object(1).to_pretty_json());
    let key = write_key(dir.path(), "k", &member_key());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let run = ledger_in(dir.path(), ["record", "sign", &draft, "--key", &key]);
    run.fails(1, "open to others (mode 0640)");
    assert!(!dir.path().join("d.record").exists());
}

#[test]
fn a_charter_is_drafted_signed_and_shown() {
    let dir = dir();
    let make = |name: &str, file: &str, usage: &str| {
        let run = ledger_in(dir.path(), ["keygen", name, "--use", usage, "--out", file]);
        run.ends(0).stdout.trim().to_owned()
    };
    let log = make("ledger.example/1", "log.key", "log");
    let lab = format!("lab.example={}:publisher,steward", make("lab.example", "lab.key", "record"));
    let board = make("board.example/seal", "board.key", "record");
    let board = format!("board.example={board}:reviewer,steward");
    let args = [
        "charter",
        "new",
        "--log",
        &log,
        "--consortium",
        "Commons",
        "--issuer",
        "lab.example",
        "--member",
        &lab,
        "--member",
        &board,
    ];
    let run = ledger_in(dir.path(), args).ends(0);
    write(dir.path(), "charter.json", &run.stdout);

    let sign =
        |key: &str, file: &str| ledger_in(dir.path(), ["record", "sign", file, "--key", key]);
    sign("lab.key", "charter.json").ends(0);
    let signed = sign("board.key", "charter.record").ends(0);
    assert!(
        signed.stdout.contains("signed by board.example/seal, lab.example"),
        "{}",
        signed.stdout
    );
    sign("board.key", "charter.record").fails(1, "repeats the key");

    let show = ledger_in(dir.path(), ["--json", "record", "show", "charter.record"]).ends(0);
    let statement = show.object()["statement"].as_str().unwrap().to_owned();
    let args =
        ["record", "show", "charter.record", "--anchor", &statement, "--charter", "charter.record"];
    let show = ledger_in(dir.path(), args).ends(0);
    assert!(show.stdout.contains("valid, member board.example (reviewer, steward)"));
    let verify =
        ["verify", "charter.record", "--anchor", &statement, "--charter", "charter.record"];
    ledger_in(dir.path(), verify).ends(0);
    let wrong = "0".repeat(64);
    let verify = ["verify", "charter.record", "--anchor", &wrong, "--charter", "charter.record"];
    ledger_in(dir.path(), verify).fails(1, "not the anchor's");
}

#[test]
fn charters_without_steward_or_with_broken_members_are_refused() {
    let dir = dir();
    let (log, lab) = (key("l.example", 1), key("lab.example", 2));
    let (log, lab) = (log.verifier().to_string(), lab.verifier().to_string());
    let new = |member: &str| {
        let args = [
            "charter",
            "new",
            "--log",
            &log,
            "--consortium",
            "C",
            "--issuer",
            "lab.example",
            "--member",
            member,
        ];
        ledger_in(dir.path(), args)
    };
    new(&format!("lab.example={lab}:publisher")).fails(1, "steward");
    new(&format!("lab.example={lab}")).fails(2, "--member");
    new("lab.example=nonsense:steward").fails(2, "not a key");
    new(&format!("other.example={lab}:steward")).fails(1, "member");
    new(&format!("lab.example={lab}:pubisher,steward")).fails(2, "there is no role");
    new(&format!("lab.example={lab}:publisher,steward")).fails(1, "a review needs 1");
}

#[test]
fn addresses_and_policies_that_lead_nowhere_are_told_before_anybody_signs() {
    let dir = dir();
    let (log, lab) = (key("l.example", 1), key("lab.example", 2));
    let (log, lab) = (log.verifier().to_string(), lab.verifier().to_string());
    let member = format!("lab.example={lab}:publisher,reviewer,steward");
    let new = |more: &[&str]| {
        let args =
            ["charter", "new", "--log", &log, "--consortium", "C", "--issuer", "lab.example"];
        ledger_in(dir.path(), args.iter().chain(&["--member", &member]).chain(more))
    };
    new(&["--node", "lab.example=grpcs://127.0.0.1"]).fails(2, "it has no port");
    new(&["--node", "lab.example=grpcs://127.0.0.1:7780"]).ends(0);

    let name = ledger_core::note::KeyName::new("w.example").unwrap();
    let algorithm = ledger_core::note::Algorithm::CosignatureV1;
    let witness = ledger_core::note::SignerKey::from_seed(name, algorithm, [9; 32]).unwrap();
    let policy = |log: &str, url: &str| {
        let text = format!("log {log}\nwitness w {} {url}\nquorum w\n", witness.verifier());
        write(dir.path(), "policy", text)
    };
    let stranger = key("other.example", 8).verifier().to_string();
    let other = policy(&stranger, "https://w.example");
    new(&["--policy", &other]).fails(1, "the policy does not list this log's key");
    let bare = policy(&log, "w.example:7780");
    new(&["--policy", &bare]).fails(1, "no witness can be reached at");
    let good = policy(&log, "https://w.example");
    new(&["--policy", &good]).ends(0);
    // the log's key as its own witness, and more witnesses than a checkpoint has lines
    let own = key("l.example", 1).verifier().public();
    let name = ledger_core::note::KeyName::new("w.example").unwrap();
    let twin = ledger_core::note::VerifierKey::new(name, algorithm, own.as_bytes()).unwrap();
    let text = format!("log {log}\nwitness w {twin} https://w.example\nquorum w\n");
    let twin = write(dir.path(), "twin", text);
    let run = new(&["--policy", &twin]).fails(1, "whose public key is that of the log key");
    assert!(run.stderr.contains("ledger keygen --use witness"), "{}", run.stderr);
    let lines: String = (1..=61u8)
        .map(|n| {
            let name = ledger_core::note::KeyName::new(&format!("w{n}.example")).unwrap();
            let key = ledger_core::note::SignerKey::from_seed(name, algorithm, [n + 100; 32]);
            format!("witness w{n} {} https://w.example\n", key.unwrap().verifier())
        })
        .collect();
    let many = write(dir.path(), "many", format!("log {log}\n{lines}quorum w1\n"));
    new(&["--policy", &many]).fails(1, "a checkpoint has room for 60");

    let change = |node: &str| {
        let changes =
            format!(r#"changes=[{{"action":"set_node","member":"lab.example","node":"{node}"}}]"#);
        let base = format!("base={}", "0".repeat(64));
        let args = ["record", "new", "membership", "--issuer", "lab.example", "--log", "l.example"];
        let sets = ["--set", "title=t", "--set", "summary=s", "--set", &base, "--set", &changes];
        ledger_in(dir.path(), args.iter().chain(&sets)).ends(0).stderr
    };
    let said = "other nodes expect a gRPC address, grpcs://HOST:PORT";
    assert!(change("https://lab.example/").contains(said));
    assert!(!change("grpcs://lab.example:7780").contains("warning"));
}

#[test]
fn record_new_takes_members_from_file_and_flags_and_lists_what_is_missing() {
    let dir = dir();
    let new = |more: &[&str]| {
        let args = ["record", "new", "incident", "--issuer", MEMBER, "--log", ORIGIN];
        ledger_in(dir.path(), args.iter().chain(more))
    };
    let run = new(&["--set", "title=T", "--set", "summary=S"]).fails(2, "also needs: stage");
    assert!(run.stderr.contains("triggers"), "{}", run.stderr);
    write(
        dir.path(),
        "from.json",
        r#"{"stage":"initial","class":"issue","severity":"unknown",
        "aware_at":"unknown","ai_relation":"unknown","id":"stale"}"#,
    );
    let full = [
        "--from",
        "from.json",
        "--set",
        "title=Zoë \\u{202e}",
        "--set",
        "summary.fr=S",
        "--set",
        "harm_types=unknown",
        "--set",
        "triggers=[\"misuse\"]",
        "--set",
        "system.name=X 7B",
    ];
    let run = new(&full).ends(0);
    let draft: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(draft["system"]["name"], "X 7B");
    assert_eq!(draft["summary"]["fr"], "S");
    assert_ne!(draft["id"], "stale");
    let wrong = [full.as_slice(), &["--set", "severity=grave"]].concat();
    new(&wrong).fails(1, "`severity`");
    let args = ["record", "new", "rumour", "--issuer", MEMBER, "--log", ORIGIN];
    ledger_in(dir.path(), args).fails(2, "there is no kind \"rumour\"");
    let args = ["record", "new", "risk", "--issuer", MEMBER, "--log", ORIGIN];
    let run = ledger_in(dir.path(), args);
    run.fails(2, "likelihood (how likely it is, 1 (rare) to 5 (almost certain); write a whole");
    let args = ["record", "new", "incident", "--issuer", MEMBER];
    ledger_in(dir.path(), args).fails(2, "no log was named");
}

#[test]
fn a_draft_of_a_new_kind_is_written_and_its_schema_printed() {
    let dir = dir();
    let args = ["record", "new", "remediation", "--issuer", MEMBER, "--log", ORIGIN];
    let sets = [
        "title=T",
        "summary=S",
        "action=Filter verse.",
        "owner=lab.example",
        "due_by=2027-01-31T00:00:00Z",
        "state=planned",
        "verification_method=Forty poems are tried again.",
    ];
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let given: Vec<&str> = args.into_iter().chain(sets).collect();
    let rule = "`refs` holds no reference with rel \"remediates\", which the kind asks for";
    ledger_in(dir.path(), &given).fails(1, rule);
    let statement = format!("refs.0.statement={}", "ab".repeat(32));
    let refs = ["--set", "refs.0.rel=remediates", "--set", &statement];
    let draft = ledger_in(dir.path(), given.into_iter().chain(refs)).ends(0);
    assert!(draft.stdout.contains("\"state\": \"planned\""), "{}", draft.stdout);
    let schema = ledger_in(dir.path(), ["record", "schema", "remediation"]).ends(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["$id"], "urn:ledger:record:v1:remediation");
    ledger_in(dir.path(), ["record", "schema", "rumour"]).fails(2, "there is no kind \"rumour\"");
}

#[test]
fn signing_gives_the_record_that_the_core_gives() {
    let dir = dir();
    let draft = write(dir.path(), "d.json", decision_object(1).to_pretty_json());
    let key = write_key(dir.path(), "k", &member_key());
    ledger_in(dir.path(), ["record", "sign", &draft, "--key", &key, "-o", "out.record"]).ends(0);
    let bytes = std::fs::read(dir.path().join("out.record")).unwrap();
    assert_eq!(bytes, common::decision(1).as_bytes());
    Record::parse(&bytes).unwrap();
    let again = ["record", "sign", &draft, "--key", &key, "-o", "out.record"];
    ledger_in(dir.path(), again).fails(1, "it is not overwritten");
    write(dir.path(), "out.tlog-proof", "");
    let logged = ["record", "sign", "out.record", "--key", &key];
    ledger_in(dir.path(), logged).fails(1, "sign a copy");
    let log = write_key(dir.path(), "log.key", &common::log_key());
    let by_log = ["record", "sign", &draft, "--key", &log, "-o", "o3"];
    ledger_in(dir.path(), by_log).fails(1, "is the key of the log");
    let witness = ["keygen", "w", "--out", "w.key", "--use", "witness"];
    ledger_in(dir.path(), witness).ends(0);
    let run = ledger_in(dir.path(), ["record", "sign", &draft, "--key", "w.key", "-o", "o2"]);
    run.fails(1, "signs no records");
}

#[test]
fn shown_text_cannot_drive_the_terminal() {
    let dir = dir();
    let mut object = decision_object(1);
    object.set("title", ledger_core::record::Object::new().with("en", "evil\u{202e}\u{200b}"));
    let draft = write(dir.path(), "d.json", object.to_pretty_json());
    let key = write_key(dir.path(), "k", &member_key());
    ledger_in(dir.path(), ["record", "sign", &draft, "--key", &key]).ends(0);
    let show = ledger_in(dir.path(), ["record", "show", "d.record"]).ends(0);
    assert!(show.stdout.starts_with("evil\\u{202e}\\u{200b}\n"), "{}", show.stdout);
}

#[test]
fn the_human_view_of_a_record_is_a_contract() {
    let dir = dir();
    let record = write(dir.path(), "d.record", common::decision(1).as_bytes());
    let show = ledger_in(dir.path(), ["record", "show", &record]).ends(0);
    let statement = common::decision(1).statement();
    let id = member_key().verifier().id();
    let expected = format!(
        "Decision 1\n\
         log: ledger.example/test\n\
         kind: decision\n\
         id: 01941f29-7c00-7707-8000-000000000001\n\
         issuer: lab.example\n\
         issued_at: 2025-01-01T00:00:00Z\n\
         title\n  en: Decision 1\n\
         summary\n  en: What was decided.\n\
         status: accepted\ncontext: c\noptions\n  - a\n  - b\noutcome: a\nrationale: r\n\
         decided_by\n  - board\n\n\
         statement    {statement}\n\
         signed by    lab.example ({id}): not judged\n             \
         not judged: give --anchor STATEMENT with --charter FILE or --node URL\n"
    );
    assert_eq!(show.stdout, expected);
}
