//! Reads report files: JSON lines or JSON documents, gzipped or not.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::failure::Failure;
use crate::files::{self, cannot_read};

/// Limit on the bytes of a line: far more than any record could hold.
const MAX_LINE: u64 = 4 << 20;

/// Limit on the unpacked bytes of a file of JSON documents, which is held in memory.
const MAX_DOCUMENT: u64 = 256 << 20;

/// One report, and the place where it was read.
#[derive(Debug)]
pub struct ReadReport {
    /// File and line, or file and number.
    pub place: String,
    /// The report, or why it could not be read.
    pub report: Result<Value, Failure>,
}

/// All reports of some files, read one at a time.
pub struct Reports {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<Box<dyn Iterator<Item = ReadReport> + Send>>,
}

impl Reports {
    /// Starts with the first file.
    pub fn new(files: Vec<PathBuf>) -> Reports {
        Reports { files: files.into_iter(), current: None }
    }
}

impl Iterator for Reports {
    type Item = ReadReport;

    fn next(&mut self) -> Option<ReadReport> {
        loop {
            if let Some(found) = self.current.as_mut().and_then(Iterator::next) {
                return Some(found);
            }
            let path = self.files.next()?;
            match open(&path) {
                Ok(reports) => self.current = Some(reports),
                Err(failure) => {
                    return Some(ReadReport {
                        place: path.display().to_string(),
                        report: Err(failure),
                    });
                }
            }
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn Iterator<Item = ReadReport> + Send>, Failure> {
    let file = files::open(path)?;
    let name = path.display().to_string();
    let (plain, bytes): (&str, Box<dyn Read + Send>) = match name.strip_suffix(".gz") {
        Some(plain) => (plain, Box::new(MultiGzDecoder::new(BufReader::new(file)))),
        None => (&name, Box::new(file)),
    };
    if plain.ends_with(".jsonl") || plain.ends_with(".ndjson") {
        let bytes = BufReader::new(bytes);
        return Ok(Box::new(Lines { name, path: path.to_owned(), bytes, line: 0, ended: false }));
    }
    document(path, bytes)
}

/// Reads a file of one object, one array of objects, or several documents.
fn document(
    path: &Path,
    bytes: Box<dyn Read + Send>,
) -> Result<Box<dyn Iterator<Item = ReadReport> + Send>, Failure> {
    let mut text = Vec::new();
    bytes.take(MAX_DOCUMENT + 1).read_to_end(&mut text).map_err(|e| cannot_read(path, &e))?;
    if text.len() as u64 > MAX_DOCUMENT {
        let message = format!("{} has more than {MAX_DOCUMENT} bytes", path.display());
        return Err(Failure::refused(message, "write it as JSON lines, one report a line"));
    }
    let mut reports = Vec::new();
    for value in serde_json::Deserializer::from_slice(&text).into_iter::<Value>() {
        match value {
            Ok(Value::Array(values)) => reports.extend(values.into_iter().map(Ok)),
            Ok(value) => reports.push(Ok(value)),
            Err(e) => reports.push(Err(not_json(&e))),
        }
    }
    let name = path.display().to_string();
    Ok(Box::new(reports.into_iter().enumerate().map(move |(at, report)| ReadReport {
        place: format!("{name}, report {}", at + 1),
        report,
    })))
}

fn not_json(error: &serde_json::Error) -> Failure {
    Failure::refused(format!("not JSON: {error}"), "fix the report, or leave it out")
}

/// A file of one report a line.
struct Lines {
    name: String,
    path: PathBuf,
    bytes: BufReader<Box<dyn Read + Send>>,
    line: u64,
    ended: bool,
}

impl Lines {
    /// The next line without its newline; `None` at the end.
    fn read(&mut self) -> Option<Result<Vec<u8>, Failure>> {
        let mut line = Vec::new();
        let read = (&mut self.bytes).take(MAX_LINE + 1).read_until(b'\n', &mut line);
        match read {
            Ok(0) => None,
            Ok(_) if line.len() as u64 > MAX_LINE => {
                let rest = self.skip_rest();
                let message = format!("the line has more than {MAX_LINE} bytes");
                let hint = "a record holds at most 65,000 bytes: shorten the report";
                Some(Err(rest.err().unwrap_or_else(|| Failure::refused(message, hint))))
            }
            Ok(_) => Some(Ok(line)),
            Err(e) => {
                self.ended = true;
                Some(Err(cannot_read(&self.path, &e)))
            }
        }
    }

    /// Skips to the next line.
    fn skip_rest(&mut self) -> Result<(), Failure> {
        loop {
            let chunk = self.bytes.fill_buf().map_err(|e| cannot_read(&self.path, &e))?;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let (used, ended) = (end.map_or(chunk.len(), |at| at + 1), end.is_some());
            let empty = chunk.is_empty();
            self.bytes.consume(used);
            if ended || empty {
                return Ok(());
            }
        }
    }
}

impl Iterator for Lines {
    type Item = ReadReport;

    fn next(&mut self) -> Option<ReadReport> {
        while !self.ended {
            let line = self.read()?;
            self.line += 1;
            let report = match line {
                Ok(line) if line.trim_ascii().is_empty() => continue,
                Ok(line) => serde_json::from_slice(&line).map_err(|e| not_json(&e)),
                Err(failure) => Err(failure),
            };
            return Some(ReadReport {
                place: format!("{}, line {}", self.name, self.line),
                report,
            });
        }
        None
    }
}
