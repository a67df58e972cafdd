//! Opening: disclosures put sealed members back, and the record is judged again.

use std::collections::{BTreeMap, BTreeSet};

use crate::Hint;
use crate::hash::Hash;

use super::super::digest_marks::{DIGESTS, ELEMENT, is_sealed, open_members};
use super::super::json::{MAX_DEPTH, Object, Value};
use super::super::{Draft, Envelope, Record, RecordError, RecordId, check_envelope, check_kind};
use super::digests::digest_of;
use super::disclosure::Disclosure;
use super::is_never_sealed;
use super::named::{Place, look_up};
use super::path::{PathStep, SealPath};
use super::salt::Binding;

/// A record with some, or all, of its sealed members put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    object: Object,
    paths: Vec<SealPath>,
    unopened: Vec<SealPath>,
    closed: usize,
}

/// Why disclosures do not open a record. Numbers count the disclosures from 1.
///
/// No variant speaks against the record: it is as valid as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The salt names another record: another id, or the same id in another log or by another
    /// issuer.
    #[error(
        "disclosure {number} belongs to another record: its salt names the id {record}, its log \
         and its issuer"
    )]
    OtherRecord {
        /// Which disclosure.
        number: usize,
        /// The id that its salt names.
        record: RecordId,
    },
    /// One disclosure was given twice.
    #[error("disclosure {0} was given before")]
    Repeated(usize),
    /// No digest of the record or of an opened member is the disclosure's.
    #[error("disclosure {0} opens nothing: its digest does not stand in the record")]
    Unreferenced(usize),
    /// A list's element stands where members are sealed, or the other way round.
    #[error("disclosure {number} does not fit its place in {place}")]
    WrongPlace {
        /// Which disclosure.
        number: usize,
        /// The object or list.
        place: String,
    },
    /// The object has a member of that name already.
    #[error("disclosure {number} claims `{path}`, which stands there already")]
    NameTaken {
        /// Which disclosure.
        number: usize,
        /// The member.
        path: SealPath,
    },
    /// The member is one that must stand in the open.
    #[error("disclosure {number} claims `{path}`, which may not be sealed")]
    NeverSealed {
        /// Which disclosure.
        number: usize,
        /// The member.
        path: SealPath,
    },
    /// A digest stands in the record and in an opened member, or in two opened members.
    #[error("a digest in {0} stands elsewhere too; one digest seals one member")]
    DigestTwice(String),
    /// What was opened nests too deep.
    #[error("with its members opened, the record nests deeper than {MAX_DEPTH}")]
    TooDeep,
    /// What was opened is not what the envelope or the kind asks for.
    #[error("with its members opened, the record is refused: {0}")]
    Record(RecordError),
}

impl OpenError {
    /// The disclosure that is at fault, counted from 1; none where it is the record.
    pub fn disclosure(&self) -> Option<usize> {
        match self {
            OpenError::OtherRecord { number, .. }
            | OpenError::Repeated(number)
            | OpenError::Unreferenced(number)
            | OpenError::WrongPlace { number, .. }
            | OpenError::NameTaken { number, .. }
            | OpenError::NeverSealed { number, .. } => Some(*number),
            OpenError::DigestTwice(_) | OpenError::TooDeep | OpenError::Record(_) => None,
        }
    }
}

impl Hint for OpenError {
    fn hint(&self) -> &'static str {
        match self {
            OpenError::OtherRecord { .. } | OpenError::Unreferenced(_) => {
                "give the disclosures that were made for this very record, and no others"
            }
            OpenError::Repeated(_) => "give each disclosure once",
            OpenError::Record(error) => error.hint(),
            _ => "whoever sealed the record made it so: ask the issuer",
        }
    }
}

impl Opened {
    /// The record's object with what was opened, without digests, decoys and sealed elements.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// What was opened, as the record counts its elements: outer members before inner ones.
    pub fn paths(&self) -> &[SealPath] {
        &self.paths
    }

    /// The members that the record's `sealed` names and that these disclosures do not open.
    pub fn unopened(&self) -> &[SealPath] {
        &self.unopened
    }

