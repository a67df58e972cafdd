//! `ledger-succession/v1`: a consortium leaves its log for another one, without the old log's help.
//!
//! If an operator refuses to log the members' changes, or vanishes, as many members as could change
//! the charter sign a note outside the log: where the old log ends for them, and by which charter
//! they go on. Whoever followed the old charter can follow the new one by this note alone.
//!
//! ```text
//! ledger-succession/v1
//! origin ledger.example/2026
//! size 4711
//! root IXnSY+SIvIEAJ+Hq7Iq4tTb2XgJZ28wJqFQ8dj9xKZ4=
//! successor ledger.example/2027
//! charter 953ff734c9d974200abc9b7a691655a09eb592ee7461615a0680e138cb22d9b4
//! issued 2026-11-23T11:23:20Z
//! ```
//!
//! The note is judged by the rules in force behind the last entry of the tree that it names, as a
//! change of the charter is: keys of use record, members in good standing, their roles and terms at
//! the time `issued`, and those that are held over while members in force are too few. That the tree
//! is the old log's own is for a checkpoint or the log's tiles to show.

use crate::charter::{Charter, Governance, Member, Rejection};
use crate::checkpoint::Origin;
use crate::hash::Hash;
use crate::index::{LeafIndex, TreeSize};
use crate::member_note::{self, MemberNoteError};
use crate::merkle::TreeHead;
#[cfg(feature = "sign")]
use crate::note::{Algorithm, SignerKey};
use crate::note::{KeyId, KeyName, Note, Signature};
use crate::record::{StatementId, format_time, parse_time};

/// The first line of every succession's text, without its newline.
pub const FIRST_LINE: &str = "ledger-succession/v1";

/// Bytes that a succession may have: two origins and 64 signature lines with the longest names.
pub const MAX_SUCCESSION_BYTES: usize = 32 << 10;

const LINES: [&str; 6] = ["origin", "size", "root", "successor", "charter", "issued"];

/// What a succession says. Nobody is known to have said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    origin: Origin,
    head: TreeHead,
    successor: Origin,
    charter: StatementId,
    issued: u64,
}

/// A succession with its signature lines, none of them checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedSuccession {
    note: Note,
    succession: Succession,
}

/// A succession that the members decided who may change the old log's charter.
///
/// Only [`ClaimedSuccession::verify`] and [`ClaimedSuccession::verify_by`] make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSuccession {
    succession: Succession,
    members: Vec<String>,
    decided_by: LeafIndex,
}

/// Why a succession is not one, or not decided by those who may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SuccessionError {
    /// Longer than any succession.
    #[error("a succession has at most {MAX_SUCCESSION_BYTES} bytes, not {0}")]
    TooLong(usize),
    /// Not a note of the right lines, or a signature that nobody known made.
    #[error("the succession: {0}")]
    Note(#[from] MemberNoteError),
    /// An origin is one that no log may have.
    #[error("`{0}` is no origin: it is empty or reserved for other signed texts")]
    Origin(&'static str),
    /// The size is not a number as logs write it, or zero.
    #[error("the size is {0:?}, not that of a tree with a charter, in plain decimals")]
    Size(String),
    /// The root is no hash.
    #[error("the root is {0:?}, not the base64 of 32 bytes")]
    Root(String),
    /// The statement id is not one.
    #[error("the charter is {0:?}, not a statement id of 64 lower-case hex digits")]
    Charter(String),
    /// The time is none.
    #[error("the time is {0:?}, not RFC 3339 in UTC with whole seconds")]
    Issued(String),
    /// A log cannot follow itself.
    #[error("the log {0:?} is to be its own successor")]
    SameLog(String),
    /// Signature lines stand in another order than by name and key id, or one is there twice.
    #[error("signature line {0} is not sorted by key name and id, or it is there twice")]
    SignatureOrder(usize),
    /// A key has signed already.
    #[error("key {0:?} has signed already")]
    HasSigned(String),
    /// It is about another log than the charter.
    #[error("the succession is of the log {found:?}, the charter of {expected:?}")]
    OtherLog {
        /// The charter's origin.
        expected: String,
        /// The succession's.
        found: String,
    },
    /// The charter is that of a later place in the log than the tree reaches.
    #[error("the tree of size {size} does not reach governance entry {governance}")]
    NotReached {
        /// The succession's size.
        size: TreeSize,
        /// The entry that the charter was left by.
        governance: LeafIndex,
    },
    /// It was signed before the log went on.
    #[error(
        "it was issued at {}, before governance entry {governance} of its own tree",
        format_time(*issued)
    )]
    TooEarly {
        /// The succession's time.
        issued: u64,
        /// The entry that is later.
        governance: LeafIndex,
    },
    /// A member or key may not sign it.
    #[error(transparent)]
    MayNotSign(Rejection),
    /// Too few members have signed.
    #[error("a succession needs {needed} member(s) with role {role:?}; {found} signed")]
    TooFew {
        /// The role.
        role: String,
        /// How many members a change of the charter asks for.
        needed: u64,
        /// How many have signed.
        found: u64,
    },
}

