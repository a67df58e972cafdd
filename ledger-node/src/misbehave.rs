//! A node that misbehaves in gossip, for tests: it exists only with the cargo feature `misbehave`.
//!
//! Everything else that the node does stays honest. It begins no rounds of its own.

use std::sync::OnceLock;
use std::time::Duration;

use clap::ValueEnum;
use ledger_proto::v1::gossip_client::GossipClient;
use ledger_proto::v1::{self as wire, gossip_message::Message};
use tonic::transport::Endpoint;

use crate::node::Service;

/// How it misbehaves. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// It sends and answers what is no message.
    Garbage,
    /// It sends and answers again and again what it was told first.
    Replay,
    /// It says the same as [`Kind::Deny`], and asks its peers for more than anybody's share.
    Flood,
    /// It says that it knows nothing else than whoever asks.
    Deny,
}

/// Pauses between messages to one peer.
const PAUSE: Duration = Duration::from_millis(500);
const FLOOD_PAUSE: Duration = Duration::from_millis(10);

static KIND: OnceLock<Kind> = OnceLock::new();
static FIRST: OnceLock<wire::GossipMessage> = OnceLock::new();

/// From now on this process misbehaves.
pub fn begin(kind: Kind) {
    KIND.get_or_init(|| kind);
}

/// Whether it does.
pub(crate) fn is_on() -> bool {
    KIND.get().is_some()
}

/// What is answered in place of the truth, if anything.
pub(crate) fn answer(told: &wire::GossipMessage) -> Option<wire::GossipMessage> {
    match KIND.get()? {
        Kind::Garbage => Some(garbage()),
        Kind::Replay => Some(FIRST.get_or_init(|| told.clone()).clone()),
        Kind::Flood | Kind::Deny => Some(message(Message::Same(wire::GossipSame {}))),
    }
}

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

fn message(message: Message) -> wire::GossipMessage {
    wire::GossipMessage { message: Some(message) }
}

fn garbage() -> wire::GossipMessage {
    message(Message::Lists(wire::GossipLists::default()))
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
