//! Records before they are signed: checked texts, templates, and what is still missing.

#[cfg(feature = "sign")]
use crate::note::{Algorithm, SignerKey};

#[cfg(feature = "sign")]
use super::Record;
use super::id::RecordId;
use super::json::Object;
use super::kinds::ENVELOPE;
use super::shape::MemberDef;
use super::time::format_time;
use super::{
    Envelope, FIRST_LINE, Kind, MAX_RECORD_BYTES, RecordError, StatementId, check_json, check_size,
};

/// An unsigned record: one JSON object that obeys every rule, in the exact text to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    json: String,
    envelope: Envelope,
    body: Object,
}

/// What a new record says before anybody has written anything.
#[derive(Debug, Clone)]
pub struct Basics<'a> {
    /// The origin of the log that it is meant for.
    pub log: &'a str,
    /// The member that speaks.
    pub issuer: &'a str,
    /// The issuer's own name for it.
    pub id: RecordId,
    /// When it is written, in POSIX seconds.
    pub issued_at: u64,
}

impl Draft {
    /// Reads one JSON object and checks it as a record's; blanks around the object are dropped.
    ///
    /// # Errors
    /// [`RecordError`] as [`Record::parse`](super::Record::parse) gives it for everything but the
    /// note; lines are counted in `json`.
    pub fn parse(json: &str) -> Result<Draft, RecordError> {
        check_size(json.len())?;
        let cut = json.trim_start_matches([' ', '\n']);
        let skipped = json[..json.len() - cut.len()].matches('\n').count();
        let cut = cut.trim_end_matches([' ', '\n']);
        if !cut.starts_with('{') || !cut.ends_with('}') {
            return Err(RecordError::NotOneObject);
        }
        let (envelope, body) = check_json(cut).map_err(|error| error.moved_down(skipped))?;
        let draft = Draft { json: cut.to_owned(), envelope, body };
        check_size(draft.text().len())?;
        Ok(draft)
    }

    /// Prints an object as indented JSON and checks it as a record's.
    ///
    /// # Errors
    /// As [`Draft::parse`].
    pub fn from_object(object: &Object) -> Result<Draft, RecordError> {
        Draft::parse(&object.to_pretty_json())
    }

    /// The text to be signed: the first line, the object, a newline. At most
    /// [`MAX_RECORD_BYTES`] with its signatures.
    pub fn text(&self) -> String {
        const { assert!(FIRST_LINE.len() < MAX_RECORD_BYTES) };
        format!("{FIRST_LINE}\n{}\n", self.json)
    }

    /// The object's text without first line and final newline.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The id that the record will have, whoever signs it.
    pub fn statement(&self) -> StatementId {
        StatementId::of_text(&self.text())
    }

    /// What the record says about itself.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The JSON object.
    pub fn body(&self) -> &Object {
        &self.body
    }

    /// Signs the draft with each key; the lines come out sorted.
    ///
    /// # Errors
    /// [`RecordError::Note`] without keys or above 64, [`RecordError::SignatureRepeated`] for one
    /// key twice, [`RecordError::CosignerKey`] for a key that signs checkpoints,
    /// [`RecordError::TooLong`] if the lines do not fit.
    #[cfg(feature = "sign")]
    pub fn sign(&self, keys: &[&SignerKey]) -> Result<Record, RecordError> {
        let text = self.text();
        let signatures: Result<Vec<_>, _> = keys.iter().map(|key| sign_text(key, &text)).collect();
        Record::assemble(self, signatures?)
    }
}

#[cfg(feature = "sign")]
impl Record {
    /// The record signed by one more key.
    ///
    /// # Errors
    /// As [`Record::with_signature`], and [`RecordError::CosignerKey`].
    pub fn cosign(&self, key: &SignerKey) -> Result<Record, RecordError> {
        self.with_signature(sign_text(key, self.text())?)
    }
}

#[cfg(feature = "sign")]
fn sign_text(key: &SignerKey, text: &str) -> Result<crate::note::Signature, RecordError> {
    match key.verifier().algorithm() {
        Algorithm::Ed25519 => Ok(key.sign_text(text)),
        _ => Err(RecordError::CosignerKey(key.verifier().name().to_string())),
    }
}

/// The members that a record of a kind must have, the envelope's first.
pub fn required(kind: Kind) -> impl Iterator<Item = &'static MemberDef> {
    let own = kind.definition().members;
    ENVELOPE.iter().chain(own).filter(|member| member.is_required())
}

/// A record's object with what [`Basics`] give; the rest is to be asked for: see [`missing`].
pub fn template(kind: Kind, basics: &Basics<'_>) -> Object {
    Object::new()
        .with("log", basics.log)
        .with("kind", kind.as_str())
        .with("id", basics.id.to_string())
        .with("issuer", basics.issuer)
        .with("issued_at", format_time(basics.issued_at))
}

/// The members of [`required`] that an object does not have yet.
pub fn missing(kind: Kind, object: &Object) -> Vec<&'static MemberDef> {
    required(kind).filter(|member| object.get(member.name).is_none()).collect()
}

impl std::str::FromStr for Draft {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Draft, RecordError> {
        Draft::parse(text)
    }
}
