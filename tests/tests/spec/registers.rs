//! Registers of random histories, against the model that is written from the documentation.

use std::sync::Arc;

use ledger_core::charter::Charter;
use ledger_core::record::{Draft, Entry, Kind, Logged, Object, StatementId, Value, format_time};
use ledger_core::register::{
    Chains, Chronicle, Fact, decisions, duties, incidents, members, reviews, risks,
};
use ledger_core::{Hash, LeafIndex};
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::long::rounds;
use ledger_tests::random::Random;
use ledger_tests::registers_model::{Model, Told, shown};

const START: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
const ROUNDS: u64 = 300;

/// Deadlines beside the defaults: lists, numbers, values too long, clocks that never start, equal
/// ones, and one that takes the place of a built-in rule for some records only.
const OTHER_DEADLINES: &str = r#"{"deadlines": [
  {"name": "physical harm", "clock": "incident.aware_at", "when": {"harm_types": ["physical"]},
   "within": "P3D", "satisfied_by": {"kind": ["incident"]}},
  {"name": "second step", "clock": "dispute.logged", "when": {"level": ["2", "3"]},
   "within": "P5D", "satisfied_by": {"kind": ["dispute", "response"], "position": ["answer"]}},
  {"name": "anything", "clock": "risk.next_review", "when": {}, "within": "PT1H",
   "satisfied_by": {}},
  {"name": "no clock", "clock": "logged", "when": {}, "within": "P1D", "satisfied_by": {}},
  {"name": "no kind", "clock": "thing.logged", "when": {}, "within": "P1D", "satisfied_by": {}},
  {"name": "no time", "clock": "incident.severity", "when": {}, "within": "P1D",
   "satisfied_by": {}},
  {"name": "by id", "clock": "concern.logged", "when": {"id": ["x"]}, "within": "P1D",
   "satisfied_by": {}},
  {"name": "twice", "clock": "concern.logged", "when": {}, "within": "P4D",
   "satisfied_by": {"kind": ["response"]}},
  {"name": "twice", "clock": "concern.logged", "when": {}, "within": "P4D",
   "satisfied_by": {"kind": ["response"]}},
  {"name": "approval conditions", "clock": "review.conditions.due",
   "when": {"outcome": ["approve_with_conditions"]}, "within": "P2D",
   "satisfied_by": {"kind": ["remediation", "review"]}},
  {"name": "interim report while unresolved", "clock": "incident.logged",
   "when": {"stage": ["initial", "interim"]}, "within": "P10D",
   "satisfied_by": {"kind": ["incident"], "stage": ["interim", "final"]}},
  {"name": "board's promises", "clock": "decision.due.by", "when": {"status": ["accepted"]},
   "within": "P1D", "satisfied_by": {"kind": ["milestone"]}}
]}"#;

#[test]
fn registers_equal_the_slow_model_on_random_histories() {
    let mut random = Random::from_environment();
    let charters = charters();
    let mut seen = String::new();
    for round in 0..rounds(ROUNDS) {
        let entries = history(&mut random, &charters);
        let last = entries.last().map_or(START, |entry| entry.logged);
        let now = last + random.below(60) * DAY;
        let mut chronicle = Chronicle::new();
        for entry in &entries {
            chronicle.add(&fact(entry), &entry.charter);
        }
        let chains = Chains::of(&chronicle);
        let model = Model::new(entries);
        let pairs = [
            ("incidents", shown::incidents(&incidents(&chains)), model.incidents()),
            ("risks", shown::risks(&risks(&chains)), model.risks()),
            ("decisions", shown::decisions(&decisions(&chains)), model.decisions()),
            ("reviews", shown::reviews(&reviews(&chains)), model.reviews()),
            ("duties", shown::duties(&duties(&chains, now)), model.duties(now)),
        ];
        for (register, rows, expected) in pairs {
            for (row, expected) in rows.iter().zip(&expected) {
                assert_eq!(row, expected, "{register} of round {round}");
            }
            assert_eq!(rows.len(), expected.len(), "{register} of round {round}");
            seen.extend(rows.iter().map(|row| format!("{row}\n")));
        }
    }
    // the histories are worth something only if everything happens in them
    for word in [
        "open remediations[\"",
        "closed",
        "duplicate of",
        "retracted true",
        "claims[\"supersedes",
        "claims[\"resolves",
        "unknown",
        "sealed",
        " met by",
        " late ",
        " overdue ",
        " upcoming ",
        "promise kept",
        "review condition met",
        "approval conditions",
        "remediation done",
        "second step",
        "physical harm",
        "anything",
        "twice",
        "board's promises",
        "final report",
        "interim report while unresolved",
        "step of a dispute",
        "concern acknowledged",
        "mitigations[\"",
        "appeals[\"",
        "Some(",
    ] {
        assert!(seen.contains(word), "no row with {word:?}");
    }
    for word in ["no clock", "no kind", "no time", "by id"] {
        assert!(!seen.contains(word), "a row with {word:?}");
    }
}

