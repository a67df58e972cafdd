//! The body of an `add-checkpoint` request.

use std::fmt;

use super::{MAX_REQUEST_BYTES, Malformed, Refusal};
use crate::checkpoint::ClaimedCheckpoint;
use crate::index::TreeSize;
use crate::merkle::ConsistencyProof;

/// A request to cosign a checkpoint: the size the witness is believed to have cosigned last, the
/// proof that the new tree grew out of that one, and the checkpoint. Only its form was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: TreeSize,
    proof: ConsistencyProof,
    checkpoint: ClaimedCheckpoint,
}

impl AddCheckpoint {
    /// Puts a request together. Whether the parts fit each other is the witness's judgement.
    pub fn new(
        old: TreeSize,
        proof: ConsistencyProof,
        checkpoint: ClaimedCheckpoint,
    ) -> AddCheckpoint {
        AddCheckpoint { old, proof, checkpoint }
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] above [`MAX_REQUEST_BYTES`], else [`Refusal::Malformed`].
    // SPEC tlog-witness/add-checkpoint: old size line, proof lines, empty line, checkpoint
    pub fn parse(body: &[u8]) -> Result<AddCheckpoint, Refusal> {
        if body.len() > MAX_REQUEST_BYTES {
            return Err(Refusal::TooLarge);
        }
        Ok(read(body)?)
    }

    /// The size of the checkpoint that the witness is believed to have cosigned last.
    pub fn old(&self) -> TreeSize {
        self.old
    }

    /// The proof from the old size to the checkpoint's.
    pub fn proof(&self) -> &ConsistencyProof {
        &self.proof
    }

    /// The checkpoint to cosign, its signatures not checked.
    pub fn checkpoint(&self) -> &ClaimedCheckpoint {
        &self.checkpoint
    }
}

fn read(body: &[u8]) -> Result<AddCheckpoint, Malformed> {
    // the lines before the checkpoint hold no empty one, so the first ends them
    let end = body.windows(2).position(|two| two == b"\n\n").ok_or(Malformed::NoEmptyLine)?;
    let (lines, checkpoint) = (&body[..end], &body[end + 2..]);
    let lines = std::str::from_utf8(lines).map_err(|_| Malformed::OldLine)?;
    let mut lines = lines.split('\n');
    let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(Malformed::OldLine)?;
    // SPEC tlog-witness/add-checkpoint: ASCII decimal with no leading zeroes
    let old = TreeSize::parse(old).map_err(Malformed::OldSize)?;
    // SPEC tlog-witness/add-checkpoint: one base64 hash a line, at most 63
    let proof = ConsistencyProof::parse(lines).map_err(Malformed::Proof)?;
    let checkpoint = ClaimedCheckpoint::parse(checkpoint).map_err(Malformed::Checkpoint)?;
    Ok(AddCheckpoint { old, proof, checkpoint })
}

impl fmt::Display for AddCheckpoint {
    /// Prints the exact body of the request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "old {}\n{}\n{}", self.old, self.proof, self.checkpoint)
    }
}
