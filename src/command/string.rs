//! Strings: reading and setting whole values.

use super::string_options::{Condition, Life, Moment, Options, Taken, Unit};
use super::string_value::{StringValue, reply_string, set_argument, string_of};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::Args;
use crate::store::{Event, Record, Ttl};

/// One key that is read.
pub(super) const READ_ONE: &[KeySpec] = &[KeySpec::at(1, Access::RO.and(Access::ACCESS))];
/// One key whose value is replaced by one that follows from it.
pub(super) const CHANGE_ONE: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::UPDATE))];
const OVERWRITE_ONE: &[KeySpec] = &[KeySpec::at(1, Access::OW.and(Access::UPDATE))];
const SET_ONE: &[KeySpec] =
    &[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::UPDATE).and(Access::VARIABLE_FLAGS))];

/// What writing commands that may take memory have in common.
pub(super) const GROWING: Flags = Flags::WRITE.and(Flags::DENYOOM);

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("get", 2, get)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(READ_ONE)
        .group(Group::String)
        .doc("Returns the string value of a key.", "key"),
    Command::new("strlen", 2, strlen)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RO)])
        .group(Group::String)
        .since("2.2.0")
        .doc("Returns the length of a string in bytes.", "key"),
    Command::new("set", -3, set).flags(GROWING).keys(SET_ONE).access(set_access).group(Group::String).doc(
        "Sets a key to a string value, whatever it was before, if a condition holds.",
        "key value [NX|XX|IFEQ comparison-value] [GET] \
         [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
    ),
    Command::new("setnx", 3, setnx)
        .flags(GROWING.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::OW.and(Access::INSERT))])
        .group(Group::String)
        .replaced_by("`SET` with the `NX` argument", "2.6.12")
        .doc("Sets a key that is not there to a string value.", "key value"),
    Command::new("setex", 4, setex)
        .flags(GROWING)
        .keys(OVERWRITE_ONE)
        .group(Group::String)
        .since("2.0.0")
        .replaced_by("`SET` with the `EX` argument", "2.6.12")
        .doc("Sets a key to a string value for some seconds.", "key seconds value"),
    Command::new("psetex", 4, psetex)
        .flags(GROWING)
        .keys(OVERWRITE_ONE)
        .group(Group::String)
        .since("2.6.0")
        .replaced_by("`SET` with the `PX` argument", "2.6.12")
        .doc("Sets a key to a string value for some milliseconds.", "key milliseconds value"),
    Command::new("getset", 3, getset)
        .flags(GROWING.and(Flags::FAST))
        .keys(CHANGE_ONE)
        .group(Group::String)
        .replaced_by("`SET` with the `!GET` argument", "6.2.0")
        .doc("Sets a key to a string value and returns the one that it had.", "key value"),
    Command::new("getdel", 2, getdel)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::DELETE))])
        .group(Group::String)
        .since("6.2.0")
        .doc("Returns the string value of a key and deletes the key.", "key"),
    Command::new("getex", -2, getex)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(CHANGE_ONE)
        .group(Group::String)
        .since("6.2.0")
        .doc(
            "Returns the string value of a key and changes its time to live.",
            "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]",
        ),
    Command::new("delifeq", 3, delifeq)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RM.and(Access::DELETE))])
        .group(Group::String)
        .since("9.0.0")
        .doc("Deletes a key if its value is this string.", "key value"),
];

/// What SET does with its key: it reads it with `GET` only. Like Redis, this takes the word anywhere behind the value for it.
fn set_access(args: Args<'_>) -> Access {
    let reads = args.skip(3).iter().any(|word| word.eq_ignore_ascii_case(b"GET"));
    if reads { Access::RW.and(Access::ACCESS).and(Access::UPDATE) } else { Access::OW.and(Access::UPDATE) }
}

fn get(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (worker, reply, store) = (cx.worker, &mut cx.reply, &cx.store);
    store.read(args.get(1), |record| {
        worker.count_lookup(record.is_some());
        let string = string_of(record.map(Record::value))?;
        if let Some(StringValue::Bytes(bytes)) = string {
            store.note_value(args.get(1).len() + bytes.len());
        }
        reply_string(reply, string);
        Ok(())
    })
}

