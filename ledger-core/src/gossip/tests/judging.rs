//! Evidence between peers, true and false, and the cosigners of a log that was convicted.

use super::*;
use crate::evidence::{Case, ClaimedEvidence, EvidenceId, Trust};
use crate::note::VerifierKey;

/// Evidence against whoever signed both heads, for a judge who knows these keys.
fn made(
    one: &ClaimedCheckpoint,
    other: &ClaimedCheckpoint,
    keys: &[&SignerKey],
) -> ClaimedEvidence {
    let conflict = Conflict::of_heads(Heads { one, other }).expect("two roots");
    let known = keys.iter().map(|key| key.verifier().clone());
    let trust = known.fold(Trust::new(), Trust::with_key);
    let case = Case { trust: &trust, authority: &[] };
    let of_log = ClaimedEvidence::against_log(&conflict, case);
    let against =
        |key: &&SignerKey| ClaimedEvidence::against_cosigner(&conflict, key.verifier(), case);
    of_log.or_else(|| keys.iter().find_map(against)).expect("somebody signed both")
}

fn of_log() -> ClaimedEvidence {
    made(&head("abc"), &head("abX"), &[&log()])
}

/// Two heads of the log by a key that is not its.
fn forged() -> ClaimedEvidence {
    let impostor = key(ORIGIN, Algorithm::Ed25519, 99);
    let by = |leaves| Checkpoint::new(origin(), tree(leaves).frontier().head()).sign(&impostor);
    made(&by("abc"), &by("abX"), &[&impostor])
}

fn naming(evidence: &ClaimedEvidence, culprit: &VerifierKey) -> EvidenceRef {
    let culprit = super::super::view::culprit_hash(culprit);
    EvidenceRef { id: evidence.id(), culprit }
}

const SALT: RoundSalt = RoundSalt([7; 16]);

fn says(told: Exchange) -> Message {
    Message::Exchange(Box::new(told))
}

/// A round in which `asker` meets a peer that names evidence and then sends some.
fn offered(asker: &mut View, named: EvidenceRef, sent: &ClaimedEvidence) -> RoundStep {
    offered_file(asker, named, UnreadEvidence::of(sent).expect("it is short"))
}

fn offered_file(asker: &mut View, named: EvidenceRef, sent: UnreadEvidence) -> RoundStep {
    let (mut round, _) = Round::begin(asker, SALT);
    let lines = vec![LogLine { log: SALT.line_id(&origin()), state: [0; 8] }];
    let told = round.take(asker, Message::Lists { salt: SALT, lines }, &mut nobody());
    assert_eq!(told.fault, None);
    let names = Exchange { held: vec![named], ..Exchange::new(SALT) };
    let told = round.take(asker, says(names), &mut nobody());
    let Some(Message::Exchange(reply)) = told.reply else { return told };
    assert_eq!(reply.wants, [named.id]);
    let sends = Exchange { evidence: Some(sent), ..Exchange::new(SALT) };
    round.take(asker, says(sends), &mut nobody())
}

#[test]
fn evidence_that_does_not_convict_whom_the_peer_named_is_a_fault() {
    let known = log().verifier().clone();
    let mut view = holding(&[head("abc")]);
    let lie = Some(PeerFault::FalseEvidence(forged().id()));
    assert_eq!(offered(&mut view, naming(&forged(), &known), &forged()).fault, lie);
    let heard = offered(&mut view, naming(&forged(), &known), &forged());
    assert!(heard.fault.is_none() && heard.reply.is_none(), "it is not asked for again");
    assert!(!convicted(&view));
    // true evidence is kept also from a peer that says it convicts another
    let heard = offered(&mut view, naming(&of_log(), cosigner().verifier()), &of_log());
    assert_eq!(heard.fault, Some(PeerFault::FalseEvidence(of_log().id())));
    assert!(matches!(heard.events.as_slice(), [Event::Convicted(_)]));
    assert!(convicted(&view));
}

#[test]
fn evidence_that_was_not_asked_for_is_not_judged_and_a_fault_in_an_answer() {
    let known = log().verifier().clone();
    let mut view = holding(&[head("abc")]);
    let heard = offered(&mut view, naming(&forged(), &known), &of_log());
    assert_eq!(heard.fault, Some(PeerFault::Unasked));
    let unasked = Exchange { evidence: UnreadEvidence::of(&of_log()), ..Exchange::new(SALT) };
    let heard = answer(&mut view, says(unasked));
    // whoever answers forgets what it asked for: it takes nothing from that, and blames nobody
    assert!(heard.fault.is_none() && heard.events.is_empty());
    assert!(!convicted(&view));
}

