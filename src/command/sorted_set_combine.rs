//! Sorted sets: union, intersection and difference, as replies and as values of keys.

use std::borrow::Cow;

use super::sorted_set_algebra::{Aggregate, Input, Source, count_common, difference, intersection, union};
use super::sorted_set_words::{limits, reply_members, store_result};
use super::string::GROWING;
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::value::sorted_set::SortedSet;

const WEIGHT: Error = Error::Reply(Cow::Borrowed("ERR weight value is not a float"));
const LIMIT: Error = Error::Reply(Cow::Borrowed("ERR LIMIT can't be negative"));

const READ: Flags = Flags::READONLY.and(Flags::MOVABLE_KEYS);
const STORE: Flags = GROWING.and(Flags::MOVABLE_KEYS);
const INPUTS: &[KeySpec] = &[KeySpec::counted(1, Access::RO.and(Access::ACCESS))];
const TARGET_AND_INPUTS: &[KeySpec] =
    &[KeySpec::at(1, Access::OW.and(Access::UPDATE)), KeySpec::counted(2, Access::RO.and(Access::ACCESS))];

const DIFFERENCE_COST: &str = "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is \
                               the size of the first set, and K is the size of the result set.";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("zunion", -3, |cx, args| combine(cx, args, Operation::Union))
        .flags(READ)
        .keys(INPUTS)
        .group(Group::SortedSet)
        .since("6.2.0")
        .complexity(
            "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of \
             elements in the resulting sorted set.",
        )
        .doc(
            "Returns the members that are in any of several sorted sets.",
            "numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX>] [WITHSCORES]",
        ),
    Command::new("zinter", -3, |cx, args| combine(cx, args, Operation::Intersection))
        .flags(READ)
        .keys(INPUTS)
        .group(Group::SortedSet)
        .since("6.2.0")
        .complexity(
            "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted \
             sets and M being the number of elements in the resulting sorted set.",
        )
        .doc(
            "Returns the members that are in all of several sorted sets.",
            "numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX>] [WITHSCORES]",
        ),
    Command::new("zdiff", -3, |cx, args| combine(cx, args, Operation::Difference))
        .flags(READ)
        .keys(INPUTS)
        .group(Group::SortedSet)
        .since("6.2.0")
        .complexity(DIFFERENCE_COST)
        .doc("Returns the members of a sorted set that are in none of others.", "numkeys key ... [WITHSCORES]"),
    Command::new("zintercard", -3, zintercard)
        .flags(READ)
        .keys(INPUTS)
        .group(Group::SortedSet)
        .since("7.0.0")
        .complexity(
            "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
        )
        .doc("Counts the members that are in all of several sorted sets.", "numkeys key ... [LIMIT limit:integer]"),
    Command::new("zunionstore", -4, |cx, args| combine_into(cx, args, Operation::Union))
        .flags(STORE)
        .keys(TARGET_AND_INPUTS)
        .group(Group::SortedSet)
        .since("2.0.0")
        .complexity(
            "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of \
             elements in the resulting sorted set.",
        )
        .doc(
            "Sets a key to the members that are in any of several sorted sets.",
            "destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX>]",
        ),
    Command::new("zinterstore", -4, |cx, args| combine_into(cx, args, Operation::Intersection))
        .flags(STORE)
        .keys(TARGET_AND_INPUTS)
        .group(Group::SortedSet)
        .since("2.0.0")
        .complexity(
            "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted \
             sets and M being the number of elements in the resulting sorted set.",
        )
        .doc(
            "Sets a key to the members that are in all of several sorted sets.",
            "destination numkeys key ... [WEIGHTS weight ...] [AGGREGATE <SUM|MIN|MAX>]",
        ),
    Command::new("zdiffstore", -4, |cx, args| combine_into(cx, args, Operation::Difference))
        .flags(STORE)
        .keys(TARGET_AND_INPUTS)
        .group(Group::SortedSet)
        .since("6.2.0")
        .complexity(DIFFERENCE_COST)
        .doc("Sets a key to the members of a sorted set that are in none of others.", "destination numkeys key ..."),
];

/// What is made of several sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// Which options a command takes.
#[derive(Clone, Copy)]
struct Taken {
    /// `WEIGHTS` and `AGGREGATE`.
    weights: bool,
    /// `WITHSCORES`.
    scores: bool,
    /// `LIMIT`.
    limit: bool,
}

/// The inputs of a command and its options.
struct Request<'a> {
    inputs: Vec<Input<'a>>,
    aggregate: Aggregate,
    scores: bool,
    /// The most members to count.
    limit: usize,
}

