//! Entries: the log's own line, then the record, byte for byte.

use std::fmt;

use crate::hash::Hash;
use crate::index::{LeafIndex, parse_decimal};

use super::{EntryError, MAX_ENTRY_BYTES, Record};

const START: &str = "logged ";

/// The longest line: two numbers of 20 digits at most.
const MAX_LINE_BYTES: usize = START.len() + 20 + 1 + 20 + 1;

/// What the log says about a record: when it came, and which entry holds the authority for it.
///
/// Its text form is `logged <time> <index>` and a newline, in strict decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Logged {
    /// The log's own time, in POSIX seconds, never smaller than in the entry before.
    pub time: u64,
    /// The index of the latest governance entry before this one; 0 for entry 0.
    pub governance: LeafIndex,
}

/// What the log stores at one position, and what its leaf hash covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    logged: Logged,
    record: Record,
}

impl Logged {
    /// Reads exactly one line, with its newline.
    ///
    /// # Errors
    /// [`EntryError::Logged`] for any other text.
    pub fn parse(line: &str) -> Result<Logged, EntryError> {
        Logged::parse_line(line).ok_or(EntryError::Logged)
    }

    fn parse_line(line: &str) -> Option<Logged> {
        let rest = line.strip_prefix(START)?.strip_suffix('\n')?;
        let (time, governance) = rest.split_once(' ')?;
        Some(Logged {
            time: parse_decimal(time).ok()?,
            governance: LeafIndex::parse(governance).ok()?,
        })
    }
}

impl fmt::Display for Logged {
    /// Prints the line with its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{START}{} {}", self.time, self.governance)
    }
}

impl Entry {
    /// Puts the log's line before a record. The limits of both keep an entry within
    /// [`MAX_ENTRY_BYTES`].
    pub fn new(logged: Logged, record: Record) -> Entry {
        const { assert!(MAX_LINE_BYTES + super::MAX_RECORD_BYTES <= MAX_ENTRY_BYTES) };
        Entry { logged, record }
    }

    /// Splits an entry's bytes after the log's line and reads only that.
    ///
    /// Every entry splits, also one whose record this version cannot judge.
    ///
    /// # Errors
    /// [`EntryError::TooLong`] or [`EntryError::Logged`].
    pub fn split(bytes: &[u8]) -> Result<(Logged, &[u8]), EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLong(bytes.len()));
        }
        let end = bytes.iter().take(MAX_LINE_BYTES).position(|byte| *byte == b'\n');
        let end = end.ok_or(EntryError::Logged)?;
        let (line, record) = bytes.split_at(end + 1);
        let line = std::str::from_utf8(line).map_err(|_| EntryError::Logged)?;
        Ok((Logged::parse(line)?, record))
    }

    /// Reads an entry and checks everything but the record's signatures.
    ///
    /// # Errors
    /// As [`Entry::split`] and [`Record::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Entry, EntryError> {
        let (logged, record) = Entry::split(bytes)?;
        Ok(Entry { logged, record: Record::parse(record)? })
    }

    /// What the log says about the record.
    pub fn logged(&self) -> Logged {
        self.logged
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The record, without the log's line.
    pub fn into_record(self) -> Record {
        self.record
    }

    /// The entry's bytes: what is stored and hashed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.logged.to_string().into_bytes();
        bytes.extend(self.record.as_bytes());
        bytes
    }

    /// The leaf hash: SHA-256 of 0x00 and the entry's bytes.
    pub fn leaf_hash(&self) -> Hash {
        Hash::leaf(&self.to_bytes())
    }
}

impl std::str::FromStr for Logged {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Logged, EntryError> {
        Logged::parse(text)
    }
}
