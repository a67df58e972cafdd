//! How events are written to standard error: one line each, whatever others put into them.

use std::fmt::Debug;

use tracing::field::Field;
use tracing_subscriber::field::{MakeExt as _, RecordFields};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::escape::{LineMode, escaped};

/// Writes fields so that no name, address or answer of others can begin a line or drive a terminal.
#[derive(Debug, Clone, Copy, Default)]
pub struct EscapedFields;

impl<'w> FormatFields<'w> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> std::fmt::Result {
        debug_fn(write_field).delimited(" ").format_fields(writer, fields)
    }
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = escaped(&format!("{value:?}"), LineMode::One);
    match field.name() {
        "message" => writer.write_str(&value),
        name => write!(writer, "{name}={value}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_of_others_makes_no_line_of_the_log() {
        let written = Written::default();
        let own = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(EscapedFields)
            .with_ansi(false)
            .without_time()
            .with_writer(move || own.clone())
            .finish();
        let wild = "a\nERROR forged\u{1b}[32m\u{202e}\\n";
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(origin = %wild, name = wild, "a peer says: {wild}");
            let span = tracing::info_span!("request", address = %wild);
            let _inside = span.enter();
            tracing::error!(error = ?wild, "it failed");
        });
        let text = String::from_utf8(written.0.lock().expect("no panic").clone()).expect("UTF-8");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        let shown = "a peer says: a\\nERROR forged\\u{1b}[32m\\u{202e}\\\\n";
        assert!(text.contains(shown), "{text}");
    }
}
