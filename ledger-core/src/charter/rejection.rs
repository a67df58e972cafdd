//! Why a charter refuses a record.

use crate::Hint;
use crate::index::LeafIndex;
use crate::policy::ParsePolicyError;
use crate::record::{Kind, MAX_TIME, StatementId, format_time};

use super::Member;

/// The rule that a record breaks, or why this version cannot judge it.
///
/// Everything but [`Rejection::is_not_supported`] is a verdict that every auditor reaches from the
/// same bytes. [`Rejection::WrongGovernance`] is the log's fault, the others are the signers'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The first entry is of another kind.
    #[error("the first entry of a log is a charter, not a record of kind {0}")]
    NotACharter(Kind),
    /// A charter after the first entry.
    #[error("a charter stands only at index 0, this one at {0}")]
    CharterAgain(LeafIndex),
    /// A record of another kind was to be admitted at index 0.
    #[error("index 0 belongs to the charter")]
    IndexZero,
    /// A record was to be judged by a governance entry that does not stand before it.
    #[error("entry {index} does not stand behind governance entry {governance}")]
    NotBehind {
        /// The record's place.
        index: LeafIndex,
        /// The entry that the rules come from.
        governance: LeafIndex,
    },
    /// A rule of the charter's own members.
    #[error("the charter's `{path}` {problem}")]
    Charter {
        /// The member, like `members[2].keys[0].vkey`.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The policy does not fit the charter that carries it.
    #[error("`{path}` {problem}")]
    Policy {
        /// The member, like `changes[2].policy`.
        path: String,
        /// What is wrong with it.
        problem: PolicyProblem,
    },
    /// A key of the charter has a signature type that a later version may know.
    #[error("the charter's `{path}` is a key of type 0x{byte:02x}, not supported by this version")]
    KeyType {
        /// The key's place.
        path: String,
        /// Its type.
        byte: u8,
    },
    /// A founding member has not signed.
    #[error("founding member {0:?} has not signed the charter")]
    FounderMissing(String),
    /// The record is meant for another log.
    #[error("the record is meant for the log {found:?}, not for {expected:?}")]
    WrongLog {
        /// The charter's origin.
        expected: String,
        /// The record's.
        found: String,
    },
    /// The `logged` line names another governance entry than the latest.
    #[error("the logged line names governance entry {found}, but the latest is {expected}")]
    WrongGovernance {
        /// The latest governance entry before the record.
        expected: LeafIndex,
        /// What the line names.
        found: LeafIndex,
    },
    /// The record claims to be issued later than the log's clock allows.
    #[error(
        "issued_at {} lies more than {} minutes after the log's time {}",
        shown(*issued_at), super::EARLY_SECONDS / 60, shown(*logged)
    )]
    IssuedTooLate {
        /// When the issuer says it wrote the record.
        issued_at: u64,
        /// The log's time.
        logged: u64,
    },
    /// The record was issued too long ago.
    #[error(
        "issued_at {} lies more than {} before the log's time {}",
        shown(*issued_at), span(*limit), shown(*logged)
    )]
    IssuedTooEarly {
        /// When the issuer says it wrote the record.
        issued_at: u64,
        /// The log's time.
        logged: u64,
        /// The charter's limit, in seconds.
        limit: u64,
    },
    /// A signature line names a key that the charter does not know.
    #[error("key {name:?} with id {id} on signature line {line} is not in the charter")]
    UnknownKey {
        /// The line, counted from 1.
        line: usize,
        /// The key's name.
        name: String,
        /// The key's id.
        id: String,
    },
    /// A signature line names a key that signs other things.
    #[error("key {name:?} on signature line {line} is for use {usage:?}, not for records")]
    WrongUse {
        /// The line, counted from 1.
        line: usize,
        /// The key's name.
        name: String,
        /// What the charter lets it sign.
        usage: &'static str,
    },
    /// A signature does not verify.
    #[error("the signature of {name:?} on line {line} does not verify")]
    BadSignature {
        /// The line, counted from 1.
        line: usize,
        /// The key's name.
        name: String,
    },
    /// A key was not valid when the record was logged.
    #[error("key {name:?} was not valid at {}", shown(*at))]
    KeyNotValid {
        /// The key's name.
        name: String,
        /// The log's time.
        at: u64,
    },
    /// A key was revoked before the record.
    #[error("key {name:?} was revoked by entry {at}")]
    KeyRevoked {
        /// The key's name.
        name: String,
        /// The governance entry.
        at: LeafIndex,
    },
    /// A member may not sign now, or no longer.
    #[error("member {name:?} was {how} by entry {at}")]
    NotInGoodStanding {
        /// The member.
        name: String,
        /// `suspended`, `expelled` or `withdrawn`.
        how: &'static str,
        /// The governance entry.
        at: LeafIndex,
    },
    /// A governance record was made for another state of the charter.
    #[error("base is {found}, but the latest governance statement is {expected}")]
    WrongBase {
        /// The latest governance statement.
        expected: StatementId,
        /// What the record names.
        found: String,
    },
    /// One of a governance record's changes cannot be made.
    #[error("`{path}` {problem}")]
    Change {
        /// The member, like `changes[2].vkey`.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A norm that changes rules is logged before it is in effect.
    #[error(
        "the norm changes rules from {} on, which lies after the log's time {}",
        shown(*effective_from), shown(*logged)
    )]
    NotYetEffective {
        /// Since when the norm holds.
        effective_from: u64,
        /// The log's time.
        logged: u64,
    },
    /// After the change nobody could change the charter any more.
    #[error(
        "after this change {left} member(s) with role {role:?} could sign, and a change needs {needed}"
    )]
    Deadlock {
        /// The role.
        role: String,
        /// How many members a change asks for.
        needed: u64,
        /// How many would be left.
        left: u64,
    },
    /// The issuer is no member.
    #[error("issuer {0:?} is not a member")]
    UnknownIssuer(String),
    /// No key of the issuer has signed.
    #[error("no key of the issuer {0:?} is among the signatures")]
    IssuerMissing(String),
    /// A key that `signers` names has not signed.
    #[error("`signers` asks for {0:?}, which has not signed")]
    SignerMissing(String),
    /// The charter has no rule for the kind.
    #[error("the charter has no rule for records of kind {0}")]
    NoRule(Kind),
    /// Too few members of a role have signed.
    #[error("records of kind {kind} need {needed} member(s) with role {role:?}; {found} signed")]
    TooFew {
        /// The record's kind.
        kind: Kind,
        /// The role.
        role: String,
        /// How many members the rule asks for.
        needed: u64,
        /// How many have signed.
        found: u64,
    },
}