impl<'a> Request<'a> {
    /// Parses `args`, which begin with the number of keys. The keys are looked up before the options are read, because a key
    /// of another type is the more important error.
    fn parse(cx: &Context<'_>, args: Args<'a>, taken: Taken) -> Result<Self, Error> {
        let count = number::parse_i64(args.get(0)).ok_or(Error::NOT_INTEGER)?;
        if count < 1 {
            let name = cx.command.full_name();
            return Err(Error::new(format!("at least 1 input key is needed for '{name}' command")));
        }
        let count = usize::try_from(count).ok().filter(|&count| count < args.len()).ok_or(Error::SYNTAX)?;
        let inputs: Result<_, Error> = args.range(1..count + 1).iter().map(|key| look_up(cx, key)).collect();
        let (aggregate, limit) = (Aggregate::default(), usize::MAX);
        let mut request = Request { inputs: inputs?, aggregate, scores: false, limit };
        request.parse_options(args.skip(count + 1), taken)?;
        Ok(request)
    }

    fn parse_options(&mut self, args: Args<'a>, taken: Taken) -> Result<(), Error> {
        let mut at = 0;
        while let Some(word) = args.nth(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let behind = args.skip(at + 1);
            if taken.weights && behind.len() >= self.inputs.len() && is("weights") {
                for (input, weight) in self.inputs.iter_mut().zip(behind) {
                    input.weight = number::parse_f64(weight).ok_or(WEIGHT)?;
                }
                at += self.inputs.len();
            } else if taken.weights && !behind.is_empty() && is("aggregate") {
                self.aggregate = Aggregate::parse(behind.get(0)).ok_or(Error::SYNTAX)?;
                at += 1;
            } else if taken.scores && is("withscores") {
                self.scores = true;
            } else if taken.limit && !behind.is_empty() && is("limit") {
                let limit = number::parse_i64(behind.get(0)).and_then(|limit| usize::try_from(limit).ok());
                // No limit is what 0 means.
                self.limit = limit.map(|limit| if limit == 0 { usize::MAX } else { limit }).ok_or(LIMIT)?;
                at += 1;
            } else {
                return Err(Error::SYNTAX);
            }
            at += 1;
        }
        Ok(())
    }

    /// Puts inputs with fewer members first. Those with equally many stay as they are.
    fn sort(&mut self) {
        self.inputs.sort_by_key(|input| input.len);
    }

    fn run(&mut self, cx: &Context<'_>, operation: Operation) -> Result<SortedSet, Error> {
        let (store, limits) = (cx.store, limits(cx));
        if operation != Operation::Difference {
            self.sort();
        }
        match operation {
            Operation::Union => union(store, &self.inputs, self.aggregate, limits),
            Operation::Intersection => intersection(store, &self.inputs, self.aggregate, limits),
            Operation::Difference => difference(store, &self.inputs, limits),
        }
    }
}

fn look_up<'a>(cx: &Context<'_>, key: &'a [u8]) -> Result<Input<'a>, Error> {
    cx.store.read(key, |record| {
        cx.count_lookup(record.is_some());
        Ok(Input { key, weight: 1.0, len: Source::of(record)?.map_or(0, |source| source.len()) })
    })
}

fn combine(cx: &mut Context<'_>, args: Args<'_>, operation: Operation) -> Result<(), Error> {
    let taken = Taken { weights: operation != Operation::Difference, scores: true, limit: false };
    let mut request = Request::parse(cx, args.skip(1), taken)?;
    let set = request.run(cx, operation)?;
    reply_members(&mut cx.reply, set.iter(0..set.len()), request.scores);
    Ok(())
}

fn combine_into(cx: &mut Context<'_>, args: Args<'_>, operation: Operation) -> Result<(), Error> {
    let taken = Taken { weights: operation != Operation::Difference, scores: false, limit: false };
    let set = Request::parse(cx, args.skip(2), taken)?.run(cx, operation)?;
    let event = match operation {
        Operation::Union => "zunionstore",
        Operation::Intersection => "zinterstore",
        Operation::Difference => "zdiffstore",
    };
    store_result(cx, args.get(1), set, event);
    Ok(())
}

