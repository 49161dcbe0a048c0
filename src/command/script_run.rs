//! How a script runs: what it enters, and when it has to run again.

use super::script::lower;
use super::script_call::Calls;
use super::{Context, Error, Flags, Handle, Worker, account, limit};
use crate::protocol::Args;
use crate::script::{Ended, Features, Habit, Run, Scope};
use crate::session::Mode;
use crate::store::Held;

/// A script that is about to run.
pub(super) struct Script<'a> {
    pub(super) body: &'a mlua::Function,
    pub(super) name: &'a str,
    pub(super) is_function: bool,
    pub(super) features: Features,
    pub(super) habit: &'a Habit,
    /// The whole command; the keys begin at the third argument.
    pub(super) args: Args<'a>,
    pub(super) keys: usize,
    /// Whether the command forbids changes.
    pub(super) read_only: bool,
}

/// Runs a script as one entry.
///
/// The first run of a script enters everything. If it went only to declared keys, later runs enter just those; one that then
/// goes elsewhere before it has changed anything is run again with everything, and so are all after it.
///
/// # Errors
/// [`Error::Busy`], or that the script may not run.
pub(super) fn run(cx: &mut Context<'_>, script: &Script<'_>) -> Result<(), Error> {
    let features = script.features;
    if script.read_only && !features.undeclared && !features.no_writes {
        return Err(Error::SCRIPT_WRITES);
    }
    let start = cx.reply.len();
    loop {
        let (ended, kept) = run_once(cx, script)?;
        match ended {
            Ended::Replied if kept => script.habit.kept_to_declared(),
            // Where it would have gone is not known.
            Ended::Stopped if kept => (),
            Ended::Replied | Ended::Stopped => script.habit.went_elsewhere(),
            Ended::Undeclared => {
                script.habit.went_elsewhere();
                cx.reply.truncate(start);
                continue;
            }
        }
        return Ok(());
    }
}

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    /// It may change keys, or tell others something.
    pub(super) writes: bool,
    /// It may need memory.
    pub(super) grows: bool,
}

/// What a command is about to do: for a script that declares it, what that declares, and else what its row says.
pub(super) fn effect(worker: &Worker, handle: Handle, args: Args<'_>) -> Effect {
    let flags = handle.command().flags;
    let scripts = &worker.node.scripts;
    let declared = match handle.command().name {
        "eval" | "eval_ro" => Features::of(args.get(1)),
        "evalsha" | "evalsha_ro" => lower(args.get(1)).and_then(|sha| scripts.find(&sha)).map(|source| source.features),
        "fcall" | "fcall_ro" => scripts.libraries.find(args.get(1)).map(|(library, at)| library.functions[at].features),
        _ => None,
    };
    match declared.filter(|features| !features.undeclared) {
        Some(features) => Effect { writes: !features.no_writes, grows: !features.no_writes && !features.allow_oom },
        None => Effect {
            writes: flags.contains(Flags::WRITE) || flags.contains(Flags::MAY_REPLICATE),
            grows: flags.contains(Flags::DENYOOM),
        },
    }
}

/// Whether memory was short before the script began, so that it may not use more.
fn is_short_of_memory(cx: &Context<'_>) -> bool {
    if cx.worker.settings.maxmemory == 0 {
        return false;
    }
    // Within a transaction, which has made room before it entered its keys, nothing can be evicted.
    if cx.worker.local.is_inside() { limit::is_over(cx.worker) } else { limit::make_room(cx.worker).is_err() }
}

/// Enters and runs. Returns how it ended, and whether it went only to declared keys.
fn run_once(cx: &mut Context<'_>, script: &Script<'_>) -> Result<(Ended, bool), Error> {
    let vm = cx.worker.vm()?;
    let rest = script.args.skip(3);
    let keys = rest.range(0..script.keys);
    let is_narrow = script.habit.scope() == Scope::Declared && !cx.node.keyspace.holds_everything(&cx.worker.local);
    let is_short = !script.features.allow_oom && is_short_of_memory(cx);
    let held = enter(cx, keys, is_narrow)?;
    if cx.node.pause.may_be_on()
        && cx.client.mode == Mode::Direct
        && super::pause::meets_leaving(cx.worker, cx.client, std::iter::once(script.args))
    {
        return Err(Error::Busy);
    }
    account::announce(cx.worker, cx.client, cx.command, script.args);
    let settings = &cx.worker.settings;
    let run = Run {
        name: script.name,
        is_function: script.is_function,
        is_alone: !is_narrow,
        keys,
        argv: rest.skip(script.keys),
        busy_ms: settings.busy_reply_threshold,
        limit_ms: settings.script_time_limit,
    };
    let start = cx.reply.len();
    let observes = script.habit.scope() == Scope::Unknown;
    let mut calls = Calls::new(cx.worker, cx.client, script, is_narrow, observes.then_some(keys));
    calls.is_short = is_short;
    let ended = vm.run(script.body, run, &mut calls, &mut cx.reply);
    let kept = calls.end(cx.command);
    drop(held);
    for code in vm.take_codes() {
        cx.node.stats.count_error(cx.worker.number(), &code);
    }
    if cx.reply.is_error_at(start) {
        cx.node.stats.calls(cx.worker.number()).failed(cx.command.index());
    }
    Ok((ended, kept))
}

fn enter<'a>(cx: &Context<'a>, keys: Args<'_>, is_narrow: bool) -> Result<Held<'a>, Error> {
    let (keyspace, local) = (&cx.node.keyspace, &cx.worker.local);
    Ok(if is_narrow { keyspace.enter_keys(local, keys.iter())? } else { keyspace.enter_all(local)? })
}
