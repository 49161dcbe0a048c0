//! Scores of sorted sets, and ranges of scores and of members.

use std::cmp::Ordering;

/// A score: any double but NaN. Ordered as numbers; -0 and 0 are equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score(f64);

impl Score {
    /// `None` for NaN.
    #[inline]
    pub fn new(value: f64) -> Option<Self> {
        (!value.is_nan()).then_some(Score(value))
    }

    /// The number.
    #[inline]
    pub fn value(self) -> f64 {
        self.0
    }

    /// The sum, as ZINCRBY needs it; `None` if it is NaN (the sum of opposite infinities).
    pub fn plus(self, other: Score) -> Option<Self> {
        Score::new(self.0 + other.0)
    }
}

impl PartialEq for Score {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // Neither is NaN, so they compare.
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal)
    }
}

/// A range of scores, as ZRANGEBYSCORE takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreRange {
    /// The least score.
    pub min: Score,
    /// Whether `min` itself is outside.
    pub min_excluded: bool,
    /// The greatest score.
    pub max: Score,
    /// Whether `max` itself is outside.
    pub max_excluded: bool,
}

impl ScoreRange {
    /// All scores.
    pub const ALL: ScoreRange = ScoreRange {
        min: Score(f64::NEG_INFINITY),
        min_excluded: false,
        max: Score(f64::INFINITY),
        max_excluded: false,
    };

    /// Whether the range starts after a score. O(1).
    #[inline]
    pub fn starts_after(&self, score: Score) -> bool {
        if self.min_excluded { score <= self.min } else { score < self.min }
    }

    /// Whether the range ends before a score. O(1).
    #[inline]
    pub fn ends_before(&self, score: Score) -> bool {
        if self.max_excluded { score >= self.max } else { score > self.max }
    }

    /// Whether a score lies in the range. O(1).
    pub fn contains(&self, score: Score) -> bool {
        !self.starts_after(score) && !self.ends_before(score)
    }
}

/// One end of a range of members, as ZRANGEBYLEX takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before all members.
    Least,
    /// `[text`: the text and what follows it (as a minimum) or precedes it (as a maximum).
    Included(&'a [u8]),
    /// `(text`: likewise without the text.
    Excluded(&'a [u8]),
    /// `+`: behind all members.
    Greatest,
}

/// A range of members, compared byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// Where it starts.
    pub min: LexBound<'a>,
    /// Where it ends.
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    /// All members.
    pub const ALL: LexRange<'static> = LexRange { min: LexBound::Least, max: LexBound::Greatest };

    /// Whether the range starts after a member. O(length).
    #[inline]
    pub fn starts_after(&self, member: &[u8]) -> bool {
        match self.min {
            LexBound::Least => false,
            LexBound::Included(text) => member < text,
            LexBound::Excluded(text) => member <= text,
            LexBound::Greatest => true,
        }
    }

    /// Whether the range ends before a member. O(length).
    #[inline]
    pub fn ends_before(&self, member: &[u8]) -> bool {
        match self.max {
            LexBound::Least => true,
            LexBound::Included(text) => member > text,
            LexBound::Excluded(text) => member >= text,
            LexBound::Greatest => false,
        }
    }

    /// Whether a member lies in the range. O(length).
    pub fn contains(&self, member: &[u8]) -> bool {
        !self.starts_after(member) && !self.ends_before(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(value: f64) -> Score {
        Score::new(value).unwrap()
    }

    #[test]
    fn scores_are_ordered() {
        assert_eq!(Score::new(f64::NAN), None);
        assert_eq!(score(-0.0), score(0.0));
        assert!(score(f64::NEG_INFINITY) < score(-1.0) && score(1.0) < score(f64::INFINITY));
        assert_eq!(score(f64::INFINITY).plus(score(f64::NEG_INFINITY)), None);
        assert_eq!(score(1.5).plus(score(2.0)).map(Score::value), Some(3.5));
    }

    #[test]
    fn ranges_keep_or_leave_their_ends() {
        let closed = ScoreRange { min: score(1.0), min_excluded: false, max: score(2.0), max_excluded: false };
        let open = ScoreRange { min_excluded: true, max_excluded: true, ..closed };
        assert!(closed.contains(score(1.0)) && closed.contains(score(2.0)) && !closed.contains(score(2.1)));
        assert!(!open.contains(score(1.0)) && !open.contains(score(2.0)) && open.contains(score(1.5)));
        assert!(ScoreRange::ALL.contains(score(f64::INFINITY)) && ScoreRange::ALL.contains(score(f64::NEG_INFINITY)));
        let lex = LexRange { min: LexBound::Included(b"b"), max: LexBound::Excluded(b"d") };
        assert!(lex.contains(b"b") && lex.contains(b"czz") && !lex.contains(b"d") && !lex.contains(b"a"));
        let none = LexRange { min: LexBound::Greatest, max: LexBound::Least };
        assert!(!none.contains(b"") && LexRange::ALL.contains(b"") && LexRange::ALL.contains(b"\xff"));
        let lex = LexRange { min: LexBound::Excluded(b"b"), max: LexBound::Included(b"d") };
        assert!(!lex.contains(b"b") && lex.contains(b"b\0") && lex.contains(b"d") && !lex.contains(b"d\0"));
    }
}
