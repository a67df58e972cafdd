//! `SubmitStream`: many records over one connection, verified on all cores, logged and answered in
//! the order in which they came.

use std::pin::Pin;
use std::task::Poll;

use ledger_proto::v1::{self as wire, submit_stream_response::Outcome as WireOutcome};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::Stream as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Face, Failure};
use crate::admission::Admitted;
use crate::refusal::Refusal;
use crate::sequencer::Outcome;

/// Requests that are verified as one piece of work: enough to outweigh handing it over.
const PIECE: usize = 32;

/// Pieces that may be under way at once.
const PIECES_AHEAD: usize = 8;

/// Records that may be between the queue and their answers. The queue's own room bounds their bytes.
const ANSWERS_AHEAD: usize = 8192;

type Response = Result<wire::SubmitStreamResponse, Status>;

/// A request after verification.
struct Checked {
    request: wire::SubmitRequest,
    verdict: Result<Admitted, Refusal>,
}

/// What the reader hands on, in order.
enum Read {
    Requests(JoinHandle<Vec<Checked>>),
    /// Nothing more is read; whoever sends is told why.
    End(Status),
}

/// What is answered, in order.
enum Awaited {
    Record { record: bytes::Bytes, wait: i32, state: State },
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

/// Reads requests as they come and has them verified in pieces.
async fn read(
    face: Face,
    mut requests: Streaming<wire::SubmitRequest>,
    pieces: mpsc::Sender<Read>,
) {
    let mut stopping = face.service.stopping.clone();
    loop {
        let next = tokio::select! {
            next = requests.message() => next,
            _ = stopping.wait_for(|stop| *stop) => {
                Err(Failure::from(Refusal::ShuttingDown).into())
            }
        };
        let mut piece = Vec::with_capacity(PIECE);
        let mut end = None;
        match next {
            Ok(Some(first)) => piece.push(first),
            Ok(None) => return,
            Err(status) => {
                let _ = pieces.send(Read::End(status)).await;
                return;
            }
        }
        while piece.len() < PIECE && end.is_none() {
            // only what has already arrived: a lone record must not wait for company
            let poll = std::future::poll_fn(|context| {
                Poll::Ready(Pin::new(&mut requests).poll_next(context))
            });
            match poll.await {
                Poll::Ready(Some(Ok(request))) => piece.push(request),
                Poll::Ready(None) => end = Some(None),
                Poll::Ready(Some(Err(status))) => end = Some(Some(status)),
                Poll::Pending => break,
            }
        }
        let face = face.clone();
        let verified = tokio::spawn(async move { check(&face, piece) });
        if pieces.send(Read::Requests(verified)).await.is_err() {
            return;
        }
        match end {
            None => {}
            Some(None) => return,
            Some(Some(status)) => {
                let _ = pieces.send(Read::End(status)).await;
                return;
            }
        }
    }
}

fn check(face: &Face, piece: Vec<wire::SubmitRequest>) -> Vec<Checked> {
    let check = |request: wire::SubmitRequest| {
        let verdict = face.service.admission.check(&request.record);
        Checked { request, verdict }
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
        for Checked { request, verdict } in piece {
            let wire::SubmitRequest { record, wait } = request;
            let state = match verdict {
                Err(refusal) => State::Known(Outcome::Refused(refusal)),
                Ok(Admitted::Duplicate(index)) => State::Known(Outcome::Duplicate(index)),
                Ok(Admitted::Verified(signed)) => {
                    match face.service.admission.enqueue(*signed).await {
                        Ok(outcome) => State::Queued(outcome),
                        Err(refusal) => State::Known(Outcome::Refused(refusal)),
                    }
                }
            };
            if awaited.send(Awaited::Record { record, wait, state }).await.is_err() {
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
    while let Some(awaited) = answers.recv().await {
        let (record, wait, state) = match awaited {
            Awaited::Record { record, wait, state } => (record, wait, state),
            Awaited::End(status) => {
                let _ = responses.send(Err(status)).await;
                return;
            }
        };
        let outcome = match state {
            State::Known(outcome) => outcome,
            State::Queued(outcome) => outcome.await.unwrap_or(Outcome::Refused(Refusal::Unknown)),
        };
        let outcome = match face.answer(outcome, &record, wait).await {
            Ok(logged) => WireOutcome::Logged(logged),
            Err(failure) => WireOutcome::Refused(failure.into()),
        };
        let response = wire::SubmitStreamResponse { outcome: Some(outcome) };
        if responses.send(Ok(response)).await.is_err() {
            return;
        }
    }
}
