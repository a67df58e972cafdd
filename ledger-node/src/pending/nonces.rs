//! Numbers that requests have used: no request is acted upon twice, also after a restart.
//!
//! The file has a first line with the latest time that requests were judged by, and a line for each
//! number. A line is durable before its request is acted upon. A number is forgotten once its
//! request has ended, by a time that never goes back: what is forgotten can never be valid again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ledger_core::request::{MemberRequest, Nonce, RequestError};

use crate::refusal::PendingRefusal;
use crate::small_files;
use crate::store::StoreError;

/// The first word of the file.
const FORMAT: &str = "ledger-nonces/v1";

/// Requests that one member may make in the ten minutes for which they are remembered: a program
/// that looks every second, and room to spare.
pub const MAX_PER_MEMBER: usize = 1024;

/// Lines that the file may have above twice the needed ones before it is written anew.
const SLACK: usize = 1024;

/// The numbers in use.
#[derive(Debug)]
pub struct Nonces {
    path: PathBuf,
    /// By member: each number, and when its request ends.
    used: BTreeMap<String, BTreeMap<Nonce, u64>>,
    /// The latest time that a request was judged by.
    latest: u64,
    lines: usize,
    /// Missing after a write failed: nobody knows how the file ends.
    file: Option<File>,
}

impl Nonces {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a file that is damaged before its last line: without it an old
    /// request could be repeated. [`StoreError::Io`].
    pub fn open(path: PathBuf) -> Result<Nonces, StoreError> {
        let mut nonces = Nonces { path, used: BTreeMap::new(), latest: 0, lines: 0, file: None };
        match fs::read(&nonces.path) {
            Ok(bytes) => nonces.read(&bytes).ok_or_else(|| {
                let path = nonces.path.display();
                StoreError::Damaged(format!(
                    "{path} is no list of used requests; wait ten minutes and remove it"
                ))
            })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(StoreError::io("read", &nonces.path)(e)),
        }
        nonces.write_anew()?;
        Ok(nonces)
    }

    /// The time to judge by: the clock's, but never before one that was judged by.
    pub fn time(&self, clock: u64) -> u64 {
        clock.max(self.latest)
    }

    /// Uses a request's number up, which is durable when this returns; gives the time to go by.
    ///
    /// # Errors
    /// [`PendingRefusal::Replayed`], [`PendingRefusal::TooManyRequests`],
    /// [`PendingRefusal::Storage`]; [`PendingRefusal::Request`] if it has ended.
    pub fn take(&mut self, request: &MemberRequest, time: u64) -> Result<u64, PendingRefusal> {
        self.latest = self.time(time);
        let (latest, expires) = (self.latest, request.expires());
        if expires <= latest {
            // others were judged since it was verified: its number may be forgotten already
            return Err(RequestError::Expired { expires, time: latest }.into());
        }
        self.used.retain(|_, own| {
            own.retain(|_, expires| *expires > latest);
            !own.is_empty()
        });
        let own = self.used.entry(request.member().to_owned()).or_default();
        if own.contains_key(&request.nonce()) {
            return Err(PendingRefusal::Replayed);
        }
        if own.len() >= MAX_PER_MEMBER {
            return Err(PendingRefusal::TooManyRequests(request.member().to_owned()));
        }
        own.insert(request.nonce(), expires);
        self.remember(request).map_err(|e| PendingRefusal::Storage(e.to_string()))?;
        Ok(latest)
    }

    fn remember(&mut self, request: &MemberRequest) -> Result<(), StoreError> {
        let live: usize = self.used.values().map(BTreeMap::len).sum();
        if self.lines > 2 * live + SLACK || self.file.is_none() {
            return self.write_anew();
        }
        let line = line(self.latest, request.expires(), &request.nonce(), request.member());
        // taken away while it is written: after a failure the whole file is written anew
        let mut file = self.file.take().expect("looked at above");
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(StoreError::io("write", &self.path))?;
        self.file = Some(file);
        self.lines += 1;
        Ok(())
    }

    fn write_anew(&mut self) -> Result<(), StoreError> {
        let mut text = format!("{FORMAT} {}\n", self.latest);
        self.lines = 0;
        for (member, own) in &self.used {
            for (nonce, expires) in own {
                text.push_str(&line(self.latest, *expires, nonce, member));
                self.lines += 1;
            }
        }
        self.file = None;
        small_files::replace(&self.path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&self.path);
        self.file = Some(file.map_err(StoreError::io("open", &self.path))?);
        Ok(())
    }

    /// Takes what the file says; what follows the last newline was never acted upon.
    fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let end = bytes.iter().rposition(|byte| *byte == b'\n')?;
        let mut lines = std::str::from_utf8(&bytes[..end]).ok()?.split('\n');
        self.latest = lines.next()?.strip_prefix(FORMAT)?.strip_prefix(' ')?.parse().ok()?;
        for line in lines {
            let mut words = line.splitn(4, ' ');
            let seen: u64 = words.next()?.parse().ok()?;
            let expires: u64 = words.next()?.parse().ok()?;
            let nonce = Nonce::parse(words.next()?)?;
            let member = words.next()?.to_owned();
            self.latest = self.latest.max(seen);
            self.used.entry(member).or_default().insert(nonce, expires);
        }
        Some(())
    }
}

fn line(seen: u64, expires: u64, nonce: &Nonce, member: &str) -> String {
    format!("{seen} {expires} {nonce} {member}\n")
}

/// The file's name in the folder of drafts.
pub fn path(folder: &Path) -> PathBuf {
    folder.join("requests")
}
