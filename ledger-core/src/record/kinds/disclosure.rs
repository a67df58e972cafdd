//! What becomes of sealed members: `disclosure`.

use super::super::check::{Check, Rule};
use super::super::json::MAX_INTEGER;
use super::super::shape::{KindDef, Member, Shape};
use super::some;

/// `disclosure`, after RFC 9901: sealed members of a record are opened, or their openings erased.
pub const DISCLOSURE: KindDef = KindDef {
    members: &[
        Member::required("target", Shape::Digest, "the statement id of the record with the seals"),
        Member::optional("disclosures", some(&Shape::Line), "what opens them, one text each"),
        Member::optional("erased", Shape::Object(ERASED), "that the openings are destroyed"),
    ],
    unknown_when: None,
    checks: &[Check {
        rule: Rule::ExactlyOne(&["disclosures", "erased"]),
        hint: "write `disclosures` to open seals, or `erased` to say that nobody can any more",
    }],
};

const ERASED: &[Member] = &[
    Member::required("reason", Shape::Text, "why, for instance a request under a privacy law"),
    Member::optional("count", Shape::Integer { min: 1, max: MAX_INTEGER }, "how many openings"),
];
