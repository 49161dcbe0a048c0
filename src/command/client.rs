//! `CLIENT`: what a connection says of itself, and the list of all of them.

use std::sync::atomic::Ordering::Relaxed;

use super::client_list::{describe, list};
use super::{Categories, Command, Context, Error, Flags, Group, help, kill, pause, tracking};
use crate::protocol::Args;
use crate::session::ReplyMode;

const ANY: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);
const ADMIN: Flags = ANY.and(Flags::ADMIN);
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];
const CHANGING: &[&str] = &["nondeterministic_output"];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[Command::container("client", SUBCOMMANDS)
    .group(Group::Connection)
    .since("2.4.0")
    .doc("Tells about connections, and changes them.", "")];

const SUBCOMMANDS: &[Command] = &[
    sub("caching", 3, tracking::caching)
        .since("6.0.0")
        .doc("Chooses whether what the next command reads is tracked.", "<YES|NO>"),
    sub("getname", 2, getname).since("2.6.9").doc("Returns the name of the connection.", ""),
    sub("getredir", 2, tracking::getredir)
        .since("6.0.0")
        .doc("Returns the client to which the connection's invalidations are sent, or -1.", ""),
    help::row(Group::Connection, "5.0.0"),
    sub("id", 2, id).since("5.0.0").doc("Returns the id of the connection.", ""),
    sub("info", 2, info).since("6.2.0").tips(CHANGING).doc("Returns the connection's line of CLIENT LIST.", ""),
    sub("kill", -3, kill::kill)
        .flags(ADMIN)
        .since("2.4.0")
        .complexity("O(N) where N is the number of client connections")
        .doc(
            "Closes connections.",
            "<ip:port|<ID client-id:integer|TYPE <NORMAL|MASTER|SLAVE|REPLICA|PUBSUB>|USER username|ADDR ip:port|\
             LADDR ip:port|SKIPME <YES|NO>|MAXAGE maxage:integer> ...>",
        ),
    sub("list", -2, list)
        .flags(ADMIN)
        .since("2.4.0")
        .tips(CHANGING)
        .complexity("O(N) where N is the number of client connections")
        .doc("Lists the connections.", "[TYPE <NORMAL|MASTER|REPLICA|PUBSUB>] [ID client-id:integer ...]"),
    sub("no-evict", 3, no_evict)
        .flags(ADMIN)
        .since("7.0.0")
        .doc("Keeps the connection when clients are evicted for their memory.", "<ON|OFF>"),
    sub("no-touch", 3, no_touch)
        .since("7.2.0")
        .doc("Leaves the access clock of the keys that the connection uses as it is.", "<ON|OFF>"),
    sub("pause", -3, pause::pause)
        .flags(ADMIN)
        .since("3.0.0")
        .doc("Holds commands of clients back for a time.", "timeout:integer [WRITE|ALL]"),
    sub("reply", 3, reply).since("3.2.0").doc("Chooses whether replies are sent.", "<ON|OFF|SKIP>"),
    sub("setinfo", 4, setinfo)
        .since("7.2.0")
        .tips(ALL_NODES)
        .doc("Names the client's library or its version.", "<LIB-NAME libname|LIB-VER libver>"),
    sub("setname", 3, setname).since("2.6.9").tips(ALL_NODES).doc("Names the connection.", "connection-name"),
    sub("tracking", -3, tracking::tracking)
        .since("6.0.0")
        .complexity("O(1). Some options may introduce additional complexity.")
        .doc(
            "Begins or ends to tell the connection which of the keys that it has read have changed.",
            "<ON|OFF> [REDIRECT client-id:integer] [PREFIX prefix:string ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        ),
    sub("trackinginfo", 2, tracking::trackinginfo)
        .since("6.2.0")
        .doc("Tells how the connection's keys are tracked for its cache.", ""),
    sub("unblock", -3, pause::unblock)
        .flags(ADMIN)
        .since("5.0.0")
        .complexity("O(log N) where N is the number of client connections")
        .doc("Ends the wait of a client that a command blocks.", "client-id:integer [TIMEOUT|ERROR]"),
    sub("unpause", 2, pause::unpause)
        .flags(ADMIN)
        .since("6.2.0")
        .complexity("O(N) Where N is the number of paused clients")
        .doc("Ends the pause of clients.", ""),
];

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).flags(ANY).group(Group::Connection).categories(Categories::CONNECTION)
}

