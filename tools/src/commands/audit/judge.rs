//! The other half of an audit: are the entries lawful?
//!
//! Signatures are verified on all cores; what depends on the order of entries is judged afterwards
//! in order, by one thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Scope;

use ledger_core::charter::{Charter, SignedRecord};
use ledger_core::hash::Hash;
use ledger_core::index::LeafIndex;
use ledger_core::record::{
    Entry, Envelope, Kind, Logged, Outline, Record, StatementId, format_time,
};

use super::report::Report;
use super::tree::Entries;

/// How far an entry's time may lie in the future: clocks differ.
const FUTURE_SECONDS: u64 = 600;

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
}

/// Entries on their way to a worker.
struct Job {
    number: u64,
    first: u64,
    entries: Entries,
}

/// What a worker says about one entry, whatever its place.
enum Seen {
    /// The tree says that it was altered; there is nothing to judge.
    Nothing,
    /// Its signatures verify.
    Signed(Logged, Box<SignedRecord>),
    /// A later version may judge it.
    NotSupported(Logged, Option<Names>, String),
    /// It breaks a rule.
    Unlawful(Option<Logged>, Option<Names>, String),
}

/// What must not come twice, and whether the entry is one of governance.
struct Names {
    statement: StatementId,
    unique: Hash,
    governance: bool,
}

struct Done {
    number: u64,
    first: u64,
    seen: Vec<Seen>,
}

/// The workers, and the state that depends on order.
pub struct Judges {
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Done>,
    waiting: BTreeMap<u64, Done>,
    sent: u64,
    next: u64,
    most_waiting: u64,
    order: Order,
}

/// The fold over entries in order.
struct Order {
    charter: Arc<Charter>,
    now: u64,
    time: u64,
    /// Statements and (issuer, id) pairs, with the entry that bore them first.
    names: HashMap<[u8; 32], u64>,
    /// The first entry that may have changed the charter in a way this version does not know.
    blind_from: Option<u64>,
    tally: Tally,
}

