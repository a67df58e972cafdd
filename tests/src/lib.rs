//! Placeholder of the ledger-tests crate.
