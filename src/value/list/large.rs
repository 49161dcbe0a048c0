//! A list of many chunks: the first and the last at hand, those between in a counted tree.

use crate::value::memory::malloc_size;
use crate::value::packed::Entry;
use crate::value::sequence::{Seek, Tree};

use super::Limit;
use super::chunk::Chunk;

/// Chunks in order. The first and the last may be empty, those in the tree never are. So both ends are O(1), and any
/// place is O(log chunks) away.
#[derive(Clone, Debug, Default)]
pub(super) struct Large {
    head: Chunk,
    body: Tree<Chunk>,
    tail: Chunk,
}

/// Chunks to put behind one that was edited.
type Rest = [Option<Chunk>; 2];

const NONE: Rest = [None, None];

impl From<Chunk> for Large {
    fn from(chunk: Chunk) -> Self {
        Large { tail: chunk, ..Large::default() }
    }
}

impl Large {
    pub(super) fn len(&self) -> u64 {
        self.head.count() as u64 + self.body.weight() + self.tail.count() as u64
    }

    /// Bytes that it takes, itself included. O(1).
    pub(super) fn memory(&self) -> usize {
        use crate::value::sequence::Counted;
        malloc_size(size_of::<Self>()) + self.head.heap() + self.body.memory() + self.tail.heap()
    }

    /// The chunk that holds an index, and the index of its first entry; `None` beyond the end. O(log chunks).
    pub(super) fn chunk(&self, index: u64) -> Option<(&Chunk, u64)> {
        let (head, body) = (self.head.count() as u64, self.body.weight());
        if index < head {
            return Some((&self.head, 0));
        }
        if index - head < body {
            let found = self.body.find(Seek::Rank(index - head))?;
            return Some((&found.leaf[found.slot], head + found.rank));
        }
        (index - head - body < self.tail.count() as u64).then_some((&self.tail, head + body))
    }

