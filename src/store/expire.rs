//! The removal of keys whose time is up, by their worker's timers.

use std::sync::atomic::Ordering;

use super::enter::Local;
use super::keyspace::{Delta, Keyspace};
use super::object::Collection;
use super::observe::Event;
use super::reclaim;
use super::slot::{Armed, Due, KeyHasher, Slot};
use super::view::Store;
use crate::value::hash::Hash;

/// Fields that one firing of a timer removes at most; what is left then has a timer of its own.
const FIELDS_AT_ONCE: usize = 64;

impl Keyspace {
    /// Removes the keys of this worker's wheel that are past their time, at most `budget`; whether more are due already.
    pub fn expire_due(&self, local: &Local, now_ms: u64, budget: usize) -> bool {
        if !self.active_expire.load(Ordering::Relaxed) {
            return false;
        }
        let mut postponed = Vec::new();
        let more = local.wheel.borrow_mut().advance(now_ms, budget, |timer| {
            let Ok(_held) = self.enter_hash(local, u32::from(timer.shard), timer.hash) else {
                postponed.push(timer);
                return;
            };
            let database = self.database_of(&timer);
            let map = &self.database(database).maps[usize::from(timer.shard)];
            let found = map.get_sync(&Due { hash: timer.hash, now_ms });
            let Some(entry) = found else { return };
            match entry.key().record() {
                Some(record) if !record.is_expired(now_ms) => {
                    let key = record.key().to_vec();
                    drop(entry);
                    Store::new(self, local, database, now_ms).remove_due_fields(&key);
                }
                _ => self.remove_due(local, database, now_ms, entry),
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
            let database = self.database_of(&timer);
            let map = &self.database(database).maps[usize::from(timer.shard)];
            let armed = map.get_sync(&Armed { hash: timer.hash, due_ms: timer.due_ms }).is_some();
            !armed && timer.due_ms > now_ms
        });
    }

    fn remove_due(
        &self,
        local: &Local,
        database: usize,
        now_ms: u64,
        entry: scc::hash_map::OccupiedEntry<'_, Slot, (), KeyHasher>,
    ) {
        self.remove_entry(local, database, now_ms, entry, Event::EXPIRED, false);
        self.note_expired(local.worker);
    }

    /// Removes a key and tells why. A large value is freed on another thread if that is wanted.
    pub(super) fn remove_entry(
        &self,
        local: &Local,
        database: usize,
        now_ms: u64,
        entry: scc::hash_map::OccupiedEntry<'_, Slot, (), KeyHasher>,
        why: Event,
        lazily: bool,
    ) {
        let mut memory = 0;
        if let Some(record) = entry.key().record() {
            memory = record.memory();
            let volatile = -i64::from(record.expiry().is_some());
            self.count(local.worker, database, Delta { keys: -1, volatile, bytes: -(memory as i64) });
            Store::new(self, local, database, now_ms).notify(record.key(), why);
        }
        let (slot, ()) = entry.remove_entry();
        if lazily && memory >= reclaim::LARGE {
            reclaim::later(Box::new(slot));
        }
    }
}

impl Store<'_> {
    /// Removes fields of a hash that are past their time, and the hash with its last one.
    fn remove_due_fields(&self, key: &[u8]) {
        self.update(key, |entry| {
            // A field lives, as a key does, until its very millisecond has passed.
            let Ok(Some(hash)) = entry.collection_mut::<Hash>() else { return };
            let removed = hash.remove_due(self.now_ms.saturating_sub(1), FIELDS_AT_ONCE, |_| ());
            if removed == 0 {
                return;
            }
            let vanishes = hash.vanishes();
            self.changed(key, Event::hash("hexpired"));
            if vanishes {
                entry.remove();
                self.notify(key, Event::DEL);
            }
        });
    }
}
