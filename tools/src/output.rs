//! What goes where: data and results on stdout, all else on stderr, one object with `--json`.
//!
//! Each line is escaped here, once; colours are added outside the escaped text. Commands pass raw
//! text, with names and paths that others chose, so no command can forget to escape it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

use serde_json::Value;

use crate::escape::{self, Escaped, LineMode};
use crate::failure::{Exit, Failure};

/// The first error of writing to stdout. A process has one stdout.
static STDOUT_FAILURE: OnceLock<String> = OnceLock::new();

/// A line of a result, with some words in colour on terminals. Text from others may be passed raw,
/// because printing escapes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

/// How a part of a line looks on terminals. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Good,
    Bad,
    Strong,
}

impl Line {
    /// Words for success, green.
    pub fn good(words: impl Into<String>) -> Line {
        Line(vec![(Style::Good, words.into())])
    }

    /// Words for failure, red.
    pub fn bad(words: impl Into<String>) -> Line {
        Line(vec![(Style::Bad, words.into())])
    }

    /// Emphasis.
    pub fn strong(words: impl Into<String>) -> Line {
        Line(vec![(Style::Strong, words.into())])
    }

    /// Appends more text to the line.
    #[must_use]
    pub fn and(mut self, more: impl Into<Line>) -> Line {
        self.0.extend(more.into().0);
        self
    }
}

impl From<String> for Line {
    fn from(text: String) -> Line {
        Line(vec![(Style::Plain, text)])
    }
}

impl From<&String> for Line {
    fn from(text: &String) -> Line {
        text.clone().into()
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Line {
        text.to_owned().into()
    }
}

/// What a command prints, and how.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
    remarks: bool,
    color: bool,
    progress: bool,
}

/// The result of a command that ran to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// [`Exit::Done`], or [`Exit::Refused`] when something is not proven.
    pub exit: Exit,
    /// The one object that `--json` prints.
    pub object: Value,
}

impl Outcome {
    /// Everything is done.
    pub fn done(object: Value) -> Outcome {
        Outcome { exit: Exit::Done, object }
    }

    /// Done if `all_well`, else refused.
    pub fn judged(all_well: bool, object: Value) -> Outcome {
        Outcome { exit: if all_well { Exit::Done } else { Exit::Refused }, object }
    }
}

impl Output {
    /// Decides by the flags, by `NO_COLOR`, and by whether stdout and stderr are terminals.
    pub fn new(json: bool, quiet: bool) -> Output {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Output {
            json,
            quiet,
            remarks: !quiet,
            color: !no_color && std::io::stdout().is_terminal(),
            progress: !quiet && !json && std::io::stderr().is_terminal(),
        }
    }

    /// The same for a command whose lines are its data: `-q` keeps them.
    #[must_use]
    pub fn for_data(self) -> Output {
        Output { quiet: false, ..self }
    }

    /// The same without remarks, for a command that another command runs.
    #[must_use]
    pub fn for_story(self) -> Output {
        Output { remarks: false, progress: false, ..self }
    }

    /// Prints nothing, for a command whose result another command uses.
    #[must_use]
    pub fn silent(self) -> Output {
        Output { json: true, quiet: true, remarks: false, progress: false, ..self }
    }

    /// Whether `--json` was given.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether progress may be drawn.
    pub fn draws_progress(&self) -> bool {
        self.progress
    }

    /// A line of the result for people; nothing with `--json` or `-q`.
    pub fn line(&self, line: impl Into<Line>) {
        if !self.json && !self.quiet {
            put(&format!("{}\n", self.rendered(&line.into())));
        }
    }

    /// Several lines of the result for people.
    pub fn block(&self, text: &Escaped) {
        if !self.json && !self.quiet {
            put(&format!("{}\n", text.as_str()));
        }
    }

