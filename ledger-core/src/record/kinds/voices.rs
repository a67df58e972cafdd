//! What somebody says of another's record or deed: `concern`, `dispute`, `response`.

use super::super::shape::{KindDef, Member, Shape};
use super::kind;

/// `concern`: what somebody worries about, a member or, where the charter lets them, anybody.
pub const CONCERN: KindDef = kind(&[
    Member::required("target", Shape::Text, "the system, practice or record that it is about"),
    Member::required("concern_type", Shape::Suggested(CONCERN_TYPES), "what sort of concern"),
    Member::required("text", Shape::Text, "the concern; seal it if it names people"),
    Member::required("requested", Shape::Text, "what is asked for"),
    Member::optional("pseudonym", Shape::Line, "the name by which whoever raises it is called"),
    Member::optional("region", Shape::Line, "where whoever raises it is, as coarse as they like"),
    Member::optional(
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
    Member::required("target", Shape::Digest, "the statement id of the disputed record"),
    Member::required("grounds", Shape::Suggested(GROUNDS), "why it is disputed"),
    Member::required("level", Shape::Integer { min: 1, max: 4 }, "the step of the procedure"),
    Member::required("remedy", Shape::Text, "what would put it right"),
    Member::optional("stay", Shape::Text, "what is to wait until it is settled"),
    Member::optional("outcome", Shape::Suggested(DISPUTE_OUTCOMES), "how it was settled"),
]);

const GROUNDS: &[&str] = &["fact", "procedure", "conflict", "new_evidence", "proportionality"];

const DISPUTE_OUTCOMES: &[&str] = &["upheld", "partly", "dismissed", "withdrawn"];

/// `response`: an answer to a record.
pub const RESPONSE: KindDef = kind(&[
    Member::required("target", Shape::Digest, "the statement id of the record it answers"),
    Member::required("position", Shape::Suggested(POSITIONS), "where the issuer stands"),
    Member::required("text", Shape::Text, "the answer"),
]);

const POSITIONS: &[&str] = &["acknowledge", "endorse", "contest", "answer"];
