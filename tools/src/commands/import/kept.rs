//! Checks what an earlier import left in the folder.

use std::path::Path;

use ledger_core::ProvenRecord;
use ledger_core::note::SignerKey;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Draft, MAX_RECORD_BYTES, Object, Record};

use crate::failure::Failure;
use crate::files;
use crate::trust::Trust;

/// Limit on the bytes of a proof file.
const MAX_PROOF_BYTES: usize = 1 << 20;

/// What to do about a report whose record may be in the folder. Closed.
#[derive(Debug)]
pub enum Kept {
    /// The record is in the log, and its proof verifies.
    Done,
    /// The record matches the report and is signed by the key. Only its proof is missing.
    Record(Box<Record>),
    /// No file can be used: the record must be written.
    Nothing,
}

/// Checks the record at `path` and the proofs beside it.
///
/// # Errors
/// [`Failure`] when a file must not be replaced: a proven record with other contents, or the record
/// of another log with its proof.
pub fn look(
    path: &Path,
    draft: &Draft,
    key: &SignerKey,
    trust: Option<&Trust>,
) -> Result<Kept, Failure> {
    let logged = files::beside(path, "logged.record");
    for record in [logged.as_path(), path] {
        let Some(found) = parse(record)? else { continue };
        let proof = files::beside(record, "tlog-proof");
        if found.envelope().log() != draft.envelope().log() {
            if !proof.exists() {
                continue;
            }
            let log = found.envelope().log();
            return Err(Failure::refused(
                format!("{} belongs to the log {log}", record.display()),
                "import into another folder with --out",
            ));
        }
        let proven = trust.is_some_and(|trust| is_proven(&found, &proof, trust));
        if proven && same(found.body(), draft.body()) {
            return Ok(Kept::Done);
        }
        if proven {
            return Err(changed(&record.display().to_string()));
        }
    }
    let Some(found) = parse(path)? else { return Ok(Kept::Nothing) };
    let usable = same(found.body(), draft.body()) && is_signed_by(&found, key);
    Ok(if usable { Kept::Record(Box::new(found)) } else { Kept::Nothing })
}

/// The failure for a report that differs from its record in the log.
pub fn changed(place: &str) -> Failure {
    Failure::refused(
        format!("changed in the source: {place} is in the log with other contents"),
        "a logged record stays; log the change as a new record that amends it",
    )
}

/// Whether two records have the same contents, apart from their time.
pub fn same(one: &Object, other: &Object) -> bool {
    let timeless = |object: &Object| object.clone().with("issued_at", "");
    timeless(one) == timeless(other)
}

/// The record in a file; `None` when there is no file, or it holds no record.
fn parse(path: &Path) -> Result<Option<Record>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    match files::read(path, MAX_RECORD_BYTES) {
        Ok(bytes) => Ok(Record::parse(&bytes).ok()),
        Err(failure) if failure.exit == crate::failure::Exit::Refused => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn is_proven(record: &Record, proof: &Path, trust: &Trust) -> bool {
    let Ok(bytes) = files::read(proof, MAX_PROOF_BYTES) else { return false };
    proves(&bytes, record, trust)
}

/// Whether a proof file proves that a record is in the trusted log.
pub fn proves(proof: &[u8], record: &Record, trust: &Trust) -> bool {
    let Ok(proof) = TlogProof::parse(proof) else { return false };
    ProvenRecord::verify(record.as_bytes(), &proof, &trust.policy_for(&proof.checkpoint)).is_ok()
}

/// Whether the only signature is a valid one by this key. Ed25519 is deterministic, so signing
/// again gives the same line.
fn is_signed_by(record: &Record, key: &SignerKey) -> bool {
    let own = key.sign_text(record.note().text());
    matches!(record.note().signatures(), [line] if *line == own)
}
