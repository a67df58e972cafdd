//! C2SP `tlog-proof`: a file that proves offline that an entry is in a log.
//!
//! ```
//! use tlog::Hash;
//! use tlog::policy::Policy;
//! use tlog::proof::TlogProof;
//!
//! # let [proof, record, policy] = ["decision.tlog-proof", "decision.record", "policy"].map(|name| {
//! #     let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/v1/");
//! #     std::fs::read(format!("{folder}{name}")).expect("a vector")
//! # });
//! let policy = Policy::parse(&policy).expect("a policy");
//! let proof = TlogProof::parse(&proof).expect("a proof");
//! // an application says how its entry is made: here from the proof's extra data and a record
//! let entry = [proof.extra.as_deref().unwrap_or_default(), &record].concat();
//! let accepted = proof.verify(&Hash::leaf(&entry), &policy).expect("it is in the log");
//! assert!(accepted.checkpoint.head().size.contains(proof.index));
//! ```

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{ClaimedCheckpoint, ParseCheckpointError};
use crate::hash::Hash;
use crate::index::{LeafIndex, NumberError};
use crate::merkle::{InclusionProof, ParseProofError, VerifyError, verify_inclusion};
use crate::note::MAX_NOTE_BYTES;
use crate::policy::{AcceptedCheckpoint, Policy, PolicyError};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Bytes of extra data a proof file may carry.
pub const MAX_EXTRA_BYTES: usize = 65_535;

/// A proof file, well formed; nothing in it is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// What the file carries beside the proof; not authenticated by itself. Proofs of our records
    /// carry the `logged` line, which makes the leaf together with the record.
    pub extra: Option<Vec<u8>>,
    /// Where the entry stands.
    pub index: LeafIndex,
    /// The way from the leaf to the root.
    pub inclusion: InclusionProof,
    /// The checkpoint with its cosignatures.
    pub checkpoint: ClaimedCheckpoint,
}

