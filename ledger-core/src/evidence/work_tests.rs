//! What a judge does for one file, counted in signature checks.

use std::collections::BTreeMap;

use super::sample::*;
use super::*;
use crate::charter::world::{World, change};
use crate::checkpoint::Origin;
use crate::gossip::{KnownKeys, Lineage, Pairs, Reachability, View};
use crate::note::checked;
use crate::record::{Entry, StatementId};

/// Checks of heads, beside those of governance.
const OF_HEADS: usize = 8;

/// A consortium that has changed its charter twenty times.
fn changed(name: &str) -> World {
    let mut world = World::founded(|object| object.with("consortium", name));
    for n in 0..20 {
        let node = change("set_node", "a").with("node", format!("https://n{n}.example").as_str());
        world.change(vec![node], &["a", "b"]);
    }
    world
}

fn lines(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.record().note().signatures().len()).sum()
}

fn anchor(world: &World) -> StatementId {
    world.charter.statement()
}

/// A record that the log took against its rules, with the governance twice: as the reason and as
/// what proves the log's key.
fn unlawful(world: &mut World) -> (ClaimedEvidence, usize) {
    let object = world.incident("d");
    let forged = world.entry(&object, &["d"]);
    let mut ledger = Ledger::of(world);
    let governance = lines(&ledger.entries);
    ledger.entries.push(forged);
    let last = ledger.entries.len() - 1;
    let head = ledger.head(last + 1, &[&log_key(100)]);
    let all: Vec<usize> = (0..last).collect();
    let bundle = ledger.bundle(last, &all, &head);
    let authority = ledger.bundle(last - 1, &all, &head);
    let record = Box::new(ledger.entries[last].record().clone());
    let claim = ClaimShape::UnlawfulLeaf { record, bundle };
    (ClaimedEvidence::assemble(claim, vec![authority]), governance)
}

/// Strangers found a consortium, and put its governance beside a head that the log did sign.
#[test]
fn governance_that_the_heads_tree_does_not_hold_is_not_gone_through() {
    let (world, strangers) = (changed("c"), changed("strangers"));
    let (own, theirs) = (Ledger::of(&world), Ledger::of(&strangers));
    let last = theirs.entries.len() - 1;
    let all: Vec<usize> = (0..last).collect();
    let head = own.head(last + 1, &[&log_key(100)]);
    let under = |head: &crate::checkpoint::ClaimedCheckpoint| {
        let record = Box::new(theirs.entries[last].record().clone());
        let bundle = theirs.bundle(last, &all, head);
        ClaimedEvidence::assemble(ClaimShape::UnlawfulLeaf { record, bundle }, Vec::new())
    };
    let by_key = Trust::new().with_key(log_key(100).verifier().clone());
    for trust in [by_key.clone(), by_key.with_anchor(anchor(&world))] {
        let (checks, judged) = checked::during(|| under(&head).verify(&trust));
        assert!(judged.is_err() && checks <= OF_HEADS, "{checks} checks");
        // under their own head it is gone through, if the log signed that
        let signed = theirs.head(last + 1, &[&log_key(100)]);
        let (checks, _) = checked::during(|| under(&signed).verify(&trust));
        assert!(checks > 2 * last, "{checks} checks");
        // and not if another key signed it
        let signed = theirs.head(last + 1, &[&log_key(101)]);
        let (checks, judged) = checked::during(|| under(&signed).verify(&trust));
        assert!(judged.is_err() && checks <= OF_HEADS, "{checks} checks");
    }
}

#[test]
fn governance_that_comes_twice_in_a_file_is_judged_once() {
    let mut world = changed("c");
    let (evidence, governance) = unlawful(&mut world);
    let trust = Trust::new().with_anchor(anchor(&world));
    let (checks, judged) = checked::during(|| evidence.verify(&trust));
    judged.expect("it convicts");
    assert!(checks <= governance + OF_HEADS, "{checks} checks of {governance} lines");
}

#[test]
fn bundles_that_begin_alike_are_judged_once() {
    let mut world = changed("c");
    let object = world.incident("d");
    let forged = world.entry(&object, &["d"]);
    let mut ledger = Ledger::of(&world);
    let governance = lines(&ledger.entries);
    ledger.entries.push(forged);
    let last = ledger.entries.len() - 1;
    let head = |size| ledger.head(size, &[&log_key(100)]);
    let all: Vec<usize> = (0..last).collect();
    let bundle = ledger.bundle(last, &all, &head(last + 1));
    // each bundle's governance goes on where the one before it ended
    let up_to = |at: usize| ledger.bundle(at, &all[..=at], &head(at + 1));
    let authority = vec![up_to(last / 2), up_to(last - 2), up_to(last - 1)];
    let record = Box::new(ledger.entries[last].record().clone());
    let evidence =
        ClaimedEvidence::assemble(ClaimShape::UnlawfulLeaf { record, bundle }, authority);
    let trust = Trust::new().with_anchor(anchor(&world));
    let (checks, judged) = checked::during(|| evidence.verify(&trust));
    judged.expect("it convicts");
    assert!(checks <= governance + OF_HEADS, "{checks} checks of {governance} lines");
}

#[test]
fn evidence_that_convicts_is_judged_once_before_it_is_kept() {
    let mut world = changed("c");
    let (evidence, governance) = unlawful(&mut world);
    let origin = Origin::new(ORIGIN).expect("an origin");
    let log = KnownKeys {
        origin: origin.clone(),
        keys: vec![log_key(100).verifier().clone()],
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Records,
        reach: Reachability::Somewhere,
    };
    let lineage = Lineage { anchor: anchor(&world), retired: Vec::new(), authority: Vec::new() };
    let mut view = View::default();
    view.set_logs_with(vec![log], Vec::new(), BTreeMap::from([(origin, lineage)]));
    let (checks, events) = checked::during(|| view.convict(&evidence));
    assert_eq!(events.expect("it convicts").len(), 1);
    assert!(checks <= governance + 2 * OF_HEADS, "{checks} checks of {governance} lines");
    let verdict = view.verdict(evidence.id()).expect("it is kept with its verdict");
    assert!(verdict.holds_for(&evidence, view.trust()) && verdict.conviction().is_some());
}
