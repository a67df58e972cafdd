//! `SubmitStream`: many records over one connection, verified on all cores, logged and answered in
//! the order in which they came.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ledger_proto::v1::{self as wire, submit_stream_response::Outcome as WireOutcome};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::Stream as _;
use tonic::{Code, Status, Streaming};

use super::answers::{Answers, Waiting};
use super::quota::{Quota, QuotaPermit};
use super::service::{GrpcService, PATIENCE};
use super::status::CallError;
use crate::admission::{Admitted, Verified, shrink};
use crate::refusal::Refusal;
use crate::sequencer::Outcome;

/// Requests that are verified as one piece of work: enough to outweigh handing it over.
const PIECE: usize = 32;

/// Pieces that may be under way at once.
const PIECES_AHEAD: usize = 8;

/// Records that may be between the queue and their answers; of each only its outcome is kept.
const ANSWERS_AHEAD: usize = 8192;

/// Bytes of the heap that the outcomes of one stream may take in any case, before they are
/// answered: those of some hundreds of records.
const OUTCOMES_OF_STREAM: usize = 64 << 10;

/// The same of all streams beyond that, and of those of one network. A caller that takes no answers
/// makes other streams read less ahead, and no more.
pub const OUTCOMES: usize = 32 << 20;
pub const OUTCOMES_PER_NETWORK: usize = OUTCOMES / 4;

/// Bytes of a refusal's text that are kept.
const MAX_TEXT: usize = 512;

/// What an outcome takes that waits, besides its text: itself, and the channel that it comes by.
const OUTCOME: usize = 2 * size_of::<Awaited>();

/// A request, and the room that its record takes in the node.
struct Received {
    request: wire::SubmitRequest,
    room: OwnedSemaphorePermit,
}

/// A request after verification.
struct Checked {
    wait: i32,
    verdict: CheckResult,
}

enum CheckResult {
    /// In the log already: the record is dropped, and takes no more room.
    Known(Outcome),
    /// The same of a record that was refused.
    Refused(Box<CallError>),
    Verified(Box<Verified>, OwnedSemaphorePermit),
}

/// What the reader hands on, in order.
enum Read {
    Requests(JoinHandle<Vec<Checked>>),
    /// Nothing more is read; whoever sends is told why.
    End(Status),
}

/// What is answered, in order.
enum Awaited {
    Record { wait: i32, state: RecordState, room: OutcomePermit },
    End(Status),
}

enum RecordState {
    Known(Outcome),
    Refused(Box<CallError>),
    Queued(oneshot::Receiver<Outcome>),
}

/// The room for the outcomes of one stream.
struct Outcomes {
    own: Arc<Semaphore>,
    all: Quota,
    network: Option<IpAddr>,
}

/// What an outcome takes of it, until it is answered.
enum OutcomePermit {
    OfStream { _room: OwnedSemaphorePermit },
    OfAll { _room: QuotaPermit },
}

impl Outcomes {
    fn new(all: Quota, network: Option<IpAddr>) -> Outcomes {
        Outcomes { own: Arc::new(Semaphore::new(OUTCOMES_OF_STREAM)), all, network }
    }

    /// Room for an outcome with so much text: the stream's, that of all, or the stream's once an
    /// answer was taken.
    async fn room(&self, text: usize) -> Option<OutcomePermit> {
        let bytes = (OUTCOME + text).min(OUTCOMES_OF_STREAM);
        let units = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Ok(room) = Arc::clone(&self.own).try_acquire_many_owned(units) {
            return Some(OutcomePermit::OfStream { _room: room });
        }
        if let Some(room) = self.all.acquire(self.network, bytes) {
            return Some(OutcomePermit::OfAll { _room: room });
        }
        let room = Arc::clone(&self.own).acquire_many_owned(units).await.ok()?;
        Some(OutcomePermit::OfStream { _room: room })
    }
}

