//! What answers hold of the memory as long as their callers do not read them.
//!
//! A caller may ask for much with few bytes, and then take nothing. So large answers together hold
//! only so much, those to one network a part of it, and none for ever.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Response;
use bytes::{Buf as _, Bytes};
use hyper::body::{Body as _, Frame};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::{Code, Status};

use super::quota::{Quota, QuotaPermit};
use super::status::CallError;

/// Bytes of an answer that nothing is asked for. One connection may have 256 of them.
const FREE: usize = 2 << 10;

/// Bytes of all larger answers together, and of those to one network: evidence may have 33 MiB.
const ROOM: usize = 128 << 20;
const ROOM_PER_NETWORK: usize = ROOM / 2;

/// Bytes that a connection is handed at once for each of its calls: those it keeps until its caller
/// reads them.
const PIECE: usize = 4 << 10;

/// How long a caller may take for a large answer: the largest comes over a line of 3 Mbit/s.
const PATIENCE: Duration = Duration::from_secs(120);

/// The room for answers, shared by all services.
#[derive(Debug, Clone)]
pub struct ResponseLimit {
    room: Quota,
    patience: Duration,
}

impl Default for ResponseLimit {
    fn default() -> ResponseLimit {
        ResponseLimit { room: Quota::new(ROOM, ROOM_PER_NETWORK), patience: PATIENCE }
    }
}

impl ResponseLimit {
    /// The answer to somebody of a network, which takes room if it is large; a refusal where there
    /// is none.
    pub async fn hold(&self, network: Option<IpAddr>, answer: Response<Body>) -> Response<Body> {
        let (head, mut body) = answer.into_parts();
        let first = match at_hand(&mut body).await {
            Poll::Pending => return Response::from_parts(head, body),
            Poll::Ready(Some(Ok(frame))) if bytes_of(&frame) > FREE => {
                let Some(share) = self.room.acquire(network, bytes_of(&frame)) else {
                    let (why, hint) = ("too many large answers at once", "try again in a while");
                    let refused = CallError::new(Code::ResourceExhausted, why, hint);
                    return Status::from(refused).into_http();
                };
                let bytes = frame.into_data().unwrap_or_default();
                First::Large(Large::new(bytes, share, self.patience))
            }
            Poll::Ready(Some(frame)) => First::Small(frame.map(|frame| frame.map_data(copied))),
            // gRPC calls this Trailers-Only: the headers end the stream. If an empty data frame
            // followed, gRPC's C core would report a broken stream and drop the status
            Poll::Ready(None) => return Response::from_parts(head, Body::empty()),
        };
        let rest = Rest::of(body).await;
        Response::from_parts(head, Body::new(BegunAnswer { first, rest }))
    }
}

/// The same bytes alone: those of a frame share the memory of the whole buffer that they were
/// written to.
fn copied(bytes: Bytes) -> Bytes {
    Bytes::copy_from_slice(&bytes)
}

/// The first frame of an answer, if it is there: a message that nobody waits for is whole in it.
async fn at_hand(body: &mut Body) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
    let poll = |context: &mut Context<'_>| Poll::Ready(Pin::new(&mut *body).poll_frame(context));
    std::future::poll_fn(poll).await
}

fn bytes_of(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, Bytes::len)
}

/// An answer whose first frame was looked at.
#[derive(Debug)]
struct BegunAnswer {
    first: First,
    rest: Rest,
}

/// What comes after the first frame. The body of an answer of one message keeps the buffer that the
/// message was written to, so it is read to its end and dropped.
#[derive(Debug)]
enum Rest {
    /// The last frame, with the status; none once it was taken.
    Last(Option<Result<Frame<Bytes>, Status>>),
    /// More comes, or is awaited.
    More(Body),
}

impl Rest {
    async fn of(mut body: Body) -> Rest {
        match at_hand(&mut body).await {
            Poll::Ready(last @ (None | Some(Err(_)))) => Rest::Last(last),
            Poll::Ready(Some(Ok(frame))) if frame.is_trailers() => Rest::Last(Some(Ok(frame))),
            Poll::Ready(Some(Ok(frame))) => Rest::More(Body::new(BegunAnswer {
                first: First::Small(Ok(frame)),
                rest: Rest::More(body),
            })),
            Poll::Pending => Rest::More(body),
        }
    }
}

