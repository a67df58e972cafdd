//! Who owes what, since when, and by which rule.

use std::collections::HashMap;

use crate::record::Kind;

use super::Headline;
use super::chains::Chains;
use super::chronicle::{Relation, Stored, StoredRef};
use super::incidents::settled_at;
use super::names::Symbol;
use super::rules::{By, Pattern, RegisterRule, Start};

/// Something that somebody owes, or owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duty {
    /// The rule's name: a deadline of the charter, or what the record itself says is due.
    pub rule: String,
    /// The clock of the rule, such as `incident.aware_at`.
    pub clock: String,
    /// The record that started the clock.
    pub record: Headline,
    /// The condition or promise, where the record has several.
    pub item: Option<String>,
    /// Who owes it.
    pub owes: String,
    /// When the clock started, in POSIX seconds.
    pub started_at: u64,
    /// Until when it was in time, in POSIX seconds; that second is in time.
    pub due: u64,
    /// What became of it.
    pub state: DutyState,
    /// How many seconds it was late when it was met, or is now; 0 in time.
    pub late_by: u64,
}

/// What became of a duty. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DutyState {
    /// This record met it in time.
    Met(Headline),
    /// This record met it, too late.
    Late(Headline),
    /// It is not met, and its time is over.
    Overdue,
    /// It is not met, and there is time.
    Upcoming,
}

impl DutyState {
    /// `met`, `late`, `overdue` or `upcoming`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            DutyState::Met(_) => "met",
            DutyState::Late(_) => "late",
            DutyState::Overdue => "overdue",
            DutyState::Upcoming => "upcoming",
        }
    }

    /// The record that met it.
    pub fn met_by(&self) -> Option<&Headline> {
        match self {
            DutyState::Met(by) | DutyState::Late(by) => Some(by),
            _ => None,
        }
    }
}

/// All that is or was owed, the earliest due first; `now` in POSIX seconds, which no entry that was
/// read should lie after.
pub fn duties(chains: &Chains<'_>, now: u64) -> Vec<Duty> {
    let mut found = Vec::new();
    for chain in 0..chains.len() {
        if starts_any(chains, chain) {
            Owed { chains, chain, now }.collect(&mut found);
        }
    }
    let place = |duty: &Duty| (duty.due, duty.record.index);
    found.sort_by(|a, b| {
        place(a).cmp(&place(b)).then_with(|| (&a.rule, &a.item).cmp(&(&b.rule, &b.item)))
    });
    found
}

fn starts_any(chains: &Chains<'_>, chain: u32) -> bool {
    chains.standing(chain).any(|at| !chains.chronicle.starts(chains.fact(at)).is_empty())
}

/// The records that can meet the duties of one chain: its own, and those of chains that refer to
/// it.
pub(super) struct Candidates<'c, 'a> {
    chains: &'c Chains<'a>,
    groups: Vec<Group>,
}

struct Group {
    /// Those that count, in the order of the log.
    records: Vec<u32>,
    /// The conditions that they name; all, if they name none.
    meets: Vec<Symbol>,
}

/// The earliest record for each item of a rule.
struct Earliest {
    any: Option<u32>,
    named: HashMap<Symbol, u32>,
}

/// The place of the built-in rule for conditions.
const CONDITION: usize = 1;

impl<'c, 'a> Candidates<'c, 'a> {
    /// The records that can meet most duties of a chain.
    fn of(chains: &'c Chains<'a>, chain: u32) -> Candidates<'c, 'a> {
        Candidates::referring(chains, chain, |_| true)
    }

    /// The records that can meet the conditions of a review.
    pub fn of_conditions(chains: &'c Chains<'a>, chain: u32) -> Candidates<'c, 'a> {
        Candidates::referring(chains, chain, |own| own.relation == Relation::Remediates)
    }

    fn referring(
        chains: &'c Chains<'a>,
        chain: u32,
        wanted: impl Fn(&StoredRef) -> bool,
    ) -> Candidates<'c, 'a> {
        let first = chains.fact(chains.records(chain)[0]);
        let may = |own: &StoredRef| {
            let from = chains.fact(own.from);
            // a stranger's report of the same thing is another report, not this one's
            wanted(own) && (from.kind != first.kind || from.issuer == first.issuer)
        };
        let others = chains.referring(chain, may);
        let chains_that_count = std::iter::once(chain).chain(others);
        let groups = chains_that_count.map(|at| Group::of(chains, at)).collect();
        Candidates { chains, groups }
    }

