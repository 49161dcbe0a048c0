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

impl Stream {
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
