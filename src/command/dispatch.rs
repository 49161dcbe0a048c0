//! From a parsed request to its reply: look-up, checks, entry, run.

use std::ops::ControlFlow;

use super::context::{Context, Worker};
use super::error::Error;
use super::keyspec::{Access, Begin, Find};
use super::row::{Command, Flags};
use super::table::{self, Handle};
use crate::protocol::{Args, Reply};
use crate::session::{Client, ReplyMode};
use crate::store::{Held, Store};
use crate::telemetry;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It was answered.
    Done,
    /// Another worker owns what it needs: nothing happened; serve others and run it again.
    Busy,
}

/// Runs one request of `client` and appends its reply to `out`. `args` holds at least the command's name.
#[inline]
pub fn execute(worker: &Worker, client: &mut Client, args: Args<'_>, out: &mut Vec<u8>) -> Outcome {
    let start = out.len();
    let result = find(args).and_then(|handle| {
        check(client, handle.command(), args).map_err(|error| match error {
            Refusal::Arity => Error::arity(handle.full_name()),
            Refusal::Unauthenticated => Error::NO_AUTH,
        })?;
        run(worker, client, handle, args, out)
    });
    if let Err(error) = result {
        out.truncate(start);
        let Error::Reply(text) = error else { return Outcome::Busy };
        worker.node.stats.count_error(worker.number(), &text);
        Reply::new(out, client.version).error(&text);
    }
    telemetry::add(&worker.counters().commands, 1);
    if client.reply_mode != ReplyMode::On {
        mute(client, out, start);
    }
    Outcome::Done
}

fn run(worker: &Worker, client: &mut Client, handle: Handle, args: Args<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let command = handle.command();
    let _held = enter(worker, command, args)?;
    let store = Store::new(&worker.node.keyspace, &worker.local, client.database, worker.now_ms);
    client.info.last_command.store(handle.index() as u32 + 1, std::sync::atomic::Ordering::Relaxed);
    let reply = Reply::new(out, client.version);
    (command.run)(&mut Context { node: worker.node, worker, client, reply, store, command: handle }, args)
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

enum Refusal {
    Arity,
    Unauthenticated,
}

#[inline]
fn check(client: &Client, command: &Command, args: Args<'_>) -> Result<(), Refusal> {
    if !command.accepts(args.len()) {
        return Err(Refusal::Arity);
    }
    if !client.authenticated && !command.flags.contains(Flags::NO_AUTH) {
        return Err(Refusal::Unauthenticated);
    }
    Ok(())
}

/// Enters what the command's keys need: one key beside others, several alone, none nothing.
#[inline]
fn enter<'a>(worker: &'a Worker, command: &Command, args: Args<'a>) -> Result<Option<Held<'a>>, Error> {
    let keyspace = &worker.node.keyspace;
    match command.keys {
        [] => Ok(None),
        [one] if !command.exclusive => match (one.begin, one.find) {
            (Begin::Index(index), Find::Range { last: 0, .. }) => {
                Ok(Some(keyspace.enter_key(&worker.local, args.get(index))?))
            }
            _ => enter_many(worker, command, args),
        },
        _ => enter_many(worker, command, args),
    }
}

fn enter_many<'a>(worker: &'a Worker, command: &Command, args: Args<'a>) -> Result<Option<Held<'a>>, Error> {
    let keyspace = &worker.node.keyspace;
    let mut keys = 0;
    let mut first = 0;
    let _ = each_key(command, args, |index| {
        first = index;
        keys += 1;
    });
    match keys {
        0 => Ok(None),
        1 if !command.exclusive => Ok(Some(keyspace.enter_key(&worker.local, args.get(first))?)),
        _ => {
            let mut indices = Vec::with_capacity(keys);
            let _ = each_key(command, args, |index| indices.push(index));
            Ok(Some(keyspace.enter_keys(&worker.local, indices.into_iter().map(|index| args.get(index)))?))
        }
    }
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
#[cold]
fn mute(client: &mut Client, out: &mut Vec<u8>, start: usize) {
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

#[cold]
fn unknown_command(args: Args<'_>) -> Error {
    let mut quoted = Vec::new();
    for arg in args.skip(1) {
        if quoted.len() >= QUOTED {
            break;
        }
        let room = QUOTED - quoted.len();
        quoted.push(b'\'');
        quoted.extend_from_slice(&arg[..arg.len().min(room)]);
        quoted.extend_from_slice(b"' ");
    }
    let name = args.get(0);
    let name = String::from_utf8_lossy(&name[..name.len().min(QUOTED)]);
    Error::new(format!("unknown command '{name}', with args beginning with: {}", String::from_utf8_lossy(&quoted)))
}

#[cold]
fn unknown_subcommand(container: Handle, name: &[u8]) -> Error {
    let name = String::from_utf8_lossy(&name[..name.len().min(QUOTED)]);
    Error::new(format!("unknown subcommand '{name}'. Try {} HELP.", container.full_name().to_uppercase()))
}