#[test]
fn members_are_those_of_the_charter() {
    let charter = &charters()[0];
    let rows = members(charter, START);
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["lab.test", "institute.test", "board.test"]);
    for (row, roles) in rows.iter().zip([
        ["publisher", "steward"],
        ["publisher", "steward"],
        ["reviewer", "steward"],
    ]) {
        let own: Vec<&str> = row.roles.iter().map(|role| role.role.as_str()).collect();
        assert_eq!(own, roles);
        assert!(row.roles.iter().all(|role| role.in_force));
        assert_eq!(row.keys.len(), 1);
        assert!(row.keys[0].vkey.starts_with(&format!("{}+", row.name)) && row.keys[0].in_force);
    }
}

fn fact(entry: &Told) -> Fact<'_> {
    let text = |name| entry.body.text(name);
    Fact {
        index: LeafIndex::new(entry.index).expect("small"),
        logged: entry.logged,
        statement: entry.statement,
        kind: Kind::parse(text("kind").expect("given")).expect("a kind"),
        issuer: text("issuer").expect("given"),
        title: "a title",
        series: text("series"),
        body: &entry.body,
    }
}

/// The defaults, other deadlines, and the defaults again in a charter of its own.
fn charters() -> Vec<Arc<Charter>> {
    let consortium = Consortium::at(START);
    let other = Object::parse(OTHER_DEADLINES).expect("JSON");
    let own = consortium.charter().body().clone();
    let mut charters = Vec::new();
    for body in [own.clone(), own.clone().with("deadlines", other.list("deadlines").to_vec()), own]
    {
        let draft = Draft::from_object(&body).expect("sound");
        let keys = [&consortium.lab, &consortium.institute, &consortium.board];
        let record = draft.sign(&keys).expect("signed");
        let logged = Logged { time: START, governance: LeafIndex::ZERO };
        let charter = Charter::found(&Entry::new(logged, record)).expect("founded");
        charters.push(Arc::new(charter));
    }
    charters
}

/// A log of records that do all that records may do to each other.
fn history(random: &mut Random, charters: &[Arc<Charter>]) -> Vec<Told> {
    let length = 2 + random.below(60);
    let issuers = 1 + random.below(3);
    let ids: Vec<StatementId> = (0..length)
        .map(|_| StatementId::from_hash(Hash::digest(&random.word().to_be_bytes())))
        .collect();
    let mut charter = 0;
    let mut time = START;
    let mut entries = Vec::new();
    for (at, statement) in ids.iter().enumerate() {
        time += random.below(6) * DAY + random.below(2);
        if random.one_in(12) {
            charter = random.below(charters.len() as u64) as usize;
        }
        entries.push(Told {
            index: at as u64 * 2,
            logged: time,
            statement: *statement,
            body: body(random, time, at, &ids, issuers),
            charter: Arc::clone(&charters[charter]),
        });
    }
    entries
}

const KINDS: [&str; 9] = [
    "incident",
    "risk",
    "decision",
    "review",
    "remediation",
    "concern",
    "dispute",
    "response",
    "milestone",
];

const RELATIONS: [&str; 15] = [
    "amends",
    "supersedes",
    "retracts",
    "reports-on",
    "resolves",
    "duplicates",
    "remediates",
    "reviews",
    "mitigates",
    "appeals",
    "realises",
    "implements",
    "escalates",
    "derived-from",
    "own",
];

