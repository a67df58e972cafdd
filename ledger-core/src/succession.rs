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
//! governed 38 6c4f1d0b5a3e2987c1d0b5a3e29876c4f1d0b5a3e2987c1d0b5a3e29876c4f1d
//! issued 2026-11-23T11:23:20Z
//! ```
//!
//! The signers name the governance entry that they decide by: the last one of the tree that they
//! name. A reader judges them twice, as a change of the charter is judged: by that state at the
//! time `issued`, and by the newest state that the reader knows, at the latest time that is known of the
//! log. So members that have left, revoked keys and past terms move no log. Members whose term ran
//! out fill vacant seats only, in both judgements. The tree must be known to be the old log's.

use crate::Hint;
use crate::charter::{Charter, EARLY_SECONDS, GovernanceState, Member, Rejection};
use crate::checkpoint::Origin;
use crate::hash::Hash;
use crate::index::{LeafIndex, TreeSize};
use crate::member_note::{self, MemberNoteError};
use crate::merkle::TreeHead;
#[cfg(feature = "sign")]
use crate::note::{Algorithm, SignerKey};
use crate::note::{KeyId, KeyName, Note, Signature};
use crate::record::{StatementId, format_time, parse_time};

mod known;
mod superseded;

pub use known::{KnownLog, KnownLogError};
pub use superseded::SupersededBy;

/// The first line of every succession's text, without its newline.
pub const FIRST_LINE: &str = "ledger-succession/v1";

/// Bytes that a succession may have: two origins and 64 signature lines with the longest names.
pub const MAX_SUCCESSION_BYTES: usize = 32 << 10;

const LINES: [&str; 7] = ["origin", "size", "root", "successor", "charter", "governed", "issued"];

/// What a succession says. Nobody is known to have said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    origin: Origin,
    head: TreeHead,
    successor: Origin,
    charter: StatementId,
    governed: GovernanceRef,
    issued: u64,
}

/// A governance entry: where it stands, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GovernanceRef {
    /// Its place in the log.
    pub index: LeafIndex,
    /// Its statement id.
    pub statement: StatementId,
}

/// A succession with its signature lines, none of them checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedSuccession {
    note: Note,
    succession: Succession,
}

