//! What is recorded of commands, and how records are run again.
//!
//! A command that changed something is recorded as it was called, with the time at which it ran, so that running it again at that
//! time has the same effect. Commands that draw lots say instead what came of it ([`Context::record_as`]). What
//! goes without a command (expired and evicted keys) the store records itself.

use super::context::{Context, Worker};
use super::dispatch;
use super::error::Error;
use super::row::{Command, Flags};
use super::table::Handle;
use crate::protocol::{Args, Limits, Parser, Step};
use crate::session::{Client, Mode};
use crate::store::{Held, Local, Recording, Store};

/// Commands without the flag of writing ones that an append-only file may have.
const REPLAYED: &[&str] = &["select", "eval", "evalsha", "fcall", "script|load", "publish", "spublish", "ping"];

impl Context<'_> {
    /// Whether commands are recorded: to gather what [`Context::record_as`] wants only then.
    #[inline]
    pub fn is_recorded(&self) -> bool {
        self.node.keyspace.journal.is_on()
    }

    /// Has this recorded in place of the command as it was called; several calls record several commands. To be called after the
    /// change, while the command's keys are entered.
    pub fn record_as(&self, args: &[&[u8]]) {
        if self.is_recorded() {
            self.worker.local.tell();
            self.store.note(args.iter().copied());
        }
    }

    /// Has nothing recorded of this call: what it changed is recorded otherwise, or is of no consequence.
    pub fn record_nothing(&self) {
        self.worker.local.tell();
    }
}

/// Runs a command that may change keys while changes may be recorded. Its keys are entered, if it has any.
pub(super) fn perform(
    worker: &Worker,
    client: &mut Client,
    handle: Handle,
    args: Args<'_>,
    out: &mut Vec<u8>,
    held: Option<Held<'_>>,
) -> Result<(), Error> {
    let keyspace = &worker.node.keyspace;
    // Dropped after the entry, so that what was recorded is published when the keys are free.
    let recording = Recording::begin(&keyspace.journal, &worker.local);
    // Also when the command panics.
    let held = held;
    let database = client.database;
    let before = keyspace.changes_of(worker.number());
    let result = dispatch::run_entered(worker, client, handle, args, out);
    if keyspace.journal.is_on() && keyspace.changes_of(worker.number()) != before {
        let store = Store::new(keyspace, &worker.local, database, worker.now_ms);
        recording.note(&store, args.iter());
    }
    drop(held);
    drop(recording);
    result
}

/// Why a client's command is refused because changes cannot be recorded: `None` while they can. As with Redis, `PING` tells of it.
#[inline(always)]
pub(super) fn refusal(worker: &Worker, command: &Command) -> Option<Error> {
    if worker.node.keyspace.journal.is_refusing() { refuse(worker, command) } else { None }
}

#[cold]
fn refuse(worker: &Worker, command: &Command) -> Option<Error> {
    let reason = worker.node.keyspace.journal.refusal()?;
    let concerns = command.flags.contains(Flags::WRITE) || command.name == "ping";
    concerns.then(|| Error::Quoting(misconf(&reason).into_bytes().into()))
}

fn misconf(reason: &str) -> String {
    format!("MISCONF Errors writing to the AOF file: {reason}")
}

/// Why a transaction with these commands is refused, because changes cannot be recorded.
pub(super) fn refusal_of_all<'a>(worker: &Worker, mut queue: impl Iterator<Item = Args<'a>>) -> Option<Error> {
    let reason = worker.node.keyspace.journal.refusal()?;
    let writes = |args| dispatch::find(args).is_ok_and(|handle| handle.command().flags.contains(Flags::WRITE));
    queue.any(writes).then(|| Error::coded(misconf(&reason)).aborting())
}

/// Runs what was recorded again, before clients are served.
pub struct Replay {
    worker: Worker,
    client: Client,
    /// Commands that were run.
    pub commands: u64,
    out: Vec<u8>,
}

impl Replay {
    /// A replay by a worker that nobody else is.
    pub fn new(worker: Worker, mut client: Client) -> Replay {
        // Nothing waits: what is recorded had its effect at once.
        client.mode = Mode::Transaction;
        Replay { worker, client, commands: 0, out: Vec::new() }
    }

    /// Runs the commands of one record as of `time_ms`.
    ///
    /// # Errors
    /// Why a command cannot be run, which says that the record was made under other settings or by another version.
    pub fn run(&mut self, time_ms: u64, mut commands: &[u8]) -> Result<(), String> {
        self.worker.now_ms = time_ms;
        let limits = Limits { bulk_len: usize::MAX, multibulk: usize::MAX, ..Limits::default() };
        let mut parser = Parser::new();
        while !commands.is_empty() {
            let (database, rest) = commands.split_first_chunk().ok_or("a record ends within a command")?;
            let Ok(Step::Request { consumed }) = parser.step(rest, &limits) else {
                return Err("a record ends within a command".to_owned());
            };
            self.command(u32::from_le_bytes(*database) as usize, parser.args(rest))?;
            commands = &rest[consumed..];
        }
        Ok(())
    }

    fn command(&mut self, database: usize, args: Args<'_>) -> Result<(), String> {
        if database >= self.worker.node.keyspace.databases() {
            return Err(format!("a record is of database {database}: set databases to {} at least", database + 1));
        }
        self.client.select(database);
        let name = || args.nth(0).unwrap_or_default().escape_ascii().to_string();
        let handle = dispatch::find(args).map_err(|_| format!("the command {} is not known", name()))?;
        if !handle.command().accepts(args.len()) {
            return Err(format!("the command {} has the wrong number of arguments", name()));
        }
        self.out.clear();
        // A command that failed after it had changed something does both again.
        let _ = dispatch::perform(&self.worker, &mut self.client, handle, args, &mut self.out);
        self.worker.local.take_changes();
        self.commands += 1;
        Ok(())
    }

    /// Runs a command of another server's append-only file as of `time_ms`, in the database that was selected. Whether it succeeded.
    ///
    /// # Errors
    /// It is no command, or none that such a file has.
    pub fn run_foreign(&mut self, time_ms: u64, args: Args<'_>) -> Result<bool, String> {
        let name = || args.nth(0).unwrap_or_default().escape_ascii().to_string();
        let handle = dispatch::find(args).map_err(|_| format!("the command {} is not known", name()))?;
        let command = handle.command();
        if !command.accepts(args.len()) {
            return Err(format!("the command {} has the wrong number of arguments", name()));
        }
        if !command.flags.contains(Flags::WRITE) && !REPLAYED.contains(&handle.full_name()) {
            return Err(format!("the command {} changes nothing, so it is not one of an append-only file", name()));
        }
        self.worker.now_ms = time_ms;
        self.out.clear();
        let result = dispatch::perform(&self.worker, &mut self.client, handle, args, &mut self.out);
        self.worker.local.take_changes();
        self.commands += 1;
        Ok(result.is_ok())
    }

    /// Its worker, which nobody else is.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Takes its client out of the list of all.
    pub fn sign_off(&self) {
        self.worker.node.registry.remove(&self.client.info);
    }

    /// Ends it: its part of the store.
    pub fn into_local(self) -> Local {
        self.worker.local
    }

    /// Ends it, and leaves the timers of what was set to the worker that begins next.
    pub fn finish(self) -> u64 {
        let node = self.worker.node;
        *node.timers.lock() = Some(self.worker.local.into_timers());
        self.commands
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
