//! Gathering cosignatures: rounds over the latest signed head, one worker for each witness.
//!
//! A round is about one head. It ends once that head is published and a newer one waits; a head
//! that finds no quorum for a while gives way to a newer one, and cosignatures that come later
//! still count for it, so that slow witnesses do not starve a busy log. Witnesses that answer after
//! the quorum was there are added to the published checkpoint while it is the latest, and now and
//! then a round waits for them a moment, so that monitors see what all witnesses say also when the
//! log is busy. On a quiet log rounds repeat over the same head, so that the times of cosignatures
//! stay fresh; each of them needs the quorum anew, and leaves the lines of witnesses that are
//! silent now.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ledger_core::note::Signature;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::asking::{Asking, clock_trouble};
use super::board::Board;
use super::confirm::Consent;
use super::worker::{Cosigned, Silence, WitnessWorker};
use super::{PublishError, Publisher, Signed};

/// How long a head may wait for its quorum while a newer one is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Heads without a quorum that are not given up: a witness may take three requests of ten seconds,
/// and a round gives way after [`PATIENCE`].
const ROUNDS_KEPT: usize = 8;

/// How often all witnesses that are well get the time to cosign the same head, and how much time.
const FULL_EVERY: Duration = Duration::from_secs(60);
const FULL_PATIENCE: Duration = Duration::from_secs(1);

/// How long a witness that failed is left alone: at first, and at most.
const BACK_OFF: Duration = Duration::from_millis(250);
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

/// What witnesses are asked about now.
#[derive(Clone)]
struct CosignRequest {
    round: u64,
    signed: Arc<Signed>,
}

/// What a worker found out.
struct WorkerReply {
    round: u64,
    witness: usize,
    answer: Result<Cosigned, Silence>,
}

struct CosignRound {
    number: u64,
    signed: Arc<Signed>,
    began: Instant,
    lines: BTreeMap<usize, Signature>,
    /// How far the own clock is ahead of other witnesses' clocks.
    offsets: BTreeMap<usize, i64>,
    published: bool,
}

/// Gathers cosignatures until the node stops.
pub struct Gatherer {
    publisher: Arc<Publisher>,
    asking: Arc<Asking>,
    board: Arc<Board>,
    /// How old the newest cosignatures of a quiet log may become.
    refresh: Duration,
    consent: Consent,
    round: Option<CosignRound>,
    /// Earlier rounds whose heads are larger than what is published, oldest first.
    earlier: VecDeque<CosignRound>,
    questions: watch::Sender<Option<CosignRequest>>,
    replies: (mpsc::Sender<WorkerReply>, mpsc::Receiver<WorkerReply>),
    workers: JoinSet<()>,
    last_full: Instant,
}

/// Replies that wait for the gatherer; workers wait when there are more.
const REPLIES_AHEAD: usize = 64;

impl Gatherer {
    /// Publishes through `publisher` what the witnesses cosign.
    pub fn new(
        publisher: Arc<Publisher>,
        asking: Arc<Asking>,
        board: Arc<Board>,
        refresh: Duration,
        consent: Consent,
    ) -> Gatherer {
        Gatherer {
            publisher,
            asking,
            board,
            refresh,
            consent,
            round: None,
            earlier: VecDeque::new(),
            questions: watch::Sender::new(None),
            replies: mpsc::channel(REPLIES_AHEAD),
            workers: JoinSet::new(),
            last_full: Instant::now(),
        }
    }

    /// Gathers until `stopping` turns true.
    pub async fn run(mut self, stopping: watch::Receiver<bool>) {
        self.gather(stopping).await;
        // whoever waits for the end of this may open the log again: nobody reads it any more
        self.workers.shutdown().await;
        self.asking.heads.close().await;
    }

