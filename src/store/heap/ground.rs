//! The chunks of one thread's heap.

use std::cell::Cell;

use super::region;
use super::slab::{ALL_FREE, Chunk, List};

/// Chunks searched for a run of units before a new chunk is taken.
const SEARCHED: usize = 16;

/// Entirely free chunks that a heap keeps.
const SPARE: usize = 1;

/// The chunks of one heap, by whether they have units left.
pub(super) struct Ground {
    /// Chunks with units left, the entirely free ones last.
    open: List<Chunk>,
    /// Chunks without.
    full: List<Chunk>,
    /// How many chunks there are.
    chunks: Cell<usize>,
    /// How many of them are entirely free.
    spare: Cell<usize>,
}

impl Ground {
    pub(super) const fn new() -> Self {
        Self { open: List::new(), full: List::new(), chunks: Cell::new(0), spare: Cell::new(0) }
    }

    /// How many chunks there are.
    #[cfg(test)]
    pub(super) fn chunks(&self) -> usize {
        self.chunks.get()
    }

    /// A run of units, and the chunk in which it is.
    pub(super) fn claim(&self, units: usize) -> Option<(&'static Chunk, u32)> {
        let mut candidate = self.open.first();
        for _ in 0..SEARCHED {
            let Some(chunk) = candidate else { break };
            let idle = chunk.free.get() == ALL_FREE;
            if let Some(first) = chunk.claim(units) {
                if idle {
                    self.spare.set(self.spare.get() - 1);
                }
                if chunk.free.get() == 0 {
                    self.open.remove(chunk);
                    self.full.push_back(chunk);
                    chunk.make_huge();
                }
                return Some((chunk, first));
            }
            candidate = List::after(chunk);
        }
        let chunk = self.add_chunk()?;
        chunk.claim(units).map(|first| (chunk, first))
    }

    fn add_chunk(&self) -> Option<&'static Chunk> {
        let base = region::take()?;
        self.chunks.set(self.chunks.get() + 1);
        let chunk = Chunk::describe(base);
        self.open.push_back(chunk);
        Some(chunk)
    }

    /// Takes a run of units back.
    ///
    /// # Safety
    /// The run came from [`Self::claim`] with this chunk, and nobody uses it any more. The chunk may be gone afterwards.
    pub(super) unsafe fn give(&self, chunk: *const Chunk, start: *mut u8, units: usize) {
        // SAFETY: a chunk lives as long as one of its units is taken.
        let chunk: &'static Chunk = unsafe { &*chunk };
        let was_full = chunk.free.get() == 0;
        chunk.give(start, units);
        if was_full {
            // To the front: a chunk with hardly any room is the one to fill first.
            self.full.remove(chunk);
            self.open.push_front(chunk);
        }
        if chunk.free.get() == ALL_FREE {
            self.open.remove(chunk);
            if self.spare.get() < SPARE {
                self.spare.set(self.spare.get() + 1);
                self.open.push_back(chunk);
            } else {
                // SAFETY: the chunk is entirely free and was just removed from its list.
                unsafe { self.drop_chunk(chunk.boxed.get()) };
            }
        }
    }

    /// Gives back a chunk.
    ///
    /// # Safety
    /// The chunk is described by this box, in no list, and no slab is cut from it.
    unsafe fn drop_chunk(&self, boxed: *mut Chunk) {
        self.chunks.set(self.chunks.get() - 1);
        // SAFETY: as the caller promises, nothing refers to the chunk or its description any more.
        unsafe {
            let chunk = Box::from_raw(boxed);
            region::give(chunk.base);
        }
    }

    /// Gives the memory of all free units back to the system, and entirely free chunks with it.
    pub(super) fn trim(&self) {
        let mut candidate = self.open.first();
        while let Some(chunk) = candidate {
            candidate = List::after(chunk);
            if chunk.free.get() == ALL_FREE {
                self.open.remove(chunk);
                self.spare.set(self.spare.get() - 1);
                // SAFETY: the chunk is entirely free and was just removed from its list.
                unsafe { self.drop_chunk(chunk.boxed.get()) };
            } else {
                chunk.purge();
            }
        }
    }
}
