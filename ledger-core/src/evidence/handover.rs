//! Keys that only members vouch for, and keys that a key of the log has vouched for.

use super::sample::*;
use super::*;
use crate::charter::world::World;
use crate::checkpoint::ClaimedCheckpoint;
use crate::note::SignerKey;
use crate::record::{Object, StatementId};

/// A ledger whose stewards have signed a norm that adds a key, and an incident behind it.
struct Named {
    ledger: Ledger,
    anchor: StatementId,
}

fn founding() -> SignerKey {
    log_key(100)
}

fn named_key() -> SignerKey {
    log_key(102)
}

fn named(issuer: &str) -> Named {
    let mut world = World::new();
    let anchor = world.charter.statement();
    let vkey = named_key().verifier().to_string();
    let add = Object::new().with("action", "add_log_key").with("vkey", vkey);
    let policy =
        format!("log {}\nlog {}\nquorum none\n", founding().verifier(), named_key().verifier());
    let policy = Object::new().with("action", "set_policy").with("policy", policy);
    let norm = world.norm("a", vec![add, policy]);
    world.log(&norm, &["a", "b"]);
    let incident = world.incident(issuer);
    world.log(&incident, &[issuer]);
    Named { ledger: Ledger::of(&world), anchor }
}

fn key_of(culprit: &Culprit) -> Option<(&VerifierKey, bool)> {
    match culprit {
        Culprit::Log { keys, .. } => Some((keys.first()?, true)),
        Culprit::UnconfirmedKey { key, since, .. } if *since == index(1) => Some((key, false)),
        _ => None,
    }
}

fn bundle(of: &Named, head: &ClaimedCheckpoint) -> AuthorityBundle {
    of.ledger.bundle(1, &[0, 1], head)
}

/// Whom two trees convict which the named key signed, by the anchor and these bundles.
fn judged(forged: [&Named; 2], authority: Vec<AuthorityBundle>, trust: &Trust) -> Culprit {
    let heads = forged.map(|own| own.ledger.head(3, &[&named_key()]));
    let conflict = Conflict::of_heads(Heads { one: &heads[0], other: &heads[1] });
    let claim = ClaimShape::Log(conflict.expect("two roots"));
    let evidence = ClaimedEvidence::assemble(claim, authority);
    let read = ClaimedEvidence::parse(evidence.as_str().as_bytes()).expect("its one spelling");
    read.verify(trust).expect("it convicts a key").culprit().clone()
}

/// Stewards that left the log had signed a norm that adds a key, and never logged it. A tree that
/// holds it, signed by this key alone, passed for the log's.
#[test]
fn former_stewards_convict_no_log_by_a_key_it_never_had() {
    let (one, other) = (named("a"), named("b"));
    assert_eq!(one.anchor, other.anchor);
    let trust = Trust::new().with_anchor(one.anchor);
    let forged = bundle(&one, &one.ledger.head(3, &[&named_key()]));
    let own = named_key().verifier().clone();
    for trust in [trust.clone(), trust.clone().with_key(founding().verifier().clone())] {
        let culprit = judged([&one, &other], vec![forged.clone()], &trust);
        assert_eq!(key_of(&culprit), Some((&own, false)), "{culprit}");
        assert!(culprit.to_string().contains("the log is not convicted"));
    }
    // nor by an entry that the rules refuse
    let mut ledger = Ledger { entries: one.ledger.entries[..2].to_vec() };
    let mut world = World::new();
    let stranger = world.incident("z");
    ledger.entries.push(world.entry(&stranger, &["z"]));
    let head = ledger.head(3, &[&named_key()]);
    let record = Box::new(ledger.entries[2].record().clone());
    let leaf = ledger.bundle(2, &[0, 1], &head);
    let claim = ClaimShape::UnlawfulLeaf { record, bundle: leaf };
    let judged = ClaimedEvidence::assemble(claim, Vec::new()).verify(&trust);
    let conviction = judged.expect("the key signed an entry that the rules refuse");
    assert_eq!(key_of(conviction.culprit()), Some((&own, false)));
}

#[test]
fn a_key_that_the_log_itself_named_convicts_the_log() {
    let (one, other) = (named("a"), named("b"));
    let trust = Trust::new().with_anchor(one.anchor);
    let own = named_key().verifier().clone();
    let bridge = bundle(&one, &one.ledger.head(2, &[&founding()]));
    let latest = bundle(&one, &one.ledger.head(3, &[&named_key()]));
    for authority in [vec![bridge.clone()], vec![latest.clone(), bridge.clone()]] {
        let culprit = judged([&one, &other], authority, &trust);
        assert_eq!(key_of(&culprit), Some((&own, true)), "{culprit}");
    }
    // of many bundles those stay that are needed for it
    assert_eq!(vouching(vec![bridge.clone(), latest.clone()]).len(), 2);
    assert_eq!(vouching(vec![latest.clone(), latest.clone()]).len(), 1);
    // and a judge that was given the key needs no bundle for it
    let given = trust.with_key(own.clone());
    assert_eq!(key_of(&judged([&one, &other], vec![latest], &given)), Some((&own, true)));
}

