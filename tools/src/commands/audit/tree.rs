//! The first half of an audit: hashes every entry, rebuilds every hash tile, and compares them.
//!
//! A hash tile shows which entry is damaged, and lets the rest of the tree be rebuilt. It does not
//! replace an entry: an entry without the right bytes is never `lawful`.

use std::collections::BTreeMap;

use ledger_core::hash::Hash;
use ledger_core::index::TreeSize;
use ledger_core::merkle::{Frontier, PrefixProof, TreeHead};
use ledger_core::tile::{
    BlockProver, HashTile, TILE_HEIGHT, TILE_WIDTH, TileCoord, TileKind, TileReader, TileSource,
};

use super::block::{Block, Bundle, Entries};
use super::fate::{Fate, Footing, Root};
use super::report::Report;
use crate::failure::Failure;
use ledger_node::source::{Source, SourceError};

const WIDTH: usize = TILE_WIDTH as usize;

/// A hash tile that is being rebuilt.
#[derive(Debug, Default)]
struct Rebuilt {
    index: u64,
    hashes: Vec<Hash>,
}

/// Hash tiles for proofs. A tile that could not be read is not requested again, because each
/// attempt over a network may take half a minute.
#[derive(Debug)]
struct Tiles<'a> {
    source: &'a Source,
    failed: BTreeMap<TileCoord, SourceError>,
}

/// Rebuilds the tree and compares it with the source's.
#[derive(Debug)]
pub struct TreeCheck<'a> {
    source: &'a Source,
    head: TreeHead,
    prover: BlockProver<Tiles<'a>>,
    since: Option<TreeHead>,
    since_seen: Option<TreeHead>,
    frontier: Frontier,
    /// Tile levels 1 and up; level 0 is compared block by block.
    upper: Vec<Rebuilt>,
    /// Set if neither the entry nor the hash of some leaf is known, so that the tree cannot be
    /// rebuilt. Holds the reason.
    lost: Option<Root>,
    tiles: u64,
}

/// The leaves of a block, as far as they are known.
struct Leaves {
    hashes: Vec<Option<Hash>>,
    footing: Footing,
}

impl<'a> TreeCheck<'a> {
    /// Starts with an empty tree.
    pub fn new(source: &'a Source, head: TreeHead, since: Option<TreeHead>) -> TreeCheck<'a> {
        let tiles = Tiles { source, failed: BTreeMap::new() };
        TreeCheck {
            source,
            head,
            prover: BlockProver::new(tiles, head),
            since,
            since_seen: since.filter(|since| since.size.is_empty()).map(|_| TreeHead::EMPTY),
            frontier: Frontier::new(),
            upper: Vec::new(),
            lost: None,
            tiles: 0,
        }
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

    /// Ends the check early: the remaining blocks are not read.
    pub fn give_up(&mut self) {
        self.lost.get_or_insert(Root::Unread);
    }

    /// Checks a block. Returns its entries, and the fate of each one that is not right.
    ///
    /// # Errors
    /// [`Failure`] when no tree can have that many leaves.
    pub fn check(&mut self, block: Block, report: &mut Report) -> Result<Entries, Failure> {
        let Block { first, bundle, tile: (coord, tile) } = block;
        let unread = matches!(tile, Err(SourceError::Failed(_)));
        let tile = self.level0(coord, tile, report);
        let bundle = Bundle::read(bundle, report);
        let unread = unread || bundle.lacking() == Some(Fate::Unread);
        let own: Vec<Hash> = bundle.entries().map(Hash::leaf).collect();
        let Leaves { hashes, footing } = self.leaves(coord, (tile.as_deref(), &own), report);
        for leaf in &hashes {
            match leaf {
                Some(leaf) => self.push(*leaf, report)?,
                None => {
                    let why = if unread { Root::Unread } else { Root::Other };
                    self.lost.get_or_insert(why);
                    self.push(Hash::EMPTY_ROOT, report)?;
                }
            }
        }
        Ok(bundle.judge((first, &own), (&hashes, coord), footing, report))
    }

    /// The hashes of a level 0 tile, unless it is damaged.
    fn level0(
        &mut self,
        coord: TileCoord,
        tile: Result<Vec<u8>, SourceError>,
        report: &mut Report,
    ) -> Option<Vec<Hash>> {
        let width = usize::from(coord.width());
        match tile {
            Err(e) => {
                report.not_read(coord, &e);
            }
            Ok(bytes) if bytes.len() != width * Hash::LEN => {
                report.damaged(coord, &wrong_length(&bytes, width));
            }
            Ok(bytes) => {
                self.tiles += 1;
                return HashTile::parse(coord, &bytes).map(|tile| tile.hashes().to_vec());
            }
        }
        None
    }

    /// The leaves of the signed tree in this block: those of the tile or those of the entries,
    /// whichever lead to the signed root.
    fn leaves(
        &mut self,
        coord: TileCoord,
        (tile, own): (Option<&[Hash]>, &[Hash]),
        report: &mut Report,
    ) -> Leaves {
        let known = |hashes: &[Hash]| Leaves {
            hashes: hashes.iter().copied().map(Some).collect(),
            footing: Footing::Proven,
        };
        if let Some(tile) = tile.filter(|tile| self.proves(coord.index(), tile)) {
            return known(tile);
        }
        let whole = own.len() == usize::from(coord.width());
        if whole && tile.is_none_or(|tile| tile != own) && self.proves(coord.index(), own) {
            let differs = tile.and_then(|tile| tile.iter().zip(own).position(|(a, b)| a != b));
            if let (Some(at), Some(tile)) = (differs, tile) {
                let index = coord.index() * u64::from(TILE_WIDTH) + at as u64;
                let why = format!(
                    "the hash of entry {index} was altered: it is {}, but the entry and the \
                     signed root hold {}",
                    tile[at], own[at]
                );
                report.damaged(coord, &why);
            }
            return known(own);
        }
        let width = usize::from(coord.width());
        let hashes = (0..width).map(|at| {
            let hash = tile.and_then(|tile| tile.get(at)).or(own.get(at));
            hash.copied()
        });
        Leaves { hashes: hashes.collect(), footing: Footing::Unproven }
    }

    /// Whether these are the signed leaves of a block. An unread tile proves nothing; it is
    /// reported when it is compared.
    fn proves(&mut self, number: u64, leaves: &[Hash]) -> bool {
        self.prover.proves(number, leaves).unwrap_or(false)
    }

    fn push(&mut self, leaf: Hash, report: &mut Report) -> Result<(), Failure> {
        let mut completed = Vec::new();
        let pushed = self.frontier.push(leaf, |node, hash| {
            if node.level > 0 && node.level % TILE_HEIGHT == 0 {
                completed.push((node.level / TILE_HEIGHT, hash));
            }
        });
        pushed.map_err(|e| Failure::refused(e.to_string(), "no log can be this large"))?;
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
                self.compare(coord, &hashes, report);
            }
        }
        if self.lost.is_none() && self.since.is_some_and(|since| since.size == self.size()) {
            self.since_seen = Some(self.frontier.head());
        }
        Ok(())
    }

