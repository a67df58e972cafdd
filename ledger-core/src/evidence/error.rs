//! Why a file is no evidence.

use crate::Hint;
use crate::authority::{AuthorityError, ParseBundleError};
use crate::charter::Rejection;
use crate::checkpoint::ParseCheckpointError;
use crate::merkle::ParseProofError;
use crate::record::{JsonError, RecordError, StatementId};

use super::{FORMAT, MAX_AUTHORITY, MAX_EVIDENCE_BYTES, NoBreach, NoConflict};

/// Why bytes are not an evidence file: the fault of whoever made them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseEvidenceError {
    /// Longer than any evidence.
    #[error("longer than {MAX_EVIDENCE_BYTES} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("evidence is UTF-8; the byte at offset {0} is not")]
    NotUtf8(usize),
    /// Not one JSON object of our rules.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Another format.
    #[error("`format` is not \"{FORMAT}\"")]
    Format,
    /// A type that this version does not know.
    #[error("`type` is {0:?}, which this version does not know")]
    Type(String),
    /// A member is missing or of another shape.
    #[error("`{0}` is missing or not what this type of evidence has there")]
    Member(&'static str),
    /// A member that the type does not have.
    #[error("`{0}` is no member of this type of evidence")]
    UnknownMember(String),
    /// A member is no checkpoint.
    #[error("`{member}`: {error}")]
    Checkpoint {
        /// The member.
        member: &'static str,
        /// What is wrong.
        error: ParseCheckpointError,
    },
    /// The consistency proof is none.
    #[error("`proof`: {0}")]
    Proof(ParseProofError),
    /// The record is none.
    #[error("`record`: {0}")]
    Record(RecordError),
    /// A member is no authority bundle, or no entry of one.
    #[error("`{member}`: {error}")]
    Bundle {
        /// The member.
        member: &'static str,
        /// What is wrong.
        error: ParseBundleError,
    },
    /// More bundles than anybody needs, or an empty list.
    #[error("`authority` holds 1 to {MAX_AUTHORITY} bundles")]
    Authority,
    /// A head has several signature lines.
    #[error("`{0}` has more than one signature line: evidence carries only the line that convicts")]
    Lines(&'static str),
    /// The heads agree with each other.
    #[error(transparent)]
    NoConflict(#[from] NoConflict),
    /// The leaves break no rule.
    #[error(transparent)]
    NoBreach(#[from] NoBreach),
    /// Another spelling of what it says.
    #[error("not in the one spelling that evidence has, from offset {0} on")]
    Spelling(usize),
}

/// Why well-formed evidence convicts nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Nobody is trusted for the log or the cosigner that the file is about.
    #[error("no key that you know, and none that the file proves, signed the head of {origin:?}")]
    UnknownKey {
        /// The log.
        origin: String,
    },
    /// The heads are by two keys, and which of them is to blame nobody can tell.
    #[error("the heads are signed by two keys of {origin:?}, which are not known to be in force")]
    TwoKeys {
        /// The log.
        origin: String,
    },
    /// Cosignatures by two cosigners.
    #[error("the heads are cosigned by two keys: neither contradicts itself")]
    TwoCosigners,
    /// The file begins with another charter than the one that is trusted.
    #[error("the charter is {found}, not the anchor {anchor}")]
    OtherAnchor {
        /// What is trusted.
        anchor: StatementId,
        /// What the file holds.
        found: StatementId,
    },
    /// Entry 0 is no lawful charter, so that the log need not be a ledger.
    #[error("entry 0 is no charter that binds this log: {0}")]
    Charter(Rejection),
    /// Entry 0 is the charter of another log.
    #[error("entry 0 is the charter of the log {found:?}, the head is of {origin:?}")]
    OtherCharter {
        /// The head's origin.
        origin: String,
        /// The charter's.
        found: String,
    },
    /// A bundle's checkpoint has a line that is not by one of the log's keys.
    #[error("a bundle's checkpoint is not signed by the log's keys alone")]
    BundleSignature,
    /// A bundle's proof is of something else than its last governance entry.
    #[error("a bundle of `authority` is not about its own last governance entry")]
    BundleNotPinned,
    /// A bundle does not hold.
    #[error("the authority bundle: {0}")]
    Authority(#[from] AuthorityError),
    /// The leaf is lawful, as far as the bundle shows.
    #[error("the rules allow this leaf: it convicts nobody")]
    Lawful,
    /// The head carries lines that its cosignature does not cover.
    #[error("the cosigner's signature does not cover the head's extension lines")]
    NotCovered,
}

impl Hint for ParseEvidenceError {
    fn hint(&self) -> &'static str {
        match self {
            ParseEvidenceError::Type(_) => "use a newer version of this program",
            ParseEvidenceError::NoConflict(_) | ParseEvidenceError::NoBreach(_) => {
                "it accuses without a reason: throw it away"
            }
            _ => "the file was altered or cut: get it again from whoever holds it",
        }
    }
}

impl EvidenceError {
    /// Whether a judge who knows other keys may judge otherwise; the file itself need not be wrong.
    pub fn depends_on_judge(&self) -> bool {
        matches!(
            self,
            EvidenceError::UnknownKey { .. }
                | EvidenceError::TwoKeys { .. }
                | EvidenceError::OtherAnchor { .. }
                | EvidenceError::Authority(AuthorityError::OtherAnchor { .. })
        )
    }
}

impl Hint for EvidenceError {
    fn hint(&self) -> &'static str {
        match self {
            EvidenceError::UnknownKey { .. } => {
                "give the log's or the cosigner's key with --vkey, or a policy; under --anchor alone \
                 the file must carry authority bundles, or add --charter FILE"
            }
            EvidenceError::TwoKeys { .. } => {
                "give both keys with --vkey if you know that both are in force; otherwise look for \
                 a head that one of them signed twice"
            }
            EvidenceError::OtherAnchor { .. } | EvidenceError::OtherCharter { .. } => {
                "it is about another log, or one that pretends: check the anchor"
            }
            EvidenceError::Authority(AuthorityError::TooMuch) => {
                "ask for evidence with fewer bundles; it may convict by a key: --vkey"
            }
            EvidenceError::Authority(error) => error.hint(),
            EvidenceError::Lawful | EvidenceError::TwoCosigners => {
                "it accuses without a reason: throw it away"
            }
            _ => "the file was altered or forged: do not pass it on",
        }
    }
}
