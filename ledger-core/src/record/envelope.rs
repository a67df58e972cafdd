//! What every record says about itself, parsed once.

use crate::hash::Hash;
use crate::heap::block;
use crate::note::MAX_SIGNATURES;

use super::digest_marks::has_digests;
use super::fault::{Fault, quoted};
use super::id::RecordId;
use super::json::Object;
use super::kinds::ENVELOPE;
use super::time::parse_time;
use super::validate::check_members;
use super::{Kind, RESERVED_FIRST_LINES, RecordError};

/// The members of every record that rules depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    log: String,
    kind: Kind,
    id: RecordId,
    issuer: String,
    issued_at: u64,
    title: String,
    signers: Vec<String>,
    series: Option<(String, u64)>,
}

impl Envelope {
    /// Reads the envelope of an object whose digests have been checked.
    pub(super) fn read(object: &Object) -> Result<Envelope, RecordError> {
        check_members(ENVELOPE, object)?;
        let text = |name| object.text(name).unwrap_or_default();
        let kind = text("kind");
        let kind = Kind::parse(kind).ok_or_else(|| unknown_kind(kind))?;
        let log = text("log");
        if RESERVED_FIRST_LINES.contains(&log) {
            let problem = format!("is {log:?}, which begins other signed texts");
            return Err(Fault::new(problem, "an origin is a name like ledger.example/2026")
                .of("log")
                .into());
        }
        let id = RecordId::parse(text("id")).expect("the shape of `id` was checked");
        let issued_at = parse_time(text("issued_at")).expect("the shape of it was checked");
        Ok(Envelope {
            log: log.to_owned(),
            kind,
            id,
            issuer: text("issuer").to_owned(),
            issued_at,
            title: in_english(object, "title").to_owned(),
            signers: read_signers(object)?,
            series: read_series(object)?,
        })
    }

    /// The origin of the log that the record is meant for.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// What the record is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The issuer's own name for the record.
    pub fn id(&self) -> RecordId {
        self.id
    }

    /// The member that speaks.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When the issuer says it wrote the record, in POSIX seconds.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// The title in English, else in the first language it is written in; empty if it is sealed.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The key names that must all have signed; empty where the record asks for none.
    pub fn signers(&self) -> &[String] {
        &self.signers
    }

    /// The series that the record belongs to and its place in it, counted from 1; none if either is
    /// sealed.
    pub fn series(&self) -> Option<(&str, u64)> {
        self.series.as_ref().map(|(name, rev)| (name.as_str(), *rev))
    }

    /// A digest of (issuer, id), the pair that no log takes twice.
    ///
    /// SHA-256 over the issuer's length in 8 bytes, the issuer, and the id's 16 bytes, so that two
    /// pairs never share an encoding.
    pub fn unique_key(&self) -> Hash {
        self.key_with(self.id.as_bytes())
    }

    /// A digest of (issuer, series), whose revisions count up from 1; encoded as in
    /// [`Envelope::unique_key`].
    pub fn series_key(&self) -> Option<Hash> {
        self.series().map(|(name, _)| self.key_with(name.as_bytes()))
    }

    /// What it takes of the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let series = self.series.iter().map(|(name, _)| name);
        let texts = [&self.log, &self.issuer, &self.title].into_iter().chain(&self.signers);
        let texts: usize = texts.chain(series).map(|text| block(text.capacity())).sum();
        texts + block(self.signers.capacity() * size_of::<String>())
    }

    fn key_with(&self, rest: &[u8]) -> Hash {
        let mut message = Vec::with_capacity(8 + self.issuer.len() + rest.len());
        message.extend((self.issuer.len() as u64).to_be_bytes());
        message.extend(self.issuer.as_bytes());
        message.extend(rest);
        Hash::digest(&message)
    }
}

fn unknown_kind(word: &str) -> RecordError {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let problem = format!("is {}, not one of {}", quoted(word), kinds.join(", "));
    Fault::new(problem, "write one of the listed kinds").of("kind").into()
}

/// A language map's text in English, else the first; empty without one.
pub(super) fn in_english<'a>(object: &'a Object, name: &str) -> &'a str {
    let Some(map) = object.get(name).and_then(|value| value.as_object()) else { return "" };
    let english = |tag: &str| {
        let primary = tag.split('-').next().unwrap_or_default();
        primary.eq_ignore_ascii_case("en")
    };
    let found = map.iter().find(|(tag, _)| english(tag)).or_else(|| map.iter().next());
    found.and_then(|(_, text)| text.as_text()).unwrap_or_default()
}

fn read_signers(object: &Object) -> Result<Vec<String>, RecordError> {
    let list = object.list("signers");
    let hint = "name each key once, as its signature line does";
    if list.len() > MAX_SIGNATURES {
        let problem = format!("names {} keys; at most {MAX_SIGNATURES} can sign", list.len());
        return Err(Fault::new(problem, hint).of("signers").into());
    }
    let mut names: Vec<String> = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        let name = value.as_text().unwrap_or_default();
        if names.iter().any(|own| own == name) {
            return Err(Fault::new("repeats a key name", hint).at(at).of("signers").into());
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn read_series(object: &Object) -> Result<Option<(String, u64)>, RecordError> {
    let hint = "give `series` and `rev` together, or neither";
    let rev = object.get("rev").and_then(|value| value.as_integer());
    match (object.text("series"), rev) {
        (Some(series), Some(rev)) => {
            let rev = u64::try_from(rev).expect("the shape of `rev` was checked");
            Ok(Some((series.to_owned(), rev)))
        }
        (None, None) => Ok(None),
        // the other one may be sealed: nobody can tell the place then
        _ if has_digests(object) => Ok(None),
        (Some(_), None) => Err(Fault::new("is missing beside `series`", hint).of("rev").into()),
        (None, Some(_)) => Err(Fault::new("is missing beside `rev`", hint).of("series").into()),
    }
}
