//! How people name a member inside a record: `text`, `system.developer`, `actions[1]`.

use std::fmt;

use crate::index::parse_decimal;

use super::super::MAX_DEPTH;
use super::super::digest_marks::is_reserved;

/// The place of one member, or of one element of a list.
///
/// Names are joined by dots, elements counted from 0 in brackets: `findings[2].basis`. A name with
/// a dot, bracket, quote, blank or control character in it stands in brackets as JSON:
/// `ext["x.example"]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealPath {
    steps: Vec<PathStep>,
}

/// One step into an object or a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathStep {
    Name(String),
    At(usize),
}

/// A text that is no path. Whoever wrote it is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSealPathError {
    /// Not names and positions as [`SealPath`] joins them.
    #[error("no path like text, system.developer, actions[1] or ext[\"x.example\"]")]
    Form,
    /// A name that says something about sealing.
    #[error("a path through `_sd`, `_sd_alg` or `...`, which are no members")]
    Reserved,
    /// More than [`MAX_DEPTH`] steps.
    #[error("a path of more than {MAX_DEPTH} steps; no record is so deep")]
    TooDeep,
}

impl SealPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`ParseSealPathError`] for any other text.
    pub fn parse(text: &str) -> Result<SealPath, ParseSealPathError> {
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (step, after) = read_step(rest).ok_or(ParseSealPathError::Form)?;
            match &step {
                PathStep::At(_) if steps.is_empty() => return Err(ParseSealPathError::Form),
                PathStep::Name(name) if is_reserved(name) => {
                    return Err(ParseSealPathError::Reserved);
                }
                _ if steps.len() == MAX_DEPTH => return Err(ParseSealPathError::TooDeep),
                _ => steps.push(step),
            }
            rest = match after.strip_prefix('.') {
                Some(name) if !name.starts_with('[') => name,
                None if after.is_empty() => return Ok(SealPath { steps }),
                None if after.starts_with('[') => after,
                _ => return Err(ParseSealPathError::Form),
            };
        }
    }

    pub(super) fn of_steps(steps: &[PathStep]) -> SealPath {
        SealPath { steps: steps.to_vec() }
    }

    /// The steps, the outermost first; at least one, and that one is a name.
    pub(super) fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// The name of the record's own member that the path begins with.
    pub(super) fn top(&self) -> &str {
        match self.steps.first() {
            Some(PathStep::Name(name)) => name,
            _ => "",
        }
    }
}

impl std::str::FromStr for SealPath {
    type Err = ParseSealPathError;

    fn from_str(text: &str) -> Result<SealPath, ParseSealPathError> {
        SealPath::parse(text)
    }
}

impl fmt::Display for SealPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                PathStep::At(index) => write!(f, "[{index}]")?,
                PathStep::Name(name) if is_plain(name) => {
                    write!(f, "{}{name}", if at == 0 { "" } else { "." })?;
                }
                PathStep::Name(name) => {
                    let quoted = serde_json::to_string(name).map_err(|_| fmt::Error)?;
                    write!(f, "[{quoted}]")?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a name needs no quotes.
fn is_plain(name: &str) -> bool {
    let special =
        |c: char| matches!(c, '.' | '[' | ']' | '"') || c.is_whitespace() || c.is_control();
    !name.is_empty() && !name.contains(special)
}

/// The first step of a text, and what comes after it.
fn read_step(text: &str) -> Option<(PathStep, &str)> {
    let Some(inner) = text.strip_prefix('[') else {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        return is_plain(name).then(|| (PathStep::Name(name.to_owned()), after));
    };
    if !inner.starts_with('"') {
        let (digits, after) = inner.split_once(']')?;
        let index = usize::try_from(parse_decimal(digits).ok()?).ok()?;
        return Some((PathStep::At(index), after));
    }
    let mut reader = serde_json::Deserializer::from_str(inner).into_iter::<String>();
    let name = reader.next()?.ok()?;
    let after = inner.get(reader.byte_offset()..)?.strip_prefix(']')?;
    Some((PathStep::Name(name), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_back() {
        for text in [
            "text",
            "system.developer",
            "findings[2].basis",
            "ext[\"x.example\"].a[0][1]",
            "[\"a b\"][\"\"].c",
            "t\u{e9}xt",
        ] {
            let path = SealPath::parse(text).expect(text);
            assert_eq!(path.to_string(), text);
        }
        let plain = SealPath::parse("[\"a\"][\"b\"]").expect("quotes are allowed");
        assert_eq!(plain.to_string(), "a.b");
        assert_eq!(plain.top(), "a");
    }

    #[test]
    fn other_texts_are_no_paths() {
        let form = [
            "",
            ".",
            ".a",
            "a.",
            "a..b",
            "a.[0]",
            "[0]",
            "a[",
            "a[]",
            "a[0",
            "a[01]",
            "a[-1]",
            "a[0]b",
            "a]b",
            "a b",
            "a\"b",
            "[\"a]",
            "[\"a\"",
            "[\"a\"b]",
            "a[99999999999999999999]",
            "a\n",
        ];
        for text in form {
            assert_eq!(SealPath::parse(text), Err(ParseSealPathError::Form), "{text:?}");
        }
        for text in ["_sd", "a._sd_alg", "a[\"...\"]"] {
            assert_eq!(SealPath::parse(text), Err(ParseSealPathError::Reserved), "{text:?}");
        }
        let deep = |steps: usize| SealPath::parse(&format!("a{}", "[0]".repeat(steps - 1)));
        assert!(deep(MAX_DEPTH).is_ok());
        assert_eq!(deep(MAX_DEPTH + 1), Err(ParseSealPathError::TooDeep));
    }
}
