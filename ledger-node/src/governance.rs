//! The stored log's governance entries, found by following `logged` lines from the end down to 0.

use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::charter::{ChainError, Governance, ReplayError, governance_chain};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::proof::TlogProof;
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
    /// The entries have more bytes than the caller takes.
    #[error("the governance entries have more than {0} bytes")]
    TooLong(usize),
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
    entries_within(reader, size, usize::MAX)
}

/// The same, if they have at most so many bytes together. Reads no more of them.
///
/// # Errors
/// [`GovernanceError`].
pub fn entries_within(
    reader: &LogReader,
    size: TreeSize,
    most: usize,
) -> Result<Vec<(LeafIndex, Entry)>, GovernanceError> {
    let last = size.last().ok_or(ReplayError::NoCharter)?;
    let mut rest = most;
    let read = |at| {
        let entry = reader.entry(at, size)?;
        rest = rest.checked_sub(entry.len()).ok_or(GovernanceError::TooLong(most))?;
        let entry = Entry::parse(&entry);
        entry.map_err(|e| GovernanceError::Entry(at, e))
    };
    governance_chain(latest(reader, size, last)?, read).map_err(|error| match error {
        ChainError::Read(error) => error,
        ChainError::Order(at) => GovernanceError::Order(at),
    })
}

/// The governance entries of a checkpoint's tree, each with its proof, as a bundle about the last
/// of them. Nothing is verified but that stored entries have the hashes that the tiles say.
///
/// # Errors
/// [`GovernanceError`].
pub fn bundle(
    reader: &LogReader,
    checkpoint: &ClaimedCheckpoint,
) -> Result<AuthorityBundle, GovernanceError> {
    let size = checkpoint.checkpoint().head().size;
    let tree = reader.tree(size);
    let prove = |(index, entry): (LeafIndex, Entry)| {
        let inclusion = tree.inclusion(index, size)?;
        Ok(GovernanceEntry { index, entry, inclusion })
    };
    let governance = entries(reader, size)?.into_iter().map(prove);
    let governance: Vec<GovernanceEntry> = governance.collect::<Result<_, ReadError>>()?;
    about_last(governance, checkpoint).ok_or(ReplayError::NoCharter.into())
}

/// The bundle about the last of these entries; `None` where there is none.
pub fn about_last(
    governance: Vec<GovernanceEntry>,
    checkpoint: &ClaimedCheckpoint,
) -> Option<AuthorityBundle> {
    let last = governance.last()?;
    let proof = TlogProof {
        extra: Some(last.entry.logged().to_string().into_bytes()),
        index: last.index,
        inclusion: last.inclusion.clone(),
        checkpoint: checkpoint.clone(),
    };
    Some(AuthorityBundle::new(governance, proof))
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

/// What a log's own entries say about its rules: the chain up to the first unlawful entry where it
/// can be followed, else the charter at index 0 alone. Nothing is verified against a tree; that the
/// members of the charter signed each change is.
///
/// # Errors
/// Why there is no charter: what `read` says, or a text.
pub fn claimed<E: From<String>>(
    size: TreeSize,
    mut read: impl FnMut(LeafIndex) -> Result<Entry, E>,
) -> Result<Governance, E> {
    let first = read(LeafIndex::ZERO)?;
    let founded = Governance::found(&first).map_err(|e| e.to_string())?;
    Ok(follow(size, read).unwrap_or(founded))
}

/// Why the governance entries that a tree's own lines name lead to no rules. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfollowed<E> {
    /// An entry was not read; says why.
    Read(E),
    /// The entries that were read do not follow from one another.
    Replay,
}

/// The governance entries behind `after` that a tree's own lines name, read before anything is
/// verified.
///
/// # Errors
/// What `read` says.
pub fn back_to(
    after: LeafIndex,
    size: TreeSize,
    mut read: impl FnMut(LeafIndex) -> Result<Entry, String>,
) -> Result<Vec<(LeafIndex, Entry)>, String> {
    let mut found = Vec::new();
    let mut at = size.last().ok_or("an empty tree")?;
    let mut end = read(at)?;
    if !end.record().kind().is_governance() {
        at = end.logged().governance;
        end = read(at)?;
    }
    while at > after && found.len() < MAX_CLAIMED {
        let before = end.logged().governance;
        found.push((at, end));
        if before >= at {
            return Err("a line names an entry that does not stand before it".to_owned());
        }
        at = before;
        end = read(at)?;
    }
    found.reverse();
    Ok(found)
}

/// The rules at the end of a tree, by the governance entries that its own lines name, from the last
/// entry down to 0. Nothing is verified but that the members of the charter signed each change.
///
/// # Errors
/// [`Unfollowed`].
pub fn follow<E: From<String>>(
    size: TreeSize,
    mut read: impl FnMut(LeafIndex) -> Result<Entry, E>,
) -> Result<Governance, Unfollowed<E>> {
    let mut at = size.last().ok_or(Unfollowed::Replay)?;
    let last = read(at).map_err(Unfollowed::Read)?;
    if !last.record().kind().is_governance() {
        at = last.logged().governance;
    }
    let mut left = MAX_CLAIMED;
    let read = |at| {
        let Some(rest) = left.checked_sub(1) else {
            return Err("more governance entries than are followed".to_owned().into());
        };
        left = rest;
        read(at)
    };
    let chain = governance_chain(at, read).map_err(|error| match error {
        ChainError::Read(why) => Unfollowed::Read(why),
        ChainError::Order(_) => Unfollowed::Replay,
    })?;
    // an audit goes on by the rules before an unlawful entry too
    let replayed = Governance::replay_prefix(chain.iter().map(|(at, entry)| (*at, entry)));
    replayed.map(|own| own.0).map_err(|_| Unfollowed::Replay)
}
