//! Slabs and chunks: what the heap knows about a stretch of memory.
//!
//! Both are touched by the thread that owns their heap only, except for [`Slab::owner`], which other threads read while
//! they hold a block of the slab; it does not change before the last such block is back.

use std::cell::Cell;
use std::ptr;

use super::class::{UNIT, UNIT_SHIFT};
use super::owner::Heap;
use super::region;
use super::remote::Block;

/// Bytes in a chunk, to which it is also aligned: one huge page.
pub(super) const CHUNK: usize = 2 << 20;

/// A chunk's units that are all free.
pub(super) const ALL_FREE: u64 = u64::MAX;

/// Set in [`Slab::used`] while the slab is in no list because it had no block left.
pub(super) const FULL: u32 = 1 << 31;

const _: () = assert!(CHUNK / UNIT == u64::BITS as usize, "a chunk's units fit one word");
const _: () = assert!(size_of::<Slab>() == 64, "a slab's entry is one cache line");

/// A run of units cut into blocks of one class. Entries live in a table beside the chunks, one for each unit; that of a
/// slab's first unit speaks for all. All zeroes, as the table begins, is valid.
#[repr(C)]
pub(super) struct Slab {
    /// Blocks that were used and came back.
    pub(super) free: Cell<*mut Block>,
    /// The first block that was never used; the memory from here on is untouched.
    pub(super) fresh: Cell<*mut u8>,
    /// Behind the last block.
    pub(super) end: Cell<*mut u8>,
    /// The heap that serves from this slab.
    pub(super) owner: Cell<*const Heap>,
    links: Links<Slab>,
    /// The chunk that it was cut from.
    pub(super) chunk: Cell<*const Chunk>,
    /// Blocks in use, and [`FULL`].
    pub(super) used: Cell<u32>,
    /// The size class of its blocks.
    pub(super) class: Cell<u8>,
    /// How many units this entry's unit lies behind the slab's first one.
    pub(super) behind: Cell<u8>,
}

impl Slab {
    /// The next block, if there is one: a returned block first, because its memory is warm, then a fresh one.
    #[inline(always)]
    pub(super) fn take(&self, size: usize) -> Option<ptr::NonNull<u8>> {
        let block = self.free.get();
        let taken = if block.is_null() {
            let fresh = self.fresh.get();
            if fresh == self.end.get() {
                return None;
            }
            self.fresh.set(fresh.wrapping_add(size));
            fresh
        } else {
            // SAFETY: blocks in the free list belong to this slab's owner, which is the caller, and hold a link.
            self.free.set(unsafe { (*block).next });
            block.cast()
        };
        self.used.set(self.used.get() + 1);
        ptr::NonNull::new(taken)
    }

    /// Whether `used`, after a free, calls for attention: the slab is empty, or was in no list. One comparison.
    #[inline(always)]
    pub(super) fn remarkable(used: u32) -> bool {
        used.wrapping_sub(1) >= FULL
    }

    /// Takes a block back and returns [`Self::used`] as it is now.
    ///
    /// # Safety
    /// The caller owns the block and the slab, and the block came from this slab.
    #[inline(always)]
    pub(super) unsafe fn give(&self, block: *mut Block) -> u32 {
        // SAFETY: the block is the caller's, and holds at least the 8 bytes of a link.
        unsafe { (*block).next = self.free.replace(block) };
        let used = self.used.get() - 1;
        self.used.set(used);
        used
    }
}

/// 2 MiB of memory, cut into units that all classes of one heap share.
pub(super) struct Chunk {
    /// Where it lies.
    pub(super) base: *mut u8,
    /// The box that this description lives in.
    pub(super) boxed: Cell<*mut Chunk>,
    /// Its units that no slab has.
    pub(super) free: Cell<u64>,
    /// Its units that a slab had since their memory was last given back.
    pub(super) touched: Cell<u64>,
    /// Whether it was moved to a huge page.
    is_huge: Cell<bool>,
    links: Links<Chunk>,
}

