//! The count of what the general allocator has handed out: known at every moment, at the price of some loads.
//!
//! The allocator's own statistics cost tens of microseconds, and they count as handed out what threads keep of freed memory, which
//! comes and goes by batches of many kilobytes.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use super::{General, class_size};

/// The general allocator, counting. A program has to name it its global allocator for [`others`] to tell anything.
#[derive(Debug)]
pub struct Counting;

/// Threads with a count of their own; later ones share.
const COUNTS: usize = 128;

/// Bytes that a thread allocated less those that it freed, alone in its cache lines.
#[repr(align(128))]
struct Count(AtomicI64);

/// The last is that of all threads that came too late for one of their own.
static BYTES: [Count; COUNTS + 1] = [const { Count(AtomicI64::new(0)) }; COUNTS + 1];
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Neither is it allocated nor does it need to be dropped, so that an allocator may use it at any time.
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

#[inline]
fn count(bytes: i64) {
    let number = NUMBER.get();
    let number = if number == usize::MAX { admit() } else { number };
    match BYTES.get(number) {
        // Nobody else writes it, so it needs no locked instruction.
        Some(Count(own)) if number < COUNTS => own.store(own.load(Relaxed) + bytes, Relaxed),
        _ => _ = BYTES[COUNTS].0.fetch_add(bytes, Relaxed),
    }
}

#[cold]
fn admit() -> usize {
    let number = THREADS.fetch_add(1, Relaxed);
    NUMBER.set(number);
    number
}

fn size(bytes: usize) -> i64 {
    class_size(bytes) as i64
}

/// Bytes handed out by the general allocator, in blocks of the size that it makes of them; large records are not among them, but
/// in [`super::used`]. A load for each thread.
pub fn others() -> u64 {
    let threads = THREADS.load(Relaxed).min(COUNTS);
    let counts = BYTES[..threads].iter().chain(&BYTES[COUNTS..]);
    let sum: i64 = counts.map(|count| count.0.load(Relaxed)).sum();
    // Counts are read one after the other, so that a block that moves between threads may be missed.
    sum.max(0) as u64
}

// SAFETY: each call is handed on as it is, and only counted.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the promises.
        let block = unsafe { General.alloc(layout) };
        count(if block.is_null() { 0 } else { size(layout.size()) });
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { General.alloc_zeroed(layout) };
        count(if block.is_null() { 0 } else { size(layout.size()) });
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-size(layout.size()));
        // SAFETY: as above.
        unsafe { General.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { General.realloc(block, layout, bytes) };
        count(if moved.is_null() { 0 } else { size(bytes) - size(layout.size()) });
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i64 {
        BYTES[NUMBER.get().min(COUNTS)].0.load(Relaxed)
    }

    #[test]
    fn what_is_allocated_is_counted_until_it_is_freed() {
        let (small, large) = (Layout::new::<[u64; 5]>(), Layout::new::<[u8; 5000]>());
        count(0);
        let before = own();
        // SAFETY: the blocks are freed with the layouts that they have then.
        unsafe {
            let block = Counting.alloc(small);
            assert_eq!(own() - before, 40);
            let block = Counting.realloc(block, small, large.size());
            assert_eq!(own() - before, class_size(5000) as i64);
            let zeroed = Counting.alloc_zeroed(large);
            assert_eq!((own() - before, zeroed.read()), (2 * class_size(5000) as i64, 0));
            assert!(others() >= 2 * class_size(5000) as u64);
            Counting.dealloc(block, large);
            Counting.dealloc(zeroed, large);
        }
        assert_eq!(own(), before);
    }
}
