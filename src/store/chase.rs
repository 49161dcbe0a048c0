//! The way from a hash through a map's memory to a record, one cache line after the other.
//!
//! Where a map's fields are is not promised by anybody: [`Layout::find`] works it out at start from a map whose entries'
//! addresses are known, and if anything does not fit, nothing is ever fetched. What is read decides only which cache lines are
//! fetched, never what a command sees.

use std::ptr::NonNull;
use std::sync::LazyLock;

use super::record::{Payload, Record};
use super::slot::{KeyHasher, Lookup, Map, Probe, Slot};

/// Bytes of a bucket's metadata, which is one cache line.
const BUCKET_BYTES: usize = 64;
/// Entries of a bucket; each has one byte of its hash as a tag.
pub(super) const ENTRIES: usize = 32;
/// Bytes of a bucket's entries.
pub(super) const BLOCK_BYTES: usize = ENTRIES * size_of::<Slot>();

/// Where a map keeps what the rounds read: offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Of the pointer to the bucket array, in the map.
    array: usize,
    /// Of the pointer to the buckets, in the bucket array.
    buckets: usize,
    /// Of the pointer to the entries, in the bucket array.
    blocks: usize,
    /// Of the number of buckets, in the bucket array.
    len: usize,
    /// Of the tags, in a bucket.
    tags: usize,
}

pub(super) static LAYOUT: LazyLock<Option<Layout>> = LazyLock::new(Layout::find);

/// The tags of a bucket, which lie at a multiple of [`TAGS_ALIGN`].
pub(super) type Tags = [u8; ENTRIES];
const TAGS_ALIGN: usize = 16;

/// One key between two rounds.
#[derive(Clone, Copy)]
pub(super) struct Chase {
    pub(super) tags: *const Tags,
    pub(super) block: *const usize,
    tag: u8,
}

impl Layout {
    /// The bucket of a hash.
    #[inline]
    pub(super) fn begin(self, map: &Map, hash: u64) -> Option<Chase> {
        // SAFETY: `find` saw the pointer to the bucket array at this offset of a map; it is null in a map that has none, and
        // otherwise what it points to is alive under the caller's guard. Its fields never change.
        unsafe {
            let array = NonNull::new(word(std::ptr::from_ref(map).cast(), self.array) as *mut u8)?.as_ptr();
            let len = word(array, self.len);
            if len < 2 {
                return None;
            }
            let index = (hash >> (u64::BITS - len.trailing_zeros())) as usize;
            Some(Chase {
                tags: (word(array, self.buckets) + index * BUCKET_BYTES + self.tags) as *const Tags,
                block: (word(array, self.blocks) + index * BLOCK_BYTES) as *const usize,
                tag: hash as u8,
            })
        }
    }

    /// The entries of the first bucket, and how many buckets there are.
    pub(super) fn blocks(self, map: &Map) -> Option<(*const [usize; ENTRIES], u64)> {
        // SAFETY: as in `begin`.
        unsafe {
            let array = NonNull::new(word(std::ptr::from_ref(map).cast(), self.array) as *mut u8)?.as_ptr();
            Some((word(array, self.blocks) as *const [usize; ENTRIES], word(array, self.len) as u64))
        }
    }

    /// Works the layout out from a map with known entries; `None` where it is not as expected.
    fn find() -> Option<Layout> {
        const SAMPLES: usize = 256;
        let hasher = KeyHasher::seeded(1);
        let map = Map::with_capacity_and_hasher(SAMPLES * 4, hasher);
        let samples: Vec<Sample> = (0..SAMPLES).filter_map(|i| Sample::insert(&map, hasher, i)).collect();
        if samples.len() != SAMPLES {
            return None;
        }
        let pointer = |value: usize| (1 << 16..1 << 47).contains(&value);
        let start = std::ptr::from_ref(&map).cast::<u8>();
        let array_at = (0..size_of::<Map>()).step_by(8).find(|&at| {
            // SAFETY: the word lies in the map.
            let value = unsafe { word(start, at) };
            pointer(value) && value % 8 == 0
        })?;
        // The words of the bucket array: its fields and the collector's link that is kept with it are 64 bytes together.
        // SAFETY: the pointer was just read from the live map, and nothing changes the map.
        let words: [usize; 8] = unsafe {
            let array = word(start, array_at) as *const u8;
            std::array::from_fn(|at| word(array, at * 8))
        };
        let only = |fits: &dyn Fn(usize) -> bool| {
            let mut found = (0..words.len()).filter(|&at| fits(words[at]));
            found.next().filter(|_| found.next().is_none()).map(|at| at * 8)
        };
        let blocks = only(&|word| samples.iter().all(|sample| sample.position(word).is_some()))?;
        let len = only(&|word| word == map.capacity() / ENTRIES)?;
        // The two pointers are neighbours; everything else beside them is a number.
        let beside = [blocks.checked_sub(8), Some(blocks + 8)].into_iter().flatten();
        let buckets = beside.filter(|&at| at / 8 < words.len()).find(|&at| {
            let word = words[at / 8];
            pointer(word) && word.is_multiple_of(BUCKET_BYTES)
        })?;
        let tags = (0..=BUCKET_BYTES - ENTRIES).step_by(TAGS_ALIGN).find(|offset| {
            samples.iter().all(|sample| {
                let position = sample.position(words[blocks / 8]).unwrap_or(0);
                let at = words[buckets / 8] + sample.bucket * BUCKET_BYTES + offset + position;
                // SAFETY: the address is that of a byte in the sample's bucket, if the word is the pointer to the
                // buckets: it is an aligned pointer beside that to the entries.
                unsafe { (at as *const u8).read_volatile() == sample.tag }
            })
        })?;
        Some(Layout { array: array_at, buckets, blocks, len, tags })
    }
}

