//! The risk register: the latest word on each risk.

use crate::record::Kind;

use super::chains::Chains;
use super::chronicle::Relation;
use super::detail::Detail;
use super::{Disclosed, Mention, Summary};

/// One risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskRow {
    /// Its records.
    pub summary: Summary,
    /// How likely it is, 1 to 5.
    pub likelihood: Disclosed<u64>,
    /// How grave it would be, 1 to 5.
    pub impact: Disclosed<u64>,
    /// Likelihood times impact, where both are told.
    pub score: Option<u64>,
    /// What is done with it.
    pub treatment: Disclosed<String>,
    /// Where it stands.
    pub status: Disclosed<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// When it is looked at again, in POSIX seconds.
    pub next_review: Disclosed<u64>,
    /// The records that mitigate it.
    pub mitigations: Vec<Mention>,
}

/// The risks, in the order of their first records.
pub fn risks(chains: &Chains<'_>) -> Vec<RiskRow> {
    chains.of_kind(Kind::Risk).map(|chain| row(chains, chain)).collect()
}

fn row(chains: &Chains<'_>, chain: u32) -> RiskRow {
    let latest = chains.fact(chains.latest(chain));
    let Detail::Risk(risk) = latest.detail else { unreachable!("a chain has one kind") };
    let mitigations = chains.referring(chain, |own| own.relation == Relation::Mitigates);
    let score = risk.likelihood.said().zip(risk.impact.said());
    RiskRow {
        summary: chains.summary(chain),
        likelihood: risk.likelihood,
        impact: risk.impact,
        score: score.map(|(likelihood, impact)| likelihood * impact),
        treatment: chains.text(risk.treatment),
        status: chains.text(risk.status),
        owner: latest.owner.map(|owner| chains.chronicle.names.text(owner).to_owned()),
        next_review: risk.next_review,
        mitigations: mitigations.into_iter().map(|at| chains.mention(at)).collect(),
    }
}
