//! Transparency logs as RFC 6962 and the C2SP specifications define them: Merkle trees and their
//! proofs, tiles, signed notes, checkpoints, cosignatures, policies and witnesses.
//!
//! The crate computes and judges. It reads no file, clock, socket or random number: bytes and times
//! are arguments. Bytes from outside become types such as
//! [`ClaimedCheckpoint`](checkpoint::ClaimedCheckpoint), which claim something; only verification
//! makes the types that other code trusts. It builds for `wasm32-unknown-unknown`.
//!
//! # Example
//! You hold an entry, a proof of it, and a policy that names the log and its witnesses:
//!
//! ```no_run
//! use tlog::Hash;
//! use tlog::policy::Policy;
//! use tlog::proof::TlogProof;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::parse(&std::fs::read("policy")?)?;
//! let proof = TlogProof::parse(&std::fs::read("entry.tlog-proof")?)?;
//! let leaf = Hash::leaf(&std::fs::read("entry")?);
//! let accepted = proof.verify(&leaf, &policy)?;
//! let (log, size) = (accepted.checkpoint.origin().as_str(), accepted.checkpoint.head().size);
//! println!("entry {} of {log}, in the tree of {size} entries", proof.index);
//! # Ok(())
//! # }
//! ```
//!
//! # You hold, you call
//! | you hold | you call | specification |
//! |---|---|---|
//! | a proof file, an entry and a policy | [`TlogProof::verify`](proof::TlogProof::verify) | C2SP tlog-proof |
//! | a checkpoint and a policy | [`Policy::verify`](policy::Policy::verify) | C2SP tlog-policy, tlog-checkpoint |
//! | a checkpoint and the log's keys | [`ClaimedCheckpoint::verify`](checkpoint::ClaimedCheckpoint::verify) | C2SP tlog-checkpoint |
//! | two heads and a consistency proof | [`verify_consistency`](merkle::verify_consistency) | RFC 9162, 2.1.4.2 |
//! | a leaf hash, a head and an inclusion proof | [`verify_inclusion`](merkle::verify_inclusion) | RFC 9162, 2.1.3.2 |
//! | a cosignature line and its note | [`verify_line`](cosignature::verify_line) | C2SP tlog-cosignature |
//! | a bundle of entries | [`EntryBundle::parse`](tile::EntryBundle::parse) | C2SP tlog-tiles |
//! | a way to read tiles | [`TileReader`](tile::TileReader), with [`prove_inclusion`](merkle::prove_inclusion) | C2SP tlog-tiles |
//! | entries to append | [`Edge::append`](batch::Edge::append) | RFC 6962, C2SP tlog-tiles |
//! | an `add-checkpoint` request | [`AddCheckpoint::authenticate`](witness::AddCheckpoint::authenticate) | C2SP tlog-witness |
//! | a signed note | [`Note::parse`](note::Note::parse) | C2SP signed-note |
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `sign` | signing keys; a verifier leaves it off |
//! | `ml-dsa` | keys and cosignatures of type 0x06, ML-DSA-44 |
//! | `count-checks` | for tests: counts the signature checks of a thread |

pub mod batch;
pub mod checkpoint;
pub mod cosignature;
pub mod hash;
pub mod heap;
pub mod index;
pub mod merkle;
pub mod note;
pub mod policy;
pub mod proof;
pub mod tile;
pub mod witness;

pub use hash::Hash;
pub use index::{LeafIndex, TreeSize};
