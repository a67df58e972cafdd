//! Deadlines as rules: when a clock starts, and what meets it.

use std::collections::BTreeMap;

use crate::charter::Deadline;
use crate::record::{Kind, Object, Value, parse_date, parse_time};

use super::names::{Names, Symbol};

/// Values that `when` and `satisfied_by` can match, in bytes: they are words, and each is kept.
pub const MAX_WORD_BYTES: usize = 64;

/// The name of the rule that a record's own `due` is kept.
pub const PROMISE_RULE: &str = "promise kept";

/// The name of the rule that a review's conditions are met by their `due`, unless the charter has
/// one of its own with the clock `review.conditions.due`.
pub const CONDITION_RULE: &str = "review condition met";

/// The name of the rule that a remediation is done by its `due_by`, unless the charter has one of
/// its own with the clock `remediation.due_by`.
pub const REMEDIATION_RULE: &str = "remediation done";

const DAY: u64 = 86_400;

/// Members whose values no rule can match: they differ in every record.
const NEVER_MATCHED: [&str; 4] = ["log", "id", "issued_at", "base"];

/// A rule whose words are numbers.
#[derive(Debug)]
pub(super) struct RegisterRule {
    pub name: String,
    /// As the charter writes it.
    pub clock: String,
    /// The kind of record that starts it; `None` if every kind does.
    pub kind: Option<Kind>,
    /// The members on the way to the time; empty for the log's own time.
    pub path: Vec<String>,
    pub within: u64,
    pub by: By,
    when: Pattern,
    /// What the charter says, unless the rule holds in every log.
    deadline: Option<Deadline>,
}

/// What meets a deadline.
#[derive(Debug)]
pub(super) enum By {
    /// A record of the chain, or that refers to it, that fits.
    Fitting(Pattern),
    /// The issuer's own record that says that it keeps the promise.
    Keeping,
}

/// Members, and the values of which each must hold one.
#[derive(Debug)]
pub(super) struct Pattern(Vec<(Symbol, Vec<Symbol>)>);

/// A clock that a record starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Its place in the table of rules.
    pub rule: u32,
    /// The condition or promise, where a record has several.
    pub item: Option<Symbol>,
    /// When the clock starts.
    pub at: u64,
}

impl RegisterRule {
    /// The rule of a charter's deadline, if its clock names a kind and a member.
    pub fn of(deadline: &Deadline, names: &mut Names) -> Option<RegisterRule> {
        let (kind, path) = deadline.clock().split_once('.')?;
        let path = match path {
            "logged" => Vec::new(),
            path => path.split('.').map(str::to_owned).collect(),
        };
        Some(RegisterRule {
            name: deadline.name().to_owned(),
            clock: deadline.clock().to_owned(),
            kind: Some(Kind::parse(kind)?),
            path,
            within: deadline.within(),
            by: By::Fitting(Pattern::of(deadline.satisfied_by(), names)),
            when: Pattern::of(deadline.when(), names),
            deadline: Some(deadline.clone()),
        })
    }

    /// The rules that hold in every log: what a record itself says is due.
    pub fn built_in(names: &mut Names) -> [RegisterRule; 3] {
        let fixed = BTreeMap::from([
            ("kind".to_owned(), vec!["remediation".to_owned()]),
            ("state".to_owned(), vec!["implemented".to_owned(), "verified".to_owned()]),
        ]);
        let rule = |name: &str, kind: Option<Kind>, path: &[&str], by: By| RegisterRule {
            name: name.to_owned(),
            clock: format!("{}.{}", kind.map_or("*", Kind::as_str), path.join(".")),
            kind,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            within: 0,
            by,
            when: Pattern(Vec::new()),
            deadline: None,
        };
        let mut fitting = || By::Fitting(Pattern::of(&fixed, names));
        let condition = fitting();
        let done = fitting();
        [
            rule(PROMISE_RULE, None, &["due", "by"], By::Keeping),
            rule(CONDITION_RULE, Some(Kind::Review), &["conditions", "due"], condition),
            rule(REMEDIATION_RULE, Some(Kind::Remediation), &["due_by"], done),
        ]
    }

