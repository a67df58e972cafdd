//! What ties a policy to its charter: log keys, one use for each key, names and ids, room for lines.

use std::slice;

use crate::Hint;
use crate::note::{Algorithm, KeyName, SignerKey, VerifierKey};
use crate::policy::{ParsePolicyError, Policy};
use crate::record::tests::signer;
use crate::record::{Draft, Object};

use super::tests::ORIGIN;
use super::world::{World, change, key, key_change, said};
use super::*;

fn log(seed: u8) -> VerifierKey {
    signer(ORIGIN, seed).verifier().clone()
}

/// A witness's key; the seed is a number.
fn witness(name: &str, seed: u32) -> VerifierKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let name = KeyName::new(name).expect("a name");
    let key = SignerKey::from_seed(name, Algorithm::CosignatureV1, bytes);
    key.expect("a seed").verifier().clone()
}

/// The same public key as that of a witness.
fn as_witness(key: &VerifierKey) -> VerifierKey {
    let name = KeyName::new("w.example").expect("a name");
    VerifierKey::new(name, Algorithm::CosignatureV1, key.public().as_bytes()).expect("a key")
}

fn policy(logs: &[VerifierKey], witnesses: &[VerifierKey]) -> String {
    let logs: String = logs.iter().map(|key| format!("log {key}\n")).collect();
    let lines = witnesses.iter().enumerate().map(|(n, key)| format!("witness w{n} {key}\n"));
    logs + &lines.collect::<String>() + "quorum none\n"
}

fn set_policy(text: &str) -> Object {
    Object::new().with("action", "set_policy").with("policy", text)
}

fn of_log(action: &str, key: &VerifierKey) -> Object {
    Object::new().with("action", action).with("vkey", key.to_string())
}

fn of_member(vkey: &VerifierKey, usage: &str) -> Object {
    change("add_key", "a").with("vkey", vkey.to_string()).with("use", usage)
}

/// The charter of a world, changed before anybody signs it.
fn drafted(edit: impl FnOnce(Object) -> Object) -> Result<Charter, Rejection> {
    let object = edit(World::new().entries[0].1.record().body().clone());
    Charter::check_draft(&Draft::from_object(&object).expect("shapes"))
}

fn founded_with(policy: &str) -> Result<Charter, Rejection> {
    drafted(|object| object.with("policy", policy))
}

fn message<T>(result: Result<T, Rejection>) -> String {
    let Err(rejection) = result else { panic!("it is not refused") };
    assert!(!rejection.hint().is_empty() && !rejection.is_not_supported());
    rejection.to_string()
}

fn logs(world: &mut World, changes: Vec<Object>) {
    let norm = world.norm("a", changes);
    world.log(&norm, &["a", "b"]);
}

#[test]
fn the_fold_refuses_a_policy_with_other_log_keys() {
    let (first, second) = (log(100), log(101));
    let missing = format!("`policy` does not list the log key {first}, which is in force");
    assert_eq!(message(founded_with("quorum none\n")), missing);
    let unknown = format!("`policy` lists {second}, which is no log key in force");
    assert_eq!(message(founded_with(&policy(&[first.clone(), second.clone()], &[]))), unknown);
    assert!(message(founded_with("junk\n")).starts_with("`policy` is no policy: line 1: expected"));

    let mut world = World::new();
    let (both, alone) = (policy(&[second.clone(), first.clone()], &[]), [second.clone()]);
    let refused = world.norm_refused(vec![set_policy(&policy(&alone, &[]))]);
    assert_eq!(
        refused,
        format!("`changes[0].policy` lists {second}, which is no log key in force")
    );
    let refused = world.norm_refused(vec![set_policy("junk\n")]);
    assert!(refused.starts_with("`changes[0].policy` is no policy: line 1"), "{refused}");
    let refused = world.norm_refused(vec![of_log("add_log_key", &second)]);
    assert_eq!(refused, format!("`policy` does not list the log key {second}, which is in force"));
    logs(&mut world, vec![set_policy(&both), of_log("add_log_key", &second)]);
    let retire = of_log("retire_log_key", &first);
    let refused = world.norm_refused(vec![retire.clone()]);
    assert_eq!(refused, format!("`policy` lists {first}, which is no log key in force"));
    logs(&mut world, vec![retire, set_policy(&policy(&alone, &[]))]);
}

