//! The governance of the bundles of one file, each entry judged once.
//!
//! Bundles of one log begin with the same entries. Whoever makes a file chooses how many bundles it
//! has and how long they are, so the work is limited for all of them together.

use crate::authority::{
    AuthorityBundle, AuthorityError, MAX_GOVERNANCE_ENTRIES, MAX_GOVERNANCE_LINES,
};
use crate::charter::{Governance, GovernanceState};
use crate::hash::Hash;
use crate::index::LeafIndex;
use crate::record::StatementId;

use super::EvidenceError;

/// The longest governance that was replayed last, and the work that was done.
#[derive(Debug, Default)]
pub(super) struct Replays {
    leaves: Vec<(LeafIndex, Hash)>,
    governance: Option<Governance>,
    entries: usize,
    lines: usize,
}

impl Replays {
    /// The states of a bundle's governance, from this charter on.
    pub(super) fn of(
        &mut self,
        bundle: &AuthorityBundle,
        anchor: StatementId,
    ) -> Result<&[GovernanceState], EvidenceError> {
        bundle.check_anchor(anchor)?;
        let entries = bundle.governance();
        let leaves = entries.iter().map(|own| (own.index, own.entry.leaf_hash()));
        let leaves: Vec<(LeafIndex, Hash)> = leaves.collect();
        if !self.leaves.starts_with(&leaves) {
            let known = if leaves.starts_with(&self.leaves) { self.leaves.len() } else { 0 };
            self.entries += leaves.len() - known;
            self.lines += entries[known..].iter().map(|own| own.lines()).sum::<usize>();
            if self.entries > MAX_GOVERNANCE_ENTRIES || self.lines > MAX_GOVERNANCE_LINES {
                return Err(EvidenceError::TooMuch);
            }
            // where this fails, nothing is known
            self.leaves.truncate(0);
            let before = self.governance.take().filter(|_| known > 0);
            let mut governance = match before {
                Some(governance) => governance,
                None => bundle.found(anchor)?,
            };
            for own in &entries[known.max(1)..] {
                governance.push(own.index, &own.entry).map_err(AuthorityError::from)?;
            }
            self.governance = Some(governance);
            self.leaves.clone_from(&leaves);
        }
        let states = self.governance.as_ref().map_or(&[][..], Governance::states);
        Ok(&states[..leaves.len()])
    }
}
