//! Are the entries of a log lawful? The one judgement that audits, mirrors and authority bundles
//! share.
//!
//! It has two halves. [`CheckedEntry::at`] checks form and signatures, which is expensive and needs no
//! order: it can run on all cores. [`EntryVisitor::judge`] then judges the entries one after another:
//! times, what comes twice, and authority at each place. What was seen before is for the caller to
//! remember ([`DuplicateIndex`]), so that a log may be larger than memory.
//!
//! A reader of an authority bundle has only some of the entries. [`Governance`](super::Governance)
//! runs this fold over those, so that no rule can hold for one reader and not for another.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use crate::Hint;
use crate::hash::Hash;
use crate::index::LeafIndex;
use crate::record::{Entry, Envelope, Logged, Outline, Record, StatementId, format_time};

use super::{Change, Charter, Rejection, SignedRecord};

/// What one entry shows, whatever came before it.
#[derive(Debug, Clone)]
pub struct CheckedEntry {
    logged: Option<Logged>,
    names: Option<UniqueKeys>,
    verdict: RecordCheck,
}

/// What must not come twice in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UniqueKeys {
    /// The record's statement id.
    pub statement: StatementId,
    /// The digest of its issuer and id, see [`Envelope::unique_key`].
    pub unique: Hash,
}

/// What is known about an entry's record.
#[derive(Debug, Clone)]
enum RecordCheck {
    /// A record, with the verdict on its signatures.
    Record(SignatureCheck),
    /// It is not a record.
    NoRecord(String),
}

/// The verdict on a record's signatures.
#[derive(Debug, Clone)]
enum SignatureCheck {
    /// They verify.
    Signed(Box<SignedRecord>),
    /// The charter at hand refuses them, which may not be the one in force. Holds the record.
    Refused(Vec<u8>),
}

/// Where an entry that bore a name first stands.
pub trait DuplicateIndex {
    /// Why it cannot be looked up.
    type Error;

    /// The first entry with this statement.
    ///
    /// # Errors
    /// Whatever hinders looking it up.
    fn statement(&mut self, statement: StatementId) -> Result<Option<u64>, Self::Error>;

    /// The first entry with this issuer and id that counts.
    ///
    /// # Errors
    /// Whatever hinders looking it up.
    fn unique(&mut self, unique: &Hash) -> Result<Option<u64>, Self::Error>;

    /// Remembers the entry at `index`. One that is unlawful occupies its statement, but takes no id
    /// away from others.
    fn remember(&mut self, index: u64, names: &UniqueKeys, standing: EntryStanding);
}

/// How an entry counts among those that were seen. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryStanding {
    /// It is lawful, or cannot be judged.
    Counts,
    /// A rule refuses it.
    Unlawful,
}

/// Names in memory, two digests an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DuplicatesInMemory(HashMap<[u8; 32], u64>);

/// The verdict on one entry at its place.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// Every rule allows it.
    Lawful(Box<Admitted>),
    /// This version cannot judge it.
    NotJudged(String),
    /// A rule refuses it.
    Unlawful(Unlawful),
}

/// A lawful entry, and the charter around it.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The log's line.
    pub logged: Logged,
    /// The record.
    pub record: Record,
    /// The charter that it was judged by; for entry 0 the one that it founds.
    pub judge: Arc<Charter>,
    /// The charter behind it.
    pub then: Arc<Charter>,
}

/// Why an entry is unlawful.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unlawful {
    /// It is no record of ours.
    NoRecord(String),
    /// The log's time went back.
    TimeReversal {
        /// Its time.
        time: u64,
        /// The time of the entry before it.
        before: u64,
    },
    /// Its statement is logged already.
    Statement {
        /// By this entry.
        first: u64,
    },
    /// Its issuer used its id already.
    Id {
        /// For this entry.
        first: u64,
    },
    /// The charter refuses it.
    Refused(Rejection),
}

