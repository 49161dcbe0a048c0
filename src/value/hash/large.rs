//! A hash of many fields: each with its value in an arena, found by a table. Where fields expire, a tree orders them by
//! time; a hash without such fields has none.

use super::{Expiry, Field, Millis};
use crate::value::arena::{Arena, Handle};
use crate::value::memory::box_size;
use crate::value::node::{Bound, Key};
use crate::value::scores::Score;
use crate::value::table::{self, Table, hash};
use crate::value::tree::Tree;
use crate::value::{Full, Item};

/// Bytes of the time in front of a field that expires. Such elements are marked.
const TIME: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Large {
    arena: Arena,
    table: Table,
    times: Option<Box<Tree>>,
}

/// An element's parts: what is in the arena is the time, if marked, the length of the name, the name and the value.
#[derive(Clone, Copy)]
struct Parts<'a> {
    time: Option<Millis>,
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Parts<'a> {
    #[inline]
    fn of(arena: &'a Arena, handle: Handle) -> Self {
        let mut bytes = arena.get(handle);
        let mut time = None;
        if arena.is_marked(handle)
            && let Some((first, rest)) = bytes.split_first_chunk::<TIME>()
        {
            (time, bytes) = (Some(Millis::from_le_bytes(*first)), rest);
        }
        let (len, rest) = match *bytes {
            [len @ 0..=0x7f, ref rest @ ..] => (usize::from(len), rest),
            [a, b, c, d, ref rest @ ..] => (u32::from_be_bytes([a & 0x7f, b, c, d]) as usize, rest),
            _ => (0, &[][..]),
        };
        let (name, value) = rest.split_at_checked(len).unwrap_or_default();
        Parts { time, name, value }
    }

    fn field(self) -> Field<'a> {
        Field { name: Item::text(self.name), value: Item::text(self.value), expires_at: self.time }
    }
}

#[inline]
fn name(arena: &Arena, handle: Handle) -> &[u8] {
    Parts::of(arena, handle).name
}

/// The length of a name: one byte, or four of which the first is marked.
fn encode_len(name: &[u8], bytes: &mut [u8; 4]) -> Result<usize, Full> {
    match name.len() {
        len @ 0..=0x7f => {
            bytes[0] = len as u8;
            Ok(1)
        }
        len @ 0x80..=0x7fff_ffff => {
            *bytes = (len as u32 | 1 << 31).to_be_bytes();
            Ok(4)
        }
        _ => Err(Full),
    }
}

/// Times are at most 48 bits long, which a score holds exactly.
fn key(time: Millis, item: Handle) -> Key {
    Key { score: Score::new(time as f64).unwrap_or_default(), item }
}

fn order(key: Key) -> (Score, Handle) {
    (key.score, key.item)
}

impl Large {
    pub(super) fn new() -> Self {
        Large { arena: Arena::new(), table: Table::new(), times: None }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn memory(&self) -> usize {
        let times = self.times.as_ref().map_or(0, |times| box_size::<Tree>() + times.memory());
        self.arena.memory() + self.table.memory() + times
    }

    #[inline]
    fn find(&self, hash: u64, text: &[u8]) -> Option<Handle> {
        self.table.find(hash, |handle| name(&self.arena, handle) == text)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<(Item<'_>, Option<Millis>)> {
        let parts = Parts::of(&self.arena, self.find(hash(name), name)?);
        Some((Item::text(parts.value), parts.time))
    }

    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], expiry: Expiry) -> Result<bool, Full> {
        let hash = hash(name);
        let found = self.find(hash, name);
        let old = found.and_then(|handle| Parts::of(&self.arena, handle).time);
        let time = expiry.apply(old);
        let handle = self.write(hash, found, name, value, time)?;
        self.order(found.zip(old), time.map(|time| (handle, time)));
        self.settle();
        Ok(found.is_none())
    }

    pub(super) fn set_expiry(&mut self, name: &[u8], time: Option<Millis>) -> Result<(), Full> {
        let hash = hash(name);
        let Some(old) = self.find(hash, name) else { return Ok(()) };
        let parts = Parts::of(&self.arena, old);
        let (old_time, value) = (parts.time, parts.value.to_vec());
        let handle = self.write(hash, Some(old), name, &value, time)?;
        self.order(Some(old).zip(old_time), time.map(|time| (handle, time)));
        self.settle();
        Ok(())
    }

