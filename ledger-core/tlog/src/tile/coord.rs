//! Where a tile stands, and the path that names it.

use std::fmt;
use std::str::FromStr;

use super::{TILE_HEIGHT, TILE_WIDTH};
use crate::index::{TreeSize, parse_decimal};

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of a tile level: level 0 has leaf hashes, level `l` hashes of full tiles of `l - 1`.
    Hashes(u8),
    /// Log entries: an entry bundle.
    Entries,
}

/// A tile's place: its kind, its number within the kind, and how many of its 256 it has.
///
/// Prints and parses as the path below a log's prefix, such as `tile/0/x001/067.p/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileCoord {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// The path is not one of a tile, spelled as the specification wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile: expected tile/<level or \"entries\">/<number>[.p/<width>]")]
pub struct ParsePathError;

/// The highest level a path may name.
// SPEC tlog-tiles/merkle-tree: L is a decimal between 0 and 63
const MAX_LEVEL: u8 = 63;

impl TileKind {
    /// How many leaves of the tree one hash (or entry) of this kind covers, as a power of two.
    fn leaf_bits(self) -> u32 {
        match self {
            TileKind::Hashes(level) => u32::from(level) * u32::from(TILE_HEIGHT),
            TileKind::Entries => 0,
        }
    }

    /// How many hashes (or entries) of this kind the tree of `size` leaves has.
    fn count(self, size: TreeSize) -> u64 {
        size.get().checked_shr(self.leaf_bits()).unwrap_or(0)
    }
}

impl TileCoord {
    /// The full tile of a kind and number.
    pub fn full(kind: TileKind, index: u64) -> TileCoord {
        TileCoord { kind, index, width: TILE_WIDTH }
    }

    /// The tile of a kind and number as the tree of `size` leaves has it: full, partial, or, when
    /// the tree has nothing there, `None`.
    // SPEC tlog-tiles/partial-tiles: empty tiles must not be served
    pub fn in_tree(kind: TileKind, index: u64, size: TreeSize) -> Option<TileCoord> {
        let start = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = kind.count(size).checked_sub(start)?.min(u64::from(TILE_WIDTH));
        (width > 0).then_some(TileCoord { kind, index, width: width as u16 })
    }

    /// The partial tiles that the tree of `size` leaves ends with, a bundle last: those that give way
    /// to full ones as it grows.
    pub fn partial_in_tree(size: TreeSize) -> impl Iterator<Item = TileCoord> {
        let levels = (0..TILE_HEIGHT).map(TileKind::Hashes).chain([TileKind::Entries]);
        levels.filter_map(move |kind| {
            let index = kind.count(size) / u64::from(TILE_WIDTH);
            TileCoord::in_tree(kind, index, size)
        })
    }

    /// Every tile of the tree of `size` leaves, bundles last: the full ones and the partial ones at
    /// the right edge.
    pub fn all_in_tree(size: TreeSize) -> impl Iterator<Item = TileCoord> {
        let levels = (0..TILE_HEIGHT).map(TileKind::Hashes).chain([TileKind::Entries]);
        levels.flat_map(move |kind| {
            let tiles = kind.count(size).div_ceil(u64::from(TILE_WIDTH));
            (0..tiles).filter_map(move |index| TileCoord::in_tree(kind, index, size))
        })
    }

    /// What the tile holds.
    pub fn kind(self) -> TileKind {
        self.kind
    }

    /// The tile's number within its kind.
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many hashes or entries it has: 1 to 256.
    pub fn width(self) -> u16 {
        self.width
    }

    /// Whether it has all 256.
    pub fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The full tile at the same place.
    pub fn to_full(self) -> TileCoord {
        TileCoord { width: TILE_WIDTH, ..self }
    }

    /// Whether the tree of `size` leaves reaches as far as this tile does.
    pub fn is_within(self, size: TreeSize) -> bool {
        TileCoord::in_tree(self.kind, self.index, size).is_some_and(|at| at.width >= self.width)
    }

    /// The folder, below the log's prefix, that holds this place's partial tiles.
    pub fn partial_folder(self) -> String {
        format!("{}.p", self.to_full())
    }
}

