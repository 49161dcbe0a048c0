//! Sorted sets: ranges of members by rank, by score, or by their texts, in either direction.

use std::borrow::Cow;
use std::ops::Range;

use super::sorted_set::read_set;
use super::sorted_set_words::{
    READ_ONE, limits, parse_lex_range, parse_score_range, ranks_between, reply_members, store_result,
};
use super::string::GROWING;
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::value::scores::{LexRange, ScoreRange};
use crate::value::sorted_set::SortedSet;
use crate::value::{Full, Limits};

const LIMIT_BY_RANK: Error = Error::Reply(Cow::Borrowed(
    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
));
const SCORES_BY_LEX: Error =
    Error::Reply(Cow::Borrowed("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));

const RANGE_COST: &str =
    "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.";
const LIMIT_COST: &str = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements \
                          being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you \
                          can consider it O(log(N)).";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("zrange", -4, zrange)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("1.2.0")
        .complexity(RANGE_COST)
        .doc(
            "Returns the members of a sorted set in a range of ranks, scores or texts.",
            "key start:string stop:string [BYSCORE|BYLEX] [REV] [LIMIT <offset count>] [WITHSCORES]",
        ),
    Command::new("zrevrange", -4, zrevrange)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("1.2.0")
        .complexity(RANGE_COST)
        .replaced_by("`ZRANGE` with the `REV` argument", "6.2.0")
        .doc("Returns the members of a sorted set in a range of ranks from the end.", "key start stop:integer [WITHSCORES]"),
    Command::new("zrangebyscore", -4, zrangebyscore)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("1.0.5")
        .complexity(LIMIT_COST)
        .replaced_by("`ZRANGE` with the `BYSCORE` argument", "6.2.0")
        .doc(
            "Returns the members of a sorted set in a range of scores.",
            "key min:double max:double [WITHSCORES] [LIMIT <offset count>]",
        ),
    Command::new("zrevrangebyscore", -4, zrevrangebyscore)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("2.2.0")
        .complexity(LIMIT_COST)
        .replaced_by("`ZRANGE` with the `REV` and `BYSCORE` arguments", "6.2.0")
        .doc(
            "Returns the members of a sorted set in a range of scores, the greatest first.",
            "key max:double min:double [WITHSCORES] [LIMIT <offset count>]",
        ),
    Command::new("zrangebylex", -4, zrangebylex)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("2.8.9")
        .complexity(LIMIT_COST)
        .replaced_by("`ZRANGE` with the `BYLEX` argument", "6.2.0")
        .doc("Returns the members of a sorted set in a range of texts.", "key min max [LIMIT <offset count>]"),
    Command::new("zrevrangebylex", -4, zrevrangebylex)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("2.8.9")
        .complexity(LIMIT_COST)
        .replaced_by("`ZRANGE` with the `REV` and `BYLEX` arguments", "6.2.0")
        .doc(
            "Returns the members of a sorted set in a range of texts, the greatest first.",
            "key max min [LIMIT <offset count>]",
        ),
    Command::new("zrangestore", -5, zrangestore)
        .flags(GROWING)
        .keys(&[
            KeySpec::at(1, Access::OW.and(Access::UPDATE)),
            KeySpec::at(2, Access::RO.and(Access::ACCESS)),
        ])
        .group(Group::SortedSet)
        .since("6.2.0")
        .complexity(
            "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into \
             the destination key.",
        )
        .doc(
            "Sets a key to the members of a sorted set in a range of ranks, scores or texts.",
            "dst:key src:key min:string max:string [BYSCORE|BYLEX] [REV] [LIMIT <offset count>]",
        ),
];

/// By what a range is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The ends of a range.
#[derive(Clone, Copy, Debug)]
enum Ends<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

/// What a command fixes, and its options are not to say.
#[derive(Clone, Copy, Debug, Default)]
struct Fixed {
    by: Option<By>,
    reverse: Option<bool>,
    /// Whether the range is stored, without scores to be asked for.
    stored: bool,
}

/// A range of a sorted set.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    ends: Ends<'a>,
    reverse: bool,
    /// Members to leave out first, and how many to return of the rest: all if negative.
    limit: (i64, i64),
    scores: bool,
}