#[test]
fn a_file_is_read_only_if_its_name_was_asked_for() {
    let known = log().verifier().clone();
    let mut view = holding(&[head("abc")]);
    let files = [vec![b'['; MAX_GOSSIP_EVIDENCE_BYTES], b"[{},".repeat(1 << 20), Vec::new()];
    for file in files {
        let unread = UnreadEvidence::new(file.clone()).expect("not too long");
        let unasked = || Exchange { evidence: Some(unread.clone()), ..Exchange::new(SALT) };
        let heard = answer(&mut view, says(unasked()));
        assert!(heard.fault.is_none() && heard.events.is_empty(), "it is nothing to blame");
        // under a name that the peer gave and was asked for, it is a lie
        let named = EvidenceRef { id: unread.id(), ..naming(&of_log(), &known) };
        let heard = offered_file(&mut view, named, unread.clone());
        assert_eq!(heard.fault, Some(PeerFault::FalseEvidence(unread.id())));
    }
    assert_eq!(UnreadEvidence::new(vec![0; MAX_GOSSIP_EVIDENCE_BYTES + 1]), None);
    assert_eq!(UnreadEvidence::of(&of_log()).map(|unread| unread.id()), Some(of_log().id()));
}

#[test]
fn evidence_under_a_key_that_is_not_known_is_neither_asked_for_nor_a_fault() {
    let mut view = holding(&[head("abc")]);
    let impostor = key(ORIGIN, Algorithm::Ed25519, 99);
    let heard = offered(&mut view, naming(&forged(), impostor.verifier()), &forged());
    assert!(heard.fault.is_none() && heard.reply.is_none());
    // one of two keys of a log, of which a peer knows both, is known here: it did sign something
    let second = key(ORIGIN, Algorithm::Ed25519, 98);
    let other = Checkpoint::new(origin(), tree("abX").frontier().head()).sign(&second);
    let between = made(&head("abc"), &other, &[&log(), &second]);
    let heard = offered(&mut view, naming(&between, log().verifier()), &between);
    assert!(heard.fault.is_none() && heard.events.is_empty());
    let heard = offered(&mut view, naming(&between, log().verifier()), &between);
    assert!(heard.fault.is_none() && heard.reply.is_none(), "once is enough");
}

#[test]
fn a_cosigner_of_both_histories_is_convicted_when_its_lines_come_after_the_logs_fall() {
    let bare = |leaves, time| {
        // type `cosigner` needs no signature of the log
        let line = cosignature::cosign(&cosigner(), head(leaves).checkpoint(), time);
        let note = crate::note::Note::new(head(leaves).note().text(), vec![line]).expect("a note");
        ClaimedCheckpoint::parse(note.to_string().as_bytes()).expect("a head")
    };
    let mut view = holding(&[head("abc"), head("abX")]);
    assert!(convicted(&view));
    assert_eq!(
        view.observe(&cosigned("abc", 1), HeadSource::Fetched),
        Ok(vec![Event::CosignaturesAdded(origin())])
    );
    assert_eq!(view.against(cosigner().verifier()), None);
    let events = view.observe(&bare("abX", 2), HeadSource::Fetched).expect("true");
    assert!(
        matches!(events.as_slice(), [Event::CosignaturesAdded(_), Event::Convicted(_)]),
        "{events:?}"
    );
    assert!(view.against(cosigner().verifier()).is_some());
    assert_eq!(view.status().remove(0).convicting.len(), 2);

    // also of two sizes, with the proof that convicted the log
    let mut view = holding(&[cosigned("abX", 1), head("abcde")]);
    settle(&mut view, &mut Trees(vec![tree("abcde")]));
    assert!(convicted(&view) && view.against(cosigner().verifier()).is_none());
    view.observe(&cosigned("abcde", 2), HeadSource::Fetched).expect("true");
    assert!(view.against(cosigner().verifier()).is_some());
}

#[test]
fn cosignatures_of_a_fallen_log_meet_across_nodes_and_then_nothing_is_left_to_say() {
    // each node hears of one side after it has heard that the log fell
    let (mut one, mut other) = (view(), view());
    for (view, line) in [(&mut one, cosigned("abc", 1)), (&mut other, cosigned("abX", 2))] {
        view.convict(&of_log()).expect("true");
        view.observe(&line, HeadSource::Fetched).expect("true");
        assert_eq!(view.against(cosigner().verifier()), None);
    }
    assert!(round(&mut one, &mut nobody(), &mut other, &mut nobody()) > 2);
    round(&mut other, &mut nobody(), &mut one, &mut nobody());
    assert!(one.against(cosigner().verifier()).is_some());
    assert!(other.against(cosigner().verifier()).is_some());
    assert_eq!(round(&mut one, &mut nobody(), &mut other, &mut nobody()), 2);
}

