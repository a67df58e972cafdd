//! `ledger audit`: re-checks a whole log, trusting nothing but a key.
//!
//! `tree` re-hashes the entries and rebuilds the tiles; `judge` re-checks signatures and authority.
//! Both run while the files are read. Each index of the signed tree gets one `fate`, and the fates
//! add up to the size. Memory grows with the number of entries: two digests of each entry are kept
//! to find duplicates, but not the entries.

mod block;
pub(crate) mod chain;
mod fate;
mod folder;
mod gaps;
mod judge;
mod report;
mod tree;

use std::collections::BTreeSet;
use std::path::PathBuf;

use ledger_core::charter::Charter;
use ledger_core::checkpoint::{CheckpointError, ClaimedCheckpoint};
use ledger_core::evidence::Exclusions;
use ledger_core::index::TreeSize;
use ledger_core::merkle::TreeHead;
use ledger_core::note::{MAX_NOTE_BYTES, VerifierKey};
use ledger_core::policy::{AcceptedCheckpoint, Policy, PolicyError};
use ledger_core::record::{Entry, StatementId};
use ledger_core::tile::{TILE_WIDTH, TileCoord, TileKind};

use crate::environment;
use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};
use crate::progress::Progress;
use crate::reach;
use crate::trust::{Basis, Trust, TrustArgs};
use ledger_node::source::{Source, SourceError};

pub use judge::{Lawful, LawfulEntry};

pub(in crate::commands) use block::{MAX_NOT_SHOWN, MAX_UNREAD};

use block::{Block, Entries, Piece, Slot};
use chain::{ClaimedRules, NotShown};
use fate::{Fate, Footing, Root, Verdict};
use judge::{JudgeTally, Judges};
use report::{Report, Summary};
use tree::TreeCheck;

const EXAMPLE: &str = "\
Example: audit a copy on disk; then check only the tree of another C2SP log
  ledger audit backup/site --vkey \"$LOG_VKEY\"
  ledger audit https://log.example/prefix --vkey \"$OTHER_VKEY\" --opaque";

/// Re-hash every entry, rebuild every tile, and re-check every signature and authorisation
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A node's HTTP address, any C2SP tlog-tiles URL, or a directory
    source: String,
    /// The log's vkey
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
    /// Check the tree only, for a log whose entries are not records of this program
    #[arg(long)]
    opaque: bool,
    /// An older checkpoint: check that the log has only grown since
    #[arg(long, value_name = "CHECKPOINT")]
    since: Option<PathBuf>,
    /// Accept that the source withholds the entries at these indices
    #[arg(long, value_name = "INDEX,...", value_delimiter = ',')]
    allow_withheld: Vec<u64>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the source's checkpoint cannot be read or is not accepted. Problems inside the
/// log are listed, and the worst one decides the exit code.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let (report, summary) = examine(args, (out, out), None)?;
    Ok(report.finish(&summary, out))
}

/// The result of an audit that another command runs.
#[derive(Debug)]
pub struct Judged {
    /// The log's name.
    pub origin: String,
    /// How many entries its signed head has.
    pub size: u64,
    /// Where the log's key came from.
    pub basis: Basis,
    /// Entries that break a rule.
    pub unlawful: u64,
    /// Entries that this version cannot judge.
    pub not_judged: u64,
}

/// Reads and judges a whole log for another command, which receives the lawful entries.
///
/// # Errors
/// [`Failure`] as [`run`], and if the source does not hold the whole signed log. Otherwise a result
/// that lacks entries would look complete.
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
        allow_withheld: Vec::new(),
        trust: trust.clone(),
    };
    let (report, summary) = examine(&args, (out, &out.silent()), Some(lawful))?;
    if !report.is_whole() {
        let (verdict, counted) = (report.verdict(), report.counted());
        return Err(Failure {
            exit: verdict.exit(),
            message: format!(
                "{}: {source} does not hold what its head commits to: {counted}",
                verdict.name()
            ),
            hint: format!("see the problems with: ledger audit {source}"),
        });
    }
    Ok(Judged {
        origin: summary.origin,
        size: summary.head.size.get(),
        basis: summary.basis,
        unlawful: report.fates().of(Fate::Unlawful),
        not_judged: report.fates().of(Fate::NotJudged),
    })
}

