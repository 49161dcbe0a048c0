//! The server as a whole: its clock, its end, and what is not in it.

use super::save::save_now;
use super::{Categories, Command, Context, Error, Flags, Group, help, identity, lolwut};
use crate::protocol::{Args, number};

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("lolwut", -1, lolwut::lolwut)
        .flags(Flags::READONLY.and(Flags::FAST))
        .since("5.0.0")
        .complexity("")
        .doc("Draws a picture, and tells the version.", "[VERSION version]"),
    Command::container("module", MODULE).group(Group::Server).since("4.0.0").doc("Tells about loaded modules.", ""),
    replicaof("replicaof").since("5.0.0"),
    row("role", 1, role)
        .flags(Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST))
        .categories(Categories::ADMIN.and(Categories::DANGEROUS))
        .since("2.8.12")
        .doc("Tells whether the server is a master, and who its replicas are.", ""),
    row("shutdown", -1, shutdown)
        .flags(
            Flags::ADMIN
                .and(Flags::NOSCRIPT)
                .and(Flags::LOADING)
                .and(Flags::STALE)
                .and(Flags::NO_MULTI)
                .and(Flags::ALLOW_BUSY),
        )
        .complexity(
            "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
        )
        .doc("Ends the server.", "[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]"),
    replicaof("slaveof").replaced_by("`REPLICAOF`", "5.0.0"),
    row("time", 1, time)
        .flags(Flags::LOADING.and(Flags::STALE).and(Flags::FAST))
        .since("2.6.0")
        .tips(&["nondeterministic_output"])
        .doc("Returns the server's time: seconds of Unix time, and microseconds.", ""),
];

const MODULE: &[Command] = &[
    help::row(Group::Server, "5.0.0"),
    row("list", 2, module_list)
        .flags(Flags::ADMIN.and(Flags::NOSCRIPT))
        .since("4.0.0")
        .tips(&["nondeterministic_output_order"])
        .complexity("O(N) where N is the number of loaded modules.")
        .doc("Lists the loaded modules.", ""),
    load("load", -3).since("4.0.0").doc("Loads a module, which this server cannot.", "path [arg:string ...]"),
    load("loadex", -3).since("7.0.0").doc(
        "Loads a module with settings, which this server cannot.",
        "path [CONFIG <name:string value> ...] [ARGS args:string ...]",
    ),
    load("unload", 3).since("4.0.0").doc("Unloads a module, of which there is none.", "name:string"),
];

/// A command about modules, refused as Redis refuses it where `enable-module-command` is not set.
const fn load(name: &'static str, arity: i32) -> Command {
    row(name, arity, |_, _| Err(Error::NO_MODULES))
        .flags(Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING))
}

const fn replicaof(name: &'static str) -> Command {
    row(name, 3, be_replica)
        .flags(Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::STALE).and(Flags::NO_ASYNC_LOADING))
        .doc("Makes the server a replica, which this one cannot be, or a master.", "<host:string port:integer|NO ONE>")
}

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::Server)
}

fn time(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    // Not the batch's clock: callers want microseconds.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    cx.reply.array(2);
    cx.reply.bulk_integer(now.as_secs() as i64);
    cx.reply.bulk_integer(now.subsec_micros().into());
    Ok(())
}

/// A master without replicas: there is no replication in this build.
fn role(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.array(3);
    cx.reply.bulk(identity::ROLE.as_bytes());
    cx.reply.integer(0);
    cx.reply.array(0);
    Ok(())
}

/// A master can be told to be one, as tools do that follow a failover; it cannot become anything else.
fn be_replica(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (host, port) = (args.get(1), args.get(2));
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        cx.reply.ok();
        return Ok(());
    }
    let is_port = number::parse_i64(port).is_some_and(|port| u16::try_from(port).is_ok());
    Err(Error::new(if is_port {
        "this server cannot be a replica: it has no replication"
    } else {
        "Invalid master port"
    }))
}

/// There are never any modules.
fn module_list(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.array(0);
    Ok(())
}

/// The words of `SHUTDOWN`.
#[derive(Default)]
struct Wish {
    save: bool,
    nosave: bool,
    now: bool,
    force: bool,
    abort: bool,
}

