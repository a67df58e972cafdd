//! The year as it goes by: what is due next, what is brought to the log, and what becomes of it.

use std::collections::BTreeMap;

use ledger_core::note::SignerKey;
use ledger_core::record::{
    Draft, Entry, Logged, Object, Record, RecordId, StatementId, format_time,
};

use super::book::Book;
use super::breach::Offer;
use super::ring::Ring;
use super::{Attempt, Breaches, DAY, START, Year, founding};
use crate::random::Random;

/// Seconds for which a record may lie on its writer's desk.
const WRITING: u64 = 7_200;

/// Something that somebody does on a day.
pub(super) type Task = Box<dyn FnOnce(&mut Simulation)>;

/// A record of the log that later ones may refer to.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) statement: StatementId,
    pub(super) kind: String,
    pub(super) issuer: String,
    /// The seal's opening, if it has one.
    pub(super) disclosures: Vec<String>,
}

/// A year that is going on.
pub(super) struct Simulation {
    pub(super) random: Random,
    pub(super) book: Book,
    pub(super) time: u64,
    pub(super) known: Vec<Known>,
    /// Bases that have been the latest once.
    pub(super) old_bases: Vec<String>,
    year: Year,
    records: usize,
    counter: u64,
    agenda: BTreeMap<(u64, u64), Task>,
}

impl Simulation {
    /// The log with its charter.
    pub(super) fn new(seed: u64, records: usize) -> Simulation {
        let ring = Ring::new(seed);
        let charter = founding::charter(&ring);
        let book = Book::found(charter.body(), &charter.statement().to_string());
        let logged = Logged { time: START, governance: crate::index(0) };
        let entry = Entry::new(logged, charter);
        let founded = Attempt {
            what: "the charter",
            index: 0,
            entry: entry.clone(),
            breaches: Breaches::new(),
        };
        let books = vec![book.clone()];
        let year = Year { seed, attempts: vec![founded], entries: vec![entry], books, ring };
        Simulation {
            random: Random::new(seed),
            book,
            time: START,
            known: Vec::new(),
            old_bases: Vec::new(),
            year,
            records,
            counter: 0,
            agenda: BTreeMap::new(),
        }
    }

    /// Lets the year go by.
    pub(super) fn run(mut self) -> Year {
        self.plan_governance();
        let step = 365 * DAY / self.records as u64;
        while !self.is_full() {
            let logged = self.year.entries.len() as u64;
            // at an even pace: what is logged late one day is made up for on the next
            let pace = START + logged * step;
            self.time = pace.max(self.time) + self.random.below(step.max(2) / 2);
            match self.agenda.first_key_value().is_some_and(|((due, _), _)| *due <= self.time) {
                true => {
                    let (_, task) = self.agenda.pop_first().expect("it was there");
                    task(&mut self);
                }
                false => self.begin(),
            }
            if self.random.one_in(3) {
                self.try_in_vain();
            }
        }
        self.year
    }

    fn begin(&mut self) {
        match self.random.below(16) {
            0..4 => self.incident(),
            4 | 5 => self.risk(),
            6..9 => self.decision(),
            9 => self.review_of_record(),
            10 | 11 => self.concern(),
            12 => self.preregistration(),
            13 => self.drill(),
            14 => self.milestone(),
            _ => self.dispute_anything(),
        }
    }

    fn is_full(&self) -> bool {
        self.year.entries.len() >= self.records
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.year.ring
    }

    /// Does something so many days from now.
    pub(super) fn later(&mut self, days: u64, task: impl FnOnce(&mut Simulation) + 'static) {
        let seconds = days * DAY + self.random.below(DAY);
        self.on(self.time + seconds, task);
    }

    /// Does something at a time.
    pub(super) fn on(&mut self, time: u64, task: impl FnOnce(&mut Simulation) + 'static) {
        self.counter += 1;
        self.agenda.insert((time, self.counter), Box::new(task));
    }

    /// Some days from now, as text.
    pub(super) fn in_days(&self, days: u64) -> String {
        format_time(self.time + days * DAY)
    }

    /// Some days ago, as text: before anything that was written today.
    pub(super) fn days_ago(&self, days: u64) -> String {
        format_time(self.time - days * DAY - WRITING)
    }