    async fn gather(&mut self, mut stopping: watch::Receiver<bool>) {
        let mut signed = self.publisher.signed();
        signed.mark_changed();
        loop {
            let wake = self.wake();
            tokio::select! {
                () = stopped(&mut stopping) => return,
                changed = signed.changed() => if changed.is_err() { return },
                reply = self.replies.1.recv() => {
                    if let Some(reply) = reply {
                        self.take(reply).await;
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
            }
            let latest = signed.borrow().clone();
            if let Some(latest) = latest {
                self.advance(latest).await;
            }
        }
    }

    /// When something is due although nothing happens.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let Some(round) = &self.round else { return now + self.refresh };
        let due = [round.began + self.refresh, round.began + PATIENCE, round.began + FULL_PATIENCE];
        due.into_iter().filter(|due| *due > now).min().unwrap_or(now + PATIENCE)
    }

    /// Begins a round if it is time for one.
    async fn advance(&mut self, latest: Arc<Signed>) {
        let due = match &self.round {
            None => true,
            Some(round) if Arc::ptr_eq(&round.signed, &latest) => {
                round.published && round.began.elapsed() >= self.refresh
            }
            Some(round) if round.published => !self.holds(round),
            Some(round) => round.began.elapsed() >= PATIENCE,
        };
        if due {
            self.begin(latest).await;
        }
    }

    /// Whether a published round goes on, because witnesses that are well have not answered and it
    /// is time to hear all of them.
    fn holds(&self, round: &CosignRound) -> bool {
        if self.last_full.elapsed() < FULL_EVERY || round.began.elapsed() >= FULL_PATIENCE {
            return false;
        }
        let plan = self.publisher.judged(&round.signed);
        let awaited = |at: &usize| self.board.is_well(*at) && plan.convicted_at(*at).is_none();
        (0..plan.len()).filter(awaited).any(|at| !round.lines.contains_key(&at))
    }

    async fn begin(&mut self, signed: Arc<Signed>) {
        let number = self.round.as_ref().map_or(0, |round| round.number) + 1;
        let same_plan =
            self.round.as_ref().is_some_and(|round| Arc::ptr_eq(&round.signed.plan, &signed.plan));
        if !same_plan {
            self.hire(&signed).await;
        }
        // a round that ran its time has heard whom it could
        if self.last_full.elapsed() >= FULL_EVERY + FULL_PATIENCE {
            self.last_full = Instant::now();
        }
        self.questions
            .send_replace(Some(CosignRequest { round: number, signed: Arc::clone(&signed) }));
        let new = CosignRound {
            number,
            published: signed.plan.needs_no_witness(),
            signed,
            began: Instant::now(),
            lines: BTreeMap::new(),
            offsets: BTreeMap::new(),
        };
        if let Some(old) = self.round.replace(new).filter(|old| same_plan && !old.published) {
            self.earlier.push_back(old);
            if self.earlier.len() > ROUNDS_KEPT {
                self.earlier.pop_front();
            }
        }
    }

    /// Sets up a worker for each witness of a new plan.
    async fn hire(&mut self, signed: &Signed) {
        self.workers.shutdown().await;
        // replies that wait name witnesses by their places in the old plan
        self.replies = mpsc::channel(REPLIES_AHEAD);
        self.earlier.clear();
        self.board.set(&signed.plan);
        let size = signed.head.checkpoint().head().size;
        for (at, worker) in self.asking.workers(&signed.plan, size) {
            let (questions, replies) = (self.questions.subscribe(), self.replies.0.clone());
            self.workers.spawn(work(at, worker, Arc::clone(&self.board), questions, replies));
        }
    }

    async fn take(&mut self, reply: WorkerReply) {
        let WorkerReply { round: number, witness, answer } = reply;
        let cosigned = match answer {
            Ok(cosigned) => cosigned,
            Err(silence) => return self.missed(witness, silence),
        };
        let mut rounds = self.earlier.iter_mut().chain(&mut self.round);
        let Some(round) = rounds.find(|round| round.number == number) else {
            // too late for its head, but the witness is well
            return self.board.answered(witness);
        };
        let size = round.signed.head.checkpoint().head().size;
        self.board.cosigned(witness, size, &cosigned);
        if !self.asking.is_own(&round.signed.plan, witness) {
            round.offsets.insert(witness, cosigned.ahead);
        }
        // a witness may have been convicted since its line came
        let plan = self.publisher.judged(&round.signed);
        round.lines.insert(witness, cosigned.line);
        round.lines.retain(|at, _| plan.convicted_at(*at).is_none());
        let present: BTreeSet<usize> = round.lines.keys().copied().collect();
        let left_out = plan.places(&self.consent.without);
        if !plan.is_enough(&present, &left_out) {
            return;
        }
        round.published = true;
        if present.len() == round.signed.plan.len() {
            self.last_full = Instant::now();
        }
        let offsets: Vec<i64> = round.offsets.values().copied().collect();
        let others = self.asking.others(&round.signed.plan).count();
        if let Some(error) = clock_trouble(offsets, others).filter(|_| !self.consent.trust_clock) {
            self.publisher.stop(PublishError::Clock(error));
        }
        let (publisher, signed) = (Arc::clone(&self.publisher), Arc::clone(&round.signed));
        let lines: Vec<Signature> = round.lines.values().cloned().collect();
        self.earlier.retain(|round| round.number > number);
        let revealed =
            tokio::task::spawn_blocking(move || publisher.reveal(&signed, &plan, lines)).await;
        if let Ok(Err(error)) = revealed {
            self.publisher.stop(error);
        }
    }

    /// A witness gave no cosignature. What it claims is silence; a head that it shows, which the log
    /// signed and this node does not know, ends the log's signing.
    fn missed(&mut self, witness: usize, silence: Silence) {
        self.board.failed(witness, &silence, self.asking.now());
        let Silence::Claims { shows, .. } = silence else { return };
        let Some(round) = &self.round else { return };
        let by = format!("the witness {}", round.signed.plan.name_at(witness));
        if let Some(error) = shows.contradiction(by) {
            self.publisher.stop(PublishError::Contradicted(error));
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Asks one witness about whatever is in question, until the gatherer has gone.
async fn work(
    at: usize,
    mut worker: WitnessWorker,
    board: Arc<Board>,
    mut questions: watch::Receiver<Option<CosignRequest>>,
    replies: mpsc::Sender<WorkerReply>,
) {
    let mut back_off = BACK_OFF;
    questions.mark_changed();
    loop {
        if questions.changed().await.is_err() {
            return;
        }
        loop {
            let Some(question) = questions.borrow_and_update().clone() else { break };
            let answer = board.asking(at, &mut worker, &question.signed.head).await;
            let failed = answer.is_err();
            let reply = WorkerReply { round: question.round, witness: at, answer };
            if replies.send(reply).await.is_err() {
                return;
            }
            if !failed {
                back_off = BACK_OFF;
                break;
            }
            tokio::time::sleep(back_off).await;
            back_off = (back_off * 2).min(MAX_BACK_OFF);
        }
    }
}