/// A key that was retired signed a head over its end, and the log went on under its first key. The
/// head was left out of the evidence, since a later one names the key too, so that a thief of the
/// key convicted the log by its anchor.
#[test]
fn a_head_by_which_a_key_signed_its_own_end_stays_among_the_bundles() {
    let mut world = World::new();
    let of = |action: &str, key: &SignerKey| {
        Object::new().with("action", action).with("vkey", key.verifier().to_string())
    };
    let policy = |keys: &[&SignerKey]| {
        let lines: String = keys.iter().map(|key| format!("log {}\n", key.verifier())).collect();
        Object::new().with("action", "set_policy").with("policy", lines + "quorum none\n")
    };
    let (first, second) = (founding(), named_key());
    let add = world.norm("a", vec![of("add_log_key", &second), policy(&[&first, &second])]);
    world.log(&add, &["a", "b"]);
    let retire = world.norm("a", vec![of("retire_log_key", &second), policy(&[&first])]);
    world.log(&retire, &["a", "b"]);
    let incident = world.incident("a");
    world.log(&incident, &["a"]);
    let ledger = Ledger::of(&world);
    let bundles = vec![
        ledger.bundle(1, &[0, 1], &ledger.head(2, &[&first])),
        ledger.bundle(2, &[0, 1, 2], &ledger.head(3, &[&first, &second])),
        ledger.bundle(2, &[0, 1, 2], &ledger.head(4, &[&first])),
    ];
    let kept: Vec<u64> = vouching(bundles)
        .iter()
        .map(|own| own.proof().checkpoint.checkpoint().head().size.get())
        .collect();
    assert_eq!(kept, [3, 4], "the last alone does not show the end");
}

/// A bundle of a charter that the judge does not know was judged in full before it was ignored.
#[test]
fn bundles_of_a_charter_that_is_no_anchor_are_not_gone_through() {
    let (one, other) = (named("a"), named("b"));
    // every rule refuses the entry behind the charter: a judge that replays it says so
    let mut ledger = one.ledger.clone();
    ledger.entries.swap(1, 2);
    let head = ledger.head(3, &[&named_key()]);
    let unlawful = ledger.bundle(1, &[0, 1], &head);
    let by_key = Trust::new().with_key(named_key().verifier().clone());
    let culprit = judged([&one, &other], vec![unlawful.clone()], &by_key);
    assert_eq!(key_of(&culprit).map(|(_, is_log)| is_log), Some(true));
    let heads = [&one, &other].map(|own| own.ledger.head(3, &[&named_key()]));
    let conflict = Conflict::of_heads(Heads { one: &heads[0], other: &heads[1] });
    let claim = ClaimShape::Log(conflict.expect("two roots"));
    let evidence = ClaimedEvidence::assemble(claim, vec![unlawful]);
    assert!(
        evidence.verify(&by_key.with_anchor(one.anchor)).is_err(),
        "by the anchor it is judged"
    );
}

#[test]
fn a_verdict_is_read_back_and_holds_as_long_as_what_it_depends_on() {
    let (one, other) = (named("a"), named("b"));
    let heads = [&one, &other].map(|own| own.ledger.head(3, &[&named_key()]));
    let conflict = Conflict::of_heads(Heads { one: &heads[0], other: &heads[1] });
    let forged = bundle(&one, &heads[0]);
    let claim = ClaimShape::Log(conflict.expect("two roots"));
    let evidence = ClaimedEvidence::assemble(claim, vec![forged]);
    let nobody = Trust::new().with_key(cosigner(1).verifier().clone());
    let anchored = nobody.clone().with_anchor(one.anchor);
    let given = anchored.clone().with_key(named_key().verifier().clone());
    for (trust, role) in
        [(&nobody, None), (&anchored, Some("unconfirmed-key")), (&given, Some("log"))]
    {
        let verdict = Verdict::of(&evidence, trust);
        assert_eq!(verdict.conviction().map(|own| own.culprit().role()), role);
        let text = verdict.to_text(&evidence);
        assert_eq!(Verdict::parse(&text, &evidence), Some(verdict.clone()), "{text}");
        for other in [&nobody, &anchored, &given] {
            assert_eq!(verdict.holds_for(&evidence, other), std::ptr::eq(trust, other));
        }
        // what the file is not about changes nothing
        let more = trust.clone().with_key(cosigner(2).verifier().clone());
        assert!(verdict.holds_for(&evidence, &more));
        let judge = |version: i64| format!("\"judge\": {version}");
        let newer = text.replace(&judge(JUDGE), &judge(JUDGE + 1));
        assert!(newer != text && Verdict::parse(&newer, &evidence).is_none());
    }
}
