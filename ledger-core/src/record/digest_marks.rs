//! The marks that sealed members leave in a record: where digests stand, and how many there are.

use super::json::{Object, Value};

/// The member that lists the digests of an object's sealed members.
pub(super) const DIGESTS: &str = "_sd";

/// The member that names the hash, at the top of a record and nowhere else.
pub(super) const ALGORITHM: &str = "_sd_alg";

/// The one member of an object that stands for a sealed element of a list.
pub(super) const ELEMENT: &str = "...";

/// Names that say something about sealing and are nobody's members.
pub(super) fn is_reserved(name: &str) -> bool {
    matches!(name, DIGESTS | ALGORITHM | ELEMENT)
}

/// Whether something stands sealed at the level of an object's members.
pub(super) fn has_digests(object: &Object) -> bool {
    !object.list(DIGESTS).is_empty()
}

/// Whether a list's element stands for a sealed one: `{"...": digest}`.
pub fn is_sealed(element: &Value) -> bool {
    element.as_object().is_some_and(|object| object.len() == 1 && object.get(ELEMENT).is_some())
}

/// An object's members without what says something about sealing.
pub(super) fn open_members(object: &Object) -> impl Iterator<Item = (&str, &Value)> {
    object.iter().filter(|(name, _)| !is_reserved(name))
}

/// How many digests stand in an object and all that it holds: sealed members, elements and decoys.
pub fn count_digests(object: &Object) -> usize {
    let inside: usize = object.iter().map(|(_, value)| count_in(value)).sum();
    object.list(DIGESTS).len() + inside
}

fn count_in(value: &Value) -> usize {
    match value {
        Value::Object(object) => count_digests(object),
        Value::List(values) => {
            values.iter().map(|value| if is_sealed(value) { 1 } else { count_in(value) }).sum()
        }
        _ => 0,
    }
}
