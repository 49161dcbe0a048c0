//! The bytes of all records and values, as one number that is cheap to read: what `maxmemory` is compared with.
//!
//! The exact counts are kept by worker and database, and adding them up is too dear for every command. So each worker
//! also keeps what it has added since it last told, and tells in steps of [`STEP`] bytes. The number lags behind the truth
//! by less than one step for each *other* worker; a worker knows its own part.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use super::keyspace::Keyspace;

/// Bytes at which a worker tells what it added or took.
pub const STEP: u64 = 16 * 1024;

/// The running total.
pub(super) struct Running {
    shared: Padded,
    /// What each worker has not told yet. Only that worker writes.
    untold: Box<[Padded]>,
}

/// A word alone in its cache lines.
#[repr(align(128))]
#[derive(Default)]
struct Padded(AtomicI64);

impl Running {
    /// Nothing, for `workers` workers.
    pub(super) fn new(workers: usize) -> Running {
        Running { shared: Padded::default(), untold: (0..workers).map(|_| Padded::default()).collect() }
    }

    /// Counts what a worker added or took.
    #[inline]
    pub(super) fn add(&self, worker: usize, bytes: i64) {
        if bytes == 0 {
            return;
        }
        let untold = &self.untold[worker].0;
        let sum = untold.load(Relaxed) + bytes;
        if sum.unsigned_abs() < STEP {
            untold.store(sum, Relaxed);
        } else {
            untold.store(0, Relaxed);
            self.shared.0.fetch_add(sum, Relaxed);
        }
    }

    /// Tells what a worker has not told yet.
    fn tell(&self, worker: usize) {
        let sum = self.untold[worker].0.swap(0, Relaxed);
        if sum != 0 {
            self.shared.0.fetch_add(sum, Relaxed);
        }
    }

    /// All that was told and all that was not.
    fn sum(&self) -> i64 {
        self.shared.0.load(Relaxed) + self.untold.iter().map(|untold| untold.0.load(Relaxed)).sum::<i64>()
    }

    /// Takes out what a whole database held.
    pub(super) fn forget(&self, bytes: u64) {
        self.shared.0.fetch_sub(bytes as i64, Relaxed);
    }
}

impl Keyspace {
    /// Bytes of all records and values as `worker` knows them: off by less than [`STEP`] for each other worker, and below 0
    /// for a moment at most. Two loads.
    #[inline]
    pub fn bytes_near(&self, worker: usize) -> i64 {
        self.running.shared.0.load(Relaxed) + self.running.untold[worker].0.load(Relaxed)
    }

    /// Bytes of all records and values, those that workers have not told yet included. A load for each worker.
    pub fn bytes_now(&self) -> i64 {
        self.running.sum()
    }

    /// Tells the others what `worker` has added and taken, however little. To be called by that worker, now and then, so that
    /// one that does nothing owes nothing.
    pub fn tell_bytes(&self, worker: usize) {
        self.running.tell(worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_known_to_its_worker_and_to_the_sum() {
        let running = Running::new(2);
        running.add(0, 1000);
        running.add(1, STEP as i64);
        running.add(1, -10);
        assert_eq!((running.shared.0.load(Relaxed), running.sum()), (STEP as i64, STEP as i64 + 990));
        running.tell(0);
        running.tell(1);
        assert_eq!((running.shared.0.load(Relaxed), running.sum()), (STEP as i64 + 990, STEP as i64 + 990));
        running.forget(990);
        assert_eq!(running.sum(), STEP as i64);
    }
}
