//! The charter's rules, accepted and refused one by one.

use crate::Hint;
use crate::index::LeafIndex;
use crate::note::{Algorithm, KeyName, Note, Signature, SignerKey};
use crate::record::tests::{ISSUED, decision, incident, review, signer};
use crate::record::{Draft, Entry, Kind, Logged, Object, Record, Value};
use crate::record::{FIRST_LINE, RecordId, format_time};

use super::*;

pub(super) const ORIGIN: &str = "ledger.example/2026";

fn log() -> SignerKey {
    signer(ORIGIN, 100)
}

fn lab() -> SignerKey {
    signer("lab.example", 1)
}

fn partner() -> SignerKey {
    signer("partner.example/board", 2)
}

fn watch() -> SignerKey {
    signer("watch.example", 3)
}

fn id() -> RecordId {
    RecordId::from_parts(ISSUED * 1000, [7; 10])
}

fn builder() -> CharterDraft {
    CharterDraft::new("Example Consortium", log().verifier().clone())
        .member("lab.example", lab().verifier().clone(), ["publisher", "steward"])
        .member("partner.example", partner().verifier().clone(), ["publisher", "steward"])
        .member("watch.example", watch().verifier().clone(), ["reviewer"])
}

fn body() -> Object {
    builder().draft(id(), ISSUED).expect("sound charter").body().clone()
}

fn found_with(object: &Object, keys: &[&SignerKey]) -> Result<Charter, Rejection> {
    let draft = Draft::from_object(object).expect("shapes hold");
    let record = draft.sign(keys).expect("signed");
    let logged = Logged { time: ISSUED, governance: LeafIndex::ZERO };
    Charter::found(&Entry::new(logged, record))
}

fn founded(object: &Object) -> Charter {
    found_with(object, &[&lab(), &partner(), &watch()]).expect("founded")
}

fn edited(from: &str, to: &str) -> Object {
    let json = body().to_pretty_json();
    assert!(json.contains(from), "{from} in {json}");
    Object::parse(&json.replacen(from, to, 1)).expect("JSON")
}

fn at(index: u64) -> LeafIndex {
    LeafIndex::new(index).expect("small")
}

fn logged(time: u64) -> Logged {
    Logged { time, governance: LeafIndex::ZERO }
}

fn judge(charter: &Charter, object: &Object, keys: &[&SignerKey]) -> Result<Change, Rejection> {
    let record = Draft::from_object(object).expect("shapes hold").sign(keys).expect("signed");
    charter.admit(&charter.verify(record)?, &logged(ISSUED), at(1))
}

fn said(result: Result<impl std::fmt::Debug, Rejection>) -> String {
    let rejection = result.expect_err("to be refused");
    assert!(!rejection.hint().is_empty());
    rejection.to_string()
}

/// A charter with the default deadlines, for tests of what is made from charters.
pub(crate) fn any_charter() -> Charter {
    founded(&body())
}

#[test]
fn built_charter_founds_a_log_with_defaults() {
    let charter = founded(&body());
    assert_eq!(charter.origin(), ORIGIN);
    assert_eq!(charter.consortium(), "Example Consortium");
    assert_eq!(charter.log_keys(), [log().verifier().clone()]);
    assert_eq!(charter.members().len(), 3);
    assert_eq!(charter.governance()[0].members(), 2);
    assert_eq!(charter.deadlines().len(), 9);
    assert_eq!(charter.deadlines()[0].within(), 2 * 86_400);
    assert_eq!((charter.issued_at_limit(), charter.max_gap()), (30 * 86_400, 3_600));
    let policy = format!("log {}\nquorum none\n", log().verifier());
    assert_eq!(charter.policy_text(), policy);
    assert_eq!(charter.governance_index(), LeafIndex::ZERO);
    let kinds: Vec<Kind> = charter.rules().keys().copied().collect();
    assert_eq!(kinds, [Kind::Decision, Kind::Incident, Kind::Review]);
    let draft = builder().draft(id(), ISSUED).expect("sound");
    assert_eq!(charter.statement(), draft.statement());
    let partly = draft.sign(&[&partner()]).expect("signed");
    let before = Charter::check_draft(&draft).expect("sound");
    assert_eq!(before.founders_missing(&partly), ["lab.example", "watch.example"]);
}

