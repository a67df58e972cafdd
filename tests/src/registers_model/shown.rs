//! The rows of the core's registers as the model writes them.

use std::fmt::Display;

use ledger_core::register::{
    DecisionRow, Disclosed, Duty, DutyState, IncidentRow, IncidentState, Mention, RemediationRow,
    ReviewRow, RiskRow, Summary,
};

/// The incident register.
pub fn incidents(rows: &[IncidentRow]) -> Vec<String> {
    let line = |row: &IncidentRow| {
        let state = match row.state {
            IncidentState::Duplicate(other) => format!("duplicate of {other}"),
            other => other.as_str().to_owned(),
        };
        let remediations: Vec<String> = row.remediations.iter().map(remediation).collect();
        format!(
            "{} {} {} {} {} {} {state} remediations{remediations:?} reviews{:?}",
            summary(&row.summary),
            told(&row.stage),
            told(&row.class),
            told(&row.severity),
            told(&row.aware_at),
            told(&row.resolved_at),
            mentions(&row.reviews),
        )
    };
    rows.iter().map(line).collect()
}

/// The risk register.
pub fn risks(rows: &[RiskRow]) -> Vec<String> {
    let line = |row: &RiskRow| {
        format!(
            "{} {} {} {:?} {} {} {} {} mitigations{:?}",
            summary(&row.summary),
            told(&row.likelihood),
            told(&row.impact),
            row.score,
            told(&row.treatment),
            told(&row.status),
            row.owner.as_deref().unwrap_or_default(),
            told(&row.next_review),
            mentions(&row.mitigations),
        )
    };
    rows.iter().map(line).collect()
}

/// The decision register.
pub fn decisions(rows: &[DecisionRow]) -> Vec<String> {
    let line = |row: &DecisionRow| {
        format!(
            "{} {} {:?} {} reviews{:?} appeals{:?}",
            summary(&row.summary),
            told(&row.status),
            row.superseded_by.as_ref().map(|by| by.index.get()),
            told(&row.review_by),
            mentions(&row.reviews),
            mentions(&row.appeals),
        )
    };
    rows.iter().map(line).collect()
}

/// The review register.
pub fn reviews(rows: &[ReviewRow]) -> Vec<String> {
    let line = |row: &ReviewRow| {
        let subjects = row.subjects.iter();
        let subjects: Vec<_> = subjects
            .map(|(id, headline)| (id.to_string(), headline.as_ref().map(|own| own.index.get())))
            .collect();
        let conditions = match &row.conditions {
            Disclosed::Said(conditions) => {
                let shown = conditions.iter().map(|own| {
                    let met = own.met_by.as_ref().map(|by| by.index.get());
                    format!("[{} {} {met:?}]", own.id, told(&own.due))
                });
                shown.collect()
            }
            other => told(&other.as_ref().map(|_| "")),
        };
        format!(
            "{} {} {} {} {subjects:?} {conditions}",
            summary(&row.summary),
            told(&row.stage),
            told(&row.outcome),
            told(&row.next_review),
        )
    };
    rows.iter().map(line).collect()
}

/// The duties.
pub fn duties(rows: &[Duty]) -> Vec<String> {
    let line = |row: &Duty| {
        let state = match row.state {
            DutyState::Late(_) | DutyState::Overdue => {
                format!("{} {}", row.state.as_str(), row.late_by)
            }
            _ => row.state.as_str().to_owned(),
        };
        format!(
            "{} #{} {} {:?} {state} by {:?} from {} by {}, {}",
            row.due,
            row.record.index,
            row.rule,
            row.item,
            row.state.met_by().map(|by| by.index.get()),
            row.started_at,
            row.owes,
            row.clock,
        )
    };
    rows.iter().map(line).collect()
}

fn summary(own: &Summary) -> String {
    let claims: Vec<String> = own
        .claims
        .iter()
        .map(|claim| format!("{} by #{}", claim.relation, claim.by.index))
        .collect();
    format!(
        "#{} #{} {} retracted {} claims{claims:?}",
        own.first.index, own.latest.index, own.records, own.retracted
    )
}

fn remediation(row: &RemediationRow) -> String {
    let owner = row.owner.as_deref().unwrap_or_default();
    format!("{} {} {owner} {}", row.first.index, told(&row.state), told(&row.due_by))
}

fn mentions(list: &[Mention]) -> Vec<String> {
    list.iter().map(|own| format!("{} {}", own.first.index, told(&own.word))).collect()
}

fn told<T: Display>(told: &Disclosed<T>) -> String {
    match told {
        Disclosed::Said(value) => format!("={value}"),
        Disclosed::Unknown => "unknown".to_owned(),
        Disclosed::Sealed => "sealed".to_owned(),
        Disclosed::Absent => "absent".to_owned(),
    }
}
