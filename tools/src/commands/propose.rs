//! `ledger propose`: proposes a record that other members must sign.

use std::path::PathBuf;

use ledger_core::note::SignerKey;
use ledger_core::record::{MAX_RECORD_BYTES, Record, RecordError, unknown_members};
use serde_json::json;

use super::inbox::view;
use crate::address;
use crate::client;
use crate::failure::Failure;
use crate::files;
use crate::member::{Member, MemberArgs};
use crate::output::{Outcome, Output};
use crate::unsigned::Unsigned;

const EXAMPLE: &str = "\
Example: propose a decision that other members must sign too; they find it in `ledger inbox`
  ledger propose decision.json --key lab.key --node http://127.0.0.1:7780 --anchor STATEMENT";

/// Propose a record on the node; it is logged as soon as enough members have signed it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A draft from `record new`, or a record that lacks signatures; it is signed with --key
    #[arg(value_name = "DRAFT|RECORD")]
    file: PathBuf,
    /// Disclosures of its sealed members, one a line: they must open all of them, or it is not
    /// signed; may be given several times
    #[arg(long, value_name = "FILE")]
    disclosures: Vec<PathBuf>,
    #[command(flatten)]
    member: MemberArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the file is not a record, a disclosure does not open it, or the node refuses
/// it.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let bytes = files::read(&args.file, MAX_RECORD_BYTES)?;
    let refused = |e: RecordError| Failure::refused_by(e).of(args.file.display());
    let unsigned = Unsigned::read(&bytes).map_err(refused)?;
    let opened = unsigned.open(&args.disclosures, &args.file, out)?;
    client::runtime()?.block_on(async {
        let mut member = Member::connect(&args.member, out).await?;
        let record = signed(unsigned, member.key()).map_err(refused)?;
        for name in unknown_members(record.kind(), record.body()) {
            out.warn(format!("the kind {} has no member `{name}`: a typo?", record.kind()));
        }
        address::warn_of_strange(record.body(), out);
        let draft = member.propose(&record).await?;
        out.line(view::headline(&draft));
        view::standing(&member, &draft, out);
        let mut object = view::object(&member, &draft);
        object["opened"] = json!(opened.as_ref().map(crate::view::opened));
        Ok(Outcome::done(object))
    })
}

/// The record with the key's signature. Adds it unless the record has it already.
fn signed(unsigned: Unsigned, key: &SignerKey) -> Result<Record, RecordError> {
    match unsigned {
        Unsigned::Record(record)
            if record.note().signatures().iter().any(|line| line.is_by(key.verifier())) =>
        {
            Ok(*record)
        }
        unsigned => unsigned.sign(&[key]),
    }
}
