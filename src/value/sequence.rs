//! A counted B+tree: items in order, found by rank or by key, edited in place.
//!
//! Lists keep their packed chunks in it, streams their packed nodes and their pending entries. Each item has a weight
//! (entries inside it), so a rank over all entries is found in O(log n). Full leaves are left behind by appending, so
//! that what grows at its end takes no more memory than a plain array of blocks.

use super::memory::vec_size;

/// Items of a leaf, and children of an inner node.
const FAN_OUT: usize = 32;

/// What a [`Tree`] holds.
pub(crate) trait Counted {
    /// What the items are ordered by; `()` where only the rank matters.
    type Key: Ord + Copy + std::fmt::Debug;

    /// Does not change while the item is in the tree, and is larger than that of the item before.
    fn key(&self) -> Self::Key;

    /// Entries inside the item: at least one while it is in a tree.
    fn weight(&self) -> u64;

    /// Bytes that the item owns besides its own size, as the allocator counts them.
    fn heap(&self) -> usize;
}

/// Where to go in a [`Tree`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seek<K> {
    /// The item that has the entry of this rank; the last item if the rank is beyond the end.
    Rank(u64),
    /// The last item whose key is not above this one; the first item if all are above.
    Key(K),
    /// The last item.
    Last,
}

/// An item found, with its neighbours in the same leaf.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a, T> {
    pub leaf: &'a [T],
    pub slot: usize,
    /// The rank of the item's first entry.
    pub rank: u64,
}

/// A place in a leaf that is being edited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub slot: usize,
    /// The rank of the first entry of the item at the slot.
    pub rank: u64,
}

/// The tree. An empty one owns no memory.
#[derive(Debug)]
pub(crate) struct Tree<T: Counted> {
    root: Node<T>,
    totals: Totals,
}

#[derive(Clone, Debug)]
enum Node<T: Counted> {
    Leaf(Vec<T>),
    Inner(Vec<Branch<T>>),
}

#[derive(Clone, Debug)]
struct Branch<T: Counted> {
    /// The key of the first item below.
    key: T::Key,
    /// Entries below.
    weight: u64,
    node: Node<T>,
}

/// What is counted over the whole tree.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    items: usize,
    weight: u64,
    /// Bytes of the nodes and of what the items own.
    memory: usize,
}

impl<T: Counted + Clone> Clone for Tree<T> {
    /// Copies the items. The copy's nodes have no room to spare, so that its memory is counted anew.
    fn clone(&self) -> Self {
        let root = self.root.clone();
        Tree { totals: Totals { memory: root.memory(), ..self.totals }, root }
    }
}

impl<T: Counted> Default for Tree<T> {
    fn default() -> Self {
        Tree { root: Node::Leaf(Vec::new()), totals: Totals::default() }
    }
}

impl<T: Counted> Tree<T> {
    /// Items in the tree.
    pub(crate) fn items(&self) -> usize {
        self.totals.items
    }

    /// Entries in all items.
    pub(crate) fn weight(&self) -> u64 {
        self.totals.weight
    }

    /// Whether there is no item.
    pub(crate) fn is_empty(&self) -> bool {
        self.totals.items == 0
    }

    /// Bytes that the nodes take and the items own. O(1).
    pub(crate) fn memory(&self) -> usize {
        self.totals.memory
    }

