//! The incident register: reports, remediations and reviews as one chain.

use crate::record::{Kind, StatementId};

use super::chains::Chains;
use super::chronicle::Relation;
use super::detail::{Detail, Incident};
use super::{Disclosed, Headline, Mention, Summary};

/// One incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentRow {
    /// Its reports.
    pub summary: Summary,
    /// The stage that it has reached.
    pub stage: Disclosed<String>,
    /// What sort of incident it is.
    pub class: Disclosed<String>,
    /// How grave it is.
    pub severity: Disclosed<String>,
    /// When the issuer became aware, in POSIX seconds.
    pub aware_at: Disclosed<u64>,
    /// When it was resolved, in POSIX seconds.
    pub resolved_at: Disclosed<u64>,
    /// Whether more is expected.
    pub state: IncidentState,
    /// What is done about it.
    pub remediations: Vec<RemediationRow>,
    /// Who looked into it, and with what outcome.
    pub reviews: Vec<Mention>,
}

/// How an incident stands. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentState {
    /// A report is to come.
    Open,
    /// The final report is there, or the issuer says that it is resolved.
    Closed,
    /// Its issuer says that it is another one.
    Duplicate(StatementId),
    /// All its reports were retracted.
    Retracted,
}

/// A remediation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemediationRow {
    /// Its first record.
    pub first: Headline,
    /// Its state.
    pub state: Disclosed<String>,
    /// Who does it.
    pub owner: Option<String>,
    /// By when, in POSIX seconds.
    pub due_by: Disclosed<u64>,
}

impl IncidentState {
    /// `open`, `closed`, `duplicate` or `retracted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            IncidentState::Open => "open",
            IncidentState::Closed => "closed",
            IncidentState::Duplicate(_) => "duplicate",
            IncidentState::Retracted => "retracted",
        }
    }
}

/// The incidents, in the order of their first reports.
pub fn incidents(chains: &Chains<'_>) -> Vec<IncidentRow> {
    chains.of_kind(Kind::Incident).map(|chain| row(chains, chain)).collect()
}

fn row(chains: &Chains<'_>, chain: u32) -> IncidentRow {
    let incident = of(chains, chain);
    let remediations = chains.related(chain, Kind::Remediation, Relation::Remediates);
    let reviews = chains.related(chain, Kind::Review, Relation::Reviews);
    IncidentRow {
        summary: chains.summary(chain),
        stage: chains.text(incident.stage),
        class: chains.text(incident.class),
        severity: chains.text(incident.severity),
        aware_at: incident.aware_at,
        resolved_at: incident.resolved_at,
        state: state(chains, chain),
        remediations: remediations.into_iter().map(|at| remediation(chains, at)).collect(),
        reviews: reviews.into_iter().map(|at| chains.mention(at)).collect(),
    }
}

fn of(chains: &Chains<'_>, chain: u32) -> Incident {
    match chains.fact(chains.latest(chain)).detail {
        Detail::Incident(incident) => incident,
        _ => unreachable!("a chain has records of one kind"),
    }
}

fn state(chains: &Chains<'_>, chain: u32) -> IncidentState {
    if chains.standing(chain).next().is_none() {
        return IncidentState::Retracted;
    }
    let is_final = |word: &String| word == "final";
    match duplicate_of(chains, chain) {
        Some(other) => IncidentState::Duplicate(other),
        None if chains.text(of(chains, chain).stage).said().as_ref().is_some_and(is_final) => {
            IncidentState::Closed
        }
        None if resolution(chains, chain).is_some() => IncidentState::Closed,
        None => IncidentState::Open,
    }
}

/// The record outside of the chain that the latest report says it duplicates.
fn duplicate_of(chains: &Chains<'_>, chain: u32) -> Option<StatementId> {
    let refs = chains.chronicle.refs(chains.fact(chains.latest(chain)));
    let outside = |to: Option<u32>| to.is_none_or(|to| chains.chain_of(to) != chain);
    let found = refs.iter().find(|own| own.relation == Relation::Duplicates && outside(own.to));
    found.map(|own| own.statement)
}

/// When a record that binds said that the incident is resolved, unless a report came after it.
fn resolution(chains: &Chains<'_>, chain: u32) -> Option<u64> {
    let latest = chains.latest(chain);
    let resolves = |own: &&super::chronicle::StoredRef| {
        own.relation == Relation::Resolves && own.binds && own.from >= latest
    };
    let times = chains.incoming(chain).filter(resolves).map(|own| chains.fact(own.from).logged);
    times.min()
}

/// From when on nobody expects an interim report any more.
pub(super) fn settled_at(chains: &Chains<'_>, chain: u32) -> Option<u64> {
    let latest = chains.fact(chains.latest(chain));
    let duplicate = duplicate_of(chains, chain).map(|_| latest.logged);
    let times = [of(chains, chain).resolved_at.said(), resolution(chains, chain), duplicate];
    times.into_iter().flatten().min()
}

fn remediation(chains: &Chains<'_>, chain: u32) -> RemediationRow {
    let latest = chains.fact(chains.latest(chain));
    let due_by = match latest.detail {
        Detail::Remediation { due_by, .. } => due_by,
        _ => Disclosed::Absent,
    };
    RemediationRow {
        first: chains.headline(chains.records(chain)[0]),
        state: chains.text(latest.detail.word()),
        owner: latest.owner.map(|owner| chains.chronicle.names.text(owner).to_owned()),
        due_by,
    }
}
