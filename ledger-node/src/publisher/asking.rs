//! Reaching the witnesses of a policy.

use super::link::Link;
use super::plan::Plan;
use super::shown::ShownHeads;
use super::worker::WitnessWorker;
use crate::address::Contact;
use crate::clock::{Clock, ClockError, MAX_WITNESS_OFFSET};
use crate::log::LogReader;
use crate::transport::Dialer;
use crate::witness::Witness;
use ledger_core::TreeSize;
use std::sync::Arc;

/// What it takes to ask witnesses.
pub struct Asking {
    /// The log, for proofs.
    pub reader: Arc<LogReader>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// This node's own witness, if it is one.
    pub own: Option<Arc<Witness>>,
    /// How witnesses are reached.
    pub dialer: Dialer,
    /// What judges the heads that witnesses and peers show.
    pub heads: Arc<ShownHeads>,
}

impl Asking {
    /// A worker for each witness that can be reached, which is believed to have cosigned `known`.
    pub fn workers<'a>(
        &'a self,
        plan: &'a Plan,
        known: TreeSize,
    ) -> impl Iterator<Item = (usize, WitnessWorker)> + 'a {
        plan.witnesses().enumerate().filter_map(move |(at, (witness, contact))| {
            let monitoring = plan.monitoring_at(at);
            let link = Link::open(contact?, monitoring, self.own.as_ref(), &self.dialer)?;
            let (reader, clock) = (Arc::clone(&self.reader), Arc::clone(&self.clock));
            let (key, heads, conflict) = (witness.key.clone(), Arc::clone(&self.heads), None);
            Some((at, WitnessWorker { key, link, reader, clock, heads, known, conflict }))
        })
    }

    /// The places in the policy of the witnesses that can be reached and are not this node's.
    pub fn others<'a>(&self, plan: &'a Plan) -> impl Iterator<Item = usize> + use<'a> {
        let reached = plan
            .witnesses()
            .enumerate()
            .filter(|(_, (_, contact))| contact.is_some_and(|contact| *contact != Contact::Own));
        reached.map(|(at, _)| at)
    }

    /// Whether the witness at this place of the policy is this node's.
    pub fn is_own(&self, plan: &Plan, at: usize) -> bool {
        plan.witnesses().nth(at).is_some_and(|(_, contact)| contact == Some(&Contact::Own))
    }

    /// The time in POSIX seconds.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }
}

/// Whether the own clock is too far from what most witnesses say; `offsets` is how far it is ahead
/// of each. Of `others` witnesses those that were not heard count as if they agreed: nobody who is
/// merely quick stops the log.
pub fn clock_trouble(mut offsets: Vec<i64>, others: usize) -> Option<ClockError> {
    offsets.resize(others.max(offsets.len()), 0);
    offsets.sort_unstable();
    let count = offsets.len().checked_sub(1)?;
    // of an even number both middle ones must say so: half of the witnesses stop nobody
    let middle = [offsets[count / 2], offsets[count.div_ceil(2)]];
    let nearest = middle.into_iter().min_by_key(|offset| offset.unsigned_abs())?;
    let same_side = middle[0].signum() == middle[1].signum();
    let seconds = nearest.unsigned_abs();
    let off = same_side && seconds > MAX_WITNESS_OFFSET;
    off.then_some(ClockError::Witnesses { seconds, ahead: nearest > 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_witnesses_must_say_that_the_clock_is_off() {
        let ahead = |seconds| Some(ClockError::Witnesses { seconds, ahead: true });
        for (offsets, expected) in [
            (vec![], None),
            (vec![300], None),
            (vec![301], ahead(301)),
            (vec![0, 9999], None),
            (vec![400, 9999], ahead(400)),
            (vec![-9999, 9999], None),
            (vec![9999, 0, 0], None),
            (vec![0, 400, 9999], ahead(400)),
            (vec![-400, -400, 0], Some(ClockError::Witnesses { seconds: 400, ahead: false })),
        ] {
            assert_eq!(clock_trouble(offsets.clone(), 0), expected, "{offsets:?}");
        }
        // two of three were not heard yet
        assert_eq!(clock_trouble(vec![9999], 3), None);
        assert_eq!(clock_trouble(vec![9999, 400], 3), ahead(400));
    }
}
