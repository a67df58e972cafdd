//! `ledger witness`: which logs a node witnesses besides its own, and how its own witnesses are
//! doing.

use std::path::{Path, PathBuf};

use ledger_core::note::{ParseKeyError, VerifierKey};
use ledger_core::record::format_time;
use ledger_node::known_logs::{LOGS_FILE, LogLine, MAX_LOGS_FILE, parse_logs};
use ledger_proto::v1;
use serde_json::json;

use crate::client::{self, NodeArgs};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: let the node in the directory log witness another log
  ledger witness add --dir log \"$VKEY\" --url https://other.example/log

The list is the file DIR/witness-logs. A running node notices changes within a second; it witnesses
if config.toml names witness_keys. It keeps permanently what it cosigned of a log that is removed.";

const ADD_EXAMPLE: &str = "\
Example:
  ledger witness add --dir log \"$VKEY\" --url https://other.example/log";

const REPLACE_EXAMPLE: &str = "\
Example: follow a log that changed its key
  ledger witness replace --dir log \"$OLD_VKEY\" \"$NEW_VKEY\"

The new key takes the line of the old one, with its URL, in one step: at no moment does the list hold
both keys, or none. If the list has both keys, the line of the old one is removed.";

const REMOVE_EXAMPLE: &str = "\
Example: no longer witness a log, whatever keys it has
  ledger witness remove --dir log other.example/log";

const LIST_EXAMPLE: &str = "\
Example:
  ledger witness list --dir log";

const STATUS_EXAMPLE: &str = "\
Example:
  ledger witness status --node http://127.0.0.1:7780

Exit code 1 when what the log signed last is not published, so that a script may watch it.";

const EXPECTED: &str =
    "a vkey looks like other.example/log+0123abcd+AbCd...; quote it for the shell";

/// Say which logs a node witnesses besides its own, and how its own witnesses are doing
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

/// How the witnesses of a node's own log are doing: who is slow or silent
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
    /// The directory of the node's own log
    #[arg(long)]
    dir: PathBuf,
    /// Where the log can be read: its tiles are fetched to make evidence if it shows two histories
    #[arg(long)]
    url: Option<String>,
}

/// Put a log's new key in the place of its old one, in one step
#[derive(Debug, clap::Args)]
#[command(after_help = REPLACE_EXAMPLE)]
struct ReplaceArgs {
    /// The vkey in the list
    old: String,
    /// The vkey that takes its place; of the same log
    new: String,
    /// The directory of the node's own log
    #[arg(long)]
    dir: PathBuf,
}

/// Remove a log, or one of its keys; what was cosigned is kept
#[derive(Debug, clap::Args)]
#[command(after_help = REMOVE_EXAMPLE)]
struct RemoveLogArgs {
    /// A vkey, or an origin for all keys of that log
    log: String,
    /// The directory of the node's own log
    #[arg(long)]
    dir: PathBuf,
}

