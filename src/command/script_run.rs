//! How a script runs: what it enters, and when it has to run again.

use super::script_call::Calls;
use super::{Context, Error, account};
use crate::protocol::Args;
use crate::script::{Ended, Features, Habit, Run, Scope};
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

/// Enters and runs. Returns how it ended, and whether it went only to declared keys.
fn run_once(cx: &mut Context<'_>, script: &Script<'_>) -> Result<(Ended, bool), Error> {
    let vm = cx.worker.vm()?;
    let rest = script.args.skip(3);
    let keys = rest.range(0..script.keys);
    let is_narrow = script.habit.scope() == Scope::Declared && !cx.node.keyspace.holds_everything(&cx.worker.local);
    let held = enter(cx, keys, is_narrow)?;
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
    let observes = script.habit.scope() == Scope::Unknown;
    let mut calls = Calls::new(cx.worker, cx.client, script, is_narrow, observes.then_some(keys));
    let ended = vm.run(script.body, run, &mut calls, &mut cx.reply);
    let kept = calls.end(cx.command);
    drop(held);
    Ok((ended, kept))
}

fn enter<'a>(cx: &Context<'a>, keys: Args<'_>, is_narrow: bool) -> Result<Held<'a>, Error> {
    let (keyspace, local) = (&cx.node.keyspace, &cx.worker.local);
    Ok(if is_narrow { keyspace.enter_keys(local, keys.iter())? } else { keyspace.enter_all(local)? })
}
