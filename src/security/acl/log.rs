//! What was refused of late, for `ACL LOG`.

use std::collections::VecDeque;

use super::check::Reason;

/// Milliseconds within which a refusal is counted as one more of an earlier, equal one.
const SAME_WITHIN_MS: u64 = 60_000;
/// Entries among which an equal one is sought.
const SOUGHT: usize = 10;
/// Bytes of a key, a channel or a name that an entry keeps.
const SHOWN: usize = 4096;

/// Where a refused command was called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client itself.
    Toplevel,
    /// A transaction.
    Multi,
    /// A script.
    Script,
}

impl Origin {
    /// The word of `ACL LOG`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Toplevel => "toplevel",
            Self::Multi => "multi",
            Self::Script => "lua",
        }
    }
}

/// A refusal.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Why.
    pub reason: Reason,
    /// Where from.
    pub origin: Origin,
    /// The command, key or channel.
    pub object: &'a [u8],
    /// The user's name, or the name that was tried.
    pub user: &'a [u8],
    /// The client's line of `CLIENT LIST`.
    pub client: &'a str,
    /// Milliseconds of Unix time.
    pub now_ms: u64,
}

/// Equal refusals of the same minute.
#[derive(Clone, Debug)]
pub struct Record {
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: Reason,
    /// Where from.
    pub origin: Origin,
    /// The command, key or channel; the first 4 KiB of it.
    pub object: Box<[u8]>,
    /// The user's name, or the name that was tried; the first 4 KiB of it.
    pub user: Box<[u8]>,
    /// The client of the last one.
    pub client: Box<str>,
    /// The number of this record since the start.
    pub id: u64,
    /// Milliseconds of Unix time of the first.
    pub created_ms: u64,
    /// Milliseconds of Unix time of the last.
    pub updated_ms: u64,
}

/// The records, the latest first.
#[derive(Debug, Default)]
pub(super) struct Log {
    records: VecDeque<Record>,
    next_id: u64,
}

impl Log {
    /// Adds a refusal, and drops the oldest records beyond `limit`.
    pub(super) fn add(&mut self, event: &Event<'_>, limit: usize) {
        let shown = |text: &[u8]| -> Box<[u8]> { text[..text.len().min(SHOWN)].into() };
        let (object, user) = (shown(event.object), shown(event.user));
        let is_same = |known: &Record| {
            known.reason == event.reason
                && known.origin == event.origin
                && known.updated_ms.abs_diff(event.now_ms) <= SAME_WITHIN_MS
                && known.object == object
                && known.user == user
        };
        let same = self.records.iter().take(SOUGHT).position(is_same);
        if let Some(mut record) = same.and_then(|at| self.records.remove(at)) {
            record.count += 1;
            record.client = event.client.into();
            record.updated_ms = event.now_ms;
            self.records.push_front(record);
            return;
        }
        self.records.push_front(Record {
            count: 1,
            reason: event.reason,
            origin: event.origin,
            object,
            user,
            client: event.client.into(),
            id: self.next_id,
            created_ms: event.now_ms,
            updated_ms: event.now_ms,
        });
        self.next_id += 1;
        self.records.truncate(limit);
    }

    /// The latest `count` records.
    pub(super) fn latest(&self, count: usize) -> Vec<Record> {
        self.records.iter().take(count).cloned().collect()
    }

    /// Forgets all records.
    pub(super) fn clear(&mut self) {
        self.records.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(object: &str, now_ms: u64) -> Event<'_> {
        let (reason, origin) = (Reason::Key, Origin::Toplevel);
        Event { reason, origin, object: object.as_bytes(), user: b"alice", client: "id=1", now_ms }
    }

    #[test]
    fn equal_refusals_of_a_minute_are_one_record() {
        let mut log = Log::default();
        for (object, now_ms) in [("a", 0), ("b", 1), ("a", 60_000), ("a", 120_001)] {
            log.add(&event(object, now_ms), 10);
        }
        let found: Vec<_> = log.latest(9).iter().map(|record| (record.id, record.count, record.created_ms)).collect();
        assert_eq!(found, [(2, 1, 120_001), (0, 2, 0), (1, 1, 1)]);
        assert_eq!(log.latest(2).len(), 2);
    }

    #[test]
    fn old_and_long_things_are_dropped() {
        let mut log = Log::default();
        (0..5).for_each(|number: u64| log.add(&event(&number.to_string(), 0), 3));
        assert_eq!(log.latest(9).iter().map(|record| record.id).collect::<Vec<_>>(), [4, 3, 2]);
        log.add(&event(&"x".repeat(100_000), 0), 3);
        assert_eq!(log.latest(1)[0].object.len(), SHOWN);
        log.clear();
        log.add(&event("a", 0), 0);
        assert!(log.latest(9).is_empty());
    }
}
