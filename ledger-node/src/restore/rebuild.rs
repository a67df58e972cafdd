//! Making a log again whose directory is gone, out of another copy of it and its log key.
//!
//! The copy may be anybody's: it begins with the charter that the operator knows, its governance
//! entries follow from that charter, and its entries give the root of a checkpoint that a log key
//! in force has signed. Nothing less is taken, and nothing is left behind where it fails.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ledger_core::batch::Edge;
use ledger_core::charter::Governance;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint};
use ledger_core::merkle::TreeHead;
use ledger_core::record::{Entry, StatementId};
use ledger_core::{Hash, LeafIndex, TreeSize};

use super::append::{RestoreError, Restored, append_missing, promise, read_missing};
use crate::config::{Config, read_key};
use crate::index::Index;
use crate::init::{make_beside, write_config};
use crate::source::Source;
use crate::store::disk::{DEFAULT_SEGMENT_BYTES, DiskStore, Layout, is_free};
use crate::store::{Store, StoreError};

/// What a log is made again from.
#[derive(Debug, Clone, Copy)]
pub struct LostLog<'a> {
    /// The directory to make: it must be missing or empty.
    pub dir: &'a Path,
    /// A copy of the log's site.
    pub from: &'a Source,
    /// The file with a log key in force.
    pub log_key: &'a Path,
    /// The statement of the log's charter.
    pub anchor: StatementId,
}

/// Makes a log again: all that the copy has, or nothing.
///
/// # Errors
/// [`RestoreError`].
pub fn rebuild(lost: &LostLog<'_>) -> Result<Restored, RestoreError> {
    if !is_free(lost.dir)? {
        return Err(RestoreError::Exists(lost.dir.to_owned()));
    }
    make_beside(lost.dir, |making| make(lost, making))
}

fn make(lost: &LostLog<'_>, dir: &Path) -> Result<Restored, RestoreError> {
    let layout = Layout::new(dir);
    let log_key = read_key(&layout, Path::new(""), lost.log_key)?;
    let key_file = fs::canonicalize(lost.log_key).map_err(StoreError::io("find", lost.log_key))?;
    let (copy, governance, leaves) = prove(lost)?;
    let (origin, target) = (copy.checkpoint().origin().clone(), *copy.checkpoint().head());
    if !governance.charter().log_keys().contains(log_key.verifier()) {
        return Err(RestoreError::KeyNotInCharter(log_key.verifier().to_string()));
    }
    write_config(&layout, &Config::new(key_file, Vec::new()))?;
    DiskStore::create(&layout, DEFAULT_SEGMENT_BYTES)?;
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(&layout, DEFAULT_SEGMENT_BYTES)?);
    let index = Index::open(&layout.index())?;
    append_missing(lost.from, &store, &index, &mut Edge::new(), (target, &leaves))?;
    // the log has signed this head: signing it again says nothing new
    promise(&store, &Checkpoint::new(origin, target).sign(&log_key))?;
    index.flush()?;
    Ok(Restored { had: TreeSize::ZERO, has: target.size })
}

/// Reads the whole copy, and proves that it is the log of the anchor: its checkpoint, its
/// governance, its leaf hashes.
fn prove(lost: &LostLog<'_>) -> Result<(ClaimedCheckpoint, Governance, Vec<Hash>), RestoreError> {
    let copy = lost.from.checkpoint().map_err(|e| RestoreError::Copy("checkpoint".into(), e))?;
    let copy = ClaimedCheckpoint::parse(&copy)?;
    let target: TreeHead = *copy.checkpoint().head();
    let mut governance: Option<Governance> = None;
    let mut trial = Edge::new();
    let mut leaves = Vec::new();
    read_missing(lost.from, TreeSize::ZERO, target.size, |first, entries| {
        for (at, bytes) in (first..).zip(&entries) {
            let at = LeafIndex::new(at).map_err(|_| RestoreError::Changed)?;
            let entry = Entry::parse(bytes).map_err(|e| RestoreError::Entry(at, e))?;
            match &mut governance {
                None => governance = Some(found(&entry, lost.anchor)?),
                Some(own) if entry.record().kind().is_governance() => own.push(at, &entry)?,
                Some(_) => {}
            }
        }
        leaves.extend(trial.append(&entries)?.leaves);
        Ok(())
    })?;
    let governance = governance.ok_or(ledger_core::charter::ReplayError::NoCharter)?;
    let origin = copy.checkpoint().origin();
    if origin.as_str() != governance.charter().origin() {
        return Err(RestoreError::OtherLog(origin.to_string()));
    }
    copy.verify(governance.charter().log_keys()).map_err(RestoreError::NotSigned)?;
    if trial.head() != target {
        return Err(RestoreError::OtherHistory(target.size));
    }
    Ok((copy, governance, leaves))
}

fn found(first: &Entry, anchor: StatementId) -> Result<Governance, RestoreError> {
    let found = first.record().statement();
    if found != anchor {
        return Err(RestoreError::OtherAnchor { anchor, found });
    }
    Ok(Governance::found(first)?)
}
