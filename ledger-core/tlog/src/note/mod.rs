//! C2SP signed notes: a text that people read, and lines that say who signed it.
//!
//! A [`Note`] is only well formed. Who signed it is decided by the caller's keys, with
//! [`VerifierKey::verify`](crate::note::VerifierKey::verify).
//!
//! ```
//! use tlog::note::Note;
//!
//! let file = "what is signed\n\n\u{2014} signer.example AAAAAAE=\n";
//! let note = Note::parse(file.as_bytes()).expect("well formed");
//! assert_eq!(note.text(), "what is signed\n");
//! assert_eq!(note.signatures()[0].name().as_str(), "signer.example");
//! ```

#[cfg(feature = "count-checks")]
pub mod checked;
mod key;
#[cfg(feature = "ml-dsa")]
mod ml_dsa;
#[cfg(feature = "sign")]
mod sign;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::heap::block;

pub use key::{Algorithm, KeyId, KeyName, MAX_KEY_NAME, ParseKeyError, PublicKey, VerifierKey};
#[cfg(feature = "sign")]
pub use sign::SignerKey;

/// Bytes a note may have: room for 64 post-quantum signatures and a record of 65,000 bytes.
pub const MAX_NOTE_BYTES: usize = 512 * 1024;

/// Signature lines a note may have. The specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 64;

const LINE_START: &str = "\u{2014} ";

/// A well-formed signed note: text, then one or more signature lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// One signature line: who claims to have signed, and the signature's bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    name: KeyName,
    id: KeyId,
    bytes: Vec<u8>,
}

/// Why bytes are not a signed note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseNoteError {
    /// More than [`MAX_NOTE_BYTES`].
    #[error("a note has at most {MAX_NOTE_BYTES} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("a note is UTF-8; the byte at offset {0} is not")]
    NotUtf8(usize),
    /// A control character other than a newline.
    #[error("control character U+{character:04X} on line {line}; a note allows only newlines")]
    Control {
        /// The character's number.
        character: u32,
        /// The line, counted from 1.
        line: usize,
    },
    /// There is no blank line between text and signatures, or the text is empty.
    #[error("no text followed by a blank line and signature lines")]
    NoSignatures,
    /// A line after the blank line is not a signature line.
    #[error("signature line {0} is not \"\u{2014} <key name> <base64>\"")]
    BadSignatureLine(usize),
    /// More than [`MAX_SIGNATURES`].
    #[error("a note has at most {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// The text does not end in a newline, so it cannot be a note's.
    #[error("a note's text ends with a newline")]
    TextWithoutNewline,
}

impl Note {
    /// Reads a note. The text keeps its final newline; the blank line belongs to neither part.
    ///
    /// # Errors
    /// [`ParseNoteError`] says which rule the bytes break.
    // SPEC signed-note/format
    pub fn parse(bytes: &[u8]) -> Result<Note, ParseNoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(ParseNoteError::TooLong);
        }
        let whole =
            std::str::from_utf8(bytes).map_err(|e| ParseNoteError::NotUtf8(e.valid_up_to()))?;
        check_controls(whole)?;
        // SPEC signed-note/format: the text is separated from the signatures by the last empty line
        let split = whole.rfind("\n\n").ok_or(ParseNoteError::NoSignatures)?;
        let (text, lines) = (&whole[..=split], &whole[split + 2..]);
        if text == "\n" || lines.is_empty() {
            return Err(ParseNoteError::NoSignatures);
        }
        let signatures = Signature::parse_lines(lines)?;
        Ok(Note { text: text.to_owned(), signatures })
    }

    /// Puts a text and signatures together.
    ///
    /// # Errors
    /// The same as for [`Note::parse`] of what it would print.
    pub fn new(text: &str, signatures: Vec<Signature>) -> Result<Note, ParseNoteError> {
        if !text.ends_with('\n') {
            return Err(ParseNoteError::TextWithoutNewline);
        }
        check_controls(text)?;
        if signatures.is_empty() || text == "\n" {
            return Err(ParseNoteError::NoSignatures);
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(ParseNoteError::TooManySignatures);
        }
        if let Some(at) = signatures.iter().position(|signature| signature.bytes.is_empty()) {
            return Err(ParseNoteError::BadSignatureLine(at + 1));
        }
        let note = Note { text: text.to_owned(), signatures };
        if note.to_string().len() > MAX_NOTE_BYTES {
            return Err(ParseNoteError::TooLong);
        }
        Ok(note)
    }

    /// The signed text, with its final newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The heap bytes that the note takes, for limits on memory; see [`heap`](crate::heap).
    pub fn heap_bytes(&self) -> usize {
        let of_line =
            |line: &Signature| block(line.name.as_str().len()) + block(line.bytes.capacity());
        let lines: usize = self.signatures.iter().map(of_line).sum();
        let list = self.signatures.capacity() * size_of::<Signature>();
        block(self.text.capacity()) + block(list) + lines
    }

    /// The signature lines in their order.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

impl fmt::Display for Note {
    /// Prints the note: the bytes that [`Note::parse`] read, to the letter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

impl Signature {
    /// Makes a signature line from its parts.
    pub fn new(name: KeyName, id: KeyId, bytes: Vec<u8>) -> Signature {
        Signature { name, id, bytes }
    }

