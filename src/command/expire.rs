//! Times to live.

use super::{Access, Command, Context, Error, Flags, KeySpec};
use crate::protocol::{Args, number};
use crate::store::{Event, Record};

const READ: &[KeySpec] = &[KeySpec::at(1, Access::RO.and(Access::ACCESS))];
const CHANGE: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::UPDATE))];
const CHANGING: &[&str] = &["nondeterministic_output"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    setter("expire", expire).doc("Sets the time to live of a key in seconds.", "key seconds [NX|XX|GT|LT]"),
    setter("pexpire", pexpire)
        .since("2.6.0")
        .doc("Sets the time to live of a key in milliseconds.", "key milliseconds [NX|XX|GT|LT]"),
    setter("expireat", expireat)
        .since("1.2.0")
        .doc("Sets when a key expires, in seconds of Unix time.", "key unix-time-seconds [NX|XX|GT|LT]"),
    setter("pexpireat", pexpireat)
        .since("2.6.0")
        .doc("Sets when a key expires, in milliseconds of Unix time.", "key unix-time-milliseconds [NX|XX|GT|LT]"),
    getter("ttl", ttl).tips(CHANGING).doc("Returns the time to live of a key in seconds.", "key"),
    getter("pttl", pttl).since("2.6.0").tips(CHANGING).doc("Returns the time to live of a key in milliseconds.", "key"),
    getter("expiretime", expiretime).since("7.0.0").doc("Returns when a key expires, in seconds of Unix time.", "key"),
    getter("pexpiretime", pexpiretime)
        .since("7.0.0")
        .doc("Returns when a key expires, in milliseconds of Unix time.", "key"),
    Command::new("persist", 2, persist)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(CHANGE)
        .since("2.2.0")
        .doc("Removes the time to live of a key.", "key"),
];

const fn setter(name: &'static str, run: super::Run) -> Command {
    Command::new(name, -3, run).flags(Flags::WRITE.and(Flags::FAST)).keys(CHANGE)
}

const fn getter(name: &'static str, run: super::Run) -> Command {
    Command::new(name, 2, run).flags(Flags::READONLY.and(Flags::FAST)).keys(READ)
}

fn expire(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let now = cx.now_ms();
    set_expiry(cx, args, 1000, now)
}

fn pexpire(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let now = cx.now_ms();
    set_expiry(cx, args, 1, now)
}

fn expireat(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    set_expiry(cx, args, 1000, 0)
}

fn pexpireat(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    set_expiry(cx, args, 1, 0)
}

