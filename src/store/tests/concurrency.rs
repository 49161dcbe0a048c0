//! Workers at once, in every kind of entry.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::store::Ttl;

const ACCOUNTS: u64 = 8;
const START: i64 = 1000;

fn account(number: u64) -> Vec<u8> {
    format!("account:{number}").into_bytes()
}

fn balance(store: &Store<'_>, key: &[u8]) -> i64 {
    store.read(key, |record| match record.map(Record::value) {
        Some(Value::Integer(value)) => value,
        other => panic!("{other:?}"),
    })
}

fn add(store: &Store<'_>, key: &[u8], amount: i64) {
    store.update(key, |entry| {
        let old = match entry.value() {
            Some(Value::Integer(value)) => value,
            None => 0,
            other => panic!("{other:?}"),
        };
        entry.set_integer(old + amount, Ttl::Keep);
    });
}

/// What the workers agree on.
struct Shared {
    keyspace: Keyspace,
    /// Increments of the one counter that all share.
    increments: AtomicI64,
    /// Transfers, moves, and global entries that took place.
    done: [AtomicU64; 3],
}

fn work(shared: &Shared, worker: usize, until: Instant) {
    let local = Local::new(worker, NOW);
    let keyspace = &shared.keyspace;
    let store = Store::new(keyspace, &local, 0, NOW);
    let mut dice = Dice(worker as u64 + 11);
    while Instant::now() < until {
        match dice.below(100) {
            0..40 => {
                inside(&store, &local, b"counter", |store| add(store, b"counter", 1));
                shared.increments.fetch_add(1, Ordering::Relaxed);
            }
            40..70 => transfer(shared, &store, &local, &mut dice),
            70..85 => move_between(shared, &store, &local),
            85..93 => sum_up(&store, &local),
            93..97 => {
                // Keys of this worker's own, some of which expire.
                let key = format!("own:{worker}:{}", dice.below(200)).into_bytes();
                let ttl = if dice.below(2) == 0 { Ttl::Clear } else { Ttl::At(NOW + dice.below(50)) };
                let later = Store::new(keyspace, &local, 3, NOW + dice.below(60));
                inside(&later, &local, &key, |store| store.update(&key, |entry| entry.set_string(&[b'x'; 3000], ttl)));
                keyspace.expire_due(&local, later.now_ms, 10);
            }
            97..99 => {
                let _held = patiently(|| keyspace.enter_all(&local));
                // Two exchanges under one entry: nobody can tell.
                store.swap(0, 2).expect("inside");
                store.swap(0, 2).expect("inside");
                shared.done[2].fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                if let Ok(flushed) = store.select(3).flush() {
                    flushed.reclaim_later();
                    shared.done[2].fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

fn transfer(shared: &Shared, store: &Store<'_>, local: &Local, dice: &mut Dice) {
    let (from, to) = (account(dice.below(ACCOUNTS)), account(dice.below(ACCOUNTS)));
    let amount = dice.below(50) as i64;
    let keys = [from.as_slice(), to.as_slice()];
    let _held = patiently(|| store.keyspace().enter_keys(local, keys.into_iter()));
    // Read, wait and write apart from one another: only the entry makes it one.
    let (a, b) = (balance(store, &from), balance(store, &to));
    if from != to {
        std::hint::spin_loop();
        store.update(&from, |entry| entry.set_integer(a - amount, Ttl::Keep));
        store.update(&to, |entry| entry.set_integer(b + amount, Ttl::Keep));
    }
    shared.done[0].fetch_add(1, Ordering::Relaxed);
}

/// Takes the wanderer to the other database, under an entry of its shard alone.
fn move_between(shared: &Shared, store: &Store<'_>, local: &Local) {
    let key = b"wanderer".as_slice();
    let _held = patiently(|| store.keyspace().enter_keys(local, std::iter::once(key)));
    let other = store.select(1);
    let (from, to) = if store.exists(key) { (*store, other) } else { (other, *store) };
    assert!(from.exists(key) && !to.exists(key), "it is in one database");
    let parcel = from.update(key, |entry| entry.take()).expect("it is there");
    to.update(key, |entry| entry.set_parcel(parcel));
    shared.done[1].fetch_add(1, Ordering::Relaxed);
}

fn sum_up(store: &Store<'_>, local: &Local) {
    let keys: Vec<_> = (0..ACCOUNTS).map(account).collect();
    let _held = patiently(|| store.keyspace().enter_keys(local, keys.iter().map(Vec::as_slice)));
    assert_eq!(keys.iter().map(|key| balance(store, key)).sum::<i64>(), START * ACCOUNTS as i64);
}

#[test]
fn no_update_is_lost_whatever_the_entries() {
    let shared = Shared { keyspace: keyspace(16, 4), increments: AtomicI64::new(0), done: Default::default() };
    let local = Local::new(0, NOW);
    let store = Store::new(&shared.keyspace, &local, 0, NOW);
    for number in 0..ACCOUNTS {
        let key = account(number);
        inside(&store, &local, &key, |store| add(store, &key, START));
    }
    inside(&store, &local, b"wanderer", |store| {
        store.update(b"wanderer", |entry| entry.set_string(&[b'w'; 4000], Ttl::At(NOW + 1_000_000)));
    });
    let until = Instant::now() + Duration::from_millis(1000);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let shared = &shared;
            scope.spawn(move || work(shared, worker, until));
        }
    });
    let counted = inside(&store, &local, b"counter", |store| balance(store, b"counter"));
    assert_eq!(counted, shared.increments.load(Ordering::Relaxed));
    sum_up(&store, &local);
    (0..4).for_each(|database| assert_counts(&store.select(database)));
    let done = shared.done.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!("{counted} increments, {done:?} transfers, moves and global entries");
    assert!(counted > 100 && done.iter().all(|&count| count > 5), "{done:?}");
}
