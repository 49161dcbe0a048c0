//! The entries of a stream: full nodes in a tree, the one that grows beside it.

use crate::value::sequence::{Counted, Seek, Tree};

use super::node::{Fields, Node, Slot};
use super::{AddError, NodeLimits, StreamId};

/// The most bytes that the elements of one entry have together, and a node.
const MAX_BYTES: u64 = 1 << 30;

/// An entry.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Its ID.
    pub id: StreamId,
    /// Its fields and values.
    pub fields: Fields<'a>,
}

/// Entries in order of their IDs.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Nodes that get no more entries. Each has one that is not deleted.
    body: Tree<Node>,
    /// The last node; `None` if there is no entry.
    tail: Option<Node>,
}

impl Log {
    /// Entries that are there.
    pub(super) fn len(&self) -> u64 {
        self.body.weight() + self.tail.as_ref().map_or(0, Node::weight)
    }

    /// Nodes.
    pub(super) fn nodes(&self) -> usize {
        self.body.items() + usize::from(self.tail.is_some())
    }

    /// Bytes that nodes and tree take.
    pub(super) fn memory(&self) -> usize {
        self.body.memory() + self.tail.as_ref().map_or(0, Node::heap)
    }

    /// Appends an entry, whose ID is above all others. O(entry), O(log n) once a node.
    pub(super) fn push<'a>(
        &mut self,
        id: StreamId,
        pairs: impl Iterator<Item = &'a [u8]> + Clone,
        limits: NodeLimits,
    ) -> Result<(), AddError> {
        let bytes: u64 = pairs.clone().map(|element| element.len() as u64).sum();
        if bytes > MAX_BYTES {
            return Err(AddError::TooLarge);
        }
        let most = if limits.bytes == 0 { MAX_BYTES } else { limits.bytes.min(MAX_BYTES) };
        let full =
            |node: &Node| node.listpack() + bytes >= most || (limits.entries > 0 && node.entries() >= limits.entries);
        match &mut self.tail {
            Some(node) if !full(node) => node.push(id, pairs),
            _ => self.push_node(Node::new(id, pairs)),
        }
        Ok(())
    }

    /// Appends a node, whose entries, one at least, have IDs above all others.
    pub(super) fn push_node(&mut self, node: Node) {
        if let Some(mut full) = self.tail.replace(node) {
            full.seal();
            full.tidy();
            self.body.push_back(full);
        }
    }

    /// The nodes in order.
    pub(super) fn all_nodes(&self) -> impl Iterator<Item = &Node> {
        self.body.iter().chain(&self.tail)
    }

    /// The node in which an ID would be: the last that does not begin behind it, else the first; and the entries before
    /// that node.
    fn node(&self, seek: Seek<StreamId>) -> Option<(&Node, u64)> {
        let tail = self.tail.as_ref().map(|node| (node, self.body.weight()));
        let in_tail = match seek {
            Seek::Key(id) => self.tail.as_ref().is_some_and(|node| node.key() <= id),
            Seek::Rank(rank) => rank >= self.body.weight(),
            Seek::Last => true,
        };
        if in_tail && tail.is_some() {
            return tail;
        }
        let found = self.body.find(seek).map(|found| (&found.leaf[found.slot], found.rank));
        found.or(tail)
    }

    /// Changes the node in which an ID would be, as [`Self::node`] finds it, and drops it if all its entries are deleted.
    fn edit<R>(&mut self, id: StreamId, change: impl FnOnce(&mut Node) -> R) -> Option<R> {
        if let Some(node) = self.tail.as_mut().filter(|node| node.key() <= id || self.body.is_empty()) {
            let result = change(node);
            if node.weight() == 0 {
                // The node before it may have room for smaller entries than the one that closed it.
                self.tail = self.body.pop_back();
            }
            return Some(result);
        }
        self.body.edit(Seek::Key(id), |leaf, at| {
            let node = leaf.get_mut(at.slot)?;
            let result = change(node);
            if node.weight() == 0 {
                leaf.remove(at.slot);
            } else {
                node.tidy();
            }
            Some(result)
        })
    }

    /// Whether an entry is there. O(log n + node).
    pub(super) fn contains(&self, id: StreamId) -> bool {
        self.node(Seek::Key(id)).is_some_and(|(node, _)| node.find(id).is_some())
    }

    /// An entry. O(log n + node).
    pub(super) fn get(&self, id: StreamId) -> Option<Record<'_>> {
        let (node, _) = self.node(Seek::Key(id))?;
        node.find(id).map(|slot| Record { id, fields: node.fields(&slot) })
    }

    /// Deletes an entry; tells whether it was there. O(log n + node).
    pub(super) fn remove(&mut self, id: StreamId) -> bool {
        self.edit(id, |node| node.find(id).map(|slot| node.delete(&slot)).is_some()).unwrap_or(false)
    }

    /// The first ID. O(log n + node).
    pub(super) fn first(&self) -> Option<StreamId> {
        self.range(StreamId::MIN, StreamId::MAX).next().map(|record| record.id)
    }

    /// The last ID. O(log n + node).
    pub(super) fn last(&self) -> Option<StreamId> {
        self.range_back(StreamId::MIN, StreamId::MAX).next().map(|record| record.id)
    }

    /// The first node.
    pub(super) fn first_node(&self) -> Option<&Node> {
        self.node(Seek::Rank(0)).map(|(node, _)| node)
    }

    /// The node with the entry before which there are `rank` others; `None` behind the last one. O(log n).
    pub(super) fn node_at(&self, rank: u64) -> Option<&Node> {
        if rank >= self.len() {
            return None;
        }
        self.node(Seek::Rank(rank)).map(|(node, _)| node)
    }

    /// Removes the first node with all its entries.
    pub(super) fn pop_node(&mut self) {
        if self.body.pop_front().is_none() {
            self.tail = None;
        }
    }

    /// Deletes entries of the first node as long as `goes` says so; tells how many. O(node).
    pub(super) fn trim_node(&mut self, mut goes: impl FnMut(StreamId) -> bool) -> u64 {
        let Some(id) = self.first_node().map(Node::key) else { return 0 };
        let trimmed = self.edit(id, |node| {
            let mut trimmed = 0;
            while let Some(slot) = node.first_slot().filter(|slot| goes(slot.id)) {
                node.delete(&slot);
                trimmed += 1;
            }
            trimmed
        });
        trimmed.unwrap_or(0)
    }

    /// Entries from `start` to `end`, both included, ascending.
    pub(super) fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let mut range = Range { log: self, end, back: false, place: None };
        range.enter(Seek::Key(start));
        while range.place.as_ref().is_some_and(|place| place.slot.id < start) {
            range.step();
        }
        range
    }

    /// Entries from `end` to `start`, both included, descending.
    pub(super) fn range_back(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let mut range = Range { log: self, end: start, back: true, place: None };
        range.enter(Seek::Key(end));
        while range.place.as_ref().is_some_and(|place| place.slot.id > end) {
            range.step();
        }
        range
    }
}

