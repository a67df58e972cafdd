//! The governance of the bundles of one file, each entry judged once.
//!
//! Bundles of one log begin with the same entries. Whoever makes a file chooses how many bundles it
//! has and how long they are, so the work is limited for all of them together.

use crate::authority::{AuthorityBundle, AuthorityError, Work};
use crate::charter::{Governance, GovernanceState};
use crate::hash::Hash;
use crate::index::LeafIndex;
use crate::record::StatementId;

/// The longest governance that was replayed last, and the work that is left.
#[derive(Debug)]
pub(super) struct Replays {
    leaves: Vec<(LeafIndex, Hash)>,
    governance: Option<Governance>,
    work: Work,
}

impl Default for Replays {
    fn default() -> Replays {
        Replays { leaves: Vec::new(), governance: None, work: Work::of_evidence() }
    }
}

impl Replays {
    /// The states of a bundle's governance, from this charter on.
    pub(super) fn of(
        &mut self,
        bundle: &AuthorityBundle,
        anchor: StatementId,
    ) -> Result<&[GovernanceState], AuthorityError> {
        bundle.check_anchor(anchor)?;
        let entries = bundle.governance();
        let leaves = leaves_of(bundle);
        if !self.leaves.starts_with(&leaves) {
            let known = if leaves.starts_with(&self.leaves) { self.leaves.len() } else { 0 };
            // where this fails, nothing is known
            self.leaves.truncate(0);
            let before = self.governance.take().filter(|_| known > 0);
            let mut governance = match before {
                Some(governance) => governance,
                None => self.work.found(bundle, anchor)?,
            };
            for own in &entries[known.max(1)..] {
                self.work.push(&mut governance, own)?;
            }
            self.governance = Some(governance);
            self.leaves.clone_from(&leaves);
        }
        let states = self.governance.as_ref().map_or(&[][..], Governance::states);
        Ok(&states[..leaves.len()])
    }

    /// The governance of a bundle, from this charter on.
    pub(super) fn whole(
        &mut self,
        bundle: &AuthorityBundle,
        anchor: StatementId,
    ) -> Result<Governance, AuthorityError> {
        bundle.check_anchor(anchor)?;
        match &self.governance {
            Some(governance) if self.leaves == leaves_of(bundle) => Ok(governance.clone()),
            _ => bundle.replay_within(anchor, &mut self.work),
        }
    }
}

fn leaves_of(bundle: &AuthorityBundle) -> Vec<(LeafIndex, Hash)> {
    bundle.governance().iter().map(|own| (own.index, own.entry.leaf_hash())).collect()
}