fn strlen(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let len = cx.store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        string_of(record.map(Record::value)).map(|string| string.map_or(0, StringValue::len))
    })?;
    cx.reply.count(len);
    Ok(())
}

fn set(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 3 {
        return set_with_options(cx, args);
    }
    cx.store.update(args.get(1), |entry| set_argument(entry, args, 2, Ttl::Clear, cx.now_ms()));
    cx.store.changed(args.get(1), Event::string("set"));
    cx.reply.ok();
    Ok(())
}

fn set_with_options(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(args.skip(3), Taken::SET)?;
    let (store, now_ms) = (cx.store, cx.now_ms());
    let ttl = options.ttl(now_ms, "set")?;
    let is_set = store.update(args.get(1), |entry| {
        let old = entry.value();
        if options.get {
            cx.count_lookup(old.is_some());
            reply_string(&mut cx.reply, string_of(old)?);
        }
        let holds = match options.condition {
            Condition::Always => true,
            Condition::Missing => old.is_none(),
            Condition::Present => old.is_some(),
            Condition::Equal(expected) => is_equal(string_of(old)?, expected),
        };
        if holds {
            set_argument(entry, args, 2, ttl, now_ms);
        }
        Ok::<_, Error>(holds)
    })?;
    if is_set {
        store.changed(args.get(1), Event::string("set"));
        if matches!(ttl, Ttl::At(_)) {
            store.notify(args.get(1), Event::generic("expire"));
        }
    }
    match (options.get, is_set) {
        (true, _) => (),
        (false, true) => cx.reply.ok(),
        (false, false) => cx.reply.null(),
    }
    Ok(())
}

/// Whether there is a string and it is this one.
fn is_equal(string: Option<StringValue<'_>>, expected: &[u8]) -> bool {
    string.is_some_and(|string| string.bytes(&mut itoa::Buffer::new()) == expected)
}

fn setnx(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let is_set = cx.store.update(args.get(1), |entry| {
        let is_missing = entry.record().is_none();
        if is_missing {
            set_argument(entry, args, 2, Ttl::Clear, cx.now_ms());
        }
        is_missing
    });
    if is_set {
        cx.store.changed(args.get(1), Event::string("set"));
    }
    cx.reply.integer(is_set.into());
    Ok(())
}

fn setex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    set_for(cx, args, Unit::Seconds)
}

fn psetex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    set_for(cx, args, Unit::Milliseconds)
}

fn set_for(cx: &mut Context<'_>, args: Args<'_>, unit: Unit) -> Result<(), Error> {
    let now_ms = cx.now_ms();
    let due = Moment::after(args.get(2), unit).due(now_ms, cx.command.full_name())?;
    cx.store.update(args.get(1), |entry| set_argument(entry, args, 3, Ttl::At(due), now_ms));
    cx.store.changed(args.get(1), Event::string("set"));
    cx.store.notify(args.get(1), Event::generic("expire"));
    cx.reply.ok();
    Ok(())
}

fn getset(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, now_ms) = (cx.store, cx.now_ms());
    store.update(args.get(1), |entry| {
        let old = entry.value();
        cx.count_lookup(old.is_some());
        reply_string(&mut cx.reply, string_of(old)?);
        set_argument(entry, args, 2, Ttl::Clear, now_ms);
        Ok::<_, Error>(())
    })?;
    store.changed(args.get(1), Event::string("set"));
    Ok(())
}

fn getdel(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let store = cx.store;
    let is_removed = store.update(args.get(1), |entry| {
        let old = entry.value();
        cx.count_lookup(old.is_some());
        reply_string(&mut cx.reply, string_of(old)?);
        Ok::<_, Error>(entry.remove())
    })?;
    if is_removed {
        store.changed(args.get(1), Event::DEL);
    }
    Ok(())
}

