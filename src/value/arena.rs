//! The memory of one large collection: its elements in pages, named by 32-bit handles.
//!
//! Tables and trees keep a handle of 4 bytes for an element that is stored once. A slot is its payload behind a head
//! of two bytes, in units of four; freed slots are listed by size and used again. A page that holds little after many
//! removals is given up: its owner moves the elements ([`Arena::sparse`], [`Arena::live`], [`Arena::duplicate`],
//! [`Arena::vacate`]), so memory follows the content in both directions, a page at a time. Payloads over
//! [`INLINE`] bytes have an allocation of their own, and their slot its number.

use super::Full;
use super::memory::{malloc_size, vec_size};

/// The largest payload inside a page, in bytes.
const INLINE: usize = 1000;
/// Bytes in a unit.
const UNIT: usize = 4;
/// The least units of a slot: a free one holds two links.
const LEAST: usize = 3;
/// Bytes of the largest page.
const PAGE: usize = 16 << 10;
/// Bytes of the smallest page. It holds the largest slot.
const SMALLEST: usize = 1024;
/// Low bits of a handle: the unit inside the page.
const UNIT_BITS: u32 = 12;
/// The most pages, so that no handle is [`NIL`].
const MOST_PAGES: usize = (1 << (32 - UNIT_BITS)) - 1;
/// No slot, no page.
const NIL: u32 = u32::MAX;

const HEAD: usize = 2;
const UNITS_MASK: u16 = 0x1ff;
const PAD_SHIFT: u32 = 9;
const FREE: u16 = 1 << 13;
const LARGE: u16 = 1 << 14;
const MARKED: u16 = 1 << 15;

/// The name of an element. Valid until it is removed or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Handle(pub(super) u32);

impl Handle {
    fn new(page: u32, unit: usize) -> Self {
        Handle(page << UNIT_BITS | unit as u32)
    }

    #[inline]
    fn page(self) -> u32 {
        self.0 >> UNIT_BITS
    }

    #[inline]
    fn start(self) -> usize {
        (self.0 & ((1 << UNIT_BITS) - 1)) as usize * UNIT
    }
}

#[derive(Clone, Default)]
struct Page {
    bytes: Box<[u8]>,
    /// Bytes up to which slots have been cut.
    used: u16,
    /// Bytes of slots that are not free.
    live: u16,
}

impl Page {
    #[inline]
    fn head(&self, at: usize) -> u16 {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |head| u16::from_le_bytes(*head))
    }

    fn set_head(&mut self, at: usize, head: u16) {
        if let Some(slot) = self.bytes.get_mut(at..at + HEAD) {
            slot.copy_from_slice(&head.to_le_bytes());
        }
    }

    /// Link 0 of a free slot leads to the one before it in its list, link 1 to the next.
    fn link(&self, at: usize, which: usize) -> u32 {
        let link = self.bytes.get(at + HEAD + 4 * which..).and_then(|rest| rest.first_chunk());
        link.map_or(NIL, |link| u32::from_le_bytes(*link))
    }

    fn set_link(&mut self, at: usize, which: usize, to: u32) {
        if let Some(link) = self.bytes.get_mut(at + HEAD + 4 * which..at + HEAD + 4 * which + 4) {
            link.copy_from_slice(&to.to_le_bytes());
        }
    }
}

#[inline]
fn slot_bytes(head: u16) -> usize {
    usize::from(head & UNITS_MASK) * UNIT
}

#[inline]
fn payload_len(head: u16) -> usize {
    slot_bytes(head).saturating_sub(HEAD + usize::from(head >> PAD_SHIFT & 0xf))
}

/// Pages of slots.
#[derive(Clone)]
pub(super) struct Arena {
    pages: Vec<Page>,
    /// Pages without memory, to be used again.
    vacant: Vec<u32>,
    /// The page that new slots are cut from.
    tail: u32,
    /// The first free slot of each size in units.
    free: Vec<u32>,
    large: Vec<Box<[u8]>>,
    large_vacant: Vec<u32>,
    /// Bytes of all pages, and of the slots in use in them.
    page_bytes: usize,
    live_bytes: usize,
    /// Bytes of the pages and of the large payloads, as the allocator counts.
    allocated: usize,
    /// A page that may be worth giving up.
    sparse: Option<u32>,
}

impl Arena {
    /// An empty arena. Allocates nothing.
    pub(super) const fn new() -> Self {
        Arena {
            pages: Vec::new(),
            vacant: Vec::new(),
            tail: NIL,
            free: Vec::new(),
            large: Vec::new(),
            large_vacant: Vec::new(),
            page_bytes: 0,
            live_bytes: 0,
            allocated: 0,
            sparse: None,
        }
    }

