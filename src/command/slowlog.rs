//! `SLOWLOG`: the last commands that took long.

use super::commandlog::{parse_count, write_newest};
use super::{Command, Context, Error, Flags, Group, help};
use crate::protocol::Args;
use crate::telemetry::commandlog::{CommandLog, Kind};

const FLAGS: Flags = Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE);
const CHANGING: &[&str] = &["request_policy:all_nodes", "nondeterministic_output"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::container("slowlog", SUBCOMMANDS)
    .group(Group::Server)
    .since("2.2.12")
    .doc("Tells of commands that took long.", "")];

const SUBCOMMANDS: &[Command] = &[
    sub("get", -2, get)
        .tips(CHANGING)
        .complexity("O(N) where N is the number of entries returned")
        .doc("Returns the last commands that took longer than slowlog-log-slower-than.", "[count:integer]"),
    help::row(Group::Server, "6.2.0"),
    sub("len", 2, len)
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
        .doc("Returns how many commands the slow log holds.", ""),
    sub("reset", 2, reset)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .complexity("O(N) where N is the number of entries in the slowlog")
        .doc("Empties the slow log.", ""),
];

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(FLAGS).group(Group::Server).since("2.2.12")
}

/// How many are returned where nobody says it.
const COUNT: usize = 10;

/// The log, which COMMANDLOG shares.
fn log(cx: &Context<'_>) -> &'static CommandLog {
    cx.node.stats.command_logs.of(Kind::Slow)
}

fn get(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(Error::new("unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP."));
    }
    let count = args.nth(2).map_or(Ok(COUNT), parse_count)?;
    write_newest(cx, log(cx), count);
    Ok(())
}

fn len(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.count(log(cx).len());
    Ok(())
}

fn reset(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    log(cx).reset();
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn the_log_is_read_and_emptied() {
        let mut rig = Rig::new();
        rig.run("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 3");
        rig.worker.refresh();
        rig.run("CLIENT SETNAME me");
        rig.check(&[("SET k v", "+OK"), ("GET k", "$1|v"), ("PING", "+PONG"), ("SLOWLOG LEN", ":3")]);
        let reply = rig.run("SLOWLOG GET 1");
        let parts: Vec<&str> = reply.split('|').collect();
        assert_eq!(parts[..3], ["*1", "*6", ":4"], "{reply}");
        assert_eq!(parts[5..], ["*2", "$7", "SLOWLOG", "$3", "LEN", "$11", "127.0.0.1:1", "$2", "me"], "{reply}");
        assert!(rig.run("SLOWLOG GET").starts_with("*3|") && rig.run("SLOWLOG GET -1").starts_with("*3|"));
        rig.check(&[
            ("SLOWLOG GET 0", "*0"),
            ("SLOWLOG GET x", "-ERR count should be greater than or equal to -1"),
            ("SLOWLOG GET -2", "-ERR count should be greater than or equal to -1"),
            ("SLOWLOG GET 1 2", "-ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP."),
            ("CONFIG SET slowlog-log-slower-than -1", "+OK"),
        ]);
        rig.worker.refresh();
        rig.check(&[("SLOWLOG RESET", "+OK"), ("SLOWLOG LEN", ":0"), ("PING", "+PONG"), ("SLOWLOG LEN", ":0")]);
    }
}
