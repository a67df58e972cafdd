//! Sealing: members of a draft make room for digests, before anybody signs.

use std::collections::BTreeSet;

use crate::Hint;
use crate::hash::Hash;

use super::super::digest_marks::{DIGESTS, ELEMENT};
use super::super::json::{Object, Value};
use super::super::{Draft, RecordError};
use super::disclosure::Disclosure;
use super::is_never_sealed;
use super::named::{Place, look_up};
use super::path::{PathStep, SealPath};
use super::salt::{Binding, SALT_BYTES, Salt};

/// Decoys that may stand beside the sealed members of one object: each takes 46 bytes of a record.
pub const MAX_DECOYS: usize = 64;

/// What is to be sealed, and what the record's `sealed` says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealPlan {
    paths: Vec<SealPath>,
    audience: Option<String>,
    reason: Option<String>,
    release: Option<String>,
    decoys: usize,
}

/// A draft with sealed members, and what opens them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    draft: Draft,
    disclosures: Vec<Disclosure>,
}

/// Why members of a draft cannot be sealed. Whoever asked for it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The plan names no path.
    #[error("no member to seal was named")]
    Nothing,
    /// The plan names a path twice.
    #[error("`{0}` was named twice")]
    Repeated(SealPath),
    /// The member must stand in the open, or is inside of one that must.
    #[error("`{0}` may not be sealed: rules and readers depend on it")]
    NeverSealed(SealPath),
    /// The draft has no such member.
    #[error("there is no `{0}` in the draft")]
    Missing(SealPath),
    /// The draft has no such member in the open, and digests where it would stand.
    #[error("there is no `{0}` in the open: is it sealed already?")]
    SealedAlready(SealPath),
    /// More than [`MAX_DECOYS`].
    #[error("{0} decoys were asked for; at most {MAX_DECOYS} are allowed beside one member")]
    TooManyDecoys(usize),
    /// What came of it is no record.
    #[error("sealed so, the draft is refused: {0}")]
    Draft(RecordError),
}

impl Hint for SealError {
    fn hint(&self) -> &'static str {
        match self {
            SealError::Nothing | SealError::Missing(_) => {
                "name a member of the draft, like text, system.developer or actions[1]"
            }
            SealError::Repeated(_) => "name each member once",
            SealError::NeverSealed(_) => {
                "what must stay secret belongs in another member, or in no record"
            }
            SealError::SealedAlready(_) => "seal only what stands in the draft",
            SealError::TooManyDecoys(_) => "a handful hides the number of sealed members",
            SealError::Draft(error) => error.hint(),
        }
    }
}

impl SealPlan {
    /// A plan to seal the members at these paths, without decoys.
    pub fn new(paths: impl IntoIterator<Item = SealPath>) -> SealPlan {
        let paths = paths.into_iter().collect();
        SealPlan { paths, audience: None, reason: None, release: None, decoys: 0 }
    }

    /// The same plan, saying who may read what is sealed.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> SealPlan {
        SealPlan { audience: Some(audience.into()), ..self }
    }

    /// The same plan, saying why it is sealed.
    #[must_use]
    pub fn reason(self, reason: impl Into<String>) -> SealPlan {
        SealPlan { reason: Some(reason.into()), ..self }
    }

    /// The same plan, saying at which day, time or event it is opened.
    #[must_use]
    pub fn release(self, release: impl Into<String>) -> SealPlan {
        SealPlan { release: Some(release.into()), ..self }
    }

    /// The same plan with so many digests that open nothing, beside the sealed members of each
    /// object, so that nobody can count those. Lists get none.
    #[must_use]
    pub fn decoys(self, decoys: usize) -> SealPlan {
        SealPlan { decoys, ..self }
    }

    /// What the record says about a sealed member.
    fn note(&self, path: &SealPath) -> Object {
        let mut note = Object::new().with("path", path.to_string());
        let texts =
            [("audience", &self.audience), ("reason", &self.reason), ("release", &self.release)];
        for (name, text) in texts {
            if let Some(text) = text {
                note.set(name, text.as_str());
            }
        }
        note
    }
}

impl Sealed {
    /// The draft, to be signed.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// What opens its sealed members, inner members before outer ones.
    pub fn disclosures(&self) -> &[Disclosure] {
        &self.disclosures
    }
}