#[test]
fn builder_follows_what_it_is_told() {
    let log = log().verifier().clone();
    let alone = CharterDraft::new("c", log.clone()).member(
        "lab.example",
        lab().verifier().clone(),
        ["steward"],
    );
    let draft = alone.clone().draft(id(), ISSUED).expect("sound");
    let charter = Charter::check_draft(&draft).expect("sound");
    assert_eq!(charter.rules()[&Kind::Decision][0].role(), "steward");
    let two = alone.clone().threshold(2).draft(id(), ISSUED).expect_err("one steward");
    assert_eq!(
        two.to_string(),
        "the charter's `governance[0]` asks for 2 member(s) with role \"steward\"; 1 exist"
    );
    let none = CharterDraft::new("c", log).member("m", signer("m", 5).verifier().clone(), []);
    assert_eq!(none.draft(id(), ISSUED), Err(CharterDraftError::NoSteward));
    let stranger = alone.issuer("nobody").policy("quorum none\n").draft(id(), ISSUED);
    let stranger = stranger.expect_err("no such member");
    assert_eq!(stranger.to_string(), "issuer \"nobody\" is not a member");
    assert!(!stranger.hint().is_empty());
}

#[test]
fn founding_needs_every_founder_and_nobody_else() {
    let missing = found_with(&body(), &[&lab(), &partner()]);
    assert_eq!(said(missing), "founding member \"watch.example\" has not signed the charter");
    let stranger = signer("else.example", 9);
    let keys = [&lab(), &partner(), &watch(), &stranger];
    let message = said(found_with(&body(), &keys));
    let id = stranger.verifier().id();
    let expected =
        format!("key \"else.example\" with id {id} on signature line 1 is not in the charter");
    assert_eq!(message, expected);
    let signers = body().with("signers", vec!["absent.example"]);
    let message = said(found_with(&signers, &[&lab(), &partner(), &watch()]));
    assert_eq!(message, "`signers` asks for \"absent.example\", which has not signed");
}

#[test]
fn founding_entry_obeys_index_zero_and_time() {
    let draft = builder().draft(id(), ISSUED).expect("sound");
    let record = draft.sign(&[&lab(), &partner(), &watch()]).expect("signed");
    let at_time = |time| Charter::found(&Entry::new(logged(time), record.clone()));
    assert!(at_time(ISSUED - 600).is_ok());
    assert!(at_time(ISSUED + 30 * 86_400).is_ok());
    assert!(matches!(at_time(ISSUED - 601), Err(Rejection::IssuedTooLate { .. })));
    assert!(matches!(at_time(ISSUED + 30 * 86_400 + 1), Err(Rejection::IssuedTooEarly { .. })));
    let other = Logged { time: ISSUED, governance: at(1) };
    let wrong = Charter::found(&Entry::new(other, record));
    assert_eq!(said(wrong), "the logged line names governance entry 1, but the latest is 0");
    let message = said(found_with(&incident(), &[&lab()]));
    assert_eq!(message, "the first entry of a log is a charter, not a record of kind incident");
}