#[derive(Debug)]
enum First {
    Small(Result<Frame<Bytes>, Status>),
    Large(Large),
    Taken,
}

impl hyper::body::Body for BegunAnswer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let First::Large(large) = &self.first {
            match large.next() {
                Ok(None) => self.first = First::Taken,
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
        }
        match std::mem::replace(&mut self.first, First::Taken) {
            First::Small(frame) => Poll::Ready(Some(frame)),
            _ => match &mut self.rest {
                Rest::Last(last) => Poll::Ready(last.take()),
                Rest::More(body) => Pin::new(body).poll_frame(context),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        let has_ended = match &self.rest {
            Rest::Last(last) => last.is_none(),
            Rest::More(body) => body.is_end_stream(),
        };
        matches!(self.first, First::Taken) && has_ended
    }
}

/// A large message, which is taken away from a caller who is too slow.
#[derive(Debug)]
struct Large {
    held: Arc<Mutex<LargeState>>,
    timer: JoinHandle<()>,
}

#[derive(Debug)]
enum LargeState {
    /// Bytes that the connection was not handed yet, and the room of the whole.
    Waiting {
        bytes: Bytes,
        _share: QuotaPermit,
    },
    Taken,
    GivenUp,
}

impl Large {
    fn new(bytes: Bytes, share: QuotaPermit, patience: Duration) -> Large {
        let held = Arc::new(Mutex::new(LargeState::Waiting { bytes, _share: share }));
        let late = Arc::clone(&held);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            let mut held = lock(&late);
            if matches!(*held, LargeState::Waiting { .. }) {
                *held = LargeState::GivenUp;
            }
        });
        Large { held, timer }
    }

    /// The next piece; none when all are taken.
    fn next(&self) -> Result<Option<Bytes>, Status> {
        let mut held = lock(&self.held);
        match &mut *held {
            LargeState::Waiting { bytes, .. } if bytes.len() > PIECE => {
                let piece = Bytes::copy_from_slice(&bytes[..PIECE]);
                bytes.advance(PIECE);
                Ok(Some(piece))
            }
            LargeState::Waiting { bytes, .. } => {
                let last = copied(std::mem::take(bytes));
                *held = LargeState::Taken;
                Ok(Some(last))
            }
            LargeState::Taken => Ok(None),
            LargeState::GivenUp => {
                Err(Status::deadline_exceeded("the answer was not read in time"))
            }
        }
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        // the timer's task may go later
        *lock(&self.held) = LargeState::Taken;
        self.timer.abort();
    }
}