    /// Prints the command's data: the exact bytes, or escaped text on a terminal. Prints nothing
    /// with `--json`, whose object holds the data.
    ///
    /// # Errors
    /// [`Failure`] when stdout cannot be written.
    pub fn data(&self, bytes: &[u8]) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        match std::io::stdout().is_terminal() {
            true => write_stdout(escape::file(bytes).as_bytes()),
            false => write_stdout(bytes),
        }
    }

    /// A remark on stderr; nothing with `-q`.
    pub fn note(&self, text: impl AsRef<str>) {
        if self.remarks {
            let _ = writeln!(std::io::stderr(), "{}", one_line(text.as_ref()));
        }
    }

    /// A warning on stderr, always.
    pub fn warn(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "warning: {}", one_line(text.as_ref()));
    }

    /// One failure among many, on stderr.
    pub fn problem(&self, failure: &Failure) {
        let mut err = std::io::stderr().lock();
        // one line each, so that text from others cannot imitate an error or a hint
        let (message, hint) = (one_line(&failure.message), one_line(&failure.hint));
        let _ = writeln!(err, "error: {message}\nhint: {hint}");
    }

    /// The line as it is printed.
    fn rendered(&self, line: &Line) -> String {
        let part = |(style, text): &(Style, String)| {
            let text = one_line(text);
            let code = match style {
                Style::Plain => return text,
                Style::Good => "32",
                Style::Bad => "31",
                Style::Strong => "1",
            };
            if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
        };
        line.0.iter().map(part).collect()
    }

    /// Prints the JSON object before the command ends. The command must then end with a `null`
    /// object.
    ///
    /// # Errors
    /// [`Failure`] when stdout cannot be written.
    pub fn object(&self, object: &Value) -> Result<(), Failure> {
        write_stdout(format!("{}\n", escape::json(object)).as_bytes())
    }

    /// Ends the program's output with the JSON object or the failure. Output that cannot be
    /// written, for instance on a full disk, is a failure too.
    pub fn finish(&self, result: &Result<Outcome, Failure>) -> Exit {
        let (exit, object) = match result {
            Ok(outcome) => (outcome.exit, outcome.object.clone()),
            Err(failure) => {
                self.problem(failure);
                (failure.exit, failure_object(failure))
            }
        };
        let written = match self.json && !object.is_null() {
            true => self.object(&object),
            false => Ok(()),
        };
        match written.and_then(|()| flushed()) {
            Ok(()) => exit,
            // it was reported before
            Err(failure) if result.as_ref().is_err_and(|own| *own == failure) => exit,
            Err(failure) => {
                self.problem(&failure);
                failure.exit
            }
        }
    }
}

/// A failure as JSON.
pub fn failure_object(failure: &Failure) -> Value {
    serde_json::json!({ "error": failure.message, "hint": failure.hint })
}

/// Prints the help text that clap made.
///
/// # Errors
/// [`Failure`] when stdout cannot be written.
pub fn print_help(help: &clap::Error) -> Result<(), Failure> {
    help.print().map_err(|e| full(&e.to_string())).and_then(|()| flushed())
}

fn one_line(text: &str) -> String {
    escape::escaped(text, LineMode::One)
}

/// Prints text of a result, and remembers an error for the end of the program.
fn put(text: &str) {
    keep(std::io::stdout().lock().write_all(text.as_bytes()));
}

fn keep(written: std::io::Result<()>) {
    match written {
        // a reader that has closed the pipe, as `head` does, does not stop the work
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            STDOUT_FAILURE.get_or_init(|| e.to_string());
        }
        _ => {}
    }
}

/// Flushes stdout, and fails if anything could not be printed.
fn flushed() -> Result<(), Failure> {
    keep(std::io::stdout().lock().flush());
    STDOUT_FAILURE.get().map_or(Ok(()), |why| Err(full(why)))
}

fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| full(&e.to_string()))
}

fn full(why: &str) -> Failure {
    Failure::environment(format!("cannot write to stdout: {why}"), "is the disk full?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(color: bool) -> Output {
        Output { json: false, quiet: false, remarks: true, color, progress: false }
    }

    #[test]
    fn only_our_own_colours_reach_the_terminal() {
        let line = Line::good("ok").and(" \u{1b}[2J\u{202e}x\ny");
        let text = output(true).rendered(&line);
        assert_eq!(text, "\u{1b}[32mok\u{1b}[0m \\u{1b}[2J\\u{202e}x\\ny");
        assert_eq!(output(false).rendered(&Line::bad("\u{1b}[32mok")), "\\u{1b}[32mok");
    }

    #[test]
    fn text_that_looks_like_our_colours_gets_none() {
        // as a record may hold it: a backslash, and no escape character
        let line = Line::from("\\u{1b}[32mproven\\u{1b}[0m");
        let text = output(true).rendered(&line);
        assert_eq!(text, "\\\\u{1b}[32mproven\\\\u{1b}[0m");
        let line = Line::strong("\u{1b}[0m\u{1b}[32m");
        let text = output(true).rendered(&line);
        assert_eq!(text, "\u{1b}[1m\\u{1b}[0m\\u{1b}[32m\u{1b}[0m");
    }
}
