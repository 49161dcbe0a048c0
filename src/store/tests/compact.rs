//! Small collections inside their records, against models: every form, growing out of the record and being replaced.

use std::collections::BTreeMap;

use super::*;
use crate::store::{Collection, Ttl};
use crate::value::Limits;
use crate::value::hash::{Expiry, Hash};
use crate::value::list::{Limit, List};
use crate::value::scores::Score;
use crate::value::set::{Set, SetLimits};
use crate::value::sorted_set::SortedSet;

const LIMITS: Limits = Limits { entries: 128, value: 64 };
const SETS: SetLimits = SetLimits { integers: 64, packed: LIMITS };

/// A collection with the few ways to change it that a model can follow.
trait Played: Collection {
    fn add(&mut self, name: &[u8], number: u64);
    fn drop_one(&mut self, name: &[u8]);
    fn told(&self) -> Vec<Vec<u8>>;
    /// What the model's names and numbers are told as, in any order unless it is a list.
    fn expected(model: &[(Vec<u8>, u64)]) -> Vec<Vec<u8>>;
}

fn pair(name: &[u8], number: impl std::fmt::Display) -> Vec<u8> {
    [name, format!("={number}").as_bytes()].concat()
}

fn pairs(model: &[(Vec<u8>, u64)]) -> Vec<Vec<u8>> {
    let last: BTreeMap<_, _> = model.iter().map(|(name, number)| (name, number)).collect();
    let mut all: Vec<_> = last.into_iter().map(|(name, number)| pair(name, number)).collect();
    all.sort();
    all
}

impl Played for Hash {
    fn add(&mut self, name: &[u8], number: u64) {
        self.prepare(self.len() + 1, name.len(), LIMITS).unwrap();
        self.insert(name, number.to_string().as_bytes(), Expiry::Keep, LIMITS).unwrap();
    }
    fn drop_one(&mut self, name: &[u8]) {
        self.remove(name);
    }
    fn told(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<_> =
            self.iter().map(|field| pair(&field.name, String::from_utf8_lossy(&field.value))).collect();
        all.sort();
        all
    }
    fn expected(model: &[(Vec<u8>, u64)]) -> Vec<Vec<u8>> {
        pairs(model)
    }
}

impl Played for SortedSet {
    fn add(&mut self, name: &[u8], number: u64) {
        self.insert(name, Score::new(number as f64).unwrap(), LIMITS).unwrap();
    }
    fn drop_one(&mut self, name: &[u8]) {
        self.remove(name);
    }
    fn told(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<_> = self.iter(0..self.len()).map(|(name, score)| pair(&name, score.value())).collect();
        all.sort();
        all
    }
    fn expected(model: &[(Vec<u8>, u64)]) -> Vec<Vec<u8>> {
        pairs(model)
    }
}

