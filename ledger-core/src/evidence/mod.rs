//! Evidence: a file that convicts, or it is not evidence.
//!
//! A `ledger-evidence/v1` file holds what somebody signed and why nobody honest signs it. Whoever
//! knows the log's key, or the statement of its charter, judges it alone and offline:
//! [`ClaimedEvidence::parse`], then [`ClaimedEvidence::verify`].
//!
//! # The file
//! One JSON object, printed in one way: the members in the order below, indented by two blanks, one
//! newline at the end. Any other spelling, and any member that is not listed, is refused, so that
//! equal evidence has equal bytes and its SHA-256 is its [name](EvidenceId). Notes are strings,
//! hashes are base64, indices are numbers. Each head carries exactly one signature line, the one
//! that convicts.
//!
//! | `type` | members after `format` and `type` | what convicts |
//! |---|---|---|
//! | `same-size` | `a`, `b` | two heads of one size with two roots; `a` has the smaller root |
//! | `split-history` | `a`, `b`, `root`, `proof` | heads of sizes m < n, m at least 1; `proof` is a consistency proof from (m, `root`) to `b`, and `root` is not that of `a` |
//! | `bad-empty` | `head` | a head of size 0 whose root is not the empty tree's |
//! | `unlawful-leaf` | `record`, `bundle` | the record is in the tree of the bundle's checkpoint, and the rules there refuse it, or its line names an older governance entry than the latest before it |
//! | `time-reversal` | `head`, `charter`, `first`, `second` | the second leaf's time lies before the first leaf's |
//! | `duplicate-leaf` | `head`, `charter`, `first`, `second` | both leaves are one statement |
//! | `cosigner` | `of`, then the members of the type that `of` names, one of the first three | one cosigner signed all heads |
//!
//! `a`, `b`, `head`: checkpoints. `charter`, `first`, `second`: objects `index`, `entry`, `proof`
//! as in an authority bundle, `charter` at index 0. `bundle`: an authority bundle. Last in any of
//! them may stand `authority`: 1 to [`MAX_AUTHORITY`] authority bundles, each about its own last
//! governance entry, their checkpoints without lines of others than the log's keys.
//!
//! # Who is convicted
//! A key that signed both sides. A log may have several keys, and a key that was retired may be in
//! the hands of a thief; so two sides by two keys convict the log only where the judge knows both
//! keys to be in force ([`Trust::with_log`]), and it then is said that one of the two signed
//! falsely. Under an anchor alone they convict nobody, but for one case: if one of the keys is
//! shown to have signed a head over its own retirement, any other head of its that is large enough
//! to hold that retirement convicts it, and it alone. An honest log therefore signs the first head
//! that holds a change of its keys with the old keys and the new, and with a retired key nothing
//! further: whoever then forks it must contradict that head, with one key.

mod chain;
mod conflict;
mod conviction;
mod error;
mod exclusions;
mod file;
mod judge;
mod leaves;
mod make;
mod replays;
mod trust;
mod verdict;

use std::fmt;

use crate::authority::AuthorityBundle;
use crate::checkpoint::ClaimedCheckpoint;
use crate::hash::{Hash, ParseHashError};
use crate::note::{Algorithm, PublicKey, Signature, VerifierKey};
use crate::record::Record;

pub(crate) use chain::ProvenKeys;
pub use chain::vouching;
pub use conflict::{Conflict, Heads, NoConflict};
pub use conviction::{Conviction, Culprit};
pub use error::{EvidenceError, ParseEvidenceError};
pub use exclusions::Exclusions;
pub use leaves::{LeafPair, LeafRule, Leaves, NoBreach};
pub use make::Case;
pub use trust::{Entries, Trust};
pub use verdict::{JUDGE, Verdict};

/// What the member `format` says.
pub const FORMAT: &str = "ledger-evidence/v1";

/// Bytes of the largest file: the largest authority bundle, and room for what stands around it.
pub const MAX_EVIDENCE_BYTES: usize = crate::authority::MAX_BUNDLE_BYTES + (1 << 20);

/// Bundles in the member `authority`: one a change of the log's keys, and a few more.
pub const MAX_AUTHORITY: usize = 8;

/// An evidence file, well formed and in its one spelling; nobody is known to have signed it.
///
/// What can be seen without keys has been checked: the heads contradict each other, the leaves
/// are in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvidence {
    claim: ClaimShape,
    authority: Vec<AuthorityBundle>,
    text: String,
    id: EvidenceId,
}

