//! What `membership` and `norm` records change, one action at a time on a copy of the charter.

use std::sync::Arc;

use crate::index::LeafIndex;
use crate::record::{Kind, Logged, Object, Record, parse_duration, parse_time};

use super::read::{
    Path, add_key, add_log_key, add_member, check_room, objects, read_binding, read_deadlines,
    read_kind, read_requirements, read_role, refuse, text, words,
};
use super::{
    Charter, MAX_KEYS_OF_MEMBER, Member, MemberKey, MemberStanding, Rejection, RetiredLogKey,
    Revocation,
};

/// What a governance record is about, where that decides whose signatures count. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Intent {
    /// The issuer, at this place, revokes keys of its own and nothing else: nobody else need agree.
    RevokeOwn(usize),
    /// Nothing but new record keys for members, at these places, who revoked theirs and are needed.
    Replace(Vec<usize>),
    /// Anything else.
    Other,
}

/// What the record is about.
pub(super) fn intent(charter: &Charter, record: &Record) -> Intent {
    if record.kind() != Kind::Membership {
        return Intent::Other;
    }
    let issuer = record.envelope().issuer();
    let all = |fits: &dyn Fn(&Object) -> bool| objects(record.body().list("changes")).all(fits);
    let place = charter.members().iter().position(|member| member.name() == issuer);
    let revokes_own = |change: &Object| {
        change.text("action") == Some("revoke_key") && change.text("member") == Some(issuer)
    };
    if let Some(place) = place.filter(|_| all(&revokes_own)) {
        return Intent::RevokeOwn(place);
    }
    let new_key = |change: &Object| {
        change.text("action") == Some("add_key") && change.text("use") == Some("record")
    };
    let replaces = |change: &Object| {
        let place = needed(charter, change.text("member")?)?;
        new_key(change).then_some(place)
    };
    let places: Option<Vec<usize>> = objects(record.body().list("changes")).map(replaces).collect();
    places.map_or(Intent::Other, Intent::Replace)
}

/// The place of a member that revoked its own key and without which the charter cannot be changed.
fn needed(charter: &Charter, name: &str) -> Option<usize> {
    let may_replace = |revoked: Option<Revocation>| revoked.is_some_and(|own| own.may_replace);
    let mut keys = charter.keys.iter().filter(|key| may_replace(key.revoked));
    keys.find(|key| charter.members[key.member].name == name).map(|key| key.member)
}

/// Applies all changes of a record, in order, to a copy of the charter that names it as the latest.
pub(super) fn apply(
    charter: &mut Charter,
    record: &Record,
    signers: &[usize],
    logged: &Logged,
) -> Result<(), Rejection> {
    let body = record.body();
    let changes = objects(body.list("changes"));
    let touched = touches_policy(record).then(|| charter.checked_policy.clone());
    if record.kind() == Kind::Norm {
        let effective_from = body.text("effective_from").and_then(parse_time).unwrap_or(0);
        if effective_from > logged.time && !body.list("changes").is_empty() {
            return Err(Rejection::NotYetEffective { effective_from, logged: logged.time });
        }
    }
    for (at, change) in changes.enumerate() {
        let path = format!("changes[{at}]");
        let step = ChangeStep { change, path: &path, signers, index: charter.governed_by };
        let applied = match record.kind() {
            Kind::Norm => step.norm(charter),
            _ => step.membership(charter),
        };
        applied.map_err(|rejection| match rejection {
            Rejection::Charter { path, problem } => Rejection::Change { path, problem },
            other => other,
        })?;
    }
    match touched {
        Some(before) => charter.check_policy(before.as_deref(), &policy_path(record)),
        None => Ok(()),
    }
}

/// Whether a record changes what the policy must fit: itself, or the log keys. Each other key that
/// a record adds is judged beside the policy's witnesses when it is read.
fn touches_policy(record: &Record) -> bool {
    let words = ["set_policy", "add_log_key", "retire_log_key"];
    let touches = |change: &Object| change.text("action").is_some_and(|own| words.contains(&own));
    record.kind() == Kind::Norm && objects(record.body().list("changes")).any(touches)
}

/// How often the record's changes look through all members or keys: each change for its member, and
/// each key of a new member for one like it and for its member's others.
pub(super) fn looked_up(record: &Record) -> usize {
    let of = |change: &Object| 2 * (1 + change.list("keys").len());
    objects(record.body().list("changes")).map(of).sum()
}

/// Lines of the policies that are read to judge the record: the one in force, and those that it
/// sets.
pub(super) fn policy_lines(charter: &Charter, record: &Record) -> usize {
    if !touches_policy(record) {
        return 0;
    }
    let lines = |text: &str| text.lines().count();
    let set = objects(record.body().list("changes")).filter_map(|change| change.text("policy"));
    lines(&charter.policy) + set.map(lines).sum::<usize>()
}

