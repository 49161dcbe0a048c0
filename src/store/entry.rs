//! One key, locked: [`Entry`] reads and changes it, and keeps the counts exact.

mod collection;

use std::cell::Cell;
use std::ptr::NonNull;

use scc::hash_map::{Entry as MapEntry, OccupiedEntry, VacantEntry};

use super::keyspace::Delta;
use super::object::{Kind, LongString, Object};
use super::observe::Event;
use super::record::{EMBEDDED_MAX, Payload, Record, Value};
use super::slot::{KeyHasher, Map, Probe, Slot};
use super::view::Store;
use crate::protocol::number;

/// What becomes of a key's time to live when its value changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// It stays as it is.
    Keep,
    /// The key lives on for ever.
    Clear,
    /// The key expires at this millisecond of Unix time.
    At(u64),
}

/// A value and its time to live, out of the keyspace: what `RENAME`, `MOVE` and `COPY` carry.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The value.
    pub value: OwnedValue,
    /// When it expires, in milliseconds of Unix time.
    pub expiry: Option<u64>,
}

/// A value that belongs to nobody else.
#[derive(Clone, Debug)]
pub enum OwnedValue {
    /// A string short enough for a record; whether it was changed in place.
    Embedded(Box<[u8]>, bool),
    /// A string kept as an integer.
    Integer(i64),
    /// Any other value.
    Boxed(Box<Object>),
}

impl OwnedValue {
    /// The value, lent.
    pub fn value(&self) -> Value<'_> {
        match self {
            OwnedValue::Embedded(bytes, raw) => Value::Embedded { bytes, raw: *raw },
            OwnedValue::Integer(value) => Value::Integer(*value),
            OwnedValue::Boxed(object) => Value::Boxed(object),
        }
    }
}

type Occupied<'a> = OccupiedEntry<'a, Slot, (), KeyHasher>;

