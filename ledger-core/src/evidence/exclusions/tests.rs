use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::checkpoint::ClaimedCheckpoint;
use crate::evidence::sample::*;
use crate::evidence::{Case, Conflict, Heads};
use crate::note::{Algorithm, KeyName, SignerKey};
use crate::policy::PolicyError;

fn policy(text: &str) -> Policy {
    let mut lines = format!("log {}\n", log_key(100).verifier());
    for seed in 1..=3 {
        lines += &format!("witness w{seed} {}\n", cosigner(seed).verifier());
    }
    Policy::parse((lines + text).as_bytes()).expect("a policy")
}

fn head(cosigners: &[u8], time: u64) -> ClaimedCheckpoint {
    let (log, keys) = (log_key(100), cosigners.iter().map(|seed| cosigner(*seed)));
    let keys: Vec<SignerKey> = keys.collect();
    let keys: Vec<&SignerKey> = [&log].into_iter().chain(&keys).collect();
    let mut tree = tree(&["a", "b"]);
    signed(&checkpoint(ORIGIN, head_of(&mut tree, 2)), &keys, time)
}

/// Evidence that this cosigner vouched for two trees of another log.
fn against(key: &SignerKey) -> ClaimedEvidence {
    let other = |leaf: &str| {
        let mut tree = tree(&[leaf]);
        signed(&checkpoint("other.example", head_of(&mut tree, 1)), &[key], 7)
    };
    let (one, other) = (other("x"), other("y"));
    let conflict = Conflict::of_heads(Heads { one: &one, other: &other }).expect("two roots");
    let trust = Trust::new().with_cosigner(key.verifier().clone());
    let case = Case { trust: &trust, authority: &[] };
    ClaimedEvidence::against_cosigner(&conflict, key.verifier(), case).expect("it convicts")
}

fn all_of(policy: &Policy) -> BTreeSet<usize> {
    (0..policy.witnesses().len()).collect()
}

fn both_ways(evidence: &ClaimedEvidence, key: &SignerKey) -> [Exclusions; 2] {
    let trust = Trust::new().with_cosigner(key.verifier().clone());
    let conviction = evidence.verify(&trust).expect("it convicts");
    let of_node = Exclusions::of_convictions([(evidence.id(), &conviction)]);
    [of_node, Exclusions::of_files([evidence.clone()])]
}

#[test]
fn a_convicted_witness_counts_for_no_quorum_of_any_log() {
    let (first, evidence) = (cosigner(1), against(&cosigner(1)));
    let two_of_three = policy("group g 2 w1 w2 w3\nquorum g\n");
    for exclusions in both_ways(&evidence, &first) {
        let judged = exclusions.apply(&two_of_three);
        let convicted = judged.convicted();
        assert_eq!(convicted.len(), 1);
        assert_eq!((&*convicted[0].name, &convicted[0].evidence), ("w1", evidence.id().as_hash()));
        // it takes both of the others, and theirs are the times that count
        let cosigned = judged.verify(&head(&[1, 2, 3], 5)).expect("two are left").cosigned;
        assert_eq!(cosigned, BTreeMap::from([(1, 5), (2, 5)]));
        let error = judged.verify(&head(&[1, 2], 5)).expect_err("one is left");
        assert_eq!(error, PolicyError::ConvictedWitness(convicted));
        assert!(
            error.to_string().contains(&format!("w1 is convicted by evidence {}", evidence.id()))
        );
        // without its line it is an ordinary lack
        let lack = PolicyError::NoQuorum { present: 1, witnesses: 3 };
        assert_eq!(judged.verify(&head(&[2], 5)), Err(lack));
        assert!(judged.is_satisfied_by(&all_of(&judged)));
        // the log's keys may be replaced, and the policy applied to again
        let again = judged.with_logs([log_key(100).verifier().clone()]);
        assert!(again.verify(&head(&[1, 2], 5)).is_err());
        assert!(Exclusions::default().apply(&judged).verify(&head(&[1, 2], 5)).is_err());
        let all = exclusions.apply(&policy("group g all w1 w2 w3\nquorum g\n"));
        assert!(!all.is_satisfied_by(&all_of(&all)) && all.verify(&head(&[1, 2, 3], 5)).is_err());
        assert!(exclusions.apply(&policy("quorum none\n")).verify(&head(&[], 5)).is_ok());
    }
    assert!(two_of_three.verify(&head(&[1, 2], 5)).is_ok(), "nothing is held against w1");
}

