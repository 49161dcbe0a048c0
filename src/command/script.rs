//! Scripts by their texts and their SHA-1, and what the server keeps of them.

use std::sync::Arc;

use super::script_run::{self, Script};
use super::{Access, Categories, Command, Context, Error, Flags, Group, KeySpec, Worker, account, help};
use crate::protocol::{Args, number};
use crate::script::{Kill, LoadError, Source, sha1_hex};
use crate::session::Client;

/// Flags of all that runs scripts.
pub(super) const RUNS: Flags =
    Flags::NOSCRIPT.and(Flags::STALE).and(Flags::SKIP_MONITOR).and(Flags::NO_MANDATORY_KEYS).and(Flags::MOVABLE_KEYS);
/// The keys of a script that may do anything.
pub(super) const WRITTEN: &[KeySpec] = &[KeySpec::counted(2, Access::RW.and(Access::ACCESS).and(Access::UPDATE))];
/// The keys of a script that only reads.
pub(super) const READ: &[KeySpec] = &[KeySpec::counted(2, Access::RO.and(Access::ACCESS))];
const COST: &str = "Depends on the script that is executed.";
const SHA_SYNTAX: &str = "sha1 numkeys:integer [key ...] [arg ...]";
const TEXT_SYNTAX: &str = "script numkeys:integer [key ...] [arg ...]";

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("eval", -3, eval)
        .flags(RUNS.and(Flags::MAY_REPLICATE))
        .keys(WRITTEN)
        .since("2.6.0")
        .doc("Runs a script.", TEXT_SYNTAX),
    row("eval_ro", -3, eval_ro)
        .flags(RUNS.and(Flags::READONLY))
        .keys(READ)
        .since("7.0.0")
        .doc("Runs a script that changes nothing.", TEXT_SYNTAX),
    row("evalsha", -3, evalsha)
        .flags(RUNS.and(Flags::MAY_REPLICATE))
        .keys(WRITTEN)
        .since("2.6.0")
        .doc("Runs a script that the server has, by its SHA-1.", SHA_SYNTAX),
    row("evalsha_ro", -3, evalsha_ro)
        .flags(RUNS.and(Flags::READONLY))
        .keys(READ)
        .since("7.0.0")
        .doc("Runs a script that the server has and that changes nothing, by its SHA-1.", SHA_SYNTAX),
    Command::container("script", SCRIPT)
        .group(Group::Scripting)
        .categories(Categories::NONE)
        .since("2.6.0")
        .doc("Manages the scripts that the server has.", ""),
];

const SCRIPT: &[Command] = &[
    sub("debug", 3, debug)
        .flags(Flags::NOSCRIPT)
        .since("3.2.0")
        .doc("Sets whether scripts of this connection are debugged.", "<YES|SYNC|NO>"),
    sub("exists", -3, exists)
        .flags(Flags::NOSCRIPT)
        .complexity("O(N) with N being the number of scripts to check.")
        .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"])
        .doc("Tells which scripts the server has.", "sha1 ..."),
    sub("flush", -2, flush)
        .flags(Flags::NOSCRIPT)
        .complexity("O(N) with N being the number of scripts that the server has.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .doc("Forgets all scripts.", "[ASYNC|SYNC]"),
    help::row(Group::Scripting, "5.0.0"),
    sub("kill", 2, kill)
        .flags(Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"])
        .doc("Ends scripts that run for long and have changed nothing.", ""),
    sub("load", 3, load)
        .flags(Flags::NOSCRIPT.and(Flags::STALE))
        .complexity("O(N) with N being the length in bytes of the script.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .doc("Has the server keep a script, and returns its SHA-1.", "script"),
    sub("show", 3, show)
        .flags(Flags::NOSCRIPT.and(Flags::STALE))
        .since("8.0.0")
        .doc("Returns the text of a script that the server has.", "sha1"),
];

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::Scripting).complexity(COST).enters_itself().may_take_long()
}

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::Scripting).since("2.6.0")
}