/// Whether the text may stand in a line of `CLIENT LIST`: printable ASCII without spaces.
fn is_word(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// Refuses names that `CLIENT LIST` could not show.
pub(super) fn check_name(name: &[u8]) -> Result<(), Error> {
    match is_word(name) {
        true => Ok(()),
        false => Err(Error::new("Client names cannot contain spaces, newlines or special characters.")),
    }
}

fn id(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.integer(cx.client.info.id as i64);
    Ok(())
}

fn getname(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let name = cx.client.info.names().name;
    cx.reply.bulk_or_null(Some(name.as_slice()).filter(|name| !name.is_empty()));
    Ok(())
}

fn setname(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let name = args.get(2);
    check_name(name)?;
    cx.client.info.set_names(|names| names.name = name.to_vec());
    cx.reply.ok();
    Ok(())
}

fn setinfo(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (option, value) = (args.get(2), args.get(3));
    let is_name = option.eq_ignore_ascii_case(b"lib-name");
    let shown = String::from_utf8_lossy(&option[..option.len().min(128)]);
    if !is_name && !option.eq_ignore_ascii_case(b"lib-ver") {
        return Err(Error::new(format!("Unrecognized option '{shown}'")));
    }
    if !is_word(value) {
        return Err(Error::new(format!("{shown} cannot contain spaces, newlines or special characters.")));
    }
    cx.client.info.set_names(|names| {
        *if is_name { &mut names.library } else { &mut names.library_version } = value.to_vec();
    });
    cx.reply.ok();
    Ok(())
}

/// `ON` or `OFF`.
fn switch(word: &[u8]) -> Result<bool, Error> {
    match word {
        on if on.eq_ignore_ascii_case(b"ON") => Ok(true),
        off if off.eq_ignore_ascii_case(b"OFF") => Ok(false),
        _ => Err(Error::SYNTAX),
    }
}

fn no_evict(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.client.info.no_evict.store(switch(args.get(2))?, Relaxed);
    cx.reply.ok();
    Ok(())
}

fn no_touch(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    cx.client.set_no_touch(switch(args.get(2))?);
    cx.reply.ok();
    Ok(())
}

fn reply(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let mode = args.get(2);
    if mode.eq_ignore_ascii_case(b"ON") {
        cx.client.reply_mode = ReplyMode::On;
        cx.reply.ok();
    } else if mode.eq_ignore_ascii_case(b"OFF") {
        cx.client.reply_mode = ReplyMode::Off;
    } else if mode.eq_ignore_ascii_case(b"SKIP") {
        if cx.client.reply_mode != ReplyMode::Off {
            cx.client.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(Error::SYNTAX);
    }
    Ok(())
}

fn info(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let mut text = String::new();
    describe(&cx.client.info, cx.now_ms(), cx.client.close_after_reply, &mut text);
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn a_client_names_itself() {
        Rig::new().check(&[
            ("CLIENT ID", ":1"),
            ("CLIENT GETNAME", "$-1"),
            ("CLIENT SETNAME me", "+OK"),
            ("CLIENT GETNAME", "$2|me"),
            ("CLIENT SETNAME a\nb", "-ERR Client names cannot contain spaces, newlines or special characters."),
            ("CLIENT SETNAME ", "+OK"),
            ("CLIENT GETNAME", "$-1"),
            ("CLIENT SETINFO LIB-NAME lib", "+OK"),
            ("CLIENT SETINFO lib-ver 1.\x7f", "-ERR lib-ver cannot contain spaces, newlines or special characters."),
            ("CLIENT SETINFO foo bar", "-ERR Unrecognized option 'foo'"),
            ("CLIENT GETREDIR", ":-1"),
            ("CLIENT TRACKINGINFO", "*6|$5|flags|*1|$3|off|$8|redirect|:-1|$8|prefixes|*0"),
            ("CLIENT NO-TOUCH x", "-ERR syntax error"),
            ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
            ("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
        ]);
    }

    #[test]
    fn replies_are_muted() {
        Rig::new().check(&[
            ("CLIENT REPLY x", "-ERR syntax error"),
            ("CLIENT REPLY SKIP", ""),
            ("PING", ""),
            ("PING", "+PONG"),
            ("CLIENT REPLY OFF", ""),
            ("PING", ""),
            ("CLIENT REPLY SKIP", ""),
            ("PING", ""),
            ("CLIENT REPLY ON", "+OK"),
            ("PING", "+PONG"),
        ]);
    }
}
