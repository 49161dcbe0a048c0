//! `XPENDING`, `XCLAIM` and `XAUTOCLAIM`: what consumers have not acknowledged, and giving it to others.

use super::collection::collection_of;
use super::stream_syntax::{
    no_key_or_group, parse_end, parse_id, parse_integer, parse_start, quoting, write_entry, write_id,
};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, Reply};
use crate::store::{Entry, Event};
use crate::value::stream::{self, Claim, Claimed, ConsumerId, Stream, StreamId};

const TIPS: &[&str] = &["nondeterministic_output"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("xpending", -3, xpending)
        .flags(Flags::READONLY)
        .keys(&[KeySpec::at(1, Access::RO.and(Access::ACCESS))])
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(N) where N is the number of entries looked at, or of consumers for the summary.")
        .tips(TIPS)
        .doc(
            "Tells what the consumers of a group have not acknowledged.",
            "key group [[IDLE min-idle-time:integer] start:string end:string count [consumer]]",
        ),
    Command::new("xclaim", -6, xclaim)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::UPDATE))])
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(log N) for each entry, where N is the number of pending ones.")
        .tips(TIPS)
        .doc(
            "Gives pending entries to a consumer.",
            "key group consumer min-idle-time id ... [IDLE ms:integer] [TIME unix-time-milliseconds] \
             [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
        ),
    Command::new("xautoclaim", -6, xautoclaim)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::DELETE))])
        .group(Group::Stream)
        .since("6.2.0")
        .complexity("O(log N) for each entry looked at, at most ten times the count, where N is the number pending.")
        .tips(TIPS)
        .doc(
            "Gives entries that have been pending for long to a consumer.",
            "key group consumer min-idle-time start:string [COUNT count] [JUSTID]",
        ),
];

/// What XPENDING asks for beyond the summary.
struct Extended<'a> {
    min_idle: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Extended<'a> {
    /// Reads the words behind the group.
    fn parse(words: Args<'a>) -> Result<Option<Self>, Error> {
        if words.is_empty() {
            return Ok(None);
        }
        if !(3..=6).contains(&words.len()) {
            return Err(Error::SYNTAX);
        }
        let (mut min_idle, mut range) = (0, words);
        if words[0].eq_ignore_ascii_case(b"idle") {
            min_idle = parse_integer(words.get(1), None)?;
            range = words.skip(2);
            if range.len() < 3 {
                return Err(Error::SYNTAX);
            }
        }
        let count = parse_integer(range.get(2), None)?.max(0);
        let (start, end) = (parse_start(range.get(0))?, parse_end(range.get(1))?);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Some(Extended { min_idle, start, end, count, consumer: range.nth(3) }))
    }
}

fn xpending(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let extended = Extended::parse(args.skip(3))?;
    let (store, now_ms) = (cx.store, cx.now_ms() as i64);
    let (key, name) = (args.get(1), args.get(2));
    store.read(key, |record| {
        cx.count_lookup(record.is_some());
        let stream = collection_of::<Stream>(record)?;
        let group = stream.as_ref().and_then(|stream| stream.group(name));
        let group = group.ok_or_else(|| no_key_or_group(key, name))?;
        match extended {
            None => write_summary(&mut cx.reply, group),
            Some(wanted) => write_pending(&mut cx.reply, group, &wanted, now_ms),
        }
        Ok(())
    })
}

/// Replies how many entries are pending, the first and the last of them, and how many each consumer has.
fn write_summary(reply: &mut Reply<'_>, group: &stream::Group) {
    reply.array(4);
    reply.integer(group.pending_len() as i64);
    let Some((first, last)) = group.pending_edges() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(reply, first);
    write_id(reply, last);
    let mark = reply.begin();
    let mut consumers = 0;
    for (_, consumer) in group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0) {
        consumers += 1;
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
    }
    reply.end_array(mark, consumers);
}

