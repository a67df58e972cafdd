//! A node that begins its answers and never ends them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codegen::Service as _;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};

/// Answers to gRPC with headers alone, on a free port of the loopback, until its runtime ends.
#[derive(Debug, Clone, Copy)]
pub struct Stalling {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Stalling {
    /// Ends no answer at all.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start() -> Stalling {
        Stalling::serve(Router::new().fallback(stall)).await
    }

    /// Ends no answer to this call, such as `/ledger.v1.Ledger/GetEntries`, and lets the node at a
    /// URL answer all others.
    ///
    /// # Panics
    /// If there is no free port, or no such URL.
    pub async fn at(call: &str, node: &str) -> Stalling {
        let channel = Endpoint::from_shared(node.to_owned()).expect("a URL").connect_lazy();
        let others = move |request| forward(channel.clone(), request);
        Stalling::serve(Router::new().route(call, post(stall)).fallback(others)).await
    }

    async fn serve(router: Router) -> Stalling {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = Server::builder().add_routes(Routes::from(router));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Stalling { address }
    }

    /// The address as lists of sources and peers have it.
    pub fn url(&self) -> String {
        format!("grpc://{}", self.address)
    }
}

async fn stall() -> Response {
    let never = tokio_stream::pending::<Result<Vec<u8>, Infallible>>();
    ([(CONTENT_TYPE, "application/grpc")], Body::from_stream(never)).into_response()
}

async fn forward(mut channel: Channel, request: Request) -> Response {
    poll_fn(|context| channel.poll_ready(context)).await.expect("it listens");
    let answer = channel.call(request.map(tonic::body::Body::new)).await;
    answer.expect("it listens").map(Body::new)
}
