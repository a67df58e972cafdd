//! Digests, disclosures, opening and sealing: accept and reject, rule by rule.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use crate::Hint;
use crate::hash::Hash;

use super::super::tests::{decision, incident, review, signer};
use super::super::{Draft, MAX_DEPTH, Object, Record, RecordId, Value};
use super::path::PathStep;
use super::*;
use crate::record::digest_marks::{count_digests, is_sealed};

const ID: &str = "0198a7c2-5d00-7000-8000-000000000001";

fn json(text: &str) -> Value {
    Value::parse(text).expect("test JSON")
}

fn path(text: &str) -> SealPath {
    SealPath::parse(text).expect("test path")
}

fn draft(object: &Object) -> Draft {
    Draft::from_object(object).expect("sound")
}

fn record(object: &Object) -> Record {
    draft(object).sign(&[&signer("lab.example", 1)]).expect("signed")
}

fn refusal(object: &Object) -> String {
    Draft::from_object(object).expect_err("to be refused").to_string()
}

/// A digest that nothing opens.
fn digest(seed: &str) -> String {
    Hash::digest(seed.as_bytes()).to_base64url()
}

fn without(object: &Object, name: &str) -> Object {
    let mut less = object.clone();
    less.take(name).expect("a member of it");
    less
}

/// What binds a salt to a record with the id of these tests.
fn binding(log: &str, issuer: &str) -> String {
    Hash::digest(format!("ledger-sealed/v1\n{log}\n{issuer}\n{ID}\n").as_bytes()).to_base64url()
}

/// A disclosure's text with this record's salt, of the JSON that follows the salt.
fn text_of(rest: &str) -> String {
    let own = binding("ledger.example/2026", "lab.example");
    let salt = format!("{ID}.{own}.{}", URL_SAFE_NO_PAD.encode([9; 16]));
    assert_eq!(salt.len(), 103);
    URL_SAFE_NO_PAD.encode(format!("[\"{salt}\", {rest}]"))
}

fn disclosure(rest: &str) -> Disclosure {
    Disclosure::parse(&text_of(rest)).expect("a sound disclosure")
}

/// 16 other bytes a call.
fn counter() -> impl FnMut() -> [u8; 16] {
    let mut count = 0u128;
    move || {
        count += 1;
        count.to_be_bytes()
    }
}

