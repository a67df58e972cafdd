//! What a reader knows of the log that members leave, each part of it verified.

use std::collections::BTreeMap;

use crate::Hint;
use crate::authority::{AuthorityBundle, AuthorityError, HeadPolicy};
use crate::charter::{Governance, GovernanceState};
use crate::index::{LeafIndex, TreeSize};
use crate::merkle::{
    ConsistencyProof, InclusionProof, TreeHead, VerifyError, verify_consistency, verify_inclusion,
};
use crate::policy::{AcceptedCheckpoint, Policy};
use crate::record::Entry;

use super::GovernanceRef;

/// The old log as far as a reader verified it: its governance, its heads and their last entries.
///
/// It begins with the governance that the reader was given. Bundles, checkpoints and proofs add to
/// it, each only if it verifies; none takes anything away.
#[derive(Debug, Clone)]
pub struct KnownLog {
    governance: Governance,
    /// Heads that were accepted, and older ones that a proof leads from.
    heads: Vec<TreeHead>,
    /// The time of the last entry of a head, by the head's size.
    ends: BTreeMap<TreeSize, u64>,
    /// The largest size that the log is known to have had.
    size: TreeSize,
    /// The latest time that the log, or a quorum of its witnesses, gave.
    time: u64,
}

/// Why something adds nothing to what is known of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KnownLogError {
    /// The bundle does not hold.
    #[error(transparent)]
    Bundle(#[from] AuthorityError),
    /// It is of another log.
    #[error("the checkpoint is of the log {found:?}, the charter of {expected:?}")]
    OtherLog {
        /// The charter's origin.
        expected: String,
        /// The checkpoint's.
        found: String,
    },
    /// Two chains of governance that cannot both be the log's.
    #[error("two governance entries are shown, or one and none, at entry {0}")]
    OtherChain(LeafIndex),
    /// Two heads of one size, of which only one can be the log's.
    #[error("the log signed two histories: two trees of size {0}")]
    TwoHeads(TreeSize),
    /// The head was not accepted, and no proof leads from it to one that was.
    #[error("the tree of size {0} is not known to be the log's")]
    UnknownHead(TreeSize),
    /// A proof does not hold.
    #[error("the proof of the tree of size {size} fails: {error}")]
    NotProven {
        /// The tree's size.
        size: TreeSize,
        /// What is wrong.
        error: VerifyError,
    },
    /// The last entry of a tree rests on other governance than what is known.
    #[error("entry {named} governs the end of the tree of size {size}; known is entry {known}")]
    OtherGovernance {
        /// The tree's size.
        size: TreeSize,
        /// The governance entry that the last entry names, or is.
        named: LeafIndex,
        /// The last governance entry of that tree that is known.
        known: LeafIndex,
    },
}

impl KnownLog {
    /// What is known with a governance alone: no head.
    pub fn new(governance: Governance) -> KnownLog {
        let (heads, ends) = (Vec::new(), BTreeMap::new());
        let mut known = KnownLog { governance, heads, ends, size: TreeSize::ZERO, time: 0 };
        known.raise();
        known
    }

    /// Adds an authority bundle: the governance up to its head, and the head.
    ///
    /// # Errors
    /// [`KnownLogError`] when the bundle does not hold under `policy`, or shows another chain than
    /// the known one as far as both reach.
    pub fn add_bundle(
        &mut self,
        bundle: &AuthorityBundle,
        policy: &Policy,
    ) -> Result<(), KnownLogError> {
        let anchor = self.governance.charter().statement();
        let (accepted, governance) = bundle.verify_governance(anchor, HeadPolicy::Given(policy))?;
        let (own, shown) = (self.governance.states(), governance.states());
        // what both reach must be the same, entry by entry
        let both = own.len().min(shown.len());
        let differs = own.iter().zip(shown).find(|(own, shown)| !is_same(own, shown));
        if let Some((own, shown)) = differs {
            return Err(KnownLogError::OtherChain(own.index().min(shown.index())));
        }
        let size = accepted.checkpoint.head().size;
        let hidden = own.get(both).filter(|own| size.contains(own.index()));
        let added = shown.get(both).filter(|shown| shown.index() <= self.rules_to());
        if let Some(state) = hidden.or(added) {
            return Err(KnownLogError::OtherChain(state.index()));
        }
        // a charter in a file has no time of the log, a bundle has
        if shown.len() >= own.len() {
            self.governance = governance;
        }
        self.raise();
        self.accept(&accepted, policy)
    }

    /// Adds an accepted head, and the time at which a quorum of the policy had cosigned it.
    ///
    /// # Errors
    /// [`KnownLogError::OtherLog`], or [`KnownLogError::TwoHeads`] if another head of its size is known.
    pub fn accept(
        &mut self,
        accepted: &AcceptedCheckpoint,
        policy: &Policy,
    ) -> Result<(), KnownLogError> {
        let (expected, found) = (self.governance.charter().origin(), accepted.checkpoint.origin());
        if expected != found.as_str() {
            let (expected, found) = (expected.to_owned(), found.to_string());
            return Err(KnownLogError::OtherLog { expected, found });
        }
        let head = *accepted.checkpoint.head();
        self.add_head(head)?;
        self.size = self.size.max(head.size);
        self.time = self.time.max(policy.quorum_time(accepted).unwrap_or_default());
        Ok(())
    }

