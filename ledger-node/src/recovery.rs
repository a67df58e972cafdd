//! Bringing a log up to its journal after any kind of stop, before it takes records again.

use std::sync::Arc;

use ledger_core::Hint;
use ledger_core::batch::{AppendError, Edge, RestoreError};
use ledger_core::charter::{Charter, Governance, RetiredLogKey};
use ledger_core::checkpoint::{CheckpointError, ClaimedCheckpoint, ParseCheckpointError};
use ledger_core::merkle::TreeHead;
use ledger_core::note::{SignerKey, VerifierKey};
use ledger_core::policy::Policy;
use ledger_core::record::{Entry, EntryError, Logged};
use ledger_core::tile::TILE_WIDTH;
use ledger_core::{LeafIndex, TreeSize};

use crate::governance::{self, GovernanceError};
use crate::index::{EntryKeys, Index, IndexError};
use crate::log::{LogReader, ReadError};
use crate::store::{Store, StoreError};

/// A log brought up to its journal.
pub struct Recovered {
    /// The tree's right edge.
    pub edge: Edge,
    /// The head promised last; it is the edge's, or older by what a crash left unpromised.
    pub head: Option<ClaimedCheckpoint>,
    /// The checkpoint that readers saw last, if one of the log's keys signed it.
    pub published: Option<ClaimedCheckpoint>,
    /// The rules in force.
    pub charter: Arc<Charter>,
    /// The policies that were in force before changes that readers have not seen yet.
    pub before: Vec<Policy>,
    /// The last entry's `logged` line.
    pub last: Logged,
}

/// Why a log cannot be brought up. Nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The store failed or found damage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored file is missing or damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The tiles do not give the tree that the journal starts from.
    #[error("the stored tiles do not give the tree that the journal goes on from: {0}")]
    Restore(#[from] RestoreError<ReadError>),
    /// The journal cannot be appended; only a full tree does that.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The promised head is not a checkpoint.
    #[error("the promised head is damaged: {0}")]
    Head(#[from] ParseCheckpointError),
    /// The head was signed by another key.
    #[error("the last head of this log was not signed by a log key of its charter: {0}")]
    WrongKey(CheckpointError),
    /// The journal ends before the promised head.
    #[error("this log has signed a head of {promised} entries, but only {found} are stored")]
    EntriesLost {
        /// The size of the promised head.
        promised: TreeSize,
        /// The size that journal and tiles give.
        found: TreeSize,
    },
    /// The journal's entries are not those of the promised head.
    #[error("the stored entries do not have the root of the head of size {0} that this log signed")]
    OtherTree(TreeSize),
    /// Readers have seen more than was promised: the state was restored from a backup, or is gone.
    #[error(
        "site/checkpoint has size {published} and this log's signature, but the node remembers \
         signing only {promised}"
    )]
    StateBehind {
        /// The size in the published checkpoint.
        published: TreeSize,
        /// The size of the promised head.
        promised: TreeSize,
    },
    /// The log has no entry, so no charter.
    #[error("the log has no charter")]
    NoCharter,
    /// A stored entry is not one that this node writes.
    #[error("entry {0} is not an entry of this log: {1}")]
    Entry(LeafIndex, EntryError),
    /// The governance entries do not give a charter.
    #[error(transparent)]
    Governance(#[from] GovernanceError),
    /// The configured key is not the charter's.
    #[error("the configured log key {0} is not one of the charter's log keys")]
    KeyNotInCharter(String),
}

