//! The ledger's daemon as a library: what `ledger-node` runs, and what `ledger demo` embeds.
//!
//! A record's way: [`admission`] checks form and signatures and puts it into a bounded queue; the
//! [`sequencer`], the only writer, judges it at its final place, writes it to the [`store`], signs
//! the head and publishes it through the [`publisher`]; `grpc` and `http` are the only files that
//! know a wire format. Drafts that lack signatures wait in [`pending`], apart from the log.
//! [`recovery`] brings a log up to its journal after any kind of stop. The [`witness`] cosigns
//! other logs' heads, and its own; the [`mirror`] copies other logs and cosigns what it holds;
//! [`gossip`] compares what everybody saw. All connections come through [`transport`].

pub mod address;
pub mod admission;
pub mod cli;
pub mod clock;
pub mod config;
pub mod escape;
pub mod evidence;
pub mod gossip;
pub mod governance;
mod grpc;
mod http;
pub mod index;
mod init;
pub mod known_logs;
pub mod listed;
pub mod log;
mod log_dir;
pub mod logging;
pub mod lookup;
pub mod mirror;
#[cfg(feature = "misbehave")]
pub mod misbehave;
mod node;
pub mod own_trouble;
pub mod pending;
pub mod publisher;
pub mod recovery;
pub mod refusal;
pub mod restore;
pub mod sequencer;
mod service;
mod small_files;
pub mod source;
mod sqlite;
mod state;
pub mod store;
pub mod transport;
mod wire;
pub mod witness;

pub use init::{Founding, InitError, InitReport, init};
pub use log_dir::LogDirError;
pub use node::{Overrides, RunningNode, StartError, reindex};
pub use service::{Service, Unpublished};
