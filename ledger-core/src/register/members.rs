//! The members' register: who belongs to the consortium, in which roles, with which keys.

use crate::charter::{Charter, Member, MemberStanding, RoleTerm, Term};
use crate::index::LeafIndex;

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// Its name.
    pub name: String,
    /// How it stands, and by which entry unless well.
    pub standing: MemberStanding,
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
    /// The entry that revoked it, if one did.
    pub revoked: Option<LeafIndex>,
    /// Whether it is valid now.
    pub in_force: bool,
}

/// The members that a charter knows, in its order, as of a time in POSIX seconds.
///
/// The charter is the one in force after the last entry that counts.
pub fn members(charter: &Charter, now: u64) -> Vec<MemberRow> {
    let row = |member: &crate::charter::Member| MemberRow {
        name: member.name().to_owned(),
        standing: member.standing(),
        roles: member.roles().iter().map(|own| role(member, own, now)).collect(),
        keys: keys(charter, member.name(), now),
        node: member.node().map(str::to_owned),
    };
    charter.members().iter().map(row).collect()
}

fn role(member: &Member, own: &RoleTerm, now: u64) -> RoleRow {
    let in_force = member.standing() == MemberStanding::Good && own.term().contains(now);
    RoleRow { role: own.role().to_owned(), term: own.term(), in_force }
}

/// A key's name is its member's, or that, a slash and a label; members' names hold no slash.
fn keys(charter: &Charter, member: &str, now: u64) -> Vec<KeyRow> {
    let name = |vkey: &str| vkey.split('/').next() == Some(member);
    let own = charter.keys().iter().filter(|key| name(key.key().name().as_str()));
    let row = |key: &crate::charter::MemberKey| KeyRow {
        vkey: key.key().to_string(),
        usage: key.usage().as_str(),
        term: key.term(),
        revoked: key.revoked().map(|own| own.at),
        in_force: key.revoked().is_none() && key.term().contains(now),
    };
    own.map(row).collect()
}
