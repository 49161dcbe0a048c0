//! One thread's heap: its chunks, its slabs by class, and what it owes to and gets from the heaps of other threads.
//!
//! Everything but the first few fields belongs to the one thread that has the heap at the time. Heaps are never freed:
//! a thread that ends leaves its heap to the next one (see `registry`).

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::class::{CLASSES, UNIT, class_of, class_size, size_of_class, units_for};
use super::ground::Ground;
use super::magazine::Magazine;
use super::region;
use super::remote::{Batch, Block, Stack};
use super::slab::{FULL, List, Slab};

/// Places for batches to other heaps, a power of two; heaps whose numbers collide push each other's batch out early.
const PLACES: usize = 64;

/// Blocks in a batch.
const BATCH: u32 = 32;

/// Blocks that come home in one go: bounds the time that one allocation can take.
const HOMECOMING: usize = 512;

/// Magazines that overflow between two looks at the blocks that come home: some 500 frees of small blocks.
const PATIENCE: u32 = 32;

/// Slabs among which the fullest is chosen when a class needs a new one to serve from.
const CANDIDATES: usize = 4;

/// Raised when every heap is to give back what it can.
pub(super) static TRIM: AtomicU32 = AtomicU32::new(0);

/// The heap of one thread.
#[repr(C, align(128))]
pub(super) struct Heap {
    /// Blocks that other threads freed.
    home: Stack,
    /// The next of all heaps; constant once the heap is known.
    pub(super) next: AtomicPtr<Heap>,
    /// Which heap this is.
    number: usize,
    /// Bytes that this heap's threads took less those that they gave, wherever they came from or went. Only the sum
    /// over all heaps is meaningful; it is written by the owner only, so adding needs no atomic operation.
    net: AtomicU64,
    /// As `net`, for the blocks that jemalloc serves.
    large: AtomicU64,
    /// By class, the blocks that were freed last.
    magazines: [Magazine; CLASSES],
    /// By class, slabs with blocks left; the first one serves.
    slabs: [List<Slab>; CLASSES],
    patience: Cell<u32>,
    /// Blocks taken from `home` that are not sorted in yet.
    backlog: Cell<*mut Block>,
    pub(super) ground: Ground,
    /// The value of [`TRIM`] that was last followed.
    trimmed: Cell<u32>,
    outgoing: [Batch<Heap>; PLACES],
}

// SAFETY: threads other than the owner touch the atomics, the number and the stack only; ownership moves under a lock.
unsafe impl Sync for Heap {}

impl Heap {
    pub(super) fn new(number: usize) -> Self {
        Self {
            home: Stack::new(AtomicPtr::new(ptr::null_mut())),
            next: AtomicPtr::new(ptr::null_mut()),
            number,
            net: AtomicU64::new(0),
            large: AtomicU64::new(0),
            magazines: std::array::from_fn(|class| Magazine::new(size_of_class(class.max(1)))),
            slabs: [const { List::new() }; CLASSES],
            patience: Cell::new(PATIENCE),
            backlog: Cell::new(ptr::null_mut()),
            ground: Ground::new(),
            trimmed: Cell::new(TRIM.load(Ordering::Relaxed)),
            outgoing: [const { Batch::new() }; PLACES],
        }
    }

    /// See the field.
    pub(super) fn net(&self) -> u64 {
        self.net.load(Ordering::Relaxed)
    }

    /// See the field.
    pub(super) fn large(&self) -> u64 {
        self.large.load(Ordering::Relaxed)
    }

    /// Counts a block that jemalloc serves, with the sign of `bytes` as a two's complement.
    pub(super) fn count_large(&self, bytes: u64) {
        self.count(bytes);
        self.large.store(self.large().wrapping_add(bytes), Ordering::Relaxed);
    }

    #[inline(always)]
    fn count(&self, bytes: u64) {
        self.net.store(self.net().wrapping_add(bytes), Ordering::Relaxed);
    }

    /// A block for `bytes`, at most `MAX_SMALL`, if the class has one at hand.
    #[inline(always)]
    pub(super) fn take(&self, bytes: usize) -> Option<NonNull<u8>> {
        let (class, size) = (class_of(bytes), class_size(bytes));
        let block = match self.magazines[class].pop() {
            Some(block) => block,
            None => self.slabs[class].first()?.take(size)?,
        };
        self.count(size as u64);
        Some(block)
    }

