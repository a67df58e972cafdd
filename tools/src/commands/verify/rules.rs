//! Finds the rules in force at the end of a copy of a log, and skips entries that break them.
//!
//! The last entry names the governance entry in force. An operator could try to block a succession
//! with a last entry that is malformed, that names an entry of another kind, or that is an unlawful
//! change. Therefore the search goes back to the last entry from which lawful governance entries
//! lead to the charter. The entries after it change nothing.

use std::collections::BTreeMap;

use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::charter::{ChainError, Governance, ReplayError, governance_chain};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::hash::Hash;
use ledger_core::index::LeafIndex;
use ledger_core::merkle::{InclusionProof, TreeHead, prove_inclusion, verify_inclusion};
use ledger_core::record::Entry;
use ledger_core::tile::{EntryBundle, TILE_WIDTH, TileReader};
use ledger_node::governance;
use ledger_node::source::Source;

use crate::commands::audit::chain::{self, NotShown};
use crate::failure::Failure;

const INCOMPLETE: &str = "the source must hold the old log's entries up to its checkpoint";

/// The rules at the end of a copy.
pub(super) struct LastRules {
    /// The governance entries, each lawful and proven to be in the copy's tree.
    pub(super) bundle: AuthorityBundle,
    /// The last entry that names the latest of them, or is that entry.
    pub(super) end: LeafIndex,
    /// The entries after it, which break the rules.
    pub(super) unlawful: Option<Unlawful>,
}

/// Entries at the end of a copy that break the rules.
pub(super) struct Unlawful {
    /// The first of them.
    pub(super) index: LeafIndex,
    /// What is wrong with it.
    pub(super) why: String,
    /// How many entries follow it.
    pub(super) more: u64,
}

impl std::fmt::Display for Unlawful {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "entry {} breaks the rules and changes none: {}", self.index, self.why)?;
        match self.more {
            0 => Ok(()),
            more => write!(f, "; nor does any of the {more} after it change them"),
        }
    }
}

/// Finds the rules at the end of a copy.
///
/// # Errors
/// [`Failure`] when the copy does not show the entries that decide, or this version cannot judge a
/// change of the rules.
pub(super) fn find(source: &Source, claimed: &ClaimedCheckpoint) -> Result<LastRules, Failure> {
    let mut copy = BackwardReader::new(source, *claimed.checkpoint().head());
    let mut unlawful: Option<Unlawful> = None;
    let last = copy.head.size.last().map_or(0, LeafIndex::get);
    for at in (0..=last).rev() {
        let end = LeafIndex::new(at).expect("the tree has this leaf");
        match copy.rules_at(end).map_err(|stop| stop.failure(source))? {
            Ok(entries) => {
                let bundle = governance::about_last(entries, claimed);
                let bundle = bundle.expect("the way leads down to the charter");
                return Ok(LastRules { bundle, end, unlawful });
            }
            Err(why) => unlawful = Some(Unlawful { index: end, why, more: last - at }),
        }
    }
    let why = unlawful.map_or_else(|| "it has no entries".to_owned(), |own| own.why);
    Err(Failure::refused(format!("{source} shows no charter: {why}"), INCOMPLETE))
}

/// Why the rules cannot be determined. Closed.
enum Unjudgeable {
    /// The copy does not show an entry.
    NotShown(NotShown),
    /// This version cannot judge a change.
    NotJudged(ReplayError),
}

impl Unjudgeable {
    fn failure(self, source: &Source) -> Failure {
        match self {
            Unjudgeable::NotShown(why) => why.failure(why.to_string(), INCOMPLETE),
            // an entry that this version cannot judge may change the rules
            Unjudgeable::NotJudged(error) => Failure::refused_by(error),
        }
        .of(source)
    }
}

impl From<NotShown> for Unjudgeable {
    fn from(error: NotShown) -> Unjudgeable {
        Unjudgeable::NotShown(error)
    }
}

/// Why a chain of governance entries ends early. Closed.
enum Broken {
    Stop(Unjudgeable),
    Unlawful(String),
}

/// Governance entries that lead to the charter, or why they do not.
type Way = Result<Vec<GovernanceEntry>, String>;

