//! Placeholder of the ledger-proto crate.
