//! Publish and subscribe, and keyspace notifications.

use super::{Access, Channels, Command, Context, Error, Flags, Group, KeySpec, Worker, help};
use crate::protocol::Args;
use crate::session::Topic;
use crate::store::{Change, Class};

const LISTEN: Flags = Flags::PUBSUB.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);
const TELL: Flags = Flags::PUBSUB.and(Flags::LOADING).and(Flags::STALE);
const SEND: Flags = TELL.and(Flags::FAST).and(Flags::MAY_REPLICATE);
/// Shard channels look like keys so that clients of a cluster find their node.
const SHARD: &[KeySpec] = &[KeySpec::range(1, -1, 1, Access::NOT_KEY)];

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("publish", 3, publish)
        .channels(Channels::First)
        .flags(SEND)
        .since("2.0.0")
        .complexity("O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).")
        .doc("Sends a message to the subscribers of a channel.", "channel message"),
    row("spublish", 3, spublish)
        .channels(Channels::First)
        .flags(SEND)
        .keys(&[KeySpec::at(1, Access::NOT_KEY)])
        .since("7.0.0")
        .complexity("O(N) where N is the number of clients subscribed to the receiving shard channel.")
        .doc("Sends a message to the subscribers of a shard channel.", "shardchannel message"),
    row("subscribe", -2, subscribe)
        .channels(Channels::All)
        .flags(LISTEN)
        .since("2.0.0")
        .complexity("O(N) where N is the number of channels to subscribe to.")
        .doc("Listens to channels.", "channel ..."),
    row("psubscribe", -2, psubscribe)
        .channels(Channels::Patterns)
        .flags(LISTEN)
        .since("2.0.0")
        .complexity("O(N) where N is the number of patterns to subscribe to.")
        .doc("Listens to all channels of patterns.", "pattern ..."),
    row("ssubscribe", -2, ssubscribe)
        .channels(Channels::All)
        .flags(LISTEN)
        .keys(SHARD)
        .since("7.0.0")
        .complexity("O(N) where N is the number of shard channels to subscribe to.")
        .doc("Listens to shard channels.", "shardchannel ..."),
    row("unsubscribe", -1, unsubscribe)
        .flags(LISTEN)
        .since("2.0.0")
        .complexity("O(N) where N is the number of channels to unsubscribe.")
        .doc("Stops to listen to channels, or to all.", "[channel ...]"),
    row("punsubscribe", -1, punsubscribe)
        .flags(LISTEN)
        .since("2.0.0")
        .complexity("O(N) where N is the number of patterns to unsubscribe.")
        .doc("Stops to listen to patterns, or to all.", "[pattern ...]"),
    row("sunsubscribe", -1, sunsubscribe)
        .flags(LISTEN)
        .keys(SHARD)
        .since("7.0.0")
        .complexity("O(N) where N is the number of shard channels to unsubscribe.")
        .doc("Stops to listen to shard channels, or to all.", "[shardchannel ...]"),
    Command::container("pubsub", SUBCOMMANDS)
        .group(Group::Pubsub)
        .since("2.8.0")
        .doc("Tells of channels and their subscribers.", ""),
];

const SUBCOMMANDS: &[Command] = &[
    sub("channels", -2, channels).since("2.8.0").complexity("O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)").doc("Returns the channels that somebody listens to.", "[pattern]"),
    help::row(Group::Pubsub, "6.2.0"),
    sub("numpat", 2, numpat).since("2.8.0").doc("Returns how many patterns there are that somebody listens to.", ""),
    sub("numsub", -2, numsub).since("2.8.0").complexity("O(N) for the NUMSUB subcommand, where N is the number of requested channels").doc("Returns how many listen to channels.", "[channel ...]"),
    sub("shardchannels", -2, shardchannels).since("7.0.0").complexity("O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).").doc("Returns the shard channels that somebody listens to.", "[pattern]"),
    sub("shardnumsub", -2, shardnumsub).since("7.0.0").complexity("O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels").doc("Returns how many listen to shard channels.", "[shardchannel ...]"),
];

const fn row(name: &'static str, arity: i32, run: super::Run) -> Command {
    Command::new(name, arity, run).group(Group::Pubsub)
}

const fn sub(name: &'static str, arity: i32, run: super::Run) -> Command {
    row(name, arity, run).flags(TELL)
}

fn publish(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    send(cx, Topic::Channel, args)
}

fn spublish(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    send(cx, Topic::Shard, args)
}