/// The fold over entries in order.
///
/// An entry changes nothing here but what `Admitted::spoils` looks at: the time, what was seen,
/// and the charter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryVisitor<S> {
    charter: Arc<Charter>,
    /// The time of the entry before.
    before: u64,
    /// The first change of the charter that this version cannot follow: from there on nobody's
    /// authority is known.
    blind: Option<u64>,
    seen: S,
}

impl CheckedEntry {
    /// Looks at an entry with a charter at hand, which need not be the one in force at its place.
    pub fn at(charter: &Charter, bytes: &[u8]) -> CheckedEntry {
        let (logged, bytes) = match Entry::split(bytes) {
            Ok((logged, bytes)) => (Some(logged), bytes),
            Err(e) => {
                let verdict = RecordCheck::NoRecord(e.to_string());
                return CheckedEntry { logged: None, names: None, verdict };
            }
        };
        match Record::parse(bytes) {
            Ok(record) => {
                let names = Some(UniqueKeys::of_record(&record));
                let signatures = match charter.verify(record) {
                    Ok(signed) => SignatureCheck::Signed(Box::new(signed)),
                    Err(_) => SignatureCheck::Refused(bytes.to_vec()),
                };
                let verdict = RecordCheck::Record(signatures);
                CheckedEntry { logged, names, verdict }
            }
            Err(e) => {
                let outline = Outline::parse(bytes).ok();
                let names = outline.map(|o| UniqueKeys::of(o.statement(), o.envelope()));
                CheckedEntry { logged, names, verdict: RecordCheck::NoRecord(e.to_string()) }
            }
        }
    }

    /// Looks at an entry that was read before, with a charter at hand as for [`CheckedEntry::at`].
    pub fn of(charter: &Charter, logged: Logged, record: &Record) -> CheckedEntry {
        let names = Some(UniqueKeys::of_record(record));
        let signatures = match charter.verify(record.clone()) {
            Ok(signed) => SignatureCheck::Signed(Box::new(signed)),
            Err(_) => SignatureCheck::Refused(record.as_bytes().to_vec()),
        };
        CheckedEntry { logged: Some(logged), names, verdict: RecordCheck::Record(signatures) }
    }

    /// The log's line, if it can be read.
    pub fn logged(&self) -> Option<Logged> {
        self.logged
    }
}

impl UniqueKeys {
    pub(super) fn of_record(record: &Record) -> UniqueKeys {
        UniqueKeys::of(record.statement(), record.envelope())
    }

    fn of(statement: StatementId, envelope: &Envelope) -> UniqueKeys {
        UniqueKeys { statement, unique: envelope.unique_key() }
    }
}

impl<S: DuplicateIndex> EntryVisitor<S> {
    /// Begins before entry 0 with the charter that it founds, or goes on behind entries that were
    /// judged: with the charter in force there, the last entry's time, and what was seen.
    pub fn new(charter: Arc<Charter>, before: u64, seen: S) -> EntryVisitor<S> {
        EntryVisitor { charter, before, blind: None, seen }
    }

    /// Begins with entry 0, which has just founded this charter.
    pub(super) fn founded(charter: Arc<Charter>, first: &Entry, mut seen: S) -> EntryVisitor<S> {
        let names = UniqueKeys::of_record(first.record());
        seen.remember(LeafIndex::ZERO.get(), &names, EntryStanding::Counts);
        EntryVisitor::new(charter, first.logged().time, seen)
    }

    /// The charter in force.
    pub fn charter(&self) -> &Arc<Charter> {
        &self.charter
    }

    /// The first change of the charter that this version cannot follow.
    pub fn blind(&self) -> Option<u64> {
        self.blind
    }

    /// What was seen, to read.
    pub(super) fn seen_so_far(&self) -> &S {
        &self.seen
    }

    /// What was seen.
    pub fn seen(&mut self) -> &mut S {
        &mut self.seen
    }

