//! The value behind all gRPC services, and what their calls share.

use super::authority;
use super::quota::{Quota, QuotaPermit};
use super::status::CallError;
use crate::log::Published;
use crate::service::Service;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Extensions};

/// The service behind the wire.
#[derive(Clone)]
pub(super) struct GrpcService {
    pub(super) service: Arc<Service>,
    /// Taken by those who read entries or drafts, or list evidence.
    pub(super) entry_streams: Quota,
    /// Taken by those who submit in streams: as many as there may be connections.
    pub(super) submit_streams: Quota,
    /// Taken by the outcomes of streamed records until they are answered.
    pub(super) outcomes: Quota,
    pub(super) authority: Arc<authority::Cache>,
}

impl GrpcService {
    /// Runs something that reads files, away from the threads that serve sockets.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Service, &Published) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let service = Arc::clone(&self.service);
        let published = service.current_soon().await?;
        let reads = service.reads.clone();
        let done = reads.run(move || read(&service, &published)).await;
        done.unwrap_or_else(|| Err(CallError::new(Code::Internal, "reading the log failed", "")))
    }

    /// How long a caller may let answers lie.
    pub(super) fn idle(&self) -> Duration {
        self.service.gate.limits().idle()
    }

    /// A caller's turn, until it is dropped: so many may have one at once, and of one network a
    /// part of them.
    pub(super) fn acquire(
        &self,
        turns: &Quota,
        extensions: &Extensions,
    ) -> Result<QuotaPermit, CallError> {
        let network = self.service.gate.network_of(extensions.get());
        turns.acquire(network, 1).ok_or_else(|| {
            let hint = "try again in a while; entries are also read as tiles over HTTP";
            CallError::new(Code::ResourceExhausted, "too many such streams at once", hint)
        })
    }
}

/// How long a logged record waits for its publication before whoever submitted it is told to come
/// back for the proof.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
