//! The words in which a view speaks with its caller: what it is given, what it asks and what it
//! concludes.

use crate::authority::AuthorityBundle;
use crate::checkpoint::{ClaimedCheckpoint, Origin};
use crate::evidence::{ClaimedEvidence, Entries, EvidenceId};
use crate::merkle::TreeHead;
use crate::note::VerifierKey;
use crate::record::StatementId;

/// What a node is told about a log beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKeys {
    /// The log's name.
    pub origin: Origin,
    /// The keys that may sign its checkpoints.
    pub keys: Vec<VerifierKey>,
    /// The keys that the log's own governance shows to be retired, as far as the caller read it:
    /// they count as those of a [`Lineage`] do.
    pub retired: Vec<VerifierKey>,
    /// Whether two of its keys convict it together.
    pub pairs: Pairs,
    /// Whether the rules of our entries bind it.
    pub entries: Entries,
    /// Whether anybody can be asked about it.
    pub reach: Reachability,
}

/// Whether two keys of a log convict it together. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pairs {
    /// The caller knows all keys to be in force.
    #[default]
    Convict,
    /// One of the keys may be retired: a contradiction by two of them is held until
    /// [`View::settle_pairs`](super::View::settle_pairs).
    Ask,
}

/// What a node knows of the charter of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The charter's statement.
    pub anchor: StatementId,
    /// The keys that entries of the log have retired. Nothing that they sign is adopted any more;
    /// what they signed before stays, and contradicts what they sign now.
    pub retired: Vec<VerifierKey>,
    /// What proves the log's keys and cosigners to whoever knows the anchor alone: evidence carries
    /// it as far as it is needed. May be empty.
    pub authority: Vec<AuthorityBundle>,
}

/// Whether a log's tree can be read anywhere. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reachability {
    /// The node knows where: heads that stay open raise the alarm.
    Somewhere,
    /// The node knows of no place, so that open heads say nothing about the log: they raise no
    /// alarm.
    Nowhere,
}

/// Who told of a head. Each has places of their own. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadSource {
    /// The own witness, which cosigned it.
    OwnWitness,
    /// The log, or a peer that the node asked.
    Fetched,
    /// Somebody who asked the node: anybody.
    Pushed,
}

/// What has to be shown about two heads of a log: whether the tree of the larger one, when it was
/// smaller, had the root of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The log's name.
    pub origin: Origin,
    /// The head of the smaller tree.
    pub smaller: TreeHead,
    /// The head of the larger tree.
    pub larger: TreeHead,
}

/// What followed from something that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A log has a new adopted head: durable knowledge of the node from now on.
    Adopted(ClaimedCheckpoint),
    /// A head is open: [`View::questions`](super::View::questions) says what has to be shown.
    Opened(ClaimedCheckpoint),
    /// A question of this log is settled: the heads belong together.
    Settled(Origin),
    /// A held head of this log has more cosignatures.
    CosignaturesAdded(Origin),
    /// The alarm: heads of this log stay open. It ends with [`Event::Settled`] or
    /// [`Event::Convicted`].
    Unreconciled(Question),
    /// New evidence. To be kept before anybody is answered.
    Convicted(Box<ClaimedEvidence>),
}

/// Whether a log may be cosigned, as far as a view knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogStanding {
    /// Nothing speaks against it.
    Good,
    /// It signed heads that nobody could show to belong together. Holds the question that has been
    /// open longest.
    Unreconciled(Question),
    /// Evidence convicts every key that is known for it.
    Convicted(EvidenceId),
}

/// How a log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStatus {
    /// Its name.
    pub origin: Origin,
    /// The adopted head with the cosignatures that were heard.
    pub adopted: Option<ClaimedCheckpoint>,
    /// When somebody known cosigned that head last, by the cosigner's clock, in POSIX seconds.
    pub cosigned_at: Option<u64>,
    /// The heads that convicted it, as far as somebody known cosigned them.
    pub convicting: Vec<ClaimedCheckpoint>,
    /// Its open heads, each with whether it raises the alarm.
    pub open: Vec<(ClaimedCheckpoint, bool)>,
    /// Whether it may be cosigned.
    pub standing: LogStanding,
}

/// What a peer did that no honest node does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// An answer that does not lead to the larger head.
    #[error("it answered about {0} with a proof that proves nothing")]
    JunkProof(Origin),
    /// More than a message may hold.
    #[error("its message is larger than the protocol allows")]
    TooMuch,
    /// A message that does not belong here in a round.
    #[error("its message does not belong in this place of a round")]
    OutOfTurn,
    /// Evidence that nobody asked for.
    #[error("it sent evidence that it was not asked for")]
    Unasked,
    /// Evidence that does not convict whom the peer said it convicts.
    #[error("it sent {0} as evidence, which is none against whom it named")]
    FalseEvidence(EvidenceId),
}

/// A line that names a known key does not verify by it. Whoever passed it on made it up, or knows
/// another key by the same name and id: ids are short, and whoever names keys can make two for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it passed on a head whose line of {0} does not verify: one of the two knows another key")]
pub struct FalseSignature(pub String);
