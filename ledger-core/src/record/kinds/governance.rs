//! The kinds that make and change authority: `charter`, `membership`, `norm`.

use super::super::rule::{Check, Rule};
use super::super::shape::{KindDef, MemberDef, Shape};
use super::{TEXTS, kind, list, some};

const ROLES_HINT: Shape = Shape::Suggested(&["operator", "publisher", "reviewer", "steward"]);

/// `charter`: the consortium's founding. What goes beyond shapes is judged by
/// [`charter`](crate::charter).
pub const CHARTER: KindDef = kind(&[
    MemberDef::required("consortium", Shape::Line, "the consortium's name").open(),
    MemberDef::required("log_vkeys", some(&Shape::Line), "the keys that sign the log's heads")
        .open(),
    MemberDef::required("members", some(&Shape::Object(MEMBER)), "the founding members").open(),
    MemberDef::required("rules", Shape::Map(&REQUIREMENTS), "who must sign which kind").open(),
    MemberDef::required("governance", REQUIREMENTS, "who must sign a change of the charter").open(),
    MemberDef::required("deadlines", list(&Shape::Object(DEADLINE)), "what is due when").open(),
    MemberDef::required("limits", Shape::Object(LIMITS), "how far times may differ").open(),
    MemberDef::required("policy", POLICY, "the witnesses and their quorum (tlog-policy)").open(),
    MemberDef::optional("binding", BINDING, "roles whose references bind others' records").open(),
]);

const POLICY: Shape = Shape::Text;

/// By relation (`amends`, `supersedes`, `retracts`, or `series`): the roles that may bind records
/// of other issuers.
const BINDING: Shape = Shape::Map(&some(&Shape::Line));

const REQUIREMENTS: Shape = some(&Shape::Object(REQUIREMENT));

const REQUIREMENT: &[MemberDef] = &[
    MemberDef::required("role", ROLES_HINT, "the role that signs"),
    MemberDef::required("members", Shape::Integer { min: 1, max: 64 }, "how many members of it"),
];

const MEMBER: &[MemberDef] = &[
    MemberDef::required("name", Shape::Name, "the member's name"),
    MemberDef::required("roles", list(&Shape::Object(ROLE)), "what it may do"),
    MemberDef::required("keys", some(&Shape::Object(KEY)), "its keys"),
    MemberDef::optional("node", Shape::Uri, "its node's address"),
];

const ROLE: &[MemberDef] = &[
    MemberDef::required("role", ROLES_HINT, "the role"),
    MemberDef::optional("from", Shape::Time, "the first second in which it holds"),
    MemberDef::optional("until", Shape::Time, "the first second in which it no longer holds"),
];

const KEY: &[MemberDef] = &[
    MemberDef::required("vkey", Shape::Line, "the verifier key"),
    MemberDef::required("use", KEY_USE, "what it signs"),
    MemberDef::optional("from", Shape::Time, "the first second in which it is valid"),
    MemberDef::optional("until", Shape::Time, "the first second in which it no longer is"),
];

const KEY_USE: Shape = Shape::OneOf(&["record", "log", "witness", "mirror", "node"]);

const ALLOWED: Shape = some(&Shape::Text);

const DEADLINE: &[MemberDef] = &[
    MemberDef::required("name", Shape::Line, "its name"),
    MemberDef::required("clock", Shape::Line, "the time it runs from, like incident.aware_at"),
    MemberDef::required("when", Shape::Map(&ALLOWED), "members and values that start it"),
    MemberDef::required("within", Shape::Duration, "how long"),
    MemberDef::required("satisfied_by", Shape::Map(&ALLOWED), "members and values that meet it"),
];

const LIMITS: &[MemberDef] = &[
    MemberDef::optional("issued_at", Shape::Duration, "how late after issued_at an entry may be"),
    MemberDef::optional("max_gap", Shape::Duration, "how late after an entry a head may be seen"),
];

/// `membership`: members come, go and change, all changes at once or none.
pub const MEMBERSHIP: KindDef = kind(&[
    MemberDef::required("base", Shape::Digest, "the statement id of the latest governance entry")
        .open(),
    MemberDef::required("changes", some(&MEMBERSHIP_CHANGE), "what changes, in order").open(),
]);

const MEMBERSHIP_CHANGE: Shape = Shape::Tagged {
    tag: "action",
    variants: &[
        ("admit", ADMIT),
        ("suspend", STANDING),
        ("reinstate", STANDING),
        ("expel", STANDING),
        ("withdraw", STANDING),
        ("assign_role", ASSIGN_ROLE),
        ("end_role", END_ROLE),
        ("add_key", ADD_KEY),
        ("revoke_key", REVOKE_KEY),
        ("set_node", SET_NODE),
        ("sanction", SANCTION),
    ],
};

