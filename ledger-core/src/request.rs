//! `ledger-request/v1`: a member's signed request to a node.
//!
//! Whoever asks for something that only members may see or do signs a short note. It names the log,
//! what is asked for, the digest of what is sent along, a number that is used once, and when the
//! request ends. [`ClaimedRequest::verify`] checks all of it but the number, which whoever is asked
//! must remember until the request has ended.
//!
//! ```text
//! ledger-request/v1
//! origin ledger.example/2026
//! method Withdraw
//! body 7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069
//! nonce 00112233445566778899aabbccddeeff
//! expires 2026-11-23T11:28:20Z
//! ```

use std::fmt;

use crate::Hint;
use crate::charter::{Charter, KeyReach};
use crate::checkpoint::Origin;
use crate::hash::{Hash, decode_hex};
use crate::member_note::{self, MemberNoteError};
use crate::note::Note;
#[cfg(feature = "sign")]
use crate::note::SignerKey;
use crate::record::{StatementId, format_time, parse_time};

/// The first line of every request's text, without its newline.
pub const FIRST_LINE: &str = "ledger-request/v1";

/// How far ahead a request may end, in seconds. Nonces are remembered so long, and clocks may
/// differ by what a client leaves of it.
pub const MAX_LIFETIME: u64 = 600;

const LINES: [&str; 5] = ["origin", "method", "body", "nonce", "expires"];

/// What a member asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Lay a draft out for others to sign.
    Propose,
    /// See the drafts that wait.
    ListPending,
    /// Add a signature to a draft.
    Cosign,
    /// Refuse to sign a draft.
    Decline,
    /// Take a draft back.
    Withdraw,
}

/// What is asked for, with all that is sent along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call<'a> {
    /// Lay a record out that lacks signatures: its body is the record file.
    Propose {
        /// The record file.
        record: &'a [u8],
    },
    /// See all drafts that wait, whose body is empty, or one, whose body is its statement id.
    ListPending {
        /// The one draft.
        statement: Option<StatementId>,
    },
    /// Add a signature: the body is the statement id and the signature line.
    Cosign {
        /// The draft.
        statement: StatementId,
        /// The line as it will stand in the record, with its newline.
        signature: &'a str,
    },
    /// Refuse to sign: the body is the decline's note.
    Decline {
        /// The note's bytes.
        note: &'a [u8],
    },
    /// Take a draft back: the body is its statement id.
    Withdraw {
        /// The draft.
        statement: StatementId,
    },
}

/// A number that is used once: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce([u8; 16]);

/// What a request says. Nobody is known to have said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    origin: Origin,
    method: Method,
    body: Hash,
    nonce: Nonce,
    expires: u64,
}

/// A request with its signature, not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRequest {
    note: Note,
    request: Request,
}

/// A request that a member signed, for this log, this call and this time.
///
/// Only [`ClaimedRequest::verify`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRequest {
    member: String,
    reach: KeyReach,
    nonce: Nonce,
    expires: u64,
}