impl Chunk {
    /// Describes the chunk at `base`.
    pub(super) fn describe(base: *mut u8) -> &'static Self {
        let boxed = Box::into_raw(Box::new(Self {
            base,
            boxed: Cell::new(ptr::null_mut()),
            free: Cell::new(ALL_FREE),
            touched: Cell::new(0),
            is_huge: Cell::new(false),
            links: Links::default(),
        }));
        // SAFETY: the box lives until the heap gives the chunk back.
        let chunk = unsafe { &*boxed };
        chunk.boxed.set(boxed);
        chunk
    }

    /// Moves a chunk that is in use as a whole to a huge page, the first time. Before, that would take memory which nobody needs.
    pub(super) fn make_huge(&self) {
        if region::huge() && !self.is_huge.replace(true) {
            // SAFETY: the chunk was taken, and lives as long as its description.
            unsafe { region::upgrade(self.base) };
        }
    }

    /// The units from `first`, `units` of them, as a mask.
    fn mask(first: u32, units: usize) -> u64 {
        ((1 << units) - 1) << first
    }

    /// Takes the lowest run of `units` (1, 2 or 4) free units that is aligned to its length: the number of its first.
    pub(super) fn claim(&self, units: usize) -> Option<u32> {
        let free = self.free.get();
        let runs = match units {
            1 => free,
            2 => free & (free >> 1) & 0x5555_5555_5555_5555,
            _ => free & (free >> 1) & (free >> 2) & (free >> 3) & 0x1111_1111_1111_1111,
        };
        if runs == 0 {
            return None;
        }
        let first = runs.trailing_zeros();
        let mask = Self::mask(first, units);
        self.free.set(free & !mask);
        self.touched.set(self.touched.get() | mask);
        Some(first)
    }

    /// Takes back the units of a slab that begins at `start`.
    pub(super) fn give(&self, start: *mut u8, units: usize) {
        let first = (start.addr() - self.base.addr()) >> UNIT_SHIFT;
        let mask = Self::mask(first as u32, units);
        debug_assert_eq!(self.free.get() & mask, 0, "units are given back once");
        self.free.set(self.free.get() | mask);
    }

    /// Gives the memory of free units back to the system; they stay usable. Returns the bytes given.
    pub(super) fn purge(&self) -> usize {
        let mut idle = self.free.get() & self.touched.get();
        self.touched.set(self.touched.get() & !idle);
        let mut given = 0;
        while idle != 0 {
            let first = idle.trailing_zeros();
            let units = (idle >> first).trailing_ones() as usize;
            let bytes = units * UNIT;
            // SAFETY: no slab lies on these units, so nobody has a pointer into them that it may use.
            unsafe { region::discard(self.base.wrapping_add(first as usize * UNIT), bytes) };
            given += bytes;
            // A run of all 64 units leaves nothing; shifting by the word's width would not.
            idle = if units == 64 { 0 } else { idle & !Self::mask(first, units) };
        }
        given
    }
}

/// The links of an element of a [`List`].
pub(super) struct Links<T> {
    next: Cell<*const T>,
    previous: Cell<*const T>,
}

impl<T> Default for Links<T> {
    fn default() -> Self {
        Self { next: Cell::new(ptr::null()), previous: Cell::new(ptr::null()) }
    }
}

/// What can be an element of a [`List`], which borrows it for as long as it is in one.
pub(super) trait Linked: Sized + 'static {
    /// The links.
    fn links(&self) -> &Links<Self>;
}

impl Linked for Slab {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

impl Linked for Chunk {
    fn links(&self) -> &Links<Self> {
        &self.links
    }
}

/// A doubly linked list through its elements. Elements are only freed after they were removed.
pub(super) struct List<T> {
    first: Cell<*const T>,
    last: Cell<*const T>,
}

impl<T: Linked> List<T> {
    pub(super) const fn new() -> Self {
        Self { first: Cell::new(ptr::null()), last: Cell::new(ptr::null()) }
    }

    /// The first element.
    #[inline(always)]
    pub(super) fn first(&self) -> Option<&'static T> {
        Self::get(self.first.get())
    }

    /// The element behind `element`.
    pub(super) fn after(element: &T) -> Option<&'static T> {
        Self::get(element.links().next.get())
    }

    #[inline(always)]
    fn get(element: *const T) -> Option<&'static T> {
        // SAFETY: elements of a list are alive, and only ever shared; callers drop what they got here before they
        // free an element, which `'static` cannot say because a list does not borrow from anything.
        unsafe { element.as_ref() }
    }

    pub(super) fn push_front(&self, element: &'static T) {
        let links = element.links();
        let first = self.first.replace(element);
        links.previous.set(ptr::null());
        links.next.set(first);
        match Self::get(first) {
            Some(first) => first.links().previous.set(element),
            None => self.last.set(element),
        }
    }

    pub(super) fn push_back(&self, element: &'static T) {
        let links = element.links();
        let last = self.last.replace(element);
        links.next.set(ptr::null());
        links.previous.set(last);
        match Self::get(last) {
            Some(last) => last.links().next.set(element),
            None => self.first.set(element),
        }
    }

    /// Takes `element`, which must be in this list, out of it.
    pub(super) fn remove(&self, element: &T) {
        let (next, previous) = (element.links().next.get(), element.links().previous.get());
        match Self::get(previous) {
            Some(previous) => previous.links().next.set(next),
            None => self.first.set(next),
        }
        match Self::get(next) {
            Some(next) => next.links().previous.set(previous),
            None => self.last.set(previous),
        }
    }
}
