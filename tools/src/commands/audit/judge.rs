//! The other half of an audit: are the entries lawful?
//!
//! Signatures are verified on all cores; what depends on the order of entries is judged afterwards
//! in order, by one thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Scope;

use ledger_core::charter::{Change, Charter, Rejection, SignedRecord};
use ledger_core::hash::Hash;
use ledger_core::index::LeafIndex;
use ledger_core::record::{Entry, Envelope, Logged, Outline, Record, StatementId, format_time};

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

/// What a worker says about one entry, whatever came before it.
enum Seen {
    /// The tree says that it was altered; there is nothing to judge.
    Nothing,
    /// No record of ours.
    NoRecord(Option<Logged>, Option<Names>, String),
    /// A record.
    Record { logged: Logged, names: Names, verdict: Verdict },
}

/// What is known about a record's signatures.
enum Verdict {
    /// They verify.
    Signed(Box<SignedRecord>),
    /// The charter that the worker knew, which may not be the one in force, refuses them.
    Refused(Vec<u8>),
}

/// What must not come twice.
struct Names {
    statement: StatementId,
    unique: Hash,
}

struct Done {
    number: u64,
    first: u64,
    seen: Vec<Seen>,
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
    /// The rules in force.
    charter: Arc<Charter>,
    /// The same, for the workers; they may be behind.
    shared: Arc<Mutex<Arc<Charter>>>,
    /// This machine's time, which may be wrong.
    clock: u64,
    /// The time of the entry before.
    before: u64,
    /// Statements and (issuer, id) pairs, with the entry that bore them first.
    names: HashMap<[u8; 32], u64>,
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
                    let seen = job.entries.iter().map(|entry| look(&charter, entry)).collect();
                    if done.send(Done { number, first, seen }).is_err() {
                        return;
                    }
                }
            });
        }
        let order = Order {
            charter,
            shared,
            clock,
            before: 0,
            names: HashMap::new(),
            tally: Tally::default(),
            lawful,
        };
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
        Tally { charter: Some(self.order.charter), ..self.order.tally }
    }

    fn take(&mut self, done: Done, report: &mut Report) {
        self.waiting.insert(done.number, done);
        while let Some(done) = self.waiting.remove(&self.next) {
            self.next += 1;
            for (at, seen) in done.seen.into_iter().enumerate() {
                self.order.judge(done.first + at as u64, seen, report);
            }
        }
    }
}

/// What needs no order: form and signatures.
fn look(charter: &Charter, entry: Option<&[u8]>) -> Seen {
    let Some(bytes) = entry else { return Seen::Nothing };
    let (logged, bytes) = match Entry::split(bytes) {
        Ok(parts) => parts,
        Err(e) => return Seen::NoRecord(None, None, e.to_string()),
    };
    match Record::parse(bytes) {
        Ok(record) => {
            let names = Names::of(record.statement(), record.envelope());
            let verdict = match charter.verify(record) {
                Ok(signed) => Verdict::Signed(Box::new(signed)),
                Err(_) => Verdict::Refused(bytes.to_vec()),
            };
            Seen::Record { logged, names, verdict }
        }
        Err(e) => {
            let outline = Outline::parse(bytes).ok();
            let names = outline.map(|o| Names::of(o.statement(), o.envelope()));
            Seen::NoRecord(Some(logged), names, e.to_string())
        }
    }
}

impl Names {
    fn of(statement: StatementId, envelope: &Envelope) -> Names {
        Names { statement, unique: envelope.unique_key() }
    }
}

