//! Stored files as they are handed to callers: in parts, so that a slow caller holds one part.

use ledger_core::hash::Hash;
use ledger_core::tile::{TileCoord, TileKind};

use super::{LogReader, ReadError, read_part};

/// Bytes that are read at once for one caller: most tiles are whole in them.
const PART: usize = 64 << 10;

/// A tile or bundle that a caller gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedFile {
    coord: TileCoord,
    len: u64,
}

impl ServedFile {
    /// How many bytes it has: those of the file, or of the beginning of a full one that the partial
    /// tile is.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl LogReader {
    /// A tile or bundle and its first bytes, if it exists. Where a partial one has given way to the
    /// full one, it is cut out of that.
    ///
    /// # Errors
    /// [`ReadError`].
    // SPEC tlog-tiles/partial-tiles: partial tiles may go once the full one is there
    pub fn open(&self, coord: TileCoord) -> Result<Option<(ServedFile, Vec<u8>)>, ReadError> {
        if let Some(part) = self.store.part(coord, 0, PART)? {
            return Ok(Some((ServedFile { coord, len: part.file_len }, part.bytes)));
        }
        if coord.is_full() || self.store.part(coord.to_full(), 0, 0)?.is_none() {
            return Ok(None);
        }
        let width = usize::from(coord.width());
        let len = match coord.kind() {
            TileKind::Hashes(_) => (width * Hash::LEN) as u64,
            TileKind::Entries => {
                let last = self.spans.of(self.store.as_ref(), coord, width - 1..width)?;
                last.first().map_or(0, |span| span.end)
            }
        };
        let file = ServedFile { coord, len };
        let first = self.read_on(&file, 0)?;
        Ok(Some((file, first)))
    }

    /// The bytes of a file from an offset on: some, unless it ends there.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] where the file is shorter than it was; [`ReadError::Missing`] and
    /// [`ReadError::Store`].
    pub fn read_on(&self, file: &ServedFile, from: u64) -> Result<Vec<u8>, ReadError> {
        let rest = usize::try_from(file.len.saturating_sub(from)).unwrap_or(usize::MAX);
        let wanted = rest.min(PART);
        let part = read_part(self.store.as_ref(), file.coord, from, wanted)?;
        if part.bytes.len() == wanted {
            Ok(part.bytes)
        } else {
            Err(ReadError::Damaged(file.coord))
        }
    }
}