    /// Whether it is the rule of this deadline, equal in everything.
    pub fn is_of(&self, deadline: &Deadline) -> bool {
        self.deadline.as_ref() == Some(deadline)
    }

    /// Whether a record with these words starts the clock.
    pub fn starts(&self, kind: Kind, words: &[(Symbol, Symbol)]) -> bool {
        self.kind.is_none_or(|own| own == kind) && self.when.fits(words)
    }

    /// Whether the clock is the log's own time, so that only what comes later meets it.
    pub fn runs_from_logged(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether it is about the conditions of a review.
    pub fn is_of_conditions(&self) -> bool {
        self.kind == Some(Kind::Review) && self.path.first().is_some_and(|at| at == "conditions")
    }

    /// The times from which it runs, each with the name of its item.
    pub fn times(
        &self,
        body: &Object,
        logged: u64,
        names: &mut Names,
    ) -> Vec<(Option<Symbol>, u64)> {
        let mut found = Vec::new();
        if self.path.is_empty() {
            found.push((None, logged));
        } else {
            collect(body, &self.path, None, names, &mut found);
        }
        found
    }
}

impl Pattern {
    fn of(map: &BTreeMap<String, Vec<String>>, names: &mut Names) -> Pattern {
        let mut part = |(name, values): (&String, &Vec<String>)| {
            let values = values.iter().filter(|value| value.len() <= MAX_WORD_BYTES);
            let values = values.map(|value| names.intern(value)).collect();
            (names.intern(name), values)
        };
        Pattern(map.iter().map(&mut part).collect())
    }

    /// Whether a record has one of the values of every member.
    pub fn fits(&self, words: &[(Symbol, Symbol)]) -> bool {
        self.0.iter().all(|(name, values)| {
            words.iter().any(|(own, value)| own == name && values.contains(value))
        })
    }
}

/// Adds the words of a record, by which rules match it: its members that hold a text, a whole
/// number, or a list of texts.
pub(super) fn words_of(body: &Object, names: &mut Names, words: &mut Vec<(Symbol, Symbol)>) {
    let fits = |text: &str| text.len() <= MAX_WORD_BYTES;
    for (name, value) in body.iter() {
        if NEVER_MATCHED.contains(&name) {
            continue;
        }
        match value {
            Value::Text(text) if fits(text) => {
                words.push((names.intern(name), names.intern(text)));
            }
            Value::Integer(number) => {
                words.push((names.intern(name), names.intern(&number.to_string())));
            }
            Value::List(values) => {
                for text in values.iter().filter_map(Value::as_text).filter(|text| fits(text)) {
                    words.push((names.intern(name), names.intern(text)));
                }
            }
            _ => {}
        }
    }
}

/// A time of a record in POSIX seconds; of a day the last second.
pub(super) fn instant(text: &str) -> Option<u64> {
    parse_time(text).or_else(|| parse_date(text).map(|day| day + DAY - 1))
}

/// Follows a path through objects and lists of objects to the times at its end.
fn collect(
    object: &Object,
    path: &[String],
    item: Option<Symbol>,
    names: &mut Names,
    found: &mut Vec<(Option<Symbol>, u64)>,
) {
    let Some((name, rest)) = path.split_first() else { return };
    match (object.get(name), rest.is_empty()) {
        (Some(Value::Text(text)), true) => {
            found.extend(instant(text).map(|time| (item, time)));
        }
        (Some(Value::Object(inner)), false) => collect(inner, rest, item, names, found),
        (Some(Value::List(values)), false) => {
            for inner in values.iter().filter_map(Value::as_object) {
                let name = inner.text("id").or_else(|| inner.text("what"));
                let item = name.map(|name| names.intern(name)).or(item);
                collect(inner, rest, item, names, found);
            }
        }
        _ => {}
    }
}
