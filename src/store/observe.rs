//! What others hear of changes: the one place that learns that a key changed, and how.
//!
//! Commands report through [`Store::changed`]. While nobody listens that costs one relaxed load and a count. Some listen to
//! all keys (keyspace events, client tracking), others to a few (`WATCH`, blocked clients); a table of counts tells whether a
//! key may be one of those. What is listened to is kept by the worker until its command has left the keyspace, when
//! [`Local::take_changes`] hands it on; only [`Watch`]es are told at once, because a transaction checks them inside.

use std::sync::atomic::{AtomicU32, Ordering};

use super::enter::Local;
use super::keyspace::Keyspace;
use super::view::Store;
use super::watch::Watches;

/// The class of an event: one of the bits of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(pub u16);

impl Class {
    /// `g`: of no type, such as `del` and `expire`.
    pub const GENERIC: Class = Class(1);
    /// `$`: strings.
    pub const STRING: Class = Class(1 << 1);
    /// `l`: lists.
    pub const LIST: Class = Class(1 << 2);
    /// `s`: sets.
    pub const SET: Class = Class(1 << 3);
    /// `h`: hashes.
    pub const HASH: Class = Class(1 << 4);
    /// `z`: sorted sets.
    pub const SORTED_SET: Class = Class(1 << 5);
    /// `x`: a key expired.
    pub const EXPIRED: Class = Class(1 << 6);
    /// `e`: a key was evicted.
    pub const EVICTED: Class = Class(1 << 7);
    /// `t`: streams.
    pub const STREAM: Class = Class(1 << 8);
    /// `n`: a key was created.
    pub const NEW: Class = Class(1 << 10);
    /// `m`: a key was looked up and is missing.
    pub const MISS: Class = Class(1 << 13);
}

/// What happened to a key, by the names of Redis's keyspace notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The class.
    pub class: Class,
    /// The name, such as `lpush`.
    pub name: &'static str,
}

/// Declares how an event of each class is written: `Event::list("lpush")`.
macro_rules! events {
    ($($class:ident $name:ident;)+) => {
        impl Event {
            $(
                /// An event of this class.
                pub const fn $name(name: &'static str) -> Event {
                    Event { class: Class::$class, name }
                }
            )+
        }
    };
}

events! {
    GENERIC generic;
    STRING string;
    LIST list;
    SET set;
    HASH hash;
    SORTED_SET sorted_set;
    STREAM stream;
}

impl Event {
    /// An event of a change that keyspace notifications leave out: watches, persistence and replication hear of it, and no
    /// setting of `notify-keyspace-events` publishes it.
    pub const fn silent(name: &'static str) -> Event {
        Event { class: Class(0), name }
    }

    /// A key was removed.
    pub const DEL: Event = Event::generic("del");
    /// A key was created.
    pub const NEW: Event = Event { class: Class::NEW, name: "new" };
    /// A key was looked up and is missing.
    pub const MISS: Event = Event { class: Class::MISS, name: "keymiss" };
    /// A key was removed because its time was up.
    pub const EXPIRED: Event = Event { class: Class::EXPIRED, name: "expired" };
    /// A key was removed because memory was short.
    pub const EVICTED: Event = Event { class: Class::EVICTED, name: "evicted" };
}

/// A change of a key that somebody listens to.
#[derive(Clone, Debug)]
pub struct Change {
    /// The database.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// What happened.
    pub event: Event,
}

/// Counts of those that listen to a few keys, by the keys' hashes.
const PLACES: usize = 4096;

/// Who listens.
pub(super) struct Interest {
    /// Everybody: those that listen to all keys, and one for each key that somebody listens to.
    any: AtomicU32,
    /// Those that listen to all keys.
    all: AtomicU32,
    places: Box<[AtomicU32]>,
    pub(super) watches: Watches,
}

impl Interest {
    /// Nobody listens.
    pub(super) fn new() -> Interest {
        let places = (0..PLACES).map(|_| AtomicU32::new(0)).collect();
        Interest { any: AtomicU32::new(0), all: AtomicU32::new(0), places, watches: Watches::new() }
    }

    fn place(&self, hash: u64) -> &AtomicU32 {
        &self.places[(hash >> 16) as usize % PLACES]
    }
}

fn shift(count: &AtomicU32, begins: bool) {
    if begins {
        count.fetch_add(1, Ordering::SeqCst);
    } else {
        count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Keyspace {
    /// Somebody begins or ends to listen to a key, of whichever database. Whoever begins is inside the key's shard, alone, so
    /// that a later change cannot miss it.
    pub fn listen(&self, key: &[u8], begins: bool) {
        shift(self.interest.place(self.hasher.hash(key)), begins);
        shift(&self.interest.any, begins);
    }

    /// Somebody begins or ends to listen to all keys.
    pub fn listen_to_all(&self, begins: bool) {
        shift(&self.interest.all, begins);
        shift(&self.interest.any, begins);
    }
}

impl Store<'_> {
    /// Counts a change of a key, as `rdb_changes_since_last_save` reports it, and tells it to those who listen. To be called
    /// inside the key's shard, once for each key that a command changes.
    #[inline]
    pub fn changed(&self, key: &[u8], event: Event) {
        self.count_changes(1);
        self.notify(key, event);
    }

    /// Tells what happened to a key without counting it: for the second event of one change, such as the `del` of a
    /// collection whose last element went.
    #[inline]
    pub fn notify(&self, key: &[u8], event: Event) {
        if self.keyspace.interest.any.load(Ordering::Relaxed) != 0 {
            self.record(key, event);
        }
    }

    #[cold]
    fn record(&self, key: &[u8], event: Event) {
        let interest = &self.keyspace.interest;
        let (hash, _) = self.local.route(self.keyspace, key);
        let named = interest.place(hash).load(Ordering::Relaxed) != 0;
        if named {
            interest.watches.touch(self.database, key);
        }
        if named || interest.all.load(Ordering::Relaxed) != 0 {
            let change = Change { database: self.database, key: key.into(), event };
            self.local.changes.borrow_mut().push(change);
        }
    }

    /// Tells that a client looked for a key in vain. Nothing changed, so no watch hears of it.
    #[inline]
    pub(super) fn notify_miss(&self, key: &[u8]) {
        if self.keyspace.interest.all.load(Ordering::Relaxed) != 0 {
            let change = Change { database: self.database, key: key.into(), event: Event::MISS };
            self.local.changes.borrow_mut().push(change);
        }
    }

    /// Counts changes of the keyspace that nobody hears of one by one.
    #[inline]
    pub fn count_changes(&self, changes: u64) {
        self.keyspace.note_changes(self.local.worker, changes);
    }
}

impl Local {
    /// What was changed since the last call, if anybody listens.
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes.borrow_mut())
    }

    /// Whether there is anything to take.
    #[inline]
    pub fn has_changes(&self) -> bool {
        !self.changes.borrow().is_empty()
    }
}
