//! `ledger demo`: plays the whole story on this machine, with real nodes and real files.

mod gossip;
mod members;
mod story;
mod witnesses;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ledger_core::record::{Basics, Draft, Kind, MAX_RECORD_BYTES, Object, Record, template};
use ledger_core::tile::{EntryBundle, TileCoord, TileKind};
use ledger_node::{Founding, Overrides, RunningNode};
use serde_json::json;

use crate::environment;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::{Line, Outcome, Output};
use story::{CHAPTERS, Chapter, MEMBERS};

/// The file that marks a folder of a demo, which the next demo may clear.
const MARKER: &str = ".ledger-demo";
/// What a demo leaves in its folder.
const PARTS: [&str; 26] = [
    "keys",
    "node",
    "records",
    "tampered",
    "charter.json",
    "charter.record",
    "new-key.json",
    // of the second act
    "aurora",
    "aurora.json",
    "aurora.policy",
    "aurora.record",
    "basalt",
    "basalt.json",
    "basalt.policy",
    "basalt.record",
    "commons",
    "commons.json",
    "commons.policy",
    "commons.record",
    "backup",
    "newest",
    // of the third act
    "dune",
    "dune-copy",
    "dune.json",
    "dune.policy",
    "dune.record",
];
const ORIGIN: &str = "ledger.example/demo";
/// The entries of the log at the end: the charter, the story, and a change of keys.
const ENTRIES: usize = CHAPTERS.len() + 2;
/// The entry that the forger alters in a copy.
const TAMPERED: usize = 2;

const EXAMPLE: &str = "\
Example: the whole story in a folder that you keep; then a quick run in a temporary folder
  ledger demo --dir my-first-ledger
  ledger demo --fast";

/// Play the whole story on this machine: found a log, publish, verify, and catch a forger
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The folder of the demo; default: ./ledger-demo, or with --fast a temporary folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// End after the last step, instead of waiting for Ctrl-C
    #[arg(long)]
    fast: bool,
    /// The node's gRPC address; port 0 picks a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    grpc: SocketAddr,
    /// The node's HTTP address; port 0 picks a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    http: SocketAddr,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when a step fails, or the folder holds other files.
pub fn run(args: &Args, run_step: RunStep, out: &Output) -> Result<Outcome, Failure> {
    let passing = match (&args.dir, args.fast) {
        (None, true) => Some(tempfile::tempdir().map_err(|e| {
            Failure::environment(format!("cannot make a temporary folder: {e}"), "give --dir DIR")
        })?),
        _ => None,
    };
    let dir = match (&passing, &args.dir) {
        (Some(passing), _) => passing.path().to_owned(),
        (None, Some(dir)) => dir.clone(),
        (None, None) => PathBuf::from("ledger-demo"),
    };
    let runtime = crate::client::runtime()?;
    // watched from the start, so that an interrupted demo leaves no folder with keys behind
    let stop = runtime.block_on(async { StopSignal::watch() })?;
    prepare(&dir)?;
    let demo = Demo { dir, out: *out, results: out.for_story(), stop, run_step };
    let anchor = demo.found()?;
    let mut node = runtime.block_on(demo.start(args))?;
    let (grpc, http) = (node.grpc_addr(), node.http_addr());
    let told = demo.run_story(&anchor, grpc, http).and_then(|mut object| {
        let (witnesses, members) = demo.witnesses(&runtime)?;
        object["witnesses"] = witnesses;
        object["gossip"] = demo.gossip(&runtime, members)?;
        Ok(object)
    });
    let mut broken = None;
    if let (Ok(object), false) = (&told, args.fast) {
        demo.next(&anchor, grpc, http);
        if out.is_json() {
            // printed now, not at the end: a script that uses the node waits for this line
            out.object(object)?;
        }
        broken = runtime.block_on(async {
            tokio::select! {
                () = demo.stop.wait() => None,
                error = node.failed() => Some(error),
            }
        });
        out.line("");
        out.line("stopping the node");
    }
    if let Some(error) = broken {
        return Err(Failure::environment(
            format!("the node failed: {error}"),
            "see the messages above",
        ));
    }
    let stopped = runtime.block_on(node.shutdown());
    let object = told?;
    stopped
        .map_err(|e| Failure::environment(format!("the node: {e}"), "see the messages above"))?;
    // the object was printed when the node was ready, and is not printed again
    let object = if out.is_json() && !args.fast { serde_json::Value::Null } else { object };
    Ok(Outcome::done(object))
}

