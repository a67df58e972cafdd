//! `ledger witness`: chooses the logs that a node witnesses besides its own, and shows the
//! witnesses of the node's log.

use std::path::{Path, PathBuf};

use ledger_core::note::{ParseKeyError, VerifierKey};
use ledger_core::record::format_time;
use ledger_node::known_logs::{LOGS_FILE, LogLine, parse_logs};
use ledger_proto::v1;
use serde_json::json;

use crate::client::{self, NodeArgs};
use crate::commands::log_list::LogList;
use crate::failure::{Exit, Failure};
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: let the node in the directory log witness another log
  ledger witness add --dir log \"$VKEY\" --url https://other.example/log

The list is the file DIR/witness-logs. A running node notices changes within a second. It witnesses
only if config.toml names witness_keys. It keeps permanently what it cosigned of a removed log.";

const ADD_EXAMPLE: &str = "\
Example:
  ledger witness add --dir log \"$VKEY\" --url https://other.example/log";

const REPLACE_EXAMPLE: &str = "\
Example: follow a log that changed its key
  ledger witness replace --dir log \"$OLD_VKEY\" \"$NEW_VKEY\"

The new key takes the line of the old one, with its URL, in one step: the list never holds both keys
or none. If the list has both keys already, one line stays, with a URL if either line has one.";

const REMOVE_EXAMPLE: &str = "\
Example: stop witnessing a log, with all its keys
  ledger witness remove --dir log other.example/log";

const LIST_EXAMPLE: &str = "\
Example:
  ledger witness list --dir log";

const STATUS_EXAMPLE: &str = "\
Example:
  ledger witness status --node http://127.0.0.1:7780

Exit code 1 when the log's latest signed head is not published, so that a script can watch it.";

const EXPECTED: &str =
    "a vkey looks like other.example/log+0123abcd+AbCd...; quote it for the shell";

/// Choose the logs that a node witnesses besides its own, and show its own log's witnesses
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(AddLogArgs),
    Replace(ReplaceArgs),
    Remove(RemoveLogArgs),
    List(ListLogsArgs),
    Status(WitnessStatusArgs),
}

/// Show the witnesses of a node's own log: which are slow or silent
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_EXAMPLE)]
struct WitnessStatusArgs {
    #[command(flatten)]
    node: NodeArgs,
}

/// Add a log's key; a log may have several
#[derive(Debug, clap::Args)]
#[command(after_help = ADD_EXAMPLE)]
struct AddLogArgs {
    /// The log's vkey; its name is the log's origin
    vkey: String,
    /// The node's directory, which `ledger-node init` made
    #[arg(long)]
    dir: PathBuf,
    /// Where the log can be read: its tiles are fetched to make evidence if it shows two histories
    #[arg(long)]
    url: Option<String>,
}

/// Replace a log's old key by its new one, in one step
#[derive(Debug, clap::Args)]
#[command(after_help = REPLACE_EXAMPLE)]
struct ReplaceArgs {
    /// The vkey in the list
    old: String,
    /// The new vkey, of the same log
    new: String,
    /// The node's directory, which `ledger-node init` made
    #[arg(long)]
    dir: PathBuf,
}

/// Remove a log, or one of its keys; what was cosigned is kept
#[derive(Debug, clap::Args)]
#[command(after_help = REMOVE_EXAMPLE)]
struct RemoveLogArgs {
    /// A vkey, or an origin for all keys of that log
    log: String,
    /// The node's directory, which `ledger-node init` made
    #[arg(long)]
    dir: PathBuf,
}

/// Print the logs that the node witnesses
#[derive(Debug, clap::Args)]
#[command(after_help = LIST_EXAMPLE)]
struct ListLogsArgs {
    /// The node's directory, which `ledger-node init` made
    #[arg(long)]
    dir: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for a malformed key, one that is listed already, a log that is not listed, or a file
/// that cannot be read or written.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Add(args) => add(args, out),
        Command::Replace(args) => replace(args, out),
        Command::Remove(args) => remove(args, out),
        Command::List(args) => list(args, out),
        Command::Status(args) => client::runtime()?.block_on(status(args, out)),
    }
}

