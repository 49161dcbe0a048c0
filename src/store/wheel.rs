//! The timing wheel: when the keys of a worker fall due.
//!
//! A worker puts an entry in for every time to live that it sets. An entry names no key, only the shard, the database,
//! 48 bits of the hash, and the due time: 16 bytes. It is stale when its key is gone or got another time to live; a
//! stale entry is dropped when it fires or when [`Wheel::sweep`] comes by, so re-arming a key costs no search.
//!
//! Four levels of 256 slots, of 4 ms, 1 s, 4.4 min and 18.6 h each; a slot of an upper level is spread over the level below
//! when the time reaches it. What lies beyond (199 days) waits in the last slot and is put in again.

/// Milliseconds of a slot of the lowest level, as a power of two.
const TICK_BITS: u32 = 2;
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 4;

/// A key's due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timer {
    /// When, in milliseconds of Unix time.
    pub(super) due_ms: u64,
    /// The 40 highest and 8 lowest bits of the key's hash: those by which the map finds it. The rest is 0.
    pub(super) hash: u64,
    /// The shard of the key.
    pub(super) shard: u16,
    /// The identity of the key's database, which is its number unless `SWAPDB` moved it.
    pub(super) database: u16,
}

/// The bits of a hash that a timer keeps.
pub(super) const HASH_KEPT: u64 = !(0xffff << 8);

/// A timer in 16 bytes: the due time in 48 bits (year 10889), the hash in 48, shard and database in 16 each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Packed(u64, u64);

impl Packed {
    fn new(timer: &Timer) -> Self {
        let due = timer.due_ms.min((1 << 48) - 1);
        Packed(due << 16 | u64::from(timer.shard), (timer.hash & HASH_KEPT) | u64::from(timer.database) << 8)
    }

    fn timer(self) -> Timer {
        Timer { due_ms: self.0 >> 16, hash: self.1 & HASH_KEPT, shard: self.0 as u16, database: (self.1 >> 8) as u16 }
    }
}

/// The timers of one worker.
pub(super) struct Wheel {
    levels: [Box<[Vec<Packed>]>; LEVELS],
    /// The next tick to fire: all before it has fired.
    tick: u64,
    len: usize,
    /// Timers in the slots of each level: where there are none, time passes in leaps.
    counts: [usize; LEVELS],
    /// Timers taken from a slot of which not all have fired yet.
    firing: Vec<Packed>,
    /// The next slot to sweep, over all levels, and the place in it.
    sweep_at: (usize, usize),
}

impl Wheel {
    /// An empty wheel that starts at `now_ms`.
    pub(super) fn new(now_ms: u64) -> Self {
        Wheel {
            levels: std::array::from_fn(|_| (0..SLOTS).map(|_| Vec::new()).collect()),
            tick: now_ms >> TICK_BITS,
            len: 0,
            counts: [0; LEVELS],
            firing: Vec::new(),
            sweep_at: (0, 0),
        }
    }

    /// Timers in the wheel, stale ones included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no timer.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a timer in.
    pub(super) fn insert(&mut self, timer: &Timer) {
        self.len += 1;
        self.place(Packed::new(timer));
    }

    /// Takes over all timers of another wheel.
    pub(super) fn absorb(&mut self, other: Wheel) {
        let slots = other.levels.into_iter().flatten();
        for packed in slots.flatten().chain(other.firing) {
            self.len += 1;
            self.place(packed);
        }
    }

    fn place(&mut self, packed: Packed) {
        // A key lives through its due millisecond, so it fires in the tick after it.
        let tick = ((packed.timer().due_ms + 1) >> TICK_BITS).max(self.tick) + 1;
        for level in 0..LEVELS {
            let shift = SLOT_BITS * level as u32;
            // A timer beyond the level below is never in the present slot of this level, which was already spread.
            if (tick >> shift) - (self.tick >> shift) < SLOTS as u64 {
                self.push(level, tick >> shift, packed);
                return;
            }
        }
        let top = SLOT_BITS * (LEVELS as u32 - 1);
        self.push(LEVELS - 1, (self.tick >> top) + SLOTS as u64 - 1, packed);
    }

