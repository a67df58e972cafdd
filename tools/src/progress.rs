//! One line on the terminal that shows the progress of a long command.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::output::Output;

/// How often the line is redrawn.
const EVERY: Duration = Duration::from_millis(100);

/// A progress line on stderr, drawn only on terminals.
#[derive(Debug)]
pub struct Progress {
    drawing: bool,
    drawn: Option<Instant>,
    started: Instant,
}

impl Progress {
    /// Starts the clock.
    pub fn new(out: &Output) -> Progress {
        Progress { drawing: out.draws_progress(), drawn: None, started: Instant::now() }
    }

    /// Draws how many items are done, of how many if known.
    pub fn at(&mut self, what: &str, done: u64, of: Option<u64>) {
        if !self.drawing || self.drawn.is_some_and(|drawn| drawn.elapsed() < EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        let rate = done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
        let _ = write!(std::io::stderr(), "\r\u{1b}[K{what}: {done}{of} ({rate:.0}/s)");
    }

    /// Clears the line, so that other output can be printed.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