/// Audits the log. Notes go to the first output, problems to the second.
fn examine<'a>(
    args: &Args,
    (out, problems): (&Output, &Output),
    lawful: Option<&'a mut Lawful<'a>>,
) -> Result<(Report, Summary), Failure> {
    let source = reach::source(&args.source)?;
    let anchor = args.trust.anchor()?;
    let checkpoint = read_checkpoint(&source)?;
    let claims = if args.opaque { None } else { Some(chain::claimed(&source, &checkpoint)) };
    let (trust, claimed) = trust(args, anchor, claims, out)?;
    let (claimed, hidden) = claimed.map_or((None, None), |(own, hidden)| (Some(own), hidden));
    let accepted = accept(&checkpoint, &trust, hidden.as_ref())?;
    let head = *accepted.checkpoint.head();
    check_allowed(args, head.size)?;
    if head.size.is_empty() && !args.opaque {
        return Err(Failure::refused(
            "the log is empty: it has no charter",
            "entry 0 must be the log's charter; for a log without a charter add --opaque",
        ));
    }
    let since = args.since.as_ref().map(|path| since(path, &trust, &accepted)).transpose()?;
    let origin = accepted.checkpoint.origin().to_string();
    out.note(format!("auditing {origin} at size {} from {source}", head.size));
    let allowed: BTreeSet<u64> = args.allow_withheld.iter().copied().collect();
    let mut report = Report::new(problems, source.to_string(), allowed);
    let mut tree = TreeCheck::new(&source, head, since);
    let judge = if args.opaque { Judge::Opaque } else { Judge::Unfounded(anchor.or(claimed)) };
    let judged = walk(&mut tree, judge, lawful, &mut report, out)?;
    let root = tree.finish(&mut report);
    let grew = tree.grew(root, &mut report);
    let proven = root == Root::Signed || report.fates().unproven() == 0;
    report.settle(root);
    report.remark_on_allowed();
    folder::check(&source, head.size, &mut report);
    if proven {
        bind(&accepted, &judged, policy_source(args), &trust.exclusions, &mut report);
    }
    let summary = Summary {
        origin,
        head,
        cosigned: accepted.cosigned.len(),
        basis: trust.basis,
        since: since.filter(|_| grew).map(|head| head.size.get()),
        tiles: tree.tiles_checked(),
        opaque: args.opaque,
        signatures: judged.signatures,
    };
    count_all(&report, &summary, root)?;
    Ok((report, summary))
}

/// Checks that each index has one fate, and that a proven log was read completely.
fn count_all(report: &Report, summary: &Summary, root: Root) -> Result<(), Failure> {
    let wrong = |what: String| {
        let hint = "this is a bug in this program: please report it, with the log's checkpoint";
        Err(Failure::environment(format!("internal error: {what}"), hint))
    };
    let (size, counted) = (summary.head.size.get(), report.fates().total());
    if counted != size {
        return wrong(format!("{counted} fates in a log of {size} entries"));
    }
    if report.verdict() != Verdict::Proven {
        return Ok(());
    }
    let hashes = |coord: &TileCoord| coord.kind() != TileKind::Entries;
    let needed = TileCoord::all_in_tree(summary.head.size).filter(hashes).count() as u64;
    let right = report.fates().of(Fate::Lawful) + report.fates().of(Fate::Opaque);
    if root != Root::Signed || summary.tiles != needed || right != size {
        let tiles = summary.tiles;
        return wrong(format!(
            "{right} of {size} entries and {tiles} of {needed} tiles were checked"
        ));
    }
    Ok(())
}

/// Who judges the entries.
enum Judge<'a> {
    /// The entries are opaque.
    Opaque,
    /// The charter has not been read yet. Holds its expected statement id, if known.
    Unfounded(Option<StatementId>),
    /// There is no charter. Holds the fate of entry 0.
    NoCharter(Fate),
    /// The rules of the log judge them.
    Charter(Box<Judges<'a>>),
}

