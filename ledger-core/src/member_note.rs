//! Notes that one member signs and that no log holds: what requests and declines have in common.
//!
//! Their text is a first line of its own kind and then lines of a name, a space and a value, each
//! once, in a fixed order.

use crate::Hint;
use crate::charter::{Charter, KeyReach, KeyUse, Member, MemberKey, Rejection};
#[cfg(feature = "sign")]
use crate::note::{Algorithm, SignerKey};
use crate::note::{Note, ParseNoteError, Signature};

/// Bytes that such a note may have: an origin, a reason and one signature line have ample room.
pub const MAX_MEMBER_NOTE_BYTES: usize = 4096;

/// Why bytes are not such a note, or why nobody is known to have signed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberNoteError {
    /// More than [`MAX_MEMBER_NOTE_BYTES`].
    #[error("the note has {0} bytes; at most {MAX_MEMBER_NOTE_BYTES} are allowed")]
    TooLong(usize),
    /// Not a signed note.
    #[error("not a signed note: {0}")]
    Note(#[from] ParseNoteError),
    /// The text does not begin with the first line of its kind.
    #[error("the first line is not {0:?}")]
    FirstLine(&'static str),
    /// A line is missing, misspelt or out of place.
    #[error("line {line} is not `{name}`, a space and a value")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What it should begin with.
        name: &'static str,
    },
    /// There is text after the last line.
    #[error("line {0} is one too many")]
    MoreLines(usize),
    /// Not exactly one signature line.
    #[error("{0} keys have signed the note; it takes exactly one")]
    NotOneSignature(usize),
    /// The charter does not know the key.
    #[error("key {name:?} with id {id} is not in the charter")]
    UnknownKey {
        /// The key's name.
        name: String,
        /// The key's id.
        id: String,
    },
    /// The key signs other things.
    #[error("key {name:?} is for use {usage:?}, not for what members sign")]
    WrongUse {
        /// The key's name.
        name: String,
        /// What the charter lets it sign.
        usage: &'static str,
    },
    /// The key or its member may not sign now.
    #[error(transparent)]
    MayNotSign(#[from] Rejection),
    /// The signature does not verify.
    #[error("the signature of {0:?} does not verify")]
    BadSignature(String),
    /// A key that signs checkpoints was asked to sign.
    #[error("key {0:?} is a cosigner's, which signs checkpoints and nothing else")]
    CosignerKey(String),
}

impl MemberNoteError {
    /// Whether the note is sound, but not by somebody who may speak for a member.
    pub fn is_about_the_signer(&self) -> bool {
        matches!(
            self,
            MemberNoteError::UnknownKey { .. }
                | MemberNoteError::WrongUse { .. }
                | MemberNoteError::MayNotSign(_)
                | MemberNoteError::BadSignature(_)
        )
    }
}

impl Hint for MemberNoteError {
    fn hint(&self) -> &'static str {
        match self {
            MemberNoteError::TooLong(_) => "shorten it",
            MemberNoteError::Note(_)
            | MemberNoteError::FirstLine(_)
            | MemberNoteError::Line { .. }
            | MemberNoteError::MoreLines(_) => "docs/cosigning.md shows how the note is written",
            MemberNoteError::NotOneSignature(_) => "sign it with one key of the member that asks",
            MemberNoteError::UnknownKey { .. } => "sign with a key that the charter lists",
            MemberNoteError::WrongUse { .. } | MemberNoteError::CosignerKey(_) => {
                "sign with a member's key of use record"
            }
            MemberNoteError::MayNotSign(rejection) => rejection.hint(),
            MemberNoteError::BadSignature(_) => "the note was changed after it was signed",
        }
    }
}

/// Reads a note of these lines, and gives their values.
pub(crate) fn read<const N: usize>(
    bytes: &[u8],
    first_line: &'static str,
    names: [&'static str; N],
) -> Result<(Note, [String; N]), MemberNoteError> {
    if bytes.len() > MAX_MEMBER_NOTE_BYTES {
        return Err(MemberNoteError::TooLong(bytes.len()));
    }
    let note = Note::parse(bytes)?;
    let values = values(note.text(), first_line, names)?;
    Ok((note, values))
}

/// The values of a text of these lines.
pub(crate) fn values<const N: usize>(
    text: &str,
    first_line: &'static str,
    names: [&'static str; N],
) -> Result<[String; N], MemberNoteError> {
    // the text ends with a newline: what follows it is no line
    let mut lines = text.strip_suffix('\n').unwrap_or_default().split('\n');
    if lines.next() != Some(first_line) {
        return Err(MemberNoteError::FirstLine(first_line));
    }
    let mut values = std::array::from_fn(|_| String::new());
    for (at, (name, value)) in names.into_iter().zip(&mut values).enumerate() {
        let read = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let found = read.filter(|found| !found.is_empty());
        *value = found.ok_or(MemberNoteError::Line { line: at + 2, name })?.to_owned();
    }
    match lines.next() {
        None => Ok(values),
        Some(_) => Err(MemberNoteError::MoreLines(N + 2)),
    }
}

/// Prints the text that [`read`] reads.
pub(crate) fn print<'a>(
    first_line: &str,
    lines: impl IntoIterator<Item = (&'static str, &'a str)>,
) -> String {
    let mut text = format!("{first_line}\n");
    for (name, value) in lines {
        text.extend([name, " ", value, "\n"]);
    }
    text
}

/// The member whose record key signed the note alone, and what that key may sign at `time`.
pub(crate) fn signer<'a>(
    note: &Note,
    charter: &'a Charter,
    time: u64,
) -> Result<(&'a Member, KeyReach), MemberNoteError> {
    let [line] = note.signatures() else {
        return Err(MemberNoteError::NotOneSignature(note.signatures().len()));
    };
    let (member, key) = verify_line(note, line, charter)?;
    Ok((member, charter.reach(key, time)?))
}

