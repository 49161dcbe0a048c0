//! Sorted sets: taking the members with the least or the greatest scores.

use std::borrow::Cow;

use super::collection::change;
use super::sorted_set_words::put_pairs;
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, Reply, number};
use crate::store::Event;
use crate::value::sorted_set::SortedSet;

const NUMKEYS: Error = Error::Reply(Cow::Borrowed("ERR numkeys should be greater than 0"));
const COUNT: Error = Error::Reply(Cow::Borrowed("ERR count should be greater than 0"));

const TAKE: Access = Access::RW.and(Access::ACCESS).and(Access::DELETE);
const POP_COST: &str = "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of \
                        elements popped.";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("zpopmin", -2, zpopmin)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, TAKE)])
        .group(Group::SortedSet)
        .since("5.0.0")
        .complexity(POP_COST)
        .doc("Removes the members of a sorted set with the least scores and returns them.", "key [count]"),
    Command::new("zpopmax", -2, zpopmax)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, TAKE)])
        .group(Group::SortedSet)
        .since("5.0.0")
        .complexity(POP_COST)
        .doc("Removes the members of a sorted set with the greatest scores and returns them.", "key [count]"),
    Command::new("zmpop", -4, zmpop)
        .flags(Flags::WRITE.and(Flags::MOVABLE_KEYS))
        .keys(&[KeySpec::counted(1, TAKE)])
        .group(Group::SortedSet)
        .since("7.0.0")
        .complexity(
            "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, \
             and M being the number of elements popped.",
        )
        .doc(
            "Removes members with the least or greatest scores of the first sorted set that is there and returns them.",
            "numkeys key ... <MIN|MAX> [COUNT count]",
        ),
];

/// Which members are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Those with the least scores, ascending.
    Min,
    /// Those with the greatest scores, descending.
    Max,
}

impl End {
    /// `MIN` or `MAX`.
    pub(super) fn parse(word: &[u8]) -> Option<End> {
        [(End::Min, "min"), (End::Max, "max")]
            .into_iter()
            .find_map(|(end, name)| word.eq_ignore_ascii_case(name.as_bytes()).then_some(end))
    }

    fn event(self) -> Event {
        Event::sorted_set(match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        })
    }
}

