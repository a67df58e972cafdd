//! `ledger register`: computes tables from the entries of a log.

mod table;

use std::sync::Arc;

use clap::ValueEnum;
use ledger_core::charter::Charter;
use ledger_core::index::LeafIndex;
use ledger_core::record::{format_time, parse_time};
use ledger_core::register::{
    Chains, Chronicle, DutyState, Fact, decisions, duties, incidents, members, reviews, risks,
};
use serde_json::json;

use super::audit::{self, LawfulEntry};
use crate::environment;
use crate::failure::Failure;
use crate::output::{Outcome, Output};
use crate::trust::{Basis, TrustArgs};

use table::Table;

const EXAMPLE: &str = "\
Example: what is overdue in a copy of a log; then the incidents as of entry 4000
  ledger register overdue backup/site --vkey \"$LOG_VKEY\"
  ledger register incidents https://log.example/prefix --vkey \"$LOG_VKEY\" --at 4000";

/// Show incidents, risks, decisions, reviews, what is overdue, or the members
///
/// Reads and judges the whole log as `ledger audit` does; only lawful entries count.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The register
    register: Register,
    /// A node's HTTP address, any C2SP tlog-tiles URL, or a directory
    source: String,
    /// The log's vkey
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
    /// Count only the entries up to this index
    #[arg(long, value_name = "INDEX", value_parser = index)]
    at: Option<LeafIndex>,
    /// The time that counts as now, like 2026-01-31T09:30:00Z; without --at, later entries do not
    /// count
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<u64>,
    /// For `overdue`: also show what is met, and what is not due yet
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

/// The registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Register {
    Incidents,
    Risks,
    Decisions,
    Reviews,
    Overdue,
    Members,
}

/// The entries that count.
#[derive(Default)]
struct Counted {
    chronicle: Chronicle,
    charter: Option<Arc<Charter>>,
    /// The last entry and its time.
    last: Option<(u64, u64)>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the log cannot be read, lacks entries that its head commits to, or has no entry
/// at the index.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let mut counted = Counted { chronicle: Chronicle::new(), ..Counted::default() };
    let until = if args.at.is_some() { u64::MAX } else { args.now.unwrap_or(u64::MAX) };
    let mut take = |entry: &LawfulEntry<'_>| {
        let fact = Fact::of(entry.index, &entry.logged, entry.record);
        if args.at.is_none_or(|at| entry.index <= at) && fact.logged <= until {
            counted.chronicle.add(&fact, entry.judge);
            counted.charter = Some(Arc::clone(entry.then));
            counted.last = Some((entry.index.get(), fact.logged));
        }
    };
    let judged = audit::judged(&args.source, args.vkey.as_deref(), &args.trust, out, &mut take)?;
    if let Some(at) = args.at.filter(|at| at.get() >= judged.size) {
        return Err(Failure::refused(
            format!("there is no entry {at}: the log's head has {} entries", judged.size),
            "give an index below that, or leave out --at",
        ));
    }
    let (Some(charter), Some((index, logged))) = (&counted.charter, counted.last) else {
        return Err(Failure::refused(
            "no entry counts: the charter was logged later, or is unlawful",
            "give a later --now, or see the problem with `ledger audit`",
        ));
    };
    let left_out = judged.unlawful + judged.not_judged;
    if left_out > 0 {
        let (unlawful, not_judged) = (judged.unlawful, judged.not_judged);
        out.warn(format!(
            "{left_out} entries are left out: {unlawful} unlawful, {not_judged} that this version \
             cannot judge"
        ));
    }
    let now = args.now.unwrap_or(match args.at {
        Some(_) => logged,
        None => environment::now().max(logged),
    });
    let table = table(args, &counted.chronicle, charter, now);
    table.print(out);
    let (name, size) = (args.register.name(), judged.size);
    let origin = &judged.origin;
    out.note(format!("{name} of {origin} at entry {index} of {size}, at {}", format_time(now)));
    Ok(Outcome::done(json!({
        "register": name,
        "origin": judged.origin,
        "size": size,
        "at": index,
        "now": format_time(now),
        "unlawful": judged.unlawful,
        "cannot_judge": judged.not_judged,
        "trust": if judged.basis == Basis::User { "user" } else { "log" },
        "rows": table.into_objects(),
    })))
}

fn table(args: &Args, chronicle: &Chronicle, charter: &Charter, now: u64) -> Table {
    let chains = Chains::of(chronicle);
    match args.register {
        Register::Incidents => table::incidents(&incidents(&chains)),
        Register::Risks => table::risks(&risks(&chains)),
        Register::Decisions => table::decisions(&decisions(&chains)),
        Register::Reviews => table::reviews(&reviews(&chains)),
        Register::Members => table::members(&members(charter, now)),
        Register::Overdue => {
            let mut rows = duties(&chains, now);
            rows.retain(|row| args.all || row.state == DutyState::Overdue);
            table::duties(&rows)
        }
    }
}

impl Register {
    const fn name(self) -> &'static str {
        match self {
            Register::Incidents => "incidents",
            Register::Risks => "risks",
            Register::Decisions => "decisions",
            Register::Reviews => "reviews",
            Register::Overdue => "overdue",
            Register::Members => "members",
        }
    }
}

fn index(text: &str) -> Result<LeafIndex, String> {
    LeafIndex::parse(text).map_err(|e| format!("an index is a position in the log: {e}"))
}

fn time(text: &str) -> Result<u64, String> {
    parse_time(text).ok_or_else(|| "a time looks like 2026-01-31T09:30:00Z".to_owned())
}
