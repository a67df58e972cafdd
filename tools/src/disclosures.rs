//! Files of disclosures, and what they open.

use std::path::{Path, PathBuf};

use ledger_core::record::{Disclosure, Draft, OpenError, Opened, Record, open, open_draft};

use crate::failure::Failure;
use crate::files;

/// Limit on the bytes of a disclosure file: a few hundred of the largest disclosures.
const MAX_FILE: usize = 16 << 20;

/// Disclosures, each with the file and line that it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disclosures {
    list: Vec<Disclosure>,
    places: Vec<String>,
}

impl Disclosures {
    /// Reads disclosure files, which hold one disclosure a line.
    ///
    /// # Errors
    /// [`Failure`] names the line that is not a disclosure.
    pub fn read(files: &[PathBuf]) -> Result<Disclosures, Failure> {
        let mut read = Disclosures::default();
        for path in files {
            let bytes = files::read(path, MAX_FILE)?;
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                let hint = "give the file that `ledger seal --disclosures` wrote";
                Failure::refused(format!("{} is not text", path.display()), hint)
            })?;
            for (line, number) in text.lines().zip(1..) {
                let place = format!("{} line {number}", path.display());
                let disclosure =
                    Disclosure::parse(line).map_err(|e| Failure::refused_by(e).of(&place))?;
                read.list.push(disclosure);
                read.places.push(place);
            }
        }
        Ok(read)
    }

    /// Opens a record, read from `path`.
    ///
    /// # Errors
    /// [`Failure`] names the line whose disclosure does not belong to this record.
    pub fn open(&self, record: &Record, path: &Path) -> Result<Opened, Failure> {
        open(record, &self.list).map_err(|e| self.refused(&e, path))
    }

    /// Opens a draft, read from `path`.
    ///
    /// # Errors
    /// As [`Disclosures::open`].
    pub fn open_draft(&self, draft: &Draft, path: &Path) -> Result<Opened, Failure> {
        open_draft(draft, &self.list).map_err(|e| self.refused(&e, path))
    }

    fn refused(&self, error: &OpenError, path: &Path) -> Failure {
        let place = error.disclosure().and_then(|number| self.places.get(number - 1).cloned());
        let place = place.unwrap_or_else(|| path.display().to_string());
        Failure::refused_by(error).of(place)
    }
}
