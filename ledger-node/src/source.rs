//! Reading any C2SP tlog-tiles log, from a directory or from an HTTP prefix.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger_core::Hint;
use ledger_core::hash::Hash;
use ledger_core::note::MAX_NOTE_BYTES;
use ledger_core::tile::{
    EntryBundle, MAX_BUNDLE_BYTES, TILE_WIDTH, TileCoord, TileKind, TileSource,
};

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
pub enum SourceError {
    /// There is no such file.
    Missing,
    /// It is longer than any such file can be.
    TooLong(usize),
    /// There is something else in its place, such as a folder, a named pipe or a torn bundle; says
    /// what it is.
    NotAFile(String),
    /// The disk or the network; says why.
    Failed(String),
}

/// A tile's file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileFile {
    /// Which file it is: the tile's own, or the full one where the partial one has gone.
    pub coord: TileCoord,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Whether a symbolic link may stand in a file's place. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    /// An operator may publish a checkpoint by switching a link.
    Followed,
    /// No node writes links among its tiles.
    Refused,
}

impl std::fmt::Display for SourceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SourceError::Missing => f.write_str("is missing"),
            SourceError::TooLong(limit) => write!(f, "is longer than {limit} bytes"),
            SourceError::NotAFile(what) => write!(f, "is {what}"),
            SourceError::Failed(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

/// There is neither a URL nor a directory of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no directory {0}")]
pub struct NoSource(String);

impl Hint for NoSource {
    fn hint(&self) -> &'static str {
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
    /// [`SourceError`].
    pub fn checkpoint(&self) -> Result<Vec<u8>, SourceError> {
        self.read("checkpoint", MAX_NOTE_BYTES, Links::Followed)
    }

    /// A tile or bundle. Where a partial one is gone, the full one stands in, cut to size; a full
    /// bundle that is torn gives nothing.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn tile(&self, coord: TileCoord) -> Result<Vec<u8>, SourceError> {
        let TileFile { coord: found, mut bytes } = self.file(coord)?;
        if found == coord {
            return Ok(bytes);
        }
        match coord.kind() {
            TileKind::Hashes(_) => bytes.truncate(usize::from(coord.width()) * Hash::LEN),
            TileKind::Entries => {
                let whole = EntryBundle::parse(found, bytes);
                let whole = whole.map_err(|e| SourceError::NotAFile(format!("torn: {e}")))?;
                bytes = whole.cut(coord.width()).into_bytes();
            }
        }
        Ok(bytes)
    }

    /// The file of a tile or bundle or, where a partial one is gone, that of the full one.
    ///
    /// # Errors
    /// [`SourceError`].
    // SPEC tlog-tiles/partial-tiles: a partial tile may be gone once its full tile exists
    pub fn file(&self, coord: TileCoord) -> Result<TileFile, SourceError> {
        let read = |coord: TileCoord| {
            let bytes = self.read(&coord.to_string(), limit(coord), Links::Refused)?;
            Ok(TileFile { coord, bytes })
        };
        match read(coord) {
            Err(SourceError::Missing) if !coord.is_full() => read(coord.to_full()),
            other => other,
        }
    }

    fn read(&self, path: &str, limit: usize, links: Links) -> Result<Vec<u8>, SourceError> {
        match self {
            Source::Folder(folder) => read_file(&folder.join(path), limit, links),
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
    type Error = SourceError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, SourceError> {
        self.tile(coord)
    }
}

fn limit(coord: TileCoord) -> usize {
    match coord.kind() {
        TileKind::Hashes(_) => usize::from(TILE_WIDTH) * Hash::LEN,
        TileKind::Entries => MAX_BUNDLE_BYTES,
    }
}

/// Reads a regular file, or what a symbolic link to one leads to, of at most `limit` bytes.
/// Anything else is named at once: a named pipe would keep the reader waiting.
///
/// # Errors
/// [`SourceError`].
pub fn read_regular(path: &Path, limit: usize) -> Result<Vec<u8>, SourceError> {
    read_file(path, limit, Links::Followed)
}

fn read_file(path: &Path, limit: usize, links: Links) -> Result<Vec<u8>, SourceError> {
    let read = || -> std::io::Result<Result<Vec<u8>, SourceError>> {
        let file = open(path, links)?;
        if !file.metadata()?.is_file() {
            return Ok(Err(SourceError::NotAFile("no regular file".to_owned())));
        }
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok(if bytes.len() > limit { Err(SourceError::TooLong(limit)) } else { Ok(bytes) })
    };
    read().unwrap_or_else(|error| Err(not_read(&error)))
}

#[cfg(unix)]
fn open(path: &Path, links: Links) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let no_follow = if links == Links::Refused { libc::O_NOFOLLOW } else { 0 };
    // without O_NONBLOCK, opening a named pipe waits for its writer
    File::options().read(true).custom_flags(libc::O_NONBLOCK | no_follow).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path, _: Links) -> std::io::Result<File> {
    File::open(path)
}

/// What a failed read says about the file: that it is missing or another thing, or nothing.
fn not_read(error: &std::io::Error) -> SourceError {
    #[cfg(unix)]
    match error.raw_os_error() {
        Some(libc::ELOOP) => {
            return SourceError::NotAFile("a symbolic link, which leads to no tile".to_owned());
        }
        // a socket cannot be opened
        Some(libc::ENXIO) => return SourceError::NotAFile("no regular file".to_owned()),
        _ => {}
    }
    match error.kind() {
        // a partial tile's folder may be a file's name elsewhere in the path
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => SourceError::Missing,
        _ => SourceError::Failed(error.to_string()),
    }
}

fn get(agent: &ureq::Agent, url: &str, limit: usize) -> Result<Vec<u8>, SourceError> {
    let answer = agent.get(url).call().map_err(|e| {
        SourceError::Failed(match e {
            ureq::Error::Protocol(e) => {
                format!("{e}; is this the gRPC address? files are read at the HTTP address. If the node has TLS, say https://")
            }
            e => e.to_string(),
        })
    })?;
    let status = answer.status().as_u16();
    match status {
        200 => {}
        404 | 410 => return Err(SourceError::Missing),
        300..400 => {
            let to = answer.headers().get("location").and_then(|to| to.to_str().ok());
            let to = to.unwrap_or("nowhere").escape_debug();
            let why = format!("the server redirects to {to}: name that address if you trust it");
            return Err(SourceError::Failed(why));
        }
        other => return Err(SourceError::Failed(format!("the server answered {other}"))),
    }
    let mut body = answer.into_body();
    // the limit counts unpacked bytes, so that a small answer cannot fill the memory
    let read = body.with_config().limit(limit as u64).read_to_vec();
    read.map_err(|e| match e {
        ureq::Error::BodyExceedsLimit(_) => SourceError::TooLong(limit),
        e => SourceError::Failed(e.to_string()),
    })
}

impl std::error::Error for SourceError {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use ledger_core::tile::append_entry;

    use super::*;

    fn coord(path: &str) -> TileCoord {
        path.parse().expect("a path")
    }

    /// A folder with these files, as a source.
    fn source(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Source) {
        let dir = tempfile::tempdir().expect("a folder");
        for (path, bytes) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("below")).expect("made");
            std::fs::write(path, bytes).expect("written");
        }
        let source = Source::Folder(dir.path().to_owned());
        (dir, source)
    }

    #[test]
    fn only_regular_files_are_tiles() {
        let (dir, source) = source(&[("checkpoint", b"note"), ("tile/0/000", b"hash")]);
        let no_file = Err(SourceError::NotAFile("no regular file".to_owned()));
        std::fs::create_dir(dir.path().join("tile/0/001")).expect("made");
        assert_eq!(source.tile(coord("tile/0/001")), no_file);
        let pipe = dir.path().join("tile/0/002");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        assert_eq!(source.tile(coord("tile/0/002")), no_file);
        let socket = dir.path().join("tile/0/003");
        let _socket = std::os::unix::net::UnixListener::bind(socket).expect("bound");
        assert_eq!(source.tile(coord("tile/0/003")), no_file);
        symlink("004", dir.path().join("tile/0/004")).expect("made");
        symlink("000", dir.path().join("tile/0/005")).expect("made");
        for link in ["tile/0/004", "tile/0/005"] {
            let read = source.tile(coord(link));
            assert!(matches!(&read, Err(SourceError::NotAFile(_))), "{link}: {read:?}");
        }
        symlink("tile/0/000", dir.path().join("new")).expect("made");
        std::fs::rename(dir.path().join("new"), dir.path().join("checkpoint")).expect("renamed");
        assert_eq!(source.checkpoint(), Ok(b"hash".to_vec()));
        assert_eq!(source.tile(coord("tile/0/006")), Err(SourceError::Missing));
    }

    #[test]
    fn a_torn_full_bundle_stands_in_for_no_partial_one() {
        let mut full = Vec::new();
        for i in 0..=255 {
            append_entry(&mut full, &[i]).expect("short");
        }
        let (dir, source) = source(&[("tile/entries/000", &full)]);
        let three = coord("tile/entries/000.p/3");
        assert_eq!(source.tile(three), Ok(full[..9].to_vec()));
        for end in [0, 9, 12, full.len() - 1] {
            std::fs::write(dir.path().join("tile/entries/000"), &full[..end]).expect("written");
            let read = source.tile(three);
            assert!(matches!(&read, Err(SourceError::NotAFile(_))), "{end}: {read:?}");
        }
    }
}
