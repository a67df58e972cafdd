//! Helpers for damaged, incomplete or badly served copies of a log.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Run, clean};

/// What the test server answers.
pub enum Answer {
    Body(Vec<u8>),
    Status(&'static str),
}

impl Answer {
    /// A file, or 404.
    pub fn file(path: &Path) -> Answer {
        std::fs::read(path).map_or(Answer::Status("404 Not Found"), Answer::Body)
    }
}

/// An HTTP server that runs for as long as the test.
pub struct Served {
    pub url: String,
}

impl Served {
    pub fn folder(folder: PathBuf) -> Served {
        Served::start(move |path| Answer::file(&folder.join(path)))
    }

    pub fn start(answer: impl Fn(&str) -> Answer + Send + 'static) -> Served {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                // reads the rest of the request head, so that closing does not reset the connection
                let _ = lines.take_while(|line| !line.is_empty()).count();
                let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
                let (status, body) = match answer(path) {
                    Answer::Body(body) => ("200 OK", body),
                    Answer::Status(status) => (status, Vec::new()),
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            }
        });
        Served { url }
    }
}

/// The counts of an audit, which add up to the size.
#[track_caller]
pub fn fates(object: &serde_json::Value, size: u64) -> std::collections::BTreeMap<String, u64> {
    let counts = object["counts"].as_object().expect("counts");
    let counts: std::collections::BTreeMap<String, u64> =
        counts.iter().map(|(name, n)| (name.clone(), n.as_u64().expect("a number"))).collect();
    assert_eq!(counts.values().sum::<u64>(), size, "{object}");
    counts
}

/// Makes a named pipe at the path.
pub fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
}

/// Makes a file unreadable for all accounts except root.
pub fn make_unreadable(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).expect("set");
}

/// Runs `ledger` as an account to which file modes apply, because root can read everything.
pub fn run_as_nobody(dir: &Path, args: &[&str]) -> Run {
    let is_root = std::fs::metadata(dir).expect("a folder").uid() == 0;
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.args(args).stdin(Stdio::null());
    if is_root {
        // other accounts may enter the folder
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).expect("set");
        command.uid(65_534).gid(65_534);
    }
    clean(&mut command);
    Run::of(command.output().expect("the program starts"))
}
