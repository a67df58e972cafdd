//! Sending records over one connection, and believing nothing that comes back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger_core::ProvenRecord;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Logged, Record};
use ledger_proto::v1;
use ledger_proto::v1::submit_stream_response::Outcome;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::client::{self, Node};
use crate::failure::Failure;
use crate::files;
use crate::trust::{Trust, unproven};

/// Records on the way at a time: enough to keep the node busy, few enough to hold in memory.
const WINDOW: usize = 1024;

/// How long a node may stay silent while it owes an answer: far more than a batch takes.
pub const SILENCE: Duration = Duration::from_secs(60);

/// A record to be sent.
#[derive(Debug, Clone)]
pub struct Submission {
    /// What people call it.
    pub name: String,
    /// Where its record file is, or will be: proofs are written by this name.
    pub path: PathBuf,
    /// The record.
    pub record: Record,
}

/// A record that is in the log, proven.
#[derive(Debug, Clone)]
pub struct Proven {
    /// Where it stands.
    pub index: u64,
    /// The log's own line about it.
    pub logged: Logged,
    /// The proof file.
    pub proof: Vec<u8>,
    /// The size of the tree that it is proven in.
    pub tree_size: u64,
    /// When the log had the statement before: the record as it was logged.
    pub duplicate: Option<Duplicate>,
}

/// A statement that the log had already.
#[derive(Debug, Clone)]
pub struct Duplicate {
    /// The record as it was logged, when its signature lines differ from those sent.
    pub other_signatures: Option<Vec<u8>>,
}

/// Sends every job and tells what became of it, in order.
///
/// Ends early only when the connection fails; jobs that were not told of can be sent again, because
/// a statement is never logged twice.
///
/// # Errors
/// [`Failure`] when the connection fails, or `told` does.
pub async fn submit<I>(
    node: &mut Node,
    trust: &Trust,
    jobs: I,
    told: impl FnMut(Submission, Result<Proven, Failure>) -> Result<(), Failure>,
) -> Result<(), Failure>
where
    I: Iterator<Item = Submission> + Send + 'static,
{
    submit_within(SILENCE, node, trust, jobs, told).await
}

/// As [`submit`], for nodes that may stay silent for so long.
///
/// # Errors
/// As [`submit`]; a node that owes an answer for longer has failed.
pub async fn submit_within<I>(
    silence: Duration,
    node: &mut Node,
    trust: &Trust,
    jobs: I,
    mut told: impl FnMut(Submission, Result<Proven, Failure>) -> Result<(), Failure>,
) -> Result<(), Failure>
where
    I: Iterator<Item = Submission> + Send + 'static,
{
    let (to_node, requests) = tokio::sync::mpsc::channel(64);
    let (to_us, mut waiting) = tokio::sync::mpsc::channel::<Submission>(WINDOW);
    let feeding = tokio::task::spawn_blocking(move || {
        for job in jobs {
            let wait = v1::Wait::Published.into();
            let request = v1::SubmitRequest { record: job.record.to_bytes().into(), wait };
            // both ends close only when the connection is gone, which the other side reports
            if to_us.blocking_send(job).is_err() || to_node.blocking_send(request).is_err() {
                return;
            }
        }
    });
    let answers = node.client().submit_stream(ReceiverStream::new(requests));
    let answers = tokio::time::timeout(silence, answers).await.map_err(|_| silent(silence))?;
    let mut answers = answers.map_err(|e| client::failure(&e))?.into_inner();
    while let Some(job) = waiting.recv().await {
        let answer = tokio::time::timeout(silence, answers.message()).await;
        let answer = answer.map_err(|_| silent(silence))?.map_err(|e| client::failure(&e))?;
        let outcome = answer.and_then(|answer| answer.outcome).ok_or_else(|| {
            Failure::environment(
                format!("the node ended the stream before it answered for {}", job.name),
                "submit again: what is logged already is found, not logged twice",
            )
        })?;
        let result = match outcome {
            Outcome::Logged(response) => check(&job.record, &response, trust),
            Outcome::Refused(refusal) => Err(refused(refusal)),
        };
        told(job, result)?;
    }
    feeding.await.map_err(|e| {
        Failure::environment(format!("reading the records stopped: {e}"), "submit again")
    })
}

