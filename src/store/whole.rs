//! What concerns whole databases: flushing and exchanging them, and what their tables take.

use super::enter::Local;
use super::gate::Busy;
use super::keyspace::{Database, Keyspace};
use super::reclaim;
use super::view::Store;

impl Store<'_> {
    /// Empties this database; the caller drops what it gets, here or on another thread.
    pub fn flush(&self) -> Result<Flushed, Busy> {
        self.flush_range(self.database..self.database + 1)
    }

    /// Empties all databases at once; the caller drops what it gets, here or on another thread.
    pub fn flush_all(&self) -> Result<Flushed, Busy> {
        self.flush_range(0..self.keyspace.databases())
    }

    fn flush_range(&self, databases: std::ops::Range<usize>) -> Result<Flushed, Busy> {
        let _held = self.keyspace.enter_all(self.local)?;
        for database in databases.clone() {
            let store = self.select(database);
            self.keyspace.interest.watches.touch_all(database, |key| store.exists(key));
        }
        let removed = databases.clone().map(|database| self.keyspace.totals(database).keys).sum();
        self.stamp();
        let take = |index| self.keyspace.give_to_cut(index, self.keyspace.take_database(index)?);
        let maps = databases.filter_map(take).collect();
        Ok(Flushed { removed, maps })
    }

    /// Exchanges two databases.
    pub fn swap(&self, a: usize, b: usize) -> Result<(), Busy> {
        let _held = self.keyspace.enter_all(self.local)?;
        let (first, second) = (self.select(a), self.select(b));
        // Whoever watches a key sees the other database's in its place.
        let concerns = |key: &[u8]| first.exists(key) || second.exists(key);
        self.keyspace.interest.watches.touch_all(a, concerns);
        self.keyspace.interest.watches.touch_all(b, concerns);
        self.stamp();
        self.keyspace.swap_databases(a, b);
        Ok(())
    }
}

/// The contents of flushed databases, freed when dropped.
#[must_use = "dropping it frees the keys, which may take long"]
pub struct Flushed {
    /// Keys that were in them.
    pub removed: u64,
    maps: Vec<Database>,
}

impl Flushed {
    /// Frees the keys on another thread.
    pub fn reclaim_later(self) {
        if !self.maps.is_empty() {
            reclaim::later(Box::new(self.maps));
        }
    }
}

/// The part of a table that keys take when it grows, or somewhat less, because chance makes some grow earlier.
const FULL: f64 = 0.78;

impl Keyspace {
    /// Makes room for so many keys of a database that are about to come, so that its tables need not grow again and again.
    /// [`Keyspace::settle`] takes back what turns out to be too much.
    ///
    /// # Errors
    /// [`Busy`] if another worker is inside alone for long.
    pub fn reserve(&self, local: &Local, database: usize, keys: u64) -> Result<(), Busy> {
        let _held = self.enter_shard(local, 0)?;
        let maps = self.database(database);
        for (shard, share) in self.shares().into_iter().enumerate() {
            maps.reserve(shard, (keys as f64 * share / FULL) as usize);
        }
        Ok(())
    }

    /// Ends what [`Keyspace::reserve`] began, in all databases.
    ///
    /// # Errors
    /// As there.
    pub fn settle(&self, local: &Local) -> Result<(), Busy> {
        let _held = self.enter_shard(local, 0)?;
        (0..self.databases()).filter_map(|database| self.used_database(database)).for_each(Database::settle);
        Ok(())
    }

    /// Bytes of the tables: 10 a slot, of which 8 are the pointer and 2 the bucket's tags and lock.
    pub fn table_bytes(&self, local: &Local) -> u64 {
        // Being inside any shard will do; 0 while another worker is inside all of them.
        let mut shards = 0..self.shards() as u32;
        let Some(_held) = shards.find_map(|shard| self.enter_shard(local, shard).ok()) else { return 0 };
        let used = (0..self.databases()).filter_map(|database| self.used_database(database));
        used.map(|database| database.maps.iter().map(|map| map.capacity() as u64 * 10).sum::<u64>()).sum()
    }
}
