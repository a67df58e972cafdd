//! Entry bundles: up to 256 log entries in one file.

use super::{MAX_ENTRY_BYTES, TileCoord};

/// The entries of one bundle, still in the bundle's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryBundle {
    bytes: Vec<u8>,
    /// Where each entry begins and ends.
    spans: Vec<(usize, usize)>,
}

/// Why bytes are not the bundle that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The bytes end inside an entry.
    #[error("the entry bundle ends inside entry {0}")]
    Truncated(usize),
    /// The bundle has another number of entries than its path says.
    #[error("the entry bundle has {found} entries where its path says {expected}")]
    WrongCount {
        /// As the path says.
        expected: u16,
        /// As the bytes say; more than 256 are not counted on.
        found: usize,
    },
}

/// Appends an entry in a bundle's form: a big-endian 16-bit length, then the bytes.
///
/// Returns `None`, and appends nothing, for an entry longer than [`MAX_ENTRY_BYTES`].
// SPEC tlog-tiles/log-entries
#[must_use]
pub fn append_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Option<()> {
    let length = u16::try_from(entry.len()).ok()?;
    bundle.extend(length.to_be_bytes());
    bundle.extend(entry);
    Some(())
}

/// The whole entries that a bundle begins with, whatever follows them.
///
/// For a reader that names what is damaged and judges the rest. The entries are claims: a torn
/// bundle may have been cut anywhere, so a caller compares each with the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalvagedBundle {
    /// The entries: at most as many as the path says.
    pub entries: EntryBundle,
    /// Why the bytes are not the bundle that was asked for, if they are not.
    pub fault: Option<BundleError>,
}

impl EntryBundle {
    /// Reads the bundle that `coord` names.
    ///
    /// # Errors
    /// [`BundleError`] when the bytes are cut short or hold another number of entries: also when
    /// there are none.
    pub fn parse(coord: TileCoord, bytes: Vec<u8>) -> Result<EntryBundle, BundleError> {
        let SalvagedBundle { entries, fault } = EntryBundle::salvage(coord, bytes);
        fault.map_or(Ok(entries), Err)
    }

    /// Reads as much of the bundle that `coord` names as there is, and says what is wrong with it.
    pub fn salvage(coord: TileCoord, bytes: Vec<u8>) -> SalvagedBundle {
        let (mut spans, fault) = split(coord, &bytes);
        spans.truncate(usize::from(coord.width()));
        debug_assert!(spans.iter().all(|(start, end)| end - start <= MAX_ENTRY_BYTES));
        SalvagedBundle { entries: EntryBundle { bytes, spans }, fault }
    }

    /// Reads the bundle that `coord` names out of its own bytes or, where the partial one has gone,
    /// out of those of the full one: what is beyond is dropped.
    ///
    /// # Errors
    /// [`BundleError`] when the bytes are those of neither.
    // SPEC tlog-tiles/partial-tiles: the full tile takes the place of a partial one that has gone
    pub fn parse_or_cut(coord: TileCoord, bytes: Vec<u8>) -> Result<EntryBundle, BundleError> {
        match split(coord.to_full(), &bytes) {
            (spans, None) => Ok(EntryBundle { bytes, spans }.cut(coord.width())),
            (_, Some(_)) => EntryBundle::parse(coord, bytes),
        }
    }

    /// The bundle of the first `width` entries.
    #[must_use]
    pub fn cut(mut self, width: u16) -> EntryBundle {
        self.spans.truncate(usize::from(width));
        let end = self.spans.last().map_or(0, |(_, end)| *end);
        self.bytes.truncate(end);
        self
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none. A bundle that [`EntryBundle::parse`] read has at least one entry; a
    /// salvaged one may have none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The entry at a place in the bundle, counted from zero.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        self.spans.get(at).map(|(start, end)| &self.bytes[*start..*end])
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.spans.iter().map(|(start, end)| &self.bytes[*start..*end])
    }

