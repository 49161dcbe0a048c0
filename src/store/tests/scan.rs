//! What scans promise while keys come and go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::store::Cursor;

/// One call, repeated while another worker owns the shard.
fn step(store: &Store<'_>, cursor: Cursor, count: usize, visit: &mut dyn FnMut(&[u8])) -> Cursor {
    loop {
        match store.scan(cursor, count, |record| visit(record.key())) {
            Ok(next) => {
                return Cursor::from_wire(next.to_wire(), store.keyspace()).expect("a cursor that was given out");
            }
            Err(Busy) => std::thread::yield_now(),
        }
    }
}

/// Asserts that every key of `kept` was seen once, and no key twice.
fn assert_complete(seen: &HashMap<Vec<u8>, usize>, kept: &[Vec<u8>]) {
    assert!(seen.values().all(|&times| times == 1), "a key was returned twice");
    let missed = kept.iter().filter(|key| !seen.contains_key(*key)).count();
    assert_eq!(missed, 0, "of {} keys that were there all the time", kept.len());
}

fn numbered(name: &str, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("{name}:{i}").into_bytes()).collect()
}

#[test]
fn a_scan_returns_every_lasting_key_once_while_others_come_and_go() {
    for shards in [1, 16] {
        let keyspace = keyspace(shards, 1);
        let local = Local::new(0, NOW);
        let store = Store::new(&keyspace, &local, 0, NOW);
        let (kept, others) = (numbered("kept", 300), numbered("other", 20_000));
        kept.iter().for_each(|key| set(&store, &local, key));
        let mut dice = Dice(7 + shards as u64);
        let mut present = 0;
        for _ in 0..40 {
            let mut seen = HashMap::new();
            let mut cursor = Cursor::START;
            for calls in 0.. {
                assert!(calls < 25_000, "the scan does not end");
                let count = [1, 3, 10, 100, 1000][dice.below(5) as usize];
                cursor = step(&store, cursor, count, &mut |key| *seen.entry(key.to_vec()).or_insert(0) += 1);
                if cursor.is_end() {
                    break;
                }
                // The others grow to all of them or shrink to none, some at a time.
                let target = if dice.below(8) == 0 { dice.below(2) as usize * others.len() } else { present };
                let moved = dice.below(20_000) as usize;
                while present < target.min(present + moved) {
                    set(&store, &local, &others[present]);
                    present += 1;
                }
                while present > target {
                    present -= 1;
                    remove(&store, &local, &others[present]);
                }
            }
            assert_complete(&seen, &kept);
        }
        assert_counts(&store);
    }
}

