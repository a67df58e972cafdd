//! The second act: operators that witness each other's logs, a restored backup, and a log with two
//! histories.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint};
use ledger_core::hash::Hash;
use ledger_core::merkle::{ConsistencyProof, TreeHead};
use ledger_core::note::SignerKey;
use ledger_core::witness::{AddCheckpoint, WitnessAnswer};
use ledger_node::RunningNode;
use ledger_node::source::Source;
use ledger_node::transport::Dialer;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::members::{DemoMember, bind, no_socket};
use super::story::OPERATORS;
use super::{Demo, copy_folder};
use crate::failure::Failure;
use crate::files;
use crate::output::Line;

/// How long the witnesses may take before the demo fails.
const PATIENCE: Duration = Duration::from_secs(30);

impl Demo {
    /// Plays the second act. Returns what happened, as JSON, and the members, whose nodes keep
    /// running.
    pub(super) fn witnesses(&self, runtime: &Runtime) -> Result<(Value, Vec<DemoMember>), Failure> {
        self.title("9. Each member runs its own log, and the nodes witness each other's logs");
        let mut members = self.operators()?;
        for member in &mut members {
            runtime.block_on(member.serve())?;
        }
        for member in &members {
            self.publish(member, 0)?;
        }
        self.must(&["witness", "status", "--node", &members[1].grpc], &self.results)?;

        self.title("10. One operator restores an old backup, and its node refuses to sign");
        let refused = self.restore(runtime, &mut members[0])?;

        self.title("11. Another operator signs two histories, and a file convicts it");
        let convicted = self.fork(runtime, &members)?;
        Ok((json!({ "refused": refused, "evidence": convicted }), members))
    }

    /// Founds a log for each operator; the policies name all three witnesses.
    fn operators(&self) -> Result<Vec<DemoMember>, Failure> {
        let mut witnesses = Vec::new();
        let mut sockets = Vec::new();
        for operator in &OPERATORS {
            let file = self.path(&format!("keys/{}.witness.key", operator.short));
            let name = format!("{}/witness", operator.name);
            let made = self.keygen(&name, "witness", &file)?;
            let pair = (bind()?, bind()?);
            let http = pair.1.local_addr().map_err(|e| no_socket(&e))?;
            witnesses.push((file, format!("{} {made} http://{http}/witness", operator.short)));
            sockets.push(pair);
        }
        let mut members = Vec::new();
        for ((operator, pair), (witness_key, _)) in OPERATORS.iter().zip(sockets).zip(&witnesses) {
            members.push(self.operator(operator, pair, Some(witness_key), &witnesses)?);
        }
        for own in &members {
            let others = members.iter().filter(|other| other.vkey != own.vkey);
            let lines: String =
                others.map(|other| format!("log {} {}\n", other.vkey, other.http)).collect();
            files::replace(&own.dir.join("witness-logs"), lines.as_bytes())?;
        }
        Ok(members)
    }

    /// Takes a backup, publishes more, loses the disk, and restores the backup.
    fn restore(&self, runtime: &Runtime, member: &mut DemoMember) -> Result<String, Failure> {
        let cannot = |e: std::io::Error| files::cannot_write(&self.dir, &e);
        let (backup, newest) = (self.dir.join("backup"), self.dir.join("newest"));
        runtime.block_on(member.stop())?;
        copy_folder(&member.dir, &backup).map_err(cannot)?;
        self.out.line(format!("$ cp -a {} {}", member.dir.display(), backup.display()));
        runtime.block_on(member.serve())?;
        self.publish(member, 1)?;
        runtime.block_on(member.stop())?;
        std::fs::rename(&member.dir, &newest).map_err(cannot)?;
        copy_folder(&backup, &member.dir).map_err(cannot)?;
        self.out.line(format!("$ cp -a {} {}", backup.display(), member.dir.display()));
        let dir = member.dir.display().to_string();
        self.out.line(format!("$ ledger-node serve --dir {dir}"));
        runtime.block_on(member.serve())?;
        let error = runtime.block_on(async {
            let failed = member.node.as_mut().map(RunningNode::failed);
            match failed {
                Some(failed) => tokio::time::timeout(PATIENCE, failed).await.ok(),
                None => None,
            }
        });
        let error = error.ok_or_else(|| {
            Failure::refused("the restored node kept signing", "please report this")
        })?;
        runtime.block_on(member.stop())?;
        self.out.line(Line::good("refused").and(format!(": {error}")));
        self.out.line(format!("$ ledger-node recover --dir {dir} --from {}", newest.display()));
        let source = Source::open(&newest.display().to_string())?;
        let done =
            ledger_node::restore::append(&member.dir, &source).map_err(Failure::failed_by)?;
        let (first, last) = (done.had.get(), done.has.get() - 1);
        let what = match first == last {
            true => format!("entry {first}"),
            false => format!("entries {first} to {last}"),
        };
        self.out.line(format!("  brought back {what}, proven to be from this log"));
        runtime.block_on(member.serve())?;
        self.publish(member, 2)?;
        Ok(error.to_string())
    }

