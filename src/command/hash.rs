//! Hashes: single fields, and numbers in them.

use super::hash_fields::{Absent, read, write};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec, Run};
use crate::protocol::extended::LongDouble;
use crate::protocol::{Args, number};
use crate::value::hash::Expiry;

const LOOK: &[KeySpec] = &[KeySpec::at(1, Access::RO)];
pub(super) const READ: &[KeySpec] = &[KeySpec::at(1, Access::RO.and(Access::ACCESS))];
pub(super) const UPDATE: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::UPDATE))];
pub(super) const INSERT: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::INSERT))];
const COUNT: &[KeySpec] = &[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::UPDATE))];
pub(super) const GROWING: Flags = Flags::WRITE.and(Flags::DENYOOM).and(Flags::FAST);

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("hset", -4, hset, GROWING, UPDATE)
        .complexity("O(N) where N is the number of fields being set.")
        .doc("Sets fields of a hash, which is made if it is not there.", "key <field value> ..."),
    row("hmset", -4, hmset, GROWING, UPDATE)
        .complexity("O(N) where N is the number of fields being set.")
        .replaced_by("`HSET` with multiple field-value pairs", "4.0.0")
        .doc("Sets fields of a hash, which is made if it is not there.", "key <field value> ..."),
    row("hsetnx", 4, hsetnx, GROWING, INSERT).doc("Sets a field of a hash that is not there.", "key field value"),
    row("hget", 3, hget, READING, READ).doc("Returns the value of a field of a hash.", "key field"),
    row("hmget", -3, hmget, READING, READ)
        .complexity("O(N) where N is the number of fields being requested.")
        .doc("Returns the values of several fields of a hash.", "key field ..."),
    row("hlen", 2, hlen, READING, LOOK).doc("Returns the number of fields of a hash.", "key"),
    row("hstrlen", 3, hstrlen, READING, LOOK)
        .since("3.2.0")
        .doc("Returns the length of the value of a field of a hash.", "key field"),
    row("hexists", 3, hexists, READING, LOOK).doc("Tells whether a hash has a field.", "key field"),
    row("hdel", -3, hdel, Flags::WRITE.and(Flags::FAST), &[KeySpec::at(1, Access::RW.and(Access::DELETE))])
        .complexity("O(N) where N is the number of fields to be removed.")
        .doc("Removes fields of a hash, and the hash with its last field.", "key field ..."),
    row("hincrby", 4, hincrby, GROWING, COUNT).doc(
        "Adds a number to the integer value of a field of a hash; a field that is not there counts as 0.",
        "key field increment",
    ),
    row("hincrbyfloat", 4, hincrbyfloat, GROWING, COUNT).since("2.6.0").doc(
        "Adds a floating point number to the value of a field of a hash; a field that is not there counts as 0.",
        "key field increment:double",
    ),
];

const READING: Flags = Flags::READONLY.and(Flags::FAST);

/// A row of the hash families.
pub(super) const fn row(name: &'static str, arity: i32, run: Run, flags: Flags, keys: &'static [KeySpec]) -> Command {
    Command::new(name, arity, run).flags(flags).keys(keys).group(Group::Hash).since("2.0.0")
}

fn hset(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let added = set(cx, args)?;
    cx.reply.count(added);
    Ok(())
}

fn hmset(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    set(cx, args)?;
    cx.reply.ok();
    Ok(())
}

/// Sets the fields of a request; how many were new.
fn set(cx: &mut Context<'_>, args: Args<'_>) -> Result<usize, Error> {
    if !args.len().is_multiple_of(2) {
        return Err(cx.arity_error());
    }
    let added = write(cx, args.get(1), Absent::Create, |_, fields| {
        fields.events(["hset"]);
        fields.prepare(args.len() / 2 - 1)?;
        let mut added = 0;
        for at in (2..args.len()).step_by(2) {
            added += usize::from(fields.insert(args.get(at), args.get(at + 1), Expiry::Never)?);
        }
        Ok(added)
    })?;
    Ok(added.unwrap_or_default())
}

fn hsetnx(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let set = write(cx, args.get(1), Absent::Create, |_, fields| {
        if fields.field(args.get(2)).is_some() {
            return Ok(false);
        }
        fields.events(["hset"]);
        fields.insert(args.get(2), args.get(3), Expiry::Never)
    })?;
    cx.reply.integer((set == Some(true)).into());
    Ok(())
}