/// Print the list
#[derive(Debug, clap::Args)]
#[command(after_help = LIST_EXAMPLE)]
struct ListLogsArgs {
    /// The directory of the node's own log
    #[arg(long)]
    dir: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for a key that is none or is there already, a log that is not listed, or a file that
/// cannot be read or written.
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

/// How a witness does, on one line.
fn described_status(witness: &v1::WitnessStatus) -> String {
    let millis = |micros: u64| micros as f64 / 1000.0;
    let slow = if witness.slow { "SLOW: " } else { "" };
    let waits = match witness.waiting_us.filter(|_| witness.slow) {
        Some(waiting) => format!("; asked {:.1} ms ago, no answer yet", millis(waiting)),
        None => String::new(),
    };
    match (&*witness.trouble, witness.cosigned_size) {
        _ if witness.contact.is_empty() => "nobody knows its address".to_owned(),
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

/// What an operator should look into although the witness may cosign.
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

fn add(args: &AddLogArgs, out: &Output) -> Result<Outcome, Failure> {
    let text = read(&args.dir)?;
    let url = args.url.as_deref();
    if args.vkey.contains(char::is_whitespace)
        || url.is_some_and(|u| u.contains(char::is_whitespace))
    {
        return Err(Failure::usage("a vkey and a URL hold no spaces", EXPECTED));
    }
    let line = match url {
        Some(url) => format!("log {} {url}\n", args.vkey),
        None => format!("log {}\n", args.vkey),
    };
    // alone first, so that an error names this line and not line 17 of a file
    let alone = parse_logs(&line).map_err(|error| {
        let error = error.to_string();
        Failure::usage(error.trim_start_matches("line 1: "), EXPECTED)
    })?;
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let text = format!("{text}{gap}{line}");
    let lines = parse_logs(&text).map_err(|error| {
        Failure::refused(error.to_string(), "see `ledger witness list` for what is there")
    })?;
    write(&args.dir, &text)?;
    out.line(format!("the node witnesses {}", described(&alone)));
    Ok(Outcome::done(json!({ "logs": lines.iter().map(object).collect::<Vec<_>>() })))
}

fn replace(args: &ReplaceArgs, out: &Output) -> Result<Outcome, Failure> {
    let parse = |vkey: &str| {
        vkey.parse().map_err(|error: ParseKeyError| Failure::usage(error.to_string(), EXPECTED))
    };
    let (old, new): (VerifierKey, VerifierKey) = (parse(&args.old)?, parse(&args.new)?);
    if old == new || old.name() != new.name() {
        let message = "OLD and NEW are two keys of one log, so their names are equal";
        return Err(Failure::usage(message, EXPECTED));
    }
    let text = read(&args.dir)?;
    let before = parse_logs(&text).map_err(|error| malformed(&args.dir, &error))?;
    if before.iter().all(|line| line.key != old) {
        let message = format!("{old} is not in the list");
        return Err(Failure::refused(message, "see `ledger witness list`"));
    }
    // where the list has both keys, one line stays: that with an address, if there is one
    let line_of = |key: &VerifierKey| before.iter().find(|line| line.key == *key);
    let old_has_url = line_of(&old).is_some_and(|line| line.url.is_some());
    let keeps_new = line_of(&new).is_some_and(|line| line.url.is_some() || !old_has_url);
    let dropped = if keeps_new { &old } else { &new };
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        let is_of = |key: &VerifierKey| {
            parse_logs(line).is_ok_and(|one| one.iter().any(|own| own.key == *key))
        };
        if is_of(dropped) {
            continue;
        }
        let is_old = is_of(&old);
        kept += &if is_old { line.replacen(&args.old, &args.new, 1) } else { line.to_owned() };
    }
    let lines = parse_logs(&kept).map_err(|error| {
        Failure::refused(error.to_string(), "give the vkey of a log, which signs heads")
    })?;
    write(&args.dir, &kept)?;
    out.line(format!("the node witnesses {} by the key {} now", new.name(), new.id()));
    Ok(Outcome::done(json!({ "logs": lines.iter().map(object).collect::<Vec<_>>() })))
}

fn remove(args: &RemoveLogArgs, out: &Output) -> Result<Outcome, Failure> {
    let text = read(&args.dir)?;
    let is_it =
        |line: &LogLine| line.key.to_string() == args.log || line.key.name().as_str() == args.log;
    let removed: Vec<LogLine> = parse_logs(&text)
        .map_err(|error| malformed(&args.dir, &error))?
        .into_iter()
        .filter(is_it)
        .collect();
    if removed.is_empty() {
        let message = format!("{} is not in the list", args.log);
        return Err(Failure::refused(message, "see `ledger witness list`"));
    }
    // comments and the order of the other lines stay as they are
    let keeps = |line: &&str| !parse_logs(line).is_ok_and(|one| one.iter().any(is_it));
    let kept: String = text.split_inclusive('\n').filter(keeps).collect();
    write(&args.dir, &kept)?;
    out.line(format!("the node no longer witnesses {}", described(&removed)));
    out.note("what it cosigned is kept, should the log come back");
    Ok(Outcome::done(json!({ "removed": removed.iter().map(object).collect::<Vec<_>>() })))
}

fn list(args: &ListLogsArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let lines = parse_logs(&read(&args.dir)?).map_err(|error| malformed(&args.dir, &error))?;
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

fn read(dir: &Path) -> Result<String, Failure> {
    if !dir.join("config.toml").exists() {
        let message = format!("{} is not the directory of a log", dir.display());
        return Err(Failure::environment(message, "give what ledger-node init made with --dir"));
    }
    let path = dir.join(LOGS_FILE);
    if !path.exists() {
        return Ok(String::new());
    }
    let limit = usize::try_from(MAX_LOGS_FILE).unwrap_or(usize::MAX);
    let bytes = files::read(&path, limit)?;
    String::from_utf8(bytes).map_err(|_| {
        Failure::refused(format!("{} is not UTF-8", path.display()), "mend it with an editor")
    })
}

fn write(dir: &Path, text: &str) -> Result<(), Failure> {
    files::replace(&dir.join(LOGS_FILE), text.as_bytes())
}

fn malformed(dir: &Path, error: &impl std::fmt::Display) -> Failure {
    let path = dir.join(LOGS_FILE);
    Failure::refused(format!("{}: {error}", path.display()), "mend it with an editor")
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