/// Reads every block of entries once and hands it to both checkers.
fn walk<'a>(
    tree: &mut TreeCheck<'_>,
    mut judge: Judge<'a>,
    mut lawful: Option<&'a mut Lawful<'a>>,
    report: &mut Report,
    out: &Output,
) -> Result<JudgeTally, Failure> {
    let mut progress = Progress::new(out);
    let (source, head) = (tree.source(), tree.head());
    std::thread::scope(|scope| {
        let (mut whole, mut not_shown) = (true, 0);
        for piece in block::read_ahead(scope, source, head.size) {
            let block = match piece {
                Piece::Block(block) => block,
                Piece::GivenUp(first) => {
                    let why = format!("{MAX_UNREAD} files in a row could not be read");
                    give_up(first, &why, tree, report);
                    whole = false;
                    break;
                }
            };
            let Block { first, .. } = block;
            if not_shown >= MAX_NOT_SHOWN {
                let why = format!(
                    "the source shows none of the {} entries before it",
                    u64::from(MAX_NOT_SHOWN) * u64::from(TILE_WIDTH)
                );
                give_up(first, &why, tree, report);
                whole = false;
                break;
            }
            let entries = tree.check(block, report)?;
            not_shown = if entries.is_not_shown() { not_shown + 1 } else { 0 };
            if let Judge::Unfounded(expected) = judge {
                judge = match found(&entries, expected, report) {
                    Ok(charter) => {
                        let clock = environment::now();
                        let judges = Judges::start(scope, charter, clock, lawful.take());
                        Judge::Charter(Box::new(judges))
                    }
                    Err(fate) => Judge::NoCharter(fate),
                };
            }
            match &mut judge {
                Judge::Charter(judges) => judges.send(first, entries, report),
                Judge::NoCharter(fate) => count_unjudged(first, &entries, *fate, report),
                Judge::Opaque | Judge::Unfounded(_) => count_opaque(&entries, report),
            }
            progress.at("audited", tree.size().get(), Some(head.size.get()));
        }
        Ok(match judge {
            // entries that were not read may have changed the rules
            Judge::Charter(judges) => {
                let tally = judges.finish(report);
                let charter = tally.charter.filter(|_| whole);
                JudgeTally { charter, ..tally }
            }
            _ => JudgeTally::default(),
        })
    })
}

/// Leaves the entries from an index on unread.
fn give_up(first: u64, why: &str, tree: &mut TreeCheck<'_>, report: &mut Report) {
    let left = tree.head().size.get() - first;
    tree.give_up();
    report.given_up(first, why);
    report.count(Fate::Unread, Footing::Proven, left);
}

/// Counts the entries of an opaque log.
fn count_opaque(entries: &Entries, report: &mut Report) {
    for slot in entries.iter() {
        let fate = match slot {
            Slot::Entry(_) => Fate::Opaque,
            Slot::Gap(fate) => fate,
        };
        report.count(fate, entries.footing, 1);
    }
}

/// Counts the entries of a log without a usable charter. An unlawful entry 0 is counted already.
fn count_unjudged(first: u64, entries: &Entries, charter: Fate, report: &mut Report) {
    let why = match charter {
        Fate::Unlawful => "entry 0 is not a valid charter",
        _ => "this source does not show entry 0, the charter",
    };
    for (index, slot) in (first..).zip(entries.iter()) {
        match slot {
            Slot::Gap(fate) => report.count(fate, entries.footing, 1),
            Slot::Entry(_) if index == 0 => {}
            Slot::Entry(_) => report.rules_hidden(why.to_owned(), charter, entries.footing),
        }
    }
}

/// Where the policy comes from. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PolicySource {
    /// A key or a policy that the user gave.
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

/// Checks that the charter belongs to the log whose head was signed, and that the key that signed
/// it is in force.
fn bind(
    accepted: &AcceptedCheckpoint,
    judged: &JudgeTally,
    source: PolicySource,
    exclusions: &Exclusions,
    report: &mut Report,
) {
    let signed = accepted.checkpoint.origin().as_str();
    if let Some(own) = judged.origin.as_deref().filter(|own| *own != signed) {
        report.foreign(&format!(
            "the charter founds the log \"{own}\", but the checkpoint is of \"{signed}\""
        ));
        return;
    }
    // a change that was not followed may have changed the log's keys
    let Some(charter) = &judged.charter else { return };
    // a policy from the charter means the charter in force, not the one that was read first
    if source == PolicySource::Charter {
        let policy = exclusions.apply(&charter.policy());
        let judged = policy.verify(accepted.checkpoint.claimed()).map_err(|e| e.to_string());
        if let Err(why) = judged {
            report.foreign(&format!(
                "the checkpoint does not count under the charter in force: {why}"
            ));
            return;
        }
    }
    if accepted.checkpoint.claimed().verify(charter.log_keys()).is_err() {
        let key = accepted.checkpoint.log_key();
        report.foreign(&format!(
            "the checkpoint is signed by {key}, which is not a log key of the charter"
        ));
    }
}

/// The charter that the log shows in entry 0, and why later rules are hidden, if they are.
type Claimed = (StatementId, Option<NotShown>);