/// Reads a log's entries from the end.
struct BackwardReader<'a> {
    source: &'a Source,
    head: TreeHead,
    nodes: TileReader<&'a Source>,
    /// The entry bundle that was read last, with its number.
    bundle: Option<(u64, EntryBundle)>,
    /// Changes that the rules refuse, and why. They are not judged again.
    refused: BTreeMap<LeafIndex, String>,
}

impl<'a> BackwardReader<'a> {
    fn new(source: &'a Source, head: TreeHead) -> BackwardReader<'a> {
        let nodes = TileReader::new(source, head.size);
        BackwardReader { source, head, nodes, bundle: None, refused: BTreeMap::new() }
    }

    /// The governance entries up to the one that the entry at `at` names, or is.
    fn rules_at(&mut self, at: LeafIndex) -> Result<Way, Unjudgeable> {
        let (bytes, _) = self.read(at)?;
        let entry = match Entry::parse(&bytes) {
            Ok(entry) => entry,
            Err(why) => return Ok(Err(why.to_string())),
        };
        if entry.record().kind().is_governance() {
            return self.way_down(at);
        }
        let named = entry.logged().governance;
        if named >= at {
            return Ok(Err(format!("its line names entry {named}, which is not before it")));
        }
        let way = self.way_down(named)?;
        Ok(way.map_err(|why| format!("its line names entry {named}: {why}")))
    }

    /// The governance entries from the one at `latest` back to the charter.
    fn way_down(&mut self, latest: LeafIndex) -> Result<Way, Unjudgeable> {
        let mut proofs = BTreeMap::new();
        let chain = governance_chain(latest, |at| {
            if let Some(why) = self.refused.get(&at) {
                return Err(Broken::Unlawful(why.clone()));
            }
            let (bytes, proof) = self.read(at).map_err(|e| Broken::Stop(e.into()))?;
            let entry = Entry::parse(&bytes).map_err(|e| Broken::Unlawful(e.to_string()))?;
            if !entry.record().kind().is_governance() {
                return Err(Broken::Unlawful(format!("entry {at} is not a governance entry")));
            }
            proofs.insert(at, proof);
            Ok(entry)
        });
        let chain = match chain {
            Ok(chain) => chain,
            Err(ChainError::Read(Broken::Stop(stop))) => return Err(stop),
            Err(ChainError::Read(Broken::Unlawful(why))) => return Ok(self.refuse(proofs, why)),
            Err(ChainError::Order(at)) => {
                let why = format!("entry {at} names an entry that is not before it");
                return Ok(self.refuse(proofs, why));
            }
        };
        match Governance::replay(chain.iter().map(|(at, entry)| (*at, entry))) {
            Ok(_) => {}
            Err(ReplayError::Unlawful { index, why }) => {
                let beyond = proofs.split_off(&index);
                return Ok(self.refuse(beyond, why.to_string()));
            }
            Err(error) => return Err(Unjudgeable::NotJudged(error)),
        }
        let proven = chain.into_iter().zip(proofs.into_values());
        let entry = |((index, entry), inclusion)| GovernanceEntry { index, entry, inclusion };
        Ok(Ok(proven.map(entry).collect()))
    }

    /// Remembers the changes that depend on a refused one.
    fn refuse(&mut self, changes: BTreeMap<LeafIndex, InclusionProof>, why: String) -> Way {
        self.refused.extend(changes.into_keys().map(|at| (at, why.clone())));
        Err(why)
    }

    /// The bytes of an entry, proven to be in the tree.
    fn read(&mut self, at: LeafIndex) -> Result<(Vec<u8>, InclusionProof), NotShown> {
        let number = at.get() / u64::from(TILE_WIDTH);
        let bundle = match self.bundle.take().filter(|(own, _)| *own == number) {
            Some((_, bundle)) => bundle,
            None => chain::bundle(self.source, number, self.head.size)?,
        };
        let bytes = chain::entry_of(&bundle, at, self.source);
        self.bundle = Some((number, bundle));
        let bytes = bytes?;
        let proof = prove_inclusion(&mut self.nodes, at, self.head.size);
        let proof = proof.map_err(|e| NotShown::proof(at, &e))?;
        verify_inclusion(&proof, &Hash::leaf(&bytes), at, &self.head)
            .map_err(|e| format!("entry {at} is not what was signed: {e}"))?;
        Ok((bytes, proof))
    }
}
