//! Reading members, keys and rules out of governance records, whose shapes have been checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::index::LeafIndex;
use crate::note::{MAX_SIGNATURES, ParseKeyError, VerifierKey};
use crate::record::{Kind, Object, StatementId, Value, parse_duration, parse_time};

use super::Rejection;
use super::listed::{Clash, Listed};
use super::shared::{KeyPlaces, SharedList};
use super::state::{
    Charter, DEFAULT_ISSUED_AT_LIMIT, DEFAULT_MAX_GAP, Deadline, KeyUse, MAX_KEYS_OF_MEMBER,
    MAX_LOG_KEYS, MAX_MEMBERS, Member, MemberKey, MemberStanding, PUBLIC, Requirement, RoleTerm,
    Term,
};

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
        base: statement,
        log_keys: Arc::default(),
        retired_log_keys: SharedList::default(),
        members: SharedList::default(),
        keys: SharedList::default(),
        places: KeyPlaces::default(),
        rules: Arc::new(read_rules(body, LeafIndex::ZERO)?),
        governance: read_requirements(body.list("governance"), LeafIndex::ZERO, "governance")?
            .into(),
        deadlines: Arc::new(read_deadlines(body)),
        issued_at_limit: limit("issued_at").unwrap_or(DEFAULT_ISSUED_AT_LIMIT),
        max_gap: limit("max_gap").unwrap_or(DEFAULT_MAX_GAP),
        policy: text(body, "policy").into(),
        checked_policy: None,
        policy_witnesses: SharedList::default(),
        witness_places: KeyPlaces::default(),
        binding: Arc::new(body.get("binding").map(read_binding).unwrap_or_default()),
        enumerations: Arc::default(),
    };
    check_room(&charter.governance, "governance")?;
    if body.list("log_vkeys").len() > MAX_LOG_KEYS {
        return Err(refuse("log_vkeys", format!("are more than {MAX_LOG_KEYS}")));
    }
    for (at, vkey) in body.list("log_vkeys").iter().enumerate() {
        let vkey = vkey.as_text().unwrap_or_default();
        add_log_key(&mut charter, vkey, &format!("log_vkeys[{at}]"))?;
    }
    if body.list("members").len() > MAX_SIGNATURES {
        let problem =
            format!("are more than the {MAX_SIGNATURES} founders who can sign one record");
        return Err(refuse("members", problem));
    }
    for (at, object) in objects(body.list("members")).enumerate() {
        let path = format!("members[{at}]");
        let name = text(object, "name");
        add_member(
            &mut charter,
            &name,
            object,
            &Path { name: &format!("{path}.name"), of: &path },
        )?;
    }
    Ok(charter)
}

/// Where a member is described: the path of its name, and of the object around.
pub(super) struct Path<'a> {
    pub(super) name: &'a str,
    pub(super) of: &'a str,
}

/// Puts a key among those that sign heads.
pub(super) fn add_log_key(charter: &mut Charter, vkey: &str, path: &str) -> Result<(), Rejection> {
    if charter.log_keys.len() == MAX_LOG_KEYS {
        return Err(refuse(path, format!("is one more than {MAX_LOG_KEYS} keys in force")));
    }
    let key = read_key(charter, vkey, KeyUse::Log, path)?;
    if key.name().as_str() != charter.origin {
        let problem = format!("is named {:?}, not like the log {:?}", key.name(), charter.origin);
        return Err(refuse(path, problem));
    }
    Arc::make_mut(&mut charter.log_keys).push(key);
    Ok(())
}

/// Adds a member that was never one, or one that had left.
pub(super) fn add_member(
    charter: &mut Charter,
    name: &str,
    object: &Object,
    path: &Path<'_>,
) -> Result<(), Rejection> {
    if name.contains('/') {
        let problem = "holds a '/', which parts members from labels in key names";
        return Err(refuse(path.name, problem));
    }
    if name == PUBLIC {
        return Err(refuse(path.name, "is \"public\", which stands for anybody"));
    }
    let before = charter.members.iter().position(|own| own.name == name);
    if before.is_some_and(|at| !charter.members[at].standing.has_left()) {
        return Err(refuse(path.name, format!("is {name:?}, a second member of that name")));
    }
    let mut roles = Vec::new();
    for (n, role) in objects(object.list("roles")).enumerate() {
        roles.push(read_role(role, charter.governed_by, &format!("{}.roles[{n}]", path.of))?);
    }
    let node = object.text("node").map(str::to_owned);
    let member = Member { name: name.to_owned(), roles, node, standing: MemberStanding::Good };
    let at = match before {
        Some(at) => {
            if let Some(own) = charter.members.get_mut(at) {
                *own = member;
            }
            at
        }
        None if charter.members.len() == MAX_MEMBERS => {
            return Err(refuse(path.name, format!("is one more than {MAX_MEMBERS}")));
        }
        None => {
            charter.members.push(member);
            charter.members.len() - 1
        }
    };
    for (n, own) in objects(object.list("keys")).enumerate() {
        add_key(charter, at, own, &format!("{}.keys[{n}]", path.of))?;
    }
    Ok(())
}