    /// The first record that says that a condition is met, if it still holds.
    pub fn first_done(&self, condition: Symbol) -> Option<u32> {
        let By::Fitting(pattern) = &self.chains.chronicle.rules[CONDITION].by else {
            return None;
        };
        self.earliest(pattern).of(Some(condition))
    }

    fn fitting(&self, group: &Group, pattern: &Pattern) -> impl Iterator<Item = u32> {
        let chronicle = self.chains.chronicle;
        let fits = |at: &u32| pattern.fits(chronicle.words(chronicle.fact(*at)));
        group.records.iter().copied().filter(fits)
    }

    fn earliest(&self, pattern: &Pattern) -> Earliest {
        let mut earliest = Earliest { any: None, named: HashMap::new() };
        for group in &self.groups {
            if let Some(at) = self.fitting(group, pattern).next() {
                earliest.note(at, &group.meets);
            }
        }
        earliest
    }

    /// All records that fit, in the order of the log.
    fn all(&self, pattern: &Pattern) -> Vec<u32> {
        let groups = self.groups.iter();
        let mut all: Vec<u32> = groups.flat_map(|own| self.fitting(own, pattern)).collect();
        all.sort_unstable();
        all
    }
}

impl Group {
    fn of(chains: &Chains<'_>, chain: u32) -> Group {
        let mut records: Vec<u32> = chains.standing(chain).collect();
        let meets = meets(chains, chain);
        if chains.fact(chains.records(chain)[0]).kind == Kind::Remediation {
            // what turned out ineffective, or was given up, met nothing
            let undone = |at: &u32| {
                let state = chains.text(chains.fact(*at).detail.word()).said();
                state.is_some_and(|state| state == "ineffective" || state == "cancelled")
            };
            let from = records.iter().rposition(undone).unwrap_or(0);
            records.drain(..from);
        }
        Group { records, meets }
    }
}

impl Earliest {
    fn note(&mut self, at: u32, items: &[Symbol]) {
        if items.is_empty() {
            self.any = Some(self.any.map_or(at, |own| own.min(at)));
        }
        for item in items {
            let own = self.named.entry(*item).or_insert(at);
            *own = at.min(*own);
        }
    }

    fn of(&self, item: Option<Symbol>) -> Option<u32> {
        let named = item.and_then(|item| self.named.get(&item)).copied();
        named.into_iter().chain(self.any).min()
    }

    /// The earliest, whatever it names.
    fn overall(&self) -> Option<u32> {
        self.named.values().copied().chain(self.any).min()
    }
}

/// The conditions or promises that a chain's records name.
fn meets(chains: &Chains<'_>, chain: u32) -> Vec<Symbol> {
    chains.standing(chain).flat_map(|at| chains.fact(at).meets.iter().copied()).collect()
}

/// The duties of one chain.
struct Owed<'c, 'a> {
    chains: &'c Chains<'a>,
    chain: u32,
    now: u64,
}

impl Owed<'_, '_> {
    fn collect(&self, found: &mut Vec<Duty>) {
        let candidates = Candidates::of(self.chains, self.chain);
        self.of_members(&candidates, found);
        self.of_logged(&candidates, found);
    }

    fn rule(&self, start: &Start) -> &RegisterRule {
        &self.chains.chronicle.rules[start.rule as usize]
    }

    /// Clocks that run from what a record says: only the latest that stands says it.
    fn of_members(&self, candidates: &Candidates<'_, '_>, found: &mut Vec<Duty>) {
        let latest = self.chains.latest(self.chain);
        let mut by_rule: HashMap<u32, Earliest> = HashMap::new();
        for start in self.chains.chronicle.starts(self.chains.fact(latest)) {
            let rule = self.rule(start);
            if rule.runs_from_logged() {
                continue;
            }
            let items = matches!(rule.by, By::Keeping) || rule.is_of_conditions();
            let earliest = by_rule.entry(start.rule).or_insert_with(|| match &rule.by {
                By::Keeping => self.kept(latest),
                By::Fitting(pattern) if rule.is_of_conditions() => {
                    Candidates::of_conditions(self.chains, self.chain).earliest(pattern)
                }
                By::Fitting(pattern) => candidates.earliest(pattern),
            });
            let met = if items { earliest.of(start.item) } else { earliest.overall() };
            found.push(self.duty(latest, start, met));
        }
    }

