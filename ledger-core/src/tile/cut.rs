//! Partial tiles out of full ones.

use super::{EntryBundle, TILE_WIDTH, TileCoord, TileKind};
use crate::hash::Hash;

/// The bytes of the tile or bundle that `coord` names, out of those of the full one at its place:
/// a log has only the full one where it has grown beyond the tree that a reader asks about.
///
/// Returns `None` where the bytes are not those of a full tile or bundle.
// SPEC tlog-tiles/partial-tiles: a partial tile is the beginning of the full one
#[must_use]
pub fn cut(coord: TileCoord, mut full: Vec<u8>) -> Option<Vec<u8>> {
    match coord.kind() {
        TileKind::Hashes(_) => {
            let is_full = full.len() == usize::from(TILE_WIDTH) * Hash::LEN;
            full.truncate(usize::from(coord.width()) * Hash::LEN);
            is_full.then_some(full)
        }
        TileKind::Entries => {
            let bundle = EntryBundle::parse(coord.to_full(), full).ok()?;
            let entries = bundle.iter().take(usize::from(coord.width()));
            // a length of two bytes stands before each entry
            let end = entries.map(|entry| 2 + entry.len()).sum();
            let mut bytes = bundle.into_bytes();
            bytes.truncate(end);
            Some(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tile::append_entry;

    #[test]
    fn a_partial_tile_is_the_beginning_of_the_full_one_and_of_nothing_shorter() {
        let hashes: Vec<u8> = (0..256 * Hash::LEN).map(|n| (n / Hash::LEN) as u8).collect();
        let mut bundle = Vec::new();
        let mut ends = vec![0];
        for n in 0..256 {
            append_entry(&mut bundle, &vec![n as u8; n % 7]).expect("short");
            ends.push(bundle.len());
        }
        for width in [1, 2, 255, 256] {
            let at = |kind: &str| match width {
                256 => format!("tile/{kind}/003").parse::<TileCoord>().expect("a path"),
                _ => format!("tile/{kind}/003.p/{width}").parse().expect("a path"),
            };
            let tile = cut(at("2"), hashes.clone()).expect("it is full");
            assert_eq!(tile, hashes[..width * Hash::LEN]);
            let entries = cut(at("entries"), bundle.clone()).expect("it is full");
            assert_eq!(entries, bundle[..ends[width]]);
            for short in [0, 1, 255] {
                assert_eq!(cut(at("2"), hashes[..short * Hash::LEN].to_vec()), None);
                assert_eq!(cut(at("entries"), bundle[..ends[short]].to_vec()), None);
            }
            assert_eq!(cut(at("2"), [&hashes[..], &[0]].concat()), None);
            assert_eq!(cut(at("entries"), [&bundle[..], &[0]].concat()), None);
        }
    }
}
