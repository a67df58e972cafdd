//! An address at which a log can be read, and how often it may be asked.

use crate::source::{Source, SourceError};
use crate::transport::Dialer;
use ledger_core::gossip::Question;
use ledger_core::merkle::{BeginningError, PrefixProof};
use ledger_core::tile::{TileCoord, TileReadError, TileReader, TileSource};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long one file may take: a log that is slower is asked again later.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// How long all files of one question may take: the proof of the largest tree is in some twenty.
pub(super) const BUDGET: Duration = Duration::from_secs(15);

/// How long an address that failed is left alone: at first, and at most.
pub(super) const BACK_OFF: Duration = Duration::from_secs(1);

pub(super) const MAX_BACK_OFF: Duration = Duration::from_secs(60);

/// Tiles of a log that are kept between its questions: all of them are about the right edge of one
/// tree.
pub(super) const KEPT_TILES: usize = 32;

/// An address.
pub(super) struct LogAddress {
    source: Source,
    /// Of its checkpoint, and of its tiles: whatever becomes of old tiles must keep nobody from the
    /// newest head.
    pub(super) heads: Pace,
    pub(super) proofs: Pace,
    pub(super) governance: Pace,
    pub(super) tiles: VecDeque<(TileCoord, Vec<u8>)>,
}

/// When something may be asked for again.
pub(super) struct Pace {
    due: Instant,
    back_off: Duration,
}

impl LogAddress {
    pub(super) fn open(dialer: &Dialer, url: &str) -> Option<LogAddress> {
        let source = Source::open_within(dialer, url, TIMEOUT).ok()?;
        let pace = Pace::new;
        let (heads, proofs, governance) = (pace(), pace(), pace());
        Some(LogAddress { source, heads, proofs, governance, tiles: VecDeque::new() })
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The log's checkpoint.
    pub(super) fn checkpoint(&mut self) -> Option<Vec<u8>> {
        let read = self.source.checkpoint();
        self.heads.note(read.as_ref().err());
        read.ok()
    }

    /// What the larger tree was at the smaller size, out of its tiles; `None` if it is not time to
    /// ask, or the address is not reached.
    pub(super) fn prove(&mut self, question: &Question) -> Option<Result<PrefixProof, NotProven>> {
        if !self.proofs.is_due() {
            return None;
        }
        let Question { smaller, larger, .. } = question;
        let tiles = AddressTiles { address: self, until: Instant::now() + BUDGET };
        let shown =
            PrefixProof::read(&mut TileReader::new(tiles, larger.size), smaller.size, larger);
        let failed = match &shown {
            Err(BeginningError::Read(TileReadError::Source(error))) => Some(error),
            _ => None,
        };
        self.proofs.note(failed);
        let is_unreached = failed.is_some_and(|error| matches!(error, SourceError::Failed(_)));
        if shown.is_err() {
            // one of those that were kept may be what is wrong
            self.tiles.clear();
        }
        (!is_unreached).then(|| shown.map_err(|_| NotProven))
    }
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { due: Instant::now(), back_off: BACK_OFF }
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// A file that is not there is the log's matter; an address that is not reached is left alone.
    pub(super) fn note(&mut self, error: Option<&SourceError>) {
        match error {
            Some(error @ SourceError::Failed(_)) => {
                tracing::debug!(%error, "a log's files");
                self.slow_down(MAX_BACK_OFF);
            }
            _ => *self = Pace::new(),
        }
    }

    /// Pauses, each time for twice as long, up to a longest pause.
    pub(super) fn slow_down(&mut self, most: Duration) {
        self.due = Instant::now() + self.back_off;
        self.back_off = (self.back_off * 2).min(most);
    }
}

/// The log has not the tiles any more, or not yet, or others.
pub(super) struct NotProven;

/// The tiles of a log, as long as its time lasts.
pub(super) struct AddressTiles<'a> {
    pub(super) address: &'a mut LogAddress,
    pub(super) until: Instant,
}

impl TileSource for AddressTiles<'_> {
    type Error = SourceError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, SourceError> {
        let kept = &mut self.address.tiles;
        if let Some((_, tile)) = kept.iter().find(|(own, _)| *own == coord) {
            return Ok(tile.clone());
        }
        if Instant::now() >= self.until {
            return Err(SourceError::Failed("its tiles come too slowly".to_owned()));
        }
        let tile = self.address.source.tile(coord)?;
        if kept.len() == KEPT_TILES {
            kept.pop_front();
        }
        kept.push_back((coord, tile.clone()));
        Ok(tile)
    }
}
