use super::*;
use crate::value::testing::Random;
use std::collections::{HashMap, HashSet};

/// Scrambles a number; for the first few seeds badly, so that chains get long.
fn mix(handle: Handle, seed: u64) -> u64 {
    let bits = Random(u64::from(handle.0)).bits();
    if seed % 4 == 3 { bits & 0x0f00_0000_0000_0fff } else { bits }
}

#[test]
fn behaves_as_a_set() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let (mut table, mut model) = (Table::new(), HashSet::<u32>::new());
        let rehash = |handle| mix(handle, seed);
        for round in 0..20_000 {
            let grow = [9, 1, 5][round / 7000];
            let handle = Handle(random.below(6000) as u32);
            let hash = rehash(handle);
            let found = table.find(hash, |other| other == handle);
            assert_eq!(found.is_some(), model.contains(&handle.0));
            if random.below(10) < grow {
                if found.is_none() {
                    table.insert(hash, handle, rehash);
                    model.insert(handle.0);
                }
            } else {
                assert_eq!(table.remove(hash, handle), model.remove(&handle.0));
            }
            assert_eq!(table.len(), model.len());
            if round % 1000 == 0 {
                let all: Vec<_> = table.iter().map(|handle| handle.0).collect();
                assert_eq!(all.len(), model.len());
                assert!(all.iter().all(|handle| model.contains(handle)));
            }
        }
        for handle in model {
            assert!(table.remove(rehash(Handle(handle)), Handle(handle)));
        }
        assert_eq!((table.primary.len, table.overflow.len, table.spares), (CHUNK, 0, 0));
    }
}

/// What is in the table throughout a scan is returned, and only once while it only grows.
#[test]
fn scans_miss_nothing_under_change() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut table = Table::new();
        let rehash = |handle| mix(handle, seed);
        let base = 10 + random.below(3000) as u32;
        let mut next = base;
        (0..base).for_each(|handle| table.insert(rehash(Handle(handle)), Handle(handle), rehash));
        let (mut seen, mut cursor) = (HashMap::new(), 0);
        let mut removed = HashSet::new();
        loop {
            cursor = table.scan(cursor, |handle| *seen.entry(handle.0).or_insert(0) += 1);
            assert!(cursor <= u64::from(u32::MAX));
            if cursor == 0 {
                break;
            }
            for _ in 0..random.below(60) {
                if seed % 2 == 0 {
                    table.insert(rehash(Handle(next)), Handle(next), rehash);
                    next += 1;
                } else {
                    let handle = random.below(base as usize) as u32;
                    if table.remove(rehash(Handle(handle)), Handle(handle)) {
                        removed.insert(handle);
                    }
                }
            }
        }
        for handle in 0..base {
            assert!(seen.contains_key(&handle) || removed.contains(&handle), "{handle} missed");
        }
        assert!(seed % 2 == 1 || seen.values().all(|times| *times == 1));
    }
}

#[test]
fn any_cursor_is_taken() {
    let mut table = Table::new();
    let rehash = |handle| mix(handle, 0);
    (0..5000).for_each(|handle| table.insert(rehash(Handle(handle)), Handle(handle), rehash));
    let mut random = Random(3);
    for cursor in (0..1000).map(|_| random.bits()).chain([u64::MAX, u64::from(u32::MAX), 1 << 32, 1]) {
        let next = table.scan(cursor, |_| {});
        assert!(next == 0 || next > cursor & u64::from(u32::MAX));
    }
}

#[test]
fn random_handles_are_uniform() {
    let mut table = Table::new();
    let rehash = |handle| mix(handle, 0);
    assert_eq!(table.random(|| 0), None);
    (0..200).for_each(|handle| table.insert(rehash(Handle(handle)), Handle(handle), rehash));
    let mut random = Random(5);
    let mut hits = [0f64; 200];
    for _ in 0..200_000 {
        hits[table.random(|| random.bits()).unwrap().0 as usize] += 1.0;
    }
    let chi: f64 = hits.iter().map(|hits| (hits - 1000.0).powi(2) / 1000.0).sum();
    // 199 degrees of freedom: above 290 once in 30,000.
    assert!(chi < 290.0, "{chi}");
    assert!(table.random(|| u64::MAX).is_some() && table.random(|| 0).is_some());
}

#[test]
fn memory_is_small() {
    let mut table = Table::new();
    let rehash = |handle| mix(handle, 0);
    let mut most = 0.0f64;
    for handle in 0..200_000 {
        table.insert(rehash(Handle(handle)), Handle(handle), rehash);
        if handle > 2000 {
            most = most.max(table.memory() as f64 / f64::from(handle));
        }
    }
    assert!(most < 10.0, "{most} bytes a handle, {table:?}");
}
