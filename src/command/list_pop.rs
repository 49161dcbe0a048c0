//! Lists: taking elements off an end.

use super::collection::{change, collection_of};
use super::list_end::{End, limit};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::store::Event;
use crate::value::list::List;

/// A list that elements are taken from.
const POP: Access = Access::RW.and(Access::ACCESS).and(Access::DELETE);

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("lpop", -2, lpop)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, POP)])
        .group(Group::List)
        .complexity("O(N) where N is the number of elements returned.")
        .doc("Removes the first elements of a list and returns them.", "key [count]"),
    Command::new("rpop", -2, rpop)
        .flags(Flags::WRITE.and(Flags::FAST))
        .keys(&[KeySpec::at(1, POP)])
        .group(Group::List)
        .complexity("O(N) where N is the number of elements returned.")
        .doc("Removes the last elements of a list and returns them.", "key [count]"),
    Command::new("lmpop", -4, lmpop)
        .flags(Flags::WRITE)
        .keys(&[KeySpec::counted(1, POP)])
        .group(Group::List)
        .since("7.0.0")
        .complexity("O(N+M) where N is the number of keys given and M is the number of elements returned.")
        .doc(
            "Removes elements of the first list that is there among several keys, and returns them.",
            "numkeys key ... <LEFT|RIGHT> [COUNT count]",
        ),
];

/// How the elements that were taken are replied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The element itself; there is to be one.
    Element,
    /// An array of the elements.
    Elements,
    /// The key and the element; there is to be one.
    KeyAndElement,
    /// The key, and an array of the elements.
    KeyAndElements,
}

/// Takes up to `count` elements, at least one, off an end of the list at `key` and replies them. False where there is no
/// list, and then nothing was replied: what waits for elements goes on waiting.
#[inline]
pub(super) fn pop(cx: &mut Context<'_>, key: &[u8], end: End, count: u64, shape: Shape) -> Result<bool, Error> {
    let (store, limit) = (cx.store, limit(cx));
    let reply = &mut cx.reply;
    store.update(key, |entry| {
        let popped = change::<List, _>(entry, |list| {
            let count = count.min(list.len());
            if matches!(shape, Shape::KeyAndElement | Shape::KeyAndElements) {
                reply.array(2);
                reply.bulk(key);
            }
            if matches!(shape, Shape::Elements | Shape::KeyAndElements) {
                reply.array(count as usize);
            }
            end.iter(list).take(count as usize).for_each(|element| reply.bulk(&element));
            end.remove(list, count, limit);
            Ok(count)
        })?;
        let Some(popped) = popped else { return Ok(false) };
        store.changed(key, end.popped());
        store.count_changes(popped.result.saturating_sub(1));
        if popped.vanished {
            store.notify(key, Event::DEL);
        }
        Ok(true)
    })
}

fn lpop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    pop_one_key(cx, args, End::Head)
}

fn rpop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    pop_one_key(cx, args, End::Tail)
}

fn pop_one_key(cx: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), Error> {
    let key = args.get(1);
    if args.len() > 3 {
        return Err(cx.arity_error());
    }
    let Some(count) = args.nth(2) else {
        if !pop(cx, key, end, 1, Shape::Element)? {
            cx.reply.null();
        }
        return Ok(());
    };
    let count = number::parse_i64(count).and_then(|count| u64::try_from(count).ok()).ok_or(Error::NOT_POSITIVE)?;
    let served = match count {
        0 => cx.store.read(key, |record| {
            let is_there = collection_of::<List>(record)?.is_some();
            if is_there {
                cx.reply.array(0);
            }
            Ok::<_, Error>(is_there)
        })?,
        _ => pop(cx, key, end, count, Shape::Elements)?,
    };
    if !served {
        cx.reply.null_array();
    }
    Ok(())
}

/// What a command that takes elements off the first of several lists says after the name, or after its timeout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pops<'a> {
    /// The keys.
    pub(super) keys: Args<'a>,
    /// Which end.
    pub(super) end: End,
    /// At most so many elements, at least one.
    pub(super) count: u64,
}