/// Makes the folder, or clears one that an earlier demo made.
fn prepare(dir: &Path) -> Result<(), Failure> {
    let marker = dir.join(MARKER);
    let occupied = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied && !marker.exists() {
        return Err(Failure::refused(
            format!("{} holds other files", dir.display()),
            "choose an empty or new folder with --dir",
        ));
    }
    refuse_running(dir)?;
    let make = || {
        for part in PARTS {
            let path = dir.join(part);
            if path.is_dir() {
                std::fs::remove_dir_all(&path)?;
            } else if path.exists() {
                std::fs::remove_file(&path)?;
            }
        }
        std::fs::create_dir_all(dir.join("keys"))?;
        std::fs::create_dir_all(dir.join("records"))?;
        std::fs::write(&marker, "made by `ledger demo`, which may clear this folder\n")
    };
    make().map_err(|e| files::cannot_write(dir, &e))
}

/// Refuses a folder whose node is running: clearing it would delete the log that the node uses.
fn refuse_running(dir: &Path) -> Result<(), Failure> {
    let path = dir.join("node/private/LOCK");
    let file = match std::fs::File::options().write(true).open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(files::cannot_write(&path, &e)),
    };
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::refused(
            format!("a demo is running here: {}", dir.display()),
            "end it with Ctrl-C first, or choose another folder with --dir",
        )),
        Err(std::fs::TryLockError::Error(e)) => Err(files::cannot_write(&path, &e)),
    }
}

/// Shows whether Ctrl-C or SIGTERM has asked the demo to end.
struct StopSignal(tokio::sync::watch::Receiver<bool>);

impl StopSignal {
    /// Starts to watch. Must be called within a runtime.
    fn watch() -> Result<StopSignal, Failure> {
        let (tell, told) = tokio::sync::watch::channel(false);
        let no_handler = |e: std::io::Error| {
            Failure::environment(format!("cannot watch for signals: {e}"), "try --fast")
        };
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let mut interrupt = signal(SignalKind::interrupt()).map_err(no_handler)?;
            let mut terminate = signal(SignalKind::terminate()).map_err(no_handler)?;
            tokio::spawn(async move {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                let _ = tell.send(true);
                // the task keeps the sender, so that waiting never ends by itself
                std::future::pending::<()>().await;
            });
        }
        #[cfg(not(unix))]
        {
            let _ = no_handler;
            tokio::spawn(async move {
                let _ = tokio::signal::ctrl_c().await;
                let _ = tell.send(true);
                std::future::pending::<()>().await;
            });
        }
        Ok(StopSignal(told))
    }

    /// Fails if the demo was asked to end. The demo calls this between two steps.
    fn check(&self) -> Result<(), Failure> {
        if *self.0.borrow() {
            let hint = "run the demo again";
            return Err(Failure::environment("the demo was interrupted", hint));
        }
        Ok(())
    }

    async fn wait(&self) {
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }
}

/// Runs a command line of this program inside this process, the program's name first.
pub type RunStep = fn(&[&str], &Output) -> Result<Outcome, Failure>;

struct Demo {
    dir: PathBuf,
    run_step: RunStep,
    /// Shows whether the demo should end.
    stop: StopSignal,
    /// Prints the demo's own lines.
    out: Output,
    /// Prints the results of the commands that the demo runs, without their remarks.
    results: Output,
}

impl Demo {
    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn title(&self, text: &str) {
        self.out.line("");
        self.out.line(Line::strong(text));
    }

    /// Runs a command of this program, and prints it as the user would type it.
    fn step(&self, args: &[&str], out: &Output) -> Result<Outcome, Failure> {
        self.stop.check()?;
        self.out.line(format!("$ ledger {}", shell(args)));
        let mut argv = vec!["ledger"];
        argv.extend(args);
        (self.run_step)(&argv, out)
    }

    /// A step that must succeed.
    fn must(&self, args: &[&str], out: &Output) -> Result<Outcome, Failure> {
        let outcome = self.step(args, out)?;
        if outcome.exit == Exit::Done {
            return Ok(outcome);
        }
        let message = format!("`ledger {}` failed", args[0]);
        Err(Failure::refused(message, "please report this with the lines above"))
    }

