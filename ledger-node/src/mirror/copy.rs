//! Copying one log: a checkpoint, then the entries up to it, then the cosignature.
//!
//! Entries come in chunks. The tree over what is here and a chunk must be a beginning of the
//! pending checkpoint's, which a consistency proof shows; only then anything of the chunk is
//! written. So no byte is stored that the log has not signed, and a copy that was interrupted goes
//! on where it was.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger_core::TreeSize;
use ledger_core::batch::Edge;
use ledger_core::charter::Charter;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::cosignature::MAX_TIME;
use ledger_core::hash::Hash;
use ledger_core::merkle::{TreeHead, verify_consistency};
use ledger_core::tile::TILE_WIDTH;

use super::chunks::{Chunk, Chunks, look};
use super::context::{CopyContext, CopyProgress};
use super::evidence;
use super::feed::{Feed, FeedError};
use super::heads;
use super::judge::{EntryJudge, Stop};
use super::list::{ListedBasis, Mirrored};
use super::served::ServedCopy;
use super::store::Row;
use super::trouble::Trouble;
use super::{Common, MirrorError};
use crate::index::Index;

/// The copying of one log.
pub struct LogCopy {
    context: CopyContext,
    row: Row,
    edge: Edge,
    index: Option<Arc<Index>>,
    /// The judgement of a log of ours; taken away when it stopped, to begin again from the disk.
    judge: Option<EntryJudge>,
    /// The head that contradicted ours and was laid before the investigator.
    suspected: Option<TreeHead>,
    /// The checkpoint that nobody in force had signed.
    refused: Option<ClaimedCheckpoint>,
    /// Whether gossip has heard what was held and pending when the copy was opened.
    reported: bool,
    /// Whether what is held is here and was shown.
    shows_held: bool,
    stopping: Arc<AtomicBool>,
}

/// What a round has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// There is nothing new.
    Nothing,
    /// A checkpoint was cosigned: there may be another.
    Cosigned,
    /// The checkpoint that is held was cosigned again, with more lines.
    Gathered,
    /// Another checkpoint takes the place of one that did not count.
    Renewed,
}

impl LogCopy {
    /// Goes on where the copy ended. A copy that is damaged begins anew, and shows nothing before
    /// all that was promised is here again.
    pub fn open(
        log: Mirrored,
        common: Arc<Common>,
        served: Arc<ServedCopy>,
        stopping: Arc<AtomicBool>,
    ) -> Result<LogCopy, Trouble> {
        let feed = Arc::new(Feed::open(&log.source, common.gossip.dialer(), &common.runtime)?);
        let mut row = common.store().read(&log.origin)?;
        let edge = match restore_all(&served, &row) {
            Ok(edge) => edge,
            Err(error) => {
                tracing::error!(origin = %log.origin, %error, "a copy is damaged and begins anew");
                served.show(None);
                row.copied = TreeHead::EMPTY;
                Edge::new()
            }
        };
        // nothing beyond is known to be durable: it is written again
        served.site.start_from(row.copied.size);
        let index = match log.basis {
            ListedBasis::Keys { .. } => None,
            ListedBasis::Charter { .. } => Some(Arc::new(Index::open(&common.index(&log.origin))?)),
        };
        let context = CopyContext { log, common, served, feed, shown: Cell::new(None) };
        let copy = LogCopy {
            context,
            row,
            edge,
            index,
            judge: None,
            suspected: None,
            refused: None,
            reported: false,
            shows_held: false,
            stopping,
        };
        copy.report();
        if matches!(copy.context.log.basis, ListedBasis::Keys { .. }) {
            copy.introduce();
        }
        Ok(copy)
    }

    /// Reports to gossip whose log this is, and where it can be read.
    fn introduce(&self) {
        let charter = self.charter();
        let progress = CopyProgress { charter: charter.as_ref(), held: self.held() };
        evidence::introduce(&self.context, progress);
    }

    /// The rules behind what is copied, of a log of ours.
    fn charter(&self) -> Option<Arc<Charter>> {
        self.judge.as_ref().map(|law| Arc::clone(law.charter()))
    }

    /// The checkpoint that was cosigned last.
    fn held(&self) -> Option<&ClaimedCheckpoint> {
        self.row.held.as_ref().map(|(held, _)| held)
    }

