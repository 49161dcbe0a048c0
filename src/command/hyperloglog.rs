//! HyperLogLogs: estimates of how many different elements were added. They are strings, so that clients can read, keep and
//! set them as such; whether a string is one is looked at each time.

use super::string::GROWING;
use super::string_value::string_of;
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::Args;
use crate::store::{Entry, Event, Record, Ttl};
use crate::value::hyperloglog::{self, Encoding, Registers};

const MERGE_KEYS: &[KeySpec] = &[
    KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::INSERT)),
    KeySpec::range(2, -1, 1, Access::RO.and(Access::ACCESS)),
];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("pfadd", -2, pfadd)
        .flags(GROWING.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::INSERT))])
        .group(Group::Hyperloglog)
        .since("2.8.9")
        .complexity("O(1) for each element to add.")
        .doc("Adds elements to a HyperLogLog, which is created if it is not there.", "key [element ...]"),
    Command::new("pfcount", -2, pfcount)
        .flags(Flags::READONLY.and(Flags::MAY_REPLICATE))
        .keys(&[KeySpec::range(1, -1, 1, Access::RW.and(Access::ACCESS))])
        .group(Group::Hyperloglog)
        .since("2.8.9")
        .complexity("O(1) for one key, whose estimate is kept; O(N) for N keys, with a large constant factor.")
        .doc("Estimates how many different elements were added to any of several HyperLogLogs.", "key ..."),
    Command::new("pfmerge", -2, pfmerge)
        .flags(GROWING)
        .keys(MERGE_KEYS)
        .exclusive()
        .group(Group::Hyperloglog)
        .since("2.8.9")
        .complexity("O(N) to merge N HyperLogLogs, with a large constant factor.")
        .doc("Adds to a HyperLogLog what was added to others.", "destkey [sourcekey ...]"),
    Command::new("pfdebug", 3, pfdebug)
        .flags(GROWING.and(Flags::ADMIN))
        .keys(&[KeySpec::at(2, Access::RW.and(Access::ACCESS))])
        .group(Group::Hyperloglog)
        .since("2.8.9")
        .complexity("N/A")
        .internal()
        .doc("Shows how a HyperLogLog is kept.", "subcommand key"),
    Command::new("pfselftest", 1, pfselftest)
        .flags(Flags::ADMIN)
        .group(Group::Hyperloglog)
        .since("2.8.9")
        .complexity("N/A")
        .internal()
        .doc("Tests the registers of HyperLogLogs and their estimates.", ""),
];

impl From<hyperloglog::Error> for Error {
    fn from(error: hyperloglog::Error) -> Error {
        Error::coded(error.text())
    }
}

/// Reads the HyperLogLog in a record, or nothing where there is no key.
fn read<R>(
    record: Option<Record<'_>>,
    read: impl FnOnce(&[u8]) -> Result<R, hyperloglog::Error>,
) -> Result<Option<R>, Error> {
    let Some(string) = string_of(record.map(Record::value))? else { return Ok(None) };
    let mut digits = itoa::Buffer::new();
    Ok(Some(read(string.bytes(&mut digits))?))
}

/// Changes the HyperLogLog of an entry, an empty one where there is no key. A long one is changed in place, a short one
/// written anew if it is not the same. What `change` did before it failed is kept only if it says so by an `Ok`.
fn edit<R>(
    entry: &mut Entry<'_>,
    change: impl FnOnce(&mut Vec<u8>) -> Result<R, hyperloglog::Error>,
) -> Result<R, Error> {
    if let Some(string) = entry.string_mut() {
        // Any other string stays in the memory in which it came.
        hyperloglog::check(string)?;
        return Ok(change(string.make_mut())?);
    }
    let mut digits = itoa::Buffer::new();
    let old = string_of(entry.value())?.map(|string| string.bytes(&mut digits));
    let mut value = old.map_or_else(hyperloglog::empty, <[u8]>::to_vec);
    hyperloglog::check(&value)?;
    let result = change(&mut value)?;
    if old != Some(&value) {
        entry.set_raw(value, Ttl::Keep);
    }
    Ok(result)
}

/// Bytes up to which a HyperLogLog stays sparse.
fn sparse_max(cx: &Context<'_>) -> usize {
    usize::try_from(cx.settings().hll_sparse_max_bytes).unwrap_or(usize::MAX)
}

