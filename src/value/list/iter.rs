//! Entries of a list in either direction.

use super::chunk::{entry_at, entry_before};
use super::{Entry, Item, List};

/// Entries of a list, from some index on towards one end. A step is O(1), and O(log n) once a chunk.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    list: &'a List,
    back: bool,
    /// Entries before the next one, or, backwards, before the last one returned.
    index: u64,
    /// The entries of the chunk that holds the next one; none at the end.
    entries: &'a [u8],
    /// Where among them the next entry begins, or, backwards, ends.
    offset: usize,
}

impl<'a> Iter<'a> {
    pub(super) fn forward(list: &'a List, index: u64) -> Self {
        let mut iter = Iter { list, back: false, index, entries: &[], offset: 0 };
        iter.enter(index);
        iter
    }

    pub(super) fn backward(list: &'a List, index: u64) -> Self {
        let index = index.saturating_add(1).min(list.len());
        let mut iter = Iter { list, back: true, index, entries: &[], offset: 0 };
        if let Some(last) = index.checked_sub(1) {
            iter.enter(last);
        }
        iter
    }

    /// Goes to the chunk that holds the next entry.
    fn enter(&mut self, index: u64) {
        (self.entries, self.offset) = (&[], 0);
        if let Some((chunk, first)) = self.list.chunk(index) {
            let inside = (index - first) as usize + usize::from(self.back);
            self.offset = chunk.offset(inside);
            self.entries = chunk.entries();
        }
    }

    /// The next entry as it is stored, with its index.
    #[inline]
    pub(super) fn next_entry(&mut self) -> Option<(u64, Entry<'a>)> {
        if self.back {
            self.offset = entry_before(self.entries, self.offset)?;
            let (entry, _) = entry_at(self.entries, self.offset)?;
            // A chunk that says fewer entries than it has ends early.
            self.index = self.index.checked_sub(1)?;
            if self.offset == 0 {
                match self.index.checked_sub(1) {
                    Some(next) => self.enter(next),
                    None => self.entries = &[],
                }
            }
            return Some((self.index, entry));
        }
        let (entry, bytes) = entry_at(self.entries, self.offset)?;
        let index = self.index;
        self.offset += bytes;
        self.index += 1;
        if self.offset == self.entries.len() {
            self.enter(self.index);
        }
        Some((index, entry))
    }

    /// The index of the next entry that equals `entry`.
    pub(super) fn position_of(&mut self, entry: Entry<'_>) -> Option<u64> {
        loop {
            let (index, other) = self.next_entry()?;
            if other == entry {
                return Some(index);
            }
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.next_entry().map(|(_, entry)| entry.item())
    }
}
