//! A node that misbehaves in gossip, for tests: it exists only with the cargo feature `misbehave`.
//!
//! Everything else that the node does stays honest. It begins no rounds of its own.

mod pester;

use std::sync::OnceLock;

use clap::ValueEnum;
use ledger_proto::v1::{self as wire, gossip_message::Message};

pub use pester::pester;

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

fn message(message: Message) -> wire::GossipMessage {
    wire::GossipMessage { message: Some(message) }
}

fn garbage() -> wire::GossipMessage {
    message(Message::Lists(wire::GossipLists::default()))
}
