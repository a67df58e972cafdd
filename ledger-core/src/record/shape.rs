//! What a member may hold: shapes as data, which `validate` checks.
//!
//! The tables of kinds and the envelope are made of these. Whatever describes the format elsewhere
//! (prompts, JSON Schema, documentation) reads the same tables.

use super::rule::Check;

/// The word that stands for any member that nobody knows yet, where the kind allows it.
pub const UNKNOWN: &str = "unknown";

/// Languages that one map may hold; more are another record that `translates`.
pub const MAX_LANGUAGES: usize = 64;

/// What a value must be. Closed: the checker knows each.
#[derive(Debug)]
pub enum Shape {
    /// Any value, kept and shown as it is.
    Any,
    /// A text that is not blank.
    Text,
    /// A text that is not blank, on one line.
    Line,
    /// Texts by BCP 47 language tag: `{"en": "...", "fr": "..."}`, not empty.
    LanguageMap,
    /// One of these words and no other.
    OneOf(&'static [&'static str]),
    /// One of these words or another on one line, which is kept and shown as unknown.
    Suggested(&'static [&'static str]),
    /// A list of at least `min` values of one shape.
    List {
        /// What each value must be.
        of: &'static Shape,
        /// The fewest values.
        min: usize,
    },
    /// An object with these members; unknown ones are kept.
    Object(&'static [MemberDef]),
    /// An object whose other members depend on the word of one; unknown ones are kept.
    Tagged {
        /// The member that holds the word.
        tag: &'static str,
        /// The words, and the members that each brings.
        variants: &'static [(&'static str, &'static [MemberDef])],
    },
    /// An object of any names, whose values have one shape.
    Map(&'static Shape),
    /// A whole number.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// `true` or `false`.
    Bool,
    /// RFC 3339 in UTC to the second: `2026-01-31T09:30:00Z`.
    Time,
    /// A day, `2026-01-31`, or a [`Shape::Time`].
    DateOrTime,
    /// `P<n>D`, `PT<n>H`, `PT<n>M` or `PT<n>S`.
    Duration,
    /// SHA-256 in 64 lower-case hex digits.
    Digest,
    /// A UUID of version 7 in lower case.
    RecordId,
    /// A name as a key may have it, such as an origin or a member's name.
    Name,
    /// A position in a log.
    LeafIndex,
    /// An absolute URI of printable ASCII.
    Uri,
    /// A short code.
    Code {
        /// The same test as a regular expression, for schemas.
        regex: &'static str,
        /// Whether a text is such a code.
        test: fn(&str) -> bool,
        /// What it is and an example, for messages: `a country like FR (ISO 3166-1)`.
        like: &'static str,
    },
}

/// One member of an object.
#[derive(Debug)]
pub struct MemberDef {
    /// The name in JSON.
    pub name: &'static str,
    /// Whether a record without it is refused.
    pub presence: Presence,
    /// What it holds.
    pub shape: Shape,
    /// Whether it may be replaced by a digest.
    pub sealing: Sealing,
    /// What it says, in a short clause for prompts and schemas.
    pub about: &'static str,
}

/// Whether a member must be there. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// A record without it is refused.
    Required,
    /// A record may leave it out.
    Optional,
}

/// Whether a member may be sealed. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// A digest may stand for it.
    Sealable,
    /// It stands in the open, because rules or readers depend on it.
    Open,
}

/// A kind's members beyond the envelope, and the rules between them.
#[derive(Debug)]
pub struct KindDef {
    /// The members.
    pub members: &'static [MemberDef],
    /// The member and value that let every other member of the kind be [`UNKNOWN`].
    pub unknown_when: Option<(&'static str, &'static str)>,
    /// What must hold between members, once each has its shape.
    pub checks: &'static [Check],
}

impl MemberDef {
    /// A member that must be there.
    pub const fn required(name: &'static str, shape: Shape, about: &'static str) -> MemberDef {
        MemberDef { name, presence: Presence::Required, shape, sealing: Sealing::Sealable, about }
    }

    /// A member that may be left out.
    pub const fn optional(name: &'static str, shape: Shape, about: &'static str) -> MemberDef {
        MemberDef { name, presence: Presence::Optional, shape, sealing: Sealing::Sealable, about }
    }

    /// The same member, never sealed.
    pub const fn open(self) -> MemberDef {
        MemberDef { sealing: Sealing::Open, ..self }
    }

    /// Whether a record without it is refused.
    pub fn is_required(&self) -> bool {
        self.presence == Presence::Required
    }
}

impl Shape {
    /// How such a value is written, for a `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            Shape::Any => "write any JSON value",
            Shape::Text => "write a text in quotes, not blank",
            Shape::Line => "write a text in quotes, not blank, on one line",
            Shape::LanguageMap => "write texts by language, like {\"en\": \"...\"}",
            Shape::OneOf(_) => "write one of the listed words",
            Shape::Suggested(_) => "write a word in quotes",
            Shape::List { .. } => "write a list, like [...]",
            Shape::Object(_) | Shape::Tagged { .. } | Shape::Map(_) => {
                "write an object, like {...}"
            }
            Shape::Integer { .. } => "write a whole number without quotes",
            Shape::Bool => "write true or false without quotes",
            Shape::Time => "write UTC to the second, like 2026-01-31T09:30:00Z",
            Shape::DateOrTime => "write a day, like 2026-01-31, or a time in UTC",
            Shape::Duration => "write one whole unit, like P30D, PT12H, PT90M or PT5S",
            Shape::Digest => "write SHA-256 in 64 lower-case hex digits",
            Shape::RecordId => "write a UUID of version 7 in lower case",
            Shape::Name => "write a name without spaces, '+' and control characters",
            Shape::LeafIndex => "write an entry's position, counted from 0, without quotes",
            Shape::Uri => "write an absolute address, like https://example.org/x",
            Shape::Code { like, .. } => like,
        }
    }
}
