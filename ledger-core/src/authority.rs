//! Authority bundles: offline proof that a record's signers were allowed to sign it.
//!
//! A `ledger-authority/v1` file is a JSON object: a tlog-proof of the record, and the log's governance
//! entries from the charter on, each with its inclusion proof under the same checkpoint.
//!
//! ```text
//! {
//!   "format": "ledger-authority/v1",
//!   "governance": [
//!     {"index": 0, "entry": "logged 1795433000 0\nledger-record/v1\n...", "proof": ["<base64>", ...]},
//!     ...
//!   ],
//!   "proof": "c2sp.org/tlog-proof@v1\n..."
//! }
//! ```
//!
//! The record is judged by the state after entry g, which its `logged` line names. Entries behind g
//! may follow: they tell of log keys and policies that came later, and must all stand behind the
//! record, or the log named the wrong g. A bundle that leaves such an entry out cannot be told from
//! an honest one; whoever holds the whole log can.

use std::fmt;

use crate::charter::{Charter, Governance, Rejection, ReplayError};
use crate::index::LeafIndex;
use crate::merkle::{InclusionProof, ParseProofError, VerifyError, verify_inclusion};
use crate::policy::{AcceptedCheckpoint, ParsePolicyError, Policy};
use crate::proof::{ParseTlogProofError, TlogProof, TlogProofError};
use crate::record::{
    Entry, EntryError, JsonError, Kind, Logged, Object, Record, StatementId, Value,
};

/// What the member `format` says.
pub const FORMAT: &str = "ledger-authority/v1";

/// Bytes of the largest bundle: some hundreds of the largest governance entries.
pub const MAX_BUNDLE_BYTES: usize = 32 << 20;

/// A bundle, well formed; nothing in it is checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityBundle {
    governance: Vec<GovernanceEntry>,
    proof: TlogProof,
}

/// A governance entry and its way to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GovernanceEntry {
    /// Where it stands.
    pub index: LeafIndex,
    /// The entry.
    pub entry: Entry,
    /// The way from its leaf to the root of the bundle's checkpoint.
    pub inclusion: InclusionProof,
}

/// A record that is in the log, and whose signers were allowed to sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authorised {
    /// The checkpoint that was accepted.
    pub accepted: AcceptedCheckpoint,
    /// Where the record stands.
    pub index: LeafIndex,
    /// The log's line: its time, and the governance entry that decides.
    pub logged: Logged,
    /// The governance entries up to the one that decides, and the charter that they make.
    pub governance: Governance,
    /// The charter after the bundle's last governance entry.
    pub latest: Charter,
}

/// Why bytes are not an authority bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseBundleError {
    /// Longer than any bundle.
    #[error("longer than {MAX_BUNDLE_BYTES} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("an authority bundle is UTF-8; the byte at offset {0} is not")]
    NotUtf8(usize),
    /// Not one JSON object of our rules.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Another format.
    #[error("`format` is not \"{FORMAT}\"")]
    Format,
    /// A member is missing or of another shape.
    #[error("`{0}` is missing or not what an authority bundle has there")]
    Member(String),
    /// One of the governance entries is none.
    #[error("`governance[{at}].entry`: {error}")]
    Entry {
        /// Its place in the list.
        at: usize,
        /// What is wrong.
        error: EntryError,
    },
    /// One of the inclusion proofs is none.
    #[error("`governance[{at}].proof`: {error}")]
    Inclusion {
        /// Its place in the list.
        at: usize,
        /// What is wrong.
        error: ParseProofError,
    },
    /// The tlog-proof is none.
    #[error("`proof`: {0}")]
    Proof(#[from] ParseTlogProofError),
}

