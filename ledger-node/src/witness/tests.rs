//! The witness with time and disk as arguments.
#![allow(clippy::unwrap_used)]

mod contradictions;
mod pairs;

use ledger_core::LeafIndex;
use ledger_core::charter::CharterDraft;
use ledger_core::checkpoint::Checkpoint;
use ledger_core::cosignature::verify_line;
use ledger_core::evidence::{Case, ClaimedEvidence, Conflict, Heads, Trust};
use ledger_core::hash::Hash;
use ledger_core::index::TreeSize;
use ledger_core::merkle::{MemoryTree, TreeHead, prove_consistency};
use ledger_core::note::{Algorithm, KeyName};
use ledger_core::record::{Entry, Logged, RecordId};
use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::gossip::GossipParts;
use crate::log::LogReader;
use crate::store::Store;
use crate::store::memory::MemoryStore;

const OWN: &str = "own.example";
const LOG: &str = "log.example";
const NOW: u64 = 1_800_000_000;

fn key(name: &str, algorithm: Algorithm, seed: u8) -> SignerKey {
    SignerKey::from_seed(KeyName::new(name).unwrap(), algorithm, [seed; 32]).unwrap()
}

fn log_key() -> SignerKey {
    key(LOG, Algorithm::Ed25519, 1)
}

fn witness_key() -> SignerKey {
    key("witness.example", Algorithm::CosignatureV1, 2)
}

fn own_key() -> SignerKey {
    key(OWN, Algorithm::Ed25519, 9)
}

fn charter() -> Charter {
    let member = key("lab.example", Algorithm::Ed25519, 3);
    let draft = CharterDraft::new("Example", own_key().verifier().clone())
        .member("lab.example", member.verifier().clone(), ["publisher", "steward"])
        .draft(RecordId::from_parts(NOW * 1000, [0; 10]), NOW)
        .unwrap();
    let logged = Logged { time: NOW, governance: LeafIndex::ZERO };
    Charter::found(&Entry::new(logged, draft.sign(&[&member]).unwrap())).unwrap()
}

/// A witness's directory and its clock.
struct WitnessDir {
    dir: TempDir,
    clock: ManualClock,
    /// Whether contradictions become evidence.
    compares: bool,
}

impl WitnessDir {
    fn new() -> WitnessDir {
        let (dir, clock) = (tempfile::tempdir().unwrap(), ManualClock::at(NOW));
        let place = WitnessDir { dir, clock, compares: true };
        place.list(&format!("log {}\n", log_key().verifier()));
        place
    }

    fn list(&self, text: &str) {
        std::fs::write(self.dir.path().join(crate::known_logs::LOGS_FILE), text).unwrap();
    }

    fn parts(&self, keys: Vec<SignerKey>) -> WitnessParts {
        let (sender, charter) = tokio::sync::watch::channel(Arc::new(charter()));
        // the sequencer keeps it while a node runs; a closed channel goes on giving its last value
        drop(sender);
        let logs = Arc::new(crate::known_logs::LogList::open(self.dir.path()).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(100));
        let folder = self.dir.path().join("evidence");
        let gossip = Gossip::open(GossipParts {
            logs: Arc::clone(&logs),
            charter: charter.clone(),
            reader: Arc::new(LogReader::new(store)),
            published: tokio::sync::watch::channel(None).1,
            evidence: Arc::new(EvidenceStore::open(&folder, Trust::new()).unwrap()),
            bridges: crate::gossip::bridges::Bridges::new(self.dir.path().join("bridges")),
            heads: self.dir.path().join("heads.sqlite"),
            clock: Arc::clone(&clock),
            compares: self.compares,
            dialer: crate::transport::Dialer::default(),
            peers: Vec::new(),
            own: Vec::new(),
            cosigners: keys.iter().map(|key| key.verifier().clone()).collect(),
        });
        let state = self.dir.path().join("witness.sqlite");
        WitnessParts { keys, state, logs, charter, clock, gossip: gossip.unwrap() }
    }

    fn open(&self) -> Witness {
        Witness::open(self.parts(vec![witness_key()])).unwrap()
    }
}

fn tree(size: u64, branch: u8) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for n in 0..size {
        tree.push(Hash::leaf(&[branch, n as u8])).unwrap();
    }
    tree
}

fn request_of(signer: &SignerKey, old: u64, new: u64, branch: u8) -> AddCheckpoint {
    let mut tree = tree(new, branch);
    let (old, size) = (TreeSize::new(old).unwrap(), TreeSize::new(new).unwrap());
    let proof = prove_consistency(&mut tree, old, size).unwrap_or_default();
    let head = TreeHead { size, root: tree.frontier().head().root };
    let origin = Origin::new(signer.verifier().name().as_str()).unwrap();
    AddCheckpoint::new(old, proof, Checkpoint::new(origin, head).sign(signer))
}

fn request(old: u64, new: u64) -> AddCheckpoint {
    request_of(&log_key(), old, new, 0)
}

