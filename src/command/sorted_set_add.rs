//! Sorted sets: adding members and changing their scores.

use std::borrow::Cow;

use super::collection::change_or_create;
use super::sorted_set_words::{limits, parse_score};
use super::string::GROWING;
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::Args;
use crate::store::Event;
use crate::value::Limits;
use crate::value::scores::Score;
use crate::value::sorted_set::SortedSet;

const NX_XX: Error = Error::Reply(Cow::Borrowed("ERR XX and NX options at the same time are not compatible"));
const GT_LT_NX: Error =
    Error::Reply(Cow::Borrowed("ERR GT, LT, and/or NX options at the same time are not compatible"));
const INCR_PAIRS: Error = Error::Reply(Cow::Borrowed("ERR INCR option supports a single increment-element pair"));
/// The sum of opposite infinities.
const NAN_SCORE: Error = Error::Reply(Cow::Borrowed("ERR resulting score is not a number (NaN)"));

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("zadd", -4, zadd)
        .flags(GROWING.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::UPDATE))])
        .group(Group::SortedSet)
        .since("1.2.0")
        .complexity("O(log(N)) for each item added, where N is the number of elements in the sorted set.")
        .doc(
            "Adds members to a sorted set or changes their scores, if conditions hold.",
            "key [NX|XX] [GT|LT] [CH] [INCR] <score:double member> ...",
        ),
    Command::new("zincrby", 4, zincrby)
        .flags(GROWING.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::UPDATE))])
        .group(Group::SortedSet)
        .since("1.2.0")
        .complexity("O(log(N)) where N is the number of elements in the sorted set.")
        .doc("Adds to the score of a member of a sorted set.", "key increment member"),
];

/// What ZADD is to do with each pair.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    /// `NX`: only add.
    missing: bool,
    /// `XX`: only change.
    present: bool,
    /// `GT`: only raise what is there.
    greater: bool,
    /// `LT`: only lower what is there.
    less: bool,
    /// `CH`: count what changed, too.
    changed: bool,
    /// `INCR`: add to the score, and reply it.
    increment: bool,
}

impl Options {
    /// Takes the words that are options from the third argument on; also where the pairs start.
    fn parse(args: Args<'_>) -> Result<(Options, usize), Error> {
        let mut options = Options::default();
        let mut at = 2;
        while let Some(word) = args.nth(at) {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let option = match word.len() {
                2 if is(b"nx") => &mut options.missing,
                2 if is(b"xx") => &mut options.present,
                2 if is(b"gt") => &mut options.greater,
                2 if is(b"lt") => &mut options.less,
                2 if is(b"ch") => &mut options.changed,
                4 if is(b"incr") => &mut options.increment,
                _ => break,
            };
            *option = true;
            at += 1;
        }
        let words = args.len() - at;
        if words == 0 || !words.is_multiple_of(2) {
            return Err(Error::SYNTAX);
        }
        if options.missing && options.present {
            return Err(NX_XX);
        }
        if options.missing && (options.greater || options.less) || options.greater && options.less {
            return Err(GT_LT_NX);
        }
        if options.increment && words > 2 {
            return Err(INCR_PAIRS);
        }
        Ok((options, at))
    }

    /// The score that a member gets by the one given and the one that it has; `None` if nothing is to happen.
    #[inline]
    fn decide(&self, old: Option<Score>, given: Score) -> Result<Option<Score>, Error> {
        let Some(old) = old else { return Ok((!self.present).then_some(given)) };
        if self.missing {
            return Ok(None);
        }
        let new = if self.increment { old.plus(given).ok_or(NAN_SCORE)? } else { given };
        let refused = self.greater && new <= old || self.less && new >= old;
        Ok((!refused).then_some(new))
    }
}

/// What became of the pairs of one call.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    added: usize,
    updated: usize,
    /// The score that the last member got; `None` if nothing was to happen.
    score: Option<Score>,
}

fn zadd(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (options, at) = Options::parse(args)?;
    let outcome = add(cx, args.get(1), args.skip(at), options)?;
    if options.increment {
        reply_score(cx, outcome.score);
    } else {
        cx.reply.count(outcome.added + if options.changed { outcome.updated } else { 0 });
    }
    Ok(())
}

fn zincrby(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options { increment: true, ..Options::default() };
    let outcome = add(cx, args.get(1), args.skip(2), options)?;
    reply_score(cx, outcome.score);
    Ok(())
}

fn reply_score(cx: &mut Context<'_>, score: Option<Score>) {
    match score {
        Some(score) => cx.reply.double(score.value()),
        None => cx.reply.null(),
    }
}

