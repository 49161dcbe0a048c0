//! What goes over many keys: iteration, cursors, random keys, flushing, and the removal of keys whose time is up.

use std::sync::atomic::Ordering;

use super::enter::Local;
use super::entry::Store;
use super::gate::Busy;
use super::keyspace::Keyspace;
use super::record::Record;
use super::slot::{Due, KeyHasher, Map, Probe, Slot};

/// Bits of a cursor that hold the position in a shard: the upper bits of the hash.
const POSITION_BITS: u32 = 48;
/// Buckets of a map hold 32 entries.
const BUCKET: usize = 32;

/// A stateless position of `SCAN`: the shard, and the hash within it up to which everything was returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(u64);

impl Cursor {
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
}

impl Store<'_> {
    /// Gives about `count` records from `cursor` on to `visit` and returns the next cursor.
    ///
    /// A key that is there from the first call to the last is visited at least once. The map orders buckets by the upper bits
    /// of the hash whatever its size, so a position survives growing and shrinking; each step visits whole ranges of hashes.
    /// Records past their time are visited too: the caller leaves them out.
    pub fn scan(&self, cursor: Cursor, count: usize, mut visit: impl FnMut(Record<'_>)) -> Result<Cursor, Busy> {
        let (mut shard, mut position) = ((cursor.0 >> POSITION_BITS) as usize, cursor.0 & ((1 << POSITION_BITS) - 1));
        let mut visited = 0;
        // Empty shards cost a step each but visit nothing; the bound keeps one call short in an empty database.
        let mut steps = count.saturating_mul(10).max(64);
        while visited < count && steps > 0 {
            let _held = self.keyspace.enter_shards(self.local, std::iter::once(shard as u32))?;
            let map = &self.keyspace.database(self.database).maps[shard];
            let next = scan_range(map, self.keyspace.hasher, position, count - visited, &mut |record| {
                visited += 1;
                visit(record);
            });
            steps -= 1;
            match next {
                Some(next) => position = next,
                None => {
                    (shard, position) = (shard + 1, 0);
                    if shard == self.keyspace.shards() {
                        return Ok(Cursor(0));
                    }
                }
            }
        }
        Ok(Cursor((shard as u64) << POSITION_BITS | position))
    }

    /// Gives every record of the database to `visit`, shard by shard, until it returns false.
    pub fn for_each(&self, mut visit: impl FnMut(Record<'_>) -> bool) -> Result<(), Busy> {
        for shard in 0..self.keyspace.shards() {
            let _held = self.keyspace.enter_shard(self.local, shard as u32)?;
            let map = &self.keyspace.database(self.database).maps[shard];
            if !map.iter_sync(|slot, ()| slot.record().is_none_or(&mut visit)) {
                break;
            }
        }
        Ok(())
    }

    /// A key chosen at random among those not past their time. `random` gives 64 random bits a call.
    pub fn random_key(&self, mut random: impl FnMut() -> u64) -> Result<Option<Vec<u8>>, Busy> {
        // Fullness differs between shards by their size, so a shard is accepted in proportion to what it holds.
        for _ in 0..100 {
            if self.keyspace.totals(self.database).keys == 0 {
                return Ok(None);
            }
            let shard = random() as usize % self.keyspace.shards();
            let _held = self.keyspace.enter_shards(self.local, std::iter::once(shard as u32))?;
            let map = &self.keyspace.database(self.database).maps[shard];
            let mut found: Option<Vec<u8>> = None;
            let mut seen = 0;
            scan_range(map, self.keyspace.hasher, random() >> (64 - POSITION_BITS), 1, &mut |record| {
                if !record.is_expired(self.now_ms) {
                    seen += 1;
                    // Each record of the range stays with equal chance.
                    if random() % seen == 0 {
                        found = Some(record.key().to_vec());
                    }
                }
            });
            if found.is_some() {
                return Ok(found);
            }
        }
        // The database is almost empty, or full of keys past their time: take the first that is alive.
        let mut found = None;
        self.for_each(|record| {
            if !record.is_expired(self.now_ms) {
                found = Some(record.key().to_vec());
            }
            found.is_none()
        })?;
        Ok(found)
    }

    /// Empties this database; the caller drops what it gets, here or on another thread.
    pub fn flush(&self) -> Result<Flushed, Busy> {
        let _held = self.keyspace.enter_all(self.local)?;
        let removed = self.keyspace.totals(self.database).keys;
        let maps = self.keyspace.take_database(self.database);
        Ok(Flushed { removed, _maps: maps })
    }

    /// Exchanges two databases.
    pub fn swap(&self, a: usize, b: usize) -> Result<(), Busy> {
        let _held = self.keyspace.enter_all(self.local)?;
        self.keyspace.swap_databases(a, b);
        Ok(())
    }
}

/// The contents of a flushed database, freed when dropped.
pub struct Flushed {
    /// Keys that were in it.
    pub removed: u64,
    _maps: Box<super::keyspace::Database>,
}

/// Visits whole ranges of hashes from `position` (48 bits) on until `count` records were visited; the position that
/// follows, or `None` at the map's end. The caller owns the shard, so the map changes only by what happens here.
fn scan_range(map: &Map, hasher: KeyHasher, position: u64, count: usize, visit: &mut impl FnMut(Record<'_>)) -> Option<u64> {
    let shift = 64 - POSITION_BITS;
    let buckets = (map.capacity() / BUCKET).next_power_of_two().max(1) as u64;
    // The range: as many buckets as hold `count` records when half full, a power of two, so that it ends at a boundary.
    let ranges = (buckets / (count as u64 / 16 + 1).next_power_of_two()).max(1);
    if ranges == 1 || buckets <= 2 {
        map.iter_sync(|slot, ()| {
            if let Some(record) = slot.record()
                && hasher.hash(record.key()) >> shift >= position
            {
                visit(record);
            }
            true
        });
        return None;
    }
    let width = (1u64 << POSITION_BITS) / ranges;
    let end = (position / width + 1) * width;
    // Iteration follows buckets, so within a range hashes are unordered, and a bucket of a table that just shrank spans two
    // ranges: go on until a bucket beyond any such is reached.
    let beyond = end.saturating_add(width * 2);
    let start = (position << shift).saturating_sub((1u64 << shift) * (1u64 << POSITION_BITS) / buckets);
    let mut entry = seek(map, start);
    while let Some(found) = entry {
        if let Some(record) = found.key().record() {
            let at = hasher.hash(record.key()) >> shift;
            if (position..end).contains(&at) {
                visit(record);
            } else if at >= beyond {
                break;
            }
        }
        entry = found.next_sync();
    }
    (end < 1 << POSITION_BITS).then_some(end)
}

/// The first entry of the bucket that `hash` falls into, or one after it.
fn seek(map: &Map, hash: u64) -> Option<scc::hash_map::OccupiedEntry<'_, Slot, (), KeyHasher>> {
    if hash == 0 {
        return map.begin_sync();
    }
    // A probe is put where the hash belongs and taken out again under the same bucket lock, so nobody ever sees it; what
    // comes next follows it in bucket order. It goes one bucket ahead, because it may stand behind others in its own.
    let probe = Probe { hash, key: None };
    match map.entry_sync(Slot::probing(&probe)) {
        scc::hash_map::Entry::Vacant(vacant) => vacant.insert_entry(()).remove_and_sync().1,
        scc::hash_map::Entry::Occupied(entry) => Some(entry),
    }
}

impl Keyspace {
    /// Removes the keys of this worker's wheel that are past their time, at most `budget`; whether more are due already.
    pub fn expire_due(&self, local: &Local, now_ms: u64, budget: usize) -> bool {
        if !self.active_expire.load(Ordering::Relaxed) {
            return false;
        }
        let mut postponed = Vec::new();
        let more = local.wheel.borrow_mut().advance(now_ms, budget, |timer| {
            let Ok(_held) = self.enter_shard(local, u32::from(timer.shard)) else {
                postponed.push(timer);
                return;
            };
            let map = &self.database(timer.database.into()).maps[usize::from(timer.shard)];
            let found = map.get_sync(&Due { hash: timer.hash, now_ms });
            if let Some(entry) = found {
                self.remove_due(local, timer.database.into(), entry);
            }
        });
        let mut wheel = local.wheel.borrow_mut();
        postponed.iter().for_each(|timer| wheel.insert(timer));
        drop(wheel);
        self.sweep_timers(local, now_ms);
        more
    }

    /// Drops stale timers when they outnumber the keys that have a time to live.
    fn sweep_timers(&self, local: &Local, now_ms: u64) {
        const SLACK: u64 = 16 * 1024;
        let volatile = self.totals_of_all().volatile;
        let timers = local.wheel.borrow().len() as u64;
        if timers <= 2 * volatile + SLACK {
            return;
        }
        local.wheel.borrow_mut().sweep(4096, |timer| {
            // A timer that cannot be checked now is checked in a later round.
            let Ok(_held) = self.enter_shard(local, u32::from(timer.shard)) else { return false };
            let map = &self.database(timer.database.into()).maps[usize::from(timer.shard)];
            let armed = map.get_sync(&super::slot::Armed { hash: timer.hash, due_ms: timer.due_ms }).is_some();
            !armed && timer.due_ms > now_ms
        });
    }

    fn remove_due(
        &self,
        local: &Local,
        database: usize,
        entry: scc::hash_map::OccupiedEntry<'_, Slot, (), KeyHasher>,
    ) {
        if let Some(record) = entry.key().record() {
            let bytes = -(record.memory() as i64);
            let volatile = -i64::from(record.expiry().is_some());
            self.count(local.worker, database, super::keyspace::Delta { keys: -1, volatile, bytes });
        }
        drop(entry.remove_entry());
        self.note_expired(local.worker);
    }

    /// Bytes of the tables: 10 a slot, of which 8 are the pointer and 2 the bucket's tags and lock.
    pub fn table_bytes(&self, local: &Local) -> u64 {
        (0..self.databases())
            .map(|database| {
                let Ok(_held) = self.enter_shard(local, 0) else { return 0 };
                self.database(database).maps.iter().map(|map| map.capacity() as u64 * 10).sum::<u64>()
            })
            .sum()
    }
}
