//! `XADD` and `XTRIM`: appending to a stream, and cutting it at its old end.

use super::collection::{change, change_or_create};
use super::stream_syntax::{invalid_id, parse_id, parse_integer, parse_references, references_word, write_id};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::config::Settings;
use crate::protocol::Args;
use crate::store::Event;
use crate::value::stream::{AddError, Keep, NodeLimits, References, Spelling, Stream, StreamId, Trim};

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("xadd", -5, xadd)
        .flags(Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RW.and(Access::UPDATE))])
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(1) to append; O(N) to trim, where N is the number of entries removed.")
        .tips(TIPS)
        .doc(
            "Appends an entry to a stream, which is created if it is not there.",
            "key [NOMKSTREAM] [KEEPREF|DELREF|ACKED] [<MAXLEN|MINID> [=|~] threshold [LIMIT count]] <*|id> \
             <field value> ...",
        ),
    Command::new("xtrim", -4, xtrim)
        .flags(Flags::WRITE)
        .keys(&[KeySpec::at(1, Access::RW.and(Access::DELETE))])
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(N) where N is the number of entries removed, which costs little each.")
        .tips(TIPS)
        .doc(
            "Removes the oldest entries of a stream.",
            "key <MAXLEN|MINID> [=|~] threshold [LIMIT count] [KEEPREF|DELREF|ACKED]",
        ),
];

const TIPS: &[&str] = &["nondeterministic_output"];

/// The ID that XADD asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// `*`.
    Any,
    /// `ms-*`.
    In(u64),
    /// All of it.
    Exactly(StreamId),
}

/// The options of XADD and XTRIM.
#[derive(Debug)]
struct Options {
    keep: Option<Keep>,
    approximate: bool,
    limit: Option<u64>,
    references: Option<References>,
    create: bool,
    id: Wanted,
    /// Where the fields begin.
    fields: usize,
}

