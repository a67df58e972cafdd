//! How the witnesses are doing, for health checks, metrics and `ledger witness status`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::cosignature::verify_line;
use ledger_core::evidence::EvidenceId;
use ledger_core::note::Signature;

use super::plan::{Plan, name};
use super::worker::{Cosigned, Silence, WitnessWorker};
use crate::clock::MAX_WITNESS_OFFSET;
use crate::evidence::EvidenceStore;

/// An answer that takes longer is slow: readers of a log that grows get this witness's cosignature
/// a head later, if at all.
pub const SLOW: Duration = Duration::from_secs(2);

/// How a witness does, as far as an operator must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It cosigned when it was asked last, in good time.
    Well,
    /// It cosigns, but took longer than [`SLOW`], or has not answered for so long now.
    Slow(Duration),
    /// It has said nothing yet.
    Pending,
    /// Its last answer was no cosignature; since when, in POSIX seconds.
    Silent(u64),
    /// It says that there is another head of the log; since when it has not cosigned, in POSIX
    /// seconds.
    Claims(u64),
    /// Nobody knows its address.
    Unreachable,
    /// This evidence convicts it, so that it counts for no quorum.
    Convicted(EvidenceId),
}

/// A witness that cosigned a head said afterwards that it cosigned a smaller one last: it lost its
/// memory, or a backup of it was restored. No proof, so that it is shown here alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledBack {
    /// The size that it had cosigned, by its own line.
    pub from: TreeSize,
    /// The size that it named.
    pub to: TreeSize,
    /// When it did so, in POSIX seconds.
    pub at: u64,
}

/// What a log waits for before its first signature after a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The names in the policy of the witnesses for which it waits.
    pub missing: Vec<String>,
    /// The size that they are to agree is the latest.
    pub size: TreeSize,
}

/// What is known of a witness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WitnessStatus {
    /// Its name in the policy.
    pub name: String,
    /// Its key, as a vkey.
    pub vkey: String,
    /// Where it is asked; `None` when no address is known.
    pub contact: Option<String>,
    /// What it cosigned last: the size, and its own time of doing so in POSIX seconds.
    pub cosigned: Option<(TreeSize, u64)>,
    /// How long its last cosignature took.
    pub took: Option<Duration>,
    /// How many times it cosigned since the node started.
    pub cosignatures: u64,
    /// How many requests failed since the node started.
    pub failures: u64,
    /// What is wrong with it, and since when in POSIX seconds, if its last answer was no
    /// cosignature.
    pub trouble: Option<(String, u64)>,
    /// What it shows, if its last answer claims that there is another head of the log.
    pub claim: Option<String>,
    /// The largest size that it cosigned, with its line.
    pub largest: Option<(TreeSize, Signature)>,
    /// How it went back last, since the node started.
    pub rolled_back: Option<RolledBack>,
    /// How many times it went back since the node started.
    pub rollbacks: u64,
    /// How many seconds the node's clock was ahead of its clock when it cosigned last; behind if
    /// negative.
    pub ahead: Option<i64>,
    /// Since when the request that is under way has waited for its answer.
    pub asked_since: Option<Instant>,
    /// The evidence that convicts it, if the node holds any.
    pub convicted: Option<EvidenceId>,
}

impl WitnessStatus {
    /// How long the request that is under way has waited for its answer.
    pub fn waiting(&self) -> Option<Duration> {
        self.asked_since.map(|since| since.elapsed())
    }

    /// How the witness does.
    pub fn standing(&self) -> Standing {
        if let Some(evidence) = self.convicted {
            return Standing::Convicted(evidence);
        }
        let slow = |took: &Duration| *took >= SLOW;
        match (&self.trouble, self.waiting().filter(slow).or(self.took.filter(slow))) {
            _ if self.contact.is_none() => Standing::Unreachable,
            (Some((_, since)), _) if self.claim.is_some() => Standing::Claims(*since),
            (Some((_, since)), _) => Standing::Silent(*since),
            (None, Some(took)) => Standing::Slow(took),
            (None, None) if self.cosigned.is_none() => Standing::Pending,
            (None, None) => Standing::Well,
        }
    }

