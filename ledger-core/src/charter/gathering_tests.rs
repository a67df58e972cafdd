//! What waits for signatures is judged as what is submitted: for every set of signers, also in the
//! emergencies that governance provides for.

use crate::note::SignerKey;
use crate::record::tests::ISSUED;
use crate::record::{Draft, Object, Record, format_time};

use super::world::{World, admit, change, key, key_change, requirement};
use super::*;

fn signed(object: &Object, names: &[&str]) -> Record {
    let keys: Vec<SignerKey> = names.iter().map(|name| key(name)).collect();
    let keys: Vec<&SignerKey> = keys.iter().collect();
    Draft::from_object(object).expect("shapes hold").sign(&keys).expect("signed")
}

/// All sets of some names but the empty one.
fn sets<'a>(names: &[&'a str]) -> Vec<Vec<&'a str>> {
    let all = 1..1u32 << names.len();
    let chosen = |set: u32| (0..names.len()).filter(move |at| set >> at & 1 == 1);
    all.map(|set| chosen(set).map(|at| names[at]).collect()).collect()
}

/// Of all sets of signers, those that `submit` would take are those that lack nothing; and a record
/// can be completed exactly if more signatures would do it. Gives how many sets were taken.
fn agrees(world: &World, object: &Object, names: &[&str]) -> usize {
    let (charter, at) = (&world.charter, world.time);
    let sets = sets(names);
    let judged: Vec<_> = sets.iter().map(|set| world.judge(object, set)).collect();
    for (set, verdict) in sets.iter().zip(&judged) {
        let record = signed(object, set);
        match verdict {
            Err(rejection) if !rejection.lacks_signatures() => continue,
            verdict => {
                let lacks = charter.missing_signatures(&record, at);
                assert_eq!(lacks.is_empty(), verdict.is_ok(), "{set:?}: {lacks:?}, {verdict:?}");
            }
        }
        let more = |other: &[&str]| set.iter().all(|name| other.contains(name));
        let completed = sets.iter().zip(&judged).any(|(other, own)| more(other) && own.is_ok());
        assert_eq!(charter.can_be_completed(&record, &[], at), completed, "{set:?}");
    }
    judged.iter().filter(|verdict| verdict.is_ok()).count()
}

#[test]
fn held_over_stewards_fill_vacant_seats_alone_for_drafts_too() {
    let until = format_time(ISSUED + 1000);
    let mut world = World::founded(|object| {
        let ending = format!("\"role\": \"steward\", \"until\": \"{until}\"");
        let json = object.to_pretty_json().replacen("\"role\": \"steward\"", &ending, 2);
        Object::parse(&json).expect("JSON")
    });
    world.time = ISSUED + 2000;
    // c is in force, a and b are held over: one seat is vacant, c must take the other
    let object = world.membership("a", vec![admit("f", &[])]);
    let held_over = signed(&object, &["a", "b"]);
    let lacks = world.charter.missing_signatures(&held_over, world.time);
    assert_eq!(lacks, [MissingSignature::Members { role: "steward".into(), needed: 2, signed: 1 }]);
    assert!(world.charter.can_still_sign(&held_over, "c", world.time));
    let one = signed(&object, &["a"]);
    assert!(!world.charter.can_still_sign(&one, "b", world.time), "it would not help");
    assert_eq!(agrees(&world, &object, &["a", "b", "c", "d"]), 4);
}

#[test]
fn whoever_may_sign_in_an_emergency_may_sign_a_draft() {
    let mut world = World::new();
    world.change(vec![key_change("add_key", "e", "e/2")], &["a", "b"]);
    world.change(vec![change("suspend", "e")], &["a", "b"]);
    // a suspended member revokes its own key alone
    let own = world.membership("e", vec![key_change("revoke_key", "e", "e/2")]);
    assert_eq!(agrees(&world, &own, &["e", "e/2"]), 3);
    let other = world.membership("e", vec![key_change("revoke_key", "d", "d")]);
    assert_eq!(agrees(&world, &other, &["a", "b", "e"]), 0);
    // a steward's revocation of its own key needs nobody, its replacement needs the threshold
    for name in ["a", "b"] {
        let own = world.membership(name, vec![key_change("revoke_key", name, name)]);
        assert_eq!(agrees(&world, &own, &[name]), 1);
        world.log(&own, &[name]);
    }
    let at = world.time;
    let replacement = world.membership("c", vec![key_change("add_key", "b", "b/2")]);
    assert_eq!(agrees(&world, &replacement, &["b", "c", "d"]), 2);
    assert!(world.charter.can_still_sign(&signed(&replacement, &["c"]), "b", at));
    let more = world.membership("c", vec![admit("f", &["steward"])]);
    assert_eq!(agrees(&world, &more, &["b", "c", "d"]), 0);
    assert!(!world.charter.can_still_sign(&signed(&more, &["c"]), "b", at));
    assert!(!world.charter.can_be_completed(&signed(&more, &["c"]), &[], at));
}

