//! The third act: an operator without witnesses shows two audiences two histories, gossip convicts
//! it, and a mirror keeps its log readable.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ledger_core::checkpoint::Origin;
use ledger_core::witness::origin_hash;
use ledger_node::config::Config;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::members::{DemoMember, bind, no_socket};
use super::story::CHEAT;
use super::{Demo, copy_folder};
use crate::failure::{Exit, Failure};
use crate::files;

/// How long gossip and the mirror may take before the demo fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the demo checks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Demo {
    /// Plays the third act, and stops the members' nodes. Returns what happened, as JSON.
    pub(super) fn gossip(
        &self,
        runtime: &Runtime,
        mut members: Vec<DemoMember>,
    ) -> Result<Value, Failure> {
        self.title("12. An operator without witnesses shows two audiences two histories");
        let (mut one, mut other) = self.two_faces(runtime)?;

        self.title("13. The nodes of both audiences gossip, and a file convicts the operator");
        let (first, second) = (1, 0);
        self.follow(&members[first], &one, Some(&members[second]))?;
        self.follow(&members[second], &other, None)?;
        runtime.block_on(async {
            members[first].restart().await?;
            mirrored(&members[first], &one).await?;
            members[second].restart().await
        })?;
        let began = Instant::now();
        let file = runtime.block_on(convicted(&members[first], &one))?;
        runtime.block_on(convicted(&members[second], &one))?;
        let took = began.elapsed();
        self.out.line(format!(
            "  {} and {} have evidence {:.1} s after the second node has started",
            members[first].operator.name,
            members[second].operator.name,
            took.as_secs_f64()
        ));
        let status =
            self.step(&["gossip", "status", "--node", &members[second].grpc], &self.results)?;
        if status.exit != Exit::Refused {
            let hint = "please report this";
            return Err(Failure::refused("the status does not name the convicted log", hint));
        }
        let file = file.display().to_string();
        let verdict = self.must(&["verify", &file, "--vkey", &one.vkey], &self.results)?;
        let by_anchor = self.must(&["verify", &file, "--anchor", &one.anchor], &self.results)?;

        self.title("14. The operator vanishes, and a mirror keeps serving the log");
        runtime.block_on(async {
            one.stop().await?;
            other.stop().await
        })?;
        let proven = self.prove_mirrored(&members[first], &one)?;
        for member in &mut members {
            runtime.block_on(member.stop())?;
        }
        Ok(json!({
            "file": file,
            "verdict": verdict.object,
            "verdict_by_anchor": by_anchor.object,
            "seconds": took.as_secs_f64(),
            "mirrored": proven,
        }))
    }

    /// Founds a log and copies its directory. Both copies then continue differently, with the same
    /// key.
    fn two_faces(&self, runtime: &Runtime) -> Result<(DemoMember, DemoMember), Failure> {
        let mut one = self.operator(&CHEAT, (bind()?, bind()?), None, &[])?;
        runtime.block_on(one.serve())?;
        self.publish(&one, 0)?;
        runtime.block_on(one.stop())?;
        let dir = self.dir.join("dune-copy");
        copy_folder(&one.dir, &dir).map_err(|e| files::cannot_write(&dir, &e))?;
        self.out.line(format!("$ cp -a {} {}", one.dir.display(), dir.display()));
        let (grpc, http) = (address(&bind()?)?, address(&bind()?)?);
        let mut other = DemoMember {
            operator: one.operator,
            dir,
            grpc,
            http,
            vkey: one.vkey.clone(),
            anchor: one.anchor.clone(),
            log_key: one.log_key.clone(),
            node: None,
        };
        runtime.block_on(async {
            one.serve().await?;
            other.serve().await
        })?;
        self.publish(&one, 1)?;
        self.publish(&other, 2)?;
        self.publish(&other, 3)?;
        self.out.line(format!(
            "  both histories are signed, and each looks sound: one at {}, the other at {}",
            one.http, other.http
        ));
        Ok((one, other))
    }

    /// Lets a member's node watch the log at the address that its operator shows to this member.
    /// With a peer, the node also gossips and mirrors the log.
    fn follow(
        &self,
        member: &DemoMember,
        log: &DemoMember,
        peer: Option<&DemoMember>,
    ) -> Result<(), Failure> {
        let dir = member.dir.display().to_string();
        self.must(
            &["witness", "add", "--dir", &dir, &log.vkey, "--url", &log.http],
            &self.results,
        )?;
        let file = member.dir.join("config.toml");
        let mut config = Config::read(&file).map_err(Failure::failed_by)?;
        config.gossip.interval_seconds = 1;
        if let Some(peer) = peer {
            config.gossip.peers.push(peer.grpc.clone());
            let key = self.path(&format!("keys/{}.mirror.key", member.operator.short));
            self.keygen(&format!("{}/mirror", member.operator.name), "mirror", &key)?;
            let key = std::path::absolute(&key).map_err(|e| files::cannot_write(&file, &e))?;
            config.mirror_keys.push(key);
            let origin = format!("{}/log", log.operator.name);
            let args = ["mirror", "add", "--dir", &dir, &origin, "--anchor", &log.anchor];
            self.must(&[&args[..], &["--from", &log.http]].concat(), &self.results)?;
        }
        files::replace(&file, config.to_text().as_bytes())
    }

    /// Fetches a record's proof from the mirror's copy, and verifies it. Returns the copy's
    /// address.
    fn prove_mirrored(&self, mirror: &DemoMember, log: &DemoMember) -> Result<String, Failure> {
        let hash = origin_hash(&origin(log)?);
        let copy = format!("{}/mirror/{hash}", mirror.http);
        let record = self.path(&format!("records/{}-0.record", CHEAT.short));
        let proof = self.path(&format!("records/{}-0.mirrored.tlog-proof", CHEAT.short));
        let args = ["prove", "--record", &record, "--from", &copy, "--anchor", &log.anchor];
        self.must(&[&args[..], &["-o", &proof]].concat(), &self.results)?;
        let charter = self.path(&format!("{}.record", CHEAT.short));
        let args = ["verify", &proof, "--record", &record, "--anchor", &log.anchor];
        self.must(&[&args[..], &["--charter", &charter]].concat(), &self.results)?;
        Ok(copy)
    }
}

