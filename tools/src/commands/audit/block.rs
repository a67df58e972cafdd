//! Reads blocks of 256 entries ahead of the audit, and compares them with the tree.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use ledger_core::hash::Hash;
use ledger_core::index::TreeSize;
use ledger_core::tile::{EntryBundle, SalvagedBundle, TILE_WIDTH, TileCoord, TileKind};

use super::fate::{Fate, Footing};
use super::report::Report;
use ledger_node::source::{Source, SourceError, TileFile};

/// Blocks that are read ahead.
const AHEAD: usize = 4;

/// Consecutive files that fail to read before a command gives up. The source is then out of reach,
/// and each further file could take a full network timeout.
pub const MAX_UNREAD: u32 = 3;

/// Consecutive blocks without any entry or proven hash before a command gives up. A key can sign a
/// head of any size, and looking for that many missing files would not end.
pub const MAX_NOT_SHOWN: u32 = 1024;

/// Up to 256 entries and their leaf hashes, as the source has them.
#[derive(Debug)]
pub struct Block {
    /// The first entry's index.
    pub first: u64,
    /// The entries.
    pub bundle: (TileCoord, Result<TileFile, SourceError>),
    /// Their hashes.
    pub tile: (TileCoord, Result<Vec<u8>, SourceError>),
}

/// What the reading thread sends.
#[derive(Debug)]
pub enum Piece {
    /// The next block.
    Block(Block),
    /// The entries from this index on are not read.
    GivenUp(u64),
}

/// The entries of a block in order: the bytes of those that are right, the fate of all others.
#[derive(Debug)]
pub struct Entries {
    bundle: EntryBundle,
    /// `None` for an entry whose bytes are right.
    fates: Vec<Option<Fate>>,
    /// What is known about these leaves.
    pub footing: Footing,
}

/// What a block holds at one index. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot<'a> {
    /// An entry whose bytes are right.
    Entry(&'a [u8]),
    /// There is no entry to judge.
    Gap(Fate),
}

/// An entry bundle, as far as it can be read.
pub struct Bundle {
    /// The bundle that the tree needs.
    asked: TileCoord,
    /// The file that was read, which may be a wider one.
    coord: TileCoord,
    salvaged: SalvagedBundle,
    /// The fate of all its entries, if the file could not be read.
    lacking: Option<Fate>,
}

/// Reads the log's blocks in a separate thread, a few ahead of the audit.
pub fn read_ahead<'scope>(
    scope: &'scope Scope<'scope, '_>,
    source: &'scope Source,
    size: TreeSize,
) -> Receiver<Piece> {
    let (send, pieces) = sync_channel(AHEAD);
    scope.spawn(move || {
        let mut unread = 0;
        for index in 0..size.get().div_ceil(u64::from(TILE_WIDTH)) {
            let first = index * u64::from(TILE_WIDTH);
            if unread >= MAX_UNREAD {
                let _ = send.send(Piece::GivenUp(first));
                return;
            }
            let block = read_block(source, first, size, &mut unread);
            if send.send(Piece::Block(block)).is_err() {
                return;
            }
        }
    });
    pieces
}

fn read_block(source: &Source, first: u64, size: TreeSize, unread: &mut u32) -> Block {
    let index = first / u64::from(TILE_WIDTH);
    let coord = |kind| TileCoord::in_tree(kind, index, size).expect("the block lies in the tree");
    let (entries, hashes) = (coord(TileKind::Entries), coord(TileKind::Hashes(0)));
    let mut count = |failed: bool| match (failed, *unread < MAX_UNREAD) {
        (true, true) => *unread += 1,
        (false, true) => *unread = 0,
        // the limit was reached once, which ends the reading
        (_, false) => {}
    };
    let bundle = source.file(entries);
    count(matches!(bundle, Err(SourceError::Failed(_))));
    let tile = source.tile(hashes);
    count(matches!(tile, Err(SourceError::Failed(_))));
    Block { first, bundle: (entries, bundle), tile: (hashes, tile) }
}

impl Entries {
    /// Whether the source shows nothing of this block: no entry, and no proven hash.
    pub fn is_not_shown(&self) -> bool {
        self.footing == Footing::Unproven && self.fates.iter().all(Option::is_some)
    }

