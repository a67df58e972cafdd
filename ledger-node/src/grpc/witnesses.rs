//! How the log's own witnesses are doing, over the wire.

use std::time::Duration;

use ledger_proto::v1 as wire;

use crate::publisher::board::{Standing, WitnessStatus};
use crate::service::Service;

/// All witnesses of the policy in force.
pub fn show(service: &Service) -> wire::GetWitnessesResponse {
    let signed = service.signed.borrow();
    let signed_size = signed.as_ref().map(|signed| signed.head.checkpoint().head().size.get());
    let published = service.current().ok();
    wire::GetWitnessesResponse {
        witnesses: service.board.statuses().into_iter().map(status).collect(),
        signed_size,
        published_size: published.map(|published| published.size().get()),
        waits_for: service.board.waits_for().map_or_else(Vec::new, |waits| waits.missing),
    }
}

fn status(status: WitnessStatus) -> wire::WitnessStatus {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let (waiting, standing) = (status.waiting(), status.standing());
    let (clock_ahead, back) = (status.clock_offset(), status.rolled_back);
    let (trouble, since) = status.trouble.unzip();
    let convicted_by = status.convicted.map(|id| id.to_string()).unwrap_or_default();
    wire::WitnessStatus {
        name: status.name,
        vkey: status.vkey,
        contact: status.contact.unwrap_or_default(),
        cosigned_size: status.cosigned.map(|(size, _)| size.get()),
        cosigned_at: status.cosigned.map(|(_, time)| time),
        took_us: status.took.map(micros),
        cosignatures: status.cosignatures,
        failures: status.failures,
        trouble: trouble.unwrap_or_default(),
        trouble_since: since,
        waiting_us: waiting.map(micros),
        slow: matches!(standing, Standing::Slow(_)),
        claims: status.claim.is_some(),
        rolled_back_from: back.map(|back| back.from.get()),
        rolled_back_to: back.map(|back| back.to.get()),
        rolled_back_at: back.map(|back| back.at),
        clock_ahead,
        convicted_by,
    }
}
