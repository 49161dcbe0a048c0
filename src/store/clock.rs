//! The access clock: what a record remembers of its accesses, for eviction.
//!
//! One word of 32 bits. By recency it is the second of Unix time of the last access. By frequency it is, from the lowest
//! bit, a logarithmic counter of accesses (8 bits) and the minute of the last one (16 bits), as in Redis, so that `OBJECT
//! FREQ` tells comparable numbers. Which of the two it is follows from the policy; when that changes at run time, old words
//! are misread until their keys are used again, as in Redis.

use super::enter::Local;
use super::record::Record;
use super::view::Store;

/// What accesses leave in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// When the last one was.
    #[default]
    Recency,
    /// About how many there were.
    Frequency {
        /// How slowly the counter saturates (`lfu-log-factor`).
        log_factor: u32,
        /// Minutes without access for which the counter falls by one (`lfu-decay-time`); 0: it never does.
        decay_minutes: u32,
    },
}

/// The counter of a new key: it has a chance to be used before it is the worst.
const FRESH: u32 = 5;

/// The minute of the frequency clock.
fn minute(now_ms: u64) -> u16 {
    (now_ms / 60_000) as u16
}

/// The counter in `word` after the time that has passed since.
pub(super) fn decayed(word: u32, now_ms: u64, decay_minutes: u32) -> u8 {
    let passed = u32::from(elapsed(word, now_ms));
    let periods = passed.checked_div(decay_minutes).unwrap_or(0);
    (word as u8).saturating_sub(periods.min(255) as u8)
}

/// Minutes since the last access that `word` tells, of 16 bits that wrap after 45 days.
pub(super) fn elapsed(word: u32, now_ms: u64) -> u16 {
    minute(now_ms).wrapping_sub((word >> 8) as u16)
}

/// The counter after one more access: the higher it is, the less likely it grows.
fn counted(counter: u8, log_factor: u32, random: u64) -> u8 {
    let above = u64::from(u32::from(counter).saturating_sub(FRESH));
    let odds = above * u64::from(log_factor) + 1;
    counter.saturating_add(u8::from(random.is_multiple_of(odds)))
}

impl Local {
    /// Chooses what accesses by this worker leave in records.
    pub fn set_clock(&self, clock: Clock) {
        self.clock.set(clock);
    }

    /// 64 random bits (xorshift*), for sampling.
    pub(super) fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

impl Store<'_> {
    /// The second of the recency clock.
    #[inline]
    fn second(&self) -> u32 {
        (self.now_ms / 1000) as u32
    }

    /// Notes an access in a record.
    #[inline]
    pub(super) fn touch(&self, record: Record<'_>) {
        if self.still {
            return;
        }
        match self.local.clock.get() {
            Clock::Recency => record.set_access(self.second()),
            Clock::Frequency { log_factor, decay_minutes } => self.count_access(record, log_factor, decay_minutes),
        }
    }

    fn count_access(&self, record: Record<'_>, log_factor: u32, decay_minutes: u32) {
        let counter = decayed(record.access(), self.now_ms, decay_minutes);
        let counter = counted(counter, log_factor, self.local.random() >> 32);
        record.set_access(self.word(counter));
    }

    fn word(&self, counter: u8) -> u32 {
        u32::from(minute(self.now_ms)) << 8 | u32::from(counter)
    }

    /// The word of a new record.
    #[inline]
    pub(super) fn fresh_access(&self) -> u32 {
        match self.local.clock.get() {
            Clock::Recency => self.second(),
            Clock::Frequency { .. } => self.word(FRESH as u8),
        }
    }

    /// The word of a record whose value is replaced: a key that is set anew is as recent as one that is new, and stays as
    /// frequent as it was.
    #[inline]
    pub(super) fn replaced_access(&self, old: Record<'_>) -> u32 {
        match self.local.clock.get() {
            Clock::Recency => self.second(),
            Clock::Frequency { .. } => old.access(),
        }
    }

    /// Seconds since the last access to a record; `None` where frequencies are kept instead. A step of the clock backwards
    /// counts as no time at all.
    pub fn idle_seconds(&self, record: Record<'_>) -> Option<u32> {
        (self.local.clock.get() == Clock::Recency).then(|| self.second().saturating_sub(record.access()))
    }

    /// The logarithmic counter of accesses to a record; `None` where it is not kept.
    pub fn frequency(&self, record: Record<'_>) -> Option<u8> {
        match self.local.clock.get() {
            Clock::Recency => None,
            Clock::Frequency { decay_minutes, .. } => Some(decayed(record.access(), self.now_ms, decay_minutes)),
        }
    }

    /// Sets what another server told of a key: seconds without access, or the counter, whichever this one keeps.
    pub fn set_history(&self, record: Record<'_>, idle_seconds: Option<u64>, frequency: Option<u8>) {
        match (self.local.clock.get(), idle_seconds, frequency) {
            (Clock::Recency, Some(idle), _) => {
                let idle = u32::try_from(idle).unwrap_or(u32::MAX);
                record.set_access(self.second().saturating_sub(idle));
            }
            (Clock::Frequency { .. }, _, Some(counter)) => record.set_access(self.word(counter)),
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_grows_ever_more_slowly() {
        let mut dice = 1u64;
        let mut roll = || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            dice >> 32
        };
        // Redis's table for a factor of 10: about 10 after 100 accesses, 18 after 1000, 142 after 100 000.
        for (accesses, about) in [(100, 8..=13), (1000, 16..=22), (100_000, 125..=160)] {
            let counter = (0..accesses).fold(FRESH as u8, |counter, _| counted(counter, 10, roll()));
            assert!(about.contains(&counter), "{accesses}: {counter}");
        }
        assert_eq!((0..1000).fold(FRESH as u8, |counter, _| counted(counter, 0, roll())), 255);
    }

    #[test]
    fn a_counter_falls_by_one_for_each_period() {
        let start = 1_000 * 60_000;
        let word = u32::from(minute(start)) << 8 | 100;
        assert_eq!(decayed(word, start, 1), 100);
        assert_eq!(decayed(word, start + 10 * 60_000, 1), 90);
        assert_eq!(decayed(word, start + 10 * 60_000, 3), 97);
        assert_eq!(decayed(word, start + 10 * 60_000, 0), 100);
        assert_eq!(decayed(word, start + 1000 * 60_000, 1), 0);
        // The minutes wrap.
        let late = 65_535 * 60_000;
        assert_eq!(decayed(0xffff << 8 | 9, late + 2 * 60_000, 1), 7);
    }
}