fn write_pending(reply: &mut Reply<'_>, group: &stream::Group, wanted: &Extended<'_>, now_ms: i64) {
    let consumer = wanted.consumer.map(|name| group.find_consumer(name));
    if consumer == Some(None) {
        return reply.array(0);
    }
    let pending = group.pending_range(wanted.start..=wanted.end, consumer.flatten(), wanted.min_idle, now_ms);
    let mark = reply.begin();
    let mut written = 0;
    for pending in pending.take(wanted.count) {
        reply.array(4);
        write_id(reply, pending.id);
        reply.bulk(group.consumer(pending.consumer).map_or(&[], |consumer| consumer.name()));
        reply.integer(pending.idle(now_ms));
        reply.integer(pending.count as i64);
        written += 1;
    }
    reply.end_array(mark, written);
}

/// The options of XCLAIM behind its IDs.
#[derive(Default)]
struct ClaimOptions {
    force: bool,
    just_id: bool,
    /// When the entries count as delivered, in milliseconds since 1970.
    time: Option<i64>,
    count: Option<u64>,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(words: Args<'_>, now_ms: i64) -> Result<ClaimOptions, Error> {
        let mut options = ClaimOptions::default();
        let mut at = 0;
        while let Some(word) = words.nth(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            at += 1;
            if is("FORCE") {
                options.force = true;
                continue;
            }
            if is("JUSTID") {
                options.just_id = true;
                continue;
            }
            let Some(value) = words.nth(at) else { return Err(unrecognized(word)) };
            at += 1;
            if is("IDLE") {
                let idle = parse_integer(value, "ERR Invalid IDLE option argument for XCLAIM")?;
                options.time = Some(now_ms.wrapping_sub(idle));
            } else if is("TIME") {
                options.time = Some(parse_integer(value, "ERR Invalid TIME option argument for XCLAIM")?);
            } else if is("RETRYCOUNT") {
                let count = parse_integer(value, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.count = u64::try_from(count).ok();
            } else if is("LASTID") {
                options.last_id = parse_id(value, 0)?;
            } else {
                return Err(unrecognized(word));
            }
        }
        Ok(options)
    }
}

fn unrecognized(word: &[u8]) -> Error {
    quoting(&[b"ERR Unrecognized XCLAIM option '", word, b"'"])
}

/// A stream with a group that has to be there.
fn stream_of<'e>(entry: &'e mut Entry<'_>, key: &[u8], group: &[u8]) -> Result<&'e mut Stream, Error> {
    let stream = entry.collection_mut::<Stream>().map_err(|_| Error::WRONG_TYPE)?;
    stream.filter(|stream| stream.group(group).is_some()).ok_or_else(|| no_key_or_group(key, group))
}

/// The consumer that claims, seen now; it is created if it is not there.
fn claimant(cx: &Context<'_>, stream: &mut Stream, args: Args<'_>) -> Result<ConsumerId, Error> {
    let (key, name, now_ms) = (args.get(1), args.get(2), cx.now_ms() as i64);
    let group = stream.group_mut(name).ok_or_else(|| no_key_or_group(key, name))?;
    let (id, created) = group.consumer_or_create(args.get(3), now_ms);
    if let Some(consumer) = group.consumer_mut(id) {
        consumer.seen = now_ms;
    }
    if created {
        cx.store.changed(key, Event::stream("xgroup-createconsumer"));
    }
    Ok(id)
}

fn write_claimed(reply: &mut Reply<'_>, record: stream::Record<'_>, just_id: bool) {
    if just_id {
        write_id(reply, record.id);
    } else {
        write_entry(reply, record);
    }
}

fn xclaim(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, key, now_ms) = (cx.store, args.get(1), cx.now_ms() as i64);
    let changes = store.update(key, |entry| {
        let stream = stream_of(entry, key, args.get(2))?;
        let min_idle = parse_integer(args.get(4), "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
        let ids = args.skip(5).iter().take_while(|text| parse_id(text, 0).is_ok()).count();
        let options = ClaimOptions::parse(args.skip(5 + ids), now_ms)?;
        // A bogus time is taken for now rather than refused, because clients compute it from clocks of their own.
        let time = options.time.filter(|time| (0..=now_ms).contains(time)).unwrap_or(now_ms);
        let mut moved = false;
        if let Some(group) = stream.group_mut(args.get(2)).filter(|group| group.last_delivered < options.last_id) {
            group.last_delivered = options.last_id;
            moved = true;
        }
        let consumer = claimant(cx, stream, args)?;
        let ClaimOptions { force, just_id, count, .. } = options;
        let claim = Claim { consumer, min_idle, time, count, just_id, force, now_ms };
        let mark = cx.reply.begin();
        let (mut taken, mut gone) = (0, 0);
        for id in args.range(5..5 + ids).iter().filter_map(|text| parse_id(text, 0).ok()) {
            match stream.claim(args.get(2), id, claim) {
                Some(Claimed::Taken(record, _)) => {
                    write_claimed(&mut cx.reply, record, just_id);
                    taken += 1;
                }
                Some(Claimed::Gone(_)) => gone += 1,
                None => {}
            }
        }
        cx.reply.end_array(mark, taken);
        Ok::<_, Error>(match taken + gone {
            0 => u64::from(moved),
            claimed => claimed as u64,
        })
    })?;
    report(cx, key, "xclaim", changes);
    Ok(())
}

fn report(cx: &Context<'_>, key: &[u8], name: &'static str, changes: u64) {
    if changes > 0 {
        cx.store.changed(key, Event::silent(name));
        cx.store.count_changes(changes - 1);
    }
}

/// The most that `COUNT` of XAUTOCLAIM may say: Redis's limit, a sixteenth of a C `long`.
const COUNT_MAX: i64 = i64::MAX / 16;

fn xautoclaim(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let min_idle = parse_integer(args.get(4), "ERR Invalid min-idle-time argument for XAUTOCLAIM")?.max(0);
    let start = parse_start(args.get(5))?;
    let (mut count, mut just_id) = (100, false);
    let mut at = 6;
    while let Some(word) = args.nth(at) {
        if word.eq_ignore_ascii_case(b"count") && at + 1 < args.len() {
            let error = "ERR COUNT must be > 0";
            count = parse_integer(args.get(at + 1), error)?;
            if !(1..=COUNT_MAX).contains(&count) {
                return Err(Error::coded(error));
            }
            at += 2;
        } else if word.eq_ignore_ascii_case(b"justid") {
            just_id = true;
            at += 1;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let (store, key, now_ms) = (cx.store, args.get(1), cx.now_ms() as i64);
    let changes = store.update(key, |entry| {
        let stream = stream_of(entry, key, args.get(2))?;
        let consumer = claimant(cx, stream, args)?;
        let claim = Claim { consumer, min_idle, time: now_ms, count: None, just_id, force: false, now_ms };
        // The entries are written aside, because where to go on comes before them and is known behind them.
        let mut aside = Vec::new();
        let mut entries = Reply::new(&mut aside, cx.reply.version());
        let (mut taken, mut gone) = (0, Vec::new());
        let next = stream.auto_claim(args.get(2), start, count as u64, claim, |claimed| match claimed {
            Claimed::Taken(record, _) => {
                write_claimed(&mut entries, record, just_id);
                taken += 1;
            }
            Claimed::Gone(pending) => gone.push(pending.id),
        });
        cx.reply.array(3);
        write_id(&mut cx.reply, next);
        cx.reply.array(taken);
        cx.reply.raw(&aside);
        cx.reply.array(gone.len());
        gone.iter().for_each(|id| write_id(&mut cx.reply, *id));
        Ok::<_, Error>((taken + gone.len()) as u64)
    })?;
    report(cx, key, "xautoclaim", changes);
    Ok(())
}

#[cfg(test)]
#[path = "stream_claim_tests.rs"]
mod tests;
