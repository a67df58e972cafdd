//! Logs that change their keys, and what evidence carries for those who know an anchor alone.

use std::collections::BTreeMap;

use super::sample::*;
use super::*;
use crate::charter::world::World;
use crate::checkpoint::{ClaimedCheckpoint, Origin};
use crate::gossip::{
    Event, HeadSource, KnownKeys, Lineage, LogStanding, Message, Pairs, PrefixProver, Reachability,
    Round, RoundSalt, View,
};
use crate::index::TreeSize;
use crate::merkle::{PrefixProof, TreeHead};
use crate::note::{SignerKey, VerifierKey};
use crate::record::{Object, StatementId};

/// A ledger: charter, incident, the norm by which the second key takes the place of the first,
/// incident. And a fork of it: the same norm, then other incidents.
struct Rotated {
    ledger: Ledger,
    forked: Ledger,
    anchor: StatementId,
}

fn old() -> SignerKey {
    log_key(100)
}

fn new() -> SignerKey {
    log_key(101)
}

fn policy() -> String {
    format!("log {}\nwitness w {}\nquorum none\n", new().verifier(), cosigner(1).verifier())
}

fn rotated() -> Rotated {
    let mut world = World::new();
    let anchor = world.charter.statement();
    let incident = world.incident("a");
    world.log(&incident, &["a"]);
    let of = |action: &str, key: &SignerKey| {
        Object::new().with("action", action).with("vkey", key.verifier().to_string())
    };
    let policy = Object::new().with("action", "set_policy").with("policy", policy());
    let changes = vec![of("add_log_key", &new()), of("retire_log_key", &old()), policy];
    let norm = world.norm("a", changes);
    world.log(&norm, &["a", "b"]);
    let incident = world.incident("b");
    let mut forked = Ledger::of(&world);
    world.log(&incident, &["b"]);
    for member in ["a", "c"] {
        let incident = world.incident(member);
        forked.entries.push(world.entry(&incident, &[member]));
    }
    Rotated { ledger: Ledger::of(&world), forked, anchor }
}

impl Rotated {
    /// The head over the change, by these keys.
    fn over_change(&self, keys: &[&SignerKey]) -> ClaimedCheckpoint {
        self.ledger.head(3, keys)
    }

    fn last(&self) -> ClaimedCheckpoint {
        self.ledger.head(4, &[&new()])
    }

    /// A bundle of all governance under a head.
    fn bundle(&self, head: &ClaimedCheckpoint) -> AuthorityBundle {
        self.ledger.bundle(2, &[0, 2], head)
    }

    fn anchored(&self) -> Trust {
        Trust::new().with_anchor(self.anchor)
    }

    /// What the forked tree, as the old key signs it, contradicts.
    fn conflict(&self, head: &ClaimedCheckpoint, size: usize) -> Conflict {
        let forked = self.forked.head(size, &[&old()]);
        let heads = Heads { one: head, other: &forked };
        let conflict = Conflict::of_trees(heads, &mut self.forked.tree());
        conflict.expect("a tree").expect("another beginning")
    }
}

fn against(conflict: &Conflict, trust: &Trust, authority: &[AuthorityBundle]) -> Option<Culprit> {
    let made = ClaimedEvidence::against_log(conflict, Case { trust, authority })?;
    Some(made.verify(trust).expect("it convicts").culprit().clone())
}

#[test]
fn a_key_that_signed_its_own_end_and_more_is_convicted_and_nobody_else() {
    let log = rotated();
    let bridge = log.over_change(&[&new(), &old()]);
    let (with_bridge, without) = (log.bundle(&bridge), log.bundle(&log.last()));
    let conflict = log.conflict(&log.last(), 5);
    let (anchor, in_force) = (log.anchored(), new().verifier().clone());
    let both = log.anchored().with_log(in_force.clone(), Entries::Records);
    for trust in [&anchor, &both] {
        let culprit = against(&conflict, trust, &[without.clone(), with_bridge.clone()]);
        let culprit = culprit.expect("the old key knew that it had gone");
        let expected = Culprit::RetiredKey {
            origin: ORIGIN.to_owned(),
            key: old().verifier().clone(),
            at: index(2),
        };
        assert_eq!(culprit, expected);
        assert!(!culprit.keys().contains(&in_force));
        // without the head over its own end nobody can tell a thief from a log that forks
        assert_eq!(against(&conflict, trust, std::slice::from_ref(&without)), None);
    }
}

