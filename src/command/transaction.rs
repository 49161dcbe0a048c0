//! Transactions: `MULTI` queues commands, `EXEC` runs them at once and alone, `WATCH` makes that depend on keys.

use super::dispatch::{self, each_key};
use super::{Access, Command, Context, Error, Flags, Group, KeySpec};
use crate::protocol::{Args, Frame};
use crate::session::{Mode, Transaction};

const ALWAYS: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("multi", 1, multi)
        .flags(ALWAYS.and(Flags::FAST).and(Flags::ALLOW_BUSY))
        .since("1.2.0")
        .doc("Begins a transaction: the commands that follow are queued.", ""),
    row("exec", 1, exec)
        .flags(Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::SKIP_SLOWLOG))
        .since("1.2.0")
        .may_take_long()
        .complexity("Depends on commands in the transaction")
        .doc("Runs the commands of a transaction.", ""),
    row("discard", 1, discard)
        .flags(ALWAYS.and(Flags::FAST).and(Flags::ALLOW_BUSY))
        .since("2.0.0")
        .complexity("O(N), when N is the number of queued commands")
        .doc("Ends a transaction without running its commands.", ""),
    row("watch", -2, watch)
        .flags(ALWAYS.and(Flags::FAST).and(Flags::ALLOW_BUSY))
        .since("2.2.0")
        .keys(&[KeySpec::range(1, -1, 1, Access::RO)])
        .enters_itself()
        .complexity("O(1) for every key.")
        .doc("Has the next transaction run only if these keys do not change before.", "key ..."),
    Command::new("unwatch", 1, unwatch)
        .group(Group::Transactions)
        .flags(ALWAYS.and(Flags::FAST).and(Flags::ALLOW_BUSY))
        .since("2.2.0")
        .doc("Forgets which keys were watched.", ""),
];

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::Transactions).immediate()
}

fn multi(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    if cx.client.transaction.is_some() {
        return Err(Error::MULTI_NESTED);
    }
    cx.client.transaction = Some(Box::default());
    cx.client.tell_transaction();
    cx.reply.ok();
    Ok(())
}

/// Queues a command that passed all checks. The queue counts as a part of what the client has sent, which has a limit.
pub(super) fn queue(transaction: &mut Transaction, args: Args<'_>, limit: u64) -> Result<(), Error> {
    let frame = Frame::from(args);
    let bytes = transaction.bytes + frame.memory();
    if bytes as u64 > limit {
        transaction.queue = Vec::new();
        return Err(Error::TRANSACTION_TOO_LONG);
    }
    transaction.bytes = bytes;
    transaction.queue.push(frame);
    Ok(())
}

fn discard(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    if cx.client.transaction.take().is_none() {
        return Err(Error::DISCARD_ALONE);
    }
    cx.client.watched.end(&cx.node.keyspace);
    cx.client.tell_transaction();
    cx.reply.ok();
    Ok(())
}

fn watch(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if cx.client.transaction.is_some() {
        return Err(Error::WATCH_IN_MULTI);
    }
    let keys = args.skip(1);
    let held = match cx.node.keyspace.enter_keys(&cx.worker.local, keys.iter()) {
        Ok(held) => Some(held),
        // As in Redis, this is done even while a script that has run for long has the keys.
        Err(_) if super::script::busy_error(cx.worker).is_some() => None,
        Err(busy) => return Err(busy.into()),
    };
    for key in keys {
        if cx.client.watched.keys.insert((cx.client.database, key.into())) {
            match held {
                Some(_) => cx.store.watch(key, &cx.client.watched.watch),
                None => cx.store.watch_from_outside(key, &cx.client.watched.watch),
            }
        }
    }
    cx.client.tell_transaction();
    cx.reply.ok();
    Ok(())
}

fn unwatch(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.client.watched.end(&cx.node.keyspace);
    cx.client.tell_transaction();
    cx.reply.ok();
    Ok(())
}

