//! Authority at any index from leaves alone: the chain of governance entries.
//!
//! The chain is judged by [`EntryVisitor`], the fold that audits run: an audit runs it over all entries,
//! this over those of governance and the record in question. An entry that an audit finds unlawful
//! for a reason that lies among these is unlawful here too.

use std::sync::Arc;

use crate::Hint;
use crate::index::LeafIndex;
use crate::record::{Entry, Kind, Logged, Record, StatementId};

use super::lawful::{
    CheckedEntry, DuplicatesInMemory, EntryVisitor, Finding, LaterEntry, SeenBefore, UniqueKeys,
    Unlawful,
};
use super::{Charter, Rejection};

/// The governance entries of a log up to some index, each judged by the ones before it.
///
/// An entry's `logged` line names the latest governance entry before it, that one's line the one
/// before, and so on down to the charter at index 0: a handful of entries decides who may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Governance {
    /// In the order of their indices, the charter's first; never empty.
    states: Vec<GovernanceState>,
    /// The fold behind the last of them.
    fold: EntryVisitor<DuplicatesInMemory>,
}

/// What one governance entry made of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GovernanceState {
    index: LeafIndex,
    entry: LaterEntry,
    charter: Arc<Charter>,
}

impl GovernanceState {
    /// Where the entry stands.
    pub fn index(&self) -> LeafIndex {
        self.index
    }

    /// The log's time of the entry.
    pub fn time(&self) -> u64 {
        self.entry.logged.time
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
    /// An entry is unlawful.
    #[error("governance entry {index}: {why}")]
    Unlawful {
        /// The entry.
        index: LeafIndex,
        /// The rule.
        why: Unlawful,
    },
    /// This version cannot judge an entry.
    #[error("governance entry {index}: {why}")]
    NotJudged {
        /// The entry.
        index: LeafIndex,
        /// What it does not know.
        why: String,
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
    /// It is unlawful.
    #[error(transparent)]
    Unlawful(#[from] Unlawful),
    /// With it at its place a governance entry behind it is unlawful.
    #[error("with this record at its place, {0}")]
    Spoils(ReplayError),
    /// Another record stands at its place.
    #[error("entry {index} of this log is another record, {statement}")]
    OtherRecord {
        /// The place.
        index: LeafIndex,
        /// The statement that stands there.
        statement: StatementId,
    },
    /// This version cannot judge it.
    #[error("{0}")]
    NotJudged(String),
}

impl JudgeError {
    /// Whether the log is shown to have taken what its rules refuse, or to have written a line that
    /// contradicts its own entries.
    pub fn is_unlawful(&self) -> bool {
        match self {
            JudgeError::Unknown(_) | JudgeError::OtherRecord { .. } => false,
            JudgeError::NotJudged(_) => false,
            JudgeError::Unlawful(_) | JudgeError::Spoils(_) => true,
        }
    }
}

impl Hint for JudgeError {
    fn hint(&self) -> &'static str {
        match self {
            JudgeError::Unknown(_) => {
                "get the entries that decide: ledger prove --index N --authority -o LOG.authority"
            }
            JudgeError::Unlawful(why) => why.hint(),
            JudgeError::Spoils(error) => error.hint(),
            JudgeError::OtherRecord { .. } => {
                "keep both files: the log showed you two histories, or one of them is forged"
            }
            JudgeError::NotJudged(_) => NEWER_VERSION,
        }
    }
}

const NEWER_VERSION: &str = "use a newer version of this program";

impl Hint for ReplayError {
    fn hint(&self) -> &'static str {
        match self {
            ReplayError::NoCharter | ReplayError::NotGovernance { .. } => {
                "follow the second number of each `logged` line down to 0"
            }
            ReplayError::Unlawful { why, .. } => why.hint(),
            ReplayError::NotJudged { .. } => NEWER_VERSION,
        }
    }
}

impl Governance {
    /// Begins with the entry at index 0.
    ///
    /// # Errors
    /// [`ReplayError::Unlawful`] or [`ReplayError::NotJudged`].
    pub fn found(entry: &Entry) -> Result<Governance, ReplayError> {
        let index = LeafIndex::ZERO;
        let charter = Charter::found(entry).map_err(|rejection| refused(index, rejection))?;
        let charter = Arc::new(charter);
        let fold =
            EntryVisitor::founded(Arc::clone(&charter), entry, DuplicatesInMemory::default());
        Ok(Governance { states: vec![GovernanceState::new(index, entry, charter)], fold })
    }

