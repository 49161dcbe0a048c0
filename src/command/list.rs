//! Lists: pushing, reading and editing.

use std::ops::Range;

use super::collection::{change, change_or_create, collection_of};
use super::list_end::{End, limit};
use super::string::{GROWING, READ_ONE};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, number};
use crate::store::Event;
use crate::value::list::List;

const INSERT_ONE: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::INSERT))];
const DELETE_ONE: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::DELETE))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    pushing("lpush", lpush).doc("Puts elements before the first of a list.", "key element ..."),
    pushing("rpush", rpush).doc("Puts elements behind the last of a list.", "key element ..."),
    pushing("lpushx", lpushx)
        .since("2.2.0")
        .doc("Puts elements before the first of a list that is there.", "key element ..."),
    pushing("rpushx", rpushx)
        .since("2.2.0")
        .doc("Puts elements behind the last of a list that is there.", "key element ..."),
    Command::new("linsert", 5, linsert)
        .flags(GROWING)
        .keys(INSERT_ONE)
        .group(Group::List)
        .since("2.2.0")
        .complexity("O(N) where N is the number of elements up to the pivot.")
        .doc("Inserts an element beside another one.", "key <BEFORE|AFTER> pivot element"),
    Command::new("llen", 2, llen)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(&[KeySpec::at(1, Access::RO)])
        .group(Group::List)
        .doc("Returns the length of a list.", "key"),
    Command::new("lrange", 4, lrange)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::List)
        .complexity("O(log(N)+M) where N is the length of the list and M is the number of elements returned.")
        .doc("Returns a range of the elements of a list.", "key start stop:integer"),
    Command::new("lindex", 3, lindex)
        .flags(Flags::READONLY)
        .keys(READ_ONE)
        .group(Group::List)
        .complexity("O(log(N)) where N is the length of the list.")
        .doc("Returns the element of an index.", "key index"),
    Command::new("lset", 4, lset)
        .flags(GROWING)
        .keys(&[KeySpec::at(1, Access::RW.and(Access::UPDATE))])
        .group(Group::List)
        .complexity("O(log(N)) where N is the length of the list.")
        .doc("Replaces the element of an index.", "key index element"),
    Command::new("lrem", 4, lrem)
        .flags(Flags::WRITE)
        .keys(DELETE_ONE)
        .group(Group::List)
        .complexity("O(N) where N is the length of the list.")
        .doc("Removes elements that equal a value.", "key count element"),
    Command::new("ltrim", 4, ltrim)
        .flags(Flags::WRITE)
        .keys(DELETE_ONE)
        .group(Group::List)
        .complexity("O(N) where N is the number of elements that go.")
        .doc("Removes all elements but a range.", "key start stop:integer"),
];

const fn pushing(name: &'static str, run: super::Run) -> Command {
    Command::new(name, -3, run)
        .flags(GROWING.and(Flags::FAST))
        .keys(INSERT_ONE)
        .group(Group::List)
        .complexity("O(N) where N is the number of elements that are added.")
}

/// The argument at `index` as an integer.
fn integer(args: Args<'_>, index: usize) -> Result<i64, Error> {
    number::parse_i64(args.get(index)).ok_or(Error::NOT_INTEGER)
}

/// An index as it is counted from the head: a negative one counts from the tail, -1 being the last element. `None` before
/// the head; what is beyond the tail stays so.
fn absolute(index: i64, len: u64) -> Option<u64> {
    if index < 0 { len.checked_sub(index.unsigned_abs()) } else { Some(index.unsigned_abs()) }
}

/// The elements from `start` to `stop` inclusive, both cut off at the ends; 0 to 0 if there are none.
fn range(start: i64, stop: i64, len: u64) -> Range<u64> {
    let start = absolute(start, len).unwrap_or(0);
    let end = absolute(stop, len).map_or(0, |stop| stop.saturating_add(1)).min(len);
    if start < end { start..end } else { 0..0 }
}

fn lpush(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    push(cx, args, End::Head, true)
}

fn rpush(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    push(cx, args, End::Tail, true)
}

fn lpushx(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    push(cx, args, End::Head, false)
}

fn rpushx(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    push(cx, args, End::Tail, false)
}

