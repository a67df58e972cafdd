//! Before a log signs anything new after a start: is what this node remembers what witnesses saw?
//!
//! A restored backup, a copied directory or a second instance would sign a second history with the
//! log's own key. The witnesses know: the last promised head is sent to all of them as if it were
//! new. The peers may know too, and are asked for a moment. What a witness says is a claim; the log
//! ends where a head is shown that it signed and this node does not know.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::asking::Asking;
use super::board::{Board, Unconfirmed};
use super::error::ConfirmError;
use super::plan::Plan;
use super::shown::ShownHead;
use super::tally::Tally;
use super::worker::{Cosigned, Silence, WitnessWorker};
use crate::gossip::rounds;

/// How long witnesses that have not answered yet are waited for once enough of them agree: one of
/// them may know better.
const GRACE: Duration = Duration::from_secs(2);

/// How long a witness that does not agree is left alone before it is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// How long peers are asked for a later head. Their silence means nothing.
const PEER_PATIENCE: Duration = Duration::from_secs(5);

/// After how long the node's output says for which witnesses it waits, and says it again.
const NOTICE: Duration = Duration::from_secs(5);
const NOTICE_AGAIN: Duration = Duration::from_secs(600);

/// Heads of peers that wait to be judged; the peers wait when there are more.
const HEADS_AHEAD: usize = 64;

/// What the operator said about witnesses at this start.
#[derive(Debug, Clone, Default)]
pub struct Consent {
    /// Witnesses, by their names in the policy, that count as if they agreed.
    pub without: BTreeSet<String>,
    /// Whether the clock is right whatever witnesses say.
    pub trust_clock: bool,
}

/// Sends the last promised head to the witnesses of the plan, and waits until readers can have seen
/// no later one, as `Tally` says; as long as it takes. Meanwhile the peers are asked for a moment.
///
/// A witness that the operator leaves out counts as if it agreed; what is published needs the real
/// quorum in any case.
///
/// # Errors
/// [`ConfirmError`] as soon as a head is shown that contradicts what this node signed, or if the
/// clock is off.
pub async fn confirm(
    head: &ClaimedCheckpoint,
    plan: &Plan,
    asking: &Asking,
    board: &Arc<Board>,
    consent: &Consent,
) -> Result<(), ConfirmError> {
    let names: BTreeSet<String> = (0..plan.len()).map(|at| plan.name_at(at)).collect();
    if let Some(unknown) = consent.without.difference(&names).next() {
        return Err(ConfirmError::NoSuchWitness(unknown.clone()));
    }
    held(asking).await?;
    let tally = Tally::new(plan, |at| asking.is_own(plan, at), plan.places(&consent.without));
    let size = head.checkpoint().head().size;
    let mut poll = Poll { size, plan, asking, board, tally, offsets: Vec::new() };
    let (offsets, ()) = tokio::try_join!(poll.run(head), ask_peers(asking, board))?;
    // the witnesses may have taken hours, in which peers told more
    held(asking).await?;
    board.unconfirmed(None);
    let others = asking.others(plan).filter(|at| !plan.places(&consent.without).contains(at));
    match super::asking::clock_trouble(offsets, others.count()) {
        Some(error) if !consent.trust_clock => Err(error.into()),
        _ => Ok(()),
    }
}

/// Looks at what this node itself holds.
async fn held(asking: &Asking) -> Result<(), ConfirmError> {
    asking.heads.held_soon().await.map_or(Ok(()), Err)
}

/// Asks the peers whether they know a later head, published or not.
async fn ask_peers(asking: &Asking, board: &Board) -> Result<(), ConfirmError> {
    let gossip = &asking.heads.gossip;
    let (heads, mut shown) = mpsc::channel(HEADS_AHEAD);
    let mut asked = rounds::ask_all(gossip, &heads);
    drop(heads);
    if asked.is_empty() {
        return Ok(());
    }
    board.asks_peers(true);
    let until = Instant::now() + PEER_PATIENCE;
    let mut found = Ok(());
    while found.is_ok()
        && let Ok(Some((url, head))) = timeout_at(until, shown.recv()).await
    {
        let verdict = asking.heads.examine(head).await;
        found = verdict.contradiction(format!("the peer {url}")).map_or(Ok(()), Err);
    }
    asked.shutdown().await;
    board.asks_peers(false);
    found
}