    /// Stores a field, in the place of an old handle if there is one.
    fn write(
        &mut self,
        hash: u64,
        old: Option<Handle>,
        name: &[u8],
        value: &[u8],
        time: Option<Millis>,
    ) -> Result<Handle, Full> {
        let (mut len, time_bytes) = ([0; 4], time.unwrap_or(0).to_le_bytes());
        let used = encode_len(name, &mut len)?;
        let time_bytes: &[u8] = if time.is_some() { &time_bytes } else { &[] };
        let parts = [time_bytes, &len[..used], name, value];
        let Some(old) = old else {
            if self.len() >= u32::MAX as usize {
                return Err(Full);
            }
            let handle = self.arena.insert(&parts, time.is_some())?;
            let arena = &self.arena;
            self.table.insert(hash, handle, |handle| self::hash(self::name(arena, handle)));
            return Ok(handle);
        };
        let new = self.arena.rewrite(old, &parts, time.is_some())?;
        if new != old {
            self.table.replace(hash, old, new);
        }
        Ok(new)
    }

    /// Takes a field's old time out of the order, and puts in its new one.
    fn order(&mut self, old: Option<(Handle, Millis)>, new: Option<(Handle, Millis)>) {
        if old == new {
            return;
        }
        if let (Some((handle, time)), Some(times)) = (old, &mut self.times) {
            let gone = key(time, handle);
            times.remove_last_of(Bound { score: Some(gone.score), before: |key| order(key) <= order(gone) });
        }
        if let Some((handle, time)) = new {
            let added = key(time, handle);
            let times = self.times.get_or_insert_with(|| Box::new(Tree::new()));
            times.insert(added, Bound { score: Some(added.score), before: |key| order(key) < order(added) });
        }
        self.times.take_if(|times| times.len() == 0);
    }

    pub(super) fn soonest(&self) -> Option<Millis> {
        self.times.as_ref()?.get(0).map(|key| key.score.value() as Millis)
    }

    pub(super) fn volatile(&self) -> usize {
        self.times.as_ref().map_or(0, |times| times.len())
    }

    pub(super) fn remove_soonest(&mut self, removed: &mut impl FnMut(Field<'_>)) -> bool {
        let Some(key) = self.times.as_ref().and_then(|times| times.get(0)) else { return false };
        removed(Parts::of(&self.arena, key.item).field());
        self.forget(hash(name(&self.arena, key.item)), key.item);
        true
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let hash = hash(name);
        let Some(handle) = self.find(hash, name) else { return false };
        self.forget(hash, handle);
        true
    }

    fn forget(&mut self, hash: u64, handle: Handle) {
        let time = Parts::of(&self.arena, handle).time;
        self.order(time.map(|time| (handle, time)), None);
        self.table.remove(hash, handle);
        self.arena.remove(handle);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(page) = self.arena.sparse() {
            self.clear_page(page);
        }
    }

    /// Moves the fields of a page elsewhere.
    fn clear_page(&mut self, page: u32) {
        for old in self.arena.live(page) {
            // If there is no room elsewhere, the rest stays.
            let Ok(new) = self.arena.duplicate(old) else { return self.arena.keep(page) };
            let parts = Parts::of(&self.arena, new);
            self.table.replace(hash(parts.name), old, new);
            if let Some(time) = parts.time {
                self.order(Some((old, time)), Some((new, time)));
            }
            self.arena.vacate(old);
        }
        self.arena.give_up(page);
    }

    pub(super) fn random(&self, bits: impl FnMut() -> u64) -> Option<Field<'_>> {
        self.table.random(bits).map(|handle| Parts::of(&self.arena, handle).field())
    }

    pub(super) fn scan(&self, cursor: u64, mut visit: impl FnMut(Field<'_>)) -> u64 {
        self.table.scan(cursor, |handle| visit(Parts::of(&self.arena, handle).field()))
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
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        self.handles.next().map(|handle| Parts::of(self.arena, handle).field())
    }
}
