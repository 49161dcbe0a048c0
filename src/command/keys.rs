//! Keys as such: removing, renaming, copying and moving them, whatever their type.

use super::{Access, Command, Context, Error, Flags, KeySpec};
use crate::protocol::{Args, number};
use crate::store::{Event, Store};

const FAST_READ: Flags = Flags::READONLY.and(Flags::FAST);
const FAST_WRITE: Flags = Flags::WRITE.and(Flags::FAST);
const SUM: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];

const READ_ONE: &[KeySpec] = &[KeySpec::at(1, Access::RO)];
const READ_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, Access::RO)];
const REMOVE_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, Access::RM.and(Access::DELETE))];
const RENAMED: KeySpec = KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::DELETE));

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("del", -2, del)
        .flags(Flags::WRITE)
        .keys(REMOVE_ALL)
        .complexity("O(N) where N is the number of keys, plus O(M) for each collection of M elements.")
        .tips(SUM)
        .doc("Removes keys.", "key ..."),
    Command::new("unlink", -2, unlink)
        .flags(FAST_WRITE)
        .keys(REMOVE_ALL)
        .since("4.0.0")
        .complexity("O(1) for each key, whatever its size; large values are freed by another thread.")
        .tips(SUM)
        .doc("Removes keys and frees their values in the background.", "key ..."),
    Command::new("exists", -2, exists)
        .flags(FAST_READ)
        .keys(READ_ALL)
        .complexity("O(N) where N is the number of keys.")
        .tips(SUM)
        .doc("Counts which of the keys are there.", "key ..."),
    Command::new("touch", -2, touch)
        .flags(FAST_READ)
        .keys(READ_ALL)
        .since("3.2.1")
        .complexity("O(N) where N is the number of keys.")
        .tips(SUM)
        .doc("Sets the time of the last access to keys and counts those that are there.", "key ..."),
    Command::new("type", 2, kind).flags(FAST_READ).keys(READ_ONE).doc("Returns the type of the value of a key.", "key"),
    Command::new("rename", 3, rename)
        .flags(Flags::WRITE)
        .keys(&[RENAMED, KeySpec::at(2, Access::OW.and(Access::UPDATE))])
        .doc("Renames a key, and overwrites the destination.", "key newkey"),
    Command::new("renamenx", 3, renamenx)
        .flags(FAST_WRITE)
        .keys(&[RENAMED, KeySpec::at(2, Access::OW.and(Access::INSERT))])
        .doc("Renames a key unless the new name is taken.", "key newkey"),
    Command::new("copy", -3, copy)
        .flags(Flags::WRITE.and(Flags::DENYOOM))
        .keys(&[KeySpec::at(1, Access::RO.and(Access::ACCESS)), KeySpec::at(2, Access::OW.and(Access::UPDATE))])
        .since("6.2.0")
        .complexity("O(N) where N is the number of elements of the value, O(1) for strings.")
        .doc("Copies the value of a key to another key.", "source destination [DB destination-db:integer] [REPLACE]"),
    Command::new("move", 3, relocate)
        .flags(FAST_WRITE)
        .keys(&[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::UPDATE))])
        .exclusive()
        .doc("Moves a key to another database.", "key db"),
];

fn del(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let lazily = cx.settings().lazyfree_lazy_user_del;
    remove(cx, args, lazily)
}

fn unlink(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    remove(cx, args, true)
}

fn remove(cx: &mut Context<'_>, args: Args<'_>, lazily: bool) -> Result<(), Error> {
    let mut removed = 0;
    for key in args.skip(1) {
        let was_there = if lazily { cx.store.unlink(key) } else { cx.store.remove(key) };
        if was_there {
            cx.store.changed(key, Event::DEL);
            removed += 1;
        }
    }
    cx.reply.count(removed);
    Ok(())
}

fn exists(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    count(cx, args, |store, key| store.exists(key))
}

fn touch(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    count(cx, args, |store, key| store.read(key, |record| record.is_some()))
}

