//! `ledger prove`: fetches the proof that an entry is in the log.

mod copy;

use std::path::PathBuf;

use ledger_core::Hint;
use ledger_core::ProvenRecord;
use ledger_core::authority::{AuthorityBundle, HeadPolicy};
use ledger_core::index::LeafIndex;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Entry, MAX_RECORD_BYTES, Record, StatementId};
use serde_json::json;

use crate::client::{self, LeafName, Node, NodeArgs};
use crate::failure::Failure;
use crate::files;
use crate::output::{Outcome, Output};
use crate::trust::{Trust, TrustArgs, unproven};

const EXAMPLE: &str = "\
Example: a fresh proof for a record; then the proof and the record of entry 41
  ledger prove --record decision.record -o decision.tlog-proof
  ledger prove --index 41 -o entry41.tlog-proof
Example: an authority bundle, which also proves that the signers were allowed to sign
  ledger prove --record decision.record --authority -o decision.authority
Example: a proof from a mirror's copy of the log, when the operator is gone
  ledger prove --record decision.record --from https://mirror.example/mirror/HASH -o decision.tlog-proof";

/// Fetch and verify the proof that an entry is in the log
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE, group = clap::ArgGroup::new("which").required(true))]
pub struct Args {
    /// The entry of the record in this file
    #[arg(long, value_name = "FILE", group = "which")]
    record: Option<PathBuf>,
    /// The entry at this index
    #[arg(long, value_name = "N", group = "which")]
    index: Option<u64>,
    /// The entry with this statement id
    #[arg(long, value_name = "HEX", group = "which")]
    statement: Option<String>,
    /// Make an authority bundle: the proof, and the governance entries that show who was allowed to
    /// sign
    #[arg(long)]
    authority: bool,
    /// Where to write the proof, with the record beside it; default: only the proof, to stdout
    #[arg(short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Read a copy of the log and ask no node: a mirror's URL, any tlog-tiles URL, or a directory
    #[arg(long, value_name = "URL|DIR")]
    from: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

/// An entry and its proof file, not yet verified.
struct FetchedProof {
    index: u64,
    entry: Vec<u8>,
    /// A tlog-proof, or an authority bundle.
    file: Vec<u8>,
    proof: TlogProof,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the entry is not found, or its proof does not verify.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let record = match &args.record {
        None => None,
        Some(path) => {
            let bytes = files::read(path, MAX_RECORD_BYTES)?;
            let record =
                Record::parse(&bytes).map_err(|e| Failure::refused_by(e).of(path.display()))?;
            Some(record)
        }
    };
    let statement = match (&record, &args.statement) {
        (Some(record), _) => Some(record.statement()),
        (None, Some(hex)) => Some(StatementId::from_hex(hex).map_err(|e| {
            Failure::usage(format!("--statement is {e}"), "give the id that `record show` prints")
        })?),
        (None, None) => None,
    };
    let (found, trust) = match &args.from {
        Some(from) => copy::find(from, (args.index, statement), args.authority, &args.trust, out)?,
        None => client::runtime()?.block_on(ask(args, statement, out))?,
    };
    finish(args, found, &trust, record.as_ref(), out)
}

/// Asks a node.
async fn ask(
    args: &Args,
    statement: Option<StatementId>,
    out: &Output,
) -> Result<(FetchedProof, Trust), Failure> {
    let mut node = args.node.connect().await?;
    let trust = args.trust.with_node(&mut node, out).await?;
    let (index, entry) = entry(&mut node, args.index, statement).await?;
    let (file, proof) = if args.authority {
        let file = node.authority(LeafName::Index(index)).await?;
        let bundle = AuthorityBundle::parse(&file).map_err(|e| {
            let message = format!("the authority bundle does not verify: {e}");
            Failure::refused(message, e.hint())
        })?;
        (file, bundle.proof().clone())
    } else {
        let file = node.inclusion(LeafName::Index(index), None).await?.proof.to_vec();
        let proof = TlogProof::parse(&file).map_err(client::wrong_answer)?;
        (file, proof)
    };
    Ok((FetchedProof { index, entry, file, proof }, trust))
}

/// Verifies the proof, and writes it.
fn finish(
    args: &Args,
    found: FetchedProof,
    trust: &Trust,
    record: Option<&Record>,
    out: &Output,
) -> Result<Outcome, Failure> {
    let FetchedProof { index, entry, file, proof } = found;
    let (_, in_log) = Entry::split(&entry).map_err(client::wrong_answer)?;
    if args.authority {
        judge_bundle(&file, in_log, args, trust)?;
    }
    if proof.index != LeafIndex::new(index).map_err(client::wrong_answer)? {
        return Err(client::wrong_answer("its proof is for another index"));
    }
    let proven = ProvenRecord::verify(in_log, &proof, &trust.policy)
        .map_err(|error| unproven(&error, "ask the log's operator, or another node"))?;
    trust.is_charter_of(proven.accepted())?;
    if record.is_some_and(|record| record.as_bytes() != in_log) {
        out.warn("the log has this statement with other signatures: the proof is for that record");
    }
    match &args.out {
        None => out.data(&file)?,
        Some(path) => {
            files::replace(path, &file)?;
            let beside = files::beside(path, "record");
            let same = args.record.as_ref().is_some_and(|own| *own == beside);
            if !same && !beside.exists() {
                files::create(&beside, in_log)?;
            }
        }
    }
    let size = proven.head().size.get();
    out.note(format!("entry {index} is in the tree of size {size}"));
    Ok(Outcome::done(json!({
        "index": index,
        "tree_size": size,
        "trust": trust.basis.as_str(),
        "authority": args.authority,
        "proof": String::from_utf8_lossy(&file),
    })))
}

/// Judges a bundle as `ledger verify` does. A bundle that shows that the log accepted an unlawful
/// record is still written, because an auditor needs it.
fn judge_bundle(file: &[u8], record: &[u8], args: &Args, trust: &Trust) -> Result<(), Failure> {
    let refused = |e: &dyn std::fmt::Display, hint: &str| {
        Failure::refused(format!("the authority bundle does not verify: {e}"), hint)
    };
    let bundle = AuthorityBundle::parse(file).map_err(|e| refused(&e, e.hint()))?;
    let record = Record::parse(record).map_err(|e| refused(&e, e.hint()))?;
    let anchor = match (args.trust.anchor()?, trust.charter()) {
        (Some(anchor), _) => Some(anchor),
        (None, Some(charter)) => Some(charter.statement()),
        (None, None) => bundle.charter(),
    };
    let anchor = anchor.ok_or_else(|| refused(&"it is empty", "ask another node"))?;
    match bundle.verify(&record, anchor, HeadPolicy::Given(&trust.policy)) {
        Ok(_) => {}
        Err(e) if e.is_unlawful() => {
            if let Some(path) = &args.out {
                files::replace(path, file)?;
            }
            let message = format!("the record is in the log, but {e}");
            return Err(Failure::refused(message, e.hint()));
        }
        Err(e) => return Err(refused(&e, e.hint())),
    }
    Ok(())
}

/// The requested entry. Its statement id is checked, but not yet its index.
async fn entry(
    node: &mut Node,
    index: Option<u64>,
    statement: Option<StatementId>,
) -> Result<(u64, Vec<u8>), Failure> {
    let Some(statement) = statement else {
        let index = index.unwrap_or_default();
        return Ok((index, node.entry(index).await?));
    };
    let (index, bytes) = node.lookup(*statement.as_hash().as_bytes()).await?;
    let (_, record) = Entry::split(&bytes).map_err(client::wrong_answer)?;
    let note = ledger_core::note::Note::parse(record).map_err(client::wrong_answer)?;
    if StatementId::of_note(&note) != statement {
        return Err(client::wrong_answer("it sent another statement"));
    }
    Ok((index, bytes))
}
