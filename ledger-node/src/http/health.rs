//! Whether the node does its work: a health check, and figures for Prometheus.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ledger_core::policy::ConvictedWitness;
use ledger_core::record::format_time;

use super::recent::Recent;
use super::{FRESH, figures, plain};
use crate::publisher::board::{Board, RolledBack, Standing, Unconfirmed, WitnessStatus};
use crate::service::Service;

/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long a signed head may wait for its quorum before the node is called unwell: longer than a
/// round gives slow witnesses, and than one of them takes to restart.
const QUORUM_PATIENCE: Duration = Duration::from_secs(60);

/// 200 while the log signs and publishes; 503 with a reason while it waits for witnesses. Both are
/// followed by what is wrong with witnesses, one thing a line.
pub async fn health(State(service): State<Arc<Service>>) -> Response {
    let (status, why) = verdict(&service);
    let witnesses = troubled(&service.board.statuses(), service.clock.now());
    plain(status, format!("{why}{witnesses}"))
}

fn verdict(service: &Service) -> (StatusCode, String) {
    if service.signed.borrow().is_none() {
        return (StatusCode::SERVICE_UNAVAILABLE, unconfirmed(&service.board));
    }
    let stopped_by = service.stopped_by();
    if !stopped_by.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, convicted(&stopped_by));
    }
    let waited = service.waiting.borrow().map(|since| since.elapsed());
    if let Some(waited) = waited.filter(|waited| *waited >= QUORUM_PATIENCE) {
        let why = format!(
            "a signed head has waited {} s for the quorum of witnesses; `ledger witness status` \
             says why",
            waited.as_secs()
        );
        return (StatusCode::SERVICE_UNAVAILABLE, why);
    }
    match service.current() {
        Ok(_) => (StatusCode::OK, "ok".into()),
        Err(nothing) => (StatusCode::SERVICE_UNAVAILABLE, nothing.to_string()),
    }
}

/// Why nothing is signed yet after a start.
fn unconfirmed(board: &Board) -> String {
    let mut text = "unconfirmed: nothing is signed yet".to_owned();
    let waits = board.waits_for().filter(|waits| !waits.missing.is_empty());
    if let Some(Unconfirmed { missing, size }) = waits {
        let names: Vec<String> = missing.iter().map(|n| n.escape_debug().to_string()).collect();
        let names = names.join(", ");
        let _ = write!(
            text,
            "; the log waits until these witnesses agree that {size} is its latest size: {names}. \
             If one is gone or wrong: `ledger-node serve --without-witness NAME`"
        );
    }
    if board.is_asking_peers() {
        text += "; the peers are asked for a later head";
    }
    text
}

/// Why nothing can be published.
fn convicted(witnesses: &[ConvictedWitness]) -> String {
    format!(
        "convicted-witness: nothing is published, since the other witnesses are no quorum: {}. Log a \
         `set_policy` change that replaces the witness; as the policy before it must agree to its \
         last head too, start then with `ledger-node serve --without-witness NAME`",
        ConvictedWitness::list(witnesses).escape_debug()
    )
}

/// Lines for each witness that is not well. Whoever wrote the policy chose the names.
fn troubled(witnesses: &[WitnessStatus], now: u64) -> String {
    let mut text = String::new();
    for witness in witnesses {
        let name = witness.name.escape_debug();
        let _ = match witness.standing() {
            Standing::Well => Ok(()),
            Standing::Slow(took) => write!(text, "\nwitness {name}: slow, {} s", took.as_secs()),
            Standing::Pending => write!(text, "\nwitness {name}: pending, nothing said yet"),
            Standing::Silent(since) => {
                write!(text, "\nwitness {name}: silent for {} s", now.saturating_sub(since))
            }
            Standing::Claims(since) => {
                let (since, shows) = (now.saturating_sub(since), witness.claim.as_deref());
                let shows = shows.unwrap_or_default();
                write!(
                    text,
                    "\nwitness {name}: claims for {since} s another head of this log; {shows}"
                )
            }
            Standing::Unreachable => write!(text, "\nwitness {name}: no address known"),
            Standing::Convicted(evidence) => {
                write!(
                    text,
                    "\nwitness {name}: convicted by evidence {evidence}, counts for nothing"
                )
            }
        };
        if let Some(RolledBack { from, to, at }) = witness.rolled_back {
            let at = format_time(at);
            let _ = write!(text, "\nwitness {name}: rolled-back, from size {from} to {to} at {at}");
        }
        if let Some(ahead) = witness.clock_offset() {
            // what the node's clock is ahead of, is behind
            let off = if ahead > 0 { "behind" } else { "ahead of" };
            let seconds = ahead.unsigned_abs();
            let _ = write!(text, "\nwitness {name}: its clock is {seconds} s {off} this node's");
        }
    }
    text
}

