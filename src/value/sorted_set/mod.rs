//! Sorted sets: members with scores, ordered by score and, where scores are equal, by the bytes of the member.

mod large;
mod small;

use std::ops::Range;

use super::item::distinct;
use super::memory::box_size;
use super::packed::Packed;
use super::scores::{LexRange, Score, ScoreRange};
use super::{Full, Item, Limits};
use large::Large;
use small::Small;

/// A sorted set.
#[derive(Clone, Debug)]
pub struct SortedSet(Form);

#[derive(Clone, Debug)]
enum Form {
    Small(Small),
    Large(Box<Large>),
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Updated {
    /// The score before; `None` if the member was not there.
    pub old: Option<Score>,
    /// The score now; `None` if the member is not there.
    pub new: Option<Score>,
}

impl Default for SortedSet {
    fn default() -> Self {
        SortedSet::new()
    }
}

impl SortedSet {
    /// An empty set in compact form. Allocates nothing.
    pub fn new() -> Self {
        SortedSet(Form::Small(Small::default()))
    }

    /// An empty set for so many members, the longest of so many bytes: in the form that they will need.
    pub fn for_members(count: usize, longest: usize, limits: Limits) -> Self {
        let mut set = SortedSet::new();
        if count > limits.entries || longest > limits.value {
            set.0 = Form::Large(Box::new(Large::new()));
        }
        set
    }

    /// A set of these members, compact if they are not too many; their lengths are not looked at. `None` if one is there
    /// twice. O(n), O(n log n) if it is not compact or they are not in order.
    pub fn of_pairs(mut pairs: Vec<(Item<'_>, Score)>, limits: Limits) -> Result<Option<Self>, Full> {
        let mut set = SortedSet::for_members(pairs.len(), 0, limits);
        if !distinct(pairs.iter().map(|(member, _)| *member)) {
            return Ok(None);
        }
        if let Form::Small(small) = &mut set.0 {
            let order = |(a, a_score): &(Item<'_>, Score), (b, b_score): &(Item<'_>, Score)| {
                a_score.cmp(b_score).then_with(|| a.cmp(b))
            };
            if !pairs.is_sorted_by(|a, b| order(a, b).is_le()) {
                pairs.sort_unstable_by(order);
            }
            if pairs.iter().all(|(member, score)| small.push(member, *score).is_ok()) {
                return Ok(Some(set));
            }
            // A packed sequence is full, which only extreme limits allow.
            set.0 = Form::Large(Box::new(Large::new()));
        }
        for (member, score) in pairs {
            set.insert(&member, score, limits)?;
        }
        Ok(Some(set))
    }

    /// A set of members and scores by turns, which are known to be in order. O(1).
    #[inline]
    pub(super) fn of_small(members: Packed) -> Self {
        SortedSet(Form::Small(Small(members)))
    }

    /// The packed members and scores by turns, while the set is in that form. O(1).
    #[inline]
    pub(super) fn as_packed(&self) -> Option<&Packed> {
        match &self.0 {
            Form::Small(small) => Some(&small.0),
            Form::Large(_) => None,
        }
    }

    /// Whether the set is packed. O(1).
    pub fn is_compact(&self) -> bool {
        matches!(self.0, Form::Small(_))
    }

    /// The number of members. O(1).
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Small(small) => small.len(),
            Form::Large(large) => large.len(),
        }
    }

