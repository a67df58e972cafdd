//! The simulation's own account of who may do what: written from docs/governance.md, and never by
//! asking the core.

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::record::{Object, Value, parse_time};

use super::breach::{Breach, Offer};

/// Seconds that `issued_at` may lie after the log's time.
const EARLY: u64 = 600;

/// How a party stands, and by which entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// With all rights.
    Well,
    /// Suspended.
    Suspended(u64),
    /// Expelled.
    Expelled(u64),
    /// Gone by its own will.
    Withdrawn(u64),
}

/// A time from a first second to the second in which it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first second.
    pub from: u64,
    /// The first second after it.
    pub until: Option<u64>,
}

/// A key of a party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKey {
    /// The key.
    pub vkey: String,
    /// What it signs.
    pub usage: String,
    /// When.
    pub span: Span,
    /// The entry that revoked it.
    pub revoked: Option<u64>,
    /// Whether it may still sign for its successor.
    pub replaces: bool,
}

/// A member, or one that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub stands: Stands,
    /// Its roles.
    pub roles: Vec<(String, Span)>,
    /// Its keys, in the order in which they came.
    pub keys: Vec<OwnKey>,
}

/// All that decides about a record.
#[derive(Debug, Clone)]
pub struct Book {
    /// The log's name.
    pub origin: String,
    /// The parties in the order in which they came.
    pub parties: Vec<Party>,
    /// So many of a role, by kind.
    pub rules: BTreeMap<String, Vec<(String, u64)>>,
    /// So many of a role, for changes.
    pub governance: Vec<(String, u64)>,
    /// The statement of the latest governance entry.
    pub base: String,
    /// Where it stands.
    pub latest: u64,
    /// Seconds for which a record may lie about before it is logged.
    pub patience: u64,
    /// The keys that sign heads.
    pub log_keys: Vec<String>,
    /// Public keys that were ever listed.
    pub used: BTreeSet<String>,
}

impl Span {
    /// Whether a second lies in it.
    pub fn has(self, time: u64) -> bool {
        time >= self.from && self.until.is_none_or(|until| time < until)
    }
}

impl OwnKey {
    /// Whether it may sign records in a second.
    pub fn signs(&self, time: u64) -> bool {
        self.usage == "record" && self.revoked.is_none() && self.span.has(time)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.vkey.split('+').next().unwrap_or_default()
    }
}

impl Party {
    /// Whether it holds a role in a second.
    pub fn holds(&self, role: &str, time: u64) -> bool {
        let held = self.roles.iter().any(|(own, span)| own == role && span.has(time));
        held && self.stands == Stands::Well
    }

    /// Whether it holds a role, or its term has run out.
    pub fn held(&self, role: &str, time: u64) -> bool {
        let began = self.roles.iter().any(|(own, span)| own == role && span.from <= time);
        began && self.stands == Stands::Well
    }

    /// The newest key that may sign in a second.
    pub fn key(&self, time: u64) -> Option<&OwnKey> {
        self.keys.iter().rev().find(|key| key.signs(time))
    }

    /// Whether it belongs to the consortium no longer.
    pub fn has_left(&self) -> bool {
        matches!(self.stands, Stands::Expelled(_) | Stands::Withdrawn(_))
    }
}

/// What a change is about, where that decides who has to agree.
#[derive(PartialEq)]
enum About {
    OwnKeys,
    Successors,
    Anything,
}

impl Book {
    /// The book that a charter opens.
    pub fn found(charter: &Object, statement: &str) -> Book {
        let mut book = Book {
            origin: charter.text("log").unwrap_or_default().to_owned(),
            parties: Vec::new(),
            rules: BTreeMap::new(),
            governance: requirements(charter.list("governance")),
            base: statement.to_owned(),
            latest: 0,
            patience: days(charter.get("limits").and_then(Value::as_object), "issued_at"),
            log_keys: Vec::new(),
            used: BTreeSet::new(),
        };
        for vkey in charter.list("log_vkeys").iter().filter_map(Value::as_text) {
            book.log_keys.push(vkey.to_owned());
            book.used.insert(public(vkey));
        }
        let rules = charter.get("rules").and_then(Value::as_object);
        for (kind, list) in rules.into_iter().flat_map(Object::iter) {
            book.rules.insert(kind.to_owned(), requirements(list.as_list().unwrap_or_default()));
        }
        for member in objects(charter.list("members")) {
            let name = member.text("name").unwrap_or_default();
            book.admit(name, member).expect("founders are no two of a name or key");
        }
        book
    }

    /// A party by name.
    pub fn party(&self, name: &str) -> Option<&Party> {
        self.parties.iter().find(|party| party.name == name)
    }

    /// The names of those who may sign for a role in a second.
    pub fn able(&self, role: &str, time: u64) -> Vec<String> {
        let able = |party: &&Party| party.holds(role, time) && party.key(time).is_some();
        self.parties.iter().filter(able).map(|party| party.name.clone()).collect()
    }

