//! `DEBUG`: what tests need of a server, for clients that `enable-debug-command` admits.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::config::caller;
use super::digest::Digest;
use super::{Command, Context, Error, Flags, Group};
use crate::config::Settings;
use crate::protocol::{Args, number};
use crate::store::{Object, Value};
use crate::value::list::List;

/// The longest `DEBUG SLEEP`, in seconds: a server that sleeps longer cannot be told from a broken one.
const LONGEST_SLEEP: f64 = 3600.0;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::new("debug", -2, debug)
    .flags(Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE))
    .group(Group::Server)
    .complexity("Depends on subcommand.")
    .internal()
    .doc("Looks into the server, for tests.", "subcommand [argument ...]")];

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DIGEST",
    "    Return a digest of all keys with their values, equal on servers that hold the same.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Return digests of the values of keys.",
    "OBJECT <key>",
    "    Tell how the value of a key is kept.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Remove keys past their time in the background (1), or only when a command meets them (0).",
    "SLEEP <seconds>",
    "    Stop the worker that serves this connection, with all its other clients, for a time.",
    "STRINGMATCH-LEN <length> <pattern>",
    "    Match a pattern against a string of that many letters.",
    "HELP",
    "    Print this help.",
];

fn debug(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if !cx.settings().enable_debug_command.admits(caller(cx)) {
        return Err(Error::new(
            "DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a \
             local connection, otherwise you need to set this option in the configuration file, and then restart the \
             server.",
        ));
    }
    let word = args.get(1).to_ascii_lowercase();
    match (word.as_slice(), args.len()) {
        (b"help", 2) => {
            cx.reply.array(HELP.len());
            HELP.iter().for_each(|line| cx.reply.simple(line));
            return Ok(());
        }
        (b"digest", 2) => return digest(cx),
        (b"digest-value", 2..) => return digest_values(cx, args),
        (b"object", 3..) => return object(cx, args.get(2)),
        (b"set-active-expire", 3) => {
            let on = number::parse_i64(args.get(2)).is_some_and(|value| value != 0);
            cx.node.keyspace.active_expire.store(on, Relaxed);
        }
        (b"sleep", 3) => sleep(args.get(2))?,
        (b"stringmatch-len", 4) => return match_pattern(cx, args),
        _ => {
            let shown = String::from_utf8_lossy(&args.get(1)[..args.size(1).min(128)]).into_owned();
            return Err(Error::new(format!(
                "unknown subcommand or wrong number of arguments for '{shown}'. Try DEBUG HELP."
            )));
        }
    }
    cx.reply.ok();
    Ok(())
}

/// Blocks this thread, as tests of slow commands want it.
fn sleep(seconds: &[u8]) -> Result<(), Error> {
    let seconds = number::parse_f64(seconds).ok_or(Error::NOT_FLOAT)?;
    if !(0.0..=LONGEST_SLEEP).contains(&seconds) {
        return Err(Error::VALUE_RANGE);
    }
    std::thread::sleep(Duration::from_secs_f64(seconds));
    Ok(())
}

fn match_pattern(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let limit = cx.settings().proto_max_bulk_len;
    let len = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let len = u64::try_from(len).ok().filter(|&len| len <= limit).ok_or(Error::VALUE_RANGE)?;
    let text = vec![b'x'; len as usize];
    cx.reply.integer(crate::protocol::glob::matches(args.get(3), &text, false).into());
    Ok(())
}

/// Alone, because a digest of keys at different moments is none.
fn digest(cx: &mut Context<'_>) -> Result<(), Error> {
    let (node, worker, now_ms) = (cx.node, cx.worker, cx.now_ms());
    let _held = node.keyspace.enter_all(&worker.local)?;
    let mut digest = Digest::default();
    for database in 0..cx.settings().databases as usize {
        cx.store.select(database).for_each(|record| {
            if !record.is_expired(now_ms) {
                digest.add_key(database, record);
            }
            true
        })?;
    }
    cx.reply.simple(&digest.hex());
    Ok(())
}

fn digest_values(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (node, worker) = (cx.node, cx.worker);
    let _held = node.keyspace.enter_keys(&worker.local, args.skip(2).iter())?;
    cx.reply.array(args.len() - 2);
    for key in args.skip(2) {
        let digest = cx.store.peek(key, |record| record.map(Digest::of_value)).unwrap_or_default();
        cx.reply.simple(&digest.hex());
    }
    Ok(())
}

