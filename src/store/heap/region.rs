//! The address space of the heap: one reservation, handed out in chunks, with a table of slab entries beside it.
//!
//! The table is indexed by the address of a unit. Entries at the head of each chunk would need no table, but all of
//! them would fall onto the same few sets of the caches, as chunks are 2 MiB apart; in the table they lie densely, a
//! page for each chunk, and a chunk is all data. Reserved addresses cost nothing until they are touched.

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

use parking_lot::Mutex;

use super::class::{UNIT, UNIT_SHIFT};
use super::slab::{CHUNK, Slab};

/// Bytes of the slab table for each chunk.
const TABLE: usize = CHUNK / UNIT * size_of::<Slab>();

/// The slab table, displaced so that an address's unit number (counted from address zero) is the index.
static SLABS: AtomicPtr<Slab> = AtomicPtr::new(ptr::null_mut());

/// Chunks that heaps have.
static CHUNKS: AtomicU64 = AtomicU64::new(0);

/// Where the first chunk lies, and how many bytes from there on are accessible; both are 0 before the first chunk is asked for.
static BASE: AtomicUsize = AtomicUsize::new(0);
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Whether chunks ask for huge pages.
static HUGE: AtomicBool = AtomicBool::new(false);

/// Where the chunks go that the mover is to move to huge pages.
static MOVER: OnceLock<Sender<usize>> = OnceLock::new();

/// The reservation, made when the first chunk is asked for.
static REGION: OnceLock<Option<Region>> = OnceLock::new();

/// What was reserved, and what of it was handed out.
struct Region {
    base: *mut u8,
    table: *mut u8,
    chunks: usize,
    pool: Mutex<Pool>,
}

// SAFETY: the pointers are to memory that stays for the whole run; handing it out is ordered by the mutex.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

/// Which chunks no heap has, by number.
struct Pool {
    /// All chunks from this one on were never accessible.
    fresh: usize,
    /// Chunks that came back. Their memory is given back; their addresses stay accessible, because taking that away
    /// too would cut the mapping in pieces, of which the kernel allows only so many.
    returned: Vec<usize>,
}

/// Says whether chunks ask for huge pages once they are in use as a whole.
pub(super) fn set_huge(huge: bool) {
    HUGE.store(huge, Ordering::Relaxed);
}

/// Whether chunks ask for huge pages.
pub(super) fn huge() -> bool {
    HUGE.load(Ordering::Relaxed)
}

/// Bytes of the chunks that heaps have.
pub(super) fn mapped() -> u64 {
    CHUNKS.load(Ordering::Relaxed) * CHUNK as u64
}

/// The addresses from the first chunk to the last that any heap ever had. They stay accessible for the whole run.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    base: usize,
    bytes: usize,
}

impl Extent {
    /// As it is now.
    #[inline]
    pub(crate) fn now() -> Self {
        // In this order: where something is open, its beginning is known.
        let bytes = OPEN.load(Ordering::Acquire);
        Extent { base: BASE.load(Ordering::Relaxed), bytes }
    }

    /// Reads a byte, which brings its line into the caches, if the address lies there; tells whether it does. What is there may be
    /// nobody's or another thread's.
    #[inline(always)]
    pub(crate) fn touch(self, address: *const u8) -> bool {
        let lies_here = address.addr().wrapping_sub(self.base) < self.bytes;
        if lies_here {
            // SAFETY: it is accessible, and nothing depends on what is read.
            unsafe { address.read_volatile() };
        }
        lies_here
    }
}

/// The entry of the unit in which `at` lies, an address inside a chunk.
#[inline(always)]
pub(super) fn slab_at(at: *const u8) -> *const Slab {
    SLABS.load(Ordering::Relaxed).wrapping_add(at.addr() >> UNIT_SHIFT)
}

/// A chunk's address. `None` if there is no memory or no reserved address left.
pub(super) fn take() -> Option<*mut u8> {
    let region = REGION.get_or_init(Region::reserve).as_ref()?;
    let mut pool = region.pool.lock();
    let number = match pool.returned.pop() {
        Some(number) => number,
        None if pool.fresh < region.chunks && region.open(pool.fresh) => {
            pool.fresh += 1;
            OPEN.store(pool.fresh * CHUNK, Ordering::Release);
            pool.fresh - 1
        }
        None => return None,
    };
    drop(pool);
    CHUNKS.fetch_add(1, Ordering::Relaxed);
    let base = region.base.wrapping_add(number * CHUNK);
    // SAFETY: the chunk is mapped and nobody else has it.
    unsafe { system::prefer_huge(base, CHUNK, false) };
    Some(base)
}

/// Takes a chunk back.
///
/// # Safety
/// `base` came from [`take`], and nobody uses the chunk any more.
pub(super) unsafe fn give(base: *mut u8) {
    let Some(Some(region)) = REGION.get() else {
        return;
    };
    // SAFETY: the caller promises that nobody uses the chunk.
    unsafe { discard(base, CHUNK) };
    CHUNKS.fetch_sub(1, Ordering::Relaxed);
    region.pool.lock().returned.push((base.addr() - region.base.addr()) / CHUNK);
}

/// Asks for a huge page for a chunk that was taken without, and has the mover see to it now: the kernel's own search for such memory
/// may take hours.
///
/// # Safety
/// `base` came from [`take`] and was not given back.
pub(super) unsafe fn upgrade(base: *mut u8) {
    // SAFETY: the chunk is mapped; the advice does not change what it holds.
    unsafe { system::prefer_huge(base, CHUNK, true) };
    if let Some(mover) = MOVER.get() {
        // Without the mover the kernel finds it some day.
        let _ = mover.send(base.expose_provenance());
    }
}