/// Sizes, and how the witnesses, gossip, the mirror and connections are doing.
pub fn metrics(service: &Service, recent: &Recent) -> Response {
    let text = recent.get(Instant::now(), || text(service));
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static(METRICS)), (header::CACHE_CONTROL, FRESH)],
        text,
    )
        .into_response()
}

fn text(service: &Service) -> String {
    let signed = service.signed.borrow().as_ref().map(|s| s.head.checkpoint().head().size.get());
    let published = service.current().ok().map(|published| published.size().get());
    let waited = service.waiting.borrow().map_or(0, |since| since.elapsed().as_secs());
    let missing = service.board.waits_for().map_or(0, |waits| waits.missing.len() as u64);
    let mut text = render(signed, published, (waited, missing), &service.board.statuses());
    figures::gate(&mut text, &service.gate);
    figures::gossip(&mut text, &service.gossip);
    if let Some(mirror) = &service.mirror {
        figures::mirror(&mut text, mirror);
    }
    text
}

/// A figure that each witness has: name, type and help of the metric, and the value.
struct WitnessFigure {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&WitnessStatus) -> u64,
}

const WITNESS_FIGURES: [WitnessFigure; 10] = [
    WitnessFigure {
        name: "ledger_witness_up",
        kind: "gauge",
        help: "Whether the last answer of the witness was a cosignature.",
        value: |witness| u64::from(witness.trouble.is_none() && witness.cosigned.is_some()),
    },
    WitnessFigure {
        name: "ledger_witness_slow",
        kind: "gauge",
        help: "Whether the witness answers, but takes longer than two seconds.",
        value: |witness| u64::from(matches!(witness.standing(), Standing::Slow(_))),
    },
    WitnessFigure {
        name: "ledger_witness_claims",
        kind: "gauge",
        help: "Whether the witness says that there is another head of the log.",
        value: |witness| u64::from(witness.claim.is_some()),
    },
    WitnessFigure {
        name: "ledger_witness_convicted",
        kind: "gauge",
        help: "Whether evidence convicts the witness, so that it counts for no quorum.",
        value: |witness| u64::from(witness.convicted.is_some()),
    },
    WitnessFigure {
        name: "ledger_witness_rolled_back_total",
        kind: "counter",
        help: "How often the witness went back to a smaller head since the node started.",
        value: |witness| witness.rollbacks,
    },
    WitnessFigure {
        name: "ledger_witness_wait_seconds",
        kind: "gauge",
        help: "How long the request under way has waited for its answer.",
        value: |witness| witness.waiting().map_or(0, |waiting| waiting.as_secs()),
    },
    WitnessFigure {
        name: "ledger_witness_cosigned_size",
        kind: "gauge",
        help: "The size that the witness cosigned last.",
        value: |witness| witness.cosigned.map_or(0, |(size, _)| size.get()),
    },
    WitnessFigure {
        name: "ledger_witness_latency_microseconds",
        kind: "gauge",
        help: "How long the last cosignature took.",
        value: |witness| witness.took.map_or(0, |took| took.as_micros() as u64),
    },
    WitnessFigure {
        name: "ledger_witness_cosignatures_total",
        kind: "counter",
        help: "Cosignatures since the node started.",
        value: |witness| witness.cosignatures,
    },
    WitnessFigure {
        name: "ledger_witness_failures_total",
        kind: "counter",
        help: "Requests that brought no cosignature since the node started.",
        value: |witness| witness.failures,
    },
];

fn render(
    signed: Option<u64>,
    published: Option<u64>,
    (waited, missing): (u64, u64),
    witnesses: &[WitnessStatus],
) -> String {
    let mut text = String::new();
    let mut one = |name: &str, help: &str, value: u64| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    };
    one("ledger_signed_size", "Entries under the head signed last.", signed.unwrap_or(0));
    one("ledger_published_size", "Entries that readers see.", published.unwrap_or(0));
    one("ledger_quorum_wait_seconds", "How long a signed head has waited for its quorum.", waited);
    one(
        "ledger_unconfirmed_witnesses",
        "Witnesses for which the log waits before its first signature.",
        missing,
    );
    for WitnessFigure { name, kind, help, value } in WITNESS_FIGURES {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for witness in witnesses {
            let label = witness.name.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(text, "{name}{{witness=\"{label}\"}} {}", value(witness));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_name_can_neither_add_lines_nor_hide() {
        let status = WitnessStatus {
            name: "w1\nok\u{202e}\u{85}".into(),
            contact: Some("http://w1.test".into()),
            failures: 1,
            trouble: Some(("it said\nok".into(), 7)),
            ..WitnessStatus::default()
        };
        let expected = "\nwitness w1\\nok\\u{202e}\\u{85}: silent for 5 s";
        assert_eq!(troubled(&[status], 12), expected);
    }
}
