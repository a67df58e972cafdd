//! What the node knows of charters: its own log's, and those of logs that it mirrors.

use ledger_core::LeafIndex;
use ledger_core::authority::AuthorityBundle;
use ledger_core::charter::{Charter, RetiredLogKey};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::vouching;
use ledger_core::gossip::Lineage;

use super::bridges::Bridges;
use crate::governance;
use crate::log::{LogReader, Published};

/// Bytes of the bundles that evidence is given together: some thousands of changes. Evidence goes to
/// every peer, where it has at most 4 MiB, and still convicts by keys without them.
const MAX_CARRIED: usize = 3 << 20;

/// The lineage of a log, without anything that proves its keys.
pub fn bare(charter: &Charter) -> Lineage {
    let retired = charter.retired_log_keys().iter().map(RetiredLogKey::key);
    Lineage {
        anchor: charter.statement(),
        retired: retired.cloned().collect(),
        authority: Vec::new(),
    }
}

/// The bundles that evidence about a log of ours carries: that of a head, and of those before it the
/// ones that show the log to have named its keys itself. None where they cannot be made.
pub fn authority(
    reader: &LogReader,
    before: Vec<AuthorityBundle>,
    checkpoint: &ClaimedCheckpoint,
) -> Vec<AuthorityBundle> {
    match governance::bundle(reader, checkpoint) {
        Ok(latest) => {
            let made = vouching(before.into_iter().chain([latest]).collect());
            let bytes: usize = made.iter().map(|bundle| bundle.to_string().len()).sum();
            if bytes <= MAX_CARRIED { made } else { Vec::new() }
        }
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
#[derive(Debug)]
pub struct OwnLineage {
    bridges: Bridges,
    /// The latest change that was published when the bundles were made.
    of: Option<LeafIndex>,
    authority: Vec<AuthorityBundle>,
}

impl OwnLineage {
    /// Nothing is made yet.
    pub fn new(bridges: Bridges) -> OwnLineage {
        OwnLineage { bridges, of: None, authority: Vec::new() }
    }

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
            let heads = self.bridges.all();
            let before = heads.iter().filter_map(|head| governance::bundle(reader, head).ok());
            self.authority = authority(reader, before.collect(), seen.checkpoint().claimed());
        }
        Lineage { authority: self.authority.clone(), ..bare(charter) }
    }
}
