//! The heap of the keyspace: a slab allocator for records.
//!
//! A server of small keys is mostly allocator: at 16-byte keys and 32-byte values, rounding a record up to a general
//! allocator's class costs an eighth of all memory. Here there is a class every 8 bytes, what a block takes is known
//! from its size alone ([`class_size`]), so accounting is exact, and records lie on huge pages of their own.
//!
//! ```text
//! region   one reservation of addresses; hands out chunks; has the table of slab entries beside it
//! chunk    2 MiB, aligned: 64 units, shared by all classes of one thread's heap
//! slab     1, 2 or 4 units (32 KiB each) cut into blocks of one class
//! ```
//!
//! Each thread has a heap, with a magazine of the blocks that it freed last for each class, from which it allocates
//! next. That, and slabs of its own, take no atomic operation. A block that overflows from the magazine of a thread
//! whose heap it is not from travels home: in batches of 32, onto a lock-free stack of the heap that it came from, whose
//! owner sorts it in when a class runs dry, after some 500 frees, or in [`tend`]. When a thread ends, the next
//! new one adopts its heap with all that is in it.
//!
//! Memory that was never needed is never touched. An empty slab goes back to its chunk, where any class may
//! have it; an empty chunk goes back to the system, except for one that each heap keeps.

mod class;
mod count;
mod general;
mod ground;
mod magazine;
mod owner;
mod region;
mod registry;
mod remote;
mod slab;
#[cfg(test)]
mod tests;

use std::alloc::{GlobalAlloc, Layout, handle_alloc_error};
use std::ptr::NonNull;

#[cfg(miri)]
use std::alloc::System as General;
#[cfg(not(miri))]
use tikv_jemallocator::Jemalloc as General;

pub use class::{MAX_SMALL, class_size};
pub use count::{Counting, others};
pub use general::{decay, flush, purge};
pub(crate) use region::Extent;

/// Alignment of every block in bytes.
pub const ALIGN: usize = 8;

/// Takes a block of `bytes`, aligned to [`ALIGN`]. What it holds is undefined. It has to be given back with [`free`].
///
/// If there is no memory the process ends, as with any allocation in Rust; see [`try_alloc`] for sizes from outside.
#[inline]
pub fn alloc(bytes: usize) -> NonNull<u8> {
    match try_alloc(bytes) {
        Some(block) => block,
        None => out_of_memory(bytes),
    }
}

/// As [`alloc`], but `None` if there is no memory, or if `bytes` exceeds `isize::MAX`.
#[inline]
pub fn try_alloc(bytes: usize) -> Option<NonNull<u8>> {
    if bytes <= MAX_SMALL
        && let Some(heap) = registry::mine()
        && let Some(block) = heap.take(bytes)
    {
        return Some(block);
    }
    alloc_slowly(bytes)
}

#[cold]
#[inline(never)]
fn alloc_slowly(bytes: usize) -> Option<NonNull<u8>> {
    registry::with_heap(|heap| {
        if bytes <= MAX_SMALL {
            return heap.take(bytes).or_else(|| heap.find(bytes));
        }
        let layout = Layout::from_size_align(bytes, ALIGN).ok()?;
        // SAFETY: the layout's size is above zero.
        let block = NonNull::new(unsafe { General.alloc(layout) })?;
        heap.count_large(class_size(bytes) as u64);
        Some(block)
    })
}

#[cold]
#[inline(never)]
fn out_of_memory(bytes: usize) -> ! {
    handle_alloc_error(Layout::from_size_align(bytes, ALIGN).unwrap_or(Layout::new::<u64>()))
}

/// Gives a block back, from any thread.
///
/// # Safety
/// `block` came from [`alloc`] or [`try_alloc`] with the same `bytes`, was not given back yet, and nobody uses it any more.
#[inline]
pub unsafe fn free(block: NonNull<u8>, bytes: usize) {
    if bytes <= MAX_SMALL
        && let Some(heap) = registry::mine()
    {
        // SAFETY: that is what the caller promises.
        return unsafe { heap.give(block, bytes) };
    }
    // SAFETY: as above.
    unsafe { free_slowly(block, bytes) }
}

/// # Safety
/// As for [`free`].
#[cold]
#[inline(never)]
unsafe fn free_slowly(block: NonNull<u8>, bytes: usize) {
    registry::with_heap(|heap| {
        if bytes <= MAX_SMALL {
            // SAFETY: that is what the caller promises.
            return unsafe { heap.give(block, bytes) };
        }
        let Ok(layout) = Layout::from_size_align(bytes, ALIGN) else {
            return;
        };
        // SAFETY: the block came from this allocator with this layout.
        unsafe { General.dealloc(block.as_ptr(), layout) };
        heap.count_large((class_size(bytes) as u64).wrapping_neg());
    })
}

/// Bytes in blocks that are in use, each counted as [`class_size`]. Exact whenever no thread is allocating or freeing;
/// otherwise off by what they are just doing. Costs a few loads for each thread.
pub fn used() -> u64 {
    registry::sum(owner::Heap::net)
}

/// Bytes that the heap has from the system: whole chunks (touched or not) and the blocks that are too large for them.
pub fn reserved() -> u64 {
    region::mapped() + registry::sum(owner::Heap::large)
}

/// Does this thread's part of the upkeep: sends off blocks that belong to other threads, sorts in up to 512 of its own
/// that came back, trims if another thread asked for it. Returns whether more blocks wait. For a worker's idle
/// moments and its timer: a thread that neither allocates nor frees gets round to it in no other way.
pub fn tend() -> bool {
    registry::mine().is_some_and(|heap| {
        heap.deliver_all();
        heap.tend()
    })
}

/// Gives back to the system what no block needs: of this thread's heap and of those whose threads have ended now, of
/// all others when their threads next do their upkeep. Not cheap: for `MEMORY PURGE` and the like.
pub fn trim() {
    registry::trim();
}

/// Says whether records are moved to huge pages, 2 MiB of them at a time once those are in use as a whole, so that it costs hardly any memory; to be
/// called at start, before workers are bound to their CPUs.
/// Takes effect where the system's setting for transparent huge pages is `madvise` or `always`.
pub fn set_huge_pages(wanted: bool) {
    region::set_huge(wanted);
    if wanted {
        region::start_mover();
    }
}
