//! Evidence files that were written once, in `tests/vectors/v1/evidence`: every later version reads
//! them, reaches the same verdict, and prints the same bytes; docs/evidence.md shows one of each.
//!
//! `LEDGER_WRITE_EVIDENCE=1 cargo test -p ledger-tests evidence` writes them, for a new version of
//! the formats; files of an old version are never written again.

use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature::cosign;
use ledger_core::evidence::{
    Case, ClaimedEvidence, Conflict, Culprit, Heads, LeafPair, LeafRule, Leaves, Trust,
};
use ledger_core::merkle::{MemoryTree, TreeHead, prove_inclusion, root};
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::proof::TlogProof;
use ledger_core::record::{Entry, Logged, Record, StatementId};
use ledger_core::{Hash, charter::CharterDraft, record::RecordId};
use ledger_tests::{index, key, size, workspace};

const ORIGIN: &str = "log.example/2026";
/// 2026-07-14T12:00:00Z.
const TIME: u64 = 1_784_030_400;
const KINDS: [&str; 9] = [
    "same-size",
    "split-history",
    "bad-empty",
    "unlawful-leaf",
    "time-reversal",
    "duplicate-leaf",
    "cosigner-same-size",
    "cosigner-split-history",
    "cosigner-bad-empty",
];

fn log() -> SignerKey {
    key(ORIGIN, Algorithm::Ed25519, 1)
}

fn witness() -> SignerKey {
    key("witness-2.example", Algorithm::CosignatureV1, 2)
}

fn member() -> SignerKey {
    key("lab.example", Algorithm::Ed25519, 11)
}

fn tree<T: AsRef<[u8]>>(leaves: &[T]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    leaves.iter().for_each(|leaf| {
        tree.push(Hash::leaf(leaf.as_ref())).expect("room");
    });
    tree
}

fn signed(head: TreeHead, time: u64) -> ClaimedCheckpoint {
    let checkpoint = Checkpoint::new(Origin::new(ORIGIN).expect("origin"), head);
    let line = cosign(&witness(), &checkpoint, time);
    checkpoint.sign(&log()).with_signatures([line]).expect("room")
}

fn conflicts() -> [Conflict; 3] {
    let head = |leaves: &[&str], time| signed(tree(leaves).frontier().head(), time);
    let (a, other) = (head(&["a", "b", "c"], TIME), head(&["a", "b", "X"], TIME + 60));
    let larger = ["a", "b", "X", "d", "e"];
    let b = head(&larger, TIME + 120);
    let split = Conflict::of_trees(Heads { one: &a, other: &b }, &mut tree(&larger));
    let empty = signed(TreeHead { size: size(0), root: Hash::digest(b"x") }, TIME);
    [
        Conflict::of_heads(Heads { one: &a, other: &other }).expect("two roots"),
        split.expect("a tree").expect("another beginning"),
        Conflict::of_head(&empty).expect("no empty tree"),
    ]
}

fn charter() -> Record {
    let draft = CharterDraft::new("Consortium of the test vectors", log().verifier().clone())
        .member("lab.example", member().verifier().clone(), ["steward", "publisher"])
        .draft(RecordId::from_parts(TIME * 1000, [0; 10]), TIME)
        .expect("a charter");
    draft.sign(&[&member()]).expect("signed")
}

/// A lawful decision, if the member itself signs it.
fn decision(signer: &SignerKey) -> Record {
    let text = std::fs::read_to_string(workspace().join("tests/vectors/v1/decision.record"));
    let text = text.expect("the vector of a decision");
    let json = text.split_once('\n').and_then(|(_, rest)| rest.split_once("\n\n")).expect("a note");
    let json = json.0.replacen("lab.example", signer.verifier().name().as_str(), 1);
    ledger_core::record::Draft::parse(&json).expect("sound").sign(&[signer]).expect("signed")
}

struct Ledger(Vec<Entry>);

impl Ledger {
    /// The charter, a decision by a stranger, and the same decision by a member twice, the second
    /// time a second earlier.
    fn unlawful() -> Ledger {
        let entry = |time, record| Entry::new(Logged { time, governance: index(0) }, record);
        let stranger = key("stranger.example", Algorithm::Ed25519, 99);
        Ledger(vec![
            entry(TIME, charter()),
            entry(TIME + 5, decision(&stranger)),
            entry(TIME + 9, decision(&member())),
            entry(TIME + 8, decision(&member())),
        ])
    }

    fn tree(&self) -> MemoryTree {
        tree(&self.0.iter().map(Entry::to_bytes).collect::<Vec<_>>())
    }

    fn head(&self, n: u64) -> ClaimedCheckpoint {
        let root = root(&mut self.tree(), size(n)).expect("in memory");
        signed(TreeHead { size: size(n), root }, TIME + 60)
    }