#[test]
fn every_set_of_signers_is_judged_alike_while_terms_run_out() {
    // the terms of a's key, b's role and c's key end one after the other
    let end = |seconds: u64| format_time(ISSUED + seconds);
    let mut world = World::founded(|object| {
        let mut json = object.to_pretty_json();
        for (name, seconds) in [("a", 100), ("c", 300)] {
            let own = format!("\"vkey\": \"{}\"", key(name).verifier());
            json = json.replacen(&own, &format!("{own}, \"until\": \"{}\"", end(seconds)), 1);
        }
        let steward = "\"role\": \"steward\"";
        let (before, after) = json.split_once(steward).expect("a's");
        let ending = format!("{steward}, \"until\": \"{}\"", end(200));
        let json = format!("{before}{steward}{}", after.replacen(steward, &ending, 1));
        Object::parse(&json).expect("JSON")
    });
    let mut taken = Vec::new();
    for seconds in [50, 150, 250, 350] {
        world.time = ISSUED + seconds;
        let object = world.membership("d", vec![admit("f", &[])]);
        taken.push(agrees(&world, &object, &["a", "b", "c", "d"]));
    }
    assert_eq!(taken, [4, 1, 3, 4]);
}

#[test]
fn a_stranger_that_signed_is_counted_in_drafts_too() {
    let stranger = crate::record::tests::signer("x", 77);
    let digest = crate::Hash::digest(stranger.verifier().public().as_bytes()).to_string();
    let named = crate::record::tests::signer(&format!("public/{digest}"), 77);
    let mut world = World::new();
    let open = Object::new()
        .with("action", "set_rule")
        .with("kind", "incident")
        .with("requirements", vec![requirement("public", 1), requirement("reviewer", 1)]);
    let norm = world.norm("a", vec![open]);
    world.log(&norm, &["a", "b"]);
    let object = world.incident(named.verifier().name().as_str());
    let object = object.with("vkey", named.verifier().to_string());
    let one = Draft::from_object(&object).expect("shapes").sign(&[&named]).expect("signed");
    let (charter, at) = (&world.charter, world.time);
    assert_eq!(
        charter.missing_signatures(&one, at),
        [MissingSignature::Members { role: "reviewer".into(), needed: 1, signed: 0 }]
    );
    assert!(charter.can_be_completed(&one, &[], at) && charter.can_still_sign(&one, "d", at));
    let both = one.cosign(&key("d")).expect("another key");
    assert_eq!(charter.missing_signatures(&both, at), []);
}

#[test]
fn a_change_that_no_signature_makes_lawful_is_told_before_anybody_signs() {
    let mut world = World::new();
    let after = |world: &World, object: &Object| {
        world.charter.after(&signed(object, &["a"]), &world.logged(), world.next_index())
    };
    let nobody = change("set_node", "z").with("node", "grpcs://z.example:7780");
    for (wrong, told) in [
        (nobody, "is not a member"),
        (change("expel", "z"), "is not a member"),
        (key_change("revoke_key", "b", "z"), "revoke"),
    ] {
        let object = world.membership("a", vec![wrong]);
        let message = after(&world, &object).expect_err(told).to_string();
        // the signatures that are missing are not what is wrong
        assert_eq!(message, world.judge(&object, &["a", "b"]).expect_err(told).to_string());
    }
    let only = world.charter.log_keys()[0].to_string();
    let retire = Object::new().with("action", "retire_log_key").with("vkey", only);
    let object = world.norm("a", vec![retire]);
    let message = after(&world, &object).expect_err("the only key").to_string();
    assert_eq!(message, world.judge(&object, &["a", "b"]).expect_err("too").to_string());
    // what may be done may be laid out, also a withdrawal whose member is yet to sign
    for right in [change("expel", "d"), change("withdraw", "e")] {
        let object = world.membership("a", vec![right]);
        let next = after(&world, &object).expect("lawful").expect("a change");
        assert_eq!(next.base(), signed(&object, &["a"]).statement());
    }
    let record = world.envelope("incident", "a");
    let record = crate::record::tests::incident().with("id", record.text("id").expect("id"));
    assert_eq!(after(&world, &record).expect("no change"), None);
}