    /// The chunks that hold entries, in order.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        let ends = |chunk| std::iter::once(chunk).filter(|chunk: &&Chunk| !chunk.is_empty());
        ends(&self.head).chain(self.body.iter()).chain(ends(&self.tail))
    }

    /// Takes the only chunk out, if there is just one and `small` agrees.
    pub(super) fn take_only(&mut self, small: impl FnOnce(&Chunk) -> bool) -> Option<Chunk> {
        let mut chunks = self.chunks();
        let only = chunks.next()?;
        if chunks.next().is_some() || !small(only) {
            return None;
        }
        drop(chunks);
        if !self.head.is_empty() {
            return Some(std::mem::take(&mut self.head));
        }
        self.body.pop_front().or_else(|| Some(std::mem::take(&mut self.tail)))
    }

    /// O(1), O(log chunks) where a chunk is full.
    pub(super) fn push_front(&mut self, value: &[u8], limit: Limit) {
        let entry = Entry::of(value);
        if self.head.is_empty() {
            match self.body.pop_front() {
                Some(chunk) => self.head = chunk,
                None if self.tail.fits(value.len(), limit) => return self.tail.push_front(entry),
                None => {}
            }
        }
        if !self.head.fits(value.len(), limit) {
            self.body.push_front(std::mem::take(&mut self.head));
        }
        self.head.push_front(entry);
    }

    /// O(1), O(log chunks) where a chunk is full.
    pub(super) fn push_back(&mut self, value: &[u8], limit: Limit) {
        let entry = Entry::of(value);
        if self.tail.is_empty() {
            match self.body.pop_back() {
                Some(chunk) => self.tail = chunk,
                None if self.head.fits(value.len(), limit) => return self.head.push_back(entry),
                None => {}
            }
        }
        if !self.tail.fits(value.len(), limit) {
            self.body.push_back(std::mem::take(&mut self.tail));
        }
        self.tail.push_back(entry);
    }

    /// Removes the first entries. O(1) for one; O(log chunks) for each chunk that goes.
    pub(super) fn remove_front(&mut self, mut entries: u64) {
        while entries > 0 {
            if self.head.is_empty() {
                self.head = self.body.pop_front().unwrap_or_else(|| std::mem::take(&mut self.tail));
            }
            let count = entries.min(self.head.count() as u64);
            if count == 0 {
                return;
            }
            self.head.remove_front(count as usize);
            entries -= count;
        }
    }

    /// Removes the last entries, as [`Self::remove_front`] does the first.
    pub(super) fn remove_back(&mut self, mut entries: u64) {
        while entries > 0 {
            if self.tail.is_empty() {
                self.tail = self.body.pop_back().unwrap_or_else(|| std::mem::take(&mut self.head));
            }
            let count = entries.min(self.tail.count() as u64);
            if count == 0 {
                return;
            }
            self.tail.remove_back(count as usize);
            entries -= count;
        }
    }

    /// Inserts before the entry of an index that is neither the first nor beyond the last. O(log chunks + chunk).
    pub(super) fn insert(&mut self, index: u64, value: &[u8], limit: Limit) {
        let entry = Entry::of(value);
        let inserted = self.edit(index - 1, limit, |chunk, before| {
            let at = before + 1;
            let offset = chunk.offset(at);
            if chunk.fits(value.len(), limit) {
                chunk.insert_at(offset, entry);
                return (true, NONE);
            }
            if at == chunk.count() {
                return (false, NONE);
            }
            let mut right = chunk.split_off(offset, at);
            let smaller = if chunk.size() <= right.size() { &mut *chunk } else { &mut right };
            if !smaller.fits(value.len(), limit) {
                return (true, [Some(Chunk::of(entry)), Some(right)]);
            }
            if chunk.size() <= right.size() {
                chunk.push_back(entry);
            } else {
                right.push_front(entry);
            }
            (true, [Some(right), None])
        });
        if inserted {
            return;
        }
        // Between two chunks, of which the left one is full.
        let inserted = self.edit(index, limit, |chunk, _| {
            let fits = chunk.fits(value.len(), limit);
            if fits {
                chunk.push_front(entry);
            }
            (fits, NONE)
        });
        if !inserted {
            self.edit(index - 1, limit, |_, _| ((), [Some(Chunk::of(entry)), None]));
        }
    }

    /// Replaces the entry of an index inside. O(log chunks + chunk).
    pub(super) fn set(&mut self, index: u64, value: &[u8], limit: Limit) {
        let entry = Entry::of(value);
        let replaced = self.edit(index, limit, |chunk, at| {
            let offset = chunk.offset(at);
            let old = chunk.entry_at(offset).map_or(0, |(_, bytes)| bytes);
            let size = chunk.size() - old + value.len() + 8;
            let fits = chunk.count() == 1 || size <= chunk.size() || !limit.exceeded(size, chunk.count());
            if fits {
                chunk.replace(offset, entry);
            }
            (fits, NONE)
        });
        if !replaced {
            let last = index + 1 == self.len();
            self.edit(index, limit, |chunk, at| (chunk.remove(at), NONE));
            match index {
                0 => self.push_front(value, limit),
                _ if last => self.push_back(value, limit),
                _ => self.insert(index, value, limit),
            }
        }
    }

    /// Removes up to `most` entries equal to `entry`, from the front or from the end; tells how many. O(entries).
    pub(super) fn remove_equal(&mut self, entry: Entry<'_>, most: u64, from_end: bool, limit: Limit) -> u64 {
        let (mut removed, mut index) = (0, if from_end { self.len() } else { 0 });
        while removed < most && (if from_end { index > 0 } else { index < self.len() }) {
            let inside = if from_end { index - 1 } else { index };
            let Some((chunk, first)) = self.chunk(inside) else { break };
            let count = chunk.count() as u64;
            // Nothing is edited, and so nothing merged, where nothing is removed.
            let gone = self
                .edit_without_merging(inside, |chunk, _| (chunk.remove_equal(entry, most - removed, from_end), NONE));
            removed += gone;
            index = if from_end { first } else { first + count - gone };
        }
        if removed > 0 {
            self.merge_all(limit);
        }
        removed
    }

    /// Joins chunks that have become small with their neighbours. O(chunks) at most, and none if few were left small.
    fn merge_all(&mut self, limit: Limit) {
        let mut rank = 0;
        while let Some(found) = self.body.find(Seek::Rank(rank)).filter(|_| rank < self.body.weight()) {
            let next = found.rank + found.leaf[found.slot].count() as u64;
            let small = limit.is_sparse(&found.leaf[found.slot]);
            let before = self.body.items();
            if small {
                self.body.edit(Seek::Rank(rank), |leaf, at| merge(leaf, at.slot, limit));
            }
            // A chunk that took its neighbour in may still be small.
            if self.body.items() == before {
                rank = next;
            }
        }
    }

    /// Lets `change` change the chunk that holds an index inside, given the index in the chunk. Chunks that it returns
    /// are put behind; an emptied chunk goes; a small one is joined with a neighbour. O(log chunks + change).
    fn edit<R>(&mut self, index: u64, limit: Limit, change: impl FnOnce(&mut Chunk, usize) -> (R, Rest)) -> R {
        self.apply(index, Some(limit), change)
    }

    fn edit_without_merging<R>(&mut self, index: u64, change: impl FnOnce(&mut Chunk, usize) -> (R, Rest)) -> R {
        self.apply(index, None, change)
    }

    fn apply<R>(&mut self, index: u64, limit: Option<Limit>, change: impl FnOnce(&mut Chunk, usize) -> (R, Rest)) -> R {
        let (head, body) = (self.head.count() as u64, self.body.weight());
        if index < head {
            let (result, rest) = change(&mut self.head, index as usize);
            for chunk in rest.into_iter().rev().flatten() {
                self.body.push_front(chunk);
            }
            return result;
        }
        if index - head >= body {
            let (result, rest) = change(&mut self.tail, (index - head - body) as usize);
            for chunk in rest.into_iter().flatten() {
                self.body.push_back(std::mem::replace(&mut self.tail, chunk));
            }
            return result;
        }
        let rank = index - head;
        self.body.edit(Seek::Rank(rank), |leaf, at| {
            let (result, rest) = change(&mut leaf[at.slot], (rank - at.rank) as usize);
            let whole = rest.iter().all(Option::is_none);
            for chunk in rest.into_iter().rev().flatten() {
                leaf.insert(at.slot + 1, chunk);
            }
            if leaf[at.slot].is_empty() {
                leaf.remove(at.slot);
            } else if let Some(limit) = limit.filter(|_| whole) {
                merge(leaf, at.slot, limit);
            }
            result
        })
    }
}

/// Joins a small chunk with a neighbour in its leaf, if both together leave room to grow.
fn merge(leaf: &mut Vec<Chunk>, slot: usize, limit: Limit) {
    if !limit.is_sparse(&leaf[slot]) {
        return;
    }
    let joinable = |left: usize| leaf.get(left).zip(leaf.get(left + 1)).is_some_and(|(a, b)| limit.is_joinable(a, b));
    let left = match slot.checked_sub(1) {
        Some(before) if joinable(before) => before,
        _ if joinable(slot) => slot,
        _ => return,
    };
    let right = leaf.remove(left + 1);
    leaf[left].append(&right);
}
