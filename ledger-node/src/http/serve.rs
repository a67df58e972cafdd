//! Serving HTTP/1.1 on connections: heads, bodies and requests within the limits.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::task::JoinSet;
use tower_service::Service as _;

use super::plain;
use crate::transport::{Gate, Incoming, RefusalReason};

/// Bytes of the largest head.
const MAX_HEAD: usize = 32 << 10;

/// Serves until there are no more connections, then ends those that are open after what they are
/// at.
pub async fn serve(router: Router, gate: Arc<Gate>, mut incoming: Incoming) {
    let patience = gate.limits().request();
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(MAX_HEAD);
    let graceful = GracefulShutdown::new();
    let mut open = JoinSet::new();
    while let Some(connection) = incoming.next().await {
        while open.try_join_next().is_some() {}
        let (address, asked) = (connection.caller().address.ip(), connection.asked());
        let (router, counted) = (router.clone(), Arc::clone(&gate));
        let answer = move |request: Request<hyper::body::Incoming>| {
            let (router, gate) = (router.clone(), Arc::clone(&counted));
            async move {
                Ok::<Response, Infallible>(answer(router, &gate, address, request, patience).await)
            }
        };
        let service = hyper::service::service_fn(answer);
        let served = builder.serve_connection(TokioIo::new(connection), service);
        let (watched, counts) = (graceful.watch(served), Arc::clone(&gate));
        open.spawn(async move {
            if let Err(error) = watched.await {
                // whoever keeps a connection for its next request and has none does no harm
                if error.is_timeout() && asked.load(Ordering::Relaxed) {
                    counts.refuse(RefusalReason::Slow);
                }
                tracing::debug!(%error, "an HTTP connection ended early");
            }
        });
    }
    graceful.shutdown().await;
}

/// Paths that are served also to a network that has used up its requests: a load balancer takes a
/// node out of service that refuses its health check. Each answer is short and in memory, so a
/// refusal would cost the node as much. Connections are still counted.
const NEVER_REFUSED: [&str; 3] = ["/healthz", "/metrics", "/checkpoint"];

fn is_counted<T>(request: &Request<T>) -> bool {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    !(is_read && NEVER_REFUSED.contains(&request.uri().path()))
}

async fn answer(
    mut router: Router,
    gate: &Gate,
    address: IpAddr,
    request: Request<hyper::body::Incoming>,
    patience: Duration,
) -> Response {
    if is_counted(&request)
        && let Err(wait) = gate.request(address)
    {
        let mut response = plain(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests from your network; come again in a while",
        );
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return response;
    }
    // a router is always ready, and fails never; its handlers read the whole body first
    let answered = tokio::time::timeout(patience, router.call(request.map(Body::new))).await;
    match answered {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            gate.refuse(RefusalReason::Slow);
            let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
            (close, plain(StatusCode::REQUEST_TIMEOUT, "the request took too long to come"))
                .into_response()
        }
    }
}
