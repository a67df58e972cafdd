//! Time as an argument: the system's clock, and one that tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the sequencer reads the time.
pub trait Clock: Send + Sync + 'static {
    /// The time in POSIX seconds.
    fn now(&self) -> u64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// A clock that stands where it is set.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands at `time`.
    pub fn at(time: u64) -> ManualClock {
        ManualClock(Arc::new(AtomicU64::new(time)))
    }

    /// Moves the clock, forwards or backwards.
    pub fn set(&self, time: u64) {
        self.0.store(time, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
