//! `ledger verify`: judges files, offline where possible.

mod evidence;
mod rules;
mod succession;

use std::path::{Path, PathBuf};

use ledger_core::Hint;
use ledger_core::authority::{Authorised, AuthorityBundle, HeadPolicy};
use ledger_core::charter::{Charter, Governance, JudgeError};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::MAX_EVIDENCE_BYTES;
use ledger_core::index::LeafIndex;
use ledger_core::merkle::{TreeHead, prove_consistency, verify_consistency};
use ledger_core::note::{MAX_NOTE_BYTES, Signature};
use ledger_core::policy::{AcceptedCheckpoint, Policy};
use ledger_core::proof::{MAX_EXTRA_BYTES, TlogProof, TlogProofError};
use ledger_core::record::{
    Entry, FIRST_LINE, Logged, MAX_RECORD_BYTES, Record, RecordError, format_time,
};
use ledger_core::{ProvenRecord, RecordProofError};
use ledger_node::source::Source;
use serde_json::{Value, json};

use super::audit::chain::NotShown;
use super::checkpoint::prove_growth;
use crate::client::{self, Node};
use crate::environment;
use crate::excluded;
use crate::failure::{Exit, Failure};
use crate::file_kind::FileKind;
use crate::files;
use crate::output::{Line, Outcome, Output, failure_object};
use crate::reach;
use crate::trust::{Trust, TrustArgs};

/// Limit on the bytes of the checkpoints of --old and --checkpoint.
const MAX_FILE: usize = MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES;

