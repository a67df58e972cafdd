//! `ledger completions`: what shells need to complete commands.

use clap_complete::Shell;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example:
  ledger completions bash > ~/.local/share/bash-completion/completions/ledger";

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when stdout takes no more.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::cli::command(), "ledger", &mut script);
    out.data(&script)?;
    let script = String::from_utf8_lossy(&script).into_owned();
    Ok(Outcome::done(json!({ "shell": args.shell.to_string(), "script": script })))
}
