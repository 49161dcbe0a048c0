use super::*;
use crate::value::scores::LexBound;
use crate::value::testing::Random;

type Model = Vec<(Score, Vec<u8>)>;

fn score(value: f64) -> Score {
    Score::new(value).unwrap()
}

fn pairs<'a>(iter: impl Iterator<Item = (Item<'a>, Score)>) -> Model {
    iter.map(|(member, score)| (score, member.to_vec())).collect()
}

fn any_score(random: &mut Random, kind: usize) -> Score {
    const ODD: [f64; 7] = [0.0, -0.0, 0.5, f64::INFINITY, f64::NEG_INFINITY, 1e300, -12345678.9];
    match kind {
        0 => score(1.0),
        1 => score(ODD[random.below(ODD.len())]),
        2 => score(random.below(50) as f64),
        _ => score(random.bits() as f64 / 1e9),
    }
}

#[test]
fn behaves_as_a_sorted_vector() {
    for seed in 0..24 {
        let mut random = Random(seed);
        let limits = [Limits { entries: 100, value: 40 }, Limits { entries: 0, value: 64 }][seed as usize % 2];
        let kind = seed as usize / 2 % 4;
        let (mut set, mut model) = (SortedSet::new(), Model::new());
        for round in 0..3000 {
            let grow = if round % 1500 < 1000 { 6 } else { 2 };
            if random.below(8) < grow {
                put(&mut set, &mut model, &mut random, kind, limits);
            } else {
                take(&mut set, &mut model, &mut random);
            }
            assert_eq!(set.len(), model.len());
            if round % 50 == 0 {
                compare(&set, &model, &mut random, kind);
            }
        }
        let copy = set.clone();
        assert_eq!(set.remove_ranks(0..usize::MAX), model.len());
        assert!(set.is_empty() && pairs(copy.iter(0..usize::MAX)) == model);
    }
}

fn member(random: &mut Random, model: &Model) -> Vec<u8> {
    if random.below(3) == 0 && !model.is_empty() {
        return model[random.below(model.len())].1.clone();
    }
    let longest = if random.below(50) == 0 { 2000 } else { 40 };
    random.text(longest)
}

fn put(set: &mut SortedSet, model: &mut Model, random: &mut Random, kind: usize, limits: Limits) {
    let (text, new) = (member(random, model), any_score(random, kind));
    let at = model.iter().position(|(_, other)| *other == text);
    let old = at.map(|at| model[at].0);
    let leave = random.below(10) == 0;
    let updated = set.update(&text, limits, |found| {
        assert_eq!(found, old);
        (!leave).then_some(new)
    });
    let expected = if leave { old } else { Some(new) };
    assert_eq!(updated, Ok(Updated { old, new: expected }));
    if expected != old {
        at.map(|at| model.remove(at));
        let at = model.partition_point(|other| *other < (new, text.clone()));
        model.insert(at, (new, text));
    }
}

fn take(set: &mut SortedSet, model: &mut Model, random: &mut Random) {
    if random.below(10) == 0 {
        let start = random.below(model.len() + 2);
        let end = (start + random.below(6)).saturating_sub(1);
        let gone = start.min(model.len())..end.clamp(start.min(model.len()), model.len());
        assert_eq!(set.remove_ranks(start..end), gone.len());
        model.drain(gone);
        return;
    }
    let text = member(random, model);
    let at = model.iter().position(|(_, other)| *other == text);
    assert_eq!(set.remove(&text), at.map(|at| model.remove(at).0));
}

