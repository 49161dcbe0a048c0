//! Strings: reading and setting whole values.

use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::Args;
use crate::store::{Object, Record, Ttl, Value};

const READ_ONE: &[KeySpec] = &[KeySpec::at(1, Access::RO.and(Access::ACCESS))];
const OVERWRITE_ONE: &[KeySpec] = &[KeySpec::at(1, Access::OW.and(Access::UPDATE))];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("get", 2, get)
        .flags(Flags::READONLY.and(Flags::FAST))
        .keys(READ_ONE)
        .group(Group::String)
        .doc("Returns the string value of a key.", "key"),
    Command::new("set", -3, set)
        .flags(Flags::WRITE.and(Flags::DENYOOM))
        .keys(OVERWRITE_ONE)
        .group(Group::String)
        .doc("Sets a key to a string value.", "key value"),
];

fn get(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let store = cx.store;
    store.read(args.get(1), |record| {
        cx.count_lookup(record.is_some());
        reply_string(cx, record)
    })
}

/// Replies the string in a record, the null where there is none, or the type error.
fn reply_string(cx: &mut Context<'_>, record: Option<Record<'_>>) -> Result<(), Error> {
    match record.map(Record::value) {
        None => cx.reply.null(),
        Some(Value::Embedded { bytes, .. }) => cx.reply.bulk(bytes),
        Some(Value::Integer(value)) => cx.reply.bulk_integer(value),
        Some(Value::Boxed(Object::String(string))) => cx.reply.bulk(string),
    }
    Ok(())
}

fn set(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let store = cx.store;
    store.update(args.get(1), |entry| match args.take_big(2) {
        Some(bytes) => entry.set_owned(bytes.into(), Ttl::Clear),
        None => entry.set_string(args.get(2), Ttl::Clear),
    });
    store.changed();
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn set_and_get() {
        let mut rig = Rig::new();
        rig.check(&[("GET k", "$-1"), ("SET k v", "+OK"), ("GET k", "$1|v"), ("SET k 12", "+OK"), ("GET k", "$2|12")]);
        assert_eq!(rig.run("GET"), "-ERR wrong number of arguments for 'get' command");
    }
}