    /// The bundle's bytes as they were read.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Where the whole entries begin and end, one more than `coord` says at most, and what is wrong.
fn split(coord: TileCoord, bytes: &[u8]) -> (Vec<(usize, usize)>, Option<BundleError>) {
    let expected = coord.width();
    let mut spans = Vec::with_capacity(usize::from(expected));
    let mut at = 0;
    while at < bytes.len() && spans.len() <= usize::from(expected) {
        let start = at + 2;
        let Some(prefix) = bytes.get(at..start) else {
            let truncated = BundleError::Truncated(spans.len());
            return (spans, Some(truncated));
        };
        let end = start + usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
        if end > bytes.len() {
            let truncated = BundleError::Truncated(spans.len());
            return (spans, Some(truncated));
        }
        spans.push((start, end));
        at = end;
    }
    let found = spans.len();
    let whole = found == usize::from(expected);
    (spans, (!whole).then_some(BundleError::WrongCount { expected, found }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coord(path: &str) -> TileCoord {
        path.parse().expect("path")
    }

    #[test]
    fn bundles_round_trip() {
        let long = vec![7; MAX_ENTRY_BYTES];
        let mut bytes = Vec::new();
        for entry in [b"".as_slice(), b"one", &long] {
            append_entry(&mut bytes, entry).expect("short enough");
        }
        assert_eq!(append_entry(&mut bytes, &vec![0; MAX_ENTRY_BYTES + 1]), None);
        let bundle = EntryBundle::parse(coord("tile/entries/000.p/3"), bytes).expect("whole");
        let entries: Vec<&[u8]> = bundle.iter().collect();
        assert_eq!(entries, [b"".as_slice(), b"one", &long]);
        assert_eq!(bundle.get(1), Some(b"one".as_slice()));
        assert_eq!(bundle.get(3), None);
    }

    #[test]
    fn damaged_bundles_are_refused() {
        let parse = |path: &str, bytes: &[u8]| EntryBundle::parse(coord(path), bytes.to_vec());
        let two = "tile/entries/000.p/2";
        assert_eq!(parse(two, &[0, 1, 7, 0]), Err(BundleError::Truncated(1)));
        assert_eq!(parse(two, &[0, 1, 7, 0, 2, 8]), Err(BundleError::Truncated(1)));
        let count = |found| Err(BundleError::WrongCount { expected: 2, found });
        assert_eq!(parse(two, &[]), count(0));
        assert_eq!(parse(two, &[0, 1, 7]), count(1));
        assert_eq!(parse(two, &[0; 6]), count(3));
        assert_eq!(parse(two, &[0; 4096]), count(3));
    }
    #[test]
    fn a_torn_bundle_gives_its_whole_entries_and_names_what_is_wrong() {
        let salvage = |path: &str, bytes: &[u8]| {
            let SalvagedBundle { entries, fault } = EntryBundle::salvage(coord(path), bytes.into());
            (entries.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), fault)
        };
        let two = "tile/entries/000.p/2";
        let count = |found| Some(BundleError::WrongCount { expected: 2, found });
        assert_eq!(salvage(two, &[]), (vec![], count(0)));
        assert_eq!(salvage(two, &[0, 1, 7]), (vec![vec![7]], count(1)));
        assert_eq!(salvage(two, &[0, 1, 7, 0]), (vec![vec![7]], Some(BundleError::Truncated(1))));
        assert_eq!(salvage(two, &[0, 1, 7, 0, 0]), (vec![vec![7], vec![]], None));
        assert_eq!(salvage(two, &[0, 1, 7, 0, 0, 0, 0]), (vec![vec![7], vec![]], count(3)));
        let beyond = Some(BundleError::Truncated(2));
        assert_eq!(salvage(two, &[0, 1, 7, 0, 0, 0]), (vec![vec![7], vec![]], beyond));
    }

    #[test]
    fn a_partial_bundle_is_cut_from_a_whole_one_and_from_no_torn_one() {
        let full: Vec<u8> = (0..=255).flat_map(|i| [0, 1, i]).collect();
        let three = coord("tile/entries/000.p/3");
        let cut = EntryBundle::parse_or_cut(three, full.clone()).expect("whole");
        assert_eq!(cut.into_bytes(), full[..9]);
        let own = EntryBundle::parse_or_cut(three, full[..9].to_vec()).expect("its own");
        assert_eq!(own.into_bytes(), full[..9]);
        for end in [0, 6, 12, full.len() - 3] {
            assert!(EntryBundle::parse_or_cut(three, full[..end].to_vec()).is_err(), "{end}");
        }
    }
}
