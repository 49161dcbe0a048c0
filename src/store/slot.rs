//! What a shard's map holds: one pointer a key, its hash, and the look-up keys that find it.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ptr::NonNull;

use super::record::Record;

/// One database of one shard.
pub(super) type Map = scc::HashMap<Slot, (), KeyHasher>;

/// Hashes keys with a seed of the process, so that nobody outside can make keys collide.
///
/// Look-ups bring their hash along; the map asks for a hash of a key only when it moves entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHasher {
    seed: u64,
}

impl KeyHasher {
    /// A hasher with a random seed.
    pub(super) fn random() -> Self {
        KeyHasher { seed: foldhash::quality::RandomState::default().hash_one(std::process::id()) }
    }

    /// A hasher with a seed that everybody knows, for maps that hold nobody's keys.
    pub(super) fn seeded(seed: u64) -> Self {
        KeyHasher { seed }
    }

    /// The hash of a key. The map takes its top bits for the bucket and its low 8 for the tag within; the shard takes
    /// the bits between.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        let shared = foldhash::SharedSeed::global_random();
        let mut hasher = foldhash::quality::FoldHasher::with_seed(self.seed, shared);
        hasher.write(key);
        hasher.finish()
    }
}

impl BuildHasher for KeyHasher {
    type Hasher = Passed;
    #[inline]
    fn build_hasher(&self) -> Passed {
        Passed { keys: *self, hash: 0 }
    }
}

/// Takes a finished hash through `write_u64`, or a key through `write`.
#[derive(Debug)]
pub(super) struct Passed {
    keys: KeyHasher,
    hash: u64,
}

impl Hasher for Passed {
    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
    #[inline]
    fn write(&mut self, key: &[u8]) {
        self.hash = self.keys.hash(key);
    }
    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.hash = hash;
    }
}

/// A key to look for, with its hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup<'a> {
    pub(super) hash: u64,
    pub key: &'a [u8],
}

impl Hash for Lookup<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl scc::Equivalent<Slot> for Lookup<'_> {
    #[inline]
    fn equivalent(&self, slot: &Slot) -> bool {
        slot.record().is_some_and(|record| record.key() == self.key)
    }
}

/// Any key of this hash's bucket and tag that is past its time or holds fields that are: what the timing wheel looks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) hash: u64,
    pub now_ms: u64,
}

impl Hash for Due {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl scc::Equivalent<Slot> for Due {
    fn equivalent(&self, slot: &Slot) -> bool {
        slot.record().is_some_and(|record| record.is_expired(self.now_ms) || record.has_due(self.now_ms))
    }
}

/// A pointer to a record or, while an entry is sought, to the probe that seeks it (then its lowest bit is set).
pub(super) struct Slot(Cell<*mut u8>);

/// What a probing slot points to.
pub(super) struct Probe<'a> {
    /// The hash to look under.
    pub(super) hash: u64,
    /// The key to find; `None` finds nothing, for a probe that only marks a place.
    pub key: Option<&'a [u8]>,
}

// SAFETY: a slot owns its record, which is plain memory; the pointer is only changed by the holder of the entry's lock.
unsafe impl Send for Slot {}
// SAFETY: as above; shared access reads the pointer under the bucket's shared lock.
unsafe impl Sync for Slot {}

impl Slot {
    /// A slot that seeks what `probe` describes. It must not outlive the probe: the caller drops or fills it first.
    pub(super) fn probing(probe: &Probe<'_>) -> Slot {
        Slot(Cell::new(std::ptr::from_ref(probe).cast::<u8>().cast_mut().map_addr(|address| address | 1)))
    }

    fn probe(&self) -> Option<&Probe<'_>> {
        let ptr = self.0.get();
        // SAFETY: a tagged pointer came from `probing`, whose caller keeps the probe alive as long as the slot is tagged.
        (ptr.addr() & 1 != 0).then(|| unsafe { &*ptr.map_addr(|address| address & !1).cast::<Probe<'_>>() })
    }

    /// The record, unless the slot is a probe.
    #[inline]
    pub(super) fn record(&self) -> Option<Record<'_>> {
        let ptr = self.0.get();
        if ptr.addr() & 1 != 0 {
            return None;
        }
        // SAFETY: an untagged slot owns a live record; the borrow of the slot is under the bucket's lock.
        NonNull::new(ptr).map(|ptr| unsafe { Record::from_raw(ptr) })
    }

    /// The key that the slot holds or seeks.
    #[inline]
    fn key(&self) -> Option<&[u8]> {
        match self.probe() {
            Some(probe) => probe.key,
            None => self.record().map(Record::key),
        }
    }

    /// Puts a record into the slot and hands out the one that was there.
    ///
    /// # Safety
    /// The caller holds the entry exclusively, and owns what it gets.
    pub(super) unsafe fn replace(&self, record: NonNull<u8>) -> Option<NonNull<u8>> {
        let old = self.0.replace(record.as_ptr());
        if old.addr() & 1 != 0 { None } else { NonNull::new(old) }
    }

    /// Takes the record out of a slot that is no longer in a map.
    pub(super) fn into_record(self) -> Option<NonNull<u8>> {
        let ptr = self.0.replace(std::ptr::null_mut());
        if ptr.addr() & 1 != 0 { None } else { NonNull::new(ptr) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let ptr = self.0.get();
        if ptr.addr() & 1 == 0
            && let Some(ptr) = NonNull::new(ptr)
        {
            // SAFETY: the slot owns its record and is going away.
            unsafe { Record::free(ptr) };
        }
    }
}

impl Hash for Slot {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.probe() {
            Some(probe) => state.write_u64(probe.hash),
            None => state.write(self.record().map_or(&[], Record::key)),
        }
    }
}

impl PartialEq for Slot {
    #[inline]
    fn eq(&self, other: &Slot) -> bool {
        match (self.key(), other.key()) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Slot {}

/// A key of this hash's bucket and tag that expires at exactly this time: whose timer is not stale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    pub(super) hash: u64,
    pub(super) due_ms: u64,
}

impl Hash for Armed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl scc::Equivalent<Slot> for Armed {
    fn equivalent(&self, slot: &Slot) -> bool {
        slot.record().is_some_and(|record| {
            record.expiry() == Some(self.due_ms) || record.soonest().is_some_and(|soonest| soonest <= self.due_ms)
        })
    }
}
