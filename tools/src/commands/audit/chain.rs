//! Reads the governance entries from a log's files, because the log's keys follow from them.

use ledger_core::charter::Governance;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::index::{LeafIndex, TreeSize};
use ledger_core::merkle::{
    InclusionProof, ProveError, TreeHead, prove_inclusion, verify_inclusion,
};
use ledger_core::record::Entry;
use ledger_core::tile::{EntryBundle, TILE_WIDTH, TileCoord, TileKind, TileReadError, TileReader};

use ledger_node::governance::{self, Unfollowed};
use ledger_node::source::{Source, SourceError};

use crate::failure::{Exit, Failure};

/// Why a source does not show an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotShown {
    why: String,
    /// Whether the disk or the network failed, which says nothing about the log.
    unread: bool,
}

impl NotShown {
    /// A file could not be read.
    fn file(what: &str, error: &SourceError) -> NotShown {
        let unread = matches!(error, SourceError::Failed(_));
        NotShown { why: format!("{what} {error}"), unread }
    }

    /// The tiles give no inclusion proof of an entry.
    pub fn proof(at: LeafIndex, error: &ProveError<TileReadError<SourceError>>) -> NotShown {
        let NotShown { why, unread } = match error {
            ProveError::Read(TileReadError::Source(error)) => NotShown::file("a hash tile", error),
            other => other.to_string().into(),
        };
        NotShown { why: format!("entry {at} is not proven: {why}"), unread }
    }

    /// The tiles give no consistency proof.
    pub fn growth(error: &ProveError<TileReadError<SourceError>>) -> NotShown {
        let NotShown { why, unread } = match error {
            ProveError::Read(TileReadError::Source(error)) => NotShown::file("a hash tile", error),
            other => other.to_string().into(),
        };
        NotShown { why: format!("no consistency proof: {why}"), unread }
    }

    /// The failure of a command that needs the entry.
    pub fn failure(&self, message: impl Into<String>, hint: impl Into<String>) -> Failure {
        let exit = if self.unread { Exit::Environment } else { Exit::Refused };
        Failure { exit, message: message.into(), hint: hint.into() }
    }
}

impl std::fmt::Display for NotShown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<String> for NotShown {
    fn from(why: String) -> NotShown {
        NotShown { why, unread: false }
    }
}

/// What a log's own entries say about its rules.
#[derive(Debug)]
pub struct ClaimedRules {
    /// All governance entries if they can be followed, else the charter at index 0 alone.
    pub governance: Governance,
    /// Why later rules are missing, if the source does not show an entry.
    pub hidden: Option<NotShown>,
}

/// Reads the rules from the log's own entries. Verifies nothing against the tree: the audit does
/// that later, entry by entry.
///
/// # Errors
/// Why there is no charter.
pub fn claimed(source: &Source, checkpoint: &[u8]) -> Result<ClaimedRules, NotShown> {
    let size = head(checkpoint)?.size;
    let read = |at| entry(source, at, size);
    let founded = Governance::found(&read(LeafIndex::ZERO)?).map_err(|e| e.to_string())?;
    Ok(match governance::follow(size, read) {
        Ok(governance) => ClaimedRules { governance, hidden: None },
        Err(Unfollowed::Read(why)) => ClaimedRules { governance: founded, hidden: Some(why) },
        Err(Unfollowed::Replay) => ClaimedRules { governance: founded, hidden: None },
    })
}

/// Reads the rules from entries that are proven to be in a checkpoint's tree. If the source
/// withholds or alters one of them, or the tree's last entry, it returns no rules, because that
/// entry may have revoked the rules before it.
///
/// # Errors
/// Why there is no charter, or which entry is not shown.
pub fn proven(source: &Source, checkpoint: &[u8]) -> Result<Governance, NotShown> {
    let head = head(checkpoint)?;
    let read = |at| proven_entry(source, at, &head);
    let first = read(LeafIndex::ZERO)?;
    let founded = Governance::found(&first).map_err(|e| e.to_string())?;
    match governance::follow(head.size, read) {
        Ok(governance) => Ok(governance),
        Err(Unfollowed::Read(why)) => Err(why),
        // the log accepted a change that its rules refuse, or that this version does not know
        Err(Unfollowed::Replay) => Ok(founded),
    }
}

