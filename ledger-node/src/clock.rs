//! Time as an argument: the system's clock, and one that tests set; and when a clock cannot be
//! right.

use ledger_core::Hint;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far the clock may be from what witnesses say, in seconds.
pub const MAX_WITNESS_OFFSET: u64 = 5 * 60;

/// How far the wall clock may move against the monotonic one while the node runs, in seconds.
pub const MAX_JUMP: u64 = 24 * 60 * 60;

/// Where the sequencer reads the time.
pub trait Clock: Send + Sync + 'static {
    /// The time in POSIX seconds.
    fn now(&self) -> u64;

    /// The time since some moment, by a clock that nobody sets.
    fn elapsed(&self) -> Duration;
}

/// Why a clock cannot be right. One wrong time in a log stands there for ever, and every later
/// entry must not be earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// Most witnesses say another time.
    #[error(
        "the clock is {seconds} seconds {} the times of the witnesses",
        if *.ahead { "ahead of" } else { "behind" }
    )]
    Witnesses {
        /// How far apart they are.
        seconds: u64,
        /// Whether this node's clock is the later one.
        ahead: bool,
    },
    /// Somebody set the wall clock while the node ran.
    #[error("the clock was moved by {seconds} seconds while the node ran")]
    Jumped {
        /// How far.
        seconds: u64,
    },
}

impl Hint for ClockError {
    fn hint(&self) -> &'static str {
        match self {
            ClockError::Witnesses { .. } => {
                "set the clock (NTP) and serve again; if it is right and the witnesses are wrong, \
                 serve with --trust-clock"
            }
            ClockError::Jumped { .. } => "check the clock (NTP), then serve again",
        }
    }
}

/// Notices when the wall clock is moved.
#[derive(Debug)]
pub struct JumpGuard {
    /// The wall clock less the monotonic one, when the guard was set up.
    began: i128,
}

impl JumpGuard {
    /// Takes the clock for right as it stands.
    pub fn new(clock: &dyn Clock) -> JumpGuard {
        JumpGuard { began: difference(clock) }
    }

    /// Compares the clock with how it stood.
    ///
    /// # Errors
    /// [`ClockError::Jumped`] if it has moved by more than [`MAX_JUMP`].
    pub fn check(&self, clock: &dyn Clock) -> Result<(), ClockError> {
        let seconds = (difference(clock) - self.began).unsigned_abs() / 1000;
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        if seconds > MAX_JUMP { Err(ClockError::Jumped { seconds }) } else { Ok(()) }
    }
}

fn difference(clock: &dyn Clock) -> i128 {
    i128::from(clock.now()) * 1000 - i128::try_from(clock.elapsed().as_millis()).unwrap_or(0)
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn elapsed(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        BEGAN.get_or_init(Instant::now).elapsed()
    }
}

/// A clock that stands where it is set.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    time: Arc<AtomicU64>,
    /// By how much it was moved although no time went by.
    jumped: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that stands at `time`.
    pub fn at(time: u64) -> ManualClock {
        let clock = ManualClock::default();
        clock.set(time);
        clock
    }

    /// Lets time go by until `time`, forwards or backwards.
    pub fn set(&self, time: u64) {
        self.time.store(time, Ordering::Relaxed);
    }

    /// Moves the hands: the monotonic clock stays where it is.
    pub fn jump(&self, seconds: i64) {
        self.jumped.fetch_add(seconds, Ordering::Relaxed);
        self.set(self.now().saturating_add_signed(seconds));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        let jumped = self.jumped.load(Ordering::Relaxed);
        Duration::from_secs(self.now().saturating_add_signed(jumped.saturating_neg()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_clock_is_noticed_and_passing_time_is_not() {
        let clock = ManualClock::at(1_800_000_000);
        let guard = JumpGuard::new(&clock);
        clock.set(1_900_000_000);
        assert_eq!(guard.check(&clock), Ok(()));
        clock.jump(MAX_JUMP as i64);
        assert_eq!(guard.check(&clock), Ok(()));
        clock.jump(1);
        assert_eq!(guard.check(&clock), Err(ClockError::Jumped { seconds: MAX_JUMP + 1 }));
        clock.jump(-2 * MAX_JUMP as i64 - 2);
        assert_eq!(guard.check(&clock), Err(ClockError::Jumped { seconds: MAX_JUMP + 1 }));
        let system = JumpGuard::new(&SystemClock);
        assert_eq!(system.check(&SystemClock), Ok(()));
    }
}
