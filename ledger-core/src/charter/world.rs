//! A consortium and its log in memory, for tests of what its records change and prove.

use crate::Hint;
use crate::index::LeafIndex;
use crate::note::SignerKey;
use crate::record::tests::{ISSUED, envelope, incident, signer};
use crate::record::{Draft, Entry, Logged, Object, RecordId, Value, format_time};

use super::tests::ORIGIN;
use super::*;

/// Members a, b and c are stewards and publishers, d reviews, e has no role; two of three stewards
/// change the charter.
pub(crate) struct World {
    pub(crate) charter: Charter,
    pub(crate) entries: Vec<(LeafIndex, Entry)>,
    pub(crate) time: u64,
    next_id: u64,
}

pub(crate) fn key(name: &str) -> SignerKey {
    signer(name, name.bytes().fold(7, |sum, byte| sum ^ byte.rotate_left(3)))
}

pub(crate) fn vkey(name: &str) -> String {
    key(name).verifier().to_string()
}

pub(crate) fn change(action: &str, member: &str) -> Object {
    Object::new().with("action", action).with("member", member)
}

pub(crate) fn key_change(action: &str, member: &str, name: &str) -> Object {
    let change = change(action, member).with("vkey", vkey(name));
    if action == "add_key" { change.with("use", "record") } else { change }
}

pub(crate) fn role(action: &str, member: &str, role: &str) -> Object {
    change(action, member).with("role", role)
}

pub(crate) fn admit(member: &str, roles: &[&str]) -> Object {
    let role = |role: &&str| Object::new().with("role", *role);
    let key = Object::new().with("vkey", vkey(member)).with("use", "record");
    change("admit", member)
        .with("roles", roles.iter().map(role).collect::<Vec<_>>())
        .with("keys", vec![key])
}

pub(crate) fn requirement(role: &str, members: i64) -> Object {
    Object::new().with("role", role).with("members", Value::Integer(members))
}

impl World {
    pub(crate) fn founded(edit: impl FnOnce(Object) -> Object) -> World {
        let log = signer(ORIGIN, 100);
        let draft = CharterDraft::new("c", log.verifier().clone())
            .member("a", key("a").verifier().clone(), ["publisher", "steward"])
            .member("b", key("b").verifier().clone(), ["publisher", "steward"])
            .member("c", key("c").verifier().clone(), ["publisher", "steward"])
            .member("d", key("d").verifier().clone(), ["reviewer"])
            .member("e", key("e").verifier().clone(), []);
        let id = RecordId::from_parts(ISSUED * 1000, [9; 10]);
        let object = edit(draft.draft(id, ISSUED).expect("sound").body().clone());
        let founders = ["a", "b", "c", "d", "e"].map(key);
        let draft = Draft::from_object(&object).expect("shapes");
        let record = draft.sign(&founders.each_ref()).expect("signed");
        let entry = Entry::new(Logged { time: ISSUED, governance: LeafIndex::ZERO }, record);
        let charter = Charter::found(&entry).expect("founded");
        World { charter, entries: vec![(LeafIndex::ZERO, entry)], time: ISSUED, next_id: 1 }
    }

    pub(crate) fn new() -> World {
        World::founded(|object| object)
    }

    pub(super) fn envelope(&mut self, kind: &str, issuer: &str) -> Object {
        self.next_id += 1;
        let id = RecordId::from_parts(self.next_id, [0; 10]);
        envelope(kind)
            .with("id", id.to_string())
            .with("issuer", issuer)
            .with("issued_at", format_time(self.time))
    }

    pub(crate) fn membership(&mut self, issuer: &str, changes: Vec<Object>) -> Object {
        let base = self.charter.base().to_string();
        self.envelope("membership", issuer).with("base", base).with("changes", changes)
    }

    pub(crate) fn norm(&mut self, issuer: &str, changes: Vec<Object>) -> Object {
        let base = self.charter.base().to_string();
        let since = format_time(self.time);
        self.envelope("norm", issuer)
            .with("base", base)
            .with("version", "1")
            .with("effective_from", since)
            .with("text", "Be good.")
            .with("changes", changes)
    }

    pub(crate) fn judge(&self, object: &Object, keys: &[&str]) -> Result<Change, Rejection> {
        let keys: Vec<SignerKey> = keys.iter().map(|name| key(name)).collect();
        let keys: Vec<&SignerKey> = keys.iter().collect();
        let record = Draft::from_object(object).expect("shapes hold").sign(&keys).expect("signed");
        let signed = self.charter.verify(record)?;
        self.charter.admit(&signed, &self.logged(), self.next_index())
    }

    pub(crate) fn logged(&self) -> Logged {
        Logged { time: self.time, governance: self.charter.governance_index() }
    }

    pub(crate) fn next_index(&self) -> LeafIndex {
        LeafIndex::new(self.entries.len() as u64).expect("small")
    }

    /// Logs a record that must be lawful.
    pub(crate) fn log(&mut self, object: &Object, names: &[&str]) {
        match self.judge(object, names) {
            Ok(Change::Record) => {}
            Ok(Change::Governance(next)) => {
                let entry = self.entry(object, names);
                self.entries.push((self.next_index(), entry));
                self.charter = *next;
                return;
            }
            Err(rejection) => panic!("{rejection}"),
        }
        let entry = self.entry(object, names);
        self.entries.push((self.next_index(), entry));
    }

    pub(crate) fn entry(&self, object: &Object, names: &[&str]) -> Entry {
        let keys: Vec<SignerKey> = names.iter().map(|name| key(name)).collect();
        let keys: Vec<&SignerKey> = keys.iter().collect();
        let record = Draft::from_object(object).expect("shapes").sign(&keys).expect("signed");
        Entry::new(self.logged(), record)
    }

    pub(crate) fn change(&mut self, changes: Vec<Object>, names: &[&str]) {
        let (issuer, _) = names[0].split_once('/').unwrap_or((names[0], ""));
        let object = self.membership(issuer, changes);
        self.log(&object, names);
    }

    pub(super) fn refused(&mut self, changes: Vec<Object>, names: &[&str]) -> String {
        let object = self.membership(names[0], changes);
        said(self.judge(&object, names))
    }

    pub(super) fn norm_refused(&mut self, changes: Vec<Object>) -> String {
        let object = self.norm("a", changes);
        said(self.judge(&object, &["a", "b"]))
    }

    pub(crate) fn publishes(&mut self, name: &str) -> Result<Change, Rejection> {
        self.signs(name, name)
    }

    pub(super) fn signs(&mut self, member: &str, name: &str) -> Result<Change, Rejection> {
        let object = self.incident(member);
        self.judge(&object, &[name])
    }

    pub(crate) fn incident(&mut self, issuer: &str) -> Object {
        let head = self.envelope("incident", issuer);
        head.iter().fold(incident(), |body, (name, value)| body.with(name, value.clone()))
    }
}

pub(crate) fn said(result: Result<Change, Rejection>) -> String {
    let rejection = result.expect_err("to be refused");
    assert!(!rejection.hint().is_empty());
    rejection.to_string()
}
