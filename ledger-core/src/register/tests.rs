//! What one record does to a row, case by case; histories at random are compared in the tests
//! crate.

use std::sync::Arc;

use crate::charter::Charter;
use crate::hash::Hash;
use crate::index::LeafIndex;
use crate::record::{Kind, Object, StatementId};

use super::*;

const DAY: u64 = 86_400;

/// A log in the making: each record comes a day after the one before.
struct Log {
    chronicle: Chronicle,
    charter: Arc<Charter>,
    length: u64,
}

impl Log {
    fn new() -> Log {
        let charter = Arc::new(crate::charter::tests::any_charter());
        Log { chronicle: Chronicle::new(), charter, length: 0 }
    }

    fn add(&mut self, kind: Kind, issuer: &str, json: &str) {
        let body = Object::parse(json).expect("test JSON").with("kind", kind.as_str());
        let n = self.length;
        self.length += 1;
        let fact = Fact {
            index: LeafIndex::new(n).expect("small"),
            logged: n * DAY,
            statement: statement(n),
            kind,
            issuer,
            title: "",
            series: body.text("series"),
            body: &body,
        };
        self.chronicle.add(&fact, &self.charter);
    }

    fn chains(&self) -> Chains<'_> {
        Chains::of(&self.chronicle)
    }
}

fn statement(n: u64) -> StatementId {
    StatementId::from_hash(Hash::digest(&n.to_be_bytes()))
}

fn refs(rel: &str, n: u64) -> String {
    format!(r#""refs":[{{"rel":"{rel}","statement":"{}"}}]"#, statement(n))
}

#[test]
fn strangers_claim_and_issuers_bind() {
    let mut log = Log::new();
    log.add(Kind::Decision, "lab.example", r#"{"status":"accepted"}"#);
    log.add(Kind::Decision, "watch.example", &format!("{{{}}}", refs("supersedes", 0)));
    log.add(Kind::Response, "watch.example", &format!("{{{}}}", refs("retracts", 0)));
    let rows = decisions(&log.chains());
    assert_eq!((rows.len(), rows[0].superseded_by.as_ref()), (2, None));
    assert!(!rows[0].summary.retracted);
    let claims: Vec<&str> = rows[0].summary.claims.iter().map(|claim| claim.relation).collect();
    assert_eq!(claims, ["supersedes", "retracts"]);
    log.add(Kind::Decision, "lab.example", &format!("{{{}}}", refs("supersedes", 0)));
    log.add(Kind::Response, "lab.example", &format!("{{{}}}", refs("retracts", 0)));
    let rows = decisions(&log.chains());
    assert_eq!(rows[0].superseded_by.as_ref().map(|by| by.index.get()), Some(3));
    assert!(rows[0].summary.retracted && !rows[2].summary.retracted);
}

#[test]
fn references_may_come_before_what_they_name() {
    let mut log = Log::new();
    let amends = refs("amends", 1);
    log.add(Kind::Risk, "lab.example", &format!(r#"{{{amends},"likelihood":5,"impact":5}}"#));
    log.add(Kind::Risk, "lab.example", r#"{"likelihood":2,"impact":3,"owner":"someone"}"#);
    let rows = risks(&log.chains());
    assert_eq!((rows.len(), rows[0].score, rows[0].summary.records), (1, Some(6), 2));
}

#[test]
fn a_condition_is_open_again_when_its_remediation_fails() {
    let mut log = Log::new();
    let conditions = r#"{"conditions":[{"id":"a","text":"x"},{"id":"b","text":"y"}]}"#;
    log.add(Kind::Review, "watch.example", conditions);
    let remediates = refs("remediates", 0);
    let of_a = format!(r#"{{"series":"r",{remediates},"state":"verified","ext":{{"meets":"a"}}}}"#);
    log.add(Kind::Remediation, "lab.example", &of_a);
    let open = |log: &Log| {
        let rows = reviews(&log.chains()).remove(0).conditions.said().expect("given");
        let open = rows.into_iter().filter(|row| row.met_by.is_none());
        open.map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(open(&log), ["b"]);
    log.add(Kind::Remediation, "lab.example", r#"{"series":"r","state":"ineffective"}"#);
    assert_eq!(open(&log), ["a", "b"]);
}

#[test]
fn interim_reports_restart_the_clock_until_the_incident_is_resolved() {
    let mut log = Log::new();
    let report = |stage: &str| format!(r#"{{"series":"i","stage":"{stage}","severity":"hazard"}}"#);
    log.add(Kind::Incident, "lab.example", &report("initial"));
    (1..40).for_each(|_| log.add(Kind::Milestone, "lab.example", "{}"));
    log.add(Kind::Incident, "lab.example", &report("interim"));
    let states = |log: &Log, now: u64| {
        let rows = duties(&log.chains(), now * DAY);
        rows.into_iter().map(|row| (row.state.as_str(), row.late_by / DAY)).collect::<Vec<_>>()
    };
    assert_eq!(states(&log, 41), [("late", 12), ("upcoming", 0)]);
    assert_eq!(states(&log, 70), [("late", 12), ("overdue", 2)]);
    let resolved = report("interim").replace('}', r#","resolved_at":"1970-02-15T00:00:00Z"}"#);
    log.add(Kind::Incident, "lab.example", &resolved);
    // in time, then spared; the final report is owed 60 days after the 45th
    assert_eq!(states(&log, 70), [("late", 12), ("met", 0), ("upcoming", 0)]);
}

#[test]
fn rows_show_what_is_sealed_and_what_is_unknown() {
    let mut log = Log::new();
    log.add(Kind::Risk, "lab.example", r#"{"_sd":["x"],"status":"unknown","impact":9}"#);
    let row = risks(&log.chains()).remove(0);
    assert_eq!((row.treatment, row.status), (Disclosed::Sealed, Disclosed::Unknown));
    assert_eq!(
        (row.likelihood, row.impact, row.score),
        (Disclosed::Sealed, Disclosed::Unknown, None)
    );
    assert_eq!((row.next_review, row.owner), (Disclosed::Absent, None));
}
