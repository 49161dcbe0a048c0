//! `XREAD` and `XREADGROUP`: what is new in several streams.
//!
//! A request is resolved once, which turns `$` and `+` into IDs, and then served: [`serve`] replies if any stream has
//! something and otherwise writes nothing, so that it can be called again when a stream has changed.

use std::borrow::Cow;

use super::block::Block;
use super::collection::collection_of;
use super::stream_syntax::{no_key_or_group, parse_id, parse_integer, quoting, write_entries, write_entry, write_id};
use super::{Access, Begin, Command, Context, Error, Find, Flags, Group, KeySpec};
use crate::protocol::{Args, Frame};
use crate::store::{Event, Kind};
use crate::value::stream::{Read, Stream, StreamId};

const STREAMS: &str = "STREAMS";
/// The first argument at which XREADGROUP's `STREAMS` is sought: behind `GROUP`, the group and the consumer.
const GROUP_STREAMS_FROM: usize = 4;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("xread", -4, xread)
        .flags(Flags::READONLY.and(Flags::BLOCKING))
        .keys(&[streams(1)])
        .exclusive()
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(N) for each stream, where N is the number of entries returned.")
        .doc(
            "Returns the entries of streams behind given IDs.",
            "[COUNT count] [BLOCK milliseconds] STREAMS key ... id ...",
        ),
    Command::new("xreadgroup", -7, xreadgroup)
        .flags(Flags::WRITE.and(Flags::BLOCKING))
        .keys(&[streams(GROUP_STREAMS_FROM as i32)])
        .exclusive()
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(N log P) for each stream, where N is the number of entries returned and P of those pending.")
        .doc(
            "Returns entries of streams that no consumer of a group has got yet, or those pending for one.",
            "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key ... id ...",
        ),
];

/// Keys in the first half of what is behind `STREAMS`.
const fn streams(from: i32) -> KeySpec {
    KeySpec {
        access: Access::RO.and(Access::ACCESS),
        begin: Begin::Keyword(STREAMS, from),
        find: Find::Range { last: -1, step: 1, limit: 2 },
    }
}

/// Who reads for a group.
#[derive(Clone, Copy, Debug)]
struct Member<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
}

/// What XREAD or XREADGROUP asks for.
#[derive(Debug)]
struct Request<'a> {
    member: Option<Member<'a>>,
    /// The most entries of each stream; 0 is no limit.
    count: u64,
    /// How many milliseconds to wait if there is nothing, 0 for ever; `None` is not at all.
    block: Option<u64>,
    acknowledged: bool,
    keys: Args<'a>,
    ids: Args<'a>,
}

/// From where a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// The entries behind this ID; for a group those that are pending for the consumer.
    Behind(StreamId),
    /// What the group has not delivered yet (`>`).
    New,
}

/// The starts of all streams of a request. Few of them need no allocation.
#[derive(Debug)]
struct Starts {
    few: [Start; 4],
    more: Vec<Start>,
}

impl Starts {
    fn new() -> Self {
        Starts { few: [Start::New; 4], more: Vec::new() }
    }

    fn set(&mut self, stream: usize, start: Start) {
        match self.few.get_mut(stream) {
            Some(place) => *place = start,
            None => self.more.push(start),
        }
    }

    fn get(&self, stream: usize) -> Start {
        let few = self.few.len();
        if stream < few { self.few[stream] } else { self.more.get(stream - few).copied().unwrap_or(Start::New) }
    }
}

