//! `maxmemory`, by requests.

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
        configure(&mut rig, &format!("maxmemory {LIMIT} maxmemory-policy {policy} maxmemory-eviction-tenacity 100"));
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
    configure(&mut rig, &format!("maxmemory {limit} maxmemory-policy volatile-ttl maxmemory-eviction-tenacity 100"));
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
        rig.run("OBJECT IDLETIME k").starts_with("-ERR An LFU maxmemory policy is selected, idle time not tracked.")
    );
    rig.pass(3 * 60_000);
    rig.check(&[("OBJECT FREQ k", ":6"), ("CLIENT NO-TOUCH ON", "+OK"), ("GET k", "$1|2"), ("OBJECT FREQ k", ":6")]);
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
