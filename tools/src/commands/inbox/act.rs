//! `ledger inbox sign`, `decline` and `withdraw`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{read, statement, view};
use crate::client;
use crate::failure::Failure;
use crate::member::{Member, MemberArgs, Pending};
use crate::output::{Line, Outcome, Output};
use crate::unsigned::Unsigned;

const SIGN: &str = "\
Example: sign the draft that `inbox show` has shown; the id fixes every byte of it
  ledger inbox sign ID --key board.key --node http://127.0.0.1:7780 --anchor STATEMENT";

const DECLINE: &str = "\
Example: tell all members why you do not sign
  ledger inbox decline ID --reason 'finding 2 names a person' --key board.key";

const WITHDRAW: &str = "\
Example: withdraw a draft that you proposed or issued
  ledger inbox withdraw ID --key lab.key";

/// Sign a draft; the node logs it when the rule is met
#[derive(Debug, clap::Args)]
#[command(after_help = SIGN)]
pub struct SignDraftArgs {
    /// The draft's statement id
    #[arg(value_name = "ID")]
    id: String,
    /// Disclosures of its sealed members, one a line: they must open all of them, or it is not
    /// signed; may be given several times
    #[arg(long, value_name = "FILE")]
    disclosures: Vec<PathBuf>,
    #[command(flatten)]
    member: MemberArgs,
}

/// Refuse to sign a draft, with a reason that all members see
#[derive(Debug, clap::Args)]
#[command(after_help = DECLINE)]
pub struct DeclineArgs {
    /// The draft's statement id
    #[arg(value_name = "ID")]
    id: String,
    /// Why, in one line
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    member: MemberArgs,
}

/// Withdraw a draft
#[derive(Debug, clap::Args)]
#[command(after_help = WITHDRAW)]
pub struct WithdrawArgs {
    /// The draft's statement id
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    member: MemberArgs,
}

/// Shows a draft, signs it and sends the signature.
///
/// # Errors
/// [`Failure`] when there is no such draft, a signature on it is bad, a disclosure does not open
/// it, or the node refuses.
pub fn sign(args: &SignDraftArgs, out: &Output) -> Result<Outcome, Failure> {
    let id = statement(&args.id)?;
    client::runtime()?.block_on(async {
        let mut member = Member::connect(&args.member, out).await?;
        // signs exactly the bytes that were parsed, that have the requested id, and that are shown
        let draft = member.get(id).await?;
        if !view::is_sound(&member, &draft) {
            read::print(&member, &draft, out);
            return Err(Failure::refused(
                "a signature on the draft is not valid under the charter",
                "do not sign this draft; ask the proposer and the node's operator",
            ));
        }
        out.line("you sign this:");
        read::print(&member, &draft, out);
        let unsigned = Unsigned::Record(Box::new(draft.record.clone()));
        let opened = unsigned.open(&args.disclosures, Path::new(&args.id), out)?;
        let opened = opened.as_ref().map(crate::view::opened);
        if let Some(paths) = &opened {
            out.line(format!("opened       {}", paths.join(", ")));
        }
        let draft = member.cosign(&draft).await?;
        out.line("");
        let mut outcome = report(&member, &draft, "signed", out);
        outcome.object["opened"] = json!(opened);
        Ok(outcome)
    })
}

/// Sends a signed refusal.
///
/// # Errors
/// [`Failure`] when the reason is malformed, or the node refuses.
pub fn decline(args: &DeclineArgs, out: &Output) -> Result<Outcome, Failure> {
    let id = statement(&args.id)?;
    client::runtime()?.block_on(async {
        let mut member = Member::connect(&args.member, out).await?;
        let draft = member.decline(id, &args.reason).await?;
        Ok(report(&member, &draft, "declined", out))
    })
}

/// Withdraws a draft.
///
/// # Errors
/// [`Failure`] when the node refuses.
pub fn withdraw(args: &WithdrawArgs, out: &Output) -> Result<Outcome, Failure> {
    let id = statement(&args.id)?;
    client::runtime()?.block_on(async {
        let mut member = Member::connect(&args.member, out).await?;
        let draft = member.withdraw(id).await?;
        Ok(report(&member, &draft, "withdrawn", out))
    })
}

fn report(member: &Member, draft: &Pending, done: &str, out: &Output) -> Outcome {
    out.line(Line::good(done).and(" ").and(view::headline(draft)));
    view::standing(member, draft, out);
    if view::state(draft) == "logged" {
        let statement = draft.record.statement();
        out.note(format!("get its proof: ledger prove --statement {statement} -o FILE.tlog-proof"));
    }
    Outcome::done(view::object(member, draft))
}