    /// Adds an older head that a known one grew out of.
    ///
    /// # Errors
    /// [`KnownLogError::UnknownHead`] for the newer one, [`KnownLogError::NotProven`], and
    /// [`KnownLogError::TwoHeads`] if another head of its size is known.
    pub fn link(
        &mut self,
        older: TreeHead,
        newer: &TreeHead,
        proof: &ConsistencyProof,
    ) -> Result<(), KnownLogError> {
        self.check_head(newer)?;
        let not_proven = |error| KnownLogError::NotProven { size: older.size, error };
        verify_consistency(proof, &older, newer).map_err(not_proven)?;
        self.add_head(older)
    }

    /// Adds the last entry of a known head: with it no change of the rules up to there is missing.
    ///
    /// # Errors
    /// [`KnownLogError`] when the head is not known, the entry is not proven to be its last one, or
    /// it rests on governance that is not known.
    pub fn add_end(
        &mut self,
        head: &TreeHead,
        entry: &Entry,
        proof: &InclusionProof,
    ) -> Result<(), KnownLogError> {
        self.check_head(head)?;
        let size = head.size;
        let last = size.last().ok_or(KnownLogError::UnknownHead(size))?;
        verify_inclusion(proof, &entry.leaf_hash(), last, head)
            .map_err(|error| KnownLogError::NotProven { size, error })?;
        let is_norm = entry.record().kind().is_governance();
        let named = if is_norm { last } else { entry.logged().governance };
        let known = self.state_at(size).index();
        if named != known {
            return Err(KnownLogError::OtherGovernance { size, named, known });
        }
        let time = entry.logged().time;
        self.ends.insert(size, time);
        self.time = self.time.max(time);
        Ok(())
    }

    /// The governance, as far as it is known.
    pub fn governance(&self) -> &Governance {
        &self.governance
    }

    /// The heads that are known to be the log's.
    pub fn heads(&self) -> &[TreeHead] {
        &self.heads
    }

    /// The largest size that the log is known to have had.
    pub fn size(&self) -> TreeSize {
        self.size
    }

    /// The last entry up to which no change of the rules can be missing.
    pub fn rules_to(&self) -> LeafIndex {
        let ends = self.ends.keys().filter_map(|size| size.last());
        ends.fold(self.newest().index(), LeafIndex::max)
    }

    /// The latest time that the log, or a quorum of its witnesses, is known to have given.
    pub(super) fn time(&self) -> u64 {
        self.time
    }

    /// Whether a head is the log's.
    pub(super) fn is_known(&self, head: &TreeHead) -> bool {
        self.heads.contains(head)
    }

    /// The time of the last entry of the tree of a known head.
    pub(super) fn end(&self, size: TreeSize) -> Option<u64> {
        let state = self.state_at(size);
        let is_last = Some(state.index()) == size.last();
        self.ends.get(&size).copied().or_else(|| is_last.then(|| state.time()))
    }

    /// The last known state of the tree of `size`.
    pub(super) fn state_at(&self, size: TreeSize) -> &GovernanceState {
        let states = self.governance.states();
        let before = states.partition_point(|state| size.contains(state.index()));
        // a tree has its charter at least
        &states[before.saturating_sub(1)]
    }

    /// The newest known state.
    pub(super) fn newest(&self) -> &GovernanceState {
        self.governance.states().last().expect("there is the charter at least")
    }

    /// The governance entries behind a size.
    pub(super) fn behind(&self, size: TreeSize) -> Vec<GovernanceRef> {
        let behind = self.governance.states().iter().filter(|state| !size.contains(state.index()));
        behind.map(GovernanceRef::of).collect()
    }

    fn add_head(&mut self, head: TreeHead) -> Result<(), KnownLogError> {
        if self.heads.iter().any(|own| own.size == head.size && own.root != head.root) {
            return Err(KnownLogError::TwoHeads(head.size));
        }
        if !self.is_known(&head) {
            self.heads.push(head);
        }
        Ok(())
    }

    fn check_head(&self, head: &TreeHead) -> Result<(), KnownLogError> {
        if self.is_known(head) { Ok(()) } else { Err(KnownLogError::UnknownHead(head.size)) }
    }

    /// The governance alone shows a size and a time.
    fn raise(&mut self) {
        let (size, time) = (self.newest().index().size_through(), self.newest().time());
        self.size = self.size.max(size);
        self.time = self.time.max(time);
    }
}

impl Hint for KnownLogError {
    fn hint(&self) -> &'static str {
        match self {
            KnownLogError::Bundle(error) => error.hint(),
            KnownLogError::OtherLog { .. } => "give the charter and the files of one log",
            KnownLogError::OtherChain(_) => {
                "keep both files: the log showed two histories, or one of them hides an entry"
            }
            KnownLogError::TwoHeads(_) => {
                "keep both checkpoints, and make the file that convicts the log: `ledger evidence \
                 make A B -o FILE`"
            }
            KnownLogError::UnknownHead(_) | KnownLogError::NotProven { .. } => {
                "take another copy of the old log's files"
            }
            KnownLogError::OtherGovernance { .. } => {
                "give a newer authority bundle of the old log with --charter"
            }
        }
    }
}

fn is_same(own: &GovernanceState, other: &GovernanceState) -> bool {
    (own.index(), own.statement()) == (other.index(), other.statement())
}
