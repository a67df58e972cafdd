//! The tables: the envelope and the kinds, member by member.
//!
//! A kind is its table of members and the rules between them, in a file with the kinds of the same
//! idea; `Kind::definition` names it.

mod disclosure;
mod governance;
mod incidents;
mod plans;
mod reviews;
mod voices;

use super::json::MAX_INTEGER;
use super::shape::{KindDef, MemberDef, Shape};

pub use disclosure::DISCLOSURE;
pub use governance::{CHARTER, MEMBERSHIP, NORM};
pub use incidents::{INCIDENT, REMEDIATION, RISK, SEVERITIES};
pub use plans::{DECISION, MILESTONE, PREREGISTRATION};
pub use reviews::{DRILL, REVIEW};
pub use voices::{CONCERN, DISPUTE, RESPONSE};

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

const JURISDICTION: Shape = Shape::Code {
    regex: "^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
    test: is_jurisdiction,
    like: "a jurisdiction like FR or US-CA (ISO 3166)",
};

/// The members of every record.
pub const ENVELOPE: &[MemberDef] = &[
    MemberDef::required("log", Shape::Name, "the origin of the log that the record is meant for")
        .open(),
    MemberDef::required("kind", Shape::Line, "what the record is").open(),
    MemberDef::required("id", Shape::RecordId, "the issuer's own name for the record").open(),
    MemberDef::required("issuer", Shape::Name, "the member that speaks").open(),
    MemberDef::required("issued_at", Shape::Time, "when the issuer wrote it").open(),
    MemberDef::required("title", Shape::LanguageMap, "what it is about, in a line per language"),
    MemberDef::required("summary", Shape::LanguageMap, "what it says, in a paragraph per language"),
    MemberDef::optional("signers", some(&Shape::Name), "key names that must all have signed")
        .open(),
    MemberDef::optional("series", Shape::Line, "a name for successive versions of one record"),
    MemberDef::optional("rev", Shape::Integer { min: 1, max: MAX_INTEGER }, "place in the series"),
    MemberDef::optional("refs", list(&Shape::Object(REF)), "other records it speaks about").open(),
    MemberDef::optional("attachments", list(&Shape::Object(ATTACHMENT)), "files beside the record"),
    MemberDef::optional(
        "sealed",
        list(&Shape::Object(SEALED)),
        "what is sealed, for whom, till when",
    )
    .open(),
    MemberDef::optional("jurisdictions", list(&JURISDICTION), "whose law is touched"),
    MemberDef::optional("licence", Shape::Line, "how the text may be used (SPDX)"),
    MemberDef::optional("tlp", TLP, "who may read it (TLP 2.0)"),
    MemberDef::optional("due", list(&Shape::Object(DUE)), "what is promised by when").open(),
    MemberDef::optional("xref", list(&Shape::Object(XREF)), "its names in other registries"),
    MemberDef::optional("ext", Shape::Map(&Shape::Any), "anything the format does not define"),
];

const TLP: Shape =
    Shape::Suggested(&["TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:RED"]);

const REF: &[MemberDef] = &[
    MemberDef::required("rel", Shape::Suggested(RELATIONS), "how it relates"),
    MemberDef::required("statement", Shape::Digest, "the other record's statement id"),
    MemberDef::optional("origin", Shape::Name, "the log it is in, if another"),
    MemberDef::optional("index", Shape::LeafIndex, "its position there"),
];

const ATTACHMENT: &[MemberDef] = &[
    MemberDef::required("sha256", Shape::Digest, "the file's digest"),
    MemberDef::required("media_type", Shape::Line, "its media type"),
    MemberDef::required("size", Shape::Integer { min: 0, max: MAX_INTEGER }, "its bytes"),
    MemberDef::required("name", Shape::Line, "its file name"),
    MemberDef::optional("url", Shape::Uri, "where it can be had"),
    MemberDef::required("audience", Shape::Suggested(&["public", "members"]), "who may read it"),
];

const SEALED: &[MemberDef] = &[
    MemberDef::required("path", Shape::Line, "the member, like text or system.developer"),
    MemberDef::optional("audience", Shape::Line, "who may read it"),
    MemberDef::optional("reason", Shape::Text, "why it is sealed"),
    MemberDef::optional("release", Shape::Line, "the day, time or event that opens it"),
];

const DUE: &[MemberDef] = &[
    MemberDef::required("what", Shape::Text, "what is promised"),
    MemberDef::required("by", Shape::Time, "the deadline"),
];

const XREF: &[MemberDef] = &[
    MemberDef::required(
        "scheme",
        Shape::Suggested(&["AIID", "AVID", "OECD-AIM", "CVE", "DOI"]),
        "the registry",
    ),
    MemberDef::required("id", Shape::Line, "its name there"),
];

const fn kind(members: &'static [MemberDef]) -> KindDef {
    KindDef { members, unknown_when: None, checks: &[] }
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|c| c.is_ascii_uppercase())
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
            let mut names: Vec<_> = ENVELOPE.iter().map(|member| member.name).collect();
            names.extend(kind.definition().members.iter().map(|member| member.name));
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{kind}");
        }
    }

    #[test]
    fn codes_have_their_form() {
        let Shape::Code { test, .. } = JURISDICTION else { panic!("a code") };
        for (text, expected) in [("US-CA", true), ("EU", true), ("US-", false), ("US-cA", false)] {
            assert_eq!(test(text), expected, "{text}");
        }
    }
}
