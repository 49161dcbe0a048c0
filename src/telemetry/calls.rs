//! What commands cost: calls, time, refusals and failures of each, counted by each worker for itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::add;
use super::histogram::{Durations, Histogram};

/// The counts of one command on one worker, in half a cache line.
#[repr(align(32))]
#[derive(Debug, Default)]
struct Count {
    calls: AtomicU64,
    nanos: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
}

/// The counts of all commands, by their places in the command table, on one worker. Only that worker writes.
#[derive(Debug)]
pub struct Calls {
    counts: Box<[Count]>,
    /// Made when a command first runs, because most of them never do.
    durations: Box<[OnceLock<Histogram>]>,
}

/// The counts of one command on all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTotals {
    /// Times that it ran.
    pub calls: u64,
    /// Nanoseconds that it took.
    pub nanos: u64,
    /// Times that it was refused before it ran.
    pub rejected: u64,
    /// Times that it ran and replied an error.
    pub failed: u64,
}

impl Calls {
    /// Zeroes for so many commands.
    pub fn new(commands: usize) -> Self {
        Calls {
            counts: (0..commands).map(|_| Count::default()).collect(),
            durations: (0..commands).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Counts a call that took so long.
    #[inline]
    pub fn called(&self, command: usize, nanos: u64) {
        let count = &self.counts[command];
        add(&count.calls, 1);
        add(&count.nanos, nanos);
    }

    /// Counts how long a call took, to tell percentiles.
    #[inline]
    pub fn track(&self, command: usize, nanos: u64) {
        self.durations[command].get_or_init(Histogram::default).count(nanos);
    }

    /// Counts that the last call failed.
    pub fn failed(&self, command: usize) {
        add(&self.counts[command].failed, 1);
    }

    /// Counts a call that was refused.
    pub fn rejected(&self, command: usize) {
        add(&self.counts[command].rejected, 1);
    }

    /// Adds the counts of a command to `sum`.
    pub fn add_to(&self, command: usize, sum: &mut CallTotals) {
        let count = &self.counts[command];
        sum.calls += count.calls.load(Relaxed);
        sum.nanos += count.nanos.load(Relaxed);
        sum.rejected += count.rejected.load(Relaxed);
        sum.failed += count.failed.load(Relaxed);
    }

    /// Adds the durations of a command to `sum`.
    pub fn add_durations(&self, command: usize, sum: &mut Durations) {
        if let Some(histogram) = self.durations[command].get() {
            sum.add(histogram);
        }
    }

    /// Forgets everything.
    pub fn reset(&self) {
        for Count { calls, nanos, rejected, failed } in &self.counts {
            [calls, nanos, rejected, failed].iter().for_each(|counter| counter.store(0, Relaxed));
        }
        self.durations.iter().filter_map(OnceLock::get).for_each(Histogram::reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_command() {
        let calls = Calls::new(2);
        calls.called(1, 100);
        calls.called(1, 200);
        calls.track(1, 200);
        calls.failed(1);
        calls.rejected(0);
        let totals = |command| {
            let mut sum = CallTotals::default();
            calls.add_to(command, &mut sum);
            (sum.calls, sum.nanos, sum.rejected, sum.failed)
        };
        let tracked = |command| {
            let mut sum = Durations::default();
            calls.add_durations(command, &mut sum);
            sum.total
        };
        assert_eq!((totals(0), totals(1)), ((0, 0, 1, 0), (2, 300, 0, 1)));
        assert_eq!((tracked(0), tracked(1)), (0, 1));
        calls.reset();
        assert_eq!((totals(0), totals(1), tracked(1)), ((0, 0, 0, 0), (0, 0, 0, 0), 0));
    }
}
