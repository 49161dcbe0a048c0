//! `CLIENT PAUSE`, `UNPAUSE` and `UNBLOCK`: commands that wait because somebody wants it, and those that no longer shall.

use super::block::{deadline_after_ms, unblock as end_of, unblocked};
use super::context::Worker;
use super::script_run::effect;
use super::table::Handle;
use super::{Context, Error, Flags, dispatch};
use crate::protocol::{Args, number};
use crate::session::{Client, Held};

/// `CLIENT PAUSE`: 0 ms is no pause.
pub(super) fn pause(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let held = match args.nth(3) {
        _ if args.len() > 4 => return Err(Error::SYNTAX),
        None => Held::Everything,
        Some(word) if word.eq_ignore_ascii_case(b"ALL") => Held::Everything,
        Some(word) if word.eq_ignore_ascii_case(b"WRITE") => Held::Writes,
        Some(_) => return Err(Error::new("CLIENT PAUSE mode must be WRITE or ALL")),
    };
    if let Some(until_ms) = deadline_after_ms(args.get(2), cx.now_ms())? {
        cx.node.pause.begin(held, until_ms, cx.now_ms());
        cx.node.keyspace.keep_expired_until(until_ms);
    }
    cx.reply.ok();
    Ok(())
}

/// `CLIENT UNPAUSE`.
pub(super) fn unpause(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.node.pause.end();
    cx.node.keyspace.keep_expired_until(0);
    cx.node.registry.list().iter().for_each(|client| client.mailbox.ring());
    cx.reply.ok();
    Ok(())
}

/// Whether the pause holds a command of this client back, one that passed all checks.
#[cold]
pub(super) fn holds_back(worker: &Worker, client: &Client, handle: Handle, args: Args<'_>) -> bool {
    is_paused(worker, client, handle, args) || awaits_transfer(worker, client, handle, args)
}

fn is_paused(worker: &Worker, client: &Client, handle: Handle, args: Args<'_>) -> bool {
    match worker.node.pause.at(worker.now_ms) {
        // Clients that watch all others count as replicas, which are never held back.
        None => false,
        _ if client.is_monitor => false,
        Some((Held::Everything, _)) => true,
        Some((Held::Writes, _)) => {
            let queue = client.transaction.as_ref().filter(|_| handle.command().name == "exec");
            let queued = queue.map_or(&[][..], |transaction| &transaction.queue);
            let of_frame = |args: Args<'_>| super::find(args).is_ok_and(|handle| effect(worker, handle, args).writes);
            effect(worker, handle, args).writes || queued.iter().any(|frame| of_frame(frame.args()))
        }
    }
}

/// Whether a command is to change a key that is on its way to another server, and therefore waits until that has ended.
fn awaits_transfer(worker: &Worker, client: &Client, handle: Handle, args: Args<'_>) -> bool {
    match &client.transaction {
        None => meets_leaving(worker, client, std::iter::once(args)),
        Some(transaction) if handle.command().name == "exec" => {
            meets_leaving(worker, client, transaction.queue.iter().map(|frame| frame.args()))
        }
        Some(_) => false,
    }
}

/// Whether any of these commands is to change a key that is on its way to another server. If so, the client is rung when that has
/// ended. To be asked before the keys are entered, and once more inside: keys may have begun to leave in between.
#[cold]
pub(super) fn meets_leaving<'a>(
    worker: &Worker,
    client: &Client,
    mut commands: impl Iterator<Item = Args<'a>>,
) -> bool {
    worker.node.pause.hold(&client.info, |is_leaving| {
        commands.any(|args| super::find(args).is_ok_and(|handle| changes_leaving(worker, handle, args, is_leaving)))
    })
}

fn changes_leaving(worker: &Worker, handle: Handle, args: Args<'_>, is_leaving: &dyn Fn(&[u8]) -> bool) -> bool {
    let command = handle.command();
    if !effect(worker, handle, args).writes {
        return false;
    }
    // What goes everywhere: of scripts, which may, only what they declare counts, because most keep to that.
    let everywhere = command.keys.is_empty() || command.keys.iter().any(|spec| spec.is_everywhere(args));
    let mut concerns = everywhere && command.flags.contains(Flags::WRITE);
    let _ = dispatch::each_key(command, args, |index| concerns |= is_leaving(args.get(index)));
    concerns
}