    fn push(&mut self, level: usize, at: u64, packed: Packed) {
        self.counts[level] += 1;
        self.levels[level][at as usize % SLOTS].push(packed);
    }

    fn take(&mut self, level: usize, at: u64) -> Vec<Packed> {
        let taken = std::mem::take(&mut self.levels[level][at as usize % SLOTS]);
        self.counts[level] -= taken.len();
        taken
    }

    /// Advances to `now_ms` and gives every timer that falls due to `fire`, at most `budget` of them. Returns whether
    /// more are due already.
    pub(super) fn advance(&mut self, now_ms: u64, budget: usize, mut fire: impl FnMut(Timer)) -> bool {
        let end = now_ms >> TICK_BITS;
        let mut left = budget;
        loop {
            while let Some(packed) = self.firing.pop() {
                self.len -= 1;
                fire(packed.timer());
                left = left.saturating_sub(1);
                if left == 0 {
                    return true;
                }
            }
            self.firing = Vec::new();
            if self.tick >= end {
                return false;
            }
            if self.is_empty() {
                self.tick = end;
                return false;
            }
            self.leap(end);
            if self.tick < end {
                self.step();
            }
        }
    }

    /// Passes the ticks in which nothing can happen: until the first level that holds timers has its next slot. An idle
    /// server, or one whose machine was suspended, does not count every tick of days.
    fn leap(&mut self, end: u64) {
        let empty = self.counts.iter().take_while(|&&count| count == 0).count().min(LEVELS - 1);
        let shift = SLOT_BITS * empty as u32;
        let next = ((self.tick >> shift) + 1) << shift;
        self.tick = self.tick.max(end.min(next - 1));
    }

    /// Moves on by one tick: spreads the upper slots that begin with it and takes what fires in it.
    fn step(&mut self) {
        self.tick += 1;
        for level in (1..LEVELS).rev() {
            let shift = SLOT_BITS * level as u32;
            if self.tick & ((1 << shift) - 1) == 0 {
                for packed in self.take(level, self.tick >> shift) {
                    self.spread(packed);
                }
            }
        }
        self.firing = self.take(0, self.tick);
    }

    /// Puts a timer of an upper slot lower; one that fires in this very tick goes where the step takes it from.
    fn spread(&mut self, packed: Packed) {
        let tick = ((packed.timer().due_ms + 1) >> TICK_BITS) + 1;
        if tick <= self.tick {
            self.push(0, self.tick, packed);
        } else {
            self.place(packed);
        }
    }

    /// At most `most` timers that lie together, from any one on, each as likely. Those that are firing are left out.
    pub(super) fn sample(&self, random: u64, most: usize) -> Vec<Timer> {
        let Some(at) = random.checked_rem(self.counts.iter().sum::<usize>() as u64) else { return Vec::new() };
        let mut at = at as usize;
        let level = self.counts.iter().position(|&count| lies_within(&mut at, count)).unwrap_or(0);
        let slots = &self.levels[level];
        let first = slots.iter().position(|slot| lies_within(&mut at, slot.len())).unwrap_or(0);
        let mut found = Vec::with_capacity(most);
        for slot in slots[first..].iter().chain(&slots[..first]) {
            let from = std::mem::take(&mut at);
            found.extend(slot[from..].iter().take(most - found.len()).map(|packed| packed.timer()));
            if found.len() == most {
                break;
            }
        }
        found
    }