#[inline]
fn push(cx: &mut Context<'_>, args: Args<'_>, end: End, creates: bool) -> Result<(), Error> {
    let (store, limit) = (cx.store, limit(cx));
    let (key, values) = (args.get(1), args.skip(2));
    let len = store.update(key, |entry| {
        if !creates && entry.record().is_none() {
            return Ok(0);
        }
        let pushed = change_or_create(entry, List::new, |list| {
            end.push_all(list, values, limit);
            Ok(list.len())
        })?;
        store.changed(key, end.pushed());
        store.count_changes(values.len() as u64 - 1);
        Ok::<_, Error>(pushed.result)
    })?;
    cx.reply.integer(len as i64);
    Ok(())
}

fn linsert(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let place = args.get(2);
    let before = place.eq_ignore_ascii_case(b"before");
    if !before && !place.eq_ignore_ascii_case(b"after") {
        return Err(Error::SYNTAX);
    }
    let (store, limit, key) = (cx.store, limit(cx), args.get(1));
    let len = store.update(key, |entry| {
        let inserted = change::<List, _>(entry, |list| {
            let found = list.insert_beside(args.get(3), before, args.get(4), limit);
            Ok(found.then(|| list.len() as i64))
        })?;
        let Some(inserted) = inserted else { return Ok(0) };
        if inserted.result.is_some() {
            store.changed(key, Event::list("linsert"));
        }
        Ok::<_, Error>(inserted.result.unwrap_or(-1))
    })?;
    cx.reply.integer(len);
    Ok(())
}

fn llen(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let len = cx.store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        collection_of::<List>(record).map(|list| list.map_or(0, |list| list.len()))
    })?;
    cx.reply.integer(len as i64);
    Ok(())
}

fn lrange(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (start, stop) = (integer(args, 2)?, integer(args, 3)?);
    let store = cx.store;
    store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let Some(list) = collection_of::<List>(record)? else {
            cx.reply.array(0);
            return Ok(());
        };
        let range = range(start, stop, list.len());
        let count = (range.end - range.start) as usize;
        cx.reply.array(count);
        list.iter_from(range.start).take(count).for_each(|element| cx.reply.bulk(&element));
        Ok(())
    })
}

fn lindex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let store = cx.store;
    store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        let Some(list) = collection_of::<List>(record)? else {
            cx.reply.null();
            return Ok(());
        };
        // An index that is no number does not matter where there is no list.
        let element = absolute(integer(args, 2)?, list.len()).and_then(|index| list.get(index));
        cx.reply.bulk_or_null(element.as_deref());
        Ok(())
    })
}

fn lset(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (store, limit, key) = (cx.store, limit(cx), args.get(1));
    store.update(key, |entry| {
        let set = change::<List, _>(entry, |list| {
            let index = absolute(integer(args, 2)?, list.len());
            let is_set = list.set(index.unwrap_or(u64::MAX), args.get(3), limit);
            if is_set { Ok(()) } else { Err(Error::INDEX_RANGE) }
        })?;
        set.ok_or(Error::NO_KEY)?;
        store.changed(key, Event::list("lset"));
        Ok::<_, Error>(())
    })?;
    cx.reply.ok();
    Ok(())
}

fn lrem(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = integer(args, 2)?;
    if count == i64::MIN {
        return Err(Error::range(-i64::MAX, i64::MAX));
    }
    let most = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let (store, limit, key) = (cx.store, limit(cx), args.get(1));
    let removed = store.update(key, |entry| {
        let removed = change::<List, _>(entry, |list| Ok(list.remove_equal(args.get(3), most, count < 0, limit)))?;
        let Some(removed) = removed.filter(|removed| removed.result > 0) else { return Ok(0) };
        store.changed(key, Event::list("lrem"));
        store.count_changes(removed.result - 1);
        if removed.vanished {
            store.notify(key, Event::DEL);
        }
        Ok::<_, Error>(removed.result)
    })?;
    cx.reply.integer(removed as i64);
    Ok(())
}

fn ltrim(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (start, stop) = (integer(args, 2)?, integer(args, 3)?);
    let (store, limit, key) = (cx.store, limit(cx), args.get(1));
    store.update(key, |entry| {
        let trimmed = change::<List, _>(entry, |list| {
            let len = list.len();
            list.keep(range(start, stop, len), limit);
            Ok(len - list.len())
        })?;
        if let Some(trimmed) = trimmed {
            // Redis tells of it even if no element went, but counts only those that did.
            store.notify(key, Event::list("ltrim"));
            store.count_changes(trimmed.result);
            if trimmed.vanished {
                store.notify(key, Event::DEL);
            }
        }
        Ok::<_, Error>(())
    })?;
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests;
