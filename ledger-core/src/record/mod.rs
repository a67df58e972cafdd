//! Records: what members sign, and entries: what the log stores.
//!
//! A [`Record`] is well formed: a signed note whose text is [`FIRST_LINE`] and one JSON object that
//! obeys the rules of the format, the envelope and its kind, with its signature lines in order. Who
//! signed it, and whether they were allowed to, is for a [`Charter`](crate::charter::Charter) to
//! say.
//!
//! ```
//! use ledger_core::record::{Draft, Kind};
//!
//! let draft = Draft::parse(r#"{
//!   "log": "ledger.example/2026", "kind": "review",
//!   "id": "0198a7c2-5d00-7000-8000-000000000001",
//!   "issuer": "watch.example", "issued_at": "2026-11-23T11:23:20Z",
//!   "title": {"en": "Review of model M"}, "summary": {"en": "It may be deployed."},
//!   "body": "Review board", "review_stage": "pre_deployment", "outcome": "approve",
//!   "public_summary": {"en": "We found nothing that speaks against it."}
//! }"#)?;
//! assert_eq!(draft.envelope().kind(), Kind::Review);
//!
//! let error = Draft::parse(r#"{"log": "ledger.example/2026"}"#).unwrap_err();
//! assert_eq!(error.to_string(), "`kind` is missing");
//! # Ok::<(), ledger_core::record::RecordError>(())
//! ```

mod argument;
mod digest_marks;
mod draft;
mod entry;
mod envelope;
mod error;
mod fault;
mod id;
mod json;
mod kind;
mod kinds;
mod rule;
mod schema;
mod sealed;
mod shape;
mod time;
mod validate;
mod validate_rules;

use crate::heap::block;
use crate::note::{Note, Signature};

pub use crate::checkpoint::RESERVED_FIRST_LINES;
pub use argument::{member, unknown_members};
pub use digest_marks::{count_digests, is_sealed};
pub use draft::{Basics, Draft, missing, required, template};
pub use entry::{Entry, Logged};
pub use envelope::Envelope;
pub use error::{EntryError, RecordError};
pub use id::{ParseRecordIdError, RecordId, StatementId};
pub use json::{JsonError, MAX_DEPTH, MAX_INTEGER, Object, Value};
pub use kind::{Kind, ParseKindError};
pub use kinds::{ENVELOPE, RELATIONS, SEVERITIES};
pub use rule::{Check, Rule};
pub use schema::{SCHEMA_DIALECT, schema};
pub use sealed::{
    Disclosure, DisclosureError, MAX_DECOYS, MAX_DISCLOSURE_BYTES, MAX_NAMED, OpenError, Opened,
    ParseSealPathError, SealError, SealPath, SealPlan, Sealed, open, open_draft, seal,
};
pub use shape::{KindDef, MAX_LANGUAGES, MemberDef, Presence, Sealing, Shape, UNKNOWN};
pub use time::{MAX_DURATION, MAX_TIME, format_time, parse_date, parse_duration, parse_time};

/// The first line of every record's text, without its newline.
pub const FIRST_LINE: &str = "ledger-record/v1";

/// Bytes a record may have, signatures included; more belongs into attachments.
pub const MAX_RECORD_BYTES: usize = 65_000;

/// Bytes an entry may have.
// SPEC tlog-tiles/log-entries: entries are at most 65,535 bytes
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// A well-formed record. Its signatures are not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    bytes: String,
    note: Note,
    statement: StatementId,
    envelope: Envelope,
    body: Object,
}

/// What a record says about itself, without the members of its kind: enough to find it and to say
/// what it is.
///
/// The note, the JSON rules, the signature lines' order, the digests of sealed members and the
/// envelope have been checked, the kind's members have not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    note: Note,
    statement: StatementId,
    envelope: Envelope,
}