fn pfadd(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (key, elements, max) = (args.get(1), args.skip(2), sparse_max(cx));
    let (updates, outcome) = cx.store.update(key, |entry| {
        let created = u64::from(entry.record().is_none());
        edit(entry, |value| {
            let (mut updates, mut outcome) = (created, Ok(()));
            for element in elements {
                match hyperloglog::add(value, element, max) {
                    Ok(updated) => updates += u64::from(updated),
                    Err(error) => {
                        // The elements before it were added, and stay.
                        outcome = Err(error);
                        break;
                    }
                }
            }
            if updates > 0 {
                hyperloglog::invalidate(value);
            }
            Ok((updates, outcome))
        })
    })?;
    if updates > 0 {
        cx.store.changed(key, Event::string("pfadd"));
        cx.store.count_changes(updates - 1);
    }
    outcome?;
    cx.reply.integer((updates > 0).into());
    Ok(())
}

fn pfcount(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = if args.len() == 2 { count_one(cx, args.get(1))? } else { count_union(cx, args.skip(1))? };
    // What forged registers make of it does not fit, and Redis prints it as negative.
    cx.reply.integer(count as i64);
    Ok(())
}

fn count_one(cx: &mut Context<'_>, key: &[u8]) -> Result<u64, Error> {
    let cached = cx.store.read(key, |record| {
        cx.count_lookup(record.is_some());
        read(record, |value| hyperloglog::check(value).map(|_| hyperloglog::cached(value)))
    })?;
    match cached {
        None => return Ok(0),
        Some(Some(count)) => return Ok(count),
        Some(None) => (),
    }
    // The estimate is written into the value. Another worker may have been there since.
    let (count, is_new) = cx.store.update(key, |entry| {
        if entry.record().is_none() {
            return Ok((0, false));
        }
        edit(entry, |value| {
            if let Some(count) = hyperloglog::cached(value) {
                return Ok((count, false));
            }
            let count = hyperloglog::count(value)?;
            hyperloglog::cache(value, count);
            Ok((count, true))
        })
    })?;
    if is_new {
        // A transaction that watches the key saw other bytes.
        cx.store.changed(key, Event::silent("pfcount"));
    }
    Ok(count)
}

fn count_union(cx: &Context<'_>, keys: Args<'_>) -> Result<u64, Error> {
    let mut union = Registers::default();
    for key in keys {
        cx.store.read(key, |record| {
            cx.count_lookup(record.is_some());
            read(record, |value| union.merge(value))
        })?;
    }
    Ok(union.count())
}

fn pfmerge(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (target, max) = (args.get(1), sparse_max(cx));
    let mut union = Registers::default();
    // The target is one of them.
    for key in args.skip(1) {
        cx.store.read(key, |record| {
            cx.count_lookup(record.is_some());
            read(record, |value| union.merge(value))
        })?;
    }
    cx.store.update(target, |entry| edit(entry, |value| union.write(value, max)))?;
    cx.store.changed(target, Event::string("pfadd"));
    cx.reply.ok();
    Ok(())
}

fn pfdebug(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (name, key, store) = (args.get(1), args.get(2), cx.store);
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    let encoding = store.read(key, |record| read(record, hyperloglog::check))?;
    let encoding = encoding.ok_or_else(|| Error::new("The specified key does not exist"))?;
    if is("encoding") {
        cx.reply.simple(encoding.name());
    } else if is("decode") {
        let runs = store.read(key, |record| read(record, hyperloglog::describe))?.flatten();
        cx.reply.bulk(runs.ok_or_else(|| Error::new("HLL encoding is not sparse"))?.as_bytes());
    } else if is("todense") {
        let converted = make_dense(cx, key, encoding)?;
        cx.reply.integer(converted.into());
    } else if is("getreg") {
        make_dense(cx, key, encoding)?;
        let mut registers = Registers::default();
        store.read(key, |record| read(record, |value| registers.merge(value)))?;
        cx.reply.array(registers.values().len());
        registers.values().iter().for_each(|value| cx.reply.integer((*value).into()));
    } else {
        return Err(unknown_subcommand(name));
    }
    Ok(())
}

/// Has a HyperLogLog keep all registers; whether it did not before. The estimate stays, so nobody is told.
fn make_dense(cx: &Context<'_>, key: &[u8], encoding: Encoding) -> Result<bool, Error> {
    if encoding == Encoding::Dense {
        return Ok(false);
    }
    cx.store.update(key, |entry| match entry.record() {
        None => Ok(()),
        Some(_) => edit(entry, hyperloglog::make_dense),
    })?;
    cx.store.count_changes(1);
    Ok(true)
}

