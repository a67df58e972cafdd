//! Placeholder of the ledger-benches crate.
