//! Sealed members: the record holds digests, disclosures outside of it hold the members.
//!
//! This is RFC 9901 without the JWT around it. A [`Disclosure`] is base64url of the JSON
//! `[salt, name, value]` for a member, `[salt, value]` for an element of a list; its digest stands
//! in the object's `_sd`, or in place of the element as `{"...": digest}`. A salt names the
//! record's log, issuer and id, so that a digest copied into another record opens nothing there.

mod digests;
mod disclosure;
mod named;
mod open;
mod path;
mod salt;
mod seal;

pub use disclosure::{Disclosure, DisclosureError, MAX_DISCLOSURE_BYTES};
pub use named::MAX_NAMED;
pub use open::{OpenError, Opened, open, open_draft};
pub use path::{ParseSealPathError, SealPath};
pub use seal::{MAX_DECOYS, SealError, SealPlan, Sealed, seal};

pub(super) use digests::check_digests;
pub(super) use named::check_named;

use super::json::Object;
use super::kinds::ENVELOPE;
use super::{Kind, MemberDef, Sealing, member};

/// Whether a member at the top of a record stands in the open, with all that it holds.
fn is_never_sealed(body: &Object, name: &str) -> bool {
    let envelope = || ENVELOPE.iter().find(|member| member.name == name);
    let known = match body.text("kind").and_then(Kind::parse) {
        Some(kind) => member(kind, name),
        None => envelope(),
    };
    known.is_some_and(|member: &MemberDef| member.sealing == Sealing::Open)
}

#[cfg(all(test, feature = "sign"))]
mod tests;
