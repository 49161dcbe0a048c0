//! Tests of the heap as threads use it. Figures are read from the heaps of the threads that take part, because tests of
//! other modules allocate in the same process at the same time; `tests/heap.rs` checks the process-wide ones.

use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::mpsc;
use std::thread;

use super::class::{CLASSES, UNIT, size_of_class, units_for};
use super::slab::CHUNK;
use super::*;

/// Repetitions: fewer under an interpreter.
const fn times(natively: usize, interpreted: usize) -> usize {
    if cfg!(miri) { interpreted } else { natively }
}

/// A small xorshift generator: tests repeat exactly.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    /// A size as records have it: mostly small, sometimes large.
    fn size(&mut self) -> usize {
        match self.next(20) {
            0 => self.next(3 * MAX_SMALL),
            1..4 => self.next(2048),
            _ => self.next(300),
        }
    }
}

/// A block in use, filled with a pattern of its own; it may travel between threads.
struct Held {
    block: NonNull<u8>,
    bytes: usize,
    seed: u8,
}

// SAFETY: a block may be used and freed by any thread.
unsafe impl Send for Held {}

impl Held {
    fn new(bytes: usize, seed: u8) -> Self {
        let block = alloc(bytes);
        assert_eq!(block.addr().get() % ALIGN, 0);
        // SAFETY: the block has this many bytes, all ours.
        unsafe { block.as_ptr().write_bytes(seed, bytes) };
        Self { block, bytes, seed }
    }

    /// Checks that nobody wrote into the block, and frees it.
    fn end(self) {
        // SAFETY: the block has this many bytes, which `new` wrote.
        let contents = unsafe { std::slice::from_raw_parts(self.block.as_ptr(), self.bytes) };
        assert!(contents.iter().all(|byte| *byte == self.seed), "somebody wrote into a block of {} bytes", self.bytes);
        // SAFETY: the block is ours, and is not used again.
        unsafe { free(self.block, self.bytes) };
    }
}

/// What the model says that a block takes, from the classes rather than from `class_size`.
fn modelled(bytes: usize) -> u64 {
    let small = (1..CLASSES).map(size_of_class).find(|size| *size >= bytes);
    small.unwrap_or_else(|| class_size(bytes)) as u64
}

/// This thread's figure: bytes taken less bytes given, in two's complement.
fn net() -> u64 {
    registry::with_heap(owner::Heap::net)
}

fn chunks() -> usize {
    registry::with_heap(|heap| heap.ground.chunks())
}

/// Runs a test in a thread with a heap that no other test had, so that counts of chunks are its own.
fn with_new_heap(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            registry::start_anew();
            test();
        });
    });
}

#[test]
fn random_use_keeps_blocks_apart_and_counts_exactly() {
    with_new_heap(|| {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let (mut held, mut model) = (Vec::<Held>::new(), 0);
        for step in 0..times(400_000, 1500) {
            // Grows, shrinks and grows again.
            let growing = (step / times(50_000, 300)).is_multiple_of(2);
            if held.is_empty() || random.next(10) < if growing { 7 } else { 3 } {
                let bytes = random.size();
                held.push(Held::new(bytes, step as u8));
                model += modelled(bytes);
            } else {
                let gone = held.swap_remove(random.next(held.len()));
                model -= modelled(gone.bytes);
                gone.end();
            }
            assert_eq!(net(), model);
        }
        let mut ranges: Vec<_> = held.iter().map(|held| (held.block.addr().get(), class_size(held.bytes))).collect();
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "blocks overlap");
        held.into_iter().for_each(Held::end);
        assert_eq!(net(), 0);
        registry::with_heap(owner::Heap::trim);
        assert_eq!(chunks(), 0, "with nothing in use nothing is kept");
    });
}

