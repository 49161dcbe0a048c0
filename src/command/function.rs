//! Functions: libraries of them, and their calls.

use std::sync::Arc;

use super::function_dump::{dump, restore};
use super::script::{READ, RUNS, WRITTEN, check_flush, checked_count, kill_running, quoting, seen};
use super::script_run::{self, Script};
use super::{Command, Context, Error, Flags, Group, help};
use crate::protocol::{Args, glob, number};
use crate::script::{Library, LoadError};

const CHANGES: Flags = Flags::NOSCRIPT.and(Flags::WRITE);
const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    call("fcall", fcall).flags(RUNS.and(Flags::MAY_REPLICATE)).keys(WRITTEN).doc("Calls a function.", CALL_SYNTAX),
    call("fcall_ro", fcall_ro)
        .flags(RUNS.and(Flags::READONLY))
        .keys(READ)
        .doc("Calls a function that changes nothing.", CALL_SYNTAX),
    Command::container("function", FUNCTION)
        .group(Group::Scripting)
        .since("7.0.0")
        .doc("Manages the libraries of functions.", ""),
];

const CALL_SYNTAX: &str = "function numkeys:integer [key ...] [arg ...]";

const FUNCTION: &[Command] = &[
    sub("delete", 3, delete)
        .flags(CHANGES)
        .tips(EVERYWHERE)
        .doc("Removes a library and its functions.", "library-name"),
    sub("dump", 2, dump)
        .flags(Flags::NOSCRIPT)
        .complexity("O(N) where N is the number of functions")
        .doc("Returns all libraries as bytes for FUNCTION RESTORE.", ""),
    sub("flush", -2, flush)
        .flags(CHANGES)
        .complexity("O(N) where N is the number of functions deleted")
        .tips(EVERYWHERE)
        .doc("Removes all libraries.", "[ASYNC|SYNC]"),
    help::row(Group::Scripting, "7.0.0"),
    sub("kill", 2, kill)
        .flags(Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"])
        .doc("Ends functions that run for long and have changed nothing.", ""),
    sub("list", -2, list)
        .flags(Flags::NOSCRIPT)
        .complexity("O(N) where N is the number of functions")
        .tips(&["nondeterministic_output_order"])
        .doc("Lists the libraries.", "[LIBRARYNAME library-name-pattern:string] [WITHCODE]"),
    sub("load", -3, load)
        .flags(CHANGES.and(Flags::DENYOOM))
        .complexity("O(1) (considering compilation time is redundant)")
        .tips(EVERYWHERE)
        .doc("Adds a library.", "[REPLACE] function-code"),
    sub("restore", -3, restore)
        .flags(CHANGES.and(Flags::DENYOOM))
        .complexity("O(N) where N is the number of functions on the payload")
        .tips(EVERYWHERE)
        .doc("Adds the libraries that FUNCTION DUMP returned.", "serialized-value [FLUSH|APPEND|REPLACE]"),
    sub("stats", 2, stats)
        .flags(Flags::NOSCRIPT.and(Flags::ALLOW_BUSY))
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .doc("Tells what runs, and how many functions there are.", ""),
];

const fn call(name: &'static str, run: super::Run) -> Command {
    Command::new(name, -3, run)
        .group(Group::Scripting)
        .since("7.0.0")
        .complexity("Depends on the function that is executed.")
        .enters_itself()
        .may_take_long()
}

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::Scripting).since("7.0.0")
}

fn fcall(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    call_function(cx, args, false)
}

fn fcall_ro(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    call_function(cx, args, true)
}

fn call_function(cx: &mut Context<'_>, args: Args<'_>, read_only: bool) -> Result<(), Error> {
    let (library, at, body, keys) = seen(cx, args, by_name(cx, args))?;
    let function = &library.functions[at];
    let script = Script {
        body: &body,
        name: &function.name,
        is_function: true,
        features: function.features,
        habit: &function.habit,
        args,
        keys,
        read_only,
    };
    script_run::run(cx, &script)
}

