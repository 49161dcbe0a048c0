//! Sorted sets: removing members, by themselves, by rank, by score, or by their texts.

use std::ops::Range;

use super::collection::change;
use super::sorted_set_words::{DELETE_ONE, parse_lex_range, parse_score_range, ranks_between};
use super::{Command, Context, Error, Flags, Group};
use crate::protocol::{Args, number};
use crate::store::Event;
use crate::value::sorted_set::SortedSet;

const RANGE_COST: &str = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements \
                          removed by the operation.";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("zrem", -3, zrem)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(DELETE_ONE)
        .group(Group::SortedSet)
        .since("1.2.0")
        .complexity(
            "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
        )
        .doc("Removes members from a sorted set.", "key member ..."),
    Command::new("zremrangebyrank", 4, zremrangebyrank)
        .flags(Flags::WRITE)
        .keys(DELETE_ONE)
        .group(Group::SortedSet)
        .since("2.0.0")
        .complexity(RANGE_COST)
        .doc("Removes the members of a sorted set whose ranks lie in a range.", "key start stop:integer"),
    Command::new("zremrangebyscore", 4, zremrangebyscore)
        .flags(Flags::WRITE)
        .keys(DELETE_ONE)
        .group(Group::SortedSet)
        .since("1.2.0")
        .complexity(RANGE_COST)
        .doc("Removes the members of a sorted set whose scores lie in a range.", "key min:double max:double"),
    Command::new("zremrangebylex", 4, zremrangebylex)
        .flags(Flags::WRITE)
        .keys(DELETE_ONE)
        .group(Group::SortedSet)
        .since("2.8.9")
        .complexity(RANGE_COST)
        .doc("Removes the members of a sorted set that lie in a range of texts.", "key min max"),
];

/// Removes members from the sorted set at a key, and replies how many `remove` removed.
fn remove_members(
    cx: &mut Context<'_>,
    key: &[u8],
    event: &'static str,
    remove: impl FnOnce(&mut SortedSet) -> usize,
) -> Result<(), Error> {
    let store = cx.store;
    let removed = store.update(key, |entry| {
        let Some(done) = change(entry, |set| Ok(remove(set)))? else { return Ok(0) };
        if done.result > 0 {
            store.changed(key, Event::sorted_set(event));
            store.count_changes(done.result as u64 - 1);
        }
        if done.vanished {
            store.notify(key, Event::DEL);
        }
        Ok::<_, Error>(done.result)
    })?;
    cx.reply.count(removed);
    Ok(())
}

fn zrem(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    remove_members(cx, args.get(1), "zrem", |set| {
        args.skip(2).iter().filter(|member| set.remove(member).is_some()).count()
    })
}

/// Removes the members with the ranks that `find` finds.
fn remove_range(
    cx: &mut Context<'_>,
    key: &[u8],
    event: &'static str,
    find: impl FnOnce(&SortedSet) -> Range<usize>,
) -> Result<(), Error> {
    remove_members(cx, key, event, |set| {
        let ranks = find(set);
        set.remove_ranks(ranks)
    })
}

fn zremrangebyrank(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let start = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let stop = number::parse_i64(args.get(3)).ok_or(Error::NOT_INTEGER)?;
    remove_range(cx, args.get(1), "zremrangebyrank", |set| ranks_between(start, stop, set.len()))
}

fn zremrangebyscore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let range = parse_score_range(args.get(2), args.get(3))?;
    remove_range(cx, args.get(1), "zremrangebyscore", |set| set.ranks_of_scores(&range))
}

fn zremrangebylex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let range = parse_lex_range(args.get(2), args.get(3))?;
    remove_range(cx, args.get(1), "zremrangebylex", |set| set.ranks_of_members(&range))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn members_go_and_the_key_with_the_last() {
        let mut rig = Rig::new();
        rig.check(&[
            ("ZADD z 1 a 2 b 3 c 4 d", ":4"),
            ("ZREM z b x b", ":1"),
            ("ZREM none a", ":0"),
            ("ZRANGE z 0 -1", "*3|$1|a|$1|c|$1|d"),
            ("ZREM z a c d", ":3"),
            ("EXISTS z", ":0"),
            ("SET s x", "+OK"),
            ("ZREM s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn ranges_go() {
        let mut rig = Rig::new();
        rig.check(&[
            ("ZADD z 1 a 2 b 3 c 4 d 5 e", ":5"),
            ("ZREMRANGEBYRANK z -2 -2", ":1"),
            ("ZREMRANGEBYRANK z 3 1", ":0"),
            ("ZREMRANGEBYRANK z 0 x", "-ERR value is not an integer or out of range"),
            ("ZREMRANGEBYSCORE z (1 2", ":1"),
            ("ZREMRANGEBYSCORE z x 2", "-ERR min or max is not a float"),
            ("ZRANGE z 0 -1", "*3|$1|a|$1|c|$1|e"),
            ("ZREMRANGEBYSCORE z -inf inf", ":3"),
            ("EXISTS z", ":0"),
            ("ZADD l 0 a 0 b 0 c", ":3"),
            ("ZREMRANGEBYLEX l (a [b", ":1"),
            ("ZREMRANGEBYLEX l a b", "-ERR min or max not valid string range item"),
            ("ZREMRANGEBYLEX l - +", ":2"),
            ("EXISTS l", ":0"),
            ("ZREMRANGEBYLEX l - +", ":0"),
        ]);
    }

    #[test]
    fn changes_are_counted_and_told() {
        let mut rig = Rig::new();
        rig.worker.node.keyspace.listen_to_all(true);
        let events = |rig: &mut Rig, request: &str| {
            let told = rig.events(request);
            told.split(", ").map(|told| told.split(' ').next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(events(&mut rig, "ZADD z 1 a 2 b 3 c"), "zadd");
        assert_eq!(events(&mut rig, "ZADD z 1 a"), "");
        assert_eq!(events(&mut rig, "ZINCRBY z 1 a"), "zincr");
        assert_eq!(events(&mut rig, "ZREM z x"), "");
        assert_eq!(events(&mut rig, "ZREM z a"), "zrem");
        assert_eq!(events(&mut rig, "ZREMRANGEBYRANK z 0 0"), "zremrangebyrank");
        assert_eq!(events(&mut rig, "ZREMRANGEBYSCORE z 0 9"), "zremrangebyscore del");
        assert_eq!(events(&mut rig, "ZADD z 1 a 2 b 3 c 4 d"), "zadd");
        assert_eq!(events(&mut rig, "ZRANGESTORE y z 0 1"), "zrangestore");
        assert_eq!(events(&mut rig, "ZRANGESTORE y z 9 9"), "del");
        assert_eq!(events(&mut rig, "ZRANGESTORE y z 9 9"), "");
        assert_eq!(events(&mut rig, "ZUNIONSTORE y 1 z"), "zunionstore");
        assert_eq!(events(&mut rig, "ZINTERSTORE y 1 z"), "zinterstore");
        assert_eq!(events(&mut rig, "ZDIFFSTORE y 1 z"), "zdiffstore");
        assert_eq!(events(&mut rig, "ZDIFFSTORE y 2 z z"), "del");
        assert_eq!(events(&mut rig, "ZPOPMIN z"), "zpopmin");
        assert_eq!(events(&mut rig, "ZPOPMAX z 0"), "");
        assert_eq!(events(&mut rig, "ZMPOP 2 none z MAX COUNT 9"), "zpopmax del");
    }
}