#[test]
fn each_rule_of_the_charters_members_is_refused_by_path() {
    let vkey = |key: &SignerKey| key.verifier().to_string();
    let twin = |name: &str, algorithm, seed| {
        let name = KeyName::new(name).expect("name");
        vkey(&SignerKey::from_seed(name, algorithm, [seed; 32]).expect("sound"))
    };
    let cosigner = twin("lab.example", Algorithm::CosignatureV1, 1);
    let lab_key = format!("\"vkey\": \"{}\"", vkey(&lab()));
    let watch_key = format!("\"vkey\": \"{}\"", vkey(&watch()));
    let roles = "\"roles\": [";
    let named = |name: &str| format!("\"vkey\": \"{}\"", vkey(&signer(name, 1)));
    let term = "\"from\":\"2027-01-01T00:00:00Z\",\"until\":\"2027-01-01T00:00:00Z\"";
    let again = "is listed before; one public key has one use and one member";
    let cases: Vec<(Object, String)> = vec![
        (
            edited("\"name\": \"lab.example\"", "\"name\": \"lab/x\""),
            "members[0].name` holds a '/', which parts members from labels in key names".into(),
        ),
        (
            edited("\"name\": \"lab.example\"", "\"name\": \"public\""),
            "members[0].name` is \"public\", which stands for anybody".into(),
        ),
        (
            edited("\"name\": \"partner.example\"", "\"name\": \"lab.example\""),
            "members[1].name` is \"lab.example\", a second member of that name".into(),
        ),
        (
            edited(&lab_key, &named("partner.example")),
            "members[0].keys[0].vkey` is named \"partner.example\", neither \"lab.example\" nor \
             \"lab.example/label\""
                .into(),
        ),
        (
            edited(&lab_key, &named("lab.example/")),
            "members[0].keys[0].vkey` is named \"lab.example/\", neither \"lab.example\" nor \
             \"lab.example/label\""
                .into(),
        ),
        (
            edited(&lab_key, &named("lab.example2")),
            "members[0].keys[0].vkey` is named \"lab.example2\", neither \"lab.example\" nor \
             \"lab.example/label\""
                .into(),
        ),
        (edited(&watch_key, &named("watch.example")), format!("members[2].keys[0].vkey` {again}")),
        (
            edited(&lab_key, &format!("\"vkey\": \"{}\"", vkey(&signer("lab.example", 100)))),
            format!("members[0].keys[0].vkey` {again}"),
        ),
        (
            edited(&lab_key, &format!("\"vkey\": \"{cosigner}\"")),
            "members[0].keys[0].vkey` is of type 0x04; use record takes type 0x01".into(),
        ),
        (
            edited("\"use\": \"record\"", "\"use\": \"witness\""),
            "members[0].keys[0].vkey` is of type 0x01; use witness takes type 0x04".into(),
        ),
        (
            edited("\"use\": \"record\"", "\"use\": \"node\""),
            "members[0].keys` hold none of use record, so that the member could not sign".into(),
        ),
        (
            edited("\"use\": \"record\"", &format!("\"use\": \"record\",{term}")),
            "members[0].keys[0]` ends before it begins".into(),
        ),
        (
            edited(roles, &format!("{roles}{{\"role\":\"x\",{term}}},")),
            "members[0].roles[0]` ends before it begins".into(),
        ),
        (
            edited("\"vkey\": \"lab.example+", "\"vkey\": \"lab.example+0"),
            "members[0].keys[0].vkey` is no usable key: not a key: expected <name>+<8 hex \
             digits>+<base64>"
                .into(),
        ),
        (
            body().with("log_vkeys", vec![vkey(&signer("other.example", 100))]),
            "log_vkeys[0]` is named \"other.example\", not like the log \"ledger.example/2026\""
                .into(),
        ),
        (
            body().with("log_vkeys", vec![vkey(&log()), vkey(&log())]),
            format!("log_vkeys[1]` {again}"),
        ),
        (
            body().with("log_vkeys", vec![twin(ORIGIN, Algorithm::CosignatureV1, 100)]),
            "log_vkeys[0]` is of type 0x04; use log takes type 0x01".into(),
        ),
        (body().with("log_vkeys", vec![vkey(&log()); 9]), "log_vkeys` are more than 8".into()),
        (
            edited("\"decision\": [", "\"gossip\": ["),
            "rules.gossip` names no kind of record".into(),
        ),
        (edited("\"decision\": [", "\"norm\": ["), "rules.norm` is for `governance` to say".into()),
        (
            edited("\"members\": 2", "\"members\": 3"),
            "governance[0]` asks for 3 member(s) with role \"steward\"; 2 exist".into(),
        ),
        (
            edited("\"members\": 2", "\"members\": 1},{\"role\":\"steward\",\"members\":2"),
            "governance[1].role` repeats role \"steward\"".into(),
        ),
    ];
    for (object, message) in cases {
        let draft = Draft::from_object(&object).expect("shapes hold");
        assert_eq!(said(Charter::check_draft(&draft)), format!("the charter's `{message}"));
    }
}

