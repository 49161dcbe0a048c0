//! An order of elements of an arena by a score (a sorted set's, or the time at which a field of a hash expires): a B+
//! tree whose inner nodes count the keys below each child, so that ranks are found and followed in O(log n).
//!
//! The tree holds scores and handles. What a handle's member is, the callers' bounds know.

use super::arena::Handle;
use super::node::{Bound, Child, Inner, Key, Leaf, NIL, Node, Nodes};

/// Ordered keys.
#[derive(Clone)]
pub(super) struct Tree {
    leaves: Nodes<Leaf>,
    inners: Nodes<Inner>,
    root: u32,
    /// Levels of inner nodes.
    height: u32,
    len: usize,
}

/// How to find a key that is to be removed.
trait Place {
    /// The child to go on in.
    fn child(&mut self, inner: &Inner) -> usize;
    /// The index of the key.
    fn key(&mut self, leaf: &Leaf) -> Option<usize>;
}

/// By its rank below a node.
struct Rank(usize);

impl Place for Rank {
    fn child(&mut self, inner: &Inner) -> usize {
        let (index, rest) = inner.select(self.0);
        self.0 = rest;
        index
    }

    fn key(&mut self, _: &Leaf) -> Option<usize> {
        Some(self.0)
    }
}

impl<F: Fn(Key) -> bool> Place for Bound<F> {
    fn child(&mut self, inner: &Inner) -> usize {
        inner.partition(self).saturating_sub(1)
    }

    fn key(&mut self, leaf: &Leaf) -> Option<usize> {
        leaf.partition(self).checked_sub(1)
    }
}

/// Whether a node is the first or last of its level.
#[derive(Clone, Copy)]
struct Edges {
    first: bool,
    last: bool,
}

impl Tree {
    /// An empty tree: one leaf.
    pub(super) fn new() -> Self {
        let mut leaves = Nodes::none();
        let root = leaves.add();
        Tree { leaves, inners: Nodes::none(), root, height: 0, len: 0 }
    }

    /// The number of keys. O(1).
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated. O(1).
    pub(super) fn memory(&self) -> usize {
        self.leaves.memory() + self.inners.memory()
    }

    /// How many keys the bound lies behind. O(log n).
    pub(super) fn rank(&self, bound: Bound<impl Fn(Key) -> bool>) -> usize {
        let (mut node, mut rank) = (self.root, 0);
        for _ in 0..self.height {
            let inner = self.inners.get(node);
            let (index, skipped) = inner.descend(&bound);
            node = inner.get(index).node;
            rank += skipped;
        }
        rank + self.leaves.get(node).partition(&bound)
    }

    /// Leaf and place of the last key before the bound. O(log n).
    fn last_of(&self, bound: &Bound<impl Fn(Key) -> bool>) -> Option<(u32, usize)> {
        let mut node = self.root;
        for _ in 0..self.height {
            let inner = self.inners.get(node);
            node = inner.get(inner.partition(bound).saturating_sub(1)).node;
        }
        Some((node, self.leaves.get(node).partition(bound).checked_sub(1)?))
    }

    /// Leaf and place of the key with a rank. O(log n).
    fn select(&self, mut rank: usize) -> (u32, usize) {
        let mut node = self.root;
        for _ in 0..self.height {
            let (index, rest) = self.inners.get(node).select(rank);
            (node, rank) = (self.inners.get(node).get(index).node, rest);
        }
        (node, rank)
    }

    /// The key with a rank. O(log n).
    pub(super) fn get(&self, rank: usize) -> Option<Key> {
        let (leaf, place) = (rank < self.len).then(|| self.select(rank))?;
        let leaf = self.leaves.get(leaf);
        (place < leaf.len()).then(|| leaf.key(place))
    }

