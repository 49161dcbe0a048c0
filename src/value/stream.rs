//! Streams: entries in packed nodes, in the order of their IDs, and the consumer groups that read them.
//!
//! Appending is O(1), finding an ID O(log n) and one node. Nodes are bounded where Redis bounds its own
//! (`stream-node-max-bytes`, `stream-node-max-entries`), so that approximate trimming removes the same entries. Times are
//! given by the caller, in milliseconds since 1970.

mod group;
mod id;
mod log;
mod node;
mod read;
mod transfer;
mod trim;

use std::fmt;

pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::{Spelling, StreamId};
use log::Log;
pub use log::{Range, Record};
pub use node::Fields;
pub use read::{Claim, Claimed, Read};
pub use transfer::{Loading, NodeView};
pub use trim::{Keep, References, Trim};

use super::memory::vec_size;

/// How large a node may grow before the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// `stream-node-max-bytes`; 0 is no limit.
    pub bytes: u64,
    /// `stream-node-max-entries`; 0 is no limit.
    pub entries: u64,
}

impl Default for NodeLimits {
    fn default() -> Self {
        NodeLimits { bytes: 4096, entries: 100 }
    }
}

/// Why an entry was not added. The texts are Redis's, without `ERR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// The ID is not above the last one.
    NotAbove,
    /// Fields and values have more than 1 GiB together.
    TooLarge,
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddError::NotAbove => "The ID specified in XADD is equal or smaller than the target stream top item",
            AddError::TooLarge => "Elements are too large to be stored",
        })
    }
}

impl std::error::Error for AddError {}

/// Why `XSETID` was refused. The texts are Redis's, without `ERR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetIdError {
    /// The ID is below that of a deleted entry.
    BelowDeleted,
    /// The ID is below that of the last entry.
    BelowLast,
    /// The count is below the number of entries.
    TooFewAdded,
}

impl fmt::Display for SetIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetIdError::BelowDeleted => "The ID specified in XSETID is smaller than current max_deleted_entry_id",
            SetIdError::BelowLast => "The ID specified in XSETID is smaller than the target stream top item",
            SetIdError::TooFewAdded => "The entries_added specified in XSETID is smaller than the target stream length",
        })
    }
}

impl std::error::Error for SetIdError {}

/// A stream. It may be empty: its key stays, because it remembers its last ID.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    log: Log,
    last_id: StreamId,
    /// The first entry's; 0-0 if there is none.
    first_id: StreamId,
    max_deleted: StreamId,
    entries_added: u64,
    /// In the order of their names.
    groups: Vec<Group>,
}

impl Stream {
    /// A stream that never had an entry. Owns no memory.
    pub fn new() -> Self {
        Stream::default()
    }

    /// Entries. O(1).
    pub fn len(&self) -> u64 {
        self.log.len()
    }

    /// Whether there is no entry. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `stream`, as `OBJECT ENCODING` names it.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Nodes, which `XINFO STREAM` tells as `radix-tree-keys`. O(1).
    pub fn nodes(&self) -> usize {
        self.log.nodes()
    }

    /// Bytes that the stream owns besides its own size, as the allocator counts them. O(groups).
    pub fn memory(&self) -> usize {
        let groups: usize = self.groups.iter().map(Group::memory).sum();
        self.log.memory() + vec_size(&self.groups) + groups
    }

