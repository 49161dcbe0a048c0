//! `COMMAND`: what the table says of itself, in the shapes of Redis 7.2.

use super::docs::write_docs;
use super::row::{Begin, Find};
use super::table::{self, Handle};
use super::{Access, Categories, Command, Context, Error, Flags, Group, KeySpec, help};
use crate::protocol::{Args, Reply, glob};

const ANY: Flags = Flags::LOADING.and(Flags::STALE);
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[row("command", -1, all)
    .since("2.8.13")
    .tips(UNORDERED)
    .complexity("O(N) where N is the total number of commands")
    .subcommands(SUBCOMMANDS)
    .doc("Returns what the server knows of all its commands.", "")];

const SUBCOMMANDS: &[Command] = &[
    row("count", 2, count).since("2.8.13").doc("Returns the number of commands.", ""),
    row("docs", -2, docs)
        .since("7.0.0")
        .tips(UNORDERED)
        .complexity("O(N) where N is the number of commands to look up")
        .doc("Returns the documentation of commands.", "[command-name ...]"),
    row("getkeys", -3, getkeys)
        .since("2.8.13")
        .complexity("O(N) where N is the number of arguments to the command")
        .doc("Returns the keys among the words of a command.", "command [arg ...]"),
    row("getkeysandflags", -3, getkeysandflags)
        .since("7.0.0")
        .complexity("O(N) where N is the number of arguments to the command")
        .doc("Returns the keys among the words of a command, and how it uses them.", "command [arg ...]"),
    help::row(Group::Server, "5.0.0").categories(Categories::CONNECTION),
    row("info", -2, info)
        .since("2.8.13")
        .tips(UNORDERED)
        .complexity("O(N) where N is the number of commands to look up")
        .doc("Returns what the server knows of commands.", "[command-name ...]"),
    row("list", -2, list)
        .since("7.0.0")
        .tips(UNORDERED)
        .complexity("O(N) where N is the total number of commands")
        .doc(
            "Returns the names of commands.",
            "[FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]",
        ),
];

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(ANY).group(Group::Server).categories(Categories::CONNECTION)
}

/// The command of a full name such as `get` or `client|kill`, in any case.
fn by_full_name(name: &[u8]) -> Option<Handle> {
    let mut parts = name.splitn(2, |&byte| byte == b'|');
    let handle = table::find(parts.next()?)?;
    match parts.next() {
        Some(sub) => handle.subcommand(sub),
        None => Some(handle),
    }
}

fn all(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.array(table::all().count());
    table::all().for_each(|handle| write_info(&mut cx.reply, handle));
    Ok(())
}

fn count(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.count(table::all().count());
    Ok(())
}

fn info(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let names = args.skip(2);
    if names.is_empty() {
        return all(cx, args);
    }
    cx.reply.array(names.len());
    for name in names.iter() {
        match by_full_name(name) {
            Some(handle) => write_info(&mut cx.reply, handle),
            None => cx.reply.null_array(),
        }
    }
    Ok(())
}

fn docs(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let names = args.skip(2);
    let asked: Vec<Handle> = match names.is_empty() {
        true => table::all().collect(),
        false => names.iter().filter_map(by_full_name).collect(),
    };
    cx.reply.map(asked.len());
    for handle in asked {
        cx.reply.bulk(handle.full_name().as_bytes());
        write_docs(&mut cx.reply, handle);
    }
    Ok(())
}

fn list(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let word = |index: usize, text: &str| args.nth(index).is_some_and(|arg| arg.eq_ignore_ascii_case(text.as_bytes()));
    let filter: Box<dyn Fn(Handle) -> bool + '_> = match args.len() {
        2 => Box::new(|_| true),
        5 if word(2, "FILTERBY") => {
            let value = args.get(4);
            if word(3, "MODULE") {
                // There are no modules, so none of the commands is of one.
                Box::new(|_| false)
            } else if word(3, "ACLCAT") {
                let named = Categories::NAMES.iter().find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(value));
                let category = named.map(|(category, _)| *category);
                Box::new(move |handle| category.is_some_and(|one| handle.command().all_categories().contains(one)))
            } else if word(3, "PATTERN") {
                Box::new(move |handle| glob::matches(value, handle.full_name().as_bytes(), true))
            } else {
                return Err(Error::SYNTAX);
            }
        }
        _ => return Err(Error::SYNTAX),
    };
    let names: Vec<&str> = table::every().filter(|handle| filter(*handle)).map(Handle::full_name).collect();
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.bulk(name.as_bytes()));
    Ok(())
}

