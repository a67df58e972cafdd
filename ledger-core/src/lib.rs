//! The pure core of the transparency ledger.
//!
//! Nothing here reads a file, a clock, a socket or a random number: bytes and times are arguments,
//! verdicts and bytes are results. The same code judges records in the node, in the command line,
//! in an auditor's hands and in a browser.
//!
//! Bytes from outside are parsed into types that claim something; only verification makes the types
//! that other code trusts.

pub mod authority;
pub mod charter;
pub mod decline;
pub mod evidence;
pub mod gossip;
pub mod member_note;
mod proven;
pub mod record;
pub mod register;
pub mod request;
pub mod succession;

pub use charter::lawful;
pub use proven::{ProvenRecord, RecordProofError};
pub use tlog::{
    Hash, LeafIndex, TreeSize, batch, checkpoint, cosignature, hash, heap, index, merkle, note,
    policy, proof, tile, witness,
};
