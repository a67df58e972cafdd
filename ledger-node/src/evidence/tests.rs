#![allow(clippy::unwrap_used)]

use ledger_core::Hint;
use ledger_core::batch::Edge;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature::cosign;
use ledger_core::evidence::{Case, Conflict, Heads};
use ledger_core::note::{Algorithm, KeyName, SignerKey};

use super::*;

pub(super) fn key(name: &str, algorithm: Algorithm, seed: u8) -> SignerKey {
    SignerKey::from_seed(KeyName::new(name).unwrap(), algorithm, [seed; 32]).unwrap()
}

pub(super) fn log() -> SignerKey {
    key("log.example", Algorithm::Ed25519, 1)
}

fn witness() -> SignerKey {
    key("witness.example", Algorithm::CosignatureV1, 2)
}

pub(super) fn trust() -> Trust {
    Trust::new().with_key(log().verifier().clone()).with_key(witness().verifier().clone())
}

/// A head that log and witness signed.
fn head(leaves: &[String]) -> ClaimedCheckpoint {
    let mut edge = Edge::new();
    let entries: Vec<Vec<u8>> = leaves.iter().map(|leaf| leaf.clone().into_bytes()).collect();
    edge.append(&entries).unwrap();
    let checkpoint = Checkpoint::new(Origin::new("log.example").unwrap(), edge.head());
    let line = cosign(&witness(), &checkpoint, 5);
    checkpoint.sign(&log()).with_signatures([line]).unwrap()
}

fn leaves(n: usize, from: usize, name: &str) -> Vec<String> {
    (0..n).map(|at| if at < from { at.to_string() } else { format!("{name}{at}") }).collect()
}

pub(super) fn same_size(name: &str) -> ClaimedEvidence {
    let (a, b) = (head(&leaves(3, 1, "a")), head(&leaves(3, 1, name)));
    let conflict = Conflict::of_heads(Heads { one: &a, other: &b }).unwrap();
    let trust = trust();
    let case = Case { trust: &trust, authority: &[] };
    ClaimedEvidence::against_log(&conflict, case).unwrap()
}

#[test]
fn evidence_is_kept_judged_again_and_never_taken_on_trust() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("private/evidence");
    let store = EvidenceStore::open(&folder, trust()).unwrap();
    let evidence = same_size("b");
    assert_eq!(store.against(log().verifier()), None);
    assert!(store.add(&evidence).unwrap());
    assert!(!store.add(&evidence).unwrap());
    assert_eq!(store.against(log().verifier()), Some(evidence.id()));
    assert_eq!(store.against(witness().verifier()), None);
    // what was left unfinished is nobody's evidence
    std::fs::write(folder.join(format!("{}.unfinished", evidence.id())), "{").unwrap();
    let again = EvidenceStore::open(&folder, trust()).unwrap();
    assert_eq!(again.all(), std::slice::from_ref(&evidence));
    assert_eq!(again.get(evidence.id()), Some(evidence.clone()));
    assert_eq!(again.against(log().verifier()), Some(evidence.id()));
    again.trust(Trust::new());
    assert_eq!(again.against(log().verifier()), None);
    assert!(matches!(again.add(&same_size("c")), Err(EvidenceStoreError::Refused(_))));
    let path = folder.join(format!("{}.json", evidence.id()));
    let altered = evidence.as_str().replacen("same-size", "bad-empty", 1);
    std::fs::write(&path, altered).unwrap();
    let error = EvidenceStore::open(&folder, trust()).unwrap_err();
    assert!(matches!(&error, EvidenceStoreError::Damaged { .. }) && !error.hint().is_empty());
}

#[test]
fn a_key_is_accused_often_enough_but_not_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = EvidenceStore::open(dir.path(), trust()).unwrap();
    let new = (0..MAX_PER_KEY + 5).filter(|n| store.add(&same_size(&format!("x{n}"))).unwrap());
    assert_eq!(new.count(), MAX_PER_KEY);
}
