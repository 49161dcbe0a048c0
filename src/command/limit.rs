//! `maxmemory` and `maxmemory-clients`: what happens when memory is short.
//!
//! What counts is what `INFO` calls `used_memory`. Records and values are known exactly at every moment
//! ([`crate::store::memory`]); all else (tables, timers, buffers, the program itself) is measured each millisecond while
//! there is a limit, at the price of some loads.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::context::{Node, Worker};
use super::error::Error;
use crate::config::{MaxmemoryPolicy, Settings, Share};
use crate::session::ClientInfo;
use crate::store::{Clock, Eviction, Order, Policy};
use crate::telemetry;

/// Milliseconds between two looks at memory where it is limited.
const REST_MS: u64 = 1;
/// Milliseconds in which messages about evicted keys are sent.
const SETTLE_MS: u64 = 50;
/// Milliseconds that a client has to go when it was told to.
const LEAVE_MS: u64 = 1000;

/// Memory beside records and values, and the time that the limit was exceeded.
#[derive(Debug, Default)]
pub struct Budget {
    /// Bytes of all else, as of the last look.
    others: AtomicI64,
    /// Before when nobody looks again, in milliseconds of Unix time; 0 if nobody has looked yet.
    rest_until_ms: AtomicU64,
    /// When memory was over its limit the last time, in milliseconds of Unix time.
    shrunk_ms: AtomicU64,
    /// Up to when there may be clients that were told to go and have not freed their memory yet.
    leaving_until_ms: AtomicU64,
    /// Held while clients are chosen that go.
    evicting: parking_lot::Mutex<()>,
    /// Since when memory is over the limit, in milliseconds of Unix time; 0 if it is not.
    over_since_ms: AtomicU64,
    /// Milliseconds for which it was over before that.
    over_ms: AtomicU64,
}

impl Node {
    /// Measures the memory beside records and values. To be called at the start and ten times a second, by one worker.
    pub fn measure(&self, now_ms: u64) {
        let budget = &self.budget;
        let settles = budget.rest_until_ms.load(Relaxed) > now_ms + REST_MS;
        let used = if settles { super::memory::used() } else { self.look(now_ms) };
        let limit = self.config.current().maxmemory;
        let since = budget.over_since_ms.load(Relaxed);
        match limit > 0 && used > limit {
            true if since == 0 => budget.over_since_ms.store(now_ms, Relaxed),
            false if since > 0 => {
                budget.over_since_ms.store(0, Relaxed);
                budget.over_ms.fetch_add(now_ms.saturating_sub(since), Relaxed);
            }
            _ => (),
        }
    }
}

impl Node {
    /// Measures, and says when it may be done again.
    fn look(&self, now_ms: u64) -> u64 {
        let budget = &self.budget;
        let used = super::memory::used();
        self.stats.memory.peak.fetch_max(used, Relaxed);
        let records = self.keyspace.bytes_now();
        let leaving = if now_ms < budget.leaving_until_ms.load(Relaxed) { self.leaving() } else { 0 };
        budget.others.store(used as i64 - records - leaving as i64, Relaxed);
        budget.rest_until_ms.store(now_ms + REST_MS, Relaxed);
        used
    }

    /// Bytes that clients hold which were told to go.
    fn leaving(&self) -> u64 {
        self.registry.list().iter().filter(|client| client.is_killed()).map(|client| client_bytes(client)).sum()
    }

    /// Measures if the last time is a while ago.
    #[inline]
    fn look_again(&self, now_ms: u64) {
        let rest = &self.budget.rest_until_ms;
        let until = rest.load(Relaxed);
        // Only one worker does it, and none where nobody keeps house.
        if until > 0 && now_ms >= until && rest.compare_exchange(until, now_ms + REST_MS, Relaxed, Relaxed).is_ok() {
            self.look(now_ms);
        }
    }
}

impl Budget {
    /// Milliseconds since memory went over the limit, and those of all times together.
    pub(super) fn exceeded(&self, now_ms: u64) -> (u64, u64) {
        let since = self.over_since_ms.load(Relaxed);
        let current = if since == 0 { 0 } else { now_ms.saturating_sub(since) };
        (current, self.over_ms.load(Relaxed) + current)
    }

    /// Sets the total back to 0 (`CONFIG RESETSTAT`).
    pub(super) fn reset(&self) {
        self.over_ms.store(0, Relaxed);
    }
}

/// Bytes in use, as this worker knows them.
#[inline]
fn used(worker: &Worker) -> u64 {
    let node = worker.node;
    (node.keyspace.bytes_near(worker.number()) + node.budget.others.load(Relaxed)).max(0) as u64
}

/// Whether memory is beyond its limit.
pub(super) fn is_over(worker: &Worker) -> bool {
    worker.settings.maxmemory != 0 && used(worker) > worker.settings.maxmemory
}

/// Evicts keys until memory is within its limit. [`Error::OUT_OF_MEMORY`] if there is nothing that may go; where it takes
/// longer than a command may wait, that is left to the next commands and rounds.
#[inline]
pub fn make_room(worker: &Worker) -> Result<(), Error> {
    let limit = worker.settings.maxmemory;
    if limit == 0 {
        return Ok(());
    }
    worker.node.look_again(worker.now_ms);
    if used(worker) <= limit { Ok(()) } else { shrink(worker, limit) }
}