/// Takes up to `count` members from the sorted set at a key and replies them, as pairs if `nested`, after what `announce`
/// writes when it is told how many. False, with nothing written, where there is no key.
pub(super) fn pop(
    cx: &mut Context<'_>,
    key: &[u8],
    (end, count): (End, usize),
    nested: bool,
    announce: impl FnOnce(&mut Reply<'_>, usize),
) -> Result<bool, Error> {
    let store = cx.store;
    store.update(key, |entry| {
        let reply = &mut cx.reply;
        let taken = change(entry, |set: &mut SortedSet| {
            let (len, count) = (set.len(), count.min(set.len()));
            announce(reply, count);
            let ranks = match end {
                End::Min => 0..count,
                End::Max => len - count..len,
            };
            let pairs = set.iter(ranks.clone());
            match end {
                End::Min => put_pairs(reply, pairs, nested),
                End::Max => put_pairs(reply, pairs.rev(), nested),
            }
            Ok(set.remove_ranks(ranks))
        })?;
        let Some(taken) = taken else { return Ok(false) };
        if taken.result > 0 {
            store.changed(key, end.event());
            store.count_changes(taken.result as u64 - 1);
        }
        if taken.vanished {
            store.notify(key, Event::DEL);
        }
        Ok(true)
    })
}

/// Takes members as [`pop`] does from the first of `keys` that is there, and replies its name and the pairs. False, with
/// nothing written, where none is there.
pub(super) fn pop_first(cx: &mut Context<'_>, keys: Args<'_>, end: End, count: usize) -> Result<bool, Error> {
    for key in keys {
        let announce = |reply: &mut Reply<'_>, count| {
            reply.array(2);
            reply.bulk(key);
            reply.array(count);
        };
        if pop(cx, key, (end, count), true, announce)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn zpopmin(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    pop_one(cx, args, End::Min)
}

fn zpopmax(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    pop_one(cx, args, End::Max)
}

fn pop_one(cx: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), Error> {
    let count = match args.len() {
        2 => 1,
        3 => number::parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok()).ok_or(Error::NOT_POSITIVE)?,
        _ => return Err(Error::SYNTAX),
    };
    // Only who asks for a number of members gets pairs, and only in RESP3.
    let nested = args.len() == 3 && cx.reply.is_resp3();
    let announce = |reply: &mut Reply<'_>, count| reply.array(if nested { count } else { count * 2 });
    if !pop(cx, args.get(1), (end, count), nested, announce)? {
        cx.reply.array(0);
    }
    Ok(())
}

/// The keys, the end and the number of members that `args` ask for, which begin with the number of keys.
pub(super) fn parse_choice(args: Args<'_>) -> Result<(Args<'_>, End, usize), Error> {
    let positive = |word: &[u8]| number::parse_i64(word).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let keys = args.nth(0).and_then(positive).ok_or(NUMKEYS)?;
    let at = keys.saturating_add(1);
    let end = args.nth(at).and_then(End::parse).ok_or(Error::SYNTAX)?;
    let options = args.skip(at + 1);
    let count = match (options.len(), options.nth(0)) {
        (0, _) => 1,
        (2.., Some(word)) if word.eq_ignore_ascii_case(b"count") => {
            let count = positive(options.get(1)).ok_or(COUNT)?;
            if options.len() > 2 {
                return Err(Error::SYNTAX);
            }
            count
        }
        _ => return Err(Error::SYNTAX),
    };
    Ok((args.range(1..at), end, count))
}

fn zmpop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (keys, end, count) = parse_choice(args.skip(1))?;
    if !pop_first(cx, keys, end, count)? {
        cx.reply.null_array();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;
    use crate::protocol::Version;

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn the_first_and_the_last_are_taken() {
        let mut rig = Rig::new();
        rig.check(&[
            ("ZADD z 1 a 2 b 3 c 4 d 5 e", ":5"),
            ("ZPOPMIN z", "*2|$1|a|$1|1"),
            ("ZPOPMAX z 2", "*4|$1|e|$1|5|$1|d|$1|4"),
            ("ZPOPMAX z 0", "*0"),
            ("ZPOPMIN z 10", "*4|$1|b|$1|2|$1|c|$1|3"),
            ("EXISTS z", ":0"),
            ("ZPOPMIN z", "*0"),
            ("ZPOPMIN z -1", "-ERR value is out of range, must be positive"),
            ("ZPOPMIN z x", "-ERR value is out of range, must be positive"),
            ("ZPOPMIN z 1 2", "-ERR syntax error"),
            ("SET s x", "+OK"),
            ("ZPOPMIN s 0", WRONG),
        ]);
        rig.client.set_version(Version::Resp3);
        rig.check(&[
            ("ZADD z 1 a 2 b 3 c", ":3"),
            ("ZPOPMAX z", "*2|$1|c|,3"),
            ("ZPOPMIN z 2", "*2|*2|$1|a|,1|*2|$1|b|,2"),
        ]);
    }

    #[test]
    fn the_first_key_that_is_there_gives() {
        let mut rig = Rig::new();
        rig.check(&[
            ("ZADD z 1 a 2 b 3 c", ":3"),
            ("ZMPOP 2 none z MIN", "*2|$1|z|*1|*2|$1|a|$1|1"),
            ("ZMPOP 1 z MAX COUNT 9", "*2|$1|z|*2|*2|$1|c|$1|3|*2|$1|b|$1|2"),
            ("ZMPOP 2 none z MIN", "*-1"),
            ("SET s x", "+OK"),
            ("ZMPOP 2 none s MIN", WRONG),
            ("ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0"),
            ("ZMPOP x z MIN", "-ERR numkeys should be greater than 0"),
            ("ZMPOP 2 z MIN", "-ERR syntax error"),
            ("ZMPOP 9223372036854775807 z MIN", "-ERR syntax error"),
            ("ZMPOP 1 z FOO", "-ERR syntax error"),
            ("ZMPOP 1 z MIN COUNT", "-ERR syntax error"),
            ("ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0"),
            ("ZMPOP 1 z MIN COUNT 1 COUNT 2", "-ERR syntax error"),
        ]);
        rig.client.set_version(Version::Resp3);
        rig.check(&[("ZMPOP 1 none MIN", "_"), ("ZADD z 1 a", ":1"), ("ZMPOP 1 z MAX", "*2|$1|z|*1|*2|$1|a|,1")]);
    }
}
