//! `ledger gossip`: shows what a node knows about all logs, and the state of its peers.

use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint};
use ledger_proto::v1::{GetGossipResponse, GossipConviction, GossipLog, GossipPeer};
use serde_json::{Value, json};

use crate::client::{self, NodeArgs};
use crate::environment;
use crate::failure::Failure;
use crate::output::{Line, Outcome, Output};

const EXAMPLE: &str = "\
Example: check whether this node has observed two histories of any log
  ledger gossip status --node http://127.0.0.1:7780";

const STATUS_EXAMPLE: &str = "\
Example:
  ledger gossip status --node http://127.0.0.1:7780

Exit code 1 when the standing of a log is not good, when evidence convicts a key, or when no peer of
the node answers, so that a script can watch it. Open heads alone are not a problem: a growing log
leaves heads open for a moment. The output is the node's claim; `ledger evidence show ID` judges
evidence.";

/// Show what a node knows about all logs, and the state of its peers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(GossipStatusArgs),
}

/// Show peers, logs, contradictions, and the keys that evidence convicts
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_EXAMPLE)]
struct GossipStatusArgs {
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached, or a head that it sends is not a checkpoint.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    match &args.command {
        Command::Status(args) => client::runtime()?.block_on(status(args, out)),
    }
}

async fn status(args: &GossipStatusArgs, out: &Output) -> Result<Outcome, Failure> {
    let out = &out.for_data();
    let answer = args.node.connect().await?.gossip().await?;
    let now = environment::now();
    let logs: Vec<LogRow<'_>> = answer.logs.iter().map(LogRow::read).collect::<Result<_, _>>()?;
    let convictions: Vec<Value> =
        answer.convictions.iter().map(conviction).collect::<Result<_, _>>()?;
    show_peers(&answer, now, out);
    for log in &logs {
        log.show(now, out);
    }
    for conviction in &answer.convictions {
        let (keys, role) = (conviction.vkeys.join(" "), &conviction.role);
        let id = client::statement_of(&conviction.evidence);
        out.line(Line::bad("convicted").and(format!(" {role} {keys}: evidence {id}")));
    }
    let isolated =
        !answer.peers.is_empty() && answer.peers.iter().all(|peer| !peer.trouble.is_empty());
    if isolated {
        out.note("no peer answers: this node cannot observe what other nodes are shown");
    }
    let well = answer.logs.iter().all(|log| log.standing == "good") && convictions.is_empty();
    let object = json!({
        "rounds": answer.rounds,
        "idle_rounds": answer.idle_rounds,
        "failed_rounds": answer.failed_rounds,
        "peers": answer.peers.iter().map(|p| peer(p, now)).collect::<Vec<_>>(),
        "limited": answer.limited.iter().map(|limited| json!({
            "caller": limited.caller,
            "faults": limited.faults,
            "trouble": limited.trouble,
            "retry_after_ms": limited.retry_after,
        })).collect::<Vec<_>>(),
        "logs": logs.iter().map(|log| log.object(now)).collect::<Vec<_>>(),
        "convictions": convictions,
        "evidence": answer.evidence,
    });
    Ok(Outcome::judged(well && !isolated, object))
}

fn show_peers(answer: &GetGossipResponse, now: u64, out: &Output) {
    let (rounds, idle, failed) = (answer.rounds, answer.idle_rounds, answer.failed_rounds);
    out.line(format!("{rounds} rounds, {idle} of them with nothing new; {failed} failed"));
    for peer in &answer.peers {
        let met = match (peer.met_at, peer.took_us) {
            (Some(at), took) => {
                let millis = took.unwrap_or_default() as f64 / 1000.0;
                format!("met {} ago, in {millis:.1} ms", age(at, now))
            }
            (None, _) => "not met yet".to_owned(),
        };
        let mut line = format!("  {}: {met}", peer.url);
        if !peer.trouble.is_empty() {
            let word = if peer.limited { "LIMITED" } else { "SILENT" };
            let (why, failures) = (client::trouble(&peer.trouble), peer.failures);
            line += &format!("; {word}: {why}; {failures} failures, {} faults", peer.faults);
            line += &format!(", asked again in {} s", peer.retry_after.div_ceil(1000));
        }
        out.line(line);
    }
    if answer.peers.is_empty() {
        out.line("  no peers: neither the charter nor config.toml names any");
    }
    for limited in &answer.limited {
        let (caller, why) = (&limited.caller, client::trouble(&limited.trouble));
        out.line(match limited.retry_after.div_ceil(1000) {
            0 => format!("  limited: {caller}: {why}"),
            seconds => format!("  refused for {seconds} s: {caller}: {why}"),
        });
    }
}

