//! What values take, as the allocator counts it.

/// The class size of a jemalloc allocation of `bytes`: multiples of 16 to 128, then four classes a doubling. O(1).
pub fn malloc_size(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        // No allocation is larger than isize::MAX, so the power of two cannot overflow.
        _ => {
            let step = bytes.next_power_of_two() / 8;
            bytes.next_multiple_of(step)
        }
    }
}

/// The size of the allocation behind a vector, without what its items own. O(1).
pub fn vec_size<T>(vec: &Vec<T>) -> usize {
    malloc_size(vec.capacity() * size_of::<T>())
}

/// The size of a box of `T`, without what it owns. O(1).
pub fn box_size<T>() -> usize {
    malloc_size(size_of::<T>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_the_allocator_s() {
        let classes =
            [(1, 8), (9, 16), (17, 32), (56, 64), (129, 160), (257, 320), (280, 320), (4097, 5120), (14337, 16384)];
        for (bytes, class) in classes {
            assert_eq!(malloc_size(bytes), class, "{bytes}");
        }
    }

    #[test]
    fn containers_count_their_capacity() {
        assert_eq!(vec_size::<u32>(&Vec::with_capacity(5)), 32);
        assert_eq!(vec_size::<u32>(&Vec::new()), 0);
        assert_eq!(box_size::<[u64; 3]>(), 32);
    }
}
