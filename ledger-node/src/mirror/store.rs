//! What a mirror has promised and how far its copies have come: one row a log, in SQLite.
//!
//! As for a witness a commit is an `fsync`: a mirror that forgot could cosign two histories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ledger_core::TreeSize;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::hash::Hash;
use ledger_core::merkle::TreeHead;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::MirrorError;
use crate::sqlite;

/// The layout of the table; another number is another program's.
const VERSION: i64 = 1;

/// What is known durably about one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The checkpoint that is cosigned and served, and the time of the cosignatures.
    pub held: Option<(ClaimedCheckpoint, u64)>,
    /// The checkpoint that is being copied: the log signed it, and it grew out of the one before.
    pub pending: Option<ClaimedCheckpoint>,
    /// The beginning of the pending tree whose files are on the disk.
    pub copied: TreeHead,
}

/// The open file.
#[derive(Debug)]
pub struct MirrorStore {
    connection: Connection,
    path: PathBuf,
}

impl Row {
    /// Nothing is copied.
    pub const EMPTY: Row = Row { held: None, pending: None, copied: TreeHead::EMPTY };
}

impl MirrorStore {
    /// Opens or makes the file.
    pub fn open(path: &Path) -> Result<MirrorStore, MirrorError> {
        let connection = sqlite::open(path, VERSION, make)
            .map_err(|error| open_error(path, error.to_string()))?;
        Ok(MirrorStore { connection, path: path.to_owned() })
    }

    /// The row of a log.
    pub fn read(&self, origin: &Origin) -> Result<Row, MirrorError> {
        let damaged =
            || open_error(&self.path, format!("what it holds for \"{origin}\" is damaged"));
        let sql = "SELECT held, time, pending, size, root FROM mirrored WHERE origin = ?1";
        type Columns = (Option<String>, i64, Option<String>, i64, Vec<u8>);
        let found: Option<Columns> = self
            .connection
            .query_row(sql, [origin.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })
            .optional()
            .map_err(|error| open_error(&self.path, error.to_string()))?;
        let Some((held, time, pending, size, root)) = found else { return Ok(Row::EMPTY) };
        let note = |text: Option<String>| {
            let note = text.map(|text| ClaimedCheckpoint::parse(text.as_bytes())).transpose();
            let note = note.ok()?;
            let own = note.as_ref().is_none_or(|note| note.checkpoint().origin() == origin);
            own.then_some(note)
        };
        let (held, pending) = (note(held).ok_or_else(damaged)?, note(pending).ok_or_else(damaged)?);
        let time = u64::try_from(time).map_err(|_| damaged())?;
        let size = u64::try_from(size).ok().and_then(|size| TreeSize::new(size).ok());
        let root = <[u8; Hash::LEN]>::try_from(root).ok().map(Hash::from_bytes);
        let (Some(size), Some(root)) = (size, root) else { return Err(damaged()) };
        let held = held.map(|held| (held, time));
        Ok(Row { held, pending, copied: TreeHead { size, root } })
    }

    /// Keeps a log's row. Durable when it returns.
    pub fn keep(&self, origin: &Origin, row: &Row) -> Result<(), MirrorError> {
        let (held, time) = match &row.held {
            Some((held, time)) => (Some(held.to_string()), *time),
            None => (None, 0),
        };
        let size = i64::try_from(row.copied.size.get()).unwrap_or(i64::MAX);
        let kept = self.connection.execute(
            "INSERT INTO mirrored (origin, held, time, pending, size, root)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (origin) DO UPDATE SET held = excluded.held, time = excluded.time,
                 pending = excluded.pending, size = excluded.size, root = excluded.root",
            params![
                origin.as_str(),
                held,
                i64::try_from(time).unwrap_or(i64::MAX),
                row.pending.as_ref().map(ToString::to_string),
                size,
                row.copied.root.as_bytes().as_slice(),
            ],
        );
        kept.map(|_| ()).map_err(|error| MirrorError::Keep(error.to_string()))
    }

    /// All logs that were ever copied, by name.
    pub fn all(&self) -> Result<BTreeMap<String, Row>, MirrorError> {
        let failed = |error: rusqlite::Error| open_error(&self.path, error.to_string());
        let mut select = self.connection.prepare("SELECT origin FROM mirrored").map_err(failed)?;
        let names = select.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        let mut all = BTreeMap::new();
        for name in names {
            let name = name.map_err(failed)?;
            let origin = Origin::new(&name).map_err(|e| open_error(&self.path, e.to_string()))?;
            let row = self.read(&origin)?;
            all.insert(name, row);
        }
        Ok(all)
    }
}

fn open_error(path: &Path, message: String) -> MirrorError {
    MirrorError::Open { path: path.to_owned(), message }
}

fn make(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!(
        "BEGIN;
         CREATE TABLE mirrored (
             origin TEXT PRIMARY KEY NOT NULL, held TEXT, time INTEGER NOT NULL, pending TEXT,
             size INTEGER NOT NULL, root BLOB NOT NULL
         ) STRICT, WITHOUT ROWID;
         PRAGMA user_version = {VERSION};
         COMMIT;"
    ))
}
