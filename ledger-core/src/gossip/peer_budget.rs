//! How a peer behaves: what it may cost, and how long it is left alone.

use std::time::Duration;

/// Milliseconds by a clock that never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

/// Units of work that a peer may cause at once: a first meeting of nodes that know hundreds of
/// logs.
const BURST: u32 = 4_096;

/// Units of work that a peer may cause in a second: about a hundredth of one core.
const UNITS_A_SECOND: u64 = 256;

/// What a message costs before anything in it was looked at.
const MESSAGE_UNITS: u32 = 4;

/// The first pause after a failure or a fault; each further one is twice as long.
const FIRST_PAUSE_MS: u64 = 1_000;

/// The longest pause after failures, in rounds: a node that comes back is heard again at once, for
/// what one side of a healed net knows is to reach the other within a few rounds.
const LONGEST_SILENCE_ROUNDS: u32 = 3;

/// The longest pause after faults.
const LONGEST_PENALTY_MS: u64 = 60 * 60_000;

/// Faults are forgotten after so long without another.
const FORGIVEN_AFTER_MS: u64 = 24 * 60 * 60_000;

/// What is known of one peer's conduct. It starts with a clean slate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerBudget {
    units: u32,
    filled: Moment,
    faults: u32,
    last_fault: Moment,
    limited: Moment,
    failures: u32,
    silent: Moment,
}

impl PeerBudget {
    /// A peer that is met at this moment.
    pub fn new(now: Moment) -> PeerBudget {
        PeerBudget {
            units: BURST,
            filled: now,
            faults: 0,
            last_fault: now,
            limited: Moment(0),
            failures: 0,
            silent: Moment(0),
        }
    }

    /// Whether a message that costs so much may be looked at now; takes the units if so.
    ///
    /// # Errors
    /// When the peer may try again: it lied before, or it asks for too much.
    pub fn try_spend(&mut self, now: Moment, units: u32) -> Result<(), Moment> {
        if now < self.limited {
            return Err(self.limited);
        }
        // longer than a slate takes to fill makes no difference
        let passed = now.0.saturating_sub(self.filled.0).min(FORGIVEN_AFTER_MS);
        let more = passed.saturating_mul(UNITS_A_SECOND) / 1_000;
        if more > 0 {
            // what is left of a unit counts next time
            self.filled = Moment(now.0.max(self.filled.0) - passed + more * 1_000 / UNITS_A_SECOND);
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            self.units = self.units.saturating_add(more).min(BURST);
        }
        let needed = units.saturating_add(MESSAGE_UNITS).min(BURST);
        match self.units.checked_sub(needed) {
            Some(rest) => {
                self.units = rest;
                Ok(())
            }
            None => {
                let missing = u64::from(needed - self.units);
                let from = now.max(self.filled);
                Err(Moment(from.0 + (missing * 1_000).div_ceil(UNITS_A_SECOND)))
            }
        }
    }

    /// Takes units for what a message has led to. Where more is owed than is left, the peer may not
    /// cause anything before it is paid.
    pub fn charge(&mut self, units: u32) {
        let paid = units.min(self.units);
        self.units -= paid;
        self.filled.0 += (u64::from(units - paid) * 1_000).div_ceil(UNITS_A_SECOND);
    }

    /// The peer lied or broke the protocol: it is not listened to for a while.
    pub fn fault(&mut self, now: Moment) {
        if now.0.saturating_sub(self.last_fault.0) >= FORGIVEN_AFTER_MS {
            self.faults = 0;
        }
        self.limited = Moment(now.0 + pause(self.faults, LONGEST_PENALTY_MS));
        self.faults = self.faults.saturating_add(1);
        self.last_fault = now;
    }

    /// The peer could not be reached, or ended a round early. A round is begun every `interval`.
    pub fn failed(&mut self, now: Moment, interval: Duration) {
        let longest = (interval * LONGEST_SILENCE_ROUNDS).as_millis();
        let longest = u64::try_from(longest).unwrap_or(u64::MAX);
        self.silent = Moment(now.0.saturating_add(pause(self.failures, longest)));
        self.failures = self.failures.saturating_add(1);
    }