/// Why a bundle does not show that a record's signers were allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The governance entries do not follow from one another.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// Another charter.
    #[error("the bundle begins with the charter {found}, not with the anchor {anchor}")]
    OtherAnchor {
        /// What is trusted.
        anchor: StatementId,
        /// What the bundle begins with.
        found: StatementId,
    },
    /// The charter carries no policy that can be read.
    #[error("the charter's policy: {0}")]
    Policy(#[from] ParsePolicyError),
    /// The record is not proven to be in the log.
    #[error(transparent)]
    Proof(#[from] TlogProofError),
    /// A governance entry is not proven to be in the log.
    #[error("governance entry {index} is not proven to be in the tree: {error}")]
    NotIncluded {
        /// The entry.
        index: LeafIndex,
        /// What is wrong.
        error: VerifyError,
    },
    /// The log is another than the charter's.
    #[error("the checkpoint is of the log {found:?}, the charter of {expected:?}")]
    OtherLog {
        /// The charter's origin.
        expected: String,
        /// The checkpoint's.
        found: String,
    },
    /// The tlog-proof carries no `logged` line.
    #[error("the proof carries no line `logged <time> <g>`")]
    NoLoggedLine,
    /// The record's line names an entry that the bundle does not hold.
    #[error("the logged line names governance entry {0}, which is not in the bundle")]
    Incomplete(LeafIndex),
    /// The log named the wrong governance entry: a later one stands before the record.
    #[error(
        "the logged line names governance entry {named}, but entry {latest} came before the record"
    )]
    Skipped {
        /// What the line names.
        named: LeafIndex,
        /// The latest governance entry before the record.
        latest: LeafIndex,
    },
    /// The signers were not allowed.
    #[error("{0}")]
    NotAllowed(Rejection),
}

impl ParseBundleError {
    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> &'static str {
        "make the bundle again: ledger prove --authority"
    }
}

impl AuthorityError {
    /// Whether the log is shown to have taken what its rules refuse, or to have named the wrong
    /// governance entry. Everything else only fails to prove.
    pub fn is_unlawful(&self) -> bool {
        match self {
            AuthorityError::Skipped { .. } => true,
            AuthorityError::NotAllowed(rejection) => !rejection.is_not_supported(),
            _ => false,
        }
    }

    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            AuthorityError::Replay(error) => error.hint(),
            AuthorityError::OtherAnchor { .. } | AuthorityError::OtherLog { .. } => {
                "it is of another log, or of one that pretends: check the anchor"
            }
            AuthorityError::Policy(_) => "give a policy of your own: --policy",
            AuthorityError::NotAllowed(_) | AuthorityError::Skipped { .. } => {
                "keep the record and the bundle: they show that the log took what its rules refuse"
            }
            _ => "make the bundle again: ledger prove --authority",
        }
    }
}

impl AuthorityBundle {
    /// Puts a bundle together; it is judged by [`AuthorityBundle::verify`] only.
    pub fn new(governance: Vec<GovernanceEntry>, proof: TlogProof) -> AuthorityBundle {
        AuthorityBundle { governance, proof }
    }

    /// The governance entries, the charter first.
    pub fn governance(&self) -> &[GovernanceEntry] {
        &self.governance
    }