#[test]
fn charter_shapes_are_checked_before_its_rules() {
    let cases = [
        (body().with("governance", Value::List(Box::default())), "`governance` is an empty list"),
        (body().with("members", Value::List(Box::default())), "`members` is an empty list"),
        (
            edited("\"use\": \"record\"", "\"use\": \"any\""),
            "`members[0].keys[0].use` is \"any\", not one of record, log, witness, mirror, node",
        ),
        (
            edited("\"P2D\"", "\"2 days\""),
            "`deadlines[0].within` is \"2 days\", not a duration like P30D or PT12H, up to 100 years",
        ),
        (
            edited("\"members\": 2", "\"members\": 0"),
            "`governance[0].members` is 0, not within 1 to 64",
        ),
    ];
    for (object, message) in cases {
        assert_eq!(Draft::from_object(&object).expect_err("refused").to_string(), message);
    }
}

#[test]
fn unsupported_key_types_are_no_verdict() {
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [5u8; 33]);
    let other = format!("\"vkey\": \"lab.example+00000000+{data}\"");
    let own = format!("\"vkey\": \"{}\"", lab().verifier());
    let draft = Draft::from_object(&edited(&own, &other)).expect("shapes hold");
    let rejection = Charter::check_draft(&draft).expect_err("unknown type");
    assert!(rejection.is_not_supported(), "{rejection}");
}

#[test]
fn roles_that_begin_later_do_not_count_for_changes_and_ended_ones_do() {
    let steward = "\"role\": \"steward\"";
    let later = edited(steward, &format!("{steward},\"from\":{:?}", format_time(ISSUED + 1)));
    let message = said(found_with(&later, &[&lab(), &partner(), &watch()]));
    let expected = "asks for 2 member(s) with role \"steward\"; 1 exist";
    assert_eq!(message, format!("the charter's `governance[0]` {expected}"));
    let ended = edited(steward, &format!("{steward},\"until\":{:?}", format_time(ISSUED - 1)));
    founded(&ended);
}

#[test]
fn lawful_records_are_admitted() {
    let charter = founded(&body());
    assert_eq!(judge(&charter, &incident(), &[&lab()]), Ok(Change::Record));
    assert_eq!(judge(&charter, &decision(), &[&lab(), &partner()]), Ok(Change::Record));
    let named = decision().with("signers", vec!["lab.example", "partner.example/board"]);
    assert_eq!(judge(&charter, &named, &[&lab(), &partner()]), Ok(Change::Record));
    let review = review().with("issuer", "watch.example");
    assert_eq!(judge(&charter, &review, &[&watch()]), Ok(Change::Record));
    // a member without the role may sign too, as long as the rule is met by others
    assert_eq!(judge(&charter, &incident(), &[&lab(), &watch()]), Ok(Change::Record));
    let record = Draft::from_object(&incident()).expect("sound").sign(&[&lab()]).expect("signed");
    let signed = charter.verify(record.clone()).expect("verifies");
    assert_eq!(signed.key_names().collect::<Vec<_>>(), ["lab.example"]);
    let (member, key) = charter.signer(&record.note().signatures()[0]).expect("known");
    assert_eq!((member.name(), key.usage()), ("lab.example", KeyUse::Record));
}

#[test]
fn unlawful_records_are_refused_with_the_rule() {
    let charter = founded(&body());
    let verdict = |object: Object, keys: &[&SignerKey]| said(judge(&charter, &object, keys));
    assert_eq!(
        verdict(incident().with("log", "other.example"), &[&lab()]),
        "the record is meant for the log \"other.example\", not for \"ledger.example/2026\""
    );
    assert_eq!(
        verdict(incident().with("issuer", "nobody"), &[&lab()]),
        "issuer \"nobody\" is not a member"
    );
    assert_eq!(
        verdict(incident(), &[&partner()]),
        "no key of the issuer \"lab.example\" is among the signatures"
    );
    assert_eq!(
        verdict(incident().with("signers", vec!["partner.example/board"]), &[&lab()]),
        "`signers` asks for \"partner.example/board\", which has not signed"
    );
    assert_eq!(
        verdict(review(), &[&lab()]),
        "records of kind review need 1 member(s) with role \"reviewer\"; 0 signed"
    );
    assert_eq!(verdict(body(), &[&lab()]), "a charter stands only at index 0, this one at 1");
    let no_rule = founded(&edited("\"incident\": [", "\"risk\": ["));
    let message = said(judge(&no_rule, &incident(), &[&lab()]));
    assert_eq!(message, "the charter has no rule for records of kind incident");
}

