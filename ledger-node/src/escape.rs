//! Showing text that others wrote without letting it drive the terminal.
//!
//! Escaping can be undone: a backslash is written twice, so that text which looks like an escape is
//! not one. Letters that look alike in two scripts stay as they are. The code that prints a line escapes it, once; the code
//! that composes it gives the text as it is.

use std::fmt::Write as _;

/// How much of a text may span lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineMode {
    /// Newlines are escaped like other control characters.
    One,
    /// Newlines stay.
    Many,
}

/// Text that may be printed as it is: what others wrote in it is escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escaped(String);

impl Escaped {
    /// Text that was built of escaped parts.
    pub fn of_escaped(text: String) -> Escaped {
        Escaped(text)
    }

    /// The text, to print.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text with control, bidirectional and invisible characters spelled out as `\u{..}`, and each
/// backslash doubled.
pub fn escaped(text: &str, lines: LineMode) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if lines == LineMode::Many => out.push('\n'),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c => push(&mut out, c),
        }
    }
    out
}

/// A file that goes to a terminal: all of its text, with what hides spelled out.
pub fn file(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c => push(&mut out, c),
        }
    }
    out
}

/// JSON with hidden characters spelled as its own `\uXXXX`: the value is the same.
pub fn json(value: &serde_json::Value) -> String {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn push(out: &mut String, c: char) {
    if is_hidden(c) {
        let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
    } else {
        out.push(c);
    }
}

/// Characters that a reader does not see, or that move what is around them: control characters,
/// those that Unicode lets fonts ignore (`Default_Ignorable_Code_Point`), line separators,
/// interlinear annotations and the blank Braille pattern.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        escaped(text, LineMode::One)
    }

    #[test]
    fn terminals_and_readers_are_not_fooled() {
        assert_eq!(line("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(line("x\u{202e}y\u{2066}\u{200b}"), "x\\u{202e}y\\u{2066}\\u{200b}");
        assert_eq!(line("one\ntwo\t"), "one\\ntwo\\t");
        assert_eq!(escaped("one\ntwo\u{9b}", LineMode::Many), "one\ntwo\\u{9b}");
        assert_eq!(line("Zoë – 日本 😀"), "Zoë – 日本 😀");
        assert_eq!(file(b"{\"a\\n\": 1}\n\xc2\x9b"), "{\"a\\n\": 1}\n\\u{9b}");
    }

    #[test]
    fn what_fonts_may_ignore_is_spelled_out() {
        let ignorable = "\u{ad}\u{34f}\u{61c}\u{115f}\u{17b4}\u{180b}\u{180f}\u{200b}\u{202a}\u{2060}\
            \u{2800}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff0}\u{1bca0}\u{1d173}\u{1d17a}\
            \u{e0001}\u{e0100}\u{e0fff}";
        for c in ignorable.chars() {
            let text = line(&format!("a{c}b"));
            assert_eq!(text, format!("a\\u{{{:x}}}b", u32::from(c)));
            let value = serde_json::json!(format!("a{c}b"));
            assert!(!json(&value).contains(c), "{:x}", u32::from(c));
        }
    }

    /// Reads what [`escaped`] wrote.
    fn unescaped(text: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match rest.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                '\\' => out.push('\\'),
                'u' => {
                    let hex = rest.as_str().strip_prefix('{')?.split_once('}')?.0;
                    out.push(char::from_u32(u32::from_str_radix(hex, 16).ok()?)?);
                    rest = rest.as_str()[hex.len() + 2..].chars();
                }
                _ => return None,
            }
        }
        Some(out)
    }

    #[test]
    fn escaping_can_be_undone() {
        let parts =
            ["\\", "\n", "n", "u", "{1b}", "\u{1b}", "\u{202e}", "\t", "t", "x", "\u{e0041}"];
        for a in parts {
            for b in parts {
                for c in parts {
                    let text = format!("{a}{b}{c}");
                    assert_eq!(unescaped(&line(&text)).as_ref(), Some(&text), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn json_is_the_same_value_and_hides_nothing() {
        let value = serde_json::json!({ "\u{202e}a": "\u{9b}2J\\u{1b}\u{e0041}\n\u{7f}😀" });
        let text = json(&value);
        assert!(!text.chars().any(is_hidden), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
    }
}
