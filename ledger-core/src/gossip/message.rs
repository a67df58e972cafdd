//! What nodes say to each other in a round.

use crate::checkpoint::{ClaimedCheckpoint, Origin};
use crate::evidence::{ClaimedEvidence, EvidenceId, ParseEvidenceError};
use crate::hash::Hash;
use crate::merkle::PrefixProof;

use super::vocabulary::Question;

/// Lines of one [`Message::Lists`]: more logs than a consortium has, in 64 KiB.
pub const MAX_LINES: usize = 4_096;

/// Heads of one message; each costs its receiver a few signature checks.
pub const MAX_HEADS: usize = 256;

/// Bytes of heads after which a message holds no further ones; an ordinary head has some 300.
pub(super) const MAX_HEAD_BYTES: usize = 1 << 20;

/// Evidence named in one message.
pub const MAX_REFS: usize = 1_024;

/// Questions in one message.
pub const MAX_QUESTIONS: usize = 64;

/// Answers in one message, each up to 2 KiB.
pub const MAX_ANSWERS: usize = 64;

/// Bytes of the evidence that a message may carry. Almost all has a few KiB, and with the charter of
/// a large consortium some hundreds; larger files go from hand to hand, as `ledger evidence` does.
pub const MAX_GOSSIP_EVIDENCE_BYTES: usize = 4 << 20;

/// Fresh random bytes, chosen by the asker for one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundSalt(pub [u8; 16]);

/// A salted hash over all that a node knows of all logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundSummary(pub [u8; 16]);

/// A log's name in one round: the salted hash of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogLineId(pub [u8; 8]);

/// A salted hash over what a node knows of one log: heads, who cosigned them, and who is convicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine {
    /// Which log.
    pub log: LogLineId,
    /// Over what is known of it.
    pub state: [u8; 8],
}

/// Evidence that the sender holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvidenceRef {
    /// Its name.
    pub id: EvidenceId,
    /// SHA-256 of a public key that it convicts: whoever has evidence against that key needs no
    /// more.
    pub culprit: Hash,
}

/// An evidence file as it came: only its name is known. Nothing in it is read before that name says
/// that the receiver asked for it, so that no stranger makes a node read a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadEvidence {
    id: EvidenceId,
    bytes: Vec<u8>,
}

/// What somebody shows about a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionAnswer {
    /// The question.
    pub question: Question,
    /// What the larger tree was at the smaller size.
    pub proof: PrefixProof,
}

/// One message. Closed: another version of the protocol has another service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Opens a round.
    Hello {
        /// For this round.
        salt: RoundSalt,
        /// All that the asker knows.
        summary: RoundSummary,
    },
    /// Both know the same.
    Same,
    /// What the answerer knows, a line a log, in the order of the ids.
    Lists {
        /// The salt of the round.
        salt: RoundSalt,
        /// At most [`MAX_LINES`].
        lines: Vec<LogLine>,
    },
    /// Heads, evidence, questions and answers.
    Exchange(Box<Exchange>),
}

/// What one side of a round tells the other. Everything in it is a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The salt of the round.
    pub salt: RoundSalt,
    /// Logs of which the sender wants to hear what the other knows.
    pub about: Vec<LogLineId>,
    /// What it knows of them.
    pub heads: Vec<ClaimedCheckpoint>,
    /// Evidence that it holds.
    pub held: Vec<EvidenceRef>,
    /// Evidence that it asks for.
    pub wants: Vec<EvidenceId>,
    /// One piece of evidence that was asked for.
    pub evidence: Option<UnreadEvidence>,
    /// What it cannot settle.
    pub questions: Vec<Question>,
    /// What it can show about the other's questions.
    pub answers: Vec<QuestionAnswer>,
}

impl UnreadEvidence {
    /// Takes a file without reading it; `None` above [`MAX_GOSSIP_EVIDENCE_BYTES`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<UnreadEvidence> {
        let bytes = bytes.into();
        let fits = bytes.len() <= MAX_GOSSIP_EVIDENCE_BYTES;
        fits.then(|| UnreadEvidence { id: EvidenceId::from_hash(Hash::digest(&bytes)), bytes })
    }

    /// The file of this evidence, if messages can carry it.
    pub fn of(evidence: &ClaimedEvidence) -> Option<UnreadEvidence> {
        let text = evidence.as_str();
        let bytes = || text.as_bytes().to_vec();
        can_carry(evidence).then(|| UnreadEvidence { id: evidence.id(), bytes: bytes() })
    }

    /// The name of these bytes.
    pub fn id(&self) -> EvidenceId {
        self.id
    }

    /// The file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the file.
    pub(super) fn read(&self) -> Result<ClaimedEvidence, ParseEvidenceError> {
        ClaimedEvidence::parse(&self.bytes)
    }
}

/// Whether a message can carry this evidence.
pub(super) fn can_carry(evidence: &ClaimedEvidence) -> bool {
    evidence.as_str().len() <= MAX_GOSSIP_EVIDENCE_BYTES
}

impl Exchange {
    /// Says nothing yet.
    pub fn new(salt: RoundSalt) -> Exchange {
        Exchange {
            salt,
            about: Vec::new(),
            heads: Vec::new(),
            held: Vec::new(),
            wants: Vec::new(),
            evidence: None,
            questions: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Whether it would tell or ask the other side nothing.
    pub fn is_empty(&self) -> bool {
        *self == Exchange::new(self.salt)
    }

    /// Whether it keeps the limits of this module.
    pub(super) fn fits(&self) -> bool {
        self.about.len() <= MAX_LINES
            && self.heads.len() <= MAX_HEADS
            && self.held.len() <= MAX_REFS
            && self.wants.len() <= MAX_REFS
            && self.questions.len() <= MAX_QUESTIONS
            && self.answers.len() <= MAX_ANSWERS
    }

    /// What it costs its receiver in units of about one signature check: checks and hashing, and
    /// looking up what it names.
    pub(super) fn cost(&self) -> u32 {
        let checks = 2 * self.heads.len() + self.answers.len() + self.questions.len();
        let names = self.held.len() / 16 + self.wants.len() / 4 + self.about.len() / 64;
        let evidence = self.evidence.as_ref().map_or(0, evidence_units);
        u32::try_from(checks + names + evidence).unwrap_or(u32::MAX)
    }
}

/// What it costs to carry and to judge a piece of evidence.
pub(super) fn evidence_units(evidence: &UnreadEvidence) -> usize {
    8 + evidence.bytes.len() / 4_096
}

impl RoundSalt {
    /// The name of a log in this round.
    pub(super) fn line_id(self, origin: &Origin) -> LogLineId {
        let hash = Hash::digest(&[&self.0, origin.as_str().as_bytes()].concat());
        LogLineId(*hash.as_bytes().first_chunk().expect("32 bytes"))
    }
}
