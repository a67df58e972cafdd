//! How the witnesses are doing, for health checks, metrics and `ledger witness status`.

use std::sync::Mutex;
use std::time::Duration;

use ledger_core::TreeSize;

use super::plan::{Plan, name};

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
    /// What is wrong with it, and since when in POSIX seconds, if its last answer was no cosignature.
    pub trouble: Option<(String, u64)>,
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
                Some(known) => WitnessStatus { name: name(witness), contact, ..known },
                None => WitnessStatus {
                    name: name(witness),
                    vkey,
                    contact,
                    cosigned: None,
                    took: None,
                    cosignatures: 0,
                    failures: 0,
                    trouble: None,
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
