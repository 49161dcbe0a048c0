//! Taking entries out of a stream by their IDs: `XDEL`, `XDELEX`, and `XACKDEL`, which acknowledges them first.

use super::collection::change;
use super::stream_syntax::{check_ids, parse_id, parse_references};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::store::Event;
use crate::value::stream::{References, Stream, StreamId};

const KEY: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::DELETE))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("xdel", -3, xdel)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(KEY)
        .group(Group::Stream)
        .since("5.0.0")
        .complexity("O(log N) for each entry, where N is the number of entries.")
        .doc("Removes entries from a stream.", "key id ..."),
    Command::new("xdelex", -5, xdelex)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(KEY)
        .group(Group::Stream)
        .since("8.2.0")
        .complexity("O(log N) for each entry and group, where N is the number of entries.")
        .doc(
            "Removes entries from a stream with regard to the groups that refer to them.",
            "key [KEEPREF|DELREF|ACKED] IDS numids:integer id ...",
        ),
    Command::new("xackdel", -6, xackdel)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(KEY)
        .group(Group::Stream)
        .since("8.2.0")
        .complexity("O(log N) for each entry and group, where N is the number of entries.")
        .doc(
            "Acknowledges entries in a consumer group and removes them from the stream.",
            "key group [KEEPREF|DELREF|ACKED] IDS numids:integer id ...",
        ),
];

fn xdel(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, key) = (cx.store, args.get(1));
    let deleted = store.update(key, |entry| {
        // IDs are looked at only where there is a stream, as in Redis; all of them before the first goes.
        change(entry, |stream: &mut Stream| {
            check_ids(args.skip(2))?;
            let ids = args.skip(2).iter().filter_map(|text| parse_id(text, 0).ok());
            Ok(ids.filter(|id| stream.delete(*id)).count() as u64)
        })
    })?;
    let deleted = deleted.map_or(0, |changed| changed.result);
    report(cx, key, Event::stream("xdel"), deleted);
    cx.reply.integer(deleted as i64);
    Ok(())
}

fn report(cx: &Context<'_>, key: &[u8], event: Event, changes: u64) {
    if changes > 0 {
        cx.store.changed(key, event);
        cx.store.count_changes(changes - 1);
    }
}

/// The options of XDELEX and XACKDEL.
struct Selection {
    references: References,
    ids: Vec<StreamId>,
}

impl Selection {
    fn parse(words: Args<'_>) -> Result<Selection, Error> {
        let (mut references, mut ids) = (None, None);
        let mut at = 0;
        while let Some(word) = words.nth(at) {
            let named = parse_references(word).filter(|_| references.is_none());
            if named.is_some() {
                references = named;
                at += 1;
            } else if word.eq_ignore_ascii_case(b"ids") && at + 1 < words.len() {
                let count = number::parse_i64(words.get(at + 1)).filter(|count| *count > 0);
                let count = count.and_then(|count| usize::try_from(count).ok());
                let count = count.ok_or_else(|| Error::new("Number of IDs must be a positive integer"))?;
                let rest = words.skip(at + 2);
                if count > rest.len() {
                    return Err(Error::new("The `numids` parameter must match the number of arguments"));
                }
                ids = Some(rest.range(0..count));
                at += 2 + count;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let ids = ids.ok_or_else(|| Error::new("IDS option is required"))?;
        Ok(Selection {
            references: references.unwrap_or_default(),
            ids: ids.iter().map(|text| parse_id(text, 0)).collect::<Result<_, _>>()?,
        })
    }
}

/// What became of an entry, as the reply tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Missing = -1,
    Deleted = 1,
    /// A group refers to it, so it stays.
    Referenced = 2,
}

/// Removes an entry as the groups that refer to it allow.
fn delete(stream: &mut Stream, id: StreamId, references: References) -> Fate {
    match references {
        _ if !stream.contains(id) => return Fate::Missing,
        References::Respect if stream.is_referenced(id) => return Fate::Referenced,
        References::Delete => stream.acknowledge_everywhere(id),
        References::Keep | References::Respect => {}
    }
    stream.delete(id);
    Fate::Deleted
}

fn xdelex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let Selection { references, ids } = Selection::parse(args.skip(2))?;
    let (store, key) = (cx.store, args.get(1));
    cx.reply.array(ids.len());
    let deleted = store.update(key, |entry| {
        let deleted = change(entry, |stream: &mut Stream| {
            let mut deleted = 0;
            for id in &ids {
                let fate = delete(stream, *id, references);
                deleted += u64::from(fate == Fate::Deleted);
                cx.reply.integer(fate as i64);
            }
            Ok(deleted)
        })?;
        Ok::<_, Error>(deleted.map(|changed| changed.result))
    })?;
    if deleted.is_none() {
        ids.iter().for_each(|_| cx.reply.integer(Fate::Missing as i64));
    }
    report(cx, key, Event::stream("xdel"), deleted.unwrap_or(0));
    Ok(())
}

