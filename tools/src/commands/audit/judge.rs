//! The other half of an audit: are the entries lawful?
//!
//! Signatures are verified on all cores; what depends on the order of entries is judged afterwards
//! in order, by one thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::Scope;

use ledger_core::charter::{Charter, Rejection, SignedRecord};
use ledger_core::hash::Hash;
use ledger_core::index::LeafIndex;
use ledger_core::record::{
    Entry, Envelope, Kind, Logged, Outline, Record, StatementId, format_time,
};

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
    /// From where on the charter is not known, if anywhere.
    pub blind: Option<Blind>,
}

/// The first entry that may have changed the charter in a way this version does not follow.
#[derive(Debug, Clone, Copy)]
pub struct Blind {
    /// The entry.
    pub from: u64,
    /// Whether a norm was seen, which may change log keys and limits too.
    pub norm: bool,
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
    /// No version would take these bytes.
    NoRecord(Option<Logged>, Option<Names>, String),
    /// A record, at a place that any charter of the log allows or refuses.
    Record { logged: Logged, names: Names, place: Result<(), Rejection>, verdict: Verdict },
}

/// What is known about a record's signatures.
enum Verdict {
    /// They verify.
    Signed(Box<SignedRecord>),
    /// They verify, but a later version must judge the rest; says why.
    NotSupported(String),
    /// It breaks a rule of the charter.
    Refused(Rejection),
}

/// What must not come twice, and whether the entry is one of governance.
struct Names {
    statement: StatementId,
    unique: Hash,
    kind: Kind,
}

struct Done {
    number: u64,
    first: u64,
    seen: Vec<Seen>,
}

