//! What others hear of changes: the one place that learns that a key changed, and how.
//!
//! Commands report through [`Store::changed`]. While nobody listens that costs one relaxed load and a count; otherwise
//! the worker keeps what happened until its command has left the keyspace, when [`Local::take_changes`] hands it on.

use std::sync::atomic::Ordering;

use super::enter::Local;
use super::view::Store;

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
    /// A key was removed.
    pub const DEL: Event = Event::generic("del");
    /// A key was removed because its time was up.
    pub const EXPIRED: Event = Event { class: Class::EXPIRED, name: "expired" };
}

/// A change of a key that somebody listens for.
#[derive(Clone, Debug)]
pub struct Change {
    /// The database.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
    /// What happened.
    pub event: Event,
    /// False for what does not change the value, such as `keymiss`.
    pub modifies: bool,
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
        if self.keyspace.observers.load(Ordering::Relaxed) != 0 {
            self.record(key, event, true);
        }
    }

    #[cold]
    fn record(&self, key: &[u8], event: Event, modifies: bool) {
        let change = Change { database: self.database, key: key.into(), event, modifies };
        self.local.changes.borrow_mut().push(change);
    }

    /// Counts changes of the keyspace that nobody hears of one by one.
    #[inline]
    pub fn count_changes(&self, changes: u64) {
        self.keyspace.note_changes(self.local.worker, changes);
    }
}

impl Local {
    /// What the last command changed, if anybody listens.
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes.borrow_mut())
    }

    /// Whether there is anything to take.
    #[inline]
    pub fn has_changes(&self) -> bool {
        !self.changes.borrow().is_empty()
    }
}

impl super::Keyspace {
    /// Begins (1) or ends (-1) to listen to changes.
    pub fn listen(&self, by: i64) {
        self.observers.fetch_add(by, Ordering::SeqCst);
    }
}
