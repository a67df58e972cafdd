//! `ledger audit`: re-checks a whole log, trusting nothing but a key.
//!
//! `tree` re-hashes the entries and rebuilds the tiles; `judge` re-checks signatures and
//! authority. Both run while the files are read. Memory grows with the number of entries: two
//! digests of each are kept, to find what comes twice; the entries themselves are not.

pub(crate) mod chain;
mod folder;
mod judge;
mod report;
mod tree;

use std::path::PathBuf;

use ledger_core::charter::{Charter, Governance};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::merkle::TreeHead;
use ledger_core::note::{MAX_NOTE_BYTES, VerifierKey};
use ledger_core::policy::{AcceptedCheckpoint, Policy};
use ledger_core::record::{Entry, StatementId};

use crate::environment;
use crate::escape;
use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};
use crate::progress::Progress;
use crate::reach;
use crate::trust::{Basis, Trust, TrustArgs};
use ledger_node::source::{ReadError, Source};

pub use judge::{Lawful, LawfulEntry};

use judge::{Judges, Tally};
use report::{Report, Summary};
use tree::TreeCheck;

const EXAMPLE: &str = "\
Example: a copy of a log on disk, then any other C2SP log, of which only the tree is checked
  ledger audit backup/site --vkey \"$LOG_VKEY\"
  ledger audit https://log.example/prefix --vkey \"$OTHER_VKEY\" --opaque";

/// Re-hash every entry, rebuild every tile, and re-check every signature and authorisation
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A node's HTTP address, any C2SP tlog-tiles URL, or a directory
    source: String,
    /// The log's key
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
    /// The entries are not our records: check the tree only
    #[arg(long)]
    opaque: bool,
    /// An older checkpoint that the log must have grown out of
    #[arg(long, value_name = "CHECKPOINT")]
    since: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the source cannot be read or its checkpoint is not acceptable; what is wrong
/// inside the log is listed and ends with exit code 1.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let (report, summary) = examine(args, out, Report::new(out), None)?;
    Ok(report.finish(&summary, out))
}

/// What another command wants of an audit: the lawful entries, and whether the log holds.
#[derive(Debug)]
pub struct Judged {
    /// The log's name.
    pub origin: String,
    /// How many entries its signed head has.
    pub size: u64,
    /// Whose word the key was.
    pub basis: Basis,
    /// Entries that break a rule.
    pub unlawful: u64,
    /// Entries that this version cannot judge.
    pub not_judged: u64,
}

/// Reads and judges a whole log for another command, which takes the lawful entries.
///
/// # Errors
/// [`Failure`] as [`run`], and if the log is not what its head was signed for.
pub fn judged<'a>(
    source: &str,
    vkey: Option<&str>,
    trust: &TrustArgs,
    out: &Output,
    lawful: &'a mut Lawful<'a>,
) -> Result<Judged, Failure> {
    let args = Args {
        source: source.to_owned(),
        vkey: vkey.map(str::to_owned),
        opaque: false,
        since: None,
        trust: trust.clone(),
    };
    let (report, summary) = examine(&args, out, Report::new(&out.silent()), Some(lawful))?;
    let (broken, unlawful) = report.counts();
    if broken > 0 {
        return Err(Failure::refused(
            format!("{broken} problem(s): the log is not what its head was signed for"),
            format!("see them with: ledger audit {}", escape::line(source)),
        ));
    }
    Ok(Judged {
        origin: summary.origin,
        size: summary.head.size.get(),
        basis: summary.basis,
        unlawful: unlawful as u64,
        not_judged: summary.judged.not_judged,
    })
}

