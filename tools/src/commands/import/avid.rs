//! `ledger import avid`: imports reports of the AI Vulnerability Database.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ledger_core::Hint;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::hash::Hash;
use ledger_core::note::SignerKey;
use ledger_core::record::{Draft, Entry, Record};
use serde_json::{Value, json};

use super::kept::{self, Kept};
use super::map::{self, Target};
use super::read::{ReadReport, Reports};
use crate::client::{self, LeafName, Node};
use crate::environment;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::keys;
use crate::output::{Line, Outcome, Output, failure_object};
use crate::progress::Progress;
use crate::submitter::{self, Submission};
use crate::trust::{Trust, TrustArgs};

/// Members that the summary on the terminal lists; the report file lists all.
const SHOWN_MEMBERS: usize = 12;

const EXAMPLE: &str = "\
Example: a dry run, then the import; repeat the second command to continue after an interruption
  ledger import avid reports.jsonl.gz --key lab.key --out avid --log ledger.example/2026 --dry-run
  ledger import avid reports.jsonl.gz --key lab.key --out avid --node http://127.0.0.1:7780";

/// Import reports of the AI Vulnerability Database (AVID)
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Report files: .json (an object or an array) or .jsonl, each also as .gz
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The key file that signs; its member becomes the issuer
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The folder for records and proofs; a second run continues from it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The log's origin; without --node, records are only written, and LEDGER_NODE is ignored
    #[arg(long, value_name = "ORIGIN")]
    log: Option<String>,
    /// Map and check all reports, but write nothing
    #[arg(long)]
    dry_run: bool,
    /// The node's gRPC address; default: LEDGER_NODE, unless --log is given
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// The counts so far, shared with the thread that reads.
#[derive(Debug, Default)]
struct ImportTally {
    read: u64,
    mapped: u64,
    written: u64,
    reused: u64,
    skipped: u64,
    repeated: u64,
    logged: u64,
    duplicates: u64,
    replaced: u64,
    taken_over: u64,
    carried: BTreeMap<String, u64>,
    left_out: BTreeMap<String, u64>,
    classes: BTreeMap<String, u64>,
    bad: Vec<(String, Failure)>,
}

impl ImportTally {
    /// The exit code, by the reports that were not imported.
    fn exit(&self) -> Exit {
        self.bad.iter().fold(Exit::Done, |exit, (_, failure)| exit.and(failure.exit))
    }
}

