//! `COMMAND`: what the table says of itself, in the shapes of Redis 7.2.

use super::docs::write_docs;
use super::keyspec::{Begin, Find};
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
        .doc("Returns the names of commands.", "[FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]"),
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
    let called = command.access.map(|access| access(words));
    let fits = specs.all(|spec| {
        let access = called.unwrap_or(spec.access);
        spec.each(words, |index| keys.push((words.get(index), access)))
    });
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
        // That of its specification, not of a key.
        write_names(&mut cx.reply, access.names().filter(|name| *name != "incomplete"));
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
    let plain = |spec: &KeySpec| match (spec.begin.shown(), spec.find) {
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
    let begin = spec.begin.shown();
    let note = match begin {
        Begin::Sought(_, note) | Begin::Derived(_, note) => Some(note),
        Begin::Index(_) | Begin::Keyword(..) | Begin::Decided(..) => None,
    };
    reply.map(if note.is_some() { 4 } else { 3 });
    if let Some(note) = note {
        reply.bulk(b"notes");
        reply.bulk(note.as_bytes());
    }
    reply.bulk(b"flags");
    write_names(reply, spec.access.names());
    reply.bulk(b"begin_search");
    match begin {
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
        Begin::Sought(..) | Begin::Derived(..) | Begin::Decided(..) => write_search(reply, "unknown", 0),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        _ if note.is_some() => write_search(reply, "unknown", 0),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;

    #[test]
    fn an_entry_has_the_ten_elements_of_redis() {
        let mut rig = Rig::new();
        // What redis-server 7.2.6 replies, but for the order within sets.
        let get = "*10|$3|get|:2|*2|+readonly|+fast|:1|:1|:1|*3|+@read|+@string|+@fast|*0|*1|*6|$5|flags|*2|+RO|+access|\
                   $12|begin_search|*4|$4|type|$5|index|$4|spec|*2|$5|index|:1|$9|find_keys|*4|$4|type|$5|range|$4|spec|\
                   *6|$7|lastkey|:0|$7|keystep|:1|$5|limit|:0|*0";
        assert_eq!(rig.run("COMMAND INFO GeT nosuch"), format!("*2|{get}|*-1"));
        let id = "*10|$9|client|id|:2|*3|+noscript|+loading|+stale|:0|:0|:0|*2|+@slow|+@connection|*0|*0|*0";
        assert_eq!(rig.run("COMMAND INFO client|id"), format!("*1|{id}"));
        let client = rig.run("COMMAND INFO client");
        assert!(client.starts_with("*1|*10|$6|client|:-2|*0|:0|:0|:0|*1|+@slow|*0|*0|*18|*10|"), "{client}");
        rig.run("HELLO 3");
        let get = rig.run("COMMAND INFO get");
        assert!(get.contains("|~2|+readonly|+fast|") && get.contains("|~1|%3|$5|flags|~2|+RO|+access|"), "{get}");
    }

    #[test]
    fn commands_are_counted_and_listed() {
        let mut rig = Rig::new();
        let count = rig.run("COMMAND COUNT");
        assert_eq!(count, format!(":{}", table::all().count()));
        assert!(rig.run("COMMAND").starts_with(&count.replace(':', "*")));
        assert!(rig.run("COMMAND INFO").starts_with(&count.replace(':', "*")));
        assert!(rig.run("COMMAND DOCS").starts_with(&format!("*{}|", 2 * table::all().count())));
        assert!(rig.run("COMMAND LIST").starts_with(&format!("*{}|", table::every().count())));
        rig.check(&[
            ("COMMAND LIST FILTERBY PATTERN client|i?", "*1|$9|client|id"),
            ("COMMAND LIST FILTERBY MODULE x", "*0"),
            ("COMMAND LIST FILTERBY ACLCAT nosuch", "*0"),
            ("COMMAND LIST FILTERBY x y", "-ERR syntax error"),
            ("COMMAND LIST FILTERBY PATTERN", "-ERR syntax error"),
            ("COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP."),
        ]);
        let string = rig.run("COMMAND LIST FILTERBY ACLCAT string");
        assert!(string.contains("$3|get|") && !string.contains("ping"), "{string}");
    }

    #[test]
    fn keys_are_found_among_words() {
        Rig::new().check(&[
            ("COMMAND GETKEYS GET k", "*1|$1|k"),
            ("COMMAND GETKEYS object encoding k", "*1|$1|k"),
            ("COMMAND GETKEYSANDFLAGS set k v", "*1|*2|$1|k|*2|+OW|+update"),
            ("COMMAND GETKEYSANDFLAGS set k v get", "*1|*2|$1|k|*3|+RW|+access|+update"),
            ("COMMAND GETKEYSANDFLAGS bitfield k GET u8 0", "*1|*2|$1|k|*2|+RO|+access"),
            ("COMMAND GETKEYSANDFLAGS bitfield k SET u8 0 1", "*1|*2|$1|k|*3|+RW|+access|+update"),
            ("COMMAND GETKEYS GET", "-ERR Invalid number of arguments specified for command"),
            ("COMMAND GETKEYS FOO x", "-ERR Invalid command specified"),
            ("COMMAND GETKEYS PING", "-ERR The command has no key arguments"),
        ]);
    }

    #[test]
    fn old_ranges_follow_from_specifications() {
        let ro = Access::RO;
        for (specs, expected) in [
            (&[][..], (0, 0, 0, false)),
            (&[KeySpec::range(1, -1, 2, ro)], (1, -1, 2, false)),
            (&[KeySpec::at(1, ro), KeySpec::at(2, ro)], (1, 2, 1, false)),
            (&[KeySpec::at(1, ro), KeySpec::range(2, -1, 1, ro)], (1, -1, 1, false)),
            (&[KeySpec::at(1, ro), KeySpec::counted(2, ro)], (1, 1, 1, true)),
            (&[KeySpec::counted(1, ro)], (0, 0, 0, true)),
            (&[KeySpec::at(1, Access::RO.and(Access::INCOMPLETE))], (1, 1, 1, true)),
        ] {
            assert_eq!(old_range(specs), expected);
        }
    }

    #[test]
    fn documentation_has_the_shape_of_redis() {
        let mut rig = Rig::new();
        let docs = rig.run("COMMAND DOCS quit nosuch");
        for part in [
            "*2|$4|quit|*14|$7|summary|",
            "|$5|since|$5|1.0.0|$5|group|$10|connection|$10|complexity|$4|O(1)|$9|doc_flags|*1|+deprecated|",
            "|$16|deprecated_since|$5|7.2.0|$11|replaced_by|$27|just closing the connection",
        ] {
            assert!(docs.contains(part), "{part}: {docs}");
        }
        let docs = rig.run("COMMAND DOCS object|encoding");
        let key = "$9|arguments|*1|*8|$4|name|$3|key|$4|type|$3|key|$12|display_text|$3|key|$14|key_spec_index|:0";
        assert!(docs.ends_with(key), "{docs}");
        rig.run("HELLO 3");
        let docs = rig.run("COMMAND DOCS client");
        assert!(
            docs.starts_with("%1|$6|client|%5|") && docs.contains("|$11|subcommands|%18|$14|client|caching|%"),
            "{docs}"
        );
        let reply = "$9|arguments|*1|%3|$4|name|$17|on-or-off-or-skip|$4|type|$5|oneof|$9|arguments|*3|%4|$4|name|$2|on|\
                     $4|type|$10|pure-token|$12|display_text|$2|on|$5|token|$2|ON|";
        assert!(docs.contains(reply), "{docs}");
    }

    #[test]
    fn help_lists_the_subcommands() {
        let help = Rig::new().run("COMMAND HELP");
        assert!(help.contains("|+COUNT|") && help.ends_with("|+HELP|+    Print this help."), "{help}");
    }
}
