//! `DEBUG`: what tests need of a server, for clients that `enable-debug-command` admits.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::config::caller;
use super::{Command, Context, Error, Flags, Group, debug_data, debug_protocol, debug_reload, random_hex};
use crate::protocol::{Args, number};

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
    "CHANGE-REPL-ID",
    "    Give the history of the data a new name.",
    "DIGEST",
    "    Return a sum of all keys, equal for equal data.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Return such a sum of the value of each key.",
    "ERROR <string>",
    "    Reply this as an error.",
    "LOADAOF",
    "    Remove everything, and run the append-only log again.",
    "LOG <message>",
    "    Write this into the log.",
    "OBJECT <key>",
    "    Tell how the value of a key is kept.",
    "PAUSE-CRON <0|1>",
    "    Stop all work in the background (1), or go on with it (0).",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Create keys <prefix>:0, <prefix>:1 and so on with strings.",
    "PROTOCOL <type>",
    "    Reply a value of a type of the protocol.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Do nothing: lists keep long elements no other way than short ones.",
    "RELOAD [<option> ...]",
    "    Save a snapshot, remove everything, and load the snapshot. Options are:",
    "    * MERGE: replace keys and libraries that are there.",
    "    * NOFLUSH: remove nothing.",
    "    * NOSAVE: load the snapshot that was saved before.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Remove keys past their time in the background (1), or only when a command meets them (0).",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Have scripts call all commands (1), or not those that they are not to call (0).",
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
        (b"change-repl-id", 2) => *cx.node.history.lock() = random_hex(40),
        (b"digest", 2) => return debug_data::digest(cx),
        (b"digest-value", 3..) => return debug_data::digest_values(cx, args.skip(2)),
        (b"error", 3) => return Err(Error::Quoting(args.get(2).into())),
        (b"loadaof", 2) => debug_reload::load_log(cx)?,
        (b"log", 3) => tracing::warn!("DEBUG LOG: {}", args.get(2).escape_ascii()),
        (b"object", 3..) => return debug_data::object(cx, args.get(2)),
        (b"pause-cron", 3) => {
            let on = number::parse_i64(args.get(2)).is_some_and(|value| value != 0);
            cx.node.rests.store(on, Relaxed);
        }
        (b"populate", 3..=5) => return debug_data::populate(cx, args.skip(2)),
        (b"protocol", 3) => return debug_protocol::reply(cx, args.get(2)),
        (b"quicklist-packed-threshold", 3) => check_threshold(args.get(2))?,
        (b"reload", _) => debug_reload::reload(cx, args.skip(2))?,
        (b"set-active-expire", 3) => {
            let on = number::parse_i64(args.get(2)).is_some_and(|value| value != 0);
            cx.node.keyspace.active_expire.store(on, Relaxed);
        }
        (b"set-disable-deny-scripts", 3) => {
            let on = number::parse_i64(args.get(2)).is_some_and(|value| value != 0);
            cx.node.scripts.allows_all.store(on, Relaxed);
        }
        (b"sleep", 3) => sleep(args.get(2))?,
        (b"stringmatch-len", 4) => return match_pattern(cx, args),
        _ => return Err(Error::subcommand("DEBUG", args.get(1))),
    }
    cx.reply.ok();
    Ok(())
}

/// Whether this is a size that Redis takes.
fn check_threshold(text: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    match crate::config::parse_bytes(text) {
        Some(0..=0xffff_ffff) => Ok(()),
        _ => Err(Error::new("argument must be a memory value bigger than 1 and smaller than 4gb")),
    }
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
            ("DEBUG ERROR WRONGTYPE\nagain", "-WRONGTYPE again"),
            ("DEBUG LOG hello", "+OK"),
            ("DEBUG QUICKLIST-PACKED-THRESHOLD 100b", "+OK"),
            (
                "DEBUG QUICKLIST-PACKED-THRESHOLD x",
                "-ERR argument must be a memory value bigger than 1 and smaller than 4gb",
            ),
            ("SET k 12", "+OK"),
        ]);
        let history = |rig: &mut Rig| {
            let reply = rig.run("INFO replication");
            reply.split('|').find_map(|line| line.strip_prefix("master_replid:").map(str::to_owned))
        };
        let before = history(&mut rig);
        assert_eq!(rig.run("DEBUG CHANGE-REPL-ID"), "+OK");
        assert!(before.is_some() && history(&mut rig) != before);
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