/// The name is repeated as Redis does it, as a C string.
fn unknown_subcommand(name: &[u8]) -> Error {
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    Error::Quoting([&b"ERR Unknown PFDEBUG subcommand '"[..], name, b"'"].concat().into())
}

fn pfselftest(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let worker = cx.worker;
    hyperloglog::self_test(|| worker.random()).map_err(|fault| Error::coded(format!("TESTFAILED {fault}")))?;
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    const FOREIGN: &str = "-WRONGTYPE Key is not a valid HyperLogLog string value.";
    const OTHER: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

    /// The bytes of a key, as GET returns them.
    fn bytes(rig: &mut Rig, key: &str) -> Vec<u8> {
        let key = key.as_bytes();
        rig.worker.refresh();
        let held = rig.worker.node.keyspace.enter_key(&rig.worker.local, key).expect("nobody else is there");
        let store = crate::store::Store::new(&rig.worker.node.keyspace, &rig.worker.local, 0, rig.worker.now_ms);
        let value = store.read(key, |record| super::read(record, |value| Ok(value.to_vec())));
        drop(held);
        value.expect("it is a string").unwrap_or_default()
    }

    #[test]
    fn elements_are_counted() {
        let mut rig = Rig::new();
        rig.check(&[
            ("PFCOUNT h", ":0"),
            ("PFADD h", ":1"),
            ("PFADD h", ":0"),
            ("PFCOUNT h", ":0"),
            ("PFADD h a b c", ":1"),
            ("PFADD h a b", ":0"),
            ("PFCOUNT h", ":3"),
            ("PFCOUNT h h none", ":3"),
            ("PFADD i c d", ":1"),
            ("PFCOUNT h i", ":4"),
            ("PFMERGE j h i none", "+OK"),
            ("PFCOUNT j", ":4"),
            ("PFMERGE h i", "+OK"),
            ("PFCOUNT h", ":4"),
            ("PFMERGE new", "+OK"),
            ("PFCOUNT new", ":0"),
            ("TYPE new", "+string"),
            ("OBJECT ENCODING new", "$3|raw"),
        ]);
    }

    #[test]
    fn the_string_is_redis_s() {
        let mut rig = Rig::new();
        // What Redis returns by GET.
        rig.check(&[("PFADD h", ":1")]);
        assert_eq!(bytes(&mut rig, "h"), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff");
        rig.check(&[("PFADD h a", ":1")]);
        assert_eq!(bytes(&mut rig, "h"), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80q\xa6\x84NW");
        rig.check(&[("PFCOUNT h", ":1"), ("PFDEBUG DECODE h", "$20|Z:12711 v:2,1 Z:3672")]);
        assert_eq!(bytes(&mut rig, "h"), b"HYLL\x01\0\0\0\x01\0\0\0\0\0\0\0q\xa6\x84NW");
        let copy = bytes(&mut rig, "h");
        assert_eq!(rig.args(&[b"SET", b"copy", &copy]), "+OK");
        rig.check(&[("PFCOUNT copy", ":1"), ("PFADD copy a", ":0"), ("PFADD copy b", ":1"), ("PFCOUNT copy h", ":2")]);
    }

    #[test]
    fn many_elements_make_it_dense() {
        let mut rig = Rig::new();
        for round in 0..40 {
            let words: Vec<String> = (0..100).map(|number| format!("e{round}:{number}")).collect();
            rig.run(&format!("PFADD h {}", words.join(" ")));
            rig.run(&format!("PFADD h {}", words.join(" ")));
        }
        rig.check(&[("PFDEBUG ENCODING h", "+dense"), ("STRLEN h", ":12304")]);
        let count: i64 = rig.run("PFCOUNT h")[1..].parse().expect("a number");
        assert!((3900..4100).contains(&count), "{count}");
        rig.check(&[("PFADD small x", ":1"), ("PFMERGE small h", "+OK"), ("PFDEBUG ENCODING small", "+dense")]);
        rig.check(&[("PFCOUNT h", &format!(":{count}")), ("PFCOUNT h h", &format!(":{count}"))]);
    }

    #[test]
    fn other_values_are_refused() {
        let mut rig = Rig::new();
        rig.check(&[("SET n 1", "+OK"), ("SET t text", "+OK"), ("SADD s a", ":1"), ("PFADD h a", ":1")]);
        rig.run(&format!("SET long {}", "HYLL".repeat(2000)));
        for (key, error) in [("n", FOREIGN), ("t", FOREIGN), ("long", FOREIGN), ("s", OTHER)] {
            for request in
                ["PFADD K", "PFADD K a", "PFCOUNT K", "PFCOUNT h K", "PFMERGE K", "PFMERGE h K", "PFMERGE K h"]
            {
                assert_eq!(rig.run(&request.replace('K', key)), error, "{request} {key}");
            }
            assert_eq!(rig.run(&format!("PFDEBUG GETREG {key}")), error);
        }
        rig.check(&[("GET n", "$1|1"), ("GET t", "$4|text"), ("STRLEN long", ":8000"), ("PFCOUNT h", ":1")]);
        let corrupted = "-INVALIDOBJ Corrupted HLL object detected";
        for runs in [&b""[..], b"\x80", b"\x7f\xff\x00"] {
            let forged = [&b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80"[..], runs].concat();
            rig.args(&[b"SET", b"bad", &forged]);
            rig.check(&[
                ("PFCOUNT bad", corrupted),
                ("PFCOUNT h bad", corrupted),
                ("PFMERGE h bad", corrupted),
                ("PFMERGE bad h", corrupted),
                ("PFDEBUG TODENSE bad", corrupted),
            ]);
            assert_eq!(bytes(&mut rig, "bad"), forged);
        }
    }

    #[test]
    fn elements_before_a_corruption_stay() {
        let mut rig = Rig::new();
        // Element "a" falls into register 12711, and the runs end before the last one.
        let forged = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xf0";
        rig.args(&[b"SET", b"bad", forged]);
        let words: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
        let reply = rig.run(&format!("PFADD bad a {}", words.join(" ")));
        assert_eq!(reply, "-INVALIDOBJ Corrupted HLL object detected");
        let value = bytes(&mut rig, "bad");
        assert!(value.len() > forged.len() && value[15] == 0x80, "{value:?}");
    }

    #[test]
    fn debugging() {
        let mut rig = Rig::new();
        rig.check(&[
            ("PFDEBUG ENCODING none", "-ERR The specified key does not exist"),
            ("PFDEBUG FOO none", "-ERR The specified key does not exist"),
            ("PFADD h a", ":1"),
            ("PFCOUNT h", ":1"),
            ("PFDEBUG FOO h", "-ERR Unknown PFDEBUG subcommand 'FOO'"),
            ("PFDEBUG encoding h", "+sparse"),
            ("PFDEBUG todense h", ":1"),
            ("PFDEBUG todense h", ":0"),
            ("PFDEBUG encoding h", "+dense"),
            ("PFDEBUG decode h", "-ERR HLL encoding is not sparse"),
            ("PFCOUNT h", ":1"),
            ("PFSELFTEST", "+OK"),
        ]);
        let registers = rig.run("PFDEBUG GETREG h");
        let registers: Vec<&str> = registers.split('|').collect();
        assert_eq!((registers.len(), registers[0], registers[1 + 12711]), (16385, "*16384", ":2"));
        assert_eq!(registers.iter().filter(|register| **register == ":0").count(), 16383);
    }

    #[test]
    fn observers_hear_of_changes_and_a_time_to_live_stays() {
        let mut rig = Rig::new();
        rig.worker.node.keyspace.listen_to_all(true);
        for (request, events) in [
            ("PFADD h a", "pfadd h"),
            ("PFADD h a", ""),
            ("PFCOUNT h", "pfcount h"),
            ("PFMERGE i h", "pfadd i"),
            ("EXPIRE h 10", "-"),
            ("PFADD h b", "pfadd h"),
            ("PFMERGE h i", "pfadd h"),
        ] {
            let told = rig.events(request);
            assert!(events == "-" || told == events, "{request}: {told:?}");
        }
        rig.pass(11_000);
        rig.check(&[("EXISTS h", ":0"), ("EXISTS i", ":1")]);
    }

    /// As in Redis, the estimate that is kept in the value is a change to whoever watches the key.
    #[test]
    fn a_new_estimate_is_a_change() {
        let mut rig = Rig::new();
        rig.check(&[("PFADD h a", ":1"), ("WATCH h", "+OK"), ("PFCOUNT h", ":1"), ("MULTI", "+OK"), ("EXEC", "*-1")]);
        rig.check(&[("WATCH h", "+OK"), ("PFCOUNT h", ":1"), ("MULTI", "+OK"), ("EXEC", "*0")]);
    }
}
