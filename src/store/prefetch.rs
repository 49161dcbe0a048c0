//! Fetching the memory of several keys at once, before the commands that need it run.
//!
//! A look-up is a chain of cache misses: the bucket's tags, the entry's pointer, the record. Within one command they can only
//! be waited for; across commands they can overlap. So several keys are walked in three rounds,
//! each of which reads what the round before has fetched and fetches the next link.
//!
//! Where it is known that memory may be read, it is read: a processor lets go of a prefetch whose page it would have to look up
//! while many are under way, and where a machine is virtual every look-up of a page is long.
//!
//! The map has no call for this, so the rounds read its memory themselves ([`super::chase`]).

use std::mem::MaybeUninit;

use super::ahead::{AHEAD, LINE};
use super::chase::{BLOCK_BYTES, Chase, ENTRIES, LAYOUT, Layout};
use super::enter::Routed;
use super::heap::Extent;
use super::slot::Map;
use super::view::Store;

/// So few keys leave the memory time for lines that may not be needed.
const FEW: usize = 8;

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
    pub(super) hash: u64,
    pub(super) shard: u32,
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
        rounds.finish(self.local.ahead.bytes());
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
            if targets.len() <= FEW {
                rounds.widen();
            }
            if targets.len() > 1 {
                rounds.finish(self.local.ahead.bytes());
            }
        }
    }

    /// Notes the length of a key and a value that were read, because those that are read next are likely to be like them.
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

    /// Fetches all entries of the buckets, whichever the tags will name: a link less to wait for.
    #[inline]
    fn widen(&mut self) {
        for chase in self.chases() {
            let block = chase.block.cast::<u8>();
            (0..BLOCK_BYTES).step_by(LINE).for_each(|line| fetch(block.wrapping_add(line)));
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

    /// The other rounds of all keys, to so many bytes of each record.
    #[inline]
    fn finish(mut self, bytes: usize) {
        let chases = self.chases();
        // All at once, because what is between them and the next round is too long for the processor to see beyond one.
        chases.iter().for_each(Chase::touch);
        for chase in &mut *chases {
            chase.find_entry();
            fetch(chase.block.cast());
        }
        let extent = Extent::now();
        for chase in &mut *chases {
            chase.find_record();
            if !extent.touch(chase.block.cast()) {
                fetch(chase.block.cast());
            }
        }
        // The last byte may lie a line further than so many lines from the first.
        for offset in (LINE..bytes).step_by(LINE).chain([bytes - 1]) {
            for chase in &*chases {
                extent.touch(chase.block.cast::<u8>().wrapping_add(offset));
            }
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
    use super::super::chase::Sample;
    use super::super::slot::KeyHasher;
    use super::*;
    use crate::store::{Keyspace, Local, Shape, Ttl};

    #[test]
    fn new_keys_go_where_it_was_fetched_and_walks_find_the_entries() {
        let layout = LAYOUT.unwrap();
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
