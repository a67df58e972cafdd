//! The heads that a node has heard of, in SQLite: what it adopted, what is open, what raised the alarm.
//!
//! Losing them loses no promise: they are what makes a fork visible that began before a restart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::gossip::{LogStatus, View};
use ledger_core::merkle::TreeHead;
use rusqlite::{Connection, params};

/// The layout of the table; another number is another program's.
const VERSION: i64 = 1;

/// What a stored head was.
const ADOPTED: i64 = 0;
const OPEN: i64 = 1;
const ALARMING: i64 = 2;
/// Adopted, and cosigned by the own witness: what that cosigned since grew out of it.
const COSIGNED: i64 = 3;

/// Why the heads cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}: {message}")]
pub struct HeadsError {
    path: PathBuf,
    message: String,
}

impl HeadsError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        "check the disk; without this file the node forgets which heads it has heard of, and nothing else"
    }
}

/// The open file.
#[derive(Debug)]
pub struct Heads {
    connection: Connection,
    path: PathBuf,
}

impl Heads {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// [`HeadsError`].
    pub fn open(path: &Path) -> Result<Heads, HeadsError> {
        let failed = |message: String| HeadsError { path: path.to_owned(), message };
        let sql = |error: rusqlite::Error| failed(error.to_string());
        let connection = Connection::open(path).map_err(sql)?;
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
            .map_err(sql)?;
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(sql)?;
        match version {
            0 => make(&connection).map_err(sql)?,
            VERSION => {}
            other => {
                let own = format!("its layout is version {other}, this program's {VERSION}");
                return Err(failed(own));
            }
        }
        Ok(Heads { connection, path: path.to_owned() })
    }

    /// Lets a view hear all that is stored, and gives the adopted heads that the own witness cosigned.
    /// Heads that no known key signed are passed over.
    ///
    /// # Errors
    /// [`HeadsError`].
    pub fn recall(&self, view: &mut View) -> Result<BTreeMap<Origin, TreeHead>, HeadsError> {
        let sql = |error: rusqlite::Error| self.failed(&error);
        let mut cosigned = BTreeMap::new();
        // the adopted head of a log first, so that it is adopted again
        let query = "SELECT note, state FROM heard ORDER BY origin, state IN (1, 2), rowid";
        let mut select = self.connection.prepare(query).map_err(sql)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sql)?;
        for row in rows {
            let (note, state): (String, i64) = row.map_err(sql)?;
            let Ok(head) = ClaimedCheckpoint::parse(note.as_bytes()) else { continue };
            let _ = view.hear(&head);
            let (origin, of) = (head.checkpoint().origin(), head.checkpoint().head());
            match state {
                ALARMING => view.recall_alarm(origin, of),
                COSIGNED => {
                    cosigned.insert(origin.clone(), *of);
                }
                _ => {}
            }
        }
        Ok(cosigned)
    }

    /// Replaces what is stored; `cosigned` is what the own witness cosigned last of each log. Durable
    /// when it returns.
    ///
    /// # Errors
    /// [`HeadsError`].
    pub fn keep(
        &mut self,
        logs: &[LogStatus],
        cosigned: &BTreeMap<Origin, TreeHead>,
    ) -> Result<(), HeadsError> {
        let path = self.path.clone();
        replace(&mut self.connection, logs, cosigned)
            .map_err(|error| HeadsError { path, message: error.to_string() })
    }

    fn failed(&self, error: &rusqlite::Error) -> HeadsError {
        HeadsError { path: self.path.clone(), message: error.to_string() }
    }
}

fn make(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch(&format!(
        "BEGIN;
         CREATE TABLE heard (origin TEXT NOT NULL, note TEXT NOT NULL, state INTEGER NOT NULL) STRICT;
         PRAGMA user_version = {VERSION};
         COMMIT;"
    ))
}

fn replace(
    connection: &mut Connection,
    logs: &[LogStatus],
    cosigned: &BTreeMap<Origin, TreeHead>,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM heard", [])?;
    {
        let mut insert =
            transaction.prepare("INSERT INTO heard (origin, note, state) VALUES (?1, ?2, ?3)")?;
        for log in logs {
            let is_own = |head: &ClaimedCheckpoint| {
                cosigned.get(&log.origin) == Some(head.checkpoint().head())
            };
            let adopted = log.adopted.iter();
            let adopted = adopted.map(|head| (head, if is_own(head) { COSIGNED } else { ADOPTED }));
            let open = log.open.iter().map(|(head, alarm)| match alarm {
                true => (head, ALARMING),
                false => (head, OPEN),
            });
            // heads of a convicted log open nothing: they are heard for their cosignatures
            let convicting = log.convicting.iter().map(|head| (head, OPEN));
            for (head, state) in adopted.chain(open).chain(convicting) {
                insert.execute(params![log.origin.as_str(), head.to_string(), state])?;
            }
        }
    }
    transaction.commit()
}