impl Succession {
    /// From the old log, with the tree of `head`, to the log that `charter` founds.
    ///
    /// # Errors
    /// [`SuccessionError::SameLog`], and [`SuccessionError::Size`] for a tree without a charter.
    pub fn new(
        old: (Origin, TreeHead),
        new: (Origin, StatementId),
        issued: u64,
    ) -> Result<Succession, SuccessionError> {
        let ((origin, head), (successor, charter)) = (old, new);
        if head.size.is_empty() {
            return Err(SuccessionError::Size(head.size.to_string()));
        }
        if origin == successor {
            return Err(SuccessionError::SameLog(origin.to_string()));
        }
        Ok(Succession { origin, head, successor, charter, issued })
    }

    /// The log that is left.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where it ends for its members: what came later does not count.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// The log that follows.
    pub fn successor(&self) -> &Origin {
        &self.successor
    }

    /// The statement id of its charter: the new trust anchor.
    pub fn charter(&self) -> StatementId {
        self.charter
    }

    /// When the members say they signed, in POSIX seconds.
    pub fn issued(&self) -> u64 {
        self.issued
    }

    /// The text to be signed.
    pub fn text(&self) -> String {
        let (size, root) = (self.head.size.to_string(), self.head.root.to_base64());
        let (charter, issued) = (self.charter.to_string(), format_time(self.issued));
        let values =
            [self.origin.as_str(), &size, &root, self.successor.as_str(), &charter, &issued];
        member_note::print(FIRST_LINE, LINES.into_iter().zip(values))
    }

    /// The succession, signed by members' record keys.
    ///
    /// # Errors
    /// [`SuccessionError::Note`] without a key or for a cosigner's, [`SuccessionError::HasSigned`].
    #[cfg(feature = "sign")]
    pub fn sign(&self, keys: &[&SignerKey]) -> Result<ClaimedSuccession, SuccessionError> {
        let mut signatures = Vec::with_capacity(keys.len());
        for key in keys {
            add(&mut signatures, line(key, &self.text())?)?;
        }
        let note = Note::new(&self.text(), signatures).map_err(MemberNoteError::from)?;
        Ok(ClaimedSuccession { note, succession: self.clone() })
    }
}

impl ClaimedSuccession {
    /// Reads a succession.
    ///
    /// # Errors
    /// [`SuccessionError`] names the line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<ClaimedSuccession, SuccessionError> {
        use SuccessionError as E;
        if bytes.len() > MAX_SUCCESSION_BYTES {
            return Err(E::TooLong(bytes.len()));
        }
        let note = Note::parse(bytes).map_err(MemberNoteError::from)?;
        let [origin, size, root, successor, charter, issued] =
            member_note::values(note.text(), FIRST_LINE, LINES)?;
        let head = TreeHead {
            size: TreeSize::parse(&size).map_err(|_| E::Size(size))?,
            root: Hash::from_base64(&root).map_err(|_| E::Root(root))?,
        };
        let old = (Origin::new(&origin).map_err(|_| E::Origin(LINES[0]))?, head);
        let statement = StatementId::from_hex(&charter).map_err(|_| E::Charter(charter))?;
        let new = (Origin::new(&successor).map_err(|_| E::Origin(LINES[3]))?, statement);
        let issued = parse_time(&issued).ok_or(E::Issued(issued))?;
        let unsorted = |pair: &[Signature]| order(&pair[0]) >= order(&pair[1]);
        if let Some(at) = note.signatures().windows(2).position(unsorted) {
            return Err(E::SignatureOrder(at + 2));
        }
        Ok(ClaimedSuccession { succession: Succession::new(old, new, issued)?, note })
    }

    /// What it says; nobody is known to have said it.
    pub fn succession(&self) -> &Succession {
        &self.succession
    }

    /// The signed note: its text is the file.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The same with one more signature.
    ///
    /// # Errors
    /// [`SuccessionError::HasSigned`], [`SuccessionError::Note`] for a cosigner's key or too many.
    #[cfg(feature = "sign")]
    pub fn cosign(&self, key: &SignerKey) -> Result<ClaimedSuccession, SuccessionError> {
        let mut signatures = self.note.signatures().to_vec();
        add(&mut signatures, line(key, self.note.text())?)?;
        let note = Note::new(self.note.text(), signatures).map_err(MemberNoteError::from)?;
        Ok(ClaimedSuccession { note, succession: self.succession.clone() })
    }

    /// Judges a succession by the old log's rules as they are behind the tree that it names.
    ///
    /// Every signature line must be a known member's and verify, and as many distinct members must
    /// have signed as a change of the charter would need at the time `issued`.
    ///
    /// # Errors
    /// [`SuccessionError`] for another log's charter or a later one, the first line that is not
    /// sound, and too few members.
    pub fn verify(&self, charter: &Charter) -> Result<VerifiedSuccession, SuccessionError> {
        use SuccessionError as E;
        let Succession { origin, head, issued, .. } = &self.succession;
        if origin.as_str() != charter.origin() {
            let (expected, found) = (charter.origin().to_owned(), origin.to_string());
            return Err(E::OtherLog { expected, found });
        }
        let governance = charter.governance_index();
        if !head.size.contains(governance) {
            return Err(E::NotReached { size: head.size, governance });
        }
        for line in self.note.signatures() {
            member_note::verify_line(&self.note, line, charter)?;
        }
        let decided = charter.decide(self.note.signatures(), *issued).map_err(E::MayNotSign)?;
        if let Some((requirement, found)) = decided.too_few {
            let (role, needed) = (requirement.role().to_owned(), requirement.members());
            return Err(E::TooFew { role, needed, found });
        }
        let members = decided.members.into_iter().map(Member::name).map(str::to_owned).collect();
        let succession = self.succession.clone();
        Ok(VerifiedSuccession { succession, members, decided_by: governance })
    }

    /// Judges a succession by the governance entries of the old log: the last one within the tree
    /// decides.
    ///
    /// # Errors
    /// As [`ClaimedSuccession::verify`]; [`SuccessionError::TooEarly`].
    pub fn verify_by(
        &self,
        governance: &Governance,
    ) -> Result<VerifiedSuccession, SuccessionError> {
        let Succession { head, issued, .. } = self.succession;
        let mut within =
            governance.states().iter().filter(|state| head.size.contains(state.index()));
        // a tree has its charter at least
        let Some(last) = within.next_back() else { return self.verify(governance.charter()) };
        if issued < last.time() {
            let governance = last.index();
            return Err(SuccessionError::TooEarly { issued, governance });
        }
        self.verify(last.charter())
    }
}

