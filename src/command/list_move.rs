//! Lists: moving an element from an end of one list to an end of another, or of the same.

use super::collection::{change, change_or_create, collection_of};
use super::list_end::{End, limit};
use super::string::GROWING;
use super::{Access, Command, Context, Error, Group, KeySpec};
use crate::protocol::{Args, Reply};
use crate::store::Event;
use crate::value::list::List;

/// Where the element comes from and where it goes.
const FROM_TO: &[KeySpec] = &[
    KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::DELETE)),
    KeySpec::at(2, Access::RW.and(Access::INSERT)),
];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("lmove", 5, lmove).flags(GROWING).keys(FROM_TO).group(Group::List).since("6.2.0").doc(
        "Moves an element from an end of a list to an end of another, and returns it.",
        "source destination <LEFT|RIGHT> <LEFT|RIGHT>",
    ),
    Command::new("rpoplpush", 3, rpoplpush)
        .flags(GROWING)
        .keys(FROM_TO)
        .group(Group::List)
        .since("1.2.0")
        .replaced_by("`LMOVE` with the `RIGHT` and `LEFT` arguments", "6.2.0")
        .doc("Moves the last element of a list to the head of another, and returns it.", "source destination"),
];

/// Moves an element from an end of the list at `source` to an end of that at `destination`, and replies it. False where there
/// is no source, and then nothing was replied. Both keys must be entered alone.
pub(super) fn move_one(
    cx: &mut Context<'_>,
    (source, from): (&[u8], End),
    (destination, to): (&[u8], End),
) -> Result<bool, Error> {
    let (store, limit) = (cx.store, limit(cx));
    if source == destination {
        return rotate(cx, source, from, to);
    }
    let fits = store.peek(destination, |record| collection_of::<List>(record).is_ok());
    let reply = &mut cx.reply;
    let popped = store.update(source, |entry| {
        change::<List, _>(entry, |list| {
            if !fits {
                return Err(Error::WRONG_TYPE);
            }
            let bytes = reply_first(reply, list, from);
            from.remove(list, 1, limit);
            Ok(bytes)
        })
    })?;
    let Some(popped) = popped else { return Ok(false) };
    let element = last_reply(reply, popped.result);
    store.update(destination, |entry| {
        change_or_create(entry, List::new, |list| {
            to.push(list, element, limit);
            Ok(())
        })?;
        store.notify(destination, to.pushed());
        Ok::<_, Error>(())
    })?;
    store.changed(source, from.popped());
    if popped.vanished {
        store.notify(source, Event::DEL);
    }
    Ok(true)
}

/// Moves an element within one list.
fn rotate(cx: &mut Context<'_>, key: &[u8], from: End, to: End) -> Result<bool, Error> {
    let (store, limit) = (cx.store, limit(cx));
    let reply = &mut cx.reply;
    store.update(key, |entry| {
        let moved = change::<List, _>(entry, |list| {
            let bytes = reply_first(reply, list, from);
            from.remove(list, 1, limit);
            to.push(list, last_reply(reply, bytes), limit);
            Ok(())
        })?;
        if moved.is_some() {
            store.notify(key, to.pushed());
            store.changed(key, from.popped());
        }
        Ok(moved.is_some())
    })
}

/// Replies the first element of an end and tells its length: the reply keeps the element while it is in no list.
fn reply_first(reply: &mut Reply<'_>, list: &List, end: End) -> usize {
    let first = end.iter(list).next();
    let element = first.as_deref().unwrap_or_default();
    reply.bulk(element);
    element.len()
}

/// The string of so many bytes that was replied last; a line break is behind it.
fn last_reply<'a>(reply: &'a Reply<'_>, bytes: usize) -> &'a [u8] {
    let written = reply.written_since(reply.len().saturating_sub(bytes + 2));
    written.get(..bytes).unwrap_or_default()
}

fn lmove(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (from, to) = (End::parse(args.get(3))?, End::parse(args.get(4))?);
    move_between(cx, args, from, to)
}

fn rpoplpush(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    move_between(cx, args, End::Tail, End::Head)
}

fn move_between(cx: &mut Context<'_>, args: Args<'_>, from: End, to: End) -> Result<(), Error> {
    if !move_one(cx, (args.get(1), from), (args.get(2), to))? {
        cx.reply.null();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn elements_move_from_end_to_end() {
        let mut rig = Rig::new();
        rig.check(&[
            ("RPUSH a 1 2 3 4", ":4"),
            ("LMOVE a b LEFT RIGHT", "$1|1"),
            ("LMOVE a b RIGHT RIGHT", "$1|4"),
            ("lmove a b left left", "$1|2"),
            ("RPOPLPUSH a b", "$1|3"),
            ("EXISTS a", ":0"),
            ("LRANGE b 0 -1", "*4|$1|3|$1|2|$1|1|$1|4"),
            ("LMOVE a b LEFT LEFT", "$-1"),
            ("LMOVE a b LEFT UP", "-ERR syntax error"),
            ("LMOVE a b UP LEFT", "-ERR syntax error"),
        ]);
        rig.client.set_version(crate::protocol::Version::Resp3);
        rig.check(&[("RPOPLPUSH a b", "_")]);
    }

    #[test]
    fn a_list_turns_round() {
        let mut rig = Rig::new();
        rig.check(&[
            ("RPUSH a 1 2 3", ":3"),
            ("LMOVE a a LEFT RIGHT", "$1|1"),
            ("RPOPLPUSH a a", "$1|1"),
            ("LMOVE a a RIGHT RIGHT", "$1|3"),
            ("LRANGE a 0 -1", "*3|$1|1|$1|2|$1|3"),
            ("RPUSH one x", ":1"),
            ("LMOVE one one RIGHT LEFT", "$1|x"),
            ("LLEN one", ":1"),
            ("LMOVE none none LEFT LEFT", "$-1"),
            ("EXISTS none", ":0"),
        ]);
    }

    #[test]
    fn a_wrong_type_leaves_both_keys_as_they_are() {
        let mut rig = Rig::new();
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        rig.run("SET s x");
        rig.run("RPUSH a 1");
        rig.check(&[
            ("LMOVE a s LEFT LEFT", wrong),
            ("LMOVE s a LEFT LEFT", wrong),
            ("LMOVE s s LEFT LEFT", wrong),
            ("LMOVE none s LEFT LEFT", "$-1"),
            ("LRANGE a 0 -1", "*1|$1|1"),
            ("GET s", "$1|x"),
        ]);
    }
}
