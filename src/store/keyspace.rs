//! The keyspace: shards of maps, the gate before them, and the counts.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU16, AtomicU64, Ordering};

use parking_lot::Mutex;
use scc::hash_map::Reserve;

use super::cut::Cut;
use super::gate::Gate;
use super::journal::Journal;
use super::memory::Running;
use super::observe::Interest;
use super::slot::{KeyHasher, Map, Slot};
use super::wheel::Timer;

/// Slots of the key space, as in Redis Cluster.
pub const SLOTS: usize = 16384;

/// The most databases: their numbers take 16 bits in a timer.
pub const DATABASES_MAX: usize = 1 << 16;

/// How large a keyspace is built.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Databases that `SELECT` reaches: at least 1, and at most [`DATABASES_MAX`].
    pub databases: usize,
    /// Shards: a power of two from 1 to [`SLOTS`].
    pub shards: usize,
    /// Threads that enter it, numbered from 0.
    pub workers: usize,
}

/// All keys of all databases.
pub struct Keyspace {
    pub(super) hasher: KeyHasher,
    pub(super) gate: Gate,
    /// Null until a database is first used, because most of them never are.
    databases: Box<[AtomicPtr<Database>]>,
    /// The identity of the database at each index, and the index of each identity: timers name databases by identity,
    /// because `SWAPDB` moves keys under them.
    identities: Box<[AtomicU16]>,
    indices: Box<[AtomicU16]>,
    /// Which shard a slot belongs to, by the slot's upper bits.
    route: Box<[u16]>,
    shards: usize,
    /// Counts of each worker over each database, `database * workers + worker`.
    counts: Box<[Counts]>,
    /// The bytes of all counts together.
    pub(super) running: Running,
    /// Changes since start, each worker's own.
    dirty: Box<[Dirty]>,
    /// Whether due keys are removed by the wheel, or only when they are met (`DEBUG SET-ACTIVE-EXPIRE`).
    pub active_expire: AtomicBool,
    /// Up to when reads leave keys that are past their time where they are, in milliseconds of Unix time.
    expired_kept_ms: AtomicU64,
    /// Who listens to changes of keys.
    pub(super) interest: Interest,
    /// The order of changes, for the log.
    pub journal: Journal,
    /// The snapshot that is being taken.
    pub(super) cut: Cut,
}

/// The maps of one database, one a shard.
pub(super) struct Database {
    /// Room that some maps have for keys to come. It goes before the maps, which is the order of the fields.
    reserved: Mutex<Vec<Reserve<'static, Slot, (), KeyHasher>>>,
    pub maps: Box<[Map]>,
}

impl Database {
    /// Has the table of a shard, when it is made, be large enough for so many keys, and not shrink before
    /// [`Database::settle`].
    pub(super) fn reserve(&self, shard: usize, keys: usize) {
        // SAFETY: the maps stay where they are until they are dropped, and by then the reservation has been.
        let map: &'static Map = unsafe { &*std::ptr::from_ref(&self.maps[shard]) };
        // None is to be had beyond any size that a table may have: then it grows as it must.
        self.reserved.lock().extend(map.reserve(keys));
    }

    /// Lets the tables be as the keys want them.
    pub(super) fn settle(&self) {
        self.reserved.lock().clear();
    }
}

/// What one worker added to and took from one database. Only that worker writes; the sum over workers is the count.
#[repr(align(64))]
#[derive(Default)]
pub(super) struct Counts {
    keys: AtomicI64,
    volatile: AtomicI64,
    partial: AtomicI64,
    bytes: AtomicI64,
}

#[repr(align(64))]
#[derive(Default)]
struct Dirty {
    changes: AtomicU64,
    expired: AtomicU64,
    evicted: AtomicU64,
}

/// The counts of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Keys, those past their time but not yet removed included.
    pub keys: u64,
    /// Keys with a time to live.
    pub volatile: u64,
    /// Keys of which parts have a time to live: hashes with such fields.
    pub partial: u64,
    /// Bytes of records and values, as the allocator counts them, without the tables.
    pub bytes: u64,
}

