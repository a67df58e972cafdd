//! Rules between members of one record, as data beside the tables.
//!
//! `validate_rules` checks them once every member has its shape. A rule about an absent member does
//! not apply: the table says which members are required, and a sealed member cannot be checked.

/// A rule between members, and what to do where it is broken.
#[derive(Debug)]
pub struct Check {
    /// What must hold.
    pub rule: Rule,
    /// What to do about it, for a `hint:` line.
    pub hint: &'static str,
}

/// What must hold between members of a record. Closed: the checker and the schema know each.
#[derive(Debug)]
pub enum Rule {
    /// `refs` holds one with this relation.
    NeedsRef {
        /// The relation.
        rel: &'static str,
        /// The member and word that ask for it; without them it is always asked for.
        when: Option<(&'static str, &'static str)>,
    },
    /// A member is not this word.
    NotWord {
        /// The member.
        member: &'static str,
        /// The word that it must not be.
        word: &'static str,
        /// The member and word that forbid it.
        when: (&'static str, &'static str),
    },
    /// One date or time is not later than another; a day counts from its first to its last second.
    InOrder {
        /// The earlier one.
        first: &'static str,
        /// The later one.
        then: &'static str,
    },
    /// A time is at most 10 minutes later than `issued_at`.
    NotAhead {
        /// The member.
        member: &'static str,
    },
    /// No two objects of a list have the same text in a member.
    Unique {
        /// The list.
        list: &'static str,
        /// The member of its objects.
        by: &'static str,
    },
    /// One or more of these members are there.
    AtLeastOne(&'static [&'static str; 2]),
    /// One of these members is there, and not the other.
    ExactlyOne(&'static [&'static str; 2]),
}
