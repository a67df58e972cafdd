//! A year of a consortium, simulated from a seed: what was logged, and what was tried in vain.
//!
//! Twelve members found a log; in the year that follows some come and go, keys are rotated, lost
//! and revoked, terms end, norms change the rules, and records of all kinds are written, answered,
//! disputed, mended and forgotten. The simulation keeps its own [`Book`] of members, roles, keys
//! and rules, and says by it of each record whether the log may take it. It never asks the core, so
//! that a test can hold the core's verdicts against it.

mod agenda;
mod apply;
mod book;
mod breach;
mod founding;
mod governing;
mod incidents;
mod plans;
mod refused;
mod reviews;
mod ring;
mod rules;
mod site;

use std::sync::Arc;

use ledger_core::LeafIndex;
use ledger_core::charter::{Charter, Governance};
use ledger_core::record::Entry;

use crate::registers_model::Told;

pub use book::{Book, Breaches, OwnKey, Party, Span, Stands};
pub use breach::Breach;
pub use ring::Ring;
pub use site::Site;

/// When the log is founded: 2025-01-01.
pub const START: u64 = 1_735_689_600;

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// A record that somebody brought to the log.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// What it was about.
    pub what: &'static str,
    /// The place that it got, or would have got.
    pub index: u64,
    /// The record, with the line that the log gave it or would have given it.
    pub entry: Entry,
    /// The rules that it breaks by the simulation's book; the log takes it if there are none.
    pub breaches: Breaches,
}

/// A simulated year.
#[derive(Debug)]
pub struct Year {
    /// What it was made from.
    pub seed: u64,
    /// All that was brought to the log, in order.
    pub attempts: Vec<Attempt>,
    /// What the log took.
    pub entries: Vec<Entry>,
    /// The book behind each governance entry.
    pub books: Vec<Book>,
    /// The keys.
    pub ring: Ring,
}

impl Year {
    /// The year of a seed, with so many entries spread over it.
    pub fn new(seed: u64, records: usize) -> Year {
        agenda::Simulation::new(seed, records).run()
    }

    /// The book behind an entry.
    ///
    /// # Panics
    /// Never: the charter opens one.
    pub fn book(&self, index: u64) -> &Book {
        let upto = self.books.partition_point(|book| book.latest <= index);
        &self.books[upto - 1]
    }

    /// The governance entries up to an index, with their places.
    pub fn governance(&self, upto: u64) -> impl Iterator<Item = (LeafIndex, &Entry)> {
        let places = self.books.iter().map(|book| book.latest).filter(move |at| *at <= upto);
        places.map(|at| (crate::index(at), &self.entries[at as usize]))
    }

    /// The last entry's time.
    ///
    /// # Panics
    /// Never: there is the charter.
    pub fn end(&self) -> u64 {
        self.entries.last().expect("a charter").logged().time
    }

    /// The entries as the slow model of the registers takes them.
    ///
    /// # Panics
    /// If the core refuses one of the governance entries.
    pub fn told(&self) -> Vec<Told> {
        let governance = Governance::replay(self.governance(u64::MAX)).expect("lawful");
        let mut told = Vec::with_capacity(self.entries.len());
        for (at, entry) in self.entries.iter().enumerate() {
            let charter = governance.at(entry.logged().governance).expect("it is there");
            told.push(Told {
                index: at as u64,
                logged: entry.logged().time,
                statement: entry.record().statement(),
                body: entry.record().body().clone(),
                charter: Arc::<Charter>::clone(charter),
            });
        }
        told
    }

    /// The book's rows of the members' register behind an entry, one text each.
    pub fn members(&self, index: u64, now: u64) -> Vec<String> {
        let row = |party: &Party| {
            let roles: Vec<String> = party
                .roles
                .iter()
                .map(|(role, span)| format!("{role} {span:?} {}", party.holds(role, now)))
                .collect();
            let key = |key: &OwnKey| {
                let signs = key.revoked.is_none() && key.span.has(now);
                format!("{} {} {:?} {:?} {signs}", key.vkey, key.usage, key.span, key.revoked)
            };
            let keys: Vec<String> = party.keys.iter().map(key).collect();
            format!("{} {:?} {roles:?} {keys:?}", party.name, party.stands)
        };
        self.book(index).parties.iter().map(row).collect()
    }
}
