//! What the node knows of charters: its own log's, and those of logs that it mirrors.

use ledger_core::LeafIndex;
use ledger_core::authority::AuthorityBundle;
use ledger_core::charter::{Charter, RetiredLogKey};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::gossip::Lineage;

use crate::governance;
use crate::log::{LogReader, Published};

/// Bytes of the largest bundle that evidence is given: some thousands of changes. Evidence goes to
/// everybody, and still convicts by keys without it.
const MAX_CARRIED: usize = 4 << 20;

/// The lineage of a log, without anything that proves its keys.
pub fn bare(charter: &Charter) -> Lineage {
    let retired = charter.retired_log_keys().iter().map(RetiredLogKey::key);
    Lineage {
        anchor: charter.statement(),
        retired: retired.cloned().collect(),
        authority: Vec::new(),
    }
}

/// The bundle that evidence about a log of ours carries; none where it cannot be made.
pub fn authority(reader: &LogReader, checkpoint: &ClaimedCheckpoint) -> Vec<AuthorityBundle> {
    match governance::bundle(reader, checkpoint) {
        Ok(bundle) if bundle.to_string().len() <= MAX_CARRIED => vec![bundle],
        Ok(_) => Vec::new(),
        Err(error) => {
            let origin = checkpoint.checkpoint().origin();
            tracing::warn!(%origin, %error, "evidence will carry no authority bundle");
            Vec::new()
        }
    }
}

/// The latest change that bundles show.
pub fn shows(authority: &[AuthorityBundle]) -> Option<LeafIndex> {
    authority.iter().filter_map(|own| own.governance().last()).map(|last| last.index).max()
}

/// The lineage of the node's own log, made again when a change of the charter is published.
#[derive(Debug, Default)]
pub struct OwnLineage {
    /// The latest change that was published when the bundles were made.
    of: Option<LeafIndex>,
    authority: Vec<AuthorityBundle>,
}

impl OwnLineage {
    /// Whether there is more to show than before.
    pub fn is_outdated(&self, charter: &Charter, published: Option<&Published>) -> bool {
        let latest = charter.governance_index();
        self.of != Some(latest) && published.is_some_and(|seen| seen.size().contains(latest))
    }

    /// The lineage under the charter as it is now.
    pub fn now(
        &mut self,
        charter: &Charter,
        reader: &LogReader,
        published: Option<&Published>,
    ) -> Lineage {
        if let Some(seen) = published.filter(|_| self.is_outdated(charter, published)) {
            self.of = Some(charter.governance_index());
            self.authority = authority(reader, seen.checkpoint().claimed());
        }
        Lineage { authority: self.authority.clone(), ..bare(charter) }
    }
}
