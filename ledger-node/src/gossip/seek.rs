//! Looking for what settles questions: the tiles of the larger tree, from wherever the log is served.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::gossip::Question;
use ledger_core::merkle::Beginning;
use ledger_core::tile::{TileCoord, TileReader, TileSource};

use super::Gossip;
use crate::source::{ReadError, Source};
use crate::transport::Dialer;

/// How long one file may take: a log that is slower is asked again later.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long all files of one question may take: the proof of the largest tree is in some twenty.
const BUDGET: Duration = Duration::from_secs(15);

/// How often questions are looked at that nobody answered before.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often the checkpoints of the logs are read.
const POLL: Duration = Duration::from_secs(10);

/// How long an address that failed is left alone: at first, and at most.
const BACK_OFF: Duration = Duration::from_secs(1);
const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// An address, and when it may be asked again.
struct Place {
    source: Source,
    due: Instant,
    back_off: Duration,
}

impl Place {
    fn open(dialer: &Dialer, url: &str) -> Option<Place> {
        let source = Source::open_within(dialer, url, TIMEOUT).ok()?;
        Some(Place { source, due: Instant::now(), back_off: BACK_OFF })
    }

    /// Asks if it is time, and remembers whether that went well.
    fn ask<T>(&mut self, ask: impl FnOnce(&Source) -> Result<T, ReadError>) -> Option<T> {
        if Instant::now() < self.due {
            return None;
        }
        match ask(&self.source) {
            Ok(found) => {
                self.back_off = BACK_OFF;
                Some(found)
            }
            Err(error) => {
                tracing::debug!(%error, "a log's files");
                self.due = Instant::now() + self.back_off;
                self.back_off = (self.back_off * 2).min(MAX_BACK_OFF);
                None
            }
        }
    }
}

/// What is to be found out about one log.
struct Task {
    /// Where the list says that it can be read.
    addresses: Vec<String>,
    questions: Vec<(Question, Vec<String>)>,
}

/// Seeks until the gossip has gone. Each log has a thread of its own: one that is slow, or never done,
/// takes no other's turn.
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
            match seekers.entry(origin) {
                // one that is busy gets the next
                Entry::Occupied(seeker) => {
                    let _ = seeker.get().try_send(task);
                }
                Entry::Vacant(place) => match start(gossip.clone(), dialer.clone(), task) {
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
    for (question, urls) in gossip.questions() {
        let task = tasks.entry(question.origin.clone()).or_insert_with(none);
        task.questions.push((question, urls));
    }
    tasks
}

/// Starts the thread of one log, which ends when nobody can give it more to do.
fn start(gossip: Weak<Gossip>, dialer: Dialer, first: Task) -> std::io::Result<SyncSender<Task>> {
    // nothing waits in between: it would be out of date
    let (seeker, given) = sync_channel(0);
    let seek = move || {
        let mut seeker = Seeker { gossip, dialer, places: BTreeMap::new(), polled: None };
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
    gossip: Weak<Gossip>,
    dialer: Dialer,
    places: BTreeMap<String, Place>,
    polled: Option<Instant>,
}

impl Seeker {
    fn seek(&mut self, task: Task) {
        let asked = task.questions.iter().flat_map(|(_, urls)| urls);
        let known: Vec<&String> = task.addresses.iter().chain(asked).collect();
        self.places.retain(|url, _| known.contains(&url));
        if self.polled.is_none_or(|polled| polled.elapsed() >= POLL) {
            self.polled = Some(Instant::now());
            for url in &task.addresses {
                let read = self.place(url).and_then(|place| place.ask(|s| s.checkpoint()));
                let head = read.and_then(|bytes| ClaimedCheckpoint::parse(&bytes).ok());
                // nothing is held while the log is waited for: the node may stop meanwhile
                let Some(gossip) = self.gossip.upgrade() else { return };
                gossip.hear(head.as_slice());
            }
        }
        for (question, urls) in task.questions {
            let mut shown = urls.iter().filter_map(|url| {
                self.place(url).and_then(|place| place.ask(|source| show(source, &question)))
            });
            let Some(shown) = shown.next() else { continue };
            let Some(gossip) = self.gossip.upgrade() else { return };
            gossip.learn(&question, &shown);
        }
    }

    fn place(&mut self, url: &str) -> Option<&mut Place> {
        if !self.places.contains_key(url) {
            self.places.insert(url.to_owned(), Place::open(&self.dialer, url)?);
        }
        self.places.get_mut(url)
    }
}

/// What the larger tree was at the smaller size, out of its tiles.
fn show(source: &Source, question: &Question) -> Result<Beginning, ReadError> {
    let Question { smaller, larger, .. } = question;
    let tiles = Tiles { source, until: Instant::now() + BUDGET };
    let mut nodes = TileReader::new(tiles, larger.size);
    Beginning::read(&mut nodes, smaller.size, larger)
        .map_err(|error| ReadError::Failed(error.to_string()))
}

/// The tiles of a log, as long as its time lasts.
struct Tiles<'a> {
    source: &'a Source,
    until: Instant,
}

impl TileSource for Tiles<'_> {
    type Error = ReadError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, ReadError> {
        if Instant::now() >= self.until {
            return Err(ReadError::Failed("its tiles come too slowly".to_owned()));
        }
        self.source.tile(coord)
    }
}
