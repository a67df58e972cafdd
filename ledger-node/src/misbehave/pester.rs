//! What a misbehaving node sends to its peers.

use crate::service::Service;
use ledger_proto::v1::gossip_client::GossipClient;
use ledger_proto::v1::{self as wire, gossip_message::Message};
use std::time::Duration;
use tonic::transport::Endpoint;

use super::{FIRST, KIND, Kind, garbage, message};

/// Pauses between messages to one peer.
const PAUSE: Duration = Duration::from_millis(500);

const FLOOD_PAUSE: Duration = Duration::from_millis(10);

/// Misbehaves towards the node's peers, if it does at all.
pub fn pester(service: &Service) {
    for peer in service.gossip.status().peers {
        if let Ok(endpoint) = Endpoint::from_shared(peer.url) {
            tokio::spawn(tell(GossipClient::new(endpoint.connect_lazy())));
        }
    }
}

async fn tell(mut client: GossipClient<tonic::transport::Channel>) {
    loop {
        let (told, pause) = match KIND.get() {
            Some(Kind::Garbage) => (Some(garbage()), PAUSE),
            Some(Kind::Replay) => (FIRST.get().cloned(), PAUSE),
            Some(Kind::Flood) => (Some(costly()), FLOOD_PAUSE),
            Some(Kind::Deny) | None => return,
        };
        if let Some(told) = told {
            // whatever comes of it
            let _ = client.tell(told).await;
        }
        tokio::time::sleep(pause).await;
    }
}

/// As many questions as a message may hold, about a log that nobody knows.
fn costly() -> wire::GossipMessage {
    let question = wire::GossipQuestion {
        origin: "unknown.example/log".to_owned(),
        smaller_root: vec![0; 32].into(),
        larger_root: vec![0; 32].into(),
        ..wire::GossipQuestion::default()
    };
    message(Message::Exchange(wire::GossipExchange {
        salt: vec![0; 16].into(),
        questions: vec![question; 64],
        ..wire::GossipExchange::default()
    }))
}
