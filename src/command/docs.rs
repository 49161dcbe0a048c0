//! `COMMAND DOCS`: a row's documentation on the wire.

use super::introspect::write_names;
use super::syntax::{self, Argument, Kind};
use super::table::Handle;
use crate::protocol::Reply;

/// A map in the order of Redis, with the fields that the row has.
pub(super) fn write_docs(reply: &mut Reply<'_>, handle: Handle) {
    let command = handle.command();
    // A unit test parses the notation of every row.
    let arguments = syntax::parse(command.syntax).unwrap_or_default();
    let mark = reply.begin();
    let mut fields = 0;
    let mut text = |reply: &mut Reply<'_>, name: &str, value: &str| {
        if !value.is_empty() {
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
            fields += 1;
        }
    };
    text(reply, "summary", command.summary);
    text(reply, "since", command.since);
    text(reply, "group", command.group.name());
    text(reply, "complexity", command.complexity);
    let flags = [(command.replaced_by.is_some(), "deprecated"), (command.internal, "syscmd")];
    let flags: Vec<&str> = flags.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    if !flags.is_empty() {
        reply.bulk(b"doc_flags");
        write_names(reply, flags.iter().copied());
    }
    if let Some((replacement, since)) = command.replaced_by {
        text(reply, "deprecated_since", since);
        text(reply, "replaced_by", replacement);
    }
    fields += usize::from(!flags.is_empty());
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        write_arguments(reply, &arguments, &mut Keys { next: 0, count: command.keys.len() });
        fields += 1;
    }
    if !command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        for sub in handle.subcommands() {
            reply.bulk(sub.full_name().as_bytes());
            write_docs(reply, sub);
        }
        fields += 1;
    }
    reply.end_map(mark, fields);
}

/// Which key specification an argument belongs to: the first key argument to the first one, and so on.
struct Keys {
    next: usize,
    count: usize,
}

impl Keys {
    fn take(&mut self) -> Option<usize> {
        let index = self.next.min(self.count.checked_sub(1)?);
        self.next += 1;
        Some(index)
    }
}

fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument], keys: &mut Keys) {
    reply.array(arguments.len());
    for argument in arguments {
        write_argument(reply, argument, keys);
    }
}

fn write_argument(reply: &mut Reply<'_>, argument: &Argument, keys: &mut Keys) {
    let mark = reply.begin();
    let mut fields = 2;
    let text = |reply: &mut Reply<'_>, name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    text(reply, "name", &argument.name);
    text(reply, "type", argument.kind.name());
    if !argument.kind.is_group() {
        text(reply, "display_text", &argument.name);
        fields += 1;
    }
    if let Some(index) = Some(argument.kind).filter(|kind| *kind == Kind::Key).and_then(|_| keys.take()) {
        reply.bulk(b"key_spec_index");
        reply.count(index);
        fields += 1;
    }
    if let Some(token) = &argument.token {
        text(reply, "token", token);
        fields += 1;
    }
    let flags =
        [(argument.optional, "optional"), (argument.multiple, "multiple"), (argument.multiple_token, "multiple_token")];
    let flags = flags.iter().filter(|(is, _)| *is).map(|(_, name)| *name);
    if flags.clone().next().is_some() {
        reply.bulk(b"flags");
        write_names(reply, flags);
        fields += 1;
    }
    if argument.kind.is_group() {
        reply.bulk(b"arguments");
        write_arguments(reply, &argument.arguments, keys);
        fields += 1;
    }
    reply.end_map(mark, fields);
}