impl fmt::Display for TileCoord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        // SPEC tlog-tiles/merkle-tree: three digits an element, all but the last begin with x
        let elements = self.index.checked_ilog(1000).unwrap_or(0) + 1;
        for element in (1..elements).rev() {
            write!(f, "x{:03}/", self.index / 1000u64.pow(element) % 1000)?;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for TileCoord {
    type Err = ParsePathError;

    /// Reads a path below a log's prefix; only the one canonical spelling is accepted.
    fn from_str(path: &str) -> Result<TileCoord, ParsePathError> {
        let path_of_kind = path.strip_prefix("tile/").ok_or(ParsePathError)?;
        let (kind, place) = path_of_kind.split_once('/').ok_or(ParsePathError)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => match parse_decimal(level) {
                Ok(level) if level <= u64::from(MAX_LEVEL) => TileKind::Hashes(level as u8),
                _ => return Err(ParsePathError),
            },
        };
        let (number, width) = match place.split_once(".p/") {
            None => (place, TILE_WIDTH),
            Some((number, width)) => match parse_decimal(width) {
                Ok(width @ 1..=255) => (number, width as u16),
                _ => return Err(ParsePathError),
            },
        };
        let mut index = 0u64;
        let mut elements = number.split('/').peekable();
        while let Some(element) = elements.next() {
            let digits = match elements.peek() {
                Some(_) => element.strip_prefix('x').ok_or(ParsePathError)?,
                None => element,
            };
            let value = digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok());
            let value: u64 = value.flatten().filter(|_| digits.len() == 3).ok_or(ParsePathError)?;
            index = index
                .checked_mul(1000)
                .and_then(|index| index.checked_add(value))
                .ok_or(ParsePathError)?;
        }
        let coord = TileCoord { kind, index, width };
        // refuses needless leading elements such as x000/001
        if coord.to_string() == path { Ok(coord) } else { Err(ParsePathError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(n: u64) -> TreeSize {
        TreeSize::new(n).expect("in range")
    }

    #[test]
    fn paths_follow_the_specification() {
        let cases = [
            ("tile/0/x001/x234/067", TileKind::Hashes(0), 1_234_067, 256),
            ("tile/0/000", TileKind::Hashes(0), 0, 256),
            ("tile/1/000.p/1", TileKind::Hashes(1), 0, 1),
            ("tile/63/x001/000.p/255", TileKind::Hashes(63), 1000, 255),
            ("tile/entries/999", TileKind::Entries, 999, 256),
            ("tile/entries/x018/x446/x744/x073/x709/x551/615", TileKind::Entries, u64::MAX, 256),
        ];
        for (path, kind, index, width) in cases {
            let coord = TileCoord { kind, index, width };
            assert_eq!(coord.to_string(), path);
            assert_eq!(path.parse(), Ok(coord));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/x000/001",
            "tile/0/001/001",
            "tile/0/x001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/+01",
            "tile/0/000/",
            "/tile/0/000",
            "tile/8/0/000",
            "tile/entries/../000",
            "tile/entries/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert_eq!(path.parse::<TileCoord>(), Err(ParsePathError), "{path}");
        }
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_of_the_specification() {
        let tiles: Vec<TileCoord> = TileCoord::all_in_tree(size(70_000)).collect();
        let count = |kind, full| {
            let of_kind = tiles.iter().filter(|tile| tile.kind() == kind);
            of_kind.filter(|tile| tile.is_full() == full).count()
        };
        assert_eq!(count(TileKind::Hashes(0), true), 273);
        assert_eq!(count(TileKind::Entries, true), 273);
        assert_eq!(count(TileKind::Hashes(1), true), 1);
        let partial: Vec<String> =
            tiles.iter().filter(|tile| !tile.is_full()).map(ToString::to_string).collect();
        assert_eq!(
            partial,
            ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"]
        );
    }

    #[test]
    fn full_tiles_lead_to_a_partial_one_above() {
        let tiles: Vec<String> =
            TileCoord::all_in_tree(size(256)).map(|tile| tile.to_string()).collect();
        assert_eq!(tiles, ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
        assert_eq!(TileCoord::all_in_tree(TreeSize::ZERO).count(), 0);
    }

    #[test]
    fn a_tree_ends_with_the_partial_tiles_among_all_its_tiles() {
        for n in (0..1_000).chain([65_535, 65_536, 65_537, 70_000]) {
            let all = TileCoord::all_in_tree(size(n)).filter(|tile| !tile.is_full());
            assert!(TileCoord::partial_in_tree(size(n)).eq(all), "{n}");
        }
        assert_eq!(TileCoord::partial_in_tree(TreeSize::MAX).count(), 9);
    }

    #[test]
    fn the_largest_tree_has_tiles_on_eight_levels() {
        for level in 0..=MAX_LEVEL {
            let first = TileCoord::in_tree(TileKind::Hashes(level), 0, TreeSize::MAX);
            assert_eq!(first.is_some(), level < TILE_HEIGHT, "level {level}");
        }
        let past = TileCoord::in_tree(TileKind::Entries, u64::MAX, TreeSize::MAX);
        assert_eq!(past, None);
    }

    #[test]
    fn a_tile_is_within_trees_that_reach_it() {
        let tile: TileCoord = "tile/0/001.p/3".parse().expect("path");
        assert!(!tile.is_within(size(258)));
        assert!(tile.is_within(size(259)));
        assert!(tile.is_within(size(10_000)));
        assert!(!tile.to_full().is_within(size(511)));
        assert_eq!(tile.partial_folder(), "tile/0/001.p");
    }
}
