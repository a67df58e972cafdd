//! C2SP `tlog-witness`: the submission prefix and the monitoring prefix are both `/witness`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ledger_core::Hint;
use ledger_core::witness::{AddCheckpoint, MAX_REQUEST_BYTES, Refusal};

use super::{FRESH, NEVER, TEXT, failed, missing, plain};
use crate::service::Service;
use crate::witness::WitnessError;

/// Where logs ask a witness; without keys the answer is 404.
pub(super) fn submission() -> Router<Arc<Service>> {
    // SPEC tlog-witness/add-checkpoint: POST <submission prefix>/add-checkpoint
    Router::new().route("/witness/add-checkpoint", post(add_checkpoint))
}

/// What monitors read of a witness; without keys the answer is 404.
pub(super) fn files() -> Router<Arc<Service>> {
    // SPEC tlog-witness/monitor-retrieval-mechanism: GET <monitoring prefix>/<hash>/checkpoint
    Router::new().route("/witness/{origin}/checkpoint", get(checkpoint))
}

async fn add_checkpoint(State(service): State<Arc<Service>>, body: Body) -> Response {
    let Some(witness) = &service.witness else {
        return missing("this node is no witness: it has no witness_keys");
    };
    let Ok(body) = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await else {
        return refused(&Refusal::TooLarge);
    };
    let request = match AddCheckpoint::parse(&body) {
        Ok(request) => request,
        Err(refusal) => return refused(&refusal),
    };
    match witness.add_checkpoint(&request).await {
        Ok(lines) => {
            let text: String = lines.iter().map(ToString::to_string).collect();
            ([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, NEVER)], text).into_response()
        }
        Err(WitnessError::Refused(refusal)) => refused(&refusal),
        Err(convicted @ WitnessError::Convicted(_)) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{convicted}\nhint: {}", convicted.hint()),
        ),
        Err(_) => failed("the witness cannot keep checkpoints; its operator must restart it"),
    }
}

async fn checkpoint(State(service): State<Arc<Service>>, Path(hash): Path<String>) -> Response {
    let Some(witness) = &service.witness else {
        return missing("this node is no witness: it has no witness_keys");
    };
    // SPEC tlog-witness/monitor-retrieval-mechanism: 404 if nothing was cosigned for the log
    match witness.checkpoint(&hash) {
        Some(checkpoint) => {
            let headers = [(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, FRESH)];
            (headers, checkpoint.to_string()).into_response()
        }
        None => missing("this witness has cosigned no checkpoint of such a log"),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = HeaderValue::from_static(refusal.content_type());
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, NEVER)];
    (status, headers, refusal.body()).into_response()
}
