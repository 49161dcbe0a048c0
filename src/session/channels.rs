//! Publish and subscribe: who listens to which channel.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use parking_lot::RwLock;

use super::ClientInfo;
use super::crowd::Crowd;
use crate::protocol::{Reply, Version, glob};

/// What a client can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A channel.
    Channel,
    /// All channels of a pattern.
    Pattern,
    /// A channel of a cluster's shard.
    Shard,
}

impl Topic {
    /// All of them.
    pub const ALL: [Topic; 3] = [Topic::Channel, Topic::Pattern, Topic::Shard];
}

type Subscribers = HashMap<Box<[u8]>, Crowd>;

/// All subscriptions of a server.
#[derive(Debug, Default)]
pub struct Channels {
    tables: [RwLock<Subscribers>; 3],
    /// Names in each table, to be read without its lock.
    counts: [AtomicUsize; 3],
}

/// A message in both protocols, each written when the first client needs it.
struct Letters<'a> {
    written: [Option<Bytes>; 2],
    parts: &'a [&'a [u8]],
}

impl Letters<'_> {
    fn of(&mut self, version: u8) -> Bytes {
        let letter = self.written[usize::from(version == 3)].get_or_insert_with(|| {
            let version = if version == 3 { Version::Resp3 } else { Version::Resp2 };
            write(version, self.parts)
        });
        letter.clone()
    }
}

fn write(version: Version, parts: &[&[u8]]) -> Bytes {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, version);
    reply.push(parts.len());
    parts.iter().for_each(|part| reply.bulk(part));
    out.into()
}

impl Channels {
    /// Adds a subscriber. It must not be subscribed to this already.
    pub fn subscribe(&self, topic: Topic, name: &[u8], client: &Arc<ClientInfo>) {
        let mut table = self.tables[topic as usize].write();
        table.entry(name.into()).or_default().add(client);
        self.counts[topic as usize].store(table.len(), Relaxed);
    }

    /// Takes a subscriber out.
    pub fn unsubscribe(&self, topic: Topic, name: &[u8], client: &Arc<ClientInfo>) {
        let mut table = self.tables[topic as usize].write();
        if let Some(subscribers) = table.get_mut(name) {
            subscribers.remove(client.id);
            if subscribers.members().is_empty() {
                table.remove(name);
            }
        }
        self.counts[topic as usize].store(table.len(), Relaxed);
    }

    /// Names that somebody subscribed to.
    pub fn count(&self, topic: Topic) -> usize {
        self.counts[topic as usize].load(Relaxed)
    }

    /// How many subscribed to a name.
    pub fn subscribers(&self, topic: Topic, name: &[u8]) -> usize {
        self.tables[topic as usize].read().get(name).map_or(0, |subscribers| subscribers.members().len())
    }

    /// The names that somebody subscribed to and that match a pattern, in their order.
    pub fn names(&self, topic: Topic, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let matches = |name: &[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name, false));
        let mut names: Vec<_> =
            self.tables[topic as usize].read().keys().filter(|name| matches(name)).cloned().collect();
        names.sort_unstable();
        names
    }

    /// The subscribers of names that `is_lost` for them.
    pub fn subscribers_where(
        &self,
        topic: Topic,
        is_lost: impl Fn(&[u8], &ClientInfo) -> bool,
    ) -> Vec<Arc<ClientInfo>> {
        let table = self.tables[topic as usize].read();
        let all =
            table.iter().flat_map(|(name, subscribers)| subscribers.members().iter().map(move |client| (name, client)));
        all.filter(|(name, client)| is_lost(name, client)).map(|(_, client)| client.clone()).collect()
    }

    /// Sends a message to a channel's subscribers and, unless it is a shard's, to those of matching patterns; how many got it.
    /// A subscriber with more than `limit` bytes waiting (0: no limit) is cut off.
    pub fn publish(&self, topic: Topic, channel: &[u8], message: &[u8], limit: u64) -> usize {
        let word: &[u8] = if topic == Topic::Shard { b"smessage" } else { b"message" };
        let mut reached = 0;
        if self.count(topic) > 0
            && let Some(subscribers) = self.tables[topic as usize].read().get(channel)
        {
            reached += send(subscribers.members(), &[word, channel, message], limit);
        }
        if topic == Topic::Channel && self.count(Topic::Pattern) > 0 {
            for (pattern, subscribers) in &*self.tables[Topic::Pattern as usize].read() {
                if glob::matches(pattern, channel, false) {
                    reached += send(subscribers.members(), &[b"pmessage", pattern, channel, message], limit);
                }
            }
        }
        reached
    }
}

fn send(subscribers: &[Arc<ClientInfo>], parts: &[&[u8]], limit: u64) -> usize {
    let mut letters = Letters { written: [None, None], parts };
    for client in subscribers {
        client.send(letters.of(client.protocol()), limit);
    }
    subscribers.len()
}

/// What one client subscribed to.
#[derive(Debug, Default)]
pub struct Subscriptions {
    total: usize,
    names: [BTreeSet<Box<[u8]>>; 3],
}

impl Subscriptions {
    /// Whether there is any.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.total > 0
    }

    /// The number that replies to (un)subscribing tell: channels and patterns together, shard channels alone.
    pub fn count(&self, topic: Topic) -> usize {
        match topic {
            Topic::Shard => self.names[topic as usize].len(),
            _ => self.names[Topic::Channel as usize].len() + self.names[Topic::Pattern as usize].len(),
        }
    }

    /// Names of one kind.
    pub fn names(&self, topic: Topic) -> &BTreeSet<Box<[u8]>> {
        &self.names[topic as usize]
    }

    /// Subscribes a client; nothing happens if it is subscribed.
    pub fn add(&mut self, channels: &Channels, topic: Topic, name: &[u8], client: &Arc<ClientInfo>) {
        let names = &mut self.names[topic as usize];
        if names.insert(name.into()) {
            self.total += 1;
            channels.subscribe(topic, name, client);
            client.subscriptions[topic as usize].store(names.len(), Relaxed);
        }
    }

    /// Ends a subscription; whether there was one.
    pub fn remove(&mut self, channels: &Channels, topic: Topic, name: &[u8], client: &Arc<ClientInfo>) -> bool {
        let names = &mut self.names[topic as usize];
        if !names.remove(name) {
            return false;
        }
        self.total -= 1;
        channels.unsubscribe(topic, name, client);
        client.subscriptions[topic as usize].store(names.len(), Relaxed);
        true
    }

    /// Ends all subscriptions.
    pub fn clear(&mut self, channels: &Channels, client: &Arc<ClientInfo>) {
        if !self.is_any() {
            return;
        }
        self.total = 0;
        for topic in Topic::ALL {
            for name in std::mem::take(&mut self.names[topic as usize]) {
                channels.unsubscribe(topic, &name, client);
            }
            client.subscriptions[topic as usize].store(0, Relaxed);
        }
    }
}
