//! `CONFIG`: the settings of the running server.

use super::{Command, Context, Error, Flags, Group, guard, help, rewrite};
use crate::config::{self, Caller, Settings};
use crate::protocol::Args;

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::container("config", SUBCOMMANDS)
    .group(Group::Server)
    .since("2.0.0")
    .doc("Reads and changes the settings of the server.", "")];

const SUBCOMMANDS: &[Command] = &[
    sub("get", -3, get)
        .since("2.0.0")
        .complexity("O(N) when N is the number of configuration parameters provided")
        .doc("Returns the settings whose names match the patterns.", "parameter ..."),
    help::row(Group::Server, "5.0.0"),
    sub("resetstat", 2, resetstat).since("2.0.0").tips(ALL_NODES).doc("Sets the counters of INFO back to zero.", ""),
    sub("rewrite", 2, write_file)
        .since("2.8.0")
        .tips(ALL_NODES)
        .doc("Writes the settings in force into the configuration file.", ""),
    sub("set", -4, set)
        .since("2.0.0")
        .tips(ALL_NODES)
        .complexity("O(N) when N is the number of configuration parameters provided")
        .doc("Changes settings, all of those given or none.", "<parameter value> ..."),
];

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(ADMIN).group(Group::Server)
}

/// Where a client asks from, as the guards of protected settings and of `DEBUG` distinguish.
pub(super) fn caller(cx: &Context<'_>) -> Caller {
    if cx.client.info.is_local() { Caller::Local } else { Caller::Remote }
}

fn get(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let patterns: Vec<&[u8]> = args.skip(2).iter().collect();
    let found = cx.node.config.get(&patterns);
    cx.reply.map(found.len());
    for (name, value) in found {
        cx.reply.bulk(name.as_bytes());
        cx.reply.bulk(value.as_bytes());
    }
    Ok(())
}

fn set(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if !args.len().is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    let words: Vec<&[u8]> = args.skip(2).iter().collect();
    let pairs: Vec<(&[u8], &[u8])> = words.as_chunks().0.iter().map(|&[name, value]| (name, value)).collect();
    let before = cx.node.config.current();
    cx.node.config.set(&pairs, caller(cx)).map_err(|error| Error::coded(error.to_string()))?;
    match rewrite::follow(cx.worker) {
        // Others are in the way: all of this is run again.
        Err(Error::Busy) => return Err(Error::Busy),
        Err(error) => {
            cx.node.config.restore(before);
            return Err(error);
        }
        Ok(()) => (),
    }
    // The password of the default user follows `requirepass`.
    cx.node.acl.adopt_password(|| cx.node.config.current().requirepass.clone());
    cx.node.tracking.limit(cx.node.config.current().tracking_table_max_keys, super::tracking::post(cx.worker));
    cx.reply.ok();
    Ok(())
}

fn resetstat(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.node.stats.reset();
    cx.node.keyspace.reset_stats();
    cx.node.budget.reset();
    crate::store::reclaim::reset();
    cx.reply.ok();
    Ok(())
}

fn write_file(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let file = cx.node.facts.config_file.as_str();
    if file.is_empty() {
        return Err(Error::new("The server is running without a config file"));
    }
    let mut settings = Settings::clone(&cx.node.config.current());
    if settings.aclfile.as_os_str().is_empty() {
        settings.user.0 = guard::configured_users(cx.node)?;
    }
    let written = config::rewrite(std::path::Path::new(file), &settings);
    written.map_err(|reason| Error::new(format!("Rewriting config file: {reason}")))?;
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn settings_are_read_and_changed() {
        let mut rig = Rig::new();
        rig.check(&[
            ("CONFIG GET maxclients", "*2|$10|maxclients|$5|10000"),
            ("CONFIG GET nosuch", "*0"),
            ("CONFIG SET timeout 7 hz 20", "+OK"),
            ("CONFIG GET TIMEOUT", "*2|$7|TIMEOUT|$1|7"),
            ("CONFIG SET timeout 8 hz", "-ERR syntax error"),
            ("CONFIG SET timeout", "-ERR wrong number of arguments for 'config|set' command"),
            ("CONFIG SET nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'"),
            ("CONFIG REWRITE", "-ERR The server is running without a config file"),
            ("HELLO 3 x", "-ERR Syntax error in HELLO option 'x'"),
        ]);
        rig.run("HELLO 3");
        assert_eq!(rig.run("CONFIG GET hz timeout"), "%2|$7|timeout|$1|7|$2|hz|$2|20");
    }

    #[test]
    fn counters_are_reset() {
        let mut rig = Rig::new();
        rig.run("GET none");
        assert!(rig.run("INFO stats").contains("keyspace_misses:1|"));
        assert_eq!(rig.run("CONFIG RESETSTAT"), "+OK");
        assert!(rig.run("INFO stats").contains("keyspace_misses:0|"));
    }
}
