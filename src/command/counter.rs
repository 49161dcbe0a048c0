//! Strings as numbers: counting up and down.

use super::string::{CHANGE_ONE, GROWING};
use super::string_value::{StringValue, string_of};
use super::{Command, Context, Error, Flags, Group};
use crate::protocol::extended::LongDouble;
use crate::protocol::{Args, number};
use crate::store::{Event, Ttl};

const FLAGS: Flags = GROWING.and(Flags::FAST);

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("incr", 2, incr)
        .flags(FLAGS)
        .keys(CHANGE_ONE)
        .group(Group::String)
        .doc("Adds one to the integer value of a key; a key that is not there counts as 0.", "key"),
    Command::new("decr", 2, decr)
        .flags(FLAGS)
        .keys(CHANGE_ONE)
        .group(Group::String)
        .doc("Subtracts one from the integer value of a key; a key that is not there counts as 0.", "key"),
    Command::new("incrby", 3, incrby)
        .flags(FLAGS)
        .keys(CHANGE_ONE)
        .group(Group::String)
        .doc("Adds a number to the integer value of a key; a key that is not there counts as 0.", "key increment"),
    Command::new("decrby", 3, decrby).flags(FLAGS).keys(CHANGE_ONE).group(Group::String).doc(
        "Subtracts a number from the integer value of a key; a key that is not there counts as 0.",
        "key decrement",
    ),
    Command::new("incrbyfloat", 3, incrbyfloat).flags(FLAGS).keys(CHANGE_ONE).group(Group::String).since("2.6.0").doc(
        "Adds a floating point number to the value of a key; a key that is not there counts as 0.",
        "key increment:double",
    ),
];

fn incr(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    add(cx, args.get(1), 1)
}

fn decr(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    add(cx, args.get(1), -1)
}

fn incrby(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let by = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    add(cx, args.get(1), by)
}

fn decrby(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let by = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    add(cx, args.get(1), by.checked_neg().ok_or(Error::DECREMENT_OVERFLOW)?)
}

/// Adds to the integer in a key and replies the sum.
fn add(cx: &mut Context<'_>, key: &[u8], by: i64) -> Result<(), Error> {
    let sum = cx.store.update(key, |entry| {
        let old = match string_of(entry.value())? {
            None => 0,
            Some(StringValue::Integer(value)) => value,
            Some(StringValue::Bytes(bytes)) => number::parse_i64(bytes).ok_or(Error::NOT_INTEGER)?,
        };
        let sum = old.checked_add(by).ok_or(Error::OVERFLOW)?;
        entry.set_integer(sum, Ttl::Keep);
        Ok::<_, Error>(sum)
    })?;
    cx.store.changed(key, Event::string("incrby"));
    cx.reply.integer(sum);
    Ok(())
}

fn incrbyfloat(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let store = cx.store;
    let mut text = Vec::with_capacity(40);
    store.update(args.get(1), |entry| {
        let mut digits = itoa::Buffer::new();
        let old = string_of(entry.value())?.map_or(&b"0"[..], |string| string.bytes(&mut digits));
        let old = LongDouble::parse(old).ok_or(Error::NOT_FLOAT)?;
        let by = LongDouble::parse(args.get(2)).ok_or(Error::NOT_FLOAT)?;
        let sum = old.checked_add(by).ok_or(Error::NAN_OR_INFINITY)?;
        sum.write(&mut text);
        entry.set_text(&text, Ttl::Keep);
        cx.reply.bulk(&text);
        Ok::<_, Error>(())
    })?;
    store.changed(args.get(1), Event::string("incrbyfloat"));
    // Others may sum fractions otherwise.
    cx.record_as(&[b"SET", args.get(1), &text, b"KEEPTTL"]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn counting() {
        let mut rig = Rig::new();
        rig.check(&[
            ("INCR n", ":1"),
            ("INCRBY n 41", ":42"),
            ("DECR n", ":41"),
            ("DECRBY n -9", ":50"),
            ("GET n", "$2|50"),
            ("SET n 9223372036854775806", "+OK"),
            ("INCR n", ":9223372036854775807"),
            ("INCR n", "-ERR increment or decrement would overflow"),
            ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"),
            ("INCRBY n -9223372036854775808", ":-1"),
            ("INCRBY n 9223372036854775808", "-ERR value is not an integer or out of range"),
            ("INCRBY n 1.5", "-ERR value is not an integer or out of range"),
            ("SET s 1x", "+OK"),
            ("INCR s", "-ERR value is not an integer or out of range"),
            ("SET s 01", "+OK"),
            ("INCR s", "-ERR value is not an integer or out of range"),
            ("GET s", "$2|01"),
        ]);
    }

    #[test]
    fn counting_fractions() {
        let mut rig = Rig::new();
        rig.check(&[
            ("INCRBYFLOAT f 3.0e3", "$4|3000"),
            ("INCRBYFLOAT f 1.1", "$22|3001.10000000000000009"),
            ("INCRBYFLOAT f -0.1", "$4|3001"),
            ("INCR f", ":3002"),
            ("INCRBYFLOAT f 0.5", "$6|3002.5"),
            ("GET f", "$6|3002.5"),
            ("INCR f", "-ERR value is not an integer or out of range"),
            ("INCRBYFLOAT f x", "-ERR value is not a valid float"),
            ("INCRBYFLOAT f nan", "-ERR value is not a valid float"),
            ("INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity"),
            ("SET s x", "+OK"),
            ("INCRBYFLOAT s 1", "-ERR value is not a valid float"),
        ]);
    }

    #[test]
    fn counters_keep_their_time_to_live() {
        let mut rig = Rig::new();
        rig.check(&[("SET n 1 EX 10", "+OK"), ("INCR n", ":2"), ("INCRBYFLOAT n 0.5", "$3|2.5")]);
        rig.pass(11_000);
        rig.check(&[("GET n", "$-1"), ("INCR n", ":1")]);
        rig.pass(11_000);
        rig.check(&[("GET n", "$1|1")]);
    }

    #[test]
    fn long_sums_are_kept_whole() {
        let mut rig = Rig::new();
        // The nearest number of 64 bits is a little less than what was asked for.
        let reply = rig.run("INCRBYFLOAT f 1e4000");
        assert!(reply.starts_with("$4000|999999999999999999996546387309962378493249258350"), "{reply}");
        assert_eq!(rig.run("GET f"), reply);
        assert_eq!(rig.run("INCRBYFLOAT f -1e4000"), "$1|0");
    }
}