    /// Takes out the timer that is due soonest, to the accuracy of the slot that it waits in; where that holds many, the
    /// soonest of its last ones.
    pub(super) fn take_soonest(&mut self) -> Option<Timer> {
        const COMPARED: usize = 32;
        if self.len == 0 {
            return None;
        }
        let level = (0..LEVELS).find(|&level| self.counts[level] > 0).filter(|_| self.firing.is_empty());
        let slot = match level {
            None => &mut self.firing,
            Some(level) => {
                let now = (self.tick >> (SLOT_BITS * level as u32)) as usize;
                let ahead = (0..SLOTS).find(|ahead| !self.levels[level][(now + ahead) % SLOTS].is_empty())?;
                &mut self.levels[level][(now + ahead) % SLOTS]
            }
        };
        let tail = slot.len().saturating_sub(COMPARED);
        let soonest = (tail..slot.len()).min_by_key(|&at| slot[at])?;
        let packed = slot.swap_remove(soonest);
        self.len -= 1;
        if let Some(level) = level {
            self.counts[level] -= 1;
        }
        Some(packed.timer())
    }

    /// Looks at the next timers, at most `budget`, and drops the stale ones and the repeated.
    ///
    /// A key that is deleted and set again to expire at the same moment leaves equal timers, all of which are right. They
    /// are in one slot, and found where they are looked at together.
    pub(super) fn sweep(&mut self, budget: usize, mut is_stale: impl FnMut(Timer) -> bool) {
        let mut left = budget;
        for _ in 0..LEVELS * SLOTS {
            let (at, from) = self.sweep_at;
            let slot = &mut self.levels[at / SLOTS][at % SLOTS];
            let from = from.min(slot.len());
            let end = slot.len().min(from.saturating_add(left));
            left -= end - from;
            let mut kept = slot[from..end].to_vec();
            kept.sort_unstable();
            kept.dedup();
            kept.retain(|packed| !is_stale(packed.timer()));
            // What follows closes the gap from its end, so a sweep's work does not depend on the slot's size.
            let next = from + kept.len();
            let gap = end - next;
            slot[from..next].copy_from_slice(&kept);
            let (len, moved) = (slot.len(), gap.min(slot.len() - end));
            slot.copy_within(len - moved.., next);
            slot.truncate(len - gap);
            self.len -= gap;
            self.counts[at / SLOTS] -= gap;
            if next < slot.len() {
                self.sweep_at = (at, next);
                return;
            }
            slot.shrink_to(slot.len() * 2);
            self.sweep_at = ((at + 1) % (LEVELS * SLOTS), 0);
            if left == 0 {
                return;
            }
        }
    }
}