/// `BUSY …` where a script has held what somebody wants for long.
#[cold]
pub(super) fn busy_error(worker: &Worker) -> Option<Error> {
    let watches = &worker.node.scripts.watches;
    if !watches.is_slow() {
        return None;
    }
    let task = watches.slowest()?;
    Some(if task.is_function { Error::FUNCTION_BUSY } else { Error::SCRIPT_BUSY })
}

/// Refuses a command because a slow script has everything; a transaction that was to run is discarded.
#[cold]
pub(super) fn refuse_busy(worker: &Worker, client: &mut Client, command: &Command) -> Result<(), Error> {
    // Of a script that has entered only its keys, those clients hear that its worker serves, and those that want these keys.
    if !worker.is_kept_out() {
        return Ok(());
    }
    let Some(error) = busy_error(worker) else { return Ok(()) };
    if command.name != "exec" || client.transaction.take().is_none() {
        return Err(error);
    }
    client.watched.end(&worker.node.keyspace);
    client.tell_transaction();
    Err(error.aborting())
}

/// The number of keys that `EVAL` and its kin give.
fn key_count(args: Args<'_>) -> Result<usize, Error> {
    checked_count(number::parse_i64(args.get(2)).ok_or(Error::NOT_INTEGER)?, args)
}

/// A number of keys, if there are as many arguments.
pub(super) fn checked_count(count: i64, args: Args<'_>) -> Result<usize, Error> {
    if count > (args.len() - 3) as i64 {
        return Err(Error::TOO_MANY_KEYS);
    }
    usize::try_from(count).map_err(|_| Error::NEGATIVE_KEYS)
}

fn eval(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    eval_text(cx, args, false)
}

fn eval_ro(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    eval_text(cx, args, true)
}

fn evalsha(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    eval_sha(cx, args, false)
}

fn evalsha_ro(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    eval_sha(cx, args, true)
}

fn eval_text(cx: &mut Context<'_>, args: Args<'_>, read_only: bool) -> Result<(), Error> {
    let (source, body, keys) = seen(cx, args, by_text(cx, args))?;
    run(cx, &source, &body, args, keys, read_only)
}

fn eval_sha(cx: &mut Context<'_>, args: Args<'_>, read_only: bool) -> Result<(), Error> {
    let (source, body, keys) = seen(cx, args, by_sha(cx, args))?;
    run(cx, &source, &body, args, keys, read_only)
}

/// Shows those that watch also a call of what cannot be run, as Redis does: what runs is shown when it begins.
pub(super) fn seen<T>(cx: &Context<'_>, args: Args<'_>, found: Result<T, Error>) -> Result<T, Error> {
    found.inspect_err(|_| account::announce(cx.worker, cx.client, cx.command, args))
}

/// A script, how it is called, and the number of its keys.
type Found = (Arc<Source>, mlua::Function, usize);

fn by_text(cx: &Context<'_>, args: Args<'_>) -> Result<Found, Error> {
    let keys = key_count(args)?;
    let vm = cx.worker.vm()?;
    let sha = sha1_hex(args.get(1));
    if let Some((source, body)) = vm.find(&sha).map_err(compile_error)? {
        return Ok((source, body, keys));
    }
    let source = Source::new(sha, args.get(1)).map_err(|text| quoting(&[b"ERR ", &*text]))?;
    let source = Arc::new(source);
    let body = vm.compile(&source).map_err(compile_error)?;
    // Only what SCRIPT LOAD brings can be too much.
    let source = cx.node.scripts.keep(source.clone(), false).unwrap_or(source);
    Ok((source, body, keys))
}

fn by_sha(cx: &Context<'_>, args: Args<'_>) -> Result<Found, Error> {
    let sha = lower(args.get(1)).ok_or(Error::NO_SCRIPT)?;
    let keys = key_count(args)?;
    let found = cx.worker.vm()?.find(&sha).map_err(compile_error)?;
    let (source, body) = found.ok_or(Error::NO_SCRIPT)?;
    Ok((source, body, keys))
}

