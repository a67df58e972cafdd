//! What a change does to the simulation's book, or that it cannot be made.

use ledger_core::record::{Object, parse_time};

use super::book::{Book, OwnKey, Party, Stands, days, objects, public, requirements, span};
use super::breach::{Breach, Offer};

impl Book {
    /// Makes all changes of an offer.
    ///
    /// # Errors
    /// [`Breach`]; the book is to be thrown away then.
    pub(super) fn apply(&mut self, offer: &Offer<'_>) -> Result<(), Breach> {
        let body = offer.body;
        let is_norm = body.text("kind") == Some("norm");
        let since = body.text("effective_from").and_then(parse_time).unwrap_or(0);
        if is_norm && since > offer.time && !body.list("changes").is_empty() {
            return Err(Breach::NotYetEffective);
        }
        for change in objects(body.list("changes")) {
            if is_norm {
                self.norm(change)?;
            } else {
                self.membership(change, offer)?;
            }
        }
        Ok(())
    }

    /// Adds a party, or brings back one that had left.
    pub(super) fn admit(&mut self, name: &str, object: &Object) -> Result<(), Breach> {
        let before = self.parties.iter().position(|party| party.name == name);
        let at = match before {
            Some(at) if !self.parties[at].has_left() => return Err(Breach::Change),
            Some(at) => at,
            None => {
                let (name, stands) = (name.to_owned(), Stands::Well);
                self.parties.push(Party { name, stands, roles: Vec::new(), keys: Vec::new() });
                self.parties.len() - 1
            }
        };
        let role = |own: &Object| (own.text("role").unwrap_or_default().to_owned(), span(own));
        self.parties[at].roles = objects(object.list("roles")).map(role).collect();
        self.parties[at].stands = Stands::Well;
        objects(object.list("keys")).try_for_each(|key| self.add_key(at, key))
    }

    fn add_key(&mut self, at: usize, object: &Object) -> Result<(), Breach> {
        let vkey = object.text("vkey").unwrap_or_default().to_owned();
        let usage = object.text("use").unwrap_or_default().to_owned();
        let name = vkey.split(['+', '/']).next();
        if name != Some(&self.parties[at].name) || !self.used.insert(public(&vkey)) {
            return Err(Breach::Change);
        }
        if usage == "record" {
            self.parties[at].keys.iter_mut().for_each(|key| key.replaces = false);
        }
        let span = span(object);
        self.parties[at].keys.push(OwnKey { vkey, usage, span, revoked: None, replaces: false });
        Ok(())
    }

    fn membership(&mut self, change: &Object, offer: &Offer<'_>) -> Result<(), Breach> {
        let (action, name) = (change.text("action"), change.text("member").unwrap_or_default());
        if action == Some("admit") {
            return self.admit(name, change);
        }
        let index = self.latest;
        let at = self.parties.iter().position(|party| party.name == name && !party.has_left());
        let at = at.ok_or(Breach::Change)?;
        let role = change.text("role").unwrap_or_default();
        let vkey = change.text("vkey").unwrap_or_default();
        let party = &mut self.parties[at];
        let possible = match action.unwrap_or_default() {
            "suspend" => {
                let well = party.stands == Stands::Well;
                party.stands = Stands::Suspended(index);
                well
            }
            "reinstate" => {
                let well = party.stands == Stands::Well;
                party.stands = Stands::Well;
                !well
            }
            "expel" => party.leaves(Stands::Expelled(index), index),
            "withdraw" => {
                let signed = |key: &OwnKey| offer.vkeys.contains(&key.vkey);
                party.keys.iter().any(signed) && party.leaves(Stands::Withdrawn(index), index)
            }
            "assign_role" => {
                party.roles.push((role.to_owned(), span(change)));
                true
            }
            "end_role" => {
                let before = party.roles.len();
                party.roles.retain(|(own, _)| own != role);
                party.roles.len() < before
            }
            "add_key" => return self.add_key(at, change),
            "revoke_key" => {
                let key = party.keys.iter_mut().find(|key| key.vkey == vkey);
                key.is_some_and(|key| key.revoked.replace(index).is_none())
            }
            _ => true,
        };
        if possible { Ok(()) } else { Err(Breach::Change) }
    }

    fn norm(&mut self, change: &Object) -> Result<(), Breach> {
        let text = |name: &str| change.text(name).unwrap_or_default().to_owned();
        let asked = requirements(change.list("requirements"));
        match change.text("action").unwrap_or_default() {
            "set_rule" => {
                self.rules.insert(text("kind"), asked);
            }
            "remove_rule" => {
                self.rules.remove(&text("kind")).ok_or(Breach::Change)?;
            }
            "set_governance" => self.governance = asked,
            "set_limits" => self.patience = days(Some(change), "issued_at"),
            "add_log_key" => {
                if !self.used.insert(public(&text("vkey"))) {
                    return Err(Breach::Change);
                }
                self.log_keys.push(text("vkey"));
            }
            "retire_log_key" => {
                let before = self.log_keys.len();
                self.log_keys.retain(|own| *own != text("vkey"));
                if self.log_keys.len() == before || self.log_keys.is_empty() {
                    return Err(Breach::Change);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Party {
    fn leaves(&mut self, stands: Stands, index: u64) -> bool {
        self.stands = stands;
        for key in &mut self.keys {
            key.revoked.get_or_insert(index);
            key.replaces = false;
        }
        true
    }
}