    /// Judges the entry at `index`, the next in order.
    ///
    /// # Errors
    /// Whatever hinders looking up what was seen; nothing was judged then.
    pub fn judge(&mut self, index: LeafIndex, look: CheckedEntry) -> Result<Finding, S::Error> {
        let CheckedEntry { logged, names, verdict } = look;
        let twice = self.twice(names.as_ref())?;
        let time = logged.and_then(|logged| self.pass(logged));
        let early = time.or(twice);
        let at = index.get();
        let signatures = match verdict {
            RecordCheck::NoRecord(why) => {
                let why = early.unwrap_or(Unlawful::NoRecord(why));
                return Ok(self.unlawful(at, names.as_ref(), why));
            }
            RecordCheck::Record(signatures) => signatures,
        };
        let (Some(logged), Some(names)) = (logged, names) else {
            // a record stands behind a line and has names
            return Ok(Finding::NotJudged("its line cannot be read".to_owned()));
        };
        if let Some(why) = early {
            return Ok(self.unlawful(at, Some(&names), why));
        }
        if let Some(from) = self.blind {
            self.seen.remember(at, &names, EntryStanding::Counts);
            return Ok(Finding::NotJudged(format!(
                "entry {from} may have changed the charter, which this version does not follow"
            )));
        }
        match self.admit(index, logged, signatures) {
            Ok(admitted) => {
                self.seen.remember(at, &names, EntryStanding::Counts);
                Ok(Finding::Lawful(Box::new(admitted)))
            }
            Err(e) if e.is_not_supported() => {
                self.blind = Some(at);
                self.seen.remember(at, &names, EntryStanding::Counts);
                Ok(Finding::NotJudged(e.to_string()))
            }
            Err(e) => Ok(self.unlawful(at, Some(&names), Unlawful::Refused(e))),
        }
    }

    /// Judges a record by the rules in force at its place.
    fn admit(
        &mut self,
        index: LeafIndex,
        logged: Logged,
        verdict: SignatureCheck,
    ) -> Result<Admitted, Rejection> {
        let signed = match verdict {
            SignatureCheck::Signed(signed) => *signed,
            // whoever looked may not have known of a change yet
            SignatureCheck::Refused(bytes) => {
                let record = Record::parse(&bytes).expect("these bytes were parsed before");
                self.charter.verify(record)?
            }
        };
        let judge = Arc::clone(&self.charter);
        if index == LeafIndex::ZERO {
            self.check_founding(logged, signed.record())?;
        } else if let Change::Governance(next) = self.charter.admit(&signed, &logged, index)? {
            self.charter = Arc::from(next);
        }
        let then = Arc::clone(&self.charter);
        Ok(Admitted { logged, record: signed.into_record(), judge, then })
    }

    /// Entry 0 is the charter that the fold began with, lawful as entry 0.
    fn check_founding(&self, logged: Logged, record: &Record) -> Result<(), Rejection> {
        if record.statement() != self.charter.statement() {
            return Err(Rejection::IndexZero);
        }
        Charter::found(&Entry::new(logged, record.clone())).map(drop)
    }

    fn unlawful(&mut self, index: u64, names: Option<&UniqueKeys>, why: Unlawful) -> Finding {
        if let Some(names) = names {
            self.seen.remember(index, names, EntryStanding::Unlawful);
        }
        Finding::Unlawful(why)
    }

    /// The log's time never goes back from one entry to the next.
    ///
    /// A reader of a bundle compares with the governance entry before instead, for the one just
    /// before is not known. It cannot refuse an entry of a log that an audit proves: where no entry
    /// is earlier than the one before it, none is earlier than any before it. The verdicts on one
    /// entry differ only in a log that has an entry of a time gone back, which no node writes: an
    /// audit then counts from the earlier time on, so that it names that entry and not all behind.
    fn pass(&mut self, logged: Logged) -> Option<Unlawful> {
        let before = std::mem::replace(&mut self.before, logged.time);
        let time = logged.time;
        (time < before).then_some(Unlawful::TimeReversal { time, before })
    }

    /// No statement and no (issuer, id) comes twice.
    fn twice(&mut self, names: Option<&UniqueKeys>) -> Result<Option<Unlawful>, S::Error> {
        let Some(names) = names else { return Ok(None) };
        if let Some(first) = self.seen.statement(names.statement)? {
            return Ok(Some(Unlawful::Statement { first }));
        }
        let first = self.seen.unique(&names.unique)?;
        Ok(first.map(|first| Unlawful::Id { first }))
    }
}

