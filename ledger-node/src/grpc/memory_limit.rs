//! What messages hold of the heap: all that have not been answered together only so much, and
//! their answers too.
//!
//! tonic collects a message and decodes it before the handler runs, and what it decodes takes more
//! memory than the bytes: see [`HeapCost`]. So each message takes room for the most that it may
//! hold. Without this bound a few connections with all their streams could fill the memory. Small
//! messages have a separate room, which large ones cannot fill, and one network has half of
//! each.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::http::{Request, Response};
use bytes::{Buf as _, Bytes};
use hyper::body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower_service::Service;

use super::quota::{Quota, QuotaPermit};
use super::response_limit::ResponseLimit;
use super::status::CallError;
use crate::transport::Gate;

/// Bytes of a small message: most records, and what nodes tell each other every round.
const SMALL: usize = 16 << 10;

/// Bytes of the heap that are counted together.
const UNIT: usize = 1 << 10;

/// Bytes of the heap for all small messages together: a thousand of the largest, and tens of
/// thousands of those that callers send.
const SMALL_ROOM: usize = 64 << 20;

/// Bytes of the heap for all larger messages together: ten of the largest.
const LARGE_ROOM: usize = 256 << 20;

/// What a message of a service takes of the heap before its handler has judged it.
#[derive(Debug, Clone, Copy)]
pub struct HeapCost {
    /// For each byte that came.
    byte: usize,
    /// For each field that it may have.
    field: usize,
}

impl HeapCost {
    /// Of messages without lists: the bytes as frames, as the message, and once more while that
    /// grows.
    pub const BYTES: HeapCost = HeapCost { byte: 3, field: 0 };

    /// Of messages with lists of bytes: 32 bytes for each, and the list twice while it grows.
    pub const LISTS_OF_BYTES: HeapCost = HeapCost { field: 64, ..HeapCost::BYTES };

    /// Of messages with lists of messages: the largest of gossip has 160 bytes.
    pub const LISTS_OF_MESSAGES: HeapCost = HeapCost { field: 320, ..HeapCost::BYTES };

    /// Of a message of so many bytes, at most.
    fn of(self, bytes: usize) -> usize {
        self.byte * bytes + self.field * ledger_proto::most_request_fields(bytes)
    }
}

/// What a call has taken of the rooms. Whoever works on after the call may have ended, because its
/// caller went away, keeps a copy until it is done.
#[derive(Debug, Clone, Default)]
pub struct MemoryPermit(Arc<Mutex<Vec<QuotaPermit>>>);

impl MemoryPermit {
    fn add(&self, share: QuotaPermit) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = match held.last_mut() {
            Some(last) => last.merge(share),
            None => Some(share),
        };
        held.extend(rest);
    }
}

/// A service whose calls are weighed.
#[derive(Debug, Clone)]
pub struct MemoryLimit<S> {
    inner: S,
    pool: MemoryPool,
    cost: HeapCost,
    stream: Option<&'static str>,
    turns: Option<Quota>,
}

/// Where room is taken for messages and their answers, and who is counted by network; shared by all
/// services.
#[derive(Debug, Clone)]
pub struct MemoryPool {
    gate: Arc<Gate>,
    small: Quota,
    large: Quota,
    answers: ResponseLimit,
}

impl MemoryPool {
    /// All of it is free.
    pub fn new(gate: Arc<Gate>) -> MemoryPool {
        MemoryPool::of(gate, SMALL_ROOM, LARGE_ROOM)
    }

    fn of(gate: Arc<Gate>, small: usize, large: usize) -> MemoryPool {
        let [small, large] = [small, large].map(|bytes| bytes / UNIT);
        let [small, large] = [small, large].map(|units| Quota::new(units, units / 2));
        MemoryPool { gate, small, large, answers: ResponseLimit::default() }
    }
}

