//! The decision register: what was decided, and what became of it.

use crate::record::Kind;

use super::chains::Chains;
use super::chronicle::Relation;
use super::detail::Detail;
use super::{Disclosed, Headline, Mention, Summary};

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// Its records.
    pub summary: Summary,
    /// Where it says that it stands.
    pub status: Disclosed<String>,
    /// The first record that supersedes it and binds.
    pub superseded_by: Option<Headline>,
    /// When it is to be looked at again, in POSIX seconds.
    pub review_by: Disclosed<u64>,
    /// The reviews of it.
    pub reviews: Vec<Mention>,
    /// The appeals and disputes against it.
    pub appeals: Vec<Mention>,
}

/// The decisions, in the order of their first records.
pub fn decisions(chains: &Chains<'_>) -> Vec<DecisionRow> {
    chains.of_kind(Kind::Decision).map(|chain| row(chains, chain)).collect()
}

fn row(chains: &Chains<'_>, chain: u32) -> DecisionRow {
    let latest = chains.fact(chains.latest(chain));
    let Detail::Decision { status, review_by } = latest.detail else {
        unreachable!("a chain has one kind")
    };
    let superseding = chains.incoming(chain).find(|own| {
        own.relation == Relation::Supersedes && own.binds && chains.chain_of(own.from) != chain
    });
    let reviews = chains.related(chain, Kind::Review, Relation::Reviews);
    let appeals = chains.referring(chain, |own| match own.relation {
        Relation::Appeals => true,
        Relation::Target => chains.fact(own.from).kind == Kind::Dispute,
        _ => false,
    });
    DecisionRow {
        summary: chains.summary(chain),
        status: chains.text(status),
        superseded_by: superseding.map(|own| chains.headline(own.from)),
        review_by,
        reviews: reviews.into_iter().map(|at| chains.mention(at)).collect(),
        appeals: appeals.into_iter().map(|at| chains.mention(at)).collect(),
    }
}