    /// Each index of the block.
    pub fn iter(&self) -> impl Iterator<Item = Slot<'_>> {
        self.fates.iter().enumerate().map(|(at, fate)| match (fate, self.bundle.get(at)) {
            (Some(fate), _) => Slot::Gap(*fate),
            (None, Some(bytes)) => Slot::Entry(bytes),
            (None, None) => unreachable!("an entry that is right is in the bundle"),
        })
    }
}

impl Bundle {
    /// Reads the file that the source returned, and reports what is wrong with it as a whole.
    pub fn read(
        (asked, file): (TileCoord, Result<TileFile, SourceError>),
        report: &mut Report,
    ) -> Bundle {
        let (TileFile { coord, bytes }, lacking) = match file {
            Ok(file) => (file, None),
            Err(error) => {
                let lacking = report.not_read(asked, &error);
                (TileFile { coord: asked, bytes: Vec::new() }, Some(lacking))
            }
        };
        let mut salvaged = EntryBundle::salvage(coord, bytes);
        salvaged.entries = salvaged.entries.cut(asked.width());
        Bundle { asked, coord, salvaged, lacking }
    }

    /// The fate of all entries, if the file could not be read.
    pub fn lacking(&self) -> Option<Fate> {
        self.lacking
    }

    /// The entries that can be read. They may differ from what was signed.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.salvaged.entries.iter()
    }

    /// Compares the entries, whose hashes are `own`, with the leaves of the tree, as far as those are
    /// known.
    pub fn judge(
        self,
        (first, own): (u64, &[Hash]),
        (leaves, tile): (&[Option<Hash>], TileCoord),
        footing: Footing,
        report: &mut Report,
    ) -> Entries {
        let entries = &self.salvaged.entries;
        let mut fates = Vec::with_capacity(leaves.len());
        let mut rest = self.lacking;
        for (index, (at, leaf)) in (first..).zip(leaves.iter().enumerate()) {
            let read = entries.get(at).zip(own.get(at).copied());
            let right = read.is_some_and(|(_, hash)| leaf.is_none_or(|leaf| leaf == hash));
            let fate = match (rest, read) {
                (Some(fate), _) => Some(fate),
                (None, Some(_)) if right => None,
                // in a damaged bundle, the first wrong entry is where the damage begins
                (None, None) | (None, Some(_)) if self.salvaged.fault.is_some() => {
                    report.altered(index, self.coord, &self.torn());
                    rest = Some(Fate::Damaged);
                    rest
                }
                (None, Some((b"", _))) => {
                    report.withheld(index, self.coord);
                    Some(Fate::Withheld)
                }
                (None, Some((_, hash))) => {
                    let leaf = leaf.map_or_else(String::new, |leaf| leaf.to_string());
                    let why = self.altered((hash, leaf), tile, footing);
                    report.altered(index, self.coord, &why);
                    Some(Fate::Damaged)
                }
                (None, None) => unreachable!("a bundle with too few entries is torn"),
            };
            fates.push(fate);
        }
        if self.salvaged.fault.is_some() && rest.is_none() {
            let what = match self.coord == self.asked {
                true => "it holds more than its entries",
                false => "it is damaged after the entries of the signed tree",
            };
            report.damaged(self.coord, what);
        }
        Entries { bundle: self.salvaged.entries, fates, footing }
    }

    fn torn(&self) -> String {
        let fault = self.salvaged.fault.map_or_else(String::new, |fault| fault.to_string());
        let coord = self.coord;
        format!("{coord} is damaged here, and cannot be read from this entry on: {fault}")
    }

    fn altered(&self, (own, leaf): (Hash, String), tile: TileCoord, footing: Footing) -> String {
        let bundle = self.coord;
        match footing {
            Footing::Unproven => format!(
                "its leaf hash in {bundle} is {own}, but {tile} holds {leaf}; neither leads to the \
                 signed root"
            ),
            Footing::Proven | Footing::Tainted => format!(
                "{bundle} holds other bytes than were signed: its leaf hash is {own}, but {tile} \
                 and the signed root hold {leaf}"
            ),
        }
    }
}
