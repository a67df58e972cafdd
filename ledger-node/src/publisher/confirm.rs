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
    /// What an operator can do about it.
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
/// The node's own witness was restored together with its log, and knows no more: it makes up a quorum
/// only once all others agree. A witness that the operator leaves out counts as if it agreed; what is
/// published needs the real quorum in any case.
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
    let names: BTreeSet<String> = plan.policy().witnesses().iter().map(name).collect();
    if let Some(unknown) = consent.without.difference(&names).next() {
        return Err(ConfirmError::NoSuchWitness(unknown.clone()));
    }
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
    let left_out = |at: &usize| consent.without.contains(&name(&plan.policy().witnesses()[*at]));
    let mut agreeing: BTreeSet<usize> =
        (0..plan.policy().witnesses().len()).filter(left_out).collect();
    let (mut heard, mut others, mut offsets) = (0, 0, Vec::new());
    let all_others = asking.others(plan).filter(|at| !left_out(at)).count();
    let waiting = Duration::from_secs(u64::from(u32::MAX));
    let mut grace = Box::pin(tokio::time::sleep(waiting));
    let enough = |agreeing: &BTreeSet<usize>, others: usize| {
        let counts = |at: &&usize| others == all_others || !asking.is_own(plan, **at);
        plan.policy().is_satisfied_by(&agreeing.iter().filter(counts).copied().collect())
    };
    let mut waits_for_the_slow = false;
    while !(enough(&agreeing, others) && (heard == all || plan.needs_nobody())) {
        let (at, answer) = tokio::select! {
            answer = answered.recv() => match answer {
                Some(answer) => answer,
                None => return Err(ConfirmError::NoQuorum),
            },
            () = &mut grace => break,
        };
        judge(at, answer, plan, size, board, asking, |cosigned| {
            agreeing.insert(at);
            heard += 1;
            if !asking.is_own(plan, at) {
                others += 1;
                offsets.push(cosigned.ahead);
            }
        })?;
        if !waits_for_the_slow && enough(&agreeing, others) {
            waits_for_the_slow = true;
            grace = Box::pin(tokio::time::sleep(GRACE));
        }
    }
    match super::gather::clock_trouble(offsets, all_others) {
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