#[test]
fn a_fork_across_a_rotation_is_convicted_by_the_anchor_alone_if_the_change_was_signed_by_both() {
    let log = rotated();
    let (bridge, bare) = (log.over_change(&[&new(), &old()]), log.over_change(&[&new()]));
    let authority = [log.bundle(&log.last())];
    let mut forked = Ledger { entries: log.ledger.entries[..2].to_vec() };
    forked.entries.extend(log.forked.entries[3..].iter().cloned());
    let fork = forked.head(4, &[&old()]);
    let of = |head: &ClaimedCheckpoint| {
        let found = Conflict::of_trees(Heads { one: head, other: &fork }, &mut forked.tree());
        found.expect("a tree").expect("another beginning")
    };
    let culprit = against(&of(&bridge), &log.anchored(), &authority).expect("one key signed both");
    assert_eq!(culprit.keys(), [old().verifier().clone()]);
    assert_eq!(against(&of(&bare), &log.anchored(), &authority), None);
}

fn known(key: &SignerKey) -> KnownKeys {
    KnownKeys {
        origin: Origin::new(key.verifier().name().as_str()).expect("origin"),
        keys: vec![key.verifier().clone()],
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Records,
        reach: Reachability::Somewhere,
    }
}

fn view(key: &SignerKey, lineage: Option<Lineage>) -> View {
    let mut view = View::default();
    let origin = Origin::new(ORIGIN).expect("origin");
    let lineages: BTreeMap<_, _> = lineage.into_iter().map(|own| (origin.clone(), own)).collect();
    view.set_logs_with(vec![known(key)], vec![cosigner(1).verifier().clone()], lineages);
    view
}

fn lineage(log: &Rotated, retired: &[VerifierKey]) -> Lineage {
    let authority = vec![log.bundle(&log.last())];
    Lineage { anchor: log.anchor, retired: retired.to_vec(), authority }
}

fn convicted(events: Vec<Event>) -> Vec<ClaimedEvidence> {
    let made = events.into_iter().filter_map(|event| match event {
        Event::Convicted(evidence) => Some(*evidence),
        _ => None,
    });
    made.collect()
}

/// What a view makes of two heads of one size by the present key, cosigned.
fn accuse(log: &Rotated, view: &mut View) -> Vec<ClaimedEvidence> {
    let by = [&new(), &cosigner(1)];
    let heads = [log.last(), log.forked.head(4, &[&new()])];
    let heads = heads.map(|head| signed(head.checkpoint(), &by, 7));
    heads
        .iter()
        .flat_map(|head| convicted(view.observe(head, HeadSource::Fetched).expect("sound")))
        .collect()
}

#[test]
fn evidence_of_a_log_whose_charter_is_known_convicts_by_key_and_by_anchor_alone() {
    let log = rotated();
    let mut knows = view(&new(), Some(lineage(&log, &[])));
    let made = accuse(&log, &mut knows);
    assert_eq!(
        made.iter().map(ClaimedEvidence::kind).collect::<Vec<_>>(),
        ["same-size", "cosigner"]
    );
    let keys = Trust::new().with_key(new().verifier().clone());
    for evidence in &made {
        evidence.verify(&log.anchored()).expect("by the anchor");
        let by_key = keys.clone().with_key(cosigner(1).verifier().clone());
        evidence.verify(&by_key).expect("by the keys");
        assert_eq!(evidence.authority().len(), 1);
    }
}

#[test]
fn evidence_gets_its_bundles_where_they_are_known_and_stays_one_file_a_culprit() {
    let log = rotated();
    let mut stranger = view(&new(), None);
    let bare = accuse(&log, &mut stranger).remove(0);
    assert!(bare.authority().is_empty() && bare.verify(&log.anchored()).is_err());

    let mut knows = view(&new(), Some(lineage(&log, &[])));
    let told = convicted(knows.convict(&bare).expect("it convicts"));
    let [whole] = told.as_slice() else { panic!("one file: {told:?}") };
    whole.verify(&log.anchored()).expect("by the anchor");
    for again in [&bare, whole] {
        assert_eq!(knows.convict(again), Ok(vec![]), "one is enough");
        assert_eq!(stranger.convict(again), Ok(vec![]), "one is enough");
    }
    // whoever has none of its own takes it as it is
    let mut other = view(&new(), None);
    let taken = convicted(other.convict(whole).expect("it convicts"));
    assert_eq!(taken.as_slice(), std::slice::from_ref(whole));
    // what is kept is never made another
    let mut again = view(&new(), Some(lineage(&log, &[])));
    again.recall(&bare).expect("it convicts");
    assert_eq!(again.against(new().verifier()), Some(bare.id()));
}

