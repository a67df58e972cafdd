//! The one pass over a log: entries in, compact facts that all registers are computed from.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::charter::{Charter, Deadline, Issued};
use crate::index::LeafIndex;
use crate::record::{Entry, Kind, Object, StatementId, Value};

use super::Headline;
use super::detail::Detail;
use super::fact::Fact;
use super::names::{Names, Symbol, position};
use super::rules::{RegisterRule, Start, words_of};

/// What registers know of a log's entries so far.
///
/// Entries come in the order of the log, each with the charter that it was judged by; entry 0 comes
/// with the charter that it founds. References may name records that come later, or never.
#[derive(Debug, Default)]
pub struct Chronicle {
    pub(super) names: Names,
    pub(super) facts: Vec<Stored>,
    pub(super) words: Vec<(Symbol, Symbol)>,
    pub(super) refs: Vec<StoredRef>,
    pub(super) starts: Vec<Start>,
    pub(super) rules: Vec<RegisterRule>,
    /// For each record, the earliest record known to be of its chain, or one on the way to it.
    pub(super) parents: Vec<u32>,
    /// The charters so far, and the rules that each brings; the latest is in force.
    eras: Vec<Era>,
    by_statement: HashMap<StatementId, u32>,
    /// References to records that have not come yet.
    waiting: HashMap<StatementId, Vec<u32>>,
    /// The first record of each issuer's series.
    series: HashMap<(Kind, Symbol), Vec<u32>>,
}

/// One record.
#[derive(Debug)]
pub(super) struct Stored {
    pub index: LeafIndex,
    pub logged: u64,
    pub statement: StatementId,
    pub kind: Kind,
    pub issuer: Symbol,
    pub title: Box<str>,
    pub detail: Detail,
    /// Who does what it says, if it says so.
    pub owner: Option<Symbol>,
    /// The conditions or promises that it meets, if not all.
    pub meets: Box<[Symbol]>,
    /// A retraction of it binds.
    pub retracted: bool,
    words: Range<u32>,
    refs: Range<u32>,
    starts: Range<u32>,
    era: u32,
}

/// A reference, or the member `target`.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredRef {
    pub from: u32,
    /// The record that it names, if that has come.
    pub to: Option<u32>,
    pub statement: StatementId,
    pub relation: Relation,
    /// Whether the issuer has power over the record that it names.
    pub binds: bool,
}

/// The relations that registers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Amends,
    Supersedes,
    Retracts,
    ReportsOn,
    Resolves,
    Duplicates,
    Remediates,
    Reviews,
    Mitigates,
    Appeals,
    Realises,
    Implements,
    /// The member `target`.
    Target,
    Other,
}

#[derive(Debug)]
struct Era {
    charter: Arc<Charter>,
    rules: Arc<[u32]>,
}

impl Relation {
    const ALL: [Relation; 12] = [
        Relation::Amends,
        Relation::Supersedes,
        Relation::Retracts,
        Relation::ReportsOn,
        Relation::Resolves,
        Relation::Duplicates,
        Relation::Remediates,
        Relation::Reviews,
        Relation::Mitigates,
        Relation::Appeals,
        Relation::Realises,
        Relation::Implements,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Relation::Amends => "amends",
            Relation::Supersedes => "supersedes",
            Relation::Retracts => "retracts",
            Relation::ReportsOn => "reports-on",
            Relation::Resolves => "resolves",
            Relation::Duplicates => "duplicates",
            Relation::Remediates => "remediates",
            Relation::Reviews => "reviews",
            Relation::Mitigates => "mitigates",
            Relation::Appeals => "appeals",
            Relation::Realises => "realises",
            Relation::Implements => "implements",
            Relation::Target => "target",
            Relation::Other => "other",
        }
    }

    fn parse(word: &str) -> Relation {
        let found = Relation::ALL.into_iter().find(|relation| relation.as_str() == word);
        found.unwrap_or(Relation::Other)
    }

    /// Whether two records of a kind become one chain by it, if it binds.
    const fn ties(self, kind: Kind) -> bool {
        match self {
            Relation::Amends => true,
            // a decision that supersedes another is a decision of its own
            Relation::Supersedes => !matches!(kind, Kind::Decision),
            Relation::ReportsOn | Relation::Resolves | Relation::Duplicates => {
                matches!(kind, Kind::Incident)
            }
            _ => false,
        }
    }

    /// Whether it claims power over the record that it names.
    pub const fn claims_power(self) -> bool {
        matches!(
            self,
            Relation::Amends
                | Relation::Supersedes
                | Relation::Retracts
                | Relation::ReportsOn
                | Relation::Resolves
                | Relation::Duplicates
        )
    }
}

