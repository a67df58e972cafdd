//! The derived index: from a record's digests to its place. It answers "is this already logged?"
//! exactly, and may be deleted at any time: it is rebuilt from the entries.
//!
//! A row is a 64-bit prefix of a digest and an index, so that two keys may share it. The entry's own
//! keys decide: those of the entries logged last are in memory, and of some that were read since;
//! for others the caller reads the entry (see [`lookup`](crate::lookup)). New rows gather in memory and go to SQLite many at a time, sorted, so that each
//! page of the table is written once for many rows. A filter answers for the keys of records that
//! are new, which nearly all are.

mod filter;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::thread::JoinHandle;

use ledger_core::hash::Hash;
use ledger_core::record::{EntryError, Envelope, Outline, Record, StatementId};
use rusqlite::{Connection, params};

use self::filter::Filter;

/// Entries that gather in memory before they are written: some megabytes.
const GATHER: usize = 1 << 15;

/// Entries logged last whose keys stay in memory: as many as wait for the sequencer at most, so that
/// it compares records with those that came shortly before without reading them. Some 2 MB.
const RECENT: usize = 1 << 14;

/// Entries that were read whose keys stay in memory: half a megabyte.
const READ: usize = 1 << 12;

/// How many of a shared key's places are looked at: the first is it, unless prefixes collide.
const LATEST: usize = 16;

/// The table's layout; another number means that the index is rebuilt.
const VERSION: i64 = 3;

/// What an entry is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The digest of the record's signed text.
    Statement(StatementId),
    /// The leaf hash.
    Leaf(Hash),
    /// The digest of issuer and id, see
    /// [`Envelope::unique_key`](ledger_core::record::Envelope::unique_key).
    IssuerAndId(Hash),
    /// The digest of issuer and series, see
    /// [`Envelope::series_key`](ledger_core::record::Envelope::series_key): every revision has it.
    Series(Hash),
}

/// The keys of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryKeys {
    /// The record's statement id.
    pub statement: StatementId,
    /// The digest of issuer and id.
    pub issuer_and_id: Hash,
    /// The leaf hash.
    pub leaf: Hash,
    /// The digest of issuer and series, and the revision, of a record that is one of a series.
    pub series: Option<(Hash, u64)>,
}

impl EntryKeys {
    /// Reads the keys out of an entry's bytes.
    ///
    /// # Errors
    /// [`EntryError`] when the bytes are not an entry: no sequencer wrote them.
    pub fn of(entry: &[u8]) -> Result<EntryKeys, EntryError> {
        let (_, record) = ledger_core::record::Entry::split(entry)?;
        let outline = Outline::parse(record)?;
        Ok(EntryKeys::new(outline.statement(), outline.envelope(), Hash::leaf(entry)))
    }

    /// The keys of an entry of which the record is at hand, and the leaf hash.
    pub fn of_record(record: &Record, leaf: Hash) -> EntryKeys {
        EntryKeys::new(record.statement(), record.envelope(), leaf)
    }

    /// Whether this is one of them.
    pub fn has(&self, key: &Key) -> bool {
        match key {
            Key::Statement(id) => self.statement == *id,
            Key::Leaf(hash) => self.leaf == *hash,
            Key::IssuerAndId(hash) => self.issuer_and_id == *hash,
            Key::Series(hash) => self.series.is_some_and(|(series, _)| series == *hash),
        }
    }

    fn new(statement: StatementId, envelope: &Envelope, leaf: Hash) -> EntryKeys {
        let (issuer_and_id, series) = (envelope.unique_key(), revision(envelope));
        EntryKeys { statement, issuer_and_id, leaf, series }
    }

    fn rows(&self) -> impl Iterator<Item = i64> {
        let always = [
            Key::Statement(self.statement).row(),
            Key::IssuerAndId(self.issuer_and_id).row(),
            Key::Leaf(self.leaf).row(),
        ];
        let series = self.series.map(|(key, _)| Key::Series(key).row());
        always.into_iter().chain(series)
    }
}

