//! Formats rows as aligned columns for people, and as objects for programs.

use std::io::IsTerminal as _;

use ledger_core::charter::Term;
use ledger_core::index::LeafIndex;
use ledger_core::record::format_time;
use ledger_core::register::{
    Claim, DecisionRow, Disclosed, Duty, Headline, IncidentRow, IncidentState, MemberRow, Mention,
    ReviewRow, RiskRow, Summary,
};
use serde_json::{Value, json};

use crate::escape::{Escaped, LineMode, escaped};
use crate::output::{Line, Output};

/// The assumed width of a terminal, if `COLUMNS` does not give it.
const WIDTH: usize = 120;

/// The maximum width of each column except the last, so that long names do not push out the rest.
const MOST: usize = 40;

/// A register in both forms.
pub struct Table {
    head: &'static [&'static str],
    rows: Vec<(Vec<String>, Value)>,
}

impl Table {
    fn new(head: &'static [&'static str], rows: Vec<(Vec<String>, Value)>) -> Table {
        Table { head, rows }
    }

    /// Prints the columns, cut to the width of the terminal if stdout is one.
    pub fn print(&self, out: &Output) {
        if self.rows.is_empty() {
            out.line("no rows");
            return;
        }
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let width = std::io::stdout().is_terminal().then(|| columns.unwrap_or(WIDTH));
        for (at, line) in self.lines(width).into_iter().enumerate() {
            // the head is constant; row cells are escaped before they are cut and aligned
            match at {
                0 => out.line(Line::strong(line)),
                _ => out.block(&Escaped::of_escaped(line)),
            }
        }
    }

    /// The head and the rows, aligned.
    fn lines(&self, width: Option<usize>) -> Vec<String> {
        let head = self.head.iter().map(|name| (*name).to_owned()).collect();
        let rows = self.rows.iter().map(|(cells, _)| {
            cells.iter().map(|cell| escaped(cell, LineMode::One)).collect::<Vec<String>>()
        });
        let all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        let last = self.head.len() - 1;
        let widest = |column: usize| {
            let cells = all.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).min(MOST)
        };
        let widths: Vec<usize> = (0..last).map(widest).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{:width$}  ", cut(cell, *width)));
            }
            line.push_str(&row[last]);
            cut(line.trim_end(), width.unwrap_or(usize::MAX))
        };
        all.iter().map(line).collect()
    }

    /// The rows for `--json`.
    pub fn into_objects(self) -> Vec<Value> {
        self.rows.into_iter().map(|(_, object)| object).collect()
    }
}

/// At most `width` characters. An ellipsis shows that the text was cut.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The incident register.
pub fn incidents(rows: &[IncidentRow]) -> Table {
    let row = |row: &IncidentRow| {
        let duplicate = match row.state {
            IncidentState::Duplicate(other) => Some(other.to_string()),
            _ => None,
        };
        let remediations: Vec<String> =
            row.remediations.iter().map(|own| cell(&own.state)).collect();
        let cells = vec![
            row.summary.first.index.to_string(),
            row.state.as_str().to_owned(),
            cell(&row.stage),
            cell(&row.severity),
            row.summary.first.issuer.clone(),
            time_cell(row.aware_at),
            list(&remediations),
            list(&words(&row.reviews)),
            title(&row.summary),
        ];
        let remediations = row.remediations.iter().map(|own| {
            json!({
                "record": headline(&own.first),
                "state": value(&own.state),
                "owner": own.owner,
                "due_by": time(own.due_by),
            })
        });
        let object = json!({
            "chain": summary(&row.summary),
            "state": row.state.as_str(),
            "duplicate_of": duplicate,
            "stage": value(&row.stage),
            "class": value(&row.class),
            "severity": value(&row.severity),
            "aware_at": time(row.aware_at),
            "resolved_at": time(row.resolved_at),
            "remediations": remediations.collect::<Vec<_>>(),
            "reviews": mentions(&row.reviews),
        });
        (cells, object)
    };
    let head = &[
        "ENTRY",
        "STATE",
        "STAGE",
        "SEVERITY",
        "ISSUER",
        "AWARE",
        "REMEDIATIONS",
        "REVIEWS",
        "TITLE",
    ];
    Table::new(head, rows.iter().map(row).collect())
}

/// The risk register.
pub fn risks(rows: &[RiskRow]) -> Table {
    let row = |row: &RiskRow| {
        let cells = vec![
            row.summary.first.index.to_string(),
            row.score.map_or("-".to_owned(), |score| score.to_string()),
            cell(&row.status),
            cell(&row.treatment),
            row.owner.clone().unwrap_or_else(|| "-".to_owned()),
            row.summary.first.issuer.clone(),
            time_cell(row.next_review),
            list(&words(&row.mitigations)),
            title(&row.summary),
        ];
        let object = json!({
            "chain": summary(&row.summary),
            "likelihood": row.likelihood.said(),
            "impact": row.impact.said(),
            "score": row.score,
            "status": value(&row.status),
            "treatment": value(&row.treatment),
            "owner": row.owner,
            "next_review": time(row.next_review),
            "mitigations": mentions(&row.mitigations),
        });
        (cells, object)
    };
    let head = &[
        "ENTRY",
        "SCORE",
        "STATUS",
        "TREATMENT",
        "OWNER",
        "ISSUER",
        "NEXT REVIEW",
        "MITIGATIONS",
        "TITLE",
    ];
    Table::new(head, rows.iter().map(row).collect())
}