/// A succession that the members decided who may change the old log's charter.
///
/// Only [`ClaimedSuccession::verify`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSuccession {
    succession: Succession,
    members: Vec<String>,
    rules_to: LeafIndex,
    abandoned: u64,
    abandoned_governance: Vec<GovernanceRef>,
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
    /// The governance entry is none.
    #[error("`governed` is {0:?}, not an index, a space and a statement id of 64 hex digits")]
    Governed(String),
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
    /// The governance entry that it names is not in its own tree.
    #[error("the tree of size {size} does not reach governance entry {governance}")]
    NotReached {
        /// The succession's size.
        size: TreeSize,
        /// The entry that it names.
        governance: LeafIndex,
    },
    /// The tree is not known to be the old log's.
    #[error("not-shown: that the tree of size {0} is the old log's own")]
    TreeNotShown(TreeSize),
    /// The last entry of the tree is not known.
    #[error("not-shown: the last entry of its tree of size {0}, which names the rules and a time")]
    EndNotShown(TreeSize),
    /// It rests on other rules than those of its tree.
    #[error(
        "it rests on governance entry {} with statement {}; entry {} with statement {} governs the \
         end of its tree", named.index, named.statement, known.index, known.statement
    )]
    OtherState {
        /// The entry that it names.
        named: GovernanceRef,
        /// The last governance entry of its tree.
        known: GovernanceRef,
    },
    /// It was signed before the log went on.
    #[error(
        "it was issued at {}, before the last entry of its own tree at {}",
        format_time(*issued), format_time(*end)
    )]
    TooEarly {
        /// The succession's time.
        issued: u64,
        /// The time of the last entry.
        end: u64,
    },
    /// It was signed later than now.
    #[error("it was issued at {}, in the future", format_time(*issued))]
    TooLate {
        /// The succession's time.
        issued: u64,
    },
    /// The rules that the reader knows, or their terms, have changed since.
    #[error("superseded: {by}")]
    Superseded {
        /// What changed.
        by: SupersededBy,
        /// Why the newest rules refuse it.
        why: Box<SuccessionError>,
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
    /// From the old log, with the tree of `head`, to the log that `charter` founds. The last
    /// governance entry of that tree is `governed`.
    ///
    /// # Errors
    /// [`SuccessionError::SameLog`], [`SuccessionError::Size`] for a tree without a charter, and
    /// [`SuccessionError::NotReached`].
    pub fn new(
        old: (Origin, TreeHead),
        new: (Origin, StatementId),
        governed: GovernanceRef,
        issued: u64,
    ) -> Result<Succession, SuccessionError> {
        let ((origin, head), (successor, charter)) = (old, new);
        if head.size.is_empty() {
            return Err(SuccessionError::Size(head.size.to_string()));
        }
        if !head.size.contains(governed.index) {
            let (size, governance) = (head.size, governed.index);
            return Err(SuccessionError::NotReached { size, governance });
        }
        if origin == successor {
            return Err(SuccessionError::SameLog(origin.to_string()));
        }
        Ok(Succession { origin, head, successor, charter, governed, issued })
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

    /// The governance entry of the old log that the signers decide by.
    pub fn governed(&self) -> GovernanceRef {
        self.governed
    }

    /// When the members say they signed, in POSIX seconds.
    pub fn issued(&self) -> u64 {
        self.issued
    }

    /// The text to be signed.
    pub fn text(&self) -> String {
        let (size, root) = (self.head.size.to_string(), self.head.root.to_base64());
        let (charter, issued) = (self.charter.to_string(), format_time(self.issued));
        let (origin, successor) = (self.origin.as_str(), self.successor.as_str());
        let governed = self.governed.to_string();
        let values = [origin, &size, &root, successor, &charter, &governed, &issued];
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
        let [origin, size, root, successor, charter, governed, issued] =
            member_note::values(note.text(), FIRST_LINE, LINES)?;
        let head = TreeHead {
            size: TreeSize::parse(&size).map_err(|_| E::Size(size))?,
            root: Hash::from_base64(&root).map_err(|_| E::Root(root))?,
        };
        let old = (Origin::new(&origin).map_err(|_| E::Origin(LINES[0]))?, head);
        let statement = StatementId::from_hex(&charter).map_err(|_| E::Charter(charter))?;
        let new = (Origin::new(&successor).map_err(|_| E::Origin(LINES[3]))?, statement);
        let governed = GovernanceRef::parse(&governed).ok_or(E::Governed(governed))?;
        let issued = parse_time(&issued).ok_or(E::Issued(issued))?;
        let unsorted = |pair: &[Signature]| order(&pair[0]) >= order(&pair[1]);
        if let Some(at) = note.signatures().windows(2).position(unsorted) {
            return Err(E::SignatureOrder(at + 2));
        }
        Ok(ClaimedSuccession { succession: Succession::new(old, new, governed, issued)?, note })
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

    /// Judges a succession by what a reader knows of the old log, at `now` in POSIX seconds.
    ///
    /// Its tree must be the log's, and `governed` the last governance entry of that tree. Every
    /// signature line must be a known member's and verify, and as many distinct members must have
    /// signed as a change of the charter needs: by the state that it names at the time `issued`,
    /// and by the newest state that is known at the later of `issued` and the latest time that is known
    /// of the log, at most `now`.
    ///
    /// # Errors
    /// [`SuccessionError`]; [`SuccessionError::Superseded`] if only the newest state refuses it.
    pub fn verify(
        &self,
        known: &KnownLog,
        now: u64,
    ) -> Result<VerifiedSuccession, SuccessionError> {
        use SuccessionError as E;
        let Succession { origin, head, governed, issued, .. } = &self.succession;
        let (governed, issued) = (*governed, *issued);
        let log = known.governance().charter().origin();
        if origin.as_str() != log {
            return Err(E::OtherLog { expected: log.to_owned(), found: origin.to_string() });
        }
        if !known.is_known(head) {
            return Err(E::TreeNotShown(head.size));
        }
        let end = known.end(head.size).ok_or(E::EndNotShown(head.size))?;
        let state = known.state_at(head.size);
        if governed != GovernanceRef::of(state) {
            return Err(E::OtherState { named: governed, known: GovernanceRef::of(state) });
        }
        if issued > now.saturating_add(EARLY_SECONDS) {
            return Err(E::TooLate { issued });
        }
        if issued < end {
            return Err(E::TooEarly { issued, end });
        }
        let members = self.decided(state.charter(), issued)?;
        let members: Vec<String> =
            members.into_iter().map(Member::name).map(str::to_owned).collect();
        // signers choose `issued`: what the log is known to have reached counts too
        let at = issued.max(known.time()).min(now);
        if let Err(why) = self.decided(known.newest().charter(), at) {
            return Err(superseded::explain(self, known, at, why));
        }
        Ok(VerifiedSuccession {
            succession: self.succession.clone(),
            members,
            rules_to: known.rules_to(),
            abandoned: known.size().get().saturating_sub(head.size.get()),
            abandoned_governance: known.behind(head.size),
        })
    }

    /// The members that decided it by a charter at a time.
    fn decided<'a>(
        &self,
        charter: &'a Charter,
        at: u64,
    ) -> Result<Vec<&'a Member>, SuccessionError> {
        for line in self.note.signatures() {
            member_note::verify_line(&self.note, line, charter)?;
        }
        let decided = charter.decide(self.note.signatures(), at);
        let decided = decided.map_err(SuccessionError::MayNotSign)?;
        if let Some((requirement, found)) = decided.too_few {
            let (role, needed) = (requirement.role().to_owned(), requirement.members());
            return Err(SuccessionError::TooFew { role, needed, found });
        }
        Ok(decided.members)
    }
}

