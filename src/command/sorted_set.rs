//! Sorted sets: asking for scores, ranks and numbers of members, and going over all of them.

use super::collection::collection_of;
use super::scan_options::{Over, ScanOptions, empty_page, page, parse_cursor};
use super::sorted_set_words::{READ_ONE, parse_lex_range, parse_score_range};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, double};
use crate::value::sorted_set::SortedSet;

const FAST_READ: Flags = Flags::READONLY.and(Flags::FAST);

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("zcard", 2, zcard)
        .flags(FAST_READ)
        .keys(&[KeySpec::at(1, Access::RO)])
        .group(Group::SortedSet)
        .since("1.2.0")
        .doc("Returns the number of members of a sorted set.", "key"),
    Command::new("zcount", 4, zcount)
        .flags(FAST_READ)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("2.0.0")
        .complexity("O(log(N)) with N being the number of elements in the sorted set.")
        .doc("Counts the members of a sorted set whose scores lie in a range.", "key min:double max:double"),
    Command::new("zlexcount", 4, zlexcount)
        .flags(FAST_READ)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("2.8.9")
        .complexity("O(log(N)) with N being the number of elements in the sorted set.")
        .doc("Counts the members of a sorted set that lie in a range of texts.", "key min max"),
    Command::new("zscore", 3, zscore)
        .flags(FAST_READ)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("1.2.0")
        .doc("Returns the score of a member of a sorted set.", "key member"),
    Command::new("zmscore", -3, zmscore)
        .flags(FAST_READ)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("6.2.0")
        .complexity("O(N) where N is the number of members being requested.")
        .doc("Returns the scores of several members of a sorted set.", "key member ..."),
    Command::new("zrank", -3, zrank)
        .flags(FAST_READ)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("2.0.0")
        .complexity("O(log(N))")
        .doc("Returns how many members of a sorted set precede one of them.", "key member [WITHSCORE]"),
    Command::new("zrevrank", -3, zrevrank)
        .flags(FAST_READ)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("2.0.0")
        .complexity("O(log(N))")
        .doc("Returns how many members of a sorted set follow one of them.", "key member [WITHSCORE]"),
    Command::new("zscan", -3, zscan)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::SortedSet)
        .since("2.8.0")
        .complexity("O(1) for every call, O(N) for a whole iteration over N members.")
        .tips(&["nondeterministic_output"])
        .doc(
            "Returns some members of a sorted set with their scores, and the cursor from which to go on.",
            "key cursor [MATCH pattern] [COUNT count] [NOSCORES]",
        ),
];

/// Reads the sorted set at a key.
#[inline]
pub(super) fn read_set<R>(
    cx: &mut Context<'_>,
    key: &[u8],
    read: impl FnOnce(&mut Context<'_>, Option<&SortedSet>) -> Result<R, Error>,
) -> Result<R, Error> {
    let store = cx.store;
    store.read(key, |record| {
        cx.count_lookup(record.is_some());
        read(cx, collection_of(record)?.as_deref())
    })
}

/// Replies how many members there are of a kind.
fn count_members(cx: &mut Context<'_>, key: &[u8], count: impl FnOnce(&SortedSet) -> usize) -> Result<(), Error> {
    read_set(cx, key, |cx, set| {
        cx.reply.count(set.map_or(0, count));
        Ok(())
    })
}

fn zcard(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    count_members(cx, args.get(1), SortedSet::len)
}

fn zcount(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let range = parse_score_range(args.get(2), args.get(3))?;
    count_members(cx, args.get(1), |set| set.ranks_of_scores(&range).len())
}

fn zlexcount(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let range = parse_lex_range(args.get(2), args.get(3))?;
    count_members(cx, args.get(1), |set| set.ranks_of_members(&range).len())
}

fn zscore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read_set(cx, args.get(1), |cx, set| {
        reply_score(cx, set, args.get(2));
        Ok(())
    })
}

fn zmscore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read_set(cx, args.get(1), |cx, set| {
        cx.reply.array(args.len() - 2);
        args.skip(2).iter().for_each(|member| reply_score(cx, set, member));
        Ok(())
    })
}

fn reply_score(cx: &mut Context<'_>, set: Option<&SortedSet>, member: &[u8]) {
    match set.and_then(|set| set.score(member)) {
        Some(score) => cx.reply.double(score.value()),
        None => cx.reply.null(),
    }
}

fn zrank(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    reply_rank(cx, args, |rank, _| rank)
}

fn zrevrank(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    reply_rank(cx, args, |rank, len| len - 1 - rank)
}

/// Replies a member's rank, which `count` makes of that counted from the least score and the number of members.
fn reply_rank(cx: &mut Context<'_>, args: Args<'_>, count: impl FnOnce(usize, usize) -> usize) -> Result<(), Error> {
    let with_score = match args.len() {
        3 => false,
        4 if args.get(3).eq_ignore_ascii_case(b"withscore") => true,
        4 => return Err(Error::SYNTAX),
        _ => return Err(cx.arity_error()),
    };
    read_set(cx, args.get(1), |cx, set| {
        match set.and_then(|set| Some((set.rank(args.get(2))?, set.len()))) {
            Some(((rank, score), len)) => {
                if with_score {
                    cx.reply.array(2);
                }
                cx.reply.count(count(rank, len));
                if with_score {
                    cx.reply.double(score.value());
                }
            }
            None if with_score => cx.reply.null_array(),
            None => cx.reply.null(),
        }
        Ok(())
    })
}