fn send(cx: &mut Context<'_>, topic: Topic, args: Args<'_>) -> Result<(), Error> {
    let limit = cx.settings().client_output_buffer_limit.pubsub.hard;
    let reached = cx.node.channels.publish(topic, args.get(1), args.get(2), limit);
    cx.reply.count(reached);
    Ok(())
}

fn subscribe(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    listen(cx, Topic::Channel, "subscribe", args)
}

fn psubscribe(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    listen(cx, Topic::Pattern, "psubscribe", args)
}

fn ssubscribe(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    listen(cx, Topic::Shard, "ssubscribe", args)
}

fn listen(cx: &mut Context<'_>, topic: Topic, word: &str, args: Args<'_>) -> Result<(), Error> {
    for name in args.skip(1) {
        cx.client.subscriptions.add(&cx.node.channels, topic, name, &cx.client.info);
        confirm(cx, topic, word, Some(name));
    }
    Ok(())
}

fn unsubscribe(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    leave(cx, Topic::Channel, "unsubscribe", args)
}

fn punsubscribe(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    leave(cx, Topic::Pattern, "punsubscribe", args)
}

fn sunsubscribe(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    leave(cx, Topic::Shard, "sunsubscribe", args)
}

fn leave(cx: &mut Context<'_>, topic: Topic, word: &str, args: Args<'_>) -> Result<(), Error> {
    let names: Vec<Box<[u8]>> = match args.len() {
        1 => cx.client.subscriptions.names(topic).iter().cloned().collect(),
        _ => args.skip(1).iter().map(Box::from).collect(),
    };
    if names.is_empty() {
        confirm(cx, topic, word, None);
    }
    for name in names {
        cx.client.subscriptions.remove(&cx.node.channels, topic, &name, &cx.client.info);
        confirm(cx, topic, word, Some(&name));
    }
    Ok(())
}

fn confirm(cx: &mut Context<'_>, topic: Topic, word: &str, name: Option<&[u8]>) {
    cx.reply.push(3);
    cx.reply.bulk(word.as_bytes());
    cx.reply.bulk_or_null(name);
    cx.reply.count(cx.client.subscriptions.count(topic));
}

fn channels(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    names(cx, Topic::Channel, args)
}

fn shardchannels(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    names(cx, Topic::Shard, args)
}

fn names(cx: &mut Context<'_>, topic: Topic, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 3 {
        return Err(cx.arity_error());
    }
    let names = cx.node.channels.names(topic, args.nth(2));
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.bulk(name));
    Ok(())
}

fn numsub(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    counts(cx, Topic::Channel, args)
}

fn shardnumsub(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    counts(cx, Topic::Shard, args)
}

fn counts(cx: &mut Context<'_>, topic: Topic, args: Args<'_>) -> Result<(), Error> {
    cx.reply.array(2 * (args.len() - 2));
    for name in args.skip(2) {
        cx.reply.bulk(name);
        cx.reply.count(cx.node.channels.subscribers(topic, name));
    }
    Ok(())
}

fn numpat(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    cx.reply.count(cx.node.channels.count(Topic::Pattern));
    Ok(())
}