/// The digest of issuer and series, and the revision, where a record is one of a series.
pub fn revision(envelope: &Envelope) -> Option<(Hash, u64)> {
    envelope.series_key().zip(envelope.series().map(|(_, rev)| rev))
}

impl Key {
    /// The table's key: two bits for the kind, 62 bits of the digest.
    fn row(&self) -> i64 {
        let (kind, hash) = match self {
            Key::Statement(id) => (0, id.as_hash()),
            Key::Leaf(hash) => (1, hash),
            Key::IssuerAndId(hash) => (2, hash),
            Key::Series(hash) => (3, hash),
        };
        let (prefix, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
        (u64::from_be_bytes(*prefix) & !3 | kind) as i64
    }
}

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// SQLite failed.
    #[error("the index failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder cannot be made or cleared.
    #[error("cannot prepare the index's folder: {0}")]
    Folder(#[from] std::io::Error),
    /// The thread that writes it has gone.
    #[error("the index is no longer written")]
    WriterGone,
}

/// The index of one log.
#[derive(Debug)]
pub struct Index {
    gathered: RwLock<Gathered>,
    /// The keys of entries that were read, by their index.
    read: Mutex<HashMap<u64, EntryKeys>>,
    reader: Mutex<Connection>,
    writer: Mutex<IndexWriter>,
}

#[derive(Debug)]
struct Gathered {
    /// How many entries the index has seen.
    size: u64,
    /// All rows, in memory and in the table.
    filter: Filter,
    /// The keys of the entries before `size`, as far as they were added since the index was opened.
    recent: VecDeque<EntryKeys>,
    new: IndexRows,
    /// What the writer is writing; still searched until it is done.
    writing: Option<Arc<IndexRows>>,
}

/// Rows in memory, and the entries that they cover.
#[derive(Debug, Default)]
struct IndexRows {
    places: BTreeSet<(i64, u64)>,
    entries: usize,
    /// The size of the log that these rows complete.
    size: u64,
}

#[derive(Debug)]
struct IndexWriter {
    jobs: Option<SyncSender<Arc<IndexRows>>>,
    done: Receiver<Result<(), rusqlite::Error>>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Index {
    /// Opens the index in `dir`, or makes an empty one. An index that is damaged or of another
    /// version is thrown away.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn open(dir: &Path) -> Result<Index, IndexError> {
        match Index::open_existing(dir) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => tracing::warn!("the index is damaged or outdated: rebuilding it"),
            Err(error) => tracing::warn!(%error, "the index cannot be opened: rebuilding it"),
        }
        Index::delete(dir)?;
        Index::open_existing(dir)?.ok_or(IndexError::WriterGone)
    }

    /// Throws an index away.
    ///
    /// # Errors
    /// [`IndexError::Folder`].
    pub fn delete(dir: &Path) -> Result<(), IndexError> {
        match fs::remove_dir_all(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    fn open_existing(dir: &Path) -> Result<Option<Index>, IndexError> {
        fs::create_dir_all(dir)?;
        let path = dir.join("index.sqlite");
        let writing = connect(&path)?;
        writing.execute_batch(
            "CREATE TABLE IF NOT EXISTS place (key INTEGER NOT NULL, leaf INTEGER NOT NULL,
                 PRIMARY KEY (key, leaf)) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 0),
                 version INTEGER NOT NULL, size INTEGER NOT NULL, sum INTEGER NOT NULL);",
        )?;
        let insert = "INSERT OR IGNORE INTO meta VALUES (0, ?1, 0, ?2)";
        writing.execute(insert, params![VERSION, seal(0, 0)])?;
        let (version, size, sum): (i64, i64, i64) =
            writing.query_row("SELECT version, size, sum FROM meta", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let size = size as u64;
        let mut gathered = Gathered::new();
        if version != VERSION || sum != seal(gathered.read_table(&writing)?, size) {
            return Ok(None);
        }
        let gathered = RwLock::new(Gathered { size, ..gathered });
        let reader = Mutex::new(connect(&path)?);
        let read = Mutex::default();
        Ok(Some(Index { gathered, read, reader, writer: Mutex::new(IndexWriter::start(writing)) }))
    }

