//! `ledger unseal`: a record with its sealed members opened.

use std::path::PathBuf;

use ledger_core::record::{MAX_RECORD_BYTES, Record, SealPath, open};
use serde_json::json;

use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};
use crate::view;

use super::seal::read_disclosures;

const EXAMPLE: &str = "\
Example: read what the issuer sealed for you
  ledger unseal incident.record --disclosures root-cause.disclosures

It proves that the opened members are the record's, not who signed that: see `ledger verify`.";

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
/// [`Failure`] when a file cannot be read, or a disclosure does not open this very record.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let bytes = files::read(&args.file, MAX_RECORD_BYTES)?;
    let record = Record::parse(&bytes)
        .map_err(|e| Failure::refused(e.to_string(), e.hint()).of(args.file.display()))?;
    let mut disclosures = Vec::new();
    let mut places = Vec::new();
    for file in &args.disclosures {
        let lines = read_disclosures(file)?;
        places.extend((1..=lines.len()).map(|line| format!("{} line {line}", file.display())));
        disclosures.extend(lines);
    }
    let opened = open(&record, &disclosures).map_err(|e| {
        let place = e.disclosure().and_then(|number| places.get(number - 1).cloned());
        let place = place.unwrap_or_else(|| args.file.display().to_string());
        Failure::refused(e.to_string(), e.hint()).of(place)
    })?;
    out.block(&view::object(opened.object()));
    let statement = record.statement().to_string();
    let paths: Vec<String> = opened.paths().iter().map(SealPath::to_string).collect();
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
