//! The second half of an audit: judges whether the entries are lawful.
//!
//! Signatures are verified on all cores; what depends on the order of entries is judged afterwards
//! in order, by one thread.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Scope;

use ledger_core::charter::Charter;
use ledger_core::index::LeafIndex;
use ledger_core::lawful::{Admitted, CheckedEntry, DuplicatesInMemory, Finding};
use ledger_core::record::{Logged, Record};

use super::block::{Entries, Slot};
use super::fate::{Fate, Footing};
use super::gaps::Gaps;
use super::report::Report;

/// What the judges counted and learned.
#[derive(Debug, Default)]
pub struct JudgeTally {
    /// Signatures that verified.
    pub signatures: u64,
    /// The charter state after the last entry, if every change up to there was judged.
    pub charter: Option<Arc<Charter>>,
    /// The log's name, by its charter.
    pub origin: Option<String>,
}

/// Entries on their way to a worker.
struct JudgeJob {
    number: u64,
    first: u64,
    entries: Entries,
}

struct Done {
    number: u64,
    first: u64,
    footing: Footing,
    /// What each entry shows, or why there is no entry to judge.
    checked: Vec<Result<CheckedEntry, Fate>>,
}

/// A lawful entry, with the charter before and after it.
#[derive(Debug, Clone, Copy)]
pub struct LawfulEntry<'a> {
    /// Its index.
    pub index: LeafIndex,
    /// Its `logged` line.
    pub logged: Logged,
    /// The record.
    pub record: &'a Record,
    /// The charter that it was judged by; for entry 0 the one that it founds.
    pub judge: &'a Arc<Charter>,
    /// The charter after it.
    pub then: &'a Arc<Charter>,
}

/// Receives each lawful entry, in the order of the log.
pub type Lawful<'a> = dyn FnMut(&LawfulEntry<'_>) + 'a;

/// The workers, and the state that depends on order.
pub struct Judges<'a> {
    jobs: Option<SyncSender<JudgeJob>>,
    done: Receiver<Done>,
    waiting: BTreeMap<u64, Done>,
    sent: u64,
    next: u64,
    most_waiting: u64,
    order: Order<'a>,
}

/// The fold over entries in order.
struct Order<'a> {
    fold: ledger_core::lawful::EntryVisitor<DuplicatesInMemory>,
    /// The rules for the workers, which may lag behind.
    shared: Arc<Mutex<Arc<Charter>>>,
    /// This machine's time, which may be wrong.
    clock: u64,
    /// Entries that cannot be judged and may have changed the rules.
    gaps: Gaps,
    /// Whether entries without a proof were judged: the rules may come from one of them.
    tainted: bool,
    signatures: u64,
    lawful: Option<&'a mut Lawful<'a>>,
}

