//! Bytes that grow: in an allocation of their own, or lent in place by whoever keeps a small collection inside something
//! larger (a record of the keyspace).
//!
//! A collection is the same code over both. Lent bytes are read and changed where they are; when they outgrow their room
//! they move to an allocation, which the lender sees by [`Buffer::is_lent`] and takes over as it sees fit.

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;

use super::memory::malloc_size;

/// The mark of lent bytes, in the word of the capacity.
const LENT: u32 = 1 << 31;

/// A growable array of at most 2 GiB, in 16 bytes.
pub struct Buffer {
    ptr: NonNull<u8>,
    len: u32,
    /// Bytes of the allocation or of the room that was lent, which [`LENT`] tells apart.
    capacity: u32,
}

// SAFETY: a buffer owns its bytes or, lent, is the only one to use them for as long as it lives, as `lent` demands.
unsafe impl Send for Buffer {}
// SAFETY: as above; a shared buffer is only read.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// The most bytes that a buffer holds.
    pub const MOST: usize = LENT as usize - 1;

    /// An empty buffer. Allocates nothing.
    pub const fn new() -> Self {
        Buffer { ptr: NonNull::dangling(), len: 0, capacity: 0 }
    }

    /// An empty buffer with room for so many bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Vec::with_capacity(capacity).into()
    }

    /// A buffer over bytes that are somebody else's, the first `len` of `capacity` of them in use.
    ///
    /// # Safety
    /// The bytes are initialised, and live and stay in place as long as the buffer, which must not be moved to where it
    /// could outlive them. Nobody else changes them meanwhile, nor reads them unless the buffer is not changed.
    pub(crate) unsafe fn lent(ptr: NonNull<u8>, len: usize, capacity: usize) -> Self {
        debug_assert!(len <= capacity && capacity <= Self::MOST);
        Buffer { ptr, len: len as u32, capacity: capacity as u32 | LENT }
    }

    /// Whether the bytes are somebody else's.
    #[inline]
    pub fn is_lent(&self) -> bool {
        self.capacity & LENT != 0
    }

    /// The buffer with bytes of its own, copied if they are somebody else's.
    pub fn into_owned(self) -> Self {
        if self.is_lent() { self.clone() } else { self }
    }

    /// Bytes that the buffer can hold without growing.
    #[inline]
    pub fn capacity(&self) -> usize {
        (self.capacity & !LENT) as usize
    }

    /// Bytes that the buffer owns, as the allocator counts them. O(1).
    pub fn memory(&self) -> usize {
        if self.is_lent() { 0 } else { malloc_size(self.capacity()) }
    }

    /// Takes room for exactly so many bytes in all, if there is less.
    pub fn grow_to(&mut self, capacity: usize) {
        if capacity > self.capacity() {
            self.reallocate(capacity);
        }
    }

    /// Gives back what is beyond `capacity` bytes, unless it is lent.
    pub fn shrink_to(&mut self, capacity: usize) {
        if !self.is_lent() {
            self.reallocate(capacity.max(self.len()));
        }
    }

    #[cold]
    fn reallocate(&mut self, capacity: usize) {
        if self.is_lent() {
            let mut own = Vec::with_capacity(capacity);
            own.extend_from_slice(self);
            *self = own.into();
            return;
        }
        let mut own = Vec::from(std::mem::take(self));
        if capacity > own.capacity() {
            own.reserve_exact(capacity - own.len());
        } else {
            own.shrink_to(capacity);
        }
        *self = own.into();
    }

    /// Changes the length; new bytes are zero.
    #[inline]
    pub fn resize(&mut self, len: usize) {
        self.grow_to(len);
        let old = self.len();
        if len > old {
            // SAFETY: there is room for `len` bytes, which nobody else uses.
            unsafe { self.ptr.as_ptr().add(old).write_bytes(0, len - old) };
        }
        self.len = len as u32;
    }

    /// Drops the bytes from `len` on.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Appends bytes.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let old = self.len();
        self.resize(old + bytes.len());
        self[old..].copy_from_slice(bytes);
    }

    /// Takes bytes out of the middle.
    pub fn cut(&mut self, range: Range<usize>) {
        let len = self.len();
        self.copy_within(range.end..len, range.start);
        self.truncate(len - range.len());
    }
}

