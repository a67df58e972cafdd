//! What the node knows of charters: its own log's, and those of logs that it mirrors.

use std::collections::BTreeSet;

use ledger_core::Hint;
use ledger_core::authority::AuthorityBundle;
use ledger_core::charter::{Charter, RetiredLogKey};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::vouching;
use ledger_core::gossip::Lineage;
use ledger_core::{LeafIndex, TreeSize};

use super::bridges::Bridges;
use crate::governance;
use crate::log::{LogReader, Published};
use crate::store::StoreError;

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

/// The bundles that evidence about a ledger carries: that of a head, and those before it that show
/// how the log named its keys and how keys signed their end. None where they cannot be made.
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
            let latest = seen.checkpoint().claimed();
            let is_before = |head: &ClaimedCheckpoint| size_of(head) < size_of(latest);
            let heads = self.bridges.all().into_iter().filter(is_before);
            let with_bundle = |head| Some((governance::bundle(reader, &head).ok()?, head));
            let (before, heads): (Vec<_>, Vec<_>) = heads.filter_map(with_bundle).unzip();
            self.authority = authority(reader, before, latest);
            if let Err(error) = self.keep(&heads) {
                tracing::error!(%error, hint = error.hint(), "a head over the log's keys is lost");
            }
        }
        Lineage { authority: self.authority.clone(), ..bare(charter) }
    }

    /// Keeps the heads of the bundles: the key that signed the latest may have been replaced when
    /// bundles are made next. Of those that were kept, the others are removed.
    fn keep(&self, kept: &[ClaimedCheckpoint]) -> Result<(), StoreError> {
        let heads: Vec<_> = self.authority.iter().map(|own| &own.proof().checkpoint).collect();
        let before: BTreeSet<TreeSize> = kept.iter().map(size_of).collect();
        let now: BTreeSet<TreeSize> = heads.iter().copied().map(size_of).collect();
        for head in heads.iter().filter(|head| !before.contains(&size_of(head))) {
            self.bridges.keep(head)?;
        }
        // where no bundle could be made, all heads stay
        for head in kept.iter().filter(|head| !now.is_empty() && !now.contains(&size_of(head))) {
            self.bridges.remove(head)?;
        }
        Ok(())
    }
}

fn size_of(head: &ClaimedCheckpoint) -> TreeSize {
    head.checkpoint().head().size
}
