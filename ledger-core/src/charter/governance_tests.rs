//! The fold: what changes the charter, and who may.

use crate::Hint;
use crate::index::LeafIndex;
use crate::note::{Algorithm, KeyName, SignerKey};
use crate::record::tests::{ISSUED, decision, incident, review, signer};
use crate::record::{Draft, Entry, Kind, Logged, Object, format_time};

use super::tests::ORIGIN;
use super::world::{World, admit, change, key, key_change, requirement, role, said, vkey};
use super::*;

#[test]
fn members_come_and_go_and_what_they_may_do_follows_at_the_next_entry() {
    let mut world = World::new();
    assert!(world.publishes("f").is_err());
    world.change(vec![admit("f", &["publisher"])], &["a", "b"]);
    assert_eq!(world.charter.governance_index(), LeafIndex::new(1).expect("small"));
    assert_eq!(world.publishes("f"), Ok(Change::Record));
    world.change(vec![change("suspend", "f")], &["b", "c"]);
    assert_eq!(said(world.publishes("f")), "member \"f\" was suspended by entry 2");
    world.change(vec![change("reinstate", "f")], &["b", "c"]);
    assert_eq!(world.publishes("f"), Ok(Change::Record));
    world.change(vec![role("end_role", "f", "publisher")], &["a", "c"]);
    assert!(matches!(world.publishes("f"), Err(Rejection::TooFew { .. })));
    world.change(vec![role("assign_role", "f", "publisher")], &["a", "c"]);
    assert_eq!(world.publishes("f"), Ok(Change::Record));
    world.change(vec![change("expel", "f").with("reason", "misuse")], &["a", "c"]);
    assert_eq!(said(world.publishes("f")), "key \"f\" was revoked by entry 6");
    let member = world.charter.member("f").expect("remembered");
    assert_eq!(member.standing(), MemberStanding::Expelled(LeafIndex::new(6).expect("small")));
    // a member may come back, but never with a key that it had
    let again = world.refused(vec![admit("f", &[])], &["a", "b"]);
    assert_eq!(
        again,
        "`changes[0].keys[0].vkey` is listed before; one public key has one use and one member"
    );
    let fresh = Object::new().with("vkey", vkey("f/2")).with("use", "record");
    let back = admit("f", &["publisher"]).with("keys", vec![fresh]);
    world.change(vec![back], &["a", "b"]);
    assert_eq!(world.signs("f", "f/2"), Ok(Change::Record));
    let entries = world.entries.iter().map(|(index, entry)| (*index, entry));
    let replayed = Governance::replay(entries).expect("lawful");
    assert_eq!(**replayed.charter(), world.charter);
    assert_eq!(replayed.states().len(), world.entries.len());
}

#[test]
fn impossible_changes_are_refused_by_path() {
    let mut world = World::new();
    world.change(vec![admit("f", &[])], &["a", "b"]);
    world.change(vec![change("suspend", "e"), change("expel", "f")], &["a", "b"]);
    let far = Object::new().with("role", "x").with("from", "2027-01-01T00:00:00Z");
    let backwards = far.with("until", "2026-01-01T00:00:00Z");
    let cosigner =
        SignerKey::from_seed(KeyName::new("e/w").expect("name"), Algorithm::CosignatureV1, [5; 32]);
    let cosigner = cosigner.expect("sound").verifier().to_string();
    let cases = [
        (admit("a", &[]), "`changes[0].member` is \"a\", a second member of that name"),
        (
            admit("x/y", &[]),
            "`changes[0].member` holds a '/', which parts members from labels in key names",
        ),
        (admit("public", &[]), "`changes[0].member` is \"public\", which stands for anybody"),
        (
            admit("g", &["public"]),
            "`changes[0].roles[0].role` is \"public\", which stands for anybody",
        ),
        (
            admit("g", &[]).with("roles", vec![backwards]),
            "`changes[0].roles[0]` ends before it begins",
        ),
        (
            admit("g", &[])
                .with("keys", vec![Object::new().with("vkey", vkey("h")).with("use", "record")]),
            "`changes[0].keys[0].vkey` is named \"h\", neither \"g\" nor \"g/label\"",
        ),
        (change("suspend", "g"), "`changes[0].member` is \"g\", who is no member"),
        (change("suspend", "e"), "`changes[0].member` is suspended already, by entry 2"),
        (change("reinstate", "a"), "`changes[0].member` is not suspended"),
        (change("expel", "f"), "`changes[0].member` is \"f\", expelled by entry 2"),
        (
            change("sanction", "g").with("measure", "x"),
            "`changes[0].member` is \"g\", who is no member",
        ),
        (
            change("withdraw", "d"),
            "`changes[0].member` is \"d\", who has not signed; others `expel` it",
        ),
        (
            role("end_role", "d", "steward"),
            "`changes[0].role` is \"steward\", which \"d\" does not hold",
        ),
        (
            role("assign_role", "d", "public"),
            "`changes[0].role` is \"public\", which stands for anybody",
        ),
        (key_change("revoke_key", "d", "e"), "`changes[0].vkey` is no key of \"d\""),
        (
            key_change("add_key", "d", "e/2"),
            "`changes[0].vkey` is named \"e/2\", neither \"d\" nor \"d/label\"",
        ),
        (
            key_change("add_key", "d", "d"),
            "`changes[0].vkey` is listed before; one public key has one use and one member",
        ),
        (
            change("add_key", "e").with("vkey", cosigner).with("use", "record"),
            "`changes[0].vkey` is of type 0x04; use record takes type 0x01",
        ),
    ];
    for (change, message) in cases {
        assert_eq!(world.refused(vec![change], &["a", "b"]), message);
    }
    world.change(vec![key_change("add_key", "d", "d/2")], &["a", "b"]);
    world.change(vec![key_change("revoke_key", "d", "d/2")], &["a", "b"]);
    let twice = world.refused(vec![key_change("revoke_key", "d", "d/2")], &["a", "b"]);
    assert_eq!(twice, "`changes[0].vkey` was revoked by entry 4");
}

