//! Counts the requests of each network, and refuses those of one that asks too often.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower_service::Service;

use super::status::CallError;
use crate::transport::{Caller, Gate};

/// A service whose requests are counted before a byte of their messages is read.
#[derive(Debug, Clone)]
pub struct Rated<S> {
    inner: S,
    gate: Arc<Gate>,
    uncounted: Option<&'static str>,
}

impl<S> Rated<S> {
    /// Counts all requests to a service.
    pub fn new(inner: S, gate: Arc<Gate>) -> Rated<S> {
        Rated { inner, gate, uncounted: None }
    }

    /// Counts all but those with this path.
    pub fn except(self, path: &'static str) -> Rated<S> {
        Rated { uncounted: Some(path), ..self }
    }

    /// Counts a request; an error if its network asks too often.
    fn count(&self, request: &Request<Body>) -> Result<(), Status> {
        if self.uncounted == Some(request.uri().path()) {
            return Ok(());
        }
        let Some(caller) = request.extensions().get::<Caller>() else { return Ok(()) };
        let Err(wait) = self.gate.request(caller.address.ip()) else { return Ok(()) };
        let why = "too many requests from your network";
        Err(CallError::new(Code::ResourceExhausted, why, &format!("try again in {wait:?}")).into())
    }
}

impl<S: NamedService> NamedService for Rated<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Rated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.count(&request) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(refused) => Box::pin(async { Ok(refused.into_http()) }),
        }
    }
}
