//! Entering the keyspace: what a worker holds while its command runs.

use std::cell::{Cell, RefCell};

use super::ahead::Ahead;
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
    /// What accesses leave in records.
    pub(super) clock: Cell<super::clock::Clock>,
    pub(super) random: Cell<u64>,
    pub(super) evictor: RefCell<super::evict::Evictor>,
    held: Cell<Hold>,
    /// The shards of the exclusive entry in force.
    owned: RefCell<Vec<u32>>,
    /// Where the key of the shared entry in force hashes to, so that the access itself need not hash it again.
    routed: Cell<Routed>,
    /// The same for the keys of an exclusive entry, in the order in which they were named, and the place in it of the key that
    /// was accessed last: commands go through their keys in that order.
    routes: RefCell<Vec<Routed>>,
    place: Cell<usize>,
    /// What was looked ahead for.
    pub(super) ahead: Ahead,
}

/// The timers of a worker, on their way to another.
pub struct Timers(Wheel);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Nothing,
    /// Kept out: the worker's own script is inside, left in the middle, and this stands for the worker meanwhile.
    Barred,
    /// Beside others, to read only.
    Reading,
    /// Beside others.
    Shared,
    Exclusive,
    Global,
}

/// So few keys are looked through for the one at hand.
const FEW: usize = 8;

/// A key by its address, with its hash and shard. The key is borrowed by the entry, so its address names it.
#[derive(Clone, Copy)]
pub(super) struct Routed {
    pub(super) key: *const [u8],
    pub(super) hash: u64,
    pub(super) shard: u32,
}

impl Routed {
    /// That of no key.
    pub(super) const NOWHERE: Routed =
        Routed { key: std::ptr::slice_from_raw_parts(std::ptr::null(), 0), hash: 0, shard: 0 };
}

impl Local {
    /// The state of `worker`, starting at `now_ms`.
    pub fn new(worker: usize, now_ms: u64) -> Self {
        use std::hash::BuildHasher;
        Local {
            worker,
            wheel: RefCell::new(Wheel::new(now_ms)),
            changes: RefCell::default(),
            notes: Notes::new(),
            clock: Cell::default(),
            random: Cell::new(foldhash::quality::RandomState::default().hash_one(worker) | 1),
            evictor: RefCell::default(),
            held: Cell::new(Hold::Nothing),
            owned: RefCell::default(),
            routed: Cell::new(Routed::NOWHERE),
            routes: RefCell::default(),
            place: Cell::new(0),
            ahead: Ahead::new(),
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

    /// Keeps the timers of another that has ended, too.
    pub fn take_over(&self, Timers(wheel): Timers) {
        self.wheel.borrow_mut().absorb(wheel);
    }

    /// One for what `worker` does while a command of its own is left in the middle of the keyspace: whatever it wants to enter is
    /// [`Busy`].
    pub fn barred(worker: usize, now_ms: u64) -> Self {
        let local = Local::new(worker, now_ms);
        local.held.set(Hold::Barred);
        local
    }

    /// Whether this is a [`Local::barred`] one.
    #[inline]
    pub fn is_barred(&self) -> bool {
        self.held.get() == Hold::Barred
    }

    /// One that stands in for this worker, which has entered everything: it is inside as well, has the timers, and never leaves. It ends
    /// with [`Local::relieve`].
    pub fn stand_in(&self, now_ms: u64) -> Local {
        debug_assert!(self.held.get() == Hold::Global, "a stand-in outside");
        let other = Local::new(self.worker, now_ms);
        other.held.set(self.held.get());
        other.wheel.swap(&self.wheel);
        other
    }

    /// Takes the timers back from a stand-in.
    pub fn relieve(&self, other: Local) {
        self.wheel.swap(&other.wheel);
    }

    /// Timers in this worker's wheel.
    pub fn timers(&self) -> usize {
        self.wheel.borrow().len()
    }

    /// Whether this worker is inside anything.
    #[inline]
    pub fn is_inside(&self) -> bool {
        !matches!(self.held.get(), Hold::Nothing | Hold::Barred)
    }

    /// Whether the next entry is none of its own: an outer one covers it, or it is refused.
    #[inline]
    fn is_bound(&self) -> bool {
        self.held.get() != Hold::Nothing
    }

    /// Whether the entry in force is one to change keys.
    #[inline]
    pub(super) fn may_change(&self) -> bool {
        !matches!(self.held.get(), Hold::Nothing | Hold::Barred | Hold::Reading)
    }

    /// Whether this worker is alone where it is.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self.held.get(), Hold::Exclusive | Hold::Global)
    }

    /// Goes back to the first key of the exclusive entry in force.
    pub(super) fn rewind(&self) {
        self.place.set(0);
    }

    /// The hash and the shard of a key.
    #[inline]
    pub(super) fn route(&self, keyspace: &Keyspace, key: &[u8]) -> (u64, u32) {
        let routed = self.routed.get();
        if std::ptr::eq(routed.key, key) {
            return (routed.hash, routed.shard);
        }
        if self.held.get() == Hold::Exclusive {
            let (routes, place) = (self.routes.borrow(), self.place.get());
            // Of few keys, looking through all costs less than a hash.
            let rest = if routes.len() <= FEW { 0..routes.len() } else { 0..0 };
            for next in [place, place + 1].into_iter().chain(rest) {
                if let Some(routed) = routes.get(next).filter(|routed| std::ptr::eq(routed.key, key)) {
                    self.place.set(next);
                    return (routed.hash, routed.shard);
                }
            }
        }
        let hash = keyspace.hasher.hash(key);
        (hash, keyspace.shard_of(key, hash))
    }
}

/// An entry in force: dropping it leaves, also when a command panics.
#[must_use = "dropping the entry leaves the keyspace"]
pub struct Held<'a> {
    keyspace: &'a Keyspace,
    /// Who leaves; nobody where an outer entry covers this one, which then has nothing to give back. It is a word and no flag: read
    /// together with its neighbours, a byte that was just written would have to wait for its way into the cache.
    leaver: Option<&'a Local>,
}