fn examine<'a>(
    args: &Args,
    out: &Output,
    mut report: Report,
    lawful: Option<&'a mut Lawful<'a>>,
) -> Result<(Report, Summary), Failure> {
    let source = reach::source(&args.source)?;
    let anchor = args.trust.anchor()?;
    let checkpoint = read_checkpoint(&source)?;
    let claims = if args.opaque { None } else { Some(chain::read(&source, &checkpoint)) };
    let (trust, claimed) = trust(args, anchor, claims, out)?;
    let accepted = accept(&checkpoint, &trust.policy)?;
    let head = *accepted.checkpoint.head();
    if head.size.is_empty() && !args.opaque {
        return Err(Failure::refused(
            "the log is empty: it has not even a charter",
            "a log of ours begins with its charter; for any other log add --opaque",
        ));
    }
    let since = args.since.as_ref().map(|path| since(path, &trust, &accepted)).transpose()?;
    let origin = accepted.checkpoint.origin().to_string();
    out.note(format!("auditing {} at size {} from {source}", escape::line(&origin), head.size));
    let mut tree = TreeCheck::new(&source, head, since);
    let expected = anchor.or(claimed);
    let judge = !args.opaque;
    let judged = walk(&mut tree, judge.then_some(expected), lawful, &mut report, out)?;
    tree.finish(&mut report)?;
    folder::check(&source, head.size, &mut report)?;
    bind(&accepted, &judged, policy_source(args), &mut report);
    let summary = Summary {
        origin,
        head,
        cosigned: accepted.cosigned.len(),
        basis: trust.basis,
        since: since.map(|head| head.size.get()),
        tiles: tree.tiles_checked(),
        opaque: args.opaque,
        judged,
    };
    Ok((report, summary))
}

/// Reads every block of entries once and hands it to both checkers.
///
/// `charter` is `None` for opaque logs, else the statement that entry 0 must have, if one is known.
fn walk<'a>(
    tree: &mut TreeCheck<'_>,
    charter: Option<Option<StatementId>>,
    mut lawful: Option<&'a mut Lawful<'a>>,
    report: &mut Report,
    out: &Output,
) -> Result<Tally, Failure> {
    let mut progress = Progress::new(out);
    let (source, head) = (tree.source(), tree.head());
    std::thread::scope(|scope| {
        let blocks = tree::read_ahead(scope, source, head.size);
        let mut judges = None;
        for block in blocks {
            let block = block?;
            let first = block.first;
            let entries = tree.check(block, report)?;
            if report.is_full() {
                break;
            }
            if let (0, Some(expected)) = (first, charter) {
                // only what the tree commits to counts as the charter
                let bytes = entries.iter().next().flatten();
                let founded = bytes.and_then(|bytes| found(bytes, expected, report));
                let lawful = lawful.take();
                let start = |charter| Judges::start(scope, charter, environment::now(), lawful);
                judges = founded.map(start);
            }
            if let Some(judges) = &mut judges {
                judges.send(first, entries, report);
            }
            progress.at("audited", tree.size().get(), Some(head.size.get()));
        }
        Ok(judges.map(|judges| judges.finish(report)).unwrap_or_default())
    })
}

/// Where the policy comes from. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PolicySource {
    /// A key or a policy of the user's own.
    User,
    /// A charter: the log's, or one in a file.
    Charter,
}

fn policy_source(args: &Args) -> PolicySource {
    match args.vkey.is_some() || args.trust.policy.is_some() {
        true => PolicySource::User,
        false => PolicySource::Charter,
    }
}

/// The charter must be that of the very log whose head was signed, by a key that is in force.
fn bind(accepted: &AcceptedCheckpoint, judged: &Tally, source: PolicySource, report: &mut Report) {
    let Some(charter) = &judged.charter else { return };
    let (own, signed) = (charter.origin(), accepted.checkpoint.origin());
    if own != signed.as_str() {
        report.foreign(&format!(
            "the charter founds the log {own:?}, but the checkpoint is of {signed:?}"
        ));
        return;
    }
    // a change that was not followed may have changed the log's keys
    let known = judged.blind.is_none();
    // who took the policy from a charter means the one in force, not the one that was read first
    if known && source == PolicySource::Charter {
        let policy = charter.read_policy().map_err(|e| e.to_string());
        let judged = policy.and_then(|policy| {
            policy.verify(accepted.checkpoint.claimed()).map_err(|e| e.to_string())
        });
        if let Err(why) = judged {
            report
                .foreign(&format!("by the charter in force the checkpoint does not count: {why}"));
            return;
        }
    }
    if known && accepted.checkpoint.claimed().verify(charter.log_keys()).is_err() {
        let key = accepted.checkpoint.log_key();
        report.foreign(&format!(
            "the checkpoint is signed by {key}, which is no log key of the charter"
        ));
    }
}

