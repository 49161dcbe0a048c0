//! The hash table of one large collection: handles of elements, found by the hash of their text.
//!
//! Linear hashing: buckets of a cache line (12 handles of 4 bytes, each with a tag of 7 hash bits) that are split one
//! at a time as the table grows, and merged one at a time as it shrinks, so that no operation ever moves the whole
//! table. A bucket that overflows is continued in another. Buckets are addressed by the low bits of the hash, and a
//! scan goes through the hashes in the order of their reversed bits, in which a split bucket stays where it was: a
//! cursor needs no state, and what is in the table throughout a scan is returned, whatever is split or merged.

use std::hash::Hasher;

use super::arena::Handle;
use super::memory::{box_size, vec_size};

/// Handles in a bucket.
const SLOTS: usize = 12;
/// Buckets in a chunk, the unit of allocation, and in the smallest table.
const CHUNK: usize = 16;
/// Entries per bucket above which one is split.
const MOST: usize = 9;
/// Entries per bucket below which one is merged.
const LEAST: usize = 3;
/// Low bits of a hash that the smallest table uses.
const LEAST_BITS: u32 = CHUNK.trailing_zeros();
/// No bucket.
const NIL: u32 = u32::MAX;

/// The hash of an element's text, by a seed of the process so that nobody outside can make texts collide. O(length).
#[inline]
pub(super) fn hash(text: &[u8]) -> u64 {
    let mut hasher = foldhash::quality::FoldHasher::with_seed(0, foldhash::SharedSeed::global_random());
    hasher.write(text);
    hasher.finish()
}

/// Never 0, which marks an empty slot. Its bits are not those that address buckets.
#[inline]
fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8 | 0x80
}

/// A cache line. The slots in use are the first ones.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u8; SLOTS],
    /// The overflow bucket that continues this one.
    next: u32,
    items: [u32; SLOTS],
}

impl Bucket {
    const EMPTY: Bucket = Bucket { tags: [0; SLOTS], next: NIL, items: [0; SLOTS] };

    /// The slots in use.
    #[inline]
    fn len(&self) -> usize {
        // Tags in use have their high bit set.
        (self.tag_word() & HIGH).count_ones() as usize
    }

    #[inline]
    fn tag_word(&self) -> u128 {
        let mut word = [0; 16];
        word[..SLOTS].copy_from_slice(&self.tags);
        u128::from_le_bytes(word)
    }

    /// A mask with the high bit of each byte that may be equal to the tag: a rare other one beside an equal one, too.
    #[inline]
    fn candidates(&self, tag: u8) -> u128 {
        let different = self.tag_word() ^ (LOW * u128::from(tag));
        different.wrapping_sub(LOW) & !different & HIGH
    }
}

const LOW: u128 = u128::from_le_bytes([1; 16]);
const HIGH: u128 = LOW << 7;

/// Buckets in chunks: growing copies nothing.
#[derive(Clone, Default)]
struct Buckets {
    #[expect(clippy::vec_box, reason = "a chunk must stay where it is when their number grows")]
    chunks: Vec<Box<[Bucket; CHUNK]>>,
    len: usize,
}

impl Buckets {
    fn push(&mut self) {
        if self.len == self.chunks.len() * CHUNK {
            self.chunks.push(Box::new([Bucket::EMPTY; CHUNK]));
        }
        self.len += 1;
    }

    fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
        if self.chunks.len() > self.len.div_ceil(CHUNK) {
            self.chunks.pop();
        }
    }

    #[inline]
    fn get(&self, index: usize) -> &Bucket {
        &self.chunks[index / CHUNK][index % CHUNK]
    }

    #[inline]
    fn get_mut(&mut self, index: usize) -> &mut Bucket {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }

    fn memory(&self) -> usize {
        vec_size(&self.chunks) + self.chunks.len() * box_size::<[Bucket; CHUNK]>()
    }
}

/// Where a bucket is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Primary(usize),
    Overflow(u32),
}

/// A set of handles, at most 2^32.
#[derive(Clone)]
pub(super) struct Table {
    primary: Buckets,
    overflow: Buckets,
    /// The first unused overflow bucket.
    spare: u32,
    spares: usize,
    /// Buckets below `split` are addressed by one bit more than `bits`.
    bits: u32,
    split: usize,
    len: usize,
    /// The most entries that a bucket with its continuations ever had.
    longest: usize,
}

impl Table {
    /// An empty table of 16 buckets.
    pub(super) fn new() -> Self {
        let mut primary = Buckets::default();
        (0..CHUNK).for_each(|_| primary.push());
        let overflow = Buckets::default();
        Table { primary, overflow, spare: NIL, spares: 0, bits: LEAST_BITS, split: 0, len: 0, longest: 0 }
    }

    /// The number of handles. O(1).
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated. O(1).
    pub(super) fn memory(&self) -> usize {
        self.primary.memory() + self.overflow.memory()
    }

    /// The bucket of a hash, and how many of its bits that tells.
    #[inline]
    fn address(&self, hash: u64) -> (usize, u32) {
        let address = hash as usize & ((1 << self.bits) - 1);
        if address >= self.split {
            return (address, self.bits);
        }
        (hash as usize & ((2 << self.bits) - 1), self.bits + 1)
    }

