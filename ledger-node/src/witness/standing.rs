//! What speaks against a log beside the request itself, and what a refused request says against it.

use std::sync::Arc;

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::EvidenceId;
use ledger_core::gossip::{LogStanding, Question};
use ledger_core::merkle::TreeHead;
use ledger_core::witness::{AddCheckpoint, Authenticated, Refusal};

use super::{LastCosigned, Witness};
use crate::gossip::Gossip;

impl Witness {
    /// Nothing is cosigned for a log whose heads are not shown to belong together, unless the
    /// request shows it.
    pub(super) async fn check_standing(&self, asked: &Authenticated) -> Result<(), Refusal> {
        let origin = asked.checkpoint().origin();
        if let LogStanding::Unreconciled(_) = self.gossip.standing(origin) {
            match asked.step(self.latest(origin).as_ref().map(LastCosigned::head)) {
                Ok(_) => self.report_to_gossip(asked.request(), Gossip::observe_proof).await,
                // the log must know from where to prove that its heads belong together
                Err(conflict @ Refusal::Conflict { .. }) => return Err(conflict),
                Err(contradiction) => self.look_into(asked.request(), &contradiction).await,
            }
        }
        match self.gossip.standing(origin) {
            LogStanding::Good => Ok(()),
            LogStanding::Unreconciled(Question { origin, smaller, larger }) => {
                let (smaller, larger) = (smaller.size, larger.size);
                Err(Refusal::Unreconciled { origin, smaller, larger })
            }
            LogStanding::Convicted(evidence) => Err(convicted(asked, evidence)),
            _ => Err(Refusal::NotSigned(origin.clone())),
        }
    }

    /// Lays what the log signed beside what was cosigned, if it may contradict it. A proof that
    /// somebody merely spoiled shows nothing: the heads themselves are compared.
    // SPEC tlog-witness/add-checkpoint: the request MAY be logged, as proof of log misbehaviour
    pub(super) async fn look_into(&self, request: &AddCheckpoint, refusal: &Refusal) {
        let offered = request.checkpoint().checkpoint();
        let may_contradict = match refusal {
            Refusal::RootMismatch | Refusal::BadProof(_) | Refusal::EmptyRoot => true,
            // honest logs ask from a wrong size too, but about a head that is new
            Refusal::Conflict { .. } | Refusal::OldTooLarge { .. } => {
                let kept = self.latest(offered.origin());
                let latest = kept.as_ref().map_or(&TreeHead::EMPTY, LastCosigned::head);
                offered.head().size <= latest.size && offered.head() != latest
            }
            _ => false,
        };
        if may_contradict {
            self.report_to_gossip(request, Gossip::observe_refused).await;
        }
    }

    /// Tells gossip of a request, and waits until what follows is on the disk. Who makes many such
    /// requests waits for them itself.
    async fn report_to_gossip(
        &self,
        request: &AddCheckpoint,
        tell: fn(&Gossip, Option<&ClaimedCheckpoint>, &AddCheckpoint),
    ) {
        let Ok(turn) = Arc::clone(&self.telling).acquire_owned().await else { return };
        let (gossip, request) = (Arc::clone(&self.gossip), request.clone());
        let kept = self.latest(request.checkpoint().checkpoint().origin());
        // goes on when the caller has hung up
        let told = tokio::task::spawn_blocking(move || {
            tell(&gossip, kept.as_ref().map(|kept| &kept.checkpoint), &request);
            drop(turn);
        });
        // gossip that panicked has said so
        let _ = told.await;
    }
}

/// The refusal of a log whose every key evidence convicts.
fn convicted(asked: &Authenticated, evidence: EvidenceId) -> Refusal {
    let lines = asked.checkpoint().claimed().note().signatures();
    let reason = format!("evidence {evidence} convicts it");
    match lines.first() {
        Some(line) => Refusal::Convicted { name: line.name().to_string(), id: line.id(), reason },
        None => Refusal::NotSigned(asked.checkpoint().origin().clone()),
    }
}
