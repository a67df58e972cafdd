//! Asking one witness: the right proof, one retry after a conflict, the cosignature verified, and
//! what it shows where it claims to know another head.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::cosignature;
use ledger_core::merkle::ConsistencyProof;
use ledger_core::note::{Signature, VerifierKey};
use ledger_core::witness::{AddCheckpoint, WitnessAnswer};

use super::link::Link;
use super::shown::{ShownHead, ShownHeads};
use crate::clock::Clock;
use crate::log::LogReader;

/// A witness, and what it is believed to have cosigned.
pub struct WitnessWorker {
    pub(super) key: VerifierKey,
    pub(super) link: Link,
    pub(super) reader: Arc<LogReader>,
    pub(super) clock: Arc<dyn Clock>,
    /// What judges the heads that it shows.
    pub(super) heads: Arc<ShownHeads>,
    /// The size that the witness cosigned last, as far as is known.
    pub(super) known: TreeSize,
    /// The smallest size that it named as its own in the last answers.
    pub(super) conflict: Option<TreeSize>,
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
    #[error("it refused with status {status}{}", said(.text))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// It says that there is another head of this log.
    #[error("{claim}; {shows}")]
    Claims {
        /// What it says.
        claim: Claim,
        /// What it shows.
        shows: ShownHead,
    },
}

/// What a witness says against what this node knows of its log. A refusal alone proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Claim {
    /// It cosigned a larger head.
    #[error("it says that it cosigned size {0} of this log, which is larger than this node's")]
    Larger(TreeSize),
    /// It cosigned the size that it was asked about, and refuses to do so again.
    #[error(
        "it says with status 409 that it cosigned size {0}, and refuses a head of that size: it may \
         have cosigned another tree"
    )]
    SameSize(TreeSize),
    /// It cosigned a head of which it does not say the size.
    #[error(
        "it says with status 409 and no size that it cosigned another head (by tlog-witness before \
         July 2026: another tree of this size){}", said(.0)
    )]
    Unsized(String),
    /// This head does not agree with what it cosigned.
    #[error("it says with status 422 that this tree is not the one it cosigned{}", said(.0))]
    OtherTree(String),
}

/// What a witness said, behind a colon if it said anything.
fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl WitnessWorker {
    /// Asks for a cosignature on `head`. Where the witness claims to know another head of the log,
    /// it is asked to show that.
    ///
    /// # Errors
    /// [`Silence`].
    pub async fn ask(&mut self, head: &ClaimedCheckpoint) -> Result<Cosigned, Silence> {
        self.conflict = None;
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
                WitnessAnswer::Cosigned(lines) => {
                    self.known = size;
                    return self.verify(head, lines, (sent, self.clock.now()), took);
                }
                WitnessAnswer::Conflict(found) => {
                    self.conflict = Some(self.conflict.map_or(*found, |least| least.min(*found)));
                    match answer.retry_from(&request) {
                        Some(from) if attempt < 2 => old = from,
                        Some(_) => return Err(Silence::Failed("it keeps answering 409".into())),
                        None if *found > self.heads.signed_size() => {
                            return Err(self.claims(Claim::Larger(*found)).await);
                        }
                        None if *found > size => {
                            return Err(Silence::Failed(
                                "it cosigned a later head meanwhile".into(),
                            ));
                        }
                        // before July 2026, 409 was also the answer to another tree of this size
                        None if *found == size => {
                            return Err(self.claims(Claim::SameSize(*found)).await);
                        }
                        None => {
                            return Err(Silence::Failed(
                                "it answers 409 with the size that it was asked from".into(),
                            ));
                        }
                    }
                }
                // SPEC tlog-witness/add-checkpoint: a 409 names a size; older ones do not
                WitnessAnswer::Refused { status: 409, text } => {
                    return Err(self.claims(Claim::Unsized(text.clone())).await);
                }
                WitnessAnswer::Refused { status: 422, text } => {
                    return Err(self.claims(Claim::OtherTree(text.clone())).await);
                }
                WitnessAnswer::Refused { status, text } => {
                    return Err(Silence::Refused { status: *status, text: text.clone() });
                }
                _ => return Err(Silence::Failed("it gave an unknown answer".into())),
            }
        }
        Err(Silence::Failed("it keeps answering 409".into()))
    }

    /// What the witness claims, with what it shows.
    async fn claims(&self, claim: Claim) -> Silence {
        let shows = match self.link.checkpoint(&self.heads.origin).await {
            Ok(note) => self.heads.examine(note).await,
            Err(why) => ShownHead::Nothing(why),
        };
        Silence::Claims { claim, shows }
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