/// The keys that the words of a command have, with what it does with each.
fn keys_of<'a>(words: Args<'a>) -> Result<Vec<(&'a [u8], Access)>, Error> {
    let handle = super::find(words).map_err(|_| Error::new("Invalid command specified"))?;
    let command = handle.command();
    let mut specs = command.keys.iter().filter(|spec| !spec.access.contains(Access::NOT_KEY)).peekable();
    if specs.peek().is_none() {
        return Err(Error::new("The command has no key arguments"));
    }
    if !command.accepts(words.len()) {
        return Err(Error::new("Invalid number of arguments specified for command"));
    }
    let mut keys = Vec::new();
    let fits = specs.all(|spec| spec.each(words, |index| keys.push((words.get(index), spec.access))));
    if !fits || (keys.is_empty() && !command.flags.contains(Flags::NO_MANDATORY_KEYS)) {
        return Err(Error::new("Invalid arguments specified for command"));
    }
    Ok(keys)
}

fn getkeys(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let keys = keys_of(args.skip(2))?;
    cx.reply.array(keys.len());
    keys.iter().for_each(|(key, _)| cx.reply.bulk(key));
    Ok(())
}

fn getkeysandflags(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let keys = keys_of(args.skip(2))?;
    cx.reply.array(keys.len());
    for (key, access) in keys {
        cx.reply.array(2);
        cx.reply.bulk(key);
        write_names(&mut cx.reply, access.names());
    }
    Ok(())
}

/// A set of simple strings.
pub(super) fn write_names(reply: &mut Reply<'_>, names: impl Iterator<Item = &'static str> + Clone) {
    reply.set(names.clone().count());
    names.for_each(|name| reply.simple(name));
}

/// The first key, the last (from the end where negative) and the step, as commands were described before key
/// specifications; and whether those do not tell all keys.
fn old_range(specs: &[KeySpec]) -> (i64, i64, i64, bool) {
    let plain = |spec: &KeySpec| match (spec.begin, spec.find) {
        (Begin::Index(first), Find::Range { last, step, .. }) => {
            let last = i64::from(last);
            Some((first as i64, if last >= 0 { last + first as i64 } else { last }, step as i64))
        }
        _ => None,
    };
    if let [one] = specs {
        let incomplete = one.access.contains(Access::INCOMPLETE);
        return plain(one).map_or((0, 0, 0, true), |(first, last, step)| (first, last, step, incomplete));
    }
    let mut range: Option<(i64, i64)> = None;
    let mut movable = false;
    for spec in specs {
        let follows = |first: i64| range.is_none_or(|(_, last)| last == first - 1);
        match plain(spec).filter(|&(first, _, step)| step == 1 && follows(first)) {
            Some((first, last, _)) => {
                range = Some((range.map_or(first, |(start, _)| start), last));
                movable |= spec.access.contains(Access::INCOMPLETE);
            }
            None => movable = true,
        }
    }
    range.map_or((0, 0, 0, movable), |(first, last)| (first, last, 1, movable))
}

/// The ten elements of `COMMAND INFO`.
fn write_info(reply: &mut Reply<'_>, handle: Handle) {
    let command = handle.command();
    let (first, last, step, movable) = old_range(command.keys);
    let derived = if movable { Flags::MOVABLE_KEYS } else { Flags::NONE };
    reply.array(10);
    reply.bulk(handle.full_name().as_bytes());
    reply.integer(command.arity.into());
    // Redis does not show which commands may be replicated.
    write_names(reply, (command.flags | derived).names().filter(|name| *name != "may_replicate"));
    [first, last, step].into_iter().for_each(|number| reply.integer(number));
    let categories = command.all_categories();
    reply.set(categories.names().count());
    categories.names().for_each(|name| reply.simple(&format!("@{name}")));
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| write_spec(reply, spec));
    if command.subcommands.is_empty() {
        reply.set(0);
    } else {
        reply.array(command.subcommands.len());
        handle.subcommands().for_each(|sub| write_info(reply, sub));
    }
}

fn write_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3);
    reply.bulk(b"flags");
    write_names(reply, spec.access.names());
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => {
            write_search(reply, "index", 1);
            write_number(reply, "index", index as i64);
        }
        Begin::Keyword(word, from) => {
            write_search(reply, "keyword", 2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            write_number(reply, "startfrom", from.into());
        }
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            write_search(reply, "range", 3);
            write_number(reply, "lastkey", last.into());
            write_number(reply, "keystep", step as i64);
            write_number(reply, "limit", limit as i64);
        }
        Find::Count { count, first, step } => {
            write_search(reply, "keynum", 3);
            write_number(reply, "keynumidx", count as i64);
            write_number(reply, "firstkey", first as i64);
            write_number(reply, "keystep", step as i64);
        }
    }
}

/// The header of a search, whose `fields` follow.
fn write_search(reply: &mut Reply<'_>, kind: &str, fields: usize) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields);
}

fn write_number(reply: &mut Reply<'_>, name: &str, value: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}
