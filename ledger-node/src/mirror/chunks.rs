//! Chunks of a log on their way into the copy: the next ones are gathered, and looked at, while one
//! is judged and written.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use ledger_core::TreeSize;
use ledger_core::charter::Charter;
use ledger_core::lawful::CheckedEntry;
use ledger_core::tile::TILE_WIDTH;

use super::feed::{FeedError, Prefetch};

/// Entries of the largest chunk: between two chunks some forty files are made durable.
const CHUNK_ENTRIES: usize = 32 * TILE_WIDTH as usize;

/// Bytes after which a chunk takes no further bundle, which may bring 16 MiB at most.
const CHUNK_BYTES: usize = 16 << 20;

/// Chunks that are held ready beside the one that is written and the one that is gathered.
const READY: usize = 1;

/// Entries that are written together.
#[derive(Debug)]
pub struct Chunk {
    /// The entries.
    pub entries: Vec<Vec<u8>>,
    /// What each of them shows, where a charter was at hand.
    pub looks: Option<Vec<CheckedEntry>>,
}

/// The chunks up to the end of a tree, one after another.
#[derive(Debug)]
pub struct Chunks {
    ready: Receiver<Result<Chunk, FeedError>>,
    at_hand: AtHand,
}

/// The charter that entries are looked at with; it may be behind.
type AtHand = Arc<Mutex<Option<Arc<Charter>>>>;

impl Chunks {
    /// Begins to gather the entries between two sizes. It ends when nobody takes them any more.
    pub fn gather<'scope>(
        scope: &'scope Scope<'scope, '_>,
        ahead: Prefetch,
        (from, end): (TreeSize, TreeSize),
        charter: Option<Arc<Charter>>,
    ) -> Chunks {
        let at_hand = Arc::new(Mutex::new(charter));
        let (send, ready) = sync_channel(READY);
        let own = Arc::clone(&at_hand);
        scope.spawn(move || run(ahead, end.get().saturating_sub(from.get()), &own, &send));
        Chunks { ready, at_hand }
    }

    /// The next chunk.
    pub fn next(&self) -> Result<Chunk, FeedError> {
        self.ready.recv().map_err(|_| FeedError::ended())?
    }

    /// What comes from now on is looked at with this charter.
    pub fn follow(&self, charter: Option<Arc<Charter>>) {
        *self.at_hand.lock().unwrap_or_else(PoisonError::into_inner) = charter;
    }
}

fn run(
    mut ahead: Prefetch,
    mut left: u64,
    at_hand: &AtHand,
    send: &SyncSender<Result<Chunk, FeedError>>,
) {
    while left > 0 {
        let chunk = gather(&mut ahead, left).map(|entries| {
            let charter = at_hand.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Chunk { looks: charter.map(|charter| look(&charter, &entries)), entries }
        });
        let failed = chunk.is_err();
        left -= chunk.as_ref().map_or(0, |chunk| chunk.entries.len() as u64);
        if send.send(chunk).is_err() || failed {
            return;
        }
    }
}

fn gather(ahead: &mut Prefetch, left: u64) -> Result<Vec<Vec<u8>>, FeedError> {
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    while entries.len() < CHUNK_ENTRIES.min(left) && bytes < CHUNK_BYTES {
        let more = ahead.next()?;
        bytes += more.iter().map(Vec::len).sum::<usize>();
        entries.extend(more);
    }
    entries.truncate(left);
    Ok(entries)
}

/// Looks at entries on all cores.
pub fn look(charter: &Charter, entries: &[Vec<u8>]) -> Vec<CheckedEntry> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = entries.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = entries
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    part.iter().map(|e| CheckedEntry::at(charter, e)).collect::<Vec<_>>()
                })
            })
            .collect();
        let join = |part: std::thread::ScopedJoinHandle<'_, Vec<CheckedEntry>>| match part.join() {
            Ok(looks) => looks,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        parts.into_iter().flat_map(join).collect()
    })
}
