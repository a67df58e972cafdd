//! Over random forked histories the right evidence is made, and convicts those who signed both
//! sides and nobody else.

use super::super::sample::{checkpoint, head_of, signed, size, tree};
use super::super::*;
use super::{Rng, numbered_key};
use crate::checkpoint::ClaimedCheckpoint;
use crate::merkle::{MemoryTree, TreeHead};
use crate::note::{Algorithm, SignerKey};

const ORIGIN: &str = "log.example/forked";

/// Forks that are tried.
const FORKS: u64 = 500;

/// A contradiction by one log, and who cosigned which of its heads.
struct Fork {
    conflict: Conflict,
    kind: &'static str,
    /// Whether each cosigner signed all the heads.
    both: Vec<bool>,
}

fn cosigners() -> Vec<SignerKey> {
    let mut all = vec![
        numbered_key("witness.example/1", Algorithm::CosignatureV1, 11),
        numbered_key("witness.example/2", Algorithm::CosignatureV1, 12),
    ];
    if cfg!(feature = "ml-dsa") {
        all.push(numbered_key("witness.example/3", Algorithm::MlDsa44, 13));
    }
    all
}

/// A head with the log's line and those of some cosigners.
fn head(head: TreeHead, log: &SignerKey, by: &[SignerKey], rng: &mut Rng) -> ClaimedCheckpoint {
    let mut keys: Vec<&SignerKey> = by.iter().collect();
    keys.insert(rng.below(keys.len() + 1), log);
    signed(&checkpoint(ORIGIN, head), &keys, 1 + rng.below(1_000) as u64)
}

/// Some of the cosigners, and who of them.
fn some(all: &[SignerKey], rng: &mut Rng) -> (Vec<SignerKey>, Vec<bool>) {
    let chosen: Vec<bool> = all.iter().map(|_| rng.one_in(2)).collect();
    let keys = all.iter().zip(&chosen).filter(|(_, is_chosen)| **is_chosen);
    (keys.map(|(key, _)| key.clone()).collect(), chosen)
}

/// The tree of a history, with random leaves of its own after the common ones.
fn history(common: &[[u8; 2]], more: usize, side: u8, rng: &mut Rng) -> MemoryTree {
    let own = (0..more).map(|_| [side, rng.below(3) as u8]);
    tree(&common.iter().copied().chain(own).collect::<Vec<_>>())
}

fn fork(log: &SignerKey, all: &[SignerKey], rng: &mut Rng) -> Fork {
    let (by, first) = some(all, rng);
    if rng.one_in(8) {
        let bad = TreeHead { root: Hash::digest(&[rng.below(9) as u8]), ..TreeHead::EMPTY };
        let conflict = Conflict::of_head(&head(bad, log, &by, rng)).expect("no empty tree");
        return Fork { conflict, kind: "bad-empty", both: first };
    }
    let common: Vec<[u8; 2]> = (0..rng.below(20)).map(|_| [0, rng.below(3) as u8]).collect();
    let more = |rng: &mut Rng| 1 + rng.below(20);
    let (m, n) = (more(rng), more(rng));
    let n = if rng.one_in(3) { m } else { n };
    let (mut one, mut other) = (history(&common, m, 1, rng), history(&common, n, 2, rng));
    let a = head(head_of(&mut one, common.len() + m), log, &by, rng);
    let (by, second) = some(all, rng);
    let b = head(head_of(&mut other, common.len() + n), log, &by, rng);
    let larger = if m < n { &mut other } else { &mut one };
    let heads =
        if rng.one_in(2) { Heads { one: &a, other: &b } } else { Heads { one: &b, other: &a } };
    let conflict = Conflict::of_trees(heads, larger).expect("its tree").expect("a fork");
    let kind = if m == n { "same-size" } else { "split-history" };
    let both = first.iter().zip(&second).map(|(one, other)| *one && *other).collect();
    Fork { conflict, kind, both }
}

/// The file can be read again, convicts this key alone, and nobody for a judge who does not know
/// it.
fn check(made: &ClaimedEvidence, culprit: &SignerKey, trust: &Trust, seed: u64) {
    let conviction = made.verify(trust).expect("it was made to convict");
    assert_eq!(conviction.culprit().keys(), [culprit.verifier().clone()], "seed {seed}");
    assert_eq!(conviction.culprit().origin(), ORIGIN, "seed {seed}");
    assert_eq!(conviction.kind(), made.kind(), "seed {seed}");
    let read = ClaimedEvidence::parse(made.as_str().as_bytes());
    assert_eq!(read.as_ref(), Ok(made), "seed {seed}");
    let stranger = numbered_key(ORIGIN, Algorithm::Ed25519, 77);
    let other = Trust::new().with_key(stranger.verifier().clone());
    let judged = made.verify(&other);
    assert!(matches!(judged, Err(EvidenceError::UnknownKey { .. })), "seed {seed}");
}

#[test]
fn over_forked_histories_the_right_type_convicts_the_log_and_whoever_cosigned_both() {
    let (log, all) = (numbered_key(ORIGIN, Algorithm::Ed25519, 10), cosigners());
    let everybody = all.iter().chain([&log]);
    let trust = everybody.fold(Trust::new(), |trust, key| trust.with_key(key.verifier().clone()));
    let case = Case { trust: &trust, authority: &[] };
    let mut guilty = 0;
    for seed in 0..FORKS {
        let mut rng = Rng::new(seed);
        let Fork { conflict, kind, both } = fork(&log, &all, &mut rng);
        let made = ClaimedEvidence::against_log(&conflict, case).expect("one key signed all");
        assert_eq!(made.kind(), kind, "seed {seed}");
        check(&made, &log, &trust, seed);
        for (key, both) in all.iter().zip(both) {
            let made = ClaimedEvidence::against_cosigner(&conflict, key.verifier(), case);
            assert_eq!(made.is_some(), both, "seed {seed}: {}", key.verifier());
            let Some(made) = made else { continue };
            assert_eq!(made.kind(), "cosigner", "seed {seed}");
            check(&made, key, &trust, seed);
            guilty += 1;
        }
    }
    assert!(guilty > 250, "too few liars: {guilty}");
}

#[test]
fn a_root_that_is_no_other_trees_makes_no_evidence() {
    for seed in 0..FORKS {
        let mut rng = Rng::new(seed);
        let (log, more) = (numbered_key(ORIGIN, Algorithm::Ed25519, 10), 2 + rng.below(20));
        let mut whole = history(&[], more, 1, &mut rng);
        let n = 1 + rng.below(more);
        let a = head(head_of(&mut whole, n), &log, &[], &mut rng);
        let b = head(head_of(&mut whole, more), &log, &[], &mut rng);
        let made = Conflict::of_trees(Heads { one: &a, other: &b }, &mut whole);
        assert_eq!(made.ok(), Some(None), "seed {seed}: {}", size(n));
    }
}
