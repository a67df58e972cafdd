//! The tree half of an audit: every entry re-hashed, every hash tile rebuilt and compared.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use ledger_core::hash::Hash;
use ledger_core::index::{LeafIndex, TreeSize};
use ledger_core::merkle::{Frontier, ProveError, TreeHead, prove_inclusion, verify_inclusion};
use ledger_core::tile::{
    HashTile, TILE_HEIGHT, TILE_WIDTH, TileCoord, TileKind, TileReadError, TileReader,
};

use super::report::Report;
use crate::failure::Failure;
use ledger_node::source::{ReadError, Source, split_bundle};

/// Blocks that are read before they are needed.
const AHEAD: usize = 4;

const WIDTH: usize = TILE_WIDTH as usize;

/// Up to 256 entries and their leaf hashes, as the source has them.
#[derive(Debug)]
pub struct Block {
    /// The first entry's index.
    pub first: u64,
    bundle: (TileCoord, Result<Vec<u8>, ReadError>),
    tile: (TileCoord, Result<Vec<u8>, ReadError>),
}

/// The entries of a block that are what the tree commits to; the others are known to be wrong.
#[derive(Debug, Default)]
pub struct Entries {
    bytes: Vec<u8>,
    spans: Vec<Option<(usize, usize)>>,
}

impl Entries {
    /// The entries in order; `None` for one that was altered or is missing.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.spans.iter().map(|span| span.map(|(start, end)| &self.bytes[start..end]))
    }
}

/// A hash tile that is being rebuilt.
#[derive(Debug, Default)]
struct Rebuilt {
    index: u64,
    hashes: Vec<Hash>,
}

/// Rebuilds the tree and compares it with the source's.
#[derive(Debug)]
pub struct TreeCheck<'a> {
    source: &'a Source,
    head: TreeHead,
    since: Option<TreeHead>,
    since_seen: Option<TreeHead>,
    frontier: Frontier,
    /// Tile levels 1 and up; level 0 is compared block by block.
    upper: Vec<Rebuilt>,
    /// Leaves of which neither entry nor hash could be read: the tree cannot be rebuilt.
    lost: bool,
    tiles: u64,
}

/// Reads the log's blocks in a thread of their own, a few ahead.
pub fn read_ahead<'scope>(
    scope: &'scope Scope<'scope, '_>,
    source: &'scope Source,
    size: TreeSize,
) -> Receiver<Result<Block, Failure>> {
    let (send, blocks) = sync_channel(AHEAD);
    scope.spawn(move || {
        for index in 0..size.get().div_ceil(u64::from(TILE_WIDTH)) {
            if send.send(read_block(source, index, size)).is_err() {
                return;
            }
        }
    });
    blocks
}

fn read_block(source: &Source, index: u64, size: TreeSize) -> Result<Block, Failure> {
    let read = |kind| -> Result<_, Failure> {
        let coord = TileCoord::in_tree(kind, index, size).expect("the block lies in the tree");
        Ok((coord, reachable(source.tile(coord), coord)?))
    };
    let bundle = read(TileKind::Entries)?;
    let tile = read(TileKind::Hashes(0))?;
    Ok(Block { first: index * u64::from(TILE_WIDTH), bundle, tile })
}

/// A network or disk that fails is no finding about the log.
fn reachable(
    read: Result<Vec<u8>, ReadError>,
    coord: TileCoord,
) -> Result<Result<Vec<u8>, ReadError>, Failure> {
    match read {
        Err(ReadError::Failed(why)) => Err(Failure::environment(
            format!("{coord} cannot be read: {why}"),
            "run the audit again when the source can be reached",
        )),
        other => Ok(other),
    }
}

impl<'a> TreeCheck<'a> {
    /// Begins with an empty tree.
    pub fn new(source: &'a Source, head: TreeHead, since: Option<TreeHead>) -> TreeCheck<'a> {
        let upper = Vec::new();
        let frontier = Frontier::new();
        let since_seen = since.filter(|since| since.size.is_empty()).map(|_| TreeHead::EMPTY);
        TreeCheck { source, head, since, since_seen, frontier, upper, lost: false, tiles: 0 }
    }

    /// Where the log is read from.
    pub fn source(&self) -> &'a Source {
        self.source
    }

    /// The signed head.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// How many leaves were seen.
    pub fn size(&self) -> TreeSize {
        self.frontier.size()
    }

    /// How many hash tiles were compared.
    pub fn tiles_checked(&self) -> u64 {
        self.tiles
    }