fn zintercard(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut request = Request::parse(cx, args.skip(1), Taken { weights: false, scores: false, limit: true })?;
    request.sort();
    let count = count_common(cx.store, &request.inputs, request.limit)?;
    cx.reply.count(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;
    use crate::protocol::Version;

    const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    fn rig() -> Rig {
        let mut rig = Rig::new();
        rig.check(&[("ZADD x 1 a 2 b 3 c", ":3"), ("ZADD y 10 b 20 c 30 d 40 e", ":4"), ("SET s x", "+OK")]);
        rig
    }

    #[test]
    fn union_intersection_and_difference() {
        let mut rig = rig();
        rig.check(&[
            ("ZUNION 2 x y WITHSCORES", "*10|$1|a|$1|1|$1|b|$2|12|$1|c|$2|23|$1|d|$2|30|$1|e|$2|40"),
            ("ZUNION 2 x y WEIGHTS 2 -1", "*5|$1|e|$1|d|$1|c|$1|b|$1|a"),
            ("ZINTER 2 y x WITHSCORES", "*4|$1|b|$2|12|$1|c|$2|23"),
            ("ZINTER 2 y x WITHSCORES AGGREGATE max WEIGHTS 1 0.5", "*4|$1|b|$2|10|$1|c|$2|20"),
            ("ZINTER 3 y x none", "*0"),
            ("ZDIFF 2 x y WITHSCORES", "*2|$1|a|$1|1"),
            ("ZDIFF 2 none y", "*0"),
            ("ZDIFF 3 y none x", "*2|$1|d|$1|e"),
            ("ZINTERCARD 2 x y", ":2"),
            ("ZINTERCARD 2 x y LIMIT 1", ":1"),
            ("ZINTERCARD 1 y LIMIT 0", ":4"),
            ("ZINTERCARD 2 x none", ":0"),
        ]);
        rig.client.set_version(Version::Resp3);
        rig.check(&[("ZINTER 2 y x WITHSCORES", "*2|*2|$1|b|,12|*2|$1|c|,23")]);
    }

    #[test]
    fn results_are_stored() {
        let mut rig = rig();
        rig.check(&[
            ("ZUNIONSTORE s 2 x y AGGREGATE MIN", ":5"),
            ("ZRANGE s 0 -1 WITHSCORES", "*10|$1|a|$1|1|$1|b|$1|2|$1|c|$1|3|$1|d|$2|30|$1|e|$2|40"),
            ("ZINTERSTORE x 2 x y", ":2"),
            ("ZRANGE x 0 -1", "*2|$1|b|$1|c"),
            ("ZDIFFSTORE y 2 y x", ":2"),
            ("ZRANGE y 0 -1", "*2|$1|d|$1|e"),
            ("ZINTERSTORE s 2 x y", ":0"),
            ("EXISTS s", ":0"),
            ("ZUNIONSTORE s 1 x WITHSCORES", "-ERR syntax error"),
        ]);
    }

    #[test]
    fn infinities_make_zero() {
        let mut rig = Rig::new();
        rig.check(&[
            ("ZADD x inf a 1 b", ":2"),
            ("ZADD y -inf a inf b", ":2"),
            ("ZUNION 2 x y WITHSCORES", "*4|$1|a|$1|0|$1|b|$3|inf"),
            ("ZUNION 1 x WEIGHTS 0 WITHSCORES", "*4|$1|a|$1|0|$1|b|$1|0"),
            ("ZINTER 2 x y WITHSCORES", "*4|$1|a|$1|0|$1|b|$3|inf"),
            ("ZUNION 1 x WEIGHTS nan", "-ERR weight value is not a float"),
        ]);
    }

    #[test]
    fn a_difference_that_becomes_small_is_compact() {
        let mut rig = Rig::new();
        (0..200).for_each(|i| drop(rig.run(&format!("ZADD x {i} m{i}"))));
        rig.run("ZREMRANGEBYRANK y 0 -1");
        (0..40).for_each(|i| drop(rig.run(&format!("ZADD y {i} m{i}"))));
        (40..80).for_each(|i| drop(rig.run(&format!("ZADD w {i} m{i}"))));
        rig.check(&[
            ("ZDIFFSTORE d 3 x y w", ":120"),
            ("OBJECT ENCODING d", "$8|listpack"),
            ("ZRANGE d 0 0", "*1|$3|m80"),
            ("ZDIFFSTORE d 2 x y", ":160"),
            ("OBJECT ENCODING d", "$8|skiplist"),
            ("ZINTERSTORE d 2 x y", ":40"),
            ("OBJECT ENCODING d", "$8|listpack"),
        ]);
    }

    #[test]
    fn errors_come_in_order() {
        let mut rig = rig();
        rig.check(&[
            ("ZUNION 0 x", "-ERR at least 1 input key is needed for 'zunion' command"),
            ("ZUNIONSTORE d -1 x", "-ERR at least 1 input key is needed for 'zunionstore' command"),
            ("ZINTER x x", "-ERR value is not an integer or out of range"),
            ("ZINTER 2 x", "-ERR syntax error"),
            ("ZINTER 9223372036854775807 x", "-ERR syntax error"),
            ("ZINTER 1 s FOO", WRONG),
            ("ZINTER 1 x FOO", "-ERR syntax error"),
            ("ZINTER 1 x WEIGHTS", "-ERR syntax error"),
            ("ZINTER 1 x WEIGHTS x", "-ERR weight value is not a float"),
            ("ZINTER 1 x AGGREGATE", "-ERR syntax error"),
            ("ZINTER 1 x AGGREGATE avg", "-ERR syntax error"),
            ("ZDIFF 1 x WEIGHTS 1", "-ERR syntax error"),
            ("ZINTERCARD 1 x LIMIT -1", "-ERR LIMIT can't be negative"),
            ("ZINTERCARD 1 x LIMIT x", "-ERR LIMIT can't be negative"),
            ("ZINTERCARD 1 x WITHSCORES", "-ERR syntax error"),
        ]);
    }
}
