//! Lists that share what they have in common with the lists that they were copied from.
//!
//! Each governance entry gives another charter, which is the one before but for a key or a role.
//! Whole copies would cost a reader as much heap as the square of the entries; these cost what
//! changed.

use std::ops::Index;
use std::sync::Arc;

use crate::hash::Hash;
use crate::note::{KeyId, VerifierKey};

/// Items of one part of a list: what a change of one item copies, one pointer each.
const PART: usize = 64;

/// A list in parts, each shared with copies until it changes.
#[derive(Debug)]
pub struct SharedList<T> {
    parts: Arc<Vec<Arc<Vec<Arc<T>>>>>,
}

impl<T> SharedList<T> {
    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.parts.iter().flat_map(|part| part.iter()).map(|item| &**item)
    }

    /// How many items.
    pub fn len(&self) -> usize {
        let last = self.parts.last().map_or(0, |part| part.len());
        self.parts.len().saturating_sub(1) * PART + last
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The item at a place.
    pub fn get(&self, at: usize) -> Option<&T> {
        self.parts.get(at / PART)?.get(at % PART).map(|item| &**item)
    }

    /// Adds an item at the end.
    pub(super) fn push(&mut self, item: T) {
        let parts = Arc::make_mut(&mut self.parts);
        match parts.last_mut().filter(|part| part.len() < PART) {
            Some(part) => Arc::make_mut(part).push(Arc::new(item)),
            None => parts.push(Arc::new(vec![Arc::new(item)])),
        }
    }
}

impl<T: Clone> SharedList<T> {
    /// The item at a place, to be changed.
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let part = Arc::make_mut(&mut self.parts).get_mut(at / PART)?;
        Arc::make_mut(part).get_mut(at % PART).map(Arc::make_mut)
    }

    /// Changes the items that are to be changed, and copies no others.
    pub(super) fn change(&mut self, is_to_be: impl Fn(&T) -> bool, mut change: impl FnMut(&mut T)) {
        for at in 0..self.len() {
            if self.get(at).is_some_and(&is_to_be)
                && let Some(item) = self.get_mut(at)
            {
                change(item);
            }
        }
    }
}

impl<T> Clone for SharedList<T> {
    fn clone(&self) -> SharedList<T> {
        SharedList { parts: Arc::clone(&self.parts) }
    }
}

impl<T> Default for SharedList<T> {
    fn default() -> SharedList<T> {
        SharedList { parts: Arc::default() }
    }
}

impl<T: PartialEq> PartialEq for SharedList<T> {
    fn eq(&self, other: &SharedList<T>) -> bool {
        Arc::ptr_eq(&self.parts, &other.parts) || self.iter().eq(other.iter())
    }
}

impl<T: Eq> Eq for SharedList<T> {}

impl<T> Index<usize> for SharedList<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.parts[at / PART][at % PART]
    }
}

/// Places in a list by what is looked up: sorted runs, each shared with copies. A new run takes in
/// those before it that are not longer, so that there are few.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PlacesBy<K> {
    runs: Arc<Vec<Run<K>>>,
}

/// What is looked up, each with its place.
type Run<K> = Arc<[(K, usize)]>;

impl<K: Ord + Copy> PlacesBy<K> {
    fn of(&self, key: K) -> impl Iterator<Item = usize> {
        self.runs.iter().flat_map(move |run| {
            let first = run.partition_point(|(own, _)| *own < key);
            let same = run[first..].iter().take_while(move |(own, _)| *own == key);
            same.map(|(_, place)| *place)
        })
    }

    fn add(&mut self, key: K, place: usize) {
        let runs = Arc::make_mut(&mut self.runs);
        let mut merged = vec![(key, place)];
        while let Some(run) = runs.pop_if(|run| run.len() <= merged.len()) {
            merged.extend_from_slice(&run);
        }
        merged.sort_unstable();
        runs.push(merged.into());
    }
}

impl<K> Default for PlacesBy<K> {
    fn default() -> PlacesBy<K> {
        PlacesBy { runs: Arc::default() }
    }
}

/// Where keys stand in a list.
///
/// Each key that an entry lists is compared with all that were listed before: without this a reader
/// would spend time as the square of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyPlaces {
    by_id: PlacesBy<KeyId>,
    by_public: PlacesBy<Hash>,
}

impl KeyPlaces {
    /// The places of the keys of an id.
    pub(super) fn of_id(&self, id: KeyId) -> impl Iterator<Item = usize> {
        self.by_id.of(id)
    }

    /// The places of the keys that share an id or a public key with this one.
    pub(super) fn like(&self, key: &VerifierKey) -> impl Iterator<Item = usize> {
        self.of_id(key.id()).chain(self.by_public.of(public_digest(key)))
    }

    pub(super) fn add(&mut self, key: &VerifierKey, place: usize) {
        self.by_id.add(key.id(), place);
        self.by_public.add(public_digest(key), place);
    }
}

fn public_digest(key: &VerifierKey) -> Hash {
    Hash::digest(key.public().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_change_apart_and_share_what_did_not_change() {
        let mut list = SharedList::default();
        for n in 0..3 * PART + 5 {
            assert_eq!(list.len(), n);
            list.push(n);
        }
        let mut copy = list.clone();
        copy.change(|n| *n == PART, |n| *n = 7);
        copy.push(9);
        assert_eq!((list[PART], copy[PART], copy.len()), (PART, 7, list.len() + 1));
        assert_ne!(list, copy);
        let shared = list.parts.iter().zip(copy.parts.iter()).map(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.collect::<Vec<_>>(), [true, false, true, false]);
        assert_eq!(list.iter().copied().collect::<Vec<_>>(), (0..list.len()).collect::<Vec<_>>());
    }

    #[test]
    fn places_are_found_by_what_is_looked_up_and_copies_share_them() {
        let mut places = PlacesBy::default();
        for n in 0..1000usize {
            places.add(n * 7919 % 101, n);
        }
        let copy = places.clone();
        places.add(5, 1000);
        for key in 0..102 {
            let found = |places: &PlacesBy<usize>| {
                let mut found: Vec<usize> = places.of(key).collect();
                found.sort_unstable();
                found
            };
            let all: Vec<usize> = (0..1000).filter(|n| n * 7919 % 101 == key).collect();
            assert_eq!(found(&copy), all);
            assert_eq!(found(&places), if key == 5 { [all, vec![1000]].concat() } else { all });
        }
        assert!(places.runs.len() <= 10, "{} runs", places.runs.len());
        assert!(Arc::ptr_eq(&places.runs[0], &copy.runs[0]));
    }
}