    /// One round: what was promised and is not here any more, then a new checkpoint, or the rest of
    /// the one that is pending.
    pub fn round(&mut self) -> Result<Done, Trouble> {
        self.open_judge()?;
        let lost = match self.bring_back() {
            // a larger tree that the source has brings it back, too
            Err(trouble @ Trouble::Feed(_)) => Some(trouble),
            brought => brought.map(|()| None)?,
        };
        self.open_judge()?;
        self.report_to_gossip();
        match (self.go_on()?, lost) {
            (Done::Nothing, Some(trouble)) => Err(trouble),
            (done, _) => Ok(done),
        }
    }

    /// Copies what is held as far as it is not here, and shows it as it was. Nothing is signed that
    /// was not signed before, so nothing that has come to light since hinders it.
    fn bring_back(&mut self) -> Result<(), Trouble> {
        if self.shows_held {
            return Ok(());
        }
        if let Some(held) = self.held().cloned() {
            let head = *held.checkpoint().head();
            if self.edge.size() < head.size {
                self.copy_to(&held, head)?;
                self.introduce();
            }
        }
        self.show_held()
    }

    /// Shows what is held. Where that fails, the next round begins with it.
    fn show_held(&mut self) -> Result<(), Trouble> {
        self.shows_held = false;
        self.context.common.publish(&self.context.served, &self.row)?;
        self.shows_held = true;
        Ok(())
    }

    fn go_on(&mut self) -> Result<Done, Trouble> {
        let held = self.held().cloned();
        if self.row.pending.is_none() && !self.fetch_checkpoint(held)? {
            return Ok(Done::Nothing);
        }
        let Some(pending) = self.row.pending.clone() else { return Ok(Done::Nothing) };
        let target = *pending.checkpoint().head();
        let copied = self.copy_to(&pending, target);
        match copied.and_then(|()| self.cosign(&pending)) {
            // a later one, or the same with more lines, may count, or be had where this one is not
            // any more, or show what nobody has shown yet
            Err(
                trouble @ (Trouble::Feed(_) | Trouble::Foreign(_) | Trouble::Unreconciled { .. }),
            ) if self.row.pending.is_some() => {
                self.open_judge()?;
                match self.fetch_checkpoint(Some(pending))? {
                    true => Ok(Done::Renewed),
                    false => Err(trouble),
                }
            }
            cosigned => cosigned,
        }
    }

    /// Tells gossip once what was held and pending before: gossip may have heard of another history
    /// meanwhile. Where the source has no proof of it, the copy answers once the pending tree is
    /// here.
    fn report_to_gossip(&mut self) {
        let Some(held) = self.held().filter(|_| !self.reported) else { return };
        self.context.common.gossip.observe(std::slice::from_ref(held));
        let old = held.checkpoint().head().size;
        if let Some(pending) = &self.row.pending
            && pending.checkpoint().head().size > old
        {
            match self.context.feed.consistency(old, pending.checkpoint().head().size) {
                Ok(proof) => self.context.common.gossip.observe_grown(held, pending, proof),
                Err(error) => {
                    let origin = &self.context.log.origin;
                    tracing::warn!(%origin, %error, "gossip is not told how a log grew");
                }
            }
        }
        self.reported = true;
    }

    /// Asks for the log's latest checkpoint, which must have grown out of the one that is held or
    /// pending. Whether there is something to do.
    fn fetch_checkpoint(&mut self, ours: Option<ClaimedCheckpoint>) -> Result<bool, Trouble> {
        let offered = self.context.feed.checkpoint()?;
        if *offered.checkpoint().origin() != self.context.log.origin {
            let other = offered.checkpoint().origin();
            return Err(Trouble::Foreign(format!("it is of the log \"{other}\"")));
        }
        if self.refused.as_ref() == Some(&offered) {
            let why = "no key in force at its end signed it";
            return Err(Trouble::Foreign(why.to_owned()));
        }
        heads::check(&self.context, self.judge.as_ref().map(EntryJudge::charter), &offered)?;
        let new = *offered.checkpoint().head();
        let Some(ours) = ours else {
            return match new {
                TreeHead::EMPTY => Ok(false),
                TreeHead { size, .. } if size.is_empty() => {
                    Err(self.contradiction(&offered, &offered, "an empty tree with another root"))
                }
                _ => self.lock_on(offered),
            };
        };
        let old = *ours.checkpoint().head();
        if new == old {
            return self.gather(&ours, &offered);
        }
        if new.size <= old.size {
            return match self.head_at(&old, new.size)? {
                Some(own) if own != new => {
                    Err(self.contradiction(&ours, &offered, "an older head with another root"))
                }
                // the source is behind, perhaps a copy itself
                _ => Ok(false),
            };
        }
        // SPEC tlog-mirror/updating: all pending checkpoints are consistent with each other
        let proof = self.context.feed.consistency(old.size, new.size)?;
        match verify_consistency(&proof, &old, &new) {
            Ok(()) => {
                self.context.common.gossip.observe_grown(&ours, &offered, proof);
                self.lock_on(offered)
            }
            Err(error) => {
                let why = format!(
                    "its tree of {} does not begin with ours of {}: {error}",
                    new.size, old.size
                );
                Err(self.contradiction(&ours, &offered, &why))
            }
        }
    }