impl<'a> Request<'a> {
    /// Reads the options. IDs are looked at when the request is resolved.
    fn parse(args: Args<'a>, in_group: bool, name: &str, now_ms: u64) -> Result<Self, Error> {
        let none = Args::EMPTY;
        let mut request = Request { member: None, count: 0, block: None, acknowledged: false, keys: none, ids: none };
        let mut at = 1;
        loop {
            let word = args.nth(at).ok_or(Error::SYNTAX)?;
            let more = args.len() - at - 1;
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("BLOCK") && more >= 1 {
                request.block = Some(parse_timeout(args.get(at + 1), now_ms)?);
                at += 2;
            } else if is("COUNT") && more >= 1 {
                request.count = parse_integer(args.get(at + 1), None)?.max(0) as u64;
                at += 2;
            } else if is(STREAMS) && more >= 1 {
                break;
            } else if is("GROUP") && more >= 2 {
                if !in_group {
                    return Err(only_in_group("GROUP"));
                }
                request.member = Some(Member { group: args.get(at + 1), consumer: args.get(at + 2) });
                at += 3;
            } else if is("NOACK") {
                if !in_group {
                    return Err(only_in_group("NOACK"));
                }
                request.acknowledged = true;
                at += 1;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        request.take_streams(args, at, in_group, name)?;
        Ok(request)
    }

    /// Takes the keys and IDs behind `STREAMS`, which is the argument `at`.
    fn take_streams(&mut self, args: Args<'a>, at: usize, in_group: bool, name: &str) -> Result<(), Error> {
        let list = args.skip(at + 1);
        if list.len() % 2 == 1 {
            let sign = if in_group { '>' } else { '$' };
            return Err(Error::new(format!(
                "Unbalanced '{name}' list of streams: for each stream key an ID or '{sign}' must be specified."
            )));
        }
        if in_group && self.member.is_none() {
            return Err(Error::new("Missing GROUP option for XREADGROUP"));
        }
        // The shards of the keys were entered by the first STREAMS that can be the option, so it has to be this one.
        let mistaken = |at: usize| args.get(at).eq_ignore_ascii_case(STREAMS.as_bytes());
        if in_group && (GROUP_STREAMS_FROM..at).any(mistaken) {
            return Err(Error::new("GROUP must be the first option if the group or the consumer is named STREAMS"));
        }
        let half = list.len() / 2;
        (self.keys, self.ids) = (list.range(0..half), list.skip(half));
        Ok(())
    }
}

fn only_in_group(option: &str) -> Error {
    Error::new(format!("The {option} option is only supported by XREADGROUP. You called XREAD instead."))
}

fn parse_timeout(text: &[u8], now_ms: u64) -> Result<u64, Error> {
    let timeout = parse_integer(text, "ERR timeout is not an integer or out of range")?;
    let timeout = u64::try_from(timeout).map_err(|_| Error::new("timeout is negative"))?;
    if timeout > i64::MAX as u64 - now_ms.min(i64::MAX as u64) {
        return Err(Error::new("timeout is out of range"));
    }
    Ok(timeout)
}

fn xread(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args, false)
}

fn xreadgroup(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args, true)
}

fn read(cx: &mut Context<'_>, args: Args<'_>, in_group: bool) -> Result<(), Error> {
    let request = Request::parse(args, in_group, cx.command.full_name(), cx.now_ms())?;
    let starts = resolve(cx, &request)?;
    if serve(cx, &request, &starts)? {
        return Ok(());
    }
    let Some(ms) = request.block else {
        cx.reply.null_array();
        return Ok(());
    };
    let block = Block {
        keys: request.keys.iter().collect(),
        kind: Some(Kind::Stream),
        // A group that is gone with its stream is an error, not a reason to wait for ever.
        minds_removal: in_group,
        deadline_ms: (ms > 0).then(|| cx.now_ms().saturating_add(ms)),
        args: resolved(args, &request, &starts),
    };
    cx.block(block, |reply| reply.null_array())
}

/// The request with the IDs that its signs stood for when it came: what `$` means must not move while it waits.
fn resolved(args: Args<'_>, request: &Request<'_>, starts: &Starts) -> Frame {
    let first = args.len() - request.ids.len();
    let ids = request.ids.iter().enumerate().map(|(stream, id)| match starts.get(stream) {
        Start::Behind(id) => Cow::Owned(id.to_string().into_bytes()),
        Start::New => Cow::Borrowed(id),
    });
    args.range(0..first).iter().map(Cow::Borrowed).chain(ids).collect()
}

/// Finds out from where each stream is to be read, and that there is what the request names. Changes nothing.
fn resolve(cx: &Context<'_>, request: &Request<'_>) -> Result<Starts, Error> {
    let mut starts = Starts::new();
    for (stream, (key, id)) in request.keys.iter().zip(request.ids).enumerate() {
        let start = cx.store.read(key, |record| {
            cx.count_lookup(record.is_some());
            let found = collection_of::<Stream>(record)?;
            let found = found.as_deref();
            match request.member {
                Some(Member { group, .. }) => {
                    found.and_then(|stream| stream.group(group)).ok_or_else(|| missing(key, group))?;
                    resolve_in_group(id)
                }
                None => resolve_alone(id, found).map(Start::Behind),
            }
        })?;
        starts.set(stream, start);
    }
    Ok(starts)
}

fn missing(key: &[u8], group: &[u8]) -> Error {
    match no_key_or_group(key, group) {
        Error::Quoting(text) => quoting(&[&text, b" in XREADGROUP with GROUP option"]),
        other => other,
    }
}

