//! Reads evidence from a folder or from a node, and parses it before it is shown.

use std::path::{Path, PathBuf};

use ledger_core::evidence::{ClaimedEvidence, EvidenceId, MAX_EVIDENCE_BYTES};
use ledger_node::source::{SourceError, read_regular};
use tokio::runtime::Runtime;

use crate::client::{self, Node, NodeArgs};
use crate::failure::Failure;
use crate::files;

/// Where a node keeps its evidence, below its directory.
const FOLDER: &str = "private/evidence";

/// The options that name the source of evidence.
#[derive(Debug, clap::Args)]
pub(super) struct From {
    /// A node's directory, or a folder of evidence files named by id; then no node is asked
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

/// A source of evidence.
pub(super) enum Source {
    /// Files named by their ids.
    Folder(PathBuf),
    /// What a node claims to hold.
    Node(Runtime, Box<Node>),
}

impl From {
    /// Finds the folder, or connects to the node.
    ///
    /// # Errors
    /// [`Failure`] when neither is named, or the named one cannot be opened.
    pub(super) fn open(&self) -> Result<Source, Failure> {
        if let Some(dir) = &self.dir {
            return folder(dir).map(Source::Folder);
        }
        if self.node.node.is_none() {
            let hint = "give --node URL or set LEDGER_NODE, or give --dir DIR";
            return Err(Failure::usage("neither a node nor a directory was named", hint));
        }
        let runtime = client::runtime()?;
        let node = runtime.block_on(self.node.connect())?;
        Ok(Source::Node(runtime, Box::new(node)))
    }
}

impl Source {
    /// The ids of the evidence, sorted.
    ///
    /// # Errors
    /// [`Failure`] when the folder cannot be read, or the node's list is malformed.
    pub(super) fn ids(&mut self) -> Result<Vec<EvidenceId>, Failure> {
        match self {
            Source::Folder(folder) => ids(folder),
            Source::Node(runtime, node) => runtime.block_on(node.evidence_ids()),
        }
    }

    /// One piece of evidence, whose id is checked.
    ///
    /// # Errors
    /// [`Failure`] when it is missing, is not evidence, or has another id.
    pub(super) fn read(&mut self, id: EvidenceId) -> Result<ClaimedEvidence, Failure> {
        match self {
            Source::Folder(folder) => {
                let path = folder.join(format!("{id}.json"));
                let bytes = read_regular(&path, MAX_EVIDENCE_BYTES);
                let bytes = bytes.map_err(|e| not_read(&path, &e))?;
                let hint = "the file was altered or renamed: its name must be its SHA-256";
                parse(id, &bytes, hint).map_err(|failure| failure.of(path.display()))
            }
            Source::Node(runtime, node) => {
                let bytes = runtime.block_on(node.evidence(id))?;
                let hint = "this is not the requested file: ask another node";
                let of = format!("what {} sent as {id}", node.url());
                parse(id, &bytes, hint).map_err(|failure| failure.of(of))
            }
        }
    }
}

fn parse(id: EvidenceId, bytes: &[u8], hint: &str) -> Result<ClaimedEvidence, Failure> {
    let evidence = ClaimedEvidence::parse(bytes).map_err(Failure::refused_by)?;
    if evidence.id() == id {
        Ok(evidence)
    } else {
        Err(Failure::refused(format!("its id is {}", evidence.id()), hint))
    }
}

/// The failure for a file that cannot be read. What is not a regular file is refused, whatever its
/// name.
fn not_read(path: &Path, error: &SourceError) -> Failure {
    let name = path.display();
    let why = match error {
        SourceError::Missing => "there is no such file",
        SourceError::Failed(why) => why,
        _ => {
            let hint = "remove it from the folder, and fetch the evidence again";
            return Failure::refused(format!("{name} {error}"), hint);
        }
    };
    Failure::environment(format!("cannot read {name}: {why}"), "check the path and its permissions")
}

fn folder(dir: &Path) -> Result<PathBuf, Failure> {
    let below = dir.join(FOLDER);
    if below.is_dir() {
        return Ok(below);
    }
    if dir.is_dir() {
        return Ok(dir.to_owned());
    }
    let message = format!("there is no directory {}", dir.display());
    Err(Failure::environment(message, "name a node's directory, or a folder of evidence files"))
}

/// The ids of the folder's evidence files, sorted. Other files are ignored.
fn ids(folder: &Path) -> Result<Vec<EvidenceId>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|e| files::cannot_read(folder, &e))?;
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| files::cannot_read(folder, &e))?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
        ids.extend(stem.and_then(|stem| EvidenceId::from_hex(stem).ok()));
    }
    ids.sort_unstable();
    Ok(ids)
}
