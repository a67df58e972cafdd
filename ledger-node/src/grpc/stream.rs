//! `SubmitStream`: many records over one connection, verified on all cores, logged and answered in
//! the order in which they came.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use ledger_proto::v1::{self as wire, submit_stream_response::Outcome as WireOutcome};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::Stream as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

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

type Response = Result<wire::SubmitStreamResponse, Status>;

/// A request, and the room that its record takes in the node.
struct Received {
    request: wire::SubmitRequest,
    room: OwnedSemaphorePermit,
}

/// A request after verification.
struct Checked {
    wait: i32,
    verdict: Result<Admitted, Refusal>,
    room: OwnedSemaphorePermit,
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

/// Logs what arrives and answers every request in order.
pub fn submit(face: Face, requests: Streaming<wire::SubmitRequest>) -> ReceiverStream<Response> {
    let (pieces, checked) = mpsc::channel(PIECES_AHEAD);
    let (awaited, answers) = mpsc::channel(ANSWERS_AHEAD);
    let (responses, stream) = mpsc::channel(PIECE * PIECES_AHEAD);
    tokio::spawn(read(face.clone(), requests, pieces));
    tokio::spawn(enqueue(face.clone(), checked, awaited));
    tokio::spawn(answer(face, answers, responses));
    ReceiverStream::new(stream)
}

/// Reads requests as they come and has them verified in pieces. While the node has no room, nothing
/// more is read.
async fn read(
    face: Face,
    mut requests: Streaming<wire::SubmitRequest>,
    pieces: mpsc::Sender<Read>,
) {
    loop {
        let (piece, end) = read_piece(&face, &mut requests).await;
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
/// the stream ended.
async fn read_piece(
    face: &Face,
    requests: &mut Streaming<wire::SubmitRequest>,
) -> (Vec<Received>, Option<Result<(), Status>>) {
    let mut piece = Vec::with_capacity(PIECE);
    let mut stopping = face.service.stopping.clone();
    let mut next = tokio::select! {
        next = requests.message() => next.transpose(),
        _ = stopping.wait_for(|stop| *stop) => {
            Some(Err(Failure::from(Refusal::ShuttingDown).into()))
        }
    };
    loop {
        let request = match next {
            Some(Ok(request)) => request,
            Some(Err(status)) => return (piece, Some(Err(status))),
            None => return (piece, Some(Ok(()))),
        };
        match face.service.admission.room(request.record.len()).await {
            Ok(room) => piece.push(Received { request, room }),
            Err(refusal) => return (piece, Some(Err(Failure::from(refusal).into()))),
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

fn check(face: &Face, piece: Vec<Received>) -> Vec<Checked> {
    let check = |Received { request, room }: Received| {
        let wire::SubmitRequest { record, wait } = request;
        let verdict = face.service.admission.check(&record);
        Checked { wait, verdict, room }
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
        for Checked { wait, verdict, room } in piece {
            let state = match verdict {
                Err(refusal) => State::Known(Outcome::Refused(refusal)),
                Ok(Admitted::Duplicate(at)) => State::Known(Outcome::Duplicate(at)),
                Ok(Admitted::Verified(signed)) => {
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
    responses: mpsc::Sender<Response>,
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