fn exec(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let Some(transaction) = cx.client.transaction.take() else { return Err(Error::EXEC_ALONE) };
    if transaction.is_aborted {
        cx.client.watched.end(&cx.node.keyspace);
        cx.client.tell_transaction();
        return Err(Error::EXEC_ABORT);
    }
    if let Some(refusal) = super::record::refusal_of_all(cx.worker, transaction.queue.iter().map(Frame::args)) {
        cx.client.watched.end(&cx.node.keyspace);
        return Err(refusal);
    }
    if transaction.grows && super::limit::make_room(cx.worker).is_err() {
        cx.client.watched.end(&cx.node.keyspace);
        return Err(Error::OUT_OF_MEMORY.aborting());
    }
    let whole = transaction.queue.iter().any(|frame| touches_everything(frame.args()));
    let mut keys: Vec<&[u8]> = cx.client.watched.keys.iter().map(|(_, key)| &**key).collect();
    for frame in &transaction.queue {
        let args = frame.args();
        if let Ok(handle) = dispatch::find(args) {
            let _ = each_key(handle.command(), args, |index| keys.push(args.get(index)));
        }
    }
    let (keyspace, local) = (&cx.node.keyspace, &cx.worker.local);
    let Ok(held) = keyspace.enter_some(local, whole, keys.into_iter()) else {
        if let Some(error) = super::script::busy_error(cx.worker) {
            cx.client.watched.end(keyspace);
            cx.client.tell_transaction();
            return Err(error.aborting());
        }
        // Nothing happened yet: the transaction is to be there when EXEC is run again.
        cx.client.transaction = Some(transaction);
        return Err(Error::Busy);
    };
    if cx.node.pause.may_be_on()
        && super::pause::meets_leaving(cx.worker, cx.client, transaction.queue.iter().map(Frame::args))
    {
        drop(held);
        cx.client.transaction = Some(transaction);
        return Err(Error::Busy);
    }
    // A watched key past its time counts as changed; looking at it removes it, which tells the watch.
    for (database, key) in &cx.client.watched.keys {
        cx.store.select(*database).exists(key);
    }
    let touched = cx.client.watched.watch.is_touched();
    cx.client.watched.end(keyspace);
    cx.client.tell_transaction();
    if touched {
        cx.reply.null_array();
        return Ok(());
    }
    cx.reply.array(transaction.queue.len());
    cx.client.mode = Mode::Transaction;
    for frame in &transaction.queue {
        run_one(cx, frame.args());
    }
    cx.client.mode = Mode::Direct;
    drop(held);
    Ok(())
}

/// Runs one command of the queue. Its failure is its reply and ends nothing.
fn run_one(cx: &mut Context<'_>, args: Args<'_>) {
    let start = cx.reply.len();
    // The user's rules may have changed since the command was queued.
    let result = dispatch::find(args)
        .and_then(|handle| dispatch::check_user(cx.worker, cx.client, handle, args).map(|()| handle))
        .and_then(|handle| dispatch::run(cx.worker, cx.client, handle, args, cx.reply.buffer()));
    if let Err(error) = result {
        cx.reply.truncate(start);
        dispatch::report(cx.worker, cx.client.version, &error, cx.reply.buffer());
    }
    crate::telemetry::add(&cx.worker.counters().commands, 1);
}