    /// The keys with these ranks, in order or in reverse. O(log n), then O(1) a step.
    pub(super) fn iter(&self, start: usize, end: usize) -> Iter<'_> {
        let end = end.min(self.len);
        let start = start.min(end);
        Iter { tree: self, front: None, back: None, start, end }
    }

    /// Inserts a key that is not in the tree, at the bound. O(log n).
    pub(super) fn insert(&mut self, key: Key, bound: Bound<impl Fn(Key) -> bool>) {
        let edges = Edges { first: true, last: true };
        let sibling = self.insert_under(self.root, self.height, edges, key, &bound);
        self.len += 1;
        if let Some(sibling) = sibling {
            let least = self.least(self.root, self.height);
            let count = self.len as u32 - sibling.count;
            let root = self.inners.add();
            let inner = self.inners.get_mut(root);
            inner.insert(0, Child { node: self.root, least, count });
            inner.insert(1, sibling);
            (self.root, self.height) = (root, self.height + 1);
        }
    }

    /// Inserts below a node; returns its new right sibling if it had to be split.
    fn insert_under(
        &mut self,
        node: u32,
        height: u32,
        edges: Edges,
        key: Key,
        bound: &Bound<impl Fn(Key) -> bool>,
    ) -> Option<Child> {
        if height == 0 {
            return self.insert_into_leaf(node, edges, key, bound);
        }
        let inner = self.inners.get(node);
        let following = inner.partition(bound);
        let index = following.saturating_sub(1);
        let child = inner.get(index);
        let below = Edges { first: edges.first && index == 0, last: edges.last && index + 1 == inner.len() };
        let sibling = self.insert_under(child.node, height - 1, below, key, bound);
        let inner = self.inners.get_mut(node);
        if following == 0 {
            inner.set_least(0, key);
        }
        inner.set_count(index, child.count + 1 - sibling.map_or(0, |sibling| sibling.count));
        let right = insert_or_split(&mut self.inners, node, index + 1, sibling?, edges, 1)?;
        let right_inner = self.inners.get(right);
        Some(Child { node: right, least: right_inner.key(0), count: right_inner.total() })
    }

    fn insert_into_leaf(
        &mut self,
        node: u32,
        edges: Edges,
        key: Key,
        bound: &Bound<impl Fn(Key) -> bool>,
    ) -> Option<Child> {
        let leaf = self.leaves.get(node);
        let (index, next) = (leaf.partition(bound), leaf.next);
        let right = insert_or_split(&mut self.leaves, node, index, key, edges, 0)?;
        self.leaves.get_mut(node).next = right;
        if next != NIL {
            self.leaves.get_mut(next).previous = right;
        }
        let leaf = self.leaves.get_mut(right);
        (leaf.previous, leaf.next) = (node, next);
        Some(Child { node: right, least: leaf.key(0), count: leaf.len() as u32 })
    }

    fn least(&self, node: u32, height: u32) -> Key {
        if height == 0 { self.leaves.get(node).key(0) } else { self.inners.get(node).key(0) }
    }

    /// Removes the key with a rank. O(log n).
    pub(super) fn remove(&mut self, rank: usize) -> Option<Key> {
        (rank < self.len).then(|| self.remove_at(Rank(rank)))?
    }

    /// Removes the last key before the bound. O(log n).
    pub(super) fn remove_last_of(&mut self, bound: Bound<impl Fn(Key) -> bool>) -> Option<Key> {
        self.remove_at(bound)
    }

    fn remove_at(&mut self, place: impl Place) -> Option<Key> {
        if self.len == 1 && self.height > 0 {
            let key = self.get(0)?;
            self.insert_only(key);
        }
        let key = self.remove_under(self.root, self.height, place)?;
        self.len -= 1;
        if self.len == 0 {
            *self = Tree::new();
        }
        while self.height > 0 && self.inners.get(self.root).len() == 1 {
            let only = self.inners.get(self.root).get(0).node;
            self.inners.remove(self.root);
            (self.root, self.height) = (only, self.height - 1);
        }
        Some(key)
    }

    /// Makes a tree of one key as low as it can be, so that no node below the root gets empty for good.
    fn insert_only(&mut self, key: Key) {
        *self = Tree::new();
        self.leaves.get_mut(self.root).insert(0, key);
        self.len = 1;
    }

    fn remove_under(&mut self, node: u32, height: u32, mut place: impl Place) -> Option<Key> {
        if height == 0 {
            let leaf = self.leaves.get_mut(node);
            let index = place.key(leaf).filter(|index| *index < leaf.len())?;
            let key = leaf.key(index);
            leaf.remove(index);
            return Some(key);
        }
        let index = place.child(self.inners.get(node));
        let child = self.inners.get(node).get(index);
        let key = self.remove_under(child.node, height - 1, place)?;
        if child.count == 1 {
            self.inners.get_mut(node).remove(index);
            self.remove_node(child.node, height - 1);
            return Some(key);
        }
        let least = self.least(child.node, height - 1);
        let inner = self.inners.get_mut(node);
        inner.set_count(index, child.count - 1);
        inner.set_least(index, least);
        let (len, most) = match height {
            1 => (self.leaves.get(child.node).len(), Leaf::MOST),
            _ => (self.inners.get(child.node).len(), Inner::MOST),
        };
        if len < most / 3 {
            self.refill(node, height, index);
        }
        Some(key)
    }

    fn remove_node(&mut self, node: u32, height: u32) {
        if height > 0 {
            return self.inners.remove(node);
        }
        let (previous, next) = (self.leaves.get(node).previous, self.leaves.get(node).next);
        if previous != NIL {
            self.leaves.get_mut(previous).next = next;
        }
        if next != NIL {
            self.leaves.get_mut(next).previous = previous;
        }
        self.leaves.remove(node);
    }

    /// Merges a child that has become small with a neighbour, or shares the neighbour's content with it.
    fn refill(&mut self, parent: u32, height: u32, index: usize) {
        let inner = self.inners.get(parent);
        if inner.len() < 2 {
            return;
        }
        let index = index.min(inner.len() - 2);
        let (left, right) = (inner.get(index).node, inner.get(index + 1).node);
        let merged = if height == 1 {
            merge_or_share(&mut self.leaves, left, right)
        } else {
            merge_or_share(&mut self.inners, left, right)
        };
        self.recount(parent, height, index);
        if merged {
            self.inners.get_mut(parent).remove(index + 1);
            self.remove_node(right, height - 1);
        } else {
            self.recount(parent, height, index + 1);
        }
    }

    /// Sets what a node knows of a child.
    fn recount(&mut self, parent: u32, height: u32, index: usize) {
        let child = self.inners.get(parent).get(index).node;
        let count = match height {
            1 => self.leaves.get(child).len() as u32,
            _ => self.inners.get(child).total(),
        };
        let least = self.least(child, height - 1);
        let inner = self.inners.get_mut(parent);
        inner.set_count(index, count);
        inner.set_least(index, least);
    }

    /// Renames the last key before the bound: its element has moved. O(log n).
    pub(super) fn rename(&mut self, new: Handle, bound: Bound<impl Fn(Key) -> bool>) {
        let Some((leaf, place)) = self.last_of(&bound) else { return };
        let key = self.leaves.get(leaf).key(place);
        let mut node = self.root;
        for _ in 0..self.height {
            let inner = self.inners.get_mut(node);
            let index = inner.partition(&bound).saturating_sub(1);
            if inner.key(index) == key {
                inner.set_least(index, Key { item: new, ..key });
            }
            node = inner.get(index).node;
        }
        self.leaves.get_mut(leaf).set(place, Key { item: new, ..key });
    }

    /// Gives another score to the last key before `old`, if that leaves it between its neighbours in its
    /// leaf, by the bound of the new key. Else changes nothing and returns false. O(log n).
    pub(super) fn adjust(
        &mut self,
        new: Key,
        old: Bound<impl Fn(Key) -> bool>,
        bound: Bound<impl Fn(Key) -> bool>,
    ) -> bool {
        let Some((number, place)) = self.last_of(&old) else { return false };
        let leaf = self.leaves.get_mut(number);
        // The first key of a leaf is known to the nodes above; it takes the long way.
        let fits = place > 0
            && place + 1 < leaf.len()
            && (bound.before)(leaf.key(place - 1))
            && !(bound.before)(leaf.key(place + 1));
        if fits {
            leaf.set(place, new);
        }
        fits
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tree({})", self.len())
    }
}