    #[inline]
    fn bucket(&self, place: Place) -> &Bucket {
        match place {
            Place::Primary(index) => self.primary.get(index),
            Place::Overflow(index) => self.overflow.get(index as usize),
        }
    }

    fn bucket_mut(&mut self, place: Place) -> &mut Bucket {
        match place {
            Place::Primary(index) => self.primary.get_mut(index),
            Place::Overflow(index) => self.overflow.get_mut(index as usize),
        }
    }

    #[inline]
    fn after(&self, place: Place) -> Option<Place> {
        let next = self.bucket(place).next;
        (next != NIL).then_some(Place::Overflow(next))
    }

    #[inline]
    fn locate(&self, hash: u64, mut same: impl FnMut(Handle) -> bool) -> Option<(Place, usize)> {
        let tag = tag(hash);
        let mut place = Place::Primary(self.address(hash).0);
        loop {
            let bucket = self.bucket(place);
            let mut candidates = bucket.candidates(tag);
            while candidates != 0 {
                let slot = candidates.trailing_zeros() as usize / 8;
                if same(Handle(bucket.items[slot])) {
                    return Some((place, slot));
                }
                candidates &= candidates - 1;
            }
            place = self.after(place)?;
        }
    }

    /// The handle with this hash that is the `same`. O(1).
    #[inline]
    pub(super) fn find(&self, hash: u64, same: impl FnMut(Handle) -> bool) -> Option<Handle> {
        self.locate(hash, same).map(|(place, slot)| Handle(self.bucket(place).items[slot]))
    }

    /// Adds a handle whose text is not in the table. `rehash` tells the hash of any handle. O(1).
    pub(super) fn insert(&mut self, hash: u64, handle: Handle, rehash: impl Fn(Handle) -> u64) {
        let (address, _) = self.address(hash);
        self.append(address, tag(hash), handle.0);
        self.len += 1;
        if self.len > self.primary.len * MOST && self.primary.len < 1 << 31 {
            self.grow(rehash);
        }
    }

    /// Removes a handle. O(1).
    pub(super) fn remove(&mut self, hash: u64, handle: Handle) -> bool {
        let Some((place, slot)) = self.locate(hash, |other| other == handle) else { return false };
        // The last slot of the chain fills the gap, so that the slots in use stay the first ones.
        let (mut last, mut before) = (place, None);
        while let Some(next) = self.after(last) {
            (last, before) = (next, Some(last));
        }
        if last == place && before.is_none() {
            before = self.before(self.address(hash).0, last);
        }
        let bucket = self.bucket_mut(last);
        let end = bucket.len().saturating_sub(1);
        let (tag, item) = (bucket.tags[end], bucket.items[end]);
        bucket.tags[end] = 0;
        if (last, end) != (place, slot) {
            let bucket = self.bucket_mut(place);
            (bucket.tags[slot], bucket.items[slot]) = (tag, item);
        }
        if let (0, Some(before), Place::Overflow(index)) = (end, before, last) {
            self.bucket_mut(before).next = NIL;
            self.free(index);
        }
        self.len -= 1;
        if self.len < self.primary.len * LEAST && self.primary.len > CHUNK {
            self.shrink();
        }
        true
    }

    /// The bucket of the chain at `address` that `place` continues.
    fn before(&self, address: usize, place: Place) -> Option<Place> {
        let mut at = Place::Primary(address);
        while let Some(next) = self.after(at) {
            if next == place {
                return Some(at);
            }
            at = next;
        }
        None
    }

    /// Puts another handle in the place of one: the same element has moved. O(1).
    pub(super) fn replace(&mut self, hash: u64, old: Handle, new: Handle) {
        if let Some((place, slot)) = self.locate(hash, |other| other == old) {
            self.bucket_mut(place).items[slot] = new.0;
        }
    }

    /// Visits the handles of the bucket at a cursor and returns the next cursor. Both start and end are 0. O(1).
    pub(super) fn scan(&self, cursor: u64, mut visit: impl FnMut(Handle)) -> u64 {
        // The cursor holds the 32 highest of the reversed bits: no table addresses by more.
        let cursor = cursor & u64::from(u32::MAX);
        let (address, bits) = self.address((cursor << 32).reverse_bits());
        self.visit(address, &mut visit);
        let prefix = (cursor >> (32 - bits)) + 1;
        (prefix << (32 - bits)) & u64::from(u32::MAX)
    }

    fn visit(&self, address: usize, visit: &mut impl FnMut(Handle)) {
        let mut place = Some(Place::Primary(address));
        while let Some(at) = place {
            let bucket = self.bucket(at);
            bucket.items[..bucket.len()].iter().for_each(|item| visit(Handle(*item)));
            place = self.after(at);
        }
    }

