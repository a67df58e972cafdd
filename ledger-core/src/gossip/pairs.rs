//! Contradictions by two keys of one log, where one of the keys may be retired.
//!
//! An operator lists the keys of a log by hand. While a log changes its key, the list names the old
//! key and the new one, and a thief of the old key could convict both with one late head. So two
//! listed keys convict together only after the caller has read the log's governance and found both
//! of them in force. The contradiction is held until then.

use crate::checkpoint::{ClaimedCheckpoint, Origin};
use crate::evidence::{Case, ClaimedEvidence, Conflict, Conviction, EvidenceError, Trust};
use crate::index::TreeSize;
use crate::merkle::TreeHead;
use crate::note::VerifierKey;

use super::PATIENCE_ROUNDS;
use super::view::{Event, View};

/// Contradictions held for one log: the holder of a retired key can sign any number of heads, and
/// one contradiction is enough to read the governance for.
const MAX_HELD: usize = 4;

/// Whether two keys of a log convict it together. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pairs {
    /// The caller knows all keys to be in force.
    #[default]
    Convict,
    /// One of the keys may be retired: a contradiction by two of them is held until
    /// [`View::settle_pairs`].
    Ask,
}

/// Contradictions by two keys of one log.
#[derive(Debug, Default)]
pub(super) struct HeldPairs {
    rule: Pairs,
    held: Vec<HeldPair>,
}

#[derive(Debug)]
struct HeldPair {
    conflict: Conflict,
    /// Rounds since it was found.
    age: u32,
}

impl HeldPairs {
    /// Knows another rule or other keys. Drops contradictions by keys that are trusted no more.
    pub(super) fn set(&mut self, rule: Pairs, trusted: &[VerifierKey]) {
        self.rule = rule;
        self.held.retain(|pair| is_by(&pair.conflict, trusted));
    }

    fn hold(&mut self, conflict: &Conflict, trusted: &[VerifierKey]) {
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
    fn largest(&self) -> Option<TreeSize> {
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

impl View {
    /// Judges evidence. A contradiction by two keys that may not convict together yet is held.
    pub(super) fn verify(
        &mut self,
        evidence: &ClaimedEvidence,
    ) -> Result<Conviction, EvidenceError> {
        let judged = evidence.verify(&self.trust);
        if let (Err(EvidenceError::TwoKeys { .. }), Some(conflict)) =
            (&judged, evidence.conflict_of_log())
        {
            self.hold_pair(conflict);
        }
        judged
    }

    /// Holds a contradiction by two keys of a log, if they may not convict together yet.
    pub(super) fn hold_pair(&mut self, conflict: &Conflict) {
        let is_its = |own: &Origin| own.as_str() == conflict.origin();
        let Some((_, known)) = self.logs.iter_mut().find(|(own, _)| is_its(own)) else { return };
        let trusted = known.keys.trusted().to_vec();
        known.pairs.hold(conflict, &trusted);
    }

    /// Knows keys that were confirmed before a restart.
    pub fn recall_confirmed(&mut self, keys: &[VerifierKey]) {
        self.confirm(keys);
    }

    /// The logs of which two keys contradict each other, each with the size of the largest head
    /// that is held of it: governance of a smaller tree does not show which keys are in force.
    pub fn paired(&self) -> Vec<(Origin, TreeSize)> {
        let paired = self.logs.iter().filter_map(|(origin, known)| {
            let adopted = known.adopted().map_or(TreeSize::ZERO, |own| own.head().size);
            Some((origin.clone(), known.pairs.largest()?.max(adopted)))
        });
        paired.collect()
    }

    /// Convicts the log by the contradictions of these keys, which the log's governance shows to be
    /// in force: the caller has read it after [`View::paired`] named the log. Contradictions by
    /// other keys are held on.
    pub fn settle_pairs(&mut self, origin: &Origin, in_force: &[VerifierKey]) -> Vec<Event> {
        let Some(known) = self.logs.get_mut(origin) else { return Vec::new() };
        let is_settled = |pair: &HeldPair| is_by(&pair.conflict, in_force);
        let held = std::mem::take(&mut known.pairs.held);
        let (settled, held): (Vec<_>, Vec<_>) = held.into_iter().partition(is_settled);
        known.pairs.held = held;
        let trusted = known.keys.trusted().iter().filter(|key| in_force.contains(key));
        let trust = trusted.fold(self.trust.clone(), Trust::with_in_force);
        let mut events = Vec::new();
        for HeldPair { conflict, .. } in settled {
            let case = Case { trust: &trust, authority: &[] };
            let Some(made) = ClaimedEvidence::against_log(&conflict, case) else { continue };
            let Ok(conviction) = made.verify(&trust) else { continue };
            self.confirm(conviction.culprit().keys());
            events.extend(self.convict(&made).unwrap_or_default());
        }
        events
    }

    /// Knows keys to be in force from now on, as far as they convict together.
    fn confirm(&mut self, keys: &[VerifierKey]) {
        for key in keys.iter().filter(|key| !self.confirmed.contains(key)) {
            self.trust = std::mem::take(&mut self.trust).with_in_force(key);
        }
        let new: Vec<_> = keys.iter().filter(|key| !self.confirmed.contains(key)).collect();
        let new: Vec<VerifierKey> = new.into_iter().cloned().collect();
        self.confirmed.extend(new);
    }
}

/// Whether each head has a line of one of these keys, and no key signed all of them.
fn is_by(conflict: &Conflict, keys: &[VerifierKey]) -> bool {
    let heads = conflict.heads();
    let signed = |head: &&ClaimedCheckpoint, key: &VerifierKey| {
        head.note().signatures().iter().any(|line| line.is_by(key))
    };
    heads.len() > 1 && heads.iter().all(|head| keys.iter().any(|key| signed(head, key)))
}