impl Keyspace {
    /// Where a key hashes to.
    // Always, because a route that goes through memory in pieces and is read as one is waited for.
    #[inline(always)]
    fn find_route(&self, local: &Local, key: &[u8]) -> Routed {
        local.ahead.find(key).unwrap_or_else(|| self.hash_route(key))
    }

    #[inline]
    fn hash_route(&self, key: &[u8]) -> Routed {
        let hash = self.hasher.hash(key);
        Routed { key, hash, shard: self.shard_of(key, hash) }
    }

    /// Enters the shard of one key, beside other workers.
    #[inline]
    pub fn enter_key<'a>(&'a self, local: &'a Local, key: &'a [u8]) -> Result<Held<'a>, Busy> {
        if local.is_bound() {
            return self.nested(local);
        }
        let routed = self.find_route(local, key);
        let Routed { hash, shard, .. } = routed;
        self.gate.enter_shared(local.worker, shard)?;
        if self.cut.is_active() && self.is_uncut(shard, hash) {
            self.gate.leave(local.worker);
            return self.enter_uncut(local, shard, hash);
        }
        local.routed.set(routed);
        Ok(self.outermost(local, Hold::Shared))
    }

    /// Enters the shard of one key, beside other workers, only to read it.
    #[inline]
    pub fn enter_key_to_read<'a>(&'a self, local: &'a Local, key: &'a [u8]) -> Result<Held<'a>, Busy> {
        if local.is_bound() {
            return self.nested(local);
        }
        let routed = self.find_route(local, key);
        self.gate.enter_shared(local.worker, routed.shard)?;
        local.routed.set(routed);
        Ok(self.outermost(local, Hold::Reading))
    }

    /// Enters the shard of a key by its number and the key's hash, beside other workers.
    pub(super) fn enter_hash<'a>(&'a self, local: &'a Local, shard: u32, hash: u64) -> Result<Held<'a>, Busy> {
        if local.is_bound() {
            return self.nested(local);
        }
        self.gate.enter_shared(local.worker, shard)?;
        if self.cut.is_active() && self.is_uncut(shard, hash) {
            self.gate.leave(local.worker);
            return self.enter_uncut(local, shard, hash);
        }
        Ok(self.outermost(local, Hold::Shared))
    }

    /// Enters one shard by its number, beside other workers, only to look.
    pub(super) fn enter_shard<'a>(&'a self, local: &'a Local, shard: u32) -> Result<Held<'a>, Busy> {
        if local.is_bound() {
            return self.nested(local);
        }
        self.gate.enter_shared(local.worker, shard)?;
        Ok(self.outermost(local, Hold::Reading))
    }

    /// Enters the shards of several keys, alone.
    pub fn enter_keys<'a, 'k>(
        &'a self,
        local: &'a Local,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Held<'a>, Busy> {
        if local.is_bound() {
            return self.nested(local);
        }
        keys.for_each(|key| self.name(local, key));
        self.enter_named(local)
    }

    /// Names a key for the next [`Keyspace::enter_named`].
    pub fn name(&self, local: &Local, key: &[u8]) {
        let hash = self.hasher.hash(key);
        local.routes.borrow_mut().push(Routed { key, hash, shard: self.shard_of(key, hash) });
    }

    /// Enters the shards of the keys that were named, alone. The names are forgotten in any case.
    pub fn enter_named<'a>(&'a self, local: &'a Local) -> Result<Held<'a>, Busy> {
        // What changes under this entry is handed to the cut when it does, and cannot wait then.
        if self.cut.is_active() && !local.is_inside() && self.cut_is_full() {
            local.routes.borrow_mut().clear();
            return Err(Busy);
        }
        let routes = std::mem::take(&mut *local.routes.borrow_mut());
        let entered = self.enter_shards(local, routes.iter().map(|routed| routed.shard));
        let mut kept = local.routes.borrow_mut();
        *kept = routes;
        local.place.set(0);
        if entered.is_err() {
            kept.clear();
        }
        entered
    }

    /// Enters shards by their numbers, alone.
    pub(super) fn enter_shards<'a>(
        &'a self,
        local: &'a Local,
        shards: impl Iterator<Item = u32>,
    ) -> Result<Held<'a>, Busy> {
        if local.is_bound() {
            return self.nested(local);
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
        if local.is_bound() {
            debug_assert!(
                matches!(local.held.get(), Hold::Global | Hold::Barred),
                "a wider entry inside a narrower one"
            );
            return self.nested(local);
        }
        if self.cut.is_active() && self.cut_is_full() {
            return Err(Busy);
        }
        self.gate.enter_global(local.worker, PATIENCE)?;
        Ok(self.outermost(local, Hold::Global))
    }

    /// The shard of a key, to compare with others.
    pub fn shard_of_key(&self, key: &[u8]) -> u32 {
        self.shard_of(key, self.hasher.hash(key))
    }

    /// Whether this worker has entered everything.
    pub fn holds_everything(&self, local: &Local) -> bool {
        local.held.get() == Hold::Global
    }

    /// Whether this worker is alone in the shard of a key. What runs commands within an entry has to know, because they
    /// enter nothing more.
    pub fn holds(&self, local: &Local, key: &[u8]) -> bool {
        match local.held.get() {
            Hold::Global => true,
            Hold::Exclusive => local.owned.borrow().binary_search(&self.shard_of_key(key)).is_ok(),
            Hold::Reading | Hold::Shared | Hold::Nothing | Hold::Barred => false,
        }
    }

    /// Adds the shard of a key to those that this worker has entered alone.
    ///
    /// # Errors
    /// [`Busy`] where others are in it, and where not just some shards were entered. It never waits for long, so two that
    /// want each other's shards do not wait for ever.
    pub fn widen(&self, local: &Local, key: &[u8]) -> Result<(), Busy> {
        if local.held.get() != Hold::Exclusive {
            return Err(Busy);
        }
        let shard = self.shard_of_key(key);
        let mut owned = local.owned.borrow_mut();
        if let Err(place) = owned.binary_search(&shard) {
            self.gate.add_exclusive(local.worker, shard, PATIENCE)?;
            owned.insert(place, shard);
        }
        Ok(())
    }

    #[inline]
    fn outermost<'a>(&'a self, local: &'a Local, hold: Hold) -> Held<'a> {
        local.held.set(hold);
        Held { keyspace: self, leaver: Some(local) }
    }

    fn nested<'a>(&'a self, local: &'a Local) -> Result<Held<'a>, Busy> {
        if local.is_barred() { Err(Busy) } else { Ok(Held { keyspace: self, leaver: None }) }
    }
}

impl Held<'_> {
    /// Leaves what nobody was beside. It is apart because a jump by a table, which all holds in one place would be, costs a GET as
    /// much as a miss of the cache after each return from the kernel.
    #[inline(never)]
    fn leave_alone(&self, local: &Local, hold: Hold) {
        match hold {
            Hold::Exclusive => {
                local.routes.borrow_mut().clear();
                self.keyspace.gate.leave_exclusive(local.worker, &local.owned.borrow());
            }
            Hold::Global => self.keyspace.gate.leave_global(),
            Hold::Nothing | Hold::Barred | Hold::Reading | Hold::Shared => (),
        }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        let Some(local) = self.leaver else { return };
        let hold = local.held.replace(Hold::Nothing);
        if matches!(hold, Hold::Reading | Hold::Shared) {
            local.routed.set(Routed::NOWHERE);
            self.keyspace.gate.leave(local.worker);
        } else {
            self.leave_alone(local, hold);
        }
        local.settle(&self.keyspace.journal);
    }
}