impl Hint for RecoveryError {
    fn hint(&self) -> &'static str {
        match self {
            RecoveryError::Store(error) => error.hint(),
            RecoveryError::Read(ReadError::Store(error)) => error.hint(),
            RecoveryError::WrongKey(_) | RecoveryError::KeyNotInCharter(_) => {
                "set log_key in config.toml to the file of a log key that the charter lists"
            }
            RecoveryError::NoCharter => "make the log with ledger-node init",
            RecoveryError::Append(_) => "the log is full; the consortium needs a new one",
            RecoveryError::Index(_) => {
                "delete private/index or run ledger-node reindex; it is derived from the entries"
            }
            RecoveryError::EntriesLost { .. } | RecoveryError::StateBehind { .. } => {
                "keep the directory as it is: nothing was signed. Bring back what is missing from a copy \
                 of the site: `ledger-node recover --dir DIR --from URL`; where only private/ is older, \
                 DIR itself is such a copy"
            }
            _ => {
                "keep the directory as it is: nothing was signed. Compare it with a backup or with \
                 what readers hold (`ledger audit`) before anything else"
            }
        }
    }
}

/// What has to be here. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// All that the log has promised and shown.
    Everything,
    /// Whatever is here, as long as it does not contradict what was promised: the rest is to be
    /// brought back.
    WhatIsHere,
}

/// Brings tiles, index and charter up to the journal.
///
/// # Errors
/// [`RecoveryError`] when what is stored is not what this log has promised.
pub fn recover(
    store: &Arc<dyn Store>,
    index: &Index,
    log_key: &SignerKey,
) -> Result<Recovered, RecoveryError> {
    recover_as_far(store, index, log_key, Demand::Everything)
}

/// As [`recover`], also where a part of what the log has promised is not here.
///
/// # Errors
/// [`RecoveryError`].
pub fn recover_as_far(
    store: &Arc<dyn Store>,
    index: &Index,
    log_key: &SignerKey,
    demand: Demand,
) -> Result<Recovered, RecoveryError> {
    let head = promised_head(store.as_ref())?;
    let published = published_claim(store.as_ref())?;
    let reader = LogReader::new(store.clone());
    let replay = store.replay()?;
    let mut edge = match replay.base {
        TreeHead::EMPTY => Edge::new(),
        base => restore_edge(&reader, &base)?,
    };
    let promised = head.as_ref().map(|head| *head.checkpoint().head());
    let published_by =
        |keys: &[VerifierKey]| published_head(published.as_ref(), keys, promised, demand);
    let published_by_own = published_by(std::slice::from_ref(log_key.verifier()))?;
    for batch in &replay.batches {
        for (coord, bytes) in edge.append(batch)?.tiles {
            store.restore(coord, &bytes)?;
        }
        if let Some(promised) = promised.filter(|head| head.size == edge.size())
            && promised != edge.head()
        {
            return Err(RecoveryError::OtherTree(promised.size));
        }
    }
    for signed in [promised, published_by_own].into_iter().flatten() {
        check_promise(&reader, signed, &edge, demand)?;
    }
    let size = edge.size();
    catch_up(index, &reader, size)?;
    let at = size.last().ok_or(RecoveryError::NoCharter)?;
    let entry = reader.entry(at, size)?;
    let (last, _) = Entry::split(&entry).map_err(|e| RecoveryError::Entry(at, e))?;
    let governance = governance::replay(&reader, size)?;
    let charter = Arc::clone(governance.charter());
    let retired = charter.retired_log_keys().iter().map(RetiredLogKey::key);
    let keys: Vec<VerifierKey> = charter.log_keys().iter().chain(retired).cloned().collect();
    if !charter.log_keys().contains(log_key.verifier()) {
        return Err(RecoveryError::KeyNotInCharter(log_key.verifier().to_string()));
    }
    if let Some(head) = &head {
        head.verify(&keys).map_err(RecoveryError::WrongKey)?;
    }
    // what readers saw may be signed by an earlier key of the log
    let seen = published_by(&keys)?;
    if let Some(seen) = seen {
        check_promise(&reader, seen, &edge, demand)?;
        if seen.size <= size {
            store.restore_edge(seen.size, &edge.head())?;
        }
    }
    let published = published.filter(|_| seen.is_some());
    // where readers saw nothing, all changes are yet to be seen
    let shown = seen.map_or(TreeSize::ZERO, |seen| seen.size);
    let before = unseen_before(&governance, shown);
    Ok(Recovered { edge, head, published, charter, before, last })
}