fn count(cx: &mut Context<'_>, args: Args<'_>, is_there: fn(&Store<'_>, &[u8]) -> bool) -> Result<(), Error> {
    let mut found = 0;
    for key in args.skip(1) {
        let there = is_there(&cx.store, key);
        cx.count_lookup(there);
        found += usize::from(there);
    }
    cx.reply.count(found);
    Ok(())
}

fn kind(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let kind = cx.store.peek(args.get(1), |record| record.map(|record| record.kind()));
    cx.count_lookup(kind.is_some());
    cx.reply.simple(kind.map_or("none", |kind| kind.name()));
    Ok(())
}

fn rename(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if rename_key(cx, args, true)? {
        note_rename(cx, args);
    }
    cx.reply.ok();
    Ok(())
}

fn note_rename(cx: &Context<'_>, args: Args<'_>) {
    cx.store.changed(args.get(1), Event::generic("rename_from"));
    cx.store.notify(args.get(2), Event::generic("rename_to"));
}

fn renamenx(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let renamed = rename_key(cx, args, false)?;
    if renamed {
        note_rename(cx, args);
    }
    cx.reply.integer(renamed.into());
    Ok(())
}

/// Gives a key its new name; whether anything changed.
fn rename_key(cx: &Context<'_>, args: Args<'_>, overwrite: bool) -> Result<bool, Error> {
    let (from, to) = (args.get(1), args.get(2));
    if !cx.store.exists(from) {
        return Err(Error::NO_KEY);
    }
    if from == to || (!overwrite && cx.store.exists(to)) {
        return Ok(false);
    }
    let parcel = cx.store.update(from, |entry| entry.take()).ok_or(Error::NO_KEY)?;
    cx.store.update(to, |entry| entry.set_parcel(parcel));
    Ok(true)
}

fn copy(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let mut there = cx.store;
    let mut replace = false;
    let mut index = 3;
    while let Some(option) = args.nth(index) {
        index += 1;
        if option.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if option.eq_ignore_ascii_case(b"db") && index < args.len() {
            there = there.select(database(cx, args.get(index))?);
            index += 1;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let (from, to) = (args.get(1), args.get(2));
    if there.database == cx.store.database && from == to {
        return Err(Error::SAME_OBJECT);
    }
    let copied = match cx.store.update(from, |entry| entry.copy()) {
        Some(parcel) if replace || !there.exists(to) => {
            there.update(to, |entry| entry.set_parcel(parcel));
            there.changed(to, Event::generic("copy_to"));
            true
        }
        _ => false,
    };
    cx.reply.integer(copied.into());
    Ok(())
}

/// `MOVE`. Its row asks for the shard alone, because other workers must not see the key in neither database.
fn relocate(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let key = args.get(1);
    let there = cx.store.select(database(cx, args.get(2))?);
    if there.database == cx.store.database {
        return Err(Error::SAME_OBJECT);
    }
    let moved = match there.exists(key) {
        true => None,
        false => cx.store.update(key, |entry| entry.take()),
    };
    let changed = moved.is_some();
    if let Some(parcel) = moved {
        there.update(key, |entry| entry.set_parcel(parcel));
        cx.store.changed(key, Event::generic("move_from"));
        there.notify(key, Event::generic("move_to"));
    }
    cx.reply.integer(changed.into());
    Ok(())
}

/// The index of a database that an argument names.
fn database(cx: &Context<'_>, text: &[u8]) -> Result<usize, Error> {
    let index = number::parse_i64(text).ok_or(Error::NOT_INTEGER)?;
    let index = i32::try_from(index)
        .map_err(|_| Error::new("value is out of range, value must between -2147483648 and 2147483647"))?;
    let index = usize::try_from(index).ok().filter(|&index| index < cx.store.keyspace().databases());
    index.ok_or(Error::DB_RANGE)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn removing_and_counting() {
        let mut rig = Rig::new();
        rig.check(&[
            ("DEL nokey", ":0"),
            ("SET a 1", "+OK"),
            ("SET b 2", "+OK"),
            ("EXISTS a b a c", ":3"),
            ("TOUCH a c b", ":2"),
            ("TYPE a", "+string"),
            ("TYPE c", "+none"),
            ("DEL a a c", ":1"),
            ("UNLINK a b c", ":1"),
            ("EXISTS a b", ":0"),
            ("DBSIZE", ":0"),
        ]);
        assert_eq!(rig.run("DEL"), "-ERR wrong number of arguments for 'del' command");
    }

    #[test]
    fn a_large_value_is_unlinked_at_once() {
        let mut rig = Rig::new();
        rig.args(&[b"SET", b"big", &vec![b'x'; 1 << 20]]);
        rig.check(&[("UNLINK big", ":1"), ("EXISTS big", ":0"), ("UNLINK big", ":0")]);
        assert_eq!(rig.worker.node.keyspace.totals(0), Default::default());
        rig.args(&[b"SET", b"big", &vec![b'x'; 1 << 20]]);
        rig.check(&[("PEXPIRE big 5", ":1")]);
        rig.pass(6);
        rig.check(&[("UNLINK big", ":0"), ("DBSIZE", ":0")]);
    }

    #[test]
    fn renaming() {
        let mut rig = Rig::new();
        rig.check(&[
            ("RENAME nokey x", "-ERR no such key"),
            ("RENAME nokey nokey", "-ERR no such key"),
            ("RENAMENX nokey nokey", "-ERR no such key"),
            ("SET a 1", "+OK"),
            ("PEXPIREAT a 99999999999999", ":1"),
            ("SET b 2", "+OK"),
            ("RENAME a a", "+OK"),
            ("RENAMENX a a", ":0"),
            ("RENAMENX a b", ":0"),
            ("GET b", "$1|2"),
            ("RENAME a b", "+OK"),
            ("GET b", "$1|1"),
            ("PEXPIRETIME b", ":99999999999999"),
            ("RENAMENX b c", ":1"),
            ("PEXPIRETIME c", ":99999999999999"),
            ("EXISTS a b", ":0"),
            ("DBSIZE", ":1"),
        ]);
        // A destination past its time is not in the way.
        rig.check(&[("SET d 4", "+OK"), ("PEXPIRE d 5", ":1")]);
        rig.pass(6);
        rig.check(&[("RENAMENX c d", ":1"), ("GET d", "$1|1"), ("DBSIZE", ":1")]);
    }

    #[test]
    fn copying() {
        let mut rig = Rig::new();
        rig.check(&[
            ("COPY a b", ":0"),
            ("COPY a a", "-ERR source and destination objects are the same"),
            ("COPY a a DB 0", "-ERR source and destination objects are the same"),
            ("COPY a b DB x", "-ERR value is not an integer or out of range"),
            ("COPY a b DB 16", "-ERR DB index is out of range"),
            ("COPY a b DB -1", "-ERR DB index is out of range"),
            ("COPY a b DB", "-ERR syntax error"),
            ("COPY a b FOO", "-ERR syntax error"),
            ("SET a 1", "+OK"),
            ("PEXPIREAT a 99999999999999", ":1"),
            ("COPY a b", ":1"),
            ("PEXPIRETIME b", ":99999999999999"),
            ("SET a 2", "+OK"),
            ("COPY a b", ":0"),
            ("GET b", "$1|1"),
            ("COPY a b replace", ":1"),
            ("GET b", "$1|2"),
            ("PTTL b", ":-1"),
            ("COPY a a db 3", ":1"),
            ("COPY a a db 3", ":0"),
            ("COPY a a db 3 replace", ":1"),
            ("DBSIZE", ":2"),
        ]);
        rig.client.select(3);
        rig.check(&[("GET a", "$1|2"), ("DBSIZE", ":1")]);
    }

    #[test]
    fn moving() {
        let mut rig = Rig::new();
        rig.check(&[
            ("MOVE a x", "-ERR value is not an integer or out of range"),
            ("MOVE a 9999999999", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
            ("MOVE a 16", "-ERR DB index is out of range"),
            ("MOVE a 0", "-ERR source and destination objects are the same"),
            ("MOVE a 1", ":0"),
            ("SET a 1", "+OK"),
            ("PEXPIRE a 100", ":1"),
            ("MOVE a 1", ":1"),
            ("EXISTS a", ":0"),
            ("SET a 2", "+OK"),
            ("MOVE a 1", ":0"),
            ("GET a", "$1|2"),
        ]);
        rig.client.select(1);
        rig.check(&[("GET a", "$1|1"), ("PTTL a", ":100")]);
        rig.pass(101);
        rig.check(&[("GET a", "$-1")]);
        rig.client.select(0);
        rig.check(&[("MOVE a 1", ":1")]);
    }
}
