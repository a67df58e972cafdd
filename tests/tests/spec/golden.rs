//! A small log that was written once, in `tests/vectors/v1`: later versions must still read it, and
//! still write the same bytes from the same input.
//!
//! `LEDGER_WRITE_VECTORS=<folder> cargo test -p ledger-tests golden` writes such a log afresh, for
//! a new version of the formats. Files of an old version are never written again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ledger_core::Hash;
use ledger_core::batch::Edge;
use ledger_core::charter::{Change, Charter, CharterDraft};
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature::cosign;
use ledger_core::merkle::{
    ConsistencyProof, MemoryTree, prove_consistency, prove_inclusion, verify_consistency,
    verify_inclusion,
};
use ledger_core::note::{Algorithm, SignerKey, VerifierKey};
use ledger_core::policy::{Policy, PolicyError};
use ledger_core::proof::{TlogProof, TlogProofError};
use ledger_core::record::{Draft, Entry, Logged, Record, RecordId, StatementId};
use ledger_core::tile::{EntryBundle, HashTile, TileCoord};
use ledger_tests::{index, key, workspace};

const ORIGIN: &str = "log.example/2026";
/// 2026-07-14T12:00:00Z, when the charter was logged.
const TIME: u64 = 1_784_030_400;
const NAMES: [&str; 4] = ["charter", "decision", "incident", "review"];
/// The checkpoint of two entries, which the last one must be consistent with.
const OLD_SIZE: u64 = 2;

/// Files by their name below the folder.
type Files = BTreeMap<String, Vec<u8>>;

fn folder() -> PathBuf {
    workspace().join("tests/vectors/v1")
}

fn read(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read_text(name: &str) -> String {
    String::from_utf8(read(name)).expect("a text")
}

fn log() -> SignerKey {
    key(ORIGIN, Algorithm::Ed25519, 1)
}

fn witnesses() -> [SignerKey; 2] {
    [2, 3].map(|seed| key(&format!("witness-{seed}.example"), Algorithm::CosignatureV1, seed))
}

fn members() -> [SignerKey; 3] {
    let member = |name, seed| key(name, Algorithm::Ed25519, seed);
    [
        member("lab.example", 11),
        member("institute.example/publishing", 12),
        member("ngo.example", 13),
    ]
}

/// Who signs which record.
fn signers(name: &str) -> Vec<SignerKey> {
    let [lab, institute, ngo] = members();
    match name {
        "charter" => vec![lab, institute, ngo],
        "incident" => vec![institute, lab],
        "review" => vec![ngo],
        _ => vec![lab],
    }
}

fn policy_text() -> String {
    let [a, b] = witnesses();
    format!(
        "log {}\nwitness a {}\nwitness b {}\ngroup both all a b\nquorum both\n",
        log().verifier(),
        a.verifier(),
        b.verifier(),
    )
}

fn charter_draft() -> Draft {
    let [lab, institute, ngo] = members();
    CharterDraft::new("Consortium of the test vectors", log().verifier().clone())
        .member("lab.example", lab.verifier().clone(), ["publisher", "steward"])
        .member("institute.example", institute.verifier().clone(), ["publisher", "steward"])
        .member("ngo.example", ngo.verifier().clone(), ["reviewer", "steward"])
        .policy(&policy_text())
        .draft(RecordId::from_parts(TIME * 1000, [0; 10]), TIME)
        .expect("a charter")
}

const DECISION: &str = r#"{
  "log": "log.example/2026",
  "kind": "decision",
  "id": "019f60a9-0c00-7000-8000-000000000001",
  "issuer": "lab.example",
  "issued_at": "2026-07-14T12:00:05Z",
  "title": {"en": "Keep test vectors", "de": "Testvektoren aufbewahren"},
  "summary": {"en": "What was readable once stays readable."},
  "status": "accepted",
  "context": "Formats change;\n\tpromises do not.",
  "options": ["keep", "regenerate"],
  "outcome": "keep",
  "rationale": "A vector that changes with the code proves nothing. \u2713 \"quoted\" \\ \/",
  "decided_by": ["board"],
  "votes": [{"who": "lab.example", "vote": "for"}],
  "resources": [{"amount_minor": 0, "currency": "EUR"}],
  "review_by": "2027-07-14"
}"#;

const INCIDENT: &str = r#"{"log":"log.example/2026","kind":"incident",
"id":"019f60a9-0c00-7000-8000-000000000002","issuer":"institute.example",
"issued_at":"2026-07-14T12:00:06Z","title":{"en":"A vector went missing"},
"summary":{"en":"Nobody was harmed."},"stage":"initial","class":"near_miss",
"severity":"unknown","aware_at":"unknown","ai_relation":"unknown","harm_types":[],
"triggers":"unknown","system":{"name":"model","version":"1"},"countries":["DE"],
"signers":["institute.example/publishing","lab.example"],
"xref":[{"scheme":"AVID","id":"AVID-2026-R0001"}],"ext":{"vectors.example":[1,-1,true,null]},
"a_member_of_the_future":{"kept":"as it is"}}"#;

