//! What an earlier import left in the folder, and what of it counts.

use std::path::Path;

use ledger_core::ProvenRecord;
use ledger_core::note::SignerKey;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Draft, MAX_RECORD_BYTES, Object, Record};

use crate::failure::Failure;
use crate::files;
use crate::trust::Trust;

/// Bytes a proof file may have.
const MAX_PROOF_BYTES: usize = 1 << 20;

/// What to do about a report whose record may lie in the folder. Closed.
#[derive(Debug)]
pub enum Kept {
    /// The record is in the log, and its proof holds.
    Done,
    /// The record says what the report says and is signed by the key: it only needs its proof.
    Record(Box<Record>),
    /// Nothing there can be used: the record is written anew.
    Nothing,
}

/// Looks at the record at `path` and at the proofs beside it.
///
/// # Errors
/// [`Failure`] when what lies there must not be replaced: a proven record that says something else,
/// or the record of another log with its proof.
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
                "import into another folder: --out",
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

/// The failure of a report that says something else than what is in the log.
pub fn changed(place: &str) -> Failure {
    Failure::refused(
        format!("changed in the source: {place} is in the log and says something else"),
        "what is logged stays; log the change as a record of its own that amends it",
    )
}

/// Whether two records say the same, whenever they were written.
pub fn same(one: &Object, other: &Object) -> bool {
    let timeless = |object: &Object| object.clone().with("issued_at", "");
    timeless(one) == timeless(other)
}

/// The record in a file; `None` when there is no file, or something else in it.
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

/// Whether the one signature is the key's and holds: Ed25519 gives the same one again.
fn is_signed_by(record: &Record, key: &SignerKey) -> bool {
    let own = key.sign_text(record.note().text());
    matches!(record.note().signatures(), [line] if *line == own)
}
