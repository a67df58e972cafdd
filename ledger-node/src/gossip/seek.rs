//! Looking for what settles questions: the tiles of the larger tree, from wherever the log is
//! served.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::gossip::Question;
use ledger_core::merkle::{Beginning, BeginningError};
use ledger_core::tile::{TileCoord, TileReadError, TileReader, TileSource};

use super::Gossip;
use super::retired::Paired;
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

/// Times that one log's questions are looked at again as long as some are settled: whoever sends
/// many old heads does not have each wait for the next second.
const PASSES: usize = 256;

/// Tiles of a log that are kept between its questions: all of them are about the right edge of one
/// tree.
const KEPT_TILES: usize = 32;

/// An address.
pub(super) struct Place {
    source: Source,
    /// Of its checkpoint, and of its tiles: whatever becomes of old tiles must keep nobody from the
    /// newest head.
    heads: Pace,
    proofs: Pace,
    governance: Pace,
    tiles: VecDeque<(TileCoord, Vec<u8>)>,
}

/// When something may be asked for again.
struct Pace {
    due: Instant,
    back_off: Duration,
}

impl Place {
    fn open(dialer: &Dialer, url: &str) -> Option<Place> {
        let source = Source::open_within(dialer, url, TIMEOUT).ok()?;
        let pace = Pace::new;
        let (heads, proofs, governance) = (pace(), pace(), pace());
        Some(Place { source, heads, proofs, governance, tiles: VecDeque::new() })
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The log's checkpoint.
    fn checkpoint(&mut self) -> Option<Vec<u8>> {
        let read = self.source.checkpoint();
        self.heads.note(read.as_ref().err());
        read.ok()
    }

    /// What the larger tree was at the smaller size, out of its tiles; `None` if it is not time to
    /// ask, or the address is not reached.
    fn show(&mut self, question: &Question) -> Option<Result<Beginning, NotShown>> {
        if !self.proofs.is_due() {
            return None;
        }
        let Question { smaller, larger, .. } = question;
        let tiles = Tiles { place: self, until: Instant::now() + BUDGET };
        let shown = Beginning::read(&mut TileReader::new(tiles, larger.size), smaller.size, larger);
        let failed = match &shown {
            Err(BeginningError::Read(TileReadError::Source(error))) => Some(error),
            _ => None,
        };
        self.proofs.note(failed);
        let is_unreached = failed.is_some_and(|error| matches!(error, ReadError::Failed(_)));
        if shown.is_err() {
            // one of those that were kept may be what is wrong
            self.tiles.clear();
        }
        (!is_unreached).then(|| shown.map_err(|_| NotShown))
    }
}

impl Pace {
    fn new() -> Pace {
        Pace { due: Instant::now(), back_off: BACK_OFF }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// A file that is not there is the log's matter; an address that is not reached is left alone.
    fn note(&mut self, error: Option<&ReadError>) {
        match error {
            Some(error @ ReadError::Failed(_)) => {
                tracing::debug!(%error, "a log's files");
                self.slow_down(MAX_BACK_OFF);
            }
            _ => *self = Pace::new(),
        }
    }

    /// Pauses, each time for twice as long, up to a longest pause.
    fn slow_down(&mut self, most: Duration) {
        self.due = Instant::now() + self.back_off;
        self.back_off = (self.back_off * 2).min(most);
    }
}

/// The log has not the tiles any more, or not yet, or others.
struct NotShown;

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
            places: BTreeMap::new(),
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
    places: BTreeMap<String, Place>,
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
        self.places.retain(|url, _| known.contains(&url));
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
                gossip.hear(head.as_slice());
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
                self.places.values_mut().for_each(|place| place.governance = Pace::new());
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
            if asked.is_ok_and(|shown| gossip.learn(question, &shown)) {
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
    fn ask(&mut self, question: &Question, urls: &[String]) -> Option<Result<Beginning, NotShown>> {
        let mut asked = None;
        for url in urls {
            match self.place(url).and_then(|place| place.show(question)) {
                Some(Ok(shown)) => return Some(Ok(shown)),
                Some(not_shown) => asked = Some(not_shown),
                None => {}
            }
        }
        asked
    }

    fn place(&mut self, url: &str) -> Option<&mut Place> {
        if !self.places.contains_key(url) {
            self.places.insert(url.to_owned(), Place::open(&self.dialer, url)?);
        }
        self.places.get_mut(url)
    }
}

/// The tiles of a log, as long as its time lasts.
pub(super) struct Tiles<'a> {
    pub(super) place: &'a mut Place,
    pub(super) until: Instant,
}

impl TileSource for Tiles<'_> {
    type Error = ReadError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, ReadError> {
        let kept = &mut self.place.tiles;
        if let Some((_, tile)) = kept.iter().find(|(own, _)| *own == coord) {
            return Ok(tile.clone());
        }
        if Instant::now() >= self.until {
            return Err(ReadError::Failed("its tiles come too slowly".to_owned()));
        }
        let tile = self.place.source.tile(coord)?;
        if kept.len() == KEPT_TILES {
            kept.pop_front();
        }
        kept.push_back((coord, tile.clone()));
        Ok(tile)
    }
}
