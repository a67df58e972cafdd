//! `ledger-decline/v1`: a member's signed refusal to sign a draft, with its reason.
//!
//! ```text
//! ledger-decline/v1
//! origin ledger.example/2026
//! statement 953ff734c9d974200abc9b7a691655a09eb592ee7461615a0680e138cb22d9b4
//! reason the second finding names a person
//! ```

use crate::Hint;
use crate::charter::Charter;
use crate::checkpoint::Origin;
use crate::member_note::{self, MemberNoteError};
use crate::note::Note;
#[cfg(feature = "sign")]
use crate::note::SignerKey;
use crate::record::StatementId;

/// The first line of every decline's text, without its newline.
pub const FIRST_LINE: &str = "ledger-decline/v1";

/// Bytes a reason may have: a paragraph. Whoever has more to say writes a record.
pub const MAX_REASON_BYTES: usize = 2000;

const LINES: [&str; 3] = ["origin", "statement", "reason"];

/// What a decline says: which draft is not signed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decline {
    origin: Origin,
    statement: StatementId,
    reason: String,
}

/// A decline with its signature, not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedDecline {
    note: Note,
    decline: Decline,
}

/// Why a decline is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclineError {
    /// Not a note of the right lines, or not signed by a member.
    #[error("the decline: {0}")]
    Note(#[from] MemberNoteError),
    /// The origin is one that no log may have.
    #[error("the decline's origin is empty or reserved for other signed texts")]
    Origin,
    /// The statement id is not one.
    #[error("the decline's statement is {0:?}, not 64 lower-case hex digits")]
    Statement(String),
    /// The reason is empty, blank, too long or not one line of text.
    #[error("a reason is one line of 1 to {MAX_REASON_BYTES} bytes without control characters")]
    Reason,
    /// It is meant for another log.
    #[error("the decline is meant for the log {found:?}, not for {expected:?}")]
    OtherLog {
        /// The log's origin.
        expected: String,
        /// The decline's.
        found: String,
    },
}

impl Decline {
    /// A refusal to sign the draft with this statement id.
    ///
    /// # Errors
    /// [`DeclineError::Reason`].
    pub fn new(
        origin: Origin,
        statement: StatementId,
        reason: &str,
    ) -> Result<Decline, DeclineError> {
        let sound = reason.len() <= MAX_REASON_BYTES
            && !reason.trim().is_empty()
            && !reason.chars().any(char::is_control);
        if !sound {
            return Err(DeclineError::Reason);
        }
        Ok(Decline { origin, statement, reason: reason.to_owned() })
    }

    /// The draft that is not signed.
    pub fn statement(&self) -> StatementId {
        self.statement
    }

    /// Why not.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The text to be signed.
    pub fn text(&self) -> String {
        let statement = self.statement.to_string();
        let values = [self.origin.as_str(), &statement, &self.reason];
        member_note::print(FIRST_LINE, LINES.into_iter().zip(values))
    }

    /// The decline, signed by a member's record key: the note as it is sent and kept.
    ///
    /// # Errors
    /// [`MemberNoteError::CosignerKey`].
    #[cfg(feature = "sign")]
    pub fn sign(&self, key: &SignerKey) -> Result<Note, MemberNoteError> {
        member_note::sign(&self.text(), key)
    }
}

impl ClaimedDecline {
    /// Reads a decline.
    ///
    /// # Errors
    /// [`DeclineError`] names the line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<ClaimedDecline, DeclineError> {
        let (note, [origin, statement, reason]) = member_note::read(bytes, FIRST_LINE, LINES)?;
        let origin = Origin::new(&origin).map_err(|_| DeclineError::Origin)?;
        let id = StatementId::from_hex(&statement);
        let id = id.map_err(|_| DeclineError::Statement(statement))?;
        Ok(ClaimedDecline { decline: Decline::new(origin, id, &reason)?, note })
    }

    /// What it says; nobody is known to have said it.
    pub fn decline(&self) -> &Decline {
        &self.decline
    }

    /// The signed note.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The member of `charter` that declines, by a record key that may sign at `time` in POSIX
    /// seconds. A key that was revoked declines nothing.
    ///
    /// # Errors
    /// [`DeclineError::OtherLog`], and [`DeclineError::Note`] for the signature.
    pub fn verify<'a>(&self, charter: &'a Charter, time: u64) -> Result<&'a str, DeclineError> {
        let origin = self.decline.origin.as_str();
        if origin != charter.origin() {
            let (expected, found) = (charter.origin().to_owned(), origin.to_owned());
            return Err(DeclineError::OtherLog { expected, found });
        }
        let (member, _) = member_note::speaker(&self.note, charter, time)?;
        Ok(member.name())
    }
}

