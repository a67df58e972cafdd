//! `ledger charter succeed` and `ledger charter sign`: leave a log for another one.

use std::path::{Path, PathBuf};

use ledger_core::Hint;
use ledger_core::charter::Charter;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::index::LeafIndex;
use ledger_core::merkle::TreeHead;
use ledger_core::note::{MAX_NOTE_BYTES, SignerKey};
use ledger_core::record::{MAX_RECORD_BYTES, Record, format_time};
use ledger_core::succession::{
    ClaimedSuccession, GovernanceRef, MAX_SUCCESSION_BYTES, Succession, SuccessionError,
};
use serde_json::{Value, json};

use crate::commands::audit::chain::{self, NotShown};
use crate::commands::audit::read_checkpoint;
use crate::environment;
use crate::failure::Failure;
use crate::files;
use crate::keys;
use crate::output::{Outcome, Output};
use crate::reach;

const SUCCEED: &str = "\
Example: the operator has vanished; two stewards leave the log at its last checkpoint
  ledger charter succeed --log-checkpoint last.checkpoint --source COPY --charter new.record \\
    --key lab.key -o new.succession
  ledger charter sign new.succession --key board.key";

const SIGN: &str = "\
Example: verify the note, then add a signature to the file
  ledger verify new.succession --anchor OLD --charter old.authority --source COPY
  ledger charter sign new.succession --key board.key";

/// Write a succession note, by which members leave a log for one that a new charter founds
#[derive(Debug, clap::Args)]
#[command(after_help = SUCCEED)]
pub struct SucceedArgs {
    /// The last checkpoint of the old log that members accept; verify it first with `ledger verify`
    #[arg(long, value_name = "FILE")]
    log_checkpoint: PathBuf,
    /// A folder or URL with the old log's files; the note names the last governance entry of the
    /// checkpoint's tree
    #[arg(long, value_name = "SOURCE")]
    source: String,
    /// The record of the new charter, signed by all its founders
    #[arg(long, value_name = "NEW.record")]
    charter: PathBuf,
    /// The key file (`keygen --use record`) of a member of the old log; may be given several times
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// Where to write the note; - is stdout
    #[arg(short, value_name = "OUT.succession")]
    out: PathBuf,
}

/// Add signatures to a succession note
#[derive(Debug, clap::Args)]
#[command(after_help = SIGN)]
pub struct SignSuccessionArgs {
    /// A note that `charter succeed` wrote
    #[arg(value_name = "SUCCESSION")]
    file: PathBuf,
    /// The key file (`keygen --use record`) of a member of the old log; may be given several times
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// Where to write the note; default: replace the file
    #[arg(short, value_name = "OUT.succession")]
    out: Option<PathBuf>,
}

/// Writes and signs the note.
///
/// # Errors
/// [`Failure`] when a file cannot be read, is not a checkpoint or charter, or a key signs no
/// records.
pub fn succeed(args: &SucceedArgs, out: &Output) -> Result<Outcome, Failure> {
    let path = &args.log_checkpoint;
    let checkpoint =
        ClaimedCheckpoint::parse(&files::read(path, MAX_NOTE_BYTES)?).map_err(|e| {
            let hint = "give the old log's checkpoint, as its readers have it";
            Failure::refused(e.to_string(), hint).of(path.display())
        })?;
    let record = read_charter(&args.charter)?;
    let successor = Origin::new(record.envelope().log()).map_err(|e| {
        let hint = "write the new charter with another name for its log";
        Failure::refused(e.to_string(), hint).of(args.charter.display())
    })?;
    let old = (checkpoint.checkpoint().origin().clone(), *checkpoint.checkpoint().head());
    let new = (successor, record.statement());
    let governed = governed(&args.source, checkpoint.checkpoint().head())?;
    let succession = Succession::new(old, new, governed, environment::now());
    let succession = succession.map_err(|e| refused(&e))?;
    let keys = read_keys(&args.keys)?;
    let note = succession.sign(&keys.iter().collect::<Vec<_>>()).map_err(|e| refused(&e))?;
    if args.out.as_os_str() == "-" {
        out.data(note.to_string().as_bytes())?;
    } else {
        files::create(&args.out, note.to_string().as_bytes())?;
    }
    out.note(
        "the checkpoint's signatures were not verified. The other members sign with: \
         ledger charter sign FILE --key FILE",
    );
    Ok(show(&args.out, &note, out))
}