fn hget(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.get(1), |cx, fields| {
        let value = fields.and_then(|fields| fields.get(args.get(2)));
        cx.reply.bulk_or_null(value.as_deref());
        Ok(())
    })
}

fn hmget(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.get(1), |cx, fields| {
        let names = args.skip(2);
        cx.reply.array(names.len());
        for name in names {
            let value = fields.and_then(|fields| fields.get(name));
            cx.reply.bulk_or_null(value.as_deref());
        }
        Ok(())
    })
}

fn hlen(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.get(1), |cx, fields| {
        cx.reply.count(fields.map_or(0, |fields| fields.stored()));
        Ok(())
    })
}

fn hstrlen(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.get(1), |cx, fields| {
        let value = fields.and_then(|fields| fields.get(args.get(2)));
        cx.reply.count(value.map_or(0, |value| value.len()));
        Ok(())
    })
}

fn hexists(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    read(cx, args.get(1), |cx, fields| {
        let found = fields.is_some_and(|fields| fields.get(args.get(2)).is_some());
        cx.reply.integer(found.into());
        Ok(())
    })
}

fn hdel(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let removed = write(cx, args.get(1), Absent::Skip, |_, fields| {
        fields.events(["hdel"]);
        Ok(args.skip(2).iter().filter(|name| fields.remove(name)).count())
    })?;
    cx.reply.count(removed.unwrap_or_default());
    Ok(())
}

fn hincrby(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let by = number::parse_i64(args.get(3)).ok_or(Error::NOT_INTEGER)?;
    write(cx, args.get(1), Absent::Create, |cx, fields| {
        let old = match fields.field(args.get(2)) {
            None => 0,
            Some((value, _)) => match value.as_integer() {
                Some(value) => value,
                None => number::parse_i64(&value).ok_or(Error::HASH_NOT_INTEGER)?,
            },
        };
        let sum = old.checked_add(by).ok_or(Error::OVERFLOW)?;
        fields.events(["hincrby"]);
        fields.insert(args.get(2), itoa::Buffer::new().format(sum).as_bytes(), Expiry::Keep)?;
        cx.reply.integer(sum);
        Ok(())
    })?;
    Ok(())
}