    /// Goes on with the next governance entry.
    ///
    /// # Errors
    /// [`ReplayError`]; the rules have not changed then, as in an audit behind an unlawful entry.
    pub fn push(&mut self, index: LeafIndex, entry: &Entry) -> Result<(), ReplayError> {
        let kind = entry.record().kind();
        if !kind.is_governance() {
            return Err(ReplayError::NotGovernance { index, kind });
        }
        let look = CheckedEntry::of(self.charter(), entry.logged(), entry.record());
        let Ok(finding) = self.fold.judge(index, look);
        match finding {
            Finding::Lawful(admitted) => {
                self.states.push(GovernanceState::new(index, entry, admitted.then));
                Ok(())
            }
            Finding::Unlawful(why) => Err(ReplayError::Unlawful { index, why }),
            Finding::NotJudged(why) => Err(ReplayError::NotJudged { index, why }),
        }
    }

    /// Replays entries in the order of their indices, the first at index 0.
    ///
    /// # Errors
    /// [`ReplayError`] for the first entry that does not belong there.
    pub fn replay<'a>(
        entries: impl IntoIterator<Item = (LeafIndex, &'a Entry)>,
    ) -> Result<Governance, ReplayError> {
        let (governance, end) = Governance::replay_prefix(entries)?;
        end.map_or(Ok(governance), Err)
    }

    /// Replays entries as [`Governance::replay`] does, up to the first that does not belong there;
    /// gives the governance before it, and why it does not.
    ///
    /// # Errors
    /// [`ReplayError`] if the first entry founds no log.
    pub fn replay_prefix<'a>(
        entries: impl IntoIterator<Item = (LeafIndex, &'a Entry)>,
    ) -> Result<(Governance, Option<ReplayError>), ReplayError> {
        let mut entries = entries.into_iter();
        let (LeafIndex::ZERO, first) = entries.next().ok_or(ReplayError::NoCharter)? else {
            return Err(ReplayError::NoCharter);
        };
        let mut governance = Governance::found(first)?;
        let end = entries.find_map(|(index, entry)| governance.push(index, entry).err());
        Ok((governance, end))
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

    /// Judges a record at its place, as an audit does that has seen the governance entries before
    /// it and no others; gives the rules that judged it.
    ///
    /// # Errors
    /// [`JudgeError`]: the rule that refuses it, or that the record contradicts the governance
    /// entries that are known here.
    pub fn judge(
        &self,
        record: &Record,
        logged: &Logged,
        index: LeafIndex,
    ) -> Result<Arc<Charter>, JudgeError> {
        let (before, rest) =
            self.states.split_at(self.states.partition_point(|state| state.index < index));
        let last = before.last().unwrap_or(&self.states[0]);
        let named = logged.governance;
        if last.index < named && named < index {
            return Err(JudgeError::Unknown(named));
        }
        let time = before.last().map_or(0, GovernanceState::time);
        let seen = SeenBefore { seen: self.fold.seen_so_far(), index };
        let mut fold = EntryVisitor::new(Arc::clone(&last.charter), time, seen);
        let Ok(finding) = fold.judge(index, CheckedEntry::of(&last.charter, *logged, record));
        let admitted = match finding {
            Finding::Lawful(admitted) => admitted,
            Finding::Unlawful(why) => return Err(JudgeError::Unlawful(why)),
            Finding::NotJudged(why) => return Err(JudgeError::NotJudged(why)),
        };
        if let Some(own) = rest.first().filter(|own| own.index == index) {
            let (statement, same) = (own.statement(), own.statement() == record.statement());
            // what stands behind it was judged with it
            let other = JudgeError::OtherRecord { index, statement };
            return if same { Ok(admitted.judge) } else { Err(other) };
        }
        for later in rest {
            if let Some(why) = admitted.spoils(index, &later.entry) {
                return Err(JudgeError::Spoils(ReplayError::Unlawful { index: later.index, why }));
            }
        }
        Ok(admitted.judge)
    }

    /// The entries and the rules after each.
    pub fn states(&self) -> &[GovernanceState] {
        &self.states
    }
}

impl GovernanceState {
    fn new(index: LeafIndex, entry: &Entry, charter: Arc<Charter>) -> GovernanceState {
        let entry =
            LaterEntry { logged: entry.logged(), names: UniqueKeys::of_record(entry.record()) };
        GovernanceState { index, entry, charter }
    }
}

fn refused(index: LeafIndex, rejection: Rejection) -> ReplayError {
    match rejection {
        new if new.is_not_supported() => ReplayError::NotJudged { index, why: new.to_string() },
        rejection => ReplayError::Unlawful { index, why: Unlawful::Refused(rejection) },
    }
}
