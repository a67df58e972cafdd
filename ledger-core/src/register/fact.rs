//! What a register reads of one entry.

use crate::index::LeafIndex;
use crate::record::{Kind, Logged, Object, Record, StatementId};

/// One lawful entry, as registers read it.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// Its position in the log.
    pub index: LeafIndex,
    /// The log's time, in POSIX seconds.
    pub logged: u64,
    /// The record's statement id.
    pub statement: StatementId,
    /// What the record is.
    pub kind: Kind,
    /// The member that speaks.
    pub issuer: &'a str,
    /// The title in the language that is shown; empty if it is sealed.
    pub title: &'a str,
    /// The series that the record belongs to.
    pub series: Option<&'a str>,
    /// All members of the record.
    pub body: &'a Object,
}

impl<'a> Fact<'a> {
    /// The fact of a record at its place.
    pub fn of(index: LeafIndex, logged: &Logged, record: &'a Record) -> Fact<'a> {
        let envelope = record.envelope();
        Fact {
            index,
            logged: logged.time,
            statement: record.statement(),
            kind: envelope.kind(),
            issuer: envelope.issuer(),
            title: envelope.title(),
            series: envelope.series().map(|(name, _)| name),
            body: record.body(),
        }
    }
}
