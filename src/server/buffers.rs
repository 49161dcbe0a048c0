//! Reply buffers that the connections of one worker take turns with.

use std::cell::{Cell, RefCell};

/// Bytes of a fresh buffer.
const FRESH: usize = 16 * 1024;
/// Bytes above which a buffer is not kept: one that a large reply stretched is given back to the allocator.
const KEPT_EACH: usize = 1 << 20;
/// Bytes of all buffers that one worker keeps at most, and where memory is limited this part of the limit.
const KEPT_ALL: usize = 4 << 20;
const KEPT_PART: u64 = 256;

/// A stack of empty buffers. The one that was used last is used next, while the CPU still caches it, and a connection
/// that waits for its client owns none.
#[derive(Debug)]
pub(super) struct Buffers {
    idle: RefCell<Vec<Vec<u8>>>,
    bytes: Cell<usize>,
    kept: Cell<usize>,
    /// The fewest that were idle since the last [`Buffers::tidy`]: so many nobody needed.
    unused: Cell<usize>,
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers { idle: RefCell::default(), bytes: Cell::new(0), kept: Cell::new(KEPT_ALL), unused: Cell::new(0) }
    }
}

impl Buffers {
    /// An empty buffer.
    #[inline]
    pub(super) fn take(&self) -> Vec<u8> {
        let mut idle = self.idle.borrow_mut();
        match idle.pop() {
            Some(buffer) => {
                self.unused.set(self.unused.get().min(idle.len()));
                self.bytes.set(self.bytes.get() - buffer.capacity());
                buffer
            }
            None => Vec::with_capacity(FRESH),
        }
    }

    /// Takes a buffer back.
    #[inline]
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        let bytes = self.bytes.get() + buffer.capacity();
        if buffer.capacity() > KEPT_EACH || bytes > self.kept.get() {
            return;
        }
        buffer.clear();
        self.bytes.set(bytes);
        self.idle.borrow_mut().push(buffer);
    }

    /// Keeps no more than `maxmemory` (0: no limit) allows for. To be called as soon as that changes: what is kept here counts as
    /// used, and would have keys evicted.
    pub(super) fn bound(&self, maxmemory: u64) {
        let part = usize::try_from(maxmemory / KEPT_PART).unwrap_or(KEPT_ALL).max(FRESH);
        self.kept.set(if maxmemory == 0 { KEPT_ALL } else { part.min(KEPT_ALL) });
        let mut bytes = self.bytes.get();
        // The one on top is the next to be used, and the last to go.
        let over = |buffer: &&Vec<u8>| {
            let over = bytes > self.kept.get();
            bytes -= if over { buffer.capacity() } else { 0 };
            over
        };
        let gone = self.idle.borrow().iter().take_while(over).count();
        self.drop_first(gone);
        self.unused.set(self.unused.get().saturating_sub(gone));
    }

    /// Frees the buffers that nobody needed since this was last called. To be called once a second.
    pub(super) fn tidy(&self) {
        self.drop_first(self.unused.get());
        self.unused.set(self.idle.borrow().len());
    }

    fn drop_first(&self, count: usize) {
        let mut idle = self.idle.borrow_mut();
        let count = count.min(idle.len());
        idle.drain(..count);
        self.bytes.set(idle.iter().map(Vec::capacity).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_reused_and_bounded() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(&[1; 100_000]);
        let place = buffer.as_ptr();
        buffers.give(buffer);
        let buffer = buffers.take();
        assert!(buffer.is_empty() && buffer.as_ptr() == place);
        buffers.give(Vec::with_capacity(KEPT_EACH + 1));
        assert_eq!(buffers.bytes.get(), 0);
        for _ in 0..10 {
            buffers.give(Vec::with_capacity(KEPT_EACH));
        }
        assert_eq!(buffers.bytes.get(), KEPT_ALL);
    }

    #[test]
    fn what_nobody_needed_is_freed() {
        let buffers = Buffers::default();
        let idle = || buffers.idle.borrow().len();
        let busy: Vec<_> = (0..10).map(|_| buffers.take()).collect();
        busy.into_iter().for_each(|buffer| buffers.give(buffer));
        // All ten were needed at a time.
        buffers.tidy();
        assert_eq!((idle(), buffers.bytes.get()), (10, 10 * FRESH));
        let busy: Vec<_> = (0..3).map(|_| buffers.take()).collect();
        busy.into_iter().for_each(|buffer| buffers.give(buffer));
        buffers.tidy();
        assert_eq!((idle(), buffers.bytes.get()), (3, 3 * FRESH));
        let busy: Vec<_> = (0..3).map(|_| buffers.take()).collect();
        busy.into_iter().for_each(|buffer| buffers.give(buffer));
        // Where little memory is allowed, little is kept.
        buffers.bound(KEPT_PART * 2 * FRESH as u64);
        buffers.give(Vec::with_capacity(1 << 19));
        assert_eq!((idle(), buffers.bytes.get()), (2, 2 * FRESH));
        // Both were needed before that.
        buffers.tidy();
        assert_eq!(idle(), 2);
        buffers.tidy();
        assert_eq!(idle(), 0);
    }
}
