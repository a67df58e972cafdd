//! How a view treats contradictions by two keys of one log: they are held until the caller has read
//! the log's governance.

use crate::checkpoint::Origin;
use crate::evidence::{Case, ClaimedEvidence, Conflict, Conviction, EvidenceError, Trust};
use crate::index::TreeSize;
use crate::note::VerifierKey;

use super::View;
use super::pairs::{HeldPair, is_by};
use super::vocabulary::Event;

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
