//! Packed entries of a list: those of a listpack, with room kept at both ends.

use crate::value::buffer::Buffer;
use crate::value::memory::malloc_size;
use crate::value::packed::{Entry, back_len, decode_back, encode_back};
use crate::value::sequence::Counted;

use super::Limit;

/// Bytes of a listpack around its entries, which count towards its limit.
const FRAME: usize = 7;

/// Entries side by side. Both ends are pushed to and popped from without moving the others, because free bytes may lie
/// before the first entry as well as behind the last.
#[derive(Clone, Default)]
pub(super) struct Chunk {
    bytes: Buffer,
    /// Where the first entry begins. Offsets below are from there.
    start: u32,
    count: u32,
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..self.count()).map(|index| self.get(index).map(Entry::item))).finish()
    }
}

impl Counted for Chunk {
    /// Chunks have no order but their place.
    type Key = ();

    fn key(&self) {}

    fn weight(&self) -> u64 {
        u64::from(self.count)
    }

    fn heap(&self) -> usize {
        self.bytes.memory()
    }
}

impl Chunk {
    /// A chunk of one entry.
    pub(super) fn of(entry: Entry<'_>) -> Self {
        let mut chunk = Chunk::default();
        chunk.insert_at(0, entry);
        chunk
    }

    /// A chunk of so many entries as [`Self::entries`] gave them.
    #[inline]
    pub(super) fn of_parts(bytes: Buffer, count: usize) -> Self {
        Chunk { bytes, start: 0, count: count as u32 }
    }

    /// Whether the bytes are somebody else's.
    #[inline]
    pub(super) fn is_lent(&self) -> bool {
        self.bytes.is_lent()
    }

    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entries, encoded as in a listpack.
    pub(super) fn entries(&self) -> &[u8] {
        self.bytes.get(self.start as usize..).unwrap_or_default()
    }

    /// Bytes that a listpack of these entries has.
    pub(super) fn size(&self) -> usize {
        self.entries().len() + FRAME
    }

    /// Whether an element of `len` bytes may be added. An empty chunk takes any.
    pub(super) fn fits(&self, len: usize, limit: Limit) -> bool {
        // An entry's overhead is at most ten bytes, but Redis estimates eight.
        self.is_empty() || !limit.exceeded(self.size().saturating_add(len).saturating_add(8), self.count() + 1)
    }

    /// The entry at an offset, and the bytes that it takes.
    pub(super) fn entry_at(&self, offset: usize) -> Option<(Entry<'_>, usize)> {
        entry_at(self.entries(), offset)
    }