impl<'a> Query<'a> {
    /// Parses both ends of a range and the options behind them.
    fn parse(args: Args<'a>, fixed: Fixed) -> Result<Self, Error> {
        let Fixed { mut by, mut reverse, stored } = fixed;
        let (mut limit, mut scores) = ((0, -1), false);
        let mut at = 2;
        while let Some(word) = args.nth(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let integer = |index| number::parse_i64(args.get(index)).ok_or(Error::NOT_INTEGER);
            if !stored && is("withscores") {
                scores = true;
            } else if args.len() - at > 2 && is("limit") {
                limit = (integer(at + 1)?, integer(at + 2)?);
                at += 2;
            } else if reverse.is_none() && is("rev") {
                reverse = Some(true);
            } else if by.is_none() && is("bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && is("byscore") {
                by = Some(By::Score);
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        // Redis knows a limit of all from none no more than this does.
        if limit.1 != -1 && by == By::Rank {
            return Err(LIMIT_BY_RANK);
        }
        if scores && by == By::Lex {
            return Err(SCORES_BY_LEX);
        }
        Ok(Query { ends: Ends::parse(args.get(0), args.get(1), by, reverse)?, reverse, limit, scores })
    }

    /// The ranks of the range, counted from the least score.
    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let ranks = match &self.ends {
            Ends::Ranks(start, stop) => {
                let len = set.len();
                let ranks = ranks_between(*start, *stop, len);
                return if self.reverse { len - ranks.end..len - ranks.start } else { ranks };
            }
            Ends::Scores(range) => set.ranks_of_scores(range),
            Ends::Members(range) => set.ranks_of_members(range),
        };
        let (offset, count) = self.limit;
        // An offset before the start leaves nothing, as in Redis.
        let skip = usize::try_from(offset).unwrap_or(usize::MAX).min(ranks.len());
        let keep = usize::try_from(count).unwrap_or(usize::MAX).min(ranks.len() - skip);
        if self.reverse {
            ranks.end - skip - keep..ranks.end - skip
        } else {
            ranks.start + skip..ranks.start + skip + keep
        }
    }
}

impl<'a> Ends<'a> {
    fn parse(first: &'a [u8], second: &'a [u8], by: By, reverse: bool) -> Result<Self, Error> {
        let (min, max) = if reverse { (second, first) } else { (first, second) };
        match by {
            By::Rank => {
                let rank = |text| number::parse_i64(text).ok_or(Error::NOT_INTEGER);
                Ok(Ends::Ranks(rank(first)?, rank(second)?))
            }
            By::Score => parse_score_range(min, max).map(Ends::Scores),
            By::Lex => parse_lex_range(min, max).map(Ends::Members),
        }
    }
}

fn zrange(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    reply_range(cx, args, Fixed::default())
}

fn zrevrange(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    reply_fixed(cx, args, By::Rank, true)
}

fn zrangebyscore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    reply_fixed(cx, args, By::Score, false)
}

fn zrevrangebyscore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    reply_fixed(cx, args, By::Score, true)
}

fn zrangebylex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    reply_fixed(cx, args, By::Lex, false)
}

fn zrevrangebylex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    reply_fixed(cx, args, By::Lex, true)
}

fn reply_fixed(cx: &mut Context<'_>, args: Args<'_>, by: By, reverse: bool) -> Result<(), Error> {
    reply_range(cx, args, Fixed { by: Some(by), reverse: Some(reverse), stored: false })
}

fn reply_range(cx: &mut Context<'_>, args: Args<'_>, fixed: Fixed) -> Result<(), Error> {
    let query = Query::parse(args.skip(2), fixed)?;
    read_set(cx, args.get(1), |cx, set| {
        let Some(set) = set else {
            cx.reply.array(0);
            return Ok(());
        };
        let pairs = set.iter(query.ranks(set));
        if query.reverse {
            reply_members(&mut cx.reply, pairs.rev(), query.scores);
        } else {
            reply_members(&mut cx.reply, pairs, query.scores);
        }
        Ok(())
    })
}

fn zrangestore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let query = Query::parse(args.skip(3), Fixed { stored: true, ..Fixed::default() })?;
    let limits = limits(cx);
    let found = read_set(cx, args.get(2), |_, set| match set {
        Some(set) => Ok(copy_range(set, query.ranks(set), limits)?),
        None => Ok(SortedSet::new()),
    })?;
    store_result(cx, args.get(1), found, "zrangestore");
    Ok(())
}

