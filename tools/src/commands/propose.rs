//! `ledger propose`: a record that lacks signatures, laid out for those who should sign it.

use std::path::PathBuf;

use ledger_core::note::SignerKey;
use ledger_core::record::{Draft, MAX_RECORD_BYTES, Record, RecordError, unknown_members};

use super::inbox::view;
use crate::address;
use crate::client;
use crate::failure::Failure;
use crate::files;
use crate::member::{Member, MemberArgs};
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: lay a decision out that other members must sign too; they find it in `ledger inbox`
  ledger propose decision.json --key lab.key --node http://127.0.0.1:7780 --anchor STATEMENT";

/// Lay a record out at the node until enough members have signed it; then it is logged
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A draft from `record new`, or a record that lacks signatures; it is signed with --key
    #[arg(value_name = "DRAFT|RECORD")]
    file: PathBuf,
    #[command(flatten)]
    member: MemberArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the file is no record, or the node refuses it.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let bytes = files::read(&args.file, MAX_RECORD_BYTES)?;
    client::runtime()?.block_on(async {
        let mut member = Member::connect(&args.member, out).await?;
        let record = signed(&bytes, member.key());
        let record = record
            .map_err(|e| Failure::refused(e.to_string(), e.hint()).of(args.file.display()))?;
        for name in unknown_members(record.kind(), record.body()) {
            out.warn(format!("the kind {} does not know `{name}`: a typo?", record.kind()));
        }
        address::warn_of_strange(record.body(), out);
        let draft = member.propose(&record).await?;
        out.line(view::headline(&draft));
        view::standing(&member, &draft, out);
        Ok(Outcome::done(view::object(&member, &draft)))
    })
}

/// The record with the key's signature, which it may have already.
fn signed(bytes: &[u8], key: &SignerKey) -> Result<Record, RecordError> {
    if !bytes.starts_with(ledger_core::record::FIRST_LINE.as_bytes()) {
        let text = std::str::from_utf8(bytes).map_err(|_| RecordError::NotOneObject)?;
        return Draft::parse(text)?.sign(&[key]);
    }
    let record = Record::parse(bytes)?;
    match record.note().signatures().iter().any(|line| line.is_by(key.verifier())) {
        true => Ok(record),
        false => record.cosign(key),
    }
}
