//! How the node stands with all others, for people and for monitoring.

use ledger_core::evidence::{Conviction, EvidenceId};
use ledger_core::gossip::{LogStanding, LogStatus, Moment};

use super::Gossip;
use super::peers::{CallerStatus, Peer};

/// Seconds after which the newest cosignature of a head is called stale: logs of ours have their
/// heads cosigned again every quarter of an hour, and readers commonly ask for an hour.
const STALE_AFTER: u64 = 3_600;

/// Counters since the node started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Rounds that this node began and that went well.
    pub met: u64,
    /// Of these, those in which nothing differed of what both know.
    pub idle: u64,
    /// Rounds that this node began and that failed.
    pub failed: u64,
    /// Messages of other nodes that were answered.
    pub answered: u64,
    /// Messages that were turned away.
    pub refused: u64,
    /// Faults of others.
    pub faults: u64,
    /// Bytes of messages that this node sent, as they are before transport.
    pub sent: u64,
    /// Bytes of messages that it received.
    pub received: u64,
}

/// How the node stands with all others.
#[derive(Debug)]
pub struct GossipStatus {
    /// The logs that it knows.
    pub logs: Vec<LogStatus>,
    /// The peers that it asks.
    pub peers: Vec<Peer>,
    /// Callers that it does not listen to for now, or that ask for more than their share, by their
    /// [names](CallerStatus::name): never by their addresses.
    pub limited: Vec<(String, CallerStatus)>,
    /// Counters.
    pub figures: Figures,
    /// What the evidence that it holds proves here.
    pub convictions: Vec<(EvidenceId, Conviction)>,
    /// Files of evidence that it holds.
    pub evidence: usize,
    /// The moment of all this, by which conduct is judged.
    pub now: Moment,
}

/// How a log stands, in one word. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogWord {
    /// Nothing speaks against it.
    Good,
    /// Nobody known has cosigned its adopted head for long.
    Stale,
    /// It signed heads that nobody could show to belong together.
    Unreconciled,
    /// Evidence convicts every key that is known for it.
    Convicted,
}

/// How a peer does, in one word. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// The last round with it went well.
    Up,
    /// No round with it has ended yet.
    New,
    /// The last round with it failed.
    Silent,
    /// It lied, and is left alone.
    Limited,
}

impl LogWord {
    /// All of them.
    pub const ALL: [LogWord; 4] =
        [LogWord::Good, LogWord::Stale, LogWord::Unreconciled, LogWord::Convicted];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            LogWord::Good => "good",
            LogWord::Stale => "stale",
            LogWord::Unreconciled => "unreconciled",
            LogWord::Convicted => "convicted",
        }
    }
}

impl PeerState {
    /// All of them.
    pub const ALL: [PeerState; 4] =
        [PeerState::Up, PeerState::New, PeerState::Silent, PeerState::Limited];

    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            PeerState::Up => "up",
            PeerState::New => "new",
            PeerState::Silent => "silent",
            PeerState::Limited => "limited",
        }
    }

    /// How a peer does at a moment.
    pub fn of(peer: &Peer, now: Moment) -> PeerState {
        match (&peer.trouble, peer.met) {
            _ if peer.budget.is_limited(now) => PeerState::Limited,
            (Some(_), _) => PeerState::Silent,
            (None, Some(_)) => PeerState::Up,
            (None, None) => PeerState::New,
        }
    }
}

impl Gossip {
    /// How the node stands with all others.
    pub fn status(&self) -> GossipStatus {
        let logs = self.lock().view.status();
        let now = self.now();
        let peers = self.peers();
        let limited =
            peers.limited(now).map(|(sender, caller)| (caller.name(sender), caller.clone()));
        let limited = limited.collect();
        let asked = peers.asked().to_vec();
        drop(peers);
        let (figures, evidence) = (*self.figures(), self.evidence.count());
        let convictions = self.evidence.convictions();
        GossipStatus { logs, peers: asked, limited, figures, convictions, evidence, now }
    }

    /// Counts a message of another node, and the answer.
    pub fn count_bytes(&self, received: usize, sent: usize) {
        let mut figures = self.figures();
        figures.received += received as u64;
        figures.sent += sent as u64;
    }

    /// How a log stands, in one word.
    pub fn state(&self, log: &LogStatus) -> LogWord {
        match log.standing {
            LogStanding::Convicted(_) => LogWord::Convicted,
            LogStanding::Unreconciled(_) => LogWord::Unreconciled,
            _ if self.is_stale(log) => LogWord::Stale,
            _ => LogWord::Good,
        }
    }

    /// Whether nobody known has cosigned a log's adopted head for so long that something is wrong.
    fn is_stale(&self, log: &LogStatus) -> bool {
        let now = self.clock.now();
        log.cosigned_at.is_some_and(|at| now.saturating_sub(at) > STALE_AFTER)
    }
}