fn restore_edge(reader: &LogReader, base: &TreeHead) -> Result<Edge, RecoveryError> {
    Ok(Edge::restore(reader.tiles(), base)?)
}

/// The head that this node promised last; whose signature it bears is judged once the charter is
/// read.
fn promised_head(store: &dyn Store) -> Result<Option<ClaimedCheckpoint>, RecoveryError> {
    let Some(text) = store.head()? else { return Ok(None) };
    Ok(Some(ClaimedCheckpoint::parse(text.as_bytes())?))
}

/// The checkpoint that readers saw last, as the file has it.
fn published_claim(store: &dyn Store) -> Result<Option<ClaimedCheckpoint>, RecoveryError> {
    let text = match store.published() {
        Err(StoreError::Damaged(_)) => None,
        read => read?,
    };
    Ok(text.and_then(|text| ClaimedCheckpoint::parse(text.as_bytes()).ok()))
}

/// The head that readers saw last, if one of these keys signed it; it is no larger than what was
/// promised. A file that this log did not sign says nothing: it is damaged, and will be written
/// again.
fn published_head(
    claimed: Option<&ClaimedCheckpoint>,
    keys: &[VerifierKey],
    promised: Option<TreeHead>,
    demand: Demand,
) -> Result<Option<TreeHead>, RecoveryError> {
    let verified = claimed.and_then(|claimed| claimed.verify(keys).ok());
    let published = verified.map(|verified| *verified.head());
    let promised = promised.map_or(TreeSize::ZERO, |promised| promised.size);
    match published.filter(|published| published.size > promised) {
        None => Ok(published),
        Some(_) if demand == Demand::WhatIsHere => Ok(published),
        Some(TreeHead { size, .. }) => {
            Err(RecoveryError::StateBehind { published: size, promised })
        }
    }
}

/// The tree must begin with the tree of a head that this log signed.
fn check_promise(
    reader: &LogReader,
    promised: TreeHead,
    edge: &Edge,
    demand: Demand,
) -> Result<(), RecoveryError> {
    if promised.size > edge.size() {
        if demand == Demand::WhatIsHere {
            return Ok(());
        }
        let (promised, found) = (promised.size, edge.size());
        return Err(RecoveryError::EntriesLost { promised, found });
    }
    if promised == edge.head() || reader.tree(edge.size()).head(promised.size)? == promised {
        Ok(())
    } else {
        Err(RecoveryError::OtherTree(promised.size))
    }
}

/// The policies before each governance entry that a tree of `shown` leaves does not hold.
fn unseen_before(governance: &Governance, shown: TreeSize) -> Vec<Policy> {
    let changes = governance.states().windows(2);
    let unseen = changes.filter(|two| !shown.contains(two[1].index()));
    unseen.map(|two| two[0].charter().policy()).collect()
}

/// Adds the entries that the index has not seen.
pub(crate) fn catch_up(
    index: &Index,
    reader: &LogReader,
    size: TreeSize,
) -> Result<(), RecoveryError> {
    let width = u64::from(TILE_WIDTH);
    if index.size() > size.get() {
        // an index of entries that were never promised and are gone
        index.clear()?;
    }
    while index.size() < size.get() {
        let at = index.size();
        let bundle = reader.bundle(at / width, size)?;
        let mut keys = Vec::with_capacity(bundle.len());
        for (n, entry) in bundle.iter().enumerate().skip((at % width) as usize) {
            let place = LeafIndex::new(at / width * width + n as u64)
                .map_err(|_| ReadError::OutOfRange(size))?;
            keys.push(EntryKeys::of(entry).map_err(|e| RecoveryError::Entry(place, e))?);
        }
        keys.truncate(usize::try_from(size.get() - at).unwrap_or(usize::MAX));
        index.insert(&keys)?;
    }
    Ok(())
}
