//! Runs the program as a process, and makes small logs with the core.
#![allow(dead_code, clippy::unwrap_used)]

pub mod damage;
pub mod node;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ledger_core::batch::Edge;
use ledger_core::charter::CharterDraft;
use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::hash::Hash;
use ledger_core::index::{LeafIndex, TreeSize};
use ledger_core::merkle::prove_inclusion;
use ledger_core::note::{Algorithm, KeyName, SignerKey};
use ledger_core::proof::TlogProof;
use ledger_core::record::{Basics, Draft, Kind, Logged, Object, Record, RecordId, template};
use ledger_core::tile::{TileCoord, TileReader, TileSource};

/// The time of the first entry in the test logs.
pub const START: u64 = 1_735_689_600;
pub const ORIGIN: &str = "ledger.example/test";
pub const MEMBER: &str = "lab.example";

/// The result of a run of the program.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `ledger` with these arguments, without the environment variables that change it.
pub fn ledger<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    ledger_in(Path::new("."), args)
}

pub fn ledger_in<S: AsRef<std::ffi::OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.args(args).current_dir(dir).stdin(std::process::Stdio::null());
    clean(&mut command);
    Run::of(command.output().expect("the program starts"))
}

/// Removes the environment variables that change the program.
pub fn clean(command: &mut Command) {
    for name in ["LEDGER_NODE", "LEDGER_POLICY", "NO_COLOR"] {
        command.env_remove(name);
    }
}