    /// As [`Self::take`], but finds or makes a slab. `None` if there is no memory.
    #[cold]
    #[inline(never)]
    pub(super) fn find(&self, bytes: usize) -> Option<NonNull<u8>> {
        let class = class_of(bytes);
        let list = &self.slabs[class];
        if let Some(first) = list.first()
            && first.free.get().is_null()
            && first.fresh.get() == first.end.get()
        {
            list.remove(first);
            first.used.set(first.used.get() | FULL);
        }
        self.tend();
        match list.first() {
            Some(first) => Self::promote(list, first),
            None => list.push_front(self.claim(class)?),
        }
        self.take(bytes)
    }

    /// Makes the fullest of the list's first slabs the one that serves, so that the others can run empty.
    fn promote(list: &List<Slab>, first: &'static Slab) {
        let mut best = first;
        let mut candidate = first;
        for _ in 1..CANDIDATES {
            let Some(next) = List::after(candidate) else {
                break;
            };
            candidate = next;
            if candidate.used.get() > best.used.get() {
                best = candidate;
            }
        }
        if !ptr::eq(best, first) {
            list.remove(best);
            list.push_front(best);
        }
    }

    /// Takes back a block of `bytes`, at most `MAX_SMALL`, of whatever heap.
    ///
    /// # Safety
    /// The block came from a heap's [`Self::take`] with a size of the same class, and nobody uses it any more.
    #[inline(always)]
    pub(super) unsafe fn give(&self, block: NonNull<u8>, bytes: usize) {
        let (class, size) = (class_of(bytes), class_size(bytes));
        self.count((size as u64).wrapping_neg());
        if !self.magazines[class].push(block) {
            self.make_room(class);
            let pushed = self.magazines[class].push(block);
            debug_assert!(pushed, "half of the magazine was taken out");
        }
    }

    /// Takes the older half of a magazine out.
    #[cold]
    #[inline(never)]
    fn make_room(&self, class: usize) {
        self.spill(class, false);
        let patience = self.patience.get() - 1;
        self.patience.set(patience);
        if patience == 0 {
            self.tend();
        }
    }

    /// Returns the blocks in a magazine, or the older half of them, to the slabs that they came from.
    fn spill(&self, class: usize, all: bool) {
        let slab_bytes = units_for(size_of_class(class)) * UNIT;
        self.magazines[class].spill(all, |block| {
            // A slab is aligned to its length, so this is its first unit.
            let start = block.map_addr(|addr| addr & !(slab_bytes - 1));
            // SAFETY: a slab's entry is accessible as long as one of its blocks was not returned to it.
            let slab = unsafe { &*region::slab_at(start) };
            debug_assert_eq!(usize::from(slab.class.get()), class, "freed with another size than allocated");
            if !ptr::eq(slab.owner.get(), self) {
                // SAFETY: blocks in a magazine belong to this heap's thread, which gives them up.
                return unsafe { self.send(slab.owner.get(), block.cast()) };
            }
            // SAFETY: as above, and the slab is this heap's.
            let used = unsafe { slab.give(block.cast()) };
            if Slab::remarkable(used) {
                self.review(slab, used);
            }
        });
    }

    /// Empties all magazines and sends all batches off, full or not.
    pub(super) fn clear_out(&self) {
        (1..CLASSES).for_each(|class| self.spill(class, true));
        self.deliver_all();
    }

    /// Looks at a slab that got a block back and is empty now, or has a block after it had none.
    #[cold]
    #[inline(never)]
    fn review(&self, slab: &'static Slab, used: u32) {
        let list = &self.slabs[usize::from(slab.class.get())];
        if used >= FULL {
            // Behind the others: until its turn comes it may get more blocks back, or all.
            slab.used.set(used & !FULL);
            list.push_back(slab);
        } else if !list.first().is_some_and(|first| ptr::eq(first, slab)) {
            list.remove(slab);
            self.release(slab);
        }
        // An empty slab that serves stays: the next allocation would have to make it anew.
    }