    fn entry(&self, at: u64, n: u64) -> GovernanceEntry {
        let inclusion = prove_inclusion(&mut self.tree(), index(at), size(n)).expect("inside");
        GovernanceEntry { index: index(at), entry: self.0[at as usize].clone(), inclusion }
    }

    fn bundle(&self, at: u64, n: u64) -> AuthorityBundle {
        let own = self.entry(at, n);
        let proof = TlogProof {
            extra: Some(own.entry.logged().to_string().into_bytes()),
            index: own.index,
            inclusion: own.inclusion,
            checkpoint: self.head(n),
        };
        AuthorityBundle::new(vec![self.entry(0, n)], proof)
    }
}

fn anchor() -> StatementId {
    charter().statement()
}

/// The files by their names, made anew. Those about heads carry the charter's bundle.
fn made() -> Vec<(&'static str, ClaimedEvidence)> {
    let ledger = Ledger::unlawful();
    let authority = [ledger.bundle(0, 1)];
    let by_anchor = Trust::new().with_anchor(anchor());
    let by_witness = Trust::new().with_key(witness().verifier().clone());
    let case = Case { trust: &by_anchor, authority: &authority };
    let alone = Case { trust: &by_anchor, authority: &[] };
    let of_witness = Case { trust: &by_witness, authority: &[] };
    let mut files: Vec<ClaimedEvidence> = Vec::new();
    for conflict in conflicts() {
        files.push(ClaimedEvidence::against_log(&conflict, case).expect("convicts"));
    }
    let unlawful = (ledger.0[1].record(), ledger.bundle(1, 4));
    files.push(ClaimedEvidence::unlawful_leaf(unlawful.0, &unlawful.1, alone).expect("unlawful"));
    for rule in [LeafRule::TimeReversal, LeafRule::DuplicateLeaf] {
        let (head, charter) = (ledger.head(4), ledger.entry(0, 4));
        let (first, second) = (ledger.entry(2, 4), ledger.entry(3, 4));
        let pair = LeafPair::new(rule, Leaves { head, charter, first, second }).expect("a breach");
        files.push(ClaimedEvidence::leaves(&pair, alone).expect("convicts"));
    }
    for conflict in conflicts() {
        let key = witness().verifier().clone();
        let made = ClaimedEvidence::against_cosigner(&conflict, &key, of_witness);
        files.push(made.expect("convicts"));
    }
    KINDS.into_iter().zip(files).collect()
}

#[test]
fn evidence_that_was_written_once_still_convicts() {
    let folder = workspace().join("tests/vectors/v1/evidence");
    let write = std::env::var_os("LEDGER_WRITE_EVIDENCE").is_some();
    for (name, made) in made() {
        let path = folder.join(format!("{name}.json"));
        if write {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&path, made.as_str()).expect("written");
        }
        let bytes = std::fs::read(&path).expect("the vector");
        let read = ClaimedEvidence::parse(&bytes).expect("evidence");
        assert_eq!((&read, read.as_str().as_bytes()), (&made, bytes.as_slice()), "{name}");
        let by_keys = [log(), witness()]
            .iter()
            .fold(Trust::new(), |trust, key| trust.with_key(key.verifier().clone()));
        let judges = match name.starts_with("cosigner") {
            true => vec![by_keys],
            false => vec![by_keys, Trust::new().with_anchor(anchor())],
        };
        for judge in judges {
            let conviction = read.verify(&judge).expect("convicts");
            match conviction.culprit() {
                Culprit::Cosigner { key, .. } => assert_eq!(key, witness().verifier()),
                culprit => assert_eq!(culprit.keys(), [log().verifier().clone()]),
            }
            assert!(name.starts_with(conviction.kind()), "{name}");
        }
    }
}

#[test]
fn the_documents_show_each_type_as_it_is() {
    let page = workspace().join("docs/evidence.md");
    let page = std::fs::read_to_string(page).expect("docs/evidence.md");
    for (name, made) in made() {
        let object = ledger_core::record::Object::parse(made.as_str()).expect("JSON");
        let row = page.lines().find(|line| line.contains(&format!("`{}`", made.kind())));
        let row = row.unwrap_or_else(|| panic!("no row for {name}"));
        for (member, _) in object.iter() {
            let known = ["format", "type", "authority"].contains(&member);
            let common = matches!(made.kind(), "cosigner");
            assert!(known || common || row.contains(&format!("`{member}`")), "{name}: {member}");
        }
        assert!(page.contains(&format!("{name}.json")), "{name} is not linked");
    }
    let same_size = &made()[6].1;
    assert!(page.contains(same_size.as_str()), "the example is not the file of the vectors");
}