impl Chronicle {
    /// The chronicle of an empty log.
    pub fn new() -> Chronicle {
        let mut chronicle = Chronicle::default();
        chronicle.rules.extend(RegisterRule::built_in(&mut chronicle.names));
        chronicle
    }

    /// Reads the next lawful entry: `charter` is the one in force before it.
    pub fn push(&mut self, index: LeafIndex, entry: &Entry, charter: &Arc<Charter>) {
        self.add(&Fact::of(index, &entry.logged(), entry.record()), charter);
    }

    /// Reads the next fact: `charter` is the one in force before it.
    pub fn add(&mut self, fact: &Fact<'_>, charter: &Arc<Charter>) {
        let number = position(self.facts.len());
        let era = self.enter(charter);
        let words = position(self.words.len());
        words_of(fact.body, &mut self.names, &mut self.words);
        let words = words..position(self.words.len());
        let starts = self.start_clocks(fact, era, &words);
        let stored = Stored {
            index: fact.index,
            logged: fact.logged,
            statement: fact.statement,
            kind: fact.kind,
            issuer: self.names.intern(fact.issuer),
            title: fact.title.into(),
            detail: Detail::read(fact.kind, fact.body, &mut self.names),
            owner: fact.body.text("owner").map(|owner| self.names.intern(owner)),
            meets: self.meets(fact.body),
            retracted: false,
            words,
            refs: 0..0,
            starts,
            era,
        };
        self.facts.push(stored);
        self.parents.push(number);
        self.link_series(number, fact.series);
        self.refer(number, fact.body);
        self.by_statement.entry(fact.statement).or_insert(number);
        if !self.waiting.is_empty() {
            for at in self.waiting.remove(&fact.statement).unwrap_or_default() {
                self.link(at, number);
            }
        }
    }

