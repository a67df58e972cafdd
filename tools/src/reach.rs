//! How this program connects to nodes, logs and mirrors, and which certificates it trusts.

use std::path::Path;
use std::sync::OnceLock;

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::index::TreeSize;
use ledger_core::tile::TileReader;
use ledger_node::source::{NoSource, Source};
use ledger_node::transport::{Dialer, read_authorities};

use crate::failure::Failure;

/// Set once, from the command line: one run trusts the same authorities for every connection.
static DIALER: OnceLock<Dialer> = OnceLock::new();

/// Trusts the authorities in a file, in addition to the web's.
///
/// # Errors
/// [`Failure`] when the file cannot be read, or holds no certificates.
pub fn believe(ca: &Path) -> Result<(), Failure> {
    let read = read_authorities(ca);
    let found = read.map_err(Failure::failed_by)?;
    let _ = DIALER.set(Dialer::believing(found));
    Ok(())
}

/// The dialer for all connections of this run.
pub fn dialer() -> &'static Dialer {
    DIALER.get_or_init(Dialer::default)
}

/// Reads the nodes of a log's tree up to a size. A source that has grown past that size holds only
/// the partial tiles of its latest size.
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
