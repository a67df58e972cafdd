//! The review register: outcomes, and the conditions that are still open.

use crate::record::{Kind, StatementId};

use super::chains::Chains;
use super::chronicle::Relation;
use super::detail::Detail;
use super::overdue::Candidates;
use super::{Disclosed, Headline, Summary};

/// One review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRow {
    /// Its records.
    pub summary: Summary,
    /// At which point it was made.
    pub stage: Disclosed<String>,
    /// Its outcome.
    pub outcome: Disclosed<String>,
    /// When the next is to be, in POSIX seconds.
    pub next_review: Disclosed<u64>,
    /// What it reviews: the statement, and the record where the log has it.
    pub subjects: Vec<(StatementId, Option<Headline>)>,
    /// What it asks for.
    pub conditions: Disclosed<Vec<ConditionRow>>,
}

/// A condition of a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionRow {
    /// Its name.
    pub id: String,
    /// What must be done.
    pub text: String,
    /// By when, in POSIX seconds.
    pub due: Disclosed<u64>,
    /// The record that met it; open without.
    pub met_by: Option<Headline>,
}

/// The reviews, in the order of their first records.
pub fn reviews(chains: &Chains<'_>) -> Vec<ReviewRow> {
    chains.of_kind(Kind::Review).map(|chain| row(chains, chain)).collect()
}

fn row(chains: &Chains<'_>, chain: u32) -> ReviewRow {
    let latest = chains.fact(chains.latest(chain));
    let Detail::Review(review) = &latest.detail else { unreachable!("a chain has one kind") };
    let subjects = chains.chronicle.refs(latest).iter();
    let subjects = subjects.filter(|own| own.relation == Relation::Reviews);
    let candidates = Candidates::of_conditions(chains, chain);
    let conditions = review.conditions.as_ref().map(|conditions| {
        let row = |own: &super::detail::Condition| ConditionRow {
            id: chains.chronicle.names.text(own.id).to_owned(),
            text: own.text.to_string(),
            due: own.due,
            met_by: candidates.first_done(own.id).map(|at| chains.headline(at)),
        };
        conditions.iter().map(row).collect()
    });
    ReviewRow {
        summary: chains.summary(chain),
        stage: chains.text(review.stage),
        outcome: chains.text(review.outcome),
        next_review: review.next_review,
        subjects: subjects
            .map(|own| (own.statement, own.to.map(|to| chains.headline(to))))
            .collect(),
        conditions,
    }
}
