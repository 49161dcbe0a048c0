//! A large argument on its way in.
//!
//! A value of hundreds of megabytes must not pass through the receive buffer, where it would lie
//! once more and be copied once more. It is received into its own buffer, which then becomes the
//! argument and, if the command wants it, the stored value.
//!
//! The client only promises the length; memory follows what has arrived. The buffer grows fourfold
//! with each step, from 16 KiB on, and takes its exact final size as soon as a quarter of the
//! payload is there. So the last growth copies at most a quarter, and old and new buffer together
//! never hold more touched memory than the payload is long.

/// Bytes from which on an argument that is not yet wholly in the receive buffer gets its own memory
/// (Redis draws the line at the same length).
pub const BIG: usize = 32 * 1024;

/// Bytes of the first buffer: what a client gets for a mere promise.
const FIRST_ROOM: usize = 16 * 1024;

/// A big argument's payload while it is received.
#[derive(Debug, Default)]
pub struct Big {
    data: Vec<u8>,
    len: usize,
}

impl Big {
    /// A payload of `len` bytes of which nothing has arrived. Takes no memory.
    pub(crate) fn new(len: usize) -> Self {
        Self { data: Vec::new(), len }
    }

    /// The bytes that have not arrived yet.
    pub fn missing(&self) -> usize {
        self.len - self.data.len().min(self.len)
    }

    /// Appends what arrived elsewhere, and returns how many bytes belonged to the payload; the rest
    /// follows it on the wire.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && self.missing() > 0 {
            self.grow();
            let room = (self.data.capacity() - self.data.len()).min(self.missing());
            let part = &bytes[taken..bytes.len().min(taken + room)];
            self.data.extend_from_slice(part);
            taken += part.len();
        }
        taken
    }

    /// Hands out the buffer to receive into, and the number of bytes that may be appended to it
    /// without growing it (0 only when nothing is missing). Reading more than that would take bytes
    /// of what follows the payload. Give it back with [`Big::restore`].
    pub fn lend(&mut self) -> (Vec<u8>, usize) {
        self.grow();
        let room = (self.data.capacity() - self.data.len()).min(self.missing());
        (std::mem::take(&mut self.data), room)
    }

    /// Takes back the buffer of [`Big::lend`] with the received bytes appended. Returns whether the
    /// payload is complete.
    pub fn restore(&mut self, data: Vec<u8>) -> bool {
        debug_assert!(data.len() <= self.len, "the reader went past the payload");
        self.data = data;
        self.missing() == 0
    }

    /// The complete payload.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.data
    }

    /// Makes room for at least one byte, unless nothing is missing.
    fn grow(&mut self) {
        let (have, capacity) = (self.data.len(), self.data.capacity());
        if have < capacity || self.missing() == 0 {
            return;
        }
        let next = capacity.saturating_mul(4).max(FIRST_ROOM);
        let next = if next >= self.len { self.len } else { next };
        self.data.reserve_exact(next - have);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_takes_no_memory() {
        let mut big = Big::new(512 << 20);
        assert_eq!(big.data.capacity(), 0);
        assert_eq!(big.missing(), 512 << 20);
        let (buffer, room) = big.lend();
        assert_eq!((buffer.capacity(), room), (FIRST_ROOM, FIRST_ROOM));
    }

    #[test]
    fn memory_follows_what_arrived_and_ends_exact() {
        let len = 9_000_001;
        let mut big = Big::new(len);
        let mut arrived = 0;
        while big.missing() > 0 {
            let (mut buffer, room) = big.lend();
            let part = room.min(10_007);
            buffer.resize(buffer.len() + part, 7);
            arrived += part;
            let capacity = buffer.capacity();
            assert!(capacity <= FIRST_ROOM.max(4 * arrived).min(len), "{capacity} bytes for {arrived}");
            assert_eq!(big.restore(buffer), arrived == len);
        }
        let data = big.finish();
        assert_eq!((data.len(), data.capacity()), (len, len));
    }

    #[test]
    fn what_follows_the_payload_is_left_alone() {
        let mut big = Big::new(40_000);
        assert_eq!(big.extend(&[1; 39_999]), 39_999);
        assert_eq!(big.extend(&[2; 10]), 1);
        assert_eq!(big.extend(&[3; 10]), 0);
        assert_eq!(big.lend().1, 0);
    }
}
