//! Submits records over one connection, and verifies every answer.

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

/// Records in flight at a time: enough to keep the node busy, few enough to hold in memory.
const WINDOW: usize = 1024;

/// How long a node may take for the next answer: far more than a batch takes.
pub const SILENCE: Duration = Duration::from_secs(60);

/// A record to submit.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its name in messages.
    pub name: String,
    /// The path of its record file, which need not exist. The proof is named after it.
    pub path: PathBuf,
    /// The record.
    pub record: Record,
}

/// A record that is proven to be in the log.
#[derive(Debug, Clone)]
pub struct Proven {
    /// Its index.
    pub index: u64,
    /// The `logged` line of its entry.
    pub logged: Logged,
    /// The proof file.
    pub proof: Vec<u8>,
    /// The size of the tree in which it is proven.
    pub tree_size: u64,
    /// Set when the log already had the statement.
    pub duplicate: Option<Duplicate>,
}

/// A statement that the log already had.
#[derive(Debug, Clone)]
pub struct Duplicate {
    /// The logged record, if its signature lines differ from those sent.
    pub other_signatures: Option<Vec<u8>>,
}

/// Submits every job, and passes each result to the closure, in order.
///
/// Ends early only when the connection or the closure fails. Jobs without a result can be submitted
/// again, because a statement is never logged twice.
///
/// # Errors
/// [`Failure`] when the connection fails, or the closure does.
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

/// As [`submit`], with another time limit for each answer.
///
/// # Errors
/// As [`submit`]. A node that takes longer has failed.
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
            // these channels close only when the connection is gone, which the loop below reports
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
                format!("the node closed the stream before it answered for {}", job.name),
                "submit again: a record that is already logged is found, not logged twice",
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
        "check the node, then submit again: no record is logged twice",
    )
}

fn refused(refusal: v1::Refusal) -> Failure {
    let message = refusal.message.clone();
    client::refusal(Code::from_i32(refusal.code), message, refusal.hint.clone())
}

/// Verifies the node's answer about a record.
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
        return Err(wrong("its proof is for another index"));
    }
    let proven = ProvenRecord::verify(&in_log, &proof, &trust.policy).map_err(|error| {
        let hint = "keep the record, and ask the operator: it is not proven to be in the log";
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

/// The path of the record that a proof belongs to. The proof is written beside it.
pub fn home(record: &Path, folder: Option<&Path>) -> PathBuf {
    match (folder, record.file_name()) {
        (Some(folder), Some(name)) => folder.join(name).with_extension("record"),
        _ => record.to_owned(),
    }
}

/// Writes the proof of a record as `NAME.tlog-proof`, and returns its path. If the log holds the
/// record with other signatures, writes `NAME.logged.record` and `NAME.logged.tlog-proof` instead.
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