#[test]
fn a_node_moves_by_the_rule_and_not_by_its_member_alone() {
    let mut world = World::new();
    let node =
        |world: &World| world.charter.member("d").expect("a member").node().map(str::to_owned);
    let to = |port: u16| change("set_node", "d").with("node", format!("grpcs://d.example:{port}"));
    assert_eq!(node(&world), None);
    let message = world.refused(vec![change("set_node", "d")], &["a", "b"]);
    assert_eq!(message, "`changes[0].node` is the member's already");
    let message = world.refused(vec![to(1)], &["d"]);
    assert_eq!(
        message,
        "records of kind membership need 2 member(s) with role \"steward\"; 0 signed"
    );
    world.change(vec![to(1), to(2)], &["a", "b"]);
    assert_eq!(node(&world).as_deref(), Some("grpcs://d.example:2"));
    world.change(vec![change("set_node", "d")], &["a", "b"]);
    assert_eq!(node(&world), None);
    world.change(vec![change("expel", "d")], &["a", "b"]);
    let message = world.refused(vec![to(3)], &["a", "b"]);
    assert_eq!(message, "`changes[0].member` is \"d\", expelled by entry 3");
}

#[test]
fn a_member_that_signs_may_withdraw_and_takes_its_keys_along() {
    let mut world = World::new();
    let object = world.membership("d", vec![change("withdraw", "d")]);
    assert!(matches!(world.judge(&object, &["d"]), Err(Rejection::TooFew { .. })));
    world.log(&object, &["a", "b", "d"]);
    assert_eq!(
        world.charter.member("d").map(|member| member.standing().as_str()),
        Some("withdrawn")
    );
    let head = world.envelope("review", "d");
    let object = head.iter().fold(review(), |body, (name, value)| body.with(name, value.clone()));
    assert_eq!(said(world.judge(&object, &["d"])), "key \"d\" was revoked by entry 1");
}

#[test]
fn changes_are_made_together_or_not_at_all() {
    let mut world = World::new();
    let before = world.charter.clone();
    let message = world.refused(vec![admit("f", &["steward"]), change("expel", "x")], &["a", "b"]);
    assert_eq!(message, "`changes[1].member` is \"x\", who is no member");
    assert_eq!(world.charter, before);
    // the end state counts: a third steward may go if a new one comes with the same record
    let threshold = Object::new()
        .with("action", "set_governance")
        .with("requirements", vec![requirement("steward", 3)]);
    let norm = world.norm("a", vec![threshold]);
    world.log(&norm, &["a", "b"]);
    let alone = world.refused(vec![change("expel", "c")], &["a", "b", "c"]);
    assert_eq!(
        alone,
        "after this change 2 member(s) with role \"steward\" could sign, and a change needs 3"
    );
    world.change(vec![change("expel", "c"), admit("f", &["steward"])], &["a", "b", "c"]);
}

