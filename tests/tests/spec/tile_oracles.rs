//! Tile paths and tile contents against tlog_tiles; its paths name the tile height, ours are
//! C2SP's.

use std::collections::BTreeMap;

use ledger_core::Hash;
use ledger_core::batch::Edge;
use ledger_core::merkle::{
    TreeHead, VerifyError, prove_consistency, prove_inclusion, verify_inclusion,
};
use ledger_core::tile::{EntryBundle, HashTile, TileCoord, TileKind, TileReader, TileSource};
use ledger_tests::{entry, index, size};
use proptest::prelude::*;
use tlog_tiles::{tile, tlog};

const HEIGHT: u8 = 8;

type Files = BTreeMap<TileCoord, Vec<u8>>;

/// The same tile as tlog_tiles names it; entry bundles are its data tiles.
fn theirs(coord: TileCoord) -> tile::Tile {
    let (level, is_data) = match coord.kind() {
        TileKind::Hashes(level) => (level, false),
        TileKind::Entries => (0, true),
    };
    tile::Tile::new(HEIGHT, level, coord.index(), u32::from(coord.width()), is_data)
}

/// Their path without the height, with the C2SP word for entries.
fn their_path(coord: TileCoord) -> String {
    theirs(coord).path().replacen("tile/8/data/", "tile/8/entries/", 1).replacen("/8", "", 1)
}

fn ours_of(tile: &tile::Tile) -> TileCoord {
    let path = tile.path().replacen("tile/8/", "tile/", 1);
    path.parse().expect("their path without the height is ours")
}

/// Writes the tiles of a log that grows by these batches.
fn grow(batches: &[u64]) -> (Files, TreeHead) {
    let mut files = Files::new();
    let mut edge = Edge::new();
    for count in batches {
        let from = edge.size().get();
        let entries: Vec<_> = (from..from + count).map(entry).collect();
        files.extend(edge.append(&entries).expect("room").tiles);
    }
    (files, edge.head())
}

struct Ours<'a>(&'a Files);

impl TileSource for Ours<'_> {
    type Error = String;

    fn read_tile(&mut self, coord: TileCoord) -> Result<Vec<u8>, String> {
        self.0.get(&coord).cloned().ok_or_else(|| format!("no {coord}"))
    }
}

/// Hands our files to their reader.
struct Theirs<'a>(&'a Files);

impl tile::TileReader for Theirs<'_> {
    fn height(&self) -> u8 {
        HEIGHT
    }

    fn read_tiles(&self, tiles: &[tile::Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        let read = |tile: &tile::Tile| self.0.get(&ours_of(tile)).cloned();
        tiles.iter().map(read).collect::<Option<_>>().ok_or(tlog::Error::InvalidTile)
    }

    fn save_tiles(&self, _: &[tile::Tile], _: &[Vec<u8>]) {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ledger_tests::long::cases(2000)))]

    #[test]
    fn tile_paths_are_those_of_tlog_tiles(
        level in 0..64u8, n in any::<u64>(), small in 0..2000u64, width in 1..=256u16,
        entries in any::<bool>(), is_small in any::<bool>(),
    ) {
        let n = if is_small { small } else { n };
        let kind = if entries { TileKind::Entries } else { TileKind::Hashes(level) };
        // a partial tile is only made for a tree, or read from a path
        let path = match width {
            256 => TileCoord::full(kind, n).to_string(),
            _ => format!("{}.p/{width}", TileCoord::full(kind, n)),
        };
        let coord: TileCoord = path.parse().expect("a path of ours");
        prop_assert_eq!(coord.to_string(), path.clone());
        prop_assert_eq!(their_path(coord), path);
    }

    /// A tree that grows needs exactly the new tiles that tlog_tiles lists, and one of ours more:
    /// the entries.
    #[test]
    fn new_tiles_are_those_that_tlog_tiles_lists(old in 0..3000u64, more in 1..3000u64) {
        let new = old + more;
        let mut listed: Vec<TileCoord> =
            tile::Tile::new_tiles(HEIGHT, old, new).iter().map(ours_of).collect();
        let mut edge = Edge::new();
        edge.append(&(0..old).map(entry).collect::<Vec<_>>()).expect("room");
        let batch = edge.append(&(old..new).map(entry).collect::<Vec<_>>()).expect("room");
        let hashes = |(coord, _): &(TileCoord, _)| (coord.kind() != TileKind::Entries).then_some(*coord);
        let mut written: Vec<TileCoord> = batch.tiles.iter().filter_map(hashes).collect();
        listed.sort_unstable();
        written.sort_unstable();
        prop_assert_eq!(written, listed);
    }
}

