//! `ledger evidence`: lists, shows, exports and makes evidence.

mod make;
mod source;
mod verdict;

use std::path::PathBuf;

use clap::Subcommand;
use ledger_core::evidence::{EvidenceId, Trust};
use serde_json::json;

use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};
use crate::trust::TrustArgs;

use make::{MakeArgs, make};
use source::From;
pub use verdict::known;
use verdict::{object, verdict};

const EXAMPLE: &str = "\
Example: list a node's evidence, and whom it convicts by the keys of a policy
  ledger evidence list --node http://127.0.0.1:7780 --policy consortium.policy
Example: export a file, which others judge with `ledger verify FILE --vkey VKEY`
  ledger evidence export ID --node http://127.0.0.1:7780 -o evidence.json
Example: list the files in a node's directory, or in any folder of evidence files
  ledger evidence list --dir /var/lib/ledger
Example: make evidence from two checkpoints that contradict each other
  ledger evidence make mine.checkpoint theirs.checkpoint -o evidence.json --vkey \"$LOG_VKEY\"

What a node sends is checked like a file: it must be evidence, and have the requested id.";

const LIST: &str = "\
Example: list a node's evidence
  ledger evidence list --node http://127.0.0.1:7780
Example: list the files in a node's directory
  ledger evidence list --dir /var/lib/ledger";

const SHOW: &str = "\
Example: judge one file by the log's key
  ledger evidence show ID --node http://127.0.0.1:7780 --vkey ledger.example/2026+1c2d3e4f+AY...";

const EXPORT: &str = "\
Example: write one file, for others to judge
  ledger evidence export ID --node http://127.0.0.1:7780 -o evidence.json";

const MAKE: &str = "\
Example: two checkpoints of one size; for two sizes, name the tiles of the larger tree
  ledger evidence make mine.checkpoint theirs.checkpoint -o evidence.json --vkey \"$LOG_VKEY\"
  ledger evidence make then.checkpoint now.checkpoint --source DIR -o evidence.json --vkey \"$LOG_VKEY\"";

/// List, show and export the evidence in a node or a directory, or make it from two checkpoints
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print one line a file: id, type, log and, if you give keys or an anchor, whom it convicts
    #[command(after_help = LIST)]
    List(ListEvidenceArgs),
    /// Show what one file proves, and whom it convicts
    #[command(after_help = SHOW)]
    Show(OneArgs),
    /// Write one file, byte for byte
    #[command(after_help = EXPORT)]
    Export(ExportArgs),
    /// Make a file that convicts the signer of two checkpoints that contradict each other
    #[command(after_help = MAKE)]
    Make(MakeArgs),
}

#[derive(Debug, clap::Args)]
struct ListEvidenceArgs {
    #[command(flatten)]
    from: From,
    #[command(flatten)]
    known: Known,
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    /// The evidence's id: 64 hex digits
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    from: From,
    #[command(flatten)]
    known: Known,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    /// The evidence's id: 64 hex digits
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    from: From,
    /// Where to write the file; default: stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Known {
    /// A key that you know to be a log's or a cosigner's; may be given several times
    #[arg(long, value_name = "VKEY")]
    vkey: Vec<String>,
    /// A C2SP tlog-policy whose log and witness keys you know
    #[arg(long, value_name = "FILE", env = "LEDGER_POLICY")]
    policy: Option<PathBuf>,
    /// The charter's statement id; keys follow from the bundles that the evidence carries
    #[arg(long, value_name = "STATEMENT")]
    anchor: Option<String>,
}

impl Known {
    fn trust(&self) -> Result<Trust, Failure> {
        let (policy, anchor) = (self.policy.clone(), self.anchor.clone());
        known(&self.vkey, &TrustArgs { policy, anchor, charter: None, evidence: Vec::new() })
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node, the folder or a file cannot be read, or when something is not
/// evidence.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::List(args) => list(args, out),
        Command::Show(args) => show(args, out),
        Command::Export(args) => export(args, out),
        Command::Make(args) => make(args, out),
    }
}

fn list(args: &ListEvidenceArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let trust = args.known.trust()?;
    let mut source = args.from.open()?;
    let mut rows = Vec::new();
    for id in source.ids()? {
        let evidence = source.read(id)?;
        let verdict = verdict(&evidence, &trust);
        let (kind, origin) = (evidence.kind(), evidence.origin());
        out.line(format!("{id}  {kind}  {origin}  {}", verdict.text));
        rows.push(object(&evidence, &verdict));
    }
    if rows.is_empty() {
        out.note("no evidence");
    }
    Ok(Outcome::done(json!({ "evidence": rows })))
}

fn show(args: &OneArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let trust = args.known.trust()?;
    let id = parse_id(&args.id)?;
    let evidence = args.from.open()?.read(id)?;
    let verdict = verdict(&evidence, &trust);
    out.line(format!("id      {}", evidence.id()));
    out.line(format!("type    {}", evidence.kind()));
    out.line(format!("log     {}", evidence.origin()));
    out.line(format!("bundles {}", evidence.authority().len()));
    out.line(format!("verdict {}", verdict.text));
    if let Some(why) = &verdict.why {
        out.line(format!("why     {why}"));
    }
    Ok(Outcome::done(object(&evidence, &verdict)))
}

fn export(args: &ExportArgs, out: &Output) -> Result<Outcome, Failure> {
    let id = parse_id(&args.id)?;
    let evidence = args.from.open()?.read(id)?;
    match &args.output {
        Some(path) => files::replace(path, evidence.as_str().as_bytes())?,
        None => out.data(evidence.as_str().as_bytes())?,
    }
    let object = json!({ "id": evidence.id().to_string(), "file": evidence.as_str() });
    Ok(Outcome::done(object))
}

fn parse_id(text: &str) -> Result<EvidenceId, Failure> {
    EvidenceId::from_hex(text).map_err(|e| {
        Failure::usage(format!("the id is {e}"), "`ledger evidence list` prints the ids")
    })
}