async fn status(args: &WitnessStatusArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let mut node = args.node.connect().await?;
    let answer = node.witnesses().await?;
    let size = |size: Option<u64>| size.map_or("nothing".to_owned(), |size| size.to_string());
    out.line(format!(
        "signed {}, published {}",
        size(answer.signed_size),
        size(answer.published_size)
    ));
    for witness in &answer.witnesses {
        out.line(format!("  {}: {}", witness.name, described_status(witness)));
        alarms(witness).iter().for_each(|alarm| out.line(format!("    {alarm}")));
    }
    if !answer.waits_for.is_empty() {
        let names = answer.waits_for.join(", ");
        out.line(format!("nothing is signed yet: the log waits for {names}"));
        out.note("if one is gone or wrong: `ledger-node serve --without-witness NAME`");
    }
    if answer.witnesses.is_empty() {
        out.line("  the policy names no witnesses");
    }
    let published = answer.published_size.is_some() && answer.published_size == answer.signed_size;
    let exit = if published { Exit::Done } else { Exit::Refused };
    let object = json!({
        "signed_size": answer.signed_size,
        "published_size": answer.published_size,
        "waits_for": answer.waits_for,
        "witnesses": answer.witnesses.iter().map(|witness| json!({
            "name": witness.name,
            "vkey": witness.vkey,
            "contact": witness.contact,
            "cosigned_size": witness.cosigned_size,
            "cosigned_at": witness.cosigned_at,
            "took_us": witness.took_us,
            "cosignatures": witness.cosignatures,
            "failures": witness.failures,
            "trouble": witness.trouble,
            "trouble_since": witness.trouble_since,
            "waiting_us": witness.waiting_us,
            "slow": witness.slow,
            "claims": witness.claims,
            "rolled_back_from": witness.rolled_back_from,
            "rolled_back_to": witness.rolled_back_to,
            "rolled_back_at": witness.rolled_back_at,
            "clock_ahead": witness.clock_ahead,
            "convicted_by": Some(&witness.convicted_by).filter(|id| !id.is_empty()),
        })).collect::<Vec<_>>(),
    });
    Ok(Outcome { exit, object })
}

/// The state of a witness, on one line.
fn described_status(witness: &v1::WitnessStatus) -> String {
    let millis = |micros: u64| micros as f64 / 1000.0;
    let slow = if witness.slow { "SLOW: " } else { "" };
    let waits = match witness.waiting_us.filter(|_| witness.slow) {
        Some(waiting) => format!("; asked {:.1} ms ago, no answer yet", millis(waiting)),
        None => String::new(),
    };
    match (&*witness.trouble, witness.cosigned_size) {
        _ if witness.contact.is_empty() => "its address is not known".to_owned(),
        ("", Some(size)) => {
            let took = millis(witness.took_us.unwrap_or_default());
            let when = witness.cosigned_at.map(format_time).unwrap_or_default();
            format!("{slow}cosigned {size} at {when}, in {took:.1} ms{waits}")
        }
        ("", None) => format!("{slow}has not answered yet{waits}"),
        (trouble, _) => {
            let since = witness.trouble_since.map(format_time).unwrap_or_default();
            let what = if witness.claims { "CLAIMS" } else { "SILENT" };
            format!("{what} since {since}: {}", client::trouble(trouble))
        }
    }
}

/// What an operator should check even if the witness cosigns.
fn alarms(witness: &v1::WitnessStatus) -> Vec<String> {
    let mut alarms = Vec::new();
    if !witness.convicted_by.is_empty() {
        let id = client::trouble(&witness.convicted_by);
        alarms.push(format!("CONVICTED by evidence {id}: it counts for no quorum"));
    }
    if let (Some(from), Some(to)) = (witness.rolled_back_from, witness.rolled_back_to) {
        let at = witness.rolled_back_at.map(format_time).unwrap_or_default();
        alarms.push(format!("ROLLED BACK from size {from} to {to} at {at}"));
    }
    if let Some(ahead) = witness.clock_ahead {
        let off = if ahead > 0 { "behind" } else { "ahead of" };
        alarms.push(format!("its clock is {} s {off} the node's", ahead.unsigned_abs()));
    }
    alarms
}

