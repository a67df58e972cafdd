//! Why bytes are not a record.

use crate::Hint;
use crate::note::ParseNoteError;

use super::fault::{Fault, MAX_PATH_SHOWN, Step};
use super::json::JsonError;
use super::{FIRST_LINE, MAX_ENTRY_BYTES, MAX_RECORD_BYTES};

/// Why bytes are not a record: the fault of whoever wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// More than [`MAX_RECORD_BYTES`].
    #[error("the record has {0} bytes; at most {MAX_RECORD_BYTES} are allowed")]
    TooLong(usize),
    /// Not a signed note.
    #[error("not a signed note: {0}")]
    Note(#[from] ParseNoteError),
    /// The text does not begin with the first line of records.
    #[error("the first line is not {FIRST_LINE:?}")]
    FirstLine,
    /// What follows the first line is not `{`, an object's members, `}` and one newline.
    #[error("the text after the first line is not one JSON object that ends with its line")]
    NotOneObject,
    /// The object breaks a rule of JSON as records use it.
    #[error("line {line} column {column}: {problem}")]
    Json {
        /// The line, counted from 1; of a record its first line is counted too.
        line: usize,
        /// The byte in the line, counted from 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A member is missing or not what the envelope or the kind asks for.
    #[error("`{path}` {problem}")]
    Member {
        /// The member, like `findings[2].result`.
        path: String,
        /// What is wrong with it.
        problem: String,
        /// How it is written.
        hint: &'static str,
    },
    /// A signature line does not sort after the one before it.
    #[error("signature line {0} does not sort after the line before it by key name, then key id")]
    SignatureOrder(usize),
    /// One key has signed twice.
    #[error("signature line {0} repeats the key of the line before it")]
    SignatureRepeated(usize),
    /// A key that signs checkpoints was asked to sign a record.
    #[error("key {0:?} is a cosigner's, which signs checkpoints and no records")]
    CosignerKey(String),
}

/// Why bytes are not an entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// More than [`MAX_ENTRY_BYTES`].
    #[error("the entry has {0} bytes; at most {MAX_ENTRY_BYTES} are allowed")]
    TooLong(usize),
    /// The log's own line is missing or misspelt: the log's fault, not the signers'.
    #[error("the entry does not begin with a line \"logged <time> <index>\" in strict decimals")]
    Logged,
    /// What follows is not a record.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl RecordError {
    /// The same error of a text that begins `lines` lines further down.
    pub(super) fn moved_down(self, lines: usize) -> RecordError {
        match self {
            RecordError::Json { line, column, problem } => {
                RecordError::Json { line: line + lines, column, problem }
            }
            other => other,
        }
    }
}

impl Hint for RecordError {
    fn hint(&self) -> &'static str {
        match self {
            RecordError::TooLong(_) => {
                "put long material into a file and name it in `attachments` by its digest"
            }
            RecordError::Note(ParseNoteError::NoSignatures) => {
                "sign the draft first: ledger record sign DRAFT --key FILE"
            }
            RecordError::Note(ParseNoteError::Control { .. }) => {
                "use spaces for tabs and plain newlines; a text may hold the escapes \\n and \\t"
            }
            RecordError::Note(_) => "use the .record file as `ledger record sign` wrote it",
            RecordError::FirstLine => "this is another kind of note, or the file was edited",
            RecordError::NotOneObject => "write one JSON object, from `{` to `}`, and nothing else",
            RecordError::Json { .. } => {
                "mend the JSON at that place; see the JSON rules of records"
            }
            RecordError::Member { hint, .. } => hint,
            RecordError::SignatureOrder(_) | RecordError::SignatureRepeated(_) => {
                "let `ledger record sign` put the signature lines in order"
            }
            RecordError::CosignerKey(_) => "sign with a key made by `ledger keygen --use record`",
        }
    }
}

impl From<JsonError> for RecordError {
    fn from(error: JsonError) -> RecordError {
        RecordError::Json { line: error.line, column: error.column, problem: error.problem }
    }
}

impl From<Fault> for RecordError {
    fn from(fault: Fault) -> RecordError {
        let mut path = String::new();
        for step in fault.path.iter().rev() {
            match step {
                Step::At(index) => path.push_str(&format!("[{index}]")),
                Step::Name(name) => {
                    let dot = if path.is_empty() { "" } else { "." };
                    path.push_str(&format!("{dot}{}", name.escape_debug()));
                }
            }
        }
        // names are whatever a record says, and refusals wait in memory for those who asked
        if path.len() > MAX_PATH_SHOWN {
            path.truncate(path.floor_char_boundary(MAX_PATH_SHOWN));
            path.push_str("...");
        }
        path.shrink_to_fit();
        RecordError::Member { path, problem: fault.problem, hint: fault.hint }
    }
}