/// Takes each lawful entry, in the order of the log, with the charter that it was judged by.
pub type Lawful<'a> = dyn FnMut(LeafIndex, &Logged, &Record, &Arc<Charter>) + 'a;

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
    charter: Arc<Charter>,
    /// This machine's time, which may be wrong.
    clock: u64,
    /// The time of the entry before.
    before: u64,
    /// Statements and (issuer, id) pairs, with the entry that bore them first.
    names: HashMap<[u8; 32], u64>,
    /// Entries that may have changed the charter: what a `logged` line may name while blind.
    governance: Vec<u64>,
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
                    let entries = (first..).zip(job.entries.iter());
                    let seen = entries.map(|(index, entry)| look(&charter, index, entry)).collect();
                    if done.send(Done { number, first, seen }).is_err() {
                        return;
                    }
                }
            });
        }
        let order = Order {
            charter,
            clock,
            before: 0,
            names: HashMap::new(),
            governance: vec![0],
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

/// What needs no order: form, place and signatures.
fn look(charter: &Charter, index: u64, entry: Option<&[u8]>) -> Seen {
    let Some(bytes) = entry else { return Seen::Nothing };
    let (logged, bytes) = match Entry::split(bytes) {
        Ok(parts) => parts,
        Err(e) => return Seen::NoRecord(None, None, e.to_string()),
    };
    let at = LeafIndex::new(index).expect("no tree has entries beyond");
    let (envelope, names, verdict) = match Record::parse(bytes) {
        Ok(record) => {
            let envelope = record.envelope().clone();
            let names = Names::of(record.statement(), &envelope);
            let verdict = match charter.verify(record) {
                Ok(signed) => Verdict::Signed(Box::new(signed)),
                Err(e) => Verdict::Refused(e),
            };
            (envelope, names, verdict)
        }
        Err(e) if e.is_not_supported() => match Outline::parse(bytes) {
            Ok(outline) => {
                let names = Names::of(outline.statement(), outline.envelope());
                let verdict = match charter.verify_outline(&outline, &logged, at) {
                    Ok(()) => Verdict::NotSupported(e.to_string()),
                    Err(e) => Verdict::Refused(e),
                };
                (outline.envelope().clone(), names, verdict)
            }
            Err(e) => return Seen::NoRecord(Some(logged), None, e.to_string()),
        },
        Err(e) => {
            let outline = Outline::parse(bytes).ok();
            let names = outline.map(|o| Names::of(o.statement(), o.envelope()));
            return Seen::NoRecord(Some(logged), names, e.to_string());
        }
    };
    // the charter itself was founded before the judges began
    let place = if index == 0 { Ok(()) } else { charter.check_place(&envelope, &logged, at) };
    Seen::Record { logged, names, place, verdict }
}

impl Names {
    fn of(statement: StatementId, envelope: &Envelope) -> Names {
        Names { statement, unique: envelope.unique_key(), kind: envelope.kind() }
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
            Seen::Record { logged, names, place, verdict } => {
                let time = self.pass(index, logged, report);
                let broken = time.or(self.twice(Some(&names)));
                if let Some(why) = broken.or_else(|| self.unheard_of(&logged)) {
                    self.unlawful(index, Some(&names), &why, report);
                    return;
                }
                let verdict = match place {
                    Ok(()) => verdict,
                    Err(e) => Verdict::Refused(e),
                };
                self.record(index, logged, &names, verdict, report);
            }
        }
    }

    fn record(
        &mut self,
        index: u64,
        logged: Logged,
        names: &Names,
        verdict: Verdict,
        report: &mut Report,
    ) {
        let signed = match verdict {
            Verdict::Signed(signed) => signed,
            Verdict::NotSupported(why) => {
                self.may_govern(index, names);
                self.not_judged(index, names, why);
                return;
            }
            Verdict::Refused(e) => return self.refused(index, names, &e, report),
        };
        let place = LeafIndex::new(index).expect("no tree has entries beyond");
        let admitted = match index {
            0 => Ok(()),
            _ => self.charter.admit(&signed, &logged, place).map(|_| ()),
        };
        match (admitted, self.tally.blind.filter(|_| index > 0)) {
            (Ok(()), None) => {
                self.remember(index, names);
                self.tally.lawful += 1;
                self.tally.signatures += signed.record().note().signatures().len() as u64;
                if let Some(lawful) = &mut self.lawful {
                    lawful(place, &logged, signed.record(), &self.charter);
                }
            }
            (Ok(()), Some(blind)) => self.not_judged(index, names, blind.why()),
            (Err(e), _) => self.refused(index, names, &e, report),
        }
    }

    /// A rule is broken; while blind, only rules that every state of the charter has count.
    fn refused(&mut self, index: u64, names: &Names, e: &Rejection, report: &mut Report) {
        if e.is_not_supported() {
            self.not_judged(index, names, e.to_string());
            return;
        }
        let excuse = self.tally.blind.filter(|blind| {
            let limit = blind.norm && matches!(e, Rejection::IssuedTooEarly { .. });
            e.depends_on_charter() || limit
        });
        match excuse {
            Some(blind) => {
                self.may_govern(index, names);
                self.not_judged(index, names, blind.why());
            }
            None => self.unlawful(index, Some(names), &e.to_string(), report),
        }
    }

    /// From a change of the charter on, nobody's authority is known.
    fn may_govern(&mut self, index: u64, names: &Names) {
        if names.kind.is_governance() {
            self.governance.push(index);
            let blind = self.tally.blind.get_or_insert(Blind { from: index, norm: false });
            blind.norm |= names.kind == Kind::Norm;
        }
    }

    /// While blind, the entry that a `logged` line names must at least be one that may govern.
    fn unheard_of(&self, logged: &Logged) -> Option<String> {
        let named = logged.governance.get();
        if self.tally.blind.is_none() || self.governance.binary_search(&named).is_ok() {
            return None;
        }
        Some(format!("the logged line names entry {named}, which did not change the charter"))
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

impl Blind {
    /// Why nobody's authority is known.
    pub fn why(self) -> String {
        let from = self.from;
        format!("entry {from} may have changed the charter, which this version does not follow")
    }
}
