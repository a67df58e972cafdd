//! `ledger record show`: prints a record for people.

use std::path::Path;

use ledger_core::ProvenRecord;
use ledger_core::charter::Charter;
use ledger_core::index::LeafIndex;
use ledger_core::proof::TlogProof;
use ledger_core::record::{
    Entry, Kind, Logged, MAX_RECORD_BYTES, Record, StatementId, count_digests, format_time,
};
use serde_json::json;

use crate::client::{self, LeafName, NodeArgs};
use crate::environment;
use crate::failure::Failure;
use crate::files;
use crate::output::{Line, Outcome, Output};
use crate::trust::{Basis, Trust, TrustArgs, unproven};
use crate::view;

const EXAMPLE: &str = "\
Example: a file; then an entry of a running log
  ledger record show decision.record --anchor STATEMENT --charter charter.record
  ledger record show 41 --node http://127.0.0.1:7780";

/// Show a record: its contents, its signers, and whether the charter allowed them to sign
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// A record file, an index in the log, or a statement id
    #[arg(value_name = "FILE|INDEX|STATEMENT")]
    what: String,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    trust: TrustArgs,
}

/// The record to show, and what is known about its entry.
struct ShownRecord {
    record: Vec<u8>,
    place: Option<(u64, Logged)>,
    in_log: Option<String>,
    trust: Option<Trust>,
}