/// Turns reports into jobs, one at a time.
struct Importer {
    reports: Reports,
    target: Target,
    /// Judges the proofs of an earlier run. Without it no proof counts.
    trust: Option<Trust>,
    key: SignerKey,
    dir: PathBuf,
    dry_run: bool,
    /// The digest of each report seen, by its id.
    seen: HashMap<String, Hash>,
    tally: Arc<Mutex<ImportTally>>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the key, the folder or the node cannot be used. Bad reports are listed, and
/// decide the exit code.
pub fn run(args: Args, out: &Output) -> Result<Outcome, Failure> {
    let key = keys::read(&args.key)?;
    if !args.dry_run {
        std::fs::create_dir_all(&args.out).map_err(|e| files::cannot_write(&args.out, &e))?;
    }
    let tally = Arc::new(Mutex::new(ImportTally::default()));
    // --log means that no node is asked, unless --node is on the command line too
    let from_environment = || std::env::var("LEDGER_NODE").ok().filter(|_| args.log.is_none());
    let node = args.node.clone().or_else(from_environment).filter(|_| !args.dry_run);
    let ended = match node {
        None => offline(&args, key, &tally, out),
        Some(url) => client::runtime()?.block_on(online(&args, &url, key, &tally, out)),
    };
    let tally = Arc::into_inner(tally).map(Mutex::into_inner);
    let tally = tally.map(|t| t.unwrap_or_else(PoisonError::into_inner)).unwrap_or_default();
    for (place, failure) in &tally.bad {
        out.problem(&failure.clone().of(place));
    }
    if let Err(failure) = ended {
        let done = tally.logged + tally.taken_over + tally.skipped;
        out.note(format!("{done} reports are in the log; run the command again to continue"));
        return Err(Failure { exit: tally.exit().and(failure.exit), ..failure });
    }
    finish(&args, &tally, out)
}

/// Without a node: checks the records, and writes them unless it is a dry run.
fn offline(
    args: &Args,
    key: SignerKey,
    tally: &Arc<Mutex<ImportTally>>,
    out: &Output,
) -> Result<(), Failure> {
    let log = match &args.log {
        Some(log) => log.clone(),
        None if args.dry_run => "ledger.example/dry-run".to_owned(),
        None => {
            return Err(Failure::usage(
                "no log was named for the records",
                "give --node URL to submit them, or --log ORIGIN only to write them",
            ));
        }
    };
    let trust = args.trust.offline(out)?;
    let mut progress = Progress::new(out);
    for (at, _) in importer(args, key, log, trust, tally).enumerate() {
        progress.at("mapped", at as u64 + 1, None);
    }
    Ok(())
}

async fn online(
    args: &Args,
    url: &str,
    key: SignerKey,
    tally: &Arc<Mutex<ImportTally>>,
    out: &Output,
) -> Result<(), Failure> {
    let mut node = Node::connect(url).await?;
    let trust = args.trust.with_node(&mut node, out).await?;
    let log = trusted_origin(&mut node, &trust).await?;
    if args.log.as_ref().is_some_and(|own| *own != log) {
        return Err(Failure::usage(
            format!("the node serves the log {log}, not the one of --log"),
            "leave --log out, or name another --node",
        ));
    }
    let jobs = importer(args, key, log, Some(trust.clone()), tally);
    let mut progress = Progress::new(out);
    let mut taken = Vec::new();
    let ended = submitter::submit(&mut node, &trust, jobs, |job, result| {
        let proof = result.and_then(|proven| {
            submitter::write_proof(&job.path, None, &proven)?;
            Ok(proven)
        });
        let mut tally = lock(tally);
        match proof {
            Ok(proven) => {
                tally.logged += 1;
                tally.duplicates += u64::from(proven.duplicate.is_some());
            }
            Err(failure) if failure.exit == Exit::Environment => return Err(failure),
            Err(failure) if is_of_the_key(&failure) => return Err(wrong_key(&failure)),
            Err(failure) => match entry_of_id(&failure) {
                Some(index) => taken.push((job, index)),
                None => tally.bad.push((job.name, failure)),
            },
        }
        progress.at("logged and proven", tally.logged, None);
        Ok(())
    })
    .await;
    for (job, index) in taken {
        let result = take_over(&mut node, &trust, &job, index).await;
        let mut tally = lock(tally);
        match result {
            Ok(()) => tally.taken_over += 1,
            Err(failure) if failure.exit == Exit::Environment => return Err(failure),
            Err(failure) => tally.bad.push((job.name, failure)),
        }
    }
    ended
}

/// The origin for which records may be signed. It comes from the trusted charter or policy, not
/// from the node.
async fn trusted_origin(node: &mut Node, trust: &Trust) -> Result<String, Failure> {
    let claimed = node.log().await?.origin;
    let origin = match trust.charter() {
        Some(charter) => charter.origin().to_owned(),
        None => {
            let bytes = node.checkpoint().await?;
            let head = ClaimedCheckpoint::parse(&bytes).map_err(client::wrong_answer)?;
            let accepted = trust.policy.verify(&head).map_err(|e| {
                Failure::refused(e.to_string(), "the node serves a log that --policy does not list")
            })?;
            accepted.checkpoint.origin().as_str().to_owned()
        }
    };
    if claimed != origin {
        return Err(Failure::refused(
            format!("the node claims to serve {}, but the trusted log is {origin}", claimed),
            "nothing was signed: check --node, --policy and --anchor",
        ));
    }
    Ok(origin)
}

/// Whether the log would refuse every record, because of the key that signs.
fn is_of_the_key(failure: &Failure) -> bool {
    let message = &failure.message;
    // matches the words of the node's refusal, because the answer has no code for this case
    (message.starts_with("key ") && message.ends_with("is not in the charter"))
        || (message.starts_with("issuer ") && message.ends_with("is not a member"))
}

fn wrong_key(failure: &Failure) -> Failure {
    Failure::refused(
        format!("the log refuses --key: {}", failure.message),
        "run again with the right key: it signs all these records again",
    )
}

/// The entry that already has a record's id, as the node's refusal names it.
fn entry_of_id(failure: &Failure) -> Option<u64> {
    let (before, index) = failure.message.rsplit_once("which is entry ")?;
    before.contains("used this id").then(|| index.parse().ok())?
}

/// Fetches record and proof from the log. An earlier import, whose folder is lost, has logged the
/// report.
async fn take_over(
    node: &mut Node,
    trust: &Trust,
    job: &Submission,
    index: u64,
) -> Result<(), Failure> {
    let bytes = node.entry(index).await?;
    let entry = Entry::parse(&bytes).map_err(client::wrong_answer)?;
    if !kept::same(entry.record().body(), job.record.body()) {
        return Err(kept::changed(&format!("entry {index}")));
    }
    let proof = node.inclusion(LeafName::Index(index), None).await?.proof;
    if !kept::proves(&proof, entry.record(), trust) {
        return Err(client::wrong_answer(format!("its proof of entry {index} does not verify")));
    }
    files::replace(&job.path, entry.record().as_bytes())?;
    files::replace(&files::beside(&job.path, "tlog-proof"), &proof)
}

fn importer(
    args: &Args,
    key: SignerKey,
    log: String,
    trust: Option<Trust>,
    tally: &Arc<Mutex<ImportTally>>,
) -> Importer {
    let name = key.verifier().name().as_str();
    // SPEC formats/charter: a key name is its member's name, or that plus /label
    let issuer = name.split('/').next().unwrap_or(name).to_owned();
    Importer {
        reports: Reports::new(args.files.clone()),
        target: Target { log, issuer, issued_at: environment::now() },
        trust,
        key,
        dir: args.out.clone(),
        dry_run: args.dry_run,
        seen: HashMap::new(),
        tally: Arc::clone(tally),
    }
}

fn lock(tally: &Mutex<ImportTally>) -> std::sync::MutexGuard<'_, ImportTally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Iterator for Importer {
    type Item = Submission;