/// What a witness answered.
type PollReply = (usize, Result<Cosigned, Silence>);

/// What the witnesses have answered about one head.
struct Poll<'a> {
    size: TreeSize,
    plan: &'a Plan,
    asking: &'a Asking,
    board: &'a Arc<Board>,
    tally: Tally,
    /// How far the own clock is ahead of each of the others that agreed.
    offsets: Vec<i64>,
}

impl Poll<'_> {
    /// Asks all witnesses until enough of them agree. Gives how far the own clock is ahead of each.
    async fn run(&mut self, head: &ClaimedCheckpoint) -> Result<Vec<i64>, ConfirmError> {
        // one sender stays here: where no witness is left that can be asked, the log waits
        let (answers, mut answered) = mpsc::channel(self.plan.len().max(1));
        let mut asked = JoinSet::new();
        for (at, worker) in self.asking.workers(self.plan, self.size) {
            if self.tally.is_left_out(at) {
                tracing::warn!(witness = self.plan.name_at(at), "left out on request");
                continue;
            }
            let board = Arc::clone(self.board);
            asked.spawn(ask(at, worker, board, head.clone(), answers.clone()));
        }
        let outcome = self.observe(&mut answered).await;
        // whoever learns of a failure may open the log again: nobody reads it any more
        asked.shutdown().await;
        outcome.map(|()| std::mem::take(&mut self.offsets))
    }

    /// Takes answers until enough witnesses agree, and all that are quick have answered.
    async fn observe(
        &mut self,
        answered: &mut mpsc::Receiver<PollReply>,
    ) -> Result<(), ConfirmError> {
        let (mut grace, mut notice) = (None, Instant::now() + NOTICE);
        loop {
            let missing = self.tally.missing(self.plan);
            let is_settled = missing.is_empty();
            let missing: Vec<String> = missing.iter().map(|at| self.plan.name_at(*at)).collect();
            let names = missing.join(", ");
            self.board.unconfirmed(Some(Unconfirmed { missing, size: self.size }));
            if is_settled && self.tally.is_complete() {
                return Ok(());
            }
            let until = match is_settled {
                true => *grace.get_or_insert_with(|| Instant::now() + GRACE),
                false => notice,
            };
            match timeout_at(until, answered.recv()).await {
                Ok(Some((at, answer))) => self.judge(at, answer)?,
                Err(_) if is_settled => return Ok(()),
                _ => {
                    notice = Instant::now() + NOTICE_AGAIN;
                    let hint = "if one is gone or wrong: ledger-node serve --without-witness NAME";
                    tracing::warn!(waits_for = names, hint, "nothing is signed yet");
                }
            }
        }
    }

    fn judge(&mut self, at: usize, answer: Result<Cosigned, Silence>) -> Result<(), ConfirmError> {
        let silence = match answer {
            Ok(cosigned) => {
                self.board.cosigned(at, self.size, &cosigned);
                if self.tally.agrees(at) && !self.asking.is_own(self.plan, at) {
                    self.offsets.push(cosigned.ahead);
                }
                return Ok(());
            }
            Err(silence) => silence,
        };
        self.board.failed(at, &silence, self.asking.now());
        let Silence::Claims { shows, .. } = &silence else { return Ok(()) };
        let by = format!("the witness {}", self.plan.name_at(at));
        match shows.contradiction(by) {
            Some(error) => return Err(error),
            // a thief of a retired key must not keep the log from its start
            None if matches!(shows, ShownHead::Retired(_)) => self.tally.claims_no_more(at),
            None => self.tally.claims(at),
        }
        Ok(())
    }
}

/// Asks one witness until it agrees.
async fn ask(
    at: usize,
    mut worker: WitnessWorker,
    board: Arc<Board>,
    head: ClaimedCheckpoint,
    answers: mpsc::Sender<PollReply>,
) {
    loop {
        let answer = board.asking(at, &mut worker, &head).await;
        let again = answer.is_err();
        if answers.send((at, answer)).await.is_err() || !again {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}
