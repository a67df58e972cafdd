//! What stays of a log whose key has fallen: the heads that convicted it, for what they say of its
//! cosigners.

use crate::checkpoint::ClaimedCheckpoint;
use crate::evidence::{Conflict, Heads};
use crate::note::VerifierKey;

use super::verified_head::VerifiedHead;

/// Contradictions kept of one log, each with its two heads.
const MAX_CONFLICTS: usize = 4;

/// Heads kept beside those: what convicted the log at other nodes. The smallest stay, so that all
/// nodes come to keep the same. With fewer, a log that shows every node heads of its own could
/// crowd out those that convict a cosigner.
const MAX_OTHERS: usize = 32;

/// The heads of one log that contradict each other, with whoever cosigned them.
#[derive(Debug, Default)]
pub(super) struct ConvictingHeads {
    conflicts: Vec<Conflict>,
    heads: Vec<VerifiedHead>,
}

impl ConvictingHeads {
    /// Whether no contradiction is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.conflicts.is_empty()
    }

    /// The heads that somebody known cosigned: what is passed on.
    pub(super) fn heads(&self) -> impl Iterator<Item = &VerifiedHead> {
        self.heads.iter().filter(|seen| seen.newest().is_some())
    }

    /// Whether exactly this was heard before.
    pub(super) fn has_observed(&self, observed: &ClaimedCheckpoint) -> bool {
        self.heads.iter().any(|held| held.covers(observed))
    }

    /// Whether this head is kept, and not all of its lines were heard before.
    pub(super) fn lacks(&self, observed: &ClaimedCheckpoint) -> bool {
        self.heads.iter().any(|held| held.is_of(observed) && !held.covers(observed))
    }

    /// Keeps a contradiction by these keys of the log, with the cosignatures that `held` heads
    /// have.
    pub(super) fn keep<'a>(
        &mut self,
        conflict: &Conflict,
        culprits: &[VerifierKey],
        held: impl Iterator<Item = &'a VerifiedHead>,
    ) {
        if self.conflicts.len() == MAX_CONFLICTS || self.conflicts.contains(conflict) {
            return;
        }
        self.conflicts.push(conflict.clone());
        let bare = |head: &&ClaimedCheckpoint| VerifiedHead::signed((*head).clone(), culprits);
        let heads: Vec<VerifiedHead> = conflict.heads().iter().map(bare).collect();
        let same = held.filter(|seen| heads.iter().any(|own| own.is_same(seen))).cloned();
        let same: Vec<VerifiedHead> = same.collect();
        for seen in heads.into_iter().chain(same) {
            self.take(seen);
        }
    }

    /// Takes a head. Says whether it, or somebody who cosigned it, is new.
    pub(super) fn take(&mut self, seen: VerifiedHead) -> bool {
        if let Some(own) = self.heads.iter_mut().find(|own| own.is_same(&seen)) {
            return own.merge(&seen);
        }
        self.heads.push(seen);
        self.heads.sort_by_key(|seen| (seen.head().size, *seen.head().root.as_bytes()));
        let conflicts = &self.conflicts;
        let (mut others, before) = (0, self.heads.len());
        self.heads.retain(|seen| {
            let mut of_own = conflicts.iter().flat_map(Conflict::heads);
            let stays = of_own.any(|head| seen.is_of(head));
            others += usize::from(!stays);
            stays || others <= MAX_OTHERS
        });
        self.heads.len() == before
    }

    /// All the contradictions among the heads, with all the lines that are known of them.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let whole = |head: &ClaimedCheckpoint| {
            let seen = self.heads.iter().find(|seen| seen.is_of(head));
            seen.map(|seen| seen.checkpoint().clone())
        };
        let kept = self.conflicts.iter().filter_map(|conflict| conflict.with_lines(whole));
        let pairs = self.heads.windows(2).filter_map(|two| {
            let heads = Heads { one: two[0].checkpoint(), other: two[1].checkpoint() };
            Conflict::of_heads(heads)
        });
        kept.chain(pairs).collect()
    }
}
