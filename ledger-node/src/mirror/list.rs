//! Which logs a mirror copies: the file `mirror-logs`, edited while the node runs.

use std::path::{Path, PathBuf};

use ledger_core::checkpoint::{Origin, ParseCheckpointError};
use ledger_core::hash::ParseHashError;
use ledger_core::note::{Algorithm, ParseKeyError, VerifierKey};
use ledger_core::record::StatementId;

use crate::listed::{ListError, Listed, is_address};

/// The file's name in a log's directory.
pub const MIRROR_FILE: &str = "mirror-logs";

/// Logs that one node copies: each has a thread and an open copy.
pub const MAX_MIRRORED: usize = 64;

/// Keys that one log may have.
const MAX_LOG_KEYS: usize = 16;

/// How addresses of logs begin: a tlog-tiles prefix, or the gRPC address of a node of ours.
const SCHEMES: [&str; 4] = ["http://", "https://", "grpc://", "grpcs://"];

/// A log to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrored {
    /// Its name.
    pub origin: Origin,
    /// Where it is read.
    pub source: String,
    /// How it is known whose signature counts.
    pub basis: ListedBasis,
}

/// What the trust in a log's heads rests on. Closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedBasis {
    /// Its keys are listed; its entries may hold anything.
    Keys {
        /// The keys.
        keys: Vec<VerifierKey>,
        /// A policy file whose quorum a checkpoint must have, too.
        policy: Option<PathBuf>,
    },
    /// It is a log of ours: keys follow from its charter, and its entries are judged.
    Charter {
        /// The charter's statement.
        anchor: StatementId,
        /// Whether a checkpoint must satisfy the charter's policy.
        quorum: Quorum,
    },
}

/// Whether a quorum of the charter's policy is asked for. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// The log's own signature is enough.
    Free,
    /// The witnesses must have cosigned.
    Needed,
}

/// Why a text is not a list of logs. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseMirrorsError {
    /// The line is something else.
    #[error(
        "line {0}: expected \"log <vkey> <source> [<policy file>]\", \"ledger <origin> <anchor> \
         <source> [quorum]\", or a comment that begins with \"#\""
    )]
    Syntax(usize),
    /// The key is none.
    #[error("line {0}: {1}")]
    Key(usize, ParseKeyError),
    /// The key cosigns; logs sign texts.
    #[error("line {0}: a log's key has signature type 0x01")]
    KeyUse(usize),
    /// The name is none that a log may have.
    #[error("line {0}: {1}")]
    Origin(usize, ParseCheckpointError),
    /// The anchor is no statement id.
    #[error("line {0}: the anchor is {1}")]
    Anchor(usize, ParseHashError),
    /// The source is no address.
    #[error(
        "line {0}: a source begins with http://, https://, grpc:// or grpcs:// and a host, and has no \
         control characters, user name or password"
    )]
    Source(usize),
    /// The log is listed before, in another way.
    #[error(
        "line {0}: the log is listed twice; several keys of one log need one source and policy"
    )]
    Twice(usize),
    /// The public key is listed before.
    #[error("line {0}: the same public key is listed twice")]
    Duplicate(usize),
    /// More than a log may have.
    #[error("line {0}: a log has at most {MAX_LOG_KEYS} keys")]
    TooManyKeys(usize),
    /// More logs than a node copies.
    #[error("line {0}: a node copies at most {MAX_MIRRORED} logs")]
    TooMany(usize),
}

/// Reads the text of a list.
///
/// # Errors
/// [`ParseMirrorsError`] names the line.
pub fn parse_mirrors(text: &str) -> Result<Vec<Mirrored>, ParseMirrorsError> {
    let mut all: Vec<Mirrored> = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        if let Some(one) = parse_line(line, at)? {
            add(one, &mut all, at)?;
        }
    }
    Ok(all)
}

fn parse_line(line: &str, at: usize) -> Result<Option<Mirrored>, ParseMirrorsError> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let mirrored = match words.as_slice() {
        [] => return Ok(None),
        [first, ..] if first.starts_with('#') => return Ok(None),
        ["log", key, source, rest @ ..] if rest.len() <= 1 => {
            let key: VerifierKey = key.parse().map_err(|e| ParseMirrorsError::Key(at, e))?;
            if key.algorithm() != Algorithm::Ed25519 {
                return Err(ParseMirrorsError::KeyUse(at));
            }
            let origin = Origin::new(key.name().as_str());
            let origin = origin.map_err(|e| ParseMirrorsError::Origin(at, e))?;
            let basis =
                ListedBasis::Keys { keys: vec![key], policy: rest.first().map(PathBuf::from) };
            Mirrored { origin, source: (*source).to_owned(), basis }
        }
        ["ledger", origin, anchor, source, rest @ ..] => {
            let quorum = match rest {
                [] => Quorum::Free,
                ["quorum"] => Quorum::Needed,
                _ => return Err(ParseMirrorsError::Syntax(at)),
            };
            let origin = Origin::new(origin).map_err(|e| ParseMirrorsError::Origin(at, e))?;
            let anchor = StatementId::from_hex(anchor);
            let anchor = anchor.map_err(|e| ParseMirrorsError::Anchor(at, e))?;
            let basis = ListedBasis::Charter { anchor, quorum };
            Mirrored { origin, source: (*source).to_owned(), basis }
        }
        _ => return Err(ParseMirrorsError::Syntax(at)),
    };
    if !is_address(&mirrored.source, &SCHEMES) {
        return Err(ParseMirrorsError::Source(at));
    }
    Ok(Some(mirrored))
}