    /// Clocks that run from when records were logged: what comes later meets them. Of several that
    /// wait for the same record the first counts.
    fn of_logged(&self, candidates: &Candidates<'_, '_>, found: &mut Vec<Duty>) {
        let mut started: Vec<(&Start, u32)> = Vec::new();
        for at in self.chains.standing(self.chain) {
            let starts = self.chains.chronicle.starts(self.chains.fact(at)).iter();
            let logged = starts.filter(|start| self.rule(start).runs_from_logged());
            started.extend(logged.map(|start| (start, at)));
        }
        started.sort_by_key(|(start, at)| (start.rule, *at));
        let settled = match self.chains.fact(self.chains.records(self.chain)[0]).kind {
            Kind::Incident => settled_at(self.chains, self.chain),
            _ => None,
        };
        for same in started.chunk_by(|a, b| a.0.rule == b.0.rule) {
            let By::Fitting(pattern) = &self.rule(same[0].0).by else { continue };
            let fitting = candidates.all(pattern);
            let mut waited_for = None;
            for (start, at) in same {
                let met = fitting.get(fitting.partition_point(|own| own <= at)).copied();
                if waited_for.replace(met) == Some(met) {
                    continue;
                }
                let duty = self.duty(*at, start, met);
                let spared = settled.is_some_and(|settled| duty.due >= settled);
                if !spared || matches!(duty.state, DutyState::Met(_)) {
                    found.push(duty);
                }
            }
        }
    }

    /// The records by which an issuer says that it keeps its promises.
    fn kept(&self, latest: u32) -> Earliest {
        let mut earliest = Earliest { any: None, named: HashMap::new() };
        let issuer = self.chains.fact(latest).issuer;
        for own in self.chains.incoming(self.chain) {
            let keeps = matches!(
                own.relation,
                Relation::Realises | Relation::Implements | Relation::Resolves
            );
            if keeps && self.chains.fact(own.from).issuer == issuer {
                earliest.note(own.from, &meets(self.chains, self.chains.chain_of(own.from)));
            }
        }
        earliest
    }

    fn duty(&self, record: u32, start: &Start, met: Option<u32>) -> Duty {
        let rule = self.rule(start);
        let due = start.at.saturating_add(rule.within);
        let met = met.map(|at| self.chains.headline(at));
        let late_by = met.as_ref().map_or(self.now, |met| met.logged).saturating_sub(due);
        let state = match (met, late_by) {
            (Some(met), 0) => DutyState::Met(met),
            (Some(met), _) => DutyState::Late(met),
            (None, 0) => DutyState::Upcoming,
            (None, _) => DutyState::Overdue,
        };
        let names = &self.chains.chronicle.names;
        Duty {
            rule: rule.name.clone(),
            clock: rule.clock.clone(),
            record: self.chains.headline(record),
            item: start.item.map(|item| names.text(item).to_owned()),
            owes: names.text(self.owes(self.chains.fact(record), rule)).to_owned(),
            started_at: start.at,
            due,
            state,
            late_by,
        }
    }

    /// Who owes it: whoever was asked, or answers for it, else the issuer.
    fn owes(&self, record: &Stored, rule: &RegisterRule) -> Symbol {
        let asked = |relation: Relation| {
            let refs = self.chains.chronicle.refs(record).iter();
            let to = refs.filter(|own| own.relation == relation).find_map(|own| own.to);
            to.map(|to| self.chains.fact(to).issuer)
        };
        let other = match (&rule.by, record.kind) {
            (By::Keeping, _) => None,
            (_, Kind::Concern | Kind::Dispute) => asked(Relation::Target),
            (_, Kind::Review) if rule.is_of_conditions() => asked(Relation::Reviews),
            _ => record.owner,
        };
        other.unwrap_or(record.issuer)
    }
}