const WHO: MemberDef = MemberDef::required("member", Shape::Name, "the member's name");
const WHY: MemberDef = MemberDef::optional("reason", Shape::Text, "why");

const ADMIT: &[MemberDef] = &[
    WHO,
    MemberDef::required("roles", list(&Shape::Object(ROLE)), "what it may do"),
    MemberDef::required("keys", some(&Shape::Object(KEY)), "its keys"),
    MemberDef::optional("node", Shape::Uri, "its node's address"),
    WHY,
];

const STANDING: &[MemberDef] = &[WHO, WHY];

const ASSIGN_ROLE: &[MemberDef] = &[
    WHO,
    MemberDef::required("role", ROLES_HINT, "the role"),
    MemberDef::optional("from", Shape::Time, "the first second in which it holds"),
    MemberDef::optional("until", Shape::Time, "the first second in which it no longer holds"),
    WHY,
];

const END_ROLE: &[MemberDef] = &[WHO, MemberDef::required("role", ROLES_HINT, "the role"), WHY];

const ADD_KEY: &[MemberDef] = &[
    WHO,
    MemberDef::required("vkey", Shape::Line, "the verifier key"),
    MemberDef::required("use", KEY_USE, "what it signs"),
    MemberDef::optional("from", Shape::Time, "the first second in which it is valid"),
    MemberDef::optional("until", Shape::Time, "the first second in which it no longer is"),
    WHY,
];

const REVOKE_KEY: &[MemberDef] =
    &[WHO, MemberDef::required("vkey", Shape::Line, "the verifier key"), WHY];

const SET_NODE: &[MemberDef] = &[
    WHO,
    MemberDef::optional("node", Shape::Uri, "its node's address; without it the member has none"),
    WHY,
];

const SANCTION: &[MemberDef] = &[
    WHO,
    MemberDef::required("measure", Shape::Text, "what is imposed, which changes no right"),
    WHY,
];

/// `norm`: what the consortium agreed on, and what of it the log enforces.
pub const NORM: KindDef = KindDef {
    members: &[
        MemberDef::required(
            "base",
            Shape::Digest,
            "the statement id of the latest governance entry",
        )
        .open(),
        MemberDef::required("version", Shape::Line, "the norm's own version").open(),
        MemberDef::required("effective_from", Shape::Time, "since when it holds").open(),
        MemberDef::optional("text", Shape::Text, "the norm itself").open(),
        MemberDef::optional(
            "text_sha256",
            Shape::Digest,
            "SHA-256 of the norm's text, kept elsewhere",
        )
        .open(),
        MemberDef::required("changes", list(&NORM_CHANGE), "what the log enforces of it").open(),
    ],
    unknown_when: None,
    checks: &[Check {
        rule: Rule::AtLeastOne(&["text", "text_sha256"]),
        hint: "write the norm into `text`, or the digest of a text kept elsewhere into `text_sha256`",
    }],
};

const NORM_CHANGE: Shape = Shape::Tagged {
    tag: "action",
    variants: &[
        ("set_rule", SET_RULE),
        ("remove_rule", REMOVE_RULE),
        ("set_governance", SET_GOVERNANCE),
        ("set_deadlines", SET_DEADLINES),
        ("set_limits", LIMITS),
        ("set_enumeration", SET_ENUMERATION),
        ("set_binding", SET_BINDING),
        ("set_policy", SET_POLICY),
        ("add_log_key", LOG_KEY),
        ("retire_log_key", LOG_KEY),
    ],
};

const SET_RULE: &[MemberDef] = &[
    MemberDef::required("kind", Shape::Line, "the kind of record"),
    MemberDef::required("requirements", REQUIREMENTS, "who must sign it"),
];

const REMOVE_RULE: &[MemberDef] = &[MemberDef::required("kind", Shape::Line, "the kind of record")];

const SET_GOVERNANCE: &[MemberDef] =
    &[MemberDef::required("requirements", REQUIREMENTS, "who must sign a change of the charter")];

const SET_DEADLINES: &[MemberDef] =
    &[MemberDef::required("deadlines", list(&Shape::Object(DEADLINE)), "what is due when")];

const SET_ENUMERATION: &[MemberDef] = &[
    MemberDef::required("name", Shape::Line, "the open list, like incident.harm_types"),
    MemberDef::required("words", TEXTS, "the words that it suggests from now on"),
];

const SET_BINDING: &[MemberDef] = &[MemberDef::required("binding", BINDING, "roles by relation")];

const SET_POLICY: &[MemberDef] =
    &[MemberDef::required("policy", POLICY, "the witnesses and their quorum (tlog-policy)")];

const LOG_KEY: &[MemberDef] = &[MemberDef::required("vkey", Shape::Line, "the log's verifier key")];
