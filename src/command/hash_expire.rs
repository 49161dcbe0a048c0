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
    let time = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let at = find_fields(args, 3).ok_or(Error::FIELD_COUNT)?;
    let condition = Condition::parse(args.range(3..at))?;
    let names = counted(args, at + 1, 1, Error::FIELD_COUNT)?;
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