    /// A handle, each with the same probability, by uniform random bits. `None` if there is none. O(1) expected.
    pub(super) fn random(&self, mut bits: impl FnMut() -> u64) -> Option<Handle> {
        if self.len == 0 {
            return None;
        }
        // A bucket and a slot as if all buckets were as long as the longest; again if the slot is not in use. Only
        // bits that are not random need the bound.
        for _ in 0..64 * self.longest.max(1) {
            let bits = bits();
            let below = |bits: u64, end: usize| ((u128::from(bits) * end as u128) >> 32) as usize;
            let mut slot = below(bits >> 32, self.longest);
            let mut place = Some(Place::Primary(below(bits & u64::from(u32::MAX), self.primary.len)));
            while let Some(at) = place {
                let bucket = self.bucket(at);
                if slot < SLOTS {
                    if slot < bucket.len() {
                        return Some(Handle(bucket.items[slot]));
                    }
                    break;
                }
                slot -= SLOTS;
                place = self.after(at);
            }
        }
        self.iter().next()
    }

    /// All handles, in no order. O(1) a step.
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { table: self, address: 0, place: Place::Primary(0), slot: 0, left: self.len }
    }

    /// Adds an entry to the end of a chain.
    fn append(&mut self, address: usize, tag: u8, item: u32) {
        let (mut place, mut full) = (Place::Primary(address), 0);
        while let Some(next) = self.after(place) {
            (place, full) = (next, full + SLOTS);
        }
        let mut slot = self.bucket(place).len();
        if slot == SLOTS {
            let next = self.take_spare();
            self.bucket_mut(place).next = next;
            (place, slot, full) = (Place::Overflow(next), 0, full + SLOTS);
        }
        let bucket = self.bucket_mut(place);
        (bucket.tags[slot], bucket.items[slot]) = (tag, item);
        self.longest = self.longest.max(full + slot + 1);
    }

    fn take_spare(&mut self) -> u32 {
        if self.spare == NIL {
            self.overflow.push();
            let index = self.overflow.len as u32 - 1;
            *self.overflow.get_mut(index as usize) = Bucket::EMPTY;
            return index;
        }
        let index = self.spare;
        let bucket = self.overflow.get_mut(index as usize);
        self.spare = std::mem::replace(&mut bucket.next, NIL);
        self.spares -= 1;
        index
    }

    /// Lists an overflow bucket as unused. When all are, their memory goes.
    fn free(&mut self, index: u32) {
        *self.overflow.get_mut(index as usize) = Bucket { next: self.spare, ..Bucket::EMPTY };
        (self.spare, self.spares) = (index, self.spares + 1);
        if self.spares == self.overflow.len {
            (self.overflow, self.spare, self.spares) = (Buckets::default(), NIL, 0);
        }
    }

    /// Empties a chain, handing its entries over. They may be appended anywhere at once.
    fn drain(&mut self, address: usize, mut to: impl FnMut(&mut Self, u8, u32)) {
        let mut bucket = std::mem::replace(self.primary.get_mut(address), Bucket::EMPTY);
        loop {
            (0..bucket.len()).for_each(|slot| to(self, bucket.tags[slot], bucket.items[slot]));
            let next = bucket.next;
            if next == NIL {
                return;
            }
            bucket = *self.overflow.get(next as usize);
            self.free(next);
        }
    }

    /// Splits one bucket.
    fn grow(&mut self, rehash: impl Fn(Handle) -> u64) {
        let (low, high) = (self.split, self.primary.len);
        self.primary.push();
        *self.primary.get_mut(high) = Bucket::EMPTY;
        let bit = 1 << self.bits;
        self.drain(low, |table, tag, item| {
            let address = if rehash(Handle(item)) & bit == 0 { low } else { high };
            table.append(address, tag, item);
        });
        self.split += 1;
        if self.split == 1 << self.bits {
            (self.bits, self.split) = (self.bits + 1, 0);
        }
    }

    /// Merges the last bucket into the one from which it was split.
    fn shrink(&mut self) {
        if self.split == 0 {
            (self.bits, self.split) = (self.bits - 1, 1 << (self.bits - 1));
        }
        self.split -= 1;
        let (low, high) = (self.split, self.primary.len - 1);
        self.drain(high, |table, tag, item| table.append(low, tag, item));
        self.primary.pop();
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let overflow = self.overflow.len - self.spares;
        let mut table = f.debug_struct("Table");
        table.field("len", &self.len).field("buckets", &self.primary.len).field("overflow", &overflow);
        table.field("longest", &self.longest).finish()
    }
}

/// Iterates over a table.
#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    table: &'a Table,
    address: usize,
    place: Place,
    slot: usize,
    left: usize,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Primary(index) => write!(f, "{index}"),
            Place::Overflow(index) => write!(f, "+{index}"),
        }
    }
}

impl Iterator for Iter<'_> {
    type Item = Handle;

    #[inline]
    fn next(&mut self) -> Option<Handle> {
        self.left = self.left.checked_sub(1)?;
        loop {
            let bucket = self.table.bucket(self.place);
            if self.slot < bucket.len() {
                self.slot += 1;
                return Some(Handle(bucket.items[self.slot - 1]));
            }
            self.slot = 0;
            self.place = match self.table.after(self.place) {
                Some(next) => next,
                None if self.address + 1 == self.table.primary.len => return None,
                None => {
                    self.address += 1;
                    Place::Primary(self.address)
                }
            };
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