#[test]
fn every_class_fills_a_slab_and_empties_it() {
    with_new_heap(|| {
        for class in 1..CLASSES {
            let size = size_of_class(class);
            let count = if cfg!(miri) { 3 } else { units_for(size) * UNIT / size + 1 };
            let held: Vec<_> = (0..count).map(|number| Held::new(size, (class + number) as u8)).collect();
            let places: HashSet<_> =
                held.iter().map(|held| held.block.addr().get() / (units_for(size) * UNIT)).collect();
            assert!(cfg!(miri) || places.len() >= 2, "one block more than a slab holds is in another slab");
            held.into_iter().for_each(Held::end);
        }
        assert_eq!(net(), 0);
    });
}

#[test]
fn a_freed_block_is_the_next_one() {
    with_new_heap(|| {
        let first = Held::new(56, 1);
        let place = first.block.addr();
        let _other = Held::new(56, 2);
        first.end();
        let again = Held::new(50, 3);
        assert_eq!(again.block.addr(), place, "the warm block is preferred to fresh memory");
        again.end();
        _other.end();
    });
}

#[test]
fn what_lies_in_a_chunk_stays_when_it_becomes_a_huge_page() {
    set_huge_pages(true);
    with_new_heap(|| {
        let blocks = if cfg!(miri) { 1000 } else { 60_000 };
        let mut held: Vec<_> = (0..blocks).map(|number| Held::new(100, number as u8)).collect();
        // Some go, so that a part of what is huge is given back and taken again.
        for round in 0..3 {
            held.drain(..blocks / 2).for_each(Held::end);
            trim();
            held.extend((0..blocks / 2).map(|number| Held::new(90, (number + round) as u8)));
        }
        held.into_iter().for_each(Held::end);
    });
}

#[test]
fn a_replaced_block_stays_with_the_thread_that_freed_it() {
    with_new_heap(|| {
        let held = Held::new(56, 1);
        let place = held.block.addr();
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                registry::start_anew();
                held.end();
                let again = Held::new(56, 2);
                assert_eq!(again.block.addr(), place, "no travel for a block that is needed here");
                again.end();
            });
            // Joining waits for the thread's destructors too, which the end of the scope does not.
            other.join().expect("the other thread only replaces");
        });
        // That thread has ended, so the block was sent home.
        registry::with_heap(owner::Heap::trim);
        assert_eq!(chunks(), 0);
    });
}

#[test]
fn empty_blocks_have_addresses() {
    let (one, two) = (Held::new(0, 0), Held::new(0, 0));
    assert_ne!(one.block, two.block);
    one.end();
    two.end();
}

#[test]
fn impossible_sizes_are_refused() {
    assert!(try_alloc(usize::MAX).is_none());
    assert!(try_alloc(isize::MAX as usize + 1).is_none());
}

#[test]
#[cfg_attr(miri, ignore = "takes more memory than the interpreter should")]
fn empty_chunks_go_back() {
    with_new_heap(|| {
        let held: Vec<_> = (0..10 * CHUNK / 280).map(|number| Held::new(280, number as u8)).collect();
        let full = chunks();
        assert!((10..=11).contains(&full), "280-byte blocks take what they are said to take, not {full} chunks");
        // Half of them, evenly: every slab has room, none is empty.
        let (keep, drop): (Vec<_>, Vec<_>) = held.into_iter().enumerate().partition(|(number, _)| number % 2 == 0);
        drop.into_iter().for_each(|(_, held)| held.end());
        assert_eq!(chunks(), full);
        // The room serves the same class before any new chunk does.
        let refill: Vec<_> = (0..5 * CHUNK / 280 - 300).map(|number| Held::new(280, number as u8)).collect();
        assert_eq!(chunks(), full, "holes are filled first");
        refill.into_iter().for_each(Held::end);
        keep.into_iter().for_each(|(_, held)| held.end());
        assert!(chunks() <= 3, "a spare one, the slab that serves and the magazine, but {} are there", chunks());
        // What is left serves another class.
        let other: Vec<_> = (0..CHUNK / 2 / 1000).map(|number| Held::new(1000, number as u8)).collect();
        assert!(chunks() <= 3, "units are not bound to a class");
        registry::with_heap(owner::Heap::trim);
        assert_eq!(chunks(), 1);
        other.into_iter().for_each(Held::end);
        registry::with_heap(owner::Heap::trim);
        assert_eq!(chunks(), 0);
    });
}

