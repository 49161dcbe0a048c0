//! `CLIENT`: what a connection says of itself, and the list of all of them.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::table::Handle;
use super::{Categories, Command, Context, Error, Flags, Group, help, kill, tracking};
use crate::protocol::{Args, number};
use crate::session::{ClientInfo, ReplyMode, Transport, tracking_flags as flags};

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

/// The classes of clients that filters name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Neither of the others.
    Normal,
    /// The master of this replica.
    Master,
    /// A replica of this master.
    Replica,
    /// Subscribed to channels.
    Pubsub,
}

impl Class {
    /// The class of this name, in any case.
    pub(super) fn parse(name: &[u8]) -> Result<Class, Error> {
        const NAMES: [(&str, Class); 5] = [
            ("normal", Class::Normal),
            ("slave", Class::Replica),
            ("replica", Class::Replica),
            ("pubsub", Class::Pubsub),
            ("master", Class::Master),
        ];
        let found = NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        found.map(|(_, class)| *class).ok_or_else(|| {
            let name = String::from_utf8_lossy(&name[..name.len().min(128)]);
            Error::new(format!("Unknown client type '{name}'"))
        })
    }

    /// The class of a client: all are normal while there is neither replication nor publishing.
    pub(super) fn of(_: &ClientInfo) -> Class {
        Class::Normal
    }
}

fn list(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let registry = &cx.node.registry;
    let is = |word: &str| args.nth(2).is_some_and(|given| given.eq_ignore_ascii_case(word.as_bytes()));
    let clients = if args.len() == 4 && is("TYPE") {
        let class = Class::parse(args.get(3))?;
        let mut clients = registry.list();
        clients.retain(|client| Class::of(client) == class);
        clients
    } else if args.len() > 3 && is("ID") {
        let ids = args.skip(3).iter().map(|id| number::parse_i64(id).ok_or(Error::new("Invalid client ID")));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        ids.into_iter().filter_map(|id| registry.find(u64::try_from(id).ok()?)).collect()
    } else if args.len() == 2 {
        registry.list()
    } else {
        return Err(Error::SYNTAX);
    };
    let mut text = String::new();
    for client in clients {
        let own = client.id == cx.client.info.id;
        // A client that was killed is gone for everybody, although its worker has yet to notice.
        if own || !client.is_killed() {
            describe(&client, cx.now_ms(), own && cx.client.close_after_reply, &mut text);
        }
    }
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// Appends a client's line, with the fields of Redis 7.2 in their order.
pub(super) fn describe(client: &ClientInfo, now_ms: u64, closing: bool, text: &mut String) {
    let names = client.names();
    let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
    let (query, room) = (client.query_bytes.load(Relaxed), client.query_capacity.load(Relaxed));
    let output = client.output_bytes.load(Relaxed);
    let command = client.last_command.load(Relaxed).checked_sub(1).and_then(|index| Handle::at(index as usize));
    let mut put = |part: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = text.write_fmt(part);
    };
    put(format_args!("id={} addr={} laddr={}", client.id, client.address, client.local_address));
    put(format_args!(" fd={} name={}", client.descriptor().unwrap_or(-1), word(&names.name)));
    put(format_args!(" age={} idle={}", seconds(client.created_ms), seconds(client.active_ms.load(Relaxed))));
    put(format_args!(" flags={} db={} sub=0 psub=0 ssub=0 multi=-1", flags(client, closing), client.database()));
    put(format_args!(" qbuf={query} qbuf-free={} argv-mem=0 multi-mem=0", room.saturating_sub(query)));
    put(format_args!(" rbs={output} rbp={output} obl={output} oll=0 omem=0"));
    put(format_args!(" tot-mem={}", size_of::<ClientInfo>() + room.max(query) + output));
    put(format_args!(" events=r cmd={}", command.map_or("NULL", Handle::full_name)));
    let user = client.user().map_or_else(String::new, |user| word(&user.name));
    put(format_args!(" user={user} redir={}", tracking::redirect(client)));
    put(format_args!(" resp={} lib-name={}", client.protocol(), word(&names.library)));
    put(format_args!(" lib-ver={}\n", word(&names.library_version)));
}

/// The letters of a client's state, `N` for none.
fn flags(client: &ClientInfo, closing: bool) -> String {
    let letters = [
        (client.tracking.load(Relaxed) & flags::ON != 0, 't'),
        (client.tracking.load(Relaxed) & flags::BROKEN != 0, 'R'),
        (client.tracking.load(Relaxed) & flags::BCAST != 0, 'B'),
        (closing, 'c'),
        (client.is_killed(), 'A'),
        (client.transport == Transport::Unix, 'U'),
        (client.no_evict.load(Relaxed), 'e'),
        (client.no_touch.load(Relaxed), 'T'),
    ];
    let set: String = letters.iter().filter(|(is, _)| *is).map(|(_, letter)| *letter).collect();
    if set.is_empty() { "N".to_owned() } else { set }
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
    fn lines_have_the_fields_of_redis() {
        let mut rig = Rig::new();
        rig.run("CLIENT SETNAME me");
        rig.run("CLIENT SETINFO LIB-VER 1.0");
        rig.run("CLIENT NO-TOUCH ON");
        rig.run("SELECT 2");
        rig.pass(5000);
        let reply = rig.run("CLIENT INFO");
        let line = reply.split_once('|').map_or("", |(_, line)| line);
        let fields: Vec<_> = line.trim_end().split(' ').filter_map(|field| field.split_once('=')).collect();
        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        // As redis-server 7.2.6 lists them.
        let expected = "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem \
                        rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver";
        assert_eq!(names.join(" "), expected);
        let value = |name| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        for (name, expected) in [
            ("id", "1"),
            ("addr", "127.0.0.1:1"),
            ("name", "me"),
            ("flags", "T"),
            ("db", "2"),
            ("cmd", "client|info"),
            ("resp", "2"),
            ("lib-ver", "1.0"),
        ] {
            assert!(value(name).is_some_and(|value| value.starts_with(expected)), "{name}: {line}");
        }
    }

    #[test]
    fn the_list_is_filtered() {
        let mut rig = Rig::new();
        let other = rig.connect();
        let lines = |reply: String| reply.matches("addr=").count() / 2;
        assert_eq!(lines(rig.run("CLIENT LIST")), 2);
        assert_eq!(lines(rig.run("CLIENT LIST TYPE normal")), 2);
        assert_eq!(lines(rig.run("CLIENT LIST TYPE pubsub")), 0);
        assert_eq!(lines(rig.run(&format!("CLIENT LIST ID {} 77 -1", other.info.id))), 1);
        assert!(rig.run("CLIENT LIST").contains("cmd=client|list user=default"));
        rig.check(&[
            ("CLIENT LIST ID", "-ERR syntax error"),
            ("CLIENT LIST ID x", "-ERR Invalid client ID"),
            ("CLIENT LIST TYPE x", "-ERR Unknown client type 'x'"),
            ("CLIENT LIST x", "-ERR syntax error"),
        ]);
        other.info.kill();
        assert_eq!(lines(rig.run("CLIENT LIST")), 1);
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
