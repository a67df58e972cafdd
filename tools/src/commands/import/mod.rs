//! `ledger import`: imports published collections of incidents.

mod avid;
mod kept;
mod map;
mod read;

use crate::failure::Failure;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: every report becomes a signed record with a proof beside it; run it again to continue
  ledger import avid reports.jsonl.gz --key lab.key --out avid --node http://127.0.0.1:7780";

/// Turn published incident reports into records
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Avid(avid::Args),
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the subcommand fails.
pub fn run(args: Args, out: &Output) -> Result<Outcome, Failure> {
    match args.command {
        Command::Avid(args) => avid::run(args, out),
    }
}