    /// Every rule that an offer breaks, and the book after it if it is a change and breaks none.
    pub fn judge(
        &self,
        offer: &Offer<'_>,
        index: u64,
        statement: &str,
    ) -> (Breaches, Option<Book>) {
        let mut found = self.judge_envelope(offer);
        let kind = offer.body.text("kind").unwrap_or_default();
        if !["membership", "norm", "charter"].contains(&kind) {
            found.extend(self.judge_rule(offer, kind));
            return (found, None);
        }
        if offer.body.text("base") != Some(&self.base) {
            found.insert(Breach::StaleBase);
        }
        let about = self.about(offer.body);
        found.extend(self.judge_governors(offer, &about));
        let mut next = Book { latest: index, base: statement.to_owned(), ..self.clone() };
        if let Err(breach) = next.apply(offer) {
            found.insert(breach);
            return (found, None);
        }
        next.settle(offer, &about, index);
        if about != About::OwnKeys && next.is_stuck(offer.time) {
            found.insert(Breach::Deadlock);
        }
        let lawful = found.is_empty();
        (found, lawful.then_some(next))
    }

    fn judge_envelope(&self, offer: &Offer<'_>) -> Breaches {
        let mut found = Breaches::new();
        let body = offer.body;
        let issued = body.text("issued_at").and_then(parse_time).unwrap_or(0);
        if offer.altered {
            found.insert(Breach::BadSignature);
        }
        if body.text("log") != Some(&self.origin) {
            found.insert(Breach::WrongLog);
        }
        if body.text("kind") == Some("charter") {
            found.insert(Breach::CharterAgain);
        }
        if issued > offer.time + EARLY || offer.time > issued + self.patience {
            found.insert(Breach::Window);
        }
        let names: Vec<&str> =
            offer.vkeys.iter().filter_map(|vkey| vkey.split('+').next()).collect();
        let mut asked = body.list("signers").iter().filter_map(Value::as_text);
        if asked.any(|name| !names.contains(&name)) {
            found.insert(Breach::SignerMissing);
        }
        let issuer = body.text("issuer").unwrap_or_default();
        let is_issuer = |name: &&str| *name == issuer || is_key_of(name, issuer);
        if !names.iter().any(is_issuer) {
            found.insert(Breach::Issuer);
        }
        found
    }

    fn judge_rule(&self, offer: &Offer<'_>, kind: &str) -> Breaches {
        let mut found = Breaches::new();
        let Some(rule) = self.rules.get(kind) else {
            found.insert(Breach::NoRule);
            // a stranger's key is known by the rule alone
            found.extend(self.judge_keys(offer, false).0);
            return found;
        };
        let open = rule.iter().any(|(role, _)| role == "public");
        let (breaches, signers) = self.judge_keys(offer, open);
        found.extend(breaches);
        let strangers = offer.vkeys.iter().filter(|vkey| open && brings(offer.body, vkey)).count();
        for (role, needed) in rule {
            let holders = signers.iter().filter(|at| self.parties[**at].holds(role, offer.time));
            let count = if role == "public" { strangers } else { holders.count() };
            if (count as u64) < *needed {
                found.insert(Breach::TooFew);
            }
        }
        found
    }

    /// What is wrong with the keys of an ordinary record, and which parties signed.
    fn judge_keys(&self, offer: &Offer<'_>, open: bool) -> (Breaches, BTreeSet<usize>) {
        let (mut found, mut signers) = (Breaches::new(), BTreeSet::new());
        for vkey in offer.vkeys.iter().filter(|vkey| !(open && brings(offer.body, vkey))) {
            let Some((at, key)) = self.find(vkey) else {
                found.insert(Breach::UnknownKey);
                continue;
            };
            if key.usage != "record" {
                found.insert(Breach::WrongUse);
            }
            if key.revoked.is_some() {
                found.insert(Breach::KeyRevoked);
            }
            if !key.span.has(offer.time) {
                found.insert(Breach::KeyNotValid);
            }
            if self.parties[at].stands != Stands::Well {
                found.insert(Breach::Standing);
            }
            signers.insert(at);
        }
        (found, signers)
    }

    /// Whether those who signed may make a change.
    fn judge_governors(&self, offer: &Offer<'_>, about: &About) -> Breaches {
        let mut found = Breaches::new();
        let (mut signers, mut fresh) = (BTreeSet::new(), BTreeSet::new());
        let short = self.governance.iter().any(|own| self.seats(&own.0, offer.time) < own.1);
        for vkey in &offer.vkeys {
            let Some((at, key)) = self.find(vkey) else {
                found.insert(Breach::UnknownKey);
                continue;
            };
            let party = &self.parties[at];
            if key.usage != "record" {
                found.insert(Breach::WrongUse);
            }
            if key.revoked.is_some() && !(*about == About::Successors && key.replaces) {
                found.insert(Breach::KeyRevoked);
            }
            let own = *about == About::OwnKeys && offer.body.text("issuer") == Some(&party.name);
            if party.stands != Stands::Well
                && !(own && matches!(party.stands, Stands::Suspended(_)))
            {
                found.insert(Breach::Standing);
            }
            // whose term ran out still counts, as long as others are too few
            let lapsed = key.span.from <= offer.time && short;
            if !key.span.has(offer.time) && !lapsed {
                found.insert(Breach::KeyNotValid);
            }
            signers.insert(at);
            if key.span.has(offer.time) {
                fresh.insert(at);
            }
        }
        if *about != About::OwnKeys && !self.is_enough(&signers, &fresh, offer.time) {
            found.insert(Breach::TooFew);
        }
        found
    }