    /// Makes the keys, the charter and its signatures, and founds the log. Returns the anchor.
    fn found(&self) -> Result<String, Failure> {
        self.title("1. Three organisations that do not fully trust each other found a log");
        let silent = self.out.silent();
        let mut charter = vec!["charter".to_owned(), "new".to_owned()];
        let log_key = self.path("keys/log.key");
        let made = self.must(&["keygen", ORIGIN, "--use", "log", "--out", &log_key], &silent)?;
        let text = |name: &str, value: &serde_json::Value| {
            value[name].as_str().unwrap_or_default().to_owned()
        };
        charter.extend(["--log".to_owned(), text("vkey", &made.object)]);
        charter.extend(["--consortium".to_owned(), "Open Evaluation Commons".to_owned()]);
        charter.extend(["--issuer".to_owned(), MEMBERS[0].0.to_owned()]);
        for (name, roles, what) in MEMBERS {
            let made = self.must(&["keygen", name, "--out", &self.key(name)], &silent)?;
            self.out.line(format!("  {name}: {what}"));
            charter.push("--member".to_owned());
            charter.push(format!("{name}={}:{roles}", text("vkey", &made.object)));
        }
        let json = self.path("charter.json");
        let shown = "charter new --log VKEY --consortium 'Open Evaluation Commons' --member ...";
        self.out.line(format!("$ ledger {shown} > {json}"));
        let argv: Vec<&str> =
            std::iter::once("ledger").chain(charter.iter().map(String::as_str)).collect();
        let made = (self.run_step)(&argv, &silent)?;
        files::create(Path::new(&json), text("draft", &made.object).as_bytes())?;
        let record = self.path("charter.record");
        let keys = MEMBERS.map(|(name, _, _)| self.key(name));
        let mut sign = vec!["record", "sign", json.as_str(), "-o", record.as_str()];
        for key in &keys {
            sign.extend(["--key", key]);
        }
        self.must(&sign, &self.results)?;
        let node = self.path("node");
        self.out.line(format!(
            "$ ledger-node init --dir {node} --charter {record} --log-key {log_key}"
        ));
        let bytes = files::read(Path::new(&record), ledger_core::record::MAX_RECORD_BYTES)?;
        let founding = Founding {
            dir: Path::new(&node),
            charter: &bytes,
            log_key: Path::new(&log_key),
            witness_keys: &[],
            witness_urls: &BTreeMap::new(),
        };
        let report = ledger_node::init(&founding).map_err(Failure::failed_by)?;
        let anchor = report.anchor.to_string();
        self.out.line(format!("  the anchor, all that a reader must be given: {anchor}"));
        Ok(anchor)
    }

    fn key(&self, member: &str) -> String {
        let name = member.split('.').next().unwrap_or(member);
        self.path(&format!("keys/{name}.key"))
    }

    async fn start(&self, args: &Args) -> Result<RunningNode, Failure> {
        let dir = self.dir.join("node");
        let overrides =
            Overrides { grpc: Some(args.grpc), http: Some(args.http), ..Overrides::default() };
        let node = RunningNode::start(&dir, overrides).await.map_err(Failure::failed_by)?;
        self.out.line(format!("$ ledger-node serve --dir {}", dir.display()));
        let (grpc, http) = (node.grpc_addr(), node.http_addr());
        self.out.line(format!("  gRPC for programs at {grpc}, the log's files at http://{http}/"));
        Ok(node)
    }

    /// Plays the first act: publishing, proving, verifying, and the forger. Returns what happened,
    /// as JSON.
    fn run_story(
        &self,
        anchor: &str,
        grpc: SocketAddr,
        http: SocketAddr,
    ) -> Result<serde_json::Value, Failure> {
        let (node, site) = (format!("http://{grpc}"), format!("http://{http}"));
        self.title("2. The members publish decisions, incidents and reviews, and sign each one");
        let records: Result<Vec<String>, Failure> =
            CHAPTERS.iter().map(|c| self.write(c)).collect();
        let records = records?;
        let mut submit = vec!["submit"];
        submit.extend(records.iter().map(String::as_str));
        submit.extend(["--node", &node, "--anchor", anchor]);
        self.must(&submit, &self.results)?;
        self.title("3. A member replaces its key, and two of three stewards must sign the change");
        let rotated = self.rotate(anchor, &node)?;
        self.title("4. The checkpoint is one signed text that commits to all entries");
        self.must(&["checkpoint", "--node", &node, "--anchor", anchor], &self.results)?;
        self.title("5. Any reader verifies, offline, what is logged and who was allowed to sign");
        let charter = self.path("charter.record");
        let proofs: Vec<String> =
            records.iter().map(|r| r.replace(".record", ".tlog-proof")).collect();
        let mut verify = vec!["verify"];
        verify.extend(proofs.iter().map(String::as_str));
        verify.extend(["--anchor", anchor, "--charter", &charter]);
        self.must(&verify, &self.results)?;
        self.title("6. A register lists what is overdue by the deadlines in the charter");
        let overdue =
            self.must(&["register", "overdue", &site, "--anchor", anchor], &self.results)?;
        self.title("7. An auditor checks every entry, tile and signature");
        let honest = self.must(&["audit", &site, "--anchor", anchor], &self.results)?;
        self.title("8. A forger with access to the disk flips one bit in a copy");
        let index = TAMPERED as u64;
        let file = self.tamper()?;
        self.out.line(format!("  one bit flipped in {file}, inside entry {index}"));
        let copy = self.path("tampered");
        let forged = self.step(&["audit", &copy, "--anchor", anchor], &self.results)?;
        let named = forged.object["problems"]
            .as_array()
            .is_some_and(|problems| problems.len() == 1 && problems[0]["index"] == json!(index));
        if forged.exit != Exit::Refused || !named {
            let hint = "please report this: an audit must find what was altered";
            return Err(Failure::refused("the audit did not name the altered entry", hint));
        }
        self.out.line(format!("  caught: the audit names entry {index}, and no other"));
        Ok(json!({
            "dir": self.dir.display().to_string(),
            "anchor": anchor,
            "grpc": node,
            "http": site,
            "records": records,
            "proofs": proofs,
            "new_key": rotated,
            "overdue": overdue.object["rows"],
            "audit": honest.object,
            "tampered_entry": index,
            "tampered_audit": forged.object,
        }))
    }

