//! Times to live of the fields of a hash.

use super::expire::{Condition, seconds};
use super::hash::{READ, UPDATE, row};
use super::hash_fields::{Absent, counted, find_fields, read, write};
use super::{Command, Context, Error, Flags, Run};
use crate::protocol::{Args, number};
use crate::value::hash::{LATEST, Millis};

const COMPLEXITY: &str = "O(N) where N is the number of specified fields.";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    setter("hexpire", hexpire).doc(
        "Sets the time to live of fields of a hash in seconds.",
        "key seconds [NX|XX|GT|LT] FIELDS numfields:integer field ...",
    ),
    setter("hpexpire", hpexpire).doc(
        "Sets the time to live of fields of a hash in milliseconds.",
        "key milliseconds [NX|XX|GT|LT] FIELDS numfields:integer field ...",
    ),
    setter("hexpireat", hexpireat).doc(
        "Sets when fields of a hash expire, in seconds of Unix time.",
        "key unix-time-seconds [NX|XX|GT|LT] FIELDS numfields:integer field ...",
    ),
    setter("hpexpireat", hpexpireat).doc(
        "Sets when fields of a hash expire, in milliseconds of Unix time.",
        "key unix-time-milliseconds [NX|XX|GT|LT] FIELDS numfields:integer field ...",
    ),
    getter("httl", httl).doc("Returns the time to live of fields of a hash in seconds.", FIELDS),
    getter("hpttl", hpttl).doc("Returns the time to live of fields of a hash in milliseconds.", FIELDS),
    getter("hexpiretime", hexpiretime).doc("Returns when fields of a hash expire, in seconds of Unix time.", FIELDS),
    getter("hpexpiretime", hpexpiretime)
        .doc("Returns when fields of a hash expire, in milliseconds of Unix time.", FIELDS),
    row("hpersist", -5, hpersist, Flags::WRITE.and(Flags::FAST), UPDATE)
        .since("7.4.0")
        .complexity(COMPLEXITY)
        .doc("Removes the time to live of fields of a hash.", FIELDS),
];

const FIELDS: &str = "key FIELDS numfields:integer field ...";

const fn setter(name: &'static str, run: Run) -> Command {
    row(name, -6, run, Flags::WRITE.and(Flags::FAST), UPDATE).since("7.4.0").complexity(COMPLEXITY)
}

const fn getter(name: &'static str, run: Run) -> Command {
    row(name, -5, run, Flags::READONLY.and(Flags::FAST), READ).since("7.4.0").complexity(COMPLEXITY)
}

/// There is no such field.
const NO_FIELD: i64 = -2;
/// The field never expires.
const NO_EXPIRY: i64 = -1;
/// The condition does not hold.
const NOT_MET: i64 = 0;
/// It is done.
const DONE: i64 = 1;
/// The time is past, so the field is gone.
const GONE: i64 = 2;

fn hexpire(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let now = cx.now_ms();
    set_expiry(cx, args, 1000, now)
}

fn hpexpire(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let now = cx.now_ms();
    set_expiry(cx, args, 1, now)
}

fn hexpireat(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    set_expiry(cx, args, 1000, 0)
}

fn hpexpireat(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    set_expiry(cx, args, 1, 0)
}

/// `time` in units of `unit` milliseconds after `base`, in milliseconds of Unix time. If it is before 1970 or later than a
/// field can expire, it is an `invalid expire time` of `command`.
pub(super) fn due(time: i64, unit: i64, base: Millis, command: &str) -> Result<Millis, Error> {
    let due = if time < 0 { None } else { time.checked_mul(unit).and_then(|time| time.checked_add_unsigned(base)) };
    let due = due.and_then(|due| Millis::try_from(due).ok()).filter(|&due| due <= LATEST);
    due.ok_or_else(|| Error::expire_time(command))
}

fn set_expiry(cx: &mut Context<'_>, args: Args<'_>, unit: i64, base: Millis) -> Result<(), Error> {
    let at = find_fields(args, 3).ok_or(Error::FIELD_COUNT)?;
    let condition = Condition::parse(args.range(3..at))?;
    let names = counted(args, at + 1, 1, Error::FIELD_COUNT)?;
    let time = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let due = due(time, unit, base, cx.command.full_name())?;
    let done = write(cx, args.get(1), Absent::Skip, |cx, fields| {
        let past = due <= fields.now_ms();
        fields.events([if past { "hexpired" } else { "hexpire" }]);
        cx.reply.array(names.len());
        for name in names {
            let code = match fields.field(name) {
                None => NO_FIELD,
                Some((_, old)) if !condition.holds(old, due as i64) => NOT_MET,
                Some(_) if past => {
                    fields.remove(name);
                    GONE
                }
                Some(_) => {
                    fields.set_expiry(name, Some(due))?;
                    DONE
                }
            };
            cx.reply.integer(code);
        }
        Ok(())
    })?;
    if done.is_none() {
        no_fields(cx, names);
    }
    Ok(())
}