#[test]
fn of_two_changes_on_one_base_the_second_is_refused_whichever_it_is() {
    let mut world = World::new();
    let first = world.membership("a", vec![admit("f", &[])]);
    let second = world.membership("b", vec![admit("g", &[])]);
    for (one, other) in [(&first, &second), (&second, &first)] {
        let mut world = World::new();
        let old = world.charter.base();
        world.log(one, &["a", "b"]);
        let expected = format!(
            "base is {old}, but the latest governance statement is {}",
            world.charter.base()
        );
        assert_eq!(said(world.judge(other, &["a", "b"])), expected);
        // nor does the same one count twice
        assert!(matches!(world.judge(one, &["a", "b"]), Err(Rejection::WrongBase { .. })));
    }
}

#[test]
fn thresholds_in_force_at_the_index_count_members_not_keys() {
    let mut world = World::new();
    world.change(vec![key_change("add_key", "a", "a/2")], &["a", "b"]);
    let change = vec![admit("f", &["steward"])];
    let message = world.refused(change.clone(), &["a", "a/2"]);
    assert_eq!(
        message,
        "records of kind membership need 2 member(s) with role \"steward\"; 1 signed"
    );
    let message = world.refused(change.clone(), &["a", "d", "e"]);
    assert_eq!(
        message,
        "records of kind membership need 2 member(s) with role \"steward\"; 1 signed"
    );
    let object = world.membership("d", change.clone());
    assert_eq!(
        said(world.judge(&object, &["a", "b"])),
        "no key of the issuer \"d\" is among the signatures"
    );
    // anybody may issue a change that stewards sign with it
    assert!(world.judge(&object, &["a", "b", "d"]).is_ok());
    world.change(change, &["a", "b"]);
    let raise = Object::new()
        .with("action", "set_governance")
        .with("requirements", vec![requirement("steward", 3), requirement("reviewer", 1)]);
    let norm = world.norm("a", vec![raise]);
    world.log(&norm, &["a", "b"]);
    let message = world.refused(vec![admit("g", &[])], &["a", "b", "f"]);
    assert_eq!(
        message,
        "records of kind membership need 1 member(s) with role \"reviewer\"; 0 signed"
    );
    world.change(vec![admit("g", &[])], &["a", "b", "d", "f"]);
}

#[test]
fn a_revoked_key_signs_nothing_from_the_next_entry_on() {
    let mut world = World::new();
    world.change(vec![key_change("add_key", "a", "a/2")], &["a", "b"]);
    // one place before the revocation is before it
    assert_eq!(world.signs("a", "a/2"), Ok(Change::Record));
    world.change(vec![key_change("revoke_key", "a", "a/2")], &["a", "b"]);
    assert_eq!(said(world.signs("a", "a/2")), "key \"a/2\" was revoked by entry 2");
    let message = world.refused(vec![admit("f", &[])], &["a/2", "b"]);
    assert_eq!(message, "key \"a/2\" was revoked by entry 2");
    assert_eq!(world.signs("a", "a"), Ok(Change::Record));
}

#[test]
fn any_member_revokes_its_own_key_alone_and_nothing_else() {
    let mut world = World::new();
    world.change(vec![key_change("add_key", "e", "e/2")], &["a", "b"]);
    let others = world.membership("e", vec![key_change("revoke_key", "d", "d")]);
    assert!(matches!(world.judge(&others, &["e"]), Err(Rejection::TooFew { .. })));
    let more = vec![key_change("revoke_key", "e", "e"), key_change("add_key", "e", "e/3")];
    let more = world.membership("e", more);
    assert!(matches!(world.judge(&more, &["e"]), Err(Rejection::TooFew { .. })));
    // also while it is suspended
    world.change(vec![change("suspend", "e")], &["a", "b"]);
    let own = world.membership("e", vec![key_change("revoke_key", "e", "e/2")]);
    assert!(matches!(world.judge(&own, &["d"]), Err(Rejection::IssuerMissing(_))));
    world.log(&own, &["e"]);
    let own = world.charter.keys().iter().find(|key| key.key().to_string() == vkey("e/2"));
    let revoked = own.and_then(MemberKey::revoked).expect("revoked");
    assert!(!revoked.may_replace, "nobody needs e");
}

