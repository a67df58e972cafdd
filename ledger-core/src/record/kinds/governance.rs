//! The kinds that make and change authority: `charter`, `membership`, `norm`.

use super::super::check::{Check, Rule};
use super::super::shape::{KindDef, Member, Shape};
use super::{TEXTS, kind, list, some};

const ROLES_HINT: Shape = Shape::Suggested(&["operator", "publisher", "reviewer", "steward"]);

/// `charter`: the consortium's founding. What goes beyond shapes is judged by
/// [`charter`](crate::charter).
pub const CHARTER: KindDef = kind(&[
    Member::required("consortium", Shape::Line, "the consortium's name").open(),
    Member::required("log_vkeys", some(&Shape::Line), "the keys that sign the log's heads").open(),
    Member::required("members", some(&Shape::Object(MEMBER)), "the founding members").open(),
    Member::required("rules", Shape::Map(&REQUIREMENTS), "who must sign which kind").open(),
    Member::required("governance", REQUIREMENTS, "who must sign a change of the charter").open(),
    Member::required("deadlines", list(&Shape::Object(DEADLINE)), "what is due when").open(),
    Member::required("limits", Shape::Object(LIMITS), "how far times may differ").open(),
    Member::required("policy", POLICY, "the witnesses and their quorum (tlog-policy)").open(),
    Member::optional("binding", BINDING, "roles whose references bind others' records").open(),
]);

const POLICY: Shape = Shape::Text;

/// By relation (`amends`, `supersedes`, `retracts`, or `series`): the roles that may bind records
/// of other issuers.
const BINDING: Shape = Shape::Map(&some(&Shape::Line));

const REQUIREMENTS: Shape = some(&Shape::Object(REQUIREMENT));

const REQUIREMENT: &[Member] = &[
    Member::required("role", ROLES_HINT, "the role that signs"),
    Member::required("members", Shape::Integer { min: 1, max: 64 }, "how many members of it"),
];

const MEMBER: &[Member] = &[
    Member::required("name", Shape::Name, "the member's name"),
    Member::required("roles", list(&Shape::Object(ROLE)), "what it may do"),
    Member::required("keys", some(&Shape::Object(KEY)), "its keys"),
    Member::optional("node", Shape::Uri, "its node's address"),
];

const ROLE: &[Member] = &[
    Member::required("role", ROLES_HINT, "the role"),
    Member::optional("from", Shape::Time, "the first second in which it holds"),
    Member::optional("until", Shape::Time, "the first second in which it no longer holds"),
];

const KEY: &[Member] = &[
    Member::required("vkey", Shape::Line, "the verifier key"),
    Member::required("use", KEY_USE, "what it signs"),
    Member::optional("from", Shape::Time, "the first second in which it is valid"),
    Member::optional("until", Shape::Time, "the first second in which it no longer is"),
];

const KEY_USE: Shape = Shape::OneOf(&["record", "log", "witness", "mirror", "node"]);

const ALLOWED: Shape = some(&Shape::Text);

const DEADLINE: &[Member] = &[
    Member::required("name", Shape::Line, "its name"),
    Member::required("clock", Shape::Line, "the time it runs from, like incident.aware_at"),
    Member::required("when", Shape::Map(&ALLOWED), "members and values that start it"),
    Member::required("within", Shape::Duration, "how long"),
    Member::required("satisfied_by", Shape::Map(&ALLOWED), "members and values that meet it"),
];

const LIMITS: &[Member] = &[
    Member::optional("issued_at", Shape::Duration, "how late after issued_at an entry may be"),
    Member::optional("max_gap", Shape::Duration, "how late after an entry a head may be seen"),
];

/// `membership`: members come, go and change, all changes at once or none.
pub const MEMBERSHIP: KindDef = kind(&[
    Member::required("base", Shape::Digest, "the statement id of the latest governance entry")
        .open(),
    Member::required("changes", some(&MEMBERSHIP_CHANGE), "what changes, in order").open(),
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

const WHO: Member = Member::required("member", Shape::Name, "the member's name");
const WHY: Member = Member::optional("reason", Shape::Text, "why");

const ADMIT: &[Member] = &[
    WHO,
    Member::required("roles", list(&Shape::Object(ROLE)), "what it may do"),
    Member::required("keys", some(&Shape::Object(KEY)), "its keys"),
    Member::optional("node", Shape::Uri, "its node's address"),
    WHY,
];

const STANDING: &[Member] = &[WHO, WHY];

const ASSIGN_ROLE: &[Member] = &[
    WHO,
    Member::required("role", ROLES_HINT, "the role"),
    Member::optional("from", Shape::Time, "the first second in which it holds"),
    Member::optional("until", Shape::Time, "the first second in which it no longer holds"),
    WHY,
];

const END_ROLE: &[Member] = &[WHO, Member::required("role", ROLES_HINT, "the role"), WHY];

const ADD_KEY: &[Member] = &[
    WHO,
    Member::required("vkey", Shape::Line, "the verifier key"),
    Member::required("use", KEY_USE, "what it signs"),
    Member::optional("from", Shape::Time, "the first second in which it is valid"),
    Member::optional("until", Shape::Time, "the first second in which it no longer is"),
    WHY,
];

const REVOKE_KEY: &[Member] =
    &[WHO, Member::required("vkey", Shape::Line, "the verifier key"), WHY];

const SET_NODE: &[Member] = &[
    WHO,
    Member::optional("node", Shape::Uri, "its node's address; without it the member has none"),
    WHY,
];

const SANCTION: &[Member] = &[
    WHO,
    Member::required("measure", Shape::Text, "what is imposed, which changes no right"),
    WHY,
];

/// `norm`: what the consortium agreed on, and what of it the log enforces.
pub const NORM: KindDef = KindDef {
    members: &[
        Member::required("base", Shape::Digest, "the statement id of the latest governance entry")
            .open(),
        Member::required("version", Shape::Line, "the norm's own version").open(),
        Member::required("effective_from", Shape::Time, "since when it holds").open(),
        Member::optional("text", Shape::Text, "the norm itself").open(),
        Member::optional(
            "text_sha256",
            Shape::Digest,
            "SHA-256 of the norm's text, kept elsewhere",
        )
        .open(),
        Member::required("changes", list(&NORM_CHANGE), "what the log enforces of it").open(),
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

const SET_RULE: &[Member] = &[
    Member::required("kind", Shape::Line, "the kind of record"),
    Member::required("requirements", REQUIREMENTS, "who must sign it"),
];

const REMOVE_RULE: &[Member] = &[Member::required("kind", Shape::Line, "the kind of record")];

const SET_GOVERNANCE: &[Member] =
    &[Member::required("requirements", REQUIREMENTS, "who must sign a change of the charter")];

const SET_DEADLINES: &[Member] =
    &[Member::required("deadlines", list(&Shape::Object(DEADLINE)), "what is due when")];

const SET_ENUMERATION: &[Member] = &[
    Member::required("name", Shape::Line, "the open list, like incident.harm_types"),
    Member::required("words", TEXTS, "the words that it suggests from now on"),
];

const SET_BINDING: &[Member] = &[Member::required("binding", BINDING, "roles by relation")];

const SET_POLICY: &[Member] =
    &[Member::required("policy", POLICY, "the witnesses and their quorum (tlog-policy)")];

const LOG_KEY: &[Member] = &[Member::required("vkey", Shape::Line, "the log's verifier key")];
