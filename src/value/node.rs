//! The nodes of a tree.
//!
//! A leaf is 768 bytes, an inner node 1024: classes of the allocator.

use super::arena::Handle;
use super::memory::{box_size, vec_size};
use super::scores::Score;

/// Keys of a leaf.
pub(super) const LEAF: usize = 63;
/// Children of an inner node.
pub(super) const INNER: usize = 51;
/// No node.
pub(super) const NIL: u32 = u32::MAX;

/// What is ordered: by score, then by the member that the handle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) score: Score,
    pub(super) item: Handle,
}

/// Neighbouring keys, and the way to the next.
#[derive(Clone)]
pub(super) struct Leaf {
    scores: [Score; LEAF],
    items: [Handle; LEAF],
    pub(super) previous: u32,
    pub(super) next: u32,
    len: u16,
}

/// Neighbouring nodes of the level below: for each its number, its least key and how many keys it holds in all.
#[derive(Clone)]
pub(super) struct Inner {
    scores: [Score; INNER],
    items: [Handle; INNER],
    children: [u32; INNER],
    counts: [u32; INNER],
    len: u16,
}

const _: () = assert!(size_of::<Leaf>() == 768 && size_of::<Inner>() == 1024);

/// A child of an inner node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    pub(super) node: u32,
    pub(super) least: Key,
    pub(super) count: u32,
}

/// What both kinds of node can do.
pub(super) trait Node: Clone {
    /// What a node holds.
    type Entry: Copy;
    /// How many of them at most.
    const MOST: usize;

    fn new() -> Self;
    fn len(&self) -> usize;
    fn key(&self, index: usize) -> Key;
    fn get(&self, index: usize) -> Self::Entry;
    /// Inserts into a node that is not full.
    fn insert(&mut self, index: usize, entry: Self::Entry);
    fn remove(&mut self, index: usize);
    /// Moves what follows `index` to the end of `to`, which has room.
    fn split_off(&mut self, index: usize, to: &mut Self);

    /// The scores of the keys.
    fn scores(&self) -> &[Score];

    /// How many keys the bound lies behind.
    #[inline]
    fn partition(&self, bound: &Bound<impl Fn(Key) -> bool>) -> usize {
        let (mut base, mut end) = (0, self.len());
        if let Some(score) = bound.score {
            base = count(self.scores(), |other| other < score);
            if self.scores().get(base) != Some(&score) {
                return base;
            }
            end = count(self.scores(), |other| other <= score);
        }
        while base < end {
            let middle = base + (end - base) / 2;
            if (bound.before)(self.key(middle)) {
                base = middle + 1;
            } else {
                end = middle;
            }
        }
        base
    }
}

/// A place in the order of keys.
#[derive(Clone, Copy)]
pub(super) struct Bound<F> {
    /// The score at the place, if it tells all keys of other scores apart: they are compared without asking `before`.
    pub(super) score: Option<Score>,
    /// True of the keys before the place.
    pub(super) before: F,
}

/// Scores in a cache line.
const LINE: usize = 8;

/// How many of the ascending scores the predicate is true of.
///
/// Asks for the first score of each cache line, then for those of one line: the lines are fetched side by side, where a
/// binary search would wait for one after the other.
#[inline]
fn count(scores: &[Score], before: impl Fn(Score) -> bool) -> usize {
    let lines = scores.iter().skip(LINE).step_by(LINE).map(|score| usize::from(before(*score))).sum::<usize>();
    let line = scores.get(lines * LINE..).unwrap_or_default().iter().take(LINE);
    lines * LINE + line.map(|score| usize::from(before(*score))).sum::<usize>()
}

fn open_gap<T: Copy>(items: &mut [T], index: usize, len: usize, item: T) {
    items.copy_within(index..len, index + 1);
    items[index] = item;
}

fn append<T: Copy>(to: &mut [T], len: usize, from: &[T]) {
    to[len..len + from.len()].copy_from_slice(from);
}

impl Node for Leaf {
    type Entry = Key;
    const MOST: usize = LEAF;

    fn new() -> Self {
        Leaf { scores: [Score::default(); LEAF], items: [Handle(0); LEAF], previous: NIL, next: NIL, len: 0 }
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len)
    }

    #[inline]
    fn key(&self, index: usize) -> Key {
        Key { score: self.scores[index], item: self.items[index] }
    }

    #[inline]
    fn get(&self, index: usize) -> Key {
        self.key(index)
    }

    #[inline]
    fn scores(&self) -> &[Score] {
        &self.scores[..self.len()]
    }

    fn insert(&mut self, index: usize, key: Key) {
        let len = self.len();
        open_gap(&mut self.scores, index, len, key.score);
        open_gap(&mut self.items, index, len, key.item);
        self.len += 1;
    }

    fn remove(&mut self, index: usize) {
        let rest = index + 1..self.len();
        self.scores.copy_within(rest.clone(), index);
        self.items.copy_within(rest, index);
        self.len -= 1;
    }

    fn split_off(&mut self, index: usize, to: &mut Self) {
        let (rest, len) = (index..self.len(), to.len());
        append(&mut to.scores, len, &self.scores[rest.clone()]);
        append(&mut to.items, len, &self.items[rest]);
        to.len += self.len - index as u16;
        self.len = index as u16;
    }
}