fn zscan(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let cursor = parse_cursor(args.get(2))?;
    read_set(cx, args.get(1), |cx, set| {
        // Like Redis, this does not look at the options where there is nothing to scan.
        let Some(set) = set else {
            empty_page(&mut cx.reply);
            return Ok(());
        };
        let options = ScanOptions::parse(args.skip(3), Over::SortedSet)?;
        let mut digits = Vec::new();
        page(&mut cx.reply, cursor, &options, |cursor, page| {
            set.scan(cursor, |member, score| {
                if page.admits(&member) {
                    page.word(&member);
                    if !options.values {
                        return;
                    }
                    // A text in either protocol.
                    digits.clear();
                    double::write_double(&mut digits, score.value());
                    page.word(&digits);
                }
            })
        });
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::testing::Rig;
    use crate::protocol::Version;

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn rig() -> Rig {
        let mut rig = Rig::new();
        rig.check(&[("ZADD z 1 a 2.5 b 2.5 c inf d", ":4"), ("SET s x", "+OK")]);
        rig
    }

    #[test]
    fn scores_and_ranks() {
        let mut rig = rig();
        rig.check(&[
            ("ZSCORE z b", "$3|2.5"),
            ("ZSCORE z x", "$-1"),
            ("ZSCORE none x", "$-1"),
            ("ZMSCORE z d x a", "*3|$3|inf|$-1|$1|1"),
            ("ZMSCORE none x a", "*2|$-1|$-1"),
            ("ZRANK z c", ":2"),
            ("ZREVRANK z c", ":1"),
            ("ZRANK z a WITHSCORE", "*2|:0|$1|1"),
            ("ZRANK z x", "$-1"),
            ("ZRANK z x withscore", "*-1"),
            ("ZRANK z a FOO", "-ERR syntax error"),
            ("ZRANK z a WITHSCORE x", "-ERR wrong number of arguments for 'zrank' command"),
            ("ZREVRANK none a WITHSCORE", "*-1"),
            ("ZCARD z", ":4"),
            ("ZCARD none", ":0"),
        ]);
        for request in ["ZSCORE s a", "ZMSCORE s a", "ZRANK s a", "ZREVRANK s a", "ZCARD s", "ZSCAN s 0"] {
            assert_eq!(rig.run(request), WRONG, "{request}");
        }
        rig.client.set_version(Version::Resp3);
        rig.check(&[
            ("ZSCORE z b", ",2.5"),
            ("ZSCORE z x", "_"),
            ("ZMSCORE z d x", "*2|,inf|_"),
            ("ZREVRANK z a WITHSCORE", "*2|:3|,1"),
            ("ZRANK z x WITHSCORE", "_"),
        ]);
    }

    #[test]
    fn members_are_counted() {
        let mut rig = rig();
        rig.check(&[
            ("ZCOUNT z -inf +inf", ":4"),
            ("ZCOUNT z (1 2.5", ":2"),
            ("ZCOUNT z 3 1", ":0"),
            ("ZCOUNT none 0 1", ":0"),
            ("ZCOUNT s a 1", "-ERR min or max is not a float"),
            ("ZCOUNT s 0 1", WRONG),
            ("ZADD l 0 a 0 b 0 c", ":3"),
            ("ZLEXCOUNT l - +", ":3"),
            ("ZLEXCOUNT l [b (c", ":1"),
            ("ZLEXCOUNT l + -", ":0"),
            ("ZLEXCOUNT s b +", "-ERR min or max not valid string range item"),
            ("ZLEXCOUNT s - +", WRONG),
        ]);
    }

    #[test]
    fn scans() {
        let mut rig = rig();
        rig.check(&[
            ("ZSCAN z 0", "*2|$1|0|*8|$1|a|$1|1|$1|b|$3|2.5|$1|c|$3|2.5|$1|d|$3|inf"),
            ("ZSCAN z 0 MATCH [cd] COUNT 1", "*2|$1|0|*4|$1|c|$3|2.5|$1|d|$3|inf"),
            ("ZSCAN z 0 NOSCORES MATCH [cd]", "*2|$1|0|*2|$1|c|$1|d"),
            ("ZSCAN z 0 NOVALUES", "-ERR NOVALUES option can only be used in HSCAN"),
            ("ZSCAN none 0 FOO", "*2|$1|0|*0"),
            ("ZSCAN none x", "-ERR invalid cursor"),
            ("ZSCAN z 0 FOO", "-ERR syntax error"),
            ("ZSCAN z 0 COUNT 0", "-ERR syntax error"),
        ]);
        (0..1000).for_each(|i| drop(rig.run(&format!("ZADD big {i} m{i}"))));
        let (mut cursor, mut seen) = ("0".to_string(), BTreeSet::new());
        for _ in 0..1000 {
            let reply = rig.run(&format!("ZSCAN big {cursor} COUNT 20"));
            let words: Vec<_> = reply.split('|').skip(2).step_by(2).collect();
            cursor = words[0].to_string();
            // What follows the second array's header is member, score, member …
            let items: Vec<_> = reply.split('|').skip(5).step_by(2).collect();
            for pair in items.chunks(2) {
                assert_eq!(pair[0], format!("m{}", pair[1]));
                seen.insert(pair[0].to_string());
            }
            if cursor == "0" {
                break;
            }
        }
        assert_eq!((cursor.as_str(), seen.len()), ("0", 1000));
    }
}
