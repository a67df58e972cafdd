//! What a mirror does about a log that misbehaves: it has evidence made of heads that contradict
//! each other, and makes evidence itself of entries that the log's rules refuse.

use std::sync::Arc;

use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::charter::{Charter, Governance};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::{Case, ClaimedEvidence, Entries, LeafPair, LeafRule, Leaves, Trust};
use ledger_core::gossip::Lineage;
use ledger_core::lawful::Unlawful;
use ledger_core::note::VerifierKey;
use ledger_core::proof::TlogProof;
use ledger_core::record::Entry;
use ledger_core::{LeafIndex, TreeSize};

use super::context::{CopyContext, CopyProgress};
use super::heads;
use super::list::ListedBasis;
use crate::gossip::{AlsoKnown, CopyProver, lineage};
use crate::governance;

/// An unlawful entry, and the chunk that brought it.
pub struct Violation<'a> {
    /// The chunk's first index; everything before it is in the copy.
    pub first: TreeSize,
    /// The chunk.
    pub entries: &'a [Vec<u8>],
    /// The entry.
    pub index: LeafIndex,
    /// The rule that it breaks.
    pub why: &'a Unlawful,
}

/// Tells gossip whose log this is, and where it can be read: its heads are compared like those of
/// logs on the witness's list, and evidence against it counts.
pub fn introduce(copy: &CopyContext, progress: CopyProgress<'_>) {
    let charter = progress.charter;
    let (keys, entries) = keys(copy, charter);
    // the mirror's tree is the larger one while the source shows an older one
    let own = copy.common.site(&copy.log.origin).display().to_string();
    let urls = copy.feed.tiles().into_iter().chain([own]).collect();
    let lineage = lineage_of(copy, progress);
    let cosigners = heads::witnesses(copy, charter);
    let known = AlsoKnown { keys, entries, urls, lineage, cosigners };
    let served = Arc::clone(&copy.served);
    let prover: CopyProver = Arc::new(move |smaller, larger| served.prove_prefix(smaller, larger));
    copy.common.gossip.set_mirrored(&copy.log.origin, prover, known);
}

/// What is known of the charter of a log of ours; its bundles are made again when the copy holds a
/// change that they do not show.
fn lineage_of(copy: &CopyContext, progress: CopyProgress<'_>) -> Option<Lineage> {
    let ListedBasis::Charter { anchor, .. } = copy.log.basis else { return None };
    let before = copy.common.gossip.lineage_of(&copy.log.origin);
    let before = before.map(|own| own.authority).unwrap_or_default();
    let Some(charter) = progress.charter else {
        return Some(Lineage { anchor, retired: Vec::new(), authority: before });
    };
    let latest = charter.governance_index();
    let held = progress.held.filter(|held| {
        let now = (latest, held.checkpoint().head().size.contains(latest));
        lineage::shows(&before) != Some(latest) && copy.shown.replace(Some(now)) != Some(now)
    });
    let authority = held.map(|held| lineage::authority(&copy.served.reader, before.clone(), held));
    Some(Lineage {
        authority: authority.filter(|made| !made.is_empty()).unwrap_or(before),
        ..lineage::bare(charter)
    })
}

/// Lays two heads of one log before gossip, which looks for what settles it.
pub fn contradiction(
    copy: &CopyContext,
    progress: CopyProgress<'_>,
    ours: &ClaimedCheckpoint,
    offered: &ClaimedCheckpoint,
) {
    if !copy.common.make_evidence {
        return;
    }
    introduce(copy, progress);
    copy.common.gossip.observe(&[ours.clone(), offered.clone()]);
}

/// Makes evidence of an unlawful entry, where the rule is one that convicts.
pub fn unlawful(
    copy: &CopyContext,
    progress: CopyProgress<'_>,
    pending: &ClaimedCheckpoint,
    found: Violation<'_>,
) {
    if !copy.common.make_evidence {
        return;
    }
    let (origin, index) = (&copy.log.origin, found.index);
    match make(copy, progress, pending, &found) {
        Ok(Some(evidence)) => {
            if let Err(error) = copy.common.gossip.convict(&evidence) {
                tracing::error!(%origin, %index, %error, "evidence cannot be kept");
            }
        }
        Ok(None) => tracing::error!(%origin, %index, "unlawful, but by no rule that convicts"),
        Err(error) => tracing::error!(%origin, %index, %error, "no evidence can be made"),
    }
}

