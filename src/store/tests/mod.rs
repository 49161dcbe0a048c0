//! The store as a whole, against models and under contention.

mod compact;
mod concurrency;
mod entry;
mod expiry;
mod room;
mod scan;

use super::{Busy, Held, Keyspace, Local, Object, Record, Shape, Store, Totals, Value};

/// The time at which tests start.
const NOW: u64 = 1_700_000_000_000;

fn keyspace(shards: usize, workers: usize) -> Keyspace {
    Keyspace::new(Shape { databases: 4, shards, workers })
}

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.roll() >> 16) % end
    }
}

/// Tries until nobody else owns the place.
fn patiently<'a>(mut enter: impl FnMut() -> Result<Held<'a>, Busy>) -> Held<'a> {
    loop {
        match enter() {
            Ok(held) => return held,
            Err(Busy) => std::thread::yield_now(),
        }
    }
}

/// Runs `run` inside the shard of `key`.
fn inside<R>(store: &Store<'_>, local: &Local, key: &[u8], run: impl FnOnce(&Store<'_>) -> R) -> R {
    let _held = patiently(|| store.keyspace().enter_key(local, key));
    run(store)
}

fn set(store: &Store<'_>, local: &Local, key: &[u8]) {
    inside(store, local, key, |store| store.update(key, |entry| entry.set_string(b"value", super::Ttl::Clear)));
}

fn remove(store: &Store<'_>, local: &Local, key: &[u8]) -> bool {
    inside(store, local, key, |store| store.remove(key))
}

fn bytes_of(record: Record<'_>) -> Vec<u8> {
    match record.value() {
        Value::Embedded { bytes, .. } => bytes.to_vec(),
        Value::Integer(value) => value.to_string().into_bytes(),
        Value::Boxed(Object::String(string)) => string.to_vec(),
        Value::Boxed(_) | Value::Compact(_) => panic!("no string"),
    }
}

/// The counts of a database by looking at every record.
fn recount(store: &Store<'_>) -> Totals {
    let mut totals = Totals::default();
    store
        .for_each(|record| {
            totals.keys += 1;
            totals.volatile += u64::from(record.expiry().is_some());
            totals.bytes += record.memory() as u64;
            true
        })
        .expect("nobody else is inside");
    totals
}

fn assert_counts(store: &Store<'_>) {
    assert_eq!(store.keyspace().totals(store.database), recount(store), "database {}", store.database);
}
