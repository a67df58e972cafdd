//! `ledger mirror`: which logs a node copies, and how the copies are doing.

use std::path::{Path, PathBuf};

use ledger_core::record::format_time;
use ledger_node::listed::MAX_LIST_BYTES;
use ledger_node::mirror::list::{ListedBasis, MIRROR_FILE, Mirrored, Quorum, parse_mirrors};
use ledger_proto::v1::MirroredLog;
use serde_json::{Value, json};

use crate::client::{self, NodeArgs};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: let the node in the directory log copy any C2SP log, and a log of ours
  ledger mirror add --dir log \"$VKEY\" --from https://other.example/log
  ledger mirror add --dir log partner.example/2026 --anchor STATEMENT --from grpc://10.0.0.7:7780

The list is the file DIR/mirror-logs. A running node notices changes within a second; it copies if
config.toml names mirror_keys. Copies lie in DIR/mirrors and are served below /mirror/HASH; the copy of
a log that is removed stays there and stays served.";

const ADD_EXAMPLE: &str = "\
Example: a key of any C2SP log; and a log of ours, whose keys follow from its charter
  ledger mirror add --dir log \"$VKEY\" --from https://other.example/log
  ledger mirror add --dir log partner.example/2026 --anchor STATEMENT --from https://partner.example";

const REMOVE_EXAMPLE: &str = "\
Example: no longer copy a log
  ledger mirror remove --dir log other.example/log";

const LIST_EXAMPLE: &str = "\
Example:
  ledger mirror list --dir log";

const STATUS_EXAMPLE: &str = "\
Example:
  ledger mirror status --node http://127.0.0.1:7780

Exit code 1 when a listed log is in trouble, so that a script may watch it.";

const EXPECTED: &str = "give a vkey (other.example/log+0123abcd+AbCd...) with --from URL, or an origin \
                        with --anchor STATEMENT and --from URL";

/// Say which logs a node copies, verifies and cosigns as a mirror, and how the copies are doing
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

/// Add a log: by a key, or by the statement of its charter
#[derive(Debug, clap::Args)]
#[command(after_help = ADD_EXAMPLE)]
struct AddMirrorArgs {
    /// The log's vkey, whose name is its origin; with --anchor the origin alone
    log: String,
    /// The directory of the node's own log
    #[arg(long)]
    dir: PathBuf,
    /// Where it is read: a C2SP tlog-tiles URL, or a node of ours at grpc://HOST:PORT or
    /// grpcs://HOST:PORT
    #[arg(long, value_name = "URL")]
    from: String,
    /// It is a log of ours: its charter's statement id. Keys follow from the charter, and every
    /// entry is judged by it
    #[arg(long, value_name = "STATEMENT")]
    anchor: Option<String>,
    /// Cosign only what the witnesses of the charter's policy have cosigned
    #[arg(long, requires = "anchor")]
    quorum: bool,
    /// Cosign only what satisfies this C2SP tlog-policy; a path as the node sees it from its
    /// directory
    #[arg(long, value_name = "FILE", conflicts_with = "anchor")]
    policy: Option<String>,
}

/// Remove a log; its copy stays, and stays served
#[derive(Debug, clap::Args)]
#[command(after_help = REMOVE_EXAMPLE)]
struct RemoveMirrorArgs {
    /// The log's origin
    origin: String,
    /// The directory of the node's own log
    #[arg(long)]
    dir: PathBuf,
}

/// Print the list
#[derive(Debug, clap::Args)]
#[command(after_help = LIST_EXAMPLE)]
struct ListMirrorsArgs {
    /// The directory of the node's own log
    #[arg(long)]
    dir: PathBuf,
}

/// How the copies of a running node are doing
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_EXAMPLE)]
struct MirrorStatusArgs {
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for a log that is none or is there already, one that is not listed, or a file that
/// cannot be read or written.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Add(args) => add(args, out),
        Command::Remove(args) => remove(args, out),
        Command::List(args) => list(args, out),
        Command::Status(args) => client::runtime()?.block_on(status(args, out)),
    }
}

fn add(args: &AddMirrorArgs, out: &Output) -> Result<Outcome, Failure> {
    let text = read(&args.dir)?;
    let words = [Some(&args.log), Some(&args.from), args.anchor.as_ref(), args.policy.as_ref()];
    if words.into_iter().flatten().any(|word| word.contains(char::is_whitespace)) {
        return Err(Failure::usage("an origin, a vkey, a URL and a path hold no spaces", EXPECTED));
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
    // alone first, so that what is wrong with it is not told as line 17 of a file
    let alone = parse_mirrors(&line).map_err(|error| {
        let error = error.to_string();
        Failure::usage(error.trim_start_matches("line 1: "), EXPECTED)
    })?;
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let text = format!("{text}{gap}{line}");
    let logs = parse_mirrors(&text).map_err(|error| {
        Failure::refused(error.to_string(), "see `ledger mirror list` for what is there")
    })?;
    files::replace(&args.dir.join(MIRROR_FILE), text.as_bytes())?;
    for log in &alone {
        let (origin, source) = (log.origin.as_str(), &log.source);
        out.line(format!("the node mirrors {origin} from {source}"));
    }
    Ok(Outcome::done(json!({ "logs": logs.iter().map(object).collect::<Vec<_>>() })))
}

fn remove(args: &RemoveMirrorArgs, out: &Output) -> Result<Outcome, Failure> {
    let text = read(&args.dir)?;
    let logs = parse_mirrors(&text).map_err(|error| malformed(&args.dir, &error))?;
    let is_it = |log: &Mirrored| log.origin.as_str() == args.origin;
    let removed: Vec<&Mirrored> = logs.iter().filter(|log| is_it(log)).collect();
    if removed.is_empty() {
        let message = format!("{} is not in the list", args.origin);
        return Err(Failure::refused(message, "see `ledger mirror list`"));
    }
    // comments and the order of the other lines stay as they are
    let keeps = |line: &&str| !parse_mirrors(line).is_ok_and(|one| one.iter().any(is_it));
    let kept: String = text.split_inclusive('\n').filter(keeps).collect();
    files::replace(&args.dir.join(MIRROR_FILE), kept.as_bytes())?;
    out.line(format!("the node no longer mirrors {}", args.origin));
    out.note("its copy stays and stays served, should the log need it");
    Ok(Outcome::done(json!({ "removed": removed.into_iter().map(object).collect::<Vec<_>>() })))
}

fn list(args: &ListMirrorsArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let logs = parse_mirrors(&read(&args.dir)?).map_err(|error| malformed(&args.dir, &error))?;
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
        out.note("the node is no mirror: its config.toml names no mirror_keys");
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

fn read(dir: &Path) -> Result<String, Failure> {
    if !dir.join("config.toml").exists() {
        let message = format!("{} is not the directory of a log", dir.display());
        return Err(Failure::environment(message, "give what ledger-node init made with --dir"));
    }
    let path = dir.join(MIRROR_FILE);
    if !path.exists() {
        return Ok(String::new());
    }
    let limit = usize::try_from(MAX_LIST_BYTES).unwrap_or(usize::MAX);
    let bytes = files::read(&path, limit)?;
    String::from_utf8(bytes).map_err(|_| {
        Failure::refused(format!("{} is not UTF-8", path.display()), "mend it with an editor")
    })
}

fn malformed(dir: &Path, error: &impl std::fmt::Display) -> Failure {
    let path = dir.join(MIRROR_FILE);
    Failure::refused(format!("{}: {error}", path.display()), "mend it with an editor")
}
