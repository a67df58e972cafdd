//! `SubmitStream`: many records over one connection, verified on all cores, logged and answered in
//! the order in which they came.

use std::pin::Pin;
use std::task::Poll;

use ledger_proto::v1::{self as wire, submit_stream_response::Outcome as WireOutcome};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::Stream as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

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

/// A request whose answer is known or will be.
struct Awaited {
    record: bytes::Bytes,
    wait: i32,
    state: State,
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
    let (end, ended) = oneshot::channel();
    tokio::spawn(read(face.clone(), requests, pieces, end));
    tokio::spawn(enqueue(face.clone(), checked, awaited));
    tokio::spawn(answer(face, answers, responses, ended));
    ReceiverStream::new(stream)
}

/// Reads requests as they come and has them verified in pieces. A stream that does not end by itself
/// has an `end` that its client is told, after the answers to what was read.
async fn read(
    face: Face,
    mut requests: Streaming<wire::SubmitRequest>,
    pieces: mpsc::Sender<JoinHandle<Vec<Checked>>>,
    end: oneshot::Sender<Status>,
) {
    let mut stopping = face.service.stopping.clone();
    loop {
        let next = tokio::select! {
            next = requests.message() => next,
            // nobody answers what comes from here on: the node is shutting down
            _ = stopping.wait_for(|stop| *stop) => Err(cut_off()),
        };
        let mut piece = Vec::with_capacity(PIECE);
        let mut last = None;
        match next {
            Ok(Some(first)) => piece.push(first),
            Ok(None) => return,
            Err(status) => {
                // whoever sent it may have gone
                let _ = end.send(status);
                return;
            }
        }
        while piece.len() < PIECE && last.is_none() {
            // only what has already arrived: a lone record must not wait for company
            let poll = std::future::poll_fn(|context| {
                Poll::Ready(Pin::new(&mut requests).poll_next(context))
            });
            match poll.await {
                Poll::Ready(Some(Ok(request))) => piece.push(request),
                Poll::Ready(None) => last = Some(Ok(())),
                Poll::Ready(Some(Err(status))) => last = Some(Err(status)),
                Poll::Pending => break,
            }
        }
        let face = face.clone();
        let verified = tokio::spawn(async move { check(&face, piece) });
        if pieces.send(verified).await.is_err() {
            return;
        }
        if let Some(last) = last {
            if let Err(status) = last {
                let _ = end.send(status);
            }
            return;
        }
    }
}

fn cut_off() -> Status {
    let message = "the node is shutting down; what was not answered was not logged";
    Failure::new(Code::Unavailable, message, Refusal::ShuttingDown.hint()).into()
}

fn check(face: &Face, piece: Vec<wire::SubmitRequest>) -> Vec<Checked> {
    let check = |request: wire::SubmitRequest| {
        let verdict = face.service.admission.check(&request.record);
        Checked { request, verdict }
    };
    piece.into_iter().map(check).collect()
}

/// Puts verified records into the queue, in order.
async fn enqueue(
    face: Face,
    mut pieces: mpsc::Receiver<JoinHandle<Vec<Checked>>>,
    awaited: mpsc::Sender<Awaited>,
) {
    while let Some(piece) = pieces.recv().await {
        let Ok(piece) = piece.await else { return };
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
            if awaited.send(Awaited { record, wait, state }).await.is_err() {
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
    ended: oneshot::Receiver<Status>,
) {
    while let Some(Awaited { record, wait, state }) = answers.recv().await {
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
    if let Ok(status) = ended.await {
        let _ = responses.send(Err(status)).await;
    }
}