const EXAMPLE: &str = "\
Example: all proofs in a folder, each with its record beside it
  ledger verify proofs/*.tlog-proof --policy consortium.policy
Example: judge the signers too; STATEMENT is the charter's statement id from a source you trust
  ledger verify decision.tlog-proof --anchor STATEMENT --charter charter.record
Example: which governance entries allowed the signers? `prove --authority` makes the bundle
  ledger verify decision.authority --anchor STATEMENT
Example: did enough members leave the log for another one? See docs/governance.md
  ledger verify new.succession --anchor STATEMENT --charter old.authority --source DIR
Example: has the log only grown since an older checkpoint?
  ledger verify today.checkpoint --old then.checkpoint --policy consortium.policy --source DIR
Example: does this evidence convict the key of a log or of a witness?
  ledger verify evidence.json --vkey ledger.example/2026+1c2d3e4f+AY...";

/// Verify proofs, checkpoints, records and evidence, and say what is proven and why
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// tlog-proofs, authority bundles, checkpoints, successions, records or evidence; the record of
    /// X.tlog-proof or X.authority is X.record beside it
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The record of a single proof, if it is not beside the proof
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// An older checkpoint: check that the log has only grown since
    #[arg(long, value_name = "CHECKPOINT")]
    old: Option<PathBuf>,
    /// A tlog-tiles directory or URL, for the consistency proof of --old or the tree that a
    /// succession names
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// For a succession: a checkpoint of the old log that you accept, whose head counts as known
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// A node's gRPC address, for the consistency proof of --old
    #[arg(long, value_name = "URL", env = "LEDGER_NODE")]
    node: Option<String>,
    /// A key that you know to be a log's or a cosigner's, for evidence; may be given several times
    #[arg(long, value_name = "VKEY")]
    vkey: Vec<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What was proven, for people and as JSON.
struct ProvenItem {
    /// `proven`, or for evidence `convicted`.
    word: &'static str,
    text: String,
    object: Value,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the trust files cannot be used. The verdicts on the files decide between the
/// exit codes 0, 1 and 3.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    if args.record.is_some() && args.files.len() > 1 {
        let hint = "verify one proof at a time, or put each record beside its proof";
        return Err(Failure::usage("--record goes with a single proof", hint));
    }
    let trust = trust(args, out)?;
    let mut results = Vec::with_capacity(args.files.len());
    let mut exit = Exit::Done;
    let mut proven = 0;
    for path in &args.files {
        let name = path.display().to_string();
        let mut object = match judge(path, args, trust.as_ref(), out) {
            Ok(verdict) => {
                proven += 1;
                out.line(Line::good(verdict.word).and(format!(" {name}: {}", verdict.text)));
                verdict.object
            }
            Err(failure) if failure.exit == Exit::Usage => return Err(failure),
            Err(failure) => {
                out.line(Line::bad("NOT PROVEN").and(format!(" {name}")));
                exit = exit.and(failure.exit);
                let object = failure_object(&failure);
                out.problem(&failure.of(&name));
                object
            }
        };
        object["file"] = json!(name);
        object["trust"] = json!(trust.as_ref().map(|trust| trust.basis.as_str()));
        object["proven"] = json!(object.get("error").is_none());
        results.push(object);
    }
    if args.files.len() > 1 {
        out.line(format!("{proven} of {} proven", args.files.len()));
    }
    Ok(Outcome { exit, object: json!({ "results": results }) })
}

/// The trust for the verdicts on proofs, checkpoints and records.
fn trust(args: &Args, out: &Output) -> Result<Option<Trust>, Failure> {
    // bundles and evidence carry the charter, so they need only the anchor
    let brings_charter = |path: &PathBuf| {
        let named = path.extension().is_some_and(|own| own == "authority");
        // standard input can be read only once, so its kind is not checked here
        let reads = || files::read(path, MAX_EVIDENCE_BYTES).map(|bytes| FileKind::of(&bytes));
        named
            || path.as_os_str() == "-"
            || matches!(reads(), Ok(FileKind::Bundle | FileKind::Evidence))
    };
    let keys_alone = !args.vkey.is_empty() && args.trust.is_empty();
    let anchor_alone = args.trust.anchor.is_some() && args.trust.charter.is_none();
    if keys_alone || (anchor_alone && args.files.iter().all(brings_charter)) {
        return Ok(None);
    }
    args.trust.offline(out)
}

fn judge(
    path: &Path,
    args: &Args,
    trust: Option<&Trust>,
    out: &Output,
) -> Result<ProvenItem, Failure> {
    let bytes = files::read(path, MAX_EVIDENCE_BYTES)?;
    let sort = FileKind::of(&bytes);
    check_flags(path, sort, args)?;
    match sort {
        FileKind::Record => return judge_record(&bytes, trust),
        FileKind::Bundle => return judge_bundle(path, &bytes, args, trust, out),
        FileKind::Evidence => return evidence::judge(&bytes, args, trust),
        FileKind::Succession => return succession::judge(&bytes, args, trust),
        FileKind::Object => {
            let hint = "sign it first: ledger record sign DRAFT --key FILE";
            return Err(Failure::refused("this is a draft: no member has signed it", hint));
        }
        FileKind::Proof | FileKind::Other => {}
    }
    let trust = trust.ok_or_else(|| {
        Failure::usage(
            "a proof or checkpoint cannot be judged without knowing whom you trust",
            "give --policy FILE, or --anchor STATEMENT with --charter FILE",
        )
    })?;
    if sort == FileKind::Proof {
        judge_proof(path, &bytes, args, trust)
    } else {
        judge_checkpoint(&bytes, args, trust, out)
    }
}

/// Refuses a flag that does not apply to a file, instead of ignoring it.
fn check_flags(path: &Path, sort: FileKind, args: &Args) -> Result<(), Failure> {
    let about_record = matches!(sort, FileKind::Proof | FileKind::Bundle);
    let checkpoint = matches!(sort, FileKind::Other | FileKind::Object);
    let succession = sort == FileKind::Succession;
    if args.source.is_some() && args.old.is_none() && !succession {
        let hint = "name the older checkpoint with --old, or leave --source out";
        return Err(Failure::usage("--source goes with --old, or with a succession", hint));
    }
    let misfits = [
        ("--record", args.record.is_some() && !about_record, "a tlog-proof"),
        ("--old", args.old.is_some() && !checkpoint, "a checkpoint"),
        (
            "--source",
            args.source.is_some() && !checkpoint && !succession,
            "a checkpoint or a succession",
        ),
        ("--checkpoint", args.checkpoint.is_some() && !succession, "a succession"),
        ("--vkey", !args.vkey.is_empty() && sort != FileKind::Evidence, "evidence"),
    ];
    match misfits.iter().find(|(_, misfit, _)| *misfit) {
        None => Ok(()),
        Some((flag, _, kind)) => Err(Failure::usage(
            format!("{flag} goes with {kind}, which {} is not", path.display()),
            "leave it out, or verify the other files separately",
        )),
    }
}

/// Judges an authority bundle with its record, starting from the anchor alone.
fn judge_bundle(
    path: &Path,
    bytes: &[u8],
    args: &Args,
    trust: Option<&Trust>,
    out: &Output,
) -> Result<ProvenItem, Failure> {
    let anchor = args.trust.anchor()?.ok_or_else(|| {
        Failure::usage(
            "an authority bundle begins with a charter, which must be one you trust",
            "give --anchor STATEMENT, the charter's statement id",
        )
    })?;
    let exclusions = match trust {
        Some(trust) => trust.exclusions.clone(),
        None => args.trust.exclusions()?,
    };
    let own = args.trust.policy_file()?;
    let own = own.map(|own| excluded::apply(&exclusions, &own, out)).transpose()?;
    let bundle = AuthorityBundle::parse(bytes).map_err(Failure::refused_by)?;
    let policy = trust.map(|trust| trust.policy_for(&bundle.proof().checkpoint)).or(own);
    let record = record_beside(path, args)?;
    let record = Record::parse(&record).map_err(|e| unsound(&e))?;
    let exclude = |policy: &Policy| exclusions.apply(policy);
    let judges = policy.as_ref().map_or(HeadPolicy::Charter(&exclude), HeadPolicy::Given);
    let shown = bundle.verify(&record, anchor, judges).map_err(|e| {
        let message = match e.is_unlawful() {
            true => format!("it is in the log, but {e}"),
            false => e.to_string(),
        };
        Failure::refused(message, e.hint())
    })?;
    if let Some(known) = trust.and_then(|trust| trust.governance.as_ref()) {
        check_known(known, &shown)?;
    }
    if policy.is_none() {
        excluded::apply(&exclusions, &shown.governance.charter().policy(), out)?;
    }
    let (when, decides) = (format_time(shown.logged.time), shown.logged.governance);
    let signers = signers(&shown.charter, &record, shown.logged.time);
    let (index, size) = (shown.index, shown.accepted.checkpoint.head().size);
    let rule = shown.charter.rules().get(&record.kind()).map(Vec::as_slice).unwrap_or_default();
    let rules: Vec<String> = rule
        .iter()
        .map(|own| format!("{} {} (set by entry {})", own.members(), own.role(), own.since()))
        .collect();
    let rules =
        if rules.is_empty() { String::new() } else { format!("; needs {}", rules.join(", ")) };
    let text = format!(
        "in the log {} at {index}, logged {when}, tree of {size}{}; signed by {signers}; allowed by \
         the charter in force at entry {decides}{rules}",
        shown.accepted.checkpoint.origin().as_str(),
        cosigned(&shown.accepted),
    );
    let governed: Vec<Value> = shown
        .governance
        .states()
        .iter()
        .map(|own| json!({ "index": own.index().get(), "statement": own.statement().to_string() }))
        .collect();
    let object = json!({
        "type": "authority",
        "origin": shown.accepted.checkpoint.origin().as_str(),
        "index": index.get(),
        "logged": when,
        "tree_size": size.get(),
        "cosignatures": shown.accepted.cosigned.len(),
        "decided_by": decides.get(),
        "governance": governed,
        "signers": signers,
        "signers_judged": true,
    });
    Ok(ProvenItem { word: "proven", text, object })
}

/// Refuses a bundle that leaves out governance entries that the user knows to be in its tree.
fn check_known(known: &Governance, shown: &Authorised) -> Result<(), Failure> {
    let size = shown.accepted.checkpoint.head().size;
    let left_out = known.states().iter().filter(|own| size.contains(own.index())).find(|own| {
        let same = shown.governance.at(own.index());
        same.is_none_or(|same| same.base() != own.statement())
    });
    match left_out {
        None => Ok(()),
        Some(own) => Err(Failure::refused(
            format!("the bundle lacks governance entry {} of --charter", own.index()),
            "keep both files: one of them shows another history, or only a part",
        )),
    }
}

/// Reads the record of a proof: the file of --record, or the one beside the proof.
fn record_beside(path: &Path, args: &Args) -> Result<Vec<u8>, Failure> {
    let beside = files::beside(path, "record");
    let record_path = args.record.as_deref().unwrap_or(&beside);
    if args.record.is_none() && !beside.exists() {
        return Err(Failure::refused(
            format!("there is no record {} beside the proof", beside.display()),
            "name the record with --record FILE: without it nothing can be proven",
        ));
    }
    let record = files::read(record_path, MAX_RECORD_BYTES)?;
    if !record.starts_with(format!("{FIRST_LINE}\n").as_bytes()) {
        let hint = "the record file was altered, or it is another file";
        return Err(Failure::refused(format!("{} is not a record", record_path.display()), hint));
    }
    Ok(record)
}

/// Judges a proof with its record.
fn judge_proof(
    path: &Path,
    bytes: &[u8],
    args: &Args,
    trust: &Trust,
) -> Result<ProvenItem, Failure> {
    let damaged = "the proof file is damaged: fetch a fresh one with `ledger prove`";
    let proof = TlogProof::parse(bytes).map_err(|e| Failure::refused(e.to_string(), damaged))?;
    let record = record_beside(path, args)?;
    let policy = trust.policy_for(&proof.checkpoint);
    let proven = ProvenRecord::verify(&record, &proof, &policy).map_err(|error| {
        let hint = match &error {
            RecordProofError::Proof(TlogProofError::Policy(error)) => {
                trust.hint(&proof.checkpoint, error)
            }
            error => error.hint().to_owned(),
        };
        Failure::refused(error.to_string(), hint)
    })?;
    let (logged, accepted) = (proven.logged(), proven.accepted());
    trust.is_charter_of(accepted)?;
    let signers = match &trust.governance {
        None => "signers not judged".to_owned(),
        Some(governance) => judge_entry(governance, logged, &record, proof.index)?,
    };
    let (index, size) = (proof.index, accepted.checkpoint.head().size);
    let when = format_time(logged.time);
    let text = format!(
        "in the log {} at {index}, logged {when}, tree of {size}{}; {signers}",
        accepted.checkpoint.origin().as_str(),
        witnessed(accepted, trust),
    );
    let object = json!({
        "type": "tlog-proof",
        "origin": accepted.checkpoint.origin().as_str(),
        "index": index.get(),
        "logged": when,
        "tree_size": size.get(),
        "cosignatures": accepted.cosigned.len(),
        "signers": signers,
        "signers_judged": trust.governance.is_some(),
    });
    Ok(ProvenItem { word: "proven", text, object })
}

/// Judges the signers of an entry that is proven to be in the log. Returns who they are.
fn judge_entry(
    governance: &Governance,
    logged: Logged,
    record: &[u8],
    index: LeafIndex,
) -> Result<String, Failure> {
    let in_log = |message: String, hint: &str| {
        Failure::refused(format!("it is in the log, but {message}"), hint)
    };
    let record = Record::parse(record).map_err(|e| in_log(e.to_string(), e.hint()))?;
    if index == LeafIndex::ZERO {
        if record.statement() != governance.charter().statement() {
            let hint = "the anchor does not name the charter that founded this log";
            return Err(in_log("it is another charter".to_owned(), hint));
        }
        let founded = Charter::found(&Entry::new(logged, record));
        founded.map_err(|e| in_log(e.to_string(), e.hint()))?;
        return Ok("it is the charter of the anchor, signed by every founder".to_owned());
    }
    let decides = logged.governance;
    let judged = governance.judge(&record, &logged, index);
    let charter = judged.map_err(|e| match e {
        JudgeError::Unknown(_) => {
            let hint = format!(
                "get a newer bundle: ledger prove --index {index} --authority -o LOG.authority --anchor {}; then \
                 verify with --charter LOG.authority",
                governance.charter().statement()
            );
            in_log(e.to_string(), &hint)
        }
        e => in_log(e.to_string(), e.hint()),
    })?;
    let signers = signers(&charter, &record, logged.time);
    Ok(format!("signed by {signers}, allowed by the charter in force at entry {decides}"))
}

/// Who signed, in which roles, and which governance entries say so.
fn signers(charter: &Charter, record: &Record, at: u64) -> String {
    let describe = |line: &Signature| {
        let name = line.name().as_str();
        let Some((member, key)) = charter.signer(line) else { return name.to_owned() };
        let held = member.roles().iter().filter(|role| role.term().contains(at));
        let roles: Vec<String> =
            held.map(|role| format!("{} by entry {}", role.role(), role.since())).collect();
        let roles =
            if roles.is_empty() { String::new() } else { format!("; {}", roles.join(", ")) };
        format!("{name} (key of entry {}{roles})", key.since())
    };
    let signers: Vec<String> = record.note().signatures().iter().map(describe).collect();
    signers.join(", ")
}

fn judge_record(bytes: &[u8], trust: Option<&Trust>) -> Result<ProvenItem, Failure> {
    let record = Record::parse(bytes).map_err(|e| unsound(&e))?;
    let statement = record.statement().to_string();
    let Some(charter) = trust.and_then(Trust::charter) else {
        return Err(Failure::refused(
            "the record is well formed; its signers are not judged",
            "give --anchor STATEMENT with --charter FILE; a .tlog-proof proves that it is in the log",
        ));
    };
    let refused = |e: ledger_core::charter::Rejection| Failure::refused_by(e);
    if statement == charter.statement().to_string() {
        // the anchor fixes only the text, so the signature lines of this file must verify too
        Charter::check_record(&record, record.envelope().issued_at()).map_err(refused)?;
        let text = "the charter of the anchor, signed by every founder".to_owned();
        let object = json!({ "type": "record", "statement": statement, "signers_judged": true });
        return Ok(ProvenItem { word: "proven", text, object });
    }
    let names: Vec<String> =
        record.note().signatures().iter().map(|line| line.name().to_string()).collect();
    // the record's own time is not used: a key whose term has ended could write any time
    let (time, governance) = (environment::now(), charter.governance_index());
    let signed = charter.verify(record).map_err(refused)?;
    let index = LeafIndex::new(governance.get() + 1).unwrap_or(governance);
    charter.admit(&signed, &Logged { time, governance }, index).map_err(|e| {
        Failure::refused(
            format!("it would be refused if it were logged now: {e}"),
            format!("{}; if it was logged before, verify its .tlog-proof", e.hint()),
        )
    })?;
    let by = names.join(", ");
    let text =
        format!("signed by {by}, enough for the charter if logged now; not known to be logged");
    let object = json!({
        "type": "record", "statement": statement, "signers": by, "signers_judged": true,
    });
    Ok(ProvenItem { word: "proven", text, object })
}

fn unsound(error: &RecordError) -> Failure {
    Failure::refused_by(error)
}

fn judge_checkpoint(
    bytes: &[u8],
    args: &Args,
    trust: &Trust,
    out: &Output,
) -> Result<ProvenItem, Failure> {
    let new = accept(bytes, trust)?;
    trust.is_charter_of(&new)?;
    let head = *new.checkpoint.head();
    let origin = new.checkpoint.origin();
    let mut text = format!(
        "checkpoint of {} at size {}{}",
        origin.as_str(),
        head.size,
        witnessed(&new, trust)
    );
    let mut object = json!({
        "type": "checkpoint",
        "origin": origin.as_str(),
        "size": head.size.get(),
        "root": head.root.to_base64(),
        "cosignatures": new.cosigned.len(),
    });
    if let Some(path) = &args.old {
        let old = accept(&files::read(path, MAX_FILE)?, trust).map_err(|e| e.of(path.display()))?;
        if old.checkpoint.origin() != origin {
            let hint = "compare checkpoints of one log";
            return Err(Failure::refused("the older checkpoint is from another log", hint));
        }
        let old = *old.checkpoint.head();
        grown(&old, &head, args, out)?;
        text.push_str(&format!("; it has only grown since size {}", old.size));
        object["grown_from"] = json!(old.size.get());
    }
    Ok(ProvenItem { word: "proven", text, object })
}

fn accept(bytes: &[u8], trust: &Trust) -> Result<AcceptedCheckpoint, Failure> {
    let claimed = ClaimedCheckpoint::parse(bytes).map_err(|e| {
        let hint = "give a tlog-proof, a bundle, a checkpoint, a succession, a record or evidence";
        Failure::refused(format!("neither proof nor record, and not a checkpoint: {e}"), hint)
    })?;
    trust
        .policy_for(&claimed)
        .verify(&claimed)
        .map_err(|e| Failure::refused(e.to_string(), trust.hint(&claimed, &e)))
}

/// Describes the cosignatures of a checkpoint, and whether the log's key has been retired since.
fn witnessed(accepted: &AcceptedCheckpoint, trust: &Trust) -> String {
    let mut text = cosigned(accepted);
    if let Some(retired) = trust.retired_signer(accepted.checkpoint.claimed()) {
        text.push_str(&format!(
            ", signed by a log key that entry {} has retired since",
            retired.at()
        ));
    }
    text
}

fn cosigned(accepted: &AcceptedCheckpoint) -> String {
    match accepted.cosigned.len() {
        0 => String::new(),
        1 => ", cosigned by 1 witness".to_owned(),
        n => format!(", cosigned by {n} witnesses"),
    }
}

/// Proves that the tree of `old` is a prefix of the tree of `new`, offline where possible.
fn grown(old: &TreeHead, new: &TreeHead, args: &Args, out: &Output) -> Result<(), Failure> {
    if old.size > new.size {
        return Err(Failure::refused(
            format!("the older checkpoint has size {}, the newer {}", old.size, new.size),
            "swap them; if the log really shrank, keep both",
        ));
    }
    if old.size == new.size && old.root != new.root {
        return Err(Failure::refused(
            format!("the log signed two histories: two trees of size {}", old.size),
            "keep both, and make the file that convicts it: `ledger evidence make A B -o FILE`",
        ));
    }
    if let Some(source) = &args.source {
        return grown_in_source(old, new, source);
    }
    if old.size.is_empty() || old.size == new.size {
        return verify_consistency(&Default::default(), old, new).map_err(|e| forked(&e));
    }
    let Some(url) = &args.node else {
        return Err(Failure::refused(
            format!("size {} is not proven to be the beginning of size {}", old.size, new.size),
            "give the source of the consistency proof: --node URL or --source DIR",
        ));
    };
    out.note(format!("asking {url} for the consistency proof"));
    client::runtime()?.block_on(async {
        let mut node = Node::connect(url).await?;
        prove_growth(&mut node, old, new).await
    })
}

fn grown_in_source(old: &TreeHead, new: &TreeHead, source: &str) -> Result<(), Failure> {
    let source = reach::source(source)?;
    let mut nodes = reach::nodes(&source, new.size);
    let proof = prove_consistency(&mut nodes, old.size, new.size);
    let proof = proof.map_err(|e| not_grown(&NotShown::growth(&e), &source))?;
    verify_consistency(&proof, old, new).map_err(|e| forked(&e))
}

/// The failure when the source does not show that one tree begins with another.
fn not_grown(why: &NotShown, source: &Source) -> Failure {
    let hint = "the source must hold the log's tiles up to the newer checkpoint";
    why.failure(why.to_string(), hint).of(source)
}

fn forked(error: &ledger_core::merkle::VerifyError) -> Failure {
    Failure::refused(
        format!("the newer tree is not proven to begin with the older one: {error}"),
        "if both checkpoints are signed and the source is complete, the log has forked: keep both, and \
         try `ledger evidence make A B --source SOURCE -o FILE`",
    )
}
