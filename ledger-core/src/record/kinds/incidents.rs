//! Harm, what may become harm, and what is done about it: `incident`, `risk`, `remediation`.

use super::super::UNKNOWN;
use super::super::rule::{Check, Rule};
use super::super::shape::{KindDef, MemberDef, Shape};
use super::{TEXTS, is_country, kind, list};

/// `incident`, after the OECD common reporting framework and the EU code of practice.
///
/// On stage `initial` any of its members may be the text `unknown`.
pub const INCIDENT: KindDef = KindDef {
    members: &[
        MemberDef::required(
            "stage",
            Shape::OneOf(&["initial", "interim", "final"]),
            "which report",
        ),
        MemberDef::required(
            "class",
            Shape::Suggested(&["incident", "near_miss", "issue"]),
            "whether harm happened, nearly did, or could",
        ),
        MemberDef::required("severity", Shape::OneOf(SEVERITIES), "how grave").open(),
        MemberDef::required("aware_at", Shape::Time, "when the issuer became aware").open(),
        MemberDef::required("ai_relation", Shape::Suggested(AI_RELATIONS), "what part AI had"),
        MemberDef::required("harm_types", list(&Shape::Suggested(HARM_TYPES)), "which harms"),
        MemberDef::required("triggers", list(&Shape::Suggested(TRIGGERS)), "what set it off"),
        MemberDef::optional("started_at", Shape::DateOrTime, "when it began"),
        MemberDef::optional("ended_at", Shape::DateOrTime, "when it ended"),
        MemberDef::optional("system", Shape::Object(SYSTEM), "the AI system"),
        MemberDef::optional("affected", TEXTS, "who was affected"),
        MemberDef::optional("countries", list(&COUNTRY), "where"),
        MemberDef::optional("chain_of_events", Shape::Text, "what led to what"),
        MemberDef::optional("actions", TEXTS, "what was done"),
        MemberDef::optional("root_cause", Shape::Text, "why it happened"),
        MemberDef::optional("resolved_at", Shape::Time, "when it was resolved"),
    ],
    unknown_when: Some(("stage", "initial")),
    checks: &[
        Check {
            rule: Rule::NotWord { member: "severity", word: UNKNOWN, when: ("stage", "final") },
            hint: "a final report says how grave it was; until that is known, write an interim one",
        },
        Check {
            rule: Rule::NotAhead { member: "aware_at" },
            hint: "nobody can be aware of it later than the report; check both times",
        },
        Check {
            rule: Rule::NotAhead { member: "resolved_at" },
            hint: "leave `resolved_at` out until it is resolved; a promise belongs into `due`",
        },
        Check {
            rule: Rule::InOrder { first: "started_at", then: "ended_at" },
            hint: "exchange the two, or leave out what is not known",
        },
        Check {
            rule: Rule::InOrder { first: "started_at", then: "resolved_at" },
            hint: "nothing is resolved before it began; check both times",
        },
    ],
};

/// Severities, mildest first, then `unknown`. Closed: deadlines depend on them.
pub const SEVERITIES: &[&str] =
    &["hazard", "serious_hazard", "incident", "serious_incident", "disaster", "unknown"];

const AI_RELATIONS: &[&str] = &["development", "use", "misuse", "malfunction", "unknown"];

const HARM_TYPES: &[&str] = &[
    "physical",
    "psychological",
    "reputational",
    "economic",
    "environmental",
    "public_interest",
    "rights",
    "other",
];

const TRIGGERS: &[&str] =
    &["design", "data", "malfunction", "security", "human_error", "misuse", "environment"];

const SYSTEM: &[MemberDef] = &[
    MemberDef::required("name", Shape::Text, "its name"),
    MemberDef::optional("version", Shape::Text, "its version"),
    MemberDef::optional("developer", Shape::Text, "who made it"),
    MemberDef::optional("deployer", Shape::Text, "who runs it"),
    MemberDef::optional("digest", Shape::Digest, "SHA-256 of the weights or release"),
];

const COUNTRY: Shape = Shape::Code {
    regex: "^[A-Z]{2}$",
    test: is_country,
    like: "a country like FR (ISO 3166-1, two capitals)",
};

/// `risk`, after ISO 31000 and the MIT risk repository.
pub const RISK: KindDef = kind(&[
    MemberDef::required("event", Shape::Text, "what may happen"),
    MemberDef::required("domain", Shape::Suggested(RISK_DOMAINS), "what it belongs to"),
    MemberDef::required("likelihood", SCALE, "how likely it is, 1 (rare) to 5 (almost certain)"),
    MemberDef::required("impact", SCALE, "how bad it would be, 1 (slight) to 5 (disastrous)"),
    MemberDef::required("owner", Shape::Text, "the role or body that answers for it"),
    MemberDef::required(
        "treatment",
        Shape::Suggested(&["avoid", "mitigate", "transfer", "accept"]),
        "what is done about it",
    ),
    MemberDef::required(
        "status",
        Shape::Suggested(&["open", "treating", "accepted", "closed"]),
        "where it stands",
    ),
    MemberDef::optional("residual", Shape::Object(RESIDUAL), "what remains after the treatment"),
    MemberDef::optional("contingency", Shape::Text, "what is done if it happens"),
    MemberDef::optional("next_review", Shape::DateOrTime, "when it is looked at again"),
]);

const RISK_DOMAINS: &[&str] = &[
    "discrimination_toxicity",
    "privacy_security",
    "misinformation",
    "malicious_actors",
    "human_computer_interaction",
    "socioeconomic_environmental",
    "system_safety",
];

const SCALE: Shape = Shape::Integer { min: 1, max: 5 };

const RESIDUAL: &[MemberDef] = &[
    MemberDef::required("likelihood", SCALE, "how likely it still is"),
    MemberDef::required("impact", SCALE, "how bad it still would be"),
];

/// `remediation`, after the EU code of practice: what is done about an incident or a condition.
pub const REMEDIATION: KindDef = KindDef {
    members: &[
        MemberDef::required("action", Shape::Text, "what is done"),
        MemberDef::required("owner", Shape::Text, "the role or body that does it"),
        MemberDef::required("due_by", Shape::Time, "by when it is done"),
        MemberDef::required("state", Shape::Suggested(REMEDIATION_STATES), "how far it is"),
        MemberDef::required("verification_method", Shape::Text, "how one sees that it works"),
    ],
    unknown_when: None,
    checks: &[Check {
        rule: Rule::NeedsRef { rel: "remediates", when: None },
        hint: "name what is mended: \"refs\": [{\"rel\": \"remediates\", \"statement\": \"...\"}]",
    }],
};

const REMEDIATION_STATES: &[&str] =
    &["planned", "in_progress", "implemented", "verified", "ineffective", "cancelled"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_have_their_form() {
        let Shape::Code { test, .. } = COUNTRY else { panic!("a code") };
        assert!(test("FR") && !test("fr") && !test("FRA"));
    }
}
