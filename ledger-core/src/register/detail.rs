//! What registers show of each kind, read from a record's members.

use crate::record::{Kind, Object, UNKNOWN, Value};

use super::Disclosed;
use super::names::{Names, Symbol};
use super::rules::instant;

/// The members of a kind that rows are made of.
#[derive(Debug)]
pub(super) enum Detail {
    Incident(Incident),
    Risk(Risk),
    Decision {
        status: Disclosed<Symbol>,
        review_by: Disclosed<u64>,
    },
    Review(Review),
    Remediation {
        state: Disclosed<Symbol>,
        due_by: Disclosed<u64>,
    },
    /// The word that says how it stands, where the kind has one.
    Other(Disclosed<Symbol>),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Incident {
    pub stage: Disclosed<Symbol>,
    pub class: Disclosed<Symbol>,
    pub severity: Disclosed<Symbol>,
    pub aware_at: Disclosed<u64>,
    pub resolved_at: Disclosed<u64>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Risk {
    pub likelihood: Disclosed<u64>,
    pub impact: Disclosed<u64>,
    pub treatment: Disclosed<Symbol>,
    pub status: Disclosed<Symbol>,
    pub next_review: Disclosed<u64>,
}

#[derive(Debug)]
pub(super) struct Review {
    pub stage: Disclosed<Symbol>,
    pub outcome: Disclosed<Symbol>,
    pub next_review: Disclosed<u64>,
    pub conditions: Disclosed<Box<[Condition]>>,
}

#[derive(Debug)]
pub(super) struct Condition {
    pub id: Symbol,
    pub text: Box<str>,
    pub due: Disclosed<u64>,
}

impl Detail {
    /// Reads a record's members; whatever they hold, there is something to show.
    pub fn read(kind: Kind, body: &Object, names: &mut Names) -> Detail {
        let mut read = DetailReader { body, names };
        match kind {
            Kind::Incident => Detail::Incident(Incident {
                stage: read.word("stage"),
                class: read.word("class"),
                severity: read.word("severity"),
                aware_at: read.time("aware_at", Sealable::No),
                resolved_at: read.time("resolved_at", Sealable::No),
            }),
            Kind::Risk => Detail::Risk(Risk {
                likelihood: read.grade("likelihood"),
                impact: read.grade("impact"),
                treatment: read.word("treatment"),
                status: read.word("status"),
                next_review: read.time("next_review", Sealable::No),
            }),
            Kind::Decision => Detail::Decision {
                status: read.word("status"),
                review_by: read.time("review_by", Sealable::No),
            },
            Kind::Review => Detail::Review(Review {
                stage: read.word("review_stage"),
                outcome: read.word("outcome"),
                next_review: read.time("next_review", Sealable::No),
                conditions: read.conditions(),
            }),
            Kind::Remediation => Detail::Remediation {
                state: read.word("state"),
                due_by: read.time("due_by", Sealable::Yes),
            },
            Kind::Dispute => Detail::Other(read.optional_word("outcome")),
            Kind::Response => Detail::Other(read.word("position")),
            Kind::Milestone => Detail::Other(read.word("state")),
            _ => Detail::Other(Disclosed::Absent),
        }
    }

    /// The word that says how the record stands.
    pub fn word(&self) -> Disclosed<Symbol> {
        match self {
            Detail::Incident(incident) => incident.stage,
            Detail::Risk(risk) => risk.status,
            Detail::Decision { status, .. } => *status,
            Detail::Review(review) => review.outcome,
            Detail::Remediation { state, .. } => *state,
            Detail::Other(word) => *word,
        }
    }
}

/// Whether a member that is not there must be sealed: required ones must, of optional ones nobody
/// can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sealable {
    Yes,
    No,
}

struct DetailReader<'a> {
    body: &'a Object,
    names: &'a mut Names,
}

impl<'a> DetailReader<'a> {
    fn disclosed<T>(
        &mut self,
        name: &str,
        sealable: Sealable,
        read: impl FnOnce(&'a Value, &mut Names) -> Option<T>,
    ) -> Disclosed<T> {
        match self.body.get(name) {
            None if sealable == Sealable::Yes && !self.body.list("_sd").is_empty() => {
                Disclosed::Sealed
            }
            None => Disclosed::Absent,
            Some(Value::Text(text)) if **text == *UNKNOWN => Disclosed::Unknown,
            Some(value) => read(value, self.names).map_or(Disclosed::Unknown, Disclosed::Said),
        }
    }

    fn word(&mut self, name: &str) -> Disclosed<Symbol> {
        let intern = |value: &Value, names: &mut Names| Some(names.intern(value.as_text()?));
        self.disclosed(name, Sealable::Yes, intern)
    }

    fn optional_word(&mut self, name: &str) -> Disclosed<Symbol> {
        let intern = |value: &Value, names: &mut Names| Some(names.intern(value.as_text()?));
        self.disclosed(name, Sealable::No, intern)
    }

    fn time(&mut self, name: &str, sealable: Sealable) -> Disclosed<u64> {
        self.disclosed(name, sealable, |value, _| instant(value.as_text()?))
    }

    /// A grade from 1 to 5.
    fn grade(&mut self, name: &str) -> Disclosed<u64> {
        self.disclosed(name, Sealable::Yes, |value, _| {
            u64::try_from(value.as_integer()?).ok().filter(|grade| (1..=5).contains(grade))
        })
    }

    fn conditions(&mut self) -> Disclosed<Box<[Condition]>> {
        self.disclosed("conditions", Sealable::No, |value, names| {
            let objects = value.as_list()?.iter().filter_map(Value::as_object);
            Some(objects.filter_map(|object| Condition::read(object, names)).collect())
        })
    }
}

impl Condition {
    fn read(object: &Object, names: &mut Names) -> Option<Condition> {
        let id = names.intern(object.text("id")?);
        let text = object.text("text").unwrap_or_default().into();
        let due = match object.get("due") {
            None => Disclosed::Absent,
            Some(value) => {
                value.as_text().and_then(instant).map_or(Disclosed::Unknown, Disclosed::Said)
            }
        };
        Some(Condition { id, text, due })
    }
}