    /// Bytes allocated. O(1).
    pub(super) fn memory(&self) -> usize {
        self.allocated
            + vec_size(&self.pages)
            + vec_size(&self.vacant)
            + vec_size(&self.free)
            + vec_size(&self.large)
            + vec_size(&self.large_vacant)
    }

    /// Stores the parts one behind the other. The mark is the owner's to interpret. O(length).
    pub(super) fn insert(&mut self, parts: &[&[u8]], marked: bool) -> Result<Handle, Full> {
        let len = parts.iter().try_fold(0usize, |sum, part| sum.checked_add(part.len())).ok_or(Full)?;
        let mark = if marked { MARKED } else { 0 };
        if len <= INLINE {
            let handle = self.cut(len, mark)?;
            fill(self.get_mut(handle), parts);
            return Ok(handle);
        }
        let number = self.large_vacant.last().copied().unwrap_or(self.large.len() as u32);
        if number == NIL {
            return Err(Full);
        }
        let handle = self.cut(4, mark | LARGE)?;
        if let Some(slot) = self.inline_mut(handle) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        let bytes = parts.concat().into_boxed_slice();
        self.allocated += malloc_size(len);
        match self.large_vacant.pop() {
            Some(_) => self.large[number as usize] = bytes,
            None => self.large.push(bytes),
        }
        Ok(handle)
    }

    /// Stores other content for an element, in its place if that fits; else the handle changes. O(length).
    pub(super) fn rewrite(&mut self, handle: Handle, parts: &[&[u8]], marked: bool) -> Result<Handle, Full> {
        let len = parts.iter().try_fold(0usize, |sum, part| sum.checked_add(part.len())).ok_or(Full)?;
        let head = self.head(handle);
        if len <= INLINE && head & LARGE == 0 && self::head(len) & UNITS_MASK == head & UNITS_MASK {
            let mark = if marked { MARKED } else { 0 };
            self.set_head(handle, self::head(len) | mark);
            fill(self.get_mut(handle), parts);
            return Ok(handle);
        }
        let new = self.insert(parts, marked)?;
        self.remove(handle);
        Ok(new)
    }

    /// The content of an element. O(1).
    #[inline]
    pub(super) fn get(&self, handle: Handle) -> &[u8] {
        let Some(page) = self.pages.get(handle.page() as usize) else { return &[] };
        let at = handle.start();
        let head = page.head(at);
        let slot = page.bytes.get(at + HEAD..at + HEAD + payload_len(head)).unwrap_or_default();
        if head & LARGE == 0 {
            return slot;
        }
        large_number(slot).and_then(|number| self.large.get(number)).map(|bytes| &**bytes).unwrap_or_default()
    }

    /// The content of an element, to change it. O(1).
    pub(super) fn get_mut(&mut self, handle: Handle) -> &mut [u8] {
        if self.head(handle) & LARGE == 0 {
            return self.inline_mut(handle).unwrap_or_default();
        }
        let number = self.inline_mut(handle).and_then(|slot| large_number(slot));
        number.and_then(|number| self.large.get_mut(number)).map(|bytes| &mut **bytes).unwrap_or_default()
    }

    /// Whether the element was stored with a mark. O(1).
    #[inline]
    pub(super) fn is_marked(&self, handle: Handle) -> bool {
        self.head(handle) & MARKED != 0
    }

    /// Forgets an element. O(1), but for its page when that becomes empty.
    pub(super) fn remove(&mut self, handle: Handle) {
        let head = self.head(handle);
        if head & LARGE != 0 {
            let number = self.inline_mut(handle).and_then(|slot| large_number(slot));
            if let Some((number, bytes)) = number.and_then(|number| Some((number, self.large.get_mut(number)?))) {
                self.allocated -= malloc_size(bytes.len());
                *bytes = Box::default();
                self.large_vacant.push(number as u32);
            }
        }
        self.vacate(handle);
        self.list(handle);
        let index = handle.page();
        if self.pages.get(index as usize).is_some_and(|page| page.live == 0) {
            self.release(index);
        } else if self.is_sparse(index) {
            self.sparse = Some(index);
        }
    }

    /// Whether little is left in a page, and moving it pays: there is room in others.
    fn is_sparse(&self, index: u32) -> bool {
        let Some(page) = self.pages.get(index as usize) else { return false };
        let live = usize::from(page.live);
        let little = live > 0 && live * 8 <= page.bytes.len() * 3;
        little && index != self.tail && self.live_bytes * 8 <= self.page_bytes * 5
    }