/// Logs what arrives and answers every request in order, as long as somebody takes answers.
pub fn submit(
    face: GrpcService,
    requests: Streaming<wire::SubmitRequest>,
    permit: QuotaPermit,
) -> Waiting<wire::SubmitStreamResponse> {
    let (pieces, checked) = mpsc::channel(PIECES_AHEAD);
    let (awaited, answers) = mpsc::channel(ANSWERS_AHEAD);
    let (responses, stream) = Answers::new(PIECE * PIECES_AHEAD, face.idle());
    let outcomes = Outcomes::new(face.outcomes.clone(), permit.network());
    tokio::spawn(read(face.clone(), requests, pieces));
    tokio::spawn(enqueue(face.clone(), checked, awaited, outcomes));
    tokio::spawn(async move {
        answer(face, answers, responses).await;
        drop(permit);
    });
    stream
}

/// Reads requests as they come and has them verified in pieces. While the node has no room, nothing
/// more is read.
async fn read(
    face: GrpcService,
    mut requests: Streaming<wire::SubmitRequest>,
    pieces: mpsc::Sender<Read>,
) {
    let mut left = None;
    loop {
        let (piece, end) = read_piece(&face, &mut requests, &mut left).await;
        if !piece.is_empty() {
            let face = face.clone();
            let verified = tokio::spawn(async move { check(&face, piece) });
            if pieces.send(Read::Requests(verified)).await.is_err() {
                return;
            }
        }
        match end {
            None => {}
            Some(Ok(())) => return,
            Some(Err(status)) => {
                let _ = pieces.send(Read::End(status)).await;
                return;
            }
        }
    }
}

/// Waits for one request and takes those that have already arrived behind it; says whether and how
/// the stream ended. What finds no room at once is `left` for the next piece: a piece that waited
/// for room while it holds some would keep it from others, who do the same.
async fn read_piece(
    face: &GrpcService,
    requests: &mut Streaming<wire::SubmitRequest>,
    left: &mut Option<wire::SubmitRequest>,
) -> (Vec<Received>, Option<Result<(), Status>>) {
    let mut piece = Vec::with_capacity(PIECE);
    let mut next = match left.take() {
        Some(request) => Some(Ok(request)),
        None => read_one(face, requests).await,
    };
    loop {
        let request = match next {
            Some(Ok(request)) => request,
            Some(Err(status)) => return (piece, Some(Err(status))),
            None => return (piece, Some(Ok(()))),
        };
        let (admission, bytes) = (&face.service.admission, request.record.len());
        match admission.room_now(bytes) {
            Some(room) => piece.push(Received { request, room }),
            None if piece.is_empty() => match admission.room(bytes).await {
                Ok(room) => piece.push(Received { request, room }),
                Err(refusal) => return (piece, Some(Err(CallError::from(refusal).into()))),
            },
            None => {
                *left = Some(request);
                return (piece, None);
            }
        }
        if piece.len() == PIECE {
            return (piece, None);
        }
        // only what has already arrived: a lone record must not wait for company
        let poll = std::future::poll_fn(|context| {
            Poll::Ready(Pin::new(&mut *requests).poll_next(context))
        });
        match poll.await {
            Poll::Ready(arrived) => next = arrived,
            Poll::Pending => return (piece, None),
        }
    }
}

/// The next request, unless the node stops.
async fn read_one(
    face: &GrpcService,
    requests: &mut Streaming<wire::SubmitRequest>,
) -> Option<Result<wire::SubmitRequest, Status>> {
    let mut stopping = face.service.stopping.clone();
    tokio::select! {
        next = requests.message() => next.transpose(),
        _ = stopping.wait_for(|stop| *stop) => {
            Some(Err(CallError::from(Refusal::ShuttingDown).into()))
        }
    }
}

fn check(face: &GrpcService, piece: Vec<Received>) -> Vec<Checked> {
    let check = |Received { request, room }: Received| {
        let wire::SubmitRequest { record, wait } = request;
        let verdict = match face.service.admission.check(&record) {
            Err(refusal) => CheckResult::Refused(Box::new(CallError::from(refusal).cut(MAX_TEXT))),
            Ok(Admitted::Duplicate(at)) => CheckResult::Known(Outcome::Duplicate(at)),
            Ok(Admitted::Verified(verified)) => {
                let room = shrink(room, &verified.record);
                CheckResult::Verified(verified, room)
            }
        };
        Checked { wait, verdict }
    };
    piece.into_iter().map(check).collect()
}