/// Why bytes are not a proof file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTlogProofError {
    /// Longer than any proof can be.
    #[error("longer than any tlog-proof can be")]
    TooLong,
    /// Not UTF-8.
    #[error("a tlog-proof is UTF-8; the byte at offset {0} is not")]
    NotUtf8(usize),
    /// Another first line.
    #[error("the first line is not \"{FIRST_LINE}\"")]
    FirstLine,
    /// The extra line is not base64, or too long.
    #[error("the line \"extra\" is not base64 of at most {MAX_EXTRA_BYTES} bytes")]
    Extra,
    /// No index line where it belongs.
    #[error("expected the line \"index <number>\"")]
    NoIndex,
    /// The index is not a number a log can have.
    #[error("the index is {0}")]
    Index(NumberError),
    /// The hashes are none.
    #[error("of the hashes, {0}")]
    Inclusion(#[from] ParseProofError),
    /// No empty line before the checkpoint.
    #[error("no empty line between the proof and the checkpoint")]
    NoCheckpoint,
    /// The checkpoint is malformed.
    #[error("in the checkpoint: {0}")]
    Checkpoint(#[from] ParseCheckpointError),
}

/// Why a proof file does not prove that the entry is logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// The policy does not accept the checkpoint.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The checkpoint is accepted, but the entry is not proven to be in its tree.
    #[error("the entry is not proven to be in the tree: {0}")]
    Inclusion(#[from] VerifyError),
}

impl TlogProof {
    /// Reads a proof file.
    ///
    /// # Errors
    /// [`ParseTlogProofError`] says which line is wrong.
    // SPEC tlog-proof/format
    pub fn parse(bytes: &[u8]) -> Result<TlogProof, ParseTlogProofError> {
        if bytes.len() > MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES {
            return Err(ParseTlogProofError::TooLong);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|e| ParseTlogProofError::NotUtf8(e.valid_up_to()))?;
        let rest = text.strip_prefix(FIRST_LINE).and_then(|rest| rest.strip_prefix('\n'));
        let mut rest = rest.ok_or(ParseTlogProofError::FirstLine)?;
        let mut extra = None;
        if let Some(from_extra) = rest.strip_prefix("extra ") {
            let (data, after) = from_extra.split_once('\n').ok_or(ParseTlogProofError::Extra)?;
            let data = STANDARD.decode(data).ok().filter(|data| data.len() <= MAX_EXTRA_BYTES);
            extra = Some(data.ok_or(ParseTlogProofError::Extra)?);
            rest = after;
        }
        let line = rest.strip_prefix("index ").and_then(|rest| rest.split_once('\n'));
        let (index, rest) = line.ok_or(ParseTlogProofError::NoIndex)?;
        let index = LeafIndex::parse(index).map_err(ParseTlogProofError::Index)?;
        let (hashes, checkpoint) = match rest.strip_prefix('\n') {
            Some(checkpoint) => ("", checkpoint),
            None => rest.split_once("\n\n").ok_or(ParseTlogProofError::NoCheckpoint)?,
        };
        // not `lines`: it would drop a carriage return, so that one proof had several spellings
        let inclusion = InclusionProof::parse(hashes.split_terminator('\n'))?;
        let checkpoint = ClaimedCheckpoint::parse(checkpoint.as_bytes())?;
        Ok(TlogProof { extra, index, inclusion, checkpoint })
    }

    /// Judges the proof of the entry with this leaf hash: the policy accepts the checkpoint, and
    /// the entry stands at the file's index in the checkpoint's tree.
    ///
    /// # Errors
    /// [`TlogProofError`] says what is not proven.
    // SPEC tlog-proof/verifying
    pub fn verify(
        &self,
        leaf: &Hash,
        policy: &Policy,
    ) -> Result<AcceptedCheckpoint, TlogProofError> {
        let accepted = policy.verify(&self.checkpoint)?;
        verify_inclusion(&self.inclusion, leaf, self.index, accepted.checkpoint.head())?;
        Ok(accepted)
    }
}

impl fmt::Display for TlogProof {
    /// Prints the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        write!(f, "index {}\n{}\n{}", self.index, self.inclusion, self.checkpoint)
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, Origin};
    use crate::merkle::{MemoryTree, prove_inclusion};
    use crate::note::{Algorithm, KeyName, SignerKey};

    fn log(seed: u8) -> SignerKey {
        let name = KeyName::new("log.example").expect("name");
        SignerKey::from_seed(name, Algorithm::Ed25519, [seed; 32]).expect("sound")
    }

    fn leaf(i: u64) -> Hash {
        Hash::leaf(&i.to_be_bytes())
    }

    fn proof(size: u64, index: u64, extra: Option<&[u8]>) -> TlogProof {
        let mut tree = MemoryTree::new();
        for i in 0..size {
            tree.push(leaf(i)).expect("room");
        }
        let head = tree.frontier().head();
        let index = LeafIndex::new(index).expect("small");
        let inclusion = prove_inclusion(&mut tree, index, head.size).expect("inside");
        let origin = Origin::new("log.example").expect("origin");
        let checkpoint = Checkpoint::new(origin, head).sign(&log(1));
        TlogProof { extra: extra.map(<[u8]>::to_vec), index, inclusion, checkpoint }
    }

    #[test]
    fn proofs_round_trip_and_verify() {
        let policy = Policy::single_log(log(1).verifier().clone());
        for (size, index) in [(1, 0), (2, 1), (7, 6), (300, 17)] {
            for extra in [None, Some(b"".as_slice()), Some(b"logged 5 0\n")] {
                let made = proof(size, index, extra);
                let read = TlogProof::parse(made.to_string().as_bytes()).expect("own text");
                assert_eq!(read, made);
                assert!(read.verify(&leaf(index), &policy).is_ok());
                let other = read.verify(&leaf(index + 1), &policy);
                assert!(matches!(other, Err(TlogProofError::Inclusion(_))));
                let stranger = Policy::single_log(log(2).verifier().clone());
                let refused = read.verify(&leaf(index), &stranger);
                assert!(matches!(refused, Err(TlogProofError::Policy(_))));
            }
        }
    }

    #[test]
    fn malformed_proofs_are_refused_with_the_reason() {
        use ParseTlogProofError::*;
        let text = proof(3, 1, Some(b"x")).to_string();
        let hash = Hash::EMPTY_ROOT.to_base64();
        let many = format!("index 1\n{}", format!("{hash}\n").repeat(64));
        let cases = [
            (String::new(), FirstLine),
            (text.replacen("@v1", "@v2", 1), FirstLine),
            (text.replacen("extra eA==", "extra eA=", 1), Extra),
            (text.replacen("extra eA==", "extra eB==", 1), Extra),
            (text.replacen("extra ", "extra  ", 1), Extra),
            (text.replacen("index 1\n", "", 1), NoIndex),
            (text.replacen("index 1", "index  1", 1), Index(NumberError::NotDecimal)),
            (text.replacen("index 1", "index 01", 1), Index(NumberError::NotDecimal)),
            (
                text.replacen("index 1", "index 9223372036854775807", 1),
                Index(NumberError::TooLarge),
            ),
            (
                text.replacen("index 1\n", "index 1\nAAAA\n", 1),
                Inclusion(ParseProofError::Line(1, crate::hash::ParseHashError::Base64)),
            ),
            (
                text.replacen("=\n", "=\r\n", 2).replacen("=\r\n", "=\n", 1),
                Inclusion(ParseProofError::Line(1, crate::hash::ParseHashError::Base64)),
            ),
            (text.replacen("index 1\n", &many, 1), Inclusion(ParseProofError::TooLong)),
            (text.replace("\n\n", "\n"), NoCheckpoint),
            (text.replace('\n', "\r\n"), FirstLine),
            ("x".repeat(MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES + 1), TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(TlogProof::parse(text.as_bytes()), Err(error), "{text:?}");
        }
        assert_eq!(TlogProof::parse(b"\xff"), Err(NotUtf8(0)));
        let cut = TlogProof::parse(&text.as_bytes()[..text.len() - 5]);
        assert!(matches!(cut, Err(Checkpoint(_))));
    }
}
