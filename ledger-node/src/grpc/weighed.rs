//! What messages hold of the memory: all that have not been answered together only so much, and
//! their answers too.
//!
//! A message is collected before it is read, and evidence may be large. Without this bound a few
//! connections with all their streams could fill the memory.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::http::{Request, Response};
use bytes::{Buf as _, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower_service::Service;

use super::Failure;
use super::shares::{Share, Shares};
use super::unread::Unread;
use crate::transport::Gate;

/// Bytes of a message that nothing is asked for: records, and what nodes tell each other every
/// round.
const FREE: usize = 16 << 10;

/// Bytes that are counted together.
const UNIT: usize = 1 << 10;

/// Bytes of all messages together beyond what is free: three of the largest, each of which may take
/// its size a few times over while it is judged.
const ROOM: usize = 128 << 20;

/// The room for messages.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Room {
        Room::of(ROOM)
    }
}

impl Room {
    fn of(bytes: usize) -> Room {
        Room(Arc::new(Semaphore::new(bytes / UNIT)))
    }
}

/// What a call has taken of the room. Whoever works on after the call may have ended, because its
/// caller went away, keeps a copy until it is done.
#[derive(Debug, Clone, Default)]
pub struct Place(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

/// A service whose calls are weighed.
#[derive(Debug, Clone)]
pub struct Weighed<S> {
    inner: S,
    rooms: Rooms,
    stream: Option<&'static str>,
    turns: Option<Shares>,
}

/// Where room is taken for messages and their answers, and who is counted by network; shared by all
/// services.
#[derive(Debug, Clone)]
pub struct Rooms {
    gate: Arc<Gate>,
    messages: Room,
    answers: Unread,
}

impl Rooms {
    /// All of it is free.
    pub fn new(gate: Arc<Gate>) -> Rooms {
        Rooms { gate, messages: Room::default(), answers: Unread::default() }
    }
}

impl<S> Weighed<S> {
    /// Weighs the calls of this service.
    pub fn new(inner: S, rooms: Rooms) -> Weighed<S> {
        Weighed { inner, rooms, stream: None, turns: None }
    }

    /// Leaves out the call of this name: a stream that goes on for as long as its caller likes, and
    /// whose messages take room one by one where they are used.
    pub fn except(self, stream: &'static str) -> Weighed<S> {
        Weighed { stream: Some(stream), ..self }
    }

    /// Gives each call a turn until its answer ends, and refuses those that there is none for.
    pub fn in_turns(self, turns: Shares) -> Weighed<S> {
        Weighed { turns: Some(turns), ..self }
    }
}

impl<S: NamedService> NamedService for Weighed<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Weighed<S>
where
    S: Service<Request<Metered>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let place = Place::default();
        request.extensions_mut().insert(place.clone());
        let is_weighed = self.stream.is_none_or(|stream| !request.uri().path().ends_with(stream));
        let (room, taken) = (is_weighed.then(|| self.rooms.messages.clone()), place.clone());
        let network = self.rooms.gate.network_of(request.extensions().get());
        let answers = self.rooms.answers.clone();
        let turn = self.turns.as_ref().map(|turns| turns.take(network, 1));
        if matches!(turn, Some(None)) {
            let why = "too many such calls at once";
            let refused = Failure::new(Code::ResourceExhausted, why, "try again in a while");
            return Box::pin(async { Ok(Status::from(refused).into_http()) });
        }
        let metered = request.map(|body| Metered { body, seen: 0, counted: 0, room, place: taken });
        let answering = self.inner.call(metered);
        Box::pin(async move {
            let answer = answering.await?;
            // not before the message was judged
            drop(place);
            let answer = answers.hold(network, answer).await;
            Ok(answer.map(|body| Body::new(InTurn { body, _turn: turn.flatten() })))
        })
    }
}

/// An answer whose call has a turn, or needs none.
#[derive(Debug)]
struct InTurn {
    body: Body,
    _turn: Option<Share>,
}

