//! What evidence proves.

use std::fmt;

use crate::index::LeafIndex;
use crate::note::VerifierKey;

/// Who did what. Only [`ClaimedEvidence::verify`](super::ClaimedEvidence::verify) makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conviction {
    pub(super) kind: &'static str,
    pub(super) culprit: Culprit,
    pub(super) explanation: String,
}

/// Whom evidence convicts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Culprit {
    /// A log, by these of its keys: one, which signed everything; or two that the judge knew to be
    /// in force, one of which signed falsely.
    Log {
        /// The log's name.
        origin: String,
        /// The keys.
        keys: Vec<VerifierKey>,
    },
    /// A key that signed for a log after it was retired: neither the log nor its other keys.
    RetiredKey {
        /// The log's name.
        origin: String,
        /// The key.
        key: VerifierKey,
        /// The governance entry that retired it.
        at: LeafIndex,
    },
    /// A key that governance names as the log's, where no key of the log has signed a head over
    /// that governance: members may have signed the change without logging it. The log and its
    /// other keys are not convicted.
    UnconfirmedKey {
        /// The log's name.
        origin: String,
        /// The key.
        key: VerifierKey,
        /// The governance entry that names it.
        since: LeafIndex,
    },
    /// A witness or mirror. The log may have misbehaved too, but that is for other evidence to
    /// show.
    Cosigner {
        /// The log whose heads it cosigned.
        origin: String,
        /// Its key.
        key: VerifierKey,
    },
}

impl Conviction {
    /// The type of the evidence, as the file says it.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Who is convicted.
    pub fn culprit(&self) -> &Culprit {
        &self.culprit
    }

    /// What was claimed and why nobody honest signs it: a few sentences on one line.
    pub fn explanation(&self) -> &str {
        &self.explanation
    }

    /// Whether a key is among those convicted.
    pub fn convicts(&self, key: &VerifierKey) -> bool {
        self.culprit.keys().contains(key)
    }
}

impl Culprit {
    /// The log that the evidence is about.
    pub fn origin(&self) -> &str {
        let (Culprit::Log { origin, .. }
        | Culprit::RetiredKey { origin, .. }
        | Culprit::UnconfirmedKey { origin, .. }
        | Culprit::Cosigner { origin, .. }) = self;
        origin
    }

    /// The keys that are convicted.
    pub fn keys(&self) -> &[VerifierKey] {
        match self {
            Culprit::Log { keys, .. } => keys,
            Culprit::RetiredKey { key, .. }
            | Culprit::UnconfirmedKey { key, .. }
            | Culprit::Cosigner { key, .. } => std::slice::from_ref(key),
        }
    }

    /// A word for it: `log`, `retired-key`, `unconfirmed-key` or `cosigner`.
    pub fn role(&self) -> &'static str {
        match self {
            Culprit::Log { .. } => "log",
            Culprit::RetiredKey { .. } => "retired-key",
            Culprit::UnconfirmedKey { .. } => "unconfirmed-key",
            Culprit::Cosigner { .. } => "cosigner",
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Culprit::Log { origin, keys } => match keys.as_slice() {
                [key] => write!(f, "the log {origin}, by its key {key}"),
                keys => {
                    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
                    write!(f, "the log {origin}, by its keys {} between them", keys.join(" and "))
                }
            },
            Culprit::RetiredKey { origin, key, at } => {
                write!(f, "the key {key}, which entry {at} of the log {origin} had retired")
            }
            Culprit::UnconfirmedKey { origin, key, since } => write!(
                f,
                "the key {key}, which entry {since} names for the log {origin} and no key of the \
                 log confirms; the log is not convicted"
            ),
            Culprit::Cosigner { origin, key } => {
                write!(f, "the cosigner {key}, on heads of the log {origin}")
            }
        }
    }
}
