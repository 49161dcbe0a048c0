//! Fetching the memory of several keys at once, before the commands that need it run.
//!
//! A look-up is a chain of cache misses: the bucket's tags, the entry's pointer, the record. Within one command they can only
//! be waited for; across the commands of a pipeline they can overlap. So a batch's keys are walked in three rounds,
//! each of which reads what the round before has fetched and fetches the next link.
//!
//! The map has no call for this, so the rounds read its memory themselves. Where its fields are is not promised by
//! anybody: [`Layout::find`] works it out at start from a map whose entries' addresses are known, and if anything does not fit,
//! nothing is ever fetched. What is read decides only which cache lines are fetched, never what a command sees.

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::LazyLock;

use super::ahead::AHEAD;
use super::enter::Routed;
use super::record::{Payload, Record};
use super::slot::{KeyHasher, Lookup, Map, Probe, Slot};
use super::view::Store;

/// Bytes of a bucket's metadata, which is one cache line.
const BUCKET_BYTES: usize = 64;
/// Entries of a bucket; each has one byte of its hash as a tag.
const ENTRIES: usize = 32;
/// Bytes of a bucket's entries.
const BLOCK_BYTES: usize = ENTRIES * size_of::<Slot>();

/// Where a map keeps what the rounds read: offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
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

static LAYOUT: LazyLock<Option<Layout>> = LazyLock::new(Layout::find);

/// The tags of a bucket as words, in which the first of a kind is found by arithmetic.
type Tags = [u64; ENTRIES / 8];

/// One key between two rounds.
#[derive(Clone, Copy)]
struct Chase {
    tags: *const Tags,
    block: *const usize,
    tag: u8,
}

/// Keys between two rounds.
struct Rounds {
    layout: Layout,
    chases: [MaybeUninit<Chase>; AHEAD],
    count: usize,
}

/// Where a key hashes to in a database.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    database: usize,
    hash: u64,
    shard: u32,
}

impl Store<'_> {
    /// Fetches what look-ups of the first of these keys will read, and returns of how many: at most [`AHEAD`].
    ///
    /// Where the keys of the next requests are asked for ([`Local::foresee`]), it also remembers where they hash to.
    #[inline]
    pub fn prefetch<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> usize {
        let Some(mut rounds) = Rounds::new() else { return 0 };
        let foresees = self.local.ahead.is_on() && !self.local.is_inside();
        // Inside, no flush takes a map away; under the guard, no growth takes a map's old buckets away.
        let Ok(_held) = self.keyspace.enter_shard(self.local, 0) else { return 0 };
        let _guard = scc::Guard::new();
        if foresees {
            self.local.ahead.forget();
        }
        let database = self.keyspace.database(self.database);
        let mut taken = 0;
        for key in keys.take(AHEAD) {
            let (hash, shard) = self.local.route(self.keyspace, key);
            if foresees {
                self.local.ahead.push(Routed { key, hash, shard });
            }
            taken += 1;
            rounds.begin(&database.maps[shard as usize], hash);
        }
        self.local.rewind();
        rounds.finish(self.local.ahead.lines());
        taken
    }

    /// Fetches where these keys, which are new, will be added, at most [`AHEAD`] of them.
    pub fn prefetch_places(&self, keys: &[&[u8]]) {
        let Some(mut rounds) = Rounds::new() else { return };
        let Ok(_held) = self.keyspace.enter_shard(self.local, 0) else { return };
        let _guard = scc::Guard::new();
        let database = self.keyspace.database(self.database);
        for key in keys.iter().take(AHEAD) {
            let (hash, shard) = self.local.route(self.keyspace, key);
            rounds.begin(&database.maps[shard as usize], hash);
        }
        self.local.rewind();
        rounds.finish_places();
    }

    /// Where a key hashes to, for [`Store::prefetch_targets`].
    #[inline]
    pub fn target(&self, key: &[u8]) -> Target {
        let hash = self.keyspace.hasher.hash(key);
        Target { database: self.database, hash, shard: self.keyspace.shard_of(key, hash) }
    }

    /// The same as [`Store::prefetch`] for keys of any databases, as requests of several clients have them; outside of an entry.
    pub fn prefetch_targets(&self, targets: &[Target]) {
        if self.local.is_inside() {
            return;
        }
        let Ok(_held) = self.keyspace.enter_shard(self.local, 0) else { return };
        let _guard = scc::Guard::new();
        for targets in targets.chunks(AHEAD) {
            let Some(mut rounds) = Rounds::new() else { return };
            for target in targets {
                let database = self.keyspace.database(target.database);
                rounds.begin(&database.maps[target.shard as usize], target.hash);
            }
            rounds.finish(self.local.ahead.lines());
        }
    }

    /// Notes the length of a value that was read, because those that are read next are likely to be like it.
    #[inline]
    pub fn note_value(&self, bytes: usize) {
        self.local.ahead.note_value(bytes);
    }
}

