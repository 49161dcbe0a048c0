//! The program's own code in memory.

use std::ffi::{c_int, c_void};
use std::{ptr, slice};

/// Bytes in a page. Where pages are larger the system refuses what does not begin at one, and that part stays.
const PAGE: usize = 4096;

/// Takes the code and the constants of the program and its libraries out of this process's memory; what runs on comes back from
/// the page cache as it is needed, without input where it is there, as it is just after the start. To be called when the server
/// is ready: most of what was touched by then (arguments, configuration, relocations) is only needed to start.
pub fn forget() {
    // SAFETY: the function has the type that is asked for, and does not keep what it is shown.
    unsafe { libc::dl_iterate_phdr(Some(forget_object), ptr::null_mut()) };
}

/// Does it for one object: the program, or a library.
unsafe extern "C" fn forget_object(object: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the caller shows an object that is loaded, with its headers.
    let (base, headers) = unsafe {
        let object = &*object;
        (object.dlpi_addr as usize, slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()))
    };
    // Writable parts have been relocated, also those that are read-only by now.
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0) {
        let start = base.wrapping_add(header.p_vaddr as usize);
        let end = start.wrapping_add(header.p_memsz as usize) & !(PAGE - 1);
        let start = start.next_multiple_of(PAGE);
        if start < end {
            // SAFETY: these pages are as they are in the file, since nobody could write them, and are taken from it again when
            // they are next touched.
            unsafe { libc::madvise(ptr::without_provenance_mut(start), end - start, libc::MADV_DONTNEED) };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KiB of files in this process's memory.
    fn resident() -> u64 {
        let status = crate::host::read("/proc/self/status").expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    #[test]
    fn code_leaves_memory_and_comes_back() {
        let before = resident();
        forget();
        let after = resident();
        assert!(after < before, "{after} KiB of {before}");
        // Code that has not run since comes back.
        assert_eq!("1.5".parse(), Ok(1.5));
    }
}