#[test]
fn thresholds_count_members_not_keys() {
    let own = format!("\"vkey\": \"{}\"", lab().verifier());
    let second = signer("lab.example/second", 50);
    let keys = format!("{own},\"use\":\"record\"}},{{\"vkey\": \"{}\"", second.verifier());
    let json = edited(&own, &keys).to_pretty_json();
    let json = json.replacen("\"members\": 1", "\"members\": 2", 1);
    let charter = founded(&Object::parse(&json).expect("JSON"));
    assert_eq!(charter.rules()[&Kind::Decision][0].members(), 2);
    assert_eq!(
        said(judge(&charter, &decision(), &[&lab(), &second])),
        "records of kind decision need 2 member(s) with role \"publisher\"; 1 signed"
    );
    assert_eq!(judge(&charter, &decision(), &[&second, &partner()]), Ok(Change::Record));
}

#[test]
fn signatures_must_each_be_known_and_strictly_valid() {
    let charter = founded(&body());
    let draft = Draft::from_object(&incident()).expect("sound");
    let node = signer("lab.example/node", 60);
    let forged = signer("lab.example", 61);
    let twice = draft.sign(&[&lab(), &forged]).expect("signed");
    let message = said(charter.verify(twice));
    assert!(message.starts_with("key \"lab.example\" with id "), "{message}");
    // a valid signature over another text, under a known key's name and id
    let line = lab().sign_text("another text\n");
    let note = Note::new(&draft.text(), vec![line]).expect("note");
    let record = Record::parse(note.to_string().as_bytes()).expect("well formed");
    let message = said(charter.verify(record));
    assert_eq!(message, "the signature of \"lab.example\" on line 1 does not verify");
    let short =
        Signature::new(lab().verifier().name().clone(), lab().verifier().id(), vec![1, 2, 3]);
    let note = Note::new(&draft.text(), vec![short]).expect("note");
    let record = Record::parse(note.to_string().as_bytes()).expect("well formed");
    assert!(matches!(charter.verify(record), Err(Rejection::BadSignature { line: 1, .. })));
    let own = format!("\"vkey\": \"{}\"", lab().verifier());
    let keys = format!("{own},\"use\":\"record\"}},{{\"vkey\": \"{}\"", node.verifier());
    let json = edited(&own, &keys).to_pretty_json();
    let at = json.find("lab.example/node").expect("own key");
    let (head, tail) = json.split_at(at);
    let json = format!("{head}{}", tail.replacen("\"record\"", "\"node\"", 1));
    let charter = founded(&Object::parse(&json).expect("JSON"));
    let message = said(judge(&charter, &incident(), &[&lab(), &node]));
    let expected =
        "key \"lab.example/node\" on signature line 2 is for use \"node\", not for records";
    assert_eq!(message, expected);
}

#[test]
fn place_and_time_are_judged_by_the_logged_line() {
    let charter = founded(&body());
    let record = Draft::from_object(&incident()).expect("sound").sign(&[&lab()]).expect("signed");
    let signed = charter.verify(record).expect("verifies");
    let admit = |time| charter.admit(&signed, &logged(time), at(1));
    assert!(admit(ISSUED - 600).is_ok());
    assert!(admit(ISSUED + 30 * 86_400).is_ok());
    assert_eq!(
        said(admit(ISSUED - 601)),
        "issued_at 2026-11-23T11:23:20Z lies more than 10 minutes after the log's time \
         2026-11-23T11:13:19Z"
    );
    assert_eq!(
        said(admit(ISSUED + 30 * 86_400 + 1)),
        "issued_at 2026-11-23T11:23:20Z lies more than 30 day(s) before the log's time \
         2026-12-23T11:23:21Z"
    );
    assert!(admit(u64::MAX).is_err() && admit(0).is_err());
    let wrong = Logged { time: ISSUED, governance: at(1) };
    let message = said(charter.admit(&signed, &wrong, at(2)));
    assert_eq!(message, "the logged line names governance entry 1, but the latest is 0");
    let message = said(charter.admit(&signed, &logged(ISSUED), LeafIndex::ZERO));
    assert_eq!(message, "index 0 belongs to the charter");
    let short = founded(&edited("\"issued_at\": \"P30D\"", "\"issued_at\": \"PT1H\""));
    assert!(short.admit(&signed, &logged(ISSUED + 3600), at(1)).is_ok());
    assert!(short.admit(&signed, &logged(ISSUED + 3601), at(1)).is_err());
}

