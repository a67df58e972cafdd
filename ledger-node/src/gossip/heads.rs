//! The heads that a node has heard of, in SQLite: what it adopted, what is open, what raised the
//! alarm.
//!
//! Losing them loses no promise: they are what makes a fork visible that began before a restart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ledger_core::Hint;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::gossip::{HeadSource, LogStatus, MAX_OPEN, View};
use ledger_core::hash::Hash;
use ledger_core::merkle::TreeHead;
use rusqlite::{Connection, params};

use crate::sqlite;

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

impl Hint for HeadsError {
    fn hint(&self) -> &'static str {
        "check the disk; without this file the node forgets which heads it has heard of, and nothing else"
    }
}

/// The open file.
#[derive(Debug)]
pub struct Heads {
    connection: Connection,
    path: PathBuf,
    /// A digest of what is stored of each log that was kept since the file was opened: what has not
    /// changed is not written again.
    kept: BTreeMap<Origin, Hash>,
}

/// What is stored of one log: notes, each with what it was.
type HeadRows = Vec<(String, i64)>;

impl Heads {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// [`HeadsError`].
    pub fn open(path: &Path) -> Result<Heads, HeadsError> {
        let failed = |error: sqlite::OpenError| HeadsError {
            path: path.to_owned(),
            message: error.to_string(),
        };
        let connection = sqlite::open(path, VERSION, make).map_err(failed)?;
        Ok(Heads { connection, path: path.to_owned(), kept: BTreeMap::new() })
    }

    /// Lets a view hear all that is stored, and gives the adopted heads that the own witness
    /// cosigned. Heads that no known key signed are passed over.
    ///
    /// # Errors
    /// [`HeadsError`].
    pub fn recall(&self, view: &mut View) -> Result<BTreeMap<Origin, TreeHead>, HeadsError> {
        let sql = |error: rusqlite::Error| self.failed(&error);
        let mut cosigned = BTreeMap::new();
        let mut heard: BTreeMap<Origin, usize> = BTreeMap::new();
        // the adopted head of a log first, so that it is adopted again
        let query = "SELECT note, state FROM heard ORDER BY origin, state IN (1, 2), rowid";
        let mut select = self.connection.prepare(query).map_err(sql)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sql)?;
        for row in rows {
            let (note, state): (String, i64) = row.map_err(sql)?;
            let Ok(head) = ClaimedCheckpoint::parse(note.as_bytes()) else { continue };
            let (origin, of) = (head.checkpoint().origin(), head.checkpoint().head());
            // all that had a place has one again
            let number = heard.entry(origin.clone()).or_default();
            let tellers = [HeadSource::Fetched, HeadSource::Pushed, HeadSource::OwnWitness];
            let from = tellers[(*number / MAX_OPEN).min(tellers.len() - 1)];
            *number += usize::from(state != ADOPTED && state != COSIGNED);
            let _ = view.observe(&head, from);
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

    /// Replaces what is stored of logs that changed, and forgets those that are not among these;
    /// `cosigned` is what the own witness cosigned last of each log. Durable when it returns.
    ///
    /// # Errors
    /// [`HeadsError`].
    pub fn keep(
        &mut self,
        logs: &[LogStatus],
        cosigned: &BTreeMap<Origin, TreeHead>,
    ) -> Result<(), HeadsError> {
        let rows = logs.iter().map(|log| (&log.origin, rows(log, cosigned.get(&log.origin))));
        let rows: BTreeMap<&Origin, HeadRows> = rows.collect();
        let digests = rows.iter().map(|(origin, rows)| ((*origin).clone(), digest(rows)));
        let digests: BTreeMap<Origin, Hash> = digests.collect();
        if digests == self.kept {
            return Ok(());
        }
        let changed = rows.into_iter().filter(|own| self.kept.get(own.0) != digests.get(own.0));
        let changed: Vec<(&Origin, HeadRows)> = changed.collect();
        let path = self.path.clone();
        replace(&mut self.connection, &changed, &digests)
            .map_err(|error| HeadsError { path, message: error.to_string() })?;
        self.kept = digests;
        Ok(())
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

/// What is to be stored of a log.
fn rows(log: &LogStatus, cosigned: Option<&TreeHead>) -> HeadRows {
    let is_own = |head: &ClaimedCheckpoint| cosigned == Some(head.checkpoint().head());
    let adopted = log.adopted.iter();
    let adopted = adopted.map(|head| (head, if is_own(head) { COSIGNED } else { ADOPTED }));
    let open = log.open.iter().map(|(head, alarm)| match alarm {
        true => (head, ALARMING),
        false => (head, OPEN),
    });
    // heads of a convicted log open nothing: they are heard for their cosignatures
    let convicting = log.convicting.iter().map(|head| (head, OPEN));
    let all = adopted.chain(open).chain(convicting);
    all.map(|(head, state)| (head.to_string(), state)).collect()
}

fn digest(rows: &HeadRows) -> Hash {
    let line = |(note, state): &(String, i64)| format!("{state} {}\n{note}", note.len());
    Hash::digest(rows.iter().map(line).collect::<String>().as_bytes())
}

fn replace(
    connection: &mut Connection,
    changed: &[(&Origin, HeadRows)],
    all: &BTreeMap<Origin, Hash>,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    {
        let mut known = transaction.prepare("SELECT DISTINCT origin FROM heard")?;
        let known: Result<Vec<String>, _> = known.query_map([], |row| row.get(0))?.collect();
        let mut delete = transaction.prepare("DELETE FROM heard WHERE origin = ?1")?;
        let is_gone = |own: &String| all.keys().all(|origin| origin.as_str() != own);
        for gone in known?.iter().filter(|own| is_gone(own)) {
            delete.execute(params![gone])?;
        }
        let mut insert =
            transaction.prepare("INSERT INTO heard (origin, note, state) VALUES (?1, ?2, ?3)")?;
        for (origin, rows) in changed {
            delete.execute(params![origin.as_str()])?;
            for (note, state) in rows {
                insert.execute(params![origin.as_str(), note, state])?;
            }
        }
    }
    transaction.commit()
}