/// What Redis tells besides of a large list.
fn chunks(list: &List, settings: &Settings) -> String {
    let (nodes, entries) = list.chunks().fold((0, 0), |(nodes, entries), (_, len)| (nodes + 1, entries + len));
    let average = entries as f64 / f64::from(nodes.max(1));
    format!(
        " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{}",
        settings.list_max_listpack_size,
        u8::from(settings.list_compress_depth != 0),
        list.memory(),
    )
}

/// A line in Redis's form, which its test suite parses.
fn object(cx: &mut Context<'_>, key: &[u8]) -> Result<(), Error> {
    let (node, worker) = (cx.node, cx.worker);
    let _held = node.keyspace.enter_key(&worker.local, key)?;
    let now = cx.now_ms() / 1000;
    let settings = &worker.settings;
    let line = cx.store.peek(key, |record| {
        let record = record?;
        let (encoding, length) = match record.value() {
            Value::Integer(value) => ("int", value.to_string().len()),
            Value::Embedded { bytes, raw } => (if raw { "raw" } else { "embstr" }, bytes.len()),
            Value::Boxed(Object::String(string)) => ("raw", string.len()),
            Value::Boxed(object) => (object.encoding(), object.memory()),
        };
        let list = match record.value() {
            Value::Boxed(Object::List(list)) if list.encoding() == "quicklist" => chunks(list, settings),
            _ => String::new(),
        };
        let (clock, at) = (record.access(), record.key().as_ptr());
        let idle = now.saturating_sub(clock.into());
        Some(format!(
            "Value at:{at:p} refcount:1 encoding:{encoding} serializedlength:{length} lru:{clock} \
             lru_seconds_idle:{idle}{list}"
        ))
    });
    cx.reply.simple(&line.ok_or(Error::NO_KEY)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    #[test]
    fn helpers_work_for_local_clients() {
        let mut rig = Rig::new();
        rig.check(&[
            ("DEBUG SET-ACTIVE-EXPIRE 0", "+OK"),
            ("DEBUG STRINGMATCH-LEN 100000 *x*x*x*y", ":0"),
            ("DEBUG STRINGMATCH-LEN 3 x*", ":1"),
            ("DEBUG STRINGMATCH-LEN -1 x*", "-ERR value is out of range"),
            ("DEBUG STRINGMATCH-LEN 9223372036854775807 x*", "-ERR value is out of range"),
            ("DEBUG SLEEP 0.001", "+OK"),
            ("DEBUG SLEEP -1", "-ERR value is out of range"),
            ("DEBUG SLEEP inf", "-ERR value is out of range"),
            ("DEBUG SLEEP x", "-ERR value is not a valid float"),
            ("DEBUG OBJECT k", "-ERR no such key"),
            ("DEBUG OBJECT", "-ERR unknown subcommand or wrong number of arguments for 'OBJECT'. Try DEBUG HELP."),
            ("DEBUG FOO", "-ERR unknown subcommand or wrong number of arguments for 'FOO'. Try DEBUG HELP."),
            ("SET k 12", "+OK"),
        ]);
        assert!(!rig.worker.node.keyspace.active_expire.load(Relaxed));
        let line = rig.run("DEBUG OBJECT k");
        assert!(line.starts_with("+Value at:0x") && line.contains(" encoding:int serializedlength:2 "), "{line}");
        assert!(rig.run("DEBUG HELP").starts_with(&format!("*{}|+DEBUG <subcommand>", HELP.len())));
    }

    #[test]
    fn strangers_are_refused() {
        let rig = Rig::new();
        let mut stranger = rig.connect_from("203.0.113.7:5000");
        let frame: crate::protocol::Frame = [b"DEBUG".as_slice(), b"SLEEP", b"0"].iter().collect();
        let mut out = Vec::new();
        let outcome = crate::command::execute(&rig.worker, &mut stranger, frame.args(), &mut out);
        assert_eq!(outcome, crate::command::Outcome::Done);
        assert!(out.starts_with(b"-ERR DEBUG command not allowed."), "{out:?}");
    }
}