/// Reads a role and its term.
pub(super) fn read_role(
    object: &Object,
    since: LeafIndex,
    path: &str,
) -> Result<RoleTerm, Rejection> {
    let role = text(object, "role");
    if role == PUBLIC {
        return Err(refuse(&format!("{path}.role"), "is \"public\", which stands for anybody"));
    }
    Ok(RoleTerm { role, term: read_term(object, path)?, since })
}

/// Adds a key to the member at a place.
pub(super) fn add_key(
    charter: &mut Charter,
    member: usize,
    object: &Object,
    path: &str,
) -> Result<(), Rejection> {
    let usage = KeyUse::parse(object.text("use").unwrap_or_default());
    let usage = usage.expect("the shape of `use` was checked");
    let vkey_path = format!("{path}.vkey");
    let key = read_key(charter, object.text("vkey").unwrap_or_default(), usage, &vkey_path)?;
    let name = &charter.members[member].name;
    if !belongs(key.name().as_str(), name) {
        let problem = format!("is named {:?}, neither {name:?} nor \"{name}/label\"", key.name());
        return Err(refuse(&vkey_path, problem));
    }
    check_number_of_keys(charter, member, usage, &vkey_path)?;
    charter.places.add(&key, charter.keys.len());
    let term = read_term(object, path)?;
    let since = charter.governed_by;
    charter.keys.push(MemberKey { key, usage, term, member, revoked: None, since });
    Ok(())
}

/// A member may have had so many keys, and beyond that one at a time for records: who could not
/// replace its last one would be a member for ever without a voice.
fn check_number_of_keys(
    charter: &Charter,
    member: usize,
    usage: KeyUse,
    path: &str,
) -> Result<(), Rejection> {
    if charter.keys.iter().filter(|own| own.member == member).count() < MAX_KEYS_OF_MEMBER {
        return Ok(());
    }
    // the one that is replaced may go before or after the new one comes
    let in_use = charter.keys.iter().filter(|own| own.signs_for(member)).count();
    if usage == KeyUse::Record && in_use <= 1 {
        return Ok(());
    }
    let problem = format!(
        "is one more than {MAX_KEYS_OF_MEMBER} keys of one member; beyond it a key of use record \
         comes when at most one other is not revoked"
    );
    Err(refuse(path, problem))
}

/// Whether a key name is its member's, or that, a slash and a label without one.
fn belongs(key: &str, member: &str) -> bool {
    key.strip_prefix(member).is_some_and(|rest| match rest.strip_prefix('/') {
        Some(label) => !label.is_empty() && !label.contains('/'),
        None => rest.is_empty(),
    })
}

/// Reads a key for a use, and sees to it that no public key comes twice, not even a revoked one or
/// that of a witness, and that none shares name and id with another.
fn read_key(
    charter: &Charter,
    vkey: &str,
    usage: KeyUse,
    path: &str,
) -> Result<VerifierKey, Rejection> {
    let key = match vkey.parse::<VerifierKey>() {
        Ok(key) => key,
        Err(ParseKeyError::UnsupportedType(byte)) => {
            return Err(Rejection::KeyType { path: path.to_owned(), byte });
        }
        Err(error) => return Err(refuse(path, format!("is no usable key: {error}"))),
    };
    if !usage.takes(key.algorithm()) {
        let (own, wanted) = (key.algorithm().byte(), usage.algorithm().byte());
        let word = usage.as_str();
        let problem = format!("is of type 0x{own:02x}; use {word} takes type 0x{wanted:02x}");
        return Err(refuse(path, problem));
    }
    match charter.clash(&key, Listed::Key(usage)) {
        None => Ok(key),
        Some(Clash::KeyId) => Err(refuse(path, "shares its name and id with another key")),
        Some(Clash::PublicKey(Listed::Key(_), _)) => {
            Err(refuse(path, "is listed before; one public key has one use and one member"))
        }
        Some(Clash::PublicKey(Listed::PolicyWitness, witness)) => {
            let witness = witness.name();
            let problem =
                format!("is the key of {witness}, a witness of a policy; a key has one use");
            Err(refuse(path, problem))
        }
    }
}

