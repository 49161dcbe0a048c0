//! Lists: packed chunks of entries, one while the list is small, a counted tree of them when it is large.
//!
//! Ends cost O(1), any index O(log n) and one chunk. A chunk is bounded as Redis bounds its listpacks, by
//! `list-max-listpack-size`; an entry too large for that has a chunk of its own. The list changes between both forms,
//! and names them, where Redis 7.2 does.

mod chunk;
mod iter;
mod large;

use chunk::Chunk;
pub use iter::Iter;
use large::Large;

use super::buffer::Buffer;
use super::item::Item;
use super::packed::Entry;
use super::sequence::Counted;

/// How large a chunk may be: `list-max-listpack-size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    bytes: usize,
    entries: usize,
}

impl Limit {
    /// From the setting: -1 to -5 are 4, 8, 16, 32 and 64 KiB, lower ones as -5; a positive one is a number of entries
    /// (then no chunk of several is larger than 8 KiB), 0 is one entry.
    pub const fn new(setting: i64) -> Self {
        match setting {
            0 => Limit { bytes: usize::MAX, entries: 1 },
            1.. => Limit { bytes: usize::MAX, entries: setting as usize },
            -1 => Limit { bytes: 4096, entries: usize::MAX },
            -2 => Limit { bytes: 8192, entries: usize::MAX },
            -3 => Limit { bytes: 16384, entries: usize::MAX },
            -4 => Limit { bytes: 32768, entries: usize::MAX },
            _ => Limit { bytes: 65536, entries: usize::MAX },
        }
    }

    /// Whether a chunk of so many bytes and entries is too large.
    fn exceeded(self, bytes: usize, entries: usize) -> bool {
        const WITHOUT_BYTES: usize = 8192;
        bytes > self.bytes.min(if self.entries == usize::MAX { usize::MAX } else { WITHOUT_BYTES })
            || entries > self.entries
    }

    /// Whether a list that shrank to this single chunk is small again: at half the limit, so that it does not change
    /// its form with each command.
    fn allows_return(self, chunk: &Chunk) -> bool {
        let half = |limit: usize| if limit == usize::MAX { limit } else { limit / 2 };
        chunk.size() <= half(self.bytes) && chunk.count() <= half(self.entries)
    }

    /// Whether a chunk is less than a quarter full.
    fn is_sparse(self, chunk: &Chunk) -> bool {
        !self.exceeded(chunk.size().saturating_mul(4), chunk.count() * 4)
    }

    /// Whether two chunks make one of at most three quarters.
    fn is_joinable(self, left: &Chunk, right: &Chunk) -> bool {
        let size = left.size().saturating_add(right.size());
        !self.exceeded(size.saturating_add(size / 3), (left.count() + right.count()) * 4 / 3)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Limit::new(-2)
    }
}

/// A list of strings. Positions are counted from 0 at the head.
///
/// It never becomes empty by itself being removed: the caller removes the key when [`List::is_empty`].
#[derive(Clone, Debug)]
pub struct List(Form);

#[derive(Clone, Debug)]
enum Form {
    Small(Chunk),
    Large(Box<Large>),
}

impl Default for List {
    fn default() -> Self {
        List::new()
    }
}

impl List {
    /// An empty list, which owns no memory.
    pub fn new() -> Self {
        List(Form::Small(Chunk::default()))
    }

    /// A list of so many entries as a chunk holds them. O(1).
    #[inline]
    pub(super) fn of_chunk(entries: Buffer, count: usize) -> Self {
        List(Form::Small(Chunk::of_parts(entries, count)))
    }

    /// The entries of the only chunk, their number, and whether they are lent, while the list is small. O(1).
    #[inline]
    pub(super) fn as_chunk(&self) -> Option<(&[u8], usize, bool)> {
        match &self.0 {
            Form::Small(chunk) => Some((chunk.entries(), chunk.count(), chunk.is_lent())),
            Form::Large(_) => None,
        }
    }

    /// Entries. O(1).
    pub fn len(&self) -> u64 {
        match &self.0 {
            Form::Small(chunk) => chunk.weight(),
            Form::Large(large) => large.len(),
        }
    }

