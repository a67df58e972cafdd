//! Lists that share what they have in common with the lists that they were copied from.
//!
//! Each governance entry gives another charter, which is the one before but for a key or a role.
//! Whole copies would cost a reader as much heap as the square of the entries; these cost what
//! changed.

use std::ops::Index;
use std::sync::Arc;

use crate::note::KeyId;

/// Items of one part of a list: what a change of one item copies, one pointer each.
const PART: usize = 64;

/// Groups of keys by their id: what another key copies is one pointer for each, and one group.
const GROUPS: usize = 64;

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

/// Keys of one group, each with its place.
type Group = Arc<Vec<(KeyId, usize)>>;

/// Places in a list, by the ids of the keys there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlacesById {
    groups: Arc<Vec<Group>>,
}

impl PlacesById {
    /// The places of the keys of an id, in order.
    pub(super) fn of(&self, id: KeyId) -> impl Iterator<Item = usize> {
        let group = self.groups[group_of(id)].iter();
        group.filter(move |(own, _)| *own == id).map(|(_, place)| *place)
    }

    pub(super) fn add(&mut self, id: KeyId, place: usize) {
        let groups = Arc::make_mut(&mut self.groups);
        Arc::make_mut(&mut groups[group_of(id)]).push((id, place));
    }
}

impl Default for PlacesById {
    fn default() -> PlacesById {
        PlacesById { groups: Arc::new(vec![Arc::default(); GROUPS]) }
    }
}

fn group_of(id: KeyId) -> usize {
    usize::from(id.as_bytes()[0]) % GROUPS
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
}
