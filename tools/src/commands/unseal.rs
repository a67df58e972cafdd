//! `ledger unseal`: opens the sealed members of a record.

use std::path::PathBuf;

use ledger_core::record::{MAX_RECORD_BYTES, Record};
use serde_json::json;

use crate::disclosures::Disclosures;
use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};
use crate::view;

const EXAMPLE: &str = "\
Example: read what the issuer sealed for you
  ledger unseal incident.record --disclosures root-cause.disclosures

This proves that the opened members belong to the record, not who signed it: see `ledger verify`.";

/// Open sealed members of a record with their disclosures
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A signed record
    #[arg(value_name = "RECORD")]
    file: PathBuf,
    /// Disclosures, one a line; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    disclosures: Vec<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a file cannot be read, or a disclosure does not belong to this record.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let bytes = files::read(&args.file, MAX_RECORD_BYTES)?;
    let record =
        Record::parse(&bytes).map_err(|e| Failure::refused_by(e).of(args.file.display()))?;
    let opened = Disclosures::read(&args.disclosures)?.open(&record, &args.file)?;
    out.block(&view::object(opened.object()));
    let statement = record.statement().to_string();
    let paths = view::opened(&opened);
    out.line("");
    out.line(format!("statement    {statement}"));
    for path in &paths {
        out.line(format!("opened       {path}"));
    }
    if opened.closed() > 0 {
        out.line(format!("closed       {}", view::digests(opened.closed())));
    }
    let object: serde_json::Value =
        serde_json::from_str(&opened.object().to_pretty_json()).unwrap_or(serde_json::Value::Null);
    Ok(Outcome::done(json!({
        "statement": statement,
        "record": object,
        "opened": paths,
        "closed": opened.closed(),
    })))
}
