use super::*;
use crate::value::testing::Random;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<Millis>)>;

const LIMITS: Limits = Limits { entries: 60, value: 64 };

fn own(field: Field<'_>) -> (Vec<u8>, (Vec<u8>, Option<Millis>)) {
    (field.name.to_vec(), (field.value.to_vec(), field.expires_at))
}

fn compare(hash: &Hash, model: &Model) {
    assert_eq!(&hash.iter().map(own).collect::<Model>(), model);
    assert_eq!(hash.iter().count(), model.len());
    let (mut scanned, mut cursor) = (Model::new(), 0);
    loop {
        cursor = hash.scan(cursor, |field| {
            let (name, rest) = own(field);
            assert!(scanned.insert(name, rest).is_none());
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(&scanned, model);
    assert_eq!(hash.soonest(), model.values().filter_map(|(_, time)| *time).min());
    assert_eq!(hash.volatile(), model.values().filter(|(_, time)| time.is_some()).count());
}

fn step(hash: &mut Hash, model: &mut Model, random: &mut Random, timed: bool, grow: usize) {
    let long = random.below(60) == 0;
    let name = random.text(if long { 200 } else { 12 });
    let longest = if long && random.below(2) == 0 { 1500 } else { 30 };
    let value = random.text(longest);
    let name = match model.range(name.clone()..).next() {
        Some((known, _)) if random.below(2) == 0 => known.clone(),
        _ => name,
    };
    let old = model.get(&name).cloned();
    assert_eq!(hash.field(&name).map(|(value, time)| (value.to_vec(), time)), old);
    let time = 1 + random.below(1000) as Millis;
    match random.below(12) {
        0 if timed => {
            let time = (random.below(3) > 0).then_some(time);
            assert_eq!(hash.set_expiry(&name, time), Ok(old.as_ref().map(|old| old.1)));
            model.entry(name).and_modify(|field| field.1 = time);
        }
        1 if timed => {
            let (now, most) = (random.below(100) as Millis, random.below(4));
            let mut last = 0;
            let removed = hash.remove_due(now, most, |field| {
                let (name, rest) = own(field);
                assert_eq!(model.remove(&name).as_ref(), Some(&rest));
                let time = rest.1.unwrap();
                assert!(last <= time && time <= now);
                last = time;
            });
            let due = model.values().any(|(_, time)| time.is_some_and(|time| time <= now));
            assert!(removed == most || !due && removed < most);
        }
        2 => {
            let field = hash.random(|| random.bits()).map(own);
            assert!(field.map_or(model.is_empty(), |(name, rest)| model.get(&name) == Some(&rest)));
        }
        roll if roll <= grow => {
            let kind = if timed { random.below(3) } else { 0 };
            let expiry = [Expiry::Never, Expiry::Keep, Expiry::At(time)][kind];
            assert_eq!(hash.insert(&name, &value, expiry, LIMITS), Ok(old.is_none()));
            model.insert(name, (value, expiry.apply(old.and_then(|old| old.1))));
        }
        _ => assert_eq!(hash.remove(&name), model.remove(&name).is_some()),
    }
    assert_eq!(hash.len(), model.len());
}

#[test]
fn behaves_as_a_map() {
    for seed in 0..24 {
        let mut random = Random(seed);
        let (mut hash, mut model) = (Hash::new(), Model::new());
        if seed % 4 == 3 {
            hash.prepare(61, 0, LIMITS).unwrap();
        }
        for round in 0..4000 {
            let grow = if round % 2000 < 1200 { 9 } else { 4 };
            step(&mut hash, &mut model, &mut random, seed % 2 == 0, grow);
            if round % 100 == 0 {
                compare(&hash, &model);
            }
        }
        compare(&hash.clone(), &model);
        for name in model.keys() {
            assert!(hash.remove(name));
        }
        assert!(hash.is_empty() && hash.soonest().is_none() && hash.random(|| 0).is_none());
    }
}

#[test]
fn the_form_follows_the_limits() {
    let limits = Limits { entries: 2, value: 4 };
    let mut hash = Hash::new();
    hash.insert(b"a", b"1234", Expiry::Never, limits).unwrap();
    hash.insert(b"1234", b"b", Expiry::Keep, limits).unwrap();
    assert_eq!(hash.encoding(), "listpack");
    assert_eq!(hash.set_expiry(b"c", Some(5)), Ok(None));
    assert_eq!(hash.encoding(), "listpack");
    let mut timed = hash.clone();
    assert_eq!(timed.set_expiry(b"a", Some(5)), Ok(Some(None)));
    assert_eq!(timed.set_expiry(b"a", Some(u64::MAX)), Ok(Some(Some(5))));
    assert_eq!(timed.field(b"a").map(|field| field.1), Some(Some(LATEST)));
    assert_eq!(timed.set_expiry(b"a", None), Ok(Some(Some(LATEST))));
    assert_eq!((timed.encoding(), timed.soonest()), ("listpackex", None));
    for (name, value) in [(&b"b"[..], &b"c"[..]), (b"a", b"12345"), (b"12345", b"")] {
        let mut hash = hash.clone();
        hash.insert(name, value, Expiry::Never, limits).unwrap();
        assert_eq!((hash.encoding(), hash.get(name)), ("hashtable", Some(Item::text(value))));
    }
    timed.insert(b"b", b"c", Expiry::At(7), limits).unwrap();
    assert_eq!((timed.encoding(), timed.soonest(), timed.len()), ("hashtable", Some(7), 3));
}

#[test]
fn names_of_all_lengths() {
    let mut hash = Hash::new();
    for len in [0, 1, 127, 128, 129, 999, 1000, 1001, 5000, 1 << 20] {
        hash.insert(&vec![b'n'; len], &vec![b'v'; len], Expiry::At(len as u64 + 1), LIMITS).unwrap();
        assert_eq!(hash.field(&vec![b'n'; len]), Some((Item::text(&vec![b'v'; len]), Some(len as u64 + 1))));
    }
    let memory = hash.memory();
    assert!(hash.remove(&vec![b'n'; 1 << 20]));
    assert!(memory - hash.memory() >= 2 << 20);
    assert_eq!(hash.remove_due(128, usize::MAX, |_| {}), 3);
    assert_eq!(hash.len(), 6);
}

#[test]
fn memory_is_as_planned() {
    let mut hash = Hash::new();
    for index in 0..100_000 {
        let text = format!("m{index:09}");
        hash.insert(text.as_bytes(), text.as_bytes(), Expiry::Never, LIMITS).unwrap();
    }
    // 20 bytes of name and value, and 14.
    assert!(hash.memory() < 34 * hash.len(), "{} bytes a field", hash.memory() / hash.len());
    let before = hash.memory();
    for index in 0..100_000 {
        hash.set_expiry(format!("m{index:09}").as_bytes(), Some(1 + index)).unwrap();
    }
    assert!(hash.memory() - before < 24 * hash.len(), "{} bytes a time", (hash.memory() - before) / hash.len());
    assert_eq!(hash.remove_due(99_000, usize::MAX, |_| {}), 99_000);
    assert!(hash.memory() < before / 20, "{} of {before} bytes for a hundredth", hash.memory());
}
