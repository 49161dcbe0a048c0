//! Consumer groups: who was given what, and has not acknowledged it.

use crate::value::memory::{malloc_size, vec_size};
use crate::value::sequence::{Counted, Seek, Tree};

use super::{Stream, StreamId};

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The entry.
    pub id: StreamId,
    /// When it was last delivered, in milliseconds since 1970.
    pub time: i64,
    /// How often it was.
    pub count: u64,
    /// To whom: see [`Group::consumer`].
    pub consumer: ConsumerId,
}

impl Pending {
    /// Milliseconds since its delivery; 0 if that is in the future. O(1).
    pub fn idle(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(self.time).max(0)
    }
}

impl Counted for Pending {
    type Key = StreamId;

    fn key(&self) -> StreamId {
        self.id
    }

    fn weight(&self) -> u64 {
        1
    }

    fn heap(&self) -> usize {
        0
    }
}

impl Counted for StreamId {
    type Key = StreamId;

    fn key(&self) -> StreamId {
        *self
    }

    fn weight(&self) -> u64 {
        1
    }

    fn heap(&self) -> usize {
        0
    }
}

/// The place of a consumer in its group. It is another's after the consumer was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u32);

/// A member of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last tried to read or claim, in milliseconds since 1970.
    pub seen: i64,
    /// When it last got something; `None` if never.
    pub active: Option<i64>,
    pending: Tree<StreamId>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries it has not acknowledged. O(1).
    pub fn pending_len(&self) -> u64 {
        self.pending.weight()
    }

    /// The entries that it has not acknowledged, from an ID on. O(log n), then O(1) each.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.range(start).copied()
    }

    fn memory(&self) -> usize {
        malloc_size(self.name.len()) + self.pending.memory()
    }
}

/// A consumer group.
#[derive(Debug)]
pub struct Group {
    name: Box<[u8]>,
    /// The last entry that was delivered to a consumer of the group.
    pub last_delivered: StreamId,
    /// How many entries the group has read, as far as that is known.
    pub entries_read: Option<u64>,
    pending: Tree<Pending>,
    /// Consumers at their places; a place may be free.
    consumers: Vec<Option<Consumer>>,
    /// The places of the consumers in the order of their names.
    order: Vec<u32>,
    free: Vec<u32>,
    /// Bytes of all consumers' names and pending IDs.
    consumers_memory: usize,
}

impl Clone for Group {
    /// Copies the group. The copy has no room to spare, so that its memory is counted anew.
    fn clone(&self) -> Self {
        let consumers = self.consumers.clone();
        let consumers_memory = consumers.iter().flatten().map(Consumer::memory).sum();
        Group {
            name: self.name.clone(),
            last_delivered: self.last_delivered,
            entries_read: self.entries_read,
            pending: self.pending.clone(),
            consumers,
            order: self.order.clone(),
            free: self.free.clone(),
            consumers_memory,
        }
    }
}

impl Group {
    pub(super) fn new(name: &[u8], last_delivered: StreamId, entries_read: Option<u64>) -> Self {
        Group {
            name: name.into(),
            last_delivered,
            entries_read,
            pending: Tree::default(),
            consumers: Vec::new(),
            order: Vec::new(),
            free: Vec::new(),
            consumers_memory: 0,
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Bytes that the group owns besides its own size. O(1).
    pub fn memory(&self) -> usize {
        let places = vec_size(&self.consumers) + vec_size(&self.order) + vec_size(&self.free);
        malloc_size(self.name.len()) + self.pending.memory() + places + self.consumers_memory
    }

    /// The consumers in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        self.order.iter().filter_map(|place| Some((ConsumerId(*place), self.consumer(ConsumerId(*place))?)))
    }

    /// How many consumers there are. O(1).
    pub fn consumers_len(&self) -> usize {
        self.order.len()
    }

    /// The consumer at a place. O(1).
    pub fn consumer(&self, id: ConsumerId) -> Option<&Consumer> {
        self.consumers.get(id.0 as usize)?.as_ref()
    }

    /// The consumer at a place, to note when it was seen. O(1).
    pub fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.consumers.get_mut(id.0 as usize)?.as_mut()
    }

    /// The place of a consumer. O(log consumers).
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerId> {
        self.search(name).ok().map(|slot| ConsumerId(self.order[slot]))
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        self.order.binary_search_by(|place| {
            let consumer = self.consumers[*place as usize].as_ref();
            consumer.map_or(&[][..], |consumer| &consumer.name).cmp(name)
        })
    }

