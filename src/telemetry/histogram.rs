//! How long things took: counts by duration, exact to one part in 128.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets of an octave, as a power of two.
const PRECISION: u32 = 7;
/// Buckets of an octave.
const OCTAVE: usize = 1 << PRECISION;
/// The longest time in nanoseconds; what takes longer counts as this.
const LONGEST: u64 = 1_000_000_000;
/// All buckets: two octaves of single nanoseconds, then one for each further power of two up to [`LONGEST`].
const BUCKETS: usize = index(LONGEST) + 1;

/// Where a duration counts. Below 256 every nanosecond has its bucket; above, an octave has 128.
const fn index(nanos: u64) -> usize {
    let width = width_of(nanos);
    width as usize * OCTAVE + (nanos >> width) as usize
}

/// The width of the bucket of a duration, as a power of two.
const fn width_of(nanos: u64) -> u32 {
    (u64::BITS - nanos.leading_zeros()).saturating_sub(PRECISION + 1)
}

/// The longest duration that counts in this bucket.
const fn highest(index: usize) -> u64 {
    if index < 2 * OCTAVE {
        return index as u64;
    }
    let width = index / OCTAVE - 1;
    (((index - width * OCTAVE) as u64 + 1) << width) - 1
}

/// Durations that one thread measures and everybody reads.
#[derive(Debug)]
pub struct Histogram(Box<[AtomicU64]>);

impl Default for Histogram {
    fn default() -> Self {
        Histogram((0..BUCKETS).map(|_| AtomicU64::default()).collect())
    }
}

impl Histogram {
    /// Counts a duration. Only one thread may do that.
    #[inline]
    pub fn count(&self, nanos: u64) {
        super::add(&self.0[index(nanos.min(LONGEST))], 1);
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.0.iter().for_each(|bucket| bucket.store(0, Relaxed));
    }
}

/// The sum of histograms at one moment.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    buckets: Vec<u64>,
    /// Durations that were counted.
    pub total: u64,
}

impl Durations {
    /// Adds what a histogram has counted.
    pub fn add(&mut self, histogram: &Histogram) {
        self.buckets.resize(BUCKETS, 0);
        for (sum, bucket) in self.buckets.iter_mut().zip(&histogram.0) {
            let count = bucket.load(Relaxed);
            *sum += count;
            self.total += count;
        }
    }

    /// The duration in nanoseconds that so many percent do not exceed.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = ((percent / 100.0 * self.total as f64).round() as u64).max(1);
        let mut passed = 0;
        let reached = self.buckets.iter().position(|count| {
            passed += count;
            passed >= wanted
        });
        reached.map_or(0, highest)
    }

    /// For each power of two microseconds or so: the limit in microseconds, and how many durations are not longer. Limits that
    /// add nothing are left out. They are those of Redis: powers of 1024 ns, each with the bucket that it falls into.
    pub fn powers(&self) -> Vec<(u64, u64)> {
        let mut powers = Vec::new();
        let (mut passed, mut from, mut limit) = (0, 0, 1024);
        while passed < self.total && limit <= 2 * LONGEST {
            let bucket = index(limit).min(BUCKETS - 1);
            let more: u64 = self.buckets.get(from..=bucket).unwrap_or_default().iter().sum();
            if more > 0 {
                passed += more;
                powers.push((highest(index(limit)) / 1000, passed));
            }
            (from, limit) = (bucket + 1, limit * 2);
        }
        powers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_a_bucket_of_its_size() {
        let mut last = 0;
        for nanos in (0..5000).chain((5000..LONGEST).step_by(99_991)).chain([LONGEST]) {
            let at = index(nanos);
            assert!(at < BUCKETS && at >= last, "{nanos}");
            last = at;
            let high = highest(at);
            assert!(high >= nanos && high - nanos <= nanos / 128, "{nanos}: {high}");
            assert_eq!(index(high), at, "{nanos}");
        }
        assert_eq!(index(LONGEST), BUCKETS - 1);
    }

    #[test]
    fn percentiles_and_powers_are_those_of_redis() {
        let histogram = Histogram::default();
        [900, 1000, 3000, 30_000, 5_000_000_000].iter().for_each(|&nanos| histogram.count(nanos));
        let mut all = Durations::default();
        all.add(&histogram);
        assert_eq!((all.total, all.percentile(0.0), all.percentile(50.0)), (5, 903, 3007));
        assert_eq!(all.percentile(100.0), highest(BUCKETS - 1));
        assert_eq!(all.powers(), [(1, 2), (4, 3), (33, 4), (1_082_130, 5)]);
        let mut twice = all.clone();
        twice.add(&histogram);
        assert_eq!(twice.total, 10);
        histogram.reset();
        let mut none = Durations::default();
        none.add(&histogram);
        assert_eq!((none.total, none.percentile(50.0), none.powers()), (0, 0, Vec::new()));
    }
}
