//! Detects what kind of file some bytes are. Blanks in JSON make no difference.

use ledger_core::record::FIRST_LINE;
use ledger_core::{authority, evidence, succession};

/// What a file claims to be. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A signed record.
    Record,
    /// A tlog-proof.
    Proof,
    /// An authority bundle.
    Bundle,
    /// Evidence.
    Evidence,
    /// A succession.
    Succession,
    /// Another JSON object, such as a draft.
    Object,
    /// Anything else. Among the files that this program reads, only a checkpoint.
    Other,
}

impl FileKind {
    /// Looks at the first line, or at the member `format` of a JSON object.
    pub fn of(bytes: &[u8]) -> FileKind {
        if bytes.starts_with(FIRST_LINE.as_bytes()) {
            return FileKind::Record;
        }
        if bytes.starts_with(succession::FIRST_LINE.as_bytes()) {
            return FileKind::Succession;
        }
        if bytes.starts_with(b"c2sp.org/tlog-proof") {
            return FileKind::Proof;
        }
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return FileKind::Other;
        }
        // a truncated file keeps its kind, so it is not parsed as JSON
        let named = |format: &str| formats(bytes).any(|value| value == format.as_bytes());
        if named(evidence::FORMAT) {
            FileKind::Evidence
        } else if named(authority::FORMAT) {
            FileKind::Bundle
        } else {
            FileKind::Object
        }
    }
}

/// The string values of all members named `format`.
fn formats(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    // inside a JSON string these quotes would be escaped
    const NAME: &[u8] = b"\"format\"";
    let starts = bytes.windows(NAME.len()).enumerate().filter(|(_, part)| *part == NAME);
    starts.filter_map(|(at, _)| {
        let rest = bytes[at + NAME.len()..].trim_ascii_start().strip_prefix(b":")?;
        let value = rest.trim_ascii_start().strip_prefix(b"\"")?;
        let end = value.iter().position(|byte| *byte == b'"')?;
        Some(&value[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_whatever_their_blanks() {
        let cases = [
            ("ledger-record/v1\n{}", FileKind::Record),
            ("ledger-succession/v1\norigin", FileKind::Succession),
            ("c2sp.org/tlog-proof@v1\n", FileKind::Proof),
            ("{\"format\": \"ledger-authority/v1\"}", FileKind::Bundle),
            ("\n {\n\"governance\":[],\"format\"\n:\n\"ledger-authority/v1\"", FileKind::Bundle),
            ("{\"format\":\"ledger-evidence/v1\",\"type\":\"x\"", FileKind::Evidence),
            // evidence carries bundles
            (
                "{\"bundle\":{\"format\":\"ledger-authority/v1\"},\"format\":\"ledger-evidence/v1\"}",
                FileKind::Evidence,
            ),
            ("{\"title\":\"a \\\"format\\\": \\\"ledger-authority/v1\\\"\"}", FileKind::Object),
            ("{\"format\": 1}", FileKind::Object),
            ("log.example\n1\n", FileKind::Other),
            ("", FileKind::Other),
        ];
        for (text, sort) in cases {
            assert_eq!(FileKind::of(text.as_bytes()), sort, "{text}");
        }
    }
}
