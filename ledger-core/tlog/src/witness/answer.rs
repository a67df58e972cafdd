//! What a client reads out of a witness's answer.

use super::{AddCheckpoint, SIZE_CONTENT_TYPE};
use crate::index::TreeSize;
use crate::note::{MAX_NOTE_BYTES, ParseNoteError, Signature};

/// Characters kept of what a witness says with a refusal: enough for a sentence in a log file.
pub const MAX_REFUSAL_TEXT: usize = 300;

const REPLACEMENT: char = '\u{fffd}';

/// What a witness answered to `add-checkpoint`. Nothing in it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WitnessAnswer {
    /// 200: signature lines. Those of unknown keys mean nothing; see
    /// [`cosignature::verify_line`](crate::cosignature::verify_line) for the others.
    Cosigned(Vec<Signature>),
    /// 409: the size of the checkpoint that the witness says it cosigned last.
    Conflict(TreeSize),
    /// Any other status, or a 409 that names no size.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The body's beginning as one line without control characters, for people.
        text: String,
    },
}

/// Why an answer of status 200 is none that a witness may give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAnswerError {
    /// The body has no lines, or is too large or not UTF-8.
    #[error("the witness answered 200 without signature lines")]
    NoLines,
    /// The body is not made of signature lines.
    #[error("the witness answered 200 with something else than signature lines: {0}")]
    Lines(ParseNoteError),
}

impl WitnessAnswer {
    /// Reads an answer out of its status, its `Content-Type` and its body.
    ///
    /// # Errors
    /// [`ParseAnswerError`] for a 200 whose body is not one or more signature lines.
    pub fn parse(
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<WitnessAnswer, ParseAnswerError> {
        let text = std::str::from_utf8(body).ok();
        if status == 200 {
            // SPEC tlog-witness/add-checkpoint: a sequence of one or more note signature lines
            let lines = text.filter(|text| !text.is_empty() && text.len() <= MAX_NOTE_BYTES);
            let lines = Signature::parse_lines(lines.ok_or(ParseAnswerError::NoLines)?);
            return lines.map(WitnessAnswer::Cosigned).map_err(ParseAnswerError::Lines);
        }
        let size = text.and_then(|text| text.strip_suffix('\n')).map(TreeSize::parse);
        match size {
            Some(Ok(size)) if status == 409 && is_size(content_type) => {
                Ok(WitnessAnswer::Conflict(size))
            }
            _ => Ok(WitnessAnswer::Refused { status, text: printable(body) }),
        }
    }

    /// Whether asking again with another old size may help, and with which: the witness is at a
    /// size that the log can prove the checkpoint from.
    pub fn retry_from(&self, request: &AddCheckpoint) -> Option<TreeSize> {
        match self {
            WitnessAnswer::Conflict(size)
                if *size != request.old()
                    && *size <= request.checkpoint().checkpoint().head().size =>
            {
                Some(*size)
            }
            _ => None,
        }
    }
}

/// Whether a `Content-Type` names the media type of sizes; parameters and case do not matter.
fn is_size(content_type: Option<&str>) -> bool {
    let media_type = content_type.and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(SIZE_CONTENT_TYPE))
}

fn printable(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * MAX_REFUSAL_TEXT)]);
    let line = text.trim().chars().take(MAX_REFUSAL_TEXT);
    line.map(|c| if c.is_control() { REPLACEMENT } else { c }).collect()
}