fn make(
    copy: &CopyContext,
    progress: CopyProgress<'_>,
    pending: &ClaimedCheckpoint,
    found: &Violation<'_>,
) -> Result<Option<ClaimedEvidence>, String> {
    let own = ViolationCase { copy, pending, found };
    let governance = own.governance()?;
    let replayed = Governance::replay(governance.iter().map(|own| (own.index, &own.entry)));
    let charter =
        replayed.ok().map(|replayed| Arc::clone(replayed.charter())).or(progress.charter.cloned());
    introduce(copy, CopyProgress { charter: charter.as_ref(), ..progress });
    let (keys, entries) = keys(copy, charter.as_ref());
    let trust = match copy.log.basis {
        ListedBasis::Charter { anchor, .. } => Trust::new().with_anchor(anchor),
        ListedBasis::Keys { .. } => Trust::new(),
    };
    let trust = keys.into_iter().fold(trust, |trust, key| trust.with_log(key, entries));
    let authority: Vec<_> =
        governance::about_last(governance.clone(), pending).into_iter().collect();
    let case = Case { trust: &trust, authority: &authority };
    let pair = |rule, first: LeafIndex| -> Result<Option<ClaimedEvidence>, String> {
        let leaves = Leaves {
            head: pending.clone(),
            charter: own.proven(LeafIndex::ZERO)?,
            first: own.proven(first)?,
            second: own.proven(found.index)?,
        };
        let pair = LeafPair::new(rule, leaves).map_err(|e| e.to_string())?;
        Ok(ClaimedEvidence::leaves(&pair, case))
    };
    match found.why {
        Unlawful::TimeReversal { .. } => {
            let before = found.index.get().saturating_sub(1);
            pair(LeafRule::TimeReversal, LeafIndex::new(before).map_err(|e| e.to_string())?)
        }
        Unlawful::Statement { first } => {
            let first = LeafIndex::new(*first).map_err(|e| e.to_string())?;
            pair(LeafRule::DuplicateLeaf, first)
        }
        Unlawful::Refused(_) => {
            let leaf = own.proven(found.index)?;
            let proof = TlogProof {
                extra: Some(leaf.entry.logged().to_string().into_bytes()),
                index: found.index,
                inclusion: leaf.inclusion,
                checkpoint: pending.clone(),
            };
            let bundle = AuthorityBundle::new(governance, proof);
            Ok(ClaimedEvidence::unlawful_leaf(leaf.entry.record(), &bundle, case))
        }
        _ => Ok(None),
    }
}

/// The entries around an unlawful one.
struct ViolationCase<'a> {
    copy: &'a CopyContext,
    pending: &'a ClaimedCheckpoint,
    found: &'a Violation<'a>,
}

impl ViolationCase<'_> {
    /// An entry with its proof under the pending checkpoint; whoever judges evidence verifies it.
    fn proven(&self, index: LeafIndex) -> Result<GovernanceEntry, String> {
        let entry = self.entry(index)?;
        self.with_proof(index, entry)
    }

    fn with_proof(&self, index: LeafIndex, entry: Entry) -> Result<GovernanceEntry, String> {
        let size = self.pending.checkpoint().head().size;
        let inclusion = self.copy.feed.inclusion(index, size).map_err(|e| e.to_string())?;
        Ok(GovernanceEntry { index, entry, inclusion })
    }

    fn entry(&self, index: LeafIndex) -> Result<Entry, String> {
        let bytes = if self.found.first.contains(index) {
            let read = self.copy.served.reader.entry(index, self.found.first);
            read.map_err(|e| e.to_string())?
        } else {
            let at = index.get() - self.found.first.get();
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            self.found.entries.get(at).cloned().ok_or("no such entry")?
        };
        Entry::parse(&bytes).map_err(|e| e.to_string())
    }

    /// The governance entries of the pending tree, without the unlawful one and what builds on it:
    /// those behind it say whose the key is that signed over it.
    fn governance(&self) -> Result<Vec<GovernanceEntry>, String> {
        let first = self.found.first;
        let mut all = Vec::new();
        if !first.is_empty() {
            let before = governance::entries(&self.copy.served.reader, first);
            for (index, entry) in before.map_err(|e| e.to_string())? {
                all.push(self.with_proof(index, entry)?);
            }
        }
        for at in first.get()..self.found.index.get() {
            let index = LeafIndex::new(at).map_err(|e| e.to_string())?;
            let entry = self.entry(index)?;
            if entry.record().kind().is_governance() {
                all.push(self.with_proof(index, entry)?);
            }
        }
        let later = self.later();
        let known = all.iter().map(|own| (own.index, &own.entry));
        let whole = known.chain(later.iter().map(|(index, entry)| (*index, entry)));
        if !later.is_empty() && Governance::replay(whole).is_ok() {
            for (index, entry) in later {
                all.push(self.with_proof(index, entry)?);
            }
        }
        Ok(all)
    }

    /// The governance entries behind the unlawful one, as the log's own lines name them; none where
    /// they cannot be read.
    fn later(&self) -> Vec<(LeafIndex, Entry)> {
        let size = self.pending.checkpoint().head().size;
        let read = |at| {
            let bytes = self.copy.feed.entry(at, size).map_err(|e| e.to_string())?;
            Entry::parse(&bytes).map_err(|e| e.to_string())
        };
        governance::back_to(self.found.index, size, read).unwrap_or_default()
    }
}

/// Whom evidence about this log can convict, and by which rules.
fn keys(copy: &CopyContext, charter: Option<&Arc<Charter>>) -> (Vec<VerifierKey>, Entries) {
    match &copy.log.basis {
        ListedBasis::Keys { keys, .. } => (keys.clone(), Entries::Opaque),
        ListedBasis::Charter { .. } => {
            let keys = charter.map(|charter| charter.log_keys().to_vec()).unwrap_or_default();
            (keys, Entries::Records)
        }
    }
}