impl From<Vec<u8>> for Buffer {
    /// Takes over the allocation. A vector is never larger than [`Buffer::MOST`] here: its makers check.
    fn from(vec: Vec<u8>) -> Self {
        assert!(vec.capacity() <= Buffer::MOST, "a collection's bytes are bounded before they are allocated");
        let mut vec = ManuallyDrop::new(vec);
        let ptr = NonNull::new(vec.as_mut_ptr()).unwrap_or(NonNull::dangling());
        Buffer { ptr, len: vec.len() as u32, capacity: vec.capacity() as u32 }
    }
}

impl From<Buffer> for Vec<u8> {
    fn from(buffer: Buffer) -> Self {
        if buffer.is_lent() {
            return buffer.to_vec();
        }
        let buffer = ManuallyDrop::new(buffer);
        // SAFETY: pointer, length and capacity are those of a vector, taken apart by `From<Vec<u8>>`, or of an empty one.
        unsafe { Vec::from_raw_parts(buffer.ptr.as_ptr(), buffer.len(), buffer.capacity()) }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if self.capacity != 0 && !self.is_lent() {
            // SAFETY: as in `From<Buffer>`; nobody uses the buffer any more.
            drop(unsafe { Vec::from_raw_parts(self.ptr.as_ptr(), 0, self.capacity()) });
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised, and borrowed as long as the buffer is.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len as usize) }
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the buffer is borrowed mutably, and nobody else uses lent bytes while that is so.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len as usize) }
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer::new()
    }
}

impl Clone for Buffer {
    /// A copy is never lent.
    fn clone(&self) -> Self {
        self.to_vec().into()
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Buffer {}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testing::Random;

    /// A buffer over an array that is larger, with marks around it which nobody may touch.
    fn with_lent(room: usize, test: impl FnOnce(Buffer)) -> Vec<u8> {
        let mut home = vec![0xee; room + 16];
        let inside = NonNull::new(home[8..8 + room].as_mut_ptr()).expect("a slice has an address");
        // SAFETY: `home` outlives the call and is not touched before it ends.
        test(unsafe { Buffer::lent(inside, 0, room) });
        assert!(home[..8].iter().chain(&home[8 + room..]).all(|byte| *byte == 0xee));
        home[8..8 + room].to_vec()
    }

    fn exercise(buffer: &mut Buffer, seed: u64) {
        let mut random = Random(seed);
        let mut model = Vec::new();
        for _ in 0..500 {
            match random.below(6) {
                0 => {
                    let len = random.below(80);
                    buffer.resize(len);
                    model.resize(len, 0);
                }
                1 => {
                    let len = random.below(80);
                    buffer.truncate(len);
                    model.truncate(len);
                }
                2 => {
                    let text = random.text(20);
                    buffer.extend_from_slice(&text);
                    model.extend_from_slice(&text);
                }
                3 if !model.is_empty() => {
                    let start = random.below(model.len());
                    let end = start + random.below(model.len() - start + 1);
                    buffer.cut(start..end);
                    model.drain(start..end);
                }
                4 => buffer.shrink_to(random.below(100)),
                _ => buffer.grow_to(random.below(100)),
            }
            assert_eq!(**buffer, model);
            assert!(buffer.capacity() >= model.len());
        }
    }

    #[test]
    fn behaves_as_a_vector() {
        for seed in 0..20 {
            exercise(&mut Buffer::new(), seed);
            with_lent(40, |mut buffer| exercise(&mut buffer, seed));
        }
    }

    #[test]
    fn lent_bytes_are_changed_in_place_until_they_outgrow_their_room() {
        let home = with_lent(8, |mut buffer| {
            buffer.extend_from_slice(b"12345678");
            buffer.cut(0..2);
            assert!(buffer.is_lent());
            assert_eq!((buffer.memory(), buffer.clone().is_lent()), (0, false));
            buffer.extend_from_slice(b"abc");
            assert!(!buffer.is_lent());
            assert_eq!(&*buffer, b"345678abc");
        });
        assert_eq!(&home, b"34567878");
    }

    #[test]
    fn vectors_come_and_go_without_a_copy() {
        let vec = Vec::from(*b"some bytes");
        let address = vec.as_ptr();
        let buffer = Buffer::from(vec);
        assert_eq!(buffer.as_ptr(), address);
        let vec = Vec::from(buffer);
        assert_eq!(vec.as_ptr(), address);
        assert_eq!(Vec::from(Buffer::new()).capacity(), 0);
        with_lent(4, |buffer| assert!(!buffer.into_owned().is_lent()));
    }
}
