//! `ledger charter`: drafts a founding charter, and leaves one log for another.

pub mod succeed;

use std::path::PathBuf;

use ledger_core::charter::{Charter, CharterDraft};
use ledger_core::note::{Algorithm, VerifierKey};
use ledger_core::policy::Policy;
use ledger_node::address::Contact;
use ledger_node::transport::{NodeKey, grpc_url};
use serde_json::json;

use crate::address;
use crate::environment;
use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: two members found a log
  ledger charter new --log \"$LOG_VKEY\" --consortium 'Evaluation Commons' \\
    --issuer lab.example \\
    --member lab.example=\"$LAB_VKEY\":publisher,steward \\
    --member board.example=\"$BOARD_VKEY\":reviewer,steward > charter.json
  ledger record sign charter.json --key lab.key --key board.key -o charter.record";

/// The roles that the format names.
const ROLES: [&str; 4] = ["operator", "publisher", "reviewer", "steward"];

const NEW_EXAMPLE: &str = EXAMPLE;

/// Write the charter that founds a log, or leave a log for another one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(NewArgs),
    Succeed(succeed::SucceedArgs),
    Sign(succeed::SignSuccessionArgs),
}

/// Print the draft of a charter for every founder to sign
#[derive(Debug, clap::Args)]
#[command(after_help = NEW_EXAMPLE)]
struct NewArgs {
    /// The vkey of the log's key; its name becomes the log's origin
    #[arg(long, value_name = "VKEY")]
    log: String,
    /// The consortium's name
    #[arg(long, value_name = "NAME")]
    consortium: String,
    /// The founding member that issues the charter
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// A founding member: its name, a key and its roles (operator, publisher, reviewer, steward)
    #[arg(long = "member", value_name = "NAME=VKEY:ROLE,ROLE", required = true)]
    members: Vec<String>,
    /// The gRPC address of a member's node, and the vkey of its node key
    #[arg(long = "node", value_name = "NAME=URL[,VKEY]")]
    nodes: Vec<String>,
    /// A C2SP tlog-policy with the witnesses; without it the log key alone is enough
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How many stewards must sign a change of the charter; default: more than half of them
    #[arg(long, value_name = "N")]
    threshold: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when keys, members or a policy make no valid charter, or a file is not a succession
/// note.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::New(args) => new(args, out),
        Command::Succeed(args) => succeed::succeed(args, out),
        Command::Sign(args) => succeed::sign(args, out),
    }
}

fn new(args: &NewArgs, out: &Output) -> Result<Outcome, Failure> {
    let log = read_vkey(&args.log, "--log")?;
    if log.algorithm() != Algorithm::Ed25519 {
        let hint = "make the log's key with: ledger keygen ORIGIN --use log --out FILE";
        return Err(Failure::usage("--log is a cosigner's key, which signs no log's heads", hint));
    }
    let policy = args.policy.as_deref().map(|path| read_policy(path, &log)).transpose()?;
    let mut charter = CharterDraft::new(&args.consortium, log).issuer(&args.issuer);
    for member in &args.members {
        let (name, vkey, roles) = read_member(member)?;
        charter = charter.member(name, vkey, roles);
    }
    for node in &args.nodes {
        let (name, address, key) = read_node(node)?;
        charter = charter.node(name, address, key);
    }
    if let Some(policy) = policy {
        charter = charter.policy(&policy);
    }
    if let Some(threshold) = args.threshold {
        charter = charter.threshold(threshold);
    }
    let draft =
        charter.draft(environment::fresh_id()?, environment::now()).map_err(Failure::refused_by)?;
    let charter = Charter::check_draft(&draft).map_err(Failure::refused_by)?;
    check_rules(&charter)?;
    out.data(format!("{}\n", draft.json()).as_bytes())?;
    out.note(
        "next: every founder signs: ledger record sign charter.json --key FILE --key FILE \
         -o charter.record",
    );
    let statement = draft.statement().to_string();
    Ok(Outcome::done(json!({ "draft": draft.json(), "statement": statement })))
}

