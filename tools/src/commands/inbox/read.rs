//! `ledger inbox show`: shows exactly what would become public.

use std::path::PathBuf;

use serde_json::json;

use super::{statement, view};
use crate::client;
use crate::failure::Failure;
use crate::files;
use crate::member::{Member, MemberArgs, Pending};
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: read a draft; then save its bytes for other programs
  ledger inbox show ID --key board.key
  ledger inbox show ID --key board.key -o draft.record";

/// Show a draft exactly as it would become public, and its state
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The draft's statement id
    #[arg(value_name = "ID")]
    id: String,
    /// Where to write the record, with its signatures so far
    #[arg(short, value_name = "OUT.record")]
    out: Option<PathBuf>,
    #[command(flatten)]
    member: MemberArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when there is no such draft. A bad signature gives exit code 1.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let id = statement(&args.id)?;
    client::runtime()?.block_on(async {
        let mut member = Member::connect(&args.member, out).await?;
        let draft = member.get(id).await?;
        if let Some(path) = &args.out {
            files::create(path, draft.record.as_bytes())?;
        }
        print(&member, &draft, &out.for_data());
        let mut object = view::object(&member, &draft);
        object["record"] = json!(draft.record.note().to_string());
        Ok(Outcome::judged(view::is_sound(&member, &draft), object))
    })
}

/// Prints the whole record, with every text escaped, and the state of the draft.
pub fn print(member: &Member, draft: &Pending, out: &Output) {
    out.line(view::headline(draft));
    out.block(&crate::view::object(draft.record.body()));
    view::standing(member, draft, out);
}