impl Rounds {
    /// No keys; `None` if nothing can be fetched.
    #[inline]
    fn new() -> Option<Rounds> {
        Some(Rounds { layout: (*LAYOUT)?, chases: [const { MaybeUninit::uninit() }; AHEAD], count: 0 })
    }

    /// The first round of a key. The caller is inside the keyspace and under a guard until [`Rounds::finish`], and there are at
    /// most [`AHEAD`] keys.
    #[inline]
    fn begin(&mut self, map: &Map, hash: u64) {
        if let Some(chase) = self.layout.begin(map, hash) {
            fetch(chase.tags.cast());
            self.chases[self.count].write(chase);
            self.count += 1;
        }
    }

    #[inline]
    fn chases(&mut self) -> &mut [Chase] {
        // SAFETY: so many, which lie side by side, were written.
        unsafe { std::slice::from_raw_parts_mut(self.chases.as_mut_ptr().cast::<Chase>(), self.count) }
    }

    /// The second round of keys that are new.
    #[inline]
    fn finish_places(mut self) {
        for chase in self.chases() {
            chase.find_place();
            fetch(chase.block.cast());
        }
    }

    /// The other rounds of all keys, to so many lines of each record.
    #[inline]
    fn finish(mut self, lines: usize) {
        let chases = self.chases();
        for chase in &mut *chases {
            chase.find_entry();
            fetch(chase.block.cast());
        }
        for chase in chases {
            // SAFETY: `find_entry` left the address of an entry in a bucket array that is alive under the guard. A concurrent
            // writer may change the entry; whatever is read is only fetched, never followed.
            let record = unsafe { chase.block.read_volatile() } as *const u8;
            (0..lines).for_each(|line| fetch(record.wrapping_add(line * 64)));
        }
    }
}

/// Fetches what a walk through a map is about to read: the records of the next bucket, and the entries of the one behind it.
pub(super) struct Walk {
    /// The entries of the map's first bucket; null where nothing is to be fetched.
    blocks: *const [usize; ENTRIES],
    /// The bucket whose records are fetched next, and the last one.
    next: u64,
    last: u64,
    /// The table lives as long as the guard.
    _guard: scc::Guard,
}

impl Walk {
    /// Of a walk over the buckets from `first` to `last` of a map that nobody else changes meanwhile.
    pub(super) fn of(map: &Map, first: u64, last: u64) -> Walk {
        let guard = scc::Guard::new();
        let blocks = LAYOUT.and_then(|layout| layout.blocks(map)).filter(|(_, len)| last < *len);
        let blocks = blocks.map_or(std::ptr::null(), |(blocks, _)| blocks);
        let walk = Walk { blocks, next: first, last, _guard: guard };
        walk.fetch_entries(first);
        walk.fetch_entries(first + 1);
        walk
    }

    /// The walk is at this bucket.
    #[inline]
    pub(super) fn reach(&mut self, bucket: u64) {
        while self.next <= (bucket + 1).min(self.last) {
            self.fetch_entries(self.next + 1);
            self.fetch_records(self.next);
            self.next += 1;
        }
    }

    fn fetch_entries(&self, bucket: u64) {
        if !self.blocks.is_null() && bucket <= self.last {
            let block = self.blocks.wrapping_add(bucket as usize).cast::<u8>();
            (0..BLOCK_BYTES).step_by(64).for_each(|line| fetch(block.wrapping_add(line)));
        }
    }

    fn fetch_records(&self, bucket: u64) {
        if self.blocks.is_null() {
            return;
        }
        // SAFETY: `of` saw that the map has the bucket; its table is alive under the guard. An entry that is not in use
        // holds anything, which is only fetched, never followed.
        let entries = unsafe { self.blocks.add(bucket as usize).read_volatile() };
        for record in entries.map(|entry| entry as *const u8) {
            fetch(record);
            fetch(record.wrapping_add(64));
        }
    }
}

impl Chase {
    /// Moves `block` on to the entry whose tag fits.
    #[inline]
    fn find_entry(&mut self) {
        // SAFETY: the tags lie in a bucket array that is alive under the guard. A concurrent writer may change them, and
        // then the guess is wrong.
        let tags = unsafe { self.tags.read_volatile() };
        self.block = self.block.wrapping_add(first(&tags, self.tag));
    }

    /// Moves `block` on to the first entry that is free: its tag was never set, unless a key had gone from there.
    #[inline]
    fn find_place(&mut self) {
        self.tag = 0;
        self.find_entry();
    }
}

