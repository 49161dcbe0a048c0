//! The server as a whole: its clock, its end, and what is not in it.

use super::save::save_now;
use super::{Command, Context, Error, Flags, Group, help, lolwut};
use crate::protocol::Args;

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("lolwut", -1, lolwut::lolwut)
        .flags(Flags::READONLY.and(Flags::FAST))
        .since("5.0.0")
        .complexity("")
        .doc("Draws a picture, and tells the version.", "[VERSION version]"),
    Command::container("module", MODULE).group(Group::Server).since("4.0.0").doc("Tells about loaded modules.", ""),
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
];

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
    tracing::warn!(client = cx.client.info.address, "a client asked for the end of the server");
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
        assert_eq!(Rig::new().run("MODULE LIST"), "*0");
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