    /// All pages that [`Self::sparse`] would tell, for an owner that removed many elements before asking. O(pages).
    pub(super) fn all_sparse(&mut self) -> Vec<u32> {
        self.sparse = None;
        (0..self.pages.len() as u32).filter(|page| self.is_sparse(*page)).collect()
    }

    /// A page whose elements should be moved, each only once told. The owner asks after each removal. O(1).
    pub(super) fn sparse(&mut self) -> Option<u32> {
        self.sparse.take().filter(|page| self.is_sparse(*page))
    }

    /// The elements of a sparse page, whose free slots are not used any more from now on. O(slots).
    pub(super) fn live(&mut self, page: u32) -> Vec<Handle> {
        let mut live = Vec::new();
        self.walk(page, |arena, handle, head| match head & FREE {
            0 => live.push(handle),
            _ => arena.unlist(handle),
        });
        live
    }

    /// Copies an element of a sparse page. Until the old handle is vacated both are good. O(length), at most 1000.
    pub(super) fn duplicate(&mut self, old: Handle) -> Result<Handle, Full> {
        let head = self.head(old);
        let new = self.cut(payload_len(head), head & (LARGE | MARKED))?;
        let mut copy = [0; INLINE];
        let len = payload_len(head).min(INLINE);
        if let Some(from) = self.inline_mut(old) {
            copy[..len].copy_from_slice(&from[..len]);
        }
        if let Some(to) = self.inline_mut(new) {
            to.copy_from_slice(&copy[..len]);
        }
        Ok(new)
    }

    /// Marks a slot as free, without listing it: its page is about to go.
    pub(super) fn vacate(&mut self, handle: Handle) {
        let head = self.head(handle);
        self.set_head(handle, head & UNITS_MASK | FREE);
        self.live_bytes -= slot_bytes(head);
        if let Some(page) = self.pages.get_mut(handle.page() as usize) {
            page.live -= slot_bytes(head) as u16;
        }
    }

    /// Keeps a sparse page after all: what was vacated in it, and what was free, is used again. O(slots).
    pub(super) fn keep(&mut self, page: u32) {
        self.walk(page, |arena, handle, head| {
            if head & FREE != 0 {
                arena.list(handle);
            }
        });
    }

    /// Gives back the memory of a sparse page whose elements were all vacated.
    pub(super) fn give_up(&mut self, index: u32) {
        if let Some(page) = self.pages.get_mut(index as usize)
            && page.live == 0
        {
            self.page_bytes -= page.bytes.len();
            self.allocated -= malloc_size(page.bytes.len());
            *page = Page::default();
            self.vacant.push(index);
        }
    }

    /// Empties a page without elements; gives back its memory unless slots are cut from it.
    fn release(&mut self, index: u32) {
        self.walk(index, |arena, handle, _| arena.unlist(handle));
        if index != self.tail {
            self.give_up(index);
        } else if let Some(page) = self.pages.get_mut(index as usize) {
            page.used = 0;
        }
    }

    fn walk(&mut self, index: u32, mut visit: impl FnMut(&mut Self, Handle, u16)) {
        let mut at = 0;
        while let Some(page) = self.pages.get(index as usize).filter(|page| at < usize::from(page.used)) {
            let head = page.head(at);
            visit(self, Handle::new(index, at / UNIT), head);
            at += slot_bytes(head).max(UNIT);
        }
    }

    #[inline]
    fn head(&self, handle: Handle) -> u16 {
        self.pages.get(handle.page() as usize).map_or(0, |page| page.head(handle.start()))
    }

    fn set_head(&mut self, handle: Handle, head: u16) {
        if let Some(page) = self.pages.get_mut(handle.page() as usize) {
            page.set_head(handle.start(), head);
        }
    }

    fn inline_mut(&mut self, handle: Handle) -> Option<&mut [u8]> {
        let page = self.pages.get_mut(handle.page() as usize)?;
        let at = handle.start();
        let len = payload_len(page.head(at));
        page.bytes.get_mut(at + HEAD..at + HEAD + len)
    }

    /// A slot for so many bytes: a free one of the same size, or a new one.
    fn cut(&mut self, len: usize, flags: u16) -> Result<Handle, Full> {
        let head = head(len) | flags;
        let size = slot_bytes(head);
        let listed = self.free.get(size / UNIT).copied().unwrap_or(NIL);
        let handle = if listed != NIL {
            self.unlist(Handle(listed));
            Handle(listed)
        } else {
            self.cut_new(size)?
        };
        self.set_head(handle, head);
        self.live_bytes += size;
        if let Some(page) = self.pages.get_mut(handle.page() as usize) {
            page.live += size as u16;
        }
        Ok(handle)
    }