fn compare(set: &SortedSet, model: &Model, random: &mut Random, kind: usize) {
    assert_eq!(&pairs(set.iter(0..usize::MAX)), model);
    assert!(pairs(set.iter(0..model.len()).rev()).iter().eq(model.iter().rev()));
    let mut scanned = Model::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(cursor, |member, score| scanned.push((score, member.to_vec())));
        if cursor == 0 {
            break;
        }
    }
    scanned.sort();
    assert_eq!(&scanned, model);
    for _ in 0..10 {
        let (start, end) = (random.below(model.len() + 2), random.below(model.len() + 2));
        let expected = model.get(start..end.min(model.len())).unwrap_or_default();
        assert_eq!(pairs(set.iter(start..end)), expected);
        assert!(pairs(set.iter(start..end).rev()).iter().eq(expected.iter().rev()));
        assert_eq!(set.get(start).map(|(member, score)| (score, member.to_vec())), model.get(start).cloned());
        let text = member(random, model);
        let rank = model.iter().position(|(_, other)| *other == text);
        assert_eq!(set.rank(&text), rank.map(|rank| (rank, model[rank].0)));
        assert_eq!(set.score(&text), rank.map(|rank| model[rank].0));
        compare_ranges(set, model, random, kind);
    }
}

fn compare_ranges(set: &SortedSet, model: &Model, random: &mut Random, kind: usize) {
    let range = ScoreRange {
        min: any_score(random, kind),
        min_excluded: random.below(2) == 0,
        max: any_score(random, kind),
        max_excluded: random.below(2) == 0,
    };
    let expected: Model = model.iter().filter(|(score, _)| range.contains(*score)).cloned().collect();
    assert_eq!(pairs(set.iter(set.ranks_of_scores(&range))), expected, "{range:?}");
    let (least, most) = (member(random, model), member(random, model));
    let bound = |text, random: &mut Random| match random.below(6) {
        0 => LexBound::Least,
        1 => LexBound::Greatest,
        2 | 3 => LexBound::Included(text),
        _ => LexBound::Excluded(text),
    };
    let range = LexRange { min: bound(&least, random), max: bound(&most, random) };
    let ranks = set.ranks_of_members(&range);
    assert!(ranks.start <= ranks.end && ranks.end <= model.len());
    if kind == 0 {
        let expected: Model = model.iter().filter(|(_, text)| range.contains(text)).cloned().collect();
        assert_eq!(pairs(set.iter(ranks)), expected, "{range:?}");
    }
}

#[test]
fn the_form_follows_the_limits() {
    let limits = Limits { entries: 3, value: 5 };
    let mut set = SortedSet::new();
    for member in ["a", "b", "12345"] {
        set.insert(member.as_bytes(), score(1.0), limits).unwrap();
        assert_eq!(set.encoding(), "listpack");
    }
    let mut long = set.clone();
    long.remove(b"a");
    long.insert(b"123456", score(1.0), limits).unwrap();
    assert_eq!(long.encoding(), "skiplist");
    set.insert(b"b", score(2.0), limits).unwrap();
    assert_eq!(set.encoding(), "listpack");
    set.insert(b"c", score(2.0), limits).unwrap();
    assert_eq!((set.encoding(), set.len()), ("skiplist", 4));
    set.remove_ranks(0..3);
    assert_eq!((set.encoding(), set.len()), ("skiplist", 1));
    assert_eq!(SortedSet::for_members(3, 5, limits).encoding(), "listpack");
    assert_eq!(SortedSet::for_members(4, 5, limits).encoding(), "skiplist");
    let mut set = SortedSet::new();
    set.prepare(3, 5, limits).unwrap();
    assert_eq!(set.encoding(), "listpack");
    set.prepare(3, 6, limits).unwrap();
    assert_eq!(set.encoding(), "skiplist");
}

#[test]
fn memory_is_as_planned() {
    let limits = Limits { entries: 128, value: 64 };
    let mut random = Random(1);
    let mut set = SortedSet::new();
    for index in 0..100_000 {
        let member = format!("m{index:09}");
        set.insert(member.as_bytes(), score(random.bits() as f64), limits).unwrap();
    }
    // 18 bytes of member and score, and 30.
    assert!(set.memory() < 48 * set.len(), "{} bytes a member", set.memory() / set.len());
    let full = set.memory();
    while set.len() > 10_000 {
        let rank = random.below(set.len());
        assert_eq!(set.remove_ranks(rank..rank + 1), 1);
    }
    assert!(set.memory() < full / 4, "{} of {full} bytes for a tenth", set.memory());
    set.remove_ranks(0..usize::MAX);
    assert!(set.memory() < 64 << 10, "{} bytes for none", set.memory());
}