fn run(
    cx: &mut Context<'_>,
    source: &Source,
    body: &mlua::Function,
    args: Args<'_>,
    keys: usize,
    read_only: bool,
) -> Result<(), Error> {
    let script = Script {
        body,
        name: source.name(),
        is_function: false,
        features: source.features,
        habit: &source.habit,
        args,
        keys,
        read_only,
    };
    script_run::run(cx, &script)
}

/// A SHA-1 in lower case; `None` for what is none.
pub(super) fn lower(sha: &[u8]) -> Option<[u8; 40]> {
    let mut sha: [u8; 40] = sha.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

/// An error of several parts that need not be text.
pub(super) fn quoting(parts: &[&[u8]]) -> Error {
    Error::Quoting(parts.concat().into())
}

fn compile_error(error: LoadError) -> Error {
    quoting(&[b"ERR Error compiling script (new function): ", &error.0])
}

fn load(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let sha = sha1_hex(args.get(2));
    if cx.worker.vm()?.find(&sha).map_err(compile_error)?.is_none() || cx.node.scripts.find(&sha).is_none() {
        let source = Source::new(sha, args.get(2)).map_err(|text| quoting(&[b"ERR ", &*text]))?;
        cx.worker.vm()?.compile(&Arc::new(source)).map_err(compile_error)?;
    }
    let source = match cx.node.scripts.find(&sha) {
        Some(source) => source,
        None => Arc::new(Source::new(sha, args.get(2)).map_err(|text| quoting(&[b"ERR ", &*text]))?),
    };
    if cx.node.scripts.keep(source, true).is_err() {
        return Err(Error::new("too many scripts are loaded; forget some by SCRIPT FLUSH"));
    }
    cx.reply.bulk(&sha);
    Ok(())
}

fn exists(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let shas = args.skip(2);
    cx.reply.array(shas.len());
    for sha in shas.iter() {
        let found = lower(sha).is_some_and(|sha| cx.node.scripts.find(&sha).is_some());
        cx.reply.integer(found.into());
    }
    Ok(())
}

/// Whether `FLUSH` is called as it should be. Both ways are the same here: there is little to free.
pub(super) fn check_flush(args: Args<'_>, container: &str) -> Result<(), Error> {
    let right = match args.nth(2) {
        None => true,
        Some(word) => args.len() == 3 && (word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async")),
    };
    let only = if container == "SCRIPT" { "support" } else { "supports" };
    if right { Ok(()) } else { Err(Error::new(format!("{container} FLUSH only {only} SYNC|ASYNC option"))) }
}

fn flush(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    check_flush(args, "SCRIPT")?;
    cx.node.scripts.flush();
    cx.reply.ok();
    Ok(())
}

fn kill(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    kill_running(cx, false)
}

/// Ends scripts, or functions.
pub(super) fn kill_running(cx: &mut Context<'_>, functions: bool) -> Result<(), Error> {
    match cx.node.scripts.watches.kill(functions) {
        Kill::Done => {
            cx.reply.ok();
            Ok(())
        }
        Kill::Idle => Err(Error::NOT_BUSY),
        Kill::Wrote => Err(Error::UNKILLABLE),
        Kill::Other => Err(if functions { Error::SCRIPT_BUSY } else { Error::FUNCTION_BUSY }),
    }
}

fn debug(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let word = args.get(2);
    if word.eq_ignore_ascii_case(b"no") {
        cx.reply.ok();
        return Ok(());
    }
    if word.eq_ignore_ascii_case(b"yes") || word.eq_ignore_ascii_case(b"sync") {
        return Err(Error::new("this server has no debugger of scripts"));
    }
    Err(Error::new("Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn show(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let source = lower(args.get(2)).and_then(|sha| cx.node.scripts.find(&sha)).ok_or(Error::NO_SCRIPT)?;
    cx.reply.bulk(&source.text);
    Ok(())
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
