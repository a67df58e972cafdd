//! `ledger mirror`: chooses the logs that a node copies, and shows the state of the copies.

use std::path::{Path, PathBuf};

use ledger_core::record::format_time;
use ledger_node::mirror::list::{ListedBasis, MIRROR_FILE, Mirrored, Quorum, parse_mirrors};
use ledger_proto::v1::MirroredLog;
use serde_json::{Value, json};

use crate::client::{self, NodeArgs};
use crate::commands::log_list::LogList;
use crate::failure::{Exit, Failure};
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: let the node in the directory log copy any C2SP log, and a log with a charter
  ledger mirror add --dir log \"$VKEY\" --from https://other.example/log
  ledger mirror add --dir log partner.example/2026 --anchor STATEMENT --from grpc://10.0.0.7:7780

The list is the file DIR/mirror-logs. A running node notices changes within a second. It copies only
if config.toml names mirror_keys. Copies are in DIR/mirrors, and are served below /mirror/HASH. The
copy of a removed log is kept, and stays served.";

const ADD_EXAMPLE: &str = "\
Example: any C2SP log by its vkey; then a log whose keys follow from its charter
  ledger mirror add --dir log \"$VKEY\" --from https://other.example/log
  ledger mirror add --dir log partner.example/2026 --anchor STATEMENT --from https://partner.example";

const REMOVE_EXAMPLE: &str = "\
Example: stop copying a log
  ledger mirror remove --dir log other.example/log";

const LIST_EXAMPLE: &str = "\
Example:
  ledger mirror list --dir log";

const STATUS_EXAMPLE: &str = "\
Example:
  ledger mirror status --node http://127.0.0.1:7780

Exit code 1 when a log is in trouble, so that a script can watch it.";

const EXPECTED: &str = "give a vkey (other.example/log+0123abcd+AbCd...) with --from URL, or an origin \
                        with --anchor STATEMENT and --from URL";

/// Choose the logs that a node copies, verifies and cosigns as a mirror, and show the copies' state
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Add(AddMirrorArgs),
    Remove(RemoveMirrorArgs),
    List(ListMirrorsArgs),
    Status(MirrorStatusArgs),
}

/// Add a log, by its vkey or by the statement id of its charter
#[derive(Debug, clap::Args)]
#[command(after_help = ADD_EXAMPLE)]
struct AddMirrorArgs {
    /// The log's vkey, whose name is its origin; with --anchor the origin alone
    log: String,
    /// The node's directory, which `ledger-node init` made
    #[arg(long)]
    dir: PathBuf,
    /// Where to read the log: a C2SP tlog-tiles URL, or a ledger node at grpc://HOST:PORT or
    /// grpcs://HOST:PORT
    #[arg(long, value_name = "URL")]
    from: String,
    /// The statement id of the log's charter; keys follow from the charter, and every entry is
    /// judged by it
    #[arg(long, value_name = "STATEMENT")]
    anchor: Option<String>,
    /// Cosign only checkpoints that satisfy the policy of the charter, with its quorum of witnesses
    #[arg(long, requires = "anchor")]
    quorum: bool,
    /// Cosign only checkpoints that satisfy this C2SP tlog-policy; the path is relative to the
    /// node's directory
    #[arg(long, value_name = "FILE", conflicts_with = "anchor")]
    policy: Option<String>,
}

/// Remove a log; its copy is kept, and stays served
#[derive(Debug, clap::Args)]
#[command(after_help = REMOVE_EXAMPLE)]
struct RemoveMirrorArgs {
    /// The log's origin
    origin: String,
    /// The node's directory, which `ledger-node init` made
    #[arg(long)]
    dir: PathBuf,
}

/// Print the logs that the node mirrors
#[derive(Debug, clap::Args)]
#[command(after_help = LIST_EXAMPLE)]
struct ListMirrorsArgs {
    /// The node's directory, which `ledger-node init` made
    #[arg(long)]
    dir: PathBuf,
}

/// Show the state of a running node's copies
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_EXAMPLE)]
struct MirrorStatusArgs {
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for a malformed log, one that is listed already or not listed, or a file that cannot
/// be read or written.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Add(args) => add(args, out),
        Command::Remove(args) => remove(args, out),
        Command::List(args) => list(args, out),
        Command::Status(args) => client::runtime()?.block_on(status(args, out)),
    }
}

fn open(dir: &Path) -> Result<LogList<Mirrored>, Failure> {
    let parse = |text: &str| parse_mirrors(text).map_err(|error| error.to_string());
    LogList::read(dir, MIRROR_FILE, parse, "ledger mirror list")
}