    /// Checks a block and returns the entries that the tree commits to.
    ///
    /// # Errors
    /// [`Failure`] when the source cannot be reached.
    pub fn check(&mut self, block: Block, report: &mut Report) -> Result<Entries, Failure> {
        let (coord, tile) = block.tile;
        let width = usize::from(coord.width());
        let hashes = self.level0(coord, tile, report);
        let (bundle, bytes) = block.bundle;
        let bytes = bytes.unwrap_or_else(|e| {
            report.damaged(&bundle.to_string(), &e.to_string());
            Vec::new()
        });
        let (spans, whole) = split_bundle(&bytes, width);
        let torn = !whole && !bytes.is_empty();
        let mut entries = Entries { spans: Vec::with_capacity(width), bytes };
        let mut blamed = false;
        for at in 0..width {
            let index = block.first + at as u64;
            let span = spans.get(at).copied().filter(|_| !(torn && blamed));
            let entry = span.map(|(start, end)| Hash::leaf(&entries.bytes[start..end]));
            let hash = hashes.as_ref().map(|hashes| hashes[at]);
            let (leaf, sound) = match (entry, hash) {
                (Some(entry), Some(hash)) if entry == hash => (entry, true),
                (Some(_), Some(hash)) if torn => {
                    self.torn(index, bundle, report);
                    blamed = true;
                    (hash, false)
                }
                (Some(entry), Some(hash)) => {
                    self.decide(index, (entry, bundle), (hash, coord), report)?
                }
                (Some(entry), None) => (entry, true),
                (None, Some(hash)) => {
                    if torn && !blamed {
                        self.torn(index, bundle, report);
                        blamed = true;
                    }
                    (hash, false)
                }
                (None, None) => {
                    self.lost = true;
                    (Hash::EMPTY_ROOT, false)
                }
            };
            entries.spans.push(span.filter(|_| sound));
            self.push(leaf, report)?;
        }
        if torn && !blamed {
            report.damaged(&bundle.to_string(), "it holds more than its entries");
        }
        Ok(entries)
    }

    fn torn(&self, index: u64, bundle: TileCoord, report: &mut Report) {
        let why = format!("{bundle} is damaged here: from this entry on it cannot be read");
        report.altered(index, &why);
    }

    /// The hashes of a level 0 tile, unless it is damaged.
    fn level0(
        &mut self,
        coord: TileCoord,
        tile: Result<Vec<u8>, ReadError>,
        report: &mut Report,
    ) -> Option<Vec<Hash>> {
        let width = usize::from(coord.width());
        match tile {
            Err(e) => report.damaged(&coord.to_string(), &e.to_string()),
            Ok(bytes) if bytes.len() != width * Hash::LEN => {
                report.damaged(&coord.to_string(), &wrong_length(&bytes, width));
            }
            Ok(bytes) => {
                self.tiles += 1;
                return HashTile::parse(coord, &bytes).map(|tile| tile.hashes().to_vec());
            }
        }
        None
    }

    /// Entry and tile disagree: whichever leads to the signed root is right. Returns the leaf to go
    /// on with, and whether the entry is sound.
    fn decide(
        &self,
        index: u64,
        (entry, bundle): (Hash, TileCoord),
        (hash, tile): (Hash, TileCoord),
        report: &mut Report,
    ) -> Result<(Hash, bool), Failure> {
        if self.leads_to_root(index, &hash)? {
            let why = format!(
                "{bundle} holds other bytes than were signed: its leaf hash is {entry}, but {tile} and the signed root hold \
                 {hash}"
            );
            report.altered(index, &why);
            return Ok((hash, false));
        }
        if self.leads_to_root(index, &entry)? {
            let why = format!(
                "the hash of entry {index} was altered: it is {hash}, but the entry and the signed \
                 root hold {entry}"
            );
            report.damaged(&tile.to_string(), &why);
            return Ok((entry, true));
        }
        let why = format!(
            "its leaf hash in {bundle} is {entry}, but {tile} holds {hash}; neither leads to the \
             signed root"
        );
        report.altered(index, &why);
        Ok((entry, false))
    }

    /// Tiles that are damaged lead nowhere; a network that fails is no finding.
    fn leads_to_root(&self, index: u64, leaf: &Hash) -> Result<bool, Failure> {
        let Ok(index) = LeafIndex::new(index) else { return Ok(false) };
        let mut nodes = TileReader::new(self.source, self.head.size);
        match prove_inclusion(&mut nodes, index, self.head.size) {
            Ok(proof) => Ok(verify_inclusion(&proof, leaf, index, &self.head).is_ok()),
            Err(ProveError::Read(TileReadError::Source(ReadError::Failed(why)))) => {
                Err(Failure::environment(
                    format!("a tile cannot be read: {why}"),
                    "run the audit again when the source can be reached",
                ))
            }
            Err(_) => Ok(false),
        }
    }