impl Leaf {
    /// Puts another key in a place.
    pub(super) fn set(&mut self, index: usize, key: Key) {
        (self.scores[index], self.items[index]) = (key.score, key.item);
    }
}

impl Node for Inner {
    type Entry = Child;
    const MOST: usize = INNER;

    fn new() -> Self {
        let (scores, items) = ([Score::default(); INNER], [Handle(0); INNER]);
        Inner { scores, items, children: [NIL; INNER], counts: [0; INNER], len: 0 }
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len)
    }

    #[inline]
    fn key(&self, index: usize) -> Key {
        Key { score: self.scores[index], item: self.items[index] }
    }

    #[inline]
    fn get(&self, index: usize) -> Child {
        Child { node: self.children[index], least: self.key(index), count: self.counts[index] }
    }

    #[inline]
    fn scores(&self) -> &[Score] {
        &self.scores[..self.len()]
    }

    fn insert(&mut self, index: usize, child: Child) {
        let len = self.len();
        open_gap(&mut self.scores, index, len, child.least.score);
        open_gap(&mut self.items, index, len, child.least.item);
        open_gap(&mut self.children, index, len, child.node);
        open_gap(&mut self.counts, index, len, child.count);
        self.len += 1;
    }

    fn remove(&mut self, index: usize) {
        let rest = index + 1..self.len();
        self.scores.copy_within(rest.clone(), index);
        self.items.copy_within(rest.clone(), index);
        self.children.copy_within(rest.clone(), index);
        self.counts.copy_within(rest, index);
        self.len -= 1;
    }

    fn split_off(&mut self, index: usize, to: &mut Self) {
        let (rest, len) = (index..self.len(), to.len());
        append(&mut to.scores, len, &self.scores[rest.clone()]);
        append(&mut to.items, len, &self.items[rest.clone()]);
        append(&mut to.children, len, &self.children[rest.clone()]);
        append(&mut to.counts, len, &self.counts[rest]);
        to.len += self.len - index as u16;
        self.len = index as u16;
    }
}

impl Inner {
    /// The child whose keys surround the bound, and how many keys lie before that child.
    #[inline]
    pub(super) fn descend(&self, bound: &Bound<impl Fn(Key) -> bool>) -> (usize, usize) {
        let index = self.partition(bound).saturating_sub(1);
        // There are fewer than 2^32 keys in all.
        (index, self.counts[..index].iter().sum::<u32>() as usize)
    }

    /// The child that holds the key with this rank, and the rank inside it. The last child for a rank too large.
    #[inline]
    pub(super) fn select(&self, mut rank: usize) -> (usize, usize) {
        for (index, count) in self.counts[..self.len()].iter().enumerate() {
            if rank < *count as usize || index + 1 == self.len() {
                return (index, rank);
            }
            rank -= *count as usize;
        }
        (0, rank)
    }

    pub(super) fn set_least(&mut self, index: usize, key: Key) {
        (self.scores[index], self.items[index]) = (key.score, key.item);
    }

    pub(super) fn set_count(&mut self, index: usize, count: u32) {
        self.counts[index] = count;
    }

    /// The keys below.
    pub(super) fn total(&self) -> u32 {
        self.counts[..self.len()].iter().sum()
    }
}

/// The nodes of one kind, by number.
#[derive(Clone)]
pub(super) struct Nodes<T> {
    nodes: Vec<Option<Box<T>>>,
    vacant: Vec<u32>,
}

impl<T: Node> Nodes<T> {
    pub(super) const fn none() -> Self {
        Nodes { nodes: Vec::new(), vacant: Vec::new() }
    }

    pub(super) fn add(&mut self) -> u32 {
        let node = Some(Box::new(T::new()));
        if let Some(number) = self.vacant.pop() {
            self.nodes[number as usize] = node;
            return number;
        }
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> &T {
        match self.nodes.get(number as usize) {
            Some(Some(node)) => node,
            _ => unreachable!("a link leads to node {number}"),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> &mut T {
        match self.nodes.get_mut(number as usize) {
            Some(Some(node)) => node,
            _ => unreachable!("a link leads to node {number}"),
        }
    }

    /// Two different nodes at once.
    pub(super) fn pair(&mut self, left: u32, right: u32) -> (&mut T, &mut T) {
        match self.nodes.get_disjoint_mut([left as usize, right as usize]) {
            Ok([Some(left), Some(right)]) => (left, right),
            _ => unreachable!("links lead to nodes {left} and {right}"),
        }
    }

    pub(super) fn remove(&mut self, number: u32) {
        if self.nodes.get_mut(number as usize).and_then(Option::take).is_some() {
            self.vacant.push(number);
        }
    }

    pub(super) fn memory(&self) -> usize {
        vec_size(&self.nodes) + vec_size(&self.vacant) + (self.nodes.len() - self.vacant.len()) * box_size::<T>()
    }
}