fn getex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(args.skip(2), Taken::GETEX)?;
    let (store, now_ms) = (cx.store, cx.now_ms());
    let ttl = options.ttl(now_ms, "getex")?;
    if options.life == Life::Unsaid {
        return get(cx, args);
    }
    let is_changed = store.update(args.get(1), |entry| {
        let old = entry.value();
        cx.count_lookup(old.is_some());
        let (is_there, was_volatile) = (old.is_some(), entry.expiry().is_some());
        reply_string(&mut cx.reply, string_of(old)?);
        match ttl {
            _ if !is_there => return Ok(false),
            Ttl::At(due) if due <= now_ms => return Ok(entry.remove()),
            Ttl::At(due) => entry.set_expiry(Some(due)),
            Ttl::Clear | Ttl::Keep => {
                entry.set_expiry(None);
                return Ok(was_volatile);
            }
        }
        Ok::<_, Error>(true)
    })?;
    if is_changed {
        let event = match ttl {
            Ttl::At(due) if due <= now_ms => Event::DEL,
            Ttl::At(_) => Event::generic("expire"),
            Ttl::Clear | Ttl::Keep => Event::generic("persist"),
        };
        store.changed(args.get(1), event);
    }
    Ok(())
}

fn delifeq(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let is_removed = cx.store.update(args.get(1), |entry| {
        let is_equal = is_equal(string_of(entry.value())?, args.get(2));
        Ok::<_, Error>(is_equal && entry.remove())
    })?;
    if is_removed {
        cx.store.changed(args.get(1), Event::DEL);
    }
    cx.reply.integer(is_removed.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn set_and_get() {
        let mut rig = Rig::new();
        rig.check(&[("GET k", "$-1"), ("SET k v", "+OK"), ("GET k", "$1|v"), ("SET k 12", "+OK"), ("GET k", "$2|12")]);
        rig.check(&[("STRLEN k", ":2"), ("STRLEN none", ":0"), ("SET k ", "+OK"), ("GET k", "$0"), ("STRLEN k", ":0")]);
        assert_eq!(rig.run("GET"), "-ERR wrong number of arguments for 'get' command");
        rig.client.set_version(crate::protocol::Version::Resp3);
        rig.check(&[("GET none", "_"), ("SET k v XX GET", "$0"), ("SET none v XX", "_")]);
    }

    #[test]
    fn values_of_every_size_and_kind_replace_each_other() {
        let mut rig = Rig::new();
        let sizes = [0, 1, 20, 44, 45, 2047, 2048, 2049, 5000, 100_000];
        let mut values: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![b'x'; size]).collect();
        values.extend(["0", "-1", "9223372036854775807", "9223372036854775808", "007"].map(|text| text.into()));
        for first in &values {
            for second in &values {
                for value in [first, second] {
                    assert_eq!(rig.args(&[b"SET", b"k", value]), "+OK");
                    let expected = format!("${}|{}", value.len(), String::from_utf8_lossy(value));
                    assert_eq!(rig.args(&[b"GET", b"k"]), expected.trim_end_matches('|'));
                }
            }
        }
    }

    #[test]
    fn conditions() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET k a XX", "$-1"),
            ("SET k a NX", "+OK"),
            ("SET k b NX", "$-1"),
            ("GET k", "$1|a"),
            ("SET k b xx", "+OK"),
            ("SET k c NX GET", "$1|b"),
            ("SET new c GET NX", "$-1"),
            ("GET new", "$1|c"),
            ("SET k c GET", "$1|b"),
            ("SET k d IFEQ x", "$-1"),
            ("SET k d IFEQ x GET", "$1|c"),
            ("SET k 5 IFEQ c", "+OK"),
            ("SET k e ifeq 5 GET", "$1|5"),
            ("GET k", "$1|e"),
            ("SET none e IFEQ e", "$-1"),
            ("GET none", "$-1"),
            ("SET k v NX XX", "-ERR syntax error"),
            ("SET k v EX 0 NX", "-ERR invalid expire time in 'set' command"),
            ("SET k v EX a", "-ERR value is not an integer or out of range"),
            ("SETNX k x", ":0"),
            ("SETNX other x", ":1"),
            ("GET other", "$1|x"),
            ("DELIFEQ k x", ":0"),
            ("DELIFEQ none x", ":0"),
            ("DELIFEQ k e", ":1"),
            ("GET k", "$-1"),
        ]);
    }

    #[test]
    fn times_to_live() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET a v EX 10", "+OK"),
            ("SET b v PX 10000", "+OK"),
            ("SETEX c 10 v", "+OK"),
            ("PSETEX d 10000 v", "+OK"),
            ("SET e v EX 10", "+OK"),
            ("SET e w KEEPTTL", "+OK"),
            ("SET f v EX 10", "+OK"),
            ("SET f w", "+OK"),
            ("SET g v EX 10", "+OK"),
            ("GETEX g PERSIST", "$1|v"),
            ("SET h v", "+OK"),
            ("GETEX h EX 10", "$1|v"),
            ("SET i v EX 10", "+OK"),
            ("GETSET i w", "$1|v"),
            ("SET j v EX 10", "+OK"),
            ("INCR n", ":1"),
            ("GETEX n PX 10000", "$1|1"),
            ("INCR n", ":2"),
        ]);
        rig.pass(9_000);
        for key in ["a", "b", "c", "d", "f", "g", "h", "j"] {
            assert_ne!(rig.run(&format!("GET {key}")), "$-1", "{key}");
        }
        rig.check(&[
            ("SET j v EX 10", "+OK"),
            ("APPEND a w", ":2"),
            ("SETRANGE b 3 w", ":4"),
            ("SETBIT c 100 1", ":0"),
        ]);
        rig.pass(2_000);
        for key in ["a", "b", "c", "d", "e", "h", "n"] {
            assert_eq!(rig.run(&format!("GET {key}")), "$-1", "{key}");
        }
        for key in ["f", "g", "i", "j"] {
            assert_ne!(rig.run(&format!("GET {key}")), "$-1", "{key}");
        }
    }

    #[test]
    fn a_time_that_is_past_removes_the_key() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET k v", "+OK"),
            ("SET k w PXAT 1", "+OK"),
            ("GET k", "$-1"),
            ("SET k v", "+OK"),
            ("SET k w EXAT 1 GET", "$1|v"),
            ("GET k", "$-1"),
            ("SET k v", "+OK"),
            ("GETEX k PXAT 1", "$1|v"),
            ("GET k", "$-1"),
            ("SET k v", "+OK"),
            ("MSETEX 2 k v l v EXAT 1", ":1"),
            ("MGET k l", "*2|$-1|$-1"),
        ]);
        assert_eq!(rig.worker.node.keyspace.totals(0).keys, 0);
        rig.check(&[
            ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command"),
            ("PSETEX k -5 v", "-ERR invalid expire time in 'psetex' command"),
            ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command"),
            ("SETEX k 9223372036854776 v", "-ERR invalid expire time in 'setex' command"),
            ("SETEX k x v", "-ERR value is not an integer or out of range"),
        ]);
    }

    #[test]
    fn reading_and_removing() {
        let mut rig = Rig::new();
        rig.check(&[
            ("GETDEL k", "$-1"),
            ("SET k v", "+OK"),
            ("GETDEL k", "$1|v"),
            ("GETDEL k", "$-1"),
            ("GETSET k 5", "$-1"),
            ("GETSET k v", "$1|5"),
            ("GETEX k", "$1|v"),
            ("GETEX none EX 5", "$-1"),
            ("GETEX k KEEPTTL", "-ERR syntax error"),
            ("GETEX k PERSIST EX 10", "-ERR syntax error"),
        ]);
        assert_eq!(rig.worker.node.keyspace.totals(0).keys, 1);
    }

    #[test]
    fn changes_are_counted_once() {
        let mut rig = Rig::new();
        for (request, changes) in [
            ("SET k v", 1),
            ("SET k v NX", 0),
            ("GET k", 0),
            ("GETEX k", 0),
            ("GETEX k PERSIST", 0),
            ("GETEX k EX 10", 1),
            ("GETEX k PERSIST", 1),
            ("MSET a 1 b 2", 2),
            ("MSETNX a 1 b 2", 0),
            ("INCR a", 1),
            ("SETRANGE a 0 ", 0),
            ("SETBIT a 0 0", 0),
            ("SETBIT a 0 1", 1),
            ("BITFIELD k GET u8 0", 0),
            ("BITFIELD k SET u8 0 1 SET u8 0 2", 1),
            ("BITOP OR d none", 0),
            ("GETDEL none", 0),
            ("GETDEL k", 1),
        ] {
            let before = rig.worker.node.keyspace.changes();
            rig.run(request);
            assert_eq!(rig.worker.node.keyspace.changes() - before, changes, "{request}");
        }
    }
}