    fn next(&mut self) -> Option<Submission> {
        loop {
            let found = self.reports.next()?;
            let place = found.place.clone();
            match self.prepare(found) {
                Ok(Some(job)) => return Some(job),
                Ok(None) => {}
                Err(failure) => lock(&self.tally).bad.push((place, failure)),
            }
        }
    }
}

impl Importer {
    /// The job of a report; `None` when there is nothing left to do for it.
    fn prepare(&mut self, found: ReadReport) -> Result<Option<Submission>, Failure> {
        lock(&self.tally).read += 1;
        let report = found.report?;
        let id = map::avid_id(&report)?.to_owned();
        let digest = Hash::digest(report.to_string().as_bytes());
        match self.seen.insert(id.clone(), digest) {
            Some(before) if before == digest => {
                lock(&self.tally).repeated += 1;
                return Ok(None);
            }
            Some(_) => {
                let message = format!("{id} came before, with other contents");
                return Err(Failure::refused(message, "import one version of each report"));
            }
            None => {}
        }
        let path = self.dir.join(format!("{id}.record"));
        let mapped = map::map(&report, &id, &self.target)?;
        let draft = Draft::from_object(&mapped.object)
            .map_err(|e| Failure::refused(format!("{id}: {e}"), e.hint()))?;
        {
            let mut tally = lock(&self.tally);
            tally.mapped += 1;
            tally.replaced += mapped.replaced;
            for (member, count) in mapped.left_out {
                *tally.left_out.entry(member).or_default() += count;
            }
            for (member, count) in mapped.carried {
                *tally.carried.entry(member).or_default() += count;
            }
            let class = report["problemtype"]["classof"].as_str().unwrap_or_default();
            let class = if class.is_empty() { "(none)" } else { class };
            *tally.classes.entry(class.to_owned()).or_default() += 1;
        }
        let kept = if self.dry_run {
            Kept::Nothing
        } else {
            kept::look(&path, &draft, &self.key, self.trust.as_ref())?
        };
        let record = match kept {
            Kept::Done => {
                lock(&self.tally).skipped += 1;
                return Ok(None);
            }
            // a new record would have another time
            Kept::Record(record) => {
                lock(&self.tally).reused += 1;
                *record
            }
            Kept::Nothing => {
                let record = self.sign(&draft)?;
                if !self.dry_run {
                    files::replace(&path, record.as_bytes())?;
                    lock(&self.tally).written += 1;
                }
                record
            }
        };
        Ok(Some(Submission { name: format!("{}, {id}", found.place), path, record }))
    }