impl Order<'_> {
    fn judge(&mut self, index: u64, seen: Seen, report: &mut Report) {
        match seen {
            Seen::Nothing => {}
            Seen::NoRecord(logged, names, why) => {
                let time = logged.and_then(|logged| self.pass(index, logged, report));
                let why = time.or(self.twice(names.as_ref())).unwrap_or(why);
                self.unlawful(index, names.as_ref(), &why, report);
            }
            Seen::Record { logged, names, verdict } => {
                let time = self.pass(index, logged, report);
                if let Some(why) = time.or(self.twice(Some(&names))) {
                    self.unlawful(index, Some(&names), &why, report);
                    return;
                }
                if let Some(from) = self.tally.blind {
                    let why = format!(
                        "entry {from} may have changed the charter, which this version does not \
                         follow"
                    );
                    self.not_judged(index, &names, why);
                    return;
                }
                match self.admit(index, logged, verdict) {
                    Ok(signatures) => {
                        self.remember(index, &names);
                        self.tally.lawful += 1;
                        self.tally.signatures += signatures as u64;
                    }
                    Err(e) if e.is_not_supported() => {
                        self.tally.blind = Some(index);
                        self.not_judged(index, &names, e.to_string());
                    }
                    Err(e) => self.unlawful(index, Some(&names), &e.to_string(), report),
                }
            }
        }
    }

    /// Judges a record by the rules in force at its place; how many signatures it bears.
    fn admit(&mut self, index: u64, logged: Logged, verdict: Verdict) -> Result<usize, Rejection> {
        let signed = match verdict {
            Verdict::Signed(signed) => *signed,
            // the worker may not have known of a change yet
            Verdict::Refused(bytes) => {
                let record = Record::parse(&bytes).expect("the worker has parsed these bytes");
                self.charter.verify(record)?
            }
        };
        let signatures = signed.record().note().signatures().len();
        // the charter itself was founded before the judges began
        if index == 0 {
            let charter = Arc::clone(&self.charter);
            self.tell(LeafIndex::ZERO, logged, signed.record(), &charter);
            return Ok(signatures);
        }
        let place = LeafIndex::new(index).expect("no tree has entries beyond");
        let before = Arc::clone(&self.charter);
        if let Change::Governance(next) = self.charter.admit(&signed, &logged, place)? {
            self.charter = Arc::from(next);
            if let Ok(mut shared) = self.shared.lock() {
                *shared = Arc::clone(&self.charter);
            }
        }
        self.tell(place, logged, signed.record(), &before);
        Ok(signatures)
    }

    fn tell(&mut self, index: LeafIndex, logged: Logged, record: &Record, judge: &Arc<Charter>) {
        if let Some(lawful) = &mut self.lawful {
            lawful(&LawfulEntry { index, logged, record, judge, then: &self.charter });
        }
    }

    /// An unlawful entry occupies its statement, but takes no id away from others.
    fn unlawful(&mut self, index: u64, names: Option<&Names>, why: &str, report: &mut Report) {
        if let Some(names) = names {
            self.names.entry(*names.statement.as_hash().as_bytes()).or_insert(index);
        }
        report.unlawful(index, why);
    }

    fn not_judged(&mut self, index: u64, names: &Names, why: String) {
        self.remember(index, names);
        self.tally.not_judged += 1;
        *self.tally.reasons.entry(why).or_default() += 1;
    }

    /// The log's time never goes back. That it lies after this machine's clock is worth a remark,
    /// but may be the clock's fault.
    fn pass(&mut self, index: u64, logged: Logged, report: &mut Report) -> Option<String> {
        if let Some(ahead) = logged.time.checked_sub(self.clock).filter(|ahead| *ahead > 0) {
            report.ahead(index, ahead);
        }
        let before = std::mem::replace(&mut self.before, logged.time);
        if logged.time < before {
            let (now, before) = (format_time(logged.time), format_time(before));
            return Some(format!("its time {now} lies before the entry before it, {before}"));
        }
        None
    }

    /// No statement and no (issuer, id) comes twice.
    fn twice(&self, names: Option<&Names>) -> Option<String> {
        let names = names?;
        if let Some(first) = self.names.get(names.statement.as_hash().as_bytes()) {
            return Some(format!("its statement is already in entry {first}"));
        }
        let first = self.names.get(names.unique.as_bytes())?;
        Some(format!("its issuer used its id already for entry {first}"))
    }

    fn remember(&mut self, index: u64, names: &Names) {
        self.names.entry(*names.statement.as_hash().as_bytes()).or_insert(index);
        self.names.entry(*names.unique.as_bytes()).or_insert(index);
    }
}
