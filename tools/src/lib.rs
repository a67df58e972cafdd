//! Placeholder of the ledger-tools crate.