#[test]
fn an_honest_cosigner_of_a_log_that_fell_is_left_alone() {
    let mut view = holding(&[cosigned("abc", 1), head("abX")]);
    for heard in [cosigned("abc", 5), cosigned("ab", 1), cosigned("abcd", 9)] {
        view.observe(&heard, HeadSource::Fetched).expect("true");
    }
    assert!(convicted(&view) && view.against(cosigner().verifier()).is_none());
    let line = cosignature::cosign(&cosigner(), head("abcd").checkpoint(), 3);
    let spoiled = head("abX").with_signatures([line]).expect("room");
    assert_eq!(view.observe(&spoiled, HeadSource::Fetched), Ok(vec![]), "a false line is left out");
}

/// A head that a convicted key and another have signed counted by the other, and who cosigned it
/// was forgotten when the log's other side came.
#[test]
fn a_cosigner_of_both_sides_is_convicted_also_where_a_key_in_force_signed_one_of_them() {
    let second = key(ORIGIN, Algorithm::Ed25519, 98);
    let line = second.sign_text(head("abc").note().text());
    let by_both = |head: ClaimedCheckpoint| head.with_signatures([line.clone()]).expect("room");
    for lines_first in [true, false] {
        let keys = vec![log().verifier().clone(), second.verifier().clone()];
        let (entries, reach) = (Entries::Records, Reachability::Somewhere);
        let known = KnownKeys {
            origin: origin(),
            keys,
            retired: Vec::new(),
            pairs: Pairs::Convict,
            entries,
            reach,
        };
        let mut view = View::new(vec![known], vec![cosigner().verifier().clone()]);
        view.observe(&by_both(head("abc")), HeadSource::Fetched).expect("sound");
        view.observe(&head("abX"), HeadSource::Fetched).expect("sound");
        assert!(view.against(log().verifier()).is_some() && !convicted(&view));
        let mut lines = [by_both(cosigned("abc", 1)), cosigned("abX", 2)];
        if !lines_first {
            lines.reverse();
        }
        assert_eq!(
            view.observe(&lines[0], HeadSource::Fetched),
            Ok(vec![Event::CosignaturesAdded(origin())])
        );
        assert_eq!(view.against(cosigner().verifier()), None);
        let events = view.observe(&lines[1], HeadSource::Fetched).expect("true");
        assert!(
            matches!(events.as_slice(), [Event::CosignaturesAdded(_), Event::Convicted(_)]),
            "{events:?}"
        );
        assert!(view.against(cosigner().verifier()).is_some());
        assert_eq!(view.observe(&lines[0], HeadSource::Fetched), Ok(vec![]), "it was heard");
    }
}

#[test]
fn a_peer_is_not_blamed_for_a_key_that_signed_as_a_log_of_another_name() {
    let mut view = holding(&[head("abc")]);
    // the public key of the forger, under the name by which it is known here
    let elsewhere = key("elsewhere.example", Algorithm::Ed25519, 99);
    let known = |key: &SignerKey| KnownKeys {
        origin: Origin::new(key.verifier().name().as_str()).expect("origin"),
        keys: vec![key.verifier().clone()],
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Opaque,
        reach: Reachability::Somewhere,
    };
    view.set_logs(vec![known(&log()), known(&elsewhere)], Vec::new());
    let heard = offered(&mut view, naming(&forged(), elsewhere.verifier()), &forged());
    assert!(heard.fault.is_none() && heard.events.is_empty());
    let heard = offered(&mut view, naming(&forged(), elsewhere.verifier()), &forged());
    assert!(heard.fault.is_none() && heard.reply.is_none(), "once is enough");
}

