//! Opening the node's SQLite files.

use std::path::Path;

use rusqlite::Connection;

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// SQLite or the disk.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Another version of the program made the file.
    #[error("its layout is version {found}, this program's {own}")]
    Version {
        /// The version of the file.
        found: i64,
        /// The version that this program reads and writes.
        own: i64,
    },
}

/// Opens a file of layout `version`; `make` writes the tables and the version of a new one.
///
/// A commit returns when it is on the disk (`synchronous = FULL`).
///
/// # Errors
/// [`OpenError`].
pub fn open(
    path: &Path,
    version: i64,
    make: fn(&Connection) -> Result<(), rusqlite::Error>,
) -> Result<Connection, OpenError> {
    let connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    match connection.query_row("PRAGMA user_version", [], |row| row.get(0))? {
        0 => make(&connection)?,
        found if found == version => {}
        found => return Err(OpenError::Version { found, own: version }),
    }
    Ok(connection)
}
