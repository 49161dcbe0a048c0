//! A set of many members: each in an arena, found by a table.

use crate::value::Full;
use crate::value::arena::{Arena, Handle};
use crate::value::table::{self, Table, hash};

#[derive(Clone, Debug)]
pub(super) struct Large {
    arena: Arena,
    table: Table,
}

impl Large {
    pub(super) fn new() -> Self {
        Large { arena: Arena::new(), table: Table::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn memory(&self) -> usize {
        self.arena.memory() + self.table.memory()
    }

    #[inline]
    fn find(&self, hash: u64, member: &[u8]) -> Option<Handle> {
        self.table.find(hash, |handle| self.arena.get(handle) == member)
    }

    pub(super) fn contains(&self, member: &[u8]) -> bool {
        self.find(hash(member), member).is_some()
    }

    pub(super) fn insert(&mut self, member: &[u8]) -> Result<bool, Full> {
        let hash = hash(member);
        if self.find(hash, member).is_some() {
            return Ok(false);
        }
        if self.len() >= u32::MAX as usize {
            return Err(Full);
        }
        let handle = self.arena.insert(&[member], false)?;
        self.table.insert(hash, handle, |handle| self::hash(self.arena.get(handle)));
        Ok(true)
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let hash = hash(member);
        let Some(handle) = self.find(hash, member) else { return false };
        self.forget(hash, handle);
        true
    }

    fn forget(&mut self, hash: u64, handle: Handle) {
        self.table.remove(hash, handle);
        self.arena.remove(handle);
        while let Some(page) = self.arena.sparse() {
            self.clear_page(page);
        }
    }

    /// Moves the members of a page elsewhere.
    fn clear_page(&mut self, page: u32) {
        for old in self.arena.live(page) {
            // If there is no room elsewhere, the rest stays.
            let Ok(new) = self.arena.duplicate(old) else { return self.arena.keep(page) };
            self.table.replace(hash(self.arena.get(new)), old, new);
            self.arena.vacate(old);
        }
        self.arena.give_up(page);
    }

    pub(super) fn random(&self, bits: impl FnMut() -> u64) -> Option<&[u8]> {
        self.table.random(bits).map(|handle| self.arena.get(handle))
    }

    pub(super) fn pop(&mut self, bits: impl FnMut() -> u64) -> Option<Vec<u8>> {
        let handle = self.table.random(bits)?;
        let member = self.arena.get(handle).to_vec();
        self.forget(hash(&member), handle);
        Some(member)
    }

    pub(super) fn retain(&mut self, keep: &mut impl FnMut(&[u8]) -> bool) {
        let gone: Vec<_> = self.table.iter().filter(|handle| !keep(self.arena.get(*handle))).collect();
        // Their page may only be cleared when all have gone: that would change the handles.
        for handle in gone {
            self.table.remove(hash(self.arena.get(handle)), handle);
            self.arena.remove(handle);
        }
        // A page filled by clearing another is not sparse any more; clearing one that is not would do no harm.
        self.arena.all_sparse().into_iter().for_each(|page| self.clear_page(page));
    }

    pub(super) fn scan(&self, cursor: u64, mut visit: impl FnMut(&[u8])) -> u64 {
        self.table.scan(cursor, |handle| visit(self.arena.get(handle)))
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { arena: &self.arena, handles: self.table.iter() }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    arena: &'a Arena,
    handles: table::Iter<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.handles.next().map(|handle| self.arena.get(handle))
    }
}