impl Options {
    /// Reads the words behind the key: those of XADD up to its ID, those of XTRIM to the end.
    fn parse(args: Args<'_>, adds: bool) -> Result<Options, Error> {
        let mut options = Options {
            keep: None,
            approximate: false,
            limit: None,
            references: None,
            create: true,
            id: Wanted::Any,
            fields: args.len() + 1,
        };
        let mut at = 2;
        while let Some(word) = args.nth(at) {
            let references = parse_references(word).filter(|_| options.references.is_none());
            if adds && word == b"*" {
                options.fields = at + 1;
                break;
            } else if let Some(used) = options.strategy(args.skip(at))? {
                at += used;
            } else if word.eq_ignore_ascii_case(b"limit") && at + 1 < args.len() {
                let limit = parse_integer(args.get(at + 1), None)?;
                let limit = u64::try_from(limit).map_err(|_| Error::coded("ERR The LIMIT argument must be >= 0."))?;
                options.limit = Some(limit);
                at += 2;
            } else if references.is_some() {
                options.references = references;
                at += 1;
            } else if adds && word.eq_ignore_ascii_case(b"nomkstream") {
                options.create = false;
                at += 1;
            } else if adds {
                options.id = wanted(word)?;
                options.fields = at + 1;
                break;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        options.check(adds)?;
        Ok(options)
    }

    /// Reads `MAXLEN` or `MINID` with what belongs to it, if `words` begin so; tells how many words that are.
    fn strategy(&mut self, words: Args<'_>) -> Result<Option<usize>, Error> {
        let by_length = words[0].eq_ignore_ascii_case(b"maxlen");
        if !(by_length || words[0].eq_ignore_ascii_case(b"minid")) || words.len() < 2 {
            return Ok(None);
        }
        if self.keep.is_some() {
            return Err(Error::new("syntax error, MAXLEN and MINID options at the same time are not compatible"));
        }
        let sign = words.len() > 2 && matches!(words.get(1), b"~" | b"=");
        self.approximate = sign && words.get(1) == b"~";
        let threshold = words.get(1 + usize::from(sign));
        self.keep = Some(if by_length {
            let most = parse_integer(threshold, None)?;
            Keep::Entries(u64::try_from(most).map_err(|_| Error::new("The MAXLEN argument must be >= 0."))?)
        } else {
            Keep::From(parse_id(threshold, 0)?)
        });
        Ok(Some(2 + usize::from(sign)))
    }

    fn check(&self, adds: bool) -> Result<(), Error> {
        if self.limit.is_some_and(|limit| limit > 0) && self.keep.is_none() {
            return Err(Error::new("syntax error, LIMIT cannot be used without specifying a trimming strategy"));
        }
        if !adds && self.keep.is_none() {
            return Err(Error::new("syntax error, XTRIM must be called with a trimming strategy"));
        }
        if self.limit.is_some() && !self.approximate {
            return Err(Error::new("syntax error, LIMIT cannot be used without the special ~ option"));
        }
        Ok(())
    }

    /// Trims as the options say; tells how many entries went.
    fn trim(&self, stream: &mut Stream, settings: &Settings) -> u64 {
        let Some(keep) = self.keep else { return 0 };
        // Approximate trimming is to be cheap, so that it has a limit of its own: a hundred nodes, as in Redis.
        let limit = self.limit.unwrap_or(match settings.stream_node_max_entries.saturating_mul(100) {
            _ if !self.approximate => 0,
            0 => 10_000,
            entries => entries.min(1_000_000),
        });
        let trim = Trim { keep, approximate: self.approximate, limit };
        stream.trim_with(trim, self.references.unwrap_or_default())
    }

    /// Notes what an approximate trim came to. Where it stops depends on the sizes of nodes, and so on settings that may be
    /// others when the log is read.
    fn record(&self, cx: &Context<'_>, args: Args<'_>, left: u64, added: Option<StreamId>) {
        if !cx.is_recorded() {
            return;
        }
        let (mut id, mut left_digits) = (Vec::new(), itoa::Buffer::new());
        let mut words = vec![args.get(0), args.get(1), b"MAXLEN", b"=", left_digits.format(left).as_bytes()];
        words.extend(self.references.map(references_word));
        if let Some(added) = added {
            added.write(&mut id);
            words.push(&id);
            words.extend(args.skip(self.fields));
        }
        cx.record_as(&words);
    }
}

fn wanted(word: &[u8]) -> Result<Wanted, Error> {
    match StreamId::parse(word) {
        Some(Spelling::Whole(id)) => Ok(Wanted::Exactly(id)),
        Some(Spelling::Milliseconds(ms)) => Ok(Wanted::Exactly(StreamId::new(ms, 0))),
        Some(Spelling::AnySequence(ms)) => Ok(Wanted::In(ms)),
        None => Err(invalid_id()),
    }
}

fn xadd(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(args, true)?;
    let fields = args.skip(options.fields);
    if fields.is_empty() || fields.len() % 2 == 1 {
        return Err(cx.arity_error());
    }
    if options.id == Wanted::Exactly(StreamId::MIN) {
        return Err(Error::new("The ID specified in XADD must be greater than 0-0"));
    }
    let (store, now_ms, key) = (cx.store, cx.now_ms(), args.get(1));
    store.update(key, |entry| {
        if !options.create && entry.record().is_none() {
            cx.reply.null();
            return Ok(());
        }
        let added = change_or_create(entry, Stream::new, |stream| {
            let id = next_id(stream, options.id, now_ms)?;
            let settings = cx.settings();
            let limits =
                NodeLimits { bytes: settings.stream_node_max_bytes, entries: settings.stream_node_max_entries };
            stream.add(id, fields, limits)?;
            Ok((id, options.trim(stream, settings), stream.len()))
        })?;
        let (id, trimmed, left) = added.result;
        if options.approximate {
            options.record(cx, args, left, Some(id));
        }
        store.changed(key, Event::stream("xadd"));
        if trimmed > 0 {
            store.notify(key, Event::stream("xtrim"));
        }
        write_id(&mut cx.reply, id);
        Ok(())
    })
}

/// The ID of the next entry.
fn next_id(stream: &Stream, wanted: Wanted, now_ms: u64) -> Result<StreamId, Error> {
    let id = match wanted {
        _ if stream.last_id() == StreamId::MAX => None,
        Wanted::Any => stream.next_id(now_ms),
        Wanted::In(ms) => Some(stream.next_id_in(ms).ok_or(AddError::NotAbove)?),
        Wanted::Exactly(id) => Some(id),
    };
    id.ok_or_else(|| Error::new("The stream has exhausted the last possible ID, unable to add more items"))
}

fn xtrim(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = Options::parse(args, false)?;
    let (store, key) = (cx.store, args.get(1));
    let (trimmed, left) = store.update(key, |entry| {
        let settings = cx.settings();
        let changed = change(entry, |stream: &mut Stream| Ok((options.trim(stream, settings), stream.len())))?;
        Ok::<_, Error>(changed.map_or((0, 0), |changed| changed.result))
    })?;
    if trimmed > 0 {
        if options.approximate {
            options.record(cx, args, left, None);
        }
        store.changed(key, Event::stream("xtrim"));
        store.count_changes(trimmed - 1);
    }
    cx.reply.integer(trimmed as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn entries_are_appended() {
        let mut rig = Rig::new();
        rig.check(&[
            ("XADD s NOMKSTREAM 1-1 f v", "$-1"),
            ("EXISTS s", ":0"),
            ("XADD s 0-* f v", "$3|0-1"),
            ("XADD s 5 f v", "$3|5-0"),
            ("XADD s 5-* f v", "$3|5-1"),
            ("XADD s NOMKSTREAM 6-7 f v g w", "$3|6-7"),
            ("XADD s 6-7 f v", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
            ("XADD s 4-* f v", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"),
            ("XADD s 0-0 f v", "-ERR The ID specified in XADD must be greater than 0-0"),
            ("XADD s 7-0 f v g", "-ERR wrong number of arguments for 'xadd' command"),
            ("XADD s MAXLEN 5 NOMKSTREAM", "-ERR wrong number of arguments for 'xadd' command"),
            ("XLEN s", ":4"),
            ("TYPE s", "+stream"),
            ("OBJECT ENCODING s", "$6|stream"),
        ]);
        let id = rig.run("XADD s * f v");
        assert!(id.ends_with("-0") && id.len() > 15, "{id}");
        rig.check(&[
            ("XADD s 18446744073709551615-18446744073709551615 f v", "$41|18446744073709551615-18446744073709551615"),
            ("XADD s * f v", "-ERR The stream has exhausted the last possible ID, unable to add more items"),
            ("SET string v", "+OK"),
            ("XADD string * f v", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XTRIM string MAXLEN 5", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn streams_are_trimmed() {
        let mut rig = Rig::new();
        for ms in 1..=250 {
            rig.run(&format!("XADD s {ms}-0 f v"));
        }
        rig.check(&[
            ("XTRIM s MAXLEN ~ 60", ":100"),
            ("XTRIM s MAXLEN ~ 10 LIMIT 50", ":0"),
            ("XTRIM s MAXLEN ~ 10 LIMIT 0", ":100"),
            ("XTRIM s MINID 206", ":5"),
            ("XTRIM s MINID = 206-1", ":1"),
            ("XADD s MAXLEN 3 251-0 f v", "$5|251-0"),
            ("XLEN s", ":3"),
            ("XTRIM s MAXLEN 0", ":3"),
            ("XTRIM nokey MAXLEN 0", ":0"),
            ("EXISTS s", ":1"),
            ("XTRIM s MAXLEN -1", "-ERR The MAXLEN argument must be >= 0."),
            ("XTRIM s MAXLEN ~ 1 LIMIT -1", "-ERR The LIMIT argument must be >= 0."),
            ("XTRIM s MAXLEN 1 LIMIT 1", "-ERR syntax error, LIMIT cannot be used without the special ~ option"),
            ("XTRIM s LIMIT 0", "-ERR syntax error, XTRIM must be called with a trimming strategy"),
            ("XTRIM s MINID 1-*", "-ERR Invalid stream ID specified as stream command argument"),
            ("XTRIM s KEEPREF ACKED MAXLEN 1", "-ERR syntax error"),
        ]);
    }

    #[test]
    fn trimming_heeds_groups_when_told_so() {
        let mut rig = Rig::new();
        for ms in 1..=5 {
            rig.run(&format!("XADD s {ms}-0 f v"));
        }
        rig.run("XGROUP CREATE s g 0");
        rig.run("XREADGROUP GROUP g c COUNT 3 STREAMS s >");
        rig.check(&[
            ("XACK s g 1-0", ":1"),
            ("XADD s MAXLEN 1 ACKED 6-0 f v", "$3|6-0"),
            ("XLEN s", ":5"),
            ("XTRIM s MAXLEN 4 DELREF", ":1"),
            ("XPENDING s g", "*4|:1|$3|3-0|$3|3-0|*1|*2|$1|c|$1|1"),
            ("XTRIM s MAXLEN 2 KEEPREF", ":2"),
            ("XPENDING s g", "*4|:1|$3|3-0|$3|3-0|*1|*2|$1|c|$1|1"),
        ]);
    }
}
