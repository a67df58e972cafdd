//! What a charter holds: members, roles, keys, rules; and how it is read from the genesis record.

use std::collections::{BTreeMap, BTreeSet};

use crate::index::LeafIndex;
use crate::note::{Algorithm, KeyId, MAX_SIGNATURES, ParseKeyError, PublicKey, VerifierKey};
use crate::record::{Kind, Object, StatementId, Value, parse_duration, parse_time};

use super::Rejection;

/// Log keys that a charter may list: one, and a few for rotation.
pub const MAX_LOG_KEYS: usize = 8;

/// The name that stands for anybody, so that no member may bear it.
pub const PUBLIC: &str = "public";

/// The default limit of an entry's time after `issued_at`: 30 days.
pub const DEFAULT_ISSUED_AT_LIMIT: u64 = 30 * 86_400;

/// The default of `max_gap`, between an entry's time and its first witnessed head: an hour.
pub const DEFAULT_MAX_GAP: u64 = 3_600;

/// What a key signs. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUse {
    /// Records, and members' requests.
    Record,
    /// Heads of a log.
    Log,
    /// Cosignatures of a witness.
    Witness,
    /// Cosignatures of a mirror.
    Mirror,
    /// A node's own statements.
    Node,
}

/// A stretch of time: from its first second, until the second in which it no longer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    from: u64,
    until: Option<u64>,
}

/// A member's key: whose it is, what it signs and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberKey {
    key: VerifierKey,
    usage: KeyUse,
    term: Term,
    member: usize,
}

/// A role that a member holds for a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleTerm {
    role: String,
    term: Term,
}

/// A member of the consortium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    name: String,
    roles: Vec<RoleTerm>,
    node: Option<String>,
}

/// So many distinct members with a role must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    role: String,
    members: u64,
}

/// What is due when, as the charter says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    name: String,
    clock: String,
    when: BTreeMap<String, Vec<String>>,
    within: u64,
    satisfied_by: BTreeMap<String, Vec<String>>,
}

/// Who may do what, at one point of the log: the state that entries are judged by.
///
/// Made from entry 0 by [`Charter::found`]; a pure fold from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charter {
    pub(super) origin: String,
    pub(super) consortium: String,
    pub(super) statement: StatementId,
    pub(super) governed_by: LeafIndex,
    pub(super) log_keys: Vec<VerifierKey>,
    pub(super) members: Vec<Member>,
    pub(super) keys: Vec<MemberKey>,
    /// Where the keys of an id stand in `keys`: names decide among them.
    pub(super) by_id: BTreeMap<KeyId, Vec<usize>>,
    pub(super) rules: BTreeMap<Kind, Vec<Requirement>>,
    pub(super) governance: Vec<Requirement>,
    pub(super) deadlines: Vec<Deadline>,
    pub(super) issued_at_limit: u64,
    pub(super) max_gap: u64,
    pub(super) policy: String,
}

impl KeyUse {
    /// The word that charters use.
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyUse::Record => "record",
            KeyUse::Log => "log",
            KeyUse::Witness => "witness",
            KeyUse::Mirror => "mirror",
            KeyUse::Node => "node",
        }
    }

    /// The use of a word.
    pub fn parse(word: &str) -> Option<KeyUse> {
        let all = [KeyUse::Record, KeyUse::Log, KeyUse::Witness, KeyUse::Mirror, KeyUse::Node];
        all.into_iter().find(|usage| usage.as_str() == word)
    }

    /// The signature type that keys of this use have.
    pub const fn algorithm(self) -> Algorithm {
        match self {
            KeyUse::Record | KeyUse::Log | KeyUse::Node => Algorithm::Ed25519,
            KeyUse::Witness | KeyUse::Mirror => Algorithm::CosignatureV1,
        }
    }
}

impl Term {
    /// Whether a second lies within the term.
    pub fn contains(self, time: u64) -> bool {
        self.from <= time && self.until.is_none_or(|until| time < until)
    }

    /// The first second, 0 where none is given.
    pub fn from(self) -> u64 {
        self.from
    }

    /// The first second after the term, if it ends.
    pub fn until(self) -> Option<u64> {
        self.until
    }
}

impl MemberKey {
    /// The key.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// What it signs.
    pub fn usage(&self) -> KeyUse {
        self.usage
    }

    /// When it is valid.
    pub fn term(&self) -> Term {
        self.term
    }

    /// The member's place in [`Charter::members`].
    pub(super) fn member(&self) -> usize {
        self.member
    }
}

impl RoleTerm {
    /// The role.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// When it is held.
    pub fn term(&self) -> Term {
        self.term
    }
}

impl Member {
    /// The member's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its roles.
    pub fn roles(&self) -> &[RoleTerm] {
        &self.roles
    }