impl Rejection {
    pub(super) fn not_in_good_standing(member: &Member) -> Rejection {
        let (name, standing) = (member.name().to_owned(), member.standing());
        let at = standing.since().unwrap_or(LeafIndex::ZERO);
        Rejection::NotInGoodStanding { name, how: standing.as_str(), at }
    }

    /// Whether a later version may admit the record: an auditor says "cannot judge", never
    /// "unlawful".
    pub fn is_not_supported(&self) -> bool {
        matches!(self, Rejection::KeyType { .. })
    }
}

impl Hint for Rejection {
    fn hint(&self) -> &'static str {
        match self {
            Rejection::NotACharter(_) => "found the log with a record made by `ledger charter new`",
            Rejection::CharterAgain(_) | Rejection::IndexZero => {
                "a log has one charter, its first entry; `membership` and `norm` change it"
            }
            Rejection::Policy { problem, .. } => problem.hint(),
            Rejection::Charter { .. } => "mend the charter's JSON and let every founder sign again",
            Rejection::FounderMissing(_) => {
                "let every founding member sign: ledger record sign CHARTER.record --key FILE"
            }
            Rejection::WrongLog { .. } => "write a new record with this log's origin in `log`",
            Rejection::WrongGovernance { .. } | Rejection::NotBehind { .. } => {
                "keep the entry: it shows that the log misbehaved"
            }
            Rejection::IssuedTooLate { .. } => "check the clock of the machine that wrote it",
            Rejection::IssuedTooEarly { .. } => "write the record again with a fresh `issued_at`",
            Rejection::UnknownKey { .. } => "sign with a key that the charter lists",
            Rejection::WrongUse { .. } => "sign with a member's key of use record",
            Rejection::BadSignature { .. } => {
                "the text was changed after it was signed; sign again"
            }
            Rejection::KeyNotValid { .. } => "sign with a key that is valid now",
            Rejection::UnknownIssuer(_) => "`issuer` is a member's name as the charter writes it",
            Rejection::IssuerMissing(_) => "let the issuer sign with a key of its own",
            Rejection::SignerMissing(_) => "gather the missing signature before submitting",
            Rejection::NoRule(_) => "the charter must say first who may sign this kind",
            Rejection::TooFew { .. } => "let more members that hold the role sign",
            Rejection::KeyRevoked { .. } => "sign with a key that is in force",
            Rejection::NotInGoodStanding { .. } => "only members in good standing sign",
            Rejection::WrongBase { .. } => {
                "another change came first: write the record anew with the base that is named here"
            }
            Rejection::Change { .. } => "mend the change and let everybody sign again",
            Rejection::NotYetEffective { .. } => {
                "submit it again from that time on, or log the text now and the changes then"
            }
            Rejection::Deadlock { .. } => {
                "give the role or a key to somebody else first, or lower the threshold with it"
            }
            Rejection::KeyType { .. } => "use a newer version of this program",
        }
    }
}

