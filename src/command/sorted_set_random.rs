//! Sorted sets: members at random.

use std::collections::BTreeSet;

use super::sorted_set::read_set;
use super::sorted_set_words::{READ_ONE, put_pairs, reply_members};
use super::{Command, Context, Error, Flags, Group};
use crate::protocol::{Args, number};
use crate::value::Item;
use crate::value::scores::Score;
use crate::value::sorted_set::SortedSet;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::new("zrandmember", -2, zrandmember)
    .flags(Flags::READONLY)
    .keys(READ_ONE)
    .group(Group::SortedSet)
    .since("6.2.0")
    .complexity("O(N) where N is the number of elements returned")
    .tips(&["nondeterministic_output"])
    .doc("Returns members of a sorted set chosen at random.", "key [count [WITHSCORES]]")];

/// Bytes that a member takes in a reply at least: `$0`, two line ends, and no text.
const LEAST_REPLY: u64 = 6;

fn zrandmember(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let Some(count) = args.nth(2) else {
        return read_set(cx, args.get(1), |cx, set| {
            let found = set.and_then(|set| set.get(below(cx, set.len())));
            cx.reply.bulk_or_null(found.as_ref().map(|(member, _)| &**member));
            Ok(())
        });
    };
    let count = number::parse_i64(count).ok_or(Error::NOT_INTEGER)?;
    if count == i64::MIN {
        return Err(Error::range(-i64::MAX, i64::MAX));
    }
    let scores = args.len() > 3;
    if args.len() > 4 || scores && !args.get(3).eq_ignore_ascii_case(b"withscores") {
        return Err(Error::SYNTAX);
    }
    if scores && count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
        return Err(Error::VALUE_RANGE);
    }
    read_set(cx, args.get(1), |cx, set| match set {
        None => {
            cx.reply.array(0);
            Ok(())
        }
        Some(set) if count < 0 => draw(cx, set, count.unsigned_abs(), scores),
        Some(set) => {
            sample(cx, set, usize::try_from(count).unwrap_or(usize::MAX), scores);
            Ok(())
        }
    })
}

/// A number below `end`, as uniform as 64 random bits allow.
fn below(cx: &Context<'_>, end: usize) -> usize {
    ((u128::from(cx.worker.random()) * end as u128) >> 64) as usize
}