    fn sign(&self, draft: &Draft) -> Result<Record, Failure> {
        draft.sign(&[&self.key]).map_err(Failure::refused_by)
    }
}

fn finish(args: &Args, tally: &ImportTally, out: &Output) -> Result<Outcome, Failure> {
    let object = summary(args, tally);
    if !args.dry_run {
        let text = serde_json::to_string_pretty(&object).unwrap_or_default();
        files::replace(&args.out.join("import-report.json"), format!("{text}\n").as_bytes())?;
    }
    let dir = args.out.display();
    out.line(format!("{} reports read, {} mapped", tally.read, tally.mapped));
    for (class, count) in &tally.classes {
        out.line(format!("  {count:>6} {class}"));
    }
    if args.dry_run {
        out.line("dry run: nothing was written, nothing submitted");
    } else {
        let ImportTally { written, reused, skipped, logged, duplicates, .. } = tally;
        out.line(format!("{written} records written to {dir}, {reused} reused"));
        out.line(format!(
            "{logged} logged and proven ({duplicates} were in the log before), {skipped} done earlier"
        ));
    }
    if tally.taken_over > 0 {
        out.line(format!("{} were in the log: records and proofs fetched", tally.taken_over));
    }
    if tally.repeated > 0 {
        out.line(format!("{} reports came twice and were imported once", tally.repeated));
    }
    if tally.replaced > 0 {
        out.line(format!("{} characters that no record may hold were replaced", tally.replaced));
    }
    for (member, count) in &tally.left_out {
        out.line(format!("left out because it names people: {count} {member}"));
    }
    out.line("without a counterpart in the record format, kept word for word in ext.avid:");
    let mut carried: Vec<_> = tally.carried.iter().collect();
    carried.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (member, count) in carried.iter().take(SHOWN_MEMBERS) {
        out.line(format!("  {count:>6} {member}"));
    }
    if let Some(more) = carried.len().checked_sub(SHOWN_MEMBERS + 1) {
        let whole = if args.dry_run { "--json lists all" } else { "import-report.json lists all" };
        out.line(format!("         and {} more; {whole}", more + 1));
    }
    if !tally.bad.is_empty() {
        out.line(Line::bad("NOT IMPORTED").and(format!(" {} reports", tally.bad.len())));
    }
    Ok(Outcome { exit: tally.exit(), object })
}

fn summary(args: &Args, tally: &ImportTally) -> Value {
    let bad = tally.bad.iter().map(|(place, failure)| {
        let mut object = failure_object(failure);
        object["place"] = json!(place);
        object
    });
    json!({
        "dry_run": args.dry_run,
        "read": tally.read,
        "mapped": tally.mapped,
        "classes": tally.classes,
        "written": tally.written,
        "taken_up_again": tally.reused,
        "logged": tally.logged,
        "duplicates": tally.duplicates,
        "taken_over": tally.taken_over,
        "done_earlier": tally.skipped,
        "repeated": tally.repeated,
        "replaced_characters": tally.replaced,
        "carried_in_ext": tally.carried,
        "left_out": tally.left_out,
        "not_imported": bad.collect::<Vec<_>>(),
    })
}
