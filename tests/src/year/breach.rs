//! What can be wrong with a record, in the simulation's own words.

use ledger_core::charter::{JudgeError, Rejection};
use ledger_core::lawful::Unlawful;
use ledger_core::record::Object;

/// A rule that a record breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breach {
    /// A signature is not over this text.
    BadSignature,
    /// Nobody of the consortium has the key.
    UnknownKey,
    /// The key signs other things.
    WrongUse,
    /// The key was revoked, or its member has left.
    KeyRevoked,
    /// The key's term has not begun, or is over.
    KeyNotValid,
    /// The member is suspended, or has left.
    Standing,
    /// The record is for another log.
    WrongLog,
    /// A charter that is not the first entry.
    CharterAgain,
    /// Issued too long ago, or in the future.
    Window,
    /// The log's line names another governance entry than the latest.
    WrongGovernance,
    /// A change that was written for another state of the rules.
    StaleBase,
    /// The issuer has not signed, or is nobody.
    Issuer,
    /// Somebody whom the record names has not signed.
    SignerMissing,
    /// There is no rule for the kind.
    NoRule,
    /// Too few members of a role have signed.
    TooFew,
    /// A change that cannot be made.
    Change,
    /// A change before its time.
    NotYetEffective,
    /// A change after which nobody could make another.
    Deadlock,
}

impl Breach {
    /// All of them.
    pub const ALL: [Breach; 18] = [
        Breach::BadSignature,
        Breach::UnknownKey,
        Breach::WrongUse,
        Breach::KeyRevoked,
        Breach::KeyNotValid,
        Breach::Standing,
        Breach::WrongLog,
        Breach::CharterAgain,
        Breach::Window,
        Breach::WrongGovernance,
        Breach::StaleBase,
        Breach::Issuer,
        Breach::SignerMissing,
        Breach::NoRule,
        Breach::TooFew,
        Breach::Change,
        Breach::NotYetEffective,
        Breach::Deadlock,
    ];

    /// What the core calls the same.
    ///
    /// # Panics
    /// For a rejection that nothing in a simulated year can bring about.
    pub fn of(error: &JudgeError) -> Breach {
        let rejection = match error {
            JudgeError::Unlawful(Unlawful::Refused(rejection)) => rejection,
            other => panic!("no attempt of a year leads to this: {other}"),
        };
        match rejection {
            Rejection::BadSignature { .. } => Breach::BadSignature,
            Rejection::UnknownKey { .. } => Breach::UnknownKey,
            Rejection::WrongUse { .. } => Breach::WrongUse,
            Rejection::KeyRevoked { .. } => Breach::KeyRevoked,
            Rejection::KeyNotValid { .. } => Breach::KeyNotValid,
            Rejection::NotInGoodStanding { .. } => Breach::Standing,
            Rejection::WrongLog { .. } => Breach::WrongLog,
            Rejection::CharterAgain(_) => Breach::CharterAgain,
            Rejection::IssuedTooLate { .. } | Rejection::IssuedTooEarly { .. } => Breach::Window,
            Rejection::WrongGovernance { .. } => Breach::WrongGovernance,
            Rejection::WrongBase { .. } => Breach::StaleBase,
            Rejection::UnknownIssuer(_) | Rejection::IssuerMissing(_) => Breach::Issuer,
            Rejection::SignerMissing(_) => Breach::SignerMissing,
            Rejection::NoRule(_) => Breach::NoRule,
            Rejection::TooFew { .. } => Breach::TooFew,
            Rejection::Change { .. } => Breach::Change,
            Rejection::NotYetEffective { .. } => Breach::NotYetEffective,
            Rejection::Deadlock { .. } => Breach::Deadlock,
            other => panic!("no attempt of a year leads to this: {other}"),
        }
    }

    /// Words of the message with which the rule is named to people.
    pub fn words(self) -> &'static str {
        match self {
            Breach::BadSignature => "does not verify",
            Breach::UnknownKey => "is not in the charter",
            Breach::WrongUse => "not for records",
            Breach::KeyRevoked => "was revoked by entry",
            Breach::KeyNotValid => "was not valid at",
            Breach::Standing => "was suspended by entry",
            Breach::WrongLog => "meant for the log",
            Breach::CharterAgain => "a charter stands only at index 0",
            Breach::Window => "issued_at",
            Breach::WrongGovernance => "the logged line names governance entry",
            Breach::StaleBase => "but the latest governance statement is",
            Breach::Issuer => "issuer",
            Breach::SignerMissing => "`signers` asks for",
            Breach::NoRule => "has no rule for records of kind",
            Breach::TooFew => "member(s) with role",
            Breach::Change => "`changes[",
            Breach::NotYetEffective => "changes rules from",
            Breach::Deadlock => "after this change",
        }
    }
}

/// A record on its way to the log, as the simulation judges it.
#[derive(Debug)]
pub struct Offer<'a> {
    /// What it says.
    pub body: &'a Object,
    /// The verifier keys that signed.
    pub vkeys: Vec<String>,
    /// Whether the text was changed after it was signed.
    pub altered: bool,
    /// The log's time.
    pub time: u64,
}