fn head(checkpoint: &[u8]) -> Result<TreeHead, NotShown> {
    let claimed = ClaimedCheckpoint::parse(checkpoint).map_err(|e| e.to_string())?;
    Ok(*claimed.checkpoint().head())
}

/// The last entry of a head's tree, with its inclusion proof. The source's files are those of a
/// tree of `size` leaves, of which the head's tree is a prefix.
pub fn end(
    source: &Source,
    head: &TreeHead,
    size: TreeSize,
) -> Result<(Entry, InclusionProof), NotShown> {
    let last = head.size.last().ok_or_else(|| "the tree is empty".to_owned())?;
    included(source, last, (head, size))
}

/// An entry of a head's tree, with its inclusion proof.
pub fn included(
    source: &Source,
    at: LeafIndex,
    (head, size): (&TreeHead, TreeSize),
) -> Result<(Entry, InclusionProof), NotShown> {
    let entry = entry(source, at, size)?;
    let mut nodes = TileReader::new(source, size);
    let proof = prove_inclusion(&mut nodes, at, head.size);
    let proof = proof.map_err(|e| NotShown::proof(at, &e))?;
    verify_inclusion(&proof, &entry.leaf_hash(), at, head)
        .map_err(|e| format!("entry {at} is not in the tree of size {}: {e}", head.size))?;
    Ok((entry, proof))
}

/// An entry of the tree of `size` leaves; not verified.
///
/// # Errors
/// Why the source does not show it.
pub fn entry(source: &Source, at: LeafIndex, size: TreeSize) -> Result<Entry, NotShown> {
    let entry = Entry::parse(&bytes(source, at, size)?);
    Ok(entry.map_err(|e| format!("entry {at}: {e}"))?)
}

/// An entry that is proven to be in the tree of `head`.
///
/// # Errors
/// Why the source does not show it.
pub fn proven_entry(source: &Source, at: LeafIndex, head: &TreeHead) -> Result<Entry, NotShown> {
    let bytes = bytes(source, at, head.size)?;
    let leaf = ledger_core::Hash::leaf(&bytes);
    let mut nodes = TileReader::new(source, head.size);
    let proof = prove_inclusion(&mut nodes, at, head.size);
    let proof = proof.map_err(|e| NotShown::proof(at, &e))?;
    verify_inclusion(&proof, &leaf, at, head)
        .map_err(|e| format!("entry {at} is not what was signed: {e}"))?;
    Ok(Entry::parse(&bytes).map_err(|e| format!("entry {at}: {e}"))?)
}

fn bytes(source: &Source, at: LeafIndex, size: TreeSize) -> Result<Vec<u8>, NotShown> {
    entry_of(&bundle(source, at.get() / u64::from(TILE_WIDTH), size)?, at, source)
}

/// A bundle of entries of the tree of `size` leaves.
///
/// # Errors
/// Why the source does not show it.
pub fn bundle(source: &Source, number: u64, size: TreeSize) -> Result<EntryBundle, NotShown> {
    let coord = TileCoord::in_tree(TileKind::Entries, number, size);
    let coord = coord.ok_or_else(|| "the log has no such entry".to_owned())?;
    let bytes = source.tile(coord).map_err(|e| NotShown::file(&coord.to_string(), &e))?;
    Ok(EntryBundle::parse(coord, bytes).map_err(|e| format!("{coord}: {e}"))?)
}

/// The bytes of an entry out of its bundle.
///
/// # Errors
/// Why the source does not show it.
pub fn entry_of(bundle: &EntryBundle, at: LeafIndex, source: &Source) -> Result<Vec<u8>, NotShown> {
    let place = usize::try_from(at.get() % u64::from(TILE_WIDTH)).unwrap_or(usize::MAX);
    match bundle.get(place) {
        Some(b"") => {
            Err(format!("entry {at} is withheld by {source}: ask the log's own node").into())
        }
        Some(entry) => Ok(entry.to_vec()),
        None => Err(format!("its bundle holds no entry {at}").into()),
    }
}
