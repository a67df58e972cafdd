//! The command line `ledger`, for members, watchdogs, researchers and auditors.
//!
//! Every command is a file in [`commands`]. A command prints its result through
//! [`Output`](output::Output) and ends with an [`Outcome`](output::Outcome), which is the one JSON
//! object of `--json`, or with a [`Failure`](failure::Failure), which always says what to do next.

pub mod address;
pub mod cli;
pub mod client;
pub mod commands;
pub mod disclosures;
pub mod environment;
pub mod excluded;
pub mod failure;
pub mod file_kind;
pub mod files;
pub mod keys;
pub mod member;
pub mod output;
pub mod progress;
pub mod reach;
pub mod submitter;
pub mod trust;
pub mod unsigned;
pub mod view;

pub use cli::run;
pub use ledger_node::escape;
