//! From a parsed request to its reply: look-up, checks, entry, run.

use std::ops::ControlFlow;

use super::context::{Context, Worker};
use super::error::Error;
use super::guard;
use super::keyspec::{Access, Begin, Find};
use super::row::Command;
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
    /// It was answered, and the reply is to be held back for the client's `penalty_ms`.
    Late,
}

/// Runs one request of `client` and appends its reply to `out`. `args` holds at least the command's name.
#[inline]
pub fn execute(worker: &Worker, client: &mut Client, args: Args<'_>, out: &mut Vec<u8>) -> Outcome {
    let start = out.len();
    let result = find(args).and_then(|handle| {
        if !handle.command().accepts(args.len()) {
            return Err(Error::arity(handle.full_name()));
        }
        // One comparison for a client that may do everything.
        if !client.login.is_free(&worker.node.acl) {
            guard::check(worker, client, handle, args)?;
        }
        run(worker, client, handle, args, out)
    });
    let mut outcome = Outcome::Done;
    if let Err(error) = result {
        out.truncate(start);
        let text: &[u8] = match &error {
            Error::Reply(text) => text.as_bytes(),
            Error::Quoting(text) => text,
            Error::Busy => return Outcome::Busy,
        };
        // What counts is the code, which is the first word.
        let code = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        worker.node.stats.count_error(worker.number(), std::str::from_utf8(code).unwrap_or("ERR"));
        Reply::new(out, client.version).error(text);
        if client.penalty_ms > 0 {
            outcome = Outcome::Late;
        }
    }
    telemetry::add(&worker.counters().commands, 1);
    if client.reply_mode != ReplyMode::On {
        mute(client, out, start);
    }
    outcome
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
