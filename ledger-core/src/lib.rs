//! The pure core of the transparency ledger.
//!
//! Nothing here reads a file, a clock, a socket or a random number: bytes and times are arguments,
//! verdicts and bytes are results. The same code judges records in the node, in the command line,
//! in an auditor's hands and in a browser.
//!
//! Bytes from outside are parsed into types that claim something; only verification makes the types
//! that other code trusts.

pub mod authority;
pub mod batch;
pub mod charter;
pub mod checkpoint;
pub mod cosignature;
pub mod decline;
pub mod evidence;
pub mod gossip;
pub mod hash;
mod heap;
pub mod index;
pub mod member_note;
pub mod merkle;
pub mod note;
pub mod policy;
pub mod proof;
pub mod record;
pub mod register;
pub mod request;
pub mod succession;
pub mod tile;
pub mod witness;

pub use charter::lawful;
pub use hash::Hash;
pub use index::{LeafIndex, TreeSize};
