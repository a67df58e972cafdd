//! `ledger record schema`: prints what a kind's records must hold, for other programs.

use ledger_core::record::{Kind, schema};

use crate::failure::Failure;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: check a draft with any validator of JSON Schema 2020-12
  ledger record schema incident > incident.schema.json";

/// Print the JSON Schema of a kind of records
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The kind: decision, incident, review, risk, ...
    kind: String,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for an unknown kind, or when stdout cannot be written.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let kind = Kind::parse(&args.kind).ok_or_else(|| {
        let message = format!("there is no kind \"{}\"", args.kind);
        Failure::usage(message, format!("write one of {}", words.join(", ")))
    })?;
    let text = format!("{}\n", schema(kind).to_pretty_json());
    out.data(text.as_bytes())?;
    let object: serde_json::Value = serde_json::from_str(&text).expect("our own JSON");
    Ok(Outcome::done(serde_json::json!({ "kind": kind.as_str(), "schema": object })))
}
