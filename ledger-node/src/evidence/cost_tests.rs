//! What evidence costs whoever stores and judges it: the peak of the process's memory.
#![allow(clippy::unwrap_used)]

use ledger_core::LeafIndex;
use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::charter::CharterDraft;
use ledger_core::checkpoint::Checkpoint;
use ledger_core::hash::Hash;
use ledger_core::merkle::{MemoryTree, prove_inclusion};
use ledger_core::record::{
    Draft, Entry, Logged, Object, Record, RecordId, StatementId, format_time,
};

use ledger_core::note::{Algorithm, KeyName, SignerKey};

use super::tests::{key, log, same_size, trust};
use super::*;

const NOW: u64 = 1_800_000_000;

/// Members that one change adds: about as many as an entry has room for.
const ADDED: usize = 120;

/// Changes that add members.
const ADDITIONS: usize = 5;

/// Changes of the charter, each of one member.
const CHANGES: usize = 1500;

/// Evidence of a stranger, who found a consortium of its own and changed its charter many times.
struct Costly {
    text: String,
    anchor: StatementId,
}

fn member(n: usize) -> String {
    format!("m{n}.example")
}

fn record_key(n: usize) -> SignerKey {
    let name = KeyName::new(&member(n)).unwrap();
    let seed = *Hash::digest(&n.to_be_bytes()).as_bytes();
    SignerKey::from_seed(name, Algorithm::Ed25519, seed).unwrap()
}

fn charter() -> Record {
    let key = record_key(0);
    let draft = CharterDraft::new("Strangers", log().verifier().clone())
        .member(&member(0), key.verifier().clone(), ["publisher", "steward"])
        .draft(RecordId::from_parts(NOW * 1000, [0; 10]), NOW)
        .unwrap();
    draft.sign(&[&key]).unwrap()
}

/// The `n`-th change: the first ones add members, the others give one of them an address.
fn change(n: usize, base: StatementId) -> Record {
    let mut random = [1; 10];
    random[..8].copy_from_slice(&(n as u64).to_be_bytes());
    let (id, now) = (RecordId::from_parts(NOW * 1000, random), format_time(NOW));
    let added = |of: usize| {
        format!(
            r#"{{"action":"admit","member":"{}","keys":[{{"use":"record","vkey":"{}"}}],
            "roles":[{{"role":"publisher"}}]}}"#,
            member(of),
            record_key(of).verifier()
        )
    };
    let changes: Vec<String> = if n <= ADDITIONS {
        ((n - 1) * ADDED + 1..=n * ADDED).map(added).collect()
    } else {
        let of = member(1 + n % (ADDED * ADDITIONS));
        vec![format!(r#"{{"action":"set_node","member":"{of}","node":"https://n{n}.example"}}"#)]
    };
    let json = format!(
        r#"{{"log":"log.example","kind":"membership","id":"{id}","issuer":"{}",
        "issued_at":"{now}","title":{{"en":"N"}},"summary":{{"en":"N"}},"base":"{base}",
        "changes":[{}]}}"#,
        member(0),
        changes.join(",")
    );
    Draft::parse(&json).unwrap().sign(&[&record_key(0)]).unwrap()
}

impl Costly {
    fn new() -> Costly {
        let first = charter();
        let anchor = first.statement();
        let mut base = anchor;
        let mut entries =
            vec![Entry::new(Logged { time: NOW, governance: LeafIndex::ZERO }, first)];
        for n in 1..=CHANGES {
            let record = change(n, base);
            base = record.statement();
            let governance = LeafIndex::new(n as u64 - 1).unwrap();
            entries.push(Entry::new(Logged { time: NOW, governance }, record));
        }
        let mut tree = MemoryTree::new();
        for entry in &entries {
            tree.push(entry.leaf_hash()).unwrap();
        }
        let size = ledger_core::TreeSize::new(entries.len() as u64).unwrap();
        let governance: Vec<GovernanceEntry> = (0..)
            .zip(entries)
            .map(|(at, entry)| {
                let index = LeafIndex::new(at).unwrap();
                let inclusion = prove_inclusion(&mut tree, index, size).unwrap();
                GovernanceEntry { index, entry, inclusion }
            })
            .collect();
        let origin = ledger_core::checkpoint::Origin::new("log.example").unwrap();
        let signed = Checkpoint::new(origin, tree.frontier().head()).sign(&log());
        let bundle: AuthorityBundle = crate::governance::about_last(governance, &signed).unwrap();
        let evidence = Object::parse(same_size("b").as_str().trim_end()).unwrap();
        let bundle = Object::parse(bundle.to_string().trim_end()).unwrap();
        let text = format!("{}\n", evidence.with("authority", vec![bundle]).to_pretty_json());
        Costly { text, anchor }
    }
}