    /// Forgets everything, to be caught up from the first entry.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn clear(&self) -> Result<(), IndexError> {
        self.flush()?;
        let mut gathered = self.gathered.write().expect("no panics under this lock");
        let reader = self.reader.lock().expect("no panics under this lock");
        reader.execute("DELETE FROM place", [])?;
        reader.execute("UPDATE meta SET size = 0, sum = ?1", params![seal(0, 0)])?;
        *gathered = Gathered::new();
        self.read().clear();
        Ok(())
    }

    /// How many entries the index has seen: where catching up begins.
    pub fn size(&self) -> u64 {
        self.gathered().size
    }

    /// Adds entries; the first stands at the index's size.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn insert(&self, entries: &[EntryKeys]) -> Result<(), IndexError> {
        let mut gathered = self.gathered.write().expect("no panics under this lock");
        for entry in entries {
            let at = gathered.size;
            for row in entry.rows() {
                gathered.filter.add(row as u64);
                gathered.new.places.insert((row, at));
            }
            if gathered.recent.len() == RECENT {
                gathered.recent.pop_front();
            }
            gathered.recent.push_back(*entry);
            gathered.size += 1;
        }
        gathered.new.entries += entries.len();
        gathered.new.size = gathered.size;
        if gathered.new.entries < GATHER {
            return Ok(());
        }
        drop(gathered);
        self.write_out()
    }

    /// The keys of the entry at an index, if they are in memory.
    pub fn keys(&self, at: u64) -> Option<EntryKeys> {
        let gathered = self.gathered();
        let first = gathered.size.saturating_sub(gathered.recent.len() as u64);
        let recent = at.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        if let Some(keys) = recent.and_then(|place| gathered.recent.get(place)) {
            return Some(*keys);
        }
        drop(gathered);
        self.read().get(&at).copied()
    }

    /// Keeps the keys of an entry that was read, for a while.
    pub fn keep(&self, at: u64, keys: EntryKeys) {
        let mut read = self.read();
        if read.len() >= READ {
            // read again at little cost
            read.clear();
        }
        read.insert(at, keys);
    }

    /// The indices where an entry with this key may stand; the caller compares.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn candidates(&self, key: &Key) -> Result<Vec<u64>, IndexError> {
        let mut found = self.places(key, i64::MAX as usize)?;
        found.reverse();
        Ok(found)
    }

    /// The highest of the indices that [`Index::candidates`] would give, a few of them, the highest
    /// first: for keys that many entries share.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn latest(&self, key: &Key) -> Result<Vec<u64>, IndexError> {
        self.places(key, LATEST)
    }

    /// Where a key's rows lead, the highest index first, and `most` of them.
    fn places(&self, key: &Key, most: usize) -> Result<Vec<u64>, IndexError> {
        let row = key.row();
        let gathered = self.gathered();
        if !gathered.filter.may_hold(row as u64) {
            return Ok(Vec::new());
        }
        let in_memory = [Some(&gathered.new), gathered.writing.as_deref()].into_iter().flatten();
        let places = in_memory
            .flat_map(|rows| rows.places.range((row, 0)..=(row, u64::MAX)).rev().take(most));
        let mut found: Vec<u64> = places.map(|(_, leaf)| *leaf).collect();
        drop(gathered);
        let reader = self.reader.lock().expect("no panics under this lock");
        let select = "SELECT leaf FROM place WHERE key = ?1 ORDER BY leaf DESC LIMIT ?2";
        let mut select = reader.prepare_cached(select)?;
        for leaf in select.query_map(params![row, most as i64], |row| row.get::<_, i64>(0))? {
            found.push(leaf? as u64);
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found.truncate(most);
        Ok(found)
    }

    /// Writes all that has gathered. Without it nothing is lost, only caught up again.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn flush(&self) -> Result<(), IndexError> {
        self.write_out()?;
        self.writer.lock().expect("no panics under this lock").wait()?;
        self.forget_written();
        Ok(())
    }

    fn gathered(&self) -> std::sync::RwLockReadGuard<'_, Gathered> {
        self.gathered.read().expect("no panics under this lock")
    }

    fn read(&self) -> MutexGuard<'_, HashMap<u64, EntryKeys>> {
        self.read.lock().expect("no panics under this lock")
    }

    fn forget_written(&self) {
        self.gathered.write().expect("no panics under this lock").writing = None;
    }

    fn write_out(&self) -> Result<(), IndexError> {
        let mut writer = self.writer.lock().expect("no panics under this lock");
        writer.wait()?;
        let mut gathered = self.gathered.write().expect("no panics under this lock");
        gathered.writing = None;
        if gathered.new.entries == 0 {
            return Ok(());
        }
        let rows = Arc::new(std::mem::take(&mut gathered.new));
        gathered.writing = Some(Arc::clone(&rows));
        drop(gathered);
        writer.send(rows)
    }
}

