//! Where digests may stand in a record, and what they look like.

use std::collections::BTreeSet;

use crate::hash::Hash;

use super::super::RecordError;
use super::super::digest_marks::{ALGORITHM, DIGESTS, ELEMENT, is_sealed};
use super::super::fault::{Fault, quoted};
use super::super::json::{Object, Value};
use super::is_never_sealed;

const DIGEST_HINT: &str = "let `ledger seal` write the digests";

/// Checks every digest of a record's object: its place, its form, and that none comes twice.
pub(in crate::record) fn check_digests(body: &Object) -> Result<(), RecordError> {
    let mut seen = BTreeSet::new();
    for (name, value) in body.iter() {
        let before = seen.len();
        check_in_object(name, value, Level::Top, &mut seen)?;
        if seen.len() > before && is_never_sealed(body, name) {
            let hint = "rules and readers depend on it: seal another member";
            return Err(Fault::new("may not be sealed, nor anything in it", hint).of(name).into());
        }
    }
    Ok(())
}

/// Checks the digests in a sealed value, which may hold sealed members of its own.
pub(super) fn check_value(value: &Value) -> Result<(), RecordError> {
    Ok(check_in(value, &mut BTreeSet::new())?)
}

/// The digest that a text of a checked record stands for.
pub(super) fn digest_of(value: &Value) -> Hash {
    let text = value.as_text().unwrap_or_default();
    Hash::from_base64url(text).expect("the digests of the record were checked")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Below,
}

// SPEC rfc9901/4.1: `_sd` and `...` stand for nothing but digests, and no digest comes twice
fn check_in_object(
    name: &str,
    value: &Value,
    level: Level,
    seen: &mut BTreeSet<Hash>,
) -> Result<(), Fault> {
    match name {
        DIGESTS => check_list(value, seen).map_err(|fault| fault.of(name)),
        // SPEC rfc9901/4.1.1: the claim stands at the top level and in no nested object
        ALGORITHM if level == Level::Below => {
            let problem = "stands below the top of the record";
            Err(Fault::new(problem, "leave it out: the hash is SHA-256").of(name))
        }
        ALGORITHM if value.as_text() != Some("sha-256") => {
            let problem = "is not \"sha-256\", the only hash that seals members";
            Err(Fault::new(problem, "leave it out: the hash is SHA-256").of(name))
        }
        ALGORITHM => Ok(()),
        ELEMENT => {
            let problem = "is a member's name, but stands for a sealed element of a list, alone in \
                           its object";
            Err(Fault::new(problem, "give the member another name").of(name))
        }
        _ => check_in(value, seen).map_err(|fault| fault.of(name)),
    }
}

fn check_in(value: &Value, seen: &mut BTreeSet<Hash>) -> Result<(), Fault> {
    match value {
        Value::Object(object) => object
            .iter()
            .try_for_each(|(name, value)| check_in_object(name, value, Level::Below, seen)),
        Value::List(values) => {
            for (at, value) in values.iter().enumerate() {
                let sealed = value.as_object().filter(|_| is_sealed(value));
                match sealed.and_then(|object| object.get(ELEMENT)) {
                    Some(digest) => check_digest(digest, seen),
                    None => check_in(value, seen),
                }
                .map_err(|fault| fault.at(at))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

// SPEC rfc9901/4.2.4.1: `_sd` refers to an array of strings, which may be empty
fn check_list(value: &Value, seen: &mut BTreeSet<Hash>) -> Result<(), Fault> {
    let Value::List(values) = value else {
        let problem = format!("is {}, not a list of digests", value.describe());
        return Err(Fault::new(problem, DIGEST_HINT));
    };
    let mut values = values.iter().enumerate();
    values.try_for_each(|(at, value)| check_digest(value, seen).map_err(|fault| fault.at(at)))
}

fn check_digest(value: &Value, seen: &mut BTreeSet<Hash>) -> Result<(), Fault> {
    let expected = "the digest of a sealed member: 43 characters of base64url";
    let problem = match value {
        Value::Text(text) => match Hash::from_base64url(text) {
            Ok(digest) if seen.insert(digest) => return Ok(()),
            Ok(_) => "repeats a digest of the record".to_owned(),
            Err(_) => format!("is {}, not {expected}", quoted(text)),
        },
        other => format!("is {}, not {expected}", other.describe()),
    };
    Err(Fault::new(problem, DIGEST_HINT))
}
