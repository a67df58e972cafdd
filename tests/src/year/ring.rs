//! The keys of a simulated year, all of them from its seed.

use ledger_core::Hash;
use ledger_core::note::{Algorithm, KeyName, SignerKey};

use crate::consortium::ORIGIN;

/// Makes the key of any name.
#[derive(Debug, Clone)]
pub struct Ring {
    seed: u64,
}

impl Ring {
    /// The keys of a seed.
    pub fn new(seed: u64) -> Ring {
        Ring { seed }
    }

    /// The key of a member, named like it or with a label.
    pub fn key(&self, name: &str) -> SignerKey {
        self.named(name, name)
    }

    /// A key that bears a member's name, and is another's.
    pub fn impostor(&self, name: &str) -> SignerKey {
        self.named(name, &format!("not {name}"))
    }

    /// The `n`-th key that signs the log's heads.
    pub fn log(&self, n: u64) -> SignerKey {
        self.named(ORIGIN, &format!("log {n}"))
    }

    /// The key of somebody who is no member, named after itself.
    pub fn stranger(&self, n: u64) -> SignerKey {
        let secret = format!("stranger {n}");
        let key = self.named("public/x", &secret);
        let digest = Hash::digest(key.verifier().public().as_bytes());
        self.named(&format!("public/{digest}"), &secret)
    }

    fn named(&self, name: &str, secret: &str) -> SignerKey {
        let seed = Hash::digest(format!("{} {secret}", self.seed).as_bytes());
        let name = KeyName::new(name).expect("a key's name");
        let key = SignerKey::from_seed(name, Algorithm::Ed25519, *seed.as_bytes());
        key.expect("no seed gives a weak key")
    }
}
