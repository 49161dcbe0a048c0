//! Sorted sets: commands that wait for a member.

use super::block::{Block, deadline_after_seconds};
use super::sorted_set_pop::{End, parse_choice, pop, pop_first};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, Reply};
use crate::store::Kind;

const TAKE: Access = Access::RW.and(Access::ACCESS).and(Access::DELETE);
const WAITING: Flags = Flags::WRITE.and(Flags::BLOCKING);
const COST: &str = "O(log(N)) with N being the number of elements in the sorted set.";

/// The family's rows. All enter their keys alone, so that no member comes between looking and waiting.
pub(super) const COMMANDS: &[Command] = &[
    row("bzpopmin", -3, bzpopmin)
        .flags(WAITING.and(Flags::FAST))
        .keys(&[KeySpec::range(1, -2, 1, TAKE)])
        .since("5.0.0")
        .complexity(COST)
        .doc(
            "Removes the member with the least score of the first sorted set that is there, or waits for one.",
            "key ... timeout:double",
        ),
    row("bzpopmax", -3, bzpopmax)
        .flags(WAITING.and(Flags::FAST))
        .keys(&[KeySpec::range(1, -2, 1, TAKE)])
        .since("5.0.0")
        .complexity(COST)
        .doc(
            "Removes the member with the greatest score of the first sorted set that is there, or waits for one.",
            "key ... timeout:double",
        ),
    row("bzmpop", -5, bzmpop)
        .flags(WAITING)
        .keys(&[KeySpec::counted(2, TAKE)])
        .since("7.0.0")
        .complexity(
            "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, \
             and M being the number of elements popped.",
        )
        .doc(
            "Removes members of the first sorted set that is there among several keys, or waits for some.",
            "timeout:double numkeys key ... <MIN|MAX> [COUNT count]",
        ),
];

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::SortedSet).exclusive()
}

fn wait(cx: &mut Context<'_>, args: Args<'_>, keys: Args<'_>, deadline_ms: Option<u64>) -> Result<(), Error> {
    let keys = keys.iter().collect();
    let block = Block { keys, kind: Some(Kind::SortedSet), minds_removal: false, deadline_ms, args: args.into() };
    cx.block(block, |reply| reply.null_array())
}

fn bzpopmin(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    pop_or_wait(cx, args, End::Min)
}

fn bzpopmax(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    pop_or_wait(cx, args, End::Max)
}

fn pop_or_wait(cx: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), Error> {
    let last = args.len() - 1;
    let deadline = deadline_after_seconds(args.get(last), cx.now_ms())?;
    let keys = args.range(1..last);
    for key in keys {
        let announce = |reply: &mut Reply<'_>, _| {
            reply.array(3);
            reply.bulk(key);
        };
        if pop(cx, key, (end, 1), false, announce)? {
            return Ok(());
        }
    }
    wait(cx, args, keys, deadline)
}

fn bzmpop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (keys, end, count) = parse_choice(args.skip(2))?;
    let deadline = deadline_after_seconds(args.get(1), cx.now_ms())?;
    if pop_first(cx, keys, end, count)? {
        return Ok(());
    }
    wait(cx, args, keys, deadline)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;
    use crate::protocol::Version;

    #[test]
    fn what_is_there_is_taken_at_once() {
        let mut rig = Rig::new();
        rig.run("ZADD z 1 a 2 b 3 c 4 d");
        rig.check(&[
            ("BZPOPMIN y z 0", "*3|$1|z|$1|a|$1|1"),
            ("BZPOPMAX y z 0", "*3|$1|z|$1|d|$1|4"),
            ("BZMPOP 1 2 y z MIN COUNT 9", "*2|$1|z|*2|*2|$1|b|$1|2|*2|$1|c|$1|3"),
            ("BZPOPMIN z x", "-ERR timeout is not a float or out of range"),
            ("BZMPOP -1 1 z MIN", "-ERR timeout is negative"),
            ("MULTI", "+OK"),
            ("BZPOPMIN z 0", "+QUEUED"),
            ("EXEC", "*1|*-1"),
            ("ZADD z 1.5 a", ":1"),
        ]);
        rig.client.set_version(Version::Resp3);
        rig.check(&[("BZPOPMIN y z 0", "*3|$1|z|$1|a|,1.5")]);
    }

    #[test]
    fn those_that_wait_are_served() {
        let mut rig = Rig::new();
        let mut waiting = rig.connect();
        assert_eq!(rig.send(&mut waiting, "BZPOPMAX y z 0"), None);
        rig.check(&[("RPUSH other list", ":1"), ("ZADD z 1 a 2 b", ":2"), ("ZRANGE z 0 -1", "*1|$1|a")]);
        assert_eq!(rig.served(&mut waiting).as_deref(), Some("*3|$1|z|$1|b|$1|2"));
    }
}
