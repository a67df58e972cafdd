//! Compressed answers. A compressor holds memory until its caller has read the whole answer, so the
//! number of compressors is limited.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

/// Compressors at once. Further answers are sent as they are.
const AT_ONCE: usize = 64;

/// The compressors of a node.
#[derive(Debug, Clone)]
pub struct Compressors(Arc<Semaphore>);

impl Default for Compressors {
    fn default() -> Compressors {
        Compressors(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Compressors {
    /// Compresses the answers of these routes for callers that accept it.
    pub fn layer<S: Clone + Send + Sync + 'static>(&self, routes: Router<S>) -> Router<S> {
        // the largest bundle that does not compress takes four times as long at the usual level
        let compression = CompressionLayer::new().quality(CompressionLevel::Fastest);
        // the layer that is added last sees a request first
        routes.layer(compression).layer(from_fn_with_state(self.clone(), limited))
    }
}

async fn limited(State(all): State<Compressors>, mut request: Request, next: Next) -> Response {
    if !request.headers().contains_key(header::ACCEPT_ENCODING) {
        return next.run(request).await;
    }
    match all.0.try_acquire_owned() {
        Ok(turn) => {
            let answer = next.run(request).await;
            answer.map(|body| Body::new(CompressorBody { body, _turn: turn }))
        }
        Err(_) => {
            request.headers_mut().remove(header::ACCEPT_ENCODING);
            next.run(request).await
        }
    }
}

/// An answer that has a compressor until it ends.
struct CompressorBody {
    body: Body,
    _turn: OwnedSemaphorePermit,
}

impl hyper::body::Body for CompressorBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