/// One log, with its heads parsed.
struct LogRow<'a> {
    log: &'a GossipLog,
    adopted: Option<Checkpoint>,
    open: Vec<(Checkpoint, bool)>,
}

impl<'a> LogRow<'a> {
    fn read(log: &'a GossipLog) -> Result<LogRow<'a>, Failure> {
        let head = |bytes: &[u8]| match ClaimedCheckpoint::parse(bytes) {
            Ok(claimed) if claimed.checkpoint().origin().as_str() == log.origin => {
                Ok(claimed.checkpoint().clone())
            }
            Ok(_) => Err(client::wrong_answer("a head is from another log")),
            Err(error) => Err(client::wrong_answer(format!("a head is not a checkpoint: {error}"))),
        };
        let open = log.open.iter().map(|open| Ok((head(&open.head)?, open.alarm)));
        let open = open.collect::<Result<_, Failure>>()?;
        Ok(LogRow { log, adopted: log.adopted.as_deref().map(head).transpose()?, open })
    }

    fn show(&self, now: u64, out: &Output) {
        let standing = match &*self.log.standing {
            "good" => Line::good("good"),
            other => Line::bad(other),
        };
        let adopted = match &self.adopted {
            Some(head) => format!("adopted {}", head.head().size),
            None => "no head".to_owned(),
        };
        let cosigned = match self.log.cosigned_at {
            Some(at) => format!(", cosigned {} ago", age(at, now)),
            None => String::new(),
        };
        let origin = Line::from(format!("{}: ", self.log.origin));
        out.line(origin.and(standing).and(format!(", {adopted}{cosigned}")));
        if !self.log.evidence.is_empty() {
            out.line(format!("  by evidence {}", self.log.evidence));
        }
        for (head, alarm) in &self.open {
            let head = head.head();
            let alarm =
                if *alarm { ", UNRECONCILED: no proof links it to the adopted head" } else { "" };
            out.line(format!("  open {}, root {}{alarm}", head.size, head.root));
        }
    }

    fn object(&self, now: u64) -> Value {
        let log = self.log;
        json!({
            "origin": log.origin,
            "standing": log.standing,
            "adopted_size": self.adopted.as_ref().map(|head| head.head().size.get()),
            "adopted": log.adopted.as_deref().map(String::from_utf8_lossy),
            "cosigned_at": log.cosigned_at,
            "age_seconds": log.cosigned_at.map(|at| now.saturating_sub(at)),
            "open": self.open.iter().zip(&log.open).map(|((head, alarm), open)| json!({
                "size": head.head().size.get(),
                "checkpoint": String::from_utf8_lossy(&open.head),
                "alarm": alarm,
            })).collect::<Vec<_>>(),
            "evidence": if log.evidence.is_empty() { Value::Null } else { log.evidence.clone().into() },
        })
    }
}

fn peer(peer: &GossipPeer, now: u64) -> Value {
    json!({
        "url": peer.url,
        "met_at": peer.met_at,
        "met_seconds_ago": peer.met_at.map(|at| now.saturating_sub(at)),
        "took_us": peer.took_us,
        "failures": peer.failures,
        "faults": peer.faults,
        "limited": peer.limited,
        "retry_after_ms": peer.retry_after,
        "trouble": peer.trouble,
    })
}

fn conviction(conviction: &GossipConviction) -> Result<Value, Failure> {
    if conviction.evidence.len() != 32 {
        return Err(client::wrong_answer("an evidence id is not 32 bytes long"));
    }
    Ok(json!({
        "evidence": client::statement_of(&conviction.evidence),
        "type": conviction.kind,
        "origin": conviction.origin,
        "role": conviction.role,
        "vkeys": conviction.vkeys,
    }))
}

/// How long ago a time was, for people. A time in the future gives `0 s`.
fn age(at: u64, now: u64) -> String {
    match now.saturating_sub(at) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