impl VerifiedSuccession {
    /// What was decided.
    pub fn succession(&self) -> &Succession {
        &self.succession
    }

    /// The members that signed, each once, in the order of the signature lines.
    pub fn members(&self) -> &[String] {
        &self.members
    }

    /// The governance entry of the old log that left the rules as they were judged by.
    pub fn decided_by(&self) -> LeafIndex {
        self.decided_by
    }
}

impl SuccessionError {
    /// Whether more signatures might be all that it needs.
    pub fn lacks_signatures(&self) -> bool {
        matches!(self, SuccessionError::TooFew { .. })
    }

    /// What to do about it, for a `hint:` line.
    pub fn hint(&self) -> &'static str {
        match self {
            SuccessionError::Note(MemberNoteError::FirstLine(_) | MemberNoteError::Line { .. })
            | SuccessionError::TooLong(_)
            | SuccessionError::Size(_)
            | SuccessionError::Root(_)
            | SuccessionError::Charter(_)
            | SuccessionError::Issued(_) => "docs/governance.md shows how a succession is written",
            SuccessionError::Note(error) => error.hint(),
            SuccessionError::Origin(_) | SuccessionError::SameLog(_) => {
                "the new log has a name of its own: see `log` in its charter"
            }
            SuccessionError::SignatureOrder(_) => {
                "add signatures with: ledger charter sign FILE --key KEY"
            }
            SuccessionError::HasSigned(_) => "let other members sign",
            SuccessionError::OtherLog { .. } => "give the anchor and the charter of the old log",
            SuccessionError::NotReached { .. } => {
                "judge it by the charter as it stood at the end of that tree"
            }
            SuccessionError::TooEarly { .. } => "let the members sign anew, with the time of now",
            SuccessionError::MayNotSign(rejection) => rejection.hint(),
            SuccessionError::TooFew { .. } => "let more members that hold the role sign",
        }
    }
}

impl std::fmt::Display for ClaimedSuccession {
    /// Prints the file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.note.fmt(f)
    }
}

fn order(line: &Signature) -> (&KeyName, KeyId) {
    (line.name(), line.id())
}

#[cfg(feature = "sign")]
fn line(key: &SignerKey, text: &str) -> Result<Signature, SuccessionError> {
    match key.verifier().algorithm() {
        Algorithm::Ed25519 => Ok(key.sign_text(text)),
        _ => Err(MemberNoteError::CosignerKey(key.verifier().name().to_string()).into()),
    }
}

/// Puts a signature line at its sorted place.
#[cfg(feature = "sign")]
fn add(signatures: &mut Vec<Signature>, line: Signature) -> Result<(), SuccessionError> {
    match signatures.binary_search_by(|own| order(own).cmp(&order(&line))) {
        Ok(_) => Err(SuccessionError::HasSigned(line.name().to_string())),
        Err(at) => {
            signatures.insert(at, line);
            Ok(())
        }
    }
}

#[cfg(all(test, feature = "sign"))]
mod tests;