    /// Puts a block of heap `owner` into the batch that goes there.
    ///
    /// # Safety
    /// The block belongs to that heap, and the caller gives it up.
    #[inline(never)]
    unsafe fn send(&self, owner: *const Heap, block: *mut Block) {
        // SAFETY: heaps are never freed.
        let number = unsafe { (*owner).number };
        let batch = &self.outgoing[number % PLACES];
        if !ptr::eq(batch.owner(), owner) {
            Self::deliver(batch);
            batch.address(owner);
        }
        // SAFETY: the caller gives the block up.
        if unsafe { batch.add(block) } == BATCH {
            Self::deliver(batch);
        }
    }

    fn deliver(batch: &Batch<Heap>) {
        if let Some((first, last)) = batch.take() {
            // SAFETY: heaps are never freed, and the batch held blocks that were given up for this one.
            unsafe { (*batch.owner()).home.push(first, last) };
        }
    }

    /// Sends all batches off, full or not.
    pub(super) fn deliver_all(&self) {
        self.outgoing.iter().for_each(Self::deliver);
    }

    /// Sorts in a bounded number of blocks that came home, and trims if that was asked for.
    /// Returns whether there are more.
    pub(super) fn tend(&self) -> bool {
        self.patience.set(PATIENCE);
        self.welcome(HOMECOMING);
        let wanted = TRIM.load(Ordering::Relaxed);
        if self.trimmed.replace(wanted) != wanted {
            self.trim();
        }
        !self.backlog.get().is_null()
    }

    /// Sorts at most `limit` blocks that came home into their slabs.
    fn welcome(&self, limit: usize) {
        let mut block = self.backlog.get();
        for _ in 0..limit {
            if block.is_null() {
                block = self.home.take();
                if block.is_null() {
                    break;
                }
            }
            // SAFETY: blocks that came home are this heap's, and link to the next.
            let next = unsafe { (*block).next };
            let unit = region::slab_at(block.cast());
            // SAFETY: the block's slab is alive as long as the block is not sorted in; its units' entries say how far
            // behind its first one they are.
            let (slab, used) = unsafe {
                let slab = &*unit.wrapping_sub(usize::from((*unit).behind.get()));
                (slab, slab.give(block))
            };
            if Slab::remarkable(used) {
                self.review(slab, used);
            }
            block = next;
        }
        self.backlog.set(block);
    }

    /// A new slab for `class`, in no list yet.
    fn claim(&self, class: usize) -> Option<&'static Slab> {
        let size = size_of_class(class);
        let units = units_for(size);
        let (chunk, first) = self.ground.claim(units)?;
        let start = chunk.base.wrapping_add(first as usize * UNIT);
        let entry = region::slab_at(start);
        // SAFETY: the units are this heap's alone and free, so nobody looks at their entries; all zeroes is valid.
        let slab = unsafe {
            for unit in 1..units {
                (*entry.wrapping_add(unit)).behind.set(unit as u8);
            }
            &*entry
        };
        slab.behind.set(0);
        slab.free.set(ptr::null_mut());
        slab.fresh.set(start);
        slab.end.set(start.wrapping_add(units * UNIT / size * size));
        slab.owner.set(self);
        slab.chunk.set(chunk);
        slab.used.set(0);
        slab.class.set(class as u8);
        Some(slab)
    }

    /// Gives the units of an empty slab, which is in no list, back to their chunk.
    fn release(&self, slab: &Slab) {
        let units = units_for(size_of_class(usize::from(slab.class.get())));
        // The last block of a slab ends in its last unit or at its end.
        let start = slab.end.get().map_addr(|end| (end - 1) & !(units * UNIT - 1));
        // SAFETY: a chunk lives as long as a slab is cut from it, and nobody uses an empty slab's units.
        unsafe { self.ground.give(slab.chunk.get(), start, units) };
    }

    /// Gives back all memory that no block needs: empty slabs that serve, spare chunks, free units of other chunks.
    pub(super) fn trim(&self) {
        self.clear_out();
        self.welcome(usize::MAX);
        for list in &self.slabs {
            if let Some(first) = list.first()
                && first.used.get() == 0
            {
                list.remove(first);
                self.release(first);
            }
        }
        self.ground.trim();
    }
}