    /// How many seconds the node's clock is ahead of the witness's, or behind if negative, if that
    /// is so much that one of them is wrong.
    pub fn clock_offset(&self) -> Option<i64> {
        self.ahead.filter(|ahead| ahead.unsigned_abs() >= MAX_WITNESS_OFFSET)
    }
}

/// All witnesses of the policy in force.
#[derive(Debug, Default)]
pub struct Board {
    witnesses: Mutex<Vec<WitnessStatus>>,
    unconfirmed: Mutex<Option<Unconfirmed>>,
    asks_peers: AtomicBool,
    evidence: Option<Arc<EvidenceStore>>,
}

impl Board {
    /// A board that says which of its witnesses this evidence convicts.
    pub fn new(evidence: Arc<EvidenceStore>) -> Board {
        Board { evidence: Some(evidence), ..Board::default() }
    }

    /// Starts over with the witnesses of a plan; what is known of those that stay is kept.
    pub fn set(&self, plan: &Plan) {
        let mut board = self.lock();
        let old = std::mem::take(&mut *board);
        for (witness, contact) in plan.witnesses() {
            let vkey = witness.key.to_string();
            let known = old.iter().find(|status| status.vkey == vkey).cloned();
            let contact = contact.map(ToString::to_string);
            board.push(match known {
                Some(known) => {
                    WitnessStatus { name: name(witness), contact, asked_since: None, ..known }
                }
                None => {
                    WitnessStatus { name: name(witness), vkey, contact, ..WitnessStatus::default() }
                }
            });
        }
    }

    /// Learns from a checkpoint that was published before a stop what the witnesses had cosigned.
    pub fn recall(&self, plan: &Plan, published: &ClaimedCheckpoint) {
        let size = published.checkpoint().head().size;
        for (at, (witness, _)) in plan.witnesses().enumerate() {
            let lines = published.note().signatures().iter();
            let is_its = |line: &&Signature| {
                line.is_by(&witness.key)
                    && verify_line(published.note(), &witness.key, line).is_some()
            };
            if let (Some(line), Some(status)) =
                (lines.clone().find(is_its), self.lock().get_mut(at))
            {
                status.note_largest(size, line);
            }
        }
    }

    /// What the log waits for before its first signature; `None` once it may sign.
    pub fn unconfirmed(&self, unconfirmed: Option<Unconfirmed>) {
        *self.unconfirmed.lock().expect("no panics under this lock") = unconfirmed;
    }

    /// What the log waits for before its first signature; `None` once it may sign.
    pub fn waits_for(&self) -> Option<Unconfirmed> {
        self.unconfirmed.lock().expect("no panics under this lock").clone()
    }

    /// Says whether the peers are being asked for a later head of the log.
    pub(super) fn asks_peers(&self, asks: bool) {
        self.asks_peers.store(asks, Ordering::Release);
    }

    /// Whether the peers are being asked for a later head of the log.
    pub fn is_asking_peers(&self) -> bool {
        self.asks_peers.load(Ordering::Acquire)
    }

    /// The witnesses in the policy's order.
    pub fn statuses(&self) -> Vec<WitnessStatus> {
        let mut statuses = self.lock().clone();
        if let Some(evidence) = &self.evidence {
            let exclusions = evidence.exclusions();
            for status in &mut statuses {
                status.convicted =
                    status.vkey.parse().ok().and_then(|key| exclusions.against(&key));
            }
        }
        statuses
    }

    /// Whether the last answer of the witness at this place was a cosignature.
    pub fn is_well(&self, at: usize) -> bool {
        self.lock().get(at).is_some_and(|s| s.trouble.is_none() && s.cosigned.is_some())
    }

    /// Asks the witness at this place, and notes how long that takes and whether it went back.
    pub(super) async fn asking(
        &self,
        at: usize,
        worker: &mut WitnessWorker,
        head: &ClaimedCheckpoint,
    ) -> Result<Cosigned, Silence> {
        self.asked(at);
        let answer = worker.ask(head).await;
        self.has_answered(at);
        if let Some(size) = worker.conflict {
            self.conflicted(at, size, worker.clock.now());
        }
        answer
    }

    /// A request to the witness is under way.
    fn asked(&self, at: usize) {
        if let Some(status) = self.lock().get_mut(at) {
            status.asked_since = Some(Instant::now());
        }
    }