#[test]
fn terms_of_keys_and_roles_end_before_their_last_second() {
    let until = format!("\"until\":{:?}", format_time(ISSUED + 100));
    let key = founded(&edited("\"use\": \"record\"", &format!("\"use\": \"record\",{until}")));
    let publisher = "\"role\": \"publisher\"";
    let role = founded(&edited(publisher, &format!("{publisher},{until}")));
    let record = Draft::from_object(&incident()).expect("sound").sign(&[&lab()]).expect("signed");
    let admit = |charter: &Charter, time| {
        let signed = charter.verify(record.clone()).expect("verifies");
        charter.admit(&signed, &logged(time), at(1))
    };
    for charter in [&key, &role] {
        assert!(admit(charter, ISSUED + 99).is_ok());
        assert!(admit(charter, ISSUED + 100).is_err());
    }
    assert_eq!(
        said(admit(&key, ISSUED + 100)),
        "key \"lab.example\" was not valid at 2026-11-23T11:25:00Z"
    );
    assert!(matches!(admit(&role, ISSUED + 100), Err(Rejection::TooFew { .. })));
    let from = format!("\"from\":{:?}", format_time(ISSUED + 50));
    let from = founded(&edited(publisher, &format!("{publisher},{from}")));
    assert!(admit(&from, ISSUED + 49).is_err());
    assert!(admit(&from, ISSUED + 50).is_ok());
}

#[test]
fn a_record_verified_under_another_charter_is_judged_again() {
    let charter = founded(&body());
    let record = Draft::from_object(&incident()).expect("sound").sign(&[&lab()]).expect("signed");
    let signed = charter.verify(record).expect("verifies");
    let own = format!("\"vkey\": \"{}\"", lab().verifier());
    let fresh = signer("lab.example", 70);
    let object = edited(&own, &format!("\"vkey\": \"{}\"", fresh.verifier()));
    let other = found_with(&object, &[&fresh, &partner(), &watch()]).expect("founded");
    let verdict = other.admit(&signed, &logged(ISSUED), at(1));
    assert!(matches!(verdict, Err(Rejection::UnknownKey { .. })));
}

#[test]
fn key_labels_are_one_word_and_founders_are_as_many_as_can_sign() {
    let own = format!("\"vkey\": \"{}\"", lab().verifier());
    let deep = signer("lab.example/a/b", 1);
    let draft = edited(&own, &format!("\"vkey\": \"{}\"", deep.verifier()));
    let message = said(Charter::check_draft(&Draft::from_object(&draft).expect("shapes hold")));
    assert!(message.contains("is named \"lab.example/a/b\""), "{message}");
    let crowd = |members: u8| {
        let start = CharterDraft::new("c", log().verifier().clone());
        let all = (0..members).fold(start, |draft, n| {
            let name = format!("m{n}");
            draft.member(&name, signer(&name, n + 1).verifier().clone(), ["steward"])
        });
        all.draft(id(), ISSUED)
    };
    assert!(crowd(64).is_ok());
    let message = crowd(65).expect_err("65 cannot all sign").to_string();
    let expected = "are more than the 64 founders who can sign one record";
    assert_eq!(message, format!("the charter's `members` {expected}"));
}

#[test]
fn charters_begin_like_records() {
    let draft = builder().draft(id(), ISSUED).expect("sound");
    assert!(draft.text().starts_with(&format!("{FIRST_LINE}\n{{\n  \"log\": {ORIGIN:?},")));
}