/// A change of a worker's counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delta {
    pub keys: i64,
    pub volatile: i64,
    pub partial: i64,
    pub bytes: i64,
}

impl Keyspace {
    /// An empty keyspace.
    pub fn new(shape: Shape) -> Self {
        let shards = shape.shards.clamp(1, SLOTS).next_power_of_two();
        let databases = shape.databases.clamp(1, DATABASES_MAX);
        let numbers = || (0..databases).map(|number| AtomicU16::new(number as u16)).collect();
        Keyspace {
            hasher: KeyHasher::random(),
            gate: Gate::new(shards, shape.workers),
            databases: (0..databases).map(|_| AtomicPtr::default()).collect(),
            identities: numbers(),
            indices: numbers(),
            route: routes(shards),
            shards,
            counts: (0..databases * shape.workers).map(|_| Counts::default()).collect(),
            running: Running::new(shape.workers),
            dirty: (0..shape.workers).map(|_| Dirty::default()).collect(),
            active_expire: AtomicBool::new(true),
            expired_kept_ms: AtomicU64::new(0),
            interest: Interest::new(),
            journal: Journal::new(shape.workers),
            cut: Cut::default(),
        }
    }

    /// Databases.
    pub fn databases(&self) -> usize {
        self.databases.len()
    }

    /// Shards.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Threads that may enter.
    pub fn workers(&self) -> usize {
        self.gate.workers()
    }

    /// The slot of a key outside cluster mode: from the hash of its hash tag, if it has one, else of the key.
    #[inline]
    pub(super) fn shard_of(&self, key: &[u8], hash: u64) -> u32 {
        let hash = match crate::protocol::hash_tag(key) {
            Some(tag) => self.hasher.hash(tag),
            None => hash,
        };
        let slot = (hash >> 8) as usize & (SLOTS - 1);
        u32::from(self.route[slot * self.route.len() / SLOTS])
    }

    /// The maps of a database. The caller is inside the gate, so no flush replaces them meanwhile.
    #[inline]
    pub(super) fn database(&self, database: usize) -> &Database {
        let ptr = self.databases[database].load(Ordering::Acquire);
        let ptr = if ptr.is_null() { self.create_database(database) } else { ptr };
        // SAFETY: the pointer came from Box::into_raw; it is replaced only under a global entry, and the caller is inside.
        unsafe { &*ptr }
    }

    /// The maps of a database if it was ever used. The caller is inside the gate.
    pub(super) fn used_database(&self, database: usize) -> Option<&Database> {
        // SAFETY: as in `database`.
        unsafe { self.databases[database].load(Ordering::Acquire).as_ref() }
    }

    /// Makes the maps of a database that is used for the first time. Whoever comes second takes those of the first.
    #[cold]
    fn create_database(&self, database: usize) -> *mut Database {
        let maps = (0..self.shards).map(|_| Map::with_hasher(self.hasher)).collect();
        let fresh = Box::into_raw(Box::new(Database { reserved: Mutex::default(), maps }));
        let none = std::ptr::null_mut();
        match self.databases[database].compare_exchange(none, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(present) => {
                // SAFETY: the pointer came from Box::into_raw above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                present
            }
        }
    }

    /// Takes the maps of a database out, if it has any, which leaves it empty. The caller is inside globally.
    pub(super) fn take_database(&self, database: usize) -> Option<Database> {
        let old = self.databases[database].swap(std::ptr::null_mut(), Ordering::AcqRel);
        self.running.forget(self.totals(database).bytes);
        for worker in 0..self.workers() {
            self.counts[database * self.workers() + worker].clear();
        }
        // SAFETY: the pointer came from Box::into_raw, nobody else has it any more, and nobody is inside to use it.
        (!old.is_null()).then(|| *unsafe { Box::from_raw(old) })
    }

