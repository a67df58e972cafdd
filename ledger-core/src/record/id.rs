//! The two names of a record: what its issuer calls it, and what its text hashes to.

use std::fmt;

use crate::hash::{Hash, ParseHashError, decode_hex};
use crate::note::Note;

/// SHA-256 of a record's note text: what people cite, and what de-duplicates.
///
/// Signatures are no part of it: the same statement signed by more members keeps its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId(Hash);

/// A record's `id`: a UUID of version 7, unique per issuer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId([u8; 16]);

/// A text that is not a record id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID of version 7 in lower case, like 0198a7c2-5d00-7000-8000-000000000001")]
pub struct ParseRecordIdError;

impl StatementId {
    /// The id of a note, whatever its text says.
    pub fn of_note(note: &Note) -> StatementId {
        StatementId::of_text(note.text())
    }

    /// The id of a note's text, with its final newline.
    pub fn of_text(text: &str) -> StatementId {
        StatementId(Hash::digest(text.as_bytes()))
    }

    /// Takes a digest that was read elsewhere, for instance from an index.
    pub const fn from_hash(hash: Hash) -> StatementId {
        StatementId(hash)
    }

    /// Reads 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`ParseHashError::Hex`] for any other text.
    pub fn from_hex(text: &str) -> Result<StatementId, ParseHashError> {
        Hash::from_hex(text).map(StatementId)
    }

    /// The digest.
    pub const fn as_hash(&self) -> &Hash {
        &self.0
    }
}

impl std::str::FromStr for StatementId {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<StatementId, ParseHashError> {
        StatementId::from_hex(text)
    }
}

impl fmt::Display for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl RecordId {
    /// Makes an id from a time in milliseconds and 10 bytes that nobody else will choose.
    ///
    /// The bytes are random, or a digest where the same source must give the same id again. Version
    /// and variant take 6 of their bits; times beyond the year 10889 lose their upper bits.
    // SPEC rfc9562/5.7: 48 bits of milliseconds, version 7, variant 0b10, the rest random
    pub fn from_parts(milliseconds: u64, random: [u8; 10]) -> RecordId {
        let mut bytes = [0u8; 16];
        bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        RecordId(bytes)
    }

    /// Reads 36 characters in lower case; version must be 7 and the variant RFC 9562's.
    ///
    /// # Errors
    /// [`ParseRecordIdError`] for any other text.
    pub fn parse(text: &str) -> Result<RecordId, ParseRecordIdError> {
        let mut bytes = [0u8; 16];
        let groups = [(0, 8, 0), (9, 13, 4), (14, 18, 6), (19, 23, 8), (24, 36, 10)];
        let dashes = [8, 13, 18, 23];
        let shaped = text.len() == 36 && dashes.iter().all(|at| text.as_bytes()[*at] == b'-');
        for (from, to, at) in groups {
            let group = text.get(from..to).filter(|_| shaped).ok_or(ParseRecordIdError)?;
            let out = &mut bytes[at..at + (to - from) / 2];
            decode_hex(group, out).ok_or(ParseRecordIdError)?;
        }
        if bytes[6] >> 4 != 7 || bytes[8] >> 6 != 0b10 {
            return Err(ParseRecordIdError);
        }
        Ok(RecordId(bytes))
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::str::FromStr for RecordId {
    type Err = ParseRecordIdError;

    fn from_str(text: &str) -> Result<RecordId, ParseRecordIdError> {
        RecordId::parse(text)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_ids_round_trip_and_reject_other_uuids() {
        let id = RecordId::from_parts(1_645_557_742_000, [0xff; 10]);
        assert_eq!(id.to_string(), "017f22e2-79b0-7fff-bfff-ffffffffffff");
        assert_eq!(RecordId::parse(&id.to_string()), Ok(id));
        for bad in [
            "",
            "017F22E2-79B0-7FFF-BFFF-FFFFFFFFFFFF",
            "017f22e2-79b0-4fff-bfff-ffffffffffff",
            "017f22e2-79b0-7fff-cfff-ffffffffffff",
            "017f22e279b07fffbfffffffffffffff",
            "017f22e2-79b0-7fff-bfff-fffffffffff",
            "017f22e2-79b0-7fff-bfff-fffffffffffff",
            "017f22e2_79b0-7fff-bfff-ffffffffffff",
            "{17f22e2-79b0-7fff-bfff-fffffffffff}",
            "\u{e9}17f22e-79b0-7fff-bfff-ffffffffffff",
        ] {
            assert_eq!(RecordId::parse(bad), Err(ParseRecordIdError), "{bad}");
        }
    }
}
