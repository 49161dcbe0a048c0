//! Streams: their length, their entries, and what they remember of themselves.

use super::collection::{change, collection_of};
use super::stream_syntax::{parse_end, parse_id, parse_integer, parse_start, write_entries};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::Args;
use crate::store::Event;
use crate::value::stream::{Stream, StreamId};

const READ: &[KeySpec] = &[KeySpec::at(1, Access::RO.and(Access::ACCESS))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("xlen", 2, xlen)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RO)])
        .group(Group::Stream)
        .since("5.0.0")
        .doc("Returns the number of entries of a stream.", "key"),
    Command::new("xrange", -4, xrange)
        .flags(Flags::READONLY)
        .keys(READ)
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(N) where N is the number of entries returned.")
        .doc("Returns the entries of a stream between two IDs.", "key start:string end:string [COUNT count]"),
    Command::new("xrevrange", -4, xrevrange)
        .flags(Flags::READONLY)
        .keys(READ)
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(N) where N is the number of entries returned.")
        .doc(
            "Returns the entries of a stream between two IDs, the last one first.",
            "key end:string start:string [COUNT count]",
        ),
    Command::new("xsetid", -3, xsetid)
        .flags(Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::UPDATE))])
        .group(Group::Stream)
        .since("5.0.0")
        .doc(
            "Sets the last ID of a stream and what it counts, as replication does.",
            "key last-id [ENTRIESADDED entries-added:integer] [MAXDELETEDID max-deleted-id]",
        ),
];

fn xlen(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let len = cx.store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        collection_of::<Stream>(record).map(|stream| stream.map_or(0, |stream| stream.len()))
    })?;
    cx.reply.integer(len as i64);
    Ok(())
}

fn xrange(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (start, end) = (parse_start(args.get(2))?, parse_end(args.get(3))?);
    range(cx, args, start, end, false)
}

fn xrevrange(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (start, end) = (parse_start(args.get(3))?, parse_end(args.get(2))?);
    range(cx, args, start, end, true)
}

fn range(cx: &mut Context<'_>, args: Args<'_>, start: StreamId, end: StreamId, back: bool) -> Result<(), Error> {
    let mut count = None;
    for option in (4..args.len()).step_by(2) {
        let Some(value) = args.nth(option + 1).filter(|_| args.get(option).eq_ignore_ascii_case(b"count")) else {
            return Err(Error::SYNTAX);
        };
        count = Some(parse_integer(value, None)?.max(0) as u64);
    }
    let store = cx.store;
    store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let Some(stream) = collection_of::<Stream>(record)? else {
            cx.reply.array(0);
            return Ok(());
        };
        // A count of no entries is answered by no array, which differs from an array of none.
        match count {
            Some(0) => cx.reply.null_array(),
            _ => {
                let entries = if back { stream.range_back(start, end) } else { stream.range(start, end) };
                write_entries(&mut cx.reply, entries, count.unwrap_or(0));
            }
        }
        Ok(())
    })
}

fn xsetid(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let id = parse_id(args.get(2), 0)?;
    let (mut entries_added, mut max_deleted) = (None, None);
    for option in (3..args.len()).step_by(2) {
        let (word, value) = (args.get(option), args.nth(option + 1).ok_or(Error::SYNTAX)?);
        if word.eq_ignore_ascii_case(b"entriesadded") {
            let added = parse_integer(value, None)?;
            entries_added = Some(u64::try_from(added).map_err(|_| Error::coded("ERR entries_added must be positive"))?);
        } else if word.eq_ignore_ascii_case(b"maxdeletedid") {
            max_deleted = Some(parse_id(value, 0)?);
            if max_deleted > Some(id) {
                return Err(Error::new("The ID specified in XSETID is smaller than the provided max_deleted_entry_id"));
            }
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let (store, key) = (cx.store, args.get(1));
    let changed = store.update(key, |entry| {
        change(entry, |stream: &mut Stream| Ok(stream.set_id(id, entries_added, max_deleted)?))
    })?;
    changed.ok_or(Error::NO_KEY)?;
    store.changed(key, Event::stream("xsetid"));
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn ranges_in_both_directions() {
        let mut rig = Rig::new();
        for ms in 1..=3 {
            rig.run(&format!("XADD s {ms}-0 f {ms}"));
        }
        let entry = |ms: u32| format!("*2|$3|{ms}-0|*2|$1|f|$1|{ms}");
        let entries =
            |list: &[u32]| list.iter().fold(format!("*{}", list.len()), |text, ms| format!("{text}|{}", entry(*ms)));
        for (request, list) in [
            ("XRANGE s - +", &[1, 2, 3][..]),
            ("XRANGE s 2 +", &[2, 3]),
            ("XRANGE s (1-0 (3-0", &[2]),
            ("XRANGE s - + COUNT 2", &[1, 2]),
            ("XRANGE s + -", &[]),
            ("XREVRANGE s + - COUNT 2", &[3, 2]),
            ("XREVRANGE s (3 2", &[3, 2]),
            ("XREVRANGE s (3-0 (1-0", &[2]),
            ("XRANGE nokey - +", &[]),
            ("XRANGE nokey - + COUNT 0", &[]),
        ] {
            assert_eq!(rig.run(request), entries(list), "{request}");
        }
        rig.check(&[
            ("XRANGE s - + COUNT 0", "*-1"),
            ("XRANGE s - + COUNT -5", "*-1"),
            ("XRANGE s - + COUNT", "-ERR syntax error"),
            ("XRANGE s - + COUNT x", "-ERR value is not an integer or out of range"),
            ("XRANGE s - + FOO 1", "-ERR syntax error"),
            ("XRANGE s (- +", "-ERR Invalid stream ID specified as stream command argument"),
            ("XLEN s", ":3"),
            ("XLEN nokey", ":0"),
            ("SET string v", "+OK"),
            ("XLEN string", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XRANGE string - +", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn the_last_id_is_set() {
        let mut rig = Rig::new();
        rig.check(&[
            ("XSETID s 1-1", "-ERR no such key"),
            ("XADD s 5-5 f v", "$3|5-5"),
            ("XSETID s 5-4", "-ERR The ID specified in XSETID is smaller than the target stream top item"),
            (
                "XSETID s 9-0 ENTRIESADDED 0",
                "-ERR The entries_added specified in XSETID is smaller than the target stream length",
            ),
            ("XSETID s 9-0 ENTRIESADDED -1", "-ERR entries_added must be positive"),
            (
                "XSETID s 9-0 MAXDELETEDID 9-1",
                "-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
            ),
            ("XSETID s 9-0 ENTRIESADDED", "-ERR syntax error"),
            ("XSETID s 9-0 ENTRIESADDED 7 MAXDELETEDID 8-0", "+OK"),
            ("XSETID s 7-0", "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"),
            ("XADD s 9-* f v", "$3|9-1"),
        ]);
    }
}