    fn cut_new(&mut self, size: usize) -> Result<Handle, Full> {
        let room = |page: &Page| page.bytes.len() - usize::from(page.used);
        if self.pages.get(self.tail as usize).is_none_or(|page| room(page) < size) {
            self.open_page()?;
        }
        let index = self.tail;
        let page = self.pages.get_mut(index as usize).ok_or(Full)?;
        let at = usize::from(page.used);
        page.used += size as u16;
        Ok(Handle::new(index, at / UNIT))
    }

    /// Takes another page to cut from, larger the more there are; what is left of the last becomes a free slot.
    fn open_page(&mut self) -> Result<(), Full> {
        let index = match self.vacant.last() {
            Some(&index) => index,
            None if self.pages.len() < MOST_PAGES => self.pages.len() as u32,
            None => return Err(Full),
        };
        self.close_tail();
        let size = malloc_size((self.page_bytes / 8).clamp(SMALLEST, PAGE));
        let page = Page { bytes: vec![0; size].into_boxed_slice(), used: 0, live: 0 };
        match self.vacant.pop() {
            Some(_) => self.pages[index as usize] = page,
            None => self.pages.push(page),
        }
        self.page_bytes += size;
        self.allocated += malloc_size(size);
        self.tail = index;
        Ok(())
    }

    fn close_tail(&mut self) {
        let Some(page) = self.pages.get_mut(self.tail as usize) else { return };
        let (at, rest) = (usize::from(page.used), page.bytes.len() - usize::from(page.used));
        if rest >= LEAST * UNIT {
            page.used += rest as u16;
            page.set_head(at, (rest / UNIT) as u16 | FREE);
            self.list(Handle::new(self.tail, at / UNIT));
        }
        if self.pages.get(self.tail as usize).is_some_and(|page| page.live == 0) {
            let index = std::mem::replace(&mut self.tail, NIL);
            self.release(index);
        }
    }

    /// Puts a free slot first in the list of its size.
    fn list(&mut self, handle: Handle) {
        let units = usize::from(self.head(handle) & UNITS_MASK);
        if units >= self.free.len() {
            self.free.reserve_exact(units + 1 - self.free.len());
            self.free.resize(units + 1, NIL);
        }
        let next = std::mem::replace(&mut self.free[units], handle.0);
        self.set_link(handle, 0, NIL);
        self.set_link(handle, 1, next);
        self.set_link(Handle(next), 0, handle.0);
    }

    /// Takes a free slot out of its list.
    fn unlist(&mut self, handle: Handle) {
        let Some(page) = self.pages.get(handle.page() as usize) else { return };
        let at = handle.start();
        let units = usize::from(page.head(at) & UNITS_MASK);
        let (before, next) = (page.link(at, 0), page.link(at, 1));
        self.set_link(Handle(next), 0, before);
        match self.free.get_mut(units) {
            Some(first) if *first == handle.0 => *first = next,
            _ => self.set_link(Handle(before), 1, next),
        }
    }

    fn set_link(&mut self, slot: Handle, which: usize, to: u32) {
        if slot.0 != NIL
            && let Some(page) = self.pages.get_mut(slot.page() as usize)
        {
            page.set_link(slot.start(), which, to);
        }
    }
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut arena = f.debug_struct("Arena");
        arena.field("pages", &(self.pages.len() - self.vacant.len())).field("page_bytes", &self.page_bytes);
        arena
            .field("live_bytes", &self.live_bytes)
            .field("large", &(self.large.len() - self.large_vacant.len()))
            .finish()
    }
}

/// The head of a slot for so many bytes, which are at most [`INLINE`].
fn head(len: usize) -> u16 {
    let units = (HEAD + len).div_ceil(UNIT).max(LEAST);
    units as u16 | ((units * UNIT - HEAD - len) as u16) << PAD_SHIFT
}

fn large_number(slot: &[u8]) -> Option<usize> {
    slot.first_chunk().map(|number| u32::from_le_bytes(*number) as usize)
}

fn fill(mut slot: &mut [u8], parts: &[&[u8]]) {
    for part in parts {
        let Some((place, rest)) = std::mem::take(&mut slot).split_at_mut_checked(part.len()) else { return };
        place.copy_from_slice(part);
        slot = rest;
    }
}

#[cfg(test)]
#[path = "arena_tests.rs"]
mod tests;