impl Judges {
    /// Starts a worker on each core.
    pub fn start<'scope>(scope: &'scope Scope<'scope, '_>, charter: Charter, now: u64) -> Judges {
        let charter = Arc::new(charter);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (jobs, to_workers) = sync_channel::<Job>(cores);
        let (to_us, done) = channel();
        let to_workers = Arc::new(Mutex::new(to_workers));
        for _ in 0..cores {
            let (jobs, done): (_, Sender<Done>) = (Arc::clone(&to_workers), to_us.clone());
            let charter = Arc::clone(&charter);
            scope.spawn(move || {
                loop {
                    let job = jobs.lock().map(|jobs| jobs.recv());
                    let Ok(Ok(job)) = job else { return };
                    let (number, first) = (job.number, job.first);
                    let seen = job.entries.iter().map(|entry| look(&charter, entry)).collect();
                    if done.send(Done { number, first, seen }).is_err() {
                        return;
                    }
                }
            });
        }
        let order = Order {
            charter,
            now,
            time: 0,
            names: HashMap::new(),
            blind_from: None,
            tally: Tally::default(),
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
        self.order.tally
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
    let (logged, record) = match Entry::split(bytes) {
        Ok(parts) => parts,
        Err(e) => return Seen::Unlawful(None, None, e.to_string()),
    };
    let names = || Outline::parse(record).ok().map(|o| Names::of(o.statement(), o.envelope()));
    let record = match Record::parse(record) {
        Ok(record) => record,
        Err(e) if e.is_not_supported() => {
            return Seen::NotSupported(logged, names(), e.to_string());
        }
        Err(e) => return Seen::Unlawful(Some(logged), names(), e.to_string()),
    };
    let own = Names::of(record.statement(), record.envelope());
    match charter.verify(record) {
        Ok(signed) => Seen::Signed(logged, Box::new(signed)),
        Err(e) if e.is_not_supported() => Seen::NotSupported(logged, Some(own), e.to_string()),
        Err(e) => Seen::Unlawful(Some(logged), Some(own), e.to_string()),
    }
}

impl Names {
    fn of(statement: StatementId, envelope: &Envelope) -> Names {
        let governance = matches!(envelope.kind(), Kind::Membership | Kind::Norm);
        Names { statement, unique: envelope.unique_key(), governance }
    }
}

impl Order {
    fn judge(&mut self, index: u64, seen: Seen, report: &mut Report) {
        match seen {
            Seen::Nothing => {}
            Seen::Signed(logged, signed) => self.signed(index, logged, &signed, report),
            Seen::NotSupported(logged, names, why) => {
                let broken = self.pass(logged).or(self.twice(names.as_ref()));
                if let Some(why) = broken {
                    self.unlawful(index, names.as_ref(), &why, report);
                    return;
                }
                if names.as_ref().is_some_and(|names| names.governance) {
                    self.blind_from.get_or_insert(index);
                }
                self.not_judged(index, names.as_ref(), why);
            }
            Seen::Unlawful(logged, names, why) => {
                let time = logged.and_then(|logged| self.pass(logged));
                let broken = time.or(self.twice(names.as_ref()));
                match (broken, self.blind_from) {
                    // a key that is unknown now may have been admitted there
                    (None, Some(from)) => self.not_judged(index, names.as_ref(), blind(from)),
                    (broken, _) => {
                        let why = broken.unwrap_or(why);
                        self.unlawful(index, names.as_ref(), &why, report);
                    }
                }
            }
        }
    }

    fn signed(&mut self, index: u64, logged: Logged, signed: &SignedRecord, report: &mut Report) {
        let record = signed.record();
        let names = Names::of(record.statement(), record.envelope());
        if let Some(why) = self.pass(logged).or(self.twice(Some(&names))) {
            self.unlawful(index, Some(&names), &why, report);
            return;
        }
        let signatures = record.note().signatures().len() as u64;
        if let (Some(from), 1..) = (self.blind_from, index) {
            self.not_judged(index, Some(&names), blind(from));
            return;
        }
        let place = LeafIndex::new(index).unwrap_or_default();
        // the charter itself was founded before the judges began
        let admitted = match index {
            0 => Ok(()),
            _ => self.charter.admit(signed, &logged, place).map(|_| ()),
        };
        match admitted {
            Ok(()) => {
                self.remember(index, Some(&names));
                self.lawful(signatures);
            }
            Err(e) if e.is_not_supported() => self.not_judged(index, Some(&names), e.to_string()),
            Err(e) => self.unlawful(index, Some(&names), &e.to_string(), report),
        }
    }

    /// An unlawful entry occupies its statement, but takes no id away from others.
    fn unlawful(&mut self, index: u64, names: Option<&Names>, why: &str, report: &mut Report) {
        if let Some(names) = names {
            self.names.entry(*names.statement.as_hash().as_bytes()).or_insert(index);
        }
        report.unlawful(index, why);
    }

    fn lawful(&mut self, signatures: u64) {
        self.tally.lawful += 1;
        self.tally.signatures += signatures;
    }

    fn not_judged(&mut self, index: u64, names: Option<&Names>, why: String) {
        self.remember(index, names);
        self.tally.not_judged += 1;
        *self.tally.reasons.entry(why).or_default() += 1;
    }

    /// The log's time never goes back, nor into the future.
    fn pass(&mut self, logged: Logged) -> Option<String> {
        if logged.time < self.time {
            let (now, before) = (format_time(logged.time), format_time(self.time));
            return Some(format!("its time {now} lies before the entry before it, {before}"));
        }
        self.time = logged.time;
        if logged.time > self.now.saturating_add(FUTURE_SECONDS) {
            return Some(format!("its time {} lies in the future", format_time(logged.time)));
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

    fn remember(&mut self, index: u64, names: Option<&Names>) {
        if let Some(names) = names {
            self.names.entry(*names.statement.as_hash().as_bytes()).or_insert(index);
            self.names.entry(*names.unique.as_bytes()).or_insert(index);
        }
    }
}

fn blind(from: u64) -> String {
    format!("entry {from} may have changed the charter, which this version does not follow")
}