    /// Compares a rebuilt tile of an upper level with the source's, byte for byte.
    fn compare(&mut self, coord: TileCoord, rebuilt: &[Hash], report: &mut Report) {
        if self.lost.is_some() {
            return;
        }
        let bytes = match self.source.tile(coord) {
            Ok(bytes) => bytes,
            Err(e) => {
                report.not_read(coord, &e);
                return;
            }
        };
        if bytes.len() != rebuilt.len() * Hash::LEN {
            report.damaged(coord, &wrong_length(&bytes, rebuilt.len()));
            return;
        }
        self.tiles += 1;
        let wrong = bytes.chunks_exact(Hash::LEN).zip(rebuilt).position(|(a, b)| a != b.as_bytes());
        if let (Some(at), TileKind::Hashes(level)) = (wrong, coord.kind()) {
            let leaves = 1u64 << (u32::from(level) * u32::from(TILE_HEIGHT));
            let first = (coord.index() * u64::from(TILE_WIDTH) + at as u64) * leaves;
            let last = first + leaves - 1;
            let why = format!("hash {at} is not the rebuilt hash of entries {first} to {last}");
            report.damaged(coord, &why);
        }
    }

    /// Compares the partial tiles at the right edge, and the root.
    pub fn finish(&mut self, report: &mut Report) -> Root {
        for at in 0..self.upper.len() {
            let tile = std::mem::take(&mut self.upper[at]);
            let kind = TileKind::Hashes(u8::try_from(at + 1).expect("a tree has few levels"));
            let coord = TileCoord::in_tree(kind, tile.index, self.head.size);
            if let Some(coord) = coord.filter(|_| !tile.hashes.is_empty()) {
                self.compare(coord, &tile.hashes, report);
            }
        }
        let rebuilt = self.frontier.head();
        let root = match self.lost {
            Some(why) => why,
            None if rebuilt == self.head => Root::Signed,
            None => Root::Other,
        };
        if self.lost == Some(Root::Other) {
            report.wrong_tree("the root cannot be rebuilt: entries and their hashes are missing");
        } else if root == Root::Other {
            report.wrong_tree(&format!(
                "the root of the {} entries is {}, but {} was signed",
                rebuilt.size,
                rebuilt.root.to_base64(),
                self.head.root.to_base64()
            ));
        }
        root
    }

    /// Whether the log is proven to have only grown since the older head that the user gave.
    pub fn grew(&self, root: Root, report: &mut Report) -> bool {
        let Some(since) = self.since else { return false };
        if since.size > self.head.size {
            let (old, new) = (since.size, self.head.size);
            report.behind(&format!(
                "this source ends at size {new}, before the older checkpoint's {old}: it is an \
                 older copy, or the log shrank from {old} entries to {new}"
            ));
            return false;
        }
        // if the tree cannot be rebuilt, hash tiles may still prove the older head
        let then = match root {
            Root::Signed => self.since_seen,
            Root::Other | Root::Unread => {
                let mut nodes = TileReader::new(self.source, self.head.size);
                let beginning = PrefixProof::read(&mut nodes, since.size, &self.head).ok();
                beginning.map(|beginning| TreeHead { size: since.size, root: beginning.root })
            }
        };
        if then.is_some_and(|then| then != since) {
            report.contradicted(&format!(
                "the log was rewritten: its first {} entries are not those of the older checkpoint",
                since.size
            ));
        }
        then == Some(since)
    }
}

impl TileSource for Tiles<'_> {
    type Error = SourceError;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, SourceError> {
        if let Some(error) = self.failed.get(&coord) {
            return Err(error.clone());
        }
        let read = self.source.tile(coord);
        if let Err(error) = &read {
            self.failed.insert(coord, error.clone());
        }
        read
    }
}

fn wrong_length(bytes: &[u8], hashes: usize) -> String {
    format!("it has {} bytes, not {} for {hashes} hashes", bytes.len(), hashes * Hash::LEN)
}
