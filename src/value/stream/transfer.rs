//! Nodes as a whole, for writers and loaders of snapshots: so a stream has the same nodes wherever it goes, and what a node
//! says once is never said again with each of its entries.

use crate::value::Item;

use super::node::{Fields, Node};
use super::{AddError, Stream, StreamId};

/// A node of a stream.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a>(&'a Node);

impl<'a> NodeView<'a> {
    /// Its ID, which is that of the first entry it ever had.
    pub fn id(&self) -> StreamId {
        self.0.id()
    }

    /// The fields that most of its entries have.
    pub fn fields(&self) -> impl Iterator<Item = Item<'a>> {
        self.0.head()
    }

    /// The entries that are there, one at least, with whether their fields are the node's.
    pub fn entries(&self) -> impl Iterator<Item = (StreamId, bool, Fields<'a>)> {
        let node = self.0;
        let there = node.slots_from_front().filter(|slot| !slot.deleted);
        there.map(move |slot| (slot.id, node.shares_fields(&slot), node.fields(&slot)))
    }
}

/// A node on its way into a stream.
#[derive(Debug)]
pub struct Loading {
    node: Node,
    fields: usize,
    first: Option<StreamId>,
    last: StreamId,
}

impl Loading {
    /// A node of an ID, with the fields that most of its entries have.
    pub fn new(id: StreamId, fields: &[Item<'_>]) -> Self {
        let node = Node::with_fields(id, fields.iter().map(|field| &**field), 0);
        Loading { node, fields: fields.len(), first: None, last: id }
    }

    /// Appends an entry that has the node's fields, with these values. False if they are not as many, or the ID is not
    /// above the last one's, which for the first entry may be the node's.
    pub fn push_values(&mut self, id: StreamId, values: &[Item<'_>]) -> bool {
        values.len() == self.fields && self.note(id) && {
            self.node.push_entry(id, true, values.iter().map(|value| &**value));
            true
        }
    }

    /// Appends an entry of other fields: field, value, field, value … False if one is missing, or the ID is not above the
    /// last one's.
    pub fn push(&mut self, id: StreamId, pairs: &[Item<'_>]) -> bool {
        pairs.len().is_multiple_of(2) && self.note(id) && {
            self.node.push_entry(id, false, pairs.iter().map(|element| &**element));
            true
        }
    }

    fn note(&mut self, id: StreamId) -> bool {
        if id < self.last || (id == self.last && self.first.is_some()) || id == StreamId::MIN {
            return false;
        }
        self.first = self.first.or(Some(id));
        self.last = id;
        true
    }
}

impl Stream {
    /// The nodes in order.
    pub fn node_views(&self) -> impl Iterator<Item = NodeView<'_>> {
        self.log.all_nodes().map(NodeView)
    }

    /// How many entries were added up to an ID, if that can be told: what a group of a stream has read that was saved
    /// without its counts. O(1).
    pub fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        self.marks().entries_up_to(id)
    }

    /// Appends a node. One without entries leaves the stream as it is. O(log n).
    ///
    /// # Errors
    /// [`AddError::NotAbove`] if the node's ID is not above [`Self::last_id`].
    pub fn load(&mut self, loading: Loading) -> Result<(), AddError> {
        let Loading { node, first, last, .. } = loading;
        let Some(first) = first else { return Ok(()) };
        if node.id() <= self.last_id {
            return Err(AddError::NotAbove);
        }
        if self.is_empty() {
            self.first_id = first;
        }
        self.entries_added = self.entries_added.wrapping_add(node.entries());
        self.last_id = last;
        self.log.push_node(node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::stream::NodeLimits;

    fn items<'a>(texts: &[&'a str]) -> Vec<Item<'a>> {
        texts.iter().map(|text| Item::text(text.as_bytes())).collect()
    }

    fn listed(stream: &Stream) -> Vec<(StreamId, Vec<[Vec<u8>; 2]>)> {
        let pairs = |fields: Fields<'_>| fields.map(|(field, value)| [field.to_vec(), value.to_vec()]).collect();
        stream.range(StreamId::MIN, StreamId::MAX).map(|record| (record.id, pairs(record.fields))).collect()
    }

    #[test]
    fn nodes_are_the_same_elsewhere() {
        let limits = NodeLimits { bytes: 0, entries: 10 };
        let mut stream = Stream::new();
        for ms in 1..100 {
            let pairs: &[&[u8]] = if ms % 7 == 0 { &[b"other", b"1", b"n", b"2"] } else { &[b"name", b"value"] };
            stream.add(StreamId::new(ms, 5), pairs.iter().copied(), limits).expect("it is above");
        }
        for ms in [1, 2, 14, 31, 32, 33, 99] {
            assert!(stream.delete(StreamId::new(ms, 5)));
        }
        let mut copy = Stream::new();
        for view in stream.node_views() {
            let mut loading = Loading::new(view.id(), &view.fields().collect::<Vec<_>>());
            for (id, same, fields) in view.entries() {
                let pushed = if same {
                    loading.push_values(id, &fields.map(|(_, value)| value).collect::<Vec<_>>())
                } else {
                    loading.push(id, &fields.flat_map(|(field, value)| [field, value]).collect::<Vec<_>>())
                };
                assert!(pushed);
            }
            copy.load(loading).expect("it is above");
        }
        assert_eq!(listed(&copy), listed(&stream));
        assert_eq!((copy.nodes(), copy.len(), copy.first_id()), (stream.nodes(), stream.len(), stream.first_id()));
        // It grows on from there, and loses entries.
        copy.add(StreamId::new(200, 0), [&b"name"[..], b"x"], limits).expect("it is above");
        assert!(copy.delete(StreamId::new(98, 5)));
        assert_eq!(copy.len(), stream.len());
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        let mut loading = Loading::new(StreamId::new(5, 0), &items(&["f"]));
        assert!(!loading.push_values(StreamId::new(4, 9), &items(&["v"])));
        assert!(!loading.push_values(StreamId::new(5, 0), &items(&["v", "w"])));
        assert!(loading.push_values(StreamId::new(5, 0), &items(&["v"])));
        assert!(!loading.push(StreamId::new(5, 0), &items(&["g", "v"])));
        assert!(!loading.push(StreamId::new(6, 0), &items(&["g"])));
        let mut stream = Stream::new();
        assert_eq!(stream.load(Loading::new(StreamId::new(1, 1), &[])), Ok(()));
        assert_eq!((stream.load(loading), stream.len()), (Ok(()), 1));
        let mut again = Loading::new(StreamId::new(5, 0), &items(&["f"]));
        assert!(again.push_values(StreamId::new(7, 0), &items(&["v"])));
        assert_eq!(stream.load(again), Err(AddError::NotAbove));
        let mut zero = Loading::new(StreamId::MIN, &items(&["f"]));
        assert!(!zero.push_values(StreamId::MIN, &items(&["v"])));
    }
}