/// Entries in one direction. O(log n + node) to start, O(1) an entry, O(log n) a node.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    log: &'a Log,
    /// The last ID to return.
    end: StreamId,
    back: bool,
    place: Option<Place<'a>>,
}

/// The next entry, deleted or not.
#[derive(Clone, Debug)]
struct Place<'a> {
    node: &'a Node,
    /// Entries in the nodes before.
    rank: u64,
    slot: Slot,
}

impl<'a> Range<'a> {
    fn enter(&mut self, seek: Seek<StreamId>) {
        self.place = self.log.node(seek).and_then(|(node, rank)| {
            let slot = if self.back { node.last_slot() } else { node.first_slot() };
            Some(Place { node, rank, slot: slot? })
        });
    }

    /// Goes to the next entry, in the next node if this one has no more.
    fn step(&mut self) {
        let Some(place) = &mut self.place else { return };
        let slot = if self.back { place.node.previous_slot(&place.slot) } else { place.node.next_slot(&place.slot) };
        if let Some(slot) = slot {
            place.slot = slot;
            return;
        }
        let next = if self.back { place.rank.checked_sub(1) } else { Some(place.rank + place.node.weight()) };
        match next.filter(|rank| *rank < self.log.len()) {
            Some(rank) => self.enter(Seek::Rank(rank)),
            None => self.place = None,
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let place = self.place.as_ref()?;
            let Slot { id, deleted, .. } = place.slot;
            if if self.back { id < self.end } else { id > self.end } {
                self.place = None;
                return None;
            }
            let record = Record { id, fields: place.node.fields(&place.slot) };
            self.step();
            if !deleted {
                return Some(record);
            }
        }
    }
}
