//! Trimming a stream at its old end.

use crate::value::sequence::Counted;

use super::{Stream, StreamId};

/// What a trimmed stream keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The last so many entries (`MAXLEN`).
    Entries(u64),
    /// The entries from this ID on (`MINID`).
    From(StreamId),
}

/// How to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What is kept.
    pub keep: Keep,
    /// Whether only whole nodes go (`~`), so that some more may stay.
    pub approximate: bool,
    /// The most entries to remove (`LIMIT`); 0 is no limit.
    pub limit: u64,
}

/// What a removal does about the groups that refer to an entry: it is pending there, or not yet delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum References {
    /// It stays pending (`KEEPREF`).
    #[default]
    Keep,
    /// It is acknowledged everywhere (`DELREF`).
    Delete,
    /// An entry to which a group refers is not removed (`ACKED`).
    Respect,
}

impl Stream {
    /// Removes old entries with regard to the groups that refer to them; tells how many. As [`Self::trim`] for
    /// [`References::Keep`], else O(looked at · groups · log n).
    pub fn trim_with(&mut self, trim: Trim, references: References) -> u64 {
        if references == References::Keep || self.groups.is_empty() {
            return self.trim(trim);
        }
        let ids = self.trimmed(trim, references);
        for id in &ids {
            if references == References::Delete {
                self.acknowledge_everywhere(*id);
            }
            self.log.remove(*id);
        }
        if let Some(last) = ids.last() {
            self.first_id = self.log.first().unwrap_or_default();
            // What was removed from among others counts as deleted, because groups cannot count on across it.
            if *last > self.first_id && !self.is_empty() {
                self.max_deleted = self.max_deleted.max(*last);
            }
        }
        ids.len() as u64
    }

    /// The entries that trimming removes.
    fn trimmed(&self, trim: Trim, references: References) -> Vec<StreamId> {
        let (mut ids, mut left, mut rank) = (Vec::new(), self.len(), 0);
        while let Some(node) = self.log.node_at(rank) {
            let entries = node.weight();
            if matches!(trim.keep, Keep::Entries(most) if left <= most)
                || (trim.limit > 0 && ids.len() as u64 + entries > trim.limit)
            {
                break;
            }
            let whole = match trim.keep {
                Keep::Entries(most) => left - entries >= most,
                Keep::From(start) => node.last_slot().is_none_or(|last| last.id < start),
            };
            if !whole && trim.approximate {
                break;
            }
            for slot in node.slots_from_front().filter(|slot| !slot.deleted) {
                let stays = match trim.keep {
                    Keep::Entries(most) => left <= most,
                    Keep::From(start) => slot.id >= start,
                };
                if stays {
                    return ids;
                }
                if references == References::Delete || !self.is_referenced(slot.id) {
                    ids.push(slot.id);
                    left -= 1;
                }
            }
            rank += entries;
        }
        ids
    }

    /// Removes old entries; tells how many. O(removed nodes · log n), O(node) besides if exact.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        let mut removed = 0;
        while let Some(node) = self.log.first_node() {
            let entries = node.weight();
            if matches!(trim.keep, Keep::Entries(most) if self.len() <= most)
                || (trim.limit > 0 && removed + entries > trim.limit)
            {
                break;
            }
            let whole = match trim.keep {
                Keep::Entries(most) => self.len() - entries >= most,
                // A deleted entry keeps its node, as it does in Redis.
                Keep::From(start) => node.last_slot().is_none_or(|last| last.id < start),
            };
            if whole {
                self.log.pop_node();
                removed += entries;
                continue;
            }
            if !trim.approximate {
                let mut left = self.len();
                removed += self.log.trim_node(|id| {
                    let goes = match trim.keep {
                        Keep::Entries(most) => left > most,
                        Keep::From(start) => id < start,
                    };
                    left -= u64::from(goes);
                    goes
                });
            }
            break;
        }
        if removed > 0 {
            self.first_id = self.log.first().unwrap_or_default();
        }
        removed
    }
}