/// Why a request is not acted upon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not a note of the right lines, or not signed by a member.
    #[error("the request: {0}")]
    Note(#[from] MemberNoteError),
    /// The origin is one that no log may have.
    #[error("the request's origin is empty or reserved for other signed texts")]
    Origin,
    /// A method that this version does not know.
    #[error("the request's method {0:?} is not known")]
    UnknownMethod(String),
    /// The body's digest is not one.
    #[error("the request's body is {0:?}, not 64 lower-case hex digits")]
    BodyDigest(String),
    /// The nonce is not one.
    #[error("the request's nonce is {0:?}, not 32 lower-case hex digits")]
    Nonce(String),
    /// The end is not a time.
    #[error("the request ends at {0:?}, which is no time like 2026-11-23T11:28:20Z")]
    Expires(String),
    /// It is meant for another log.
    #[error("the request is meant for the log {found:?}, not for {expected:?}")]
    OtherLog {
        /// The log's origin.
        expected: String,
        /// The request's.
        found: String,
    },
    /// It asks for something else than what it was sent for.
    #[error("the request is for {found}, but it was sent for {expected}")]
    OtherMethod {
        /// What it was sent for.
        expected: Method,
        /// What it says.
        found: Method,
    },
    /// What was sent along is not what was signed.
    #[error("the request was signed for another body: its digest is {found}, not {expected}")]
    OtherBody {
        /// The digest of what was sent along.
        expected: Hash,
        /// The digest that was signed.
        found: Hash,
    },
    /// Its time is over.
    #[error("the request ended at {}; it is {}", format_time(*expires), format_time(*time))]
    Expired {
        /// When it ended, in POSIX seconds.
        expires: u64,
        /// The time it was judged at.
        time: u64,
    },
    /// It would hold for too long.
    #[error(
        "the request ends at {}, more than {} minutes after {}",
        format_time(*expires), MAX_LIFETIME / 60, format_time(*time)
    )]
    TooLong {
        /// When it ends, in POSIX seconds.
        expires: u64,
        /// The time it was judged at.
        time: u64,
    },
}

impl Method {
    /// Every method of this version.
    pub const ALL: [Method; 5] =
        [Method::Propose, Method::ListPending, Method::Cosign, Method::Decline, Method::Withdraw];

    /// The word that requests use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Propose => "Propose",
            Method::ListPending => "ListPending",
            Method::Cosign => "Cosign",
            Method::Decline => "Decline",
            Method::Withdraw => "Withdraw",
        }
    }

    /// The method of a word, exactly as [`Method::as_str`] writes it.
    pub fn parse(word: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.as_str() == word)
    }
}

impl Call<'_> {
    /// The call's method.
    pub const fn method(&self) -> Method {
        match self {
            Call::Propose { .. } => Method::Propose,
            Call::ListPending { .. } => Method::ListPending,
            Call::Cosign { .. } => Method::Cosign,
            Call::Decline { .. } => Method::Decline,
            Call::Withdraw { .. } => Method::Withdraw,
        }
    }

    /// What the request's digest is taken of: the files themselves, and for a statement id its 64
    /// hex digits and a newline. No wire format takes part.
    pub fn body(&self) -> Vec<u8> {
        match self {
            Call::Propose { record } => record.to_vec(),
            Call::ListPending { statement: None } => Vec::new(),
            Call::ListPending { statement: Some(statement) } | Call::Withdraw { statement } => {
                format!("{statement}\n").into_bytes()
            }
            Call::Cosign { statement, signature } => format!("{statement}\n{signature}").into(),
            Call::Decline { note } => note.to_vec(),
        }
    }

    /// SHA-256 of [`Call::body`].
    pub fn digest(&self) -> Hash {
        Hash::digest(&self.body())
    }
}

impl Nonce {
    /// Takes 16 bytes, which must come from a cryptographic random source.
    pub const fn from_bytes(bytes: [u8; 16]) -> Nonce {
        Nonce(bytes)
    }

    /// Reads 32 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Nonce> {
        let mut bytes = [0; 16];
        decode_hex(text, &mut bytes)?;
        Some(Nonce(bytes))
    }
}

impl Request {
    /// A request for a call, until `expires` in POSIX seconds.
    pub fn new(origin: Origin, call: &Call<'_>, nonce: Nonce, expires: u64) -> Request {
        let (method, body) = (call.method(), call.digest());
        Request { origin, method, body, nonce, expires }
    }

    /// The text to be signed.
    pub fn text(&self) -> String {
        let (body, nonce) = (self.body.to_string(), self.nonce.to_string());
        let values =
            [self.origin.as_str(), self.method.as_str(), &body, &nonce, &format_time(self.expires)];
        member_note::print(FIRST_LINE, LINES.into_iter().zip(values))
    }

    /// The request, signed by a member's record key: the note as it is sent.
    ///
    /// # Errors
    /// [`MemberNoteError::CosignerKey`].
    #[cfg(feature = "sign")]
    pub fn sign(&self, key: &SignerKey) -> Result<Note, MemberNoteError> {
        member_note::sign(&self.text(), key)
    }
}