impl Wish {
    fn parse(args: Args<'_>) -> Result<Wish, Error> {
        let mut wish = Wish::default();
        for word in args.iter() {
            let words = [
                ("SAVE", &mut wish.save),
                ("NOSAVE", &mut wish.nosave),
                ("NOW", &mut wish.now),
                ("FORCE", &mut wish.force),
                ("ABORT", &mut wish.abort),
            ];
            let found = words.into_iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word));
            *found.ok_or(Error::SYNTAX)?.1 = true;
        }
        let alone = !(wish.save || wish.nosave || wish.now || wish.force);
        if (wish.abort && !alone) || (wish.save && wish.nosave) {
            return Err(Error::SYNTAX);
        }
        Ok(wish)
    }
}

fn shutdown(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let wish = Wish::parse(args.skip(1))?;
    if wish.abort {
        // A shutdown waits for clients to receive their replies, no longer for anything that could be given up.
        return Err(Error::new("No shutdown in progress."));
    }
    let busy = super::script::busy_error(cx.worker);
    if let Some(error) = busy.as_ref().filter(|_| !wish.nosave) {
        return Err(error.clone());
    }
    tracing::warn!(client = cx.client.info.address, "a client asked for the end of the server");
    // Nobody waits for a script that has run for long and cannot be ended.
    if busy.is_some() && cx.node.scripts.watches.is_unstoppable() {
        cx.node.shutdown.hurry();
    }
    if !wish.nosave && (wish.save || !cx.settings().save.0.is_empty()) {
        // Saved now, while it can still be refused; what other clients change until they are gone is saved then.
        if !save_now(cx.worker) && !wish.force {
            tracing::error!("the end was refused, because the snapshot failed; SHUTDOWN NOSAVE ends without one");
            return Err(Error::new("Errors trying to SHUTDOWN. Check logs."));
        }
        cx.node.shutdown.save_at_end();
    }
    // There is no reply: the connection just ends.
    cx.client.close_after_reply = true;
    cx.node.shutdown.request();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn time_is_that_of_the_clock() {
        let reply = Rig::new().run("TIME");
        let parts: Vec<&str> = reply.split('|').collect();
        let seconds: u64 = parts[2].parse().expect("seconds");
        assert!(seconds.abs_diff(crate::command::unix_ms() / 1000) < 5, "{reply}");
        assert!(parts[4].parse::<u32>().expect("microseconds") < 1_000_000, "{reply}");
    }

    #[test]
    fn there_are_no_modules() {
        let mut rig = Rig::new();
        rig.check(&[("MODULE LIST", "*0"), ("ROLE", "*3|$6|master|:0|*0")]);
        for request in ["MODULE LOAD /x.so", "MODULE LOADEX /x.so", "MODULE UNLOAD x"] {
            assert!(
                rig.run(request).starts_with("-ERR MODULE command not allowed. If the enable-module-command option")
            );
        }
    }

    #[test]
    fn it_is_a_master_and_stays_one() {
        Rig::new().check(&[
            ("REPLICAOF NO ONE", "+OK"),
            ("SLAVEOF no one", "+OK"),
            ("REPLICAOF localhost 70000", "-ERR Invalid master port"),
            ("REPLICAOF no two", "-ERR Invalid master port"),
            ("REPLICAOF localhost 6379", "-ERR this server cannot be a replica: it has no replication"),
            ("ROLE", "*3|$6|master|:0|*0"),
        ]);
    }

    #[test]
    fn shutdown_asks_for_the_end_and_closes() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SHUTDOWN SAVE NOSAVE", "-ERR syntax error"),
            ("SHUTDOWN ABORT NOW", "-ERR syntax error"),
            ("SHUTDOWN x", "-ERR syntax error"),
            ("SHUTDOWN ABORT", "-ERR No shutdown in progress."),
        ]);
        assert!(!rig.worker.node.shutdown.is_requested());
        assert_eq!(rig.run("SHUTDOWN NOSAVE NOW"), "");
        assert!(rig.worker.node.shutdown.is_requested() && rig.client.close_after_reply);
    }
}