impl Played for Set {
    fn add(&mut self, name: &[u8], number: u64) {
        // Integers first, so that both compact forms and the change between them come up.
        let member = if self.len() < 20 { number.to_string().into_bytes() } else { pair(name, number) };
        self.insert(&member, SETS).unwrap();
    }
    fn drop_one(&mut self, _name: &[u8]) {
        let first = self.iter().next().map(|member| member.to_vec());
        first.iter().for_each(|member| _ = self.remove(member));
    }
    fn told(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<_> = self.iter().map(|member| member.to_vec()).collect();
        all.sort();
        all
    }
    fn expected(_: &[(Vec<u8>, u64)]) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

impl Played for List {
    fn add(&mut self, name: &[u8], number: u64) {
        let element = pair(name, number);
        if number.is_multiple_of(2) {
            self.push_back([&element[..]], Limit::default());
        } else {
            self.push_front([&element[..]], Limit::default());
        }
    }
    fn drop_one(&mut self, _name: &[u8]) {
        self.remove_front(1, Limit::default());
    }
    fn told(&self) -> Vec<Vec<u8>> {
        self.iter().map(|element| element.to_vec()).collect()
    }
    fn expected(_: &[(Vec<u8>, u64)]) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// Plays with one key. A twin outside of the store goes through the same changes: what it tells is what the key has to.
fn play<T: Played + Clone>(seed: u64, modelled: bool) {
    let keyspace = keyspace(4, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    let (mut dice, mut twin, mut expiry) = (Dice(seed | 1), None::<T>, None);
    let mut model: Vec<(Vec<u8>, u64)> = Vec::new();
    let key = vec![b'k'; [3, 8, 5000][dice.below(3) as usize]];
    for _ in 0..700 {
        let name = format!("{:0width$}", dice.below(60), width = dice.below(30) as usize).into_bytes();
        let number = dice.below(1 << 20);
        match dice.below(12) {
            0..=5 => {
                twin.get_or_insert_default().add(&name, number);
                model.retain(|(other, _)| *other != name);
                model.push((name.clone(), number));
                inside(&store, &local, &key, |store| {
                    store.update(&key, |entry| match entry.collection_mut::<T>().unwrap() {
                        Some(value) => value.add(&name, number),
                        None => {
                            let mut value = T::default();
                            value.add(&name, number);
                            entry.set_object(value.into_object(), Ttl::Clear);
                            expiry = None;
                        }
                    });
                });
            }
            6..=8 => {
                twin.iter_mut().for_each(|twin| twin.drop_one(&name));
                model.retain(|(other, _)| *other != name);
                twin = twin.filter(|twin| !twin.vanishes());
                inside(&store, &local, &key, |store| {
                    store.update(&key, |entry| {
                        let Some(value) = entry.collection_mut::<T>().unwrap() else { return };
                        value.drop_one(&name);
                        if value.vanishes() {
                            entry.remove();
                            expiry = None;
                        }
                    });
                });
            }
            9 => {
                let due = (dice.below(2) == 0).then_some(NOW + 5000);
                inside(&store, &local, &key, |store| store.update(&key, |entry| entry.set_expiry(due)));
                expiry = twin.as_ref().and(due);
            }
            10 => inside(&store, &local, &key, |store| {
                store.update(&key, |entry| {
                    let parcel = entry.take();
                    parcel.into_iter().for_each(|parcel| entry.set_parcel(parcel));
                });
            }),
            _ => inside(&store, &local, &key, |store| {
                store.update(&key, |entry| {
                    let parcel = entry.copy();
                    parcel.into_iter().for_each(|parcel| entry.set_parcel(parcel));
                });
            }),
        }
        let told = inside(&store, &local, &key, |store| {
            store.peek(&key, |record| {
                let record = record?;
                assert_eq!((record.key(), record.expiry(), record.kind()), (&key[..], expiry, T::KIND));
                let object = record.value().object()?;
                T::of(&object).map(|value| (value.told(), object.encoding()))
            })
        });
        let twin = twin.as_ref().map(|twin| (twin.told(), twin.clone().into_object().encoding()));
        assert_eq!(told, twin);
        if modelled {
            assert_eq!(told.map_or(Vec::new(), |(told, _)| told), T::expected(&model));
        }
        assert_counts(&store);
    }
}

#[test]
fn small_collections_live_in_their_records() {
    for seed in 0..6 {
        play::<Hash>(seed * 7 + 1, true);
        play::<SortedSet>(seed * 7 + 2, true);
        play::<Set>(seed * 7 + 3, false);
        play::<List>(seed * 7 + 4, false);
    }
}

#[test]
fn a_small_collection_takes_one_block() {
    let keyspace = keyspace(1, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    let mut hash = Hash::new();
    (1..=5).for_each(|n| _ = hash.insert(format!("f{n}").as_bytes(), b"v1", Expiry::Never, LIMITS).unwrap());
    inside(&store, &local, b"h:000000", |store| {
        store.update(b"h:000000", |entry| entry.set_object(hash.into_object(), Ttl::Clear));
    });
    // A header of 8, the key of 8, a head of 4 and ten entries of 4 bytes.
    assert_eq!(keyspace.totals(0).bytes, 64);
}

#[test]
fn a_panic_in_a_change_leaves_a_readable_collection() {
    let keyspace = keyspace(1, 1);
    let local = Local::new(0, NOW);
    let store = Store::new(&keyspace, &local, 0, NOW);
    inside(&store, &local, b"l", |store| {
        let mut list = List::new();
        list.push_back([&b"one"[..]], Limit::default());
        store.update(b"l", |entry| entry.set_object(list.into_object(), Ttl::Clear));
        let change = std::panic::AssertUnwindSafe(|| {
            store.update(b"l", |entry| {
                let list = entry.collection_mut::<List>().unwrap().unwrap();
                list.push_back([&[b'x'; 300][..]], Limit::default());
                panic!("in the middle");
            });
        });
        assert!(std::panic::catch_unwind(change).is_err());
        store.peek(b"l", |record| assert_eq!(List::of(&record.unwrap().value().object().unwrap()).unwrap().len(), 2));
    });
    assert_counts(&store);
}