    /// The ID of the last entry that was added, or that `XSETID` set. O(1).
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The largest ID that `XDEL` removed; 0-0 if none. O(1).
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted
    }

    /// How many entries were ever added. O(1).
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// The ID of the first entry (`recorded-first-entry-id`); 0-0 if there is none. O(1).
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The ID of the last entry that is still there. O(log n + node).
    pub fn last_entry_id(&self) -> Option<StreamId> {
        self.log.last()
    }

    /// The ID that `*` gives at a time; `None` if there is none left. O(1).
    pub fn next_id(&self, now_ms: u64) -> Option<StreamId> {
        if now_ms > self.last_id.ms { Some(StreamId::new(now_ms, 0)) } else { self.last_id.next() }
    }

    /// The ID that `ms-*` gives; `None` if there is none left in that millisecond. It may be too low to be added. O(1).
    pub fn next_id_in(&self, ms: u64) -> Option<StreamId> {
        if ms == self.last_id.ms {
            self.last_id.seq.checked_add(1).map(|seq| StreamId::new(ms, seq))
        } else {
            Some(StreamId::new(ms, 0))
        }
    }

    /// Adds an entry; the elements are field, value, field, value … O(entry), O(log n) once a node.
    ///
    /// # Errors
    /// [`AddError::NotAbove`] if the ID is not above [`Self::last_id`], [`AddError::TooLarge`] if the elements have more
    /// than 1 GiB; nothing was changed.
    pub fn add<'a>(
        &mut self,
        id: StreamId,
        elements: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
        limits: NodeLimits,
    ) -> Result<(), AddError> {
        if id <= self.last_id {
            return Err(AddError::NotAbove);
        }
        self.log.push(id, elements.into_iter(), limits)?;
        self.entries_added = self.entries_added.wrapping_add(1);
        self.last_id = id;
        if self.len() == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// An entry. O(log n + node).
    pub fn get(&self, id: StreamId) -> Option<Record<'_>> {
        self.log.get(id)
    }

    /// Whether an entry is there. O(log n + node).
    pub fn contains(&self, id: StreamId) -> bool {
        self.log.contains(id)
    }

    /// Entries from `start` to `end`, both included, ascending. O(log n + node) to start, O(1) each.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        self.log.range(start, end)
    }

    /// Entries from `end` to `start`, both included, descending. O(log n + node) to start, O(1) each.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> Range<'_> {
        self.log.range_back(start, end)
    }

    /// Deletes an entry (`XDEL`); tells whether it was there. Groups may still have it pending. O(log n + node).
    pub fn delete(&mut self, id: StreamId) -> bool {
        if !self.log.remove(id) {
            return false;
        }
        self.max_deleted = self.max_deleted.max(id);
        if id == self.first_id {
            self.first_id = self.log.first().unwrap_or_default();
        }
        true
    }

    /// Sets the last ID and, if given, the counters (`XSETID`). O(log n).
    ///
    /// # Errors
    /// One of [`SetIdError`]; nothing was changed. That `max_deleted` is not above `last_id` is the caller's to check.
    pub fn set_id(
        &mut self,
        last_id: StreamId,
        entries_added: Option<u64>,
        max_deleted: Option<StreamId>,
    ) -> Result<(), SetIdError> {
        if last_id < self.max_deleted {
            return Err(SetIdError::BelowDeleted);
        }
        if let Some(last) = self.log.last() {
            if last_id < last {
                return Err(SetIdError::BelowLast);
            }
            if entries_added.is_some_and(|added| self.len() > added) {
                return Err(SetIdError::TooFewAdded);
            }
        }
        self.last_id = last_id;
        self.entries_added = entries_added.unwrap_or(self.entries_added);
        // 0-0 is as good as not given.
        self.max_deleted = max_deleted.filter(|id| *id > StreamId::MIN).unwrap_or(self.max_deleted);
        Ok(())
    }

    /// The groups in the order of their names.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.groups.iter()
    }

    /// A group. O(log groups).
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        let slot = self.search(name).ok()?;
        Some(&self.groups[slot])
    }

    /// A group, to change it. O(log groups).
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        let slot = self.search(name).ok()?;
        Some(&mut self.groups[slot])
    }

    /// Creates a group; `None` if there is one of this name (`BUSYGROUP`). O(groups).
    pub fn create_group(&mut self, name: &[u8], last: StreamId, entries_read: Option<u64>) -> Option<&mut Group> {
        let slot = self.search(name).err()?;
        self.groups.insert(slot, Group::new(name, last, entries_read));
        Some(&mut self.groups[slot])
    }

    /// Destroys a group; tells whether there was one. O(groups + pending).
    pub fn destroy_group(&mut self, name: &[u8]) -> bool {
        self.search(name).map(|slot| self.groups.remove(slot)).is_ok()
    }

    /// Whether a group has yet to read an entry or to acknowledge it. O(groups log n).
    pub fn is_referenced(&self, id: StreamId) -> bool {
        self.groups().any(|group| group.last_delivered < id || group.pending(id).is_some())
    }

    /// Acknowledges an entry in all groups. O(groups log n).
    pub fn acknowledge_everywhere(&mut self, id: StreamId) {
        for group in &mut self.groups {
            group.acknowledge(id);
        }
    }

    fn search(&self, name: &[u8]) -> Result<usize, usize> {
        self.groups.binary_search_by(|group| group.name().cmp(name))
    }

    fn marks(&self) -> Marks {
        Marks {
            len: self.len(),
            first_id: self.first_id,
            last_id: self.last_id,
            max_deleted: self.max_deleted,
            entries_added: self.entries_added,
        }
    }
}

/// What is known of the entries without looking at them, by which groups count what they have read.
#[derive(Clone, Copy, Debug)]
struct Marks {
    len: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted: StreamId,
    entries_added: u64,
}

impl Marks {
    /// Whether an entry from `start` on was deleted by `XDEL`, so that counting on from there is not exact.
    fn has_deleted_behind(&self, start: StreamId) -> bool {
        self.len > 0
            && self.max_deleted > StreamId::MIN
            && self.first_id <= self.max_deleted
            && start <= self.max_deleted
    }

    /// How many entries were added up to an ID, if that can be told.
    fn entries_up_to(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if id == self.last_id || (self.len == 0 && id < self.last_id) {
            return Some(self.entries_added);
        }
        // The count of an ID to come is unknown, and of one before a deleted entry.
        if id > self.last_id || (self.max_deleted > StreamId::MIN && self.max_deleted >= self.first_id) {
            return None;
        }
        let before = self.entries_added.wrapping_sub(self.len);
        match id.cmp(&self.first_id) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Notes that a group was delivered an entry, and counts it where that can be done.
    fn advance(&self, group: &mut Group, id: StreamId) {
        group.entries_read = match group.entries_read {
            // What was trimmed since its last entry was skipped, not read.
            Some(read) if group.last_delivered >= self.first_id && !self.has_deleted_behind(group.last_delivered) => {
                Some(read.wrapping_add(1))
            }
            read if self.entries_added == 0 => read,
            _ => self.entries_up_to(id),
        };
        group.last_delivered = id;
    }
}

#[cfg(test)]
mod tests;
