//! Pieces of a charter: requirements, deadlines, policies.

use ledger_core::record::{Object, Value};

/// So many members of a role.
pub(super) fn requirement(role: &str, members: i64) -> Object {
    Object::new().with("role", role).with("members", Value::Integer(members))
}

/// So many of each role.
pub(super) fn requires(list: &[(&str, i64)]) -> Vec<Object> {
    list.iter().map(|(role, members)| requirement(role, *members)).collect()
}

/// A tlog-policy without witnesses.
pub(super) fn policy(log_vkeys: &[&str]) -> String {
    let logs: String = log_vkeys.iter().map(|vkey| format!("log {vkey}\n")).collect();
    format!("{logs}quorum none\n")
}

/// What is due when: interim reports and answers to concerns at these intervals.
pub(super) fn deadlines(interim: &str, answer: &str) -> Vec<Object> {
    let words = |name: &str, words: &[&str]| Object::new().with(name, words.to_vec());
    let deadline = |name: &str, clock: &str, when: &Object, within: &str, by: Object| {
        Object::new()
            .with("name", name)
            .with("clock", clock)
            .with("when", when.clone())
            .with("within", within)
            .with("satisfied_by", by)
    };
    let report = || words("kind", &["incident"]);
    let grave = words("severity", &["disaster", "serious_incident"]);
    let other = words("severity", &["incident", "serious_hazard", "hazard"]);
    let open = words("stage", &["initial", "interim"]);
    let any = Object::new();
    let fixed = words("kind", &["remediation"]).with("state", vec!["implemented", "verified"]);
    let step = words("kind", &["dispute", "response"]);
    let first = "incident.aware_at";
    vec![
        deadline("first report, grave", first, &grave, "P2D", report()),
        deadline("first report", first, &other, "P15D", report()),
        deadline(
            "interim report",
            "incident.logged",
            &open,
            interim,
            report().with("stage", vec!["interim", "final"]),
        ),
        deadline(
            "final report",
            "incident.resolved_at",
            &any,
            "P60D",
            report().with("stage", vec!["final"]),
        ),
        deadline("concern answered", "concern.logged", &any, answer, words("kind", &["response"])),
        deadline("step of a dispute", "dispute.logged", &any, "P30D", step),
        deadline("conditions met", "review.conditions.due", &any, "P1D", fixed.clone()),
        deadline("remediation done", "remediation.due_by", &any, "P0D", fixed),
        deadline(
            "results",
            "preregistration.results_due",
            &any,
            "P5D",
            words("kind", &["milestone"]).with("state", vec!["met"]),
        ),
    ]
}
