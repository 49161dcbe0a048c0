//! What the allocators say: the general one (jemalloc), and the heap of records.

use crate::store::heap;
use tikv_jemalloc_ctl::{epoch, stats};

/// Bytes of memory by allocator.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// In use by the server, the general allocator's idle blocks not counted.
    pub(super) used: u64,
    /// Handed out, or kept by threads for their next allocations.
    pub(super) allocated: u64,
    /// In pages that hold something handed out.
    pub(super) active: u64,
    /// In pages that are mapped and backed by memory.
    pub(super) resident: u64,
}

impl Usage {
    /// Asks the allocators.
    pub(super) fn read() -> Usage {
        // The statistics are of the last epoch; without one they are old, never wrong.
        let _ = epoch::advance();
        let of = |bytes: Result<usize, tikv_jemalloc_ctl::Error>| bytes.map_or(0, |bytes| bytes as u64);
        let records = heap::reserved();
        Usage {
            used: used(),
            allocated: of(stats::allocated::read()) + heap::used(),
            active: of(stats::active::read()) + records,
            resident: of(stats::resident::read()) + records,
        }
    }
}

/// Bytes that the server uses at this moment. Two loads for each thread.
pub(super) fn used() -> u64 {
    heap::used() + heap::others()
}

/// The name and version of the general allocator.
pub(super) fn allocator() -> String {
    let version = tikv_jemalloc_ctl::version::read().unwrap_or_default();
    format!("jemalloc-{}", version.split('-').next().unwrap_or_default())
}

/// Bytes as people read them, in the form of Redis: `1.37M`.
pub(super) fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut amount = bytes as f64 / 1024.0;
    for unit in ["K", "M", "G", "T"] {
        if amount < 1024.0 {
            return format!("{amount:.2}{unit}");
        }
        amount /= 1024.0;
    }
    format!("{amount:.2}P")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_redis_writes_them() {
        let cases = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1_435_816, "1.37M"),
            (25_276_502_016, "23.54G"),
            (1 << 50, "1.00P"),
            (u64::MAX, "16384.00P"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn the_allocators_answer() {
        let before = Usage::read();
        assert!(before.resident >= before.active && before.active >= 4096);
        assert!(allocator().starts_with("jemalloc-5"), "{}", allocator());
    }
}