    /// Gives a member a new key: one steward proposes the change on the node, another finds it in
    /// its inbox and signs, and the node logs it. Returns the change's statement id.
    fn rotate(&self, anchor: &str, node: &str) -> Result<String, Failure> {
        let silent = self.out.silent();
        let (lab, other) = (MEMBERS[0].0, MEMBERS[1].0);
        let old = crate::keys::read(Path::new(&self.key(lab)))?.verifier().to_string();
        let name = format!("{lab}/2027");
        let made = self
            .must(&["keygen", &name, "--out", &self.path("keys/aurora-lab-2027.key")], &silent)?;
        let changes = json!([
            { "action": "add_key", "member": lab, "vkey": made.object["vkey"], "use": "record" },
            { "action": "revoke_key", "member": lab, "vkey": old, "reason": "a lost laptop" },
        ]);
        let draft = self.path("new-key.json");
        self.out.line(format!(
            "$ ledger record new membership --set 'changes=[add_key ..., revoke_key ...]' ... > {draft}"
        ));
        let (base, changes) = (format!("base={anchor}"), format!("changes={changes}"));
        let new = ["ledger", "record", "new", "membership", "--issuer", lab, "--log", ORIGIN];
        let set = ["--set", "title=A new key for the lab", "--set", "summary=A laptop was lost."];
        let rest = ["--set", &base, "--set", &changes];
        let argv: Vec<&str> = new.into_iter().chain(set).chain(rest).collect();
        let made = (self.run_step)(&argv, &silent)?;
        let text = |name: &str| made.object[name].as_str().unwrap_or_default().to_owned();
        files::create(Path::new(&draft), text("draft").as_bytes())?;
        let (statement, reach) = (text("statement"), ["--node", node, "--anchor", anchor]);
        let step = |args: &[&str]| {
            let args: Vec<&str> = args.iter().chain(&reach).copied().collect();
            self.must(&args, &self.results)
        };
        step(&["propose", &draft, "--key", &self.key(lab)])?;
        step(&["inbox", "--key", &self.key(other)])?;
        step(&["inbox", "sign", &statement, "--key", &self.key(other)])?;
        Ok(statement)
    }

    /// Writes and signs a record. Returns its path.
    fn write(&self, chapter: &Chapter) -> Result<String, Failure> {
        let broken = |e: String| Failure::refused(e, "please report this").of(chapter.name);
        let kind = Kind::parse(chapter.kind).ok_or_else(|| broken("no such kind".to_owned()))?;
        let issuer = MEMBERS[chapter.signers[0]].0;
        let (id, issued_at) = (environment::fresh_id()?, environment::now());
        let mut object = template(kind, &Basics { log: ORIGIN, issuer, id, issued_at });
        let members = Object::parse(chapter.json).map_err(|e| broken(e.to_string()))?;
        for (name, value) in members.iter() {
            object.set(name, value.clone());
        }
        if !chapter.refs.is_empty() {
            let refs: Result<Vec<Object>, Failure> =
                chapter.refs.iter().map(|(rel, name)| self.reference(rel, name)).collect();
            object.set("refs", refs?);
        }
        let draft = Draft::from_object(&object).map_err(|e| broken(e.to_string()))?;
        let keys: Result<Vec<_>, Failure> = chapter
            .signers
            .iter()
            .map(|at| crate::keys::read(Path::new(&self.key(MEMBERS[*at].0))))
            .collect();
        let keys = keys?;
        let record = draft.sign(&keys.iter().collect::<Vec<_>>());
        let record = record.map_err(|e| broken(e.to_string()))?;
        let path = self.path(&format!("records/{}.record", chapter.name));
        files::create(Path::new(&path), record.as_bytes())?;
        Ok(path)
    }

