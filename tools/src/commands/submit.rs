//! `ledger submit`: records into the log, proofs out.

use std::path::PathBuf;

use ledger_core::record::{MAX_RECORD_BYTES, Record, format_time};
use serde_json::{Value, json};

use crate::client::{self, NodeArgs};
use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output, failure_object};
use crate::progress::Progress;
use crate::submitter::{self, Job, Proven};
use crate::trust::{Basis, TrustArgs};

const EXAMPLE: &str = "\
Example: submit all records of a folder; each gets its proof beside it
  ledger submit records/*.record --node http://127.0.0.1:7780 --policy consortium.policy";

/// Submit records, wait until they are published, and verify and write their proofs
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Signed records
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where the proofs go; without it beside each record
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
/// [`Failure`] when the node cannot be reached or a proof cannot be written; refused records are
/// told one by one and end with exit code 1.
pub fn run(args: Args, out: &Output) -> Result<Outcome, Failure> {
    if let Some(folder) = &args.proofs {
        std::fs::create_dir_all(folder).map_err(|e| files::cannot_write(folder, &e))?;
    }
    client::runtime()?.block_on(submit(args, out))
}

async fn submit(args: Args, out: &Output) -> Result<Outcome, Failure> {
    let mut node = args.node.connect().await?;
    let trust = args.trust.with_node(&mut node, out).await?;
    let total = args.files.len();
    let (bad_to_us, bad) = std::sync::mpsc::channel::<(String, Failure)>();
    let jobs = args.files.into_iter().filter_map(move |path| {
        let name = path.display().to_string();
        let read = files::read(&path, MAX_RECORD_BYTES).and_then(|bytes| {
            Record::parse(&bytes).map_err(|e| Failure::refused(e.to_string(), e.hint()).of(&name))
        });
        match read {
            Ok(record) => Some(Job { name, path, record }),
            Err(failure) => {
                let _ = bad_to_us.send((name, failure));
                None
            }
        }
    });
    let mut tally = Tally::default();
    let mut progress = Progress::new(out);
    let folder = args.proofs.as_deref();
    let ended = submitter::submit(&mut node, &trust, jobs, |job, result| {
        progress.at("submitted", tally.results.len() as u64, Some(total as u64));
        match result {
            Ok(proven) => {
                let proof = submitter::write_proof(&job.path, folder, &proven)?;
                progress.clear();
                tally.logged(&job, &proven, &proof.display().to_string(), out);
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
    if let Err(failure) = ended {
        let left = total.saturating_sub(tally.results.len());
        out.note(format!(
            "{left} of {total} records were not answered for; submitting again is safe"
        ));
        return Err(failure);
    }
    let basis = match trust.basis {
        Basis::User => "user",
        Basis::Claimed => "node",
    };
    if trust.basis == Basis::Claimed && tally.good > 0 {
        out.line("the proofs were checked against what the node itself claims, no more");
    }
    let object = json!({ "results": tally.results, "trust": basis });
    Ok(Outcome::judged(tally.good == total, object))
}

#[derive(Default)]
struct Tally {
    good: usize,
    results: Vec<Value>,
}

impl Tally {
    fn logged(&mut self, job: &Job, proven: &Proven, proof: &str, out: &Output) {
        self.good += 1;
        let when = format_time(proven.logged.time);
        let mut word = "logged";
        let mut more = String::new();
        if let Some(duplicate) = &proven.duplicate {
            word = "duplicate";
            more = format!("; the log had it since {when}");
            if duplicate.other_signatures.is_some() {
                more.push_str(" with other signatures: see NAME.logged.record");
            }
        }
        let (index, size) = (proven.index, proven.tree_size);
        let name = &job.name;
        out.line(format!("{} {name} at {index}, tree of {size}: {proof}{more}", out.good(word)));
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
        let mut object = failure_object(&failure);
        object["file"] = json!(name);
        object["result"] = json!("refused");
        self.results.push(object);
    }
}
