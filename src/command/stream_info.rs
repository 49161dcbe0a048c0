//! `XINFO`: what a stream is made of.

use super::collection::collection_of;
use super::stream_syntax::{no_group, parse_integer, subcommand_syntax, write_entries, write_entry, write_id};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec, help};
use crate::protocol::{Args, Reply};
use crate::value::stream::{self, Stream, StreamId};

const KEY: &[KeySpec] = &[KeySpec::at(2, Access::RO.and(Access::ACCESS))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::container("xinfo", SUBCOMMANDS)
    .group(Group::Stream)
    .since("5.0.0")
    .doc("Tells of streams, their groups and consumers.", "")];

const SUBCOMMANDS: &[Command] = &[
    sub("consumers", 4, consumers)
        .complexity("O(N) where N is the number of consumers.")
        .tips(&["nondeterministic_output"])
        .doc("Tells of the consumers of a group.", "key group"),
    sub("groups", 3, groups)
        .complexity("O(N) where N is the number of groups.")
        .doc("Tells of the consumer groups of a stream.", "key"),
    help::row(Group::Stream, "5.0.0"),
    sub("stream", -3, stream)
        .complexity("O(1), or O(N) with FULL, where N is the number of entries, groups and consumers told.")
        .doc("Tells of a stream.", "key [FULL [COUNT count]]"),
];

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(Flags::READONLY).keys(KEY).group(Group::Stream).since("5.0.0")
}

/// Replies what `tell` says of the stream, which has to be there.
fn inspect(
    cx: &mut Context<'_>,
    args: Args<'_>,
    tell: impl FnOnce(&mut Context<'_>, &Stream) -> Result<(), Error>,
) -> Result<(), Error> {
    let store = cx.store;
    store.read(args.get(2), |record| {
        cx.count_lookup(record.is_some());
        tell(cx, &*collection_of::<Stream>(record)?.ok_or(Error::NO_KEY)?)
    })
}

fn consumers(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    inspect(cx, args, |cx, stream| {
        let group = stream.group(args.get(3)).ok_or_else(|| no_group(args.get(2), args.get(3)))?;
        let (reply, now_ms) = (&mut cx.reply, cx.store.now_ms as i64);
        // Clocks may step backwards, idle times do not.
        let since = |time: i64| now_ms.saturating_sub(time).max(0);
        reply.array(group.consumers_len());
        for (_, consumer) in group.consumers() {
            reply.map(4);
            reply.bulk(b"name");
            reply.bulk(consumer.name());
            write_number(reply, "pending", consumer.pending_len());
            reply.bulk(b"idle");
            reply.integer(since(consumer.seen));
            reply.bulk(b"inactive");
            reply.integer(consumer.active.map_or(-1, since));
        }
        Ok(())
    })
}

fn groups(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    inspect(cx, args, |cx, stream| {
        let reply = &mut cx.reply;
        reply.array(stream.groups().len());
        for group in stream.groups() {
            reply.map(6);
            reply.bulk(b"name");
            reply.bulk(group.name());
            write_number(reply, "consumers", group.consumers_len() as u64);
            write_number(reply, "pending", group.pending_len());
            write_progress(reply, stream, group);
        }
        Ok(())
    })
}

/// Replies how far a group has read: the last ID, how many entries, and how many it has yet to read.
fn write_progress(reply: &mut Reply<'_>, stream: &Stream, group: &stream::Group) {
    reply.bulk(b"last-delivered-id");
    write_id(reply, group.last_delivered);
    reply.bulk(b"entries-read");
    match group.entries_read {
        Some(read) => reply.integer(read as i64),
        None => reply.null(),
    }
    reply.bulk(b"lag");
    match group.lag(stream) {
        Some(lag) => reply.integer(lag),
        None => reply.null(),
    }
}

fn write_number(reply: &mut Reply<'_>, name: &str, value: u64) {
    reply.bulk(name.as_bytes());
    reply.integer(value as i64);
}

/// How many entries of each list are told in full, unless `COUNT` says otherwise.
const FULL_COUNT: u64 = 10;

fn stream(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    inspect(cx, args, |cx, stream| {
        let full = full_count(args)?;
        let reply = &mut cx.reply;
        reply.map(if full.is_some() { 9 } else { 10 });
        write_number(reply, "length", stream.len());
        write_number(reply, "radix-tree-keys", stream.nodes() as u64);
        // The least that a tree of so many keys has: them and the root.
        write_number(reply, "radix-tree-nodes", stream.nodes() as u64 + 1);
        reply.bulk(b"last-generated-id");
        write_id(reply, stream.last_id());
        reply.bulk(b"max-deleted-entry-id");
        write_id(reply, stream.max_deleted_id());
        write_number(reply, "entries-added", stream.entries_added());
        reply.bulk(b"recorded-first-entry-id");
        write_id(reply, stream.first_id());
        match full {
            None => write_edges(reply, stream),
            Some(count) => write_full(reply, stream, count),
        }
        Ok(())
    })
}

/// The `COUNT` of `FULL`, if that is asked for.
fn full_count(args: Args<'_>) -> Result<Option<u64>, Error> {
    let options = args.skip(3);
    let is = |at: usize, word: &[u8]| options.nth(at).is_some_and(|option| option.eq_ignore_ascii_case(word));
    match options.len() {
        0 => Ok(None),
        1 if is(0, b"full") => Ok(Some(FULL_COUNT)),
        3 if is(0, b"full") && is(1, b"count") => {
            Ok(Some(u64::try_from(parse_integer(options.get(2), None)?).unwrap_or(FULL_COUNT)))
        }
        _ => Err(subcommand_syntax("XINFO", args.get(1))),
    }
}

fn write_edges(reply: &mut Reply<'_>, stream: &Stream) {
    write_number(reply, "groups", stream.groups().len() as u64);
    let (first, last) = (stream.range(StreamId::MIN, StreamId::MAX), stream.range_back(StreamId::MIN, StreamId::MAX));
    for (name, mut entries) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name.as_bytes());
        match entries.next() {
            Some(record) => write_entry(reply, record),
            None => reply.null(),
        }
    }
}

