//! Looking for what settles questions: the tiles of the larger tree, from wherever the log is served.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::gossip::Question;
use ledger_core::merkle::Beginning;
use ledger_core::tile::{TileCoord, TileReader, TileSource};

use super::Gossip;
use crate::source::{ReadError, Source};
use crate::transport::Dialer;

/// How long one file may take: a log that is slower is asked again later.
const TIMEOUT: Duration = Duration::from_secs(5);

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

/// Seeks until the gossip has gone.
pub(super) fn run(gossip: &Weak<Gossip>, waiting: &Receiver<()>) {
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    let mut polled: Option<Instant> = None;
    while waiting.recv_timeout(LOOK_AGAIN) != Err(RecvTimeoutError::Disconnected) {
        let Some(gossip) = gossip.upgrade() else { return };
        if !gossip.compares {
            continue;
        }
        if polled.is_none_or(|polled| polled.elapsed() >= POLL) {
            polled = Some(Instant::now());
            let addresses = gossip.addresses();
            places.retain(|url, _| addresses.contains(url));
            for url in addresses {
                let place = place(&mut places, gossip.dialer(), &url);
                let read = place.and_then(|place| place.ask(|source| source.checkpoint()));
                let head = read.and_then(|bytes| ClaimedCheckpoint::parse(&bytes).ok());
                gossip.hear(head.as_slice());
            }
        }
        for (question, urls) in gossip.questions() {
            for url in urls {
                let place = place(&mut places, gossip.dialer(), &url);
                if let Some(shown) = place.and_then(|place| place.ask(|s| show(s, &question))) {
                    gossip.learn(&question, &shown);
                    break;
                }
            }
        }
    }
}

fn place<'a>(
    places: &'a mut BTreeMap<String, Place>,
    dialer: &Dialer,
    url: &str,
) -> Option<&'a mut Place> {
    if !places.contains_key(url) {
        places.insert(url.to_owned(), Place::open(dialer, url)?);
    }
    places.get_mut(url)
}

/// What the larger tree was at the smaller size, out of its tiles.
fn show(source: &Source, question: &Question) -> Result<Beginning, ReadError> {
    let Question { smaller, larger, .. } = question;
    let mut nodes = TileReader::new(Tiles(source), larger.size);
    Beginning::read(&mut nodes, smaller.size, larger)
        .map_err(|error| ReadError::Failed(error.to_string()))
}

struct Tiles<'a>(&'a Source);

impl TileSource for Tiles<'_> {
    type Error = ReadError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, ReadError> {
        self.0.tile(coord)
    }
}
