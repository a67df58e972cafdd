//! C2SP `tlog-checkpoint`: a log's signed statement of its size and root.
//!
//! ```
//! use tlog::checkpoint::ClaimedCheckpoint;
//! use tlog::note::VerifierKey;
//!
//! # let [file, key] = ["site/checkpoint", "log.vkey"].map(|name| {
//! #     let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/v1/");
//! #     std::fs::read_to_string(format!("{folder}{name}")).expect("a vector")
//! # });
//! let claimed = ClaimedCheckpoint::parse(file.as_bytes()).expect("well formed");
//! let key: VerifierKey = key.trim_end().parse().expect("a key");
//! let verified = claimed.verify(&[key]).expect("signed by the log");
//! println!("{} has {} entries", verified.origin().as_str(), verified.head().size);
//! ```

use std::fmt;

use crate::hash::Hash;
use crate::index::{NumberError, TreeSize};
use crate::merkle::TreeHead;
use crate::note::{Algorithm, Note, ParseNoteError, VerifierKey};

/// A log's unique name, the first line of its checkpoints: one line of text, not empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

/// What a checkpoint says. Nobody is known to have said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: Origin,
    head: TreeHead,
    extensions: Vec<String>,
}

/// A checkpoint with its signature lines, none of them checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedCheckpoint {
    note: Note,
    checkpoint: Checkpoint,
}

/// A checkpoint that a known key of its log signed.
///
/// Only [`ClaimedCheckpoint::verify`] and [`Policy::verify`](crate::policy::Policy::verify) make
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    claimed: ClaimedCheckpoint,
    log_key: VerifierKey,
}

/// Why bytes are not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseCheckpointError {
    /// Not even a signed note.
    #[error(transparent)]
    Note(#[from] ParseNoteError),
    /// Fewer than three lines, or an empty one among them.
    #[error("a checkpoint has at least three lines (origin, size, root), none of them empty")]
    Lines,
    /// The origin is one that no log may have.
    #[error("the origin is empty, has several lines, or is reserved for other signed texts")]
    Origin,
    /// The second line is not a size.
    #[error("the tree size is {0}")]
    Size(NumberError),
    /// The third line is not a hash.
    #[error("the root hash is not the base64 of 32 bytes")]
    Root,
}

/// Why a checkpoint is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// No key that was given belongs to the checkpoint's origin.
    #[error("no key is known for the log \"{0}\"")]
    UnknownOrigin(Origin),
    /// No known key of the log signed.
    #[error("no known key of the log \"{0}\" signed the checkpoint")]
    NotSigned(Origin),
    /// A line names a known key but does not verify.
    #[error("the signature line of {0} does not verify: the checkpoint was altered or forged")]
    BadSignature(String),
}

