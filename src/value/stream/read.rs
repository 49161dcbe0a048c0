//! Reading through a consumer group: delivery, history, claims.

use super::{ConsumerId, Pending, Record, Stream, StreamId};

/// How a consumer reads (`XREADGROUP`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Who reads.
    pub consumer: ConsumerId,
    /// The most entries; 0 is no limit.
    pub count: u64,
    /// Whether what is delivered counts as acknowledged (`NOACK`).
    pub acknowledged: bool,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

/// How a consumer claims what is pending (`XCLAIM`, `XAUTOCLAIM`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who claims.
    pub consumer: ConsumerId,
    /// Only what was delivered so many milliseconds ago; 0 is anything.
    pub min_idle: i64,
    /// The time of delivery to note, in milliseconds since 1970.
    pub time: i64,
    /// The number of deliveries to note, instead of one more.
    pub count: Option<u64>,
    /// Whether only IDs are wanted (`JUSTID`): then the number of deliveries stays.
    pub just_id: bool,
    /// Whether what is not pending becomes so (`FORCE`).
    pub force: bool,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

/// What became of an entry that was to be claimed.
#[derive(Clone, Debug)]
pub enum Claimed<'a> {
    /// It is the consumer's now.
    Taken(Record<'a>, Pending),
    /// It was pending, but is no longer in the stream; it is not pending any more.
    Gone(Pending),
}

impl Stream {
    /// Delivers entries behind the last delivered one to a consumer, calling `each` with every one; tells how many.
    /// 0 also if there is no such group. O(log n + entries · log pending).
    pub fn deliver(&mut self, group: &[u8], read: Read, mut each: impl FnMut(Record<'_>)) -> u64 {
        let Ok(slot) = self.search(group) else { return 0 };
        let marks = self.marks();
        let group = &mut self.groups[slot];
        let Some(start) = group.last_delivered.next() else { return 0 };
        let mut delivered = 0;
        for record in self.log.range(start, StreamId::MAX) {
            marks.advance(group, record.id);
            if !read.acknowledged {
                group.assign(Pending { id: record.id, time: read.now_ms, count: 1, consumer: read.consumer });
                if let Some(consumer) = group.consumer_mut(read.consumer) {
                    consumer.active = Some(read.now_ms);
                }
            }
            delivered += 1;
            each(record);
            if delivered == read.count {
                break;
            }
        }
        delivered
    }

    /// Delivers again what is pending for a consumer, from `start` on, calling `each` with every ID and its entry, or
    /// none if it was deleted; tells how many. O(log n) each.
    pub fn deliver_again(
        &mut self,
        group: &[u8],
        read: Read,
        start: StreamId,
        mut each: impl FnMut(StreamId, Option<Record<'_>>),
    ) -> u64 {
        let Ok(slot) = self.search(group) else { return 0 };
        let group = &mut self.groups[slot];
        let (mut next, mut delivered) = (Some(start), 0);
        while let Some(from) = next.filter(|_| read.count == 0 || delivered < read.count) {
            let id = group.consumer(read.consumer).and_then(|consumer| consumer.pending_from(from).next());
            let Some(id) = id else { break };
            let record = self.log.get(id);
            if let Some(pending) = group.pending(id).copied().filter(|_| record.is_some()) {
                group.assign(Pending { time: read.now_ms, count: pending.count.saturating_add(1), ..pending });
            }
            each(id, record);
            delivered += 1;
            next = id.next();
        }
        delivered
    }

    /// Gives a pending entry to another consumer (`XCLAIM` of one ID). `None` if nothing changed: it is not pending (and
    /// not forced), or not idle for long enough. O(log n + node).
    pub fn claim(&mut self, group: &[u8], id: StreamId, claim: Claim) -> Option<Claimed<'_>> {
        let slot = self.search(group).ok()?;
        let group = &mut self.groups[slot];
        let old = group.pending(id).copied();
        let Some(record) = self.log.get(id) else {
            group.acknowledge(id);
            return old.map(Claimed::Gone);
        };
        let count = match old {
            Some(old) if claim.min_idle != 0 && claim.now_ms.saturating_sub(old.time) < claim.min_idle => return None,
            Some(old) => old.count,
            // Redis counts the forced entry as delivered once, and then once more.
            None if claim.force => 1,
            None => return None,
        };
        let count = claim.count.unwrap_or(if claim.just_id { count } else { count.saturating_add(1) });
        let pending = Pending { id, time: claim.time, count, consumer: claim.consumer };
        group.assign(pending);
        if let Some(consumer) = group.consumer_mut(claim.consumer) {
            consumer.active = Some(claim.now_ms);
        }
        Some(Claimed::Taken(record, pending))
    }

    /// Claims up to `count` pending entries from `start` on (`XAUTOCLAIM`), those that are gone counted in, looking at ten
    /// times as many at most; calls `each` with every one that changed. Returns where to go on; 0-0 at the end.
    /// O(looked at · log n).
    pub fn auto_claim(
        &mut self,
        group: &[u8],
        start: StreamId,
        count: u64,
        claim: Claim,
        mut each: impl FnMut(Claimed<'_>),
    ) -> StreamId {
        let (mut attempts, mut left) = (count.saturating_mul(10), count);
        let mut next = Some(start);
        while let Some(from) = next {
            let pending = self.group(group).and_then(|group| group.pending_from(from).next().copied());
            let Some(pending) = pending else { return StreamId::MIN };
            if attempts == 0 || left == 0 {
                return pending.id;
            }
            attempts -= 1;
            if let Some(claimed) = self.claim(group, pending.id, claim) {
                left -= 1;
                each(claimed);
            }
            next = pending.id.next();
        }
        StreamId::MIN
    }
}
