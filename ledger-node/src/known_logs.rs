//! Which logs a witness cosigns: the file `witness-logs`, edited while the node runs.

use std::collections::BTreeMap;
use std::path::Path;

use ledger_core::note::{Algorithm, ParseKeyError, VerifierKey};
use ledger_core::witness::LogKeys;

use crate::listed::{Listed, is_address};

pub use crate::listed::{ListError as LogsError, MAX_LIST_BYTES as MAX_LOGS_FILE};

/// The file's name in a log's directory.
pub const LOGS_FILE: &str = "witness-logs";

/// Keys that one log may have: its checkpoints for monitors carry a line of each, and the
/// witness's.
pub const MAX_LOG_KEYS: usize = 16;

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
    let is_url = |url: &String| is_address(url, &["http://", "https://"]);
    if line.url.as_ref().is_some_and(|url| !is_url(url)) {
        return Err(ParseLogsError::Url(at));
    }
    Ok(())
}

/// The list as the node knows it, read again when the file changed.
#[derive(Debug)]
pub struct LogList(Listed<KnownLogs>);

#[derive(Debug, Default)]
struct KnownLogs {
    lines: Vec<LogLine>,
    keys: BTreeMap<String, LogKeys>,
}

impl LogList {
    /// Reads the list; a missing file is an empty list.
    ///
    /// # Errors
    /// [`LogsError`].
    pub fn open(dir: &Path) -> Result<LogList, LogsError> {
        let parse = |text: &str| parse_logs(text).map(KnownLogs::new).map_err(|e| e.to_string());
        Ok(LogList(Listed::open(dir.join(LOGS_FILE), parse)?))
    }

    /// The keys of a log, if the list names it.
    pub fn keys_of(&self, origin: &str) -> Option<LogKeys> {
        self.0.find(|known| known.keys.get(origin).cloned())
    }

    /// The lines of the list as it stands now.
    pub fn lines(&self) -> Vec<LogLine> {
        self.0.now(|known| known.lines.clone())
    }

    /// A number that changes with the list.
    pub fn edition(&self) -> u64 {
        self.0.edition()
    }
}

impl KnownLogs {
    fn new(lines: Vec<LogLine>) -> KnownLogs {
        let mut of: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for line in &lines {
            of.entry(line.key.name().to_string()).or_default().push(line.key.clone());
        }
        let keys = of.into_iter().map(|(origin, keys)| (origin, LogKeys::new(keys))).collect();
        KnownLogs { lines, keys }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
