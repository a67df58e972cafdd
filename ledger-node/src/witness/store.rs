//! What a witness has cosigned, for ever: one row a log, in SQLite.
//!
//! SQLite and not sled, because here a commit is an `fsync`: a witness that forgot would cosign two
//! histories.

use std::collections::BTreeMap;
use std::path::Path;

use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::merkle::TreeHead;
use ledger_core::witness::origin_hash;
use rusqlite::{Connection, params};

use super::WitnessError;
use crate::sqlite;

/// The layout of the table; another number is another program's.
const VERSION: i64 = 1;

/// The checkpoint that was cosigned last for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCosigned {
    /// The checkpoint with the log's lines that were verified, and no others.
    pub checkpoint: ClaimedCheckpoint,
    /// The time of its cosignatures.
    pub time: u64,
}

/// The latest checkpoints by the hash of their origin.
pub(super) type Latest = BTreeMap<String, LastCosigned>;

/// The open file.
pub(super) struct WitnessStore {
    connection: Connection,
}

impl LastCosigned {
    /// The log's name.
    pub fn origin(&self) -> &Origin {
        self.checkpoint.checkpoint().origin()
    }

    /// Size and root.
    pub fn head(&self) -> &TreeHead {
        self.checkpoint.checkpoint().head()
    }
}

impl WitnessStore {
    /// Opens or makes the file, and reads all of it: a witness holds one note a log.
    pub(super) fn open(path: &Path) -> Result<(WitnessStore, Latest), WitnessError> {
        let failed = |message| WitnessError::Open { path: path.to_owned(), message };
        let connection =
            sqlite::open(path, VERSION, make).map_err(|error| failed(error.to_string()))?;
        let latest = read(&connection).map_err(failed)?;
        Ok((WitnessStore { connection }, latest))
    }

    /// Keeps checkpoints, all or none. Durable when it returns.
    pub(super) fn keep<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a LastCosigned>,
    ) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO cosigned (origin, note, time) VALUES (?1, ?2, ?3)
                 ON CONFLICT (origin) DO UPDATE SET note = excluded.note, time = excluded.time",
            )?;
            for kept in rows {
                let time = i64::try_from(kept.time).unwrap_or(i64::MAX);
                insert.execute(params![
                    kept.origin().as_str(),
                    kept.checkpoint.to_string(),
                    time
                ])?;
            }
        }
        transaction.commit()
    }
}

fn make(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!(
        "BEGIN;
         CREATE TABLE cosigned (
             origin TEXT PRIMARY KEY NOT NULL, note TEXT NOT NULL, time INTEGER NOT NULL
         ) STRICT, WITHOUT ROWID;
         PRAGMA user_version = {VERSION};
         COMMIT;"
    ))
}

fn read(connection: &Connection) -> Result<Latest, String> {
    let failed = |error: rusqlite::Error| error.to_string();
    let mut select =
        connection.prepare("SELECT origin, note, time FROM cosigned").map_err(failed)?;
    let rows =
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(failed)?;
    let mut latest = Latest::new();
    for row in rows {
        let (origin, note, time): (String, String, i64) = row.map_err(failed)?;
        let damaged = || format!("what it holds for \"{origin}\" is damaged");
        let checkpoint = ClaimedCheckpoint::parse(note.as_bytes()).map_err(|_| damaged())?;
        let time = u64::try_from(time).map_err(|_| damaged())?;
        let kept = LastCosigned { checkpoint, time };
        if kept.origin().as_str() != origin {
            return Err(damaged());
        }
        latest.insert(origin_hash(kept.origin()), kept);
    }
    Ok(latest)
}
