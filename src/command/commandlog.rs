//! `COMMANDLOG`: the last commands that took long, or had large requests or replies.

use super::{Command, Context, Error, Flags, Group, help};
use crate::protocol::{Args, number};
use crate::telemetry::commandlog::{CommandLog, Kind};

const FLAGS: Flags = Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE);

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::container("commandlog", SUBCOMMANDS)
    .group(Group::Server)
    .since("8.1.0")
    .doc("Tells of commands that took long, or had large requests or replies.", "")];

const SUBCOMMANDS: &[Command] = &[
    sub("get", 4, get)
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .complexity("O(N) where N is the number of entries returned")
        .doc("Returns the last commands that a log holds.", "count:integer <SLOW|LARGE-REQUEST|LARGE-REPLY>"),
    help::row(Group::Server, "8.1.0"),
    sub("len", 3, len)
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
        .doc("Returns how many commands a log holds.", "<SLOW|LARGE-REQUEST|LARGE-REPLY>"),
    sub("reset", 3, reset)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .complexity("O(N) where N is the number of entries in the commandlog")
        .doc("Empties a log.", "<SLOW|LARGE-REQUEST|LARGE-REPLY>"),
];

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(FLAGS).group(Group::Server).since("8.1.0")
}

fn get(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let count = parse_count(args.get(2))?;
    let log = log(cx, args.get(3))?;
    write_newest(cx, log, count);
    Ok(())
}

fn len(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let log = log(cx, args.get(2))?;
    cx.reply.count(log.len());
    Ok(())
}

fn reset(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    log(cx, args.get(2))?.reset();
    cx.reply.ok();
    Ok(())
}

/// The log of this name, in any capitals.
fn log(cx: &Context<'_>, name: &[u8]) -> Result<&'static CommandLog, Error> {
    let found = Kind::NAMES.iter().find(|(of_kind, _)| name.eq_ignore_ascii_case(of_kind.as_bytes()));
    let (_, kind) = found.ok_or(Error::new("type should be one of the following: slow, large-request, large-reply"))?;
    Ok(cx.node.stats.command_logs.of(*kind))
}

/// How many entries a client asks for: -1 stands for all.
pub(super) fn parse_count(word: &[u8]) -> Result<usize, Error> {
    let count = number::parse_i64(word).filter(|&count| count >= -1);
    let count = count.ok_or(Error::new("count should be greater than or equal to -1"))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Replies the newest entries of a log.
pub(super) fn write_newest(cx: &mut Context<'_>, log: &CommandLog, count: usize) {
    let entries = log.newest(count);
    cx.reply.array(entries.len());
    for entry in entries {
        cx.reply.array(6);
        cx.reply.integer(entry.id as i64);
        cx.reply.integer(entry.at as i64);
        cx.reply.integer(entry.value as i64);
        cx.reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| cx.reply.bulk(arg));
        cx.reply.bulk(entry.address.as_bytes());
        cx.reply.bulk(&entry.name);
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    /// The values and words of a log's entries, the newest first.
    fn entries(rig: &mut Rig, name: &str) -> Vec<(u64, String)> {
        let log =
            rig.worker.node.stats.command_logs.of(super::Kind::NAMES.iter().find(|kind| kind.0 == name).unwrap().1);
        let words = |args: &[Vec<u8>]| String::from_utf8_lossy(&args.join(&b' ')).into_owned();
        log.newest(100).iter().map(|entry| (entry.value, words(&entry.args))).collect()
    }

    #[test]
    fn large_requests_and_replies_are_kept() {
        let mut rig = Rig::new();
        rig.run("CONFIG SET commandlog-request-larger-than 31 commandlog-reply-larger-than 12 commandlog-large-reply-max-len 2");
        rig.worker.refresh();
        for request in ["SET k 1234", "SET k 12345", "GET k", "MULTI", "SET k 123456", "GET k", "EXEC", "MGET k k"] {
            rig.run(request);
        }
        rig.run("EVAL return{redis.call('set','k','some_long_value'),redis.call('get','k')} 0");
        let large = entries(&mut rig, "large-request");
        assert_eq!(large[1..], [(32, "SET k 123456".to_owned()), (31, "SET k 12345".to_owned())]);
        assert!(large[0].1.starts_with("EVAL "), "{large:?}");
        // The least is 12 bytes, which GET of six bytes reached first; the newest two are kept.
        let eval = large[0].1.clone();
        let replies = entries(&mut rig, "large-reply");
        assert_eq!(replies, [(4 + 5 + 22, eval), (22, "get k".to_owned())]);
        rig.check(&[
            ("COMMANDLOG LEN large-reply", ":2"),
            ("COMMANDLOG LEN Large-Request", ":4"),
            ("COMMANDLOG RESET large-reply", "+OK"),
            ("COMMANDLOG LEN large-reply", ":0"),
            ("CONFIG SET commandlog-request-larger-than -1 commandlog-reply-larger-than -1", "+OK"),
        ]);
        rig.worker.refresh();
        rig.check(&[
            ("SET k 0123456789012345678901234567890123456789", "+OK"),
            ("COMMANDLOG RESET large-request", "+OK"),
            ("COMMANDLOG LEN large-request", ":0"),
        ]);
    }

    #[test]
    fn the_slow_log_is_shared() {
        let mut rig = Rig::new();
        rig.run("CONFIG SET commandlog-execution-slower-than 0 commandlog-slow-execution-max-len 3");
        rig.worker.refresh();
        rig.run("GET k");
        rig.check(&[("SLOWLOG LEN", ":1"), ("COMMANDLOG LEN slow", ":2"), ("SLOWLOG LEN", ":3")]);
        let reply = rig.run("COMMANDLOG GET 1 slow");
        assert!(reply.contains("|*2|$7|SLOWLOG|$3|LEN|$11|127.0.0.1:1|$0"), "{reply}");
        rig.check(&[
            ("CONFIG GET slowlog-max-len", "*2|$15|slowlog-max-len|$1|3"),
            ("COMMANDLOG GET 0 slow", "*0"),
            ("COMMANDLOG GET -2 slow", "-ERR count should be greater than or equal to -1"),
            ("COMMANDLOG GET x foo", "-ERR count should be greater than or equal to -1"),
            ("COMMANDLOG GET 1 foo", "-ERR type should be one of the following: slow, large-request, large-reply"),
            ("COMMANDLOG LEN foo", "-ERR type should be one of the following: slow, large-request, large-reply"),
            ("COMMANDLOG GET 1", "-ERR wrong number of arguments for 'commandlog|get' command"),
            ("COMMANDLOG RESET", "-ERR wrong number of arguments for 'commandlog|reset' command"),
        ]);
    }

    #[test]
    fn errors_and_served_waits_count_as_replies() {
        let mut rig = Rig::new();
        rig.run("CONFIG SET commandlog-reply-larger-than 60");
        rig.worker.refresh();
        rig.run("SET k v");
        rig.run("LPUSH k v");
        assert_eq!(entries(&mut rig, "large-reply"), [(68, "LPUSH k v".to_owned())]);
    }
}