impl hyper::body::Body for InTurn {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a call, which ends with an error where there is no room for more of it.
#[derive(Debug)]
pub struct Metered {
    body: Body,
    seen: usize,
    /// Units that were taken for it.
    counted: usize,
    /// Where room is taken, if it is.
    room: Option<Room>,
    place: Place,
}

impl Metered {
    /// Takes room for so many more bytes.
    fn weigh(&mut self, more: usize) -> Result<(), Status> {
        let Some(room) = &self.room else { return Ok(()) };
        self.seen = self.seen.saturating_add(more);
        let needed = self.seen.saturating_sub(FREE).div_ceil(UNIT);
        let missing = u32::try_from(needed.saturating_sub(self.counted)).unwrap_or(u32::MAX);
        if missing == 0 {
            return Ok(());
        }
        let Ok(permit) = Arc::clone(&room.0).try_acquire_many_owned(missing) else {
            let why = "too many large messages at once";
            return Err(Failure::new(Code::ResourceExhausted, why, "try again in a second").into());
        };
        self.counted = needed;
        let mut place = self.place.0.lock().unwrap_or_else(PoisonError::into_inner);
        match place.as_mut() {
            Some(held) => held.merge(permit),
            None => *place = Some(permit),
        }
        Ok(())
    }
}

impl hyper::body::Body for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let weighed = frame.map(|frame| {
            let frame = frame?;
            self.weigh(frame.data_ref().map_or(0, |data| data.remaining()))?;
            Ok(frame)
        });
        Poll::Ready(weighed)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Body as _;
    use tokio::sync::Notify;

    use super::*;
    use crate::transport::Limits;

    /// Reads a body to its end, says so, and answers when it is told to.
    struct Slow {
        read: Arc<Notify>,
        answer: Arc<Notify>,
    }

    impl Service<Request<Metered>> for Slow {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Metered>) -> Self::Future {
            let (read, answer) = (Arc::clone(&self.read), Arc::clone(&self.answer));
            Box::pin(async move {
                let mut body = request.into_body();
                let frame = |context: &mut Context<'_>| Pin::new(&mut body).poll_frame(context);
                let mut frame = std::future::poll_fn(frame);
                loop {
                    match (&mut frame).await {
                        Some(Ok(_)) => {}
                        Some(Err(status)) => return Ok(status.into_http()),
                        None => break,
                    }
                }
                read.notify_one();
                answer.notified().await;
                Ok(Response::new(Body::empty()))
            })
        }
    }

    const LARGE: usize = 1 << 20;

    fn weighed(inner: Slow, messages: Room) -> Weighed<Slow> {
        let rooms = Rooms::new(Gate::new(Limits::default()));
        Weighed::new(inner, Rooms { messages, ..rooms })
    }

    fn body(bytes: usize) -> Request<Body> {
        Request::new(Body::new(axum::body::Body::from(vec![0; bytes])))
    }

    fn is_refused(response: &Response<Body>) -> bool {
        response.headers().contains_key("grpc-status")
    }

    #[tokio::test]
    async fn who_works_on_after_its_caller_went_keeps_its_place() {
        let (read, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = Slow { read: Arc::clone(&read), answer };
        let room = Room::of(LARGE);
        let place = Place::default();
        let body = Body::new(axum::body::Body::from(vec![0; FREE + LARGE]));
        let taken = (Some(room.clone()), place.clone());
        let mut metered = Metered { body, seen: 0, counted: 0, room: taken.0, place: taken.1 };
        metered.weigh(FREE + LARGE).expect("there is room");
        drop(metered);
        let mut service = weighed(slow, room);
        let refused = service.call(self::body(FREE + 1)).await.expect("an answer");
        assert!(is_refused(&refused), "the work goes on");
        drop(place);
        let call = tokio::spawn(service.call(self::body(FREE + LARGE)));
        read.notified().await;
        call.abort();
    }

    #[tokio::test]
    async fn a_stream_may_bring_more_than_all_messages_may_hold() {
        let (read, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        answer.notify_one();
        let mut service = weighed(Slow { read, answer }, Room::of(LARGE)).except("/Records");
        let mut stream = body(FREE + LARGE + UNIT);
        *stream.uri_mut() = "/ledger.v1.Test/Records".parse().expect("a path");
        assert!(!is_refused(&service.call(stream).await.expect("an answer")));
        let other = body(FREE + LARGE + UNIT);
        assert!(is_refused(&service.call(other).await.expect("an answer")));
    }

    #[tokio::test]
    async fn large_messages_are_few_at_once_until_they_are_answered_and_small_ones_pass() {
        let (read, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = Slow { read: Arc::clone(&read), answer: Arc::clone(&answer) };
        let mut service = weighed(slow, Room::of(LARGE));
        let first = tokio::spawn(service.call(body(FREE + LARGE)));
        read.notified().await;
        let second = service.call(body(FREE + 1)).await.expect("an answer");
        assert!(is_refused(&second), "the first is held yet");
        let small = tokio::spawn(service.call(body(FREE)));
        read.notified().await;
        answer.notify_waiters();
        for answered in [first, small] {
            assert!(!is_refused(&answered.await.expect("no panic").expect("an answer")));
        }
        let third = tokio::spawn(service.call(body(FREE + LARGE)));
        read.notified().await;
        answer.notify_waiters();
        assert!(!is_refused(&third.await.expect("no panic").expect("an answer")));
    }
}