#[test]
fn a_revocation_that_breaks_the_threshold_leaves_the_key_its_replacement() {
    let mut world = World::new();
    let revoke = |world: &mut World, name: &str| {
        let own = world.membership(name, vec![key_change("revoke_key", name, name)]);
        world.log(&own, &[name]);
    };
    revoke(&mut world, "a");
    let message = world.refused(vec![key_change("add_key", "a", "a/2")], &["a", "b"]);
    assert_eq!(message, "key \"a\" was revoked by entry 1", "b and c can replace it");
    revoke(&mut world, "b");
    // now c alone is left of two that are needed
    assert_eq!(said(world.publishes("b")), "key \"b\" was revoked by entry 2");
    let message = world.refused(vec![admit("f", &["steward"])], &["b", "c"]);
    assert_eq!(message, "key \"b\" was revoked by entry 2");
    let both = vec![key_change("add_key", "b", "b/2"), key_change("add_key", "c", "c/2")];
    let message = world.refused(both, &["b", "c"]);
    assert_eq!(message, "key \"b\" was revoked by entry 2", "only its own replacement");
    let witness = key_change("add_key", "b", "b/2").with("use", "node");
    let message = world.refused(vec![witness], &["b", "c"]);
    assert_eq!(message, "key \"b\" was revoked by entry 2", "only a key for records");
    let alone = world.refused(vec![key_change("add_key", "b", "b/2")], &["b"]);
    assert_eq!(
        alone,
        "records of kind membership need 2 member(s) with role \"steward\"; 1 signed"
    );
    world.change(vec![key_change("add_key", "b", "b/2")], &["b", "c"]);
    assert_eq!(world.signs("b", "b/2"), Ok(Change::Record));
    assert_eq!(said(world.signs("b", "b")), "key \"b\" was revoked by entry 2");
    // what it was needed for is done: the revoked key never signs again, whoever holds it
    let again = world.refused(vec![key_change("add_key", "b", "b/3")], &["b", "c"]);
    assert_eq!(again, "key \"b\" was revoked by entry 2");
    world.change(vec![key_change("add_key", "a", "a/2")], &["b/2", "c"]);
    assert!(
        world.charter.keys().iter().all(|key| key.revoked().is_none_or(|own| !own.may_replace))
    );
}

#[test]
fn a_member_that_has_had_all_its_keys_still_replaces_its_last_one() {
    let mut world = World::new();
    let name = |number: usize| format!("e/{number}");
    let vkey = |number: usize| {
        let bytes = u16::try_from(number).expect("small").to_be_bytes();
        let mut seed = [77; 32];
        seed[..2].copy_from_slice(&bytes);
        let name = KeyName::new(&name(number)).expect("a name");
        let key = SignerKey::from_seed(name, Algorithm::Ed25519, seed).expect("sound");
        key.verifier().to_string()
    };
    let add =
        |number: usize| change("add_key", "e").with("vkey", vkey(number)).with("use", "record");
    let revoke = |number: usize| change("revoke_key", "e").with("vkey", vkey(number));
    let keys = world.charter.keys().len();
    for number in 1..MAX_KEYS_OF_MEMBER {
        world.change(vec![add(number)], &["a", "b"]);
    }
    assert_eq!(world.charter.keys().len(), keys + MAX_KEYS_OF_MEMBER - 1);
    let next = MAX_KEYS_OF_MEMBER;
    let message = world.refused(vec![add(next)], &["a", "b"]);
    assert!(message.starts_with("`changes[0].vkey` is one more than 128 keys"), "{message}");
    world.change((1..next).map(revoke).collect(), &["a", "b"]);
    // the first key is left: the new one comes, and then the first one goes, for ever
    world.change(vec![add(next), key_change("revoke_key", "e", "e")], &["a", "b"]);
    for number in next..next + 3 {
        world.change(vec![revoke(number), add(number + 1)], &["a", "b"]);
    }
    let two = vec![add(next + 10), add(next + 11)];
    let message = world.refused(two, &["a", "b"]);
    assert!(message.starts_with("`changes[1].vkey` is one more"), "{message}");
    let node = add(next + 10).with("use", "node");
    let message = world.refused(vec![node], &["a", "b"]);
    assert!(message.starts_with("`changes[0].vkey` is one more"), "{message}");
}

