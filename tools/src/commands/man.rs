//! `ledger man`: writes manual pages.

use std::path::PathBuf;

use clap::{Command, CommandFactory as _};
use serde_json::json;

use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example:
  ledger man ~/.local/share/man/man1 && man ledger-audit";

/// Write a manual page for every command of ledger and ledger-node
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The folder for the pages; made if it does not exist
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the command; `ledger` is the command tree of this program.
///
/// # Errors
/// [`Failure`] when the pages cannot be written.
pub fn run(args: &Args, ledger: Command, out: &Output) -> Result<Outcome, Failure> {
    let write = move || {
        std::fs::create_dir_all(&args.dir)?;
        clap_mangen::generate_to(ledger, &args.dir)?;
        clap_mangen::generate_to(ledger_node::cli::Cli::command(), &args.dir)
    };
    write().map_err(|e| files::cannot_write(&args.dir, &e))?;
    let dir = args.dir.display().to_string();
    out.line(format!("manual pages written to {dir}"));
    Ok(Outcome::done(json!({ "dir": dir })))
}
