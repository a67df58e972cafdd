//! The registers once more, straight from docs/registers.md: slow, and by another way.
//!
//! Every question goes over all entries again; only what a year of entries would ask millions of
//! times is asked once: who refers to what, and which records stand. Rows are lines of text, so
//! that the model shares no type of result with what it checks; [`shown`] prints the rows of the
//! core in the same way.

pub mod shown;

use std::collections::HashMap;
use std::sync::Arc;

use ledger_core::charter::{Charter, Deadline, Issued};
use ledger_core::record::{Object, StatementId, Value, parse_date, parse_time};

/// One lawful entry.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its position in the log.
    pub index: u64,
    /// The log's time.
    pub logged: u64,
    /// The record's statement id.
    pub statement: StatementId,
    /// The record.
    pub body: Object,
    /// The charter in force before it.
    pub charter: Arc<Charter>,
}

/// All entries up to an index, and the chains that they form.
#[derive(Debug)]
pub struct Model {
    entries: Vec<Told>,
    chains: Vec<Vec<usize>>,
    /// Where a statement is.
    places: HashMap<StatementId, usize>,
    /// The relations and statements that each entry refers to; a `target` has no relation.
    named: Vec<Vec<(String, StatementId)>>,
    /// Whether each entry was not retracted.
    standing: Vec<bool>,
    /// The chain of each entry.
    member_of: Vec<usize>,
}

/// The power to bind others' records, as the charter grants it.
fn binds(charter: &Charter, relation: &str, by: &str, target: &str, at: u64) -> bool {
    charter.binds(relation, &Issued { issuer: by, at }, target)
}

const POWERS: [&str; 6] =
    ["amends", "supersedes", "retracts", "reports-on", "resolves", "duplicates"];

impl Told {
    fn text(&self, name: &str) -> &str {
        self.body.text(name).unwrap_or_default()
    }

    fn kind(&self) -> &str {
        self.text("kind")
    }

    fn issuer(&self) -> &str {
        self.text("issuer")
    }

    /// The statements of this log that the record refers to, by which relation; a target by none.
    fn named(&self) -> Vec<(String, StatementId)> {
        let refs = self.body.list("refs").iter().filter_map(Value::as_object);
        let here = refs
            .filter(|own| own.text("origin").is_none_or(|origin| origin == self.charter.origin()));
        let read = |own: &Object| {
            let relation = own.text("rel").unwrap_or_default().to_owned();
            Some((relation, StatementId::from_hex(own.text("statement")?).ok()?))
        };
        let target = self.target().map(|target| (String::new(), target));
        here.filter_map(read).chain(target).collect()
    }

    fn target(&self) -> Option<StatementId> {
        StatementId::from_hex(self.body.text("target")?).ok()
    }

