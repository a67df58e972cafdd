//! Random numbers that can be had again: whoever fails prints the seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// The variable that sets the seed.
const SEED: &str = "LEDGER_TEST_SEED";

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The numbers of the seed in `LEDGER_TEST_SEED`, or of another one each time. Prints the seed.
    ///
    /// # Panics
    /// If the variable holds no number.
    pub fn from_environment() -> Random {
        let seed = match std::env::var(SEED) {
            Ok(text) => text.parse().expect("LEDGER_TEST_SEED is a number"),
            Err(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                since.map_or(0, |since| since.as_nanos() as u64)
            }
        };
        println!("{SEED}={seed}");
        Random(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below a limit, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Whether something happens that happens once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