const REVIEW: &str = r#"{
  "log": "log.example/2026",
  "kind": "review",
  "id": "019f60a9-0c00-7000-8000-000000000003",
  "issuer": "ngo.example",
  "issued_at": "2026-07-14T12:00:07Z",
  "title": {"en": "The vectors, reviewed"},
  "summary": {"en": "They are all there."},
  "body": "Board of the vectors",
  "review_stage": "periodic",
  "outcome": "approve_with_conditions",
  "public_summary": {"en": "Good."},
  "findings": [{"layer": "files", "result": "pass", "basis": "counted"}],
  "conditions": [{"id": "c1", "text": "count again", "due": "2027-01-01T00:00:00Z"}]
}"#;

fn sign(draft: &Draft, name: &str) -> Record {
    let keys = signers(name);
    draft.sign(&keys.iter().collect::<Vec<_>>()).expect("a record")
}

/// The `logged` line of the n-th entry.
fn logged(n: u64) -> Logged {
    Logged { time: TIME + 10 * n, governance: index(0) }
}

fn signed_checkpoint(head: ledger_core::merkle::TreeHead, time: u64) -> ClaimedCheckpoint {
    let checkpoint = Checkpoint::new(Origin::new(ORIGIN).expect("origin"), head);
    let lines: Vec<_> = witnesses().iter().map(|w| cosign(w, &checkpoint, time)).collect();
    checkpoint.sign(&log()).with_signatures(lines).expect("room")
}

/// Everything that follows from the records: entries, tiles, checkpoints, proofs.
fn publish(records: &[Record]) -> Files {
    let mut files = Files::new();
    let (mut edge, mut tree, mut old) = (Edge::new(), MemoryTree::new(), None);
    let mut entries = Vec::new();
    for (n, record) in (0..).zip(records) {
        let entry = Entry::new(logged(n), record.clone());
        entries.push(entry.to_bytes());
        tree.push(entry.leaf_hash()).expect("room");
        files.insert(format!("{}.record", NAMES[n as usize]), record.to_bytes());
        if tree.size().get() == OLD_SIZE {
            old = Some(tree.frontier().head());
        }
    }
    let batch = edge.append(&entries).expect("room");
    for (coord, bytes) in batch.tiles {
        files.insert(format!("site/{coord}"), bytes);
    }
    let (old, head) = (old.expect("there are more"), batch.head);
    let checkpoint = signed_checkpoint(head, TIME + 60);
    let earlier = signed_checkpoint(old, TIME + 20).to_string();
    let consistency = prove_consistency(&mut tree, old.size, head.size).expect("ordered");
    files.insert("consistency".into(), consistency.to_string().into_bytes());
    files.insert("checkpoint-earlier".into(), earlier.into_bytes());
    files.insert("site/checkpoint".into(), checkpoint.to_string().into_bytes());
    for (n, name) in (0..).zip(NAMES) {
        let inclusion = prove_inclusion(&mut tree, index(n), head.size).expect("inside");
        let extra = Some(logged(n).to_string().into_bytes());
        let checkpoint = checkpoint.clone();
        let proof = TlogProof { extra, index: index(n), inclusion, checkpoint };
        files.insert(format!("{name}.tlog-proof"), proof.to_string().into_bytes());
    }
    files
}

fn make() -> Files {
    let drafts = [DECISION, INCIDENT, REVIEW].map(|json| Draft::parse(json).expect("a record"));
    let drafts: Vec<Draft> = [charter_draft()].into_iter().chain(drafts).collect();
    let records: Vec<Record> = drafts.iter().zip(NAMES).map(|(d, name)| sign(d, name)).collect();
    let mut files = publish(&records);
    files.insert("policy".into(), policy_text().into_bytes());
    files.insert("log.vkey".into(), format!("{}\n", log().verifier()).into_bytes());
    files.insert("log.key".into(), format!("{}\n", log().to_secret_text()).into_bytes());
    let ids: Vec<String> =
        records.iter().zip(NAMES).map(|(r, name)| format!("{} {name}\n", r.statement())).collect();
    files.insert("statements".into(), ids.concat().into_bytes());
    files
}

fn records() -> Vec<Record> {
    let read = |name| Record::parse(&read(&format!("{name}.record"))).expect("an old record");
    NAMES.into_iter().map(read).collect()
}

#[test]
fn vectors_can_be_written_afresh() {
    let files = make();
    assert_eq!(files.len(), 17, "{:?}", files.keys());
    let Some(target) = std::env::var_os("LEDGER_WRITE_VECTORS") else { return };
    for (name, bytes) in files {
        let path = PathBuf::from(&target).join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
        std::fs::write(path, bytes).expect("a writable folder");
    }
}

