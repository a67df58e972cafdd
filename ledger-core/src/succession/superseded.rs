//! Why the newest rules refuse a succession that its own rules allow.

use std::fmt;

use crate::charter::{GovernanceState, Rejection};
use crate::index::LeafIndex;

use super::{ClaimedSuccession, KnownLog, SuccessionError};

/// What has changed since a succession was signed. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupersededBy {
    /// A governance entry, in words.
    Entry {
        /// Where it stands.
        index: LeafIndex,
        /// What it did, like `entry 52 expelled "b.example"`.
        did: String,
    },
    /// The term of a key or of a member's role ended.
    Term(String),
}

impl fmt::Display for SupersededBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SupersededBy::Entry { did, .. } => f.write_str(did),
            SupersededBy::Term(name) => write!(f, "the term of {name:?} ended"),
        }
    }
}

/// Names the entry that refuses the signers from then on, or the term that ended before it.
pub(super) fn explain(
    note: &ClaimedSuccession,
    known: &KnownLog,
    at: u64,
    newest: SuccessionError,
) -> SuccessionError {
    let size = note.succession().head().size;
    let named = known.state_at(size).index();
    let states = known.governance().states().iter().filter(|state| state.index() >= named);
    let states: Vec<_> = states.collect();
    let last_good = states.iter().rposition(|state| note.decided(state.charter(), at).is_ok());
    let changed = last_good.and_then(|good| states.get(good + 1));
    let (state, why) = match changed {
        Some(state) => (*state, note.decided(state.charter(), at).err().unwrap_or(newest)),
        None => match (entry_of(&newest), ended(note, known, at)) {
            (None, Some(name)) => {
                let (by, why) = (SupersededBy::Term(name), Box::new(newest));
                return SuccessionError::Superseded { by, why };
            }
            _ => (known.newest(), newest),
        },
    };
    let index = entry_of(&why).unwrap_or(state.index());
    let by = SupersededBy::Entry { index, did: did(note, state, &why) };
    SuccessionError::Superseded { by, why: Box::new(why) }
}

/// The entry that a refusal itself names.
fn entry_of(why: &SuccessionError) -> Option<LeafIndex> {
    match why {
        SuccessionError::MayNotSign(
            Rejection::KeyRevoked { at, .. } | Rejection::NotInGoodStanding { at, .. },
        ) => Some(*at),
        _ => None,
    }
}

fn did(note: &ClaimedSuccession, state: &GovernanceState, why: &SuccessionError) -> String {
    let left = |name: &str, how: &str, at: LeafIndex| match how {
        "withdrawn" => format!("{name:?} withdrew by entry {at}"),
        how => format!("entry {at} {how} {name:?}"),
    };
    match why {
        SuccessionError::MayNotSign(Rejection::KeyRevoked { name, at }) => {
            // the keys of a member that leaves are revoked with it
            let mut lines = note.note().signatures().iter();
            let line = lines.find(|line| line.name().as_str() == name);
            let member = line.and_then(|line| state.charter().signer(line)).map(|(own, _)| own);
            match member.filter(|own| own.standing().since() == Some(*at)) {
                Some(own) => left(own.name(), own.standing().as_str(), *at),
                None => format!("entry {at} revoked the key {name:?}"),
            }
        }
        SuccessionError::MayNotSign(Rejection::NotInGoodStanding { name, how, at }) => {
            left(name, how, *at)
        }
        why => format!("since entry {} {why}", state.index()),
    }
}

/// The first signer whose key or role is known by the state it signed under, and has ended.
fn ended(note: &ClaimedSuccession, known: &KnownLog, at: u64) -> Option<String> {
    let charter = known.state_at(note.succession().head().size).charter();
    note.note().signatures().iter().find_map(|line| {
        let (member, key) = charter.signer(line)?;
        let is_over = |until: Option<u64>| until.is_some_and(|until| until <= at);
        if is_over(key.term().until()) {
            return Some(key.key().name().to_string());
        }
        let decides = |role: &str| charter.governance().iter().any(|own| own.role() == role);
        let roles = member.roles().iter();
        let mut over = roles.filter(|own| decides(own.role()) && is_over(own.term().until()));
        over.next().map(|_| member.name().to_owned())
    })
}