impl<'a> Pops<'a> {
    /// Reads `numkeys key ... LEFT|RIGHT [COUNT count]`.
    pub(super) fn parse(words: Args<'a>) -> Result<Self, Error> {
        let at_least_one = |index: usize, error: &'static str| {
            let number = words.nth(index).and_then(number::parse_i64).and_then(|number| u64::try_from(number).ok());
            number.filter(|&number| number > 0).ok_or(Error::coded(error))
        };
        let keys = at_least_one(0, "ERR numkeys should be greater than 0")?;
        let at = usize::try_from(keys).ok().and_then(|keys| keys.checked_add(1)).ok_or(Error::SYNTAX)?;
        let end = End::parse(words.nth(at).ok_or(Error::SYNTAX)?)?;
        let options = words.skip(at + 1);
        let count = match options.len() {
            0 => 1,
            1 => return Err(Error::SYNTAX),
            _ if !options.get(0).eq_ignore_ascii_case(b"count") => return Err(Error::SYNTAX),
            _ => at_least_one(at + 2, "ERR count should be greater than 0")?,
        };
        if options.len() > 2 {
            return Err(Error::SYNTAX);
        }
        Ok(Pops { keys: words.range(1..at), end, count })
    }

    /// Takes the elements off the first list that is there and replies them with its key. False where there is none, and
    /// then nothing was replied.
    pub(super) fn serve(&self, cx: &mut Context<'_>) -> Result<bool, Error> {
        for key in self.keys {
            if pop(cx, key, self.end, self.count, Shape::KeyAndElements)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn lmpop(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let pops = Pops::parse(args.skip(1))?;
    if !pops.serve(cx)? {
        cx.reply.null_array();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn elements_come_off_both_ends() {
        let mut rig = Rig::new();
        rig.check(&[
            ("LPOP none", "$-1"),
            ("LPOP none 1", "*-1"),
            ("LPOP none 0", "*-1"),
            ("RPUSH l a 2 c d e f", ":6"),
            ("LPOP l", "$1|a"),
            ("RPOP l", "$1|f"),
            ("LPOP l 2", "*2|$1|2|$1|c"),
            ("LPOP l 0", "*0"),
            ("RPOP l 9223372036854775807", "*2|$1|e|$1|d"),
            ("EXISTS l", ":0"),
        ]);
        rig.client.set_version(crate::protocol::Version::Resp3);
        rig.check(&[("LPOP none", "_"), ("RPOP none 1", "_"), ("LMPOP 1 none LEFT", "_")]);
    }

    #[test]
    fn counts_that_are_none_are_refused_whatever_the_key() {
        let mut rig = Rig::new();
        rig.run("SET s x");
        let negative = "-ERR value is out of range, must be positive";
        rig.check(&[
            ("LPOP none -1", negative),
            ("RPOP s x", negative),
            ("LPOP s 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("LPOP s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("LPOP s 1 1", "-ERR wrong number of arguments for 'lpop' command"),
        ]);
    }

    #[test]
    fn the_first_list_among_several_keys_is_served() {
        let mut rig = Rig::new();
        rig.run("RPUSH b 1 2 3");
        rig.run("RPUSH c 4");
        rig.check(&[
            ("LMPOP 3 a b c LEFT", "*2|$1|b|*1|$1|1"),
            ("LMPOP 3 a b c right COUNT 5", "*2|$1|b|*2|$1|3|$1|2"),
            ("LMPOP 3 a b c LEFT count 2", "*2|$1|c|*1|$1|4"),
            ("LMPOP 3 a b c LEFT", "*-1"),
            ("LMPOP x a LEFT", "-ERR numkeys should be greater than 0"),
            ("LMPOP 0 a LEFT", "-ERR numkeys should be greater than 0"),
            ("LMPOP 2 a LEFT", "-ERR syntax error"),
            ("LMPOP 9223372036854775807 a LEFT", "-ERR syntax error"),
            ("LMPOP 1 a MIDDLE", "-ERR syntax error"),
            ("LMPOP 1 a LEFT COUNT", "-ERR syntax error"),
            ("LMPOP 1 a LEFT COUNT 0", "-ERR count should be greater than 0"),
            ("LMPOP 1 a LEFT COUNT 1 COUNT 1", "-ERR syntax error"),
        ]);
        rig.run("SET s x");
        rig.run("RPUSH c 4");
        rig.check(&[("LMPOP 2 s c LEFT", "-WRONGTYPE Operation against a key holding the wrong kind of value")]);
    }
}
