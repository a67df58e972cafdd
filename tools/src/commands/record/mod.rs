//! `ledger record`: write, sign and read records.

mod new;
mod schema;
pub mod show;
mod sign;

use crate::failure::Failure;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example:
  ledger record new decision --issuer lab.example --log ledger.example/2026 > draft.json
  ledger record sign draft.json --key lab.key -o decision.record
  ledger record show decision.record";

/// Write, sign and read records
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(new::Args),
    Sign(sign::Args),
    Show(show::Args),
    Schema(schema::Args),
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the subcommand fails.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::New(args) => new::run(args, out),
        Command::Sign(args) => sign::run(args, out),
        Command::Show(args) => show::run(args, out),
        Command::Schema(args) => schema::run(args, out),
    }
}