    /// Its node's address, if it runs one.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Whether it holds a role in a second.
    pub fn holds(&self, role: &str, time: u64) -> bool {
        self.roles.iter().any(|own| own.role == role && own.term.contains(time))
    }
}

impl Requirement {
    /// The role that signs.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// How many distinct members of it.
    pub fn members(&self) -> u64 {
        self.members
    }
}

impl Deadline {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The time it runs from, like `incident.aware_at`.
    pub fn clock(&self) -> &str {
        &self.clock
    }

    /// The members and values that start it.
    pub fn when(&self) -> &BTreeMap<String, Vec<String>> {
        &self.when
    }

    /// How long, in seconds.
    pub fn within(&self) -> u64 {
        self.within
    }

    /// The members and values of the record that meets it.
    pub fn satisfied_by(&self) -> &BTreeMap<String, Vec<String>> {
        &self.satisfied_by
    }
}

/// Reads a charter's body, whose shapes the record's parser has checked.
pub(super) fn read(
    origin: &str,
    statement: StatementId,
    body: &Object,
) -> Result<Charter, Rejection> {
    let limit = |name: &str| body.get("limits")?.as_object()?.text(name).and_then(parse_duration);
    let mut charter = Charter {
        origin: origin.to_owned(),
        consortium: text(body, "consortium"),
        statement,
        governed_by: LeafIndex::ZERO,
        log_keys: Vec::new(),
        members: Vec::new(),
        keys: Vec::new(),
        by_id: BTreeMap::new(),
        rules: read_rules(body)?,
        governance: read_requirements(body.list("governance"), "governance")?,
        deadlines: objects(body.list("deadlines")).map(read_deadline).collect(),
        issued_at_limit: limit("issued_at").unwrap_or(DEFAULT_ISSUED_AT_LIMIT),
        max_gap: limit("max_gap").unwrap_or(DEFAULT_MAX_GAP),
        policy: text(body, "policy"),
    };
    let mut seen = BTreeSet::new();
    read_log_keys(&mut charter, body, &mut seen)?;
    if body.list("members").len() > MAX_SIGNATURES {
        let problem =
            format!("are more than the {MAX_SIGNATURES} founders who can sign one record");
        return Err(refuse("members", problem));
    }
    for (at, object) in objects(body.list("members")).enumerate() {
        read_member(&mut charter, object, at, &mut seen)?;
    }
    Ok(charter)
}

fn read_log_keys(
    charter: &mut Charter,
    body: &Object,
    seen: &mut BTreeSet<PublicKey>,
) -> Result<(), Rejection> {
    let vkeys = body.list("log_vkeys");
    if vkeys.len() > MAX_LOG_KEYS {
        return Err(refuse("log_vkeys", format!("are more than {MAX_LOG_KEYS}")));
    }
    for (at, vkey) in vkeys.iter().enumerate() {
        let path = format!("log_vkeys[{at}]");
        let key = read_key(vkey.as_text().unwrap_or_default(), KeyUse::Log, &path, seen)?;
        if key.name().as_str() != charter.origin {
            let problem =
                format!("is named {:?}, not like the log {:?}", key.name(), charter.origin);
            return Err(refuse(&path, problem));
        }
        if charter.log_keys.iter().any(|own| own.id() == key.id()) {
            return Err(refuse(&path, "shares its name and id with another key"));
        }
        charter.log_keys.push(key);
    }
    Ok(())
}

fn read_member(
    charter: &mut Charter,
    object: &Object,
    at: usize,
    seen: &mut BTreeSet<PublicKey>,
) -> Result<(), Rejection> {
    let name = text(object, "name");
    let name_path = format!("members[{at}].name");
    if name.contains('/') {
        return Err(refuse(
            &name_path,
            "holds a '/', which parts members from labels in key names",
        ));
    }
    if name == PUBLIC {
        return Err(refuse(&name_path, "is \"public\", which stands for anybody"));
    }
    if charter.members.iter().any(|own| own.name == name) {
        return Err(refuse(&name_path, format!("is {name:?}, a second member of that name")));
    }
    let mut roles = Vec::new();
    for (n, role) in objects(object.list("roles")).enumerate() {
        let term = read_term(role, || format!("members[{at}].roles[{n}]"))?;
        roles.push(RoleTerm { role: text(role, "role"), term });
    }
    for (n, own) in objects(object.list("keys")).enumerate() {
        let path = format!("members[{at}].keys[{n}]");
        let usage = KeyUse::parse(own.text("use").unwrap_or_default())
            .expect("the shape of `use` was checked");
        let vkey = own.text("vkey").unwrap_or_default();
        let key = read_key(vkey, usage, &format!("{path}.vkey"), seen)?;
        if !belongs(key.name().as_str(), &name) {
            let problem =
                format!("is named {:?}, neither {name:?} nor \"{name}/label\"", key.name());
            return Err(refuse(&format!("{path}.vkey"), problem));
        }
        let places = charter.by_id.entry(key.id()).or_default();
        if places.iter().any(|place| charter.keys[*place].key.name() == key.name()) {
            let problem = "shares its name and id with another key";
            return Err(refuse(&format!("{path}.vkey"), problem));
        }
        places.push(charter.keys.len());
        let term = read_term(own, || path)?;
        charter.keys.push(MemberKey { key, usage, term, member: at });
    }
    let node = object.text("node").map(str::to_owned);
    charter.members.push(Member { name, roles, node });
    Ok(())
}

