//! A sorted set of few members: a packed sequence of members, each followed by its score, in order.

use std::cmp::Ordering;
use std::ops::Range;

use crate::value::packed::{self, Entry, Packed, Position};
use crate::value::scores::Score;
use crate::value::{Full, Item};

#[derive(Clone, Debug, Default)]
pub(super) struct Small(pub(super) Packed);

/// A number is kept as one where that loses nothing but the sign of zero, else as the eight bytes of the double. Redis's
/// small sorted sets know no `-0` either, and its large ones do.
fn encode(score: Score, bytes: &mut [u8; 8]) -> Entry<'_> {
    let (value, integer) = (score.value(), score.value() as i64);
    if integer.unsigned_abs() <= 1 << 53 && integer as f64 == value {
        return Entry::Integer(integer);
    }
    *bytes = value.to_le_bytes();
    Entry::Text(bytes)
}

fn decode(entry: Entry<'_>) -> Score {
    let value = match entry {
        Entry::Integer(value) => value as f64,
        Entry::Text(bytes) => f64::from_le_bytes(bytes.try_into().unwrap_or_default()),
    };
    Score::new(value).unwrap_or_default()
}

impl Small {
    pub(super) fn len(&self) -> usize {
        self.0.len() / 2
    }

    fn find(&self, text: &[u8]) -> Option<(Position, Score)> {
        let at = self.0.find(text, self.0.first()?, 2)?;
        Some((at, self.score_after(at)?))
    }

    fn score_after(&self, at: Position) -> Option<Score> {
        self.0.entry(self.0.next(at)?).map(decode)
    }

    pub(super) fn score(&self, text: &[u8]) -> Option<Score> {
        self.find(text).map(|(_, score)| score)
    }

    /// Puts a member in its place, removing it from `old` first.
    pub(super) fn put(&mut self, text: &[u8], score: Score, old: Option<Position>) -> Result<(), Full> {
        if !self.0.has_room(2, text.len() + 8) {
            return Err(Full);
        }
        if let Some(old) = old {
            self.0.remove(old, 2);
        }
        let at = self.place(text, score);
        let mut bytes = [0; 8];
        self.0.insert(at, encode(score, &mut bytes))?;
        self.0.insert(at, Entry::of(text))
    }

    /// Appends a member that is not there and belongs behind all others.
    pub(super) fn push(&mut self, text: &[u8], score: Score) -> Result<(), Full> {
        if !self.0.has_room(2, text.len() + 8) {
            return Err(Full);
        }
        let mut bytes = [0; 8];
        self.0.push(text)?;
        self.0.insert(self.0.end(), encode(score, &mut bytes))
    }

    /// Where a member that is not there belongs.
    fn place(&self, text: &[u8], score: Score) -> Position {
        let mut entries = self.0.iter();
        loop {
            let at = entries.position();
            let (Some(member), Some(other)) = (entries.next_entry(), entries.next_entry()) else { return at };
            if decode(other).cmp(&score).then_with(|| (*member.item()).cmp(text)) == Ordering::Greater {
                return at;
            }
        }
    }

    /// The place and score of a member, for [`Self::put`].
    pub(super) fn position(&self, text: &[u8]) -> (Option<Position>, Option<Score>) {
        self.find(text).map_or((None, None), |(at, score)| (Some(at), Some(score)))
    }

    pub(super) fn remove(&mut self, text: &[u8]) -> Option<Score> {
        let (at, score) = self.find(text)?;
        self.0.remove(at, 2);
        Some(score)
    }

    pub(super) fn remove_ranks(&mut self, ranks: Range<usize>) {
        if let Some(at) = self.0.position(ranks.start * 2) {
            self.0.remove(at, ranks.len() * 2);
        }
    }

    pub(super) fn rank(&self, text: &[u8]) -> Option<(usize, Score)> {
        self.iter(0..self.len())
            .enumerate()
            .find(|(_, (member, _))| **member == *text)
            .map(|(rank, pair)| (rank, pair.1))
    }

    pub(super) fn ranks(
        &self,
        starts_after: impl Fn(&[u8], Score) -> bool,
        ends_before: impl Fn(&[u8], Score) -> bool,
    ) -> Range<usize> {
        let mut pairs = self.iter(0..self.len());
        let start = pairs.by_ref().position(|(member, score)| !starts_after(&member, score)).unwrap_or(self.len());
        let rest = self.iter(start..self.len());
        let len = rest.take_while(|(member, score)| !ends_before(member, *score)).count();
        start..start + len
    }

    /// The pairs with these ranks, which must not exceed the length.
    pub(super) fn iter(&self, ranks: Range<usize>) -> Iter<'_> {
        let (start, count) = (ranks.start, ranks.len());
        // An iterator of packed entries that goes both ways has to reach the end; what lies behind is skipped.
        let mut entries = match self.0.position(start * 2) {
            Some(at) => self.0.iter_from(at, self.0.len() - start * 2),
            None => self.0.iter_from(self.0.end(), 0),
        };
        let behind = (self.len() - start).saturating_sub(count);
        (0..behind * 2).for_each(|_| _ = entries.next_entry_back());
        Iter { entries }
    }
}

#[derive(Clone)]
pub(super) struct Iter<'a> {
    entries: packed::Iter<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, Score);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.entries.next()?, decode(self.entries.next_entry()?)))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let score = decode(self.entries.next_entry_back()?);
        Some((self.entries.next_back()?, score))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_kept_exactly() {
        let values = [0.0, 1.0, -1.0, 0.5, 1e300, f64::INFINITY, f64::NEG_INFINITY, 9007199254740993.0, 5e-324];
        let mut zero = Small::default();
        zero.put(b"member", Score::new(-0.0).unwrap(), None).unwrap();
        assert_eq!(zero.score(b"member").map(|score| score.value().to_bits()), Some(0));
        for value in values.into_iter().chain([i64::MAX as f64, i64::MIN as f64, 9007199254740992.0, -1e18]) {
            let mut small = Small::default();
            small.put(b"member", Score::new(value).unwrap(), None).unwrap();
            assert_eq!(small.score(b"member").map(|score| score.value().to_bits()), Some(value.to_bits()));
        }
    }

    #[test]
    fn a_score_is_not_taken_for_a_member() {
        let mut small = Small::default();
        small.put(b"5", Score::new(7.0).unwrap(), None).unwrap();
        let raw = f64::from_le_bytes(*b"12345678");
        small.put(b"a", Score::new(raw).unwrap(), None).unwrap();
        assert_eq!((small.score(b"7"), small.score(b"12345678")), (None, None));
        assert_eq!(small.score(b"a").map(Score::value), Some(raw));
    }
}
