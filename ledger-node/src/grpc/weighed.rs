//! Large messages: only so many are held at once, whoever sends them.
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

/// Bytes from which on a message is large: what nodes tell each other is smaller, but for evidence.
const LARGE: usize = 1 << 20;

/// Large messages at once. Each may take its largest size a few times over while it is judged.
const LARGE_AT_ONCE: usize = 4;

/// A service whose calls are weighed.
#[derive(Debug, Clone)]
pub struct Weighed<S> {
    inner: S,
    room: Arc<Semaphore>,
}

impl<S> Weighed<S> {
    /// Weighs the calls of this service.
    pub fn new(inner: S) -> Weighed<S> {
        Weighed { inner, room: Arc::new(Semaphore::new(LARGE_AT_ONCE)) }
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let place = Place::default();
        let (room, taken) = (Arc::clone(&self.room), Arc::clone(&place));
        let metered = request.map(|body| Metered { body, seen: 0, room, place: taken });
        let answering = self.inner.call(metered);
        Box::pin(async move {
            let answered = answering.await;
            // not before the message was judged
            drop(place);
            answered
        })
    }
}

/// The place of a call among the large ones, once it has one.
type Place = Arc<Mutex<Option<OwnedSemaphorePermit>>>;

/// The body of a call, which ends with an error where it would be one large message too many.
#[derive(Debug)]
pub struct Metered {
    body: Body,
    seen: usize,
    room: Arc<Semaphore>,
    place: Place,
}

impl Metered {
    /// Whether so many more bytes may be held.
    fn weigh(&mut self, more: usize) -> Result<(), Status> {
        self.seen = self.seen.saturating_add(more);
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if self.seen < LARGE || place.is_some() {
            return Ok(());
        }
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            let why = "too many large messages at once";
            return Err(Failure::new(Code::ResourceExhausted, why, "try again in a second").into());
        };
        *place = Some(permit);
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

    fn body(bytes: usize) -> Request<Body> {
        Request::new(Body::new(axum::body::Body::from(vec![0; bytes])))
    }

    fn is_refused(response: &Response<Body>) -> bool {
        response.headers().contains_key("grpc-status")
    }

    #[tokio::test]
    async fn large_messages_are_few_at_once_until_they_are_answered_and_small_ones_pass() {
        let (read, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = Slow { read: Arc::clone(&read), answer: Arc::clone(&answer) };
        let mut service = Weighed { inner: slow, room: Arc::new(Semaphore::new(1)) };
        let first = tokio::spawn(service.call(body(LARGE)));
        read.notified().await;
        let second = service.call(body(2 * LARGE)).await.expect("an answer");
        assert!(is_refused(&second), "the first is held yet");
        let small = tokio::spawn(service.call(body(LARGE - 1)));
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
}