/// Replies `count` members, the same one perhaps several times. Any number may be asked for, so the reply has the limit that
/// a single string has.
fn draw(cx: &mut Context<'_>, set: &SortedSet, count: u64, scores: bool) -> Result<(), Error> {
    let most = cx.settings().proto_max_bulk_len;
    let too_long = || Error::new("the reply would exceed proto-max-bulk-len, ask for fewer members");
    let count = Some(count).filter(|&count| count <= most / LEAST_REPLY).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or_else(too_long)?;
    let (start, nested, cut_off) = (cx.reply.len(), scores && cx.reply.is_resp3(), cx.cut_off());
    // In compact form, each look-up goes over the members; once is enough.
    let listed: Vec<(Item<'_>, Score)> =
        if set.encoding() == "listpack" { set.iter(0..set.len()).collect() } else { Vec::new() };
    cx.reply.array(if scores && !nested { count.saturating_mul(2) } else { count });
    for _ in 0..count {
        let rank = below(cx, set.len());
        let Some((member, score)) = listed.get(rank).copied().or_else(|| set.get(rank)) else { break };
        if scores {
            put_pairs(&mut cx.reply, std::iter::once((member, score)), nested);
        } else {
            cx.reply.bulk(&member);
        }
        if (cx.reply.len() - start) as u64 > most {
            return Err(too_long());
        }
        if cx.reply.len() > cut_off {
            break;
        }
    }
    Ok(())
}

/// Replies `count` different members, or all if there are not so many; each choice is equally likely.
fn sample(cx: &mut Context<'_>, set: &SortedSet, count: usize, scores: bool) {
    let len = set.len();
    let count = count.min(len);
    // Where most are asked for, it is cheaper to choose those that are left out.
    let inverted = count > len / 2;
    let chosen = choose(cx, len, if inverted { len - count } else { count });
    if count < len / 8 && set.encoding() != "listpack" {
        let pairs = chosen.iter().filter_map(|&rank| set.get(rank));
        return reply_members(&mut cx.reply, Counted { pairs, left: count }, scores);
    }
    let pairs = set.iter(0..len).enumerate().filter(|(rank, _)| chosen.contains(rank) != inverted);
    reply_members(&mut cx.reply, Counted { pairs: pairs.map(|(_, pair)| pair), left: count }, scores);
}

/// `count` different numbers below `len`, by Robert Floyd's algorithm.
fn choose(cx: &Context<'_>, len: usize, count: usize) -> BTreeSet<usize> {
    let mut chosen = BTreeSet::new();
    for last in len - count..len {
        let number = below(cx, last + 1);
        if !chosen.insert(number) {
            chosen.insert(last);
        }
    }
    chosen
}

/// Pairs of which it is known how many there are.
struct Counted<P> {
    pairs: P,
    left: usize,
}

impl<P: Iterator> Iterator for Counted<P> {
    type Item = P::Item;

    fn next(&mut self) -> Option<P::Item> {
        self.left = self.left.checked_sub(1)?;
        self.pairs.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<P: Iterator> ExactSizeIterator for Counted<P> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::command::testing::Rig;
    use crate::protocol::Version;

    fn members(reply: &str) -> Vec<String> {
        reply.split('|').skip(2).step_by(2).map(str::to_string).collect()
    }

    #[test]
    fn members_at_random() {
        let mut rig = Rig::new();
        rig.check(&[
            ("ZRANDMEMBER none", "$-1"),
            ("ZRANDMEMBER none 3", "*0"),
            ("ZADD z 1 a 2 b 3 c", ":3"),
            ("ZRANDMEMBER z 0", "*0"),
            ("ZRANDMEMBER z 9", "*3|$1|a|$1|b|$1|c"),
            ("ZRANDMEMBER z 9 WITHSCORES", "*6|$1|a|$1|1|$1|b|$1|2|$1|c|$1|3"),
        ]);
        let seen: BTreeSet<_> = (0..200).map(|_| rig.run("ZRANDMEMBER z")).collect();
        assert_eq!(seen.len(), 3);
        let seen: BTreeSet<_> = (0..300).map(|_| rig.run("ZRANDMEMBER z 2")).collect();
        assert_eq!(seen.len(), 3, "each pair of three, in the order of the scores");
        let drawn = members(&rig.run("ZRANDMEMBER z -100"));
        assert_eq!((drawn.len(), drawn.into_iter().collect::<BTreeSet<_>>().len()), (100, 3));
        rig.client.set_version(Version::Resp3);
        rig.check(&[("ZRANDMEMBER z 9 WITHSCORES", "*3|*2|$1|a|,1|*2|$1|b|,2|*2|$1|c|,3")]);
        assert!(rig.run("ZRANDMEMBER z -2 WITHSCORES").starts_with("*2|*2|$1|"));
    }

    #[test]
    fn samples_of_many_are_of_different_members() {
        let mut rig = Rig::new();
        (0..500).for_each(|i| drop(rig.run(&format!("ZADD z {i} m{i}"))));
        let mut seen = BTreeSet::new();
        for count in [1, 10, 62, 63, 200, 250, 251, 499, 500, 501] {
            let reply = rig.run(&format!("ZRANDMEMBER z {count}"));
            let found = members(&reply);
            let distinct: BTreeSet<_> = found.iter().cloned().collect();
            assert_eq!((found.len(), distinct.len()), (count.min(500), count.min(500)), "{count}");
            assert!(reply.starts_with(&format!("*{}|", count.min(500))));
            seen.extend(found);
        }
        assert_eq!(seen.len(), 500);
    }

    #[test]
    fn numbers_out_of_range() {
        let mut rig = Rig::new();
        let limit = "-ERR the reply would exceed proto-max-bulk-len, ask for fewer members";
        rig.check(&[
            ("ZADD z 1 a", ":1"),
            ("ZRANDMEMBER z x", "-ERR value is not an integer or out of range"),
            (
                "ZRANDMEMBER z -9223372036854775808",
                "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            ),
            ("ZRANDMEMBER z -9223372036854775807 WITHSCORES", "-ERR value is out of range"),
            ("ZRANDMEMBER z -9223372036854775807", limit),
            ("ZRANDMEMBER z -4611686018427387903 WITHSCORES", limit),
            ("ZRANDMEMBER z 9223372036854775807", "*1|$1|a"),
            ("ZRANDMEMBER z 1 FOO", "-ERR syntax error"),
            ("ZRANDMEMBER z 1 WITHSCORES FOO", "-ERR syntax error"),
        ]);
        let mut settings = rig.worker.settings.as_ref().clone();
        settings.proto_max_bulk_len = 1000;
        rig.worker.settings = settings.into();
        rig.check(&[("ZADD z 1 bcdefghijklmnopqrstuvwxyz", ":1"), ("ZREM z a", ":1"), ("ZRANDMEMBER z -100", limit)]);
        assert!(rig.run("ZRANDMEMBER z -20").starts_with("*20|"));
    }
}
