//! `ledger seal`: replaces members of a draft by digests.

use std::path::{Path, PathBuf};

use ledger_core::record::{
    Draft, MAX_DECOYS, MAX_RECORD_BYTES, RecordError, SealPath, SealPlan, seal,
};
use serde_json::json;

use crate::environment;
use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: every reader sees that there is a root cause; only the board can read it
  ledger seal draft.json --path root_cause --path system.developer --audience 'the board' \\
    --reason 'It names a supplier.' --release 2027-06-30 \\
    -o sealed.json --disclosures root-cause.disclosures
  ledger record sign sealed.json --key lab.key --disclosures root-cause.disclosures
  ledger unseal sealed.record --disclosures root-cause.disclosures

Give the disclosures, or some of their lines, to the readers of the sealed members. Without them no
reader can open a sealed member, not even the issuer. A reader who has a line can show it to others
and prove it. The lines name the draft's log, issuer and id, and open nothing in another draft.";

/// Replace members of a draft by digests, before it is signed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A draft from `record new`, or one in which other members are sealed already
    draft: PathBuf,
    /// A member to seal, like text, system.developer or actions[1]; may be given several times
    #[arg(long = "path", value_name = "PATH", required = true)]
    paths: Vec<SealPath>,
    /// Public text: who may read the sealed members
    #[arg(long)]
    audience: Option<String>,
    /// Public text: why they are sealed
    #[arg(long)]
    reason: Option<String>,
    /// Public text: the day, time or event at which they will be opened
    #[arg(long)]
    release: Option<String>,
    /// Extra digests that open nothing, so that readers cannot count the sealed members
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = decoys)]
    decoys: usize,
    /// Where to write the sealed draft
    #[arg(short, value_name = "SEALED.json")]
    out: PathBuf,
    /// Where to write the disclosures, one a line, with mode 0600; never overwritten
    #[arg(long, value_name = "FILE")]
    disclosures: PathBuf,
}

fn decoys(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number <= MAX_DECOYS);
    number.ok_or_else(|| format!("give a number from 0 to {MAX_DECOYS}"))
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a file cannot be read or written, or a member cannot be sealed.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let draft = read_draft(&args.draft)?;
    let sealed = seal(&draft, &plan(args), randomness(args)?)
        .map_err(|e| Failure::refused_by(e).of(args.draft.display()))?;
    let lines: String =
        sealed.disclosures().iter().map(|line| format!("{}\n", line.as_str())).collect();
    // the disclosures are written first, so that no sealed draft exists without them
    files::create_private(&args.disclosures, lines.as_bytes())?;
    let json = format!("{}\n", sealed.draft().json());
    let written = match args.out.as_os_str() == "-" {
        true => out.data(json.as_bytes()),
        false => files::create(&args.out, json.as_bytes()),
    };
    if let Err(failure) = written {
        // no sealed draft was written, so these disclosures open nothing
        let _ = std::fs::remove_file(&args.disclosures);
        return Err(failure);
    }
    let (file, secret) = (args.out.display().to_string(), args.disclosures.display().to_string());
    let paths: Vec<String> = args.paths.iter().map(SealPath::to_string).collect();
    if file != "-" {
        out.line(&file);
        out.line(format!("  sealed {}", paths.join(", ")));
        out.line(format!("  opened by {secret}"));
    }
    out.note(format!("keep {secret} and the draft: nothing else holds the sealed members"));
    Ok(Outcome::done(json!({ "file": file, "disclosures": secret, "sealed": paths })))
}

fn read_draft(path: &Path) -> Result<Draft, Failure> {
    let bytes = files::read(path, MAX_RECORD_BYTES)?;
    if bytes.starts_with(ledger_core::record::FIRST_LINE.as_bytes()) {
        return Err(Failure::refused(
            format!("{} is signed already", path.display()),
            "seal the draft, then sign the sealed draft: a signed record never changes",
        ));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| RecordError::NotOneObject);
    let draft = text.and_then(Draft::parse);
    draft.map_err(|e| Failure::refused_by(e).of(path.display()))
}

fn plan(args: &Args) -> SealPlan {
    let plan = SealPlan::new(args.paths.iter().cloned()).decoys(args.decoys);
    let plan = args.audience.iter().fold(plan, |plan, text| plan.audience(text));
    let plan = args.reason.iter().fold(plan, |plan, text| plan.reason(text));
    args.release.iter().fold(plan, |plan, text| plan.release(text))
}

/// Random bytes for every salt and every decoy.
fn randomness(args: &Args) -> Result<impl FnMut() -> [u8; 16] + use<>, Failure> {
    let most = args.paths.len() * (1 + args.decoys);
    let salts: Result<Vec<[u8; 16]>, Failure> = (0..most).map(|_| environment::random()).collect();
    let mut salts = salts?.into_iter();
    Ok(move || salts.next().expect("one for each member and each decoy"))
}