fn shown(seconds: u64) -> String {
    if seconds > MAX_TIME { format!("{seconds} s") } else { format_time(seconds) }
}

fn span(seconds: u64) -> String {
    match seconds {
        days if days % 86_400 == 0 => format!("{} day(s)", days / 86_400),
        hours if hours % 3_600 == 0 => format!("{} hour(s)", hours / 3_600),
        seconds => format!("{seconds} second(s)"),
    }
}

/// Different witnesses that a policy and the policy before it may have together: a checkpoint has
/// 64 lines, of which two are for keys of the log and two for keys of a mirror.
pub const MAX_POLICY_WITNESSES: usize = 60;

/// Why a policy does not fit the charter that carries it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// The text is no policy.
    #[error("is no policy: {0}")]
    Unreadable(ParsePolicyError),
    /// A log key in force is left out.
    #[error("does not list the log key {0}, which is in force")]
    LogKeyMissing(String),
    /// A key that it lists for the log is none, or is retired.
    #[error("lists {0}, which is no log key in force")]
    LogKeyUnknown(String),
    /// A witness's public key is one of the charter's other keys.
    #[error("has the witness {witness}, whose public key is that of the {usage} key {key}")]
    WitnessHasOtherUse {
        /// The witness's verifier key.
        witness: String,
        /// What the charter lists the public key for.
        usage: &'static str,
        /// The charter's verifier key.
        key: String,
    },
    /// Another key of the charter or of a policy has a witness's name and key id.
    #[error("has the witness {0}, which shares its name and key id with another key")]
    SharedKeyId(String),
    /// A checkpoint has no room for the cosignatures of this policy and the one before it.
    #[error(
        "has {0} different witnesses together with the policy before it; a checkpoint has room for \
         {MAX_POLICY_WITNESSES}"
    )]
    TooManyWitnesses(usize),
}

impl Hint for PolicyProblem {
    fn hint(&self) -> &'static str {
        match self {
            PolicyProblem::Unreadable(_) => {
                "a policy has lines `log VKEY`, `witness NAME VKEY`, `group ...`, `quorum NAME`"
            }
            PolicyProblem::LogKeyMissing(_) | PolicyProblem::LogKeyUnknown(_) => {
                "list exactly the log keys in force after the record, one `log VKEY` line each; a \
                 record that adds or retires one needs a `set_policy` too"
            }
            PolicyProblem::WitnessHasOtherUse { .. } => {
                "let the witness make a key that is used for nothing else: ledger keygen --use \
                 witness"
            }
            PolicyProblem::SharedKeyId(_) => {
                "let the witness make another key, or use another name"
            }
            PolicyProblem::TooManyWitnesses(_) => {
                "leave witnesses out, or replace them in several steps"
            }
        }
    }
}