/// Adds signatures.
///
/// # Errors
/// [`Failure`] when the file is not a succession, or a key has signed it already or signs no
/// records.
pub fn sign(args: &SignSuccessionArgs, out: &Output) -> Result<Outcome, Failure> {
    let bytes = files::read(&args.file, MAX_SUCCESSION_BYTES)?;
    let of_file = |e: &SuccessionError| refused(e).of(args.file.display());
    let note = ClaimedSuccession::parse(&bytes).map_err(|e| of_file(&e))?;
    let keys = read_keys(&args.keys)?;
    let signed = keys.iter().try_fold(note, |note, key| note.cosign(key));
    let signed = signed.map_err(|e| of_file(&e))?;
    let path = args.out.as_ref().unwrap_or(&args.file);
    match &args.out {
        _ if path.as_os_str() == "-" => out.data(signed.to_string().as_bytes())?,
        Some(path) => files::create(path, signed.to_string().as_bytes())?,
        None => files::replace(path, signed.to_string().as_bytes())?,
    }
    Ok(show(path, &signed, out))
}

/// What a succession says, as JSON.
pub fn object(succession: &Succession) -> Value {
    json!({
        "origin": succession.origin().as_str(),
        "size": succession.head().size.get(),
        "root": succession.head().root.to_base64(),
        "successor": succession.successor().as_str(),
        "charter": succession.charter().to_string(),
        "governed": governance(&succession.governed()),
        "issued": format_time(succession.issued()),
    })
}

/// A governance entry, as JSON.
pub fn governance(entry: &GovernanceRef) -> Value {
    json!({ "index": entry.index.get(), "statement": entry.statement.to_string() })
}

/// The last governance entry of a head's tree. The tree's last entry is that entry, or names it.
fn governed(source: &str, head: &TreeHead) -> Result<GovernanceRef, Failure> {
    let hint = "give files of the old log that reach the checkpoint: the operator's, a mirror's, or \
                a member's copy";
    let refused = |e: String| Failure::refused(e, hint).of(source);
    let not_shown = |e: NotShown| e.failure(e.to_string(), hint).of(source);
    let opened = reach::source(source)?;
    let bytes = read_checkpoint(&opened)?;
    let claimed = ClaimedCheckpoint::parse(&bytes).map_err(|e| refused(e.to_string()))?;
    let size = claimed.checkpoint().head().size;
    if size < head.size {
        return Err(refused(format!(
            "it ends at size {size}, but the checkpoint at {}",
            head.size
        )));
    }
    let (end, _) = chain::end(&opened, head, size).map_err(not_shown)?;
    let last = head.size.last().unwrap_or(LeafIndex::ZERO);
    let is_norm = end.record().kind().is_governance();
    let index = if is_norm { last } else { end.logged().governance };
    let (entry, _) = chain::included(&opened, index, (head, size)).map_err(not_shown)?;
    if !entry.record().kind().is_governance() {
        return Err(refused(format!(
            "entry {index}, which its last entry names, is not a governance entry"
        )));
    }
    Ok(GovernanceRef { index, statement: entry.record().statement() })
}

fn show(path: &Path, note: &ClaimedSuccession, out: &Output) -> Outcome {
    let lines = note.note().signatures().iter();
    let signers: Vec<String> = lines.map(|line| line.name().to_string()).collect();
    let (file, own) = (path.display().to_string(), note.succession());
    if file != "-" {
        out.line(&file);
        out.line(format!(
            "  leaves {} at size {}, for {}",
            own.origin().as_str(),
            own.head().size,
            own.successor().as_str()
        ));
        out.line(format!("  the new anchor {}", own.charter()));
        out.line(format!("  decided by the rules of its entry {}", own.governed().index));
        out.line(format!("  signed by {}", signers.join(", ")));
    }
    let mut object = object(own);
    object["file"] = json!(file);
    object["signers"] = json!(signers);
    Outcome::done(object)
}

/// Reads the new charter's record, which must be a valid charter.
fn read_charter(path: &Path) -> Result<Record, Failure> {
    let refused = |message: String, hint: &str| Failure::refused(message, hint).of(path.display());
    let record = Record::parse(&files::read(path, MAX_RECORD_BYTES)?)
        .map_err(|e| refused(e.to_string(), e.hint()))?;
    Charter::check_record(&record, record.envelope().issued_at())
        .map_err(|e| refused(e.to_string(), e.hint()))?;
    Ok(record)
}

fn read_keys(paths: &[PathBuf]) -> Result<Vec<SignerKey>, Failure> {
    paths.iter().map(|path| keys::read(path)).collect()
}

fn refused(error: &SuccessionError) -> Failure {
    Failure::refused_by(error)
}