/// Seals members of a draft.
///
/// `random` gives 16 bytes a call, fresh from a generator fit for secrets: one call for each member
/// and each decoy. Where a member and one inside it are both named, the inner one is sealed inside
/// the outer one's disclosure. A draft may be sealed again, for another audience. Its log, issuer
/// and id must not change any more: the salts name them.
///
/// ```
/// use ledger_core::record::{Draft, SealPath, SealPlan, seal};
///
/// let draft = Draft::parse(r#"{
///   "log": "ledger.example/2026", "kind": "review",
///   "id": "0198a7c2-5d00-7000-8000-000000000001",
///   "issuer": "watch.example", "issued_at": "2026-11-23T11:23:20Z",
///   "title": {"en": "Review of model M"}, "summary": {"en": "It may be deployed."},
///   "body": "Review board", "review_stage": "pre_deployment", "outcome": "approve",
///   "public_summary": {"en": "Fine."}, "panel": ["Ada", "Grace"]
/// }"#)?;
/// let plan = SealPlan::new([SealPath::parse("panel")?]).audience("members");
/// // the caller brings the randomness: 16 fresh bytes a call
/// let sealed = seal(&draft, &plan, || [7; 16])?;
/// assert!(sealed.draft().body().get("panel").is_none());
/// assert_eq!(sealed.disclosures()[0].name(), Some("panel"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SealError`] names what cannot be sealed.
pub fn seal(
    draft: &Draft,
    plan: &SealPlan,
    mut random: impl FnMut() -> [u8; SALT_BYTES],
) -> Result<Sealed, SealError> {
    check_plan(draft.body(), plan)?;
    let binding = Binding::of(draft.envelope());
    let mut body = draft.body().clone();
    let mut disclosures = Vec::with_capacity(plan.paths.len());
    for group in inner_first(&plan.paths) {
        let Some(parent) = parent_of(&mut body, group[0]) else {
            return Err(SealError::Missing(group[0].clone()));
        };
        let mut make = |name, value| {
            let disclosure = Disclosure::new(&Salt { binding, random: random() }, name, value);
            let digest = disclosure.digest().to_base64url();
            disclosures.push(disclosure);
            digest
        };
        match parent {
            Holder::Object(object) => {
                let mut digests: Vec<String> = Vec::new();
                for path in &group {
                    let Some(PathStep::Name(name)) = path.steps().last() else { continue };
                    let Some(value) = object.take(name) else { continue };
                    digests.push(make(Some(name.clone()), value));
                }
                // SPEC rfc9901/4.2.5: a decoy is the digest of a random number
                let decoys = (0..plan.decoys).map(|_| Hash::digest(&random()).to_base64url());
                add_digests(object, digests.into_iter().chain(decoys));
            }
            Holder::List(values) => {
                for path in &group {
                    let Some(PathStep::At(at)) = path.steps().last() else { continue };
                    let Some(element) = values.get_mut(*at) else { continue };
                    let value = std::mem::replace(element, Value::Null);
                    *element = Object::new().with(ELEMENT, make(None, value)).into();
                }
            }
        }
    }
    let mut notes = body.list("sealed").to_vec();
    notes.extend(plan.paths.iter().map(|path| plan.note(path).into()));
    body.set("sealed", Value::List(notes.into()));
    let draft = Draft::from_object(&body).map_err(SealError::Draft)?;
    Ok(Sealed { draft, disclosures })
}

fn check_plan(body: &Object, plan: &SealPlan) -> Result<(), SealError> {
    if plan.paths.is_empty() {
        return Err(SealError::Nothing);
    }
    if plan.decoys > MAX_DECOYS {
        return Err(SealError::TooManyDecoys(plan.decoys));
    }
    let mut seen = BTreeSet::new();
    for path in &plan.paths {
        if !seen.insert(path) {
            return Err(SealError::Repeated(path.clone()));
        }
        if is_never_sealed(body, path.top()) {
            return Err(SealError::NeverSealed(path.clone()));
        }
        match look_up(body, path) {
            Place::Open => {}
            Place::Sealed => return Err(SealError::SealedAlready(path.clone())),
            Place::Nothing => return Err(SealError::Missing(path.clone())),
        }
    }
    Ok(())
}

/// The paths in groups that share a parent, the deepest first.
fn inner_first(paths: &[SealPath]) -> Vec<Vec<&SealPath>> {
    let mut paths: Vec<&SealPath> = paths.iter().collect();
    paths.sort_by(|a, b| b.steps().len().cmp(&a.steps().len()).then_with(|| a.cmp(b)));
    paths.chunk_by(|a, b| outside(a) == outside(b)).map(<[&SealPath]>::to_vec).collect()
}

/// The steps to what holds the member at a path.
fn outside(path: &SealPath) -> &[PathStep] {
    path.steps().split_last().map_or(&[], |(_, outside)| outside)
}

enum Holder<'a> {
    Object(&'a mut Object),
    List(&'a mut [Value]),
}

/// The object or list that holds the member at a path.
fn parent_of<'a>(body: &'a mut Object, path: &SealPath) -> Option<Holder<'a>> {
    let mut node = Holder::Object(body);
    for step in outside(path) {
        let value = match (node, step) {
            (Holder::Object(object), PathStep::Name(name)) => object.get_mut(name)?,
            (Holder::List(values), PathStep::At(at)) => values.get_mut(*at)?,
            _ => return None,
        };
        node = match value {
            Value::Object(object) => Holder::Object(object),
            Value::List(values) => Holder::List(values),
            _ => return None,
        };
    }
    Some(node)
}

/// Puts digests into an object's `_sd`, sorted, so that their order says nothing.
// SPEC rfc9901/4.2.4.1: the order of `_sd` must hide that of the members
fn add_digests(object: &mut Object, digests: impl Iterator<Item = String>) {
    let known = object.take(DIGESTS);
    let known = known.as_ref().and_then(Value::as_list).unwrap_or_default();
    let known = known.iter().filter_map(Value::as_text).map(str::to_owned);
    let mut all: Vec<String> = known.chain(digests).collect();
    all.sort_unstable();
    object.set(DIGESTS, all);
}
