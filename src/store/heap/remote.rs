//! Frees that cross threads: the stack on which other threads leave the blocks of a heap, and the batches in which they
//! carry them there.
//!
//! Pushing is a compare-and-swap; the owner takes everything with one swap. Because nobody ever pops a single element,
//! a block that comes back to the top between two looks (the ABA problem) does no harm.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A free block: its first word links it to the next one.
#[repr(C)]
pub(super) struct Block {
    pub(super) next: *mut Block,
}

/// The atomic word at the top of a [`Stack`], abstract so that a model checker can put its own in place.
pub(super) trait Top {
    /// Reads the top.
    fn load(&self, order: Ordering) -> *mut Block;
    /// Replaces the top and returns the one before.
    fn swap(&self, new: *mut Block, order: Ordering) -> *mut Block;
    /// Replaces the top if it is still `old`; may fail for no reason.
    fn exchange(
        &self,
        old: *mut Block,
        new: *mut Block,
        done: Ordering,
        failed: Ordering,
    ) -> Result<*mut Block, *mut Block>;
}

impl Top for AtomicPtr<Block> {
    #[inline]
    fn load(&self, order: Ordering) -> *mut Block {
        AtomicPtr::load(self, order)
    }
    #[inline]
    fn swap(&self, new: *mut Block, order: Ordering) -> *mut Block {
        AtomicPtr::swap(self, new, order)
    }
    #[inline]
    fn exchange(
        &self,
        old: *mut Block,
        new: *mut Block,
        done: Ordering,
        failed: Ordering,
    ) -> Result<*mut Block, *mut Block> {
        self.compare_exchange_weak(old, new, done, failed)
    }
}

/// Blocks that other threads have freed, waiting for their owner. On a cache line of its own, since all threads write it.
#[repr(align(128))]
pub(super) struct Stack<T = AtomicPtr<Block>> {
    top: T,
}

impl<T: Top> Stack<T> {
    /// A stack whose top is `top`, which must be null.
    pub(super) fn new(top: T) -> Self {
        Self { top }
    }