/// Adds `pairs` of scores and members, one at least, to the sorted set at a key. All scores are read before the key is
/// looked at, as a score that is none is the more important error.
fn add(cx: &Context<'_>, key: &[u8], pairs: Args<'_>, options: Options) -> Result<Outcome, Error> {
    let first = parse_score(pairs.get(0))?;
    let mut longest = pairs.size(1);
    for index in (2..pairs.len()).step_by(2) {
        parse_score(pairs.get(index))?;
        longest = longest.max(pairs.size(index + 1));
    }
    let (store, limits, count) = (cx.store, limits(cx), pairs.len() / 2);
    store.update(key, |entry| {
        let make = || SortedSet::for_members(count, longest, limits);
        let outcome = change_or_create(entry, make, |set: &mut SortedSet| {
            if count > 1 {
                set.prepare(count, 0, limits)?;
            }
            add_pairs(set, pairs, first, options, limits)
        })?
        .result;
        let changes = outcome.added + outcome.updated;
        if changes > 0 {
            store.changed(key, Event::sorted_set(if options.increment { "zincr" } else { "zadd" }));
            store.count_changes(changes as u64 - 1);
        }
        Ok(outcome)
    })
}

/// Adds pairs of which the first score is already read.
fn add_pairs(
    set: &mut SortedSet,
    pairs: Args<'_>,
    first: Score,
    options: Options,
    limits: Limits,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    for index in (1..pairs.len()).step_by(2) {
        // Reading the others once more is cheaper than to keep them.
        let given = if index == 1 { first } else { parse_score(pairs.get(index - 1))? };
        let mut decision = Ok(None);
        let updated = set.update(pairs.get(index), limits, |old| {
            decision = options.decide(old, given);
            decision.as_ref().ok().copied().flatten()
        })?;
        outcome.score = decision?;
        if updated.old.is_none() {
            outcome.added += usize::from(updated.new.is_some());
        } else {
            outcome.updated += usize::from(updated.new != updated.old);
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;
    use crate::protocol::Version;

    #[test]
    fn members_are_added_and_changed() {
        let mut rig = Rig::new();
        rig.check(&[
            ("ZADD z 1 a 2 b", ":2"),
            ("ZADD z 1 a 3 b 4 c", ":1"),
            ("ZADD z CH 1 a 4 b 5 d", ":2"),
            ("ZADD z NX 9 a 6 e", ":1"),
            ("ZADD z XX CH 9 a 6 f", ":1"),
            ("ZADD z GT CH 8 a 7 e 1 g", ":2"),
            ("ZADD z LT CH 8 a 8 e", ":1"),
            ("ZRANGE z 0 -1 WITHSCORES", "*12|$1|g|$1|1|$1|b|$1|4|$1|c|$1|4|$1|d|$1|5|$1|e|$1|7|$1|a|$1|8"),
            ("ZADD new XX 1 a", ":0"),
            ("ZADD new XX INCR 1 a", "$-1"),
            ("EXISTS new", ":0"),
            ("SET s x", "+OK"),
            ("ZADD s 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("ZINCRBY s 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("ZADD s x a", "-ERR value is not a valid float"),
        ]);
    }

    #[test]
    fn scores_are_incremented() {
        let mut rig = Rig::new();
        rig.check(&[
            ("ZINCRBY z 1.5 a", "$3|1.5"),
            ("ZINCRBY z -2 a", "$4|-0.5"),
            ("ZADD z INCR 0 a", "$4|-0.5"),
            ("ZADD z NX INCR 1 a", "$-1"),
            ("ZADD z GT INCR -1 a", "$-1"),
            ("ZADD z LT INCR -1 a", "$4|-1.5"),
            ("ZADD z INCR +inf a", "$3|inf"),
            ("ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)"),
            ("ZINCRBY z nan a", "-ERR value is not a valid float"),
            ("ZSCORE z a", "$3|inf"),
        ]);
        rig.client.set_version(Version::Resp3);
        rig.check(&[("ZINCRBY z 1 b", ",1"), ("ZADD z NX INCR 1 b", "_"), ("ZADD z INCR 0.25 b", ",1.25")]);
    }

    #[test]
    fn options_exclude_each_other() {
        let mut rig = Rig::new();
        let (pair, clash) = ("-ERR XX and NX options", "-ERR GT, LT, and/or NX options");
        rig.check(&[
            ("ZADD z NX XX 1 a", &*format!("{pair} at the same time are not compatible")),
            ("ZADD z NX GT 1 a", &format!("{clash} at the same time are not compatible")),
            ("ZADD z GT LT 1 a", &format!("{clash} at the same time are not compatible")),
            ("ZADD z NX XX GT LT 1", "-ERR syntax error"),
            ("ZADD z NX XX", "-ERR syntax error"),
            ("ZADD z 1 a 2", "-ERR syntax error"),
            ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair"),
            ("ZADD z 1 a x b", "-ERR value is not a valid float"),
            ("EXISTS z", ":0"),
        ]);
    }

    #[test]
    fn the_form_follows_the_settings() {
        let mut rig = Rig::new();
        let many: Vec<String> = (0..129).map(|i| format!("{i} m{i}")).collect();
        rig.run(&format!("ZADD many {}", many.join(" ")));
        rig.run(&format!("ZADD few {}", many[..128].join(" ")));
        rig.run(&format!("ZADD long 1 {}", "x".repeat(65)));
        rig.check(&[
            ("OBJECT ENCODING many", "$8|skiplist"),
            ("OBJECT ENCODING few", "$8|listpack"),
            ("OBJECT ENCODING long", "$8|skiplist"),
            ("ZADD few 1 another", ":1"),
            ("OBJECT ENCODING few", "$8|skiplist"),
        ]);
    }
}