impl Record {
    /// Reads a record and checks everything but its signatures.
    ///
    /// # Errors
    /// [`RecordError`] names the first rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Record, RecordError> {
        let note = read_note(bytes)?;
        let (envelope, body) = check_text(note.text())?;
        let statement = StatementId::of_note(&note);
        let bytes = String::from_utf8(bytes.to_vec()).expect("a note is UTF-8");
        Ok(Record { bytes, note, statement, envelope, body })
    }

    /// Puts a checked draft and its signatures together, in order.
    #[cfg(feature = "sign")]
    fn assemble(draft: &Draft, mut signatures: Vec<Signature>) -> Result<Record, RecordError> {
        sort_signatures(&mut signatures);
        check_order(&signatures)?;
        let text = draft.text();
        let note = Note::new(&text, signatures)?;
        let bytes = note.to_string();
        check_size(bytes.len())?;
        let statement = StatementId::of_text(&text);
        let (envelope, body) = (draft.envelope().clone(), draft.body().clone());
        Ok(Record { bytes, note, statement, envelope, body })
    }

    /// The record with one more signature line at its sorted place: co-signing.
    ///
    /// # Errors
    /// [`RecordError::SignatureRepeated`] if the key has a line already, [`RecordError::Note`]
    /// above 64 lines, [`RecordError::TooLong`] if the line does not fit.
    pub fn with_signature(&self, signature: Signature) -> Result<Record, RecordError> {
        let mut signatures = self.note.signatures().to_vec();
        signatures.push(signature);
        sort_signatures(&mut signatures);
        check_order(&signatures)?;
        let note = Note::new(self.note.text(), signatures)?;
        let bytes = note.to_string();
        check_size(bytes.len())?;
        Ok(Record { bytes, note, ..self.clone() })
    }

    /// What people cite: the digest of the text, whoever signed it.
    pub fn statement(&self) -> StatementId {
        self.statement
    }

    /// The signed note.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The signed text, with its first line and final newline.
    pub fn text(&self) -> &str {
        self.note.text()
    }

    /// The most heap that a record of so many bytes takes, while it is read and afterwards, those
    /// bytes counted: 16 for each of them as values, and the text three times.
    pub const fn most_heap_bytes(bytes: usize) -> usize {
        4096 + 20 * bytes
    }

    /// What the record takes of the heap.
    pub fn heap_bytes(&self) -> usize {
        let Record { bytes, note, envelope, body, .. } = self;
        block(bytes.capacity()) + note.heap_bytes() + envelope.heap_bytes() + body.heap_bytes()
    }

    /// The record's bytes, exactly as they were read.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_bytes()
    }

    /// A copy of the record's bytes, exactly as they were read.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    /// What the record says about itself.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// What the record is.
    pub fn kind(&self) -> Kind {
        self.envelope.kind()
    }

    /// The JSON object with all its members, unknown ones too.
    pub fn body(&self) -> &Object {
        &self.body
    }

    /// The summary in English, else in the first language it is written in.
    pub fn summary(&self) -> &str {
        envelope::in_english(&self.body, "summary")
    }
}

impl Outline {
    /// Reads what can be said of any record.
    ///
    /// # Errors
    /// [`RecordError`] names the first rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Outline, RecordError> {
        let note = read_note(bytes)?;
        let json = json_of(note.text())?;
        let body = Object::parse(json).map_err(|error| RecordError::from(error).moved_down(1))?;
        let envelope = check_envelope(&body)?;
        sealed::check_named(&body)?;
        Ok(Outline { statement: StatementId::of_note(&note), note, envelope })
    }

    /// What people cite: the digest of the text.
    pub fn statement(&self) -> StatementId {
        self.statement
    }

    /// The signed note.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// What the record says about itself; the title is empty if it is sealed.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

fn read_note(bytes: &[u8]) -> Result<Note, RecordError> {
    check_size(bytes.len())?;
    let note = Note::parse(bytes)?;
    check_order(note.signatures())?;
    Ok(note)
}

fn check_size(bytes: usize) -> Result<(), RecordError> {
    if bytes > MAX_RECORD_BYTES { Err(RecordError::TooLong(bytes)) } else { Ok(()) }
}

fn json_of(text: &str) -> Result<&str, RecordError> {
    let rest = text.strip_prefix(FIRST_LINE).and_then(|rest| rest.strip_prefix('\n'));
    let rest = rest.ok_or(RecordError::FirstLine)?;
    let json = rest.strip_suffix('\n').unwrap_or(rest);
    if json.starts_with('{') && json.ends_with('}') {
        Ok(json)
    } else {
        Err(RecordError::NotOneObject)
    }
}

fn check_text(text: &str) -> Result<(Envelope, Object), RecordError> {
    check_json(json_of(text)?).map_err(|error| error.moved_down(1))
}

/// Checks an object against the rules, the envelope and its kind.
fn check_json(json: &str) -> Result<(Envelope, Object), RecordError> {
    let body = Object::parse(json)?;
    let envelope = check_envelope(&body)?;
    sealed::check_named(&body)?;
    check_kind(envelope.kind(), &body)?;
    Ok((envelope, body))
}

/// Checks the digests of sealed members, and the envelope.
fn check_envelope(body: &Object) -> Result<Envelope, RecordError> {
    sealed::check_digests(body)?;
    Envelope::read(body)
}

fn check_kind(kind: Kind, body: &Object) -> Result<(), RecordError> {
    Ok(kind.definition().check(body)?)
}

fn sort_signatures(signatures: &mut [Signature]) {
    signatures.sort_by(|a, b| (a.name(), a.id()).cmp(&(b.name(), b.id())));
}

fn check_order(signatures: &[Signature]) -> Result<(), RecordError> {
    for (at, pair) in signatures.windows(2).enumerate() {
        match (pair[0].name(), pair[0].id()).cmp(&(pair[1].name(), pair[1].id())) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Err(RecordError::SignatureRepeated(at + 2)),
            std::cmp::Ordering::Greater => return Err(RecordError::SignatureOrder(at + 2)),
        }
    }
    Ok(())
}

#[cfg(all(test, feature = "sign"))]
pub(crate) mod tests;
