//! The upkeep of the general allocator, which has the tables of the maps and whatever else is not a record.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

/// Free pages go back to the system within a quarter of a second, not ten: tables that were outgrown are not needed again, and
/// what is used again and again comes back sooner. jemalloc reads this name before the first allocation.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static SETTINGS: Option<&'static c_char> = {
    let settings: &'static CStr = c"dirty_decay_ms:250";
    // SAFETY: a string of C's form has at least its end.
    Some(unsafe { &*settings.as_ptr() })
};

/// Empties this thread's cache of free blocks, which keeps up to 20 of each size although those of outgrown tables are not asked
/// for again. Takes microseconds: for upkeep a few times a second.
pub fn flush() {
    let failed = call(c"thread.tcache.flush");
    debug_assert_eq!(failed, 0);
}

/// Gives the free pages whose time is over back to the system; those of all threads.
pub fn decay() {
    // The number stands for all arenas (`MALLCTL_ARENAS_ALL`).
    let failed = call(c"arena.4096.decay");
    debug_assert_eq!(failed, 0);
}

/// Gives all free pages back to the system, whatever their time, and before that those of this thread's cache.
pub fn purge() {
    flush();
    let failed = call(c"arena.4096.purge");
    debug_assert_eq!(failed, 0);
}

/// A call that neither takes nor gives anything. Returns jemalloc's error number, or 0.
fn call(name: &CStr) -> c_int {
    if cfg!(miri) {
        return 0;
    }
    // SAFETY: the name has an end, and null pointers say that there is nothing to read or to write.
    unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0) }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use std::alloc::{GlobalAlloc, Layout};
    use tikv_jemalloc_ctl::{Access, AsName};
    use tikv_jemallocator::Jemalloc;

    #[test]
    fn the_settings_take_effect() {
        let decay: Result<isize, _> = b"opt.dirty_decay_ms\0".name().read();
        assert_eq!(decay, Ok(250));
    }

    #[test]
    fn what_a_thread_kept_goes_back() {
        // A size that nothing else in these tests is likely to have, on a thread whose cache is new.
        let layout = Layout::from_size_align(14_336, 8).expect("a sane layout");
        let fills = move || {
            // SAFETY: the layout has a size, and the blocks are freed with it, once.
            unsafe {
                let blocks: Vec<_> = (0..4).map(|_| Jemalloc.alloc(layout)).collect();
                blocks.into_iter().for_each(|block| Jemalloc.dealloc(block, layout));
            }
            tikv_jemalloc_ctl::epoch::advance().expect("statistics");
            let count: Result<u64, _> = b"stats.arenas.4096.bins.35.nfills\0".name().read();
            count.expect("a count")
        };
        std::thread::spawn(move || {
            let before = fills();
            flush();
            assert!(fills() > before, "the cache was empty and had to be filled");
            decay();
            purge();
        })
        .join()
        .expect("it ends");
    }
}
