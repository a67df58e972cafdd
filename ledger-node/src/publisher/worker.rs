//! Asking one witness: the right proof, one retry after a conflict, the cosignature verified.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::cosignature;
use ledger_core::merkle::ConsistencyProof;
use ledger_core::note::{Signature, VerifierKey};
use ledger_core::witness::{AddCheckpoint, Answer};

use super::confirm::ConfirmError;
use super::link::Link;
use crate::clock::Clock;
use crate::log::LogReader;

/// A witness, and what it is believed to have cosigned.
pub struct Worker {
    pub(super) key: VerifierKey,
    pub(super) link: Link,
    pub(super) reader: Arc<LogReader>,
    pub(super) clock: Arc<dyn Clock>,
    /// The size that the witness cosigned last, as far as is known.
    pub(super) known: TreeSize,
}

/// A cosignature that was verified.
#[derive(Debug, Clone)]
pub struct Cosigned {
    /// Its line.
    pub line: Signature,
    /// The witness's time.
    pub time: u64,
    /// How far the own clock was ahead of it, at the least, in seconds; behind if it is negative.
    pub ahead: i64,
    /// How long it took.
    pub took: Duration,
}

/// Why a witness gave no cosignature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// It was not reached, or answered what no witness may answer.
    #[error("{0}")]
    Failed(String),
    /// It refused.
    #[error("it refused with status {status}{}", refusal(*status, text))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// It says that it cosigned a larger head of this log.
    #[error("it says it has cosigned size {0} of this log, which is larger than this node's")]
    Ahead(TreeSize),
    /// It says that this head does not agree with what it cosigned.
    #[error("it says that this tree is not the one it cosigned{}", said(.0))]
    Disagrees(String),
}

/// What a witness said, behind a colon if it said anything.
fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// What a refusal says; of a 409 without the size that belongs into it, what that may mean too.
fn refusal(status: u16, text: &str) -> String {
    let older = " (it names no size: by tlog-witness before July 2026 such a 409 says that it cosigned \
                 another tree of this size)";
    format!("{}{}", if status == 409 { older } else { "" }, said(text))
}

impl Silence {
    /// What a witness's refusal says against a node that has signed `promised` entries at the most,
    /// if it says that there is more of this log, or another tree.
    pub fn contradiction(&self, witness: String, promised: TreeSize) -> Option<ConfirmError> {
        match self {
            Silence::Ahead(seen) if *seen > promised => {
                Some(ConfirmError::Behind { witness, seen: *seen, promised })
            }
            Silence::Disagrees(text) => {
                Some(ConfirmError::OtherTree { witness, promised, text: text.clone() })
            }
            _ => None,
        }
    }
}

impl Worker {
    /// Asks for a cosignature on `head`.
    ///
    /// # Errors
    /// [`Silence`].
    pub async fn ask(&mut self, head: &ClaimedCheckpoint) -> Result<Cosigned, Silence> {
        let size = head.checkpoint().head().size;
        let mut old = self.known.min(size);
        // a conflict tells the size to ask from; a second one means that somebody else asks too
        for attempt in 0..3 {
            let request = AddCheckpoint::new(old, self.proof(old, size).await?, head.clone());
            let (sent, began) = (self.clock.now(), Instant::now());
            let answer =
                self.link.add_checkpoint(request.clone()).await.map_err(Silence::Failed)?;
            let took = began.elapsed();
            match &answer {
                Answer::Cosigned(lines) => {
                    self.known = size;
                    return self.verify(head, lines, (sent, self.clock.now()), took);
                }
                Answer::Conflict(found) => match answer.retry_from(&request) {
                    Some(from) if attempt < 2 => old = from,
                    Some(_) => return Err(Silence::Failed("it keeps answering 409".into())),
                    None if *found > size => return Err(Silence::Ahead(*found)),
                    None => {
                        return Err(Silence::Failed("it answers 409 with the same size".into()));
                    }
                },
                Answer::Refused { status: 422, text } => {
                    return Err(Silence::Disagrees(text.clone()));
                }
                Answer::Refused { status, text } => {
                    return Err(Silence::Refused { status: *status, text: text.clone() });
                }
                _ => return Err(Silence::Failed("it gave an unknown answer".into())),
            }
        }
        Err(Silence::Failed("it keeps answering 409".into()))
    }

    /// The proof that the tree of `new` leaves begins with that of `old` leaves, out of the own
    /// tiles.
    async fn proof(&self, old: TreeSize, new: TreeSize) -> Result<ConsistencyProof, Silence> {
        if old.is_empty() || old == new {
            return Ok(ConsistencyProof::default());
        }
        let reader = Arc::clone(&self.reader);
        let proof =
            tokio::task::spawn_blocking(move || reader.tree(new).consistency(old, new)).await;
        match proof {
            Ok(Ok(proof)) => Ok(proof),
            Ok(Err(error)) => Err(Silence::Failed(format!("the own tiles give no proof: {error}"))),
            Err(_) => Err(Silence::Failed("making a proof failed".into())),
        }
    }

    fn verify(
        &self,
        head: &ClaimedCheckpoint,
        lines: &[Signature],
        (sent, received): (u64, u64),
        took: Duration,
    ) -> Result<Cosigned, Silence> {
        // SPEC tlog-witness/add-checkpoint: cosignatures from unknown keys are ignored
        let own = lines.iter().filter(|line| line.is_by(&self.key));
        let mut valid = own.filter_map(|line| {
            Some((cosignature::verify_line(head.note(), &self.key, line)?, line.clone()))
        });
        let (time, line) = valid.next().ok_or_else(|| {
            Silence::Failed(format!("its answer holds no valid cosignature by {}", self.key.name()))
        })?;
        Ok(Cosigned { line, time, ahead: ahead(time, sent, received), took })
    }
}

/// How far a clock that said `sent` and `received` around the moment `time` was ahead of it.
fn ahead(time: u64, sent: u64, received: u64) -> i64 {
    let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    let (time, sent, received) = (signed(time), signed(sent), signed(received));
    if time < sent { sent.saturating_sub(time) } else { (received.saturating_sub(time)).min(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_between_question_and_answer_is_no_difference() {
        for (time, sent, received, expected) in [
            (10, 10, 10, 0),
            (10, 8, 12, 0),
            (5, 8, 12, 3),
            (20, 8, 12, -8),
            (u64::MAX, 1, 1, 1 - i64::MAX),
        ] {
            assert_eq!(ahead(time, sent, received), expected, "{time} {sent} {received}");
        }
    }
}
