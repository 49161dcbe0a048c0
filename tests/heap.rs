//! The heap's figures for the whole process. One test, in a process of its own: nobody else may allocate meanwhile.

use std::ptr::NonNull;
use std::thread;

use roster::store::heap::{self, class_size};

const CHUNK: u64 = 2 << 20;

/// The address of a block, which may travel between threads.
#[derive(Clone, Copy)]
struct Block(NonNull<u8>, usize);

// SAFETY: blocks may be used and freed by any thread.
unsafe impl Send for Block {}

impl Block {
    fn new(bytes: usize) -> Self {
        let block = heap::alloc(bytes);
        // SAFETY: the block has this many bytes.
        unsafe { block.as_ptr().write_bytes(0xA5, bytes) };
        Self(block, bytes)
    }

    fn end(self) {
        // SAFETY: callers end each block once, and do not use it afterwards.
        unsafe { heap::free(self.0, self.1) };
    }
}

/// Bytes that this process has in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4096
}

#[test]
fn figures_are_exact_and_memory_goes_back() {
    assert_eq!((heap::used(), heap::reserved()), (0, 0));

    // Threads that follow one another adopt each other's heap: one chunk serves them all.
    let left: Vec<Block> =
        (0..50).map(|_| thread::spawn(|| Block::new(72)).join().expect("a thread that allocates one block")).collect();
    assert_eq!((heap::used(), heap::reserved()), (50 * 72, CHUNK));
    // Their blocks are freed here, by a thread that has another heap; trimming sorts them into the abandoned one.
    left.into_iter().for_each(Block::end);
    assert_eq!(heap::used(), 0);
    assert_eq!(heap::reserved(), CHUNK);
    heap::trim();
    assert_eq!(heap::reserved(), 0);

    // Large blocks count by the general allocator's class.
    let large = Block::new(100_000);
    assert_eq!((heap::used(), heap::reserved()), (102_400, 102_400));
    large.end();
    assert_eq!((heap::used(), heap::reserved()), (0, 0));

    // Small data touches little: a chunk is mapped, but only what blocks take is in memory.
    let before = resident();
    let few: Vec<Block> = (0..1000).map(|_| Block::new(56)).collect();
    assert_eq!(heap::reserved(), CHUNK);
    assert!(resident() - before < 512 << 10, "1000 records of 56 bytes took {} bytes", resident() - before);
    few.into_iter().for_each(Block::end);

    // A million records on four threads take what accounting says, and 2 % more.
    let before = resident();
    let threads: Vec<_> =
        (0..4).map(|_| thread::spawn(|| (0..250_000).map(|_| Block::new(56)).collect::<Vec<_>>())).collect();
    let records: Vec<Block> =
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread that allocates")).collect();
    assert_eq!(heap::used(), 1_000_000 * class_size(56) as u64);
    let vectors = (records.capacity() * size_of::<Block>()) as u64;
    let taken = resident().saturating_sub(before).saturating_sub(vectors);
    println!("a million records of 56 bytes: used {}, reserved {}, resident {taken}", heap::used(), heap::reserved());
    assert!(heap::reserved() - heap::used() < 5 * CHUNK, "each thread has at most one chunk that is not full");
    records.into_iter().for_each(Block::end);
    assert_eq!(heap::used(), 0);
    heap::trim();
    assert_eq!(heap::reserved(), 0);
    assert!(resident() < before + (24 << 20), "memory went back to the system");
}
