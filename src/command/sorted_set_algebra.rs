//! Union, intersection and difference of sorted sets and plain sets, one key at a time.
//!
//! The dispatcher has entered the keys' shards alone. Still no two keys are open at once, because they may share a bucket: a
//! set's members are copied out, and the next set is asked for them.

use super::Error;
use super::collection::collection_of;
use crate::store::{Kind, Lent, Record, Store};
use crate::value::scores::Score;
use crate::value::set::Set;
use crate::value::sorted_set::SortedSet;
use crate::value::{Full, Limits};

/// One input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    /// The key.
    pub(super) key: &'a [u8],
    /// By which its scores are multiplied.
    pub(super) weight: f64,
    /// Its members when it was looked up.
    pub(super) len: usize,
}

/// How the scores of a member become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Aggregate {
    /// Their sum.
    #[default]
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Aggregate {
    /// `SUM`, `MIN` or `MAX`.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        let all = [(Aggregate::Sum, "sum"), (Aggregate::Min, "min"), (Aggregate::Max, "max")];
        all.into_iter().find_map(|(aggregate, name)| word.eq_ignore_ascii_case(name.as_bytes()).then_some(aggregate))
    }

    /// The score so far with another one. The sum of opposite infinities is 0; NaN, an infinite score without weight, is
    /// neither less nor greater.
    fn join(self, so_far: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum => or_zero(so_far + other),
            Aggregate::Min if other < so_far => other,
            Aggregate::Max if other > so_far => other,
            Aggregate::Min | Aggregate::Max => so_far,
        }
    }
}

