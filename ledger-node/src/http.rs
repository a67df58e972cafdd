//! The HTTP face: the C2SP `tlog-tiles` read path, the C2SP `tlog-witness` one, the schemas of
//! records, a health check and metrics.

mod compressed;
mod figures;
mod files;
mod health;
mod mirror;
mod recent;
mod schemas;
mod serve;
mod witness;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ledger_core::TreeSize;
use ledger_core::tile::TileCoord;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::cors::{Any, CorsLayer};

use crate::service::Service;
use crate::transport::{Door, Endpoint};

use compressed::Compressors;
use recent::Recent;

// SPEC tlog-tiles/apis
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A checkpoint changes with every batch.
// SPEC tlog-tiles/checkpoints: headers should prevent caching beyond a few seconds
const FRESH: HeaderValue = HeaderValue::from_static("no-cache");

/// Tiles and bundles never change.
// SPEC tlog-tiles/merkle-tree: caching headers should be long-lived
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// What is not there yet may come.
const NEVER: HeaderValue = HeaderValue::from_static("no-store");

/// Serves HTTP until `stopping` turns true.
pub fn serve(
    service: Arc<Service>,
    listener: TcpListener,
    stopping: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static {
    let gate = Arc::clone(&service.gate);
    let tls = service.tls.as_ref().map(|tls| tls.acceptor(Endpoint::Http));
    let door = Door { listener, gate: Arc::clone(&gate), face: Endpoint::Http, tls };
    async move { serve::serve(router(service), gate, door.open(stopping)).await }
}

/// The routes of a log.
fn router(service: Arc<Service>) -> Router {
    let compressors = Compressors::default();
    let bundles = Router::new().route("/tile/entries/{*place}", get(bundle));
    // SPEC tlog-tiles/log-entries: entry bundles should be compressed
    let bundles = compressors.layer(bundles);
    let files = Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*place}", get(tile))
        .merge(bundles)
        .merge(mirror::routes(&compressors))
        .merge(witness::files());
    let recent = Arc::new(Recent::default());
    let metrics = move |State(service): State<Arc<Service>>| {
        let recent = Arc::clone(&recent);
        async move { health::metrics(&service, &recent) }
    };
    Router::new()
        .merge(files.layer(public_files()))
        .route("/healthz", get(health::health))
        .route("/metrics", get(metrics))
        .merge(witness::submission())
        .merge(schemas::router())
        .fallback(|| async { missing("no such path; see the C2SP tlog-tiles specification") })
        .with_state(service)
}

/// CORS for what a log publishes: pages of any site may read it, because signatures prove it. The
/// other routes have no such layer. A browser inside the operator's network would otherwise read
/// the node's health and figures for a page from outside, or ask the node's witness.
fn public_files() -> CorsLayer {
    CorsLayer::new().allow_origin(Any).allow_methods([Method::GET, Method::HEAD])
}

async fn checkpoint(State(service): State<Arc<Service>>) -> Response {
    let published = match service.current() {
        Ok(published) => published,
        Err(nothing) => return plain(StatusCode::SERVICE_UNAVAILABLE, nothing),
    };
    let text = published.checkpoint().claimed().to_string();
    ([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, FRESH)], text).into_response()
}

async fn tile(state: State<Arc<Service>>, Path(place): Path<String>) -> Response {
    serve_tile(state, format!("tile/{place}")).await
}

async fn bundle(state: State<Arc<Service>>, Path(place): Path<String>) -> Response {
    serve_tile(state, format!("tile/entries/{place}")).await
}

async fn serve_tile(State(service): State<Arc<Service>>, path: String) -> Response {
    let Ok(coord) = path.parse::<TileCoord>() else {
        return missing("not the path of a tile: tile/<level or \"entries\">/<number>[.p/<width>]");
    };
    // never show what is not signed: tiles are written before the head that covers them
    let size = service.current().map_or(TreeSize::ZERO, |published| published.size());
    if !coord.is_within(size) {
        return missing("the published tree does not reach this tile");
    }
    match files::answer(&service.reads, Arc::clone(&service.reader), coord).await {
        Some(answer) => answer,
        None if TileCoord::in_tree(coord.kind(), coord.index(), size) != Some(coord) => {
            missing("this partial tile has gone; fetch the one of the latest checkpoint")
        }
        None => failed("a tile of the published tree is missing"),
    }
}

fn missing(why: &'static str) -> Response {
    plain(StatusCode::NOT_FOUND, why)
}

fn failed(why: &'static str) -> Response {
    plain(StatusCode::INTERNAL_SERVER_ERROR, why)
}

fn plain(status: StatusCode, why: impl std::fmt::Display) -> Response {
    let headers = [(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, NEVER)];
    (status, headers, format!("{why}\n")).into_response()
}
