//! The pure core of the transparency ledger: records and their kinds, the charter and its rules,
//! registers, gossip and evidence.
//!
//! Nothing here reads a file, a clock, a socket or a random number: bytes and times are arguments,
//! verdicts and bytes are results. The same code judges records in the node, in the command line,
//! in an auditor's programs and in a browser. Bytes from outside become types that claim something;
//! only verification makes the types that other code trusts.
//!
//! # Which crate to open
//! | you want to | open |
//! |---|---|
//! | work with any transparency log of RFC 6962 and C2SP: proofs, checkpoints, tiles, witnesses | the crate [`tlog`], whose modules this crate names too |
//! | verify a record, judge who was allowed to sign it, replay a charter, read evidence | this crate |
//!
//! # Verify a proof
//! A record is in a log under a policy that you trust:
//!
//! ```no_run
//! use ledger_core::ProvenRecord;
//! use ledger_core::policy::Policy;
//! use ledger_core::proof::TlogProof;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let policy = Policy::parse(&std::fs::read("policy")?)?;
//!     let proof = TlogProof::parse(&std::fs::read("decision.tlog-proof")?)?;
//!     let record = std::fs::read("decision.record")?;
//!     let proven = ProvenRecord::verify(&record, &proof, &policy)?;
//!     println!("entry {} of {} entries", proven.index(), proven.head().size);
//!     Ok(())
//! }
//! ```
//!
//! # Verify an authority bundle
//! The record's signers were allowed to sign, by the charter that you name:
//!
//! ```no_run
//! use ledger_core::authority::{AuthorityBundle, HeadPolicy};
//! use ledger_core::record::{Record, StatementId};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let anchor = std::env::args().nth(1).ok_or("give the anchor")?;
//!     let anchor: StatementId = anchor.parse()?;
//!     let bundle = AuthorityBundle::parse(&std::fs::read("decision.authority")?)?;
//!     let record = Record::parse(&std::fs::read("decision.record")?)?;
//!     let policy = HeadPolicy::Charter(&|policy| policy.clone());
//!     let authorised = bundle.verify(&record, anchor, policy)?;
//!     println!("allowed, at entry {}", authorised.index);
//!     Ok(())
//! }
//! ```
//!
//! # Verify a consistency proof
//! A log has only grown since the checkpoint that you kept:
//!
//! ```no_run
//! use ledger_core::checkpoint::ClaimedCheckpoint;
//! use ledger_core::merkle::{ConsistencyProof, verify_consistency};
//! use ledger_core::policy::Policy;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let policy = Policy::parse(&std::fs::read("policy")?)?;
//!     let read = |file| -> Result<_, Box<dyn std::error::Error>> {
//!         let claimed = ClaimedCheckpoint::parse(&std::fs::read(file)?)?;
//!         Ok(*policy.verify(&claimed)?.checkpoint.head())
//!     };
//!     let proof = ConsistencyProof::parse(std::fs::read_to_string("proof")?.lines())?;
//!     Ok(verify_consistency(&proof, &read("older")?, &read("newer")?)?)
//! }
//! ```
//!
//! # You hold, you call
//! | you hold | you call |
//! |---|---|
//! | a record, a proof and a policy | [`ProvenRecord::verify`] |
//! | a record, an authority bundle and an anchor | [`AuthorityBundle::verify`](authority::AuthorityBundle::verify) |
//! | the governance entries of a log | [`Governance::replay`](charter::Governance::replay) |
//! | all entries of a log | [`EntryVisitor`](lawful::EntryVisitor) |
//! | a file of evidence and the keys you know | [`ClaimedEvidence::verify`](evidence::ClaimedEvidence::verify) |
//! | a record's bytes | [`Record::parse`](record::Record::parse) |
//! | lawful entries, to see what is open or overdue | [`register`] |
//! | heads that others show a node | [`View::observe`](gossip::View::observe) |
//!
//! # Features
//! `sign` adds signing keys and makes drafts into records; `ml-dsa` adds keys and cosignatures of
//! ML-DSA-44.

pub mod authority;
pub mod charter;
pub mod decline;
pub mod evidence;
pub mod gossip;
mod hint;
pub mod member_note;
mod proven;
pub mod record;
pub mod register;
pub mod request;
pub mod succession;

pub use charter::lawful;
pub use hint::Hint;
pub use proven::{ProvenRecord, RecordProofError};
pub use tlog::{
    Hash, LeafIndex, TreeSize, batch, checkpoint, cosignature, hash, heap, index, merkle, note,
    policy, proof, tile, witness,
};