impl Gathered {
    fn new() -> Gathered {
        let (filter, recent) = (Filter::new(), VecDeque::new());
        Gathered { size: 0, filter, recent, new: IndexRows::default(), writing: None }
    }

    /// Reads every row, and gives the sum that shows when a row has changed on the disk: a lost row
    /// could let a duplicate into the log.
    fn read_table(&mut self, connection: &Connection) -> Result<i64, rusqlite::Error> {
        let mut select = connection.prepare("SELECT key, leaf FROM place")?;
        let mut rows = select.query([])?;
        let mut sum = 0i64;
        while let Some(row) = rows.next()? {
            let key: i64 = row.get(0)?;
            self.filter.add(key as u64);
            sum = sum.wrapping_add(mix(key, row.get(1)?));
        }
        Ok(sum)
    }
}

impl IndexWriter {
    fn start(mut connection: Connection) -> IndexWriter {
        let (jobs, next) = sync_channel::<Arc<IndexRows>>(1);
        let (report, done) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            while let Ok(rows) = next.recv() {
                let written = write_rows(&mut connection, &rows);
                drop(rows);
                if report.send(written).is_err() {
                    return;
                }
            }
        });
        IndexWriter { jobs: Some(jobs), done, busy: false, thread: Some(thread) }
    }

    fn send(&mut self, rows: Arc<IndexRows>) -> Result<(), IndexError> {
        let jobs = self.jobs.as_ref().ok_or(IndexError::WriterGone)?;
        jobs.send(rows).map_err(|_| IndexError::WriterGone)?;
        self.busy = true;
        Ok(())
    }

    fn wait(&mut self) -> Result<(), IndexError> {
        if !std::mem::take(&mut self.busy) {
            return Ok(());
        }
        self.done.recv().map_err(|_| IndexError::WriterGone)??;
        Ok(())
    }
}

impl Drop for IndexWriter {
    fn drop(&mut self) {
        self.jobs = None;
        while self.done.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    // what a power cut takes is caught up from the entries, but the file must stay whole
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32768;
         PRAGMA mmap_size = 1073741824;",
    )?;
    Ok(connection)
}

fn write_rows(connection: &mut Connection, rows: &IndexRows) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    let select = "SELECT sum, size FROM meta";
    let (sealed, size): (i64, i64) =
        transaction.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut sum = unseal(sealed, size as u64);
    {
        let mut insert = transaction.prepare_cached("INSERT INTO place VALUES (?1, ?2)")?;
        for (key, leaf) in &rows.places {
            insert.execute(params![key, *leaf as i64])?;
            sum = sum.wrapping_add(mix(*key, *leaf as i64));
        }
    }
    let update = "UPDATE meta SET size = ?1, sum = ?2";
    transaction.execute(update, params![rows.size as i64, seal(sum, rows.size)])?;
    transaction.commit()
}