fn open(dir: &Path) -> Result<LogList<LogLine>, Failure> {
    let parse = |text: &str| parse_logs(text).map_err(|error| error.to_string());
    LogList::read(dir, LOGS_FILE, parse, "ledger witness list")
}

fn add(args: &AddLogArgs, out: &Output) -> Result<Outcome, Failure> {
    let mut list = open(&args.dir)?;
    let url = args.url.as_deref();
    if args.vkey.contains(char::is_whitespace)
        || url.is_some_and(|u| u.contains(char::is_whitespace))
    {
        return Err(Failure::usage("a vkey or a URL cannot contain spaces", EXPECTED));
    }
    let line = match url {
        Some(url) => format!("log {} {url}\n", args.vkey),
        None => format!("log {}\n", args.vkey),
    };
    let (added, lines) = list.add(&line, EXPECTED)?;
    out.line(format!("the node witnesses {}", described(&added)));
    Ok(Outcome::done(json!({ "logs": lines.iter().map(object).collect::<Vec<_>>() })))
}

fn replace(args: &ReplaceArgs, out: &Output) -> Result<Outcome, Failure> {
    let parse = |vkey: &str| {
        vkey.parse().map_err(|error: ParseKeyError| Failure::usage(error.to_string(), EXPECTED))
    };
    let (old, new): (VerifierKey, VerifierKey) = (parse(&args.old)?, parse(&args.new)?);
    if old == new || old.name() != new.name() {
        let message = "OLD and NEW must be two keys of one log, with the same name";
        return Err(Failure::usage(message, EXPECTED));
    }
    let mut list = open(&args.dir)?;
    let before = list.logs()?;
    if before.iter().all(|line| line.key != old) {
        return Err(list.missing(&old.to_string()));
    }
    // if the list has both keys, one line stays: the one with an address, if there is one
    let line_of = |key: &VerifierKey| before.iter().find(|line| line.key == *key);
    let old_has_url = line_of(&old).is_some_and(|line| line.url.is_some());
    let keeps_new = line_of(&new).is_some_and(|line| line.url.is_some() || !old_has_url);
    let dropped = if keeps_new { &old } else { &new };
    let mut kept = String::new();
    for line in list.text().split_inclusive('\n') {
        let is_of = |key: &VerifierKey| {
            list.parse(line).is_some_and(|one| one.iter().any(|own| own.key == *key))
        };
        if is_of(dropped) {
            continue;
        }
        let is_old = is_of(&old);
        kept += &if is_old { line.replacen(&args.old, &args.new, 1) } else { line.to_owned() };
    }
    let lines = list.replace(kept, "give a log's vkey, not a cosigner's")?;
    out.line(format!("the node now witnesses {} by the key {}", new.name(), new.id()));
    Ok(Outcome::done(json!({ "logs": lines.iter().map(object).collect::<Vec<_>>() })))
}

fn remove(args: &RemoveLogArgs, out: &Output) -> Result<Outcome, Failure> {
    let is_it =
        |line: &LogLine| line.key.to_string() == args.log || line.key.name().as_str() == args.log;
    let removed = open(&args.dir)?.remove(&args.log, is_it)?;
    out.line(format!("the node no longer witnesses {}", described(&removed)));
    out.note("what it cosigned is kept, in case the log is added again");
    Ok(Outcome::done(json!({ "removed": removed.iter().map(object).collect::<Vec<_>>() })))
}

fn list(args: &ListLogsArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let lines = open(&args.dir)?.logs()?;
    for line in &lines {
        out.line(match &line.url {
            Some(url) => format!("{} {url}", line.key),
            None => line.key.to_string(),
        });
    }
    if lines.is_empty() {
        out.note("the node witnesses no log but its own");
    }
    Ok(Outcome::done(json!({ "logs": lines.iter().map(object).collect::<Vec<_>>() })))
}

fn described(lines: &[LogLine]) -> String {
    let keys = lines.iter().map(|line| format!("{} (key {})", line.key.name(), line.key.id()));
    keys.collect::<Vec<_>>().join(", ")
}

fn object(line: &LogLine) -> serde_json::Value {
    json!({
        "origin": line.key.name().as_str(), "vkey": line.key.to_string(), "url": line.url,
    })
}