/// What is made of a log whose charter is not known, and of a witness that cosigned both of its
/// sides and that the charter of another log names.
fn of_foreign_log(log: &Rotated) -> Vec<ClaimedEvidence> {
    let foreign = crate::record::tests::signer("foreign.example", 9);
    let mut view = view(&new(), Some(lineage(log, &[])));
    let lineages = BTreeMap::from([(Origin::new(ORIGIN).expect("one"), lineage(log, &[]))]);
    let witness = cosigner(1);
    view.set_logs_with(vec![known(&foreign)], vec![witness.verifier().clone()], lineages);
    let head = |leaves: &[&str]| {
        let head = head_of(&mut tree(leaves), leaves.len());
        signed(&checkpoint("foreign.example", head), &[&foreign, &witness], 7)
    };
    let heads = [head(&["a", "b"]), head(&["a", "c"])];
    let made = heads
        .iter()
        .flat_map(|head| convicted(view.observe(head, HeadSource::Fetched).expect("sound")));
    made.collect()
}

#[test]
fn a_cosigner_is_proven_by_the_charter_of_any_log_that_names_it() {
    let log = rotated();
    let made = of_foreign_log(&log);
    assert_eq!(made.len(), 2);
    assert!(made[0].authority().is_empty(), "of the log itself no charter is known");
    let conviction = made[1].verify(&log.anchored()).expect("by the anchor of our log");
    assert!(conviction.convicts(cosigner(1).verifier()));
}

#[test]
fn every_altered_byte_of_a_cosigners_file_is_refused_authority_and_all() {
    let log = rotated();
    let by_key = Trust::new().with_key(cosigner(1).verifier().clone());
    let of_own = accuse(&log, &mut view(&new(), Some(lineage(&log, &[])))).remove(1);
    let both = by_key.clone().with_anchor(log.anchor);
    for (made, trust) in [(&of_own, &both), (&of_foreign_log(&log).remove(1), &log.anchored())] {
        assert_eq!((made.kind(), made.authority().len()), ("cosigner", 1));
        let bytes = made.as_str().as_bytes();
        for at in 0..bytes.len() {
            let mut altered = bytes.to_vec();
            altered[at] ^= 0x01;
            let read = ClaimedEvidence::parse(&altered);
            // a charter that is no anchor of the judge says nothing, and spoils nothing
            let is_its = |own: &ClaimedEvidence| {
                own.authority().iter().all(|bundle| bundle.charter() == Some(log.anchor))
            };
            let judged = read.map(|read| (is_its(&read), read.verify(trust)));
            assert!(!matches!(judged, Ok((true, Ok(_)))), "byte {at} of {made}");
            let judged = ClaimedEvidence::parse(&altered).map(|read| read.verify(&by_key));
            let Ok(Ok(conviction)) = judged else { continue };
            assert!(conviction.convicts(cosigner(1).verifier()), "byte {at} of {made}");
        }
    }
}

#[test]
fn bundles_of_a_charter_that_a_judge_does_not_know_are_no_reason_to_refuse_its_keys() {
    let log = rotated();
    let whole = accuse(&log, &mut view(&new(), Some(lineage(&log, &[])))).remove(0);
    let elsewhere = StatementId::from_hex(&"0".repeat(64)).expect("hex");
    let other = Trust::new().with_anchor(elsewhere);
    let error = whole.verify(&other).expect_err("another anchor");
    assert!(error.depends_on_judge(), "whoever passes it on does not lie: {error}");
    let keys = other.clone().with_log(new().verifier().clone(), Entries::Opaque);
    whole.verify(&keys).expect("by the key");
    whole.verify(&other.with_anchor(log.anchor)).expect("by the other anchor");
}