/// Refuses a charter under which some kind of record, or a change of the charter, could never be
/// signed.
fn check_rules(charter: &Charter) -> Result<(), Failure> {
    let holders = |role: &str| {
        let has = |member: &&ledger_core::charter::Member| {
            member.roles().iter().any(|term| term.role() == role)
        };
        charter.members().iter().filter(has).count() as u64
    };
    let rules = charter.rules().iter().map(|(kind, rule)| (format!("a {kind}"), rule.as_slice()));
    let governance = ("a change of the charter".to_owned(), charter.governance());
    for (what, requirements) in rules.chain([governance]) {
        for requirement in requirements {
            let (role, needed) = (requirement.role(), requirement.members());
            let found = holders(role);
            if found < needed {
                return Err(Failure::refused(
                    format!("{what} needs {needed} with role {role}, but only {found} have it"),
                    format!("give a --member the role {role}: the charter's rules require it"),
                ));
            }
        }
    }
    Ok(())
}

fn read_vkey(text: &str, whose: &str) -> Result<VerifierKey, Failure> {
    text.trim().parse().map_err(|e| {
        Failure::usage(format!("{whose}: {e}"), "give the vkey that `ledger keygen` printed")
    })
}

/// Splits at the first `=` and the last `:`; the key between them may hold both.
fn read_member(text: &str) -> Result<(&str, VerifierKey, Vec<&str>), Failure> {
    let parts = text.split_once('=').and_then(|(name, rest)| {
        let (vkey, roles) = rest.rsplit_once(':')?;
        Some((name, vkey, roles))
    });
    let hint =
        "write --member NAME=VKEY:ROLE,ROLE with roles of operator, publisher, reviewer, steward";
    let (name, vkey, roles) =
        parts.ok_or_else(|| Failure::usage(format!("--member \"{text}\" is incomplete"), hint))?;
    let vkey = read_vkey(vkey, &format!("--member {name}"))?;
    let roles: Vec<&str> = roles.split(',').map(str::trim).filter(|r| !r.is_empty()).collect();
    if name.is_empty() || roles.is_empty() {
        return Err(Failure::usage(format!("--member \"{text}\" is incomplete"), hint));
    }
    if let Some(role) = roles.iter().find(|role| !ROLES.contains(role)) {
        return Err(Failure::usage(format!("--member {name}: there is no role \"{role}\""), hint));
    }
    Ok((name, vkey, roles))
}

/// Splits at the first `=` and the last `,`.
fn read_node(text: &str) -> Result<(&str, &str, Option<VerifierKey>), Failure> {
    let hint = "write --node NAME=grpcs://HOST:PORT,VKEY; the vkey of its node key is optional";
    let wrong = |why: &str| Failure::usage(format!("--node \"{text}\": {why}"), hint);
    let (name, rest) = text.split_once('=').ok_or_else(|| wrong("it names no address"))?;
    let (address, key) = match rest.rsplit_once(',') {
        Some((address, key)) => (address, Some(read_vkey(key, &format!("--node {name}"))?)),
        None => (rest, None),
    };
    let url = grpc_url(address).ok_or_else(|| wrong("it is not a gRPC address"))?;
    if !address::is_of_node(address) {
        return Err(wrong("it has no port"));
    }
    if key.is_some() && url.starts_with("http://") {
        return Err(wrong("a node key needs TLS: write grpcs://"));
    }
    if key.as_ref().is_some_and(|key| NodeKey::of(key).is_none()) {
        return Err(wrong("the key is a cosigner's; make one with `ledger keygen --use node`"));
    }
    Ok((name, address, key))
}

/// Reads a policy under which the log's node can publish.
fn read_policy(path: &std::path::Path, log: &VerifierKey) -> Result<String, Failure> {
    let bytes = files::read(path, 1 << 16)?;
    let hint = "a policy has lines `log VKEY`, `witness NAME VKEY`, `group ...`, `quorum NAME`";
    let refused = |e: String| Failure::refused(e, hint).of(path.display());
    let policy = Policy::parse(&bytes).map_err(|e| refused(e.to_string()))?;
    if !policy.logs().iter().any(|own| own.key == *log) {
        let hint = format!("write the line `log {log}` into it");
        let message = "the policy does not list this log's key";
        return Err(Failure::refused(message, hint).of(path.display()));
    }
    for url in policy.witnesses().iter().filter_map(|witness| witness.url.as_deref()) {
        let url = String::from_utf8_lossy(url);
        if Contact::parse(&url).is_none() {
            let message = format!("no witness can be reached at \"{url}\"");
            let hint = "write http://..., https://..., or grpcs://HOST:PORT for a ledger node";
            return Err(Failure::refused(message, hint).of(path.display()));
        }
    }
    String::from_utf8(bytes).map_err(|_| refused("a charter's policy must be UTF-8".to_owned()))
}