/// Whether a command goes to keys that its arguments do not name.
pub(super) fn touches_everything(args: Args<'_>) -> bool {
    dispatch::find(args).is_ok_and(|handle| {
        let command = handle.command();
        if dispatch::goes_everywhere(command, args) {
            return true;
        }
        command.keys.is_empty()
            && (command.flags.contains(Flags::WRITE)
                || command.flags.contains(Flags::READONLY)
                || command.flags.contains(Flags::ADMIN))
    })
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;
    use crate::command::{Outcome, execute};
    use crate::protocol::Frame;

    #[test]
    fn commands_are_queued_and_run_together() {
        let mut rig = Rig::new();
        rig.check(&[
            ("EXEC", "-ERR EXEC without MULTI"),
            ("DISCARD", "-ERR DISCARD without MULTI"),
            ("MULTI", "+OK"),
            ("MULTI", "-ERR MULTI calls can not be nested"),
            ("WATCH k", "-ERR WATCH inside MULTI is not allowed"),
            ("SET k 1", "+QUEUED"),
            ("INCR k", "+QUEUED"),
            ("GET k", "+QUEUED"),
            ("EXEC", "*3|+OK|:2|$1|2"),
            ("MULTI", "+OK"),
            ("SET k 9", "+QUEUED"),
            ("DISCARD", "+OK"),
            ("GET k", "$1|2"),
            ("MULTI", "+OK"),
            ("EXEC", "*0"),
        ]);
    }

    #[test]
    fn a_refused_command_aborts_and_a_failing_one_does_not() {
        let mut rig = Rig::new();
        rig.check(&[
            ("MULTI", "+OK"),
            ("SET k v", "+QUEUED"),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
            ("EXISTS k", ":0"),
            ("MULTI", "+OK"),
            ("SET k v", "+QUEUED"),
            ("INCR k", "+QUEUED"),
            ("SET l w", "+QUEUED"),
            ("EXEC", "*3|+OK|-ERR value is not an integer or out of range|+OK"),
            ("GET l", "$1|w"),
        ]);
    }

    fn other(rig: &Rig, request: &str) {
        let mut client = rig.connect();
        let frame: Frame = request.split(' ').collect();
        assert_eq!(execute(&rig.worker, &mut client, frame.args(), &mut Vec::new()), Outcome::Done);
    }

    #[test]
    fn watched_keys_decide() {
        let mut rig = Rig::new();
        let attempts: [(&str, &str); 8] = [
            ("SET k 2", "*-1"),
            ("SET other 2", "*1|+OK"),
            ("DEL k", "*-1"),
            ("EXPIRE k 100", "*-1"),
            ("FLUSHALL", "*-1"),
            ("SWAPDB 0 1", "*-1"),
            ("GET k", "*1|+OK"),
            ("DEL none", "*1|+OK"),
        ];
        for (meanwhile, reply) in attempts {
            rig.run("SET k 1");
            rig.run("WATCH k none");
            other(&rig, meanwhile);
            rig.run("MULTI");
            rig.run("SET mine 1");
            assert_eq!(rig.run("EXEC"), reply, "{meanwhile}");
            rig.run("SWAPDB 0 1");
            rig.run("FLUSHALL");
        }
        rig.check(&[("SET k 1", "+OK"), ("WATCH k", "+OK"), ("UNWATCH", "+OK")]);
        other(&rig, "SET k 2");
        rig.check(&[("MULTI", "+OK"), ("PING", "+QUEUED"), ("EXEC", "*1|+PONG")]);
    }

    #[test]
    fn a_watched_key_that_expires_counts_as_changed_but_not_one_that_was_past_its_time() {
        let mut rig = Rig::new();
        rig.check(&[("SET k 1 PX 10", "+OK"), ("WATCH k", "+OK")]);
        rig.pass(11);
        rig.check(&[("MULTI", "+OK"), ("PING", "+QUEUED"), ("EXEC", "*-1")]);
        rig.check(&[("SET k 1 PX 10", "+OK")]);
        rig.pass(11);
        rig.check(&[("WATCH k", "+OK"), ("MULTI", "+OK"), ("PING", "+QUEUED"), ("EXEC", "*1|+PONG")]);
    }

    #[test]
    fn whole_keyspace_commands_run_inside() {
        let mut rig = Rig::new();
        rig.check(&[
            ("MULTI", "+OK"),
            ("SET a 1", "+QUEUED"),
            ("DBSIZE", "+QUEUED"),
            ("FLUSHALL", "+QUEUED"),
            ("KEYS *", "+QUEUED"),
            ("SELECT 2", "+QUEUED"),
            ("SET b 2", "+QUEUED"),
            ("EXEC", "*6|+OK|:1|+OK|*0|+OK|+OK"),
            ("GET b", "$1|2"),
        ]);
    }
}