/// Somebody who names evidence in heaps must not push out what a peer was asked for.
#[test]
fn evidence_that_was_asked_for_is_taken_whatever_others_name_meanwhile() {
    let known = log().verifier().clone();
    let names = || Exchange { held: vec![naming(&of_log(), &known)], ..Exchange::new(SALT) };
    let sends =
        || says(Exchange { evidence: UnreadEvidence::of(&of_log()), ..Exchange::new(SALT) });
    let flood = |view: &mut View| {
        for heap in 0..80_u32 {
            let invented = |n: u32| {
                let id = Hash::digest(&[heap, n].map(u32::to_be_bytes).concat()).to_string();
                let id = EvidenceId::from_hex(&id).expect("hex");
                EvidenceRef { id, culprit: super::super::view::culprit_hash(&known) }
            };
            let held = (0..16).map(invented).collect();
            answer(view, says(Exchange { held, ..Exchange::new(SALT) }));
        }
    };
    // of a peer that it asks
    let mut view = holding(&[head("abc")]);
    let (mut round, _) = Round::begin(&view, SALT);
    let lines = vec![LogLine { log: SALT.line_id(&origin()), state: [0; 8] }];
    round.take(&mut view, Message::Lists { salt: SALT, lines }, &mut nobody());
    assert!(round.take(&mut view, says(names()), &mut nobody()).reply.is_some());
    flood(&mut view);
    let heard = round.take(&mut view, sends(), &mut nobody());
    assert!(matches!(heard.events.as_slice(), [Event::Convicted(_)]) && convicted(&view));
    // and of one that asks it
    let (mut view, mut wanted) = (holding(&[head("abc")]), Vec::new());
    view.answer(says(names()), &mut wanted, &mut nobody());
    assert_eq!(wanted.len(), 1);
    flood(&mut view);
    let heard = view.answer(sends(), &mut wanted, &mut nobody());
    assert!(matches!(heard.events.as_slice(), [Event::Convicted(_)]) && convicted(&view));
    assert_eq!(wanted, []);
}

/// Two keys by one name and id: whoever names a log's keys can make them, and give one to each of
/// two operators.
#[test]
fn a_line_by_another_key_of_that_name_is_no_fault_and_hides_nothing_else() {
    let mut view = holding(&[head("abc")]);
    let text = head("abcd").to_string().replacen("\n4\n", "\n5\n", 1);
    let altered = ClaimedCheckpoint::parse(text.as_bytes()).expect("well formed");
    let heads = vec![altered, head("abX")];
    let heard = answer(&mut view, says(Exchange { heads, ..Exchange::new(SALT) }));
    assert_eq!((heard.fault.is_none(), convicted(&view)), (true, true));
    assert_eq!(heard.doubt.as_ref().map(|doubt| doubt.0.as_str()), Some(ORIGIN));
    assert!(heard.charge() > 0, "it is not for nothing");
}

/// A witness with two keys by one name and id, of which one node knows this and another that,
/// cosigns each side of a fork by another: no head may be dropped for it.
#[test]
fn a_false_line_of_a_cosigner_hides_no_head_and_no_true_line() {
    let line = |leaves| cosignature::cosign(&cosigner(), head(leaves).checkpoint(), 3);
    let mut view = holding(&[head("abc")]);
    let spoiled = head("abX").with_signatures([line("abcd"), line("abX")]).expect("room");
    let heard = answer(&mut view, says(Exchange { heads: vec![spoiled], ..Exchange::new(SALT) }));
    assert!(convicted(&view));
    assert_eq!(heard.doubt.map(|doubt| doubt.0), Some("witness.example".to_owned()));
    // the true line counts: with one on the other side the cosigner falls
    let events = view.observe(&cosigned("abc", 4), HeadSource::Fetched).expect("signed");
    assert!(view.against(cosigner().verifier()).is_some(), "{events:?}");
}

#[test]
fn all_evidence_goes_over_in_one_round_that_of_logs_first() {
    let named = |at: u8| key(&format!("log{at}.example"), Algorithm::Ed25519, 10 + at);
    let keys: Vec<SignerKey> = (0..10).map(named).collect();
    let known = |key: &SignerKey| KnownKeys {
        origin: Origin::new(key.verifier().name().as_str()).expect("origin"),
        keys: vec![key.verifier().clone()],
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Opaque,
        reach: Reachability::Somewhere,
    };
    let cosigners = vec![cosigner().verifier().clone()];
    let view = || View::new(keys.iter().map(known).collect(), cosigners.clone());
    let by = |key: &SignerKey, leaves| {
        let head = Checkpoint::new(known(key).origin, tree(leaves).frontier().head());
        let line = cosignature::cosign(&cosigner(), &head, 1);
        head.sign(key).with_signatures([line]).expect("room")
    };
    let (mut one, mut other) = (view(), view());
    for (at, key) in keys.iter().enumerate() {
        let knows = if at % 2 == 0 { &mut one } else { &mut other };
        knows.observe(&by(key, "abc"), HeadSource::Fetched).expect("signed");
        knows.observe(&by(key, "abX"), HeadSource::Fetched).expect("signed");
    }
    round(&mut one, &mut nobody(), &mut other, &mut nobody());
    for key in &keys {
        assert!(one.against(key.verifier()).is_some() && other.against(key.verifier()).is_some());
    }
}
