//! Two leaves of one tree that no lawful log holds together.

use crate::authority::GovernanceEntry;
use crate::checkpoint::ClaimedCheckpoint;
use crate::index::LeafIndex;
use crate::merkle::{VerifyError, verify_inclusion};

/// Two leaves under one head that break a rule of every ledger, and the charter at index 0, which
/// shows that the log is a ledger. Nobody is known to have signed the head.
///
/// A value always breaks the rule: what does not is refused when it is made or read. That entry 0
/// is a lawful charter is judged with the signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafPair {
    rule: LeafRule,
    head: ClaimedCheckpoint,
    charter: GovernanceEntry,
    first: GovernanceEntry,
    second: GovernanceEntry,
}

/// What two leaves break. Closed: rules about series, references and rates never convict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafRule {
    /// The log's time never goes back.
    TimeReversal,
    /// A statement is logged once.
    DuplicateLeaf,
}

/// What two leaves are made of. An entry is one as in an authority bundle: index, entry, proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaves {
    /// The head of the tree that holds them.
    pub head: ClaimedCheckpoint,
    /// Entry 0.
    pub charter: GovernanceEntry,
    /// The leaf that stands first.
    pub first: GovernanceEntry,
    /// The one behind it.
    pub second: GovernanceEntry,
}

/// Why two leaves break no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoBreach {
    /// They do not stand one behind the other.
    #[error("the second leaf does not stand behind the first")]
    Order,
    /// What should be the charter does not stand at index 0.
    #[error("`charter` does not stand at index 0")]
    CharterIndex,
    /// Their times or statements are as they should be.
    #[error("the leaves agree with the rule")]
    Agree,
    /// One of the entries is not in the tree of the head.
    #[error("entry {index} is not proven to be in the tree: {error}")]
    NotIncluded {
        /// The entry.
        index: LeafIndex,
        /// What is wrong.
        error: VerifyError,
    },
}

impl LeafPair {
    /// Takes two leaves that break a rule.
    ///
    /// # Errors
    /// [`NoBreach`].
    pub fn new(rule: LeafRule, leaves: Leaves) -> Result<LeafPair, NoBreach> {
        let Leaves { head, charter, first, second } = leaves;
        if first.index >= second.index {
            return Err(NoBreach::Order);
        }
        if charter.index != LeafIndex::ZERO {
            return Err(NoBreach::CharterIndex);
        }
        let breaks = match rule {
            LeafRule::TimeReversal => first.entry.logged().time > second.entry.logged().time,
            LeafRule::DuplicateLeaf => {
                first.entry.record().statement() == second.entry.record().statement()
            }
        };
        if !breaks {
            return Err(NoBreach::Agree);
        }
        for GovernanceEntry { index, entry, inclusion } in [&charter, &first, &second] {
            verify_inclusion(inclusion, &entry.leaf_hash(), *index, head.checkpoint().head())
                .map_err(|error| NoBreach::NotIncluded { index: *index, error })?;
        }
        Ok(LeafPair { rule, head, charter, first, second })
    }

    /// The rule that is broken.
    pub fn rule(&self) -> LeafRule {
        self.rule
    }

    /// The head of the tree that holds the leaves.
    pub fn head(&self) -> &ClaimedCheckpoint {
        &self.head
    }

    /// Entry 0.
    pub fn charter(&self) -> &GovernanceEntry {
        &self.charter
    }

    /// The leaf that stands first.
    pub fn first(&self) -> &GovernanceEntry {
        &self.first
    }

    /// The one behind it.
    pub fn second(&self) -> &GovernanceEntry {
        &self.second
    }

    pub(super) fn with_head(&self, head: ClaimedCheckpoint) -> LeafPair {
        LeafPair { head, ..self.clone() }
    }

    /// What is claimed, in a sentence.
    pub(super) fn claim(&self) -> String {
        let (first, second) = (&self.first, &self.second);
        let size = self.head.checkpoint().head().size;
        match self.rule {
            LeafRule::TimeReversal => format!(
                "a head of size {size} over entry {} of the second {} and entry {} of the second \
                 {}: the log's time never goes back",
                first.index,
                first.entry.logged().time,
                second.index,
                second.entry.logged().time
            ),
            LeafRule::DuplicateLeaf => format!(
                "a head of size {size} over the statement {} at index {} and again at index {}: a \
                 statement is logged once",
                first.entry.record().statement(),
                first.index,
                second.index
            ),
        }
    }
}
