//! Members chosen at random.

use std::collections::HashSet;

use super::{Form, Item, Set, below};

/// Up to this share of a large set, members are drawn one by one; beyond it, one pass over all members costs less than
/// drawing those again and again that were drawn already.
const SHARE: usize = 4;

/// Decides for one member after another whether it is in a sample, so that each sample has the same probability
/// (Knuth's algorithm S: The Art of Computer Programming, volume 2, 3.4.2).
struct Selection<B> {
    left: usize,
    wanted: usize,
    bits: B,
}

impl<B: FnMut() -> u64> Selection<B> {
    fn takes_next(&mut self) -> bool {
        let takes = below((self.bits)(), self.left) < self.wanted;
        self.left = self.left.saturating_sub(1);
        self.wanted -= usize::from(takes);
        takes
    }
}

impl Set {
    /// Visits so many different members, every choice of them with the same probability, by uniform random bits; all
    /// members if there are not more. O(count) expected; while compact or for a great part of the set, O(n).
    pub fn sample<'a>(&'a self, count: usize, mut bits: impl FnMut() -> u64, mut visit: impl FnMut(Item<'a>)) {
        let len = self.len();
        if count >= len {
            return self.iter().for_each(visit);
        }
        let Form::Large(large) = &self.0 else { return self.select(count, bits, visit) };
        if count > len / SHARE {
            return self.select(count, bits, visit);
        }
        let mut drawn: HashSet<&[u8], foldhash::fast::RandomState> = HashSet::default();
        drawn.reserve(count);
        while drawn.len() < count {
            let Some(member) = large.random(&mut bits) else { return };
            if drawn.insert(member) {
                visit(Item::text(member));
            }
        }
    }

    /// The same by one pass over all members.
    fn select<'a>(&'a self, count: usize, bits: impl FnMut() -> u64, visit: impl FnMut(Item<'a>)) {
        let mut selection = Selection { left: self.len(), wanted: count, bits };
        self.iter().filter(|_| selection.takes_next()).for_each(visit);
    }

    /// Removes so many different members, every choice of them with the same probability, by uniform random bits, and
    /// visits each; all members if there are not more. O(count) expected; while compact or for a great part of the set,
    /// O(n).
    pub fn take_sample(&mut self, count: usize, mut bits: impl FnMut() -> u64, mut visit: impl FnMut(&[u8])) {
        let len = self.len();
        if count >= len {
            self.iter().for_each(|member| visit(&member));
            *self = Set::new();
        } else if count <= len / SHARE {
            for _ in 0..count {
                let Some(member) = self.pop(&mut bits) else { return };
                visit(&member);
            }
        } else {
            let mut selection = Selection { left: len, wanted: count, bits };
            self.retain(|member| {
                let takes = selection.takes_next();
                if takes {
                    visit(member);
                }
                !takes
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, SetLimits};
    use super::*;
    use crate::value::testing::Random;
    use std::collections::{BTreeMap, BTreeSet};

    const LIMITS: SetLimits = SetLimits { integers: 512, packed: Limits { entries: 128, value: 64 } };

    /// A set of each form, with as many members.
    fn sets(len: usize) -> [Set; 3] {
        let mut sets = [Set::new(), Set::new(), Set::new()];
        for index in 0..len {
            sets[0].insert(index.to_string().as_bytes(), LIMITS).unwrap();
            sets[1].insert(format!("m{index}").as_bytes(), LIMITS).unwrap();
        }
        sets[2] = sets[1].clone();
        sets[2].prepare(1000, LIMITS).unwrap();
        assert_eq!(sets.each_ref().map(Set::encoding), ["intset", "listpack", "hashtable"]);
        sets
    }

    #[test]
    fn samples_are_different_members() {
        let mut random = Random(3);
        for set in sets(100) {
            let all: BTreeSet<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
            for count in [0, 1, 2, 24, 25, 26, 50, 99, 100, 1000] {
                let mut sample = BTreeSet::new();
                set.sample(count, || random.bits(), |member| assert!(sample.insert(member.to_vec())));
                assert_eq!(sample.len(), count.min(100));
                assert!(sample.is_subset(&all));
                let (mut rest, mut taken) = (set.clone(), BTreeSet::new());
                rest.take_sample(count, || random.bits(), |member| assert!(taken.insert(member.to_vec())));
                assert_eq!((taken.len(), rest.len()), (count.min(100), 100 - count.min(100)));
                let rest: BTreeSet<Vec<u8>> = rest.iter().map(|member| member.to_vec()).collect();
                assert!(taken.is_disjoint(&rest));
                assert_eq!(&taken | &rest, all);
            }
        }
    }

    #[test]
    fn every_member_is_as_likely() {
        let mut random = Random(5);
        for set in sets(20) {
            for count in [1, 3, 5, 6, 12, 19] {
                let (mut sampled, mut taken) = (BTreeMap::new(), BTreeMap::new());
                for _ in 0..4000 {
                    set.sample(count, || random.bits(), |member| *sampled.entry(member.to_vec()).or_insert(0) += 1);
                    let take = |member: &[u8]| *taken.entry(member.to_vec()).or_insert(0) += 1;
                    set.clone().take_sample(count, || random.bits(), take);
                }
                // Each is binomially distributed; five standard deviations are not left by chance.
                let share = count as f64 / 20.0;
                let (expected, deviation) = (4000.0 * share, (4000.0 * share * (1.0 - share)).sqrt());
                for seen in [sampled, taken] {
                    assert_eq!(seen.len(), 20);
                    for (member, times) in seen {
                        let off = (f64::from(times) - expected).abs();
                        assert!(off < 5.0 * deviation, "{member:?} {times} times of {expected}, {count} of 20");
                    }
                }
            }
        }
    }
}