    /// The item at `seek`; `None` only if the tree is empty. O(log n).
    pub(crate) fn find(&self, seek: Seek<T::Key>) -> Option<Found<'_, T>> {
        let (mut node, mut seek, mut rank) = (&self.root, seek, 0);
        loop {
            match node {
                Node::Leaf(leaf) => {
                    let (slot, before) = slot_of(leaf, seek, T::key, T::weight)?;
                    return Some(Found { leaf, slot, rank: rank + before });
                }
                Node::Inner(branches) => {
                    let (slot, before) = slot_of(branches, seek, |branch| branch.key, |branch| branch.weight)?;
                    rank += before;
                    seek = descend(seek, before);
                    node = &branches[slot].node;
                }
            }
        }
    }

    /// Lets `change` change the item at `seek`, given its leaf and slot: it may change, insert and remove items around
    /// that slot as long as keys stay ascending and at most `FAN_OUT` items are added. O(log n + change).
    ///
    /// An empty tree has one empty leaf, with slot 0.
    pub(crate) fn edit<R>(&mut self, seek: Seek<T::Key>, change: impl FnOnce(&mut Vec<T>, At) -> R) -> R {
        let at = At { slot: 0, rank: 0 };
        let result = self.root.edit(seek, at, &mut self.totals, change);
        if self.root.len() > FAN_OUT {
            self.deepen();
        }
        self.flatten();
        result
    }

    /// Inserts an item at the place of its key, instead of one that has the same key. O(log n).
    pub(crate) fn insert(&mut self, item: T) -> Option<T> {
        self.edit(Seek::Key(item.key()), |leaf, at| {
            let slot = match leaf.get_mut(at.slot) {
                Some(found) if found.key() == item.key() => return Some(std::mem::replace(found, item)),
                Some(found) if found.key() < item.key() => at.slot + 1,
                _ => at.slot,
            };
            leaf.insert(slot, item);
            None
        })
    }

    /// Appends an item. O(log n).
    pub(crate) fn push_back(&mut self, item: T) {
        self.edit(Seek::Last, |leaf, _| leaf.push(item));
    }

    /// Prepends an item. O(log n).
    pub(crate) fn push_front(&mut self, item: T) {
        self.edit(Seek::Rank(0), |leaf, _| leaf.insert(0, item));
    }

    /// Removes the first item. O(log n).
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        self.edit(Seek::Rank(0), |leaf, _| (!leaf.is_empty()).then(|| leaf.remove(0)))
    }

    /// Removes the last item. O(log n).
    pub(crate) fn pop_back(&mut self) -> Option<T> {
        self.edit(Seek::Last, |leaf, _| leaf.pop())
    }

    /// The item of this key. O(log n).
    pub(crate) fn get(&self, key: T::Key) -> Option<&T> {
        let found = self.find(Seek::Key(key))?;
        found.leaf.get(found.slot).filter(|item| item.key() == key)
    }

    /// Removes the item of this key. O(log n).
    pub(crate) fn remove(&mut self, key: T::Key) -> Option<T> {
        self.edit(Seek::Key(key), |leaf, at| {
            let found = leaf.get(at.slot).is_some_and(|item| item.key() == key);
            found.then(|| leaf.remove(at.slot))
        })
    }

    /// The items from the first whose key is not below `from`, ascending. O(log n) to start and once a leaf.
    pub(crate) fn range(&self, from: T::Key) -> Items<'_, T> {
        let mut items = Items { tree: self, found: self.find(Seek::Key(from)) };
        if items.peek().is_some_and(|item| item.key() < from) {
            items.next();
        }
        items
    }

    /// All items, ascending.
    pub(crate) fn iter(&self) -> Items<'_, T> {
        Items { tree: self, found: self.find(Seek::Rank(0)) }
    }

    /// Puts a root above two halves of the overfull one.
    fn deepen(&mut self) {
        let mut old = std::mem::replace(&mut self.root, Node::Leaf(Vec::new()));
        let right = old.split(true, &mut self.totals.memory);
        let mut branches = Vec::with_capacity(4);
        branches.extend([old, right].into_iter().filter_map(Branch::over));
        self.totals.memory += vec_size(&branches);
        self.root = Node::Inner(branches);
    }

    /// Removes roots with a single child, and the memory of an empty tree.
    fn flatten(&mut self) {
        loop {
            match &mut self.root {
                Node::Inner(branches) if branches.len() <= 1 => {
                    self.totals.memory -= vec_size(branches);
                    let child = branches.pop().map_or_else(|| Node::Leaf(Vec::new()), |branch| branch.node);
                    self.root = child;
                }
                Node::Leaf(leaf) if leaf.is_empty() && leaf.capacity() > 0 => {
                    self.totals.memory -= vec_size(leaf);
                    *leaf = Vec::new();
                }
                _ => return,
            }
        }
    }
}

