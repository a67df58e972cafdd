//! The tables: the envelope and the kinds, member by member.
//!
//! A kind is added by adding its table and naming it in `Kind::definition`.

mod governance;

use super::json::MAX_INTEGER;
use super::shape::{KindDef, Member, Shape};

pub use governance::{CHARTER, MEMBERSHIP, NORM};

const fn list(of: &'static Shape) -> Shape {
    Shape::List { of, min: 0 }
}

const fn some(of: &'static Shape) -> Shape {
    Shape::List { of, min: 1 }
}

const TEXTS: Shape = list(&Shape::Text);

/// Words for `rel`. Open.
pub const RELATIONS: &[&str] = &[
    "amends",
    "supersedes",
    "retracts",
    "responds-to",
    "reviews",
    "remediates",
    "realises",
    "mitigates",
    "escalates",
    "appeals",
    "resolves",
    "endorses",
    "implements",
    "deviates-from",
    "reports-on",
    "derived-from",
    "duplicates",
    "translates",
    "discloses",
];

const COUNTRY: Shape = Shape::Code {
    regex: "^[A-Z]{2}$",
    test: is_country,
    like: "a country like FR (ISO 3166-1, two capitals)",
};

const JURISDICTION: Shape = Shape::Code {
    regex: "^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
    test: is_jurisdiction,
    like: "a jurisdiction like FR or US-CA (ISO 3166)",
};

const CURRENCY: Shape = Shape::Code {
    regex: "^[A-Z]{3}$",
    test: is_currency,
    like: "a currency like EUR (ISO 4217, three capitals)",
};

/// The members of every record.
pub const ENVELOPE: &[Member] = &[
    Member::required("log", Shape::Name, "the origin of the log that the record is meant for")
        .open(),
    Member::required("kind", Shape::Line, "what the record is").open(),
    Member::required("id", Shape::RecordId, "the issuer's own name for the record").open(),
    Member::required("issuer", Shape::Name, "the member that speaks").open(),
    Member::required("issued_at", Shape::Time, "when the issuer wrote it").open(),
    Member::required("title", Shape::LanguageMap, "what it is about, in a line per language"),
    Member::required("summary", Shape::LanguageMap, "what it says, in a paragraph per language"),
    Member::optional("signers", some(&Shape::Name), "key names that must all have signed").open(),
    Member::optional("series", Shape::Line, "a name for successive versions of one record"),
    Member::optional("rev", Shape::Integer { min: 1, max: MAX_INTEGER }, "place in the series"),
    Member::optional("refs", list(&Shape::Object(REF)), "other records it speaks about").open(),
    Member::optional("attachments", list(&Shape::Object(ATTACHMENT)), "files beside the record"),
    Member::optional("sealed", list(&Shape::Object(SEALED)), "what is sealed, for whom, till when")
        .open(),
    Member::optional("jurisdictions", list(&JURISDICTION), "whose law is touched"),
    Member::optional("licence", Shape::Line, "how the text may be used (SPDX)"),
    Member::optional("tlp", TLP, "who may read it (TLP 2.0)"),
    Member::optional("due", list(&Shape::Object(DUE)), "what is promised by when").open(),
    Member::optional("xref", list(&Shape::Object(XREF)), "its names in other registries"),
    Member::optional("ext", Shape::Map(&Shape::Any), "anything the format does not define"),
];

const TLP: Shape =
    Shape::Suggested(&["TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:RED"]);

const REF: &[Member] = &[
    Member::required("rel", Shape::Suggested(RELATIONS), "how it relates"),
    Member::required("statement", Shape::Digest, "the other record's statement id"),
    Member::optional("origin", Shape::Name, "the log it is in, if another"),
    Member::optional("index", Shape::LeafIndex, "its position there"),
];

const ATTACHMENT: &[Member] = &[
    Member::required("sha256", Shape::Digest, "the file's digest"),
    Member::required("media_type", Shape::Line, "its media type"),
    Member::required("size", Shape::Integer { min: 0, max: MAX_INTEGER }, "its bytes"),
    Member::required("name", Shape::Line, "its file name"),
    Member::optional("url", Shape::Uri, "where it can be had"),
    Member::required("audience", Shape::Suggested(&["public", "members"]), "who may read it"),
];