/// Whether a key name is its member's, or that, a slash and a label without one.
fn belongs(key: &str, member: &str) -> bool {
    key.strip_prefix(member).is_some_and(|rest| match rest.strip_prefix('/') {
        Some(label) => !label.is_empty() && !label.contains('/'),
        None => rest.is_empty(),
    })
}

/// Reads a key for a use, and sees to it that no public key comes twice.
fn read_key(
    vkey: &str,
    usage: KeyUse,
    path: &str,
    seen: &mut BTreeSet<PublicKey>,
) -> Result<VerifierKey, Rejection> {
    let key = match vkey.parse::<VerifierKey>() {
        Ok(key) => key,
        Err(ParseKeyError::UnsupportedType(byte)) => {
            return Err(Rejection::KeyType { path: path.to_owned(), byte });
        }
        Err(error) => return Err(refuse(path, format!("is no usable key: {error}"))),
    };
    if key.algorithm() != usage.algorithm() {
        let (own, wanted) = (key.algorithm().byte(), usage.algorithm().byte());
        let word = usage.as_str();
        let problem = format!("is of type 0x{own:02x}; use {word} takes type 0x{wanted:02x}");
        return Err(refuse(path, problem));
    }
    if !seen.insert(key.public()) {
        return Err(refuse(path, "is listed before; one public key has one use and one member"));
    }
    Ok(key)
}

fn read_term(object: &Object, path: impl FnOnce() -> String) -> Result<Term, Rejection> {
    let time = |name| object.text(name).and_then(parse_time);
    let term = Term { from: time("from").unwrap_or(0), until: time("until") };
    if term.until.is_some_and(|until| until <= term.from) {
        return Err(refuse(&path(), "ends before it begins"));
    }
    Ok(term)
}

fn read_rules(body: &Object) -> Result<BTreeMap<Kind, Vec<Requirement>>, Rejection> {
    let mut rules = BTreeMap::new();
    let Some(object) = body.get("rules").and_then(Value::as_object) else { return Ok(rules) };
    for (name, value) in object.iter() {
        let path = format!("rules.{}", name.escape_debug());
        let Some(kind) = Kind::parse(name) else {
            return Err(refuse(&path, "names no kind of record"));
        };
        if kind.is_governance() {
            return Err(refuse(&path, "is for `governance` to say"));
        }
        rules.insert(kind, read_requirements(value.as_list().unwrap_or_default(), &path)?);
    }
    Ok(rules)
}

fn read_requirements(list: &[Value], path: &str) -> Result<Vec<Requirement>, Rejection> {
    let mut requirements: Vec<Requirement> = Vec::with_capacity(list.len());
    for (at, object) in objects(list).enumerate() {
        let members = object.get("members").and_then(Value::as_integer).unwrap_or_default();
        let members = u64::try_from(members).expect("the shape of `members` was checked");
        let role = text(object, "role");
        if requirements.iter().any(|own| own.role == role) {
            return Err(refuse(&format!("{path}[{at}].role"), format!("repeats role {role:?}")));
        }
        requirements.push(Requirement { role, members });
    }
    Ok(requirements)
}

fn read_deadline(object: &Object) -> Deadline {
    let map = |name: &str| {
        let words = |value: &Value| {
            let list = value.as_list().unwrap_or_default();
            list.iter().filter_map(Value::as_text).map(str::to_owned).collect()
        };
        let members = object.get(name).and_then(Value::as_object);
        let members = members.into_iter().flat_map(Object::iter);
        members.map(|(name, value)| (name.to_owned(), words(value))).collect()
    };
    Deadline {
        name: text(object, "name"),
        clock: text(object, "clock"),
        when: map("when"),
        within: object.text("within").and_then(parse_duration).unwrap_or_default(),
        satisfied_by: map("satisfied_by"),
    }
}

fn objects(list: &[Value]) -> impl Iterator<Item = &Object> {
    list.iter().filter_map(Value::as_object)
}

fn text(object: &Object, name: &str) -> String {
    object.text(name).unwrap_or_default().to_owned()
}

pub(super) fn refuse(path: &str, problem: impl Into<String>) -> Rejection {
    Rejection::Charter { path: path.to_owned(), problem: problem.into() }
}
