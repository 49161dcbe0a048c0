//! Heap (placeholder until the branch that owns it is merged).
use std::alloc::{Layout, alloc as galloc, dealloc};
use std::ptr::NonNull;
/// Largest small.
pub const MAX_SMALL: usize = 4096;
/// Alloc.
pub fn alloc(bytes: usize) -> NonNull<u8> {
    // SAFETY: nonzero.
    NonNull::new(unsafe { galloc(Layout::from_size_align(class_size(bytes), 8).unwrap()) }).unwrap()
}
/// # Safety
/// Free.
pub unsafe fn free(ptr: NonNull<u8>, bytes: usize) {
    // SAFETY: caller.
    unsafe { dealloc(ptr.as_ptr(), Layout::from_size_align(class_size(bytes), 8).unwrap()) }
}
/// Class.
pub const fn class_size(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}