    /// From now on this checkpoint is copied, and no other before it is done or cannot be had.
    fn lock_on(&mut self, offered: ClaimedCheckpoint) -> Result<bool, Trouble> {
        self.context.common.gossip.observe(std::slice::from_ref(&offered));
        let row = Row { pending: Some(offered), ..self.row.clone() };
        self.keep(row)?;
        Ok(true)
    }

    /// Takes up the lines that a checkpoint over our tree has and ours lacks. Which keys count is
    /// known only once all of the tree is here.
    fn gather(
        &mut self,
        ours: &ClaimedCheckpoint,
        offered: &ClaimedCheckpoint,
    ) -> Result<bool, Trouble> {
        if self.edge.head() != *ours.checkpoint().head() {
            return Ok(false);
        }
        let charter = self.judge.as_ref().map(EntryJudge::charter);
        match heads::gathered(&self.context, charter, ours, offered) {
            Some(gathered) => self.lock_on(gathered),
            None => Ok(false),
        }
    }

    /// What our tree was at a smaller size, if that much of it is here.
    fn head_at(&self, ours: &TreeHead, smaller: TreeSize) -> Result<Option<TreeHead>, Trouble> {
        let here = self.edge.size();
        if smaller == ours.size {
            return Ok(Some(*ours));
        }
        let here = (smaller <= here).then(|| self.context.served.reader.tree(here).head(smaller));
        Ok(here.transpose()?)
    }

    fn contradiction(
        &mut self,
        ours: &ClaimedCheckpoint,
        offered: &ClaimedCheckpoint,
        why: &str,
    ) -> Trouble {
        let head = Some(*offered.checkpoint().head());
        if self.suspected != head {
            self.suspected = head;
            let charter = self.charter();
            let progress = CopyProgress { charter: charter.as_ref(), held: self.held() };
            evidence::contradiction(&self.context, progress, ours, offered);
        }
        Trouble::Contradiction(why.to_owned())
    }

    fn open_judge(&mut self) -> Result<(), Trouble> {
        let (Some(index), None) = (&self.index, &self.judge) else { return Ok(()) };
        let size = self.edge.size();
        if !size.is_empty() {
            let reader = Arc::clone(&self.context.served.reader);
            self.judge = Some(EntryJudge::resume(size, Arc::clone(index), reader)?);
            self.introduce();
        }
        Ok(())
    }

    /// Copies the entries up to a checkpoint's tree; what was judged before a failure is judged
    /// anew.
    fn copy_to(&mut self, pending: &ClaimedCheckpoint, target: TreeHead) -> Result<(), Trouble> {
        let copied = self.copy_chunks(pending, target);
        if copied.is_err() {
            self.judge = None;
        }
        copied
    }

    fn copy_chunks(
        &mut self,
        pending: &ClaimedCheckpoint,
        target: TreeHead,
    ) -> Result<(), Trouble> {
        let (feed, from) = (Arc::clone(&self.context.feed), self.edge.size());
        if from >= target.size {
            let same = self.edge.head() == target;
            let why = || FeedError::Damaged("its checkpoint is not the copy's".to_owned());
            return if same { Ok(()) } else { Err(why().into()) };
        }
        std::thread::scope(|scope| {
            let ahead = feed.read_ahead(scope, from, target.size);
            let chunks = Chunks::gather(scope, ahead, (from, target.size), self.charter());
            while self.edge.size() < target.size {
                if self.stopping.load(Ordering::Acquire) {
                    return Err(Trouble::Stopped);
                }
                self.take(chunks.next()?, pending, target)?;
                chunks.follow(self.charter());
            }
            Ok(())
        })
    }