fn read_term(object: &Object, path: &str) -> Result<Term, Rejection> {
    let time = |name| object.text(name).and_then(parse_time);
    let term = Term { from: time("from").unwrap_or(0), until: time("until") };
    if term.until.is_some_and(|until| until <= term.from) {
        return Err(refuse(path, "ends before it begins"));
    }
    Ok(term)
}

/// Roles by the relation that they may bind.
pub(super) fn read_binding(value: &Value) -> BTreeMap<String, Vec<String>> {
    let relations = value.as_object().into_iter().flat_map(Object::iter);
    relations.map(|(relation, roles)| (relation.to_owned(), words(roles))).collect()
}

fn read_rules(
    body: &Object,
    since: LeafIndex,
) -> Result<BTreeMap<Kind, Vec<Requirement>>, Rejection> {
    let mut rules = BTreeMap::new();
    let Some(object) = body.get("rules").and_then(Value::as_object) else { return Ok(rules) };
    for (name, value) in object.iter() {
        let path = format!("rules.{}", name.escape_debug());
        let kind = read_kind(name, &path)?;
        rules.insert(kind, read_requirements(value.as_list().unwrap_or_default(), since, &path)?);
    }
    Ok(rules)
}

/// Reads the name of a kind that rules are for.
pub(super) fn read_kind(name: &str, path: &str) -> Result<Kind, Rejection> {
    match Kind::parse(name) {
        None => Err(refuse(path, "names no kind of record")),
        Some(kind) if kind.is_governance() => Err(refuse(path, "is for `governance` to say")),
        Some(kind) => Ok(kind),
    }
}

/// Reads who must sign.
pub(super) fn read_requirements(
    list: &[Value],
    since: LeafIndex,
    path: &str,
) -> Result<Vec<Requirement>, Rejection> {
    let mut requirements: Vec<Requirement> = Vec::with_capacity(list.len());
    for (at, object) in objects(list).enumerate() {
        let members = object.get("members").and_then(Value::as_integer).unwrap_or_default();
        let members = u64::try_from(members).expect("the shape of `members` was checked");
        let role = text(object, "role");
        if requirements.iter().any(|own| own.role == role) {
            return Err(refuse(&format!("{path}[{at}].role"), format!("repeats role {role:?}")));
        }
        requirements.push(Requirement { role, members, since });
    }
    Ok(requirements)
}

/// So many as a record has room for: else nobody could ever change the charter.
pub(super) fn check_room(requirements: &[Requirement], path: &str) -> Result<(), Rejection> {
    let members: u64 = requirements.iter().map(Requirement::members).sum();
    if members > MAX_SIGNATURES as u64 {
        let problem = format!("ask for {members} members; a record has {MAX_SIGNATURES} lines");
        return Err(refuse(path, problem));
    }
    Ok(())
}

/// Reads what is due when.
pub(super) fn read_deadlines(object: &Object) -> Vec<Deadline> {
    objects(object.list("deadlines")).map(read_deadline).collect()
}

fn read_deadline(object: &Object) -> Deadline {
    let map = |name: &str| {
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

/// The texts of a list.
pub(super) fn words(value: &Value) -> Vec<String> {
    let list = value.as_list().unwrap_or_default();
    list.iter().filter_map(Value::as_text).map(str::to_owned).collect()
}

/// The objects of a list.
pub(super) fn objects(list: &[Value]) -> impl Iterator<Item = &Object> {
    list.iter().filter_map(Value::as_object)
}

/// A text member, empty without one: whose shapes were checked.
pub(super) fn text(object: &Object, name: &str) -> String {
    object.text(name).unwrap_or_default().to_owned()
}

pub(super) fn refuse(path: &str, problem: impl Into<String>) -> Rejection {
    Rejection::Charter { path: path.to_owned(), problem: problem.into() }
}