    /// How many digests stay closed: members still sealed, and decoys, which never open.
    pub fn closed(&self) -> usize {
        self.closed
    }
}

/// Opens sealed members of a record, any number of them, and judges the result.
///
/// ```
/// use ledger_core::record::{OpenError, Record, Disclosure, open};
///
/// fn read(record: &Record, disclosure: &Disclosure) -> Result<(), OpenError> {
///     let opened = open(record, std::slice::from_ref(disclosure))?;
///     println!("{} is open, {} digests are not", opened.paths()[0], opened.closed());
///     Ok(())
/// }
/// ```
///
/// # Errors
/// [`OpenError`]: every disclosure must belong to this record and be referenced by exactly one
/// digest, must not claim a name that is taken or never sealed, and what was opened must have the
/// shape that the envelope and the kind ask for.
pub fn open(record: &Record, disclosures: &[Disclosure]) -> Result<Opened, OpenError> {
    open_body(record.envelope(), record.body(), disclosures)
}

/// Opens sealed members of a draft, for those who must know what they sign.
///
/// # Errors
/// As [`open`].
pub fn open_draft(draft: &Draft, disclosures: &[Disclosure]) -> Result<Opened, OpenError> {
    open_body(draft.envelope(), draft.body(), disclosures)
}

fn open_body(
    envelope: &Envelope,
    body: &Object,
    disclosures: &[Disclosure],
) -> Result<Opened, OpenError> {
    let mut opening = Opening::new(Binding::of(envelope), disclosures)?;
    let body = opening.object(body, 1)?;
    // SPEC rfc9901/7.1, step 5: a disclosure that no digest references is refused
    if let Some((number, _)) = opening.known.values().min_by_key(|(number, _)| *number) {
        return Err(OpenError::Unreferenced(*number));
    }
    for (number, path) in &opening.opened {
        if path.steps().len() == 1 && is_never_sealed(&body, path.top()) {
            return Err(OpenError::NeverSealed { number: *number, path: path.clone() });
        }
    }
    // what `sealed` names stands in the open now: that alone is not asked again
    let judged = check_envelope(&body).and_then(|envelope| check_kind(envelope.kind(), &body));
    judged.map_err(OpenError::Record)?;
    let paths = opening.opened.into_iter().map(|(_, path)| path).collect();
    let (unopened, closed) = (unopened(&body), opening.closed);
    Ok(Opened { object: without_digests(&body), paths, unopened, closed })
}

/// What `sealed` names and does not stand in the open, also not inside of what was opened.
fn unopened(body: &Object) -> Vec<SealPath> {
    let named = body.list("sealed").iter().filter_map(Value::as_object);
    let paths = named.filter_map(|object| SealPath::parse(object.text("path")?).ok());
    paths.filter(|path| look_up(body, path) != Place::Open).collect()
}

/// One walk through a record.
struct Opening<'a> {
    /// Disclosures not used yet and their numbers, by digest.
    known: BTreeMap<Hash, (usize, &'a Disclosure)>,
    seen: BTreeSet<Hash>,
    /// The way to where the walk is.
    steps: Vec<PathStep>,
    opened: Vec<(usize, SealPath)>,
    closed: usize,
}