    /// Exchanges two databases. The caller is inside globally.
    pub(super) fn swap_databases(&self, a: usize, b: usize) {
        let first = self.databases[a].load(Ordering::Acquire);
        let second = self.databases[b].swap(first, Ordering::AcqRel);
        self.databases[a].store(second, Ordering::Release);
        for worker in 0..self.workers() {
            self.counts[a * self.workers() + worker].swap(&self.counts[b * self.workers() + worker]);
        }
        let first = self.identities[a].load(Ordering::Relaxed);
        let second = self.identities[b].swap(first, Ordering::Relaxed);
        self.identities[a].store(second, Ordering::Relaxed);
        self.indices[usize::from(first)].store(b as u16, Ordering::Relaxed);
        self.indices[usize::from(second)].store(a as u16, Ordering::Relaxed);
    }

    /// What names the keys that a database has now, whatever index they move to.
    pub(super) fn identity(&self, database: usize) -> u16 {
        self.identities[database].load(Ordering::Relaxed)
    }

    /// Where the database of a timer is now. The caller is inside.
    pub(super) fn database_of(&self, timer: &Timer) -> usize {
        self.indices[usize::from(timer.database)].load(Ordering::Relaxed).into()
    }

    #[inline]
    pub(super) fn count(&self, worker: usize, database: usize, delta: Delta) {
        self.counts[database * self.workers() + worker].add(delta);
        self.running.add(worker, delta.bytes);
    }

    #[inline]
    pub(super) fn note_changes(&self, worker: usize, changes: u64) {
        bump(&self.dirty[worker].changes, changes);
    }

    #[inline]
    /// Has reads leave keys that are past their time where they are, up to this moment in milliseconds of Unix time; it does
    /// not come nearer but by 0. For pauses of clients, who count on data that stays as it is.
    pub fn keep_expired_until(&self, until_ms: u64) {
        match until_ms {
            0 => self.expired_kept_ms.store(0, Ordering::Relaxed),
            _ => _ = self.expired_kept_ms.fetch_max(until_ms, Ordering::Relaxed),
        }
    }

    /// Whether reads leave keys that are past their time where they are.
    pub(super) fn keeps_expired(&self, now_ms: u64) -> bool {
        now_ms < self.expired_kept_ms.load(Ordering::Relaxed)
    }

    pub(super) fn note_expired(&self, worker: usize) {
        bump(&self.dirty[worker].expired, 1);
    }

    /// Changes that one worker made since start.
    #[inline]
    pub fn changes_of(&self, worker: usize) -> u64 {
        self.dirty[worker].changes.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn note_evicted(&self, worker: usize) {
        bump(&self.dirty[worker].evicted, 1);
    }

    /// Changes of keys since start.
    pub fn changes(&self) -> u64 {
        self.dirty.iter().map(|dirty| dirty.changes.load(Ordering::Relaxed)).sum()
    }

    /// Keys that were removed because their time was up, since start or [`Keyspace::reset_stats`].
    pub fn expired(&self) -> u64 {
        self.dirty.iter().map(|dirty| dirty.expired.load(Ordering::Relaxed)).sum()
    }

    /// Keys that were removed because memory was short, since start or [`Keyspace::reset_stats`].
    pub fn evicted(&self) -> u64 {
        self.dirty.iter().map(|dirty| dirty.evicted.load(Ordering::Relaxed)).sum()
    }

    /// Sets the statistics that `CONFIG RESETSTAT` resets to 0.
    pub fn reset_stats(&self) {
        let words = self.dirty.iter().flat_map(|dirty| [&dirty.expired, &dirty.evicted]);
        words.for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// The counts of one database.
    pub fn totals(&self, database: usize) -> Totals {
        let first = database * self.workers();
        let counts = &self.counts[first..first + self.workers()];
        // Workers' counts are read one after the other, so a sum may be off by what changes meanwhile, even below 0.
        let sum = |word: fn(&Counts) -> &AtomicI64| {
            counts.iter().map(|counts| word(counts).load(Ordering::Relaxed)).sum::<i64>().max(0) as u64
        };
        Totals {
            keys: sum(|counts| &counts.keys),
            volatile: sum(|counts| &counts.volatile),
            partial: sum(|counts| &counts.partial),
            bytes: sum(|counts| &counts.bytes),
        }
    }

    /// The counts of all databases together.
    pub fn totals_of_all(&self) -> Totals {
        (0..self.databases()).fold(Totals::default(), |sum, database| {
            let one = self.totals(database);
            Totals {
                keys: sum.keys + one.keys,
                volatile: sum.volatile + one.volatile,
                partial: sum.partial + one.partial,
                bytes: sum.bytes + one.bytes,
            }
        })
    }

    /// The part of all slots that each shard has.
    pub(super) fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.shards];
        self.route.iter().for_each(|&shard| shares[usize::from(shard)] += 1.0 / self.route.len() as f64);
        shares
    }

