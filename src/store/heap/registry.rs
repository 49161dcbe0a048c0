//! Which heaps there are, and which of them have no thread.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::owner::{Heap, TRIM};

/// All heaps, linked by [`Heap::next`]. It only grows, to the largest number of threads that there were at a time.
static ALL: AtomicPtr<Heap> = AtomicPtr::new(ptr::null_mut());

/// How many heaps there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The heaps whose threads have ended. Who holds the lock owns them.
static ABANDONED: Mutex<Vec<&'static Heap>> = Mutex::new(Vec::new());

thread_local! {
    /// This thread's heap, or null. Without a destructor, so that reading it is one instruction, also late in a
    /// thread's end.
    static MINE: Cell<*const Heap> = const { Cell::new(ptr::null()) };

    /// Notices the end of a thread that has a heap.
    static LEAVING: Leaving = const { Leaving };
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        // SAFETY: heaps are never freed.
        if let Some(heap) = unsafe { MINE.replace(ptr::null()).as_ref() } {
            abandon(heap);
        }
    }
}

/// This thread's heap, if it has one already.
#[inline(always)]
pub(super) fn mine() -> Option<&'static Heap> {
    // SAFETY: heaps are never freed, and `MINE` is null or one of them.
    unsafe { MINE.get().as_ref() }
}

/// Runs `act` with this thread's heap, which it gets if it has none yet.
#[cold]
#[inline(never)]
pub(super) fn with_heap<R>(act: impl FnOnce(&'static Heap) -> R) -> R {
    if let Some(heap) = mine() {
        return act(heap);
    }
    let heap = adopt();
    if LEAVING.try_with(|_| ()).is_ok() {
        MINE.set(heap);
        return act(heap);
    }
    // The thread is past the point at which it would notice its own end: it only borrows.
    let result = act(heap);
    abandon(heap);
    result
}

/// An abandoned heap, or a new one.
fn adopt() -> &'static Heap {
    ABANDONED.lock().pop().unwrap_or_else(create)
}

fn create() -> &'static Heap {
    let heap: &'static Heap = Box::leak(Box::new(Heap::new(COUNT.fetch_add(1, Ordering::Relaxed))));
    let mut first = ALL.load(Ordering::Relaxed);
    loop {
        heap.next.store(first, Ordering::Relaxed);
        match ALL.compare_exchange_weak(first, ptr::from_ref(heap).cast_mut(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return heap,
            Err(now) => first = now,
        }
    }
}

fn abandon(heap: &'static Heap) {
    heap.clear_out();
    ABANDONED.lock().push(heap);
}

/// The sum of a figure over all heaps, as a two's complement of which transient negatives count as zero.
pub(super) fn sum(figure: impl Fn(&Heap) -> u64) -> u64 {
    let mut total = 0_u64;
    let mut at = ALL.load(Ordering::Acquire);
    // SAFETY: heaps are never freed; what is read of them is meant for all threads.
    while let Some(heap) = unsafe { at.as_ref() } {
        total = total.wrapping_add(figure(heap));
        at = heap.next.load(Ordering::Relaxed);
    }
    // A block may be seen as freed by one thread before it is seen as taken by the other.
    if total.cast_signed() < 0 { 0 } else { total }
}

/// Trims this thread's heap and the abandoned ones now, and has all others trimmed when their threads next look.
pub(super) fn trim() {
    TRIM.fetch_add(1, Ordering::Relaxed);
    with_heap(Heap::trim);
    // Trimming one abandoned heap may free what another one waits for, but only towards heaps that have a thread:
    // they delivered everything when they were abandoned.
    for heap in ABANDONED.lock().iter() {
        heap.trim();
    }
}

/// Gives this thread, which must not have a heap yet, a new one, so that a test knows what is in it.
#[cfg(test)]
pub(super) fn start_anew() {
    assert!(mine().is_none(), "the thread has a heap");
    MINE.set(create());
    LEAVING.with(|_| ());
}
