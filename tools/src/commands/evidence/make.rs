//! `ledger evidence make`: makes evidence from two checkpoints that contradict each other.

use std::path::{Path, PathBuf};

use ledger_core::authority::{AuthorityBundle, MAX_BUNDLE_BYTES};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::{Case, ClaimedEvidence, Conflict, Heads, Trust};
use ledger_core::merkle::BeginningError;
use ledger_core::note::MAX_NOTE_BYTES;
use serde_json::json;

use super::verdict::{known, object, verdict};
use crate::failure::Failure;
use crate::file_kind::FileKind;
use crate::files;
use crate::output::{Outcome, Output};
use crate::reach;
use crate::trust::TrustArgs;

/// The arguments of `evidence make`.
#[derive(Debug, clap::Args)]
pub struct MakeArgs {
    /// A checkpoint
    #[arg(value_name = "A")]
    one: PathBuf,
    /// Another checkpoint of the same log
    #[arg(value_name = "B")]
    other: PathBuf,
    /// Where to write the evidence; default: stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The tlog-tiles directory or URL of the larger tree, if the checkpoints have two sizes
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// A key that you know to be a log's or a cosigner's; may be given several times
    #[arg(long, value_name = "VKEY")]
    vkey: Vec<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the checkpoints do not contradict each other, or no known key signed both.
pub fn make(args: &MakeArgs, out: &Output) -> Result<Outcome, Failure> {
    if !args.trust.evidence.is_empty() {
        let hint = "leave --evidence out: it names witnesses that count for no quorum";
        return Err(Failure::usage("--evidence has no effect on new evidence", hint));
    }
    let (trust, authority) = (whom(args, out)?, bundles(args)?);
    let (one, other) = (head(&args.one)?, head(&args.other)?);
    let conflict = conflict(Heads { one: &one, other: &other }, args.source.as_deref())?;
    let evidence = convict(&conflict, Case { trust: &trust, authority: &authority })?;
    let shown = verdict(&evidence, &trust);
    let file = evidence.as_str();
    match &args.output {
        Some(path) => {
            files::replace(path, file.as_bytes())?;
            out.line(format!("{}: {}", path.display(), shown.text));
        }
        None => out.data(file.as_bytes())?,
    }
    let mut object = object(&evidence, &shown);
    object["file"] = json!(file);
    Ok(Outcome::done(object))
}

/// The keys that the user knows.
fn whom(args: &MakeArgs, out: &Output) -> Result<Trust, Failure> {
    let mut trust = known(&args.vkey, &args.trust)?;
    if (!args.trust.is_empty() || args.vkey.is_empty())
        && let Some(own) = args.trust.offline(out)?
    {
        trust = trust.with_policy(&own.policy);
    }
    match trust.is_empty() {
        false => Ok(trust),
        true => Err(Failure::usage(
            "evidence cannot be made without knowing whose keys are whose",
            "give the log's or the cosigner's key with --vkey, a policy with --policy FILE, or --anchor \
             STATEMENT with --charter FILE",
        )),
    }
}

/// The bundles that the file carries for judges that know only the anchor.
fn bundles(args: &MakeArgs) -> Result<Vec<AuthorityBundle>, Failure> {
    let Some(path) = &args.trust.charter else { return Ok(Vec::new()) };
    let bytes = files::read(path, MAX_BUNDLE_BYTES)?;
    if FileKind::of(&bytes) != FileKind::Bundle {
        return Ok(Vec::new());
    }
    let bundle = AuthorityBundle::parse(&bytes);
    bundle.map(|bundle| vec![bundle]).map_err(|e| Failure::refused_by(e).of(path.display()))
}

fn head(path: &Path) -> Result<ClaimedCheckpoint, Failure> {
    let bytes = files::read(path, MAX_NOTE_BYTES)?;
    ClaimedCheckpoint::parse(&bytes).map_err(|e| {
        let hint = "give two checkpoints, as `ledger checkpoint` prints them";
        Failure::refused(e.to_string(), hint).of(path.display())
    })
}

/// The contradiction between the two heads.
fn conflict(heads: Heads<'_>, source: Option<&str>) -> Result<Conflict, Failure> {
    let (one, other) = (heads.one.checkpoint(), heads.other.checkpoint());
    if one.origin() != other.origin() {
        let hint = "compare checkpoints of one log";
        return Err(Failure::refused("the checkpoints are from two logs", hint));
    }
    let found = match source {
        Some(source) if one.head().size != other.head().size => in_tree(heads, source)?,
        _ => Conflict::of_heads(heads),
    };
    found.ok_or_else(|| match (one.head().size == other.head().size, source) {
        (false, None) => Failure::refused(
            "checkpoints of two sizes cannot be compared without the larger tree",
            "name its tiles with --source DIR|URL",
        ),
        _ => Failure::refused(
            "the checkpoints do not contradict each other",
            "no evidence can be made from them",
        ),
    })
}

/// The contradiction between the smaller head and the tree of the larger one.
fn in_tree(heads: Heads<'_>, source: &str) -> Result<Option<Conflict>, Failure> {
    let source = reach::source(source)?;
    let size = |head: &ClaimedCheckpoint| head.checkpoint().head().size;
    let mut nodes = reach::nodes(&source, size(heads.one).max(size(heads.other)));
    Conflict::of_trees(heads, &mut nodes).map_err(|e| match e {
        BeginningError::Read(e) => Failure::environment(
            format!("the tiles of {source}: {e}"),
            "the source must hold the log's tiles up to the larger checkpoint",
        ),
        other => Failure::refused(
            format!("{source}: {other}"),
            "use the source that the larger checkpoint came from, or a copy of it",
        ),
    })
}

/// Makes evidence against the log, or against a cosigner that signed both heads.
fn convict(conflict: &Conflict, case: Case<'_>) -> Result<ClaimedEvidence, Failure> {
    let mut cosigners = case.trust.cosigners().iter();
    let made = ClaimedEvidence::against_log(conflict, case).or_else(|| {
        cosigners.find_map(|key| ClaimedEvidence::against_cosigner(conflict, key, case))
    });
    made.ok_or_else(|| {
        Failure::refused(
            "the checkpoints contradict each other, but no key that you know signed both",
            "give the key that signed both with --vkey, or an authority bundle with --charter",
        )
    })
}
