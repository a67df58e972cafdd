//! What goes where: data and results on stdout, all else on stderr, one object with `--json`.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

use crate::escape::{self, Lines};
use crate::failure::{Exit, Failure};

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
    remarks: bool,
    color: bool,
    progress: bool,
}

/// How a command that ran to its end ended.
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

    /// Done, or refused unless `all_well`.
    pub fn judged(all_well: bool, object: Value) -> Outcome {
        Outcome { exit: if all_well { Exit::Done } else { Exit::Refused }, object }
    }
}

impl Output {
    /// Looks at the flags, at `NO_COLOR` and at whether anybody is watching.
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

    /// The same for a command whose lines are its data: `-q` leaves them.
    #[must_use]
    pub fn for_data(self) -> Output {
        Output { quiet: false, ..self }
    }

    /// The same without remarks: for a command that another one runs.
    #[must_use]
    pub fn for_story(self) -> Output {
        Output { remarks: false, progress: false, ..self }
    }

    /// Says nothing: for a command whose result another one uses.
    #[must_use]
    pub fn silent(self) -> Output {
        Output { json: true, quiet: true, remarks: false, progress: false, ..self }
    }

    /// Whether one JSON object is wanted.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether progress may be drawn.
    pub fn draws_progress(&self) -> bool {
        self.progress
    }

    /// A line of the result for people; nothing with `--json` or `-q`.
    pub fn line(&self, text: impl AsRef<str>) {
        if !self.json && !self.quiet {
            // a reader that went away, as `head` does, is no reason to stop the work
            let _ = writeln!(std::io::stdout(), "{}", self.safe(text.as_ref()));
        }
    }

    /// The command's data, to the byte; nothing with `--json`, whose object holds it.
    ///
    /// # Errors
    /// [`Failure`] when stdout takes no more.
    pub fn data(&self, bytes: &[u8]) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        write_stdout(bytes)
    }

    /// A remark on stderr; nothing with `-q`.
    pub fn note(&self, text: impl AsRef<str>) {
        if self.remarks {
            let _ = writeln!(std::io::stderr(), "{}", self.safe(text.as_ref()));
        }
    }

    /// A warning on stderr, always.
    pub fn warn(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "warning: {}", escape::line(text.as_ref()));
    }

    /// One failure among many, on stderr.
    pub fn problem(&self, failure: &Failure) {
        let mut err = std::io::stderr().lock();
        // one line each: nobody's text can pass for an error or a hint of ours
        let (message, hint) = (escape::line(&failure.message), escape::line(&failure.hint));
        let _ = writeln!(err, "error: {message}\nhint: {hint}");
    }

    /// A word for success, green on terminals.
    pub fn good(&self, word: &str) -> String {
        self.paint(word, "32")
    }

    /// A word for failure, red on terminals.
    pub fn bad(&self, word: &str) -> String {
        self.paint(word, "31")
    }

    /// Emphasis on terminals.
    pub fn strong(&self, text: &str) -> String {
        self.paint(text, "1")
    }

    /// The text without what could drive the terminal, but with our own colours.
    fn safe(&self, text: &str) -> String {
        let mut safe = escape::shown(text, Lines::Many);
        if self.color {
            for code in ["32", "31", "1", "0"] {
                let escaped = format!("\\u{{1b}}[{code}m");
                safe = safe.replace(&escaped, &format!("\u{1b}[{code}m"));
            }
        }
        safe
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Prints the one object before the command ends, which must then end with `null`.
    ///
    /// # Errors
    /// [`Failure`] when stdout takes no more.
    pub fn object(&self, object: &Value) -> Result<(), Failure> {
        write_stdout(format!("{object}\n").as_bytes())
    }

    /// Ends the program's output: the one object, or the failure.
    pub fn finish(&self, result: &Result<Outcome, Failure>) -> Exit {
        let (exit, object) = match result {
            Ok(outcome) => (outcome.exit, outcome.object.clone()),
            Err(failure) => {
                self.problem(failure);
                (failure.exit, failure_object(failure))
            }
        };
        if self.json
            && !object.is_null()
            && let Err(failure) = write_stdout(format!("{object}\n").as_bytes())
        {
            self.problem(&failure);
            return Exit::Environment;
        }
        exit
    }
}

/// A failure as JSON.
pub fn failure_object(failure: &Failure) -> Value {
    serde_json::json!({ "error": failure.message, "hint": failure.hint })
}

fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| {
        Failure::environment(format!("cannot write to stdout: {e}"), "is the disk full?")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_colours_reach_the_terminal() {
        let out = Output { json: false, quiet: false, remarks: true, color: true, progress: false };
        let text = out.safe(&format!("{} \u{1b}[2J\u{202e}x", out.good("ok")));
        assert_eq!(text, "\u{1b}[32mok\u{1b}[0m \\u{1b}[2J\\u{202e}x");
        let plain = Output { color: false, ..out };
        assert_eq!(plain.safe("\u{1b}[32mok"), "\\u{1b}[32mok");
    }
}
