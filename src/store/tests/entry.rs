//! One key at a time, against a model.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::store::Ttl;

/// What a key should hold, and until when.
type Model = BTreeMap<(usize, Vec<u8>), (Vec<u8>, Option<u64>)>;

struct Game<'a> {
    keyspace: &'a Keyspace,
    local: &'a Local,
    now_ms: u64,
    model: Model,
    dice: Dice,
}

impl Game<'_> {
    fn store(&self, database: usize) -> Store<'_> {
        Store::new(self.keyspace, self.local, database, self.now_ms)
    }

    fn bytes(&mut self) -> Vec<u8> {
        match self.dice.below(5) {
            0 => (self.dice.roll() as i64).to_string().into_bytes(),
            1 => vec![b'a'; self.dice.below(40) as usize],
            2 => vec![b'b'; self.dice.below(2500) as usize],
            3 => vec![b'c'; 2040 + self.dice.below(16) as usize],
            _ => vec![b'd'; 3000 + self.dice.below(40_000) as usize],
        }
    }

    fn due(&mut self) -> u64 {
        self.now_ms + 1 + self.dice.below(300)
    }

    fn play(&mut self) {
        let now_ms = self.now_ms;
        self.model.retain(|_, (_, expiry)| expiry.is_none_or(|due| due >= now_ms));
        let database = self.dice.below(2) as usize;
        let key = match self.dice.below(40) {
            0 => vec![b'k'; 5000],
            number => format!("key:{number}").into_bytes(),
        };
        let id = (database, key.clone());
        let present = self.model.get(&id).cloned();
        match self.dice.below(12) {
            0..=3 => self.write(id, present),
            4 => {
                let expiry = (self.dice.below(3) > 0).then(|| self.due());
                inside(&self.store(database), self.local, &key, |store| {
                    store.update(&key, |entry| entry.set_expiry(expiry));
                });
                self.model.entry(id).and_modify(|(_, old)| *old = expiry);
            }
            5 => {
                let was_there = inside(&self.store(database), self.local, &key, |store| store.unlink(&key));
                assert_eq!(was_there, self.model.remove(&id).is_some());
            }
            6 => assert_eq!(remove(&self.store(database), self.local, &key), self.model.remove(&id).is_some()),
            7 => self.take_and_put_back(id, present),
            8 => self.carry(id, present),
            9 => self.append(id, present),
            10 => self.now_ms += self.dice.below(20),
            _ => inside(&self.store(database), self.local, &key, |store| {
                let seen = store.read(&key, |record| record.map(|record| (bytes_of(record), record.expiry())));
                assert_eq!(seen, present);
            }),
        }
    }

    fn write(&mut self, id: (usize, Vec<u8>), present: Option<(Vec<u8>, Option<u64>)>) {
        let (bytes, due, how) = (self.bytes(), self.due(), self.dice.below(3));
        let ttl = [Ttl::Keep, Ttl::Clear, Ttl::At(due)][self.dice.below(3) as usize];
        inside(&self.store(id.0), self.local, &id.1, |store| {
            store.update(&id.1, |entry| match how {
                0 => entry.set_string(&bytes, ttl),
                1 => entry.set_owned(bytes.clone().into(), ttl),
                _ => entry.set_raw(bytes.clone(), ttl),
            });
        });
        let expiry = match ttl {
            Ttl::Keep => present.and_then(|(_, expiry)| expiry),
            Ttl::Clear => None,
            Ttl::At(due) => Some(due),
        };
        self.model.insert(id, (bytes, expiry));
    }

    fn take_and_put_back(&mut self, id: (usize, Vec<u8>), present: Option<(Vec<u8>, Option<u64>)>) {
        inside(&self.store(id.0), self.local, &id.1, |store| {
            store.update(&id.1, |entry| {
                let parcel = entry.take();
                assert_eq!(parcel.is_some(), present.is_some());
                assert!(entry.record().is_none() && !entry.remove());
                parcel.into_iter().for_each(|parcel| entry.set_parcel(parcel));
            });
        });
    }

    /// Copies a key to the other database.
    fn carry(&mut self, id: (usize, Vec<u8>), present: Option<(Vec<u8>, Option<u64>)>) {
        let (here, there) = (self.store(id.0), self.store(1 - id.0));
        inside(&here, self.local, &id.1, |_| {
            let parcel = here.update(&id.1, |entry| entry.copy());
            parcel.into_iter().for_each(|parcel| there.update(&id.1, |entry| entry.set_parcel(parcel)));
        });
        present.into_iter().for_each(|present| drop(self.model.insert((1 - id.0, id.1.clone()), present)));
    }

    /// Grows a boxed string where it is, and now and then removes it right after.
    fn append(&mut self, id: (usize, Vec<u8>), present: Option<(Vec<u8>, Option<u64>)>) {
        let remove = self.dice.below(4) == 0;
        let grown = inside(&self.store(id.0), self.local, &id.1, |store| {
            store.update(&id.1, |entry| {
                for _ in 0..2 {
                    if let Some(string) = entry.string_mut() {
                        string.make_mut().extend_from_slice(&[b'x'; 700]);
                    }
                }
                let grown = entry.record().map(bytes_of);
                if remove {
                    entry.remove();
                }
                grown
            })
        });
        match (grown, present) {
            (Some(bytes), Some((old, expiry))) => {
                assert!(bytes.starts_with(&old) && (bytes.len() == old.len() || bytes.len() == old.len() + 1400));
                if remove {
                    self.model.remove(&id)
                } else {
                    self.model.insert(id, (bytes, expiry))
                };
            }
            (grown, present) => assert_eq!(grown.is_some(), present.is_some()),
        }
    }

    /// Compares everything that is stored with the model, and the counts with what is stored.
    fn check(&self) {
        let mut stored = Model::new();
        for database in 0..2 {
            let store = self.store(database);
            assert_counts(&store);
            let visited = store.for_each(|record| {
                if !record.is_expired(self.now_ms) {
                    stored.insert((database, record.key().to_vec()), (bytes_of(record), record.expiry()));
                }
                true
            });
            assert_eq!(visited, Ok(()));
        }
        let alive = self.model.iter().filter(|(_, (_, expiry))| expiry.is_none_or(|due| due >= self.now_ms));
        assert!(stored.iter().eq(alive), "{} keys are stored", stored.len());
    }
}

