//! `XGROUP` and `XACK`: consumer groups, their consumers, and what these are done with.

use super::collection::{change, change_or_create};
use super::stream_syntax::{check_ids, no_group, parse_edge, parse_id, parse_integer, subcommand_syntax};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec, help};
use crate::protocol::Args;
use crate::store::{Entry, Event, Kind};
use crate::value::stream::{self, Stream, StreamId};

const INSERT: &[KeySpec] = &[KeySpec::at(2, Access::RW.and(Access::INSERT))];
const UPDATE: &[KeySpec] = &[KeySpec::at(2, Access::RW.and(Access::UPDATE))];
const DELETE: &[KeySpec] = &[KeySpec::at(2, Access::RW.and(Access::DELETE))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::container("xgroup", SUBCOMMANDS)
        .group(Group::Stream)
        .since("5.0.0")
        .doc("Creates, changes and destroys the consumer groups of a stream.", ""),
    Command::new("xack", -4, xack)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::UPDATE))])
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(log N) for each entry, where N is the number of pending ones.")
        .doc("Acknowledges entries, which then are no longer pending for their consumer.", "key group id ..."),
];

const SUBCOMMANDS: &[Command] = &[
    sub("create", -5, create)
        .flags(Flags::WRITE.and(Flags::DENYOOM))
        .keys(INSERT)
        .doc("Creates a consumer group.", "key group <id|$> [MKSTREAM] [ENTRIESREAD entries-read:integer]"),
    sub("createconsumer", 5, create_consumer)
        .flags(Flags::WRITE.and(Flags::DENYOOM))
        .keys(INSERT)
        .since("6.2.0")
        .doc("Creates a consumer of a group.", "key group consumer"),
    sub("delconsumer", 5, delete_consumer)
        .keys(DELETE)
        .complexity("O(N log N) where N is the number of entries pending for the consumer.")
        .doc("Deletes a consumer of a group with what is pending for it.", "key group consumer"),
    sub("destroy", 4, destroy)
        .keys(DELETE)
        .complexity("O(N) where N is the number of entries pending in the group.")
        .doc("Destroys a consumer group.", "key group"),
    help::row(Group::Stream, "5.0.0"),
    sub("setid", -5, set_id)
        .keys(UPDATE)
        .doc("Sets the last delivered ID of a group.", "key group <id|$> [ENTRIESREAD entries-read:integer]"),
];

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(Flags::WRITE).group(Group::Stream).since("5.0.0")
}

/// The stream does not exist.
fn no_stream() -> Error {
    Error::new(
        "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
         to create an empty stream automatically.",
    )
}

/// What stands behind the ID of CREATE and SETID.
#[derive(Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, creates: bool) -> Result<Options, Error> {
        let mut options = Options::default();
        let mut at = 5;
        while let Some(word) = args.nth(at) {
            if creates && word.eq_ignore_ascii_case(b"mkstream") {
                options.make_stream = true;
                at += 1;
            } else if word.eq_ignore_ascii_case(b"entriesread") && at + 1 < args.len() {
                let read = parse_integer(args.get(at + 1), None)?;
                if read < -1 {
                    return Err(Error::new("value for ENTRIESREAD must be positive or -1"));
                }
                // -1 is Redis's way to say that it is not known.
                options.entries_read = u64::try_from(read).ok();
                at += 2;
            } else {
                return Err(subcommand_syntax("XGROUP", args.get(1)));
            }
        }
        Ok(options)
    }
}

fn create(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let Options { make_stream, entries_read } = Options::parse(args, true)?;
    let (store, key, name) = (cx.store, args.get(2), args.get(3));
    store.update(key, |entry| {
        check_type(entry)?;
        if !make_stream && entry.record().is_none() {
            return Err(no_stream());
        }
        // Words that only repeat others were looked at above; so many of them are refused here.
        if args.len() > 8 {
            return Err(subcommand_syntax("XGROUP", args.get(1)));
        }
        change_or_create(entry, Stream::new, |stream| {
            let id = match args.get(4) {
                b"$" => stream.last_id(),
                id => parse_id(id, 0)?,
            };
            let created = stream.create_group(name, id, entries_read).is_some();
            if created { Ok(()) } else { Err(Error::coded("BUSYGROUP Consumer Group name already exists")) }
        })?;
        store.changed(key, Event::stream("xgroup-create"));
        Ok(())
    })?;
    cx.reply.ok();
    Ok(())
}

fn check_type(entry: &Entry<'_>) -> Result<(), Error> {
    if entry.kind().is_some_and(|kind| kind != Kind::Stream) { Err(Error::WRONG_TYPE) } else { Ok(()) }
}

/// Changes a group that has to be there.
fn change_group<R>(
    cx: &Context<'_>,
    args: Args<'_>,
    change_group: impl FnOnce(&mut stream::Group, StreamId) -> Result<R, Error>,
) -> Result<R, Error> {
    let (key, name) = (args.get(2), args.get(3));
    cx.store.update(key, |entry| {
        let changed = change(entry, |stream: &mut Stream| {
            let last = stream.last_id();
            change_group(stream.group_mut(name).ok_or_else(|| no_group(key, name))?, last)
        })?;
        changed.map(|changed| changed.result).ok_or_else(no_stream)
    })
}

fn set_id(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(args, false)?;
    change_group(cx, args, |group, last| {
        if args.len() > 7 {
            return Err(subcommand_syntax("XGROUP", args.get(1)));
        }
        group.last_delivered = match args.get(4) {
            b"$" => last,
            id => parse_edge(id, 0)?,
        };
        group.entries_read = options.entries_read;
        Ok(())
    })?;
    cx.store.changed(args.get(2), Event::stream("xgroup-setid"));
    cx.reply.ok();
    Ok(())
}