/// What the audit trusts: what the user gave, else, with a warning, the log itself.
fn trust(
    args: &Args,
    anchor: Option<StatementId>,
    claims: Option<Result<ClaimedRules, NotShown>>,
    out: &Output,
) -> Result<(Trust, Option<Claimed>), Failure> {
    let exclusions = args.trust.exclusions()?;
    if let Some(vkey) = &args.vkey {
        let key: VerifierKey = vkey.trim().parse().map_err(|e| {
            Failure::usage(format!("--vkey: {e}"), "give the log's vkey, as `keygen` printed it")
        })?;
        return Ok((Trust::of_policy(&Policy::single_log(key), exclusions, out)?, None));
    }
    if args.trust.charter.is_none()
        && let Some(policy) = args.trust.policy_file()?
    {
        return Ok((Trust::of_policy(&policy, exclusions, out)?, None));
    }
    if args.trust.charter.is_some() {
        let trust = args.trust.offline(out)?;
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
    let ClaimedRules { governance, hidden } = claims.map_err(|why| {
        why.failure(
            format!("the charter in entry 0 gives no key: {why}"),
            "give the log's key with --vkey; for a log without a charter add --opaque",
        )
    })?;
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
    Ok((Trust::of_charter(governance, basis, exclusions, out)?, Some((statement, hidden))))
}

/// Checks that `--allow-withheld` names only entries of the log.
fn check_allowed(args: &Args, size: TreeSize) -> Result<(), Failure> {
    match args.allow_withheld.iter().find(|index| **index >= size.get()) {
        None => Ok(()),
        Some(index) => Err(Failure::usage(
            format!("--allow-withheld names entry {index} of a log of {size} entries"),
            "run the audit without it: it lists the withheld entries",
        )),
    }
}

/// The checkpoint of a log's files.
///
/// # Errors
/// [`Failure`] when it is missing or cannot be read.
pub(in crate::commands) fn read_checkpoint(source: &Source) -> Result<Vec<u8>, Failure> {
    source.checkpoint().map_err(|e| match e {
        SourceError::Failed(_) | SourceError::Missing => Failure::environment(
            format!("the checkpoint of {source} {e}"),
            "SOURCE is the folder or URL that holds `checkpoint` and `tile/`",
        ),
        e => Failure::refused(format!("the checkpoint {e}"), "this is not a C2SP log"),
    })
}

/// Verifies the log's checkpoint. Later rules may name its keys and witnesses. If the source does
/// not show those rules, a failure does not mean that the checkpoint was altered.
fn accept(
    bytes: &[u8],
    trust: &Trust,
    hidden: Option<&NotShown>,
) -> Result<AcceptedCheckpoint, Failure> {
    let claimed = ClaimedCheckpoint::parse(bytes).map_err(|e| {
        Failure::refused(format!("checkpoint: {e}"), "the file `checkpoint` is damaged")
    })?;
    trust.policy.verify(&claimed).map_err(|e| {
        let may_follow = matches!(
            e,
            PolicyError::NoQuorum { .. } | PolicyError::Checkpoint(CheckpointError::NotSigned(_))
        );
        if let Some(why) = hidden.filter(|_| may_follow) {
            let message = format!("later rules are not shown: {why}; under those of entry 0: {e}");
            return why.failure(message, "use another copy, or give the log's key with --vkey");
        }
        let hint = match &e {
            PolicyError::NoQuorum { .. } | PolicyError::ConvictedWitness(_) => {
                trust.hint(&claimed, &e)
            }
            _ => "the file `checkpoint` was altered, or the log has another key".to_owned(),
        };
        Failure::refused(format!("checkpoint: {e}"), hint)
    })
}

/// Reads and verifies the older checkpoint of `--since`.
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
        return Err(refused("it is from another log".to_owned(), hint));
    }
    Ok(*old.checkpoint.head())
}

/// The charter by which later entries are judged, or the fate of entry 0. Only an entry that the
/// tree commits to counts as the charter.
fn found(
    entries: &Entries,
    expected: Option<StatementId>,
    report: &mut Report,
) -> Result<Charter, Fate> {
    let bytes = match entries.iter().next() {
        Some(Slot::Entry(bytes)) => bytes,
        Some(Slot::Gap(fate)) => return Err(fate),
        None => return Err(Fate::Missing),
    };
    let entry = Entry::parse(bytes).map_err(|e| e.to_string());
    let charter = entry.and_then(|entry| Charter::found(&entry).map_err(|e| e.to_string()));
    let why = match charter {
        Ok(charter) if expected.is_none_or(|expected| expected == charter.statement()) => {
            return Ok(charter);
        }
        Ok(_) => {
            "it is not the charter of the anchor, or not the one that was shown first".to_owned()
        }
        Err(why) => format!("it is not a valid charter: {why}"),
    };
    report.unlawful(0, entries.footing, &why);
    Err(Fate::Unlawful)
}
