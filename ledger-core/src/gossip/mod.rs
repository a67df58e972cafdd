//! Gossip: what a node makes of the heads, proofs and evidence that others show it.
//!
//! A [`View`] is everything that one node knows of all logs. It is a pure step: whatever is heard
//! is an argument, and the [`Event`]s that follow from it are the result. Clocks, sockets, disks
//! and the choice of peers are the caller's.
//!
//! # What a view holds of a log
//! One **adopted** head, the largest that is proven to have grown out of all that were adopted
//! before; and the **open** heads: each validly signed by the log, and so far proven neither to lie
//! on the adopted head's history nor to contradict it. Two heads that contradict each other by
//! themselves (one size, two roots) become evidence at once. For any other pair [`View::questions`]
//! says what has to be shown, and a [`Beginning`](crate::merkle::PrefixProof) from anybody settles
//! it: the heads agree, or there is evidence. Open heads that are shown to lie on one history are
//! held, and passed on, as the largest of them. A head that stays open for [`PATIENCE_ROUNDS`]
//! raises the alarm [`LogStanding::Unreconciled`]: nobody is convicted, but the log is not cosigned
//! any more until the question is settled. Of a log that was convicted the heads that convicted it
//! stay, so that whoever cosigned both is convicted too, whenever the cosignatures come.
//!
//! Open heads are passed on like adopted ones. So whoever holds the tiles of the larger tree hears
//! of the smaller head, and all nodes that are connected come to know the same heads.
//!
//! # A round
//! | from | message | says |
//! |---|---|---|
//! | asker | [`Message::Hello`] | one salted hash over all that it knows |
//! | answerer | [`Message::Same`] | nothing differs: the round is over |
//! | answerer | [`Message::Lists`] | one short line a log |
//! | asker | [`Message::Exchange`] | its heads, evidence and questions for the lines that differ |
//! | answerer | [`Message::Exchange`] | its own for these, and answers |
//!
//! and so on, at most [`MAX_LEGS`] messages by the asker. Between messages the answerer remembers
//! nothing but the evidence that it asked for. The salt is fresh in every round, so that no log can
//! prepare heads whose lines collide.

mod confirmed;
mod convicting_heads;
mod exchange;
mod log_state;
mod message;
mod pairs;
mod peer_budget;
mod verified_head;
mod view;
mod vocabulary;

pub use exchange::{PrefixProver, Round, RoundStep};
pub use message::{
    EvidenceRef, Exchange, LogLine, LogLineId, MAX_ANSWERS, MAX_GOSSIP_EVIDENCE_BYTES, MAX_HEADS,
    MAX_LINES, MAX_QUESTIONS, MAX_REFS, Message, QuestionAnswer, RoundSalt, RoundSummary,
    UnreadEvidence,
};
pub use peer_budget::{Moment, PeerBudget};
pub use view::View;
pub use vocabulary::{
    Event, FalseSignature, HeadSource, KnownKeys, Lineage, LogStanding, LogStatus, Pairs,
    PeerFault, Question, Reachability,
};

/// Rounds that a head may stay open before the alarm is raised: in these, all nodes that are
/// connected have heard of it, and whoever can fetch the larger tree has been asked.
pub const PATIENCE_ROUNDS: u32 = 4;

/// Open heads of one log that others bring who ask; there are as many places for what the node
/// reads itself or hears from peers that it asks, and for what its own witness cosigned
/// ([`HeadSource`]). The first that were heard stay: a log cannot push out what convicts it by signing
/// more, and strangers cannot take the places of peers.
pub const MAX_OPEN: usize = 8;

/// Heads kept that are proven to lie on the adopted head's history: a head that was heard before is
/// known again, and another root at one of these sizes is evidence at once.
pub const MAX_PATH: usize = 32;

/// Proofs kept of one log, for peers that come the same way a little later.
pub const MAX_KEPT_PROOFS: usize = 8;

/// Questions asked about one pair of histories beside that about their ends.
const MAX_NEIGHBOURS: usize = 8;

/// Messages that the asker sends in one round, while the other side sends evidence: each holds one
/// piece at most.
pub const MAX_LEGS: usize = 24;

/// Messages that the asker sends in one round otherwise.
const MAX_TALK: usize = 6;

#[cfg(all(test, feature = "sign"))]
mod tests;
