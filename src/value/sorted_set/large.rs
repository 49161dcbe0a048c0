//! A sorted set of many members: each member once in an arena, with its score; a table finds it, a tree orders it.

use std::ops::Range;

use crate::value::Full;
use crate::value::arena::{Arena, Handle};
use crate::value::node::{Bound, Key};
use crate::value::scores::{LexRange, Score, ScoreRange};
use crate::value::table::{Table, hash};
use crate::value::tree::{self, Tree};

/// Bytes of the score in front of a member.
const SCORE: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Large {
    arena: Arena,
    table: Table,
    tree: Tree,
}

#[inline]
fn member(arena: &Arena, handle: Handle) -> &[u8] {
    arena.get(handle).get(SCORE..).unwrap_or_default()
}

#[inline]
fn score(arena: &Arena, handle: Handle) -> Score {
    let bytes = arena.get(handle).first_chunk().copied().unwrap_or_default();
    Score::new(f64::from_le_bytes(bytes)).unwrap_or_default()
}

/// Before a score and member. Members are read only where scores are equal, and not that of `own`, the handle of the
/// member itself if it is in the set.
#[inline]
fn before<'a>(
    arena: &'a Arena,
    score: Score,
    text: &'a [u8],
    own: Option<Handle>,
) -> Bound<impl Fn(Key) -> bool + use<'a>> {
    let before = move |key: Key| {
        key.score < score || key.score == score && Some(key.item) != own && member(arena, key.item) < text
    };
    Bound { score: Some(score), before }
}

/// Behind a score and member in the set.
#[inline]
fn behind<'a>(arena: &'a Arena, score: Score, text: &'a [u8], own: Handle) -> Bound<impl Fn(Key) -> bool + use<'a>> {
    let before =
        move |key: Key| key.score < score || key.score == score && (key.item == own || member(arena, key.item) < text);
    Bound { score: Some(score), before }
}

impl Large {
    pub(super) fn new() -> Self {
        Large { arena: Arena::new(), table: Table::new(), tree: Tree::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    pub(super) fn memory(&self) -> usize {
        self.arena.memory() + self.table.memory() + self.tree.memory()
    }

    #[inline]
    fn find(&self, hash: u64, text: &[u8]) -> Option<Handle> {
        self.table.find(hash, |handle| member(&self.arena, handle) == text)
    }

    pub(super) fn score(&self, text: &[u8]) -> Option<Score> {
        self.find(hash(text), text).map(|handle| score(&self.arena, handle))
    }

    pub(super) fn update(
        &mut self,
        text: &[u8],
        decide: impl FnOnce(Option<Score>) -> Option<Score>,
    ) -> Result<(), Full> {
        let hash = hash(text);
        let found = self.find(hash, text);
        let old = found.map(|handle| score(&self.arena, handle));
        let Some(new) = decide(old) else { return Ok(()) };
        match (found, old) {
            (Some(handle), Some(old)) => self.change(handle, text, old, new),
            _ => self.add(hash, text, new)?,
        }
        Ok(())
    }

    fn add(&mut self, hash: u64, text: &[u8], score: Score) -> Result<(), Full> {
        if self.len() >= u32::MAX as usize {
            return Err(Full);
        }
        let item = self.arena.insert(&[&score.value().to_le_bytes(), text], false)?;
        let Large { arena, table, tree } = self;
        table.insert(hash, item, |handle| self::hash(member(arena, handle)));
        tree.insert(Key { score, item }, before(arena, score, text, None));
        Ok(())
    }

    fn change(&mut self, item: Handle, text: &[u8], old: Score, new: Score) {
        if old == new {
            return;
        }
        let Large { arena, tree, .. } = self;
        let key = Key { score: new, item };
        if !tree.adjust(key, behind(arena, old, text, item), before(arena, new, text, None)) {
            tree.remove_last_of(behind(arena, old, text, item));
            tree.insert(key, before(arena, new, text, None));
        }
        if let Some(bytes) = arena.get_mut(item).first_chunk_mut() {
            *bytes = new.value().to_le_bytes();
        }
    }

    pub(super) fn remove(&mut self, text: &[u8]) -> Option<Score> {
        let hash = hash(text);
        let handle = self.find(hash, text)?;
        let score = score(&self.arena, handle);
        self.tree.remove_last_of(behind(&self.arena, score, text, handle));
        self.forget(hash, handle);
        Some(score)
    }

    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        for _ in ranks.clone() {
            let Some(key) = self.tree.remove(ranks.start) else { return };
            self.forget(hash(member(&self.arena, key.item)), key.item);
        }
    }

    /// Removes an element that is no longer in the tree.
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
            let (text, score) = (member(&self.arena, new), score(&self.arena, new));
            self.table.replace(hash(text), old, new);
            self.tree.rename(new, behind(&self.arena, score, text, old));
            self.arena.vacate(old);
        }
        self.arena.give_up(page);
    }

    pub(super) fn rank(&self, text: &[u8]) -> Option<(usize, Score)> {
        let handle = self.find(hash(text), text)?;
        let score = score(&self.arena, handle);
        Some((self.tree.rank(before(&self.arena, score, text, Some(handle))), score))
    }

    pub(super) fn ranks_of_scores(&self, range: &ScoreRange) -> Range<usize> {
        let start = Bound { score: Some(range.min), before: |key: Key| range.starts_after(key.score) };
        let end = Bound { score: Some(range.max), before: |key: Key| !range.ends_before(key.score) };
        let start = self.tree.rank(start);
        start..self.tree.rank(end).max(start)
    }

    pub(super) fn ranks_of_members(&self, range: &LexRange<'_>) -> Range<usize> {
        let start = Bound { score: None, before: |key: Key| range.starts_after(member(&self.arena, key.item)) };
        let end = Bound { score: None, before: |key: Key| !range.ends_before(member(&self.arena, key.item)) };
        let start = self.tree.rank(start);
        start..self.tree.rank(end).max(start)
    }

    pub(super) fn iter(&self, ranks: Range<usize>) -> Iter<'_> {
        Iter { arena: &self.arena, keys: self.tree.iter(ranks.start, ranks.end) }
    }

    pub(super) fn scan(&self, cursor: u64, mut visit: impl FnMut(&[u8], Score)) -> u64 {
        self.table.scan(cursor, |handle| visit(member(&self.arena, handle), score(&self.arena, handle)))
    }
}

#[derive(Clone)]
pub(super) struct Iter<'a> {
    arena: &'a Arena,
    keys: tree::Iter<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], Score);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.keys.next().map(|key| (member(self.arena, key.item), key.score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.keys.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.keys.next_back().map(|key| (member(self.arena, key.item), key.score))
    }
}
