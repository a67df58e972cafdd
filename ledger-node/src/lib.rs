//! The ledger's daemon as a library: what `ledger-node` runs, and what `ledger demo` embeds.

mod state;
pub mod store;
