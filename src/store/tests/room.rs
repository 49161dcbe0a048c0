//! Tables that were made for keys to come, and what is fetched of them.

use super::*;

fn fill(keyspace: &Keyspace, local: &Local, keys: u64) {
    let store = Store::new(keyspace, local, 0, NOW);
    (0..keys).for_each(|number| set(&store, local, format!("key:{number}").as_bytes()));
}

#[test]
fn tables_that_were_reserved_come_to_what_they_would_have_grown_to() {
    for keys in [100, 3000, 20_000, 28_000] {
        let local = Local::new(0, NOW);
        let (grown, reserved) = (keyspace(16, 1), keyspace(16, 1));
        reserved.reserve(&local, 0, keys).expect("nobody else is there");
        fill(&grown, &local, keys);
        fill(&reserved, &local, keys);
        let before = reserved.table_bytes(&local);
        reserved.settle(&local).expect("nobody else is there");
        let (wanted, found) = (grown.table_bytes(&local), reserved.table_bytes(&local));
        assert_eq!(found, before, "{keys} keys: what was reserved was needed");
        assert!((wanted * 3 / 4..=wanted * 3 / 2).contains(&found), "{keys} keys: {found} bytes instead of {wanted}");
        assert_eq!(reserved.totals(0).keys, keys);
    }
}

#[test]
fn what_was_reserved_in_vain_is_given_back() {
    let (keyspace, local) = (keyspace(16, 1), Local::new(0, NOW));
    keyspace.reserve(&local, 0, 500_000).expect("nobody else is there");
    fill(&keyspace, &local, 20_000);
    let before = keyspace.table_bytes(&local);
    assert!(before > 4_000_000, "{before}");
    keyspace.settle(&local).expect("nobody else is there");
    // Shrinking goes on with what is done next.
    (0..10).for_each(|_| fill(&keyspace, &local, 20_000));
    assert!(keyspace.table_bytes(&local) < before / 2, "{} of {before}", keyspace.table_bytes(&local));
    // Also without any key, and where the database goes before.
    keyspace.reserve(&local, 1, 1_000_000).expect("nobody else is there");
    keyspace.settle(&local).expect("nobody else is there");
    keyspace.reserve(&local, 0, 1_000_000).expect("nobody else is there");
    drop(Store::new(&keyspace, &local, 0, NOW).flush_all().expect("nobody else is there"));
    keyspace.settle(&local).expect("nobody else is there");
    assert_eq!(keyspace.table_bytes(&local), 0);
}

#[test]
fn timers_of_a_worker_that_has_ended_fire_with_those_of_another() {
    let keyspace = keyspace(16, 2);
    let (first, second) = (Local::new(0, NOW), Local::new(1, 0));
    for (local, name) in [(&first, "a"), (&second, "b")] {
        let store = Store::new(&keyspace, local, 0, NOW);
        for (number, due) in [10, 5000, 400_000, 90_000_000, 20_000_000_000].into_iter().enumerate() {
            let key = format!("{name}{number}").into_bytes();
            let until = crate::store::Ttl::At(NOW + due);
            inside(&store, local, &key, |store| store.update(&key, |entry| entry.set_string(b"v", until)));
        }
    }
    first.take_over(second.into_timers());
    assert_eq!(first.timers(), 10);
    for (passed, left) in [(100, 8), (6000, 6), (500_000, 4), (100_000_000, 2), (30_000_000_000, 0)] {
        while keyspace.expire_due(&first, NOW + passed, 1000) {}
        assert_eq!((keyspace.totals(0).keys, first.timers()), (left, left as usize), "{passed}");
    }
}