/// Starts the thread that moves chunks to huge pages. That takes the kernel milliseconds each, most of which it waits, and no worker has
/// those. To be called before workers are bound to their CPUs, because a thread begins where its maker is.
pub(super) fn start_mover() {
    let (sender, chunks) = std::sync::mpsc::channel::<usize>();
    let run = move || {
        for base in chunks {
            // SAFETY: chunks stay mapped, and the advice does not change what they hold, whoever has them by now.
            unsafe { system::collapse(ptr::with_exposed_provenance_mut(base), CHUNK) };
        }
    };
    if MOVER.get().is_none() && std::thread::Builder::new().name("huge-pages".into()).spawn(run).is_ok() {
        let _ = MOVER.set(sender);
    }
}

/// Gives the memory behind `bytes` at `start` back to the system. The addresses stay accessible and read as zero.
///
/// # Safety
/// The range lies in a chunk that was taken, and nobody needs what it holds.
pub(super) unsafe fn discard(start: *mut u8, bytes: usize) {
    // SAFETY: that is what the caller promises.
    unsafe { system::discard(start, bytes) };
}

impl Region {
    /// Reserves addresses for four times the machine's memory; less if a limit forbids that.
    fn reserve() -> Option<Self> {
        let mut chunks = system::memory().saturating_mul(4).clamp(64 << 30, 64 << 40).next_power_of_two() / CHUNK;
        if cfg!(miri) {
            chunks = 24;
        }
        // A limit on a process's addresses (`ulimit -v`) may leave room for a smaller region.
        let (start, chunks) = loop {
            // One chunk more, so that chunks can be aligned.
            match system::reserve((chunks + 1) * CHUNK + chunks * TABLE) {
                Some(start) => break (start, chunks),
                None if chunks > 64 => chunks /= 2,
                None => return None,
            }
        };
        let base = start.map_addr(|addr| addr.next_multiple_of(CHUNK));
        let table = base.wrapping_add(chunks * CHUNK);
        let displaced = table.cast::<Slab>().wrapping_sub(base.addr() >> UNIT_SHIFT);
        SLABS.store(displaced, Ordering::Relaxed);
        BASE.store(base.addr(), Ordering::Relaxed);
        Some(Self { base, table, chunks, pool: Mutex::new(Pool { fresh: 0, returned: Vec::new() }) })
    }

    /// Makes chunk `number` and its part of the table accessible.
    fn open(&self, number: usize) -> bool {
        let (chunk, slabs) = (self.base.wrapping_add(number * CHUNK), self.table.wrapping_add(number * TABLE));
        // SAFETY: both lie in the reservation, and widening the access to them harms nobody.
        unsafe { system::open(chunk, CHUNK) && system::open(slabs, TABLE) }
    }
}

/// The calls into the operating system.
#[cfg(not(miri))]
mod system {
    use std::ptr;

    /// Bytes of memory that the machine has; zero if it does not say.
    pub(super) fn memory() -> usize {
        // SAFETY: reads a figure.
        let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
        usize::try_from(pages).unwrap_or(0).saturating_mul(page())
    }

    /// Bytes in a page.
    fn page() -> usize {
        // SAFETY: reads a figure.
        usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
    }

    /// Addresses for `bytes`, without access and without memory behind them.
    pub(super) fn reserve(bytes: usize) -> Option<*mut u8> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
        (start != libc::MAP_FAILED).then_some(start.cast())
    }

    /// Allows access to `bytes` at `start`; whole pages around them.
    ///
    /// # Safety
    /// The range and the pages around it lie in the reservation.
    pub(super) unsafe fn open(start: *mut u8, bytes: usize) -> bool {
        let before = start.addr() % page();
        let (from, length) = (start.wrapping_sub(before), (before + bytes).next_multiple_of(page()));
        // SAFETY: that is what the caller promises.
        unsafe { libc::mprotect(from.cast(), length, libc::PROT_READ | libc::PROT_WRITE) == 0 }
    }

    /// Asks for huge pages, or for none even if they are the machine's default. It is advice: failure changes nothing.
    ///
    /// # Safety
    /// The range is mapped.
    pub(super) unsafe fn prefer_huge(start: *mut u8, bytes: usize, huge: bool) {
        let advice = if huge { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
        // SAFETY: this advice does not change what the memory holds.
        unsafe { libc::madvise(start.cast(), bytes, advice) };
    }

    /// Moves what lies there to huge pages. It is advice: failure changes nothing.
    ///
    /// # Safety
    /// The range is mapped.
    pub(super) unsafe fn collapse(start: *mut u8, bytes: usize) {
        // SAFETY: this advice does not change what the memory holds.
        unsafe { libc::madvise(start.cast(), bytes, libc::MADV_COLLAPSE) };
    }

    /// Gives memory back.
    ///
    /// # Safety
    /// The range is mapped, and nobody needs what it holds.
    pub(super) unsafe fn discard(start: *mut u8, bytes: usize) {
        // SAFETY: that is what the caller promises.
        unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) };
    }
}

/// The same for the interpreter that checks this code's use of memory, which has no such calls.
#[cfg(miri)]
mod system {
    use std::alloc::{Layout, alloc_zeroed};

    pub(super) fn memory() -> usize {
        0
    }
    pub(super) fn reserve(bytes: usize) -> Option<*mut u8> {
        // SAFETY: the size is above zero.
        Some(unsafe { alloc_zeroed(Layout::from_size_align(bytes, super::CHUNK).ok()?) })
    }
    pub(super) unsafe fn open(_: *mut u8, _: usize) -> bool {
        true
    }
    pub(super) unsafe fn prefer_huge(_: *mut u8, _: usize, _: bool) {}
    pub(super) unsafe fn collapse(_: *mut u8, _: usize) {}
    pub(super) unsafe fn discard(_: *mut u8, _: usize) {}
}
