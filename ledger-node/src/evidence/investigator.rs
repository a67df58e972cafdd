//! Two heads of one log that do not agree: fetches the larger tree's tiles and makes evidence of it.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::{Case, ClaimedEvidence, Conflict, EvidenceId, Heads};
use ledger_core::tile::{TileCoord, TileReader, TileSource};

use super::EvidenceStore;

/// Suspicions that wait: each holds two heads, and there is one a log at a time as a rule.
const MAX_WAITING: usize = 64;

/// Suspicions that could not be cleared up and are listed; older ones go first.
const MAX_UNRECONCILED: usize = 256;

/// Pauses before each attempt: a log that restarts is back within a minute.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];

/// Two heads that seem not to belong to one history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// The head of the smaller tree, or of one as large.
    pub older: ClaimedCheckpoint,
    /// The head of the larger tree, whose tiles are asked for.
    pub larger: ClaimedCheckpoint,
    /// Where the tiles are: a tlog-tiles prefix, or whatever the source understands.
    pub tiles: String,
}

/// A suspicion that nothing could be proven about: no conviction, but no more trust either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreconciled {
    /// The heads.
    pub suspicion: Suspicion,
    /// Why there is no verdict.
    pub why: String,
}

/// Reads the tiles of a log: the first argument is what [`Suspicion::tiles`] says.
pub type TilesOf = dyn Fn(&str, TileCoord) -> io::Result<Vec<u8>> + Send + Sync;

/// Clears suspicions up, one at a time, in a thread of its own that ends with the last handle.
#[derive(Debug, Clone)]
pub struct Investigator {
    queue: SyncSender<Suspicion>,
    unreconciled: Arc<Mutex<Vec<Unreconciled>>>,
}

impl Investigator {
    /// Begins.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(store: Arc<EvidenceStore>, tiles: Arc<TilesOf>) -> io::Result<Investigator> {
        Investigator::start_with(store, tiles, &PAUSES)
    }

    pub(super) fn start_with(
        store: Arc<EvidenceStore>,
        tiles: Arc<TilesOf>,
        pauses: &'static [Duration],
    ) -> io::Result<Investigator> {
        let (queue, waiting) = sync_channel(MAX_WAITING);
        let unreconciled = Arc::default();
        let list = Arc::clone(&unreconciled);
        let work = move || run(&waiting, &store, &*tiles, pauses, &list);
        std::thread::Builder::new().name("investigator".to_owned()).spawn(work)?;
        Ok(Investigator { queue, unreconciled })
    }

    /// Lays a suspicion before it, without waiting. Where too many wait it is listed as unreconciled.
    pub fn suspect(&self, suspicion: Suspicion) {
        match self.queue.try_send(suspicion) {
            Ok(()) => {}
            Err(TrySendError::Full(suspicion) | TrySendError::Disconnected(suspicion)) => {
                let why = "too many suspicions wait".to_owned();
                list(&self.unreconciled, Unreconciled { suspicion, why });
            }
        }
    }

    /// What nothing could be proven about since the node started.
    pub fn unreconciled(&self) -> Vec<Unreconciled> {
        self.unreconciled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn run(
    waiting: &Receiver<Suspicion>,
    store: &EvidenceStore,
    tiles: &TilesOf,
    pauses: &[Duration],
    unreconciled: &Mutex<Vec<Unreconciled>>,
) {
    while let Ok(suspicion) = waiting.recv() {
        let mut why = String::new();
        let mut cleared = false;
        for pause in pauses {
            std::thread::sleep(*pause);
            match investigate(store, &suspicion, tiles) {
                Ok(_) => {
                    cleared = true;
                    break;
                }
                Err(reason) => why = reason,
            }
        }
        if !cleared {
            list(unreconciled, Unreconciled { suspicion, why });
        }
    }
}

fn list(unreconciled: &Mutex<Vec<Unreconciled>>, new: Unreconciled) {
    let origin = new.suspicion.larger.checkpoint().origin();
    tracing::error!(%origin, why = %new.why, "unreconciled: two heads, and no proof either way");
    let mut all = unreconciled.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() == MAX_UNRECONCILED {
        all.remove(0);
    }
    all.push(new);
}

/// One attempt: the evidence that was made, none if the heads agree after all.
fn investigate(
    store: &EvidenceStore,
    suspicion: &Suspicion,
    tiles: &TilesOf,
) -> Result<Vec<EvidenceId>, String> {
    let heads = Heads { one: &suspicion.older, other: &suspicion.larger };
    let size = suspicion.larger.checkpoint().head().size;
    let mut nodes = TileReader::new(Tiles { tiles, at: &suspicion.tiles }, size);
    let conflict = Conflict::of_trees(heads, &mut nodes).map_err(|e| e.to_string())?;
    let Some(conflict) = conflict else { return Ok(Vec::new()) };
    let trust = store.trusted();
    let case = Case { trust: &trust, authority: &[] };
    let of_log = ClaimedEvidence::against_log(&conflict, case);
    let of_cosigners = trust
        .cosigners()
        .iter()
        .filter_map(|key| ClaimedEvidence::against_cosigner(&conflict, key, case));
    let made: Vec<ClaimedEvidence> = of_log.into_iter().chain(of_cosigners).collect();
    if made.is_empty() {
        return Err("the heads contradict each other, but by no key that is known here".to_owned());
    }
    for evidence in &made {
        store.add(evidence).map_err(|e| e.to_string())?;
    }
    Ok(made.iter().map(ClaimedEvidence::id).collect())
}

struct Tiles<'a> {
    tiles: &'a TilesOf,
    at: &'a str,
}

impl TileSource for Tiles<'_> {
    type Error = io::Error;

    fn read_tile(&mut self, coord: TileCoord) -> io::Result<Vec<u8>> {
        (self.tiles)(self.at, coord)
    }
}
