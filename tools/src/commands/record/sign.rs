//! `ledger record sign`: signs a draft, or adds a signature to a record.

use std::path::{Path, PathBuf};

use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::{MAX_RECORD_BYTES, Opened, RecordError, unknown_members};
use serde_json::json;

use crate::failure::Failure;
use crate::files;
use crate::keys;
use crate::output::{Outcome, Output};
use crate::unsigned::Unsigned;
use crate::view;

const EXAMPLE: &str = "\
Example: two members sign one decision, one after the other
  ledger record sign draft.json --key lab.key -o decision.record
  ledger record sign decision.record --key board.key
Example: sign sealed members only if these disclosures open them
  ledger record sign sealed.json --key lab.key --disclosures root-cause.disclosures";

/// Sign a draft, or add a signature to a signed record
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A draft from `record new` or `charter new`, or a record
    #[arg(value_name = "DRAFT|RECORD")]
    file: PathBuf,
    /// A member's key file, made by `keygen --use record`; may be given several times
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// Disclosures of its sealed members, one a line: they must open all of them, or it is not
    /// signed; may be given several times
    #[arg(long, value_name = "FILE")]
    disclosures: Vec<PathBuf>,
    /// Where to write the record; default: NAME.record beside a draft, or in place for a record
    #[arg(short, value_name = "OUT.record")]
    out: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a file cannot be read, the draft is refused, a disclosure does not open it, or
/// a key signs no records.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let keys = read_keys(&args.keys)?;
    let bytes = files::read(&args.file, MAX_RECORD_BYTES)?;
    let proof = files::beside(&args.file, "tlog-proof");
    let is_record = bytes.starts_with(ledger_core::record::FIRST_LINE.as_bytes());
    if is_record && args.out.is_none() && args.file.as_os_str() != "-" && proof.exists() {
        return Err(Failure::refused(
            format!("{} is logged: {} proves these bytes", args.file.display(), proof.display()),
            "another signature would break the proof; sign a copy: -o OTHER.record",
        ));
    }
    let refused = |e: RecordError| Failure::refused_by(e).of(args.file.display());
    let unsigned = Unsigned::read(&bytes).map_err(refused)?;
    let opened = unsigned.open(&args.disclosures, &args.file, out)?;
    let record = unsigned.sign(&keys.iter().collect::<Vec<_>>()).map_err(refused)?;
    let log = record.envelope().log();
    if let Some(at) = keys.iter().position(|key| key.verifier().name().as_str() == log) {
        return Err(Failure::refused(
            format!("{} is the key of the log {log}", args.keys[at].display()),
            "a log's key signs no records: sign with a member's key",
        ));
    }
    for member in unknown_members(record.kind(), record.body()) {
        out.warn(format!("the kind {} has no member `{member}`: a typo?", record.kind()));
    }
    let path = target(args, is_record);
    if path.as_os_str() == "-" {
        out.data(record.as_bytes())?;
    } else if is_record && args.out.is_none() {
        files::replace(&path, record.as_bytes())?;
    } else {
        files::create(&path, record.as_bytes())?;
    }
    let signers: Vec<String> =
        record.note().signatures().iter().map(|line| line.name().to_string()).collect();
    let (file, statement) = (path.display().to_string(), record.statement().to_string());
    if file != "-" {
        out.line(&file);
        out.line(format!("  statement {statement}"));
        out.line(format!("  signed by {}", signers.join(", ")));
        opened.iter().for_each(|opened| show_opened(opened, out));
    }
    let paths = opened.as_ref().map(view::opened);
    Ok(Outcome::done(json!({
        "file": file, "statement": statement, "signers": signers, "opened": paths,
    })))
}

fn read_keys(paths: &[PathBuf]) -> Result<Vec<SignerKey>, Failure> {
    let mut keys = Vec::with_capacity(paths.len());
    for path in paths {
        let key = keys::read(path)?;
        if key.verifier().algorithm() != Algorithm::Ed25519 {
            return Err(Failure::refused(
                format!("{} holds a cosigner's key, which signs no records", path.display()),
                "sign with a key made by `ledger keygen --use record`",
            ));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn show_opened(opened: &Opened, out: &Output) {
    out.line(format!("  opened {}", view::opened(opened).join(", ")));
    if opened.closed() > 0 {
        out.line(format!("  closed {}", view::digests(opened.closed())));
    }
}

fn target(args: &Args, is_record: bool) -> PathBuf {
    let stdin = args.file.as_os_str() == "-";
    match &args.out {
        Some(path) => path.clone(),
        None if stdin => Path::new("-").to_owned(),
        None if is_record => args.file.clone(),
        None => files::beside(&args.file, "record"),
    }
}