    /// No request to the witness is under way any more.
    fn has_answered(&self, at: usize) {
        if let Some(status) = self.lock().get_mut(at) {
            status.asked_since = None;
        }
    }

    pub(super) fn cosigned(&self, at: usize, size: TreeSize, cosigned: &Cosigned) {
        if let Some(status) = self.lock().get_mut(at) {
            status.cosigned = Some((size, cosigned.time));
            status.took = Some(cosigned.took);
            status.ahead = Some(cosigned.ahead);
            status.cosignatures += 1;
            status.claim = None;
            status.note_largest(size, &cosigned.line);
            if let Some((trouble, _)) = status.trouble.take() {
                tracing::info!(witness = status.name, after = trouble, "the witness cosigns again");
            }
        }
    }

    /// The witness named this size as the one that it cosigned last.
    fn conflicted(&self, at: usize, to: TreeSize, now: u64) {
        let mut witnesses = self.lock();
        let Some(status) = witnesses.get_mut(at) else { return };
        let Some(from) = status.largest.as_ref().map(|own| own.0).filter(|from| to < *from) else {
            return;
        };
        let before = status.rolled_back;
        if before.is_none_or(|own| (own.from, own.to) != (from, to)) {
            tracing::error!(witness = status.name, %from, %to, "the witness went back");
            status.rollbacks += 1;
            status.rolled_back = Some(RolledBack { from, to, at: now });
        }
    }

    /// The witness cosigned a head that has been overtaken meanwhile.
    pub(super) fn answered(&self, at: usize) {
        if let Some(status) = self.lock().get_mut(at) {
            status.trouble = None;
            status.claim = None;
        }
    }

    pub(super) fn failed(&self, at: usize, silence: &Silence, now: u64) {
        let why = silence.to_string();
        if let Some(status) = self.lock().get_mut(at) {
            status.failures += 1;
            let since = status.trouble.as_ref().map_or(now, |(_, since)| *since);
            if status.trouble.as_ref().is_none_or(|(trouble, _)| *trouble != why) {
                tracing::warn!(witness = status.name, why, "the witness does not cosign");
            }
            status.trouble = Some((why, since));
            status.claim = match silence {
                Silence::Claims { shows, .. } => Some(shows.in_short()),
                _ => None,
            };
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<WitnessStatus>> {
        self.witnesses.lock().expect("no panics under this lock")
    }
}

impl WitnessStatus {
    fn note_largest(&mut self, size: TreeSize, line: &Signature) {
        if self.largest.as_ref().is_none_or(|own| own.0 <= size) {
            self.largest = Some((size, line.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> WitnessStatus {
        WitnessStatus {
            name: "w1".into(),
            contact: Some("http://w1.test".into()),
            cosigned: Some((TreeSize::ZERO, 1)),
            took: Some(SLOW / 2),
            cosignatures: 1,
            ..WitnessStatus::default()
        }
    }

    #[test]
    fn a_witness_is_well_slow_silent_or_unheard() {
        assert_eq!(status().standing(), Standing::Well);
        let slow = WitnessStatus { took: Some(SLOW), ..status() };
        assert_eq!(slow.standing(), Standing::Slow(SLOW));
        // it was quick, and hangs now
        let hangs = WitnessStatus { asked_since: Instant::now().checked_sub(SLOW), ..status() };
        assert!(matches!(hangs.standing(), Standing::Slow(took) if took >= SLOW));
        let asked = WitnessStatus { asked_since: Some(Instant::now()), ..status() };
        assert_eq!(asked.standing(), Standing::Well);
        let silent = WitnessStatus { trouble: Some(("503".into(), 7)), ..slow.clone() };
        assert_eq!(silent.standing(), Standing::Silent(7));
        let claims = WitnessStatus { claim: Some("it shows none".into()), ..silent };
        assert_eq!(claims.standing(), Standing::Claims(7));
        let unheard = WitnessStatus { cosigned: None, took: None, ..status() };
        assert_eq!(unheard.standing(), Standing::Pending);
        let nowhere = WitnessStatus { contact: None, ..unheard };
        assert_eq!(nowhere.standing(), Standing::Unreachable);
    }
}