    /// The envelope of a record that was written today.
    pub(super) fn sheet(&mut self, kind: &str, issuer: &str, title: &str) -> Object {
        self.counter += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.counter.to_be_bytes());
        let id = RecordId::from_parts(self.time * 1000, random);
        let issued_at = self.time - self.random.below(WRITING);
        Object::new()
            .with("log", self.book.origin.as_str())
            .with("kind", kind)
            .with("id", id.to_string())
            .with("issuer", issuer)
            .with("issued_at", format_time(issued_at))
            .with("title", Object::new().with("en", title))
            .with("summary", Object::new().with("en", format!("{title}, by {issuer}.")))
    }

    /// One of these.
    pub(super) fn one_of<'a, T: ?Sized>(&mut self, words: &[&'a T]) -> &'a T {
        words[self.random.below(words.len() as u64) as usize]
    }

    /// Some member that may sign for a role now.
    pub(super) fn someone(&mut self, role: &str) -> Option<String> {
        let able = self.book.able(role, self.time);
        let at = self.random.below(able.len().max(1) as u64) as usize;
        able.get(at).cloned()
    }

    /// The key with which a member signs now.
    pub(super) fn key_of(&self, member: &str) -> Option<SignerKey> {
        let key = self.book.party(member)?.key(self.time)?;
        Some(self.ring().key(key.name()))
    }

    /// The issuer's key, and those of as many others as the rule for the kind asks for.
    pub(super) fn signers(&mut self, kind: &str, issuer: &str) -> Vec<SignerKey> {
        let mut names = vec![issuer.to_owned()];
        let rule = self.book.rules.get(kind).cloned().unwrap_or_default();
        for (role, needed) in rule {
            let mut able = self.book.able(&role, self.time);
            let mut have = names.iter().filter(|name| able.contains(name)).count() as u64;
            able.retain(|name| !names.contains(name));
            while have < needed && !able.is_empty() {
                let at = self.random.below(able.len() as u64) as usize;
                names.push(able.swap_remove(at));
                have += 1;
            }
        }
        names.iter().filter_map(|name| self.key_of(name)).collect()
    }

    /// Writes a record by the rule of its kind and brings it to the log.
    pub(super) fn write(&mut self, what: &'static str, mut body: Object) -> Option<Known> {
        let text = |name: &str| body.text(name).unwrap_or_default().to_owned();
        let (kind, issuer) = (text("kind"), text("issuer"));
        let keys = self.signers(&kind, &issuer);
        // who signs together often says so
        if keys.len() > 1 && self.random.one_in(2) {
            let names = keys.iter().map(|key| key.verifier().name().to_string());
            body.set("signers", names.collect::<Vec<_>>());
        }
        self.offer(what, &body, &keys)
    }

    /// Signs a record and brings it to the log; gives it back if it is taken.
    pub(super) fn offer(
        &mut self,
        what: &'static str,
        body: &Object,
        keys: &[SignerKey],
    ) -> Option<Known> {
        if keys.is_empty() {
            return None;
        }
        let draft = Draft::from_object(body);
        let draft = draft.unwrap_or_else(|error| {
            panic!("seed {}: {what}: {error}\n{}", self.year.seed, body.to_pretty_json())
        });
        let keys: Vec<&SignerKey> = keys.iter().collect();
        let record = draft.sign(&keys).expect("record keys, each once");
        let taken = self.bring(what, record, false)?;
        let [kind, issuer] = ["kind", "issuer"].map(|name| body.text(name).unwrap_or_default());
        let (kind, issuer) = (kind.to_owned(), issuer.to_owned());
        let known = Known { statement: taken, kind, issuer, disclosures: Vec::new() };
        self.known.push(known.clone());
        Some(known)
    }

    /// Brings a record to the log, which takes it if the book says so.
    pub(super) fn bring(
        &mut self,
        what: &'static str,
        record: Record,
        altered: bool,
    ) -> Option<StatementId> {
        if self.is_full() {
            return None;
        }
        let statement = record.statement();
        let index = self.year.entries.len() as u64;
        let lines = record.note().signatures().iter();
        let vkeys = lines.map(|line| {
            let name = line.name().as_str();
            let all = [self.ring().key(name), self.ring().impostor(name)];
            let own = all.into_iter().find(|key| key.verifier().id() == line.id());
            let brought = || record.body().text("vkey").unwrap_or_default().to_owned();
            own.map_or_else(brought, |key| key.verifier().to_string())
        });
        let vkeys = vkeys.collect();
        let offer = Offer { body: record.body(), vkeys, altered, time: self.time };
        let (breaches, next) = self.book.judge(&offer, index, &statement.to_string());
        let logged = Logged { time: self.time, governance: crate::index(self.book.latest) };
        let entry = Entry::new(logged, record);
        let lawful = breaches.is_empty();
        self.year.attempts.push(Attempt { what, index, entry: entry.clone(), breaches });
        if !lawful {
            return None;
        }
        self.year.entries.push(entry);
        if let Some(next) = next {
            let before = std::mem::replace(&mut self.book, next);
            self.old_bases.push(before.base);
            self.year.books.push(self.book.clone());
        }
        Some(statement)
    }
}

/// A reference to another record.
pub(super) fn refers(relation: &str, to: &Known) -> Object {
    Object::new().with("rel", relation).with("statement", to.statement.to_string())
}
