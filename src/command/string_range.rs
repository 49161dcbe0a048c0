//! Parts of strings: reading a range, appending, overwriting.

use super::string::{GROWING, READ_ONE};
use super::string_value::{StringValue, checked_len, edit, grow, is_reversed, set_argument, span, string_of};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::store::{Event, Record, Ttl};

const APPEND_KEY: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::INSERT))];
const UPDATE_KEY: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::UPDATE))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("append", 3, append)
        .flags(GROWING.and(Flags::FAST))
        .keys(APPEND_KEY)
        .group(Group::String)
        .since("2.0.0")
        .complexity("O(1) amortized for short values: a long string grows in steps, not with every call.")
        .doc("Appends to the string value of a key, which is created if it is not there.", "key value"),
    Command::new("getrange", 4, getrange)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::String)
        .since("2.4.0")
        .complexity("O(N) where N is the length of the returned string.")
        .doc("Returns a part of the string value of a key.", "key start end"),
    Command::new("substr", 4, getrange)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::String)
        .complexity("O(N) where N is the length of the returned string.")
        .replaced_by("`GETRANGE`", "2.0.0")
        .doc("Returns a part of the string value of a key.", "key start end"),
    Command::new("setrange", 4, setrange)
        .flags(GROWING)
        .keys(UPDATE_KEY)
        .group(Group::String)
        .since("2.2.0")
        .complexity("O(M) where M is the length of the value, and of the zeroes before it where the string grows.")
        .doc(
            "Overwrites a part of the string value of a key, which is created if it is not there.",
            "key offset value",
        ),
];

fn append(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let limit = cx.settings().proto_max_bulk_len;
    let more = args.get(2);
    let len = cx.store.update(args.get(1), |entry| {
        let Some(old) = string_of(entry.value())? else {
            set_argument(entry, args, 2, Ttl::Clear, cx.now_ms());
            return Ok(more.len());
        };
        let len = checked_len(old.len(), more.len(), limit)?;
        edit(entry, len, |bytes| {
            bytes.try_reserve(more.len()).map_err(|_| Error::NO_MEMORY)?;
            bytes.extend_from_slice(more);
            Ok(bytes.len())
        })
    })?;
    cx.store.changed(args.get(1), Event::string("append"));
    cx.reply.count(len);
    Ok(())
}

fn getrange(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let start = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let end = number::parse_i64(args.get(3)).ok_or(Error::NOT_INTEGER)?;
    let store = cx.store;
    store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let mut digits = itoa::Buffer::new();
        let bytes = string_of(record.map(Record::value))?.map_or(&b""[..], |string| string.bytes(&mut digits));
        let part = span(start, end, bytes.len()).filter(|_| !is_reversed(start, end));
        cx.reply.bulk(part.map_or(b"", |(first, last)| &bytes[first..=last]));
        Ok(())
    })
}

fn setrange(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let offset = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let offset = usize::try_from(offset).map_err(|_| Error::OFFSET_RANGE)?;
    let value = args.get(3);
    let limit = cx.settings().proto_max_bulk_len;
    let len = cx.store.update(args.get(1), |entry| {
        let old = string_of(entry.value())?.map_or(0, StringValue::len);
        if value.is_empty() {
            return Ok(old);
        }
        let end = checked_len(offset, value.len(), limit)?;
        edit(entry, end, |bytes| {
            grow(bytes, end)?;
            bytes[offset..end].copy_from_slice(value);
            Ok(bytes.len())
        })
    })?;
    if !value.is_empty() {
        cx.store.changed(args.get(1), Event::string("setrange"));
    }
    cx.reply.count(len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn appending() {
        let mut rig = Rig::new();
        rig.check(&[
            ("APPEND k 12", ":2"),
            ("INCR k", ":13"),
            ("APPEND k 3", ":3"),
            ("INCR k", ":134"),
            ("APPEND k ", ":3"),
            ("GET k", "$3|134"),
        ]);
        let mut expected = Vec::new();
        for step in 0..300 {
            let more = vec![b'a' + step as u8 % 26; step];
            expected.extend_from_slice(&more);
            assert_eq!(rig.args(&[b"APPEND", b"long", &more]), format!(":{}", expected.len()));
        }
        assert_eq!(rig.run("GET long"), format!("${}|{}", expected.len(), String::from_utf8_lossy(&expected)));
    }

    #[test]
    fn ranges() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET k abcdef", "+OK"),
            ("GETRANGE k 0 -1", "$6|abcdef"),
            ("GETRANGE k 1 2", "$2|bc"),
            ("SUBSTR k -2 -1", "$2|ef"),
            ("GETRANGE k 4 100", "$2|ef"),
            ("GETRANGE k -100 0", "$1|a"),
            ("GETRANGE k -1 -2", "$0"),
            ("GETRANGE k 6 7", "$0"),
            ("GETRANGE k -9223372036854775808 9223372036854775807", "$6|abcdef"),
            ("GETRANGE none 0 -1", "$0"),
            ("GETRANGE k a 1", "-ERR value is not an integer or out of range"),
            ("SET n 12345", "+OK"),
            ("GETRANGE n 1 2", "$2|23"),
        ]);
    }

    #[test]
    fn overwriting() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SETRANGE none 5 ", ":0"),
            ("GET none", "$-1"),
            ("SETRANGE k 2 ab", ":4"),
            ("GET k", "$4|\0\0ab"),
            ("SETRANGE k 0 xyz", ":4"),
            ("GET k", "$4|xyzb"),
            ("SETRANGE k 99999999999 ", ":4"),
            ("SETRANGE k -1 x", "-ERR offset is out of range"),
            ("SETRANGE k x x", "-ERR value is not an integer or out of range"),
            ("SETRANGE k 5000 x", ":5001"),
            ("SETRANGE k 5001 y", ":5002"),
            ("GETRANGE k 4999 -1", "$3|\0xy"),
            ("SET n 12345", "+OK"),
            ("SETRANGE n 1 0", ":5"),
            ("INCR n", ":10346"),
        ]);
    }

    #[test]
    fn strings_have_a_limit() {
        let mut rig = Rig::new();
        let error = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        rig.check(&[
            ("SETRANGE k 536870912 x", error),
            ("SETRANGE k 536870911 xx", error),
            ("SETRANGE k 9223372036854775807 x", error),
            ("GET k", "$-1"),
        ]);
        let mut settings = (*rig.worker.settings).clone();
        settings.proto_max_bulk_len = 10;
        rig.worker.settings = settings.into();
        rig.check(&[
            ("SETRANGE k 9 x", ":10"),
            ("APPEND k x", error),
            ("SETRANGE k 10 x", error),
            ("SETBIT k 79 0", ":0"),
            ("SETBIT k 80 0", "-ERR bit offset is not an integer or out of range"),
            ("STRLEN k", ":10"),
        ]);
        let mut settings = (*rig.worker.settings).clone();
        settings.proto_max_bulk_len = i64::MAX as u64;
        rig.worker.settings = settings.into();
        let error = "-ERR not enough memory for a string of this length; free some, or lower proto-max-bulk-len";
        rig.check(&[
            ("SETRANGE k 9223372036854775800 x", error),
            ("SETRANGE new 9223372036854775800 x", error),
            ("SETBIT k 9223372036854775807 1", error),
            ("BITFIELD k SET u8 9223372036854775807 1", error),
            ("STRLEN k", ":10"),
            ("GET new", "$-1"),
        ]);
    }
}
