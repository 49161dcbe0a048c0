//! Access to keys: [`Store`] is a worker's view of one database at one moment.

use scc::hash_map::Entry as MapEntry;

use super::enter::Local;
use super::entry::{Entry, OwnedValue, Place};
use super::keyspace::Keyspace;
use super::reclaim;
use super::record::Record;
use super::slot::{Lookup, Map, Probe, Slot};

/// One worker's view of one database at one moment.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    pub(super) keyspace: &'a Keyspace,
    pub(super) local: &'a Local,
    /// The database in use.
    pub database: usize,
    /// Milliseconds of Unix time at which the command runs: keys past it are gone.
    pub now_ms: u64,
    /// Accesses leave nothing in records.
    pub(super) still: bool,
}

impl<'a> Store<'a> {
    /// The view of `worker` on `database` at `now_ms`.
    pub fn new(keyspace: &'a Keyspace, local: &'a Local, database: usize, now_ms: u64) -> Self {
        Store { keyspace, local, database, now_ms, still: false }
    }

    /// The same view, whose accesses leave nothing in records (`CLIENT NO-TOUCH`).
    pub fn without_touch(self) -> Store<'a> {
        Store { still: true, ..self }
    }

    /// The keyspace behind the view.
    pub fn keyspace(&self) -> &'a Keyspace {
        self.keyspace
    }

    /// The same view on another database.
    pub fn select(&self, database: usize) -> Store<'a> {
        Store { database, ..*self }
    }

    #[inline]
    fn locate(&self, key: &[u8]) -> (u64, u32, &'a Map) {
        debug_assert!(self.local.is_inside(), "access outside an entry");
        let (hash, shard) = self.local.route(self.keyspace, key);
        (hash, shard, &self.keyspace.database(self.database).maps[shard as usize])
    }

    /// Reads a key under its shared lock, as a command of a client does: the access clock is set. A key past its time is
    /// not there. `read` must not touch the store.
    #[inline]
    pub fn read<R>(&self, key: &[u8], read: impl FnOnce(Option<Record<'_>>) -> R) -> R {
        self.peek(key, |record| {
            match record {
                Some(record) => self.touch(record),
                None => self.notify_miss(key),
            }
            read(record)
        })
    }

    /// Reads a key without setting its access clock, as `TTL`, `TYPE` and `OBJECT` do.
    #[inline]
    pub fn peek<R>(&self, key: &[u8], read: impl FnOnce(Option<Record<'_>>) -> R) -> R {
        let (hash, _, map) = self.locate(key);
        let mut read = Some(read);
        let mut expired = false;
        let result = map.read_sync(&Lookup { hash, key }, |slot, ()| {
            let record = slot.record()?;
            expired = record.is_expired(self.now_ms);
            if expired {
                return None;
            }
            read.take().map(|read| read(Some(record)))
        });
        if let Some(Some(result)) = result {
            return result;
        }
        if expired {
            self.remove_expired(key);
        }
        match read.take() {
            Some(read) => read(None),
            None => unreachable!("the reader ran only if it gave a result"),
        }
    }

    /// Shows a record as it is kept, also one that is past its time, and leaves it as it is.
    pub fn look<R>(&self, key: &[u8], look: impl FnOnce(Record<'_>) -> R) -> Option<R> {
        let (hash, _, map) = self.locate(key);
        map.read_sync(&Lookup { hash, key }, |slot, ()| slot.record().map(look)).flatten()
    }

    /// Removes a key that a read found past its time.
    #[cold]
    fn remove_expired(&self, key: &[u8]) {
        if self.keyspace.keeps_expired(self.now_ms) {
            return;
        }
        let (hash, shard, _) = self.locate(key);
        // What a reader must not hand out to a cut stays until it was.
        if self.keyspace.cut.is_active() && !self.local.is_alone() && self.keyspace.is_uncut(shard, hash) {
            return;
        }
        // Opening an entry removes an expired record.
        self.update_inside(key, |_| ());
    }

    /// Opens a key under its exclusive lock, to read and change it. A key past its time is removed first. `update` must
    /// not touch the store.
    #[inline]
    pub fn update<R>(&self, key: &[u8], update: impl FnOnce(&mut Entry<'_>) -> R) -> R {
        debug_assert!(self.local.may_change(), "a change under an entry to read");
        self.update_inside(key, update)
    }

    #[inline]
    fn update_inside<R>(&self, key: &[u8], update: impl FnOnce(&mut Entry<'_>) -> R) -> R {
        let (hash, shard, map) = self.locate(key);
        self.before_change(shard, hash);
        let probe = Probe { hash, key: Some(key) };
        let place = match map.entry_sync(Slot::probing(&probe)) {
            MapEntry::Occupied(entry) => Place::Occupied(entry),
            MapEntry::Vacant(entry) => Place::Vacant(entry),
        };
        // Closing the entry, also when `update` panics, counts what changed and gives the lock back.
        update(&mut Entry::new(*self, key, (hash, shard), place))
    }

    /// Whether the key is there.
    pub fn exists(&self, key: &[u8]) -> bool {
        self.peek(key, |record| record.is_some())
    }

    /// Removes a key; whether it was there.
    pub fn remove(&self, key: &[u8]) -> bool {
        self.open(key).is_some_and(|mut entry| entry.remove())
    }

    /// Removes a key; whether it was there. A large value is freed on another thread.
    pub fn unlink(&self, key: &[u8]) -> bool {
        let Some(mut entry) = self.open(key) else { return false };
        if entry.record().is_none_or(|record| record.memory() < reclaim::LARGE) {
            return entry.remove();
        }
        let parcel = entry.take();
        drop(entry);
        let Some(parcel) = parcel else { return false };
        if let OwnedValue::Boxed(object) = parcel.value {
            reclaim::later(object);
        }
        true
    }

    /// Hands out what is about to change to the cut, if there is one. An entry beside others has done so.
    #[inline]
    fn before_change(&self, shard: u32, hash: u64) {
        if self.keyspace.cut.is_active() && self.local.is_alone() {
            self.keyspace.before_change(shard, hash);
        }
    }

    /// Opens a key that is stored: a look-up that finds nothing needs no probe, which makes it the cheaper half of `DEL`.
    fn open<'k>(&self, key: &'k [u8]) -> Option<Entry<'k>>
    where
        'a: 'k,
    {
        debug_assert!(self.local.may_change(), "a change under an entry to read");
        let (hash, shard, map) = self.locate(key);
        self.before_change(shard, hash);
        let found = map.get_sync(&Lookup { hash, key })?;
        Some(Entry::new(*self, key, (hash, shard), Place::Occupied(found)))
    }
}
