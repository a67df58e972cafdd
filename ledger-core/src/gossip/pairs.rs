//! Contradictions by two keys of one log, where one of the keys may be retired.
//!
//! An operator lists the keys of a log by hand. While a log changes its key, the list names the old
//! key and the new one, and a thief of the old key could convict both with one late head. So two
//! listed keys convict together only after the caller has read the log's governance and found both
//! of them in force. The contradiction is held until then.

use crate::checkpoint::ClaimedCheckpoint;
use crate::evidence::Conflict;
use crate::index::TreeSize;
use crate::merkle::TreeHead;
use crate::note::VerifierKey;

use super::PATIENCE_ROUNDS;
use super::vocabulary::Pairs;

/// Contradictions held for one log: the holder of a retired key can sign any number of heads, and
/// one contradiction is enough to read the governance for.
const MAX_HELD: usize = 4;

/// Contradictions by two keys of one log.
#[derive(Debug, Default)]
pub(super) struct HeldPairs {
    rule: Pairs,
    pub(super) held: Vec<HeldPair>,
}

#[derive(Debug)]
pub(super) struct HeldPair {
    pub(super) conflict: Conflict,
    /// Rounds since it was found.
    age: u32,
}

impl HeldPairs {
    /// Knows another rule or other keys. Drops contradictions by keys that are trusted no more.
    pub(super) fn set(&mut self, rule: Pairs, trusted: &[VerifierKey]) {
        self.rule = rule;
        self.held.retain(|pair| is_by(&pair.conflict, trusted));
    }

    pub(super) fn hold(&mut self, conflict: &Conflict, trusted: &[VerifierKey]) {
        let is_new = self.held.iter().all(|pair| pair.conflict != *conflict);
        if self.rule == Pairs::Ask
            && is_new
            && self.held.len() < MAX_HELD
            && is_by(conflict, trusted)
        {
            self.held.push(HeldPair { conflict: conflict.clone(), age: 0 });
        }
    }

    pub(super) fn tick(&mut self) {
        self.held.iter_mut().for_each(|pair| pair.age = pair.age.saturating_add(1));
    }

    /// Whether the governance could not be read for so long that the log must not be cosigned.
    pub(super) fn is_alarming(&self) -> bool {
        self.held.iter().any(|pair| pair.age >= PATIENCE_ROUNDS)
    }

    /// The size of the largest head among the contradictions; `None` if none is held.
    pub(super) fn largest(&self) -> Option<TreeSize> {
        let heads = self.held.iter().flat_map(|pair| pair.conflict.heads());
        heads.map(|head| head.checkpoint().head().size).max()
    }

    /// The heads of the contradiction that was found first, the smaller one first.
    pub(super) fn oldest(&self) -> Option<(TreeHead, TreeHead)> {
        let heads = self.held.first()?.conflict.heads();
        let head = |at: usize| heads.get(at).map(|head| *head.checkpoint().head());
        Some((head(0)?, head(1)?))
    }
}

/// Whether each head has a line of one of these keys, and no key signed all of them.
pub(super) fn is_by(conflict: &Conflict, keys: &[VerifierKey]) -> bool {
    let heads = conflict.heads();
    let signed = |head: &&ClaimedCheckpoint, key: &VerifierKey| {
        head.note().signatures().iter().any(|line| line.is_by(key))
    };
    heads.len() > 1 && heads.iter().all(|head| keys.iter().any(|key| signed(head, key)))
}
