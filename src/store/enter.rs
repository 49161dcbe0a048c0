//! Entering the keyspace: what a worker holds while its command runs.

use std::cell::{Cell, RefCell};

use super::gate::Busy;
use super::journal::Notes;
use super::keyspace::Keyspace;
use super::wheel::Wheel;

/// How often a worker pauses for others that are inside before it gives back what it owns: some hundred yields, so that
/// it waits out short commands and never a long one.
const PATIENCE: u32 = 256;

/// What belongs to one worker: its number, its timers, and what it has entered.
pub struct Local {
    /// The worker's number, below [`Keyspace::workers`].
    pub worker: usize,
    pub(super) wheel: RefCell<Wheel>,
    /// What its command changed, while anybody listens.
    pub(super) changes: RefCell<Vec<super::observe::Change>>,
    /// What is to be recorded of its command.
    pub(super) notes: Notes,
    held: Cell<Hold>,
    /// The shards of the exclusive entry in force.
    owned: RefCell<Vec<u32>>,
    /// Where the key of the shared entry in force hashes to, so that the access itself need not hash it again.
    routed: Cell<Routed>,
}

/// The timers of a worker, on their way to another.
pub struct Timers(Wheel);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Nothing,
    Shared,
    Exclusive,
    Global,
}

/// A key by its address, with its hash and shard. The key is borrowed by the entry, so its address names it.
#[derive(Clone, Copy)]
struct Routed {
    key: *const [u8],
    hash: u64,
    shard: u32,
}

const NOWHERE: Routed = Routed { key: std::ptr::slice_from_raw_parts(std::ptr::null(), 0), hash: 0, shard: 0 };

impl Local {
    /// The state of `worker`, starting at `now_ms`.
    pub fn new(worker: usize, now_ms: u64) -> Self {
        Local {
            worker,
            wheel: RefCell::new(Wheel::new(now_ms)),
            changes: RefCell::default(),
            notes: Notes::new(),
            held: Cell::new(Hold::Nothing),
            owned: RefCell::default(),
            routed: Cell::new(NOWHERE),
        }
    }

    /// Goes on with these timers.
    pub fn with_timers(self, timers: Option<Timers>) -> Self {
        match timers {
            Some(Timers(wheel)) => Local { wheel: RefCell::new(wheel), ..self },
            None => self,
        }
    }

    /// What is left of a worker that ends: its timers, which another is to keep.
    pub fn into_timers(self) -> Timers {
        Timers(self.wheel.into_inner())
    }

    /// Timers in this worker's wheel.
    pub fn timers(&self) -> usize {
        self.wheel.borrow().len()
    }

    /// Whether this worker is inside anything.
    #[inline]
    pub(super) fn is_inside(&self) -> bool {
        self.held.get() != Hold::Nothing
    }

    /// The hash and the shard of a key.
    #[inline]
    pub(super) fn route(&self, keyspace: &Keyspace, key: &[u8]) -> (u64, u32) {
        let routed = self.routed.get();
        if std::ptr::eq(routed.key, key) {
            return (routed.hash, routed.shard);
        }
        let hash = keyspace.hasher.hash(key);
        (hash, keyspace.shard_of(key, hash))
    }
}

/// An entry in force: dropping it leaves, also when a command panics.
#[must_use = "dropping the entry leaves the keyspace"]
pub struct Held<'a> {
    keyspace: &'a Keyspace,
    local: &'a Local,
    /// False where an outer entry covers this one, which then has nothing to give back.
    outermost: bool,
}

impl Keyspace {
    /// Enters the shard of one key, beside other workers.
    #[inline]
    pub fn enter_key<'a>(&'a self, local: &'a Local, key: &'a [u8]) -> Result<Held<'a>, Busy> {
        if local.is_inside() {
            return Ok(self.nested(local));
        }
        let hash = self.hasher.hash(key);
        let shard = self.shard_of(key, hash);
        self.gate.enter_shared(local.worker, shard)?;
        local.routed.set(Routed { key, hash, shard });
        Ok(self.outermost(local, Hold::Shared))
    }

    /// Enters one shard by its number, beside other workers.
    pub(super) fn enter_shard<'a>(&'a self, local: &'a Local, shard: u32) -> Result<Held<'a>, Busy> {
        if local.is_inside() {
            return Ok(self.nested(local));
        }
        self.gate.enter_shared(local.worker, shard)?;
        Ok(self.outermost(local, Hold::Shared))
    }

    /// Enters the shards of several keys, alone.
    pub fn enter_keys<'a, 'k>(
        &'a self,
        local: &'a Local,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Held<'a>, Busy> {
        let shards = keys.map(|key| self.shard_of(key, self.hasher.hash(key)));
        self.enter_shards(local, shards)
    }

    /// Enters shards by their numbers, alone.
    pub(super) fn enter_shards<'a>(
        &'a self,
        local: &'a Local,
        shards: impl Iterator<Item = u32>,
    ) -> Result<Held<'a>, Busy> {
        if local.is_inside() {
            return Ok(self.nested(local));
        }
        let mut owned = local.owned.borrow_mut();
        owned.clear();
        owned.extend(shards);
        owned.sort_unstable();
        owned.dedup();
        self.gate.enter_exclusive(local.worker, &owned, PATIENCE)?;
        Ok(self.outermost(local, Hold::Exclusive))
    }

    /// Enters everything, alone.
    pub fn enter_all<'a>(&'a self, local: &'a Local) -> Result<Held<'a>, Busy> {
        if local.is_inside() {
            debug_assert!(local.held.get() == Hold::Global, "a wider entry inside a narrower one");
            return Ok(self.nested(local));
        }
        self.gate.enter_global(local.worker, PATIENCE)?;
        Ok(self.outermost(local, Hold::Global))
    }

    #[inline]
    fn outermost<'a>(&'a self, local: &'a Local, hold: Hold) -> Held<'a> {
        local.held.set(hold);
        Held { keyspace: self, local, outermost: true }
    }

    fn nested<'a>(&'a self, local: &'a Local) -> Held<'a> {
        Held { keyspace: self, local, outermost: false }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.outermost {
            return;
        }
        let (gate, worker) = (&self.keyspace.gate, self.local.worker);
        match self.local.held.replace(Hold::Nothing) {
            Hold::Nothing => (),
            Hold::Shared => {
                self.local.routed.set(NOWHERE);
                gate.leave(worker);
            }
            Hold::Exclusive => gate.leave_exclusive(worker, &self.local.owned.borrow()),
            Hold::Global => gate.leave_global(),
        }
        self.local.settle(&self.keyspace.journal);
    }
}
