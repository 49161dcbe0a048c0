//! Size classes: what a block of a given size really takes.
//!
//! Up to [`FINE`] bytes there is a class every 8 bytes, so that a record wastes at most 7 bytes; above that sixteen
//! classes to the doubling, so that it wastes less than a sixteenth. Sizes over [`MAX_SMALL`] go to jemalloc, whose
//! classes (four to the doubling, then whole pages, as of its version 5.3.1) are reproduced here so that accounting
//! needs no call into it.

/// Largest size in bytes that the slabs serve; larger blocks come from jemalloc.
pub const MAX_SMALL: usize = 8192;

/// Above this size jemalloc rounds to pages.
const PAGED: usize = 16 << 10;

/// Largest size with a class every 8 bytes.
const FINE: usize = 512;

/// One more than the largest class number; class 0 does not exist.
pub(super) const CLASSES: usize = 129;

/// The smallest piece of a chunk that a slab can be: 32 KiB.
pub(super) const UNIT_SHIFT: u32 = 15;
/// Bytes in a unit.
pub(super) const UNIT: usize = 1 << UNIT_SHIFT;

/// The class that serves `bytes`, which must not exceed [`MAX_SMALL`]. Between 1 and `CLASSES - 1`.
#[inline(always)]
pub(super) const fn class_of(bytes: usize) -> usize {
    debug_assert!(bytes <= MAX_SMALL);
    if bytes <= FINE {
        // An empty block still needs an address of its own.
        return (if bytes == 0 { 1 } else { bytes }).div_ceil(8);
    }
    let last = bytes - 1;
    let power = last.ilog2();
    let first_of_power = 65 + (power as usize - 9) * 16;
    first_of_power + ((last >> (power - 4)) & 15)
}

/// Bytes in a block of `class`.
pub(super) const fn size_of_class(class: usize) -> usize {
    if class <= 64 {
        return class * 8;
    }
    let (power, step) = ((class - 65) / 16 + 9, (class - 65) % 16 + 1);
    (1 << power) + (step << (power - 4))
}

/// How many units a slab of blocks of `size` bytes spans (a power of two, to which the slab is also aligned).
///
/// Chosen so that at least 16 blocks fit, which bounds the unusable tail of a slab to a seventeenth, while the slabs
/// that a thread holds half filled stay small.
#[inline(always)]
pub(super) const fn units_for(size: usize) -> usize {
    if size <= 1024 {
        1
    } else if size <= 2048 {
        2
    } else {
        4
    }
}

/// Bytes that a block of `bytes` really takes: the unit of exact accounting. Pure, and a few instructions.
///
/// Sizes that no allocator can serve (over `isize::MAX`) give a saturated figure rather than an overflow.
#[inline(always)]
pub const fn class_size(bytes: usize) -> usize {
    if bytes <= FINE {
        // The shift is written out because `next_multiple_of` would keep its overflow check.
        return ((if bytes == 0 { 1 } else { bytes }) + 7) & !7;
    }
    let last = bytes - 1;
    let below = if bytes <= MAX_SMALL {
        (1 << (last.ilog2() - 4)) - 1
    } else if bytes <= PAGED {
        (1 << (last.ilog2() - 2)) - 1
    } else {
        4095
    };
    (last | below).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_rise_and_bound_the_waste() {
        let mut before = 0;
        for class in 1..CLASSES {
            let size = size_of_class(class);
            assert!(size > before, "class {class} is not larger than the one before it");
            assert_eq!(size % 8, 0, "blocks must stay 8-byte aligned");
            assert_eq!(class_of(size), class, "a class serves its own size");
            assert_eq!(class_of(before + 1), class, "and everything above the class before it");
            before = size;
        }
        assert_eq!(before, MAX_SMALL);
        for bytes in 0..=MAX_SMALL {
            let size = class_size(bytes);
            assert_eq!(size, size_of_class(class_of(bytes)), "the two ways to a block's size differ at {bytes}");
            assert!(size >= bytes);
            let waste = size - bytes;
            assert!(waste < 8 || waste * 16 < bytes || bytes == 0, "{bytes} bytes waste {waste}");
        }
    }

    #[test]
    fn slabs_waste_little_of_their_tail() {
        for class in 1..CLASSES {
            let size = size_of_class(class);
            let slab = units_for(size) * UNIT;
            assert!(slab / size >= 16);
            assert!((slab % size) * 17 <= slab, "class {class} wastes {} of {slab}", slab % size);
        }
    }

    #[test]
    fn absurd_sizes_saturate() {
        assert_eq!(class_size(usize::MAX), usize::MAX);
        assert_eq!(class_size(isize::MAX as usize), isize::MAX as usize + 1);
    }

    /// The figures for large blocks are jemalloc's own.
    #[test]
    #[cfg_attr(miri, ignore = "calls into jemalloc")]
    fn large_classes_are_those_of_jemalloc() {
        use std::alloc::{GlobalAlloc, Layout};
        let mut bytes = MAX_SMALL + 1;
        while bytes < 64 << 20 {
            for size in [bytes - 1, bytes, bytes + 1].into_iter().filter(|size| *size > MAX_SMALL) {
                let layout = Layout::from_size_align(size, 8).expect("a sane size");
                // SAFETY: the layout has a size above zero, and the block is freed with it, once.
                let usable = unsafe {
                    let block = tikv_jemallocator::Jemalloc.alloc(layout);
                    assert!(!block.is_null());
                    let usable = tikv_jemallocator::usable_size(block);
                    tikv_jemallocator::Jemalloc.dealloc(block, layout);
                    usable
                };
                assert_eq!(class_size(size), usable, "jemalloc's class for {size} bytes");
            }
            bytes += bytes / 7;
            bytes = bytes.next_multiple_of(4096);
        }
    }
}
