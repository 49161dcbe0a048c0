//! The commands that a script calls.

use std::sync::atomic::Ordering::Relaxed;

use super::dispatch::{self, each_key};
use super::script_run::Script;
use super::transaction::touches_everything;
use super::{Error, Flags, Handle, Worker};
use crate::protocol::{Args, Version};
use crate::script::{Host, Stop};
use crate::session::{Client, Mode};
use crate::telemetry;

/// How often a shard more is tried for before a script that has changed something fails for want of it.
const ATTEMPTS: u32 = 1000;

/// Runs the calls of one run of a script.
pub(super) struct Calls<'a> {
    worker: &'a Worker,
    client: &'a mut Client,
    args: Args<'a>,
    /// What the client's state was, which the script's calls leave as it is.
    database: usize,
    version: Version,
    mode: Mode,
    read_only: bool,
    /// Only the declared keys were entered.
    is_narrow: bool,
    /// The shards of the declared keys, while it is observed whether the script goes elsewhere.
    declared: Option<Vec<u32>>,
    went_elsewhere: bool,
    /// Memory was short when the script began.
    pub(super) is_short: bool,
}

/// Why a call does not run.
enum Fault {
    Refused(Error),
    Stop(Stop),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Refused(error)
    }
}

impl<'a> Calls<'a> {
    /// For a script that has entered its declared keys if it `is_narrow`, else everything. If `observed` has the declared
    /// keys, it is found out whether the script goes elsewhere.
    pub(super) fn new(
        worker: &'a Worker,
        client: &'a mut Client,
        script: &Script<'a>,
        is_narrow: bool,
        observed: Option<Args<'_>>,
    ) -> Self {
        let (database, version, mode) = (client.database, client.version, client.mode);
        client.mode = Mode::Script;
        let keyspace = &worker.node.keyspace;
        let declared = observed.map(|keys| {
            let mut shards: Vec<u32> = keys.iter().map(|key| keyspace.shard_of_key(key)).collect();
            shards.sort_unstable();
            shards
        });
        let read_only = script.read_only || script.features.no_writes;
        let args = script.args;
        let (went_elsewhere, is_short) = (false, false);
        Calls {
            worker,
            client,
            args,
            database,
            version,
            mode,
            read_only,
            is_narrow,
            declared,
            went_elsewhere,
            is_short,
        }
    }

    /// Puts the client back into its state. Returns whether the script went only to declared keys.
    pub(super) fn end(self, command: Handle) -> bool {
        self.client.mode = self.mode;
        self.client.version = self.version;
        if self.client.database != self.database {
            self.client.select(self.database);
        }
        self.client.info.last_command.store(command.index() as u32 + 1, Relaxed);
        !self.went_elsewhere
    }

    fn run(&mut self, args: Args<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Ok(handle) = dispatch::find(args) else {
            return Err(Error::new("Unknown Redis command called from script").into());
        };
        let command = handle.command();
        let changes = command.flags.contains(Flags::WRITE) || command.flags.contains(Flags::MAY_REPLICATE);
        self.admit(handle, args, changes).inspect_err(|_| {
            self.worker.node.stats.calls(self.worker.number()).rejected(handle.index());
        })?;
        self.reach(handle, args)?;
        if changes {
            self.watch().note_write();
        }
        self.client.version = version;
        // What the script computed since its last call is no part of this one.
        self.worker.stopwatch.start();
        let result = dispatch::run(self.worker, self.client, handle, args, out);
        self.client.version = self.version;
        telemetry::add(&self.worker.counters().commands, 1);
        Ok(result?)
    }

