//! Members that run their own nodes, for the second and third act.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use ledger_node::{Founding, Overrides, RunningNode};

use super::Demo;
use super::story::{CHAPTERS, Operator};
use crate::failure::Failure;
use crate::files;
use ledger_core::Hint;

/// A member that runs its own node.
pub(super) struct DemoMember {
    pub(super) operator: &'static Operator,
    /// The folder of its node; the next fields are the gRPC and HTTP URLs.
    pub(super) dir: PathBuf,
    pub(super) grpc: String,
    pub(super) http: String,
    pub(super) vkey: String,
    pub(super) anchor: String,
    pub(super) log_key: String,
    pub(super) node: Option<RunningNode>,
}

impl Demo {
    /// Founds a log for an operator. Its policy names these witnesses; without witnesses its quorum
    /// is `none`.
    pub(super) fn operator(
        &self,
        operator: &'static Operator,
        (grpc, http): (TcpListener, TcpListener),
        witness_key: Option<&str>,
        witnesses: &[(String, String)],
    ) -> Result<DemoMember, Failure> {
        let (short, silent) = (operator.short, self.out.silent());
        let log_key = self.path(&format!("keys/{short}.log.key"));
        let vkey = self.keygen(&format!("{}/log", operator.name), "log", &log_key)?;
        let member_key = self.path(&format!("keys/{short}.member.key"));
        let member = self.keygen(operator.name, "record", &member_key)?;
        let mut policy = format!("log {vkey}\n");
        for (_, line) in witnesses {
            policy += &format!("witness {line}\n");
        }
        if witnesses.is_empty() {
            policy += "quorum none\n";
        } else {
            let names: Vec<&str> =
                witnesses.iter().filter_map(|(_, line)| line.split(' ').next()).collect();
            policy += &format!("group two 2 {}\nquorum two\n", names.join(" "));
        }
        let policy_file = self.path(&format!("{short}.policy"));
        files::create(Path::new(&policy_file), policy.as_bytes())?;
        let roles = format!("{}={member}:publisher,reviewer,steward", operator.name);
        let made = (self.run_step)(
            &[
                "ledger",
                "charter",
                "new",
                "--log",
                &vkey,
                "--consortium",
                operator.title,
                "--issuer",
                operator.name,
                "--member",
                &roles,
                "--policy",
                &policy_file,
            ],
            &silent,
        )?;
        let (json, record) =
            (self.path(&format!("{short}.json")), self.path(&format!("{short}.record")));
        let draft = made.object["draft"].as_str().unwrap_or_default();
        files::create(Path::new(&json), draft.as_bytes())?;
        (self.run_step)(
            &["ledger", "record", "sign", &json, "--key", &member_key, "-o", &record],
            &silent,
        )?;
        let dir = self.dir.join(short);
        let charter = files::read(Path::new(&record), ledger_core::record::MAX_RECORD_BYTES)?;
        let founding = Founding {
            dir: &dir,
            charter: &charter,
            log_key: Path::new(&log_key),
            witness_keys: &witness_key.map(PathBuf::from).into_iter().collect::<Vec<_>>(),
            witness_urls: &BTreeMap::new(),
        };
        let report = ledger_node::init(&founding).map_err(Failure::failed_by)?;
        let address = |socket: &TcpListener| socket.local_addr().map_err(|e| no_socket(&e));
        let (grpc_at, http_at) = (address(&grpc)?, address(&http)?);
        let witness = match witness_key {
            Some(_) => format!(", witness at http://{http_at}/witness"),
            None => ", without witnesses".to_owned(),
        };
        self.out.line(format!("  {}: log {}/log{witness}", operator.name, operator.name));
        // the other nodes know the ports, and the node opens them again
        drop((grpc, http));
        Ok(DemoMember {
            operator,
            dir,
            grpc: format!("http://{grpc_at}"),
            http: format!("http://{http_at}"),
            vkey,
            anchor: report.anchor.to_string(),
            log_key,
            node: None,
        })
    }

    pub(super) fn keygen(&self, name: &str, usage: &str, file: &str) -> Result<String, Failure> {
        let args = ["ledger", "keygen", name, "--use", usage, "--out", file];
        let made = (self.run_step)(&args, &self.out.silent())?;
        Ok(made.object["vkey"].as_str().unwrap_or_default().to_owned())
    }

    /// Publishes one record in a member's log, with a proof that satisfies the log's quorum.
    pub(super) fn publish(&self, member: &DemoMember, n: usize) -> Result<(), Failure> {
        let short = member.operator.short;
        let json = self.path(&format!("records/{short}-{n}.json"));
        let record = self.path(&format!("records/{short}-{n}.record"));
        let key = self.path(&format!("keys/{short}.member.key"));
        let chapter = &CHAPTERS[0];
        let log = format!("{}/log", member.operator.name);
        let file = self.path(&format!("records/{short}-{n}.from.json"));
        files::create(Path::new(&file), chapter.json.as_bytes())?;
        let silent = self.out.silent();
        let made = (self.run_step)(
            &[
                "ledger",
                "record",
                "new",
                "decision",
                "--issuer",
                member.operator.name,
                "--log",
                &log,
                "--from",
                &file,
            ],
            &silent,
        )?;
        let draft = made.object["draft"].as_str().unwrap_or_default();
        files::create(Path::new(&json), draft.as_bytes())?;
        (self.run_step)(
            &["ledger", "record", "sign", &json, "--key", &key, "-o", &record],
            &silent,
        )?;
        self.must(
            &["submit", &record, "--node", &member.grpc, "--anchor", &member.anchor],
            &self.results,
        )?;
        Ok(())
    }
}

impl DemoMember {
    /// Starts the member's node.
    pub(super) async fn serve(&mut self) -> Result<(), Failure> {
        let address = |url: &str| url.trim_start_matches("http://").parse().ok();
        let (grpc, http) = (address(&self.grpc), address(&self.http));
        let overrides = Overrides { grpc, http, ..Overrides::default() };
        let node = RunningNode::start(&self.dir, overrides).await.map_err(Failure::failed_by)?;
        self.node = Some(node);
        Ok(())
    }

    /// Stops the member's node, if it runs.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let Some(node) = self.node.take() else { return Ok(()) };
        let stopped = node.shutdown().await;
        stopped.map_err(|e| Failure::environment(format!("the node: {e}"), e.hint()))
    }
}

/// A free port of this machine.
pub(super) fn bind() -> Result<TcpListener, Failure> {
    TcpListener::bind("127.0.0.1:0").map_err(|e| no_socket(&e))
}

/// The failure when no port is free.
pub(super) fn no_socket(error: &std::io::Error) -> Failure {
    Failure::environment(format!("no free port on this machine: {error}"), "try again")
}