#[test]
fn two_that_are_needed_replace_their_keys_together() {
    let mut world = World::new();
    let all = Object::new()
        .with("action", "set_governance")
        .with("requirements", vec![requirement("steward", 3)]);
    let norm = world.norm("a", vec![all]);
    world.log(&norm, &["a", "b"]);
    for name in ["a", "b"] {
        let own = world.membership(name, vec![key_change("revoke_key", name, name)]);
        world.log(&own, &[name]);
    }
    let one = world.refused(vec![key_change("add_key", "a", "a/2")], &["a", "b", "c"]);
    assert_eq!(one, "key \"b\" was revoked by entry 3");
    let both = vec![key_change("add_key", "a", "a/2"), key_change("add_key", "b", "b/2")];
    world.change(both, &["a", "b", "c"]);
    assert_eq!(world.signs("a", "a/2"), Ok(Change::Record));
}

#[test]
fn stewards_are_held_over_while_the_threshold_needs_them() {
    let until = format_time(ISSUED + 1000);
    let term = |object: Object| {
        let json = object.to_pretty_json();
        // the roles of a and b, and the key of c
        let ending = format!("\"role\": \"steward\", \"until\": \"{until}\"");
        let json = json.replacen("\"role\": \"steward\"", &ending, 2);
        let own = format!("\"vkey\": \"{}\"", vkey("c"));
        let json = json.replacen(&own, &format!("{own}, \"until\": \"{until}\""), 1);
        Object::parse(&json).expect("JSON")
    };
    let mut world = World::founded(term);
    world.time = ISSUED + 2000;
    // nobody is in force any more: all three are held over, for governance only
    assert_eq!(said(world.publishes("c")), "key \"c\" was not valid at 2026-11-23T11:56:40Z");
    let message = world.refused(vec![admit("f", &["steward"])], &["a", "d"]);
    assert_eq!(
        message,
        "records of kind membership need 2 member(s) with role \"steward\"; 1 signed"
    );
    world.change(vec![role("assign_role", "a", "steward")], &["a", "c"]);
    world.change(vec![role("assign_role", "b", "steward")], &["a", "c"]);
    // a and b are in force now and suffice: c counts no longer
    let message = world.refused(vec![admit("f", &[])], &["a", "c"]);
    assert_eq!(message, "key \"c\" was not valid at 2026-11-23T11:56:40Z");
    world.change(vec![role("end_role", "d", "reviewer")], &["a", "b"]);
    // a role that was ended, not one that ran out, is never held over: c is needed again
    world.change(vec![role("end_role", "a", "steward")], &["a", "b"]);
    let message = world.refused(vec![admit("f", &[])], &["a", "b"]);
    assert_eq!(
        message,
        "records of kind membership need 2 member(s) with role \"steward\"; 1 signed"
    );
    world.change(vec![admit("f", &[])], &["b", "c"]);
}