#[test]
fn a_retired_key_raises_no_alarm_and_contradicts_what_it_signed_before() {
    let log = rotated();
    let (retired, origin) = (old().verifier().clone(), Origin::new(ORIGIN).expect("origin"));
    let mut view = view(&old(), None);
    view.observe(&log.ledger.head(2, &[&old()]), HeadSource::Fetched).expect("sound");
    let lineages =
        BTreeMap::from([(origin.clone(), lineage(&log, std::slice::from_ref(&retired)))]);
    view.set_logs_with(vec![known(&new())], Vec::new(), lineages);
    let adopted = view.log(&origin).and_then(|log| log.adopted).expect("it is kept");
    assert_eq!(*adopted.checkpoint().head(), *log.ledger.head(2, &[&old()]).checkpoint().head());

    assert_eq!(view.observe(&log.forked.head(5, &[&old()]), HeadSource::Fetched), Ok(vec![]));
    assert!(view.questions().is_empty(), "a thief of the key leaves nothing open");
    let mut forked = Ledger { entries: log.ledger.entries[..1].to_vec() };
    forked.entries.push(log.forked.entries[3].clone());
    let made =
        convicted(view.observe(&forked.head(2, &[&old()]), HeadSource::Fetched).expect("sound"));
    assert_eq!(made.len(), 1);
    let conviction = made[0].verify(&log.anchored()).expect("by the anchor");
    assert_eq!(conviction.culprit().keys(), [retired]);
    assert_eq!(view.standing(&origin), LogStanding::Good, "the key in force is not accused");
}

/// A view that was told of the old key by hand, and knows from the charter that it was retired.
fn listing_both(log: &Rotated, authority: Vec<AuthorityBundle>) -> View {
    let origin = Origin::new(ORIGIN).expect("origin");
    let both = vec![old().verifier().clone(), new().verifier().clone()];
    let known = KnownKeys { keys: both, ..known(&new()) };
    let retired = vec![old().verifier().clone()];
    let lineage = Lineage { anchor: log.anchor, retired, authority };
    let mut view = View::default();
    view.set_logs_with(
        vec![known],
        vec![cosigner(1).verifier().clone()],
        BTreeMap::from([(origin, lineage)]),
    );
    view
}

/// A witness lists the old key of a log that its mirror follows: whoever stole that key convicted
/// the log, by two keys that the view took to be both in force.
#[test]
fn a_retired_key_that_a_list_still_names_cannot_convict_the_key_in_force() {
    let (log, origin) = (rotated(), Origin::new(ORIGIN).expect("origin"));
    let mut view = listing_both(&log, vec![log.bundle(&log.last())]);
    view.observe(&log.last(), HeadSource::Fetched).expect("sound");
    assert_eq!(view.observe(&log.forked.head(4, &[&old()]), HeadSource::Fetched), Ok(vec![]));
    assert_eq!(view.observe(&log.forked.head(5, &[&old()]), HeadSource::Fetched), Ok(vec![]));
    assert_eq!(view.standing(&origin), LogStanding::Good);
    assert!(view.against(new().verifier()).is_none() && view.questions().is_empty());
    assert!(view.tick().is_empty(), "no alarm");
}

/// Each such head had the governance replayed several times, and the thief can sign any number.
#[test]
fn heads_of_a_thief_that_can_convict_nobody_are_not_looked_into() {
    let log = rotated();
    let mut view = listing_both(&log, vec![log.bundle(&log.last())]);
    view.observe(&log.last(), HeadSource::Fetched).expect("sound");
    let forked = log.forked.head(4, &[&old()]);
    let heads = Heads { one: &log.last(), other: &forked };
    let conflict = Conflict::of_heads(heads).expect("two roots");
    assert!(!view.may_convict_log(&conflict), "two keys, and one of them was retired");
    for _ in 0..2 {
        assert_eq!(view.observe(&forked, HeadSource::Fetched), Ok(vec![]));
    }

    // where the thief's key had signed its own end, it falls
    let bridge = log.bundle(&log.over_change(&[&new(), &old()]));
    let mut view = listing_both(&log, vec![bridge]);
    view.observe(&log.last(), HeadSource::Fetched).expect("sound");
    assert!(view.may_convict_log(&conflict));
    let made = convicted(view.observe(&forked, HeadSource::Fetched).expect("sound"));
    let conviction = made[0].verify(&log.anchored()).expect("by the anchor");
    assert_eq!(conviction.culprit().keys(), [old().verifier().clone()]);
    assert!(made.len() == 1 && !view.may_convict_log(&conflict), "once is enough");
}