    /// Reads one or more whole signature lines, as a witness answers them.
    ///
    /// # Errors
    /// [`ParseNoteError::BadSignatureLine`] or [`ParseNoteError::TooManySignatures`].
    pub fn parse_lines(lines: &str) -> Result<Vec<Signature>, ParseNoteError> {
        let mut signatures = Vec::new();
        for (at, line) in lines.split_inclusive('\n').enumerate() {
            if at == MAX_SIGNATURES {
                return Err(ParseNoteError::TooManySignatures);
            }
            let parsed = line.strip_suffix('\n').and_then(Signature::parse_line);
            signatures.push(parsed.ok_or(ParseNoteError::BadSignatureLine(at + 1))?);
        }
        Ok(signatures)
    }

    /// The key's name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's short identifier.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What follows the key id: the signature in the shape of its algorithm.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the line names `key`; it may still fail to verify.
    pub fn is_by(&self, key: &VerifierKey) -> bool {
        self.id == key.id() && self.name == *key.name()
    }

    fn parse_line(line: &str) -> Option<Signature> {
        let (name, data) = line.strip_prefix(LINE_START)?.split_once(' ')?;
        let data = STANDARD.decode(data).ok()?;
        let (id, bytes) = data.split_first_chunk::<4>()?;
        if bytes.is_empty() {
            return None;
        }
        Some(Signature {
            name: KeyName::new(name).ok()?,
            id: KeyId::from_bytes(*id),
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for Signature {
    /// Prints the whole line, with its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = [self.id.as_bytes().as_slice(), &self.bytes].concat();
        writeln!(f, "{LINE_START}{} {}", self.name, STANDARD.encode(data))
    }
}

// SPEC signed-note/format: no ASCII control characters below U+0020 other than newline
fn check_controls(text: &str) -> Result<(), ParseNoteError> {
    match text.bytes().position(|byte| byte < 0x20 && byte != b'\n') {
        None => Ok(()),
        Some(at) => Err(ParseNoteError::Control {
            character: u32::from(text.as_bytes()[at]),
            line: 1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn example_of_the_specification_verifies_and_prints_back() {
        let note = Note::parse(NOTE.as_bytes()).expect("example");
        let key: VerifierKey = KEY.parse().expect("key");
        assert!(note.signatures()[0].is_by(&key));
        assert!(key.verify(note.text().as_bytes(), note.signatures()[0].bytes()));
        assert!(!key.verify(b"This is another message.\n", note.signatures()[0].bytes()));
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(Note::new(note.text(), note.signatures().to_vec()), Ok(note));
    }

    #[test]
    fn text_ends_at_the_last_blank_line() {
        let text = NOTE.replacen("This is", "first\n\nsecond", 1);
        let note = Note::parse(text.as_bytes()).expect("well formed");
        assert_eq!(note.text(), "first\n\nsecond an example message.\n");
        assert_eq!(note.to_string(), text);
    }

    #[test]
    fn malformed_notes_are_refused_with_the_reason() {
        use ParseNoteError::*;
        let line = NOTE.split_once("\n\n").expect("two parts").1;
        let many = format!("text\n\n{}", line.repeat(MAX_SIGNATURES + 1));
        let cases: Vec<(String, ParseNoteError)> = vec![
            (String::new(), NoSignatures),
            ("text\n".into(), NoSignatures),
            ("text\n\n".into(), NoSignatures),
            (format!("\n\n{line}"), NoSignatures),
            (format!("text\n{line}"), NoSignatures),
            (NOTE.trim_end().into(), BadSignatureLine(1)),
            (format!("{NOTE}trailing\n"), BadSignatureLine(2)),
            (format!("{NOTE}\n"), NoSignatures),
            (NOTE.replace('\n', "\r\n"), Control { character: 13, line: 1 }),
            (format!("a\nb\tc\n\n{line}"), Control { character: 9, line: 2 }),
            (NOTE.replace("foo Uw2", "foo  Uw2"), BadSignatureLine(1)),
            (NOTE.replace("com/foo U", "com/fo+o U"), BadSignatureLine(1)),
            (NOTE.replace("com/foo U", "com/f\u{2003}o U"), BadSignatureLine(1)),
            (NOTE.replace("\u{2014} ", "- "), BadSignatureLine(1)),
            (NOTE.replace("yaQM=", "yaQM"), BadSignatureLine(1)),
            (NOTE.replace("yaQM=", "yaQN="), BadSignatureLine(1)),
            ("text\n\n\u{2014} name AAAAAA==\n".into(), BadSignatureLine(1)),
            (many, TooManySignatures),
            ("x".repeat(MAX_NOTE_BYTES + 1), TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(Note::parse(text.as_bytes()), Err(error), "{text:?}");
        }
        assert_eq!(Note::parse(b"a\xff\n\n"), Err(NotUtf8(1)));
        assert_eq!(Note::new("no newline", vec![]), Err(TextWithoutNewline));
        let name = KeyName::new("name").expect("name");
        let empty = Signature::new(name, KeyId::from_bytes([0; 4]), vec![]);
        assert_eq!(Note::new("text\n", vec![empty]), Err(BadSignatureLine(1)));
    }
}