impl Admitted {
    /// What breaks at an entry behind this one, at `index`, that was judged lawful without it: the
    /// time goes back, a name comes twice, or it passes over a change of the charter.
    ///
    /// This is all by which one entry bears upon a later one in [`EntryVisitor::judge`].
    pub(super) fn spoils(&self, index: LeafIndex, later: &LaterEntry) -> Option<Unlawful> {
        let (first, own) = (index.get(), UniqueKeys::of_record(&self.record));
        let LaterEntry { logged, names } = later;
        if logged.time < self.logged.time {
            let (time, before) = (logged.time, self.logged.time);
            return Some(Unlawful::TimeReversal { time, before });
        }
        if names.statement == own.statement {
            return Some(Unlawful::Statement { first });
        }
        if names.unique == own.unique {
            return Some(Unlawful::Id { first });
        }
        let changes = !Arc::ptr_eq(&self.judge, &self.then) && logged.governance < index;
        let (expected, found) = (index, logged.governance);
        let skips = || Unlawful::Refused(Rejection::WrongGovernance { expected, found });
        changes.then(skips)
    }
}

/// What is kept of an entry for [`Admitted::spoils`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaterEntry {
    pub(super) logged: Logged,
    pub(super) names: UniqueKeys,
}

impl Hint for Unlawful {
    fn hint(&self) -> &'static str {
        match self {
            Unlawful::Refused(rejection) => rejection.hint(),
            _ => "keep the entries: they show that the log misbehaved",
        }
    }
}

impl DuplicateIndex for DuplicatesInMemory {
    type Error = Infallible;

    fn statement(&mut self, statement: StatementId) -> Result<Option<u64>, Infallible> {
        Ok(self.0.get(statement.as_hash().as_bytes()).copied())
    }

    fn unique(&mut self, unique: &Hash) -> Result<Option<u64>, Infallible> {
        Ok(self.0.get(unique.as_bytes()).copied())
    }

    fn remember(&mut self, index: u64, names: &UniqueKeys, standing: EntryStanding) {
        self.0.entry(*names.statement.as_hash().as_bytes()).or_insert(index);
        if standing == EntryStanding::Counts {
            self.0.entry(*names.unique.as_bytes()).or_insert(index);
        }
    }
}

/// What was seen before an index, of what is remembered.
#[derive(Debug)]
pub(super) struct SeenBefore<'a> {
    pub(super) seen: &'a DuplicatesInMemory,
    pub(super) index: LeafIndex,
}

impl SeenBefore<'_> {
    fn find(&self, name: &Hash) -> Option<u64> {
        let first = self.seen.0.get(name.as_bytes()).copied();
        first.filter(|first| *first < self.index.get())
    }
}

impl DuplicateIndex for SeenBefore<'_> {
    type Error = Infallible;

    fn statement(&mut self, statement: StatementId) -> Result<Option<u64>, Infallible> {
        Ok(self.find(statement.as_hash()))
    }

    fn unique(&mut self, unique: &Hash) -> Result<Option<u64>, Infallible> {
        Ok(self.find(unique))
    }

    /// One entry is judged, and none behind it.
    fn remember(&mut self, _: u64, _: &UniqueKeys, _: EntryStanding) {}
}

impl std::error::Error for Unlawful {}

impl fmt::Display for Unlawful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unlawful::NoRecord(why) => f.write_str(why),
            Unlawful::TimeReversal { time, before } => {
                let (now, before) = (format_time(*time), format_time(*before));
                write!(f, "its time {now} lies before the entry before it, {before}")
            }
            Unlawful::Statement { first } => write!(f, "its statement is already in entry {first}"),
            Unlawful::Id { first } => {
                write!(f, "its issuer used its id already for entry {first}")
            }
            Unlawful::Refused(rejection) => rejection.fmt(f),
        }
    }
}
