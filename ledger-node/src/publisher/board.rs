//! How the witnesses are doing, for health checks, metrics and `ledger witness status`.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use ledger_core::TreeSize;

use super::plan::{Plan, name};

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
    /// Nobody knows its address.
    Unreachable,
}

/// What is known of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Since when the request that is under way has waited for its answer.
    pub asked_since: Option<Instant>,
}

impl WitnessStatus {
    /// How long the request that is under way has waited for its answer.
    pub fn waiting(&self) -> Option<Duration> {
        self.asked_since.map(|since| since.elapsed())
    }

    /// How the witness does.
    pub fn standing(&self) -> Standing {
        let slow = |took: &Duration| *took >= SLOW;
        match (&self.trouble, self.waiting().filter(slow).or(self.took.filter(slow))) {
            _ if self.contact.is_none() => Standing::Unreachable,
            (Some((_, since)), _) => Standing::Silent(*since),
            (None, Some(took)) => Standing::Slow(took),
            (None, None) if self.cosigned.is_none() => Standing::Pending,
            (None, None) => Standing::Well,
        }
    }
}

/// All witnesses of the policy in force.
#[derive(Debug, Default)]
pub struct Board(Mutex<Vec<WitnessStatus>>);

impl Board {
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
                None => WitnessStatus {
                    name: name(witness),
                    vkey,
                    contact,
                    cosigned: None,
                    took: None,
                    cosignatures: 0,
                    failures: 0,
                    trouble: None,
                    asked_since: None,
                },
            });
        }
    }

    /// The witnesses in the policy's order.
    pub fn statuses(&self) -> Vec<WitnessStatus> {
        self.lock().clone()
    }

    /// Whether the last answer of the witness at this place was a cosignature.
    pub fn is_well(&self, at: usize) -> bool {
        self.lock().get(at).is_some_and(|s| s.trouble.is_none() && s.cosigned.is_some())
    }

    /// A request to the witness is under way.
    pub(super) fn asked(&self, at: usize) {
        if let Some(status) = self.lock().get_mut(at) {
            status.asked_since = Some(Instant::now());
        }
    }

    /// No request to the witness is under way any more.
    pub(super) fn heard(&self, at: usize) {
        if let Some(status) = self.lock().get_mut(at) {
            status.asked_since = None;
        }
    }

    pub(super) fn cosigned(&self, at: usize, size: TreeSize, time: u64, took: Duration) {
        if let Some(status) = self.lock().get_mut(at) {
            status.cosigned = Some((size, time));
            status.took = Some(took);
            status.cosignatures += 1;
            if let Some((trouble, _)) = status.trouble.take() {
                tracing::info!(witness = status.name, after = trouble, "the witness cosigns again");
            }
        }
    }

    /// The witness cosigned a head that has been overtaken meanwhile.
    pub(super) fn answered(&self, at: usize) {
        if let Some(status) = self.lock().get_mut(at) {
            status.trouble = None;
        }
    }

    pub(super) fn failed(&self, at: usize, why: String, now: u64) {
        if let Some(status) = self.lock().get_mut(at) {
            status.failures += 1;
            let since = status.trouble.as_ref().map_or(now, |(_, since)| *since);
            if status.trouble.as_ref().is_none_or(|(trouble, _)| *trouble != why) {
                tracing::warn!(witness = status.name, why, "the witness does not cosign");
            }
            status.trouble = Some((why, since));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<WitnessStatus>> {
        self.0.lock().expect("no panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> WitnessStatus {
        WitnessStatus {
            name: "w1".into(),
            vkey: String::new(),
            contact: Some("http://w1.test".into()),
            cosigned: Some((TreeSize::ZERO, 1)),
            took: Some(SLOW / 2),
            cosignatures: 1,
            failures: 0,
            trouble: None,
            asked_since: None,
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
        let unheard = WitnessStatus { cosigned: None, took: None, ..status() };
        assert_eq!(unheard.standing(), Standing::Pending);
        let nowhere = WitnessStatus { contact: None, ..unheard };
        assert_eq!(nowhere.standing(), Standing::Unreachable);
    }
}
