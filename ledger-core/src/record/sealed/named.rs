//! What `sealed` says must be so: each member it names is sealed.

use std::collections::BTreeSet;

use super::super::RecordError;
use super::super::digest_marks::{has_digests, is_sealed};
use super::super::fault::{Fault, quoted};
use super::super::json::{Object, Value};
use super::is_never_sealed;
use super::path::{PathStep, SealPath};

/// Paths that `sealed` may hold: each is looked up among all members, before anybody's signature is
/// checked.
pub const MAX_NAMED: usize = 256;

/// What stands at a path of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A member or element that everybody can read.
    Open,
    /// Nothing, and digests where it would stand.
    Sealed,
    /// Nothing at all.
    Nothing,
}

/// What stands at a path; inside of what is sealed everything is.
pub(super) fn look_up(object: &Object, path: &SealPath) -> Place {
    in_object(object, path.steps())
}

fn in_object(object: &Object, steps: &[PathStep]) -> Place {
    let Some((PathStep::Name(name), rest)) = steps.split_first() else { return Place::Nothing };
    match object.get(name) {
        Some(value) => in_value(value, rest),
        None if has_digests(object) => Place::Sealed,
        None => Place::Nothing,
    }
}

fn in_value(value: &Value, steps: &[PathStep]) -> Place {
    match (value, steps.split_first()) {
        (_, None) => Place::Open,
        (Value::Object(object), _) => in_object(object, steps),
        (Value::List(values), Some((PathStep::At(at), rest))) => match values.get(*at) {
            Some(element) if is_sealed(element) => Place::Sealed,
            Some(element) => in_value(element, rest),
            None => Place::Nothing,
        },
        _ => Place::Nothing,
    }
}

/// Checks the paths of `sealed`, whose shapes and whose record's digests have been checked.
pub(in crate::record) fn check_named(body: &Object) -> Result<(), RecordError> {
    let named = body.list("sealed").len();
    if named > MAX_NAMED {
        let problem = format!("names {named} paths; at most {MAX_NAMED} are allowed");
        return Err(Fault::new(problem, "seal what holds them, or name fewer").of("sealed").into());
    }
    let mut seen = BTreeSet::new();
    for (at, item) in body.list("sealed").iter().enumerate() {
        let text = item.as_object().and_then(|object| object.text("path")).unwrap_or_default();
        let refuse = |problem: String, hint| {
            Err(Fault::new(problem, hint).of("path").at(at).of("sealed").into())
        };
        let path = match SealPath::parse(text) {
            Ok(path) => path,
            Err(e) => {
                let hint = "name the member that is sealed, like text or system.developer";
                return refuse(format!("is {}, {e}", quoted(text)), hint);
            }
        };
        if is_never_sealed(body, path.top()) {
            let hint = "rules and readers depend on it: seal another member";
            return refuse(format!("names `{path}`, which may not be sealed"), hint);
        }
        match look_up(body, &path) {
            Place::Sealed => {}
            Place::Open => {
                let hint = "let `ledger seal` take it out, or do not name it in `sealed`";
                return refuse(format!("names `{path}`, which stands in the open"), hint);
            }
            Place::Nothing => {
                let hint = "let `ledger seal` write `sealed` and the digests together";
                return refuse(format!("names `{path}`, but no digest stands there"), hint);
            }
        }
        if !seen.insert(path) {
            return refuse("repeats a path".to_owned(), "name each sealed member once");
        }
    }
    Ok(())
}
