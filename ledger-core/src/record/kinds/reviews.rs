//! What was examined and tried: `review`, `drill`.

use super::super::rule::{Check, Rule};
use super::super::shape::{KindDef, MemberDef, Shape};
use super::{TEXTS, kind, list, some};

/// `review`, after the outcomes of institutional review boards.
pub const REVIEW: KindDef = KindDef {
    members: &[
        MemberDef::required("body", Shape::Text, "who reviewed"),
        MemberDef::required("review_stage", Shape::Suggested(REVIEW_STAGES), "at which point"),
        MemberDef::required("outcome", Shape::Suggested(REVIEW_OUTCOMES), "the verdict"),
        MemberDef::required("public_summary", Shape::LanguageMap, "the verdict in plain words"),
        MemberDef::optional("findings", list(&Shape::Object(FINDING)), "what was found"),
        MemberDef::optional("conditions", list(&Shape::Object(CONDITION)), "what must be done"),
        MemberDef::optional("panel", TEXTS, "who sat on it"),
        MemberDef::optional("conflicts", TEXTS, "conflicts of interest"),
        MemberDef::optional("next_review", Shape::DateOrTime, "when it is looked at again"),
    ],
    unknown_when: None,
    checks: &[
        Check {
            rule: Rule::NeedsRef { rel: "reviews", when: Some(("review_stage", "incident")) },
            hint: "name the incident: \"refs\": [{\"rel\": \"reviews\", \"statement\": \"...\"}]",
        },
        Check {
            rule: Rule::Unique { list: "conditions", by: "id" },
            hint: "give each condition a name of its own: deadlines and answers refer to it",
        },
    ],
};

const REVIEW_STAGES: &[&str] =
    &["design", "pre_deployment", "post_deployment", "incident", "periodic"];

const REVIEW_OUTCOMES: &[&str] = &[
    "approve",
    "approve_with_conditions",
    "revise",
    "defer",
    "disapprove",
    "suspend",
    "terminate",
];

const FINDING: &[MemberDef] = &[
    MemberDef::required("layer", Shape::Text, "what was looked at"),
    MemberDef::required(
        "result",
        Shape::Suggested(&["pass", "fail", "insufficient_evidence", "not_applicable"]),
        "what was found",
    ),
    MemberDef::required("basis", Shape::Text, "on what evidence"),
];

const CONDITION: &[MemberDef] = &[
    MemberDef::required("id", Shape::Line, "its name"),
    MemberDef::required("text", Shape::Text, "what must be done"),
    MemberDef::optional("due", Shape::Time, "by when"),
];

/// `drill`, after HSEEP: an exercise and what it showed.
pub const DRILL: KindDef = kind(&[
    MemberDef::required("scenario", Shape::Text, "what was assumed to happen"),
    MemberDef::required("held_on", Shape::DateOrTime, "when it was held"),
    MemberDef::required("participants", some(&Shape::Text), "the roles or bodies that took part"),
    MemberDef::required("objectives", some(&Shape::Object(OBJECTIVE)), "what was to be shown"),
]);

const OBJECTIVE: &[MemberDef] = &[
    MemberDef::required("text", Shape::Text, "what should work"),
    MemberDef::required("rating", Shape::Suggested(RATINGS), "how well it did"),
];

const RATINGS: &[&str] = &["performed", "some_challenges", "major_challenges", "unable"];