fn hincrbyfloat(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let by = LongDouble::parse(args.get(3)).ok_or(Error::NOT_FLOAT)?;
    if by.is_infinite() {
        return Err(Error::INFINITE_INCREMENT);
    }
    write(cx, args.get(1), Absent::Create, |cx, fields| {
        let old = fields.field(args.get(2));
        let old = old.as_ref().map_or(&b"0"[..], |(value, _)| value);
        let old = LongDouble::parse(old).ok_or(Error::HASH_NOT_FLOAT)?;
        let sum = old.checked_add(by).ok_or(Error::NAN_OR_INFINITY)?;
        let mut text = Vec::with_capacity(40);
        sum.write(&mut text);
        fields.events(["hincrbyfloat"]);
        fields.insert(args.get(2), &text, Expiry::Keep)?;
        cx.reply.bulk(&text);
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::dispatch;
    use crate::command::testing::Rig;
    use crate::protocol::Frame;

    #[test]
    fn fields_are_set_read_and_removed() {
        let mut rig = Rig::new();
        rig.check(&[
            ("HGET h a", "$-1"),
            ("HSET h a 1 b 2 a 3", ":2"),
            ("HSET h a 1 c 2", ":1"),
            ("HMSET h d 4", "+OK"),
            ("HSETNX h a 9", ":0"),
            ("HSETNX h e 5", ":1"),
            ("HGET h a", "$1|1"),
            ("HMGET h a x b", "*3|$1|1|$-1|$1|2"),
            ("HLEN h", ":5"),
            ("HSTRLEN h a", ":1"),
            ("HSTRLEN h x", ":0"),
            ("HEXISTS h e", ":1"),
            ("HEXISTS h x", ":0"),
            ("HDEL h a a x b", ":2"),
            ("HDEL h c d e", ":3"),
            ("EXISTS h", ":0"),
            ("HDEL h a", ":0"),
            ("HMGET h a b", "*2|$-1|$-1"),
            ("HLEN h", ":0"),
            ("HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command"),
            ("HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command"),
        ]);
    }

    #[test]
    fn other_types_are_refused() {
        let mut rig = Rig::new();
        rig.check(&[("SET s 1", "+OK")]);
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        for request in ["HGET s a", "HSET s a 1", "HSETNX s a 1", "HDEL s a", "HLEN s", "HINCRBY s a 1", "HMGET s a"] {
            rig.check(&[(request, wrong)]);
        }
        rig.check(&[("GET s", "$1|1")]);
    }

    #[test]
    fn counting() {
        let mut rig = Rig::new();
        rig.check(&[
            ("HINCRBY h n 5", ":5"),
            ("HINCRBY h n -7", ":-2"),
            ("HINCRBYFLOAT h n 0.5", "$4|-1.5"),
            ("HINCRBY h n 1", "-ERR hash value is not an integer"),
            ("HINCRBY h n x", "-ERR value is not an integer or out of range"),
            ("HINCRBYFLOAT h n x", "-ERR value is not a valid float"),
            ("HINCRBYFLOAT h n inf", "-ERR value is NaN or Infinity"),
            ("HSET h big 9223372036854775807 text x inf inf", ":3"),
            ("HINCRBY h big 1", "-ERR increment or decrement would overflow"),
            ("HINCRBYFLOAT h text 1", "-ERR hash value is not a float"),
            ("HINCRBYFLOAT h inf 1", "-ERR increment would produce NaN or Infinity"),
            ("HINCRBY new n x", "-ERR value is not an integer or out of range"),
            ("EXISTS new", ":0"),
        ]);
    }

    #[test]
    fn large_hashes_change_their_form() {
        let mut rig = Rig::new();
        (0..512).for_each(|i| rig.check(&[(&format!("HSET h {i} {i}"), ":1")]));
        rig.check(&[("OBJECT ENCODING h", "$8|listpack"), ("HSET h more 1", ":1")]);
        rig.check(&[("OBJECT ENCODING h", "$9|hashtable"), ("HGET h 77", "$2|77"), ("HLEN h", ":513")]);
        rig.check(&[(&format!("HSET long a {}", "x".repeat(64)), ":1"), ("OBJECT ENCODING long", "$8|listpack")]);
        rig.check(&[(&format!("HSET long a {}", "x".repeat(65)), ":0"), ("OBJECT ENCODING long", "$9|hashtable")]);
    }

    #[test]
    fn changes_are_told() {
        let mut rig = Rig::new();
        rig.worker.node.keyspace.listen_to_all(true);
        let mut told = |request: &str| {
            let frame: Frame = request.split(' ').map(str::as_bytes).collect();
            let handle = crate::command::find(frame.args()).expect("a command");
            // Not by way of `execute`, which hands the events on.
            let done = dispatch::perform(&rig.worker, &mut rig.client, handle, frame.args(), &mut Vec::new());
            assert_eq!(done, Ok(()), "{request}");
            let changes = rig.worker.local.take_changes();
            let names = changes.iter().map(|change| change.event.name).filter(|name| *name != "new");
            names.collect::<Vec<_>>().join(" ")
        };
        for (request, events) in [
            ("HSET h a 1 b 2", "hset"),
            ("HSETNX h a 1", ""),
            ("HINCRBY h a 1", "hincrby"),
            ("HINCRBYFLOAT h a 1", "hincrbyfloat"),
            ("HGET h a", ""),
            ("HEXPIRE h 10 FIELDS 2 a x", "hexpire"),
            ("HEXPIRE h 10 NX FIELDS 1 a", ""),
            ("HPERSIST h FIELDS 1 a", "hpersist"),
            ("HPERSIST h FIELDS 1 a", ""),
            ("HGETEX h EX 10 FIELDS 1 a", "hexpire"),
            ("HGETEX h PERSIST FIELDS 1 a", "hpersist"),
            ("HSETEX h EX 10 FIELDS 1 a 1", "hset hexpire"),
            ("HSETEX h PXAT 1 FIELDS 1 a 1", "hset hexpire hexpired"),
            ("HDEL h x", ""),
            ("HDEL h b", "hdel del"),
            ("HSET h a 1 b 2", "hset"),
            ("HGETDEL h FIELDS 1 a", "hdel"),
            ("HEXPIRE h 0 FIELDS 1 b", "hexpired del"),
        ] {
            assert_eq!(told(request), events, "{request}");
        }
    }
}
