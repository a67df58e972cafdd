//! Authority at any index from leaves alone: the chain of governance entries.

use std::sync::Arc;

use crate::index::LeafIndex;
use crate::record::{Entry, Kind, Logged, Record, StatementId};

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
    time: u64,
    charter: Arc<Charter>,
}

impl GovernanceState {
    /// Where the entry stands.
    pub fn index(&self) -> LeafIndex {
        self.index
    }

    /// The log's time of the entry.
    pub fn time(&self) -> u64 {
        self.time
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
    /// The log's time goes back.
    #[error("the time of governance entry {0} lies before the governance entry before it")]
    TimeReversal(LeafIndex),
    /// A rule refuses an entry.
    #[error("governance entry {index}: {rejection}")]
    Rejected {
        /// The entry.
        index: LeafIndex,
        /// The rule.
        rejection: Rejection,
    },
}

/// Why governance entries cannot be followed down to the charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainError<E> {
    /// An entry cannot be read.
    Read(E),
    /// A `logged` line names an entry that does not stand before it.
    Order(LeafIndex),
}

/// The governance entries up to the one at `latest`, the charter first: each `logged` line names
/// the one before, down to 0.
///
/// # Errors
/// [`ChainError`].
pub fn governance_chain<E>(
    latest: LeafIndex,
    mut read: impl FnMut(LeafIndex) -> Result<Entry, E>,
) -> Result<Vec<(LeafIndex, Entry)>, ChainError<E>> {
    let mut chain = Vec::new();
    let mut at = latest;
    loop {
        let entry = read(at).map_err(ChainError::Read)?;
        let before = entry.logged().governance;
        chain.push((at, entry));
        if at == LeafIndex::ZERO {
            chain.reverse();
            return Ok(chain);
        }
        if before >= at {
            return Err(ChainError::Order(at));
        }
        at = before;
    }
}

/// Why a record at its place is not lawful, or cannot be judged from these entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// Its line names an entry that is not among these.
    #[error("the logged line names governance entry {0}, which is not known here")]
    Unknown(LeafIndex),
    /// The log named the wrong governance entry: a later one stands before the record.
    #[error(
        "the logged line names governance entry {named}, but entry {latest} came before the record"
    )]
    Skipped {
        /// What the line names.
        named: LeafIndex,
        /// The latest governance entry before the record.
        latest: LeafIndex,
    },
    /// Its time contradicts the time of a governance entry before or behind it.
    #[error("the time of entry {0} contradicts the time of a governance entry")]
    TimeReversal(LeafIndex),
    /// A rule refuses it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl JudgeError {
    /// Whether the log is shown to have taken what its rules refuse, or to have written a line that
    /// contradicts its own entries.
    pub fn is_unlawful(&self) -> bool {
        match self {
            JudgeError::Unknown(_) => false,
            JudgeError::Rejected(rejection) => !rejection.is_not_supported(),
            JudgeError::Skipped { .. } | JudgeError::TimeReversal(_) => true,
        }
    }

    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            JudgeError::Unknown(_) => {
                "get the entries that decide: ledger prove --index N --authority -o LOG.authority"
            }
            JudgeError::Rejected(rejection) => rejection.hint(),
            JudgeError::Skipped { .. } | JudgeError::TimeReversal(_) => {
                "keep the files: they show that the log misbehaved"
            }
        }
    }
}

impl ReplayError {
    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            ReplayError::NoCharter | ReplayError::NotGovernance { .. } => {
                "follow the second number of each `logged` line down to 0"
            }
            ReplayError::TimeReversal(_) => "keep the entries: they show that the log misbehaved",
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
        let (time, charter) = (entry.logged().time, Arc::new(charter));
        Ok(Governance { states: vec![GovernanceState { index, time, charter }] })
    }

    /// Goes on with the next governance entry.
    ///
    /// # Errors
    /// [`ReplayError`]; nothing has changed then.
    pub fn push(&mut self, index: LeafIndex, entry: &Entry) -> Result<(), ReplayError> {
        let rejected = |rejection| ReplayError::Rejected { index, rejection };
        let before = self.states.last().map_or(0, |state| state.time);
        let time = entry.logged().time;
        if time < before {
            return Err(ReplayError::TimeReversal(index));
        }
        let charter = self.charter();
        let signed = charter.verify(entry.record().clone()).map_err(rejected)?;
        match charter.admit(&signed, &entry.logged(), index).map_err(rejected)? {
            Change::Record => {
                Err(ReplayError::NotGovernance { index, kind: entry.record().kind() })
            }
            Change::Governance(next) => {
                self.states.push(GovernanceState { index, time, charter: Arc::from(next) });
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

    /// Judges a record at its place, by the entry that its `logged` line names.
    ///
    /// # Errors
    /// [`JudgeError`]: the rule that refuses it, or that the line contradicts the governance
    /// entries that are known here.
    pub fn judge(
        &self,
        record: &Record,
        logged: &Logged,
        index: LeafIndex,
    ) -> Result<Arc<Charter>, JudgeError> {
        let named = logged.governance;
        let charter = self.at(named).ok_or(JudgeError::Unknown(named))?;
        // indices grow and times never go back: the neighbours speak for all
        let (before, rest) =
            self.states.split_at(self.states.partition_point(|state| state.index < index));
        if let Some(latest) = before.last().map(|state| state.index)
            && latest > named
        {
            return Err(JudgeError::Skipped { named, latest });
        }
        let after = rest.iter().find(|state| state.index > index);
        let too_early = before.last().is_some_and(|state| state.time > logged.time);
        if too_early || after.is_some_and(|state| state.time < logged.time) {
            return Err(JudgeError::TimeReversal(index));
        }
        // the charter itself was judged when it was read
        if index > LeafIndex::ZERO {
            let signed = charter.verify(record.clone())?;
            charter.admit(&signed, logged, index)?;
        } else if record.statement() != charter.statement() {
            return Err(JudgeError::Rejected(Rejection::IndexZero));
        }
        Ok(Arc::clone(charter))
    }

    /// The entries and the rules after each.
    pub fn states(&self) -> &[GovernanceState] {
        &self.states
    }
}
