use super::*;
use crate::value::testing::Random;
use std::collections::BTreeSet;

type Model = BTreeSet<Vec<u8>>;

const LIMITS: SetLimits = SetLimits { integers: 512, packed: Limits { entries: 128, value: 64 } };

fn all<'a>(members: impl Iterator<Item = Item<'a>>) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = members.map(|member| member.to_vec()).collect();
    all.sort();
    all
}

fn text(random: &mut Random, seed: u64) -> Vec<u8> {
    if seed.is_multiple_of(3) {
        return (random.below(700) as i64 - 350).to_string().into_bytes();
    }
    let longest = if random.below(100) == 0 { 1500 } else { 20 };
    random.text(longest)
}

fn any_set(random: &mut Random, limits: SetLimits, rounds: usize) -> (Set, Model) {
    let (mut set, mut model, seed) = (Set::new(), Model::new(), random.bits());
    for round in 0..rounds {
        let grow = if round % 2000 < 1200 { 6 } else { 2 };
        let member = text(random, seed);
        let known = model.range(member.clone()..).next().cloned().unwrap_or(member.clone());
        match random.below(16) {
            0 if !model.is_empty() => assert!(model.remove(&set.pop(|| random.bits()).unwrap())),
            1 => assert!(set.random(|| random.bits()).is_none_or(|member| model.contains(&*member))),
            roll if roll / 2 < grow => assert_eq!(set.insert(&member, limits), Ok(model.insert(member.clone()))),
            _ => assert_eq!(set.remove(&known), model.remove(&known)),
        }
        assert_eq!((set.len(), set.contains(&member)), (model.len(), model.contains(&member)));
    }
    (set, model)
}

#[test]
fn behaves_as_a_set() {
    for seed in 0..24 {
        let mut random = Random(seed);
        let limits = SetLimits { integers: [0, 512][seed as usize % 2], ..LIMITS };
        let (mut set, mut model) = any_set(&mut random, limits, 5000);
        assert!(all(set.iter()).iter().eq(&model));
        let (mut scanned, mut cursor) = (Vec::new(), 0);
        loop {
            cursor = set.scan(cursor, |member| scanned.push(member.to_vec()));
            if cursor == 0 {
                break;
            }
        }
        scanned.sort();
        assert!(scanned.iter().eq(&model));
        let keep = |member: &[u8]| member.len().is_multiple_of(2) || member.first() > Some(&b'3');
        set.retain(keep);
        model.retain(|member| keep(member));
        assert!(all(set.iter()).iter().eq(&model));
        while let Some(member) = set.pop(|| random.bits()) {
            assert!(model.remove(&member));
        }
        assert!(model.is_empty() && set.is_empty() && set.random(|| 0).is_none());
    }
}

#[test]
fn sets_are_combined() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let sets: Vec<_> = (0..1 + random.below(5))
            .map(|_| {
                let rounds = 1 + random.below(900);
                any_set(&mut random, LIMITS, rounds)
            })
            .collect();
        let refs: Vec<_> = sets.iter().map(|(set, _)| set).collect();
        let mut models = sets.iter().map(|(_, model)| model.clone());
        let first = models.next().unwrap();
        let (mut common, mut either, mut rest) = (first.clone(), first.clone(), first);
        for model in models {
            common = &common & &model;
            either = &either | &model;
            rest = &rest - &model;
        }
        assert!(all(intersection(&refs)).iter().eq(&common));
        assert!(all(union(&refs, LIMITS).unwrap().iter()).iter().eq(&either));
        let mut left = Model::new();
        difference(refs[0], &refs[1..], |member| assert!(left.insert(member.to_vec())));
        assert_eq!(left, rest);
    }
    assert_eq!(intersection(&[]).count(), 0);
    assert!(union(&[], LIMITS).unwrap().is_empty());
}

/// By the rules of Redis 7.2, with small limits.
#[test]
fn the_form_follows_the_limits() {
    let limits = SetLimits { integers: 4, packed: Limits { entries: 4, value: 8 } };
    let set = |members: &[&str]| {
        let mut set = Set::new();
        members.iter().for_each(|member| assert_eq!(set.insert(member.as_bytes(), limits), Ok(true)));
        set
    };
    assert_eq!(set(&["1", "-2", "3", "4"]).encoding(), "intset");
    assert_eq!(set(&["1", "-2", "3", "4", "5"]).encoding(), "hashtable");
    assert_eq!(set(&["1", "-2", "3", "a"]).encoding(), "listpack");
    assert_eq!(set(&["1", "-2", "3", "4", "a"]).encoding(), "hashtable");
    assert_eq!(set(&["1", "12345678", "a"]).encoding(), "listpack");
    assert_eq!(set(&["1", "123456789", "a"]).encoding(), "hashtable");
    assert_eq!(set(&["a", "12345678"]).encoding(), "listpack");
    assert_eq!(set(&["a", "123456789"]).encoding(), "hashtable");
    assert_eq!(set(&["a", "b", "c", "d", "e"]).encoding(), "hashtable");
    assert_eq!(Set::for_members(4, b"5", limits).encoding(), "intset");
    assert_eq!(Set::for_members(4, b"a", limits).encoding(), "listpack");
    assert_eq!(Set::for_members(5, b"5", limits).encoding(), "hashtable");
    let mut set = set(&["1", "2"]);
    set.prepare(4, limits).unwrap();
    assert_eq!(set.encoding(), "intset");
    set.prepare(5, limits).unwrap();
    assert_eq!((set.encoding(), set.len(), set.contains(b"2")), ("hashtable", 2, true));
}

#[test]
fn memory_is_as_planned() {
    let mut set = Set::new();
    for index in 0..100_000 {
        set.insert(format!("m{index:09}").as_bytes(), LIMITS).unwrap();
    }
    assert!(set.memory() < 23 * set.len(), "{} bytes a member", set.memory() / set.len());
    let full = set.memory();
    set.retain(|member| member.ends_with(b"7"));
    assert_eq!(set.len(), 10_000);
    assert!(set.memory() < full * 2 / 3, "{} of {full} bytes for a tenth", set.memory());
    let mut random = Random(1);
    while set.len() > 1000 {
        set.pop(|| random.bits());
    }
    assert!(set.memory() < full / 20, "{} of {full} bytes for a hundredth", set.memory());
}