#[test]
fn random_operations_follow_the_model_and_the_counts_are_exact() {
    let keyspace = keyspace(16, 2);
    let local = Local::new(0, NOW);
    let mut game =
        Game { keyspace: &keyspace, local: &local, now_ms: NOW, model: Model::new(), dice: Dice(0x9e37_79b9) };
    for round in 0..300 {
        (0..200).for_each(|_| game.play());
        game.check();
        if round % 50 == 49 {
            game.store(0).swap(0, 1).expect("alone");
            game.model = std::mem::take(&mut game.model).into_iter().map(|((db, key), v)| ((1 - db, key), v)).collect();
            game.check();
        }
        if round % 7 == 6 {
            keyspace.expire_due(&local, game.now_ms, usize::MAX);
            game.check();
        }
    }
    // Timers find every key that still has one, in whichever database it is by now.
    keyspace.expire_due(&local, game.now_ms + 10_000, usize::MAX);
    game.now_ms += 10_000;
    game.check();
    assert_eq!(keyspace.totals_of_all().volatile, 0);
    let now_ms = game.now_ms;
    game.model.retain(|_, (_, expiry)| expiry.is_none_or(|due| due >= now_ms));
    let keys: Vec<_> = game.model.keys().cloned().collect();
    keys.iter().filter(|id| id.0 == 0).for_each(|id| assert!(remove(&game.store(0), &local, &id.1)));
    assert_eq!(keyspace.totals(0), Totals::default());
    let flushed = game.store(0).flush_all().expect("alone");
    assert_eq!(flushed.removed as usize, keys.iter().filter(|id| id.0 == 1).count());
    assert_eq!(keyspace.totals_of_all(), Totals::default());
    assert_eq!(recount(&game.store(1)), Totals::default());
}