    /// How many entries were read.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether no entry was read.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    pub(super) fn words(&self, fact: &Stored) -> &[(Symbol, Symbol)] {
        &self.words[span(&fact.words)]
    }

    pub(super) fn refs(&self, fact: &Stored) -> &[StoredRef] {
        &self.refs[span(&fact.refs)]
    }

    pub(super) fn starts(&self, fact: &Stored) -> &[Start] {
        &self.starts[span(&fact.starts)]
    }

    pub(super) fn fact(&self, number: u32) -> &Stored {
        &self.facts[number as usize]
    }

    pub(super) fn headline(&self, number: u32) -> Headline {
        let fact = self.fact(number);
        Headline {
            index: fact.index,
            logged: fact.logged,
            statement: fact.statement,
            kind: fact.kind,
            issuer: self.names.text(fact.issuer).to_owned(),
            title: fact.title.to_string(),
        }
    }

    /// The place of the charter in force; a new one brings its rules.
    fn enter(&mut self, charter: &Arc<Charter>) -> u32 {
        let last = self.eras.last();
        if !last.is_some_and(|era| Arc::ptr_eq(&era.charter, charter)) {
            let same = last.filter(|era| era.charter.deadlines() == charter.deadlines());
            let rules = match same.map(|era| Arc::clone(&era.rules)) {
                Some(rules) => rules,
                None => self.take_rules(charter.deadlines()),
            };
            self.eras.push(Era { charter: Arc::clone(charter), rules });
        }
        position(self.eras.len() - 1)
    }

    /// The places of a charter's rules; a rule that was there before keeps its place.
    fn take_rules(&mut self, deadlines: &[Deadline]) -> Arc<[u32]> {
        let mut places = Vec::with_capacity(deadlines.len());
        for deadline in deadlines {
            let known = self.rules.iter().position(|rule| rule.is_of(deadline));
            let place = known.or_else(|| {
                self.rules.push(RegisterRule::of(deadline, &mut self.names)?);
                Some(self.rules.len() - 1)
            });
            places.extend(place.map(position).filter(|place| !places.contains(place)));
        }
        places.into()
    }

    /// The clocks that a record starts: the charter's, and its own where the charter has none.
    fn start_clocks(&mut self, fact: &Fact<'_>, era: u32, words: &Range<u32>) -> Range<u32> {
        const BUILT_IN: u32 = 3;
        let first = position(self.starts.len());
        let words = &self.words[span(words)];
        let charters = Arc::clone(&self.eras[era as usize].rules);
        let mut started = Vec::new();
        for number in charters.iter().copied().chain(0..BUILT_IN) {
            let rule = &self.rules[number as usize];
            if !rule.starts(fact.kind, words) {
                continue;
            }
            let replaced = number < BUILT_IN
                && started.iter().any(|own: &u32| self.rules[*own as usize].path == rule.path);
            if replaced {
                continue;
            }
            started.push(number);
            let times = rule.times(fact.body, fact.logged, &mut self.names);
            let start = |(item, at)| Start { rule: number, item, at };
            self.starts.extend(times.into_iter().map(start));
        }
        first..position(self.starts.len())
    }

    /// `ext.meets`: the conditions or promises that a record meets, if not all.
    fn meets(&mut self, body: &Object) -> Box<[Symbol]> {
        match body.get("ext").and_then(Value::as_object).and_then(|ext| ext.get("meets")) {
            Some(Value::Text(text)) => Box::new([self.names.intern(text)]),
            Some(Value::List(values)) => {
                let texts = values.iter().filter_map(Value::as_text);
                texts.map(|text| self.names.intern(text)).collect()
            }
            _ => Box::default(),
        }
    }

    /// Ties a record to the series that its issuer has begun, or may continue.
    fn link_series(&mut self, number: u32, series: Option<&str>) {
        let Some(series) = series else { return };
        let key = (self.fact(number).kind, self.names.intern(series));
        let begun = self.series.get(&key).map(Vec::as_slice).unwrap_or_default();
        let own = begun.iter().find(|at| self.fact(**at).issuer == self.fact(number).issuer);
        let bound = || begun.iter().find(|at| self.binds("series", number, **at));
        match own.or_else(bound).copied() {
            Some(first) => self.tie(number, first),
            None => self.series.entry(key).or_default().push(number),
        }
    }

    /// Keeps a record's references to records of this log.
    fn refer(&mut self, number: u32, body: &Object) {
        let (first, era) = (self.refs.len(), self.fact(number).era as usize);
        for reference in body.list("refs").iter().filter_map(Value::as_object) {
            let charter = &self.eras[era].charter;
            let foreign = reference.text("origin").is_some_and(|own| own != charter.origin());
            let statement = reference.text("statement").map(StatementId::from_hex);
            if let (false, Some(Ok(statement))) = (foreign, statement) {
                let relation = Relation::parse(reference.text("rel").unwrap_or_default());
                self.keep_ref(number, statement, relation);
            }
        }
        if let Some(Ok(statement)) = body.text("target").map(StatementId::from_hex) {
            self.keep_ref(number, statement, Relation::Target);
        }
        self.facts[number as usize].refs = position(first)..position(self.refs.len());
        for at in first..self.refs.len() {
            let statement = self.refs[at].statement;
            match self.by_statement.get(&statement).copied() {
                Some(to) => self.link(position(at), to),
                None => self.waiting.entry(statement).or_default().push(position(at)),
            }
        }
    }

    fn keep_ref(&mut self, from: u32, statement: StatementId, relation: Relation) {
        self.refs.push(StoredRef { from, to: None, statement, relation, binds: false });
    }

    /// A reference and the record that it names are both there.
    fn link(&mut self, at: u32, to: u32) {
        let StoredRef { from, relation, .. } = self.refs[at as usize];
        let binds = self.binds(relation.as_str(), from, to);
        let reference = &mut self.refs[at as usize];
        (reference.to, reference.binds) = (Some(to), binds);
        if !binds {
            return;
        }
        if relation == Relation::Retracts {
            self.facts[to as usize].retracted = true;
        }
        let kind = self.fact(from).kind;
        if kind == self.fact(to).kind && relation.ties(kind) {
            self.tie(from, to);
        }
    }

    /// Whether one record's reference binds another, by the charter in force at the former.
    fn binds(&self, relation: &str, from: u32, to: u32) -> bool {
        let (from, to) = (self.fact(from), self.fact(to));
        let (by, target) = (self.names.text(from.issuer), self.names.text(to.issuer));
        let charter = &self.eras[from.era as usize].charter;
        charter.binds(relation, &Issued { issuer: by, at: from.logged }, target)
    }

    fn tie(&mut self, a: u32, b: u32) {
        let (a, b) = (earliest(&mut self.parents, a), earliest(&mut self.parents, b));
        self.parents[a.max(b) as usize] = a.min(b);
    }
}

/// The earliest record of a record's chain; shortens the way there.
pub(super) fn earliest(parents: &mut [u32], mut at: u32) -> u32 {
    while parents[at as usize] != at {
        let next = parents[at as usize];
        parents[at as usize] = parents[next as usize];
        at = next;
    }
    at
}

fn span(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}
