//! Edits the lists of logs in a node's directory. Comments and the order of the other lines stay.

use std::path::{Path, PathBuf};

use ledger_node::listed::MAX_LIST_BYTES;

use crate::failure::Failure;
use crate::files;

/// One list, and the text of its file.
pub struct LogList<T> {
    path: PathBuf,
    text: String,
    parse: fn(&str) -> Result<Vec<T>, String>,
    /// The command that prints the list, for hints.
    command: &'static str,
}

impl<T> LogList<T> {
    /// Reads the list in the file `name` of a node's directory. A missing file is an empty list.
    ///
    /// # Errors
    /// [`Failure`] when the directory is not a node's, or the file cannot be read.
    pub fn read(
        dir: &Path,
        name: &str,
        parse: fn(&str) -> Result<Vec<T>, String>,
        command: &'static str,
    ) -> Result<LogList<T>, Failure> {
        if !dir.join("config.toml").exists() {
            let message = format!("{} is not the directory of a log", dir.display());
            return Err(Failure::environment(
                message,
                "give the directory that `ledger-node init` made",
            ));
        }
        let path = dir.join(name);
        let mut text = String::new();
        if path.exists() {
            let limit = usize::try_from(MAX_LIST_BYTES).unwrap_or(usize::MAX);
            text = String::from_utf8(files::read(&path, limit)?).map_err(|_| {
                let message = format!("{} is not UTF-8", path.display());
                Failure::refused(message, "fix it with an editor")
            })?;
        }
        Ok(LogList { path, text, parse, command })
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The logs in a text of the list's format; `None` if it is malformed.
    pub fn parse(&self, text: &str) -> Option<Vec<T>> {
        (self.parse)(text).ok()
    }

    /// The logs in the list.
    ///
    /// # Errors
    /// [`Failure`] names the line that is malformed.
    pub fn logs(&self) -> Result<Vec<T>, Failure> {
        (self.parse)(&self.text).map_err(|error| {
            let message = format!("{}: {error}", self.path.display());
            Failure::refused(message, "fix it with an editor")
        })
    }

    /// Adds a line to the file. Returns the logs of the line, and those of the new list. `expected`
    /// is the hint for a malformed line.
    ///
    /// # Errors
    /// [`Failure`] when the line is malformed or the list has it already, or the file cannot be
    /// written.
    pub fn add(&mut self, line: &str, expected: &str) -> Result<(Vec<T>, Vec<T>), Failure> {
        // the line is parsed alone first, so that an error names no line of the file
        let alone = (self.parse)(line)
            .map_err(|error| Failure::usage(error.trim_start_matches("line 1: "), expected))?;
        let gap = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
        let all = self.replace(
            format!("{}{gap}{line}", self.text),
            &format!("see the list with `{}`", self.command),
        )?;
        Ok((alone, all))
    }

    /// Removes the lines of these logs from the file, and returns them. `what` names them.
    ///
    /// # Errors
    /// [`Failure`] when the list has none of them, is malformed, or cannot be written.
    pub fn remove(&mut self, what: &str, is_it: impl Fn(&T) -> bool) -> Result<Vec<T>, Failure> {
        let removed: Vec<T> = self.logs()?.into_iter().filter(&is_it).collect();
        if removed.is_empty() {
            return Err(self.missing(what));
        }
        let keeps = |line: &&str| !self.parse(line).is_some_and(|one| one.iter().any(&is_it));
        let kept: String = self.text.split_inclusive('\n').filter(keeps).collect();
        files::replace(&self.path, kept.as_bytes())?;
        Ok(removed)
    }

    /// Writes a new text, and returns its logs. `hint` is for a malformed text.
    ///
    /// # Errors
    /// [`Failure`] when the text is malformed, or the file cannot be written.
    pub fn replace(&mut self, text: String, hint: &str) -> Result<Vec<T>, Failure> {
        let all = (self.parse)(&text).map_err(|error| Failure::refused(error, hint))?;
        files::replace(&self.path, text.as_bytes())?;
        self.text = text;
        Ok(all)
    }

    /// The failure for a log that is not in the list.
    pub fn missing(&self, what: &str) -> Failure {
        Failure::refused(format!("{what} is not in the list"), format!("see `{}`", self.command))
    }
}
