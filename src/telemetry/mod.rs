//! Numbers about the server: one table of counters that `INFO` and later pages read.

mod calls;
pub mod commandlog;
mod errors;
mod histogram;
pub mod latency;
pub mod logging;
mod rates;

pub use calls::{CallTotals, Calls};
pub use errors::ErrorCounts;
pub use histogram::{Durations, Histogram};
pub use rates::{PerSecond, Rates, Totals};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of one worker. Only that worker writes them.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Counters {
    /// Commands executed.
    pub commands: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused because of `maxclients`.
    pub rejected_connections: AtomicU64,
    /// Bytes received from clients.
    pub received_bytes: AtomicU64,
    /// Bytes sent to clients.
    pub sent_bytes: AtomicU64,
    /// Receives: one for each batch of pipelined requests.
    pub reads: AtomicU64,
    /// Sends: one for each batch of replies.
    pub writes: AtomicU64,
    /// Look-ups by reading commands that found their key.
    pub keyspace_hits: AtomicU64,
    /// Look-ups by reading commands that did not.
    pub keyspace_misses: AtomicU64,
    /// Error replies.
    pub errors: AtomicU64,
    /// Clients closed because their query buffer passed its limit.
    pub query_buffer_closed: AtomicU64,
    /// Clients closed because their output buffer passed its limit.
    pub output_buffer_closed: AtomicU64,
    /// Clients closed because all together took more than `maxmemory-clients`.
    pub evicted_clients: AtomicU64,
    /// Wrong names and passwords.
    pub denied_logins: AtomicU64,
    /// Commands that their users may not call.
    pub denied_commands: AtomicU64,
    /// Commands refused for one of their keys.
    pub denied_keys: AtomicU64,
    /// Commands refused for one of their channels.
    pub denied_channels: AtomicU64,
}

/// Adds to a counter that only this thread writes: a plain load and store, no locked instruction.
#[inline]
pub fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// The counters of all workers.
#[derive(Debug)]
pub struct Stats {
    workers: Box<[Counters]>,
    error_counts: Box<[ErrorCounts]>,
    calls: Box<[Calls]>,
    /// Commands that took long, or had large requests or replies.
    pub command_logs: commandlog::CommandLogs,
    /// Events that took long.
    pub latencies: latency::Latencies,
    /// Rates of the last moments.
    pub rates: Rates,
    /// Bytes of memory in use when the server had started, and the most that were seen since.
    pub memory: Marks,
}

/// Levels of memory in bytes.
#[derive(Debug, Default)]
pub struct Marks {
    /// At the start.
    pub startup: AtomicU64,
    /// The highest that was seen.
    pub peak: AtomicU64,
}

impl Stats {
    /// Zeroes for `workers` workers and so many commands.
    pub fn new(workers: usize, commands: usize) -> Self {
        Stats {
            workers: (0..workers).map(|_| Counters::default()).collect(),
            error_counts: (0..workers).map(|_| ErrorCounts::default()).collect(),
            calls: (0..workers).map(|_| Calls::new(commands)).collect(),
            command_logs: commandlog::CommandLogs::default(),
            latencies: latency::Latencies::default(),
            rates: Rates::default(),
            memory: Marks::default(),
        }
    }

    /// The counters of one worker.
    pub fn worker(&self, worker: usize) -> &Counters {
        &self.workers[worker]
    }

    /// What commands cost on one worker.
    #[inline]
    pub fn calls(&self, worker: usize) -> &Calls {
        &self.calls[worker]
    }

    /// What a command cost on all workers.
    pub fn calls_of(&self, command: usize) -> CallTotals {
        let mut sum = CallTotals::default();
        self.calls.iter().for_each(|calls| calls.add_to(command, &mut sum));
        sum
    }

    /// How long a command took on all workers.
    pub fn durations_of(&self, command: usize) -> Durations {
        let mut sum = Durations::default();
        self.calls.iter().for_each(|calls| calls.add_durations(command, &mut sum));
        sum
    }

    /// The sum of one counter over all workers.
    pub fn sum(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.workers.iter().map(|worker| counter(worker).load(Relaxed)).sum()
    }

    /// Counts an error reply of a worker.
    pub fn count_error(&self, worker: usize, text: &str) {
        add(&self.workers[worker].errors, 1);
        self.error_counts[worker].count(text);
    }

    /// Error replies by their code.
    pub fn errors_by_code(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        self.error_counts.iter().for_each(|counts| counts.add_to(&mut sums));
        sums
    }

    /// Takes a sample for the rates, if it is time for one, and tells whether it was.
    pub fn sample(&self, now_ms: u64) -> bool {
        self.rates.sample(now_ms, || Totals {
            commands: self.sum(|counters| &counters.commands),
            received: self.sum(|counters| &counters.received_bytes),
            sent: self.sum(|counters| &counters.sent_bytes),
        })
    }

    /// Sets every counter to 0 (`CONFIG RESETSTAT`).
    pub fn reset(&self) {
        self.error_counts.iter().for_each(ErrorCounts::reset);
        self.calls.iter().for_each(Calls::reset);
        for worker in &self.workers {
            let Counters {
                commands,
                connections,
                rejected_connections,
                received_bytes,
                sent_bytes,
                reads,
                writes,
                keyspace_hits,
                keyspace_misses,
                errors,
                query_buffer_closed,
                output_buffer_closed,
                evicted_clients,
                // As in Redis, what was refused stays on record.
                denied_logins: _,
                denied_commands: _,
                denied_keys: _,
                denied_channels: _,
            } = worker;
            for counter in [
                commands,
                connections,
                rejected_connections,
                received_bytes,
                sent_bytes,
                reads,
                writes,
                keyspace_hits,
                keyspace_misses,
                errors,
                query_buffer_closed,
                output_buffer_closed,
                evicted_clients,
            ] {
                counter.store(0, Relaxed);
            }
        }
    }
}