    /// Whether there is no entry. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `listpack` or `quicklist`, as `OBJECT ENCODING` names the form. O(1).
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Form::Small(_) => "listpack",
            Form::Large(_) => "quicklist",
        }
    }

    /// Bytes that the list owns besides its own size, as the allocator counts them. O(1).
    pub fn memory(&self) -> usize {
        match &self.0 {
            Form::Small(chunk) => chunk.heap(),
            Form::Large(large) => large.memory(),
        }
    }

    /// The entry of an index. O(log n + chunk).
    pub fn get(&self, index: u64) -> Option<Item<'_>> {
        let (chunk, first) = self.chunk(index)?;
        chunk.get((index - first) as usize).map(Entry::item)
    }

    /// Entries from an index on towards the tail; none beyond the end. O(log n + chunk) to start, O(1) each.
    pub fn iter_from(&self, index: u64) -> Iter<'_> {
        Iter::forward(self, index)
    }

    /// Entries from an index on towards the head; from the last if the index is beyond the end.
    /// O(log n + chunk) to start, O(1) each.
    pub fn iter_back_from(&self, index: u64) -> Iter<'_> {
        Iter::backward(self, index)
    }

    /// All entries, from the head on.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The chunks in order: their entries, encoded as in a listpack without header and end, and their number. For
    /// writers of snapshots, which may copy them.
    pub fn chunks(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let (small, large) = match &self.0 {
            Form::Small(chunk) => (Some(chunk), None),
            Form::Large(large) => (None, Some(large)),
        };
        let small = small.into_iter().filter(|chunk| !chunk.is_empty());
        let chunks = small.chain(large.into_iter().flat_map(|large| large.chunks()));
        chunks.map(|chunk| (chunk.entries(), chunk.count()))
    }

    /// Makes the list large if so many entries of so many bytes in all would make it too large for one chunk.
    ///
    /// The pushing functions do so by themselves; `LINSERT` and `LSET` do it before they look for their place, even if
    /// they then change nothing. O(1).
    pub fn make_room(&mut self, entries: usize, bytes: usize, limit: Limit) {
        if let Form::Small(chunk) = &mut self.0
            && limit.exceeded(chunk.size().saturating_add(bytes), chunk.count().saturating_add(entries))
        {
            self.0 = Form::Large(Box::new(Large::from(chunk.take())));
        }
    }

    /// Pushes values to the head, one after the other: the last of them becomes the first entry. O(values).
    pub fn push_front<'a>(&mut self, values: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>, limit: Limit) {
        let values = values.into_iter();
        self.make_room_for(values.clone(), limit);
        for value in values {
            match &mut self.0 {
                Form::Small(chunk) => chunk.push_front(Entry::of(value)),
                Form::Large(large) => large.push_front(value, limit),
            }
        }
    }

    /// Pushes values to the tail, one after the other. O(values).
    pub fn push_back<'a>(&mut self, values: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>, limit: Limit) {
        let values = values.into_iter();
        self.make_room_for(values.clone(), limit);
        for value in values {
            match &mut self.0 {
                Form::Small(chunk) => chunk.push_back(Entry::of(value)),
                Form::Large(large) => large.push_back(value, limit),
            }
        }
    }

    fn make_room_for<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>, limit: Limit) {
        if let Form::Small(_) = self.0 {
            let (entries, bytes) =
                values.fold((0, 0usize), |(entries, bytes), value| (entries + 1, bytes.saturating_add(value.len())));
            self.make_room(entries, bytes, limit);
        }
    }

    /// Inserts a value so that it gets this index; at the tail if the index is beyond. O(log n + chunk).
    pub fn insert(&mut self, index: u64, value: &[u8], limit: Limit) {
        self.make_room(1, value.len(), limit);
        let len = self.len();
        match &mut self.0 {
            Form::Small(chunk) => {
                let offset = chunk.offset(index.min(len) as usize);
                chunk.insert_at(offset, Entry::of(value));
            }
            Form::Large(large) if index == 0 => large.push_front(value, limit),
            Form::Large(large) if index >= len => large.push_back(value, limit),
            Form::Large(large) => large.insert(index, value, limit),
        }
    }

    /// Inserts a value `before` or behind the first entry that equals `pivot` (`LINSERT`); tells whether there is one.
    /// O(entries up to the pivot).
    pub fn insert_beside(&mut self, pivot: &[u8], before: bool, value: &[u8], limit: Limit) -> bool {
        self.make_room(1, value.len(), limit);
        let Some(index) = self.iter().position_of(Entry::of(pivot)) else { return false };
        self.insert(if before { index } else { index + 1 }, value, limit);
        true
    }

    /// Replaces the entry of an index (`LSET`); tells whether there is one. O(log n + chunk).
    pub fn set(&mut self, index: u64, value: &[u8], limit: Limit) -> bool {
        self.make_room(1, value.len(), limit);
        if index >= self.len() {
            return false;
        }
        match &mut self.0 {
            Form::Small(chunk) => chunk.replace(chunk.offset(index as usize), Entry::of(value)),
            Form::Large(large) => large.set(index, value, limit),
        }
        self.shrink(limit);
        true
    }

    /// Removes the first entries, at most all. O(1) for one, else O(log n) for each chunk that goes.
    pub fn remove_front(&mut self, entries: u64, limit: Limit) {
        match &mut self.0 {
            Form::Small(chunk) => chunk.remove_front(usize::try_from(entries).unwrap_or(usize::MAX)),
            Form::Large(large) => large.remove_front(entries),
        }
        self.shrink(limit);
    }

    /// Removes the last entries, at most all. Costs as [`Self::remove_front`].
    pub fn remove_back(&mut self, entries: u64, limit: Limit) {
        match &mut self.0 {
            Form::Small(chunk) => chunk.remove_back(usize::try_from(entries).unwrap_or(usize::MAX)),
            Form::Large(large) => large.remove_back(entries),
        }
        self.shrink(limit);
    }

    /// Keeps the entries of a range (`LTRIM`), and none if it is empty. O(log n) for each chunk that goes.
    pub fn keep(&mut self, range: std::ops::Range<u64>, limit: Limit) {
        let len = self.len();
        let start = range.start.min(len);
        let end = range.end.clamp(start, len);
        self.remove_back(len - end, limit);
        self.remove_front(start, limit);
    }

    /// Removes up to `most` entries that equal a value, the first ones or, `from_end`, the last ones (`LREM`); tells how
    /// many. O(n).
    pub fn remove_equal(&mut self, value: &[u8], most: u64, from_end: bool, limit: Limit) -> u64 {
        let entry = Entry::of(value);
        let removed = match &mut self.0 {
            Form::Small(chunk) => chunk.remove_equal(entry, most, from_end),
            Form::Large(large) => large.remove_equal(entry, most, from_end, limit),
        };
        if removed > 0 {
            self.shrink(limit);
        }
        removed
    }

    /// Calls `found` with the indexes of entries that equal a value (`LPOS`): from the `rank`-th match on (from the tail
    /// if negative; 0 is taken as 1), at most `count` of them (0 is all), among at most `max_len` compared entries (0 is
    /// all). O(compared entries).
    pub fn positions(&self, value: &[u8], rank: i64, count: u64, max_len: u64, mut found: impl FnMut(u64)) {
        let entry = Entry::of(value);
        let mut skip = rank.unsigned_abs().saturating_sub(1);
        let mut entries = if rank < 0 { self.iter_back_from(u64::MAX) } else { self.iter() };
        let most = if count == 0 { u64::MAX } else { count };
        let (mut compared, mut matches) = (0, 0);
        while matches < most && (max_len == 0 || compared < max_len) {
            let Some((index, other)) = entries.next_entry() else { return };
            compared += 1;
            if other != entry {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            matches += 1;
            found(index);
        }
    }

    /// The chunk that holds an index, and the index of its first entry.
    fn chunk(&self, index: u64) -> Option<(&Chunk, u64)> {
        match &self.0 {
            Form::Small(chunk) => (index < chunk.weight()).then_some((chunk, 0)),
            Form::Large(large) => large.chunk(index),
        }
    }

    /// Makes the list small again if it has shrunk to nothing or to one chunk of at most half the limit.
    fn shrink(&mut self, limit: Limit) {
        let Form::Large(large) = &mut self.0 else { return };
        if large.len() == 0 {
            *self = List::new();
        } else if let Some(chunk) = large.take_only(|chunk| limit.allows_return(chunk)) {
            self.0 = Form::Small(chunk);
        }
    }
}

#[cfg(test)]
mod tests;
