//! Where entries stand in the files of their bundles, so that one entry is read without the others.
//!
//! A bundle has no table of its entries, only the length before each. So the lengths are walked
//! along once, and what was found is kept. Nothing here is verified: who reads an entry compares
//! its hash.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger_core::tile::{TILE_WIDTH, TileCoord};

use super::read::{ReadError, read_part};
use crate::store::Files;

/// Bundles whose spans are kept: a kilobyte each.
const MAX_BUNDLES: usize = 1024;

/// Bytes read at once on the way along: many lengths, where entries have their usual kilobyte.
const WINDOW: usize = 16 << 10;

/// Bytes of the length before each entry.
const LENGTH: u64 = 2;

/// The offsets behind the first entries of one bundle.
type Ends = Arc<Mutex<Vec<u32>>>;

/// The spans of bundles, by the bundle's number.
#[derive(Debug, Default)]
pub struct Spans(Mutex<HashMap<u64, Ends>>);

impl Spans {
    /// Where the entries at these places of a bundle stand in its file. Callers that ask for the
    /// same bundle wait for the first of them.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] where the file ends before; [`ReadError::Missing`] and
    /// [`ReadError::Store`].
    pub fn of(
        &self,
        files: &dyn Files,
        coord: TileCoord,
        places: Range<usize>,
    ) -> Result<Vec<Range<u64>>, ReadError> {
        let ends = self.ends(coord.index());
        let mut ends = lock(&ends);
        walk(files, coord, &mut ends, places.end)?;
        let end = |place: usize| u64::from(ends[place]);
        let before = |place: usize| place.checked_sub(1).map_or(0, end);
        Ok(places.map(|place| before(place) + LENGTH..end(place)).collect())
    }

    /// Forgets what was found in a bundle.
    pub fn forget(&self, number: u64) {
        lock(&self.0).remove(&number);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    fn ends(&self, number: u64) -> Ends {
        let mut bundles = lock(&self.0);
        if bundles.len() >= MAX_BUNDLES && !bundles.contains_key(&number) {
            // found again at little cost
            bundles.clear();
        }
        Arc::clone(bundles.entry(number).or_default())
    }
}

/// Goes on along a bundle's lengths until so many ends are known, and as far as what was read goes.
fn walk(
    files: &dyn Files,
    coord: TileCoord,
    ends: &mut Vec<u32>,
    until: usize,
) -> Result<(), ReadError> {
    if ends.len() >= until {
        return Ok(());
    }
    let mut window = Window::default();
    while ends.len() < usize::from(TILE_WIDTH) {
        let at = ends.last().map_or(0, |end| u64::from(*end));
        let length = match window.length_at(at) {
            Some(length) => length,
            None if ends.len() >= until => break,
            None => {
                let part = read_part(files, coord, at, WINDOW)?;
                window = Window { from: at, bytes: part.bytes, file_len: part.file_len };
                window.length_at(at).ok_or(ReadError::Damaged(coord))?
            }
        };
        let end = at + LENGTH + u64::from(length);
        match u32::try_from(end).ok().filter(|_| end <= window.file_len) {
            Some(end) => ends.push(end),
            None if ends.len() >= until => break,
            None => return Err(ReadError::Damaged(coord)),
        }
    }
    Ok(())
}

/// A part of a file.
#[derive(Debug, Default)]
struct Window {
    from: u64,
    bytes: Vec<u8>,
    file_len: u64,
}

impl Window {
    /// The length that stands at an offset of the file, if the window holds it.
    fn length_at(&self, at: u64) -> Option<u16> {
        let at = usize::try_from(at.checked_sub(self.from)?).ok()?;
        let (length, _) = self.bytes.get(at..)?.split_first_chunk()?;
        Some(u16::from_be_bytes(*length))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // what is kept is whole after every statement
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