/// The place of the first of these bytes that equals `tag`; some place if none does.
#[inline]
fn first(tags: &Tags, tag: u8) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let wanted = ONES * u64::from(tag);
    let bits = tags.iter().enumerate().fold(0, |bits, (at, word)| {
        // The lowest of the high bits that are set is that of the lowest byte that is zero.
        let equal = word ^ wanted;
        let zeroes = equal.wrapping_sub(ONES) & !equal & (ONES << 7);
        // One bit of each byte, moved together into the uppermost byte.
        let together = (zeroes >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits | together << (8 * at)
    });
    bits.trailing_zeros() as usize % ENTRIES
}

impl Layout {
    /// The bucket of a hash.
    #[inline]
    fn begin(self, map: &Map, hash: u64) -> Option<Chase> {
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
    fn blocks(self, map: &Map) -> Option<(*const [usize; ENTRIES], u64)> {
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
        let tags = (0..=BUCKET_BYTES - ENTRIES).step_by(align_of::<Tags>()).find(|offset| {
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

/// An entry whose place is known.
struct Sample {
    bucket: usize,
    tag: u8,
    address: usize,
}

impl Sample {
    fn insert(map: &Map, hasher: KeyHasher, number: usize) -> Option<Sample> {
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
    fn position(&self, blocks: usize) -> Option<usize> {
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

/// Asks for a cache line.
#[inline]
fn fetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect but on the caches, at any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Keyspace, Local, Shape, Ttl};

    #[test]
    fn the_layout_of_this_version_of_the_map_is_found() {
        let layout = Layout::find();
        assert!(layout.is_some(), "nothing would be fetched");
        assert_eq!(layout, Layout::find());
    }

    #[test]
    fn the_first_of_equal_bytes_is_found() {
        let mut bytes = [0xffu8; ENTRIES];
        for (at, tag) in (0..ENTRIES).flat_map(|at| [0u8, 1, 0x7f, 0x80, 0xfe].map(|tag| (at, tag))) {
            bytes[at..].fill(tag);
            // A byte that differs in one bit from what is sought lies before it.
            bytes[..at].fill(tag ^ 1);
            let tags =
                std::array::from_fn(|word| u64::from_le_bytes(std::array::from_fn(|byte| bytes[word * 8 + byte])));
            assert_eq!(first(&tags, tag), at);
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

    #[test]
    fn new_keys_go_where_it_was_fetched_and_walks_find_the_entries() {
        let layout = Layout::find().unwrap();
        let hasher = KeyHasher::seeded(1);
        let map = Map::with_capacity_and_hasher(4096, hasher);
        let mut hits = 0;
        let mut samples = Vec::new();
        assert!(Sample::insert(&map, hasher, 0).is_some());
        for number in 1..2000usize {
            let mut chase = layout.begin(&map, hasher.hash(&number.to_le_bytes())).unwrap();
            chase.find_place();
            let sample = Sample::insert(&map, hasher, number).unwrap();
            hits += usize::from(chase.block.addr() == sample.address);
            samples.push(sample);
        }
        // A tag of a key may be 0, too.
        assert!(hits > 1700, "{hits} of 2000");
        let (blocks, len) = layout.blocks(&map).unwrap();
        assert_eq!(len as usize * ENTRIES, map.capacity());
        for sample in &samples {
            assert!(sample.position(blocks.addr()).is_some(), "an entry that is not in its bucket's block");
        }
    }

    #[test]
    fn prefetching_finds_nothing_wrong_with_any_keyspace() {
        let keyspace = Keyspace::new(Shape { databases: 2, shards: 16, workers: 1 });
        let local = Local::new(0, 0);
        let store = Store::new(&keyspace, &local, 0, 0);
        let prefetch = |store: Store<'_>, keys: &[&[u8]]| store.prefetch(keys.iter().copied());
        assert_eq!(prefetch(store, &[b"nothing", b"is", b"there"]), 3);
        assert_eq!(prefetch(store, &[&b"k"[..]; AHEAD + 1]), AHEAD);
        for i in 0..10_000u32 {
            let key = i.to_le_bytes();
            let _held = keyspace.enter_key(&local, &key).unwrap();
            store.update(&key, |entry| entry.set_integer(i64::from(i), Ttl::Clear));
            drop(_held);
            assert_eq!(prefetch(store, &[&key, b"absent", b""]), 3);
        }
        prefetch(store.select(1), &[&1u32.to_le_bytes()]);
        let targets = (0..100u32).map(|i| store.select(i as usize % 2).target(&i.to_le_bytes()));
        store.prefetch_targets(&targets.collect::<Vec<_>>());
    }
}
