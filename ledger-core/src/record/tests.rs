//! Accept and reject, rule by rule; helpers that the charter's tests share.

use proptest::prelude::*;

use crate::Hint;
use crate::index::LeafIndex;
use crate::note::{Algorithm, KeyName, SignerKey};

use super::*;

/// A key whose seed is one byte repeated.
pub(crate) fn signer(name: &str, seed: u8) -> SignerKey {
    let name = KeyName::new(name).expect("test name");
    SignerKey::from_seed(name, Algorithm::Ed25519, [seed; 32]).expect("sound seed")
}

pub(crate) const ISSUED: u64 = 1_795_433_000;

/// A record's object with the envelope filled.
pub(crate) fn envelope(kind: &str) -> Object {
    Object::new()
        .with("log", "ledger.example/2026")
        .with("kind", kind)
        .with("id", "0198a7c2-5d00-7000-8000-000000000001")
        .with("issuer", "lab.example")
        .with("issued_at", format_time(ISSUED))
        .with("title", Object::new().with("fr", "Titre").with("en-GB", "Title"))
        .with("summary", Object::new().with("en", "Summary"))
}

pub(crate) fn incident() -> Object {
    envelope("incident")
        .with("stage", "interim")
        .with("class", "near_miss")
        .with("severity", "serious_incident")
        .with("aware_at", "2026-11-20T00:00:00Z")
        .with("ai_relation", "malfunction")
        .with("harm_types", vec!["physical", "a new word"])
        .with("triggers", Value::List(Box::default()))
}

pub(crate) fn decision() -> Object {
    envelope("decision")
        .with("status", "accepted")
        .with("context", "We must choose.")
        .with("options", vec!["a", "b"])
        .with("outcome", "a")
        .with("rationale", "It is\nbetter.")
        .with("decided_by", vec!["the board"])
}

pub(crate) fn review() -> Object {
    envelope("review")
        .with("body", "Board")
        .with("review_stage", "pre_deployment")
        .with("outcome", "approve")
        .with("public_summary", Object::new().with("en", "Fine."))
}

fn parse(text: &str) -> Value {
    let object = Object::parse(&format!("{{\"v\":{text}}}")).expect("test JSON");
    object.get("v").expect("own member").clone()
}

fn refusal(object: &Object) -> String {
    Draft::from_object(object).expect_err("to be refused").to_string()
}

fn signed() -> Record {
    let draft = Draft::from_object(&incident()).expect("sound");
    draft.sign(&[&signer("partner.example/b", 2), &signer("lab.example", 1)]).expect("signed")
}

#[test]
fn the_heap_of_a_record_is_within_what_is_reserved_for_its_bytes() {
    let json = serde_json::to_string(&incident()).expect("prints");
    let deep = format!("{}0{}", "[".repeat(28), "]".repeat(28));
    for value in ["0", "{}", "[]", r#""""#, r#""a""#, r#"["a"]"#, r#"{"":0}"#, &deep] {
        for bytes in [64, 1_000, 60_000] {
            let list = vec![value; bytes / (value.len() + 1)].join(",");
            let json = format!("{},\"ext\":{{\"x\":[{list}]}}}}", &json[..json.len() - 1]);
            let record = Draft::parse(&json).expect(value).sign(&[&signer("lab.example", 1)]);
            let record = record.expect("signed");
            let record = Record::parse(record.as_bytes()).expect("its own bytes");
            let (heap, bytes) = (record.heap_bytes(), record.as_bytes().len());
            // what came is held beside it until it is judged
            assert!(heap + bytes <= Record::most_heap_bytes(bytes), "{value}: {heap} for {bytes}");
        }
    }
    let long = "n".repeat(60_000);
    let json = format!("{{\"{long}\":{{\"_sd\":1}},{}", &json[1..]);
    let refused = Draft::parse(&json).expect_err("no list of digests").to_string();
    assert!(refused.len() < 512, "{} bytes about what is wrong", refused.len());
}

