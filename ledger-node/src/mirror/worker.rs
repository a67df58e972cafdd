//! The threads that copy: one a log of the list, and one that follows the list.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::copy::{Done, LogCopy};
use super::list::{MirrorList, Mirrored};
use super::served::{CopyTrouble, ServedCopy};
use super::trouble::Trouble;
use super::{Common, MirrorError};

/// How often the list is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How often a source is asked for a new checkpoint.
const POLL: Duration = Duration::from_secs(1);

/// The longest pause after failures; it doubles from [`POLL`] on.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// How often the clock is looked at where an entry's time has not come.
const WATCH_CLOCK: Duration = Duration::from_millis(200);

/// How long a node that stops waits for requests that are under way.
const PATIENCE: Duration = Duration::from_secs(3);

/// The thread that follows the list. It ends, and all workers with it, when this is dropped.
pub struct Manager {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct MirrorWorker {
    log: Mirrored,
    served: Arc<ServedCopy>,
    stopping: Arc<AtomicBool>,
    _stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Manager {
    pub fn start(list: MirrorList, common: Arc<Common>) -> Result<Manager, MirrorError> {
        let (stop, stopped) = sync_channel(0);
        let thread = std::thread::Builder::new().name("mirrors".into());
        let thread = thread.spawn(move || follow(&list, &common, &stopped));
        let thread = thread.map_err(MirrorError::Thread)?;
        Ok(Manager { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // a thread that panicked has said so
            let _ = thread.join();
        }
    }
}

fn follow(list: &MirrorList, common: &Arc<Common>, stopped: &Receiver<()>) {
    let mut workers: BTreeMap<String, MirrorWorker> = BTreeMap::new();
    let mut leaving: Vec<MirrorWorker> = Vec::new();
    loop {
        let now = list.now();
        let unlisted = workers.extract_if(.., |_, worker| !now.contains(&worker.log));
        for (_, worker) in unlisted {
            worker.stopping.store(true, Ordering::Release);
            worker.served.note(|status| {
                *status = super::Status { copied: status.copied, ..super::Status::default() }
            });
            leaving.push(MirrorWorker { _stop: sync_channel(0).0, ..worker });
        }
        leaving.retain(|worker| !worker.thread.is_finished());
        for log in now {
            let name = log.origin.to_string();
            // one copy has one writer, also where the list names another source now
            let busy = leaving.iter().any(|worker| worker.log.origin == log.origin);
            if busy || workers.contains_key(&name) {
                continue;
            }
            match begin(log, common) {
                Ok(worker) => {
                    workers.insert(name, worker);
                }
                Err(error) => tracing::error!(origin = %name, %error, "a log is not mirrored"),
            }
        }
        match stopped.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => break,
        }
    }
    for worker in workers.values() {
        worker.stopping.store(true, Ordering::Release);
    }
    let threads: Vec<_> = workers.into_values().chain(leaving).map(|own| own.thread).collect();
    // a request that hangs must not keep the node from stopping; nothing is half done without it
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && threads.iter().any(|thread| !thread.is_finished()) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn begin(log: Mirrored, common: &Arc<Common>) -> Result<MirrorWorker, MirrorError> {
    let row = common.store().read(&log.origin)?;
    let served = common.served(&log.origin, &row)?;
    served.note(|status| status.source.clone_from(&log.source));
    let stopping = Arc::new(AtomicBool::new(false));
    let (_stop, stopped) = sync_channel(0);
    let job = MirrorJob {
        log: log.clone(),
        common: Arc::clone(common),
        served: Arc::clone(&served),
        stopping: Arc::clone(&stopping),
    };
    let thread = std::thread::Builder::new().name("mirror".into());
    let thread = thread.spawn(move || job.run(&stopped)).map_err(MirrorError::Thread)?;
    Ok(MirrorWorker { log, served, stopping, _stop, thread })
}

struct MirrorJob {
    log: Mirrored,
    common: Arc<Common>,
    served: Arc<ServedCopy>,
    stopping: Arc<AtomicBool>,
}

impl MirrorJob {
    fn run(self, stopped: &Receiver<()>) {
        let mut copy = None;
        let mut pause = POLL;
        loop {
            let done = self.round(&mut copy);
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            let wait = match done {
                Ok(done) => {
                    if done != Done::Renewed {
                        self.served.note(|status| status.trouble = None);
                        pause = POLL;
                    }
                    if done == Done::Cosigned { Duration::ZERO } else { POLL }
                }
                Err(Trouble::Stopped) => return,
                Err(trouble) => {
                    self.report(&trouble);
                    match trouble {
                        Trouble::Mirror(MirrorError::Keep(_)) => return,
                        Trouble::Future { until, .. } => {
                            if !self.await_clock(until, stopped) {
                                return;
                            }
                            Duration::ZERO
                        }
                        // it ends as soon as somebody shows what is missing
                        Trouble::Unreconciled { .. } => POLL,
                        Trouble::Store(_) | Trouble::Own(_) | Trouble::Index(_) => {
                            // what is on the disk is looked at anew
                            copy = None;
                            pause = (pause * 2).min(MAX_PAUSE);
                            pause
                        }
                        _ => {
                            let now = pause;
                            pause = (pause * 2).min(MAX_PAUSE);
                            now
                        }
                    }
                }
            };
            match stopped.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return,
            }
        }
    }

    fn round(&self, copy: &mut Option<LogCopy>) -> Result<Done, Trouble> {
        let copy = match copy {
            Some(copy) => copy,
            None => {
                let (common, served) = (Arc::clone(&self.common), Arc::clone(&self.served));
                let stopping = Arc::clone(&self.stopping);
                copy.insert(LogCopy::open(self.log.clone(), common, served, stopping)?)
            }
        };
        copy.round()
    }

    /// Waits until the clock says so; whether the copying goes on.
    fn await_clock(&self, until: u64, stopped: &Receiver<()>) -> bool {
        while self.common.clock.now() < until {
            match stopped.recv_timeout(WATCH_CLOCK) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return false,
            }
        }
        true
    }

    fn report(&self, trouble: &Trouble) {
        let now = self.common.clock.now();
        let reason = CopyTrouble { kind: trouble.kind(), text: trouble.to_string() };
        self.served.note(|status| {
            let since = match &status.trouble {
                Some((before, since)) if before.kind == reason.kind => *since,
                _ => {
                    let origin = &self.log.origin;
                    tracing::warn!(%origin, kind = reason.kind, why = %reason.text, "mirror");
                    now
                }
            };
            status.trouble = Some((reason, since));
        });
    }
}
