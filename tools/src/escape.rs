//! Showing text that others wrote without letting it drive the terminal.

/// How much of a text may span lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Newlines are escaped like other control characters.
    One,
    /// Newlines stay.
    Many,
}

/// The text with control, bidirectional and invisible characters spelled out as `\u{..}`.
pub fn shown(text: &str, lines: Lines) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if lines == Lines::Many => out.push('\n'),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The text on one line, escaped.
pub fn line(text: &str) -> String {
    shown(text, Lines::One)
}

/// Characters that a reader does not see, or that move what is around them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_and_readers_are_not_fooled() {
        assert_eq!(line("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(line("x\u{202e}y\u{2066}\u{200b}"), "x\\u{202e}y\\u{2066}\\u{200b}");
        assert_eq!(line("one\ntwo\t"), "one\\ntwo\\t");
        assert_eq!(shown("one\ntwo\u{9b}", Lines::Many), "one\ntwo\\u{9b}");
        assert_eq!(line("Zoë – 日本 😀"), "Zoë – 日本 😀");
    }
}
