//! What somebody says of another's record or deed: `concern`, `dispute`, `response`.

use super::super::shape::{KindDef, MemberDef, Shape};
use super::kind;

/// `concern`: what somebody worries about, a member or, where the charter lets them, anybody.
pub const CONCERN: KindDef = kind(&[
    MemberDef::required("target", Shape::Text, "the system, practice or record that it is about"),
    MemberDef::required("concern_type", Shape::Suggested(CONCERN_TYPES), "what sort of concern"),
    MemberDef::required("text", Shape::Text, "the concern; seal it if it names people"),
    MemberDef::required("requested", Shape::Text, "what is asked for"),
    MemberDef::optional("pseudonym", Shape::Line, "the name by which whoever raises it is called"),
    MemberDef::optional(
        "region",
        Shape::Line,
        "where whoever raises it is, as coarse as they like",
    ),
    MemberDef::optional(
        "vkey",
        Shape::Line,
        "the key of somebody who is no member, named public/<SHA-256 of the raw key in hex>",
    )
    .open(),
]);

const CONCERN_TYPES: &[&str] = &[
    "safety",
    "security",
    "misuse",
    "rights",
    "transparency",
    "process",
    "conflict_of_interest",
    "retaliation",
    "other",
];

/// `dispute`: a claim that a record is wrong, and what would put it right.
pub const DISPUTE: KindDef = kind(&[
    MemberDef::required("target", Shape::Digest, "the statement id of the disputed record"),
    MemberDef::required("grounds", Shape::Suggested(GROUNDS), "why it is disputed"),
    MemberDef::required("level", Shape::Integer { min: 1, max: 4 }, "the step of the procedure"),
    MemberDef::required("remedy", Shape::Text, "what would put it right"),
    MemberDef::optional("stay", Shape::Text, "what is to wait until it is settled"),
    MemberDef::optional("outcome", Shape::Suggested(DISPUTE_OUTCOMES), "how it was settled"),
]);

const GROUNDS: &[&str] = &["fact", "procedure", "conflict", "new_evidence", "proportionality"];

const DISPUTE_OUTCOMES: &[&str] = &["upheld", "partly", "dismissed", "withdrawn"];

/// `response`: an answer to a record.
pub const RESPONSE: KindDef = kind(&[
    MemberDef::required("target", Shape::Digest, "the statement id of the record it answers"),
    MemberDef::required("position", Shape::Suggested(POSITIONS), "where the issuer stands"),
    MemberDef::required("text", Shape::Text, "the answer"),
]);

const POSITIONS: &[&str] = &["acknowledge", "endorse", "contest", "answer"];