impl<'a> Judges<'a> {
    /// Starts a worker on each core.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        charter: Charter,
        clock: u64,
        lawful: Option<&'a mut Lawful<'a>>,
    ) -> Judges<'a> {
        let charter = Arc::new(charter);
        let shared = Arc::new(Mutex::new(Arc::clone(&charter)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (jobs, to_workers) = sync_channel::<JudgeJob>(cores);
        let (to_us, done) = channel();
        let to_workers = Arc::new(Mutex::new(to_workers));
        for _ in 0..cores {
            let (jobs, done): (_, Sender<Done>) = (Arc::clone(&to_workers), to_us.clone());
            let shared = Arc::clone(&shared);
            scope.spawn(move || {
                loop {
                    let job = jobs.lock().map(|jobs| jobs.recv());
                    let Ok(Ok(job)) = job else { return };
                    let (number, first) = (job.number, job.first);
                    let Ok(charter) = shared.lock().map(|charter| Arc::clone(&charter)) else {
                        return;
                    };
                    let footing = job.entries.footing;
                    let seen = job.entries.iter().map(|slot| match slot {
                        Slot::Entry(bytes) => Ok(CheckedEntry::at(&charter, bytes)),
                        Slot::Gap(fate) => Err(fate),
                    });
                    let seen = seen.collect();
                    if done.send(Done { number, first, footing, checked: seen }).is_err() {
                        return;
                    }
                }
            });
        }
        let fold =
            ledger_core::lawful::EntryVisitor::new(charter, 0, DuplicatesInMemory::default());
        let gaps = Gaps::default();
        let order = Order { fold, shared, clock, gaps, tainted: false, signatures: 0, lawful };
        let most_waiting = 4 * cores as u64;
        let (waiting, sent, next) = (BTreeMap::new(), 0, 0);
        Judges { jobs: Some(jobs), done, waiting, sent, next, most_waiting, order }
    }

    /// Sends a block to the workers, and judges what is ready.
    pub fn send(&mut self, first: u64, entries: Entries, report: &mut Report) {
        let job = JudgeJob { number: self.sent, first, entries };
        self.sent += 1;
        if let Some(jobs) = &self.jobs {
            // workers live as long as this sender
            let _ = jobs.send(job);
        }
        while let Ok(done) = self.done.try_recv() {
            self.take(done, report);
        }
        while self.sent - self.next > self.most_waiting {
            let Ok(done) = self.done.recv() else { return };
            self.take(done, report);
        }
    }

    /// Waits for the rest.
    pub fn finish(mut self, report: &mut Report) -> JudgeTally {
        self.jobs = None;
        while self.next < self.sent {
            let Ok(done) = self.done.recv() else { break };
            self.take(done, report);
        }
        let Order { fold, gaps, signatures, .. } = &self.order;
        if let Some(index) = gaps.withheld() {
            report.unconfirmed(index);
        }
        let known = fold.blind().is_none() && gaps.is_empty();
        let charter = Arc::clone(fold.charter());
        let origin = Some(charter.origin().to_owned());
        JudgeTally { signatures: *signatures, charter: known.then_some(charter), origin }
    }

    fn take(&mut self, done: Done, report: &mut Report) {
        self.waiting.insert(done.number, done);
        while let Some(Done { first, footing, checked: seen, .. }) = self.waiting.remove(&self.next)
        {
            self.next += 1;
            let footing = self.order.footing(footing);
            for (index, seen) in (first..).zip(seen) {
                match seen {
                    Ok(look) => self.order.judge(index, look, footing, report),
                    Err(fate) => {
                        self.order.gaps.add(index, fate);
                        report.count(fate, footing, 1);
                    }
                }
            }
        }
    }
}

impl Order<'_> {
    /// What is known about a block, and about the rules that judge it.
    fn footing(&mut self, own: Footing) -> Footing {
        match own {
            Footing::Proven if self.tainted => Footing::Tainted,
            Footing::Proven => Footing::Proven,
            Footing::Tainted | Footing::Unproven => {
                self.tainted = true;
                Footing::Unproven
            }
        }
    }

    fn judge(&mut self, index: u64, look: CheckedEntry, footing: Footing, report: &mut Report) {
        let logged = look.logged();
        let ahead = logged.and_then(|logged| logged.time.checked_sub(self.clock));
        // a time ahead of this machine's clock is reported, but the clock may be at fault
        if let Some(ahead) = ahead.filter(|ahead| *ahead > 0) {
            report.ahead(index, ahead);
        }
        if let Some((norm, fate)) = self.gaps.norm(logged.map(|logged| logged.governance.get())) {
            let why = format!("entry {norm} changed the rules, and this source does not show it");
            report.rules_hidden(why, fate, footing);
            return;
        }
        let place = LeafIndex::new(index).expect("no tree has entries beyond");
        let Ok(finding) = self.fold.judge(place, look);
        match finding {
            Finding::Lawful(admitted) => {
                // its line names the rules in force, so no gap before it changed them
                self.gaps.close();
                report.count(Fate::Lawful, footing, 1);
                self.report(place, &admitted);
            }
            Finding::NotJudged(why) => report.not_judged(why, footing),
            Finding::Unlawful(why) => report.unlawful(index, footing, &why.to_string()),
            _ => report.unlawful(index, footing, "it cannot be judged"),
        }
    }

    fn report(&mut self, index: LeafIndex, admitted: &Admitted) {
        let Admitted { logged, record, judge, then } = admitted;
        self.signatures += record.note().signatures().len() as u64;
        if !Arc::ptr_eq(judge, then)
            && let Ok(mut shared) = self.shared.lock()
        {
            *shared = Arc::clone(then);
        }
        if let Some(lawful) = &mut self.lawful {
            lawful(&LawfulEntry { index, logged: *logged, record, judge, then });
        }
    }
}