fn add(one: Mirrored, all: &mut Vec<Mirrored>, at: usize) -> Result<(), ParseMirrorsError> {
    if let ListedBasis::Keys { keys: new, .. } = &one.basis {
        let listed = all.iter().flat_map(|other| match &other.basis {
            ListedBasis::Keys { keys, .. } => keys.as_slice(),
            ListedBasis::Charter { .. } => &[],
        });
        if listed.into_iter().any(|key| new.iter().any(|new| new.public() == key.public())) {
            return Err(ParseMirrorsError::Duplicate(at));
        }
    }
    let Some(before) = all.iter_mut().find(|other| other.origin == one.origin) else {
        if all.len() == MAX_MIRRORED {
            return Err(ParseMirrorsError::TooMany(at));
        }
        all.push(one);
        return Ok(());
    };
    if before.source != one.source {
        return Err(ParseMirrorsError::Twice(at));
    }
    match (&mut before.basis, one.basis) {
        (ListedBasis::Keys { keys, policy }, ListedBasis::Keys { keys: new, policy: own })
            if *policy == own =>
        {
            if keys.len() == MAX_LOG_KEYS {
                return Err(ParseMirrorsError::TooManyKeys(at));
            }
            keys.extend(new);
            Ok(())
        }
        _ => Err(ParseMirrorsError::Twice(at)),
    }
}

/// The list as the node knows it, read again when the file changed.
#[derive(Debug)]
pub struct MirrorList(Listed<Vec<Mirrored>>);

impl MirrorList {
    /// Reads the list; a missing file is an empty list.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn open(dir: &Path) -> Result<MirrorList, ListError> {
        let parse = |text: &str| parse_mirrors(text).map_err(|e| e.to_string());
        Ok(MirrorList(Listed::open(dir.join(MIRROR_FILE), parse)?))
    }

    /// The list as it stands now.
    pub fn now(&self) -> Vec<Mirrored> {
        self.0.now(Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::note::{KeyName, SignerKey};

    use super::*;

    fn vkey(name: &str, algorithm: Algorithm, seed: u8) -> String {
        let name = KeyName::new(name).expect("name");
        SignerKey::from_seed(name, algorithm, [seed; 32]).expect("sound").verifier().to_string()
    }

    #[test]
    fn lists_are_read_strictly_and_name_the_line() {
        let one = vkey("a.example", Algorithm::Ed25519, 1);
        let two = vkey("a.example", Algorithm::Ed25519, 2);
        let anchor = "0".repeat(64);
        let url = "https://a.example/log";
        let text = format!(
            "# copies\nlog {one} {url}\nlog {two} {url}\n\nledger b.example {anchor} grpc://[::1]:1 quorum\n"
        );
        let list = parse_mirrors(&text).expect("a list");
        assert_eq!(list.len(), 2);
        assert!(matches!(&list[0].basis, ListedBasis::Keys { keys, .. } if keys.len() == 2));
        assert!(matches!(&list[1].basis, ListedBasis::Charter { quorum: Quorum::Needed, .. }));
        use ParseMirrorsError as E;
        let cosigner = vkey("w", Algorithm::CosignatureV1, 3);
        for (text, error) in [
            (format!("log {one}\n"), E::Syntax(1)),
            (format!("\nlog {one} {url} policy more\n"), E::Syntax(2)),
            (format!("ledger a.example {anchor} {url} free\n"), E::Syntax(1)),
            (format!("log x {url}\n"), E::Key(1, ParseKeyError::Shape)),
            (format!("log {cosigner} {url}\n"), E::KeyUse(1)),
            (format!("log {one} a.example\n"), E::Source(1)),
            (format!("log {one} {url}\nlog {one} {url}\n"), E::Duplicate(2)),
            (format!("log {one} {url}\nlog {two} {url}/other\n"), E::Twice(2)),
            (format!("log {one} {url}\nlog {two} {url} policy\n"), E::Twice(2)),
            (format!("log {one} {url}\nledger a.example {anchor} {url}\n"), E::Twice(2)),
        ] {
            assert_eq!(parse_mirrors(&text), Err(error), "{text}");
        }
        assert!(matches!(
            parse_mirrors(&format!("ledger a.example 00 {url}\n")),
            Err(E::Anchor(1, _))
        ));
        let many: String =
            (0..=MAX_MIRRORED).map(|n| format!("ledger {n}.example {anchor} {url}\n")).collect();
        assert_eq!(parse_mirrors(&many), Err(E::TooMany(MAX_MIRRORED + 1)));
    }
}