#[test]
fn a_cursor_survives_growth_from_nothing_and_back() {
    let keyspace = keyspace(1, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    let (kept, others) = (numbered("kept", 200), numbered("other", 100_000));
    kept.iter().for_each(|key| set(&store, &local, key));
    for (grow_at, shrink_at) in [(2, 4), (1, 900), (5, 6)] {
        let mut seen = HashMap::new();
        let mut cursor = Cursor::START;
        for calls in 0.. {
            cursor = step(&store, cursor, 10, &mut |key| *seen.entry(key.to_vec()).or_insert(0) += 1);
            if cursor.is_end() {
                break;
            }
            if calls == grow_at {
                others.iter().for_each(|key| set(&store, &local, key));
            }
            if calls == shrink_at {
                others.iter().for_each(|key| assert!(remove(&store, &local, key)));
            }
        }
        assert_complete(&seen, &kept);
        // A scan may have ended before they were removed.
        others.iter().for_each(|key| _ = remove(&store, &local, key));
    }
}

#[test]
fn scanners_beside_writers_miss_nothing() {
    let keyspace = keyspace(4, 3);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    let kept = numbered("kept", 500);
    kept.iter().for_each(|key| set(&store, &local, key));
    let stop = AtomicBool::new(false);
    let mut scans = 0;
    std::thread::scope(|scope| {
        for worker in 1..3 {
            let (keyspace, stop) = (&keyspace, &stop);
            scope.spawn(move || {
                let local = Local::new(worker, NOW);
                let store = Store::new(keyspace, &local, 0, NOW);
                let own = numbered(&format!("own:{worker}"), 8000);
                while !stop.load(Ordering::Relaxed) {
                    own.iter().for_each(|key| set(&store, &local, key));
                    own.iter().for_each(|key| assert!(remove(&store, &local, key)));
                }
            });
        }
        let mut dice = Dice(99);
        let end = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < end || scans < 3 {
            let mut seen = HashMap::new();
            let mut cursor = Cursor::START;
            loop {
                let count = 1 + dice.below(300) as usize;
                let mut visited = Vec::new();
                cursor = step(&store, cursor, count, &mut |key| visited.push(key.to_vec()));
                visited.into_iter().for_each(|key| *seen.entry(key).or_insert(0) += 1);
                if cursor.is_end() {
                    break;
                }
            }
            scans += 1;
            assert_complete(&seen, &kept);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_counts(&store);
    assert_eq!(recount(&store).keys, 500);
}

#[test]
fn a_call_s_work_depends_on_its_count_and_not_on_the_shard() {
    let keyspace = keyspace(1, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    numbered("key", 200_000).iter().for_each(|key| set(&store, &local, key));
    for count in [1, 10, 100] {
        let (mut cursor, mut calls, mut most, mut total) = (Cursor::START, 0u32, 0, 0);
        let start = Instant::now();
        loop {
            let mut visited = 0;
            cursor = step(&store, cursor, count, &mut |_| visited += 1);
            (calls, most, total) = (calls + 1, most.max(visited), total + visited);
            if cursor.is_end() {
                break;
            }
        }
        assert_eq!(total, 200_000);
        // A bucket holds 26 keys when its table is about to grow, rarely more than twice that.
        assert!(most < count + 80, "COUNT {count}: {most} keys in one call");
        println!("COUNT {count}: {:?} a call, {} keys a call", start.elapsed() / calls, total / calls as usize);
    }
}

#[test]
fn random_keys_are_about_equally_likely() {
    for (shards, keys, draws) in [(1, 3000, 60_000), (64, 3000, 60_000), (1024, 3000, 60_000), (16, 100, 3000)] {
        let keyspace = keyspace(shards, 1);
        let local = Local::new(0, NOW);
        let store = Store::new(&keyspace, &local, 0, NOW);
        numbered("key", keys).iter().for_each(|key| set(&store, &local, key));
        let mut dice = Dice(shards as u64);
        let mut drawn: HashMap<Vec<u8>, u64> = HashMap::new();
        let start = Instant::now();
        for _ in 0..draws {
            let key = store.random_key(|| dice.roll()).expect("alone").expect("there are keys");
            *drawn.entry(key).or_default() += 1;
        }
        let elapsed = start.elapsed() / draws as u32;
        let mean = draws as f64 / keys as f64;
        let count = |key: &Vec<u8>| drawn.get(key).copied().unwrap_or(0) as f64;
        let squares: f64 = numbered("key", keys).iter().map(|key| (count(key) - mean).powi(2)).sum();
        // Of equally likely keys the variance is the mean.
        let dispersion = squares / keys as f64 / mean;
        println!("{shards} shards, {keys} keys: dispersion {dispersion:.2}, {elapsed:?} a draw");
        assert!(dispersion < 2.0, "{shards} shards, {keys} keys: {dispersion}");
    }
}

#[test]
fn iteration_stops_when_told() {
    let keyspace = keyspace(16, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    numbered("key", 5000).iter().for_each(|key| set(&store, &local, key));
    let mut visited = 0;
    let result = store.for_each(|_| {
        visited += 1;
        visited < 1500
    });
    assert_eq!((result, visited), (Ok(()), 1500));
}
