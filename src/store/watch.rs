//! `WATCH`: who is to be told when a key changes, before anybody else can see the change.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::gate::Busy;
use super::keyspace::Keyspace;
use super::view::Store;

/// What a transaction watches: whether any of its keys changed.
#[derive(Debug, Default)]
pub struct Watch {
    touched: AtomicBool,
}

impl Watch {
    /// Whether a key changed. Final once the caller is inside the shards of all keys, alone.
    pub fn is_touched(&self) -> bool {
        self.touched.load(Ordering::Acquire)
    }

    fn touch(&self) {
        self.touched.store(true, Ordering::Release);
    }
}

type Watchers = HashMap<(usize, Box<[u8]>), Vec<Arc<Watch>>>;

/// All watched keys.
pub(super) struct Watches {
    keys: Mutex<Watchers>,
}

impl Watches {
    pub(super) fn new() -> Watches {
        Watches { keys: Mutex::default() }
    }

    /// Tells those who watch a key. The caller is inside its shard.
    pub(super) fn touch(&self, database: usize, key: &[u8]) {
        if let Some(watchers) = self.keys.lock().get(&(database, Box::from(key))) {
            watchers.iter().for_each(|watch| watch.touch());
        }
    }

    /// Tells those who watch any key of a database that `concerns`.
    pub(super) fn touch_all(&self, database: usize, concerns: impl Fn(&[u8]) -> bool) {
        // Looking at a key may remove it and call `touch`, so it is not done under the lock.
        let keys: Vec<Box<[u8]>> =
            self.keys.lock().keys().filter(|(number, _)| *number == database).map(|(_, key)| key.clone()).collect();
        keys.iter().filter(|key| concerns(key)).for_each(|key| self.touch(database, key));
    }

    fn add(&self, database: usize, key: &[u8], watch: &Arc<Watch>) {
        self.keys.lock().entry((database, key.into())).or_default().push(watch.clone());
    }

    fn remove(&self, database: usize, key: &[u8], watch: &Arc<Watch>) {
        let mut keys = self.keys.lock();
        let place = (database, Box::from(key));
        if let Some(watchers) = keys.get_mut(&place) {
            watchers.retain(|other| !Arc::ptr_eq(other, watch));
            if watchers.is_empty() {
                keys.remove(&place);
            }
        }
    }
}

impl Store<'_> {
    /// Begins to watch a key. The caller is inside its shard, alone. A key past its time goes first, so that its removal is
    /// not taken for a change.
    pub fn watch(&self, key: &[u8], watch: &Arc<Watch>) {
        self.exists(key);
        self.watch_from_outside(key, watch);
    }

    /// The same without being inside, for while a script that has run for long is: a change that is under way may go unnoticed,
    /// but nobody reads the key before that change. A key past its time counts as changed when it goes.
    pub fn watch_from_outside(&self, key: &[u8], watch: &Arc<Watch>) {
        self.keyspace.listen(key, true);
        self.keyspace.interest.watches.add(self.database, key, watch);
    }
}

impl Keyspace {
    /// Ends to watch a key.
    pub fn unwatch(&self, database: usize, key: &[u8], watch: &Arc<Watch>) {
        self.interest.watches.remove(database, key, watch);
        self.listen(key, false);
    }

    /// Enters the shards of several keys as [`Keyspace::enter_keys`] does, or everything.
    pub fn enter_some<'a, 'k>(
        &'a self,
        local: &'a super::Local,
        whole: bool,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<super::Held<'a>, Busy> {
        if whole { self.enter_all(local) } else { self.enter_keys(local, keys) }
    }
}