/// Inserts into a node, or splits it and inserts into a half; returns the new right half.
///
/// At the edges of the tree nothing is moved to the new half but the new entry, so that keys that arrive in order fill
/// their nodes. `head` is the index at which the first edge grows.
fn insert_or_split<T: Node>(
    nodes: &mut Nodes<T>,
    node: u32,
    index: usize,
    entry: T::Entry,
    edges: Edges,
    head: usize,
) -> Option<u32> {
    let full = nodes.get(node).len() == T::MOST;
    if !full {
        nodes.get_mut(node).insert(index, entry);
        return None;
    }
    let at = match index {
        _ if edges.last && index == T::MOST => T::MOST,
        _ if edges.first && index == head => head,
        _ => T::MOST / 2,
    };
    let right = nodes.add();
    let (left_node, right_node) = nodes.pair(node, right);
    left_node.split_off(at, right_node);
    if index <= at && at < T::MOST {
        left_node.insert(index, entry);
    } else {
        right_node.insert(index - at, entry);
    }
    Some(right)
}

/// Moves all of the right node into the left one if that leaves some room, else shares evenly. Tells which.
fn merge_or_share<T: Node>(nodes: &mut Nodes<T>, left: u32, right: u32) -> bool {
    let (left, right) = nodes.pair(left, right);
    let (few, sum) = (left.len(), left.len() + right.len());
    if sum <= T::MOST * 3 / 4 {
        right.split_off(0, left);
        return true;
    }
    let half = sum / 2;
    let mut rest = T::new();
    if few < half {
        right.split_off(half - few, &mut rest);
        right.split_off(0, left);
    } else {
        right.split_off(0, &mut rest);
        left.split_off(half, right);
    }
    rest.split_off(0, right);
    false
}