impl DemoMember {
    async fn restart(&mut self) -> Result<(), Failure> {
        self.stop().await?;
        self.serve().await
    }
}

fn address(socket: &std::net::TcpListener) -> Result<String, Failure> {
    let address = socket.local_addr().map_err(|e| no_socket(&e))?;
    Ok(format!("http://{address}"))
}

fn origin(log: &DemoMember) -> Result<Origin, Failure> {
    Origin::new(&format!("{}/log", log.operator.name))
        .map_err(|e| Failure::environment(e.to_string(), "please report this"))
}

/// Waits until a member's mirror has copied the log.
async fn mirrored(member: &DemoMember, log: &DemoMember) -> Result<(), Failure> {
    let origin = origin(log)?;
    let is_there = || {
        let mirror = member.node.as_ref()?.service().mirror.as_ref()?;
        mirror.of(&origin)?.checkpoint()
    };
    wait("the mirror copied nothing", is_there).await.map(drop)
}

/// Waits for a member's evidence against a log. Returns the path of the file.
async fn convicted(member: &DemoMember, log: &DemoMember) -> Result<PathBuf, Failure> {
    let origin = origin(log)?;
    let made = || {
        let held = member.node.as_ref()?.service().gossip.evidence().all();
        held.into_iter().find(|evidence| evidence.origin() == origin.as_str())
    };
    let evidence = wait("gossip found nothing", made).await?;
    let folder: &Path = &member.dir.join("private/evidence");
    Ok(folder.join(format!("{}.json", evidence.id())))
}

async fn wait<T>(otherwise: &str, look: impl Fn() -> Option<T>) -> Result<T, Failure> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Err(Failure::refused(otherwise.to_owned(), "please report this"))
}