/// Whom the audit trusts: the user's choice, else, loudly, the log itself.
fn trust(
    args: &Args,
    anchor: Option<StatementId>,
    claims: Option<Result<Governance, String>>,
    out: &Output,
) -> Result<(Trust, Option<StatementId>), Failure> {
    if let Some(vkey) = &args.vkey {
        let key: VerifierKey = vkey.trim().parse().map_err(|e| {
            Failure::usage(format!("--vkey: {e}"), "give the log's vkey, as `keygen` printed it")
        })?;
        return Ok((Trust::of_policy(Policy::single_log(key)), None));
    }
    if args.trust.charter.is_none()
        && let Some(policy) = args.trust.policy_file()?
    {
        return Ok((Trust::of_policy(policy), None));
    }
    if args.trust.charter.is_some() {
        let trust = args.trust.offline()?;
        return trust.map(|trust| (trust, None)).ok_or_else(|| {
            Failure::usage("no policy", "give --vkey, --policy, or --anchor with --charter")
        });
    }
    let Some(claims) = claims else {
        return Err(Failure::usage(
            "an opaque log's key is not known",
            "give --vkey VKEY or --policy FILE",
        ));
    };
    let unread = |why: String| {
        Failure::refused(
            format!("the charter in entry 0 gives no key: {why}"),
            "give the log's key with --vkey; for a log that is not ours add --opaque",
        )
    };
    let governance = claims.map_err(unread)?;
    let statement = governance.charter().statement();
    if anchor.is_some_and(|anchor| anchor != statement) {
        return Err(Failure::refused(
            format!("the log's charter is {statement}, not the anchor"),
            "this is another log, or one that pretends to be yours",
        ));
    }
    let basis = if anchor.is_some() { Basis::User } else { Basis::Claimed };
    if basis == Basis::Claimed {
        out.warn(format!(
            "no --vkey, --policy or --anchor: this trusts the log itself, its charter {statement}"
        ));
    }
    Ok((Trust::of_charter(governance, basis)?, Some(statement)))
}

fn read_checkpoint(source: &Source) -> Result<Vec<u8>, Failure> {
    source.checkpoint().map_err(|e| match e {
        ReadError::Failed(_) | ReadError::Missing => Failure::environment(
            format!("the checkpoint of {source} {e}"),
            "SOURCE is the folder or URL that holds `checkpoint` and `tile/`",
        ),
        e => Failure::refused(format!("the checkpoint {e}"), "this is no C2SP log"),
    })
}

fn accept(bytes: &[u8], policy: &Policy) -> Result<AcceptedCheckpoint, Failure> {
    let claimed = ClaimedCheckpoint::parse(bytes).map_err(|e| {
        Failure::refused(format!("checkpoint: {e}"), "the file `checkpoint` is damaged")
    })?;
    policy.verify(&claimed).map_err(|e| {
        Failure::refused(
            format!("checkpoint: {e}"),
            "the file `checkpoint` was altered, or the log's key is another one",
        )
    })
}

/// The older head, signed by the same log.
fn since(
    path: &std::path::Path,
    trust: &Trust,
    new: &AcceptedCheckpoint,
) -> Result<TreeHead, Failure> {
    let refused = |e: String, hint: &str| Failure::refused(e, hint).of(path.display());
    let bytes = files::read(path, MAX_NOTE_BYTES)?;
    let claimed = ClaimedCheckpoint::parse(&bytes)
        .map_err(|e| refused(e.to_string(), "--since takes a signed checkpoint"))?;
    let old = trust.policy_for(&claimed).verify(&claimed);
    let old = old.map_err(|e| refused(e.to_string(), &trust.hint(&claimed, &e)))?;
    if old.checkpoint.origin() != new.checkpoint.origin() {
        let hint = "--since takes a checkpoint of the same log";
        return Err(refused("it is of another log".to_owned(), hint));
    }
    Ok(*old.checkpoint.head())
}

/// The charter that later entries are judged by; without one they are not judged.
fn found(bytes: &[u8], expected: Option<StatementId>, report: &mut Report) -> Option<Charter> {
    let entry = Entry::parse(bytes).map_err(|e| e.to_string());
    let charter = entry.and_then(|entry| Charter::found(&entry).map_err(|e| e.to_string()));
    match charter {
        Ok(charter) if expected.is_some_and(|expected| expected != charter.statement()) => {
            report
                .unlawful(0, "it is another charter than the anchor, or than the one shown first");
            None
        }
        Ok(charter) => Some(charter),
        Err(why) => {
            report.unlawful(0, &format!("it founds no log of ours: {why}"));
            None
        }
    }
}