impl ClaimedRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// [`RequestError`] names the line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<ClaimedRequest, RequestError> {
        let (note, [origin, method, body, nonce, expires]) =
            member_note::read(bytes, FIRST_LINE, LINES)?;
        let request = Request {
            origin: Origin::new(&origin).map_err(|_| RequestError::Origin)?,
            method: Method::parse(&method).ok_or(RequestError::UnknownMethod(method))?,
            body: Hash::from_hex(&body).map_err(|_| RequestError::BodyDigest(body))?,
            nonce: Nonce::parse(&nonce).ok_or(RequestError::Nonce(nonce))?,
            expires: parse_time(&expires).ok_or(RequestError::Expires(expires))?,
        };
        Ok(ClaimedRequest { note, request })
    }

    /// Checks that a member of `charter` asks for exactly this `call`, at `time` in POSIX seconds.
    ///
    /// That its nonce was not used before is for the caller to see to.
    ///
    /// # Errors
    /// [`RequestError`] for another log, method or body, a time that is over or too far, a key that
    /// is unknown, of another use or may sign nothing now, and a signature that does not verify. A
    /// key that was revoked and may still sign its replacement neither declines nor withdraws.
    pub fn verify(
        &self,
        charter: &Charter,
        call: &Call<'_>,
        time: u64,
    ) -> Result<MemberRequest, RequestError> {
        let Request { origin, method, body, nonce, expires } = &self.request;
        let (nonce, expires) = (*nonce, *expires);
        if origin.as_str() != charter.origin() {
            let (expected, found) = (charter.origin().to_owned(), origin.to_string());
            return Err(RequestError::OtherLog { expected, found });
        }
        if *method != call.method() {
            return Err(RequestError::OtherMethod { expected: call.method(), found: *method });
        }
        let digest = call.digest();
        if *body != digest {
            return Err(RequestError::OtherBody { expected: digest, found: *body });
        }
        if expires <= time {
            return Err(RequestError::Expired { expires, time });
        }
        if expires > time.saturating_add(MAX_LIFETIME) {
            return Err(RequestError::TooLong { expires, time });
        }
        let (member, reach) = match method {
            Method::Decline | Method::Withdraw => member_note::speaker(&self.note, charter, time)?,
            _ => member_note::signer(&self.note, charter, time)?,
        };
        Ok(MemberRequest { member: member.name().to_owned(), reach, nonce, expires })
    }
}

impl MemberRequest {
    /// The member that asks.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// What the key that asks may sign: short of [`KeyReach::Full`] it is shown only what concerns it.
    pub fn reach(&self) -> KeyReach {
        self.reach
    }

    /// The number that must not be used again before [`MemberRequest::expires`].
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// When the request ends, in POSIX seconds.
    pub fn expires(&self) -> u64 {
        self.expires
    }
}

impl RequestError {
    /// Whether the request is sound, but not by somebody who may ask for it here and now.
    pub fn is_about_the_asker(&self) -> bool {
        match self {
            RequestError::Note(error) => error.is_about_the_signer(),
            RequestError::OtherLog { .. }
            | RequestError::OtherMethod { .. }
            | RequestError::OtherBody { .. }
            | RequestError::Expired { .. }
            | RequestError::TooLong { .. } => true,
            _ => false,
        }
    }
}

impl Hint for RequestError {
    fn hint(&self) -> &'static str {
        match self {
            RequestError::Note(error) => error.hint(),
            RequestError::Origin
            | RequestError::BodyDigest(_)
            | RequestError::Nonce(_)
            | RequestError::Expires(_) => "docs/cosigning.md shows how a request is written",
            RequestError::UnknownMethod(_) => "a newer version may know it",
            RequestError::OtherLog { .. } => "ask the node of the log that the request names",
            RequestError::OtherMethod { .. } | RequestError::OtherBody { .. } => {
                "sign a request for exactly what is sent"
            }
            RequestError::Expired { .. } => {
                "sign a new request; if that is refused too, compare the clocks"
            }
            RequestError::TooLong { .. } => "let it end in five minutes, and compare the clocks",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}

/// The word names no Method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the word for a method of a request")]
pub struct ParseMethodError;

impl std::str::FromStr for Method {
    type Err = ParseMethodError;