/// The most memory that this process has held since `forget_peak`, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// 1.9 MB killed a node that anybody sent them to, and made every later start as slow.
#[test]
fn evidence_costs_at_most_sixteen_bytes_of_memory_for_each_of_its_own() {
    let Costly { text, anchor } = Costly::new();
    let dir = tempfile::tempdir().unwrap();
    let id = EvidenceId::from_hash(Hash::digest(text.as_bytes()));
    let path = dir.path().join(format!("{id}.{EXTENSION}"));
    std::fs::write(&path, &text).unwrap();
    let allowed = 16 * text.len() + (64 << 20);
    println!("{} bytes of evidence, {allowed} allowed", text.len());
    // of nobody's anchor, and of one that this node follows
    for (trust, times) in [(trust(), 3), (Trust::new().with_anchor(anchor), 3)] {
        for _ in 0..times {
            forget_peak();
            let before = peak();
            let store = EvidenceStore::open(dir.path(), trust.clone()).unwrap();
            assert_eq!(store.convictions().len(), 1, "it is judged");
            let held = peak().saturating_sub(before);
            assert!(held <= allowed, "{held} bytes for {} of evidence", text.len());
        }
    }
}

#[test]
fn a_verdict_is_kept_beside_its_file_and_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = EvidenceStore::open(dir.path(), trust()).unwrap();
    let evidence = same_size("b");
    assert!(store.add(&evidence).unwrap());
    let path = dir.path().join(format!("{}.{VERDICT}", evidence.id()));
    let verdict = Verdict::parse(&std::fs::read_to_string(&path).unwrap(), &evidence);
    assert_eq!(verdict, Some(Verdict::of(&evidence, &trust())));
    // a verdict that the node would not come to itself shows that it does not judge again
    let of_nobody = Verdict::of(&evidence, &Trust::new()).to_text(&evidence);
    let trusted = verdict.unwrap().to_text(&evidence);
    let digest = |text: &str| {
        let line = text.lines().find(|line| line.contains("\"trust\"")).unwrap();
        line.split('"').nth(3).unwrap().to_owned()
    };
    let altered = of_nobody.replace(&digest(&of_nobody), &digest(&trusted));
    std::fs::write(&path, altered).unwrap();
    let store = EvidenceStore::open(dir.path(), trust()).unwrap();
    assert_eq!(store.against(log().verifier()), None);
    // with other keys it judges again, and with a damaged verdict
    store.trust(
        Trust::new()
            .with_key(log().verifier().clone())
            .with_key(key("log.example", Algorithm::Ed25519, 77).verifier().clone()),
    );
    assert_eq!(store.against(log().verifier()), Some(evidence.id()));
    std::fs::write(&path, "{").unwrap();
    let store = EvidenceStore::open(dir.path(), trust()).unwrap();
    assert_eq!(store.against(log().verifier()), Some(evidence.id()));
}

#[test]
fn evidence_that_was_judged_already_is_kept_without_judging_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = EvidenceStore::open(dir.path(), trust()).unwrap();
    let evidence = same_size("b");
    let own = Verdict::of(&evidence, &trust());
    // only who does not judge again says so
    let text = own.to_text(&evidence).replace("the log signed this", "as it was told");
    let told = Verdict::parse(&text, &evidence).filter(|told| *told != own).unwrap();
    assert!(store.add_judged(&evidence, Some(&told)).unwrap());
    assert!(store.convictions()[0].1.explanation().contains("as it was told"));
    // a verdict of a judge who knew other keys is not taken
    let other = tempfile::tempdir().unwrap();
    let store = EvidenceStore::open(other.path(), Trust::new()).unwrap();
    assert!(store.add_judged(&evidence, Some(&told)).is_err());
}