fn silent(silence: Duration) -> Failure {
    Failure::environment(
        format!("the node has not answered for {} seconds", silence.as_secs()),
        "is the node well? submit again: what is logged already is found, not logged twice",
    )
}

fn refused(refusal: v1::Refusal) -> Failure {
    let message = refusal.message.clone();
    client::refusal(Code::from_i32(refusal.code), message, refusal.hint.clone())
}

/// Verifies what the node says about a record.
fn check(record: &Record, response: &v1::SubmitResponse, trust: &Trust) -> Result<Proven, Failure> {
    let wrong = |what: &str| client::wrong_answer(what);
    if response.statement.as_ref() != record.statement().as_hash().as_bytes() {
        return Err(wrong("it names another statement"));
    }
    let logged = std::str::from_utf8(&response.logged).ok();
    let logged = logged.and_then(|line| Logged::parse(line).ok());
    let logged = logged.ok_or_else(|| wrong("its `logged` line is malformed"))?;
    let mut in_log = record.to_bytes();
    let mut duplicate = None;
    if let Some(earlier) = &response.duplicate {
        let other = earlier.record != in_log;
        if other {
            let parsed = Record::parse(&earlier.record).ok();
            if parsed.is_none_or(|parsed| parsed.statement() != record.statement()) {
                return Err(wrong("its duplicate is another statement"));
            }
            in_log = earlier.record.to_vec();
        }
        let other_signatures = other.then(|| earlier.record.to_vec());
        duplicate = Some(Duplicate { other_signatures });
    }
    let proof = TlogProof::parse(&response.proof).map_err(|e| wrong(&format!("its proof: {e}")))?;
    if proof.extra.as_deref() != Some(&response.logged[..]) {
        return Err(wrong("its proof carries another `logged` line"));
    }
    if proof.index.get() != response.index {
        return Err(wrong("its proof is of another index"));
    }
    let proven = ProvenRecord::verify(&in_log, &proof, &trust.policy).map_err(|error| {
        let hint = "the node has not proven that the record is in the log: keep the record, ask";
        unproven(&error, hint)
    })?;
    trust.is_charter_of(proven.accepted())?;
    Ok(Proven {
        index: response.index,
        logged,
        proof: response.proof.to_vec(),
        tree_size: proven.head().size.get(),
        duplicate,
    })
}

/// Where the record of a proof is looked for: proofs are written beside it.
pub fn home(record: &Path, folder: Option<&Path>) -> PathBuf {
    match (folder, record.file_name()) {
        (Some(folder), Some(name)) => folder.join(name).with_extension("record"),
        _ => record.to_owned(),
    }
}

/// Writes the proof of a record: `NAME.tlog-proof`, or, when the log holds it with other
/// signatures, `NAME.logged.record` and `NAME.logged.tlog-proof`, which belong together. Returns
/// the proof's path.
///
/// # Errors
/// [`Failure`] when a file cannot be written.
pub fn write_proof(
    record: &Path,
    folder: Option<&Path>,
    proven: &Proven,
) -> Result<PathBuf, Failure> {
    let home = home(record, folder);
    let other = proven.duplicate.as_ref().and_then(|d| d.other_signatures.as_ref());
    let proof = match other {
        None => files::beside(&home, "tlog-proof"),
        Some(record) => {
            files::replace(&files::beside(&home, "logged.record"), record)?;
            files::beside(&home, "logged.tlog-proof")
        }
    };
    files::replace(&proof, &proven.proof)?;
    Ok(proof)
}