#[test]
fn a_false_line_of_a_convicted_witness_spoils_no_checkpoint() {
    let (first, evidence) = (cosigner(1), against(&cosigner(1)));
    let policy = policy("group g 2 w1 w2 w3\nquorum g\n");
    let other = head(&[1], 9);
    let false_line = other.note().signatures().last().cloned();
    let mut tree = tree(&["c"]);
    let log = log_key(100);
    let (second, third) = (cosigner(2), cosigner(3));
    let keys = [&log, &second, &third];
    let good = signed(&checkpoint(ORIGIN, head_of(&mut tree, 1)), &keys, 5);
    let spoiled = good.with_signatures(false_line).expect("room");
    assert!(matches!(policy.verify(&spoiled), Err(PolicyError::BadCosignature(_))));
    for exclusions in both_ways(&evidence, &first) {
        assert!(exclusions.apply(&policy).verify(&spoiled).is_ok());
    }
}

#[test]
fn a_key_is_excluded_under_each_of_its_names() {
    let (first, evidence) = (cosigner(1), against(&cosigner(1)));
    let name = KeyName::new("another.example").expect("a name");
    let renamed = SignerKey::from_seed(name, Algorithm::CosignatureV1, [1; 32]).expect("sound");
    let text =
        format!("log {}\nwitness w {}\nquorum w\n", log_key(100).verifier(), renamed.verifier());
    let policy = Policy::parse(text.as_bytes()).expect("a policy");
    for exclusions in both_ways(&evidence, &first) {
        let judged = exclusions.apply(&policy);
        assert!(!judged.is_satisfied_by(&all_of(&judged)));
    }
}

#[test]
fn evidence_against_a_log_or_a_stranger_excludes_no_witness() {
    let two_of_three = policy("group g 2 w1 w2 w3\nquorum g\n");
    let stranger = against(&cosigner(9));
    let log = log_key(100);
    let other = |leaf: &str| {
        let mut tree = tree(&[leaf]);
        signed(&checkpoint(ORIGIN, head_of(&mut tree, 1)), &[&log, &cosigner(1)], 7)
    };
    let (one, two) = (other("x"), other("y"));
    let conflict = Conflict::of_heads(Heads { one: &one, other: &two }).expect("two roots");
    let trust = Trust::new().with_key(log.verifier().clone());
    let of_log = ClaimedEvidence::against_log(&conflict, Case { trust: &trust, authority: &[] });
    let files = [stranger, of_log.expect("it convicts the log")];
    let judged = Exclusions::of_files(files).apply(&two_of_three);
    assert_eq!(judged.convicted(), []);
    assert!(judged.verify(&head(&[1, 2], 5)).is_ok());
}

#[test]
fn a_convicted_witness_is_still_asked_at_a_start() {
    let exclude = |text: &str| Exclusions::of_files([against(&cosigner(1))]).apply(&policy(text));
    let agree = |places: &[usize]| places.iter().copied().collect::<BTreeSet<usize>>();
    // readers may have seen a head that w1 cosigned alone
    let any = exclude("group g any w1 w2 w3\nquorum g\n");
    assert!(!any.has_no_later_head(&agree(&[1, 2])));
    assert!(any.has_no_later_head(&agree(&[0, 1, 2])));
    // a policy that nothing satisfies any more keeps no log from its start: it must log a change
    let all = exclude("group g all w1 w2 w3\nquorum g\n");
    assert!(all.has_no_later_head(&agree(&[0, 1, 2])));
}
