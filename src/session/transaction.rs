//! `MULTI` and `WATCH`: what a client has queued and what it watches.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::protocol::Frame;
use crate::store::{Keyspace, Watch};

/// Commands between `MULTI` and `EXEC`.
#[derive(Debug, Default)]
pub struct Transaction {
    /// The commands in their order.
    pub queue: Vec<Frame>,
    /// Bytes of memory that they take.
    pub bytes: usize,
    /// One of them may need more memory.
    pub grows: bool,
    /// One of them may take long, as scripts do.
    pub may_take_long: bool,
    /// One of them was refused, so `EXEC` will be too.
    pub is_aborted: bool,
}

/// Keys that a client watches.
#[derive(Debug, Default)]
pub struct Watched {
    /// Tells whether any of them changed.
    pub watch: Arc<Watch>,
    /// The keys with their databases.
    pub keys: BTreeSet<(usize, Box<[u8]>)>,
}

impl Watched {
    /// Ends to watch all keys.
    pub fn end(&mut self, keyspace: &Keyspace) {
        for (database, key) in std::mem::take(&mut self.keys) {
            keyspace.unwatch(database, &key, &self.watch);
        }
        self.watch = Arc::default();
    }
}