/// The members with some ranks as a sorted set of their own.
fn copy_range(set: &SortedSet, ranks: Range<usize>, limits: Limits) -> Result<SortedSet, Full> {
    let mut copy = SortedSet::for_members(ranks.len(), 0, limits);
    for (member, score) in set.iter(ranks) {
        copy.insert(&member, score, limits)?;
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;
    use crate::protocol::Version;

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn rig() -> Rig {
        let mut rig = Rig::new();
        rig.check(&[("ZADD z 1 a 2 b 3 c 4 d 5 e", ":5"), ("ZADD l 0 a 0 b 0 c", ":3"), ("SET s x", "+OK")]);
        rig
    }

    #[test]
    fn by_rank() {
        let mut rig = rig();
        rig.check(&[
            ("ZRANGE z 0 1", "*2|$1|a|$1|b"),
            ("ZRANGE z -2 -1 WITHSCORES", "*4|$1|d|$1|4|$1|e|$1|5"),
            ("ZRANGE z 0 1 REV", "*2|$1|e|$1|d"),
            ("ZREVRANGE z 3 9 WITHSCORES", "*4|$1|b|$1|2|$1|a|$1|1"),
            ("ZRANGE z 3 1", "*0"),
            ("ZRANGE none 0 -1", "*0"),
            ("ZRANGE s 0 -1", WRONG),
            ("ZRANGE s 0 x", "-ERR value is not an integer or out of range"),
            ("ZRANGE z 0 -1 LIMIT 0 -1 REV", "*5|$1|e|$1|d|$1|c|$1|b|$1|a"),
            ("ZRANGE z 0 -1 REV REV", "-ERR syntax error"),
            ("ZREVRANGE z 0 -1 REV", "-ERR syntax error"),
            ("ZRANGE z 0 -1 LIMIT 0", "-ERR syntax error"),
            (
                "ZRANGE z 0 -1 LIMIT 0 1",
                "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ),
        ]);
        rig.client.set_version(Version::Resp3);
        rig.check(&[
            ("ZRANGE z 0 1 WITHSCORES", "*2|*2|$1|a|,1|*2|$1|b|,2"),
            ("ZREVRANGE z 0 0 WITHSCORES", "*1|*2|$1|e|,5"),
            ("ZRANGE z 0 0", "*1|$1|a"),
        ]);
    }

    #[test]
    fn by_score() {
        let mut rig = rig();
        rig.check(&[
            ("ZRANGEBYSCORE z (1 3", "*2|$1|b|$1|c"),
            ("ZREVRANGEBYSCORE z 3 (1 WITHSCORES", "*4|$1|c|$1|3|$1|b|$1|2"),
            ("ZRANGE z 4 -inf BYSCORE REV LIMIT 1 2", "*2|$1|c|$1|b"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT 3 -1", "*2|$1|d|$1|e"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT 9 1", "*0"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT -1 2", "*0"),
            ("ZRANGEBYSCORE z -inf +inf LIMIT 1 0", "*0"),
            ("ZREVRANGEBYSCORE z +inf -inf LIMIT 4 9223372036854775807", "*1|$1|a"),
            ("ZRANGEBYSCORE z 3 1", "*0"),
            ("ZRANGEBYSCORE s 1 x", "-ERR min or max is not a float"),
            ("ZRANGEBYSCORE z 1 2 LIMIT a 1", "-ERR value is not an integer or out of range"),
            ("ZRANGEBYSCORE z 1 2 BYLEX", "-ERR syntax error"),
            ("ZRANGE z 1 2 BYSCORE BYLEX", "-ERR syntax error"),
            ("ZRANGEBYSCORE s 1 2", WRONG),
        ]);
    }

    #[test]
    fn by_text() {
        let mut rig = rig();
        let scores = "-ERR syntax error, WITHSCORES not supported in combination with BYLEX";
        rig.check(&[
            ("ZRANGEBYLEX l - (c", "*2|$1|a|$1|b"),
            ("ZREVRANGEBYLEX l + [b", "*2|$1|c|$1|b"),
            ("ZRANGE l + - BYLEX REV LIMIT 1 1", "*1|$1|b"),
            ("ZRANGEBYLEX l + -", "*0"),
            ("ZRANGEBYLEX l a +", "-ERR min or max not valid string range item"),
            ("ZRANGEBYLEX l - + WITHSCORES", scores),
        ]);
    }

    #[test]
    fn ranges_are_stored() {
        let mut rig = rig();
        rig.check(&[
            ("ZRANGESTORE s z 1 2", ":2"),
            ("ZRANGE s 0 -1 WITHSCORES", "*4|$1|b|$1|2|$1|c|$1|3"),
            ("ZRANGESTORE z z 4 2 BYSCORE REV LIMIT 0 2", ":2"),
            ("ZRANGE z 0 -1", "*2|$1|c|$1|d"),
            ("ZRANGESTORE z none 0 -1", ":0"),
            ("EXISTS z", ":0"),
            ("SET s x", "+OK"),
            ("ZRANGESTORE z s 0 -1", WRONG),
            ("ZRANGESTORE z l 0 -1 WITHSCORES", "-ERR syntax error"),
        ]);
    }
}