impl<'a> Opening<'a> {
    fn new(own: Binding, disclosures: &'a [Disclosure]) -> Result<Opening<'a>, OpenError> {
        let mut known = BTreeMap::new();
        for (disclosure, number) in disclosures.iter().zip(1..) {
            // also of a member inside another: all that is given is for this record
            if disclosure.binding() != own {
                return Err(OpenError::OtherRecord { number, record: disclosure.record() });
            }
            if known.insert(disclosure.digest(), (number, disclosure)).is_some() {
                return Err(OpenError::Repeated(number));
            }
        }
        let (seen, steps, opened) = (BTreeSet::new(), Vec::new(), Vec::new());
        Ok(Opening { known, seen, steps, opened, closed: 0 })
    }

    /// The object with its members opened; digests that stay closed are kept.
    fn object(&mut self, object: &Object, depth: usize) -> Result<Object, OpenError> {
        check_depth(depth)?;
        let mut whole = Object::new();
        for (name, value) in object.iter().filter(|(name, _)| *name != DIGESTS) {
            let value = self.inside(PathStep::Name(name.to_owned()), value, depth)?;
            whole.push(name, value);
        }
        let mut closed = Vec::new();
        for digest in object.list(DIGESTS) {
            let Some((number, disclosure)) = self.find(digest)? else {
                closed.push(digest.clone());
                continue;
            };
            let Some(name) = disclosure.name() else {
                return Err(OpenError::WrongPlace { number, place: self.place() });
            };
            let step = PathStep::Name(name.to_owned());
            // SPEC rfc9901/7.1, step 3.3.2.3: a name that exists at that level is refused
            if whole.get(name).is_some() {
                return Err(OpenError::NameTaken { number, path: self.path_to(&step) });
            }
            self.opened.push((number, self.path_to(&step)));
            let value = self.inside(step, disclosure.value(), depth)?;
            whole.push(name, value);
        }
        if !closed.is_empty() {
            whole.push(DIGESTS, Value::List(closed.into()));
        }
        Ok(whole)
    }

    fn list(&mut self, values: &[Value], depth: usize) -> Result<Vec<Value>, OpenError> {
        check_depth(depth)?;
        let mut whole = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let digest = value.as_object().filter(|_| is_sealed(value));
            let Some(digest) = digest.and_then(|object| object.get(ELEMENT)) else {
                whole.push(self.inside(PathStep::At(at), value, depth)?);
                continue;
            };
            match self.find(digest)? {
                None => whole.push(value.clone()),
                Some((number, disclosure)) if disclosure.name().is_some() => {
                    return Err(OpenError::WrongPlace { number, place: self.place() });
                }
                Some((number, disclosure)) => {
                    self.opened.push((number, self.path_to(&PathStep::At(at))));
                    whole.push(self.inside(PathStep::At(at), disclosure.value(), depth)?);
                }
            }
        }
        Ok(whole)
    }

    /// A value one step further in.
    fn inside(&mut self, step: PathStep, value: &Value, depth: usize) -> Result<Value, OpenError> {
        self.steps.push(step);
        let whole = match value {
            Value::Object(object) => self.object(object, depth + 1).map(Value::Object),
            Value::List(values) => {
                self.list(values, depth + 1).map(|list| Value::List(list.into()))
            }
            other => Ok(other.clone()),
        };
        self.steps.pop();
        whole
    }

    /// The disclosure of a digest that is met for the first time; none if it stays closed.
    fn find(&mut self, digest: &Value) -> Result<Option<(usize, &'a Disclosure)>, OpenError> {
        let digest = digest_of(digest);
        // SPEC rfc9901/7.1, step 4: a digest met twice, directly or in a disclosure, is refused
        if !self.seen.insert(digest) {
            return Err(OpenError::DigestTwice(self.place()));
        }
        let found = self.known.remove(&digest);
        self.closed += usize::from(found.is_none());
        Ok(found)
    }

    fn path_to(&self, step: &PathStep) -> SealPath {
        SealPath::of_steps(&[self.steps.as_slice(), std::slice::from_ref(step)].concat())
    }

    /// Where the walk is, for messages.
    fn place(&self) -> String {
        match self.steps.as_slice() {
            [] => "the record's own members".to_owned(),
            steps => format!("`{}`", SealPath::of_steps(steps)),
        }
    }
}

fn check_depth(depth: usize) -> Result<(), OpenError> {
    if depth > MAX_DEPTH { Err(OpenError::TooDeep) } else { Ok(()) }
}

/// What RFC 9901 calls the processed payload.
// SPEC rfc9901/7.1, steps 3.4 to 3.6: closed elements, `_sd` and `_sd_alg` are taken out
fn without_digests(object: &Object) -> Object {
    let mut open = Object::new();
    for (name, value) in open_members(object) {
        open.push(name, value_without_digests(value));
    }
    open
}

fn value_without_digests(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(without_digests(object)),
        Value::List(values) => Value::List(
            values.iter().filter(|value| !is_sealed(value)).map(value_without_digests).collect(),
        ),
        other => other.clone(),
    }
}
