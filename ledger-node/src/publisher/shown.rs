//! Heads of this log that witnesses and peers show: a claim says that there is more of the log than
//! this node knows, and only a head that the log signed proves it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_core::Hint;
use ledger_core::TreeSize;
use ledger_core::charter::{Charter, RetiredLogKey};
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::merkle::TreeHead;
use ledger_core::note::{Signature, VerifierKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Signed;
use super::error::ConfirmError;
use crate::gossip::Gossip;
use crate::log::{LogReader, Published};
use crate::small_files;
use crate::store::StoreError;

/// Heads that are judged at once: each may read some tiles.
pub const JUDGED_AT_ONCE: usize = 4;

/// Notes kept of heads by keys in force, and as many of heads by retired keys alone: a thief of a
/// key can sign any number, and one of each sort says what there is to say.
const MAX_KEPT: usize = 64;

/// Bytes of a kept note that are read: more is no note.
const MAX_FILE: u64 = ledger_core::note::MAX_NOTE_BYTES as u64;

/// How the names of notes by retired keys alone begin, and how all of them end.
const RETIRED: &str = "retired-";
const EXTENSION: &str = "checkpoint";

/// What a head that is shown says about this node's log. Closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShownHead {
    /// A log key in force signed it, and this node's tree neither is nor contains it.
    #[error("it shows a head of size {} that the log signed", .head.size)]
    Contradicts {
        /// The head.
        head: TreeHead,
        /// The size that this node has signed.
        signed: TreeSize,
    },
    /// A log key in force signed it, and this node's tree begins with it.
    #[error("it shows size {0}, which this node's tree begins with")]
    Known(TreeSize),
    /// Only keys that the log has retired signed it: it counts for nothing.
    #[error("it shows a head of size {0} that only retired keys of the log signed")]
    Retired(TreeSize),
    /// A key signed it in the log's name that this node's charter does not know.
    #[error(
        "it shows a head of size {0} by a key that this node's charter does not know; if the log's \
         keys were changed since: `ledger-node recover --dir DIR --from URL`"
    )]
    UnknownKey(TreeSize),
    /// No head of this log is shown. Holds what is there instead.
    #[error("{0}")]
    Nothing(String),
}

/// Judges and keeps the heads that others show of this node's log.
pub struct ShownHeads {
    /// The log's name.
    pub origin: Origin,
    /// The rules in force, which name the log's keys.
    pub charter: watch::Receiver<Arc<Charter>>,
    /// The log's tree.
    pub reader: Arc<LogReader>,
    /// The size of the head that was promised when the log was opened.
    pub promised: TreeSize,
    /// The head signed last.
    pub signed: watch::Receiver<Option<Arc<Signed>>>,
    /// What readers see.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    /// Where notes are kept.
    pub folder: PathBuf,
    /// Who tells the peers.
    pub gossip: Arc<Gossip>,
    /// Taken while the log's files are read for a judgement.
    pub judging: Arc<Semaphore>,
}

impl ShownHeads {
    /// The size of the head that this node has signed last.
    pub fn signed_size(&self) -> TreeSize {
        let signed = self.signed.borrow().as_ref().map(|own| own.head.checkpoint().head().size);
        let published = self.published.borrow().as_ref().map(|seen| seen.size());
        [signed, published].into_iter().flatten().fold(self.promised, TreeSize::max)
    }

    /// Judges a head that is shown, by the log keys in force now. Keeps and gossips one that
    /// contradicts this node's tree, and one that only retired keys signed.
    pub async fn examine(self: &Arc<Self>, note: ClaimedCheckpoint) -> ShownHead {
        let examined = self.read(move |own| {
            let shown = own.judge(&note);
            match &shown {
                ShownHead::Contradicts { .. } => own.keep(&note, ""),
                ShownHead::Retired(_) => own.keep(&note, RETIRED),
                _ => {}
            }
            shown
        });
        examined.await.unwrap_or_else(|| ShownHead::Nothing("what it shows was not judged".into()))
    }

    /// What this node holds itself that contradicts its log.
    pub async fn held_soon(self: &Arc<Self>) -> Option<ConfirmError> {
        self.read(|own| own.held()).await.flatten()
    }