/// The reply where there is no hash.
fn no_fields(cx: &mut Context<'_>, names: Args<'_>) {
    cx.reply.array(names.len());
    names.iter().for_each(|_| cx.reply.integer(NO_FIELD));
}

fn httl(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    tell(cx, args, |due, now| seconds(due.saturating_sub(now)))
}

fn hpttl(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    tell(cx, args, |due, now| due.saturating_sub(now))
}

fn hexpiretime(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    tell(cx, args, |due, _| seconds(due))
}

fn hpexpiretime(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    tell(cx, args, |due, _| due)
}

/// Replies for each field what `of` makes of the due time and the present one.
fn tell(cx: &mut Context<'_>, args: Args<'_>, of: fn(Millis, Millis) -> Millis) -> Result<(), Error> {
    if !args.get(2).eq_ignore_ascii_case(b"fields") {
        return Err(Error::SYNTAX);
    }
    let names = counted(args, 3, 1, Error::SYNTAX)?;
    let now = cx.now_ms();
    read(cx, args.get(1), |cx, fields| {
        cx.reply.array(names.len());
        for name in names {
            cx.reply.integer(match fields.and_then(|fields| fields.field(name)) {
                None => NO_FIELD,
                Some((_, None)) => NO_EXPIRY,
                Some((_, Some(due))) => i64::try_from(of(due, now)).unwrap_or(i64::MAX),
            });
        }
        Ok(())
    })
}

