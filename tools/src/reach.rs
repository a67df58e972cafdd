//! How this program reaches nodes, logs and mirrors, and whose certificates it believes there.

use std::path::Path;
use std::sync::OnceLock;

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::index::TreeSize;
use ledger_core::tile::TileReader;
use ledger_node::source::{NoSource, Source};
use ledger_node::transport::{Dialer, read_authorities};

use crate::failure::Failure;

/// Set once, where the command line is read: one run of the program believes the same authorities
/// wherever it asks.
static DIALER: OnceLock<Dialer> = OnceLock::new();

/// Believes the authorities of a file too, beside the web's.
///
/// # Errors
/// [`Failure`] when the file cannot be read, or holds no certificates.
pub fn believe(ca: &Path) -> Result<(), Failure> {
    let read = read_authorities(ca);
    let found = read.map_err(|e| Failure::environment(e.to_string(), e.hint()))?;
    let _ = DIALER.set(Dialer::believing(found));
    Ok(())
}

/// The way to everybody.
pub fn dialer() -> &'static Dialer {
    DIALER.get_or_init(Dialer::default)
}

/// The nodes of a log's tree up to a size. The source may have grown past it: then it holds the
/// partial tiles of its own size only.
pub fn nodes(source: &Source, size: TreeSize) -> TileReader<&Source> {
    let latest = source.checkpoint().ok().and_then(|bytes| ClaimedCheckpoint::parse(&bytes).ok());
    let latest = latest.map_or(size, |latest| latest.checkpoint().head().size);
    TileReader::new(source, latest.max(size))
}

/// A log's files, at a URL or in a directory.
///
/// # Errors
/// [`NoSource`] when there is no such directory.
pub fn source(text: &str) -> Result<Source, NoSource> {
    Source::open_by(dialer(), text)
}
