//! Looking for what settles questions: the tiles of the larger tree, from wherever the log is
//! served.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::gossip::Question;
use ledger_core::merkle::PrefixProof;

use super::Gossip;
use super::log_address::{LogAddress, MAX_BACK_OFF, NotProven, Pace};
use super::retired::Paired;
use crate::transport::Dialer;

/// How often questions are looked at that nobody answered before.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often the checkpoints of the logs are read.
const POLL: Duration = Duration::from_secs(10);

/// Times that one log's questions are looked at again as long as some are settled: whoever sends
/// many old heads does not have each wait for the next second.
const PASSES: usize = 256;

/// What is to be found out about one log.
struct Task {
    /// Where the list says that it can be read.
    addresses: Vec<String>,
    questions: Vec<(Question, Vec<String>)>,
}

/// Seeks until the gossip has gone. Each log has a thread of its own: one that is slow, or never
/// done, takes no other's turn.
pub(super) fn run(gossip: &Weak<Gossip>, waiting: &Receiver<()>) {
    let mut seekers: BTreeMap<Origin, SyncSender<Task>> = BTreeMap::new();
    while waiting.recv_timeout(LOOK_AGAIN) != Err(RecvTimeoutError::Disconnected) {
        let Some(held) = gossip.upgrade() else { return };
        if !held.compares {
            continue;
        }
        let tasks = tasks(&held);
        let dialer = held.dialer().clone();
        seekers.retain(|origin, _| held.knows(origin));
        drop(held);
        for (origin, task) in tasks {
            match seekers.entry(origin.clone()) {
                // one that is busy gets the next
                Entry::Occupied(seeker) => {
                    let _ = seeker.get().try_send(task);
                }
                Entry::Vacant(place) => match start(origin, gossip.clone(), dialer.clone(), task) {
                    Ok(seeker) => {
                        place.insert(seeker);
                    }
                    Err(error) => tracing::error!(%error, "nothing is sought of a log"),
                },
            }
        }
    }
}

fn tasks(gossip: &Gossip) -> BTreeMap<Origin, Task> {
    let mut tasks: BTreeMap<Origin, Task> = BTreeMap::new();
    let none = || Task { addresses: Vec::new(), questions: Vec::new() };
    for (origin, url) in gossip.addresses() {
        tasks.entry(origin).or_insert_with(none).addresses.push(url);
    }
    for origin in gossip.paired_logs() {
        tasks.entry(origin).or_insert_with(none);
    }
    for (question, urls) in gossip.questions() {
        let task = tasks.entry(question.origin.clone()).or_insert_with(none);
        task.questions.push((question, urls));
    }
    tasks
}

/// Starts the thread of one log, which ends when nobody can give it more to do.
fn start(
    origin: Origin,
    gossip: Weak<Gossip>,
    dialer: Dialer,
    first: Task,
) -> std::io::Result<SyncSender<Task>> {
    // nothing waits in between: it would be out of date
    let (seeker, given) = sync_channel(0);
    let seek = move || {
        let mut seeker = Seeker {
            origin,
            gossip,
            dialer,
            addresses: BTreeMap::new(),
            unshown: Vec::new(),
            polled: None,
        };
        seeker.seek(first);
        while let Ok(task) = given.recv() {
            seeker.seek(task);
        }
    };
    std::thread::Builder::new().name("gossip-log".to_owned()).spawn(seek)?;
    Ok(seeker)
}

/// The thread of one log.
struct Seeker {
    origin: Origin,
    gossip: Weak<Gossip>,
    dialer: Dialer,
    addresses: BTreeMap<String, LogAddress>,
    /// What was not shown at first: of a tree that the log has outgrown it may never be.
    unshown: Vec<(Question, Pace)>,
    polled: Option<Instant>,
}