fn destroy(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, key) = (cx.store, args.get(2));
    let changed =
        store.update(key, |entry| change(entry, |stream: &mut Stream| Ok(stream.destroy_group(args.get(3)))))?;
    let destroyed = changed.ok_or_else(no_stream)?.result;
    if destroyed {
        store.changed(key, Event::stream("xgroup-destroy"));
    }
    cx.reply.integer(destroyed.into());
    Ok(())
}

fn create_consumer(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let now_ms = cx.now_ms() as i64;
    let created = change_group(cx, args, |group, _| Ok(group.consumer_or_create(args.get(4), now_ms).1))?;
    if created {
        cx.store.changed(args.get(2), Event::stream("xgroup-createconsumer"));
    }
    cx.reply.integer(created.into());
    Ok(())
}

fn delete_consumer(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let pending = change_group(cx, args, |group, _| Ok(group.delete_consumer(args.get(4))))?;
    if pending.is_some() {
        cx.store.changed(args.get(2), Event::stream("xgroup-delconsumer"));
    }
    cx.reply.integer(pending.unwrap_or(0) as i64);
    Ok(())
}

fn xack(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, key) = (cx.store, args.get(1));
    let acknowledged = store.update(key, |entry| {
        // IDs are looked at only where there is a group, as in Redis; all of them before the first is acknowledged.
        let changed = change(entry, |stream: &mut Stream| {
            let Some(group) = stream.group_mut(args.get(2)) else { return Ok(0) };
            check_ids(args.skip(3))?;
            let ids = args.skip(3).iter().filter_map(|text| parse_id(text, 0).ok());
            Ok(ids.filter(|id| group.acknowledge(*id)).count() as u64)
        })?;
        Ok::<_, Error>(changed.map_or(0, |changed| changed.result))
    })?;
    if acknowledged > 0 {
        store.changed(key, Event::silent("xack"));
        store.count_changes(acknowledged - 1);
    }
    cx.reply.integer(acknowledged as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn groups_come_and_go() {
        let mut rig = Rig::new();
        let no_stream = "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to \
                         use the MKSTREAM option to create an empty stream automatically.";
        rig.check(&[
            ("XGROUP CREATE s g 0", no_stream),
            ("XGROUP DESTROY s g", no_stream),
            ("XGROUP SETID s g 0", no_stream),
            ("XGROUP CREATE s g x MKSTREAM", "-ERR Invalid stream ID specified as stream command argument"),
            ("EXISTS s", ":0"),
            ("XGROUP CREATE s g $ MKSTREAM", "+OK"),
            ("XLEN s", ":0"),
            ("XGROUP CREATE s g 0", "-BUSYGROUP Consumer Group name already exists"),
            ("XGROUP CREATE s h 0 ENTRIESREAD -2", "-ERR value for ENTRIESREAD must be positive or -1"),
            ("XGROUP CREATE s h 0 ENTRIESREAD x", "-ERR value is not an integer or out of range"),
            (
                "XGROUP CREATE s h 0 FOO",
                "-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.",
            ),
            (
                "XGROUP create s h 0 ENTRIESREAD 1 MKSTREAM MKSTREAM",
                "-ERR unknown subcommand or wrong number of arguments for 'create'. Try XGROUP HELP.",
            ),
            ("XGROUP SETID s h 0", "-NOGROUP No such consumer group 'h' for key name 's'"),
            ("XGROUP SETID s g 5-5 ENTRIESREAD 3", "+OK"),
            ("XGROUP SETID s g +", "+OK"),
            ("XGROUP DESTROY s g", ":1"),
            ("XGROUP DESTROY s g", ":0"),
            ("SET string v", "+OK"),
            ("XGROUP CREATE string g 0 MKSTREAM", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XGROUP DESTROY string g", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XACK string g 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn consumers_come_and_go() {
        let mut rig = Rig::new();
        rig.check(&[
            ("XADD s 1-0 f v", "$3|1-0"),
            ("XGROUP CREATE s g 0", "+OK"),
            ("XGROUP CREATECONSUMER s g c", ":1"),
            ("XGROUP CREATECONSUMER s g c", ":0"),
            ("XGROUP CREATECONSUMER s h c", "-NOGROUP No such consumer group 'h' for key name 's'"),
            ("XREADGROUP GROUP g c STREAMS s >", "*1|*2|$1|s|*1|*2|$3|1-0|*2|$1|f|$1|v"),
            ("XACK s g 1-0 x", "-ERR Invalid stream ID specified as stream command argument"),
            ("XACK s nogroup x", ":0"),
            ("XACK nokey g x", ":0"),
            ("XGROUP DELCONSUMER s g c", ":1"),
            ("XGROUP DELCONSUMER s g c", ":0"),
            ("XACK s g 1-0", ":0"),
            ("XGROUP SETID s g 0", "+OK"),
            ("XREADGROUP GROUP g d STREAMS s >", "*1|*2|$1|s|*1|*2|$3|1-0|*2|$1|f|$1|v"),
            ("XACK s g 1-0 1-0 2-0", ":1"),
            ("XGROUP FOO", "-ERR unknown subcommand 'FOO'. Try XGROUP HELP."),
        ]);
        assert!(rig.run("XGROUP HELP").starts_with("*13|+XGROUP <subcommand> "));
    }
}