#[cold]
fn shrink(worker: &Worker, limit: u64) -> Result<(), Error> {
    let budget = &worker.node.budget;
    // Clients go before keys do. To look at all of them once in a while is enough.
    // Another worker may be at it. What its clients give back is awaited, some microseconds, before keys go.
    let alone = (clients_limit(&worker.settings) > 0).then(|| budget.evicting.lock());
    let first = budget.shrunk_ms.swap(worker.now_ms, Relaxed) != worker.now_ms;
    if first && alone.is_some() {
        choose_clients(worker);
    }
    drop(alone);
    if used(worker) <= limit {
        return Ok(());
    }
    let evicted = evict(worker, limit);
    if first && worker.node.tracking.is_used() {
        // What tells clients of the evicted keys is memory too, until it has been sent. It must not evict more keys.
        budget.rest_until_ms.store(worker.now_ms + SETTLE_MS, Relaxed);
    }
    evicted
}

fn evict(worker: &Worker, limit: u64) -> Result<(), Error> {
    let settings = &worker.settings;
    let Some(policy) = policy(settings) else { return Err(Error::OUT_OF_MEMORY) };
    let patience = patience(settings.maxmemory_eviction_tenacity);
    let start = Instant::now();
    let enough = || used(worker) <= limit;
    while !enough() {
        if worker.is_kept_out() {
            return Err(Error::OUT_OF_MEMORY);
        }
        let step = worker.node.keyspace.evict(&worker.local, worker.now_ms, &policy, enough);
        if step == Eviction::Exhausted && !enough() {
            return Err(Error::OUT_OF_MEMORY);
        }
        if patience.is_some_and(|patience| start.elapsed() > patience) {
            break;
        }
    }
    Ok(())
}

/// How long a command may be kept waiting by eviction, by the formula of Redis; `None` for ever.
fn patience(tenacity: u32) -> Option<Duration> {
    match tenacity {
        0..=10 => Some(Duration::from_micros(50 * u64::from(tenacity))),
        11..=99 => Some(Duration::from_micros((500.0 * 1.15_f64.powi(tenacity as i32 - 10)) as u64)),
        _ => None,
    }
}

/// Which keys go; `None` if none may.
fn policy(settings: &Settings) -> Option<Policy> {
    let (volatile, order) = match settings.maxmemory_policy {
        MaxmemoryPolicy::VolatileLru => (true, Order::Recency),
        MaxmemoryPolicy::VolatileLfu => (true, Order::Frequency),
        MaxmemoryPolicy::VolatileRandom => (true, Order::Random),
        MaxmemoryPolicy::VolatileTtl => (true, Order::Expiry),
        MaxmemoryPolicy::AllkeysLru => (false, Order::Recency),
        MaxmemoryPolicy::AllkeysLfu => (false, Order::Frequency),
        MaxmemoryPolicy::AllkeysRandom => (false, Order::Random),
        MaxmemoryPolicy::Noeviction => return None,
    };
    Some(Policy {
        volatile,
        order,
        samples: settings.maxmemory_samples as usize,
        lazily: settings.lazyfree_lazy_eviction,
    })
}

/// Whether a policy goes by the access clock of each key.
pub(super) fn keeps_clocks(policy: MaxmemoryPolicy) -> bool {
    use MaxmemoryPolicy::{AllkeysLfu, AllkeysLru, VolatileLfu, VolatileLru};
    matches!(policy, AllkeysLfu | AllkeysLru | VolatileLfu | VolatileLru)
}

/// What accesses leave in records under these settings.
pub(super) fn clock(settings: &Settings) -> Clock {
    match settings.maxmemory_policy {
        MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllkeysLfu => {
            Clock::Frequency { log_factor: settings.lfu_log_factor, decay_minutes: settings.lfu_decay_time }
        }
        _ => Clock::Recency,
    }
}

/// Bytes of the buffers of a client, of what it is sent by others, and of what is kept about it.
pub(super) fn client_bytes(client: &ClientInfo) -> u64 {
    let query = client.query_capacity.load(Relaxed).max(client.query_bytes.load(Relaxed));
    let bytes = query + client.output_memory() + client.mailbox.bytes();
    (bytes + size_of::<ClientInfo>()) as u64
}

/// Bytes that all clients together may take; 0 is no limit.
fn clients_limit(settings: &Settings) -> u64 {
    match settings.maxmemory_clients {
        Share::Bytes(bytes) => bytes,
        Share::Percent(percent) => (u128::from(settings.maxmemory) * u128::from(percent) / 100) as u64,
    }
}

/// Disconnects the clients that take most, until all together are within `maxmemory-clients`. To be called ten times a
/// second, by one worker.
pub fn evict_clients(worker: &Worker) {
    if clients_limit(&worker.settings) > 0 {
        let _alone = worker.node.budget.evicting.lock();
        choose_clients(worker);
    }
}

/// The same, with the lock held.
fn choose_clients(worker: &Worker) {
    let limit = clients_limit(&worker.settings);
    let clients = worker.node.registry.list();
    let mut sizes: Vec<_> =
        clients.iter().filter(|client| !client.is_killed()).map(|client| (client_bytes(client), client)).collect();
    let mut total: u64 = sizes.iter().map(|(bytes, _)| bytes).sum();
    if total <= limit {
        return;
    }
    sizes.retain(|(_, client)| !client.no_evict.load(Relaxed));
    sizes.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    for (bytes, client) in sizes {
        if total <= limit {
            break;
        }
        let (id, address) = (client.id, &client.address);
        tracing::warn!("closing client {id} at {address}: clients take {total} bytes (maxmemory-clients), it {bytes}");
        client.kill();
        telemetry::add(&worker.counters().evicted_clients, 1);
        total -= bytes;
        // What it holds is as good as free.
        let budget = &worker.node.budget;
        budget.others.fetch_sub(bytes as i64, Relaxed);
        budget.leaving_until_ms.store(worker.now_ms + LEAVE_MS, Relaxed);
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
