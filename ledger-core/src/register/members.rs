//! The members' register: who belongs to the consortium, in which roles, with which keys.

use crate::charter::{Charter, Term};

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Its name.
    pub name: String,
    /// Its roles, in the order of the charter.
    pub roles: Vec<RoleRow>,
    /// Its keys, in the order of the charter.
    pub keys: Vec<KeyRow>,
    /// Its node's address.
    pub node: Option<String>,
}

/// A role of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRow {
    /// The role.
    pub role: String,
    /// When it is held.
    pub term: Term,
    /// Whether it is held now.
    pub in_force: bool,
}

/// A key of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its verifier key, which begins with its name.
    pub vkey: String,
    /// What it signs.
    pub usage: &'static str,
    /// When it is valid.
    pub term: Term,
    /// Whether it is valid now.
    pub in_force: bool,
}

/// The members that a charter knows, in its order, as of a time in POSIX seconds.
///
/// The charter is the one in force after the last entry that counts.
pub fn members(charter: &Charter, now: u64) -> Vec<MemberRow> {
    let row = |member: &crate::charter::Member| MemberRow {
        name: member.name().to_owned(),
        roles: member.roles().iter().map(|own| role(own.role(), own.term(), now)).collect(),
        keys: keys(charter, member.name(), now),
        node: member.node().map(str::to_owned),
    };
    charter.members().iter().map(row).collect()
}

fn role(role: &str, term: Term, now: u64) -> RoleRow {
    RoleRow { role: role.to_owned(), term, in_force: term.contains(now) }
}

/// A key's name is its member's, or that, a slash and a label; members' names hold no slash.
fn keys(charter: &Charter, member: &str, now: u64) -> Vec<KeyRow> {
    let name = |vkey: &str| vkey.split('/').next() == Some(member);
    let own = charter.keys().iter().filter(|key| name(key.key().name().as_str()));
    let row = |key: &crate::charter::MemberKey| KeyRow {
        vkey: key.key().to_string(),
        usage: key.usage().as_str(),
        term: key.term(),
        in_force: key.term().contains(now),
    };
    own.map(row).collect()
}
