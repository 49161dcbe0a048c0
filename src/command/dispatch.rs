//! From a parsed request to its reply: look-up, checks, entry, run.

use std::ops::ControlFlow;

use super::account;
use super::context::{Context, Worker};
use super::error::Error;
use super::guard;
use super::keyspec::{Access, Begin, Find};
use super::record;
use super::row::{Command, Flags};
use super::script_run::effect;
use super::table::{self, Handle};
use crate::protocol::{Args, Reply, Version};
use crate::session::{Client, Mode, ReplyMode, Transaction};
use crate::store::{Held, Store};
use crate::telemetry;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It was answered.
    Done,
    /// It waits, and is answered later: `client.waiter` tells how.
    Waits,
    /// Another worker owns what it needs: nothing happened; serve others and run it again.
    Busy,
    /// A pause holds it back: nothing happened; run it again when that has ended.
    Paused,
    /// It was answered, and the reply is to be held back for the client's `penalty_ms`.
    Late,
    /// It may take long: nothing happened; run it by [`execute`] where it can be left in the middle ([`crate::script::Apart`]).
    Long,
}

/// Runs one request of `client` and appends its reply to `out`. `args` holds at least the command's name.
#[inline]
pub fn execute(worker: &Worker, client: &mut Client, args: Args<'_>, out: &mut Vec<u8>) -> Outcome {
    execute_found(worker, client, find(args), args, out)
}

/// The same, except that what may take long is left to the caller.
#[inline]
pub fn execute_unless_long(worker: &Worker, client: &mut Client, args: Args<'_>, out: &mut Vec<u8>) -> Outcome {
    let found = find(args);
    if let Ok(handle) = &found
        && handle.command().may_take_long
        && takes_long(worker, client, *handle)
    {
        return Outcome::Long;
    }
    execute_found(worker, client, found, args, out)
}

/// Whether a command that may take long does so now: scripts, and transactions that have any.
fn takes_long(worker: &Worker, client: &Client, handle: Handle) -> bool {
    // There is one script at a time, and this one will be refused.
    if worker.local.is_barred() {
        return false;
    }
    match &client.transaction {
        Some(transaction) => handle.command().immediate && transaction.may_take_long,
        None => !handle.command().immediate,
    }
}

#[inline]
fn execute_found(
    worker: &Worker,
    client: &mut Client,
    found: Result<Handle, Error>,
    args: Args<'_>,
    out: &mut Vec<u8>,
) -> Outcome {
    let result = found.and_then(|handle| admit(worker, client, handle, args));
    if worker.local.has_changes() {
        tell_evicted(worker, client, out);
    }
    let start = out.len();
    if worker.node.pause.may_be_on()
        && let Ok(handle) = result
        && super::pause::holds_back(worker, client, handle, args)
    {
        return Outcome::Paused;
    }
    let result = match (&mut client.transaction, result) {
        (None, Ok(handle)) => run(worker, client, handle, args, out),
        (Some(transaction), Ok(handle)) if !handle.command().immediate => {
            let queued = enqueue(worker, transaction, handle, args, Reply::new(out, client.version));
            client.tell_transaction();
            queued
        }
        (Some(_), Ok(handle)) => run(worker, client, handle, args, out),
        (None, Err(error)) => Err(error),
        (Some(transaction), Err(error)) => {
            transaction.is_aborted = true;
            Err(error)
        }
    };
    if worker.local.has_changes() {
        worker.acting.set(client.info.id);
        super::react::react(worker);
        worker.acting.set(0);
        worker.stopwatch.start();
    }
    if client.tracked.is_some() {
        super::tracking::end_caching(client, args);
    }
    let mut outcome = Outcome::Done;
    let failed = result.is_err();
    if let Err(error) = result {
        out.truncate(start);
        match error {
            Error::Busy => match super::script::busy_error(worker).filter(|_| !minds_scripts(args)) {
                Some(error) => report(worker, client.version, &error, out),
                None => return Outcome::Busy,
            },
            Error::Waits => outcome = Outcome::Waits,
            error => report(worker, client.version, &error, out),
        }
        if client.penalty_ms > 0 {
            outcome = Outcome::Late;
        }
    }
    telemetry::add(&worker.counters().commands, 1);
    if outcome != Outcome::Waits {
        let pushed = !failed && client.reply_mode != ReplyMode::On && replies_by_push(args);
        mute(client, out, if pushed { out.len() } else { start });
    }
    outcome
}