/// Publishes what happened to a key, as far as `notify-keyspace-events` wants it.
pub(super) fn notify(worker: &Worker, change: &Change) {
    let (events, Class(class)) = (worker.settings.notify_keyspace_events, change.event.class);
    if !events.wants(class) {
        return;
    }
    let limit = worker.settings.client_output_buffer_limit.pubsub.hard;
    let send = |kind: &str, about: &[u8], message: &[u8]| {
        let channel = [format!("__{kind}@{}__:", change.database).as_bytes(), about].concat();
        worker.node.channels.publish(Topic::Channel, &channel, message, limit);
    };
    let (key, name) = (&*change.key, change.event.name.as_bytes());
    if events.wants(crate::config::Events::KEYSPACE) {
        send("keyspace", key, name);
    }
    if events.wants(crate::config::Events::KEYEVENT) {
        send("keyevent", name, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Rig;
    use crate::config::Events;
    use crate::protocol::Version;

    fn mail(rig: &Rig) -> String {
        let mut out = Vec::new();
        rig.client.info.mailbox.collect(&mut out, usize::MAX);
        String::from_utf8(out).expect("text").replace("\r\n", "|")
    }

    #[test]
    fn messages_reach_channels_and_patterns() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SUBSCRIBE a b", "*3|$9|subscribe|$1|a|:1|*3|$9|subscribe|$1|b|:2"),
            ("PSUBSCRIBE a*", "*3|$10|psubscribe|$2|a*|:3"),
            ("SSUBSCRIBE s", "*3|$10|ssubscribe|$1|s|:1"),
            ("GET k", "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"),
            ("PING", "*2|$4|pong|$0"),
            ("PING x", "*2|$4|pong|$1|x"),
        ]);
        let node = rig.worker.node;
        assert_eq!(node.channels.publish(Topic::Channel, b"a", b"hi", 0), 2);
        assert_eq!(node.channels.publish(Topic::Shard, b"s", b"yo", 0), 1);
        assert_eq!(mail(&rig), "*3|$7|message|$1|a|$2|hi|*4|$8|pmessage|$2|a*|$1|a|$2|hi|*3|$8|smessage|$1|s|$2|yo|");
        rig.check(&[
            ("UNSUBSCRIBE a", "*3|$11|unsubscribe|$1|a|:2"),
            ("UNSUBSCRIBE", "*3|$11|unsubscribe|$1|b|:1"),
            ("UNSUBSCRIBE", "*3|$11|unsubscribe|$-1|:1"),
            ("PUNSUBSCRIBE", "*3|$12|punsubscribe|$2|a*|:0"),
            ("SUNSUBSCRIBE s", "*3|$12|sunsubscribe|$1|s|:0"),
            ("GET k", "$-1"),
            ("PUBLISH a x", ":0"),
        ]);
    }

    #[test]
    fn resp3_pushes_and_allows_every_command() {
        let mut rig = Rig::new();
        rig.client.set_version(Version::Resp3);
        rig.check(&[
            ("SUBSCRIBE a", ">3|$9|subscribe|$1|a|:1"),
            ("PUBLISH a x", ":1"),
            ("PUBSUB NUMSUB a b", "*4|$1|a|:1|$1|b|:0"),
            ("PUBSUB CHANNELS", "*1|$1|a"),
            ("PUBSUB CHANNELS b*", "*0"),
            ("PUBSUB NUMPAT", ":0"),
            ("PUBSUB SHARDCHANNELS", "*0"),
            ("RESET", "+RESET"),
            ("PUBSUB CHANNELS", "*0"),
        ]);
    }

    #[test]
    fn events_of_keys_are_published() {
        let mut rig = Rig::new();
        rig.check(&[("CONFIG SET notify-keyspace-events KEA", "+OK")]);
        rig.worker.refresh();
        rig.client.set_version(Version::Resp3);
        rig.run("PSUBSCRIBE __key*__:*");
        rig.run("SET k v");
        assert_eq!(
            mail(&rig),
            ">4|$8|pmessage|$12|__key*__:*|$16|__keyspace@0__:k|$3|set|>4|$8|pmessage|$12|__key*__:*|$18|\
             __keyevent@0__:set|$1|k|"
                .replace("$12|__key*__:*", "$10|__key*__:*")
        );
        rig.check(&[("CONFIG SET notify-keyspace-events Kx", "+OK")]);
        rig.worker.refresh();
        rig.run("SET k v PX 5");
        assert_eq!(mail(&rig), "");
        rig.pass(6);
        rig.run("GET k");
        assert!(mail(&rig).ends_with("$16|__keyspace@0__:k|$7|expired|"));
        rig.check(&[("CONFIG SET notify-keyspace-events Enm", "+OK")]);
        rig.worker.refresh();
        rig.run("GET none");
        rig.run("SET new v");
        let mail = mail(&rig);
        assert!(
            mail.contains("__keyevent@0__:keymiss|$4|none|") && mail.contains("__keyevent@0__:new|$3|new|"),
            "{mail}"
        );
    }

    #[test]
    fn classes_are_those_of_the_settings() {
        for (class, bits) in [
            (Class::GENERIC, Events::GENERIC),
            (Class::STRING, Events::STRING),
            (Class::LIST, Events::LIST),
            (Class::SET, Events::SET),
            (Class::HASH, Events::HASH),
            (Class::SORTED_SET, Events::SORTED_SET),
            (Class::EXPIRED, Events::EXPIRED),
            (Class::EVICTED, Events::EVICTED),
            (Class::STREAM, Events::STREAM),
            (Class::NEW, Events::NEW),
            (Class::MISS, Events::MISS),
        ] {
            assert_eq!(class.0, bits);
        }
    }
}