    fn push(&mut self, leaf: Hash, report: &mut Report) -> Result<(), Failure> {
        let mut completed = Vec::new();
        let pushed = self.frontier.push(leaf, |node, hash| {
            if node.level > 0 && node.level % TILE_HEIGHT == 0 {
                completed.push((node.level / TILE_HEIGHT, hash));
            }
        });
        pushed.map_err(|e| Failure::refused(e.to_string(), "no log can be so large"))?;
        for (level, hash) in completed {
            let at = usize::from(level) - 1;
            if self.upper.len() <= at {
                self.upper.push(Rebuilt::default());
            }
            let tile = &mut self.upper[at];
            tile.hashes.push(hash);
            if tile.hashes.len() == WIDTH {
                let coord = TileCoord::full(TileKind::Hashes(level), tile.index);
                let hashes = std::mem::take(&mut tile.hashes);
                tile.index += 1;
                self.compare(coord, &hashes, report)?;
            }
        }
        if self.since.is_some_and(|since| since.size == self.frontier.size()) {
            self.since_seen = Some(self.frontier.head());
        }
        Ok(())
    }

    /// Compares a rebuilt tile of an upper level with the source's, byte for byte.
    fn compare(
        &mut self,
        coord: TileCoord,
        rebuilt: &[Hash],
        report: &mut Report,
    ) -> Result<(), Failure> {
        if self.lost {
            return Ok(());
        }
        let bytes = match reachable(self.source.tile(coord), coord)? {
            Ok(bytes) => bytes,
            Err(e) => {
                report.damaged(&coord.to_string(), &e.to_string());
                return Ok(());
            }
        };
        if bytes.len() != rebuilt.len() * Hash::LEN {
            report.damaged(&coord.to_string(), &wrong_length(&bytes, rebuilt.len()));
            return Ok(());
        }
        self.tiles += 1;
        let wrong = bytes.chunks_exact(Hash::LEN).zip(rebuilt).position(|(a, b)| a != b.as_bytes());
        if let (Some(at), TileKind::Hashes(level)) = (wrong, coord.kind()) {
            let leaves = 1u64 << (u32::from(level) * u32::from(TILE_HEIGHT));
            let first = (coord.index() * u64::from(TILE_WIDTH) + at as u64) * leaves;
            let last = first + leaves - 1;
            let why = format!("hash {at} is not that of entries {first} to {last} as rebuilt");
            report.damaged(&coord.to_string(), &why);
        }
        Ok(())
    }

    /// Compares what is left at the right edge, and the root.
    ///
    /// # Errors
    /// [`Failure`] when the source cannot be reached.
    pub fn finish(&mut self, report: &mut Report) -> Result<(), Failure> {
        if report.is_full() {
            return Ok(());
        }
        for at in 0..self.upper.len() {
            let tile = std::mem::take(&mut self.upper[at]);
            let kind = TileKind::Hashes(u8::try_from(at + 1).expect("a tree has few levels"));
            let coord = TileCoord::in_tree(kind, tile.index, self.head.size);
            if let Some(coord) = coord.filter(|_| !tile.hashes.is_empty()) {
                self.compare(coord, &tile.hashes, report)?;
            }
        }
        if self.lost {
            report.wrong_tree("the root cannot be rebuilt: entries and their hashes are missing");
            return Ok(());
        }
        let rebuilt = self.frontier.head();
        if rebuilt != self.head {
            report.wrong_tree(&format!(
                "the root of the {} entries is {}, but {} was signed",
                rebuilt.size,
                rebuilt.root.to_base64(),
                self.head.root.to_base64()
            ));
        }
        self.finish_since(report);
        Ok(())
    }

    fn finish_since(&self, report: &mut Report) {
        let Some(since) = self.since else { return };
        if since.size > self.head.size {
            let (old, new) = (since.size, self.head.size);
            report.wrong_tree(&format!("the log shrank: from {old} entries to {new}"));
        } else if self.since_seen != Some(since) {
            report.wrong_tree(&format!(
                "the log was rewritten: its first {} entries are not those of the older checkpoint",
                since.size
            ));
        }
    }
}

fn wrong_length(bytes: &[u8], hashes: usize) -> String {
    format!("it has {} bytes, not {} for {hashes} hashes", bytes.len(), hashes * Hash::LEN)
}
