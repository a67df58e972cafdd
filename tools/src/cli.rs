//! The command line itself: global flags, commands, and how the program ends.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{
    audit, charter, checkpoint, completions, demo, evidence, gossip, import, inbox, keygen, man,
    mirror, propose, prove, record, register, seal, submit, unseal, verify, witness,
};
use serde_json::Value;

use crate::failure::Failure;
use crate::output::{self, Outcome, Output};
use crate::reach;

const EXAMPLES: &str = "\
Exit codes: 0 done, 1 refused or not proven, 2 usage, 3 environment (files, network, disk)

Example: check a record that you received, offline
  ledger verify decision.tlog-proof --anchor STATEMENT --charter charter.record";

/// A transparency ledger for consortia: sign, submit, prove, verify and audit records
#[derive(Debug, Parser)]
#[command(name = "ledger", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// Print one JSON object on stdout, and nothing else
    #[arg(long, global = true)]
    json: bool,
    /// Print data and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// More certificate authorities to trust for TLS, as a PEM file
    #[arg(long, global = true, value_name = "FILE", env = "LEDGER_CA")]
    ca: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keygen(keygen::Args),
    Charter(charter::Args),
    Record(record::Args),
    Seal(seal::Args),
    Unseal(unseal::Args),
    Submit(submit::Args),
    Propose(propose::Args),
    Inbox(inbox::Args),
    Prove(prove::Args),
    Verify(verify::Args),
    Checkpoint(checkpoint::Args),
    Audit(audit::Args),
    Witness(witness::Args),
    Mirror(mirror::Args),
    Gossip(gossip::Args),
    Register(register::Args),
    Import(import::Args),
    Evidence(evidence::Args),
    Demo(demo::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs the program with its arguments, the program's name first.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let wants_json = args.iter().any(|arg| arg == "--json");
    let exit = match Cli::try_parse_from(args) {
        Ok(cli) => {
            let out = Output::new(cli.json, cli.quiet);
            let believed = cli.ca.as_deref().map_or(Ok(()), reach::believe);
            out.finish(&believed.and_then(|()| dispatch(cli.command, &out)))
        }
        Err(error) if !error.use_stderr() => {
            let printed = output::print_help(&error).map(|()| Outcome::done(Value::Null));
            Output::new(false, false).finish(&printed)
        }
        Err(error) => Output::new(wants_json, false).finish(&Err(usage(&error))),
    };
    ExitCode::from(exit as u8)
}

/// Runs a command line inside this process, as the demo does.
///
/// # Errors
/// [`Failure`] when the command fails, or its command line is wrong.
pub fn run_step(args: &[&str], out: &Output) -> Result<Outcome, Failure> {
    let parsed = without_environment(Cli::command()).try_get_matches_from(args);
    let cli = parsed.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|e| usage(&e))?;
    dispatch(cli.command, out)
}

/// The same commands without their environment variables, because the demo has its own log.
fn without_environment(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.env(Resettable::Reset)).mut_subcommands(without_environment)
}

fn dispatch(command: Command, out: &Output) -> Result<Outcome, Failure> {
    match command {
        Command::Keygen(args) => keygen::run(&args, out),
        Command::Charter(args) => charter::run(&args, out),
        Command::Record(args) => record::run(&args, out),
        Command::Seal(args) => seal::run(&args, out),
        Command::Unseal(args) => unseal::run(&args, out),
        Command::Submit(args) => submit::run(args, out),
        Command::Propose(args) => propose::run(&args, out),
        Command::Inbox(args) => inbox::run(args, out),
        Command::Prove(args) => prove::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Checkpoint(args) => checkpoint::run(&args, out),
        Command::Audit(args) => audit::run(&args, out),
        Command::Witness(args) => witness::run(&args, out),
        Command::Mirror(args) => mirror::run(&args, out),
        Command::Gossip(args) => gossip::run(&args, out),
        Command::Register(args) => register::run(&args, out),
        Command::Import(args) => import::run(args, out),
        Command::Evidence(args) => evidence::run(&args, out),
        Command::Demo(args) => demo::run(&args, run_step, out),
        Command::Completions(args) => completions::run(&args, Cli::command(), out),
        Command::Man(args) => man::run(&args, Cli::command(), out),
    }
}

/// Turns clap's error into a usage error with a message and a hint.
fn usage(error: &clap::Error) -> Failure {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::usage("no command was given", "see `ledger --help`");
    }
    let text = error.render().to_string();
    let mut lines = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let first = lines.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let rest: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let (tips, more): (Vec<&str>, Vec<&str>) =
        rest.into_iter().partition(|line| line.starts_with("tip: ") || line.starts_with('['));
    let message = [message, more.join(", ")].join(" ").trim_end().to_owned();
    let hint = match (tips.first(), error.get(ContextKind::Usage)) {
        (Some(tip), _) => tip.trim_start_matches("tip: ").to_owned(),
        (None, Some(usage)) => {
            let usage = usage.to_string();
            usage.trim_start_matches("Usage: ").trim().lines().next().unwrap_or("").to_owned()
        }
        (None, None) => "see `ledger --help`".to_owned(),
    };
    Failure::usage(message, hint)
}