/// The name of an evidence file: SHA-256 of its bytes, 64 lower-case hex digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceId(Hash);

/// What a file claims. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ClaimShape {
    /// A log signed heads that contradict each other.
    Log(Conflict),
    /// A cosigner did.
    Cosigner(Conflict),
    /// A leaf that the log's rules refuse.
    UnlawfulLeaf { record: Box<Record>, bundle: AuthorityBundle },
    /// Leaves that no lawful log holds together.
    Leaves(Box<LeafPair>),
}

impl ClaimedEvidence {
    /// The name of these bytes.
    pub fn id(&self) -> EvidenceId {
        self.id
    }

    /// The file's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The member `type`.
    pub fn kind(&self) -> &'static str {
        match &self.claim {
            ClaimShape::Log(conflict) => file::name_of(conflict),
            ClaimShape::Cosigner(_) => file::COSIGNER,
            ClaimShape::UnlawfulLeaf { .. } => file::UNLAWFUL_LEAF,
            ClaimShape::Leaves(pair) => file::name_of_rule(pair.rule()),
        }
    }

    /// The log that the file is about: the origin line of its heads.
    pub fn origin(&self) -> &str {
        match &self.claim {
            ClaimShape::Log(conflict) | ClaimShape::Cosigner(conflict) => conflict.origin(),
            ClaimShape::UnlawfulLeaf { bundle, .. } => {
                bundle.proof().checkpoint.checkpoint().origin().as_str()
            }
            ClaimShape::Leaves(pair) => pair.head().checkpoint().origin().as_str(),
        }
    }

    /// The heads by which it convicts a log, if it does by heads.
    pub(crate) fn conflict_of_log(&self) -> Option<&Conflict> {
        match &self.claim {
            ClaimShape::Log(conflict) => Some(conflict),
            _ => None,
        }
    }

    /// Whether this public key signed any of its heads, as what the file accuses, under whatever
    /// name: a key may have signed as two logs.
    pub(crate) fn is_signed_with(&self, public: &PublicKey) -> bool {
        let uses: &[Algorithm] = match &self.claim {
            ClaimShape::Cosigner(_) => &[Algorithm::CosignatureV1, Algorithm::MlDsa44],
            _ => &[Algorithm::Ed25519],
        };
        let signed = |head: &ClaimedCheckpoint| {
            let names = head.note().signatures().iter().map(Signature::name);
            names.flat_map(|name| uses.iter().map(move |usage| (name, *usage))).any(
                |(name, usage)| {
                    let key = VerifierKey::new(name.clone(), usage, public.as_bytes());
                    key.is_ok_and(|key| match usage {
                        Algorithm::Ed25519 => judge::line_of_log(head, &key).is_some(),
                        _ => judge::line_of_cosigner(head, &key).is_some(),
                    })
                },
            )
        };
        match &self.claim {
            ClaimShape::Log(conflict) | ClaimShape::Cosigner(conflict) => {
                conflict.heads().into_iter().any(signed)
            }
            ClaimShape::UnlawfulLeaf { bundle, .. } => signed(&bundle.proof().checkpoint),
            ClaimShape::Leaves(pair) => signed(pair.head()),
        }
    }

    /// The bundles that it carries to prove whose keys are whose.
    pub fn authority(&self) -> &[AuthorityBundle] {
        &self.authority
    }
}

impl fmt::Display for ClaimedEvidence {
    /// Prints the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl EvidenceId {
    /// Reads 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`ParseHashError::Hex`] for any other text.
    pub fn from_hex(text: &str) -> Result<EvidenceId, ParseHashError> {
        Hash::from_hex(text).map(EvidenceId)
    }

    /// The name of the file with this digest.
    pub const fn from_hash(hash: Hash) -> EvidenceId {
        EvidenceId(hash)
    }

    /// The digest.
    pub const fn as_hash(&self) -> &Hash {
        &self.0
    }
}

impl std::str::FromStr for EvidenceId {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<EvidenceId, ParseHashError> {
        EvidenceId::from_hex(text)
    }
}

impl fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(all(test, feature = "sign"))]
mod handover;

#[cfg(all(test, feature = "sign"))]
mod rotation;

#[cfg(all(test, feature = "sign"))]
mod sample;

#[cfg(all(test, feature = "sign"))]
mod soundness;

#[cfg(all(test, feature = "sign"))]
mod tests;

#[cfg(all(test, feature = "sign"))]
mod work_tests;
