//! `ledger completions`: prints completion scripts for shells.

use clap::{Command, CommandFactory as _, ValueEnum};
use clap_complete::Shell;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example:
  ledger completions bash > ~/.local/share/bash-completion/completions/ledger
  ledger completions bash --program ledger-node > ledger-node.bash";

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// The program whose commands are completed
    #[arg(long, value_enum, default_value_t = Program::Ledger)]
    program: Program,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Program {
    Ledger,
    LedgerNode,
}

/// Runs the command; `ledger` is the command tree of this program.
///
/// # Errors
/// [`Failure`] when stdout cannot be written.
pub fn run(args: &Args, ledger: Command, out: &Output) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    let (mut command, name) = match args.program {
        Program::Ledger => (ledger, "ledger"),
        Program::LedgerNode => (ledger_node::cli::Cli::command(), "ledger-node"),
    };
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    out.data(&script)?;
    let script = String::from_utf8_lossy(&script).into_owned();
    Ok(Outcome::done(json!({ "shell": args.shell.to_string(), "script": script })))
}