/// The time that an answer's one line verifies with.
fn time_of(request: &AddCheckpoint, lines: &[Signature]) -> u64 {
    let [line] = lines else { panic!("one key, one line") };
    verify_line(request.checkpoint().note(), witness_key().verifier(), line).unwrap()
}

async fn status(witness: &Witness, request: &AddCheckpoint) -> u16 {
    match witness.add_checkpoint(request).await {
        Ok(_) => 200,
        Err(WitnessError::Refused(refusal)) => refusal.status(),
        Err(error) => panic!("{error}"),
    }
}

fn latest(witness: &Witness) -> Option<u64> {
    witness.latest(&Origin::new(LOG).unwrap()).map(|kept| kept.head().size.get())
}

#[tokio::test]
async fn what_was_cosigned_survives_and_times_never_go_back() {
    let place = WitnessDir::new();
    let hash = origin_hash(&Origin::new(LOG).unwrap());
    let (first, second) = (request(0, 5), request(5, 9));
    let served = {
        let witness = place.open();
        assert_eq!(witness.checkpoint(&hash), None, "never cosigned");
        let lines = witness.add_checkpoint(&first).await.unwrap();
        assert_eq!(time_of(&first, &lines), NOW);
        let served = witness.checkpoint(&hash).unwrap();
        assert_eq!(served.note().signatures()[1..], lines, "monitors get the very lines");
        assert!(served.verify(&[log_key().verifier().clone()]).is_ok());
        served
    };
    place.clock.set(NOW - 1000);
    let witness = place.open();
    assert_eq!(witness.checkpoint(&hash), Some(served), "the same after a restart");
    assert_eq!(status(&witness, &first).await, 409);
    assert_eq!(status(&witness, &request(0, 9)).await, 409);
    let lines = witness.add_checkpoint(&second).await.unwrap();
    assert_eq!(time_of(&second, &lines), NOW, "the clock went back, the time did not");
    place.clock.set(NOW + 7);
    let again = request(9, 9);
    let lines = witness.add_checkpoint(&again).await.unwrap();
    assert_eq!(time_of(&again, &lines), NOW + 7);
}

#[tokio::test]
async fn the_state_of_a_removed_log_is_kept_for_ever() {
    let place = WitnessDir::new();
    let witness = place.open();
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    place.list("# nothing\n");
    // a list that changed counts after a second, or at once for a log that is not known
    let removed = witness.known().into_iter().find(|log| log.origin == LOG).unwrap();
    assert!(removed.keys.is_empty());
    assert_eq!(removed.latest.unwrap().head().size.get(), 5);
    assert_eq!(status(&witness, &request(5, 6)).await, 404);
    drop(witness);
    let witness = place.open();
    assert_eq!(status(&witness, &request(5, 6)).await, 404);
    place.list(&format!("log {}\n", log_key().verifier()));
    assert_eq!(status(&witness, &request_of(&log_key(), 0, 3, 1)).await, 409);
    assert_eq!(status(&witness, &request(5, 6)).await, 200);
}