/// Whether `at` is among the next `count`; if not, they are passed.
fn lies_within(at: &mut usize, count: usize) -> bool {
    let here = *at < count;
    *at -= if here { 0 } else { count };
    here
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(due_ms: u64) -> Timer {
        Timer { due_ms, hash: 0xabcd_ef01_2300_0045, shard: 9, database: 3 }
    }

    #[test]
    fn a_timer_keeps_what_finds_its_key() {
        let t = Timer { due_ms: 1 << 47, hash: u64::MAX, shard: 16383, database: 65535 };
        assert_eq!(Packed::new(&t).timer(), Timer { hash: HASH_KEPT, ..t });
    }

    #[test]
    fn every_timer_fires_once_soon_after_its_time() {
        let start = 1_700_000_000_123;
        let mut wheel = Wheel::new(start);
        let dues: Vec<u64> = (0..400u64).map(|i| start + (i * i * i * 7919) % 400_000_000).collect();
        dues.iter().for_each(|&due| wheel.insert(&timer(due)));
        wheel.insert(&timer(start - 50));
        let mut fired = Vec::new();
        let mut now = start;
        let mut step = 1;
        while !wheel.is_empty() {
            now += step;
            step = step % 3_000 + 7;
            wheel.advance(now, usize::MAX, |t| {
                assert!(t.due_ms < now, "{} fired at {now}", t.due_ms);
                assert!(t.due_ms + step + 3_012 + 12 >= now, "{} fired late at {now}", t.due_ms);
                fired.push(t.due_ms);
            });
        }
        let mut expected = dues;
        expected.push(start - 50);
        expected.sort_unstable();
        fired.sort_unstable();
        assert_eq!(fired, expected);
    }

    #[test]
    fn far_timers_wait_in_the_last_slot() {
        let mut wheel = Wheel::new(0);
        let far = 400 * 24 * 3600 * 1000;
        wheel.insert(&timer(far));
        let mut fired = 0;
        // Jumps of an hour are many ticks each.
        for hour in 0..400 * 24 {
            wheel.advance(hour * 3_600_000, usize::MAX, |_| fired += 1);
        }
        assert_eq!((fired, wheel.len()), (0, 1));
        wheel.advance(far + 20, usize::MAX, |_| fired += 1);
        assert_eq!((fired, wheel.len()), (1, 0));
    }

    #[test]
    fn a_budget_spreads_the_work() {
        let mut wheel = Wheel::new(0);
        (0..100).for_each(|_| wheel.insert(&timer(10)));
        let mut fired = 0;
        assert!(wheel.advance(1000, 30, |_| fired += 1));
        assert_eq!(fired, 30);
        while wheel.advance(1000, 30, |_| fired += 1) {}
        assert_eq!(fired, 100);
    }

    #[test]
    fn sweeping_drops_only_the_stale() {
        let mut wheel = Wheel::new(0);
        (0..1000).for_each(|i| wheel.insert(&timer(i * 100)));
        wheel.sweep(usize::MAX, |t| t.due_ms % 200 == 0);
        assert_eq!(wheel.len(), 500);
    }

    #[test]
    fn sweeping_one_large_slot_in_parts_sees_every_timer() {
        let mut wheel = Wheel::new(0);
        let far = |i: u64| Timer { hash: i << 24, ..timer(1 << 36) };
        (0..1000).for_each(|i| wheel.insert(&far(i % 500)));
        for _ in 0..50 {
            wheel.sweep(64, |t| (t.hash >> 24) % 2 == 0);
        }
        let mut fired = Vec::new();
        assert!((250..=500).contains(&wheel.len()), "{}", wheel.len());
        wheel.advance((1 << 36) + 100, usize::MAX, |t| fired.push(t.hash >> 24));
        fired.sort_unstable();
        fired.dedup();
        assert_eq!(fired, (0..500).filter(|i| i % 2 == 1).collect::<Vec<_>>());
        assert!(wheel.is_empty());
    }

    #[test]
    fn the_soonest_is_taken_first() {
        let mut wheel = Wheel::new(0);
        // One a slot of each level, and some in the last slot.
        let dues = [100, 5_000, 900_000, 200_000_000, 210_000_000, 1 << 40, 1 << 41];
        dues.iter().rev().for_each(|&due| wheel.insert(&timer(due)));
        let taken: Vec<_> = std::iter::from_fn(|| wheel.take_soonest()).map(|timer| timer.due_ms).collect();
        assert_eq!(taken, dues);
        assert!(wheel.is_empty() && wheel.counts == [0; LEVELS]);
    }

    #[test]
    fn samples_reach_every_timer() {
        let mut wheel = Wheel::new(0);
        (0..500).for_each(|i| wheel.insert(&timer(i * 7919 + 10)));
        let mut dice = 1u64;
        let mut roll = || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            dice ^ dice >> 32
        };
        let mut seen = std::collections::HashSet::new();
        for _ in 0..2000 {
            let sample = wheel.sample(roll(), 5);
            assert!(!sample.is_empty() && sample.len() <= 5);
            seen.extend(sample.iter().map(|timer| timer.due_ms));
        }
        assert_eq!((seen.len(), wheel.len()), (500, 500));
        assert!(Wheel::new(0).sample(1, 5).is_empty());
    }

    #[test]
    fn repeated_timers_are_dropped() {
        let mut wheel = Wheel::new(0);
        (0..10_000).for_each(|_| wheel.insert(&timer(500)));
        (0..4).for_each(|_| wheel.sweep(4096, |_| false));
        assert!(wheel.len() <= 3, "{}", wheel.len());
    }
}