impl<T: Counted> Node<T> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(branches) => branches.len(),
        }
    }

    /// Bytes that the node, all below and the items own, counted one by one.
    fn memory(&self) -> usize {
        match self {
            Node::Leaf(items) => Totals::of(items).memory,
            Node::Inner(branches) => {
                vec_size(branches) + branches.iter().map(|branch| branch.node.memory()).sum::<usize>()
            }
        }
    }

    fn edit<R>(
        &mut self,
        seek: Seek<T::Key>,
        mut at: At,
        totals: &mut Totals,
        change: impl FnOnce(&mut Vec<T>, At) -> R,
    ) -> R {
        match self {
            Node::Leaf(leaf) => {
                let (slot, before) = slot_of(leaf, seek, T::key, T::weight).unwrap_or((0, 0));
                at.slot = slot;
                at.rank += before;
                let old = Totals::of(leaf);
                let result = change(leaf, at);
                totals.replace(old, Totals::of(leaf));
                result
            }
            Node::Inner(branches) => {
                let found = slot_of(branches, seek, |branch| branch.key, |branch| branch.weight);
                let (slot, before) = found.unwrap_or((0, 0));
                at.rank += before;
                let weight = totals.weight;
                let branch = &mut branches[slot];
                let result = branch.node.edit(descend(seek, before), at, totals, change);
                // All that changed is below this branch.
                branch.weight = branch.weight.wrapping_add(totals.weight.wrapping_sub(weight));
                mend(branches, slot, &mut totals.memory);
                result
            }
        }
    }

    /// Takes the upper half of an overfull node. Of the last one it takes only what is beyond the fan-out: it grows at
    /// its end, so a half would stay half empty.
    fn split(&mut self, last: bool, memory: &mut usize) -> Node<T> {
        fn half<E>(node: &mut Vec<E>, last: bool, memory: &mut usize) -> Vec<E> {
            let at = if last { FAN_OUT } else { node.len() / 2 };
            let old = vec_size(node);
            let mut right = node.split_off(at);
            node.shrink_to(FAN_OUT);
            // Room for a few more, because a leaf that was appended to will be again.
            right.reserve(4);
            *memory = *memory - old + vec_size(node) + vec_size(&right);
            right
        }
        match self {
            Node::Leaf(items) => Node::Leaf(half(items, last, memory)),
            Node::Inner(branches) => Node::Inner(half(branches, last, memory)),
        }
    }

    /// Appends the other node, which is of the same depth and empty afterwards.
    fn absorb(&mut self, other: Node<T>, memory: &mut usize) {
        fn append<E>(node: &mut Vec<E>, mut other: Vec<E>, memory: &mut usize) {
            *memory -= vec_size(node) + vec_size(&other);
            node.append(&mut other);
            *memory += vec_size(node);
        }
        match (self, other) {
            (Node::Leaf(items), Node::Leaf(others)) => append(items, others, memory),
            (Node::Inner(branches), Node::Inner(others)) => append(branches, others, memory),
            // All leaves are at one depth.
            _ => debug_assert!(false, "nodes of two depths are neighbours"),
        }
    }
}

impl<T: Counted> Branch<T> {
    /// A branch over a node that was built; `None` if the node is empty.
    fn over(node: Node<T>) -> Option<Self> {
        let (key, weight) = match &node {
            Node::Leaf(items) => (items.first()?.key(), items.iter().map(T::weight).sum()),
            Node::Inner(branches) => (branches.first()?.key, branches.iter().map(|branch| branch.weight).sum()),
        };
        Some(Branch { key, weight, node })
    }
}

impl Totals {
    fn of<T: Counted>(leaf: &Vec<T>) -> Self {
        let (weight, heap) =
            leaf.iter().fold((0, 0), |(weight, heap), item| (weight + item.weight(), heap + item.heap()));
        Totals { items: leaf.len(), weight, memory: vec_size(leaf) + heap }
    }

