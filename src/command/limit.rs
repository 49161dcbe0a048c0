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
    let first = budget.shrunk_ms.swap(worker.now_ms, Relaxed) != worker.now_ms;
    if first {
        evict_clients(worker);
        if used(worker) <= limit {
            return Ok(());
        }
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
    let bytes = query + client.output_bytes.load(Relaxed) + client.mailbox.bytes();
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
    let limit = clients_limit(&worker.settings);
    if limit == 0 {
        return;
    }
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
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    fn configure(rig: &mut Rig, settings: &str) {
        assert_eq!(rig.run(&format!("CONFIG SET {settings}")), "+OK", "{settings}");
        let now_ms = rig.worker.now_ms;
        rig.worker.refresh();
        rig.worker.now_ms = now_ms;
    }

    fn bytes(rig: &Rig) -> u64 {
        rig.worker.node.keyspace.totals_of_all().bytes
    }

    const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";

    #[test]
    fn without_eviction_writes_are_refused_and_reads_are_not() {
        let mut rig = Rig::new();
        rig.run("SET k 1");
        configure(&mut rig, "maxmemory 1");
        rig.check(&[
            ("SET l 1", OOM),
            ("GET k", "$1|1"),
            ("INFO nothing", "$0"),
            ("DEL k", ":1"),
            ("SET l 1", "+OK"),
            ("SET m 1", OOM),
        ]);
        configure(&mut rig, "maxmemory 0");
        rig.check(&[("SET m 1", "+OK")]);
    }

    #[test]
    fn transactions_are_refused_when_they_grow() {
        let mut rig = Rig::new();
        rig.check(&[("SET k 1", "+OK"), ("MULTI", "+OK"), ("SET l 1", "+QUEUED"), ("GET k", "+QUEUED")]);
        configure_other(&mut rig, "1");
        rig.check(&[
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
            ),
            ("EXEC", "-ERR EXEC without MULTI"),
            ("EXISTS l", ":0"),
            ("MULTI", "+OK"),
            ("GET k", OOM),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
            ("MULTI", "+OK"),
            ("EXEC", "*0"),
        ]);
        configure_other(&mut rig, "0");
        rig.check(&[("MULTI", "+OK"), ("GET k", "+QUEUED")]);
        configure_other(&mut rig, "1");
        // What only reads does not grow.
        rig.check(&[("EXEC", "*1|$1|1")]);
    }

    /// Sets the limit from another connection.
    fn configure_other(rig: &mut Rig, limit: &str) {
        let other = rig.connect();
        let own = std::mem::replace(&mut rig.client, other);
        configure(rig, &format!("maxmemory {limit}"));
        rig.client = own;
    }

    #[test]
    fn every_policy_keeps_memory_within_its_limit() {
        for policy in [
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "volatile-ttl",
        ] {
            let mut rig = Rig::new();
            const LIMIT: u64 = 100_000;
            const KEYS: u64 = 3000;
            configure(
                &mut rig,
                &format!("maxmemory {LIMIT} maxmemory-policy {policy} maxmemory-eviction-tenacity 100"),
            );
            for i in 0..KEYS {
                let len = 1 + rig.worker.random() % 200;
                let value = vec![b'x'; len as usize];
                let reply = rig.args(&[b"SET", format!("key:{i}").as_bytes(), &value, b"EX", b"100000"]);
                assert_eq!(reply, "+OK", "{policy}");
                assert!(bytes(&rig) <= LIMIT + 1024, "{policy}: {} after {i}", bytes(&rig));
            }
            assert!(bytes(&rig) > LIMIT * 9 / 10, "{policy}: {}", bytes(&rig));
            let keys = rig.worker.node.keyspace.totals(0).keys;
            assert_eq!(rig.worker.node.keyspace.evicted(), KEYS - keys, "{policy}");
        }
    }

    #[test]
    fn volatile_policies_spare_other_keys() {
        for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
            let mut rig = Rig::new();
            for i in 0..1000 {
                rig.run(&format!("SET stays:{i} value"));
            }
            for i in 0..100 {
                rig.run(&format!("SET goes:{i} value EX 10000"));
            }
            let limit = bytes(&rig) - 100;
            configure(&mut rig, &format!("maxmemory {limit} maxmemory-policy {policy}"));
            let mut written = 0;
            let refusal = loop {
                match rig.run(&format!("SET more:{written} value")) {
                    reply if reply == "+OK" => written += 1,
                    reply => break reply,
                }
            };
            assert_eq!(refusal, OOM, "{policy}");
            let totals = rig.worker.node.keyspace.totals(0);
            assert_eq!((totals.volatile, totals.keys), (0, 1000 + written), "{policy}");
            assert!(written >= 90, "{policy}: {written}");
        }
    }

    #[test]
    fn the_key_that_expires_soonest_goes_first() {
        let mut rig = Rig::new();
        for i in 0..500 {
            rig.run(&format!("SET key:{i} value EX {}", 100 + (i * 7919) % 500));
        }
        let limit = bytes(&rig) / 2;
        configure(
            &mut rig,
            &format!("maxmemory {limit} maxmemory-policy volatile-ttl maxmemory-eviction-tenacity 100"),
        );
        rig.run("SET more value");
        let left: Vec<i64> =
            (0..500).filter(|i| rig.run(&format!("EXISTS key:{i}")) == ":1").map(|i| (i * 7919) % 500).collect();
        // A slot of the wheel spans four minutes, within which the order is only about right.
        let mean = left.iter().sum::<i64>() / left.len() as i64;
        assert!((200..=260).contains(&left.len()) && mean > 300, "{} {mean}", left.len());
    }

    /// Numbers from 0 to `keys` - 1 of which the first are drawn most often: by the law of Zipf with this exponent.
    fn zipf(keys: usize, exponent: f64) -> impl Fn(u64) -> usize {
        let weights: Vec<f64> = (1..=keys).map(|rank| (rank as f64).powf(-exponent)).collect();
        let sums: Vec<f64> = weights
            .iter()
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        move |random| {
            let at = (random >> 11) as f64 / (1u64 << 53) as f64 * sums[keys - 1];
            sums.partition_point(|&sum| sum < at).min(keys - 1)
        }
    }

    /// The share of accesses that find their key in a cache that holds about a fifth of the keys.
    fn hit_rate(policy: &str) -> f64 {
        const KEYS: usize = 3000;
        let mut rig = Rig::new();
        // 64 bytes each: 24 of key and header, the rest for the value.
        configure(&mut rig, &format!("maxmemory {} maxmemory-policy {policy} lfu-decay-time 10", KEYS / 5 * 64));
        let (draw, value) = (zipf(KEYS, 0.9), [b'x'; 40]);
        let (mut hits, mut asked) = (0, 0);
        for i in 0..30_000 {
            let key = format!("key:{:04}", draw(rig.worker.random()));
            rig.pass(100);
            let hit = rig.args(&[b"GET", key.as_bytes()]) != "$-1";
            if !hit {
                rig.args(&[b"SET", key.as_bytes(), &value]);
            }
            if i >= 10_000 {
                (hits, asked) = (hits + u32::from(hit), asked + 1);
            }
        }
        f64::from(hits) / f64::from(asked)
    }

    #[test]
    fn what_is_used_most_stays() {
        let [random, recent, frequent] = ["allkeys-random", "allkeys-lru", "allkeys-lfu"].map(hit_rate);
        let all = format!("random {random:.3}, recency {recent:.3}, frequency {frequent:.3}");
        assert!(recent > random + 0.02 && frequent > recent + 0.02, "{all}");
    }

    #[test]
    fn eviction_is_told_and_counted() {
        let mut rig = Rig::new();
        // It leaves room enough for what comes, so that the next command evicts nothing more.
        rig.args(&[b"SET", b"old", &[b'x'; 200]]);
        rig.pass(60_000);
        rig.run("SET new value");
        let limit = bytes(&rig) - 1;
        configure(&mut rig, "maxmemory-policy allkeys-lru notify-keyspace-events Ke");
        rig.check(&[("SUBSCRIBE __keyspace@0__:old", "*3|$9|subscribe|$18|__keyspace@0__:old|:1")]);
        let listener = rig.connect();
        let listener = std::mem::replace(&mut rig.client, listener);
        configure(&mut rig, &format!("maxmemory {limit}"));
        rig.check(&[("SET x 1", "+OK"), ("EXISTS old new x", ":2")]);
        let mut letters = Vec::new();
        listener.info.mailbox.collect(&mut letters, usize::MAX);
        assert!(String::from_utf8_lossy(&letters).ends_with("$7\r\nevicted\r\n"), "{letters:?}");
        assert!(rig.run("INFO stats").contains("|evicted_keys:1|"));
    }

    #[test]
    fn accesses_are_counted_under_a_policy_of_frequency() {
        let mut rig = Rig::new();
        configure(&mut rig, "maxmemory-policy allkeys-lfu lfu-log-factor 0");
        rig.check(&[("SET k 1", "+OK"), ("OBJECT FREQ k", ":5"), ("GET k", "$1|1"), ("OBJECT FREQ k", ":6")]);
        rig.check(&[("INCR k", ":2"), ("OBJECT FREQ k", ":7"), ("SET k 2", "+OK"), ("OBJECT FREQ k", ":8")]);
        rig.check(&[("TOUCH k", ":1"), ("OBJECT FREQ k", ":9"), ("TTL k", ":-1"), ("OBJECT FREQ k", ":9")]);
        assert!(
            rig.run("OBJECT IDLETIME k")
                .starts_with("-ERR An LFU maxmemory policy is selected, idle time not tracked.")
        );
        rig.pass(3 * 60_000);
        rig.check(&[
            ("OBJECT FREQ k", ":6"),
            ("CLIENT NO-TOUCH ON", "+OK"),
            ("GET k", "$1|2"),
            ("OBJECT FREQ k", ":6"),
        ]);
        rig.check(&[("TOUCH k", ":1"), ("OBJECT FREQ k", ":7")]);
    }

    #[test]
    fn the_clients_that_take_most_go() {
        let mut rig = Rig::new();
        let (big, spared, small) = (rig.connect(), rig.connect(), rig.connect());
        big.info.query_capacity.store(1 << 20, Relaxed);
        spared.info.output_bytes.store(2 << 20, Relaxed);
        spared.info.no_evict.store(true, Relaxed);
        small.info.mailbox.post(vec![0; 1 << 16].into());
        configure(&mut rig, "maxmemory-clients 3mb");
        evict_clients(&rig.worker);
        assert_eq!([&big, &spared, &small].map(|client| client.info.is_killed()), [true, false, false]);
        configure(&mut rig, "maxmemory 10mb maxmemory-clients 20%");
        evict_clients(&rig.worker);
        assert!(small.info.is_killed() && !spared.info.is_killed());
        assert!(rig.run("INFO stats").contains("|evicted_clients:3|"));
    }
}
