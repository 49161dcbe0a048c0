//! `CLIENT LIST`: the connections, and what is known of each.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::table::Handle;
use super::{Context, Error};
use crate::protocol::{Args, number};
use crate::session::{ClientInfo, Transport, tracking_flags};

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

    /// The class of a client: there are neither masters nor replicas in this build.
    pub(super) fn of(client: &ClientInfo) -> Class {
        if client.is_subscriber() { Class::Pubsub } else { Class::Normal }
    }
}

/// `CLIENT LIST`.
pub(super) fn list(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
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

/// Appends a client's line, with the fields of Valkey 8 in their order.
pub(super) fn describe(client: &ClientInfo, now_ms: u64, closing: bool, text: &mut String) {
    let names = client.names();
    let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
    let mut put = |part: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = text.write_fmt(part);
    };
    put(format_args!("id={} addr={} laddr={}", client.id, client.address, client.local_address));
    put(format_args!(" fd={} name={}", client.descriptor().unwrap_or(-1), word(&names.name)));
    put(format_args!(" age={} idle={}", seconds(client.created_ms), seconds(client.active_ms.load(Relaxed))));
    put(format_args!(" flags={} db={}", flags(client, closing), client.database()));
    let [channels, patterns, shards] = [0, 1, 2].map(|topic| client.subscriptions[topic].load(Relaxed));
    put(format_args!(" sub={channels} psub={patterns} ssub={shards}"));
    let queued = client.queued.load(Relaxed) as i64 - 1;
    put(format_args!(" multi={queued} watch={}", client.watched.load(Relaxed)));
    put(format_args!("{}", Buffers::of(client)));
    let command = client.last_command.load(Relaxed).checked_sub(1).and_then(|index| Handle::at(index as usize));
    let user = client.user().map_or_else(String::new, |user| word(&user.name));
    put(format_args!(
        " cmd={} user={user} redir={}",
        command.map_or("NULL", Handle::full_name),
        super::tracking::redirect(client)
    ));
    put(format_args!(" resp={} lib-name={}", client.protocol(), word(&names.library)));
    put(format_args!(" lib-ver={}", word(&names.library_version)));
    let (received, sent) = (client.received_bytes.load(Relaxed), client.sent_bytes.load(Relaxed));
    put(format_args!(" tot-net-in={received} tot-net-out={sent} tot-cmds={}\n", client.commands.load(Relaxed)));
}

/// What a client's buffers hold, in bytes. Arguments lie in the query buffer and take no memory of their own.
struct Buffers {
    /// Received and not yet executed.
    query: usize,
    /// What the receive buffer could hold beyond that.
    free: usize,
    /// Queued in a transaction.
    queued: usize,
    /// Replies not yet sent.
    output: usize,
    /// Messages not yet sent, and how many.
    mail: usize,
    letters: usize,
    output_memory: usize,
}

impl Buffers {
    fn of(client: &ClientInfo) -> Buffers {
        let query = client.query_bytes.load(Relaxed);
        Buffers {
            query,
            free: client.query_capacity.load(Relaxed).saturating_sub(query),
            queued: client.queued_bytes.load(Relaxed),
            output: client.output_bytes.load(Relaxed),
            output_memory: client.output_memory(),
            mail: client.mailbox.bytes(),
            letters: client.mailbox.len(),
        }
    }
}

impl std::fmt::Display for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Buffers { query, free, queued, output, output_memory, mail, letters } = self;
        let total = size_of::<ClientInfo>() + query + free + queued + output_memory + mail;
        let events = if output + mail > 0 { "rw" } else { "r" };
        write!(
            f,
            " qbuf={query} qbuf-free={free} argv-mem=0 multi-mem={queued} rbs={output_memory} rbp={output_memory}"
        )?;
        write!(f, " obl={output} oll={letters} omem={mail} tot-mem={total} events={events}")
    }
}

/// The letters of a client's state, `N` for none.
fn flags(client: &ClientInfo, closing: bool) -> String {
    let tracking = client.tracking.load(Relaxed);
    let letters = [
        (client.is_monitor.load(Relaxed), 'O'),
        (client.is_subscriber(), 'P'),
        (client.queued.load(Relaxed) > 0, 'x'),
        (client.blocked.load(Relaxed), 'b'),
        (tracking & tracking_flags::ON != 0, 't'),
        (tracking & tracking_flags::BROKEN != 0, 'R'),
        (tracking & tracking_flags::BCAST != 0, 'B'),
        (client.is_outrun(), 'd'),
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
        // As valkey-server 8.0.1 lists them.
        let expected = "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem \
                        multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver tot-net-in \
                        tot-net-out tot-cmds";
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
    fn a_line_tells_the_state() {
        let mut rig = Rig::new();
        let mut other = rig.connect();
        let id = other.info.id;
        let mut line_after = |rig: &mut Rig, request: &str| {
            std::mem::swap(&mut rig.client, &mut other);
            rig.run(request);
            std::mem::swap(&mut rig.client, &mut other);
            rig.run(&format!("CLIENT LIST ID {id}"))
        };
        for (request, expected) in [
            ("WATCH a b", " flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=2 "),
            ("MULTI", " flags=x db=0 sub=0 psub=0 ssub=0 multi=0 watch=2 "),
            ("SET a 1", " multi=1 watch=2 "),
            ("SET c 1", " multi=2 watch=2 "),
            ("EXEC", " flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 "),
            ("WATCH a", " flags=N "),
            ("SET a 2", " flags=d "),
            ("UNWATCH", " flags=N "),
            ("HELLO 3", " resp=3 "),
            ("SUBSCRIBE x y", " flags=P db=0 sub=2 psub=0 ssub=0 "),
            ("PSUBSCRIBE x", " sub=2 psub=1 ssub=0 "),
            ("SSUBSCRIBE x", " sub=2 psub=1 ssub=1 "),
            ("RESET", " flags=N db=0 sub=0 psub=0 ssub=0 "),
            ("MONITOR", " flags=O "),
            ("RESET", " flags=N "),
            ("BLPOP none 0", " flags=b "),
        ] {
            let line = line_after(&mut rig, request);
            assert!(line.contains(expected), "{request}: {line}");
        }
        assert_eq!(rig.run("CLIENT LIST TYPE pubsub"), "$0");
        rig.client.set_version(crate::protocol::Version::Resp3);
        rig.run("SUBSCRIBE x");
        assert!(rig.run("CLIENT LIST TYPE pubsub").contains("id=1 "));
    }
}