#[test]
fn norms_change_rules_limits_keys_and_policy() {
    let mut world = World::new();
    let set = |action: &str| Object::new().with("action", action);
    let second = signer(ORIGIN, 101).verifier().to_string();
    let first = signer(ORIGIN, 100).verifier().to_string();
    let policy = format!("log {second}\nquorum none\n");
    let binding = Object::new().with("retracts", vec!["steward"]);
    let changes = vec![
        set("set_rule")
            .with("kind", "incident")
            .with("requirements", vec![requirement("publisher", 2)]),
        set("remove_rule").with("kind", "decision"),
        set("set_limits").with("issued_at", "P1D"),
        set("set_deadlines").with("deadlines", Vec::<Object>::new()),
        set("set_enumeration").with("name", "incident.triggers").with("words", vec!["weather"]),
        set("set_binding").with("binding", binding),
        set("add_log_key").with("vkey", second.as_str()),
        set("retire_log_key").with("vkey", first.as_str()),
        set("set_policy").with("policy", policy.as_str()),
    ];
    let norm = world.norm("a", changes);
    assert!(matches!(world.judge(&norm, &["a"]), Err(Rejection::TooFew { kind: Kind::Norm, .. })));
    world.log(&norm, &["a", "b"]);
    let charter = &world.charter;
    assert_eq!(charter.rules()[&Kind::Incident][0].members(), 2);
    assert_eq!(charter.rules()[&Kind::Incident][0].since(), charter.governance_index());
    assert_eq!((charter.issued_at_limit(), charter.max_gap()), (86_400, DEFAULT_MAX_GAP));
    assert!(charter.deadlines().is_empty());
    assert_eq!(charter.enumeration("incident.triggers"), Some(&["weather".to_owned()][..]));
    assert_eq!(charter.enumeration("incident.class"), None);
    assert_eq!(charter.log_keys().len(), 1);
    assert_eq!(charter.log_keys()[0].to_string(), second);
    assert_eq!(charter.retired_log_keys()[0].key().to_string(), first);
    assert_eq!(charter.policy_text(), policy);
    let by = |issuer| Issued { issuer, at: ISSUED };
    assert!(charter.binds("retracts", &by("a"), "d") && !charter.binds("amends", &by("a"), "d"));
    assert!(charter.binds("amends", &by("d"), "d") && !charter.binds("retracts", &by("d"), "a"));
    let mut of_decision = world.envelope("decision", "a");
    decision().iter().for_each(|(name, value)| {
        if of_decision.get(name).is_none() {
            of_decision.set(name, value.clone());
        }
    });
    let message = said(world.judge(&of_decision, &["a"]));
    assert_eq!(message, "the charter has no rule for records of kind decision");
    let cases = [
        (
            set("set_rule")
                .with("kind", "norm")
                .with("requirements", vec![requirement("steward", 1)]),
            "`changes[0].kind` is for `governance` to say",
        ),
        (
            set("set_rule")
                .with("kind", "gossip")
                .with("requirements", vec![requirement("steward", 1)]),
            "`changes[0].kind` names no kind of record",
        ),
        (
            set("remove_rule").with("kind", "decision"),
            "`changes[0].kind` is decision, for which there is no rule",
        ),
        (
            set("retire_log_key").with("vkey", second.as_str()),
            "`changes[0].vkey` is the last log key; add the new one first, or in the same record",
        ),
        (
            set("retire_log_key").with("vkey", first.as_str()),
            "`changes[0].vkey` is no log key in force",
        ),
        (
            set("add_log_key").with("vkey", first.as_str()),
            "`changes[0].vkey` is listed before; one public key has one use and one member",
        ),
        (
            set("add_log_key").with("vkey", vkey("a/log")),
            "`changes[0].vkey` is named \"a/log\", not like the log \"ledger.example/2026\"",
        ),
        (
            set("set_governance").with("requirements", vec![requirement("steward", 4)]),
            "after this change 3 member(s) with role \"steward\" could sign, and a change needs 4",
        ),
    ];
    for (change, message) in cases {
        assert_eq!(world.norm_refused(vec![change]), message);
    }
    let later = format_time(world.time + 1);
    let early = world.norm("a", vec![set("set_limits")]).with("effective_from", later.as_str());
    assert_eq!(
        said(world.judge(&early, &["a", "b"])),
        "the norm changes rules from 2026-11-23T11:23:21Z on, which lies after the log's time \
         2026-11-23T11:23:20Z"
    );
    let text_alone = world.norm("a", vec![]).with("effective_from", later.as_str());
    world.log(&text_alone, &["a", "b"]);
}

#[test]
fn strangers_sign_only_what_is_open_to_the_public() {
    let stranger = signer("x", 77);
    let digest = crate::Hash::digest(stranger.verifier().public().as_bytes()).to_string();
    let named = signer(&format!("public/{digest}"), 77);
    let concern = |world: &mut World| {
        let head = world.envelope("incident", named.verifier().name().as_str());
        let body = incident().with("vkey", named.verifier().to_string());
        head.iter().fold(body, |body, (name, value)| body.with(name, value.clone()))
    };
    let judge = |world: &World, object: &Object, key: &SignerKey| {
        let record = Draft::from_object(object).expect("shapes").sign(&[key]).expect("signed");
        let signed = world.charter.verify(record)?;
        world.charter.admit(&signed, &world.logged(), world.next_index())
    };
    let mut world = World::new();
    let object = concern(&mut world);
    assert!(matches!(judge(&world, &object, &named), Err(Rejection::UnknownKey { .. })));
    let open = Object::new()
        .with("action", "set_rule")
        .with("kind", "incident")
        .with("requirements", vec![requirement("public", 1)]);
    let norm = world.norm("a", vec![open]);
    world.log(&norm, &["a", "b"]);
    let object = concern(&mut world);
    assert_eq!(judge(&world, &object, &named), Ok(Change::Record));
    let forged = object.clone().with("issuer", "a");
    assert!(matches!(judge(&world, &forged, &named), Err(Rejection::IssuerMissing(_))));
    // the name must be the key's digest
    let other = signer(&format!("public/{}", "0".repeat(64)), 77);
    let unnamed = object.clone().with("vkey", other.verifier().to_string());
    assert!(matches!(judge(&world, &unnamed, &other), Err(Rejection::UnknownKey { .. })));
    assert!(matches!(world.publishes("a"), Err(Rejection::TooFew { .. })));
}

