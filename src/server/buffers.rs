//! Reply buffers that the connections of one worker take turns with.

use std::cell::{Cell, RefCell};

/// Bytes of a fresh buffer.
const FRESH: usize = 16 * 1024;
/// Bytes above which a buffer is not kept: one that a large reply stretched is given back to the allocator.
const KEPT_EACH: usize = 1 << 20;
/// Bytes of all buffers that one worker keeps.
const KEPT_ALL: usize = 4 << 20;

/// A stack of empty buffers. The one that was used last is used next, while the CPU still caches it, and a connection
/// that waits for its client owns none.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    idle: RefCell<Vec<Vec<u8>>>,
    bytes: Cell<usize>,
}

impl Buffers {
    /// An empty buffer.
    #[inline]
    pub(super) fn take(&self) -> Vec<u8> {
        match self.idle.borrow_mut().pop() {
            Some(buffer) => {
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
        if buffer.capacity() > KEPT_EACH || bytes > KEPT_ALL {
            return;
        }
        buffer.clear();
        self.bytes.set(bytes);
        self.idle.borrow_mut().push(buffer);
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
}