/// `CLIENT UNBLOCK`.
pub(super) fn unblock(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let as_error = match args.nth(3) {
        _ if args.len() > 4 => return Err(Error::SYNTAX),
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"TIMEOUT") => false,
        Some(word) if word.eq_ignore_ascii_case(b"ERROR") => true,
        Some(_) => return Err(Error::new("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?;
    let waiter = u64::try_from(id).ok().and_then(|id| cx.node.waiters.of_client(id));
    let ended = waiter.as_ref().is_some_and(|waiter| {
        let reply = if as_error { unblocked(waiter.wait.version) } else { waiter.wait.on_timeout.clone() };
        end_of(cx.node, waiter, reply)
    });
    if ended && as_error {
        let (stats, number) = (&cx.node.stats, cx.worker.number());
        stats.count_error(number, "UNBLOCKED");
        // The command that waited has failed, although it runs no more.
        let handle = waiter.and_then(|waiter| dispatch::find(waiter.wait.args.args()).ok());
        handle.inspect(|handle| stats.calls(number).failed(handle.index()));
    }
    cx.reply.integer(ended.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;
    use crate::command::{Outcome, execute};
    use crate::protocol::Frame;
    use crate::session::Client;

    fn outcome(rig: &Rig, client: &mut Client, request: &str) -> Outcome {
        let frame: Frame = request.split(' ').collect();
        execute(&rig.worker, client, frame.args(), &mut Vec::new())
    }

    #[test]
    fn a_pause_holds_back_what_it_says() {
        let mut rig = Rig::new();
        let (mut other, mut open) = (rig.connect(), rig.connect());
        for request in ["MULTI", "SET k v"] {
            assert_eq!(outcome(&rig, &mut open, request), Outcome::Done);
        }
        assert_eq!(rig.run("CLIENT PAUSE 100 WRITE"), "+OK");
        let mut held = |rig: &Rig, request| outcome(rig, &mut other, request) == Outcome::Paused;
        for (request, is_held) in [
            ("SET k v", true),
            ("PUBLISH a b", true),
            ("GET k", false),
            ("CLIENT UNPAUSE x", false),
            ("SET k", false),
            ("MULTI", false),
            ("GET k", false),
            ("EXEC", false),
        ] {
            assert_eq!(held(&rig, request), is_held, "{request}");
        }
        assert_eq!(outcome(&rig, &mut open, "EXEC"), Outcome::Paused, "of a queue with a write");
        assert_eq!(rig.run("CLIENT PAUSE 10 ALL"), "+OK");
        assert!(held(&rig, "GET k") && held(&rig, "CLIENT UNPAUSE"));
        rig.pass(101);
        assert!(!held(&rig, "SET k v") && !rig.worker.node.pause.may_be_on());
        rig.run("CLIENT PAUSE 100 WRITE");
        assert!(held(&rig, "SET k v"));
        assert_eq!(rig.run("CLIENT UNPAUSE"), "+OK");
        assert!(!held(&rig, "SET k v"));
        rig.check(&[
            ("CLIENT PAUSE 0", "+OK"),
            ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"),
            ("CLIENT PAUSE -1", "-ERR timeout is negative"),
            ("CLIENT PAUSE 1 x", "-ERR CLIENT PAUSE mode must be WRITE or ALL"),
            ("GET none", "$-1"),
        ]);
    }

    #[test]
    fn waits_are_ended_from_outside() {
        let mut rig = Rig::new();
        for (request, how, reply) in [
            ("BLPOP none 0", "", "*-1"),
            ("BLPOP none 0", " TIMEOUT", "*-1"),
            ("BLPOP none 0", " error", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
            ("WAIT 1 0", "", ":0"),
        ] {
            let mut other = rig.connect();
            let id = other.info.id;
            assert_eq!(outcome(&rig, &mut other, request), Outcome::Waits, "{request}");
            assert_eq!(rig.run(&format!("CLIENT UNBLOCK {id}{how}")), ":1");
            assert_eq!(rig.served(&mut other).as_deref(), Some(reply), "{request}{how}");
            assert_eq!(rig.run(&format!("CLIENT UNBLOCK {id}{how}")), ":0");
        }
        assert!(rig.run("INFO commandstats").contains("cmdstat_blpop:calls=3,"));
        assert!(rig.run("INFO commandstats").contains(",rejected_calls=0,failed_calls=1|"));
        rig.check(&[
            ("CLIENT UNBLOCK 1", ":0"),
            ("CLIENT UNBLOCK -1", ":0"),
            ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"),
            ("CLIENT UNBLOCK x y", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ]);
    }
}
