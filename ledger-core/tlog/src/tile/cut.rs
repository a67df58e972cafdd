//! Partial tiles out of wider ones.

use super::{EntryBundle, TileCoord, TileKind};
use crate::hash::Hash;

/// The first `width` hashes or entries of the tile or bundle that `coord` names, whose bytes these
/// are. As a log grows, wider tiles take the place of those of the tree that a reader asks about.
///
/// Returns `None` where the bytes are not those of a tile or bundle as wide as `coord` says, and
/// where that is narrower than `width`.
// SPEC tlog-tiles/partial-tiles: a partial tile is the beginning of the full one
#[must_use]
pub fn cut(coord: TileCoord, mut bytes: Vec<u8>, width: u16) -> Option<Vec<u8>> {
    if width > coord.width() {
        return None;
    }
    match coord.kind() {
        TileKind::Hashes(_) => {
            let is_whole = bytes.len() == usize::from(coord.width()) * Hash::LEN;
            bytes.truncate(usize::from(width) * Hash::LEN);
            is_whole.then_some(bytes)
        }
        TileKind::Entries => {
            let bundle = EntryBundle::parse(coord, bytes).ok()?;
            Some(bundle.cut(width).into_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tile::append_entry;

    #[test]
    fn a_narrow_tile_is_the_beginning_of_a_wider_one_and_of_nothing_damaged() {
        let hashes: Vec<u8> = (0..256 * Hash::LEN).map(|n| (n / Hash::LEN) as u8).collect();
        let mut bundle = Vec::new();
        let mut ends = vec![0];
        for n in 0..256 {
            append_entry(&mut bundle, &vec![n as u8; n % 7]).expect("short");
            ends.push(bundle.len());
        }
        for wide in [1, 2, 200, 255, 256] {
            let at = |kind: &str| match wide {
                256 => format!("tile/{kind}/003").parse::<TileCoord>().expect("a path"),
                _ => format!("tile/{kind}/003.p/{wide}").parse().expect("a path"),
            };
            let (tile, entries) = (&hashes[..wide * Hash::LEN], &bundle[..ends[wide]]);
            for width in [1, 2, 199, 200, 255, 256] {
                let cut_tile = cut(at("2"), tile.to_vec(), width as u16);
                let cut_entries = cut(at("entries"), entries.to_vec(), width as u16);
                if width > wide {
                    assert_eq!((cut_tile, cut_entries), (None, None), "{width} of {wide}");
                    continue;
                }
                assert_eq!(cut_tile.expect("it is whole"), hashes[..width * Hash::LEN]);
                assert_eq!(cut_entries.expect("it is whole"), bundle[..ends[width]]);
            }
            for other in [0, wide - 1] {
                assert_eq!(cut(at("2"), hashes[..other * Hash::LEN].to_vec(), 1), None);
                assert_eq!(cut(at("entries"), bundle[..ends[other]].to_vec(), 1), None);
            }
            assert_eq!(cut(at("2"), [tile, &[0]].concat(), 1), None);
            assert_eq!(cut(at("entries"), [entries, &[0]].concat(), 1), None);
        }
    }
}
