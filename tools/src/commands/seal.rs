//! `ledger seal`: members of a draft make room for digests.

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
Example: everybody sees that there is a root cause, the board can read it
  ledger seal draft.json --path root_cause --path system.developer --audience 'the board' \\
    --reason 'It names a supplier.' --release 2027-06-30 \\
    -o sealed.json --disclosures root-cause.disclosures
  ledger record sign sealed.json --key lab.key --disclosures root-cause.disclosures
  ledger unseal sealed.record --disclosures root-cause.disclosures

Who may read what is sealed gets the disclosures, or some of their lines. Without them nobody can
read it, the issuer neither. A reader who has a line can show it to others and prove it. The lines
name the draft's log, issuer and id: under another one they open nothing.";

/// Replace members of a draft by digests, before it is signed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A draft from `record new`, or one that was sealed before for others
    draft: PathBuf,
    /// A member to seal, like text, system.developer or actions[1]; may be given several times
    #[arg(long = "path", value_name = "PATH", required = true)]
    paths: Vec<SealPath>,
    /// Who may read it, for all to see
    #[arg(long)]
    audience: Option<String>,
    /// Why it is sealed, for all to see
    #[arg(long)]
    reason: Option<String>,
    /// The day, time or event at which it is opened, for all to see
    #[arg(long)]
    release: Option<String>,
    /// Digests that open nothing, so that nobody can count the sealed members
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = decoys)]
    decoys: usize,
    /// Where the sealed draft goes
    #[arg(short, value_name = "SEALED.json")]
    out: PathBuf,
    /// Where the disclosures go, one a line, mode 0600; never overwritten
    #[arg(long, value_name = "FILE")]
    disclosures: PathBuf,
}

fn decoys(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number <= MAX_DECOYS);
    number.ok_or_else(|| format!("a number from 0 to {MAX_DECOYS} is wanted"))
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a file cannot be read or written, or a member cannot be sealed.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let draft = read_draft(&args.draft)?;
    let sealed = seal(&draft, &plan(args), randomness(args)?)
        .map_err(|e| Failure::refused(e.to_string(), e.hint()).of(args.draft.display()))?;
    let lines: String =
        sealed.disclosures().iter().map(|line| format!("{}\n", line.as_str())).collect();
    // first what opens it: a sealed draft whose disclosures were lost must never come about
    files::create_private(&args.disclosures, lines.as_bytes())?;
    let json = format!("{}\n", sealed.draft().json());
    let written = match args.out.as_os_str() == "-" {
        true => out.data(json.as_bytes()),
        false => files::create(&args.out, json.as_bytes()),
    };
    if let Err(failure) = written {
        // nothing was sealed, so they open nothing
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
    out.note(format!("keep {secret}, and the draft until then: nothing else opens what is sealed"));
    Ok(Outcome::done(json!({ "file": file, "disclosures": secret, "sealed": paths })))
}

fn read_draft(path: &Path) -> Result<Draft, Failure> {
    let bytes = files::read(path, MAX_RECORD_BYTES)?;
    if bytes.starts_with(ledger_core::record::FIRST_LINE.as_bytes()) {
        return Err(Failure::refused(
            format!("{} is signed already", path.display()),
            "seal the draft, then sign what comes out: a signed record never changes",
        ));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| RecordError::NotOneObject);
    let draft = text.and_then(Draft::parse);
    draft.map_err(|e| Failure::refused(e.to_string(), e.hint()).of(path.display()))
}

fn plan(args: &Args) -> SealPlan {
    let plan = SealPlan::new(args.paths.iter().cloned()).decoys(args.decoys);
    let plan = args.audience.iter().fold(plan, |plan, text| plan.audience(text));
    let plan = args.reason.iter().fold(plan, |plan, text| plan.reason(text));
    args.release.iter().fold(plan, |plan, text| plan.release(text))
}

/// Fresh bytes for as many salts and decoys as there can be.
fn randomness(args: &Args) -> Result<impl FnMut() -> [u8; 16] + use<>, Failure> {
    let most = args.paths.len() * (1 + args.decoys);
    let salts: Result<Vec<[u8; 16]>, Failure> = (0..most).map(|_| environment::random()).collect();
    let mut salts = salts?.into_iter();
    Ok(move || salts.next().expect("one for each member and each decoy"))
}