#[test]
fn tlog_tiles_reads_our_tiles_and_makes_the_same_proofs() {
    for batches in [&[1][..], &[255, 1], &[256, 1], &[300, 700, 3], &[65_536, 300]] {
        let (files, head) = grow(batches);
        let n = head.size.get();
        let source = Theirs(&files);
        let reader = tile::TileHashReader::new(n, tlog::Hash(*head.root.as_bytes()), &source);
        let root = tlog::tree_hash(n, &reader).expect("our tiles are authentic");
        assert_eq!(&root.0, head.root.as_bytes());
        for i in (0..n).step_by(usize::try_from(n / 50 + 1).expect("small")).chain([n - 1]) {
            let theirs = tlog::prove_record(n, i, &reader).expect("their proof from our tiles");
            let mut own = TileReader::new(Ours(&files), head.size);
            let proof = prove_inclusion(&mut own, index(i), head.size).expect("inside");
            assert!(proof.hashes().iter().map(|h| h.as_bytes()).eq(theirs.iter().map(|h| &h.0)));
            let theirs = tlog::prove_tree(n, i + 1, &reader).expect("their proof from our tiles");
            let proof = prove_consistency(&mut own, size(i + 1), head.size).expect("ordered");
            assert!(proof.hashes().iter().map(|h| h.as_bytes()).eq(theirs.iter().map(|h| &h.0)));
        }
    }
}

#[test]
fn every_hash_tile_holds_what_tlog_tiles_computes() {
    let (files, head) = grow(&[256 * 256 + 256 + 9]);
    let mut stored = Stored::default();
    (0..head.size.get()).for_each(|n| stored.push(n));
    let mut compared = 0;
    for coord in TileCoord::all_in_tree(head.size) {
        let content = &files[&coord];
        if coord.kind() == TileKind::Entries {
            let bundle = EntryBundle::parse(coord, content.clone()).expect("a whole bundle");
            let first = coord.index() * 256;
            assert!(bundle.iter().eq((first..first + bundle.len() as u64).map(entry)));
            continue;
        }
        assert_eq!(&theirs(coord).read_data(&stored).expect("stored"), content, "{coord}");
        let tile = HashTile::parse(coord, content).expect("whole");
        assert_eq!(tile.hashes().len(), usize::from(coord.width()));
        compared += 1;
    }
    assert_eq!(compared, 258 + 2 + 1);
}

/// The hashes of a tree in the order that tlog_tiles stores them.
#[derive(Default)]
struct Stored(Vec<tlog::Hash>);

impl tlog::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        let at = |index: &u64| self.0.get(*index as usize).copied();
        indexes.iter().map(at).collect::<Option<_>>().ok_or(tlog::Error::IndexesNotInTree)
    }
}

impl Stored {
    fn push(&mut self, n: u64) {
        let more = tlog::stored_hashes(n, &entry(n), self).expect("the hashes before are there");
        self.0.extend(more);
    }
}

#[test]
fn a_tile_that_lies_proves_nothing() {
    let (mut files, head) = grow(&[600]);
    let damaged: TileCoord = "tile/0/001".parse().expect("path");
    files.get_mut(&damaged).expect("written")[40] ^= 1;
    let mut nodes = TileReader::new(Ours(&files), head.size);
    // a reader makes the proof as the tiles tell it; who checks it against the head sees the lie
    let proof = prove_inclusion(&mut nodes, index(256), head.size).expect("readable");
    let leaf = Hash::leaf(&entry(256));
    let verdict = verify_inclusion(&proof, &leaf, index(256), &head);
    assert_eq!(verdict, Err(VerifyError::RootMismatch));
    let hashes = proof.hashes().iter().map(|hash| tlog::Hash(*hash.as_bytes())).collect();
    let (root, leaf) = (tlog::Hash(*head.root.as_bytes()), tlog::Hash(*leaf.as_bytes()));
    assert!(tlog::check_record(&hashes, 600, root, 256, leaf).is_err());
}