#[test]
fn a_witness_is_no_key_of_the_charter() {
    let mut world = World::new();
    let (first, second) = (log(100), log(101));
    let node = signer("a/node", 91);
    world.change(vec![of_member(node.verifier(), "node")], &["a", "b"]);
    world.change(vec![key_change("add_key", "a", "a/2")], &["a", "b"]);
    world.change(vec![key_change("revoke_key", "a", "a/2")], &["a", "b"]);
    let both = policy(&[first.clone(), second.clone()], &[]);
    logs(&mut world, vec![of_log("add_log_key", &second), set_policy(&both)]);
    let now = [second.clone()];
    let alone = set_policy(&policy(&now, &[]));
    logs(&mut world, vec![of_log("retire_log_key", &first), alone.clone()]);
    for (own, usage) in [
        (&first, "log"),
        (&second, "log"),
        (key("a").verifier(), "record"),
        (key("a/2").verifier(), "record"),
        (node.verifier(), "node"),
    ] {
        let twin = as_witness(own);
        let refused = world.norm_refused(vec![set_policy(&policy(&now, slice::from_ref(&twin)))]);
        let start = format!("`changes[0].policy` has the witness {twin}, whose public key is that");
        assert_eq!(refused, format!("{start} of the {usage} key {own}"));
    }
    let twin = as_witness(&log(100));
    assert!(message(founded_with(&policy(&[log(100)], &[twin]))).contains("of the log key"));

    // what is or was a witness becomes no key of the charter, but a member's witness
    let (w, third) = (witness("a/w", 7), log(103));
    let plain = |name: &str, key: &VerifierKey| {
        let name = KeyName::new(name).expect("a name");
        VerifierKey::new(name, Algorithm::Ed25519, key.public().as_bytes()).expect("a key")
    };
    let with_w = policy(&now, slice::from_ref(&w));
    logs(&mut world, vec![set_policy(&with_w)]);
    for _ in ["is", "was"] {
        for usage in ["record", "node"] {
            let add = of_member(&plain("a/3", &w), usage);
            let refused = world.refused(vec![add], &["a", "b"]);
            let problem = "is the key of a/w, a witness of a policy; a key has one use";
            assert_eq!(refused, format!("`changes[0].vkey` {problem}"));
        }
        let refused = world.norm_refused(vec![of_log("add_log_key", &plain(ORIGIN, &w))]);
        assert!(refused.contains("a witness of a policy"), "{refused}");
        logs(&mut world, vec![alone.clone()]);
    }
    world.change(vec![of_member(&w, "witness")], &["a", "b"]);
    logs(&mut world, vec![set_policy(&with_w)]);
    // nor both in one record
    let two = policy(&[second, third.clone()], &[as_witness(&third)]);
    let refused = world.norm_refused(vec![set_policy(&two), of_log("add_log_key", &third)]);
    assert!(refused.contains("whose public key is that of the log key"), "{refused}");
}

#[test]
fn keys_of_one_name_and_id_are_refused() {
    // found by trying seeds: these two share 32 bits
    let (one, two) = (witness("a/w", 11_198), witness("a/w", 29_625));
    assert_eq!((one.name(), one.id()), (two.name(), two.id()));
    assert_ne!(one, two);
    let first = [log(100)];
    let in_one = policy(&first, &[one.clone(), two.clone()]);
    assert_eq!(Policy::parse(in_one.as_bytes()), Err(ParsePolicyError::SharedKeyId(3)));

    let shares = "which shares its name and key id with another key";
    let mut world = World::new();
    logs(&mut world, vec![set_policy(&policy(&first, slice::from_ref(&one)))]);
    let another = set_policy(&policy(&first, slice::from_ref(&two)));
    let refused = world.norm_refused(vec![another.clone()]);
    assert_eq!(refused, format!("`changes[0].policy` has the witness {two}, {shares}"));
    let refused = world.refused(vec![of_member(&two, "witness")], &["a", "b"]);
    assert_eq!(refused, "`changes[0].vkey` shares its name and id with another key");
    // the same key is no other key, and one that is gone counts too
    logs(&mut world, vec![set_policy(&policy(&first, &[]))]);
    world.change(vec![of_member(&one, "witness")], &["a", "b"]);
    let refused = world.norm_refused(vec![another]);
    assert!(refused.ends_with(shares), "{refused}");
    let refused = world.refused(vec![of_member(&two, "mirror")], &["a", "b"]);
    assert_eq!(refused, "`changes[0].vkey` shares its name and id with another key");
}

#[test]
fn a_change_that_needs_more_lines_than_a_note_has_is_refused() {
    let first = [log(100)];
    let some = |from: u32, to: u32| {
        let keys: Vec<_> = (from..to).map(|n| witness(&format!("w{n}.example"), n)).collect();
        policy(&first, &keys)
    };
    founded_with(&some(0, 60)).expect("60 have room");
    let refused = message(founded_with(&some(0, 61)));
    let start = "has 61 different witnesses together with the policy before it";
    assert_eq!(refused, format!("`policy` {start}; a checkpoint has room for 60"));

    let mut world = World::new();
    logs(&mut world, vec![set_policy(&some(0, 40))]);
    let refused = world.norm_refused(vec![set_policy(&some(40, 61))]);
    assert!(refused.starts_with(&format!("`changes[0].policy` {start}")), "{refused}");
    logs(&mut world, vec![set_policy(&some(20, 60))]);
    logs(&mut world, vec![set_policy(&some(40, 80))]);
    let norm = world.norm("a", vec![set_policy(&some(80, 120))]);
    assert!(said(world.judge(&norm, &["a", "b"])).contains("has 80 different witnesses"));
}

/// Logs changes of the policy, each with 30 new witnesses.
fn change_policies(world: &mut World, changes: std::ops::Range<u32>) {
    let first = [log(100)];
    for n in changes {
        let keys: Vec<_> =
            (30 * n..30 * n + 30).map(|n| witness(&format!("w{n}.example"), n)).collect();
        logs(world, vec![set_policy(&policy(&first, &keys))]);
    }
}

#[test]
fn many_policies_cost_no_more_each_than_a_few() {
    let mut world = World::new();
    let new = witness("another.example", 1_000_000);
    let compared = |world: &World| world.charter.listed_like(&new).count();
    change_policies(&mut world, 0..1);
    let first = compared(&world);
    change_policies(&mut world, 1..40);
    // 1,200 keys were listed, and a new one is compared with those like it alone
    assert_eq!(world.charter.policy_witnesses().len(), 1_200);
    assert_eq!(compared(&world), first);
}