/// The decision register.
pub fn decisions(rows: &[DecisionRow]) -> Table {
    let row = |row: &DecisionRow| {
        let superseded = row.superseded_by.as_ref();
        let cells = vec![
            row.summary.first.index.to_string(),
            cell(&row.status),
            superseded.map_or("-".to_owned(), |by| format!("entry {}", by.index)),
            row.summary.first.issuer.clone(),
            time_cell(row.review_by),
            list(&words(&row.reviews)),
            row.appeals.len().to_string(),
            title(&row.summary),
        ];
        let object = json!({
            "chain": summary(&row.summary),
            "status": value(&row.status),
            "superseded_by": superseded.map(headline),
            "review_by": time(row.review_by),
            "reviews": mentions(&row.reviews),
            "appeals": mentions(&row.appeals),
        });
        (cells, object)
    };
    let head =
        &["ENTRY", "STATUS", "SUPERSEDED BY", "ISSUER", "REVIEW BY", "REVIEWS", "APPEALS", "TITLE"];
    Table::new(head, rows.iter().map(row).collect())
}

/// The review register.
pub fn reviews(rows: &[ReviewRow]) -> Table {
    let row = |row: &ReviewRow| {
        let subjects: Vec<String> = row
            .subjects
            .iter()
            .map(|(id, own)| own.as_ref().map_or(id.to_string(), |own| own.index.to_string()))
            .collect();
        let conditions = row.conditions.as_ref().said().map(Vec::as_slice).unwrap_or_default();
        let open = conditions.iter().filter(|own| own.met_by.is_none());
        let open: Vec<String> = open
            .map(|own| match own.due {
                Disclosed::Said(due) => format!("{} by {}", own.id, day(due)),
                _ => own.id.clone(),
            })
            .collect();
        let cells = vec![
            row.summary.first.index.to_string(),
            cell(&row.outcome),
            cell(&row.stage),
            row.summary.first.issuer.clone(),
            list(&subjects),
            time_cell(row.next_review),
            list(&open),
            title(&row.summary),
        ];
        let conditions = conditions.iter().map(|own| {
            json!({
                "id": own.id,
                "text": own.text,
                "due": time(own.due),
                "met_by": own.met_by.as_ref().map(headline),
            })
        });
        let subjects = row.subjects.iter().map(|(id, own)| {
            json!({ "statement": id.to_string(), "record": own.as_ref().map(headline) })
        });
        let object = json!({
            "chain": summary(&row.summary),
            "stage": value(&row.stage),
            "outcome": value(&row.outcome),
            "next_review": time(row.next_review),
            "subjects": subjects.collect::<Vec<_>>(),
            "conditions": conditions.collect::<Vec<_>>(),
        });
        (cells, object)
    };
    let head = &[
        "ENTRY",
        "OUTCOME",
        "STAGE",
        "ISSUER",
        "OF ENTRY",
        "NEXT REVIEW",
        "OPEN CONDITIONS",
        "TITLE",
    ];
    Table::new(head, rows.iter().map(row).collect())
}

/// The duties.
pub fn duties(rows: &[Duty]) -> Table {
    let row = |row: &Duty| {
        let late = match row.late_by {
            0 => "-".to_owned(),
            seconds => span(seconds),
        };
        let what = match &row.item {
            Some(item) => format!("{} ({item})", row.rule),
            None => row.rule.clone(),
        };
        let title = if row.record.title.is_empty() { "(sealed)" } else { &row.record.title };
        let cells = vec![
            format_time(row.due),
            row.state.as_str().to_owned(),
            late,
            row.owes.clone(),
            row.record.index.to_string(),
            what,
            title.to_owned(),
        ];
        let object = json!({
            "state": row.state.as_str(),
            "due": format_time(row.due),
            "late_by_seconds": row.late_by,
            "owes": row.owes,
            "rule": row.rule,
            "clock": row.clock,
            "item": row.item,
            "started_at": format_time(row.started_at),
            "record": headline(&row.record),
            "met_by": row.state.met_by().map(headline),
        });
        (cells, object)
    };
    let head = &["DUE", "STATE", "LATE BY", "OWES", "ENTRY", "RULE", "TITLE"];
    Table::new(head, rows.iter().map(row).collect())
}

