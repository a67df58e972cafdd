//! The twelve founders and the charter that they sign.

use ledger_core::record::{Draft, Object, Record, RecordId, Value, format_time};

use super::ring::Ring;
use super::rules::{deadlines, policy, requirement, requires};
use super::{DAY, START};
use crate::consortium::ORIGIN;

/// The founders and their roles; every one of them is a delegate too.
pub(super) const FOUNDERS: [(&str, &[&str]); 12] = [
    ("harbour.test", &["operator", "steward"]),
    ("north.test", &["publisher", "steward"]),
    ("south.test", &["publisher", "steward"]),
    ("east.test", &["publisher"]),
    ("west.test", &["publisher"]),
    ("delta.test", &["publisher"]),
    ("board.test", &["reviewer", "steward"]),
    ("panel.test", &["reviewer"]),
    ("court.test", &["reviewer", "steward"]),
    ("watch.test", &["reviewer"]),
    ("union.test", &["operator"]),
    ("school.test", &["publisher", "reviewer"]),
];

/// The day on which a founder's role ends, where it has a term.
fn end_of_term(name: &str, role: &str) -> Option<u64> {
    match (name, role) {
        ("board.test" | "court.test", "steward") => Some(185),
        ("harbour.test", "steward") => Some(208),
        ("school.test", "reviewer") => Some(150),
        _ => None,
    }
}

/// The day on which a founder's key ends.
fn end_of_key(name: &str) -> Option<u64> {
    (name == "school.test").then_some(262)
}

/// The charter, signed by all.
pub(super) fn charter(ring: &Ring) -> Record {
    let english = |text: &str| Object::new().with("en", text);
    let log = ring.log(1).verifier().to_string();
    let mut rules = Object::new()
        .with("decision", vec![requirement("publisher", 3), requirement("reviewer", 1)]);
    for (kind, role) in [
        ("incident", "publisher"),
        ("review", "reviewer"),
        ("risk", "publisher"),
        ("preregistration", "publisher"),
        ("remediation", "publisher"),
        ("concern", "delegate"),
        ("dispute", "delegate"),
        ("response", "delegate"),
        ("milestone", "delegate"),
        ("drill", "operator"),
        ("disclosure", "publisher"),
    ] {
        rules.set(kind, vec![requirement(role, 1)]);
    }
    let object = Object::new()
        .with("log", ORIGIN)
        .with("kind", "charter")
        .with("id", RecordId::from_parts(START * 1000, [0; 10]).to_string())
        .with("issuer", "harbour.test")
        .with("issued_at", format_time(START))
        .with("title", english("Charter of the twelve"))
        .with("summary", english("Twelve members found a ledger."))
        .with("consortium", "The twelve")
        .with("log_vkeys", vec![log.clone()])
        .with("members", FOUNDERS.map(|(name, roles)| member(ring, name, roles)).to_vec())
        .with("rules", rules)
        .with("governance", requires(&[("steward", 3)]))
        .with("deadlines", deadlines("P28D", "P7D"))
        .with("limits", Object::new().with("issued_at", "P30D").with("max_gap", "PT1H"))
        .with("binding", Object::new().with("retracts", vec!["steward"]))
        .with("policy", policy(&[&log]));
    let keys = FOUNDERS.map(|(name, _)| ring.key(name));
    let draft = Draft::from_object(&object).unwrap_or_else(|error| panic!("{error}"));
    draft.sign(&keys.each_ref()).expect("twelve keys")
}

fn member(ring: &Ring, name: &str, roles: &[&str]) -> Object {
    let day = |day: u64| format_time(START + day * DAY);
    let mut own = vec![Object::new().with("role", "delegate")];
    for role in roles {
        let until = end_of_term(name, role);
        let held = Object::new().with("role", *role);
        own.push(until.map_or(held.clone(), |end| held.with("until", day(end))));
    }
    let key = Object::new().with("vkey", ring.key(name).verifier().to_string());
    let mut keys = vec![key.with("use", "record")];
    if let Some(end) = end_of_key(name) {
        keys[0].set("until", day(end));
    }
    if name == "harbour.test" {
        let node = ring.key("harbour.test/node").verifier().to_string();
        keys.push(Object::new().with("vkey", node).with("use", "node"));
    }
    let keys: Vec<Value> = keys.into_iter().map(Value::from).collect();
    Object::new().with("name", name).with("roles", own).with("keys", keys)
}
