//! Whose keys a judge of evidence knows.

use crate::note::{Algorithm, VerifierKey};
use crate::policy::Policy;
use crate::record::StatementId;

/// What a judge knows beforehand: keys of logs and cosigners, or the statement of a charter.
///
/// A key that is given here is taken for what it is given as; evidence never makes anybody a party
/// who is not proven to be one.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub(super) logs: Vec<LogKey>,
    pub(super) cosigners: Vec<VerifierKey>,
    pub(super) anchors: Vec<StatementId>,
}

/// A key of a log, and what the judge knows of that log's entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogKey {
    pub(super) key: VerifierKey,
    pub(super) entries: Entries,
    /// Whether the judge knows the key to be in force: only such keys convict a log together.
    pub(super) in_force: bool,
}

/// What the leaves of a log are. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entries {
    /// Entries of our format: rules about entries bind the log.
    Records,
    /// Anything, perhaps chosen by strangers: only heads can convict the log.
    Opaque,
}

impl Trust {
    /// Knows nobody.
    pub fn new() -> Trust {
        Trust::default()
    }

    /// Knows a key to be in force for the log that it is named after.
    #[must_use]
    pub fn with_log(self, key: VerifierKey, entries: Entries) -> Trust {
        self.with_log_key(LogKey { key, entries, in_force: true })
    }

    /// Knows a key of the log that it is named after, but not whether the log has retired it. The
    /// key convicts alone; with another key it convicts only after [`Trust::with_in_force`].
    #[must_use]
    pub fn with_listed_log(self, key: VerifierKey, entries: Entries) -> Trust {
        self.with_log_key(LogKey { key, entries, in_force: false })
    }

    /// Knows that a key of a log, which is known already, is in force.
    #[must_use]
    pub fn with_in_force(mut self, key: &VerifierKey) -> Trust {
        for own in self.logs.iter_mut().filter(|own| own.key == *key) {
            own.in_force = true;
        }
        self
    }

    fn with_log_key(mut self, log: LogKey) -> Trust {
        if log.key.algorithm() == Algorithm::Ed25519 {
            self.logs.push(log);
        }
        self
    }

    /// Knows a witness's or mirror's key.
    #[must_use]
    pub fn with_cosigner(mut self, key: VerifierKey) -> Trust {
        if key.algorithm() != Algorithm::Ed25519 {
            self.cosigners.push(key);
        }
        self
    }

    /// Knows a key to be what its signature type says: a ledger's, or a cosigner's.
    #[must_use]
    pub fn with_key(self, key: VerifierKey) -> Trust {
        match key.algorithm() {
            Algorithm::Ed25519 => self.with_log(key, Entries::Records),
            _ => self.with_cosigner(key),
        }
    }

    /// Knows the logs of a policy, as ledgers, and its witnesses.
    #[must_use]
    pub fn with_policy(self, policy: &Policy) -> Trust {
        let logs = policy.logs().iter().map(|log| &log.key);
        let witnesses = policy.witnesses().iter().map(|witness| &witness.key);
        logs.chain(witnesses).cloned().fold(self, Trust::with_key)
    }

    /// Knows the charter with this statement id, beside those known before: the keys of its log
    /// follow from the authority bundles that the evidence carries.
    #[must_use]
    pub fn with_anchor(mut self, anchor: StatementId) -> Trust {
        if !self.anchors.contains(&anchor) {
            self.anchors.push(anchor);
        }
        self
    }

    /// The cosigners' keys that were given.
    pub fn cosigners(&self) -> &[VerifierKey] {
        &self.cosigners
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.cosigners.is_empty() && self.anchors.is_empty()
    }

    /// Whether a charter is known. One that is not is no fault of the evidence where keys are known
    /// too: it then has to convict by those.
    ///
    /// # Errors
    /// The anchor that is not this charter, where nothing but anchors is known.
    pub(super) fn knows_charter(&self, charter: StatementId) -> Result<bool, StatementId> {
        let keys = !self.logs.is_empty() || !self.cosigners.is_empty();
        match self.anchors.first() {
            _ if self.anchors.contains(&charter) => Ok(true),
            Some(anchor) if !keys => Err(*anchor),
            _ => Ok(false),
        }
    }
}