/// The members.
pub fn members(rows: &[MemberRow]) -> Table {
    let row = |row: &MemberRow| {
        let held = row.roles.iter().filter(|own| own.in_force);
        let roles: Vec<String> = held
            .map(|own| match own.term.until() {
                Some(until) => format!("{} until {}", own.role, day(until)),
                None => own.role.clone(),
            })
            .collect();
        let valid = row.keys.iter().filter(|own| own.in_force);
        let keys: Vec<String> = valid.map(|own| format!("{} {}", own.usage, own.vkey)).collect();
        let standing = match row.standing.since() {
            None => row.standing.as_str().to_owned(),
            Some(entry) => format!("{} by entry {entry}", row.standing.as_str()),
        };
        let node = row.node.clone().unwrap_or_default();
        let cells = vec![row.name.clone(), standing, list(&roles), list(&keys), node];
        let roles = row.roles.iter().map(|own| {
            let (from, until) = term(own.term);
            json!({ "role": own.role, "from": from, "until": until, "in_force": own.in_force })
        });
        let keys = row.keys.iter().map(|own| {
            let (from, until) = term(own.term);
            json!({
                "vkey": own.vkey,
                "use": own.usage,
                "from": from,
                "until": until,
                "revoked_by": own.revoked.map(LeafIndex::get),
                "in_force": own.in_force,
            })
        });
        let object = json!({
            "name": row.name,
            "standing": row.standing.as_str(),
            "standing_since": row.standing.since().map(LeafIndex::get),
            "roles": roles.collect::<Vec<_>>(),
            "keys": keys.collect::<Vec<_>>(),
            "node": row.node,
        });
        (cells, object)
    };
    Table::new(&["MEMBER", "STANDING", "ROLES", "KEYS", "NODE"], rows.iter().map(row).collect())
}

fn term(term: Term) -> (Option<String>, Option<String>) {
    let from = Some(term.from()).filter(|from| *from > 0);
    (from.map(format_time), term.until().map(format_time))
}

fn summary(own: &Summary) -> Value {
    let claim =
        |claim: &Claim| json!({ "relation": claim.relation, "record": headline(&claim.by) });
    json!({
        "first": headline(&own.first),
        "latest": headline(&own.latest),
        "records": own.records,
        "retracted": own.retracted,
        "claims": own.claims.iter().map(claim).collect::<Vec<_>>(),
    })
}

fn headline(own: &Headline) -> Value {
    json!({
        "index": own.index.get(),
        "statement": own.statement.to_string(),
        "kind": own.kind.as_str(),
        "issuer": own.issuer,
        "title": own.title,
        "logged": format_time(own.logged),
    })
}

fn mentions(list: &[Mention]) -> Vec<Value> {
    let mention =
        |own: &Mention| json!({ "record": headline(&own.first), "word": value(&own.word) });
    list.iter().map(mention).collect()
}

fn words(list: &[Mention]) -> Vec<String> {
    list.iter().map(|own| cell(&own.word)).collect()
}

/// The latest title, after marks for a retraction and for claims by others.
fn title(own: &Summary) -> String {
    let title = if own.latest.title.is_empty() { "(sealed)" } else { &own.latest.title };
    let mut text = String::new();
    if own.retracted {
        text.push_str("RETRACTED ");
    }
    if !own.claims.is_empty() {
        text.push_str(&format!("[{} claim(s) by others] ", own.claims.len()));
    }
    text + title
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

fn cell(told: &Disclosed<String>) -> String {
    match told {
        Disclosed::Said(text) => text.clone(),
        Disclosed::Unknown => "unknown".to_owned(),
        Disclosed::Sealed => "(sealed)".to_owned(),
        Disclosed::Absent => "-".to_owned(),
    }
}

fn time_cell(told: Disclosed<u64>) -> String {
    cell(&told.map(day))
}

fn day(time: u64) -> String {
    format_time(time)[..10].to_owned()
}

/// For programs: the text, `null` if it is absent, or an object if it is unknown or sealed.
fn value(told: &Disclosed<String>) -> Value {
    match told {
        Disclosed::Said(text) => json!(text),
        Disclosed::Unknown => json!({ "unknown": true }),
        Disclosed::Sealed => json!({ "sealed": true }),
        Disclosed::Absent => Value::Null,
    }
}

fn time(told: Disclosed<u64>) -> Value {
    value(&told.map(format_time))
}

/// A duration in its largest whole unit.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_cut_and_escaped() {
        let row = |a: &str, b: &str| (vec![a.to_owned(), b.to_owned()], Value::Null);
        let table = Table::new(&["A", "TITLE"], vec![row("x", "one\n\u{1b}[2J"), row("long", "y")]);
        assert_eq!(table.lines(None), ["A     TITLE", "x     one\\n\\u{1b}[2J", "long  y"]);
        assert_eq!(table.lines(Some(8)), ["A     T…", "x     o…", "long  y"]);
        let wide = Table::new(&["A", "B"], vec![row(&"é".repeat(50), "y")]);
        assert_eq!(wide.lines(None)[1], format!("{}…  y", "é".repeat(39)));
    }
}