    /// Takes a chunk of entries: proven, judged, written, noted, in this order.
    fn take(
        &mut self,
        chunk: Chunk,
        pending: &ClaimedCheckpoint,
        target: TreeHead,
    ) -> Result<(), Trouble> {
        let first = self.edge.size();
        let mut trial = self.edge.clone();
        let full = |e: ledger_core::batch::AppendError| FeedError::Damaged(e.to_string());
        let batch = trial.append(&chunk.entries).map_err(full)?;
        if !self.begins(&trial.head(), &target)? {
            return Err(self.locate(&chunk.entries, &target)?.into());
        }
        self.judge(first, chunk, &batch.leaves, pending)?;
        for (coord, bytes) in &batch.tiles {
            self.context.served.site.renew(*coord, bytes)?;
        }
        let written = self.context.served.site.start_from(batch.head.size);
        self.context.served.site.sync(&written)?;
        self.keep(Row { copied: batch.head, ..self.row.clone() })?;
        self.edge = trial;
        if let Some(law) = &mut self.judge {
            law.written(batch.head.size)?;
        }
        Ok(())
    }

    /// Whether a tree is the beginning of the target's.
    fn begins(&self, head: &TreeHead, target: &TreeHead) -> Result<bool, Trouble> {
        if head.size == target.size {
            return Ok(head == target);
        }
        let proof = self.context.feed.consistency(head.size, target.size)?;
        Ok(verify_consistency(&proof, head, target).is_ok())
    }

    /// Finds the bundle of a chunk whose entries are not those that were signed.
    fn locate(&self, entries: &[Vec<u8>], target: &TreeHead) -> Result<FeedError, Trouble> {
        let width = u64::from(TILE_WIDTH);
        let mut trial = self.edge.clone();
        let mut rest = entries;
        while !rest.is_empty() {
            let from = trial.size().get();
            let room = usize::try_from(width - from % width).unwrap_or(1);
            let (bundle, others) = rest.split_at(room.min(rest.len()));
            if trial.append(bundle).is_err() || !self.begins(&trial.head(), target)? {
                let last = from + bundle.len() as u64 - 1;
                return Ok(FeedError::Damaged(format!(
                    "its entries {from} to {last} are not those that the log signed"
                )));
            }
            rest = others;
        }
        Ok(FeedError::Damaged("its entries are not those that the log signed".to_owned()))
    }

    /// Judges the entries of a log of ours; others pass.
    fn judge(
        &mut self,
        first: TreeSize,
        chunk: Chunk,
        leaves: &[Hash],
        pending: &ClaimedCheckpoint,
    ) -> Result<(), Trouble> {
        let (Some(index), ListedBasis::Charter { anchor, .. }) =
            (&self.index, &self.context.log.basis)
        else {
            return Ok(());
        };
        let Chunk { entries, looks } = chunk;
        if self.judge.is_none() {
            let reader = Arc::clone(&self.context.served.reader);
            let charter = entries.first().map(Vec::as_slice).unwrap_or_default();
            let law = EntryJudge::found(charter, *anchor, Arc::clone(index), reader)?;
            let own = law.charter().origin();
            if own != self.context.log.origin.as_str() {
                return Err(Trouble::Foreign(format!("its charter founds the log \"{own}\"")));
            }
            self.judge = Some(law);
        }
        let Some(law) = &mut self.judge else { return Ok(()) };
        let looks = looks.unwrap_or_else(|| look(law.charter(), &entries));
        match law.judge(first, looks, leaves, self.context.common.clock.now()) {
            Ok(()) => Ok(()),
            Err(Stop::Future { index, until }) => Err(Trouble::Future { index, until }),
            Err(Stop::Other(trouble)) => Err(trouble),
            Err(Stop::Unlawful { index, why }) => {
                let found = evidence::Violation { first, entries: &entries, index, why: &why };
                let charter = self.charter();
                let progress = CopyProgress { charter: charter.as_ref(), held: self.held() };
                evidence::unlawful(&self.context, progress, pending, found);
                Err(Trouble::Unlawful { index, why: why.to_string() })
            }
        }
    }

