//! Registers: what a log adds up to, as tables that people read.
//!
//! A [`Chronicle`] reads the entries once, in the order of the log, and keeps the little that
//! registers need. [`Chains`] groups its records; each register is a pure function of those, and
//! the last two also of a time: [`incidents`], [`risks`], [`decisions`], [`reviews`], [`duties`]
//! (who owes what) and [`members`]. docs/registers.md says by which rules, exactly.
//!
//! Only lawful entries may be fed: registers judge nobody's signature and no authority. What they
//! say of an index is what the entries up to it add up to, so feed no more than those.

mod chains;
mod chronicle;
mod decisions;
mod detail;
mod fact;
mod incidents;
mod members;
mod names;
mod overdue;
mod reviews;
mod risks;
mod rules;

use crate::index::LeafIndex;
use crate::record::{Kind, StatementId};

pub use chains::Chains;
pub use chronicle::Chronicle;
pub use decisions::{DecisionRow, decisions};
pub use fact::Fact;
pub use incidents::{IncidentRow, IncidentState, RemediationRow, incidents};
pub use members::{KeyRow, MemberRow, RoleRow, members};
pub use overdue::{Duty, DutyState, duties};
pub use reviews::{ConditionRow, ReviewRow, reviews};
pub use risks::{RiskRow, risks};
pub use rules::{CONDITION_RULE, MAX_WORD_BYTES, PROMISE_RULE, REMEDIATION_RULE};

/// What a record tells about a member. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disclosed<T> {
    /// It holds a value.
    Said(T),
    /// It holds the word `unknown`, or a value that this version cannot read.
    Unknown,
    /// A digest stands for it.
    Sealed,
    /// The record leaves it out.
    #[default]
    Absent,
}

/// A record of the log, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headline {
    /// Its position.
    pub index: LeafIndex,
    /// When it was logged, in POSIX seconds.
    pub logged: u64,
    /// Its statement id.
    pub statement: StatementId,
    /// What it is.
    pub kind: Kind,
    /// Who speaks.
    pub issuer: String,
    /// Its title; empty if it is sealed.
    pub title: String,
}

/// The records that a row is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The first.
    pub first: Headline,
    /// The latest that stands, or the latest of all where none stands: the row's values are its.
    pub latest: Headline,
    /// How many there are, retracted ones too.
    pub records: u64,
    /// Whether all of them were retracted.
    pub retracted: bool,
    /// What others say of it without power over it.
    pub claims: Vec<Claim>,
}

/// A reference that does not bind, because it is not from the issuer: shown, and nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The relation that it claims, such as `supersedes`.
    pub relation: &'static str,
    /// The record that claims it.
    pub by: Headline,
}

/// Another record, or chain of records, that concerns a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The first record of its chain.
    pub first: Headline,
    /// How it stands: the outcome of a review or dispute, the state of a remediation, the status
    /// of a decision or risk, the position of a response, the stage of an incident.
    pub word: Disclosed<String>,
}

impl<T> Disclosed<T> {
    /// The value, if it holds one.
    pub fn said(self) -> Option<T> {
        if let Disclosed::Said(value) = self { Some(value) } else { None }
    }

    /// The same about a reference to the value.
    pub fn as_ref(&self) -> Disclosed<&T> {
        match self {
            Disclosed::Said(value) => Disclosed::Said(value),
            Disclosed::Unknown => Disclosed::Unknown,
            Disclosed::Sealed => Disclosed::Sealed,
            Disclosed::Absent => Disclosed::Absent,
        }
    }

    /// Applies a function to the value, if it holds one.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Disclosed<U> {
        match self {
            Disclosed::Said(value) => Disclosed::Said(f(value)),
            Disclosed::Unknown => Disclosed::Unknown,
            Disclosed::Sealed => Disclosed::Sealed,
            Disclosed::Absent => Disclosed::Absent,
        }
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests;