impl Run {
    pub fn of(output: Output) -> Run {
        let Output { status, stdout, stderr } = output;
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Run {
            code: status.code().expect("it ends by itself"),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Run {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the run failed with this code, and printed an error about this and a hint.
    #[track_caller]
    pub fn fails(self, code: i32, about: &str) -> Run {
        let run = self.ends(code);
        assert!(run.stderr.contains("error: "), "no error:\n{}", run.stderr);
        assert!(run.stderr.contains("\nhint: "), "no hint:\n{}", run.stderr);
        assert!(run.stderr.contains(about), "nothing about {about:?}:\n{}", run.stderr);
        run
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub fn object(&self) -> serde_json::Value {
        let value: serde_json::Value = serde_json::from_str(&self.stdout).expect("one JSON value");
        assert!(value.is_object(), "{value}");
        assert_eq!(self.stdout.lines().count(), 1, "one line");
        value
    }
}

pub fn key(name: &str, seed: u8) -> SignerKey {
    let name = KeyName::new(name).expect("name");
    SignerKey::from_seed(name, Algorithm::Ed25519, [seed; 32]).expect("sound")
}

pub fn log_key() -> SignerKey {
    key(ORIGIN, 1)
}

pub fn member_key() -> SignerKey {
    key(MEMBER, 2)
}

/// The member's other key.
pub fn second_key() -> SignerKey {
    key("lab.example/second", 3)
}

pub fn charter() -> Record {
    let draft = CharterDraft::new("Test", log_key().verifier().clone())
        .member(MEMBER, member_key().verifier().clone(), ["publisher", "reviewer", "steward"])
        .member(MEMBER, second_key().verifier().clone(), [])
        .draft(RecordId::from_parts(START * 1000, [0; 10]), START)
        .expect("a charter");
    draft.sign(&[&member_key()]).expect("signs")
}

pub fn decision_object(number: u64) -> Object {
    let mut random = [7; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let id = RecordId::from_parts(START * 1000, random);
    let basics = Basics { log: ORIGIN, issuer: MEMBER, id, issued_at: START };
    let english = |text: String| Object::new().with("en", text);
    template(Kind::Decision, &basics)
        .with("title", english(format!("Decision {number}")))
        .with("summary", english("What was decided.".to_owned()))
        .with("status", "accepted")
        .with("context", "c")
        .with("options", vec!["a", "b"])
        .with("outcome", "a")
        .with("rationale", "r")
        .with("decided_by", vec!["board"])
}

pub fn decision(number: u64) -> Record {
    let draft = Draft::from_object(&decision_object(number)).expect("a decision");
    draft.sign(&[&member_key()]).expect("signs")
}

/// A membership record whose base is this governance statement.
pub fn membership_object(number: u64, base: &str, changes: Vec<Object>) -> Object {
    let mut random = [8; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let id = RecordId::from_parts(START * 1000, random);
    let basics = Basics { log: ORIGIN, issuer: MEMBER, id, issued_at: START };
    let english = |text: String| Object::new().with("en", text);
    template(Kind::Membership, &basics)
        .with("title", english(format!("Change {number}")))
        .with("summary", english("Who belongs to us.".to_owned()))
        .with("base", base)
        .with("changes", changes)
}

pub fn entry(time: u64, record: &[u8]) -> Vec<u8> {
    governed(time, 0, record)
}

/// An entry whose line names a governance entry.
pub fn governed(time: u64, governance: u64, record: &[u8]) -> Vec<u8> {
    let governance = LeafIndex::new(governance).expect("small");
    let logged = Logged { time, governance };
    [logged.to_string().as_bytes(), record].concat()
}

/// A log in a directory, made without a node.
pub struct Site {
    pub dir: PathBuf,
    edge: Edge,
    pub entries: Vec<Vec<u8>>,
}

impl Site {
    /// A log with its charter.
    pub fn founded(dir: &Path) -> Site {
        let mut site = Site::bare(dir);
        site.push([entry(START, charter().as_bytes())]);
        site
    }

    pub fn bare(dir: &Path) -> Site {
        Site { dir: dir.to_owned(), edge: Edge::new(), entries: Vec::new() }
    }

    /// A log of `size` entries: the charter, then decisions.
    pub fn of(dir: &Path, size: u64) -> Site {
        let mut site = Site::founded(dir);
        site.push((1..size).map(|i| entry(START + i, decision(i).as_bytes())));
        site
    }

    pub fn push(&mut self, entries: impl IntoIterator<Item = Vec<u8>>) {
        let entries: Vec<_> = entries.into_iter().collect();
        let batch = self.edge.append(&entries).expect("room");
        for (coord, bytes) in batch.tiles {
            let path = self.dir.join(coord.to_string());
            std::fs::create_dir_all(path.parent().expect("folder")).expect("made");
            std::fs::write(path, bytes).expect("written");
        }
        self.entries.extend(entries);
        self.sign();
    }

    /// Restores every file that a test has altered.
    pub fn write_again(&self) {
        let mut site = Site::bare(&self.dir);
        site.push(self.entries.clone());
    }

    fn sign(&self) {
        let origin = Origin::new(ORIGIN).expect("origin");
        let checkpoint = Checkpoint::new(origin, self.edge.head()).sign(&log_key());
        std::fs::create_dir_all(&self.dir).expect("made");
        std::fs::write(self.dir.join("checkpoint"), checkpoint.to_string()).expect("written");
    }

    pub fn size(&self) -> TreeSize {
        self.edge.size()
    }

    /// The proof file of an entry.
    pub fn proof(&self, index: u64) -> String {
        let checkpoint = std::fs::read(self.dir.join("checkpoint")).expect("checkpoint");
        let checkpoint =
            ledger_core::checkpoint::ClaimedCheckpoint::parse(&checkpoint).expect("well formed");
        let at = LeafIndex::new(index).expect("small");
        let mut nodes = TileReader::new(Files(&self.dir), self.size());
        let inclusion = prove_inclusion(&mut nodes, at, self.size()).expect("inside");
        let bytes = &self.entries[index as usize];
        let end = bytes.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        TlogProof { extra: Some(bytes[..end].to_vec()), index: at, inclusion, checkpoint }
            .to_string()
    }

    /// Every file of the log that its signed tree needs.
    pub fn files(&self) -> Vec<PathBuf> {
        let tiles =
            TileCoord::all_in_tree(self.size()).map(|coord| self.dir.join(coord.to_string()));
        tiles.chain([self.dir.join("checkpoint")]).collect()
    }

    pub fn audit(&self, more: &[&str]) -> Run {
        let (dir, vkey) = (self.dir.display().to_string(), log_key().verifier().to_string());
        ledger(["audit", &dir, "--vkey", &vkey].iter().chain(more))
    }
}

struct Files<'a>(&'a Path);

impl TileSource for Files<'_> {
    type Error = std::io::Error;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, std::io::Error> {
        std::fs::read(self.0.join(coord.to_string()))
    }
}

pub fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("written");
    path.display().to_string()
}

pub fn write_key(dir: &Path, name: &str, key: &SignerKey) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = write(dir, name, format!("{}\n", key.to_secret_text()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
    path
}

pub fn leaf(bytes: &[u8]) -> Hash {
    Hash::leaf(bytes)
}

pub fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}
