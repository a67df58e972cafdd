//! The only one who moves a log's head: checks and keeps groups of requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ledger_core::cosignature::MAX_TIME;
use ledger_core::witness::{Authenticated, origin_hash};
use tokio::sync::{mpsc, oneshot};

use super::WitnessError;
use super::store::{LastCosigned, Latest, WitnessStore};
use crate::clock::Clock;

/// Requests that share one transaction: as many as arrive while the disk works, and a bound on how
/// long the first of them waits.
const MAX_GROUP: usize = 256;

/// A request whose signatures were judged, and who waits for the rest.
pub(super) struct CosignJob {
    pub authenticated: Authenticated,
    pub answer: oneshot::Sender<Result<LastCosigned, WitnessError>>,
}

pub(super) struct WitnessWriter {
    pub store: WitnessStore,
    pub latest: Arc<RwLock<Latest>>,
    pub broken: Arc<AtomicBool>,
    pub clock: Arc<dyn Clock>,
}

impl WitnessWriter {
    /// Works until nobody can send any more. There is no timer: a lone request is handled at once,
    /// and a group is whatever came while the disk was busy.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<CosignJob>) {
        let mut group = Vec::with_capacity(MAX_GROUP);
        while jobs.blocking_recv_many(&mut group, MAX_GROUP) > 0 {
            self.handle(group.drain(..));
        }
    }

    fn handle(&mut self, group: impl Iterator<Item = CosignJob>) {
        let mut moved = BTreeMap::new();
        let mut answers = Vec::new();
        for job in group {
            let verdict = self.judge(&job.authenticated, &mut moved);
            answers.push((job.answer, verdict));
        }
        // SPEC tlog-witness/add-checkpoint: the new checkpoint is persisted before the response
        if !moved.is_empty() && !self.is_broken() {
            match self.store.keep(moved.values()) {
                Ok(()) => {
                    let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
                    latest.extend(moved);
                }
                Err(error) => {
                    // perhaps it was kept and perhaps not: only reading the file again can tell
                    tracing::error!(%error, "the witness cosigns nothing more until a restart");
                    self.broken.store(true, Ordering::Release);
                }
            }
        }
        let broken = self.is_broken();
        for (answer, verdict) in answers {
            let _ = answer.send(if broken { Err(WitnessError::Broken) } else { verdict });
        }
    }

    /// The verdict on the head that requests before this one in the group have moved.
    // SPEC tlog-witness/add-checkpoint: checking and persisting are atomic
    fn judge(
        &self,
        authenticated: &Authenticated,
        moved: &mut BTreeMap<String, LastCosigned>,
    ) -> Result<LastCosigned, WitnessError> {
        let hash = origin_hash(authenticated.checkpoint().origin());
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let before = moved.get(&hash).or_else(|| latest.get(&hash));
        let checkpoint = authenticated.step(before.map(LastCosigned::head))?;
        // a witness's times never go back, and zero would say nothing about the latest head
        let earliest = before.map_or(1, |kept| kept.time);
        let time = self.clock.now().clamp(earliest, MAX_TIME.max(earliest));
        let kept = LastCosigned { checkpoint: checkpoint.claimed().clone(), time };
        moved.insert(hash, kept.clone());
        Ok(kept)
    }

    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}