    fn from_str(text: &str) -> Result<Method, ParseMethodError> {
        Method::parse(text).ok_or(ParseMethodError)
    }
}

/// The text is no nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a nonce: 32 lower-case hex digits")]
pub struct ParseNonceError;

impl std::str::FromStr for Nonce {
    type Err = ParseNonceError;

    fn from_str(text: &str) -> Result<Nonce, ParseNonceError> {
        Nonce::parse(text).ok_or(ParseNonceError)
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::member_note::tests::{ORIGIN, charter, lab, log, node, partner};
    use crate::record::RESERVED_FIRST_LINES;
    use crate::record::tests::{ISSUED, signer};

    const RECORD: Call<'_> = Call::Propose { record: b"a record" };

    fn request(expires: u64) -> Request {
        let origin = Origin::new(ORIGIN).expect("an origin");
        Request::new(origin, &RECORD, Nonce::from_bytes([0xab; 16]), expires)
    }

    fn signed(text: &str) -> Vec<u8> {
        Note::new(text, vec![lab().sign_text(text)]).expect("a note").to_string().into_bytes()
    }

    fn verify(bytes: &[u8], call: &Call<'_>) -> Result<MemberRequest, RequestError> {
        ClaimedRequest::parse(bytes)?.verify(&charter(), call, ISSUED)
    }

    #[test]
    fn a_members_request_for_this_call_and_time_is_taken() {
        assert!(RESERVED_FIRST_LINES.contains(&FIRST_LINE));
        for expires in [ISSUED + 1, ISSUED + MAX_LIFETIME] {
            let note = request(expires).sign(&lab()).expect("a record key");
            let taken = verify(note.to_string().as_bytes(), &RECORD).expect("a member's");
            assert_eq!((taken.member(), taken.expires()), ("lab.example", expires));
            assert_eq!(taken.nonce().to_string(), "ab".repeat(16));
            let labelled = request(expires).sign(&partner()).expect("a record key");
            let taken = verify(labelled.to_string().as_bytes(), &RECORD).expect("a member's");
            assert_eq!(taken.member(), "partner.example");
        }
        let text = request(ISSUED + 60).text();
        let body = Hash::digest(b"a record");
        assert_eq!(
            text,
            format!(
                "ledger-request/v1\norigin {ORIGIN}\nmethod Propose\nbody {body}\nnonce {}\n\
                 expires 2026-11-23T11:24:20Z\n",
                "ab".repeat(16)
            )
        );
    }

    #[test]
    fn requests_for_anything_else_are_refused() {
        let note = request(ISSUED + 60).sign(&lab()).expect("a record key").to_string();
        let refused = |call: &Call<'_>| verify(note.as_bytes(), call).expect_err("refused");
        let other = Call::Propose { record: b"another" };
        assert!(matches!(refused(&other), RequestError::OtherBody { .. }));
        // the same bytes under another method
        let decline = Call::Decline { note: b"a record" };
        assert!(matches!(refused(&decline), RequestError::OtherMethod { .. }));
        for (expires, expired) in [(ISSUED, true), (ISSUED + MAX_LIFETIME + 1, false)] {
            let note = request(expires).sign(&lab()).expect("a record key").to_string();
            let error = verify(note.as_bytes(), &RECORD).expect_err("not now");
            assert_eq!(matches!(error, RequestError::Expired { .. }), expired);
            assert_eq!(matches!(error, RequestError::TooLong { .. }), !expired);
        }
        let origin = Origin::new("other.example/1").expect("an origin");
        let other = Request::new(origin, &RECORD, Nonce::from_bytes([1; 16]), ISSUED + 60);
        let note = other.sign(&lab()).expect("a record key").to_string();
        let error = verify(note.as_bytes(), &RECORD).expect_err("another log's");
        assert!(matches!(error, RequestError::OtherLog { .. }) && error.is_about_the_asker());
    }

    #[test]
    fn only_one_known_record_key_speaks_for_a_member() {
        let refused = |note: &str| match verify(note.as_bytes(), &RECORD) {
            Err(RequestError::Note(error)) => error,
            other => panic!("{other:?}"),
        };
        let request = request(ISSUED + 60);
        let by = |key: &SignerKey| request.sign(key).expect("it signs texts").to_string();
        let stranger = refused(&by(&signer("lab.example", 77)));
        assert!(matches!(stranger, MemberNoteError::UnknownKey { .. }));
        // the log's own key is listed, but as no member's
        assert!(matches!(refused(&by(&log())), MemberNoteError::UnknownKey { .. }));
        let wrong_use = refused(&by(&node()));
        assert!(matches!(wrong_use, MemberNoteError::WrongUse { usage: "node", .. }));
        let altered = by(&lab()).replace("nonce ab", "nonce ba");
        assert_eq!(refused(&altered), MemberNoteError::BadSignature("lab.example".into()));
        let lines = vec![lab().sign_text(&request.text()), partner().sign_text(&request.text())];
        let two = Note::new(&request.text(), lines).expect("a note").to_string();
        assert_eq!(refused(&two), MemberNoteError::NotOneSignature(2));
    }

    #[test]
    fn requests_are_read_strictly() {
        use MemberNoteError as Lines;
        let good = request(ISSUED + 60).text();
        assert!(ClaimedRequest::parse(&signed(&good)).is_ok());
        let cases: Vec<(String, RequestError)> = vec![
            (good.replace("request/v1", "request/v2"), Lines::FirstLine(FIRST_LINE).into()),
            (good.replace("request/v1", "decline/v1"), Lines::FirstLine(FIRST_LINE).into()),
            (good.replace("origin ", "Origin "), Lines::Line { line: 2, name: "origin" }.into()),
            (good.replace("method P", "method  P"), RequestError::UnknownMethod(" Propose".into())),
            (good.replace("Propose", "propose"), RequestError::UnknownMethod("propose".into())),
            (good.replace("nonce ", "nonce\u{a0}"), Lines::Line { line: 5, name: "nonce" }.into()),
            (good.replace("abab\n", "abaB\n"), RequestError::Nonce("ab".repeat(15) + "aB")),
            (good.replace("abab\n", "ab\n"), RequestError::Nonce("ab".repeat(15))),
            (
                good.replace(":20Z", ":20.0Z"),
                RequestError::Expires("2026-11-23T11:24:20.0Z".into()),
            ),
            (format!("{good}more x\n"), Lines::MoreLines(7).into()),
            (format!("{good}\n"), Lines::MoreLines(7).into()),
            (good.replace(ORIGIN, FIRST_LINE), RequestError::Origin),
            (good.replace(ORIGIN, &"x".repeat(5000)), Lines::TooLong(5289).into()),
        ];
        for (text, error) in cases {
            assert_eq!(ClaimedRequest::parse(&signed(&text)), Err(error.clone()), "{text:.300}");
            assert!(!error.hint().is_empty());
        }
        assert!(ClaimedRequest::parse(good.as_bytes()).is_err(), "it is not signed");
    }

    #[test]
    fn every_method_has_one_word_and_bodies_are_plain_bytes() {
        for method in Method::ALL {
            assert_eq!(Method::parse(method.as_str()), Some(method));
        }
        let statement = StatementId::of_text("x");
        let all = Call::ListPending { statement: None };
        assert_eq!((all.method(), all.body()), (Method::ListPending, vec![]));
        let one = Call::ListPending { statement: Some(statement) };
        assert_eq!(one.body(), format!("{statement}\n").into_bytes());
        let cosign = Call::Cosign { statement, signature: "line\n" };
        assert_eq!(cosign.body(), format!("{statement}\nline\n").into_bytes());
    }
}
