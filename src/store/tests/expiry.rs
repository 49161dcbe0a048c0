//! Timers and the keys that they remove.

use std::sync::atomic::Ordering;

use super::*;
use crate::store::Ttl;

fn set_until(store: &Store<'_>, local: &Local, key: &[u8], due_ms: u64) {
    inside(store, local, key, |store| store.update(key, |entry| entry.set_string(b"v", Ttl::At(due_ms))));
}

#[test]
fn due_keys_are_removed_and_no_others() {
    let keyspace = keyspace(64, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    for i in 0..10_000u64 {
        set_until(&store, &local, format!("key:{i}").as_bytes(), NOW + i);
    }
    for step in [1000, 2500, 9000] {
        // A budget spreads the work over calls.
        while keyspace.expire_due(&local, NOW + step, 300) {}
        let left = keyspace.totals(0).keys;
        // A key lives through its millisecond, and a timer fires up to two ticks of 4 ms late.
        assert!((10_000 - step..=10_000 - step + 12).contains(&left), "{step}: {left}");
        assert_counts(&store);
    }
    keyspace.expire_due(&local, NOW + 20_000, usize::MAX);
    assert_eq!((keyspace.totals(0), keyspace.expired(), local.timers()), (Totals::default(), 10_000, 0));
}

#[test]
fn a_key_that_got_more_time_or_none_survives_its_first_timer() {
    let keyspace = keyspace(16, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    set_until(&store, &local, b"more", NOW + 10);
    set_until(&store, &local, b"more", NOW + 1000);
    set_until(&store, &local, b"none", NOW + 10);
    inside(&store, &local, b"none", |store| store.update(b"none", |entry| entry.set_expiry(None)));
    keyspace.expire_due(&local, NOW + 500, usize::MAX);
    assert_eq!((keyspace.totals(0).keys, keyspace.totals(0).volatile), (2, 1));
    keyspace.expire_due(&local, NOW + 2000, usize::MAX);
    assert_eq!((keyspace.totals(0).keys, keyspace.totals(0).volatile), (1, 0));
}

#[test]
fn timers_do_not_pile_up() {
    let keyspace = keyspace(16, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    for i in 0..200_000u64 {
        // One key gets ever more time; another is deleted and set again to the same time.
        set_until(&store, &local, b"sliding", NOW + 10_000 + i);
        set_until(&store, &local, b"again", NOW + 100_000_000);
        remove(&store, &local, b"again");
        if i % 100 == 0 {
            keyspace.expire_due(&local, NOW, 1000);
        }
    }
    assert!(local.timers() < 40_000, "{}", local.timers());
    // Neither was the last timer of a key lost.
    set_until(&store, &local, b"again", NOW + 100_000_000);
    keyspace.expire_due(&local, NOW + 300_000, usize::MAX);
    assert_eq!(keyspace.totals(0).keys, 1);
    keyspace.expire_due(&local, NOW + 100_000_100, usize::MAX);
    assert_eq!(keyspace.totals(0).keys, 0);
}

#[test]
fn active_expiry_can_be_switched_off() {
    let keyspace = keyspace(16, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    set_until(&store, &local, b"k", NOW + 10);
    keyspace.active_expire.store(false, Ordering::Relaxed);
    assert!(!keyspace.expire_due(&local, NOW + 100, usize::MAX));
    assert_eq!(keyspace.totals(0).keys, 1);
    // A reader still does not see the key, and removes it.
    let later = Store::new(&keyspace, &local, 0, NOW + 100);
    assert!(!inside(&later, &local, b"k", |store| store.exists(b"k")));
    assert_eq!((keyspace.totals(0), keyspace.expired()), (Totals::default(), 1));
    keyspace.active_expire.store(true, Ordering::Relaxed);
    set_until(&later, &local, b"k", NOW + 110);
    keyspace.expire_due(&local, NOW + 200, usize::MAX);
    assert_eq!(keyspace.totals(0), Totals::default());
}