const SEALED: &[Member] = &[
    Member::required("path", Shape::Line, "the member, like text or system.developer"),
    Member::optional("audience", Shape::Line, "who may read it"),
    Member::optional("reason", Shape::Text, "why it is sealed"),
    Member::optional("release", Shape::Line, "the day, time or event that opens it"),
];

const DUE: &[Member] = &[
    Member::required("what", Shape::Text, "what is promised"),
    Member::required("by", Shape::Time, "the deadline"),
];

const XREF: &[Member] = &[
    Member::required(
        "scheme",
        Shape::Suggested(&["AIID", "AVID", "OECD-AIM", "CVE", "DOI"]),
        "the registry",
    ),
    Member::required("id", Shape::Line, "its name there"),
];

const fn kind(members: &'static [Member]) -> KindDef {
    KindDef { members, unknown_when: None }
}

/// `decision`, after MADR 4.
pub const DECISION: KindDef = kind(&[
    Member::required("status", Shape::OneOf(DECISION_STATUS), "where the decision stands"),
    Member::required("context", Shape::Text, "what made it necessary"),
    Member::required("options", some(&Shape::Text), "what was considered"),
    Member::required("outcome", Shape::Text, "what was chosen"),
    Member::required("rationale", Shape::Text, "why"),
    Member::required("decided_by", some(&Shape::Text), "the people or bodies that decided"),
    Member::optional("votes", list(&Shape::Object(VOTE)), "how they voted"),
    Member::optional("recusals", list(&Shape::Object(RECUSAL)), "who stood aside"),
    Member::optional("dissent", list(&Shape::Object(DISSENT)), "who disagreed and why"),
    Member::optional("consulted", TEXTS, "who was asked"),
    Member::optional("resources", list(&Shape::Object(RESOURCE)), "what it costs"),
    Member::optional("review_by", Shape::DateOrTime, "when it is looked at again"),
]);

const DECISION_STATUS: &[&str] = &["proposed", "accepted", "rejected", "deprecated", "superseded"];

const VOTE: &[Member] = &[
    Member::required("who", Shape::Text, "the voter"),
    Member::required("vote", Shape::Suggested(&["for", "against", "abstain"]), "the vote"),
];

const RECUSAL: &[Member] = &[
    Member::required("who", Shape::Text, "who stood aside"),
    Member::optional("reason", Shape::Text, "why"),
];

const DISSENT: &[Member] = &[
    Member::required("who", Shape::Text, "who disagreed"),
    Member::required("text", Shape::Text, "why"),
];

const RESOURCE: &[Member] = &[
    Member::required("amount_minor", Shape::Integer { min: 0, max: MAX_INTEGER }, "in cents or so"),
    Member::required("currency", CURRENCY, "the currency"),
    Member::optional("purpose", Shape::Text, "what for"),
];