    /// Lets an operator sign a second tree of a size that it has published before.
    fn fork(&self, runtime: &Runtime, members: &[DemoMember]) -> Result<Value, Failure> {
        let (cheat, witness) = (&members[2], &members[1]);
        let key = crate::keys::read(Path::new(&cheat.log_key))?;
        let shown = Source::open(&cheat.dir.display().to_string())?;
        let shown = shown
            .checkpoint()
            .map_err(|e| Failure::environment(format!("the checkpoint {e}"), ""))?;
        let shown = ClaimedCheckpoint::parse(&shown)
            .map_err(|e| Failure::environment(e.to_string(), "please report this"))?;
        let forged = forge(&shown, &key);
        self.out.line(format!(
            "  {} signs another tree of {} entries, and shows it to {}'s witness",
            cheat.operator.name,
            shown.checkpoint().head().size,
            witness.operator.name
        ));
        let answer = runtime.block_on(offer(witness, &forged))?;
        self.out.line(format!("  the witness answers: {answer}"));
        let file = runtime.block_on(evidence(witness))?;
        let file = file.display().to_string();
        let outcome = self.must(&["verify", &file, "--vkey", &cheat.vkey], &self.results)?;
        let (status, text) = runtime.block_on(offer(witness, &shown)).map(split)?;
        self.out.line(format!("  from now on the witness answers to this log: {status} {text}"));
        Ok(json!({ "file": file, "verdict": outcome.object, "status": status }))
    }
}

/// The same size with another root, signed by the log's key.
fn forge(shown: &ClaimedCheckpoint, key: &SignerKey) -> ClaimedCheckpoint {
    let size = shown.checkpoint().head().size;
    let head = TreeHead { size, root: Hash::leaf(b"another history") };
    Checkpoint::new(shown.checkpoint().origin().clone(), head).sign(key)
}

/// Sends a head to a witness over HTTP, as any log would. Returns the status and text of the
/// refusal.
async fn offer(witness: &DemoMember, head: &ClaimedCheckpoint) -> Result<String, Failure> {
    let size = head.checkpoint().head().size;
    let request = AddCheckpoint::new(size, ConsistencyProof::default(), head.clone());
    let url = format!("{}/witness/add-checkpoint", witness.http);
    let ask = move || {
        let agent = Dialer::default().http_client(PATIENCE);
        let mut answer = agent.post(&url).send(request.to_string().as_bytes())?;
        Ok::<_, ureq::Error>((answer.status().as_u16(), answer.body_mut().read_to_vec()?))
    };
    let asked = tokio::task::spawn_blocking(ask).await;
    let (status, body) = asked
        .map_err(|e| Failure::environment(e.to_string(), ""))?
        .map_err(|e| Failure::environment(format!("the witness: {e}"), "try again"))?;
    match WitnessAnswer::parse(status, None, &body) {
        Ok(WitnessAnswer::Refused { status, text }) => Ok(format!("{status} {text}")),
        _ => Err(Failure::refused("the witness cosigned a second history", "please report this")),
    }
}

fn split(answer: String) -> (String, String) {
    match answer.split_once(' ') {
        Some((status, text)) => (status.to_owned(), text.to_owned()),
        None => (answer, String::new()),
    }
}

/// Waits for the evidence that a witness makes. Returns the path of the file.
async fn evidence(witness: &DemoMember) -> Result<PathBuf, Failure> {
    let folder = witness.dir.join("private/evidence");
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let json = |path: &PathBuf| path.extension().is_some_and(|own| own == "json");
        if let Some(file) = files.map(|file| file.path()).find(json) {
            return Ok(file);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Failure::refused("the witness made no evidence", "please report this"))
}
