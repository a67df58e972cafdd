//! The judgement of a log of ours while it is copied: the same as `ledger audit`'s.

use std::collections::HashMap;
use std::sync::Arc;

use ledger_core::charter::Charter;
use ledger_core::hash::Hash;
use ledger_core::lawful::{
    CheckedEntry, DuplicateIndex, EntryStanding, EntryVisitor, Finding, UniqueKeys, Unlawful,
};
use ledger_core::record::{Entry, StatementId};
use ledger_core::{LeafIndex, TreeSize};

use super::trouble::Trouble;
use crate::governance;
use crate::index::{EntryKeys, Index, Key};
use crate::log::LogReader;
use crate::lookup::{FindError, find_entry};
use crate::recovery::catch_up;

/// How far an entry's time may lie ahead of this node's clock, in seconds: as far as a sequencer's
/// clock may be from its witnesses'.
pub const MAX_AHEAD: u64 = crate::clock::MAX_WITNESS_OFFSET;

/// The fold over a log's entries, from its charter on.
pub struct EntryJudge {
    fold: EntryVisitor<SeenInCopy>,
    index: Arc<Index>,
    /// The keys of what was judged and is not in the index yet.
    judged: Vec<EntryKeys>,
}

/// What was seen, in the copy's index and in memory for what is not written yet.
pub struct SeenInCopy {
    index: Arc<Index>,
    reader: Arc<LogReader>,
    /// What the index covers.
    size: TreeSize,
    fresh: HashMap<[u8; 32], u64>,
}

/// The entry that the judgement ends at.
#[derive(Debug)]
pub enum Stop {
    /// Its time has not come.
    Future {
        /// The entry.
        index: LeafIndex,
        /// When it will.
        until: u64,
    },
    /// A rule refuses it.
    Unlawful {
        /// The entry.
        index: LeafIndex,
        /// The rule.
        why: Unlawful,
    },
    /// Anything else.
    Other(Trouble),
}

impl EntryJudge {
    /// Begins with the entry at index 0, which must be the charter of this statement.
    pub fn found(
        first: &[u8],
        anchor: StatementId,
        index: Arc<Index>,
        reader: Arc<LogReader>,
    ) -> Result<EntryJudge, Trouble> {
        let foreign = |why: String| Trouble::Foreign(format!("entry 0: {why}"));
        let entry = Entry::parse(first).map_err(|e| foreign(e.to_string()))?;
        let found = entry.record().statement();
        if found != anchor {
            return Err(foreign(format!("its statement is {found}, not the anchor {anchor}")));
        }
        let charter = Charter::found(&entry).map_err(|e| foreign(e.to_string()))?;
        index.clear()?;
        Ok(EntryJudge::new(Arc::new(charter), 0, index, reader, TreeSize::ZERO))
    }

    /// Goes on behind the copy's first `size` entries, which were judged before they were written.
    pub fn resume(
        size: TreeSize,
        index: Arc<Index>,
        reader: Arc<LogReader>,
    ) -> Result<EntryJudge, Trouble> {
        catch_up(&index, &reader, size)
            .map_err(|e| Trouble::Store(crate::store::StoreError::Damaged(e.to_string())))?;
        let governance = governance::replay(&reader, size)?;
        let last = match size.last() {
            Some(last) => reader.entry(last, size)?,
            None => Vec::new(),
        };
        let before = Entry::split(&last).map_or(0, |(logged, _)| logged.time);
        Ok(EntryJudge::new(Arc::clone(governance.charter()), before, index, reader, size))
    }

    fn new(
        charter: Arc<Charter>,
        before: u64,
        index: Arc<Index>,
        reader: Arc<LogReader>,
        size: TreeSize,
    ) -> EntryJudge {
        let seen = SeenInCopy { index: Arc::clone(&index), reader, size, fresh: HashMap::new() };
        EntryJudge { fold: EntryVisitor::new(charter, before, seen), index, judged: Vec::new() }
    }

    /// The rules in force behind what was judged.
    pub fn charter(&self) -> &Arc<Charter> {
        self.fold.charter()
    }

    /// Judges the next entries by what they show, each with its leaf hash. After a stop the fold is
    /// of no more use.
    pub fn judge(
        &mut self,
        first: TreeSize,
        looks: Vec<CheckedEntry>,
        leaves: &[Hash],
        now: u64,
    ) -> Result<(), Stop> {
        for ((at, look), leaf) in (first.get()..).zip(looks).zip(leaves) {
            let index = LeafIndex::new(at).expect("the tree has these leaves");
            let time = look.logged().map_or(0, |logged| logged.time);
            if time > now.saturating_add(MAX_AHEAD) {
                return Err(Stop::Future { index, until: time.saturating_sub(MAX_AHEAD) });
            }
            let other = |why: String| Stop::Other(Trouble::NotJudged { index, why });
            match self.fold.judge(index, look).map_err(Stop::Other)? {
                Finding::Lawful(own) => self.judged.push(EntryKeys::of_record(&own.record, *leaf)),
                Finding::Unlawful(why) => return Err(Stop::Unlawful { index, why }),
                Finding::NotJudged(why) => return Err(other(why)),
                _ => return Err(other("a verdict that this version does not know".to_owned())),
            }
        }
        Ok(())
    }

    /// All that was judged is on the disk now: the first `size` entries.
    pub fn written(&mut self, size: TreeSize) -> Result<(), Trouble> {
        self.index.insert(&self.judged)?;
        self.judged.clear();
        let seen = self.fold.seen();
        seen.size = size;
        seen.fresh.clear();
        Ok(())
    }
}

impl SeenInCopy {
    /// The first entry on the disk with a key.
    fn find(&self, key: &Key) -> Result<Option<u64>, Trouble> {
        match find_entry(&self.index, &self.reader, self.size, key) {
            Ok(found) => Ok(found.map(LeafIndex::get)),
            Err(FindError::Index(error)) => Err(error.into()),
            Err(FindError::Read(error)) => Err(error.into()),
        }
    }
}

impl DuplicateIndex for SeenInCopy {
    type Error = Trouble;

    fn statement(&mut self, statement: StatementId) -> Result<Option<u64>, Trouble> {
        if let Some(at) = self.fresh.get(statement.as_hash().as_bytes()) {
            return Ok(Some(*at));
        }
        self.find(&Key::Statement(statement))
    }

    fn unique(&mut self, unique: &Hash) -> Result<Option<u64>, Trouble> {
        if let Some(at) = self.fresh.get(unique.as_bytes()) {
            return Ok(Some(*at));
        }
        self.find(&Key::IssuerAndId(*unique))
    }

    fn remember(&mut self, index: u64, names: &UniqueKeys, standing: EntryStanding) {
        self.fresh.entry(*names.statement.as_hash().as_bytes()).or_insert(index);
        if standing == EntryStanding::Counts {
            self.fresh.entry(*names.unique.as_bytes()).or_insert(index);
        }
    }
}
