//! Placeholder of the ledger-node crate.