    fn is_enough(&self, signers: &BTreeSet<usize>, fresh: &BTreeSet<usize>, time: u64) -> bool {
        self.governance.iter().all(|(role, needed)| {
            let full = |at: &&usize| fresh.contains(at) && self.parties[**at].holds(role, time);
            let in_force = signers.iter().filter(full).count() as u64;
            let any = signers.iter().filter(|at| self.parties[**at].held(role, time)).count();
            let vacant = needed.saturating_sub(self.seats(role, time));
            in_force + vacant.min(any as u64 - in_force) >= *needed
        })
    }

    /// How many could sign for a role with all in force.
    pub fn seats(&self, role: &str, time: u64) -> u64 {
        self.able(role, time).len() as u64
    }

    /// Whether some requirement for changes can be met no more, not even by those held over.
    fn is_stuck(&self, time: u64) -> bool {
        self.governance.iter().any(|(role, needed)| {
            let could = |party: &&Party| {
                let began = |key: &OwnKey| {
                    key.usage == "record" && key.revoked.is_none() && key.span.from <= time
                };
                party.held(role, time) && party.keys.iter().any(began)
            };
            (self.parties.iter().filter(could).count() as u64) < *needed
        })
    }

    fn about(&self, body: &Object) -> About {
        if body.text("kind") != Some("membership") {
            return About::Anything;
        }
        let changes = || objects(body.list("changes"));
        let own = |change: &Object| {
            change.text("action") == Some("revoke_key")
                && change.text("member") == body.text("issuer")
        };
        if changes().all(own) && self.party(body.text("issuer").unwrap_or_default()).is_some() {
            return About::OwnKeys;
        }
        let succeeds = |change: &Object| {
            let party = change.text("member").and_then(|name| self.party(name));
            change.text("action") == Some("add_key")
                && change.text("use") == Some("record")
                && party.is_some_and(|party| party.keys.iter().any(|key| key.replaces))
        };
        if changes().all(succeeds) { About::Successors } else { About::Anything }
    }

    /// After a change: which revoked keys may still sign for their successors.
    fn settle(&mut self, offer: &Offer<'_>, about: &About, index: u64) {
        let short: Vec<String> = self
            .governance
            .iter()
            .filter(|(role, needed)| self.seats(role, offer.time) < *needed)
            .map(|(role, _)| role.clone())
            .collect();
        let issuer = offer.body.text("issuer").unwrap_or_default();
        for party in &mut self.parties {
            let needed = short.iter().any(|role| party.held(role, offer.time));
            let revoked_now = *about == About::OwnKeys && party.name == issuer && needed;
            for key in &mut party.keys {
                key.replaces |= revoked_now && key.revoked == Some(index);
                key.replaces &= !short.is_empty();
            }
        }
    }

    /// The party and the key of a verifier key.
    pub fn find(&self, vkey: &str) -> Option<(usize, &OwnKey)> {
        let all = self.parties.iter().enumerate();
        let mut all = all.flat_map(|(at, party)| party.keys.iter().map(move |key| (at, key)));
        all.find(|(_, key)| key.vkey == vkey)
    }
}

/// Rules broken.
pub type Breaches = BTreeSet<Breach>;

/// Whether a key's name is a member's with a label.
fn is_key_of(key: &str, member: &str) -> bool {
    key.split_once('/').is_some_and(|(name, _)| name == member && name != "public")
}

/// Whether the record brings the key itself, as strangers do.
fn brings(body: &Object, vkey: &str) -> bool {
    vkey.starts_with("public/") && body.text("vkey") == Some(vkey)
}

/// The public key of a verifier key.
pub fn public(vkey: &str) -> String {
    vkey.splitn(3, '+').nth(2).unwrap_or_default().to_owned()
}

/// The objects of a list.
pub fn objects(list: &[Value]) -> impl Iterator<Item = &Object> {
    list.iter().filter_map(Value::as_object)
}

/// So many of a role.
pub fn requirements(list: &[Value]) -> Vec<(String, u64)> {
    let read = |own: &Object| {
        let members = own.get("members").and_then(Value::as_integer).unwrap_or(0);
        (own.text("role").unwrap_or_default().to_owned(), members.unsigned_abs())
    };
    objects(list).map(read).collect()
}

/// The term of a role or key.
pub fn span(object: &Object) -> Span {
    let time = |name| object.text(name).and_then(parse_time);
    Span { from: time("from").unwrap_or(0), until: time("until") }
}

/// The seconds of a whole number of days, `P30D`.
pub fn days(object: Option<&Object>, name: &str) -> u64 {
    let text = object.and_then(|object| object.text(name)).unwrap_or_default();
    let days = text.trim_start_matches('P').trim_end_matches('D').parse::<u64>();
    days.expect("the simulation writes days") * 86_400
}
