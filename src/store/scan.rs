//! What goes over many keys: cursors, iteration, random keys.
//!
//! A map orders its buckets by the upper bits of the hash, whatever its size. So a hash is a position that survives
//! growing and shrinking, and to continue at one is to find its bucket. All iteration here owns the shard and goes
//! bucket by bucket, so that a position passes every key at most once, and no key that is there is missed.

use std::ops::Range;

use super::gate::{Busy, Word};
use super::keyspace::{Database, Keyspace};
use super::prefetch::Walk;
use super::record::Record;
use super::slot::{KeyHasher, Map, Probe, Slot};
use super::view::Store;
use super::{Held, Local};

/// Bits of a cursor that hold the position in a shard: the upper bits of the hash.
pub(super) const POSITION_BITS: u32 = 48;
/// What a hash is shifted by to be a position.
const SHIFT: u32 = 64 - POSITION_BITS;
/// Buckets of a map hold 32 entries.
const BUCKET: usize = 32;
/// Records that [`Store::for_each`] visits before it lets others into the shard.
const BATCH: usize = 1024;
/// Empty shards that one call of [`Store::scan`] passes.
const EMPTY_MAX: usize = 4096;
/// How often an iteration asks for a shard that another worker owns.
const TURNS: u32 = 128;

/// A stateless position of `SCAN`: the shard, and the hash within it up to which everything was returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
    /// Where a scan starts.
    pub const START: Cursor = Cursor(0);

    /// The cursor that a client sent; `None` if no scan ever gave it out.
    pub fn from_wire(cursor: u64, keyspace: &Keyspace) -> Option<Cursor> {
        ((cursor >> POSITION_BITS) < keyspace.shards() as u64).then_some(Cursor(cursor))
    }

    /// The number for the client: 0 starts and ends a scan.
    pub fn to_wire(self) -> u64 {
        self.0
    }

    /// Whether the scan is complete.
    pub fn is_end(self) -> bool {
        self.0 == 0
    }

    fn new(shard: usize, position: u64) -> Cursor {
        Cursor((shard as u64) << POSITION_BITS | position)
    }

    fn shard(self) -> usize {
        (self.0 >> POSITION_BITS) as usize
    }

    fn position(self) -> u64 {
        self.0 & ((1 << POSITION_BITS) - 1)
    }
}

