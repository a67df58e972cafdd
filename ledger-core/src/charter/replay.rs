//! Authority at any index from leaves alone: the chain of governance entries.

use std::sync::Arc;

use crate::index::LeafIndex;
use crate::record::{Entry, Kind, StatementId};

use super::{Change, Charter, Rejection};

/// The governance entries of a log up to some index, each judged by the ones before it.
///
/// An entry's `logged` line names the latest governance entry before it, that one's line the one
/// before, and so on down to the charter at index 0: a handful of entries decides who may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Governance {
    /// In the order of their indices, the charter's first; never empty.
    states: Vec<GovernanceState>,
}

/// What one governance entry made of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GovernanceState {
    index: LeafIndex,
    charter: Arc<Charter>,
}

impl GovernanceState {
    /// Where the entry stands.
    pub fn index(&self) -> LeafIndex {
        self.index
    }

    /// The entry's statement id.
    pub fn statement(&self) -> StatementId {
        self.charter.base()
    }

    /// The rules from behind the entry on.
    pub fn charter(&self) -> &Charter {
        &self.charter
    }
}

/// Why entries are not a log's chain of governance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// No log begins without a charter.
    #[error("there is no entry at index 0, so no charter")]
    NoCharter,
    /// An entry is of another kind.
    #[error("entry {index} is a record of kind {kind}, which changes no authority")]
    NotGovernance {
        /// The entry.
        index: LeafIndex,
        /// Its kind.
        kind: Kind,
    },
    /// A rule refuses an entry.
    #[error("governance entry {index}: {rejection}")]
    Rejected {
        /// The entry.
        index: LeafIndex,
        /// The rule.
        rejection: Rejection,
    },
}

impl ReplayError {
    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            ReplayError::NoCharter | ReplayError::NotGovernance { .. } => {
                "follow the second number of each `logged` line down to 0"
            }
            ReplayError::Rejected { rejection, .. } => rejection.hint(),
        }
    }
}

impl Governance {
    /// Begins with the entry at index 0.
    ///
    /// # Errors
    /// [`ReplayError::Rejected`].
    pub fn found(entry: &Entry) -> Result<Governance, ReplayError> {
        let index = LeafIndex::ZERO;
        let charter = Charter::found(entry);
        let charter = charter.map_err(|rejection| ReplayError::Rejected { index, rejection })?;
        Ok(Governance { states: vec![GovernanceState { index, charter: Arc::new(charter) }] })
    }

    /// Goes on with the next governance entry.
    ///
    /// # Errors
    /// [`ReplayError`]; nothing has changed then.
    pub fn push(&mut self, index: LeafIndex, entry: &Entry) -> Result<(), ReplayError> {
        let rejected = |rejection| ReplayError::Rejected { index, rejection };
        let charter = self.charter();
        let signed = charter.verify(entry.record().clone()).map_err(rejected)?;
        match charter.admit(&signed, &entry.logged(), index).map_err(rejected)? {
            Change::Record => {
                Err(ReplayError::NotGovernance { index, kind: entry.record().kind() })
            }
            Change::Governance(next) => {
                self.states.push(GovernanceState { index, charter: Arc::from(next) });
                Ok(())
            }
        }
    }

    /// Replays entries in the order of their indices, the first at index 0.
    ///
    /// # Errors
    /// [`ReplayError`] for the first entry that does not belong there.
    pub fn replay<'a>(
        entries: impl IntoIterator<Item = (LeafIndex, &'a Entry)>,
    ) -> Result<Governance, ReplayError> {
        let mut entries = entries.into_iter();
        let (LeafIndex::ZERO, first) = entries.next().ok_or(ReplayError::NoCharter)? else {
            return Err(ReplayError::NoCharter);
        };
        let mut governance = Governance::found(first)?;
        for (index, entry) in entries {
            governance.push(index, entry)?;
        }
        Ok(governance)
    }

    /// The rules after the last of the entries.
    pub fn charter(&self) -> &Arc<Charter> {
        let last = self.states.last().expect("there is the charter at least");
        &last.charter
    }

    /// The rules after the entry at `index`, if it is one of these.
    pub fn at(&self, index: LeafIndex) -> Option<&Arc<Charter>> {
        let at = self.states.binary_search_by_key(&index, GovernanceState::index).ok()?;
        Some(&self.states[at].charter)
    }

    /// The entries and the rules after each.
    pub fn states(&self) -> &[GovernanceState] {
        &self.states
    }
}
