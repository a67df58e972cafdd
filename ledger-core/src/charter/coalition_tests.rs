//! Any changes by any members: nobody gains authority but by the rule, and the fold replays.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::record::{Draft, Object};

use super::world::{World, admit, change, key, key_change, role, vkey};
use super::*;

/// Everything that gives somebody a say.
fn authority(charter: &Charter, at: u64) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for key in charter.keys().iter().filter(|key| key.revoked().is_none()) {
        let member = &charter.members()[key.member()];
        if member.standing() != MemberStanding::Good {
            continue;
        }
        all.insert(format!("{} {}", member.name(), key.key()));
        let held = member.roles().iter().filter(|role| role.term().contains(at));
        all.extend(held.map(|role| format!("{} {}", member.name(), role.role())));
    }
    all
}

/// Some change of any sort, by numbers.
pub(super) fn any_change(world: &World, n: &[u8; 4]) -> Object {
    let names = ["a", "b", "c", "d", "e", "f"];
    let member = names[usize::from(n[1]) % names.len()];
    let word = ["steward", "publisher", "reviewer"][usize::from(n[2]) % 3];
    let label = format!("{member}/{}", n[3] % 8);
    let of_member: Vec<&MemberKey> = world
        .charter
        .keys()
        .iter()
        .filter(|key| world.charter.members()[key.member()].name() == member)
        .collect();
    match n[0] % 10 {
        0 => admit(member, &[word]),
        1 => change("suspend", member),
        2 => change("reinstate", member),
        3 => change("expel", member),
        4 => change("withdraw", member),
        5 => role("assign_role", member, word),
        6 => role("end_role", member, word),
        7 => key_change("add_key", member, &label),
        8 => change("set_node", member).with("node", format!("grpcs://{}.example:7780", n[2] % 4)),
        _ => match of_member.get(usize::from(n[3]) % of_member.len().max(1)) {
            Some(key) => change("revoke_key", member).with("vkey", key.key().to_string()),
            None => change("revoke_key", member).with("vkey", vkey(member)),
        },
    }
}

/// The names of the keys of members in `mask` that may be used, whatever became of them.
pub(super) fn names_of(world: &World, mask: u8) -> Vec<String> {
    let chosen = |key: &&MemberKey| mask & (1 << (key.member() % 8)) != 0;
    let keys = world.charter.keys().iter().filter(chosen);
    keys.map(|key| key.key().name().to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever signs with fewer stewards than the rule asks for changes nothing but to give up keys
    /// of their own: every kind of change, in every role, by any coalition.
    #[test]
    fn coalitions_below_the_threshold_gain_nothing(
        steps in prop::collection::vec((any::<[u8; 4]>(), any::<u8>()), 1..40)
    ) {
        let mut world = World::new();
        for (n, mask) in steps {
            world.time += 60;
            // a, b and c are the stewards at places 0 to 2: keep one of them at most
            let mask = mask & !0b111 | [0b001, 0b010, 0b100, 0][usize::from(n[3] & 3)];
            let names = names_of(&world, mask);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let Some(issuer) = names.first() else { continue };
            let issuer = issuer.split('/').next().unwrap_or_default().to_owned();
            let object = world.membership(&issuer, vec![any_change(&world, &n)]);
            let before = authority(&world.charter, world.time);
            if let Ok(Change::Governance(next)) = world.judge(&object, &names) {
                let after = authority(&next, world.time);
                prop_assert!(after.is_subset(&before), "{object:?}");
                let only_revokes = object.list("changes").iter().all(|change| {
                    change.as_object().and_then(|own| own.text("action")) == Some("revoke_key")
                });
                prop_assert!(only_revokes);
                prop_assert_eq!(next.rules(), world.charter.rules());
                world.log(&object, &names);
            }
            let norm = world.norm(&issuer, vec![]);
            prop_assert!(world.judge(&norm, &names).is_err());
        }
    }

    /// Lawful histories of any changes: the charter can always be changed again, no public key
    /// comes twice, and the leaves alone give the same state, from any prefix.
    #[test]
    fn any_lawful_history_replays_and_never_deadlocks(
        steps in prop::collection::vec((any::<[u8; 4]>(), any::<[u8; 4]>(), any::<u8>()), 1..40)
    ) {
        let mut world = World::new();
        let mut states = vec![world.charter.clone()];
        for (one, two, mask) in steps {
            world.time += 60;
            let names = names_of(&world, mask);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let Some(issuer) = names.first() else { continue };
            let issuer = issuer.split('/').next().unwrap_or_default().to_owned();
            let mut changes = vec![any_change(&world, &one)];
            if one[3] % 2 == 0 {
                changes.push(any_change(&world, &two));
            }
            let object = world.membership(&issuer, changes);
            if world.judge(&object, &names).is_err() {
                continue;
            }
            world.log(&object, &names);
            states.push(world.charter.clone());
            let charter = &world.charter;
            let mut publics: Vec<_> = charter.keys().iter().map(|key| key.key().public()).collect();
            let all = publics.len();
            publics.sort_unstable();
            publics.dedup();
            prop_assert_eq!(publics.len(), all);
            // whoever holds a key that may sign something can still change the charter together
            let everybody: Vec<String> = charter
                .keys()
                .iter()
                .filter(|key| key.revoked().is_none())
                .filter(|key| charter.members()[key.member()].standing() == MemberStanding::Good)
                .map(|key| key.key().name().to_string())
                .collect();
            let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
            let replaceable =
                charter.keys().iter().any(|key| key.revoked().is_some_and(|own| own.may_replace));
            if let Some(issuer) = everybody.first() {
                let issuer = issuer.split('/').next().unwrap_or_default().to_owned();
                let norm = world.norm(&issuer, vec![]);
                prop_assert!(replaceable || world.judge(&norm, &everybody).is_ok());
            }
        }
        let entries: Vec<_> = world.entries.iter().map(|(index, entry)| (*index, entry)).collect();
        for (at, state) in states.iter().enumerate() {
            let replayed = Governance::replay(entries[..=at].iter().copied()).expect("lawful");
            prop_assert_eq!(&**replayed.charter(), state);
        }
    }

    /// In whatever order signatures were gathered, the record and its verdict are the same.
    #[test]
    fn the_order_of_signing_does_not_matter(order in Just(vec!["a", "b", "c", "d"]).prop_shuffle()) {
        let mut world = World::new();
        let object = world.membership("c", vec![admit("f", &["steward"])]);
        let sorted = world.entry(&object, &["a", "b", "c", "d"]);
        let draft = Draft::from_object(&object).expect("shapes");
        let text = draft.text();
        let mut record = draft.sign(&[&key(order[0])]).expect("signed");
        for name in &order[1..] {
            record = record.with_signature(key(name).sign_text(&text)).expect("room");
        }
        prop_assert_eq!(record.as_bytes(), sorted.record().as_bytes());
        let signed = world.charter.verify(record).expect("verifies");
        let verdict = world.charter.admit(&signed, &world.logged(), world.next_index());
        prop_assert!(matches!(verdict, Ok(Change::Governance(_))));
    }
}
