//! The kinds of records, a closed list.

use std::fmt;

use super::kinds;
use super::shape::KindDef;

/// What a record is. Closed: a kind outside this list is refused, never shown as unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What was decided, by whom and why.
    Decision,
    /// What went wrong, or nearly did.
    Incident,
    /// What a review body found.
    Review,
    /// A risk and its treatment.
    Risk,
    /// A study's plan, before its results.
    Preregistration,
    /// What is done about an incident or a condition.
    Remediation,
    /// A concern somebody raises.
    Concern,
    /// A claim that a record is wrong.
    Dispute,
    /// An answer to a record.
    Response,
    /// A date that was set or met.
    Milestone,
    /// An exercise and what it showed.
    Drill,
    /// The opening, or erasure, of sealed members.
    Disclosure,
    /// The log's first entry: who may do what.
    Charter,
    /// A change of members, roles or keys.
    Membership,
    /// A change of rules.
    Norm,
}

impl Kind {
    /// Every kind, in the order of the format.
    pub const ALL: [Kind; 15] = [
        Kind::Decision,
        Kind::Incident,
        Kind::Review,
        Kind::Risk,
        Kind::Preregistration,
        Kind::Remediation,
        Kind::Concern,
        Kind::Dispute,
        Kind::Response,
        Kind::Milestone,
        Kind::Drill,
        Kind::Disclosure,
        Kind::Charter,
        Kind::Membership,
        Kind::Norm,
    ];

    /// The word that records use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Decision => "decision",
            Kind::Incident => "incident",
            Kind::Review => "review",
            Kind::Risk => "risk",
            Kind::Preregistration => "preregistration",
            Kind::Remediation => "remediation",
            Kind::Concern => "concern",
            Kind::Dispute => "dispute",
            Kind::Response => "response",
            Kind::Milestone => "milestone",
            Kind::Drill => "drill",
            Kind::Disclosure => "disclosure",
            Kind::Charter => "charter",
            Kind::Membership => "membership",
            Kind::Norm => "norm",
        }
    }

    /// The kind of a word, exactly as [`Kind::as_str`] writes it.
    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kind's members, and the rules between them.
    pub const fn definition(self) -> &'static KindDef {
        match self {
            Kind::Decision => &kinds::DECISION,
            Kind::Incident => &kinds::INCIDENT,
            Kind::Review => &kinds::REVIEW,
            Kind::Risk => &kinds::RISK,
            Kind::Preregistration => &kinds::PREREGISTRATION,
            Kind::Remediation => &kinds::REMEDIATION,
            Kind::Concern => &kinds::CONCERN,
            Kind::Dispute => &kinds::DISPUTE,
            Kind::Response => &kinds::RESPONSE,
            Kind::Milestone => &kinds::MILESTONE,
            Kind::Drill => &kinds::DRILL,
            Kind::Disclosure => &kinds::DISCLOSURE,
            Kind::Charter => &kinds::CHARTER,
            Kind::Membership => &kinds::MEMBERSHIP,
            Kind::Norm => &kinds::NORM,
        }
    }

    /// Whether a record of the kind makes or changes authority, so that later entries name it.
    pub const fn is_governance(self) -> bool {
        matches!(self, Kind::Charter | Kind::Membership | Kind::Norm)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word names no Kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the word for a kind of record")]
pub struct ParseKindError;

impl std::str::FromStr for Kind {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Kind, ParseKindError> {
        Kind::parse(text).ok_or(ParseKindError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("Decision"), None);
        assert_eq!(Kind::parse("unknown"), None);
        let governance = Kind::ALL.into_iter().filter(|kind| kind.is_governance()).count();
        assert_eq!(governance, 3);
    }
}