impl Seeker {
    fn seek(&mut self, task: Task) {
        let asked = task.questions.iter().flat_map(|(_, urls)| urls);
        let paired = self.gossip.upgrade().and_then(|gossip| gossip.paired(&self.origin));
        let of_pair = paired.iter().flat_map(Paired::addresses);
        let known: Vec<&String> = task.addresses.iter().chain(asked).chain(of_pair).collect();
        self.addresses.retain(|url, _| known.contains(&url));
        if self.must_poll(&task.addresses) {
            for url in &task.addresses {
                let Some(place) = self.place(url).filter(|place| place.heads.is_due()) else {
                    continue;
                };
                let read = place.checkpoint();
                self.polled = Some(Instant::now());
                let head = read.and_then(|bytes| ClaimedCheckpoint::parse(&bytes).ok());
                // nothing is held while the log is waited for: the node may stop meanwhile
                let Some(gossip) = self.gossip.upgrade() else { return };
                gossip.observe(head.as_slice());
            }
        }
        if let Some(paired) = paired {
            self.look_into(&paired);
        }
        let mut questions = task.questions;
        for _ in 0..PASSES {
            if !self.settle(&questions) || self.must_poll(&task.addresses) {
                return;
            }
            let Some(gossip) = self.gossip.upgrade() else { return };
            questions = gossip.questions();
            questions.retain(|(question, _)| question.origin == self.origin);
        }
    }

    /// Reads the log's governance where two of its keys contradict each other.
    fn look_into(&mut self, paired: &Paired) {
        for url in paired.addresses() {
            let Some(place) = self.place(url).filter(|place| place.governance.is_due()) else {
                continue;
            };
            // where nothing comes of it, the alarm is raised
            place.governance.slow_down(MAX_BACK_OFF);
            place.tiles.clear();
            let Some(shown) = paired.read_at(place) else { continue };
            let Some(gossip) = self.gossip.upgrade() else { return };
            gossip.learn_keys(&self.origin, shown);
            if !gossip.paired_logs().contains(&self.origin) {
                self.addresses.values_mut().for_each(|place| place.governance = Pace::new());
                return;
            }
        }
    }

    /// Whether it is time to read a checkpoint at one of these addresses.
    fn must_poll(&mut self, addresses: &[String]) -> bool {
        self.polled.is_none_or(|polled| polled.elapsed() >= POLL)
            && addresses.iter().any(|url| self.place(url).is_some_and(|own| own.heads.is_due()))
    }

    /// Learns what the log shows about the first of these questions that can be settled: others may
    /// not have to be asked any more then. Whether there was one.
    fn settle(&mut self, questions: &[(Question, Vec<String>)]) -> bool {
        self.unshown.retain(|(own, _)| questions.iter().any(|(question, _)| question == own));
        for (question, urls) in questions {
            let before = self.unshown.iter().position(|(own, _)| own == question);
            if before.is_some_and(|at| !self.unshown[at].1.is_due()) {
                continue;
            }
            let Some(asked) = self.ask(question, urls) else { continue };
            let Some(gossip) = self.gossip.upgrade() else { return false };
            if asked.is_ok_and(|shown| gossip.resolve(question, &shown)) {
                return true;
            }
            // also what is shown and settles nothing is not asked for again at once
            let at = before.unwrap_or_else(|| {
                self.unshown.push((question.clone(), Pace::new()));
                self.unshown.len() - 1
            });
            self.unshown[at].1.slow_down(POLL);
        }
        false
    }

    /// What any of these addresses shows; `None` if none is reached.
    fn ask(
        &mut self,
        question: &Question,
        urls: &[String],
    ) -> Option<Result<PrefixProof, NotProven>> {
        let mut asked = None;
        for url in urls {
            match self.place(url).and_then(|place| place.prove(question)) {
                Some(Ok(shown)) => return Some(Ok(shown)),
                Some(not_shown) => asked = Some(not_shown),
                None => {}
            }
        }
        asked
    }

    fn place(&mut self, url: &str) -> Option<&mut LogAddress> {
        if !self.addresses.contains_key(url) {
            self.addresses.insert(url.to_owned(), LogAddress::open(&self.dialer, url)?);
        }
        self.addresses.get_mut(url)
    }
}