#[tokio::test]
async fn the_nodes_own_log_is_always_known_and_a_convicted_key_is_not_trusted() {
    let place = WitnessDir::new();
    place.list("");
    let witness = place.open();
    let own = |old, new| request_of(&own_key(), old, new, 0);
    assert_eq!(status(&witness, &own(0, 1)).await, 200);
    // another tree of the same size: the witness makes evidence of it
    assert_eq!(status(&witness, &request_of(&own_key(), 1, 1, 1)).await, 422);
    let id = witness.evidence().all()[0].id().to_string();
    let refused = witness.add_checkpoint(&own(1, 2)).await.expect_err("convicted");
    assert!(refused.to_string().contains(&id), "{refused}");
    assert_eq!(status(&witness, &own(1, 2)).await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_requests_make_one_history() {
    const TASKS: u64 = 24;
    const STEPS: u64 = 12;
    // a log that was convicted races no more
    let place = WitnessDir { compares: false, ..WitnessDir::new() };
    let witness = Arc::new(place.open());
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let witness = Arc::clone(&witness);
        tasks.push(tokio::spawn(async move {
            let mut accepted = Vec::new();
            let mut state = task.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            for _ in 0..STEPS {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // every third task is a log that tells another story to whom it can
                let (branch, grow) = (u8::from(task % 3 == 0), state % 4);
                let old = latest(&witness).unwrap_or(0);
                let request = request_of(&log_key(), old, old + grow, branch);
                if witness.add_checkpoint(&request).await.is_ok() {
                    accepted.push((old, old + grow, branch));
                }
            }
            accepted
        }));
    }
    let mut accepted = Vec::new();
    for task in tasks {
        accepted.extend(task.await.unwrap());
    }
    let growing: Vec<_> = accepted.iter().filter(|(old, new, _)| old < new).collect();
    let branches: std::collections::BTreeSet<u8> = growing.iter().map(|(.., b)| *b).collect();
    assert_eq!(branches.len(), 1, "no two accepted heads contradict each other: {accepted:?}");
    // the accepted steps are a chain: each begins where exactly one other ended
    let mut steps: Vec<(u64, u64)> = growing.iter().map(|(old, new, _)| (*old, *new)).collect();
    steps.sort_unstable();
    let ends: Vec<u64> = steps.iter().map(|(_, new)| *new).collect();
    let starts: Vec<u64> = steps.iter().map(|(old, _)| *old).collect();
    assert_eq!(starts[0], 0);
    assert_eq!(starts[1..], ends[..ends.len() - 1]);
    assert_eq!(latest(&witness), ends.last().copied());
    drop(witness);
    assert_eq!(latest(&place.open()), ends.last().copied(), "and so it is on the disk");
}

#[tokio::test]
async fn a_witness_that_cannot_keep_cosigns_nothing_until_it_is_restarted() {
    let place = WitnessDir::new();
    let witness = place.open();
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    let other = rusqlite::Connection::open(place.dir.path().join("witness.sqlite")).unwrap();
    let broken = "CREATE TRIGGER full BEFORE UPDATE ON cosigned
                  BEGIN SELECT RAISE(FAIL, 'no room'); END";
    other.execute_batch(broken).unwrap();
    let failed = witness.add_checkpoint(&request(5, 6)).await;
    assert!(matches!(failed, Err(WitnessError::Broken)), "{failed:?}");
    other.execute_batch("DROP TRIGGER full").unwrap();
    let failed = witness.add_checkpoint(&request(5, 6)).await;
    assert!(matches!(failed, Err(WitnessError::Broken)), "not even when the disk has room again");
    assert_eq!(latest(&witness), Some(5));
    drop(witness);
    let witness = place.open();
    assert_eq!(status(&witness, &request(5, 6)).await, 200);
}

#[test]
fn unfit_keys_lists_and_states_are_refused_before_anything_is_served() {
    let place = WitnessDir::new();
    let open = |keys| Witness::open(place.parts(keys)).err().map(|error| error.to_string());
    let says = |error: Option<String>, part: &str| {
        assert!(error.as_ref().is_some_and(|error| error.contains(part)), "{error:?}");
    };
    says(open(vec![log_key()]), "is not a cosigner's");
    says(open(vec![witness_key(), witness_key()]), "all of them different");
    place.list("log\n");
    let list =
        crate::known_logs::LogList::open(place.dir.path()).err().map(|error| error.to_string());
    says(list, "line 1: expected");
    place.list("");
    std::fs::write(place.dir.path().join("witness.sqlite"), "nonsense").unwrap();
    says(open(vec![witness_key()]), "not a database");
}

#[tokio::test]
async fn a_convicted_key_of_the_node_cosigns_nothing() {
    let place = WitnessDir::new();
    let witness = place.open();
    let hash = origin_hash(&Origin::new(LOG).unwrap());
    assert_eq!(status(&witness, &request(0, 5)).await, 200);
    assert!(has_own_line(&witness.checkpoint(&hash).unwrap()));
    let evidence = against(&witness_key());
    witness.gossip.convict(&evidence).unwrap();
    let refused = witness.add_checkpoint(&request(5, 6)).await;
    assert!(
        matches!(refused, Err(WitnessError::Convicted(id)) if id == evidence.id()),
        "{refused:?}"
    );
    assert_eq!(latest(&witness), Some(5), "nothing was kept");
    // what it cosigned is made again for each monitor
    assert!(!has_own_line(&witness.checkpoint(&hash).unwrap()));
    drop(witness);
    let witness = place.open();
    assert!(witness.add_checkpoint(&request(5, 6)).await.is_err(), "after a restart too");
    drop(witness);
    // a second key goes on
    let name = KeyName::new("second.example").unwrap();
    let second = SignerKey::from_seed(name, Algorithm::CosignatureV1, [77; 32]).unwrap();
    let witness = Witness::open(place.parts(vec![witness_key(), second.clone()])).unwrap();
    let lines = witness.add_checkpoint(&request(5, 6)).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].is_by(second.verifier()));
}

fn has_own_line(checkpoint: &ClaimedCheckpoint) -> bool {
    let lines = checkpoint.note().signatures();
    lines.iter().any(|line| line.is_by(witness_key().verifier()))
}

/// Evidence that this key cosigned two trees of a log that the node does not know.
fn against(key: &SignerKey) -> ClaimedEvidence {
    let head = |branch| {
        let head = TreeHead {
            size: TreeSize::new(1).unwrap(),
            root: tree(1, branch).frontier().head().root,
        };
        let checkpoint = Checkpoint::new(Origin::new("other.example").unwrap(), head);
        let text = format!("{checkpoint}\n{}", cosign(key, &checkpoint, NOW));
        ClaimedCheckpoint::parse(text.as_bytes()).unwrap()
    };
    let (one, other) = (head(1), head(2));
    let conflict = Conflict::of_heads(Heads { one: &one, other: &other }).unwrap();
    let trust = Trust::new().with_cosigner(key.verifier().clone());
    let case = Case { trust: &trust, authority: &[] };
    ClaimedEvidence::against_cosigner(&conflict, key.verifier(), case).unwrap()
}