    fn meets(&self) -> Vec<String> {
        let ext = self.body.get("ext").and_then(Value::as_object);
        match ext.and_then(|ext| ext.get("meets")) {
            Some(Value::Text(text)) => vec![text.to_string()],
            Some(Value::List(list)) => {
                list.iter().filter_map(Value::as_text).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A member that holds a value, as a row shows it.
    fn shown(&self, name: &str, required: bool, show: impl Fn(&Value) -> Option<String>) -> String {
        match self.body.get(name) {
            None if required && !self.body.list("_sd").is_empty() => "sealed".to_owned(),
            None => "absent".to_owned(),
            Some(value) if value.as_text() == Some("unknown") => "unknown".to_owned(),
            Some(value) => show(value).unwrap_or_else(|| "unknown".to_owned()),
        }
    }

    fn word(&self, name: &str, required: bool) -> String {
        self.shown(name, required, |value| Some(format!("={}", value.as_text()?)))
    }

    fn time(&self, name: &str, required: bool) -> String {
        self.shown(name, required, |value| Some(format!("={}", second(value.as_text()?)?)))
    }

    fn grade(&self, name: &str) -> String {
        let grade = |value: &Value| {
            let grade = value.as_integer()?;
            (1..=5).contains(&grade).then(|| format!("={grade}"))
        };
        self.shown(name, true, grade)
    }

    /// How the record stands, in a word.
    fn stands_as(&self) -> String {
        match self.kind() {
            "incident" => self.word("stage", true),
            "risk" | "decision" => self.word("status", true),
            "review" => self.word("outcome", true),
            "remediation" | "milestone" => self.word("state", true),
            "dispute" => self.word("outcome", false),
            "response" => self.word("position", true),
            _ => "absent".to_owned(),
        }
    }

    fn fits(&self, map: &std::collections::BTreeMap<String, Vec<String>>) -> bool {
        map.iter().all(|(name, values)| {
            let has = |text: &str| text.len() <= 64 && values.iter().any(|value| value == text);
            let matched = !["log", "id", "issued_at", "base"].contains(&name.as_str());
            matched
                && match self.body.get(name) {
                    Some(Value::Text(text)) => has(text),
                    Some(Value::Integer(number)) => has(&number.to_string()),
                    Some(Value::List(list)) => list.iter().filter_map(Value::as_text).any(has),
                    _ => false,
                }
        })
    }
}

fn second(text: &str) -> Option<u64> {
    parse_time(text).or(parse_date(text).map(|day| day + 86_399))
}

/// A rule of the overdue register.
struct Rule {
    name: String,
    clock: String,
    within: u64,
    meets: Meets,
    /// The charter's deadline that says so.
    deadline: Option<Deadline>,
}

enum Meets {
    Fitting(std::collections::BTreeMap<String, Vec<String>>),
    Promise,
}

impl Model {
    /// Takes the entries in the order of the log.
    pub fn new(entries: Vec<Told>) -> Model {
        let named: Vec<_> = entries.iter().map(Told::named).collect();
        let places = entries.iter().enumerate().map(|(at, own)| (own.statement, at)).collect();
        let (chains, member_of) = (Vec::new(), vec![0; entries.len()]);
        let standing = vec![true; entries.len()];
        let mut model = Model { entries, chains, places, named, standing, member_of };
        let retracted = |at: usize| (0..model.entries.len()).any(|from| model.retracts(from, at));
        model.standing = (0..model.entries.len()).map(|at| !retracted(at)).collect();
        let mut seen = vec![false; model.entries.len()];
        for first in 0..model.entries.len() {
            if seen[first] {
                continue;
            }
            // whatever is tied to what is found already, until nothing more is
            let mut chain = vec![first];
            let mut next = 0;
            while let Some(at) = chain.get(next).copied() {
                for other in 0..model.entries.len() {
                    if !chain.contains(&other) && model.tied(at, other) {
                        chain.push(other);
                    }
                }
                next += 1;
            }
            chain.sort_unstable();
            for at in &chain {
                seen[*at] = true;
                model.member_of[*at] = model.chains.len();
            }
            model.chains.push(chain);
        }
        model
    }

    /// The incident register.
    pub fn incidents(&self) -> Vec<String> {
        self.rows("incident", |chain, latest| {
            let remediation = |other: &Vec<usize>| {
                let latest = &self.entries[self.latest(other)];
                let (owner, due) = (latest.text("owner"), latest.time("due_by", true));
                format!("{} {} {owner} {due}", self.index(other[0]), latest.stands_as())
            };
            let remediations = self.chains_that_refer(chain, "remediates", Some("remediation"));
            let remediations: Vec<String> = remediations.iter().map(|c| remediation(c)).collect();
            format!(
                "{} {} {} {} {} {} remediations{remediations:?} reviews{:?}",
                latest.word("stage", true),
                latest.word("class", true),
                latest.word("severity", true),
                latest.time("aware_at", false),
                latest.time("resolved_at", false),
                self.incident_state(chain),
                self.mentions(&self.chains_that_refer(chain, "reviews", Some("review"))),
            )
        })
    }

    /// The risk register.
    pub fn risks(&self) -> Vec<String> {
        self.rows("risk", |chain, latest| {
            let (likelihood, impact) = (latest.grade("likelihood"), latest.grade("impact"));
            let number = |text: &str| text.strip_prefix('=').and_then(|n| n.parse::<u64>().ok());
            let score = number(&likelihood).zip(number(&impact)).map(|(a, b)| a * b);
            format!(
                "{likelihood} {impact} {score:?} {} {} {} {} mitigations{:?}",
                latest.word("treatment", true),
                latest.word("status", true),
                latest.text("owner"),
                latest.time("next_review", false),
                self.mentions(&self.chains_that_refer(chain, "mitigates", None)),
            )
        })
    }

    /// The decision register.
    pub fn decisions(&self) -> Vec<String> {
        self.rows("decision", |chain, latest| {
            let mut superseded = None;
            for (at, entry) in self.entries.iter().enumerate() {
                let names = |target: &&usize| {
                    self.refs(at, Some("supersedes")).contains(&self.entries[**target].statement)
                        && self.binds("supersedes", at, **target)
                };
                if self.stands(at)
                    && !chain.contains(&at)
                    && superseded.is_none()
                    && chain.iter().any(|target| names(&target))
                {
                    superseded = Some(entry.index);
                }
            }
            let appeals = self.chains_where(chain, |at, target| {
                let entry = &self.entries[at];
                self.refs(at, Some("appeals")).contains(&target)
                    || entry.kind() == "dispute" && entry.target() == Some(target)
            });
            format!(
                "{} {superseded:?} {} reviews{:?} appeals{:?}",
                latest.word("status", true),
                latest.time("review_by", false),
                self.mentions(&self.chains_that_refer(chain, "reviews", Some("review"))),
                self.mentions(&appeals),
            )
        })
    }

    /// The review register.
    pub fn reviews(&self) -> Vec<String> {
        self.rows("review", |chain, latest| {
            let subject =
                |id: StatementId| (id.to_string(), self.find(id).map(|at| self.index(at)));
            let subjects = self.refs(self.latest(chain), Some("reviews")).into_iter().map(subject);
            let subjects: Vec<_> = subjects.collect();
            let conditions = latest.shown("conditions", false, |value| {
                let mut shown = String::new();
                for own in value.as_list()?.iter().filter_map(Value::as_object) {
                    let Some(id) = own.text("id") else { continue };
                    let due = match own.get("due") {
                        None => "absent".to_owned(),
                        Some(due) => due
                            .as_text()
                            .and_then(second)
                            .map_or("unknown".to_owned(), |due| format!("={due}")),
                    };
                    let met = self.condition_met(chain, Some(id), done);
                    let met = met.map(|at| self.index(at));
                    shown.push_str(&format!("[{id} {due} {met:?}]"));
                }
                Some(shown)
            });
            format!(
                "{} {} {} {subjects:?} {conditions}",
                latest.word("review_stage", true),
                latest.word("outcome", true),
                latest.time("next_review", false),
            )
        })
    }

    /// All duties at a time.
    pub fn duties(&self, now: u64) -> Vec<String> {
        let mut found = Vec::new();
        for chain in &self.chains {
            for at in chain.iter().copied().filter(|at| self.stands(*at)) {
                for rule in self.rules(at) {
                    self.duties_of(chain, at, &rule, now, &mut found);
                }
            }
        }
        found.sort();
        found
            .into_iter()
            .map(|(due, index, rule, item, line)| format!("{due} #{index} {rule} {item:?} {line}"))
            .collect()
    }

    fn duties_of(
        &self,
        chain: &[usize],
        at: usize,
        rule: &Rule,
        now: u64,
        found: &mut Vec<(u64, u64, String, Option<String>, String)>,
    ) {
        let entry = &self.entries[at];
        let path = rule.clock.split_once('.').map_or("", |(_, path)| path);
        let logged = path == "logged";
        if !logged && at != self.latest(chain) {
            return;
        }
        let times = match logged {
            true => vec![(None, entry.logged)],
            false => times(&entry.body, path, None),
        };
        for (item, started) in times {
            let met = self.met_by(chain, at, rule, item.as_deref());
            if logged && self.waits_already(chain, at, rule, met) {
                continue;
            }
            let due = started + rule.within;
            let met_at = met.map(|met| self.entries[met].logged);
            let state = match met_at {
                Some(met_at) if met_at <= due => "met".to_owned(),
                Some(met_at) => format!("late {}", met_at - due),
                None if now > due => format!("overdue {}", now - due),
                None => "upcoming".to_owned(),
            };
            let settled = self.settled(chain).filter(|_| logged && entry.kind() == "incident");
            if settled.is_some_and(|settled| due >= settled) && state != "met" {
                continue;
            }
            let by = met.map(|met| self.index(met));
            let owes = self.owes(at, rule);
            let line = format!("{state} by {by:?} from {started} by {owes}, {}", rule.clock);
            found.push((due, entry.index, rule.name.clone(), item, line));
        }
    }

    /// Whether an earlier record of the chain waits for the same record by the same rule.
    fn waits_already(&self, chain: &[usize], at: usize, rule: &Rule, met: Option<usize>) -> bool {
        let earlier = chain.iter().copied().filter(|own| *own < at && self.stands(*own));
        earlier.into_iter().any(|own| {
            let same = self
                .rules(own)
                .into_iter()
                .find(|other| other.deadline.is_some() && other.deadline == rule.deadline);
            same.is_some_and(|same| self.met_by(chain, own, &same, None) == met)
        })
    }

    /// The rules whose clocks a record starts.
    fn rules(&self, at: usize) -> Vec<Rule> {
        let entry = &self.entries[at];
        let applies = |deadline: &&Deadline| {
            deadline.clock().split('.').next() == Some(entry.kind())
                && deadline.clock().contains('.')
                && entry.fits(deadline.when())
        };
        let rule = |deadline: &Deadline| Rule {
            name: deadline.name().to_owned(),
            clock: deadline.clock().to_owned(),
            within: deadline.within(),
            meets: Meets::Fitting(deadline.satisfied_by().clone()),
            deadline: Some(deadline.clone()),
        };
        let mut rules: Vec<Rule> = Vec::new();
        for deadline in entry.charter.deadlines().iter().filter(applies) {
            if !rules.iter().any(|own| own.deadline.as_ref() == Some(deadline)) {
                rules.push(rule(deadline));
            }
        }
        let has = |rules: &[Rule], path: &str| {
            rules.iter().any(|own| own.clock == format!("{}.{path}", entry.kind()))
        };
        let fixed = || {
            let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
            Meets::Fitting(
                [
                    ("kind".to_owned(), words(&["remediation"])),
                    ("state".to_owned(), words(&["implemented", "verified"])),
                ]
                .into(),
            )
        };
        let own = |name: &str, clock: &str, meets| Rule {
            name: name.to_owned(),
            clock: clock.to_owned(),
            within: 0,
            meets,
            deadline: None,
        };
        if !has(&rules, "due.by") {
            rules.push(own("promise kept", "*.due.by", Meets::Promise));
        }
        if entry.kind() == "review" && !has(&rules, "conditions.due") {
            rules.push(own("review condition met", "review.conditions.due", fixed()));
        }
        if entry.kind() == "remediation" && !has(&rules, "due_by") {
            rules.push(own("remediation done", "remediation.due_by", fixed()));
        }
        rules
    }

    /// The record that meets a clock.
    fn met_by(&self, chain: &[usize], at: usize, rule: &Rule, item: Option<&str>) -> Option<usize> {
        let map = match &rule.meets {
            Meets::Promise => return self.promise_kept(chain, at, item),
            Meets::Fitting(map) => map,
        };
        if rule.clock.starts_with("review.conditions.") {
            return self.condition_met(chain, item, |entry| entry.fits(map));
        }
        let logged = rule.clock.ends_with(".logged");
        let first = &self.entries[chain[0]];
        (0..self.entries.len()).find(|own| {
            let theirs = self.chain(*own);
            let belongs = chain.contains(own)
                || theirs.iter().any(|from| {
                    let from_entry = &self.entries[*from];
                    let allowed =
                        from_entry.kind() != first.kind() || from_entry.issuer() == first.issuer();
                    let named = self.refs(*from, None);
                    let hits = chain.iter().any(|to| self.is_named(&named, *to));
                    allowed && self.stands(*from) && hits
                });
            belongs && self.counts(*own) && self.entries[*own].fits(map) && (!logged || *own > at)
        })
    }

    /// The record that meets a condition of a review.
    fn condition_met(
        &self,
        chain: &[usize],
        id: Option<&str>,
        fits: impl Fn(&Told) -> bool,
    ) -> Option<usize> {
        (0..self.entries.len()).find(|own| {
            let theirs = self.chain(*own);
            let first = &self.entries[chain[0]];
            let refers = theirs.iter().any(|from| {
                let entry = &self.entries[*from];
                let allowed = entry.kind() != first.kind() || entry.issuer() == first.issuer();
                let named = self.refs(*from, Some("remediates"));
                allowed && self.stands(*from) && chain.iter().any(|to| self.is_named(&named, *to))
            });
            (chain.contains(own) || refers)
                && self.counts(*own)
                && fits(&self.entries[*own])
                && self.names_item(theirs, id)
        })
    }

    fn promise_kept(&self, chain: &[usize], at: usize, what: Option<&str>) -> Option<usize> {
        (0..self.entries.len()).find(|own| {
            let entry = &self.entries[*own];
            let refers = ["realises", "implements", "resolves"].iter().any(|relation| {
                let named = self.refs(*own, Some(relation));
                chain.iter().any(|to| self.is_named(&named, *to))
            });
            refers
                && self.stands(*own)
                && entry.issuer() == self.entries[at].issuer()
                && self.names_item(self.chain(*own), what)
        })
    }

    /// Whether a chain names this item in `ext.meets`, or none at all.
    fn names_item(&self, chain: &[usize], item: Option<&str>) -> bool {
        let standing = chain.iter().filter(|at| self.stands(**at));
        let named: Vec<String> = standing.flat_map(|at| self.entries[*at].meets()).collect();
        named.is_empty() || item.is_some_and(|item| named.iter().any(|own| own == item))
    }

    /// Whether a record may meet anything.
    fn counts(&self, at: usize) -> bool {
        let undone = |later: &&usize| {
            let state = self.entries[**later].text("state");
            **later > at && self.stands(**later) && ["ineffective", "cancelled"].contains(&state)
        };
        let remediation = self.entries[at].kind() == "remediation";
        self.stands(at) && !(remediation && self.chain(at).iter().any(|later| undone(&later)))
    }

    fn owes(&self, at: usize, rule: &Rule) -> String {
        let entry = &self.entries[at];
        let issuer_of = |ids: Vec<StatementId>| {
            let at = ids.into_iter().find_map(|id| self.find(id));
            at.map(|at| self.entries[at].issuer().to_owned())
        };
        let other = match rule.meets {
            Meets::Promise => None,
            _ if ["concern", "dispute"].contains(&entry.kind()) => {
                issuer_of(entry.target().into_iter().collect())
            }
            _ if rule.clock.starts_with("review.conditions.") => {
                issuer_of(self.refs(at, Some("reviews")))
            }
            _ => entry.body.text("owner").map(str::to_owned),
        };
        other.unwrap_or_else(|| entry.issuer().to_owned())
    }

    fn incident_state(&self, chain: &[usize]) -> String {
        let latest = &self.entries[self.latest(chain)];
        if !chain.iter().any(|at| self.stands(*at)) {
            return "retracted".to_owned();
        }
        if let Some(other) = self.duplicates(chain) {
            return format!("duplicate of {other}");
        }
        let closed = latest.text("stage") == "final" || self.resolved(chain).is_some();
        if closed { "closed".to_owned() } else { "open".to_owned() }
    }

    fn duplicates(&self, chain: &[usize]) -> Option<StatementId> {
        let named = self.refs(self.latest(chain), Some("duplicates"));
        let inside = |id: &StatementId| chain.iter().any(|at| self.entries[*at].statement == *id);
        named.into_iter().find(|id| !inside(id))
    }

    /// When somebody with power over the chain said that it is resolved, after its last report.
    fn resolved(&self, chain: &[usize]) -> Option<u64> {
        let found = (self.latest(chain)..self.entries.len()).find(|at| {
            let named = self.refs(*at, Some("resolves"));
            let hits =
                |to: &&usize| self.is_named(&named, **to) && self.binds("resolves", *at, **to);
            self.stands(*at) && chain.iter().any(|to| hits(&to))
        });
        found.map(|at| self.entries[at].logged)
    }

    fn settled(&self, chain: &[usize]) -> Option<u64> {
        let latest = &self.entries[self.latest(chain)];
        let told = latest.body.text("resolved_at").and_then(second);
        let duplicate = self.duplicates(chain).map(|_| latest.logged);
        [told, self.resolved(chain), duplicate].into_iter().flatten().min()
    }

    /// One line for each chain of a kind.
    fn rows(&self, kind: &str, show: impl Fn(&[usize], &Told) -> String) -> Vec<String> {
        let mut lines = Vec::new();
        for chain in self.chains.iter().filter(|chain| self.entries[chain[0]].kind() == kind) {
            let latest = self.latest(chain);
            let retracted = !chain.iter().any(|at| self.stands(*at));
            let mut claims = Vec::new();
            for (at, entry) in self.entries.iter().enumerate().filter(|(at, _)| self.stands(*at)) {
                let refs = entry.body.list("refs").iter().filter_map(Value::as_object);
                for reference in refs {
                    let relation = reference.text("rel").unwrap_or_default();
                    let named = StatementId::from_hex(reference.text("statement").unwrap_or(""));
                    let foreign =
                        reference.text("origin").is_some_and(|o| o != entry.charter.origin());
                    let Some(to) = named.ok().and_then(|id| self.find(id)) else { continue };
                    let claims_power = POWERS.contains(&relation) && !foreign;
                    if claims_power && chain.contains(&to) && !self.binds(relation, at, to) {
                        claims.push(format!("{relation} by #{}", entry.index));
                    }
                }
            }
            let (first, last) = (self.index(chain[0]), self.index(latest));
            let shown = show(chain, &self.entries[latest]);
            lines.push(format!(
                "#{first} #{last} {} retracted {retracted} claims{claims:?} {shown}",
                chain.len()
            ));
        }
        lines
    }

    /// The chains with a standing record that refers to a chain so.
    fn chains_that_refer(
        &self,
        chain: &[usize],
        relation: &str,
        kind: Option<&str>,
    ) -> Vec<&Vec<usize>> {
        self.chains_where(chain, |at, target| {
            kind.is_none_or(|kind| self.entries[at].kind() == kind)
                && self.refs(at, Some(relation)).contains(&target)
        })
    }

    fn chains_where(
        &self,
        chain: &[usize],
        refers: impl Fn(usize, StatementId) -> bool,
    ) -> Vec<&Vec<usize>> {
        let mut found: Vec<&Vec<usize>> = Vec::new();
        for at in 0..self.entries.len() {
            let theirs = self.chain(at);
            let hits = chain.iter().any(|to| refers(at, self.entries[*to].statement));
            if self.stands(at) && hits && !chain.contains(&at) && !found.contains(&theirs) {
                found.push(theirs);
            }
        }
        found
    }

    fn mentions(&self, chains: &[&Vec<usize>]) -> Vec<String> {
        let mention = |chain: &&Vec<usize>| {
            format!("{} {}", self.index(chain[0]), self.entries[self.latest(chain)].stands_as())
        };
        chains.iter().map(mention).collect()
    }

    fn latest(&self, chain: &[usize]) -> usize {
        let standing = chain.iter().rev().find(|at| self.stands(**at));
        *standing.or(chain.last()).expect("a chain has records")
    }

    fn chain(&self, at: usize) -> &Vec<usize> {
        &self.chains[self.member_of[at]]
    }

    /// The statements that a record refers to by a relation, or by any and as its target.
    fn refs(&self, at: usize, relation: Option<&str>) -> Vec<StatementId> {
        let all = self.named[at].iter();
        let wanted = all.filter(|(own, _)| relation.is_none_or(|wanted| own == wanted));
        wanted.map(|(_, statement)| *statement).collect()
    }

    fn stands(&self, at: usize) -> bool {
        self.standing[at]
    }

    fn retracts(&self, from: usize, at: usize) -> bool {
        self.refs(from, Some("retracts")).contains(&self.entries[at].statement)
            && self.binds("retracts", from, at)
    }

    fn binds(&self, relation: &str, from: usize, to: usize) -> bool {
        let (from, to) = (&self.entries[from], &self.entries[to]);
        binds(&from.charter, relation, from.issuer(), to.issuer(), from.logged)
    }

    fn is_named(&self, named: &[StatementId], at: usize) -> bool {
        named.contains(&self.entries[at].statement)
    }

    /// Whether two records are versions of one thing.
    fn tied(&self, a: usize, b: usize) -> bool {
        let (one, other) = (&self.entries[a], &self.entries[b]);
        if one.kind() != other.kind() {
            return false;
        }
        let series = one.body.text("series").is_some()
            && one.body.text("series") == other.body.text("series")
            && one.issuer() == other.issuer();
        let ties: &[&str] = match one.kind() {
            "decision" => &["amends"],
            "incident" => &["amends", "supersedes", "reports-on", "resolves", "duplicates"],
            _ => &["amends", "supersedes"],
        };
        let refers = |from: usize, to: usize| {
            ties.iter().any(|relation| {
                self.refs(from, Some(relation)).contains(&self.entries[to].statement)
                    && self.binds(relation, from, to)
            })
        };
        series || refers(a, b) || refers(b, a)
    }

    fn find(&self, id: StatementId) -> Option<usize> {
        self.places.get(&id).copied()
    }

    fn index(&self, at: usize) -> u64 {
        self.entries[at].index
    }
}

fn done(entry: &Told) -> bool {
    entry.kind() == "remediation" && ["implemented", "verified"].contains(&entry.text("state"))
}

/// The times at a path, with the names of the items on the way.
fn times(object: &Object, path: &str, item: Option<String>) -> Vec<(Option<String>, u64)> {
    match path.split_once('.') {
        None => {
            let time = object.text(path).and_then(second);
            time.map(|time| (item, time)).into_iter().collect()
        }
        Some((name, rest)) => match object.get(name) {
            Some(Value::Object(inner)) => times(inner, rest, item),
            Some(Value::List(list)) => {
                let mut found = Vec::new();
                for inner in list.iter().filter_map(Value::as_object) {
                    let own = inner.text("id").or(inner.text("what")).map(str::to_owned);
                    found.extend(times(inner, rest, own.or(item.clone())));
                }
                found
            }
            _ => Vec::new(),
        },
    }
}