fn hpersist(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if !args.get(2).eq_ignore_ascii_case(b"fields") {
        return Err(Error::SYNTAX);
    }
    let names = counted(args, 3, 1, Error::FIELD_COUNT)?;
    let done = write(cx, args.get(1), Absent::Skip, |cx, fields| {
        fields.events(["hpersist"]);
        cx.reply.array(names.len());
        for name in names {
            let code = match fields.field(name) {
                None => NO_FIELD,
                Some((_, None)) => NO_EXPIRY,
                Some(_) => {
                    fields.set_expiry(name, None)?;
                    DONE
                }
            };
            cx.reply.integer(code);
        }
        Ok(())
    })?;
    if done.is_none() {
        no_fields(cx, names);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn times_are_set_told_and_removed() {
        let mut rig = Rig::new();
        rig.check(&[
            ("HEXPIRE h 10 FIELDS 2 a b", "*2|:-2|:-2"),
            ("HTTL h FIELDS 1 a", "*1|:-2"),
            ("HPERSIST h FIELDS 1 a", "*1|:-2"),
            ("HSET h a 1 b 2 c 3", ":3"),
            ("HEXPIRE h 10 FIELDS 2 a x", "*2|:1|:-2"),
            ("HEXPIRE h 5 NX FIELDS 2 a b", "*2|:0|:1"),
            ("HEXPIRE h 20 GT FIELDS 2 a c", "*2|:1|:0"),
            ("HPTTL h FIELDS 3 a b c", "*3|:20000|:5000|:-1"),
            ("HPERSIST h FIELDS 2 a c", "*2|:1|:-1"),
            ("HPEXPIREAT h 281474976710655 FIELDS 1 c", "*1|:1"),
            ("HEXPIRETIME h FIELDS 1 c", "*1|:281474976711"),
            ("HPEXPIRETIME h FIELDS 1 c", "*1|:281474976710655"),
            ("HPEXPIREAT h 281474976710656 FIELDS 1 c", "-ERR invalid expire time in 'hpexpireat' command"),
            ("HEXPIRE h -1 FIELDS 1 c", "-ERR invalid expire time in 'hexpire' command"),
            ("HEXPIRE h 0 FIELDS 2 a b", "*2|:2|:2"),
            ("HEXPIREAT h 1 FIELDS 2 c c", "*2|:2|:-2"),
            ("EXISTS h", ":0"),
        ]);
    }

    #[test]
    fn wrong_requests() {
        let count = "-ERR numfields should be greater than 0 and match the provided number of fields";
        let mut rig = Rig::new();
        rig.check(&[
            ("HEXPIRE h 1 FOO 1 a", count),
            ("HEXPIRE h 1 FIELDS 2 a", count),
            ("HEXPIRE h x FIELDS 0 a", count),
            ("HEXPIRE h 1 FIELDS x a", "-ERR value is not an integer or out of range"),
            ("HEXPIRE h x FIELDS 1 a", "-ERR value is not an integer or out of range"),
            ("HEXPIRE h 1 foo FIELDS 1 a", "-ERR Unsupported option foo"),
            ("HPERSIST h FIELDS 2 a", count),
            ("HTTL h FIELDS 2 a", "-ERR syntax error"),
            ("HTTL h FIELDS 9223372036854775807 a", "-ERR syntax error"),
        ]);
    }

    /// Where no timer comes, as in this rig, fields past their time are there and nobody sees them.
    fn past(rig: &mut Rig, fill: &str) {
        rig.check(&[("DEL h", ":0"), ("HSET h a 1 b 2", ":2")]);
        (0..2000).filter(|_| !fill.is_empty()).for_each(|i| drop(rig.run(&format!("HSET h {fill}{i} 1"))));
        rig.check(&[("HPEXPIRE h 5 FIELDS 1 a", "*1|:1")]);
        rig.pass(5);
        rig.check(&[("HGET h a", "$1|1")]);
        rig.pass(1);
    }

    #[test]
    fn fields_past_their_time_are_hidden() {
        let mut rig = Rig::new();
        past(&mut rig, "");
        rig.check(&[
            ("HGET h a", "$-1"),
            ("HMGET h a b", "*2|$-1|$1|2"),
            ("HEXISTS h a", ":0"),
            ("HSTRLEN h a", ":0"),
            ("HGETALL h", "*2|$1|b|$1|2"),
            ("HKEYS h", "*1|$1|b"),
            ("HVALS h", "*1|$1|2"),
            ("HSCAN h 0", "*2|$1|0|*2|$1|b|$1|2"),
            ("HRANDFIELD h", "$1|b"),
            ("HRANDFIELD h 9", "*1|$1|b"),
            ("HRANDFIELD h -2", "*2|$1|b|$1|b"),
            ("HTTL h FIELDS 1 a", "*1|:-2"),
            ("HEXPIRE h 1 FIELDS 1 a", "*1|:-2"),
            ("HPERSIST h FIELDS 1 a", "*1|:-2"),
            ("HGETEX h PERSIST FIELDS 1 a", "*1|$-1"),
            ("HSETEX h FXX FIELDS 1 a 1", ":0"),
            // Counted until it is removed, as with Redis.
            ("HLEN h", ":2"),
            ("HDEL h a", ":0"),
            ("HLEN h", ":1"),
        ]);
        past_large(&mut rig);
    }

    fn past_large(rig: &mut Rig) {
        rig.run("DEL h");
        past(rig, "f");
        for _ in 0..50 {
            assert_ne!(rig.run("HRANDFIELD h"), "$1|a");
        }
        assert!(rig.run("HKEYS h").starts_with("*2001|"));
        assert!(rig.run("HRANDFIELD h 9999").starts_with("*2001|"));
        assert!(rig.run("HRANDFIELD h 3").starts_with("*3|"));
    }

    #[test]
    fn what_is_set_anew_is_new() {
        for (request, reply, ttl) in [
            ("HSET h a 7", ":1", "*1|:-1"),
            ("HSETNX h a 7", ":1", "*1|:-1"),
            ("HINCRBY h a 7", ":7", "*1|:-1"),
            ("HINCRBYFLOAT h a 7", "$1|7", "*1|:-1"),
            ("HSETEX h KEEPTTL FIELDS 1 a 7", ":1", "*1|:-1"),
        ] {
            let mut rig = Rig::new();
            past(&mut rig, "");
            rig.check(&[(request, reply), ("HGET h a", "$1|7"), ("HPTTL h FIELDS 1 a", ttl)]);
        }
    }

    #[test]
    fn a_hash_goes_with_its_last_field() {
        let mut rig = Rig::new();
        rig.check(&[("HSET h a 1", ":1"), ("HPEXPIRE h 5 FIELDS 1 a", "*1|:1")]);
        rig.pass(6);
        rig.check(&[("HDEL h a", ":0"), ("EXISTS h", ":0"), ("DBSIZE", ":0")]);
    }

    #[test]
    fn values_that_change_keep_or_lose_their_time() {
        let mut rig = Rig::new();
        rig.check(&[
            ("HSET h a 1", ":1"),
            ("HEXPIRE h 10 FIELDS 1 a", "*1|:1"),
            ("HINCRBY h a 1", ":2"),
            ("HINCRBYFLOAT h a 0.5", "$3|2.5"),
            ("HTTL h FIELDS 1 a", "*1|:10"),
            ("HSET h a 1", ":0"),
            ("HTTL h FIELDS 1 a", "*1|:-1"),
        ]);
    }
}
