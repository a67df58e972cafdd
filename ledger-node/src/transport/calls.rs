//! Calls to other nodes: a connection that has died is noticed, and a whole answer has its time.
//!
//! tonic's own limits end with the headers of an answer. Whoever sends those and then nothing more,
//! or a byte now and then, would be waited for without end.

use std::future::Future;
use std::time::Duration;

use tonic::Status;
use tonic::transport::Endpoint;

/// How often the other end is asked for a sign of life, and how long it may take for one. Only
/// while an answer is waited for: between two rounds of gossip nothing passes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Prepares a connection to a URL as [`grpc_url`](super::grpc_url) makes it; `patience` is for
/// connecting.
///
/// # Errors
/// If it is no URL.
pub fn endpoint(url: &str, patience: Duration) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?;
    Ok(endpoint
        .connect_timeout(patience)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT))
}

/// What comes of a call, its whole answer included, if it comes within `patience`.
///
/// # Errors
/// What the call ends with, or `DEADLINE_EXCEEDED`.
pub async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let late = || Status::deadline_exceeded(format!("no whole answer came within {patience:?}"));
    tokio::time::timeout(patience, call).await.unwrap_or_else(|_| Err(late()))
}