#[test]
fn chains_that_are_none_are_refused() {
    let mut world = World::new();
    world.change(vec![admit("f", &[])], &["a", "b"]);
    world.change(vec![admit("g", &[])], &["a", "b"]);
    let object = world.incident("a");
    let ordinary = world.entry(&object, &["a"]);
    let all: Vec<_> = world.entries.iter().map(|(index, entry)| (*index, entry)).collect();
    let refused = |entries: &[(LeafIndex, &Entry)]| {
        let error = Governance::replay(entries.iter().copied()).expect_err("no chain");
        assert!(!error.hint().is_empty());
        error.to_string()
    };
    assert_eq!(refused(&[]), "there is no entry at index 0, so no charter");
    assert_eq!(refused(&all[1..]), "there is no entry at index 0, so no charter");
    assert_eq!(
        refused(&[all[0], all[2]]),
        "governance entry 2: the logged line names governance entry 1, but the latest is 0"
    );
    let with = [all[0], all[1], all[2], (world.next_index(), &ordinary)];
    assert_eq!(refused(&with), "entry 3 is a record of kind incident, which changes no authority");
}

#[test]
fn those_held_over_fill_empty_seats_and_replace_nobody_in_force() {
    let until = format_time(ISSUED + 1000);
    let ending = format!("\"role\": \"steward\", \"until\": \"{until}\"");
    let term = |object: Object| {
        let json = object.to_pretty_json().replacen("\"role\": \"steward\"", &ending, 2);
        Object::parse(&json).expect("JSON")
    };
    // a and b are held over, c is in force, two must sign
    let mut world = World::founded(term);
    world.time = ISSUED + 2000;
    let message = world.refused(vec![admit("f", &["steward"])], &["a", "b"]);
    assert_eq!(
        message,
        "records of kind membership need 2 member(s) with role \"steward\"; 1 signed"
    );
    world.change(vec![admit("f", &["steward"])], &["a", "c"]);
}

#[test]
fn a_record_is_never_judged_by_an_entry_behind_it_or_around_one_before_it() {
    let mut world = World::new();
    let early = world.incident("a");
    world.change(vec![admit("f", &["publisher"])], &["a", "b"]);
    world.time += 100;
    world.change(vec![change("expel", "f")], &["a", "b"]);
    let entries = world.entries.iter().map(|(index, entry)| (*index, entry));
    let governance = Governance::replay(entries).expect("lawful");
    let draft = Draft::from_object(&early).expect("shapes");
    let record = draft.sign(&[&key("a")]).expect("signed");
    let at = |index: u64| LeafIndex::new(index).expect("small");
    let judge = |time: u64, named: u64, index: u64| {
        let logged = Logged { time, governance: at(named) };
        governance.judge(&record, &logged, at(index)).map(|_| ()).map_err(|e| {
            assert_eq!(e.is_unlawful(), named < 9, "{e}");
            e.to_string()
        })
    };
    let (before, now) = (ISSUED, ISSUED + 100);
    assert_eq!(judge(now, 2, 3), Ok(()));
    let message = "the logged line names governance entry 1, but the latest is 2";
    assert_eq!(judge(now, 1, 3), Err(message.to_owned()));
    let message = "the logged line names governance entry 9, which is not known here";
    assert_eq!(judge(now, 9, 10), Err(message.to_owned()));
    let message = "its time 2026-11-23T11:23:20Z lies before the entry before it, \
                   2026-11-23T11:25:00Z";
    assert_eq!(judge(before, 2, 3), Err(message.to_owned()));
    // an entry in the place of a governance entry, named by itself or by one behind it
    let message = "the logged line names governance entry 2, but the latest is 0";
    assert_eq!(judge(now, 2, 1), Err(message.to_owned()));
    let other = governance.judge(&record, &Logged { time: before, governance: at(0) }, at(1));
    let error = other.expect_err("another entry stands there");
    assert!(!error.is_unlawful());
    let statement = world.entries[1].1.record().statement();
    assert_eq!(error.to_string(), format!("entry 1 of this log is another record, {statement}"));
}
