//! What is chosen and intended: `decision`, `preregistration`, `milestone`.

use super::super::json::MAX_INTEGER;
use super::super::rule::{Check, Rule};
use super::super::shape::{KindDef, MemberDef, Shape};
use super::{TEXTS, kind, list, some};

/// `decision`, after MADR 4.
pub const DECISION: KindDef = kind(&[
    MemberDef::required("status", Shape::OneOf(DECISION_STATUS), "where the decision stands"),
    MemberDef::required("context", Shape::Text, "what made it necessary"),
    MemberDef::required("options", some(&Shape::Text), "what was considered"),
    MemberDef::required("outcome", Shape::Text, "what was chosen"),
    MemberDef::required("rationale", Shape::Text, "why"),
    MemberDef::required("decided_by", some(&Shape::Text), "the people or bodies that decided"),
    MemberDef::optional("votes", list(&Shape::Object(VOTE)), "how they voted"),
    MemberDef::optional("recusals", list(&Shape::Object(RECUSAL)), "who stood aside"),
    MemberDef::optional("dissent", list(&Shape::Object(DISSENT)), "who disagreed and why"),
    MemberDef::optional("consulted", TEXTS, "who was asked"),
    MemberDef::optional("resources", list(&Shape::Object(RESOURCE)), "what it costs"),
    MemberDef::optional("review_by", Shape::DateOrTime, "when it is looked at again"),
]);

const DECISION_STATUS: &[&str] = &["proposed", "accepted", "rejected", "deprecated", "superseded"];

const VOTE: &[MemberDef] = &[
    MemberDef::required("who", Shape::Text, "the voter"),
    MemberDef::required("vote", Shape::Suggested(&["for", "against", "abstain"]), "the vote"),
];

const RECUSAL: &[MemberDef] = &[
    MemberDef::required("who", Shape::Text, "who stood aside"),
    MemberDef::optional("reason", Shape::Text, "why"),
];

const DISSENT: &[MemberDef] = &[
    MemberDef::required("who", Shape::Text, "who disagreed"),
    MemberDef::required("text", Shape::Text, "why"),
];

const RESOURCE: &[MemberDef] = &[
    MemberDef::required(
        "amount_minor",
        Shape::Integer { min: 0, max: MAX_INTEGER },
        "in cents or so",
    ),
    MemberDef::required("currency", CURRENCY, "the currency"),
    MemberDef::optional("purpose", Shape::Text, "what for"),
];

const CURRENCY: Shape = Shape::Code {
    regex: "^[A-Z]{3}$",
    test: is_currency,
    like: "a currency like EUR (ISO 4217, three capitals)",
};

/// `preregistration`, after the Open Science Framework: a study's plan, before its results.
pub const PREREGISTRATION: KindDef = kind(&[
    MemberDef::required("hypotheses", some(&Shape::Text), "what the study expects"),
    MemberDef::required("design", Shape::Text, "how it is done"),
    MemberDef::required("outcomes", some(&Shape::Text), "what it measures"),
    MemberDef::required("analysis", Shape::Text, "how the results are judged"),
    MemberDef::required(
        "data_status",
        Shape::Suggested(DATA_STATUS),
        "who has seen the data so far",
    ),
    MemberDef::optional("sampling", Shape::Text, "how the sample is drawn, and when it is enough"),
    MemberDef::optional("exclusions", Shape::Text, "what is left out of the analysis"),
    MemberDef::optional("results_due", Shape::DateOrTime, "when results are published"),
    MemberDef::optional("embargo_until", Shape::DateOrTime, "until when details are held back"),
]);

const DATA_STATUS: &[&str] = &["none", "exists_unseen", "seen"];

/// `milestone`: a date that was set, met or missed.
pub const MILESTONE: KindDef = KindDef {
    members: &[
        MemberDef::required(
            "milestone_type",
            Shape::Suggested(MILESTONE_TYPES),
            "what sort of date",
        ),
        MemberDef::required("starts", Shape::DateOrTime, "when it begins"),
        MemberDef::required("ends", Shape::DateOrTime, "when it is over or due"),
        MemberDef::required("state", Shape::Suggested(MILESTONE_STATES), "where it stands"),
    ],
    unknown_when: None,
    checks: &[Check {
        rule: Rule::InOrder { first: "starts", then: "ends" },
        hint: "give the same date twice for something that is over at once",
    }],
};

const MILESTONE_TYPES: &[&str] = &["milestone", "data_release", "review_cycle", "audit"];

const MILESTONE_STATES: &[&str] = &["planned", "met", "slipped", "cancelled"];

fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|c| c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_have_their_form() {
        let Shape::Code { test, .. } = CURRENCY else { panic!("a code") };
        assert!(test("EUR") && !test("eur") && !test("EURO"));
    }
}
