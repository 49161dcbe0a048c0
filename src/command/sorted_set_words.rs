//! What the commands of sorted sets share: the words in which scores and ranges are given, and the replies of pairs.

use std::borrow::Cow;
use std::ops::Range;

use super::collection::replace;
use super::{Access, Context, Error, KeySpec};
use crate::protocol::{Reply, number};
use crate::store::Event;
use crate::value::scores::{LexBound, LexRange, Score, ScoreRange};
use crate::value::sorted_set::SortedSet;
use crate::value::{Item, Limits};

/// A range of scores whose ends are no numbers.
const SCORE_RANGE: Error = Error::Reply(Cow::Borrowed("ERR min or max is not a float"));
/// A range of members whose ends lack their first sign.
const LEX_RANGE: Error = Error::Reply(Cow::Borrowed("ERR min or max not valid string range item"));

/// One sorted set of which elements are read.
pub(super) const READ_ONE: &[KeySpec] = &[KeySpec::at(1, Access::RO.and(Access::ACCESS))];
/// One sorted set from which elements are removed.
pub(super) const DELETE_ONE: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::DELETE))];

/// Up to which size sorted sets are kept compact.
#[inline]
pub(super) fn limits(cx: &Context<'_>) -> Limits {
    let settings = cx.settings();
    let size = |setting: u64| usize::try_from(setting).unwrap_or(usize::MAX);
    Limits { entries: size(settings.zset_max_listpack_entries), value: size(settings.zset_max_listpack_value) }
}

/// A score: any double but NaN.
#[inline]
pub(super) fn parse_score(text: &[u8]) -> Result<Score, Error> {
    number::parse_f64(text).and_then(Score::new).ok_or(Error::NOT_FLOAT)
}

/// The range of scores from `min` to `max`, each left out if a `(` precedes it.
pub(super) fn parse_score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, Error> {
    let (min, min_excluded) = parse_score_bound(min)?;
    let (max, max_excluded) = parse_score_bound(max)?;
    Ok(ScoreRange { min, min_excluded, max, max_excluded })
}

fn parse_score_bound(text: &[u8]) -> Result<(Score, bool), Error> {
    let (text, excluded) = text.strip_prefix(b"(").map_or((text, false), |rest| (rest, true));
    let score = lenient_f64(text).and_then(Score::new).ok_or(SCORE_RANGE)?;
    Ok((score, excluded))
}

/// Redis reads the ends of ranges by `strtod` alone and so takes more than it does of scores: nothing at all is 0, space
/// may precede the number, what is beyond the doubles is infinite or 0, and the text ends at its first NUL.
fn lenient_f64(text: &[u8]) -> Option<f64> {
    if let Some(value) = number::parse_f64(text) {
        return Some(value);
    }
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let text = &text[..end];
    if text.is_empty() {
        return Some(0.0);
    }
    let space = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let text = &text[space..];
    number::parse_f64(text).or_else(|| std::str::from_utf8(text).ok()?.parse().ok())
}

/// The range of members from `min` to `max`: `-`, `+`, `[text` or `(text`.
pub(super) fn parse_lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, Error> {
    Ok(LexRange { min: parse_lex_bound(min)?, max: parse_lex_bound(max)? })
}

fn parse_lex_bound(text: &[u8]) -> Result<LexBound<'_>, Error> {
    match text {
        [b'-'] | [b'-', 0, ..] => Ok(LexBound::Least),
        [b'+'] | [b'+', 0, ..] => Ok(LexBound::Greatest),
        [b'[', text @ ..] => Ok(LexBound::Included(text)),
        [b'(', text @ ..] => Ok(LexBound::Excluded(text)),
        _ => Err(LEX_RANGE),
    }
}

/// The ranks from `start` to `stop`, both included and counted from the end where negative, of `len` members.
pub(super) fn ranks_between(start: i64, stop: i64, len: usize) -> Range<usize> {
    let count = i64::try_from(len).unwrap_or(i64::MAX);
    let from_front = |index: i64| if index < 0 { index.saturating_add(count) } else { index };
    let end = from_front(stop).saturating_add(1).clamp(0, count);
    let start = from_front(start).clamp(0, end);
    start as usize..end as usize
}

