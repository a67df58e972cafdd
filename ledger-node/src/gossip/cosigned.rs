//! Heads that the node's own witness cosigned, or was asked to cosign and refused.

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::Heads;
use ledger_core::gossip::{Event, HeadSource, Question, View};
use ledger_core::merkle::{PrefixProof, verify_consistency};
use ledger_core::witness::AddCheckpoint;

use super::{Gossip, GossipState};

impl Gossip {
    /// Observes the heads that the node's own witness cosigned last. The witness verified that each
    /// extends the one before.
    pub fn observe_cosigned(&self, latest: impl IntoIterator<Item = ClaimedCheckpoint>) {
        self.apply_to_state(|state| {
            latest.into_iter().flat_map(|head| state.observe_growth(&head)).collect()
        });
    }

    /// Observes a head that the node's own witness was asked to cosign and refused, beside the one
    /// that it cosigned last. The proof of the request may show that the two contradict each other.
    pub fn observe_refused(&self, cosigned: Option<&ClaimedCheckpoint>, request: &AddCheckpoint) {
        self.observe_request(cosigned, request, |view| {
            // every caller may ask a witness
            view.observe(request.checkpoint(), HeadSource::Pushed).unwrap_or_default()
        });
    }

    /// Takes the proof of a request that the node's own witness refused only because a question of
    /// its log is open here. The proof counts if it leads to an observed head: another head would
    /// be one more open head.
    pub fn observe_proof(&self, cosigned: Option<&ClaimedCheckpoint>, request: &AddCheckpoint) {
        self.observe_request(cosigned, request, |_| Vec::new());
    }

    fn observe_request(
        &self,
        cosigned: Option<&ClaimedCheckpoint>,
        request: &AddCheckpoint,
        observe_offered: impl FnOnce(&mut View) -> Vec<Event>,
    ) {
        self.apply_to_state(|state| {
            let mut events = cosigned.map(|head| state.observe_growth(head)).unwrap_or_default();
            events.extend(observe_offered(&mut state.view));
            if let Some(head) = cosigned
                && let Some((question, shown)) = shown(head, request)
            {
                events.extend(state.view.resolve(&question, &shown).unwrap_or_default());
                // the quota of open heads may have had no room for the offered head
                let heads = Heads { one: head, other: request.checkpoint() };
                events.extend(state.view.contradict(heads, &shown));
            }
            events
        });
    }
}

impl GossipState {
    /// Observes a head that the node's own witness cosigned. An older head than the known one is
    /// skipped: another thread reported the newer one first.
    fn observe_growth(&mut self, head: &ClaimedCheckpoint) -> Vec<Event> {
        let (origin, now) = (head.checkpoint().origin(), *head.checkpoint().head());
        let before = self.cosigned.get(origin).copied();
        if before.is_some_and(|before| now.size < before.size) {
            return Vec::new();
        }
        self.cosigned.insert(origin.clone(), now);
        self.moved |= before != Some(now);
        let step = match before {
            Some(before) => self.view.observe_growth(&before, head),
            None => self.view.observe(head, HeadSource::OwnWitness),
        };
        step.unwrap_or_default()
    }
}

/// What the proof of a request says about the head that was cosigned last and the one that is
/// offered.
fn shown(cosigned: &ClaimedCheckpoint, request: &AddCheckpoint) -> Option<(Question, PrefixProof)> {
    let (smaller, offered) = (*cosigned.checkpoint().head(), request.checkpoint().checkpoint());
    let (larger, proof) = (*offered.head(), request.proof());
    if request.old() != smaller.size || smaller.size.is_empty() || smaller.size >= larger.size {
        return None;
    }
    let shown = match verify_consistency(proof, &smaller, &larger) {
        Ok(()) => PrefixProof { root: smaller.root, proof: proof.clone() },
        Err(_) => PrefixProof::of_proof(proof, smaller.size, &larger)?,
    };
    Some((Question { origin: offered.origin().clone(), smaller, larger }, shown))
}