impl GovernanceRef {
    /// What a state was left by.
    pub fn of(state: &GovernanceState) -> GovernanceRef {
        GovernanceRef { index: state.index(), statement: state.statement() }
    }

    fn parse(text: &str) -> Option<GovernanceRef> {
        let (index, statement) = text.split_once(' ')?;
        let index = LeafIndex::parse(index).ok()?;
        Some(GovernanceRef { index, statement: StatementId::from_hex(statement).ok()? })
    }
}

impl std::fmt::Display for GovernanceRef {
    /// Prints index and statement id with a space between them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.index, self.statement)
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

    /// The last entry up to which no change of the old log's rules can be missing.
    pub fn rules_to(&self) -> LeafIndex {
        self.rules_to
    }

    /// How many known entries of the old log stand behind its tree: they bind no follower of it.
    pub fn abandoned(&self) -> u64 {
        self.abandoned
    }

    /// The governance entries among those that are abandoned.
    pub fn abandoned_governance(&self) -> &[GovernanceRef] {
        &self.abandoned_governance
    }
}

impl SuccessionError {
    /// Whether more signatures might be all that it needs.
    pub fn lacks_signatures(&self) -> bool {
        matches!(self, SuccessionError::TooFew { .. })
    }
}

impl Hint for SuccessionError {
    fn hint(&self) -> &'static str {
        match self {
            SuccessionError::Note(MemberNoteError::FirstLine(_) | MemberNoteError::Line { .. })
            | SuccessionError::TooLong(_)
            | SuccessionError::Size(_)
            | SuccessionError::Root(_)
            | SuccessionError::Charter(_)
            | SuccessionError::Governed(_)
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
            SuccessionError::NotReached { .. } | SuccessionError::OtherState { .. } => {
                "let the members sign anew: `ledger charter succeed --source` writes what governs"
            }
            SuccessionError::TreeNotShown(_) | SuccessionError::EndNotShown(_) => {
                "show the old log's files with --source: the operator's, a mirror's, or a copy"
            }
            SuccessionError::TooEarly { .. } => "let the members sign anew, with the time of now",
            SuccessionError::TooLate { .. } => {
                "compare the clocks, this machine's and that of the member that wrote it"
            }
            SuccessionError::Superseded { .. } => {
                "let members that may decide by the newest rules sign a new note"
            }
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