/// Whether a request is one of `EXEC` and `WATCH`, which know what to do beside a slow script. If they did not, there was none
/// yet, and they are to run again.
#[cold]
fn minds_scripts(args: Args<'_>) -> bool {
    find(args).is_ok_and(|handle| handle.command().immediate)
}

/// Whether a request was answered by messages, as subscriptions are. Clients get those also where they want no replies.
#[cold]
fn replies_by_push(args: Args<'_>) -> bool {
    find(args).is_ok_and(|handle| listens(handle.command()))
}

/// Tells of the keys that were evicted to make room for a command. What the command replies may be newer than their values,
/// so its client hears of them before.
#[cold]
fn tell_evicted(worker: &Worker, client: &Client, out: &mut Vec<u8>) {
    super::react::react(worker);
    if client.tracked.is_some() {
        client.info.mailbox.collect(out, usize::MAX);
    }
}

/// Appends the reply that an error is, and counts it.
#[cold]
pub(super) fn report(worker: &Worker, version: Version, error: &Error, out: &mut Vec<u8>) {
    let text: &[u8] = match error {
        Error::Reply(text) => text.as_bytes(),
        Error::Quoting(text) => text,
        Error::Busy | Error::Waits => b"ERR the keys are in use, try again",
    };
    // What counts is the code, which is the first word.
    let code = text.split(|&byte| byte == b' ').next().unwrap_or_default();
    worker.node.stats.count_error(worker.number(), std::str::from_utf8(code).unwrap_or("ERR"));
    Reply::new(out, version).error(text);
}

#[cold]
fn enqueue(
    worker: &Worker,
    transaction: &mut Transaction,
    handle: Handle,
    args: Args<'_>,
    mut reply: Reply<'_>,
) -> Result<(), Error> {
    transaction.grows |= effect(worker, handle, args).grows;
    transaction.may_take_long |= handle.command().may_take_long;
    let limit = worker.settings.client_query_buffer_limit;
    super::transaction::queue(transaction, args, limit).inspect_err(|_| transaction.is_aborted = true)?;
    reply.simple("QUEUED");
    Ok(())
}

/// Runs a command and notes what it cost. The caller has checked that the client may.
#[inline(always)]
pub(super) fn run(
    worker: &Worker,
    client: &mut Client,
    handle: Handle,
    args: Args<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mark = worker.stopwatch.mark();
    let start = out.len();
    let result = perform(worker, client, handle, args, out);
    account::settle(worker, client, handle, args, mark, out.len().saturating_sub(start), &result);
    result
}

/// Enters what a command needs and runs it. The caller has checked that the client may.
#[inline(always)]
pub(super) fn perform(
    worker: &Worker,
    client: &mut Client,
    handle: Handle,
    args: Args<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let command = handle.command();
    if client.tracked.is_some() {
        super::tracking::remember(worker, client, command, args);
    }
    let held = enter(worker, command, args)?;
    if command.flags.contains(Flags::WRITE)
        && worker.node.pause.may_be_on()
        && client.mode == Mode::Direct
        && super::pause::meets_leaving(worker, client, std::iter::once(args))
    {
        return Err(Error::Busy);
    }
    // Looked at inside, because recording begins and ends while nobody is; what enters nothing looks again when it has run.
    if command.flags.contains(Flags::WRITE) && (held.is_none() || worker.node.keyspace.journal.is_on()) {
        return record::perform(worker, client, handle, args, out, held);
    }
    run_entered(worker, client, handle, args, out)
}

/// Runs a command whose keys are entered.
#[inline(always)]
pub(super) fn run_entered(
    worker: &Worker,
    client: &mut Client,
    handle: Handle,
    args: Args<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut store = Store::new(&worker.node.keyspace, &worker.local, client.database, worker.now_ms);
    if client.no_touch && handle.command().name != "touch" {
        store = store.without_touch();
    }
    client.info.last_command.store(handle.index() as u32 + 1, std::sync::atomic::Ordering::Relaxed);
    let reply = Reply::new(out, client.version);
    (handle.command().run)(&mut Context { node: worker.node, worker, client, reply, store, command: handle }, args)
}

/// Attempts at something that another worker is in the way of, before that is given up for the moment: some microseconds.
const ATTEMPTS: u32 = 64;