/// Where the record sets the policy, `policy` if it leaves it as it is.
fn policy_path(record: &Record) -> String {
    let changes: Vec<&Object> = objects(record.body().list("changes")).collect();
    let sets = |change: &&Object| change.text("action") == Some("set_policy");
    let last = changes.iter().rposition(sets);
    last.map_or("policy".to_owned(), |at| format!("changes[{at}].policy"))
}

/// One change and its place.
struct ChangeStep<'a> {
    change: &'a Object,
    path: &'a str,
    signers: &'a [usize],
    index: LeafIndex,
}

impl ChangeStep<'_> {
    fn membership(&self, charter: &mut Charter) -> Result<(), Rejection> {
        let action = text(self.change, "action");
        if action == "admit" {
            let name = text(self.change, "member");
            let path = Path { name: &self.at("member"), of: self.path };
            return add_member(charter, &name, self.change, &path);
        }
        let place = self.member(charter)?;
        match action.as_str() {
            "suspend" => self.suspend(charter, place),
            "reinstate" => self.reinstate(charter, place),
            "expel" => {
                self.leave(charter, place, MemberStanding::Expelled(self.index));
                Ok(())
            }
            "withdraw" => self.withdraw(charter, place),
            "assign_role" => self.assign_role(charter, place),
            "end_role" => self.end_role(charter, place),
            "add_key" => self.add_key(charter, place),
            "revoke_key" => self.revoke_key(charter, place),
            "set_node" => self.set_node(charter, place),
            // a sanction is for people to read
            _ => Ok(()),
        }
    }

    fn norm(&self, charter: &mut Charter) -> Result<(), Rejection> {
        let requirements = || {
            read_requirements(
                self.change.list("requirements"),
                self.index,
                &self.at("requirements"),
            )
        };
        match text(self.change, "action").as_str() {
            "set_rule" => {
                let kind = read_kind(&text(self.change, "kind"), &self.at("kind"))?;
                Arc::make_mut(&mut charter.rules).insert(kind, requirements()?);
            }
            "remove_rule" => {
                let kind = read_kind(&text(self.change, "kind"), &self.at("kind"))?;
                if Arc::make_mut(&mut charter.rules).remove(&kind).is_none() {
                    return self.refuse("kind", format!("is {kind}, for which there is no rule"));
                }
            }
            "set_governance" => {
                charter.governance = Arc::new(requirements()?);
                check_room(&charter.governance, &self.at("requirements"))?;
            }
            "set_deadlines" => charter.deadlines = Arc::new(read_deadlines(self.change)),
            "set_limits" => {
                let limit = |name: &str| self.change.text(name).and_then(parse_duration);
                charter.issued_at_limit = limit("issued_at").unwrap_or(charter.issued_at_limit);
                charter.max_gap = limit("max_gap").unwrap_or(charter.max_gap);
            }
            "set_enumeration" => {
                let list = self.change.get("words").map(words).unwrap_or_default();
                Arc::make_mut(&mut charter.enumerations).insert(text(self.change, "name"), list);
            }
            "set_binding" => {
                let binding = self.change.get("binding");
                charter.binding = Arc::new(binding.map(read_binding).unwrap_or_default());
            }
            "set_policy" => charter.policy = text(self.change, "policy").into(),
            "add_log_key" => {
                let vkey = text(self.change, "vkey");
                add_log_key(charter, &vkey, &self.at("vkey"))?;
            }
            _ => self.retire_log_key(charter)?,
        }
        Ok(())
    }

    /// The member that a change names, which has not left.
    fn member(&self, charter: &Charter) -> Result<usize, Rejection> {
        let name = text(self.change, "member");
        let place = charter.members.iter().position(|member| member.name == name);
        let Some(place) = place else {
            return self.refuse("member", format!("is {name:?}, who is no member"));
        };
        let standing = charter.members[place].standing;
        match standing.since().filter(|_| standing.has_left()) {
            None => Ok(place),
            Some(since) => {
                let how = standing.as_str();
                self.refuse("member", format!("is {name:?}, {how} by entry {since}"))
            }
        }
    }

    fn suspend(&self, charter: &mut Charter, place: usize) -> Result<(), Rejection> {
        if let Some(since) = charter.members[place].standing.since() {
            return self.refuse("member", format!("is suspended already, by entry {since}"));
        }
        set_standing(charter, place, MemberStanding::Suspended(self.index));
        Ok(())
    }

    fn reinstate(&self, charter: &mut Charter, place: usize) -> Result<(), Rejection> {
        if charter.members[place].standing == MemberStanding::Good {
            return self.refuse("member", "is not suspended".to_owned());
        }
        set_standing(charter, place, MemberStanding::Good);
        Ok(())
    }

    fn withdraw(&self, charter: &mut Charter, place: usize) -> Result<(), Rejection> {
        if !self.signers.contains(&place) {
            let name = &charter.members[place].name;
            let problem = format!("is {name:?}, who has not signed; others `expel` it");
            return self.refuse("member", problem);
        }
        self.leave(charter, place, MemberStanding::Withdrawn(self.index));
        Ok(())
    }

    /// A member that leaves takes all its keys with it.
    fn leave(&self, charter: &mut Charter, place: usize, standing: MemberStanding) {
        set_standing(charter, place, standing);
        charter.keys.change(
            |key| key.member == place,
            |key| {
                let at = key.revoked.map_or(self.index, |revocation| revocation.at);
                key.revoked = Some(Revocation { at, may_replace: false });
            },
        );
    }

    /// Once a member can sign again, keys that it revoked need no longer sign their replacement.
    fn add_key(&self, charter: &mut Charter, place: usize) -> Result<(), Rejection> {
        add_key(charter, place, self.change, self.path)?;
        if self.change.text("use") == Some("record") {
            charter.keys.change(|key| key.member == place && key.may_replace(), forget_replacement);
        }
        Ok(())
    }

    fn assign_role(&self, charter: &mut Charter, place: usize) -> Result<(), Rejection> {
        let role = read_role(self.change, self.index, self.path)?;
        if charter.members[place].roles.len() == MAX_KEYS_OF_MEMBER {
            let problem = format!("is one more than {MAX_KEYS_OF_MEMBER} terms of one member");
            return self.refuse("role", problem);
        }
        member_at(charter, place).roles.push(role);
        Ok(())
    }

    fn end_role(&self, charter: &mut Charter, place: usize) -> Result<(), Rejection> {
        let role = text(self.change, "role");
        let member = member_at(charter, place);
        let before = member.roles.len();
        member.roles.retain(|own| own.role != role);
        if member.roles.len() == before {
            let name = &member.name;
            return self.refuse("role", format!("is {role:?}, which {name:?} does not hold"));
        }
        Ok(())
    }

    fn revoke_key(&self, charter: &mut Charter, place: usize) -> Result<(), Rejection> {
        let vkey = text(self.change, "vkey");
        let is_it = |key: &MemberKey| key.member == place && key.key.to_string() == vkey;
        let Some(key) = charter.keys.iter().position(is_it) else {
            let name = &charter.members[place].name;
            return self.refuse("vkey", format!("is no key of {name:?}"));
        };
        if let Some(revocation) = charter.keys[key].revoked {
            return self.refuse("vkey", format!("was revoked by entry {}", revocation.at));
        }
        if let Some(key) = charter.keys.get_mut(key) {
            key.revoked = Some(Revocation { at: self.index, may_replace: false });
        }
        Ok(())
    }

    fn set_node(&self, charter: &mut Charter, place: usize) -> Result<(), Rejection> {
        let node = self.change.text("node").map(str::to_owned);
        if charter.members[place].node == node {
            return self.refuse("node", "is the member's already".to_owned());
        }
        member_at(charter, place).node = node;
        Ok(())
    }

    fn retire_log_key(&self, charter: &mut Charter) -> Result<(), Rejection> {
        let vkey = text(self.change, "vkey");
        let Some(at) = charter.log_keys.iter().position(|key| key.to_string() == vkey) else {
            return self.refuse("vkey", "is no log key in force".to_owned());
        };
        if charter.log_keys.len() == 1 {
            let problem = "is the last log key; add the new one first, or in the same record";
            return self.refuse("vkey", problem.to_owned());
        }
        let key = Arc::make_mut(&mut charter.log_keys).remove(at);
        charter.retired_log_keys.push(RetiredLogKey { key, at: self.index });
        Ok(())
    }

    fn at(&self, member: &str) -> String {
        format!("{}.{member}", self.path)
    }

    fn refuse<T>(&self, member: &str, problem: String) -> Result<T, Rejection> {
        Err(refuse(&self.at(member), problem))
    }
}

/// The member at a place, which was looked up, to be changed.
fn member_at(charter: &mut Charter, place: usize) -> &mut Member {
    charter.members.get_mut(place).expect("members stay in their places")
}

fn set_standing(charter: &mut Charter, place: usize, standing: MemberStanding) {
    member_at(charter, place).standing = standing;
}

/// A revoked key signs its replacement no more.
pub(super) fn forget_replacement(key: &mut MemberKey) {
    if let Some(revocation) = &mut key.revoked {
        revocation.may_replace = false;
    }
}