fn body(random: &mut Random, now: u64, at: usize, ids: &[StatementId], issuers: u64) -> Object {
    let kind = one_of(random, &KINDS);
    let mut body = Object::new()
        .with("kind", kind)
        .with("id", "x")
        .with("issuer", format!("member{}.test", random.below(issuers)));
    if random.one_in(3) {
        body.set("series", one_of(random, &["a", "b"]));
    }
    let mut refs = Vec::new();
    while !random.one_in(3) {
        let relation = match (kind, random.below(3)) {
            ("remediation", 0) => "remediates",
            ("review", 0) => "reviews",
            ("incident", 0) => "reports-on",
            _ => one_of(random, &RELATIONS),
        };
        let mut reference =
            Object::new().with("rel", relation).with("statement", any_id(random, at, ids));
        if random.one_in(5) {
            reference.set("origin", one_of(random, &[ORIGIN, "elsewhere.test/log"]));
        }
        refs.push(reference);
    }
    body.set("refs", refs);
    if random.one_in(5) {
        let due = (0..random.below(3)).map(|_| {
            Object::new().with("what", one_of(random, &["x", "y"])).with("by", time(random, now))
        });
        body.set("due", due.collect::<Vec<_>>());
    }
    if random.one_in(6) {
        let items = vec![one_of(random, &["x", "y", "z"])];
        let meets: Value = if random.one_in(2) { items.into() } else { items[0].into() };
        body.set("ext", Object::new().with("meets", meets));
    }
    if random.one_in(10) {
        body.set("_sd", vec!["digest"]);
    }
    if random.one_in(3) {
        body.set("owner", one_of(random, &["owner1.test", "owner2.test"]));
    }
    own_members(random, kind, now, (at, ids), &mut body);
    body
}

fn own_members(
    random: &mut Random,
    kind: &str,
    now: u64,
    (at, ids): (usize, &[StatementId]),
    body: &mut Object,
) {
    let mut word = |body: &mut Object, name: &str, words: &[&str]| match random.below(12) {
        0 => {}
        1 => body.set(name, "unknown"),
        2 => body.set(name, Value::Bool(true)),
        n => body.set(name, words[n as usize % words.len()]),
    };
    match kind {
        "incident" => {
            word(body, "stage", &["initial", "interim", "interim", "final"]);
            word(body, "class", &["incident", "near_miss"]);
            word(body, "severity", &["disaster", "serious_incident", "incident", "hazard"]);
            body.set("harm_types", vec![one_of(random, &["physical", "rights"])]);
            set_time(random, body, "aware_at", now);
            if random.one_in(3) {
                set_time(random, body, "resolved_at", now);
            }
        }
        "risk" => {
            word(body, "treatment", &["avoid", "accept"]);
            word(body, "status", &["open", "closed"]);
            body.set("likelihood", Value::Integer(random.below(7) as i64));
            body.set("impact", Value::Integer(random.below(7) as i64));
            set_time(random, body, "next_review", now);
        }
        "decision" => {
            word(body, "status", &["accepted", "proposed"]);
            set_time(random, body, "review_by", now);
        }
        "review" => {
            word(body, "review_stage", &["design", "incident"]);
            word(body, "outcome", &["approve", "approve_with_conditions", "revise"]);
            let mut conditions = Vec::new();
            for id in ["x", "y"].iter().take(random.below(3) as usize) {
                let mut condition = Object::new().with("id", *id).with("text", "do it");
                if !random.one_in(3) {
                    condition.set("due", time(random, now));
                }
                conditions.push(condition);
            }
            if !random.one_in(4) {
                body.set("conditions", conditions);
            }
        }
        "remediation" => {
            word(
                body,
                "state",
                &["planned", "implemented", "verified", "ineffective", "cancelled"],
            );
            set_time(random, body, "due_by", now);
        }
        "response" => word(body, "position", &["answer", "acknowledge"]),
        "milestone" => word(body, "state", &["met", "planned"]),
        _ => {
            body.set("level", Value::Integer(1 + random.below(4) as i64));
        }
    }
    if ["response", "concern", "dispute"].contains(&kind) && !random.one_in(5) {
        body.set("target", any_id(random, at, ids));
    }
}

/// Mostly a record before, sometimes one that comes later, or none of the log.
fn any_id(random: &mut Random, at: usize, ids: &[StatementId]) -> String {
    match random.below(12) {
        0 => Hash::digest(b"nothing").to_string(),
        1 => {
            let other = random.below(ids.len() as u64) as usize;
            // no text can hold its own digest
            ids[if other == at { (at + 1) % ids.len() } else { other }].to_string()
        }
        _ => {
            let back = 1 + random.below(8) as usize;
            ids[if at >= back { at - back } else { ids.len() - 1 - at.min(1) }].to_string()
        }
    }
}

fn set_time(random: &mut Random, body: &mut Object, name: &str, now: u64) {
    match random.below(8) {
        0 => {}
        1 => body.set(name, "unknown"),
        2 => body.set(name, &time(random, now)[..10]),
        _ => body.set(name, time(random, now)),
    }
}

fn time(random: &mut Random, now: u64) -> String {
    format_time(now + random.below(30) * DAY - 15 * DAY)
}

fn one_of<'a>(random: &mut Random, words: &[&'a str]) -> &'a str {
    words[random.below(words.len() as u64) as usize]
}
