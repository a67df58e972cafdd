//! Which logs a witness cosigns: the file `witness-logs`, edited while the node runs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ledger_core::note::{Algorithm, ParseKeyError, VerifierKey};
use ledger_core::witness::LogKeys;

/// The file's name in a log's directory.
pub const LOGS_FILE: &str = "witness-logs";

/// Bytes the file may have: some ten thousand logs, and it is read whole.
pub const MAX_LOGS_FILE: u64 = 4 << 20;

/// Keys that one log may have: its checkpoints for monitors carry a line of each, and the witness's.
pub const MAX_LOG_KEYS: usize = 16;

/// How long a known log's keys are used before the file is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A line of the file: a key that signs for the log of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The key; its name is the log's origin.
    pub key: VerifierKey,
    /// Where the log can be read, if the line says so.
    pub url: Option<String>,
}

/// Why a text is not a list of logs. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseLogsError {
    /// The line is something else.
    #[error("line {0}: expected \"log <vkey> [<url>]\" or a comment that begins with \"#\"")]
    Syntax(usize),
    /// The key is none.
    #[error("line {0}: {1}")]
    Key(usize, ParseKeyError),
    /// The key cosigns; logs sign texts.
    #[error("line {0}: a log's key has signature type 0x01")]
    KeyUse(usize),
    /// The public key is listed before.
    #[error("line {0}: the same public key is listed twice")]
    Duplicate(usize),
    /// More than [`MAX_LOG_KEYS`] keys of one log.
    #[error("line {0}: a log has at most {MAX_LOG_KEYS} keys")]
    TooManyKeys(usize),
    /// The URL is none that a log can have.
    #[error("line {0}: a log's URL begins with http:// or https:// and has no control characters")]
    Url(usize),
    /// A log's name that no checkpoint may have.
    #[error("line {0}: the key's name is reserved and cannot be a log's origin")]
    Origin(usize),
}

/// Why the list cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file says something else.
    #[error("{path}: {error}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        error: ParseLogsError,
    },
}

/// Reads the text of a list.
///
/// # Errors
/// [`ParseLogsError`] names the line.
pub fn parse_logs(text: &str) -> Result<Vec<LogLine>, ParseLogsError> {
    let mut lines: Vec<LogLine> = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (key, url) = match words.as_slice() {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            ["log", key] => (key, None),
            ["log", key, url] => (key, Some(*url)),
            _ => return Err(ParseLogsError::Syntax(at)),
        };
        let key: VerifierKey = key.parse().map_err(|e| ParseLogsError::Key(at, e))?;
        let line = LogLine { key, url: url.map(ToOwned::to_owned) };
        check(&line, &lines, at)?;
        lines.push(line);
    }
    Ok(lines)
}

fn check(line: &LogLine, before: &[LogLine], at: usize) -> Result<(), ParseLogsError> {
    let key = &line.key;
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(ParseLogsError::KeyUse(at));
    }
    if ledger_core::checkpoint::Origin::new(key.name().as_str()).is_err() {
        return Err(ParseLogsError::Origin(at));
    }
    if before.iter().any(|other| other.key.public() == key.public()) {
        return Err(ParseLogsError::Duplicate(at));
    }
    if before.iter().filter(|other| other.key.name() == key.name()).count() == MAX_LOG_KEYS {
        return Err(ParseLogsError::TooManyKeys(at));
    }
    let is_url = |url: &String| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty()) && !url.chars().any(char::is_control)
    };
    if line.url.as_ref().is_some_and(|url| !is_url(url)) {
        return Err(ParseLogsError::Url(at));
    }
    Ok(())
}

/// What tells one version of the file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    length: u64,
    inode: u64,
}

/// The list as the node knows it, read again when the file changed.
#[derive(Debug)]
pub struct LogList {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// `None` where there is no file.
    stamp: Option<Stamp>,
    looked: Instant,
    lines: Vec<LogLine>,
    keys: BTreeMap<String, LogKeys>,
}

impl LogList {
    /// Reads the list; a missing file is an empty list.
    ///
    /// # Errors
    /// [`LogsError`].
    pub fn open(dir: &Path) -> Result<LogList, LogsError> {
        let path = dir.join(LOGS_FILE);
        let stamp = stamp(&path)?;
        let known = Known::new(stamp, read(&path)?);
        Ok(LogList { path, known: Mutex::new(known) })
    }