impl ShownRecord {
    /// The charter state that judged the record, or the latest one if the record is not in a log.
    fn charter(&self) -> Option<&Charter> {
        let governance = self.trust.as_ref()?.governance.as_ref()?;
        match self.place {
            None => Some(governance.charter()),
            Some((_, logged)) => governance.at(logged.governance).map(|charter| &**charter),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when it is not found or not a record. A bad signature gives exit code 1.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let found = find(args, out)?;
    let record = match Record::parse(&found.record) {
        Ok(record) => record,
        Err(e) => return Err(Failure::refused_by(e).of(&args.what)),
    };
    let charter = found.charter();
    // a charter's signers are judged at its own time, because no entry was before it
    let at = match (found.place, record.kind()) {
        (Some((_, logged)), _) => logged.time,
        (None, Kind::Charter) => record.envelope().issued_at(),
        (None, _) => environment::now(),
    };
    let lines = signatures(&record, charter, at);
    out.line(Line::strong(view::title(record.envelope())));
    out.block(&view::object(record.body()));
    out.line("");
    show_place(&found, &record.statement().to_string(), out);
    let digests = count_digests(record.body());
    if digests > 0 {
        out.line(format!("sealed       {}", view::digests(digests)));
    }
    for (name, id, verdict, _) in &lines {
        out.line(format!("signed by    {name} ({id}): {verdict}"));
    }
    let basis = found.trust.as_ref().map(|trust| trust.basis);
    if basis == Some(Basis::Claimed) {
        out.line("             judged by the charter that the node itself claims");
    } else if charter.is_none() {
        out.line(
            "             not judged: give --anchor STATEMENT with --charter FILE or --node URL",
        );
    }
    let well = lines.iter().all(|(_, _, _, well)| *well != Some(false));
    let signers: Vec<_> = lines
        .iter()
        .map(|(name, id, verdict, _)| json!({ "name": name, "key_id": id, "verdict": verdict }))
        .collect();
    let body: serde_json::Value =
        serde_json::from_str(&record.body().to_pretty_json()).unwrap_or(serde_json::Value::Null);
    Ok(Outcome::judged(
        well,
        json!({
            "statement": record.statement().to_string(),
            "record": body,
            "digests": digests,
            "signatures": signers,
            "index": found.place.map(|(index, _)| index),
            "logged": found.place.map(|(_, logged)| format_time(logged.time)),
            "in_log": found.in_log,
            "trust": basis.map(Basis::as_str),
        }),
    ))
}

fn find(args: &Args, out: &Output) -> Result<ShownRecord, Failure> {
    let path = Path::new(&args.what);
    if path.exists() || args.what == "-" {
        let record = files::read(path, MAX_RECORD_BYTES)?;
        let trust = match (&args.trust.anchor, &args.trust.charter, &args.node.node) {
            (None, _, _) => None,
            (Some(_), None, Some(_)) => Some(client::runtime()?.block_on(async {
                let mut node = args.node.connect().await?;
                args.trust.with_node(&mut node, out).await
            })?),
            (Some(_), _, _) => args.trust.offline(out)?,
        };
        return Ok(ShownRecord { record, place: None, in_log: None, trust });
    }
    let name = if let Ok(index) = LeafIndex::parse(&args.what) {
        LeafName::Index(index.get())
    } else if let Ok(id) = StatementId::from_hex(&args.what) {
        LeafName::Statement(*id.as_hash().as_bytes())
    } else {
        return Err(Failure::environment(
            format!("there is no file {}", args.what),
            "name a record file, an index in the log, or a statement id of 64 hex digits",
        ));
    };
    client::runtime()?.block_on(fetch(args, name, out))
}

async fn fetch(args: &Args, name: LeafName, out: &Output) -> Result<ShownRecord, Failure> {
    let mut node = args.node.connect().await?;
    let trust = args.trust.with_node(&mut node, out).await?;
    let (index, bytes) = match name {
        LeafName::Index(index) => (index, node.entry(index).await?),
        LeafName::Statement(id) => node.lookup(id).await?,
    };
    let (logged, record) = Entry::split(&bytes)
        .map_err(|e| Failure::refused(format!("entry {index}: {e}"), "ask the log's operator"))?;
    let answer = node.inclusion(LeafName::Index(index), None).await?;
    let proof = TlogProof::parse(&answer.proof).map_err(client::wrong_answer)?;
    let proven = ProvenRecord::verify(record, &proof, &trust.policy)
        .map_err(|error| unproven(&error, "the node may be lying: ask the log's operator"))?;
    if proven.index().get() != index {
        return Err(client::wrong_answer("its proof is for another index"));
    }
    trust.is_charter_of(proven.accepted())?;
    let size = proven.head().size;
    let in_log = Some(format!("proven in the tree of size {size}"));
    let record = record.to_vec();
    Ok(ShownRecord { record, place: Some((index, logged)), in_log, trust: Some(trust) })
}

/// A signature line: name, key id, verdict, and whether it is good, if known.
pub type SignatureRow = (String, String, String, Option<bool>);

/// Judges each signature line of a record.
pub fn signatures(record: &Record, charter: Option<&Charter>, at: u64) -> Vec<SignatureRow> {
    let lines = record.note().signatures().iter();
    lines
        .map(|line| {
            let signer = charter.map(|charter| charter.signer(line));
            let (verdict, well) = match signer {
                None => ("not judged".to_owned(), None),
                Some(None) => ("unknown to the charter".to_owned(), Some(false)),
                Some(Some((member, key))) => {
                    if !key.key().verify(record.text().as_bytes(), line.bytes()) {
                        ("FORGED: it does not verify".to_owned(), Some(false))
                    } else if let Some(Err(refused)) =
                        charter.map(|charter| charter.signer_of(record, line, at))
                    {
                        (refused.to_string(), Some(false))
                    } else {
                        let roles: Vec<&str> = member.roles().iter().map(|r| r.role()).collect();
                        let name = member.name();
                        (format!("valid, member {name} ({})", roles.join(", ")), Some(true))
                    }
                }
            };
            (line.name().to_string(), line.id().to_string(), verdict, well)
        })
        .collect()
}

fn show_place(found: &ShownRecord, statement: &str, out: &Output) {
    out.line(format!("statement    {statement}"));
    if let Some((index, logged)) = found.place {
        out.line(format!("entry        {index}, logged {}", format_time(logged.time)));
    }
    if let Some(in_log) = &found.in_log {
        out.line(format!("in the log   {in_log}"));
    }
}