/// As [`signer`], for what no revoked key may say: whoever stole it could.
pub(crate) fn speaker<'a>(
    note: &Note,
    charter: &'a Charter,
    time: u64,
) -> Result<(&'a Member, KeyReach), MemberNoteError> {
    let (member, reach) = signer(note, charter, time)?;
    let mut keys = note.signatures().iter().filter_map(|line| charter.signer(line));
    match keys.next() {
        Some((_, key)) if reach == KeyReach::Replacement => Err(charter.refusal(key, time).into()),
        _ => Ok((member, reach)),
    }
}

/// The member and the record key that signed a note with this line.
pub(crate) fn verify_line<'a>(
    note: &Note,
    line: &Signature,
    charter: &'a Charter,
) -> Result<(&'a Member, &'a MemberKey), MemberNoteError> {
    let name = || line.name().to_string();
    let Some((member, key)) = charter.signer(line) else {
        return Err(MemberNoteError::UnknownKey { name: name(), id: line.id().to_string() });
    };
    if key.usage() != KeyUse::Record {
        return Err(MemberNoteError::WrongUse { name: name(), usage: key.usage().as_str() });
    }
    match key.key().verify(note.text().as_bytes(), line.bytes()) {
        true => Ok((member, key)),
        false => Err(MemberNoteError::BadSignature(name())),
    }
}

/// The text, signed by one key.
#[cfg(feature = "sign")]
pub(crate) fn sign(text: &str, key: &SignerKey) -> Result<Note, MemberNoteError> {
    match key.verifier().algorithm() {
        Algorithm::Ed25519 => Ok(Note::new(text, vec![key.sign_text(text)])?),
        _ => Err(MemberNoteError::CosignerKey(key.verifier().name().to_string())),
    }
}

/// A consortium for the tests of what members sign.
#[cfg(all(test, feature = "sign"))]
pub(crate) mod tests {
    use crate::charter::{Charter, CharterDraft};
    use crate::index::LeafIndex;
    use crate::note::{SignerKey, VerifierKey};
    use crate::record::tests::{ISSUED, signer};
    use crate::record::{Draft, Entry, Logged, Object, RecordId, Value};

    pub(crate) const ORIGIN: &str = "ledger.example/2026";

    pub(crate) fn log() -> SignerKey {
        signer(ORIGIN, 100)
    }

    pub(crate) fn lab() -> SignerKey {
        signer("lab.example", 1)
    }

    pub(crate) fn partner() -> SignerKey {
        signer("partner.example/board", 2)
    }

    pub(crate) fn watch() -> SignerKey {
        signer("watch.example", 3)
    }

    /// A key that the charter lists for the lab's node.
    pub(crate) fn node() -> SignerKey {
        signer("lab.example/node", 4)
    }

    /// Two publishers and a reviewer; decisions need all three.
    pub(crate) fn charter() -> Charter {
        let vkey = |key: SignerKey| -> VerifierKey { key.verifier().clone() };
        let draft = CharterDraft::new("Example Consortium", vkey(log()))
            .member("lab.example", vkey(lab()), ["publisher", "steward"])
            .member("lab.example", vkey(node()), [])
            .member("partner.example", vkey(partner()), ["publisher", "steward"])
            .member("watch.example", vkey(watch()), ["reviewer"])
            .draft(RecordId::from_parts(ISSUED * 1000, [7; 10]), ISSUED)
            .expect("sound");
        let requirement = |role: &str, members: i64| {
            Object::new().with("role", role).with("members", Value::Integer(members))
        };
        let rule = vec![requirement("publisher", 2), requirement("reviewer", 1)];
        let rules = Object::new().with("decision", rule);
        let vkey = node().verifier().to_string();
        let json = draft.body().clone().with("rules", rules).to_pretty_json();
        // the second key of the lab is its node's
        let (before, after) = json.split_once(&vkey).expect("it is listed");
        let json = format!("{before}{vkey}{}", after.replacen("record", "node", 1));
        let record = Draft::parse(&json).expect("shapes hold");
        let record = record.sign(&[&lab(), &partner(), &watch()]).expect("signed");
        let logged = Logged { time: ISSUED, governance: LeafIndex::ZERO };
        Charter::found(&Entry::new(logged, record)).expect("lawful")
    }
}