    /// Reads files where that keeps no other task waiting. `None` once the judging has ended.
    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&ShownHeads) -> T + Send + 'static,
    ) -> Option<T> {
        let turn: OwnedSemaphorePermit = Arc::clone(&self.judging).acquire_owned().await.ok()?;
        let own = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let done = read(&own);
            // whoever waits for the turn may open the log again: nothing here reads it any more
            drop(own);
            drop(turn);
            done
        });
        done.await.ok()
    }

    /// Waits until no head is judged any more, and judges none from now on: the log may be opened
    /// again then.
    pub async fn close(&self) {
        let all = u32::try_from(JUDGED_AT_ONCE).unwrap_or(u32::MAX);
        // a second call finds it closed
        let _all = self.judging.acquire_many(all).await;
        self.judging.close();
    }

    fn judge(&self, note: &ClaimedCheckpoint) -> ShownHead {
        let checkpoint = note.checkpoint();
        if *checkpoint.origin() != self.origin {
            return ShownHead::Nothing("it shows a head of another log".into());
        }
        let head = *checkpoint.head();
        let charter = Arc::clone(&self.charter.borrow());
        let retired: Vec<_> = charter.retired_log_keys().iter().map(RetiredLogKey::key).collect();
        if charter.log_keys().iter().any(|key| is_signed_by(note, key)) {
            return self.compare(head);
        }
        if retired.iter().any(|key| is_signed_by(note, key)) {
            return ShownHead::Retired(head.size);
        }
        let is_known = |line: &Signature| {
            let mut keys = charter.log_keys().iter().chain(retired.iter().copied());
            keys.any(|key| line.is_by(key))
        };
        let is_its = |line: &Signature| line.name().as_str() == self.origin.as_str();
        let mut lines = note.note().signatures().iter();
        let is_strange = lines.any(|line| is_its(line) && !is_known(line));
        if is_strange {
            return ShownHead::UnknownKey(head.size);
        }
        ShownHead::Nothing("it shows a head that no key of this log signed".into())
    }

    /// What a head by a key in force says.
    fn compare(&self, head: TreeHead) -> ShownHead {
        let signed = self.signed_size();
        if head.size > signed {
            return ShownHead::Contradicts { head, signed };
        }
        match self.reader.tree(signed).head(head.size) {
            Ok(own) if own == head => ShownHead::Known(head.size),
            Ok(_) => ShownHead::Contradicts { head, signed },
            Err(error) => ShownHead::Nothing(format!("this node's tiles give no root: {error}")),
        }
    }

    /// Keeps a note for people, and lets gossip observe it. A disk that fails is reported: the
    /// verdict does not depend on it.
    fn keep(&self, note: &ClaimedCheckpoint, prefix: &str) {
        match self.write(note, prefix) {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                tracing::error!(%error, hint = error.hint(), "a head that is shown cannot be kept");
            }
        }
        let seen = self.published.borrow().as_ref().map(|s| s.checkpoint().claimed().clone());
        let heads: Vec<ClaimedCheckpoint> = seen.into_iter().chain([note.clone()]).collect();
        self.gossip.observe(&heads);
    }

    /// Says whether the note is new here.
    fn write(&self, note: &ClaimedCheckpoint, prefix: &str) -> Result<bool, StoreError> {
        let head = note.checkpoint().head();
        let path = self.folder.join(format!("{prefix}{}-{}.{EXTENSION}", head.size, head.root));
        std::fs::create_dir_all(&self.folder).map_err(StoreError::io("make", &self.folder))?;
        let is_retired = |path: &&PathBuf| name(path).starts_with(RETIRED);
        let kept = self.files();
        let of_sort = kept.iter().filter(|path| is_retired(path) == (prefix == RETIRED)).count();
        if kept.contains(&path) || of_sort >= MAX_KEPT {
            return Ok(false);
        }
        tracing::error!(path = %path.display(), "another shows a head of this log; it is kept");
        small_files::replace(&path, note.to_string().as_bytes())?;
        Ok(true)
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let is_note =
            |path: &PathBuf| path.extension().is_some_and(|own| own == EXTENSION) && path.is_file();
        let mut paths: Vec<PathBuf> = paths.filter(is_note).collect();
        paths.sort_unstable();
        paths
    }

    /// What this node holds itself that contradicts its log: a note that was kept before the last
    /// stop, or a head that gossip has observed. Reads files.
    pub fn held(&self) -> Option<ConfirmError> {
        let kept = self.files().into_iter().filter_map(|path| {
            let note = read(&path)?;
            Some((format!("a note in private/found, {},", name(&path)), note))
        });
        let observed = self.gossip.own_heads().into_iter();
        let observed = observed.map(|note| ("what peers told this node before".to_owned(), note));
        let mut held = kept.chain(observed);
        held.find_map(|(by, note)| self.judge(&note).contradiction(by))
    }
}

impl ShownHead {
    /// Why the log must not sign, if `by` shows it a head that contradicts its own.
    pub fn contradiction(&self, by: String) -> Option<ConfirmError> {
        match self {
            ShownHead::Contradicts { head, signed } => {
                Some(ConfirmError::Shown { by, size: head.size, signed: *signed })
            }
            _ => None,
        }
    }

    /// What is shown, in words that are this node's.
    pub fn in_short(&self) -> String {
        match self {
            ShownHead::Nothing(_) => "it shows none".to_owned(),
            shown => shown.to_string(),
        }
    }
}

/// Whether a line by this key of the log is a signature on the note. Other lines by its name and
/// id say nothing: the note's sender may have added them.
fn is_signed_by(note: &ClaimedCheckpoint, key: &VerifierKey) -> bool {
    let is_of_log = key.name().as_str() == note.checkpoint().origin().as_str();
    let text = note.note().text().as_bytes();
    let mut lines = note.note().signatures().iter().filter(|line| line.is_by(key));
    is_of_log && lines.any(|line| key.verify(text, line.bytes()))
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A kept note; a file that is none any more says nothing.
fn read(path: &Path) -> Option<ClaimedCheckpoint> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_FILE + 1).read_to_end(&mut bytes).ok()?;
    ClaimedCheckpoint::parse(&bytes).ok()
}
