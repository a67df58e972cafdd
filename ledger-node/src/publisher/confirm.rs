//! Before a log signs anything new after a start: is what this node remembers what witnesses saw?
//!
//! A restored backup, a copied directory or a second instance would sign a second history with the
//! log's own key. The witnesses know: the last promised head is sent to all of them as if it were
//! new.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::board::Board;
use super::gather::Asking;
use super::plan::Plan;
use super::worker::{Cosigned, Silence, Worker};
use crate::clock::ClockError;

/// How long witnesses that have not answered yet are waited for once the quorum agrees: one of them
/// may know better.
const GRACE: Duration = Duration::from_secs(2);

/// How long a witness that does not answer is left alone before it is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// Why a log must not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// A witness cosigned more of this log than this node remembers signing.
    #[error(
        "the witness {witness} has cosigned size {seen} of this log, but this node remembers \
         signing only {promised}: it was restored from a backup, copied, or runs twice"
    )]
    Behind {
        /// The witness's name in the policy.
        witness: String,
        /// What it says it has cosigned.
        seen: TreeSize,
        /// The size of the head that this node promised last.
        promised: TreeSize,
    },
    /// A witness cosigned another tree.
    #[error(
        "the witness {witness} has cosigned another tree of this log than this node remembers at \
         size {promised}{}: it was restored from a backup, copied, or runs twice",
        if .text.is_empty() { String::new() } else { format!(" ({text})") }
    )]
    OtherTree {
        /// The witness's name in the policy.
        witness: String,
        /// The size of the head that this node promised last.
        promised: TreeSize,
        /// What the witness said.
        text: String,
    },
    /// A witness that the policy does not name was to be left out.
    #[error("the policy names no witness {0}")]
    NoSuchWitness(String),
    /// All witnesses that can be asked agreed, and are no quorum.
    #[error("the witnesses that can be asked are no quorum")]
    NoQuorum,
    /// The clock cannot be right.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

impl ConfirmError {
    /// What an operator can do about it before anything was signed.
    pub fn hint(&self) -> &'static str {
        match self {
            ConfirmError::Clock(error) => error.hint(),
            ConfirmError::NoSuchWitness(_) => {
                "give the witness's name in the policy; `ledger witness status` shows them"
            }
            ConfirmError::NoQuorum => "see [witness_urls] in config.toml",
            _ => {
                "nothing was signed. Stop every other node of this log, then fetch what is missing \
                 from a copy of the site: `ledger-node recover --dir DIR --from URL`. If you know \
                 that the witness is wrong: `serve --without-witness NAME`"
            }
        }
    }
}

/// What the operator said about witnesses at this start.
#[derive(Debug, Clone, Default)]
pub struct Consent {
    /// Witnesses, by their names in the policy, whose answers do not count.
    pub without: BTreeSet<String>,
    /// Whether the clock is right whatever witnesses say.
    pub trust_clock: bool,
}

/// Sends the last promised head to the witnesses of the plan, and waits until a quorum agrees that
/// there is no later one; as long as it takes. The answers of all who are quick count.
///
/// The node's own witness was restored together with its log, and knows no more: it makes up a
/// quorum only once all others agree. A witness that the operator leaves out counts as if it
/// agreed; what is published needs the real quorum in any case.
///
/// # Errors
/// [`ConfirmError`] as soon as one witness knows more, or the clock is off.
pub async fn confirm(
    head: &ClaimedCheckpoint,
    plan: &Plan,
    asking: &Asking,
    board: &Arc<Board>,
    consent: &Consent,
) -> Result<(), ConfirmError> {
    let size = head.checkpoint().head().size;
    let names: BTreeSet<String> = (0..plan.len()).map(|at| plan.name_at(at)).collect();
    if let Some(unknown) = consent.without.difference(&names).next() {
        return Err(ConfirmError::NoSuchWitness(unknown.clone()));
    }
    let left_out = plan.places(&consent.without);
    let (answers, mut answered) = mpsc::channel(plan.len().max(1));
    let mut asked = JoinSet::new();
    for (at, worker) in asking.workers(plan, size) {
        if left_out.contains(&at) {
            tracing::warn!(witness = plan.name_at(at), "left out on request");
            continue;
        }
        asked.spawn(ask(at, worker, Arc::clone(board), head.clone(), answers.clone()));
    }
    drop(answers);
    let others = asking.others(plan).filter(|at| !left_out.contains(at)).count();
    let agreeing = left_out.clone();
    let mut poll =
        Poll { size, plan, asking, board, left_out, others, agreeing, offsets: Vec::new() };
    let outcome = poll.hear(&mut answered, asked.len()).await;
    // whoever hears of a failure may open the log again: nobody reads it any more
    asked.shutdown().await;
    outcome?;
    match super::gather::clock_trouble(poll.offsets, others) {
        Some(error) if !consent.trust_clock => Err(error.into()),
        _ => Ok(()),
    }
}