/// `incident`, after the OECD common reporting framework and the EU code of practice.
///
/// On stage `initial` any of its members may be the text `unknown`.
pub const INCIDENT: KindDef = KindDef {
    members: &[
        Member::required("stage", Shape::OneOf(&["initial", "interim", "final"]), "which report"),
        Member::required(
            "class",
            Shape::Suggested(&["incident", "near_miss", "issue"]),
            "whether harm happened, nearly did, or could",
        ),
        Member::required("severity", Shape::OneOf(SEVERITIES), "how grave").open(),
        Member::required("aware_at", Shape::Time, "when the issuer became aware").open(),
        Member::required("ai_relation", Shape::Suggested(AI_RELATIONS), "what part AI had"),
        Member::required("harm_types", list(&Shape::Suggested(HARM_TYPES)), "which harms"),
        Member::required("triggers", list(&Shape::Suggested(TRIGGERS)), "what set it off"),
        Member::optional("started_at", Shape::DateOrTime, "when it began"),
        Member::optional("ended_at", Shape::DateOrTime, "when it ended"),
        Member::optional("system", Shape::Object(SYSTEM), "the AI system"),
        Member::optional("affected", TEXTS, "who was affected"),
        Member::optional("countries", list(&COUNTRY), "where"),
        Member::optional("chain_of_events", Shape::Text, "what led to what"),
        Member::optional("actions", TEXTS, "what was done"),
        Member::optional("root_cause", Shape::Text, "why it happened"),
        Member::optional("resolved_at", Shape::Time, "when it was resolved"),
    ],
    unknown_when: Some(("stage", "initial")),
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

const SYSTEM: &[Member] = &[
    Member::required("name", Shape::Text, "its name"),
    Member::optional("version", Shape::Text, "its version"),
    Member::optional("developer", Shape::Text, "who made it"),
    Member::optional("deployer", Shape::Text, "who runs it"),
    Member::optional("digest", Shape::Digest, "SHA-256 of the weights or release"),
];

/// `review`, after the outcomes of institutional review boards.
pub const REVIEW: KindDef = kind(&[
    Member::required("body", Shape::Text, "who reviewed"),
    Member::required("review_stage", Shape::Suggested(REVIEW_STAGES), "at which point"),
    Member::required("outcome", Shape::Suggested(REVIEW_OUTCOMES), "the verdict"),
    Member::required("public_summary", Shape::LanguageMap, "the verdict in plain words"),
    Member::optional("findings", list(&Shape::Object(FINDING)), "what was found"),
    Member::optional("conditions", list(&Shape::Object(CONDITION)), "what must be done"),
    Member::optional("panel", TEXTS, "who sat on it"),
    Member::optional("conflicts", TEXTS, "conflicts of interest"),
    Member::optional("next_review", Shape::DateOrTime, "when it is looked at again"),
]);

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

const FINDING: &[Member] = &[
    Member::required("layer", Shape::Text, "what was looked at"),
    Member::required(
        "result",
        Shape::Suggested(&["pass", "fail", "insufficient_evidence", "not_applicable"]),
        "what was found",
    ),
    Member::required("basis", Shape::Text, "on what evidence"),
];

const CONDITION: &[Member] = &[
    Member::required("id", Shape::Line, "its name"),
    Member::required("text", Shape::Text, "what must be done"),
    Member::optional("due", Shape::Time, "by when"),
];

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|c| c.is_ascii_uppercase())
}

fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|c| c.is_ascii_uppercase())
}

fn is_jurisdiction(text: &str) -> bool {
    let (country, part) = text.split_once('-').unwrap_or((text, "0"));
    let part_fits = matches!(part.len(), 1..=3)
        && part.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    is_country(country) && part_fits
}

#[cfg(test)]
mod tests {
    use super::super::shape::Sealing;
    use super::super::{Kind, shape::Shape};
    use super::*;

    #[test]
    fn what_rules_depend_on_is_never_sealed() {
        let open = ["log", "kind", "id", "issuer", "issued_at", "refs", "due", "signers", "sealed"];
        for member in ENVELOPE {
            let expected =
                if open.contains(&member.name) { Sealing::Open } else { Sealing::Sealable };
            assert_eq!(member.sealing, expected, "{}", member.name);
        }
        for name in ["severity", "aware_at"] {
            let member = INCIDENT.members.iter().find(|member| member.name == name);
            assert_eq!(member.map(|member| member.sealing), Some(Sealing::Open));
        }
    }

    #[test]
    fn no_table_names_a_member_twice_or_hides_one_of_the_envelope() {
        for kind in Kind::ALL {
            let Some(definition) = kind.definition() else { continue };
            let mut names: Vec<_> = ENVELOPE.iter().map(|member| member.name).collect();
            names.extend(definition.members.iter().map(|member| member.name));
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{kind}");
        }
    }

    #[test]
    fn codes_have_their_form() {
        let fits = |shape: &Shape, text| match shape {
            Shape::Code { test, .. } => test(text),
            _ => false,
        };
        assert!(fits(&COUNTRY, "FR") && !fits(&COUNTRY, "fr") && !fits(&COUNTRY, "FRA"));
        assert!(fits(&CURRENCY, "EUR") && !fits(&CURRENCY, "eu"));
        for (text, expected) in [("US-CA", true), ("EU", true), ("US-", false), ("US-cA", false)] {
            assert_eq!(fits(&JURISDICTION, text), expected, "{text}");
        }
    }
}