/// Replies an array of members, or of members with their scores: in RESP3 each pair is an array of its own, in RESP2 all are
/// in one.
pub(super) fn reply_members<'s>(
    reply: &mut Reply<'_>,
    pairs: impl ExactSizeIterator<Item = (Item<'s>, Score)>,
    scores: bool,
) {
    if scores {
        let nested = reply.is_resp3();
        return reply_pairs(reply, pairs, nested);
    }
    reply.array(pairs.len());
    pairs.for_each(|(member, _)| reply.bulk(&member));
}

/// Replies an array of members with their scores: of pairs if `nested`, else of both in turn.
pub(super) fn reply_pairs<'s>(
    reply: &mut Reply<'_>,
    pairs: impl ExactSizeIterator<Item = (Item<'s>, Score)>,
    nested: bool,
) {
    reply.array(if nested { pairs.len() } else { pairs.len() * 2 });
    put_pairs(reply, pairs, nested);
}

/// The elements of such an array, whose header is the caller's.
#[inline]
pub(super) fn put_pairs<'s>(reply: &mut Reply<'_>, pairs: impl Iterator<Item = (Item<'s>, Score)>, nested: bool) {
    for (member, score) in pairs {
        if nested {
            reply.array(2);
        }
        reply.bulk(&member);
        reply.double(score.value());
    }
}

/// Sets a key to a sorted set, whatever it was, and replies how many members that has. An empty one removes the key.
pub(super) fn store_result(cx: &mut Context<'_>, key: &[u8], set: SortedSet, event: &'static str) {
    let (store, len) = (cx.store, set.len());
    store.update(key, |entry| {
        let was_there = entry.record().is_some();
        if replace(entry, set) {
            store.changed(key, Event::sorted_set(event));
        } else if was_there {
            store.changed(key, Event::DEL);
        }
    });
    cx.reply.count(len);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_count_from_either_end() {
        assert_eq!(ranks_between(0, -1, 5), 0..5);
        assert_eq!(ranks_between(-2, 10, 5), 3..5);
        assert_eq!(ranks_between(-100, 1, 5), 0..2);
        assert_eq!(ranks_between(i64::MIN, i64::MAX, 5), 0..5);
        for (start, stop) in [(3, 2), (5, 9), (0, -6), (i64::MAX, i64::MIN), (-1, -2), (i64::MAX, i64::MAX)] {
            assert!(ranks_between(start, stop, 5).is_empty(), "{start} {stop}");
        }
        assert!(ranks_between(0, -1, 0).is_empty());
    }

    #[test]
    fn bounds_are_read_as_c_reads_numbers() {
        let bound = |text: &[u8]| parse_score_bound(text).map(|(score, excluded)| (score.value(), excluded));
        for (text, value, excluded) in [
            (&b"1.5"[..], 1.5, false),
            (b"(1e3", 1000.0, true),
            (b"(-inf", f64::NEG_INFINITY, true),
            (b"+INF", f64::INFINITY, false),
            (b"infinity", f64::INFINITY, false),
            (b"", 0.0, false),
            (b"(", 0.0, true),
            (b" \t7", 7.0, false),
            (b"5\0x", 5.0, false),
            (b"1e999", f64::INFINITY, false),
            (b"1e-999", 0.0, false),
            (b"0x10", 16.0, false),
        ] {
            assert_eq!(bound(text), Ok((value, excluded)), "{}", text.escape_ascii());
        }
        for text in [&b"x"[..], b"nan", b" ", b"1 ", b"((1", b"1e", b"--1", b"\xff"] {
            assert_eq!(bound(text), Err(SCORE_RANGE), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn bounds_of_members_have_a_sign() {
        assert_eq!(parse_lex_bound(b"-"), Ok(LexBound::Least));
        assert_eq!(parse_lex_bound(b"+"), Ok(LexBound::Greatest));
        assert_eq!(parse_lex_bound(b"["), Ok(LexBound::Included(b"")));
        assert_eq!(parse_lex_bound(b"(a"), Ok(LexBound::Excluded(b"a")));
        for text in [&b""[..], b"a", b"-a", b"++"] {
            assert_eq!(parse_lex_bound(text), Err(LEX_RANGE));
        }
    }
}