impl<S> MemoryLimit<S> {
    /// Weighs the calls of this service, whose messages take so much.
    pub fn new(inner: S, rooms: MemoryPool, cost: HeapCost) -> MemoryLimit<S> {
        MemoryLimit { inner, pool: rooms, cost, stream: None, turns: None }
    }

    /// Leaves out the call of this name: a stream that goes on for as long as its caller likes, and
    /// whose messages take room one by one where they are used.
    pub fn except(self, stream: &'static str) -> MemoryLimit<S> {
        MemoryLimit { stream: Some(stream), ..self }
    }

    /// Gives each call a turn until its answer ends, and refuses those that there is none for.
    pub fn in_turns(self, turns: Quota) -> MemoryLimit<S> {
        MemoryLimit { turns: Some(turns), ..self }
    }
}

impl<S: NamedService> NamedService for MemoryLimit<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for MemoryLimit<S>
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
        let place = MemoryPermit::default();
        request.extensions_mut().insert(place.clone());
        let is_weighed = self.stream.is_none_or(|stream| !request.uri().path().ends_with(stream));
        let (rooms, taken) = (is_weighed.then(|| self.pool.clone()), place.clone());
        let network = self.pool.gate.network_of(request.extensions().get());
        let answers = self.pool.answers.clone();
        let turn = self.turns.as_ref().map(|turns| turns.acquire(network, 1));
        if matches!(turn, Some(None)) {
            let why = "too many such calls at once";
            let refused = CallError::new(Code::ResourceExhausted, why, "try again in a while");
            return Box::pin(async { Ok(Status::from(refused).into_http()) });
        }
        let weight = Weight { cost: self.cost, network, rooms, seen: 0, counted: 0, permit: taken };
        let metered = request.map(|body| Metered { body, weight });
        let answering = self.inner.call(metered);
        Box::pin(async move {
            let answer = answering.await?;
            // not before the message was judged
            drop(place);
            let answer = answers.hold(network, answer).await;
            Ok(answer.map(|body| Body::new(QuotaBody { body, _turn: turn.flatten() })))
        })
    }
}

/// An answer whose call has a turn, or needs none.
#[derive(Debug)]
struct QuotaBody {
    body: Body,
    _turn: Option<QuotaPermit>,
}

impl hyper::body::Body for QuotaBody {
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
    weight: Weight,
}

/// What a message has taken of the rooms so far.
#[derive(Debug)]
struct Weight {
    cost: HeapCost,
    network: Option<IpAddr>,
    /// Where room is taken, if it is.
    rooms: Option<MemoryPool>,
    /// Bytes that came.
    seen: usize,
    /// Units that were taken for it, in the room for its size.
    counted: usize,
    permit: MemoryPermit,
}