#[test]
fn a_cosigner_of_a_thiefs_head_is_convicted_though_the_log_is_not() {
    let log = rotated();
    let mut view = listing_both(&log, vec![log.bundle(&log.last())]);
    let (last, forked) = (log.last(), log.forked.head(4, &[&old()]));
    view.observe(&signed(last.checkpoint(), &[&new(), &cosigner(1)], 7), HeadSource::Fetched)
        .expect("sound");
    let forked = signed(forked.checkpoint(), &[&old(), &cosigner(1)], 8);
    let made = convicted(view.observe(&forked, HeadSource::Fetched).expect("sound"));
    assert_eq!(made.iter().map(ClaimedEvidence::kind).collect::<Vec<_>>(), ["cosigner"]);
    assert!(view.against(cosigner(1).verifier()).is_some());
    assert!(view.against(new().verifier()).is_none());
}

/// The conflict was dropped without a word, and both heads stayed.
#[test]
fn bundles_that_do_not_hold_keep_nothing_from_convicting_by_keys() {
    let log = rotated();
    let bundle = log.bundle(&log.last());
    let stranger = log_key(102);
    let foreign = log.bundle(&log.ledger.head(4, &[&stranger]));
    for authority in [vec![foreign], vec![bundle; MAX_AUTHORITY + 1]] {
        let lineage = Lineage { anchor: log.anchor, retired: Vec::new(), authority };
        let made = accuse(&log, &mut view(&new(), Some(lineage)));
        assert_eq!(
            made.iter().map(ClaimedEvidence::kind).collect::<Vec<_>>(),
            ["same-size", "cosigner"]
        );
        assert!(made.iter().all(|evidence| evidence.authority().is_empty()));
    }
}

fn round(asker: &mut View, answerer: &mut View) -> Vec<Message> {
    let (mut round, mut next) = Round::begin(asker, RoundSalt([7; 16]));
    let (mut answers, mut wanted) = (Vec::new(), Vec::new());
    loop {
        let told = answerer.answer(next, &mut wanted, &mut Nobody);
        assert_eq!(told.fault, None);
        let reply = told.reply.expect("always an answer");
        answers.push(reply.clone());
        let heard = round.take(asker, reply, &mut Nobody);
        assert_eq!(heard.fault, None);
        match heard.reply {
            Some(reply) => next = reply,
            None => return answers,
        }
    }
}

/// Who holds no tree.
struct Nobody;

impl PrefixProver for Nobody {
    fn prove_prefix(&mut self, _: &Origin, _: TreeSize, _: &TreeHead) -> Option<PrefixProof> {
        None
    }
}

#[test]
fn evidence_against_a_retired_key_spreads_and_then_nothing_is_left_to_say() {
    let log = rotated();
    let bundle = log.bundle(&log.over_change(&[&new(), &old()]));
    for asks in [true, false] {
        let (mut one, mut other) =
            (listing_both(&log, vec![bundle.clone()]), listing_both(&log, vec![bundle.clone()]));
        for view in [&mut one, &mut other] {
            view.observe(&log.last(), HeadSource::Fetched).expect("sound");
        }
        assert!(
            !one.observe(&log.forked.head(4, &[&old()]), HeadSource::Fetched)
                .expect("sound")
                .is_empty()
        );
        let (asker, answerer) = if asks { (&mut one, &mut other) } else { (&mut other, &mut one) };
        round(asker, answerer);
        for view in [&*asker, &*answerer] {
            assert!(view.against(old().verifier()).is_some(), "asks: {asks}");
        }
        assert!(matches!(round(asker, answerer).as_slice(), [Message::Same]));
    }
}

/// A peer that knows two keys of a log, and not that one was retired, says that both are convicted.
#[test]
fn evidence_that_convicts_another_than_was_named_is_fetched_once() {
    let log = rotated();
    let mut peer = View::default();
    let both = vec![old().verifier().clone(), new().verifier().clone()];
    peer.set_logs(vec![KnownKeys { keys: both, ..known(&new()) }], Vec::new());
    for head in [log.last(), log.forked.head(4, &[&old()])] {
        peer.observe(&head, HeadSource::Fetched).expect("sound");
    }
    assert!(peer.against(new().verifier()).is_some());
    let bridge = log.bundle(&log.over_change(&[&new(), &old()]));
    let mut view = listing_both(&log, vec![bridge]);
    let fetched = |answers: Vec<Message>| {
        let sent =
            |told: &&Message| matches!(told, Message::Exchange(told) if told.evidence.is_some());
        answers.iter().filter(sent).count()
    };
    assert_eq!(fetched(round(&mut view, &mut peer)), 1);
    assert_eq!(fetched(round(&mut view, &mut peer)), 0, "it was judged");
    assert!(view.against(new().verifier()).is_none(), "here one of them is known to be retired");
}