#[test]
fn records_of_each_kind_round_trip_byte_for_byte() {
    for object in [incident(), decision(), review()] {
        let draft = Draft::from_object(&object).expect("sound");
        assert_eq!(draft.body(), &object);
        let record = draft.sign(&[&signer("lab.example", 1)]).expect("signed");
        assert_eq!(record.text(), draft.text());
        assert_eq!(record.statement(), draft.statement());
        let again = Record::parse(record.as_bytes()).expect("own bytes");
        assert_eq!(again, record);
        assert_eq!(again.to_bytes(), record.note().to_string().into_bytes());
        let outline = Outline::parse(record.as_bytes()).expect("own bytes");
        assert_eq!(outline.statement(), record.statement());
        assert_eq!(outline.envelope(), record.envelope());
    }
}

#[test]
fn envelope_is_read_once_and_shown_in_english() {
    let object = incident()
        .with("signers", vec!["lab.example", "partner.example/b"])
        .with("series", "outage")
        .with("rev", Value::Integer(2));
    let draft = Draft::from_object(&object).expect("sound");
    let envelope = draft.envelope();
    assert_eq!(envelope.log(), "ledger.example/2026");
    assert_eq!(envelope.kind(), Kind::Incident);
    assert_eq!(envelope.id().to_string(), "0198a7c2-5d00-7000-8000-000000000001");
    assert_eq!((envelope.issuer(), envelope.issued_at()), ("lab.example", ISSUED));
    assert_eq!(envelope.title(), "Title");
    assert_eq!(envelope.signers(), ["lab.example", "partner.example/b"]);
    assert_eq!(envelope.series(), Some(("outage", 2)));
    let french = incident().with("title", Object::new().with("fr", "Titre"));
    assert_eq!(Draft::from_object(&french).expect("sound").envelope().title(), "Titre");
}

#[test]
fn unique_key_tells_issuers_and_ids_apart() {
    let key = |issuer: &str, id: &str| {
        let object = incident().with("issuer", issuer).with("id", id);
        Draft::from_object(&object).expect("sound").envelope().unique_key()
    };
    let (one, two) =
        ("0198a7c2-5d00-7000-8000-000000000001", "0198a7c2-5d00-7000-8000-000000000002");
    assert_eq!(key("a", one), key("a", one));
    assert_ne!(key("a", one), key("a", two));
    assert_ne!(key("a", one), key("b", one));
}

