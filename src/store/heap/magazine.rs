//! The few blocks of a class that a thread freed last, for it to allocate next.
//!
//! A SET that replaces a value takes a block and frees one of the same class, which is in the cache because its key was
//! just compared. Served from here, it never looks at a slab, and a block of another thread's heap need not travel.

use std::cell::Cell;
use std::ptr::{self, NonNull};

/// Slots of a magazine; with the two figures it fills four cache lines.
const SLOTS: usize = 31;

/// Bytes of blocks that a magazine holds at most, unless that were less than [`LEAST`] blocks.
const BYTES: usize = 16 << 10;

/// Blocks that any magazine holds.
const LEAST: usize = 4;

/// A small stack of free blocks.
#[repr(C, align(64))]
pub(super) struct Magazine {
    count: Cell<u32>,
    limit: u32,
    slots: [Cell<*mut u8>; SLOTS],
}

impl Magazine {
    /// An empty magazine for blocks of `size` bytes.
    pub(super) const fn new(size: usize) -> Self {
        let fitting = BYTES / size;
        let limit = if fitting > SLOTS {
            SLOTS
        } else if fitting < LEAST {
            LEAST
        } else {
            fitting
        };
        Self { count: Cell::new(0), limit: limit as u32, slots: [const { Cell::new(ptr::null_mut()) }; SLOTS] }
    }

    /// Takes out the block that was put in last.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<NonNull<u8>> {
        let count = self.count.get().wrapping_sub(1);
        // An empty magazine's index has wrapped round and is in no slot: one comparison for both.
        let slot = self.slots.get(count as usize)?;
        self.count.set(count);
        NonNull::new(slot.get())
    }

    /// Puts a block in; false if there is no room.
    #[inline(always)]
    pub(super) fn push(&self, block: NonNull<u8>) -> bool {
        let count = self.count.get();
        match self.slots.get(count as usize) {
            Some(slot) if count < self.limit => {
                slot.set(block.as_ptr());
                self.count.set(count + 1);
                true
            }
            _ => false,
        }
    }

    /// Takes out the older half of the blocks, or all, and calls `with` for each.
    pub(super) fn spill(&self, all: bool, mut with: impl FnMut(*mut u8)) {
        let count = self.count.get() as usize;
        let gone = if all { count } else { count.div_ceil(2) };
        self.slots[..gone].iter().for_each(|slot| with(slot.get()));
        for (slot, kept) in self.slots.iter().zip(&self.slots[gone..count]) {
            slot.set(kept.get());
        }
        self.count.set((count - gone) as u32);
    }
}
