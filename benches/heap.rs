//! The record heap against jemalloc, called directly: what a SET of a small key pays for memory.

#![allow(missing_docs, reason = "criterion's macro makes a public function without any")]

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use nix::time::{ClockId, clock_gettime};
use roster::store::heap;
use tikv_jemallocator::Jemalloc;

/// Takes a block.
type Take = fn(usize) -> NonNull<u8>;
/// Gives a block back.
type Give = fn(NonNull<u8>, usize);

#[inline(always)]
fn heap_give(block: NonNull<u8>, bytes: usize) {
    // SAFETY: the benchmarks give each block back once, with its size.
    unsafe { heap::free(block, bytes) }
}

#[inline(always)]
fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("sizes are small")
}

#[inline(always)]
fn jemalloc_take(bytes: usize) -> NonNull<u8> {
    // SAFETY: the size is above zero.
    NonNull::new(unsafe { Jemalloc.alloc(layout(bytes)) }).expect("there is memory")
}

#[inline(always)]
fn jemalloc_give(block: NonNull<u8>, bytes: usize) {
    // SAFETY: as in `heap_give`.
    unsafe { Jemalloc.dealloc(block.as_ptr(), layout(bytes)) }
}

/// The processor time that `work` takes on `clock`: unlike the time on the wall, it does not count other processes.
fn timed(clock: ClockId, work: impl FnOnce()) -> Duration {
    let before = clock_gettime(clock).expect("Linux has the clock");
    work();
    Duration::from(clock_gettime(clock).expect("Linux has the clock")) - Duration::from(before)
}

/// Times `rounds` runs of `work` by the thread's clock.
fn repeat(rounds: u64, mut work: impl FnMut()) -> Duration {
    timed(ClockId::CLOCK_THREAD_CPUTIME_ID, || (0..rounds).for_each(|_| work()))
}

/// A small xorshift generator.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

/// Writes the record's header and the first word of its key, as a SET would.
#[inline(always)]
fn write(block: NonNull<u8>) {
    // SAFETY: blocks have at least 16 bytes and are 8-byte aligned.
    unsafe { block.cast::<[u64; 2]>().write([1, 2]) }
}

/// Reads the first `bytes` of a record, a whole number of words.
#[inline(always)]
fn read(block: NonNull<u8>, bytes: usize) -> u64 {
    let words = block.cast::<u64>();
    // SAFETY: records have at least 56 bytes, and callers ask for no more than the record has.
    (0..bytes / 8).map(|word| unsafe { words.add(word).read() }).fold(0, u64::wrapping_add)
}

/// All measurements for one allocator. Generic over function items, so that calls are inlined as in the server.
fn measure(
    c: &mut Criterion,
    name: &str,
    take: impl Fn(usize) -> NonNull<u8> + Copy,
    give: impl Fn(NonNull<u8>, usize) + Copy,
) {
    for bytes in [56, 280] {
        c.bench_function(&format!("{name}/pair/{bytes}"), |b| {
            b.iter_custom(|rounds| {
                repeat(rounds, || {
                    let block = take(black_box(bytes));
                    write(block);
                    give(black_box(block), bytes);
                })
            });
        });
        c.bench_function(&format!("{name}/thousand/{bytes}"), |b| {
            let mut blocks = Vec::with_capacity(1000);
            b.iter_custom(|rounds| {
                repeat(rounds.div_ceil(1000), || {
                    blocks.extend((0..1000).map(|_| take(black_box(bytes))).inspect(|block| write(*block)));
                    blocks.drain(..).for_each(|block| give(block, bytes));
                })
            });
        });
        let mut records: Vec<_> = (0..1_000_000).map(|_| take(bytes)).inspect(|block| write(*block)).collect();
        let mut state = 0x2545_F491_4F6C_DD1D;
        // A SET that replaces one of a million records: find the old one, take the new one, give the old one back.
        c.bench_function(&format!("{name}/replace-of-1M/{bytes}"), |b| {
            b.iter_custom(|rounds| {
                repeat(rounds, || {
                    let place = random(&mut state) % records.len();
                    black_box(read(records[place], 24));
                    let block = take(black_box(bytes));
                    write(block);
                    give(std::mem::replace(&mut records[place], block), bytes);
                })
            });
        });
        // A GET of a random record: reads all of it. What the allocator does for it is placement only.
        c.bench_function(&format!("{name}/read-of-1M/{bytes}"), |b| {
            b.iter_custom(|rounds| {
                repeat(rounds, || {
                    black_box(read(records[random(&mut state) % records.len()], bytes));
                })
            });
        });
        records.into_iter().for_each(|block| give(block, bytes));
    }
}

/// Blocks that one thread takes and another gives: the processor time of both for each block.
fn across(c: &mut Criterion, name: &str, take: Take, give: Give) {
    c.bench_function(&format!("{name}/across/56"), |b| {
        b.iter_custom(|rounds| {
            let (sender, receiver) = mpsc::sync_channel::<Vec<usize>>(16);
            let other = thread::spawn(move || {
                for block in receiver.into_iter().flatten() {
                    give(
                        NonNull::new(std::ptr::with_exposed_provenance_mut(block)).expect("an address that was sent"),
                        56,
                    );
                }
            });
            timed(ClockId::CLOCK_PROCESS_CPUTIME_ID, || {
                for _ in 0..rounds.div_ceil(1000) {
                    let blocks = (0..1000).map(|_| take(56)).inspect(|block| write(*block));
                    sender
                        .send(blocks.map(|block| block.as_ptr().expose_provenance()).collect())
                        .expect("the other receives");
                }
                drop(sender);
                other.join().expect("the other only frees");
            })
        });
    });
}

fn all(c: &mut Criterion) {
    heap::set_huge_pages(std::env::var_os("HUGE").is_some());
    measure(c, "heap", heap::alloc, heap_give);
    measure(c, "jemalloc", jemalloc_take, jemalloc_give);
    across(c, "heap", heap::alloc, heap_give);
    across(c, "jemalloc", jemalloc_take, jemalloc_give);
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = all
}
criterion_main!(benches);
