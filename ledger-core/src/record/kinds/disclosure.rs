//! What becomes of sealed members: `disclosure`.

use super::super::json::MAX_INTEGER;
use super::super::rule::{Check, Rule};
use super::super::shape::{KindDef, MemberDef, Shape};
use super::some;

/// `disclosure`, after RFC 9901: sealed members of a record are opened, or their openings erased.
pub const DISCLOSURE: KindDef = KindDef {
    members: &[
        MemberDef::required(
            "target",
            Shape::Digest,
            "the statement id of the record with the seals",
        ),
        MemberDef::optional("disclosures", some(&Shape::Line), "what opens them, one text each"),
        MemberDef::optional("erased", Shape::Object(ERASED), "that the openings are destroyed"),
    ],
    unknown_when: None,
    checks: &[Check {
        rule: Rule::ExactlyOne(&["disclosures", "erased"]),
        hint: "write `disclosures` to open seals, or `erased` to say that nobody can any more",
    }],
};

const ERASED: &[MemberDef] = &[
    MemberDef::required("reason", Shape::Text, "why, for instance a request under a privacy law"),
    MemberDef::optional("count", Shape::Integer { min: 1, max: MAX_INTEGER }, "how many openings"),
];