    /// The proof of the record itself.
    pub fn proof(&self) -> &TlogProof {
        &self.proof
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// [`ParseBundleError`] names the member that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<AuthorityBundle, ParseBundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(ParseBundleError::TooLong);
        }
        let text =
            std::str::from_utf8(bytes).map_err(|e| ParseBundleError::NotUtf8(e.valid_up_to()))?;
        let object = Object::parse(text.trim_end_matches('\n'))?;
        if object.text("format") != Some(FORMAT) {
            return Err(ParseBundleError::Format);
        }
        let member = |name: &str| ParseBundleError::Member(name.to_owned());
        let list = object.get("governance").and_then(Value::as_list);
        let list = list.ok_or_else(|| member("governance"))?;
        let entries = list.iter().enumerate().map(|(at, value)| GovernanceEntry::read(value, at));
        let governance = entries.collect::<Result<_, _>>()?;
        let proof = object.text("proof").ok_or_else(|| member("proof"))?;
        Ok(AuthorityBundle { governance, proof: TlogProof::parse(proof.as_bytes())? })
    }

    /// Judges the bundle for a record: everything is in the tree of one accepted checkpoint, the
    /// governance entries follow from the anchor, and the state that the record names admits it.
    ///
    /// `policy` says which checkpoints to accept; without one the policy of the charter does, as the
    /// last governance entry leaves it.
    ///
    /// # Errors
    /// [`AuthorityError`]; see [`AuthorityError::is_unlawful`].
    pub fn verify(
        &self,
        record: &Record,
        anchor: StatementId,
        policy: Option<&Policy>,
    ) -> Result<Authorised, AuthorityError> {
        let logged = self.logged()?;
        let (latest, judge) = self.replay(anchor, logged.governance)?;
        let own;
        let policy = match policy {
            Some(policy) => policy,
            None => {
                own = latest.charter().read_policy()?;
                &own
            }
        };
        let leaf = Entry::new(logged, record.clone()).leaf_hash();
        let accepted = self.proof.verify(&leaf, policy)?;
        let origin = accepted.checkpoint.origin().as_str();
        if origin != latest.charter().origin() {
            let (expected, found) = (latest.charter().origin().to_owned(), origin.to_owned());
            return Err(AuthorityError::OtherLog { expected, found });
        }
        for GovernanceEntry { index, entry, inclusion } in &self.governance {
            let head = accepted.checkpoint.head();
            verify_inclusion(inclusion, &entry.leaf_hash(), *index, head)
                .map_err(|error| AuthorityError::NotIncluded { index: *index, error })?;
        }
        let index = self.proof.index;
        let judge = judge.ok_or(AuthorityError::Incomplete(logged.governance))?;
        let before = self.governance.iter().filter(|own| own.index < index).map(|own| own.index);
        if let Some(newest) = before.max().filter(|newest| *newest > logged.governance) {
            return Err(AuthorityError::Skipped { named: logged.governance, latest: newest });
        }
        if index > LeafIndex::ZERO || record.kind() != Kind::Charter {
            let signed = judge.charter().verify(record.clone());
            let signed = signed.map_err(AuthorityError::NotAllowed)?;
            judge.charter().admit(&signed, &logged, index).map_err(AuthorityError::NotAllowed)?;
        }
        Ok(Authorised { accepted, index, logged, governance: judge, latest: latest.into_charter() })
    }

    /// The state after the last governance entry, and the one after the entry `named`, if it is here.
    fn replay(
        &self,
        anchor: StatementId,
        named: LeafIndex,
    ) -> Result<(Governance, Option<Governance>), AuthorityError> {
        let (first, rest) = self.governance.split_first().ok_or(ReplayError::NoCharter)?;
        if first.index != LeafIndex::ZERO {
            return Err(ReplayError::NoCharter.into());
        }
        let found = first.entry.record().statement();
        if found != anchor {
            return Err(AuthorityError::OtherAnchor { anchor, found });
        }
        let mut latest = Governance::found(&first.entry)?;
        let mut judge = (named == first.index).then(|| latest.clone());
        for own in rest {
            latest.push(own.index, &own.entry)?;
            if own.index == named {
                judge = Some(latest.clone());
            }
        }
        Ok((latest, judge))
    }

    fn logged(&self) -> Result<Logged, AuthorityError> {
        let extra = self.proof.extra.as_deref().unwrap_or_default();
        let line = std::str::from_utf8(extra).ok();
        line.and_then(|line| Logged::parse(line).ok()).ok_or(AuthorityError::NoLoggedLine)
    }
}

impl GovernanceEntry {
    fn read(value: &Value, at: usize) -> Result<GovernanceEntry, ParseBundleError> {
        let member = |name: &str| ParseBundleError::Member(format!("governance[{at}]{name}"));
        let object = value.as_object().ok_or_else(|| member(""))?;
        let index = object.get("index").and_then(Value::as_integer);
        let index = index.and_then(|index| LeafIndex::new(u64::try_from(index).ok()?).ok());
        let index = index.ok_or_else(|| member(".index"))?;
        let entry = object.text("entry").ok_or_else(|| member(".entry"))?;
        let entry = Entry::parse(entry.as_bytes())
            .map_err(|error| ParseBundleError::Entry { at, error })?;
        let hashes = object.get("proof").and_then(Value::as_list);
        let hashes: Option<Vec<&str>> =
            hashes.and_then(|list| list.iter().map(Value::as_text).collect());
        let hashes = hashes.ok_or_else(|| member(".proof"))?;
        let inclusion = InclusionProof::parse(hashes.into_iter())
            .map_err(|error| ParseBundleError::Inclusion { at, error })?;
        Ok(GovernanceEntry { index, entry, inclusion })
    }

    fn to_object(&self) -> Object {
        let index = i64::try_from(self.index.get()).unwrap_or(i64::MAX);
        let bytes = self.entry.to_bytes();
        let entry = String::from_utf8_lossy(&bytes);
        let hashes: Vec<String> =
            self.inclusion.hashes().iter().map(crate::hash::Hash::to_base64).collect();
        Object::new()
            .with("index", Value::Integer(index))
            .with("entry", entry.as_ref())
            .with("proof", hashes)
    }
}

impl fmt::Display for AuthorityBundle {
    /// Prints the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let governance: Vec<Object> =
            self.governance.iter().map(GovernanceEntry::to_object).collect();
        let object = Object::new()
            .with("format", FORMAT)
            .with("governance", governance)
            .with("proof", self.proof.to_string());
        writeln!(f, "{}", object.to_pretty_json())
    }
}
