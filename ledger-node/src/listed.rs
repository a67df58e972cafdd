//! A list in a file of the log's directory, which the operator edits while the node runs.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes such a file may have: some ten thousand logs, and it is read whole.
pub const MAX_LIST_BYTES: u64 = 4 << 20;

/// How long what was read is used before the file is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file says something else.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
}

/// What tells one version of the file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ListStamp {
    changed: (i64, i64),
    length: u64,
    inode: u64,
}

/// The list as the node knows it, read again when the file changed. A file that cannot be used
/// changes nothing.
pub struct Listed<T> {
    path: PathBuf,
    parse: fn(&str) -> Result<T, String>,
    known: Mutex<ListState<T>>,
}

struct ListState<T> {
    /// `None` where there is no file.
    stamp: Option<ListStamp>,
    looked: Instant,
    /// How many times the list was read anew.
    edition: u64,
    value: T,
}

impl<T> Listed<T> {
    /// Reads the list; a missing file is an empty text.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn open(path: PathBuf, parse: fn(&str) -> Result<T, String>) -> Result<Self, ListError> {
        let stamp = stamp(&path)?;
        let value = read(&path, parse)?;
        let known = Mutex::new(ListState { stamp, looked: Instant::now(), edition: 0, value });
        Ok(Listed { path, parse, known })
    }

    /// Finds something; the file is looked at again where it is not found, and every second.
    pub fn find<R>(&self, find: impl Fn(&T) -> Option<R>) -> Option<R> {
        let mut known = self.lock();
        if known.looked.elapsed() < LOOK_AGAIN
            && let Some(found) = find(&known.value)
        {
            return Some(found);
        }
        self.look(&mut known);
        find(&known.value)
    }

    /// The list as it stands now.
    pub fn now<R>(&self, take: impl FnOnce(&T) -> R) -> R {
        let mut known = self.lock();
        self.look(&mut known);
        take(&known.value)
    }

    /// A number that changes with the list; the file is not looked at.
    pub fn edition(&self) -> u64 {
        self.lock().edition
    }

    fn look(&self, known: &mut ListState<T>) {
        known.looked = Instant::now();
        let failed = |error: ListError| tracing::error!(%error, "the list stays as it was");
        let now = match stamp(&self.path) {
            Ok(now) if now == known.stamp => return,
            Ok(now) => now,
            Err(error) => return failed(error),
        };
        // a file that is wrong is complained about once, and looked at again when it changes
        known.stamp = now;
        match read(&self.path, self.parse) {
            Ok(value) => {
                known.value = value;
                known.edition += 1;
            }
            Err(error) => failed(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ListState<T>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Listed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listed").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Whether a text is the address of a log: with one of these beginnings, a host, no control
/// characters, and no user name or password: the node tells every caller where it reads.
pub fn is_address(url: &str, schemes: &[&str]) -> bool {
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
        && !url.chars().any(char::is_control)
}

fn stamp(path: &Path) -> Result<Option<ListStamp>, ListError> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some(ListStamp {
            changed: (data.mtime(), data.mtime_nsec()),
            length: data.len(),
            inode: data.ino(),
        })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ListError::Read { path: path.to_owned(), source }),
    }
}

fn read<T>(path: &Path, parse: fn(&str) -> Result<T, String>) -> Result<T, ListError> {
    let failed = |source| ListError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    match fs::File::open(path) {
        Ok(file) => {
            file.take(MAX_LIST_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if text.len() as u64 > MAX_LIST_BYTES {
        let what = format!("it has more than {MAX_LIST_BYTES} bytes");
        return Err(failed(std::io::Error::new(std::io::ErrorKind::FileTooLarge, what)));
    }
    parse(&text).map_err(|message| ListError::Syntax { path: path.to_owned(), message })
}
