//! `ledger inbox`: lists the drafts that wait for members' signatures.

mod act;
mod read;
pub mod view;

use std::path::PathBuf;

use ledger_core::record::StatementId;
use serde_json::{Value, json};

use crate::client::{self, NodeArgs};
use crate::failure::Failure;
use crate::member::{Member, MemberArgs, Pending};
use crate::output::{Outcome, Output};
use crate::trust::TrustArgs;

const EXAMPLE: &str = "\
Example: list the drafts, read one, and sign it
  ledger inbox --key board.key --node http://127.0.0.1:7780 --anchor STATEMENT
  ledger inbox show ID --key board.key
  ledger inbox sign ID --key board.key";

/// Show the drafts that wait for signatures; read, sign, decline or withdraw them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
#[command(subcommand_negates_reqs = true)]
pub struct Args {
    /// Your member's key file, made by `keygen --use record`
    #[arg(long, value_name = "FILE", required = true)]
    key: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(read::Args),
    Sign(act::SignDraftArgs),
    Decline(act::DeclineArgs),
    Withdraw(act::WithdrawArgs),
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node does not know the member, or the subcommand fails.
pub fn run(args: Args, out: &Output) -> Result<Outcome, Failure> {
    match (args.command, args.key) {
        (Some(Command::Show(args)), _) => read::run(&args, out),
        (Some(Command::Sign(args)), _) => act::sign(&args, out),
        (Some(Command::Decline(args)), _) => act::decline(&args, out),
        (Some(Command::Withdraw(args)), _) => act::withdraw(&args, out),
        (None, Some(key)) => list(&MemberArgs { key, node: args.node, trust: args.trust }, out),
        (None, None) => Err(Failure::usage("no key was given", "add --key FILE")),
    }
}

fn list(args: &MemberArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    client::runtime()?.block_on(async {
        let mut member = Member::connect(args, out).await?;
        let drafts = member.list().await?;
        let (waiting, settled): (Vec<_>, Vec<_>) =
            drafts.iter().partition(|draft| view::state(draft) == "waiting");
        let (yours, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|draft| draft.claims.awaits_you);
        let name = member.key().verifier().name().as_str();
        group(&member, &format!("waiting for a signature of {name}"), &yours, out);
        group(&member, "waiting for others", &others, out);
        group(&member, "settled in the last days", &settled, out);
        let objects: Vec<Value> = drafts.iter().map(|draft| view::object(&member, draft)).collect();
        let trust = member.trust.basis.as_str();
        Ok(Outcome::done(json!({
            "waiting_for_you": yours.len(),
            "drafts": objects,
            "trust": trust,
        })))
    })
}

fn group(member: &Member, name: &str, drafts: &[&Pending], out: &Output) {
    out.line(format!("{name}: {}", if drafts.is_empty() { "nothing" } else { "" }).trim_end());
    for draft in drafts {
        out.line(view::headline(draft));
        view::standing(member, draft, out);
    }
}

/// Parses a statement id. It must be complete, because it identifies the bytes that are signed.
fn statement(text: &str) -> Result<StatementId, Failure> {
    StatementId::from_hex(text).map_err(|e| {
        Failure::usage(
            format!("the id is {e}"),
            "give the whole statement id, as `ledger inbox --key FILE` prints it",
        )
    })
}