impl Weight {
    /// Takes room for so many more bytes.
    fn add(&mut self, more: usize) -> Result<(), Status> {
        let Some(rooms) = &self.rooms else { return Ok(()) };
        let was_small = self.seen <= SMALL;
        self.seen = self.seen.saturating_add(more);
        let is_small = self.seen <= SMALL;
        if was_small && !is_small {
            self.counted = 0;
        }
        let needed = self.cost.of(self.seen).div_ceil(UNIT);
        let missing = needed.saturating_sub(self.counted);
        if missing == 0 {
            return Ok(());
        }
        let room = if is_small { &rooms.small } else { &rooms.large };
        let Some(share) = room.acquire(self.network, missing) else {
            let size = if is_small { "" } else { "large " };
            let why = format!("too many {size}messages at once");
            return Err(
                CallError::new(Code::ResourceExhausted, why, "try again in a second").into()
            );
        };
        self.counted = needed;
        self.permit.add(share);
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
            self.weight.add(frame.data_ref().map_or(0, |data| data.remaining()))?;
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

    /// Of a message with the bytes that came and nothing else.
    const PLAIN: HeapCost = HeapCost { byte: 1, field: 0 };

    fn rooms() -> MemoryPool {
        MemoryPool::of(Gate::new(Limits::default()), SMALL, LARGE)
    }

    fn weighed(inner: Slow, rooms: MemoryPool) -> MemoryLimit<Slow> {
        MemoryLimit::new(inner, rooms, PLAIN)
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
        let (rooms, place) = (rooms(), MemoryPermit::default());
        let taken = (Some(rooms.clone()), place.clone());
        let mut weight = Weight {
            cost: PLAIN,
            network: None,
            rooms: taken.0,
            seen: 0,
            counted: 0,
            permit: taken.1,
        };
        weight.add(LARGE).expect("there is room");
        drop(weight);
        let mut service = weighed(slow, rooms);
        let refused = service.call(self::body(SMALL + 1)).await.expect("an answer");
        assert!(is_refused(&refused), "the work goes on");
        drop(place);
        let call = tokio::spawn(service.call(self::body(LARGE)));
        read.notified().await;
        call.abort();
    }

    #[tokio::test]
    async fn a_stream_may_bring_more_than_all_messages_may_hold() {
        let (read, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        answer.notify_one();
        let mut service = weighed(Slow { read, answer }, rooms()).except("/Records");
        let mut stream = body(LARGE + UNIT);
        *stream.uri_mut() = "/ledger.v1.Test/Records".parse().expect("a path");
        assert!(!is_refused(&service.call(stream).await.expect("an answer")));
        let other = body(LARGE + UNIT);
        assert!(is_refused(&service.call(other).await.expect("an answer")));
    }

    #[tokio::test]
    async fn large_messages_are_few_at_once_until_they_are_answered_and_small_ones_pass() {
        let (read, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = Slow { read: Arc::clone(&read), answer: Arc::clone(&answer) };
        let mut service = weighed(slow, rooms());
        let first = tokio::spawn(service.call(body(LARGE)));
        read.notified().await;
        let second = service.call(body(SMALL + 1)).await.expect("an answer");
        assert!(is_refused(&second), "the first is held yet");
        let small = tokio::spawn(service.call(body(SMALL)));
        read.notified().await;
        answer.notify_waiters();
        for answered in [first, small] {
            assert!(!is_refused(&answered.await.expect("no panic").expect("an answer")));
        }
        let third = tokio::spawn(service.call(body(LARGE)));
        read.notified().await;
        answer.notify_waiters();
        assert!(!is_refused(&third.await.expect("no panic").expect("an answer")));
    }

    #[test]
    fn a_message_takes_room_for_the_heap_that_it_may_hold_and_no_network_takes_all() {
        use ledger_proto::v1::{GossipAnswer, GossipMessage};
        assert!(2 * size_of::<GossipAnswer>() <= HeapCost::LISTS_OF_MESSAGES.field);
        assert!(2 * size_of::<Bytes>() <= HeapCost::LISTS_OF_BYTES.field);
        assert!(size_of::<GossipMessage>() <= HeapCost::LISTS_OF_MESSAGES.of(0));
        let largest = HeapCost::LISTS_OF_MESSAGES.of(crate::wire::gossip::MAX_MESSAGE);
        assert!(5 * largest <= LARGE_ROOM / 2, "five of one network: {largest}");
        let rooms = MemoryPool::new(Gate::new(Limits::default()));
        let ask = |n: u8, bytes| {
            let (rooms, place) = (Some(rooms.clone()), MemoryPermit::default());
            let network = Some(IpAddr::from([192, 0, 2, n]));
            let cost = HeapCost::BYTES;
            let mut weight = Weight { cost, network, rooms, seen: 0, counted: 0, permit: place };
            weight.add(bytes).map(|()| weight)
        };
        for size in [SMALL, LARGE] {
            let room = if size == SMALL { SMALL_ROOM } else { LARGE_ROOM };
            let held: Vec<Weight> = std::iter::from_fn(|| ask(1, size).ok()).collect();
            assert_eq!(held.len(), room / 2 / (3 * size), "of one network");
            assert!(ask(2, size).is_ok(), "others have room");
            drop(held);
            assert!(ask(1, size).is_ok(), "it is given back");
        }
    }
}