/// Tries for a few microseconds.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(Error::Busy) => std::hint::spin_loop(),
            result => return result,
        }
    }
    attempt()
}

/// The command that a request names.
#[inline]
pub fn find(args: Args<'_>) -> Result<Handle, Error> {
    let handle = table::find(args.get(0)).ok_or_else(|| unknown_command(args))?;
    if handle.command().subcommands.is_empty() || args.len() < 2 {
        return Ok(handle);
    }
    handle.subcommand(args.get(1)).ok_or_else(|| unknown_subcommand(handle, args.get(1)))
}

/// Whether the client's user may run a command: one comparison for one that may do everything.
#[inline]
pub(super) fn check_user(worker: &Worker, client: &mut Client, handle: Handle, args: Args<'_>) -> Result<(), Error> {
    if client.login.is_free(&worker.node.acl) { Ok(()) } else { guard::check(worker, client, handle, args) }
}

/// The command again, if this client may run it with these arguments now; else the refusal is counted.
#[inline]
fn admit(worker: &Worker, client: &mut Client, handle: Handle, args: Args<'_>) -> Result<Handle, Error> {
    match check(worker, client, handle, args) {
        Ok(()) => Ok(handle),
        Err(error) => {
            worker.node.stats.calls(worker.number()).rejected(handle.index());
            Err(error)
        }
    }
}

/// Whether this client may run a command with these arguments now.
#[inline]
fn check(worker: &Worker, client: &mut Client, handle: Handle, args: Args<'_>) -> Result<(), Error> {
    let command = handle.command();
    if !command.accepts(args.len()) {
        return Err(Error::arity(handle.full_name()));
    }
    check_user(worker, client, handle, args)?;
    // As in Redis, nothing but what may end it is done beside a script that has run for long.
    if worker.node.scripts.watches.is_slow() && !command.flags.contains(Flags::ALLOW_BUSY) {
        super::script::refuse_busy(worker, client, command)?;
    }
    if let Some(refusal) = record::refusal(worker, command) {
        return Err(refusal);
    }
    if worker.settings.maxmemory != 0 {
        check_memory(worker, client, handle, args)?;
    }
    if client.transaction.is_some() && command.flags.contains(Flags::NO_MULTI) {
        return Err(Error::NOT_IN_MULTI);
    }
    if super::save::is_refused(worker, command) {
        return Err(Error::MISCONF);
    }
    if client.version == Version::Resp2 && client.subscriptions.is_any() && !suits_subscriber(command) {
        return Err(subscribed(handle));
    }
    if client.is_monitor && touches_keys(command) {
        return Err(Error::new("Replica can't interact with the keyspace"));
    }
    Ok(())
}

/// Whether a command is one that clients which watch all others may not call: Redis takes them for a kind of replica.
#[cold]
fn touches_keys(command: &Command) -> bool {
    let flags = [Flags::WRITE, Flags::READONLY, Flags::MAY_REPLICATE];
    flags.iter().any(|flag| command.flags.contains(*flag))
}

/// Makes room, which every command does as in Redis, so that what one has used is given back by the next. Refused for want of
/// it are those that may grow the keyspace, or the queue of a transaction. `EXEC` asks for itself.
fn check_memory(worker: &Worker, client: &Client, handle: Handle, args: Args<'_>) -> Result<(), Error> {
    let Err(error) = super::limit::make_room(worker) else { return Ok(()) };
    let queues = client.transaction.is_some() && !handle.command().immediate;
    if queues || effect(worker, handle, args).grows { Err(error) } else { Ok(()) }
}

/// Whether a client that speaks RESP2 may run a command while it listens: it could not tell replies from messages.
#[cold]
fn suits_subscriber(command: &Command) -> bool {
    listens(command) || matches!(command.name, "ping" | "quit" | "reset")
}

/// Whether a command begins or ends subscriptions.
fn listens(command: &Command) -> bool {
    command.flags.contains(Flags::PUBSUB) && command.flags.contains(Flags::NOSCRIPT)
}

#[cold]
fn subscribed(handle: Handle) -> Error {
    Error::new(format!(
        "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        handle.full_name()
    ))
}

