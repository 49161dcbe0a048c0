//! `OBJECT`: how a key is kept.

use super::{Access, Command, Context, Error, Flags, Group, KeySpec, help, limit};
use crate::protocol::Args;
use crate::store::{Record, Value};

const KEY: &[KeySpec] = &[KeySpec::at(2, Access::RO)];
const TIPS: &[&str] = &["nondeterministic_output"];
/// Integers that Redis makes no object of: it reports the most references for them. Here they take none at all.
const SHARED: std::ops::Range<i64> = 0..10_000;

/// The family's rows.
pub(super) const COMMANDS: &[Command] =
    &[Command::container("object", SUBCOMMANDS).since("2.2.3").doc("Tells how the value of a key is kept.", "")];

const SUBCOMMANDS: &[Command] = &[
    sub("encoding", "2.2.3", encoding).doc("Returns the way in which the value of a key is kept.", "key"),
    sub("freq", "4.0.0", freq).doc("Returns the logarithmic access frequency counter of a key.", "key"),
    help::row(Group::Generic, "6.2.0"),
    sub("idletime", "2.2.3", idletime).doc("Returns the seconds since the last access to a key.", "key"),
    sub("refcount", "2.2.3", refcount).doc("Returns how many references there are to the value of a key.", "key"),
];

const fn sub(name: &'static str, since: &'static str, run: super::Run) -> Command {
    Command::new(name, 3, run).flags(Flags::READONLY).keys(KEY).since(since).tips(TIPS)
}

/// Replies what `tell` says of the key, the null if it is not there.
fn inspect(
    cx: &mut Context<'_>,
    args: Args<'_>,
    tell: impl FnOnce(&mut Context<'_>, Record<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let store = cx.store;
    store.peek(args.get(2), |record| match record {
        Some(record) => tell(cx, record),
        None => {
            cx.reply.null();
            Ok(())
        }
    })
}

/// Strings up to this length are called `embstr`, as in Redis.
const EMBSTR_MAX: usize = 44;

fn encoding(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    inspect(cx, args, |cx, record| {
        cx.reply.bulk(match record.value() {
            Value::Integer(_) => b"int",
            Value::Embedded { bytes, raw: false } if bytes.len() <= EMBSTR_MAX => b"embstr",
            Value::Embedded { .. } => b"raw",
            value => value.object().map_or("raw", |object| object.encoding()).as_bytes(),
        });
        Ok(())
    })
}

fn freq(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    inspect(cx, args, |cx, record| {
        let frequency = cx.store.frequency(record).ok_or(Error::new(
            "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ))?;
        cx.reply.count(frequency.into());
        Ok(())
    })
}

fn idletime(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    inspect(cx, args, |cx, record| {
        let idle = cx.store.idle_seconds(record).ok_or(Error::new(
            "An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
             policies at runtime LRU and LFU data will take some time to adjust.",
        ))?;
        cx.reply.count(idle as usize);
        Ok(())
    })
}

fn refcount(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    inspect(cx, args, |cx, record| {
        // With the access clocks of eviction, Redis shares nothing either.
        let policy = cx.settings().maxmemory_policy;
        let has_clocks = cx.settings().maxmemory > 0 && limit::keeps_clocks(policy);
        let is_shared = !has_clocks && matches!(record.value(), Value::Integer(value) if SHARED.contains(&value));
        cx.reply.integer(if is_shared { i32::MAX.into() } else { 1 });
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn encodings_of_strings() {
        let mut rig = Rig::new();
        rig.check(&[("OBJECT ENCODING k", "$-1"), ("SET k 123", "+OK"), ("OBJECT encoding k", "$3|int")]);
        rig.check(&[("SET k 0123", "+OK"), ("OBJECT ENCODING k", "$6|embstr")]);
        for (len, encoding) in [(44, "$6|embstr"), (45, "$3|raw"), (5000, "$3|raw")] {
            rig.args(&[b"SET", b"k", &vec![b'x'; len]]);
            assert_eq!(rig.run("OBJECT ENCODING k"), encoding, "{len}");
        }
    }

    #[test]
    fn access_and_references() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SET k v", "+OK"),
            ("OBJECT REFCOUNT k", ":1"),
            ("SET n 9999", "+OK"),
            ("OBJECT REFCOUNT n", ":2147483647"),
            ("INCR n", ":10000"),
            ("OBJECT REFCOUNT n", ":1"),
            ("OBJECT IDLETIME k", ":0"),
            ("OBJECT IDLETIME nokey", "$-1"),
            ("OBJECT FREQ nokey", "$-1"),
        ]);
        assert!(rig.run("OBJECT FREQ k").starts_with("-ERR An LFU maxmemory policy is not selected, access frequency"));
        rig.pass(7_000);
        // Looking does not touch; TOUCH does.
        rig.check(&[("OBJECT IDLETIME k", ":7"), ("EXISTS k", ":1"), ("TTL k", ":-1"), ("OBJECT IDLETIME k", ":7")]);
        rig.check(&[("PEXPIRE k 100000", ":1"), ("OBJECT IDLETIME k", ":7")]);
        rig.check(&[("TOUCH k", ":1"), ("OBJECT IDLETIME k", ":0")]);
    }

    #[test]
    fn help_and_errors() {
        let mut rig = Rig::new();
        let help = rig.run("OBJECT HELP");
        let lines: Vec<_> = help.split('|').collect();
        assert_eq!(lines[0], "*11");
        assert_eq!(lines[1], "+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        assert_eq!(lines[2], "+ENCODING <key>");
        assert!(lines[3].starts_with("+    "));
        assert_eq!(lines[10..], ["+HELP", "+    Print this help."]);
        rig.check(&[
            ("OBJECT foo", "-ERR unknown subcommand 'foo'. Try OBJECT HELP."),
            ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command"),
            ("OBJECT", "-ERR wrong number of arguments for 'object' command"),
        ]);
    }
}