    /// A timer for a key that expires at `due_ms`.
    pub(super) fn timer(&self, due_ms: u64, hash: u64, shard: u32, database: usize) -> Timer {
        let database = self.identities[database].load(Ordering::Relaxed);
        Timer { due_ms, hash, shard: shard as u16, database }
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        (0..self.databases()).for_each(|database| drop(self.take_database(database)));
    }
}

impl Counts {
    #[inline]
    fn add(&self, delta: Delta) {
        for (word, change) in [
            (&self.keys, delta.keys),
            (&self.volatile, delta.volatile),
            (&self.partial, delta.partial),
            (&self.bytes, delta.bytes),
        ] {
            if change != 0 {
                word.store(word.load(Ordering::Relaxed) + change, Ordering::Relaxed);
            }
        }
    }

    fn clear(&self) {
        for word in [&self.keys, &self.volatile, &self.partial, &self.bytes] {
            word.store(0, Ordering::Relaxed);
        }
    }

    fn swap(&self, other: &Counts) {
        for (a, b) in [
            (&self.keys, &other.keys),
            (&self.volatile, &other.volatile),
            (&self.partial, &other.partial),
            (&self.bytes, &other.bytes),
        ] {
            let value = a.load(Ordering::Relaxed);
            a.store(b.swap(value, Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// Adds to a counter that only this thread writes.
#[inline]
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

/// Cuts the slots into `shards` contiguous ranges whose sizes grow evenly from two thirds to four thirds of the mean.
///
/// Tables double when they fill, so equal shards would all double within moments of one another, and memory per key would
/// swing by a factor of two; over sizes that span an octave it stays even, and the work of growing spreads out. With
/// one slot per shard there is nothing to cut.
fn routes(shards: usize) -> Box<[u16]> {
    let grain = (shards * 8).min(SLOTS);
    if shards == SLOTS {
        return (0..SLOTS).map(|slot| slot as u16).collect();
    }
    let n = shards as f64;
    let boundary = |shard: usize| {
        let u = shard as f64 / n;
        ((2.0 * u + u * u) / 3.0 * grain as f64).round() as usize
    };
    let mut route = vec![0; grain];
    for shard in 0..shards {
        route[boundary(shard)..boundary(shard + 1)].fill(shard as u16);
    }
    route.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_contiguous_and_uneven_by_an_octave() {
        for shards in [1, 2, 16, 64, 1024, 2048, 8192, SLOTS] {
            let route = routes(shards);
            assert!(route.is_sorted());
            let mut sizes = vec![0; shards];
            route.iter().for_each(|&shard| sizes[shard as usize] += 1);
            assert!(sizes.iter().all(|&size| size > 0), "{shards}: an empty shard");
            if (16..=2048).contains(&shards) {
                let (first, last) = (sizes[0] as f64, sizes[shards - 1] as f64);
                assert!((1.5..=2.5).contains(&(last / first)), "{shards}: {first} {last}");
            }
        }
    }

    #[test]
    fn keys_with_one_tag_share_a_shard() {
        let keyspace = Keyspace::new(Shape { databases: 1, shards: 64, workers: 1 });
        let shard = |key: &[u8]| keyspace.shard_of(key, keyspace.hasher.hash(key));
        assert_eq!(shard(b"{user}a"), shard(b"x{user}b"));
        let distinct: std::collections::HashSet<_> = (0..1000).map(|i| shard(format!("key:{i}").as_bytes())).collect();
        assert_eq!(distinct.len(), 64);
    }
}