#[test]
fn purged_units_serve_again() {
    with_new_heap(|| {
        let keep = Held::new(40, 7);
        for round in 0..3 {
            let held: Vec<_> = (0..times(4000, 70)).map(|number| Held::new(1000, (number + round) as u8)).collect();
            held.into_iter().for_each(Held::end);
            registry::with_heap(owner::Heap::trim);
            assert_eq!(chunks(), 1);
        }
        keep.end();
    });
}

#[test]
fn blocks_freed_elsewhere_come_home() {
    with_new_heap(|| {
        let (count, rounds) = (times(20_000, 200), times(20, 3));
        for round in 0..rounds {
            let held: Vec<_> = (0..count).map(|number| Held::new(56, (number + round) as u8)).collect();
            let given = thread::scope(|scope| {
                let other = scope.spawn(|| {
                    let before = net();
                    held.into_iter().for_each(Held::end);
                    before.wrapping_sub(net())
                });
                other.join().expect("the other thread only frees")
            });
            assert_eq!(given, (count * 56) as u64, "who frees counts");
            while tend() {}
        }
        assert_eq!(net(), (count * rounds * 56) as u64, "who allocates counts");
        // None where another test has asked all heaps to trim.
        assert!(chunks() <= 1, "each round used the memory of the one before");
        registry::with_heap(owner::Heap::trim);
        assert_eq!(chunks(), 0, "all blocks came home");
    });
}

#[test]
fn a_storm_of_frees_across_threads() {
    const THREADS: usize = 4;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel::<Held>()).unzip();
    let total = thread::scope(|scope| {
        let mut workers = Vec::new();
        for (number, inbox) in receivers.into_iter().enumerate() {
            let senders = senders.clone();
            workers.push(scope.spawn(move || {
                registry::start_anew();
                let mut random = Random(number as u64 + 1);
                let mut held = Vec::<Held>::new();
                for step in 0..times(60_000, 250) {
                    held.push(Held::new(random.size(), step as u8));
                    // Some stay, some are freed here, most travel and are freed or kept there.
                    if held.len() > times(500, 40) {
                        let gone = held.swap_remove(random.next(held.len()));
                        match random.next(4) {
                            0 => gone.end(),
                            _ => senders[random.next(THREADS)].send(gone).expect("receivers outlive senders"),
                        }
                    }
                    inbox.try_iter().take(2).for_each(|arrived| match random.next(8) {
                        0 => held.push(arrived),
                        _ => arrived.end(),
                    });
                    if step % 4096 == 0 {
                        trim();
                    }
                }
                drop(senders);
                held.into_iter().for_each(Held::end);
                inbox.into_iter().for_each(Held::end);
                net()
            }));
        }
        drop(senders);
        workers.into_iter().map(|worker| worker.join().expect("no worker panics")).fold(0, u64::wrapping_add)
    });
    assert_eq!(total, 0, "all that was taken was given");
}

#[test]
fn threads_free_in_their_last_moments() {
    struct Late(Option<Held>);
    impl Drop for Late {
        fn drop(&mut self) {
            if let Some(held) = self.0.take() {
                held.end();
                Held::new(100, 9).end();
            }
        }
    }
    thread_local! {
        static LATE: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(None)) };
    }
    // Destructors run in the order of first use or its reverse: both orders are tried.
    for late_first in [true, false] {
        let worker = thread::spawn(move || {
            if late_first {
                LATE.with(|late| late.borrow_mut().0 = None);
            }
            let held = Held::new(100, 8);
            LATE.with(|late| late.borrow_mut().0 = Some(held));
        });
        worker.join().expect("a thread's end is no error");
    }
}