fn add(args: &AddMirrorArgs, out: &Output) -> Result<Outcome, Failure> {
    let mut list = open(&args.dir)?;
    let words = [Some(&args.log), Some(&args.from), args.anchor.as_ref(), args.policy.as_ref()];
    if words.into_iter().flatten().any(|word| word.contains(char::is_whitespace)) {
        return Err(Failure::usage("an origin, vkey, URL or path cannot contain spaces", EXPECTED));
    }
    let line = match &args.anchor {
        Some(anchor) => {
            let quorum = if args.quorum { " quorum" } else { "" };
            format!("ledger {} {anchor} {}{quorum}\n", args.log, args.from)
        }
        None => {
            let policy = args.policy.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
            format!("log {} {}{policy}\n", args.log, args.from)
        }
    };
    let (added, logs) = list.add(&line, EXPECTED)?;
    for log in &added {
        let (origin, source) = (log.origin.as_str(), &log.source);
        out.line(format!("the node mirrors {origin} from {source}"));
    }
    Ok(Outcome::done(json!({ "logs": logs.iter().map(object).collect::<Vec<_>>() })))
}

fn remove(args: &RemoveMirrorArgs, out: &Output) -> Result<Outcome, Failure> {
    let is_it = |log: &Mirrored| log.origin.as_str() == args.origin;
    let removed = open(&args.dir)?.remove(&args.origin, is_it)?;
    out.line(format!("the node no longer mirrors {}", args.origin));
    out.note("its copy is kept and stays served, in case the log needs it");
    Ok(Outcome::done(json!({ "removed": removed.iter().map(object).collect::<Vec<_>>() })))
}

fn list(args: &ListMirrorsArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let logs = open(&args.dir)?.logs()?;
    for log in &logs {
        let how = match &log.basis {
            ListedBasis::Keys { keys, policy } => {
                let policy = policy.as_ref().map(|own| format!(" and {}", own.display()));
                format!("{} key(s){}", keys.len(), policy.unwrap_or_default())
            }
            ListedBasis::Charter { anchor, quorum: Quorum::Free } => format!("anchor {anchor}"),
            ListedBasis::Charter { anchor, .. } => format!("anchor {anchor} and its quorum"),
        };
        let (origin, source) = (log.origin.as_str(), &log.source);
        out.line(format!("{origin} from {source}, by {how}"));
    }
    if logs.is_empty() {
        out.note("the node mirrors no log");
    }
    Ok(Outcome::done(json!({ "logs": logs.iter().map(object).collect::<Vec<_>>() })))
}

async fn status(args: &MirrorStatusArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let mut node = args.node.connect().await?;
    let answer = node.mirrored().await?;
    for vkey in &answer.mirror_vkeys {
        out.line(format!("mirror key {vkey}"));
    }
    if answer.mirror_vkeys.is_empty() {
        out.note("the node is not a mirror: its config.toml names no mirror_keys");
    }
    for log in &answer.logs {
        let held = log.size.map_or("nothing".to_owned(), |size| size.to_string());
        let mut line = format!("{}: cosigned {held}", log.origin);
        if let Some(pending) = log.pending_size {
            line += &format!(", copied {} of {pending}", log.copied_size);
        }
        if log.source.is_empty() {
            line += ", no longer listed";
        }
        out.line(line);
        out.line(format!("  served below /mirror/{}", log.origin_hash));
        if !log.trouble.is_empty() {
            let since = log.trouble_since.map(format_time).unwrap_or_default();
            let (kind, text) = (&log.trouble_kind, client::trouble(&log.trouble));
            out.line(format!("  TROUBLE since {since} ({kind}): {text}"));
        }
    }
    let well = answer.logs.iter().all(|log| log.trouble.is_empty());
    let exit = if well { Exit::Done } else { Exit::Refused };
    let logs: Vec<Value> = answer.logs.iter().map(shown).collect();
    let object = json!({ "mirror_vkeys": answer.mirror_vkeys, "logs": logs });
    Ok(Outcome { exit, object })
}

fn shown(log: &MirroredLog) -> Value {
    json!({
        "origin": log.origin,
        "origin_hash": log.origin_hash,
        "source": log.source,
        "checkpoint": String::from_utf8_lossy(&log.checkpoint),
        "size": log.size,
        "pending_size": log.pending_size,
        "copied_size": log.copied_size,
        "trouble": log.trouble,
        "trouble_kind": log.trouble_kind,
        "trouble_since": log.trouble_since,
    })
}

fn object(log: &Mirrored) -> Value {
    let mut object = json!({ "origin": log.origin.as_str(), "source": log.source });
    match &log.basis {
        ListedBasis::Keys { keys, policy } => {
            object["vkeys"] = keys.iter().map(ToString::to_string).collect();
            object["policy"] = json!(policy);
        }
        ListedBasis::Charter { anchor, quorum } => {
            object["anchor"] = anchor.to_string().into();
            object["quorum"] = (*quorum == Quorum::Needed).into();
        }
    }
    object
}
