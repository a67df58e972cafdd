//! The other half of an audit: are the entries lawful?
//!
//! Signatures are verified on all cores; what depends on the order of entries is judged afterwards
//! in order, by one thread.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Scope;

use ledger_core::charter::Charter;
use ledger_core::index::LeafIndex;
use ledger_core::lawful::{Admitted, Finding, Look, SeenInMemory};
use ledger_core::record::{Logged, Record};

use super::report::Report;
use super::tree::Entries;

/// What the judges saw.
#[derive(Debug, Default)]
pub struct Tally {
    /// Entries that every rule allows.
    pub lawful: u64,
    /// Signatures that verified.
    pub signatures: u64,
    /// Entries that this version cannot judge.
    pub not_judged: u64,
    /// Why they cannot be judged, and how many.
    pub reasons: BTreeMap<String, u64>,
    /// The first change of the charter that this version cannot follow: from there on nobody's
    /// authority is known.
    pub blind: Option<u64>,
    /// The rules in force at the end.
    pub charter: Option<Arc<Charter>>,
}

/// Entries on their way to a worker.
struct Job {
    number: u64,
    first: u64,
    entries: Entries,
}

struct Done {
    number: u64,
    first: u64,
    /// `None` where the tree says that the entry was altered: there is nothing to judge.
    seen: Vec<Option<Look>>,
}

/// A lawful entry, and the charter around it.
#[derive(Debug, Clone, Copy)]
pub struct LawfulEntry<'a> {
    /// Where it stands.
    pub index: LeafIndex,
    /// The log's line.
    pub logged: Logged,
    /// The record.
    pub record: &'a Record,
    /// The charter that it was judged by; for entry 0 the one that it founds.
    pub judge: &'a Arc<Charter>,
    /// The charter behind it.
    pub then: &'a Arc<Charter>,
}

/// Takes each lawful entry, in the order of the log.
pub type Lawful<'a> = dyn FnMut(&LawfulEntry<'_>) + 'a;

/// The workers, and the state that depends on order.
pub struct Judges<'a> {
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Done>,
    waiting: BTreeMap<u64, Done>,
    sent: u64,
    next: u64,
    most_waiting: u64,
    order: Order<'a>,
}

/// The fold over entries in order.
struct Order<'a> {
    fold: ledger_core::lawful::Lawful<SeenInMemory>,
    /// The rules in force, for the workers; they may be behind.
    shared: Arc<Mutex<Arc<Charter>>>,
    /// This machine's time, which may be wrong.
    clock: u64,
    tally: Tally,
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
        let (jobs, to_workers) = sync_channel::<Job>(cores);
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
                    let seen = job.entries.iter();
                    let seen = seen.map(|entry| Some(Look::at(&charter, entry?))).collect();
                    if done.send(Done { number, first, seen }).is_err() {
                        return;
                    }
                }
            });
        }
        let fold = ledger_core::lawful::Lawful::new(charter, 0, SeenInMemory::default());
        let order = Order { fold, shared, clock, tally: Tally::default(), lawful };
        let most_waiting = 4 * cores as u64;
        let (waiting, sent, next) = (BTreeMap::new(), 0, 0);
        Judges { jobs: Some(jobs), done, waiting, sent, next, most_waiting, order }
    }

    /// Hands a block to the workers, and judges what is ready.
    pub fn send(&mut self, first: u64, entries: Entries, report: &mut Report) {
        let job = Job { number: self.sent, first, entries };
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
    pub fn finish(mut self, report: &mut Report) -> Tally {
        self.jobs = None;
        while self.next < self.sent {
            let Ok(done) = self.done.recv() else { break };
            self.take(done, report);
        }
        let (charter, blind) = (self.order.fold.charter(), self.order.fold.blind());
        Tally { charter: Some(Arc::clone(charter)), blind, ..self.order.tally }
    }

    fn take(&mut self, done: Done, report: &mut Report) {
        self.waiting.insert(done.number, done);
        while let Some(done) = self.waiting.remove(&self.next) {
            self.next += 1;
            for (at, seen) in done.seen.into_iter().enumerate() {
                if let Some(look) = seen {
                    self.order.judge(done.first + at as u64, look, report);
                }
            }
        }
    }
}

impl Order<'_> {
    fn judge(&mut self, index: u64, look: Look, report: &mut Report) {
        let ahead = look.logged().and_then(|logged| logged.time.checked_sub(self.clock));
        // that it lies after this machine's clock is worth a remark, but may be the clock's fault
        if let Some(ahead) = ahead.filter(|ahead| *ahead > 0) {
            report.ahead(index, ahead);
        }
        let place = LeafIndex::new(index).expect("no tree has entries beyond");
        let Ok(finding) = self.fold.judge(place, look);
        match finding {
            Finding::Lawful(admitted) => self.tell(place, &admitted),
            Finding::NotJudged(why) => {
                self.tally.not_judged += 1;
                *self.tally.reasons.entry(why).or_default() += 1;
            }
            Finding::Unlawful(why) => report.unlawful(index, &why.to_string()),
            _ => report.unlawful(index, "it cannot be judged"),
        }
    }

    fn tell(&mut self, index: LeafIndex, admitted: &Admitted) {
        let Admitted { logged, record, judge, then } = admitted;
        self.tally.lawful += 1;
        self.tally.signatures += record.note().signatures().len() as u64;
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
