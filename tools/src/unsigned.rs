//! What a member signs: a draft or a record, whose sealed members the signer may open first.

use std::path::{Path, PathBuf};

use ledger_core::note::SignerKey;
use ledger_core::record::{Draft, FIRST_LINE, Object, Opened, Record, RecordError, count_digests};

use crate::disclosures::Disclosures;
use crate::failure::Failure;
use crate::output::Output;
use crate::view;

/// A draft or a record that gets signatures.
#[derive(Debug)]
pub enum Unsigned {
    /// No member has signed it.
    Draft(Box<Draft>),
    /// Members have signed it.
    Record(Box<Record>),
}

impl Unsigned {
    /// Reads a draft or a record.
    ///
    /// # Errors
    /// [`RecordError`] for any other bytes.
    pub fn read(bytes: &[u8]) -> Result<Unsigned, RecordError> {
        if bytes.starts_with(FIRST_LINE.as_bytes()) {
            return Ok(Unsigned::Record(Box::new(Record::parse(bytes)?)));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RecordError::NotOneObject)?;
        Ok(Unsigned::Draft(Box::new(Draft::parse(text)?)))
    }

    fn body(&self) -> &Object {
        match self {
            Unsigned::Draft(draft) => draft.body(),
            Unsigned::Record(record) => record.body(),
        }
    }

    /// Opens the sealed members with the given disclosures before signing, because a record is
    /// permanent. Without disclosures, warns about what the signer has not seen. `path` is its name
    /// in messages.
    ///
    /// # Errors
    /// [`Failure`] when a disclosure does not belong to it, or a member that its `sealed` names
    /// stays closed.
    pub fn open(
        &self,
        files: &[PathBuf],
        path: &Path,
        out: &Output,
    ) -> Result<Option<Opened>, Failure> {
        if files.is_empty() {
            let digests = count_digests(self.body());
            if digests > 0 {
                out.warn(format!(
                    "{} holds {}, which were not opened: give --disclosures FILE to check them",
                    path.display(),
                    view::digests(digests)
                ));
            }
            return Ok(None);
        }
        let disclosures = Disclosures::read(files)?;
        let opened = match self {
            Unsigned::Draft(draft) => disclosures.open_draft(draft, path),
            Unsigned::Record(record) => disclosures.open(record, path),
        }?;
        match opened.unopened() {
            [] => Ok(Some(opened)),
            [first, ..] => Err(Failure::refused(
                format!("`{first}` is not opened: none of these disclosures is for it"),
                "give the disclosures of all members that `sealed` names; without --disclosures \
                 you sign them unseen",
            )
            .of(path.display())),
        }
    }

    /// Signs it with keys that have not signed it.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn sign(self, keys: &[&SignerKey]) -> Result<Record, RecordError> {
        match self {
            Unsigned::Draft(draft) => draft.sign(keys),
            Unsigned::Record(record) => {
                keys.iter().try_fold(*record, |record, key| record.cosign(key))
            }
        }
    }
}
