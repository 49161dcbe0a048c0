//! Values as bytes that another server, or this one later, makes the same value of.

use super::{Access, Categories, Command, Context, Error, Flags, Group, KeySpec};
use crate::config::Settings;
use crate::persist::rdb::{Bounds, Encoder, payload};
use crate::protocol::{Args, number};
use crate::store::{Event, Parcel};
use crate::value::Limits;
use crate::value::list;
use crate::value::set::SetLimits;

const RESTORED: &[KeySpec] = &[KeySpec::at(1, Access::OW.and(Access::UPDATE))];
const RESTORE_SYNTAX: &str =
    "key ttl:integer serialized-value:string [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency:integer]";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("dump", 2, dump)
        .flags(Flags::READONLY)
        .keys(&[KeySpec::at(1, Access::RO.and(Access::ACCESS))])
        .since("2.6.0")
        .complexity("O(N) where N is the number of bytes of the value.")
        .tips(&["nondeterministic_output"])
        .doc("Returns the value of a key as bytes for RESTORE.", "key"),
    Command::new("restore", -4, restore)
        .flags(Flags::WRITE.and(Flags::DENYOOM))
        .keys(RESTORED)
        .categories(Categories::KEYSPACE.and(Categories::DANGEROUS))
        .since("2.6.0")
        .complexity("O(N) where N is the number of bytes of the value; O(N log M) for a sorted set of M members.")
        .doc("Creates a key from the bytes that DUMP returned.", RESTORE_SYNTAX),
    Command::new("restore-asking", -4, restore)
        .flags(Flags::WRITE.and(Flags::DENYOOM).and(Flags::ASKING))
        .keys(RESTORED)
        .group(Group::Server)
        .categories(Categories::KEYSPACE.and(Categories::DANGEROUS))
        .since("3.0.0")
        .complexity("As that of RESTORE.")
        .doc("Creates a key in a slot that is being moved to this node.", RESTORE_SYNTAX),
];

fn dump(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let store = cx.store;
    let payload =
        store.read(args.get(1), |record| record.map(|record| payload::write(&mut Encoder::new(true), record.value())));
    cx.count_lookup(payload.is_some());
    match payload {
        Some(payload) => cx.reply.bulk(&payload),
        None => cx.reply.null(),
    }
    Ok(())
}

/// The options behind the payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle: Option<u64>,
    frequency: Option<u8>,
}