    /// Where the entry of an index begins; the end for any index beyond. Walks from the nearer end.
    pub(super) fn offset(&self, index: usize) -> usize {
        let entries = self.entries();
        let after = self.count().saturating_sub(index);
        if index < after {
            let walk = (0..index).try_fold(0, |offset, _| Some(offset + entry_bytes(entries, offset)?));
            walk.unwrap_or(entries.len())
        } else {
            let walk = (0..after).try_fold(entries.len(), |offset, _| entry_before(entries, offset));
            walk.unwrap_or(0)
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Entry<'_>> {
        Some(self.entry_at(self.offset(index))?.0)
    }

    pub(super) fn push_front(&mut self, entry: Entry<'_>) {
        self.insert_at(0, entry);
    }

    pub(super) fn push_back(&mut self, entry: Entry<'_>) {
        self.insert_at(self.entries().len(), entry);
    }

    /// Inserts an entry at an offset where one begins, or at the end.
    pub(super) fn insert_at(&mut self, offset: usize, entry: Entry<'_>) {
        let len = entry.encoded_len();
        let bytes = len + back_len(len);
        self.open(offset, bytes);
        let at = self.start as usize + offset;
        let (head, back) = self.bytes[at..at + bytes].split_at_mut(len);
        entry.encode(head);
        encode_back(len, back);
        self.count += 1;
    }

    pub(super) fn remove(&mut self, index: usize) {
        let offset = self.offset(index);
        if let Some((_, bytes)) = self.entry_at(offset) {
            self.close(offset, bytes);
            self.count -= 1;
            self.tighten();
        }
    }

    /// Puts another entry in the place of the one at an offset.
    pub(super) fn replace(&mut self, offset: usize, entry: Entry<'_>) {
        if let Some((_, bytes)) = self.entry_at(offset) {
            self.close(offset, bytes);
            self.count -= 1;
            self.insert_at(offset, entry);
            self.tighten();
        }
    }

    /// Removes the first entries, at most all.
    pub(super) fn remove_front(&mut self, entries: usize) {
        let entries = entries.min(self.count());
        self.close(0, self.offset(entries));
        self.count -= entries as u32;
        self.tighten();
    }

    /// Removes the last entries, at most all.
    pub(super) fn remove_back(&mut self, entries: usize) {
        let entries = entries.min(self.count());
        let keep = self.offset(self.count() - entries);
        self.close(keep, self.entries().len() - keep);
        self.count -= entries as u32;
        self.tighten();
    }

    /// Moves the entries from an offset on into a chunk of their own; `index` is that of the first of them.
    pub(super) fn split_off(&mut self, offset: usize, index: usize) -> Chunk {
        let bytes = self.entries()[offset..].to_vec().into();
        let right = Chunk { bytes, start: 0, count: self.count - index as u32 };
        self.bytes.truncate(self.start as usize + offset);
        self.count = index as u32;
        self.tighten();
        right
    }

    /// Leaves an empty chunk, and hands out this one with bytes of its own.
    pub(super) fn take(&mut self) -> Chunk {
        let chunk = std::mem::take(self);
        Chunk { bytes: chunk.bytes.into_owned(), ..chunk }
    }

    /// Appends the entries of another chunk.
    pub(super) fn append(&mut self, other: &Chunk) {
        let bytes = other.entries();
        self.reserve(bytes.len());
        self.bytes.extend_from_slice(bytes);
        self.count += other.count;
    }

    /// Removes up to `most` entries that equal `entry`, the first ones or, `from_end`, the last ones; tells how many.
    /// One pass to compare and, if there are any, one to move.
    pub(super) fn remove_equal(&mut self, entry: Entry<'_>, most: u64, from_end: bool) -> u64 {
        let found = self.walk().filter(|(_, found, _)| *found == entry).count() as u64;
        let removed = found.min(most);
        if removed == 0 {
            return 0;
        }
        let skipped = if from_end { found - removed } else { 0 };
        let mut kept = Buffer::with_capacity(malloc_size(self.entries().len()));
        let mut seen = 0;
        for (offset, found, bytes) in self.walk() {
            if found == entry {
                seen += 1;
                if seen > skipped && seen <= skipped + removed {
                    continue;
                }
            }
            kept.extend_from_slice(&self.entries()[offset..offset + bytes]);
        }
        *self = Chunk { bytes: kept, start: 0, count: self.count - removed as u32 };
        self.tighten();
        removed
    }

    /// Offset, entry and bytes of each entry.
    fn walk(&self) -> impl Iterator<Item = (usize, Entry<'_>, usize)> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let (entry, bytes) = self.entry_at(offset)?;
            let here = offset;
            offset += bytes;
            Some((here, entry, bytes))
        })
    }

    /// Makes room for `bytes` at an offset by moving the shorter side where it has room to move to.
    fn open(&mut self, offset: usize, bytes: usize) {
        let (start, end) = (self.start as usize, self.bytes.len());
        let nearer_front = offset * 2 <= end - start && end > start;
        if offset == 0 && nearer_front && start < bytes {
            self.reserve_front(bytes);
        }
        let start = self.start as usize;
        if nearer_front && start >= bytes {
            self.bytes.copy_within(start..start + offset, start - bytes);
            self.start -= bytes as u32;
        } else {
            self.reserve(bytes);
            let (at, end) = (self.start as usize + offset, self.bytes.len());
            self.bytes.resize(end + bytes);
            self.bytes.copy_within(at..end, at + bytes);
        }
    }

    /// Takes bytes away by moving the shorter side.
    fn close(&mut self, offset: usize, bytes: usize) {
        let (at, end) = (self.start as usize + offset, self.bytes.len());
        if offset < end - at - bytes {
            self.bytes.copy_within(self.start as usize..at, self.start as usize + bytes);
            self.start += bytes as u32;
        } else {
            self.bytes.copy_within(at + bytes..end, at);
            self.bytes.truncate(end - bytes);
        }
    }

    /// Makes room behind the last entry, out of the room before the first if there is plenty, else of new memory. Takes
    /// an eighth more than needed, so that pushing is O(1) on average.
    fn reserve(&mut self, bytes: usize) {
        if self.bytes.capacity() - self.bytes.len() >= bytes {
            return;
        }
        let (start, live) = (self.start as usize, self.entries().len());
        if start >= bytes && start >= live / 8 {
            self.bytes.copy_within(start.., 0);
            self.bytes.truncate(live);
        } else {
            let mut grown = Buffer::with_capacity(malloc_size(live + bytes.max(live / 8)));
            grown.extend_from_slice(self.entries());
            self.bytes = grown;
        }
        self.start = 0;
    }

    /// Makes room before the first entry, as [`Self::reserve`] does behind the last.
    fn reserve_front(&mut self, bytes: usize) {
        let (live, capacity) = (self.entries().len(), self.bytes.capacity());
        let room = capacity - live;
        if room >= bytes && room >= live / 8 {
            let start = self.start as usize;
            self.bytes.resize(capacity);
            self.bytes.copy_within(start..start + live, room);
            self.start = room as u32;
        } else {
            let capacity = malloc_size(live + bytes.max(live / 8));
            let mut grown = Buffer::with_capacity(capacity);
            grown.resize(capacity - live);
            grown.extend_from_slice(self.entries());
            self.start = (capacity - live) as u32;
            self.bytes = grown;
        }
    }

    /// Gives memory back once most of it is free.
    fn tighten(&mut self) {
        let (live, capacity) = (self.entries().len(), self.bytes.capacity());
        if self.count == 0 {
            *self = Chunk::default();
        } else if capacity > 128 && live < capacity / 4 {
            let mut tight = Buffer::with_capacity(malloc_size(live + live / 8));
            tight.extend_from_slice(self.entries());
            self.bytes = tight;
            self.start = 0;
        }
    }
}

/// The entry at an offset among entries, and the bytes that it takes.
#[inline]
pub(super) fn entry_at(entries: &[u8], offset: usize) -> Option<(Entry<'_>, usize)> {
    let (entry, len) = Entry::decode(entries, offset)?;
    Some((entry, len + back_len(len)))
}

/// Where the entry before an offset begins.
#[inline]
pub(super) fn entry_before(entries: &[u8], offset: usize) -> Option<usize> {
    let (len, back) = decode_back(entries, offset)?;
    offset.checked_sub(len + back)
}

/// The bytes of the entry at an offset: what [`entry_at`] tells, without decoding the short ones, which are most.
#[inline]
fn entry_bytes(entries: &[u8], offset: usize) -> Option<usize> {
    match *entries.get(offset)? {
        0..=0x7f => Some(2),
        head @ 0x80..=0xbf => Some(usize::from(head & 0x3f) + 2),
        _ => entry_at(entries, offset).map(|(_, bytes)| bytes),
    }
}