fn write_full(reply: &mut Reply<'_>, stream: &Stream, count: u64) {
    reply.bulk(b"entries");
    write_entries(reply, stream.range(StreamId::MIN, StreamId::MAX), count);
    let most = if count == 0 { usize::MAX } else { usize::try_from(count).unwrap_or(usize::MAX) };
    reply.bulk(b"groups");
    reply.array(stream.groups().len());
    for group in stream.groups() {
        reply.map(7);
        reply.bulk(b"name");
        reply.bulk(group.name());
        write_progress(reply, stream, group);
        write_number(reply, "pel-count", group.pending_len());
        reply.bulk(b"pending");
        let mark = reply.begin();
        let mut written = 0;
        for pending in group.pending_from(StreamId::MIN).take(most) {
            reply.array(4);
            write_id(reply, pending.id);
            reply.bulk(group.consumer(pending.consumer).map_or(&[], |consumer| consumer.name()));
            reply.integer(pending.time);
            reply.integer(pending.count as i64);
            written += 1;
        }
        reply.end_array(mark, written);
        reply.bulk(b"consumers");
        reply.array(group.consumers_len());
        for (_, consumer) in group.consumers() {
            write_consumer(reply, group, consumer, most);
        }
    }
}

fn write_consumer(reply: &mut Reply<'_>, group: &stream::Group, consumer: &stream::Consumer, most: usize) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    reply.bulk(b"seen-time");
    reply.integer(consumer.seen);
    reply.bulk(b"active-time");
    reply.integer(consumer.active.unwrap_or(-1));
    write_number(reply, "pel-count", consumer.pending_len());
    reply.bulk(b"pending");
    let mark = reply.begin();
    let mut written = 0;
    for pending in consumer.pending_from(StreamId::MIN).take(most).filter_map(|id| group.pending(id)) {
        reply.array(3);
        write_id(reply, pending.id);
        reply.integer(pending.time);
        reply.integer(pending.count as i64);
        written += 1;
    }
    reply.end_array(mark, written);
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    fn rig() -> Rig {
        let mut rig = Rig::new();
        for ms in 1..=3 {
            rig.run(&format!("XADD s {ms}-0 f v"));
        }
        rig.run("XGROUP CREATE s g 0");
        rig.run("XREADGROUP GROUP g c COUNT 1 STREAMS s >");
        rig.run("XGROUP CREATECONSUMER s g d");
        rig
    }

    const HEAD: &str = "$6|length|:3|$15|radix-tree-keys|:1|$16|radix-tree-nodes|:2|$17|last-generated-id|$3|3-0|\
                        $20|max-deleted-entry-id|$3|0-0|$13|entries-added|:3|$23|recorded-first-entry-id|$3|1-0";
    const PROGRESS: &str = "$17|last-delivered-id|$3|1-0|$12|entries-read|:1|$3|lag|:2";

    #[test]
    fn streams_are_described() {
        let mut rig = rig();
        let entry = |ms: u32| format!("*2|$3|{ms}-0|*2|$1|f|$1|v");
        rig.check(&[(
            "XINFO STREAM s",
            &format!("*20|{HEAD}|$6|groups|:1|$11|first-entry|{}|$10|last-entry|{}", entry(1), entry(3)),
        )]);
        let now = rig.worker.now_ms;
        let pending = format!("$9|pel-count|:1|$7|pending|*1|*4|$3|1-0|$1|c|:{now}|:1");
        let c = format!(
            "*10|$4|name|$1|c|$9|seen-time|:{now}|$11|active-time|:{now}|$9|pel-count|:1|$7|pending|*1|*3|$3|1-0|:{now}|:1"
        );
        let d = format!("*10|$4|name|$1|d|$9|seen-time|:{now}|$11|active-time|:-1|$9|pel-count|:0|$7|pending|*0");
        let group = format!("*14|$4|name|$1|g|{PROGRESS}|{pending}|$9|consumers|*2|{c}|{d}");
        rig.check(&[
            (
                "XINFO STREAM s FULL COUNT 2",
                &format!("*18|{HEAD}|$7|entries|*2|{}|{}|$6|groups|*1|{group}", entry(1), entry(2)),
            ),
            (
                "XINFO STREAM s FULL COUNT 0",
                &format!("*18|{HEAD}|$7|entries|*3|{}|{}|{}|$6|groups|*1|{group}", entry(1), entry(2), entry(3)),
            ),
        ]);
        rig.run("HELLO 3");
        rig.run("XTRIM s MAXLEN 0");
        let empty = rig.run("XINFO STREAM s");
        assert!(empty.starts_with("%10|") && empty.ends_with("|$11|first-entry|_|$10|last-entry|_"), "{empty}");
    }

    #[test]
    fn groups_and_consumers_are_described() {
        let mut rig = rig();
        rig.pass(20);
        rig.check(&[
            ("XINFO GROUPS s", &format!("*1|*12|$4|name|$1|g|$9|consumers|:2|$7|pending|:1|{PROGRESS}")),
            (
                "XINFO CONSUMERS s g",
                "*2|*8|$4|name|$1|c|$7|pending|:1|$4|idle|:20|$8|inactive|:20\
                 |*8|$4|name|$1|d|$7|pending|:0|$4|idle|:20|$8|inactive|:-1",
            ),
            ("XGROUP SETID s g 2-0", "+OK"),
            (
                "XINFO GROUPS s",
                "*1|*12|$4|name|$1|g|$9|consumers|:2|$7|pending|:1|$17|last-delivered-id|$3|2-0|$12|entries-read|$-1|$3|lag|$-1",
            ),
        ]);
    }

    #[test]
    fn requests_are_checked() {
        let mut rig = rig();
        let syntax = "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.";
        rig.check(&[
            ("XINFO STREAM nokey FOO", "-ERR no such key"),
            ("XINFO STREAM s FOO", syntax),
            ("XINFO STREAM s FULL COUNT", syntax),
            ("XINFO STREAM s FULL FOO 1", syntax),
            ("XINFO STREAM s FULL COUNT x", "-ERR value is not an integer or out of range"),
            ("XINFO CONSUMERS s h", "-NOGROUP No such consumer group 'h' for key name 's'"),
            ("XINFO CONSUMERS s", "-ERR wrong number of arguments for 'xinfo|consumers' command"),
            ("SET string v", "+OK"),
            ("XINFO GROUPS string", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
        assert!(rig.run("XINFO HELP").starts_with("*9|+XINFO <subcommand> "));
    }
}