fn xackdel(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let Selection { references, ids } = Selection::parse(args.skip(3))?;
    let (store, key, group) = (cx.store, args.get(1), args.get(2));
    cx.reply.array(ids.len());
    let counts = store.update(key, |entry| {
        let counts = change(entry, |stream: &mut Stream| {
            let (mut acknowledged, mut deleted) = (0u64, 0u64);
            for id in &ids {
                let pending = stream.group_mut(group).is_some_and(|group| group.acknowledge(*id));
                let fate = match pending {
                    false => Fate::Missing,
                    // An entry that is gone needs no more than to be acknowledged.
                    true if !stream.contains(*id) => Fate::Deleted,
                    true => {
                        let fate = delete(stream, *id, references);
                        deleted += u64::from(fate == Fate::Deleted);
                        fate
                    }
                };
                acknowledged += u64::from(pending);
                cx.reply.integer(fate as i64);
            }
            Ok((acknowledged, deleted))
        })?;
        Ok::<_, Error>(counts.map(|changed| changed.result))
    })?;
    let Some((acknowledged, deleted)) = counts else {
        ids.iter().for_each(|_| cx.reply.integer(Fate::Missing as i64));
        return Ok(());
    };
    report(cx, key, Event::silent("xack"), acknowledged);
    report(cx, key, Event::stream("xdel"), deleted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    fn rig() -> Rig {
        let mut rig = Rig::new();
        for ms in 1..=4 {
            rig.run(&format!("XADD s {ms}-0 f v"));
        }
        for group in ["g", "h"] {
            rig.run(&format!("XGROUP CREATE s {group} 0"));
            rig.run(&format!("XREADGROUP GROUP {group} c COUNT 3 STREAMS s >"));
        }
        rig
    }

    #[test]
    fn entries_are_deleted() {
        let mut rig = rig();
        rig.check(&[
            ("XDEL s 1-0 1-0 9-9", ":1"),
            ("XDEL s 2-0 x", "-ERR Invalid stream ID specified as stream command argument"),
            ("XLEN s", ":3"),
            ("XDEL nokey x", ":0"),
            ("SET string v", "+OK"),
            ("XDEL string 1-0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XDELEX string IDS 1 1-0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XACKDEL string g IDS 1 1-0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn deletion_heeds_groups_when_told_so() {
        let mut rig = rig();
        rig.check(&[
            ("XDELEX s ACKED IDS 3 1-0 4-0 9-0", "*3|:2|:2|:-1"),
            ("XDELEX s DELREF IDS 1 1-0", "*1|:1"),
            ("XPENDING s g - + 9 nobody", "*0"),
            ("XPENDING s g", "*4|:2|$3|2-0|$3|3-0|*1|*2|$1|c|$1|2"),
            ("XDELEX s IDS 1 2-0", "*1|:1"),
            ("XPENDING s h", "*4|:2|$3|2-0|$3|3-0|*1|*2|$1|c|$1|2"),
            ("XDELEX nokey IDS 2 1-0 2-0", "*2|:-1|:-1"),
        ]);
    }

    #[test]
    fn acknowledged_entries_are_deleted() {
        let mut rig = rig();
        rig.check(&[
            ("XACKDEL s g ACKED IDS 2 1-0 4-0", "*2|:2|:-1"),
            ("XLEN s", ":4"),
            ("XACKDEL s h ACKED IDS 1 1-0", "*1|:1"),
            ("XLEN s", ":3"),
            ("XACKDEL s g KEEPREF IDS 1 2-0", "*1|:1"),
            ("XACKDEL s h KEEPREF IDS 1 2-0", "*1|:1"),
            ("XACKDEL s g DELREF IDS 1 3-0", "*1|:1"),
            ("XACKDEL s h DELREF IDS 1 3-0", "*1|:-1"),
            ("XACKDEL s nogroup IDS 1 3-0", "*1|:-1"),
            ("XACKDEL nokey g IDS 2 1-0 2-0", "*2|:-1|:-1"),
            ("XLEN s", ":1"),
        ]);
    }

    #[test]
    fn selections_are_checked() {
        let mut rig = rig();
        rig.check(&[
            ("XDELEX s IDS x 1-0", "-ERR Number of IDs must be a positive integer"),
            ("XDELEX s IDS 0 1-0", "-ERR Number of IDs must be a positive integer"),
            ("XDELEX s IDS 2 1-0", "-ERR The `numids` parameter must match the number of arguments"),
            ("XDELEX s IDS 1 1-0 2-0", "-ERR syntax error"),
            ("XDELEX s KEEPREF DELREF IDS 1 1-0", "-ERR syntax error"),
            ("XDELEX s IDS 1 1-*", "-ERR Invalid stream ID specified as stream command argument"),
            ("XDELEX s IDS 1 1-0 ACKED", "*1|:2"),
            (
                "XACKDEL s g IDS 9223372036854775807 1-0",
                "-ERR The `numids` parameter must match the number of arguments",
            ),
        ]);
    }
}