    fn replace(&mut self, old: Totals, new: Totals) {
        self.items = self.items - old.items + new.items;
        self.weight = self.weight - old.weight + new.weight;
        self.memory = self.memory - old.memory + new.memory;
    }
}

/// Repairs the branch at `slot` after a change below: its key, its size and that of its neighbours.
fn mend<T: Counted>(branches: &mut Vec<Branch<T>>, slot: usize, memory: &mut usize) {
    let first = match &branches[slot].node {
        Node::Leaf(items) => items.first().map(T::key),
        Node::Inner(below) => below.first().map(|branch| branch.key),
    };
    let Some(key) = first else {
        let empty = branches.remove(slot);
        *memory -= match &empty.node {
            Node::Leaf(items) => vec_size(items),
            Node::Inner(below) => vec_size(below),
        };
        return;
    };
    branches[slot].key = key;
    if branches[slot].node.len() > FAN_OUT {
        let last = slot + 1 == branches.len();
        let node = branches[slot].node.split(last, memory);
        let Some(right) = Branch::over(node) else { return };
        branches[slot].weight -= right.weight;
        *memory -= vec_size(branches);
        branches.insert(slot + 1, right);
        *memory += vec_size(branches);
    }
    if branches[slot].node.len() < FAN_OUT / 4 {
        merge(branches, slot, memory);
    }
}

/// Joins a small node with a neighbour if both together leave room to grow.
fn merge<T: Counted>(branches: &mut Vec<Branch<T>>, slot: usize, memory: &mut usize) {
    let fits = |left: usize| {
        let pair = branches.get(left).zip(branches.get(left + 1));
        pair.is_some_and(|(left, right)| left.node.len() + right.node.len() <= FAN_OUT * 3 / 4)
    };
    let left = match slot.checked_sub(1) {
        Some(before) if fits(before) => before,
        _ if fits(slot) => slot,
        _ => return,
    };
    let right = branches.remove(left + 1);
    branches[left].weight += right.weight;
    branches[left].node.absorb(right.node, memory);
}

/// The slot that `seek` leads to, and the weight before it; `None` if there is none.
fn slot_of<E, K: Ord + Copy>(
    slots: &[E],
    seek: Seek<K>,
    key: impl Fn(&E) -> K,
    weight: impl Fn(&E) -> u64,
) -> Option<(usize, u64)> {
    let last = slots.len().checked_sub(1)?;
    let slot = match seek {
        Seek::Rank(rank) => {
            let mut before = 0;
            for (slot, entry) in slots.iter().enumerate() {
                let weight = weight(entry);
                if rank - before < weight || slot == last {
                    return Some((slot, before));
                }
                before += weight;
            }
            last
        }
        Seek::Key(wanted) => slots.partition_point(|entry| key(entry) <= wanted).saturating_sub(1),
        Seek::Last => last,
    };
    Some((slot, slots[..slot].iter().map(weight).sum()))
}

/// The same place seen from the child before which `before` entries lie.
fn descend<K>(seek: Seek<K>, before: u64) -> Seek<K> {
    match seek {
        Seek::Rank(rank) => Seek::Rank(rank - before),
        other => other,
    }
}

/// Items in ascending order.
#[derive(Clone, Debug)]
pub(crate) struct Items<'a, T: Counted> {
    tree: &'a Tree<T>,
    found: Option<Found<'a, T>>,
}

impl<'a, T: Counted> Items<'a, T> {
    /// The item that `next` will return.
    pub(crate) fn peek(&self) -> Option<&'a T> {
        let found = self.found.as_ref()?;
        found.leaf.get(found.slot)
    }
}

impl<'a, T: Counted> Iterator for Items<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        let found = self.found.as_mut()?;
        let item = found.leaf.get(found.slot)?;
        found.rank += item.weight();
        found.slot += 1;
        if found.slot == found.leaf.len() {
            let rank = found.rank;
            self.found = if rank < self.tree.weight() { self.tree.find(Seek::Rank(rank)) } else { None };
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests;