    /// Cosigns the pending checkpoint, all of whose entries are on the disk.
    // SPEC tlog-mirror/add-entries: nothing is signed before all entries are durably committed
    fn cosign(&mut self, pending: &ClaimedCheckpoint) -> Result<Done, Trouble> {
        let charter = self.judge.as_ref().map(|law| Arc::clone(law.charter()));
        if let Err(foreign) = heads::check_in_force(&self.context, charter.as_deref(), pending) {
            self.drop_pending(pending)?;
            return Err(foreign);
        }
        heads::check_quorum(&self.context, charter.as_deref(), pending)?;
        // its entries may have brought the key that gossip needs to judge it
        self.introduce();
        self.context.common.gossip.observe(std::slice::from_ref(pending));
        heads::check_standing(&self.context)?;
        let lines = heads::worth_keeping(&self.context, charter.as_ref(), pending);
        let held = heads::with_lines(pending, lines);
        let head = pending.checkpoint().head();
        let again = self.held().is_some_and(|before| before.checkpoint().head() == head);
        let earliest = self.row.held.as_ref().map_or(1, |(_, time)| *time);
        let time = self.context.common.clock.now().clamp(earliest, MAX_TIME.max(earliest));
        // SPEC tlog-mirror/add-entries: the new checkpoint is persisted before anybody sees it
        self.keep(Row { held: Some((held, time)), pending: None, copied: self.row.copied })?;
        self.show_held()?;
        self.introduce();
        Ok(if again { Done::Gathered } else { Done::Cosigned })
    }

    /// Forgets a checkpoint whose own entries say that nobody in force signed it, so that it keeps
    /// no honest one away. Nothing was promised; what lies on the disk of it will be written over.
    fn drop_pending(&mut self, pending: &ClaimedCheckpoint) -> Result<(), Trouble> {
        self.refused = Some(pending.clone());
        self.judge = None;
        let head = self.row.held.as_ref().map(|(held, _)| *held.checkpoint().head());
        let copied = head.unwrap_or(TreeHead::EMPTY);
        let damaged = |e: String| Trouble::Store(crate::store::StoreError::Damaged(e));
        self.context.served.reader.forget();
        self.edge = restore(&self.context.served, &copied).map_err(damaged)?;
        self.free_edge()?;
        self.keep(Row { pending: None, copied, ..self.row.clone() })?;
        Ok(())
    }

    /// Makes the right edge of the copy stand by itself, where it was only the beginning of full
    /// tiles: those are written over.
    fn free_edge(&self) -> Result<(), Trouble> {
        let site = &self.context.served.site;
        site.start_from(self.edge.size());
        let edge = self.edge.partial_tiles();
        for (coord, bytes) in &edge {
            site.overwrite(*coord, bytes)?;
        }
        site.sync(&edge.iter().map(|(coord, _)| *coord).collect())?;
        Ok(())
    }

    fn keep(&mut self, row: Row) -> Result<(), MirrorError> {
        self.context.common.store().keep(&self.context.log.origin, &row)?;
        self.row = row;
        self.report();
        Ok(())
    }

    fn report(&self) {
        let pending = self.row.pending.as_ref().map(|own| own.checkpoint().head().size.get());
        let copied = self.row.copied.size.get();
        let source = self.context.log.source.clone();
        self.context.served.note(|status| {
            status.source = source;
            status.pending = pending;
            status.copied = copied;
        });
    }
}

/// Whether the copy has what its row says, and with it all that was promised.
pub fn is_whole(served: &ServedCopy, row: &Row) -> Result<(), String> {
    let held = row.held.as_ref().map(|(held, _)| held.checkpoint().head().size);
    if held.is_some_and(|held| held > row.copied.size) {
        return Err(format!("{} entries of what was promised are here", row.copied.size));
    }
    restore_all(served, row).map(|_| ())
}

/// The right edge of what is copied. Where the copy has grown beyond the held checkpoint, the tiles
/// with which the held tree ends are written anew.
fn restore_all(served: &ServedCopy, row: &Row) -> Result<Edge, String> {
    let edge = restore(served, &row.copied)?;
    let held = row.held.as_ref().map(|(held, _)| held.checkpoint().head().size);
    if let Some(held) = held.filter(|held| *held <= row.copied.size) {
        served.site.restore_edge(held, &row.copied).map_err(|e| e.to_string())?;
    }
    Ok(edge)
}

fn restore(served: &ServedCopy, head: &TreeHead) -> Result<Edge, String> {
    if head.size.is_empty() {
        return Ok(Edge::new());
    }
    Edge::restore(served.reader.tiles(), head).map_err(|e| e.to_string())
}