    /// A reference to a record that an earlier step wrote.
    fn reference(&self, rel: &str, name: &str) -> Result<Object, Failure> {
        let path = self.path(&format!("records/{name}.record"));
        let record = Record::parse(&files::read(Path::new(&path), MAX_RECORD_BYTES)?);
        let record = record.map_err(|e| Failure::refused_by(e).of(&path))?;
        Ok(Object::new().with("rel", rel).with("statement", record.statement().to_string()))
    }

    /// Copies the log's files and flips one bit inside an entry. Returns the file's path.
    fn tamper(&self) -> Result<String, Failure> {
        let (site, copy) = (self.dir.join("node/site"), self.dir.join("tampered"));
        copy_folder(&site, &copy).map_err(|e| files::cannot_write(&copy, &e))?;
        let entries = u64::try_from(ENTRIES).unwrap_or_default();
        let size = ledger_core::TreeSize::new(entries).unwrap_or_default();
        let coord = TileCoord::in_tree(TileKind::Entries, 0, size)
            .unwrap_or_else(|| TileCoord::full(TileKind::Entries, 0));
        let path = copy.join(coord.to_string());
        let mut bytes = files::read(&path, ledger_core::tile::MAX_BUNDLE_BYTES)?;
        let bundle = EntryBundle::parse(coord, bytes.clone());
        let bundle = bundle.map_err(|e| Failure::refused(e.to_string(), "please report this"))?;
        let before: usize = bundle.iter().take(TAMPERED).map(|entry| 2 + entry.len()).sum();
        if let Some(entry) = bundle.get(TAMPERED) {
            bytes[before + 2 + entry.len() / 2] ^= 1;
        }
        files::replace(&path, &bytes)?;
        Ok(path.display().to_string())
    }

    fn next(&self, anchor: &str, grpc: SocketAddr, http: SocketAddr) {
        self.title("The node stays up until you press Ctrl-C. In another terminal, try:");
        let (charter, record) = (self.path("charter.record"), self.path("records/mine.record"));
        let draft = self.path("mine.json");
        let key = self.path("keys/aurora-lab-2027.key");
        let proof = self.path("records/decision-pause-agent-trials.tlog-proof");
        let quoted = |path: String| quote(&path);
        let (charter, record, draft) = (quoted(charter), quoted(record), quoted(draft));
        let (key, proof, ledger) = (quoted(key), quoted(proof), program());
        for line in [
            format!("export LEDGER_NODE=http://{grpc}"),
            format!("{ledger} record show 4 --anchor {anchor}"),
            format!(
                "{ledger} record new incident --issuer {} --log {ORIGIN} > {draft}",
                MEMBERS[0].0
            ),
            format!("{ledger} record sign {draft} --key {key} -o {record}"),
            format!("{ledger} submit {record} --anchor {anchor}"),
            format!("{ledger} verify {proof} --anchor {anchor} --charter {charter}"),
            format!("{ledger} audit http://{http} --anchor {anchor}"),
            format!("curl http://{http}/checkpoint"),
        ] {
            self.out.line(format!("  {line}"));
        }
    }
}

/// How to call this program: by name if the shell finds it, else by its path.
fn program() -> String {
    let own = std::env::current_exe().ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&path).map(|dir| dir.join("ledger")).find(|p| p.is_file());
    let found = first.and_then(|path| path.canonicalize().ok());
    match own {
        Some(own) if found != own.canonicalize().ok() => quote(&own.display().to_string()),
        _ => "ledger".to_owned(),
    }
}

/// Quotes a word for a shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Formats a command line for a shell, with long lists of files shortened.
fn shell(args: &[&str]) -> String {
    let mut words: Vec<String> = Vec::with_capacity(args.len());
    for arg in args {
        let extension = Path::new(arg).extension().and_then(|e| e.to_str());
        let folder = Path::new(arg).parent().and_then(|folder| folder.file_name());
        let is_one_of_many = folder.is_some_and(|folder| folder == "records")
            && matches!(extension, Some("record" | "tlog-proof"));
        let word = match (is_one_of_many, extension, Path::new(arg).parent()) {
            (true, Some(extension), Some(folder)) => {
                format!("{}/*.{extension}", quote(&folder.display().to_string()))
            }
            _ => quote(arg),
        };
        if words.last() != Some(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
