//! What the own witness cosigned, and what it was asked to cosign and did not.

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::Heads;
use ledger_core::gossip::{Event, Question, Teller};
use ledger_core::merkle::{Beginning, verify_consistency};
use ledger_core::witness::AddCheckpoint;

use super::{Gossip, Inner};

impl Gossip {
    /// Hears what the own witness has cosigned last: each grew out of the one before, as it
    /// verified.
    pub fn hear_cosigned(&self, latest: impl IntoIterator<Item = ClaimedCheckpoint>) {
        let mut inner = self.lock();
        self.refresh(&mut inner);
        let mut events = Vec::new();
        for head in latest {
            events.extend(inner.grow(&head));
        }
        self.conclude(&mut inner, events);
    }

    /// Hears a head that the own witness was asked to cosign and refused, beside the one that it
    /// cosigned last. The proof of the request may show by itself that they contradict each other.
    pub fn hear_refused(&self, cosigned: Option<&ClaimedCheckpoint>, request: &AddCheckpoint) {
        self.hear_shown(cosigned, request, |inner| {
            // anybody may ask a witness
            inner.view.hear_from(request.checkpoint(), Teller::Anybody).unwrap_or_default()
        });
    }

    /// Hears the proof of a request that the own witness could answer but for what is open here. It
    /// counts where it leads to a head that is: any other head would be one more that is not
    /// settled.
    pub fn hear_proof(&self, cosigned: Option<&ClaimedCheckpoint>, request: &AddCheckpoint) {
        self.hear_shown(cosigned, request, |_| Vec::new());
    }

    fn hear_shown(
        &self,
        cosigned: Option<&ClaimedCheckpoint>,
        request: &AddCheckpoint,
        first: impl FnOnce(&mut Inner) -> Vec<Event>,
    ) {
        let mut inner = self.lock();
        self.refresh(&mut inner);
        let mut events = cosigned.map(|head| inner.grow(head)).unwrap_or_default();
        events.extend(first(&mut inner));
        if let Some(head) = cosigned
            && let Some((question, shown)) = shown(head, request)
        {
            events.extend(inner.view.learn(&question, &shown).unwrap_or_default());
            // there may have been no room for what is offered
            let heads = Heads { one: head, other: request.checkpoint() };
            events.extend(inner.view.contradict(heads, &shown));
        }
        self.conclude(&mut inner, events);
    }
}

impl Inner {
    /// Hears a head that the own witness cosigned. One that is older than what is known is passed
    /// over: it was the latest while somebody else told of the next.
    fn grow(&mut self, head: &ClaimedCheckpoint) -> Vec<Event> {
        let (origin, now) = (head.checkpoint().origin(), *head.checkpoint().head());
        let before = self.cosigned.get(origin).copied();
        if before.is_some_and(|before| now.size < before.size) {
            return Vec::new();
        }
        self.cosigned.insert(origin.clone(), now);
        self.moved |= before != Some(now);
        let heard = match before {
            Some(before) => self.view.grown(&before, head),
            None => self.view.hear_from(head, Teller::Witness),
        };
        heard.unwrap_or_default()
    }
}

/// What the proof of a request says about the head that was cosigned last and the one that is
/// offered.
fn shown(cosigned: &ClaimedCheckpoint, request: &AddCheckpoint) -> Option<(Question, Beginning)> {
    let (smaller, offered) = (*cosigned.checkpoint().head(), request.checkpoint().checkpoint());
    let (larger, proof) = (*offered.head(), request.proof());
    if request.old() != smaller.size || smaller.size.is_empty() || smaller.size >= larger.size {
        return None;
    }
    let shown = match verify_consistency(proof, &smaller, &larger) {
        Ok(()) => Beginning { root: smaller.root, proof: proof.clone() },
        Err(_) => Beginning::of_proof(proof, smaller.size, &larger)?,
    };
    Some((Question { origin: offered.origin().clone(), smaller, larger }, shown))
}