impl Origin {
    /// Takes a log's name.
    ///
    /// # Errors
    /// [`ParseCheckpointError::Origin`] for an empty or reserved name or one with control
    /// characters.
    pub fn new(text: &str) -> Result<Origin, ParseCheckpointError> {
        let reserved = RESERVED_FIRST_LINES.contains(&text);
        if text.is_empty() || reserved || text.chars().any(char::is_control) {
            return Err(ParseCheckpointError::Origin);
        }
        Ok(Origin(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Checkpoint {
    /// What a log of this name says of its tree, without extension lines.
    pub fn new(origin: Origin, head: TreeHead) -> Checkpoint {
        Checkpoint { origin, head, extensions: Vec::new() }
    }

    /// Reads a checkpoint's text, the part of the note that is signed.
    ///
    /// # Errors
    /// [`ParseCheckpointError`] says which line is wrong.
    // SPEC tlog-checkpoint/note-text
    pub fn parse_text(text: &str) -> Result<Checkpoint, ParseCheckpointError> {
        let body = text.strip_suffix('\n').ok_or(ParseCheckpointError::Lines)?;
        let mut lines = body.split('\n');
        let mut line = || lines.next().filter(|l| !l.is_empty()).ok_or(ParseCheckpointError::Lines);
        let (origin, size, root) = (line()?, line()?, line()?);
        let origin = Origin::new(origin)?;
        let size = TreeSize::parse(size).map_err(ParseCheckpointError::Size)?;
        let root = Hash::from_base64(root).map_err(|_| ParseCheckpointError::Root)?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(ParseCheckpointError::Lines);
        }
        Ok(Checkpoint { origin, head: TreeHead { size, root }, extensions })
    }

    /// The log's name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Size and root.
    pub fn head(&self) -> &TreeHead {
        &self.head
    }

    /// Lines after the root; our own logs write none.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// Signs the checkpoint's text as its log.
    ///
    /// # Panics
    /// If `key` is a cosigner's; see [`SignerKey::sign_text`](crate::note::SignerKey::sign_text).
    #[cfg(feature = "sign")]
    pub fn sign(&self, key: &crate::note::SignerKey) -> ClaimedCheckpoint {
        let text = self.to_string();
        let note = Note::new(&text, vec![key.sign_text(&text)]);
        ClaimedCheckpoint {
            note: note.expect("a checkpoint is a note's text"),
            checkpoint: self.clone(),
        }
    }
}

impl fmt::Display for Checkpoint {
    /// Prints the checkpoint's text, each line with its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.head.size, self.head.root.to_base64())?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl ClaimedCheckpoint {
    /// Reads a signed checkpoint without judging its signatures.
    ///
    /// # Errors
    /// [`ParseCheckpointError`].
    pub fn parse(bytes: &[u8]) -> Result<ClaimedCheckpoint, ParseCheckpointError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse_text(note.text())?;
        Ok(ClaimedCheckpoint { note, checkpoint })
    }

    /// What the checkpoint says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note with its signature lines.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The same checkpoint with more signature lines after its own.
    ///
    /// # Errors
    /// [`ParseNoteError`] when that makes too many.
    pub fn with_signatures(
        &self,
        more: impl IntoIterator<Item = crate::note::Signature>,
    ) -> Result<ClaimedCheckpoint, ParseNoteError> {
        let signatures = self.note.signatures().iter().cloned().chain(more).collect();
        let note = Note::new(self.note.text(), signatures)?;
        Ok(ClaimedCheckpoint { note, checkpoint: self.checkpoint.clone() })
    }

    /// Checks that one of the log's keys signed, and that no line of any of these keys is false. A
    /// key belongs to the log when its name is the checkpoint's origin and it signs texts (`0x01`).
    ///
    /// # Errors
    /// [`CheckpointError`] says why the checkpoint is not trusted.
    // SPEC signed-note/signatures: unknown lines are ignored, lines of known keys must verify
    pub fn verify(&self, log_keys: &[VerifierKey]) -> Result<VerifiedCheckpoint, CheckpointError> {
        let origin = &self.checkpoint.origin;
        let signs_texts = |key: &&VerifierKey| key.algorithm() == Algorithm::Ed25519;
        let is_of_log = |key: &&VerifierKey| key.name().as_str() == origin.as_str();
        let mut known = log_keys.iter().filter(signs_texts).filter(is_of_log).peekable();
        if known.peek().is_none() {
            return Err(CheckpointError::UnknownOrigin(origin.clone()));
        }
        let mut signer = None;
        for key in known {
            for line in self.note.signatures().iter().filter(|line| line.is_by(key)) {
                if !key.verify(self.note.text().as_bytes(), line.bytes()) {
                    return Err(CheckpointError::BadSignature(key.name().to_string()));
                }
                signer.get_or_insert(key);
            }
        }
        let log_key = signer.ok_or_else(|| CheckpointError::NotSigned(origin.clone()))?.clone();
        Ok(VerifiedCheckpoint { claimed: self.clone(), log_key })
    }
}

impl fmt::Display for ClaimedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

impl VerifiedCheckpoint {
    /// The log's name.
    pub fn origin(&self) -> &Origin {
        &self.claimed.checkpoint.origin
    }

    /// Size and root.
    pub fn head(&self) -> &TreeHead {
        &self.claimed.checkpoint.head
    }

    /// The log's key that signed.
    pub fn log_key(&self) -> &VerifierKey {
        &self.log_key
    }

    /// The signed note that was verified.
    pub fn note(&self) -> &Note {
        &self.claimed.note
    }

    /// The same checkpoint with one line of each of these keys and no other, the log's key that
    /// signed among them: what is worth keeping when nothing is known of the other lines.
    ///
    /// The lines are those that [`ClaimedCheckpoint::verify`] judged if these are the keys it got.
    #[must_use]
    pub fn with_lines_of(&self, keys: &[VerifierKey]) -> VerifiedCheckpoint {
        let lines = self.note().signatures();
        let first = |key: &VerifierKey| lines.iter().find(|line| line.is_by(key)).cloned();
        let others = keys.iter().filter(|key| **key != self.log_key).filter_map(first);
        let kept = first(&self.log_key).into_iter().chain(others).collect();
        let note = Note::new(self.note().text(), kept).expect("fewer lines than it had");
        let checkpoint = self.claimed.checkpoint.clone();
        let claimed = ClaimedCheckpoint { note, checkpoint };
        VerifiedCheckpoint { claimed, log_key: self.log_key.clone() }
    }

    /// The checkpoint as anybody would receive it.
    pub fn claimed(&self) -> &ClaimedCheckpoint {
        &self.claimed
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::str::FromStr for Origin {
    type Err = ParseCheckpointError;

    fn from_str(text: &str) -> Result<Origin, ParseCheckpointError> {
        Origin::new(text)
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests {
    use super::*;
    use crate::note::{KeyName, SignerKey};

    const EXAMPLE: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    fn key(name: &str, seed: u8) -> SignerKey {
        let name = KeyName::new(name).expect("name");
        SignerKey::from_seed(name, Algorithm::Ed25519, [seed; 32]).expect("sound")
    }

    #[test]
    fn example_of_the_specification_round_trips() {
        let checkpoint = Checkpoint::parse_text(EXAMPLE).expect("example");
        assert_eq!(checkpoint.origin().as_str(), "example.com/behind-the-sofa");
        assert_eq!(checkpoint.head().size.get(), 20_852_163);
        assert_eq!(checkpoint.to_string(), EXAMPLE);
        let extended = format!("{EXAMPLE}extension\n");
        let checkpoint = Checkpoint::parse_text(&extended).expect("extension lines are allowed");
        assert_eq!(checkpoint.extensions(), ["extension"]);
        assert_eq!(checkpoint.to_string(), extended);
    }

    #[test]
    fn malformed_checkpoints_are_refused() {
        use ParseCheckpointError::*;
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        let cases = [
            (String::new(), Lines),
            ("\n".into(), Lines),
            ("o\n1\n".into(), Lines),
            (format!("o\n1\n{root}"), Lines),
            (format!("\n1\n{root}\n"), Lines),
            (format!("o\n\n{root}\n"), Lines),
            (format!("o\n1\n{root}\n\nx\n"), Lines),
            (format!("o\n01\n{root}\n"), Size(NumberError::NotDecimal)),
            (format!("o\n-1\n{root}\n"), Size(NumberError::NotDecimal)),
            (format!("o\n9223372036854775808\n{root}\n"), Size(NumberError::TooLarge)),
            (format!("o\n1\n{}\n", &root[1..]), Root),
            (format!("ledger-record/v1\n1\n{root}\n"), Origin),
            (format!("cosignature/v1\n1\n{root}\n"), Origin),
        ];
        for (text, error) in cases {
            assert_eq!(Checkpoint::parse_text(&text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn only_known_keys_of_the_origin_make_a_checkpoint_trusted() {
        let origin = Origin::new("log.example").expect("origin");
        let checkpoint = Checkpoint::new(origin.clone(), TreeHead::EMPTY);
        let log = key("log.example", 1);
        let claimed = checkpoint.sign(&log);
        let verify = |claimed: &ClaimedCheckpoint, keys: &[&SignerKey]| {
            let keys: Vec<_> = keys.iter().map(|key| key.verifier().clone()).collect();
            claimed.verify(&keys).map(|verified| verified.log_key().clone())
        };
        assert_eq!(verify(&claimed, &[&log]), Ok(log.verifier().clone()));
        let rotated = key("log.example", 2);
        assert_eq!(verify(&claimed, &[&rotated, &log]), Ok(log.verifier().clone()));
        assert_eq!(verify(&claimed, &[&rotated]), Err(CheckpointError::NotSigned(origin.clone())));
        let stranger = key("other.example", 1);
        assert_eq!(verify(&claimed, &[&stranger]), Err(CheckpointError::UnknownOrigin(origin)));

        let larger = claimed.to_string().replacen("\n0\n", "\n1\n", 1);
        let larger = ClaimedCheckpoint::parse(larger.as_bytes()).expect("well formed");
        let bad = Err(CheckpointError::BadSignature("log.example".into()));
        assert_eq!(verify(&larger, &[&log]), bad);
        // a false line of a known key spoils the note even beside a good one
        let false_line = rotated.sign_text("something else\n");
        let spoiled = claimed.with_signatures([false_line]).expect("room");
        assert_eq!(verify(&spoiled, &[&log]), Ok(log.verifier().clone()), "unknown: ignored");
        assert_eq!(verify(&spoiled, &[&log, &rotated]), bad);
    }
}

/// First lines of signed texts that are not checkpoints. A log cannot have one of them as its name:
/// then no signature over such a text passes for one over a checkpoint. The list names the texts of
/// C2SP and of this crate's users.
pub const RESERVED_FIRST_LINES: &[&str] = &[
    "ledger-record/v1",
    "ledger-request/v1",
    "ledger-decline/v1",
    "ledger-attestation/v1",
    "ledger-succession/v1",
    "ledger-sealed/v1",
    "cosignature/v1",
    "subtree/v1",
];