/// Keys of successive ranks.
#[derive(Clone)]
pub(super) struct Iter<'a> {
    tree: &'a Tree,
    /// Leaf and place of the next key, and of the one after the last: each searched when first needed.
    front: Option<(u32, usize)>,
    back: Option<(u32, usize)>,
    start: usize,
    end: usize,
}

impl Iterator for Iter<'_> {
    type Item = Key;

    #[inline]
    fn next(&mut self) -> Option<Key> {
        if self.start >= self.end {
            return None;
        }
        let (mut node, mut place) = self.front.unwrap_or_else(|| self.tree.select(self.start));
        let mut leaf = self.tree.leaves.get(node);
        if place >= leaf.len() {
            (node, place) = (leaf.next, 0);
            leaf = self.tree.leaves.get(node);
        }
        self.front = Some((node, place + 1));
        self.start += 1;
        Some(leaf.key(place))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.start);
        (left, Some(left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Key> {
        if self.start >= self.end {
            return None;
        }
        let (mut node, mut place) = self.back.unwrap_or_else(|| {
            let (node, place) = self.tree.select(self.end - 1);
            (node, place + 1)
        });
        let mut leaf = self.tree.leaves.get(node);
        if place == 0 {
            node = leaf.previous;
            leaf = self.tree.leaves.get(node);
            place = leaf.len();
        }
        self.back = Some((node, place - 1));
        self.end -= 1;
        Some(leaf.key(place - 1))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
