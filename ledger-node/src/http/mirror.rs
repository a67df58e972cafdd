//! C2SP `tlog-mirror`: the monitoring prefix is `/mirror`, which no witness uses.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ledger_core::tile::TileCoord;

use super::compressed::Compressors;
use super::{FRESH, TEXT, failed, files, missing};
use crate::mirror::ServedCopy;
use crate::service::Service;

/// The routes of a mirror; without keys each of them is answered with 404.
pub(super) fn routes(compressors: &Compressors) -> Router<Arc<Service>> {
    let bundles = Router::new().route("/mirror/{origin}/tile/entries/{*place}", get(bundle));
    // SPEC tlog-tiles/log-entries: entry bundles should be compressed
    let bundles = compressors.layer(bundles);
    Router::new()
        // SPEC tlog-mirror/introduction: <monitoring prefix>/<origin hash>
        .route("/mirror/{origin}/checkpoint", get(checkpoint))
        .route("/mirror/{origin}/tile/{*place}", get(tile))
        .merge(bundles)
}

fn find(service: &Service, origin: &str) -> Option<Arc<ServedCopy>> {
    service.mirror.as_ref()?.by_hash(origin)
}

const NO_COPY: &str = "this node holds no copy of such a log";

async fn checkpoint(State(service): State<Arc<Service>>, Path(origin): Path<String>) -> Response {
    match find(&service, &origin).and_then(|copy| copy.checkpoint()) {
        Some(checkpoint) => {
            let headers = [(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, FRESH)];
            (headers, checkpoint.to_string()).into_response()
        }
        None => missing(NO_COPY),
    }
}

async fn tile(
    State(service): State<Arc<Service>>,
    Path((origin, place)): Path<(String, String)>,
) -> Response {
    file(&service, &origin, format!("tile/{place}")).await
}

async fn bundle(
    State(service): State<Arc<Service>>,
    Path((origin, place)): Path<(String, String)>,
) -> Response {
    file(&service, &origin, format!("tile/entries/{place}")).await
}

async fn file(service: &Service, origin: &str, path: String) -> Response {
    let Some(copy) = find(service, origin) else { return missing(NO_COPY) };
    let Ok(coord) = path.parse::<TileCoord>() else {
        return missing("not the path of a tile: tile/<level or \"entries\">/<number>[.p/<width>]");
    };
    // never show what is not cosigned: tiles are written before the checkpoint that covers them
    if !copy.shows(coord) {
        return missing("the cosigned tree has no such tile");
    }
    match files::answer(&service.reads, Arc::clone(copy.reader()), coord).await {
        Some(answer) => answer,
        None => failed("a tile of the cosigned tree is missing"),
    }
}