    /// The keys of a log, if the list names it.
    pub fn keys_of(&self, origin: &str) -> Option<LogKeys> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.looked.elapsed() >= LOOK_AGAIN || !known.keys.contains_key(origin) {
            self.look(&mut known);
        }
        known.keys.get(origin).cloned()
    }

    /// The lines of the list as it stands now.
    pub fn lines(&self) -> Vec<LogLine> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.look(&mut known);
        known.lines.clone()
    }

    /// Reads the file again if it changed. A file that cannot be used changes nothing.
    fn look(&self, known: &mut Known) {
        known.looked = Instant::now();
        let now = match stamp(&self.path) {
            Ok(now) if now == known.stamp => return,
            Ok(now) => now,
            Err(error) => {
                tracing::error!(%error, "the list of logs to witness stays as it was");
                return;
            }
        };
        // a file that is wrong is complained about once, and looked at again when it changes
        known.stamp = now;
        match read(&self.path) {
            Ok(lines) => *known = Known::new(now, lines),
            Err(error) => {
                tracing::error!(%error, "the list of logs to witness stays as it was");
            }
        }
    }
}

impl Known {
    fn new(stamp: Option<Stamp>, lines: Vec<LogLine>) -> Known {
        let mut of: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for line in &lines {
            of.entry(line.key.name().to_string()).or_default().push(line.key.clone());
        }
        let keys = of.into_iter().map(|(origin, keys)| (origin, LogKeys::new(keys))).collect();
        Known { stamp, looked: Instant::now(), lines, keys }
    }
}

fn stamp(path: &Path) -> Result<Option<Stamp>, LogsError> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some(Stamp {
            changed: (data.mtime(), data.mtime_nsec()),
            length: data.len(),
            inode: data.ino(),
        })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LogsError::Read { path: path.to_owned(), source }),
    }
}

fn read(path: &Path) -> Result<Vec<LogLine>, LogsError> {
    use std::io::Read as _;
    let failed = |source| LogsError::Read { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(MAX_LOGS_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_LOGS_FILE {
        let what = format!("it has more than {MAX_LOGS_FILE} bytes");
        return Err(failed(std::io::Error::new(std::io::ErrorKind::FileTooLarge, what)));
    }
    parse_logs(&text).map_err(|error| LogsError::Syntax { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use ledger_core::note::{KeyName, SignerKey};

    use super::*;

    fn vkey(name: &str, algorithm: Algorithm, seed: u8) -> String {
        let name = KeyName::new(name).expect("name");
        let key = SignerKey::from_seed(name, algorithm, [seed; 32]).expect("sound");
        key.verifier().to_string()
    }

    fn log(seed: u8) -> String {
        vkey("log.example", Algorithm::Ed25519, seed)
    }

    #[test]
    fn lists_are_read_strictly_and_name_the_line() {
        let text = format!("# ours\n\n  log {} https://log.example/\nlog\t{}\n", log(1), log(2));
        let lines = parse_logs(&text).expect("a list");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].url.as_deref(), Some("https://log.example/"));
        use ParseLogsError as E;
        let cosigner = vkey("w", Algorithm::CosignatureV1, 3);
        for (text, error) in [
            ("\nlogs x\n".into(), E::Syntax(2)),
            ("log\n".into(), E::Syntax(1)),
            (format!("log {} https://a b\n", log(1)), E::Syntax(1)),
            ("log x\n".into(), E::Key(1, ParseKeyError::Shape)),
            (format!("log {cosigner}\n"), E::KeyUse(1)),
            (format!("log {}\n#\nlog {}\n", log(1), log(1)), E::Duplicate(3)),
            (format!("log {} log.example\n", log(1)), E::Url(1)),
            (format!("log {}\n", vkey("cosignature/v1", Algorithm::Ed25519, 1)), E::Origin(1)),
        ] {
            assert_eq!(parse_logs(&text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_changed_file_counts_at_once_for_new_logs_and_a_wrong_one_changes_nothing() {
        let dir = tempfile::tempdir().expect("dir");
        let list = LogList::open(dir.path()).expect("empty");
        assert_eq!(list.keys_of("log.example"), None);
        let file = dir.path().join(LOGS_FILE);
        fs::write(&file, format!("log {}\nlog {}\n", log(1), log(2))).expect("write");
        let keys = list.keys_of("log.example").expect("known");
        assert_eq!(keys.trusted().len(), 2);
        fs::write(&file, "nonsense\n").expect("write");
        assert_eq!(list.lines().len(), 2, "the last good list stays");
        assert!(LogList::open(dir.path()).is_err(), "but a node does not start with it");
        fs::remove_file(&file).expect("remove");
        assert_eq!(list.lines(), []);
        assert_eq!(list.keys_of("log.example"), None);
    }
}
