//! The JSON Schemas of all kinds of record, generated from the tables that judge records.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ledger_core::record::{Kind, schema};

use super::missing;

const SCHEMA: HeaderValue = HeaderValue::from_static("application/schema+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A new version of the node may bring new schemas.
const AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// `GET /schemas/`, a list, and `GET /schemas/<kind>.json`.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/schemas/", get(list)).route("/schemas/{name}", get(one))
}

/// The kinds, where their schemas are, and what these call themselves.
async fn list() -> Response {
    let entry = |kind: &Kind| {
        let id = schema(*kind).text("$id").unwrap_or_default().to_owned();
        serde_json::json!({ "kind": kind.as_str(), "id": id, "path": format!("/schemas/{kind}.json") })
    };
    let list: serde_json::Value = Kind::ALL.iter().map(entry).collect();
    ([(header::CONTENT_TYPE, JSON), (header::CACHE_CONTROL, AN_HOUR)], format!("{list}\n"))
        .into_response()
}

async fn one(Path(name): Path<String>) -> Response {
    let kind = name.strip_suffix(".json").and_then(Kind::parse);
    let Some(kind) = kind else { return missing("no such schema; see the list at /schemas/") };
    let text = format!("{}\n", schema(kind).to_pretty_json());
    ([(header::CONTENT_TYPE, SCHEMA), (header::CACHE_CONTROL, AN_HOUR)], text).into_response()
}