impl DeclineError {
    /// Whether the decline is sound, but not by somebody who may decline here.
    pub fn is_about_the_signer(&self) -> bool {
        match self {
            DeclineError::Note(error) => error.is_about_the_signer(),
            DeclineError::OtherLog { .. } => true,
            _ => false,
        }
    }
}

impl Hint for DeclineError {
    fn hint(&self) -> &'static str {
        match self {
            DeclineError::Note(error) => error.hint(),
            DeclineError::Origin | DeclineError::Statement(_) => {
                "docs/cosigning.md shows how a decline is written"
            }
            DeclineError::Reason => "say in one sentence why you do not sign",
            DeclineError::OtherLog { .. } => "send it to the node of the log that it names",
        }
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::member_note::tests::{ORIGIN, charter, lab};
    use crate::record::RESERVED_FIRST_LINES;
    use crate::record::tests::{ISSUED, signer};

    fn origin() -> Origin {
        Origin::new(ORIGIN).expect("an origin")
    }

    #[test]
    fn a_members_decline_is_taken_and_prints_back() {
        assert!(RESERVED_FIRST_LINES.contains(&FIRST_LINE));
        let statement = StatementId::of_text("a record");
        let decline = Decline::new(origin(), statement, "finding 2 names a person");
        let decline = decline.expect("a reason");
        assert_eq!(
            decline.text(),
            format!(
                "ledger-decline/v1\norigin {ORIGIN}\nstatement {statement}\nreason finding 2 names \
                 a person\n"
            )
        );
        let note = decline.sign(&lab()).expect("a record key").to_string();
        let claimed = ClaimedDecline::parse(note.as_bytes()).expect("own text");
        assert_eq!(claimed.decline(), &decline);
        assert_eq!(claimed.note().to_string(), note);
        assert_eq!(claimed.verify(&charter(), ISSUED), Ok("lab.example"));
    }

    #[test]
    fn declines_by_strangers_for_other_logs_or_without_reason_are_refused() {
        let statement = StatementId::of_text("a record");
        let new = |origin, reason: &str| Decline::new(origin, statement, reason);
        for reason in ["", "  ", "two\nlines", "a\u{85}b", &"x".repeat(MAX_REASON_BYTES + 1)] {
            assert_eq!(new(origin(), reason), Err(DeclineError::Reason), "{reason:?}");
        }
        assert!(new(origin(), &"x".repeat(MAX_REASON_BYTES)).is_ok());
        let refused = |decline: Decline, key: &SignerKey| {
            let note = decline.sign(key).expect("it signs").to_string();
            let claimed = ClaimedDecline::parse(note.as_bytes()).expect("well formed");
            claimed.verify(&charter(), ISSUED).expect_err("refused")
        };
        let stranger = signer("lab.example", 77);
        let error = refused(new(origin(), "no").expect("a reason"), &stranger);
        assert!(error.is_about_the_signer() && !error.hint().is_empty(), "{error}");
        let other = Origin::new("other.example/1").expect("an origin");
        let error = refused(new(other, "no").expect("a reason"), &lab());
        assert!(matches!(error, DeclineError::OtherLog { .. }));
        let text =
            new(origin(), "no").expect("a reason").text().replace("statement ", "statement x");
        let note = Note::new(&text, vec![lab().sign_text(&text)]).expect("a note").to_string();
        let error = ClaimedDecline::parse(note.as_bytes()).expect_err("no statement id");
        assert!(matches!(error, DeclineError::Statement(_)));
    }
}