/// On which condition the new time is set.
#[derive(Clone, Copy, Default)]
struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    fn parse(options: Args<'_>) -> Result<Condition, Error> {
        let mut condition = Condition::default();
        for option in options {
            let is = |word: &str| option.eq_ignore_ascii_case(word.as_bytes());
            match () {
                () if is("nx") => condition.nx = true,
                () if is("xx") => condition.xx = true,
                () if is("gt") => condition.gt = true,
                () if is("lt") => condition.lt = true,
                () => return Err(Error::new(format!("Unsupported option {}", String::from_utf8_lossy(option)))),
            }
        }
        if condition.nx && (condition.xx || condition.gt || condition.lt) {
            return Err(Error::new("NX and XX, GT or LT options at the same time are not compatible"));
        }
        if condition.gt && condition.lt {
            return Err(Error::new("GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// Whether a key that expires at `old` may be given `new`; one that never expires counts as expiring last.
    fn holds(self, old: Option<u64>, new: i64) -> bool {
        let old = old.map(|old| i64::try_from(old).unwrap_or(i64::MAX));
        !(self.nx && old.is_some()
            || self.xx && old.is_none()
            || self.gt && old.is_none_or(|old| new <= old)
            || self.lt && old.is_some_and(|old| new >= old))
    }
}

/// Sets when a key expires: the second argument in units of `unit` milliseconds after `base`. A time that is not in the
/// future removes the key.
fn set_expiry(cx: &mut Context<'_>, args: Args<'_>, unit: i64, base: u64) -> Result<(), Error> {
    let condition = Condition::parse(args.skip(3))?;
    let time = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let due = time.checked_mul(unit).and_then(|time| time.checked_add_unsigned(base));
    let due = due.ok_or_else(|| Error::expire_time(cx.command.full_name()))?;
    let future = u64::try_from(due).ok().filter(|&due| due > cx.now_ms());
    let changed = cx.store.update(args.get(1), |entry| {
        if entry.record().is_none() || !condition.holds(entry.expiry(), due) {
            return false;
        }
        match future {
            Some(due) => entry.set_expiry(Some(due)),
            None => {
                entry.remove();
            }
        }
        true
    });
    if changed {
        let event = if future.is_some() { Event::generic("expire") } else { Event::DEL };
        cx.store.changed(args.get(1), event);
    }
    cx.reply.integer(changed.into());
    Ok(())
}

fn ttl(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    tell(cx, args, |due, now| seconds(due.saturating_sub(now)))
}

fn pttl(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    tell(cx, args, |due, now| due.saturating_sub(now))
}

fn expiretime(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    tell(cx, args, |due, _| seconds(due))
}

fn pexpiretime(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    tell(cx, args, |due, _| due)
}

/// Milliseconds in seconds, rounded.
fn seconds(ms: u64) -> u64 {
    ms / 1000 + u64::from(ms % 1000 >= 500)
}

/// Replies what `of` makes of the due time and the present one; -1 for a key without one, -2 for no key.
fn tell(cx: &mut Context<'_>, args: Args<'_>, of: fn(u64, u64) -> u64) -> Result<(), Error> {
    let due = cx.store.peek(args.get(1), |record| record.map(Record::expiry));
    cx.count_lookup(due.is_some());
    cx.reply.integer(match due {
        None => -2,
        Some(None) => -1,
        Some(Some(due)) => i64::try_from(of(due, cx.now_ms())).unwrap_or(i64::MAX),
    });
    Ok(())
}

fn persist(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let changed = cx.store.update(args.get(1), |entry| {
        let volatile = entry.expiry().is_some();
        entry.set_expiry(None);
        volatile
    });
    if changed {
        cx.store.changed(args.get(1), Event::generic("persist"));
    }
    cx.reply.integer(changed.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn times_are_set_told_and_removed() {
        let mut rig = Rig::new();
        let now = rig.worker.now_ms;
        rig.check(&[
            ("EXPIRE a 10", ":0"),
            ("TTL a", ":-2"),
            ("PEXPIRETIME a", ":-2"),
            ("PERSIST a", ":0"),
            ("SET a 1", "+OK"),
            ("TTL a", ":-1"),
            ("PERSIST a", ":0"),
            ("EXPIRE a 10", ":1"),
            ("TTL a", ":10"),
            ("PTTL a", ":10000"),
            ("PEXPIRE a 1499", ":1"),
            ("TTL a", ":1"),
            ("PEXPIRE a 1500", ":1"),
            ("TTL a", ":2"),
            ("PERSIST a", ":1"),
            ("PTTL a", ":-1"),
            ("EXPIREAT a 33177117420", ":1"),
            ("EXPIRETIME a", ":33177117420"),
            ("PEXPIREAT a 33177117420499", ":1"),
            ("EXPIRETIME a", ":33177117420"),
            ("PEXPIRETIME a", ":33177117420499"),
            ("PEXPIREAT a 9223372036854775807", ":1"),
            ("PEXPIRETIME a", ":9223372036854775807"),
        ]);
        assert_eq!(rig.run("PTTL a"), format!(":{}", i64::MAX as u64 - now));
        rig.check(&[("PEXPIRE a 5", ":1")]);
        rig.pass(5);
        rig.check(&[("GET a", "$1|1"), ("PTTL a", ":0")]);
        rig.pass(1);
        rig.check(&[("GET a", "$-1"), ("DBSIZE", ":0")]);
    }

    #[test]
    fn conditions() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET a 1", "+OK"),
            ("EXPIRE a 10 XX", ":0"),
            ("EXPIRE a 10 GT", ":0"),
            ("EXPIRE a -1 GT", ":0"),
            ("EXPIRE a 10 NX", ":1"),
            ("EXPIRE a 20 nx", ":0"),
            ("EXPIRE a 10 GT", ":0"),
            ("EXPIRE a 20 gt XX", ":1"),
            ("EXPIRE a 20 LT", ":0"),
            ("EXPIRE a 15 LT", ":1"),
            ("TTL a", ":15"),
            ("PERSIST a", ":1"),
            ("EXPIRE a 100 LT", ":1"),
            ("EXPIRE a 10 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
            ("EXPIRE a 10 NX GT", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
            ("EXPIRE a 10 GT LT", "-ERR GT and LT options at the same time are not compatible"),
            ("EXPIRE a 10 foo", "-ERR Unsupported option foo"),
            ("EXPIRE a x foo", "-ERR Unsupported option foo"),
            ("EXPIRE nokey x", "-ERR value is not an integer or out of range"),
        ]);
    }

    #[test]
    fn times_beyond_the_range_and_in_the_past() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET a 1", "+OK"),
            ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("EXPIRE a -9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("EXPIRE a 9223372036854775", "-ERR invalid expire time in 'expire' command"),
            ("PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command"),
            ("EXPIREAT a 9223372036854775807", "-ERR invalid expire time in 'expireat' command"),
            ("EXISTS a", ":1"),
            ("PEXPIRE a -9223372036854775808", ":1"),
            ("EXISTS a", ":0"),
            ("SET a 1", "+OK"),
            ("EXPIRE a 0", ":1"),
            ("EXISTS a", ":0"),
            ("SET a 1", "+OK"),
            ("PEXPIREAT a 0", ":1"),
            ("DBSIZE", ":0"),
        ]);
    }
}
