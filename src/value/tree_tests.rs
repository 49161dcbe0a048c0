use super::*;
use crate::value::scores::Score;
use crate::value::testing::Random;

fn key(score: i64, item: u32) -> Key {
    Key { score: Score::new(score as f64).unwrap(), item: Handle(item) }
}

fn pair(key: Key) -> (i64, u32) {
    (key.score.value() as i64, key.item.0)
}

/// A bound, with its score or without.
fn bound<F: Fn((i64, u32)) -> bool>(score: Option<i64>, before: F) -> Bound<impl Fn(Key) -> bool> {
    Bound { score: score.map(|value| key(value, 0).score), before: move |key| before(pair(key)) }
}

impl Tree {
    /// Checks all that a node says about those below, and the links of the leaves.
    fn check(&self) {
        let mut leaves = Vec::new();
        assert_eq!(self.check_under(self.root, self.height, &mut leaves), self.len as u32);
        let mut previous = NIL;
        for (index, leaf) in leaves.iter().enumerate() {
            assert_eq!(self.leaves.get(*leaf).previous, previous);
            assert_eq!(self.leaves.get(*leaf).next, leaves.get(index + 1).copied().unwrap_or(NIL));
            previous = *leaf;
        }
    }

    fn check_under(&self, node: u32, height: u32, leaves: &mut Vec<u32>) -> u32 {
        if height == 0 {
            leaves.push(node);
            assert!(self.leaves.get(node).len() > 0 || self.len == 0);
            return self.leaves.get(node).len() as u32;
        }
        let inner = self.inners.get(node);
        assert!(inner.len() > 0);
        for index in 0..inner.len() {
            let child = inner.get(index);
            assert_eq!(self.check_under(child.node, height - 1, leaves), child.count);
            assert_eq!(self.least(child.node, height - 1), child.least);
        }
        inner.total()
    }
}

fn insert(tree: &mut Tree, model: &mut Vec<(i64, u32)>, new: (i64, u32)) {
    if let Err(index) = model.binary_search(&new) {
        model.insert(index, new);
        tree.insert(key(new.0, new.1), bound(Some(new.0), |other| other < new));
    }
}

#[test]
fn behaves_as_a_sorted_vector() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let (mut tree, mut model) = (Tree::new(), Vec::<(i64, u32)>::new());
        let scores = [1, 5, 100_000][seed as usize % 3];
        for round in 0..15_000i64 {
            let grow = [9, 1, 5][round as usize / 5000];
            if random.below(10) < grow {
                let score = match seed / 3 % 3 {
                    0 => random.below(scores) as i64,
                    1 => round,
                    _ => -round,
                };
                insert(&mut tree, &mut model, (score, random.below(100_000) as u32));
            } else if !model.is_empty() {
                let rank = match seed % 5 {
                    0 => 0,
                    1 => model.len() - 1,
                    _ => random.below(model.len()),
                };
                let old = model.remove(rank);
                let removed = match round % 3 {
                    0 => tree.remove(rank),
                    1 => tree.remove_last_of(bound(Some(old.0), |other| other <= old)),
                    _ => tree.remove_last_of(bound(None, |other| other <= old)),
                };
                assert_eq!(removed.map(pair), Some(old));
            }
            assert_eq!(tree.len(), model.len());
            if round % 500 == 0 {
                compare(&tree, &model, &mut random);
            }
        }
        while !model.is_empty() {
            let rank = random.below(model.len());
            assert_eq!(tree.remove(rank).map(pair), Some(model.remove(rank)));
        }
        compare(&tree, &model, &mut random);
        assert_eq!((tree.remove(0), tree.remove_last_of(bound(None, |_| true)), tree.get(0)), (None, None, None));
    }
}

fn compare(tree: &Tree, model: &[(i64, u32)], random: &mut Random) {
    tree.check();
    assert!(tree.iter(0, usize::MAX).map(pair).eq(model.iter().copied()));
    assert!(tree.iter(0, model.len()).rev().map(pair).eq(model.iter().rev().copied()));
    for _ in 0..50 {
        let start = random.below(model.len() + 3);
        let end = random.below(model.len() + 3);
        let expected = model.get(start.min(end)..end.min(model.len())).unwrap_or_default();
        let start = start.min(end);
        assert!(tree.iter(start, end).map(pair).eq(expected.iter().copied()));
        let mut both = (tree.iter(start, end), expected.iter());
        for _ in 0..expected.len() + 2 {
            if random.below(2) == 0 {
                assert_eq!(both.0.next().map(pair), both.1.next().copied());
            } else {
                assert_eq!(both.0.next_back().map(pair), both.1.next_back().copied());
            }
        }
        assert_eq!(tree.get(start).map(pair), model.get(start).copied());
        let end = (random.below(100_000) as i64, 0);
        let rank = model.partition_point(|other| *other < end);
        assert_eq!(tree.rank(bound(Some(end.0), |other| other < end)), rank);
        assert_eq!(tree.rank(bound(None, |other| other < end)), rank);
    }
}

#[test]
fn keys_are_renamed_and_adjusted_in_their_place() {
    for seed in 0..10 {
        let mut random = Random(seed);
        let (mut tree, mut model) = (Tree::new(), Vec::new());
        for _ in 0..5000 {
            insert(&mut tree, &mut model, (random.below(3000) as i64 * 10, random.below(1000) as u32 * 10));
        }
        for _ in 0..5000 {
            let rank = random.below(model.len());
            let old = model[rank];
            if random.below(2) == 0 {
                let new = (old.0, old.1 / 10 * 10 + random.below(10) as u32);
                tree.rename(Handle(new.1), bound(Some(old.0), |other| other <= old));
                model[rank] = new;
                continue;
            }
            let new = (old.0 + random.below(40) as i64 - 20, old.1);
            let between = rank > 0 && model[rank - 1] < new && model.get(rank + 1).is_some_and(|next| new < *next);
            let done = tree.adjust(
                key(new.0, new.1),
                bound(Some(old.0), |other| other <= old),
                bound(Some(new.0), |other| other < new),
            );
            assert!(between || !done);
            if done {
                model[rank] = new;
            }
        }
        compare(&tree, &model, &mut random);
    }
}

#[test]
fn keys_in_order_fill_their_nodes() {
    for sign in [1, -1] {
        let mut tree = Tree::new();
        for index in 0..100_000 {
            let new = (sign * index, 0);
            tree.insert(key(new.0, new.1), bound(Some(new.0), |other| other < new));
        }
        tree.check();
        assert!(tree.memory() < 100_000 * 13, "{} bytes", tree.memory());
    }
}
