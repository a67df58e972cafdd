//! The stored log's governance entries, found by following `logged` lines from the end down to 0.

use ledger_core::charter::{ChainError, Governance, ReplayError, governance_chain};
use ledger_core::record::{Entry, EntryError, Outline};
use ledger_core::{LeafIndex, TreeSize};

use crate::log::{LogReader, ReadError};

/// Why the governance entries cannot be read. No sequencer wrote such a log, or it is damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GovernanceError {
    /// A stored file is missing or damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry is none.
    #[error("entry {0} is not an entry of this log: {1}")]
    Entry(LeafIndex, EntryError),
    /// A `logged` line names an entry that does not stand before it.
    #[error("entry {0} names a governance entry that does not stand before it")]
    Order(LeafIndex),
    /// The entries do not follow from one another.
    #[error("the stored charter is not sound: {0}")]
    Replay(#[from] ReplayError),
}

/// The governance of the tree of `size` leaves.
///
/// # Errors
/// [`GovernanceError`].
pub fn replay(reader: &LogReader, size: TreeSize) -> Result<Governance, GovernanceError> {
    let chain = entries(reader, size)?;
    Ok(Governance::replay(chain.iter().map(|(at, entry)| (*at, entry)))?)
}

/// The governance entries of the tree of `size` leaves, the charter first.
///
/// # Errors
/// [`GovernanceError`].
pub fn entries(
    reader: &LogReader,
    size: TreeSize,
) -> Result<Vec<(LeafIndex, Entry)>, GovernanceError> {
    let last = size.last().ok_or(ReplayError::NoCharter)?;
    let read = |at| {
        let entry = Entry::parse(&reader.entry(at, size)?);
        entry.map_err(|e| GovernanceError::Entry(at, e))
    };
    governance_chain(latest(reader, size, last)?, read).map_err(|error| match error {
        ChainError::Read(error) => error,
        ChainError::Order(at) => GovernanceError::Order(at),
    })
}

/// The last entry itself if it is one of governance, else the one that its line names.
fn latest(
    reader: &LogReader,
    size: TreeSize,
    last: LeafIndex,
) -> Result<LeafIndex, GovernanceError> {
    let entry = reader.entry(last, size)?;
    let (logged, record) = Entry::split(&entry).map_err(|e| GovernanceError::Entry(last, e))?;
    let outline = Outline::parse(record).map_err(|e| GovernanceError::Entry(last, e.into()))?;
    let governs = outline.envelope().kind().is_governance();
    if !governs && logged.governance >= last {
        return Err(GovernanceError::Order(last));
    }
    Ok(if governs { last } else { logged.governance })
}

/// Governance entries that are read before anything is verified: changes of a charter are rare.
const MAX_CLAIMED: usize = 10_000;

/// What a log's own entries say about its rules: the whole chain where it can be followed, else the
/// charter at index 0 alone. Nothing is verified against a tree; that the members of the charter signed
/// each change is.
///
/// # Errors
/// Why there is no charter.
pub fn claimed(
    size: TreeSize,
    mut read: impl FnMut(LeafIndex) -> Result<Entry, String>,
) -> Result<Governance, String> {
    let first = read(LeafIndex::ZERO)?;
    let founded = Governance::found(&first).map_err(|e| e.to_string())?;
    Ok(follow(size, read).unwrap_or(founded))
}

fn follow(
    size: TreeSize,
    mut read: impl FnMut(LeafIndex) -> Result<Entry, String>,
) -> Option<Governance> {
    let mut at = size.last()?;
    let last = read(at).ok()?;
    if !last.record().kind().is_governance() {
        at = last.logged().governance;
    }
    let mut left = MAX_CLAIMED;
    let read = |at| {
        left = left.checked_sub(1).ok_or("more governance entries than are followed")?;
        read(at)
    };
    let chain = governance_chain(at, read).ok()?;
    Governance::replay(chain.iter().map(|(at, entry)| (*at, entry))).ok()
}