impl Store<'_> {
    /// Gives about `count` records from `cursor` on to `visit` and returns the next cursor.
    ///
    /// A key that is there from the first call to the last is visited exactly once, any other at most once. A call visits
    /// whole buckets, so it may exceed `count` by what a bucket holds. Records past their time are visited too: the
    /// caller leaves them out.
    pub fn scan(&self, cursor: Cursor, count: usize, mut visit: impl FnMut(Record<'_>)) -> Result<Cursor, Busy> {
        self.advance(cursor, count.max(1), &mut |record| {
            visit(record);
            true
        })
    }

    /// Gives every record of the database to `visit`, shard by shard, until it returns false.
    ///
    /// A key that is there all the time is visited exactly once, any other at most once.
    pub fn for_each(&self, visit: impl FnMut(Record<'_>) -> bool) -> Result<(), Busy> {
        self.for_each_from(Cursor::START, visit)
    }

    fn for_each_from(&self, mut cursor: Cursor, mut visit: impl FnMut(Record<'_>) -> bool) -> Result<(), Busy> {
        let mut go_on = true;
        while go_on {
            let mut next = |record: Record<'_>| {
                go_on = go_on && visit(record);
                go_on
            };
            cursor = self.advance(cursor, BATCH, &mut next)?;
            go_on = go_on && !cursor.is_end();
        }
        Ok(())
    }

    /// Visits records from `cursor` on until about `count` were visited, or `visit` returns false.
    fn advance(&self, cursor: Cursor, count: usize, visit: &mut dyn FnMut(Record<'_>) -> bool) -> Result<Cursor, Busy> {
        let (mut shard, mut position) = (cursor.shard(), cursor.position());
        let (mut visited, mut empty) = (0, 0);
        while visited < count && empty < EMPTY_MAX {
            let _held = match self.keyspace.enter_in_turn(self.local, shard as u32) {
                Ok(held) => held,
                // What was visited counts: the cursor tells where to go on.
                Err(_) if visited > 0 || Cursor::new(shard, position) != cursor => break,
                Err(busy) => return Err(busy),
            };
            let maps = &self.keyspace.database(self.database).maps;
            let before = visited;
            let mut stopped = false;
            let next = walk(&maps[shard], self.keyspace.hasher, position, count - visited, &mut |record| {
                visited += 1;
                stopped = !visit(record);
                !stopped
            });
            match next {
                Some(next) if stopped => return Ok(Cursor::new(shard, next)),
                Some(next) => position = next,
                None => {
                    empty += usize::from(before == visited);
                    // Shards that never held a key are passed without entering: one load each.
                    let full = maps[shard + 1..].iter().position(|map| map.capacity() > 0);
                    let Some(full) = full else { return Ok(Cursor(0)) };
                    (shard, position) = (shard + 1 + full, 0);
                }
            }
        }
        Ok(Cursor::new(shard, position))
    }

    /// A key chosen at random among those not past their time, each about as likely as any other. `random` gives 64 random
    /// bits a call.
    pub fn random_key(&self, mut random: impl FnMut() -> u64) -> Result<Option<Vec<u8>>, Busy> {
        /// So few keys are looked through.
        const FEW: u64 = 256;
        let keys = self.keyspace.totals(self.database).keys;
        if keys > FEW {
            for _ in 0..128 {
                if let Some(key) = self.draw(keys, &mut random)? {
                    return Ok(Some(key));
                }
            }
        }
        // Few keys, or most are past their time: begin anywhere, and choose among the first that are alive.
        let start = Cursor::new(random() as usize % self.keyspace.shards(), random() >> SHIFT);
        let mut found = None;
        let mut seen = 0;
        for cursor in [if keys > FEW { start } else { Cursor::START }, Cursor::START] {
            self.for_each_from(cursor, |record| {
                if !record.is_expired(self.now_ms) {
                    seen += 1;
                    // Each stays with equal chance.
                    if random().is_multiple_of(seen) {
                        found = Some(record.key().to_vec());
                    }
                }
                seen <= FEW
            })?;
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// Draws a place where a key may be, uniformly over all places; the key, if one that is alive is there.
    fn draw(&self, keys: u64, random: &mut impl FnMut() -> u64) -> Result<Option<Vec<u8>>, Busy> {
        let (shard, load) = {
            // Being inside anywhere keeps the database from being flushed while its maps are looked at.
            let anywhere = random() as usize % self.keyspace.shards();
            let _held = self.keyspace.enter_in_turn(self.local, anywhere as u32)?;
            choose_shard(self.keyspace.database(self.database), keys, random)
        };
        let _held = self.keyspace.enter_in_turn(self.local, shard as u32)?;
        let map = &self.keyspace.database(self.database).maps[shard];
        let Some(shift) = bucket_shift(map) else { return Ok(None) };
        let bucket = random() >> SHIFT >> shift;
        // Places of a bucket, of which the `load` keys that it holds on average take some: a bucket with more is rare.
        let place = random() as usize % (3 * load + 6).min(40);
        let mut seen = 0;
        let mut found = None;
        walk(map, self.keyspace.hasher, bucket << shift, 1, &mut |record| {
            let here = self.keyspace.hasher.hash(record.key()) >> SHIFT >> shift == bucket;
            if here && seen == place && !record.is_expired(self.now_ms) {
                found = Some(record.key().to_vec());
            }
            seen += 1;
            here && found.is_none()
        });
        Ok(found)
    }
}

/// A shard, as likely as it has room, and the keys that a bucket of this database holds on average, rounded up.
fn choose_shard(database: &Database, keys: u64, random: &mut impl FnMut() -> u64) -> (usize, usize) {
    const DRAWN: usize = 16;
    let shards = database.maps.len();
    let drawn: [(usize, usize); DRAWN] = std::array::from_fn(|_| {
        let shard = random() as usize % shards;
        (shard, database.maps[shard].capacity())
    });
    let room: usize = drawn.iter().map(|(_, capacity)| capacity).sum();
    if room == 0 {
        return (drawn[0].0, 1);
    }
    let mut at = random() as usize % room;
    let chosen = drawn.iter().find(|(_, capacity)| {
        let here = at < *capacity;
        at = at.saturating_sub(*capacity);
        here
    });
    let places = (room / BUCKET * shards / DRAWN).max(1);
    (chosen.map_or(0, |(shard, _)| *shard), (keys as usize).div_ceil(places))
}

impl Keyspace {
    /// Enters one shard alone. Nothing is held meanwhile, so waiting for its owner's command cannot lock anybody out.
    pub(super) fn enter_in_turn<'a>(&'a self, local: &'a Local, shard: u32) -> Result<Held<'a>, Busy> {
        let mut turn = 0;
        loop {
            match self.enter_shards(local, std::iter::once(shard)) {
                Err(Busy) if turn < TURNS && !local.is_barred() => std::sync::atomic::AtomicU32::pause(turn),
                result => return result,
            }
            turn += 1;
        }
    }
}

/// The bits of a position within a bucket; `None` if the map has no table.
fn bucket_shift(map: &Map) -> Option<u32> {
    let buckets = map.capacity() / BUCKET;
    (buckets > 0).then(|| POSITION_BITS.saturating_sub(buckets.next_power_of_two().trailing_zeros()))
}

/// Visits the records of whole buckets from `position` on, until `count` were visited or `visit` returns false. The
/// position that follows, or `None` at the map's end. The caller is inside the shard; if it is not alone there, what others
/// add or remove meanwhile may be missed or seen twice, and no more.
pub(super) fn walk(
    map: &Map,
    hasher: KeyHasher,
    position: u64,
    count: usize,
    visit: &mut dyn FnMut(Record<'_>) -> bool,
) -> Option<u64> {
    let mut found = seek(map, position, bucket_shift(map)?);
    // Seeking may have resized the table. From here on it stays as it is: only changes resize it.
    let shift = bucket_shift(map)?;
    let mut bucket = position >> shift;
    let mut left = count;
    while let Some(entry) = found {
        if let Some(record) = entry.key().record() {
            let at = hasher.hash(record.key()) >> SHIFT;
            if at >> shift > bucket {
                bucket = at >> shift;
                if left == 0 {
                    return Some(bucket << shift);
                }
            }
            if at >= position {
                left = left.saturating_sub(1);
                if !visit(record) {
                    return Some(position);
                }
            }
        }
        found = entry.next_sync();
    }
    None
}

/// Visits the records at some positions, each once. The caller owns the map's shard.
pub(super) fn walk_range(map: &Map, hasher: KeyHasher, positions: Range<u64>, visit: &mut dyn FnMut(Record<'_>)) {
    let Some(shift) = bucket_shift(map) else { return };
    let mut found = seek(map, positions.start, shift);
    let Some(shift) = bucket_shift(map) else { return };
    let last = (positions.end - 1) >> shift;
    let mut ahead = Walk::of(map, positions.start >> shift, last);
    while let Some(entry) = found {
        if let Some(record) = entry.key().record() {
            let at = hasher.hash(record.key()) >> SHIFT;
            ahead.reach(at >> shift);
            if at >> shift > last {
                return;
            }
            if positions.contains(&at) {
                visit(record);
            }
        }
        found = entry.next_sync();
    }
}

/// An entry at or before the first one at `position`, close to it.
fn seek(map: &Map, position: u64, shift: u32) -> Option<scc::hash_map::OccupiedEntry<'_, Slot, (), KeyHasher>> {
    // A probe is put where a hash belongs and taken out again under the same bucket lock, so nobody ever sees it; what comes
    // next follows it in bucket order. It goes one bucket ahead, because it may stand behind others in its own.
    let Some(before) = (position >> shift).checked_sub(1) else { return map.begin_sync() };
    let probe = Probe { hash: before << shift << SHIFT, key: None };
    match map.entry_sync(Slot::probing(&probe)) {
        scc::hash_map::Entry::Vacant(vacant) => vacant.insert_entry(()).remove_and_sync().1,
        scc::hash_map::Entry::Occupied(entry) => Some(entry),
    }
}