/// The same with members of objects sorted, because opened members come last.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(sorted_object(object)),
        Value::List(values) => Value::List(values.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

fn sorted_object(object: &Object) -> Object {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    members.into_iter().fold(Object::new(), |all, (name, value)| all.with(name, sorted(value)))
}

/// An incident with values of every sort.
fn rich() -> Object {
    incident()
        .with("system", json(r#"{"name":"m","developer":"d","version":"1"}"#))
        .with("affected", vec!["pupils", "teachers"])
        .with("xref", json(r#"[{"scheme":"CVE","id":"1"}]"#))
        .with("ext", json(r#"{"x.example":[[1,null],{"y":{"z":true}}],"":"empty"}"#))
}

#[test]
fn sealed_required_members_count_as_present_at_their_level() {
    let seal = || vec![digest("a")];
    let object = without(&incident(), "title").with("_sd", seal());
    let parsed = record(&object);
    assert_eq!(Record::parse(parsed.as_bytes()), Ok(parsed.clone()));
    assert_eq!((parsed.envelope().title(), count_digests(parsed.body())), ("", 1));
    draft(&without(&incident(), "class").with("_sd", seal()));
    draft(&incident().with("system", Object::new().with("_sd", seal())));
    draft(&incident().with("title", Object::new().with("_sd", seal())));
    draft(&incident().with("ext", Object::new().with("_sd", seal()).with("a", json("1"))));
    draft(&incident().with("series", "s").with("_sd", seal()));
    draft(&incident().with("_sd_alg", "sha-256").with("_sd", Value::List(Box::default())));
    let element = json(&format!(r#"[{{"...":"{}"}}, "deaf"]"#, digest("b")));
    draft(&incident().with("harm_types", element.clone()));
    draft(&decision().with("options", element));
    // while the stage is sealed, nobody can say that the unknown was not allowed
    let staged = without(&incident(), "stage").with("class", "unknown").with("triggers", "unknown");
    draft(&staged.with("_sd", seal()));

    let cases = [
        (without(&incident(), "class"), "`class` is missing"),
        (
            without(&incident(), "class").with("_sd", Value::List(Box::default())),
            "`class` is missing",
        ),
        (
            without(&incident(), "class").with("system", Object::new().with("_sd", seal())),
            "`class` is missing",
        ),
        (incident().with("_sd", seal()).with("system", Object::new()), "`system.name` is missing"),
        (
            incident().with("title", Object::new().with("_sd", Value::List(Box::default()))),
            "`title` holds 0 languages, not 1 to 64",
        ),
        (
            without(&incident(), "severity").with("_sd", seal()),
            "`severity` is missing; it may not be sealed",
        ),
        (
            without(&incident(), "issuer").with("_sd", seal()),
            "`issuer` is missing; it may not be sealed",
        ),
        (
            incident().with("_sd", seal()).with("series", "s").with("rev", json("-1")),
            "`rev` is -1, not within 1 to 9007199254740992",
        ),
    ];
    for (object, message) in cases {
        assert_eq!(refusal(&object), message);
    }
}

#[test]
fn digests_stand_only_where_and_as_rfc_9901_says() {
    let form = "the digest of a sealed member: 43 characters of base64url";
    let one = digest("a");
    let both = vec![one.clone(), one.clone()];
    let bytes = Hash::digest(b"a").to_base64();
    let name = "`...` is a member's name, but stands for a sealed element of a list, alone in \
                its object";
    let alg = "`_sd_alg` is not \"sha-256\", the only hash that seals members";
    let inside = |name: &str| format!("`{name}` may not be sealed, nor anything in it");
    let refs = json(&format!(r#"[{{"rel":"amends","_sd":["{one}"]}}]"#));
    let cases = [
        (incident().with("_sd", one.as_str()), "`_sd` is a text, not a list of digests".to_owned()),
        (incident().with("_sd", json("[7]")), format!("`_sd[0]` is a number, not {form}")),
        (incident().with("_sd", vec!["abc"]), format!("`_sd[0]` is \"abc\", not {form}")),
        (incident().with("_sd", vec![bytes.clone()]), format!("`_sd[0]` is {bytes:?}, not {form}")),
        (incident().with("_sd", both), "`_sd[1]` repeats a digest of the record".to_owned()),
        (
            incident()
                .with("_sd", vec![one.clone()])
                .with("affected", json(&format!(r#"["x",{{"...":"{one}"}}]"#))),
            "`affected[1]` repeats a digest of the record".to_owned(),
        ),
        (
            incident().with("ext", json(r#"{"a":[{"b":{"_sd":{}}}]}"#)),
            "`ext.a[0].b._sd` is an object, not a list of digests".to_owned(),
        ),
        (
            incident().with("affected", json(r#"[{"...":null}]"#)),
            format!("`affected[0]` is null, not {form}"),
        ),
        (incident().with("...", one.as_str()), name.to_owned()),
        (
            incident().with("affected", json(&format!(r#"[{{"...":"{one}","more":1}}]"#))),
            name.replace("`.", "`affected[0].."),
        ),
        (
            incident().with("system", json(&format!(r#"{{"...":"{one}"}}"#))),
            name.replace("`.", "`system.."),
        ),
        (incident().with("_sd_alg", "sha-512"), alg.to_owned()),
        (incident().with("_sd_alg", json("1")), alg.to_owned()),
        (
            incident().with("ext", Object::new().with("_sd_alg", "sha-256")),
            "`ext._sd_alg` stands below the top of the record".to_owned(),
        ),
        (incident().with("refs", refs), inside("refs")),
        (incident().with("signers", json(&format!(r#"[{{"...":"{one}"}}]"#))), inside("signers")),
        (
            incident().with("severity", Object::new().with("_sd", vec![one.clone()])),
            inside("severity"),
        ),
    ];
    for (object, message) in cases {
        assert_eq!(refusal(&object), message);
    }
}

#[test]
fn members_named_as_sealed_are_sealed() {
    let named =
        |object: Object, text: &str| object.with("sealed", vec![Object::new().with("path", text)]);
    let sealed = || rich().with("_sd", vec![digest("a")]);
    let element = json(&format!(r#"["x",{{"...":"{}"}}]"#, digest("b")));
    for text in ["root_cause", "root_cause.more[3]", "nobody knows", "[\"nobody knows\"]"] {
        let fits = Draft::from_object(&named(sealed(), text)).is_ok();
        assert_eq!(fits, text != "nobody knows", "{text}");
    }
    draft(&named(incident().with("affected", element.clone()), "affected[1]"));
    let whole = json(
        r#"[{"path":"root_cause","audience":"the board","reason":"It names a person.",
             "release":"2027-01-31","more":1},{"path":"actions","release":"the trial's end"}]"#,
    );
    draft(&sealed().with("sealed", whole));

    let nothing =
        |text: &str| format!("`sealed[0].path` names `{text}`, but no digest stands there");
    let open = |text: &str| format!("`sealed[0].path` names `{text}`, which stands in the open");
    let cases = [
        (named(rich(), "root_cause"), nothing("root_cause")),
        (named(sealed(), "system.digest"), nothing("system.digest")),
        (named(sealed(), "affected[2]"), nothing("affected[2]")),
        (named(sealed(), "affected.x"), nothing("affected.x")),
        (named(sealed(), "class.x"), nothing("class.x")),
        (named(sealed(), "system"), open("system")),
        (named(sealed(), "affected[1]"), open("affected[1]")),
        (named(sealed(), "ext[\"x.example\"][1].y.z"), open("ext[\"x.example\"][1].y.z")),
        (
            named(sealed(), "due"),
            "`sealed[0].path` names `due`, which may not be sealed".to_owned(),
        ),
        (
            named(sealed(), "a..b"),
            "`sealed[0].path` is \"a..b\", no path like text, system.developer, actions[1] or \
             ext[\"x.example\"]"
                .to_owned(),
        ),
        (
            sealed().with("sealed", json(r#"[{"path":"actions"},{"path":"[\"actions\"]"}]"#)),
            "`sealed[1].path` repeats a path".to_owned(),
        ),
        (sealed().with("sealed", json("[{}]")), "`sealed[0].path` is missing".to_owned()),
        (sealed().with("sealed", json("7")), "`sealed` is a number, not a list".to_owned()),
    ];
    for (object, message) in cases {
        assert_eq!(refusal(&object), message);
    }
    let many = |count: usize| {
        let paths = (0..count).map(|n| Object::new().with("path", format!("m{n}")));
        sealed().with("sealed", paths.collect::<Vec<_>>())
    };
    draft(&many(MAX_NAMED));
    let message = "`sealed` names 257 paths; at most 256 are allowed";
    assert_eq!(refusal(&many(MAX_NAMED + 1)), message);
}

#[test]
fn digests_are_those_of_rfc_9901() {
    // the examples of RFC 9901, sections 4.2.1 to 4.2.3
    let cases = [
        (
            "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0",
            "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0",
        ),
        (
            "WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIkZSIl0",
            "w0I8EKcdCtUPkGCNUrfwVp2xEgNjtoIDlOxc9-PlOhs",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Hash::digest(text.as_bytes()).to_base64url(), expected);
        // theirs are salted without a record's id
        assert_eq!(Disclosure::parse(text), Err(DisclosureError::Salt));
    }
}

#[test]
fn disclosures_are_read_or_refused_with_the_reason() {
    let member = disclosure(r#""text", {"a":[1]}"#);
    assert_eq!((member.name(), member.value()), (Some("text"), &json(r#"{"a":[1]}"#)));
    assert_eq!(member.record(), RecordId::parse(ID).expect("sound"));
    assert_eq!(member.as_str(), text_of(r#""text", {"a":[1]}"#));
    assert_eq!(disclosure("\"FR\"").name(), None);
    assert_eq!(disclosure("null").value(), &Value::Null);

    let salted = |salt: &str| URL_SAFE_NO_PAD.encode(format!("[\"{salt}\",\"n\",1]"));
    let random = URL_SAFE_NO_PAD.encode([0; 16]);
    let own = binding("ledger.example/2026", "lab.example");
    let parts = "it is not a list of salt, name and value, or of salt and value";
    let salt = "its salt is not <id>.<digest of log, issuer and id>.<128 random bits>, the last \
                two in base64url";
    let one = digest("a");
    let cases = [
        (String::new(), "its JSON is refused: EOF while parsing a value at line 1 column 0"),
        ("a b".into(), "it is not base64url without padding"),
        (format!("{}=", URL_SAFE_NO_PAD.encode("[]")), "it is not base64url without padding"),
        (URL_SAFE_NO_PAD.encode([0xff, 0xfe]), "it does not hold UTF-8"),
        (
            text_of("\"n\", 1.5"),
            "its JSON is refused: a number is a whole number within 2^53, \
          without fraction, exponent or minus zero at line 1 column 116",
        ),
        (
            text_of("\"n\", {\"a\":1,\"a\":2}"),
            "its JSON is refused: member \"a\" stands twice in one \
          object at line 1 column 123",
        ),
        (URL_SAFE_NO_PAD.encode("{}"), parts),
        (URL_SAFE_NO_PAD.encode("[]"), parts),
        (text_of("7, 7"), parts),
        (text_of("\"a\", \"b\", 1"), parts),
        (URL_SAFE_NO_PAD.encode("[7, \"a\", 1]"), parts),
        (salted(""), salt),
        (salted(ID), salt),
        (salted(&random), salt),
        (salted(&format!("{ID}.")), salt),
        (salted(&format!("{ID}.{random}")), salt),
        (salted(&format!("{ID}.{own}")), salt),
        (salted(&format!("{ID}.{own}.")), salt),
        (salted(&format!("{ID}.{}.{random}", &own[1..])), salt),
        (salted(&format!("{ID}.{own}=.{random}")), salt),
        (salted(&format!("{ID}.{random}.{own}")), salt),
        (salted(&format!("{ID}.{own}.{random}.{random}")), salt),
        (salted(&format!("{ID}.{own}.{}", &random[..21])), salt),
        (salted(&format!("{ID}.{own}.{random}A")), salt),
        (salted(&format!("{}.{own}.{random}", ID.to_uppercase())), salt),
        (text_of("\"_sd\", []"), "it names \"_sd\", which is no member"),
        (text_of("\"...\", 1"), "it names \"...\", which is no member"),
        (text_of("\"_sd_alg\", 1"), "it names \"_sd_alg\", which is no member"),
        (
            text_of(r#""n", {"a":{"_sd":"x"}}"#),
            "its value is refused: `a._sd` is a text, not a list of digests",
        ),
        (
            text_of(&format!(r#""n", {{"...":"{one}"}}"#)),
            "its value is refused: `...` is a member's name, but stands for a sealed element \
             of a list, alone in its object",
        ),
        (
            text_of(&format!(r#""n", {{"_sd":["{one}","{one}"]}}"#)),
            "its value is refused: `_sd[1]` repeats a digest of the record",
        ),
        (
            text_of(r#""n", {"_sd_alg":"sha-256"}"#),
            "its value is refused: `_sd_alg` stands below the top of the record",
        ),
    ];
    for (text, message) in cases {
        let error = Disclosure::parse(&text).expect_err(message);
        assert_eq!(error.to_string(), message, "{text}");
    }
    let long = "A".repeat(MAX_DISCLOSURE_BYTES + 1);
    assert_eq!(Disclosure::parse(&long), Err(DisclosureError::TooLong(MAX_DISCLOSURE_BYTES + 1)));
}

#[test]
fn every_rule_of_opening_refuses_by_name() {
    let sealed = |object: Object, parts: &[&Disclosure]| {
        let digests: Vec<String> = parts.iter().map(|d| d.digest().to_base64url()).collect();
        record(&object.with("_sd", digests))
    };
    let refuses = |record: &Record, given: &[&Disclosure], message: &str| {
        let given: Vec<Disclosure> = given.iter().map(|d| (*d).clone()).collect();
        let error = open(record, &given).expect_err(message);
        assert_eq!(error.to_string(), message);
        assert!(!error.hint().is_empty());
    };
    let cause = disclosure(r#""root_cause", "haste""#);
    let element = disclosure("\"x\"");
    let stranger = disclosure(r#""root_cause", "malice""#);
    let opened = open(&sealed(incident(), &[&cause]), std::slice::from_ref(&cause)).expect("opens");
    assert_eq!(opened.object().text("root_cause"), Some("haste"));
    assert_eq!((opened.paths(), opened.closed()), ([path("root_cause")].as_slice(), 0));

    refuses(
        &sealed(incident(), &[&cause]),
        &[&cause, &stranger],
        "disclosure 2 opens nothing: its digest does not stand in the record",
    );
    refuses(&sealed(incident(), &[&cause]), &[&cause, &cause], "disclosure 2 was given before");
    refuses(
        &sealed(incident(), &[&element]),
        &[&element],
        "disclosure 1 does not fit its place in the record's own members",
    );
    let list = json(&format!(r#"[{{"...":"{}"}}]"#, cause.digest().to_base64url()));
    refuses(
        &record(&incident().with("affected", list)),
        &[&cause],
        "disclosure 1 does not fit its place in `affected`",
    );
    let taken = "disclosure 1 claims `root_cause`, which stands there already";
    refuses(&sealed(incident().with("root_cause", "fate"), &[&cause]), &[&cause], taken);
    // two sealed members of one name cannot both be opened, whichever is true
    let twice = sealed(incident(), &[&stranger, &cause]);
    refuses(&twice, &[&cause, &stranger], taken);
    let signers = disclosure(r#""signers", ["lab.example"]"#);
    refuses(
        &sealed(incident(), &[&signers]),
        &[&signers],
        "disclosure 1 claims `signers`, which may not be sealed",
    );
    let inside = digest("inside");
    let holder = disclosure(&format!(r#""ext", {{"_sd":["{inside}"]}}"#));
    let twice = incident().with("system", json(&format!(r#"{{"name":"m","_sd":["{inside}"]}}"#)));
    refuses(
        &sealed(twice, &[&holder]),
        &[&holder],
        "a digest in `ext` stands elsewhere too; one digest seals one member",
    );
    let bad = disclosure(r#""class", 7"#);
    refuses(
        &sealed(without(&incident(), "class"), &[&bad]),
        &[&bad],
        "with its members opened, the record is refused: `class` is a number, not a text",
    );
    // what was allowed while the stage was sealed is refused once it is open
    let stage = disclosure(r#""stage", "final""#);
    refuses(
        &sealed(
            without(&incident(), "stage").with("class", "unknown").with("triggers", "unknown"),
            &[&stage],
        ),
        &[&stage],
        "with its members opened, the record is refused: `triggers` is a text, not a list",
    );
}

#[test]
fn a_digest_copied_into_another_record_opens_nothing_there() {
    let sealed = seal(&draft(&rich()), &SealPlan::new([path("affected")]), counter());
    let sealed = sealed.expect("seals");
    let other = "0198a7c2-5d00-7000-8000-000000000002";
    let copy = sealed.draft().body().clone().with("id", other).with("issuer", "thief.example");
    let error = open(&record(&copy), sealed.disclosures()).expect_err("another record");
    let expected = format!(
        "disclosure 1 belongs to another record: its salt names the id {ID}, its log and its issuer"
    );
    assert_eq!(error.to_string(), expected);
}

/// What the author sealed, and a copy of its draft with another member, signed by a thief.
fn copied(name: &str, value: &str) -> (Sealed, Record) {
    let plan = SealPlan::new(["affected", "system", "system.developer"].map(path));
    let sealed = seal(&draft(&rich()), &plan, counter()).expect("seals");
    let own = record(sealed.draft().body());
    assert_eq!(open(&own, sealed.disclosures()).map(|opened| opened.paths().len()), Ok(3));
    let copy = record(&sealed.draft().body().clone().with(name, value));
    assert_eq!(copy.envelope().id(), own.envelope().id());
    (sealed, copy)
}

/// Nothing that the author handed out opens anything of the copy, alone or together.
fn opens_nothing(sealed: &Sealed, copy: &Record) {
    let every = sealed.disclosures();
    for given in every.iter().map(std::slice::from_ref).chain([every]) {
        let error = open(copy, given).expect_err("another record");
        assert!(matches!(error, OpenError::OtherRecord { number: 1, .. }), "{error}");
    }
    assert_eq!(every.len(), 3);
}

#[test]
fn a_digest_copied_by_another_issuer_opens_nothing() {
    let (sealed, copy) = copied("issuer", "thief.example");
    opens_nothing(&sealed, &copy);
    // the thief seals a member around a digest of the author's
    let inner = &sealed.disclosures()[0];
    assert_eq!(inner.name(), Some("developer"));
    let holder = json(&format!(r#"{{"name":"m","_sd":["{}"]}}"#, inner.digest().to_base64url()));
    let own = rich().with("issuer", "thief.example").with("system", holder);
    let own = seal(&draft(&own), &SealPlan::new([path("system")]), counter()).expect("seals");
    let outer = &own.disclosures()[0];
    let thief = record(own.draft().body());
    assert!(open(&thief, std::slice::from_ref(outer)).is_ok());
    let error = open(&thief, &[outer.clone(), inner.clone()]).expect_err("not the thief's");
    assert!(matches!(error, OpenError::OtherRecord { number: 2, .. }), "{error}");
}

#[test]
fn a_digest_copied_into_another_log_opens_nothing() {
    let (sealed, copy) = copied("log", "elsewhere.example/2026");
    opens_nothing(&sealed, &copy);
}

#[test]
fn a_salt_of_the_previous_form_is_refused() {
    let salt = format!("{ID}.{}", URL_SAFE_NO_PAD.encode([9; 16]));
    for rest in [r#""root_cause","haste""#, "null"] {
        let text = URL_SAFE_NO_PAD.encode(format!("[\"{salt}\",{rest}]"));
        assert_eq!(Disclosure::parse(&text), Err(DisclosureError::Salt));
    }
}

#[test]
fn opened_members_never_nest_deeper_than_records() {
    let nest = |levels: usize| {
        let mut chain = vec![disclosure("\"the core\"")];
        for _ in 1..levels {
            let digest = chain[chain.len() - 1].digest().to_base64url();
            chain.push(disclosure(&format!(r#"[{{"...":"{digest}"}}]"#)));
        }
        let outer = chain[chain.len() - 1].digest().to_base64url();
        let ext = json(&format!(r#"{{"a":[{{"...":"{outer}"}}]}}"#));
        (record(&incident().with("ext", ext)), chain)
    };
    let (fits, chain) = nest(MAX_DEPTH - 2);
    assert_eq!(open(&fits, &chain).map(|opened| opened.paths().len()), Ok(MAX_DEPTH - 2));
    let (deep, chain) = nest(MAX_DEPTH - 1);
    assert_eq!(open(&deep, &chain), Err(OpenError::TooDeep));
    let (deep, chain) = nest(5_000);
    assert_eq!(open(&deep, &chain), Err(OpenError::TooDeep));
}

#[test]
fn sealing_replaces_members_by_sorted_digests_and_says_so() {
    let plan = SealPlan::new(["system", "system.developer", "affected[1]", "root_cause"].map(path));
    let plan =
        plan.audience("the board").reason("It names people.").release("2027-01-31").decoys(3);
    let object = rich().with("root_cause", "a \u{e9} \"b\"\n");
    let sealed = seal(&draft(&object), &plan, counter()).expect("seals");
    let body = sealed.draft().body();
    assert!(body.get("system").is_none() && body.get("root_cause").is_none());
    assert_eq!(body.list("affected")[0].as_text(), Some("pupils"));
    assert!(is_sealed(&body.list("affected")[1]));
    let digests: Vec<_> = body.list("_sd").iter().filter_map(Value::as_text).collect();
    assert_eq!(digests.len(), 2 + 3);
    assert!(digests.is_sorted());
    assert_eq!(count_digests(body), 6);
    let note = r#"{"path":"system.developer","audience":"the board","reason":"It names people.",
                   "release":"2027-01-31"}"#;
    assert_eq!(body.list("sealed")[1], json(note));
    // everybody, then somebody who was told only some of it
    let signed = record(body);
    let all = open(&signed, sealed.disclosures()).expect("opens");
    assert_eq!(sorted_object(&without(all.object(), "sealed")), sorted_object(&object));
    let shown: Vec<String> = all.paths().iter().map(SealPath::to_string).collect();
    assert_eq!(all.closed(), 3 + 3);
    assert!(
        shown.iter().position(|p| p == "system")
            < shown.iter().position(|p| p == "system.developer")
    );
    let outer: Vec<Disclosure> =
        sealed.disclosures().iter().filter(|d| d.name() == Some("system")).cloned().collect();
    let some = open(&signed, &outer).expect("opens");
    let system = json(r#"{"name":"m","version":"1"}"#);
    assert_eq!(some.object().get("system").map(sorted), Some(sorted(&system)));
    assert_eq!(some.object().list("affected").len(), 1);
    assert!(some.object().get("_sd").is_none());
    let none = open(&signed, &[]).expect("nothing to refuse");
    assert_eq!((none.paths().len(), none.closed()), (0, 6));
    // once more, for another audience
    let more = SealPlan::new([path("title.fr")]).audience("members");
    let again = seal(sealed.draft(), &more, counter()).expect("seals");
    assert_eq!(again.draft().body().list("sealed").len(), 5);
    assert_eq!(count_digests(again.draft().body()), 7);
}

#[test]
fn what_cannot_be_sealed_is_named() {
    let plan = |text: &str| SealPlan::new([path(text)]);
    let refuses = |plan: &SealPlan, message: &str| {
        let sealed = draft(&rich().with("_sd", vec![digest("a")]));
        let error = seal(&sealed, plan, counter()).expect_err(message);
        assert_eq!(error.to_string(), message);
        assert!(!error.hint().is_empty());
    };
    let never = |text: &str| format!("`{text}` may not be sealed: rules and readers depend on it");
    for text in ["severity", "issuer", "refs[0].statement", "sealed", "due"] {
        refuses(&plan(text), &never(text));
    }
    refuses(&SealPlan::new([]), "no member to seal was named");
    refuses(&plan("system.digest"), "there is no `system.digest` in the draft");
    refuses(&plan("affected[7]"), "there is no `affected[7]` in the draft");
    refuses(&plan("actions"), "there is no `actions` in the open: is it sealed already?");
    refuses(&SealPlan::new([path("system"), path("[\"system\"]")]), "`system` was named twice");
    refuses(
        &plan("system").decoys(MAX_DECOYS + 1),
        "65 decoys were asked for; at most 64 are allowed beside one member",
    );
    refuses(
        &plan("system").reason(" "),
        "sealed so, the draft is refused: `sealed[0].reason` is \" \", not a text with something in \
         it",
    );
}

#[test]
fn one_flipped_bit_never_opens() {
    let plan = SealPlan::new([path("public_summary"), path("public_summary.en")]);
    let sealed = seal(&draft(&review()), &plan, counter()).expect("seals");
    let signed = record(sealed.draft().body());
    assert!(open(&signed, sealed.disclosures()).is_ok());
    for (at, disclosure) in sealed.disclosures().iter().enumerate() {
        for bit in 0..disclosure.as_str().len() * 8 {
            let mut bytes = disclosure.as_str().as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let Ok(flipped) = Disclosure::parse(&text) else { continue };
            let mut given = sealed.disclosures().to_vec();
            given[at] = flipped;
            assert!(open(&signed, &given).is_err(), "disclosure {at}, bit {bit}");
        }
    }
}

/// The paths of everything in an object that may be sealed.
fn all_paths(body: &Object) -> Vec<SealPath> {
    fn visit(value: &Value, steps: &mut Vec<PathStep>, found: &mut Vec<SealPath>) {
        if !steps.is_empty() {
            found.push(SealPath::of_steps(steps));
        }
        let inner: Vec<(PathStep, &Value)> = match value {
            Value::Object(object) => {
                object.iter().map(|(name, v)| (PathStep::Name(name.to_owned()), v)).collect()
            }
            Value::List(values) => {
                values.iter().enumerate().map(|(at, v)| (PathStep::At(at), v)).collect()
            }
            _ => Vec::new(),
        };
        for (step, value) in inner {
            steps.push(step);
            visit(value, steps, found);
            steps.pop();
        }
    }
    let mut found = Vec::new();
    visit(&Value::Object(body.clone()), &mut Vec::new(), &mut found);
    found.retain(|path| !is_never_sealed(body, path.top()));
    found
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-9i64..9).prop_map(Value::Integer),
        "[ -~\u{e9}\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3)
                .prop_map(|values| Value::List(values.into())),
            proptest::collection::btree_map("[a-c. \"\\[]{0,2}", inner, 0..3).prop_map(|members| {
                let object = members
                    .into_iter()
                    .fold(Object::new(), |object, (name, value)| object.with(&name, value));
                Value::Object(object)
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_sealed_opens_to_the_draft(
        ext in values(),
        chosen in proptest::collection::vec(any::<prop::sample::Index>(), 1..8),
        told in any::<u8>(),
        decoys in 0usize..3,
    ) {
        let object = rich().with("ext", Object::new().with("any", ext));
        let paths = all_paths(&object);
        let mut chosen: Vec<SealPath> =
            chosen.iter().map(|index| index.get(&paths).clone()).collect();
        chosen.sort();
        chosen.dedup();
        let plan = SealPlan::new(chosen.clone()).decoys(decoys);
        let sealed = seal(&draft(&object), &plan, counter()).expect("all of them can be sealed");
        prop_assert_eq!(sealed.disclosures().len(), chosen.len());
        let signed = record(sealed.draft().body());
        let opened = open(&signed, sealed.disclosures()).expect("opens");
        let whole = without(opened.object(), "sealed");
        prop_assert_eq!(sorted_object(&whole), sorted_object(&object));
        let mut paths = opened.paths().to_vec();
        paths.sort();
        prop_assert_eq!(paths, chosen);
        // whoever is told less either lacks an outer member, or reads less
        let some: Vec<Disclosure> = sealed
            .disclosures()
            .iter()
            .enumerate()
            .filter(|(at, _)| told >> at & 1 == 1)
            .map(|(_, disclosure)| disclosure.clone())
            .collect();
        match open(&signed, &some) {
            Ok(opened) => prop_assert_eq!(opened.paths().len(), some.len()),
            Err(error) => prop_assert!(matches!(error, OpenError::Unreferenced(_)), "{}", error),
        }
        for disclosure in sealed.disclosures() {
            prop_assert_eq!(&Disclosure::parse(disclosure.as_str()), &Ok(disclosure.clone()));
        }
    }

    #[test]
    fn damaged_disclosures_and_paths_are_judged_without_panic(
        at in any::<prop::sample::Index>(),
        new in "\\PC{0,4}",
        inner in "[\\[\\]{}\",:a0_sd.]{0,40}",
        text in "[a\\[\\]\".0-9_sd]{0,20}",
    ) {
        let whole = text_of(r#""text", {"_sd":[]}"#);
        let at = at.index(whole.len());
        let _ = Disclosure::parse(&format!("{}{new}{}", &whole[..at], &whole[at..]));
        let _ = Disclosure::parse(&whole[..at]);
        if let Ok(disclosure) = Disclosure::parse(&text_of(&inner)) {
            let digest = disclosure.digest().to_base64url();
            for object in [incident().with("_sd", vec![digest.clone()]),
                incident().with("ext", json(&format!(r#"{{"a":[{{"...":"{digest}"}}]}}"#)))]
            {
                let _ = open(&record(&object), std::slice::from_ref(&disclosure));
            }
        }
        if let Ok(path) = SealPath::parse(&text) {
            prop_assert_eq!(SealPath::parse(&path.to_string()), Ok(path.clone()));
            let _ = seal(&draft(&rich()), &SealPlan::new([path]), counter());
            let _ = Draft::from_object(&rich().with("_sd", vec![digest("a")]).with("sealed",
                vec![Object::new().with("path", text)]));
        }
        let digests = json(&format!("[{}]", serde_json::to_string(&new).expect("prints")));
        let _ = Draft::from_object(&rich().with("_sd", digests.clone()));
        let _ = Draft::from_object(&rich().with("title", Object::new().with("_sd", digests)));
    }
}