#[test]
fn a_time_to_live_is_armed_whatever_the_value_s_form() {
    let keyspace = keyspace(16, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    for (key, value) in [(b"a", vec![b'5']), (b"b", vec![b'x'; 10]), (b"c", vec![b'x'; 9000])] {
        inside(&store, &local, key, |store| {
            store.update(key, |entry| {
                entry.set_string(&value, Ttl::Clear);
                entry.set_expiry(Some(NOW + 10));
            });
        });
    }
    assert_eq!(keyspace.totals(0).volatile, 3);
    keyspace.expire_due(&local, NOW + 100, usize::MAX);
    assert_eq!(keyspace.totals(0), Totals::default());
    assert_eq!(keyspace.expired(), 3);
}

#[test]
fn a_panic_leaves_nothing_locked_and_the_counts_exact() {
    let keyspace = keyspace(16, 2);
    let (local, other) = (Local::new(0, NOW), Local::new(1, NOW));
    let store = Store::new(&keyspace, &local, 0, NOW);
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let panics = |run: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    panics(&|| {
        inside(&store, &local, b"k", |store| {
            store.update(b"k", |entry| {
                entry.set_string(&[b'v'; 5000], Ttl::At(NOW + 5));
                panic!("after a change");
            })
        })
    });
    panics(&|| inside(&store, &local, b"k", |store| store.read(b"k", |_| panic!("while reading"))));
    panics(&|| inside(&store, &local, b"new", |store| store.update(b"new", |_| panic!("before a change"))));
    panics(&|| assert!(store.scan(crate::store::Cursor::START, 10, |_| panic!("while scanning")).is_err()));
    panics(&|| assert!(store.for_each(|_| panic!("while iterating")).is_err()));
    panics(&|| {
        let _held = keyspace.enter_keys(&local, [b"k".as_slice(), b"l"].into_iter()).expect("alone");
        store.update(b"k", |entry| drop(entry.take()));
        panic!("while owning shards");
    });
    std::panic::set_hook(quiet);
    let elsewhere = Store::new(&keyspace, &other, 0, NOW);
    drop(keyspace.enter_all(&other).expect("nothing stays owned"));
    assert_counts(&elsewhere);
    set(&elsewhere, &other, b"k");
    assert_eq!(recount(&elsewhere).keys, 1);
    assert_counts(&elsewhere);
}

#[test]
fn one_that_is_kept_out_enters_nothing_and_leaves_alone_who_is_inside() {
    let keyspace = keyspace(8, 1);
    let (local, barred) = (Local::new(0, NOW), Local::barred(0, NOW));
    let store = Store::new(&keyspace, &local, 0, NOW);
    let keys = || [&b"a"[..], b"b"].into_iter();
    set(&store, &local, b"a");
    let held = keyspace.enter_keys(&local, keys());
    assert!(held.is_ok() && local.is_inside() && !barred.is_inside());
    for _ in 0..2 {
        assert!(keyspace.enter_key(&barred, b"a").is_err() && keyspace.enter_key_to_read(&barred, b"a").is_err());
        assert!(keyspace.enter_keys(&barred, keys()).is_err() && keyspace.enter_keys(&barred, [].into_iter()).is_err());
        assert!(keyspace.enter_all(&barred).is_err() && keyspace.widen(&barred, b"a").is_err());
        assert!(!keyspace.holds(&barred, b"a") && !keyspace.holds_everything(&barred) && barred.is_barred());
        assert_eq!(Store::new(&keyspace, &barred, 0, NOW).prefetch(keys()), 0);
        assert!(!keyspace.expire_due(&barred, NOW + 1, 10) && keyspace.table_bytes(&barred) == 0);
    }
    assert!(keyspace.holds(&local, b"a") && store.exists(b"a"));
    drop(held);
    assert!(keyspace.enter_all(&local).is_ok());
}