    /// Whether the script may call a command with these arguments now.
    fn admit(&mut self, handle: Handle, args: Args<'_>, changes: bool) -> Result<(), Error> {
        let command = handle.command();
        if !command.accepts(args.len()) {
            return Err(Error::new("Wrong number of args calling Redis command from script"));
        }
        if command.flags.contains(Flags::NOSCRIPT) && !self.worker.node.scripts.allows_all.load(Relaxed) {
            return Err(Error::new("This Redis command is not allowed from script"));
        }
        // What comes over the network was held to this by the parser, and collections rely on it.
        if args.iter().any(|arg| arg.len() as u64 > self.worker.settings.proto_max_bulk_len) {
            return Err(Error::new("An argument of the command is longer than proto-max-bulk-len"));
        }
        dispatch::check_user(self.worker, self.client, handle, args).map_err(in_script)?;
        if let Some(refusal) = super::record::refusal(self.worker, command) {
            return Err(refusal);
        }
        if changes && self.read_only {
            return Err(Error::new("Write commands are not allowed from read-only scripts."));
        }
        // As in Redis, a script that has changed something is not stopped in the middle for want of memory.
        if self.is_short && command.flags.contains(Flags::DENYOOM) && !self.watch().has_written() {
            return Err(Error::OUT_OF_MEMORY);
        }
        Ok(())
    }

    fn watch(&self) -> &'static crate::script::Watch {
        self.worker.node.scripts.watches.of(self.worker.number())
    }

    /// Sees to it that what a call goes to is entered.
    fn reach(&mut self, handle: Handle, args: Args<'_>) -> Result<(), Fault> {
        if !self.is_narrow && (self.declared.is_none() || self.went_elsewhere) {
            return Ok(());
        }
        let goes_everywhere = touches_everything(args);
        let (keyspace, local) = (&self.worker.node.keyspace, &self.worker.local);
        if !self.is_narrow {
            let declared = self.declared.as_deref().unwrap_or_default();
            let mut elsewhere = goes_everywhere;
            let _ = each_key(handle.command(), args, |index| {
                elsewhere |= declared.binary_search(&keyspace.shard_of_key(args.get(index))).is_err();
            });
            self.went_elsewhere = elsewhere;
            return Ok(());
        }
        let mut foreign = Vec::new();
        let _ = each_key(handle.command(), args, |index| {
            if !keyspace.holds(local, args.get(index)) {
                foreign.push(index);
            }
        });
        if foreign.is_empty() && !goes_everywhere {
            return Ok(());
        }
        self.went_elsewhere = true;
        if !self.watch().has_written() {
            return Err(Fault::Stop(Stop::Undeclared));
        }
        // Nothing can be taken back, so what is missing is entered now, if nobody is in the way.
        let widened = !goes_everywhere
            && foreign.iter().all(|&index| (0..ATTEMPTS).any(|_| keyspace.widen(local, args.get(index)).is_ok()));
        if widened { Ok(()) } else { Err(undeclared().into()) }
    }
}

/// A script has gone where it had never gone before, after it had changed something, and others are there.
fn undeclared() -> Error {
    Error::new(
        "Script went to keys that it did not declare, after it had changed others, while these keys were in use. From now on \
         this script runs alone",
    )
}

/// A refusal by the user's rules as scripts see it: an error like others, whose text tells that it came from within.
#[cold]
fn in_script(error: Error) -> Error {
    match &error {
        Error::Quoting(text) => match text.strip_prefix(b"NOPERM ") {
            Some(reason) => Error::Quoting([b"ERR ACL failure in script: ", reason].concat().into()),
            None => error,
        },
        _ => error,
    }
}

impl Host for Calls<'_> {
    fn call(&mut self, args: Args<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), Stop> {
        match self.run(args, version, out) {
            Ok(()) => Ok(()),
            Err(Fault::Stop(stop)) => Err(stop),
            Err(Fault::Refused(error)) => {
                out.clear();
                dispatch::report(self.worker, version, &error, out);
                Ok(())
            }
        }
    }

    fn allows(&mut self, args: Args<'_>) -> Option<bool> {
        let handle = dispatch::find(args).ok()?;
        Some(super::guard::allows(self.client, handle, args))
    }

    fn command(&self) -> Vec<Box<[u8]>> {
        self.args.iter().map(Box::from).collect()
    }
}