    /// A round with the peer went well.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.silent = Moment(0);
    }

    /// Whether a round with the peer may be begun.
    pub fn is_due(&self, now: Moment) -> bool {
        now >= self.due_at()
    }

    /// From when on a round with the peer may be begun.
    pub fn due_at(&self) -> Moment {
        self.limited.max(self.silent)
    }

    /// Whether it is not listened to because it lied.
    pub fn is_limited(&self, now: Moment) -> bool {
        now < self.limited
    }

    /// Faults that are not forgotten.
    pub fn faults(&self) -> u32 {
        self.faults
    }

    /// Rounds that failed since one went well.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

fn pause(before: u32, longest: u64) -> u64 {
    FIRST_PAUSE_MS.checked_shl(before.min(32)).unwrap_or(longest).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_stopped_and_told_when_to_come_again() {
        let mut conduct = PeerBudget::new(Moment(0));
        let mut taken = 0;
        let again = loop {
            match conduct.try_spend(Moment(0), 60) {
                Ok(()) => taken += 1,
                Err(again) => break again,
            }
        };
        assert_eq!(taken, BURST / 64);
        assert!(conduct.try_spend(Moment(again.0 - 1), 60).is_err());
        assert_eq!(conduct.try_spend(again, 60), Ok(()));
    }

    #[test]
    fn what_a_message_led_to_is_paid_before_anything_else() {
        let mut conduct = PeerBudget::new(Moment(0));
        assert_eq!(conduct.try_spend(Moment(0), 0), Ok(()));
        conduct.charge(BURST + 252);
        let again = conduct.try_spend(Moment(0), 0).expect_err("a second is owed, and a message");
        assert_eq!(again, Moment(1_016));
        assert!(conduct.try_spend(Moment(again.0 - 1), 0).is_err());
        assert_eq!(conduct.try_spend(again, 0), Ok(()));
        assert!(conduct.try_spend(again, 0).is_err());
    }

    #[test]
    fn a_message_larger_than_any_burst_passes_when_the_slate_is_full() {
        let mut conduct = PeerBudget::new(Moment(0));
        assert_eq!(conduct.try_spend(Moment(0), u32::MAX), Ok(()));
        let again = conduct.try_spend(Moment(0), u32::MAX).expect_err("empty");
        assert_eq!(conduct.try_spend(again, u32::MAX), Ok(()));
    }

    #[test]
    fn faults_pause_longer_each_time_and_are_forgotten_in_the_end() {
        let mut conduct = PeerBudget::new(Moment(0));
        let (mut now, mut pauses) = (Moment(0), Vec::new());
        for _ in 0..14 {
            conduct.fault(now);
            assert!(conduct.try_spend(now, 0).is_err() && !conduct.is_due(now));
            pauses.push(conduct.limited.0 - now.0);
            now = conduct.limited;
            assert!(conduct.try_spend(now, 0).is_ok());
        }
        assert!(pauses.windows(2).all(|two| two[0] < two[1] || two[1] == LONGEST_PENALTY_MS));
        conduct.fault(Moment(now.0 + FORGIVEN_AFTER_MS));
        assert_eq!(conduct.faults(), 1);
    }

    #[test]
    fn a_silent_peer_is_asked_again_but_still_listened_to() {
        let mut conduct = PeerBudget::new(Moment(0));
        for _ in 0..20 {
            conduct.failed(Moment(0), Duration::from_secs(10));
        }
        assert_eq!(conduct.due_at(), Moment(30_000), "three rounds");
        assert!(!conduct.is_due(Moment(29_999)) && conduct.is_due(Moment(30_000)));
        assert_eq!(conduct.try_spend(Moment(0), 1), Ok(()));
        conduct.succeeded();
        assert!(conduct.is_due(Moment(0)));
    }
}
