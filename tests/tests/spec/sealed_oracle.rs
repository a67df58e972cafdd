//! Sealed members against another implementation of RFC 9901: PyPI's `sd-jwt`.
//!
//! `tests/vectors/v1/sealed` holds what it sealed and how it opens what we sealed; `make.py` there
//! writes both again. `LEDGER_WRITE_VECTORS=<folder> cargo test -p ledger-tests sealed_oracle`
//! writes our half, `sealed/ours.json`.

use std::path::PathBuf;

use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::{
    Disclosure, DisclosureError, Draft, OpenError, Opened, Record, RecordError, SealPath, SealPlan,
    Sealed, count_digests, open, seal,
};
use ledger_tests::{key, workspace};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    workspace().join("tests/vectors/v1")
}

fn read(name: &str) -> Value {
    let path = folder().join("sealed").join(name);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}

fn signer() -> SignerKey {
    key("lab.example", Algorithm::Ed25519, 11)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn name(case: &Value) -> &str {
    case["name"].as_str().expect("a name")
}

fn record(case: &Value) -> Result<Record, RecordError> {
    Draft::parse(&case["payload"].to_string())?.sign(&[&signer()])
}

fn disclosures(case: &Value) -> Vec<Disclosure> {
    let texts = list(&case["disclosures"]).iter().map(|text| text.as_str().expect("a text"));
    texts.map(|text| Disclosure::parse(text).expect("a sound disclosure")).collect()
}

fn object(opened: &Opened) -> Value {
    serde_json::from_str(&opened.object().to_pretty_json()).expect("own JSON")
}

#[test]
fn what_sd_jwt_sealed_opens_as_it_says() {
    let theirs = read("theirs.json");
    for case in list(&theirs["cases"]) {
        let (record, disclosures) = (record(case).expect("a sound record"), disclosures(case));
        let digests: Vec<String> = disclosures.iter().map(|d| d.digest().to_base64url()).collect();
        assert_eq!(json!(digests), case["digests"], "{}", name(case));
        let opened = open(&record, &disclosures).expect("opens");
        assert_eq!(object(&opened), case["opened"], "{}", name(case));
        assert_eq!(opened.paths().len(), disclosures.len());
        assert_eq!(json!(opened.closed()), case["decoys"], "{}", name(case));
        let closed = open(&record, &[]).expect("nothing to refuse");
        assert_eq!(object(&closed), case["closed"], "{}", name(case));
        assert_eq!(closed.closed(), count_digests(record.body()));
    }
    assert_eq!(list(&theirs["cases"]).len(), 3);
}

#[test]
fn what_sd_jwt_refuses_is_refused() {
    let theirs = read("theirs.json");
    let expected = ["claims `panel`", "repeats a digest", "was given before", "not \"sha-256\""];
    assert_eq!(list(&theirs["refused"]).len(), expected.len());
    for (case, expected) in list(&theirs["refused"]).iter().zip(expected) {
        let why = match record(case) {
            Err(error) => error.to_string(),
            Ok(record) => open(&record, &disclosures(case)).expect_err(expected).to_string(),
        };
        assert!(why.contains(expected), "{}: {why}", case["why"]);
    }
}

/// Members of the old records, sealed with fixed salts.
fn ours() -> Vec<(&'static str, Sealed)> {
    let cases: [(&str, &[&str], usize); 3] = [
        ("decision", &["rationale", "options[1]", "votes[0]", "votes[0].who", "title.de"], 0),
        (
            "incident",
            &["system", "system.version", "ext[\"vectors.example\"][3]", "a_member_of_the_future"],
            2,
        ),
        ("review", &["findings", "findings[0]", "findings[0].basis", "conditions[0].text"], 1),
    ];
    cases.map(|(name, paths, decoys)| (name, sealed(name, paths, decoys))).into()
}

fn sealed(name: &str, paths: &[&str], decoys: usize) -> Sealed {
    let bytes = std::fs::read(folder().join(format!("{name}.record"))).expect("an old record");
    let record = Record::parse(&bytes).expect("an old record");
    let draft = Draft::from_object(record.body()).expect("its own object");
    let paths = paths.iter().map(|path| SealPath::parse(path).expect("a path"));
    let plan = SealPlan::new(paths).audience("the board").decoys(decoys);
    let mut count = 0u128;
    let salts = || {
        count += 1;
        (count << 64 | 0xfedc_ba98).to_le_bytes()
    };
    seal(&draft, &plan, salts).expect("seals")
}

fn our_case((name, sealed): &(&'static str, Sealed)) -> Value {
    let payload: Value = serde_json::from_str(sealed.draft().json()).expect("own JSON");
    let disclosures: Vec<&str> = sealed.disclosures().iter().map(Disclosure::as_str).collect();
    json!({ "name": name, "payload": payload, "disclosures": disclosures })
}

#[test]
fn what_we_seal_is_sealed_so_for_ever() {
    let made = Value::Array(ours().iter().map(our_case).collect());
    if let Some(folder) = std::env::var_os("LEDGER_WRITE_VECTORS") {
        let folder = PathBuf::from(folder).join("sealed");
        std::fs::create_dir_all(&folder).expect("a writable folder");
        std::fs::write(folder.join("ours.json"), format!("{made:#}\n")).expect("written");
        return;
    }
    assert_eq!(made, read("ours.json"));
}

#[test]
fn a_disclosure_of_the_previous_form_opens_nothing() {
    let path = folder().join("sealed/previous-salt.disclosure");
    let text = std::fs::read_to_string(path).expect("an old disclosure");
    // its salt named the record's id alone, which a thief can copy
    assert_eq!(Disclosure::parse(text.trim_end()), Err(DisclosureError::Salt));
}

/// Opens with what fits: sd-jwt passes over disclosures that nothing references.
fn open_leniently(record: &Record, mut disclosures: Vec<Disclosure>) -> Opened {
    loop {
        match open(record, &disclosures) {
            Err(OpenError::Unreferenced(number)) => drop(disclosures.remove(number - 1)),
            opened => return opened.expect("opens"),
        }
    }
}

#[test]
fn sd_jwt_opens_what_we_seal_as_we_do() {
    let opened = read("ours-opened.json");
    assert_eq!(list(&opened).len(), ours().len());
    for (case, theirs) in ours().iter().map(our_case).zip(list(&opened)) {
        assert_eq!(case["name"], theirs["name"]);
        let (record, all) = (record(&case).expect("a sound record"), disclosures(&case));
        let whole = open(&record, &all).expect("opens");
        assert_eq!(object(&whole), theirs["opened"], "{}", name(&case));
        let closed = open(&record, &[]).expect("nothing to refuse");
        assert_eq!(object(&closed), theirs["closed"], "{}", name(&case));
        let fewer = list(&theirs["without_each"]);
        assert_eq!(fewer.len(), all.len());
        for (at, expected) in fewer.iter().enumerate() {
            let mut some = all.clone();
            some.remove(at);
            let opened = open_leniently(&record, some);
            assert_eq!(&object(&opened), expected, "{} without {at}", name(&case));
        }
    }
}