fn or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// A set of either kind; the members of a plain one have the score 1.
pub(super) enum Source<'a> {
    Sorted(Lent<'a, SortedSet>),
    Plain(Lent<'a, Set>),
}

impl<'a> Source<'a> {
    /// The set in a record, or nothing where there is no key.
    pub(super) fn of(record: Option<Record<'a>>) -> Result<Option<Self>, Error> {
        match record.map(Record::kind) {
            Some(Kind::Set) => Ok(collection_of(record)?.map(Source::Plain)),
            _ => Ok(collection_of(record)?.map(Source::Sorted)),
        }
    }

    /// The number of members.
    pub(super) fn len(&self) -> usize {
        match self {
            Source::Sorted(set) => set.len(),
            Source::Plain(set) => set.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Sorted(set) => set.score(member).map(Score::value),
            Source::Plain(set) => set.contains(member).then_some(1.0),
        }
    }

    fn each(&self, mut visit: impl FnMut(&[u8], f64) -> Result<(), Full>) -> Result<(), Full> {
        match self {
            Source::Sorted(set) => set.iter(0..set.len()).try_for_each(|(member, score)| visit(&member, score.value())),
            Source::Plain(set) => set.iter().try_for_each(|member| visit(&member, 1.0)),
        }
    }
}

/// Opens an input, if it is there.
fn open<R>(
    store: Store<'_>,
    input: &Input<'_>,
    absent: R,
    read: impl FnOnce(&Source<'_>) -> Result<R, Full>,
) -> Result<R, Error> {
    store.peek(input.key, |record| match Source::of(record)? {
        Some(source) => Ok(read(&source)?),
        None => Ok(absent),
    })
}

/// Members copied out of a set, one behind the other, with their scores.
#[derive(Default)]
struct Candidates {
    bytes: Vec<u8>,
    found: Vec<Candidate>,
}

struct Candidate {
    start: usize,
    len: usize,
    score: f64,
}

impl Candidates {
    /// The members of an input, with their weighted scores.
    fn of(store: Store<'_>, input: &Input<'_>) -> Result<Self, Error> {
        let mut all = Candidates::default();
        open(store, input, (), |source| {
            all.found.reserve(source.len());
            source.each(|member, score| {
                all.push(member, or_zero(input.weight * score));
                Ok(())
            })
        })?;
        Ok(all)
    }

    fn push(&mut self, member: &[u8], score: f64) {
        self.found.push(Candidate { start: self.bytes.len(), len: member.len(), score });
        self.bytes.extend_from_slice(member);
    }

    /// Keeps those for which `keep` returns true; it may change their scores.
    fn retain(&mut self, mut keep: impl FnMut(&[u8], &mut f64) -> bool) {
        let bytes = &self.bytes;
        self.found.retain_mut(|one| keep(&bytes[one.start..one.start + one.len], &mut one.score));
    }

    /// The members as a sorted set.
    fn into_set(self, limits: Limits) -> Result<SortedSet, Full> {
        let longest = self.found.iter().map(|one| one.len).max().unwrap_or(0);
        let mut set = SortedSet::for_members(self.found.len(), longest, limits);
        for one in &self.found {
            let member = &self.bytes[one.start..one.start + one.len];
            set.insert(member, Score::new(one.score).unwrap_or_default(), limits)?;
        }
        Ok(set)
    }
}

/// The members that are in any input. Inputs with fewer members are to come first, because that is the order in which Redis
/// adds scores, and the sum of doubles depends on it. O(N log N) for N members in all.
pub(super) fn union(
    store: Store<'_>,
    inputs: &[Input<'_>],
    aggregate: Aggregate,
    limits: Limits,
) -> Result<SortedSet, Error> {
    let mut all = SortedSet::new();
    for input in inputs {
        open(store, input, (), |source| {
            source.each(|member, score| {
                let score = or_zero(input.weight * score);
                let join = |old: Option<Score>| {
                    Score::new(old.map_or(score, |old| aggregate.join(old.value(), score))).or(Some(Score::default()))
                };
                all.update(member, limits, join).map(drop)
            })
        })?;
    }
    Ok(all)
}

/// The members that are in every input, which are to be sorted as for [`union`]. O(N K) for K inputs, the first of N members.
pub(super) fn intersection(
    store: Store<'_>,
    inputs: &[Input<'_>],
    aggregate: Aggregate,
    limits: Limits,
) -> Result<SortedSet, Error> {
    Ok(common(store, inputs, aggregate)?.into_set(limits)?)
}

fn common(store: Store<'_>, inputs: &[Input<'_>], aggregate: Aggregate) -> Result<Candidates, Error> {
    let Some((first, others)) = inputs.split_first() else { return Ok(Candidates::default()) };
    let mut common = Candidates::of(store, first)?;
    for input in others {
        if common.found.is_empty() {
            break;
        }
        let is_there = open(store, input, false, |source| {
            common.retain(|member, so_far| {
                let score = source.score(member);
                if let Some(score) = score {
                    *so_far = aggregate.join(*so_far, score * input.weight);
                }
                score.is_some()
            });
            Ok(true)
        })?;
        if !is_there {
            return Ok(Candidates::default());
        }
    }
    Ok(common)
}

/// The number of members that are in every input, sorted as for [`union`]; no more than `most` are counted. O(N K) for K
/// inputs, the first of N members.
pub(super) fn count_common(store: Store<'_>, inputs: &[Input<'_>], most: usize) -> Result<usize, Error> {
    let Some((last, others)) = inputs.split_last() else { return Ok(0) };
    if others.is_empty() {
        return Ok(last.len.min(most));
    }
    let common = common(store, others, Aggregate::Sum)?;
    open(store, last, 0, |source| {
        let members = common.found.iter().map(|one| &common.bytes[one.start..one.start + one.len]);
        Ok(members.filter(|member| source.score(member).is_some()).take(most).count())
    })
}

/// The members of the first input that are in none of the others. Asks the large ones for each member, and removes the
/// members of the small ones from what is left. O(N K) for K inputs, the first of N members, or less.
pub(super) fn difference(store: Store<'_>, inputs: &[Input<'_>], limits: Limits) -> Result<SortedSet, Error> {
    let Some((first, others)) = inputs.split_first() else { return Ok(SortedSet::new()) };
    let mut rest = Candidates::of(store, first)?;
    let (small, large): (Vec<&Input<'_>>, _) = others.iter().partition(|input| input.len < first.len / 4);
    for input in large {
        open(store, input, (), |source| {
            rest.retain(|member, _| source.score(member).is_none());
            Ok(())
        })?;
    }
    if small.is_empty() {
        return Ok(rest.into_set(limits)?);
    }
    let mut set = rest.into_set(limits)?;
    for input in small {
        open(store, input, (), |source| {
            source.each(|member, _| {
                set.remove(member);
                Ok(())
            })
        })?;
    }
    // What became small enough is to be compact, as if it had never been larger.
    let mut rest = Candidates::default();
    set.iter(0..set.len()).for_each(|(member, score)| rest.push(&member, score.value()));
    Ok(rest.into_set(limits)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_are_no_numbers_count_as_zero() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(Aggregate::Sum.join(inf, -inf), 0.0);
        assert_eq!(Aggregate::Sum.join(1.0, nan), 0.0);
        assert_eq!(Aggregate::Min.join(1.0, nan), 1.0);
        assert_eq!(Aggregate::Max.join(1.0, nan), 1.0);
        assert_eq!(Aggregate::Min.join(1.0, -inf), -inf);
        assert_eq!(Aggregate::Max.join(1.0, inf), inf);
    }
}