    /// The place of a consumer, which is created if it does not exist; tells whether it was. A new one was seen at
    /// `now_ms`. O(log consumers), and O(consumers) to create one.
    pub fn consumer_or_create(&mut self, name: &[u8], now_ms: i64) -> (ConsumerId, bool) {
        let slot = match self.search(name) {
            Ok(slot) => return (ConsumerId(self.order[slot]), false),
            Err(slot) => slot,
        };
        let consumer = Consumer { name: name.into(), seen: now_ms, active: None, pending: Tree::default() };
        self.consumers_memory += consumer.memory();
        let place = match self.free.pop() {
            Some(place) => {
                self.consumers[place as usize] = Some(consumer);
                place
            }
            None => {
                self.consumers.push(Some(consumer));
                self.consumers.len() as u32 - 1
            }
        };
        self.order.insert(slot, place);
        (ConsumerId(place), true)
    }

    /// Deletes a consumer and what is pending for it; tells how many entries were. `None` if there is no such consumer.
    /// O(consumers + pending log pending).
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<u64> {
        let slot = self.search(name).ok()?;
        let place = self.order.remove(slot);
        let consumer = self.consumers[place as usize].take()?;
        self.free.push(place);
        self.consumers_memory -= consumer.memory();
        for id in consumer.pending.iter() {
            self.pending.remove(*id);
        }
        Some(consumer.pending_len())
    }

    /// How many entries are not acknowledged. O(1).
    pub fn pending_len(&self) -> u64 {
        self.pending.weight()
    }

    /// The entries not acknowledged, from an ID on. O(log n), then O(1) each.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = &Pending> {
        self.pending.range(start)
    }

    /// An entry not acknowledged. O(log n).
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(id)
    }

    /// The first and the last ID not acknowledged. O(log n).
    pub fn pending_edges(&self) -> Option<(StreamId, StreamId)> {
        let first = self.pending.iter().next()?.id;
        let last = self.pending.find(Seek::Last)?;
        Some((first, last.leaf[last.slot].id))
    }

    /// Entries not acknowledged between two IDs, both included (`XPENDING` with a range): those of one consumer if one is
    /// given, and only those idle for `min_idle` milliseconds. O(log n), then O(1) each, O(log n) each of a consumer's.
    pub fn pending_range(
        &self,
        range: std::ops::RangeInclusive<StreamId>,
        consumer: Option<ConsumerId>,
        min_idle: i64,
        now_ms: i64,
    ) -> impl Iterator<Item = &Pending> {
        let (start, end) = range.into_inner();
        let own =
            consumer.map(|id| self.consumer(id).into_iter().flat_map(move |consumer| consumer.pending_from(start)));
        let all = if own.is_none() { Some(self.pending.range(start)) } else { None };
        let own = own.into_iter().flatten().filter_map(|id| self.pending.get(id));
        let both = all.into_iter().flatten().chain(own);
        both.take_while(move |pending| pending.id <= end)
            .filter(move |pending| min_idle == 0 || now_ms.saturating_sub(pending.time) >= min_idle)
    }

    /// Acknowledges an entry; tells whether it was pending. O(log n).
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        self.release(pending.consumer, id);
        true
    }

    /// Notes a delivery, whoever had the entry before. O(log n). For loaders, and for deliveries.
    pub fn assign(&mut self, pending: Pending) {
        let id = pending.id;
        match self.pending.insert(pending) {
            Some(old) if old.consumer == pending.consumer => return,
            Some(old) => self.release(old.consumer, id),
            None => {}
        }
        if let Some(consumer) = self.consumers.get_mut(pending.consumer.0 as usize).and_then(Option::as_mut) {
            self.consumers_memory -= consumer.pending.memory();
            consumer.pending.insert(id);
            self.consumers_memory += consumer.pending.memory();
        }
    }

    /// Takes an entry from a consumer.
    fn release(&mut self, consumer: ConsumerId, id: StreamId) {
        if let Some(consumer) = self.consumers.get_mut(consumer.0 as usize).and_then(Option::as_mut) {
            self.consumers_memory -= consumer.pending.memory();
            consumer.pending.remove(id);
            self.consumers_memory += consumer.pending.memory();
        }
    }

    /// How many entries the group has yet to read, if that can be told (`XINFO GROUPS`). O(1).
    pub fn lag(&self, stream: &Stream) -> Option<i64> {
        let marks = stream.marks();
        if marks.entries_added == 0 || marks.len == 0 {
            return Some(0);
        }
        // Whatever the group has read, all entries that are left are ahead of it, without a gap among them.
        if self.last_delivered < marks.first_id && marks.max_deleted < marks.first_id {
            return i64::try_from(marks.len).ok();
        }
        let read = match self.entries_read {
            Some(read) if !marks.has_deleted_behind(self.last_delivered) => Some(read),
            _ => marks.entries_up_to(self.last_delivered),
        };
        // A count set by XGROUP may be any number.
        read.map(|read| (stream.entries_added() as i64).wrapping_sub(read as i64))
    }
}