/// The library of a function, its place there, how it is called, and the number of its keys.
type Found = (Arc<Library>, usize, mlua::Function, usize);

fn by_name(cx: &Context<'_>, args: Args<'_>) -> Result<Found, Error> {
    let (library, at) = cx.node.scripts.libraries.find(args.get(1)).ok_or(Error::NO_FUNCTION)?;
    let keys = checked_count(number::parse_i64(args.get(2)).ok_or(Error::BAD_KEY_COUNT)?, args)?;
    let body = cx.worker.vm()?.function(&library, at).map_err(load_error)?;
    Ok((library, at, body, keys))
}

/// Why a library is not loaded, as a reply.
pub(super) fn load_error(error: LoadError) -> Error {
    quoting(&[b"ERR ", &error.0])
}

fn load(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let options = args.range(2..args.len() - 1);
    for option in options.iter() {
        if !option.eq_ignore_ascii_case(b"replace") {
            return Err(quoting(&[b"ERR Unknown option given: ", option]));
        }
    }
    let replace = !options.is_empty();
    let library = cx.worker.vm()?.load_library(args.get(args.len() - 1)).map_err(load_error)?;
    let name = library.name.clone();
    cx.node.scripts.libraries.add(library, replace).map_err(load_error)?;
    cx.store.count_changes(1);
    cx.reply.bulk(name.as_bytes());
    Ok(())
}

fn delete(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if !cx.node.scripts.libraries.delete(args.get(2)) {
        return Err(Error::new("Library not found"));
    }
    cx.store.count_changes(1);
    cx.reply.ok();
    Ok(())
}

fn flush(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(Error::subcommand("FUNCTION", args.get(1)));
    }
    check_flush(args, "FUNCTION")?;
    cx.node.scripts.libraries.flush();
    cx.store.count_changes(1);
    cx.reply.ok();
    Ok(())
}

fn kill(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    kill_running(cx, true)
}

fn list(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (mut pattern, mut with_code) = (None, false);
    let mut index = 2;
    while let Some(word) = args.nth(index) {
        index += 1;
        if !with_code && word.eq_ignore_ascii_case(b"withcode") {
            with_code = true;
        } else if pattern.is_none() && word.eq_ignore_ascii_case(b"libraryname") {
            pattern = Some(args.nth(index).ok_or(Error::new("library name argument was not given"))?);
            index += 1;
        } else {
            return Err(quoting(&[b"ERR Unknown argument ", word]));
        }
    }
    let matches =
        |library: &Library| pattern.is_none_or(|pattern| glob::matches(pattern, library.name.as_bytes(), true));
    let mut libraries = cx.node.scripts.libraries.list();
    libraries.retain(|library| matches(library));
    cx.reply.array(libraries.len());
    for library in &libraries {
        describe(cx, library, with_code);
    }
    Ok(())
}

fn describe(cx: &mut Context<'_>, library: &Library, with_code: bool) {
    let reply = &mut cx.reply;
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(library.name.as_bytes());
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(function.name.as_bytes());
        reply.bulk(b"description");
        reply.bulk_or_null(function.description.as_deref());
        reply.bulk(b"flags");
        let flags = function.features.names();
        reply.set(flags.clone().count());
        flags.for_each(|flag| reply.simple(flag));
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.code);
    }
}

fn stats(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let scripts = &cx.node.scripts;
    let (libraries, functions) = scripts.libraries.counts();
    let task = scripts.watches.slowest();
    let reply = &mut cx.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    match task {
        None => reply.null(),
        Some(task) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(task.name.as_bytes());
            reply.bulk(b"command");
            reply.array(task.command.len());
            task.command.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            reply.integer(i64::try_from(task.started.elapsed().as_millis()).unwrap_or(i64::MAX));
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.count(libraries);
    reply.bulk(b"functions_count");
    reply.count(functions);
    Ok(())
}