/// What the witnesses have answered about one head.
struct Poll<'a> {
    size: TreeSize,
    plan: &'a Plan,
    asking: &'a Asking,
    board: &'a Board,
    left_out: BTreeSet<usize>,
    /// How many witnesses are asked that are not this node's.
    others: usize,
    /// Who agreed, and who is left out.
    agreeing: BTreeSet<usize>,
    /// How far the own clock is ahead of each of the others that agreed.
    offsets: Vec<i64>,
}

impl Poll<'_> {
    /// Takes answers in until all who are quick have agreed, or one knows more.
    async fn hear(
        &mut self,
        answered: &mut mpsc::Receiver<(usize, Result<Cosigned, Silence>)>,
        asked: usize,
    ) -> Result<(), ConfirmError> {
        let everybody = asked + self.left_out.len();
        let mut grace = None;
        while !(self.is_enough() && (self.agreeing.len() == everybody || self.plan.needs_nobody()))
        {
            if grace.is_none() && self.is_enough() {
                grace = Some(tokio::time::Instant::now() + GRACE);
            }
            let next = answered.recv();
            let answer = match grace {
                None => next.await,
                Some(until) => match tokio::time::timeout_at(until, next).await {
                    Ok(answer) => answer,
                    Err(_) => break,
                },
            };
            let (at, answer) = answer.ok_or(ConfirmError::NoQuorum)?;
            self.judge(at, answer)?;
        }
        Ok(())
    }

    fn is_enough(&self) -> bool {
        let all_others = self.offsets.len() == self.others;
        let counts = |at: &&usize| all_others || !self.asking.is_own(self.plan, **at);
        let counted = self.agreeing.iter().filter(counts).copied().collect();
        self.plan.is_enough(&counted, &self.left_out)
    }

    fn judge(&mut self, at: usize, answer: Result<Cosigned, Silence>) -> Result<(), ConfirmError> {
        match answer {
            Ok(cosigned) => {
                self.board.cosigned(at, self.size, cosigned.time, cosigned.took);
                if self.agreeing.insert(at) && !self.asking.is_own(self.plan, at) {
                    self.offsets.push(cosigned.ahead);
                }
            }
            Err(silence) => {
                if let Some(error) = silence.contradiction(self.plan.name_at(at), self.size) {
                    return Err(error);
                }
                self.board.failed(at, silence.to_string(), self.asking.now());
            }
        }
        Ok(())
    }
}

/// Asks one witness until it says something.
async fn ask(
    at: usize,
    mut worker: Worker,
    board: Arc<Board>,
    head: ClaimedCheckpoint,
    answers: mpsc::Sender<(usize, Result<Cosigned, Silence>)>,
) {
    loop {
        board.asked(at);
        let answer = worker.ask(&head).await;
        board.heard(at);
        let again = matches!(&answer, Err(Silence::Failed(_) | Silence::Refused { .. }));
        if answers.send((at, answer)).await.is_err() || !again {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}