/// What is stored of the sum: a changed size must show too, for entries below it are not read
/// again.
fn seal(sum: i64, size: u64) -> i64 {
    sum.wrapping_add(mix(0, size as i64))
}

fn unseal(sealed: i64, size: u64) -> i64 {
    sealed.wrapping_sub(mix(0, size as i64))
}

/// Spreads every bit of a row over 64 bits (the finalizer of SplitMix64, twice).
fn mix(key: i64, leaf: i64) -> i64 {
    let spread = |mut x: u64| {
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    };
    let leaf = spread((leaf as u64).wrapping_add(0x9e37_79b9_7f4a_7c15));
    spread(key as u64 ^ leaf) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(i: u64) -> EntryKeys {
        let hash = |kind: u8| Hash::digest(&[&[kind], i.to_be_bytes().as_slice()].concat());
        EntryKeys {
            statement: StatementId::from_hash(hash(0)),
            issuer_and_id: hash(1),
            leaf: hash(2),
            series: i.is_multiple_of(3).then(|| (hash(3), i)),
        }
    }

    fn finds(index: &Index, i: u64) -> bool {
        let own = keys(i);
        let all = [
            Key::Statement(own.statement),
            Key::IssuerAndId(own.issuer_and_id),
            Key::Leaf(own.leaf),
            own.series.map_or(Key::Leaf(own.leaf), |(key, _)| Key::Series(key)),
        ];
        let found = all.map(|key| index.candidates(&key).expect("healthy") == [i]);
        assert_eq!(found, [found[0]; 4], "an entry is found by all its keys or by none");
        found[0]
    }

    #[test]
    fn entries_are_found_while_gathered_being_written_and_after_reopening() {
        let dir = tempfile::tempdir().expect("dir");
        let index = Index::open(dir.path()).expect("new");
        let total = GATHER as u64 * 2 + 100;
        for first in (0..total).step_by(1000) {
            let batch: Vec<_> = (first..(first + 1000).min(total)).map(keys).collect();
            index.insert(&batch).expect("healthy");
            assert!(finds(&index, first));
        }
        assert!((0..total).step_by(997).all(|i| finds(&index, i)));
        assert!(!finds(&index, total));
        index.flush().expect("healthy");
        drop(index);
        let index = Index::open(dir.path()).expect("own");
        assert_eq!(index.size(), total);
        assert!((0..total).step_by(997).all(|i| finds(&index, i)));
    }

    #[test]
    fn what_was_not_written_is_caught_up_not_lost() {
        let dir = tempfile::tempdir().expect("dir");
        let index = Index::open(dir.path()).expect("new");
        index.insert(&[keys(0), keys(1)]).expect("healthy");
        index.flush().expect("healthy");
        index.insert(&[keys(2)]).expect("healthy");
        drop(index);
        let index = Index::open(dir.path()).expect("own");
        assert_eq!(index.size(), 2);
        assert!(finds(&index, 1));
        assert!(!finds(&index, 2));
    }

    #[test]
    fn a_damaged_index_is_thrown_away() {
        let dir = tempfile::tempdir().expect("dir");
        let index = Index::open(dir.path()).expect("new");
        let batch: Vec<_> = (0..500).map(keys).collect();
        index.insert(&batch).expect("healthy");
        index.flush().expect("healthy");
        drop(index);
        let path = dir.path().join("index.sqlite");
        let whole = fs::read(&path).expect("file");
        for at in (0..whole.len()).step_by(701) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).expect("write");
            let index = Index::open(dir.path()).expect("rebuilt if need be");
            // a flipped bit in a page's unused space is no damage
            assert!(index.size() == 0 || (0..500).all(|i| finds(&index, i)), "byte {at}");
            drop(index);
            Index::delete(dir.path()).expect("delete");
            fs::create_dir(dir.path()).expect("dir");
        }
    }
}