fn lock(held: &Mutex<LargeState>) -> MutexGuard<'_, LargeState> {
    // nothing panics while it is changed
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 1 << 20;

    fn answer(bytes: usize) -> Response<Body> {
        Response::new(Body::new(axum::body::Body::from(vec![7; bytes])))
    }

    fn is_refused(answer: &Response<Body>) -> bool {
        answer.headers().contains_key("grpc-status")
    }

    async fn read(answer: Response<Body>) -> Result<usize, Status> {
        let mut body = answer.into_body();
        let mut bytes = 0;
        loop {
            let poll = |context: &mut Context<'_>| Pin::new(&mut body).poll_frame(context);
            let Some(frame) = std::future::poll_fn(poll).await else { return Ok(bytes) };
            let frame = frame?;
            assert!(bytes_of(&frame) <= PIECE, "nobody is handed more at once");
            bytes += bytes_of(&frame);
        }
    }

    #[tokio::test]
    async fn answers_that_nobody_reads_hold_only_so_much_and_small_ones_pass() {
        let unread = ResponseLimit { room: Quota::new(3 * LARGE, 2 * LARGE), patience: PATIENCE };
        let network = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let held = [1, 1].map(|n| unread.hold(network(n), answer(LARGE)));
        let [first, second] = held;
        let (first, second) = (first.await, second.await);
        assert!(!is_refused(&first) && !is_refused(&second));
        assert!(is_refused(&unread.hold(network(1), answer(LARGE)).await), "more than its share");
        let small = unread.hold(network(1), answer(FREE)).await;
        let other = unread.hold(network(2), answer(LARGE)).await;
        assert!(is_refused(&unread.hold(None, answer(LARGE)).await), "more than there is");
        for (answer, bytes) in [(first, LARGE), (small, FREE), (other, LARGE)] {
            assert_eq!(read(answer).await.expect("it is whole"), bytes);
        }
        drop(second);
        assert!(unread.room.acquire(None, 3 * LARGE).is_some(), "all was given back");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_read_in_time_holds_nothing_more() {
        let (room, patience) = (Quota::new(LARGE, LARGE), Duration::from_millis(1));
        let unread = ResponseLimit { room, patience };
        let slow = unread.hold(None, answer(LARGE)).await;
        while unread.room.acquire(None, LARGE).is_none() {
            tokio::task::yield_now().await;
        }
        let status = read(slow).await.expect_err("it is gone");
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }

    /// A buffer that says whether anything still holds it.
    struct Buffer {
        _alive: Arc<()>,
    }

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &[7; LARGE]
        }
    }

    /// As tonic makes an answer of one message: its body keeps the buffer of the message.
    struct WholeBody {
        message: Option<Bytes>,
        trailers: bool,
        _buffer: Bytes,
    }

    impl hyper::body::Body for WholeBody {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            let last = std::mem::take(&mut self.trailers).then(axum::http::HeaderMap::new);
            let message = self.message.take();
            if message.is_some() {
                self.trailers = true;
            }
            let frame = message.map(Frame::data).or(last.map(Frame::trailers));
            Poll::Ready(frame.map(Ok))
        }
    }

    #[tokio::test]
    async fn the_connection_keeps_no_more_of_an_answer_than_it_was_handed() {
        let unread = ResponseLimit { room: Quota::new(LARGE, LARGE), patience: PATIENCE };
        for length in [1, FREE, FREE + 1, PIECE, 2 * PIECE, LARGE] {
            let alive = Arc::new(());
            let buffer = Bytes::from_owner(Buffer { _alive: Arc::clone(&alive) });
            let message = Some(buffer.slice(..length));
            let whole = WholeBody { message, trailers: false, _buffer: buffer };
            let mut body = unread.hold(None, Response::new(Body::new(whole))).await.into_body();
            let mut pieces = Vec::new();
            while pieces.iter().map(Bytes::len).sum::<usize>() < length {
                let frame = at_hand(&mut body).await;
                let Poll::Ready(Some(Ok(frame))) = frame else { panic!("{length}: {frame:?}") };
                pieces.push(frame.into_data().expect("data"));
            }
            // the caller reads none of the pieces, and the trailers wait behind them
            assert_eq!(Arc::strong_count(&alive), 1, "{length} bytes: the buffer is held");
            let last = at_hand(&mut body).await;
            let Poll::Ready(Some(Ok(last))) = last else { panic!("{length}: {last:?}") };
            assert!(last.is_trailers() && body.is_end_stream());
            drop(pieces);
        }
    }

    #[tokio::test]
    async fn a_refusal_without_a_message_ends_with_its_headers() {
        let unread = ResponseLimit { room: Quota::new(0, 0), patience: PATIENCE };
        let refused = Status::not_found("there is no such entry").into_http();
        let held = unread.hold(None, refused).await;
        assert!(held.body().is_end_stream(), "no frame comes after the headers");
        let too_large = unread.hold(None, answer(FREE + 1)).await;
        assert!(is_refused(&too_large) && too_large.body().is_end_stream());
        let small = unread.hold(None, answer(1)).await;
        assert!(!small.body().is_end_stream());
        assert_eq!(read(small).await.expect("it is whole"), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_at_hand_is_passed_on() {
        let never = tokio_stream::pending::<Result<Vec<u8>, std::convert::Infallible>>();
        let body = Body::new(axum::body::Body::from_stream(never));
        let unread = ResponseLimit { room: Quota::new(0, 0), patience: PATIENCE };
        assert!(!is_refused(&unread.hold(None, Response::new(body)).await));
        assert!(is_refused(&unread.hold(None, answer(FREE + 1)).await));
    }
}