fn options(args: Args<'_>) -> Result<Options, Error> {
    let mut options = Options::default();
    let mut index = 4;
    while let Some(option) = args.nth(index) {
        index += 1;
        let number = args.nth(index);
        if option.eq_ignore_ascii_case(b"replace") {
            options.replace = true;
        } else if option.eq_ignore_ascii_case(b"absttl") {
            options.absolute = true;
        } else if let (b"idletime", None, Some(number)) = (&*option.to_ascii_lowercase(), options.frequency, number) {
            let idle = number::parse_i64(number).ok_or(Error::NOT_INTEGER)?;
            let idle = u64::try_from(idle).map_err(|_| Error::new("Invalid IDLETIME value, must be >= 0"))?;
            options.idle = Some(idle);
            index += 1;
        } else if let (b"freq", None, Some(number)) = (&*option.to_ascii_lowercase(), options.idle, number) {
            let frequency = number::parse_i64(number).ok_or(Error::NOT_INTEGER)?;
            let wrong = |_| Error::new("Invalid FREQ value, must be >= 0 and <= 255");
            options.frequency = Some(u8::try_from(frequency).map_err(wrong)?);
            index += 1;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    Ok(options)
}

fn restore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.get(1);
    let options = options(args)?;
    if !options.replace && cx.store.exists(key) {
        return Err(Error::BUSY_KEY);
    }
    let ttl = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let ttl = u64::try_from(ttl).map_err(|_| Error::new("Invalid TTL value, must be >= 0"))?;
    let (bytes, dialect) = payload::open(args.get(3)).map_err(|_| Error::PAYLOAD)?;
    let value = payload::read(bytes, dialect, bounds(cx.settings())).map_err(|_| Error::BAD_FORMAT)?;
    let now = cx.now_ms();
    let expiry = match ttl {
        0 => None,
        ttl if options.absolute => Some(ttl),
        ttl => Some(ttl.saturating_add(now).min(i64::MAX as u64)),
    };
    let store = cx.store;
    if expiry.is_some_and(|due| due <= now) {
        // It would be gone at once, so it does not even come.
        if store.remove(key) {
            store.changed(key, Event::DEL);
        }
        cx.reply.ok();
        return Ok(());
    }
    store.update(key, |entry| {
        entry.set_parcel(Parcel { value, expiry });
        if let Some(record) = entry.record() {
            store.set_history(record, options.idle, options.frequency);
        }
        store.changed(key, Event::generic("restore"));
    });
    cx.reply.ok();
    Ok(())
}

/// The forms of values that the settings ask for.
pub(super) fn bounds(settings: &Settings) -> Bounds {
    let limits = |entries: u64, value: u64| Limits { entries: size(entries), value: size(value) };
    Bounds {
        string: settings.proto_max_bulk_len,
        list: list::Limit::new(settings.list_max_listpack_size.into()),
        set: SetLimits {
            integers: size(settings.set_max_intset_entries),
            packed: limits(settings.set_max_listpack_entries, settings.set_max_listpack_value),
        },
        sorted_set: limits(settings.zset_max_listpack_entries, settings.zset_max_listpack_value),
        hash: limits(settings.hash_max_listpack_entries, settings.hash_max_listpack_value),
    }
}

fn size(setting: u64) -> usize {
    usize::try_from(setting).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    /// The payload of a key, as the reply has it but for the count before.
    fn payload(rig: &mut Rig, key: &str) -> Vec<u8> {
        let store = crate::store::Store::new(&rig.worker.node.keyspace, &rig.worker.local, 0, rig.worker.now_ms);
        let held = rig.worker.node.keyspace.enter_all(&rig.worker.local).expect("nobody else is there");
        let bytes = store.peek(key.as_bytes(), |record| {
            record.map(|record| payload::write(&mut Encoder::new(true), record.value()))
        });
        drop(held);
        bytes.expect("the key is there")
    }

    #[test]
    fn restoring() {
        let mut rig = Rig::new();
        rig.check(&[("SET a value", "+OK"), ("DUMP nokey", "$-1")]);
        let bytes = payload(&mut rig, "a");
        assert_eq!(rig.args(&[b"RESTORE", b"b", b"0", &bytes]), "+OK");
        rig.check(&[("GET b", "$5|value"), ("PTTL b", ":-1")]);
        assert_eq!(rig.args(&[b"RESTORE", b"b", b"0", &bytes]), "-BUSYKEY Target key name already exists.");
        assert_eq!(rig.args(&[b"RESTORE", b"b", b"100", &bytes, b"replace"]), "+OK");
        rig.check(&[("GET b", "$5|value"), ("PTTL b", ":100")]);
        assert_eq!(rig.args(&[b"RESTORE", b"b", b"99999999999999", &bytes, b"ABSTTL", b"REPLACE"]), "+OK");
        rig.check(&[("PEXPIRETIME b", ":99999999999999")]);
        // What is past its time at once is not created, and what was there goes.
        assert_eq!(rig.args(&[b"RESTORE", b"c", b"1", &bytes, b"ABSTTL"]), "+OK");
        assert_eq!(rig.args(&[b"RESTORE", b"b", b"1", &bytes, b"ABSTTL", b"REPLACE"]), "+OK");
        rig.check(&[("EXISTS b c", ":0")]);
        assert_eq!(rig.args(&[b"RESTORE", b"d", b"9223372036854775807", &bytes]), "+OK");
        rig.check(&[("GET d", "$5|value")]);
        assert_eq!(rig.args(&[b"RESTORE-ASKING", b"e", b"0", &bytes, b"IDLETIME", b"1000"]), "+OK");
        rig.check(&[("OBJECT IDLETIME e", ":1000")]);
        assert_eq!(rig.args(&[b"RESTORE", b"f", b"0", &bytes, b"FREQ", b"255"]), "+OK");
    }

    #[test]
    fn what_is_wrong_is_said_in_the_order_of_redis() {
        let mut rig = Rig::new();
        rig.check(&[("SET a value", "+OK")]);
        let bytes = payload(&mut rig, "a");
        let cases: &[(&[&[u8]], &str)] = &[
            (&[b"a", b"x", b"x", b"FOO"], "-ERR syntax error"),
            (&[b"a", b"x", b"x", b"IDLETIME"], "-ERR syntax error"),
            (&[b"a", b"x", b"x", b"IDLETIME", b"1", b"FREQ", b"1"], "-ERR syntax error"),
            (&[b"a", b"x", b"x", b"FREQ", b"1", b"IDLETIME", b"1"], "-ERR syntax error"),
            (&[b"a", b"x", b"x", b"IDLETIME", b"y"], "-ERR value is not an integer or out of range"),
            (&[b"a", b"x", b"x", b"IDLETIME", b"-1"], "-ERR Invalid IDLETIME value, must be >= 0"),
            (&[b"a", b"x", b"x", b"FREQ", b"256"], "-ERR Invalid FREQ value, must be >= 0 and <= 255"),
            (&[b"a", b"x", b"x"], "-BUSYKEY Target key name already exists."),
            (&[b"b", b"x", b"x"], "-ERR value is not an integer or out of range"),
            (&[b"b", b"-1", b"x"], "-ERR Invalid TTL value, must be >= 0"),
            (&[b"b", b"0", b"x"], "-ERR DUMP payload version or checksum are wrong"),
            (&[b"b", b"0", &bytes[..bytes.len() - 1]], "-ERR DUMP payload version or checksum are wrong"),
            // A checksum of 0 is none: type 99 is no value.
            (&[b"b", b"0", b"\x63\x0a\0\0\0\0\0\0\0\0\0"], "-ERR Bad data format"),
            (&[b"b", b"0", b"\x00\x05\x0a\0\0\0\0\0\0\0\0\0"], "-ERR Bad data format"),
        ];
        for (words, reply) in cases {
            let request: Vec<&[u8]> = [&b"RESTORE"[..]].iter().chain(*words).copied().collect();
            assert_eq!(rig.args(&request), *reply, "{words:?}");
        }
        rig.check(&[("EXISTS b", ":0")]);
    }
}