fn resolve_in_group(id: &[u8]) -> Result<Start, Error> {
    if let b"$" | b"+" = id {
        let sign = char::from(id[0]);
        return Err(Error::new(format!(
            "The {sign} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer \
             by specifying a proper ID, or use the > ID to get new messages. The {sign} ID would just return an empty \
             result set."
        )));
    }
    match id {
        b">" => Ok(Start::New),
        // Behind the last ID there is nothing; Redis keeps it to mean the same as `>`.
        id => parse_id(id, 0).map(|id| if id == StreamId::MAX { Start::New } else { Start::Behind(id) }),
    }
}

fn resolve_alone(id: &[u8], stream: Option<&Stream>) -> Result<StreamId, Error> {
    match id {
        b"$" => Ok(stream.map_or(StreamId::MIN, Stream::last_id)),
        // The last entry itself is wanted; without one, whatever comes next.
        b"+" => Ok(stream.map_or(StreamId::MIN, |stream| {
            stream.last_entry_id().and_then(StreamId::previous).unwrap_or(stream.last_id())
        })),
        b">" => Err(Error::new(
            "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        id => parse_id(id, 0),
    }
}

/// Replies what the streams have, if any has something; tells whether it did.
fn serve(cx: &mut Context<'_>, request: &Request<'_>, starts: &Starts) -> Result<bool, Error> {
    let mark = cx.reply.begin();
    let mut served = 0;
    for (stream, key) in request.keys.iter().enumerate() {
        let start = starts.get(stream);
        let replied = match (request.member, start) {
            (Some(member), _) => serve_member(cx, request, key, member, start)?,
            (None, Start::Behind(id)) => serve_alone(cx, request, key, id)?,
            (None, Start::New) => false,
        };
        served += usize::from(replied);
    }
    if served > 0 {
        if cx.reply.is_resp3() { cx.reply.end_map(mark, served) } else { cx.reply.end_array(mark, served) }
    }
    Ok(served > 0)
}

/// Begins the reply of one stream: a pair of a map in RESP3, an array of both in RESP2.
fn write_key(cx: &mut Context<'_>, key: &[u8]) {
    if !cx.reply.is_resp3() {
        cx.reply.array(2);
    }
    cx.reply.bulk(key);
}

fn serve_alone(cx: &mut Context<'_>, request: &Request<'_>, key: &[u8], behind: StreamId) -> Result<bool, Error> {
    let Some(start) = behind.next() else { return Ok(false) };
    let store = cx.store;
    store.read(key, |record| {
        let Some(stream) = collection_of::<Stream>(record)? else { return Ok(false) };
        let mut entries = stream.range(start, StreamId::MAX).peekable();
        if entries.peek().is_none() {
            return Ok(false);
        }
        write_key(cx, key);
        write_entries(&mut cx.reply, entries, request.count);
        Ok(true)
    })
}

fn serve_member(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    key: &[u8],
    member: Member<'_>,
    start: Start,
) -> Result<bool, Error> {
    let (store, now_ms) = (cx.store, cx.now_ms() as i64);
    store.update(key, |entry| {
        let found = entry.collection_mut::<Stream>().map_err(|_| Error::WRONG_TYPE)?;
        let stream = found.ok_or_else(|| missing(key, member.group))?;
        let group = stream.group_mut(member.group).ok_or_else(|| missing(key, member.group))?;
        let delivered = group.last_delivered;
        let (consumer, created) = group.consumer_or_create(member.consumer, now_ms);
        if let Some(consumer) = group.consumer_mut(consumer) {
            consumer.seen = now_ms;
        }
        if created {
            store.changed(key, Event::stream("xgroup-createconsumer"));
        }
        let read = Read { consumer, count: request.count, acknowledged: request.acknowledged, now_ms };
        match start {
            Start::New if stream.last_entry_id() <= Some(delivered) => return Ok(false),
            Start::New => {
                write_key(cx, key);
                let (mark, reply) = (cx.reply.begin(), &mut cx.reply);
                let written = stream.deliver(member.group, read, |record| write_entry(reply, record));
                reply.end_array(mark, written as usize);
            }
            Start::Behind(id) => {
                write_key(cx, key);
                let (mark, reply) = (cx.reply.begin(), &mut cx.reply);
                let start = id.next().unwrap_or(StreamId::MAX);
                let written = stream.deliver_again(member.group, read, start, |id, record| match record {
                    Some(record) => write_entry(reply, record),
                    None => {
                        reply.array(2);
                        write_id(reply, id);
                        reply.null_array();
                    }
                });
                reply.end_array(mark, written as usize);
            }
        }
        store.changed(key, Event::silent("xreadgroup"));
        Ok(true)
    })
}

#[cfg(test)]
#[path = "stream_read_tests.rs"]
mod tests;
