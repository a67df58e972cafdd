//! Soundness: over random honest histories no file convicts an honest party.
//!
//! Each history is a small world: logs that rotate keys, restart and publish heads of size 0,
//! witnesses that cosign several of them as they grow. The adversary holds everything that anybody
//! signed, keys of its own (two of them share name and id with honest ones), and honest keys that
//! were retired. It assembles files out of that, and whoever a judge then convicts must be its own
//! key. Over forked histories (`forks`) those who signed both sides are convicted. The seed of a
//! history stands in the message of a failing test.

mod forks;
mod heads;
mod ledgers;

use crate::note::{Algorithm, KeyName, SignerKey};

/// Histories of each sort, over all the tests of it together.
const HISTORIES: u64 = 100_000;

/// A small generator of numbers that look random: the same seed gives the same history.
struct Rng(u64);

impl Rng {
    fn new(seed: u64) -> Rng {
        let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        rng.next();
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn numbered_key(name: &str, algorithm: Algorithm, number: u32) -> SignerKey {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    SignerKey::from_seed(KeyName::new(name).expect("name"), algorithm, seed).expect("sound")
}