    /// Whether there is no member. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What OBJECT ENCODING tells: `listpack` or `skiplist`. O(1).
    pub fn encoding(&self) -> &'static str {
        match self.0 {
            Form::Small(_) => "listpack",
            Form::Large(_) => "skiplist",
        }
    }

    /// Bytes allocated, as the allocator counts them. O(1).
    pub fn memory(&self) -> usize {
        match &self.0 {
            Form::Small(small) => small.0.memory(),
            Form::Large(large) => box_size::<Large>() + large.memory(),
        }
    }

    /// The score of a member. O(1); while compact, O(n).
    pub fn score(&self, member: &[u8]) -> Option<Score> {
        match &self.0 {
            Form::Small(small) => small.score(member),
            Form::Large(large) => large.score(member),
        }
    }

    /// Sets the score of a member, adding it if need be. O(log n); while compact, O(n).
    pub fn insert(&mut self, member: &[u8], score: Score, limits: Limits) -> Result<Updated, Full> {
        self.update(member, limits, |_| Some(score))
    }

    /// Sets the score of a member to what `decide` makes of its present one (`None` if it is not there), with one
    /// look-up; leaves it if that is `None`. A score that is equal is left, too: `-0` does not replace `0`.
    /// O(log n); while compact, O(n).
    pub fn update(
        &mut self,
        member: &[u8],
        limits: Limits,
        decide: impl FnOnce(Option<Score>) -> Option<Score>,
    ) -> Result<Updated, Full> {
        let small = match &mut self.0 {
            Form::Small(small) => small,
            Form::Large(large) => return update_large(large, member, decide),
        };
        let (at, old) = small.position(member);
        let Some(new) = decide(old) else { return Ok(Updated { old, new: old }) };
        if old == Some(new) {
            return Ok(Updated { old, new: old });
        }
        let fits = old.is_some() || small.len() < limits.entries && member.len() <= limits.value;
        if fits && small.put(member, new, at).is_ok() {
            return Ok(Updated { old, new: Some(new) });
        }
        // Also where a packed sequence is full, which only extreme limits allow.
        update_large(self.enlarge()?, member, |_| Some(new)).map(|_| Updated { old, new: Some(new) })
    }

    /// Changes to the form for many members, if so many more, the longest of so many bytes, are not to be compact.
    /// O(n) if it changes.
    pub fn prepare(&mut self, more: usize, longest: usize, limits: Limits) -> Result<(), Full> {
        let compact = more <= limits.entries && longest <= limits.value;
        if !compact && matches!(self.0, Form::Small(_)) {
            self.enlarge()?;
        }
        Ok(())
    }

    fn enlarge(&mut self) -> Result<&mut Large, Full> {
        if let Form::Small(small) = &self.0 {
            let mut large = Box::new(Large::new());
            for (member, score) in small.iter(0..small.len()) {
                large.update(&member, |_| Some(score))?;
            }
            self.0 = Form::Large(large);
        }
        match &mut self.0 {
            Form::Large(large) => Ok(large),
            Form::Small(_) => Err(Full),
        }
    }

    /// Removes a member and returns its score. O(log n); while compact, O(n).
    pub fn remove(&mut self, member: &[u8]) -> Option<Score> {
        match &mut self.0 {
            Form::Small(small) => small.remove(member),
            Form::Large(large) => large.remove(member),
        }
    }

    /// Removes the members with these ranks and tells how many there were. O(k log n); while compact, O(n).
    pub fn remove_ranks(&mut self, ranks: Range<usize>) -> usize {
        let ranks = self.clip(ranks);
        match &mut self.0 {
            Form::Small(small) => small.remove_ranks(ranks.clone()),
            Form::Large(large) => large.remove_ranks(ranks.clone()),
        }
        ranks.len()
    }

    /// The rank of a member, counted from the least score and from 0, and its score. O(log n); while compact, O(n).
    pub fn rank(&self, member: &[u8]) -> Option<(usize, Score)> {
        match &self.0 {
            Form::Small(small) => small.rank(member),
            Form::Large(large) => large.rank(member),
        }
    }

    /// The ranks of the scores in a range. Their number is ZCOUNT's; clipped and handed to [`Self::iter`], they are
    /// ZRANGEBYSCORE's with LIMIT. O(log n); while compact, O(n).
    pub fn ranks_of_scores(&self, range: &ScoreRange) -> Range<usize> {
        match &self.0 {
            Form::Small(small) => {
                small.ranks(|_, score| range.starts_after(score), |_, score| range.ends_before(score))
            }
            Form::Large(large) => large.ranks_of_scores(range),
        }
    }

    /// The ranks of the members in a range, where all scores are equal; where not, some ranks, as in Redis. O(log n);
    /// while compact, O(n).
    pub fn ranks_of_members(&self, range: &LexRange<'_>) -> Range<usize> {
        match &self.0 {
            Form::Small(small) => {
                small.ranks(|member, _| range.starts_after(member), |member, _| range.ends_before(member))
            }
            Form::Large(large) => large.ranks_of_members(range),
        }
    }

    /// The member with a rank, and its score: the first with 0, the last with `len() - 1`, any at random. O(log n);
    /// while compact, O(n).
    pub fn get(&self, rank: usize) -> Option<(Item<'_>, Score)> {
        self.iter(rank..rank.saturating_add(1)).next()
    }

    /// The members with these ranks (those there are), with their scores, in order or in reverse. O(log n) to start,
    /// then O(1) a step; while compact, O(n) to start.
    pub fn iter(&self, ranks: Range<usize>) -> Iter<'_> {
        let ranks = self.clip(ranks);
        let left = ranks.len();
        let pairs = match &self.0 {
            Form::Small(small) => Pairs::Small(small.iter(ranks)),
            Form::Large(large) => Pairs::Large(large.iter(ranks)),
        };
        Iter { pairs, left }
    }

    fn clip(&self, ranks: Range<usize>) -> Range<usize> {
        let end = ranks.end.min(self.len());
        ranks.start.min(end)..end
    }

    /// Visits some members and returns the next cursor; starts and ends with 0. A member that is there from the first
    /// call to the last is visited at least once. While compact, all at once; else O(1).
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Item<'_>, Score)) -> u64 {
        match &self.0 {
            Form::Small(small) => {
                small.iter(0..small.len()).for_each(|(member, score)| visit(member, score));
                0
            }
            Form::Large(large) => large.scan(cursor, |member, score| visit(Item::text(member), score)),
        }
    }
}

fn update_large(
    large: &mut Large,
    member: &[u8],
    decide: impl FnOnce(Option<Score>) -> Option<Score>,
) -> Result<Updated, Full> {
    let mut updated = Updated { old: None, new: None };
    large.update(member, |old| {
        let new = decide(old).filter(|new| Some(*new) != old);
        updated = Updated { old, new: new.or(old) };
        new
    })?;
    Ok(updated)
}

/// Members and scores of successive ranks.
#[derive(Clone)]
pub struct Iter<'a> {
    pairs: Pairs<'a>,
    left: usize,
}

#[derive(Clone)]
enum Pairs<'a> {
    Small(small::Iter<'a>),
    Large(large::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, Score);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.pairs {
            Pairs::Small(pairs) => pairs.next(),
            Pairs::Large(pairs) => pairs.next().map(|(member, score)| (Item::text(member), score)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.pairs {
            Pairs::Small(pairs) => pairs.next_back(),
            Pairs::Large(pairs) => pairs.next_back().map(|(member, score)| (Item::text(member), score)),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl std::fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.clone().map(|(member, score)| (member, score.value()))).finish()
    }
}

#[cfg(test)]
mod tests;
