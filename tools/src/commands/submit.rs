//! `ledger submit`: submits records, and writes their proofs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ledger_core::record::{MAX_RECORD_BYTES, Record, format_time};
use serde_json::{Value, json};

use crate::address;
use crate::client::{self, NodeArgs};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::{Line, Outcome, Output, failure_object};
use crate::progress::Progress;
use crate::submitter::{self, Proven, Submission};
use crate::trust::{Basis, TrustArgs};

const EXAMPLE: &str = "\
Example: submit all records of a folder; each gets its proof beside it
  ledger submit records/*.record --node http://127.0.0.1:7780 --policy consortium.policy";

/// Submit records, wait until they are published, and verify and write their proofs
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Signed records; - reads one from stdin, and needs --proofs
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The folder for proofs and copies of their records; default: each proof goes beside its
    /// record
    #[arg(long, value_name = "DIR")]
    proofs: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached, or a proof cannot be written. Refused records are
/// reported one by one, and decide the exit code.
pub fn run(args: Args, out: &Output) -> Result<Outcome, Failure> {
    check_targets(&args)?;
    if let Some(folder) = &args.proofs {
        std::fs::create_dir_all(folder).map_err(|e| files::cannot_write(folder, &e))?;
    }
    client::runtime()?.block_on(submit(args, out))
}

/// Refuses inputs whose proofs would overwrite each other, before anything is submitted.
fn check_targets(args: &Args) -> Result<(), Failure> {
    let mut targets: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for path in &args.files {
        if path.as_os_str() == "-" && args.proofs.is_none() {
            return Err(Failure::usage(
                "a record from stdin has no folder for its proof",
                "add --proofs DIR",
            ));
        }
        let home = submitter::home(path, args.proofs.as_deref());
        let proof = files::beside(&home, "tlog-proof");
        let proof = std::path::absolute(&proof).unwrap_or(proof);
        if let Some(other) = targets.insert(proof.clone(), path) {
            let (other, path) = (other.display(), path.display());
            return Err(Failure::usage(
                format!("{other} and {path} would both have the proof {}", proof.display()),
                "rename one, or submit them separately with different --proofs",
            ));
        }
    }
    Ok(())
}

/// Puts a copy of the record beside the proof, where `ledger verify` looks for it.
fn keep_record(job: &Submission, folder: Option<&Path>) -> Result<(), Failure> {
    let Some(folder) = folder else { return Ok(()) };
    let home = submitter::home(&job.path, Some(folder));
    if !home.exists() {
        return files::replace(&home, job.record.as_bytes());
    }
    if files::read(&home, MAX_RECORD_BYTES).is_ok_and(|own| own == job.record.as_bytes()) {
        return Ok(());
    }
    Err(Failure::refused(
        format!("it is logged, but {} holds another record", home.display()),
        "submit it again with another --proofs; it is not logged twice",
    ))
}

async fn submit(args: Args, out: &Output) -> Result<Outcome, Failure> {
    let mut node = args.node.connect().await?;
    let trust = args.trust.with_node(&mut node, out).await?;
    let total = args.files.len();
    let (bad_to_us, bad) = std::sync::mpsc::channel::<(String, Failure)>();
    let words = *out;
    let jobs = args.files.into_iter().filter_map(move |path| {
        let name = path.display().to_string();
        let read = files::read(&path, MAX_RECORD_BYTES)
            .and_then(|bytes| Record::parse(&bytes).map_err(|e| Failure::refused_by(e).of(&name)));
        if let Ok(record) = &read {
            address::warn_of_strange(record.body(), &words);
        }
        match read {
            Ok(record) if path.as_os_str() == "-" => {
                let path = PathBuf::from(format!("{}.record", record.statement()));
                Some(Submission { name, path, record })
            }
            Ok(record) => Some(Submission { name, path, record }),
            Err(failure) => {
                let _ = bad_to_us.send((name, failure));
                None
            }
        }
    });
    let mut tally = SubmitTally::default();
    let mut progress = Progress::new(out);
    let folder = args.proofs.as_deref();
    let ended = submitter::submit(&mut node, &trust, jobs, |job, result| {
        progress.at("submitted", tally.results.len() as u64, Some(total as u64));
        match result {
            Ok(proven) => {
                progress.clear();
                let proof = keep_record(&job, folder)
                    .and_then(|()| submitter::write_proof(&job.path, folder, &proven));
                match proof {
                    Ok(proof) => tally.logged(&job, &proven, &proof.display().to_string(), out),
                    Err(failure) if failure.exit == Exit::Environment => return Err(failure),
                    Err(failure) => tally.refused(&job.name, failure.of(&job.name), out),
                }
            }
            Err(failure) => {
                progress.clear();
                tally.refused(&job.name, failure.of(&job.name), out);
            }
        }
        Ok(())
    })
    .await;
    drop(progress);
    for (name, failure) in bad.try_iter() {
        tally.refused(&name, failure, out);
    }
    let basis = match trust.basis {
        Basis::User => "user",
        Basis::Claimed => "node",
    };
    let object = |results| json!({ "results": results, "trust": basis });
    if let Err(failure) = ended {
        // the object still lists the records that were logged before the failure
        out.problem(&failure);
        let left = total.saturating_sub(tally.results.len());
        out.note(format!("{left} of {total} records got no answer; submitting them again is safe"));
        let mut object = object(tally.results);
        object["error"] = json!(failure.message);
        object["hint"] = json!(failure.hint);
        object["not_answered"] = json!(left);
        return Ok(Outcome { exit: tally.exit.and(failure.exit), object });
    }
    if trust.basis == Basis::Claimed && tally.good > 0 {
        out.line("the proofs were verified only against what the node itself claims");
    }
    Ok(Outcome { exit: tally.exit, object: object(tally.results) })
}

struct SubmitTally {
    good: usize,
    /// The exit code so far.
    exit: Exit,
    results: Vec<Value>,
}

impl Default for SubmitTally {
    fn default() -> SubmitTally {
        SubmitTally { good: 0, exit: Exit::Done, results: Vec::new() }
    }
}

impl SubmitTally {
    fn logged(&mut self, job: &Submission, proven: &Proven, proof: &str, out: &Output) {
        self.good += 1;
        let when = format_time(proven.logged.time);
        let mut word = "logged";
        let mut more = String::new();
        if let Some(duplicate) = &proven.duplicate {
            word = "duplicate";
            more = format!("; the log has had it since {when}");
            if duplicate.other_signatures.is_some() {
                let record = Path::new(proof).with_extension("record");
                more.push_str(&format!(" with other signatures: see {}", record.display()));
            }
        }
        let (index, size) = (proven.index, proven.tree_size);
        let name = &job.name;
        let rest = format!(" {name} at {index}, tree of {size}: {proof}{more}");
        out.line(Line::good(word).and(rest));
        self.results.push(json!({
            "file": name,
            "result": word,
            "index": index,
            "statement": job.record.statement().to_string(),
            "logged": when,
            "proof": proof,
            "signatures_differ": proven.duplicate.as_ref().map(|d| d.other_signatures.is_some()),
        }));
    }

    fn refused(&mut self, name: &str, failure: Failure, out: &Output) {
        out.problem(&failure);
        self.exit = self.exit.and(failure.exit);
        let mut object = failure_object(&failure);
        object["file"] = json!(name);
        object["result"] = json!("refused");
        self.results.push(object);
    }
}