/// Enters what the command's keys need: one key beside others, several alone, none nothing.
#[inline(always)]
pub(super) fn enter<'a>(worker: &'a Worker, command: &Command, args: Args<'a>) -> Result<Option<Held<'a>>, Error> {
    match command.keys {
        [] => Ok(None),
        [one] if !command.exclusive => match (one.begin, one.find) {
            (Begin::Index(index), Find::Range { last: 0, .. }) => {
                Ok(Some(enter_one(worker, command, args.get(index))?))
            }
            _ => enter_many(worker, command, args),
        },
        _ => enter_many(worker, command, args),
    }
}

/// Enters the shard of one key beside others.
#[inline(always)]
fn enter_one<'a>(worker: &'a Worker, command: &Command, key: &'a [u8]) -> Result<Held<'a>, Error> {
    let keyspace = &worker.node.keyspace;
    let only_reads = command.flags.contains(Flags::READONLY) && !command.flags.contains(Flags::MAY_REPLICATE);
    Ok(if only_reads {
        keyspace.enter_key_to_read(&worker.local, key)
    } else {
        keyspace.enter_key(&worker.local, key)
    }?)
}

fn enter_many<'a>(worker: &'a Worker, command: &Command, args: Args<'a>) -> Result<Option<Held<'a>>, Error> {
    let keyspace = &worker.node.keyspace;
    if command.enters_itself {
        return Ok(None);
    }
    if goes_everywhere(command, args) {
        return Ok(Some(keyspace.enter_all(&worker.local)?));
    }
    // An entry that covers this one, such as a transaction's, has entered its keys already.
    if worker.local.is_inside() {
        return Ok(None);
    }
    let mut keys = 0;
    let mut first = 0;
    let _ = each_key(command, args, |index| {
        first = index;
        keys += 1;
    });
    match keys {
        0 => Ok(None),
        1 if !command.exclusive => Ok(Some(enter_one(worker, command, args.get(first))?)),
        _ => {
            let _ = each_key(command, args, |index| keyspace.name(&worker.local, args.get(index)));
            Ok(Some(keyspace.enter_named(&worker.local)?))
        }
    }
}

/// Whether a call may go to keys that its arguments do not name, so that it has to enter the whole keyspace. What runs
/// several commands in one entry has to ask it for each of them.
pub fn goes_everywhere(command: &Command, args: Args<'_>) -> bool {
    command.enters_itself || command.keys.iter().any(|spec| spec.is_everywhere(args))
}

/// Gives the index of every key to `visit`; `Break` where the arguments do not fit the specification, which the command
/// itself then reports.
pub fn each_key(command: &Command, args: Args<'_>, mut visit: impl FnMut(usize)) -> ControlFlow<()> {
    for spec in command.keys {
        if !spec.access.contains(Access::NOT_KEY) && !spec.each(args, &mut visit) {
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}

/// Takes the reply back where the client wants none.
#[inline]
pub(super) fn mute(client: &mut Client, out: &mut Vec<u8>, start: usize) {
    if client.reply_mode != ReplyMode::On {
        silence(client, out, start);
    }
}

#[cold]
fn silence(client: &mut Client, out: &mut Vec<u8>, start: usize) {
    match client.reply_mode {
        ReplyMode::On => (),
        ReplyMode::Off => out.truncate(start),
        ReplyMode::SkipNext => {
            out.truncate(start);
            client.reply_mode = ReplyMode::Skip;
        }
        ReplyMode::Skip => {
            out.truncate(start);
            client.reply_mode = ReplyMode::On;
        }
    }
}

/// Bytes of a client's words that an error repeats.
const QUOTED: usize = 128;

/// The part of a client's word that an error repeats: Redis prints it as a C string, which ends at its first NUL.
fn quoted(word: &[u8], most: usize) -> &[u8] {
    let end = word.iter().position(|&byte| byte == 0).unwrap_or(word.len());
    &word[..end.min(most)]
}

#[cold]
fn unknown_command(args: Args<'_>) -> Error {
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(quoted(args.get(0), QUOTED));
    text.extend_from_slice(b"', with args beginning with: ");
    let start = text.len();
    for arg in args.skip(1) {
        let used = text.len() - start;
        if used >= QUOTED {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(quoted(arg, QUOTED - used));
        text.extend_from_slice(b"' ");
    }
    Error::Quoting(text.into())
}

#[cold]
fn unknown_subcommand(container: Handle, name: &[u8]) -> Error {
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(quoted(name, QUOTED));
    text.extend_from_slice(format!("'. Try {} HELP.", container.full_name().to_uppercase()).as_bytes());
    Error::Quoting(text.into())
}