#[test]
fn old_records_still_parse_and_are_admitted() {
    let records = records();
    let founding = Entry::new(logged(0), records[0].clone());
    let charter = Charter::found(&founding).expect("an old charter");
    assert_eq!(charter.origin(), ORIGIN);
    assert_eq!(charter.members().len(), 3);
    assert_eq!(charter.policy_text(), read_text("policy"));
    for (n, record) in (1..).zip(&records[1..]) {
        let signed = charter.verify(record.clone()).expect("old signatures");
        let verdict = charter.admit(&signed, &logged(n), index(n));
        assert_eq!(verdict, Ok(Change::Record), "{}", NAMES[n as usize]);
    }
    let ids = read_text("statements");
    for ((record, name), line) in records.iter().zip(NAMES).zip(ids.lines()) {
        let (id, of) = line.split_once(' ').expect("an id and a name");
        assert_eq!(of, name);
        assert_eq!(StatementId::from_hex(id), Ok(record.statement()));
    }
}

#[test]
fn old_proofs_still_verify_offline() {
    let policy = Policy::parse(&read("policy")).expect("an old policy");
    for (n, name) in (0..).zip(NAMES) {
        // all that a verifier has: the record, its proof file and the policy
        let proof = TlogProof::parse(&read(&format!("{name}.tlog-proof"))).expect("an old proof");
        assert_eq!(proof.index, index(n));
        let line = proof.extra.clone().expect("the logged line");
        let line = String::from_utf8(line).expect("a text");
        assert_eq!(Logged::parse(&line), Ok(logged(n)));
        let mut entry = line.into_bytes();
        entry.extend(read(&format!("{name}.record")));
        let accepted = proof.verify(&Hash::leaf(&entry), &policy).expect("an old proof");
        assert_eq!(accepted.cosigned.into_values().collect::<Vec<_>>(), [TIME + 60; 2]);
        *entry.last_mut().expect("not empty") ^= 1;
        let altered = proof.verify(&Hash::leaf(&entry), &policy);
        assert!(matches!(altered, Err(TlogProofError::Inclusion(_))));
    }
}

#[test]
fn the_old_site_still_reads_and_its_heads_are_consistent() {
    let vkey: VerifierKey = read_text("log.vkey").trim_end().parse().expect("an old key");
    let secret: SignerKey = read_text("log.key").trim_end().parse().expect("an old key file");
    assert_eq!(secret.verifier(), &vkey);
    let verify = |name| {
        let claimed = ClaimedCheckpoint::parse(&read(name)).expect("an old checkpoint");
        *claimed.verify(std::slice::from_ref(&vkey)).expect("an old signature").head()
    };
    let (old, head) = (verify("checkpoint-earlier"), verify("site/checkpoint"));
    assert_eq!((old.size.get(), head.size.get()), (OLD_SIZE, 4));
    let lines = read_text("consistency");
    let proof = ConsistencyProof::parse(lines.lines()).expect("an old proof");
    assert_eq!(verify_consistency(&proof, &old, &head), Ok(()));

    let at = |path: &str| -> TileCoord { path.parse().expect("a path") };
    let (hashes, entries) = ("tile/0/000.p/4", "tile/entries/000.p/4");
    let tile = HashTile::parse(at(hashes), &read(&format!("site/{hashes}"))).expect("whole");
    let bundle = read(&format!("site/{entries}"));
    let bundle = EntryBundle::parse(at(entries), bundle).expect("whole");
    assert!(bundle.iter().map(Hash::leaf).eq(tile.hashes().iter().copied()));
    let mut tree = MemoryTree::new();
    for (n, (bytes, record)) in (0..).zip(bundle.iter().zip(records())) {
        let entry = Entry::parse(bytes).expect("an old entry");
        assert_eq!(entry, Entry::new(logged(n), record));
        tree.push(entry.leaf_hash()).expect("room");
    }
    assert_eq!(tree.frontier().head(), head);
    let proof = prove_inclusion(&mut tree, index(3), head.size).expect("inside");
    assert_eq!(verify_inclusion(&proof, &tile.hashes()[3], index(3), &head), Ok(()));
}

#[test]
fn the_same_input_still_gives_the_same_bytes() {
    for (record, name) in records().iter().zip(NAMES) {
        let draft = Draft::parse(record.text().split_once('\n').expect("two lines").1);
        assert_eq!(sign(&draft.expect("an old record"), name), *record, "{name}");
    }
    for (name, bytes) in publish(&records()) {
        assert_eq!(read(&name), bytes, "{name}");
    }
}

#[test]
fn one_witness_less_and_the_old_checkpoint_is_not_enough() {
    let policy = Policy::parse(&read("policy")).expect("an old policy");
    let text = read_text("site/checkpoint");
    let fewer: String = text
        .lines()
        .filter(|l| !l.contains("witness-3"))
        .fold(String::new(), |all, line| all + line + "\n");
    let claimed = ClaimedCheckpoint::parse(fewer.as_bytes()).expect("a checkpoint");
    let verdict = policy.verify(&claimed);
    assert_eq!(verdict, Err(PolicyError::NoQuorum { present: 1, witnesses: 2 }));
}