#[test]
fn every_optional_member_is_accepted_in_its_shape() {
    let digest = "ab".repeat(32);
    let refs = format!(
        r#"[{{"rel":"amends","statement":"{digest}","origin":"o.example","index":7,"more":1}}]"#
    );
    let files = format!(
        r#"[{{"sha256":"{digest}","media_type":"text/plain","size":0,"name":"a.txt",
            "url":"https://example.org/a","audience":"public"}}]"#
    );
    let object = incident()
        .with("refs", parse(&refs))
        .with("attachments", parse(&files.replace('\n', "")))
        .with("jurisdictions", vec!["FR", "US-CA"])
        .with("licence", "CC-BY-4.0")
        .with("tlp", "TLP:AMBER+STRICT")
        .with("due", parse(r#"[{"what":"report","by":"2027-01-01T00:00:00Z"}]"#))
        .with("xref", parse(r#"[{"scheme":"AVID","id":"AVID-2022-R0001"}]"#))
        .with("ext", parse(r#"{"x.example":[1,null,{"y":true}]}"#))
        .with("unheard-of", parse("[null]"))
        .with("started_at", "2026-11-01")
        .with("ended_at", "2026-11-02T00:00:00Z")
        .with("system", parse(r#"{"name":"m","version":"1","developer":"d","deployer":"p"}"#))
        .with("affected", vec!["pupils"])
        .with("countries", vec!["FR"])
        .with("chain_of_events", "a, then b")
        .with("actions", vec!["stopped"])
        .with("root_cause", "none found")
        .with("resolved_at", "2026-11-03T00:00:00Z");
    Draft::from_object(&object).expect("incident");
    let object = decision()
        .with("votes", parse(r#"[{"who":"a","vote":"for"}]"#))
        .with("recusals", parse(r#"[{"who":"b"}]"#))
        .with("dissent", parse(r#"[{"who":"c","text":"too dear"}]"#))
        .with("consulted", vec!["d"])
        .with("resources", parse(r#"[{"amount_minor":100,"currency":"EUR"}]"#))
        .with("review_by", "2027-01-01");
    Draft::from_object(&object).expect("decision");
    let object = review()
        .with("findings", parse(r#"[{"layer":"data","result":"pass","basis":"tests"}]"#))
        .with("conditions", parse(r#"[{"id":"1","text":"t","due":"2027-01-01T00:00:00Z"}]"#))
        .with("panel", vec!["p"])
        .with("conflicts", vec!["none"])
        .with("next_review", "2027-01-01");
    Draft::from_object(&object).expect("review");
}

#[test]
fn each_required_member_is_missed_by_name() {
    for (kind, object) in
        [(Kind::Incident, incident()), (Kind::Decision, decision()), (Kind::Review, review())]
    {
        assert!(missing(kind, &object).is_empty());
        for member in required(kind) {
            let mut without = Object::new();
            for (name, value) in object.iter().filter(|(name, _)| *name != member.name) {
                without.set(name, value.clone());
            }
            assert_eq!(refusal(&without), format!("`{}` is missing", member.name));
            let named: Vec<_> = missing(kind, &without).iter().map(|m| m.name).collect();
            assert_eq!(named, [member.name]);
        }
    }
}

#[test]
fn each_member_rule_is_refused_with_its_path() {
    let text = |word: &str| Value::from(word);
    let cases: Vec<(Object, &str)> = vec![
        (incident().with("title", "x"), "`title` is a text, not an object of texts by language"),
        (
            incident().with("id", "0198A7C2-5d00-7000-8000-000000000001"),
            "`id` is \"0198A7C2-5d00-7000-8000-000000000001\", not a UUID of version 7 in lower case",
        ),
        (
            incident().with("issuer", "a b"),
            "`issuer` is \"a b\", not a name of 1 to 255 bytes without spaces, '+' and control \
             characters",
        ),
        (
            incident().with("issued_at", "2026-11-23T11:23:20.5Z"),
            "`issued_at` is \"2026-11-23T11:23:20.5Z\", not a time like 2026-01-31T09:30:00Z",
        ),
        (incident().with("signers", Value::List(Box::default())), "`signers` is an empty list"),
        (incident().with("signers", vec!["a", "a"]), "`signers[1]` repeats a key name"),
        (
            incident().with("signers", (0..65).map(|n| format!("k{n}")).collect::<Vec<_>>()),
            "`signers` names 65 keys; at most 64 can sign",
        ),
        (incident().with("series", "s"), "`rev` is missing beside `series`"),
        (incident().with("rev", Value::Integer(1)), "`series` is missing beside `rev`"),
        (
            incident().with("series", "s").with("rev", Value::Integer(0)),
            "`rev` is 0, not within 1 to 9007199254740992",
        ),
        (incident().with("refs", parse(r#"[{"rel":"amends"}]"#)), "`refs[0].statement` is missing"),
        (incident().with("ext", text("x")), "`ext` is a text, not an object"),
        (
            incident().with("severity", "bad"),
            "`severity` is \"bad\", not one of hazard, serious_hazard, incident, \
             serious_incident, disaster, unknown",
        ),
        (
            incident().with("aware_at", "unknown"),
            "`aware_at` is \"unknown\", not a time like 2026-01-31T09:30:00Z",
        ),
        (incident().with("harm_types", "unknown"), "`harm_types` is a text, not a list"),
        (
            incident().with("countries", vec!["fr"]),
            "`countries[0]` is \"fr\", not a country like FR (ISO 3166-1, two capitals)",
        ),
        (incident().with("system", Object::new()), "`system.name` is missing"),
        (decision().with("options", Value::List(Box::default())), "`options` is an empty list"),
        (decision().with("context", " "), "`context` is \" \", not a text with something in it"),
        (
            decision().with("status", "done"),
            "`status` is \"done\", not one of proposed, accepted, rejected, deprecated, superseded",
        ),
        (
            review().with("findings", parse(r#"[{"layer":"a","result":"pass"}]"#)),
            "`findings[0].basis` is missing",
        ),
        (
            envelope("gossip"),
            "`kind` is \"gossip\", not one of decision, incident, review, risk, preregistration, \
             remediation, concern, dispute, response, milestone, drill, disclosure, charter, \
             membership, norm",
        ),
    ];
    for (object, message) in cases {
        assert_eq!(refusal(&object), message);
    }
}

#[test]
fn origin_is_never_a_first_line_of_signed_texts() {
    for line in RESERVED_FIRST_LINES {
        let message = refusal(&incident().with("log", *line));
        assert_eq!(message, format!("`log` is {line:?}, which begins other signed texts"));
    }
}

#[test]
fn initial_incident_may_leave_everything_unknown_but_its_stage() {
    let mut object = envelope("incident").with("stage", "initial");
    let incident = Kind::Incident.definition();
    for member in incident.members.iter().filter(|member| member.name != "stage") {
        object.set(member.name, UNKNOWN);
    }
    Draft::from_object(&object).expect("all unknown");
    let message = refusal(&object.clone().with("stage", "final"));
    assert!(message.starts_with("`aware_at` is \"unknown\""), "{message}");
    let message = refusal(&object.clone().with("stage", UNKNOWN));
    assert_eq!(message, "`stage` is \"unknown\", not one of initial, interim, final");
    let message = refusal(&object.with("harm_types", "none"));
    assert_eq!(message, "`harm_types` is a text, not a list");
}

#[test]
fn an_outline_tells_what_a_record_says_about_itself() {
    let key = signer("lab.example", 1);
    let bytes_of = |object: &Object| {
        let text = format!("{FIRST_LINE}\n{}\n", object.to_pretty_json());
        Note::new(&text, vec![key.sign_text(&text)]).expect("note").to_string().into_bytes()
    };
    // the kind's own members are not asked for
    let bytes = bytes_of(&envelope("drill"));
    assert!(Record::parse(&bytes).is_err());
    let outline = Outline::parse(&bytes).expect("outlined");
    assert_eq!(outline.envelope().issuer(), "lab.example");
    assert_eq!(outline.statement(), StatementId::of_note(outline.note()));
    let entry = [b"logged 5 0\n".as_slice(), &bytes].concat();
    let (logged, record) = Entry::split(&entry).expect("splits");
    assert_eq!((logged.time, record), (5, bytes.as_slice()));
    for object in [
        envelope("drill").with("issued_at", "soon"),
        envelope("drill").with("_sd", "x"),
        envelope("gossip"),
    ] {
        assert!(Outline::parse(&bytes_of(&object)).is_err());
    }
}

#[test]
fn malformed_records_are_refused_with_the_reason() {
    let whole = String::from_utf8(signed().to_bytes()).expect("a note is UTF-8");
    let (text, lines) = whole.split_once("\n\n").expect("two parts");
    let [one, two] = lines.split_inclusive('\n').collect::<Vec<_>>()[..] else {
        panic!("two lines");
    };
    let object = "the text after the first line is not one JSON object that ends with its line";
    let cases: Vec<(String, &str)> = vec![
        (
            text.to_owned() + "\n",
            "not a signed note: no text followed by a blank line and signature lines",
        ),
        (whole.replacen("record/v1", "record/v2", 1), "the first line is not \"ledger-record/v1\""),
        (whole.replacen("v1\n", "v1 \n", 1), "the first line is not \"ledger-record/v1\""),
        (whole.replacen("v1\n", "v1", 1), "the first line is not \"ledger-record/v1\""),
        (whole.replacen("v1\n{", "v1\n {", 1), object),
        (whole.replacen("\n}\n\n", "\n} \n\n", 1), object),
        (whole.replacen("\n}\n\n", "\n}\n\n\n", 1), object),
        (whole.replacen("\n}\n\n", "\n}\ntrue\n\n", 1), object),
        (whole.replacen("\n}\n\n", "\n} {}\n\n", 1), "line 25 column 3: trailing characters"),
        (
            whole.replacen("\"stage\"", "\"kind\"", 1),
            "line 15 column 8: member \"kind\" stands twice in one object",
        ),
        (
            whole.replacen("  \"stage\"", "\t\"stage\"", 1),
            "not a signed note: control character U+0009 on line 15; a note allows only newlines",
        ),
        (
            format!("{text}\n\n{two}{one}"),
            "signature line 2 does not sort after the line before it by key name, then key id",
        ),
        (format!("{text}\n\n{one}{one}"), "signature line 2 repeats the key of the line before it"),
    ];
    for (text, message) in cases {
        let error = Record::parse(text.as_bytes()).expect_err("to be refused");
        assert_eq!(error.to_string(), message, "{text}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn drafts_count_lines_from_the_top_of_the_file() {
    let json = incident().to_pretty_json();
    let draft = Draft::parse(&format!("\n \n{json}\n")).expect("blanks around");
    assert_eq!(draft.json(), json);
    let broken = json.replacen("\"interim\"", "1.5", 1);
    let error = Draft::parse(&format!("\n\n{broken}")).expect_err("float");
    assert!(matches!(error, RecordError::Json { line: 16, .. }), "{error:?}");
    assert_eq!(Draft::parse("[]"), Err(RecordError::NotOneObject));
    assert_eq!(Draft::parse(""), Err(RecordError::NotOneObject));
    assert_eq!(Draft::parse("{}\r\n"), Err(RecordError::NotOneObject));
}

#[test]
fn sizes_are_limited() {
    let key = signer("lab.example", 1);
    let with_summary =
        |length: usize| Draft::from_object(&incident().with("root_cause", "x".repeat(length)));
    let spare = MAX_RECORD_BYTES - with_summary(1).expect("small").text().len() + 1;
    let full = with_summary(spare).expect("just fits");
    assert_eq!(full.text().len(), MAX_RECORD_BYTES);
    assert!(matches!(full.sign(&[&key]), Err(RecordError::TooLong(_))));
    assert_eq!(with_summary(spare + 1), Err(RecordError::TooLong(MAX_RECORD_BYTES + 1)));
    let line = key.sign_text("x").to_string().len() + 1;
    let record = with_summary(spare - line).expect("fits").sign(&[&key]).expect("just fits");
    assert_eq!(record.as_bytes().len(), MAX_RECORD_BYTES);
    let late =
        Logged { time: u64::MAX, governance: LeafIndex::new(i64::MAX as u64 - 1).expect("top") };
    let entry = Entry::new(late, record).to_bytes();
    assert!(entry.len() <= MAX_ENTRY_BYTES);
    assert!(Entry::parse(&entry).is_ok());
    assert_eq!(Entry::split(&[b'l'; MAX_ENTRY_BYTES + 1]), Err(EntryError::TooLong(65_536)));
}

#[test]
fn signatures_are_sorted_by_name_then_id_and_never_repeated() {
    let draft = Draft::from_object(&incident()).expect("sound");
    let keys: Vec<SignerKey> =
        [("b", 1), ("a/z", 2), ("a", 3), ("a", 4)].map(|(n, s)| signer(n, s)).into();
    let all = draft.sign(&keys.iter().collect::<Vec<_>>()).expect("signed");
    let order: Vec<_> = all.note().signatures().iter().map(|s| (s.name(), s.id())).collect();
    assert!(order.is_sorted());
    // one by one, in any order, gives the same file
    let first = draft.sign(&[&keys[1]]).expect("signed");
    let later = [0, 3, 2].iter().try_fold(first, |record, at| record.cosign(&keys[*at]));
    let later = later.expect("co-signed");
    assert_eq!(later, all);
    assert_eq!(Record::parse(all.as_bytes()), Ok(all.clone()));
    assert_eq!(all.cosign(&keys[0]), Err(RecordError::SignatureRepeated(5)));
    assert_eq!(draft.sign(&[&keys[0], &keys[0]]), Err(RecordError::SignatureRepeated(2)));
    assert!(matches!(draft.sign(&[]), Err(RecordError::Note(_))));
    let name = KeyName::new("w").expect("name");
    let cosigner = SignerKey::from_seed(name, Algorithm::CosignatureV1, [9; 32]).expect("sound");
    assert_eq!(draft.sign(&[&cosigner]), Err(RecordError::CosignerKey("w".into())));
    let many: Vec<SignerKey> = (0..65).map(|n| signer(&format!("k{n:02}"), n + 1)).collect();
    let most: Vec<&SignerKey> = many[..64].iter().collect();
    let most = draft.sign(&most).expect("64 lines");
    assert!(matches!(most.cosign(&many[64]), Err(RecordError::Note(_))));
}

#[test]
fn logged_lines_are_strict() {
    let logged = Logged { time: ISSUED, governance: LeafIndex::new(41).expect("small") };
    assert_eq!(logged.to_string(), "logged 1795433000 41\n");
    assert_eq!(Logged::parse("logged 1795433000 41\n"), Ok(logged));
    for bad in [
        "",
        "logged 1795433000 41",
        "logged 1795433000 41\n\n",
        "logged 1795433000\n",
        "logged  1795433000 41\n",
        "logged 1795433000 41 \n",
        "logged 01795433000 41\n",
        "logged 1795433000 041\n",
        "logged -1 41\n",
        "logged 1795433000 9223372036854775807\n",
        "logged 18446744073709551616 0\n",
        "Logged 1 0\n",
        " logged 1 0\n",
        "logged 1 0 0\n",
        "logged 1 0\r\n",
    ] {
        assert_eq!(Logged::parse(bad), Err(EntryError::Logged), "{bad:?}");
        let entry = [bad.as_bytes(), signed().as_bytes()].concat();
        assert!(Entry::parse(&entry).is_err(), "{bad:?}");
    }
}

#[test]
fn entry_is_the_line_and_the_record_and_hashes_as_a_leaf() {
    let record = signed();
    let logged = Logged { time: ISSUED, governance: LeafIndex::ZERO };
    let entry = Entry::new(logged, record.clone());
    let bytes = entry.to_bytes();
    assert_eq!(bytes, [b"logged 1795433000 0\n", record.as_bytes()].concat());
    assert_eq!(entry.leaf_hash(), crate::Hash::leaf(&bytes));
    assert_eq!(Entry::parse(&bytes), Ok(entry.clone()));
    assert_eq!((entry.logged(), entry.record()), (logged, &record));
}

#[test]
fn templates_lack_only_what_people_must_say() {
    let id = RecordId::from_parts(ISSUED * 1000, [7; 10]);
    let basics = Basics { log: "l.example", issuer: "lab.example", id, issued_at: ISSUED };
    let draft = template(Kind::Review, &basics);
    let names: Vec<&str> = missing(Kind::Review, &draft).iter().map(|member| member.name).collect();
    assert_eq!(names, ["title", "summary", "body", "review_stage", "outcome", "public_summary"]);
}

/// Bytes near to a record: its own with a piece replaced, dropped or doubled.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let whole = signed().to_bytes();
    (0..whole.len(), 0usize..40, proptest::collection::vec(any::<u8>(), 0..8)).prop_map(
        move |(at, cut, new)| {
            let end = (at + cut).min(whole.len());
            [&whole[..at], &new, &whole[end..]].concat()
        },
    )
}

/// JSON-like texts that reach deep into the rules.
fn tokens() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\"a\""),
        Just("\"\\ud800\\udc00\""),
        Just("\"\\u0000\""),
        Just("-0"),
        Just("12"),
        Just("null"),
        Just("\n"),
        Just("\"kind\""),
    ];
    proptest::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn parsing_never_panics_and_prints_back_what_it_took(bytes in damaged()) {
        if let Ok(record) = Record::parse(&bytes) {
            prop_assert_eq!(record.note().to_string().into_bytes(), bytes.clone());
            prop_assert_eq!(record.as_bytes(), bytes.as_slice());
        }
        let entry = [b"logged 1 0\n".as_slice(), &bytes].concat();
        if let Ok(parsed) = Entry::parse(&entry) {
            prop_assert_eq!(parsed.to_bytes(), entry);
        }
        let _ = Outline::parse(&bytes);
        let _ = Entry::split(&bytes);
    }

    #[test]
    fn any_bytes_and_tokens_are_judged_without_panic(bytes: Vec<u8>, json in tokens()) {
        let _ = Record::parse(&bytes);
        let _ = Draft::parse(&json);
        let _ = Draft::parse(&format!("{{{json}}}"));
        if let Ok(object) = Object::parse(&format!("{{{json}}}")) {
            prop_assert_eq!(Object::parse(&object.to_pretty_json()), Ok(object));
        }
    }

    #[test]
    fn any_text_is_judged_by_every_shape(text in "\\PC{0,40}", number: i64) {
        for member in ENVELOPE.iter().chain(Kind::Charter.definition().members) {
            let _ = Draft::from_object(&incident().with(member.name, text.as_str()));
            let _ = Draft::from_object(&incident().with(member.name, Value::Integer(number)));
        }
        let _ = parse_time(&text);
        let _ = parse_duration(&text);
        let _ = Logged::parse(&text);
    }
}

#[test]
fn messages_stay_short_whatever_the_record_holds() {
    let long = "x".repeat(40_000);
    let twice = format!("{{\"{long}\":1,\"{long}\":2}}");
    let error = Draft::parse(&twice).expect_err("a name stands twice").to_string();
    assert!(error.len() < 500, "{} bytes of message", error.len());
}
