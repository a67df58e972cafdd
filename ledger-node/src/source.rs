//! Reading any C2SP tlog-tiles log, from a directory or from an HTTP prefix.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use ledger_core::hash::Hash;
use ledger_core::note::MAX_NOTE_BYTES;
use ledger_core::tile::{MAX_BUNDLE_BYTES, TILE_WIDTH, TileCoord, TileKind, TileSource};

use crate::transport::Dialer;

/// How long one file may take over HTTP.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where a log's files are.
#[derive(Debug, Clone)]
pub enum Source {
    /// A directory.
    Folder(PathBuf),
    /// An HTTP prefix, without its final slash.
    Http {
        /// The prefix.
        prefix: String,
        /// Keeps connections alive.
        agent: ureq::Agent,
    },
}

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such file.
    Missing,
    /// It is longer than any such file can be.
    TooLong(usize),
    /// The disk or the network; says why.
    Failed(String),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Missing => f.write_str("is missing"),
            ReadError::TooLong(limit) => write!(f, "is longer than {limit} bytes"),
            ReadError::Failed(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

/// There is neither a URL nor a directory of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no directory {0}")]
pub struct NoSource(String);

impl NoSource {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "SOURCE is a directory, or a URL that begins with http:// or https://"
    }
}

impl Source {
    /// Takes a URL or a directory; of a node's directory its `site`.
    ///
    /// # Errors
    /// [`NoSource`] when there is no such directory.
    pub fn open(text: &str) -> Result<Source, NoSource> {
        Source::open_by(&Dialer::default(), text)
    }

    /// As [`Source::open`], by another way to reach a server.
    ///
    /// # Errors
    /// [`NoSource`] when there is no such directory.
    pub fn open_by(dialer: &Dialer, text: &str) -> Result<Source, NoSource> {
        Source::open_within(dialer, text, TIMEOUT)
    }

    /// As [`Source::open_by`], with another limit to how long one file may take over HTTP.
    ///
    /// # Errors
    /// [`NoSource`] when there is no such directory.
    pub fn open_within(dialer: &Dialer, text: &str, timeout: Duration) -> Result<Source, NoSource> {
        if text.starts_with("http://") || text.starts_with("https://") {
            // who is audited is for the user to say, not for a server or a proxy on the way
            let agent = dialer.http_client(timeout);
            let prefix = text.trim_end_matches('/').to_owned();
            return Ok(Source::Http { prefix, agent });
        }
        let folder = PathBuf::from(text);
        let site = folder.join("site");
        let has = |folder: &PathBuf| folder.join("checkpoint").exists();
        if !has(&folder) && has(&site) {
            return Ok(Source::Folder(site));
        }
        if !folder.is_dir() {
            return Err(NoSource(text.to_owned()));
        }
        Ok(Source::Folder(folder))
    }

    /// The latest checkpoint, unverified.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn checkpoint(&self) -> Result<Vec<u8>, ReadError> {
        self.read("checkpoint", MAX_NOTE_BYTES)
    }

    /// A tile or bundle. Where a partial one is gone, the full one stands in, cut to size.
    ///
    /// # Errors
    /// [`ReadError`].
    // SPEC tlog-tiles/partial-tiles: a partial tile may be gone once its full tile exists
    pub fn tile(&self, coord: TileCoord) -> Result<Vec<u8>, ReadError> {
        let read = |coord: TileCoord| self.read(&coord.to_string(), limit(coord));
        match read(coord) {
            Err(ReadError::Missing) if !coord.is_full() => {
                let mut bytes = read(coord.to_full())?;
                let width = usize::from(coord.width());
                let end = match coord.kind() {
                    TileKind::Hashes(_) => width * Hash::LEN,
                    TileKind::Entries => {
                        split_bundle(&bytes, width).0.last().map_or(0, |(_, end)| *end)
                    }
                };
                bytes.truncate(end);
                Ok(bytes)
            }
            other => other,
        }
    }

    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
        match self {
            Source::Folder(folder) => read_file(&folder.join(path), limit),
            Source::Http { prefix, agent } => get(agent, &format!("{prefix}/{path}"), limit),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Folder(folder) => folder.display().fmt(f),
            Source::Http { prefix, .. } => prefix.fmt(f),
        }
    }
}

impl TileSource for &Source {
    type Error = ReadError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, ReadError> {
        self.tile(coord)
    }
}

/// Where the entries lie in a bundle, as far as it can be read, and whether that is all of it.
pub fn split_bundle(bytes: &[u8], width: usize) -> (Vec<(usize, usize)>, bool) {
    let mut spans = Vec::with_capacity(width);
    let mut at = 0;
    while spans.len() < width {
        let Some(prefix) = bytes.get(at..at + 2) else { return (spans, false) };
        let start = at + 2;
        let end = start + usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
        if end > bytes.len() {
            return (spans, false);
        }
        spans.push((start, end));
        at = end;
    }
    (spans, at == bytes.len())
}

fn limit(coord: TileCoord) -> usize {
    match coord.kind() {
        TileKind::Hashes(_) => usize::from(TILE_WIDTH) * Hash::LEN,
        TileKind::Entries => MAX_BUNDLE_BYTES,
    }
}

fn read_file(path: &std::path::Path, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() > limit => Err(ReadError::TooLong(limit)),
        Ok(_) => Ok(bytes),
        // a partial tile's folder may be a file's name elsewhere in the path
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound) => Err(ReadError::Missing),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotADirectory) => Err(ReadError::Missing),
        Err(e) => Err(ReadError::Failed(e.to_string())),
    }
}

fn get(agent: &ureq::Agent, url: &str, limit: usize) -> Result<Vec<u8>, ReadError> {
    let answer = agent.get(url).call().map_err(|e| {
        ReadError::Failed(match e {
            ureq::Error::Protocol(e) => {
                format!("{e}; is this the gRPC address? files are read at the HTTP address. If the node has TLS, say https://")
            }
            e => e.to_string(),
        })
    })?;
    let status = answer.status().as_u16();
    match status {
        200 => {}
        404 | 410 => return Err(ReadError::Missing),
        300..400 => {
            let to = answer.headers().get("location").and_then(|to| to.to_str().ok());
            let to = to.unwrap_or("nowhere").escape_debug();
            let why = format!("the server redirects to {to}: name that address if you trust it");
            return Err(ReadError::Failed(why));
        }
        other => return Err(ReadError::Failed(format!("the server answered {other}"))),
    }
    let mut body = answer.into_body();
    // the limit counts unpacked bytes, so that a small answer cannot fill the memory
    let read = body.with_config().limit(limit as u64).read_to_vec();
    read.map_err(|e| match e {
        ureq::Error::BodyExceedsLimit(_) => ReadError::TooLong(limit),
        e => ReadError::Failed(e.to_string()),
    })
}

impl std::error::Error for ReadError {}