impl Chase {
    /// Moves `block` on to the entry whose tag fits.
    #[inline]
    pub(super) fn find_entry(&mut self) {
        // SAFETY: the tags lie in a bucket array that is alive under the guard. A concurrent writer may change them, and
        // then the guess is wrong.
        let place = unsafe { first(self.tags, self.tag) };
        self.block = self.block.wrapping_add(place);
    }

    /// Reads of the tags, so that they are at hand.
    #[inline(always)]
    pub(super) fn touch(&self) {
        // SAFETY: as in `find_entry`.
        unsafe { self.tags.cast::<u8>().read_volatile() };
    }

    /// Moves `block` on from the entry to what it points to, which may be nothing any more.
    #[inline]
    pub(super) fn find_record(&mut self) {
        // SAFETY: `find_entry` left the address of an entry in a bucket array that is alive under the guard. A concurrent
        // writer may change the entry; whatever is read is only fetched, never followed.
        self.block = unsafe { self.block.read_volatile() } as *const usize;
    }

    /// Moves `block` on to the first entry that is free: its tag was never set, unless a key had gone from there.
    #[inline]
    pub(super) fn find_place(&mut self) {
        self.tag = 0;
        self.find_entry();
    }
}

/// The place of the first of these bytes that equals `tag`; some place if none does.
///
/// # Safety
/// The tags are alive. They may change meanwhile.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn first(tags: *const Tags, tag: u8) -> usize {
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: every processor of this kind has these instructions; the tags are two such words, and lie at a multiple of 16.
    unsafe {
        let (halves, wanted) = (tags.cast::<__m128i>(), _mm_set1_epi8(tag as i8));
        let equal = |half| _mm_movemask_epi8(_mm_cmpeq_epi8(halves.add(half).read_volatile(), wanted)) as u32;
        (equal(0) | equal(1) << 16).trailing_zeros() as usize % ENTRIES
    }
}

/// The place of the first of these bytes that equals `tag`; some place if none does.
///
/// # Safety
/// The tags are alive. They may change meanwhile.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
unsafe fn first(tags: *const Tags, tag: u8) -> usize {
    // SAFETY: that is what the caller promises.
    let tags = unsafe { tags.read_volatile() };
    tags.iter().position(|other| *other == tag).unwrap_or(0)
}

/// An entry whose place is known.
pub(super) struct Sample {
    pub(super) bucket: usize,
    tag: u8,
    pub(super) address: usize,
}

impl Sample {
    pub(super) fn insert(map: &Map, hasher: KeyHasher, number: usize) -> Option<Sample> {
        let key = number.to_le_bytes();
        let hash = hasher.hash(&key);
        let probe = Probe { hash, key: Some(&key) };
        let scc::hash_map::Entry::Vacant(vacant) = map.entry_sync(Slot::probing(&probe)) else { return None };
        let record = Record::build(&key, None, Payload::Integer(0));
        // SAFETY: the vacant entry holds its bucket's lock, and its slot is a probe, which owns nothing.
        unsafe { vacant.key().replace(record) };
        drop(vacant.insert_entry(()));
        let lookup = Lookup { hash, key: &key };
        let address = map.read_sync(&lookup, |slot, ()| std::ptr::from_ref(slot).addr())?;
        Some(Sample { bucket: map.bucket_index(&lookup), tag: hash as u8, address })
    }

    /// Which entry of its bucket it is, if the entries start at `blocks`.
    pub(super) fn position(&self, blocks: usize) -> Option<usize> {
        let offset = self.address.checked_sub(blocks.checked_add(self.bucket * BLOCK_BYTES)?)?;
        (offset < BLOCK_BYTES && offset.is_multiple_of(size_of::<Slot>())).then(|| offset / size_of::<Slot>())
    }
}

/// Reads a word of something.
///
/// # Safety
/// The eight bytes at `offset` from `start` are inside of something alive.
#[inline]
unsafe fn word(start: *const u8, offset: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { start.add(offset).cast::<usize>().read_volatile() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_this_version_of_the_map_is_found() {
        let layout = Layout::find();
        assert!(layout.is_some(), "nothing would be fetched");
        assert_eq!(layout, Layout::find());
    }

    #[test]
    fn the_first_of_equal_bytes_is_found() {
        #[repr(align(16))]
        struct Aligned(Tags);
        const { assert!(align_of::<Aligned>() == TAGS_ALIGN) };
        let mut tags = Aligned([0xff; ENTRIES]);
        let bytes = &mut tags.0;
        for (at, tag) in (0..ENTRIES).flat_map(|at| [0u8, 1, 0x7f, 0x80, 0xfe].map(|tag| (at, tag))) {
            bytes[at..].fill(tag);
            // A byte that differs in one bit from what is sought lies before it.
            bytes[..at].fill(tag ^ 1);
            // SAFETY: they are alive.
            assert_eq!(unsafe { first(&raw const *bytes, tag) }, at);
        }
    }

    #[test]
    fn a_chase_ends_at_the_record() {
        let layout = Layout::find().unwrap();
        let hasher = KeyHasher::seeded(1);
        let map = Map::with_capacity_and_hasher(4096, hasher);
        let samples: Vec<_> = (0..1000).filter_map(|i| Sample::insert(&map, hasher, i)).collect();
        let mut hits = 0;
        for (number, sample) in samples.iter().enumerate() {
            let mut chase = layout.begin(&map, hasher.hash(&number.to_le_bytes())).unwrap();
            chase.find_entry();
            hits += usize::from(chase.block.addr() == sample.address);
        }
        // Another entry of the bucket may have the same tag of 8 bits, so a few guesses are wrong.
        assert!(hits > 900, "{hits} of 1000");
    }
}
