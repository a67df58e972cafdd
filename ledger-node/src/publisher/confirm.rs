//! Before a log signs anything new after a start: is what this node remembers what witnesses saw?
//!
//! A restored backup, a copied directory or a second instance would sign a second history with the
//! log's own key. The witnesses know: the last promised head is sent to all of them as if it were new.

use std::collections::BTreeSet;
use std::time::Duration;

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::board::Board;
use super::gather::Asking;
use super::plan::{Plan, name};
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
         size {promised} ({text}): it was restored from a backup, copied, or runs twice"
    )]
    OtherTree {
        /// The witness's name in the policy.
        witness: String,
        /// The size of the head that this node promised last.
        promised: TreeSize,
        /// What the witness said.
        text: String,
    },
    /// The clock cannot be right.
    #[error(transparent)]
    Clock(#[from] ClockError),
}

impl ConfirmError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            ConfirmError::Clock(error) => error.hint(),
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
/// # Errors
/// [`ConfirmError`] as soon as one witness knows more, or the clock is off.
pub async fn confirm(
    head: &ClaimedCheckpoint,
    plan: &Plan,
    asking: &Asking,
    board: &Board,
    consent: &Consent,
) -> Result<(), ConfirmError> {
    let size = head.checkpoint().head().size;
    let (answers, mut answered) = mpsc::channel(plan.policy().witnesses().len().max(1));
    let mut asked = JoinSet::new();
    for (at, worker) in asking.workers(plan, size) {
        if consent.without.contains(&name(&plan.policy().witnesses()[at])) {
            tracing::warn!(witness = name(&plan.policy().witnesses()[at]), "left out on request");
            continue;
        }
        asked.spawn(ask(at, worker, head.clone(), answers.clone()));
    }
    drop(answers);
    let outcome = hear(&mut answered, asked.len(), size, plan, asking, board, consent).await;
    // whoever hears of a failure may open the log again: nobody reads it any more
    asked.shutdown().await;
    outcome
}

/// Takes answers in until all who are quick have agreed, or one knows more.
async fn hear(
    answered: &mut mpsc::Receiver<(usize, Result<Cosigned, Silence>)>,
    all: usize,
    size: TreeSize,
    plan: &Plan,
    asking: &Asking,
    board: &Board,
    consent: &Consent,
) -> Result<(), ConfirmError> {
    let (mut agreeing, mut offsets) = (BTreeSet::new(), Vec::new());
    let waiting = Duration::from_secs(u64::from(u32::MAX));
    let mut grace = Box::pin(tokio::time::sleep(waiting));
    let mut enough = plan.needs_nobody();
    while !(enough && (agreeing.len() == all || plan.needs_nobody())) {
        let (at, answer) = tokio::select! {
            answer = answered.recv() => match answer {
                Some(answer) => answer,
                // every witness was left out: nobody will ever answer
                None => std::future::pending().await,
            },
            () = &mut grace => break,
        };
        judge(at, answer, plan, size, board, asking, |cosigned| {
            agreeing.insert(at);
            if !asking.is_own(plan, at) {
                offsets.push(cosigned.ahead);
            }
        })?;
        if !enough && plan.policy().is_satisfied_by(&agreeing) {
            enough = true;
            grace = Box::pin(tokio::time::sleep(GRACE));
        }
    }
    match super::gather::clock_trouble(&mut offsets) {
        Some(error) if !consent.trust_clock => Err(error.into()),
        _ => Ok(()),
    }
}

fn judge(
    at: usize,
    answer: Result<Cosigned, Silence>,
    plan: &Plan,
    promised: TreeSize,
    board: &Board,
    asking: &Asking,
    agrees: impl FnOnce(&Cosigned),
) -> Result<(), ConfirmError> {
    let witness = name(&plan.policy().witnesses()[at]);
    match answer {
        Ok(cosigned) => {
            board.cosigned(at, promised, cosigned.time, cosigned.took);
            agrees(&cosigned);
            Ok(())
        }
        Err(Silence::Ahead(seen)) => Err(ConfirmError::Behind { witness, seen, promised }),
        Err(Silence::Disagrees(text)) => Err(ConfirmError::OtherTree { witness, promised, text }),
        Err(silence) => {
            board.failed(at, silence.to_string(), asking.now());
            Ok(())
        }
    }
}

/// Asks one witness until it says something.
async fn ask(
    at: usize,
    mut worker: Worker,
    head: ClaimedCheckpoint,
    answers: mpsc::Sender<(usize, Result<Cosigned, Silence>)>,
) {
    loop {
        let answer = worker.ask(&head).await;
        let again = matches!(&answer, Err(Silence::Failed(_) | Silence::Refused { .. }));
        if answers.send((at, answer)).await.is_err() || !again {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}