/// Puts verified records into the queue, in order.
async fn enqueue(
    face: GrpcService,
    mut pieces: mpsc::Receiver<Read>,
    awaited: mpsc::Sender<Awaited>,
    outcomes: Outcomes,
) {
    while let Some(read) = pieces.recv().await {
        let piece = match read {
            Read::Requests(piece) => piece.await.map_err(|_| Status::internal("checking failed")),
            Read::End(status) => Err(status),
        };
        let piece = match piece {
            Ok(piece) => piece,
            Err(status) => {
                let _ = awaited.send(Awaited::End(status)).await;
                return;
            }
        };
        for Checked { wait, verdict } in piece {
            let text =
                if let CheckResult::Refused(failure) = &verdict { failure.text_bytes() } else { 0 };
            let Some(room) = outcomes.room(text).await else { return };
            let state = match verdict {
                CheckResult::Known(outcome) => RecordState::Known(outcome),
                CheckResult::Refused(failure) => RecordState::Refused(failure),
                CheckResult::Verified(verified, room) => {
                    match face.service.admission.enqueue(*verified, room).await {
                        Ok(outcome) => RecordState::Queued(outcome),
                        Err(refusal) => RecordState::Known(Outcome::Refused(refusal)),
                    }
                }
            };
            if awaited.send(Awaited::Record { wait, state, room }).await.is_err() {
                return;
            }
        }
    }
}

/// Answers in order.
async fn answer(
    face: GrpcService,
    mut answers: mpsc::Receiver<Awaited>,
    mut responses: Answers<wire::SubmitStreamResponse>,
) {
    let mut patience = PATIENCE;
    while let Some(awaited) = answers.recv().await {
        let (wait, state, room) = match awaited {
            Awaited::Record { wait, state, room } => (wait, state, room),
            Awaited::End(status) => {
                let _ = responses.send(Err(status)).await;
                return;
            }
        };
        let answer = match state {
            RecordState::Known(outcome) => face.answer(outcome, wait, patience).await,
            RecordState::Refused(failure) => Err(*failure),
            RecordState::Queued(outcome) => {
                let outcome = outcome.await.unwrap_or(Outcome::Refused(Refusal::Unknown));
                face.answer(outcome, wait, patience).await
            }
        };
        let outcome = match answer {
            Ok(logged) => {
                patience = PATIENCE;
                WireOutcome::Logged(logged)
            }
            Err(failure) => {
                // what waits behind a record that is not published is not either
                if failure.code == Code::Unavailable {
                    patience = Duration::ZERO;
                }
                WireOutcome::Refused(failure.into())
            }
        };
        let response = wire::SubmitStreamResponse { outcome: Some(outcome) };
        if responses.send(Ok(response)).await.is_err() {
            return;
        }
        drop(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn outcomes_that_wait_count_the_heap_that_they_hold() {
        const LINE: usize = 1 << 10;
        let each = OUTCOME + LINE;
        let all = Quota::new(8 * each, 4 * each);
        let stream = |n: u8| Outcomes::new(all.clone(), Some(IpAddr::from([192, 0, 2, n])));
        let now = async |outcomes: &Outcomes| {
            tokio::select! {
                biased;
                room = outcomes.room(LINE) => room,
                () = std::future::ready(()) => None,
            }
        };
        let fill = async |outcomes: &Outcomes| {
            let mut held = Vec::new();
            while let Some(room) = now(outcomes).await {
                held.push(room);
            }
            held
        };
        let greedy = stream(1);
        let mut held = fill(&greedy).await;
        let own = OUTCOMES_OF_STREAM / each;
        assert_eq!(held.len(), own + 4, "its own, and its network's part of all");
        let also_greedy = stream(1);
        let also_held = fill(&also_greedy).await;
        assert_eq!(also_held.len(), own, "each stream has its own");
        let other = stream(2);
        assert_eq!(fill(&other).await.len(), own + 4, "others have theirs");
        // what is answered makes room
        held.remove(0);
        assert!(now(&greedy).await.is_some());
    }
}
