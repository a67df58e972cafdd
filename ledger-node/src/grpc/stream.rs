//! `SubmitStream`: many records over one connection, verified on all cores, logged and answered in
//! the order in which they came.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use ledger_core::charter::SignedRecord;
use ledger_proto::v1::{self as wire, submit_stream_response::Outcome as WireOutcome};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::Stream as _;
use tonic::{Code, Status, Streaming};

use super::answers::{Answers, Waiting};
use super::shares::Share;
use super::{Face, Failure, PATIENCE};
use crate::admission::Admitted;
use crate::refusal::Refusal;
use crate::sequencer::Outcome;

/// Requests that are verified as one piece of work: enough to outweigh handing it over.
const PIECE: usize = 32;

/// Pieces that may be under way at once.
const PIECES_AHEAD: usize = 8;

/// Records that may be between the queue and their answers; of each only its outcome is kept.
const ANSWERS_AHEAD: usize = 8192;

/// A request, and the room that its record takes in the node.
struct Received {
    request: wire::SubmitRequest,
    room: OwnedSemaphorePermit,
}

/// A request after verification.
struct Checked {
    wait: i32,
    verdict: Verdict,
}

enum Verdict {
    /// Refused, or in the log already: the record is dropped, and takes no more room.
    Known(Outcome),
    Verified(Box<SignedRecord>, OwnedSemaphorePermit),
}

/// What the reader hands on, in order.
enum Read {
    Requests(JoinHandle<Vec<Checked>>),
    /// Nothing more is read; whoever sends is told why.
    End(Status),
}

/// What is answered, in order.
enum Awaited {
    Record { wait: i32, state: State },
    End(Status),
}

enum State {
    Known(Outcome),
    Queued(oneshot::Receiver<Outcome>),
}

/// Logs what arrives and answers every request in order, as long as somebody takes answers.
pub fn submit(
    face: Face,
    requests: Streaming<wire::SubmitRequest>,
    turn: Share,
) -> Waiting<wire::SubmitStreamResponse> {
    let (pieces, checked) = mpsc::channel(PIECES_AHEAD);
    let (awaited, answers) = mpsc::channel(ANSWERS_AHEAD);
    let (responses, stream) = Answers::new(PIECE * PIECES_AHEAD, face.idle());
    tokio::spawn(read(face.clone(), requests, pieces));
    tokio::spawn(enqueue(face.clone(), checked, awaited));
    tokio::spawn(async move {
        answer(face, answers, responses).await;
        drop(turn);
    });
    stream
}

/// Reads requests as they come and has them verified in pieces. While the node has no room, nothing
/// more is read.
async fn read(
    face: Face,
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
    face: &Face,
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
                Err(refusal) => return (piece, Some(Err(Failure::from(refusal).into()))),
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
    face: &Face,
    requests: &mut Streaming<wire::SubmitRequest>,
) -> Option<Result<wire::SubmitRequest, Status>> {
    let mut stopping = face.service.stopping.clone();
    tokio::select! {
        next = requests.message() => next.transpose(),
        _ = stopping.wait_for(|stop| *stop) => {
            Some(Err(Failure::from(Refusal::ShuttingDown).into()))
        }
    }
}

fn check(face: &Face, piece: Vec<Received>) -> Vec<Checked> {
    let check = |Received { request, room }: Received| {
        let wire::SubmitRequest { record, wait } = request;
        let verdict = match face.service.admission.check(&record) {
            Err(refusal) => Verdict::Known(Outcome::Refused(refusal)),
            Ok(Admitted::Duplicate(at)) => Verdict::Known(Outcome::Duplicate(at)),
            Ok(Admitted::Verified(signed)) => Verdict::Verified(signed, room),
        };
        Checked { wait, verdict }
    };
    piece.into_iter().map(check).collect()
}

/// Puts verified records into the queue, in order.
async fn enqueue(face: Face, mut pieces: mpsc::Receiver<Read>, awaited: mpsc::Sender<Awaited>) {
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
            let state = match verdict {
                Verdict::Known(outcome) => State::Known(outcome),
                Verdict::Verified(signed, room) => {
                    match face.service.admission.enqueue(*signed, room).await {
                        Ok(outcome) => State::Queued(outcome),
                        Err(refusal) => State::Known(Outcome::Refused(refusal)),
                    }
                }
            };
            if awaited.send(Awaited::Record { wait, state }).await.is_err() {
                return;
            }
        }
    }
}

/// Answers in order.
async fn answer(
    face: Face,
    mut answers: mpsc::Receiver<Awaited>,
    mut responses: Answers<wire::SubmitStreamResponse>,
) {
    let mut patience = PATIENCE;
    while let Some(awaited) = answers.recv().await {
        let (wait, state) = match awaited {
            Awaited::Record { wait, state } => (wait, state),
            Awaited::End(status) => {
                let _ = responses.send(Err(status)).await;
                return;
            }
        };
        let outcome = match state {
            State::Known(outcome) => outcome,
            State::Queued(outcome) => outcome.await.unwrap_or(Outcome::Refused(Refusal::Unknown)),
        };
        let outcome = match face.answer(outcome, wait, patience).await {
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
    }
}