    /// Pushes the chain from `first` to `last`.
    ///
    /// # Safety
    /// The caller owns every block of the chain and gives it up; each links to the next, up to `last`.
    pub(super) unsafe fn push(&self, first: *mut Block, last: *mut Block) {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            // SAFETY: the chain is the caller's until the exchange below succeeds.
            unsafe { (*last).next = top };
            // Release: whoever takes the chain sees its links and everything done to the blocks before.
            match self.top.exchange(top, first, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    /// Takes everything, newest first, as a chain that ends in null. Null if there is nothing.
    #[inline]
    pub(super) fn take(&self) -> *mut Block {
        // The look before the swap keeps an empty stack's cache line shared.
        if self.top.load(Ordering::Relaxed).is_null() {
            return ptr::null_mut();
        }
        // Acquire: pairs with every push of the chain, as each push is a read-modify-write that continues the
        // release sequence of those below it.
        self.top.swap(ptr::null_mut(), Ordering::Acquire)
    }
}

/// Blocks on their way to the heap `O` that owns them: one exchange on the owner's contended line carries many.
pub(super) struct Batch<O> {
    owner: Cell<*const O>,
    first: Cell<*mut Block>,
    last: Cell<*mut Block>,
    count: Cell<u32>,
}

impl<O> Batch<O> {
    /// An empty batch for nobody.
    pub(super) const fn new() -> Self {
        Self {
            owner: Cell::new(ptr::null()),
            first: Cell::new(ptr::null_mut()),
            last: Cell::new(ptr::null_mut()),
            count: Cell::new(0),
        }
    }

    /// For whom the blocks are; any value if there are none.
    #[inline]
    pub(super) fn owner(&self) -> *const O {
        self.owner.get()
    }

    /// Says for whom the next blocks are; the batch must be empty.
    pub(super) fn address(&self, owner: *const O) {
        debug_assert!(self.first.get().is_null());
        self.owner.set(owner);
    }

    /// Adds a block and returns how many there are now.
    ///
    /// # Safety
    /// The caller owns the block and gives it up.
    #[inline]
    pub(super) unsafe fn add(&self, block: *mut Block) -> u32 {
        let first = self.first.replace(block);
        if first.is_null() {
            self.last.set(block);
        }
        // SAFETY: the block is the caller's, and holds at least the 8 bytes of a link.
        unsafe { (*block).next = first };
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// Takes the chain out: its first and last block; `None` if the batch is empty.
    pub(super) fn take(&self) -> Option<(*mut Block, *mut Block)> {
        let first = self.first.replace(ptr::null_mut());
        self.count.set(0);
        (!first.is_null()).then(|| (first, self.last.get()))
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicPtr as ModelPtr;

    impl Top for ModelPtr<Block> {
        fn load(&self, order: Ordering) -> *mut Block {
            ModelPtr::load(self, order)
        }
        fn swap(&self, new: *mut Block, order: Ordering) -> *mut Block {
            ModelPtr::swap(self, new, order)
        }
        fn exchange(
            &self,
            old: *mut Block,
            new: *mut Block,
            done: Ordering,
            failed: Ordering,
        ) -> Result<*mut Block, *mut Block> {
            self.compare_exchange_weak(old, new, done, failed)
        }
    }

    /// A block with contents whose accesses the model checks for races, as it does not see those of the link.
    #[repr(C)]
    struct Node {
        block: Block,
        contents: UnsafeCell<usize>,
    }

    fn node(number: usize) -> *mut Block {
        let node = Node { block: Block { next: ptr::null_mut() }, contents: UnsafeCell::new(0) };
        // The freeing thread's last write, which the owner has to see.
        // SAFETY: nobody else knows the node yet.
        node.contents.with_mut(|contents| unsafe { *contents = number });
        Box::into_raw(Box::new(node)).cast()
    }

    /// Walks a taken chain as the owner does: reads, overwrites and frees each block.
    fn consume(mut block: *mut Block, seen: &mut Vec<usize>) {
        while !block.is_null() {
            // SAFETY: a taken chain is the taker's; all blocks come from `node`.
            let node = unsafe { Box::from_raw(block.cast::<Node>()) };
            block = node.block.next;
            // SAFETY: as above; the model checker reports it if another thread could still be writing.
            node.contents.with_mut(|contents| unsafe {
                seen.push(*contents);
                *contents = usize::MAX;
            });
        }
    }

    #[test]
    fn every_block_reaches_its_owner_once() {
        loom::model(|| {
            let stack = Arc::new(Stack::new(ModelPtr::new(ptr::null_mut())));
            let threads = [1, 2_usize].map(|thread| {
                let stack = stack.clone();
                loom::thread::spawn(move || {
                    let batch = Batch::<u8>::new();
                    for number in 0..2 {
                        // SAFETY: the node was just made and is given up.
                        unsafe { batch.add(node(thread * 10 + number)) };
                    }
                    let (first, last) = batch.take().expect("two blocks were added");
                    // SAFETY: the chain was built above and is given up.
                    unsafe { stack.push(first, last) };
                    let single = node(thread * 10 + 2);
                    // SAFETY: as above, a chain of one.
                    unsafe { stack.push(single, single) };
                })
            });
            let mut seen = Vec::new();
            // The owner drains while the others push, and once more when they are done.
            consume(stack.take(), &mut seen);
            for thread in threads {
                thread.join().expect("no thread panics");
            }
            consume(stack.take(), &mut seen);
            for thread in [1, 2_usize] {
                let place = |number| seen.iter().position(|at| *at == thread * 10 + number).expect("no block is lost");
                assert!(place(1) < place(0), "a chain stays in its order, newest first");
            }
            seen.sort_unstable();
            assert_eq!(seen, [10, 11, 12, 20, 21, 22]);
            assert!(stack.take().is_null());
        });
    }
}