/// Where a key is.
pub(super) enum Place<'a> {
    /// In the map.
    Occupied(Occupied<'a>),
    /// Not in the map; it would come here.
    Vacant(VacantEntry<'a, Slot, (), KeyHasher>),
    /// The key was removed, and its lock is given back.
    Removed(&'a Map),
}

/// One key, locked exclusively.
pub struct Entry<'a> {
    store: Store<'a>,
    key: &'a [u8],
    hash: u64,
    shard: u32,
    place: Place<'a>,
    /// Bytes of the boxed object when it was handed out to be changed.
    object_bytes: usize,
    /// When the first part of that object expired then.
    object_soonest: Option<u64>,
    /// A small collection while it is handed out to be changed: over the record's own bytes.
    lent: Option<Object>,
    /// The key is past its time: it counts as absent, and gives way to what is set or goes when the entry closes.
    expired: bool,
    /// The access was noted: one command counts once.
    touched: Cell<bool>,
    delta: Delta,
}

impl<'a> Entry<'a> {
    #[inline]
    pub(super) fn new(store: Store<'a>, key: &'a [u8], (hash, shard): (u64, u32), place: Place<'a>) -> Self {
        let mut entry = Entry {
            store,
            key,
            hash,
            shard,
            place,
            object_bytes: 0,
            object_soonest: None,
            lent: None,
            expired: false,
            touched: Cell::new(false),
            delta: Delta::default(),
        };
        entry.expired = entry.stored().is_some_and(|record| record.is_expired(store.now_ms));
        entry
    }

    /// The record in the slot, even past its time.
    #[inline]
    fn stored(&self) -> Option<Record<'_>> {
        match &self.place {
            Place::Occupied(entry) => entry.key().record(),
            _ => None,
        }
    }

    /// The key's record, if the key is there.
    #[inline]
    pub fn record(&self) -> Option<Record<'_>> {
        debug_assert!(self.lent.is_none(), "a small collection was handed out to be changed, and is read beside that");
        if self.expired { None } else { self.stored() }
    }

    /// The key's value, if it is there, with its access clock set.
    #[inline]
    pub fn value(&self) -> Option<Value<'_>> {
        let record = self.record()?;
        self.touch(record);
        Some(record.value())
    }

    /// Notes the access, once.
    #[inline]
    fn touch(&self, record: Record<'_>) {
        if !self.touched.replace(true) {
            self.store.touch(record);
        }
    }

    /// When the key expires, in milliseconds of Unix time.
    pub fn expiry(&self) -> Option<u64> {
        self.record().and_then(Record::expiry)
    }

    /// The type of the value.
    pub fn kind(&self) -> Option<Kind> {
        self.record().map(Record::kind)
    }

    /// Sets a string from its bytes, choosing the cheapest way to keep it.
    #[inline]
    pub fn set_string(&mut self, bytes: &[u8], ttl: Ttl) {
        if bytes.len() <= 20
            && let Some(value) = number::parse_i64(bytes)
        {
            self.put(Payload::Integer(value), ttl);
        } else if bytes.len() <= EMBEDDED_MAX {
            self.put(Payload::Embedded { bytes, raw: false }, ttl);
        } else {
            self.put(Payload::Boxed(Box::new(Object::String(bytes.to_vec().into()))), ttl);
        }
    }

    /// Sets a string that the caller owns: a long one is kept without a copy.
    pub fn set_owned(&mut self, string: LongString, ttl: Ttl) {
        if string.len() <= EMBEDDED_MAX {
            return self.set_string(&string, ttl);
        }
        self.put(Payload::Boxed(Box::new(Object::String(string))), ttl);
    }

    /// Sets a short string as changed in place (`APPEND`, `SETRANGE`): it is never kept as an integer.
    pub fn set_raw(&mut self, bytes: Vec<u8>, ttl: Ttl) {
        if bytes.len() <= EMBEDDED_MAX {
            self.put(Payload::Embedded { bytes: &bytes, raw: true }, ttl);
        } else {
            self.put(Payload::Boxed(Box::new(Object::String(bytes.into()))), ttl);
        }
    }

    /// Sets a string that stays text even where it is an integer's, as the results of `INCRBYFLOAT` do.
    pub fn set_text(&mut self, bytes: &[u8], ttl: Ttl) {
        if bytes.len() <= EMBEDDED_MAX {
            self.put(Payload::Embedded { bytes, raw: false }, ttl);
        } else {
            self.put(Payload::Boxed(Box::new(Object::String(bytes.to_vec().into()))), ttl);
        }
    }

    /// Sets a string that is an integer.
    #[inline]
    pub fn set_integer(&mut self, value: i64, ttl: Ttl) {
        self.put(Payload::Integer(value), ttl);
    }

    /// Removes the key; whether it was there.
    pub fn remove(&mut self) -> bool {
        // What became of a small collection does not matter any more.
        self.lent = None;
        if self.record().is_none() {
            return false;
        }
        self.uncount_record();
        drop(self.unlink());
        true
    }

    /// Sets or clears the time to live of a key that is there.
    pub fn set_expiry(&mut self, expiry: Option<u64>) {
        self.settle_object();
        let Some(record) = self.record() else { return };
        match (record.expiry(), expiry) {
            (None, None) => (),
            (Some(old), Some(new)) => {
                if old != new {
                    // SAFETY: this entry holds the exclusive lock.
                    unsafe { record.set_expiry(new) };
                    self.arm(new);
                }
            }
            _ => self.rebuild(expiry),
        }
    }

    /// Replaces the record by one with another presence of an expiry, keeping the value. The key never leaves its place:
    /// another worker would see it missing, or set it meanwhile and have that undone.
    fn rebuild(&mut self, expiry: Option<u64>) {
        self.uncount_record();
        if let Place::Occupied(entry) = &self.place
            && let Some(record) = entry.key().record()
        {
            // SAFETY: this entry holds the exclusive lock; the value moves to the fresh record, so that of the old one
            // only the block is freed, once, after it left the slot.
            unsafe {
                let fresh = record.rebuild(expiry);
                if let Some(old) = entry.key().replace(fresh) {
                    Record::free_block(old);
                }
            }
        }
        self.count_record(1);
        self.arm_if(expiry);
    }

    /// Writes a value: in place where the record allows it, else as a new record in the place of the old.
    #[inline]
    fn put(&mut self, payload: Payload<'_>, ttl: Ttl) {
        self.settle_object();
        let Some(record) = self.record() else {
            let expiry = match ttl {
                Ttl::At(due) => Some(due),
                _ => None,
            };
            return self.insert(payload, expiry);
        };
        self.touch(record);
        let access = self.store.replaced_access(record);
        let old = record.expiry();
        let expiry = match ttl {
            Ttl::Keep => old,
            Ttl::Clear => None,
            Ttl::At(due) => Some(due),
        };
        // SAFETY: this entry holds the exclusive lock, and no borrow of the value is alive: `payload` is the caller's.
        if old.is_some() == expiry.is_some() && unsafe { record.overwrite(&payload) } {
            record.set_access(access);
            if old != expiry {
                self.set_expiry(expiry);
            }
            return;
        }
        let fresh = Record::build(self.key, expiry, payload);
        self.swap_record(fresh, access);
        if let Some(due) = expiry
            && old != expiry
        {
            self.arm(due);
        }
    }

    fn insert(&mut self, payload: Payload<'_>, expiry: Option<u64>) {
        let fresh = Record::build(self.key, expiry, payload);
        let placeholder = Place::Removed(self.map());
        let entry = match std::mem::replace(&mut self.place, placeholder) {
            Place::Vacant(vacant) => {
                // SAFETY: the vacant entry holds the bucket's exclusive lock; its slot is a probe, which owns nothing.
                unsafe { vacant.key().replace(fresh) };
                vacant.insert_entry(())
            }
            Place::Removed(map) => {
                let probe = Probe { hash: self.hash, key: Some(self.key) };
                match map.entry_sync(Slot::probing(&probe)) {
                    MapEntry::Vacant(vacant) => {
                        // SAFETY: as above.
                        unsafe { vacant.key().replace(fresh) };
                        vacant.insert_entry(())
                    }
                    MapEntry::Occupied(entry) => {
                        // Another worker set the key after this entry removed it: the later write wins.
                        self.place = Place::Occupied(entry);
                        self.swap_record(fresh, self.store.fresh_access());
                        return self.arm_if(expiry);
                    }
                }
            }
            occupied @ Place::Occupied(_) => {
                // The key that is there is past its time, and gives way.
                self.place = occupied;
                self.note_expired();
                self.swap_record(fresh, self.store.fresh_access());
                return self.arm_if(expiry);
            }
        };
        if let Some(record) = entry.key().record() {
            record.set_access(self.store.fresh_access());
        }
        self.store.notify(self.key, Event::NEW);
        self.place = Place::Occupied(entry);
        self.count_record(1);
        self.arm_if(expiry);
    }

    /// Puts `fresh` into the occupied slot and frees the record that was there.
    fn swap_record(&mut self, fresh: NonNull<u8>, access: u32) {
        self.uncount_record();
        if let Place::Occupied(entry) = &self.place {
            // SAFETY: this entry holds the exclusive lock; the old record is out of the map and freed once.
            unsafe {
                Record::from_raw(fresh).set_access(access);
                if let Some(old) = entry.key().replace(fresh) {
                    Record::free(old);
                }
            }
        }
        self.count_record(1);
    }

    /// Takes the slot out of the map.
    fn unlink(&mut self) -> Option<Slot> {
        let removed = Place::Removed(self.map());
        match std::mem::replace(&mut self.place, removed) {
            Place::Occupied(entry) => {
                // The lock goes with the slot.
                self.store.stamp();
                Some(entry.remove_entry().0)
            }
            other => {
                self.place = other;
                None
            }
        }
    }

    fn map(&self) -> &'a Map {
        &self.store.keyspace.database(self.store.database).maps[self.shard as usize]
    }

    fn arm_if(&self, expiry: Option<u64>) {
        if let Some(due) = expiry {
            self.arm(due);
        }
    }

    fn arm(&self, due_ms: u64) {
        let timer = self.store.keyspace.timer(due_ms, self.hash, self.shard, self.store.database);
        self.store.local.wheel.borrow_mut().insert(&timer);
    }

    /// Adds the record to the counts, or takes it out with `sign` -1.
    fn count_record(&mut self, sign: i64) {
        let Some(record) = self.stored() else { return };
        let (bytes, volatile) = (record.memory() as i64, i64::from(record.expiry().is_some()));
        let partial = i64::from(record.soonest().is_some());
        self.delta.keys += sign;
        self.delta.volatile += sign * volatile;
        self.delta.partial += sign * partial;
        self.delta.bytes += sign * bytes;
    }

    fn uncount_record(&mut self) {
        self.settle_object();
        self.count_record(-1);
    }

    fn note_expired(&mut self) {
        self.expired = false;
        self.store.keyspace.note_expired(self.store.local.worker);
        self.store.notify(self.key, Event::EXPIRED);
    }

    #[inline]
    fn finish(&mut self) {
        if self.expired {
            self.note_expired();
            self.remove();
        }
        if !matches!(self.place, Place::Removed(_)) {
            self.store.stamp();
        }
        self.settle_object();
        self.store.keyspace.count(self.store.local.worker, self.store.database, self.delta);
    }
}

impl Drop for Entry<'_> {
    #[inline]
    fn drop(&mut self) {
        self.finish();
    }
}
